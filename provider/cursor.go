package provider

import (
	"encoding/base64"
	"encoding/json"
	"errors"
)

// ErrCursor says that a cursor was not made here, or for another list.
var ErrCursor = errors.New("the cursor is not of this list")

// Cursor returns a place of a list for whoever reads on from there. They cannot read or
// change it, nor use it with another list: its name is what the list holds (SECURITY F09).
func (p *Provider) Cursor(list string, place any) (string, error) {
	plain, err := json.Marshal(place)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(p.Keys.cursors.close(plain, list)), nil
}

// ReadCursor is the reverse of Cursor, or ErrCursor.
func (p *Provider) ReadCursor(list, cursor string, place any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return ErrCursor
	}
	plain, _, ok := p.Keys.cursors.open(sealed, list)
	if !ok || json.Unmarshal(plain, place) != nil {
		return ErrCursor
	}
	return nil
}
