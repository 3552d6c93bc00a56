package storage

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		limit := ThrottleLimit{
			Key: Hash("ada"), Free: 3, Memory: time.Hour,
			Delay: func(n int64) time.Duration { return time.Second << (n - 1) },
		}
		network := limit
		network.Key, network.Free = Hash("192.0.2.0/24"), 100
		blocked := func(now time.Time, keys ...string) time.Duration {
			t.Helper()
			var hashes [][]byte
			for _, k := range keys {
				hashes = append(hashes, Hash(k))
			}
			until, err := s.Blocked(ctx, hashes, now)
			if err != nil {
				t.Fatal(err)
			}
			if until.IsZero() {
				return 0
			}
			return until.Sub(At(t0).Time())
		}
		fail := func(now time.Time) {
			t.Helper()
			write(t, s, func(ctx context.Context, tx *Tx) error { return tx.Fail(ctx, []ThrottleLimit{limit, network}, now) })
		}
		if got := blocked(t0); got != 0 {
			t.Errorf("no keys: got %v", got)
		}
		for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8} {
			fail(t0)
			if got := blocked(t0, "192.0.2.0/24", "ada"); got != want*time.Second {
				t.Errorf("after %d failures: got blocked for %v, want %vs", i+1, got, int64(want))
			}
		}
		if got := blocked(t0, "192.0.2.0/24", "grace"); got != 0 {
			t.Errorf("others: got blocked for %v", got)
		}
		if got := blocked(t0.Add(8*time.Second), "ada"); got != 0 {
			t.Errorf("when it is over: got blocked for %v", got)
		}

		// Forgotten an hour after the last failure: the count begins anew.
		fail(t0.Add(time.Hour - time.Second))
		if got := blocked(t0.Add(time.Hour-time.Second), "ada"); got != time.Hour-time.Second+16*time.Second {
			t.Errorf("just remembered: got blocked for %v", got)
		}
		fail(t0.Add(2 * time.Hour))
		if got := blocked(t0.Add(2*time.Hour), "ada"); got != 0 {
			t.Errorf("forgotten: got blocked for %v", got)
		}
		forgive := func(ctx context.Context, tx *Tx) error { return tx.Forgive(ctx, Hash("ada")) }
		write(t, s, forgive)
		write(t, s, forgive)
		for range 3 {
			fail(t0)
		}
		if got := blocked(t0, "ada"); got != 0 {
			t.Errorf("forgiven: got blocked for %v", got)
		}

		// A block longer than the memory outlives a sweep.
		limit.Memory = time.Millisecond
		limit.Free = 0
		fail(t0)
		if _, err := s.Sweep(ctx, t0.Add(2*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if got := blocked(t0.Add(2*time.Millisecond), "ada"); got == 0 {
			t.Error("a sweep lifted the block")
		}
	})
}

// Failures that arrive at the same time are all counted.
func TestThrottleConcurrently(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		limit := ThrottleLimit{Key: Hash("ada"), Free: 1, Memory: time.Hour, Delay: func(n int64) time.Duration { return time.Duration(n) * time.Second }}
		concurrently(50, func(int) {
			err := s.Write(t.Context(), func(tx *Tx) error { return tx.Fail(t.Context(), []ThrottleLimit{limit}, t0) })
			wantErr(t, "fail", err, nil)
		})
		until, err := s.Blocked(t.Context(), [][]byte{limit.Key}, t0)
		if want := At(t0.Add(49 * time.Second)).Time(); err != nil || !until.Equal(want) {
			t.Errorf("got %v, %v, want %v", until, err, want)
		}
	})
}

// What was used stays until it would have run out: until then a second use must
// be told from a thing unknown.
func TestSweep(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.SpendCode(ctx, Hash("code imp_1"), t0); err != nil {
				return err
			}
			if err := tx.SpendRefreshToken(ctx, Hash("refresh imp_1"), nil, t0); err != nil {
				return err
			}
			if err := tx.CreateLoginSession(ctx, newLogin("sam")); err != nil {
				return err
			}
			if err := tx.CreateGrant(ctx, &Grant{ID: "grt_ever", ClientID: "demo", UserID: "usr_ada"}); err != nil { // never expires
				return err
			}
			var many []DeniedToken
			for i := range sweepBatch + 1 {
				many = append(many, DeniedToken{fmt.Sprint(i), At(t0)})
			}
			return tx.conn(ctx).CreateInBatches(many, 200).Error
		})
		end := t0.Add(30 * time.Minute)
		for _, step := range []struct {
			now    time.Time
			want   int64
			exists bool
		}{
			{t0, 0, true},
			{end, sweepBatch + 1, true},
			{end.Add(time.Microsecond), 2, false}, // the grant and its refresh token
			{end.Add(time.Hour), 0, false},
			{end.Add(24 * time.Hour), 1, false}, // the login
		} {
			n, err := s.Sweep(t.Context(), step.now)
			if n != step.want || err != nil {
				t.Errorf("%v: swept %d, %v, want %d", step.now.Sub(t0), n, err, step.want)
			}
			var want error
			if !step.exists {
				want = ErrNotFound
			}
			_, err = s.GrantByCode(t.Context(), Hash("code imp_1"))
			wantErr(t, "spent code", err, want)
			_, err = s.GrantOfToken(t.Context(), Hash("refresh imp_1"), RefreshToken)
			wantErr(t, "spent token", err, want)
		}
		if _, err := s.GrantByToken(t.Context(), "grt_ever", ""); err != nil {
			t.Errorf("what never expires: %v", err)
		}
		if _, err := s.Impersonation(t.Context(), "imp_1"); err != nil {
			t.Errorf("impersonations stay: %v", err)
		}
	})
}
