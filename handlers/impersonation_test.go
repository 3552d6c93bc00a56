package handlers_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/storage/storagetest"
)

// unlimited is a provider on which a test may start as many as it needs.
func unlimited(o idptest.Options) idptest.Options {
	o.Provider.Impersonation = idptest.Limits()
	return o
}

// onBoth runs a test on both databases, as unlimited.
func onBoth(t *testing.T, test func(t *testing.T, idp *idptest.IDP)) {
	t.Parallel()
	each(t, unlimited(idptest.Options{}), test)
}

func each(t *testing.T, o idptest.Options, test func(t *testing.T, idp *idptest.IDP)) {
	t.Helper()
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			o.DSN = dsn(t)
			test(t, idptest.New(t, o))
		})
	}
}

// TestEverybody runs what needs people and clients of its own only, one after the
// other on one provider: its keys cost more than most tests.
func TestEverybody(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for name, test := range map[string]func(*testing.T, *idptest.IDP){
			"ends":                                   testEnds,
			"decided again":                          testDecidedAgain,
			"A13 who may stop":                       testWhoMayStop,
			"T32 T34 stop by hint":                   testStopByHint,
			"A08 A09 A10 A11 A12 T19 T22 T29 tokens": testTokensOfAnImpersonation,
			"G01 record":                             testRecord,
			"A16 T06 the subject":                    testSubjectIsUntouched,
			"A18 T17 T33 T34 prompt":                 testPromptWhileActing,
			"T11 reasons":                            testReasons,
			"D01 T26 session id":                     testSessionID,
			"D02 another browser":                    testInteractionOfAnotherBrowser,
			"D06 sessions end":                       testSessionsEnd,
			"D07 disabled on the way":                testDisabledOnTheWay,
		} {
			t.Run(name, func(t *testing.T) { test(t, idp) })
		}
	})
}

// enroll adds a person who signs in like all the others: usr_NAME, with a role
// that is held everywhere or none.
func enroll(t testing.TB, idp *idptest.IDP, name, role string) string {
	t.Helper()
	sam, err := idp.Store.User(t.Context(), "usr_sam")
	if err != nil {
		t.Fatal(err)
	}
	u := &storage.User{ID: "usr_" + name, Email: name + "@example.test", Name: "Full " + name, PasswordHash: sam.PasswordHash}
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		err := tx.CreateUser(ctx, u, time.Now())
		if err == nil && role != "" {
			err = tx.GrantRole(ctx, u.ID, role, time.Now())
		}
		return err
	})
	return u.ID
}

// act is an impersonation that runs: usr_ACTOR as usr_SUBJECT at a client that may
// refresh.
type act struct {
	idp                    *idptest.IDP
	actor, subject, client string // names
	browser                *idptest.Browser
	id, code               string
	tokens                 map[string]any // nil: the code was not exchanged yet
}

var serial struct {
	sync.Mutex
	n int
}

// unique returns a name that no other test uses.
func unique(what string) string {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return fmt.Sprintf("%s%d", what, serial.n)
}

// begin starts one, of people and a client that nobody else uses, up to the code.
func begin(t *testing.T, idp *idptest.IDP) *act {
	t.Helper()
	a := &act{idp: idp, actor: unique("actor"), subject: unique("subject"), client: unique("client")}
	enroll(t, idp, a.actor, "support")
	enroll(t, idp, a.subject, "")
	addClient(t, idp, a.client, func(c *storage.Client) { c.ImpersonationRefresh = true })
	a.browser = arrive(t, idp, a.actor)
	a.code = a.browser.ActAs("usr_"+a.subject, a.request())
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + a.actor}, time.Now())
	if err != nil || len(running) != 1 {
		t.Fatalf("got %d impersonations, %v", len(running), err)
	}
	a.id = running[0].ID
	return a
}

func (a *act) request(pairs ...string) string {
	return asking(append([]string{"client_id", a.client, "scope", "openid email offline_access api:read api:write"}, pairs...)...)
}

// begun starts one, up to the tokens.
func begun(t *testing.T, idp *idptest.IDP) *act {
	t.Helper()
	a := begin(t, idp)
	w := a.exchange()
	if w.Status != http.StatusOK {
		t.Fatalf("token: %d %s", w.Status, w.Body)
	}
	a.tokens = w.JSON(t)
	return a
}

func (a *act) call(form url.Values) *idptest.Response {
	return a.idp.Call("/oauth2/token", a.client, idptest.Secret, form)
}

func (a *act) exchange() *idptest.Response { return a.call(idptest.Exchange(a.code, nil)) }

func (a *act) refresh(t testing.TB) *idptest.Response {
	return a.call(refreshing(str(t, a.tokens, "refresh_token")))
}

func (a *act) introspect(t testing.TB, token string) map[string]any {
	t.Helper()
	return a.idp.Call("/oauth2/introspect", a.client, idptest.Secret, url.Values{"token": {token}}).JSON(t)
}

func (a *act) row(t testing.TB) *storage.Impersonation {
	t.Helper()
	i, err := a.idp.Store.Impersonation(t.Context(), a.id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// events returns what is on the record and fits, oldest first.
func events(t testing.TB, idp *idptest.IDP, fits func(e storage.Event) bool) []storage.Event {
	t.Helper()
	all, err := idp.Store.PendingEvents(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e storage.Event) bool { return !fits(e) })
}

// private returns the personal part of an event.
func private(t testing.TB, e storage.Event) storage.Private {
	t.Helper()
	var p storage.Private
	if e.Private != "" {
		if err := json.Unmarshal([]byte(e.Private), &p); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// wantEvents checks which types of events an impersonation has left, in order.
func (a *act) wantEvents(t testing.TB, want ...storage.EventType) []storage.Event {
	t.Helper()
	found := events(t, a.idp, func(e storage.Event) bool { return e.ImpersonationID == a.id })
	var got []storage.EventType
	for _, e := range found {
		got = append(got, e.Type)
		if e.ActorID != "usr_"+a.actor || e.SubjectID != "usr_"+a.subject || e.ClientID != a.client {
			t.Errorf("%s: actor %q, subject %q, client %q", e.Type, e.ActorID, e.SubjectID, e.ClientID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events: got %v, want %v", got, want)
	}
	return found
}

// wantEnded checks that nothing of an impersonation is left but its record.
func (a *act) wantEnded(t testing.TB, why storage.EndReason, by string) {
	t.Helper()
	i := a.row(t)
	if !i.EndedAt.Set() || i.EndReason != why || i.EndedBy != by {
		t.Errorf("ended %v, %q by %q, want %q by %q", i.EndedAt.Set(), i.EndReason, i.EndedBy, why, by)
	}
	a.wantDead(t)
}

func (a *act) wantDead(t testing.TB) {
	t.Helper()
	if a.tokens == nil {
		wantRefused(t, "the code that was not exchanged", a.exchange(), http.StatusBadRequest, "invalid_grant")
		return
	}
	wantRefused(t, "refresh", a.refresh(t), http.StatusBadRequest, "invalid_grant")
	for _, name := range []string{"access_token", "refresh_token"} {
		if got := a.introspect(t, str(t, a.tokens, name)); len(got) != 1 || got["active"] != false {
			t.Errorf("introspection of the %s: %v", name, got)
		}
	}
	wantRefused(t, "userinfo", userinfo(a.idp, str(t, a.tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
}

// ways are all the ways in which an impersonation ends before its time.
var ways = []struct {
	name string
	end  func(t *testing.T, a *act)
	why  storage.EndReason
	by   func(a *act) string // nil: nobody
}{
	{"A13 the actor stops", func(t *testing.T, a *act) { stop(t, a, a.browser) }, storage.EndStopped, (*act).actorID},
	{"A13 the subject stops", func(t *testing.T, a *act) { stop(t, a, person(t, a.idp, a.subject)) }, storage.EndStopped, (*act).subjectID},
	{"A13 an administrator stops", func(t *testing.T, a *act) { stop(t, a, person(t, a.idp, "root")) }, storage.EndStopped, func(*act) string { return "usr_root" }},
	{"A14 the actor signs out", func(t *testing.T, a *act) {
		wantStatus(t, "sign out", a.browser.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	}, storage.EndSignedOut, (*act).actorID},
	{"A14 somebody else signs in", func(_ *testing.T, a *act) { a.browser.SignIn("olga") }, storage.EndSignedOut, (*act).actorID},
	{"A14 the actor is disabled", func(t *testing.T, a *act) {
		check(t, a.directory().Disable(t.Context(), a.actorID(), byTest, time.Now()))
	}, storage.EndActorDisabled, nil},
	{"A14 the actor has a new password", func(t *testing.T, a *act) {
		check(t, a.directory().SetPassword(t.Context(), a.actorID(), "another password", byTest, time.Now()))
	}, storage.EndCredentialsChanged, nil},
	{"A14 the actor's role is revoked", func(t *testing.T, a *act) {
		check(t, a.directory().RevokeRole(t.Context(), a.actorID(), "support", "", byTest, time.Now()))
	}, storage.EndPermissionLost, nil},
	{"A15 the subject is disabled", func(t *testing.T, a *act) {
		check(t, a.directory().Disable(t.Context(), a.subjectID(), byTest, time.Now()))
	}, storage.EndSubjectDisabled, nil},
	{"A15 the subject has a new password", func(t *testing.T, a *act) {
		check(t, a.directory().SetPassword(t.Context(), a.subjectID(), "another password", byTest, time.Now()))
	}, storage.EndCredentialsChanged, nil},
	{"A15 the subject is protected", func(t *testing.T, a *act) {
		check(t, a.directory().SetNeverImpersonate(t.Context(), a.subjectID(), true, byTest, time.Now()))
	}, storage.EndPermissionLost, nil},
	{"A03 the subject is promoted", func(t *testing.T, a *act) {
		check(t, a.directory().GrantRole(t.Context(), a.subjectID(), "auditor", "", byTest, time.Now()))
	}, storage.EndPermissionLost, nil},
	{"A07 the client opts out", func(t *testing.T, a *act) {
		a.idp.Change(t, a.client, func(c *storage.Client) { c.AllowImpersonation = false })
	}, storage.EndClientDisallowed, nil},
	{"A13 the subject ends it in their account", func(t *testing.T, a *act) {
		wantDone(t, person(t, a.idp, a.subject).Post("/account/activity/"+a.id+"/end", nil), "/account/activity?done=ended")
	}, storage.EndStopped, (*act).subjectID},
	{"A27 the subject forbids it", func(t *testing.T, a *act) {
		wantDone(t, person(t, a.idp, a.subject).Post("/account/support-access", url.Values{"choice": {"denied"}}), "/account/support-access?done=support_access")
	}, storage.EndPermissionLost, (*act).subjectID},
	{"A27 the subject allows another ticket only", func(t *testing.T, a *act) {
		form := url.Values{"choice": {"ticket"}, "hours": {"24"}, "ticket_ref": {"SUP-1"}}
		wantDone(t, person(t, a.idp, a.subject).Post("/account/support-access", form), "/account/support-access?done=support_access")
	}, storage.EndPermissionLost, (*act).subjectID},
	{"D06 the actor ends all other sign-ins", func(t *testing.T, a *act) {
		wantDone(t, person(t, a.idp, a.actor).Post("/account/sessions", url.Values{"action": {"others"}}), "/account/sessions?done=sessions_ended")
	}, storage.EndSignedOut, (*act).actorID},
	{"D06 the subject changes their password", func(t *testing.T, a *act) {
		form := url.Values{"current_password": {idptest.Password}, "new_password": {"another password"}}
		wantDone(t, person(t, a.idp, a.subject).Post("/account/password", form), "/account/password?done=password_changed")
	}, storage.EndCredentialsChanged, (*act).subjectID},
	{"the kill switch", func(t *testing.T, a *act) {
		a.idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			err := tx.EnableImpersonation(ctx, false, byTest, time.Now())
			if err == nil {
				err = tx.EnableImpersonation(ctx, true, byTest, time.Now()) // what ended stays ended
			}
			return err
		})
	}, storage.EndSwitchedOff, nil},
}

func (a *act) actorID() string   { return "usr_" + a.actor }
func (a *act) subjectID() string { return "usr_" + a.subject }

func (a *act) directory() *provider.Directory { return provider.NewDirectory(a.idp.Store) }

var byTest = storage.Cause{Request: storage.Request{ID: "test"}}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stop stops at the page.
func stop(t *testing.T, a *act, b *idptest.Browser) {
	t.Helper()
	page := b.Get("/impersonation/stop?id=" + a.id)
	if page.Element("stop-form") == nil {
		t.Fatalf("stop page: %d %s", page.Status, page.Body)
	}
	w := b.Post("/impersonation/stop", url.Values{"id": {a.id}})
	if w.Status != http.StatusSeeOther || w.Location().Path != "/impersonation/stopped" {
		t.Fatalf("stop: %d %s", w.Status, w.Body)
	}
	wantStatus(t, "stopped page", b.Get(w.Header.Get("Location")), http.StatusOK)
	again := b.Post("/impersonation/stop", url.Values{"id": {a.id}})
	wantStatus(t, "a second stop", again, http.StatusSeeOther)
}

// However one ends: its code, its tokens and its refresh tokens end with it, once,
// on the record, and no other's (SECURITY A03, A07, A13-A15, D07, T08, T09).
func testEnds(t *testing.T, idp *idptest.IDP) {
	other := begun(t, idp)
	for _, way := range ways {
		by := func(a *act) string {
			if way.by == nil {
				return ""
			}
			return way.by(a)
		}
		t.Run(way.name+", between code and token", func(t *testing.T) {
			a := begin(t, idp)
			way.end(t, a)
			a.wantEnded(t, way.why, by(a))
			a.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventImpersonationStopped)
		})
		t.Run(way.name+", between refreshes", func(t *testing.T) {
			a := begun(t, idp)
			w := a.refresh(t)
			if w.Status != http.StatusOK {
				t.Fatalf("refresh: %d %s", w.Status, w.Body)
			}
			a.tokens = w.JSON(t)
			way.end(t, a)
			a.wantEnded(t, way.why, by(a))
			found := a.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued, storage.EventTokenIssued, storage.EventImpersonationStopped)
			if last := found[len(found)-1]; last.Data["end_reason"] != string(way.why) || last.Data["ended_by"] != by(a) {
				t.Errorf("event of the end: %v", last.Data)
			}
			if way.why != storage.EndSwitchedOff && !other.row(t).Running(time.Now()) {
				t.Error("another impersonation ended with it")
			}
		})
	}
}

// What changed behind the back of everybody is noticed at the next step (SECURITY
// A03): the rules are asked again, not remembered.
func testDecidedAgain(t *testing.T, idp *idptest.IDP) {
	for name, change := range map[string]func(ctx context.Context, tx *storage.Tx, a *act) error{
		"A14 the actor's role is gone": func(ctx context.Context, tx *storage.Tx, a *act) error {
			return tx.RevokeRole(ctx, a.actorID(), "support")
		},
		"A03 the subject is an administrator": func(ctx context.Context, tx *storage.Tx, a *act) error {
			return tx.GrantRole(ctx, a.subjectID(), "admin", time.Now())
		},
		"the subject joined two organizations": func(ctx context.Context, tx *storage.Tx, a *act) error {
			for _, o := range []string{"org_globex", "org_initech"} {
				if err := tx.AddMember(ctx, o, a.subjectID(), "", time.Now()); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, start := range []func(*testing.T, *idptest.IDP) *act{begin, begun} {
				a := start(t, idp)
				idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return change(ctx, tx, a) })
				if a.tokens == nil {
					wantRefused(t, "code", a.exchange(), http.StatusBadRequest, "invalid_grant")
				} else {
					wantRefused(t, "refresh", a.refresh(t), http.StatusBadRequest, "invalid_grant")
				}
				a.wantEnded(t, storage.EndPermissionLost, "")
			}
		})
	}
}

// A13: only its actor, its subject and who may stop any.
func testWhoMayStop(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	for _, name := range []string{"ada", "sam", "olga"} {
		b := person(t, idp, name)
		for _, w := range []*idptest.Response{
			b.Post("/impersonation/stop", url.Values{"id": {a.id}, "actor": {a.actorID()}, "user": {a.actorID()}}),
			b.Get("/impersonation/stop?id=" + a.id),
			b.Get("/impersonation/stopped?id=" + a.id),
		} {
			unknown := b.Get("/impersonation/stop?id=imp_unknown")
			if w.Status != http.StatusNotFound || anonymous(w.Body) != anonymous(unknown.Body) {
				t.Errorf("%s: status %d: %s", name, w.Status, w.Body)
			}
		}
	}
	nobody := idp.Browser(t).Post("/impersonation/stop", url.Values{"id": {a.id}})
	if nobody.Location().Path != "/login" {
		t.Errorf("nobody: %d %s", nobody.Status, nobody.Location())
	}
	for _, id := range []string{"", "%", "imp_", a.actorID(), a.subjectID()} {
		wantStatus(t, id, a.browser.Post("/impersonation/stop", url.Values{"id": {id}}), http.StatusNotFound)
	}
	if !a.row(t).Running(time.Now()) {
		t.Error("it was stopped")
	}
}

var reference = regexp.MustCompile(`<code class="copy">[^<]*</code>`)

// anonymous is a page without the reference of its request.
func anonymous(body string) string { return reference.ReplaceAllString(body, "") }

// A hint that carries act stops what it is from, and nothing else: nobody is
// signed out with it (SECURITY T32, T34).
func testStopByHint(t *testing.T, idp *idptest.IDP) {
	for name, send := range map[string]func(b *idptest.Browser, form url.Values) *idptest.Response{
		"GET": func(b *idptest.Browser, form url.Values) *idptest.Response {
			return b.Get("/oauth2/logout?" + form.Encode())
		},
		"POST from the application": func(b *idptest.Browser, form url.Values) *idptest.Response {
			r := idptest.Form("/oauth2/logout", form)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			return b.IDP.Do(r) // no cookies come along
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := begun(t, idp)
			subject := person(t, idp, a.subject)
			own := idp.Call("/oauth2/token", a.client, idptest.Secret, idptest.Exchange(subject.Code(a.request()), nil)).JSON(t)
			hint := url.Values{
				"id_token_hint": {str(t, a.tokens, "id_token")}, "post_logout_redirect_uri": {"https://app.example/"}, "state": {"s"},
			}
			for range 2 { // the second time it has ended
				w := send(a.browser, hint)
				if w.Status != http.StatusSeeOther || w.Header.Get("Location") != "https://app.example/?state=s" {
					t.Errorf("end session: %d %s %s", w.Status, w.Location(), w.Body)
				}
			}
			by := a.actorID()
			if name != "GET" {
				by = "" // the token alone says whose it is, not who holds it
			}
			a.wantEnded(t, storage.EndStopped, by)
			a.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued, storage.EventImpersonationStopped)
			if a.introspect(t, str(t, own, "access_token"))["active"] != true {
				t.Error("the subject's own token ended")
			}
			for who, b := range map[string]*idptest.Browser{"actor": a.browser, "subject": subject} {
				if !signedIn(b) {
					t.Errorf("the %s was signed out", who)
				}
			}
		})
	}
	t.Run("without a redirect", func(t *testing.T) {
		a := begun(t, idp)
		at, w := a.browser.Follow("/oauth2/logout?id_token_hint=" + str(t, a.tokens, "id_token"))
		if !strings.HasPrefix(at, "/impersonation/stopped") || w.Status != http.StatusOK {
			t.Errorf("at %s, status %d", at, w.Status)
		}
		a.wantEnded(t, storage.EndStopped, a.actorID())
	})
}

// refusals are attempts at the consent page that a rule refuses.
var refusals = []struct {
	name, actor, subject string
	change               func(form url.Values)
	status               int
	denial               impersonation.Denial
}{
	{"A01 no permission", "ada", "usr_linus", nil, 403, impersonation.DenyPermission},
	{"A01 no permission, no such user", "ada", "usr_nobody", nil, 403, impersonation.DenyPermission},
	{"A01 no permission, nothing else right", "ada", "", having("reason", "", "ticket_ref", "\x1b", "access", "x", "duration", "-1"), 403, impersonation.DenyPermission},
	{"A01 may read, may not start", "olga", "usr_ada", nil, 403, impersonation.DenyPermission},
	{"A02 an administrator", "sam", "usr_root", nil, 403, impersonation.DenyPrivileged},
	{"A02 an auditor", "sam", "usr_olga", nil, 403, impersonation.DenyPrivileged},
	{"A04 oneself", "sam", "usr_sam", nil, 403, impersonation.DenySelf},
	{"A04 oneself, an administrator", "root", "usr_root", nil, 403, impersonation.DenySelf},
	{"A04 disabled", "sam", "usr_gone", nil, 403, impersonation.DenySubjectInactive},
	{"A04 protected", "sam", "usr_ceo", nil, 403, impersonation.DenyProtected},
	{"A04 unknown", "sam", "usr_nobody", nil, 403, impersonation.DenySubject},
	{"A04 nobody", "sam", "", nil, 403, impersonation.DenySubject},
	{"A04 by e-mail", "sam", "ada@example.test", nil, 403, impersonation.DenySubject},
	{"A04 by another case", "sam", "USR_ADA", nil, 403, impersonation.DenySubject},
	{"A04 a pattern", "sam", "usr_ad%", nil, 403, impersonation.DenySubject},
	{"A06 no reason", "sam", "usr_ada", having("reason", ""), 400, impersonation.DenyReason},
	{"A06 space", "sam", "usr_ada", having("reason", strings.Repeat(" \u3000", 20)), 400, impersonation.DenyReason},
	{"A06 zero width", "sam", "usr_ada", having("reason", strings.Repeat("\u200b", 20)), 400, impersonation.DenyReason},
	{"A06 too short", "sam", "usr_ada", having("reason", "invoice"), 400, impersonation.DenyReason},
	{"A06 too long", "sam", "usr_ada", having("reason", strings.Repeat("ä", 501)), 400, impersonation.DenyReason},
	{"A06 no reason for nobody", "sam", "usr_nobody", having("reason", ""), 400, impersonation.DenyReason},
	{"T11 ANSI", "sam", "usr_ada", having("reason", "\x1b[2Jnothing happened"), 400, impersonation.DenyReason},
	{"T11 direction", "sam", "usr_ada", having("reason", "invoice \u202e4711"), 400, impersonation.DenyReason},
	{"ticket reference with a control character", "sam", "usr_ada", having("ticket_ref", "T\x1b1"), 400, impersonation.DenyTicketRef},
	{"ticket reference too long", "sam", "usr_ada", having("ticket_ref", strings.Repeat("1", 101)), 400, impersonation.DenyTicketRef},
	{"unknown access", "sam", "usr_ada", having("access", "admin"), 400, impersonation.DenyAccess},
	{"A12 no duration", "sam", "usr_ada", having("duration", "0"), 400, impersonation.DenyDuration},
	{"A12 too long", "sam", "usr_ada", having("duration", "61"), 400, impersonation.DenyDuration},
	{"A12 negative", "sam", "usr_ada", having("duration", "-30"), 400, impersonation.DenyDuration},
	{"A12 overflowing", "sam", "usr_ada", having("duration", "307445734561825861"), 400, impersonation.DenyDuration},
	{"A12 no number", "sam", "usr_ada", having("duration", "30m"), 400, impersonation.DenyDuration},
	{"no organization of two", "sam", "usr_grace", nil, 400, impersonation.DenyOrganizationNeeds},
	{"an organization of somebody else", "sam", "usr_ada", having("organization", "org_initech"), 403, impersonation.DenyOrganization},
	{"an organization that is none", "sam", "usr_ada", having("organization", "org_nowhere"), 403, impersonation.DenyOrganization},
	{"within reach only of Globex: a member of Initech", "tim", "usr_linus", nil, 403, impersonation.DenySubject},
	{"within reach only of Globex: the same, disabled", "tim", "usr_gone", nil, 403, impersonation.DenySubject},
	{"within reach only of Globex: the same, protected", "tim", "usr_ceo", nil, 403, impersonation.DenySubject},
	{"within reach only of Globex: of two, in the other", "tim", "usr_grace", having("organization", "org_initech"), 403, impersonation.DenyOrganization},
}

// What must be refused is refused at the page, once on the record, and nothing begins.
func TestRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			for _, name := range []string{"gone", "ceo", "tim"} {
				u := &storage.User{ID: "usr_" + name, Email: name + "@example.test", NeverImpersonate: name == "ceo"}
				if sam, err := tx.User(ctx, "usr_sam"); err == nil {
					u.PasswordHash = sam.PasswordHash
				}
				if err := tx.CreateUser(ctx, u, time.Now()); err != nil {
					return err
				}
			}
			if err := tx.AddMember(ctx, "org_globex", "usr_tim", "support", time.Now()); err != nil {
				return err
			}
			return tx.DisableUser(ctx, "usr_gone", byTest, time.Now())
		})
		bodies := map[string]string{}
		browsers := map[string]*idptest.Browser{}
		for _, name := range []string{"ada", "olga", "sam", "root", "tim"} {
			browsers[name] = person(t, idp, name)
		}
		for _, r := range refusals {
			t.Run(r.name, func(t *testing.T) {
				before := time.Now()
				b := browsers[r.actor]
				w := b.Post(b.Consent(asking("prompt", "select_account")), idptest.Wish(r.subject, r.change))
				wantStatus(t, "consent", w, r.status)
				if w.Header.Get("Location") != "" || w.Header.Get("Content-Type") != "text/html; charset=utf-8" {
					t.Errorf("goes to %q", w.Location())
				}
				bodies[r.name] = anonymous(w.Body)
				denied := events(t, idp, func(e storage.Event) bool {
					return e.ActorID == "usr_"+r.actor && e.Type == storage.EventImpersonationDenied && !e.Time.Time().Before(before.Truncate(time.Microsecond))
				})
				if len(denied) != 1 || denied[0].Data["denial"] != string(r.denial) || denied[0].ClientID != "app" {
					t.Errorf("refused by %+v, want %s", denied, r.denial)
				}
			})
		}
		if bodies["A01 no permission"] != bodies["A01 no permission, no such user"] {
			t.Error("A01: the answer tells whether there is such a user")
		}
		if got := events(t, idp, func(e storage.Event) bool { return e.ImpersonationID != "" }); len(got) != 0 {
			t.Errorf("something began: %+v", got)
		}
	})
}

// Whoever may not act at all is told so, also where their page would have had
// nothing to ask (SECURITY A01).
func TestRefusedWithoutPage(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := idp.Browser(t)
	login, _ := b.Follow(asking())
	interaction := strings.TrimPrefix(login, "/login?interaction=")
	b.SignIn("ada")
	w := b.Post("/consent/"+interaction, idptest.Wish("usr_linus", nil))
	wantStatus(t, "consent", w, http.StatusForbidden)
	if got := textOf(w, "error-code"); got != "impersonation_denied" {
		t.Errorf("error code %q", got)
	}
	wantOutcome(t, b, "/oauth2/authorize/"+interaction, "code") // as herself
}

// A07: neither a client that did not opt in nor a switch that is off.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "closed", func(c *storage.Client) { c.AllowImpersonation = false })
	b := person(t, idp, "sam")
	for name, r := range map[string]struct {
		client string
		denial impersonation.Denial
	}{
		"A07 client not opted in": {"closed", impersonation.DenyClient},
		"switched off":            {"app", impersonation.DenySwitchedOff},
	} {
		t.Run(name, func(t *testing.T) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EnableImpersonation(ctx, r.denial != impersonation.DenySwitchedOff, byTest, time.Now())
			})
			at := b.Consent(asking("client_id", r.client, "prompt", "select_account"))
			if page := b.Get(at); page.Element("continue_as") != nil || page.Element("reason") != nil {
				t.Error("the page offers it")
			}
			found := b.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {"ada"}})
			if strings.Contains(found.Body, "usr_ada") {
				t.Error("the search finds users")
			}
			wantStatus(t, "consent", b.Post(at, idptest.Wish("usr_ada", nil)), http.StatusForbidden)
			denied := events(t, idp, func(e storage.Event) bool { return e.Data["denial"] == string(r.denial) })
			if len(denied) != 1 {
				t.Errorf("got %d refusals on the record", len(denied))
			}
		})
	}
}

// A client for some organizations: staff of none may not use it, but may act there
// as a member.
func TestClientOfOrganizations(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	idp.Change(t, "app", func(c *storage.Client) { c.Organizations = storage.List{"org_globex"} })
	wantOutcome(t, person(t, idp, "linus"), asking(), "error=access_denied")
	b := person(t, idp, "sam")
	wantOutcome(t, b, asking("prompt", "none"), "error=access_denied")
	w := b.Post(b.Consent(asking()), url.Values{"continue_as": {"me"}})
	if got := w.Location().Query().Get("error"); got != "access_denied" {
		t.Errorf("as oneself: %d %s", w.Status, w.Location())
	}
	claims := idptest.Claims(t, idp.Tokens(t, b.ActAs("usr_ada", asking()))["id_token"])
	if claims["sub"] != "usr_ada" || claims["org_id"] != "org_globex" {
		t.Errorf("as ada: %v", claims)
	}
	wantStatus(t, "as linus", b.Post(b.Consent(asking()), idptest.Wish("usr_linus", nil)), http.StatusForbidden)
}

// What comes out says who really acts, the same everywhere, and nothing more about
// either (SECURITY A08-A12, T19, T22).
func testTokensOfAnImpersonation(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	refreshed := a.refresh(t).JSON(t)
	login, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{ID: a.id}, time.Now())
	check(t, err)
	end := login[0].ExpiresAt.Time()
	sources := map[string]map[string]any{
		"introspection of the refresh token": a.introspect(t, str(t, refreshed, "refresh_token")),
		"userinfo":                           userinfo(idp, str(t, refreshed, "access_token")).JSON(t),
	}
	for name, tokens := range map[string]map[string]any{"first": a.tokens, "refreshed": refreshed} {
		sources[name+" ID token"] = idptest.Claims(t, tokens["id_token"])
		sources[name+" access token"] = idptest.Claims(t, tokens["access_token"])
		sources[name+" introspection"] = a.introspect(t, str(t, tokens, "access_token"))
		// A11: the scope is what was granted, read only.
		if tokens["scope"] != "openid email offline_access api:read" {
			t.Errorf("%s scope: %v", name, tokens["scope"])
		}
		if _, ok := tokens["impersonator"].(map[string]any); !ok {
			t.Errorf("%s response: no impersonator", name)
		}
	}
	for name, claims := range sources {
		if diff := cmp.Diff(map[string]any{"sub": a.actorID()}, claims["act"]); diff != "" {
			t.Errorf("A08 %s: act: %s", name, diff)
		}
		if claims["sub"] != a.subjectID() || claims["amr"] != nil {
			t.Errorf("A10 %s: sub %v, amr %v", name, claims["sub"], claims["amr"])
		}
		b, _ := json.Marshal(claims)
		if text := string(b); strings.Contains(text, a.actor+"@") || strings.Contains(text, "Full "+a.actor) || strings.Contains(text, "invoice") {
			t.Errorf("T22 %s: says more about the actor: %s", name, text)
		}
		if name == "userinfo" {
			continue
		}
		exp, _ := claims["exp"].(float64)
		if int64(exp) > end.Unix() || claims["sid"] != a.id || claims["acr"] != "urn:understudy:acr:impersonation" {
			t.Errorf("%s: exp %v after %v, sid %v, acr %v", name, exp, end.Unix(), claims["sid"], claims["acr"])
		}
	}
	idp.Change(t, a.client, func(c *storage.Client) { c.ActClaims = storage.List{"email"} })
	a.code = a.browser.ActAs(a.subjectID(), a.request())
	more := idptest.Claims(t, a.exchange().JSON(t)["access_token"])
	if diff := cmp.Diff(map[string]any{"sub": a.actorID(), "email": a.actor + "@example.test"}, more["act"]); diff != "" {
		t.Errorf("A09 act of a client that may know the e-mail: %s", diff)
	}
	idp.Change(t, a.client, func(c *storage.Client) { c.ImpersonationRefresh, c.ImpersonatorInResponse = false, false })
	a.code = a.browser.ActAs(a.subjectID(), a.request())
	plain := a.exchange().JSON(t)
	if plain["refresh_token"] != nil || plain["scope"] != "openid email api:read" || plain["impersonator"] != nil {
		t.Errorf("A11 without the opt-in: %v", plain)
	}
	w := a.browser.Post(a.browser.Consent(a.request()), idptest.Wish(a.subjectID(), having("duration", "1", "access", "full")))
	a.code = w.Location().Query().Get("code")
	short := a.exchange().JSON(t)
	if in, _ := short["expires_in"].(float64); in > 60 || in < 50 || short["scope"] != "openid email api:read api:write" {
		t.Errorf("A12 one minute, full: %v", short)
	}
}

// The events of one that is started, used and stopped.
func testRecord(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	wantStatus(t, "refresh", a.refresh(t), http.StatusOK)
	stop(t, a, a.browser)
	found := a.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued, storage.EventTokenIssued, storage.EventImpersonationStopped)
	started := found[0]
	if p := private(t, started); p.Reason != "Cannot see invoice 4711" || p.IP != "192.0.2.1" {
		t.Errorf("private part: %+v", p)
	}
	if started.Data["entry"] != "consent" || started.Data["access"] != "read_only" || started.Data["expires_at"] == nil {
		t.Errorf("data: %v", started.Data)
	}
	session := found[1]
	if p := private(t, session); p.Reason != "Cannot see invoice 4711" || p.ActorEmail != a.actor+"@example.test" || p.Salt == private(t, started).Salt {
		t.Errorf("private part of the session: %+v", p)
	}
	if session.Data["sid"] != a.id || session.Data["expires_at"] != started.Data["expires_at"] {
		t.Errorf("data of the session: %v", session.Data)
	}
	for _, e := range found {
		if e.RequestID == "" {
			t.Errorf("%s: of no request", e.Type)
		}
		b, _ := json.Marshal(e.Data)
		if strings.Contains(string(b), "invoice") || strings.Contains(string(b), "@example.test") {
			t.Errorf("%s: personal data outside of the private part: %s", e.Type, b)
		}
	}
	sessions := events(t, idp, func(e storage.Event) bool { return e.SubjectID == a.actorID() && e.Type == storage.EventSessionCreated })
	if len(sessions) != 1 {
		t.Errorf("got %d sessions of the actor on the record", len(sessions))
	}
	if got := events(t, idp, func(e storage.Event) bool { return e.SubjectID == a.subjectID() && e.ImpersonationID == "" }); len(got) != 0 {
		t.Errorf("about the subject: %+v", got)
	}
}

var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + storagetest.Dir(t) + "/understudy.db" },
	"postgres": idptest.Postgres,
}

// database opens the database of a provider, to look at it and to break it.
func database(t testing.TB, idp *idptest.IDP) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", idp.DSN
	if path, ok := strings.CutPrefix(idp.DSN, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, dsn)
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// rows returns every row of every table, by table.
func rows(t testing.TB, idp *idptest.IDP, db *sql.DB) map[string][]string {
	t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if idp.Store.Dialect() == storage.Postgres {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	all := map[string][]string{}
	for _, table := range query(t, db, list) {
		all[table] = query(t, db, `SELECT * FROM `+table)
	}
	return all
}

// query returns rows as text.
func query(t testing.TB, db *sql.DB, statement string) []string {
	t.Helper()
	found, err := db.Query(statement)
	check(t, err)
	defer found.Close()
	columns, err := found.Columns()
	check(t, err)
	var all []string
	for found.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		check(t, found.Scan(values...))
		var texts []string
		for _, v := range values {
			texts = append(texts, v.(*sql.NullString).String)
		}
		all = append(all, strings.Join(texts, "|"))
	}
	check(t, found.Err())
	slices.Sort(all)
	return all
}

// A16: nothing of the subject changes: what names them before and after is the
// same, but for the record and the impersonation's own rows.
func testSubjectIsUntouched(t *testing.T, idp *idptest.IDP) {
	db := database(t, idp)
	enroll(t, idp, "victor", "")
	addClient(t, idp, "foreign", func(c *storage.Client) { c.FirstParty, c.ImpersonationRefresh = false, true })
	subject := person(t, idp, "victor")
	subject.Code(asking("client_id", "foreign", "scope", "openid"))
	idp.Browser(t).Post("/login", url.Values{"username": {"victor@example.test"}, "password": {"wrong"}}) // has a counter
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		now := time.Now()
		return errors.Join(
			tx.PutSupportAccess(ctx, &storage.SupportAccess{UserID: "usr_victor", Mode: storage.SupportUntil, ExpiresAt: storage.At(now.Add(time.Hour)), UpdatedAt: storage.At(now)}),
			tx.CreateSupportRequest(ctx, &storage.SupportRequest{ID: "sar_victor", UserID: "usr_victor", ActorID: "usr_sam", Reason: "May I?", Status: "pending", CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour))}))
	})
	snapshot := func() map[string][]string {
		all := rows(t, idp, db)
		for table, of := range all {
			all[table] = slices.DeleteFunc(of, func(row string) bool {
				return table != "throttles" && table != "consents" && !strings.Contains(row, "usr_victor") ||
					strings.Contains(row, "imp_")
			})
		}
		return all
	}
	b := person(t, idp, "sam")
	before := snapshot()
	code := b.ActAs("usr_victor", asking("client_id", "foreign", "scope", "openid email offline_access"))
	call := func(form url.Values) map[string]any {
		w := idp.Call("/oauth2/token", "foreign", idptest.Secret, form)
		wantStatus(t, "token", w, http.StatusOK)
		return w.JSON(t)
	}
	tokens := call(idptest.Exchange(code, nil))
	tokens = call(refreshing(str(t, tokens, "refresh_token")))
	wantStatus(t, "userinfo", userinfo(idp, str(t, tokens, "access_token")), http.StatusOK)
	sid, _ := idptest.Claims(t, tokens["id_token"])["sid"].(string)
	for pattern := range handlers.AccountRoutes() { // the account that is open here is the actor's
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodPost {
			b.Post(path, url.Values{"name": {"Somebody else"}, "choice": {"denied"}, "action": {"others"}, "client": {"foreign"}, "request": {"sar_victor"}, "answer": {"approve"}})
		} else {
			b.Get(path)
		}
	}
	wantStatus(t, "stop", b.Post("/impersonation/stop", url.Values{"id": {sid}}), http.StatusSeeOther)
	if diff := cmp.Diff(before, snapshot(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
	// T06: the subject never allowed the e-mail address.
	wantOutcome(t, subject, asking("client_id", "foreign", "scope", "openid email"), "consent")
}

// While somebody acts, no request makes an application believe anything about them
// behind their back (SECURITY A18, T17, T33, T34).
func testPromptWhileActing(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	for _, id := range []string{"y", "z"} {
		addClient(t, idp, id, func(c *storage.Client) { c.AllowImpersonation = id == "z" })
	}
	own := func(client string) string {
		code := person(t, idp, a.actor).Code(a.request("client_id", client, "scope", "openid"))
		return str(t, idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t), "id_token")
	}
	acting, self, selfY := str(t, a.tokens, "id_token"), own(a.client), own("y")
	for _, r := range []struct{ client, prompt, hint, want string }{
		{a.client, "", "", "consent"},
		{a.client, "none", "", "error=login_required"},
		{a.client, "login", "", "login"},
		{a.client, "consent", "", "consent"},
		{a.client, "select_account", "", "consent"},
		{a.client, "", acting, "error=login_required"},
		{a.client, "none", acting, "error=login_required"},
		{a.client, "consent", acting, "error=login_required"},
		{a.client, "select_account", acting, "error=login_required"},
		{a.client, "", self, "consent"},
		{a.client, "none", self, "error=login_required"},
		{"y", "", "", "code"},
		{"y", "none", "", "code"},
		{"y", "login", "", "login"},
		{"y", "consent", "", "consent"},
		{"y", "select_account", "", "consent"},
		{"y", "none", selfY, "code"},
		{"y", "none", acting, "error=invalid_request"}, // not an ID token of y
		{"z", "", "", "consent"},
		{"z", "none", "", "code"},
	} {
		w := wantOutcome(t, a.browser, a.request("client_id", r.client, "prompt", r.prompt, "id_token_hint", r.hint, "scope", "openid"), r.want)
		if code := w.Location().Query().Get("code"); code != "" {
			tokens := idp.Call("/oauth2/token", r.client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t)
			if claims := idptest.Claims(t, tokens["id_token"]); claims["sub"] != a.actorID() || claims["act"] != nil {
				t.Errorf("%s, prompt %q: sub %v, act %v", r.client, r.prompt, claims["sub"], claims["act"])
			}
		}
	}
	// prompt=login, played to its end: the page, not a code.
	at, _ := a.browser.Follow(a.request("prompt", "login"))
	w := a.browser.Post(at, url.Values{"password": {idptest.Password}})
	wantOutcome(t, a.browser, w.Header.Get("Location"), "consent")
	if !a.row(t).Running(time.Now()) {
		t.Error("it ended on the way")
	}
	stop(t, a, a.browser)
	for prompt, want := range map[string]string{"none": "error=login_required", "": "error=login_required"} {
		wantOutcome(t, a.browser, a.request("prompt", prompt, "id_token_hint", acting), want)
	}
	wantOutcome(t, a.browser, a.request("prompt", "none"), "code")
}

// A20: GET changes nothing, whatever it says.
func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	a := begun(t, idp)
	consent := a.browser.Consent(a.request())
	form := idptest.Wish("usr_ada", having("id", a.id, "confirmed", "yes", "_method", "POST"))
	form.Set("username", "root@example.test")
	form.Set("password", idptest.Password)
	before := rows(t, idp, db)
	for _, path := range []string{consent, "/impersonation/stop", "/impersonation/stopped", "/login", "/oauth2/logout", "/", "/account", "/account/activity", "/account/activity/" + a.id, "/account/support-access"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := httptest.NewRequest(method, path+"?"+form.Encode(), nil)
			for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
				r.Header.Set(name, "POST")
			}
			if w := a.browser.Do(r); w.Status >= 500 || w.Location().Query().Has("code") {
				t.Errorf("%s %s: %d %s", method, path, w.Status, w.Location())
			}
		}
	}
	if diff := cmp.Diff(before, rows(t, idp, db), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
}

// A19: the password is asked for again when it is older than five minutes, with
// nothing lost, and of nobody else.
func TestStepUp(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "sam")
		at := b.Consent(asking())
		time.Sleep(5*time.Minute + time.Second)
		wish := idptest.Wish("usr_grace", having("reason", "Asked for it <by phone>", "ticket_ref", "T-1", "organization", "org_initech", "access", "full", "duration", "15"))
		w := b.Post(at, wish)
		login := w.Header.Get("Location")
		if w.Status != http.StatusSeeOther || !strings.HasPrefix(login, "/login?interaction=") {
			t.Fatalf("old password: %d %s %s", w.Status, w.Location(), w.Body)
		}
		if page := b.Get(login); !strings.Contains(page.Body, "to sign in as someone else") || !strings.Contains(page.Body, "readonly") {
			t.Errorf("login page: %s", page.Body)
		}
		// Somebody else's name does not help, nor does going on without.
		wantStatus(t, "another person", b.Post(login, url.Values{"username": {"root@example.test"}, "password": {"root's password"}}), http.StatusUnauthorized)
		if w := b.Post(at, wish); w.Header.Get("Location") != login {
			t.Errorf("without the password: %d %s", w.Status, w.Location())
		}
		before := maps.Clone(b.Cookies)
		w = b.Post(login, url.Values{"username": {"root@example.test"}, "password": {idptest.Password}})
		wantStatus(t, "password", w, http.StatusSeeOther)
		if b.Cookies["__Host-understudy"] == before["__Host-understudy"] {
			t.Error("T26: the session kept its id")
		}
		again, page := b.Follow(w.Header.Get("Location"))
		if again != at {
			t.Fatalf("at %s, want %s", again, at)
		}
		for _, kept := range []string{
			"Asked for it &lt;by phone&gt;", `value="T-1"`, `value="usr_grace" checked`, `value="org_initech" selected`, `value="full" checked`,
			`value="15" selected`, `value="other" checked`,
		} {
			if !strings.Contains(page.Body, kept) {
				t.Errorf("draft: %s is lost", kept)
			}
		}
		w = b.Post(at, wish)
		claims := idptest.Claims(t, idp.Tokens(t, w.Location().Query().Get("code"))["id_token"])
		if at, _ := claims["auth_time"].(float64); int64(at) != time.Now().Unix() || claims["sub"] != "usr_grace" {
			t.Errorf("A10: %v", claims)
		}
		shown := events(t, idp, func(e storage.Event) bool { return e.Data["reauthenticated"] == true && e.ActorID == "usr_sam" })
		if len(shown) != 1 {
			t.Errorf("record: %+v", shown)
		}
	})
}

// T05, T18: at its end everything is over, and the record says so once.
func TestExpiry(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		a := begun(t, idp)
		started := time.Now()
		for range 3 {
			time.Sleep(9 * time.Minute)
			w := a.refresh(t)
			if w.Status != http.StatusOK {
				t.Fatalf("refresh after %v: %d %s", time.Since(started), w.Status, w.Body)
			}
			a.tokens = w.JSON(t)
			for _, name := range []string{"id_token", "access_token"} {
				exp, _ := idptest.Claims(t, a.tokens[name])["exp"].(float64)
				if end := started.Add(30 * time.Minute).Unix(); int64(exp) > end {
					t.Errorf("%s lives %d s longer than the impersonation", name, int64(exp)-end)
				}
			}
		}
		time.Sleep(3*time.Minute - time.Second)
		if !a.row(t).Running(time.Now()) || a.introspect(t, str(t, a.tokens, "refresh_token"))["active"] != true {
			t.Error("ended before its time")
		}
		time.Sleep(time.Second)
		a.wantDead(t)
		for range 2 {
			check(t, idp.Provider.Impersonation.Expire(t.Context(), time.Now()))
		}
		found := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventImpersonationExpired })
		if len(found) != 1 || found[0].ImpersonationID != a.id || a.row(t).EndReason != storage.EndExpired {
			t.Errorf("record: %+v", found)
		}
		wantStatus(t, "the page", a.browser.Get("/impersonation/stopped?id="+a.id), http.StatusOK)
		wantOutcome(t, a.browser, a.request("prompt", "none"), "code") // as themselves again
	})
}

// A26: limits of one actor.
//
// T30: mass impersonation ends at the limit of an hour.
func TestLimits(t *testing.T) {
	t.Parallel()
	each(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		for _, id := range []string{"two", "three", "four"} {
			addClient(t, idp, id, nil)
		}
		b := person(t, idp, "sam")
		try := func(client string) *idptest.Response {
			return b.Post(b.Consent(asking("client_id", client, "prompt", "select_account")), idptest.Wish("usr_ada", nil))
		}
		want := func(what, client string, denial impersonation.Denial) {
			t.Helper()
			w := try(client)
			found := events(t, idp, func(e storage.Event) bool { return e.Data["denial"] == string(denial) && e.ClientID == client })
			switch {
			case denial == "" && !w.Location().Query().Has("code"):
				t.Errorf("%s: %d %s", what, w.Status, w.Body)
			case denial != "" && (w.Status != http.StatusTooManyRequests || len(found) != 1):
				t.Errorf("%s: %d, %d on the record", what, w.Status, len(found))
			}
		}
		stopAll := func() {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EndImpersonations(ctx, storage.ImpersonationFilter{Actor: "usr_sam"}, byTest.With(storage.EndStopped), time.Now())
			})
		}
		want("first", "app", "")
		want("second at the client", "app", impersonation.DenyConcurrent)
		want("second", "two", "")
		want("third", "three", "")
		want("fourth at a time", "four", impersonation.DenyConcurrent)
		for range 7 {
			stopAll()
			want("one after the other", "app", "")
		}
		stopAll()
		want("eleventh within an hour", "app", impersonation.DenyRate)
		w := person(t, idp, "root").Post("/login", nil) // others are not concerned
		wantStatus(t, "others", w, http.StatusUnauthorized)
	})
}

// A23: no record, no impersonation; people sign in nevertheless.
func TestWithoutRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		db := database(t, idp)
		waiting, used := begin(t, idp), begun(t, idp)
		b := person(t, idp, "sam")
		at := b.Consent(asking())
		shut, open := []string{
			`CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken'); END`,
		}, []string{`DROP TRIGGER broken`}
		if idp.Store.Dialect() == storage.Postgres {
			shut = []string{
				`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$`,
				`CREATE TRIGGER broken BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION broken()`,
			}
			open = []string{`DROP TRIGGER broken ON events`}
		}
		exec := func(statements []string) {
			for _, s := range statements {
				_, err := db.Exec(s)
				check(t, err)
			}
		}
		exec(shut)
		for what, w := range map[string]*idptest.Response{
			"start":                  b.Post(at, idptest.Wish("usr_ada", nil)),
			"start that was refused": b.Post(at, idptest.Wish("usr_root", nil)),
			"code":                   waiting.exchange(),
			"refresh":                used.refresh(t),
		} {
			wantStatus(t, what, w, http.StatusServiceUnavailable)
			if w.Header.Get("Retry-After") == "" || w.Header.Get("Location") != "" || strings.Contains(w.Body, "_token\"") || strings.Contains(w.Body, "broken") {
				t.Errorf("%s: %v %s", what, w.Header, w.Body)
			}
		}
		idp.Tokens(t, person(t, idp, "ada").Code(asking()))
		exec(open)
		running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_sam"}, time.Now())
		if err != nil || len(running) != 0 {
			t.Errorf("began: %+v, %v", running, err)
		}
		wantStatus(t, "the code afterwards", waiting.exchange(), http.StatusOK)
		wantStatus(t, "the refresh token afterwards", used.refresh(t), http.StatusOK)
		if w := b.Post(at, idptest.Wish("usr_ada", nil)); !w.Location().Query().Has("code") {
			t.Errorf("the form afterwards: %d", w.Status)
		}
	})
}

// T15: once the answer to a stop is there, no token works that any answer held.
func TestStopAgainstRefresh(t *testing.T) {
	const workers, rounds = 4, 50
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh, c.AccessTokenFormat = true, "opaque" })
		for range workers {
			name := unique("actor")
			enroll(t, idp, name, "support")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := person(t, idp, name)
				for round := range rounds {
					raceStop(t, b, name, round%2 == 0)
				}
			})
		}
	})
}

// raceStop stops an impersonation while its code or its refresh token is used.
func raceStop(t *testing.T, b *idptest.Browser, actor string, refreshes bool) {
	t.Helper()
	idp := b.IDP
	w := b.Get(asking("scope", "api:read offline_access", "prompt", "select_account"))
	w = b.Post(w.Header.Get("Location"), idptest.Wish("usr_ada", nil))
	form := idptest.Exchange(w.Location().Query().Get("code"), nil)
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + actor, Running: true}, time.Now())
	if err != nil || len(running) != 1 {
		t.Fatalf("got %d that run, %v", len(running), err)
	}
	var given []map[string]any
	if refreshes {
		given = append(given, idp.Call("/oauth2/token", "app", idptest.Secret, form).JSON(t))
		form = refreshing(str(t, given[0], "refresh_token"))
	}
	var used, stopped *idptest.Response
	var wg sync.WaitGroup
	wg.Go(func() { used = idp.Call("/oauth2/token", "app", idptest.Secret, form) })
	wg.Go(func() { stopped = b.Post("/impersonation/stop", url.Values{"id": {running[0].ID}}) })
	wg.Wait()
	wantStatus(t, "stop", stopped, http.StatusSeeOther)
	if used.Status == http.StatusOK {
		given = append(given, used.JSON(t))
	} else {
		wantRefused(t, "token", used, http.StatusBadRequest, "invalid_grant")
	}
	for _, tokens := range given {
		wantActive(t, idp, "access token after the stop", str(t, tokens, "access_token"), false)
		wantRefused(t, "refresh after the stop", refresh(idp, str(t, tokens, "refresh_token")), http.StatusBadRequest, "invalid_grant")
	}
}

// T13, T16: two tabs do not get into each other's way, whatever their state says.
func TestTwoTabs(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		const other = "https://app.example/other"
		idp.Change(t, "app", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, other) })
		b := person(t, idp, "sam")
		tabs := []struct{ uri, subject string }{{idptest.Callback, "usr_ada"}, {other, "usr_linus"}}
		var pages []string
		for _, tab := range tabs {
			at := b.Consent(asking("redirect_uri", tab.uri))
			pages = append(pages, at)
			wantStatus(t, "search", b.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {tab.subject}}), http.StatusOK)
		}
		for i, tab := range tabs {
			to, said := answered(b.Post(pages[i], idptest.Wish(tab.subject, nil)))
			w := redeem(idp, said.Get("code"), "redirect_uri", tab.uri)
			if to != tab.uri || said.Get("state") != "a state" || w.Status != http.StatusOK {
				t.Fatalf("tab %d: %s %v, token %d", i, to, said, w.Status)
			}
			if sub := idptest.Claims(t, w.JSON(t)["id_token"])["sub"]; sub != tab.subject {
				t.Errorf("tab %d: sub %v, want %s", i, sub, tab.subject)
			}
			wantStatus(t, "the same form again", b.Post(pages[i], idptest.Wish("usr_grace", nil)), http.StatusBadRequest)
		}
		at, form := b.Consent(asking("prompt", "select_account")), idptest.Wish("usr_ada", nil)
		answers := parallel(10, func(int) *idptest.Response {
			return (&idptest.Browser{IDP: idp, Cookies: maps.Clone(b.Cookies)}).Post(at, form)
		})
		running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_sam"}, time.Now())
		if err != nil || len(running) != 3 {
			t.Errorf("a form sent ten times: %v, %d impersonations in all, want 3", answers, len(running))
		}
	})
}

// T11: what is taken as a reason is on the record as it is, once, and on one line.
func testReasons(t *testing.T, idp *idptest.IDP) {
	b := person(t, idp, "sam")
	for _, r := range []struct {
		reason string
		want   string // empty: not taken
	}{
		{`<script>alert(document.domain)</script>`, `<script>alert(document.domain)</script>`},
		{"ok\r\n{\"type\":\"impersonation.started\",\"actor\":\"usr_root\"}", `ok {"type":"impersonation.started","actor":"usr_root"}`},
		{"=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"},
		{strings.Repeat("😀", 500), strings.Repeat("😀", 500)},
		{"'; DROP TABLE events; --", "'; DROP TABLE events; --"},
		{"a\x00bcdefghij", ""},
		{"bad \xff\xfe UTF-8", ""},
		{strings.Repeat("a", 1<<20), ""},
		{strings.Repeat("a", 9<<10), ""},
	} {
		before := time.Now().Truncate(time.Microsecond)
		w := b.Post(b.Consent(asking("prompt", "select_account")), idptest.Wish("usr_ada", func(q url.Values) { q.Set("reason", r.reason) }))
		taken := w.Location().Query().Has("code")
		if taken != (r.want != "") || !taken && (w.Status < 400 || w.Status > 499) {
			t.Errorf("%.40q: status %d, %s", r.reason, w.Status, w.Location())
		}
		found := events(t, idp, func(e storage.Event) bool {
			return e.Type == storage.EventImpersonationStarted && !e.Time.Time().Before(before)
		})
		if len(found) != map[bool]int{true: 1}[taken] {
			t.Errorf("%.40q: got %d events", r.reason, len(found))
		}
		for _, e := range found {
			if got := private(t, e).Reason; got != r.want || strings.ContainsAny(e.Private, "\r\n") {
				t.Errorf("%.40q: on the record as %.60q", r.reason, e.Private)
			}
		}
	}
}
