package provider

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// D11: whoever tries to sign in waits for a hash to be computed, whether there is
// such an account or not: with all places taken, nobody is answered. That says of
// time what a stopwatch would, every time.
func TestEverySignInCostsAHash(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	keys, err := NewKeyring(s, "a secret of a test that is long enough")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{Issuer: "https://id.example", MaxConcurrentHashes: 1, HashQueueTimeout: time.Millisecond}, s, keys, slog.New(slog.DiscardHandler))
	d := NewDirectory(s)
	for _, u := range []struct{ id, password string }{{"ada", "the right password"}, {"gone", "the right password"}, {"nopassword", ""}} {
		err := d.CreateUser(t.Context(), &storage.User{ID: u.id, Email: u.id + "@example.test"}, u.password, nil, nil, byRoot, testTime)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Disable(t.Context(), "gone", byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]struct{ name, password string }{
		"D11 right":            {"ada@example.test", "the right password"},
		"D11 wrong":            {"ada@example.test", "wrong"},
		"D11 empty":            {"ada@example.test", ""},
		"D11 endless":          {"ada@example.test", string(make([]byte, 5000))},
		"D11 unknown":          {"nobody@example.test", "the right password"},
		"D11 nothing":          {"", ""},
		"D11 disabled":         {"gone@example.test", "the right password"},
		"D11 without password": {"nopassword@example.test", ""},
	} {
		t.Run(what, func(t *testing.T) {
			if err := p.passwords.slots.Acquire(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			_, err := p.CheckPassword(t.Context(), try.name, try.password, storage.Request{IP: "192.0.2.1"}, testTime)
			p.passwords.slots.Release(1)
			if !errors.Is(err, ErrBusy) {
				t.Errorf("answered without a hash: %v", err)
			}
		})
	}
}

// D13: an id belongs to one thing for ever, and none is taken for another's.
func TestIdentifiersAreNotReused(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	d, r := NewDirectory(s), NewRegistration(s)
	addUser(t, d, "usr_ada", nil)
	client := validClient(ClientWeb)
	if _, err := r.Register(t.Context(), client, "", byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	if err := d.Disable(t.Context(), "usr_ada", byRoot, testTime); err != nil { // there is no other end of a user
		t.Fatal(err)
	}
	for what, u := range map[string]*storage.User{
		"D13 the id of a disabled user":          {ID: "usr_ada", Email: "new@example.test"},
		"D13 the address of a disabled user":     {Email: "usr_ada@example.test"},
		"D13 the address in another spelling":    {Email: "USR_ADA@Example.TEST"},
		"D13 the address in other letters":       {Email: "ｕsr_ada@example.test"},
		"D13 the id of a client":                 {ID: client.ID, Email: "new@example.test"},
		"D13 an id that is an address":           {ID: "ada@example.test", Email: "new@example.test"},
		"D13 an id that is an address of a user": {ID: "usr_ada@example.test", Email: "new@example.test"},
		"D13 an id with a blank":                 {ID: "usr_ada ", Email: "new@example.test"},
		"D13 an id with a zero":                  {ID: "usr_ada\x00", Email: "new@example.test"},
	} {
		t.Run(what, func(t *testing.T) {
			if err := d.CreateUser(t.Context(), u, "", nil, nil, byRoot, testTime); err == nil {
				t.Errorf("%q was created", u.ID)
			}
		})
	}
	t.Run("D13 a client with the id of a user", func(t *testing.T) {
		c := validClient(ClientWeb)
		c.ID = "usr_ada"
		if _, err := r.Register(t.Context(), c, "", byRoot, testTime); !errors.Is(err, storage.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
	})
	t.Run("D13 made-up ids", func(t *testing.T) {
		seen := map[string]bool{}
		for range 100 {
			id := storage.NewID("usr")
			if seen[id] {
				t.Fatalf("%s a second time", id)
			}
			seen[id] = true
		}
	})
}
