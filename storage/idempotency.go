package storage

import (
	"context"
	"errors"
	"time"
)

// IdempotentRequest is a request that is made once, however often it is sent.
type IdempotentRequest struct {
	KeyHash     []byte `gorm:"primaryKey"` // of who sends it and of its Idempotency-Key
	RequestHash []byte // of what is asked for
	Status      int    // of the answer; zero: there is none yet
	Sealed      []byte // the answer, encrypted
	CreatedAt   Time   `gorm:"autoCreateTime:false"`
	ExpiresAt   Time
}

// ClaimIdempotent lets the caller answer a request, alone of all that send it: then it
// returns nil. Otherwise it returns what the one that may has come to.
func (tx *Tx) ClaimIdempotent(ctx context.Context, r *IdempotentRequest, now time.Time) (*IdempotentRequest, error) {
	n, err := tx.exec(ctx, `
		INSERT INTO idempotent_requests (key_hash, request_hash, status, sealed, created_at, expires_at) VALUES (?, ?, 0, NULL, ?, ?)
		ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash, status = 0, sealed = NULL,
			created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE idempotent_requests.expires_at <= ?`, r.KeyHash, r.RequestHash, At(now), r.ExpiresAt, At(now))
	if err != nil || n == 1 {
		return nil, err
	}
	var was IdempotentRequest
	err = tx.scan(ctx, []any{&was.KeyHash, &was.RequestHash, &was.Status, &was.Sealed, &was.CreatedAt, &was.ExpiresAt},
		`SELECT key_hash, request_hash, status, sealed, created_at, expires_at FROM idempotent_requests WHERE key_hash = ?`, r.KeyHash)
	return &was, err
}

// FinishIdempotent keeps the answer to a request that was claimed.
func (tx *Tx) FinishIdempotent(ctx context.Context, keyHash []byte, status int, sealed []byte) error {
	return tx.spend(ctx, `UPDATE idempotent_requests SET status = ?, sealed = ? WHERE key_hash = ? AND status = 0`, status, sealed, keyHash)
}

// ReleaseIdempotent forgets a request that was claimed and came to nothing.
func (tx *Tx) ReleaseIdempotent(ctx context.Context, keyHash []byte) error {
	err := tx.spend(ctx, `DELETE FROM idempotent_requests WHERE key_hash = ? AND status = 0`, keyHash)
	if errors.Is(err, ErrSpent) {
		return nil
	}
	return err
}
