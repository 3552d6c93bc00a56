package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
)

// sidOf returns the sid of the ID token.
func sidOf(t testing.TB, tokens map[string]any) string {
	t.Helper()
	return str(t, idptest.Claims(t, tokens["id_token"]), "sid")
}

// RP-Initiated Logout 1.0 and what certification asks of it beside TestLogout.
func TestEndSession(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	home, state := "https://app.example/", strings.Repeat("0123456789abcdef", 8)
	asking := func(token string, pairs ...string) url.Values {
		q := url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {home}, "state": {state}}
		having(pairs...)(q)
		return q
	}
	signedOut := func(t *testing.T, b *idptest.Browser, want bool) {
		t.Helper()
		outcome := map[bool]string{true: "error=login_required", false: "code"}[want]
		wantOutcome(t, b, idptest.Request(having("prompt", "none")), outcome)
	}
	t.Run("sid is in every ID token", func(t *testing.T) {
		b := person(t, idp, "ada")
		tokens := idp.Tokens(t, b.Code(idptest.Request(having(offline...))))
		renewed := refresh(idp, str(t, tokens, "refresh_token")).JSON(t)
		if sid := sidOf(t, tokens); sid == "" || sidOf(t, renewed) != sid {
			t.Errorf("sid %q, refreshed %q", sid, sidOf(t, renewed))
		}
	})
	t.Run("parameters that change nothing", func(t *testing.T) {
		b := person(t, idp, "ada")
		tokens := idp.Tokens(t, b.Code(idptest.Request(nil)))
		q := asking(str(t, tokens, "id_token"), "ui_locales", "de fr-CA", "logout_hint", "somebody@example.test", "client_id", "app", "more", "x")
		if w := b.Get("/oauth2/logout?" + q.Encode()); w.Header.Get("Location") != home+"?state="+state {
			t.Errorf("%d %s", w.Status, w.Header.Get("Location"))
		}
		signedOut(t, b, true)
	})
	t.Run("a form of the application's site", func(t *testing.T) {
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://app.example"}, {"Origin", "null"}} {
			b := person(t, idp, "ada")
			tokens := idp.Tokens(t, b.Code(idptest.Request(nil)))
			w := idp.Do(crossSite("/oauth2/logout", asking(str(t, tokens, "id_token")), header[0], header[1])) // SameSite=Lax keeps the cookie back
			next := w.Location()
			if w.Status != http.StatusSeeOther || next.Host != "" || next.Path != "/oauth2/logout" {
				t.Fatalf("%v: %d %s", header, w.Status, next)
			}
			if w = b.Get(next.String()); w.Header.Get("Location") != home+"?state="+state {
				t.Errorf("%v: %d %s", header, w.Status, w.Header.Get("Location"))
			}
			signedOut(t, b, true)
		}
	})
	t.Run("E01 a form of another site confirms nothing", func(t *testing.T) {
		b := person(t, idp, "ada")
		w := idp.Do(crossSite("/oauth2/logout", url.Values{"state": {state}, "interaction": {strings.Repeat("A", 26)}}, "Sec-Fetch-Site", "cross-site"))
		if w.Header.Get("Location") != "/oauth2/logout?state="+state {
			t.Fatalf("%d %s", w.Status, w.Header.Get("Location"))
		}
		if w = b.Get(w.Header.Get("Location")); w.Element("logout-form") == nil {
			t.Errorf("not asked: %d %s", w.Status, w.Body)
		}
		signedOut(t, b, false)
	})
	t.Run("a hint of a session that has ended", func(t *testing.T) {
		b := person(t, idp, "ada")
		tokens := idp.Tokens(t, b.Code(idptest.Request(nil)))
		for range 2 {
			if w := b.Get("/oauth2/logout?" + asking(str(t, tokens, "id_token")).Encode()); w.Header.Get("Location") != home+"?state="+state {
				t.Errorf("%d %s", w.Status, w.Header.Get("Location"))
			}
		}
		now := person(t, idp, "ada") // who is asked, because that is not the session that the hint is of
		b.Cookies = now.Cookies
		w := b.Get("/oauth2/logout?" + asking(str(t, tokens, "id_token")).Encode())
		if w.Element("logout-form") == nil || w.Header.Get("Location") != "" {
			t.Errorf("signed in again: %d %s", w.Status, w.Header.Get("Location"))
		}
		action, fields := formOf(w)
		if w = b.Post(action, fields); w.Header.Get("Location") != home+"?state="+state {
			t.Errorf("confirmed: %d %s", w.Status, w.Header.Get("Location"))
		}
		signedOut(t, b, true)
	})
	t.Run("a hint of another user", func(t *testing.T) {
		tokens := loggedIn(t, idp, "grace")
		b := person(t, idp, "ada")
		w := b.Get("/oauth2/logout?" + asking(str(t, tokens, "id_token")).Encode())
		if w.Element("logout-form") == nil || w.Header.Get("Location") != "" || strings.Contains(w.Body, "grace") {
			t.Errorf("%d %s: %s", w.Status, w.Header.Get("Location"), w.Body)
		}
		signedOut(t, b, false)
	})
	t.Run("hints that are none", func(t *testing.T) {
		b := person(t, idp, "ada")
		good := str(t, idp.Tokens(t, b.Code(idptest.Request(nil))), "id_token")
		parts := strings.Split(good, ".")
		for name, token := range map[string]string{
			"alg none": unsignedRequest, "no signature": parts[0] + "." + parts[1] + ".", "another payload": parts[0] + ".e30." + parts[2],
		} {
			w := b.Get("/oauth2/logout?" + asking(token).Encode())
			if w.Element("logout-form") == nil || w.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", name, w.Status, w.Header.Get("Location"))
			}
		}
		signedOut(t, b, false)
	})
	t.Run("nothing, confirmed", func(t *testing.T) {
		b := person(t, idp, "ada")
		action, fields := formOf(b.Get("/oauth2/logout"))
		w := b.Post(action, fields)
		if w.Status != http.StatusOK || w.Header.Get("Location") != "" || w.Element("logout-form") != nil {
			t.Errorf("%d %s", w.Status, w.Header.Get("Location"))
		}
		signedOut(t, b, true)
	})
}
