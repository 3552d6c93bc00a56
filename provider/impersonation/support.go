package impersonation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	// SupportAnswer is how long a request waits for the user's answer.
	SupportAnswer = 7 * 24 * time.Hour
	// SupportApproval is for how long a user allows what they approve.
	SupportApproval = 24 * time.Hour

	minSupport = time.Hour
	maxSupport = 7 * 24 * time.Hour

	// maxAsked is how many requests of one actor to one user may wait.
	maxAsked = 3
)

var (
	// ErrManaged says that the product's administrators decide for everybody, so that
	// nobody is asked.
	ErrManaged = errors.New("support access is managed for everybody")
	// ErrSaid says that a user has decided themselves, and that nobody says yes in their
	// place any more.
	ErrSaid = errors.New("the user has decided about support access themselves")
	// ErrAsked says that an actor waits for enough answers of a user already.
	ErrAsked = errors.New("too many requests wait for this user's answer")
)

// SupportChoice is what a user wants to say about staff acting as them.
type SupportChoice struct {
	Mode      storage.SupportMode
	TicketRef string        // of storage.SupportTicket
	For       time.Duration // but for storage.SupportDenied
}

// SupportProblem says what is wrong with a choice: the field that holds it.
type SupportProblem string

func (p SupportProblem) Error() string { return "support access: " + string(p) }

// The fields of a choice.
const (
	ProblemMode      SupportProblem = "mode"
	ProblemTicketRef SupportProblem = "ticket_ref"
	ProblemHours     SupportProblem = "hours"
)

// access returns what is kept of a choice, or a SupportProblem.
func (c SupportChoice) access(userID string, l Limits, now time.Time) (*storage.SupportAccess, error) {
	a := &storage.SupportAccess{UserID: userID, Mode: c.Mode, UpdatedAt: storage.At(now)}
	switch c.Mode {
	case storage.SupportDenied:
		return a, nil
	case storage.SupportTicket:
		ref, ok := CleanTicketRef(c.TicketRef)
		if !ok || ref == "" || !l.fits(ref) {
			return nil, ProblemTicketRef
		}
		a.TicketRef = ref
	case storage.SupportUntil:
	default:
		return nil, ProblemMode
	}
	if c.For < minSupport || c.For > maxSupport {
		return nil, ProblemHours
	}
	a.ExpiresAt = storage.At(now.Add(c.For))
	return a, nil
}

// approval returns what a user says when they approve a request, or nil where what
// they said before stays as it is. It never allows more than was asked for, and leaves
// alone what allows it already: there is one thing said at a time.
func approval(said *storage.SupportAccess, r *storage.SupportRequest, now time.Time) *storage.SupportAccess {
	a := &storage.SupportAccess{
		UserID: r.UserID, Mode: storage.SupportUntil, ExpiresAt: storage.At(now.Add(SupportApproval)), UpdatedAt: storage.At(now),
	}
	if r.TicketRef != "" {
		a.Mode, a.TicketRef = storage.SupportTicket, r.TicketRef
	}
	if said == nil || said.Mode == storage.SupportDenied || said.ExpiresAt.Passed(now) {
		return a
	}
	same := said.Mode == a.Mode && said.TicketRef == a.TicketRef
	if same && said.ExpiresAt >= a.ExpiresAt || !same && said.Mode == storage.SupportUntil {
		return nil
	}
	return a
}

// Allow keeps what a user says about staff acting as them, and ends what runs and is no
// longer allowed: see Change. A SupportProblem: it cannot be kept. ErrManaged:
// nobody asks them.
func (s *Service) Allow(ctx context.Context, userID string, c SupportChoice, r storage.Request, now time.Time) error {
	a, err := c.access(userID, s.limits, now)
	if err != nil {
		return err
	}
	return s.answered(ctx, userID, storage.Cause{By: userID, Request: r}, now, func(tx *storage.Tx, _ *storage.SupportAccess) error {
		return say(ctx, tx, a, nil, r, now)
	})
}

// SetSupportAccessFor says it in the user's place, for programs that ask users elsewhere.
// It is kept as said by by, and the user is shown that. It never gives more than the user
// last did: once they have said something themselves, also where it has run out, nobody
// says yes in their place (ErrSaid), except to take back a no of the same kind, which
// brings back what they said. Who says no after the user did changes nothing. check says
// whether by may change the user, in the same Write. Otherwise it is as Allow.
func (s *Service) SetSupportAccessFor(ctx context.Context, userID string, c SupportChoice, check func(*storage.Tx) error, by storage.Cause, now time.Time) error {
	a, err := c.access(userID, s.limits, now)
	if err != nil {
		return err
	}
	a.SetBy = by.By
	return s.answered(ctx, userID, by, now, func(tx *storage.Tx, said *storage.SupportAccess) error {
		if err := check(tx); err != nil {
			return err
		}
		own, err := tx.OwnSupportAccess(ctx, userID)
		if err != nil {
			return fmt.Errorf("load what the user said: %w", err)
		}
		overruled := said != nil && said.SetBy != ""
		switch {
		case own == nil:
		case a.Mode == storage.SupportDenied && own.Mode == storage.SupportDenied:
			return nil // it stays theirs
		case a.Mode == storage.SupportDenied:
		case !overruled, own.Mode == storage.SupportDenied, own.ExpiresAt.Passed(now):
			return ErrSaid
		default:
			own.UpdatedAt = storage.At(now)
			return say(ctx, tx, own, storage.Data{"set_by": by.By}, by.Request, now)
		}
		return say(ctx, tx, a, nil, by.Request, now)
	})
}

// Answer answers a request of staff for the user whom it was made to.
// storage.ErrNotFound: there is none of that id; storage.ErrSpent: it was answered, or
// ran out.
func (s *Service) Answer(ctx context.Context, userID, requestID string, approved bool, r storage.Request, now time.Time) error {
	return s.answered(ctx, userID, storage.Cause{By: userID, Request: r}, now, func(tx *storage.Tx, said *storage.SupportAccess) error {
		ask, err := tx.SupportRequest(ctx, requestID)
		if err != nil {
			return fmt.Errorf("load request: %w", err)
		}
		if ask.UserID != userID {
			return storage.ErrNotFound
		}
		if err := tx.DecideSupportRequest(ctx, requestID, approved, now); err != nil {
			return err
		}
		data := storage.Data{"request": requestID, "answer": "denied", "requested_by": ask.ActorID}
		if approved {
			data["answer"] = "approved"
			if a := approval(said, ask, now); a != nil {
				return say(ctx, tx, a, data, r, now)
			}
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventSupportAccessChanged, ActorID: userID, SubjectID: userID, Data: data,
		}, storage.Private{}, r, now)
	})
}

// answered runs fn with what a user has said so far, and ends what is no longer allowed
// after it.
func (s *Service) answered(
	ctx context.Context, userID string, by storage.Cause, now time.Time, fn func(tx *storage.Tx, said *storage.SupportAccess) error,
) error {
	return Change(ctx, s.store, by, now, func(tx *storage.Tx, reconsider Reconsider) error {
		said, err := asksUsers(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := fn(tx, said); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Subject: userID})
	})
}

// asksUsers returns what a user has said so far, and keeps others from starting to act as
// them. ErrManaged: nobody asks them.
func asksUsers(ctx context.Context, tx *storage.Tx, userID string) (*storage.SupportAccess, error) {
	if err := tx.LockUser(ctx, userID); err != nil {
		return nil, err
	}
	settings, said, err := tx.ImpersonationTerms(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("load settings: %w", err)
	}
	if settings.Support == storage.SupportManaged {
		return nil, ErrManaged
	}
	return said, nil
}

// say keeps and records what a user says.
func say(ctx context.Context, tx *storage.Tx, a *storage.SupportAccess, data storage.Data, r storage.Request, now time.Time) error {
	if err := tx.PutSupportAccess(ctx, a); err != nil {
		return fmt.Errorf("support access: %w", err)
	}
	if data == nil {
		data = storage.Data{}
	}
	by := a.UserID
	if a.SetBy != "" {
		data["set_by"] = a.SetBy
	}
	if setBy, elsewhere := data["set_by"].(string); elsewhere {
		by = setBy
	}
	data["mode"] = string(a.Mode)
	if a.ExpiresAt.Set() {
		data["expires_at"] = a.ExpiresAt.Time().Format(time.RFC3339Nano)
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventSupportAccessChanged, ActorID: by, SubjectID: a.UserID, Data: data,
	}, storage.Private{TicketRef: a.TicketRef}, r, now)
}

// RequestSupport asks a user for permission to act as them, at the client of ask or, where
// it has none, at any. Only its Actor, Client, SubjectID, Reason and TicketRef count.
// A Denial: the actor could not start anything anyway; it is on the record. ErrManaged:
// users are not asked. ErrAsked: enough of the actor's requests wait.
func (s *Service) RequestSupport(ctx context.Context, ask Ask, r storage.Request, now time.Time) (*storage.SupportRequest, error) {
	if ask.Client == nil {
		ask.Client = &storage.Client{}
	}
	ask.Entry = "support_request"
	request := &storage.SupportRequest{ID: storage.NewID("sar"), Status: "pending", CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(SupportAnswer))}
	err := Write(ctx, s.store, func(tx *storage.Tx) error {
		if _, err := asksUsers(ctx, tx, ask.SubjectID); err != nil {
			return err
		}
		a, err := s.asked(ctx, tx, ask, now)
		if err != nil {
			return err
		}
		waiting, err := tx.PendingSupportRequests(ctx, a.Subject.ID, now)
		if err != nil {
			return fmt.Errorf("load requests: %w", err)
		}
		theirs := 0
		for _, w := range waiting {
			if w.ActorID == a.Actor.ID {
				theirs++
			}
		}
		if theirs >= maxAsked {
			return ErrAsked
		}
		if err := s.mayTell(ctx, tx, a.Actor.ID, now); err != nil {
			return err
		}
		request.UserID, request.ActorID, request.ClientID, request.Reason, request.TicketRef = a.Subject.ID, a.Actor.ID, a.Client.ID, a.Reason, a.TicketRef
		if err := tx.CreateSupportRequest(ctx, request); err != nil {
			return fmt.Errorf("create request: %w", err)
		}
		if s.Notices.Requests {
			if err := tx.QueueMail(ctx, storage.MailSupportRequest, request.UserID, request.ID, now); err != nil {
				return fmt.Errorf("tell the user: %w", err)
			}
		}
		data := storage.Data{"request": request.ID}
		if ask.Caller != nil {
			data["caller"] = ask.Caller.ID
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventSupportAccessRequested, ActorID: a.Actor.ID, SubjectID: a.Subject.ID, ClientID: a.Client.ID, Data: data,
		}, storage.Private{Reason: a.Reason, TicketRef: a.TicketRef}, r, now)
	})
	if err = s.Refused(ctx, err, ask, r, now); err != nil {
		return nil, err
	}
	return request, nil
}

// asked gathers what decides about a request, and decides.
func (s *Service) asked(ctx context.Context, tx *storage.Tx, ask Ask, now time.Time) (Attempt, error) {
	g, err := grounds(ctx, tx, &ask, now)
	if err != nil {
		return Attempt{}, err
	}
	if ask.Client.ID != "" {
		if ask.Client, err = tx.Client(ctx, ask.Client.ID); err != nil {
			return Attempt{}, fmt.Errorf("load client: %w", err)
		}
	}
	a, err := attemptOn(ctx, tx, g, ask, s.limits, nil, now)
	if err != nil {
		return a, err
	}
	return a, MayAsk(a)
}

// Report records that a user objects to an impersonation of them, once.
// storage.ErrNotFound: there is none of them with that id; storage.ErrSpent: they have
// reported it. The note is one that CleanNote returned.
func (s *Service) Report(ctx context.Context, id string, by *storage.User, note string, r storage.Request, now time.Time) error {
	return s.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.LockUser(ctx, by.ID); err != nil { // or it would be reported twice
			return err
		}
		i, err := tx.Impersonation(ctx, id)
		if err != nil {
			return err
		}
		if i.SubjectID != by.ID {
			return storage.ErrNotFound
		}
		reported, err := tx.Reported(ctx, []string{id})
		if err != nil {
			return err
		}
		if reported[id] {
			return storage.ErrSpent
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventImpersonationReported, ActorID: by.ID, SubjectID: by.ID, ClientID: i.ClientID,
			OrganizationID: i.OrganizationID, ImpersonationID: i.ID, Data: storage.Data{"reported": i.ActorID},
		}, storage.Private{Reason: note}, r, now)
	})
}
