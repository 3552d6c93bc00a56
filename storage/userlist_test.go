package storage

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fillDirectory adds ten users, two of whom have one name, in two organizations.
func fillDirectory(t *testing.T, s *Store) {
	t.Helper()
	write(t, s, func(ctx context.Context, tx *Tx) error {
		for _, o := range []Organization{{ID: "org_1", Name: "Globex"}, {ID: "org_2", Name: "Initech"}} {
			if err := tx.CreateOrganization(ctx, &o, t0); err != nil {
				return err
			}
		}
		for i, name := range []string{"Eve", "Ada", "Ada", "", "Bob", "Cid", "Dan", "Fay", "Gus", "Zoë"} {
			u := &User{ID: fmt.Sprintf("usr_%d", i), Email: fmt.Sprintf("u%d@x.test", i), Name: name}
			if i == 5 {
				u.Status = UserDisabled
			}
			if err := tx.CreateUser(ctx, u, t0); err != nil {
				return err
			}
		}
		for _, m := range [][3]string{{"org_1", "usr_1", "support"}, {"org_1", "usr_2", ""}, {"org_2", "usr_2", "auditor"}, {"org_2", "usr_4", ""}, {"org_2", "usr_9", ""}} {
			if err := tx.AddMember(ctx, m[0], m[1], m[2], t0); err != nil {
				return err
			}
		}
		if err := tx.GrantRole(ctx, "usr_0", "admin", t0); err != nil {
			return err
		}
		if err := tx.GrantRole(ctx, "usr_0", "auditor", t0); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, "usr_9", Cause{}, t0)
	})
}

func TestListUsers(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		fillDirectory(t, s)
		for _, test := range []struct {
			listing UserListing
			want    string
		}{
			{UserListing{}, "3 1 2 4 5 6 0 7 8"},
			{UserListing{Text: "ADA"}, "1 2"},
			{UserListing{Text: "u4@X"}, "4"},
			{UserListing{Text: "usr_8"}, "8"},
			{UserListing{Text: "%"}, ""},
			{UserListing{Text: "u9@x.test"}, ""}, // deleted
			{UserListing{Text: "usr_9"}, ""},
			{UserListing{Status: UserDisabled}, "5"},
			{UserListing{Status: UserActive, Text: "c"}, ""},
			{UserListing{Role: "auditor"}, "2 0"},
			{UserListing{Role: "nothing"}, ""},
			{UserListing{Organization: "org_1"}, "1 2"},
			{UserListing{Organization: "org_2"}, "2 4"},
			{UserListing{Within: []string{"org_2"}}, "2 4"},
			{UserListing{Within: []string{}}, ""},
			{UserListing{Within: []string{"org_1", "org_2", "org_3"}}, "1 2 4"},
			{UserListing{Within: []string{"org_1"}, Role: "auditor"}, ""}, // held elsewhere
			{UserListing{Within: []string{"org_1"}, Role: "support"}, "1"},
			{UserListing{Within: []string{"org_1"}, Organization: "org_2"}, "2"},
			{UserListing{At: &NamePlace{Name: "Ada", ID: "usr_1"}}, "2 4 5 6 0 7 8"},
			{UserListing{At: &NamePlace{Name: "Ada", ID: "usr_2", Before: true}}, "3 1"},
			{UserListing{Limit: 2}, "3 1 more"},
			{UserListing{Limit: 2, At: &NamePlace{Name: "Gus", ID: "usr_8", Before: true}}, "0 7 more"},
		} {
			if test.listing.Limit == 0 {
				test.listing.Limit = 50
			}
			users, more, err := s.ListUsers(t.Context(), test.listing)
			var got []string
			for _, u := range users {
				got = append(got, strings.TrimPrefix(u.ID, "usr_"))
			}
			if more {
				got = append(got, "more")
			}
			if strings.Join(got, " ") != test.want || err != nil {
				t.Errorf("%+v: got %v, %v, want %s", test.listing, got, err, test.want)
			}
		}
	})
}

func TestPlacesOf(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		fillDirectory(t, s)
		got, err := s.PlacesOf(t.Context(), "usr_0", "usr_2", "usr_3", "usr_x")
		want := map[string][]Place{
			"usr_0": {{UserID: "usr_0", Role: "admin"}, {UserID: "usr_0", Role: "auditor"}},
			"usr_2": {{"usr_2", "org_1", "Globex", ""}, {"usr_2", "org_2", "Initech", "auditor"}},
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		names, err := s.DisplayNames(t.Context(), "usr_0", "usr_3", "usr_9", "usr_x")
		if diff := cmp.Diff(map[string]string{"usr_0": "Eve", "usr_3": "u3@x.test", "usr_9": "usr_9"}, names); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		if none, err := s.PlacesOf(t.Context()); err != nil || len(none) != 0 {
			t.Errorf("of nobody: %v, %v", none, err)
		}
	})
}

// SECURITY D13: of a deleted user only the id is left, and that for ever.
func TestDeleteUser(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		impersonate(t, s, "imp_1")
		impersonate(t, s, "imp_2", func(i *Impersonation) { i.ActorID, i.SubjectID = "usr_ada", "usr_grace" })
		ctx := t.Context()
		everything := &User{ID: "usr_ada"}
		v := reflect.ValueOf(everything).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && v.Type().Field(i).Name != "ID" {
				f.SetString("personal")
			}
		}
		everything.Email, everything.EmailVerified, everything.PhoneNumberVerified = "Ada@globex.test", true, true
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return errors.Join(
				tx.UpdateUser(ctx, everything, t0),
				tx.UpgradePasswordHash(ctx, "usr_ada", "", "hash"),
				tx.CreateOrganization(ctx, &Organization{ID: "org_1", Name: "Globex"}, t0),
				tx.AddMember(ctx, "org_1", "usr_ada", "support", t0),
				tx.GrantRole(ctx, "usr_ada", "auditor", t0),
				tx.PutConsent(ctx, "usr_ada", "demo", "openid", t0),
				tx.PutSupportAccess(ctx, &SupportAccess{UserID: "usr_ada", Mode: SupportDenied, UpdatedAt: At(t0)}),
				tx.CreateSupportRequest(ctx, &SupportRequest{ID: "req_1", UserID: "usr_ada", ActorID: "usr_sam", Reason: "why", Status: "pending", CreatedAt: At(t0), ExpiresAt: At(t0)}),
				tx.CreateLoginSession(ctx, &LoginSession{IDHash: Hash("s"), SID: "sid_ada", UserID: "usr_ada", IP: "192.0.2.1", UserAgent: "Browser", ExpiresAt: At(t0.AddDate(1, 0, 0))}),
				tx.CreateTicket(ctx, &Ticket{ID: "tkt_1", TokenHash: Hash("t"), ActorID: "usr_sam", SubjectID: "usr_ada", ClientID: "demo", Binding: "bearer", Access: "full", Entry: "api", Delivery: "link", ExpiresAt: At(t0.AddDate(1, 0, 0))}),
				tx.CreateGrant(ctx, &Grant{ID: "grt_1", ClientID: "demo", UserID: "usr_ada", SID: "sid_ada", CreatedAt: At(t0), ExpiresAt: At(t0.AddDate(1, 0, 0))}),
			)
		})
		write(t, s, func(ctx context.Context, tx *Tx) error {
			return tx.DeleteUser(ctx, "usr_ada", Cause{By: "usr_root"}, t0)
		})

		u, err := s.User(ctx, "usr_ada")
		want := &User{
			ID: "usr_ada", EmailKey: "deleted:usr_ada", Status: UserDisabled, CreatedAt: u.CreatedAt, UpdatedAt: At(t0),
			PasswordChangedAt: At(t0), DeletedAt: At(t0),
		}
		if diff := cmp.Diff(want, u); err != nil || diff != "" || !u.Deleted() || u.Active() {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		for _, address := range []string{"ada@globex.test", "deleted:usr_ada", ""} {
			_, err := s.UserByEmail(ctx, address)
			wantErr(t, "by "+address, err, ErrNotFound)
		}
		standing, err := s.Standing(ctx, "usr_ada")
		if err != nil || len(standing.Everywhere)+len(standing.Within) > 0 {
			t.Errorf("standing: %+v, %v", standing, err)
		}
		applications, err := s.Applications(ctx, "usr_ada", t0)
		if err != nil || len(applications) > 0 {
			t.Errorf("applications: %+v, %v", applications, err)
		}
		requests, err := s.SupportRequests(ctx, "usr_ada", 10)
		if err != nil || len(requests) > 0 {
			t.Errorf("support requests: %+v, %v", requests, err)
		}
		if _, said, err := s.ImpersonationTerms(ctx, "usr_ada"); err != nil || said != nil {
			t.Errorf("support access: %+v, %v", said, err)
		}
		ticket, err := s.TicketNamed(ctx, "tkt_1")
		if err != nil || !ticket.RevokedAt.Set() {
			t.Errorf("ticket: %+v, %v", ticket, err)
		}
		var session LoginSession
		if err := s.conn(ctx).Take(&session, "sid = 'sid_ada'").Error; err != nil || session.IP != "" || session.UserAgent != "" || !session.RevokedAt.Set() {
			t.Errorf("session: %+v, %v", session, err)
		}
		for id, why := range map[string]EndReason{"imp_1": EndSubjectDisabled, "imp_2": EndActorDisabled} {
			if i, err := s.Impersonation(ctx, id); err != nil || i.EndReason != why {
				t.Errorf("%s: %+v, %v", id, i, err)
			}
		}

		for name, change := range map[string]func(tx *Tx) error{
			"password": func(tx *Tx) error { return tx.SetPassword(ctx, "usr_ada", "h", Cause{}, t0) },
			"enable":   func(tx *Tx) error { return tx.EnableUser(ctx, "usr_ada", t0) },
			"update":   func(tx *Tx) error { return tx.UpdateUser(ctx, everything, t0) },
			"again":    func(tx *Tx) error { return tx.DeleteUser(ctx, "usr_ada", Cause{}, t0) },
			"nobody":   func(tx *Tx) error { return tx.DeleteUser(ctx, "usr_x", Cause{}, t0) },
		} {
			wantErr(t, name, s.Write(ctx, change), ErrNotFound)
		}
		wantErr(t, "the same id", addUser(ctx, s, &User{ID: "usr_ada", Email: "other@globex.test"}), ErrExists)
		wantErr(t, "the same address", addUser(ctx, s, &User{ID: "usr_new", Email: "ada@globex.test"}), nil)
	})
}

func TestUpdateUser(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		before, err := s.User(ctx, "usr_ada")
		if err != nil {
			t.Fatal(err)
		}
		// SECURITY D14: what else is in the struct changes nothing.
		given := &User{ID: "usr_ada", Email: "Lovelace@x.test", Name: "Ada", PasswordHash: "h", Status: UserDisabled, NeverImpersonate: true, DeletedAt: 1, EmailKey: "sam@globex.test"}
		write(t, s, func(ctx context.Context, tx *Tx) error { return tx.UpdateUser(ctx, given, t0) })
		want := *before
		want.Email, want.EmailKey, want.Name, want.UpdatedAt = "Lovelace@x.test", "lovelace@x.test", "Ada", At(t0)
		got, err := s.User(ctx, "usr_ada")
		if diff := cmp.Diff(&want, got); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		given.Email = "SAM@globex.test"
		wantErr(t, "somebody's address", s.Write(ctx, func(tx *Tx) error { return tx.UpdateUser(ctx, given, t0) }), ErrExists)
	})
}

// What is asked of a page of users does not grow with the users on it.
func TestListingIsFewStatements(t *testing.T) {
	t.Parallel()
	statements := 0
	s := openStore(t, Options{DSN: "sqlite:" + t.TempDir() + "/u.db", Trace: func(string) { statements++ }})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	fillDirectory(t, s)
	for _, n := range []int{1, 8} {
		statements = 0
		users, _, err := s.ListUsers(t.Context(), UserListing{Limit: n, Within: []string{"org_1", "org_2"}})
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, u := range users {
			ids = append(ids, u.ID)
		}
		if _, err := s.PlacesOf(t.Context(), ids...); err != nil || statements != 2 {
			t.Errorf("%d users: %d statements, %v, want 2", n, statements, err)
		}
	}
}
