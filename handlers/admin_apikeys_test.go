package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// A key from the form that makes it to its end.
func TestConsoleAPIKeys(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := inConsole(t, idp, "root")
		form := url.Values{
			"name": {"Helpdesk"}, "permissions.users:read": {"on"}, "organization": {"Globex"}, "client_id": {"app"}, "lifetime": {"90"},
		}
		for field, wrong := range map[string]url.Values{
			"name":         {"name": {""}},
			"lifetime":     {"lifetime": {"1000"}},
			"permissions":  {"permissions.users:read": nil},
			"organization": {"organization": {"Hooli"}},
			"client_id":    {"client_id": {"nothing"}},
		} {
			changed := url.Values{}
			for name, values := range form {
				changed[name] = values
			}
			for name, values := range wrong {
				if changed[name] = values; values == nil {
					delete(changed, name)
				}
			}
			w := b.Post("/admin/api-keys", changed)
			if w.Status != http.StatusBadRequest || textOf(w, field+"-error") == "" || !strings.Contains(w.Body, `value="app"`) && field != "client_id" {
				t.Errorf("%s: %d %s", field, w.Status, w.Body)
			}
		}
		b.Post("/language", url.Values{"lang": {"de"}})
		w := b.Post("/admin/api-keys", url.Values{"lifetime": {"90"}})
		for field, want := range map[string]string{
			"name": "Geben Sie ihm einen Namen", "permissions": "mindestens eine Berechtigung",
		} {
			if got := textOf(w, field+"-error"); !strings.Contains(got, want) {
				t.Errorf("%s, in German: %q", field, got)
			}
		}
		b.Post("/language", url.Values{"lang": {"en"}})
		w = b.Post("/admin/api-keys", form)
		wantStatus(t, "made", w, http.StatusSeeOther)
		path := w.Location().Path
		page := b.Get(path)
		secret, _, _ := strings.Cut(strings.SplitN(page.Body, `value="usk_`, 2)[1], `"`)
		secret = "usk_" + secret
		k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(secret))
		check(t, err)
		if k.Name != "Helpdesk" || *k.OrganizationID != "org_globex" || *k.ClientID != "app" || k.CreatedBy != "usr_root" || !k.ExpiresAt.Set() {
			t.Errorf("made: %+v", k)
		}
		ask(t, idp, secret, http.StatusOK, http.MethodGet, "/users", nil)
		other := inConsole(t, idp, "root")
		if w := other.Get(path); strings.Contains(w.Body, "usk_") || w.Status != http.StatusOK {
			t.Errorf("another browser: %d %s", w.Status, w.Body)
		}
		wantStatus(t, "stored", b.Post(path+"/stored", nil), http.StatusSeeOther)
		if w := b.Get(path); strings.Contains(w.Body, "usk_") {
			t.Error("shown twice")
		}
		if w := b.Get("/admin/api-keys"); !strings.Contains(w.Body, "Helpdesk") || !strings.Contains(w.Body, "Globex") || strings.Contains(w.Body, "usk_") {
			t.Errorf("list: %s", w.Body)
		}
		wantStatus(t, "revoked", b.Post(path+"/revoke", nil), http.StatusSeeOther)
		ask(t, idp, secret, http.StatusUnauthorized, http.MethodGet, "/users", nil)
		if w := b.Get(path); !strings.Contains(w.Body, "Revoked") || w.Element("revoke-form") != nil {
			t.Errorf("revoked: %s", w.Body)
		}
		for range 30 {
			idp.APIKey(t, "users:read")
		}
		older := strings.SplitN(strings.SplitN(b.Get("/admin/api-keys").Body, `rel="next"`, 2)[0], `href="/admin/api-keys?after=`, 2)
		if len(older) != 2 {
			t.Fatal("no further page")
		}
		cursor, _, _ := strings.Cut(older[1], `"`)
		if w := b.Get("/admin/api-keys?after=" + cursor); !strings.Contains(w.Body, "Helpdesk") {
			t.Errorf("the second page: %s", w.Body)
		}
		wantStatus(t, "no place", b.Get("/admin/api-keys?after=abc"), http.StatusBadRequest)
		wantStatus(t, "no key", b.Get("/admin/api-keys/nothing"), http.StatusNotFound)
	})
}
