package impersonation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// PermissionPolicies is what reading and changing the policy takes.
const PermissionPolicies = "policies:write"

// authorWaits is how long a change of the policy loosens nothing for whoever made it
// (SECURITY T31).
const authorWaits = 15 * time.Minute

// policyNamed returns the version with this id; empty: there are no rules. It is read
// and compiled once: that there is another is known by its id. A unit of work, for which
// others wait, gets uncompiled the first time.
func policyNamed(ctx context.Context, from reads, id string) (*Policy, error) {
	if id == "" {
		return nil, nil
	}
	made, err := from.Derived("policy:"+id, func() (any, error) {
		if _, writes := from.(*storage.Tx); writes {
			return nil, uncompiled(id)
		}
		row, err := from.PolicyNamed(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("load policy: %w", err)
		}
		return compileRow(row)
	})
	if err != nil {
		return nil, err
	}
	return made.(*Policy), nil
}

// compileRow makes a policy of a version.
func compileRow(row *storage.Policy) (*Policy, error) {
	rules, err := ParsePolicy([]byte(row.Rules))
	if err != nil {
		return nil, fmt.Errorf("policy %d: %w", row.Version, err)
	}
	p, err := Compile(rules)
	if err != nil {
		return nil, fmt.Errorf("policy %d: %w", row.Version, err)
	}
	return p.of(row), nil
}

// of returns the policy as a version.
func (p *Policy) of(row *storage.Policy) *Policy {
	of := &Policy{
		ID: row.ID, Version: row.Version, AuthorID: row.AuthorID, byPerson: row.ByPerson, CreatedAt: row.CreatedAt.Time(), rules: slices.Clone(p.rules),
	}
	for i := range of.rules {
		of.rules[i].version = row.Version
	}
	return of
}

// policyFor returns the rules that somebody starts under. Whoever changed them a
// moment ago is bound by those before, too: a change loosens nothing for its author
// until others had the time to see it, or one of them made a change of their own
// (SECURITY T31).
func policyFor(ctx context.Context, from reads, id string, ask Ask, standing storage.Standing, limits Limits, now time.Time) (*Policy, error) {
	p, err := policyNamed(ctx, from, id)
	if err != nil || p == nil || p.AuthorID == "" || limits.AuthorsAtOnce || now.Sub(p.CreatedAt) >= authorWaits {
		return p, err
	}
	who, err := behind(ctx, from, ask.Caller.id())
	if err != nil {
		return nil, err
	}
	who = append(who, ask.Actor.ID)
	if theirs, err := p.writtenBy(ctx, from, who, ask, standing); err != nil || !theirs {
		return p, err
	}
	before, err := from.PolicyBefore(ctx, p.Version, now.Add(-authorWaits), who)
	if errors.Is(err, storage.ErrNotFound) {
		return p, nil // there were no rules before, so these only narrow
	}
	if err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	bound, err := policyNamed(ctx, from, before.ID)
	if err != nil {
		return nil, err
	}
	return p.and(bound), nil
}

// writtenBy reports whether one of who asks may be behind a version: it is theirs, or of
// a key that they made; and whoever may write the policy can have used any key.
func (p *Policy) writtenBy(ctx context.Context, from reads, who []string, ask Ask, standing storage.Standing) (bool, error) {
	if slices.Contains(who, p.AuthorID) || p.byPerson {
		return slices.Contains(who, p.AuthorID), nil
	}
	if standing.MayAnywhere(PermissionPolicies) || ask.Caller != nil && ask.Caller.Standing.MayAnywhere(PermissionPolicies) {
		return true, nil
	}
	authors, err := behind(ctx, from, p.AuthorID)
	return slices.ContainsFunc(authors, func(id string) bool { return slices.Contains(who, id) }), err
}

// SetPolicy makes rules, which Compile has made a policy of, the next version: it holds
// for the next decision, wherever that is made. What runs and is no longer allowed ends
// after it, as Change says. basedOn is the version that the author had before them, zero
// where there was none. A *RuleProblem: the note is none. storage.ErrPolicyChanged: there
// is a newer one.
func (s *Service) SetPolicy(ctx context.Context, rules *Policy, note string, basedOn int64, by storage.Cause, now time.Time) (*storage.Policy, error) {
	if !plain(note, maxRuleText, true) {
		return nil, &RuleProblem{Rule: -1, Field: "note", Text: fmt.Sprintf("want at most %d printable characters", maxRuleText)}
	}
	text, err := keptAs(rules.Rules())
	if err != nil {
		return nil, fmt.Errorf("write policy: %w", err)
	}
	saved := &storage.Policy{ID: storage.NewID("pol"), Rules: text, Note: note}
	owed := storage.NewReconsideration(storage.ImpersonationFilter{}, by, now, now.Add(reconsiderClaim))
	err = s.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.CreatePolicy(ctx, saved, basedOn, by, now); err != nil {
			return err
		}
		return tx.CreateReconsideration(ctx, owed)
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.store.Derived("policy:"+saved.ID, func() (any, error) { return rules.of(saved), nil }); err != nil {
		return nil, err
	}
	settleAll(ctx, s.store, []*storage.Reconsideration{owed}, now)
	return saved, nil
}

// Explain decides about an ask as a start at that moment would, and says how it came
// about. Nothing is changed or recorded. The actor is taken to have just shown their
// password. rules, where given, take the place of those in force.
func (s *Service) Explain(ctx context.Context, ask Ask, rules *Policy, now time.Time) (Verdict, error) {
	a, err := gather(ctx, s.store, ask, s.limits, now)
	if err != nil {
		return Verdict{}, err
	}
	a.ActorAuthTime, a.AskedAt = now, now
	if rules != nil {
		a.Policy = rules
	}
	return Explain(a), nil
}

// OwnChangeHolds returns until when a version binds its author to the one before as
// well; zero: it does not.
func (s *Service) OwnChangeHolds(authorID string, created time.Time, by string, now time.Time) time.Time {
	until := created.Add(authorWaits)
	if s.limits.AuthorsAtOnce || authorID != by || !now.Before(until) {
		return time.Time{}
	}
	return until
}
