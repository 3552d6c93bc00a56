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
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// setPolicy makes rules the policy, as an operator.
func setPolicy(t testing.TB, idp *idptest.IDP, rules ...impersonation.Rule) *storage.Policy {
	t.Helper()
	return setPolicyBy(t, idp, "", rules...)
}

func setPolicyBy(t testing.TB, idp *idptest.IDP, by string, rules ...impersonation.Rule) *storage.Policy {
	t.Helper()
	var basedOn int64
	if current, err := idp.Store.CurrentPolicy(t.Context()); err == nil {
		basedOn = current.Version
	}
	p, err := idp.Provider.Impersonation.SetPolicy(t.Context(), compiled(t, rules...), "", basedOn, storage.Cause{By: by}, time.Now())
	check(t, err)
	return p
}

func denying(name, when, message string) impersonation.Rule {
	return impersonation.Rule{Name: name, When: when, Effect: impersonation.EffectDeny, Message: message}
}

func obliging(name, when string, o impersonation.Obligations) impersonation.Rule {
	return impersonation.Rule{Name: name, When: when, Effect: impersonation.EffectOblige, Oblige: o}
}

// ruleForm is the form of a rule in the console.
func ruleForm(version int, pairs ...string) url.Values {
	form := url.Values{
		"version": {fmt.Sprint(version)}, "action": {"save"}, "name": {"Not Ada"}, "when": {`subject.id == "usr_ada"`}, "effect": {"deny"},
		"message": {"Ada is on holiday."}, "note": {"She asked for it"},
	}
	having(pairs...)(form)
	return form
}

// An administrator writes a rule, and it holds: at once for what runs, where a user is
// chosen, and where the form is sent.
func TestPolicyInConsole(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "other", func(*storage.Client) {})
		sam := person(t, idp, "sam")
		sam.ActAs("usr_ada", asking())
		sam.ActAs("usr_linus", asking("client_id", "other"))
		root := openConsole(t, person(t, idp, "root"))
		if w := root.Get("/admin/policies"); !strings.Contains(w.Body, "There are no rules of your own yet") {
			t.Errorf("before the first: %d %s", w.Status, w.Body)
		}
		w := root.Post("/admin/policies/rule", ruleForm(0))
		if w.Header.Get("Location") != "/admin/policies?done=policy-saved" {
			t.Fatalf("save: %d %s", w.Status, w.Body)
		}
		running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
		if err != nil || len(running) != 1 || running[0].SubjectID != "usr_linus" {
			t.Errorf("runs on: %+v, %v", running, err)
		}
		ended := recorded(t, idp, storage.EventImpersonationStopped)
		if len(ended) != 1 || ended[0].Data["end_reason"] != "permission_lost" || ended[0].Data["ended_by"] != "usr_root" {
			t.Errorf("ended: %+v", ended)
		}
		saved := recorded(t, idp, storage.EventPolicyUpdated)
		if len(saved) != 1 || saved[0].ActorID != "usr_root" || fmt.Sprint(saved[0].Data["version"]) != "1" {
			t.Errorf("recorded: %+v", saved)
		}

		at := sam.Consent(asking("prompt", "select_account"))
		found := sam.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {"example.test"}})
		if !strings.Contains(found.Body, "Ada is on holiday.") {
			t.Errorf("not said where she would be chosen: %s", found.Body)
		}
		refused := sam.Post(at, idptest.Wish("usr_ada", nil))
		wantStatus(t, "as Ada", refused, http.StatusForbidden)
		if !strings.Contains(textOf(refused, "error-summary"), "Ada is on holiday.") {
			t.Errorf("got %s", refused.Body)
		}
		denied := recorded(t, idp, storage.EventImpersonationDenied)
		if len(denied) != 1 || denied[0].Data["denial"] != "policy" || denied[0].Data["rule"] != "Not Ada" || fmt.Sprint(denied[0].Data["policy_version"]) != "1" {
			t.Errorf("recorded: %+v", denied)
		}
		if w := root.Get("/admin/impersonations/denied"); !strings.Contains(w.Body, "Not Ada") {
			t.Errorf("the record does not name the rule: %d %s", w.Status, w.Body)
		}

		// Others: with the page of one, moved, tried, taken away and brought back.
		limit := ruleForm(1, "name", "Short", "when", "true", "effect", "oblige", "oblige", "on", "max_duration", "15", "message", "")
		wantStatus(t, "a second", root.Post("/admin/policies/rule", limit), http.StatusSeeOther)
		page := root.Get("/admin/policies/rule?rule=Short")
		if v := page.Element("max_duration"); v == nil || !strings.Contains(page.Body, `value="15"`) {
			t.Errorf("page of a rule: %d %s", page.Status, page.Body)
		}
		move := url.Values{"rule": {"Short"}, "version": {"2"}, "action": {"up"}}
		wantStatus(t, "up", root.Post("/admin/policies/rule", move), http.StatusSeeOther)
		if rules := rulesOf(t, idp); len(rules) != 2 || rules[0].Name != "Short" || rules[1].Name != "Not Ada" {
			t.Errorf("moved: %+v", rules)
		}
		wantStatus(t, "up again, of what it was", root.Post("/admin/policies/rule", move), http.StatusConflict)
		try := url.Values{"actor": {"sam@example.test"}, "subject": {"usr_linus"}, "client_id": {"app"}, "reason": {"A test of the policy"}, "access": {"full"}, "duration": {"30"}}
		if got := textOf(root.Post("/admin/policies/test", try), "verdict"); !strings.Contains(got, "Allowed") || !strings.Contains(got, "Read only for 15 min") {
			t.Errorf("tried: %s", got)
		}
		try.Set("subject", "ada@example.test")
		if got := textOf(root.Post("/admin/policies/test", try), "verdict"); !strings.Contains(got, "Refused") || !strings.Contains(got, "Not Ada") {
			t.Errorf("tried: %s", got)
		}
		try.Set("rules", "rules: []")
		if got := textOf(root.Post("/admin/policies/test", try), "verdict"); !strings.Contains(got, "Allowed") {
			t.Errorf("tried with other rules: %s", got)
		}
		try.Set("rules", "rules: [{name: No exchanges, when: 'entry == \"token_exchange\"', effect: deny}]")
		for entry, says := range map[string]string{"": "Allowed", "console": "Allowed", "token_exchange": "No exchanges"} {
			try.Set("entry", entry)
			if got := textOf(root.Post("/admin/policies/test", try), "verdict"); !strings.Contains(got, says) {
				t.Errorf("tried, started by %q: %s", entry, got)
			}
		}
		try.Set("entry", "api'")
		wantStatus(t, "tried, started in another way", root.Post("/admin/policies/test", try), http.StatusBadRequest)
		wantStatus(t, "remove", root.Post("/admin/policies/rule", url.Values{"rule": {"Not Ada"}, "version": {"3"}, "action": {"delete"}}), http.StatusSeeOther)
		if w := root.Get("/admin/policies/history"); !strings.Contains(w.Body, "/admin/policies/history/4") || !strings.Contains(w.Body, "She asked for it") {
			t.Errorf("history: %d %s", w.Status, w.Body)
		}
		if w := root.Get("/admin/policies/history/4"); !strings.Contains(w.Body, "<del>- ") || strings.Contains(w.Body, "restore-form") {
			t.Errorf("what changed: %d %s", w.Status, w.Body)
		}
		wantStatus(t, "bring back", root.Post("/admin/policies/history/2", url.Values{"version": {"4"}}), http.StatusSeeOther)
		if rules := rulesOf(t, idp); len(rules) != 2 || rules[0].Name != "Not Ada" {
			t.Errorf("brought back: %+v", rules)
		}
		wantStatus(t, "no version", root.Get("/admin/policies/history/99"), http.StatusNotFound)
		wantStatus(t, "no rule", root.Get("/admin/policies/rule?rule=none"), http.StatusNotFound)
	})
}

func rulesOf(t testing.TB, idp *idptest.IDP) []impersonation.Rule {
	t.Helper()
	p, err := idp.Store.CurrentPolicy(t.Context())
	check(t, err)
	rules, err := impersonation.ParsePolicy([]byte(p.Rules))
	check(t, err)
	return rules
}

// What is no rule is said at its field, and nothing of it is lost; what is dangerous asks
// who it is, and nobody changes it while they act as somebody.
func TestPolicyFormRefuses(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	root := openConsole(t, person(t, idp, "root"))
	for name, r := range map[string]struct {
		form  url.Values
		field string
		says  string
	}{
		"an unknown name":   {ruleForm(0, "when", "true ||\nactor.rolez == []"), "when-error", "Line 2, column 6: undeclared reference to 'actor.rolez' (did you mean 'actor.roles'?)"},
		"no bool":           {ruleForm(0, "when", "actor.id"), "when-error", "want a bool"},
		"no name":           {ruleForm(0, "name", ""), "name-error", "want 1 to 80"},
		"nothing to oblige": {ruleForm(0, "effect", "oblige"), "oblige-error", "at least one"},
		"no minutes":        {ruleForm(0, "effect", "oblige", "max_duration", "1h"), "max_duration-error", "1 to 60"},
		"too many minutes":  {ruleForm(0, "effect", "oblige", "max_duration", "61"), "max_duration-error", "1 to 60"},
		"text around":       {ruleForm(0, "message", "\u202eolleh"), "message-error", "printable"},
		"a note around":     {ruleForm(0, "note", "\u202eolleh"), "note-error", "printable"},
	} {
		w := root.Post("/admin/policies/rule", r.form)
		wantStatus(t, name, w, http.StatusBadRequest)
		if got := textOf(w, r.field); !strings.Contains(got, r.says) {
			t.Errorf("%s: %s is %q", name, r.field, got)
		}
		if !strings.Contains(w.Body, "She asked for it") && r.field != "note-error" {
			t.Errorf("%s: what was typed is lost", name)
		}
	}
	if _, err := idp.Store.CurrentPolicy(t.Context()); err == nil {
		t.Error("something was saved")
	}
	old := stale(t, idp, "root")
	wantStatus(t, "without the password", old.Post("/admin/policies/rule", ruleForm(0)), http.StatusForbidden)
	wantStatus(t, "with another", old.Post("/admin/policies/rule", ruleForm(0, "password", "wrong")), http.StatusForbidden)
	wantStatus(t, "with it", old.Post("/admin/policies/rule", ruleForm(0, "password", idptest.Password)), http.StatusSeeOther)
	wantStatus(t, "without a version", root.Post("/admin/policies/rule", ruleForm(0, "version", "")), http.StatusConflict)
	wantStatus(t, "with no action", root.Post("/admin/policies/rule", ruleForm(1, "action", "allow")), http.StatusNotFound)

	root.ActAs("usr_linus", asking())
	wantStatus(t, "while acting", root.Post("/admin/policies/rule", ruleForm(1)), http.StatusForbidden)
	wantStatus(t, "not by support", openConsole(t, person(t, idp, "sam")).Get("/admin/policies"), http.StatusForbidden)
}

// The rules that are made from a few values lead to the page of a rule, filled in, and
// nothing is saved by it.
func TestPolicyBuilder(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	root := openConsole(t, person(t, idp, "root"))
	wantStatus(t, "all kinds", root.Get("/admin/policies/new"), http.StatusOK)
	for kind, r := range map[string]struct{ query, says string }{
		"own_organization": {"", "!(organization in actor.organizations)"},
		"office_hours":     {"zone=Europe/Berlin&from=8&until=18", "now.getDayOfWeek(&#34;Europe/Berlin&#34;) in [1, 2, 3, 4, 5]"},
		"ticket":           {"pattern=SUP-[0-9]%2B", "SUP-[0-9]&#43;"},
		"never":            {"roles=executive,+board&users=CEO@example.com", "subject.email == &#34;ceo@example.com&#34;"},
		"read_only":        {"organization=Globex", "&#34;org_globex&#34; in actor.organizations"},
		"consent":          {"organization=org_initech", "&#34;org_initech&#34; in subject.organizations"},
		"approval":         {"minutes=15", "duration &gt; duration(&#34;15m&#34;)"},
	} {
		q, err := url.ParseQuery(r.query)
		check(t, err)
		prefixed := url.Values{"kind": {kind}}
		for name, v := range q {
			prefixed[kind+"_"+name] = v
		}
		w := root.Get("/admin/policies/rule?" + prefixed.Encode())
		wantStatus(t, kind, w, http.StatusOK)
		if !strings.Contains(w.Body, r.says) {
			t.Errorf("%s: not %s in %s", kind, r.says, w.Body)
		}
	}
	for name, query := range map[string]string{
		"no zone": "kind=office_hours&office_hours_zone=Mars&office_hours_from=1&office_hours_until=2", "no hours": "kind=office_hours&office_hours_zone=UTC",
		"nobody": "kind=never", "no organization": "kind=consent&consent_organization=none", "a bad pattern": "kind=ticket&ticket_pattern=[", "no kind": "kind=other",
	} {
		wantStatus(t, name, root.Get("/admin/policies/rule?"+query), http.StatusBadRequest)
	}
	if _, err := idp.Store.CurrentPolicy(t.Context()); err == nil {
		t.Error("something was saved")
	}
}

// What the rules oblige to is what comes out: in the row, in the tokens, on the page.
func TestObligationsHold(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		setPolicy(t, idp,
			obliging("narrow", "true", impersonation.Obligations{MaxDuration: 10 * time.Minute, Scopes: []string{"email", "api:read", "api:write"}}),
			obliging("look", `"support" in actor.roles`, impersonation.Obligations{ReadOnly: true}),
		)
		actor, client := unique("actor"), unique("client")
		enroll(t, idp, actor, "support")
		addClient(t, idp, client, func(c *storage.Client) { c.ImpersonationRefresh = true })
		b := arrive(t, idp, actor)
		request := asking("client_id", client, "scope", "openid profile email offline_access api:read api:write")
		at := b.Consent(request)
		found := b.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {"linus"}})
		for _, says := range []string{"Read only", "At most 10 min", "Only the scopes: openid email api:read api:write", `<option value="10" selected>`} {
			if !strings.Contains(found.Body, says) {
				t.Errorf("the page does not say %q", says)
			}
		}
		w := b.Post(at, idptest.Wish("usr_linus", having("access", "full", "duration", "30")))
		code := w.Location().Query().Get("code")
		if code == "" {
			t.Fatalf("no code: %d %s", w.Status, w.Body)
		}
		answer := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t)
		if got := answer["scope"]; got != "openid email api:read" {
			t.Errorf("scope: got %v", got)
		}
		if answer["refresh_token"] != nil {
			t.Error("a refresh token beyond what is obliged to")
		}
		i, ok := answer["impersonation"].(map[string]any)
		if !ok || i["access"] != "read_only" {
			t.Errorf("got %v", answer)
		}
		rows, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + actor}, time.Now())
		if err != nil || len(rows) != 1 || rows[0].Access != "read_only" || rows[0].ExpiresAt.Time().Sub(rows[0].StartedAt.Time()) != 10*time.Minute || len(rows[0].Scopes) != 4 || rows[0].IP == "" {
			t.Errorf("got %+v, %v", rows, err)
		}
		// Ended, it keeps no address, but for the record.
		b.Post("/impersonation/stop", url.Values{"id": {rows[0].ID}})
		if row, err := idp.Store.Impersonation(t.Context(), rows[0].ID); err != nil || row.IP != "" {
			t.Errorf("ended: got %+v, %v", row, err)
		}
	})
}

// A rule about the hour ends what runs when its tokens are next renewed, and a change
// counts wherever it was made.
func TestPolicyWhileRunning(t *testing.T) {
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		opened := time.Now()
		setPolicy(t, idp, denying("hours", fmt.Sprintf(`now >= timestamp(%q)`, opened.Add(20*time.Minute).UTC().Format(time.RFC3339)), "Closed."))
		a := begun(t, idp)
		time.Sleep(10 * time.Minute)
		w := a.refresh(t)
		wantStatus(t, "refresh in time", w, http.StatusOK)
		a.tokens = w.JSON(t)
		time.Sleep(10 * time.Minute)
		wantStatus(t, "refresh after hours", a.refresh(t), http.StatusBadRequest)
		if row := a.row(t); row.EndReason != storage.EndPermissionLost {
			t.Errorf("got %+v", row)
		}
	})
}

// What two people write at once: the second learns of the first before anything is saved,
// keeps what they typed, and saves it then.
func TestPolicyWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	root := inConsole(t, idp, "root")
	send := func(what string, status int, form url.Values) *idptest.Response {
		t.Helper()
		w := root.Post("/admin/policies/rule", form)
		wantStatus(t, what, w, status)
		return w
	}
	setPolicy(t, idp, denying("Late", "false", ""))
	setPolicy(t, idp, denying("Late", "true", "")) // another, meanwhile

	w := send("stale, and malformed", http.StatusConflict, ruleForm(1, "rule", "Late", "name", "Late", "max_duration", "soon"))
	if !strings.Contains(w.Body, `name="version" value="2"`) || !strings.Contains(w.Body, `value="soon"`) {
		t.Errorf("what was typed is lost: %s", w.Body)
	}
	w = send("malformed", http.StatusBadRequest, ruleForm(2, "rule", "Late", "name", "Late", "max_duration", "soon"))
	if textOf(w, "max_duration-error") == "" || !strings.Contains(w.Body, `value="soon"`) {
		t.Errorf("malformed: %s", w.Body)
	}

	setPolicy(t, idp) // another took it away
	w = send("of one that is gone", http.StatusConflict, ruleForm(2, "rule", "Late", "name", "Late"))
	if !strings.Contains(w.Body, `name="rule" value=""`) || !strings.Contains(w.Body, "Ada is on holiday.") {
		t.Errorf("what was typed cannot be saved as another: %s", w.Body)
	}
	send("as a new one", http.StatusSeeOther, ruleForm(3, "name", "Late"))
	if rules := rulesOf(t, idp); len(rules) != 1 || rules[0].Name != "Late" {
		t.Errorf("saved: %+v", rules)
	}
	w = send("remove what is gone", http.StatusSeeOther, url.Values{"rule": {"Gone"}, "version": {"3"}, "action": {"delete"}})
	if w.Header.Get("Location") != "/admin/policies" {
		t.Errorf("got %s", w.Header.Get("Location"))
	}
	asked := openConsole(t, personSince(t, idp, "root", time.Now().Add(-10*time.Minute))) // for the password
	w = asked.Post("/admin/policies/history/1", url.Values{"version": {"3"}})
	wantStatus(t, "bring back, before the password is asked for", w, http.StatusConflict)
	wantStatus(t, "bring back", asked.Post("/admin/policies/history/1", url.Values{"version": {"4"}}), http.StatusForbidden)
	send("what never was", http.StatusNotFound, url.Values{"rule": {"Gone"}, "version": {"4"}, "action": {"delete"}})
}

// T31: who loosens the policy is bound by what was before, for a while; who tightens it,
// by that at once.
func TestPolicyOfItsAuthor(t *testing.T) {
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		enroll(t, idp, "author", "admin")
		enroll(t, idp, "other", "admin")
		try := func(who string) impersonation.Verdict {
			t.Helper()
			actor, err := idp.Store.User(t.Context(), "usr_"+who)
			check(t, err)
			client, err := idp.Store.Client(t.Context(), "app")
			check(t, err)
			v, err := idp.Provider.Impersonation.Explain(t.Context(), impersonation.Ask{
				Actor: actor, Client: client, SubjectID: "usr_ada", Reason: "Cannot see invoice 4711", Access: impersonation.Full, Duration: 10 * time.Minute, Entry: "consent",
			}, nil, time.Now())
			check(t, err)
			return v
		}
		want := func(what, who, rule string) {
			t.Helper()
			if v := try(who); v.Rule != rule || v.Allowed != (rule == "") {
				t.Errorf("%s, %s: decided by %q, %v, want %q", what, who, v.Rule, v.Err(), rule)
			}
		}
		closed := denying("closed", "true", "")
		setPolicyBy(t, idp, "usr_other", closed)
		want("closed by another", "author", "closed")
		time.Sleep(time.Hour)
		setPolicyBy(t, idp, "usr_author")
		want("opened", "author", "closed")
		want("opened", "other", "")
		time.Sleep(10 * time.Minute)
		setPolicyBy(t, idp, "usr_author", obliging("look", "true", impersonation.Obligations{ReadOnly: true}))
		want("opened twice", "author", "closed")
		want("opened twice", "other", "")
		time.Sleep(5 * time.Minute)
		want("the first a while ago", "author", "")
		if v := try("author"); v.Access != impersonation.ReadOnly {
			t.Errorf("what narrows holds at once: got %+v", v)
		}
		setPolicyBy(t, idp, "usr_author")
		setPolicyBy(t, idp, "usr_other", obliging("look", "true", impersonation.Obligations{ReadOnly: true}))
		setPolicyBy(t, idp, "usr_author")
		if v := try("author"); v.Access != impersonation.ReadOnly {
			t.Errorf("opened again: got %+v", v)
		}
		setPolicyBy(t, idp, "usr_other")
		if v := try("author"); v.Access != impersonation.Full {
			t.Errorf("seen by another: got %+v", v)
		}
		setPolicyBy(t, idp, "usr_author", closed)
		want("closed by oneself", "author", "closed")
		time.Sleep(time.Hour)
		setPolicyBy(t, idp, "key_1")
		want("opened by a key", "author", "closed") // who may write policies may have used it
		want("opened by a key", "sam", "")
		time.Sleep(15 * time.Minute)
		want("opened by a key a while ago", "author", "")

		// Whoever has a key starts with it as somebody, or writes with it.
		theirs := storage.APIKey{Name: "theirs", Permissions: storage.List{"impersonation:start"}}
		_, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &theirs, storage.Cause{By: "usr_author"}, time.Now())
		check(t, err)
		sam, err := idp.Store.User(t.Context(), "usr_sam")
		check(t, err)
		client, err := idp.Store.Client(t.Context(), "app")
		check(t, err)
		byKey := func() string {
			v, err := idp.Provider.Impersonation.Explain(t.Context(), impersonation.Ask{
				Actor: sam, Caller: &impersonation.Caller{ID: theirs.ID, Standing: theirs.Standing()}, Client: client, SubjectID: "usr_ada",
				Reason: "Cannot see invoice 4711", Access: impersonation.Full, Duration: 10 * time.Minute, Entry: "api",
			}, nil, time.Now())
			check(t, err)
			return v.Rule
		}
		setPolicyBy(t, idp, "usr_other", closed)
		time.Sleep(time.Hour)
		setPolicyBy(t, idp, "usr_author")
		if got := byKey(); got != "closed" {
			t.Errorf("opened, and started with a key of theirs: decided by %q", got)
		}
		want("opened", "sam", "")
		time.Sleep(15 * time.Minute)
		if got := byKey(); got != "" {
			t.Errorf("opened a while ago, and started with a key of theirs: decided by %q", got)
		}
		setPolicyBy(t, idp, "usr_other", closed)
		time.Sleep(time.Hour)
		setPolicyBy(t, idp, theirs.ID)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.RevokeRole(ctx, "usr_author", "admin") })
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.GrantRole(ctx, "usr_author", "support", time.Now())
		})
		want("opened by a key that they made", "author", "closed")
		want("opened by a key that another made", "sam", "")
	})
}
