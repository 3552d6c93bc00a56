package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// withRole makes the role first-line.
func withRole(t testing.TB, idp *idptest.IDP, permissions ...string) {
	t.Helper()
	check(t, provider.NewDirectory(idp.Store).CreateRole(t.Context(), &storage.Role{Name: "first-line", Permissions: permissions}, storage.Cause{}, time.Now()))
}

// A14: what a role does not permit any more nobody does any more, from that moment; and
// whom it makes more than their actor nobody acts as.
func TestChangedRoleTakesEffectAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		withRole(t, idp, "users:read", "impersonation:start")
		_, actor := staffed(t, idp, "first-line")
		_, other := staffed(t, idp, "support")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.GrantRole(ctx, "usr_ada", "first-line", time.Now())
		})
		begin := func(name, subject string) string {
			return str(t, idp.Tokens(t, person(t, idp, name).ActAs(subject, idptest.Request(nil))), "access_token")
		}
		active := func(token string) bool {
			return idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}}).JSON(t)["active"] == true
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.RevokeRole(ctx, "usr_ada", "first-line") })
		byHolder, byOther := begin(actor, "usr_ada"), begin(other, "usr_ada")

		var role api.Role
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": ["users:read", "events:read"]}`).Into(t, &role)
		if !slices.Equal(role.Permissions, []api.Permission{"events:read", "users:read"}) || role.BuiltIn {
			t.Errorf("changed: %+v", role)
		}
		if active(byHolder) || !active(byOther) {
			t.Errorf("A14: who lost it acts: %t; who has not acts: %t", active(byHolder), active(byOther))
		}
		b := inConsole(t, idp, actor)
		wantStatus(t, "what was added", b.Get("/admin/events"), http.StatusOK)
		wantStatus(t, "what was removed", b.Get("/admin/users/usr_ada/impersonate"), http.StatusForbidden)

		// A subject who is given more than their actor holds.
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": []}`)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.GrantRole(ctx, "usr_ada", "first-line", time.Now())
		})
		if !active(byOther) {
			t.Error("a role that permits nothing ended something")
		}
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": ["settings:write"]}`)
		if active(byOther) {
			t.Error("A02: somebody acts as a user who may do more than they")
		}
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": ["settings:write"]}`)

		var said []string
		for _, e := range recorded(t, idp, storage.EventRoleUpdated) {
			said = append(said, fmt.Sprint(e.Data["role"], e.Data["permissions"], e.Data["added"], e.Data["removed"]))
			if !strings.HasPrefix(e.ActorID, "key_") || e.RequestID == "" {
				t.Errorf("G01: %+v", e)
			}
		}
		if want := []string{
			"first-line[events:read users:read] [events:read] [impersonation:start]", "first-line[] [] [events:read users:read]",
			"first-line[settings:write] [settings:write] []",
		}; !slices.Equal(said, want) {
			t.Errorf("G01: got %q, want %q", said, want)
		}
	})
}

// A02: nobody makes a role more than they are, or less of what they are not; the built-in
// ones stay as they are; and somebody is left who may give roles.
func TestWhoChangesRoles(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		withRole(t, idp, "users:read", "users:write", "keys:write")
		all, less := everyPermission(t, idp), idp.APIKey(t, "users:read", "users:write")
		for _, c := range []struct {
			what, key, role, permissions string
			status                       int
			code                         string
		}{
			{"more than the caller holds", less, "first-line", `["users:read", "users:write", "keys:write"]`, http.StatusForbidden, "not_permitted"},
			{"less of what the caller does not hold", less, "first-line", `["users:read"]`, http.StatusForbidden, "not_permitted"},
			{"of an organization", idp.LocalAPIKey(t, "org_globex", provider.Permissions()...), "first-line", `[]`, http.StatusForbidden, "insufficient_permission"},
			{"without the permission", idp.APIKey(t, "users:read"), "first-line", `[]`, http.StatusForbidden, "insufficient_permission"},
			{"built in", all, "auditor", `[]`, http.StatusConflict, "conflict"},
			{"the administrators", all, "admin", `[]`, http.StatusConflict, "conflict"},
			{"nothing of the kind", all, "emperor", `[]`, http.StatusNotFound, "not_found"},
			{"no such permission", all, "first-line", `["all"]`, http.StatusBadRequest, "invalid_request"},
			{"twice the same", all, "first-line", `["users:read", "users:read"]`, http.StatusBadRequest, "invalid_request"},
		} {
			w := ask(t, idp, c.key, c.status, http.MethodPatch, "/roles/"+c.role, `{"permissions": `+c.permissions+`}`)
			if p := w.Problem(t); p.Code != c.code {
				t.Errorf("%s: %+v", c.what, p)
			}
		}
		ask(t, idp, all, http.StatusBadRequest, http.MethodPatch, "/roles/first-line", `{}`)

		// The last who may give roles.
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.GrantRole(ctx, "usr_olga", "first-line", time.Now()); err != nil {
				return err
			}
			return tx.RevokeRole(ctx, "usr_root", "admin")
		})
		if p := ask(t, idp, all, http.StatusConflict, http.MethodPatch, "/roles/first-line", `{"permissions": ["users:read"]}`).Problem(t); p.Code != "conflict" {
			t.Errorf("nobody is left: %+v", p)
		}
		ask(t, idp, all, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": ["users:write"]}`)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.GrantRole(ctx, "usr_root", "admin", time.Now())
		})
		ask(t, idp, all, http.StatusOK, http.MethodPatch, "/roles/first-line", `{"permissions": []}`)
		if changes := recorded(t, idp, storage.EventRoleUpdated); len(changes) != 2 {
			t.Errorf("G01: %+v", changes)
		}
	})
}

// A role from the first to the last of what the console does to one, by whom it may be done.
func TestConsoleRoles(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		root := inConsole(t, idp, "root")
		checked := func(name string, permissions ...string) url.Values {
			form := url.Values{"name": {name}}
			for _, p := range permissions {
				form.Set("permissions."+p, "on")
			}
			return form
		}
		const role = "/admin/roles/first-line"
		w := root.Post("/admin/roles", checked(" first-line ", "users:read", "impersonation:start"))
		if w.Status != http.StatusSeeOther || w.Location().Path != role {
			t.Fatalf("create: %d %.1000s", w.Status, w.Body)
		}
		for name, form := range map[string]url.Values{"taken": checked("first-line", "users:read"), "bad": checked("First Line"), "built in": checked("admin")} {
			w := root.Post("/admin/roles", form)
			if w.Status != http.StatusBadRequest || w.Element("error-summary") == nil || filledIn(t, w, "role-form").Get("name") != form.Get("name") {
				t.Errorf("%s: status %d", name, w.Status)
			}
		}
		_, holder := staffed(t, idp, "first-line")
		if w := root.Get("/admin/roles"); !strings.Contains(w.Body, `href="/admin/users?role=first-line"`) || strings.Contains(w.Body, `href="/admin/users?role=app-admin"`) {
			t.Errorf("list: %d %.3000s", w.Status, w.Body)
		}
		if w := root.Get("/admin/users?role=first-line"); !strings.Contains(w.Body, "usr_"+holder) {
			t.Errorf("who holds it: %d", w.Status)
		}
		if w := root.Get(role); filledIn(t, w, "role-form").Get("permissions.impersonation:start") != "on" || w.Element("delete-form") != nil {
			t.Errorf("the page: %d %.3000s", w.Status, w.Body)
		}
		wantStatus(t, "change", root.Post(role, checked("", "users:read")), http.StatusSeeOther)
		wantStatus(t, "held", root.Post(role+"/delete", nil), http.StatusConflict)
		if w := root.Get("/admin/roles/admin"); w.Status != http.StatusOK || w.Element("role-form") != nil {
			t.Errorf("built in: %d", w.Status)
		}
		wantStatus(t, "built in", root.Post("/admin/roles/auditor", checked("", "users:read")), http.StatusConflict)
		wantStatus(t, "nothing of the kind", root.Get("/admin/roles/emperor"), http.StatusNotFound)
		wantStatus(t, "nothing of the kind", root.Post("/admin/roles/emperor", nil), http.StatusNotFound)

		check(t, provider.NewDirectory(idp.Store).CreateRole(t.Context(), &storage.Role{Name: "lead", Permissions: storage.List{"users:read", "users:write"}}, storage.Cause{}, time.Now()))
		lead, _ := staffed(t, idp, "lead")
		if w := lead.Get("/admin/roles"); w.Element("role-form") == nil || strings.Contains(w.Body, `name="permissions.keys:write"`) {
			t.Errorf("A02: a lead is offered %d %.2000s", w.Status, w.Body)
		}
		wantStatus(t, "A02 more than they hold", lead.Post("/admin/roles", checked("more", "keys:write")), http.StatusBadRequest)
		wantStatus(t, "A02 more than they hold", lead.Post(role, checked("", "keys:write")), http.StatusForbidden)
		wantStatus(t, "A02 their own", lead.Post("/admin/roles/lead", checked("", "users:read")), http.StatusForbidden)
		if w := lead.Get("/admin/roles/lead"); w.Element("role-form") != nil || !strings.Contains(w.Body, "Nobody changes what they may do themselves.") {
			t.Errorf("their own: %d", w.Status)
		}
		sam := inConsole(t, idp, "sam")
		if w := sam.Get(role); w.Status != http.StatusOK || w.Element("role-form") != nil {
			t.Errorf("who only reads: %d", w.Status)
		}
		wantStatus(t, "who only reads", sam.Post(role, checked("", "users:read")), http.StatusForbidden)
		wantStatus(t, "a member", person(t, idp, "ada").Get("/admin/roles"), http.StatusForbidden)

		check(t, provider.NewDirectory(idp.Store).RevokeRole(t.Context(), "usr_"+holder, "first-line", "", storage.Cause{}, time.Now()))
		wantStatus(t, "delete", root.Post(role+"/delete", nil), http.StatusSeeOther)
		wantStatus(t, "it is gone", root.Get(role), http.StatusNotFound)
		for kind, want := range map[storage.EventType]int{storage.EventRoleCreated: 2, storage.EventRoleUpdated: 1, storage.EventRoleDeleted: 1} {
			if events := recorded(t, idp, kind); len(events) != want {
				t.Errorf("G01 %s: %+v", kind, events)
			}
		}
	})
}
