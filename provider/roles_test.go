package provider

import (
	"errors"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

// Each rule begins with what is allowed; then one thing is wrong a row.
func TestCheckRoleChange(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(*RoleChange)
		want   error
	}{
		"as much as one holds there": {func(*RoleChange) {}, nil},
		"as much as one holds": {func(c *RoleChange) {
			c.Standing = storage.Standing{Everywhere: storage.List{"users:read", "users:write"}}
		}, nil},
		"no role any more":            {func(c *RoleChange) { c.Was, c.Is = c.Is, nil }, nil},
		"one's own":                   {func(c *RoleChange) { c.By = c.User }, DenyOwnRole},
		"one's own, to nothing":       {func(c *RoleChange) { c.By, c.Is = c.User, nil }, DenyOwnRole},
		"more than one holds":         {func(c *RoleChange) { c.Is = append(c.Is, "settings:write") }, DenyMoreThanMe},
		"from more than one holds":    {func(c *RoleChange) { c.Was = storage.List{"settings:write"} }, DenyMoreThanMe},
		"elsewhere":                   {func(c *RoleChange) { c.Organization = "org_initech" }, DenyMoreThanMe},
		"everywhere, held only there": {func(c *RoleChange) { c.Organization = "" }, DenyMoreThanMe},
		"by somebody without any":     {func(c *RoleChange) { c.Standing = storage.Standing{} }, DenyMoreThanMe},
	} {
		c := RoleChange{
			By: "usr_sam", User: "usr_ada", Organization: "org_globex", Is: storage.List{"users:read", "users:write"},
			Standing: storage.Standing{Within: map[string]storage.List{"org_globex": {"users:read", "users:write", "organizations:write"}}},
		}
		row.change(&c)
		if err := CheckRoleChange(c); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
}

func TestCheckNewMember(t *testing.T) {
	t.Parallel()
	in := func(organizations ...string) storage.Standing {
		st := storage.Standing{Within: map[string]storage.List{}}
		for _, o := range organizations {
			st.Within[o] = nil
		}
		return st
	}
	admin := storage.List{"organizations:write", "users:write"}
	for name, row := range map[string]struct {
		by, user storage.Standing
		want     error
	}{
		"everywhere":                      {storage.Standing{Everywhere: admin}, in("org_initech"), nil},
		"everywhere, and there":           {storage.Standing{Everywhere: admin, Within: map[string]storage.List{"org_globex": admin}}, in(), nil},
		"a member of another of mine":     {storage.Standing{Within: map[string]storage.List{"org_globex": admin, "org_initech": admin}}, in("org_initech"), nil},
		"somebody of whom I know nothing": {storage.Standing{Within: map[string]storage.List{"org_globex": admin}}, in("org_initech"), DenyReach},
		"somebody of no organization":     {storage.Standing{Within: map[string]storage.List{"org_globex": admin}}, in(), DenyReach},
		"less over them than there": {
			storage.Standing{Within: map[string]storage.List{"org_globex": admin, "org_initech": {"organizations:write"}}}, in("org_initech"), DenyReach,
		},
		"members everywhere, users only there": {
			storage.Standing{Everywhere: storage.List{"organizations:write"}, Within: map[string]storage.List{"org_globex": admin}}, in(), DenyReach,
		},
	} {
		if err := CheckNewMember(row.by, row.user, "org_globex"); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
}

// On behalf of somebody the rules hold; an operator may all.
func TestMembersOnBehalf(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	operator, ctx := NewDirectory(s), t.Context()
	for _, name := range []string{"globex", "initech"} {
		if err := operator.CreateOrganization(ctx, &storage.Organization{ID: "org_" + name, Name: name}, byRoot, testTime); err != nil {
			t.Fatal(err)
		}
	}
	addUser(t, operator, "usr_root", []string{"admin"})
	addUser(t, operator, "usr_head", nil, OrgRole{"org_globex", "admin"})
	addUser(t, operator, "usr_ada", nil, OrgRole{"org_globex", ""})
	addUser(t, operator, "usr_linus", nil, OrgRole{"org_initech", ""})
	root, head := operator.OnBehalfOf("usr_root"), operator.OnBehalfOf("usr_head")
	for _, step := range []struct {
		name string
		err  error
		want error
	}{
		{"role there", head.AddMember(ctx, "org_globex", "usr_ada", "support", byRoot, testTime), nil},
		{"the same again", head.AddMember(ctx, "org_globex", "usr_ada", "support", byRoot, testTime), nil},
		{"role elsewhere", head.AddMember(ctx, "org_initech", "usr_linus", "support", byRoot, testTime), DenyMoreThanMe},
		{"somebody else's member", head.AddMember(ctx, "org_globex", "usr_linus", "", byRoot, testTime), DenyReach},
		{"own role", head.AddMember(ctx, "org_globex", "usr_head", "support", byRoot, testTime), DenyOwnRole},
		{"oneself out", head.RemoveMember(ctx, "org_globex", "usr_head", byRoot, testTime), DenyOwnRole},
		{"no such role", head.AddMember(ctx, "org_globex", "usr_ada", "emperor", byRoot, testTime), storage.ErrReference},
		{"no member", root.RemoveMember(ctx, "org_globex", "usr_linus", byRoot, testTime), storage.ErrNotFound},
		{"an operator", operator.AddMember(ctx, "org_globex", "usr_linus", "auditor", byRoot, testTime), nil},
		{"out", root.RemoveMember(ctx, "org_globex", "usr_linus", byRoot, testTime), nil},
		{"name", root.RenameOrganization(ctx, "org_globex", "Hooli", byRoot, testTime), nil},
		{"the same name", root.RenameOrganization(ctx, "org_globex", "Hooli", byRoot, testTime), nil},
		{"no name", root.RenameOrganization(ctx, "org_globex", " ", byRoot, testTime), errAny},
		{"name of another", root.RenameOrganization(ctx, "org_globex", "initech", byRoot, testTime), storage.ErrExists},
		{"id of another", root.RenameOrganization(ctx, "org_globex", "org_initech", byRoot, testTime), storage.ErrExists},
	} {
		if errors.Is(step.want, errAny) && step.err != nil {
			continue
		}
		if !errors.Is(step.err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, step.err, step.want)
		}
	}
	want := "organization.member_added*2 organization.member_removed user.created user.role_granted user.role_revoked"
	if got := eventTypes(t, s, "usr_linus"); got != want {
		t.Errorf("got events %s, want %s", got, want)
	}
	if _, err := s.Sequence(ctx, "test", testTime); err != nil {
		t.Fatal(err)
	}
	renamed, err := s.Events(ctx, storage.EventFilter{Types: []storage.EventType{storage.EventOrganizationUpdated}})
	if err != nil || len(renamed) != 1 || renamed[0].Data["was"] != "globex" || renamed[0].OrganizationID != "org_globex" {
		t.Errorf("renamed: got %+v, %v", renamed, err)
	}
}

var errAny = errors.New("any")
