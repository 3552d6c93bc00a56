package storage

import (
	"context"
	"testing"
	"time"
)

// An initial access token is good for so many uses, until it is revoked or ran out.
func TestInitialAccessToken(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, end := t.Context(), t0.Add(time.Hour)
		create := func(id string, uses int64) {
			write(t, s, func(ctx context.Context, tx *Tx) error {
				return tx.CreateInitialAccessToken(ctx, &InitialAccessToken{
					ID: id, TokenHash: Hash(id), Description: "for CI", UsesLeft: uses, CreatedAt: At(t0), ExpiresAt: At(end),
				})
			})
		}
		spend := func(id string, now time.Time) error {
			return s.Write(ctx, func(tx *Tx) error { return tx.SpendInitialAccessToken(ctx, id, now) })
		}
		revoke := func(id string, now time.Time) error {
			return s.Write(ctx, func(tx *Tx) error { return tx.RevokeInitialAccessToken(ctx, id, now) })
		}
		create("two", 2)
		for i, want := range []error{nil, nil, ErrSpent} {
			before, err := s.InitialAccessToken(ctx, Hash("two"))
			if err != nil || before.Live(t0) != (want == nil) || before.UsesLeft != max(0, int64(2-i)) {
				t.Errorf("before use %d: got %+v, %v", i+1, before, err)
			}
			wantErr(t, "spend", spend("two", t0), want)
		}
		wantErr(t, "revoke what is used up", revoke("two", t0), ErrSpent)
		create("late", 1)
		wantErr(t, "at its end", spend("late", end), ErrSpent)
		wantErr(t, "revoke at its end", revoke("late", end), ErrSpent)
		wantErr(t, "just before", spend("late", end.Add(-time.Microsecond)), nil)
		create("revoked", 1)
		wantErr(t, "revoke", revoke("revoked", t0), nil)
		wantErr(t, "revoke again", revoke("revoked", t0), ErrSpent)
		wantErr(t, "a revoked one", spend("revoked", t0), ErrSpent)
		wantErr(t, "one that is not there", spend("none", t0), ErrSpent)
		if got, err := s.InitialAccessToken(ctx, Hash("revoked")); err != nil || got.Live(t0) || got.UsesLeft != 1 || got.RevokedAt != At(t0) {
			t.Errorf("revoked: got %+v, %v", got, err)
		}
		if _, err := s.InitialAccessToken(ctx, Hash("none")); err == nil {
			t.Error("found one that is not there")
		}
		if all, err := s.InitialAccessTokens(ctx); err != nil || len(all) != 3 || all[0].Description != "for CI" {
			t.Errorf("all: got %+v, %v", all, err)
		}
	})
}

// A window holds so many, however they arrive, and the next begins when it ends.
func TestTake(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		take := func(now time.Time) (full time.Time) {
			err := s.Write(t.Context(), func(tx *Tx) (err error) {
				full, err = tx.Take(t.Context(), Hash("192.0.2.0/24"), 20, time.Hour, now)
				return err
			})
			wantErr(t, "take", err, nil)
			return full
		}
		taken := make(chan bool, 50)
		concurrently(50, func(int) { taken <- take(t0).IsZero() })
		n := 0
		for range 50 {
			if <-taken {
				n++
			}
		}
		if n != 20 {
			t.Errorf("%d of 50 were counted, want 20", n)
		}
		end := At(t0.Add(time.Hour)).Time()
		if full := take(end.Add(-time.Microsecond)); !full.Equal(end) {
			t.Errorf("before the end: full until %v, want %v", full, end)
		}
		for i := range 21 {
			if full := take(end.Add(time.Duration(i) * time.Second)); full.IsZero() != (i < 20) {
				t.Errorf("the next window, %d: full until %v", i+1, full)
			}
		}
	})
}
