package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"gorm.io/gorm"
)

// sqliteWriter is the one connection that changes a SQLite database, with the
// statements it prepared. It is gorm's ConnPool within a transaction that we begin
// and end ourselves: through sql.Tx every statement would be prepared again, which
// costs more than running it.
type sqliteWriter struct {
	pool       *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

var _ gorm.ConnPool = (*sqliteWriter)(nil)

// maxStatements bounds the cache; statements with lists differ by their length.
const maxStatements = 256

// begin starts a transaction that holds the write lock from the start. A
// connection that was lost is replaced.
func (w *sqliteWriter) begin(ctx context.Context) error {
	_, err := w.ExecContext(ctx, "BEGIN IMMEDIATE")
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		w.drop()
		_, err = w.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	return err
}

// run runs a statement that controls the transaction.
func (w *sqliteWriter) run(ctx context.Context, statement string) error {
	_, err := w.ExecContext(ctx, statement)
	return err
}

// rollback undoes the transaction. There may be none left: SQLite ends it by itself
// when the disk is full. A connection that cannot say so is not used again.
func (w *sqliteWriter) rollback(ctx context.Context) {
	if w.run(ctx, "ROLLBACK") != nil {
		w.drop()
	}
}

// drop closes the connection and forgets its statements.
func (w *sqliteWriter) drop() {
	for _, s := range w.statements {
		_ = s.Close() // its connection is gone or about to be
	}
	w.statements = nil
	if w.conn != nil {
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool must not give it out again
		_ = w.conn.Close()
		w.conn = nil
	}
}

// PrepareContext returns a statement that belongs to the writer: do not close it.
func (w *sqliteWriter) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.statements[query]; ok {
		return s, nil
	}
	if len(w.statements) >= maxStatements {
		for q, s := range w.statements {
			_ = s.Close()
			delete(w.statements, q)
		}
	}
	if w.conn == nil {
		// The wait is for the pool's only connection, which nobody else uses.
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn, err := w.pool.Conn(patience)
		if err != nil {
			return nil, err
		}
		w.conn, w.statements = conn, map[string]*sql.Stmt{}
	}
	s, err := w.conn.PrepareContext(ctx, query) //nolint:sqlclosecheck // the writer keeps it
	if err != nil {
		return nil, err
	}
	w.statements[query] = s
	return s, nil
}

// ExecContext implements gorm.ConnPool.
func (w *sqliteWriter) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := w.PrepareContext(ctx, query) //nolint:sqlclosecheck // the writer keeps it
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements gorm.ConnPool.
func (w *sqliteWriter) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := w.PrepareContext(ctx, query) //nolint:sqlclosecheck // the writer keeps it
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext implements gorm.ConnPool.
func (w *sqliteWriter) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := w.PrepareContext(ctx, query) //nolint:sqlclosecheck // the writer keeps it
	if err != nil {
		return w.pool.QueryRowContext(expired(), query) // carries an error
	}
	return s.QueryRowContext(ctx, args...)
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
