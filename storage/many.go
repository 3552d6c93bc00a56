package storage

import "context"

// rowsPerStatement is how many rows one INSERT adds: few enough for the number of
// parameters that a statement may have.
const rowsPerStatement = 100

// createAll adds rows, many with each statement.
func createAll[T any](ctx context.Context, tx *Tx, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	return translate(tx.conn(ctx).CreateInBatches(rows, rowsPerStatement).Error)
}

// among is a subquery of the texts of a List that is one parameter: however many
// they are, the statement is the same.
func (q Queries) among() string {
	if q.dialect == Postgres {
		return `(SELECT json_array_elements_text(?::json))`
	}
	return `(SELECT value FROM json_each(?))`
}
