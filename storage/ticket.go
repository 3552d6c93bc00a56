package storage

import (
	"context"
	"time"
)

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
	Binding        string // actor_session or bearer
	Reason         string
	TicketRef      string
	Access         string // read_only or full
	Duration       int64  // microseconds
	CreatedAt      Time   `gorm:"autoCreateTime:false"`
	ExpiresAt      Time
	RedeemedAt     Time
	RevokedAt      Time
	Entry          string // console or api
	Delivery       string // initiate_login, callback or link

	// What the answer looks like where the client did not ask for it (callback), and
	// where in the application the person wants to be.
	RedirectURI   string `gorm:"column:redirect_uri"`
	ResponseType  string
	ResponseMode  string
	State         string
	Scope         string
	TargetLinkURI string `gorm:"column:target_link_uri"`
}

// Pending reports whether the ticket may still be redeemed.
func (t *Ticket) Pending(now time.Time) bool {
	return !t.RedeemedAt.Set() && !t.RevokedAt.Set() && !t.ExpiresAt.Passed(now)
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
	if err := q.conn(ctx).Where(where, arg).Take(&t).Error; err != nil {
		return nil, translate(err)
	}
	return &t, nil
}

// PendingTickets returns what a sign-in may still redeem at a client, latest first.
func (q Queries) PendingTickets(ctx context.Context, loginSID, clientID string, now time.Time) ([]Ticket, error) {
	var all []Ticket
	err := q.conn(ctx).Where("login_sid = ? AND login_sid <> '' AND client_id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?",
		loginSID, clientID, At(now)).Order("created_at DESC, id").Find(&all).Error
	return all, translate(err)
}

// CreateTicket adds a ticket.
func (tx *Tx) CreateTicket(ctx context.Context, t *Ticket) error {
	return translate(tx.conn(ctx).Create(t).Error)
}

// pendingTicket is the condition under which a ticket may be changed.
const pendingTicket = ` WHERE id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?`

// RedeemTicket spends a ticket. ErrSpent: redeemed, revoked or run out.
func (tx *Tx) RedeemTicket(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET redeemed_at = ?`+pendingTicket, At(now), id, At(now))
}

// BindTicket gives a ticket that no sign-in has yet to one, until expires. ErrSpent:
// redeemed, revoked, run out, or somebody has it.
func (tx *Tx) BindTicket(ctx context.Context, id, loginSID string, now, expires time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET login_sid = ?, expires_at = ?`+pendingTicket+` AND login_sid = ''`,
		loginSID, At(expires), id, At(now))
}

// RevokeTicket ends a ticket that is pending. ErrSpent: it is not.
func (tx *Tx) RevokeTicket(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET revoked_at = ?`+pendingTicket, At(now), id, At(now))
}
