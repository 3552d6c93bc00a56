package templates

import (
	"net/http"
	"time"
)

func (p UsersPage) show(s *Set, w http.ResponseWriter) error { return s.Users(w, http.StatusOK, p) }

func (p NewUserPage) show(s *Set, w http.ResponseWriter) error { return s.NewUser(w, http.StatusOK, p) }

func (p UserPage) show(s *Set, w http.ResponseWriter) error { return s.User(w, http.StatusOK, p) }

func (p EditUserPage) show(s *Set, w http.ResponseWriter) error {
	return s.EditUser(w, http.StatusOK, p)
}

func (p GrantPage) show(s *Set, w http.ResponseWriter) error { return s.Grant(w, http.StatusOK, p) }

func (p DangerPage) show(s *Set, w http.ResponseWriter) error { return s.Danger(w, http.StatusOK, p) }

func (p ImportPage) show(s *Set, w http.ResponseWriter) error { return s.Import(w, http.StatusOK, p) }

func (p NewPasswordPage) show(s *Set, w http.ResponseWriter) error {
	return s.NewPassword(w, http.StatusOK, p)
}

// userSamples are the pages about users.
func userSamples() map[string]any {
	all := map[string]any{
		"console_users": userList(),
		"console_users_full": func() UsersPage {
			p := userList()
			for len(p.Rows) < 25 {
				p.Rows = append(p.Rows, p.Rows[0])
			}
			p.PreviousURL, p.NextURL = "/admin/users?before=QWRh", "/admin/users?after=WmVk"
			return p
		}(),
		"console_users_none":     UsersPage{Page: framed("The user was deleted."), MayCreate: true, MayImport: true, Now: now},
		"console_users_nobody":   UsersPage{Page: framed(""), Query: "zoe", Filtered: true, Now: now},
		"console_user":           userSample(),
		"console_user_bare":      UserPage{Page: framed(""), Now: now, URL: "/admin/users/usr_1", ID: "usr_1", Name: "ann@x.example", Email: "ann@x.example", CreatedAt: now, Disabled: true, MayChange: true},
		"console_user_yourself":  UserPage{Page: framed(""), Now: now, URL: "/admin/users/usr_sam", ID: "usr_sam", Name: "Sam Support", Email: sam.Email, CreatedAt: now, Yourself: true, MayChange: true, ShowHistory: true, HasPassword: true, Support: SupportState{Mode: "denied"}},
		"console_user_new":       NewUserPage{Page: framed(""), Posted: Posted{MustConfirm: true}, Everywhere: true, Organizations: []string{"Globex"}, OrganizationRoles: someRoles(), Roles: someRoles()},
		"console_user_new_wrong": NewUserPage{Page: framed(""), Posted: Posted{[]FieldError{{"email", "Type an e-mail address like ada@example.com."}, {"organization", "There is no such organization."}}, false}, Email: "ada", Name: "Ada", EmailVerified: true, Organization: "Glob"},
		"console_user_edit": EditUserPage{
			Page: framed(""), Posted: Posted{[]FieldError{{"email", "There is a user with this e-mail address already."}, {"password", "The password is not right."}}, true}, URL: "/admin/users/usr_ada", Name: "Ada Lovelace",
			Fields:        []EditField{{Name: "email", Label: "E-mail address", Value: "ada@globex.example"}, {Name: "given_name", Label: "Given name", Value: "Ada"}},
			Address:       []EditField{{Name: "locality", Label: "Town", Value: "London"}, {Name: "formatted", Label: "Address as on a letter", Lines: true, Value: "12 St James's Square\nLondon"}},
			EmailVerified: true, NeverImpersonate: true,
		},
		"console_user_grant":  GrantPage{Page: framed(""), URL: "/admin/users/usr_ada", Name: "Ada Lovelace", Everywhere: true, Organizations: []string{"Globex"}, Roles: someRoles()},
		"console_user_import": ImportPage{Page: framed("")},
		"console_user_import_checked": ImportPage{
			Page: framed(""), Posted: Posted{MustConfirm: true}, Text: "email\nada", SkipBad: true, SkipExisting: true, Checked: true, DryRun: true,
			Users: 3, Created: 1, Existing: 1, Bad: 1, Problems: []string{`line 2: email "ada": want an address`}, More: 2,
		},
		"console_user_import_refused": ImportPage{Page: framed(""), Posted: Posted{Errors: []FieldError{{"file", "The file cannot be read: it is empty."}}}},
		"console_user_password":       NewPasswordPage{Page: framed(""), URL: "/admin/users/usr_ada", Name: "Ada Lovelace", Password: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
	}
	for _, deed := range []string{"disable", "password", "delete", "revoke"} {
		all["console_user_danger_"+deed] = DangerPage{
			Page: framed(""), Posted: Posted{MustConfirm: true}, Deed: deed, URL: "/admin/users/usr_ada", Action: "/admin/users/usr_ada/" + deed,
			Name: "Ada Lovelace", Email: "ada@globex.example", Role: "support", Organization: "Globex",
		}
	}
	return all
}

func someRoles() []Option { return []Option{{"admin", "admin", false}, {"support", "support", true}} }

func userList() UsersPage {
	return UsersPage{
		Page: framed(""), Query: "a", Role: "support", Status: "active", Organization: "Globex", Roles: someRoles(), Organizations: []string{"Globex", "Initech"},
		Filtered: true, MayCreate: true, MayImport: true, Now: now, NextURL: "/admin/users?after=QWRh",
		Rows: []UserRow{
			{
				URL: "/admin/users/usr_ada", Name: "Augusta Ada King, Countess of Lovelace", Email: "augusta.ada.king@analytical-engines.example",
				Places: []UserPlace{{Role: "support"}, {Organization: "Globex", Role: "auditor"}, {Organization: "Initech"}}, LastSignIn: now.Add(-time.Hour),
				SignInAsURL: "/admin/users/usr_ada?dialog=impersonate", DisableURL: "/admin/users/usr_ada/disable",
			},
			{URL: "/admin/users/usr_bob", Name: "bob@x.example", Email: "bob@x.example", Disabled: true},
		},
	}
}

func userSample() UserPage {
	return UserPage{
		Page: framed("What is said about the user was saved."), Now: now, URL: "/admin/users/usr_ada", ID: "usr_ada", Name: "Ada Lovelace", Email: "ada@globex.example",
		EmailVerified: true, HasPassword: true, Protected: true, CreatedAt: now.AddDate(-1, 0, 0), LastSignIn: now.Add(-time.Hour), PasswordChangedAt: now.AddDate(0, -1, 0),
		Facts: []UserFact{{"Given name", "Ada"}, {"Town", "London"}}, MayChange: true, MayGrant: true,
		SignInAsURL: "/admin/users/usr_ada?dialog=impersonate", EventsURL: "/admin/events?subject=usr_ada",
		Places:       []UserPlace{{Role: "support", RevokeURL: "/admin/users/usr_ada/revoke?role=support"}, {Organization: "Globex"}},
		SignIns:      []UserSignIn{{SID: "sid_1", IP: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", StartedAt: now.Add(-time.Hour), LastSeen: now, Current: true}, {SID: "sid_2", StartedAt: now, LastSeen: now}},
		Applications: []UserApplication{{ClientID: "billing", Name: "Acme Billing", Scope: "openid email", Grants: 2, LastUsed: now.Add(-time.Hour)}, {ClientID: "wiki", Name: "Acme Wiki"}},
		Support:      SupportState{Mode: "ticket", TicketRef: "SUP-4821", Until: end}, ShowHistory: true,
		ActedAsBy: []Acted{
			{Name: "Sam Support", ClientName: "Acme Billing", Reason: "Cannot see invoice 4711", TicketRef: "SUP-4821", StartedAt: now.Add(-10 * time.Minute), EndsAt: end, Now: now, Running: true, StopURL: "/impersonation/stop?id=imp_1"},
			{Name: "Sam Support", ClientName: "Acme Wiki", Reason: "Asked by phone", StartedAt: now.Add(-26 * time.Hour), EndsAt: now.Add(-25 * time.Hour), Now: now},
		},
		ActedAs: []Acted{{Name: "Linus", ClientName: "Acme Wiki", Reason: "Asked by phone", StartedAt: now.Add(-26 * time.Hour), EndsAt: now.Add(-25 * time.Hour), Now: now}},
	}
}
