package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// F08: a user out of reach is as good as none, and nobody changes somebody who may do
// what they may not.
func TestUserReach(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	withUserRoles(t, idp)
	browsers := map[string]*idptest.Browser{}
	for _, name := range []string{"root", "sam", "olga", "uma", "ulf", "ora", "ada"} {
		browsers[name] = inConsole(t, idp, name)
	}
	const ok, forbidden, none = http.StatusOK, http.StatusForbidden, http.StatusNotFound
	for _, c := range []struct {
		who, whom          string
		see, change, grant int
	}{
		{"root", "usr_ada", ok, ok, ok},
		{"root", "usr_ora", ok, ok, ok},
		{"root", "usr_sam", ok, ok, ok},
		{"root", "usr_root", ok, ok, forbidden}, // oneself
		{"root", "usr_x", none, none, none},
		{"root", "%00", none, none, none},
		{"sam", "usr_ada", ok, forbidden, forbidden},
		{"olga", "usr_ada", ok, forbidden, forbidden},
		{"ada", "usr_ada", forbidden, forbidden, forbidden},
		{"uma", "usr_ada", ok, ok, ok},
		{"uma", "usr_grace", ok, ok, ok},
		{"uma", "usr_root", ok, forbidden, ok}, // an administrator
		{"uma", "usr_sam", ok, forbidden, ok},
		{"uma", "usr_ora", ok, forbidden, ok}, // one of Globex
		{"ulf", "usr_ada", ok, ok, ok},
		{"ulf", "usr_ora", ok, forbidden, ok},
		{"ulf", "usr_grace", ok, forbidden, ok}, // also a member of Initech
		{"ulf", "usr_linus", none, none, none},
		{"ulf", "usr_root", none, none, none},
		{"ora", "usr_ulf", ok, ok, ok},
		{"ora", "usr_sam", none, none, none},
	} {
		b, path := browsers[c.who], "/admin/users/"+c.whom
		for where, want := range map[string]int{"": c.see, "/edit": c.change, "/grant": c.grant} {
			if w := b.Get(path + where); w.Status != want {
				t.Errorf("%s at %s%s: status %d, want %d", c.who, path, where, w.Status, want)
			}
		}
		refused := c.change
		if c.who == "root" && c.whom == "usr_root" {
			refused = forbidden
		}
		for _, where := range []string{"/password", "/disable", "/delete"} {
			if w := b.Get(path + where); w.Status != refused {
				t.Errorf("%s at %s%s: status %d, want %d", c.who, path, where, w.Status, refused)
			}
			if refused != ok {
				if w := b.Post(path+where, url.Values{"email": {strings.TrimPrefix(c.whom, "usr_") + "@example.test"}, "password": {idptest.Password}}); w.Status != refused && w.Status != none {
					t.Errorf("%s posts to %s%s: status %d, want %d", c.who, path, where, w.Status, refused)
				}
			}
		}
		if c.change == ok {
			continue
		}
		for _, where := range []string{"/edit", "/sign-ins", "/applications", "/enable"} {
			if w := b.Post(path+where, url.Values{"email": {"evil@example.test"}, "password": {idptest.Password}}); w.Status != c.change {
				t.Errorf("%s posts to %s%s: status %d, want %d", c.who, path, where, w.Status, c.change)
			}
		}
	}
	for _, whom := range []string{"root", "ora", "grace", "linus", "sam"} {
		if u, err := idp.Store.UserByEmail(t.Context(), whom+"@example.test"); err != nil || !u.Active() {
			t.Errorf("%s was changed: %+v, %v", whom, u, err)
		}
	}
}

// Nobody gives or takes a role that they do not hold there (SECURITY F08).
func TestGrantRole(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	withUserRoles(t, idp)
	browsers := map[string]*idptest.Browser{}
	for _, name := range []string{"root", "uma", "ulf", "ora"} {
		browsers[name] = inConsole(t, idp, name)
	}
	const done, wrong, forbidden, none = http.StatusSeeOther, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound
	for _, c := range []struct {
		who, whom, organization, role string
		give, take                    int
	}{
		{"root", "usr_linus", "", "support", done, done},
		{"root", "usr_linus", "Globex", "auditor", done, done}, // who is no member becomes one
		{"root", "usr_linus", "", "king", wrong, none},
		{"root", "usr_linus", "Nowhere", "support", wrong, none},
		{"root", "usr_linus", "", "", wrong, none},
		{"root", "usr_linus", "", "app-admin", done, done},
		{"root", "usr_root", "", "support", forbidden, forbidden}, // oneself
		{"uma", "usr_linus", "", "user-admin", done, done},
		{"uma", "usr_linus", "", "admin", wrong, forbidden},
		{"uma", "usr_linus", "Initech", "support", wrong, forbidden},
		{"uma", "usr_root", "", "admin", wrong, forbidden},
		{"uma", "usr_ora", "Globex", "user-admin", wrong, none}, // would demote an administrator of Globex
		{"uma", "usr_ora", "Globex", "", wrong, none},
		{"ulf", "usr_ada", "Globex", "user-admin", done, done},
		{"ulf", "usr_grace", "Globex", "user-admin", done, done},
		{"ulf", "usr_grace", "Initech", "user-admin", wrong, forbidden},
		{"ulf", "usr_ada", "", "user-admin", wrong, forbidden},
		{"ulf", "usr_ada", "Globex", "support", wrong, forbidden},
		{"ulf", "usr_ora", "Globex", "", wrong, none},
		{"ulf", "usr_olga", "Globex", "user-admin", none, none}, // no member: out of reach
		{"ora", "usr_ada", "Globex", "admin", done, done},
		{"ora", "usr_ada", "", "admin", wrong, forbidden},
	} {
		b, path := browsers[c.who], "/admin/users/"+c.whom
		place := url.Values{"organization": {c.organization}, "role": {c.role}}
		if w := b.Post(path+"/grant", place); w.Status != c.give {
			t.Errorf("%s gives %s in %q to %s: status %d, want %d: %s", c.who, c.role, c.organization, c.whom, w.Status, c.give, w.Body)
		} else if c.give == done && c.role != "" {
			onRecord(t, idp, storage.EventUserRoleGranted, "usr_"+c.who, c.whom)
		}
		if w := b.Post(path+"/revoke?"+place.Encode(), nil); w.Status != c.take {
			t.Errorf("%s takes %s in %q from %s: status %d, want %d: %s", c.who, c.role, c.organization, c.whom, w.Status, c.take, w.Body)
		} else if c.take == done {
			onRecord(t, idp, storage.EventUserRoleRevoked, "usr_"+c.who, c.whom)
		}
	}
	for id, want := range map[string]string{"usr_root": "admin", "usr_linus": "", "usr_ora": "Globex:admin"} {
		places, err := idp.Store.PlacesOf(t.Context(), id)
		check(t, err)
		var got []string
		for _, p := range places[id] {
			if p.Role != "" {
				got = append(got, strings.TrimPrefix(p.OrganizationName+":"+p.Role, ":"))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: holds %q, want %q", id, got, want)
		}
	}
}

// D13, D14: staff change what is said about a user and nothing else.
func TestEditUser(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		root := inConsole(t, idp, "root")
		before, err := idp.Store.User(t.Context(), "usr_ada")
		check(t, err)
		good := func(pairs ...string) url.Values {
			form := url.Values{
				"email": {"Countess@example.test"}, "name": {"Ada Lovelace"}, "birthdate": {"1815-12-10"}, "locality": {"London"}, "formatted": {"12 St James's Square\r\nLondon"},
				"never_impersonate": {"on"}, "website": {"https://lovelace.example"},
			}
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return form
		}
		const path = "/admin/users/usr_ada/edit"
		for field, form := range map[string]url.Values{
			"email": good("email", "ada"), "name": good("name", "a\u202e"), "birthdate": good("birthdate", "1815-02-30"), "website": good("website", "javascript:alert(1)"),
			"zoneinfo": good("zoneinfo", "../x"), "locale": good("locale", "?"), "phone_number": good("phone_number", "x"), "phone_number_verified": good("phone_number_verified", "on"),
			"address": good("formatted", strings.Repeat("x", 2001)), "picture": good("picture", "ftp://x"),
		} {
			w := root.Post(path, form)
			if w.Status != http.StatusBadRequest || !strings.Contains(w.Body, `<li><a href="#`+field+`">`) || !strings.Contains(w.Body, "London") {
				t.Errorf("%s: status %d: %s", field, w.Status, w.Body)
			}
		}
		if w := root.Post(path, good("email", "SAM@example.test")); w.Status != http.StatusConflict || !strings.Contains(w.Body, `<li><a href="#email">`) {
			t.Errorf("an address that is taken: status %d: %s", w.Status, w.Body)
		}
		if u, err := idp.Store.User(t.Context(), "usr_ada"); err != nil || *u != *before {
			t.Errorf("changed by what was refused: %+v, %v", u, err)
		}

		running := idp.Browser(t)
		running.SignIn("ada")
		w := root.Post(path, good("id", "usr_x", "status", "disabled", "password_hash", "x", "role", "admin", "deleted_at", "1", "email_key", "x", "last_sign_in_at", "1"))
		if w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/admin/users/usr_ada?done=user_saved" {
			t.Fatalf("status %d to %s: %s", w.Status, w.Header.Get("Location"), w.Body)
		}
		want := *before
		want.Email, want.EmailKey, want.EmailVerified, want.Name, want.Birthdate, want.Website = "Countess@example.test", "countess@example.test", false, "Ada Lovelace", "1815-12-10", "https://lovelace.example"
		want.GivenName, want.PhoneNumber, want.Address, want.NeverImpersonate = "", "", `{"formatted":"12 St James's Square\nLondon","locality":"London"}`, true
		got, err := idp.Store.User(t.Context(), "usr_ada")
		check(t, err)
		want.UpdatedAt, want.LastSignInAt = got.UpdatedAt, got.LastSignInAt
		if *got != want {
			t.Errorf("got  %+v\nwant %+v", *got, want)
		}
		e := onRecord(t, idp, storage.EventUserUpdated, "usr_root", "usr_ada")
		if claims, _ := e.Data["claims"].([]any); len(claims) != 8 || e.Data["never_impersonate"] != true || e.Data["email_verified"] != false {
			t.Errorf("recorded %v", e.Data)
		}
		if strings.Contains(e.Private, "Lovelace") {
			t.Errorf("the record holds what was said: %s", e.Private)
		}
		if !signedIn(running) {
			t.Error("a change of the address signed them out")
		}
		if w := root.Get("/admin/users/usr_ada?done=user_saved"); !strings.Contains(w.Body, "1815-12-10") || !strings.Contains(w.Body, `role="status"`) || strings.Contains(w.Body, "dialog=impersonate") {
			t.Errorf("the page: %s", w.Body)
		}
	})
}

// D06: what was open ends with a new password, when disabled, and when deleted. Each is
// asked for, and none is done by GET.
func TestDangerousChanges(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		root := inConsole(t, idp, "root")
		signIn := func(name, password string) (*idptest.Browser, bool) {
			b := idp.Browser(t)
			w := b.Post("/login", url.Values{"username": {name + "@example.test"}, "password": {password}})
			return b, w.Status == http.StatusSeeOther
		}
		ada, _ := signIn("ada", idptest.Password)
		tokens := idp.Tokens(t, ada.Code(idptest.Request(nil)))
		ended := func(what string) {
			t.Helper()
			if signedIn(ada) {
				t.Errorf("%s: still signed in", what)
			}
			r := idptest.Form("/oauth2/userinfo", nil)
			r.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
			if w := idp.Do(r); w.Status != http.StatusUnauthorized {
				t.Errorf("%s: userinfo answers %d", what, w.Status)
			}
		}
		for _, deed := range []string{"password", "disable", "delete"} {
			root.Get("/admin/users/usr_ada/" + deed)
			if !signedIn(ada) {
				t.Fatalf("GET of %s did it", deed)
			}
		}

		w := root.Post("/admin/users/usr_ada/password", nil)
		field := w.Element("new-password")
		if w.Status != http.StatusOK || field == nil || w.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("reset: status %d: %s", w.Status, w.Body)
		}
		ended("reset")
		onRecord(t, idp, storage.EventUserPasswordChanged, "usr_root", "usr_ada")
		password := ""
		for _, a := range field.Attr {
			if a.Key == "value" {
				password = a.Val
			}
		}
		if _, ok := signIn("ada", idptest.Password); ok {
			t.Error("the old password is still good")
		}
		var ok bool
		if ada, ok = signIn("ada", password); !ok {
			t.Fatalf("the new password %q is no good", password)
		}
		tokens = idp.Tokens(t, ada.Code(idptest.Request(nil)))

		if w := root.Post("/admin/users/usr_ada/disable", nil); w.Status != http.StatusSeeOther {
			t.Fatalf("disable: status %d: %s", w.Status, w.Body)
		}
		ended("disable")
		onRecord(t, idp, storage.EventUserDisabled, "usr_root", "usr_ada")
		if _, ok := signIn("ada", password); ok {
			t.Error("a disabled user signs in")
		}
		if w := root.Post("/admin/users/usr_ada/enable", nil); w.Status != http.StatusSeeOther {
			t.Fatalf("enable: status %d: %s", w.Status, w.Body)
		}
		onRecord(t, idp, storage.EventUserEnabled, "usr_root", "usr_ada")
		ada, _ = signIn("ada", password)
		tokens = idp.Tokens(t, ada.Code(idptest.Request(nil)))

		for _, typed := range []string{"", "ada", "root@example.test"} {
			if w := root.Post("/admin/users/usr_ada/delete", url.Values{"email": {typed}}); w.Status != http.StatusBadRequest || !strings.Contains(w.Body, `<li><a href="#email">`) {
				t.Errorf("delete, having typed %q: status %d: %s", typed, w.Status, w.Body)
			}
		}
		if w := root.Post("/admin/users/usr_ada/delete", url.Values{"email": {"ADA@example.test"}}); w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/admin/users?done=user_deleted" {
			t.Fatalf("delete: status %d: %s", w.Status, w.Body)
		}
		ended("delete")
		onRecord(t, idp, storage.EventUserDeleted, "usr_root", "usr_ada")
		if _, ok := signIn("ada", password); ok {
			t.Error("a deleted user signs in")
		}
		for _, path := range []string{"", "/edit", "/grant", "/password", "/disable", "/delete"} {
			if w := root.Get("/admin/users/usr_ada" + path); w.Status != http.StatusNotFound {
				t.Errorf("%s of a deleted user: status %d", path, w.Status)
			}
		}
		if w := root.Post("/admin/users/usr_ada/enable", nil); w.Status != http.StatusNotFound {
			t.Errorf("enable a deleted user: status %d", w.Status)
		}
		if got := listed(root.Get("/admin/users?q=ada")); len(got) > 0 {
			t.Errorf("found after all: %v", got)
		}
		// D13: the address is free, the id is not.
		if w := root.Post("/admin/users/new", url.Values{"email": {"ada@example.test"}}); w.Status != http.StatusSeeOther {
			t.Errorf("the address again: status %d: %s", w.Status, w.Body)
		}
		if u, err := idp.Store.UserByEmail(t.Context(), "ada@example.test"); err != nil || u.ID == "usr_ada" {
			t.Errorf("got %+v, %v", u, err)
		}
	})
}

// A19: what is dangerous asks for the password when it was not shown lately.
func TestDangerAsksForPassword(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	root := inConsole(t, idp, "root")
	execute(t, idp, `UPDATE login_sessions SET auth_time = $1`, storage.At(time.Now().Add(-10*time.Minute)))
	for path, form := range map[string]url.Values{
		"/admin/users/usr_ada/password": {}, "/admin/users/usr_ada/disable": {}, "/admin/users/usr_ada/delete": {"email": {"ada@example.test"}},
		"/admin/users/usr_ada/edit": {"email": {"ada@example.test"}}, "/admin/users/usr_ada/grant": {"role": {"support"}}, "/admin/users/usr_sam/revoke?role=support": {},
		"/admin/users/new": {"email": {"new@example.test"}},
	} {
		if w := root.Get(path); w.Element("password") == nil {
			t.Errorf("%s: does not ask: %s", path, w.Body)
		}
		for _, password := range []string{"", "wrong"} {
			form.Set("password", password)
			if w := root.Post(path, form); w.Status != http.StatusBadRequest || !strings.Contains(w.Body, `<li><a href="#password">`) {
				t.Errorf("%s with %q: status %d: %s", path, password, w.Status, w.Body)
			}
		}
	}
	execute(t, idp, `DELETE FROM throttles`) // those were many attempts
	if w := root.Post("/admin/users/usr_ada/disable", url.Values{"password": {idptest.Password}}); w.Status != http.StatusSeeOther {
		t.Errorf("with the password: status %d: %s", w.Status, w.Body)
	}
	if w := root.Post("/admin/users/usr_grace/disable", nil); w.Status != http.StatusSeeOther {
		t.Errorf("and then without: status %d: %s", w.Status, w.Body)
	}
}

// What staff see of a user, and end for them.
func TestUserPage(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		withUserRoles(t, idp)
		ada, elsewhere := idp.Browser(t), idp.Browser(t)
		ada.SignIn("ada")
		elsewhere.SignIn("ada")
		idp.Tokens(t, ada.Code(idptest.Request(nil)))
		grace := idp.Browser(t)
		grace.SignIn("grace")
		sam := inConsole(t, idp, "sam")
		sam.ActAs("usr_ada", idptest.Request(nil))
		root := inConsole(t, idp, "root")
		w := root.Get("/admin/users/usr_ada")
		for _, want := range []string{"ada@example.test", "Globex", "Cannot see invoice 4711", "App", ">sam<", "/admin/events?subject=usr_ada", "/impersonation/stop?id=imp_"} {
			if !strings.Contains(w.Body, want) {
				t.Errorf("no %q on the page: %s", want, w.Body)
			}
		}
		if w := root.Get("/admin/users/usr_sam"); !strings.Contains(w.Body, "As whom they acted") || !strings.Contains(w.Body, ">ada<") {
			t.Errorf("nothing about whom sam acted as: %s", w.Body)
		}
		if w := inConsole(t, idp, "uma").Get("/admin/users/usr_ada"); strings.Contains(w.Body, "4711") || strings.Contains(w.Body, "/admin/events") {
			t.Error("uma reads what she may not")
		}
		if w := sam.Get("/admin/users/usr_ada"); strings.Contains(w.Body, "/edit") || strings.Contains(w.Body, "Danger zone") {
			t.Error("support is offered changes")
		}

		logins, err := idp.Store.LiveLogins(t.Context(), "usr_grace", time.Now())
		check(t, err)
		if w := root.Post("/admin/users/usr_ada/sign-ins", url.Values{"sid": {logins[0].SID}}); w.Status != http.StatusSeeOther || !signedIn(grace) {
			t.Errorf("somebody else's sign-in ended: status %d", w.Status)
		}
		logins, err = idp.Store.LiveLogins(t.Context(), "usr_ada", time.Now())
		check(t, err)
		if w := root.Post("/admin/users/usr_ada/sign-ins", url.Values{"sid": {logins[0].SID}}); w.Status != http.StatusSeeOther {
			t.Errorf("end one: status %d: %s", w.Status, w.Body)
		}
		if signedIn(ada) == signedIn(elsewhere) {
			t.Error("not one of two sign-ins ended")
		}
		onRecord(t, idp, storage.EventSessionRevoked, "usr_root", "usr_ada")
		if w := root.Post("/admin/users/usr_ada/sign-ins", nil); w.Status != http.StatusSeeOther || signedIn(ada) || signedIn(elsewhere) {
			t.Errorf("end all: status %d", w.Status)
		}
		for range 2 { // the second finds nothing left
			if w := root.Post("/admin/users/usr_ada/applications", url.Values{"client_id": {"app"}}); w.Status != http.StatusSeeOther {
				t.Errorf("end the application: status %d: %s", w.Status, w.Body)
			}
		}
		onRecord(t, idp, storage.EventConsentRevoked, "usr_root", "usr_ada")
		if w := root.Get("/admin/users/usr_ada"); !strings.Contains(w.Body, "They use no application.") {
			t.Error("the application is still there")
		}
	})
}

// E05: what users are called is text, on every page about them.
func TestUserPagesShowText(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	root := inConsole(t, idp, "root")
	for _, text := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `{{.}}`, `' onfocus='alert(1)`} {
		w := root.Post("/admin/users/new", url.Values{"email": {unique("x") + "@example.test"}, "name": {text}, "organization": {text}})
		if w.Status != http.StatusBadRequest || strings.Contains(w.Body, text) && text != `{{.}}` {
			t.Errorf("%q: status %d: %s", text, w.Status, w.Body)
		}
		w = root.Post("/admin/users/new", url.Values{"email": {unique("x") + "@example.test"}, "name": {text}})
		at, _, _ := strings.Cut(w.Header.Get("Location"), "?")
		for _, page := range []string{at, at + "/edit", at + "/grant", at + "/delete", at + "/disable", at + "/password", "/admin/users?q=" + url.QueryEscape(text)} {
			if w := root.Get(page); w.Status != http.StatusOK || strings.Contains(w.Body, text) && text != `{{.}}` {
				t.Errorf("%q at %s: status %d: %s", text, page, w.Status, w.Body)
			}
		}
	}
}
