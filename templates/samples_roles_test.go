package templates

import "net/http"

func (p RolesPage) show(s *Set, w http.ResponseWriter) error { return s.Roles(w, http.StatusOK, p) }

func (p RolePage) show(s *Set, w http.ResponseWriter) error { return s.Role(w, http.StatusOK, p) }

// roleSamples are the pages about roles.
func roleSamples() map[string]any {
	auditor := RoleRow{Name: "auditor", Permissions: []string{"events:read", "users:read"}, BuiltIn: true, Holders: 12}
	contractor := RoleRow{Name: "contractor"}
	line := RoleRow{Name: "first-line", Permissions: []string{"impersonation:start", "users:read"}, Holders: 1}
	permits := Field{Kind: FieldChecks, Name: "permissions", Label: "What it permits", Choices: []Choice{{Value: "users:read", Label: "users:read", Chosen: true}, {Value: "events:read", Label: "events:read"}}}
	form := Form{Action: "/admin/roles", Groups: []FieldGroup{{Fields: []Field{{Name: "name", Label: "Name", Hint: "Lower-case letters, digits and . _ -", Required: true}, permits}}}}
	wrong := form
	wrong.Groups = []FieldGroup{{Fields: []Field{{Name: "name", Label: "Name", Value: "Admin", Error: "There is a role of this name already."}, permits}}}
	change := Form{Action: "/admin/roles/first-line", Groups: []FieldGroup{{Fields: []Field{permits}}, {Fields: []Field{{Kind: FieldPassword, Name: "password", Label: "Your password", Hint: "You signed in a while ago."}}}}}
	return map[string]any{
		"console_roles":         RolesPage{Page: framed(""), Rows: []RoleRow{auditor, contractor, line}, MayMake: true, Form: form},
		"console_roles_read":    RolesPage{Page: framed(""), Rows: []RoleRow{auditor}},
		"console_roles_wrong":   RolesPage{Page: framed(""), Rows: []RoleRow{auditor}, MayMake: true, Form: wrong},
		"console_role":          RolePage{Page: framed("Saved. It holds at once for everybody who has the role."), Role: line, MayChange: true, Form: change},
		"console_role_free":     RolePage{Page: framed(""), Role: contractor, MayChange: true, Form: change, MustConfirm: true},
		"console_role_kept":     RolePage{Page: framed(""), Role: contractor, MayChange: true, Form: change, MustConfirm: true, DeleteError: "The password is not right."},
		"console_role_built_in": RolePage{Page: framed(""), Role: auditor, Why: "It is always there, and permits always the same."},
		"console_role_read":     RolePage{Page: framed(""), Role: line},
	}
}
