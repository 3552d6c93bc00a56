package storage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// What may be used once is used once: of a hundred who try at the same time one wins.
func TestUseOnce(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		single(t, s)
		impersonate(t, s, "imp_2")
		for name, spend := range map[string]func(ctx context.Context, tx *Tx) error{
			"code": func(ctx context.Context, tx *Tx) error { return tx.SpendCode(ctx, Hash("code imp_1"), t0) },
			"refresh token": func(ctx context.Context, tx *Tx) error {
				return tx.SpendRefreshToken(ctx, Hash("refresh imp_1"), nil, t0)
			},
			"ticket":        func(ctx context.Context, tx *Tx) error { return tx.RedeemTicket(ctx, "tkt_1", "imp_x", t0) },
			"interaction":   func(ctx context.Context, tx *Tx) error { return tx.SpendInteraction(ctx, Hash("interaction"), t0) },
			"impersonation": func(ctx context.Context, tx *Tx) error { return tx.StopImpersonation(ctx, "imp_2", Cause{}, t0) },
			"initial token": func(ctx context.Context, tx *Tx) error { return tx.SpendInitialAccessToken(ctx, "iat_1", t0) },
		} {
			var winners atomic.Int64
			concurrently(100, func(int) {
				err := s.Write(t.Context(), func(tx *Tx) error { return spend(t.Context(), tx) })
				if err == nil {
					winners.Add(1)
				} else {
					wantErr(t, name, err, ErrSpent)
				}
			})
			if n := winners.Load(); n != 1 {
				t.Errorf("%s: got %d winners, want 1", name, n)
			}
		}
		stopped := query[int](t, s, `SELECT COUNT(*) FROM events WHERE type = ? AND impersonation_id = 'imp_2'`, EventImpersonationStopped)
		if stopped != 1 {
			t.Errorf("got %d events of one end", stopped)
		}
		ticket, err := s.Ticket(t.Context(), Hash("ticket"))
		if err != nil || ticket.ID != "tkt_1" || ticket.RedeemedAt != At(t0) {
			t.Errorf("ticket: got %+v, %v", ticket, err)
		}
	})
}

// single adds a ticket, an initial access token and an interaction.
func single(t testing.TB, s *Store) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		err := tx.CreateTicket(ctx, &Ticket{
			ID: "tkt_1", TokenHash: Hash("ticket"), ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo",
			Binding: "bearer", Entry: "console", Delivery: "link", Reason: "invoice", Access: "full", Duration: 1, CreatedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute)),
		})
		if err != nil {
			return err
		}
		if err := tx.CreateInitialAccessToken(ctx, &InitialAccessToken{
			ID: "iat_1", TokenHash: Hash("initial"), UsesLeft: 1, CreatedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute)),
		}); err != nil {
			return err
		}
		return tx.CreateInteraction(ctx, &Interaction{
			IDHash: Hash("interaction"), BrowserHash: Hash("browser"), ClientID: "demo",
			RequestedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute)),
		})
	})
}

// What may be used until a time is not used from then on.
func TestUseInTime(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		single(t, s)
		ctx, end := t.Context(), t0.Add(time.Minute)
		for name, spend := range map[string]func(tx *Tx) error{
			"code": func(tx *Tx) error { return tx.SpendCode(ctx, Hash("code imp_1"), end) },
			"refresh token": func(tx *Tx) error {
				return tx.SpendRefreshToken(ctx, Hash("refresh imp_1"), nil, t0.Add(30*time.Minute))
			},
			"ticket":      func(tx *Tx) error { return tx.RedeemTicket(ctx, "tkt_1", "imp_x", end) },
			"interaction": func(tx *Tx) error { return tx.SpendInteraction(ctx, Hash("interaction"), end) },
		} {
			wantErr(t, name, s.Write(ctx, spend), ErrSpent)
		}
	})
}

// An interaction that no browser has goes to the first who asks.
func TestClaimInteraction(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return tx.CreateInteraction(ctx, &Interaction{
				IDHash: Hash("i"), BrowserHash: []byte{}, ClientID: "demo", RequestedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute)),
			})
		})
		_, err := s.Interaction(ctx, Hash("i"), nil, t0)
		wantErr(t, "without a browser", err, ErrNotFound)
		var winner atomic.Int64
		concurrently(20, func(i int) {
			err := s.Write(ctx, func(tx *Tx) error { return tx.ClaimInteraction(ctx, Hash("i"), Hash(fmt.Sprint("browser ", i))) })
			if err != nil {
				wantErr(t, "claim", err, ErrNotFound)
			} else if !winner.CompareAndSwap(0, int64(i+1)) {
				t.Error("claimed twice")
			}
		})
		if _, err := s.Interaction(ctx, Hash("i"), Hash(fmt.Sprint("browser ", winner.Load()-1)), t0); err != nil {
			t.Errorf("the winner: %v", err)
		}
	})
}

// Once StopImpersonation has returned, nothing that the impersonation granted can
// be spent (SECURITY T15). Only what was spent before may have succeeded.
func TestStopAgainstRefresh(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		const rounds, tokens = 25, 12
		for round := range rounds {
			ctx, id := t.Context(), fmt.Sprintf("imp_%d", round)
			impersonate(t, s, id)
			write(t, s, func(ctx context.Context, tx *Tx) error {
				var all []Token
				for i := range tokens {
					all = append(all, Token{
						Hash: Hash(fmt.Sprintf("%s %d", id, i)), Kind: RefreshToken, GrantID: "grt_" + id, ClientID: "demo",
						Scope: "openid", CreatedAt: At(t0), ExpiresAt: At(t0.Add(time.Hour)),
					})
				}
				return tx.CreateTokens(ctx, all)
			})
			var stopped atomic.Bool
			concurrently(tokens+2, func(i int) {
				if i == tokens/2 {
					err := s.Write(ctx, func(tx *Tx) error { return tx.StopImpersonation(ctx, id, Cause{By: "usr_ada"}, t0) })
					wantErr(t, "stop", err, nil)
					stopped.Store(true)
					return
				}
				before := stopped.Load()
				err := s.Write(ctx, func(tx *Tx) error {
					if i == tokens+1 {
						return tx.SpendCode(ctx, Hash("code "+id), t0)
					}
					return tx.SpendRefreshToken(ctx, Hash(fmt.Sprintf("%s %d", id, i)), nil, t0)
				})
				if before && err == nil {
					t.Error("spent after the stop had returned")
				}
				if err != nil {
					wantErr(t, "spend", err, ErrSpent)
				}
			})
			err := s.Write(ctx, func(tx *Tx) error {
				return tx.SpendRefreshToken(ctx, Hash(fmt.Sprintf("%s %d", id, tokens/2)), nil, t0)
			})
			wantErr(t, "spend after the stop", err, ErrSpent)
		}
	})
}

// Starts of one actor wait for each other, so that no limit is overrun.
func TestLimitUnderConcurrency(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		full := errors.New("the limit")
		start := func(clientID string) Question {
			return Question{ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: clientID, Starts: true}
		}
		concurrently(20, func(i int) {
			ctx := t.Context()
			err := s.Write(ctx, func(tx *Tx) error {
				if err := tx.LockUser(ctx, "usr_sam"); err != nil {
					return err
				}
				g, err := tx.Grounds(ctx, start("demo"), t0)
				if err != nil {
					return err
				}
				if g.Usage.Running >= 3 {
					return full
				}
				return tx.CreateImpersonation(ctx, &Impersonation{
					ID: fmt.Sprint("imp_", i), ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", Entry: "api",
					Reason: "r", Access: "full", StartedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute)),
				})
			})
			if err != nil {
				wantErr(t, "start", err, full)
			}
		})
		g, err := s.Grounds(t.Context(), start("demo"), t0)
		if want := (Usage{3, At(t0), 3, 3}); err != nil || g.Usage != want {
			t.Errorf("got %+v, %v, want %+v", g, err, want)
		}
		g, err = s.Grounds(t.Context(), start("other"), t0.Add(time.Minute))
		if want := (Usage{Started: 3, FirstStarted: At(t0)}); err != nil || g.Usage != want {
			t.Errorf("a minute later: got %+v, %v, want %+v", g, err, want)
		}
	})
}
