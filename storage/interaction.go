package storage

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Interaction is an authorization request that waits for its person to sign in
// or decide. It belongs to one browser and is answered once.
type Interaction struct {
	IDHash      []byte `gorm:"primaryKey"`
	BrowserHash []byte
	ClientID    string
	Request     string // the request's parameters, form-encoded
	Draft       string // what the person had filled in, form-encoded
	RequestedAt Time   // when the request first arrived
	ExpiresAt   Time
	SpentAt     Time
}

// Interaction returns the one with this id that waits in this browser. What
// belongs to another browser is ErrNotFound; what was answered or ran out, ErrSpent.
func (q Queries) Interaction(ctx context.Context, idHash, browserHash []byte, now time.Time) (*Interaction, error) {
	var i Interaction
	if err := q.conn(ctx).Take(&i, "id_hash = ?", idHash).Error; err != nil {
		return nil, translate(err)
	}
	if len(i.BrowserHash) == 0 || !bytes.Equal(i.BrowserHash, browserHash) {
		return nil, ErrNotFound
	}
	if i.SpentAt.Set() || i.ExpiresAt.Passed(now) {
		return nil, ErrSpent
	}
	return &i, nil
}

// CreateInteraction adds an interaction.
func (tx *Tx) CreateInteraction(ctx context.Context, i *Interaction) error {
	return translate(tx.conn(ctx).Create(i).Error)
}

// DraftInteraction keeps what the person filled in so far.
func (tx *Tx) DraftInteraction(ctx context.Context, idHash []byte, draft string) error {
	return translate(tx.conn(ctx).Exec(
		`UPDATE interactions SET draft = ? WHERE id_hash = ? AND spent_at = 0`, draft, idHash).Error)
}

// SpendInteraction answers an interaction; ErrSpent: it was, or ran out.
func (tx *Tx) SpendInteraction(ctx context.Context, idHash []byte, now time.Time) error {
	return tx.spend(ctx, `UPDATE interactions SET spent_at = ? WHERE id_hash = ? AND spent_at = 0 AND expires_at > ?`,
		At(now), idHash, At(now))
}

// spend runs a conditional UPDATE that must change one row.
func (tx *Tx) spend(ctx context.Context, statement string, args ...any) error {
	n, err := tx.exec(ctx, statement, args...)
	if err == nil && n != 1 {
		return ErrSpent
	}
	return err
}

// ClaimInteraction binds an interaction that no browser has to this one.
// ErrNotFound: there is none that is free.
func (tx *Tx) ClaimInteraction(ctx context.Context, idHash, browserHash []byte) error {
	err := tx.spend(ctx, `UPDATE interactions SET browser_hash = ? WHERE id_hash = ? AND LENGTH(browser_hash) = 0 AND spent_at = 0`,
		browserHash, idHash)
	if errors.Is(err, ErrSpent) {
		return ErrNotFound
	}
	return err
}
