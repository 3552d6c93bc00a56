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

const (
	impersonationEnabled = "impersonation.enabled"
	supportRule          = "impersonation.support_access"
)

// SupportRule says what follows from what users say about staff acting as them.
type SupportRule string

// The rules. What a user has said holds under the first two.
const (
	SupportOptional SupportRule = "optional" // who has said nothing may be acted as
	SupportRequired SupportRule = "required" // who has said nothing may not
	SupportManaged  SupportRule = "managed"  // users are not asked, and nothing they said counts
)

// ImpersonationSettings are what administrators change about impersonation while
// the product runs.
type ImpersonationSettings struct {
	Enabled  bool // the master switch; off where nobody set it
	Support  SupportRule
	PolicyID string // of the version in force; empty: there is none
}

// ImpersonationSettings returns what is set.
func (q Queries) ImpersonationSettings(ctx context.Context) (ImpersonationSettings, error) {
	s, _, err := q.ImpersonationTerms(ctx, "")
	return s, err
}

// ImpersonationTerms returns what is set, and what the user has said about staff
// acting as them; nil: nothing.
func (q Queries) ImpersonationTerms(ctx context.Context, userID string) (ImpersonationSettings, *SupportAccess, error) {
	var s ImpersonationSettings
	var enabled string
	said := &SupportAccess{UserID: userID}
	err := q.scan(ctx, []any{&enabled, &s.Support, &s.PolicyID, &said.Mode, &said.TicketRef, &said.ExpiresAt, &said.UpdatedAt, &said.SetBy}, `
		SELECT COALESCE((SELECT value FROM settings WHERE key = ?), 'false'), COALESCE((SELECT value FROM settings WHERE key = ?), 'optional'),
			COALESCE((SELECT id FROM policies ORDER BY version DESC LIMIT 1), ''),
			COALESCE(a.mode, ''), COALESCE(a.ticket_ref, ''), COALESCE(a.expires_at, 0), COALESCE(a.updated_at, 0), COALESCE(a.set_by, '')
		FROM (SELECT 1 AS one) o LEFT JOIN support_access a ON a.user_id = ?`, impersonationEnabled, supportRule, userID)
	if err != nil {
		return s, nil, err
	}
	if said.Mode == "" {
		said = nil
	}
	s.Enabled, err = strconv.ParseBool(enabled)
	return s, said, err
}

// ImpersonationEnabled reports the master switch; off where nobody set it.
func (q Queries) ImpersonationEnabled(ctx context.Context) (bool, error) {
	s, err := q.ImpersonationSettings(ctx)
	return s.Enabled, err
}

// SetSupportRule changes the rule. Starts wait for it, and find it; what runs and
// is no longer allowed is the caller's to end.
func (tx *Tx) SetSupportRule(ctx context.Context, rule SupportRule, by Cause, now time.Time) error {
	if err := tx.LockPolicy(ctx); err != nil {
		return err
	}
	if err := tx.set(ctx, supportRule, string(rule), now); err != nil {
		return err
	}
	return tx.Record(ctx, Event{
		Type: EventSettingsUpdated, ActorID: by.By, Data: Data{"key": supportRule, "value": string(rule)},
	}, Private{}, by.Request, now)
}

func (tx *Tx) set(ctx context.Context, key, value string, now time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO settings (key, value, updated_at) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, key, value, At(now))
	return err
}

// EnableImpersonation turns the master switch. Off is the kill switch: it ends
// every impersonation.
func (tx *Tx) EnableImpersonation(ctx context.Context, on bool, by Cause, now time.Time) error {
	if err := tx.set(ctx, impersonationEnabled, strconv.FormatBool(on), now); err != nil {
		return err
	}
	err := tx.Record(ctx, Event{
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
