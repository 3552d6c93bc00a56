package storage

import (
	"context"
	"testing"
	"time"
)

// Grounds say what the reads say that they stand for, each of which is tested by itself.
func TestGrounds(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		key := Hash("somebody")
		write(t, s, func(ctx context.Context, tx *Tx) error {
			scene(t, tx)
			if err := tx.GrantRole(ctx, "usr_sam", "admin", t0); err != nil {
				return err
			}
			if err := tx.CreateOrganization(ctx, &Organization{ID: "here", Name: "here"}, t0); err != nil {
				return err
			}
			if err := tx.AddMember(ctx, "here", "usr_ada", "", t0); err != nil {
				return err
			}
			if err := tx.PutSupportAccess(ctx, &SupportAccess{UserID: "usr_ada", Mode: SupportDenied, UpdatedAt: At(t0)}); err != nil {
				return err
			}
			return tx.Fail(ctx, []ThrottleLimit{{Key: key, Memory: time.Hour, Delay: func(int64) time.Duration { return time.Minute }}}, t0)
		})
		ask := func(q Question, now time.Time) *Grounds {
			t.Helper()
			g, err := s.Grounds(t.Context(), q, now)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		client, err := s.Client(t.Context(), "demo")
		wantErr(t, "client", err, nil)

		g := ask(Question{ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", Starts: true, Throttle: key}, t0)
		if g.Actor == nil || g.Actor.Email != "sam@globex.test" || g.Subject == nil || g.Subject.Email != "ada@globex.test" {
			t.Errorf("got %+v and %+v", g.Actor, g.Subject)
		}
		if len(g.ActorStanding.Everywhere) == 0 || len(g.ActorStanding.Within) != 0 || !g.SubjectStanding.MemberOf("here") || len(g.SubjectStanding.Everywhere) != 0 {
			t.Errorf("got %+v and %+v", g.ActorStanding, g.SubjectStanding)
		}
		if g.Said == nil || g.Said.Mode != SupportDenied || g.Said.UserID != "usr_ada" {
			t.Errorf("got %+v said", g.Said)
		}
		if g.Usage.Running != 2 {
			t.Errorf("got usage %+v", g.Usage)
		}
		if want := t0.Add(time.Minute); !g.Blocked.Equal(want) {
			t.Errorf("blocked until %v, want %v", g.Blocked, want)
		}
		changed := *client
		if changed.CreatedAt++; !g.Same(client) || g.Same(&changed) || g.Same(&Client{ID: "demo"}) {
			t.Error("which client it is")
		}

		// What is not asked for, is over, or is not there.
		g = ask(Question{ActorID: "usr_sam", SubjectID: "usr_sam", ClientID: "gone", Throttle: key}, t0.Add(time.Hour))
		if g.Actor == nil || g.Subject == nil || g.Actor == g.Subject || len(g.SubjectStanding.Everywhere) == 0 {
			t.Errorf("themselves: got %+v, %+v", g.Actor, g.Subject)
		}
		if g.Said != nil || !g.Blocked.IsZero() || g.Usage != (Usage{}) || g.Same(client) {
			t.Errorf("got %+v", g)
		}
		g = ask(Question{ActorID: "usr_nobody", SubjectID: "usr_else"}, t0)
		if g.Actor != nil || g.Subject != nil || len(g.ActorStanding.Within)+len(g.SubjectStanding.Within) != 0 {
			t.Errorf("nobody: got %+v", g)
		}
		g = ask(Question{ActorID: "usr_sam", SubjectID: "usr_else"}, t0)
		if g.Actor == nil || g.Subject != nil {
			t.Errorf("a stranger: got %+v", g)
		}
	})
}
