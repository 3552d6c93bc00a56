package handlers_test

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// consoleAction is a POST of the console's table, filled in so that it is carried out.
type consoleAction struct {
	asks string // the field for the password, where that was not shown lately; empty: it does not ask
	of   string // what is in the place of the address's parameters
	form url.Values
}

// consoleActions are all of them. Asked for the password is before what gives rights or
// takes them, says where codes, tokens or events go, makes a secret, opens what was shut,
// or cannot be undone. Not before what only stops something, which has to be quick, nor
// before what tries something, or asks somebody else (SECURITY A19).
func consoleActions() map[string]consoleAction {
	return map[string]consoleAction{
		"/admin/users/{id}/impersonate":       {"password", "usr_grace", askForm("shop", "organization", "org_initech")},
		"/admin/users/{id}/request-access":    {"", "usr_linus", askForm("shop")},
		"/admin/users/{id}/request-approval":  {"password", "usr_ada", askForm("shop")},
		"/admin/approvals/{approval}/approve": {"password", "apr_sam", nil},
		"/admin/approvals/{approval}/deny":    {"password", "apr_sam", nil},
		// To take back one's own.
		"/admin/approvals/{approval}/withdraw": {"", "apr_root", nil},
		"/admin/impersonations/stop":           {"", "", url.Values{"confirm": {"stop"}}},
		"/admin/impersonations/{id}/stop":      {"", "imp_1", nil},

		"/admin/clients/new":                    {"password", "", url.Values{"type": {"web"}, "client_name": {"New"}, "client_id": {"new"}, "redirect_uris": {"https://new.example/cb"}}},
		"/admin/clients/{client}/settings":      {"password", "shop", nil}, // as the page has it
		"/admin/clients/{client}/acting":        {"password", "shop", nil}, // as the page has it
		"/admin/clients/{client}/secret":        {"rotate_password", "shop", nil},
		"/admin/clients/{client}/secret/stored": {"", "shop", nil},
		"/admin/clients/{client}/secret/drop":   {"", "shop", nil},
		"/admin/clients/{client}/disable":       {"status_password", "shop", nil},
		"/admin/clients/{client}/enable":        {"status_password", "shut", nil},
		"/admin/clients/{client}/delete":        {"delete_password", "shop", url.Values{"id": {"shop"}}},
		"/admin/clients/{client}/test-logout":   {"", "shop", nil},

		"/admin/organizations":                                      {"", "", url.Values{"name": {"Hooli"}}},
		"/admin/organizations/{organization}":                       {"", "org_globex", url.Values{"name": {"Globex Corporation"}}},
		"/admin/organizations/{organization}/members":               {"password", "org_globex", url.Values{"user": {"usr_linus"}, "role": {"support"}}},
		"/admin/organizations/{organization}/members/{user}":        {"password", "org_globex usr_ada", url.Values{"role": {"support"}}},
		"/admin/organizations/{organization}/members/{user}/remove": {"remove_password", "org_globex usr_ada", nil},

		"/admin/organizations/{organization}/delete": {"delete_password", "org_globex", url.Values{"delete_id": {"org_globex"}}},

		"/admin/roles":               {"password", "", url.Values{"name": {"second-line"}, "permissions.users:read": {"on"}}},
		"/admin/roles/{role}":        {"password", "first-line", url.Values{"permissions.users:read": {"on"}}},
		"/admin/roles/{role}/delete": {"delete_password", "first-line", nil},

		"/admin/users/new":               {"password", "", url.Values{"email": {"new@example.test"}}},
		"/admin/users/import":            {"password", "", url.Values{"action": {"import"}, "file": {"email,name\nnew@example.test,New\n"}}},
		"/admin/users/{id}/edit":         {"password", "usr_ada", url.Values{"email": {"ada@example.test"}}},
		"/admin/users/{id}/grant":        {"password", "usr_ada", url.Values{"role": {"support"}}},
		"/admin/users/{id}/revoke":       {"password", "usr_sam", nil},
		"/admin/users/{id}/password":     {"password", "usr_ada", nil},
		"/admin/users/{id}/disable":      {"password", "usr_ada", nil},
		"/admin/users/{id}/enable":       {"password", "usr_shut", nil},
		"/admin/users/{id}/delete":       {"password", "usr_ada", url.Values{"email": {"ada@example.test"}}},
		"/admin/users/{id}/sign-ins":     {"", "usr_ada", nil},
		"/admin/users/{id}/applications": {"", "usr_ada", url.Values{"client_id": {"app"}}},

		"/admin/events/export":              {"", "", url.Values{"format": {"jsonl"}}},
		"/admin/events/verification":        {"", "", nil},
		"/admin/policies/rule":              {"password", "", ruleForm(2)},
		"/admin/policies/test":              {"", "", url.Values{"actor": {"usr_sam"}, "subject": {"usr_linus"}, "client_id": {"shop"}}},
		"/admin/policies/history/{version}": {"password", "1", url.Values{"version": {"2"}}},
		"/admin/keys/rotate":                {"", "", nil},
		"/admin/keys/replace":               {"password", "", url.Values{"alg": {"ES256"}}},

		"/admin/webhooks":                                     {"password", "", url.Values{"url": {"https://hooks.example/new"}}},
		"/admin/webhooks/{webhook}":                           {"password", "wh_on", url.Values{"url": {"https://hooks.example/else"}}},
		"/admin/webhooks/{webhook}/enable":                    {"enable_password", "wh_off", nil},
		"/admin/webhooks/{webhook}/disable":                   {"", "wh_on", nil},
		"/admin/webhooks/{webhook}/test":                      {"", "wh_on", nil},
		"/admin/webhooks/{webhook}/rotate":                    {"rotate_password", "wh_on", nil},
		"/admin/webhooks/{webhook}/stored":                    {"", "wh_on", nil},
		"/admin/webhooks/{webhook}/delete":                    {"delete_password", "wh_on", nil},
		"/admin/webhooks/{webhook}/replay":                    {"", "wh_on", url.Values{"hours": {"24"}}},
		"/admin/webhooks/{webhook}/deliveries/{event}/replay": {"", "wh_on evt_1", nil},

		"/admin/api-keys":                {"password", "", url.Values{"name": {"desk"}, "permissions.users:read": {"on"}, "lifetime": {"90"}}},
		"/admin/api-keys/{key}/stored":   {"", "key_1", nil},
		"/admin/api-keys/{key}/revoke":   {"", "key_1", nil},
		"/admin/settings/acting":         {"password", "", url.Values{"enabled": {"on"}}},
		"/admin/settings/mail-test":      {"", "", nil},
		"/admin/settings/support-access": {"password", "", url.Values{"rule": {"required"}}},
	}
}

// A19: for the same danger the console asks for the same: each of its actions, by
// somebody who showed their password ten minutes ago.
func TestConsoleAsksForPassword(t *testing.T) {
	t.Parallel()
	actions := consoleActions()
	var patterns []string
	for _, rt := range handlers.ConsoleRoutes() {
		if pattern, post := strings.CutPrefix(rt.Pattern, "POST "); post {
			patterns = append(patterns, pattern)
		}
	}
	for pattern := range actions {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("there is no %s", pattern)
		}
	}
	for _, pattern := range patterns {
		action, known := actions[pattern]
		if !known {
			t.Errorf("%s: is not known to ask for a password, nor not to", pattern)
			continue
		}
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			idp := idptest.New(t, unlimited(idptest.Options{}))
			ids := furnish(t, idp)
			root := inConsole(t, idp, "root")
			execute(t, idp, `UPDATE login_sessions SET auth_time = $1`, storage.At(time.Now().Add(-10*time.Minute)))
			path := pattern
			for _, name := range strings.Fields(action.of) {
				path = strings.Replace(path, placeholders.FindString(path), cmp.Or(ids[name], name), 1)
			}
			if pattern == "/admin/users/{id}/revoke" {
				path += "?role=support"
			}
			form := maps.Clone(action.form)
			if form == nil {
				form = url.Values{}
			}
			if strings.HasSuffix(pattern, "/settings") || strings.HasSuffix(pattern, "}/acting") {
				form = filledIn(t, root.Get(path), "client-form")
			}
			post := root.Post
			if strings.HasSuffix(pattern, "/import") {
				post = func(_ string, form url.Values) *idptest.Response {
					return upload(root, form.Get("file"), "action", form.Get("action"), "password", form.Get("password"))
				}
			}
			w := post(path, form)
			if action.asks == "" {
				// Here is no mail to try, and nothing was delivered.
				none := slices.Contains([]string{"/admin/settings/mail-test", "/admin/webhooks/{webhook}/deliveries/{event}/replay"}, pattern)
				if w.Status >= http.StatusBadRequest && (w.Status != http.StatusNotFound || !none) {
					t.Errorf("status %d: %s", w.Status, textOf(w, "main"))
				}
				return
			}
			if w.Status < http.StatusBadRequest || textOf(w, action.asks+"-error") == "" {
				t.Fatalf("without the password: status %d: %s", w.Status, textOf(w, "main"))
			}
			form.Set(attrOf(w, action.asks, "name"), idptest.Password)
			if w := post(path, form); w.Status >= http.StatusBadRequest {
				t.Errorf("with the password: status %d: %s", w.Status, textOf(w, "main"))
			}
		})
	}
}

// furnish adds what the actions are done to, and returns the ids of what makes up its own.
func furnish(t testing.TB, idp *idptest.IDP) map[string]string {
	t.Helper()
	now := time.Now()
	fourEyes(t, idp)
	fourEyes(t, idp) // there are two versions
	withRole(t, idp, "impersonation:start")
	registration, by := provider.NewRegistration(idp.Store), storage.Cause{}
	for _, id := range []string{"shop", "shut"} {
		addClient(t, idp, id, func(c *storage.Client) {
			started(c)
			c.BackchannelLogoutURI = "https://shop.example/logout"
		})
	}
	_, err := registration.RotateSecret(t.Context(), "shop", true, by, now)
	check(t, err)
	check(t, registration.SetStatus(t.Context(), "shut", storage.ClientDisabled, by, now))
	enroll(t, idp, "shut", "")
	hooks := provider.NewWebhooks(idp.Provider)
	on, off := &storage.Webhook{URL: "https://hooks.example/on"}, &storage.Webhook{URL: "https://hooks.example/off"}
	for _, w := range []*storage.Webhook{on, off} {
		_, err := hooks.Create(t.Context(), w, by, now)
		check(t, err)
	}
	check(t, hooks.Disable(t.Context(), off.ID, by, now))
	key := storage.APIKey{Name: "a key", Permissions: storage.List{"users:read"}}
	_, err = provider.NewAPIKeys(idp.Store).Create(t.Context(), &key, by, now)
	check(t, err)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		for actor, subject := range map[string]string{"sam": "usr_ada", "root": "usr_grace"} {
			err := tx.CreateApproval(ctx, &storage.Approval{
				ID: "apr_" + actor, ActorID: "usr_" + actor, SubjectID: subject, ClientID: "app", Entry: "console", Reason: "Cannot see invoice 4711", Access: "full",
				Duration: time.Minute.Microseconds(), Status: storage.ApprovalPending, CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)), KeptUntil: storage.At(now.Add(time.Hour)),
			})
			if err != nil {
				return err
			}
		}
		err := tx.CreateImpersonation(ctx, &storage.Impersonation{
			ID: "imp_1", ActorID: "usr_sam", SubjectID: "usr_linus", ClientID: "app", Entry: "consent", Reason: "Cannot see invoice 4711", Access: "full",
			StartedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
		})
		if err != nil {
			return err
		}
		return tx.DisableUser(ctx, "usr_shut", by, now)
	})
	return map[string]string{"wh_on": on.ID, "wh_off": off.ID, "key_1": key.ID}
}
