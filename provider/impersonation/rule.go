package impersonation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Effect is what follows where a rule applies.
type Effect string

// The effects of a rule. There is none that allows: what a guard rail or another rule
// refuses stays refused.
const (
	EffectDeny   Effect = "deny"
	EffectOblige Effect = "oblige"
)

// Rule is one rule of the policy, as an operator writes it.
type Rule struct {
	Name    string // unique within the policy
	Comment string // for those who read the rules; nobody else is shown it
	When    string // CEL of type bool; see Variables
	Effect  Effect
	Message string // what the actor is told where the rule refuses; empty: a general one
	Oblige  Obligations
}

// Obligations are what a start owes to the rules. The zero value is nothing.
type Obligations struct {
	SupportAccess bool           // the subject has to have allowed it
	Approval      bool           // a second person has to approve
	Ticket        bool           // a ticket reference has to be given
	TicketPattern string         // RE2 that all of the reference matches, where one is given
	ReadOnly      bool           // full access becomes read only
	MaxDuration   time.Duration  // a longer one becomes this; zero: no bound
	Scopes        []string       // no others are granted, openid apart; empty: no bound
	Messages      []string       // of the rules that oblige to it, in their order
	pattern       *regexp.Regexp // TicketPattern
}

// What a policy may be. Whoever writes it is trusted with the policy, not with the
// machine (SECURITY H05).
const (
	MaxRules      = 200
	maxRuleSource = 4 << 10 // bytes of When
	MaxPolicySize = 256 << 10
	maxRuleName   = 80
	maxRuleText   = 500 // of a message or a comment
	maxScopes     = 100
	maxPattern    = 200
)

// RuleProblem says what is wrong with a rule.
type RuleProblem struct {
	Rule         int    // counted from 0; -1: the policy as a whole
	Name         string // of the rule
	Field        string // name, comment, when, effect, message, ticket_pattern, max_duration, scopes or oblige
	Line, Column int    // in When, counted from 1; zero: not there
	Text         string
}

func (p *RuleProblem) Error() string {
	var where strings.Builder
	if p.Rule >= 0 {
		fmt.Fprintf(&where, "rule %d", p.Rule+1)
		if p.Name != "" {
			fmt.Fprintf(&where, " (%q)", p.Name)
		}
		where.WriteString(": ")
	}
	where.WriteString(p.Field)
	if p.Line > 0 {
		fmt.Fprintf(&where, ", line %d, column %d", p.Line, p.Column)
	}
	return where.String() + ": " + p.Text
}

// RuleProblems returns the problems in an error of Compile.
func RuleProblems(err error) []*RuleProblem {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*RuleProblem
		for _, e := range many.Unwrap() {
			all = append(all, RuleProblems(e)...)
		}
		return all
	}
	if p, ok := errors.AsType[*RuleProblem](err); ok {
		return []*RuleProblem{p}
	}
	return nil
}

// check reports everything that is wrong with a rule but for its expression.
func (r *Rule) check(problem func(field, message string)) {
	if !plain(r.Name, maxRuleName, false) || strings.TrimSpace(r.Name) != r.Name || r.Name == "" {
		problem("name", fmt.Sprintf("want 1 to %d printable characters", maxRuleName))
	}
	if !plain(r.Comment, maxRuleText, true) {
		problem("comment", fmt.Sprintf("want at most %d printable characters", maxRuleText))
	}
	if !plain(r.Message, maxRuleText, false) {
		problem("message", fmt.Sprintf("want at most %d printable characters in one line", maxRuleText))
	}
	switch r.Effect {
	case EffectDeny:
		if !r.Oblige.none() {
			problem("oblige", "what a rule denies it cannot oblige to anything")
		}
	case EffectOblige:
		if r.Oblige.none() {
			problem("oblige", "want at least one obligation")
		}
	default:
		problem("effect", "want deny or oblige")
	}
	r.Oblige.check(problem)
}

func (o *Obligations) none() bool {
	return !o.SupportAccess && !o.Approval && !o.Ticket && o.TicketPattern == "" && !o.ReadOnly && o.MaxDuration == 0 && len(o.Scopes) == 0
}

func (o *Obligations) check(problem func(field, message string)) {
	if d := o.MaxDuration; d != 0 && (d < time.Minute || d > hardMaximum || d%time.Minute != 0) {
		problem("max_duration", "want whole minutes, 1 to 60")
	}
	if len(o.Scopes) > maxScopes {
		problem("scopes", fmt.Sprintf("want at most %d", maxScopes))
	}
	for _, s := range o.Scopes {
		if s == "" || len(s) > 200 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			problem("scopes", fmt.Sprintf("%q is no scope", s)) // RFC 6749 section 3.3
		}
	}
	if o.TicketPattern == "" {
		return
	}
	if len(o.TicketPattern) > maxPattern {
		problem("ticket_pattern", fmt.Sprintf("want at most %d bytes", maxPattern))
		return
	}
	var err error
	if o.pattern, err = regexp.Compile(`^(?:` + o.TicketPattern + `)$`); err != nil {
		problem("ticket_pattern", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// plain reports whether text can be shown to anybody: no control characters, none
// that change the direction of what follows.
func plain(text string, most int, lines bool) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= most && !strings.ContainsFunc(text, func(c rune) bool {
		return !(lines && c == '\n') && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c))
	})
}

// and returns what is owed to both: always the narrower.
func (o Obligations) and(other Obligations) Obligations {
	o.SupportAccess = o.SupportAccess || other.SupportAccess
	o.Approval = o.Approval || other.Approval
	o.Ticket = o.Ticket || other.Ticket
	o.ReadOnly = o.ReadOnly || other.ReadOnly
	if o.TicketPattern == "" { // each rule asks for its own; what is shown is the first
		o.TicketPattern, o.pattern = other.TicketPattern, other.pattern
	}
	if other.MaxDuration != 0 && (o.MaxDuration == 0 || other.MaxDuration < o.MaxDuration) {
		o.MaxDuration = other.MaxDuration
	}
	if len(other.Scopes) > 0 {
		o.Scopes = bounded(o.Scopes, other.Scopes)
	}
	for _, m := range other.Messages {
		if m != "" && !slices.Contains(o.Messages, m) {
			o.Messages = append(slices.Clip(o.Messages), m)
		}
	}
	return o
}

// scopeOpenID is always left: without it there is no sign-in.
const scopeOpenID = "openid"

// bounded returns the scopes within both bounds.
func bounded(bound, other []string) []string {
	within := []string{scopeOpenID}
	for _, s := range other {
		if (len(bound) == 0 || slices.Contains(bound, s)) && !slices.Contains(within, s) {
			within = append(within, s)
		}
	}
	return within
}
