package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/understudy-id/understudy/storage"
)

func newTestAuditor(t testing.TB, s *storage.Store, issuer string) *Auditor {
	t.Helper()
	keys, err := NewKeyring(s, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Ensure(t.Context(), testTime); err != nil {
		t.Fatal(err)
	}
	return NewAuditor(s, keys, issuer)
}

func recordEvent(t testing.TB, s *storage.Store, kinds ...storage.EventType) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *storage.Tx) error {
		for _, kind := range kinds {
			err := tx.Record(t.Context(), storage.Event{Type: kind}, storage.Private{Reason: "secret"}, storage.Request{}, time.Now())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	s, ctx := migratedStore(t), t.Context()
	a := newTestAuditor(t, s, "https://id.test/tenant")
	first, err := a.Checkpoint(ctx) // of the keys that were made
	if err != nil || first.Size != 3 || !strings.HasPrefix(first.Note, "id.test/tenant\n3\n") {
		t.Fatalf("got %+v, %v", first, err)
	}
	if again, err := a.Checkpoint(ctx); err != nil || *again != *first {
		t.Errorf("nothing came since: got %+v, %v", again, err)
	}
	recordEvent(t, s, slices.Repeat([]storage.EventType{storage.EventSessionCreated}, 1200)...) // more than one batch
	second, err := a.Checkpoint(ctx)
	if err != nil || second.Size != 1203 {
		t.Fatalf("got %+v, %v", second, err)
	}

	// Anybody can verify it with the public key.
	public, err := a.VerifierKey()
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil || verifier.Name() != a.Origin() {
		t.Fatalf("got %v, %v", verifier, err)
	}
	if _, err := note.Open([]byte(second.Note), note.VerifierList(verifier)); err != nil {
		t.Error(err)
	}

	v, heads, err := a.Verify(ctx, first.Note)
	if err != nil || v.Err() != nil || v.Size != 1203 || heads != 3 {
		t.Errorf("got %+v against %d, %v", v, heads, err)
	}
	// After the issuer changed the old checkpoints still count.
	moved := NewAuditor(s, a.keys, "https://new.test")
	if _, heads, err := moved.Verify(ctx); err != nil || heads != 2 {
		t.Errorf("got %d, %v", heads, err)
	}

	other := newTestAuditor(t, migratedStore(t), "https://id.test/tenant")
	foreign, err := other.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, given := range map[string]string{
		"of another log": foreign.Note, "forged": strings.Replace(first.Note, "\n3\n", "\n2\n", 1),
		"no signature": "id.test\n3\nAAAA\n", "empty": "", "no note": "hello",
	} {
		if _, _, err := a.Verify(ctx, given); err == nil || !strings.Contains(err.Error(), "given checkpoint 1") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Who rewrites the record gets no more signatures for it, and verification says
// where it was changed.
//
// T10: so is a record that was written anew as a whole.
func TestRewrittenRecord(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	// The same keys and another history.
	s := migratedStore(t)
	a := newTestAuditor(t, s, "https://id.test")
	recordEvent(t, s, storage.EventSessionCreated)
	kept, err := a.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, history := range map[string][]storage.EventType{
		"truncated": {}, "other events": {storage.EventSessionRevoked, storage.EventSessionCreated, storage.EventSessionCreated, storage.EventSessionCreated, storage.EventSessionCreated},
	} {
		forged := migratedStore(t)
		recordEvent(t, forged, history...)
		b := NewAuditor(forged, a.keys, "https://id.test")
		if _, err := b.sequence(ctx); err != nil {
			t.Fatal(err)
		}
		v, _, err := b.Verify(ctx, kept.Note)
		if err != nil || v.Fault == nil {
			t.Errorf("%s: got %+v, %v", name, v, err)
		}
		err = forged.Write(ctx, func(tx *storage.Tx) error { return tx.CreateCheckpoint(ctx, kept) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Checkpoint(ctx); !errors.Is(err, ErrRewritten) {
			t.Errorf("%s: got %v, want %v", name, err, ErrRewritten)
		}
	}
}

// dropTriggers takes away what keeps the record from being changed.
func dropTriggers(t testing.TB, dsn string) {
	t.Helper()
	if strings.HasPrefix(dsn, "sqlite:") {
		for _, name := range []string{
			"events_no_update", "events_no_delete", "tree_hashes_no_update", "tree_hashes_no_delete", "checkpoints_no_update", "checkpoints_no_delete",
		} {
			tamper(t, dsn, `DROP TRIGGER `+name)
		}
		return
	}
	tamper(t, dsn, `ALTER TABLE events DISABLE TRIGGER ALL`, `ALTER TABLE tree_hashes DISABLE TRIGGER ALL`, `ALTER TABLE checkpoints DISABLE TRIGGER ALL`)
}

// Who rewrites the record under a running server, checkpoints included, gets no
// signature from it for what is left.
func TestRewrittenWhileRunning(t *testing.T) {
	for name, more := range map[string]int{"smaller": 0, "as large": 5, "larger": 20} {
		t.Run(name, func(t *testing.T) {
			eachDSN(t, func(t *testing.T, dsn string) {
				ctx := t.Context()
				s := openTestStore(t, dsn)
				a := newTestAuditor(t, s, "https://id.test")
				var log bytes.Buffer
				a.Log = slog.New(slog.NewJSONHandler(&log, nil))
				recordEvent(t, s, slices.Repeat([]storage.EventType{storage.EventSessionCreated}, 9)...)
				kept, err := a.Checkpoint(ctx)
				if err != nil || kept.Size != 12 {
					t.Fatalf("got %+v, %v", kept, err)
				}
				var line struct {
					Level, Root, Note string
					Size              int64
				}
				root, err := s.TreeHash(ctx, 12)
				if err := errors.Join(err, json.Unmarshal(log.Bytes(), &line)); err != nil {
					t.Fatal(err)
				}
				if line.Level != "INFO" || line.Size != 12 || line.Root != root.String() || line.Note != kept.Note {
					t.Errorf("got logged %+v", line)
				}

				dropTriggers(t, dsn)
				tamper(t, dsn, `DELETE FROM checkpoints`, `DELETE FROM tree_hashes`, `DELETE FROM events WHERE position >= 7`,
					`UPDATE events SET position = NULL`)
				recordEvent(t, s, slices.Repeat([]storage.EventType{storage.EventSessionRevoked}, more)...)
				for range 2 {
					if c, err := a.Checkpoint(ctx); !errors.Is(err, ErrRewritten) {
						t.Fatalf("got %+v, %v, want %v", c, err, ErrRewritten)
					}
				}
				if all, err := s.Checkpoints(ctx); err != nil || len(all) != 0 {
					t.Errorf("got %d checkpoints, %v, want none", len(all), err)
				}

				// A new process knows of it by the checkpoint that was kept elsewhere.
				b := newTestAuditor(t, s, "https://id.test")
				v, _, err := b.Verify(ctx, kept.Note)
				if err != nil || v.Fault == nil {
					t.Errorf("got %+v, %v", v, err)
				}
			})
		})
	}
}

// A checkpoint of another process counts like one's own.
func TestRewrittenAfterAnother(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		a := newTestAuditor(t, openTestStore(t, dsn), "https://id.test")
		b := newTestAuditor(t, openTestStore(t, dsn), "https://id.test")
		if _, err := a.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		dropTriggers(t, dsn)
		tamper(t, dsn, `DELETE FROM checkpoints`, `DELETE FROM tree_hashes`, `DELETE FROM events WHERE position >= 2`, `UPDATE events SET position = NULL`)
		if c, err := b.Checkpoint(ctx); !errors.Is(err, ErrRewritten) {
			t.Errorf("got %+v, %v, want %v", c, err, ErrRewritten)
		}
	})
}

// A row that gives an old checkpoint another size is no checkpoint.
func TestCheckpointOfAnotherSize(t *testing.T) {
	t.Parallel()
	s, ctx := migratedStore(t), t.Context()
	a := newTestAuditor(t, s, "https://id.test")
	c, err := a.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreateCheckpoint(ctx, &storage.Checkpoint{Size: 1 << 40, Note: c.Note})
	})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := a.Checkpoint(ctx); !errors.Is(err, ErrRewritten) {
		t.Errorf("got %+v, %v, want %v", c, err, ErrRewritten)
	}
}

func TestAuditorRun(t *testing.T) {
	s := migratedStore(t) // outside of the bubble: gorm has a goroutine that never ends
	a := newTestAuditor(t, s, "https://id.test")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		latest := func() int64 {
			t.Helper()
			c, err := s.LatestCheckpoint(t.Context())
			if errors.Is(err, storage.ErrNotFound) {
				return -1
			}
			if err != nil {
				t.Fatal(err)
			}
			return c.Size
		}
		size := func() int64 {
			t.Helper()
			n, err := s.TreeSize(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}

		time.Sleep(1500 * time.Millisecond)
		if size() != 3 || latest() != -1 {
			t.Errorf("after a second: got %d events, checkpoint %d", size(), latest())
		}
		time.Sleep(time.Minute)
		if latest() != 3 {
			t.Errorf("after a minute: got checkpoint %d, want 3", latest())
		}
		recordEvent(t, s, storage.EventSessionCreated)
		time.Sleep(2 * time.Second)
		if size() != 4 || latest() != 3 {
			t.Errorf("an ordinary event: got %d events, checkpoint %d", size(), latest())
		}
		recordEvent(t, s, storage.EventImpersonationStopped)
		time.Sleep(2 * time.Second)
		if size() != 5 || latest() != 5 {
			t.Errorf("the end of an impersonation: got %d events, checkpoint %d", size(), latest())
		}
		recordEvent(t, s, storage.EventSessionCreated)
		stop()
		if err := <-done; err != nil || latest() != 6 {
			t.Errorf("at the end: got checkpoint %d, %v", latest(), err)
		}
	})
}
