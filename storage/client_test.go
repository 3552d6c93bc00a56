package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestClient(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		c := newClient("demo")
		c.RequirePKCE, c.Contacts, c.PreviousSecretHash = true, List{"a@b", "c"}, Hash("old")
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateClient(ctx, c, t0) })
		got, err := s.Client(ctx, "demo")
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		wantErr(t, "create again", s.Write(ctx, func(tx *Tx) error { return tx.CreateClient(ctx, newClient("demo"), t0) }), ErrExists)
		_, err = s.Client(ctx, "nobody")
		wantErr(t, "nobody", err, ErrNotFound)

		if again, err := s.Client(ctx, "demo"); err != nil || again != got {
			t.Errorf("it was read anew: %v", err)
		}
		mine, err := s.Queries.Client(ctx, "demo")
		if err != nil {
			t.Fatal(err)
		}
		mine.FirstParty, mine.RequirePKCE, mine.Name = true, false, "Renamed"
		update := func(c *Client) error {
			return s.Write(ctx, func(tx *Tx) error { return tx.UpdateClient(ctx, c, Cause{}, t0.Add(time.Second)) })
		}
		wantErr(t, "update", update(mine), nil)
		if got, err = s.Client(ctx, "demo"); err != nil || got.RequirePKCE || !got.FirstParty || got.Name != "Renamed" || got.Version != 2 {
			t.Errorf("updated: got %+v, %v", got, err)
		}
		stale := newClient("demo")
		stale.Version = 1
		wantErr(t, "update what was changed meanwhile", update(stale), ErrSpent)
		wantErr(t, "update again what was read before", update(mine), ErrSpent)
		mine.Version = 2
		wantErr(t, "update again", update(mine), nil)

		all, err := s.Clients(ctx)
		if err != nil || len(all) != 1 || all[0].Version != 3 {
			t.Errorf("clients: got %v, %v", all, err)
		}
		remove := func() error {
			return s.Write(ctx, func(tx *Tx) error { return tx.DeleteClient(ctx, "demo", Cause{}, t0) })
		}
		wantErr(t, "delete", remove(), nil)
		wantErr(t, "delete again", remove(), ErrNotFound)
		_, err = s.Client(ctx, "demo")
		wantErr(t, "deleted", err, ErrNotFound)
	})
}

// A Write that runs again, after PostgreSQL undid what came after the update of a
// client, finds the client as it was given.
func TestClientUpdateRunsAgain(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateClient(ctx, newClient("demo"), t0) })
		c, err := s.Queries.Client(ctx, "demo")
		if err != nil {
			t.Fatal(err)
		}
		c.Name = "Renamed"
		runs := 0
		update := func(tx *Tx) error {
			runs++
			if err := tx.UpdateClient(ctx, c, Cause{}, t0.Add(time.Second)); err != nil {
				return err
			}
			if runs == 1 {
				return &pgconn.PgError{Code: "40P01"}
			}
			return nil
		}
		err = s.Write(ctx, update)
		if s.Dialect() == SQLite { // which never runs it again by itself
			err = s.Write(ctx, update)
		}
		got, errRead := s.Client(ctx, "demo")
		if err := errors.Join(err, errRead); err != nil || runs != 2 || got.Version != 2 || got.Name != "Renamed" {
			t.Errorf("after %d runs: got %+v, %v", runs, got, err)
		}
	})
}

// What a client holds for itself ends with it.
func TestClientTokensEnd(t *testing.T) {
	ends := map[string]func(ctx context.Context, tx *Tx) error{
		"deleted": func(ctx context.Context, tx *Tx) error { return tx.DeleteClient(ctx, "demo", Cause{}, t0) },
		"disabled": func(ctx context.Context, tx *Tx) error {
			c, err := tx.Client(ctx, "demo")
			if err != nil {
				return err
			}
			c.Status = ClientDisabled
			return tx.UpdateClient(ctx, c, Cause{}, t0)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			forEachDialect(t, func(t *testing.T, s *Store) {
				write(t, s, func(ctx context.Context, tx *Tx) error {
					for _, id := range []string{"demo", "other"} {
						if err := tx.CreateClient(ctx, newClient(id), t0); err != nil {
							return err
						}
						own := Token{Hash: Hash(id), Kind: AccessToken, ClientID: id, CreatedAt: At(t0), ExpiresAt: At(t0.Add(time.Hour))}
						if err := tx.CreateTokens(ctx, []Token{own}); err != nil {
							return err
						}
					}
					return nil
				})
				write(t, s, end)
				if left := query[string](t, s, `SELECT client_id FROM tokens`); left != "other" {
					t.Errorf("got a token of %q, want only that of the other client", left)
				}
				if n := query[int](t, s, `SELECT COUNT(*) FROM tokens`); n != 1 {
					t.Errorf("got %d tokens, want 1", n)
				}
				if name == "deleted" {
					return
				}
				write(t, s, func(ctx context.Context, tx *Tx) error {
					c, err := tx.Client(ctx, "demo")
					if err != nil {
						return err
					}
					c.Status = ClientActive
					return tx.UpdateClient(ctx, c, Cause{}, t0)
				})
				_, err := s.Token(t.Context(), Hash("demo"), AccessToken)
				wantErr(t, "after it was enabled again", err, ErrNotFound)
			})
		})
	}
}

// A client that was deleted and made again, here by another process, is not
// mistaken for the one remembered, though both are at version 1.
func TestClientMadeAgain(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateClient(ctx, newClient("demo"), t0) })
		if _, err := s.Client(ctx, "demo"); err != nil {
			t.Fatal(err)
		}
		again := newClient("demo")
		again.SecretHash = Hash("another")
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.DeleteClient(ctx, "demo", Cause{}, t0); err != nil {
				return err
			}
			return tx.CreateClient(ctx, again, t0.Add(time.Millisecond))
		})
		got, err := s.Client(ctx, "demo")
		if err != nil || string(got.SecretHash) != string(again.SecretHash) {
			t.Errorf("got the old client, %v", err)
		}
	})
}

func TestConsent(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		for _, scope := range []string{"", "openid", "openid email"} {
			if got, err := s.ConsentedScope(ctx, "usr_ada", "demo"); got != "" && scope == "" || err != nil {
				t.Errorf("got %q, %v, want none", got, err)
			}
			write(t, s, func(ctx context.Context, tx *Tx) error { return tx.PutConsent(ctx, "usr_ada", "demo", scope, t0) })
			if got, err := s.ConsentedScope(ctx, "usr_ada", "demo"); got != scope || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, scope)
			}
		}
		wantErr(t, "of nobody", s.Write(ctx, func(tx *Tx) error {
			return tx.PutConsent(ctx, "usr_x", "demo", "openid", t0)
		}), ErrReference)
	})
}

func TestLogin(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		sam := newLogin("sam")
		sam.AMR, sam.UserAgent = List{"pwd", "otp"}, "agent\xff\x00"
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.CreateLoginSession(ctx, sam); err != nil {
				return err
			}
			return tx.RememberContinueAsMe(ctx, sam.IDHash, Remembered{"demo": At(t0)})
		})
		l, err := s.Login(ctx, sam.IDHash, t0)
		sam.ContinueAsMe, sam.UserAgent = Remembered{"demo": At(t0)}, "agent\uFFFD\uFFFD"
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*sam, l.LoginSession); diff != "" || l.User.Name != "sam" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for name, now := range map[string]time.Time{"idle": t0.Add(time.Hour), "over": t0.Add(24 * time.Hour)} {
			_, err := s.Login(ctx, sam.IDHash, now)
			wantErr(t, name, err, ErrNotFound)
		}
		next := *sam
		next.IDHash = Hash("next")
		replace := func() error {
			return s.Write(ctx, func(tx *Tx) error { return tx.RenewLoginSession(ctx, sam.IDHash, &next) })
		}
		wantErr(t, "replace", replace(), nil)
		wantErr(t, "replace again", replace(), ErrSpent)
		_, err = s.Login(ctx, sam.IDHash, t0)
		wantErr(t, "replaced", err, ErrNotFound)
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return tx.TouchLoginSession(ctx, next.IDHash, t0.Add(time.Minute), t0.Add(2*time.Hour))
		})
		if l, err := s.Login(ctx, next.IDHash, t0.Add(time.Hour)); err != nil || l.SID != "sid_sam" {
			t.Errorf("touched: got %v, %v", l, err)
		}
		end := func() error {
			return s.Write(ctx, func(tx *Tx) error { return tx.EndLogin(ctx, "sid_sam", Cause{}, t0) })
		}
		wantErr(t, "end", end(), nil)
		wantErr(t, "end again", end(), ErrSpent)
		_, err = s.Login(ctx, next.IDHash, t0)
		wantErr(t, "ended", err, ErrNotFound)
	})
}

func TestInteraction(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		i := &Interaction{IDHash: Hash("i"), BrowserHash: Hash("b"), ClientID: "demo", Request: "a=b", RequestedAt: At(t0), ExpiresAt: At(t0.Add(time.Minute))}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.CreateInteraction(ctx, i); err != nil {
				return err
			}
			return tx.DraftInteraction(ctx, i.IDHash, "reason=x")
		})
		got, err := s.Interaction(ctx, i.IDHash, Hash("b"), t0)
		i.Draft = "reason=x"
		if diff := cmp.Diff(i, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		_, err = s.Interaction(ctx, i.IDHash, Hash("another"), t0)
		wantErr(t, "another browser", err, ErrNotFound)
		_, err = s.Interaction(ctx, Hash("none"), Hash("b"), t0)
		wantErr(t, "none", err, ErrNotFound)
		_, err = s.Interaction(ctx, i.IDHash, Hash("b"), t0.Add(time.Minute))
		wantErr(t, "late", err, ErrSpent)
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.SpendInteraction(ctx, i.IDHash, t0) })
		_, err = s.Interaction(ctx, i.IDHash, Hash("b"), t0)
		wantErr(t, "answered", err, ErrSpent)
	})
}

func TestTokens(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		ctx := t.Context()
		hour := At(t0.Add(time.Hour))
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.CreateTokens(ctx, nil); err != nil {
				return err
			}
			if err := tx.DenyToken(ctx, "jti_1", hour.Time()); err != nil {
				return err
			}
			if err := tx.DenyToken(ctx, "jti_1", hour.Time()); err != nil {
				return err
			}
			return tx.CreateTokens(ctx, []Token{
				{Hash: Hash("own"), Kind: AccessToken, ClientID: "demo", Scope: "api", ExpiresAt: hour},
				{Hash: Hash("access"), Kind: AccessToken, GrantID: "grt_imp_1", ClientID: "demo", Scope: "openid", ExpiresAt: hour},
			})
		})
		// One kind is never taken for the other.
		for _, test := range []struct {
			token string
			kind  TokenKind
			want  error
		}{
			{"refresh imp_1", RefreshToken, nil},
			{"refresh imp_1", AccessToken, ErrNotFound},
			{"access", AccessToken, nil},
			{"access", RefreshToken, ErrNotFound},
			{"code imp_1", RefreshToken, ErrNotFound},
			{"own", AccessToken, ErrNotFound}, // it has no grant
		} {
			g, err := s.GrantOfToken(ctx, Hash(test.token), test.kind)
			wantErr(t, test.token+" as "+string(test.kind), err, test.want)
			if err == nil && (g.ID != "grt_imp_1" || g.User.ID != "usr_ada" || !g.Live(t0) || g.Token.Kind != test.kind) {
				t.Errorf("%s: got %+v", test.token, g)
			}
		}
		if tok, err := s.Token(ctx, Hash("own"), AccessToken); err != nil || tok.Scope != "api" {
			t.Errorf("own: got %v, %v", tok, err)
		}
		_, err := s.Token(ctx, Hash("access"), AccessToken)
		wantErr(t, "a token with a grant", err, ErrNotFound)
		_, err = s.GrantByCode(ctx, Hash("refresh imp_1"))
		wantErr(t, "a token as a code", err, ErrNotFound)
		if g, err := s.GrantByCode(ctx, Hash("code imp_1")); err != nil || g.ImpersonationID != "imp_1" {
			t.Errorf("by code: got %v, %v", g, err)
		}
		_, err = s.GrantByToken(ctx, "grt_imp_1", "jti_1")
		wantErr(t, "a denied token", err, ErrNotFound)
		for _, own := range []struct {
			jti, client string
			issued      time.Time
			want        bool
		}{
			{"jti_1", "demo", t0.Add(time.Hour), false},
			{"jti_2", "demo", t0.Add(time.Hour), true},
			{"jti_2", "nobody", t0.Add(time.Hour), false},
			{"jti_2", "demo", t0.Add(-time.Hour), false},
		} {
			if got, err := s.ClientToken(ctx, own.jti, own.client, own.issued); got != own.want || err != nil {
				t.Errorf("%+v: got %v, %v", own, got, err)
			}
		}
		wantErr(t, "an access token as a refresh token", s.Write(ctx, func(tx *Tx) error {
			return tx.SpendRefreshToken(ctx, Hash("access"), nil, t0)
		}), ErrSpent)
		wantErr(t, "the same token", s.Write(ctx, func(tx *Tx) error {
			return tx.CreateTokens(ctx, []Token{{Hash: Hash("own"), Kind: AccessToken}})
		}), ErrExists)
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.RevokeToken(ctx, Hash("refresh imp_1")); err != nil { // no access token
				return err
			}
			if err := tx.RevokeToken(ctx, Hash("own")); err != nil {
				return err
			}
			return tx.RevokeGrant(ctx, "grt_imp_1", t0)
		})
		_, err = s.Token(ctx, Hash("own"), AccessToken)
		wantErr(t, "a revoked token", err, ErrNotFound)
		if g, err := s.GrantOfToken(ctx, Hash("refresh imp_1"), RefreshToken); err != nil || g.Live(t0) {
			t.Errorf("a revoked grant: got %v, %v", g, err)
		}
		for name, spend := range map[string]func(tx *Tx) error{
			"code":          func(tx *Tx) error { return tx.SpendCode(ctx, Hash("code imp_1"), t0) },
			"refresh token": func(tx *Tx) error { return tx.SpendRefreshToken(ctx, Hash("refresh imp_1"), nil, t0) },
		} {
			wantErr(t, name+" of a revoked grant", s.Write(ctx, spend), ErrSpent)
		}
	})
}

func TestSigningKeys(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for _, id := range []string{"b", "a"} {
			write(t, s, func(ctx context.Context, tx *Tx) error {
				if err := tx.LockKeys(ctx); err != nil {
					return err
				}
				k := &SigningKey{ID: id, Purpose: "token", Alg: "ES256", PublicKey: []byte{1}, PrivateKey: []byte{2}, ActivatesAt: 7}
				return tx.CreateSigningKey(ctx, k, t0)
			})
		}
		keys, err := s.SigningKeys(ctx)
		if err != nil || len(keys) != 2 || keys[0].ID != "a" || keys[0].RetiredAt.Set() {
			t.Errorf("got %v, %v", keys, err)
		}
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.DeleteSigningKey(ctx, "a") })
		wantErr(t, "delete again", s.Write(ctx, func(tx *Tx) error { return tx.DeleteSigningKey(ctx, "a") }), ErrSpent)
	})
}

func TestImpersonationEnabled(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for _, want := range []bool{false, true, false} {
			if want {
				write(t, s, func(ctx context.Context, tx *Tx) error { return tx.EnableImpersonation(ctx, true, Cause{}, t0) })
			}
			if on, err := s.ImpersonationEnabled(ctx); on != want || err != nil {
				t.Errorf("got %v, %v, want %v", on, err, want)
			}
			exec(t, s, `DELETE FROM settings`) // nobody set it: off
		}
		undo := errors.New("undo")
		err := s.Write(ctx, func(tx *Tx) error {
			return errors.Join(tx.EnableImpersonation(ctx, true, Cause{}, t0), undo)
		})
		wantErr(t, "undone", err, undo)
		if on, err := s.ImpersonationEnabled(ctx); on || err != nil {
			t.Errorf("undone: got %v, %v", on, err)
		}
	})
}
