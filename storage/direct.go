package storage

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"sync"
)

// The statements of every request go to the driver without gorm's builder, whose
// work would cost as much as theirs. They are still prepared once, by gorm's pool
// or by the writer.

// scan reads the one row that a query returns, or ErrNotFound.
func (q Queries) scan(ctx context.Context, into []any, query string, args ...any) error {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return translate(err)
		}
		return ErrNotFound
	}
	if err := rows.Scan(into...); err != nil {
		return translate(err)
	}
	return translate(errors.Join(rows.Close(), rows.Err()))
}

// query runs a query. The caller closes what it returns.
func (q Queries) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	q.traced(query)
	rows, err := q.db.Statement.ConnPool.QueryContext(q.context(ctx), q.bind(query), args...)
	return rows, translate(err)
}

// exec runs a statement and returns how many rows it changed.
func (tx *Tx) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	tx.traced(statement)
	res, err := tx.db.Statement.ConnPool.ExecContext(tx.context(ctx), tx.bind(statement), args...)
	if err != nil {
		return 0, translate(err)
	}
	n, err := res.RowsAffected()
	return n, translate(err)
}

func (q Queries) traced(statement string) {
	if q.trace != nil {
		q.trace(statement)
	}
}

// bound remembers statements in PostgreSQL's spelling.
var bound sync.Map

// bind numbers the parameters where the dialect wants it: ? becomes $1. None of our
// statements has a question mark elsewhere.
func (q Queries) bind(statement string) string {
	if q.dialect != Postgres {
		return statement
	}
	if b, ok := bound.Load(statement); ok {
		return b.(string)
	}
	var b strings.Builder
	parts := strings.Split(statement, "?")
	for i, part := range parts {
		b.WriteString(part)
		if i < len(parts)-1 {
			b.WriteString("$" + strconv.Itoa(i+1))
		}
	}
	bound.Store(statement, b.String())
	return b.String()
}
