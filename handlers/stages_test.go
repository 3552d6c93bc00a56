package handlers_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// holding is a browser with cookies that another has or had.
func holding(t *testing.T, idp *idptest.IDP, cookies map[string]string) *idptest.Browser {
	t.Helper()
	b := idp.Browser(t)
	b.Cookies = maps.Clone(cookies)
	return b
}

// nobodyBecame checks that an answer gives nothing away: no code, no token, nobody's
// session.
func nobodyBecame(t *testing.T, what string, b *idptest.Browser, w *idptest.Response) {
	t.Helper()
	if _, said := answered(w); said.Has("code") || said.Has("access_token") || said.Has("id_token") {
		t.Errorf("%s: %v", what, said)
	}
	if signedIn(b) {
		t.Errorf("%s: signed in", what)
	}
}

// D08: nobody gets past the password by going to where it leads, by sending a stage
// empty, in a second tab, with prompt=none, or with what an earlier stage left.
func TestSignInIsNotSkipped(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "every", everyResponseType)
	for _, pairs := range [][]string{nil, {"client_id", "every", "response_type", "code id_token token"}, {"response_mode", "form_post"}, {"PAR", ""}} {
		request := asking(pairs...)
		if pairs != nil && pairs[0] == "PAR" {
			request = pushed(t, idp)
		}
		b := idp.Browser(t)
		at, _ := b.Follow(request)
		id := strings.TrimPrefix(at, "/login?interaction=")
		elsewhere := person(t, idp, "grace")
		theirs := strings.TrimPrefix(elsewhere.Consent(asking("prompt", "consent")), "/consent/")
		for what, w := range map[string]*idptest.Response{
			"D08 straight to the end":             b.Get("/oauth2/authorize/" + id),
			"D08 straight to the consent page":    b.Get("/consent/" + id),
			"D08 its form":                        b.Post("/consent/"+id, url.Values{"continue_as": {"me"}, "action": {"allow"}}),
			"D08 its form, empty":                 b.Post("/consent/"+id, nil),
			"D08 its form, for somebody":          b.Post("/consent/"+id+"?for=usr_ada", url.Values{"continue_as": {"me"}}),
			"D08 its form, as somebody else":      b.Post("/consent/"+id, idptest.Wish("usr_ada", nil)),
			"D08 an empty form":                   b.Post(at, nil),
			"D08 a name alone":                    b.Post(at, url.Values{"username": {"ada@example.test"}}),
			"D08 an empty password":               b.Post(at, url.Values{"username": {"ada@example.test"}, "password": {""}}),
			"D08 the password as a parameter":     b.Get(at + "&username=ada%40example.test&password=" + url.QueryEscape(idptest.Password)),
			"D08 a second tab":                    b.Get(asking(pairs...)),
			"D08 a second tab, prompt=none":       b.Get(asking("prompt", "none")),
			"D08 the name as a hint":              b.Get(asking("prompt", "none", "login_hint", "ada@example.test")),
			"D08 somebody's own way":              b.Get("/oauth2/authorize/" + theirs),
			"D08 somebody's own consent":          b.Post("/consent/"+theirs, url.Values{"continue_as": {"me"}}),
			"D08 a cookie that is the id":         replay(b, map[string]string{sessionCookie: id}).Get("/oauth2/authorize/" + id),
			"D08 a request that was posted":       b.Post("/oauth2/authorize", mustQuery(asking())),
			"D08 signing out for the interaction": b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}, "interaction": {id}}),
		} {
			nobodyBecame(t, what, b, w)
		}
		// Its own way, and then nothing of it a second time.
		w := b.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
		wantStatus(t, "the password", w, http.StatusSeeOther)
		if _, said := answered(b.Get(w.Header.Get("Location"))); !said.Has("code") {
			t.Errorf("%v: no code: %v", pairs, said)
		}
		for what, w := range map[string]*idptest.Response{
			"D08 the end again": b.Get("/oauth2/authorize/" + id), "D08 the login page again": b.Get(at), "D08 the consent page afterwards": b.Get("/consent/" + id),
			"D08 the password again": b.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}}),
		} {
			if w.Status != http.StatusBadRequest || textOf(w, "error-code") != "interaction_expired" {
				t.Errorf("%s: status %d, %s", what, w.Status, w.Header.Get("Location"))
			}
		}
	}
}

// D08: who has to show the password again has to show it, whatever else is open in
// the browser.
func TestSignInAgainIsNotSkipped(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{Handlers: longSessions}, func(t *testing.T, idp *idptest.IDP) {
		b := arrive(t, idp, "ada")
		for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"max_age", "60"}, {"prompt", "login consent"}} {
			time.Sleep(2 * time.Minute)
			at, _ := b.Follow(asking(pairs...))
			id := strings.TrimPrefix(at, "/login?interaction=")
			stale := maps.Clone(b.Cookies)
			wantOutcome(t, b, asking("prompt", "none"), "code") // a second tab, which asks for nothing
			for what, w := range map[string]*idptest.Response{
				"D08 straight to the end": b.Get("/oauth2/authorize/" + id), "D08 straight to the consent page": b.Get("/consent/" + id),
				"D08 the consent form": b.Post("/consent/"+id, url.Values{"continue_as": {"me"}, "action": {"allow"}}),
				"D08 an empty form":    b.Post(at, nil), "D08 a wrong password": b.Post(at, url.Values{"password": {"wrong"}}),
				"D08 somebody else's password": b.Post(at, url.Values{"username": {"grace@example.test"}, "password": {"grace's password"}}),
				"D08 the request with none":    b.Get(strings.Replace(asking(pairs...), "prompt=", "x=", 1) + "&prompt=none&max_age=0"),
			} {
				if _, said := answered(w); said.Has("code") {
					t.Errorf("%s: a code", what)
				}
			}
			time.Sleep(20 * time.Second) // the wrong ones are forgiven
			// Another tab that was opened before is satisfied by the same password; one
			// that is opened after it is not.
			other, _ := b.Follow(asking("prompt", "login"))
			w := b.Post(at, url.Values{"password": {idptest.Password}})
			wantStatus(t, "the password", w, http.StatusSeeOther)
			wantOutcome(t, b, strings.Replace(other, "/login?interaction=", "/oauth2/authorize/", 1), "code")
			time.Sleep(time.Second)
			wantOutcome(t, b, asking("prompt", "login"), "login")
			wantOutcome(t, holding(t, idp, stale), asking("prompt", "none"), "error=login_required") // from before
		}
	})
}

// D08, A19: nobody starts to act as somebody past the password that it asks for.
func TestStepUpIsNotSkipped(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{Handlers: longSessions}), func(t *testing.T, idp *idptest.IDP) {
		b := arrive(t, idp, "sam")
		stale := maps.Clone(b.Cookies)
		time.Sleep(5*time.Minute + time.Second)
		at, wish := b.Consent(asking()), idptest.Wish("usr_ada", nil)
		id := strings.TrimPrefix(at, "/consent/")
		loginPage := "/login?interaction=" + id
		asked := b.Post(at, wish)
		if asked.Header.Get("Location") != loginPage {
			t.Fatalf("step-up: %d %s", asked.Status, asked.Location())
		}
		second := b.Consent(asking("prompt", "select_account"))
		for _, try := range []struct {
			what string
			do   func() *idptest.Response
		}{
			{"D08 straight to the end", func() *idptest.Response { return b.Get("/oauth2/authorize/" + id) }},
			{"D08 the form again", func() *idptest.Response { return b.Post(at, wish) }},
			{"D08 an empty form", func() *idptest.Response { return b.Post(loginPage, nil) }},
			{"D08 a wrong password", func() *idptest.Response { return b.Post(loginPage, url.Values{"password": {"wrong"}}) }},
			{"D08 a second tab", func() *idptest.Response { return b.Post(second, wish) }},
			{"D08 prompt=none", func() *idptest.Response { return b.Get(asking("prompt", "none")) }},
			{"D08 a posted request", func() *idptest.Response {
				return b.Post(b.Consent(b.Post("/oauth2/authorize", mustQuery(asking())).Header.Get("Location")), wish)
			}},
			{"D08 a pushed request", func() *idptest.Response { return b.Post(b.Consent(pushed(t, idp)), wish) }},
			{"D08 in another browser of theirs", func() *idptest.Response { return arrive(t, idp, "sam").Post(at, wish) }},
			{"D08 somebody else in the meantime", func() *idptest.Response {
				other := holding(t, idp, stale) // the same browser
				other.SignIn("root")
				return other.Post(at+"?for=usr_sam", wish)
			}},
		} {
			w := try.do()
			if code := w.Location().Query().Get("code"); code != "" {
				if claims := idptest.Claims(t, idp.Tokens(t, code)["id_token"]); claims["act"] != nil {
					t.Errorf("%s: %v", try.what, claims)
				}
			}
			if started := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventImpersonationStarted }); len(started) != 0 {
				t.Fatalf("%s: it started", try.what)
			}
		}
		b = arrive(t, idp, "sam")
		w := b.Post(b.Consent(asking("prompt", "select_account")), wish)
		if !w.Location().Query().Has("code") {
			t.Errorf("with the password: %d %s", w.Status, w.Location())
		}
		time.Sleep(5*time.Minute + time.Second) // what was shown then counts for nothing now
		w = b.Post(b.Consent(asking("prompt", "select_account")), wish)
		if !strings.HasPrefix(w.Header.Get("Location"), "/login?interaction=") {
			t.Errorf("five minutes later: %d %s", w.Status, w.Location())
		}
	})
}
