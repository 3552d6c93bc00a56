package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What callers branch on.
var (
	// ErrNotFound says that no row has the given key.
	ErrNotFound = errors.New("storage: not found")
	// ErrExists says that the key is taken.
	ErrExists = errors.New("storage: already exists")
	// ErrSpent says that a single-use thing was used before, or is no longer valid.
	ErrSpent = errors.New("storage: already used")
	// ErrReference says that a row names another one that does not exist.
	ErrReference = errors.New("storage: refers to something that does not exist")
	// ErrUnavailable says that the database cannot answer now: locked, full, gone.
	// The same call may succeed later.
	ErrUnavailable = errors.New("storage: unavailable")
	// ErrRecord says that an event could not be written, so neither was what it
	// records (SECURITY A23). It is a kind of ErrUnavailable.
	ErrRecord = fmt.Errorf("%w: the record cannot be written", ErrUnavailable)
)

// translate maps the drivers' errors to ours; the cause stays in the text.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	}
	for _, known := range []error{ErrNotFound, ErrExists, ErrSpent, ErrReference, ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

func kindOf(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteKind(e.Code())
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok { // whatever the server said to it
		return ErrUnavailable
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresKind(e.Code)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return ErrUnavailable
	}
	if pgconn.SafeToRetry(err) { // a connection that was lost before, "conn closed"
		return ErrUnavailable
	}
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.ErrUnexpectedEOF, io.EOF, context.DeadlineExceeded} {
		if errors.Is(err, gone) {
			return ErrUnavailable
		}
	}
	return nil
}

func sqliteKind(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrExists
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return ErrReference
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return ErrUnavailable
	}
	return nil
}

func postgresKind(code string) error {
	switch code {
	case "23505":
		return ErrExists
	case "23503":
		return ErrReference
	case "22021": // text with NUL or invalid UTF-8, which no row can have
		return ErrNotFound
	case "40001", "40P01", "55P03", "57014":
		return ErrUnavailable
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58": // connection, resources, shutdown, system
		return ErrUnavailable
	}
	return nil
}

// conflicted reports that PostgreSQL undid a transaction that may be run again.
func conflicted(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}
