package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is added many at a time is what would be added one by one.
func TestMany(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		const n = 2*rowsPerStatement + 1
		role := "support"
		r := Request{ID: "req_1", IP: "192.0.2.1"}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for _, o := range []Organization{{ID: "org_1", Name: "Globex"}, {ID: "org_2", Name: "org_1"}, {ID: "org_3", Name: "Initech"}} {
				if err := tx.CreateOrganization(ctx, &o, t0); err != nil {
					return err
				}
			}
			var users []User
			var members []Membership
			var roles []UserRole
			var events []Event
			for i := range n {
				u := User{ID: fmt.Sprintf("usr_%03d", i), Email: fmt.Sprintf("User%d@many.test", i), Name: "U", PasswordHash: "h", NeverImpersonate: true}
				users = append(users, u)
				members = append(members, Membership{OrganizationID: "org_1", UserID: u.ID, Role: &role}, Membership{OrganizationID: "org_2", UserID: u.ID})
				roles = append(roles, UserRole{UserID: u.ID, Role: role})
				events = append(events, Event{Type: EventUserCreated, SubjectID: u.ID, Data: Data{"n": i}})
			}
			users = append(users, User{Email: "no-id@many.test"})
			for _, err := range []error{
				tx.CreateUsers(ctx, users, t0), tx.AddMembers(ctx, members, t0), tx.GrantRoles(ctx, roles, t0),
				tx.RecordAll(ctx, events, Private{}, r, t0),
				tx.CreateUsers(ctx, nil, t0), tx.AddMembers(ctx, nil, t0), tx.GrantRoles(ctx, nil, t0), tx.RecordAll(ctx, nil, Private{}, r, t0),
				tx.CreateUser(ctx, &User{ID: "usr_one", Email: "User@many.test", Name: "U", PasswordHash: "h", NeverImpersonate: true}, t0),
				tx.Record(ctx, Event{Type: EventUserCreated, SubjectID: "usr_one", Data: Data{"n": 200}}, Private{}, r, t0),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		})

		one, err := s.User(ctx, "usr_one")
		if err != nil {
			t.Fatal(err)
		}
		last, err := s.User(ctx, "usr_200")
		one.ID, one.Email, one.EmailKey = "usr_200", "User200@many.test", "user200@many.test"
		if diff := cmp.Diff(one, last); err != nil || diff != "" {
			t.Errorf("%v, (-one +of many):\n%s", err, diff)
		}
		standing, err := s.Standing(ctx, "usr_200")
		if err != nil || !standing.May("users:read", "") || !standing.May("users:read", "org_1") || !standing.MemberOf("org_2") {
			t.Errorf("got %+v, %v", standing, err)
		}
		members, err := s.MembershipsOf(ctx, "usr_000")
		if err != nil || len(members) != 2 || members[1].Role != nil || members[0].CreatedAt != At(t0) {
			t.Errorf("got %+v, %v", members, err)
		}

		if _, err := s.Sequence(ctx, "test", t0); err != nil {
			t.Fatal(err)
		}
		events, err := s.Events(ctx, EventFilter{Types: []EventType{EventUserCreated}, Limit: 2 * n})
		if err != nil || len(events) != n+1 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		slices.SortFunc(events, func(a, b Event) int { return strings.Compare(a.SubjectID, b.SubjectID) })
		many, single := events[n-1], events[n]
		if single.SubjectID != "usr_one" || len(many.PrivateHash) != 32 || many.ID == single.ID || many.Private == single.Private {
			t.Errorf("got %+v and %+v", many, single)
		}
		many.ID, many.Position, many.SubjectID, many.Private, many.PrivateHash = single.ID, single.Position, single.SubjectID, single.Private, single.PrivateHash
		if diff := cmp.Diff(single, many); diff != "" {
			t.Errorf("(-one +of many):\n%s", diff)
		}

		for name, err := range map[string]error{
			"same id": s.Write(ctx, func(tx *Tx) error {
				return tx.CreateUsers(ctx, []User{{Email: "a@b"}, {ID: "usr_1", Email: "b@b"}, {ID: "usr_ada", Email: "c@b"}}, t0)
			}),
			"same address": s.Write(ctx, func(tx *Tx) error { return tx.CreateUsers(ctx, []User{{Email: "a@b"}, {Email: "A@B"}}, t0) }),
		} {
			wantErr(t, name, err, ErrExists)
		}
		for name, err := range map[string]error{
			"no role":         s.Write(ctx, func(tx *Tx) error { return tx.GrantRoles(ctx, []UserRole{{UserID: "usr_ada", Role: "king"}}, t0) }),
			"no organization": s.Write(ctx, func(tx *Tx) error { return tx.AddMembers(ctx, []Membership{{UserID: "usr_ada"}}, t0) }),
		} {
			wantErr(t, name, err, ErrReference)
		}
		if _, err := s.UserByEmail(ctx, "a@b"); err == nil {
			t.Error("a user of a Write that failed is there")
		}
	})
}

// Lists of any length find what single questions find.
func TestAmong(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for _, o := range []Organization{{ID: "org_1", Name: "Globex"}, {ID: "org_2", Name: "org_1"}, {ID: "org_3", Name: "Ini'tech\" 🙂"}} {
				if err := tx.CreateOrganization(ctx, &o, t0); err != nil {
					return err
				}
			}
			return nil
		})
		var many []string
		for i := range 70_000 {
			many = append(many, fmt.Sprint("nobody", i))
		}
		with := func(one string) []string { return append(slices.Clone(many), one) }
		for name, c := range map[string]struct {
			ids, emails []string
			want        string
		}{
			"nothing":         {nil, nil, "[]"},
			"ids":             {[]string{"usr_ada", "usr_x"}, nil, "[usr_ada ada@globex.test]"},
			"addresses":       {nil, []string{"sam@globex.test", "x"}, "[usr_sam sam@globex.test]"},
			"both of one":     {[]string{"usr_ada"}, []string{"ada@globex.test"}, "[usr_ada ada@globex.test]"},
			"of several":      {[]string{"usr_ada"}, []string{"sam@globex.test"}, "[usr_ada ada@globex.test usr_sam sam@globex.test]"},
			"among very many": {with("usr_ada"), with("sam@globex.test"), "[usr_ada ada@globex.test usr_sam sam@globex.test]"},
		} {
			users, err := s.UsersWith(ctx, c.ids, c.emails)
			slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.ID, b.ID) })
			got := []string{}
			for _, u := range users {
				got = append(got, u.ID, u.EmailKey)
			}
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%s: got %v, %v, want %s", name, got, err, c.want)
			}
		}
		for name, want := range map[string]string{"Globex": "[org_1]", "org_1": "[org_1 org_2]", "Ini'tech\" 🙂": "[org_3]", "": "[]"} {
			found, err := s.OrganizationsNamed(ctx, with(name))
			got := []string{}
			for _, o := range found {
				got = append(got, o.ID)
			}
			slices.Sort(got)
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("%q: got %v, %v, want %s", name, got, err, want)
			}
		}
		if got, err := s.ClientsAmong(ctx, with("demo")); err != nil || fmt.Sprint(got) != "[demo]" {
			t.Errorf("clients: got %v, %v", got, err)
		}
	})
}
