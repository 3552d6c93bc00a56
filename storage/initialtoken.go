package storage

import (
	"context"
	"time"
)

// InitialAccessToken lets whoever has it register clients (RFC 7591 section 3).
type InitialAccessToken struct {
	ID          string `gorm:"primaryKey"`
	TokenHash   []byte
	Description string
	UsesLeft    int64
	CreatedAt   Time `gorm:"autoCreateTime:false"`
	ExpiresAt   Time
	RevokedAt   Time
}

// Live reports whether the token registers one more client.
func (t *InitialAccessToken) Live(now time.Time) bool {
	return t.UsesLeft > 0 && !t.RevokedAt.Set() && !t.ExpiresAt.Passed(now)
}

// InitialAccessToken returns the initial access token that has this hash, whatever
// its state, or ErrNotFound.
func (q Queries) InitialAccessToken(ctx context.Context, hash []byte) (*InitialAccessToken, error) {
	var t InitialAccessToken
	if err := q.conn(ctx).Take(&t, "token_hash = ?", hash).Error; err != nil {
		return nil, translate(err)
	}
	return &t, nil
}

// InitialAccessTokens returns all that were not swept yet, the latest first.
func (q Queries) InitialAccessTokens(ctx context.Context) ([]InitialAccessToken, error) {
	var all []InitialAccessToken
	err := q.conn(ctx).Order("created_at DESC, id").Find(&all).Error
	return all, translate(err)
}

// CreateInitialAccessToken adds an initial access token.
func (tx *Tx) CreateInitialAccessToken(ctx context.Context, t *InitialAccessToken) error {
	return translate(tx.conn(ctx).Create(t).Error)
}

// SpendInitialAccessToken takes one of its uses. ErrSpent: none is left, or it was
// revoked or ran out.
func (tx *Tx) SpendInitialAccessToken(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE initial_access_tokens SET uses_left = uses_left - 1
		WHERE id = ? AND uses_left > 0 AND expires_at > ? AND revoked_at = 0`, id, At(now))
}

// RevokeInitialAccessToken ends an initial access token; clients that were
// registered with it stay. ErrSpent: there is none with this id that could be used.
func (tx *Tx) RevokeInitialAccessToken(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE initial_access_tokens SET revoked_at = ?
		WHERE id = ? AND uses_left > 0 AND expires_at > ? AND revoked_at = 0`, At(now), id, At(now))
}
