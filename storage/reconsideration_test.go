package storage

import (
	"context"
	"testing"
	"time"
)

// Of many who find one that nobody is at, one gets it; and so again once its time is up,
// or seems to be far off because the clock was set back.
func TestClaimReconsideration(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		f := ImpersonationFilter{Party: "usr_1", Subject: "usr_2", Client: "shop", Caller: "key_1"}
		by := Cause{By: "usr_root", Request: Request{ID: "req_1", IP: "192.0.2.7", UserAgent: "a\xffb"}}
		made := NewReconsideration(f, by, t0, t0.Add(time.Second))
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateReconsideration(ctx, made) })
		for _, at := range []time.Duration{time.Second, 2 * time.Second, -time.Hour} {
			now := t0.Add(at)
			due, err := s.DueReconsiderations(t.Context(), now)
			if err != nil || len(due) != 1 {
				t.Fatalf("after %v: got %+v, %v", at, due, err)
			}
			f.Running = true
			cause := by
			cause.Reason, cause.UserAgent = EndPermissionLost, text(by.UserAgent)
			if got := due[0].Filter(); got.Party != f.Party || got.Subject != f.Subject || got.Client != f.Client || got.Caller != f.Caller || !got.Running {
				t.Errorf("got %+v", got)
			}
			if got := due[0].Cause(); got != cause {
				t.Errorf("got %+v, want %+v", got, cause)
			}
			claim := func(ctx context.Context, tx *Tx) error {
				return tx.ClaimReconsideration(ctx, &due[0], now.Add(time.Second))
			}
			write(t, s, claim)
			wantErr(t, "a second", s.Write(t.Context(), func(tx *Tx) error { return claim(t.Context(), tx) }), ErrSpent)
			if due, err := s.DueReconsiderations(t.Context(), now); err != nil || len(due) != 0 {
				t.Errorf("claimed: got %+v, %v", due, err)
			}
		}
		for range 2 {
			write(t, s, func(ctx context.Context, tx *Tx) error { return tx.RemoveReconsideration(ctx, made.ID) })
		}
		if due, err := s.DueReconsiderations(t.Context(), t0.Add(time.Hour)); err != nil || len(due) != 0 {
			t.Errorf("removed: got %+v, %v", due, err)
		}
	})
}
