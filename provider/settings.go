package provider

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Settings changes what administrators decide while the product runs. Each method is
// one Write that holds the change and its event, and ends every impersonation that the
// change no longer allows.
type Settings struct{ store *storage.Store }

// NewSettings returns Settings on an open, migrated store.
func NewSettings(store *storage.Store) *Settings { return &Settings{store} }

// NewValues are settings that change; nil: this one stays as it is.
type NewValues struct {
	ImpersonationEnabled *bool                // the master switch; off is the kill switch
	Support              *storage.SupportRule // what follows from what users say about staff acting as them
}

// Change changes settings, all of them or none.
func (s *Settings) Change(ctx context.Context, v NewValues, by storage.Cause, now time.Time) error {
	if rule := v.Support; rule != nil && !slices.Contains(SupportRules, *rule) {
		return fmt.Errorf("support access %q: want %s, %s or %s", *rule, storage.SupportOptional, storage.SupportRequired, storage.SupportManaged)
	}
	return impersonation.Change(ctx, s.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		if on := v.ImpersonationEnabled; on != nil {
			if err := tx.EnableImpersonation(ctx, *on, by, now); err != nil {
				return err
			}
		}
		if v.Support == nil {
			return nil
		}
		if err := tx.SetSupportRule(ctx, *v.Support, by, now); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{})
	})
}

// EnableImpersonation turns the master switch. Off is the kill switch: it ends every
// impersonation.
func (s *Settings) EnableImpersonation(ctx context.Context, on bool, by storage.Cause, now time.Time) error {
	return s.Change(ctx, NewValues{ImpersonationEnabled: &on}, by, now)
}

// SupportRules are the rules about support access, the most open first.
var SupportRules = []storage.SupportRule{storage.SupportManaged, storage.SupportOptional, storage.SupportRequired}

// SetSupportRule changes what follows from what users say about staff acting as them.
func (s *Settings) SetSupportRule(ctx context.Context, rule storage.SupportRule, by storage.Cause, now time.Time) error {
	return s.Change(ctx, NewValues{Support: &rule}, by, now)
}
