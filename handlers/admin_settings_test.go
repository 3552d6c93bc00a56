package handlers_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// tamperRecord changes a SQLite database as somebody with a shell would.
func tamperRecord(t testing.TB, idp *idptest.IDP, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(idp.DSN, "sqlite:"))
	check(t, err)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		check(t, err)
	}
	check(t, db.Close())
}

// stale is a browser with an open console in which somebody signed in ten minutes ago.
func stale(t testing.TB, idp *idptest.IDP, name string) *idptest.Browser {
	t.Helper()
	return openConsole(t, personSince(t, idp, name, time.Now().Add(-10*time.Minute)))
}

// SECURITY A19: what is dangerous asks for the password when it was shown a while ago.
// The kill switch never does.
func TestMasterSwitch(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		sam := person(t, idp, "sam")
		sam.ActAs("usr_ada", asking())
		root := stale(t, idp, "root")
		if w := root.Get("/admin/settings"); !strings.Contains(w.Body, "One person is signed in as somebody else now.") {
			t.Errorf("settings: %d %s", w.Status, w.Body)
		}
		w := root.Post("/admin/settings/acting", url.Values{"enabled": {"off"}})
		if w.Header.Get("Location") != "/admin/settings?done=acting-off" {
			t.Fatalf("off: %d %s", w.Status, w.Location())
		}
		running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
		if err != nil || len(running) != 0 {
			t.Errorf("%d run on, %v", len(running), err)
		}
		on := func(want int, password string) *idptest.Response {
			t.Helper()
			w := root.Post("/admin/settings/acting", url.Values{"enabled": {"on"}, "password": {password}})
			wantStatus(t, "on with "+password, w, want)
			return w
		}
		if page := root.Get("/admin/settings/acting"); page.Element("password") == nil {
			t.Error("no field for the password")
		}
		on(http.StatusForbidden, "")
		if w := on(http.StatusForbidden, "wrong"); !strings.Contains(textOf(w, "password-error"), "not right") {
			t.Errorf("got %s", w.Body)
		}
		if enabled, err := idp.Store.ImpersonationEnabled(t.Context()); err != nil || enabled {
			t.Errorf("on without a password, %v", err)
		}
		on(http.StatusSeeOther, idptest.Password)
		if enabled, err := idp.Store.ImpersonationEnabled(t.Context()); err != nil || !enabled {
			t.Errorf("off after all, %v", err)
		}
		wantStatus(t, "neither", openConsole(t, root).Post("/admin/settings/acting", url.Values{"enabled": {"maybe"}}), http.StatusBadRequest)
		var by []string
		for _, e := range recorded(t, idp, storage.EventSettingsUpdated) {
			by = append(by, e.ActorID)
		}
		if len(by) != 3 || by[1] != "usr_root" || by[2] != "usr_root" { // the first is the seed's
			t.Errorf("recorded by %q", by)
		}
	})
}

// A rule that is narrower ends at once what it no longer allows.
func TestSupportRule(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		sam := person(t, idp, "sam")
		sam.ActAs("usr_ada", asking())
		set := func(b *idptest.Browser, rule, password string, want int) {
			t.Helper()
			w := b.Post("/admin/settings/support-access", url.Values{"rule": {rule}, "password": {password}})
			wantStatus(t, rule, w, want)
		}
		runs := func(want int) {
			t.Helper()
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
			if err != nil || len(running) != want {
				t.Errorf("%d run, %v, want %d", len(running), err, want)
			}
		}
		old, root := stale(t, idp, "root"), inConsole(t, idp, "root")
		set(old, "required", "", http.StatusForbidden)
		set(root, "hidden", "", http.StatusBadRequest)
		set(root, "managed", "", http.StatusSeeOther)
		runs(1)
		set(root, "required", "", http.StatusSeeOther)
		runs(0)
		set(old, "optional", idptest.Password, http.StatusSeeOther)
		s, err := idp.Store.ImpersonationSettings(t.Context())
		if err != nil || s.Support != storage.SupportOptional {
			t.Errorf("got %+v, %v", s, err)
		}
		if n := len(recorded(t, idp, storage.EventSettingsUpdated)); n != 4 {
			t.Errorf("%d events, want 4", n)
		}
	})
}

// SECURITY A05: nothing is changed by somebody who acts as somebody else.
func TestSettingsWhileActing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	root := inConsole(t, idp, "root")
	root.ActAs("usr_ada", asking())
	for path, form := range map[string]url.Values{
		"/admin/settings/acting": {"enabled": {"on"}}, "/admin/settings/support-access": {"rule": {"managed"}},
		"/admin/keys/rotate": {}, "/admin/keys/replace": {"alg": {"ES256"}}, "/admin/events/export": {"format": {"csv"}},
	} {
		if w := root.Post(path, form); w.Status != http.StatusForbidden || textOf(w, "error-code") != "impersonation_forbidden" {
			t.Errorf("%s: status %d", path, w.Status)
		}
	}
	wantStatus(t, "looking", root.Get("/admin"), http.StatusOK)
}

// Keys are rotated once, and replaced only by who shows a password.
func TestKeysPage(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		root, old := inConsole(t, idp, "root"), stale(t, idp, "root")
		signing := func() map[string]string {
			keys, err := idp.Store.SigningKeys(t.Context())
			check(t, err)
			found := map[string]string{}
			for _, k := range keys {
				if k.Purpose == "token" && !k.RetiredAt.Set() && k.ActivatesAt.Passed(time.Now()) {
					found[k.Alg] = k.ID
				}
			}
			return found
		}
		first := signing()
		for _, done := range []string{"keys-rotated", "keys-published"} {
			if w := root.Post("/admin/keys/rotate", nil); w.Header.Get("Location") != "/admin/keys?done="+done {
				t.Errorf("rotate: %d %s, want %s", w.Status, w.Location(), done)
			}
		}
		if w := root.Get("/admin/keys"); !strings.Contains(w.Body, "Up next") || !strings.Contains(w.Body, first["RS256"]) {
			t.Errorf("keys: %d %s", w.Status, w.Body)
		}
		wantStatus(t, "none", root.Post("/admin/keys/replace", nil), http.StatusBadRequest)
		wantStatus(t, "no such", root.Post("/admin/keys/replace", url.Values{"alg": {"HS256"}}), http.StatusBadRequest)
		wantStatus(t, "no password", old.Post("/admin/keys/replace", url.Values{"alg": {"ES256"}}), http.StatusForbidden)
		wantStatus(t, "replace", old.Post("/admin/keys/replace", url.Values{"alg": {"ES256"}, "password": {idptest.Password}}), http.StatusSeeOther)
		if now := signing(); now["ES256"] == first["ES256"] || now["RS256"] != first["RS256"] {
			t.Errorf("sign now %v, before %v", now, first)
		}
		for _, e := range recorded(t, idp, storage.EventKeyRetired) {
			if e.ActorID != "usr_root" || e.Data["reason"] != "emergency" {
				t.Errorf("recorded %+v", e)
			}
		}
	})
}

// What the configuration settles is shown with its source, and nothing of a secret.
func TestLockedSettings(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: handlers.Config{Settings: []handlers.Setting{
		{Key: "listen", Value: ":443", Source: "flag"}, {Key: "impersonation.max_duration", Value: "45m", Source: "file"}, {Key: "secrets.system", Value: "REDACTED", Source: "env"},
	}}})
	text := textOf(inConsole(t, idp, "root").Get("/admin/settings"), "locked")
	for _, part := range []string{"impersonation.max_duration", "45m", "the file", ":443", "the command line", "8 to 500 characters"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, text)
		}
	}
}

// The overview shows to each what they may see.
func TestOverview(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		person(t, idp, "sam").ActAs("usr_ada", asking())
		for name, stops := range map[string]bool{"root": true, "olga": false} {
			w := inConsole(t, idp, name).Get("/admin")
			if running := textOf(w, "running"); !strings.Contains(running, "sam as ada") || !strings.Contains(w.Body, `class="figure"`) {
				t.Errorf("%s sees %s", name, running)
			}
			if got := strings.Contains(w.Body, `action="/impersonation/stop"`); got != stops {
				t.Errorf("%s may stop: %v, want %v", name, got, stops)
			}
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
		})
		if text := textOf(inConsole(t, idp, "root").Get("/admin"), "steps"); !strings.Contains(text, "Switch on signing in as someone else") {
			t.Errorf("what is left to do: %s", text)
		}
		if inConsole(t, idp, "olga").Get("/admin").Element("steps") != nil {
			t.Error("an auditor is told what is left to do")
		}
	})
}

// Who may see, within one organization only, who acts as somebody sees it of its
// members, and no numbers that are not theirs to know.
func TestOverviewWithin(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	tamperRecord(t, idp, `INSERT INTO roles (name, permissions, built_in) VALUES ('keeper', '["keys:write"]', 0)`)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		var errs []error
		for _, id := range []string{"usr_here", "usr_there"} {
			errs = append(errs, tx.CreateUser(ctx, &storage.User{ID: id, Email: id + "@example.test"}, time.Now()), tx.GrantRole(ctx, id, "keeper", time.Now()))
		}
		return errors.Join(errs...)
	})
	within(t, idp, "here", "support", "org_globex")
	within(t, idp, "there", "support", "org_initech")
	person(t, idp, "sam").ActAs("usr_ada", asking())
	for name, want := range map[string]bool{"here": true, "there": false} {
		w := inConsole(t, idp, name).Get("/admin")
		if running := textOf(w, "running"); strings.Contains(running, "sam as ada") != want || strings.Contains(w.Body, "/impersonation/stop") {
			t.Errorf("%s sees %s", name, running)
		}
		if strings.Contains(w.Body, "Sign-ins in 24 hours") || w.Element("badge") != nil {
			t.Errorf("%s is told what is everywhere: %s", name, w.Body)
		}
	}
}

// The overview passes on what is wrong with the installation, to administrators.
func TestOverviewWarnings(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: handlers.Config{Findings: func(context.Context) []handlers.Finding {
		return []handlers.Finding{{Check: "issuer", Detail: "<b>is not https", Advice: "Set one.", Bad: true}}
	}}})
	if text := textOf(inConsole(t, idp, "root").Get("/admin"), "warnings"); !strings.Contains(text, "✗ Fails issuer <b>is not https Set one.") {
		t.Errorf("got %s", text)
	}
	if inConsole(t, idp, "olga").Get("/admin").Element("warnings") != nil {
		t.Error("an auditor is warned")
	}
}
