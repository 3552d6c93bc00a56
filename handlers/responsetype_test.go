package handlers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

var everyType = []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}

// everyResponseType registers a client for all of them.
func everyResponseType(c *storage.Client) {
	c.ResponseTypes, c.GrantTypes = everyType, storage.List{"authorization_code", "refresh_token", "implicit"}
}

func halfHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// OpenID Connect Core 3.2 and 3.3: what each response type brings back, and where.
func TestResponseTypes(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "every", everyResponseType)
		addClient(t, idp, "opaque", func(c *storage.Client) { everyResponseType(c); c.AccessTokenFormat = "opaque" })
		b := person(t, idp, "ada")
		for _, client := range []string{"every", "opaque"} {
			for _, responseType := range everyType[1:] {
				for _, mode := range []string{"", "fragment", "form_post"} {
					t.Run(client+" "+responseType+" "+mode, func(t *testing.T) {
						w := b.Get(asking("client_id", client, "response_type", responseType, "response_mode", mode, "scope", "openid email offline_access"))
						to, said := answered(w)
						if to != idptest.Callback || (mode == "form_post") != (w.Status == http.StatusOK) || strings.Contains(w.Header.Get("Location"), "?") {
							t.Fatalf("status %d at %s, location %s", w.Status, to, w.Header.Get("Location"))
						}
						checkFrontChannel(t, idp, client, responseType, said)
					})
				}
			}
		}
	})
}

// checkFrontChannel checks that an answer has what its response type says, and
// nothing else, and that all of it works.
func checkFrontChannel(t *testing.T, idp *idptest.IDP, client, responseType string, said url.Values) {
	t.Helper()
	want := []string{"iss", "state"}
	if gives := strings.Fields(responseType); true {
		if slices.Contains(gives, "code") {
			want = append(want, "code")
		}
		if slices.Contains(gives, "token") {
			want = append(want, "access_token", "expires_in", "scope", "token_type")
		}
		if slices.Contains(gives, "id_token") {
			want = append(want, "id_token")
		}
	}
	var got []string
	for name, values := range said {
		if got = append(got, name); len(values) != 1 {
			t.Errorf("%s has %d values", name, len(values))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if said.Get("iss") != idptest.Issuer || said.Get("state") != "a state" {
		t.Errorf("iss %q, state %q", said.Get("iss"), said.Get("state"))
	}
	first := map[string]any{}
	if token := said.Get("id_token"); token != "" {
		first = idptest.Claims(t, token)
		for name, value := range map[string]any{
			"sub": "usr_ada", "aud": client, "iss": idptest.Issuer, "nonce": "a nonce", "at_hash": nil, "c_hash": nil, "act": nil, "email": nil, "sid": first["sid"],
		} {
			switch {
			case name == "at_hash" && said.Has("access_token"):
				value = halfHash(said.Get("access_token"))
			case name == "c_hash" && said.Has("code"):
				value = halfHash(said.Get("code"))
			case name == "email" && responseType == "id_token":
				value = "ada@example.test" // nothing else could bring it (section 5.4)
			}
			if first[name] != value {
				t.Errorf("ID token: %s is %v, want %v", name, first[name], value)
			}
		}
		if first["sid"] == nil {
			t.Error("ID token without sid")
		}
	}
	if token := said.Get("access_token"); token != "" {
		if w := userinfo(idp, token); w.Status != http.StatusOK || w.JSON(t)["email"] != "ada@example.test" {
			t.Errorf("userinfo: status %d: %s", w.Status, w.Body)
		}
		if said.Get("token_type") != "Bearer" || said.Get("expires_in") != "900" {
			t.Errorf("token_type %q, expires_in %q", said.Get("token_type"), said.Get("expires_in"))
		}
		if granted := strings.Contains(said.Get("scope"), "offline_access"); granted != said.Has("code") {
			t.Errorf("scope %q", said.Get("scope"))
		}
	}
	if code := said.Get("code"); code != "" {
		w := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, nil))
		wantStatus(t, "exchange", w, http.StatusOK)
		second := idptest.Claims(t, w.JSON(t)["id_token"])
		for _, name := range []string{"iss", "sub", "aud", "nonce", "auth_time", "sid"} {
			if said.Has("id_token") && first[name] != second[name] {
				t.Errorf("%s is %v in the first ID token and %v in the second", name, first[name], second[name])
			}
		}
		if w.JSON(t)["refresh_token"] == nil {
			t.Error("no refresh token")
		}
	}
}

// What a request for tokens at the authorization endpoint must have.
func TestFrontChannelErrors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "every", everyResponseType)
	b, nobody := person(t, idp, "ada"), idp.Browser(t)
	for _, c := range []struct {
		name  string
		pairs []string
		code  string
	}{
		{"no nonce, id_token", []string{"response_type", "id_token", "nonce", ""}, "invalid_request"},
		{"no nonce, id_token token", []string{"response_type", "id_token token", "nonce", ""}, "invalid_request"},
		{"no nonce, code id_token", []string{"response_type", "code id_token", "nonce", ""}, "invalid_request"},
		{"no nonce, code id_token token", []string{"response_type", "code id_token token", "nonce", ""}, "invalid_request"},
		{"in the query", []string{"response_type", "code id_token", "response_mode", "query"}, "invalid_request"},
		{"in the query, token", []string{"response_type", "code token", "response_mode", "query"}, "invalid_request"},
		{"without openid", []string{"response_type", "id_token", "scope", "api:read"}, "invalid_scope"},
		{"without PKCE method", []string{"response_type", "code token", "code_challenge_method", ""}, "invalid_request"},
		{"a wrong scope", []string{"response_type", "id_token token", "scope", "openid wrong"}, "invalid_scope"},
		{"a wrong resource", []string{"response_type", "id_token token", "resource", "https://evil.example"}, "invalid_target"},
		{"nobody", []string{"response_type", "id_token", "prompt", "none"}, "login_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []string{"", "form_post"} {
				pairs := append([]string{"client_id", "every"}, c.pairs...)
				if mode != "" && !slices.Contains(pairs, "response_mode") {
					pairs = append(pairs, "response_mode", mode)
				}
				who := b
				if c.name == "nobody" {
					who = nobody
				}
				w := wantOutcome(t, who, asking(pairs...), "error="+c.code)
				_, said := answered(w)
				if strings.Contains(w.Header.Get("Location"), "?") || said.Get("iss") != idptest.Issuer || said.Get("state") != "a state" {
					t.Errorf("C05: location %s: %v", w.Header.Get("Location"), said)
				}
			}
		})
	}
	t.Run("code token needs no nonce", func(t *testing.T) {
		wantOutcome(t, b, asking("client_id", "every", "response_type", "code token", "nonce", ""), "code")
	})
	t.Run("the order of the words has no meaning", func(t *testing.T) {
		wantOutcome(t, b, asking("client_id", "every", "response_type", "token id_token code"), "code")
	})
}

// A08: what comes of an impersonation says so at the front channel, too.
func TestFrontChannelImpersonated(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "every", everyResponseType)
		for _, responseType := range everyType[1:] {
			b := person(t, idp, "sam")
			w := b.Post(b.Consent(asking("client_id", "every", "response_type", responseType, "scope", "openid email api:write")), idptest.Wish("usr_ada", nil))
			_, said := answered(w)
			var tokens []map[string]any
			for _, name := range []string{"id_token", "access_token"} {
				if token := said.Get(name); token != "" {
					tokens = append(tokens, idptest.Claims(t, token))
				}
			}
			if len(tokens) == 0 {
				t.Fatalf("%s: status %d: %s", responseType, w.Status, w.Body)
			}
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_sam", Running: true}, time.Now())
			if err != nil || len(running) != 1 {
				t.Fatalf("running: %v, %v", running, err)
			}
			for _, claims := range tokens {
				act, _ := claims["act"].(map[string]any)
				if claims["sub"] != "usr_ada" || act["sub"] != "usr_sam" || claims["acr"] != "urn:understudy:acr:impersonation" ||
					claims["sid"] != running[0].ID || claims["amr"] != nil || claims["exp"].(float64) > float64(running[0].ExpiresAt.Time().Unix()) {
					t.Errorf("%s: %v", responseType, claims)
				}
				if scope, ok := claims["scope"].(string); ok && strings.Contains(scope, "api:write") {
					t.Errorf("%s: read only has scope %s", responseType, scope)
				}
			}
			if n := len(events(t, idp, func(e storage.Event) bool {
				return e.Type == storage.EventTokenIssued && e.ImpersonationID == running[0].ID
			})); n != 1 {
				t.Errorf("%s: %d events token.issued, want 1", responseType, n)
			}
			stop := idp.Provider.Impersonation.End(t.Context(), running[0].ID, storage.Cause{Reason: storage.EndStopped}, time.Now())
			if stop != nil {
				t.Fatal(stop)
			}
			if token := said.Get("access_token"); token != "" {
				wantRefused(t, "userinfo after the stop", userinfo(idp, token), http.StatusUnauthorized, "invalid_token")
			}
			if code := said.Get("code"); code != "" {
				wantRefused(t, "the code after the stop", idp.Call("/oauth2/token", "every", idptest.Secret, idptest.Exchange(code, nil)), http.StatusBadRequest, "invalid_grant")
			}
		}
	})
}

// OpenID Connect Core 5.5: claims asked for by name.
func TestClaimsParameter(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "narrow", func(c *storage.Client) { c.Scope = "openid email offline_access" })
	b := person(t, idp, "ada")
	for _, c := range []struct {
		name, client, claims string
		userinfo, idToken    map[string]any // nil values must not be there
	}{
		{
			"essential in userinfo", "app", `{"userinfo":{"name":{"essential":true}}}`,
			map[string]any{"name": "ada", "given_name": nil, "email": nil},
			map[string]any{"name": nil},
		},
		{
			"voluntary in both", "app", `{"userinfo":{"phone_number":null,"address":null},"id_token":{"email":null,"email_verified":null}}`,
			map[string]any{"phone_number": "+49 30 1", "email": nil},
			map[string]any{"email": "ada@example.test", "email_verified": true, "phone_number": nil},
		},
		{
			"unknown names", "app", `{"userinfo":{"shoe_size":{"essential":true},"act":null,"sub":null},"id_token":{"shoe_size":null,"iss":{"value":"x"},"act":null,"role":null}}`,
			map[string]any{"shoe_size": nil, "act": nil, "sub": "usr_ada"},
			map[string]any{"shoe_size": nil, "act": nil, "role": nil, "iss": idptest.Issuer},
		},
		{
			"outside the client's scopes", "narrow", `{"userinfo":{"phone_number":{"essential":true},"email":null},"id_token":{"name":null}}`,
			map[string]any{"phone_number": nil, "email": "ada@example.test"},
			map[string]any{"name": nil},
		},
		{
			"an acr that there is", "app", `{"id_token":{"acr":{"essential":true,"values":["urn:x","urn:understudy:acr:password"]},"auth_time":{"essential":true}}}`,
			nil,
			map[string]any{"acr": "urn:understudy:acr:password"},
		},
		{"a sub that fits", "app", `{"id_token":{"sub":{"value":"usr_ada"}}}`, map[string]any{"sub": "usr_ada"}, nil},
		{"members of both unknown", "app", `{"other":{"name":null},"userinfo":null}`, map[string]any{"name": nil}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			code := b.Code(asking("client_id", c.client, "scope", "openid offline_access", "claims", c.claims, "prompt", "consent"))
			tokens := idp.Call("/oauth2/token", c.client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t)
			renewed := idp.Call("/oauth2/token", c.client, idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(t, tokens, "refresh_token")}}).JSON(t)
			for _, answer := range []map[string]any{tokens, renewed} {
				for what, part := range map[string]struct{ got, want map[string]any }{
					"userinfo": {userinfo(idp, str(t, answer, "access_token")).JSON(t), c.userinfo},
					"ID token": {idptest.Claims(t, answer["id_token"]), c.idToken},
				} {
					for name, value := range part.want {
						if part.got[name] != value {
							t.Errorf("%s: %s is %v, want %v", what, name, part.got[name], value)
						}
					}
				}
			}
		})
	}
	t.Run("a sub that does not fit", func(t *testing.T) {
		wrong := asking("claims", `{"id_token":{"sub":{"value":"usr_grace"}}}`)
		wantOutcome(t, b, wrong+"&prompt=none", "error=login_required")
		wantOutcome(t, b, wrong, "login")
	})
	t.Run("consent is asked for what the names stand for", func(t *testing.T) {
		addClient(t, idp, "third", func(c *storage.Client) { c.FirstParty = false })
		request := asking("client_id", "third", "scope", "openid", "claims", `{"userinfo":{"phone_number":null}}`)
		at, w := b.Follow(request)
		if !strings.HasPrefix(at, "/consent/") || !strings.Contains(w.Body, "See your phone number") {
			t.Fatalf("at %s: %s", at, w.Body)
		}
		b.Post(at, url.Values{"action": {"allow"}})
		wantOutcome(t, b, request+"&prompt=none", "code")
		wantOutcome(t, b, asking("client_id", "third", "scope", "openid", "claims", `{"userinfo":{"name":null}}`, "prompt", "none"), "error=consent_required")
	})
	t.Run("A10 an essential acr while acting", func(t *testing.T) {
		for _, claims := range []string{`{"id_token":{"acr":{"essential":true}}}`, `{"id_token":{"acr":{"value":"urn:understudy:acr:password"}}}`} {
			sam := person(t, idp, "sam")
			w := sam.Post(sam.Consent(asking("claims", claims, "prompt", "select_account")), idptest.Wish("usr_ada", nil))
			if _, said := answered(w); said.Get("error") != "unmet_authentication_requirements" {
				t.Errorf("%s: status %d: %v", claims, w.Status, said)
			}
		}
	})
}

// OpenID Connect Core 8: what pairwise clients know people by.
func TestPairwiseSubjects(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		pairwise := func(host string) func(*storage.Client) {
			return func(c *storage.Client) {
				c.SubjectType, c.RedirectURIs = storage.SubjectPairwise, storage.List{"https://" + host + "/cb"}
			}
		}
		addClient(t, idp, "one", pairwise("one.example"))
		addClient(t, idp, "two", pairwise("two.example"))
		addClient(t, idp, "sector", func(c *storage.Client) {
			pairwise("three.example")(c)
			c.SectorIdentifierURI, c.AccessTokenFormat = "https://one.example/sector.json", "opaque"
		})
		login := func(b *idptest.Browser, client string) (map[string]any, string) {
			host := map[string]string{"one": "one", "two": "two", "sector": "three"}[client]
			uri := "https://" + host + ".example/cb"
			code := b.Code(asking("client_id", client, "redirect_uri", uri))
			w := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, having("redirect_uri", uri)))
			wantStatus(t, client, w, http.StatusOK)
			return w.JSON(t), uri
		}
		b := person(t, idp, "ada")
		subs := map[string]string{}
		for _, client := range []string{"one", "two", "sector"} {
			tokens, uri := login(b, client)
			sub := str(t, idptest.Claims(t, tokens["id_token"]), "sub")
			subs[client] = sub
			access := str(t, tokens, "access_token")
			if got := userinfo(idp, access).JSON(t)["sub"]; got != sub || sub == "usr_ada" {
				t.Errorf("%s: ID token %s, userinfo %v", client, sub, got)
			}
			inspected := idp.Call("/oauth2/introspect", client, idptest.Secret, url.Values{"token": {access}}).JSON(t)
			if inspected["sub"] != sub {
				t.Errorf("%s: introspection %v", client, inspected)
			}
			again, _ := login(b, client)
			if got := idptest.Claims(t, again["id_token"])["sub"]; got != sub {
				t.Errorf("%s: %v at the second login, %s at the first", client, got, sub)
			}
			hint := []string{"client_id", client, "redirect_uri", uri, "prompt", "none", "id_token_hint", str(t, tokens, "id_token")}
			wantOutcome(t, b, asking(hint...), "code")
			wantOutcome(t, person(t, idp, "grace"), asking(hint...), "error=login_required")
		}
		if subs["one"] == subs["two"] || subs["one"] != subs["sector"] {
			t.Errorf("subjects: %v", subs)
		}
		sam := person(t, idp, "sam")
		uri := "https://one.example/cb"
		w := idp.Call("/oauth2/token", "one", idptest.Secret, idptest.Exchange(
			sam.ActAs("usr_ada", asking("client_id", "one", "redirect_uri", uri, "prompt", "select_account")), having("redirect_uri", uri)))
		claims := idptest.Claims(t, w.JSON(t)["id_token"])
		act, _ := claims["act"].(map[string]any)
		if actor, _ := act["sub"].(string); claims["sub"] != subs["one"] || !strings.HasPrefix(actor, "pw_") || actor == subs["one"] {
			t.Errorf("A09 act of a pairwise client: %v", claims)
		}
	})
}

// B08: within the leeway a refresh token that comes again gets the same successor.
func TestRefreshRepeated(t *testing.T) {
	t.Parallel()
	leeway := idptest.Options{Provider: provider.Config{RefreshReuseLeeway: 10 * time.Second}}
	offline := []string{"scope", "openid email offline_access"}
	t.Run("B08 fifty at once", func(t *testing.T) {
		for _, dsn := range []string{"", idptest.Postgres(t)} {
			idp := idptest.New(t, idptest.Options{DSN: dsn, Provider: provider.Config{RefreshReuseLeeway: time.Hour}}) // by a real clock
			first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
			successors := make(chan string, 50)
			counts := parallel(50, func(int) *idptest.Response {
				w := refresh(idp, first)
				if w.Status == http.StatusOK {
					successors <- str(t, w.JSON(t), "refresh_token")
				}
				return w
			})
			if counts["200"] != 50 {
				t.Errorf("answers: %v", counts)
			}
			close(successors)
			want := <-successors
			for got := range successors {
				if got != want {
					t.Errorf("two successors: %s and %s", got, want)
				}
			}
			wantActive(t, idp, "the successor", want, true)
			wantActive(t, idp, "the first", first, false)
		}
	})
	t.Run("B08 once the successor was used", func(t *testing.T) {
		clocked(t, leeway, func(t *testing.T, idp *idptest.IDP) {
			first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
			second := str(t, refresh(idp, first).JSON(t), "refresh_token")
			third := str(t, refresh(idp, second).JSON(t), "refresh_token")
			wantRefused(t, "the first again", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "the third", third, true)
			if again := str(t, refresh(idp, second).JSON(t), "refresh_token"); again != third {
				t.Errorf("the second again: got %s, want %s", again, third)
			}
			time.Sleep(11 * time.Second)
			wantRefused(t, "the second, later", refresh(idp, second), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "the third", third, false)
		})
	})
	t.Run("another client, or after a revocation", func(t *testing.T) {
		idp := idptest.New(t, leeway)
		addClient(t, idp, "other", nil)
		first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
		second := str(t, refresh(idp, first).JSON(t), "refresh_token")
		stolen := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}}
		wantRefused(t, "another client", idp.Call("/oauth2/token", "other", idptest.Secret, stolen), http.StatusBadRequest, "invalid_grant")
		wantActive(t, idp, "the successor", second, true)
		wantStatus(t, "revoke", idp.Call("/oauth2/revoke", "app", idptest.Secret, url.Values{"token": {second}}), http.StatusOK)
		wantRefused(t, "after the revocation", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("A11 never of an impersonation", func(t *testing.T) {
		idp := idptest.New(t, leeway)
		idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh = true })
		b := person(t, idp, "sam")
		first := str(t, idp.Tokens(t, b.ActAs("usr_ada", asking(append(offline, "prompt", "select_account")...))), "refresh_token")
		wantStatus(t, "refresh", refresh(idp, first), http.StatusOK)
		wantRefused(t, "at once again", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
	})
}
