package handlers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// having sets parameters, named and given in turn; an empty value takes one out.
func having(pairs ...string) func(url.Values) {
	return func(q url.Values) {
		for i := 0; i < len(pairs); i += 2 {
			if q.Del(pairs[i]); pairs[i+1] != "" {
				q.Set(pairs[i], pairs[i+1])
			}
		}
	}
}

// asking is a good authorization request of App with other parameters.
func asking(pairs ...string) string { return idptest.Request(having(pairs...)) }

// clocked runs a test whose clock stands still but for what it sleeps.
func clocked(t *testing.T, o idptest.Options, test func(t *testing.T, idp *idptest.IDP)) {
	t.Helper()
	idp, now := idptest.New(t, o), time.Now() // outside: gorm has a goroutine that never ends
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		test(t, idp)
	})
}

// person is a browser in which somebody is signed in, without the cost of a
// password.
func person(t testing.TB, idp *idptest.IDP, name string) *idptest.Browser {
	t.Helper()
	return personSince(t, idp, name, time.Now())
}

// personSince is a browser in which somebody signed in at a time that is past.
func personSince(t testing.TB, idp *idptest.IDP, name string, now time.Time) *idptest.Browser {
	t.Helper()
	b, id := idp.Browser(t), provider.NewSecret("us_")
	later := storage.At(now.Add(1000 * time.Hour))
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.CreateLoginSession(ctx, &storage.LoginSession{
			IDHash: storage.Hash(id), SID: storage.NewID("sid"), UserID: "usr_" + name, AMR: storage.List{"pwd"}, AuthTime: storage.At(now),
			CreatedAt: storage.At(now), LastSeenAt: storage.At(now), IdleExpiresAt: later, ExpiresAt: later,
		})
	})
	b.Cookies["__Host-understudy"] = id
	return b
}

// addClient adds a client like App, changed.
func addClient(t testing.TB, idp *idptest.IDP, id string, change func(*storage.Client)) {
	t.Helper()
	c := idptest.App()
	c.ID, c.Name = id, id
	if change != nil {
		change(c)
	}
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateClient(ctx, c, time.Now()) })
}

// redeem exchanges a code as App, with other parameters.
func redeem(idp *idptest.IDP, code string, pairs ...string) *idptest.Response {
	return idp.Call("/oauth2/token", "app", idptest.Secret, idptest.Exchange(code, having(pairs...)))
}

// refreshing is a refresh request, with other parameters.
func refreshing(token string, pairs ...string) url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	having(pairs...)(form)
	return form
}

// refresh uses a refresh token as App.
func refresh(idp *idptest.IDP, token string, pairs ...string) *idptest.Response {
	return idp.Call("/oauth2/token", "app", idptest.Secret, refreshing(token, pairs...))
}

// loggedIn signs somebody in to App and returns the tokens.
func loggedIn(t testing.TB, idp *idptest.IDP, name string, pairs ...string) map[string]any {
	t.Helper()
	return idp.Tokens(t, person(t, idp, name).Code(asking(pairs...)))
}

// str returns a member that is a string.
func str(t testing.TB, v map[string]any, name string) string {
	t.Helper()
	s, ok := v[name].(string)
	if !ok {
		t.Fatalf("%s: got %v, want a string", name, v[name])
	}
	return s
}

// userinfo presents an access token at the userinfo endpoint.
func userinfo(idp *idptest.IDP, token string) *idptest.Response {
	r := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return idp.Do(r)
}

// introspected tells what App learns of a token.
func introspected(t testing.TB, idp *idptest.IDP, token string) map[string]any {
	t.Helper()
	w := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}})
	if w.Status != http.StatusOK {
		t.Fatalf("introspect: %d %s", w.Status, w.Body)
	}
	return w.JSON(t)
}

// wantActive checks whether a token may be used.
func wantActive(t testing.TB, idp *idptest.IDP, what, token string, want bool) {
	t.Helper()
	if got := introspected(t, idp, token)["active"]; got != want {
		t.Errorf("%s: active %v, want %v", what, got, want)
	}
}

// wantStatus checks the status of an answer.
func wantStatus(t testing.TB, what string, w *idptest.Response, want int) {
	t.Helper()
	if w.Status != want {
		t.Errorf("%s: status %d, want %d: %.300s", what, w.Status, want, w.Body)
	}
}

// wantRefused checks an error of a direct endpoint, and that it tells nothing but
// a code and a description, to nobody's cache.
func wantRefused(t testing.TB, what string, w *idptest.Response, status int, code string) {
	t.Helper()
	if w.Status != status || !strings.HasPrefix(w.Header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: status %d, %s, want %d: %.300s", what, w.Status, w.Header.Get("Content-Type"), status, w.Body)
		return
	}
	answer := w.JSON(t)
	if answer["error"] != code {
		t.Errorf("%s: got %s, want %s", what, w.Body, code)
	}
	for name := range answer {
		if name != "error" && name != "error_description" {
			t.Errorf("%s: %s is not a member of an error", what, name)
		}
	}
	description, _ := answer["error_description"].(string)
	if strings.ContainsFunc(description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		t.Errorf("%s: error_description %q has characters that RFC 6749 does not allow", what, description)
	}
	if got := w.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", what, got)
	}
	if challenge := w.Header.Get("WWW-Authenticate"); status == http.StatusUnauthorized && challenge == "" {
		t.Errorf("%s: 401 without WWW-Authenticate", what)
	}
}

// formOf returns the action and the fields of the first form of a page.
func formOf(w *idptest.Response) (action string, fields url.Values) {
	fields = url.Values{}
	page, err := html.Parse(strings.NewReader(w.Body))
	if err != nil {
		return "", fields
	}
	for n := range page.Descendants() {
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		switch {
		case n.Type == html.ElementNode && n.Data == "form" && action == "":
			action = attributes["action"]
		case n.Type == html.ElementNode && n.Data == "input" && attributes["name"] != "":
			fields.Add(attributes["name"], attributes["value"])
		}
	}
	return action, fields
}

// textOf returns the text of the element with an id.
func textOf(w *idptest.Response, id string) string {
	n := w.Element(id)
	if n == nil {
		return ""
	}
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(text.String())
}

// answered returns where an authorization response goes and what it says, nil for
// what is no such response.
func answered(w *idptest.Response) (to string, said url.Values) {
	if w.Status == http.StatusOK {
		if action, fields := formOf(w); strings.Contains(action, "://") {
			return action, fields
		}
		return "", nil
	}
	u := w.Location()
	if w.Status != http.StatusSeeOther || u.Scheme == "" {
		return "", nil
	}
	said = u.Query()
	if u.RawFragment != "" || u.Fragment != "" {
		said, _ = url.ParseQuery(u.EscapedFragment())
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	return u.String(), said
}

// outcome says in a word how an authorization request ended: login, consent, code,
// error=CODE at the client, or page=CODE here.
func outcome(at string, w *idptest.Response) string {
	_, said := answered(w)
	switch {
	case said.Has("error"):
		return "error=" + said.Get("error")
	case said.Has("code"):
		return "code"
	case strings.HasPrefix(at, "/login"):
		return "login"
	case strings.HasPrefix(at, "/consent/"):
		return "consent"
	case w.Element("error-page") != nil:
		return "page=" + textOf(w, "error-code")
	}
	return fmt.Sprintf("status %d at %s", w.Status, at)
}

// wantOutcome follows an authorization request and checks how it ends.
func wantOutcome(t testing.TB, b *idptest.Browser, request, want string) *idptest.Response {
	t.Helper()
	at, w := b.Follow(request)
	if got := outcome(at, w); got != want {
		t.Errorf("%.300s: got %s, want %s", request, got, want)
	}
	return w
}

// parallel calls fn n times at once and counts what came back.
func parallel(n int, fn func(i int) *idptest.Response) map[string]int {
	answers := make(chan string, n)
	start := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			w := fn(i)
			code := ""
			if w.Status != http.StatusOK {
				code = " " + w.Body[:min(len(w.Body), 24)]
			}
			answers <- fmt.Sprint(w.Status, code)
		}()
	}
	close(start)
	counts := map[string]int{}
	for range n {
		counts[<-answers]++
	}
	return counts
}

const refusedGrant = `400 {"error":"invalid_grant"`

// F11: what discovery lists works, and the rest is refused.
func TestDiscoveryIsTrue(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "rs256", func(c *storage.Client) {
		c.IDTokenSignedResponseAlg, c.TokenEndpointAuthMethod = "RS256", "client_secret_post"
	})
	w := idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	document := w.JSON(t)
	list := func(name string) []string {
		t.Helper()
		values, ok := document[name].([]any)
		if !ok || len(values) == 0 {
			t.Errorf("%s: got %v, want a list", name, document[name])
		}
		var all []string
		for _, v := range values {
			all = append(all, v.(string))
		}
		return all
	}
	t.Run("F11 rules", func(t *testing.T) {
		if document["issuer"] != idptest.Issuer {
			t.Errorf("issuer: got %v", document["issuer"])
		}
		if !strings.HasPrefix(w.Header.Get("Content-Type"), "application/json") {
			t.Errorf("Content-Type: %s", w.Header.Get("Content-Type"))
		}
		for name, v := range document {
			if s, ok := v.(string); ok && (strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri")) && !strings.HasPrefix(s, idptest.Issuer+"/") {
				t.Errorf("%s: %s", name, s)
			}
			if strings.Contains(name, "_alg") {
				for _, bad := range []string{"none", "HS256", "HS384", "HS512", "RS384"} {
					if slices.Contains(list(name), bad) {
						t.Errorf("%s lists %s", name, bad)
					}
				}
			}
		}
		for name, want := range map[string]bool{
			"request_uri_parameter_supported": true, "request_parameter_supported": true, "claims_parameter_supported": true,
			"authorization_response_iss_parameter_supported": true,
		} {
			if got, stated := document[name].(bool); !stated || got != want {
				t.Errorf("%s: got %v, want %v, explicitly", name, document[name], want)
			}
		}
		if !slices.Contains(list("id_token_signing_alg_values_supported"), "RS256") {
			t.Error("RS256 is not listed")
		}
		other := idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/oauth-authorization-server", nil))
		if other.Body != w.Body {
			t.Error("the two documents differ")
		}
	})
	t.Run("F11 endpoints", func(t *testing.T) {
		for name, v := range document {
			s, ok := v.(string)
			if !ok || !strings.HasSuffix(name, "_endpoint") && !strings.HasSuffix(name, "_uri") {
				continue
			}
			path := strings.TrimPrefix(s, idptest.Issuer)
			get := idp.Do(httptest.NewRequest(http.MethodGet, path, nil))
			if get.Status == http.StatusNotFound {
				t.Errorf("%s: there is nothing at %s", name, path)
			}
		}
	})
	b := person(t, idp, "ada")
	t.Run("F11 scopes", func(t *testing.T) {
		all := strings.Join(list("scopes_supported"), " ")
		tokens := idp.Tokens(t, b.Code(asking("scope", all)))
		if tokens["scope"] != all || tokens["refresh_token"] == nil {
			t.Errorf("got scope %v, want %s and a refresh token", tokens["scope"], all)
		}
	})
	t.Run("F11 response types and modes", func(t *testing.T) {
		addClient(t, idp, "every", everyResponseType)
		for _, responseType := range list("response_types_supported") {
			for _, mode := range list("response_modes_supported") {
				if mode == "query" && responseType != "code" {
					continue // see TestResponseTypes
				}
				_, said := answered(b.Get(asking("client_id", "every", "response_type", responseType, "response_mode", mode)))
				for _, part := range strings.Fields(responseType) {
					if name := map[string]string{"code": "code", "token": "access_token", "id_token": "id_token"}[part]; said.Get(name) == "" {
						t.Errorf("%s, %s: no %s in %v", responseType, mode, name, said)
					}
				}
			}
		}
	})
	t.Run("F11 grant types", func(t *testing.T) {
		given := map[string]*idptest.Response{
			"authorization_code": redeem(idp, b.Code(asking())),
			"refresh_token":      refresh(idp, str(t, idp.Tokens(t, b.Code(asking("scope", "openid offline_access"))), "refresh_token")),
			"client_credentials": idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}}),
		}
		x := newTrade(t, idp, nil)
		given[grantExchange] = x.call(x.form)
		for _, grantType := range list("grant_types_supported") {
			if grantType == "implicit" {
				continue // not one of the token endpoint: see the response types
			}
			if given[grantType] == nil {
				t.Fatalf("%s is not tested", grantType)
			}
			wantStatus(t, grantType, given[grantType], http.StatusOK)
		}
	})
	t.Run("F11 algorithms and client authentication", func(t *testing.T) {
		key := idptest.NewKey(t, "k", "ES256")
		addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
		spa := idptest.Request(having("client_id", "public", "redirect_uri", "https://spa.example/cb"))
		public := idptest.Exchange(b.Code(spa), having("client_id", "public", "redirect_uri", "https://spa.example/cb"))
		post := idptest.Exchange(b.Code(asking("client_id", "rs256")), having("client_id", "rs256", "client_secret", idptest.Secret))
		given := map[string]*idptest.Response{
			"client_secret_basic": redeem(idp, b.Code(asking())),
			"client_secret_post":  idp.Call("/oauth2/token", "", "", post),
			"none":                idp.Call("/oauth2/token", "", "", public),
			"private_key_jwt":     idp.Call("/oauth2/token", "", "", key.Assert(t, "keyed", idptest.Exchange(b.Code(asking("client_id", "keyed")), nil))),
		}
		algs := map[string]bool{}
		for _, method := range list("token_endpoint_auth_methods_supported") {
			if given[method] == nil {
				t.Fatalf("%s is not tested", method)
			}
			wantStatus(t, method, given[method], http.StatusOK)
			algs[header(t, str(t, given[method].JSON(t), "id_token"))["alg"].(string)] = true
		}
		for _, alg := range list("id_token_signing_alg_values_supported") {
			if !algs[alg] {
				t.Errorf("no ID token was signed with %s", alg)
			}
		}
		for endpoint, credentials := range map[string]url.Values{
			"introspection": {"client_id": {"rs256"}, "client_secret": {idptest.Secret}, "token": {"x"}},
			"revocation":    {"client_id": {"rs256"}, "client_secret": {idptest.Secret}, "token": {"x"}},
		} {
			path := strings.TrimPrefix(str(t, document, endpoint+"_endpoint"), idptest.Issuer)
			wantStatus(t, endpoint+" with client_secret_post", idp.Call(path, "", "", credentials), http.StatusOK)
			wantStatus(t, endpoint+" with client_secret_basic", idp.Call(path, "app", idptest.Secret, url.Values{"token": {"x"}}), http.StatusOK)
			want := http.StatusUnauthorized
			if slices.Contains(list(endpoint+"_endpoint_auth_methods_supported"), "none") {
				want = http.StatusOK
			}
			wantStatus(t, endpoint+" with none", idp.Call(path, "", "", url.Values{"client_id": {"public"}, "token": {"x"}}), want)
			wantStatus(t, endpoint+" with private_key_jwt", idp.Call(path, "", "", key.Assert(t, "keyed", url.Values{"token": {"x"}})), http.StatusOK)
		}
		for _, endpoint := range []string{"token", "introspection", "revocation"} {
			for _, alg := range list(endpoint + "_endpoint_auth_signing_alg_values_supported") {
				key, id := idptest.NewKey(t, "k", alg), endpoint+alg
				addKeyClient(t, idp, id, idptest.KeySet(key), func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = alg })
				path := strings.TrimPrefix(str(t, document, endpoint+"_endpoint"), idptest.Issuer)
				form := url.Values{"grant_type": {"client_credentials"}, "token": {"x"}}
				wantStatus(t, endpoint+" with "+alg, idp.Call(path, "", "", key.Assert(t, id, form)), http.StatusOK)
			}
			methods := list(endpoint + "_endpoint_auth_methods_supported")
			if !slices.Contains(methods, "private_key_jwt") || !slices.Contains(methods, "client_secret_basic") || !slices.Contains(methods, "client_secret_post") {
				t.Errorf("%s: %v", endpoint, methods)
			}
		}
	})
	t.Run("F11 prompts and challenge methods", func(t *testing.T) {
		outcomes := map[string]string{"none": "code", "login": "login", "consent": "consent", "select_account": "consent"}
		for _, prompt := range list("prompt_values_supported") {
			wantOutcome(t, b, asking("prompt", prompt), outcomes[prompt])
		}
		for _, method := range list("code_challenge_methods_supported") {
			wantOutcome(t, b, asking("code_challenge_method", method), "code")
		}
	})
}

// header returns the header of a JWT.
func header(t testing.TB, token string) map[string]any {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	return idptest.Claims(t, "."+first+".")
}

// I01, and what certification asks of the key set.
func TestKeySet(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	get := func(etag string) *idptest.Response {
		r := httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)
		r.Header.Set("If-None-Match", etag)
		return idp.Do(r)
	}
	keysOf := func() []map[string]any {
		var keys []map[string]any
		for _, k := range get("").JSON(t)["keys"].([]any) {
			keys = append(keys, k.(map[string]any))
		}
		return keys
	}
	w := get("")
	t.Run("I01", func(t *testing.T) {
		ids, kinds := map[any]bool{}, map[any]bool{}
		for _, k := range keysOf() {
			if ids[k["kid"]] || k["kid"] == "" || k["kid"] == nil {
				t.Errorf("kid %v is not unique", k["kid"])
			}
			ids[k["kid"]], kinds[k["alg"]] = true, true
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				if k[private] != nil {
					t.Errorf("key %v tells %s", k["kid"], private)
				}
			}
			if k["use"] != "sig" || k["kty"] == "oct" {
				t.Errorf("key: %v", k)
			}
			if k["kty"] == "RSA" {
				n, err := base64.RawURLEncoding.DecodeString(k["n"].(string))
				if bits := new(big.Int).SetBytes(n).BitLen(); err != nil || bits < 2048 {
					t.Errorf("RSA key of %d bits", bits)
				}
			}
		}
		if !kinds["RS256"] || !kinds["ES256"] || len(kinds) != 2 {
			t.Errorf("algorithms: %v", kinds)
		}
	})
	t.Run("caching", func(t *testing.T) {
		if again := get(w.Header.Get("ETag")); again.Status != http.StatusNotModified || again.Body != "" {
			t.Errorf("status %d for the same ETag", again.Status)
		}
		if !strings.Contains(w.Header.Get("Cache-Control"), "max-age=") {
			t.Errorf("Cache-Control: %s", w.Header.Get("Cache-Control"))
		}
	})
	t.Run("fosite 24: a hint and a token signed with the key before still count", func(t *testing.T) {
		b := person(t, idp, "ada")
		tokens := idp.Tokens(t, b.Code(asking()))
		day := time.Now().Add(25 * time.Hour)
		_, err := idp.Keys.Rotate(t.Context(), []string{"ES256"}, storage.Cause{}, time.Now())
		if err == nil {
			err = idp.Keys.Load(t.Context(), day)
		}
		if err != nil {
			t.Fatal(err)
		}
		after := idp.Tokens(t, b.Code(asking("prompt", "none", "id_token_hint", str(t, tokens, "id_token"))))
		if was, is := header(t, str(t, tokens, "id_token"))["kid"], header(t, str(t, after, "id_token"))["kid"]; was == is {
			t.Errorf("both tokens are signed with %v", was)
		}
		wantActive(t, idp, "access token of the key before", str(t, tokens, "access_token"), true)
		if n := len(keysOf()); n != 3 {
			t.Errorf("%d keys are published, want 3", n)
		}
	})
}

// C12: who may call what from another origin.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	open := map[string]bool{
		"/.well-known/openid-configuration": true, "/.well-known/jwks.json": true, "/oauth2/token": true, "/oauth2/userinfo": true,
		"/oauth2/revoke": true, "/oauth2/par": true, "/oauth2/introspect": false, "/oauth2/authorize": false, "/oauth2/authorize/x": false,
		"/oauth2/logout": false, "/login": false, "/": false, "/consent/x": false, "/impersonation/stop": false, "/impersonation/stopped": false,
		"/oauth2/register": false, "/staff-bar.js": true,
	}
	for path, want := range open {
		for _, origin := range []string{"https://app.example", "null"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				r := httptest.NewRequest(method, path, nil)
				r.Header.Set("Origin", origin)
				r.Header.Set("Access-Control-Request-Method", "POST")
				w := idp.Do(r)
				got := w.Header.Get("Access-Control-Allow-Origin")
				if w.Header.Get("Access-Control-Allow-Credentials") != "" || got != "" && got != "*" || !want && got != "" {
					t.Errorf("C12 %s %s from %s: Access-Control-Allow-Origin %q", method, path, origin, got)
				}
				if want && got == "" && w.Status != http.StatusMethodNotAllowed {
					t.Errorf("C12 %s %s from %s: not readable, status %d", method, path, origin, w.Status)
				}
			}
		}
	}
}

// C13: nothing of a request decides about our addresses.
func TestHostileHost(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/jwks.json", "/login", "/", "/account", "/impersonation/stop?id=x",
		asking("prompt", "none", "scope", "wrong"), asking("client_id", "nobody"),
	} {
		var bodies []string
		for _, hostile := range []bool{false, true} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			if hostile {
				r.Host = "evil.example"
				for name, value := range map[string]string{
					"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Server": "evil.example", "X-Original-Url": "/evil",
					"Forwarded": "host=evil.example;proto=http", "X-Host": "evil.example", "X-Forwarded-Prefix": "/evil",
				} {
					r.Header.Set(name, value)
				}
			}
			w := b.Do(r)
			w.Header.Del("X-Request-Id")
			text := fmt.Sprint(w.Status, w.Header, w.Body)
			if n := w.Element("error-request-id"); n != nil {
				text = fmt.Sprint(w.Status, textOf(w, "error-code"))
			}
			if strings.Contains(text, "evil") {
				t.Errorf("C13 %s: %s", path, text)
			}
			bodies = append(bodies, fmt.Sprint(w.Status, w.Header.Get("Location"), len(w.Body)))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("C13 %s: %s, with a hostile host %s", path, bodies[0], bodies[1])
		}
	}
}

// H01: limits of what a request may hold.
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	large := url.Values{"a": {strings.Repeat("x", 65<<10)}}
	many, repeated := url.Values{}, url.Values{}
	for i := range 101 {
		many.Set(fmt.Sprint("p", i), "x")
		repeated.Add("resource", fmt.Sprint("https://", i, ".example"))
	}
	long := url.Values{"state": {strings.Repeat("x", 8<<10+1)}}
	for _, path := range []string{"/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo", "/oauth2/authorize", "/oauth2/logout", "/login"} {
		t.Run("H01 "+path, func(t *testing.T) {
			wantStatus(t, "65 KiB", idp.Call(path, "", "", large), http.StatusRequestEntityTooLarge)
			if path == "/oauth2/authorize" || path == "/oauth2/logout" {
				return // parameters of those are not refused here but at the client, or left out
			}
			for name, form := range map[string]url.Values{"101 parameters": many, "one parameter 101 times": repeated, "8 KiB and a byte": long} {
				wantStatus(t, name, idp.Call(path, "", "", form), http.StatusBadRequest)
			}
		})
	}
	b := person(t, idp, "ada")
	for name, q := range map[string]url.Values{"101 parameters": many, "one parameter 101 times": repeated, "8 KiB and a byte": long} {
		t.Run("H01 authorize "+name, func(t *testing.T) {
			request := idptest.Request(func(good url.Values) {
				for k, v := range q {
					good[k] = v
				}
			})
			wantOutcome(t, b, request, "error=invalid_request")
		})
	}
}

// F02: direct endpoints take a POST of a form and nothing else.
func TestDirectEndpoints(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/par"} {
		t.Run("F02 "+path, func(t *testing.T) {
			credentials := "client_id=app&client_secret=" + idptest.Secret + "&grant_type=client_credentials&token=x"
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				w := idp.Do(httptest.NewRequest(method, path+"?"+credentials, nil))
				if w.Status != http.StatusMethodNotAllowed || !strings.Contains(w.Header.Get("Allow"), "POST") {
					t.Errorf("%s: status %d, Allow %q", method, w.Status, w.Header.Get("Allow"))
				}
			}
			wantRefused(t, "in the query", idp.Call(path+"?"+credentials, "", "", url.Values{"a": {"b"}}), http.StatusBadRequest, "invalid_request")
			for _, contentType := range []string{"", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=\""} {
				r := idptest.Form(path, url.Values{"grant_type": {"client_credentials"}, "token": {"x"}})
				r.Header.Set("Content-Type", contentType)
				r.SetBasicAuth("service", idptest.Secret)
				wantRefused(t, contentType, idp.Do(r), http.StatusBadRequest, "invalid_request")
			}
			for _, body := range []string{"a=%zz", "a=b;c=d", "token=%00", "token=%ff", "%00=a"} {
				r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				wantRefused(t, body, idp.Do(r), http.StatusBadRequest, "invalid_request")
			}
		})
	}
}

// RP-initiated logout: C10 and CONFORMANCE.
func TestLogout(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "other", func(c *storage.Client) { c.PostLogoutRedirectURIs = storage.List{"https://other.example/bye"} })
	home := "https://app.example/"
	state := strings.Repeat("0123456789abcdef", 8)
	foreign := loggedIn(t, idp, "grace")
	for _, c := range []struct {
		name  string
		pairs []string
		to    string // empty: a page
		asked bool   // whether to log out
	}{
		{"good", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home, "state", state}, home + "?state=" + state, false},
		{"without state", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home}, home, false},
		{"client_id that fits", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home, "client_id", "app"}, home, false},
		{"hint alone", []string{"id_token_hint", "HINT"}, "", false},
		{"nothing", nil, "", true},
		{"state alone", []string{"state", state}, "", true},
		{"no hint", []string{"post_logout_redirect_uri", home, "state", state}, "", true},
		{"no hint but client_id", []string{"post_logout_redirect_uri", home, "client_id", "app"}, "", true},
		{"client_id that does not fit", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home, "client_id", "other"}, "", true},
		{"not registered", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", "https://evil.example/"}, "", false},
		{"query added", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home + "?a=b"}, "", false},
		{"path added", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", home + "x"}, "", false},
		{"upper-case host", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", "https://APP.example/"}, "", false},
		{"another client's", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", "https://other.example/bye"}, "", false},
		{"redirect_uri of the client", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", idptest.Callback}, "", false},
		{"modified hint", []string{"id_token_hint", "HINTx", "post_logout_redirect_uri", home}, "", true},
		{"garbage hint", []string{"id_token_hint", "garbage", "post_logout_redirect_uri", home}, "", true},
		{"access token as hint", []string{"id_token_hint", "ACCESS", "post_logout_redirect_uri", home}, "", true},
		{"hint of another session", []string{"id_token_hint", str(t, foreign, "id_token"), "post_logout_redirect_uri", home}, "", true},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run("C10 "+c.name+" "+method, func(t *testing.T) {
				b := person(t, idp, "ada")
				tokens := idp.Tokens(t, b.Code(asking()))
				q := url.Values{}
				having(c.pairs...)(q)
				q.Set("id_token_hint", strings.NewReplacer("HINT", str(t, tokens, "id_token"), "ACCESS", str(t, tokens, "access_token")).Replace(q.Get("id_token_hint")))
				if q.Get("id_token_hint") == "" {
					q.Del("id_token_hint")
				}
				r := httptest.NewRequest(http.MethodGet, "/oauth2/logout?"+q.Encode(), nil)
				if method == http.MethodPost {
					r = idptest.Form("/oauth2/logout", q)
				}
				w := b.Do(r)
				if got := w.Header.Get("Location"); got != c.to {
					t.Errorf("redirect to %q, want %q", got, c.to)
				}
				astray := c.to == "" && !c.asked && q.Has("post_logout_redirect_uri")
				if said := w.Element("logout-astray") != nil; said != astray {
					t.Errorf("says that the address is not registered: %v, want %v", said, astray)
				}
				if asked := w.Element("logout-form") != nil; asked != c.asked {
					t.Errorf("asked: %v, want %v", asked, c.asked)
				}
				after := "error=login_required"
				if c.asked {
					after = "code"
				}
				wantOutcome(t, b, asking("prompt", "none"), after)
				if !c.asked {
					return
				}
				action, fields := formOf(w)
				if w = b.Post(action, fields); w.Location().Host != "" && c.name != "hint of another session" {
					t.Errorf("confirmed: redirect to %s", w.Location())
				}
				wantOutcome(t, b, asking("prompt", "none"), "error=login_required")
			})
		}
	}
	t.Run("C10 nobody signed in", func(t *testing.T) {
		b := idp.Browser(t)
		w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {str(t, foreign, "id_token")}, "post_logout_redirect_uri": {home}}.Encode())
		if w.Header.Get("Location") != home {
			t.Errorf("status %d, redirect to %q", w.Status, w.Header.Get("Location"))
		}
		if w = b.Get("/oauth2/logout"); w.Status != http.StatusOK || w.Element("logout-form") != nil {
			t.Errorf("status %d", w.Status)
		}
	})
	t.Run("C10 duplicates", func(t *testing.T) {
		q := url.Values{"id_token_hint": {str(t, foreign, "id_token")}, "post_logout_redirect_uri": {home, "https://evil.example/"}}
		if w := idp.Browser(t).Get("/oauth2/logout?" + q.Encode()); w.Header.Get("Location") != "" {
			t.Errorf("redirect to %s", w.Header.Get("Location"))
		}
	})
	t.Run("E01 a confirmation from another site", func(t *testing.T) {
		b := person(t, idp, "ada")
		r := idptest.Form("/oauth2/logout", url.Values{"confirmed": {"yes"}})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		wantStatus(t, "cross-site", b.Do(r), http.StatusForbidden)
		wantOutcome(t, b, asking("prompt", "none"), "code")
	})
	t.Run("C10 a hint of an impersonation stops it and leaves the actor signed in", func(t *testing.T) {
		b := person(t, idp, "sam")
		tokens := idp.Tokens(t, b.ActAs("usr_ada", asking("prompt", "select_account")))
		w := b.Get("/oauth2/logout?" + url.Values{
			"id_token_hint": {str(t, tokens, "id_token")}, "post_logout_redirect_uri": {home}, "state": {state},
		}.Encode())
		if w.Header.Get("Location") != home+"?state="+state {
			t.Errorf("redirect to %q", w.Header.Get("Location"))
		}
		wantActive(t, idp, "impersonated token", str(t, tokens, "access_token"), false)
		if at, w := b.Follow("/"); w.Status != http.StatusOK || b.Get("/login").Status != http.StatusSeeOther {
			t.Errorf("the actor is no longer signed in: %s", at)
		}
	})
	t.Run("an expired hint", func(t *testing.T) {
		clocked(t, idptest.Options{Provider: provider.Config{IDTokenLifetime: time.Minute}}, func(t *testing.T, idp *idptest.IDP) {
			b := person(t, idp, "ada")
			tokens := idp.Tokens(t, b.Code(asking()))
			time.Sleep(10 * time.Minute)
			w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {str(t, tokens, "id_token")}, "post_logout_redirect_uri": {home}}.Encode())
			if w.Header.Get("Location") != home {
				t.Errorf("status %d, redirect to %q", w.Status, w.Header.Get("Location"))
			}
		})
	})
}

// otherRSA is a key of somebody else.
func otherRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
