package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
)

// ours reports whether an answer stays here or goes to the one registered place.
func ours(t *testing.T, what string, w *idptest.Response) {
	t.Helper()
	if w.Status >= 500 {
		t.Errorf("%q: status %d: %.300s", what, w.Status, w.Body)
	}
	to := w.Header.Get("Location")
	if w.Status == http.StatusOK {
		if action, _ := formOf(w); strings.Contains(action, ":") || strings.HasPrefix(action, "//") {
			to = action
		}
	}
	here := strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\r\n\t")
	u, err := url.Parse(to)
	registered := err == nil && u.Scheme == "https" && u.User == nil &&
		(u.Host == "app.example" && (u.Path == "/callback" || u.Path == "/") || u.Host == "spa.example" && u.Path == "/cb")
	if to != "" && !here && !registered {
		t.Errorf("%q: goes to %q", what, to)
	}
	if q := u.Query(); err == nil && (q.Has("access_token") || q.Has("id_token")) {
		t.Errorf("%q: tokens in a query: %q", what, to)
	}
}

// request makes a request of any bytes, nil where no server would pass it on.
func request(method, path, query, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func FuzzAuthorize(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	addClient(f, idp, "every", everyResponseType)
	known := person(f, idp, "ada")
	_, good, _ := strings.Cut(asking(), "?")
	for i, q := range authorizeSeeds(f, idp) {
		query, body := q.Encode(), ""
		if i%4 == 0 {
			query, body = body, query
		}
		f.Add(query, body)
	}
	f.Add(good, "")
	f.Add("", good)
	f.Add(good, good)
	for _, uri := range strangeRedirects {
		f.Add(mustQuery(asking("redirect_uri", uri)).Encode(), "")
		f.Add(good, url.Values{"redirect_uri": {uri}}.Encode())
	}
	for _, c := range wrongs {
		q := mustQuery(asking(c.pairs...))
		if c.more != nil {
			c.more(q)
		}
		f.Add(q.Encode(), "")
		f.Add("", q.Encode())
	}
	f.Add("client_id=app&redirect_uri=%zz;&response_type", "a=b;c")
	f.Fuzz(func(t *testing.T, query, body string) {
		nobody := idp.Browser(t)
		for _, b := range []*idptest.Browser{known, nobody} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				w := b.Do(request(method, "/oauth2/authorize", query, body))
				for range 3 {
					ours(t, query+"\n"+body, w)
					next := w.Header.Get("Location")
					if !strings.HasPrefix(next, "/") {
						break
					}
					w = b.Get(next)
				}
			}
		}
	})
}

// authorizeSeeds are requests for every response type and mode, by name of claims,
// and pushed before.
func authorizeSeeds(f *testing.F, idp *idptest.IDP) (seeds []url.Values) {
	add := func(pairs ...string) {
		seeds = append(seeds, mustQuery(asking(append([]string{"client_id", "every"}, pairs...)...)))
	}
	for _, responseType := range append(slices.Clone(everyType), "token id_token code", "token", "none", "code  token", "CODE") {
		for _, mode := range []string{"", "query", "fragment", "form_post"} {
			add("response_type", responseType, "response_mode", mode)
			add("response_type", responseType, "response_mode", mode, "scope", "wrong", "prompt", "none")
		}
	}
	for _, claims := range []string{
		`{}`, `null`, `{"userinfo":{"name":null,"email":{"essential":true}},"id_token":{"sub":{"value":"usr_grace"}}}`, `{"id_token":{"acr":{"essential":true,"values":["x"]}}}`,
		`{"userinfo":` + strings.Repeat(`{"a":`, 500), `{"id_token":{"sub":{"value":{"$ne":1}}}}`,
	} {
		add("claims", claims)
	}
	pushed := mustQuery(pushed(f, idp))
	seeds = append(seeds, pushed)
	beside := mustQuery(asking("response_type", "code token", "redirect_uri", "https://evil.example/"))
	beside["request_uri"] = pushed["request_uri"]
	return append(seeds, beside, url.Values{"client_id": {"app"}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}})
}

// Whatever is pushed, the browser that comes for it gets to the client's own place or
// nowhere, once.
func FuzzPush(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	addClient(f, idp, "every", everyResponseType)
	known := person(f, idp, "ada")
	for _, q := range authorizeSeeds(f, idp) {
		f.Add(q.Encode())
	}
	for _, uri := range strangeRedirects {
		f.Add(pushing("redirect_uri", uri).Encode())
	}
	for _, c := range wrongs {
		q := pushing(c.pairs...)
		if c.more != nil {
			c.more(q)
		}
		f.Add(q.Encode())
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, client := range []string{"app", "every"} {
			r := request(http.MethodPost, "/oauth2/par", "", body)
			r.SetBasicAuth(client, idptest.Secret)
			w := idp.Do(r)
			if w.Status != http.StatusCreated {
				if w.Status < 400 || w.Status > 499 {
					t.Errorf("%q: status %d: %s", body, w.Status, w.Body)
				}
				continue
			}
			form, err := url.ParseQuery(body)
			if uri := form.Get("redirect_uri"); err != nil || uri != idptest.Callback && (uri != "" || form.Has("redirect_uri")) {
				t.Errorf("%q is pushed: %s", body, w.Body)
			}
			come := "/oauth2/authorize?" + url.Values{"client_id": {client}, "request_uri": {str(t, w.JSON(t), "request_uri")}}.Encode()
			ours(t, body, known.Get(come))
			nowhere(t, known, come, "invalid_request_uri")
		}
	})
}

// tokenTarget is a provider with a code and a refresh token that were not used.
type tokenTarget struct {
	idp         *idptest.IDP
	browser     *idptest.Browser
	code, token string
}

func newTokenTarget(f *testing.F, leeway time.Duration) *tokenTarget {
	idp := idptest.New(f, idptest.Options{Provider: provider.Config{RefreshReuseLeeway: leeway}})
	return &tokenTarget{idp: idp, browser: person(f, idp, "ada")}
}

func (target *tokenTarget) renew(t *testing.T) {
	b := target.idp.Browser(t)
	b.Cookies = target.browser.Cookies
	target.code = b.Code(asking(offline...))
	target.token = str(t, target.idp.Tokens(t, b.Code(asking(offline...))), "refresh_token")
}

// Tokens come of a code or a refresh token that was not used, with everything that
// belongs to it, and of nothing else. Where a retry is taken for one, it brings the
// same refresh token again.
func FuzzTokenRequest(f *testing.F) {
	targets := map[bool]*tokenTarget{false: newTokenTarget(f, 0), true: newTokenTarget(f, 10*time.Second)}
	seed := func(form url.Values) {
		for i := range 4 {
			f.Add(form.Encode(), i%2 == 0, i < 2)
		}
	}
	for _, c := range []string{"CODE", "uc_x", "", "CODECODE"} {
		seed(idptest.Exchange(c, nil))
		seed(idptest.Exchange(c, having("code_verifier", "")))
		seed(idptest.Exchange(c, having("client_id", "app", "client_secret", idptest.Secret)))
		seed(idptest.Exchange(c, having("resource", "https://api.example", "audience", "https://evil.example")))
	}
	for _, r := range []string{"REFRESH", "ur_x", "", "CODE"} {
		seed(refreshing(r))
		seed(refreshing(r, "scope", "openid"))
		seed(refreshing(r, "scope", "admin", "client_id", "public"))
		seed(refreshing(r, "resource", idptest.Issuer))
	}
	seed(url.Values{"grant_type": {"password"}, "username": {"ada@example.test"}, "password": {idptest.Password}})
	seed(url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}})
	seed(url.Values{"grant_type": {"authorization_code", "refresh_token"}, "code": {"CODE"}, "refresh_token": {"REFRESH"}})
	f.Add("grant_type=%zz;&code=\x00\xff", true, true)
	f.Fuzz(func(t *testing.T, body string, authenticated, lenient bool) {
		target := targets[lenient]
		if target.code == "" {
			target.renew(t)
		}
		body = strings.NewReplacer("CODE", target.code, "REFRESH", target.token).Replace(body)
		r := request(http.MethodPost, "/oauth2/token", "", body)
		if authenticated {
			r.SetBasicAuth("app", idptest.Secret)
		}
		w := target.idp.Do(r)
		if w.Status >= 500 {
			t.Errorf("%q: status %d: %s", body, w.Status, w.Body)
		}
		if w.Status != http.StatusOK {
			if strings.Contains(body, target.code) || strings.Contains(body, target.token) {
				target.renew(t) // a use that revokes must not decide about the next
			}
			return
		}
		form, err := url.ParseQuery(body)
		byCode := form.Get("grant_type") == "authorization_code" && form.Get("code") == target.code &&
			form.Get("code_verifier") == idptest.Verifier && form.Get("redirect_uri") == idptest.Callback
		byToken := form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") == target.token
		if err != nil || !authenticated || !byCode && !byToken {
			t.Errorf("%q, authenticated %v: %s", body, authenticated, w.Body)
		}
		again := target.idp.Do(sameAgain(body))
		if retry := lenient && byToken; (again.Status == http.StatusOK) != retry {
			t.Errorf("%q: a second time: status %d", body, again.Status)
		} else if retry && again.JSON(t)["refresh_token"] != w.JSON(t)["refresh_token"] {
			t.Errorf("%q: %s, and then %s", body, w.Body, again.Body)
		}
		target.renew(t)
	})
}

func sameAgain(body string) *http.Request {
	r := request(http.MethodPost, "/oauth2/token", "", body)
	r.SetBasicAuth("app", idptest.Secret)
	return r
}

func FuzzHint(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	b := person(f, idp, "ada")
	good := idp.Tokens(f, b.Code(asking()))
	hint := str(f, good, "id_token")
	f.Add("HINT")
	f.Add("HINTx")
	f.Add("HINT\n")
	f.Add("HINT.HINT")
	f.Add(unsignedRequest)
	f.Add(`{"payload":"e30","signatures":[{"protected":"e30","signature":"e30"}]}`)
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0....")
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.e30.e30")
	f.Add(strings.Repeat(".", 5000))
	for _, changed := range mutations(hint) {
		f.Add(changed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		token = strings.ReplaceAll(token, "HINT", hint)
		w := b.Get(asking("prompt", "none", "id_token_hint", token))
		ours(t, token, w)
		_, said := answered(w)
		if accepted := said.Has("code"); accepted != (token == hint || token == "") {
			t.Errorf("%q: %v", token, said)
		}
		if token == hint {
			return // it would log out
		}
		w = b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
		if w.Status != http.StatusOK || w.Header.Get("Location") != "" {
			t.Errorf("%q at logout: status %d, redirect to %q", token, w.Status, w.Header.Get("Location"))
		}
		if w = userinfo(idp, headerSafe(token)); w.Status < 400 || w.Status >= 500 {
			t.Errorf("%q at userinfo: status %d", token, w.Status)
		}
	})
}

func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

func FuzzInteraction(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	victim := idp.Browser(f)
	at, _ := victim.Follow(asking())
	id := strings.TrimPrefix(at, "/login?interaction=")
	f.Add("ID", "", "")
	f.Add("ID", "ub_x", "us_x")
	f.Add("ID", strings.Repeat("x", 60), "")
	f.Add("../login", "", "")
	f.Add("%00", "\xff", "\x00")
	f.Add("' OR 1=1 --", "' OR 1=1 --", "' OR 1=1 --")
	f.Add(strings.Repeat("A", 9000), strings.Repeat("A", 9000), strings.Repeat("A", 9000))
	f.Fuzz(func(t *testing.T, guess, browser, session string) {
		guess = strings.ReplaceAll(guess, "ID", id)
		for _, path := range []string{"/consent/", "/oauth2/authorize/", "/login?interaction=", "/impersonation/stop?id="} {
			escaped := url.PathEscape(guess)
			if strings.Contains(path, "?") {
				escaped = url.QueryEscape(guess)
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				target, err := url.Parse(path + escaped)
				if err != nil {
					continue
				}
				r := request(method, "/", "", url.Values{"action": {"allow"}, "username": {"nobody"}, "password": {"x"}}.Encode())
				r.URL = target
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				r.Header.Set("Cookie", headerSafe("__Host-understudy_browser="+browser+"; __Host-understudy="+session))
				w := idp.Do(r)
				ours(t, target.String(), w)
				if _, said := answered(w); said.Has("code") || w.Element("consent-form") != nil {
					t.Errorf("%s: somebody else's: status %d, redirect to %q", target, w.Status, w.Header.Get("Location"))
				}
			}
		}
	})
}

// D04: nobody is signed in but by the very cookie that was set, however the header is
// written, and what is set is never what was sent.
func FuzzCookies(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	session := person(f, idp, "ada").Cookies[sessionCookie]
	at, _ := idp.Browser(f).Follow(asking())
	for _, header := range []string{
		"", sessionCookie + "=SESSION", sessionCookie + "=SESSIONx", "__host-understudy=SESSION", "understudy=SESSION", sessionCookie + "=\"SESSION\"",
		sessionCookie + "=x; " + sessionCookie + "=SESSION", sessionCookie + "=SESSION; " + sessionCookie + "=x", "a=b; ; =; " + sessionCookie + " = SESSION",
		sessionCookie + "=SESSION, b=c", sessionCookie + "_browser=SESSION", "\x00\xff=\r\n", sessionCookie + "=" + strings.Repeat("x", 5000), "$Version=1; " + sessionCookie + "=SESSION",
		sessionCookie + "=%55%53", sessionCookie + "=us_", sessionCookie + "_browser=ub_x", sessionCookie + "_browser=" + strings.Repeat("b", 60) + "; " + sessionCookie + "=SESSION",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		header = strings.ReplaceAll(header, "SESSION", session)
		for _, path := range []string{"/", at, asking("prompt", "none"), "/impersonation/stop?id=x"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header["Cookie"] = []string{header}
			w := idp.Do(r)
			if w.Status >= 500 {
				t.Errorf("%q at %s: status %d", header, path, w.Status)
			}
			_, said := answered(w)
			in := w.Header.Get("Location") == "/account" || strings.Contains(w.Body, "Hello, ") || said.Has("code") || w.Status == http.StatusNotFound
			if in && !strings.Contains(header, sessionCookie+"="+session) && !strings.Contains(header, sessionCookie+"=\""+session+"\"") {
				t.Errorf("%q at %s: somebody is signed in", header, path)
			}
			for _, set := range w.Header["Set-Cookie"] {
				if !strings.HasSuffix(set, "; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax") || len(set) > 200 {
					t.Errorf("%q at %s: sets %q", header, path, set)
				}
			}
		}
	})
}
