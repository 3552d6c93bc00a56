package impersonation

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Caller is a program that asks in an actor's place: with a key of the management API,
// or as a client that has permissions of it. What the actor shows by signing in, it
// vouches for. It reaches no further than its own permissions (SECURITY F08).
type Caller struct {
	ID       string
	Standing storage.Standing
}

// Reaches reports whether the program may ask in the place of an actor with this
// standing, and within this organization; an empty one is none.
func (c *Caller) Reaches(actor storage.Standing, organization string) bool {
	return c.Standing.May(PermissionStart, organization) && startsWith(c.Standing, actor)
}

// id is the program's; empty: there is none.
func (c *Caller) id() string {
	if c == nil {
		return ""
	}
	return c.ID
}

// stands makes sure that a caller whom no ticket names has not ended when the commit
// happens: DenyCaller. What it may do is what it presented.
func (c *Caller) stands(ctx context.Context, tx *storage.Tx, now time.Time) error {
	if err := tx.HoldCaller(ctx, c.ID); err != nil {
		return err
	}
	standing, err := tx.CallerStanding(ctx, c.ID, now)
	if err != nil {
		return fmt.Errorf("load standing of caller: %w", err)
	}
	if !standing.MayAnywhere(PermissionStart) {
		return DenyCaller
	}
	return nil
}

// behind returns programs and who is behind them: whoever is can ask with them. An
// empty id is no program.
func behind(ctx context.Context, from reads, programs ...string) ([]string, error) {
	var all []string
	for _, id := range programs {
		if id == "" {
			continue
		}
		others, err := from.Behind(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("load who is behind a program: %w", err)
		}
		all = append(append(all, id), others...)
	}
	return all, nil
}

// caller asks what depends on whoever asks in the actor's place: it may start
// something, and the actor is within its reach. One who is not is as good as unknown.
func caller(a Attempt) Denial {
	switch {
	case a.Caller == nil:
		return ""
	case !a.Caller.MayAnywhere(PermissionStart):
		return DenyCaller
	case !startsWith(*a.Caller, a.ActorStanding):
		return DenyActor
	}
	return ""
}

// each reports whether a rule holds for everybody who asks: the actor, and a caller
// in their place.
func each(a Attempt, holds func(Attempt, storage.Standing) bool) bool {
	return holds(a, a.ActorStanding) && (a.Caller == nil || holds(a, *a.Caller))
}

// steppedUp reports whether the actor has shown lately who they are. Where nobody
// knows, a caller vouches for them.
func steppedUp(a Attempt) bool {
	if a.ActorAuthTime.IsZero() {
		return a.Caller != nil
	}
	return a.asked().Sub(a.ActorAuthTime) <= a.Limits.StepUpMaxAge
}
