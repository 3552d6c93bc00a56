package impersonation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	// ApprovalValid is how long an approval is good for once it is given.
	ApprovalValid = 15 * time.Minute

	// approvalKept is how long what came of a request can be asked for, beside the record.
	approvalKept = 30 * 24 * time.Hour

	// maxApprovalsWaiting is how many requests of one actor may wait.
	maxApprovalsWaiting = 5
)

var (
	// ErrNoApproval says that nobody has to approve what was to be approved.
	ErrNoApproval = errors.New("impersonation: no approval is needed")
	// ErrApprovalsWaiting says that enough requests of an actor wait.
	ErrApprovalsWaiting = errors.New("impersonation: too many requests of this actor wait for approval")
)

// Refusal says why somebody may not decide about a request for approval. It is an
// error and a value; one who is out of reach gets storage.ErrNotFound instead.
type Refusal string

func (r Refusal) Error() string { return "approval: " + string(r) }

// The refusals.
const (
	RefuseOwn     Refusal = "own"     // it is the actor's, or they asked for it, also with a key
	RefuseSubject Refusal = "subject" // it is about them
	RefuseKeyOf   Refusal = "key_of"  // behind the key or client is who may not decide
	RefuseActing  Refusal = "acting"  // they act as somebody else
	RefuseStepUp  Refusal = "step_up" // their password was shown too long ago
)

// Message returns what a page says about a refusal.
func (r Refusal) Message() string {
	switch r {
	case RefuseOwn:
		return "Somebody else has to decide about this: you asked for it."
	case RefuseSubject:
		return "Somebody else has to decide about this: it is about you."
	case RefuseKeyOf:
		return "Another key has to decide about this: the actor, the user or who asked made this one."
	case RefuseActing:
		return "Stop first. Nobody approves anything while they act as someone else."
	case RefuseStepUp:
		return "Confirm your password first."
	}
	return "This is not allowed."
}

// Approver is who decides about a request for approval: a person, or a program with a
// key of the management API, or as a client that has permissions of it.
type Approver struct {
	ID       string
	Standing storage.Standing

	User     *storage.User // of a person; nil: a program
	AuthTime time.Time     // when the person last showed their password
	Acting   bool          // the person acts as somebody else
	Behind   []string      // who is behind the program; empty: nobody knows
}

// program reports whether no person decides.
func (a Approver) program() bool { return a.User == nil }

// MayDecide says whether somebody may decide about a request for approval: nil, a
// Refusal, or storage.ErrNotFound where it is out of their reach. behind are who asks
// beside the actor: see behind. limits are those of the password check; nil asks for
// none, about an approval that was given before.
func MayDecide(request *storage.Approval, by Approver, behind []string, limits *Limits, now time.Time) error {
	asks := func(id string) bool {
		return id != "" && (id == request.ActorID || id == request.RequestedBy || slices.Contains(behind, id))
	}
	switch {
	case by.User != nil && !by.User.Active(), !by.Standing.May(PermissionApprove, request.OrganizationID):
		return storage.ErrNotFound
	case asks(by.ID):
		return RefuseOwn
	case by.ID == request.SubjectID:
		return RefuseSubject
	case by.program() && (slices.ContainsFunc(by.Behind, asks) || slices.Contains(by.Behind, request.SubjectID)):
		return RefuseKeyOf
	case limits == nil || by.program():
		return nil
	case by.Acting:
		return RefuseActing
	case now.Sub(by.AuthTime) > limits.StepUpMaxAge:
		return RefuseStepUp
	}
	return nil
}

// approvalOf is what has to be approved for an attempt.
func (a Attempt) approvalOf() storage.Approval {
	want := storage.Approval{
		ActorID: a.Actor.ID, ClientID: a.Client.ID, OrganizationID: a.Organization, Reason: a.Reason, TicketRef: a.TicketRef,
		Access: string(a.Access), Duration: a.Duration.Microseconds(),
	}
	if a.Subject != nil {
		want.SubjectID = a.Subject.ID
	}
	return want
}

// wantsApproval reports whether any rule may want a second person's approval.
func (p *Policy) wantsApproval() bool {
	return p != nil && slices.ContainsFunc(p.rules, func(r compiled) bool { return r.Oblige.Approval })
}

// approvedFor returns the id of an approval of exactly this attempt that is good: not
// used, in time, and given by somebody who might give it now. Empty: there is none.
func approvedFor(ctx context.Context, from reads, a Attempt, caller *Caller) (string, error) {
	given, err := from.ApprovalsFor(ctx, a.approvalOf(), storage.ApprovalApproved, a.Now)
	if err != nil {
		return "", fmt.Errorf("load approvals: %w", err)
	}
	for _, g := range given {
		by, err := approver(ctx, from, &g, a.Now)
		if errors.Is(err, storage.ErrNotFound) {
			continue // the user is gone, or the key
		}
		if err != nil {
			return "", fmt.Errorf("load approver: %w", err)
		}
		asked, err := behind(ctx, from, g.RequestedBy, caller.id())
		if err != nil {
			return "", err
		}
		if MayDecide(&g, by, asked, nil, a.Now) == nil {
			return g.ID, nil
		}
	}
	return "", nil
}

// approver returns who decided about a request, as they are now.
func approver(ctx context.Context, from reads, given *storage.Approval, now time.Time) (by Approver, err error) {
	by = Approver{ID: given.DecidedBy}
	if given.ByCaller {
		if by.Standing, err = from.CallerStanding(ctx, by.ID, now); err != nil {
			return by, err
		}
		by.Behind, err = from.Behind(ctx, by.ID)
		return by, err
	}
	if by.User, err = from.User(ctx, by.ID); err != nil {
		return by, err
	}
	by.Standing, err = from.Standing(ctx, by.ID)
	return by, err
}

// RequestApproval asks for a second person's approval of what an actor wants to do, on
// behalf of the actor or, where ask has a Caller, of a program. Asking for the same again
// returns the request that waits. A Denial: it would not be allowed even if it were
// approved; it is on the record. ErrNoApproval: it is allowed as it is.
// ErrApprovalsWaiting: enough of the actor's requests wait.
func (s *Service) RequestApproval(ctx context.Context, ask Ask, r storage.Request, now time.Time) (*storage.Approval, error) {
	ask.IP = r.IP
	var request *storage.Approval
	err := Write(ctx, s.store, func(tx *storage.Tx) error {
		a, err := s.attempt(ctx, tx, ask, now)
		if err != nil {
			return err
		}
		decision := Decide(a)
		if decision == nil {
			return ErrNoApproval
		}
		if denial, _ := Denied(decision); denial != DenyApproval {
			return decision
		}
		a.Approved = true
		if err := Decide(a); err != nil { // a later rule
			return err
		}
		want := a.approvalOf()
		waiting, err := tx.ApprovalsFor(ctx, want, storage.ApprovalPending, now)
		if err != nil {
			return fmt.Errorf("load approvals: %w", err)
		}
		if len(waiting) > 0 {
			request = &waiting[0]
			return nil
		}
		n, err := tx.CountApprovals(ctx, storage.ApprovalFilter{Actor: a.Actor.ID, Status: storage.ApprovalPending, Live: true}, now)
		if err != nil {
			return fmt.Errorf("count approvals: %w", err)
		}
		if n >= maxApprovalsWaiting {
			return ErrApprovalsWaiting
		}
		if err := s.mayTell(ctx, tx, a.Actor.ID, now); err != nil {
			return err
		}
		want.ID, want.Status, want.Entry, want.Rule = storage.NewID("apr"), storage.ApprovalPending, ask.Entry, RuleOf(decision)
		want.CreatedAt, want.ExpiresAt = storage.At(now), storage.At(now.Add(s.limits.ApprovalWait))
		want.KeptUntil = storage.At(now.Add(s.limits.ApprovalWait + approvalKept))
		by := a.Actor.ID
		if ask.Caller != nil {
			want.RequestedBy, by = ask.Caller.ID, ask.Caller.ID
		}
		if err := tx.CreateApproval(ctx, &want); err != nil {
			return fmt.Errorf("create approval: %w", err)
		}
		if s.Notices.Requests {
			if err := tx.QueueApprovalMails(ctx, &want, PermissionApprove, now); err != nil {
				return fmt.Errorf("tell approvers: %w", err)
			}
		}
		request = &want
		return recordApproval(ctx, tx, storage.EventImpersonationRequested, request, by, storage.Data{
			"entry": want.Entry, "access": want.Access, "duration": want.Duration / time.Second.Microseconds(), "rule": want.Rule,
		}, storage.Private{Reason: want.Reason, TicketRef: want.TicketRef}, r, now)
	})
	if err = s.Refused(ctx, err, ask, r, now); err != nil {
		return nil, err
	}
	return request, nil
}

// recordApproval puts on the record what became of a request for approval. by is who did
// it; the actor is in the data where somebody else did.
func recordApproval(
	ctx context.Context, tx *storage.Tx, kind storage.EventType, request *storage.Approval, by string, data storage.Data, p storage.Private,
	r storage.Request, now time.Time,
) error {
	data["approval"] = request.ID
	if by != request.ActorID {
		data["requested_for"] = request.ActorID
	}
	return tx.Record(ctx, storage.Event{
		Type: kind, ActorID: by, SubjectID: request.SubjectID, ClientID: request.ClientID, OrganizationID: request.OrganizationID, Data: data,
	}, p, r, now)
}

// DecideApproval approves or denies a request, once, with a note that CleanNote returned.
// A Refusal: by may not, which is on the record. storage.ErrNotFound: there is none within their reach;
// storage.ErrSpent: it was decided, withdrawn, or waited for too long.
func (s *Service) DecideApproval(ctx context.Context, id string, approved bool, note string, by Approver, r storage.Request, now time.Time) (*storage.Approval, error) {
	var request *storage.Approval
	err := s.store.Write(ctx, func(tx *storage.Tx) (err error) {
		if by, err = fresh(ctx, tx, by, now); err != nil {
			return err
		}
		if request, err = tx.Approval(ctx, id); err != nil {
			return err
		}
		asked, err := behind(ctx, tx, request.RequestedBy)
		if err != nil {
			return err
		}
		if err := MayDecide(request, by, asked, &s.limits, now); err != nil {
			return err
		}
		request.Status, request.ExpiresAt = storage.ApprovalDenied, storage.At(now)
		kind, data := storage.EventImpersonationDenied, storage.Data{"denial": string(DenyDisapproved), "entry": request.Entry}
		if approved {
			request.Status, request.ExpiresAt = storage.ApprovalApproved, storage.At(now.Add(ApprovalValid))
			kind, data = storage.EventImpersonationApproved, storage.Data{"expires_at": request.ExpiresAt.Time().Format(time.RFC3339Nano)}
		}
		request.DecidedBy, request.ByCaller, request.Note, request.DecidedAt = by.ID, by.program(), note, storage.At(now)
		if err := tx.DecideApproval(ctx, request); err != nil {
			return err
		}
		return recordApproval(ctx, tx, kind, request, by.ID, data, storage.Private{Reason: note}, r, now)
	})
	if err != nil {
		return nil, s.refusedApprover(ctx, err, request, by, r, now)
	}
	return request, nil
}

// refusedApprover puts a Refusal on the record, where it counts as one, and returns err.
func (s *Service) refusedApprover(ctx context.Context, err error, request *storage.Approval, by Approver, r storage.Request, now time.Time) error {
	refusal, refused := errors.AsType[Refusal](err)
	if !refused || refusal == RefuseStepUp {
		return err
	}
	limit := refusals(Ask{Actor: &storage.User{ID: by.ID}})
	recorded := s.store.Write(ctx, func(tx *storage.Tx) error {
		until, err := tx.Blocked(ctx, [][]byte{limit.Key}, now)
		if err != nil || !until.IsZero() {
			return err // what led to it is on the record; more of the same only fills it
		}
		if err := tx.Fail(ctx, []storage.ThrottleLimit{limit}, now); err != nil {
			return err
		}
		return recordApproval(ctx, tx, storage.EventImpersonationDenied, request, by.ID, storage.Data{
			"denial": string(DenyApprover), "refusal": string(refusal), "entry": request.Entry,
		}, storage.Private{}, r, now)
	})
	return errors.Join(err, recorded)
}

// fresh returns an approver as they are in the unit of work, and keeps a person from
// losing what they hold before its commit. What a program presented says what it may do.
func fresh(ctx context.Context, tx *storage.Tx, by Approver, now time.Time) (Approver, error) {
	var err error
	if by.program() {
		by.Behind, err = tx.Behind(ctx, by.ID)
		return by, err
	}
	if err := tx.LockUser(ctx, by.ID); err != nil {
		return by, err
	}
	if by.User, err = tx.User(ctx, by.ID); err != nil {
		return by, err
	}
	if by.Standing, err = tx.Standing(ctx, by.ID); err != nil {
		return by, err
	}
	acts, err := tx.Impersonations(ctx, storage.ImpersonationFilter{Actor: by.ID, Running: true, Limit: 1}, now)
	by.Acting = by.Acting || len(acts) > 0
	return by, err
}

// WithdrawApproval takes back what an actor asked for. storage.ErrNotFound: there is
// none of theirs; storage.ErrSpent: it was used, or there is nothing left to take back.
func (s *Service) WithdrawApproval(ctx context.Context, id, actorID string, r storage.Request, now time.Time) error {
	return s.store.Write(ctx, func(tx *storage.Tx) error {
		request, err := tx.Approval(ctx, id)
		if err != nil {
			return err
		}
		if request.ActorID != actorID {
			return storage.ErrNotFound
		}
		if err := tx.WithdrawApproval(ctx, id, now); err != nil {
			return err
		}
		return recordApproval(ctx, tx, storage.EventImpersonationWithdrawn, request, actorID, storage.Data{}, storage.Private{}, r, now)
	})
}
