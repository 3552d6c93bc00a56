package storage

import (
	"context"
	"time"
)

// Ticket is the single-use handle that starts an impersonation.
type Ticket struct {
	ID             string `gorm:"primaryKey"`
	TokenHash      []byte
	ActorID        string
	SubjectID      string
	ClientID       string
	OrganizationID string
	LoginSID       string `gorm:"column:login_sid"` // the sign-in that must redeem it
	Binding        string // actor_session or bearer
	Reason         string
	TicketRef      string
	Access         string // read_only or full
	Duration       int64  // microseconds
	CreatedAt      Time   `gorm:"autoCreateTime:false"`
	ExpiresAt      Time
	RedeemedAt     Time
	RevokedAt      Time
}

// Ticket returns the ticket with this token, whatever its state, or ErrNotFound.
func (q Queries) Ticket(ctx context.Context, tokenHash []byte) (*Ticket, error) {
	var t Ticket
	if err := q.conn(ctx).Take(&t, "token_hash = ?", tokenHash).Error; err != nil {
		return nil, translate(err)
	}
	return &t, nil
}

// CreateTicket adds a ticket.
func (tx *Tx) CreateTicket(ctx context.Context, t *Ticket) error {
	return translate(tx.conn(ctx).Create(t).Error)
}

// RedeemTicket spends a ticket. ErrSpent: redeemed, revoked or run out.
func (tx *Tx) RedeemTicket(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE tickets SET redeemed_at = ? WHERE id = ? AND redeemed_at = 0 AND revoked_at = 0 AND expires_at > ?`,
		At(now), id, At(now))
}
