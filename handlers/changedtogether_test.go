package handlers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// refuseEvents has the database refuse events whose data has a text in it, until the
// function that is returned is called.
func refuseEvents(t *testing.T, idp *idptest.IDP, text string) (again func()) {
	t.Helper()
	db := database(t, idp)
	refuse := []string{fmt.Sprintf(`CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.data LIKE '%%%s%%' BEGIN SELECT RAISE(ABORT, 'broken'); END`, text)}
	accept := `DROP TRIGGER broken`
	if idp.Store.Dialect() == storage.Postgres {
		refuse = []string{
			`CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$`,
			fmt.Sprintf(`CREATE TRIGGER broken BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.data::text LIKE '%%%s%%') EXECUTE FUNCTION broken()`, text),
		}
		accept += ` ON events`
	}
	for _, statement := range refuse {
		_, err := db.Exec(statement)
		check(t, err)
	}
	return func() {
		_, err := db.Exec(accept)
		check(t, err)
	}
}

// What one request changes in several places it changes in all of them, or in none: so it
// is on the record, too.
func TestChangedTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		key := idp.APIKey(t, provider.Permissions()...)
		state := func() (settings storage.ImpersonationSettings, keys []string) {
			settings, err := idp.Store.ImpersonationSettings(t.Context())
			check(t, err)
			rows, err := idp.Store.SigningKeys(t.Context())
			check(t, err)
			for _, k := range rows {
				keys = append(keys, fmt.Sprint(k.ID, k.RetiredAt))
			}
			return settings, keys
		}
		change := func(what string) *idptest.Response {
			method, path, body := http.MethodPost, "/signing-keys/rotate", fmt.Sprintf(`{"at_once": %t, "algorithms": ["RS256", "ES256"]}`, what == "at once")
			if what == "settings" {
				method, path, body = http.MethodPatch, "/settings", `{"support_access": "required", "impersonation_enabled": false}`
			}
			r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1"+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			return idp.Do(r)
		}
		kinds := []storage.EventType{storage.EventSettingsUpdated, storage.EventKeyCreated, storage.EventKeyRetired}
		for _, row := range []struct{ what, broken string }{
			{"settings", "impersonation.enabled"},
			{"settings", "impersonation.support_access"},
			{"next", "RS256"},
			{"next", "ES256"},
			{"at once", "RS256"},
			{"at once", "ES256"},
		} {
			settings, keys := state()
			had := len(recorded(t, idp, kinds...))
			again := refuseEvents(t, idp, row.broken)
			wantStatus(t, row.what, change(row.what), http.StatusServiceUnavailable)
			again()
			if s, k := state(); s != settings || !slices.Equal(k, keys) || len(recorded(t, idp, kinds...)) != had {
				t.Errorf("%s, where %s is not on the record: got %+v, %v, want %+v, %v", row.what, row.broken, s, k, settings, keys)
			}
		}
		for _, row := range []struct {
			what   string
			events int
		}{{"settings", 2}, {"next", 2}, {"next", 0}, {"at once", 4 + 2}} {
			had := len(recorded(t, idp, kinds...))
			wantStatus(t, row.what, change(row.what), http.StatusOK)
			if got := len(recorded(t, idp, kinds...)) - had; got != row.events {
				t.Errorf("%s: %d events, want %d", row.what, got, row.events)
			}
		}
		if settings, _ := state(); settings.Enabled || settings.Support != storage.SupportRequired {
			t.Errorf("got %+v", settings)
		}
	})
}
