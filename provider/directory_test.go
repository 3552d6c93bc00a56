package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/storage/storagetest"
)

// testTime is when tests of administration take place.
var testTime = time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)

var byRoot = storage.Cause{By: "usr_root", Request: storage.Request{ID: "req_1", IP: "192.0.2.1"}}

// migratedStore returns an empty database with a current schema.
func migratedStore(t testing.TB) *storage.Store {
	t.Helper()
	return openTestStore(t, migrated.SQLite(t, filepath.Join(storagetest.Dir(t), "test.db")))
}

var migrated = storagetest.New(func(dsn string) error {
	s, err := storage.Open(context.Background(), storage.Options{DSN: dsn})
	if err != nil {
		return err
	}
	_, err = s.Migrate(context.Background())
	return errors.Join(err, s.Close())
})

func addUser(t testing.TB, d *Directory, id string, roles []string, orgs ...OrgRole) *storage.User {
	t.Helper()
	u := &storage.User{ID: id, Email: id + "@example.test", Name: id}
	if err := d.CreateUser(t.Context(), u, "", roles, orgs, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	return u
}

// eventTypes returns what was recorded about a subject, oldest first.
func eventTypes(t testing.TB, s *storage.Store, subject string) string {
	t.Helper()
	if _, err := s.Sequence(t.Context(), "test", testTime); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), storage.EventFilter{SubjectID: subject, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[storage.EventType]int{}
	var names []string
	for _, e := range events {
		if counts[e.Type]++; counts[e.Type] == 1 {
			names = append(names, string(e.Type))
		}
	}
	for i, name := range names {
		if n := counts[storage.EventType(name)]; n > 1 {
			names[i] = fmt.Sprintf("%s*%d", name, n)
		}
	}
	// Events of one moment have no order among themselves.
	return strings.Join(sorted(names), " ")
}

func sorted(s []string) []string {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

func TestCreateUser(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	d, ctx := NewDirectory(s), t.Context()
	if err := d.CreateOrganization(ctx, &storage.Organization{ID: "org_1", Name: "Globex"}, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	u := &storage.User{Email: "Ada@globex.test", Address: `{ "country" : "UK" }`}
	err := d.CreateUser(ctx, u, "correct horse", []string{"support"}, []OrgRole{{"Globex", "auditor"}}, byRoot, testTime)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.UserByEmail(ctx, "ada@GLOBEX.test")
	if err != nil || got.ID != u.ID || !strings.HasPrefix(got.ID, "usr_") || got.PasswordHash == "" || got.Address != `{"country":"UK"}` {
		t.Fatalf("got %+v, %v", got, err)
	}
	standing, err := s.Standing(ctx, u.ID)
	if err != nil || !standing.May("impersonation:start", "") || !standing.May("events:read", "org_1") || standing.May("events:read", "") {
		t.Errorf("got %+v, %v", standing, err)
	}
	if got, want := eventTypes(t, s, u.ID), "organization.member_added user.created user.role_granted*2"; got != want {
		t.Errorf("got events %s, want %s", got, want)
	}

	for name, c := range map[string]struct {
		user     storage.User
		password string
		roles    []string
		orgs     []OrgRole
		want     string
	}{
		"e-mail taken, spelled otherwise": {user: storage.User{Email: "ADA@globex.test"}, want: "already exists"},
		"id taken":                        {user: storage.User{ID: u.ID, Email: "x@globex.test"}, want: "already exists"},
		"id of an API key":                {user: storage.User{ID: "key_lixeum3zmc4eiin7tbseq7ljal", Email: "x@globex.test"}, want: "only API keys"},
		"no such role":                    {user: storage.User{Email: "x@globex.test"}, roles: []string{"king"}, want: "there are admin, app-admin"},
		"no such organization":            {user: storage.User{Email: "x@globex.test"}, orgs: []OrgRole{{"Initech", ""}}, want: `organization "Initech"`},
		"no such role there":              {user: storage.User{Email: "x@globex.test"}, orgs: []OrgRole{{"org_1", "king"}}, want: `role "king"`},
		"password too short":              {user: storage.User{Email: "x@globex.test"}, password: "short", want: "password"},
	} {
		err := d.CreateUser(ctx, &c.user, c.password, c.roles, c.orgs, byRoot, testTime)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if _, err := s.UserByEmail(ctx, "x@globex.test"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("%s: the user is there: %v", name, err)
		}
	}
}

// One thing wrong a row.
func TestValidateUser(t *testing.T) {
	t.Parallel()
	valid := func() *storage.User {
		return &storage.User{
			ID: "auth0|abc", Email: "ada@example.com", Name: "Ada Lovelace", Birthdate: "1815-12-10", Zoneinfo: "Europe/London",
			Locale: "en-GB", PhoneNumber: "+44 20 7946 0958", PhoneNumberVerified: true, Website: "https://example.com/~ada",
			Address: `{"country":"UK"}`,
		}
	}
	if err := ValidateUser(valid()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*storage.User){
		`id "ada@example.com"`:      func(u *storage.User) { u.ID = "ada@example.com" },
		`id "-x"`:                   func(u *storage.User) { u.ID = "-x" },
		`id "a/b"`:                  func(u *storage.User) { u.ID = "a/b" },
		`email: is missing`:         func(u *storage.User) { u.Email = "" },
		`email "ada"`:               func(u *storage.User) { u.Email = "ada" },
		`email "Ada <ada@x.test>"`:  func(u *storage.User) { u.Email = "Ada <ada@x.test>" },
		`email "<ada@x.test>"`:      func(u *storage.User) { u.Email = "<ada@x.test>" },
		`email "a@x.test, b@x.t"`:   func(u *storage.User) { u.Email = "a@x.test, b@x.t" },
		`email " a@x.test"`:         func(u *storage.User) { u.Email = " a@x.test" },
		`email "a@x.test\n"`:        func(u *storage.User) { u.Email = "a@x.test\n" },
		`longer than 254 bytes`:     func(u *storage.User) { u.Email = strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 100) + "test" },
		`name "a\u202eb"`:           func(u *storage.User) { u.Name = "a\u202eb" },
		`name "a\nb"`:               func(u *storage.User) { u.Name = "a\nb" },
		`name "\xff"`:               func(u *storage.User) { u.Name = "\xff" },
		`longer than 300`:           func(u *storage.User) { u.Name = strings.Repeat("x", 301) },
		`birthdate "1815-02-29"`:    func(u *storage.User) { u.Birthdate = "1815-02-29" },
		`birthdate "10.12.1815"`:    func(u *storage.User) { u.Birthdate = "10.12.1815" },
		`zoneinfo "London, UK"`:     func(u *storage.User) { u.Zoneinfo = "London, UK" },
		`locale "English"`:          func(u *storage.User) { u.Locale = "English (UK)" },
		`phone_number "call me"`:    func(u *storage.User) { u.PhoneNumber = "call me" },
		`phone_number_verified`:     func(u *storage.User) { u.PhoneNumber = "" },
		`website "javascript:x"`:    func(u *storage.User) { u.Website = "javascript:x" },
		`picture "//x.test/a.png"`:  func(u *storage.User) { u.Picture = "//x.test/a.png" },
		`address: want an object`:   func(u *storage.User) { u.Address = `"10 Downing Street"` },
		`address: want an object w`: func(u *storage.User) { u.Address = `{"planet":"Earth"}` },
		`address: want an objec`:    func(u *storage.User) { u.Address = `{"country":7}` },
		`address: want an obj`:      func(u *storage.User) { u.Address = `{}}` },
	} {
		u := valid()
		change(u)
		err := ValidateUser(u)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, `English"`)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, birthdate := range []string{"1990", "0000-02-29", "2000-02-29"} {
		u := valid()
		if u.Birthdate = birthdate; ValidateUser(u) != nil {
			t.Errorf("birthdate %s: %v", birthdate, ValidateUser(u))
		}
	}
}

func TestApplyClaims(t *testing.T) {
	t.Parallel()
	u := storage.User{ID: "usr_1", Email: "a@x.test", Status: storage.UserActive}
	err := ApplyClaims(&u, []byte(`{"name":"Ada","email_verified":true,"address":{"locality":"London","formatted":"1 Street\nLondon"}}`))
	if err != nil || u.Name != "Ada" || !u.EmailVerified || u.Address != `{"formatted":"1 Street\nLondon","locality":"London"}` {
		t.Fatalf("got %+v, %v", u, err)
	}
	before := u
	for claims, want := range map[string]string{
		`{"name":"Eve","sub":"usr_root"}`:       `claim "sub"`,
		`{"name":"Eve","status":"active"}`:      `claim "status"`,
		`{"name":"Eve","roles":["admin"]}`:      `claim "roles"`,
		`{"name":"Eve","password":"x"}`:         `claim "password"`,
		`{"name":"Eve","password_hash":"x"}`:    `claim "password_hash"`,
		`{"name":"Eve","never_impersonate":1}`:  `claim "never_impersonate"`,
		`{"name":"Eve","updated_at":1}`:         `claim "updated_at"`,
		`{"name":"Eve","Email_Verified":true}`:  `claim "Email_Verified"`,
		`{"name":"Eve","email":7}`:              `claim "email": want text`,
		`{"name":"Eve","email_verified":"yes"}`: `claim "email_verified": want true or false`,
		`{"name":null}`:                         `claim "name"`,
		`{"address":null}`:                      `address`,
		`["name"]`:                              `want a JSON object`,
		`{"name":"Eve"} {}`:                     `want a JSON object`,
	} {
		if err := ApplyClaims(&u, []byte(claims)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", claims, err, want)
		}
		if u != before {
			t.Fatalf("%s: the user changed: %+v", claims, u)
		}
	}
}

func TestCreateOrganization(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	d, ctx := NewDirectory(s), t.Context()
	if err := d.CreateOrganization(ctx, &storage.Organization{ID: "org_1", Name: "Globex"}, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]storage.Organization{
		"same id": {ID: "org_1", Name: "Other"}, "same name": {Name: "Globex"},
		"id is a name": {ID: "Globex", Name: "Other"}, "name is an id": {Name: "org_1"},
		"no name": {}, "bad id": {ID: "a b", Name: "x"}, "bad name": {Name: "a\tb"},
	} {
		if err := d.CreateOrganization(ctx, &o, byRoot, testTime); err == nil {
			t.Errorf("%s: created", name)
		}
	}
}

// place is a database with everybody who takes part in an impersonation that runs.
type place struct {
	*storage.Store
	dir *Directory
}

const testImpersonation = "imp_1"

func runningImpersonation(t *testing.T) place {
	t.Helper()
	s, ctx := migratedStore(t), t.Context()
	d := NewDirectory(s)
	for _, id := range []string{"org_1", "org_2"} {
		if err := d.CreateOrganization(ctx, &storage.Organization{ID: id, Name: id + " Ltd"}, byRoot, testTime); err != nil {
			t.Fatal(err)
		}
	}
	addUser(t, d, "sam", []string{"support"}, OrgRole{"org_1", "support"})
	addUser(t, d, "ada", nil, OrgRole{"org_1", ""})
	addUser(t, d, "eve", nil)
	err := s.Write(ctx, func(tx *storage.Tx) error {
		c := NewClient(ClientWeb)
		c.ID, c.Name, c.AllowImpersonation, c.SecretHash = "shop", "Shop", true, storage.Hash("x")
		c.RedirectURIs = storage.List{"https://shop.test/cb"}
		return errors.Join(
			tx.CreateClient(ctx, c, testTime),
			tx.EnableImpersonation(ctx, true, byRoot, testTime),
			tx.CreateImpersonation(ctx, &storage.Impersonation{
				ID: testImpersonation, ActorID: "sam", SubjectID: "ada", ClientID: "shop", OrganizationID: "org_1",
				Entry: "consent", Reason: "a good reason", Access: "full",
				StartedAt: storage.At(testTime), ExpiresAt: storage.At(testTime.Add(30 * time.Minute)),
			}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return place{s, d}
}

// What a change of permissions does to an impersonation that runs (SECURITY A03, A14, A15).
func TestReconsider(t *testing.T) {
	t.Parallel()
	now := testTime.Add(time.Minute)
	for name, c := range map[string]struct {
		change func(context.Context, place) error
		want   storage.EndReason // empty: goes on
	}{
		"nothing": {func(context.Context, place) error { return nil }, ""},
		"actor keeps the local role": {func(ctx context.Context, p place) error {
			return p.dir.RevokeRole(ctx, "sam", "support", "", byRoot, now)
		}, ""},
		"actor keeps the global role": {func(ctx context.Context, p place) error {
			return p.dir.RevokeRole(ctx, "sam", "support", "org_1", byRoot, now)
		}, ""},
		"actor loses both": {func(ctx context.Context, p place) error {
			return errors.Join(p.dir.RevokeRole(ctx, "sam", "support", "", byRoot, now), p.dir.RevokeRole(ctx, "sam", "support", "org_1 Ltd", byRoot, now))
		}, storage.EndPermissionLost},
		"actor gets another role there": {func(ctx context.Context, p place) error {
			return errors.Join(p.dir.RevokeRole(ctx, "sam", "support", "", byRoot, now), p.dir.AddMember(ctx, "org_1", "sam", "auditor", byRoot, now))
		}, storage.EndPermissionLost},
		"actor gains":    {func(ctx context.Context, p place) error { return p.dir.GrantRole(ctx, "sam", "admin", "", byRoot, now) }, ""},
		"actor disabled": {func(ctx context.Context, p place) error { return p.dir.Disable(ctx, "sam", byRoot, now) }, storage.EndActorDisabled},
		"actor's password": {func(ctx context.Context, p place) error {
			return p.dir.SetPassword(ctx, "sam", "new password", byRoot, now)
		}, storage.EndCredentialsChanged},
		"subject gains": {func(ctx context.Context, p place) error {
			return p.dir.GrantRole(ctx, "ada", "app-admin", "", byRoot, now)
		}, storage.EndPermissionLost},
		"subject gains in": {func(ctx context.Context, p place) error {
			return p.dir.GrantRole(ctx, "ada", "auditor", "org_1", byRoot, now)
		}, storage.EndPermissionLost},
		"subject joins": {func(ctx context.Context, p place) error { return p.dir.AddMember(ctx, "org_2", "ada", "", byRoot, now) }, ""},
		"subject protected": {func(ctx context.Context, p place) error {
			return p.dir.SetNeverImpersonate(ctx, "ada", true, byRoot, now)
		}, storage.EndPermissionLost},
		"subject disabled": {func(ctx context.Context, p place) error { return p.dir.Disable(ctx, "ada", byRoot, now) }, storage.EndSubjectDisabled},
		"subject password": {func(ctx context.Context, p place) error {
			return p.dir.SetPassword(ctx, "ada", "new password", byRoot, now)
		}, storage.EndCredentialsChanged},
		"somebody else": {func(ctx context.Context, p place) error { return p.dir.GrantRole(ctx, "eve", "admin", "", byRoot, now) }, ""},
		"change undone": {func(ctx context.Context, p place) error {
			if p.dir.GrantRole(ctx, "ada", "nonsense", "", byRoot, now) == nil {
				return errors.New("granted nonsense")
			}
			return nil
		}, ""},
		"client for others": {func(ctx context.Context, p place) error {
			return p.update(ctx, func(c *storage.Client) { c.Organizations = storage.List{"org_2"} }, now)
		}, storage.EndPermissionLost},
		"client renamed": {func(ctx context.Context, p place) error {
			return p.update(ctx, func(c *storage.Client) { c.Name = "Store" }, now)
		}, ""},
		"client opts out": {func(ctx context.Context, p place) error {
			return p.update(ctx, func(c *storage.Client) { c.AllowImpersonation = false }, now)
		}, storage.EndClientDisallowed},
		"client deleted": {func(ctx context.Context, p place) error {
			return NewRegistration(p.Store).Delete(ctx, "shop", byRoot, now)
		}, storage.EndClientDisallowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := runningImpersonation(t)
			if err := c.change(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			i, err := p.Impersonation(t.Context(), testImpersonation)
			if err != nil {
				t.Fatal(err)
			}
			if i.EndReason != c.want || i.Running(now) != (c.want == "") {
				t.Errorf("got end %q, running %v, want %q", i.EndReason, i.Running(now), c.want)
			}
			if c.want != "" && i.EndedBy != byRoot.By {
				t.Errorf("got ended by %q, want %q", i.EndedBy, byRoot.By)
			}
		})
	}
}

func (p place) update(ctx context.Context, change func(*storage.Client), now time.Time) error {
	c, err := p.Queries.Client(ctx, "shop")
	if err != nil {
		return err
	}
	change(c)
	_, err = NewRegistration(p.Store).Update(ctx, c, byRoot, now)
	return err
}

func TestRoles(t *testing.T) {
	t.Parallel()
	p := runningImpersonation(t)
	ctx, now := t.Context(), testTime
	if err := p.dir.RevokeRole(ctx, "ada", "admin", "", byRoot, now); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a role that is not held: got %v", err)
	}
	if err := p.dir.RevokeRole(ctx, "ada", "admin", "org_1", byRoot, now); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a role that is not held there: got %v", err)
	}
	if err := p.dir.GrantRole(ctx, "eve", "support", "org_1", byRoot, now); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no member: got %v", err)
	}
	if err := p.dir.GrantRole(ctx, "nobody", "support", "", byRoot, now); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no user: got %v", err)
	}
	for range 2 { // the second time nothing changes, and nothing is recorded
		for _, err := range []error{
			p.dir.GrantRole(ctx, "eve", "auditor", "", byRoot, now), p.dir.AddMember(ctx, "org_2", "eve", "support", byRoot, now),
			p.dir.Enable(ctx, "eve", byRoot, now), p.dir.SetNeverImpersonate(ctx, "eve", true, byRoot, now),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.dir.GrantRole(ctx, "eve", "auditor", "org_2", byRoot, now); err != nil { // takes the place of support
		t.Fatal(err)
	}
	if err := p.dir.Disable(ctx, "eve", byRoot, now); err != nil {
		t.Fatal(err)
	}
	want := "organization.member_added user.created user.disabled user.role_granted*3 user.role_revoked user.updated"
	if got := eventTypes(t, p.Store, "eve"); got != want {
		t.Errorf("got events %s\nwant %s", got, want)
	}
}

func TestStillAllowed(t *testing.T) {
	t.Parallel()
	i := &storage.Impersonation{ID: "imp_1", OrganizationID: "org_1", Access: "full", ExpiresAt: storage.At(testTime.Add(time.Minute))}
	support := storage.List{"impersonation:start"}
	attempt := func() impersonation.Attempt {
		return impersonation.Attempt{
			Now: testTime, Enabled: true,
			Actor:         &storage.User{ID: "sam", Status: storage.UserActive},
			ActorStanding: storage.Standing{Within: map[string]storage.List{"org_1": support}},
			Subject:       &storage.User{ID: "ada", Status: storage.UserActive}, SubjectStanding: storage.Standing{Within: map[string]storage.List{"org_1": nil}},
			Client: &storage.Client{Status: storage.ClientActive, AllowImpersonation: true},
		}
	}
	if err := impersonation.StillAllowed(attempt(), i); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[impersonation.Denial]func(*impersonation.Attempt){
		impersonation.DenySwitchedOff:     func(a *impersonation.Attempt) { a.Enabled = false },
		impersonation.DenyActorInactive:   func(a *impersonation.Attempt) { a.Actor.Status = storage.UserDisabled },
		impersonation.DenyPermission:      func(a *impersonation.Attempt) { a.ActorStanding = storage.Standing{} },
		impersonation.DenySubject:         func(a *impersonation.Attempt) { a.ActorStanding.Within = map[string]storage.List{"org_2": support} },
		impersonation.DenySubjectInactive: func(a *impersonation.Attempt) { a.Subject.Status = storage.UserDisabled },
		impersonation.DenyProtected:       func(a *impersonation.Attempt) { a.Subject.NeverImpersonate = true },
		impersonation.DenyPrivileged:      func(a *impersonation.Attempt) { a.SubjectStanding.Within["org_1"] = support },
		impersonation.DenyOrganization: func(a *impersonation.Attempt) {
			a.ActorStanding.Everywhere, a.SubjectStanding.Within = support, nil
		},
		impersonation.DenyClient: func(a *impersonation.Attempt) { a.Client.AllowImpersonation = false },
		impersonation.DenyEnded:  func(a *impersonation.Attempt) { a.Now = testTime.Add(time.Minute) },
	} {
		a := attempt()
		change(&a)
		if err := impersonation.StillAllowed(a, i); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// Whether somebody may give or take a role is asked within the change: what they held
// when a page was made for them does not count any more.
func TestRolesOnBehalf(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	operator := NewDirectory(s)
	if err := operator.CreateOrganization(t.Context(), &storage.Organization{ID: "org_a", Name: "A"}, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	addUser(t, operator, "usr_boss", []string{"admin"})
	addUser(t, operator, "usr_one", []string{"support"}, OrgRole{"org_a", "support"})
	boss := operator.OnBehalfOf("usr_boss")
	by := storage.Cause{By: "usr_boss"}
	changes := map[string]func() error{
		"grant everywhere": func() error { return boss.GrantRole(t.Context(), "usr_one", "auditor", "", by, testTime) },
		"grant there":      func() error { return boss.GrantRole(t.Context(), "usr_one", "auditor", "org_a", by, testTime) },
		"revoke":           func() error { return boss.RevokeRole(t.Context(), "usr_one", "support", "", by, testTime) },
		"revoke there":     func() error { return boss.RevokeRole(t.Context(), "usr_one", "support", "org_a", by, testTime) },
		"create": func() error {
			return boss.CreateUser(t.Context(), &storage.User{Email: "new@example.test"}, "", []string{"support"}, nil, by, testTime)
		},
		"end sign-ins": func() error { return boss.EndSignIns(t.Context(), "usr_one", by, testTime) },
	}
	own := boss.GrantRole(t.Context(), "usr_boss", "support", "", by, testTime)
	if !errors.Is(own, DenyOwnRole) {
		t.Errorf("their own: got %v", own)
	}
	if err := operator.RevokeRole(t.Context(), "usr_boss", "admin", "", byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	for what, change := range changes {
		_, denied := errors.AsType[RoleDenial](change())
		if err := change(); !denied && !errors.Is(err, ErrMayNotChange) {
			t.Errorf("%s without the right: got %v", what, err)
		}
	}
	if err := operator.GrantRole(t.Context(), "usr_boss", "admin", "", byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"grant everywhere", "revoke there", "grant there", "revoke", "create", "end sign-ins"} {
		if err := changes[what](); err != nil {
			t.Errorf("%s with the right: %v", what, err)
		}
	}
}

// Whoever gives a password gives one that costs what is configured.
func TestPasswordsCostWhatIsConfigured(t *testing.T) {
	t.Parallel()
	s, ctx := migratedStore(t), t.Context()
	keys, err := NewKeyring(s, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	cheap := &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	p := New(Config{Issuer: "https://id.example", PasswordHashing: cheap}, s, keys, slog.New(slog.DiscardHandler))
	costs := func(what, email string) {
		t.Helper()
		u, err := s.UserByEmail(ctx, email)
		if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("%s: got %+v, %v", what, u, err)
		}
	}
	u := &storage.User{Email: "ada@globex.test"}
	if err := p.Directory().OnBehalfOf("usr_nobody").For(&Caller{Standing: storage.Standing{Everywhere: Permissions()}}).
		CreateUser(ctx, u, "the first password", nil, nil, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	costs("a new user", u.Email)
	if err := p.Directory().SetPassword(ctx, u.ID, "the second password", byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	costs("a new password", u.Email)
	l := &storage.Login{User: *u}
	if _, err := p.ChangePassword(ctx, l, "the second password", "the third password", storage.Request{}, testTime); err != nil {
		t.Fatal(err)
	}
	costs("their own", u.Email)
	token, err := p.Directory().CreateSetupLink(ctx, time.Hour, byRoot, testTime)
	if err == nil {
		_, err = p.Directory().SetUp(ctx, token, Administrator{Name: "Eve", Email: "eve@globex.test", Password: "the password of Eve"}, storage.Request{}, testTime)
	}
	if err != nil {
		t.Fatal(err)
	}
	costs("an administrator", "eve@globex.test")
}
