package storage

import (
	"context"
	"time"
)

// PushedRequest is an authorization request that a client sent ahead (RFC 9126).
type PushedRequest struct {
	IDHash    []byte `gorm:"primaryKey"` // of the end of its request_uri
	ClientID  string
	Request   string // the parameters, form-encoded
	ExpiresAt Time
	UsedAt    Time
}

// CreatePushedRequest adds a pushed request.
func (tx *Tx) CreatePushedRequest(ctx context.Context, r *PushedRequest) error {
	return translate(tx.conn(ctx).Create(r).Error)
}

// SpendPushedRequest returns the parameters of a client's pushed request, once.
// ErrSpent: it was used, ran out, is another client's, or never was.
func (tx *Tx) SpendPushedRequest(ctx context.Context, idHash []byte, clientID string, now time.Time) (string, error) {
	err := tx.spend(ctx, `UPDATE pushed_requests SET used_at = ? WHERE id_hash = ? AND client_id = ? AND used_at = 0 AND expires_at > ?`,
		At(now), idHash, clientID, At(now))
	if err != nil {
		return "", err
	}
	var request string
	return request, tx.scan(ctx, []any{&request}, `SELECT request FROM pushed_requests WHERE id_hash = ?`, idHash)
}
