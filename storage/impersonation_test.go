package storage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// What takes the ground away from an impersonation ends it and all it granted,
// with one event for each, all in one transaction.
func TestEndings(t *testing.T) {
	by := Cause{By: "usr_root", Request: Request{ID: "req_1", IP: "192.0.2.7", UserAgent: "test"}}
	tests := map[string]struct {
		end    func(ctx context.Context, tx *Tx) error
		ended  []string // which of the impersonations, see below
		reason EndReason
		by     string
		kind   EventType
		also   func(t *testing.T, s *Store)
	}{
		"actor disabled": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.DisableUser(ctx, "usr_sam", by, t0) },
			ended:  []string{"imp_1", "imp_2"},
			reason: EndActorDisabled, by: "usr_root", kind: EventImpersonationStopped,
			also: noLogin,
		},
		"subject disabled": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.DisableUser(ctx, "usr_ada", by, t0) },
			ended:  []string{"imp_1", "imp_3"},
			reason: EndSubjectDisabled, by: "usr_root", kind: EventImpersonationStopped,
			also: func(t *testing.T, s *Store) {
				t.Helper()
				if n := query[int](t, s, `SELECT COUNT(*) FROM grants WHERE user_id = 'usr_ada' AND revoked_at = 0`); n != 0 {
					t.Errorf("%d grants of a disabled user live", n)
				}
			},
		},
		"actor's password": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.SetPassword(ctx, "usr_sam", "hash", by, t0) },
			ended:  []string{"imp_1", "imp_2"},
			reason: EndCredentialsChanged, by: "usr_root", kind: EventImpersonationStopped,
			also: noLogin,
		},
		"subject's password": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.SetPassword(ctx, "usr_ada", "hash", by, t0) },
			ended:  []string{"imp_1", "imp_3"},
			reason: EndCredentialsChanged, by: "usr_root", kind: EventImpersonationStopped,
		},
		"subject protected": {
			end: func(ctx context.Context, tx *Tx) error {
				return tx.SetNeverImpersonate(ctx, "usr_ada", true, by, t0)
			},
			ended:  []string{"imp_1", "imp_3"},
			reason: EndPermissionLost, by: "usr_root", kind: EventImpersonationStopped,
		},
		"kill switch": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.EnableImpersonation(ctx, false, by, t0) },
			ended:  []string{"imp_1", "imp_2", "imp_3"},
			reason: EndSwitchedOff, by: "usr_root", kind: EventImpersonationStopped,
			also: func(t *testing.T, s *Store) {
				t.Helper()
				if on, err := s.ImpersonationEnabled(t.Context()); on || err != nil {
					t.Errorf("got %v, %v, want off", on, err)
				}
				if n := query[int](t, s, `SELECT COUNT(*) FROM events WHERE type = ?`, EventSettingsUpdated); n != 1 {
					t.Errorf("got %d events of the switch, want 1", n)
				}
			},
		},
		"client opted out": {
			end: func(ctx context.Context, tx *Tx) error {
				c, err := tx.Client(ctx, "demo")
				if err != nil {
					return err
				}
				c.AllowImpersonation = false
				return tx.UpdateClient(ctx, c, by, t0)
			},
			ended:  []string{"imp_1", "imp_2"},
			reason: EndClientDisallowed, by: "usr_root", kind: EventImpersonationStopped,
		},
		"client disabled": {
			end: func(ctx context.Context, tx *Tx) error {
				c, err := tx.Client(ctx, "demo")
				if err != nil {
					return err
				}
				c.Status = ClientDisabled
				return tx.UpdateClient(ctx, c, by, t0)
			},
			ended:  []string{"imp_1", "imp_2"},
			reason: EndClientDisallowed, by: "usr_root", kind: EventImpersonationStopped,
			also: func(t *testing.T, s *Store) {
				t.Helper()
				if n := query[int](t, s, `SELECT COUNT(*) FROM grants WHERE client_id = 'demo' AND revoked_at = 0`); n != 0 {
					t.Errorf("%d grants of a disabled client live", n)
				}
			},
		},
		"client deleted": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.DeleteClient(ctx, "demo", by, t0) },
			ended:  []string{"imp_1", "imp_2"},
			reason: EndClientDisallowed, by: "usr_root", kind: EventImpersonationStopped,
		},
		"actor signed out": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.EndLogin(ctx, "sid_sam", by, t0) },
			ended:  []string{"imp_1"},
			reason: EndSignedOut, by: "usr_root", kind: EventImpersonationStopped,
			also: noLogin,
		},
		"stopped": {
			end:    func(ctx context.Context, tx *Tx) error { return tx.StopImpersonation(ctx, "imp_2", by, t0) },
			ended:  []string{"imp_2"},
			reason: EndStopped, by: "usr_root", kind: EventImpersonationStopped,
		},
		"time ran out": {
			end: func(ctx context.Context, tx *Tx) error {
				n, err := tx.ExpireImpersonations(ctx, t0.Add(20*time.Minute))
				if n != 1 {
					return fmt.Errorf("%d expired, want 1", n)
				}
				return err
			},
			ended:  []string{"imp_2"},
			reason: EndExpired, kind: EventImpersonationExpired,
		},
		"stopped after time ran out": {
			end: func(ctx context.Context, tx *Tx) error {
				return tx.StopImpersonation(ctx, "imp_2", by, t0.Add(20*time.Minute))
			},
			ended:  []string{"imp_2"},
			reason: EndExpired, kind: EventImpersonationExpired,
		},
	}
	forEachDialect(t, func(t *testing.T, s *Store) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				// In a transaction that is undone in the end: what can be seen in it
				// happened together.
				undo := errors.New("undo")
				err := s.Write(t.Context(), func(tx *Tx) error {
					inside := &Store{Queries: tx.Queries}
					scene(t, tx)
					if err := test.end(t.Context(), tx); err != nil {
						return err
					}
					for _, id := range []string{"imp_1", "imp_2", "imp_3"} {
						var wants bool
						for _, e := range test.ended {
							wants = wants || e == id
						}
						checkEnd(t, tx, id, wants, test.reason, test.by, test.kind)
					}
					if test.also != nil {
						test.also(t, inside)
					}
					return undo
				})
				wantErr(t, name, err, undo)
			})
		}
	})
}

// scene has three impersonations: imp_1 of ada by sam at demo, over his sign-in;
// imp_2 of grace by sam at demo, without one and shorter; imp_3 of ada by grace at other.
func scene(t *testing.T, tx *Tx) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sam", "ada", "grace"} {
		must(tx.CreateUser(ctx, &User{ID: "usr_" + name, Email: name + "@globex.test"}, t0))
	}
	must(tx.CreateClient(ctx, newClient("demo"), t0))
	must(tx.CreateClient(ctx, newClient("other"), t0))
	must(tx.CreateLoginSession(ctx, newLogin("sam")))
	for _, i := range []Impersonation{
		{ID: "imp_1", ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", LoginSID: "sid_sam", ExpiresAt: At(t0.Add(time.Hour))},
		{ID: "imp_2", ActorID: "usr_sam", SubjectID: "usr_grace", ClientID: "demo", ExpiresAt: At(t0.Add(20 * time.Minute))},
		{ID: "imp_3", ActorID: "usr_grace", SubjectID: "usr_ada", ClientID: "other", ExpiresAt: At(t0.Add(time.Hour))},
	} {
		i.Entry, i.Reason, i.Access, i.StartedAt = "console", "invoice", "full", At(t0)
		must(tx.CreateImpersonation(ctx, &i))
		must(tx.CreateGrant(ctx, &Grant{
			ID: "grt_" + i.ID, ClientID: i.ClientID, UserID: i.SubjectID, ActorID: i.ActorID, ImpersonationID: i.ID, SID: i.ID,
			CreatedAt: At(t0), ExpiresAt: i.ExpiresAt,
		}))
	}
	must(tx.CreateGrant(ctx, &Grant{
		ID: "grt_own", ClientID: "demo", UserID: "usr_ada", SID: "sid_ada", CreatedAt: At(t0), ExpiresAt: At(t0.Add(time.Hour)),
	}))
}

func newLogin(name string) *LoginSession {
	return &LoginSession{
		IDHash: Hash("login " + name), SID: "sid_" + name, UserID: "usr_" + name, AuthTime: At(t0), CreatedAt: At(t0), LastSeenAt: At(t0),
		IdleExpiresAt: At(t0.Add(time.Hour)), ExpiresAt: At(t0.Add(24 * time.Hour)),
	}
}

func noLogin(t *testing.T, s *Store) {
	t.Helper()
	_, err := s.Login(t.Context(), Hash("login sam"), t0)
	wantErr(t, "login", err, ErrNotFound)
}

func checkEnd(t *testing.T, tx *Tx, id string, wants bool, reason EndReason, by string, kind EventType) {
	t.Helper()
	ctx := t.Context()
	i, err := tx.Impersonation(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	g, err := tx.GrantByToken(ctx, "grt_"+id, "jti")
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	if err := tx.conn(ctx).Where("impersonation_id = ?", id).Find(&events).Error; err != nil {
		t.Fatal(err)
	}
	if !wants {
		if i.EndedAt.Set() || len(events) != 0 {
			t.Errorf("%s: it ended: %+v, %d events", id, i, len(events))
		}
		return
	}
	end := At(t0)
	if reason == EndExpired {
		end = i.ExpiresAt
	}
	if i.EndedAt != end || i.EndReason != reason || i.EndedBy != by {
		t.Errorf("%s: got an end at %v for %q by %q, want %v, %q, %q", id, i.EndedAt, i.EndReason, i.EndedBy, end, reason, by)
	}
	if !g.RevokedAt.Set() {
		t.Errorf("%s: its grant lives", id)
	}
	if len(events) != 1 {
		t.Fatalf("%s: got %d events, want 1", id, len(events))
	}
	e := events[0]
	if e.Type != kind || e.ActorID != i.ActorID || e.SubjectID != i.SubjectID || e.ClientID != i.ClientID ||
		e.Data["end_reason"] != string(reason) || e.Data["ended_by"] != by {
		t.Errorf("%s: got event %+v", id, e)
	}
}

func TestImpersonations(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(_ context.Context, tx *Tx) error { scene(t, tx); return nil })
		for want, f := range map[string]ImpersonationFilter{
			"imp_1 imp_2 imp_3 ": {},
			"imp_1 imp_2 ":       {Actor: "usr_sam"},
			"imp_1 imp_3 ":       {Subject: "usr_ada"},
			"imp_2 imp_3 ":       {Party: "usr_grace"},
			"imp_3 ":             {Client: "other"},
			"imp_1 ":             {LoginSID: "sid_sam"},
			"imp_2 ":             {ID: "imp_2"},
			"":                   {Actor: "usr_grace", Client: "demo"},
		} {
			found, err := s.Impersonations(t.Context(), f, t0)
			var got string
			for _, i := range found {
				got += i.ID + " "
			}
			if got != want || err != nil {
				t.Errorf("%+v: got %q, %v, want %q", f, got, err, want)
			}
		}
		found, err := s.Impersonations(t.Context(), ImpersonationFilter{Running: true}, t0.Add(20*time.Minute))
		if len(found) != 2 || err != nil {
			t.Errorf("running: got %d, %v, want 2", len(found), err)
		}
		// An empty id selects none, not all.
		wantErr(t, "stop nothing", s.Write(t.Context(), func(tx *Tx) error {
			return tx.StopImpersonation(t.Context(), "", Cause{}, t0)
		}), ErrSpent)
		found, err = s.Impersonations(t.Context(), ImpersonationFilter{Running: true}, t0)
		if len(found) != 3 || err != nil {
			t.Errorf("after stopping nothing: got %d running, %v, want 3", len(found), err)
		}
	})
}

// Several processes that expire at the same time record each end once, and none
// of them fails.
func TestExpireConcurrently(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		for i := range 10 {
			impersonate(t, s, fmt.Sprint("imp_", i))
		}
		concurrently(8, func(int) {
			err := s.Write(t.Context(), func(tx *Tx) error {
				_, err := tx.ExpireImpersonations(t.Context(), t0.Add(time.Hour))
				return err
			})
			wantErr(t, "expire", err, nil)
		})
		if n := query[int](t, s, `SELECT COUNT(*) FROM events WHERE type = ?`, EventImpersonationExpired); n != 10 {
			t.Errorf("got %d events, want 10", n)
		}
	})
}

// Within organizations, where somebody is acted as decides, not where the actor belongs.
func TestImpersonationsOfMembers(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			var errs []error
			for _, id := range []string{"here", "there"} {
				errs = append(errs, tx.CreateOrganization(ctx, &Organization{ID: id, Name: id}, t0),
					tx.CreateUser(ctx, &User{ID: "usr_" + id, Email: id + "@x.test"}, t0), tx.AddMember(ctx, id, "usr_"+id, "", t0))
			}
			errs = append(errs, tx.CreateUser(ctx, &User{ID: "usr_actor", Email: "actor@x.test"}, t0), tx.AddMember(ctx, "there", "usr_actor", "", t0),
				tx.CreateImpersonation(ctx, &Impersonation{
					ID: "imp_1", ActorID: "usr_actor", SubjectID: "usr_here", OrganizationID: "here", ClientID: "app", Entry: "consent", Reason: "because", Access: "full",
					StartedAt: At(t0), ExpiresAt: At(t0.Add(time.Hour)),
				}))
			return errors.Join(errs...)
		})
		for want, organizations := range map[int][][]string{1: {nil, {"here"}, {"here", "there"}}, 0: {{}, {"there"}}} {
			for _, in := range organizations {
				found, err := s.Impersonations(t.Context(), ImpersonationFilter{Running: true, Organizations: in}, t0)
				if err != nil || len(found) != want {
					t.Errorf("%q: got %d, %v, want %d", in, len(found), err, want)
				}
			}
		}
	})
}
