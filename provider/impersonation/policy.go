package impersonation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"github.com/understudy-id/understudy/storage"
)

// What deciding may cost (SECURITY H05). The cost is counted in the steps of CEL and is
// the same everywhere; the time is for what the count gets wrong.
const (
	ruleCost     = 100_000
	policyTime   = 50 * time.Millisecond
	policyTries  = 3
	interruptAt  = 100 // iterations of a comprehension
	nestingLimit = 2   // comprehensions within each other
	nodeLimit    = 2000
	depthLimit   = 50
	regexLimit   = 500 // instructions of a compiled pattern
)

// Policy is a version of the rules, compiled. It is safe for concurrent use, and never
// changes. A nil Policy has no rules.
type Policy struct {
	ID        string // of the version; empty: it is not one that was saved
	Version   int64
	AuthorID  string // who saved it; empty: an operator
	byPerson  bool
	CreatedAt time.Time

	rules []compiled
}

type compiled struct {
	Rule
	version int64 // of the policy that it is of
	program cel.Program
}

// Rules returns the rules in their order.
func (p *Policy) Rules() []Rule {
	if p == nil {
		return nil
	}
	rules := make([]Rule, len(p.rules))
	for i, r := range p.rules {
		rules[i] = r.Rule
	}
	return rules
}

// size is how many rules there are.
func (p *Policy) size() int {
	if p == nil {
		return 0
	}
	return len(p.rules)
}

// environment is what rules are written in: CEL's own functions, those on addresses and
// networks, and Variables.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := append(library(),
		cel.ParserExpressionSizeLimit(maxRuleSource), cel.ParserRecursionLimit(depthLimit), cel.ExpressionNodeLimit(nodeLimit),
		cel.DefaultUTCTimeZone(true), ext.Network(), cel.RegexProgramSizeLimit(regexLimit), cel.ExtendedValidations(),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(nestingLimit)),
	)
	for _, v := range variables {
		options = append(options, cel.Variable(v.Name, v.celType()))
	}
	return cel.NewCustomEnv(options...)
})

// places is where each variable is in variables.
var places = sync.OnceValue(func() map[string]int {
	names := make(map[string]int, len(variables))
	for i, v := range variables {
		names[v.Name] = i
	}
	return names
})

// Compile checks rules and makes a policy of them. Everything that is wrong is in the
// error, each a *RuleProblem: see RuleProblems.
func Compile(rules []Rule) (*Policy, error) {
	if len(rules) > MaxRules {
		return nil, &RuleProblem{Rule: -1, Field: "rules", Text: fmt.Sprintf("there are %d, and may be %d", len(rules), MaxRules)}
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p := &Policy{rules: make([]compiled, len(rules))}
	var problems []error
	size := 0
	for i, r := range rules {
		problem := func(field, message string) {
			problems = append(problems, &RuleProblem{Rule: i, Name: r.Name, Field: field, Text: message})
		}
		r.check(problem)
		if slices.ContainsFunc(rules[:i], func(other Rule) bool { return other.Name == r.Name }) {
			problem("name", "another rule has this name")
		}
		program, wrong := compile(env, r.When)
		for _, w := range wrong {
			w.Rule, w.Name, w.Field = i, r.Name, "when"
			problems = append(problems, w)
		}
		if r.Effect == EffectOblige && r.Message != "" {
			r.Oblige.Messages = []string{r.Message}
		}
		r.When = strings.TrimSpace(r.When) // YAML keeps no tab before a text of several lines
		p.rules[i] = compiled{Rule: r, program: program}
		size += len(r.Name) + len(r.Comment) + len(r.When) + len(r.Message) + len(r.Oblige.TicketPattern) + len(strings.Join(r.Oblige.Scopes, " "))
	}
	if size > MaxPolicySize {
		problems = append(problems, &RuleProblem{Rule: -1, Field: "rules", Text: fmt.Sprintf("they are longer than %d KiB in all", MaxPolicySize>>10)})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return p, nil
}

// compile makes a program of a rule's expression.
func compile(env *cel.Env, source string) (cel.Program, []*RuleProblem) {
	wrong := func(message string) []*RuleProblem { return []*RuleProblem{{Text: message}} }
	switch {
	case strings.TrimSpace(source) == "":
		return nil, wrong("want an expression; true applies always")
	case len(source) > maxRuleSource:
		return nil, wrong(fmt.Sprintf("want at most %d bytes", maxRuleSource))
	case !utf8.ValidString(source), !plain(source, maxRuleSource, true) && !plain(strings.NewReplacer("\t", " ", "\r\n", "\n").Replace(source), maxRuleSource, true):
		return nil, wrong("there are characters in it that cannot be seen")
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		var problems []*RuleProblem
		for _, e := range issues.Errors() {
			problems = append(problems, &RuleProblem{Line: max(1, e.Location.Line()), Column: e.Location.Column() + 1, Text: strings.TrimSuffix(e.Message, " (in container '')")})
		}
		return nil, problems
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, wrong("want a bool, got " + ast.OutputType().String())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(ruleCost), cel.InterruptCheckFrequency(interruptAt))
	if err != nil {
		return nil, wrong(err.Error())
	}
	return program, nil
}

// and returns a policy of the rules of both.
func (p *Policy) and(other *Policy) *Policy {
	if other == nil {
		return p
	}
	if p == nil {
		return other
	}
	both := *p
	both.rules = slices.Concat(other.rules, p.rules)
	return &both
}

// decide asks the rules, and returns what the start owes to them. note, where there is
// one, is told what became of each.
func (p *Policy) decide(a Attempt, note func(Step)) (Obligations, error) {
	if p.size() == 0 {
		return Obligations{}, nil
	}
	applied := make([]bool, len(p.rules))
	for try := 1; ; try++ {
		owed, ended, err := p.ask(a, applied)
		if timedOut(err) && !a.hurried && try < policyTries {
			continue
		}
		if note != nil {
			p.note(applied, ended, err, note)
		}
		return owed, err
	}
}

// timedOut reports whether rules took too long, which may say more about what else the
// machine was busy with.
func timedOut(err error) bool {
	denial, ok := errors.AsType[*RuleDenial](err)
	return ok && errors.Is(denial.Cause, context.DeadlineExceeded)
}

// Write is Store.Write for a unit of work that decides. Nothing that takes long happens
// in it: a policy that is met for the first time is compiled outside, and where rules took
// too long the work is run again, so that others write in between.
func Write(ctx context.Context, store *storage.Store, fn func(*storage.Tx) error) error {
	for try := 1; ; {
		err := store.Write(ctx, fn)
		unread, isUnread := errors.AsType[uncompiled](err)
		switch {
		case isUnread:
			if _, err := policyNamed(ctx, store, string(unread)); err != nil {
				return err
			}
		case timedOut(err) && try < policyTries:
			try++
		default:
			return err
		}
	}
}

// uncompiled is the id of a policy that a unit of work would have to compile.
type uncompiled string

func (u uncompiled) Error() string { return "policy " + string(u) + " is not compiled yet" }

// ask asks the rules, in their order. They are asked again where they left less than was
// asked for, until they leave it as it is: what is granted in the end is what they were
// asked about, so that asking once more, when it is redeemed or refreshed, comes to the
// same. It notes which applied, and returns the place of the one that refused.
func (p *Policy) ask(a Attempt, applied []bool) (owed Obligations, ended int, err error) {
	deadline := time.Now().Add(policyTime)
	if !a.deadline.IsZero() && a.deadline.Before(deadline) {
		deadline = a.deadline
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	clear(applied)
	for {
		if owed, ended, err = p.round(ctx, &a, owed, applied); err != nil {
			return owed, ended, err
		}
		narrower := owed.narrow(a)
		if narrower.Access == a.Access && narrower.Duration == a.Duration {
			return owed, len(p.rules), nil
		}
		a = narrower
	}
}

// round asks each rule once. What a rule reads of the attempt is made for all of them.
func (p *Policy) round(ctx context.Context, a *Attempt, owed Obligations, applied []bool) (Obligations, int, error) {
	frame, err := interpreter.NewExecutionFrame(&activation{attempt: a, names: places()})
	if err == nil {
		defer frame.Close()
		err = frame.SetContext(ctx, interruptAt)
	}
	if err != nil {
		return owed, 0, fmt.Errorf("policy: %w", err)
	}
	for i := range p.rules {
		r := &p.rules[i]
		applies, err := r.applies(ctx, frame, a.preview)
		if err == nil && applies {
			applied[i] = true
			owed = owed.and(r.Oblige)
			err = r.refuses(a)
		}
		if err != nil {
			return owed, i, err
		}
	}
	return owed, len(p.rules), nil
}

// applies evaluates a rule. In a preview, what depends on a form that is not filled in
// does not apply yet.
func (r *compiled) applies(ctx context.Context, frame *interpreter.ExecutionFrame, preview bool) (bool, error) {
	frame.SetCostTracker(nil) // the one before counted for another rule
	var value ref.Val
	var err error
	if ctx.Err() == nil {
		value, _, err = r.program.Eval(frame)
	}
	if late := ctx.Err(); late != nil { // of many that are cheap, too
		err = late
	}
	applies, decided := value.(types.Bool)
	switch {
	case err == nil && decided:
		return bool(applies), nil
	case err == nil && preview && types.IsUnknown(value):
		return false, nil
	case err == nil:
		err = errors.New("it is neither true nor false")
	}
	return false, &RuleDenial{Denial: DenyPolicyError, Rule: r.Name, Version: r.version, Cause: err}
}

// refuses returns why a rule that applies refuses the attempt, a *RuleDenial, or nil.
func (r *compiled) refuses(a *Attempt) error {
	d := r.refusal(a)
	if d == "" {
		return nil
	}
	return &RuleDenial{Denial: d, Rule: r.Name, Message: r.Message, Version: r.version}
}

func (r *compiled) refusal(a *Attempt) Denial {
	if r.Effect == EffectDeny {
		return DenyPolicy
	}
	if a.preview {
		return "" // what is owed can still be given
	}
	o := &r.Oblige
	switch {
	case o.Ticket && a.TicketRef == "", o.pattern != nil && a.TicketRef != "" && !o.pattern.MatchString(a.TicketRef):
		return DenyTicketRef
	case o.SupportAccess && a.unsupported():
		return DenySupportAccess
	case o.Approval && !a.Approved:
		return DenyApproval
	}
	if i := a.Running; i != nil { // it cannot be made any narrower
		switch {
		case o.ReadOnly && i.Access != string(ReadOnly), o.MaxDuration != 0 && i.ExpiresAt.Time().Sub(i.StartedAt.Time()) > o.MaxDuration:
			return DenyPolicy
		case len(o.Scopes) > 0 && (len(i.Scopes) == 0 || slices.ContainsFunc(i.Scopes, func(s string) bool { return s != scopeOpenID && !slices.Contains(o.Scopes, s) })):
			return DenyPolicy
		}
	}
	return ""
}

// unsupported reports whether the subject has not allowed that staff act as them, for this.
func (a *Attempt) unsupported() bool {
	required := *a
	required.RequireSupportAccess = true
	return supportAccess(required) != ""
}

// narrow returns the attempt as far as what is owed leaves it. What runs stays as it is.
func (o Obligations) narrow(a Attempt) Attempt {
	if a.Running != nil {
		return a
	}
	if o.ReadOnly {
		a.Access = ReadOnly
	}
	if o.MaxDuration != 0 {
		a.Duration = min(a.Duration, o.MaxDuration)
	}
	return a
}

// note tells what became of each rule, up to the one at which it ended.
func (p *Policy) note(applied []bool, ended int, err error, note func(Step)) {
	if p == nil {
		return
	}
	for i, r := range p.rules {
		s := Step{Kind: StepRule, Name: r.Name, Effect: r.Effect, Version: r.version, Outcome: OutcomeNot}
		switch {
		case i > ended:
			s.Outcome = OutcomeUnasked
		case i == ended:
			s.Outcome, s.Message = OutcomeRefused, MessageOf(err)
			if denial, ok := errors.AsType[*RuleDenial](err); ok && denial.Cause != nil {
				s.Outcome, s.Message = OutcomeFailed, denial.Cause.Error()
			}
		case applied[i]:
			s.Outcome, s.Message = OutcomeObliges, r.Message
		}
		note(s)
	}
}
