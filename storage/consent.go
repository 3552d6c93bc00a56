package storage

import (
	"context"
	"errors"
	"time"
)

// Consent is what a user allowed a client, for themselves. Impersonations never
// read or write it.
type Consent struct {
	UserID    string `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Scope     string // space-separated
	CreatedAt Time   `gorm:"autoCreateTime:false"`
	UpdatedAt Time   `gorm:"autoUpdateTime:false"`
}

// ConsentedScope returns the space-separated scopes that a user allowed a
// client, empty where there is no consent.
func (q Queries) ConsentedScope(ctx context.Context, userID, clientID string) (string, error) {
	var scope string
	err := q.scan(ctx, []any{&scope}, `SELECT scope FROM consents WHERE user_id = ? AND client_id = ?`,
		userID, clientID)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return scope, err
}

// PutConsent stores what a user allows a client, in place of what was before.
func (tx *Tx) PutConsent(ctx context.Context, userID, clientID, scope string, now time.Time) error {
	return translate(tx.conn(ctx).Exec(`
		INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scope = excluded.scope, updated_at = excluded.updated_at`,
		userID, clientID, scope, At(now), At(now)).Error)
}
