package provider

import (
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/storage/storagetest"
)

const testSecret = "a secret that is long enough for a test"

// eachDSN runs a test on a migrated database of each kind.
func eachDSN(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Parallel()
	for name, newDSN := range map[string]func(testing.TB) string{
		storage.SQLite:   func(t testing.TB) string { return migrated.SQLite(t, filepath.Join(storagetest.Dir(t), "test.db")) },
		storage.Postgres: migrated.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newDSN(t))
		})
	}
}

func openTestStore(t testing.TB, dsn string) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), storage.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// tamper runs statements as somebody could who has the database in their hands.
func tamper(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	driver, name := "pgx", dsn
	if file, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", file
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func newTestKeyring(t testing.TB, s *storage.Store) *Keyring {
	t.Helper()
	k, err := NewKeyring(s, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// addCheckpointKey adds one beside what is there, as two first starts at once did.
func addCheckpointKey(t testing.TB, k *Keyring, now time.Time) {
	t.Helper()
	row, err := k.generate(purposeCheckpoint, "EdDSA", now)
	if err == nil {
		err = k.store.Write(t.Context(), func(tx *storage.Tx) error { return storeKey(t.Context(), tx, row, storage.Cause{}, now) })
	}
	if err == nil {
		err = k.Load(t.Context(), now)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Processes that start at once on a new database have the same keys.
func TestFirstStartsTogether(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx, now := t.Context(), time.Now()
		var rings []*Keyring
		for range 6 {
			rings = append(rings, newTestKeyring(t, openTestStore(t, dsn)))
		}
		errs := make([]error, len(rings))
		var started sync.WaitGroup
		for i, k := range rings {
			started.Go(func() { errs[i] = k.Ensure(ctx, now) })
		}
		started.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		s := rings[0].store
		rows, err := s.SigningKeys(ctx)
		if err != nil || len(rows) != 3 {
			t.Errorf("got %d keys, %v, want 3", len(rows), err)
		}
		for i, k := range rings {
			a := NewAuditor(k.store, k, "https://id.test")
			if err := a.Sequence(ctx); err != nil {
				t.Fatal(err)
			}
			recordEvent(t, s, storage.EventSessionCreated)
			c, err := a.Checkpoint(ctx)
			if err != nil {
				t.Fatalf("process %d: %v", i, err)
			}
			if _, err := NewAuditor(s, rings[0], "https://id.test").Open(c.Note); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
		}
		events, err := s.Events(ctx, storage.EventFilter{Types: []storage.EventType{storage.EventKeyCreated}})
		if err != nil || len(events) != 3 {
			t.Errorf("got %d events of keys, %v, want 3", len(events), err)
		}
	})
}

// Ensure makes what is missing and leaves the rest.
func TestEnsureMissingKey(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		k := newTestKeyring(t, openTestStore(t, dsn))
		if err := k.Load(ctx, testTime); !errors.Is(err, ErrNoKeys) {
			t.Errorf("a new database: got %v, want %v", err, ErrNoKeys)
		}
		if rows, err := k.store.SigningKeys(ctx); err != nil || len(rows) != 0 {
			t.Errorf("Load made keys: %d, %v", len(rows), err)
		}
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		before, _ := k.Set()
		tamper(t, dsn, `DELETE FROM signing_keys WHERE purpose = 'checkpoint'`)
		if err := k.Load(ctx, testTime); !errors.Is(err, ErrNoKeys) {
			t.Errorf("no checkpoint key: got %v, want %v", err, ErrNoKeys)
		}
		if err := k.Ensure(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		if after, _ := k.Set(); string(after) != string(before) {
			t.Errorf("got other token keys: %s, want %s", after, before)
		}
	})
}

// A process whose clock is behind that of the one that made the keys has signers.
func TestKeysFromAFastClock(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	if err := newTestKeyring(t, s).Ensure(t.Context(), testTime.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	k := newTestKeyring(t, s)
	if err := k.Ensure(t.Context(), testTime); err != nil {
		t.Fatal(err)
	}
	if _, err := k.sign(algES256, typIDToken, map[string]any{}); err != nil || k.Checkpoint() == nil {
		t.Errorf("got %v, %v", k.Checkpoint(), err)
	}
	if rows, err := s.SigningKeys(t.Context()); err != nil || len(rows) != 3 {
		t.Errorf("got %d keys, %v", len(rows), err)
	}
}

// Databases that have two checkpoint keys verify and go on, whichever key signed.
func TestTwoCheckpointKeys(t *testing.T) {
	eachDSN(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		s := openTestStore(t, dsn)
		a := newTestAuditor(t, s, "https://id.test")
		var notes []string
		for i := range 3 {
			recordEvent(t, s, storage.EventSessionCreated)
			c, err := a.Checkpoint(ctx)
			if err != nil {
				t.Fatal(err)
			}
			notes = append(notes, c.Note)
			addCheckpointKey(t, a.keys, testTime.Add(time.Duration(i)*time.Second-time.Hour)) // before and after the first
		}
		tamper(t, dsn, `UPDATE signing_keys SET retired_at = 1 WHERE purpose = 'checkpoint' AND activates_at <>
			(SELECT MAX(activates_at) FROM signing_keys WHERE purpose = 'checkpoint')`)
		later := newTestKeyring(t, s)
		if err := later.Load(ctx, testTime); err != nil {
			t.Fatal(err)
		}
		v, heads, err := NewAuditor(s, later, "https://id.test").Verify(ctx, notes...)
		if err != nil || v.Err() != nil || heads != 6 {
			t.Errorf("got %+v against %d, %v", v, heads, err)
		}
	})
}

// Who can write to the database, but has not the secret, cannot add a key that
// checkpoints are believed of.
func TestForeignCheckpointKey(t *testing.T) {
	t.Parallel()
	ctx, dsn := t.Context(), migrated.SQLite(t, filepath.Join(storagetest.Dir(t), "test.db"))
	s := openTestStore(t, dsn)
	a := newTestAuditor(t, s, "https://id.test")
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verifierOf(a.Origin(), private)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := note.Sign(&note.Note{Text: storage.CheckpointText(a.Origin(), 1, [32]byte{})}, signer{verifier, private})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(string(forged)); err == nil {
		t.Error("a foreign key's checkpoint was accepted")
	}
	pkix, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, dsn, fmt.Sprintf(`UPDATE signing_keys SET public_key = x'%x' WHERE purpose = 'checkpoint'`, pkix))
	if err := a.keys.Load(ctx, testTime); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(string(forged)); err == nil {
		t.Error("a foreign public half: its checkpoint was accepted")
	}
	err = s.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreateSigningKey(ctx, &storage.SigningKey{
			ID: "key_x", Purpose: purposeCheckpoint, Alg: "EdDSA", PublicKey: pkix, PrivateKey: []byte("nothing"),
		}, testTime)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.keys.Load(ctx, testTime); !errors.Is(err, ErrSecret) {
		t.Errorf("a foreign row: got %v, want %v", err, ErrSecret)
	}
}
