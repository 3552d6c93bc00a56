package storage

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStanding(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		seed(t, s)
		ctx := t.Context()
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for _, o := range []Organization{{ID: "org_1", Name: "Globex"}, {ID: "org_2", Name: "Initech"}, {ID: "org_3", Name: "org_1"}} {
				if err := tx.CreateOrganization(ctx, &o, t0); err != nil {
					return err
				}
			}
			for _, m := range [][3]string{{"org_1", "usr_sam", "auditor"}, {"org_2", "usr_sam", "admin"}, {"org_2", "usr_sam", ""}, {"org_2", "usr_ada", "admin"}} {
				if err := tx.AddMember(ctx, m[0], m[1], m[2], t0); err != nil {
					return err
				}
			}
			for range 2 {
				if err := tx.GrantRole(ctx, "usr_sam", "support", t0); err != nil {
					return err
				}
			}
			return nil
		})
		st, err := s.Standing(ctx, "usr_sam")
		want := Standing{
			Everywhere: List{"users:read", "impersonation:start", "impersonation:read"},
			Within:     map[string]List{"org_1": {"users:read", "impersonation:read", "events:read", "events:export"}, "org_2": nil},
			Roles:      map[string]List{"": {"support"}, "org_1": {"auditor"}},
		}
		if diff := cmp.Diff(want, st); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		for question, held := range map[bool][]bool{
			true: {
				st.May("users:read", ""), st.May("events:read", "org_1"), st.May("users:read", "org_2"), st.MayAnywhere("events:read"),
				st.MayAnywhere("users:read"), st.MemberOf("org_1"), st.MemberOf("org_2"),
			},
			false: {
				st.May("events:read", ""), st.May("events:read", "org_2"), st.May("users:write", "org_2"), st.MayAnywhere("users:write"),
				st.MemberOf("org_3"), st.MemberOf(""), st.May("", ""),
			},
		} {
			if slices.Contains(held, !question) {
				t.Errorf("want %v throughout, got %v", question, held)
			}
		}
		nobody, err := s.Standing(ctx, "usr_nobody")
		if err != nil || len(nobody.Everywhere) != 0 || len(nobody.Within) != 0 {
			t.Errorf("nobody: got %v, %v", nobody, err)
		}

		for name, err := range map[string]error{
			"no role": s.Write(ctx, func(tx *Tx) error { return tx.GrantRole(ctx, "usr_sam", "emperor", t0) }),
			"no user": s.Write(ctx, func(tx *Tx) error { return tx.GrantRole(ctx, "usr_x", "admin", t0) }),
			"no org":  s.Write(ctx, func(tx *Tx) error { return tx.AddMember(ctx, "org_x", "usr_sam", "", t0) }),
		} {
			wantErr(t, name, err, ErrReference)
		}
		revoke := func() error {
			return s.Write(ctx, func(tx *Tx) error { return tx.RevokeRole(ctx, "usr_sam", "support") })
		}
		wantErr(t, "revoke", revoke(), nil)
		wantErr(t, "revoke again", revoke(), ErrNotFound)
		if roles, err := s.RolesOf(ctx, "usr_sam"); err != nil || len(roles) != 0 {
			t.Errorf("roles: got %v, %v", roles, err)
		}

		of, err := s.OrganizationsOf(ctx, []string{"usr_sam", "usr_ada", "usr_grace"})
		if err != nil || len(of["usr_sam"]) != 2 || of["usr_sam"][0].Name != "Globex" || len(of["usr_ada"]) != 1 || len(of) != 2 {
			t.Errorf("organizations of: got %v, %v", of, err)
		}
		for name, id := range map[string]string{"org_1": "org_1", "Initech": "org_2", "org_3": "org_3"} { // an id goes before a name
			if o, err := s.Organization(ctx, name); err != nil || o.ID != id {
				t.Errorf("%s: got %v, %v, want %s", name, o, err, id)
			}
		}
		_, err = s.Organization(ctx, "nobody")
		wantErr(t, "no organization", err, ErrNotFound)
		all, err := s.Organizations(ctx)
		if err != nil || len(all) != 3 {
			t.Errorf("organizations: got %v, %v", all, err)
		}
		roles, err := s.Roles(ctx)
		if err != nil || len(roles) != 4 || roles[0].Name != "admin" || !roles[0].BuiltIn || len(roles[0].Permissions) != 17 {
			t.Errorf("roles: got %v, %v", roles, err)
		}
	})
}
