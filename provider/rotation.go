package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	// publishAhead is how long a key is published before it signs (SECURITY I03).
	publishAhead = 24 * time.Hour
	// takeUp is how much later than the database says a process may begin to sign
	// with another key: it looks every few seconds, by a clock of its own.
	takeUp = 5 * time.Minute
)

// KeyState is what a key does.
type KeyState string

// The states of a key, in the order in which it has them.
const (
	KeyNext      KeyState = "next"      // is published and will sign
	KeySigning   KeyState = "signing"   // signs
	KeyVerifying KeyState = "verifying" // is published for what it signed
	KeyRetired   KeyState = "retired"   // was taken out of the key set
)

// KeyStatus is a key and what it does.
type KeyStatus struct {
	storage.SigningKey
	State KeyState
	// Until is when what a replaced token key signed is of no more use.
	Until time.Time
}

// KeyStatuses says what each of the keys does, which are in the order of their
// activation. longestToken is how long a token is of use.
func KeyStatuses(keys []storage.SigningKey, longestToken time.Duration, now time.Time) []KeyStatus {
	signs := signing(keys, now)
	all := make([]KeyStatus, len(keys))
	for i, key := range keys {
		s := KeyStatus{SigningKey: key, State: KeyVerifying}
		switch {
		case key.RetiredAt.Set():
			s.State = KeyRetired
		case signs[key.ID]:
			s.State = KeySigning
		case !key.ActivatesAt.Passed(now):
			s.State = KeyNext
		case key.Purpose == purposeToken:
			s.Until = replacedAt(keys, i).Add(takeUp + longestToken)
		}
		all[i] = s
	}
	return all
}

// signing returns the ids of the keys that sign: of each purpose and algorithm the
// last whose time has come. The first signs although its maker's clock is ahead.
func signing(keys []storage.SigningKey, now time.Time) map[string]bool {
	last := map[string]string{}
	for _, key := range keys {
		kind := key.Purpose + key.Alg
		if _, found := last[kind]; !key.RetiredAt.Set() && (!found || key.ActivatesAt.Passed(now)) {
			last[kind] = key.ID
		}
	}
	ids := map[string]bool{}
	for _, id := range last {
		ids[id] = true
	}
	return ids
}

// replacedAt returns when the key at i stops to sign, the zero time where nothing
// follows it.
func replacedAt(keys []storage.SigningKey, i int) time.Time {
	for _, later := range keys[i+1:] {
		if later.Purpose == keys[i].Purpose && later.Alg == keys[i].Alg && !later.RetiredAt.Set() {
			return later.ActivatesAt.Time()
		}
	}
	return time.Time{}
}

// due is what the token keys of a database need.
type due struct {
	next []string             // algorithms whose next key is to be published
	gone []storage.SigningKey // keys whose last token is of no more use
}

// keysDue decides what is due, from nothing but the keys, which are in the order of
// their activation. An algorithm gets its next key a day before the newest one
// has signed for the interval, which is never while one is still to sign: a clock
// that is set back or forth makes no second one. An interval of zero makes none.
func keysDue(keys []storage.SigningKey, interval, longestToken time.Duration, now time.Time) due {
	var d due
	newest := map[string]storage.SigningKey{}
	for i, key := range keys {
		if key.Purpose != purposeToken {
			continue
		}
		if key.RetiredAt.Set() {
			if !key.RetiredAt.Time().Add(longestToken).After(now) { // shown in lists for as long
				d.gone = append(d.gone, key)
			}
			continue
		}
		newest[key.Alg] = key
		if at := replacedAt(keys, i); !at.IsZero() && !at.Add(takeUp+longestToken).After(now) {
			d.gone = append(d.gone, key)
		}
	}
	for _, alg := range []string{algRS256, algES256} {
		key, found := newest[alg]
		if found && interval > 0 && key.ActivatesAt.Passed(now) && !RotatesAt(key, interval).After(now) {
			d.next = append(d.next, alg)
		}
	}
	return d
}

// RotatesAt returns when the successor of the newest key of an algorithm is
// published. An interval of less than a day is a day.
func RotatesAt(newest storage.SigningKey, interval time.Duration) time.Time {
	return newest.ActivatesAt.Time().Add(max(0, interval-publishAhead))
}

// Maintained is what Maintain did, by key id; what it encrypted anew may be a webhook.
type Maintained struct {
	Published, Removed, Reencrypted []string
}

// Maintain does what is due: it encrypts with the first secret what only an
// earlier one opens, publishes next keys, removes those whose last token is of no
// more use, and loads all. Of several processes that do it at once one does each.
func (k *Keyring) Maintain(ctx context.Context, interval, longestToken time.Duration, now time.Time) (Maintained, error) {
	reencrypted, err := k.reencrypt(ctx, now)
	if err == nil {
		var webhooks []string
		webhooks, err = k.reencryptWebhooks(ctx, now)
		reencrypted = append(reencrypted, webhooks...)
	}
	if err != nil {
		return Maintained{Reencrypted: reencrypted}, err
	}
	published, removed, err := k.settle(ctx, interval, longestToken, storage.Cause{}, now)
	return Maintained{published, removed, reencrypted}, err
}

// Prune removes token keys that were replaced so long ago that nothing they signed
// is of use, and returns their ids.
func (k *Keyring) Prune(ctx context.Context, longestToken time.Duration, by storage.Cause, now time.Time) ([]string, error) {
	_, removed, err := k.settle(ctx, 0, longestToken, by, now)
	return removed, err
}

// settle does what keysDue says and loads the outcome. Keys are made before the
// Write, which decides again on what it reads under the lock.
func (k *Keyring) settle(
	ctx context.Context, interval, longestToken time.Duration, by storage.Cause, now time.Time,
) (published, removed []string, err error) {
	keys, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("load keys: %w", err)
	}
	d := keysDue(keys, interval, longestToken, now)
	if len(d.next)+len(d.gone) == 0 {
		return nil, nil, k.Load(ctx, now)
	}
	made := map[string]*storage.SigningKey{}
	for _, alg := range d.next {
		if made[alg], err = k.generate(purposeToken, alg, now.Add(publishAhead)); err != nil {
			return nil, nil, err
		}
	}
	err = k.locked(ctx, func(tx *storage.Tx, keys []storage.SigningKey) error {
		published, removed = nil, nil
		d := keysDue(keys, interval, longestToken, now)
		for _, alg := range d.next {
			if made[alg] == nil { // it was not due a moment ago; the next time will see
				continue
			}
			if err := storeKey(ctx, tx, made[alg], by, now); err != nil {
				return err
			}
			published = append(published, made[alg].ID)
		}
		for _, key := range d.gone {
			if err := tx.DeleteSigningKey(ctx, key.ID); err != nil {
				return err
			}
			removed = append(removed, key.ID)
			if key.RetiredAt.Set() { // which was recorded
				continue
			}
			if err := recordRetired(ctx, tx, key, "replaced", by, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("settle keys: %w", err)
	}
	return published, removed, k.Load(ctx, now)
}

// NextKey is a token key that is published and still to sign.
type NextKey struct {
	storage.SigningKey
	Made bool // just now; otherwise it was there before
}

// Rotate publishes the next token key of each algorithm, which signs from 24 hours
// later on, unless one is published that is still to sign. Either all are, or none.
func (k *Keyring) Rotate(ctx context.Context, algs []string, by storage.Cause, now time.Time) (next []NextKey, err error) {
	rows, err := k.generateTokens(algs, now.Add(publishAhead))
	if err != nil {
		return nil, err
	}
	err = k.locked(ctx, func(tx *storage.Tx, keys []storage.SigningKey) error {
		next = nil
		for _, row := range rows {
			waits := slices.IndexFunc(keys, func(key storage.SigningKey) bool {
				return key.Purpose == purposeToken && key.Alg == row.Alg && !key.RetiredAt.Set() && !key.ActivatesAt.Passed(now)
			})
			if waits >= 0 {
				next = append(next, NextKey{SigningKey: keys[waits]})
				continue
			}
			next = append(next, NextKey{SigningKey: *row, Made: true})
			if err := storeKey(ctx, tx, row, by, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store keys: %w", err)
	}
	return next, k.Load(ctx, now)
}

// Replace is for keys that somebody else may have: a new token key of each
// algorithm signs at once, and every other one leaves the key set, so that nothing
// they signed is believed any more. Either all are replaced, or none.
func (k *Keyring) Replace(ctx context.Context, algs []string, by storage.Cause, now time.Time) error {
	rows, err := k.generateTokens(algs, now)
	if err != nil {
		return err
	}
	err = k.locked(ctx, func(tx *storage.Tx, keys []storage.SigningKey) error {
		for _, key := range keys {
			if key.Purpose != purposeToken || !slices.Contains(algs, key.Alg) || key.RetiredAt.Set() {
				continue
			}
			if err := tx.RetireSigningKey(ctx, key.ID, now); err != nil {
				return err
			}
			if err := recordRetired(ctx, tx, key, "emergency", by, now); err != nil {
				return err
			}
		}
		for _, row := range rows {
			if err := storeKey(ctx, tx, row, by, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replace keys: %w", err)
	}
	return k.Load(ctx, now)
}

// generateTokens makes a token key of each algorithm, one where it is named twice.
func (k *Keyring) generateTokens(algs []string, activates time.Time) ([]*storage.SigningKey, error) {
	var rows []*storage.SigningKey
	for i, alg := range algs {
		if alg != algRS256 && alg != algES256 {
			return nil, fmt.Errorf("algorithm %q: want RS256 or ES256", alg)
		}
		if slices.Contains(algs[:i], alg) {
			continue
		}
		row, err := k.generate(purposeToken, alg, activates)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// locked runs fn on the keys as they are, while nobody else changes them.
func (k *Keyring) locked(ctx context.Context, fn func(*storage.Tx, []storage.SigningKey) error) error {
	return k.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.LockKeys(ctx); err != nil {
			return err
		}
		keys, err := tx.SigningKeys(ctx)
		if err != nil {
			return err
		}
		return fn(tx, keys)
	})
}

func recordRetired(ctx context.Context, tx *storage.Tx, key storage.SigningKey, why string, by storage.Cause, now time.Time) error {
	return tx.Record(ctx, storage.Event{
		Type: storage.EventKeyRetired, ActorID: by.By, Data: storage.Data{"kid": key.ID, "alg": key.Alg, "reason": why},
	}, storage.Private{}, by.Request, now)
}

// reencrypt encrypts with the first secret what only an earlier one opens, each key
// by one conditional UPDATE. A key that none opens is left as it is: Load
// says so where that matters.
func (k *Keyring) reencrypt(ctx context.Context, now time.Time) (ids []string, err error) {
	keys, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	for _, key := range keys {
		plain, previous, err := k.unseal(key)
		if err != nil || !previous {
			continue
		}
		encrypted := k.seal(key.ID, plain)
		err = k.store.Write(ctx, func(tx *storage.Tx) error {
			if err := tx.ReencryptSigningKey(ctx, key.ID, key.PrivateKey, encrypted); err != nil {
				return err
			}
			return tx.Record(ctx, storage.Event{
				Type: storage.EventKeyReencrypted, Data: storage.Data{"kid": key.ID, "alg": key.Alg, "purpose": key.Purpose},
			}, storage.Private{}, storage.Request{}, now)
		})
		switch {
		case errors.Is(err, storage.ErrSpent): // another process was first
		case err != nil:
			return ids, fmt.Errorf("encrypt key %s anew: %w", key.ID, err)
		default:
			ids = append(ids, key.ID)
		}
	}
	return ids, nil
}

// Sealed says how the private keys of the database are encrypted, by key id: with
// an earlier secret, and with none that is known.
func (k *Keyring) Sealed(keys []storage.SigningKey) (previous, unknown []string) {
	for _, key := range keys {
		switch _, earlier, err := k.unseal(key); {
		case err != nil:
			unknown = append(unknown, key.ID)
		case earlier:
			previous = append(previous, key.ID)
		}
	}
	return previous, unknown
}
