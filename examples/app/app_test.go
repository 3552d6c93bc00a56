package app

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// visitor is a browser at the application that does not follow redirects.
type visitor struct {
	*http.Client
	t    *testing.T
	base string
}

func visit(t *testing.T, idp *issuer) *visitor {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	handler, err := New(t.Context(), Config{Issuer: idp.URL, ClientID: "shop", ClientSecret: "secret", BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{&http.Client{Jar: jar, CheckRedirect: stay}, t, base}
}

// do returns status, body and the Location of a request to a path of the application.
func (v *visitor) do(method, path string, form url.Values) (status int, body string, location *url.URL) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	location, _ = res.Location()
	return res.StatusCode, string(raw), location
}

// begin starts a sign-in and returns the authorization request.
func (v *visitor) begin(path string) url.Values {
	v.t.Helper()
	status, body, to := v.do(http.MethodGet, path, nil)
	if status != http.StatusSeeOther || to == nil {
		v.t.Fatalf("GET %s: got %d %s, want a redirect", path, status, body)
	}
	return to.Query()
}

// signIn plays a whole sign-in whose ID token has the claims.
func (v *visitor) signIn(idp *issuer, claims, members map[string]any) {
	v.t.Helper()
	q := v.begin("/login")
	idp.claims, idp.members = map[string]any{"nonce": q.Get("nonce")}, members
	maps.Copy(idp.claims, claims)
	status, body, _ := v.do(http.MethodGet, "/callback?"+url.Values{"code": {"c"}, "state": {q.Get("state")}, "iss": {idp.URL}}.Encode(), nil)
	if status != http.StatusSeeOther {
		v.t.Fatalf("callback: got %d %s, want 303", status, body)
	}
}

func TestAuthorizationRequest(t *testing.T) {
	idp := newIssuer(t)
	v := visit(t, idp)

	q := v.begin("/login?switch=1")
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "shop", "redirect_uri": v.base + "/callback",
		"scope": "openid profile email", "code_challenge_method": "S256", "prompt": "select_account",
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	q = v.begin("/initiate-login?" + url.Values{"iss": {idp.URL}, "login_hint": {"imp:1"}, "target_link_uri": {"https://evil.example/"}}.Encode())
	if got := q.Get("login_hint"); got != "imp:1" {
		t.Errorf("login_hint: got %q, want imp:1", got)
	}
	if status, _, _ := v.do(http.MethodGet, "/initiate-login?iss=https://evil.example", nil); status != http.StatusBadRequest {
		t.Errorf("initiate-login from elsewhere: got %d, want 400", status)
	}
}

func TestCallbackRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(answer url.Values, idToken map[string]any)
		want   string
	}{
		{"another state", func(a url.Values, _ map[string]any) { a.Set("state", "guess") }, "not started here"},
		{"another issuer", func(a url.Values, _ map[string]any) { a.Set("iss", "https://evil.example") }, "came from somewhere else"},
		{"no issuer though promised", func(a url.Values, _ map[string]any) { a.Del("iss") }, "came from somewhere else"},
		{"an error", func(a url.Values, _ map[string]any) {
			a.Set("error", "access_denied")
			a.Set("error_description", "<b>no</b>")
		}, "access_denied: &lt;b&gt;no&lt;/b&gt;"},
		{"another nonce", func(_ url.Values, id map[string]any) { id["nonce"] = "replayed" }, "nonce"},
		{"another audience", func(_ url.Values, id map[string]any) { id["aud"] = "bank" }, "audience"},
		{"an expired token", func(_ url.Values, id map[string]any) { id["exp"] = 1 }, "expired"},
		{"an act that says nothing", func(_ url.Values, id map[string]any) { id["act"] = []string{"usr_sam"} }, "unclear who acts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			idp := newIssuer(t)
			v := visit(t, idp)
			q := v.begin("/login")
			idp.claims = map[string]any{"nonce": q.Get("nonce")}
			a := url.Values{"code": {"c"}, "state": {q.Get("state")}, "iss": {idp.URL}}
			c.change(a, idp.claims)

			status, body, _ := v.do(http.MethodGet, "/callback?"+a.Encode(), nil)
			if status != http.StatusBadRequest || !strings.Contains(body, c.want) || !strings.Contains(body, "Try again") {
				t.Errorf("got %d %s, want 400 with %q and a way on", status, body, c.want)
			}
			if _, body, _ := v.do(http.MethodGet, "/", nil); strings.Contains(body, `id="app-user"`) {
				t.Error("somebody is signed in")
			}
		})
	}
}

func TestCallbackFromAnotherBrowser(t *testing.T) {
	idp := newIssuer(t)
	v := visit(t, idp)
	q := v.begin("/login")
	v.Jar, _ = cookiejar.New(nil)
	status, _, _ := v.do(http.MethodGet, "/callback?"+url.Values{"code": {"c"}, "state": {q.Get("state")}, "iss": {idp.URL}}.Encode(), nil)
	if status != http.StatusBadRequest {
		t.Errorf("got %d, want 400", status)
	}
}

func TestActing(t *testing.T) {
	idp := newIssuer(t)
	v := visit(t, idp)
	end := time.Now().Add(18 * time.Minute).UTC().Format(time.RFC3339)
	v.signIn(idp, map[string]any{"sid": "imp_1", "act": map[string]string{"sub": "usr_sam"}}, map[string]any{
		"impersonator":  map[string]string{"email": "sam@understudy.test", "reason": "Invoice 4711"},
		"impersonation": map[string]any{"id": "imp_1", "expires_at": end, "access": "full"},
	})

	_, body, _ := v.do(http.MethodGet, "/", nil)
	for _, want := range []string{
		"<strong>Ada Lovelace</strong>", "You, sam@understudy.test, are", "Reason: Invoice 4711", "18 min left", `id="stop"`, "ada@globex.test",
		`<script src="` + idp.URL + `/staff-bar.js"`, `user="Ada Lovelace" actor="sam@understudy.test"`, `reason="Invoice 4711" expires="` + end + `" return="/login?silent=1"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q:\n%s", want, body)
		}
	}

	status, _, to := v.do(http.MethodPost, "/stop", nil)
	if status != http.StatusSeeOther || to.Path != "/logout" {
		t.Fatalf("stop: got %d %v, want a redirect to the logout", status, to)
	}
	q := to.Query()
	if q.Get("id_token_hint") == "" || q.Get("post_logout_redirect_uri") != v.base+"/" {
		t.Errorf("logout request: got %v", q)
	}
	if status, _, to := v.do(http.MethodGet, "/?state="+q.Get("state"), nil); status != http.StatusSeeOther || to.Path != "/login" {
		t.Errorf("back from stop: got %d %v, want /login", status, to)
	}
}

// The bar's script, and nothing else of another origin.
func TestContentSecurityPolicy(t *testing.T) {
	idp := newIssuer(t)
	v := visit(t, idp)
	res, err := v.Get(v.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	want := "default-src 'none'; script-src " + idp.URL + "/staff-bar.js; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
	if got := res.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOrdinarySignIn(t *testing.T) {
	idp := newIssuer(t)
	v := visit(t, idp)
	v.signIn(idp, nil, map[string]any{"refresh_token": "r1"})
	if _, body, _ := v.do(http.MethodGet, "/", nil); !strings.Contains(body, `id="app-user"`) || strings.Contains(body, "acting-bar") {
		t.Errorf("got a page without a person or with a bar:\n%s", body)
	}
	if status, body, _ := v.do(http.MethodPost, "/refresh", nil); status != http.StatusSeeOther {
		t.Errorf("refresh: got %d %s, want 303", status, body)
	}
	idp.claims["sub"] = "usr_eve"
	if status, _, _ := v.do(http.MethodPost, "/refresh", nil); status != http.StatusBadRequest {
		t.Errorf("refresh to somebody else: got %d, want 400", status)
	}
}

func TestBackchannelLogout(t *testing.T) {
	events := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	for _, c := range []struct {
		name   string
		typ    string
		claims map[string]any
		want   int
		ended  bool
	}{
		{"this session", "logout+jwt", map[string]any{"sid": "s1", "events": events}, 200, true},
		{"another session", "logout+jwt", map[string]any{"sid": "s2", "events": events}, 200, false},
		{"the subject", "logout+jwt", map[string]any{"events": events}, 200, true},
		{"an ID token", "JWT", map[string]any{"sid": "s1", "events": events}, 400, false},
		{"a nonce", "logout+jwt", map[string]any{"sid": "s1", "events": events, "nonce": "n"}, 400, false},
		{"no event", "logout+jwt", map[string]any{"sid": "s1"}, 400, false},
		{"another client", "logout+jwt", map[string]any{"sid": "s1", "events": events, "aud": "bank"}, 400, false},
		{"another issuer", "logout+jwt", map[string]any{"sid": "s1", "events": events, "iss": "https://evil.example"}, 400, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			idp := newIssuer(t)
			v := visit(t, idp)
			v.signIn(idp, map[string]any{"sid": "s1"}, nil)
			status, body, _ := v.do(http.MethodPost, "/backchannel-logout", url.Values{"logout_token": {idp.sign(c.typ, c.claims)}})
			if status != c.want {
				t.Errorf("got %d %s, want %d", status, body, c.want)
			}
			_, page, _ := v.do(http.MethodGet, "/", nil)
			if ended := !strings.Contains(page, `id="app-user"`); ended != c.ended {
				t.Errorf("ended: got %v, want %v", ended, c.ended)
			}
		})
	}
}

func TestLocal(t *testing.T) {
	a := &app{Config: Config{BaseURL: "https://shop.example"}}
	for link, want := range map[string]string{
		"https://shop.example/orders?id=1": "/orders?id=1",
		"https://shop.example":             "/",
		"https://shop.example//evil":       "/",
		"https://shop.example/\\evil":      "/%5Cevil",
		"https://evil.example/":            "/",
		"http://shop.example/":             "/",
		"https://shop.example@evil/":       "/",
		"//evil":                           "/",
		"/orders":                          "/",
		"":                                 "/",
		"https://shop.example/%2F%2Fevil":  "/",
		"javascript://shop.example/%0Aa()": "/",
	} {
		if got := a.local(link); got != want {
			t.Errorf("local(%q): got %q, want %q", link, got, want)
		}
	}
}
