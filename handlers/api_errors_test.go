package handlers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// apiError is a request that gets one of the problems that the document has for an
// operation. key names one of the keys of TestAPIErrors.
type apiError struct{ operation, code, key, path, body string }

// apiErrors have every problem of every operation but the common ones. Whoever adds an
// operation adds its rows, or names them in elsewhere; that there is nothing of an id is
// found out without a row.
var apiErrors = []apiError{
	{"createAPIKey", "not_permitted", "apikeys:write", "/api-keys", `{"name": "a", "permissions": ["users:read"]}`},
	{"createAPIKey", "unknown_reference", "all", "/api-keys", `{"name": "a", "permissions": ["users:read"], "client_id": "nothing"}`},
	{"getAPIKey", "not_found", "all", "/api-keys/nothing", ""},
	{"revokeAPIKey", "not_found", "all", "/api-keys/nothing/revoke", ""},

	{"listUsers", "not_found", "globex", "/users?organization_id=org_initech", ""},
	{"createUser", "not_permitted", "users:write", "/users", `{"email": "a@example.test", "roles": ["admin"]}`},
	{"createUser", "already_exists", "all", "/users", `{"email": "ADA@example.test"}`},
	{"createUser", "unknown_reference", "all", "/users", `{"email": "a@example.test", "roles": ["emperor"]}`},
	{"getUser", "not_found", "all", "/users/nobody", ""},
	{"updateUser", "not_found", "all", "/users/nobody", `{}`},
	{"updateUser", "not_permitted", "users:write", "/users/usr_root", `{"name": "x"}`},
	{"updateUser", "already_exists", "all", "/users/usr_ada", `{"email": "grace@example.test"}`},
	{"deleteUser", "not_found", "all", "/users/nobody", ""},
	{"deleteUser", "not_permitted", "users:write", "/users/usr_root", ""},
	{"disableUser", "not_found", "all", "/users/nobody/disable", ""},
	{"disableUser", "not_permitted", "users:write", "/users/usr_root/disable", ""},
	{"enableUser", "not_found", "all", "/users/nobody/enable", ""},
	{"enableUser", "not_permitted", "users:write", "/users/usr_root/enable", ""},
	{"setPassword", "not_found", "all", "/users/nobody/password", `{"password": "a new password"}`},
	{"setPassword", "not_permitted", "users:write", "/users/usr_root/password", `{"password": "a new password"}`},
	{"grantRole", "not_found", "all", "/users/nobody/roles", `{"role": "support"}`},
	{"grantRole", "not_permitted", "users:write", "/users/usr_ada/roles", `{"role": "support"}`},
	{"grantRole", "unknown_reference", "all", "/users/usr_ada/roles", `{"role": "emperor"}`},
	{"revokeRole", "not_found", "all", "/users/usr_ada/roles/support", ""},
	{"revokeRole", "not_permitted", "users:write", "/users/usr_sam/roles/support", ""},
	{"createRole", "not_permitted", "users:write", "/roles", `{"name": "mighty", "permissions": ["policies:write"]}`},
	{"createRole", "already_exists", "all", "/roles", `{"name": "support", "permissions": []}`},
	{"changeRole", "not_found", "all", "/roles/emperor", `{"permissions": []}`},
	{"changeRole", "not_permitted", "users:write", "/roles/support", `{"permissions": []}`},
	{"changeRole", "conflict", "all", "/roles/support", `{"permissions": []}`},
	{"deleteRole", "not_permitted", "users:write", "/roles/support", ""},
	{"deleteRole", "conflict", "all", "/roles/support", ""},
	{"listSessions", "not_found", "all", "/users/nobody/sessions", ""},
	{"revokeSessions", "not_found", "all", "/users/nobody/sessions", ""},
	{"revokeSessions", "not_permitted", "users:write", "/users/usr_root/sessions", ""},
	{"revokeSession", "not_found", "all", "/users/usr_ada/sessions/nothing", ""},
	{"revokeSession", "not_permitted", "users:write", "/users/usr_root/sessions/nothing", ""},

	{"getSupportAccess", "not_found", "all", "/users/nobody/support-access", ""},
	{"setSupportAccess", "not_found", "all", "/users/nobody/support-access", `{"mode": "denied"}`},
	{"setSupportAccess", "not_permitted", "users:write", "/users/usr_root/support-access", `{"mode": "denied"}`},
	{"requestSupportAccess", "not_found", "all", "/users/nobody/support-access/requests", `{"actor_id": "usr_sam", "reason": "Cannot see invoice 4711"}`},
	{"requestSupportAccess", "impersonation_denied", "all", "/users/usr_ada/support-access/requests", `{"actor_id": "usr_linus", "reason": "Cannot see invoice 4711"}`},
	{"requestSupportAccess", "unknown_reference", "all", "/users/usr_ada/support-access/requests", `{"actor_id": "usr_sam", "client_id": "nothing", "reason": "Cannot see invoice 4711"}`},
	{"requestSupportAccess", "conflict", "all", "/users/usr_linus/support-access/requests", `{"actor_id": "usr_sam", "reason": "Cannot see invoice 4711"}`},

	{"createOrganization", "already_exists", "all", "/organizations", `{"name": "Globex"}`},
	{"getOrganization", "not_found", "all", "/organizations/nowhere", ""},
	{"renameOrganization", "not_found", "all", "/organizations/nowhere", `{"name": "x"}`},
	{"renameOrganization", "already_exists", "all", "/organizations/org_initech", `{"name": "Globex"}`},
	{"deleteOrganization", "not_found", "all", "/organizations/nowhere", ""},
	{"deleteOrganization", "not_permitted", "organizations:write", "/organizations/org_globex", ""},
	{"listMembers", "not_found", "globex", "/organizations/org_initech/members", ""},
	{"setMember", "not_found", "all", "/organizations/org_globex/members/nobody", `{}`},
	{"setMember", "not_permitted", "organizations:write", "/organizations/org_globex/members/usr_ada", `{"role": "admin"}`},
	{"setMember", "unknown_reference", "all", "/organizations/org_globex/members/usr_ada", `{"role": "emperor"}`},
	{"removeMember", "not_found", "all", "/organizations/org_globex/members/usr_linus", ""},
	{"removeMember", "not_permitted", "organizations:write", "/organizations/org_globex/members/usr_boss", ""},

	{"createClient", "already_exists", "all", "/clients", `{"client_id": "usr_ada", "client_name": "x", "type": "service"}`},
	{"createClient", "not_permitted", "clients:write", "/clients", `{"client_name": "x", "type": "service", "scope": "users:read"}`},
	{"createClient", "unknown_reference", "all", "/clients", `{"client_name": "x", "type": "service", "organizations": ["org_nowhere"]}`},
	{"getClient", "not_found", "all", "/clients/nothing", ""},
	{"updateClient", "not_found", "all", "/clients/nothing", `{}`},
	{"updateClient", "not_permitted", "clients:write", "/clients/machine", `{"client_name": "x"}`},
	{"updateClient", "unknown_reference", "all", "/clients/service", `{"organizations": ["org_nowhere"]}`},
	{"deleteClient", "not_found", "all", "/clients/nothing", ""},
	{"deleteClient", "not_permitted", "clients:write", "/clients/machine", ""},
	{"rotateClientSecret", "not_found", "all", "/clients/nothing/rotate-secret", ""},
	{"rotateClientSecret", "not_permitted", "clients:write", "/clients/machine/rotate-secret", ""},
	{"rotateClientSecret", "conflict", "all", "/clients/public/rotate-secret", ""},
	{"dropClientSecret", "not_found", "all", "/clients/nothing/drop-previous-secret", ""},
	{"dropClientSecret", "not_permitted", "clients:write", "/clients/machine/drop-previous-secret", ""},
	{"disableClient", "not_found", "all", "/clients/nothing/disable", ""},
	{"disableClient", "not_permitted", "clients:write", "/clients/machine/disable", ""},
	{"enableClient", "not_found", "all", "/clients/nothing/enable", ""},
	{"enableClient", "not_permitted", "clients:write", "/clients/machine/enable", ""},

	{"listImpersonations", "not_found", "globex", "/impersonations?organization_id=org_initech", ""},
	{"getImpersonation", "not_found", "all", "/impersonations/nothing", ""},
	{"stopImpersonation", "not_found", "all", "/impersonations/nothing/stop", ""},
	{"stopImpersonation", "conflict", "all", "/impersonations/imp_over/stop", ""},
	{"explainImpersonation", "unknown_reference", "globex", "/impersonations/explain", `{"actor_id": "usr_boss", "user_id": "usr_linus", "client_id": "app"}`},
	{"replacePolicy", "conflict", "all", "/policies", `{"rules": [], "based_on": 7}`},
	{"getPolicyVersion", "not_found", "all", "/policies/versions/7", ""},

	{"createTicket", "unknown_reference", "all", "/tickets", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_ada", "client_id": "nothing", "reason": "Cannot see invoice 4711"}`},
	{"createApproval", "unknown_reference", "all", "/approvals", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_ada", "client_id": "nothing", "reason": "Cannot see invoice 4711"}`},
	{"createApproval", "impersonation_denied", "all", "/approvals", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_sam", "client_id": "app", "reason": "Cannot see invoice 4711"}`},
	{"createApproval", "conflict", "all", "/approvals", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_ada", "client_id": "app", "reason": "Cannot see invoice 4711"}`},
	{"getApproval", "not_found", "all", "/approvals/nothing", ""},
	{"approveApproval", "not_found", "all", "/approvals/nothing/approve", ""},
	{"approveApproval", "not_permitted", "all", "/approvals/apr_own/approve", ""},
	{"approveApproval", "conflict", "all", "/approvals/apr_over/approve", `{"note": "Late"}`},
	{"denyApproval", "not_found", "all", "/approvals/nothing/deny", ""},
	{"denyApproval", "not_permitted", "all", "/approvals/apr_own/deny", ""},
	{"denyApproval", "conflict", "all", "/approvals/apr_over/deny", ""},

	{"updateWebhook", "not_found", "all", "/webhooks/nothing", `{"description": "x"}`},
	{"replayFailedDeliveries", "not_found", "all", "/webhooks/nothing/replay", `{"since": "2026-01-01T00:00:00Z"}`},
}

// raced are problems that only two changes at once bring about.
var raced = []string{"updateClient conflict", "dropClientSecret conflict", "disableClient conflict", "enableClient conflict"}

// elsewhere are problems that the tests of the resource itself bring about.
var elsewhere = []string{
	"listEvents not_found",
	"createTicket impersonation_denied", "revokeTicket conflict", "setSupportAccess conflict",
	"createWebhook not_permitted", "createWebhook conflict", "updateWebhook not_permitted", "updateWebhook conflict", "enableWebhook not_permitted",
	"replayDelivery conflict",
}

// Every problem that the document has is answered, where it has it.
func TestAPIErrors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: manyCalls})
	now := time.Now()
	enroll(t, idp, "boss", "")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		if err := tx.AddMember(ctx, "org_globex", "usr_boss", "support", now); err != nil {
			return err
		}
		machine := idptest.Service()
		machine.ID, machine.Scope = "machine", "users:read"
		if err := tx.CreateClient(ctx, machine, now); err != nil {
			return err
		}
		for i := range 3 { // as many as may wait
			err := tx.CreateSupportRequest(ctx, &storage.SupportRequest{
				ID: "sar_" + string(rune('a'+i)), UserID: "usr_linus", ActorID: "usr_sam", Reason: "Cannot see invoice 4711", Status: "pending",
				CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
			})
			if err != nil {
				return err
			}
		}
		return tx.CreateImpersonation(ctx, &storage.Impersonation{
			ID: "imp_over", ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "app", Entry: "consent", Reason: "Cannot see invoice 4711", Access: "full",
			StartedAt: storage.At(now.Add(-time.Hour)), ExpiresAt: storage.At(now.Add(-time.Minute)), EndedAt: storage.At(now.Add(-time.Minute)), EndReason: storage.EndExpired,
		})
	})
	keys := map[string]string{"all": everyPermission(t, idp), "globex": idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)}
	own, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(keys["all"]))
	check(t, err)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		for id, by := range map[string]string{"apr_own": own.ID, "apr_over": ""} {
			a := &storage.Approval{
				ID: id, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "app", Entry: "api", Reason: "Cannot see invoice 4711", Access: "full",
				Duration: time.Minute.Microseconds(), Status: storage.ApprovalPending, RequestedBy: by, CreatedAt: storage.At(now),
				ExpiresAt: storage.At(now.Add(time.Hour)), KeptUntil: storage.At(now.Add(time.Hour)),
			}
			if by == "" {
				a.Status = storage.ApprovalWithdrawn
			}
			if err := tx.CreateApproval(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	have := map[string]bool{}
	for _, c := range apiErrors {
		have[c.operation+" "+c.code] = true
		if keys[c.key] == "" {
			keys[c.key] = idp.APIKey(t, c.key)
		}
		i := slices.IndexFunc(api.Load().Operations, func(o *api.Operation) bool { return o.ID == c.operation })
		if i < 0 {
			t.Errorf("there is no operation %s", c.operation)
			continue
		}
		var body any
		if c.body != "" {
			body = c.body
		}
		w := idp.API(t, keys[c.key], api.Load().Operations[i].Method, c.path, body)
		if w.Status < http.StatusBadRequest || w.Problem(t).Code != c.code {
			t.Errorf("%s: %d %s, want %s", c.operation, w.Status, w.Body, c.code)
		}
	}
	used := map[string]bool{}
	for _, o := range api.Load().Operations {
		for _, code := range o.Errors {
			used[code] = true
			name := o.ID + " " + code
			switch {
			case code == "not_found" && !have[name] && strings.Contains(o.Path, "{"): // what is not there
				var body any
				if o.TakesBody() {
					body = "{}"
				}
				w := idp.API(t, keys["all"], o.Method, placeholders.ReplaceAllString(o.Path, "nothing"), body)
				if w.Status != http.StatusNotFound {
					t.Errorf("%s: %d %s, want %s", o.ID, w.Status, w.Body, code)
				}
			case have[name] == (slices.Contains(raced, name) || slices.Contains(elsewhere, name)):
				t.Errorf("%s is documented, and answered by a row: %v", name, have[name])
			}
		}
	}
	for code := range api.Load().Problems {
		if !used[code] && !slices.Contains(api.Load().CommonErrors, code) {
			t.Errorf("no operation answers %s", code)
		}
	}
}

// The document is one that the tools of others understand, and says everything of each
// operation.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	d := api.Load()
	if err := d.Validate(t.Context()); err != nil {
		t.Errorf("%.300s", err)
	}
	idp := idptest.New(t, idptest.Options{})
	w := idp.API(t, "", http.MethodGet, "/openapi.yaml", nil)
	if w.Status != http.StatusOK || w.Body != string(api.Text) || w.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("served: %d %v", w.Status, w.Header)
	}
	for _, o := range d.Operations {
		if o.Permission == "" {
			continue
		}
		operation := o.Route.Operation
		if operation.Summary == "" || len(operation.Tags) != 1 || !slices.ContainsFunc(d.Tags, func(tag *openapi3.Tag) bool { return tag.Name == operation.Tags[0] }) {
			t.Errorf("%s: has no summary, or not one tag", o.ID)
		}
		asks := slices.Contains([]string{"explainImpersonation", "validatePolicy"}, o.ID) // changes nothing
		if post := o.Method == http.MethodPost && !asks; post != (operation.Parameters.GetByInAndName("header", "Idempotency-Key") != nil) {
			t.Errorf("%s: takes an Idempotency-Key: %v", o.ID, !post)
		}
		if strings.HasPrefix(o.ID, "list") {
			if paged := o.HasParameter("limit"); paged != o.HasParameter("cursor") {
				t.Errorf("%s: has a limit or a cursor only", o.ID)
			}
		}
		if body := operation.RequestBody; body != nil {
			schema := body.Value.Content.Get("application/json").Schema.Value
			if access := schema.Properties["access"]; access != nil && access.Value.Default != "read_only" { // in asking as in doing
				t.Errorf("%s: access is %v where nothing is said", o.ID, access.Value.Default)
			}
			if closed := schema.AdditionalProperties.Has; closed == nil || *closed {
				t.Errorf("%s: takes members that it does not have", o.ID)
			}
		}
	}
	// What clients are like is said once more, in the words of the document.
	metadata, err := as(provider.MetadataOf(idptest.App()))
	check(t, err)
	properties := d.Components.Schemas["Client"].Value.Properties
	for name := range metadata {
		if properties[name] == nil {
			t.Errorf("the document does not have the client's %s", name)
		}
	}
	if len(properties) != len(metadata) {
		t.Errorf("the document has %d members of a client, want %d", len(properties), len(metadata))
	}
	input := d.Components.Schemas["ClientInput"].Value.Properties
	for name := range metadata {
		readOnly := slices.Contains([]string{"status", "registered_with", "self_managed", "created_at", "updated_at"}, name)
		if (input[name] == nil) != readOnly {
			t.Errorf("the client's %s can be set: %v", name, readOnly)
		}
	}
	if got, want := d.Components.Schemas["Permission"].Value.Enum, provider.Permissions(); len(got) != len(want) {
		t.Errorf("permissions: got %v, want %v", got, want)
	}
}

// as reads a struct's members.
func as(v any) (m map[string]any, err error) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}
