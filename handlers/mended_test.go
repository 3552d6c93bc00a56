package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// A12, at the front channel: an impersonation ends with its actor's session, and is
// in the organization that the start found out. Its tokens say so.
func TestFrontChannelEnds(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"jwt", "opaque"} {
		clocked(t, idptest.Options{Handlers: handlers.Config{SessionLifetime: time.Hour}}, func(t *testing.T, idp *idptest.IDP) {
			addClient(t, idp, "every", func(c *storage.Client) { everyResponseType(c); c.AccessTokenFormat = format })
			b := idp.Browser(t)
			b.SignIn("sam")
			time.Sleep(57 * time.Minute)
			at, _ := b.Follow(asking("client_id", "every", "response_type", "code id_token token", "prompt", "login select_account"))
			w := b.Post(at, url.Values{"username": {"sam@example.test"}, "password": {idptest.Password}})
			w = b.Post(b.Consent(w.Header.Get("Location")), idptest.Wish("usr_ada", nil))
			_, said := answered(w)
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
			if err != nil || len(running) != 1 {
				t.Fatalf("running: %v, %v", running, err)
			}
			end := running[0].ExpiresAt.Time()
			if left := time.Until(end); left > 3*time.Minute {
				t.Fatalf("the impersonation outlives its actor's session: %s", left)
			}
			claims := []map[string]any{idptest.Claims(t, said.Get("id_token"))}
			if format == "jwt" {
				claims = append(claims, idptest.Claims(t, said.Get("access_token")))
			} else {
				claims = append(claims, idp.Call("/oauth2/introspect", "every", idptest.Secret, url.Values{"token": {said.Get("access_token")}}).JSON(t))
			}
			for _, c := range claims {
				if c["exp"].(float64) > float64(end.Unix()) || c["org_id"] != "org_globex" {
					t.Errorf("%s: exp %v after the end %d, or org_id %v", format, c["exp"], end.Unix(), c["org_id"])
				}
			}
			if said.Get("expires_in") > "180" && len(said.Get("expires_in")) >= 3 {
				t.Errorf("expires_in %s", said.Get("expires_in"))
			}
		})
	}
}

// D06, D07: a password that is changed while it is being checked signs nobody in.
func TestPasswordChangedMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, idptest.Options{SlowHash: true}, func(t *testing.T, idp *idptest.IDP) {
		hash, err := provider.HashPassword("another password altogether")
		if err != nil {
			t.Fatal(err)
		}
		browsers := make([]*idptest.Browser, 12)
		var wg sync.WaitGroup
		for i := range browsers {
			browsers[i] = idp.Browser(t)
			wg.Go(func() {
				browsers[i].Post("/login", url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
			})
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.SetPassword(ctx, "usr_ada", hash, storage.Cause{}, time.Now())
		})
		wg.Wait()
		for _, b := range browsers {
			wantOutcome(t, b, asking("prompt", "none"), "error=login_required")
		}
	})
}

// OpenID Connect Core 5.5.1 and 3.1.2.2: a request that names its user is not
// answered for another, whoever acts.
func TestActingAsAnother(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{Impersonation: idptest.Limits()}})
	hint := str(t, loggedIn(t, idp, "sam", "prompt", "consent"), "id_token")
	addClient(t, idp, "aged", func(c *storage.Client) { age := int64(3600); c.DefaultMaxAge = &age })
	for _, c := range []struct {
		name, want string
		pairs      []string
	}{
		{"another sub", "login_required", []string{"claims", `{"id_token":{"sub":{"value":"usr_sam"}}}`}},
		{"a hint of the actor", "login_required", []string{"id_token_hint", hint, "prompt", "consent"}},
		{"A10 max_age of the client", "login_required", []string{"client_id", "aged"}},
		{"A10 an acr by name", "unmet_authentication_requirements", []string{"claims", `{"id_token":{"acr":{"values":["urn:understudy:acr:password"]}}}`}},
		{"a hint of the actor who chooses", "", []string{"id_token_hint", hint, "prompt", "select_account"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := person(t, idp, "sam")
			w := b.Post(b.Consent(asking(append([]string{"prompt", "select_account"}, c.pairs...)...)), idptest.Wish("usr_ada", nil))
			if _, said := answered(w); said.Get("error") != c.want {
				t.Errorf("status %d: %v", w.Status, said)
			}
		})
	}
	b := person(t, idp, "ada")
	for claims, want := range map[string]string{
		`{"id_token":{"sub":{"value":17}}}`:                                                    "error=login_required",
		`{"id_token":{"sub":{"value":""}}}`:                                                    "error=login_required",
		`{"id_token":{"sub":{"values":[]}}}`:                                                   "error=login_required",
		`{"id_token":{"sub":{"value":"usr_ada"}},"userinfo":{"sub":{"value":"usr_grace"}}}`:    "error=login_required",
		`{"id_token":{"sub":{"values":["usr_grace","usr_ada"]}}}`:                              "code",
		`{"id_token":{"sub":{"value":"usr_ada"}},"userinfo":{"sub":{"values":["usr_ada",1]}}}`: "code",
		`{"id_token":{"sub":null},"userinfo":{"sub":{"essential":true}}}`:                      "code",
	} {
		wantOutcome(t, b, asking("claims", claims, "prompt", "none"), want)
	}
}

// RFC 8707 section 2.2, and RFC 6749 section 6: what a token is narrowed to, it is.
func TestNarrowedTokens(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	idp.Change(t, "app", func(c *storage.Client) { c.Audience = storage.List{"https://a.example", "https://b.example"} })
	login := func(pairs ...string) string {
		return person(t, idp, "ada").Code(idptest.Request(func(q url.Values) {
			q["resource"] = []string{"https://a.example", "https://b.example"}
			q.Set("scope", "openid email profile offline_access")
			having(pairs...)(q)
		}))
	}
	aud := func(w *idptest.Response) any {
		wantStatus(t, "tokens", w, http.StatusOK)
		return idptest.Claims(t, w.JSON(t)["access_token"])["aud"]
	}
	w := redeem(idp, login(), "resource", "https://a.example")
	if got := aud(w); got != "https://a.example" {
		t.Errorf("exchange: aud %v", got)
	}
	token := str(t, w.JSON(t), "refresh_token")
	for _, resource := range []string{"https://b.example", idptest.Issuer} {
		w = refresh(idp, token, "resource", resource)
		if got := aud(w); got != resource {
			t.Errorf("refresh: aud %v, want %s", got, resource)
		}
		token = str(t, w.JSON(t), "refresh_token")
	}
	w = refresh(idp, token)
	if got, _ := aud(w).([]any); len(got) != 2 {
		t.Errorf("without a resource: aud %v", got)
	}
	wantRefused(t, "another", refresh(idp, str(t, w.JSON(t), "refresh_token"), "resource", "https://c.example"), http.StatusBadRequest, "invalid_target")

	tokens := idp.Tokens(t, login("resource", "", "claims", `{"userinfo":{"email":null,"phone_number":null},"id_token":{"name":null}}`))
	narrow := refresh(idp, str(t, tokens, "refresh_token"), "scope", "openid openid").JSON(t)
	info := userinfo(idp, str(t, narrow, "access_token")).JSON(t)
	if narrow["scope"] != "openid" || info["email"] != nil || info["phone_number"] == nil || idptest.Claims(t, narrow["id_token"])["name"] != nil {
		t.Errorf("narrowed to openid: scope %v, userinfo %v", narrow["scope"], info)
	}
}

// OpenID Connect Core 8: nothing else connects what pairwise subjects keep apart.
func TestPairwiseSessions(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	sids, subs, hints := map[any]bool{}, map[any]bool{}, map[string]string{}
	for client, uri := range map[string]string{"one": "https://one.example/cb", "two": "https://two.example/cb", "three": "http://localhost/cb", "four": "http://localhost:3000/cb"} {
		addClient(t, idp, client, func(c *storage.Client) { c.SubjectType, c.RedirectURIs = storage.SubjectPairwise, storage.List{uri} })
		code := b.Code(asking("client_id", client, "redirect_uri", uri))
		tokens := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, having("redirect_uri", uri))).JSON(t)
		claims := idptest.Claims(t, tokens["id_token"])
		sids[claims["sid"]], subs[claims["sub"]] = true, true
		hints[client] = str(t, tokens, "id_token")
	}
	if len(sids) != 4 || len(subs) != 4 || sids[nil] {
		t.Errorf("sid %v, sub %v", sids, subs)
	}
	w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {hints["one"]}}.Encode())
	if w.Element("logout-form") != nil {
		t.Error("its own ID token does not sign out")
	}
	wantOutcome(t, b, asking("prompt", "none"), "error=login_required")
}

// Part of signing out: a session that no browser shows any more ends as well.
func TestSignOutAfterIdling(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) { c.RevokeOnLogout, c.BackchannelLogoutURI = true, "https://app.example/logout" })
		b := idp.Browser(t)
		b.SignIn("ada")
		tokens := idp.Tokens(t, b.Code(asking("scope", "openid offline_access")))
		out := "/oauth2/logout?" + url.Values{"id_token_hint": {str(t, tokens, "id_token")}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode()
		if w := idp.Browser(t).Get(out); w.Status != http.StatusSeeOther { // another browser, while this one is in use
			t.Errorf("status %d", w.Status)
		}
		wantOutcome(t, b, asking("prompt", "none"), "code")
		time.Sleep(61 * time.Minute)
		if w := b.Get(out); w.Header.Get("Location") != "https://app.example/" {
			t.Errorf("status %d", w.Status)
		}
		wantActive(t, idp, "the refresh token", str(t, tokens, "refresh_token"), false)
		due, err := idp.Store.DueLogoutClients(t.Context(), time.Now())
		if err != nil || strings.Join(due, " ") != "app" {
			t.Errorf("to be told: %v, %v", due, err)
		}
	})
}
