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
