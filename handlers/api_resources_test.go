package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// manyCalls is for tests that call more often than a caller may.
var manyCalls = handlers.Config{CallsPerSecond: 1_000_000}

// everyPermission are the permissions of an administrator.
func everyPermission(t testing.TB, idp *idptest.IDP) string {
	t.Helper()
	return idp.APIKey(t, provider.Permissions()...)
}

// ask calls the API and wants a status.
func ask(t testing.TB, idp *idptest.IDP, key string, status int, method, path string, body any) *idptest.Response {
	t.Helper()
	w := idp.API(t, key, method, path, body)
	if w.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Status, status, w.Body)
	}
	return w
}

// A role of an operator's own: a rule asks about it, nobody makes one that holds more than
// they do, and it stays while somebody holds it.
func TestAPIRoles(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key, less := everyPermission(t, idp), idp.APIKey(t, "users:read", "users:write")
		refused := func(what, key string, status int, code, method, path string, body any) {
			t.Helper()
			if p := ask(t, idp, key, status, method, path, body).Problem(t); p.Code != code {
				t.Errorf("%s: got %+v", what, p)
			}
		}
		var made api.Role
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/roles", `{"name": "first-line", "permissions": ["users:read", "impersonation:start"]}`).Into(t, &made)
		if made.Name != "first-line" || made.BuiltIn || !slices.Equal(made.Permissions, []api.Permission{"impersonation:start", "users:read"}) {
			t.Errorf("made: %+v", made)
		}
		ask(t, idp, less, http.StatusCreated, http.MethodPost, "/roles", `{"name": "contractor", "permissions": []}`)
		var all api.RoleList
		ask(t, idp, less, http.StatusOK, http.MethodGet, "/roles", nil).Into(t, &all)
		if len(all.Data) != 6 {
			t.Errorf("all: %+v", all)
		}
		refused("the same", key, http.StatusConflict, "already_exists", http.MethodPost, "/roles", `{"name": "contractor", "permissions": []}`)
		refused("one built in", key, http.StatusConflict, "already_exists", http.MethodPost, "/roles", `{"name": "admin", "permissions": []}`)
		refused("A02: more than the caller holds", less, http.StatusForbidden, "not_permitted", http.MethodPost, "/roles", `{"name": "more", "permissions": ["users:read", "keys:write"]}`)
		refused("F08: of an organization", idp.LocalAPIKey(t, "org_globex", provider.Permissions()...), http.StatusForbidden, "insufficient_permission",
			http.MethodPost, "/roles", `{"name": "more", "permissions": []}`)
		for _, name := range []string{"Admin", "a b", ".", "", "\u0430dmin", "admin\u200b"} {
			refused(name, key, http.StatusBadRequest, "invalid_request", http.MethodPost, "/roles", `{"name": "`+name+`", "permissions": []}`)
		}
		refused("no such permission", key, http.StatusBadRequest, "invalid_request", http.MethodPost, "/roles", `{"name": "x", "permissions": ["all"]}`)

		setPolicy(t, idp, denying("contractors", `"contractor" in actor.roles_anywhere`, "Not you."))
		about := `{"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "app"}`
		for _, role := range []string{"", "contractor"} {
			if role != "" {
				ask(t, idp, key, http.StatusOK, http.MethodPost, "/users/usr_sam/roles", `{"role": "contractor"}`)
			}
			var e api.Explanation
			if ask(t, idp, key, http.StatusOK, http.MethodPost, "/impersonations/explain", about).Into(t, &e); e.Allowed != (role == "") {
				t.Errorf("with the role %q: %+v", role, e)
			}
		}
		refused("one that is held", key, http.StatusConflict, "conflict", http.MethodDelete, "/roles/contractor", nil)
		ask(t, idp, key, http.StatusOK, http.MethodDelete, "/users/usr_sam/roles/contractor", nil)
		ask(t, idp, key, http.StatusOK, http.MethodPut, "/organizations/org_globex/members/usr_ada", `{"role": "contractor"}`)
		refused("one that is held within an organization", key, http.StatusConflict, "conflict", http.MethodDelete, "/roles/contractor", nil)
		ask(t, idp, key, http.StatusOK, http.MethodPut, "/organizations/org_globex/members/usr_ada", `{}`)
		ask(t, idp, less, http.StatusNoContent, http.MethodDelete, "/roles/contractor", nil)
		refused("it is gone", key, http.StatusNotFound, "not_found", http.MethodDelete, "/roles/contractor", nil)
		refused("one built in", key, http.StatusConflict, "conflict", http.MethodDelete, "/roles/auditor", nil)
		refused("A02: of more than the caller holds", less, http.StatusForbidden, "not_permitted", http.MethodDelete, "/roles/first-line", nil)
		kinds := map[storage.EventType]int{}
		for _, e := range events(t, idp, func(e storage.Event) bool { return e.Data["role"] == "contractor" }) {
			kinds[e.Type]++
		}
		if kinds[storage.EventRoleCreated] != 1 || kinds[storage.EventRoleDeleted] != 1 {
			t.Errorf("G01: %v", kinds)
		}
	})
}

// A user from the first to the last of what the API does to one, and what is on the
// record of it.
func TestAPIUsers(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		var u api.UserDetail
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/users", `{
			"id": "usr_new", "email": "New@example.test", "email_verified": true, "name": "New One", "given_name": "New",
			"address": {"country": "Germany", "locality": "Berlin"}, "phone_number": "+49 30 2", "locale": "de-DE", "password": "a password of theirs",
			"roles": ["auditor"], "organizations": [{"organization_id": "org_globex", "role": "support"}, {"organization_id": "org_initech"}]
		}`).Into(t, &u)
		if u.ID != "usr_new" || u.Address == nil || *u.Address.Country != "Germany" || !u.HasPassword || !slices.Equal(u.Roles, []string{"auditor"}) ||
			len(u.Organizations) != 2 || u.Organizations[0].Name != "Globex" || *u.Organizations[0].Role != "support" || u.Organizations[1].Role != nil {
			t.Errorf("created: %+v", u)
		}
		u = api.UserDetail{}
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/users/usr_new", `{"email": "newer@example.test", "given_name": "", "nickname": "Newt", "never_impersonate": true}`).Into(t, &u)
		if u.Email != "newer@example.test" || u.EmailVerified || u.GivenName != nil || *u.Nickname != "Newt" || *u.Name != "New One" || !u.NeverImpersonate {
			t.Errorf("changed: %+v", u)
		}
		b := idp.Browser(t)
		w := b.Post("/login", url.Values{"username": {"newer@example.test"}, "password": {"a password of theirs"}})
		wantStatus(t, "sign in", w, http.StatusSeeOther)
		var sessions api.SessionList
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/users/usr_new/sessions", nil).Into(t, &sessions)
		if len(sessions.Data) != 1 {
			t.Fatalf("sessions: %+v", sessions)
		}
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/users/usr_ada/sessions/"+sessions.Data[0].ID, nil)
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/users/usr_new/sessions/"+sessions.Data[0].ID, nil)
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/users/usr_new/sessions", nil)
		ask(t, idp, key, http.StatusNoContent, http.MethodPut, "/users/usr_new/password", `{"password": "another password"}`)
		ask(t, idp, key, http.StatusBadRequest, http.MethodPut, "/users/usr_new/password", `{"password": "short"}`)

		ask(t, idp, key, http.StatusOK, http.MethodPost, "/users/usr_new/roles", `{"role": "support"}`)
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/users/usr_new/roles", `{"role": "auditor", "organization_id": "org_initech"}`)
		u = api.UserDetail{}
		ask(t, idp, key, http.StatusOK, http.MethodDelete, "/users/usr_new/roles/support?organization_id=org_globex", nil).Into(t, &u)
		if !slices.Equal(u.Roles, []string{"auditor", "support"}) || u.Organizations[0].Role != nil || *u.Organizations[1].Role != "auditor" {
			t.Errorf("roles: %+v", u)
		}
		ask(t, idp, key, http.StatusOK, http.MethodDelete, "/users/usr_new/roles/support", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/users/usr_new/roles/support", nil)

		u = api.UserDetail{}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/users/usr_new/disable", nil).Into(t, &u)
		if u.Status != "disabled" {
			t.Errorf("disabled: %+v", u)
		}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/users/usr_new/enable", nil)
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/users/usr_new", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodGet, "/users/usr_new", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/users/usr_new", nil)
		ask(t, idp, key, http.StatusConflict, http.MethodPost, "/users", `{"id": "usr_new", "email": "x@example.test"}`)

		caller, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
		check(t, err)
		var types []string
		for _, e := range events(t, idp, func(e storage.Event) bool { return e.SubjectID == "usr_new" && e.ActorID != "usr_new" }) {
			types = append(types, string(e.Type))
			if e.ActorID != caller.ID {
				t.Errorf("%s is by %q, want the key %s", e.Type, e.ActorID, caller.ID)
			}
		}
		for _, want := range []storage.EventType{
			storage.EventUserCreated, storage.EventUserUpdated, storage.EventSessionRevoked, storage.EventUserPasswordChanged, storage.EventUserRoleGranted,
			storage.EventUserRoleRevoked, storage.EventMemberAdded, storage.EventUserDisabled, storage.EventUserEnabled, storage.EventUserDeleted,
		} {
			if !slices.Contains(types, string(want)) {
				t.Errorf("no %s in %v", want, types)
			}
		}
	})
}

// F08, D14: what a key that may change users may not, from one that is allowed.
func TestAPIReach(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: manyCalls})
	const found, refused, hidden = http.StatusOK, http.StatusForbidden, http.StatusNotFound
	enroll(t, idp, "boss", "")
	enroll(t, idp, "both", "")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		if err := tx.AddMember(ctx, "org_globex", "usr_boss", "support", time.Now()); err != nil {
			return err
		}
		for _, o := range []string{"org_globex", "org_initech"} {
			if err := tx.AddMember(ctx, o, "usr_both", "", time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	writer := idp.APIKey(t, "users:read", "users:write", "organizations:write")
	local := idp.LocalAPIKey(t, "org_globex", "users:read", "users:write", "organizations:write", "clients:write")
	supporter := idp.APIKey(t, "users:read", "users:write", "organizations:write", "impersonation:start", "impersonation:read")
	for _, c := range []struct {
		what, key    string
		status       int
		method, path string
		body         string
	}{
		{"who has no rights", writer, found, http.MethodPost, "/users/usr_ada/disable", ""},
		{"who has more rights", writer, refused, http.MethodPost, "/users/usr_root/disable", ""},
		{"who has more rights: password", writer, refused, http.MethodPut, "/users/usr_sam/password", `{"password": "a new password"}`},
		{"who has more rights: address", writer, refused, http.MethodPatch, "/users/usr_sam", `{"email": "x@example.test"}`},
		{"who has more rights: sessions", writer, refused, http.MethodDelete, "/users/usr_sam/sessions", ""},
		{"who has more rights: delete", writer, refused, http.MethodDelete, "/users/usr_sam", ""},
		{"who has as many rights", supporter, found, http.MethodPost, "/users/usr_sam/enable", ""},
		{"a role that is more", writer, refused, http.MethodPost, "/users/usr_ada/roles", `{"role": "support"}`},
		{"a role that is as much", supporter, found, http.MethodPost, "/users/usr_linus/roles", `{"role": "support"}`},
		{"to take away what is more", writer, refused, http.MethodDelete, "/users/usr_sam/roles/support", ""},
		{"to be born with more", writer, refused, http.MethodPost, "/users", `{"email": "evil@example.test", "roles": ["admin"]}`},
		{"to be born with more somewhere", writer, refused, http.MethodPost, "/users", `{"email": "evil@example.test", "organizations": [{"organization_id": "org_globex", "role": "admin"}]}`},
		{"a membership with more", writer, refused, http.MethodPut, "/organizations/org_globex/members/usr_linus", `{"role": "admin"}`},
		{"a membership", writer, found, http.MethodPut, "/organizations/org_globex/members/usr_linus", `{}`},

		{"local: a member", local, found, http.MethodPatch, "/users/usr_ada", `{"nickname": "A"}`},
		{"local: a member with more rights", local, refused, http.MethodPatch, "/users/usr_boss", `{"nickname": "A"}`},
		{"local: a member of others, too", local, refused, http.MethodPatch, "/users/usr_both", `{"nickname": "A"}`},
		{"local: to vouch", local, refused, http.MethodPatch, "/users/usr_ada", `{"email": "b@example.test", "email_verified": true}`},
		{"local: to change an address", local, found, http.MethodPatch, "/users/usr_ada", `{"email": "c@example.test"}`},
		{"local: to protect", local, found, http.MethodPatch, "/users/usr_ada", `{"never_impersonate": true}`},
		{"local: to unprotect", local, refused, http.MethodPatch, "/users/usr_ada", `{"never_impersonate": false}`},
		{"local: a role everywhere", local, refused, http.MethodPost, "/users/usr_ada/roles", `{"role": "auditor"}`},
		{"local: somebody else's member", local, hidden, http.MethodPatch, "/users/usr_grace2", `{"nickname": "A"}`},
		{"local: to fetch a member from elsewhere", local, hidden, http.MethodPut, "/organizations/org_globex/members/usr_olga", `{}`},
		{"local: another organization", local, hidden, http.MethodGet, "/organizations/org_initech", ""},
		{"local: another organization's name", local, hidden, http.MethodPatch, "/organizations/org_initech", `{"name": "X"}`},
		{"local: another organization's members", local, hidden, http.MethodGet, "/organizations/org_initech/members", ""},
		{"local: into another organization", local, hidden, http.MethodPut, "/organizations/org_initech/members/usr_ada", `{}`},
		{"local: users of another organization", local, hidden, http.MethodGet, "/users?organization_id=org_initech", ""},
		{"local: no organization", local, refused, http.MethodPost, "/users", `{"email": "evil@example.test"}`},
		{"local: another organization for a new user", local, refused, http.MethodPost, "/users", `{"email": "evil@example.test", "organizations": [{"organization_id": "org_initech"}]}`},
		{"local: an organization that is not there", local, refused, http.MethodPost, "/users", `{"email": "evil@example.test", "organizations": [{"organization_id": "org_nowhere"}]}`},
		{"local: a verified address", local, refused, http.MethodPost, "/users", `{"email": "evil@example.test", "email_verified": true, "organizations": [{"organization_id": "org_globex"}]}`},
		{"local: a new user", local, http.StatusCreated, http.MethodPost, "/users", `{"email": "fine@example.test", "organizations": [{"organization_id": "org_globex"}]}`},
		{"local: clients", local, refused, http.MethodPost, "/clients", `{"client_name": "x"}`},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		if w := idp.API(t, c.key, c.method, c.path, body); w.Status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.what, w.Status, c.status, w.Body)
		}
	}
}

func TestAPIOrganizations(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/organizations", `{"id": "org_hooli", "name": "Hooli"}`)
		ask(t, idp, key, http.StatusConflict, http.MethodPost, "/organizations", `{"name": "Hooli"}`)
		ask(t, idp, key, http.StatusConflict, http.MethodPatch, "/organizations/org_hooli", `{"name": "Globex"}`)
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/organizations/org_hooli", `{"name": "Hooli XYZ"}`)
		ask(t, idp, key, http.StatusNotFound, http.MethodGet, "/organizations/Globex", nil) // a name
		var list api.OrganizationList
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/organizations", nil).Into(t, &list)
		if len(list.Data) != 3 || list.Data[1].Name != "Hooli XYZ" {
			t.Errorf("list: %+v", list)
		}
		var m api.Member
		ask(t, idp, key, http.StatusOK, http.MethodPut, "/organizations/org_hooli/members/usr_ada", `{"role": "support"}`).Into(t, &m)
		if m.Role == nil || *m.Role != "support" {
			t.Errorf("member: %+v", m)
		}
		m = api.Member{}
		ask(t, idp, key, http.StatusOK, http.MethodPut, "/organizations/org_hooli/members/usr_ada", `{}`).Into(t, &m)
		if m.Role != nil || m.Email != "ada@example.test" || m.JoinedAt.IsZero() {
			t.Errorf("member: %+v", m)
		}
		ask(t, idp, key, http.StatusBadRequest, http.MethodPut, "/organizations/org_hooli/members/usr_ada", `{"role": "emperor"}`)
		ask(t, idp, key, http.StatusNotFound, http.MethodPut, "/organizations/org_hooli/members/usr_nobody", `{}`)
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/organizations/org_hooli/members/usr_ada", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/organizations/org_hooli/members/usr_ada", nil)
	})
}

func TestAPIClients(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		var c api.ClientWithSecret
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/clients", `{
			"client_id": "shop", "client_name": "Shop", "redirect_uris": ["https://shop.example/cb"], "default_max_age": 60, "allow_impersonation": true
		}`).Into(t, &c)
		if c.Type != "web" || c.ClientSecret == nil || !c.RequirePkce || c.DefaultMaxAge == nil || *c.DefaultMaxAge != 60 || !c.AllowImpersonation {
			t.Errorf("created: %+v", c)
		}
		first := *c.ClientSecret
		c = api.ClientWithSecret{}
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/clients/shop", `{"client_name": "Shop 2", "default_max_age": null, "redirect_uris": ["https://shop.example/a", "https://shop.example/b"]}`).Into(t, &c)
		if c.ClientName != "Shop 2" || c.DefaultMaxAge != nil || len(c.RedirectUris) != 2 || c.ClientSecret != nil || !c.AllowImpersonation {
			t.Errorf("changed: %+v", c)
		}
		for _, wrong := range []string{
			`{"type": "spa"}`, `{"client_id": "other"}`, `{"client_secret": "x"}`, `{"redirect_uris": ["http://shop.example/"]}`, `{"status": "disabled"}`,
			`{"redirect_uris": null}`, `{"grant_types": ["password"]}`, `{"client_name": ""}`,
		} {
			ask(t, idp, key, http.StatusBadRequest, http.MethodPatch, "/clients/shop", wrong)
		}
		var stored object
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/clients/shop", nil).Into(t, &stored)
		for member, value := range stored {
			if _, text := value.(string); !text {
				continue
			}
			w := idp.API(t, key, http.MethodPatch, "/clients/shop", object{member: ""})
			if w.Status != http.StatusOK && w.Status != http.StatusBadRequest {
				t.Errorf("%s empty: status %d: %s", member, w.Status, w.Body)
			}
		}
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/clients/shop", nil).Into(t, &c)
		if c.ClientName != "Shop 2" || c.SubjectType != "public" {
			t.Errorf("members without a value: %+v", c)
		}
		updates := len(recorded(t, idp, storage.EventClientUpdated))
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/clients/shop", object{"subject_type": ""})
		if now := len(recorded(t, idp, storage.EventClientUpdated)); now != updates {
			t.Errorf("no subject_type for a public one: %d events", now-updates)
		}
		c = api.ClientWithSecret{}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/clients/shop/rotate-secret", nil).Into(t, &c)
		authenticates := func(secret string) bool {
			return idp.Call("/oauth2/introspect", "shop", secret, url.Values{"token": {"x"}}).Status == http.StatusOK
		}
		if !authenticates(*c.ClientSecret) || !authenticates(first) {
			t.Error("rotated: both secrets have to work")
		}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/clients/shop/drop-previous-secret", nil)
		if !authenticates(*c.ClientSecret) || authenticates(first) {
			t.Error("dropped: the new secret only has to work")
		}
		before := *c.ClientSecret
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/clients/shop/rotate-secret", `{"keep_previous": false}`).Into(t, &c)
		if !authenticates(*c.ClientSecret) || authenticates(before) {
			t.Error("rotated at once: the new secret only has to work")
		}
		ask(t, idp, key, http.StatusConflict, http.MethodPost, "/clients/public/rotate-secret", nil)
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/clients/shop/disable", nil)
		var shown api.OAuthClient
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/clients/shop", nil).Into(t, &shown)
		if shown.Status != "disabled" {
			t.Errorf("disabled: %+v", shown)
		}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/clients/shop/enable", nil)
		var list api.ClientList
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/clients?type=web&status=active", nil).Into(t, &list)
		if len(list.Data) < 2 {
			t.Errorf("list: %+v", list)
		}
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/clients/shop", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodGet, "/clients/shop", nil)
	})
}

// A client whose scope names permissions is a caller: nobody gets at one through
// clients:write who does not hold them (SECURITY F08).
func TestAPIClientsOfPermissions(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	clients, users := idp.APIKey(t, "clients:read", "clients:write"), idp.APIKey(t, "clients:read", "clients:write", "users:read")
	machine := func(id, scope string) string {
		return `{"client_id": "` + id + `", "client_name": "M", "type": "service", "audience": ["` + idptest.Issuer + `"], "scope": "` + scope + `"}`
	}
	ask(t, idp, clients, http.StatusForbidden, http.MethodPost, "/clients", machine("m", "users:read"))
	ask(t, idp, users, http.StatusForbidden, http.MethodPost, "/clients", machine("m", "users:read users:write"))
	ask(t, idp, users, http.StatusCreated, http.MethodPost, "/clients", machine("m", "users:read jobs:run"))
	ask(t, idp, clients, http.StatusCreated, http.MethodPost, "/clients", machine("plain", "jobs:run"))
	ask(t, idp, clients, http.StatusForbidden, http.MethodPatch, "/clients/plain", `{"scope": "jobs:run users:read"}`)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPatch, "/clients/m", `{"client_name": "Mine"}`},
		{http.MethodPatch, "/clients/m", `{"scope": "jobs:run"}`},
		{http.MethodPost, "/clients/m/rotate-secret", `{}`},
		{http.MethodPost, "/clients/m/drop-previous-secret", `{}`},
		{http.MethodPost, "/clients/m/disable", `{}`},
		{http.MethodDelete, "/clients/m", `{}`},
	} {
		w := ask(t, idp, clients, http.StatusForbidden, c.method, c.path, c.body)
		if p := w.Problem(t); p.Code != "not_permitted" {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
	ask(t, idp, users, http.StatusOK, http.MethodPost, "/clients/m/rotate-secret", `{}`)

	// In the console no less.
	enroll(t, idp, "keeper", "app-admin")
	b := inConsole(t, idp, "keeper")
	w := b.Post("/admin/clients/m/secret", url.Values{"password": {idptest.Password}})
	if w.Status != http.StatusForbidden || !strings.Contains(w.Body, "You may not change this application") {
		t.Errorf("console: %d %s", w.Status, w.Body)
	}
}

func TestAPIImpersonations(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		one, two := begun(t, idp), begun(t, idp)
		key, reader := everyPermission(t, idp), idp.APIKey(t, "impersonation:read")
		list := func(key, query string) (ids []string) {
			t.Helper()
			var l api.ImpersonationList
			ask(t, idp, key, http.StatusOK, http.MethodGet, "/impersonations?"+query, nil).Into(t, &l)
			for _, i := range l.Data {
				ids = append(ids, i.ID)
			}
			return ids
		}
		if got := list(reader, "status=running&actor_id=usr_"+one.actor); !slices.Equal(got, []string{one.id}) {
			t.Errorf("by the actor: %v", got)
		}
		if got := list(reader, "user_id=usr_"+two.subject+"&client_id="+two.client); !slices.Equal(got, []string{two.id}) {
			t.Errorf("by subject and client: %v", got)
		}
		var i api.Impersonation
		ask(t, idp, reader, http.StatusOK, http.MethodGet, "/impersonations/"+one.id, nil).Into(t, &i)
		if i.Status != "running" || i.ActorID != "usr_"+one.actor || i.UserID != "usr_"+one.subject || i.Reason == "" || i.Entry != "consent" {
			t.Errorf("shown: %+v", i)
		}
		ask(t, idp, reader, http.StatusForbidden, http.MethodPost, "/impersonations/"+one.id+"/stop", nil)
		ask(t, idp, idp.LocalAPIKey(t, "org_globex", "impersonation:stop_any"), http.StatusNotFound, http.MethodPost, "/impersonations/"+one.id+"/stop", nil)
		i = api.Impersonation{}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/impersonations/"+one.id+"/stop", nil).Into(t, &i)
		caller, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
		check(t, err)
		if i.Status != "ended" || i.EndedBy == nil || *i.EndedBy != caller.ID || *i.EndReason != "stopped" {
			t.Errorf("stopped: %+v", i)
		}
		one.wantDead(t)
		ask(t, idp, key, http.StatusConflict, http.MethodPost, "/impersonations/"+one.id+"/stop", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodPost, "/impersonations/imp_none/stop", nil)
		if got := list(reader, "status=ended&actor_id=usr_"+one.actor); !slices.Equal(got, []string{one.id}) {
			t.Errorf("ended: %v", got)
		}
		ask(t, idp, key, http.StatusNoContent, http.MethodPost, "/impersonations/stop", nil)
		two.wantDead(t)
	})
}

// F08: what staff of one organization asked a user is nothing for a key of another.
func TestAPISupportRequestsReach(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		asked := map[string]string{} // the user's name and the actor's to the id of the request
		for _, organization := range []string{"org_globex", "org_initech"} {
			name := unique("local")
			enroll(t, idp, name, "")
			within(t, idp, name, "support", organization)
			asked["grace "+organization] = requested(t, idp, "usr_grace", "usr_"+name)
		}
		asked["ada"] = requested(t, idp, "usr_ada", "usr_sam")
		for _, c := range []struct {
			key, user string
			want      []string
		}{
			{idp.APIKey(t, "users:read"), "usr_grace", []string{asked["grace org_globex"], asked["grace org_initech"]}},
			{idp.LocalAPIKey(t, "org_globex", "users:read"), "usr_grace", []string{asked["grace org_globex"]}},
			{idp.LocalAPIKey(t, "org_initech", "users:read"), "usr_grace", []string{asked["grace org_initech"]}},
			{idp.LocalAPIKey(t, "org_globex", "users:read"), "usr_ada", []string{asked["ada"]}}, // who belongs nowhere else
		} {
			var said api.SupportAccess
			ask(t, idp, c.key, http.StatusOK, http.MethodGet, "/users/"+c.user+"/support-access", nil).Into(t, &said)
			var got []string
			for _, r := range said.Requests {
				got = append(got, r.ID)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", c.user, got, c.want)
			}
		}
	})
}

// requested asks a user for support access in somebody's place.
func requested(t *testing.T, idp *idptest.IDP, user, actor string) string {
	t.Helper()
	var r api.SupportRequest
	ask(t, idp, idp.APIKey(t, "impersonation:start"), http.StatusCreated, http.MethodPost, "/users/"+user+"/support-access/requests",
		`{"actor_id": "`+actor+`", "reason": "Cannot see invoice 4711"}`).Into(t, &r)
	return r.ID
}

func TestAPISettings(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	key := everyPermission(t, idp)
	var s api.Settings
	ask(t, idp, key, http.StatusOK, http.MethodPatch, "/settings", `{"support_access": "required"}`).Into(t, &s)
	if !s.ImpersonationEnabled || s.SupportAccess != "required" {
		t.Errorf("got %+v", s)
	}
	var said api.SupportAccess
	ask(t, idp, key, http.StatusOK, http.MethodGet, "/users/usr_ada/support-access", nil).Into(t, &said)
	if said.Mode != "none" || len(said.Requests) != 0 {
		t.Errorf("got %+v", said)
	}
	wish := `{"actor_id": "%s", "client_id": "%s", "reason": "Cannot see invoice 4711", "ticket_ref": "SUP-1"}`
	var r api.SupportRequest
	ask(t, idp, key, http.StatusCreated, http.MethodPost, "/users/usr_ada/support-access/requests", fmt.Sprintf(wish, "usr_sam", "app")).Into(t, &r)
	if r.Status != "pending" || r.ActorID != "usr_sam" || r.UserID != "usr_ada" || *r.ClientID != "app" {
		t.Errorf("asked: %+v", r)
	}
	caller, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
	check(t, err)
	if e := about(t, idp, "usr_ada", storage.EventSupportAccessRequested); len(e) != 1 || e[0].ActorID != "usr_sam" || e[0].Data["caller"] != caller.ID {
		t.Errorf("that a program asked is not on the record: %+v", e)
	}
	for actor, client := range map[string]string{"usr_ada": "app", "usr_linus": "app", "usr_nobody": "app"} {
		w := ask(t, idp, key, http.StatusForbidden, http.MethodPost, "/users/usr_ada/support-access/requests", fmt.Sprintf(wish, actor, client))
		if p := w.Problem(t); p.Code != "impersonation_denied" || p.Denial == nil {
			t.Errorf("%s: %s", actor, w.Body)
		}
	}
	denied := events(t, idp, func(e storage.Event) bool {
		return e.Type == storage.EventImpersonationDenied && e.Data["caller"] == caller.ID
	})
	if len(denied) != 3 {
		t.Errorf("refusals on the record: %+v", denied)
	}
	ask(t, idp, key, http.StatusBadRequest, http.MethodPost, "/users/usr_ada/support-access/requests", fmt.Sprintf(wish, "usr_sam", "nothing"))
	ask(t, idp, key, http.StatusOK, http.MethodPatch, "/settings", `{"support_access": "managed"}`)
	ask(t, idp, key, http.StatusConflict, http.MethodPost, "/users/usr_ada/support-access/requests", fmt.Sprintf(wish, "usr_sam", "app"))

	ask(t, idp, key, http.StatusOK, http.MethodPatch, "/settings", `{"impersonation_enabled": false}`).Into(t, &s)
	if s.ImpersonationEnabled {
		t.Errorf("got %+v", s)
	}
	ask(t, idp, key, http.StatusBadRequest, http.MethodPatch, "/settings", `{"impersonation_enabled": "no"}`)

	var keys api.SigningKeyList
	ask(t, idp, key, http.StatusOK, http.MethodPost, "/signing-keys/rotate", `{"algorithms": ["ES256"]}`).Into(t, &keys)
	if len(keys.Data) != 4 {
		t.Errorf("rotated: %+v", keys)
	}
	ask(t, idp, key, http.StatusOK, http.MethodPost, "/signing-keys/rotate", `{"algorithms": ["ES256"], "at_once": true}`)
	ask(t, idp, key, http.StatusBadRequest, http.MethodPost, "/signing-keys/rotate", `{"algorithms": ["HS256"]}`)
}

// Every order of the users is read page by page, with nothing twice and nothing left out.
func TestAPIUserOrders(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		for i, name := range []string{"Ähre", "ähnlich", "Zoe", "zoe", "Zoë", "50%", "", "Ada_B"} {
			body, err := json.Marshal(map[string]any{
				"email": fmt.Sprintf("u_%d@example.test", i), "name": name, "organizations": []any{map[string]any{"organization_id": "org_globex"}},
			})
			check(t, err)
			ask(t, idp, key, http.StatusCreated, http.MethodPost, "/users", body)
		}
		read := func(query string, limit int) (ids, names []string) {
			t.Helper()
			for cursor := ""; ; {
				var page api.UserList
				ask(t, idp, key, http.StatusOK, http.MethodGet, fmt.Sprintf("/users?limit=%d&%s%s", limit, query, cursor), nil).Into(t, &page)
				for _, u := range page.Data {
					ids, names = append(ids, u.ID), append(names, pointed(u.Name))
				}
				if page.NextCursor == nil {
					return ids, names
				}
				cursor = "&cursor=" + *page.NextCursor
			}
		}
		for _, query := range []string{"", "sort=id", "sort=name", "sort=-created_at", "organization_id=org_globex", "organization_id=org_globex&sort=name", "email_prefix=U_", "name_prefix=zo"} {
			whole, names := read(query, 100)
			parts, _ := read(query, 1)
			if !slices.Equal(whole, parts) || len(whole) == 0 {
				t.Errorf("%s: got %v, want %v", query, parts, whole)
			}
			switch query {
			case "":
				if len(whole) != 14 {
					t.Errorf("all: %v", names)
				}
			case "organization_id=org_globex":
				if len(whole) != 10 {
					t.Errorf("members: %v", names)
				}
			case "email_prefix=U_":
				if len(whole) != 8 {
					t.Errorf("by address: %v", names)
				}
			case "name_prefix=zo":
				if slices.Sort(names); !slices.Equal(names, []string{"Zoe", "Zoë", "zoe"}) {
					t.Errorf("by name: %v", names)
				}
			}
		}
		if ids, _ := read("email=ADA%40example.test", 100); !slices.Equal(ids, []string{"usr_ada"}) {
			t.Errorf("by address: %v", ids)
		}
		ask(t, idp, key, http.StatusBadRequest, http.MethodGet, "/users?sort=name&email_prefix=a", nil)
		ask(t, idp, key, http.StatusBadRequest, http.MethodGet, "/users?sort=password_hash", nil)
	})
}

func pointed(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// A page costs one statement besides the one that says who calls.
func TestAPIStatements(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"sqlite": "", "postgres": idptest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			var c counter
			idp := idptest.New(t, idptest.Options{DSN: dsn, Trace: c.trace})
			keys := map[string]string{"everywhere": everyPermission(t, idp), "within an organization": idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)}
			for what, key := range keys {
				for _, o := range api.Load().Operations {
					if o.Method != http.MethodGet || !o.HasParameter("limit") || !o.Within && what != "everywhere" {
						continue
					}
					path := strings.ReplaceAll(o.Path, "{organization_id}", "org_globex") + "?limit=1"
					if strings.Contains(path, "{") {
						continue // of something that has to be found first
					}
					c.take()
					w := idp.API(t, key, http.MethodGet, path, nil)
					if reads, writes, all := c.take(); w.Status != http.StatusOK || reads > 2 || writes > 0 {
						t.Errorf("%s %s: %d, %d statements: %q", o.ID, what, w.Status, reads+writes, all)
					}
				}
			}
		})
	}
}

// Of changes that were made at once each is kept, or its maker told to look again.
func TestAPIClientChangedAtOnce(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		answers := make([]*idptest.Response, 20)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i] = idp.API(t, key, http.MethodPatch, "/clients/app", fmt.Sprintf(`{"client_name": "Name %d"}`, i))
			})
		}
		wg.Wait()
		kept := 0
		for _, w := range answers {
			switch {
			case w.Status == http.StatusOK:
				kept++
			case w.Problem(t).Code != "conflict":
				t.Errorf("%d %s", w.Status, w.Body)
			}
		}
		changes := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventClientUpdated && e.ClientID == "app" })
		if kept == 0 || len(changes) != kept {
			t.Errorf("%d changes were kept, %d are on the record", kept, len(changes))
		}
	})
}
