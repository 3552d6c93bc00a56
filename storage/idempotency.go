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
	Status      int    // of the answer; zero: nothing was done yet; IdempotentDone: something was
	Sealed      []byte // the answer, encrypted
	CreatedAt   Time   `gorm:"autoCreateTime:false"`
	ExpiresAt   Time
}

// IdempotentDone is the status of a request that has changed something and was not
// answered.
const IdempotentDone = 1

const (
	// idempotentLease is how long whoever claimed a request has to change something,
	// which is longer than anybody waits for the answer. Then it is anybody's again.
	idempotentLease = 30 * time.Second
	// idempotentKept is how long it is known what became of a request.
	idempotentKept = 24 * time.Hour
)

// Fresh reports whether whoever claimed the request may still be about to answer it.
func (r *IdempotentRequest) Fresh(now time.Time) bool {
	return now.Sub(r.CreatedAt.Time()) < idempotentLease
}

// ClaimIdempotent lets the caller answer a request, alone of all that send it: then it
// returns nil. Otherwise it returns what the one that may has come to. A claim under
// which nothing was done in time is worth nothing: who made it is gone.
func (tx *Tx) ClaimIdempotent(ctx context.Context, r *IdempotentRequest, now time.Time) (*IdempotentRequest, error) {
	r.CreatedAt, r.ExpiresAt = At(now), At(now.Add(idempotentLease))
	n, err := tx.exec(ctx, `
		INSERT INTO idempotent_requests (key_hash, request_hash, status, sealed, created_at, expires_at) VALUES (?, ?, 0, NULL, ?, ?)
		ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash, status = 0, sealed = NULL,
			created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE idempotent_requests.expires_at <= ?`, r.KeyHash, r.RequestHash, r.CreatedAt, r.ExpiresAt, At(now))
	if err != nil || n == 1 {
		return nil, err
	}
	var was IdempotentRequest
	err = tx.scan(ctx, []any{&was.KeyHash, &was.RequestHash, &was.Status, &was.Sealed, &was.CreatedAt, &was.ExpiresAt},
		`SELECT key_hash, request_hash, status, sealed, created_at, expires_at FROM idempotent_requests WHERE key_hash = ?`, r.KeyHash)
	return &was, err
}

type claimKey struct{}

// Answering returns a context for answering a request that was claimed: whatever a Write
// under it changes is noted with the claim in the same transaction, and nothing is
// changed once somebody else has claimed the request (ErrSpent).
func Answering(ctx context.Context, r *IdempotentRequest) context.Context {
	return context.WithValue(ctx, claimKey{}, r)
}

// claimed is fn, and the note that it was done.
func claimed(ctx context.Context, fn func(*Tx) error) func(*Tx) error {
	r, _ := ctx.Value(claimKey{}).(*IdempotentRequest)
	if r == nil {
		return fn
	}
	return func(tx *Tx) error {
		if err := tx.FinishIdempotent(ctx, r, IdempotentDone, []byte{}); err != nil {
			return err
		}
		return fn(tx)
	}
}

// FinishIdempotent keeps the answer to a request that was claimed. ErrSpent: somebody
// else has claimed it since.
func (tx *Tx) FinishIdempotent(ctx context.Context, r *IdempotentRequest, status int, sealed []byte) error {
	return tx.spend(ctx, `UPDATE idempotent_requests SET status = ?, sealed = ?, expires_at = ? WHERE key_hash = ? AND created_at = ? AND status <= ?`,
		status, sealed, At(r.CreatedAt.Time().Add(idempotentKept)), r.KeyHash, r.CreatedAt, IdempotentDone)
}

// ReleaseIdempotent forgets a request that was claimed and came to nothing; one that
// changed something only if that is to be so.
func (tx *Tx) ReleaseIdempotent(ctx context.Context, r *IdempotentRequest, done bool) error {
	most := 0
	if done {
		most = IdempotentDone
	}
	err := tx.spend(ctx, `DELETE FROM idempotent_requests WHERE key_hash = ? AND created_at = ? AND status <= ?`, r.KeyHash, r.CreatedAt, most)
	if errors.Is(err, ErrSpent) {
		return nil
	}
	return err
}
