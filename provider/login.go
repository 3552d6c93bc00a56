package provider

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Throttled says that sign-in has to wait.
type Throttled struct{ Until time.Time }

func (t Throttled) Error() string { return "too many failed sign-ins" }

// ErrCredentials says that name and password do not belong together, and nothing more.
var ErrCredentials = errors.New("wrong name or password")

// CheckPassword returns the active user whom name and password belong to. Who is
// unknown, disabled or without a password is refused in the same words and the
// same time as who mistypes (SECURITY D11). Failures are counted by account, not
// by spelling, and by network (D09).
func (p *Provider) CheckPassword(ctx context.Context, name, password string, r storage.Request, now time.Time) (*storage.User, error) {
	u, err := p.store.UserByEmail(ctx, name)
	identity := "name:" + storage.EmailKey(name)
	switch {
	case err == nil:
		identity = "user:" + u.ID
	case errors.Is(err, storage.ErrNotFound):
		u = &storage.User{}
	default:
		return nil, fmt.Errorf("load user: %w", err)
	}
	account, network := throttleKey(identity), throttleKey("net:"+networkOf(r.IP))
	if err := notBlocked(ctx, p.store, now, account, network); err != nil {
		return nil, err
	}
	ok, better, err := p.passwords.check(ctx, password, u.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok || !u.Active() {
		return nil, errors.Join(ErrCredentials, p.store.Write(ctx, func(tx *storage.Tx) error {
			if err := stillNotBlocked(ctx, tx, now, account, network); err != nil {
				return err
			}
			return tx.Fail(ctx, []storage.ThrottleLimit{
				{Key: account, Free: 5, Delay: doubling, Memory: time.Hour},
				{Key: network, Free: 50, Delay: doubling, Memory: time.Hour},
			}, now)
		}))
	}
	return u, p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := stillNotBlocked(ctx, tx, now, account, network); err != nil {
			return err
		}
		if better != "" {
			if err := tx.UpgradePasswordHash(ctx, u.ID, u.PasswordHash, better); err != nil {
				return err
			}
		}
		return tx.Forgive(ctx, account)
	})
}

// stillNotBlocked asks once more when the password was looked at: of many tries at
// once those that come after the limit must not learn whether they were right.
func stillNotBlocked(ctx context.Context, tx *storage.Tx, now time.Time, account, network []byte) error {
	if err := tx.LockThrottle(ctx, account); err != nil {
		return err
	}
	return notBlocked(ctx, tx, now, account, network)
}

func notBlocked(ctx context.Context, from interface {
	Blocked(ctx context.Context, keys [][]byte, now time.Time) (time.Time, error)
}, now time.Time, keys ...[]byte,
) error {
	until, err := from.Blocked(ctx, keys, now)
	if err != nil {
		return fmt.Errorf("load throttle: %w", err)
	}
	if !until.IsZero() {
		return Throttled{until}
	}
	return nil
}

// doubling is how long the next try has to wait: 1 s, 2 s, 4 s, up to 15 minutes.
// Nobody is locked out for good by a stranger.
func doubling(failures int64) time.Duration {
	const longest = 15 * time.Minute
	if failures > 10 {
		return longest
	}
	return min(longest, time.Second<<(failures-1))
}

func throttleKey(what string) []byte {
	sum := sha256.Sum256([]byte(what))
	return sum[:]
}

// networkOf returns the /24 or /64 of an address; the address itself where it is none.
func networkOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	bits := 24
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	prefix, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return ip
	}
	return prefix.String()
}
