package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// user returns a user named after i.
func user(i int) *User {
	return &User{ID: fmt.Sprintf("usr_%04d", i), Email: fmt.Sprintf("%04d@globex.test", i)}
}

// addUser is a Write that adds a user.
func addUser(ctx context.Context, s *Store, u *User) error {
	return s.Write(ctx, func(tx *Tx) error { return tx.CreateUser(ctx, u, t0) })
}

func countUsers(t testing.TB, s *Store) int {
	t.Helper()
	return query[int](t, s, `SELECT COUNT(*) FROM users`)
}

// 200 Writes at once, of which some fail and some panic after they wrote: what
// succeeded is there, also for who opens the database anew, and nothing else is.
func TestWriteConcurrently(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, refused := t.Context(), errors.New("refused")
		concurrently(200, func(i int) {
			err := s.Write(ctx, func(tx *Tx) error {
				if err := tx.CreateUser(ctx, user(i), t0); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return refused
				case 2:
					panic("out of luck")
				}
				return nil
			})
			switch i % 4 {
			case 1:
				wantErr(t, "refused", err, refused)
			case 2:
				if err == nil || !strings.Contains(err.Error(), "out of luck") {
					t.Errorf("panic: got %v, want it as an error", err)
				}
			default:
				wantErr(t, "write", err, nil)
			}
		})
		if s.Dialect() == SQLite {
			s = openStore(t, Options{DSN: "sqlite:" + sqliteFile(t, s)})
		}
		for i := range 200 {
			_, err := s.User(ctx, user(i).ID)
			if i%4 == 1 || i%4 == 2 {
				wantErr(t, "what failed", err, ErrNotFound)
			} else if err != nil {
				t.Errorf("what succeeded: %v", err)
			}
		}
	})
}

func sqliteFile(t testing.TB, s *Store) string {
	t.Helper()
	return query[string](t, s, `SELECT file FROM pragma_database_list WHERE name = 'main'`)
}

// anotherProcess opens the same database without us.
func anotherProcess(t testing.TB, s *Store) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(sqliteFile(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestWriteCancelledBefore(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "cancelled", addUser(ctx, s, user(0)), context.Canceled)
		ctx, cancel = context.WithTimeout(t.Context(), 0)
		defer cancel()
		wantErr(t, "too late", addUser(ctx, s, user(0)), ErrUnavailable)
		if n := countUsers(t, s); n != 0 {
			t.Errorf("got %d users, want none", n)
		}
	})
}

// gate is a Write that holds the lead until it is opened, so that a test can
// decide who shares its commit.
type gate struct {
	open chan struct{}
	err  chan error
}

func newGate(t *testing.T, s *Store, fn func(*Tx) error) *gate {
	t.Helper()
	g := &gate{make(chan struct{}), make(chan error, 1)}
	leads := make(chan struct{})
	go func() {
		g.err <- s.Write(context.Background(), func(tx *Tx) error {
			close(leads)
			<-g.open
			return fn(tx)
		})
	}()
	<-leads
	return g
}

// queue starts a Write and returns when it waits, as the n-th.
func queue(ctx context.Context, s *Store, n int, fn func(*Tx) error) <-chan error {
	err := make(chan error, 1)
	go func() { err <- s.Write(ctx, fn) }()
	for {
		s.group.mu.Lock()
		waiting := len(s.group.waiting)
		s.group.mu.Unlock()
		if waiting >= n {
			return err
		}
		runtime.Gosched()
	}
}

func nothing(*Tx) error { return nil }

// Writes that wait share commits: 300 need three, because a batch takes 128.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	ctx := t.Context()
	g := newGate(t, s, nothing)
	var waiting []<-chan error
	seen := make([]int, 300) // how many had committed when this one ran
	for i := range seen {
		waiting = append(waiting, queue(ctx, s, i+1, func(tx *Tx) error {
			seen[i] = countUsers(t, s)
			return tx.CreateUser(ctx, user(i), t0)
		}))
	}
	close(g.open)
	for _, err := range append(waiting, g.err) {
		if err := <-err; err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range seen {
		want := 0 // the gate is the first of its batch
		if i >= groupLimit-1 {
			want = (i+1)/groupLimit*groupLimit - 1
		}
		if n != want {
			t.Fatalf("write %d: ran after %d were committed, want %d", i, n, want)
		}
	}
}

// Who gives up while waiting is not run, and stands in nobody's way.
func TestWriteCancelledWaiting(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	g := newGate(t, s, nothing)
	ctx, cancel := context.WithCancel(t.Context())
	first := queue(ctx, s, 1, func(*Tx) error { t.Error("ran"); return nil })
	second := queue(t.Context(), s, 2, func(tx *Tx) error { return tx.CreateUser(t.Context(), user(2), t0) })
	cancel()
	wantErr(t, "cancelled", <-first, context.Canceled) // before the gate opens
	close(g.open)
	wantErr(t, "gate", <-g.err, nil)
	wantErr(t, "neighbour", <-second, nil)
}

// Who gives up with the lead in hand passes it on.
func TestGroupLeave(t *testing.T) {
	t.Parallel()
	newPending := func() *pending { return &pending{lead: make(chan struct{}, 1)} }
	a, b := newPending(), newPending()
	g := &group{leading: true, waiting: []*pending{a, b}}
	a.lead <- struct{}{}
	if !g.leave(a) || len(b.lead) != 1 {
		t.Error("the next in line was not given the lead")
	}
	if !g.leave(b) || g.leading {
		t.Error("the last one kept the lead")
	}
	if g.leave(b) {
		t.Error("left twice")
	}
}

// A cancellation that strikes in the middle of a statement changes nothing: an
// interrupted statement would undo the neighbours too.
func TestWriteCancelledWithin(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	g := newGate(t, s, func(tx *Tx) error { return tx.CreateUser(t.Context(), user(0), t0) })
	ctx, cancel := context.WithCancel(t.Context())
	second := queue(ctx, s, 1, func(tx *Tx) error {
		go cancel()
		return tx.conn(ctx).Exec(`INSERT INTO settings (key, value, updated_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			SELECT 'sum', SUM(i), 0 FROM n`).Error
	})
	close(g.open)
	wantErr(t, "neighbour", <-g.err, nil)
	wantErr(t, "cancelled", <-second, nil)
	if got := query[string](t, s, `SELECT value FROM settings WHERE key = 'sum'`); got != "200010000" {
		t.Errorf("got %s", got)
	}
}

// Many Writes that are given up at any point leave a store that works, and each
// tells the truth about what it did.
func TestWriteCancelledAnywhere(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	var done atomic.Int64
	concurrently(100, func(i int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for range i * 10 {
				runtime.Gosched()
			}
			cancel()
		}()
		err := addUser(ctx, s, user(i))
		if err == nil {
			done.Add(1)
		} else {
			wantErr(t, "cancelled", err, context.Canceled)
		}
	})
	if got := countUsers(t, s); int64(got) != done.Load() {
		t.Errorf("got %d users, %d were reported", got, done.Load())
	}
	wantErr(t, "after", addUser(t.Context(), s, user(1000)), nil)
}

// A closure that ends the goroutine it runs on, as t.FailNow does, fails its
// batch but not the store.
func TestWriteGoexit(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	g := newGate(t, s, func(tx *Tx) error { return tx.CreateUser(t.Context(), user(0), t0) })
	second := queue(t.Context(), s, 1, func(*Tx) error { runtime.Goexit(); return nil })
	third := queue(t.Context(), s, 2, func(tx *Tx) error { return tx.CreateUser(t.Context(), user(2), t0) })
	close(g.open)
	wantErr(t, "culprit", <-second, ErrUnavailable)
	wantErr(t, "who came after", <-third, nil)
	if n := countUsers(t, s); n != 1 {
		t.Errorf("got %d users, want 1", n)
	}
}

// When the transaction is lost in mid-batch, as SQLite does on a full disk, all
// of the batch is reported as failed and none of it is there; who came after is
// served by the next.
func TestWriteTransactionLost(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"culprit fails": errors.New("disk I/O error"), "culprit does not notice": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := newStore(t, SQLite), t.Context()
			create := func(i int) func(*Tx) error {
				return func(tx *Tx) error { return tx.CreateUser(ctx, user(i), t0) }
			}
			g := newGate(t, s, create(0))
			before := queue(ctx, s, 1, create(1))
			loser := queue(ctx, s, 2, create(1)) // exists, but only if its neighbour commits
			culprit := queue(ctx, s, 3, func(tx *Tx) error {
				if err := create(3)(tx); err != nil {
					return err
				}
				if err := tx.conn(ctx).Exec("ROLLBACK").Error; err != nil {
					return err
				}
				return outcome
			})
			after := queue(ctx, s, 4, create(4))
			close(g.open)
			for who, err := range map[string]<-chan error{"gate": g.err, "before": before, "loser": loser, "culprit": culprit} {
				wantErr(t, who, <-err, ErrUnavailable)
			}
			wantErr(t, "after", <-after, nil)
			if n := countUsers(t, s); n != 1 {
				t.Errorf("got %d users, want only the last", n)
			}
			wantErr(t, "retry", addUser(ctx, s, user(1)), nil)
		})
	}
}

// A full disk refuses writes, not reads, leaves no halves, and is forgotten when
// there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, SQLite), t.Context()
	limit := query[int](t, s, `SELECT page_count FROM pragma_page_count`) + 15
	if err := s.group.db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", limit)).Error; err != nil {
		t.Fatal(err)
	}
	pair := func(i int) error { // two rows that belong together
		return s.Write(ctx, func(tx *Tx) error {
			for _, u := range []*User{user(2 * i), user(2*i + 1)} {
				u.Profile = strings.Repeat("x", 1500)
				if err := tx.CreateUser(ctx, u, t0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var succeeded [120]atomic.Bool
	concurrently(8, func(worker int) {
		for i := worker; i < len(succeeded); i += 8 {
			err := pair(i)
			succeeded[i].Store(err == nil)
			if err != nil {
				wantErr(t, "full", err, ErrUnavailable)
			}
		}
	})
	full := 0
	for i := range succeeded {
		for _, u := range []*User{user(2 * i), user(2*i + 1)} {
			_, err := s.User(ctx, u.ID) // reads go on
			if succeeded[i].Load() {
				wantErr(t, "a pair that was written", err, nil)
			} else {
				wantErr(t, "a pair that was refused", err, ErrNotFound)
				full++
			}
		}
	}
	if full == 0 {
		t.Fatal("the disk was never full")
	}
	if err := s.group.db.Exec("PRAGMA max_page_count = 1000000").Error; err != nil {
		t.Fatal(err)
	}
	for i := range succeeded {
		if !succeeded[i].Load() {
			wantErr(t, "after", pair(i), nil)
		}
	}
	if n := countUsers(t, s); n != 2*len(succeeded) {
		t.Errorf("got %d users, want %d", n, 2*len(succeeded))
	}
}

// Another process that holds the database makes writes fail soon, all of those
// that wait together, and reads not at all.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, SQLite), t.Context()
	seed(t, s)
	other := anotherProcess(t, s)
	conn, err := other.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	concurrently(50, func(i int) { wantErr(t, "locked", addUser(ctx, s, user(i)), ErrUnavailable) })
	if took := time.Since(start); took > 20*busyTimeout { // one after the other they would take 50
		t.Errorf("the answers took %v, a lock is waited for %v", took, busyTimeout)
	}
	if _, err := s.User(ctx, "usr_ada"); err != nil {
		t.Errorf("read: %v", err)
	}
	if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "after", addUser(ctx, s, user(0)), nil)
}

// Transactions that PostgreSQL undoes for a conflict run again.
func TestPostgresRetries(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, Postgres), t.Context()
	seed(t, s)
	var runs atomic.Int64
	both := make(chan struct{})
	concurrently(2, func(i int) {
		order := []string{"usr_ada", "usr_sam"}
		err := s.Write(ctx, func(tx *Tx) error {
			if err := tx.LockUser(ctx, order[i]); err != nil {
				return err
			}
			if runs.Add(1) == 2 {
				close(both)
			}
			<-both // each has one: now a deadlock is certain
			return tx.LockUser(ctx, order[1-i])
		})
		wantErr(t, "write", err, nil)
	})
	if runs.Load() < 3 {
		t.Errorf("got %d runs, want one that was run again", runs.Load())
	}
}

// Who waits for a connection holds up nobody who has one, though both ask the same.
func TestPostgresLastConnection(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{DSN: template.Postgres(t), MaxConnections: 1})
	seed(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	waiting := s.pools[0].Stats().WaitCount
	read := make(chan error)
	wantErr(t, "write", s.Write(ctx, func(tx *Tx) error {
		go func() {
			_, err := s.UserByEmail(ctx, "ada@globex.test")
			read <- err
		}()
		for s.pools[0].Stats().WaitCount == waiting && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		_, err := tx.UserByEmail(ctx, "ada@globex.test")
		return err
	}), nil)
	wantErr(t, "read", <-read, nil)
}

// A backup taken while others write is a database of whole transactions.
func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, SQLite), t.Context()
	seed(t, s)
	file := filepath.Join(t.TempDir(), "backup.db")
	other := anotherProcess(t, s)
	concurrently(21, func(i int) {
		if i == 10 {
			if _, err := other.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
				t.Error(err)
			}
			return
		}
		err := s.Write(ctx, func(tx *Tx) error {
			if err := tx.CreateUser(ctx, user(i), t0); err != nil {
				return err
			}
			return tx.Record(ctx, Event{Type: EventUserCreated, SubjectID: user(i).ID}, Private{}, Request{}, t0)
		})
		if err == nil {
			_, err = s.Sequence(ctx, "h", t0)
		}
		wantErr(t, "write", err, nil)
	})
	backup := openStore(t, Options{DSN: "sqlite:" + file})
	v, err := backup.VerifyEvents(ctx, nil)
	if err != nil || v.Err() != nil {
		t.Errorf("got %v, %v, want a whole record", v.Err(), err)
	}
	if users := countUsers(t, backup) - 3; int64(users) != v.Size+v.Pending {
		t.Errorf("got %d users and %d events, want as many", users, v.Size+v.Pending)
	}
}

func BenchmarkWrite(b *testing.B) {
	s := newStore(b, SQLite)
	var n atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := addUser(b.Context(), s, user(int(n.Add(1)))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := newStore(t, SQLite)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "a write after that", s.Write(t.Context(), func(*Tx) error { return nil }), ErrUnavailable)
}
