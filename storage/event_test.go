package storage

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The database itself refuses to change the record.
func TestAppendOnly(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		record(t, s, 3)
		sequence(t, s)
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return tx.CreateCheckpoint(ctx, &Checkpoint{Size: 3, Note: "note", CreatedAt: At(t0)})
		})
		record(t, s, 1) // pending
		refused := []string{
			`DELETE FROM events`,
			`DELETE FROM events WHERE position = 2`,
			`DELETE FROM events WHERE position IS NULL`,
			`UPDATE events SET position = 9 WHERE position = 2`,
			`UPDATE events SET position = NULL WHERE position = 2`,
			`UPDATE events SET private = 'x' WHERE position = 2`,
			`UPDATE events SET private_hash = NULL`,
			`UPDATE tree_hashes SET hash = hash`,
			`DELETE FROM tree_hashes`,
			`UPDATE checkpoints SET note = ''`,
			`DELETE FROM checkpoints`,
		}
		for _, column := range []string{
			"id", "type", "actor_id", "subject_id", "client_id", "organization_id", "impersonation_id", "request_id", "data",
		} {
			refused = append(refused, fmt.Sprintf(`UPDATE events SET %s = %s || 'x' WHERE position = 2`, column, column))
		}
		refused = append(refused, `UPDATE events SET time = time + 1`)
		if s.Dialect() == Postgres {
			refused = append(refused, `TRUNCATE events CASCADE`, `TRUNCATE tree_hashes`, `TRUNCATE checkpoints`)
		} else {
			refused = append(refused, `INSERT OR REPLACE INTO checkpoints (size, note, created_at) VALUES (3, '', 0)`)
		}
		for _, statement := range refused {
			err := s.Write(t.Context(), func(tx *Tx) error { return tx.conn(t.Context()).Exec(statement).Error })
			if err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got %v, want that it is append-only", statement, err)
			}
		}
		exec(t, s, `UPDATE events SET private = ''`)
		v, err := s.VerifyEvents(t.Context(), nil)
		if err != nil || v.Err() != nil || v.Erased != 3 || v.Pending != 1 {
			t.Errorf("after erasing: got %+v, %v", v, err)
		}
	})
}

// record adds n events.
func record(t testing.TB, s *Store, n int) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for i := range n {
			err := tx.Record(ctx, Event{
				Type: EventUserUpdated, ActorID: "usr_root", SubjectID: fmt.Sprint("usr_", i), Data: Data{"n": i, "name": "<ä>"},
			}, Private{Reason: "why"}, Request{ID: "req", IP: "192.0.2.7"}, t0)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sequence gives all pending events their positions.
func sequence(t testing.TB, s *Store) {
	t.Helper()
	for {
		n, err := s.Sequence(t.Context(), "test", t0)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestRecord(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			err := tx.Record(ctx, Event{
				Type: EventImpersonationDenied, ActorID: "usr_sam", SubjectID: "\xff\x00", ImpersonationID: "imp_1",
				Data: Data{"big": int64(1<<62 + 1), "deep": struct{ B, A int }{1, 2}, "text": "\x00\xff<&>\u2028"},
			}, Private{Reason: "line\n\x1b[31mbreak\x00\xff"}, Request{ID: "req_1", IP: "192.0.2.7", UserAgent: "\xfe"}, t0)
			if err != nil {
				return err
			}
			return tx.Record(ctx, Event{Type: EventKeyCreated}, Private{}, Request{}, t0.Add(1000))
		})
		pending, err := s.PendingEvents(t.Context(), 10)
		if err != nil || len(pending) != 2 {
			t.Fatalf("got %d pending events, %v, want 2", len(pending), err)
		}
		e := pending[0]
		if e.Time != At(t0) || e.SubjectID != "\uFFFD\uFFFD" || e.RequestID != "req_1" || !strings.HasPrefix(e.ID, "evt_") {
			t.Errorf("got %+v", e)
		}
		want := Data{"big": json.Number("4611686018427387905"), "deep": map[string]any{"A": json.Number("2"), "B": json.Number("1")}, "text": "\x00\uFFFD<&>\u2028"}
		if diff := cmp.Diff(want, e.Data); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
		var p Private
		if err := json.Unmarshal([]byte(e.Private), &p); err != nil || p.Reason != "line\n\x1b[31mbreak\x00\uFFFD" || len(p.Salt) < 20 {
			t.Errorf("private: got %+v, %v", p, err)
		}
		if sum := sha256.Sum256([]byte(e.Private)); string(sum[:]) != string(e.PrivateHash) {
			t.Error("the hash is not that of the private part")
		}
		if pending[1].Private != "" || pending[1].PrivateHash != nil || pending[1].Data != nil {
			t.Errorf("an event without more: got %+v", pending[1])
		}

		sequence(t, s)
		for want, f := range map[int]EventFilter{
			2: {}, 1: {From: 1}, 0: {From: 2},
		} {
			found, err := s.Events(t.Context(), f)
			if len(found) != want || err != nil {
				t.Errorf("%+v: got %d, %v, want %d", f, len(found), err, want)
			}
		}
		for _, f := range []EventFilter{
			{Types: []EventType{EventImpersonationDenied, EventTokenIssued}},
			{ActorID: "usr_sam"},
			{SubjectID: "\uFFFD\uFFFD"},
			{ImpersonationID: "imp_1"},
			{Limit: 1},
		} {
			found, err := s.Events(t.Context(), f)
			if len(found) != 1 || err != nil || found[0].ID != e.ID {
				t.Errorf("%+v: got %d, %v, want the first", f, len(found), err)
			}
		}
	})
}

// An event comes from the database as the tree knows it: Leaf of what is read is
// Leaf of the row.
func TestDataRoundTrip(t *testing.T) {
	t.Parallel()
	for _, d := range []Data{
		nil,
		{},
		{"a": nil},
		{"a": 1e300, "b": 0.1, "c": math.Copysign(0, -1), "d": uint64(1<<64 - 1)},
		{"a": []any{1, "x", map[string]any{"z": 1, "a": 2}}},
		{"": "", "\xff": "\xff", "<": "&", "é": "e\u0301"},
		{"n": json.Number("1.50e+3")},
	} {
		text, err := d.text()
		if err != nil {
			t.Fatal(err)
		}
		var back Data
		if err := back.Scan([]byte(text)); err != nil {
			t.Fatal(err)
		}
		again, err := back.text()
		if err != nil || again != text {
			t.Errorf("%#v: got %s, %v, then %s", d, text, err, again)
		}
	}
	var d Data
	for _, bad := range []any{nil, 1, "", "[]", "{"} {
		if err := d.Scan(bad); err == nil {
			t.Errorf("%#v was read as %v", bad, d)
		}
	}
	if _, err := (Data{"f": func() {}}).Value(); err == nil {
		t.Error("a function was written")
	}
}
