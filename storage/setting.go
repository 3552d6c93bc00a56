package storage

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Setting is a value that is changed while the product runs.
type Setting struct {
	Key       string `gorm:"primaryKey"`
	Value     string
	UpdatedAt Time `gorm:"autoUpdateTime:false"`
}

const impersonationEnabled = "impersonation.enabled"

// ImpersonationEnabled reports the master switch; off where nobody set it.
func (q Queries) ImpersonationEnabled(ctx context.Context) (bool, error) {
	var value string
	err := q.scan(ctx, []any{&value}, `SELECT value FROM settings WHERE key = ?`, impersonationEnabled)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return strconv.ParseBool(value)
}

// EnableImpersonation turns the master switch. Off is the kill switch: it ends
// every impersonation.
func (tx *Tx) EnableImpersonation(ctx context.Context, on bool, by Cause, now time.Time) error {
	err := tx.conn(ctx).Exec(`
		INSERT INTO settings (key, value, updated_at) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
		impersonationEnabled, strconv.FormatBool(on), At(now)).Error
	if err != nil {
		return translate(err)
	}
	err = tx.Record(ctx, Event{
		Type: EventSettingsUpdated, ActorID: by.By, Data: Data{"key": impersonationEnabled, "value": on},
	}, Private{}, by.Request, now)
	if err != nil || on {
		return err
	}
	return tx.EndImpersonations(ctx, ImpersonationFilter{}, by.With(EndSwitchedOff), now)
}

const pairwiseSalt = "pairwise.salt"

// PairwiseSalt returns what pairwise subjects are made with. The first call stores
// what it is given; it never changes afterwards, or everybody would be somebody else.
func (s *Store) PairwiseSalt(ctx context.Context, fresh string) (string, error) {
	read := func() (salt string, err error) {
		err = s.scan(ctx, []any{&salt}, `SELECT value FROM settings WHERE key = ?`, pairwiseSalt)
		return salt, err
	}
	salt, err := read()
	if !errors.Is(err, ErrNotFound) {
		return salt, err
	}
	err = s.Write(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO settings (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			pairwiseSalt, fresh, At(time.Now()))
		return err
	})
	if err != nil {
		return "", err
	}
	return read()
}
