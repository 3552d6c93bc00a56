package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// pushing is App's pushed request.
func pushing(pairs ...string) url.Values {
	form := mustQuery(asking())
	having(pairs...)(form)
	return form
}

// pushed pushes a request as App and returns what the browser is sent with.
func pushed(t testing.TB, idp *idptest.IDP, pairs ...string) string {
	t.Helper()
	w := idp.Call("/oauth2/par", "app", idptest.Secret, pushing(pairs...))
	if w.Status != http.StatusCreated {
		t.Fatalf("push: status %d: %s", w.Status, w.Body)
	}
	answer := w.JSON(t)
	if len(answer) != 2 || answer["expires_in"] != 60.0 || w.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %v, Cache-Control %s", answer, w.Header.Get("Cache-Control"))
	}
	return "/oauth2/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {str(t, answer, "request_uri")}}.Encode()
}

// RFC 9126: C09, and fosite 2 to 5.
func TestPushedRequests(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "other", nil)
		b := person(t, idp, "ada")
		t.Run("C09 works once", func(t *testing.T) {
			request := pushed(t, idp, "state", "pushed")
			w := wantOutcome(t, b, request, "code")
			if _, said := answered(w); said.Get("state") != "pushed" {
				t.Errorf("said %v", said)
			}
			wantStatus(t, "exchange", redeem(idp, w.Location().Query().Get("code")), http.StatusOK)
			nowhere(t, b, request, "invalid_request_uri")
		})
		t.Run("C09 once, of twenty at the same moment", func(t *testing.T) {
			request := pushed(t, idp)
			counts := parallel(20, func(int) *idptest.Response {
				return idp.Do(httptest.NewRequest(http.MethodGet, request, nil)) // nobody: to the login page
			})
			if counts["303 "] != 1 {
				t.Errorf("answers %v, want one redirect", counts)
			}
		})
		t.Run("through the login page", func(t *testing.T) {
			visitor := idp.Browser(t)
			at, _ := visitor.Follow(pushed(t, idp))
			w := visitor.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
			wantOutcome(t, visitor, w.Header.Get("Location"), "code")
		})
		t.Run("fosite 4: nothing that comes beside it counts", func(t *testing.T) {
			request := pushed(t, idp, "max_age", "") + "&" + url.Values{
				"scope": {"openid profile"}, "redirect_uri": {"https://evil.example/"}, "state": {"other"}, "code_challenge": {strings.Repeat("x", 43)},
				"claims": {`{"userinfo":{"name":null}}`}, "prompt": {"login"}, "max_age": {"0"}, "response_mode": {"fragment"}, "impersonate": {"1"},
			}.Encode()
			w := wantOutcome(t, b, request, "code")
			_, said := answered(w)
			if said.Get("state") != "a state" || !strings.HasPrefix(w.Header.Get("Location"), idptest.Callback+"?") {
				t.Errorf("location %s", w.Header.Get("Location"))
			}
			tokens := idp.Tokens(t, said.Get("code"))
			if tokens["scope"] != "openid email" || userinfo(idp, str(t, tokens, "access_token")).JSON(t)["name"] != nil {
				t.Errorf("tokens %v", tokens)
			}
		})
		t.Run("fosite 5: another client cannot use or spend it", func(t *testing.T) {
			request := pushed(t, idp)
			nowhere(t, b, strings.Replace(request, "client_id=app", "client_id=other", 1), "invalid_request_uri")
			wantOutcome(t, b, request, "code")
		})
		t.Run("fosite 3: no credentials are kept", func(t *testing.T) {
			addClient(t, idp, "post", func(c *storage.Client) { c.TokenEndpointAuthMethod = "client_secret_post" })
			w := idp.Call("/oauth2/par", "", "", pushing("client_id", "post", "client_secret", idptest.Secret))
			wantStatus(t, "push", w, http.StatusCreated)
			var kept []string
			err := idp.Store.Write(t.Context(), func(tx *storage.Tx) error {
				request, err := tx.SpendPushedRequest(t.Context(), storage.Hash(strings.TrimPrefix(str(t, w.JSON(t), "request_uri"), "urn:ietf:params:oauth:request_uri:")), "post", time.Now())
				kept = append(kept, request)
				return err
			})
			if err != nil || len(kept) != 1 || strings.Contains(kept[0], "secret") || !strings.Contains(kept[0], "redirect_uri") {
				t.Errorf("%v, kept %s", err, kept)
			}
		})
		t.Run("never was", func(t *testing.T) {
			for _, uri := range []string{"urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:x", "urn:ietf:params:oauth:request_uri:upr_" + strings.Repeat("A", 43)} {
				nowhere(t, b, asking("request_uri", uri), "invalid_request_uri")
			}
		})
		t.Run("a client that has to push", func(t *testing.T) {
			addClient(t, idp, "strict", func(c *storage.Client) { c.RequirePushedAuthorizationRequests = true })
			wantOutcome(t, b, asking("client_id", "strict"), "error=invalid_request")
			wantOutcome(t, idp.Browser(t), asking("client_id", "strict", "prompt", "none"), "error=invalid_request")
			w := idp.Call("/oauth2/par", "strict", idptest.Secret, pushing("client_id", "strict"))
			wantOutcome(t, b, "/oauth2/authorize?"+url.Values{"client_id": {"strict"}, "request_uri": {str(t, w.JSON(t), "request_uri")}}.Encode(), "code")
			visitor := idp.Browser(t) // the login page is not a way around it
			at, _ := visitor.Follow(asking("client_id", "strict"))
			w = visitor.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
			wantOutcome(t, visitor, w.Header.Get("Location"), "error=invalid_request")
		})
		t.Run("a public client", func(t *testing.T) {
			w := idp.Call("/oauth2/par", "", "", pushing("client_id", "public", "redirect_uri", "https://spa.example/cb", "scope", "openid"))
			wantStatus(t, "push", w, http.StatusCreated)
		})
	})
}

// What a push is refused for: the authorization endpoint's own rules, and those of
// a direct endpoint.
func TestPushErrors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, c := range []struct {
		name   string
		pairs  []string
		status int
		code   string
	}{
		{"another redirect_uri", []string{"redirect_uri", "https://evil.example/"}, 400, "invalid_request"},
		{"no redirect_uri", []string{"redirect_uri", ""}, 400, "invalid_request"},
		{"a wrong scope", []string{"scope", "openid wrong"}, 400, "invalid_scope"},
		{"a response type that it may not use", []string{"response_type", "code token"}, 400, "unsupported_response_type"},
		{"plain PKCE", []string{"code_challenge_method", "plain"}, 400, "invalid_request"},
		{"prompt", []string{"prompt", "none login"}, 400, "invalid_request"},
		{"request_uri", []string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, 400, "invalid_request"},
		{"request", []string{"request", "x.y.z"}, 400, "request_not_supported"},
		{"fosite 2: another client's id", []string{"client_id", "public"}, 400, "invalid_request"},
		{"a secret as well", []string{"client_secret", idptest.Secret}, 400, "invalid_request"},
		{"too long", []string{"login_hint", strings.Repeat("x", 8000), "acr_values", strings.Repeat("x", 8000), "nonce", strings.Repeat("x", 8000)}, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRefused(t, c.name, idp.Call("/oauth2/par", "app", idptest.Secret, pushing(c.pairs...)), c.status, c.code)
		})
	}
	wantRefused(t, "a wrong secret", idp.Call("/oauth2/par", "app", "wrong", pushing()), http.StatusUnauthorized, "invalid_client")
	wantRefused(t, "nobody", idp.Call("/oauth2/par", "", "", pushing("client_id", "")), http.StatusUnauthorized, "invalid_client")
	wantRefused(t, "twice", idp.Call("/oauth2/par", "app", idptest.Secret, url.Values{"state": {"a", "b"}}), http.StatusBadRequest, "invalid_request")
	if w := idp.Do(httptest.NewRequest(http.MethodGet, "/oauth2/par", nil)); w.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", w.Status)
	}
	t.Run("C09 after a minute", func(t *testing.T) {
		clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
			b := person(t, idp, "ada")
			early, late := pushed(t, idp), pushed(t, idp)
			time.Sleep(59 * time.Second)
			wantOutcome(t, b, early, "code")
			time.Sleep(time.Second)
			nowhere(t, b, late, "invalid_request_uri")
		})
	})
}

// OpenID Connect Core 5.3.2: userinfo for a client that wants it signed.
func TestSignedUserinfo(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	for _, alg := range []string{"RS256", "ES256"} {
		addClient(t, idp, alg, func(c *storage.Client) { c.UserinfoSignedResponseAlg = alg })
		tokens := idp.Call("/oauth2/token", alg, idptest.Secret, idptest.Exchange(b.Code(asking("client_id", alg)), nil)).JSON(t)
		w := userinfo(idp, str(t, tokens, "access_token"))
		if w.Status != http.StatusOK || w.Header.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%s: status %d, %s: %s", alg, w.Status, w.Header.Get("Content-Type"), w.Body)
		}
		claims := idptest.Claims(t, w.Body)
		if header(t, w.Body)["alg"] != alg || claims["sub"] != "usr_ada" || claims["iss"] != idptest.Issuer || claims["aud"] != alg || claims["email"] != "ada@example.test" {
			t.Errorf("%s: %v", alg, claims)
		}
		wantOutcome(t, b, asking("client_id", alg, "prompt", "none", "id_token_hint", w.Body), "error=invalid_request") // A24
		wantRefused(t, "as an access token", userinfo(idp, w.Body), http.StatusUnauthorized, "invalid_token")
	}
}
