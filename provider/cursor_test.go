package provider

import (
	"errors"
	"log/slog"
	"testing"
)

// F09: a place is read from a cursor that was made for this list, as it was made, and
// from nothing else.
func FuzzCursor(f *testing.F) {
	store := migratedStore(f)
	keys, err := NewKeyring(store, "a secret of a test that is long enough")
	if err != nil {
		f.Fatal(err)
	}
	p := New(Config{Issuer: "https://id.example"}, store, keys, slog.New(slog.DiscardHandler))
	good, err := p.Cursor("users of key_a", "usr_ada")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []struct{ list, cursor string }{
		{"users of key_a", good},
		{"users of key_b", good},
		{"users of key_a", good + "A"},
		{"users of key_a", good[:len(good)-1]},
		{"users of key_a", good + "="},
		{"", good},
		{"users of key_a", ""},
		{"users of key_a", "usr_ada"},
		{"users of key_a", "\x00"},
	} {
		f.Add(seed.list, seed.cursor)
	}
	f.Fuzz(func(t *testing.T, list, cursor string) {
		var place string
		err := p.ReadCursor(list, cursor, &place)
		made := list == "users of key_a" && cursor == good
		switch {
		case made && (err != nil || place != "usr_ada"):
			t.Errorf("got %q, %v", place, err)
		case !made && !errors.Is(err, ErrCursor):
			t.Errorf("list %q, cursor %q: got %q, %v", list, cursor, place, err)
		}
	})
}
