package handlers_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

const sessionCookie = "__Host-understudy"

// arrive is a browser in which somebody signed in at the page.
func arrive(t testing.TB, idp *idptest.IDP, name string) *idptest.Browser {
	t.Helper()
	b := idp.Browser(t)
	b.SignIn(name)
	return b
}

// signedIn reports whether somebody is signed in: the home page leads them to their
// account.
func signedIn(b *idptest.Browser) bool {
	return b.Get("/").Header.Get("Location") == "/account" && strings.Contains(b.Get("/account").Body, "Hello, ")
}

// replay is a browser with cookies that were taken from another.
func replay(b *idptest.Browser, cookies map[string]string) *idptest.Browser {
	c := b.IDP.Browser(nil)
	c.Cookies = maps.Clone(cookies)
	return c
}

func login(b *idptest.Browser, name, password string) *idptest.Response {
	return b.Post("/login", url.Values{"username": {name}, "password": {password}})
}

// D01, T26: a session has a new id after each sign-in, and the old one is dead.
func testSessionID(t *testing.T, idp *idptest.IDP) {
	b := idp.Browser(t)
	const planted = "us_planted-by-somebody-else-planted-by-somebody"
	b.Cookies[sessionCookie] = planted
	b.SignIn("ada")
	first := maps.Clone(b.Cookies)
	if len(first[sessionCookie]) < 43 || signedIn(replay(b, map[string]string{sessionCookie: planted})) {
		t.Errorf("the id from before stands for somebody: %v", first)
	}
	at, _ := b.Follow(asking("prompt", "login"))
	b.Post(at, url.Values{"password": {idptest.Password}})
	if b.Cookies[sessionCookie] == first[sessionCookie] || !signedIn(b) || signedIn(replay(b, first)) {
		t.Error("the id from before the second sign-in is not dead")
	}
	second := maps.Clone(b.Cookies)
	b.SignIn("grace")
	if signedIn(replay(b, second)) || !signedIn(b) {
		t.Error("the session of the person before is not dead")
	}
}

// D02: what waits in one browser is nothing in another.
func testInteractionOfAnotherBrowser(t *testing.T, idp *idptest.IDP) {
	nobody, sam := idp.Browser(t), arrive(t, idp, "sam")
	atLogin, _ := nobody.Follow(asking())
	atConsent := sam.Consent(asking())
	_, query, _ := strings.Cut(asking(), "?")
	posted := httptest.NewRequest(http.MethodPost, "/oauth2/authorize", strings.NewReader(query))
	posted.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	claimed := idp.Do(posted).Header.Get("Location")
	sam.Follow(claimed)
	id := strings.TrimPrefix(atConsent, "/consent/")
	for _, other := range []*idptest.Browser{idp.Browser(t), arrive(t, idp, "sam"), arrive(t, idp, "root")} {
		for _, w := range []*idptest.Response{
			other.Get(atLogin), other.Get(atConsent), other.Get(claimed),
			other.Get("/oauth2/authorize/" + id), other.Get("/login?interaction=" + id),
			other.Post(atConsent, idptest.Wish("usr_ada", nil)), other.Post(atConsent, url.Values{"action": {"deny"}}),
			other.Post(atLogin, url.Values{"username": {"sam@example.test"}, "password": {idptest.Password}}),
		} {
			if w.Status != http.StatusBadRequest || textOf(w, "error-code") != "interaction_expired" || w.Header.Get("Location") != "" {
				t.Errorf("status %d, %s: %.200s", w.Status, w.Location(), w.Body)
			}
		}
	}
	if w := sam.Post(atConsent, idptest.Wish("usr_ada", nil)); !w.Location().Query().Has("code") {
		t.Errorf("in its own browser: %d", w.Status)
	}
	wantStatus(t, "in its own browser", nobody.Get(atLogin), http.StatusOK)
}

// D03: what the cookies are.
func TestCookies(t *testing.T) {
	t.Parallel()
	for issuer, secure := range map[string]bool{idptest.Issuer: true, "http://127.0.0.1:8080": false} {
		idp := idptest.New(t, idptest.Options{Issuer: issuer})
		b := idp.Browser(t)
		set := map[string]*http.Cookie{}
		for _, w := range []*idptest.Response{b.Get(asking()), login(b, "sam@example.test", idptest.Password)} {
			for _, c := range (&http.Response{Header: w.Header}).Cookies() {
				set[c.Name] = c
			}
		}
		prefix := map[bool]string{true: "__Host-", false: ""}[secure]
		for _, name := range []string{"understudy", "understudy_browser"} {
			c := set[prefix+name]
			if c == nil {
				t.Errorf("%s: no %s%s among %v", issuer, prefix, name, set)
				continue
			}
			if c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("%s: %s", issuer, c)
			}
		}
		if len(set) != 2 {
			t.Errorf("%s: sets %v", issuer, set)
		}
		w := b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}})
		if c := (&http.Response{Header: w.Header}).Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" || c[0].Secure != secure {
			t.Errorf("%s: signing out sets %v", issuer, c)
		}
	}
}

// D04: only an id that was given out stands for anybody.
func TestForgedSessions(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	id := arrive(t, idp, "sam").Cookies[sessionCookie]
	sid := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventSessionCreated })[0].Data["sid"].(string)
	for _, forged := range []string{
		"", " ", "0", "null", "us_", id[:len(id)-1], id + "A", id + "=", id + " ", strings.ToUpper(id), strings.TrimPrefix(id, "us_"), "ua_" + id[3:],
		fmt.Sprintf("%x", storage.Hash(id)), sid, "usr_sam", "sam@example.test", "%", "' OR ''='", strings.Repeat("a", 8<<10),
	} {
		if signedIn(replay(idp.Browser(t), map[string]string{sessionCookie: forged})) {
			t.Errorf("%.60q stands for somebody", forged)
		}
	}
	other := map[string]string{"understudy": id, sessionCookie + "_browser": id, "__Secure-understudy": id}
	if signedIn(replay(idp.Browser(t), other)) {
		t.Error("another cookie stands for somebody")
	}
}

// D05: a session ends when it is not used for an hour, and a day after it began.
func TestSessionTimeouts(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		idle, busy := arrive(t, idp, "ada"), arrive(t, idp, "grace")
		for hours := time.Duration(0); hours < 24*time.Hour-40*time.Minute; hours += 40 * time.Minute {
			time.Sleep(40 * time.Minute)
			if !signedIn(busy) {
				t.Fatalf("signed out after %v", hours+40*time.Minute)
			}
			if hours == 0 && !signedIn(idle) {
				t.Error("signed out after 40 minutes")
			}
		}
		if signedIn(idle) {
			t.Error("still signed in a day later")
		}
		time.Sleep(40*time.Minute + time.Second)
		if signedIn(busy) {
			t.Error("still signed in after 24 hours")
		}
		idle.SignIn("ada")
		time.Sleep(time.Hour - time.Second)
		if !signedIn(idle) {
			t.Error("signed out a second early")
		}
		time.Sleep(time.Hour)
		wantOutcome(t, idle, asking("prompt", "none"), "error=login_required")
	})
}

// D06: whatever ends a session ends it here, whoever has its cookie.
func testSessionsEnd(t *testing.T, idp *idptest.IDP) {
	d := provider.NewDirectory(idp.Store)
	for what, end := range map[string]func(ctx context.Context, id string, b *idptest.Browser) error{
		"sign-out": func(_ context.Context, _ string, b *idptest.Browser) error {
			wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
			return nil
		},
		"disabled": func(ctx context.Context, id string, _ *idptest.Browser) error {
			return d.Disable(ctx, id, byTest, time.Now())
		},
		"disabled and enabled": func(ctx context.Context, id string, _ *idptest.Browser) error {
			if err := d.Disable(ctx, id, byTest, time.Now()); err != nil {
				return err
			}
			return d.Enable(ctx, id, byTest, time.Now())
		},
		"password": func(ctx context.Context, id string, _ *idptest.Browser) error {
			return d.SetPassword(ctx, id, "another password", byTest, time.Now())
		},
	} {
		name := unique("user")
		id := enroll(t, idp, name, "")
		b, elsewhere := arrive(t, idp, name), arrive(t, idp, name)
		cookies := maps.Clone(b.Cookies)
		check(t, end(t.Context(), id, b))
		if signedIn(replay(b, cookies)) {
			t.Errorf("%s: the cookie still stands for somebody", what)
		}
		if got, want := signedIn(elsewhere), what == "sign-out"; got != want {
			t.Errorf("%s: signed in elsewhere %v, want %v", what, got, want)
		}
	}
}

// D07: a person who is disabled gets no further, wherever they were.
func testDisabledOnTheWay(t *testing.T, idp *idptest.IDP) {
	addClient(t, idp, "third", func(c *storage.Client) { c.FirstParty = false })
	request := asking("client_id", "third", "scope", "openid offline_access")
	call := func(form url.Values) *idptest.Response {
		return idp.Call("/oauth2/token", "third", idptest.Secret, form)
	}
	steps := []string{"login", "consent", "code", "token", "refresh"}
	for _, until := range steps {
		name := unique("user")
		id := enroll(t, idp, name, "")
		disable := func(step string) bool {
			if step != until {
				return false
			}
			check(t, provider.NewDirectory(idp.Store).Disable(t.Context(), id, byTest, time.Now()))
			return true
		}
		b := idp.Browser(t)
		at, _ := b.Follow(request)
		stopped := disable("login")
		w := b.Post(at, url.Values{"username": {name + "@example.test"}, "password": {idptest.Password}})
		if stopped {
			wantStatus(t, "sign-in", w, http.StatusUnauthorized)
			continue
		}
		stopped = disable("consent")
		at, w = b.Follow(w.Header.Get("Location"))
		if stopped {
			if got := outcome(at, w); got != "login" {
				t.Errorf("consent page: %s", got)
			}
			continue
		}
		stopped = disable("code")
		w = b.Post(at, url.Values{"continue_as": {"me"}})
		if stopped {
			if w.Location().Query().Has("code") {
				t.Error("got a code")
			}
			continue
		}
		stopped = disable("token")
		w = call(idptest.Exchange(w.Location().Query().Get("code"), nil))
		if stopped {
			wantRefused(t, "token", w, http.StatusBadRequest, "invalid_grant")
			continue
		}
		wantStatus(t, "token", w, http.StatusOK)
		tokens := w.JSON(t)
		disable("refresh")
		wantRefused(t, "refresh", call(refreshing(str(t, tokens, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
		wantRefused(t, "userinfo", userinfo(idp, str(t, tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
	}
}

// D09: failures are counted by account, however it is spelt; the wait doubles, up
// to a quarter of an hour, and nobody is locked out for good.
func TestThrottle(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		b := idp.Browser(t)
		for _, name := range []string{"ada@example.test", "ADA@EXAMPLE.TEST", " ada@example.test\t", "Ａda@example.test", "aDa@Example.Test"} {
			wantStatus(t, name, login(b, name, "wrong"), http.StatusUnauthorized)
		}
		wait := time.Second
		for range 12 {
			wantStatus(t, "a try that is free", login(b, "ada@example.test", "wrong"), http.StatusUnauthorized)
			for _, password := range []string{"wrong", idptest.Password} {
				w := login(b, "Ada@example.test", password)
				wantStatus(t, "a try too early", w, http.StatusTooManyRequests)
				if got, _ := strconv.Atoi(w.Header.Get("Retry-After")); time.Duration(got)*time.Second < wait || time.Duration(got)*time.Second > wait+time.Second {
					t.Errorf("Retry-After: %d s, want %v", got, wait)
				}
			}
			time.Sleep(wait)
			wait = min(2*wait, 15*time.Minute)
		}
		b.SignIn("ada") // never for good, and forgiven
		wantStatus(t, "after that", login(idp.Browser(t), "ada@example.test", "wrong"), http.StatusUnauthorized)
		wantStatus(t, "after that", login(idp.Browser(t), "ada@example.test", idptest.Password), http.StatusSeeOther)
	})
}

// D09: a network that tries one password on everybody has to wait too.
func TestThrottleOfANetwork(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		from := func(address, name, password string) int {
			r := idptest.Form("/login", url.Values{"username": {name}, "password": {password}})
			r.RemoteAddr = address
			r.Header.Set("X-Forwarded-For", "10.9.8.7") // of no trusted proxy
			return idp.Do(r).Status
		}
		for i := range 51 {
			if got := from(fmt.Sprintf("198.51.100.%d:1", i), fmt.Sprintf("user%d@example.test", i), "wrong"); got != http.StatusUnauthorized {
				t.Fatalf("try %d: %d", i, got)
			}
		}
		for address, want := range map[string]int{"198.51.100.200:1": 429, "[::ffff:198.51.100.201]:1": 429, "198.51.101.1:1": 303} {
			if got := from(address, "ada@example.test", idptest.Password); got != want {
				t.Errorf("%s: got %d, want %d", address, got, want)
			}
		}
	})
}

// D09: many tries at once are no more than many one after the other.
func TestThrottleOfManyAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		answers := parallel(40, func(int) *idptest.Response { return login(idp.Browser(t), "ada@example.test", "wrong") })
		learned := 0
		for answer, n := range answers {
			if strings.HasPrefix(answer, "401") {
				learned += n
			}
		}
		if learned > 8 || learned == 0 { // five are free, the sixth blocks for a second
			t.Errorf("%d of 40 tries were looked at: %v", learned, answers)
		}
	})
}

// D11: one answer for everybody who cannot sign in.
func TestNoAccountIsRevealed(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		err := tx.CreateUser(ctx, &storage.User{ID: "usr_nopw", Email: "nopw@example.test"}, time.Now())
		if err == nil {
			err = tx.DisableUser(ctx, "usr_linus", byTest, time.Now())
		}
		return err
	})
	want := ""
	for _, try := range []struct{ name, password string }{
		{"ada", "wrong"},
		{"nobody", "wrong"},
		{"nobody", idptest.Password},
		{"linus", "wrong"},
		{"linus", idptest.Password},
		{"nopw", ""},
		{"nopw", "wrong"},
		{"ada", ""},
		{"ada", strings.Repeat("x", 2000)},
	} {
		w := login(idp.Browser(t), try.name+"@example.test", try.password)
		got := strings.ReplaceAll(anonymous(w.Body), try.name+"@", "NAME@")
		if want == "" {
			want = got
		}
		if w.Status != http.StatusUnauthorized || got != want || w.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s, %.20q: status %d, %v: %s", try.name, try.password, w.Status, w.Header, w.Body)
		}
	}
}

// D12: prompt=login and max_age ask for the password, and auth_time says when.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		b := arrive(t, idp, "ada")
		time.Sleep(10 * time.Minute)
		for _, r := range []struct {
			parameters []string
			want       string
		}{
			{nil, "code"},
			{[]string{"prompt", "login"}, "login"},
			{[]string{"max_age", "0"}, "login"},
			{[]string{"max_age", "599"}, "login"},
			{[]string{"max_age", "601"}, "code"},
			{[]string{"max_age", "0", "prompt", "none"}, "error=login_required"},
			{[]string{"max_age", "599", "prompt", "none"}, "error=login_required"},
		} {
			wantOutcome(t, b, asking(r.parameters...), r.want)
		}
		at, page := b.Follow(asking("prompt", "login"))
		if !strings.Contains(page.Body, `value="ada@example.test"`) || !strings.Contains(page.Body, "readonly") {
			t.Error("the page does not say whose password")
		}
		// Going on without the password leads back here.
		id := strings.TrimPrefix(at, "/login?interaction=")
		for _, around := range []string{"/oauth2/authorize/" + id, "/consent/" + id} {
			wantOutcome(t, b, around, "login")
		}
		wantStatus(t, "wrong", b.Post(at, url.Values{"password": {"wrong"}}), http.StatusUnauthorized)
		wantOutcome(t, b, "/oauth2/authorize/"+id, "login")
		w := b.Post(at, url.Values{"password": {idptest.Password}})
		_, w = b.Follow(w.Header.Get("Location"))
		claims := idptest.Claims(t, idp.Tokens(t, w.Location().Query().Get("code"))["id_token"])
		if at, _ := claims["auth_time"].(float64); int64(at) != time.Now().Unix() {
			t.Errorf("auth_time %v, want %d", claims["auth_time"], time.Now().Unix())
		}
	})
}
