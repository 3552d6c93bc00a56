package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// setupLink returns the path of a new setup link.
func setupLink(t testing.TB, idp *idptest.IDP) string {
	t.Helper()
	token, err := provider.NewDirectory(idp.Store).CreateSetupLink(t.Context(), time.Hour, storage.Cause{}, time.Now())
	check(t, err)
	return "/setup/" + token
}

// newcomer is a good form of the setup page, with other fields.
func newcomer(pairs ...string) url.Values {
	form := url.Values{"name": {"Eve Newcomer"}, "email": {"eve@example.test"}, "password": {idptest.Password}}
	having(pairs...)(form)
	return form
}

func administrators(t testing.TB, idp *idptest.IDP) int64 {
	t.Helper()
	have, err := idp.Store.Progress(t.Context())
	check(t, err)
	return have.Administrators
}

// events counts what was recorded.
func recorded(t testing.TB, idp *idptest.IDP, kinds ...storage.EventType) []storage.Event {
	t.Helper()
	_, err := idp.Store.Sequence(t.Context(), "test", time.Now())
	check(t, err)
	var events []storage.Event
	for f := (storage.EventFilter{Types: kinds, Limit: 1000}); ; {
		page, err := idp.Store.Events(t.Context(), f)
		check(t, err)
		if events = append(events, page...); len(page) < f.Limit {
			return events
		}
		f.From = *page[len(page)-1].Position + 1
	}
}

// From the link to an administrator who is signed in and knows what is left to do.
func TestSetup(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		link, b := setupLink(t, idp), idp.Browser(t)
		b.Cookies["__Host-understudy"] = "planted"
		for range 2 { // opening it spends nothing
			w := b.Get(link)
			if w.Status != http.StatusOK || w.Element("setup-form") == nil || w.Header.Get("Referrer-Policy") != "same-origin" {
				t.Fatalf("status %d: %s", w.Status, w.Body)
			}
		}
		w := b.Post(link, newcomer("name", " Eve Newcomer ", "email", " eve@example.test\t"))
		if w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/setup" {
			t.Fatalf("status %d, location %s: %s", w.Status, w.Location(), w.Body)
		}
		if b.Cookies["__Host-understudy"] == "planted" {
			t.Error("D01: the session id is the one from before")
		}
		u, err := idp.Store.UserByEmail(t.Context(), "eve@example.test")
		check(t, err)
		roles, err := idp.Store.RolesOf(t.Context(), u.ID)
		check(t, err)
		if u.Name != "Eve Newcomer" || u.EmailVerified || len(roles) != 1 || roles[0] != "admin" || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
			t.Errorf("got %+v with %q", u, roles)
		}
		w = b.Get("/setup")
		if w.Status != http.StatusOK || !strings.Contains(w.Body, "Eve Newcomer") || w.Element("checklist") == nil {
			t.Errorf("checklist: status %d: %s", w.Status, w.Body)
		}
		if w := login(idp.Browser(t), "eve@example.test", idptest.Password); w.Status != http.StatusSeeOther {
			t.Errorf("sign in later: status %d", w.Status)
		}
		for _, kind := range []storage.EventType{storage.EventSetupLinkCreated, storage.EventSetupLinkUsed, storage.EventUserCreated, storage.EventUserRoleGranted} {
			events := recorded(t, idp, kind)
			if len(events) != 1 {
				t.Fatalf("%s: %d events, want 1", kind, len(events))
			}
			if kind != storage.EventSetupLinkCreated && (events[0].ActorID != u.ID || events[0].SubjectID != u.ID || events[0].RequestID == "") {
				t.Errorf("%s: got %+v", kind, events[0])
			}
		}
		wantStatus(t, "a second time", b.Get(link), http.StatusNotFound)
	})
}

// Links that cannot be used look the same, whatever is the matter with them.
func TestSetupLinkInvalid(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		used := setupLink(t, idp)
		wantStatus(t, "use", idp.Browser(t).Post(used, newcomer()), http.StatusSeeOther)
		expired := setupLink(t, idp)
		time.Sleep(time.Hour)
		revoked := setupLink(t, idp)
		if n, err := provider.NewDirectory(idp.Store).RevokeSetupLinks(t.Context(), storage.Cause{}, time.Now()); err != nil || n != 1 {
			t.Errorf("revoked %d, %v, want 1", n, err)
		}
		replaced, good := setupLink(t, idp), setupLink(t, idp)
		token := strings.TrimPrefix(good, "/setup/")
		ada := person(t, idp, "ada")
		code := ada.Code(asking())
		tokens := loggedIn(t, idp, "ada", "scope", "openid offline_access")
		var first string
		before := administrators(t, idp)
		for name, path := range map[string]string{
			"used": used, "expired": expired, "revoked": revoked, "replaced by a later one": replaced, "never made": "/setup/usl_" + strings.Repeat("A", 43), "B13 shorter": good[:len(good)-1], "B13 longer": good + "A",
			"B13 other case": "/setup/" + strings.ToUpper(token), "B13 padded": good + "=", "prefix alone": "/setup/usl_", "no prefix": "/setup/" + strings.TrimPrefix(token, "usl_"),
			"A24 code": "/setup/" + code, "A24 code with the prefix": "/setup/usl_" + strings.TrimPrefix(code, "uc_"),
			"A24 refresh token": "/setup/" + str(t, tokens, "refresh_token"), "A24 access token": "/setup/" + str(t, tokens, "access_token"),
			"A24 session": "/setup/" + ada.Cookies["__Host-understudy"], "NUL": "/setup/usl_%00", "not UTF-8": "/setup/usl_%ff",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				b := idp.Browser(t)
				w := b.Get(path)
				if method == http.MethodPost {
					w = b.Post(path, newcomer("email", "mallory@example.test"))
				}
				if w.Status != http.StatusNotFound || textOf(w, "error-code") != "setup_link_invalid" || !strings.Contains(w.Body, "This link is not valid any more") {
					t.Errorf("%s, %s: status %d: %s", name, method, w.Status, w.Body)
				}
				body := strings.ReplaceAll(w.Body, w.Header.Get("X-Request-Id"), "")
				if first == "" {
					first = body
				}
				if body != first {
					t.Errorf("%s, %s: tells something: %s", name, method, w.Body)
				}
			}
		}
		// And the other way round.
		wantRefused(t, "A24 as a code", redeem(idp, token), http.StatusBadRequest, "invalid_grant")
		wantRefused(t, "A24 as a refresh token", refresh(idp, token), http.StatusBadRequest, "invalid_grant")
		wantRefused(t, "A24 as an access token", userinfo(idp, token), http.StatusUnauthorized, "invalid_token")
		wantActive(t, idp, "A24 at introspection", token, false)
		b := idp.Browser(t)
		b.Cookies["__Host-understudy"] = token
		if signedIn(b) {
			t.Error("A24: a setup link is a session")
		}
		if now := administrators(t, idp); now != before {
			t.Errorf("%d administrators, want %d", now, before)
		}
		if ended := recorded(t, idp, storage.EventSetupLinkRevoked); len(ended) != 2 || fmt.Sprint(ended[1].Data["links"]) != "1" {
			t.Errorf("events of ended links: %+v", ended)
		}
		wantStatus(t, "the good one still", idp.Browser(t).Post(good, newcomer("email", "late@example.test")), http.StatusSeeOther)
	})
}

// What is wrong with the form is said, what was typed stays but for the password,
// and the link can still be used.
func TestSetupForm(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	link := setupLink(t, idp)
	const secret = "7 chars"
	for _, test := range []struct {
		name  string
		pairs []string
		wrong string // fields
	}{
		{"nothing", []string{"name", "", "email", "", "password", ""}, "name email password"},
		{"no name", []string{"name", ""}, "name"},
		{"a blank name", []string{"name", "  "}, "name"},
		{"E05 a name of two lines", []string{"name", "Eve\nNewcomer"}, "name"},
		{"a name that turns text around", []string{"name", "Eve\u202e"}, "name"},
		{"a long name", []string{"name", strings.Repeat("x", 301)}, "name"},
		{"no e-mail address", []string{"email", ""}, "email"},
		{"not an e-mail address", []string{"email", "eve"}, "email"},
		{"an e-mail address with a name", []string{"email", "Eve <eve@example.test>"}, "email"},
		{"somebody's e-mail address", []string{"email", "ada@example.test"}, "email"},
		{"D09 somebody's e-mail address in another spelling", []string{"email", "ＡDA@Example.test"}, "email"},
		{"no password", []string{"password", ""}, "password"},
		{"a short password", []string{"password", secret}, "password"},
		{"a long password", []string{"password", strings.Repeat("x", 1025)}, "password"},
		{"two things", []string{"name", "", "password", secret}, "name password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := newcomer(test.pairs...)
			w := idp.Browser(t).Post(link, form)
			wantStatus(t, "refused", w, http.StatusBadRequest)
			var wrong []string
			for _, field := range []string{"name", "email", "password"} {
				if textOf(w, field+"-error") != "" {
					wrong = append(wrong, field)
				}
			}
			if got := strings.Join(wrong, " "); got != test.wrong {
				t.Errorf("wrong: %q, want %q: %s", got, test.wrong, w.Body)
			}
			_, fields := formOf(w)
			for _, field := range []string{"name", "email"} {
				if typed := strings.TrimSpace(form.Get(field)); fields.Get(field) != typed && !strings.Contains(typed, "\n") {
					t.Errorf("%s: %q, want %q", field, fields.Get(field), typed)
				}
			}
			if fields.Get("password") != "" || strings.Contains(w.Body, secret) {
				t.Error("the page has the password")
			}
		})
	}
	t.Run("D14 other fields", func(t *testing.T) {
		w := idp.Browser(t).Post(link, newcomer("id", "usr_ada", "sub", "usr_ada", "email_verified", "true", "role", "auditor", "never_impersonate", "true"))
		wantStatus(t, "setup", w, http.StatusSeeOther)
		u, err := idp.Store.UserByEmail(t.Context(), "eve@example.test")
		check(t, err)
		if u.ID == "usr_ada" || u.EmailVerified || u.NeverImpersonate {
			t.Errorf("got %+v", u)
		}
	})
}

// Twenty who open one link at once: one becomes administrator.
func TestSetupRace(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		link, before := setupLink(t, idp), administrators(t, idp)
		statuses := make([]int, 20)
		var all sync.WaitGroup
		for i := range statuses {
			email := unique("racer") + "@example.test"
			all.Go(func() { statuses[i] = idp.Browser(t).Post(link, newcomer("email", email)).Status })
		}
		all.Wait()
		won := 0
		for _, status := range statuses {
			switch status {
			case http.StatusSeeOther:
				won++
			case http.StatusNotFound:
			default:
				t.Errorf("status %d", status)
			}
		}
		if now := administrators(t, idp); won != 1 || now != before+1 {
			t.Errorf("%d won and %d administrators were made, want 1", won, now-before)
		}
		for _, kind := range []storage.EventType{storage.EventSetupLinkUsed, storage.EventUserCreated, storage.EventUserRoleGranted} {
			if n := len(recorded(t, idp, kind)); n != 1 {
				t.Errorf("%d events %s, want 1", n, kind)
			}
		}
	})
}

// A05, A17: who acts as another sets nothing up meanwhile, and after stopping may.
func TestSetupWhileActing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	b, link := person(t, idp, "root"), setupLink(t, idp)
	idp.Tokens(t, b.ActAs("usr_ada", asking("prompt", "select_account")))
	for name, w := range map[string]*idptest.Response{
		"form": b.Get(link), "post": b.Post(link, newcomer()), "checklist": b.Get("/setup"),
	} {
		if w.Status != http.StatusForbidden || textOf(w, "error-code") != "impersonation_forbidden" || !strings.Contains(w.Body, "/impersonation/stop?id=imp_") {
			t.Errorf("A17 %s: status %d: %s", name, w.Status, w.Body)
		}
	}
	if n := administrators(t, idp); n != 1 {
		t.Errorf("%d administrators, want 1", n)
	}
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
	check(t, err)
	b.Post("/impersonation/stop", url.Values{"id": {running[0].ID}})
	w := b.Get(link)
	if w.Status != http.StatusOK || !strings.Contains(w.Body, "This browser is signed in as <strong>root") {
		t.Errorf("stopped: status %d: %s", w.Status, w.Body)
	}
	old := replay(idp.Browser(t), b.Cookies)
	wantStatus(t, "after stopping", b.Post(link, newcomer()), http.StatusSeeOther)
	if signedIn(old) || !strings.Contains(b.Get("/account").Body, "Eve Newcomer") {
		t.Error("the session of the one before goes on")
	}
}

// The checklist is for administrators, and says what is there.
func TestChecklist(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{SwitchOff: true})
	if w := idp.Browser(t).Get("/setup"); w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/login" {
		t.Errorf("nobody: status %d, location %s", w.Status, w.Location())
	}
	for _, name := range []string{"ada", "sam", "olga"} {
		wantStatus(t, name, person(t, idp, name).Get("/setup"), http.StatusForbidden)
	}
	root := person(t, idp, "root")
	for _, link := range []string{`href="/admin"`, `href="/admin/clients/new"`, `href="/admin/users/new"`, `href="/admin/settings"`} {
		if w := root.Get("/setup"); !strings.Contains(w.Body, link) {
			t.Errorf("no %s: the console is not to be found from here", link)
		}
	}
	page := func() string { return textOf(root.Get("/setup"), "checklist") }
	for _, want := range []string{"There are 3 applications.", "There are 5 users besides administrators.", "It is off."} {
		if got := page(); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	on := func(value bool) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.EnableImpersonation(ctx, value, storage.Cause{}, time.Now())
		})
	}
	on(true)
	if got := page(); !strings.Contains(got, "one application allows it") {
		t.Errorf("switched on: %s", got)
	}
	idp.Change(t, "app", func(c *storage.Client) { c.AllowImpersonation = false })
	if got := page(); !strings.Contains(got, "no application allows it yet") {
		t.Errorf("opted out: %s", got)
	}
	if w := root.Do(httptest.NewRequest(http.MethodHead, "/setup", nil)); w.Status != http.StatusOK {
		t.Errorf("HEAD: status %d", w.Status)
	}
}
