package handlers_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// strangeRedirects are what a registered https://app.example/callback must not be
// taken for (SECURITY C01).
var strangeRedirects = []string{
	"https://app.example/callback/", "https://app.example/callback/x", "https://app.example/callback?a=b", "https://app.example/callback?",
	"https://app.example/callback#", "https://app.example/callback#a", "https://app.example/callback%23a", "https://app.example/callback/..",
	"https://app.example/callback/../callback", "https://app.example/x/../callback", "https://app.example/./callback", "https://app.example//callback",
	"https://app.example/..;/callback", "https://app.example/callback;x=y", "https://app.example/%2e%2e/callback", "https://app.example/%63allback",
	"https://app.example/callback%2f", "https://app.example/callback%00", "https://app.example/callback%0d%0aX:y", "https://app.example/callback\r\nX: y",
	"https://app.example/callback\x00", "https://app.example/call\tback", " https://app.example/callback", "https://app.example/callback ",
	"https://app.example/callback\u200b", "https://app.example/CALLBACK", "https://APP.example/callback", "HTTPS://app.example/callback",
	"https://app.example./callback", "https://app.example:443/callback", "https://app.example:8443/callback", "https://app.example:/callback",
	"https://user@app.example/callback", "https://user:pw@app.example/callback", "https://app.example@evil.example/callback", "https://@app.example/callback",
	"https://app.example.evil.example/callback", "https://evil.example/callback", "https://evil.example/https://app.example/callback",
	"https://evil.example\\@app.example/callback", "https://evil.example#@app.example/callback", "https://evil.example?@app.example/callback",
	"https://аpp.example/callback", "https://xn--pp-6kc.example/callback", "https://app。example/callback", "https://app.example\\callback",
	"http://app.example/callback", "//app.example/callback", "//evil.example", "\\\\evil.example", "/\\evil.example", "/callback", "callback", "https:app.example/callback",
	"https:///app.example/callback", "https:/app.example/callback", "javascript:alert(1)", "javascript://app.example/callback%0aalert(1)",
	"data:text/html,x", "vbscript:x", "file:///etc/passwd", "about:blank", "blob:https://app.example/callback", "view-source:https://app.example/callback",
	"https://app.example", "https://app.example/", "https://app.example/c", "https://*.example/callback", "https://[::1]/callback", "http://127.0.0.1/callback",
	"http://localhost/callback", "com.example.app:/callback", "urn:ietf:wg:oauth:2.0:oob", "null", "*",
	"https://app.example/callback,https://evil.example", "https://app.example/callback https://evil.example", "https://app.example/callback|x",
}

// nowhere checks that an authorization request is answered with a page here.
func nowhere(t *testing.T, b *idptest.Browser, request, code string) {
	t.Helper()
	w := b.Get(request)
	to, _ := answered(w)
	if w.Header.Get("Location") != "" || to != "" || w.Status != http.StatusBadRequest {
		t.Errorf("%.200q: status %d, redirect to %q", request, w.Status, w.Header.Get("Location"))
	}
	if got := textOf(w, "error-code"); got != code {
		t.Errorf("%.200q: page says %q, want %q", request, got, code)
	}
}

func TestRedirectURI(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	visitors := map[string]*idptest.Browser{"signed in": person(t, idp, "ada"), "nobody": idp.Browser(t)}
	for who, b := range visitors {
		t.Run("C01 "+who, func(t *testing.T) {
			for _, uri := range strangeRedirects {
				for _, more := range [][]string{nil, {"prompt", "none"}, {"scope", "wrong"}, {"response_mode", "form_post"}, {"request", "x.y.z"}} {
					nowhere(t, b, asking(append([]string{"redirect_uri", uri}, more...)...), "invalid_request")
				}
			}
		})
		t.Run("C01 two values "+who, func(t *testing.T) {
			for _, second := range []string{idptest.Callback, "https://evil.example/"} {
				nowhere(t, b, idptest.Request(func(q url.Values) { q.Add("redirect_uri", second) }), "invalid_request")
				nowhere(t, b, idptest.Request(func(q url.Values) { q["redirect_uri"] = []string{second, idptest.Callback} }), "invalid_request")
			}
			w := b.Do(idptest.Form(asking(), url.Values{"redirect_uri": {"https://evil.example/"}}))
			wantStatus(t, "one in the query, one in the body", w, http.StatusBadRequest)
		})
		t.Run("C04 no client "+who, func(t *testing.T) {
			for _, id := range []string{"nobody", "APP", "app ", "app\x00", "app\xff", "' OR 1=1 --", strings.Repeat("x", 9000)} {
				nowhere(t, b, asking("client_id", id), "invalid_client")
			}
			nowhere(t, b, asking("client_id", ""), "invalid_client")
			nowhere(t, b, idptest.Request(func(q url.Values) { q.Add("client_id", "app") }), "invalid_client")
			nowhere(t, b, idptest.Request(func(q url.Values) { q.Add("client_id", "public") }), "invalid_client")
			nowhere(t, b, "/oauth2/authorize", "invalid_client")
			nowhere(t, b, "/oauth2/authorize?client_id=%zz", "invalid_request")
			nowhere(t, b, asking()+";x=y", "invalid_request")
		})
	}
	b := visitors["signed in"]
	t.Run("C04 a disabled client", func(t *testing.T) {
		addClient(t, idp, "off", func(c *storage.Client) { c.Status = storage.ClientDisabled })
		nowhere(t, b, asking("client_id", "off"), "invalid_client")
	})
	t.Run("missing redirect_uri", func(t *testing.T) {
		nowhere(t, b, asking("redirect_uri", ""), "invalid_request") // OpenID Connect wants it
		addClient(t, idp, "two", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, "https://app.example/2") })
		nowhere(t, b, asking("client_id", "two", "redirect_uri", "", "scope", "api:read"), "invalid_request")
		wantOutcome(t, b, asking("redirect_uri", "", "scope", "api:read"), "code")
	})
	t.Run("registered with what is easily lost", func(t *testing.T) {
		uris := storage.List{
			"https://app.example/cb?a=b&a=c", "https://app.example/cb?", "https://app.example/%63b", "https://app.example/a%2Fb", "https://app.example",
			"https://app.example/cb?q=%20+x", "https://app.example/~x;y=1!", "https://app.example:443/cb", "https://app.example//cb",
		}
		addClient(t, idp, "many", func(c *storage.Client) { c.RedirectURIs = uris })
		for _, uri := range uris {
			for _, mode := range []string{"query", "form_post"} {
				w := wantOutcome(t, b, asking("client_id", "many", "redirect_uri", uri, "response_mode", mode), "code")
				to := w.Header.Get("Location")
				if mode == "form_post" {
					to, _ = formOf(w)
				}
				if mode == "form_post" && to != uri || !strings.HasPrefix(to, uri) {
					t.Errorf("%s, %s: answered at %s", mode, uri, to)
				}
			}
		}
	})
}

// C02, fosite 19, 20.
func TestLoopbackRedirectURI(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	registered := storage.List{"http://127.0.0.1/cb", "http://[::1]:5000/cb", "https://127.0.0.1/secure", "com.example.app:/cb"}
	native := func(c *storage.Client) {
		c.Type, c.TokenEndpointAuthMethod, c.SecretHash, c.RedirectURIs, c.RequirePKCE = "native", "none", nil, registered, true
	}
	addClient(t, idp, "native", native)
	addClient(t, idp, "web", func(c *storage.Client) { c.RedirectURIs = registered })
	b := person(t, idp, "ada")
	for _, uri := range append(slices.Clone(registered), "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://[::1]/cb", "http://[::1]:9/cb") {
		t.Run("C02 good "+uri, func(t *testing.T) {
			w := wantOutcome(t, b, asking("client_id", "native", "redirect_uri", uri), "code")
			if got := w.Header.Get("Location"); !strings.HasPrefix(got, uri+"?") {
				t.Errorf("redirect to %s", got)
			}
			code := w.Location().Query().Get("code")
			for _, other := range []string{"http://127.0.0.1:2/cb", "http://127.0.0.1:2/other"} { // the port belongs to the request
				wantRefused(t, other, idp.Call("/oauth2/token", "", "", idptest.Exchange(code, having("client_id", "native", "redirect_uri", other))),
					http.StatusBadRequest, "invalid_grant")
			}
			wantStatus(t, "exchange", idp.Call("/oauth2/token", "", "", idptest.Exchange(code, having("client_id", "native", "redirect_uri", uri))), http.StatusOK)
			if !slices.Contains(registered, uri) {
				nowhere(t, b, asking("client_id", "web", "redirect_uri", uri), "invalid_request")
			}
		})
	}
	for _, uri := range []string{
		"http://user:pw@127.0.0.1:9/cb", "http://@127.0.0.1:9/cb", "http://127.0.0.1:9/%63b", "http://127.0.0.1:9/cb/", "http://127.0.0.1:9/cb?x", "http://127.0.0.1:9/cb#x",
		"http://127.0.0.1:9/secure", "https://127.0.0.1:9/cb", "https://127.0.0.1:9/secure", "http://localhost/cb", "http://localhost:9/cb",
		"http://127.0.0.2/cb", "http://127.1/cb", "http://2130706433/cb", "http://0x7f.1/cb", "http://[0:0:0:0:0:0:0:1]/cb", "http://[::ffff:127.0.0.1]/cb",
		"http://127.0.0.1.evil.example/cb", "http://127.0.0.1:9@evil.example/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:-1/cb", "http://127.0.0.1:9x/cb",
		"http://127.0.0.1:123456/cb", "http://127.0.0.1:9\\@evil.example/cb", "HTTP://127.0.0.1:9/cb", "com.example.app:/cb/", "com.example.app://cb", "com.example.app:/CB",
	} {
		t.Run("C02 bad "+uri, func(t *testing.T) {
			nowhere(t, b, asking("client_id", "native", "redirect_uri", uri), "invalid_request")
		})
	}
}

// wrongs are authorization requests with a good client and redirect URI that are
// wrong all the same.
var wrongs = []struct {
	id, name string
	pairs    []string
	more     func(url.Values)
	code     string
}{
	{"B16", "implicit", []string{"response_type", "token"}, nil, "unsupported_response_type"},
	{"B16", "implicit ID token", []string{"response_type", "id_token"}, nil, "unsupported_response_type"},
	{"B16", "implicit both", []string{"response_type", "id_token token"}, nil, "unsupported_response_type"},
	{"B16", "hybrid", []string{"response_type", "code token"}, nil, "unsupported_response_type"},
	{"B16", "hybrid ID token", []string{"response_type", "code id_token"}, nil, "unsupported_response_type"},
	{"B16", "none", []string{"response_type", "none"}, nil, "unsupported_response_type"},
	{"fosite 21", "upper-case response type", []string{"response_type", "CODE"}, nil, "unsupported_response_type"},
	{"fosite 21", "response type twice", []string{"response_type", "code code"}, nil, "unsupported_response_type"},
	{"C04", "no response type", []string{"response_type", ""}, nil, "unsupported_response_type"},
	{"C04", "unknown scope", []string{"scope", "openid admin"}, nil, "invalid_scope"},
	{"fosite 21", "upper-case scope", []string{"scope", "OpenID"}, nil, "invalid_scope"},
	{"fosite 21", "upper-case scope beside", []string{"scope", "openid EMAIL"}, nil, "invalid_scope"},
	{"B06", "plain", []string{"code_challenge_method", "plain"}, nil, "invalid_request"},
	{"B06", "method left out is plain", []string{"code_challenge_method", ""}, nil, "invalid_request"},
	{"B06", "lower-case method", []string{"code_challenge_method", "s256"}, nil, "invalid_request"},
	{"B06", "method without challenge", []string{"code_challenge", ""}, nil, "invalid_request"},
	{"B05", "short challenge", []string{"code_challenge", idptest.Challenge[:42]}, nil, "invalid_request"},
	{"B05", "long challenge", []string{"code_challenge", idptest.Challenge + "A"}, nil, "invalid_request"},
	{"B05", "padded challenge", []string{"code_challenge", idptest.Challenge[:42] + "="}, nil, "invalid_request"},
	{"C08", "request", []string{"request", "e30.e30.x"}, nil, "request_not_supported"},
	{"C08", "unsigned request", []string{"request", unsignedRequest}, nil, "request_not_supported"},
	{"fosite 7", "request without response_type", []string{"request", "e30.e30.x", "response_type", ""}, nil, "request_not_supported"},
	{"C08", "request_uri", []string{"request_uri", "https://app.example/request"}, nil, "request_uri_not_supported"},
	{"C08", "registration", []string{"registration", "{}"}, nil, "registration_not_supported"},
	{"claims", "malformed claims", []string{"claims", "{not JSON"}, nil, "invalid_request"},
	{"claims", "claims that are no object", []string{"claims", `["name"]`}, nil, "invalid_request"},
	{"claims", "a member that is no object", []string{"claims", `{"userinfo":{"name":"x"}}`}, nil, "invalid_request"},
	{"claims", "an essential acr that nobody has", []string{"claims", `{"id_token":{"acr":{"essential":true,"value":"urn:mfa"}}}`}, nil, "unmet_authentication_requirements"},
	{"C04", "response mode of another world", []string{"response_mode", "web_message"}, nil, "invalid_request"},
	{"C04", "unknown prompt", []string{"prompt", "create"}, nil, "invalid_request"},
	{"fosite 26", "max_age negative", []string{"max_age", "-1"}, nil, "invalid_request"},
	{"fosite 26", "max_age no number", []string{"max_age", "soon"}, nil, "invalid_request"},
	{"fosite 26", "max_age no whole number", []string{"max_age", "1.5"}, nil, "invalid_request"},
	{"fosite 26", "max_age beyond numbers", []string{"max_age", "99999999999999999999"}, nil, "invalid_request"},
	{"fosite 26", "max_age without openid", []string{"max_age", "-1", "scope", "api:read"}, nil, "invalid_request"},
	{"C04", "hint that is none", []string{"id_token_hint", "x"}, nil, "invalid_request"},
	{"B15", "audience that is not the client's", []string{"audience", "https://other.example"}, nil, "invalid_target"},
	{"A22", "state of 1025 bytes", []string{"state", strings.Repeat("s", 1025)}, nil, "invalid_request"},
	{"C04", "NUL", []string{"login_hint", "a\x00b"}, nil, "invalid_request"},
	{"C04", "not UTF-8", []string{"login_hint", "a\xffb"}, nil, "invalid_request"},
	{"C06", "response_type", nil, twice("response_type"), "invalid_request"},
	{"C06", "scope", nil, twice("scope"), "invalid_request"},
	{"C06", "state", nil, twice("state"), "invalid_request"},
	{"C06", "nonce", nil, twice("nonce"), "invalid_request"},
	{"C06", "code_challenge", nil, twice("code_challenge"), "invalid_request"},
	{"C06", "code_challenge_method", nil, twice("code_challenge_method"), "invalid_request"},
	{"C06", "prompt", []string{"prompt", "consent"}, twice("prompt"), "invalid_request"},
	{"C06", "max_age", []string{"max_age", "10"}, twice("max_age"), "invalid_request"},
	{"C06", "unknown", []string{"unknown", "x"}, twice("unknown"), "invalid_request"},
}

// unsignedRequest is a request object with alg none that asks for another redirect URI.
var unsignedRequest = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(`{"client_id":"app","redirect_uri":"https://evil.example/","response_type":"code"}`)) + "."

func twice(name string) func(url.Values) {
	return func(q url.Values) { q.Add(name, q.Get(name)) }
}

// C04: the client hears of it, in the mode it asked for, once the person is known; also
// of what A22, B05, B06, B15, B16, C06 and C08 forbid.
func TestAuthorizeErrors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	known, nobody := person(t, idp, "ada"), idp.Browser(t)
	for _, c := range wrongs {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			modes := []string{"", "form_post"}
			if slices.Contains(c.pairs, "response_mode") {
				modes = []string{""}
			}
			for _, mode := range modes {
				request := func(pairs ...string) string {
					return idptest.Request(func(q url.Values) {
						if mode != "" {
							q.Set("response_mode", mode)
						}
						having(c.pairs...)(q)
						if c.more != nil {
							c.more(q)
						}
						having(pairs...)(q)
					})
				}
				w := wantOutcome(t, known, request(), "error="+c.code)
				to, said := answered(w)
				if to != idptest.Callback || said.Get("iss") != idptest.Issuer || len(said["state"]) != 1 || said.Has("code") || (mode == "form_post") != (w.Status == http.StatusOK) {
					t.Errorf("C05 mode %q: status %d at %s: %v", mode, w.Status, to, said)
				}
				for name := range said {
					if !slices.Contains([]string{"error", "error_description", "state", "iss"}, name) {
						t.Errorf("%s is said", name)
					}
				}
				if strings.ContainsFunc(said.Get("error_description"), func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
					t.Errorf("error_description %q", said.Get("error_description"))
				}
				wantOutcome(t, nobody, request(), "login")
				if !slices.Contains(c.pairs, "prompt") {
					wantOutcome(t, nobody, request("prompt", "none"), "error="+c.code)
				}
			}
		})
	}
	t.Run("C04 after the login", func(t *testing.T) {
		b := idp.Browser(t)
		at, _ := b.Follow(asking("scope", "wrong", "state", "kept"))
		w := b.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
		w = wantOutcome(t, b, w.Header.Get("Location"), "error=invalid_scope")
		if _, said := answered(w); said.Get("state") != "kept" {
			t.Errorf("said %v", said)
		}
	})
	t.Run("C06 one in the query, one in the body", func(t *testing.T) {
		for _, name := range []string{"state", "scope", "response_type", "nonce"} {
			w := known.Do(idptest.Form(asking(), url.Values{name: {"x"}}))
			wantOutcome(t, known, w.Header.Get("Location"), "error=invalid_request")
		}
	})
	t.Run("prompt=none goes alone", func(t *testing.T) {
		for _, prompt := range []string{"none login", "none consent", "select_account none"} {
			wantOutcome(t, known, asking("prompt", prompt), "error=invalid_request")
		}
	})
	t.Run("B06 challenge required", func(t *testing.T) {
		addClient(t, idp, "strict", func(c *storage.Client) { c.RequirePKCE = true })
		spa := []string{"client_id", "public", "redirect_uri", "https://spa.example/cb"}
		without := []string{"code_challenge", "", "code_challenge_method", ""}
		wantOutcome(t, known, asking(append(without, "client_id", "strict")...), "error=invalid_request")
		wantOutcome(t, known, asking(append(without, spa...)...), "error=invalid_request")
		addClient(t, idp, "lax", func(c *storage.Client) {
			c.TokenEndpointAuthMethod, c.SecretHash, c.RequirePKCE = "none", nil, false
		})
		wantOutcome(t, known, asking(append(without, "client_id", "lax")...), "error=invalid_request")
		wantOutcome(t, known, asking(without...), "code")
	})
	t.Run("B16 a client registered for more", func(t *testing.T) {
		addClient(t, idp, "hybrid", func(c *storage.Client) {
			c.ResponseTypes = storage.List{"code", "code id_token", "none", "token"}
			c.GrantTypes = append(c.GrantTypes, "implicit", "password")
		})
		for _, responseType := range []string{"id_token", "code token", "id_token token", "none", "token", "code id_token token", "code code", "ID_TOKEN CODE"} {
			wantOutcome(t, known, asking("client_id", "hybrid", "response_type", responseType), "error=unsupported_response_type")
		}
		wantRefused(t, "password", idp.Call("/oauth2/token", "hybrid", idptest.Secret,
			url.Values{"grant_type": {"password"}, "username": {"ada@example.test"}, "password": {idptest.Password}}), http.StatusBadRequest, "unsupported_grant_type")
	})
	t.Run("a service has no users", func(t *testing.T) {
		addClient(t, idp, "batch", func(c *storage.Client) { c.Type = "service" })
		wantOutcome(t, known, asking("client_id", "batch"), "error=unauthorized_client")
	})
}

// What an authorization response says, in every mode (C05), and what a request may
// leave out or add.
func TestAuthorizeResponse(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	t.Run("C05", func(t *testing.T) {
		for _, mode := range []string{"", "query", "form_post"} {
			to, said := answered(wantOutcome(t, b, asking("response_mode", mode, "state", "s"), "code"))
			said.Set("code", "given")
			if want := (url.Values{"code": {"given"}, "iss": {idptest.Issuer}, "state": {"s"}}); to != idptest.Callback || said.Encode() != want.Encode() {
				t.Errorf("%s: %s at %s, want %s", mode, said.Encode(), to, want.Encode())
			}
		}
	})
	t.Run("state byte for byte", func(t *testing.T) {
		for _, state := range []string{
			"x", "-", "a b+c", "%20", "a&b=c#d?e", `"<script>'`, "äöü€😀", "\n\t", strings.Repeat("0123456789abcdef", 8), strings.Repeat("s", 1024), "\u202e", "%00", "\\",
		} {
			for _, mode := range []string{"query", "form_post"} {
				if _, said := answered(wantOutcome(t, b, asking("state", state, "response_mode", mode), "code")); said.Get("state") != state {
					t.Errorf("%s: sent %q, got %q", mode, state, said.Get("state"))
				}
			}
		}
		for _, wrong := range []string{"", "wrong"} {
			if _, said := answered(b.Get(asking("state", "", "response_mode", "query", "scope", "openid "+wrong))); said.Has("state") {
				t.Errorf("a state that was not sent: %v", said)
			}
		}
		if _, said := answered(b.Get("/oauth2/authorize?" + strings.TrimPrefix(asking("state", ""), "/oauth2/authorize?") + "&state=")); said.Has("state") && said.Get("state") != "" {
			t.Errorf("an empty state: %v", said)
		}
	})
	t.Run("no state, no nonce, no PKCE", func(t *testing.T) {
		code := b.Code(asking("state", "", "nonce", "", "code_challenge", "", "code_challenge_method", ""))
		w := redeem(idp, code, "code_verifier", "")
		if wantStatus(t, "exchange", w, http.StatusOK); idptest.Claims(t, w.JSON(t)["id_token"])["nonce"] != nil {
			t.Errorf("a nonce that was not sent: %s", w.Body)
		}
	})
	t.Run("wishes that are no error", func(t *testing.T) {
		request := asking(
			"login_hint", "nobody@nowhere.example", "ui_locales", "se tlh-Latn", "claims_locales", "fr", "display", "wap", "acr_values", "1 2 urn:x",
			"claims", `{"userinfo":{"name":{"essential":true}},"id_token":{"auth_time":null,"acr":{"values":["x"]}}}`,
			"approval_prompt", "force", "access_type", "offline", "extra", "foobar", "code_challenge_methods", "x", "dpop_jkt", "x",
		)
		claims := idptest.Claims(t, idp.Tokens(t, b.Code(request))["id_token"])
		if claims["sub"] != "usr_ada" || claims["acr"] != "urn:understudy:acr:password" {
			t.Errorf("ID token: %v", claims)
		}
	})
	t.Run("C07", func(t *testing.T) {
		post := b.Do(idptest.Form("/oauth2/authorize", mustQuery(asking())))
		wantStatus(t, "POST authorize", post, http.StatusSeeOther)
		wantStatus(t, "GET authorize", b.Get(asking()), http.StatusSeeOther)
		consent := b.Consent(asking("prompt", "consent"))
		w := b.Post(consent, url.Values{"action": {"allow"}})
		wantStatus(t, "POST consent", w, http.StatusSeeOther)
		if w.Body != "" || w.Header.Get("Referrer-Policy") != "no-referrer" || w.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("answer: %v %q", w.Header, w.Body)
		}
		wantStatus(t, "POST login", idp.Browser(t).Post("/login", url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}}), http.StatusSeeOther)
	})
	t.Run("C11", func(t *testing.T) {
		for _, name := range []string{"next", "return_to", "redirect", "redirect_uri", "continue", "url", "interaction"} {
			for _, to := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"} {
				fresh := idp.Browser(t)
				for _, w := range []*idptest.Response{
					fresh.Get("/login?" + url.Values{name: {to}}.Encode()), b.Get("/login?" + url.Values{name: {to}}.Encode()),
					b.Get("/oauth2/logout?" + url.Values{name: {to}}.Encode()),
				} {
					if strings.Contains(w.Header.Get("Location")+w.Body, "evil.example") || strings.Contains(w.Header.Get("Location"), "javascript") {
						t.Errorf("%s=%s: redirect to %q", name, to, w.Header.Get("Location"))
					}
				}
			}
		}
		fresh := idp.Browser(t)
		w := fresh.Post("/login?next=https%3A%2F%2Fevil.example", url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}, "next": {"//evil.example"}})
		if w.Header.Get("Location") != "/" {
			t.Errorf("redirect to %q", w.Header.Get("Location"))
		}
	})
	t.Run("form_post page", func(t *testing.T) {
		w := b.Get(asking("response_mode", "form_post", "state", `"><script>alert(1)</script>`))
		policy := w.Header.Get("Content-Security-Policy")
		_, nonce, _ := strings.Cut(policy, "'nonce-")
		nonce, _, _ = strings.Cut(nonce, "'")
		if nonce == "" || !strings.Contains(w.Body, `<script nonce="`+nonce+`"`) || strings.Contains(policy, "unsafe") || strings.Count(w.Body, "<script") != 1 {
			t.Errorf("policy %s of %s", policy, w.Body)
		}
		if !strings.Contains(policy, "form-action https://app.example;") || w.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("E04: %v", w.Header)
		}
		for _, want := range []string{`method="post"`, "<button", "<form"} {
			if !strings.Contains(w.Body, want) {
				t.Errorf("the page has no %s", want)
			}
		}
		if strings.Contains(w.Body, " onload=") {
			t.Error("fosite 37: the page has an event handler")
		}
		again := b.Get(asking("response_mode", "form_post"))
		if strings.Contains(again.Header.Get("Content-Security-Policy"), nonce) {
			t.Error("the nonce is the same again")
		}
	})
}

// longSessions outlast every test that sleeps.
var longSessions = handlers.Config{SessionIdle: 1000 * time.Hour, SessionLifetime: 1000 * time.Hour}

func mustQuery(request string) url.Values {
	_, query, _ := strings.Cut(request, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return q
}

// A POST from another site has no cookie with it.
func TestAuthorizePost(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	post := func(form url.Values) *idptest.Response {
		r := idptest.Form("/oauth2/authorize", form)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://app.example")
		return idp.Do(r)
	}
	b := person(t, idp, "ada")
	t.Run("signed in", func(t *testing.T) {
		w := post(mustQuery(asking("state", "kept", "response_mode", "form_post")))
		if w.Status != http.StatusSeeOther || w.Header.Get("Set-Cookie") != "" {
			t.Fatalf("status %d, cookie %q", w.Status, w.Header.Get("Set-Cookie"))
		}
		_, said := answered(wantOutcome(t, b, w.Header.Get("Location"), "code"))
		if said.Get("state") != "kept" {
			t.Errorf("said %v", said)
		}
		wantStatus(t, "the same once more", b.Get(w.Header.Get("Location")), http.StatusBadRequest)
		wantStatus(t, "in another browser", idp.Browser(t).Get(w.Header.Get("Location")), http.StatusBadRequest)
	})
	t.Run("nobody", func(t *testing.T) {
		fresh := idp.Browser(t)
		at, _ := fresh.Follow(post(mustQuery(asking())).Header.Get("Location"))
		w := fresh.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
		wantOutcome(t, fresh, w.Header.Get("Location"), "code")
	})
	t.Run("prompt=none", func(t *testing.T) {
		wantOutcome(t, idp.Browser(t), post(mustQuery(asking("prompt", "none"))).Header.Get("Location"), "error=login_required")
	})
	t.Run("bad", func(t *testing.T) {
		wantStatus(t, "redirect_uri", post(mustQuery(asking("redirect_uri", "https://evil.example/"))), http.StatusBadRequest)
		r := idptest.Form("/oauth2/authorize", mustQuery(asking()))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		wantStatus(t, "multipart", idp.Do(r), http.StatusBadRequest)
	})
}

// C12 has its own test; D02: what waits for one browser is nothing in another.
func TestInteractionBelongsToBrowser(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	owner, other := idp.Browser(t), person(t, idp, "grace")
	at, _ := owner.Follow(asking())
	id := strings.TrimPrefix(at, "/login?interaction=")
	for _, path := range []string{at, "/consent/" + id, "/oauth2/authorize/" + id, "/oauth2/authorize/x", "/consent/%00", "/consent/" + strings.Repeat("x", 5000)} {
		w := other.Get(path)
		if to, _ := answered(w); w.Status != http.StatusBadRequest || to != "" || w.Element("error-page") == nil {
			t.Errorf("%.60s: status %d, redirect to %q", path, w.Status, w.Header.Get("Location"))
		}
	}
	wantStatus(t, "login in another browser", other.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}}), http.StatusBadRequest)
	wantStatus(t, "the owner", owner.Get(at), http.StatusOK)
}

// authTime is the auth_time of an ID token that a request leads to.
func authTime(t *testing.T, idp *idptest.IDP, b *idptest.Browser, pairs ...string) float64 {
	t.Helper()
	at, ok := idptest.Claims(t, idp.Tokens(t, b.Code(asking(pairs...)))["id_token"])["auth_time"].(float64)
	if !ok {
		t.Fatal("no auth_time")
	}
	return at
}

// again answers a request that leads to the login page, and returns where it ends.
func again(t *testing.T, b *idptest.Browser, request, name, want string) *idptest.Response {
	t.Helper()
	at, w := b.Follow(request)
	if got := outcome(at, w); got != "login" {
		t.Fatalf("%s: got %s, want the login page", request, got)
	}
	w = b.Post(at, url.Values{"username": {name + "@example.test"}, "password": {idptest.Password}})
	return wantOutcome(t, b, w.Header.Get("Location"), want)
}

// prompt, max_age and id_token_hint (OpenID Connect Core 3.1.2.1; fosite 26).
func TestPrompt(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{Provider: provider.Config{IDTokenLifetime: time.Minute}, Handlers: longSessions}, func(t *testing.T, idp *idptest.IDP) {
		nobody := idp.Browser(t)
		for _, more := range [][]string{nil, {"state", strings.Repeat("0123456789abcdef", 8)}, {"scope", "api:read"}, {"max_age", "0"}} {
			wantOutcome(t, nobody, asking(append([]string{"prompt", "none"}, more...)...), "error=login_required")
		}
		b := person(t, idp, "ada")
		first := authTime(t, idp, b)
		time.Sleep(2 * time.Second)
		for _, pairs := range [][]string{{"prompt", "none"}, {"max_age", "10000"}, {"max_age", "3"}, {"prompt", "none", "max_age", "10000"}} {
			if got := authTime(t, idp, b, pairs...); got != first {
				t.Errorf("%v: auth_time %v, want the first, %v", pairs, got, first)
			}
		}
		for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "1"}, {"max_age", "0"}, {"max_age", "1", "scope", "api:read"}, {"prompt", "login consent"}} {
			before := b.Cookies["__Host-understudy"]
			want := "code"
			if strings.Contains(pairs[1], "consent") {
				want = "consent"
			}
			w := again(t, b, asking(pairs...), "ada", want)
			if want == "code" && !slices.Contains(pairs, "api:read") {
				_, said := answered(w)
				later := idptest.Claims(t, idp.Tokens(t, said.Get("code"))["id_token"])["auth_time"].(float64)
				if later <= first {
					t.Errorf("D12 %v: auth_time %v, want later than %v", pairs, later, first)
				}
				first = later
			}
			if b.Cookies["__Host-understudy"] == before {
				t.Errorf("D01 %v: the session kept its id", pairs)
			}
			time.Sleep(2 * time.Second)
		}
		wantOutcome(t, b, asking("max_age", "1", "prompt", "none"), "error=login_required")
		wantOutcome(t, b, asking("max_age", "0", "prompt", "none"), "error=login_required")

		for _, prompt := range []string{"consent", "select_account"} {
			path := b.Consent(asking("prompt", prompt, "scope", "openid offline_access"))
			w := b.Post(path, url.Values{"action": {"allow"}})
			_, said := answered(w)
			if tokens := idp.Tokens(t, said.Get("code")); tokens["refresh_token"] == nil {
				t.Errorf("prompt=%s with offline_access: no refresh token", prompt)
			}
		}
		path := b.Consent(asking("prompt", "consent"))
		if _, said := answered(b.Post(path, url.Values{"action": {"deny"}})); said.Get("error") != "access_denied" || said.Get("iss") != idptest.Issuer {
			t.Errorf("denied: %v", said)
		}

		spa := []string{"client_id", "public", "redirect_uri", "https://spa.example/cb"}
		wantOutcome(t, b, asking(append(spa, "prompt", "none")...), "error=consent_required")
		path = b.Consent(asking(spa...))
		b.Post(path, url.Values{"action": {"allow"}})
		wantOutcome(t, b, asking(append(spa, "prompt", "none")...), "code")
		wantOutcome(t, b, asking(append(spa, "prompt", "none", "scope", "openid email profile")...), "error=consent_required")

		tokens := idp.Tokens(t, b.Code(asking()))
		mine := str(t, tokens, "id_token")
		hers := str(t, loggedIn(t, idp, "grace"), "id_token")
		time.Sleep(2 * time.Minute) // both have expired
		wantOutcome(t, b, asking("prompt", "none", "id_token_hint", mine), "code")
		wantOutcome(t, b, asking("id_token_hint", mine), "code")
		wantOutcome(t, b, asking("prompt", "none", "id_token_hint", hers), "error=login_required")
		wantOutcome(t, nobody, asking("prompt", "none", "id_token_hint", mine), "error=login_required")
		wantOutcome(t, b, asking(append(spa, "prompt", "none", "id_token_hint", mine)...), "error=invalid_request")
		w := again(t, b, asking("id_token_hint", hers), "grace", "code")
		_, said := answered(w)
		if sub := idptest.Claims(t, idp.Tokens(t, said.Get("code"))["id_token"])["sub"]; sub != "usr_grace" {
			t.Errorf("a hint about grace: sub %v", sub)
		}
	})
}

// A18, T33, T34: a hint from an impersonation is no way back in.
func TestHintOfImpersonation(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "sam")
	tokens := idp.Tokens(t, b.ActAs("usr_ada", asking()))
	hint := str(t, tokens, "id_token")
	wantOutcome(t, b, asking("prompt", "none"), "error=login_required")
	for _, prompt := range []string{"none", "login", "consent", "select_account"} {
		w := b.Get(asking("prompt", prompt, "id_token_hint", hint))
		if _, said := answered(w); said.Has("code") {
			t.Errorf("prompt=%s: a code", prompt)
		}
	}
	wantOutcome(t, b, asking("prompt", "none", "id_token_hint", hint), "error=login_required")
	wantOutcome(t, person(t, idp, "ada"), asking("prompt", "none", "id_token_hint", hint), "error=login_required")
	addClient(t, idp, "elsewhere", nil)
	for _, prompt := range []string{"", "none"} {
		code := b.Code(asking("client_id", "elsewhere", "prompt", prompt))
		w := idp.Call("/oauth2/token", "elsewhere", idptest.Secret, idptest.Exchange(code, nil))
		if claims := idptest.Claims(t, w.JSON(t)["id_token"]); claims["sub"] != "usr_sam" || claims["act"] != nil {
			t.Errorf("another client: %v", claims)
		}
	}
}

// E03, E09 and F07 on the pages that the protocol leads to.
func TestPageHeaders(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	at, _ := idp.Browser(t).Follow(asking())
	for _, path := range []string{"/", "/account", "/login", at, b.Consent(asking("prompt", "consent")), "/oauth2/logout", asking("client_id", "x"), "/nothing", asking("response_mode", "form_post")} {
		w := b.Get(path)
		policy := w.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q without %s", path, policy, want)
			}
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := w.Header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
	}
	if to := b.Get("/nothing").Header.Get("Location"); to != "" {
		t.Errorf("redirect to %s", to)
	}
}
