package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// Throttle counts failures under one key: an account identity or a network.
type Throttle struct {
	KeyHash      []byte `gorm:"primaryKey"`
	Failures     int64
	BlockedUntil Time
	ExpiresAt    Time // forgotten then
}

// Blocked returns until when any of the keys is blocked, zero when none is.
func (q Queries) Blocked(ctx context.Context, keys [][]byte, now time.Time) (time.Time, error) {
	args := []any{At(now)}
	for _, k := range keys {
		args = append(args, k)
	}
	var until Time
	err := q.scan(ctx, []any{&until}, `SELECT COALESCE(MAX(blocked_until), 0) FROM throttles WHERE blocked_until > ?
		AND key_hash IN (NULL`+strings.Repeat(", ?", len(keys))+`)`, args...)
	return until.Time(), err
}

// LockThrottle makes other tries under the same key wait until the commit. SQLite
// has one writer anyway.
func (tx *Tx) LockThrottle(ctx context.Context, key []byte) error {
	if tx.dialect == SQLite {
		return nil
	}
	n := int64(binary.BigEndian.Uint64(key)) //nolint:gosec // any 64 bits of the hash do
	return translate(tx.conn(ctx).Exec(`SELECT pg_advisory_xact_lock(?)`, n).Error)
}

// ThrottleLimit is how many failures are free and how long a block lasts after n of them.
type ThrottleLimit struct {
	Key    []byte
	Free   int64
	Delay  func(failures int64) time.Duration
	Memory time.Duration // forgotten after so long without a failure
}

// Fail counts one failure under each key.
func (tx *Tx) Fail(ctx context.Context, limits []ThrottleLimit, now time.Time) error {
	for _, l := range limits {
		var t Throttle
		err := tx.scan(ctx, []any{&t.Failures}, `
			INSERT INTO throttles (failures, key_hash, blocked_until, expires_at) VALUES (1, ?, 0, ?)
			ON CONFLICT (key_hash) DO UPDATE SET
				failures = CASE WHEN throttles.expires_at <= ? THEN 1 ELSE throttles.failures + 1 END,
				expires_at = excluded.expires_at
			RETURNING failures`, l.Key, At(now.Add(l.Memory)), At(now))
		if err != nil {
			return err
		}
		if t.Failures <= l.Free {
			continue
		}
		t.BlockedUntil = At(now.Add(l.Delay(t.Failures - l.Free)))
		t.ExpiresAt = max(At(now.Add(l.Memory)), t.BlockedUntil) // not forgotten while it blocks
		err = translate(tx.conn(ctx).Exec(`UPDATE throttles SET blocked_until = ?, expires_at = ? WHERE key_hash = ?`,
			t.BlockedUntil, t.ExpiresAt, l.Key).Error)
		if err != nil {
			return err
		}
	}
	return nil
}

// Forgive forgets the failures under a key.
func (tx *Tx) Forgive(ctx context.Context, key []byte) error {
	err := tx.spend(ctx, `DELETE FROM throttles WHERE key_hash = ?`, key)
	if errors.Is(err, ErrSpent) {
		return nil
	}
	return err
}

// Take counts one more under a key whose count begins anew with each window. Where
// there are limit already it counts nothing and returns when the window ends.
func (tx *Tx) Take(ctx context.Context, key []byte, limit int64, window time.Duration, now time.Time) (full time.Time, err error) {
	n, err := tx.exec(ctx, `
		INSERT INTO throttles (failures, key_hash, blocked_until, expires_at) VALUES (1, ?, 0, ?)
		ON CONFLICT (key_hash) DO UPDATE SET
			failures = CASE WHEN throttles.expires_at <= ? THEN 1 ELSE throttles.failures + 1 END,
			expires_at = CASE WHEN throttles.expires_at <= ? THEN excluded.expires_at ELSE throttles.expires_at END
		WHERE throttles.expires_at <= ? OR throttles.failures < ?`,
		key, At(now.Add(window)), At(now), At(now), At(now), limit)
	if err != nil || n == 1 {
		return time.Time{}, err
	}
	var until Time
	err = tx.scan(ctx, []any{&until}, `SELECT expires_at FROM throttles WHERE key_hash = ?`, key)
	return until.Time(), err
}
