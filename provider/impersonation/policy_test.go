package impersonation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/storage"
)

// compiledPolicy makes a policy of rules that have to be in order.
func compiledPolicy(t testing.TB, rules ...Rule) *Policy {
	t.Helper()
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Name = fmt.Sprint("rule ", i)
	}
	p, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// denies and obliges are one rule each.
func denies(when string) Rule {
	return Rule{When: when, Effect: EffectDeny, Message: "Not like this."}
}

func obliges(when string, o Obligations) Rule {
	return Rule{When: when, Effect: EffectOblige, Oblige: o}
}

// attempted is allowed with what rules ask about filled in.
func attempted() Attempt {
	a := allowed()
	a.Actor.Email, a.Actor.Name = "Sam@Understudy.test", "Sam"
	a.ActorStanding.Within = map[string]storage.List{"org_understudy": nil}
	a.ActorStanding.Roles = map[string]storage.List{"": {"support"}, "org_understudy": {"lead"}}
	a.Subject.Email, a.Subject.Name = "ada@globex.test", "Ada"
	a.SubjectStanding.Roles = map[string]storage.List{"org_globex": {"owner"}}
	a.Client.Name, a.Client.Scope = "Billing", "openid email invoices:read invoices:write"
	a.TicketRef, a.Access, a.Entry, a.IP = "SUP-1", Full, "consent", "192.0.2.7"
	return a
}

// Each rule denies the attempt, or does not: all that rules can ask about.
func TestVariables(t *testing.T) {
	asked := map[string]bool{}
	for when, want := range map[string]Denial{
		"true":  DenyPolicy,
		"false": "",

		`actor.id == "usr_sam" && subject.id == "usr_ada"`:                           DenyPolicy,
		`actor.email.endsWith("@understudy.test")`:                                   DenyPolicy,
		`subject.email == "ada@globex.test"`:                                         DenyPolicy,
		`actor.name + subject.name == "SamAda"`:                                      DenyPolicy,
		`"lead" in actor.roles`:                                                      "", // held elsewhere
		`actor.roles_anywhere == ["lead", "support"]`:                                DenyPolicy,
		`subject.roles == ["owner"] && "owner" in subject.roles_anywhere`:            DenyPolicy,
		`"impersonation:start" in actor.permissions && subject.permissions == []`:    DenyPolicy,
		`!actor.organizations.exists(o, o in subject.organizations)`:                 DenyPolicy,
		`subject.organizations == [organization]`:                                    DenyPolicy,
		`subject.support_access == "none"`:                                           DenyPolicy,
		`client.id == "app" && client.name == "Billing"`:                             DenyPolicy,
		`client.scopes.exists(s, s.endsWith(":write"))`:                              DenyPolicy,
		`client.organizations.size() > 0`:                                            "",
		`reason.contains("invoice")`:                                                 DenyPolicy,
		`!ticket_ref.matches("^SUP-[0-9]+$")`:                                        "",
		`access == "full"`:                                                           DenyPolicy,
		`duration > duration("29m") && duration <= duration("30m")`:                  DenyPolicy,
		`entry == "consent"`:                                                         DenyPolicy,
		`cidr("192.0.2.0/24").containsIP(ip)`:                                        DenyPolicy,
		`now == timestamp("2026-03-01T12:00:00Z")`:                                   DenyPolicy,
		`now.getHours("Europe/Berlin") == 13 && now.getDayOfWeek("Asia/Tokyo") == 0`: DenyPolicy,

		// What cannot be decided is denied.
		`cidr("192.0.2.0/24").containsIP(actor.id)`: DenyPolicyError,
		`client.organizations[0] == "org_globex"`:   DenyPolicyError,
		`now.getHours(actor.id) == 1`:               DenyPolicyError,
		`1 / size(client.organizations) == 1`:       DenyPolicyError,
		`duration(reason) == duration`:              DenyPolicyError,
		`true || 1 / size(ticket_ref) == 0`:         DenyPolicy, // where it does not matter, it does not count
	} {
		a := attempted()
		a.Policy = compiledPolicy(t, denies(when))
		if got := verdict(t, a); got != want {
			t.Errorf("%s: got %q, want %q (%v)", when, got, want, Decide(a))
		}
		for _, v := range variables {
			asked[v.Name] = asked[v.Name] || strings.Contains(when, v.Name)
		}
	}
	for _, v := range Variables() {
		if !asked[v.Name] || v.Doc == "" {
			t.Errorf("%s is not tried here, or not explained", v.Name)
		}
	}
}

// Each row is about an attempt that the guard rails allow.
var ruled = []struct {
	name   string
	rules  []Rule
	change func(a *Attempt)
	want   Denial
	rule   int // which decided, counted from 0
}{
	{"no rules", nil, nil, "", 0},
	{"the first that denies decides", []Rule{denies("false"), denies("1 == 1"), denies("true")}, nil, DenyPolicy, 1},
	{"one that cannot be decided before one that denies", []Rule{denies("[1][size(reason)] == 1"), denies("true")}, nil, DenyPolicyError, 0},
	{"one that cannot be decided after one that obliges", []Rule{obliges("true", Obligations{ReadOnly: true}), denies("[1][size(reason)] == 1")}, nil, DenyPolicyError, 1},

	{"a ticket, given", []Rule{obliges("true", Obligations{Ticket: true})}, nil, "", 0},
	{"a ticket, not given", []Rule{obliges("true", Obligations{Ticket: true})}, func(a *Attempt) { a.TicketRef = "" }, DenyTicketRef, 0},
	{"a ticket of a form", []Rule{obliges("true", Obligations{Ticket: true, TicketPattern: "SUP-[0-9]+"})}, nil, "", 0},
	{"a ticket of another form", []Rule{obliges("true", Obligations{TicketPattern: "OPS-[0-9]+"})}, nil, DenyTicketRef, 0},
	{"the form is of the whole", []Rule{obliges("true", Obligations{TicketPattern: "SUP|OPS"})}, nil, DenyTicketRef, 0},
	{"a form, and no ticket", []Rule{obliges("true", Obligations{TicketPattern: "OPS-[0-9]+"})}, func(a *Attempt) { a.TicketRef = "" }, "", 0},
	{"both forms", []Rule{obliges("true", Obligations{TicketPattern: "SUP-.*"}), obliges("true", Obligations{TicketPattern: ".*-2"})}, nil, DenyTicketRef, 1},

	{"support access, not said", []Rule{obliges("true", Obligations{SupportAccess: true})}, nil, DenySupportAccess, 0},
	{"support access, said", []Rule{obliges("true", Obligations{SupportAccess: true})}, says(storage.SupportOptional, storage.SupportUntil, time.Minute, ""), "", 0},
	{"support access for the ticket", []Rule{obliges("true", Obligations{SupportAccess: true})}, says(storage.SupportOptional, storage.SupportTicket, time.Minute, "SUP-1"), "", 0},
	{"support access, and nobody is asked", []Rule{obliges("true", Obligations{SupportAccess: true})}, says(storage.SupportManaged, storage.SupportUntil, time.Minute, ""), DenySupportAccess, 0},
	{"support access as rules see it", []Rule{denies(`subject.support_access != "until"`)}, says(storage.SupportOptional, storage.SupportUntil, time.Minute, ""), "", 0},
	{"support access that counts no more", []Rule{denies(`subject.support_access != "until"`)}, says(storage.SupportManaged, storage.SupportUntil, time.Minute, ""), DenyPolicy, 0},

	{"approval, missing", []Rule{obliges("true", Obligations{Approval: true})}, nil, DenyApproval, 0},
	{"approval, given", []Rule{obliges("true", Obligations{Approval: true})}, func(a *Attempt) { a.Approved = true }, "", 0},
	{"approval for longer", []Rule{obliges(`duration > duration("15m")`, Obligations{Approval: true})}, nil, DenyApproval, 0},
	{"approval for longer, shorter", []Rule{obliges(`duration > duration("15m")`, Obligations{Approval: true})}, func(a *Attempt) { a.Duration = 15 * time.Minute }, "", 0},

	{"what is left is asked about again", []Rule{denies(`access == "read_only"`), obliges("true", Obligations{ReadOnly: true})}, nil, DenyPolicy, 0},
	{"what is left is asked about until it stays", []Rule{
		denies(`duration <= duration("5m")`),
		obliges(`duration <= duration("10m")`, Obligations{MaxDuration: 5 * time.Minute}),
		obliges(`duration <= duration("20m")`, Obligations{MaxDuration: 10 * time.Minute}),
		obliges("true", Obligations{MaxDuration: 20 * time.Minute}),
	}, nil, DenyPolicy, 0},

	{"a guard rail first", []Rule{denies("true")}, func(a *Attempt) { a.Subject.NeverImpersonate = true }, DenyProtected, -1},
	{"approval is no way round a guard rail", []Rule{obliges("true", Obligations{Approval: true})}, func(a *Attempt) {
		a.Approved, a.SubjectStanding.Everywhere = true, storage.List{"users:write"}
	}, DenyPrivileged, -1},

	{"while it runs: read only", []Rule{obliges("true", Obligations{ReadOnly: true})}, func(a *Attempt) { running(a); a.Running.Access = "read_only" }, "", 0},
	{"while it runs: more than read only", []Rule{obliges("true", Obligations{ReadOnly: true})}, func(a *Attempt) { running(a); a.Running.Access = "full" }, DenyPolicy, 0},
	{"while it runs: as long", []Rule{obliges("true", Obligations{MaxDuration: time.Minute})}, running, "", 0},
	{"while it runs: longer", []Rule{obliges("true", Obligations{MaxDuration: time.Minute})}, func(a *Attempt) { running(a); a.Running.ExpiresAt++ }, DenyPolicy, 0},
	{"while it runs: those scopes", []Rule{obliges("true", Obligations{Scopes: []string{"email", "phone"}})}, func(a *Attempt) { running(a); a.Running.Scopes = storage.List{"openid", "email"} }, "", 0},
	{"while it runs: another scope", []Rule{obliges("true", Obligations{Scopes: []string{"email"}})}, func(a *Attempt) { running(a); a.Running.Scopes = storage.List{"openid", "phone"} }, DenyPolicy, 0},
	{"while it runs: any scope", []Rule{obliges("true", Obligations{Scopes: []string{"email"}})}, running, DenyPolicy, 0},
	{"while it runs: the hour", []Rule{denies(`now.getMinutes() > 0`)}, func(a *Attempt) { running(a); a.Now = a.Now.Add(59 * time.Second) }, "", 0},
	{"while it runs: approved", []Rule{obliges("true", Obligations{Approval: true})}, func(a *Attempt) { running(a); a.Approved = true }, "", 0},
	{"while it runs: not approved", []Rule{obliges("true", Obligations{Approval: true})}, running, DenyApproval, 0},
}

func TestRules(t *testing.T) {
	for _, r := range ruled {
		t.Run(r.name, func(t *testing.T) {
			a := attempted()
			if r.change != nil {
				r.change(&a)
			}
			a.Policy = compiledPolicy(t, r.rules...)
			if got := verdict(t, a); got != r.want {
				t.Fatalf("got %q, want %q", got, r.want)
			}
			v := Explain(a)
			if v.Denial != r.want || v.Allowed != (r.want == "") {
				t.Errorf("Explain: got %+v", v)
			}
			if len(v.Steps) != len(guardRails)+len(r.rules) {
				t.Errorf("got %d steps, want %d", len(v.Steps), len(guardRails)+len(r.rules))
			}
			denial, byRule := errors.AsType[*RuleDenial](Decide(a))
			if byRule != (r.want != "" && r.rule >= 0) {
				t.Fatalf("decided by a rule: %v", byRule)
			}
			if byRule && (denial.Rule != fmt.Sprint("rule ", r.rule) || v.Rule != denial.Rule) {
				t.Errorf("decided by %q, want rule %d", denial.Rule, r.rule)
			}
		})
	}
}

// What several rules oblige to is the narrowest of it, and what is left of the attempt
// is what is granted.
func TestObligationsMerge(t *testing.T) {
	a := attempted()
	a.Policy = compiledPolicy(t,
		obliges("true", Obligations{MaxDuration: 20 * time.Minute, Scopes: []string{"email", "phone", "invoices:read"}}),
		obliges("1 == 1", Obligations{MaxDuration: 10 * time.Minute, ReadOnly: true}),
		obliges("2 == 2", Obligations{MaxDuration: 15 * time.Minute, Scopes: []string{"openid", "invoices:read", "email"}}),
		obliges("false", Obligations{MaxDuration: time.Minute, Approval: true}),
	)
	v := Explain(a)
	if !v.Allowed || v.Access != ReadOnly || v.Duration != 10*time.Minute {
		t.Errorf("got %+v", v)
	}
	if want := []string{"openid", "invoices:read", "email"}; !slices.Equal(v.Scopes, want) {
		t.Errorf("scopes: got %v, want %v", v.Scopes, want)
	}
	var outcomes []Outcome
	for _, s := range v.Steps[len(guardRails):] {
		outcomes = append(outcomes, s.Outcome)
	}
	if want := []Outcome{OutcomeObliges, OutcomeObliges, OutcomeObliges, OutcomeNot}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes: got %v, want %v", outcomes, want)
	}
	a.Policy = compiledPolicy(t, obliges("true", Obligations{Scopes: []string{"a"}}), obliges("1 == 1", Obligations{Scopes: []string{"b"}}))
	if got := Explain(a).Scopes; !slices.Equal(got, []string{"openid"}) {
		t.Errorf("of scopes that have nothing in common: got %v", got)
	}
}

func TestMessageOf(t *testing.T) {
	a := attempted()
	a.Policy = compiledPolicy(t, denies("true"))
	if got := MessageOf(Decide(a)); got != "Not like this." {
		t.Errorf("got %q", got)
	}
	a.Policy = compiledPolicy(t, denies("duration(reason) == duration"))
	if got := MessageOf(Decide(a)); got != DenyPolicyError.Message() { // not what a rule would have said, had it applied
		t.Errorf("got %q", got)
	}
	a.Policy = compiledPolicy(t, obliges("true", Obligations{Approval: true}))
	if got := MessageOf(fmt.Errorf("more: %w", Decide(a))); got != DenyApproval.Message() {
		t.Errorf("got %q", got)
	}
}

// Before the form is filled in only what is certain counts.
func TestPreview(t *testing.T) {
	a := attempted()
	a.Reason, a.TicketRef, a.Access, a.Duration, a.IP = "", "", "", 0, ""
	for _, r := range []struct {
		rule Rule
		want Denial
		owed Obligations
	}{
		{denies(`subject.id == "usr_ada"`), DenyPolicy, Obligations{}},
		{denies(`ticket_ref == ""`), "", Obligations{}},
		{denies(`access == "" || duration == duration("0s") || reason == "" || ip == "" || subject.support_access == "none"`), "", Obligations{}},
		{denies(`subject.id == "usr_ada" || access == ""`), DenyPolicy, Obligations{}},
		{denies(`subject.id == "usr_ada" && access == ""`), "", Obligations{}},
		{denies(`duration(actor.id) == duration`), DenyPolicyError, Obligations{}},
		{obliges(`"support" in actor.roles`, Obligations{Approval: true, Ticket: true, ReadOnly: true}), "", Obligations{Approval: true, Ticket: true, ReadOnly: true}},
		{obliges(`duration > duration("15m")`, Obligations{Approval: true}), "", Obligations{}},
	} {
		a.Policy = compiledPolicy(t, r.rule)
		owed, err := selectable(a)
		if got, _ := Denied(err); got != r.want {
			t.Errorf("%s: got %q, want %q (%v)", r.rule.When, got, r.want, err)
		}
		if d := cmp.Diff(r.owed, owed, cmp.AllowUnexported(Obligations{})); d != "" {
			t.Errorf("%s: owed (-want +got):\n%s", r.rule.When, d)
		}
	}
	// Of several organizations the one counts that suits the actor best.
	a.SubjectStanding.Within["org_initech"], a.Organization = nil, ""
	a.Policy = compiledPolicy(t, denies(`organization == "org_globex"`), obliges("true", Obligations{ReadOnly: true}))
	if owed, err := selectable(a); err != nil || owed.ReadOnly {
		t.Errorf("of two organizations: got %v, %v", owed, err)
	}
	a.Organization = "org_globex"
	if _, err := selectable(a); err == nil {
		t.Error("in the organization that was chosen: allowed")
	}
}

func BenchmarkExplainRules(b *testing.B) {
	var rules []Rule
	for i := range 50 {
		rules = append(rules, Rule{
			Name: fmt.Sprint("rule ", i), Effect: EffectDeny,
			When: []string{
				fmt.Sprintf(`"role-%d" in subject.roles_anywhere`, i),
				fmt.Sprintf(`!(now.getHours("Europe/Berlin") >= 8 && now.getHours("Europe/Berlin") < 18) && organization == "org_%d"`, i),
				fmt.Sprintf(`subject.organizations.exists(o, o == "org_%d") && access == "full"`, i),
				fmt.Sprintf(`ticket_ref.matches("^X%d-[0-9]+$")`, i),
				fmt.Sprintf(`actor.email.endsWith("@contractor-%d.test") && duration > duration("15m")`, i),
			}[i%5],
		})
	}
	a := attempted()
	a.Policy = compiledPolicy(b, rules...)
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Decide(a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("explain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v := Explain(a); !v.Allowed {
				b.Fatal(v.Err())
			}
		}
	})
	b.Run("without rules", func(b *testing.B) {
		a.Policy = nil
		b.ReportAllocs()
		for b.Loop() {
			if err := Decide(a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Compile(rules); err != nil {
				b.Fatal(err)
			}
		}
	})
}
