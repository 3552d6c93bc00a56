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

// keysLock is the advisory lock of LockKeys, in the space of those that have two
// numbers: no hash of a throttle is one of them.
const keysLock = 1

// LockKeys makes others who call it wait until the commit. SQLite has one writer
// anyway. It is to be the first statement, so that what is read next is current.
func (tx *Tx) LockKeys(ctx context.Context) error {
	if tx.dialect == SQLite {
		return nil
	}
	return translate(tx.conn(ctx).Exec(`SELECT pg_advisory_xact_lock(?, 0)`, keysLock).Error)
}

// CreateSigningKey adds a key.
func (tx *Tx) CreateSigningKey(ctx context.Context, k *SigningKey, now time.Time) error {
	k.CreatedAt = At(now)
	return translate(tx.conn(ctx).Create(k).Error)
}

// DeleteSigningKey removes a key.
func (tx *Tx) DeleteSigningKey(ctx context.Context, id string) error {
	return tx.spend(ctx, `DELETE FROM signing_keys WHERE id = ?`, id)
}
