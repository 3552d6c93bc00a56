package impersonation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	// reconsiderTime bounds how long the rules may take about all that runs: what is not
	// decided by then is refused, as it is by one rule that takes too long.
	reconsiderTime = time.Second
	// reconsiderClaim is how long whoever makes a change has to ask the rules. When they
	// are gone by then somebody else does, so that all is over within five seconds
	// (SECURITY A07, A14).
	reconsiderClaim = 2500 * time.Millisecond
	// endBatch bounds how many end in one Write.
	endBatch = 50
)

// StillAllowed decides again about an impersonation that runs: Decide without
// what was settled when it started, its form, its step-up and its limits.
func StillAllowed(a Attempt, running *storage.Impersonation) error {
	a.Running = running
	a.Organization, a.Access = running.OrganizationID, Access(running.Access)
	return Decide(a)
}

// Reconsider is how a change says what it may concern of what runs.
type Reconsider func(storage.ImpersonationFilter) error

// Change makes a change in one Write, and ends what it no longer allows of what runs:
// fn calls reconsider about whatever it may concern. What a guard rail now refuses ends
// in the same Write, so that nothing outlives a permission (SECURITY A03, A14). The rules
// of the policy are asked after it, before Change returns: they may take long, and nobody
// waits for them. They are asked by Reconsider if this process ends first.
func Change(ctx context.Context, store *storage.Store, by storage.Cause, now time.Time, fn func(tx *storage.Tx, reconsider Reconsider) error) error {
	var owed []*storage.Reconsideration
	err := store.Write(ctx, func(tx *storage.Tx) error {
		owed = nil
		return fn(tx, func(f storage.ImpersonationFilter) error {
			left, err := holdToRails(ctx, tx, f, by, now)
			if err != nil || left == 0 {
				return err
			}
			r := storage.NewReconsideration(f, by, now, now.Add(reconsiderClaim))
			owed = append(owed, r)
			return tx.CreateReconsideration(ctx, r)
		})
	})
	if err == nil {
		settleAll(ctx, store, owed, now)
	}
	return err
}

// settleAll asks the rules after a change that was made: it is no error of the change
// when that does not succeed, and Reconsider finds what is left.
func settleAll(ctx context.Context, store *storage.Store, owed []*storage.Reconsideration, now time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconsiderClaim)
	defer cancel()
	deadline := time.Now().Add(reconsiderTime)
	for _, r := range owed {
		_ = settle(ctx, store, r, deadline, now)
	}
}

// Reconsider asks the rules about what runs after changes whose maker did not come to
// it. Call it every second.
func (s *Service) Reconsider(ctx context.Context, now time.Time) error {
	due, err := s.store.DueReconsiderations(ctx, now)
	if err != nil {
		return fmt.Errorf("load reconsiderations: %w", err)
	}
	var errs []error
	deadline := time.Now().Add(reconsiderTime)
	for _, r := range due {
		err := s.store.Write(ctx, func(tx *storage.Tx) error { return tx.ClaimReconsideration(ctx, &r, now.Add(reconsiderClaim)) })
		if errors.Is(err, storage.ErrSpent) {
			continue
		}
		if err == nil {
			err = settle(ctx, s.store, &r, deadline, now)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// holdToRails ends what runs, within a filter, and is refused by a guard rail, and
// returns how much is left.
func holdToRails(ctx context.Context, tx *storage.Tx, f storage.ImpersonationFilter, by storage.Cause, now time.Time) (left int, err error) {
	f.Running = true
	running, err := tx.Impersonations(ctx, f, now)
	if err != nil {
		return 0, fmt.Errorf("load impersonations: %w", err)
	}
	for _, i := range running {
		refused, err := refusedNow(ctx, tx, &i, false, time.Time{}, now)
		if err != nil {
			return 0, err
		}
		if !refused {
			left++
			continue
		}
		if err := tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: i.ID}, by.With(storage.EndPermissionLost), now); err != nil {
			return 0, fmt.Errorf("end impersonation %s: %w", i.ID, err)
		}
	}
	return left, nil
}

// settle decides about all that a change may concern, and ends what is refused. What is
// not decided by the deadline is. It may be done twice.
func settle(ctx context.Context, store *storage.Store, r *storage.Reconsideration, deadline, now time.Time) error {
	running, err := store.Impersonations(ctx, r.Filter(), now)
	if err != nil {
		return fmt.Errorf("load impersonations: %w", err)
	}
	var refused []string
	var errs []error
	for _, i := range running {
		no, err := refusedNow(ctx, store, &i, true, deadline, now)
		if no {
			refused = append(refused, i.ID)
		}
		errs = append(errs, err)
	}
	for ids := range slices.Chunk(refused, endBatch) {
		errs = append(errs, store.Write(ctx, func(tx *storage.Tx) error {
			for _, id := range ids {
				if err := tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: id}, r.Cause(), now); err != nil {
					return fmt.Errorf("end impersonation %s: %w", id, err)
				}
			}
			return nil
		}))
	}
	if err := errors.Join(errs...); err != nil {
		return err // it is tried again
	}
	return store.Write(ctx, func(tx *storage.Tx) error { return tx.RemoveReconsideration(ctx, r.ID) })
}

// refusedNow reports whether a guard rail, or one of the rules where they are asked,
// refuses what runs. The rules have until the deadline.
func refusedNow(ctx context.Context, from reads, i *storage.Impersonation, rules bool, deadline, now time.Time) (bool, error) {
	g, err := from.Grounds(ctx, storage.Question{ActorID: i.ActorID, SubjectID: i.SubjectID, ClientID: i.ClientID}, now)
	if err != nil {
		return false, fmt.Errorf("impersonation %s: load grounds: %w", i.ID, err)
	}
	if !rules {
		g.PolicyID = ""
	}
	a, err := attemptOf(ctx, from, i, g, nil, now)
	if err != nil {
		return false, fmt.Errorf("impersonation %s: %w", i.ID, err)
	}
	a.hurried, a.deadline = true, deadline
	err = StillAllowed(a, i)
	if _, denied := Denied(err); denied {
		return true, nil
	}
	return false, err
}

// attemptOf gathers what decides about a running impersonation, beside its grounds; where
// those name no policy, only what the guard rails ask. known, where it is its client as it
// is now, is not read again; it may be nil.
func attemptOf(ctx context.Context, from reads, i *storage.Impersonation, g *storage.Grounds, known *storage.Client, now time.Time) (Attempt, error) {
	if g.Actor == nil {
		return Attempt{}, fmt.Errorf("load actor: %w", storage.ErrNotFound)
	}
	client := known
	var err error
	if known == nil || known.ID != i.ClientID || !g.Same(known) {
		client, err = from.Client(ctx, i.ClientID)
	}
	if errors.Is(err, storage.ErrNotFound) {
		client, err = &storage.Client{ID: i.ClientID}, nil // deleted, so no longer opted in
	}
	if err != nil {
		return Attempt{}, fmt.Errorf("load client: %w", err)
	}
	var caller *Caller
	if i.CreatedBy != "" && i.LoginSID == "" { // nobody else vouches for the actor
		standing, err := from.CallerStanding(ctx, i.CreatedBy, now)
		if err != nil {
			return Attempt{}, fmt.Errorf("load standing of caller: %w", err)
		}
		caller = &Caller{ID: i.CreatedBy, Standing: standing}
	}
	return attemptOn(ctx, from, g, Ask{
		Actor: g.Actor, Caller: caller, Client: client, SubjectID: i.SubjectID, Organization: i.OrganizationID, Reason: i.Reason, Access: Access(i.Access),
		Duration: i.ExpiresAt.Time().Sub(i.StartedAt.Time()), Entry: i.Entry, IP: i.IP,
	}, Limits{}, i, now)
}
