package impersonation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Service starts, checks and stops impersonations.
type Service struct {
	// Notices are what people are told by mail. It does not change after New.
	Notices Notices

	store  *storage.Store
	limits Limits
}

// Notices say of what people are told by mail. The zero value: of nothing.
type Notices struct {
	Start, End bool // users, of being acted as
	Requests   bool // users, of support asking them; and who may approve, of what waits for that
}

// New returns a Service. Limits that are zero get their defaults.
func New(store *storage.Store, l Limits) *Service {
	fill(&l.MaxDuration, hardMaximum)
	fill(&l.DefaultDuration, min(30*time.Minute, l.MaxDuration))
	fill(&l.StepUpMaxAge, 5*time.Minute)
	fill(&l.MaxStartsPerHour, 10)
	fill(&l.MaxConcurrent, 3)
	fill(&l.MaxConcurrentPerClient, 1)
	fill(&l.ApprovalWait, 24*time.Hour)
	return &Service{store: store, limits: l}
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Limits returns the limits in force.
func (s *Service) Limits() Limits { return s.limits }

// Ask is what an actor asks for.
type Ask struct {
	Actor        *storage.User
	ActorLogin   *storage.LoginSession // the browser session that it lies over; nil: none, a program asks
	Chained      bool                  // the request came with act
	Client       *storage.Client
	SubjectID    string
	Organization string
	Reason       string
	TicketRef    string
	Access       Access
	Duration     time.Duration
	Entry        string // consent, console, api or token_exchange
	Exchanged    bool   // a client sends it, by exchanging tokens
	IP           string // of the actor; Issue and Start fill it
	CustomClaims string // what tokens say besides, a JSON object that was checked; empty: nothing
	// RequireSupportAccess makes the subject's own permission a condition of this ask.
	RequireSupportAccess bool
	// Ticket is set when one is redeemed; the rest is what it says.
	Ticket *storage.Ticket
	// Words says whose words were asked in, where not in ours.
	Words Words

	// What stands for ActorLogin where there is none. ActorAuthTime is when the actor
	// last showed who they are; zero: only Caller vouches for them.
	ActorAuthTime time.Time
	Caller        *Caller // who asks in the actor's place; nil: nobody does
}

// SignedIn is when the actor last showed who they are, zero where nobody knows.
func (a Ask) SignedIn() time.Time {
	if a.ActorLogin != nil {
		return a.ActorLogin.AuthTime.Time()
	}
	return a.ActorAuthTime
}

// loginSID is the sign-in that an impersonation lies over, and ends with. Empty: none.
func (a Ask) loginSID() string {
	if a.ActorLogin == nil {
		return ""
	}
	return a.ActorLogin.SID
}

// Offered reports whether the actor may start an impersonation at the client at
// all, so that a page can offer it: everything that Decide asks before it looks
// at the form.
func (s *Service) Offered(ctx context.Context, actor *storage.User, client *storage.Client) (bool, error) {
	if !client.AllowImpersonation {
		return false, nil // the usual case costs no read
	}
	standing, err := s.store.Standing(ctx, actor.ID)
	if err != nil {
		return false, fmt.Errorf("load standing: %w", err)
	}
	if !standing.MayAnywhere(PermissionStart) {
		return false, nil
	}
	return s.store.ImpersonationEnabled(ctx)
}

// reads are what gathering an attempt needs; a Store and a Tx have them.
type reads interface {
	Grounds(ctx context.Context, about storage.Question, now time.Time) (*storage.Grounds, error)
	Client(ctx context.Context, id string) (*storage.Client, error)
	User(ctx context.Context, id string) (*storage.User, error)
	Standing(ctx context.Context, userID string) (storage.Standing, error)
	ApprovalsFor(ctx context.Context, want storage.Approval, status storage.ApprovalStatus, now time.Time) ([]storage.Approval, error)
	CallerStanding(ctx context.Context, id string, now time.Time) (storage.Standing, error)
	Behind(ctx context.Context, id string) ([]string, error)
	PolicyNamed(ctx context.Context, id string) (*storage.Policy, error)
	PolicyBefore(ctx context.Context, version int64, saved time.Time, notBy []string) (*storage.Policy, error)
	Derived(id string, make func() (any, error)) (any, error)
}

// question is what is to be decided about an ask that starts something.
func (a Ask) question() storage.Question {
	return storage.Question{ActorID: a.Actor.ID, SubjectID: a.SubjectID, ClientID: a.Client.ID, Starts: true}
}

// gather reads what Decide needs about an ask.
func gather(ctx context.Context, from reads, ask Ask, limits Limits, now time.Time) (Attempt, error) {
	g, err := from.Grounds(ctx, ask.question(), now)
	if err != nil {
		return Attempt{}, fmt.Errorf("load grounds: %w", err)
	}
	return attemptOn(ctx, from, g, ask, limits, nil, now)
}

// attemptOn is what Decide decides about, on what was read: an ask, or one that runs.
func attemptOn(ctx context.Context, from reads, g *storage.Grounds, ask Ask, limits Limits, running *storage.Impersonation, now time.Time) (Attempt, error) {
	a := Attempt{
		Now: now, Chained: ask.Chained, Limits: limits, Running: running,
		Actor: ask.Actor, Client: ask.Client, Organization: ask.Organization,
		Access: ask.Access, Duration: ask.Duration, RequireSupportAccess: ask.RequireSupportAccess, ActorAuthTime: ask.SignedIn(),
		Entry: ask.Entry, IP: ask.IP,
		Enabled: g.Enabled, SupportRule: g.Support, SupportAccess: g.Said, ActorStanding: g.ActorStanding, Subject: g.Subject,
	}
	_, a.hurried = from.(*storage.Tx)
	if ask.Caller != nil {
		a.Caller = &ask.Caller.Standing
	}
	if ask.Ticket != nil {
		a.AskedAt = ask.Ticket.AskedAt().Time()
	}
	a.Reason, _ = CleanReason(ask.Reason)
	ref, ok := CleanTicketRef(ask.TicketRef)
	a.TicketRef, a.BadTicketRef = ref, !ok
	var err error
	if running != nil {
		a.TicketRef = running.TicketRef
		a.Policy, err = policyNamed(ctx, from, g.PolicyID)
	} else {
		a.Policy, err = policyFor(ctx, from, g.PolicyID, ask, a.ActorStanding, limits, now)
	}
	if err != nil || a.Subject == nil {
		return a, err
	}
	a.SubjectStanding = g.SubjectStanding
	if g.Said != nil && g.Said.SetBy != "" {
		if a.saidWith, err = from.Behind(ctx, g.Said.SetBy); err != nil {
			return a, fmt.Errorf("load who is behind a program: %w", err)
		}
	}
	if running != nil {
		a.Approved = running.ApprovalID != ""
		return a, nil
	}
	if a.Organization == "" && len(a.SubjectStanding.Within) == 1 {
		for only := range a.SubjectStanding.Within {
			a.Organization = only
		}
	}
	a.Usage = g.Usage
	if a.Policy.wantsApproval() {
		a.approval, err = approvedFor(ctx, from, a, ask.Caller)
	}
	a.Approved = a.approval != ""
	return a, err
}

// Start decides, and adds the impersonation and its event to the unit of work
// tx. It decides on what tx sees, so that what was checked still holds when the
// commit happens. also happens with the start, in its organization, and is recorded after it. What the policy obliges to narrows what is started: its Access, its end
// and its Scopes. A refusal is a Denial; record it with Denied after tx was undone. tx is
// of a Write of this package.
func (s *Service) Start(ctx context.Context, tx *storage.Tx, ask Ask, id string, r storage.Request, now time.Time, also ...storage.Event) (*storage.Impersonation, error) {
	ask.IP = r.IP
	a, err := s.attempt(ctx, tx, ask, now)
	if err != nil {
		return nil, err
	}
	owed, err := decide(a, nil)
	if err != nil {
		return nil, err
	}
	a = owed.narrow(a)
	i := &storage.Impersonation{
		ID: id, ActorID: a.Actor.ID, SubjectID: a.Subject.ID, ClientID: a.Client.ID,
		OrganizationID: a.Organization, LoginSID: ask.loginSID(), Entry: ask.Entry,
		Reason: a.Reason, TicketRef: a.TicketRef, Access: string(a.Access), Scopes: owed.Scopes, IP: a.IP,
		StartedAt: storage.At(now), ExpiresAt: a.ends(ask.ActorLogin), NotifyEnd: s.Notices.End,
	}
	if owed.Approval {
		i.ApprovalID = a.approval
		if err := tx.UseApproval(ctx, i.ApprovalID, i.ID, now); errors.Is(err, storage.ErrSpent) {
			return nil, DenyApproval
		} else if err != nil {
			return nil, fmt.Errorf("use approval: %w", err)
		}
	}
	data := storage.Data{"entry": i.Entry, "access": i.Access, "expires_at": i.ExpiresAt.Time().Format(time.RFC3339Nano)}
	if t := ask.Ticket; t != nil {
		i.TicketID, i.Binding, i.CreatedBy, i.BrowserHash = t.ID, t.Binding, t.CreatedBy, t.BrowserHash
		data["ticket"], data["binding"] = t.ID, t.Binding
		if err := tx.RedeemTicket(ctx, t.ID, id, now); errors.Is(err, storage.ErrSpent) {
			return nil, DenyTicketSpent
		} else if err != nil {
			return nil, fmt.Errorf("redeem ticket: %w", err)
		}
	} else if ask.Caller != nil {
		i.CreatedBy = ask.Caller.ID
		if err := ask.Caller.stands(ctx, tx, now); err != nil {
			return nil, err
		}
	}
	if err := tx.CreateImpersonation(ctx, i); err != nil {
		return nil, fmt.Errorf("create impersonation: %w", err)
	}
	if s.Notices.Start {
		if err := tx.QueueMail(ctx, storage.MailStarted, i.SubjectID, i.ID, now); err != nil {
			return nil, fmt.Errorf("tell the subject: %w", err)
		}
	}
	if i.CreatedBy != "" {
		data["caller"] = i.CreatedBy
	}
	if a.Policy != nil {
		data["policy_version"] = a.Policy.Version
	}
	if i.ApprovalID != "" {
		data["approval"] = i.ApprovalID
	}
	return i, recordStart(ctx, tx, i, a.Actor, ask.Words.note(data), also, r, now)
}

// recordStart records that an impersonation started, and the session that the client
// gets of it: whoever follows the sessions of a user sees this one with its actor.
func recordStart(ctx context.Context, tx *storage.Tx, i *storage.Impersonation, actor *storage.User, data storage.Data, also []storage.Event, r storage.Request, now time.Time) error {
	started := storage.Event{
		Type: storage.EventImpersonationStarted, ActorID: i.ActorID, SubjectID: i.SubjectID, ClientID: i.ClientID,
		OrganizationID: i.OrganizationID, ImpersonationID: i.ID, Data: data,
	}
	session := started
	session.Type, session.Data = storage.EventSessionCreated, storage.Data{"sid": i.ID, "expires_at": data["expires_at"]}
	private := storage.Private{Reason: i.Reason, TicketRef: i.TicketRef, ActorEmail: actor.Email}
	entries := []storage.Entry{{Event: started, Private: private}, {Event: session, Private: private}}
	for _, e := range also {
		e.OrganizationID = i.OrganizationID
		entries = append(entries, storage.Entry{Event: e})
	}
	return tx.RecordEach(ctx, entries, r, now)
}

// attempt gathers, in the unit of work tx, what decides about a start, and makes
// what could forbid it meanwhile wait.
func (s *Service) attempt(ctx context.Context, tx *storage.Tx, ask Ask, now time.Time) (Attempt, error) {
	if err := tx.HoldForStart(ctx, ask.Actor.ID, ask.SubjectID, ask.Client.ID); err != nil {
		return Attempt{}, err
	}
	if t := ask.Ticket; t != nil && t.CreatedBy != "" { // what vouched for the actor has to stand still
		if err := tx.HoldCaller(ctx, t.CreatedBy); err != nil {
			return Attempt{}, err
		}
	}
	g, err := grounds(ctx, tx, &ask, now)
	if err != nil {
		return Attempt{}, err
	}
	if !g.Same(ask.Client) {
		if ask.Client, err = tx.Client(ctx, ask.Client.ID); err != nil {
			return Attempt{}, fmt.Errorf("load client: %w", err)
		}
	}
	if t := ask.Ticket; t != nil && t.CreatedBy != "" {
		standing, err := tx.CallerStanding(ctx, t.CreatedBy, now)
		if err != nil {
			return Attempt{}, fmt.Errorf("load standing of caller: %w", err)
		}
		ask.Caller = &Caller{ID: t.CreatedBy, Standing: standing}
	}
	return attemptOn(ctx, tx, g, ask, s.limits, nil, now)
}

// grounds reads what decides about an ask, and sets its actor as tx sees them.
// DenyRefusals: they were refused too often. DenyActor: there is no such user, whom a
// caller named.
func grounds(ctx context.Context, tx *storage.Tx, ask *Ask, now time.Time) (*storage.Grounds, error) {
	about := ask.question()
	about.Throttle = refusals(*ask).Key
	g, err := tx.Grounds(ctx, about, now)
	switch {
	case err != nil:
		return nil, fmt.Errorf("load grounds: %w", err)
	case !g.Blocked.IsZero():
		return nil, Wait{DenyRefusals, g.Blocked}
	case g.Actor == nil && ask.Caller != nil:
		return nil, DenyActor
	case g.Actor == nil:
		return nil, fmt.Errorf("load actor: %w", storage.ErrNotFound)
	}
	ask.Actor = g.Actor
	return g, nil
}

// ends is when an impersonation that starts now has to end: it lies over the actor's
// sign-in, where there is one, and under what the subject allows, and outlives neither.
func (a Attempt) ends(login *storage.LoginSession) storage.Time {
	ends := storage.At(a.Now.Add(a.Duration))
	if login != nil {
		ends = min(ends, login.ExpiresAt)
	}
	if a.SupportRule != storage.SupportManaged && a.SupportAccess != nil && a.SupportAccess.ExpiresAt.Set() {
		ends = min(ends, a.SupportAccess.ExpiresAt)
	}
	return ends
}

// Refused returns the Denial in err, with the rule that made it, once it is on the record, where it counts as a
// refusal: to be asked for the password again does not, nor does one after too many.
// What is no Denial is returned as it is.
func (s *Service) Refused(ctx context.Context, err error, ask Ask, r storage.Request, now time.Time) error {
	denial, denied := Denied(err)
	switch {
	case !denied:
		return err
	case denial == DenyStepUp:
		return denial
	case denial == DenyRefusals:
		return err
	}
	var refusal error = denial
	if rule, ok := errors.AsType[*RuleDenial](err); ok {
		refusal = rule
	}
	if wait, ok := errors.AsType[Wait](err); ok {
		refusal = wait
	}
	if err := s.Denied(ctx, ask, refusal, r, now); err != nil {
		return err
	}
	return refusal
}

// Denied records that an attempt was refused, by a Denial or the rule that made it.
// Actor and subject are named as they were asked for only when there are such users.
func (s *Service) Denied(ctx context.Context, ask Ask, refusal error, r storage.Request, now time.Time) error {
	d, _ := Denied(refusal)
	e := storage.Event{
		Type: storage.EventImpersonationDenied, ActorID: ask.Actor.ID, ClientID: ask.Client.ID,
		Data: storage.Data{"denial": string(d), "entry": ask.Entry},
	}
	if ask.Caller != nil {
		e.Data["caller"] = ask.Caller.ID
		if d == DenyActor {
			e.ActorID = ask.Caller.ID
		}
	}
	if rule, ok := errors.AsType[*RuleDenial](refusal); ok {
		e.Data["rule"], e.Data["policy_version"] = rule.Rule, rule.Version
		if rule.Cause != nil {
			e.Data["cause"] = rule.Cause.Error()
		}
	}
	if u, err := s.store.User(ctx, ask.SubjectID); err == nil {
		e.SubjectID = u.ID
	}
	var p storage.Private
	p.Reason, _ = CleanReason(ask.Reason)
	limit := refusals(ask)
	return s.store.Write(ctx, func(tx *storage.Tx) error {
		until, err := tx.Blocked(ctx, [][]byte{limit.Key}, now)
		if err != nil || !until.IsZero() {
			return err // what led to it is on the record; more of the same only fills it
		}
		if err := tx.Fail(ctx, []storage.ThrottleLimit{limit}, now); err != nil {
			return err
		}
		return tx.Record(ctx, e, p, r, now)
	})
}

// mayTell counts what an actor asks others for, each of which others may get a mail of:
// within an hour as much as they may start. A Wait: it is enough.
func (s *Service) mayTell(ctx context.Context, tx *storage.Tx, actorID string, now time.Time) error {
	full, err := tx.Take(ctx, storage.Hash("impersonation asked:"+actorID), int64(s.limits.MaxStartsPerHour), time.Hour, now)
	if err == nil && !full.IsZero() {
		err = Wait{DenyRate, full}
	}
	return err
}

// refusals bounds how often somebody may be refused: trying who can be acted as is
// no pastime, and each refusal stays on the record for good. A program that is refused
// for one actor, a caller or a client that exchanges, keeps neither the others from
// asking, nor that one in a browser: what it sends is not theirs.
func refusals(ask Ask) storage.ThrottleLimit {
	who := ask.Actor.ID
	switch {
	case ask.Exchanged:
		who = ask.Client.ID + " exchanging for " + who
	case ask.Caller != nil:
		who = ask.Caller.ID + " for " + who
	}
	return refusalsOf(who)
}

// refusalsOf bounds what is refused under one name.
func refusalsOf(who string) storage.ThrottleLimit {
	return storage.ThrottleLimit{
		Key: storage.Hash("impersonation refused:" + who), Free: 30, Memory: time.Hour,
		Delay: func(int64) time.Duration { return 15 * time.Minute },
	}
}

// Recheck decides again about an impersonation that runs, at code exchange and
// at each refresh. When a rule now says no the impersonation ends; the Denial is
// returned after that was recorded. client, as it was read for the request, need not be
// read again. The actor comes with it.
func (s *Service) Recheck(ctx context.Context, id string, client *storage.Client, r storage.Request, now time.Time) (*storage.Impersonation, *storage.User, error) {
	i, g, err := s.store.Running(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("load impersonation: %w", err)
	}
	a, err := attemptOf(ctx, s.store, i, g, client, now)
	if err == nil {
		err = StillAllowed(a, i)
	}
	denial, denied := Denied(err)
	if !denied {
		return i, a.Actor, err
	}
	refusal := err
	if denial != DenyEnded {
		cause := storage.Cause{Reason: storage.EndPermissionLost, Request: r}
		ended := s.store.Write(ctx, func(tx *storage.Tx) error {
			return tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: id}, cause, now)
		})
		err = errors.Join(err, ended)
	}
	ask := Ask{Actor: a.Actor, Client: a.Client, SubjectID: i.SubjectID, Entry: i.Entry}
	return nil, nil, errors.Join(err, s.Denied(ctx, ask, refusal, r, now))
}

// Of returns an impersonation that by may see and stop: its actor, its subject, or
// someone who may stop any. storage.ErrNotFound: there is none.
func (s *Service) Of(ctx context.Context, id string, by *storage.User) (*storage.Impersonation, error) {
	i, err := s.store.Impersonation(ctx, id)
	if err != nil || by.ID == i.ActorID || by.ID == i.SubjectID {
		return i, err
	}
	standing, err := s.store.Standing(ctx, by.ID)
	if err != nil {
		return nil, fmt.Errorf("load standing: %w", err)
	}
	if !standing.May(PermissionStopAny, i.OrganizationID) {
		return nil, storage.ErrNotFound
	}
	return i, nil
}

// Stop ends an impersonation on behalf of by. storage.ErrNotFound: there is none
// that by may stop; storage.ErrSpent: it had ended.
func (s *Service) Stop(ctx context.Context, id string, by *storage.User, r storage.Request, now time.Time) error {
	i, err := s.Of(ctx, id, by)
	if err != nil {
		return err
	}
	return s.End(ctx, i.ID, storage.Cause{By: by.ID, Reason: storage.EndStopped, Request: r}, now)
}

// End ends an impersonation without asking who wants it: the caller holds proof.
// storage.ErrSpent: it had ended.
func (s *Service) End(ctx context.Context, id string, cause storage.Cause, now time.Time) error {
	return s.store.Write(ctx, func(tx *storage.Tx) error { return tx.StopImpersonation(ctx, id, cause, now) })
}

// EndAll ends every impersonation that runs.
func (s *Service) EndAll(ctx context.Context, cause storage.Cause, now time.Time) error {
	return s.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.EndImpersonations(ctx, storage.ImpersonationFilter{}, cause, now)
	})
}

// Expire records the end of impersonations whose time ran out.
func (s *Service) Expire(ctx context.Context, now time.Time) error {
	due, err := s.store.Impersonations(ctx, storage.ImpersonationFilter{Due: true, Limit: 1}, now)
	if err != nil || len(due) == 0 {
		return err
	}
	return s.store.Write(ctx, func(tx *storage.Tx) error {
		_, err := tx.ExpireImpersonations(ctx, now)
		return err
	})
}
