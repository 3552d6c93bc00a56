package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// roleIn returns the role that somebody holds within an organization; false: they are
// no member.
func roleIn(t testing.TB, idp *idptest.IDP, organization, user string) (string, bool) {
	t.Helper()
	of, err := idp.Store.MembershipsOf(t.Context(), user)
	check(t, err)
	for _, m := range of {
		if m.OrganizationID == organization {
			if m.Role == nil {
				return "", true
			}
			return *m.Role, true
		}
	}
	return "", false
}

// From a new organization to its last member, each step on the record.
func TestConsoleOrganizations(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		b := inConsole(t, idp, "root")
		const hooli = "/admin/organizations/org_hooli"
		wantStatus(t, "create", b.Post("/admin/organizations", url.Values{"name": {" Hooli "}, "id": {"org_hooli"}}), http.StatusSeeOther)
		for name, form := range map[string]url.Values{
			"no name": {"name": {" "}}, "name taken": {"name": {"Globex"}}, "name is an id": {"name": {"org_globex"}}, "id taken": {"name": {"X"}, "id": {"org_globex"}},
			"bad id": {"name": {"X"}, "id": {"<b>"}}, "control characters": {"name": {"a\x01b"}}, "NUL": {"name": {"a\x00b"}}, "long": {"name": {strings.Repeat("x", 5000)}},
		} {
			w := b.Post("/admin/organizations", form)
			wantStatus(t, name, w, http.StatusBadRequest)
			if name != "NUL" && w.Element("error-summary") == nil {
				t.Errorf("%s: nothing is said", name)
			}
		}
		if w := b.Get("/admin/organizations?q=hoo"); !strings.Contains(w.Body, `href="/admin/organizations/org_hooli"`) || strings.Contains(w.Body, "Initech") {
			t.Errorf("list: status %d: %.2000s", w.Status, w.Body)
		}
		wantStatus(t, "rename", b.Post(hooli, url.Values{"name": {"Hooli XYZ"}}), http.StatusSeeOther)
		wantStatus(t, "name of another", b.Post(hooli, url.Values{"name": {"Initech"}}), http.StatusBadRequest)

		wantStatus(t, "add by e-mail", b.Post(hooli+"/members", url.Values{"user": {" ADA@example.test"}, "role": {"support"}}), http.StatusSeeOther)
		wantStatus(t, "add by id", b.Post(hooli+"/members", url.Values{"user": {"usr_linus"}, "role": {""}}), http.StatusSeeOther)
		for name, form := range map[string]url.Values{
			"nobody": {"user": {"nobody@example.test"}}, "nobody at all": {"user": {""}}, "a member": {"user": {"usr_ada"}}, "no such role": {"user": {"usr_grace"}, "role": {"emperor"}},
		} {
			w := b.Post(hooli+"/members", form)
			wantStatus(t, name, w, http.StatusBadRequest)
			if filledIn(t, w, "member-form").Get("user") != form.Get("user") {
				t.Errorf("%s: what was typed is lost", name)
			}
		}
		if role, member := roleIn(t, idp, "org_hooli", "usr_ada"); role != "support" || !member {
			t.Errorf("ada: %q, %t", role, member)
		}
		if w := b.Get(hooli + "?q=ada"); !strings.Contains(w.Body, "ada@example.test") || strings.Contains(w.Body, "linus") {
			t.Errorf("members: status %d: %.2000s", w.Status, w.Body)
		}
		wantStatus(t, "another role", b.Post(hooli+"/members/usr_ada", url.Values{"role": {"auditor"}}), http.StatusSeeOther)
		wantStatus(t, "no such role", b.Post(hooli+"/members/usr_ada", url.Values{"role": {"emperor"}}), http.StatusBadRequest)
		wantStatus(t, "remove", b.Post(hooli+"/members/usr_ada/remove", nil), http.StatusSeeOther)
		wantStatus(t, "remove again", b.Post(hooli+"/members/usr_ada/remove", nil), http.StatusNotFound)
		wantStatus(t, "not a member", b.Get(hooli+"/members/usr_ada"), http.StatusNotFound)
		wantStatus(t, "nobody", b.Get(hooli+"/members/usr_x"), http.StatusNotFound)
		if _, member := roleIn(t, idp, "org_hooli", "usr_ada"); member {
			t.Error("ada is still a member")
		}
		for kind, want := range map[storage.EventType]int{
			storage.EventOrganizationCreated: 1, storage.EventOrganizationUpdated: 1, storage.EventMemberAdded: 2, storage.EventMemberRemoved: 1,
			storage.EventUserRoleGranted: 2, storage.EventUserRoleRevoked: 2,
		} {
			events := recorded(t, idp, kind)
			if len(events) != want {
				t.Errorf("%s: %d events, want %d", kind, len(events), want)
			}
			for _, e := range events {
				if e.ActorID != "usr_root" || e.OrganizationID != "org_hooli" || e.RequestID == "" {
					t.Errorf("%s: got %+v", kind, e)
				}
			}
		}
	})
}

// A14: whoever leaves an organization is no longer acted as for it, and acts for it no
// longer.
func TestRemovedMemberIsNotActedAs(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for subject, tokens := range map[string]map[string]any{
			"usr_ada": idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", idptest.Request(nil))),
		} {
			w := inConsole(t, idp, "root").Post("/admin/organizations/org_globex/members/"+subject+"/remove", nil)
			wantStatus(t, "remove", w, http.StatusSeeOther)
			if ended := recorded(t, idp, storage.EventImpersonationStopped); len(ended) != 1 || ended[0].Data["end_reason"] != string(storage.EndPermissionLost) {
				t.Errorf("ended: %+v", ended)
			}
			active := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {tokens["access_token"].(string)}})
			if active.JSON(t)["active"] != false {
				t.Error("the access token still works")
			}
		}
	})
}

// Who may look, who may change, and how far a role within one organization reaches.
func TestConsoleOrganizationPermissions(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.AddMember(ctx, "org_globex", "usr_grace", "admin", time.Now()); err != nil {
				return err
			}
			return tx.AddMember(ctx, "org_initech", "usr_linus", "support", time.Now())
		})
		const globex, initech = "/admin/organizations/org_globex", "/admin/organizations/org_initech"
		change := map[string]url.Values{
			"": {"name": {"Mine"}}, "/members": {"user": {"usr_linus"}}, "/members/usr_ada": {"role": {"support"}}, "/members/usr_ada/remove": {},
		}
		for name, want := range map[string]int{"ada": http.StatusForbidden, "sam": http.StatusOK, "olga": http.StatusOK, "root": http.StatusOK} {
			b := person(t, idp, name)
			b.Follow("/admin/organizations")
			for _, path := range []string{"/admin/organizations", globex, initech} {
				wantStatus(t, name+" at "+path, b.Get(path), want)
			}
			if name == "root" {
				continue
			}
			for path, form := range change {
				wantStatus(t, name+" posts to "+path, b.Post(globex+path, form), http.StatusForbidden)
			}
			wantStatus(t, name+" creates", b.Post("/admin/organizations", url.Values{"name": {"Mine"}}), http.StatusForbidden)
		}

		grace := person(t, idp, "grace") // administrator of Globex, and a member of Initech
		grace.Follow("/admin/organizations")
		if w := grace.Get("/admin/organizations"); !strings.Contains(w.Body, "Globex") || strings.Contains(w.Body, "Initech") || w.Element("organization-form") != nil {
			t.Errorf("grace sees %d: %.3000s", w.Status, w.Body)
		}
		wantStatus(t, "grace creates", grace.Post("/admin/organizations", url.Values{"name": {"Mine"}}), http.StatusForbidden)
		for _, path := range []string{"", "/members/usr_linus"} {
			wantStatus(t, "grace at Initech"+path, grace.Get(initech+path), http.StatusNotFound)
		}
		for path, form := range change {
			wantStatus(t, "grace posts to Initech"+path, grace.Post(initech+strings.Replace(path, "ada", "linus", 1), form), http.StatusNotFound)
		}
		wantStatus(t, "a member of Initech, by way of Globex", grace.Get(globex+"/members/usr_linus"), http.StatusNotFound)
		wantStatus(t, "her member", grace.Get(globex+"/members/usr_ada"), http.StatusOK)
		said := map[string]string{}
		for _, user := range []string{"linus@example.test", "root@example.test", "zzz@example.test"} {
			w := grace.Post(globex+"/members", url.Values{"user": {user}})
			wantStatus(t, "D11 grace adds "+user, w, http.StatusBadRequest)
			said[strings.ReplaceAll(w.Body, user, "")] = user
		}
		if len(said) != 1 {
			t.Errorf("users out of reach look different from nobody: %d answers", len(said))
		}
		wantStatus(t, "a role there", grace.Post(globex+"/members/usr_ada", url.Values{"role": {"support"}}), http.StatusSeeOther)
		for _, path := range []string{"/members/usr_grace", "/members/usr_grace/remove"} {
			wantStatus(t, "her own role: "+path, grace.Post(globex+path, url.Values{"role": {"support"}}), http.StatusForbidden)
		}
		if w := grace.Get(globex + "/members/usr_grace"); w.Element("role-form") != nil || !strings.Contains(w.Body, "Nobody changes what they may do themselves.") {
			t.Error("the page offers her to change her own role")
		}

		// Somebody who may only write organizations gives nothing beyond that.
		root := inConsole(t, idp, "root")
		wantStatus(t, "root's own", root.Post(globex+"/members", url.Values{"user": {"usr_root"}, "role": {"support"}}), http.StatusForbidden)
		wantStatus(t, "root joins as a member", root.Post(globex+"/members", url.Values{"user": {"usr_root"}}), http.StatusSeeOther)
		wantStatus(t, "what is no id", root.Get("/admin/organizations/Globex"), http.StatusNotFound)
		for _, path := range []string{"?after=x", "?q=%00"} {
			wantStatus(t, path, root.Get("/admin/organizations"+path), http.StatusBadRequest)
			wantStatus(t, path, root.Get(globex+path), http.StatusBadRequest)
		}
		for user, want := range map[string]string{"usr_ada": "support", "usr_grace": "admin", "usr_root": ""} {
			if role, member := roleIn(t, idp, "org_globex", user); role != want || !member {
				t.Errorf("%s: %q, %t, want %q", user, role, member, want)
			}
		}
		if _, member := roleIn(t, idp, "org_globex", "usr_linus"); member {
			t.Error("linus is a member of Globex")
		}
	})
}

// Whoever acts as somebody else changes nothing (SECURITY A17).
func TestConsoleWhileActing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	b := inConsole(t, idp, "root")
	b.ActAs("usr_ada", idptest.Request(nil))
	for _, path := range []string{"/admin/clients/new", "/admin/clients/app/settings", "/admin/clients/app/secret", "/admin/clients/app/delete", "/admin/organizations", "/admin/organizations/org_globex/members"} {
		w := b.Post(path, url.Values{"name": {"X"}})
		wantStatus(t, path, w, http.StatusForbidden)
		if !strings.Contains(w.Body, "You are acting as ada") {
			t.Errorf("%s: %.300s", path, fmt.Sprint(w.Body))
		}
	}
	if w := b.Get("/admin/clients"); w.Status != http.StatusOK || !strings.Contains(w.Body, "are acting as") {
		t.Errorf("the list: status %d", w.Status)
	}
}
