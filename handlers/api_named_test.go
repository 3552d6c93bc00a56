package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// aboutClients are the operations that are about a client which the body names.
var aboutClients = map[string]struct{ path, body string }{
	"ticket":          {"/tickets", `{"actor": {"sub": "usr_tim"}, "user_id": "usr_ada", "client_id": "CLIENT", "reason": "Cannot see invoice 4711"}`},
	"approval":        {"/approvals", `{"actor": {"sub": "usr_tim"}, "user_id": "usr_ada", "client_id": "CLIENT", "reason": "Cannot see invoice 4711"}`},
	"explain":         {"/impersonations/explain", `{"actor_id": "usr_tim", "user_id": "usr_ada", "client_id": "CLIENT"}`},
	"support request": {"/users/usr_ada/support-access/requests", `{"actor_id": "usr_tim", "client_id": "CLIENT", "reason": "Cannot see invoice 4711"}`},
}

// F08: of a client that is not there, and of one at which none of a caller's people sign
// in, each operation says the same, and all of them do.
func TestAPINamedClients(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-globex", func(c *storage.Client) { started(c); c.Organizations = storage.List{"org_globex"} })
		addClient(t, idp, "desk-initech", func(c *storage.Client) { started(c); c.Organizations = storage.List{"org_initech"} })
		enroll(t, idp, "tim", "")
		within(t, idp, "tim", "support", "org_globex")
		everywhere, globex := everyPermission(t, idp), idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)
		call := func(key, operation, client string) *idptest.Response {
			o := aboutClients[operation]
			return idp.API(t, key, http.MethodPost, o.path, strings.Replace(o.body, "CLIENT", client, 1))
		}
		var first string
		for operation := range aboutClients {
			for _, c := range []struct {
				what, key, client string
				unknown           bool
			}{
				{"no client", everywhere, "nothing", true},
				{"no client, within", globex, "nothing", true},
				{"of others, within", globex, "desk-initech", true},
				{"their own, within", globex, "desk-globex", false},
				{"of others", everywhere, "desk-initech", false},
			} {
				w := call(c.key, operation, c.client)
				if w.Status < http.StatusBadRequest {
					if c.unknown {
						t.Errorf("%s: %s: %d %s", operation, c.what, w.Status, w.Body)
					}
					continue
				}
				p := w.Problem(t)
				if (p.Code == "unknown_reference") != c.unknown {
					t.Errorf("%s: %s: %d %s", operation, c.what, w.Status, w.Body)
				}
				if !c.unknown {
					continue
				}
				said := strings.Replace(w.Body, p.RequestID, "", 1)
				if first == "" {
					first = said
				}
				if said != first {
					t.Errorf("%s: %s: told apart: %s, and %s", operation, c.what, said, first)
				}
			}
		}
	})
}
