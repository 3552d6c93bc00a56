package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// fourEyes makes acting as usr_ada need a second person's approval.
func fourEyes(t testing.TB, idp *idptest.IDP) {
	t.Helper()
	setRules(t, idp, impersonation.Rule{
		Name: "four eyes", When: `subject.id == "usr_ada"`, Effect: impersonation.EffectOblige, Oblige: impersonation.Obligations{Approval: true},
	})
}

// compiled makes a policy of rules.
func compiled(t testing.TB, rules ...impersonation.Rule) *impersonation.Policy {
	t.Helper()
	p, err := impersonation.Compile(rules)
	check(t, err)
	return p
}

// setRules makes these the policy.
func setRules(t testing.TB, idp *idptest.IDP, rules ...impersonation.Rule) {
	t.Helper()
	settings, err := idp.Store.ImpersonationSettings(t.Context())
	check(t, err)
	var version int64
	if settings.PolicyID != "" {
		p, err := idp.Store.PolicyNamed(t.Context(), settings.PolicyID)
		check(t, err)
		version = p.Version
	}
	_, err = idp.Provider.Impersonation.SetPolicy(t.Context(), compiled(t, rules...), "", version, storage.Cause{}, time.Now())
	check(t, err)
}

// approving is somebody who waits for approval, and somebody who may give it.
type approving struct {
	idp               *idptest.IDP
	actor, approver   *idptest.Browser
	actorID, approves string // user ids
	client, approval  string // ids
}

// asked asks for approval to act as usr_ada, in the console. Its people and its client
// are nobody else's.
func asked(t *testing.T, idp *idptest.IDP, pairs ...string) *approving {
	t.Helper()
	a := &approving{idp: idp, client: unique("client")}
	addClient(t, idp, a.client, started)
	var name string
	a.actor, name = staffed(t, idp, "support")
	a.actorID = "usr_" + name
	a.approver, name = staffed(t, idp, "admin")
	a.approves = "usr_" + name
	w := a.ask(pairs...)
	if w.Status != http.StatusSeeOther || !strings.HasPrefix(w.Location().Path, "/admin/approvals/") {
		t.Fatalf("no request for approval: %d %s %.500s", w.Status, w.Location(), w.Body)
	}
	a.approval = strings.TrimPrefix(w.Location().Path, "/admin/approvals/")
	return a
}

func (a *approving) ask(pairs ...string) *idptest.Response {
	return a.actor.Post("/admin/users/usr_ada/request-approval", askForm(a.client, pairs...))
}

func (a *approving) page() string { return "/admin/approvals/" + a.approval }

func (a *approving) approve(t testing.TB) {
	t.Helper()
	w := a.approver.Post(a.page()+"/approve", url.Values{"note": {"As the customer said"}})
	if w.Status != http.StatusSeeOther {
		t.Fatalf("not approved: %d %.800s", w.Status, w.Body)
	}
}

// begin starts what was approved, as the form with other values says.
func (a *approving) begin(pairs ...string) *idptest.Response {
	w := askAs(a.actor, "usr_ada", askForm(a.client, pairs...))
	if hint := w.Location().Query().Get("login_hint"); hint != "" {
		return a.actor.Get(asking("client_id", a.client, "login_hint", hint))
	}
	return w
}

func (a *approving) row(t testing.TB) *storage.Approval {
	t.Helper()
	row, err := a.idp.Store.Approval(t.Context(), a.approval)
	check(t, err)
	return row
}

// T30: exactly what was approved may start, once, while all that it rests on holds. Each
// row changes one thing about a start that is approved.
func TestApprovedExactly(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		lose := func(role func(*approving) string) func(*testing.T, *approving) {
			return func(t *testing.T, a *approving) {
				who := role(a)
				idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
					held := map[bool]string{true: "support", false: "admin"}[who == a.actorID]
					return tx.RevokeRole(ctx, who, held)
				})
			}
		}
		disable := func(t *testing.T, id string) {
			execute(t, idp, `UPDATE users SET status = 'disabled' WHERE id = '`+id+`'`)
		}
		for name, c := range map[string]struct {
			with   []string // in the form that starts
			change func(*testing.T, *approving)
			starts bool
		}{
			"nothing":            {starts: true},
			"shorter":            {with: []string{"duration", "15"}, starts: true},
			"longer":             {with: []string{"duration", "60"}},
			"more access":        {with: []string{"access", "full"}},
			"another reason":     {with: []string{"reason", "Cannot see invoice 4712"}},
			"a ticket reference": {with: []string{"ticket_ref", "SUP-1"}},
			"its time was up": {change: func(t *testing.T, a *approving) {
				execute(t, idp, fmt.Sprintf(`UPDATE approvals SET expires_at = %d WHERE id = '%s'`, storage.At(time.Now()), a.approval))
			}},
			"withdrawn": {change: func(t *testing.T, a *approving) {
				wantStatus(t, "withdraw", a.actor.Post(a.page()+"/withdraw", nil), http.StatusSeeOther)
			}},
			"the actor lost the permission":    {change: lose(func(a *approving) string { return a.actorID })},
			"the approver lost the permission": {change: lose(func(a *approving) string { return a.approves })},
			"the approver was disabled":        {change: func(t *testing.T, a *approving) { disable(t, a.approves) }},
			"the application no longer allows it": {change: func(t *testing.T, a *approving) {
				idp.Change(t, a.client, func(c *storage.Client) { c.AllowImpersonation = false })
			}},
		} {
			t.Run(name, func(t *testing.T) {
				a := asked(t, idp)
				a.approve(t)
				if c.change != nil {
					c.change(t, a)
				}
				if got := a.begin(c.with...).Location().Query().Has("code"); got != c.starts {
					t.Errorf("started: %v, want %v", got, c.starts)
				}
				if used := a.row(t).Status == storage.ApprovalUsed; used != c.starts {
					t.Errorf("used: %v, want %v", used, c.starts)
				}
			})
		}

		t.Run("once", func(t *testing.T) {
			a := asked(t, idp)
			a.approve(t)
			if !a.begin().Location().Query().Has("code") {
				t.Fatal("not started")
			}
			row := a.row(t)
			i, err := idp.Store.Impersonation(t.Context(), row.ImpersonationID)
			if err != nil || i.ApprovalID != a.approval || i.ActorID != a.actorID {
				t.Errorf("got %+v, %v", i, err)
			}
			if a.begin().Location().Query().Has("code") {
				t.Error("started again")
			}
		})
		t.Run("the rule is gone", func(t *testing.T) {
			a := asked(t, idp)
			a.approve(t)
			setRules(t, idp)
			if !a.begin().Location().Query().Has("code") || a.row(t).Status != storage.ApprovalApproved {
				t.Error("not started, or an approval spent that nobody wanted")
			}
			fourEyes(t, idp)
		})
		t.Run("another rule says no", func(t *testing.T) {
			a := asked(t, idp)
			a.approve(t)
			setRules(t, idp, impersonation.Rule{Name: "never", When: "true", Effect: impersonation.EffectDeny})
			if a.begin().Location().Query().Has("code") || a.row(t).Status == storage.ApprovalUsed {
				t.Error("started")
			}
			fourEyes(t, idp)
		})
	})
}

// T30: twenty of the actor's browsers start on one approval, and one does.
func TestApprovalIsSpentOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		a := asked(t, idp)
		a.approve(t)
		name := strings.TrimPrefix(a.actorID, "usr_")
		browsers, hints, codes := [20]*idptest.Browser{}, [20]string{}, [20]bool{}
		for n := range browsers {
			browsers[n] = inConsole(t, idp, name)
			w := askAs(browsers[n], "usr_ada", askForm(a.client))
			if hints[n] = w.Location().Query().Get("login_hint"); hints[n] == "" {
				t.Fatalf("no ticket: %d %.300s", w.Status, w.Body)
			}
		}
		var wait sync.WaitGroup
		for n, b := range browsers {
			wait.Go(func() {
				codes[n] = b.Get(asking("client_id", a.client, "login_hint", hints[n])).Location().Query().Has("code")
			})
		}
		wait.Wait()
		won := 0
		for _, code := range codes {
			if code {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of 20 started, want 1", won)
		}
	})
}

// T30, A17, A19: who may decide, and what is on the record of it.
func TestWhoMayApprove(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		a := asked(t, idp)
		yes := url.Values{}
		stale := personSince(t, idp, strings.TrimPrefix(a.approves, "usr_"), time.Now().Add(-10*time.Minute))
		stale.Get("/admin")
		actorMayApprove := func(t *testing.T) *idptest.Browser {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.GrantRole(ctx, a.actorID, "admin", time.Now())
			})
			return a.actor
		}
		support, _ := staffed(t, idp, "support")
		for _, c := range []struct {
			name   string
			b      *idptest.Browser
			status int
		}{
			{"nobody", idp.Browser(t), http.StatusSeeOther}, // to sign in
			{"the actor", a.actor, http.StatusForbidden},
			{"somebody of support", support, http.StatusForbidden},
			{"an auditor", inConsole(t, idp, "olga"), http.StatusForbidden},
			{"of another organization", localStaff(t, idp, "org_initech", "admin"), http.StatusNotFound},
			{"a stale password", stale, http.StatusUnauthorized},
		} {
			c.b.Get("/admin")
			for _, verb := range []string{"/approve", "/deny"} {
				w := c.b.Post(a.page()+verb, yes)
				wantStatus(t, c.name+verb, w, c.status)
			}
		}
		if row := a.row(t); row.Status != storage.ApprovalPending {
			t.Fatalf("decided: %+v", row)
		}
		wantStatus(t, "the actor, as an administrator", actorMayApprove(t).Post(a.page()+"/approve", yes), http.StatusForbidden)

		busy := asked(t, idp) // their approver acts as somebody meanwhile
		addClient(t, idp, busy.client+"2", started)
		w := busy.approver.Get(asking("client_id", busy.client+"2", "login_hint", handle(t, busy.approver, "usr_linus", busy.client+"2")))
		if !w.Location().Query().Has("code") {
			t.Fatalf("approver does not act: %d %.300s", w.Status, w.Body)
		}
		wantStatus(t, "who acts, in this browser", busy.approver.Post(busy.page()+"/approve", yes), http.StatusForbidden)
		other := inConsole(t, idp, strings.TrimPrefix(busy.approves, "usr_"))
		wantStatus(t, "who acts, in another browser", other.Post(busy.page()+"/approve", yes), http.StatusForbidden)

		w = a.approver.Post(a.page()+"/deny", url.Values{"note": {"Not without a ticket"}})
		wantStatus(t, "deny", w, http.StatusSeeOther)
		wantStatus(t, "approve afterwards", a.approver.Post(a.page()+"/approve", yes), http.StatusConflict)
		if w := a.actor.Get(a.page()); !strings.Contains(w.Body, "Not without a ticket") || !strings.Contains(w.Body, "has denied this") {
			t.Errorf("the actor reads: %.2000s", w.Body)
		}
		if a.begin().Location().Query().Has("code") {
			t.Error("started although it was denied")
		}

		b := asked(t, idp)
		b.approve(t)
		got := map[storage.EventType][]storage.Event{}
		pending, err := idp.Store.PendingEvents(t.Context(), 1000)
		check(t, err)
		for _, e := range pending {
			got[e.Type] = append(got[e.Type], e)
		}
		for _, want := range []struct {
			kind  storage.EventType
			actor string
			data  map[string]any
		}{
			{storage.EventImpersonationRequested, a.actorID, map[string]any{"approval": a.approval, "rule": "four eyes"}},
			{storage.EventImpersonationDenied, a.approves, map[string]any{"approval": a.approval, "denial": "disapproved", "requested_for": a.actorID}},
			{storage.EventImpersonationDenied, a.actorID, map[string]any{"approval": a.approval, "denial": "approver", "refusal": "own"}},
			{storage.EventImpersonationApproved, b.approves, map[string]any{"approval": b.approval, "requested_for": b.actorID}},
		} {
			if !among(got[want.kind], want.actor, want.data) {
				t.Errorf("G01 no %s by %s with %v", want.kind, want.actor, want.data)
			}
		}
	})
}

func among(events []storage.Event, actor string, data map[string]any) bool {
	for _, e := range events {
		all := e.ActorID == actor
		for name, value := range data {
			all = all && e.Data[name] == value
		}
		if all {
			return true
		}
	}
	return false
}

// The subject never sees who wants to act as them before it happens, even where they
// might approve it; neither does anybody out of reach.
func TestApprovalsSeen(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		a := asked(t, idp)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.RemoveMember(ctx, "org_globex", "usr_ada"); err != nil {
				return err
			}
			return tx.AddMember(ctx, "org_globex", "usr_ada", "admin", time.Now())
		})
		for _, c := range []struct {
			name           string
			b              *idptest.Browser
			sees, mayGrant bool
		}{
			{"the actor", a.actor, true, false},
			{"the approver", a.approver, true, true},
			{"an auditor", inConsole(t, idp, "olga"), true, false},
			{"of the organization", localStaff(t, idp, "org_globex", "admin"), true, true},
			{"of another", localStaff(t, idp, "org_initech", "admin"), false, false},
			{"the subject", inConsole(t, idp, "ada"), false, false},
		} {
			w := c.b.Get("/admin/impersonations/approvals")
			if got := strings.Contains(w.Body, a.page()); got != c.sees {
				t.Errorf("F08 %s sees it listed: %v, want %v: %d %.500s", c.name, got, c.sees, w.Status, w.Body)
			}
			w = c.b.Get(a.page())
			if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[c.sees]; w.Status != want {
				t.Errorf("F08 %s: status %d, want %d", c.name, w.Status, want)
			}
			if got := strings.Contains(w.Body, `id="approve-submit"`); got != c.mayGrant {
				t.Errorf("%s is offered to approve: %v, want %v", c.name, got, c.mayGrant)
			}
			if w := c.b.Get("/admin"); strings.Contains(w.Body, `id="approvals"`) != c.mayGrant {
				t.Errorf("%s is told on the overview: want %v", c.name, c.mayGrant)
			}
		}
		wantStatus(t, "nothing of that id", a.approver.Get("/admin/approvals/apr_nothing"), http.StatusNotFound)
		wantStatus(t, "somebody else withdraws it", a.approver.Post(a.page()+"/withdraw", nil), http.StatusNotFound)
	})
}

// Asking again is one request, and there is an end to asking.
func TestApprovalsAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		a := asked(t, idp)
		if again := a.ask().Location().Path; again != a.page() {
			t.Errorf("asked again: %s, want %s", again, a.page())
		}
		for n := range 4 {
			wantStatus(t, "another", a.ask("ticket_ref", fmt.Sprintf("T-%d", n)), http.StatusSeeOther)
		}
		wantStatus(t, "a sixth", a.ask("ticket_ref", "T-9"), http.StatusTooManyRequests)
		wantStatus(t, "withdraw", a.actor.Post(a.page()+"/withdraw", nil), http.StatusSeeOther)
		wantStatus(t, "withdraw again", a.actor.Post(a.page()+"/withdraw", nil), http.StatusConflict)
		wantStatus(t, "a fifth", a.ask("ticket_ref", "T-9"), http.StatusSeeOther)
		wantStatus(t, "without a reason", a.ask("reason", "short"), http.StatusBadRequest)
		wantStatus(t, "somebody out of reach", a.actor.Post("/admin/users/usr_nobody/request-approval", askForm(a.client)), http.StatusNotFound)
		setRules(t, idp)
		wantStatus(t, "where nobody has to", a.ask("ticket_ref", "T-10"), http.StatusConflict)
	})
}

// What others get mails of is bounded, also where what was asked for is taken back.
func TestAskingIsBounded(t *testing.T) {
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		a := asked(t, idp)
		again := func(n int) *idptest.Response {
			wantStatus(t, "withdraw", a.actor.Post(a.page()+"/withdraw", nil), http.StatusSeeOther)
			w := a.ask("ticket_ref", fmt.Sprintf("T-%d", n))
			a.approval = strings.TrimPrefix(w.Location().Path, "/admin/approvals/")
			return w
		}
		for n := range 9 {
			wantStatus(t, "another", again(n), http.StatusSeeOther)
		}
		wantStatus(t, "the eleventh within an hour", again(10), http.StatusTooManyRequests)
		key := idp.APIKey(t, impersonation.PermissionStart)
		body := map[string]any{"actor_id": a.actorID, "client_id": a.client, "reason": "Cannot see invoice 4711"}
		w := idp.API(t, key, http.MethodPost, "/users/usr_linus/support-access/requests", body)
		if p := w.Problem(t); w.Status != http.StatusTooManyRequests || p.Denial == nil || *p.Denial != "rate" || w.Header.Get("Retry-After") == "" {
			t.Errorf("asking a user: %d %s", w.Status, w.Body)
		}
		body["actor_id"] = "usr_sam"
		wantStatus(t, "somebody else asks", idp.API(t, key, http.MethodPost, "/users/usr_linus/support-access/requests", body), http.StatusCreated)
	})
}

// From the consent page of an application, through a second person, into the very answer
// that the application waits for; all without a script.
func TestApprovalFromTheConsentPage(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		client, name := unique("client"), unique("actor")
		addClient(t, idp, client, started)
		enroll(t, idp, name, "support")
		sam := person(t, idp, name)
		at := sam.Consent(asking("client_id", client))
		w := sam.Post(at, idptest.Wish("usr_ada", nil))
		wantStatus(t, "without approval", w, http.StatusForbidden)
		if !strings.Contains(w.Body, `value="request_approval"`) {
			t.Fatalf("not offered to ask: %.3000s", w.Body)
		}
		w = sam.Post(at, idptest.Wish("usr_ada", having("action", "request_approval")))
		wait := w.Location().Path
		if w.Status != http.StatusSeeOther || !strings.HasPrefix(wait, at+"/approvals/") {
			t.Fatalf("not asked: %d %s %.500s", w.Status, wait, w.Body)
		}
		w = sam.Get(wait)
		if w.Header.Get("Refresh") != "5" || !strings.Contains(w.Body, "Waiting for somebody") || strings.Contains(w.Body, "start-form") {
			t.Errorf("waiting: Refresh %q: %.2000s", w.Header.Get("Refresh"), w.Body)
		}
		wantStatus(t, "somebody else's page", person(t, idp, "root").Get(wait), http.StatusBadRequest)

		root, id := inConsole(t, idp, "root"), wait[strings.LastIndex(wait, "/")+1:]
		wantStatus(t, "approve", root.Post("/admin/approvals/"+id+"/approve", nil), http.StatusSeeOther)
		w = sam.Get(wait)
		if w.Header.Get("Refresh") != "" {
			t.Error("looks again although it is decided")
		}
		form := hiddenFields(w, "start-form")
		to := w.Element("start-form")
		if to == nil || form.Get("reason") == "" {
			t.Fatalf("nothing to press: %.2000s", w.Body)
		}
		w = sam.Post(at+"?for=usr_"+name, form)
		if got := w.Location(); !got.Query().Has("code") || got.Query().Get("state") != "a state" {
			t.Errorf("no answer to the request: %d %s %.800s", w.Status, got, w.Body)
		}
		row, err := idp.Store.Approval(t.Context(), id)
		if err != nil || row.Status != storage.ApprovalUsed {
			t.Errorf("got %+v, %v", row, err)
		}
	})
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// hiddenFields are what a form carries.
func hiddenFields(w *idptest.Response, id string) url.Values {
	_, rest, _ := strings.Cut(w.Body, `id="`+id+`"`)
	rest, _, _ = strings.Cut(rest, "</form>")
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(rest, -1) {
		form.Set(field[1], field[2])
	}
	return form
}

// T30: nobody answers for a day, or nobody starts for a quarter of an hour.
func TestApprovalsExpire(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		late, unused := asked(t, idp), asked(t, idp)
		unused.approve(t)
		time.Sleep(16 * time.Minute)
		unused.actor = inConsole(t, idp, strings.TrimPrefix(unused.actorID, "usr_"))
		if unused.begin().Location().Query().Has("code") {
			t.Error("started 16 minutes after it was approved")
		}
		time.Sleep(24 * time.Hour)
		admin := inConsole(t, idp, strings.TrimPrefix(late.approves, "usr_"))
		wantStatus(t, "approved after a day", admin.Post(late.page()+"/approve", nil), http.StatusConflict)
		if w := admin.Get(late.page()); !strings.Contains(w.Body, "No answer in time") || strings.Contains(w.Body, "approve-submit") {
			t.Errorf("%.2000s", w.Body)
		}
		if left, err := idp.Store.Approval(t.Context(), late.approval); err != nil {
			t.Error(left, err)
		}
		time.Sleep(31 * 24 * time.Hour)
		_, err := idp.Store.Sweep(t.Context(), time.Now())
		check(t, err)
		if left, err := idp.Store.Approval(t.Context(), late.approval); err == nil {
			t.Errorf("kept: %+v", left)
		}
	})
}
