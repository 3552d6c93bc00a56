package handlers_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// within gives a person a role held within one organization.
func within(t testing.TB, idp *idptest.IDP, name, role, organization string) {
	t.Helper()
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.AddMember(ctx, organization, "usr_"+name, role, time.Now())
	})
}

func openConsole(t testing.TB, b *idptest.Browser) *idptest.Browser {
	t.Helper()
	wantStatus(t, "open the console", b.Get("/admin"), http.StatusOK)
	return b
}

// Each page of the record, the keys and the settings asks for its own permission, held
// everywhere: none of them knows organizations.
func TestConsolePermissions(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.CreateUser(ctx, &storage.User{ID: "usr_local", Email: "local@example.test"}, time.Now())
		})
		within(t, idp, "local", "admin", "org_globex")
		allowed := map[string][]string{
			"/admin":                     {"root", "olga"},
			"/admin/events":              {"root", "olga"},
			"/admin/events/verification": {"root", "olga"},
			"/admin/keys":                {"root"},
			"/admin/keys/replace":        {"root"},
			"/admin/settings":            {"root"},
			"/admin/settings/acting":     {"root"},
		}
		for _, name := range []string{"root", "sam", "olga", "ada", "local"} {
			b := person(t, idp, name)
			for path, people := range allowed {
				if path == "/admin" && (name == "sam" || name == "local") { // whether there is another page for them decides
					continue
				}
				want := http.StatusForbidden
				if slices.Contains(people, name) {
					want = http.StatusOK
				}
				wantStatus(t, name+" at "+path, b.Get(path), want)
			}
			for path, form := range map[string]url.Values{
				"/admin/keys/rotate": {}, "/admin/keys/replace": {"alg": {"ES256"}}, "/admin/settings/acting": {"enabled": {"on"}},
				"/admin/settings/support-access": {"rule": {"managed"}}, "/admin/events/export": {"format": {"csv"}},
			} {
				if w := b.Post(path, form); name != "root" && !(name == "olga" && path == "/admin/events/export") && w.Status != http.StatusForbidden {
					t.Errorf("%s posts to %s: status %d", name, path, w.Status)
				}
			}
		}
	})
}

// The record names both who acted and whom they acted as, and is filtered by all that
// the page offers.
func TestEventsPage(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		sam := person(t, idp, "sam")
		sam.ActAs("usr_ada", asking())
		olga := inConsole(t, idp, "olga")
		w := olga.Get("/admin/events?type=impersonation.started")
		row := textOf(w, "results")
		if w.Status != http.StatusOK || !strings.Contains(row, "sam as ada") || !strings.Contains(row, "App") || !strings.Contains(row, "Cannot see invoice 4711") {
			t.Fatalf("status %d: %s", w.Status, row)
		}
		for query, want := range map[string]bool{
			"actor=sam@example.test": true, "actor=usr_sam": true, "subject=ada@example.test": true, "client=app": true, "actor=olga@example.test": false,
			"subject=usr_linus": false, "client=nowhere": false, "from=2000-01-01T00:00": true, "to=2000-01-01T00:00": false, "outcome=done": true, "outcome=refused": false,
			"impersonation=imp_other": false, "from=2000-01-01&to=2100-01-01T00:00:00Z&type=impersonation.started&actor=usr_sam": true,
		} {
			w := olga.Get("/admin/events?" + query)
			if got := strings.Contains(textOf(w, "results"), "sam as ada"); w.Status != http.StatusOK || got != want {
				t.Errorf("%s: status %d, found %v, want %v", query, w.Status, got, want)
			}
		}
		link := regexp.MustCompile(`href="(/admin/events/evt_[a-z2-7]+)"`).FindStringSubmatch(w.Body)
		if link == nil {
			t.Fatal("no link to the record")
		}
		id := strings.TrimPrefix(link[1], "/admin/events/")
		idp.Auditor.Checkpoint(t.Context())
		e, err := idp.Store.Event(t.Context(), id)
		check(t, err)
		hash, err := e.Hash()
		check(t, err)
		one := olga.Get(link[1])
		if text := textOf(one, "record"); !strings.Contains(text, `"impersonation.started"`) || !strings.Contains(text, hash.String()) || !strings.Contains(text, "The checkpoint over") {
			t.Errorf("the record: %d %s", one.Status, text)
		}
		wantStatus(t, "no such record", olga.Get("/admin/events/evt_x"), http.StatusNotFound)
		wantStatus(t, "NUL", olga.Get("/admin/events/evt_%00"), http.StatusNotFound)
	})
}

// SECURITY F09: what a filter and a cursor may be is settled; all else is a clear page.
func TestEventsFilterHostile(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	olga := inConsole(t, idp, "olga")
	for _, query := range []string{
		"type=x", "type=session.created%27--", "from=yesterday", "from=1960-01-01", "to=99999-01-01", "from=2026-01-02&to=2026-01-01", "outcome=x", "actor=nobody@example.test",
		"subject=%00", "client=%ff", "client=a%0Ab", "impersonation=" + strings.Repeat("x", 201), "actor=%3Cscript%3Ealert(1)%3C/script%3E",
		"outcome=refused&type=session.created", "before=x", "after=1.evt_x", "before=-1.evt_" + strings.Repeat("a", 26), "before=99999999999999999999.evt_" + strings.Repeat("a", 26),
	} {
		w := olga.Get("/admin/events?" + query)
		if w.Status != http.StatusBadRequest || strings.Contains(w.Body, "<script>alert") || w.Element("error-summary") == nil && w.Element("error-page") == nil {
			t.Errorf("%.60s: status %d: %.300s", query, w.Status, w.Body)
		}
		form, _ := url.ParseQuery(query)
		form.Set("format", "csv")
		if !form.Has("before") && !form.Has("after") {
			wantStatus(t, "export "+query, olga.Post("/admin/events/export", form), http.StatusBadRequest)
		}
	}
	wantStatus(t, "another format", olga.Post("/admin/events/export", url.Values{"format": {"xml"}}), http.StatusBadRequest)
	wantStatus(t, "1 MB", olga.Post("/admin/events/export", url.Values{"format": {strings.Repeat("x", 1<<20)}}), http.StatusRequestEntityTooLarge)
	wantStatus(t, "what is not a filter", olga.Get("/admin/events?sort=ip&page=7&type="), http.StatusOK)
}

// Older and Newer lead through the whole record and back.
func TestEventsPaging(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		olga := inConsole(t, idp, "olga")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			for i := range 60 {
				err := tx.Record(ctx, storage.Event{Type: storage.EventUserUpdated, ActorID: "usr_root"}, storage.Private{}, storage.Request{}, time.Now().Add(-time.Duration(i/2)*time.Hour))
				if err != nil {
					return err
				}
			}
			return nil
		})
		ids := regexp.MustCompile(`<a href="/admin/events/(evt_[a-z2-7]+)"`)
		step := func(w *idptest.Response, rel string) string {
			if m := regexp.MustCompile(`href="([^"]+)" rel="` + rel + `"`).FindStringSubmatch(w.Body); m != nil {
				return strings.ReplaceAll(m[1], "&amp;", "&")
			}
			return ""
		}
		var seen []string
		path, last := "/admin/events?actor=usr_root&type=user.updated", ""
		for path != "" {
			w := olga.Get(path)
			for _, m := range ids.FindAllStringSubmatch(w.Body, -1) {
				seen = append(seen, m[1])
			}
			last, path = path, step(w, "next")
		}
		if len(seen) != 60 || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != 60 {
			t.Errorf("saw %d", len(seen))
		}
		back := 0
		for path = last; path != "" && back < 5; path = step(olga.Get(path), "prev") {
			last, back = path, back+1
		}
		if w := olga.Get(last); back != 3 || !strings.Contains(w.Body, seen[0]) {
			t.Errorf("%d pages back, to %s", back, last)
		}
	})
}

// SECURITY E10, G05: an export is bounded by the filter, on the record itself, and a
// reason is one cell, or one line, whatever it holds. JSONL ends with a checkpoint.
func TestExport(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		const reason = "=HYPERLINK(\"x\")\n{\"event\":\"fake\"} \u202e\x1b[31m"
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			for range 1100 { // more than two batches
				e := storage.Event{Type: storage.EventImpersonationStarted, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "app", ImpersonationID: "imp_x"}
				if err := tx.Record(ctx, e, storage.Private{Reason: reason}, storage.Request{}, time.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		olga := inConsole(t, idp, "olga")
		w := olga.Post("/admin/events/export", url.Values{"format": {"csv"}, "actor": {"sam@example.test"}})
		rows, err := csv.NewReader(strings.NewReader(w.Body)).ReadAll()
		if err != nil || w.Status != http.StatusOK || len(rows) != 1101 || rows[1][10] != "'"+reason || !strings.HasPrefix(w.Header.Get("Content-Disposition"), `attachment; filename="record-`) {
			t.Fatalf("csv: status %d, %d rows, %v", w.Status, len(rows), err)
		}
		w = olga.Post("/admin/events/export", url.Values{"format": {"jsonl"}, "type": {"impersonation.started"}})
		lines := strings.Split(strings.TrimSpace(w.Body), "\n")
		if len(lines) != 1101 {
			t.Fatalf("jsonl: %d lines", len(lines))
		}
		var last struct{ Checkpoint string }
		check(t, json.Unmarshal([]byte(lines[1100]), &last))
		tree, err := idp.Auditor.Open(last.Checkpoint)
		check(t, err)
		for _, line := range lines[:1100] {
			var r provider.EventRecord
			check(t, json.Unmarshal([]byte(line), &r))
			if r.Position == nil || *r.Position >= tree.N || r.Private.Reason != reason {
				t.Fatalf("not covered by a checkpoint of %d, or another reason: %s", tree.N, line)
			}
		}
		exports := recorded(t, idp, storage.EventRecordExported)
		if len(exports) != 2 || exports[0].ActorID != "usr_olga" || exports[1].Data["format"] != "jsonl" {
			t.Fatalf("recorded %+v", exports)
		}
		if filter, _ := exports[0].Data["filter"].(map[string]any); filter["actor"] != "usr_sam" {
			t.Errorf("an export recorded with %v, want the id and no address", filter)
		}
	})
}

// The badge says what verifying found, and the page what to do about it.
func TestVerificationPage(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	olga := inConsole(t, idp, "olga")
	if text := textOf(olga.Get("/admin/events"), "badge"); !strings.Contains(text, "Not verified yet") {
		t.Errorf("before: %s", text)
	}
	go func() { _ = idp.Auditor.Watch(t.Context()) }()
	_, err := idp.Auditor.Checkpoint(t.Context())
	check(t, err)
	w := olga.Post("/admin/events/verification", nil)
	if w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/admin/events/verification?done=verified" {
		t.Fatalf("status %d, %s", w.Status, w.Location())
	}
	page := olga.Get(w.Header.Get("Location"))
	if text := textOf(page, "badge"); !strings.Contains(text, "✓ Verified just now") {
		t.Errorf("whole: %s", text)
	}
	if _, err := idp.Auditor.Open(textOf(page, "checkpoint") + "\n"); err != nil {
		t.Errorf("the checkpoint on the page: %v", err)
	}
	tamperRecord(t, idp, `DROP TRIGGER events_no_update`, `UPDATE events SET data = '{"x":1}' WHERE position = 1`)
	wantStatus(t, "verify again", olga.Post("/admin/events/verification", nil), http.StatusSeeOther)
	for _, path := range []string{"/admin", "/admin/events", "/admin/events/verification"} {
		if text := textOf(olga.Get(path), "badge"); !strings.Contains(text, "Record 1 does not match") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// Every type of event has a name that people read, and can be filtered by.
func TestEventLabels(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../storage/event.go")
	check(t, err)
	idp := idptest.New(t, idptest.Options{})
	page := inConsole(t, idp, "olga").Get("/admin/events")
	for _, m := range regexp.MustCompile(`EventType = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(page.Body, `<option value="`+m[1]+`">`) {
			t.Errorf("%s has no label", m[1])
		}
	}
}
