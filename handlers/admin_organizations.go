package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// noSuchUser is said of somebody who is not there and of somebody who is out of reach
// alike.
const noSuchUser = "There is no such user."

func organizationPath(id string) string { return "/admin/organizations/" + url.PathEscape(id) }

// organizations lists those that the person may look into.
func (s *Server) organizations(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showOrganizations(w, r, st, http.StatusOK, "", "", nil)
}

func (s *Server) showOrganizations(w http.ResponseWriter, r *http.Request, st *staff, status int, name, id string, problems map[string]string) error {
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	search := storage.OrganizationSearch{Text: q.Get("q"), Among: st.within("users:read"), Limit: pageSize}
	if search.At, err = namePlace(q); err != nil {
		return err
	}
	found, more, err := s.store.SearchOrganizations(r.Context(), search)
	if err != nil {
		return err
	}
	p := templates.OrganizationsPage{
		Page: s.consoleFrame(r, st), Query: search.Text, MayCreate: st.may("organizations:write"),
		Form: templates.Form{Action: "/admin/organizations", Groups: []templates.FieldGroup{{Fields: []templates.Field{
			{Name: "name", Label: "Name", Value: name, Required: true, Error: problems["name"]},
			{Name: "id", Label: "Id", Hint: "Made up where it is empty.", Value: id, Error: problems["id"]},
		}}}},
	}
	for _, o := range found {
		p.Rows = append(p.Rows, templates.OrganizationRow{ID: o.ID, Name: o.Name, Members: o.Members})
	}
	if len(found) > 0 {
		first, last := found[0], found[len(found)-1]
		p.Newer, p.Older = namePages(r, q, search.At, more, storage.NamePlace{Name: first.Name, ID: first.ID}, storage.NamePlace{Name: last.Name, ID: last.ID})
	}
	return s.pages.Organizations(w, status, p)
}

// newOrganization adds one.
func (s *Server) newOrganization(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o := &storage.Organization{ID: strings.TrimSpace(form.Get("id")), Name: strings.TrimSpace(form.Get("name"))}
	typed := *o
	problems := map[string]string{}
	for _, problem := range provider.ProblemsOf(provider.ValidateOrganization(o)) {
		problems[problem.Field] = problem.Message
	}
	if len(problems) == 0 {
		err = s.provider.Directory().CreateOrganization(r.Context(), o, s.by(r, st.Login), time.Now())
		if err == nil {
			redirect(w, organizationPath(o.ID)+"?done=organization-created")
			return nil
		}
		if !errors.Is(err, storage.ErrExists) {
			return err
		}
		problems["name"] = "There is an organization with this name or id already."
	}
	return s.showOrganizations(w, r, st, http.StatusBadRequest, typed.Name, typed.ID, problems)
}

// reachable returns the organization in the address, if the person holds the
// permission over its members. One that they may look into but not change is refused;
// any other is as good as none.
func (s *Server) reachable(r *http.Request, st *staff, permission string) (*storage.Organization, error) {
	id := r.PathValue("organization")
	o, err := s.store.Organization(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (o.ID != id || !st.standing.May("users:read", id)) {
		return nil, errNoPage
	}
	if err == nil && !st.standing.May(permission, id) {
		return nil, &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "You may look at this organization, but not change it."}
	}
	return o, err
}

// organization shows one with its members.
func (s *Server) organization(w http.ResponseWriter, r *http.Request, st *staff) error {
	o, err := s.reachable(r, st, "users:read")
	if err != nil {
		return err
	}
	return s.showOrganization(w, r, st, o, http.StatusOK, organizationForms{name: o.Name})
}

// organizationForms are what was typed into the forms of an organization's page, and
// what is wrong with it.
type organizationForms struct {
	name, nameError             string
	user, role, userErr, roleEr string
	password                    string // what is wrong with it
	deleteID                    string
	deleteErr, deletePassword   string // what is wrong with the form that deletes
}

func (s *Server) showOrganization(w http.ResponseWriter, r *http.Request, st *staff, o *storage.Organization, status int, f organizationForms) error {
	q, err := listQuery(r)
	if err != nil {
		return err
	}
	search := storage.MemberSearch{Organization: o.ID, Text: q.Get("q"), Limit: pageSize}
	if search.At, err = namePlace(q); err != nil {
		return err
	}
	found, more, err := s.store.SearchMembers(r.Context(), search)
	if err != nil {
		return err
	}
	p := templates.OrganizationPage{
		Page: s.consoleFrame(r, st), ID: o.ID, Name: o.Name, Query: search.Text, MayWrite: st.standing.May("organizations:write", o.ID),
		MayDelete: st.may("organizations:write"),
		Delete: templates.Form{Action: organizationPath(o.ID) + "/delete", Groups: append([]templates.FieldGroup{{Fields: []templates.Field{
			{Name: "delete_id", Label: "Its id", Hint: "Type the id of this organization to delete it.", Value: f.deleteID, Error: f.deleteErr},
		}}}, s.confirmGroup(st.Login, "delete_password", f.deletePassword)...)},
		Rename: templates.Form{Action: organizationPath(o.ID), Groups: []templates.FieldGroup{{Fields: []templates.Field{
			{Name: "name", Label: "Name", Value: f.name, Required: true, Error: f.nameError},
		}}}},
	}
	for _, m := range found {
		p.Rows = append(p.Rows, memberRow(&m))
	}
	if len(found) > 0 {
		first, last := found[0], found[len(found)-1]
		p.Newer, p.Older = namePages(r, q, search.At, more, storage.NamePlace{Name: first.Name, ID: first.ID}, storage.NamePlace{Name: last.Name, ID: last.ID})
	}
	roles, err := s.roleField(r, st, o.ID, f.role)
	if err != nil {
		return err
	}
	roles.Error = f.roleEr
	p.Add = templates.Form{Action: organizationPath(o.ID) + "/members", Groups: []templates.FieldGroup{{Fields: []templates.Field{
		{Name: "user", Label: "User", Hint: "E-mail address or id.", Value: f.user, Required: true, Error: f.userErr}, roles,
	}}}}
	p.Add.Groups = append(p.Add.Groups, s.confirmGroup(st.Login, "password", f.password)...)
	return s.pages.Organization(w, status, p)
}

func memberRow(m *storage.Member) templates.MemberRow {
	return templates.MemberRow{ID: m.ID, Name: m.DisplayName(), Email: m.Email, Role: m.Role, Disabled: !m.Active()}
}

// roleField offers the roles that the person may give within an organization, and the
// one that is held.
func (s *Server) roleField(r *http.Request, st *staff, organization, held string) (templates.Field, error) {
	roles, err := s.store.Roles(r.Context())
	field := templates.Field{
		Kind: templates.FieldSelect, Name: "role", Label: "Role here", Hint: "It reaches only this organization's members.",
		Choices: []templates.Choice{{Label: "None: a member", Chosen: held == ""}},
	}
	for _, role := range roles {
		beyond := func(permission string) bool { return !st.standing.May(permission, organization) }
		if role.Name == held || !slices.ContainsFunc(role.Permissions, beyond) {
			field.Choices = append(field.Choices, templates.Choice{Value: role.Name, Label: role.Name, Chosen: role.Name == held})
		}
	}
	return field, err
}

// renameOrganization changes the name.
func (s *Server) renameOrganization(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o, err := s.reachable(r, st, "organizations:write")
	if err != nil {
		return err
	}
	name := strings.TrimSpace(form.Get("name"))
	f := organizationForms{name: name}
	for _, problem := range provider.ProblemsOf(provider.ValidateOrganization(&storage.Organization{Name: name})) {
		f.nameError = problem.Message
	}
	if f.nameError == "" {
		err = s.provider.Directory().RenameOrganization(r.Context(), o.ID, name, s.by(r, st.Login), time.Now())
		if err == nil {
			redirect(w, organizationPath(o.ID)+"?done=organization-renamed")
			return nil
		}
		if !errors.Is(err, storage.ErrExists) {
			return err
		}
		f.nameError = "There is an organization with this name or id already."
	}
	return s.showOrganization(w, r, st, o, http.StatusBadRequest, f)
}

// deleteOrganization removes one whose id was typed.
func (s *Server) deleteOrganization(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o, err := s.reachable(r, st, "organizations:write")
	if err != nil {
		return err
	}
	f := organizationForms{name: o.Name, deleteID: strings.TrimSpace(form.Get("delete_id"))}
	if f.deleteID != o.ID {
		f.deleteErr = "Type the id of this organization to delete it."
		return s.showOrganization(w, r, st, o, http.StatusBadRequest, f)
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("delete_password"))
	if err != nil {
		return err
	}
	if !ok {
		f.deletePassword = message
		return s.showOrganization(w, r, st, o, http.StatusForbidden, f)
	}
	err = s.directory(st).DeleteOrganization(r.Context(), o.ID, s.by(r, st.Login), time.Now())
	if denial, denied := errors.AsType[provider.RoleDenial](err); denied {
		f.deleteErr = denial.Message()
		return s.showOrganization(w, r, st, o, http.StatusForbidden, f)
	}
	if err != nil {
		return err
	}
	redirect(w, "/admin/organizations?done=organization-deleted")
	return nil
}

// addMember makes a user a member.
func (s *Server) addMember(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o, err := s.reachable(r, st, "organizations:write")
	if err != nil {
		return err
	}
	f := organizationForms{name: o.Name, user: strings.TrimSpace(form.Get("user")), role: form.Get("role")}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		f.password = message
		return s.showOrganization(w, r, st, o, http.StatusForbidden, f)
	}
	u, standing, err := s.visibleUser(r, st, "organizations:write", f.user)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		f.userErr = noSuchUser
	case err != nil:
		return err
	case standing.MemberOf(o.ID):
		f.userErr = "This user is a member already."
	default:
		err := s.directory(st).AddMember(r.Context(), o.ID, u.ID, f.role, s.by(r, st.Login), time.Now())
		denial, denied := errors.AsType[provider.RoleDenial](err)
		switch {
		case err == nil:
			redirect(w, organizationPath(o.ID)+"?done=member-added")
			return nil
		case denied && denial == provider.DenyReach:
			f.userErr = noSuchUser
		case denied:
			f.roleEr = denial.Message()
			return s.showOrganization(w, r, st, o, http.StatusForbidden, f)
		case errors.Is(err, storage.ErrReference):
			f.roleEr = "There is no such role."
		default:
			return err
		}
	}
	return s.showOrganization(w, r, st, o, http.StatusBadRequest, f)
}

// directory changes people as far as the person may.
func (s *Server) directory(st *staff) *provider.Directory {
	return s.provider.Directory().OnBehalfOf(st.User.ID)
}

// membership returns the member in the address.
func (s *Server) membership(r *http.Request, st *staff) (*storage.Organization, *storage.Member, error) {
	o, err := s.reachable(r, st, "organizations:write")
	if err != nil {
		return nil, nil, err
	}
	u, err := s.store.User(r.Context(), r.PathValue("user"))
	if errors.Is(err, storage.ErrNotFound) || err == nil && u.Deleted() {
		return nil, nil, errNoPage
	}
	if err != nil {
		return nil, nil, err
	}
	of, err := s.store.MembershipsOf(r.Context(), u.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range of {
		if m.OrganizationID == o.ID {
			held := ""
			if m.Role != nil {
				held = *m.Role
			}
			return o, &storage.Member{User: *u, Role: held}, nil
		}
	}
	return nil, nil, errNoPage
}

// memberForm shows what somebody is in an organization.
func (s *Server) memberForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	o, m, err := s.membership(r, st)
	if err != nil {
		return err
	}
	return s.showMember(w, r, st, o, m, http.StatusOK, memberForms{role: m.Role})
}

// memberForms are what the forms of a member's page hold.
type memberForms struct {
	role, roleErr, password, removePassword string // the last two: what is wrong
}

func (s *Server) showMember(w http.ResponseWriter, r *http.Request, st *staff, o *storage.Organization, m *storage.Member, status int, f memberForms) error {
	path := organizationPath(o.ID) + "/members/" + url.PathEscape(m.ID)
	p := templates.MemberPage{
		Page: s.consoleFrame(r, st), OrganizationID: o.ID, OrganizationName: o.Name, Member: memberRow(m), MayChange: true,
		Remove: templates.Form{Action: path + "/remove", Groups: s.confirmGroup(st.Login, "remove_password", f.removePassword)},
	}
	held, err := s.permissionsOf(r, m.Role)
	if err != nil {
		return err
	}
	// To no role at all, which is the least that changes anything.
	err = provider.CheckRoleChange(provider.RoleChange{By: st.User.ID, User: m.ID, Standing: st.standing, Organization: o.ID, Was: held})
	if denial, denied := errors.AsType[provider.RoleDenial](err); denied {
		p.MayChange, p.Why = false, denial.Message()
	}
	field, err := s.roleField(r, st, o.ID, cmp.Or(f.role, m.Role))
	if err != nil {
		return err
	}
	field.Error = f.roleErr
	p.Form = templates.Form{Action: path, Groups: append([]templates.FieldGroup{{Fields: []templates.Field{field}}}, s.confirmGroup(st.Login, "password", f.password)...)}
	return s.pages.Member(w, status, p)
}

// permissionsOf returns what a role holds.
func (s *Server) permissionsOf(r *http.Request, role string) (storage.List, error) {
	roles, err := s.store.Roles(r.Context())
	for _, known := range roles {
		if known.Name == role {
			return known.Permissions, nil
		}
	}
	return nil, err
}

// changeMember gives a member another role, or none.
func (s *Server) changeMember(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o, m, err := s.membership(r, st)
	if err != nil {
		return err
	}
	role := form.Get("role")
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		return s.showMember(w, r, st, o, m, http.StatusForbidden, memberForms{role: role, password: message})
	}
	err = s.directory(st).AddMember(r.Context(), o.ID, m.ID, role, s.by(r, st.Login), time.Now())
	denial, denied := errors.AsType[provider.RoleDenial](err)
	switch {
	case denied:
		return s.showMember(w, r, st, o, m, http.StatusForbidden, memberForms{role: role, roleErr: denial.Message()})
	case errors.Is(err, storage.ErrReference):
		return s.showMember(w, r, st, o, m, http.StatusBadRequest, memberForms{roleErr: "There is no such role."})
	case err != nil:
		return err
	}
	redirect(w, organizationPath(o.ID)+"?done=member-changed")
	return nil
}

// removeMember ends a membership.
func (s *Server) removeMember(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	o, m, err := s.membership(r, st)
	if err != nil {
		return err
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("remove_password"))
	if err != nil {
		return err
	}
	if !ok {
		return s.showMember(w, r, st, o, m, http.StatusForbidden, memberForms{removePassword: message})
	}
	err = s.directory(st).RemoveMember(r.Context(), o.ID, m.ID, s.by(r, st.Login), time.Now())
	denial, denied := errors.AsType[provider.RoleDenial](err)
	switch {
	case denied:
		return s.showMember(w, r, st, o, m, http.StatusForbidden, memberForms{roleErr: denial.Message()})
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case err != nil:
		return err
	}
	redirect(w, organizationPath(o.ID)+"?done=member-removed")
	return nil
}
