package storage

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// rowsPerStatement is how many rows one INSERT adds: few enough for the number of
// parameters that a statement may have.
const rowsPerStatement = 100

// createAll adds rows, many with each statement.
func createAll[T any](ctx context.Context, tx *Tx, rows []T) error {
	for some := range slices.Chunk(rows, rowsPerStatement) {
		if err := insert(ctx, tx, some); err != nil {
			return err
		}
	}
	return nil
}

// insert adds rows with one statement, each with all its columns. It is gorm's Create
// without the callbacks, whose work would cost more than the statement's.
func insert[T any](ctx context.Context, tx *Tx, rows []T) error {
	parsed := gorm.Statement{DB: tx.db}
	if err := parsed.Parse(new(T)); err != nil {
		return err
	}
	columns := parsed.Schema.DBNames
	args := make([]any, 0, len(rows)*len(columns))
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for _, column := range columns {
			value, _ := parsed.Schema.FieldsByDBName[column].ValueOf(ctx, row)
			args = append(args, value)
		}
	}
	values := ", (" + strings.Repeat("?, ", len(columns)-1) + "?)"
	_, err := tx.exec(ctx, `INSERT INTO `+parsed.Schema.Table+` ("`+strings.Join(columns, `", "`)+`") VALUES `+
		strings.Repeat(values, len(rows))[2:], args...)
	return err
}

// among is a subquery of the texts of a List that is one parameter: however many
// they are, the statement is the same.
func (q Queries) among() string {
	if q.dialect == Postgres {
		return `(SELECT json_array_elements_text(?::json))`
	}
	return `(SELECT value FROM json_each(?))`
}
