package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// A program says in a user's place what they allow, as far as they have not said it.
func TestSetSupportAccess(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		key, local := idp.APIKey(t, "users:read", "users:write"), idp.LocalAPIKey(t, "org_globex", "users:read", "users:write")
		own, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
		check(t, err)
		const path = "/users/usr_ada/support-access"
		var said api.SupportAccess
		ask(t, idp, key, http.StatusOK, http.MethodPut, path, `{"mode": "ticket", "ticket_ref": " SUP-1 ", "expires_in_seconds": 7200}`).Into(t, &said)
		if said.Mode != "ticket" || *said.TicketRef != "SUP-1" || said.ExpiresAt.Sub(*said.UpdatedAt).Hours() != 2 || *said.SetBy != own.ID {
			t.Errorf("said: %+v", said)
		}
		ask(t, idp, local, http.StatusOK, http.MethodPut, path, `{"mode": "until", "expires_in_seconds": 604800}`)
		ask(t, idp, local, http.StatusNotFound, http.MethodPut, "/users/usr_linus/support-access", `{"mode": "denied"}`)
		ask(t, idp, idp.APIKey(t, "users:read"), http.StatusForbidden, http.MethodPut, path, `{"mode": "denied"}`)
		for body, field := range map[string]string{
			`{}`:                "mode",
			`{"mode": "none"}`:  "mode",
			`{"mode": "until"}`: "expires_in_seconds",
			`{"mode": "until", "expires_in_seconds": 3599}`:                                                    "expires_in_seconds",
			`{"mode": "until", "expires_in_seconds": 604801}`:                                                  "expires_in_seconds",
			`{"mode": "ticket", "expires_in_seconds": 3600}`:                                                   "ticket_ref",
			`{"mode": "ticket", "ticket_ref": "` + strings.Repeat("a", 101) + `", "expires_in_seconds": 3600}`: "ticket_ref",
		} {
			w := ask(t, idp, key, http.StatusBadRequest, http.MethodPut, path, body)
			if p := w.Problem(t); p.Code != "invalid_request" || p.Errors == nil || (*p.Errors)[0].Field != field {
				t.Errorf("%s: %s, want the field %s", body, w.Body, field)
			}
		}
		ask(t, idp, key, http.StatusOK, http.MethodPut, path, `{"mode": "denied"}`)
		ada := person(t, idp, "ada")
		ada.Post("/account/support-access", map[string][]string{"choice": {"denied"}})
		w := ask(t, idp, key, http.StatusConflict, http.MethodPut, path, `{"mode": "until", "expires_in_seconds": 3600}`)
		if p := w.Problem(t); p.Code != "conflict" || p.Detail == nil || !strings.Contains(*p.Detail, "themselves") {
			t.Errorf("against what they said: %s", w.Body)
		}
		ask(t, idp, key, http.StatusOK, http.MethodGet, path, nil).Into(t, &said)
		if said.Mode != "denied" || said.SetBy != nil {
			t.Errorf("their own: %+v", said)
		}
	})
}

// What is wrong with a request for a user's permission is said at its field, as for
// tickets and approvals.
func TestMalformedSupportRequest(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	key := idp.APIKey(t, provider.Permissions()...)
	for field, rest := range map[string]string{"reason": `"reason": "x"`, "ticket_ref": `"reason": "Cannot see invoice 4711", "ticket_ref": "\u0007"`} {
		w := ask(t, idp, key, http.StatusBadRequest, http.MethodPost, "/users/usr_ada/support-access/requests", `{"actor_id": "usr_sam", `+rest+`}`)
		if p := w.Problem(t); p.Code != "invalid_request" || p.Errors == nil || (*p.Errors)[0].Field != field {
			t.Errorf("got %s, want the field %s", w.Body, field)
		}
	}
}
