package impersonation

import (
	"errors"
	"strconv"
	"time"
)

// RuleDenial is a rule of the policy that said no. It unwraps to its Denial.
type RuleDenial struct {
	Denial  Denial
	Rule    string // its name
	Message string // the operator's words; empty: there are none
	Version int64  // of the policy; zero: one that was not saved
	Cause   error  // of DenyPolicyError: for those who write rules, not for the actor
}

func (d *RuleDenial) Error() string {
	text := d.Denial.Error() + " of rule " + strconv.Quote(d.Rule)
	if d.Cause != nil {
		text += ": " + d.Cause.Error()
	}
	return text
}

// Unwrap returns the Denial. The cause is no error of whoever asked.
func (d *RuleDenial) Unwrap() error { return d.Denial }

// MessageOf returns what a page says about a refusal: the words of the rule that
// refused, where it has any.
func MessageOf(err error) string {
	if rule, ok := errors.AsType[*RuleDenial](err); ok && rule.Message != "" {
		return rule.Message
	}
	denial, _ := Denied(err)
	return denial.Message()
}

// RuleOf returns the name of the rule that refused; empty: it was a guard rail.
func RuleOf(err error) string {
	if rule, ok := errors.AsType[*RuleDenial](err); ok {
		return rule.Rule
	}
	return ""
}

// Kinds of steps.
const (
	StepGuardRail = "guard_rail"
	StepRule      = "rule"
)

// Outcome is what became of a rule in a decision.
type Outcome string

// The outcomes of a rule.
const (
	OutcomePassed  Outcome = "passed"  // a guard rail had nothing against it
	OutcomeRefused Outcome = "refused" // it decided
	OutcomeFailed  Outcome = "failed"  // it could not be decided, and so refused
	OutcomeObliges Outcome = "obliges" // it applies, and what it obliges to is met or narrows the start
	OutcomeNot     Outcome = "not"     // a rule that does not apply
	OutcomeUnasked Outcome = "unasked" // something before it decided
)

// Step is what became of one rule.
type Step struct {
	Kind    string
	Name    string
	Effect  Effect // of a rule of the policy
	Version int64  // of the policy that it is of
	Outcome Outcome
	Message string // what it says; of OutcomeFailed what went wrong
}

// Verdict is a decision with how it came about.
type Verdict struct {
	Allowed bool
	Denial  Denial // empty: allowed
	Rule    string // the name of the rule that refused; empty: a guard rail, or none
	Message string // what the actor is told; empty: allowed

	Obligations Obligations
	Access      Access // what a start would give
	Duration    time.Duration
	Scopes      []string // no others, openid apart; empty: no bound
	Steps       []Step
	err         error
}

// Err returns what Decide returns.
func (v *Verdict) Err() error { return v.err }

// Explain decides as Decide does, and says how it came about.
func Explain(a Attempt) Verdict {
	v := Verdict{Steps: make([]Step, 0, len(guardRails)+a.Policy.size())}
	v.Obligations, v.err = decide(a, func(s Step) { v.Steps = append(v.Steps, s) })
	granted := v.Obligations.narrow(a)
	v.Access, v.Duration, v.Scopes = granted.Access, granted.Duration, v.Obligations.Scopes
	if v.Allowed = v.err == nil; v.Allowed {
		return v
	}
	v.Denial, _ = Denied(v.err)
	v.Rule, v.Message = RuleOf(v.err), MessageOf(v.err)
	return v
}
