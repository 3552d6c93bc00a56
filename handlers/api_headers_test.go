package handlers_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
)

// What is made is at the address that the answer has, and there it is what the answer
// said, but for its secrets. Who reaches another organization only does not find it.
func TestAPILocation(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk", started)
		fourEyes(t, idp)
		key, elsewhere := everyPermission(t, idp), idp.LocalAPIKey(t, "org_initech", provider.Permissions()...)
		for operation, c := range map[string]struct {
			path, body string
			secrets    []string
			shared     bool // whoever may look finds it
		}{
			"createAPIKey":         {"/api-keys", `{"name": "a", "permissions": ["users:read"]}`, []string{"secret"}, false},
			"createUser":           {"/users", `{"id": "usr|new~1", "email": "new@example.test", "organizations": [{"organization_id": "org_globex"}]}`, nil, false},
			"createRole":           {"/roles", `{"name": "executive", "permissions": []}`, nil, true},
			"createOrganization":   {"/organizations", `{"name": "Hooli"}`, nil, false},
			"createClient":         {"/clients", `{"client_name": "Shop", "type": "service"}`, []string{"client_secret"}, false},
			"createTicket":         {"/tickets", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_grace", "client_id": "desk", "reason": "Cannot see invoice 4711", "organization": "org_globex"}`, []string{"token", "url"}, false},
			"createApproval":       {"/approvals", `{"actor": {"sub": "usr_sam"}, "user_id": "usr_ada", "client_id": "desk", "reason": "Cannot see invoice 4711"}`, nil, false},
			"requestSupportAccess": {"/users/usr_ada/support-access/requests", `{"actor_id": "usr_sam", "reason": "Cannot see invoice 4711"}`, nil, false},
			"createWebhook":        {"/webhooks", `{"url": "https://hooks.example/in"}`, []string{"secret"}, false},
		} {
			w := idp.API(t, key, http.MethodPost, c.path, c.body)
			wantStatus(t, operation, w, http.StatusCreated)
			path, ours := strings.CutPrefix(w.Header.Get("Location"), idptest.Issuer+api.Prefix)
			if !ours {
				t.Errorf("%s: Location: %q", operation, w.Header.Get("Location"))
				continue
			}
			made := w.JSON(t)
			for _, secret := range c.secrets {
				delete(made, secret)
			}
			shown := idp.API(t, key, http.MethodGet, path, nil)
			if got := shown.JSON(t); fmt.Sprint(got) != fmt.Sprint(made) {
				t.Errorf("%s: made %v, shown %d %v", operation, made, shown.Status, got)
			}
			if w := idp.API(t, elsewhere, http.MethodGet, path, nil); (w.Status == http.StatusOK) != c.shared {
				t.Errorf("%s: elsewhere: %d %s", operation, w.Status, w.Body)
			}
		}
		for _, path := range []string{"/organizations/org_globex/members/usr_ada", "/roles/support"} {
			if w := idp.API(t, key, http.MethodGet, path, nil); w.Status != http.StatusOK || w.JSON(t)["email"] != "ada@example.test" && w.JSON(t)["name"] != "support" {
				t.Errorf("%s: %d %s", path, w.Status, w.Body)
			}
		}
		wantStatus(t, "a member, elsewhere", idp.API(t, elsewhere, http.MethodGet, "/organizations/org_globex/members/usr_ada", nil), http.StatusNotFound)
		request := idp.API(t, key, http.MethodGet, "/users/usr_ada/support-access", nil).JSON(t)["requests"].([]any)[0].(map[string]any)["id"].(string)
		wantStatus(t, "of somebody else", idp.API(t, key, http.MethodGet, "/users/usr_linus/support-access/requests/"+request, nil), http.StatusNotFound)
	})
}

// Each header that the document has is one that some answer has. That answers have no
// others, and those that they always have, is looked at wherever the API is called.
func TestAPIHeaders(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	key, poor := idp.APIKey(t, provider.Permissions()...), idp.APIKey(t, "events:read")
	seen := map[string]bool{}
	see := func(w *idptest.Response) {
		for name := range w.Header {
			seen[name] = true
		}
	}
	for range 2 {
		see(idp.API(t, key, http.MethodPost, "/organizations", `{"name": "Hooli"}`, "Idempotency-Key", "a"))
	}
	see(idp.API(t, key, http.MethodPut, "/organizations", nil))
	see(idp.API(t, poor, http.MethodGet, "/users", nil))
	few := idptest.New(t, idptest.Options{Handlers: handlers.Config{CallsPerSecond: 1}})
	other := few.APIKey(t, "users:read")
	for range 5 {
		see(few.API(t, other, http.MethodGet, "/users", nil))
	}
	for _, name := range slices.Sorted(maps.Keys(api.Load().Components.Headers)) {
		if !seen[http.CanonicalHeaderKey(name)] {
			t.Errorf("no answer has the header %s", name)
		}
	}
}
