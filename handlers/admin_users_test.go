package handlers_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// withUserRoles adds roles that change users, and who holds them: uma everywhere, ulf
// within Globex. ora is an administrator of Globex, and grace a member of two.
func withUserRoles(t *testing.T, idp *idptest.IDP) {
	t.Helper()
	sam, err := idp.Store.User(t.Context(), "usr_sam")
	check(t, err)
	now := time.Now()
	addRole(t, idp, "user-admin", `["users:read","users:write"]`)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		for _, name := range []string{"uma", "ulf", "ora"} {
			u := &storage.User{ID: "usr_" + name, Email: name + "@example.test", Name: name, PasswordHash: sam.PasswordHash}
			if err := tx.CreateUser(ctx, u, now); err != nil {
				return err
			}
		}
		if err := tx.GrantRole(ctx, "usr_uma", "user-admin", now); err != nil {
			return err
		}
		if err := tx.AddMember(ctx, "org_globex", "usr_ulf", "user-admin", now); err != nil {
			return err
		}
		return tx.AddMember(ctx, "org_globex", "usr_ora", "admin", now)
	})
}

// addRole adds a role, which only an operator's SQL does so far.
func addRole(t *testing.T, idp *idptest.IDP, name, permissions string) {
	t.Helper()
	execute(t, idp, `INSERT INTO roles (name, permissions) VALUES ($1, $2)`, name, permissions)
}

// execute runs a statement as an operator could.
func execute(t *testing.T, idp *idptest.IDP, statement string, args ...any) {
	t.Helper()
	driver, source := "pgx", idp.DSN
	if file, ok := strings.CutPrefix(idp.DSN, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+file
	}
	db, err := sql.Open(driver, source)
	check(t, err)
	_, err = db.Exec(statement, args...)
	check(t, errors.Join(err, db.Close()))
}

var rowLink = regexp.MustCompile(`<td><a href="/admin/users/([^"]+)">`)

// listed are the users on a page of the list, by id.
func listed(w *idptest.Response) []string {
	ids := []string{}
	for _, m := range rowLink.FindAllStringSubmatch(w.Body, -1) {
		ids = append(ids, strings.TrimPrefix(m[1], "usr_"))
	}
	return ids
}

func TestUsersList(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		withUserRoles(t, idp)
		root, olga, ulf := inConsole(t, idp, "root"), inConsole(t, idp, "olga"), inConsole(t, idp, "ulf")
		all := "ada grace linus olga ora root sam ulf uma"
		for _, c := range []struct {
			b          *idptest.Browser
			path, want string
		}{
			{root, "", all},
			{olga, "", all},
			{ulf, "", "ada grace ora ulf"}, // F08: members of Globex
			{root, "?q=GRA", "grace"},
			{root, "?q=usr_ada", "ada"},
			{root, "?q=nobody", ""},
			{root, "?q=%25", ""},
			{root, "?role=support", "sam"},
			{root, "?role=admin", "ora root"},
			{ulf, "?role=admin", "ora"},
			{root, "?role=%27", ""},
			{root, "?status=active&organization=Initech", "grace linus"},
			{root, "?status=disabled", ""},
			{root, "?organization=org_globex&q=a", "ada grace ora ulf"},
			{root, "?organization=none", ""},
			{ulf, "?organization=Initech", ""}, // whether grace is a member there is none of ulf's business
			{ulf, "?q=linus", ""},
			{ulf, "?q=usr_root", ""},
			{root, "?open=1&q=a", all}, // several
		} {
			w := c.b.Get("/admin/users" + c.path)
			if got := strings.Join(listed(w), " "); w.Status != http.StatusOK || got != c.want {
				t.Errorf("%s: status %d, %q, want %q", c.path, w.Status, got, c.want)
			}
		}
		for name, want := range map[string]int{"ada": http.StatusForbidden, "sam": http.StatusOK} {
			if w := inConsole(t, idp, name).Get("/admin/users"); w.Status != want {
				t.Errorf("%s: status %d, want %d", name, w.Status, want)
			}
		}
		if w := root.Get("/admin/users?open=1&q=grace"); w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/admin/users/usr_grace" {
			t.Errorf("the only match: status %d to %s", w.Status, w.Header.Get("Location"))
		}
		// F09: what no page of ours says.
		for _, bad := range []string{
			"?after=x", "?before=!", "?after=QWRh", "?status=deleted", "?status=active%27", "?q=%00", "?q=%ff", "?q=a&q=b",
			"?q=" + strings.Repeat("a", 201), "?role=" + strings.Repeat("a", 9000), "?organization=%00",
		} {
			if w := root.Get("/admin/users" + bad); w.Status != http.StatusBadRequest {
				t.Errorf("%.30s: status %d", bad, w.Status)
			}
		}
		if w := inConsole(t, idp, "sam").Get("/admin/users"); !strings.Contains(w.Body, `/admin/users/usr_ada?dialog=impersonate`) || strings.Contains(w.Body, `/disable"`) {
			t.Error("support: no link to sign in as, or one to disable")
		}
		if w := olga.Get("/admin/users"); strings.Contains(w.Body, "dialog=") || strings.Contains(w.Body, "/admin/users/new") {
			t.Error("an auditor sees what only others may do")
		}
		if w := ulf.Get("/admin/users"); strings.Contains(w.Body, "Initech") || !strings.Contains(w.Body, `/admin/users/usr_ada/disable"`) {
			t.Errorf("ulf: sees other organizations, or cannot disable: %s", w.Body)
		}
	})
}

// Each user is on one page, whatever their names, also going back.
func TestUsersPages(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			for i := range 60 {
				u := &storage.User{ID: fmt.Sprintf("usr_%02d", i), Email: fmt.Sprintf("m%02d@many.test", i), Name: []string{"Same", "Zoë \"<&", ""}[i%3]}
				if err := tx.CreateUser(ctx, u, time.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		root := inConsole(t, idp, "root")
		var pages [][]string
		seen := map[string]bool{}
		at := "/admin/users?q=many.test"
		for range 5 {
			w := root.Get(at)
			if w.Status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", at, w.Status, w.Body)
			}
			pages = append(pages, listed(w))
			for _, id := range listed(w) {
				if seen[id] {
					t.Errorf("%s is there twice", id)
				}
				seen[id] = true
			}
			next := link(w, "next")
			if next == "" {
				break
			}
			at = next
		}
		if len(seen) != 60 || len(pages) != 3 || len(pages[2]) != 10 {
			t.Fatalf("%d users on %d pages", len(seen), len(pages))
		}
		for i := 1; i >= 0; i-- {
			at = link(root.Get(at), "prev")
			if got := listed(root.Get(at)); !slices.Equal(got, pages[i]) {
				t.Errorf("back to page %d: got %v, want %v", i, got, pages[i])
			}
		}
		if link(root.Get(at), "prev") != "" {
			t.Error("there is something before the first page")
		}
	})
}

var rel = regexp.MustCompile(`<a href="([^"]+)" rel="(\w+)">`)

// link returns the address of a link with a relation, empty where there is none.
func link(w *idptest.Response, relation string) string {
	for _, m := range rel.FindAllStringSubmatch(w.Body, -1) {
		if m[2] == relation {
			return strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	return ""
}

func TestCreateUserInConsole(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		withUserRoles(t, idp)
		const path = "/admin/users/new"
		good := func(pairs ...string) url.Values {
			form := url.Values{"email": {unique("new") + "@example.test"}, "name": {"Eve"}, "new_password": {idptest.Password}}
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return form
		}
		browsers := map[string]*idptest.Browser{}
		for _, name := range []string{"root", "uma", "ulf", "sam", "olga"} {
			browsers[name] = inConsole(t, idp, name)
		}
		for name, c := range map[string]struct {
			who    string
			form   url.Values
			status int
			says   string
		}{
			"everywhere":                  {"root", good("role_everywhere", "support"), http.StatusSeeOther, ""},
			"a member":                    {"root", good("organization", "Globex"), http.StatusSeeOther, ""},
			"by id, with a role":          {"root", good("organization", "org_globex", "role", "admin"), http.StatusSeeOther, ""},
			"without a password":          {"root", good("new_password", ""), http.StatusSeeOther, ""},
			"own organization":            {"ulf", good("organization", "Globex", "role", "user-admin"), http.StatusSeeOther, ""},
			"no organization":             {"ulf", good(), http.StatusBadRequest, "organization"},
			"another organization":        {"ulf", good("organization", "Initech"), http.StatusBadRequest, "organization"},
			"a role one does not hold":    {"ulf", good("organization", "Globex", "role", "support"), http.StatusBadRequest, "role"},
			"everywhere, from within one": {"ulf", good("organization", "Globex", "role_everywhere", "user-admin"), http.StatusBadRequest, "role_everywhere"},
			"more than one holds":         {"uma", good("role_everywhere", "admin"), http.StatusBadRequest, "role_everywhere"},
			"no such role":                {"root", good("role_everywhere", "king"), http.StatusBadRequest, "role_everywhere"},
			"a role, but where":           {"root", good("role", "support"), http.StatusBadRequest, "organization"},
			"no address":                  {"root", good("email", ""), http.StatusBadRequest, "email"},
			"a bad address":               {"root", good("email", "ada"), http.StatusBadRequest, "email"},
			"a bad name":                  {"root", good("name", "a\u202eb"), http.StatusBadRequest, "name"},
			"a short password":            {"root", good("new_password", "short"), http.StatusBadRequest, "new_password"},
			"an address that is taken":    {"root", good("email", "ADA@example.test"), http.StatusConflict, "email"},
			"NUL":                         {"root", good("name", "a\x00"), http.StatusBadRequest, ""},
			"too much":                    {"root", good("name", strings.Repeat("x", 1<<20)), http.StatusRequestEntityTooLarge, ""},
			"support":                     {"sam", good(), http.StatusForbidden, ""},
			"an auditor":                  {"olga", good(), http.StatusForbidden, ""},
		} {
			w := browsers[c.who].Post(path, c.form)
			if w.Status != c.status {
				t.Errorf("%s: status %d, want %d: %s", name, w.Status, c.status, w.Body)
				continue
			}
			if c.says != "" && !strings.Contains(w.Body, `<li><a href="#`+c.says+`">`) {
				t.Errorf("%s: nothing about %s: %s", name, c.says, w.Body)
			}
			if strings.Contains(w.Body, idptest.Password) {
				t.Errorf("%s: the page shows the password", name)
			}
			u, err := idp.Store.UserByEmail(t.Context(), c.form.Get("email"))
			if created := err == nil && u.ID != "usr_ada"; created != (c.status == http.StatusSeeOther) {
				t.Errorf("%s: created is %v", name, created)
			}
			if c.status != http.StatusSeeOther {
				continue
			}
			if w.Header.Get("Location") != "/admin/users/"+u.ID+"?done=user_created" {
				t.Errorf("%s: to %s", name, w.Header.Get("Location"))
			}
			onRecord(t, idp, storage.EventUserCreated, "usr_"+c.who, u.ID)
		}
	})
}

// onRecord returns the latest event of a type about a user, which somebody must have
// caused.
func onRecord(t *testing.T, idp *idptest.IDP, kind storage.EventType, by, subject string) *storage.Event {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = idp.Store.Sequence(t.Context(), "test", time.Now())
		check(t, err)
	}
	events, err := idp.Store.Events(t.Context(), storage.EventFilter{Types: []storage.EventType{kind}, SubjectID: subject, Limit: 1000})
	check(t, err)
	if len(events) == 0 || events[len(events)-1].ActorID != by {
		t.Errorf("no %s about %s by %s", kind, subject, by)
		return &storage.Event{}
	}
	return &events[len(events)-1]
}
