package storage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// savePolicy saves rules on top of a version.
func savePolicy(t *testing.T, s *Store, rules string, basedOn int64, by string, at time.Time) (*Policy, error) {
	t.Helper()
	p := &Policy{ID: NewID("pol"), Rules: rules}
	err := s.Write(t.Context(), func(tx *Tx) error {
		return tx.CreatePolicy(t.Context(), p, basedOn, Cause{By: by, Request: Request{ID: "req_1"}}, at)
	})
	return p, err
}

func TestPolicies(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return tx.CreateUser(ctx, &User{ID: "usr_root", Email: "root@understudy.test"}, t0)
		})
		if _, err := s.CurrentPolicy(ctx); !errors.Is(err, ErrNotFound) {
			t.Errorf("before the first: got %v", err)
		}
		for i, by := range []string{"usr_root", "", "key_1", "usr_root"} {
			p, err := savePolicy(t, s, "rules: []", int64(i), by, t0.Add(time.Duration(i)*time.Minute))
			if err != nil || p.Version != int64(i+1) || p.ByPerson != (by == "usr_root") || p.AuthorID != by {
				t.Fatalf("got %+v, %v", p, err)
			}
			settings, err := s.ImpersonationSettings(ctx)
			if err != nil || settings.PolicyID != p.ID {
				t.Errorf("in force: got %q, %v, want %q", settings.PolicyID, err, p.ID)
			}
			if current, err := s.CurrentPolicy(ctx); err != nil || *current != *p {
				t.Errorf("got %+v, %v, want %+v", current, err, p)
			}
		}
		for _, basedOn := range []int64{0, 3, 5} {
			if _, err := savePolicy(t, s, "rules: []", basedOn, "", t0); !errors.Is(err, ErrPolicyChanged) {
				t.Errorf("on top of %d: got %v", basedOn, err)
			}
		}
		for saved, want := range map[time.Duration]int64{time.Hour: 3, 2 * time.Minute: 3, 90 * time.Second: 2, 0: 2, -time.Hour: 2} {
			p, err := s.PolicyBefore(ctx, 4, t0.Add(saved), []string{"usr_root"})
			if err != nil || p.Version != want {
				t.Errorf("before, saved until %v: got %+v, %v, want %d", saved, p, err, want)
			}
		}
		if _, err := s.PolicyBefore(ctx, 1, t0, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("before the first: got %v", err)
		}
		all, err := s.Policies(ctx, 4, 2)
		if err != nil || len(all) != 2 || all[0].Version != 3 || all[0].Rules != "" {
			t.Errorf("got %+v, %v", all, err)
		}
		for _, statement := range []string{`UPDATE policies SET note = 'x'`, `DELETE FROM policies`} {
			err := s.Write(ctx, func(tx *Tx) error {
				_, err := tx.exec(ctx, statement)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got %v", statement, err)
			}
		}
	})
}

// Of many who save at the same moment one does.
func TestPolicyRace(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		results := make(chan error)
		for range 20 {
			go func() {
				_, err := savePolicy(t, s, "rules: []", 0, "", t0)
				results <- err
			}()
		}
		won := 0
		for range 20 {
			switch err := <-results; {
			case err == nil:
				won++
			case !errors.Is(err, ErrPolicyChanged):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d saved", won)
		}
	})
}

// What was made of a row is made once, also within a unit of work, and not remembered
// where it could not be made.
func TestDerived(t *testing.T) {
	s := newStore(t, SQLite)
	made := 0
	count := func() (any, error) { made++; return made, nil }
	if _, err := s.Derived("a", func() (any, error) { return nil, ErrNotFound }); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for range 2 {
		if v, err := s.Derived("a", count); v != 1 || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
	}
	write(t, s, func(_ context.Context, tx *Tx) error {
		if v, err := tx.Derived("a", count); v != 1 || err != nil {
			t.Errorf("in a Write: got %v, %v", v, err)
		}
		return nil
	})
	for i := range 3 * derivedSize {
		if _, err := s.Derived(NewID("x"), count); err != nil || len(s.derived.by) > derivedSize {
			t.Errorf("after %d: %d remembered, %v", i, len(s.derived.by), err)
		}
	}
}
