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
	RetiredAt   Time   // when it left the key set; never again does it sign or verify
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

// RetireSigningKey takes a key out of the key set. ErrSpent: it is out, or gone.
func (tx *Tx) RetireSigningKey(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE signing_keys SET retired_at = ? WHERE id = ? AND retired_at = 0`, At(now), id)
}

// ReencryptSigningKey replaces the encrypted private half. ErrSpent: it is no
// longer the one that was read, or gone.
func (tx *Tx) ReencryptSigningKey(ctx context.Context, id string, old, encrypted []byte) error {
	return tx.spend(ctx, `UPDATE signing_keys SET private_key = ? WHERE id = ? AND private_key = ?`, encrypted, id, old)
}

// DeleteSigningKey removes a key.
func (tx *Tx) DeleteSigningKey(ctx context.Context, id string) error {
	return tx.spend(ctx, `DELETE FROM signing_keys WHERE id = ?`, id)
}
