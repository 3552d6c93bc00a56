package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

const rolesPath = "/admin/roles"

func rolePath(name string) string { return rolesPath + "/" + name } // which needs no escaping

// typedRole is what was typed into the form of a role.
type typedRole struct {
	name                       string
	permissions                storage.List
	nameErr, permErr, password string // what is wrong
}

// readRole reads the form of a role. A permission that does not exist is none.
func readRole(r *http.Request) (typedRole, string, error) {
	form, err := postForm(r)
	if err != nil {
		return typedRole{}, "", err
	}
	typed := typedRole{name: strings.TrimSpace(form.Get("name")), permissions: storage.List{}}
	for _, permission := range provider.Permissions() {
		if form.Has("permissions." + permission) {
			typed.permissions = append(typed.permissions, permission)
		}
	}
	return typed, form.Get("password"), nil
}

// roles lists the roles and offers to make one.
func (s *Server) roles(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showRoles(w, r, st, http.StatusOK, typedRole{})
}

func (s *Server) showRoles(w http.ResponseWriter, r *http.Request, st *staff, status int, typed typedRole) error {
	rows, err := s.roleRows(r)
	if err != nil {
		return err
	}
	p := templates.RolesPage{
		Page: s.consoleFrame(r, st), Rows: rows, MayMake: st.may(provider.PermissionUsersWrite),
		Form: templates.Form{Action: rolesPath, Groups: []templates.FieldGroup{{Fields: []templates.Field{
			{Name: "name", Label: "Name", Hint: "Lower-case letters, digits and . _ -", Value: typed.name, Required: true, Error: typed.nameErr},
			permissionField(st, typed),
		}}}},
	}
	p.Form.Groups = append(p.Form.Groups, s.confirmGroup(st.Login, "password", typed.password)...)
	return s.pages.Roles(w, status, p)
}

// permissionField offers the permissions that the person may put into a role.
func permissionField(st *staff, typed typedRole) templates.Field {
	f := templates.Field{
		Kind: templates.FieldChecks, Name: "permissions", Label: "What it permits", Error: typed.permErr,
		Hint: "Only what you hold yourself is offered. A role that permits nothing is for the rules of the policy to ask about.",
	}
	for _, permission := range provider.Permissions() {
		if st.may(permission) {
			f.Choices = append(f.Choices, templates.Choice{Value: permission, Label: permission, Chosen: slices.Contains(typed.permissions, permission)})
		}
	}
	return f
}

func (s *Server) roleRows(r *http.Request) ([]templates.RoleRow, error) {
	all, err := s.store.Roles(r.Context())
	if err != nil {
		return nil, err
	}
	holders, err := s.store.RoleHolders(r.Context())
	var rows []templates.RoleRow
	for _, role := range all {
		rows = append(rows, templates.RoleRow{Name: role.Name, Permissions: role.Permissions, BuiltIn: role.BuiltIn, Holders: holders[role.Name]})
	}
	return rows, err
}

// newRole makes a role.
func (s *Server) newRole(w http.ResponseWriter, r *http.Request, st *staff) error {
	typed, password, err := readRole(r)
	if err != nil {
		return err
	}
	ok, message, err := s.confirmed(w, r, st.Login, password)
	if err != nil {
		return err
	}
	if typed.password = message; !ok {
		return s.showRoles(w, r, st, http.StatusBadRequest, typed)
	}
	role := &storage.Role{Name: typed.name, Permissions: typed.permissions}
	err = s.directory(st).CreateRole(r.Context(), role, s.by(r, st.Login), time.Now())
	_, invalid := errors.AsType[provider.Invalid](err)
	denial, denied := errors.AsType[provider.RoleDenial](err)
	switch {
	case invalid:
		typed.nameErr = "Use 1 to 64 lower-case letters, digits and . _ -, beginning with a letter or digit."
	case denied:
		typed.permErr = denial.Message()
	case errors.Is(err, storage.ErrExists):
		typed.nameErr = "There is a role of this name already."
	case err != nil:
		return err
	default:
		redirect(w, rolePath(role.Name)+"?done=role-created")
		return nil
	}
	return s.showRoles(w, r, st, http.StatusBadRequest, typed)
}

// roleOf returns the role in the address.
func (s *Server) roleOf(r *http.Request) (*templates.RoleRow, error) {
	rows, err := s.roleRows(r)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(row templates.RoleRow) bool { return row.Name == r.PathValue("role") })
	if i < 0 {
		return nil, errNoPage
	}
	return &rows[i], nil
}

// roleShown shows a role.
func (s *Server) roleShown(w http.ResponseWriter, r *http.Request, st *staff) error {
	role, err := s.roleOf(r)
	if err != nil {
		return err
	}
	return s.showRole(w, r, st, http.StatusOK, role, typedRole{permissions: role.Permissions}, "")
}

func (s *Server) showRole(
	w http.ResponseWriter, r *http.Request, st *staff, status int, role *templates.RoleRow, typed typedRole, deleteErr string,
) error {
	p := templates.RolePage{Page: s.consoleFrame(r, st), Role: *role, MustConfirm: s.mustConfirm(st.Login), DeleteError: deleteErr}
	switch why := provider.MayRemake(st.standing, storage.Role{Name: role.Name, Permissions: role.Permissions, BuiltIn: role.BuiltIn}); {
	case !st.may(provider.PermissionUsersWrite):
	case why != nil:
		p.Why = roleAdvice(why)
	default:
		p.MayChange = true
		p.Form = templates.Form{Action: rolePath(role.Name), Groups: []templates.FieldGroup{{Fields: []templates.Field{permissionField(st, typed)}}}}
		p.Form.Groups = append(p.Form.Groups, s.confirmGroup(st.Login, "password", typed.password)...)
	}
	return s.pages.Role(w, status, p)
}

// roleAdvice says why a role is not changed or deleted; empty: for another reason.
func roleAdvice(err error) string {
	denial, denied := errors.AsType[provider.RoleDenial](err)
	switch {
	case denied && denial == provider.DenyMoreThanMe:
		return "It permits something that you do not hold yourself, so you do not change it."
	case denied:
		return denial.Message()
	case errors.Is(err, provider.ErrBuiltInRole):
		return "It is always there, and permits always the same."
	case errors.Is(err, provider.ErrLastAdministrator):
		return "Nobody would be left who may give roles."
	case errors.Is(err, provider.ErrRoleHeld):
		return "Somebody holds it. Take it from them first."
	}
	return ""
}

// changeRole changes what a role permits.
func (s *Server) changeRole(w http.ResponseWriter, r *http.Request, st *staff) error {
	typed, password, err := readRole(r)
	if err != nil {
		return err
	}
	role, err := s.roleOf(r)
	if err != nil {
		return err
	}
	ok, message, err := s.confirmed(w, r, st.Login, password)
	if err != nil {
		return err
	}
	if typed.password = message; !ok {
		return s.showRole(w, r, st, http.StatusBadRequest, role, typed, "")
	}
	_, err = s.directory(st).ChangeRole(r.Context(), role.Name, typed.permissions, s.by(r, st.Login), time.Now())
	if typed.permErr = roleAdvice(err); typed.permErr != "" {
		return s.showRole(w, r, st, refusedRole(err), role, typed, "")
	}
	if err != nil {
		return err
	}
	redirect(w, rolePath(role.Name)+"?done=role-saved")
	return nil
}

// refusedRole is the status of a page that says roleAdvice.
func refusedRole(err error) int {
	if isRoleDenial(err) {
		return http.StatusForbidden
	}
	return http.StatusConflict
}

// deleteRole removes a role that nobody holds.
func (s *Server) deleteRole(w http.ResponseWriter, r *http.Request, st *staff) error {
	_, password, err := readRole(r)
	if err != nil {
		return err
	}
	role, err := s.roleOf(r)
	if err != nil {
		return err
	}
	ok, message, err := s.confirmed(w, r, st.Login, password)
	if err != nil {
		return err
	}
	if !ok {
		return s.showRole(w, r, st, http.StatusBadRequest, role, typedRole{permissions: role.Permissions}, message)
	}
	err = s.directory(st).DeleteRole(r.Context(), role.Name, s.by(r, st.Login), time.Now())
	if why := roleAdvice(err); why != "" {
		return s.showRole(w, r, st, refusedRole(err), role, typedRole{permissions: role.Permissions}, why)
	}
	if err != nil {
		return err
	}
	redirect(w, rolesPath+"?done=role-deleted")
	return nil
}
