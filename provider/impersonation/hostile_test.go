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

// H05: what is no rule is refused when it is written, at its place.
func TestCompileRefuses(t *testing.T) {
	ok := Rule{Name: "a rule", When: "true", Effect: EffectDeny}
	for name, r := range map[string]struct {
		change       func(r *Rule)
		field        string
		line, column int
	}{
		"no expression":             {func(r *Rule) { r.When = " \n" }, "when", 0, 0},
		"no bool":                   {func(r *Rule) { r.When = `actor.id` }, "when", 0, 0},
		"perhaps a bool":            {func(r *Rule) { r.When = `dyn(true)` }, "when", 0, 0},
		"half an expression":        {func(r *Rule) { r.When = "true &&\n  (false" }, "when", 2, 0},
		"an unknown name":           {func(r *Rule) { r.When = "true ||\n  actor.rolez == []" }, "when", 2, 8},
		"an object as a whole":      {func(r *Rule) { r.When = `actor == subject` }, "when", 1, 1},
		"another type":              {func(r *Rule) { r.When = `actor.id == 1` }, "when", 1, 10},
		"an unknown function":       {func(r *Rule) { r.When = `env("HOME") == ""` }, "when", 1, 4},
		"a message type":            {func(r *Rule) { r.When = `google.protobuf.Struct{} == google.protobuf.Struct{}` + ` && nothing` }, "when", 0, 0},
		"a bad pattern":             {func(r *Rule) { r.When = `reason.matches("(")` }, "when", 1, 0},
		"a pattern that is a bomb":  {func(r *Rule) { r.When = `reason.matches("((a{0,100}){0,100}){0,100}")` }, "when", 1, 0},
		"a large pattern":           {func(r *Rule) { r.When = `reason.matches("(x{1,500}y{1,500})")` }, "when", 1, 0},
		"no time zone":              {func(r *Rule) { r.When = `now.getHours("Mars/Base") == 1` }, "when", 1, 14},
		"a file":                    {func(r *Rule) { r.When = `now.getHours("../../etc/passwd") == 1` }, "when", 1, 14},
		"the machine's time zone":   {func(r *Rule) { r.When = `now.getHours("Local") == 1` }, "when", 1, 14},
		"no duration":               {func(r *Rule) { r.When = `duration > duration("soon")` }, "when", 1, 0},
		"no moment":                 {func(r *Rule) { r.When = `now > timestamp("tomorrow")` }, "when", 1, 0},
		"too long":                  {func(r *Rule) { r.When = `"` + strings.Repeat("a", maxRuleSource) + `" == ""` }, "when", 0, 0},
		"too deep":                  {func(r *Rule) { r.When = strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500) }, "when", 0, 0},
		"macros within macros":      {func(r *Rule) { r.When = nested(3) }, "when", 0, 0},
		"macros within many macros": {func(r *Rule) { r.When = nested(30) }, "when", 0, 0},
		"NUL":                       {func(r *Rule) { r.When = "true\x00" }, "when", 0, 0},
		"text that turns around":    {func(r *Rule) { r.When = "actor.id == \"\u202exyz\"" }, "when", 0, 0},
		"no text":                   {func(r *Rule) { r.When = "actor.id == \"\xff\"" }, "when", 0, 0},

		"no name":                     {func(r *Rule) { r.Name = "" }, "name", 0, 0},
		"a name of space":             {func(r *Rule) { r.Name = " x" }, "name", 0, 0},
		"a name of two lines":         {func(r *Rule) { r.Name = "a\nb" }, "name", 0, 0},
		"a long name":                 {func(r *Rule) { r.Name = strings.Repeat("a", 81) }, "name", 0, 0},
		"a message that turns around": {func(r *Rule) { r.Message = "\u2066x" }, "message", 0, 0},
		"a comment with NUL":          {func(r *Rule) { r.Comment = "\x00" }, "comment", 0, 0},
		"no effect":                   {func(r *Rule) { r.Effect = "" }, "effect", 0, 0},
		"an effect that allows":       {func(r *Rule) { r.Effect = "allow" }, "effect", 0, 0},
		"nothing to oblige to":        {func(r *Rule) { r.Effect = EffectOblige }, "oblige", 0, 0},
		"to deny and oblige":          {func(r *Rule) { r.Oblige.ReadOnly = true }, "oblige", 0, 0},
		"no time":                     {func(r *Rule) { r.Effect, r.Oblige.MaxDuration = EffectOblige, time.Second }, "max_duration", 0, 0},
		"a negative time":             {func(r *Rule) { r.Effect, r.Oblige.MaxDuration = EffectOblige, -time.Minute }, "max_duration", 0, 0},
		"more time than there is":     {func(r *Rule) { r.Effect, r.Oblige.MaxDuration = EffectOblige, 61*time.Minute }, "max_duration", 0, 0},
		"no scope":                    {func(r *Rule) { r.Effect, r.Oblige.Scopes = EffectOblige, []string{"a b"} }, "scopes", 0, 0},
		"a bad ticket pattern":        {func(r *Rule) { r.Effect, r.Oblige.TicketPattern = EffectOblige, "[" }, "ticket_pattern", 0, 0},
		"a ticket pattern, long":      {func(r *Rule) { r.Effect, r.Oblige.TicketPattern = EffectOblige, strings.Repeat("a", 201) }, "ticket_pattern", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bad := ok
			r.change(&bad)
			_, err := Compile([]Rule{{Name: "first", When: "true", Effect: EffectDeny}, bad})
			problems := RuleProblems(err)
			i := slices.IndexFunc(problems, func(p *RuleProblem) bool { return p.Field == r.field })
			if i < 0 {
				t.Fatalf("got %v, want something about %s", err, r.field)
			}
			p := problems[i]
			if p.Rule != 1 || p.Text == "" || !strings.Contains(p.Error(), r.field) {
				t.Errorf("got %+v", p)
			}
			if r.line > 0 && (p.Line != r.line || r.column > 0 && p.Column != r.column) {
				t.Errorf("at line %d, column %d, want %d, %d", p.Line, p.Column, r.line, r.column)
			}
		})
	}
	if _, err := Compile([]Rule{ok, ok}); len(RuleProblems(err)) != 1 || RuleProblems(err)[0].Field != "name" {
		t.Errorf("of two of one name: got %v", err)
	}
	if _, err := Compile(make([]Rule, MaxRules+1)); len(RuleProblems(err)) != 1 || RuleProblems(err)[0].Rule != -1 {
		t.Errorf("of too many: got %v", err)
	}
	long := make([]Rule, 100)
	for i := range long {
		long[i] = Rule{Name: fmt.Sprint(i), When: `reason == "` + strings.Repeat("a", 4000) + `"`, Effect: EffectDeny}
	}
	if _, err := Compile(long); err == nil {
		t.Error("of too much: compiled")
	}
	if got := RuleProblems(errors.New("other")); got != nil {
		t.Errorf("of another error: got %v", got)
	}
}

// nested is an expression of macros within each other.
func nested(depth int) string {
	when := "true"
	for i := range depth {
		when = fmt.Sprintf("[1, 2].all(x%d, %s)", i, when)
	}
	return when
}

// H05: what is written as a rule and costs too much is denied, and soon.
func TestCostly(t *testing.T) {
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("role-%d", i)
	}
	digits := "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
	for name, when := range map[string]string{
		"a long list within itself":  `actor.roles_anywhere.all(a, actor.roles_anywhere.all(b, a != "x" || b != "x"))`,
		"a list that grows":          fmt.Sprintf(`%s.map(a, %s + %s + %s).all(l, l.all(x, reason.matches("^(a+)+$") || x >= 0) && actor.roles_anywhere.all(b, b != "x"))`, digits, digits, digits, digits),
		"a text that grows":          `[reason + reason + reason + reason].all(t, actor.roles_anywhere.all(r, (t + t + t + t + r).size() > 0))`,
		"a pattern on many":          `actor.roles_anywhere.all(r, (reason + r).matches("^([a-z]+)+-([0-9]+)*$") || true)`,
		"a pattern that is made":     `actor.roles_anywhere.all(r, reason.matches("(" + r + "|" + reason + ")*") || true)`,
		"a list that is looked into": `actor.roles_anywhere.all(r, r in actor.roles_anywhere)`,
	} {
		t.Run(name, func(t *testing.T) {
			a := attempted()
			a.ActorStanding.Roles = map[string]storage.List{"": many}
			a.Reason = strings.Repeat("a", MaxReason)
			a.Policy = compiledPolicy(t, denies("false"), denies(when))
			err := Decide(a)
			denial, ok := errors.AsType[*RuleDenial](err)
			if !ok || denial.Denial != DenyPolicyError || denial.Rule != "rule 1" || denial.Cause == nil {
				t.Fatalf("got %v", err)
			}
		})
	}
	// Two hundred of which each costs nearly what it may are no more than one that costs
	// too much: they are denied after a time.
	a := attempted()
	a.ActorStanding.Roles = map[string]storage.List{"": many}
	var rules []Rule
	for range MaxRules {
		rules = append(rules, denies(`actor.roles_anywhere.exists(r, r == "x" || r == "y" || r == "z")`))
	}
	a.Policy = compiledPolicy(t, rules...)
	began := time.Now()
	if err := Decide(a); err != nil {
		if denial, ok := errors.AsType[*RuleDenial](err); !ok || denial.Denial != DenyPolicyError {
			t.Errorf("got %v", err)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// Each starter rule, and what it makes of the attempt and of one that is otherwise.
func TestStarterRules(t *testing.T) {
	rules := starterRules()
	if len(rules) != len(RuleKinds) {
		t.Fatalf("got %d rules of %d kinds", len(rules), len(RuleKinds))
	}
	sunday := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	monday := sunday.AddDate(0, 0, 1)
	staff := func(a *Attempt) { a.ActorStanding.Within["org_globex"] = nil }
	says := says(storage.SupportOptional, storage.SupportUntil, time.Hour, "")
	for i, r := range []struct {
		kind    RuleKind
		refused func(a *Attempt)
		want    Denial
		passes  func(a *Attempt)
	}{
		{KindOwnOrganization, func(*Attempt) {}, DenyPolicy, staff},
		{KindOwnOrganization, func(a *Attempt) { a.Organization, a.SubjectStanding.Within = "", nil }, DenyPolicy, staff},
		{KindOfficeHours, func(*Attempt) {}, DenyPolicy, func(a *Attempt) { a.Now = monday }}, // t0 is a Sunday
		{KindOfficeHours, func(a *Attempt) { a.Now = monday.Add(5 * time.Hour) }, DenyPolicy, func(a *Attempt) { a.Now = monday.Add(5*time.Hour - time.Second) }},
		{KindOfficeHours, func(a *Attempt) { a.Now = monday.Add(-5*time.Hour - time.Second) }, DenyPolicy, func(a *Attempt) { a.Now = monday.Add(-5 * time.Hour) }},
		{KindTicket, func(a *Attempt) { a.TicketRef = "" }, DenyTicketRef, func(*Attempt) {}},
		{KindTicket, func(a *Attempt) { a.TicketRef = "SUP-1 or so" }, DenyTicketRef, func(*Attempt) {}},
		{KindNever, func(a *Attempt) { a.SubjectStanding.Roles["org_initech"] = storage.List{"executive"} }, DenyPolicy, func(*Attempt) {}},
		{KindNever, func(a *Attempt) { a.Subject.Email = "CEO@example.com" }, DenyPolicy, func(*Attempt) {}},
		{KindConsent, func(*Attempt) {}, DenySupportAccess, says},
		{KindApproval, func(a *Attempt) { a.Duration = 16 * time.Minute }, DenyApproval, func(a *Attempt) { a.Duration = 15 * time.Minute }},
		{KindApproval, func(*Attempt) {}, DenyApproval, func(a *Attempt) { a.Approved = true }},
	} {
		policy, err := Compile([]Rule{rules[slices.Index(RuleKinds, r.kind)]})
		if err != nil {
			t.Fatal(err)
		}
		for want, change := range map[Denial]func(*Attempt){r.want: r.refused, "": r.passes} {
			a := attempted()
			a.Policy = policy
			change(&a)
			a.ActorAuthTime = a.Now
			if got := verdict(t, a); got != want {
				t.Errorf("%d, %s: got %q, want %q", i, r.kind, got, want)
			}
			if want != "" && MessageOf(Decide(a)) == want.Message() {
				t.Errorf("%s: no words of its own", r.kind)
			}
		}
	}
	a := attempted()
	a.Policy, _ = Compile([]Rule{rules[slices.Index(RuleKinds, KindReadOnly)]})
	if v := Explain(a); v.Access != Full {
		t.Errorf("read only: got %+v", v)
	}
	a.ActorStanding.Roles["org_elsewhere"] = storage.List{"contractor"}
	if v := Explain(a); v.Access != ReadOnly || !v.Allowed {
		t.Errorf("read only, of a contractor: got %+v", v)
	}
}

// What is typed into a form of a few values stays text in the rule that is made of it.
func TestBuildRuleQuotes(t *testing.T) {
	hostile := []string{`" || true || "`, `\`, "x\ny", `"`, "\x01"}
	for _, text := range hostile {
		for _, kind := range []RuleKind{KindNever, KindReadOnly, KindConsent} {
			r, err := BuildRule(kind, RuleParts{Roles: []string{text}, Users: []string{text}, Organization: text})
			if err != nil {
				t.Fatal(err)
			}
			p, err := Compile([]Rule{r})
			if err != nil {
				t.Errorf("%s of %q: %v\n%s", kind, text, err, r.When)
				continue
			}
			a := attempted()
			a.Policy = p
			if v := Explain(a); !v.Allowed || v.Access != Full {
				t.Errorf("%s of %q applies: %s", kind, text, r.When)
			}
		}
	}
	for kind, p := range map[RuleKind]RuleParts{
		KindOfficeHours: {Zone: `Europe/Berlin") || true || now.getHours("UTC`, From: 1, Until: 2}, KindTicket: {Pattern: "["}, KindNever: {}, KindReadOnly: {}, KindConsent: {},
		KindApproval: {Minutes: 60}, "other": {},
	} {
		if _, err := BuildRule(kind, p); RuleProblems(err) == nil {
			t.Errorf("%s of %+v: got %v", kind, p, err)
		}
	}
}

// What is written reads as it was, and what is no policy is refused.
func TestPolicyFile(t *testing.T) {
	rules := append(starterRules(), Rule{
		Name: "All of it", Comment: "Two\nlines: of it", When: "access == \"full\" &&\n  true", Effect: EffectOblige, Message: "It's \"so\": #1",
		Oblige: Obligations{true, true, true, "[A-Z]+-\\d+", true, 20 * time.Minute, []string{"a", "b:c"}, nil, nil},
	})
	text, err := FormatPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rules, again, cmp.AllowUnexported(Obligations{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for name, text := range map[string]string{
		"no YAML":             "rules: [",
		"a list":              "- name: x",
		"an unknown key":      "rules:\n  - name: x\n    whenever: true\n",
		"an unknown duty":     "rules:\n  - name: x\n    oblige: {require_everything: true}\n",
		"two documents":       "rules: []\n---\nrules: []\n",
		"a duration, no unit": "rules:\n  - name: x\n    oblige: {max_duration: 15}\n",
		"a long file":         strings.Repeat("# a\n", maxPolicyFile),
		"a bomb":              "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nrules: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
	} {
		if rules, err := ParsePolicy([]byte(text)); RuleProblems(err) == nil {
			t.Errorf("%s: got %v, %v", name, rules, err)
		}
	}
	if rules, err := ParsePolicy(nil); err != nil || len(rules) != 0 {
		t.Errorf("of nothing: got %v, %v", rules, err)
	}
}

func TestDiffPolicies(t *testing.T) {
	var got strings.Builder
	for _, l := range DiffPolicies("a\nb\nc\nd\n", "a\nc\nx\nd\n") {
		fmt.Fprintf(&got, "%c%s ", l.Op, l.Text)
	}
	if want := " a -b  c +x  d "; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
	for _, r := range [][2]string{{"", "a"}, {"a", ""}, {"a", "a"}, {"", ""}, {"a\nb", "b\na"}, {strings.Repeat("a\nb\n", 2000), strings.Repeat("b\nc\n", 2000)}} {
		var before, after []string
		for _, l := range DiffPolicies(r[0], r[1]) {
			if l.Op != '+' {
				before = append(before, l.Text)
			}
			if l.Op != '-' {
				after = append(after, l.Text)
			}
		}
		if !slices.Equal(before, linesOf(r[0])) || !slices.Equal(after, linesOf(r[1])) {
			t.Errorf("%.20q to %.20q: got %.40q and %.40q", r[0], r[1], before, after)
		}
	}
}

// Whatever is written as a rule, and whatever it is asked about: it is refused when it
// is compiled, or decided. What cannot be decided is denied, nothing panics, and a rule
// never allows what the guard rails refuse.
func FuzzPolicy(f *testing.F) {
	for _, r := range starterRules() {
		f.Add(r.When, "usr_ada", "Cannot see invoice 4711", "SUP-1", "192.0.2.7", "executive")
	}
	for _, when := range []string{"", "true", "actor", "1/0 == 1", `cidr(ip).containsIP(ip)`, nested(2), `reason.matches(ticket_ref)`, `[reason].exists(x, x.contains("\u202e"))`, "now.getHours(reason) > 0"} {
		f.Add(when, "", "\x00", "\xff", "::1", "a\u202e")
	}
	f.Fuzz(func(t *testing.T, when, id, reason, ref, ip, role string) {
		p, err := Compile([]Rule{{Name: "fuzzed", When: when, Effect: EffectDeny}})
		if err != nil {
			if RuleProblems(err) == nil {
				t.Fatalf("got %v", err)
			}
			return
		}
		text, err := FormatPolicy(p.Rules())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePolicy([]byte(text)); err != nil || len(again) != 1 || again[0].When != when {
			t.Fatalf("written as %q, read as %+v, %v", text, again, err)
		}
		a := attempted()
		a.Policy, a.Subject.ID, a.Reason, a.TicketRef, a.IP = p, id, reason, ref, ip
		a.SubjectStanding.Roles["org_globex"] = storage.List{role}
		first, second := Decide(a), Decide(a)
		if fmt.Sprint(first) != fmt.Sprint(second) && !strings.Contains(fmt.Sprint(first, second), "deadline") {
			t.Fatalf("once %v, then %v", first, second)
		}
		a.preview = true
		_, _ = p.decide(a, nil)
		a.preview, a.Subject.NeverImpersonate = false, true
		if Decide(a) == nil {
			t.Fatal("a rule allows what a guard rail refuses")
		}
	})
}

// starterRules are a rule of each kind.
func starterRules() []Rule {
	parts := RuleParts{
		Zone: "Europe/Berlin", From: 8, Until: 18, Pattern: "SUP-[0-9]+", Roles: []string{"executive"}, Users: []string{"ceo@example.com"}, Minutes: 15,
	}
	rules := make([]Rule, 0, len(RuleKinds))
	for _, kind := range RuleKinds {
		p := parts
		switch kind {
		case KindReadOnly:
			p.Roles = []string{"contractor"}
		case KindConsent:
			p.Organization = "org_globex"
		}
		r, err := BuildRule(kind, p)
		if err != nil {
			panic(err) // from constants
		}
		rules = append(rules, r)
	}
	return rules
}
