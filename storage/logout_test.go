package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// listening adds a client that wants to hear of ends.
func listening(t testing.TB, s *Store, id string, change ...func(*Client)) {
	t.Helper()
	c := newClient(id)
	c.BackchannelLogoutURI = "https://" + id + ".test/logout"
	for _, fn := range change {
		fn(c)
	}
	write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateClient(ctx, c, t0) })
}

// signed signs people in, once each.
func signed(t testing.TB, s *Store, names ...string) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for _, name := range names {
			if err := tx.CreateLoginSession(ctx, newLogin(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

func noteLogin(t testing.TB, s *Store, sid string, clients ...string) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for _, client := range clients {
			if err := tx.NoteLogin(ctx, sid, client, t0); err != nil {
				return err
			}
		}
		return nil
	})
}

// notices returns all notices as client/sid/user/impersonation/status.
func notices(t testing.TB, s *Store) (all []string) {
	t.Helper()
	err := s.conn(t.Context()).Raw(`SELECT client_id || '/' || sid || '/' || user_id || '/' || impersonation_id || '/' || status
		FROM logout_notices`).Scan(&all).Error
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func wantNotices(t testing.TB, what string, s *Store, want ...string) {
	t.Helper()
	if got := notices(t, s); !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// An end tells whoever noted the session and still wants to hear, once, in the
// transaction of the end; nobody is noted after it.
func TestNotices(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		seed(t, s)
		signed(t, s, "sam", "ada", "grace")
		for _, id := range []string{"one", "two", "three"} {
			listening(t, s, id)
		}
		impersonate(t, s, "imp_1")
		noteLogin(t, s, "sid_sam", "one", "two", "two", "three")
		noteLogin(t, s, "sid_ada", "one")
		noteLogin(t, s, "sid_grace", "two")
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.NoteImpersonation(ctx, "imp_1") })
		exec(t, s, `UPDATE clients SET backchannel_logout_uri = '' WHERE id = 'three'`)
		exec(t, s, `UPDATE clients SET backchannel_logout_uri = 'https://demo.test/logout' WHERE id = 'demo'`)

		undo := errors.New("undo")
		err := s.Write(ctx, func(tx *Tx) error {
			if err := tx.EndLogin(ctx, "sid_sam", Cause{}, t0); err != nil {
				return err
			}
			return undo
		})
		wantErr(t, "undone", err, undo)
		wantNotices(t, "undone", s)

		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.EndLogin(ctx, "sid_sam", Cause{}, t0) })
		sam := []string{"demo/imp_1/usr_ada/imp_1/pending", "one/sid_sam/usr_sam//pending", "two/sid_sam/usr_sam//pending"}
		wantNotices(t, "sam signs out", s, sam...)
		for name, note := range map[string]func(tx *Tx) error{
			"a sign-in that ended":        func(tx *Tx) error { return tx.NoteLogin(ctx, "sid_sam", "one", t0) },
			"no sign-in":                  func(tx *Tx) error { return tx.NoteLogin(ctx, "sid_nobody", "one", t0) },
			"a sign-in whose time is up":  func(tx *Tx) error { return tx.NoteLogin(ctx, "sid_ada", "two", t0.Add(24*time.Hour)) },
			"an impersonation that ended": func(tx *Tx) error { return tx.NoteImpersonation(ctx, "imp_1") },
			"a client that is gone":       func(tx *Tx) error { return tx.NoteLogin(ctx, "sid_ada", "gone", t0) },
		} {
			wantErr(t, name, s.Write(ctx, note), ErrSpent)
		}
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.DisableUser(ctx, "usr_ada", Cause{}, t0) })
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.SetPassword(ctx, "usr_grace", "hash", Cause{}, t0) })
		all := append(slices.Clone(sam), "one/sid_ada/usr_ada//pending", "two/sid_grace/usr_grace//pending")
		slices.Sort(all)
		wantNotices(t, "ada is disabled, grace has a new password", s, all...)
		if n := query[int](t, s, `SELECT COUNT(*) FROM session_clients`); n != 0 {
			t.Errorf("%d sessions that ended are still noted", n)
		}

		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.DeleteClient(ctx, "two", Cause{}, t0) })
		for i := range all {
			if all[i] == "two/sid_sam/usr_sam//pending" || all[i] == "two/sid_grace/usr_grace//pending" {
				all[i] = all[i][:len(all[i])-len("pending")] + "failed"
			}
		}
		wantNotices(t, "a client is deleted", s, all...)

		found, err := s.LogoutNotices(ctx, []string{"imp_1", "imp_2", ""})
		if err != nil || len(found) != 1 || found[0].ID != "imp_1.demo" || found[0].ExpiresAt != At(t0.Add(30*24*time.Hour)) {
			t.Errorf("of the impersonation: %+v, %v", found, err)
		}
		login := newLogin("grace")
		login.IDHash, login.SID = Hash("again"), "sid_again"
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateLoginSession(ctx, login) })
		noteLogin(t, s, "sid_again", "one")
		if _, err := s.Sweep(ctx, t0.Add(30*24*time.Hour+time.Second)); err != nil {
			t.Fatal(err)
		}
		wantNotices(t, "a month later", s)
		if n := query[int](t, s, `SELECT COUNT(*) FROM session_clients`); n != 0 {
			t.Errorf("%d sessions are noted for ever", n)
		}
	})
}

// A session that is noted while it ends is told of, or not noted.
func TestNoteAgainstEnd(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		listening(t, s, "one")
		exec(t, s, `UPDATE clients SET backchannel_logout_uri = 'https://demo.test/logout' WHERE id = 'demo'`)
		for i := range 25 {
			sid, imp := fmt.Sprintf("sid_%d", i), fmt.Sprintf("imp_%d", i)
			login := newLogin("sam")
			login.IDHash, login.SID = Hash(sid), sid
			write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateLoginSession(ctx, login) })
			impersonate(t, s, imp, func(i *Impersonation) { i.LoginSID = sid })
			var noted [2]error
			concurrently(3, func(who int) {
				err := s.Write(t.Context(), func(tx *Tx) error {
					switch who {
					case 0:
						return tx.NoteLogin(t.Context(), sid, "one", t0)
					case 1:
						if err := tx.NoteImpersonation(t.Context(), imp); err != nil {
							return err
						}
						return tx.SpendCode(t.Context(), Hash("code "+imp), t0)
					}
					return tx.EndLogin(t.Context(), sid, Cause{}, t0)
				})
				switch {
				case who < 2:
					noted[who] = err
				case err != nil:
					t.Errorf("end: %v", err)
				}
			})
			for who, id := range []string{sid + ".one", imp + ".demo"} {
				told := query[int](t, s, `SELECT COUNT(*) FROM logout_notices WHERE id = ?`, id)
				if noted[who] != nil {
					wantErr(t, id, noted[who], ErrSpent)
				}
				if (noted[who] == nil) != (told == 1) {
					t.Errorf("%s: noted %v, told %d times", id, noted[who], told)
				}
			}
		}
	})
}

// A notice is claimed by one, until then; what came of it counts once.
func TestClaimLogoutNotices(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		seed(t, s)
		listening(t, s, "one")
		listening(t, s, "two")
		const n = 20
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for i := range n {
				login := newLogin("sam")
				login.IDHash, login.SID = Hash(fmt.Sprint(i)), fmt.Sprintf("sid_%d", i)
				if err := tx.CreateLoginSession(ctx, login); err != nil {
					return err
				}
				for _, client := range []string{"one", "two"} {
					if err := tx.NoteLogin(ctx, login.SID, client, t0); err != nil {
						return err
					}
				}
			}
			return tx.DisableUser(ctx, "usr_sam", Cause{}, t0)
		})
		due := func(now time.Time, want ...string) {
			t.Helper()
			got, err := s.DueLogoutClients(ctx, now)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("due at %v: got %v, %v, want %v", now.Sub(t0), got, err, want)
			}
		}
		claim := func(client string, limit int, now time.Time) (claimed []LogoutNotice) {
			t.Helper()
			write(t, s, func(ctx context.Context, tx *Tx) (err error) {
				claimed, err = tx.ClaimLogoutNotices(ctx, client, limit, now, now.Add(time.Minute))
				return err
			})
			return claimed
		}
		due(t0.Add(-time.Microsecond))
		due(t0, "one", "two")

		var mu sync.Mutex
		by := map[string]int{}
		concurrently(8, func(int) {
			for range 5 {
				for _, c := range claim("one", 3, t0) {
					mu.Lock()
					by[c.ID]++
					mu.Unlock()
					if c.Attempts != 1 || c.Status != NoticePending || c.ClientID != "one" || c.UserID != "usr_sam" {
						t.Errorf("claimed %+v", c)
					}
				}
			}
		})
		for id, times := range by {
			if times != 1 {
				t.Errorf("%s was claimed %d times", id, times)
			}
		}
		if len(by) != n {
			t.Errorf("%d of %d were claimed", len(by), n)
		}
		due(t0, "two")
		due(t0.Add(time.Minute-time.Microsecond), "two")
		due(t0.Add(time.Minute), "two", "one") // nobody said what came of them

		finish := func(c LogoutNotice, status NoticeStatus, next time.Time) error {
			c.Status, c.HTTPStatus, c.Error, c.NextAttemptAt = status, 500, "\x00bad\xff", At(next)
			return s.Write(ctx, func(tx *Tx) error { return tx.FinishLogoutNotice(ctx, &c, t0) })
		}
		first := claim("two", 1, t0)[0]
		wantErr(t, "retry", finish(first, NoticePending, t0.Add(time.Second)), nil)
		exec(t, s, `UPDATE logout_notices SET next_attempt_at = ? WHERE client_id = 'two' AND id <> ?`, At(t0.Add(10*time.Minute)), first.ID)
		if got := claim("two", n, t0.Add(time.Second-time.Microsecond)); len(got) != 0 {
			t.Errorf("claimed before it was due: %+v", got)
		}
		second := claim("two", n, t0.Add(time.Second))
		if len(second) != 1 || second[0].ID != first.ID || second[0].Attempts != 2 || second[0].HTTPStatus != 500 || second[0].Error != "\uFFFDbad\uFFFD" {
			t.Fatalf("claimed %+v", second)
		}
		wantErr(t, "the first's late failure", finish(first, NoticeFailed, t0), ErrSpent)
		wantErr(t, "the first's late success", finish(first, NoticeDelivered, t0), nil)
		wantErr(t, "the second's word then", finish(second[0], NoticeFailed, t0), ErrSpent)
		wantErr(t, "twice", finish(first, NoticeDelivered, t0), ErrSpent)
		if got := query[string](t, s, `SELECT status FROM logout_notices WHERE id = ?`, first.ID); got != "delivered" {
			t.Errorf("got %s", got)
		}
		if got := claim("two", n, t0.Add(-time.Hour)); len(got) != n-1 {
			t.Errorf("after the clock was set back: claimed %d, want %d", len(got), n-1)
		}
		got := claim("two", n, t0.Add(2*time.Minute))
		if slices.ContainsFunc(got, func(c LogoutNotice) bool { return c.ID == first.ID }) {
			t.Errorf("claimed although it is done: %+v", got)
		}
	})
}
