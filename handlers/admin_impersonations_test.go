package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// acting starts an impersonation of somebody by new staff, and returns its id.
func acting(t testing.TB, idp *idptest.IDP, subject string) (b *idptest.Browser, id string) {
	t.Helper()
	b, name := staffed(t, idp, "support")
	w := b.Get(asking("client_id", "billing", "login_hint", handle(t, b, subject, "billing")))
	if !w.Location().Query().Has("code") {
		t.Fatalf("not started: %d %s", w.Status, w.Body)
	}
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + name, Running: true}, time.Now())
	check(t, err)
	return b, running[0].ID
}

// local is somebody of staff whose role is held within an organization only.
func localStaff(t testing.TB, idp *idptest.IDP, organization, role string) *idptest.Browser {
	t.Helper()
	name := unique("local")
	enroll(t, idp, name, "")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.AddMember(ctx, organization, "usr_"+name, role, time.Now())
	})
	return person(t, idp, name)
}

// A13, F08: who sees and who stops which impersonation in the console.
func TestConsoleImpersonations(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "billing", started)
		sam, ofAda := acting(t, idp, "usr_ada")   // of Globex
		_, ofLinus := acting(t, idp, "usr_linus") // of Initech
		root, olga := person(t, idp, "root"), person(t, idp, "olga")
		globex := localStaff(t, idp, "org_globex", "support")
		for what, c := range map[string]struct {
			b          *idptest.Browser
			ada, linus bool
			stops      int
		}{
			"an administrator": {root, true, true, 2}, "an auditor": {olga, true, true, 0}, "their own": {sam, true, true, 1},
			"of one organization": {globex, true, false, 0},
		} {
			w := c.b.Get("/admin/impersonations")
			if strings.Contains(w.Body, ofAda) != c.ada || strings.Contains(w.Body, ofLinus) != c.linus {
				t.Errorf("F08 %s: %d %s", what, w.Status, w.Body)
			}
			if got := strings.Count(w.Body, "/stop\""); got != c.stops+strings.Count(w.Body, `action="/admin/impersonations/stop"`) {
				t.Errorf("A13 %s: may stop %d", what, got)
			}
			for id, want := range map[string]bool{ofAda: c.ada, ofLinus: c.linus, "imp_nothing": false} {
				status := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[want]
				wantStatus(t, "F08 "+what, c.b.Get("/admin/impersonations/"+id), status)
			}
		}
		for what, b := range map[string]*idptest.Browser{"an auditor": olga, "of one organization": globex} {
			wantStatus(t, "A13 "+what, b.Post("/admin/impersonations/"+ofAda+"/stop", nil), http.StatusNotFound)
			wantStatus(t, "A13 all, "+what, b.Post("/admin/impersonations/stop", url.Values{"confirm": {"stop"}}), http.StatusForbidden)
		}
		wantStatus(t, "A13 of somebody else", sam.Post("/admin/impersonations/"+ofLinus+"/stop", nil), http.StatusNotFound)
		wantStatus(t, "A13 their own", sam.Post("/admin/impersonations/"+ofAda+"/stop", nil), http.StatusSeeOther)
		i, err := idp.Store.Impersonation(t.Context(), ofAda)
		check(t, err)
		if i.EndReason != storage.EndStopped || i.EndedBy != i.ActorID {
			t.Errorf("got %+v", i)
		}
		if w := sam.Post("/admin/impersonations/"+ofAda+"/stop", nil); !strings.HasSuffix(w.Location().String(), "done=had_ended") {
			t.Errorf("again: %d %s", w.Status, w.Location())
		}
		wantStatus(t, "all, by mistake", root.Post("/admin/impersonations/stop", url.Values{"confirm": {"yes"}}), http.StatusBadRequest)
		wantStatus(t, "all", root.Post("/admin/impersonations/stop", url.Values{"confirm": {"stop"}}), http.StatusSeeOther)
		if i, err = idp.Store.Impersonation(t.Context(), ofLinus); err != nil || i.EndedBy != "usr_root" {
			t.Errorf("got %+v, %v", i, err)
		}
		if w := globex.Get("/admin/impersonations/past"); !strings.Contains(w.Body, ofAda) || strings.Contains(w.Body, ofLinus) {
			t.Errorf("F08 past: %s", w.Body)
		}
		for _, place := range []string{"x", "1", ".", "1.", "-1.imp", "1." + strings.Repeat("x", 65), "99999999999999999999.x", "1.\x00"} {
			w := root.Get("/admin/impersonations/past?before=" + url.QueryEscape(place))
			if w.Status != http.StatusBadRequest {
				t.Errorf("F09 %q: %d", place, w.Status)
			}
		}
	})
}

// The list of those that are over is read page by page, without a gap.
func TestPastImpersonationsPaged(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	now := time.Now().Add(-24 * time.Hour)
	ids := map[string]bool{}
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		for n := range 60 {
			at := now.Add(time.Duration(n/3) * time.Second) // three at each moment
			i := &storage.Impersonation{
				ID: storage.NewID("imp"), ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "app", Entry: "console", Reason: "a reason", Access: "full",
				StartedAt: storage.At(at), ExpiresAt: storage.At(at.Add(time.Minute)), EndedAt: storage.At(at.Add(time.Second)), EndReason: storage.EndStopped,
			}
			ids[i.ID] = true
			if err := tx.CreateImpersonation(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	b, next := person(t, idp, "root"), "/admin/impersonations/past"
	for pages := 0; next != ""; pages++ {
		w := b.Get(next)
		if wantStatus(t, next, w, http.StatusOK); pages > 3 {
			t.Fatal("too many pages")
		}
		for id := range ids {
			if strings.Contains(w.Body, "/"+id+`"`) {
				delete(ids, id)
			}
		}
		_, rest, _ := strings.Cut(w.Body, `<a href="/admin/impersonations/past?before=`)
		next = ""
		if place, _, found := strings.Cut(rest, `"`); found {
			next = "/admin/impersonations/past?before=" + place
		}
	}
	if len(ids) > 0 {
		t.Errorf("%d are on no page", len(ids))
	}
}
