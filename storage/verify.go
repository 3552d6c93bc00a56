package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Verification is what VerifyEvents found.
type Verification struct {
	Size    int64     // events in the tree
	Root    tlog.Hash // of the tree, computed anew; zero when there is a fault
	Pending int64     // events that wait for their place in the tree
	Erased  int64     // events whose private part was erased, as is allowed

	// Fault is the first thing wrong with the record, nil when nothing is.
	Fault *Fault
	// Unrecorded are impersonations that exist, or that a grant names, without
	// an event that they started; at most a hundred. There must be none.
	Unrecorded []string
}

// Err returns nil when the record is whole.
func (v Verification) Err() error {
	var errs []error
	if v.Fault != nil {
		errs = append(errs, v.Fault)
	}
	if len(v.Unrecorded) > 0 {
		errs = append(errs, fmt.Errorf("impersonations without an event that they started: %q", v.Unrecorded))
	}
	return errors.Join(errs...)
}

// OK reports whether the record is whole.
func (v Verification) OK() bool { return v.Err() == nil }

// FaultKind says what is wrong with the record.
type FaultKind string

// The kinds of faults.
const (
	FaultChanged   FaultKind = "changed"   // the event is not the one that was recorded
	FaultMissing   FaultKind = "missing"   // no event has the position
	FaultReordered FaultKind = "reordered" // the event was recorded at another position
	FaultAdded     FaultKind = "added"     // the tree knows nothing of the event
	FaultTruncated FaultKind = "truncated" // a checkpoint covers events that are gone
	FaultRewritten FaultKind = "rewritten" // the tree is sound but not the one of a checkpoint
	FaultTree      FaultKind = "tree"      // the events are sound but not the tree's own hashes
	FaultPrivate   FaultKind = "private"   // the private part is not the one that was recorded
)

// Fault is one thing wrong with the record.
type Fault struct {
	Position int64 // the first that is affected
	Kind     FaultKind
	Detail   string
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("event %d: %s: %s", f.Position, f.Kind, f.Detail) }

// verifyBatch is how many events are looked at together.
const verifyBatch = 1000

// VerifyEvents computes the tree anew from every event and compares it with the
// stored tree and with heads of it that the caller trusts, from checkpoints
// whose signatures it verified. What is wrong is no error but in the result; it
// stops at the first fault. It takes time in proportion to the record, little
// memory, and does not disturb writers; what they add meanwhile is not looked at.
func (s *Store) VerifyEvents(ctx context.Context, against []tlog.Tree) (Verification, error) {
	v := verifier{Queries: s.Queries, edge: edge{}, heads: slices.Clone(against)}
	slices.SortStableFunc(v.heads, func(a, b tlog.Tree) int { return cmp.Compare(a.N, b.N) })
	fault, err := v.walk(ctx)
	if err != nil {
		return v.Verification, fmt.Errorf("verify events: %w", err)
	}
	v.Fault = fault
	if v.Unrecorded, err = s.unrecorded(ctx); err != nil {
		return v.Verification, fmt.Errorf("verify events: %w", err)
	}
	return v.Verification, nil
}

// verifier is a tree that grows again.
type verifier struct {
	Queries
	Verification
	edge    edge
	heads   []tlog.Tree // not reached yet, by size
	matched int64       // the size of the last head reached
}

func (v *verifier) walk(ctx context.Context) (*Fault, error) {
	var events, hashes int64 // one statement, so that a commit is seen whole
	err := v.scan(ctx, []any{&events, &hashes, &v.Pending}, `SELECT
		(SELECT COALESCE(MAX(position), -1) + 1 FROM events),
		(SELECT COALESCE(MAX(position), -1) + 1 FROM tree_hashes),
		(SELECT COUNT(*) FROM events WHERE position IS NULL)`)
	if err != nil {
		return nil, err
	}
	v.Size = recordsIn(hashes)
	fault, err := v.reach(0)
	for n := int64(0); n < v.Size && fault == nil && err == nil; n += verifyBatch {
		fault, err = v.batch(ctx, n, min(n+verifyBatch, v.Size))
	}
	switch {
	case err != nil || fault != nil:
		return fault, err
	case len(v.heads) > 0:
		return &Fault{v.Size, FaultTruncated, fmt.Sprintf("the tree has %d events, a checkpoint %d", v.Size, v.heads[0].N)}, nil
	case tlog.StoredHashCount(v.Size) != hashes:
		return &Fault{v.Size, FaultTree, "hashes of the tree are missing"}, nil
	case events > v.Size:
		return &Fault{v.Size, FaultAdded, fmt.Sprintf("the tree has %d events, positions go up to %d", v.Size, events-1)}, nil
	}
	v.Root, err = tlog.TreeHash(v.Size, v.edge)
	return nil, err
}

// batch verifies the events from position n up to end.
func (v *verifier) batch(ctx context.Context, n, end int64) (*Fault, error) {
	events, err := v.rows(ctx, `WHERE position >= ? AND position < ? ORDER BY position`, n, end)
	if err != nil {
		return nil, err
	}
	stored, err := v.hashRows(ctx, `WHERE position >= ? AND position < ?`, tlog.StoredHashCount(n), tlog.StoredHashCount(end))
	if err != nil {
		return nil, err
	}
	for i := range end - n {
		if i >= int64(len(events)) || *events[i].Position != n+i {
			return &Fault{n + i, FaultMissing, "no event has this position"}, nil
		}
		if fault, err := v.event(ctx, &events[i], stored); fault != nil || err != nil {
			return fault, err
		}
		if fault, err := v.reach(n + i + 1); fault != nil || err != nil {
			return fault, err
		}
	}
	return nil, nil
}

// event verifies one event, which the tree then has grown by.
func (v *verifier) event(ctx context.Context, r *row, stored map[int64]tlog.Hash) (*Fault, error) {
	n := *r.Position
	leaf, err := r.hash()
	if err != nil {
		return nil, err
	}
	hashes, err := v.edge.add(n, leaf)
	if err != nil {
		return nil, err
	}
	first := tlog.StoredHashIndex(0, n)
	for i, h := range hashes {
		switch was, ok := stored[first+int64(i)]; {
		case !ok:
			return &Fault{n, FaultTree, "a hash of the tree is missing"}, nil
		case was == h:
		case i > 0:
			return &Fault{n, FaultTree, "a hash of the tree is not that of its events"}, nil
		default:
			return v.mismatch(ctx, r, leaf)
		}
	}
	switch sum := sha256.Sum256([]byte(r.Private)); {
	case r.Private == "" && len(r.PrivateHash) > 0:
		v.Erased++
	case r.Private != "" && !bytes.Equal(sum[:], r.PrivateHash):
		return &Fault{n, FaultPrivate, "the private part of " + r.ID + " is not the one recorded"}, nil
	}
	return nil, nil
}

// mismatch tells an event that was changed from one that was moved.
func (v *verifier) mismatch(ctx context.Context, r *row, leaf tlog.Hash) (*Fault, error) {
	var index int64
	err := v.scan(ctx, []any{&index}, `SELECT position FROM tree_hashes WHERE hash = ? LIMIT 1`, leaf[:])
	switch {
	case errors.Is(err, ErrNotFound):
		return &Fault{*r.Position, FaultChanged, r.ID + " is not what was recorded here"}, nil
	case err != nil:
		return nil, err
	}
	_, was := tlog.SplitStoredHashIndex(index)
	return &Fault{*r.Position, FaultReordered, fmt.Sprintf("%s was recorded at position %d", r.ID, was)}, nil
}

// reach compares the tree with the heads of this size.
func (v *verifier) reach(size int64) (*Fault, error) {
	for len(v.heads) > 0 && v.heads[0].N <= size {
		head := v.heads[0]
		v.heads = v.heads[1:]
		if head.N < size {
			return nil, fmt.Errorf("a checkpoint of %d events", head.N)
		}
		root, err := tlog.TreeHash(size, v.edge)
		if err != nil {
			return nil, err
		}
		if root != head.Hash {
			return &Fault{v.matched, FaultRewritten, fmt.Sprintf("a checkpoint of the first %d events has another root", size)}, nil
		}
		v.matched = size
	}
	return nil, nil
}

// unrecorded returns impersonations that have no event of their start. It must
// find none: the event commits with the impersonation (SECURITY G02).
func (q Queries) unrecorded(ctx context.Context) ([]string, error) {
	var ids []string
	err := q.conn(ctx).Raw(`SELECT i.id FROM (
			SELECT id FROM impersonations UNION SELECT impersonation_id FROM grants WHERE impersonation_id <> '') i
		WHERE NOT EXISTS (SELECT 1 FROM events e
			WHERE e.impersonation_id = i.id AND e.impersonation_id <> '' AND e.position IS NOT NULL AND e.type = ?)
		AND i.id NOT IN (SELECT impersonation_id FROM events WHERE position IS NULL AND type = ?)
		ORDER BY i.id LIMIT 100`, EventImpersonationStarted, EventImpersonationStarted).Scan(&ids).Error
	return ids, translate(err)
}
