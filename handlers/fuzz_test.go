package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
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
	known := person(f, idp, "ada")
	_, good, _ := strings.Cut(asking(), "?")
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

func FuzzTokenRequest(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	cookies := person(f, idp, "ada").Cookies
	var code, token string
	renew := func(t *testing.T) {
		b := idp.Browser(t)
		b.Cookies = cookies
		code = b.Code(asking(offline...))
		token = str(t, idp.Tokens(t, b.Code(asking(offline...))), "refresh_token")
	}
	seed := func(form url.Values) { f.Add(form.Encode(), true); f.Add(form.Encode(), false) }
	for _, c := range []string{"CODE", "uc_x", "", "CODECODE"} {
		seed(idptest.Exchange(c, nil))
		seed(idptest.Exchange(c, having("code_verifier", "")))
		seed(idptest.Exchange(c, having("client_id", "app", "client_secret", idptest.Secret)))
	}
	for _, r := range []string{"REFRESH", "ur_x", "", "CODE"} {
		seed(refreshing(r))
		seed(refreshing(r, "scope", "openid"))
		seed(refreshing(r, "scope", "admin", "client_id", "public"))
	}
	seed(url.Values{"grant_type": {"password"}, "username": {"ada@example.test"}, "password": {idptest.Password}})
	seed(url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}})
	seed(url.Values{"grant_type": {"authorization_code", "refresh_token"}, "code": {"CODE"}, "refresh_token": {"REFRESH"}})
	f.Add("grant_type=%zz;&code=\x00\xff", true)
	f.Fuzz(func(t *testing.T, body string, authenticated bool) {
		if code == "" {
			renew(t)
		}
		body = strings.NewReplacer("CODE", code, "REFRESH", token).Replace(body)
		r := request(http.MethodPost, "/oauth2/token", "", body)
		if authenticated {
			r.SetBasicAuth("app", idptest.Secret)
		}
		w := idp.Do(r)
		if w.Status >= 500 {
			t.Errorf("%q: status %d: %s", body, w.Status, w.Body)
		}
		if w.Status != http.StatusOK {
			if strings.Contains(body, code) || strings.Contains(body, token) {
				renew(t) // a use that revokes must not decide about the next
			}
			return
		}
		form, err := url.ParseQuery(body)
		byCode := form.Get("grant_type") == "authorization_code" && form.Get("code") == code &&
			form.Get("code_verifier") == idptest.Verifier && form.Get("redirect_uri") == idptest.Callback
		byToken := form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") == token
		if err != nil || !authenticated || !byCode && !byToken {
			t.Errorf("%q, authenticated %v: %s", body, authenticated, w.Body)
		}
		if again := idp.Do(sameAgain(body)); again.Status == http.StatusOK {
			t.Errorf("%q: a second time", body)
		}
		renew(t)
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
