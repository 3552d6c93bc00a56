package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	_ "github.com/jackc/pgx/v5/stdlib" // the PostgreSQL driver
	_ "modernc.org/sqlite"             // the SQLite driver, free of cgo
)

// Options say how to open a database.
type Options struct {
	// DSN is sqlite:PATH or postgres://...
	DSN string
	// MaxConnections bounds PostgreSQL's pool; zero means 8. SQLite always has
	// one writer and four readers.
	MaxConnections int
	// Patience is how long PostgreSQL may take to answer a statement, to begin or to commit; zero
	// means 4 s. It may be gone without a word, and whoever waits is to be told.
	Patience time.Duration
	// Trace, where set, is called with each statement. Tests count with it.
	Trace func(statement string)
}

// Store is an open database. Its reads are Queries; its one way to write is Write.
// It is safe for concurrent use.
type Store struct {
	Queries
	write   *gorm.DB // PostgreSQL only
	dsn     string   // of a connection that may write
	group   group    // SQLite only
	clients clientCache
	pools   []*sql.DB
}

// Queries are the reads that a Store makes from its pool and a Tx within itself.
type Queries struct {
	db      *gorm.DB
	dialect string
	trace   func(statement string) // nil: nobody counts
	derived *derived
	most    time.Duration // that a statement may take; PostgreSQL only
	moved   func()        // called at each statement; nil: nobody watches
}

// context is what a statement runs under. On SQLite a caller who goes away does not
// interrupt it: within a shared transaction that would undo the neighbours' work, and
// to watch for it costs a short read more than the rest. How long a statement waits
// there is for SQLite to say.
func (q Queries) context(ctx context.Context) context.Context {
	if q.dialect == SQLite {
		return context.WithoutCancel(ctx)
	}
	if q.moved != nil {
		q.moved()
	}
	ctx, cancel := context.WithTimeout(ctx, q.most) //nolint:gosec // it ends by itself: rows are read when the statement has run
	_ = cancel
	return ctx
}

func (q Queries) conn(ctx context.Context) *gorm.DB { return q.db.WithContext(q.context(ctx)) }

// Dialects, as the DSN's scheme names them.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// busyTimeout is how long SQLite waits for another process's lock. It is below
// the two seconds in which a request must be answered (SECURITY H03).
const busyTimeout = 1000 * time.Millisecond

// Open connects to a database and checks that it answers. It changes nothing:
// see Migrate.
func Open(ctx context.Context, o Options) (*Store, error) {
	scheme, rest, _ := strings.Cut(o.DSN, ":")
	var s *Store
	var err error
	switch scheme {
	case SQLite:
		s, err = openSQLite(rest, o)
	case Postgres, "postgresql":
		s, err = openPostgres(o)
	default:
		return nil, fmt.Errorf("database.dsn: want sqlite:PATH or postgres://..., got scheme %q", scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", translate(err))
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	return s, nil
}

func openSQLite(path string, o Options) (*Store, error) {
	if path == "" {
		return nil, errors.New("sqlite: the DSN names no file")
	}
	if err := privateFile(path); err != nil {
		return nil, err
	}
	dsn := func(extra ...string) string {
		q := url.Values{"_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)",
			"cache_size(-20000)", "secure_delete(FAST)",
			"recursive_triggers(ON)", // or INSERT OR REPLACE would get past those that keep the record
		}, extra...), "_txlock": {"immediate"}}
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	}
	open := func(dsn string, connections int) (*sql.DB, error) {
		pool, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, err
		}
		pool.SetMaxOpenConns(connections)
		pool.SetMaxIdleConns(connections)
		return pool, nil
	}
	writerDSN := dsn("wal_autocheckpoint(4000)")
	writePool, err := open(writerDSN, 1)
	if err != nil {
		return nil, err
	}
	readPool, err := open(dsn("query_only(ON)"), 4)
	if err != nil {
		return nil, errors.Join(err, writePool.Close())
	}
	writer := &sqliteWriter{pool: writePool}
	preparing := gormConfig(o)
	preparing.PrepareStmt, preparing.PrepareStmtMaxSize = true, 500 // the writer does by itself
	write, errWrite := gorm.Open(sqlite.Dialector{DriverName: "sqlite", Conn: writer}, gormConfig(o))
	read, errRead := gorm.Open(sqlite.Dialector{DriverName: "sqlite", Conn: readPool}, preparing)
	if err := errors.Join(errWrite, errRead); err != nil {
		writer.drop()
		return nil, errors.Join(err, readPool.Close(), writePool.Close())
	}
	made := &derived{}
	return &Store{
		Queries: Queries{db: read, dialect: SQLite, trace: o.Trace, derived: made}, dsn: writerDSN, group: group{writer: writer, db: write, trace: o.Trace, derived: made},
		pools: []*sql.DB{readPool, writePool},
	}, nil
}

// privateFile makes sure that a new database file is readable by its owner only.
func privateFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openPostgres(o Options) (*Store, error) {
	pool, err := sql.Open("pgx", o.DSN)
	if err != nil {
		return nil, err
	}
	n := o.MaxConnections
	if n == 0 {
		n = 8
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig(o))
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	most := o.Patience
	if most == 0 {
		most = 4 * time.Second
	}
	return &Store{Queries: Queries{db: db, dialect: Postgres, trace: o.Trace, derived: &derived{}, most: most}, write: db, dsn: o.DSN, pools: []*sql.DB{pool}}, nil
}

// gormConfig leaves PostgreSQL's statements to pgx, which prepares them on each connection.
// gorm would on one of the pool, and whoever has the last of them may wait for that: forever.
func gormConfig(o Options) *gorm.Config {
	log := logger.Discard
	if o.Trace != nil {
		log = tracer{logger.Discard, o.Trace}
	}
	return &gorm.Config{
		Logger:                 log,
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
	}
}

// tracer passes statements on.
type tracer struct {
	logger.Interface
	trace func(string)
}

func (t tracer) LogMode(logger.LogLevel) logger.Interface { return t }

func (t tracer) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	s, _ := statement()
	t.trace(s)
}

// Dialect returns SQLite or Postgres.
func (s *Store) Dialect() string { return s.dialect }

// Ping reports ErrUnavailable when the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return translate(s.pools[0].QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// Close waits for running statements and releases the database.
func (s *Store) Close() error {
	var errs []error
	if s.group.writer != nil {
		s.group.close()
	}
	for _, pool := range s.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}
