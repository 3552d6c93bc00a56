package impersonation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	// TicketLifetime is how long a ticket waits to be redeemed (SECURITY A21), and the
	// longest that one waits which needs no sign-in.
	TicketLifetime = 120 * time.Second
	// LongestTicket is the longest that a ticket waits for its actor to sign in: nobody
	// else can do anything with it.
	LongestTicket = time.Hour

	handlePrefix = "tkt_"
	handleLength = 30
)

// IsHandle reports whether text has the form of a ticket's id. No e-mail address has.
func IsHandle(text string) bool {
	return strings.HasPrefix(text, handlePrefix) && len(text) == handleLength
}

// Issue decides about what an actor asks for, and gives them a ticket for it: the
// same decision is made again when it is redeemed. t says how it is held and delivered,
// with which token and, where it is not TicketLifetime, until when; the rest is filled
// in. A refusal is a Denial, on the record.
func (s *Service) Issue(ctx context.Context, ask Ask, t *storage.Ticket, r storage.Request, now time.Time) error {
	t.ID, ask.IP = storage.NewID("tkt"), r.IP
	err := Write(ctx, s.store, func(tx *storage.Tx) error {
		a, err := s.attempt(ctx, tx, ask, now)
		if err != nil {
			return err
		}
		owed, err := decide(a, nil)
		if err != nil {
			return err
		}
		a = owed.narrow(a) // what is redeemed is what was decided about
		t.ActorID, t.SubjectID, t.ClientID, t.OrganizationID = a.Actor.ID, a.Subject.ID, a.Client.ID, a.Organization
		t.Reason, t.TicketRef, t.Access, t.Duration = a.Reason, a.TicketRef, string(a.Access), a.Duration.Microseconds()
		t.Entry, t.Dialect, t.CustomClaims, t.CreatedAt = ask.Entry, ask.Words.Dialect, ask.CustomClaims, storage.At(now)
		t.ValidateConsent = ask.RequireSupportAccess
		if !t.ExpiresAt.Set() {
			t.ExpiresAt = storage.At(now.Add(TicketLifetime))
		}
		data := storage.Data{"entry": t.Entry, "ticket": t.ID, "delivery": t.Delivery, "binding": t.Binding}
		if ask.Caller != nil {
			t.CreatedBy = ask.Caller.ID
			data["caller"] = t.CreatedBy
		}
		if err := tx.CreateTicket(ctx, t); err != nil {
			return fmt.Errorf("create ticket: %w", err)
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventImpersonationRequested, ActorID: t.ActorID, SubjectID: t.SubjectID, ClientID: t.ClientID,
			OrganizationID: t.OrganizationID, Data: ask.Words.note(data),
		}, storage.Private{Reason: t.Reason, TicketRef: t.TicketRef}, r, now)
	})
	return s.Refused(ctx, err, ask, r, now)
}

// Redeem returns what the ticket that a handle names asks for, in the sign-in that it
// was made in. A Denial: it cannot be redeemed here. One of somebody else, or of
// another browser, is withdrawn and on the record: somebody tried (SECURITY A21).
func (s *Service) Redeem(ctx context.Context, handle string, client *storage.Client, login *storage.Login, r storage.Request, now time.Time) (*Ask, error) {
	t, err := s.store.TicketNamed(ctx, handle)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, DenyTicketSpent
	}
	if err != nil {
		return nil, fmt.Errorf("load ticket: %w", err)
	}
	if t.ClientID != client.ID || t.ActorID != login.User.ID || t.LoginSID != login.SID {
		return nil, s.Foreign(ctx, t, login.User.ID, r, now)
	}
	if !t.Pending(now) {
		return nil, DenyTicketSpent
	}
	return AskOf(t, client, login), nil
}

// RedeemInBrowser is Redeem for a ticket that needs no sign-in, in the browser that has
// taken it, by the hash of its reference.
func (s *Service) RedeemInBrowser(ctx context.Context, t *storage.Ticket, client *storage.Client, browserHash []byte, r storage.Request, now time.Time) (*Ask, error) {
	if t.ClientID != client.ID || len(t.BrowserHash) == 0 || !bytes.Equal(t.BrowserHash, browserHash) {
		return nil, s.Foreign(ctx, t, "", r, now)
	}
	if !t.Pending(now) {
		return nil, DenyTicketSpent
	}
	return s.AskInBrowser(ctx, t, client)
}

// AskInBrowser returns what a ticket asks for that needs no sign-in: its caller vouches
// for its actor.
func (s *Service) AskInBrowser(ctx context.Context, t *storage.Ticket, client *storage.Client) (*Ask, error) {
	actor, err := s.store.User(ctx, t.ActorID)
	if err != nil {
		return nil, fmt.Errorf("load actor: %w", err)
	}
	ask := askOf(t, client)
	ask.Actor, ask.Caller = actor, &Caller{ID: t.CreatedBy}
	return ask, nil
}

// AskOf returns what a ticket asks for, on behalf of the person of login.
func AskOf(t *storage.Ticket, client *storage.Client, login *storage.Login) *Ask {
	ask := askOf(t, client)
	ask.Actor, ask.ActorLogin = &login.User, &login.LoginSession
	return ask
}

func askOf(t *storage.Ticket, client *storage.Client) *Ask {
	return &Ask{
		Client: client, SubjectID: t.SubjectID, Organization: t.OrganizationID,
		Reason: t.Reason, TicketRef: t.TicketRef, Access: Access(t.Access), Duration: time.Duration(t.Duration) * time.Microsecond,
		Entry: t.Entry, CustomClaims: t.CustomClaims, RequireSupportAccess: t.ValidateConsent, Ticket: t, Words: Words{Dialect: t.Dialect},
	}
}

// Revoke ends a ticket that is pending. storage.ErrSpent: it is not.
func (s *Service) Revoke(ctx context.Context, t *storage.Ticket, by storage.Cause, now time.Time) error {
	return s.store.Write(ctx, func(tx *storage.Tx) error { return revoke(ctx, tx, t, by, now) })
}

func revoke(ctx context.Context, tx *storage.Tx, t *storage.Ticket, by storage.Cause, now time.Time) error {
	if err := tx.RevokeTicket(ctx, t.ID, now); err != nil {
		return err
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventImpersonationRevoked, ActorID: by.By, SubjectID: t.SubjectID, ClientID: t.ClientID,
		OrganizationID: t.OrganizationID, Data: storage.Data{"ticket": t.ID, "for": t.ActorID},
	}, storage.Private{}, by.Request, now)
}

// Withdraw ends the tickets that wait for a client in a sign-in: its person decided
// otherwise.
func Withdraw(ctx context.Context, tx *storage.Tx, loginSID, clientID string, by storage.Cause, now time.Time) error {
	waiting, err := tx.PendingTickets(ctx, loginSID, clientID, now)
	if err != nil {
		return fmt.Errorf("load tickets: %w", err)
	}
	for _, t := range waiting {
		if err := revoke(ctx, tx, &t, by, now); err != nil && !errors.Is(err, storage.ErrSpent) {
			return fmt.Errorf("withdraw ticket: %w", err)
		}
	}
	return nil
}

// Foreign withdraws a ticket that somebody presented without being its actor, or
// elsewhere than it was made, and puts that on the record. by is their id, empty where
// nobody is signed in. It returns DenyTicketForeign.
func (s *Service) Foreign(ctx context.Context, t *storage.Ticket, by string, r storage.Request, now time.Time) error {
	return s.foreign(ctx, t, true, by, r, now)
}

// Seen is Foreign for a ticket that somebody else only looked at: it waits on, for its
// actor, whom alone it serves.
func (s *Service) Seen(ctx context.Context, t *storage.Ticket, by string, r storage.Request, now time.Time) error {
	return s.foreign(ctx, t, false, by, r, now)
}

func (s *Service) foreign(ctx context.Context, t *storage.Ticket, withdraw bool, by string, r storage.Request, now time.Time) error {
	limit := refusalsOf("ticket " + t.ID)
	err := s.store.Write(ctx, func(tx *storage.Tx) error {
		if withdraw {
			if err := tx.RevokeTicket(ctx, t.ID, now); err != nil && !errors.Is(err, storage.ErrSpent) { // a spent one is tried, too
				return err
			}
		}
		until, err := tx.Blocked(ctx, [][]byte{limit.Key}, now)
		if err != nil || !until.IsZero() {
			return err // as for refusals: it takes no sign-in to try a bearer's ticket again and again
		}
		if err := tx.Fail(ctx, []storage.ThrottleLimit{limit}, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventImpersonationDenied, ActorID: by, SubjectID: t.SubjectID, ClientID: t.ClientID,
			Data: storage.Data{"denial": string(DenyTicketForeign), "entry": t.Entry, "ticket": t.ID, "made_by": t.ActorID, "withdrawn": withdraw},
		}, storage.Private{}, r, now)
	})
	if err != nil {
		return err
	}
	return DenyTicketForeign
}
