package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// What somebody with the database in their hands, triggers dropped, can do to
// forty events, and what verification says, alone and against checkpoints of
// the sizes 10, 25 and 40.
//
// T10, G03: change, removal, insertion, reordering and truncation are found.
func TestTampering(t *testing.T) {
	index := tlog.StoredHashIndex
	shiftUp := `UPDATE events SET position = position + 1000 WHERE position >= %d; UPDATE events SET position = position - 999 WHERE position >= 1000`
	shiftDown := `UPDATE events SET position = position + 1000 WHERE position > %d; UPDATE events SET position = position - 1001 WHERE position >= 1000`
	insert := `INSERT INTO events (id, position, time, type) VALUES ('evt_x', %d, 1, 'user.updated')`
	tests := []struct {
		name       string
		statements string
		position   int64
		kind       FaultKind // empty: only a checkpoint tells
		against    FaultKind // with checkpoints; empty: the same
	}{
		{name: "changed who", statements: `UPDATE events SET actor_id = 'usr_x' WHERE position = 17`, position: 17, kind: FaultChanged},
		{name: "changed when", statements: `UPDATE events SET time = time + 1 WHERE position = 0`, kind: FaultChanged},
		{name: "changed the last", statements: `UPDATE events SET type = 'x' WHERE position = 39`, position: 39, kind: FaultChanged},
		{name: "changed white space", statements: `UPDATE events SET data = data || ' ' WHERE position = 3`, position: 3, kind: FaultChanged},
		{name: "no JSON any more", statements: `UPDATE events SET data = '' WHERE position = 3`, position: 3, kind: FaultChanged},
		{name: "another private hash", statements: `UPDATE events SET private = '', private_hash = NULL WHERE position = 4`, position: 4, kind: FaultChanged},
		{name: "other private data", statements: `UPDATE events SET private = '{}' WHERE position = 5`, position: 5, kind: FaultPrivate},
		{name: "changed many", statements: `UPDATE events SET request_id = 'x' WHERE position IN (9, 30, 31)`, position: 9, kind: FaultChanged},
		{name: "deleted", statements: `DELETE FROM events WHERE position = 17`, position: 17, kind: FaultMissing},
		{name: "deleted the first", statements: `DELETE FROM events WHERE position = 0`, position: 0, kind: FaultMissing},
		{name: "deleted the last", statements: `DELETE FROM events WHERE position = 39`, position: 39, kind: FaultMissing},
		{name: "deleted all", statements: `DELETE FROM events`, position: 0, kind: FaultMissing},
		{name: "back to pending", statements: `UPDATE events SET position = NULL WHERE position = 17`, position: 17, kind: FaultMissing},
		{
			name: "deleted and closed up", statements: `DELETE FROM events WHERE position = 17; ` + fmt.Sprintf(shiftDown, 17),
			position: 17, kind: FaultReordered,
		},
		{
			name:       "swapped",
			statements: `UPDATE events SET position = 1000 WHERE position = 5; UPDATE events SET position = 5 WHERE position = 30; UPDATE events SET position = 30 WHERE position = 1000`,
			position:   5, kind: FaultReordered,
		},
		{name: "inserted", statements: fmt.Sprintf(shiftUp, 17) + `; ` + fmt.Sprintf(insert, 17), position: 17, kind: FaultChanged},
		{name: "appended", statements: fmt.Sprintf(insert, 40), position: 40, kind: FaultAdded},
		{name: "appended far away", statements: fmt.Sprintf(insert, 4000), position: 40, kind: FaultAdded},
		{
			name:       "truncated with the tree",
			statements: fmt.Sprintf(`DELETE FROM events WHERE position >= 20; DELETE FROM tree_hashes WHERE position >= %d`, tlog.StoredHashCount(20)),
			position:   20, against: FaultTruncated,
		},
		{name: "emptied", statements: `DELETE FROM events; DELETE FROM tree_hashes`, position: 0, against: FaultTruncated},
		{
			name:       "hash of a subtree",
			statements: fmt.Sprintf(`UPDATE tree_hashes SET hash = (SELECT hash FROM tree_hashes WHERE position = 0) WHERE position = %d`, index(2, 3)),
			position:   15, kind: FaultTree,
		},
		{
			name:       "hash of a leaf",
			statements: fmt.Sprintf(`UPDATE tree_hashes SET hash = (SELECT hash FROM tree_hashes WHERE position = 0) WHERE position = %d`, index(0, 17)),
			position:   17, kind: FaultChanged,
		},
		{name: "hash shortened", statements: fmt.Sprintf(`DELETE FROM tree_hashes WHERE position = %d`, index(0, 17)), position: 17, kind: FaultTree},
		{
			name: "last hash of the tree", statements: fmt.Sprintf(`DELETE FROM tree_hashes WHERE position = %d`, tlog.StoredHashCount(40)-1),
			position: 39, kind: FaultTree, against: FaultTruncated,
		},
		{name: "more hashes", statements: `INSERT INTO tree_hashes SELECT 5000, hash FROM tree_hashes WHERE position = 0`, position: 40, kind: FaultMissing},
		{name: "rewritten", statements: `UPDATE events SET actor_id = 'usr_x' WHERE position = 17; REBUILD`, position: 10, against: FaultRewritten},
		{
			name: "rewritten the beginning", statements: `UPDATE events SET actor_id = 'usr_x' WHERE position = 1; REBUILD`,
			position: 0, against: FaultRewritten,
		},
	}
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		var heads []tlog.Tree
		for size := int64(0); size < 40; {
			record(t, s, 5)
			sequence(t, s)
			size += 5
			if size == 10 || size == 25 || size == 40 {
				root, err := s.TreeHash(ctx, size)
				if err != nil {
					t.Fatal(err)
				}
				heads = append(heads, tlog.Tree{N: size, Hash: root})
			}
		}
		empty, _ := tlog.TreeHash(0, nil)
		heads = append(heads, tlog.Tree{Hash: empty}, heads[0]) // in no order, some twice
		slices.Reverse(heads)

		v, err := s.VerifyEvents(ctx, heads)
		if err != nil || v.Err() != nil || v.Size != 40 || v.Root != heads[2].Hash || v.Erased != 0 || v.Pending != 0 {
			t.Fatalf("untouched: got %+v, %v", v, err)
		}
		exec(t, s, `CREATE TABLE events_was AS SELECT * FROM events`)
		exec(t, s, `CREATE TABLE tree_was AS SELECT * FROM tree_hashes`)
		dropTriggers(t, s)

		for _, test := range tests {
			for statement := range strings.SplitSeq(test.statements, "; ") {
				if statement == "REBUILD" {
					rebuild(t, s)
				} else {
					exec(t, s, statement)
				}
			}
			check := func(how string, heads []tlog.Tree, want FaultKind) {
				v, err := s.VerifyEvents(ctx, heads)
				switch {
				case err != nil:
					t.Errorf("%s %s: %v", test.name, how, err)
				case want == "":
					if v.Err() != nil {
						t.Errorf("%s %s: got %v, want nothing", test.name, how, v.Err())
					}
				case v.Fault == nil || v.Fault.Kind != want || v.Fault.Position != test.position ||
					!strings.HasPrefix(fmt.Sprint(v.Err()), fmt.Sprintf("event %d: %s: ", test.position, want)):
					t.Errorf("%s %s: got %v, want event %d: %s", test.name, how, v.Fault, test.position, want)
				}
			}
			check("alone", nil, test.kind)
			if test.against == "" {
				test.against = test.kind
			}
			check("against checkpoints", heads, test.against)

			exec(t, s, `DELETE FROM events`)
			exec(t, s, `INSERT INTO events SELECT * FROM events_was`)
			exec(t, s, `DELETE FROM tree_hashes`)
			exec(t, s, `INSERT INTO tree_hashes SELECT * FROM tree_was`)
		}
		if v, err := s.VerifyEvents(ctx, heads); err != nil || v.Err() != nil {
			t.Fatalf("restored: got %+v, %v", v, err)
		}
	})
}

func dropTriggers(t *testing.T, s *Store) {
	t.Helper()
	statement := `SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'`
	if s.Dialect() == Postgres {
		statement = `SELECT format('DROP TRIGGER %s ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal`
	}
	var drops []string
	if err := s.conn(t.Context()).Raw(statement).Scan(&drops).Error; err != nil || len(drops) == 0 {
		t.Fatal(len(drops), err)
	}
	for _, drop := range drops {
		exec(t, s, drop)
	}
}

// rebuild makes the tree anew, as somebody would who wants no trace.
func rebuild(t *testing.T, s *Store) {
	t.Helper()
	exec(t, s, `DELETE FROM tree_hashes`)
	write(t, s, func(ctx context.Context, tx *Tx) error {
		rows, err := tx.rows(ctx, `ORDER BY position`)
		if err != nil {
			return err
		}
		e := edge{}
		var hashes []string
		for i, r := range rows {
			leaf, err := r.hash()
			if err != nil {
				return err
			}
			added, err := e.add(int64(i), leaf)
			if err != nil {
				return err
			}
			for _, h := range added {
				hashes = append(hashes, fmt.Sprintf("%x", h[:]))
			}
		}
		return tx.insertHashes(ctx, 0, hashes)
	})
}

// No impersonation without its event.
func TestUnrecorded(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		if v, err := s.VerifyEvents(t.Context(), nil); err != nil || v.Err() != nil {
			t.Errorf("got %+v, %v", v, err)
		}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			err := tx.CreateImpersonation(ctx, &Impersonation{
				ID: "imp_2", ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", Entry: "api",
				Reason: "r", Access: "full", StartedAt: 1, ExpiresAt: 2,
			})
			if err != nil {
				return err
			}
			err = tx.Record(ctx, Event{Type: EventImpersonationStopped, ImpersonationID: "imp_2"}, Private{}, Request{}, t0)
			if err != nil {
				return err
			}
			return tx.CreateGrant(ctx, &Grant{ID: "grt_3", UserID: "usr_ada", ActorID: "usr_sam", ImpersonationID: "imp_3"})
		})
		v, err := s.VerifyEvents(t.Context(), nil)
		if err != nil || !slices.Equal(v.Unrecorded, []string{"imp_2", "imp_3"}) || v.Err() == nil {
			t.Errorf("got %+v, %v, want imp_2 and imp_3", v, err)
		}
	})
}
