package storage

import (
	"context"
	"time"
)

// SigningKey is a key pair; the private half is encrypted by the caller.
type SigningKey struct {
	ID          string `gorm:"primaryKey"` // the kid
	Purpose     string // token or checkpoint
	Alg         string // RS256, ES256 or EdDSA
	PublicKey   []byte // PKIX
	PrivateKey  []byte // encrypted
	CreatedAt   Time   `gorm:"autoCreateTime:false"`
	ActivatesAt Time   // published before, signs from then on
	RetiredAt   Time   // leaves the key set then
}

// SigningKeys returns all keys, oldest first.
func (q Queries) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	var keys []SigningKey
	err := q.conn(ctx).Order("activates_at, id").Find(&keys).Error
	return keys, translate(err)
}

// CreateSigningKey adds a key.
func (tx *Tx) CreateSigningKey(ctx context.Context, k *SigningKey, now time.Time) error {
	k.CreatedAt = At(now)
	return translate(tx.conn(ctx).Create(k).Error)
}

// RetireSigningKey sets when a key leaves the key set.
func (tx *Tx) RetireSigningKey(ctx context.Context, id string, at time.Time) error {
	return tx.spend(ctx, `UPDATE signing_keys SET retired_at = ? WHERE id = ? AND retired_at = 0`, At(at), id)
}

// DeleteSigningKey removes a key.
func (tx *Tx) DeleteSigningKey(ctx context.Context, id string) error {
	return tx.spend(ctx, `DELETE FROM signing_keys WHERE id = ?`, id)
}
