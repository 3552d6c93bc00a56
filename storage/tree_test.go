package storage

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// The format of leaves never changes: trees out there depend on it.
func TestLeaf(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Event{
		`{"v":1,"id":"evt_1","time":1773500966535897,"type":"impersonation.started","actor_id":"usr_sam","subject_id":"usr_ada",` +
			`"client_id":"<demo>","organization_id":"org_1","impersonation_id":"imp_1","request_id":"req_1","private_hash":"ab01",` +
			`"data":{"a":"\u003cb\u003e","n":12345678901234567890}}`: {
			ID: "evt_1", Time: At(t0), Type: EventImpersonationStarted, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "<demo>",
			OrganizationID: "org_1", ImpersonationID: "imp_1", RequestID: "req_1", PrivateHash: []byte{0xab, 1}, Private: "not in it",
			Data: Data{"n": uint64(12345678901234567890), "a": "<b>"},
		},
		`{"v":1,"id":"","time":0,"type":"","actor_id":"","subject_id":"","client_id":"","organization_id":"","impersonation_id":"",` +
			`"request_id":"","private_hash":"","data":{}}`: {},
	} {
		got, err := e.Leaf()
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	if _, err := (&Event{Data: Data{"f": func() {}}}).Leaf(); err == nil {
		t.Error("a leaf of what is no JSON")
	}
}

// The stored tree is the one that tlog computes from the events, at every size.
func TestSequence(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		if n, err := s.Sequence(ctx, "h", t0); n != 0 || err != nil {
			t.Errorf("an empty record: got %d, %v", n, err)
		}
		root, err := s.TreeHash(ctx, 0)
		if want, _ := tlog.TreeHash(0, nil); err != nil || root != want {
			t.Errorf("an empty tree: got %v, %v, want %v", root, err, want)
		}
		for _, n := range []int{1, 2, 1, 5, 1, 13, 14} {
			record(t, s, n)
			if got, err := s.Sequence(ctx, "h", t0); got != n || err != nil {
				t.Fatalf("got %d, %v, want %d", got, err, n)
			}
		}
		size, err := s.TreeSize(ctx)
		if size != 37 || err != nil {
			t.Fatalf("got size %d, %v, want 37", size, err)
		}
		events, err := s.Events(ctx, EventFilter{})
		if err != nil || len(events) != 37 {
			t.Fatalf("got %d events, %v, want 37", len(events), err)
		}
		var hashes []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, _ error) {
			for _, i := range indexes {
				found = append(found, hashes[i])
			}
			return found, nil
		})
		for i, e := range events {
			if *e.Position != int64(i) {
				t.Fatalf("got position %d, want %d", *e.Position, i)
			}
			leaf, err := e.Leaf()
			if err != nil {
				t.Fatal(err)
			}
			more, err := tlog.StoredHashes(int64(i), leaf, reader)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, more...)
			want, err := tlog.TreeHash(int64(i+1), reader)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.TreeHash(ctx, int64(i+1)); err != nil || got != want {
				t.Errorf("size %d: got %v, %v, want %v", i+1, got, err, want)
			}
		}
		for _, none := range []int64{-1, 38, 64, 1 << 40} {
			_, err := s.TreeHash(ctx, none)
			wantErr(t, fmt.Sprint("size ", none), err, ErrNotFound)
		}
	})
}

// A long queue is worked off in batches, the oldest first.
func TestSequenceBatches(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			events := make([]Event, SequenceBatch+1)
			for i := range events {
				events[i] = Event{ID: fmt.Sprintf("evt_%05d", i), Time: At(t0) - Time(i), Type: EventTokenIssued}
			}
			return tx.conn(ctx).CreateInBatches(events, 500).Error
		})
		for _, want := range []int{SequenceBatch, 1, 0} {
			if n, err := s.Sequence(t.Context(), "h", t0); n != want || err != nil {
				t.Fatalf("got %d, %v, want %d", n, err, want)
			}
		}
		if id := query[string](t, s, `SELECT id FROM events WHERE position = 0`); id != fmt.Sprintf("evt_%05d", SequenceBatch) {
			t.Errorf("the first is %s, want the oldest", id)
		}
		v, err := s.VerifyEvents(t.Context(), nil)
		if err != nil || v.Err() != nil || v.Size != SequenceBatch+1 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

// Many sequencers at once, while events arrive, leave no gap and lose none.
func TestSequenceConcurrently(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		var placed atomic.Int64
		concurrently(20, func(i int) {
			if i%2 == 0 {
				for range 5 {
					record(t, s, 3)
				}
				return
			}
			for range 5 {
				n, err := s.Sequence(t.Context(), fmt.Sprint("holder ", i%4), t0)
				wantErr(t, "sequence", err, nil)
				placed.Add(int64(n))
			}
		})
		n, err := s.Sequence(t.Context(), "the last", t0.Add(time.Hour))
		wantErr(t, "sequence", err, nil)
		if got := placed.Load() + int64(n); got != 150 {
			t.Errorf("got %d places, want 150", got)
		}
		v, err := s.VerifyEvents(t.Context(), nil)
		if err != nil || v.Err() != nil || v.Size != 150 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

// On PostgreSQL one holder sequences until its lease runs out.
func TestSequenceLease(t *testing.T) {
	t.Parallel()
	s := newStore(t, Postgres)
	for i, step := range []struct {
		holder string
		after  time.Duration
		want   int
	}{
		{"a", 0, 1},
		{"b", 0, 0},
		{"a", sequenceLease - 1000, 2}, // renews
		{"b", sequenceLease, 0},
		{"b", 2*sequenceLease - 1000, 2},
		{"a", 2 * sequenceLease, 0},
	} {
		record(t, s, 1)
		n, err := s.Sequence(t.Context(), step.holder, t0.Add(step.after))
		if n != step.want || err != nil {
			t.Errorf("step %d: got %d, %v, want %d", i, n, err, step.want)
		}
	}
}

// When nothing waits, nothing is written.
func TestSequenceIdle(t *testing.T) {
	t.Parallel()
	var statements atomic.Int64
	s := openStore(t, Options{DSN: template.SQLite(t, t.TempDir()+"/u.db"), Trace: func(string) { statements.Add(1) }})
	record(t, s, 1)
	sequence(t, s)
	statements.Store(0)
	if n, err := s.Sequence(t.Context(), "h", t0); n != 0 || err != nil || statements.Load() != 1 {
		t.Errorf("got %d, %v after %d statements, want 1", n, err, statements.Load())
	}
}

func benchmarkStore(b *testing.B, dialect string, events int) *Store {
	b.Helper()
	s := newStore(b, dialect)
	for events > 0 {
		n := min(events, 1000)
		record(b, s, n)
		events -= n
	}
	return s
}

// One operation is one event.
func BenchmarkSequence(b *testing.B) {
	for _, dialect := range []string{SQLite, Postgres} {
		b.Run(dialect, func(b *testing.B) {
			s := benchmarkStore(b, dialect, b.N)
			b.ResetTimer()
			sequence(b, s)
		})
	}
}

// One operation is one event.
func BenchmarkVerifyEvents(b *testing.B) {
	for _, dialect := range []string{SQLite, Postgres} {
		b.Run(dialect, func(b *testing.B) {
			s := benchmarkStore(b, dialect, b.N)
			sequence(b, s)
			b.ReportAllocs()
			b.ResetTimer()
			if v, err := s.VerifyEvents(b.Context(), nil); err != nil || v.Err() != nil {
				b.Fatal(v.Err(), err)
			}
		})
	}
}
