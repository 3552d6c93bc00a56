package storage

import (
	"errors"
	"testing"
	"time"
)

func TestSetupLinks(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.Now()
		token, other := Hash("usl_token"), Hash("usl_other")
		use := func(hash []byte, at time.Time) error {
			stands := s.SetupLinkStands(ctx, hash, at)
			err := s.Write(ctx, func(tx *Tx) error { return tx.UseSetupLink(ctx, hash, at) })
			if !errors.Is(err, stands) {
				t.Errorf("stands: %v, use: %v", stands, err)
			}
			return err
		}
		for _, hash := range [][]byte{token, other} {
			err := s.Write(ctx, func(tx *Tx) error {
				return tx.CreateSetupLink(ctx, &SetupLink{TokenHash: hash, CreatedAt: At(now), ExpiresAt: At(now.Add(time.Hour))})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			name string
			hash []byte
			at   time.Time
			want error
		}{
			{"never made", Hash("usl_none"), now, ErrSpent},
			{"expired", token, now.Add(time.Hour), ErrSpent},
			{"good", token, now.Add(time.Hour - time.Microsecond), nil},
			{"B09 used, and the clock set back", token, now.Add(-time.Hour), ErrSpent},
			{"another", other, now, nil},
		} {
			if err := use(step.hash, step.at); !errors.Is(err, step.want) {
				t.Errorf("%s: got %v, want %v", step.name, err, step.want)
			}
		}
	})
}

// Ending all links ends those that can be used, and no other counts.
func TestEndSetupLinks(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.Now()
		links := map[string]SetupLink{
			"open": {ExpiresAt: At(now.Add(time.Hour))}, "another": {ExpiresAt: At(now.Add(time.Minute))},
			"used": {ExpiresAt: At(now.Add(time.Hour)), UsedAt: At(now)}, "expired": {ExpiresAt: At(now)},
		}
		for _, want := range []int64{2, 0} {
			err := s.Write(ctx, func(tx *Tx) error {
				for name, l := range links {
					l.TokenHash, l.CreatedAt = Hash(name), At(now)
					if err := tx.CreateSetupLink(ctx, &l); err != nil {
						return err
					}
				}
				links = nil
				n, err := tx.EndSetupLinks(ctx, now)
				if n != want {
					t.Errorf("ended %d, want %d", n, want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"open", "another"} {
			if err := s.SetupLinkStands(ctx, Hash(name), now); !errors.Is(err, ErrSpent) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestOverview(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.Now()
		if p, err := s.Progress(ctx); err != nil || p != (Progress{}) {
			t.Errorf("empty: got %+v, %v", p, err)
		}
		err := s.Write(ctx, func(tx *Tx) error {
			for id, role := range map[string]string{"root": "admin", "gone": "admin", "locked": "admin", "sam": "support", "ada": ""} {
				u := &User{ID: id, Email: id + "@x.test", PasswordHash: "x"}
				if id == "locked" {
					u.PasswordHash = "" // and so cannot sign in
				}
				if err := tx.CreateUser(ctx, u, now); err != nil {
					return err
				}
				if role != "" {
					if err := tx.GrantRole(ctx, id, role, now); err != nil {
						return err
					}
				}
			}
			shop := newClient("shop")
			shop.Status = ClientDisabled
			if err := tx.CreateClient(ctx, shop, now); err != nil {
				return err
			}
			for _, client := range []string{"shop", "gone"} {
				for _, status := range []string{"failed", "pending", "delivered"} {
					for _, at := range []Time{At(now), At(now.Add(-25 * time.Hour))} {
						_, err := tx.exec(ctx, `INSERT INTO logout_notices (id, client_id, user_id, sid, status, created_at, next_attempt_at, done_at, expires_at)
							VALUES (?, ?, 'ada', 'sid', ?, ?, 1, ?, 1)`, NewID("n"), client, status, at, at)
						if err != nil {
							return err
						}
					}
				}
			}
			return tx.DisableUser(ctx, "gone", Cause{}, now)
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Progress(ctx); err != nil || p != (Progress{Administrators: 1, Users: 2}) {
			t.Errorf("got %+v, %v", p, err)
		}
		failed, waiting, err := s.UndeliveredNotices(ctx, now.Add(-24*time.Hour), now.Add(-time.Minute))
		if err != nil || failed != 1 || waiting != 1 {
			t.Errorf("notices: %d failed, %d waiting, %v, want 1 and 1", failed, waiting, err)
		}
	})
}
