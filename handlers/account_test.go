package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// wantDone checks that a form was taken, and where it led.
func wantDone(t testing.TB, w *idptest.Response, to string) {
	t.Helper()
	if w.Status != http.StatusSeeOther || w.Header.Get("Location") != to {
		t.Fatalf("status %d to %q, want %q: %s", w.Status, w.Header.Get("Location"), to, w.Body)
	}
}

func wantPage(t testing.TB, what string, w *idptest.Response, texts ...string) {
	t.Helper()
	wantStatus(t, what, w, http.StatusOK)
	for _, text := range texts {
		if !strings.Contains(w.Body, text) {
			t.Errorf("%s: no %q in:\n%s", what, text, w.Body)
		}
	}
}

// about returns what is on the record about a user of a type, oldest first.
func about(t testing.TB, idp *idptest.IDP, userID string, kind storage.EventType) []storage.Event {
	t.Helper()
	return events(t, idp, func(e storage.Event) bool { return e.SubjectID == userID && e.Type == kind })
}

// The whole account, on both databases (SECURITY A13, A27, D06, D09, D13, D14, T35).
func TestAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for name, test := range map[string]func(*testing.T, *idptest.IDP){
			"A27 T35 activity":   testActivity,
			"A27 history":        testHistory,
			"export":             testExport,
			"A27 support access": testSupportAccess,
			"support requests":   testSupportRequests,
			"D06 sign-ins":       testSignIns,
			"applications":       testApplications,
			"D13 D14 profile":    testProfile,
			"D06 D09 password":   testPassword,
		} {
			t.Run(name, func(t *testing.T) { test(t, idp) })
		}
	})
}

// SECURITY A17, T07: a token of an impersonation opens nothing of anybody's account;
// neither does one of the person's own. Nobody is sent to the login page.
func TestAccountTakesNoToken(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	a := begun(t, idp)
	if len(handlers.AccountRoutes()) < 18 {
		t.Fatalf("routes: %v", handlers.AccountRoutes())
	}
	before := rows(t, idp, db)
	for pattern := range handlers.AccountRoutes() {
		method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "{id}", a.id), " ")
		for _, token := range []string{str(t, a.tokens, "access_token"), str(t, a.tokens, "refresh_token"), str(t, a.tokens, "id_token")} {
			r := idptest.Form(path, url.Values{"choice": {"denied"}, "access_token": {token}})
			if method == http.MethodGet {
				r = httptest.NewRequest(method, path+"?access_token="+token, nil)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if w := idp.Do(r); w.Status != http.StatusSeeOther || w.Location().Path != "/login" {
				t.Errorf("A17 %s: status %d to %q", pattern, w.Status, w.Location())
			}
		}
	}
	if diff := cmp.Diff(before, rows(t, idp, db), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("A17 changed:\n%s", diff)
	}
}

// SECURITY A05, A17: whoever acts as another changes nothing of their own account, and
// is told why.
func TestAccountWhileActing(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	a := begun(t, idp)
	form := url.Values{
		"choice": {"denied"}, "action": {"others"}, "client": {a.client}, "name": {"Other"}, "request": {"sar_x"}, "answer": {"deny"},
		"current_password": {idptest.Password}, "new_password": {"another password"},
	}
	before := rows(t, idp, db)
	for pattern, whileActing := range handlers.AccountRoutes() {
		method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "{id}", "imp_x"), " ")
		switch {
		case method == http.MethodGet && !strings.Contains(pattern, "{id}") && path != "/account/export":
			w := a.browser.Get(path)
			wantPage(t, pattern, w, "(as Full "+a.subject+")", "/impersonation/stop?id="+a.id)
			if path != "/account" && path != "/account/activity" {
				wantPage(t, pattern, w, "You are acting as Full "+a.subject+" in "+a.client+". Stop before you change your own account.")
			}
			if strings.Contains(w.Body, `action="/account`) {
				t.Errorf("%s: has a form", pattern)
			}
		case method == http.MethodPost && whileActing:
			wantStatus(t, pattern, a.browser.Post(path, form), http.StatusNotFound)
		case method == http.MethodPost:
			w := a.browser.Post(path, form)
			if w.Status != http.StatusForbidden || textOf(w, "error-code") != "impersonation_forbidden" {
				t.Errorf("%s: status %d: %s", pattern, w.Status, w.Body)
			}
		}
	}
	if diff := cmp.Diff(before, rows(t, idp, db), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
}

// SECURITY A27: people see who signed in as them, also when the actor would rather not.
func testActivity(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	subject := person(t, idp, a.subject)
	facts := []string{"Full " + a.actor, "App", "Cannot see invoice 4711", "Read only"}
	wantPage(t, "overview", subject.Get("/account"), append(facts[:3:3], "is signed in as you", "End now")...)
	wantPage(t, "activity", subject.Get("/account/activity"), append(facts, "End now", "Report this", "/account/activity/"+a.id)...)
	wantPage(t, "one", subject.Get("/account/activity/"+a.id), append(facts, "End now", a.id)...)

	// A13: it is the subject's page, and of nobody else.
	for who, b := range map[string]*idptest.Browser{"the actor": a.browser, "an administrator": person(t, idp, "root"), "a stranger": person(t, idp, "ada")} {
		wantStatus(t, who+" looks", b.Get("/account/activity/"+a.id), http.StatusNotFound)
		wantStatus(t, who+" ends", b.Post("/account/activity/"+a.id+"/end", url.Values{"user": {"usr_" + a.subject}}), http.StatusNotFound)
		wantStatus(t, who+" reports", b.Post("/account/activity/"+a.id+"/report", nil), http.StatusNotFound)
		if strings.Contains(b.Get("/account/activity").Body, "/account/activity/"+a.id) {
			t.Errorf("%s: sees it", who)
		}
	}
	if !a.row(t).Running(time.Now()) {
		t.Fatal("it ended")
	}
	wantDone(t, subject.Post("/account/activity/"+a.id+"/end", nil), "/account/activity?done=ended")
	a.wantEnded(t, storage.EndStopped, a.subjectID())
	wantDone(t, subject.Post("/account/activity/"+a.id+"/end", nil), "/account/activity?done=ended") // pressed twice
	wantPage(t, "one that ended", subject.Get("/account/activity/"+a.id), "You ended it.")
	wantPage(t, "overview afterwards", subject.Get("/account"), "signed in as you", "Cannot see invoice 4711")
	if w := subject.Get("/account/activity"); strings.Contains(w.Body, "End now") {
		t.Error("what ended can be ended")
	}

	report := "/account/activity/" + a.id + "/report"
	w := subject.Post(report, url.Values{"note": {"with a control character\x1b"}})
	wantStatus(t, "a bad note", w, http.StatusBadRequest)
	if w.Element("error-summary") == nil {
		t.Errorf("no summary: %s", w.Body)
	}
	wantStatus(t, "a long note", subject.Post(report, url.Values{"note": {strings.Repeat("x", 501)}}), http.StatusBadRequest)
	for range 2 {
		wantDone(t, subject.Post(report, url.Values{"note": {"I did not ask for it"}}), "/account/activity/"+a.id+"?done=reported")
	}
	found := about(t, idp, a.subjectID(), storage.EventImpersonationReported)
	if len(found) != 1 || found[0].ActorID != a.subjectID() || found[0].ImpersonationID != a.id || found[0].Data["reported"] != a.actorID() ||
		private(t, found[0]).Reason != "I did not ask for it" {
		t.Errorf("events: %v", found)
	}
	w = subject.Get("/account/activity")
	if strings.Contains(w.Body, "#report") || !strings.Contains(w.Body, "You reported this.") {
		t.Errorf("it can be reported again: %s", w.Body)
	}
}

// A long history is read in parts, in which nothing is missing and nothing is twice.
func testHistory(t *testing.T, idp *idptest.IDP) {
	id := enroll(t, idp, unique("busy"), "")
	b := person(t, idp, strings.TrimPrefix(id, "usr_"))
	now := time.Now()
	const all = 63
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		var errs []error
		for n := range all {
			at := now.Add(-time.Duration(n/2) * time.Minute) // two at once
			if n%3 == 0 {
				errs = append(errs, tx.CreateImpersonation(ctx, &storage.Impersonation{
					ID: storage.NewID("imp"), ActorID: "usr_sam", SubjectID: id, ClientID: "app", Entry: "consent", Reason: fmt.Sprintf("Reason number %d.", n), Access: "full",
					StartedAt: storage.At(at), ExpiresAt: storage.At(at.Add(time.Second)), EndedAt: storage.At(at.Add(time.Second)), EndReason: storage.EndExpired,
				}))
				continue
			}
			errs = append(errs, tx.Record(ctx, storage.Event{
				Type: storage.EventSessionCreated, ActorID: id, SubjectID: id,
			}, storage.Private{}, storage.Request{IP: fmt.Sprintf("192.0.2.%d", n)}, at))
		}
		return errors.Join(errs...)
	})
	seen := func(w *idptest.Response) (list []int) {
		for n := range all {
			text := fmt.Sprintf("192.0.2.%d<", n)
			if n%3 == 0 {
				text = fmt.Sprintf("Reason number %d.", n)
			}
			if strings.Contains(w.Body, text) {
				list = append(list, n)
			}
		}
		return list
	}
	link := func(w *idptest.Response, rel string) string {
		_, rest, _ := strings.Cut(w.Body, `rel="`+rel+`"`)
		before := strings.TrimSuffix(w.Body, rest)
		href := before[strings.LastIndex(before, `href="`)+len(`href="`):]
		path, _, _ := strings.Cut(href, `"`)
		if rest == "" {
			return ""
		}
		return strings.ReplaceAll(path, "&amp;", "&")
	}
	var pages [][]int
	var got []int
	w := b.Get("/account/activity")
	for {
		pages = append(pages, seen(w))
		got = append(got, seen(w)...)
		older := link(w, "next")
		if older == "" {
			break
		}
		w = b.Get(older)
	}
	slices.Sort(got)
	if want := slices.Compact(slices.Clone(got)); len(pages) != 3 || len(got) != all || len(want) != all {
		t.Errorf("%d pages, saw %v", len(pages), got)
	}
	for n := len(pages) - 2; n >= 0; n-- {
		newer := link(w, "prev")
		if newer == "" {
			t.Fatalf("page %d: nothing newer", n+1)
		}
		w = b.Get(newer)
		if diff := cmp.Diff(pages[n], seen(w)); diff != "" {
			t.Errorf("page %d, coming back:\n%s", n, diff)
		}
	}
	if newer := link(w, "prev"); newer != "" {
		t.Errorf("newer than the newest: %s", newer)
	}
	for _, bad := range []string{"x", "1", ".imp_x", "-1.imp_aaaaaaaaaaaaaaaaaaaaaaaaaa", "99999999999999999999.imp_aaaaaaaaaaaaaaaaaaaaaaaaaa", "1.imp_' OR 1=1 --", "\x00", strings.Repeat("1", 10000)} {
		for _, name := range []string{"before", "after"} {
			w := b.Get("/account/activity?" + url.Values{name: {bad}}.Encode())
			wantStatus(t, fmt.Sprintf("%s=%.20q", name, bad), w, http.StatusBadRequest)
		}
	}
	wantPage(t, "before everything", b.Get("/account/activity?before=1.imp_aaaaaaaaaaaaaaaaaaaaaaaaaa"), "There is nothing here", `href="/account/activity" rel="prev"`)
}

// What is kept about a person is theirs to have; what proves who they are is not in it.
func testExport(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	b := person(t, idp, a.subject)
	b.Code(asking("client_id", a.client))
	wantDone(t, b.Post("/account/support-access", url.Values{"choice": {"until"}, "hours": {"1"}}), "/account/support-access?done=support_access")
	w := b.Get("/account/export")
	wantStatus(t, "export", w, http.StatusOK)
	if got := w.Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=") || w.Header.Get("Content-Type") != "application/json" || w.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", w.Header)
	}
	all := w.JSON(t)
	for _, want := range []string{
		`"email":"` + a.subject + `@example.test"`, `"sub":"usr_` + a.subject, `"actor":"Full ` + a.actor, `"reason":"Cannot see invoice 4711"`,
		`"mode":"until"`, `"client_id":"` + a.client, `"live_grants":1`, `"type":"support_access.changed"`,
	} {
		if !strings.Contains(w.Body, want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	for _, name := range []string{"profile", "sign_ins", "acted_as", "applications", "support_access", "history"} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if strings.Contains(w.Body, "argon2") || strings.Contains(w.Body, "hash") || strings.Contains(w.Body, "usr_"+a.actor) {
		t.Errorf("too much: %s", w.Body)
	}
}

// asks makes a request of staff.
func asks(t testing.TB, idp *idptest.IDP, actor, subject, ticket string) *storage.SupportRequest {
	t.Helper()
	u, err := idp.Store.User(t.Context(), "usr_"+actor)
	check(t, err)
	ask := impersonation.Ask{Actor: u, SubjectID: "usr_" + subject, Reason: "Cannot see invoice 4711", TicketRef: ticket}
	request, err := idp.Provider.Impersonation.RequestSupport(t.Context(), ask, storage.Request{}, time.Now())
	check(t, err)
	return request
}

func said(t testing.TB, idp *idptest.IDP, name string) *storage.SupportAccess {
	t.Helper()
	_, a, err := idp.Store.ImpersonationTerms(t.Context(), "usr_"+name)
	check(t, err)
	return a
}

// SECURITY A27: whether support may is the person's to say.
func testSupportAccess(t *testing.T, idp *idptest.IDP) {
	name := unique("chooser")
	id := enroll(t, idp, name, "")
	b := person(t, idp, name)
	const path = "/account/support-access"
	wantPage(t, "silence", b.Get(path), "so support may sign in as you when they have a reason")
	for _, c := range []struct {
		what string
		form url.Values
		says string
	}{
		{"not", url.Values{"choice": {"denied"}}, "Support may not sign in as you."},
		{"an hour", url.Values{"choice": {"until"}, "hours": {"1"}}, "Support may sign in as you until"},
		{"a week", url.Values{"choice": {"until"}, "hours": {"168"}, "ticket_ref": {"not looked at"}}, "Support may sign in as you until"},
		{"a ticket", url.Values{"choice": {"ticket"}, "hours": {"24"}, "ticket_ref": {" SUP-12 "}}, "for ticket SUP-12 only"},
	} {
		t.Run(c.what, func(t *testing.T) {
			before := len(about(t, idp, id, storage.EventSupportAccessChanged))
			wantDone(t, b.Post(path, c.form), path+"?done=support_access")
			wantPage(t, "page", b.Get(path), c.says)
			all := about(t, idp, id, storage.EventSupportAccessChanged)
			if len(all) != before+1 || all[before].ActorID != id || all[before].Data["mode"] != c.form.Get("choice") {
				t.Errorf("events: %v", all)
			}
		})
	}
	kept := said(t, idp, name)
	for what, pairs := range map[string][]string{
		"no choice": {"choice", ""}, "another choice": {"choice", "always"}, "no hours": {"hours", ""}, "no hour": {"hours", "0"},
		"too many hours": {"hours", "169"}, "hours that overflow": {"hours", "99999999999999999999"}, "no number": {"hours", "1.5"}, "a negative number": {"hours", "-1"},
		"no ticket": {"ticket_ref", ""}, "a blank ticket": {"ticket_ref", "  "}, "a long ticket": {"ticket_ref", strings.Repeat("x", 101)},
		"a ticket that turns text around": {"ticket_ref", "SUP\u202e12"},
	} {
		t.Run(what, func(t *testing.T) {
			form := url.Values{"choice": {"ticket"}, "hours": {"24"}, "ticket_ref": {"SUP-13"}}
			form.Set(pairs[0], pairs[1])
			w := b.Post(path, form)
			if w.Status != http.StatusBadRequest || w.Element("error-summary") == nil {
				t.Errorf("status %d: %s", w.Status, w.Body)
			}
			if diff := cmp.Diff(kept, said(t, idp, name)); diff != "" {
				t.Errorf("changed:\n%s", diff)
			}
		})
	}
}

// What staff ask is answered once, by whom it was asked.
func testSupportRequests(t *testing.T, idp *idptest.IDP) {
	name := unique("asked")
	id := enroll(t, idp, name, "")
	b, stranger := person(t, idp, name), person(t, idp, "ada")
	const path = "/account/support-access/requests"
	answer := func(b *idptest.Browser, r *storage.SupportRequest, answer string) *idptest.Response {
		return b.Post(path, url.Values{"request": {r.ID}, "answer": {answer}})
	}
	first := asks(t, idp, "sam", name, "")
	wantPage(t, "overview", b.Get("/account"), "Support asks to sign in as you.")
	wantPage(t, "page", b.Get("/account/support-access"), "asks to sign in as you", "Cannot see invoice 4711", first.ID)
	if strings.Contains(stranger.Get("/account/support-access").Body, first.ID) {
		t.Error("a stranger sees it")
	}
	wantStatus(t, "a stranger answers", answer(stranger, first, "approve"), http.StatusNotFound)
	wantStatus(t, "the actor answers", answer(person(t, idp, "sam"), first, "approve"), http.StatusNotFound)
	wantStatus(t, "no answer", answer(b, first, ""), http.StatusBadRequest)
	wantStatus(t, "another request", answer(b, &storage.SupportRequest{ID: "sar_x"}, "approve"), http.StatusNotFound)
	if said(t, idp, name) != nil {
		t.Fatal("it was answered")
	}
	wantDone(t, answer(b, first, "deny"), "/account/support-access?done=request_denied")
	if said(t, idp, name) != nil {
		t.Error("to deny a request forbids what was not asked")
	}
	wantStatus(t, "again", answer(b, first, "approve"), http.StatusConflict)

	second := asks(t, idp, "sam", name, "SUP-12")
	wantDone(t, answer(b, second, "approve"), "/account/support-access?done=request_approved")
	if a := said(t, idp, name); a == nil || a.Mode != storage.SupportTicket || a.TicketRef != "SUP-12" {
		t.Errorf("said %v", a)
	}
	all := about(t, idp, id, storage.EventSupportAccessChanged)
	if len(all) != 2 || all[0].Data["answer"] != "denied" || all[1].Data["answer"] != "approved" || all[1].Data["request"] != second.ID || all[1].ActorID != id {
		t.Errorf("events: %v", all)
	}
	if asked := about(t, idp, id, storage.EventSupportAccessRequested); len(asked) != 2 || asked[1].ActorID != "usr_sam" || private(t, asked[1]).TicketRef != "SUP-12" {
		t.Errorf("events: %v", asked)
	}

	for range 3 {
		asks(t, idp, "sam", name, "")
	}
	sam, err := idp.Store.User(t.Context(), "usr_sam")
	check(t, err)
	olga, err := idp.Store.User(t.Context(), "usr_olga")
	check(t, err)
	for what, c := range map[string]struct {
		change func(a *impersonation.Ask)
		want   error
	}{
		"a fourth":               {func(*impersonation.Ask) {}, impersonation.ErrAsked},
		"without a reason":       {func(a *impersonation.Ask) { a.Reason = "short" }, impersonation.DenyReason},
		"a bad ticket":           {func(a *impersonation.Ask) { a.TicketRef = "\x00" }, impersonation.DenyTicketRef},
		"about nobody":           {func(a *impersonation.Ask) { a.SubjectID = "usr_nobody" }, impersonation.DenySubject},
		"about themselves":       {func(a *impersonation.Ask) { a.SubjectID = "usr_sam" }, impersonation.DenySelf},
		"about an auditor":       {func(a *impersonation.Ask) { a.SubjectID = "usr_olga" }, impersonation.DenyPrivileged},
		"by an auditor":          {func(a *impersonation.Ask) { a.Actor = olga }, impersonation.DenyPermission},
		"at a client not for it": {func(a *impersonation.Ask) { a.Client = &storage.Client{ID: "public"} }, impersonation.DenyClient},
	} {
		ask := impersonation.Ask{Actor: sam, SubjectID: id, Reason: "Cannot see invoice 4711"}
		c.change(&ask)
		if _, err := idp.Provider.Impersonation.RequestSupport(t.Context(), ask, storage.Request{}, time.Now()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

// Where administrators decide for everybody, people read and choose nothing.
func TestSupportAccessIsManaged(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	r := asks(t, idp, "sam", "ada", "")
	rule := func(rule storage.SupportRule) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.SetSupportRule(ctx, rule, byTest, time.Now())
		})
	}
	rule(storage.SupportRequired)
	wantPage(t, "required", b.Get("/account/support-access"), "so support may not sign in as you")
	rule(storage.SupportManaged)
	w := b.Get("/account/support-access")
	wantPage(t, "managed", w, "managed by your organization")
	if strings.Contains(w.Body, "<form method=\"post\" action=\"/account") || strings.Contains(w.Body, r.ID) {
		t.Errorf("there is something to choose: %s", w.Body)
	}
	for path, form := range map[string]url.Values{
		"/account/support-access":          {"choice": {"denied"}},
		"/account/support-access/requests": {"request": {r.ID}, "answer": {"approve"}},
	} {
		w := b.Post(path, form)
		if w.Status != http.StatusForbidden || textOf(w, "error-code") != "support_access_managed" {
			t.Errorf("%s: status %d", path, w.Status)
		}
	}
	if said(t, idp, "ada") != nil {
		t.Error("it was kept")
	}
	sam, err := idp.Store.User(t.Context(), "usr_sam")
	check(t, err)
	_, err = idp.Provider.Impersonation.RequestSupport(t.Context(), impersonation.Ask{Actor: sam, SubjectID: "usr_ada", Reason: "Cannot see invoice 4711"}, storage.Request{}, time.Now())
	if !errors.Is(err, impersonation.ErrManaged) {
		t.Errorf("a request: %v", err)
	}
}

// SECURITY D06: a sign-in that is ended is ended, with what runs over it.
func testSignIns(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	here, third := person(t, idp, a.actor), person(t, idp, a.actor)
	sid := func(b *idptest.Browser) string {
		l, err := idp.Store.Login(t.Context(), storage.Hash(b.Cookies[sessionCookie]), time.Now())
		check(t, err)
		return l.SID
	}
	there := sid(a.browser)
	w := here.Get("/account/sessions")
	wantPage(t, "page", w, "this one", there, sid(third))
	if strings.Contains(w.Body, `value="`+sid(here)+`"`) {
		t.Error("this sign-in can be ended by mistake")
	}
	wantStatus(t, "a stranger's", person(t, idp, "ada").Post("/account/sessions", url.Values{"sid": {there}}), http.StatusNotFound)
	for _, bad := range []string{"", "sid_x", "\x00", strings.Repeat("x", 5000)} {
		if w := here.Post("/account/sessions", url.Values{"sid": {bad}}); w.Status != http.StatusNotFound && w.Status != http.StatusBadRequest {
			t.Errorf("%.10q: status %d", bad, w.Status)
		}
	}
	if !signedIn(a.browser) {
		t.Fatal("it ended")
	}
	wantDone(t, here.Post("/account/sessions", url.Values{"sid": {there}}), "/account/sessions?done=session_ended")
	wantStatus(t, "again", here.Post("/account/sessions", url.Values{"sid": {there}}), http.StatusNotFound)
	if signedIn(a.browser) || !signedIn(third) || !signedIn(here) {
		t.Error("not that one ended")
	}
	a.wantEnded(t, storage.EndSignedOut, a.actorID())
	wantDone(t, here.Post("/account/sessions", url.Values{"action": {"others"}}), "/account/sessions?done=sessions_ended")
	if signedIn(third) || !signedIn(here) {
		t.Error("not the others ended")
	}
	if n := len(about(t, idp, a.actorID(), storage.EventSessionRevoked)); n != 2 {
		t.Errorf("%d events", n)
	}
	last := person(t, idp, a.actor)
	wantDone(t, here.Post("/account/sign-out-everywhere", nil), "/login")
	if signedIn(here) || signedIn(last) || here.Cookies[sessionCookie] != "" {
		t.Error("still signed in")
	}
}

// What is taken back from an application is taken at once, and nothing of others.
func testApplications(t *testing.T, idp *idptest.IDP) {
	a := begun(t, idp)
	other := unique("client")
	addClient(t, idp, other, func(c *storage.Client) { c.FirstParty, c.Name = false, "Something else" })
	b := person(t, idp, a.subject)
	token := func(client string) string {
		w := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(b.Code(asking("client_id", client, "scope", "openid email")), nil))
		return str(t, w.JSON(t), "access_token")
	}
	own, elsewhere := token(a.client), token(other)
	wantPage(t, "page", b.Get("/account/applications"), "Something else", "See your e-mail address", a.client, "signed in")
	wantStatus(t, "of nobody", b.Post("/account/applications", url.Values{"client": {"nobody"}}), http.StatusNotFound)
	wantStatus(t, "a stranger", person(t, idp, "ada").Post("/account/applications", url.Values{"client": {other}, "user": {a.subjectID()}}), http.StatusNotFound)
	wantDone(t, b.Post("/account/applications", url.Values{"client": {other}}), "/account/applications?done=application_revoked")
	wantStatus(t, "again", b.Post("/account/applications", url.Values{"client": {other}}), http.StatusNotFound)
	wantStatus(t, "the token", userinfo(idp, elsewhere), http.StatusUnauthorized)
	wantStatus(t, "the other token", userinfo(idp, own), http.StatusOK)
	wantOutcome(t, b, asking("client_id", other, "scope", "openid email"), "consent")
	if found := about(t, idp, a.subjectID(), storage.EventConsentRevoked); len(found) != 1 || found[0].ClientID != other || found[0].ActorID != a.subjectID() {
		t.Errorf("events: %v", found)
	}
	wantDone(t, b.Post("/account/applications", url.Values{"client": {a.client}}), "/account/applications?done=application_revoked")
	wantStatus(t, "the other token", userinfo(idp, own), http.StatusUnauthorized)
	wantStatus(t, "the actor's token", userinfo(idp, str(t, a.tokens, "access_token")), http.StatusOK) // End now is for that
}

// SECURITY D13, D14: people change what they say about themselves, and nothing else.
func testProfile(t *testing.T, idp *idptest.IDP) {
	name := unique("self")
	id := enroll(t, idp, name, "")
	b := person(t, idp, name)
	says := url.Values{
		"name": {" Ada Lovelace "}, "given_name": {"Ada"}, "family_name": {"Lovelace"}, "nickname": {"Countess"}, "locale": {"en-GB"},
		"zoneinfo": {"Europe/London"}, "picture": {"https://ada.example/me.png"}, "website": {"https://ada.example"}, "profile": {"https://ada.example/about"},
	}
	user := func() *storage.User {
		u, err := idp.Store.User(t.Context(), id)
		check(t, err)
		return u
	}
	before := user()
	extra := url.Values{}
	for _, field := range []string{
		"id", "sub", "user", "email", "email_key", "email_verified", "phone_number", "phone_number_verified", "address", "gender", "birthdate", "middle_name",
		"preferred_username", "password", "password_hash", "status", "role", "roles", "permissions", "organization", "never_impersonate", "created_at", "deleted_at", "Email", "Status",
	} {
		extra[field] = []string{"true"}
	}
	extra.Set("email", "root@example.test")
	extra.Set("id", "usr_root")
	maps.Copy(extra, says)
	wantDone(t, b.Post("/account/profile", extra), "/account/profile?done=profile_saved")
	after := user()
	if after.Name != "Ada Lovelace" || after.Nickname != "Countess" || after.Website != "https://ada.example" || after.Zoneinfo != "Europe/London" {
		t.Errorf("not stored: %v", after)
	}
	mine := cmpopts.IgnoreFields(storage.User{}, "Name", "GivenName", "FamilyName", "Nickname", "Locale", "Zoneinfo", "Picture", "Website", "Profile", "UpdatedAt")
	if diff := cmp.Diff(before, after, mine); diff != "" {
		t.Errorf("D14 changed:\n%s", diff)
	}
	wantPage(t, "page", b.Get("/account/profile"), "Ada Lovelace", name+"@example.test")
	if found := about(t, idp, id, storage.EventUserUpdated); len(found) != 1 || fmt.Sprint(found[0].Data["claims"]) != "[family_name given_name locale name nickname picture profile website zoneinfo]" {
		t.Errorf("events: %v", found)
	}
	wantDone(t, b.Post("/account/profile", says), "/account/profile?done=profile_saved")
	if n := len(about(t, idp, id, storage.EventUserUpdated)); n != 1 {
		t.Errorf("nothing changed, and there are %d events", n)
	}
	for field, bad := range map[string]string{
		"name": "a\u202eb", "given_name": strings.Repeat("x", 301), "nickname": "a\nb", "locale": "not a language", "zoneinfo": "../etc",
		"picture": "javascript:alert(1)", "website": "ada.example", "profile": "//evil.example",
	} {
		form := maps.Clone(says)
		form.Set(field, bad)
		w := b.Post("/account/profile", form)
		if w.Status != http.StatusBadRequest || w.Element("error-summary") == nil || textOf(w, field+"-error") == "" {
			t.Errorf("%s: status %d: %s", field, w.Status, w.Body)
		}
		if !strings.Contains(w.Body, "https://ada.example/about") && field != "profile" {
			t.Errorf("%s: the rest is lost", field)
		}
	}
	if diff := cmp.Diff(after, user()); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
}

// SECURITY D06, D09: a new password ends all but the sign-in that it was changed in.
func testPassword(t *testing.T, idp *idptest.IDP) {
	name, client := unique("changer"), unique("client")
	id := enroll(t, idp, name, "")
	addClient(t, idp, client, func(*storage.Client) {})
	here, there := arrive(t, idp, name), arrive(t, idp, name)
	refresh := func(b *idptest.Browser) string {
		code := b.Code(asking("client_id", client, "scope", "openid offline_access"))
		return str(t, idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t), "refresh_token")
	}
	kept, lost := refresh(here), refresh(there)
	const path, fresh = "/account/password", "a fresh passphrase"
	form := func(current, fresh string) url.Values {
		return url.Values{"current_password": {current}, "new_password": {fresh}, "user": {"usr_root"}, "username": {"root@example.test"}}
	}
	for what, c := range map[string]struct {
		form   url.Values
		status int
	}{
		"a wrong password": {form("wrong", fresh), http.StatusForbidden},
		"a short one":      {form(idptest.Password, "short"), http.StatusBadRequest},
		"a long one":       {form(idptest.Password, strings.Repeat("x", 1025)), http.StatusBadRequest},
		"the same":         {form(idptest.Password, idptest.Password), http.StatusBadRequest},
		"nothing":          {url.Values{}, http.StatusBadRequest},
	} {
		w := here.Post(path, c.form)
		if w.Status != c.status || w.Element("error-summary") == nil || strings.Contains(w.Body, fresh) {
			t.Errorf("%s: status %d: %s", what, w.Status, w.Body)
		}
	}
	if !signedIn(there) {
		t.Fatal("what was refused ended a sign-in")
	}
	old := maps.Clone(here.Cookies)
	wantDone(t, here.Post(path, form(idptest.Password, fresh)), path+"?done=password_changed")
	if here.Cookies[sessionCookie] == old[sessionCookie] || !signedIn(here) || signedIn(replay(here, old)) {
		t.Error("the sign-in does not go on under a new id")
	}
	if signedIn(there) {
		t.Error("another sign-in goes on")
	}
	wantRefused(t, "refresh there", idp.Call("/oauth2/token", client, idptest.Secret, refreshing(lost)), http.StatusBadRequest, "invalid_grant")
	wantStatus(t, "refresh here", idp.Call("/oauth2/token", client, idptest.Secret, refreshing(kept)), http.StatusOK)
	wantStatus(t, "the old password", login(idp.Browser(t), name+"@example.test", idptest.Password), http.StatusUnauthorized)
	if found := about(t, idp, id, storage.EventUserPasswordChanged); len(found) != 1 || found[0].ActorID != id {
		t.Errorf("events: %v", found)
	}
	// It is throttled like the login page, and together with it.
	throttle := arriveWith(t, idp, name, fresh)
	for n := range 20 {
		w := throttle.Post(path, form("wrong", "yet another one"))
		if w.Status == http.StatusTooManyRequests {
			if w.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return
		}
		if n == 19 {
			t.Errorf("never throttled, last status %d", w.Status)
		}
	}
}

// arriveWith is a browser in which somebody signed in with a password.
func arriveWith(t testing.TB, idp *idptest.IDP, name, password string) *idptest.Browser {
	t.Helper()
	b := idp.Browser(t)
	wantStatus(t, "sign in", login(b, name+"@example.test", password), http.StatusSeeOther)
	return b
}
