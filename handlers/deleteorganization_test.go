package handlers_test

import (
	"context"
	"errors"
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

// F08, A14: an organization that is deleted takes with it what was only there because of it:
// what runs and waits in it, roles held in it, its API keys. What is limited to it is not let
// loose, and its id is nobody's again. All of it is on the record.
func TestDeleteOrganization(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		key, local := everyPermission(t, idp), idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)
		addClient(t, idp, "desk", started)
		addClient(t, idp, "theirs", func(c *storage.Client) { c.Organizations = storage.List{"org_globex"} })
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.AddMember(ctx, "org_globex", "usr_linus", "support", time.Now())
		})
		ends := idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", idptest.Request(nil)))
		var ticket api.TicketWithToken
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/tickets", ticketBody(nil)).Into(t, &ticket)
		fourEyes(t, idp)
		waits := asked(t, idp)

		ask(t, idp, local, http.StatusForbidden, http.MethodDelete, "/organizations/org_globex", nil)
		for what, of := range map[string][]string{
			"no roles of the members": {"organizations:write", "apikeys:write"}, "no keys": slices.DeleteFunc(provider.Permissions(), func(p string) bool { return p == "apikeys:write" }),
		} {
			if p := ask(t, idp, idp.APIKey(t, of...), http.StatusForbidden, http.MethodDelete, "/organizations/org_globex", nil).Problem(t); p.Code != "not_permitted" {
				t.Errorf("A02 %s: %+v", what, p)
			}
		}
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/organizations/Globex", nil)
		ask(t, idp, key, http.StatusNoContent, http.MethodDelete, "/organizations/org_globex", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodDelete, "/organizations/org_globex", nil)
		ask(t, idp, key, http.StatusNotFound, http.MethodGet, "/organizations/org_globex", nil)

		active := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {ends["access_token"].(string)}})
		if active.JSON(t)["active"] != false {
			t.Error("somebody still acts for it")
		}
		var now api.Ticket
		if ask(t, idp, key, http.StatusOK, http.MethodGet, "/tickets/"+ticket.ID, nil).Into(t, &now); now.Status != api.TicketStatusRevoked {
			t.Errorf("ticket: %+v", now)
		}
		if got := waits.row(t).Status; got != storage.ApprovalWithdrawn {
			t.Errorf("approval: %s", got)
		}
		if w := idp.API(t, local, http.MethodGet, "/users", nil); w.Status != http.StatusUnauthorized {
			t.Errorf("its key: %d %s", w.Status, w.Body)
		}
		if standing, err := idp.Store.Standing(t.Context(), "usr_linus"); err != nil || standing.MemberOf("org_globex") || standing.MayAnywhere("impersonation:start") {
			t.Errorf("linus: %+v, %v", standing, err)
		}
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/users/usr_ada", nil)

		// What is limited to it stays so: nobody gets in, whatever is changed about it.
		var c api.OAuthClient
		ask(t, idp, key, http.StatusOK, http.MethodPatch, "/clients/theirs", `{"client_name": "Still theirs"}`).Into(t, &c)
		if !slices.Equal(c.Organizations, []string{"org_globex"}) {
			t.Errorf("the client is limited to %v", c.Organizations)
		}
		if w := person(t, idp, "ada").Get(idptest.Request(func(v url.Values) { v.Set("client_id", "theirs") })); w.Location().Query().Get("code") != "" {
			t.Error("a former member signs in to what was theirs")
		}
		ask(t, idp, key, http.StatusBadRequest, http.MethodPatch, "/clients/app", `{"organizations": ["org_globex"]}`)
		err := provider.NewAPIKeys(idp.Store).Revoke(t.Context(), keyID(t, idp, local), storage.Cause{}, time.Now())
		check(t, err)
		for what, body := range map[string]string{"its id": `{"id": "org_globex", "name": "New"}`, "its id as a name": `{"name": "org_globex"}`} {
			if p := ask(t, idp, key, http.StatusConflict, http.MethodPost, "/organizations", body).Problem(t); p.Code != "already_exists" {
				t.Errorf("%s: %+v", what, p)
			}
		}
		ask(t, idp, key, http.StatusConflict, http.MethodPatch, "/organizations/org_initech", `{"name": "org_globex"}`)
		ask(t, idp, key, http.StatusCreated, http.MethodPost, "/organizations", `{"id": "org_new", "name": "Globex"}`)

		kinds := map[storage.EventType]int{}
		for _, e := range recorded(t, idp) {
			if e.OrganizationID == "org_globex" {
				kinds[e.Type]++
			}
			if e.Type == storage.EventOrganizationDeleted && fmt.Sprint(e.Data) != "map[api_keys:1 members:3 name:Globex]" {
				t.Errorf("deleted: %+v", e)
			}
			if e.Type == storage.EventImpersonationStopped && e.Data["end_reason"] != string(storage.EndPermissionLost) {
				t.Errorf("stopped: %+v", e)
			}
		}
		for kind, want := range map[storage.EventType]int{
			storage.EventOrganizationDeleted: 1, storage.EventImpersonationStopped: 1, storage.EventImpersonationRevoked: 1, storage.EventImpersonationWithdrawn: 1,
			storage.EventUserRoleRevoked: 1, storage.EventAPIKeyRevoked: 1,
		} {
			if kinds[kind] != want {
				t.Errorf("G01 %s: %d events, want %d", kind, kinds[kind], want)
			}
		}
		names, err := idp.Store.NamesOf(t.Context(), nil, nil, []string{"org_globex"})
		if err != nil || names.Organization("org_globex") != "Globex" {
			t.Errorf("the record calls it %v, %v", names, err)
		}
		_, err = provider.NewAPIKeys(idp.Store).Create(t.Context(), &storage.APIKey{Name: "late", Permissions: storage.List{"users:read"}, OrganizationID: pointerTo("org_globex")}, storage.Cause{}, time.Now())
		if !errors.Is(err, storage.ErrReference) {
			t.Errorf("a key of what is gone: %v", err)
		}
	})
}

func pointerTo(s string) *string { return &s }

// keyID returns the id of the key with a secret.
func keyID(t testing.TB, idp *idptest.IDP, secret string) string {
	t.Helper()
	k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(secret))
	check(t, err)
	return k.ID
}

// A14: whoever may act only by a role within an organization acts no more, and what was
// allowed only to its members ends, also where they act for another.
func TestDeleteOrganizationInTheConsole(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		setPolicy(t, idp, denying("customers only", `subject.id == "usr_grace" && !("org_globex" in subject.organizations)`, "Not any more."))
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.AddMember(ctx, "org_globex", "usr_linus", "support", time.Now())
		})
		sam := person(t, idp, "sam")
		elsewhere := sam.Post(sam.Consent(idptest.Request(nil)), idptest.Wish("usr_grace", having("organization", "org_initech")))
		acting := []map[string]any{
			idp.Tokens(t, person(t, idp, "linus").ActAs("usr_ada", idptest.Request(nil))),
			idp.Tokens(t, elsewhere.Location().Query().Get("code")),
		}
		console := inConsole(t, idp, "root")
		form := url.Values{"delete_id": {"org_globex"}}
		const globex = "/admin/organizations/org_globex"
		if w := console.Post(globex+"/delete", url.Values{"delete_id": {"Globex"}}); w.Status != http.StatusBadRequest || w.Element("error-summary") == nil {
			t.Errorf("its name is taken for its id: %d", w.Status)
		}
		wantStatus(t, "it is there", console.Get(globex), http.StatusOK)
		w := console.Post(globex+"/delete", form)
		if w.Status != http.StatusSeeOther || !strings.HasPrefix(w.Location().String(), "/admin/organizations?done=") {
			t.Fatalf("delete: %d %.1000s", w.Status, w.Body)
		}
		wantStatus(t, "done", console.Get(w.Location().String()), http.StatusOK)
		wantStatus(t, "again", console.Post(globex+"/delete", form), http.StatusNotFound)
		wantStatus(t, "it is gone", console.Get(globex), http.StatusNotFound)
		for i, tokens := range acting {
			active := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {tokens["access_token"].(string)}})
			if active.JSON(t)["active"] != false {
				t.Errorf("%d: they still act", i)
			}
		}
	})
}

// A02, A19: who may do what there before they may delete it.
func TestConsoleDeletesOrganization(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		check(t, provider.NewDirectory(idp.Store).CreateRole(t.Context(), &storage.Role{Name: "customers", Permissions: storage.List{"organizations:write", "users:read"}}, storage.Cause{}, time.Now()))
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.AddMember(ctx, "org_globex", "usr_grace", "admin", time.Now()); err != nil {
				return err
			}
			return tx.AddMember(ctx, "org_initech", "usr_linus", "auditor", time.Now())
		})
		const globex = "/admin/organizations/org_globex"
		form := url.Values{"delete_id": {"org_globex"}}
		grace := inConsole(t, idp, "grace") // may write it, from within
		wantStatus(t, "from within", grace.Post(globex+"/delete", form), http.StatusForbidden)
		if w := grace.Get(globex); w.Status != http.StatusOK || w.Element("delete-form") != nil {
			t.Errorf("from within: offered with status %d", w.Status)
		}
		someone, _ := staffed(t, idp, "customers")
		if w := someone.Get(globex); w.Element("delete-form") == nil {
			t.Errorf("not offered: %d", w.Status)
		}
		w := someone.Post(globex+"/delete", form)
		if w.Status != http.StatusForbidden || !strings.Contains(w.Body, "Its members hold permissions that you do not hold there") {
			t.Errorf("grace holds more: %d %.1000s", w.Status, w.Body)
		}
		wantStatus(t, "it is there", someone.Get(globex), http.StatusOK)
		check(t, provider.NewDirectory(idp.Store).RemoveMember(t.Context(), "org_globex", "usr_grace", storage.Cause{}, time.Now()))
		wantStatus(t, "nobody holds more", someone.Post(globex+"/delete", form), http.StatusSeeOther)
	})
}
