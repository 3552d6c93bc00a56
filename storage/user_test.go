package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Spellings of one address are one account.
func TestEmailKey(t *testing.T) {
	t.Parallel()
	for key, spellings := range map[string][]string{
		"ada@globex.test": {
			"ada@globex.test", "Ada@Globex.Test", "  ada@globex.test\t\n", "ADA@GLOBEX.TEST", "ａｄａ@globex.test", "ada＠globex.test",
			"𝐚𝐝𝐚@globex.test", "ada@ɢlobex.test"[:4] + "globex.test",
		},
		"straße@globex.test":  nil, // folds further, see below
		"strasse@globex.test": {"STRASSE@globex.test", "Straße@globex.test", "STRAẞE@globex.test"},
		"josé@globex.test":    {"jos\u00e9@globex.test", "jose\u0301@globex.test", "JOSE\u0301@GLOBEX.TEST"},
		"kelvin@globex.test":  {"\u212Aelvin@globex.test"},
		"file@globex.test":    {"ﬁle@globex.test", "ﬁLE@globex.test"},
		"":                    {"", "  "},
	} {
		for _, s := range spellings {
			if got := EmailKey(s); got != key {
				t.Errorf("%q: got %q, want %q", s, got, key)
			}
		}
	}
	// No folding goes further than letters: these are others.
	for _, other := range []string{"a.da@globex.test", "ada+x@globex.test", "аda@globex.test", "ada@globex.test.", "ad\u0131@globex.test"} {
		if EmailKey(other) == "ada@globex.test" {
			t.Errorf("%q is taken for another", other)
		}
	}
}

func FuzzEmailKey(f *testing.F) {
	f.Add("Ada@Globex.test ")
	f.Add("\u212A\u0345\xff\u1E9E")
	f.Fuzz(func(t *testing.T, email string) {
		if key := EmailKey(email); EmailKey(key) != key {
			t.Errorf("%q: the key %q has the key %q", email, key, EmailKey(key))
		}
	})
}

func TestUser(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		u := &User{
			Email: "Ada@Globex.test", EmailVerified: true, Name: "Ada", Address: `{"country":"UK"}`, PhoneNumberVerified: true,
			PasswordHash: "hash", PasswordChangedAt: At(t0), NeverImpersonate: true,
		}
		wantErr(t, "create", addUser(ctx, s, u), nil)
		if !strings.HasPrefix(u.ID, "usr_") || u.EmailKey != "ada@globex.test" || u.CreatedAt != At(t0) || !u.Active() {
			t.Errorf("created: got %+v", u)
		}
		got, err := s.User(ctx, u.ID)
		if diff := cmp.Diff(u, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		for _, name := range []string{u.ID, "ADA@globex.test"} {
			if got, err := s.FindUser(ctx, name); err != nil || got.ID != u.ID {
				t.Errorf("find %q: got %v, %v", name, got, err)
			}
		}
		_, err = s.FindUser(ctx, "nobody")
		wantErr(t, "find nobody", err, ErrNotFound)
		for _, text := range []string{"", "\x00", "\xff"} { // also what PostgreSQL takes for no text
			_, err = s.User(ctx, text)
			wantErr(t, fmt.Sprintf("user %q", text), err, ErrNotFound)
		}
		wantErr(t, "the same id", addUser(ctx, s, &User{ID: u.ID, Email: "x@globex.test"}), ErrExists)
		wantErr(t, "the same address", addUser(ctx, s, &User{Email: "ADA@GLOBEX.TEST"}), ErrExists)

		later := t0.Add(time.Second)
		for name, change := range map[string]func(tx *Tx) error{
			"password": func(tx *Tx) error { return tx.SetPassword(ctx, "usr_x", "h", Cause{}, later) },
			"disable":  func(tx *Tx) error { return tx.DisableUser(ctx, "usr_x", Cause{}, later) },
			"enable":   func(tx *Tx) error { return tx.EnableUser(ctx, "usr_x", later) },
			"protect":  func(tx *Tx) error { return tx.SetNeverImpersonate(ctx, "usr_x", true, Cause{}, later) },
		} {
			wantErr(t, name+" nobody", s.Write(ctx, change), ErrNotFound)
		}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			if err := tx.UpgradePasswordHash(ctx, u.ID, "another", "lost"); err != nil {
				return err
			}
			if err := tx.UpgradePasswordHash(ctx, u.ID, "hash", "better"); err != nil {
				return err
			}
			if err := tx.SetNeverImpersonate(ctx, u.ID, false, Cause{}, later); err != nil {
				return err
			}
			if err := tx.DisableUser(ctx, u.ID, Cause{}, later); err != nil {
				return err
			}
			return tx.EnableUser(ctx, u.ID, later)
		})
		got, err = s.User(ctx, u.ID)
		if err != nil || got.PasswordHash != "better" || got.NeverImpersonate || !got.Active() || got.UpdatedAt != At(later) {
			t.Errorf("updated: got %+v, %v", got, err)
		}
	})
}

func TestDisplayName(t *testing.T) {
	t.Parallel()
	for want, u := range map[string]User{
		"Ada": {ID: "1", Name: "Ada", Email: "a@b"}, "a@b": {ID: "1", Email: "a@b"}, "1": {ID: "1"},
	} {
		if got := u.DisplayName(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSearchUsers(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for _, name := range []string{"Ada Lovelace", "100% real", "under_score", `back\slash`, "Émile", "o'hara"} {
				id := "usr_" + strings.ToLower(name[:3])
				u := &User{ID: id, Email: strings.ReplaceAll(name, " ", ".") + "@globex.test", Name: name}
				if err := tx.CreateUser(ctx, u, t0); err != nil {
					return err
				}
			}
			if err := tx.CreateOrganization(ctx, &Organization{ID: "org_1", Name: "Globex"}, t0); err != nil {
				return err
			}
			return tx.AddMember(ctx, "org_1", "usr_ada", "", t0)
		})
		for _, test := range []struct {
			search UserSearch
			want   int
		}{
			{UserSearch{}, 6},
			{UserSearch{Text: "lovelace"}, 1},
			{UserSearch{Text: "LOVELACE"}, 1},
			{UserSearch{Text: "ada.love"}, 1}, // e-mail
			{UserSearch{Text: "usr_ada"}, 1},
			{UserSearch{Text: "usr_a"}, 0}, // an id only as a whole
			{UserSearch{Text: "%"}, 1},
			{UserSearch{Text: "_"}, 1},
			{UserSearch{Text: `\`}, 1},
			{UserSearch{Text: `a_a`}, 0},
			{UserSearch{Text: `%%`}, 0},
			{UserSearch{Text: `' OR 1=1 --`}, 0},
			{UserSearch{Text: "o'h"}, 1},
			{UserSearch{Text: "Émile"}, 1},
			{UserSearch{Text: "émile"}, 1},
			{UserSearch{Text: "globex.test", Limit: 2}, 2},
			{UserSearch{After: "usr_100"}, 5},
			{UserSearch{Organizations: []string{"org_1", "org_2"}}, 1},
			{UserSearch{Organizations: []string{"org_2"}}, 0},
			{UserSearch{Text: "under", Organizations: []string{"org_1"}}, 0},
		} {
			got, err := s.SearchUsers(t.Context(), test.search)
			if len(got) != test.want || err != nil {
				t.Errorf("%+v: got %d, %v, want %d", test.search, len(got), err, test.want)
			}
		}
	})
}
