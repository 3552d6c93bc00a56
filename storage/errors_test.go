package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"
)

// Each refusal of a database comes as the error that callers branch on.
func TestStatementErrors(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		for statement, want := range map[string]error{
			`INSERT INTO settings (key, value, updated_at) SELECT key, value, 0 FROM settings`:             ErrExists, // primary key
			`INSERT INTO organizations (id, name, created_at) VALUES ('1', 'a', 0), ('2', 'a', 0)`:         ErrExists, // unique
			`INSERT INTO user_roles (user_id, role, created_at) VALUES ('usr_ada', 'nobody', 0)`:           ErrReference,
			`DELETE FROM roles WHERE name IN (SELECT 'admin' FROM users WHERE id = 'usr_nobody')`:          nil,
			`UPDATE users SET status = 'gone'`:                                                             errNone, // a rule of ours is broken
			`SELECT nonsense`:                                                                              errNone,
			`INSERT INTO clients (id, name, type, token_endpoint_auth_method) VALUES ('x', 'x', 'x', 'x')`: errNone,
		} {
			err := translate(s.Write(t.Context(), func(tx *Tx) error { return tx.conn(t.Context()).Exec(statement).Error }))
			if errors.Is(want, errNone) {
				if err == nil || kindOf(err) != nil {
					t.Errorf("%s: got %v, want an error of no kind", statement, err)
				}
				continue
			}
			wantErr(t, statement, err, want)
		}
		var none int
		wantErr(t, "no row", s.scan(t.Context(), []any{&none}, `SELECT 1 FROM users WHERE id = 'nobody'`), ErrNotFound)
	})
}

var errNone = errors.New("none of ours")

func TestTranslate(t *testing.T) {
	t.Parallel()
	kinds := []error{ErrNotFound, ErrExists, ErrSpent, ErrReference, ErrUnavailable}
	pg := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, test := range []struct {
		err  error
		want error
	}{
		{nil, nil},
		{gorm.ErrRecordNotFound, ErrNotFound},
		{sql.ErrNoRows, ErrNotFound},
		{pg("23505"), ErrExists},
		{pg("23503"), ErrReference},
		{pg("23514"), errNone},
		{pg("22021"), ErrNotFound},
		{pg("40001"), ErrUnavailable},
		{pg("40P01"), ErrUnavailable},
		{pg("53100"), ErrUnavailable}, // disk full
		{pg("57P01"), ErrUnavailable}, // shutdown
		{pg("08006"), ErrUnavailable},
		{pg("42601"), errNone},
		{pg(""), errNone},
		{pg("4"), errNone},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, ErrUnavailable},
		{driver.ErrBadConn, ErrUnavailable},
		{sql.ErrConnDone, ErrUnavailable},
		{io.ErrUnexpectedEOF, ErrUnavailable},
		{context.DeadlineExceeded, ErrUnavailable},
		{context.Canceled, context.Canceled},
		{ErrSpent, ErrSpent},
		{fmt.Errorf("spend: %w", ErrSpent), ErrSpent},
	} {
		got := translate(test.err)
		if errors.Is(test.want, errNone) {
			wantErr(t, "no kind", got, test.err)
			for _, kind := range kinds {
				if errors.Is(got, kind) {
					t.Errorf("%v: got %v, want no kind", test.err, got)
				}
			}
			continue
		}
		wantErr(t, fmt.Sprint(test.err), got, test.want)
		if again := translate(got); fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("%v: translated twice: %v", test.err, again)
		}
	}
	for code, want := range map[int]error{
		sqlite3.SQLITE_CONSTRAINT_UNIQUE: ErrExists, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: ErrExists,
		sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: ErrReference, sqlite3.SQLITE_CONSTRAINT_CHECK: nil, sqlite3.SQLITE_CONSTRAINT_TRIGGER: nil,
		sqlite3.SQLITE_BUSY: ErrUnavailable, sqlite3.SQLITE_BUSY_SNAPSHOT: ErrUnavailable, sqlite3.SQLITE_FULL: ErrUnavailable,
		sqlite3.SQLITE_IOERR_FSYNC: ErrUnavailable, sqlite3.SQLITE_ERROR: nil, sqlite3.SQLITE_CORRUPT: nil,
	} {
		if got := sqliteKind(code); !errors.Is(got, want) {
			t.Errorf("SQLite's %d: got %v, want %v", code, got, want)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{t0, time.UnixMicro(1).UTC(), time.UnixMicro(-1).UTC(), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := At(want).Time(); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	zone := time.FixedZone("x", 3600)
	if got, want := At(t0.In(zone).Add(999)), At(t0); got != want {
		t.Errorf("got %v, want %v: neither zones nor nanoseconds count", got, want)
	}
	var never Time
	if At(time.Time{}) != never || !never.Time().IsZero() || never.Set() || never.Passed(t0) {
		t.Error("zero is not never")
	}
	at := At(t0)
	if !at.Set() || !at.Passed(t0) || at.Passed(t0.Add(-time.Microsecond)) || !at.Passed(t0.Add(time.Hour)) {
		t.Error("a moment passes when it comes")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for text, l := range map[string]List{
		`[]`: nil, `["a"]`: {"a"}, `["a b","","\"]"]`: {"a b", "", `"]`},
	} {
		if v, err := l.Value(); v != text || err != nil {
			t.Errorf("%q: got %v, %v, want %s", l, v, err, text)
		}
		for _, from := range []any{text, []byte(text)} {
			got := List{"what was before"}
			if err := got.Scan(from); err != nil || !slices.Equal(got, l) || (got == nil) != (l == nil) {
				t.Errorf("%s: got %q, %v, want %q", text, got, err, l)
			}
		}
	}
	if v, err := (List{}).Value(); v != "[]" || err != nil {
		t.Errorf("empty: got %v, %v", v, err)
	}
	var l List
	if err := l.Scan(nil); err != nil || l != nil {
		t.Errorf("NULL: got %v, %v", l, err)
	}
	for _, bad := range []any{1, "x", `{"a":1}`, "[1]"} {
		if err := l.Scan(bad); err == nil {
			t.Errorf("%v was read as %q", bad, l)
		}
	}
}

func TestRemembered(t *testing.T) {
	t.Parallel()
	for text, r := range map[string]Remembered{`{}`: nil, `{"demo":7}`: {"demo": 7}} {
		if v, err := r.Value(); v != text || err != nil {
			t.Errorf("got %v, %v, want %s", v, err, text)
		}
		for _, from := range []any{text, []byte(text)} {
			got := Remembered{"before": 1}
			if err := got.Scan(from); err != nil || len(got) != len(r) || got["demo"] != r["demo"] {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		}
	}
	for _, bad := range []any{nil, 1, "", "[]"} {
		if err := new(Remembered).Scan(bad); err == nil {
			t.Errorf("%v was read", bad)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	a, b := NewID("usr"), NewID("usr")
	if a == b || !strings.HasPrefix(a, "usr_") || len(a) != len("usr_")+26 || a != strings.ToLower(a) {
		t.Errorf("got %q and %q", a, b)
	}
}
