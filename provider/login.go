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

// Throttled says that somebody has to wait: too many sign-ins failed, or too much
// was asked for.
type Throttled struct{ Until time.Time }

func (t Throttled) Error() string { return "too many tries" }

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
	limits := signInLimits(identity, networkOf(r.IP))
	if err := notBlocked(ctx, p.store, now, limits); err != nil {
		return nil, err
	}
	ok, better, err := p.passwords.check(ctx, password, u.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok || !u.Active() {
		return nil, errors.Join(ErrCredentials, p.store.Write(ctx, func(tx *storage.Tx) error {
			if err := stillNotBlocked(ctx, tx, now, limits); err != nil {
				return err
			}
			return tx.Fail(ctx, limits, now)
		}))
	}
	return u, p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := stillNotBlocked(ctx, tx, now, limits); err != nil {
			return err
		}
		if better != "" {
			if err := tx.UpgradePasswordHash(ctx, u.ID, u.PasswordHash, better); err != nil {
				return err
			}
		}
		return tx.Forgive(ctx, limits[0].Key)
	})
}

// signInLimits count failures for an account as one network tries it, for the
// account as everybody tries it, and for the network. The first is strict. The
// second is wide and short, so that strangers cannot keep its owner out.
func signInLimits(identity, network string) []storage.ThrottleLimit {
	return []storage.ThrottleLimit{
		{Key: throttleKey(identity + " from " + network), Free: 5, Delay: doubling, Memory: time.Hour},
		{Key: throttleKey(identity), Free: 100, Delay: func(int64) time.Duration { return 5 * time.Second }, Memory: time.Hour},
		{Key: throttleKey("net:" + network), Free: 50, Delay: doubling, Memory: time.Hour},
	}
}

// stillNotBlocked asks once more when the password was looked at: of many tries at
// once those that come after the limit must not learn whether they were right.
func stillNotBlocked(ctx context.Context, tx *storage.Tx, now time.Time, limits []storage.ThrottleLimit) error {
	if err := tx.LockThrottle(ctx, limits[0].Key); err != nil {
		return err
	}
	return notBlocked(ctx, tx, now, limits)
}

func notBlocked(ctx context.Context, from interface {
	Blocked(ctx context.Context, keys [][]byte, now time.Time) (time.Time, error)
}, now time.Time, limits []storage.ThrottleLimit,
) error {
	keys := make([][]byte, len(limits))
	for i, l := range limits {
		keys[i] = l.Key
	}
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
