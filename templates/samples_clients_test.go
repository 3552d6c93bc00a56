package templates

import "net/http"

func (p ClientsPage) show(s *Set, w http.ResponseWriter) error { return s.Clients(w, http.StatusOK, p) }

func (p NewClientPage) show(s *Set, w http.ResponseWriter) error {
	return s.NewClient(w, http.StatusOK, p)
}

func (p ClientSecretPage) show(s *Set, w http.ResponseWriter) error {
	return s.ClientSecret(w, http.StatusOK, p)
}

func (p ClientPage) show(s *Set, w http.ResponseWriter) error { return s.Client(w, http.StatusOK, p) }

func (p ClientFormPage) show(s *Set, w http.ResponseWriter) error {
	return s.ClientForm(w, http.StatusOK, p)
}

func (p ClientPreviewPage) show(s *Set, w http.ResponseWriter) error {
	return s.ClientPreview(w, http.StatusOK, p)
}

func (p OrganizationsPage) show(s *Set, w http.ResponseWriter) error {
	return s.Organizations(w, http.StatusOK, p)
}

func (p OrganizationPage) show(s *Set, w http.ResponseWriter) error {
	return s.Organization(w, http.StatusOK, p)
}

func (p MemberPage) show(s *Set, w http.ResponseWriter) error { return s.Member(w, http.StatusOK, p) }

func clientSamples() map[string]any {
	shop := ClientTab{ID: "shop", Name: "The Web Shop", Tabs: []Section{{Label: "Overview", URL: "/admin/clients/shop", Current: true}, {Label: "Settings", URL: "/admin/clients/shop/settings"}}}
	everyKind := Form{Action: "/admin/clients/shop/settings", Version: "7", Groups: []FieldGroup{
		{Fields: []Field{
			{Name: "client_name", Label: "Name", Hint: "What people see.", Value: "The Web Shop", Required: true},
			{Kind: FieldLines, Name: "redirect_uris", Label: "Redirect URIs", Value: "https://shop.example/cb\nhttps://shop.example/cb2"},
		}},
		{Title: "Protocol", Text: "A service has none of them.", Fields: []Field{
			{Kind: FieldCheck, Name: "require_pkce", Label: "It must use PKCE", Checked: true},
			{Kind: FieldSelect, Name: "subject_type", Label: "What its users are called", Choices: []Choice{{Value: "public", Label: "public", Chosen: true}, {Value: "pairwise", Label: "pairwise"}}},
			{Kind: FieldRadio, Name: "type", Label: "What kind of application is it?", Choices: []Choice{{Value: "web", Label: "Web application", Hint: "Runs on a server that can keep a secret.", Chosen: true}}},
			{Kind: FieldChecks, Name: "grant_types", Label: "Grant types", Choices: []Choice{{Value: "authorization_code", Label: "authorization_code", Chosen: true}}},
			{Kind: FieldPassword, Name: "password", Label: "Your password", Hint: "You signed in a while ago."},
		}},
	}}
	failed := everyKind
	failed.Problems = []string{`delivery: "callback": needs a client with a secret or a key`}
	failed.Groups = []FieldGroup{{Fields: []Field{
		{Name: "client_name", Label: "Name", Error: "is missing"},
		{Kind: FieldCheck, Name: "require_pkce", Label: "It must use PKCE", Error: "a client without a secret cannot do without"},
		{Kind: FieldRadio, Name: "type", Label: "What kind of application is it?", Error: "is missing"},
	}}}
	user := Form{Action: "/admin/clients/shop/preview", Groups: []FieldGroup{{Fields: []Field{{Name: "subject", Label: "User", Value: "ada@globex.example"}}}}}
	name := Form{Action: "/admin/organizations", Groups: []FieldGroup{{Fields: []Field{{Name: "name", Label: "Name", Required: true}}}}}
	add := Form{Action: "/admin/organizations/org_1/members", Groups: []FieldGroup{{Fields: []Field{{Name: "user", Label: "User"}}}}}
	return map[string]any{
		"console_clients": ClientsPage{
			Page: framed("The application was deleted."), Query: "shop", Filtered: true, SwitchedOff: true, MayCreate: true,
			Types: []Option{{"", "All types", false}, {"web", "Web application", true}}, States: []Option{{"", "All", true}},
			Rows: []ClientRow{
				{ID: "shop", Name: "The Web Shop", Type: "Web application", Delivery: "Its own sign-in", Acting: true},
				{ID: "jobs", Name: "Jobs", Type: "Service", Disabled: true},
			},
			Newer: "/admin/clients?before=x", Older: "/admin/clients?after=y",
		},
		"console_clients_none":   ClientsPage{Page: framed(""), MayCreate: true},
		"console_clients_nobody": ClientsPage{Page: framed(""), Query: "x", Filtered: true},
		"console_client_new":     NewClientPage{Page: framed(""), Form: everyKind},
		"console_client_secret": ClientSecretPage{
			Page: framed(""), ID: "shop", Name: "The Web Shop", Secret: "ucs_x", HasSecret: true, New: true, KeptPrevious: true, Settings: "ISSUER=https://id.example\n",
			Discovery: "https://id.example/.well-known/openid-configuration", Action: "/admin/clients/shop/secret/stored",
			Snippets: ClientSnippets(SnippetFor{Issuer: "https://id.example", Secret: true, RedirectURIs: []string{"https://shop.example/cb"}, Scope: "openid"}),
		},
		"console_client_start": ClientSecretPage{
			Page: framed(""), ID: "app", Name: "App", Settings: "ISSUER=https://id.example\n", Discovery: "https://id.example/.well-known/openid-configuration",
			Snippets: ClientSnippets(SnippetFor{Issuer: "https://id.example"}),
		},
		"console_client_kept": ClientSecretPage{
			Page: framed(""), ID: "jobs", Name: "Jobs", HasSecret: true, Settings: "CLIENT_SECRET=\n", Discovery: "https://id.example/.well-known/openid-configuration",
			Snippets: ClientSnippets(SnippetFor{Issuer: "https://id.example", Secret: true, Service: true}),
		},
		"console_client": ClientPage{
			Page: framed("Saved."), Client: shop, MayWrite: true, MustConfirm: true, Secret: SecretState{Has: true, HasPrevious: true}, SelfRegistered: true,
			Facts:     []Fact{{Label: "Client id", Values: []string{"shop"}, Code: true}, {Label: "Type", Values: []string{"Web application"}}},
			LogoutURI: "https://shop.example/logout", Logout: LogoutTest{Tried: true, Answered: true, Good: true, Status: 200},
			Errors: []FieldError{{"rotate_password", "Confirm with your password."}, {"delete_id", "Type the id of this application to delete it."}, {"delete_password", "The password is not right."}},
		},
		"console_client_disabled": ClientPage{
			Page: framed(""), Client: ClientTab{ID: "shop", Name: "The Web Shop", Disabled: true}, MayWrite: true, Secret: SecretState{Has: true},
			LogoutURI: "https://shop.example/logout", Logout: LogoutTest{Tried: true, Answered: true, Status: 404},
		},
		"console_client_unanswered": ClientPage{Page: framed(""), Client: shop, MayWrite: true, LogoutURI: "https://shop.example/logout", Logout: LogoutTest{Tried: true}},
		"console_client_read":       ClientPage{Page: framed(""), Client: shop},
		"console_client_settings":   ClientFormPage{Page: framed(""), Client: shop, Title: "Settings", Form: everyKind},
		"console_client_acting":     ClientFormPage{Page: framed(""), Client: shop, Title: "Signing in as", Acting: true, Bar: "<staff-bar></staff-bar>", Form: failed},
		"console_client_preview":    ClientPreviewPage{Page: framed(""), Client: shop, Form: user},
		"console_client_previewed": ClientPreviewPage{
			Page: framed(""), Client: shop, Form: user, Computed: true, SubjectName: "Ada Lovelace", ActorName: "Sam Support", IDToken: "{}", AccessToken: "{}",
		},
		"console_client_opaque": ClientPreviewPage{Page: framed(""), Client: shop, Form: user, Computed: true, SubjectName: "Ada Lovelace"},
		"console_organizations": OrganizationsPage{
			Page: framed(""), Query: "g", Rows: []OrganizationRow{{ID: "org_1", Name: "Globex", Members: 2}}, MayCreate: true, Form: name, Older: "/admin/organizations?after=y",
		},
		"console_organizations_none":   OrganizationsPage{Page: framed("")},
		"console_organizations_nobody": OrganizationsPage{Page: framed(""), Query: "x"},
		"console_organization": OrganizationPage{
			Page: framed(""), ID: "org_1", Name: "Globex", MayWrite: true, MayDelete: true, Delete: Form{Action: "/admin/organizations/org_1/delete"}, Rename: name, Add: add, Newer: "/admin/organizations/org_1?before=y",
			Rows: []MemberRow{{ID: "usr_1", Name: "Ada Lovelace", Email: "ada@globex.example", Role: "support", Disabled: true}, {ID: "usr_2", Name: "Grace", Email: "grace@globex.example"}},
		},
		"console_organization_delete": OrganizationPage{
			Page: framed(""), ID: "org_1", Name: "Globex", MayWrite: true, MayDelete: true, Rename: name, Add: add,
			Delete: Form{Action: "/admin/organizations/org_1/delete", Groups: []FieldGroup{{Fields: []Field{
				{Name: "delete_id", Label: "Its id", Value: "Globex", Error: "Type the id of this organization to delete it."},
				{Kind: FieldPassword, Name: "delete_password", Label: "Your password", Error: "The password is not right."},
			}}}},
		},
		"console_organization_none":   OrganizationPage{Page: framed(""), ID: "org_1", Name: "Globex"},
		"console_organization_nobody": OrganizationPage{Page: framed(""), ID: "org_1", Name: "Globex", Query: "x"},
		"console_member": MemberPage{
			Page: framed(""), OrganizationID: "org_1", OrganizationName: "Globex", Member: MemberRow{ID: "usr_1", Name: "Ada Lovelace", Email: "ada@globex.example", Role: "support"},
			MayChange: true, Form: Form{Action: "/admin/organizations/org_1/members/usr_1", Groups: []FieldGroup{{Fields: []Field{{Kind: FieldSelect, Name: "role", Label: "Role here"}}}}},
			Remove: Form{Action: "/admin/organizations/org_1/members/usr_1/remove", Groups: []FieldGroup{{Fields: []Field{{Kind: FieldPassword, Name: "remove_password", Label: "Your password", Hint: "You signed in a while ago."}}}}},
		},
		"console_member_fixed": MemberPage{
			Page: framed(""), OrganizationID: "org_1", OrganizationName: "Globex", Member: MemberRow{ID: "usr_1", Name: "Ada", Email: "ada@globex.example"}, Why: "Nobody changes what they may do themselves.",
		},
	}
}
