package impersonation

import (
	"fmt"
	"strconv"
	"strings"
)

// RuleKind names a rule that can be built from a few values.
type RuleKind string

// The kinds of rules that can be built.
const (
	KindOwnOrganization RuleKind = "own_organization"
	KindOfficeHours     RuleKind = "office_hours"
	KindTicket          RuleKind = "ticket"
	KindNever           RuleKind = "never"
	KindReadOnly        RuleKind = "read_only"
	KindConsent         RuleKind = "consent"
	KindApproval        RuleKind = "approval"
)

// RuleKinds are all of them, in the order in which they are offered.
var RuleKinds = []RuleKind{KindOwnOrganization, KindOfficeHours, KindTicket, KindNever, KindReadOnly, KindConsent, KindApproval}

// RuleParts are what rules are built from; each kind looks at its own.
type RuleParts struct {
	Zone        string   // KindOfficeHours: an IANA name
	From, Until int      // KindOfficeHours: full hours, 0 to 24
	Weekends    bool     // KindOfficeHours: Saturday and Sunday, too
	Pattern     string   // KindTicket: RE2 for the whole reference
	Roles       []string // KindNever: of the subject; KindReadOnly: of the actor
	Users       []string // KindNever: ids or e-mail addresses
	// Organization is an id. KindConsent: of the subject; KindReadOnly: of the actor, in
	// place of Roles.
	Organization string
	Minutes      int // KindApproval: up to these none is needed
}

// BuildRule writes the rule of a kind. A *RuleProblem: its Field is the part that is
// wrong.
func BuildRule(kind RuleKind, p RuleParts) (Rule, error) {
	wrong := func(field, text string) (Rule, error) {
		return Rule{}, &RuleProblem{Rule: -1, Field: field, Text: text}
	}
	switch kind {
	case KindOwnOrganization:
		return Rule{
			Name: "Only my organization's users", Comment: "Staff act only in organizations that they are members of themselves.",
			When: `!(organization in actor.organizations)`, Effect: EffectDeny,
			Message: "You may sign in only as users of your own organization.",
		}, nil
	case KindOfficeHours:
		if _, err := zoneNamed(p.Zone); err != nil {
			return wrong("zone", "want a time zone such as Europe/Berlin")
		}
		if p.From < 0 || p.Until > 24 || p.From >= p.Until {
			return wrong("until", "want full hours, the second later than the first")
		}
		zone := quoted(p.Zone)
		open := fmt.Sprintf("now.getHours(%s) >= %d && now.getHours(%s) < %d", zone, p.From, zone, p.Until)
		days := ""
		if !p.Weekends {
			open = fmt.Sprintf("now.getDayOfWeek(%s) in [1, 2, 3, 4, 5] && %s", zone, open)
			days = "Monday to Friday, "
		}
		return Rule{
			Name: "Office hours", Comment: "What runs at closing time ends when its tokens are next renewed.",
			When: "!(" + open + ")", Effect: EffectDeny,
			Message: fmt.Sprintf("Only %s%d to %d o'clock (%s).", days, p.From, p.Until, p.Zone),
		}, nil
	case KindTicket:
		r := Rule{
			Name: "A ticket of the help desk", Comment: "Nobody acts as a user without a case.",
			When: "true", Effect: EffectOblige, Message: "Give the number of the ticket.", Oblige: Obligations{Ticket: true, TicketPattern: p.Pattern},
		}
		if p.Pattern == "" {
			return wrong("pattern", "want a pattern such as SUP-[0-9]+")
		}
		if _, err := Compile([]Rule{r}); err != nil {
			return wrong("pattern", RuleProblems(err)[0].Text)
		}
		return r, nil
	case KindNever:
		var any []string
		for _, role := range p.Roles {
			any = append(any, quoted(role)+" in subject.roles_anywhere")
		}
		for _, u := range p.Users {
			if strings.Contains(u, "@") {
				any = append(any, "subject.email == "+quoted(strings.ToLower(u)))
			} else {
				any = append(any, "subject.id == "+quoted(u))
			}
		}
		if len(any) == 0 {
			return wrong("roles", "want a role or a user")
		}
		return Rule{
			Name: "Never these", Comment: "Nobody signs in as executives, or as whoever else is named here.",
			When: strings.Join(any, " ||\n"), Effect: EffectDeny, Message: "Nobody may sign in as this user.",
		}, nil
	case KindReadOnly:
		var any []string
		for _, role := range p.Roles {
			any = append(any, quoted(role)+" in actor.roles_anywhere")
		}
		if p.Organization != "" {
			any = append(any, quoted(p.Organization)+" in actor.organizations")
		}
		if len(any) == 0 {
			return wrong("roles", "want a role or an organization")
		}
		return Rule{
			Name: "Read only", Comment: "Contractors look, and change nothing.",
			When: strings.Join(any, " ||\n"), Effect: EffectOblige, Message: "You may look, and change nothing.", Oblige: Obligations{ReadOnly: true},
		}, nil
	case KindConsent:
		if p.Organization == "" {
			return wrong("organization", "want an organization")
		}
		return Rule{
			Name: "Users allow it themselves", Comment: "This organization's users have to have allowed support to sign in as them.",
			When: quoted(p.Organization) + " in subject.organizations", Effect: EffectOblige,
			Message: "These users have to allow it first.", Oblige: Obligations{SupportAccess: true},
		}, nil
	case KindApproval:
		if p.Minutes < 0 || p.Minutes > 59 {
			return wrong("minutes", "want 0 to 59")
		}
		return Rule{
			Name: fmt.Sprintf("Approval for more than %d minutes", p.Minutes), Comment: "A second person looks at what takes longer.",
			When: fmt.Sprintf("duration > duration(%s)", quoted(strconv.Itoa(p.Minutes)+"m")), Effect: EffectOblige,
			Message: "A second person has to approve what takes this long.", Oblige: Obligations{Approval: true},
		}, nil
	}
	return wrong("kind", "there is no such kind of rule")
}

// quoted writes a text as a literal of CEL.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
