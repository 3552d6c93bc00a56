package storage

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// List is a list of strings, kept as a JSON array. Nil and empty are the same.
type List []string

// Value implements driver.Valuer.
func (l List) Value() (driver.Value, error) {
	if len(l) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal([]string(l))
	return string(b), err
}

// Scan implements sql.Scanner.
func (l *List) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*l = nil
		return nil
	case string:
		return l.parse([]byte(v))
	case []byte:
		return l.parse(v)
	default:
		return fmt.Errorf("storage: a list cannot be read from %T", v)
	}
}

func (l *List) parse(b []byte) error {
	if string(b) == "[]" || len(b) == 0 {
		*l = nil
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}
