package storage

import (
	"context"
	"time"
)

// How a ticket is held.
const (
	BindingActorSession = "actor_session" // by a sign-in of its actor
	BindingBearer       = "bearer"        // by whichever browser comes first
)

// ticketsKept is how long what became of a ticket can be asked for.
const ticketsKept = 30 * 24 * time.Hour

// Ticket is the single-use handle that starts an impersonation. Its ID is a name: it
// opens nothing by itself. Its token does, where Binding or Delivery say so.
type Ticket struct {
	ID             string `gorm:"primaryKey"`
	TokenHash      []byte
	ActorID        string
	SubjectID      string
	ClientID       string
	OrganizationID string
	LoginSID       string `gorm:"column:login_sid"` // the sign-in that must redeem it; empty: not known yet
	Binding        string // BindingActorSession or BindingBearer
	Reason         string
	TicketRef      string
	Access         string // read_only or full
	Duration       int64  // microseconds
	CreatedAt      Time   `gorm:"autoCreateTime:false"`
	ExpiresAt      Time
	RedeemedAt     Time
	RevokedAt      Time
	UpdatedAt      Time   `gorm:"autoUpdateTime:false"`
	KeptUntil      Time   // filled in by CreateTicket
	Entry          string // console or api
	Dialect        string // whose words it was asked for in; empty: ours
	CreatedBy      string // the caller of the API; empty: the actor
	CustomClaims   string // what tokens say besides, a JSON object; empty: nothing
	// ValidateConsent: the subject's own permission is a condition.
	ValidateConsent bool

	// What became of it: when a browser took it, which one where that is not a sign-in,
	// and the impersonation that it started.
	BoundAt         Time
	BrowserHash     []byte
	ImpersonationID string

	// How it is handed over.
	Delivery string // initiate_login, callback or link

	// What the answer looks like where the client did not ask for it (callback), and
	// where in the application the person wants to be.
	RedirectURI   string `gorm:"column:redirect_uri"`
	ResponseType  string
	ResponseMode  string
	State         string
	Scope         string
	TargetLinkURI string `gorm:"column:target_link_uri"`
}

// TicketStatus is what became of a ticket.
type TicketStatus string

// The statuses of a ticket. Only a pending one can be redeemed, or revoked.
const (
	TicketPending  TicketStatus = "pending"
	TicketAccepted TicketStatus = "accepted"
	TicketRevoked  TicketStatus = "revoked"
	TicketExpired  TicketStatus = "expired"
)

// Status says what became of the ticket.
func (t *Ticket) Status(now time.Time) TicketStatus {
	switch {
	case t.RevokedAt.Set():
		return TicketRevoked
	case t.RedeemedAt.Set():
		return TicketAccepted
	case t.ExpiresAt.Passed(now):
		return TicketExpired
	}
	return TicketPending
}

// AskedAt is when the actor, or whoever vouches for them, last said that they want it.
func (t *Ticket) AskedAt() Time { return max(t.CreatedAt, t.BoundAt) }

// Bound reports whether a browser has taken the ticket.
func (t *Ticket) Bound() bool { return t.LoginSID != "" || len(t.BrowserHash) > 0 }

// Pending reports whether the ticket may still be redeemed.
func (t *Ticket) Pending(now time.Time) bool {
	return t.Status(now) == TicketPending
}

// Ticket returns the ticket with this token, whatever its state, or ErrNotFound.
func (q Queries) Ticket(ctx context.Context, tokenHash []byte) (*Ticket, error) {
	return q.ticket(ctx, "token_hash = ?", tokenHash)
}

// TicketNamed returns the ticket with this id, whatever its state, or ErrNotFound.
func (q Queries) TicketNamed(ctx context.Context, id string) (*Ticket, error) {
	return q.ticket(ctx, "id = ?", id)
}

func (q Queries) ticket(ctx context.Context, where string, arg any) (*Ticket, error) {
	var t Ticket
	err := q.scan(ctx, t.fields(), `SELECT id, token_hash, actor_id, subject_id, client_id, organization_id, login_sid, binding, reason, ticket_ref,
		access, duration, created_at, expires_at, redeemed_at, revoked_at, updated_at, kept_until, entry, dialect, created_by, custom_claims,
		validate_consent, bound_at, browser_hash, impersonation_id, delivery, redirect_uri, response_type, response_mode, state, scope, target_link_uri
		FROM tickets WHERE `+where, arg)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

func (t *Ticket) fields() []any {
	return []any{
		&t.ID, &t.TokenHash, &t.ActorID, &t.SubjectID, &t.ClientID, &t.OrganizationID, &t.LoginSID, &t.Binding, &t.Reason, &t.TicketRef,
		&t.Access, &t.Duration, &t.CreatedAt, &t.ExpiresAt, &t.RedeemedAt, &t.RevokedAt, &t.UpdatedAt, &t.KeptUntil, &t.Entry, &t.Dialect, &t.CreatedBy, &t.CustomClaims,
		&t.ValidateConsent, &t.BoundAt, &t.BrowserHash, &t.ImpersonationID, &t.Delivery, &t.RedirectURI, &t.ResponseType, &t.ResponseMode, &t.State, &t.Scope, &t.TargetLinkURI,
	}
}

// PendingTickets returns what a sign-in may still redeem at a client, latest first.
func (q Queries) PendingTickets(ctx context.Context, loginSID, clientID string, now time.Time) ([]Ticket, error) {
	var all []Ticket
	err := q.conn(ctx).Where("login_sid = ? AND login_sid <> '' AND client_id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?",
		loginSID, clientID, At(now)).Order("created_at DESC, id").Find(&all).Error
	return all, translate(err)
}

// TicketSearch selects tickets by what is not empty.
type TicketSearch struct {
	Status                               TicketStatus
	Actor, Subject, Client, Organization string
	At                                   *Mark
	Limit                                int
}

// longestPending is more than any ticket waits, with the time that a browser gets which
// has taken it: what is older is not looked through for one that does.
const longestPending = 2 * time.Hour

// Tickets returns a page of the tickets, the latest first, and whether there are more.
func (q Queries) Tickets(ctx context.Context, s TicketSearch, now time.Time) ([]Ticket, bool, error) {
	db := q.conn(ctx)
	for _, c := range []struct{ condition, value string }{
		{"actor_id = ?", s.Actor},
		{"subject_id = ?", s.Subject},
		{"client_id = ?", s.Client},
		{"organization_id = ? AND organization_id <> ''", s.Organization}, // the index is of such only
	} {
		if c.value != "" {
			db = db.Where(c.condition, c.value)
		}
	}
	switch s.Status {
	case TicketPending:
		db = db.Where("redeemed_at = 0 AND revoked_at = 0 AND expires_at > ? AND created_at > ?", At(now), At(now.Add(-longestPending)))
	case TicketAccepted:
		db = db.Where("redeemed_at <> 0 AND revoked_at = 0")
	case TicketRevoked:
		db = db.Where("revoked_at <> 0")
	case TicketExpired:
		db = db.Where("redeemed_at = 0 AND revoked_at = 0 AND expires_at <= ?", At(now))
	}
	return pageByTime[Ticket](db, s.At, s.Limit, "created_at", "id")
}

// CreateTicket adds a ticket.
func (tx *Tx) CreateTicket(ctx context.Context, t *Ticket) error {
	t.UpdatedAt, t.KeptUntil = t.CreatedAt, At(t.CreatedAt.Time().Add(ticketsKept))
	return translate(tx.conn(ctx).Create(t).Error)
}

// pendingTicket is the condition under which a ticket may be changed.
const pendingTicket = ` WHERE id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?`

// RedeemTicket spends a ticket for an impersonation. ErrSpent: redeemed, revoked or run
// out.
func (tx *Tx) RedeemTicket(ctx context.Context, id, impersonationID string, now time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET redeemed_at = ?, impersonation_id = ?, updated_at = ?`+pendingTicket,
		At(now), impersonationID, At(now), id, At(now))
}

// BindTicket gives a ticket that nobody has yet to a sign-in, until expires. ErrSpent:
// redeemed, revoked, run out, or somebody has it.
func (tx *Tx) BindTicket(ctx context.Context, id, loginSID string, now, expires time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET login_sid = ?, bound_at = ?, expires_at = ?, updated_at = ?`+pendingTicket+
		` AND login_sid = '' AND binding = 'actor_session'`, loginSID, At(now), At(expires), At(now), id, At(now))
}

// BindTicketToBrowser is BindTicket for a ticket that needs no sign-in: the browser
// that comes first has it, by the hash of a reference of its own.
func (tx *Tx) BindTicketToBrowser(ctx context.Context, id string, browserHash []byte, now, expires time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET browser_hash = ?, bound_at = ?, expires_at = ?, updated_at = ?`+pendingTicket+
		` AND browser_hash IS NULL AND binding = 'bearer'`, browserHash, At(now), At(expires), At(now), id, At(now))
}

// RevokeTicket ends a ticket that is pending. ErrSpent: it is not.
func (tx *Tx) RevokeTicket(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET revoked_at = ?, updated_at = ?`+pendingTicket, At(now), At(now), id, At(now))
}
