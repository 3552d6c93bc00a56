package templates

import "net/http"

// RolesPage lists the roles there are, and makes one.
type RolesPage struct {
	Page
	Rows    []RoleRow
	MayMake bool
	Form    Form // of a new one
}

// RoleRow is a role in a list.
type RoleRow struct {
	Name        string
	Permissions []string
	BuiltIn     bool
	Holders     int64
}

// Roles posts a new one to p.Form.Action.
func (s *Set) Roles(w http.ResponseWriter, status int, p RolesPage) error {
	return s.render(w, status, "console/roles", p)
}

// RolePage shows a role and changes it.
type RolePage struct {
	Page
	Role        RoleRow
	MayChange   bool
	Why         string // it may not be changed; empty: who looks may change none
	Form        Form   // of what it permits
	MustConfirm bool   // deleting it asks for the password
	DeleteError string // why it was not deleted
}

// Role posts what it permits to p.Form.Action, and to /admin/roles/{name}/delete.
func (s *Set) Role(w http.ResponseWriter, status int, p RolePage) error {
	return s.render(w, status, "console/role", p)
}
