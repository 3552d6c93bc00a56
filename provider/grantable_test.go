package provider

import (
	"errors"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

// Nobody hands on what they do not hold (SECURITY D14, F08).
func TestMayGrant(t *testing.T) {
	t.Parallel()
	support := storage.Role{Name: "support", Permissions: storage.List{"users:read", "impersonation:start"}}
	all := storage.List{"users:read", "users:write", "impersonation:start"}
	for name, c := range map[string]struct {
		granter      storage.Standing
		role         storage.Role
		organization string
		want         bool
	}{
		"everywhere":              {storage.Standing{Everywhere: all}, support, "", true},
		"everywhere, so there":    {storage.Standing{Everywhere: all}, support, "org_1", true},
		"one permission missing":  {storage.Standing{Everywhere: all[:2]}, support, "", false},
		"there":                   {storage.Standing{Within: map[string]storage.List{"org_1": all}}, support, "org_1", true},
		"there, not everywhere":   {storage.Standing{Within: map[string]storage.List{"org_1": all}}, support, "", false},
		"there, not elsewhere":    {storage.Standing{Within: map[string]storage.List{"org_1": all, "org_2": nil}}, support, "org_2", false},
		"some here, some there":   {storage.Standing{Everywhere: all[:1], Within: map[string]storage.List{"org_1": all[2:]}}, support, "org_1", true},
		"nothing":                 {storage.Standing{}, support, "", false},
		"a role without anything": {storage.Standing{}, storage.Role{Name: "friend"}, "", true},
	} {
		if got := MayGrant(c.granter, c.role, c.organization); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// Whoever changes a password or an address can become that user: it must give them
// nothing new (SECURITY F08).
func TestMayChange(t *testing.T) {
	t.Parallel()
	type within = map[string]storage.List
	all := storage.List{"users:read", "users:write", "impersonation:start"}
	some := storage.List{"users:write"}
	for name, c := range map[string]struct {
		changer, user storage.Standing
		want          bool
	}{
		"an ordinary user":                       {storage.Standing{Everywhere: some}, storage.Standing{}, true},
		"a member":                               {storage.Standing{Everywhere: some}, storage.Standing{Within: within{"org_1": nil}}, true},
		"an equal":                               {storage.Standing{Everywhere: all}, storage.Standing{Everywhere: all}, true},
		"somebody with more":                     {storage.Standing{Everywhere: some}, storage.Standing{Everywhere: all}, false},
		"somebody with more in one place":        {storage.Standing{Everywhere: some}, storage.Standing{Within: within{"org_1": all}}, false},
		"an equal in one place":                  {storage.Standing{Everywhere: all}, storage.Standing{Within: within{"org_1": all}}, true},
		"without the permission":                 {storage.Standing{Everywhere: storage.List{"users:read"}}, storage.Standing{}, false},
		"own organization":                       {storage.Standing{Within: within{"org_1": some}}, storage.Standing{Within: within{"org_1": nil}}, true},
		"own organization, somebody with more":   {storage.Standing{Within: within{"org_1": some}}, storage.Standing{Within: within{"org_1": all}}, false},
		"own organization, an equal":             {storage.Standing{Within: within{"org_1": all}}, storage.Standing{Within: within{"org_1": all}}, true},
		"own organization, a role everywhere":    {storage.Standing{Within: within{"org_1": all}}, storage.Standing{Everywhere: some, Within: within{"org_1": nil}}, false},
		"own organization and another":           {storage.Standing{Within: within{"org_1": all}}, storage.Standing{Within: within{"org_1": nil, "org_2": nil}}, false},
		"both of their organizations":            {storage.Standing{Within: within{"org_1": some, "org_2": some}}, storage.Standing{Within: within{"org_1": nil, "org_2": nil}}, true},
		"another organization":                   {storage.Standing{Within: within{"org_1": all}}, storage.Standing{Within: within{"org_2": nil}}, false},
		"of no organization, from within one":    {storage.Standing{Within: within{"org_1": all}}, storage.Standing{}, false},
		"the same right, but in another place":   {storage.Standing{Everywhere: some, Within: within{"org_1": all}}, storage.Standing{Within: within{"org_2": all}}, false},
		"a plain member of the same, as nothing": {storage.Standing{Within: within{"org_1": nil}}, storage.Standing{Within: within{"org_1": nil}}, false},
	} {
		if got := MayChange(c.changer, c.user); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// What was asked before a change is asked again in it: the user may have been promoted
// since.
func TestReachIsAskedInTheChange(t *testing.T) {
	t.Parallel()
	p := runningImpersonation(t)
	ctx, now := t.Context(), testTime
	addUser(t, p.dir, "lee", nil, OrgRole{"org_1", "admin"})
	lee := p.dir.OnBehalfOf("lee")
	if err := lee.Disable(ctx, "ada", byRoot, now); err != nil {
		t.Fatal(err)
	}
	if err := p.dir.GrantRole(ctx, "ada", "admin", "", byRoot, now); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"enable": lee.Enable(ctx, "ada", byRoot, now), "password": lee.SetPassword(ctx, "ada", "another password", byRoot, now),
		"delete": lee.Delete(ctx, "ada", byRoot, now),
	} {
		if !errors.Is(err, ErrMayNotChange) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
