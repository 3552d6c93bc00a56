package impersonation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// StillAllowed decides again about an impersonation that runs: Decide without
// what was settled when it started, its form, its step-up and its limits.
func StillAllowed(a Attempt, running *storage.Impersonation) error {
	a.Running = running
	a.Organization, a.Access = running.OrganizationID, Access(running.Access)
	return Decide(a)
}

// Reconsider asks StillAllowed about every running impersonation that the filter
// selects, and ends those that a rule now refuses: in the unit of work that
// changed a permission, so that nothing outlives it (SECURITY A03, A14).
func Reconsider(ctx context.Context, tx *storage.Tx, f storage.ImpersonationFilter, by storage.Cause, now time.Time) error {
	f.Running = true
	running, err := tx.Impersonations(ctx, f, now)
	if err != nil {
		return fmt.Errorf("load impersonations: %w", err)
	}
	for _, i := range running {
		a, err := attemptOf(ctx, tx, &i, nil, now)
		if err != nil {
			return fmt.Errorf("impersonation %s: %w", i.ID, err)
		}
		err = StillAllowed(a, &i)
		if err == nil {
			continue
		}
		if _, denied := Denied(err); !denied {
			return err
		}
		if err := tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: i.ID}, by.With(storage.EndPermissionLost), now); err != nil {
			return fmt.Errorf("end impersonation %s: %w", i.ID, err)
		}
	}
	return nil
}

// attemptOf gathers what decides about a running impersonation. known, where it is its
// client as it is now, is not read again; it may be nil.
func attemptOf(ctx context.Context, from reads, i *storage.Impersonation, known *storage.Client, now time.Time) (Attempt, error) {
	g, err := from.Grounds(ctx, storage.Question{ActorID: i.ActorID, SubjectID: i.SubjectID, ClientID: i.ClientID}, now)
	if err != nil {
		return Attempt{}, fmt.Errorf("load grounds: %w", err)
	}
	if g.Actor == nil {
		return Attempt{}, fmt.Errorf("load actor: %w", storage.ErrNotFound)
	}
	client := known
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
