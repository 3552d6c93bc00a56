package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// Clerk's and WorkOS's sessions are sign-ins and impersonations: they are listed, shown
// and ended by whoever's key may do that by the API, and by no other.
func TestDialectSessions(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("clerk", "workos")}), func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "other", nil)
		all := []string{"users:read", "users:write", "impersonation:read", "impersonation:stop_any"}
		key := keyFor(t, idp, "app", all...)
		begin := func() (imp string, tokens map[string]any) {
			tokens = idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking()))
			return idptest.Claims(t, tokens["id_token"])["sid"].(string), tokens
		}
		live := func(tokens map[string]any) bool {
			r := idptest.Form("/oauth2/introspect", map[string][]string{"token": {str(t, tokens, "access_token")}})
			r.SetBasicAuth("app", idptest.Secret)
			return idp.Do(r).JSON(t)["active"] == true
		}
		get := func(path, key string) *idptest.Response {
			return say(t, idp, spoken{http.MethodGet, path, key, nil})
		}
		ends := map[string]func(id, key string) *idptest.Response{
			"clerk": func(id, key string) *idptest.Response {
				return say(t, idp, spoken{http.MethodPost, "/v1/sessions/" + id + "/revoke", key, nil})
			},
			"workos": func(id, key string) *idptest.Response {
				return say(t, idp, spoken{http.MethodPost, "/user_management/sessions/revoke", key, object{"session_id": id}})
			},
		}
		lists := map[string]string{
			"clerk":       "/v1/sessions?user_id=usr_ada&status=active&paginated=true",
			"clerk, of 0": "/v1/sessions?user_id=usr_ada",
			"workos":      "/user_management/users/usr_ada/sessions",
		}
		for vendor, end := range ends {
			imp, tokens := begin()
			person(t, idp, "ada")
			var own string
			for what, path := range lists {
				w := get(path, key)
				wantStatus(t, what, w, http.StatusOK)
				var found []object
				if strings.HasPrefix(w.Body, "[") {
					w.Into(t, &found)
				} else {
					for _, s := range w.JSON(t)["data"].([]any) {
						found = append(found, s.(object))
					}
				}
				own = ""
				for i, s := range found {
					_, acted := s["actor"].(object)
					impersonator, _ := s["impersonator"].(object)
					switch {
					case s["user_id"] != "usr_ada" || s["object"] != "session" || s["status"] != "active":
						t.Errorf("%s: %v", what, s)
					case i == 0 && (s["id"] != imp || !acted && impersonator["email"] != "sam@example.test"):
						t.Errorf("%s: the impersonation: %v", what, s)
					case i > 0 && (acted || impersonator != nil):
						t.Errorf("%s: a sign-in: %v", what, s)
					}
					own = s["id"].(string)
				}
				if len(found) < 2 {
					t.Fatalf("%s: %v", what, found)
				}
				if w := get(path, keyFor(t, idp, "other", all...)); strings.Contains(w.Body, imp) {
					t.Errorf("%s: of another application: %s", what, w.Body)
				}
				wantStatus(t, "F08: "+what, get(path, idp.LocalAPIKey(t, "org_initech", all...)), http.StatusNotFound)
				wantStatus(t, what+", and may not know of impersonations", get(path, keyFor(t, idp, "app", "users:read")), http.StatusForbidden)
				wantStatus(t, what+", and may not know of users", get(path, keyFor(t, idp, "app", "impersonation:read")), http.StatusForbidden)
			}
			for _, id := range []string{imp, own} {
				w := get("/v1/sessions/"+id, key)
				wantStatus(t, "shown", w, http.StatusOK)
				if s := w.JSON(t); s["status"] != "active" || s["user_id"] != "usr_ada" || (s["actor"] != nil) != (id == imp) || s["created_at"] == nil || s["last_active_at"] == nil {
					t.Errorf("shown: %v", s)
				}
				wantStatus(t, "F08: shown", get("/v1/sessions/"+id, idp.LocalAPIKey(t, "org_initech", all...)), http.StatusNotFound)
				wantStatus(t, vendor+", F08: ended", end(id, idp.LocalAPIKey(t, "org_initech", all...)), http.StatusNotFound)
				wantStatus(t, vendor+", ended, and may not", end(id, keyFor(t, idp, "app", "users:read", "users:write", "impersonation:start")), http.StatusForbidden)
			}
			wantStatus(t, vendor+", a sign-in, and may only stop", end(own, keyFor(t, idp, "app", "impersonation:stop_any")), http.StatusForbidden)
			if !live(tokens) {
				t.Fatalf("%s: what was refused ended something", vendor)
			}
			w := end(imp, key)
			wantStatus(t, vendor+", stopped", w, http.StatusOK)
			if live(tokens) || vendor == "clerk" && w.JSON(t)["status"] != "revoked" {
				t.Errorf("%s: it goes on: %s", vendor, w.Body)
			}
			if stopped := events(t, idp, func(e storage.Event) bool {
				by, _ := e.Data["ended_by"].(string)
				return e.Type == storage.EventImpersonationStopped && e.ImpersonationID == imp && strings.HasPrefix(by, "key_")
			}); len(stopped) != 1 {
				t.Errorf("%s: on the record: %v", vendor, stopped)
			}
			if s := get("/v1/sessions/"+imp, key).JSON(t); s["status"] != "revoked" {
				t.Errorf("shown afterwards: %v", s)
			}
			for what, status := range map[string]int{"sid_nothing": 404, "imp_nothing": 404, "%00": 404} {
				if vendor == "clerk" || what != "%00" {
					w := end(what, key)
					wantStatus(t, what, w, status)
					vendorsError(t, what, vendor, w)
				}
			}
			w = end(own, key)
			wantStatus(t, vendor+", signed out", w, http.StatusOK)
			wantStatus(t, vendor+", signed out again", end(own, key), http.StatusNotFound)
		}
		for _, query := range []string{"", "user_id=", "user_id=usr_ada&status=ended", "client_id=client_x", "user_id=usr_ada&limit=0", "user_id=%00"} {
			w := get("/v1/sessions?"+query, key)
			wantStatus(t, query, w, http.StatusBadRequest)
			vendorsError(t, query, "clerk", w)
		}
	})
}
