package storage

import (
	"context"
	"time"
)

// SpendAssertion marks a client's assertion (RFC 7523) as used until it expires.
// ErrSpent: it was used before. On PostgreSQL a second use that comes at the same
// time waits for the first to be committed or undone.
func (tx *Tx) SpendAssertion(ctx context.Context, clientID, jti string, expires time.Time) error {
	return tx.spend(ctx, `INSERT INTO used_assertions (id_hash, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		Hash(clientID+"\x00"+jti), At(expires)) // no client id has a NUL
}
