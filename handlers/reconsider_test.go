package handlers_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// slowRules each cost nearly what a rule may, and take longer together than they may on
// any machine.
func slowRules() []impersonation.Rule {
	numbers := "[" + strings.Repeat("0,", 90) + "0]"
	rules := make([]impersonation.Rule, 60)
	for i := range rules {
		rules[i] = denying(fmt.Sprint("slow ", i), fmt.Sprintf("!%s.all(a, %s.all(b, a == b))", numbers, numbers), "Never.")
	}
	return rules
}

// runMany makes that many impersonations run.
func runMany(t *testing.T, idp *idptest.IDP, n int) storage.ImpersonationFilter {
	t.Helper()
	now := time.Now()
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		for range n {
			err := tx.CreateImpersonation(ctx, &storage.Impersonation{
				ID: storage.NewID("imp"), ActorID: "usr_sam", SubjectID: "usr_linus", ClientID: idptest.App().ID, OrganizationID: "org_initech",
				Entry: "consent", Reason: "Cannot see invoice 4711", Access: "full", StartedAt: storage.At(now), ExpiresAt: storage.At(now.Add(30 * time.Minute)),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return storage.ImpersonationFilter{Actor: "usr_sam"}
}

// H05: rules that take too long refuse all that runs, and whoever wants to write something
// meanwhile can.
func TestSlowRulesHoldNobodyUp(t *testing.T) {
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			var asked, wrote atomic.Int64
			var idp *idptest.IDP
			var armed, within atomic.Bool
			trace := func(statement string) {
				if !armed.Load() || !strings.Contains(statement, "FROM throttles WHERE key_hash") || !within.CompareAndSwap(false, true) {
					return
				}
				defer within.Store(false)
				asked.Add(1)
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // a Write that holds the writer would wait for this one
				defer cancel()
				err := idp.Store.Write(ctx, func(tx *storage.Tx) error {
					due, err := tx.DueReconsiderations(ctx, time.Now().Add(time.Hour))
					if len(due) == 1 { // it outlives this process
						wrote.Add(1)
					}
					return err
				})
				if err != nil {
					armed.Store(false)
					t.Error(err)
				}
			}
			idp = idptest.New(t, idptest.Options{DSN: dsn(t), Trace: trace, Provider: provider.Config{Impersonation: idptest.Limits()}})
			all := runMany(t, idp, 60)
			armed.Store(true)
			setPolicyBy(t, idp, "usr_root", slowRules()...)
			// Where whoever makes the change does not come to it in time, on a slow machine, others do.
			check(t, idp.Provider.Impersonation.Reconsider(t.Context(), time.Now().Add(10*time.Second)))
			armed.Store(false)
			if asked.Load() < 60 || wrote.Load() != asked.Load() {
				t.Errorf("asked %d times, wrote meanwhile %d times", asked.Load(), wrote.Load())
			}
			rows, err := idp.Store.Impersonations(t.Context(), all, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range rows {
				if i.EndReason != storage.EndPermissionLost || i.EndedBy != "usr_root" {
					t.Fatalf("got %+v", i)
				}
			}
			if due, err := idp.Store.DueReconsiderations(t.Context(), time.Now().Add(time.Hour)); err != nil || len(due) != 0 {
				t.Errorf("left to do: %+v, %v", due, err)
			}
		})
	}
}

// A start that rules take too long about is refused, once, and is not decided again
// while it holds the writer.
func TestSlowRulesRefuse(t *testing.T) {
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			var units atomic.Int64
			idp := idptest.New(t, idptest.Options{DSN: dsn(t), Trace: func(statement string) {
				if strings.Contains(statement, "FROM throttles WHERE key_hash") {
					units.Add(1)
				}
			}})
			setPolicy(t, idp, slowRules()...)
			ask := impersonation.Ask{
				Actor: &storage.User{ID: "usr_sam"}, Client: idptest.App(), SubjectID: "usr_linus", Reason: "Cannot see invoice 4711",
				Access: impersonation.Full, Duration: 10 * time.Minute, Entry: "console", ActorAuthTime: time.Now(),
			}
			for want, server := range map[int64]*idptest.IDP{3: idp, 4: idp.Again(t)} { // which has to compile the rules first, and not while it writes
				units.Store(0)
				ticket := &storage.Ticket{Binding: "actor_session", Delivery: "link", TokenHash: storage.Hash("x")}
				err := server.Provider.Impersonation.Issue(t.Context(), ask, ticket, storage.Request{}, time.Now())
				if denial, _ := impersonation.Denied(err); denial != impersonation.DenyPolicyError {
					t.Errorf("got %v", err)
				}
				if got := units.Load(); got != want {
					t.Errorf("got %d units of work, want %d", got, want)
				}
			}
			if got := recorded(t, idp, storage.EventImpersonationDenied); len(got) != 2 {
				t.Errorf("on the record: %+v", got)
			}
		})
	}
}

// A14: what a change no longer allows ends even if whoever made the change is gone the
// moment after, and what it still allows goes on.
func TestReconsiderAfterCrash(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for name, when := range map[string]string{"refused": "true", "allowed": "false"} {
			all := runMany(t, idp, 3)
			text, err := impersonation.FormatPolicy([]impersonation.Rule{denying("closed", when, "Closed.")})
			check(t, err)
			now, by := time.Now(), storage.Cause{By: "usr_root", Request: storage.Request{ID: "req_1", IP: "192.0.2.7", UserAgent: "test"}}
			var version int64
			if current, err := idp.Store.CurrentPolicy(t.Context()); err == nil {
				version = current.Version
			}
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				if err := tx.CreatePolicy(ctx, &storage.Policy{ID: storage.NewID("pol"), Rules: text}, version, by, now); err != nil {
					return err
				}
				return tx.CreateReconsideration(ctx, storage.NewReconsideration(storage.ImpersonationFilter{}, by, now, now.Add(2*time.Second)))
			})
			running := func() int {
				all.Running = true
				rows, err := idp.Store.Impersonations(t.Context(), all, now)
				check(t, err)
				return len(rows)
			}
			s := idp.Provider.Impersonation
			check(t, s.Reconsider(t.Context(), now.Add(time.Second)))
			if got := running(); got != 3 {
				t.Errorf("%s: while somebody is at it: %d run", name, got)
			}
			check(t, s.Reconsider(t.Context(), now.Add(2*time.Second)))
			want := map[string]int{"refused": 0, "allowed": 3}[name]
			if got := running(); got != want {
				t.Errorf("%s: %d run, want %d", name, got, want)
			}
			if due, err := idp.Store.DueReconsiderations(t.Context(), now.Add(time.Hour)); err != nil || len(due) != 0 {
				t.Errorf("%s: left to do: %+v, %v", name, due, err)
			}
			all.Running = false
			rows, err := idp.Store.Impersonations(t.Context(), all, now)
			check(t, err)
			for _, i := range rows {
				if i.EndedAt.Set() && (i.EndedBy != "usr_root" || i.EndReason != storage.EndPermissionLost) {
					t.Errorf("%s: got %+v", name, i)
				}
			}
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EndImpersonations(ctx, storage.ImpersonationFilter{}, storage.Cause{By: "usr_root", Reason: storage.EndPermissionLost}, now)
			})
		}
	})
}

// A03: rules about who somebody is are asked again when that changes.
func TestRulesAfterAUserChanged(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		setPolicy(t, idp, denying("not the board", `subject.email.endsWith("@board.test")`, ""), denying("no contractors", `actor.name.startsWith("Contractor")`, ""))
		changes := func(id string, change func(*storage.User)) {
			u, err := idp.Store.User(t.Context(), id)
			check(t, err)
			change(u)
			check(t, provider.NewDirectory(idp.Store).UpdateUser(t.Context(), u, storage.Cause{}, time.Now()))
		}
		for _, c := range []struct {
			user   string
			change func(*storage.User)
			runs   int
		}{
			{"usr_linus", func(u *storage.User) { u.Email = "linus@elsewhere.test" }, 2},
			{"usr_linus", func(u *storage.User) { u.Email = "linus@board.test" }, 0},
			{"usr_linus", func(u *storage.User) { u.Email = "linus@example.test" }, 2},
			{"usr_sam", func(u *storage.User) { u.Name = "Contractor Sam" }, 0},
		} {
			if c.runs > 0 {
				check(t, idp.Provider.Impersonation.EndAll(t.Context(), storage.Cause{}, time.Now()))
				runMany(t, idp, 2)
			}
			changes(c.user, c.change)
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
			if err != nil || len(running) != c.runs {
				t.Errorf("%s: %d run, %v, want %d", c.user, len(running), err, c.runs)
			}
		}
	})
}
