package impersonation

import (
	"regexp"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Permissions that the rules ask for.
const (
	PermissionUsersRead  = "users:read"
	PermissionStart      = "impersonation:start"
	PermissionPrivileged = "impersonation:privileged"
	PermissionRead       = "impersonation:read"
	PermissionStopAny    = "impersonation:stop_any"
	PermissionApprove    = "impersonation:approve"
)

// Access is how much of the subject's access the actor gets.
type Access string

// The kinds of access.
const (
	ReadOnly Access = "read_only" // the client's read-only scopes
	Full     Access = "full"
)

// Denial is a rule that said no. It is an error, a value and an audit record.
type Denial string

func (d Denial) Error() string { return "impersonation: " + string(d) }

// The guard rails. No configuration removes them.
const (
	DenySwitchedOff       Denial = "switched_off"
	DenyChain             Denial = "chain"
	DenyActorInactive     Denial = "actor_inactive"
	DenyPermission        Denial = "permission"
	DenyCaller            Denial = "caller"
	DenyActor             Denial = "actor"
	DenyClientInactive    Denial = "client_inactive"
	DenyClient            Denial = "client_not_opted_in"
	DenyReason            Denial = "reason"
	DenyTicketRef         Denial = "ticket_ref"
	DenyAccess            Denial = "access"
	DenyDuration          Denial = "duration"
	DenySubject           Denial = "subject"
	DenySelf              Denial = "self"
	DenySubjectInactive   Denial = "subject_inactive"
	DenyProtected         Denial = "protected"
	DenyOrganization      Denial = "organization"
	DenyOrganizationNeeds Denial = "organization_required"
	DenyPrivileged        Denial = "privileged"
	DenyRate              Denial = "rate"
	DenyConcurrent        Denial = "concurrent"
	DenyStepUp            Denial = "step_up"
	DenyEnded             Denial = "ended"
	DenySupportAccess     Denial = "support_access"

	// What a rule of the policy refuses: see RuleDenial.
	DenyPolicy      Denial = "policy"
	DenyPolicyError Denial = "policy_error"      // a rule could not be decided
	DenyApproval    Denial = "approval_required" // a second person has not approved

	// DenyDisapproved is on the record where a second person said no.
	DenyDisapproved Denial = "disapproved"
	// DenyApprover is on the record where somebody wanted to approve who may not.
	DenyApprover Denial = "approver"

	// What a ticket can be refused for.
	DenyTicketSpent   Denial = "ticket_spent"   // it was used, withdrawn, or its time is up
	DenyTicketForeign Denial = "ticket_foreign" // it is somebody else's, or another browser's

	// DenyRefusals answers who was refused too often. It is not on the record: what
	// led to it is.
	DenyRefusals Denial = "too_many_refusals"
)

// OfLimits reports whether a Denial is of a limit: the same may be asked for again later
// (SECURITY A26).
func (d Denial) OfLimits() bool { return d == DenyRate || d == DenyConcurrent || d == DenyRefusals }

// Wait is a Denial that is known to hold until a moment. It unwraps to its Denial.
type Wait struct {
	Denial Denial
	Until  time.Time
}

func (w Wait) Error() string { return w.Denial.Error() }

// Unwrap returns the Denial.
func (w Wait) Unwrap() error { return w.Denial }

// Limits bound impersonations. Zero values are filled in by New.
type Limits struct {
	DefaultDuration        time.Duration  // 30 min
	MaxDuration            time.Duration  // 60 min, never more
	StepUpMaxAge           time.Duration  // 5 min: how old the actor's last password check may be
	MaxStartsPerHour       int            // 10
	MaxConcurrent          int            // 3
	MaxConcurrentPerClient int            // 1
	ApprovalWait           time.Duration  // 24 h: how long a request for approval waits
	TicketRefRequired      bool           // false: a ticket reference is optional
	TicketRefPattern       *regexp.Regexp // nil: any
	AuthorsAtOnce          bool           // a change of the policy loosens something for its author at once
}

// hardMaximum is the longest impersonation there can be; the schema holds it too.
const hardMaximum = time.Hour

// Attempt is all that a decision depends on, time included.
type Attempt struct {
	Now     time.Time
	Enabled bool // the master switch
	Chained bool // the request itself came with act
	Limits  Limits

	Actor         *storage.User
	ActorStanding storage.Standing
	ActorAuthTime time.Time         // when the actor last showed who they are; zero: nobody knows
	AskedAt       time.Time         // when they asked, where a ticket waited since; zero: now
	Caller        *storage.Standing // of a program that asks in the actor's place; nil: the actor asks

	Subject         *storage.User // nil: there is none with that id
	SubjectStanding storage.Standing
	SupportRule     storage.SupportRule
	SupportAccess   *storage.SupportAccess // nil: the subject has said nothing
	// RequireSupportAccess makes this one attempt need the subject's own permission,
	// also where the rule does without it.
	RequireSupportAccess bool

	Client       *storage.Client
	Organization string // empty: none chosen
	Reason       string // as Clean returned it; empty: there was none
	TicketRef    string
	BadTicketRef bool // there was one that cannot be kept
	Access       Access
	Duration     time.Duration
	Usage        storage.Usage

	// Policy are the rules of the operator, which come after the guard rails; nil: none.
	Policy   *Policy
	Approved bool   // a second person approved exactly this
	Entry    string // consent, console, api or token_exchange
	IP       string // from which it was started; empty: not known

	// Running is set when the decision is about one that was started before. Its
	// limits and step-up were checked then.
	Running *storage.Impersonation

	approval string   // the id of the approval that made it Approved
	saidWith []string // who is behind the program that set SupportAccess; empty: nobody knows, or there is none

	// hurried is set where others wait for the decision, as all who write do in a unit of
	// work: rules that take too long are not asked again.
	hurried  bool
	deadline time.Time // by which the rules have to decide; zero: they have the usual time

	// preview is set when the form is still to be filled in: only what is certain
	// whatever will be filled in counts.
	preview bool
}

type guardRail struct {
	name string
	rule func(Attempt) Denial
}

// step says what became of it.
func (g guardRail) step(d Denial) Step {
	if d != "" {
		return Step{Kind: StepGuardRail, Name: g.name, Outcome: OutcomeRefused, Message: d.Message()}
	}
	return Step{Kind: StepGuardRail, Name: g.name, Outcome: OutcomePassed}
}

// guardRails are the rules that no configuration and no policy removes. What depends
// on the actor alone comes first, and then the form, so that whoever may not start
// learns nothing about the subject (SECURITY A01, A06).
var guardRails = []guardRail{
	{"product", product},
	{"caller", caller},
	{"actor", actor},
	{"client", client},
	{"form", form},
	{"subject", subject},
	{"organization", organization},
	{"privileges", privileges},
	{"support_access", supportAccess},
	{"limits", limits},
}

// GuardRails are their names, in the order in which they are asked.
func GuardRails() []string {
	names := make([]string, len(guardRails))
	for i, g := range guardRails {
		names[i] = g.name
	}
	return names
}

// Decide says whether the attempt is allowed: nil, or the first rule that said no: a
// Denial of a guard rail, a Wait, or a *RuleDenial of the policy. What it allows may owe
// something to the policy, which Explain says and Start sees to.
func Decide(a Attempt) error {
	_, err := decide(a, nil)
	return err
}

// decide is the one evaluation behind Decide, Explain, Issue and Start. note, where
// there is one, is told what became of each rule.
func decide(a Attempt, note func(Step)) (Obligations, error) {
	for i, rail := range guardRails {
		d := rail.rule(a)
		if note != nil {
			note(rail.step(d))
		}
		if d == "" {
			continue
		}
		if note != nil {
			for _, rest := range guardRails[i+1:] {
				note(Step{Kind: StepGuardRail, Name: rest.name, Outcome: OutcomeUnasked})
			}
			a.Policy.note(nil, -1, nil, note)
		}
		if d == DenyRate && a.Usage.FirstStarted.Set() {
			return Obligations{}, Wait{d, a.Usage.FirstStarted.Time().Add(time.Hour)}
		}
		return Obligations{}, d
	}
	return a.Policy.decide(a, note)
}

// MayAsk says whether an actor may ask a user for permission to act as them: nil, or a
// Denial. It is what Decide asks but for the permission itself and for what is only
// settled at a start. A client without an id is any.
func MayAsk(a Attempt) error {
	rules := []func(Attempt) Denial{product, caller, actor, client, words}
	if a.Client.ID == "" {
		rules = []func(Attempt) Denial{product, caller, actor, words}
	}
	for _, rule := range rules {
		if d := rule(a); d != "" {
			return d
		}
	}
	_, err := selectable(a)
	return err
}

func product(a Attempt) Denial {
	switch {
	case !a.Enabled:
		return DenySwitchedOff
	case a.Chained:
		return DenyChain
	}
	return ""
}

func actor(a Attempt) Denial {
	switch {
	case !a.Actor.Active():
		return DenyActorInactive
	case !a.ActorStanding.MayAnywhere(PermissionStart):
		return DenyPermission
	}
	return ""
}

func client(a Attempt) Denial {
	switch {
	case a.Client.Status != storage.ClientActive:
		return DenyClientInactive
	case !a.Client.AllowImpersonation:
		return DenyClient
	}
	return ""
}

func form(a Attempt) Denial {
	if r := a.Running; r != nil {
		if !r.Running(a.Now) {
			return DenyEnded
		}
		return ""
	}
	if d := words(a); d != "" {
		return d
	}
	switch {
	case a.Access != ReadOnly && a.Access != Full:
		return DenyAccess
	case a.Duration < time.Minute || a.Duration > min(a.Limits.MaxDuration, hardMaximum):
		return DenyDuration
	case !steppedUp(a):
		return DenyStepUp
	}
	return ""
}

// words asks about what the actor says: why, and for which ticket.
func words(a Attempt) Denial {
	switch {
	case a.Reason == "":
		return DenyReason
	case a.BadTicketRef, a.TicketRef == "" && a.Limits.TicketRefRequired, !a.Limits.fits(a.TicketRef):
		return DenyTicketRef
	}
	return ""
}

// fits reports whether a ticket reference looks as one has to. An empty one does.
func (l Limits) fits(ref string) bool {
	return ref == "" || l.TicketRefPattern == nil || l.TicketRefPattern.MatchString(ref)
}

// asked is when the actor asked.
func (a Attempt) asked() time.Time {
	if a.AskedAt.IsZero() {
		return a.Now
	}
	return a.AskedAt
}

func subject(a Attempt) Denial {
	switch {
	case a.Subject == nil, !each(a, reaches):
		return DenySubject // out of reach is as good as unknown
	case a.Subject.ID == a.Actor.ID:
		return DenySelf
	case !a.Subject.Active():
		return DenySubjectInactive
	case a.Subject.NeverImpersonate:
		return DenyProtected
	}
	return ""
}

// reaches reports whether somebody may start something with the subject anywhere.
func reaches(a Attempt, by storage.Standing) bool { return startsWith(by, a.SubjectStanding) }

// startsWith reports whether somebody may start something anywhere where another is.
func startsWith(by, other storage.Standing) bool {
	if by.May(PermissionStart, "") {
		return true
	}
	for organization := range other.Within {
		if by.May(PermissionStart, organization) {
			return true
		}
	}
	return false
}

// organization checks that actor, subject and client meet in one place. A role
// held within an organization reaches only its members, and only there.
func organization(a Attempt) Denial {
	if a.Organization == "" {
		if len(a.SubjectStanding.Within) > 1 {
			return DenyOrganizationNeeds
		}
	} else if !a.SubjectStanding.MemberOf(a.Organization) {
		return DenyOrganization
	}
	if limited := a.Client.Organizations; len(limited) > 0 && !slices.Contains(limited, a.Organization) {
		return DenyOrganization
	}
	if !each(a, meets) {
		return DenyOrganization // they meet elsewhere
	}
	return ""
}

func meets(a Attempt, by storage.Standing) bool { return by.May(PermissionStart, a.Organization) }

// privileges checks that acting as the subject gives the actor nothing new. Whoever
// acts gets the subject's rights wherever the subject holds them, so each place asks
// for the special permission there.
func privileges(a Attempt) Denial {
	if !each(a, holds) {
		return DenyPrivileged
	}
	return ""
}

// holds reports whether somebody holds all that the subject does, and may use it.
func holds(a Attempt, by storage.Standing) bool {
	allowed := func(held storage.List, place string) bool {
		if len(held) == 0 {
			return true
		}
		return by.May(PermissionPrivileged, place) &&
			!slices.ContainsFunc(held, func(p string) bool { return !by.May(p, place) })
	}
	if !allowed(a.SubjectStanding.Everywhere, "") {
		return false
	}
	for place, held := range a.SubjectStanding.Within {
		if !allowed(held, place) {
			return false
		}
	}
	return true
}

// supportAccess asks what the subject says about staff acting as them. Silence is a
// no only where the rule, or the attempt itself, says so; what they said always counts,
// unless an administrator decides for everybody. Then nobody's own permission is to be
// had, and an attempt that needs one fails.
func supportAccess(a Attempt) Denial {
	said := a.SupportAccess
	switch {
	case a.SupportRule == storage.SupportManaged && a.RequireSupportAccess:
		return DenySupportAccess
	case a.SupportRule == storage.SupportManaged,
		said == nil && a.SupportRule != storage.SupportRequired && !a.RequireSupportAccess:
		return ""
	case said == nil, said.Mode == storage.SupportDenied, said.ExpiresAt.Passed(a.Now),
		said.SetBy == a.Actor.ID, slices.Contains(a.saidWith, a.Actor.ID), // nobody says yes in the user's place, and uses it
		said.Mode == storage.SupportTicket && said.TicketRef != a.TicketRef:
		return DenySupportAccess
	}
	return ""
}

func limits(a Attempt) Denial {
	switch {
	case a.Running != nil:
		return ""
	case a.Usage.Started >= a.Limits.MaxStartsPerHour:
		return DenyRate
	case a.Usage.RunningAtClient >= a.Limits.MaxConcurrentPerClient, a.Usage.Running >= a.Limits.MaxConcurrent:
		return DenyConcurrent
	}
	return ""
}
