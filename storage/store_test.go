package storage

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/understudy-id/understudy/storage/pgtest"
	"github.com/understudy-id/understudy/storage/storagetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// t0 is when tests take place.
var t0 = time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)

// forEachDialect runs a test on an empty, migrated database of each kind.
func forEachDialect(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	t.Parallel()
	for _, dialect := range []string{SQLite, Postgres} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t, dialect))
		})
	}
}

// newStore returns an empty, migrated database.
func newStore(t testing.TB, dialect string) *Store {
	t.Helper()
	if dialect == SQLite {
		file := filepath.Join(storagetest.Dir(t), "a b?.db") // a name that a URL must escape
		return openStore(t, Options{DSN: template.SQLite(t, file)})
	}
	return openStore(t, Options{DSN: template.Postgres(t), Patience: time.Minute}) // the machine has more to do
}

var template = storagetest.New(func(dsn string) error {
	s, err := Open(context.Background(), Options{DSN: dsn})
	if err != nil {
		return err
	}
	_, err = s.Migrate(context.Background())
	return errors.Join(err, s.Close())
})

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// write makes a change that must succeed.
func write(t testing.TB, s *Store, fn func(context.Context, *Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), func(tx *Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement that must succeed, as somebody with a database shell would.
func exec(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error { return tx.conn(ctx).Exec(statement, args...).Error })
}

// query returns the single value of a query.
func query[T any](t testing.TB, s *Store, statement string, args ...any) T {
	t.Helper()
	var v T
	if err := s.scan(t.Context(), []any{&v}, statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return v
}

// concurrently runs fn n times at once and waits for all.
func concurrently(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// seed adds the people and the application that most tests need: sam the actor,
// ada the subject, the client demo.
func seed(t testing.TB, s *Store) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for _, name := range []string{"sam", "ada", "grace"} {
			u := &User{ID: "usr_" + name, Email: name + "@globex.test", Name: name}
			if err := tx.CreateUser(ctx, u, t0); err != nil {
				return err
			}
		}
		return tx.CreateClient(ctx, newClient("demo"), t0)
	})
}

func newClient(id string) *Client {
	return &Client{
		ID: id, Name: "Demo", Type: "web", TokenEndpointAuthMethod: "client_secret_basic", SecretHash: Hash("secret"),
		RedirectURIs: List{"https://demo.test/callback"}, IDTokenSignedResponseAlg: "RS256", AccessTokenFormat: "jwt",
		Delivery: "link", AllowImpersonation: true,
	}
}

// impersonate adds a running impersonation by sam of ada at demo, with its event,
// and a grant of it with a code and a refresh token, each named after id.
func impersonate(t testing.TB, s *Store, id string, change ...func(*Impersonation)) {
	t.Helper()
	i := &Impersonation{
		ID: id, ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", LoginSID: "sid_sam", Entry: "consent",
		Reason: "cannot see the invoice", Access: "full", StartedAt: At(t0), ExpiresAt: At(t0.Add(30 * time.Minute)),
	}
	for _, c := range change {
		c(i)
	}
	write(t, s, func(ctx context.Context, tx *Tx) error {
		if err := tx.CreateImpersonation(ctx, i); err != nil {
			return err
		}
		err := tx.CreateGrant(ctx, &Grant{
			ID: "grt_" + id, ClientID: i.ClientID, UserID: i.SubjectID, ActorID: i.ActorID, ImpersonationID: id, SID: id,
			Scope: "openid", AuthTime: At(t0), RequestedAt: At(t0), CreatedAt: At(t0), ExpiresAt: i.ExpiresAt,
			CodeHash: Hash("code " + id), CodeExpiresAt: At(t0.Add(time.Minute)),
		})
		if err != nil {
			return err
		}
		err = tx.CreateTokens(ctx, []Token{{
			Hash: Hash("refresh " + id), Kind: RefreshToken, GrantID: "grt_" + id, ClientID: i.ClientID, Scope: "openid",
			CreatedAt: At(t0), ExpiresAt: i.ExpiresAt,
		}})
		if err != nil {
			return err
		}
		return tx.Record(ctx, Event{
			Type: EventImpersonationStarted, ActorID: i.ActorID, SubjectID: i.SubjectID, ClientID: i.ClientID, ImpersonationID: id,
		}, Private{Reason: i.Reason}, Request{}, t0)
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":              `got scheme ""`,
		"mysql://x":     `got scheme "mysql"`,
		"sqlite:":       "names no file",
		"postgres://%%": "open database",
	} {
		if s, err := Open(t.Context(), Options{DSN: dsn}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", dsn, s, err, want)
		}
	}
}

// A database holds what nobody else on the machine may read.
func TestPrivateFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	s := openStore(t, Options{DSN: "sqlite:" + filepath.Join(dir, "u.db")})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"u.db", "u.db-wal", "u.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s: got mode %o, want 600", name, got)
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "busy_timeout": "1000",
	} {
		for i, db := range []*gorm.DB{s.db, s.group.db} {
			var got string
			if err := db.Raw("PRAGMA " + pragma).Scan(&got).Error; err != nil || got != want {
				t.Errorf("connection %d: %s: got %q, %v, want %q", i, pragma, got, err, want)
			}
		}
	}
	err := s.conn(t.Context()).Exec(`DELETE FROM settings`).Error
	if err == nil {
		t.Error("the pool for reads wrote")
	}
}

// A server that is gone, or never was there, is ErrUnavailable and no panic.
func TestPostgresGone(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{DSN: "postgres://understudy@127.0.0.1:1/understudy?sslmode=disable"})
	wantErr(t, "open", err, ErrUnavailable)

	s := newStore(t, Postgres)
	seed(t, s)
	name := query[string](t, s, `SELECT current_database()`)
	killer := openStore(t, Options{DSN: pgtest.DSN(t)})
	exec(t, killer, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", name))
	query[int](t, killer, `SELECT COUNT(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = ?`, name)
	_, err = s.User(t.Context(), "usr_ada")
	wantErr(t, "read", err, ErrUnavailable)
	wantErr(t, "ping", s.Ping(t.Context()), ErrUnavailable)
	wantErr(t, "write", s.Write(t.Context(), func(tx *Tx) error {
		return tx.EnableUser(t.Context(), "usr_ada", t0)
	}), ErrUnavailable)

	exec(t, killer, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true", name))
	recovers(t, s)
}

// Connections that die while they are idle are replaced, or the call says so:
// nothing was done, and the next one works.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	s := newStore(t, Postgres)
	seed(t, s)
	killer := openStore(t, Options{DSN: pgtest.DSN(t)})
	name := query[string](t, s, `SELECT current_database()`)
	query[int](t, killer, `SELECT COUNT(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = ?`, name)
	recovers(t, s)
}

// A connection that is lost within a transaction leaves an error that says so, whatever
// is done with it afterwards.
func TestPostgresLostWithin(t *testing.T) {
	t.Parallel()
	s := newStore(t, Postgres)
	lost := func(tx *Tx) { _, _ = tx.exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`) }
	wantErr(t, "commit", s.Write(t.Context(), func(tx *Tx) error { lost(tx); return nil }), ErrUnavailable)
	wantErr(t, "the next statement", s.Write(t.Context(), func(tx *Tx) error {
		lost(tx)
		_, err := tx.exec(t.Context(), `DELETE FROM settings`)
		return err
	}), ErrUnavailable)
}

// A server that is there and does not answer, as one behind a network that is cut.
func TestPostgresHangs(t *testing.T) {
	t.Parallel()
	dsn := template.Postgres(t)
	s := openStore(t, Options{DSN: dsn, Patience: time.Minute})
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err == nil {
		_, err = tx.Exec(`LOCK TABLE users, settings`)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.most = 50 * time.Millisecond // from now on until it is there again
	for range 10 {                 // more than there are connections
		_, err = s.User(t.Context(), "usr_ada")
		wantErr(t, "read", err, ErrUnavailable)
		wantErr(t, "scan", s.scan(t.Context(), []any{new(int)}, `SELECT COUNT(*) FROM settings`), ErrUnavailable)
		wantErr(t, "write", s.Write(t.Context(), func(tx *Tx) error { return tx.EnableUser(t.Context(), "usr_ada", t0) }), ErrUnavailable)
		wantErr(t, "a write that goes on", s.Write(t.Context(), func(tx *Tx) error {
			_, _ = tx.exec(t.Context(), `DELETE FROM settings`)
			return nil
		}), ErrUnavailable)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	s.most = time.Minute
	if _, err = s.User(t.Context(), "usr_ada"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it does not recover: %v", err)
	}
}

// A Write of many statements, each of them soon done, is let go on.
func TestPostgresLongWrite(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{DSN: template.Postgres(t), Patience: 10 * time.Second}) // each has 9 s for what takes none
	wantErr(t, "eleven seconds", s.Write(t.Context(), func(tx *Tx) error {
		for range 11 {
			if _, err := tx.exec(t.Context(), `SELECT pg_sleep(1)`); err != nil {
				return err
			}
		}
		return nil
	}), nil)
}

// recovers writes until it works, which may be once all connections were tried.
func recovers(t *testing.T, s *Store) {
	t.Helper()
	enable := func() error {
		return s.Write(t.Context(), func(tx *Tx) error { return tx.EnableUser(t.Context(), "usr_ada", t0) })
	}
	err := enable()
	for range 8 { // as many as there were connections
		if err == nil {
			break
		}
		wantErr(t, "write", err, ErrUnavailable)
		err = enable()
	}
	if err != nil {
		t.Errorf("it does not recover: %v", err)
	}
}
