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

// Application is a client to which a user is signed in, or which they allowed something.
type Application struct {
	ClientID  string
	Name      string // empty: the client is gone
	ClientURI string `gorm:"column:client_uri"`
	Scope     string // that they agreed to, space-separated; empty: nothing was asked
	AgreedAt  Time
	Grants    int64 // live ones
	LastUsed  Time  // when the last of the live ones began
}

// Applications returns a user's, by name. What others did as the user is not theirs.
func (q Queries) Applications(ctx context.Context, userID string, now time.Time) ([]Application, error) {
	var found []Application
	err := q.conn(ctx).Raw(`
		SELECT ids.client_id, COALESCE(c.name, '') AS name, COALESCE(c.client_uri, '') AS client_uri, COALESCE(k.scope, '') AS scope,
			COALESCE(k.updated_at, 0) AS agreed_at, COALESCE(g.grants, 0) AS grants, COALESCE(g.last_used, 0) AS last_used
		FROM (SELECT client_id FROM consents WHERE user_id = ? UNION
			SELECT client_id FROM grants WHERE user_id = ? AND impersonation_id = '' AND revoked_at = 0 AND expires_at > ?) ids
		LEFT JOIN clients c ON c.id = ids.client_id
		LEFT JOIN consents k ON k.client_id = ids.client_id AND k.user_id = ?
		LEFT JOIN (SELECT client_id, COUNT(*) AS grants, MAX(created_at) AS last_used FROM grants
			WHERE user_id = ? AND impersonation_id = '' AND revoked_at = 0 AND expires_at > ? GROUP BY client_id) g ON g.client_id = ids.client_id
		ORDER BY name, ids.client_id`, userID, userID, At(now), userID, userID, At(now)).Scan(&found).Error
	return found, translate(err)
}

// RevokeConsent takes back what a user allows a client, and ends the grants that it
// got for them. ErrNotFound: there is neither. What others did as the user is not theirs.
func (tx *Tx) RevokeConsent(ctx context.Context, userID, clientID string, now time.Time) error {
	consents, err := tx.exec(ctx, `DELETE FROM consents WHERE user_id = ? AND client_id = ?`, userID, clientID)
	if err != nil {
		return err
	}
	grants, err := tx.exec(ctx, `UPDATE grants SET revoked_at = ? WHERE user_id = ? AND client_id = ? AND impersonation_id = '' AND revoked_at = 0 AND expires_at > ?`,
		At(now), userID, clientID, At(now))
	if err == nil && consents+grants == 0 {
		return ErrNotFound
	}
	return err
}
