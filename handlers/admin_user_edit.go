package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// userField is a standard claim that is text.
type userField struct {
	name, label string
	value       *string
}

// userFields are the claims that a form edits, in its order (SECURITY D14).
func userFields(u *storage.User) []userField {
	return []userField{
		{"name", "Name", &u.Name},
		{"email", "E-mail address", &u.Email},
		{"given_name", "Given name", &u.GivenName},
		{"middle_name", "Middle name", &u.MiddleName},
		{"family_name", "Family name", &u.FamilyName},
		{"nickname", "Nickname", &u.Nickname},
		{"preferred_username", "Preferred user name", &u.PreferredUsername},
		{"profile", "Profile page", &u.Profile},
		{"picture", "Picture", &u.Picture},
		{"website", "Website", &u.Website},
		{"gender", "Gender", &u.Gender},
		{"birthdate", "Date of birth", &u.Birthdate},
		{"zoneinfo", "Time zone", &u.Zoneinfo},
		{"locale", "Language", &u.Locale},
		{"phone_number", "Telephone", &u.PhoneNumber},
	}
}

// addressNames are the parts of the address claim (OpenID Connect Core 5.1.1).
var addressNames = []struct{ name, label string }{
	{"street_address", "Street"},
	{"postal_code", "Postal code"},
	{"locality", "Town"},
	{"region", "Region"},
	{"country", "Country"},
	{"formatted", "Address as on a letter"},
}

// addressParts are the fields of an address.
func addressParts(address string) []templates.EditField {
	parts := map[string]string{}
	if address != "" {
		_ = json.Unmarshal([]byte(address), &parts) // it was validated when it was stored
	}
	var fields []templates.EditField
	for _, part := range addressNames {
		fields = append(fields, templates.EditField{Name: part.name, Label: part.label, Value: parts[part.name], Lines: part.name == "formatted"})
	}
	return fields
}

// editUserForm shows what is said about a user, to change it.
func (s *Server) editUserForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	t, err := s.changeable(r, st)
	if err != nil {
		return err
	}
	return s.showEditUser(w, r, st, t, http.StatusOK, nil)
}

// editUser stores what the form says about a user.
func (s *Server) editUser(w http.ResponseWriter, r *http.Request, st *staff) error {
	t, form, err := s.changing(r, st)
	if err != nil {
		return err
	}
	problems, err := s.confirmedForm(w, r, st, form)
	if err != nil {
		return err
	}
	had := *t.User
	for _, f := range userFields(t.User) {
		*f.value = strings.TrimSpace(form.Get(f.name))
	}
	// Whose right ends at an organization vouches for no address, and unprotects nobody.
	everywhere := st.may(provider.PermissionUsersWrite)
	t.NeverImpersonate = form.Has("never_impersonate") || t.NeverImpersonate && !everywhere
	t.EmailVerified = form.Has("email_verified") && (everywhere || t.EmailVerified && t.Email == had.Email)
	t.PhoneNumberVerified = form.Has("phone_number_verified") && (everywhere || t.PhoneNumberVerified && t.PhoneNumber == had.PhoneNumber)
	address := map[string]string{}
	for _, part := range addressNames {
		if v := strings.TrimSpace(strings.ReplaceAll(form.Get(part.name), "\r\n", "\n")); v != "" {
			address[part.name] = v
		}
	}
	written, err := json.Marshal(address)
	if err != nil {
		return err
	}
	t.Address = string(written)
	problems = append(problems, userProblems(provider.ValidateUser(t.User))...)
	if len(problems) > 0 {
		t.Address = string(written) // as it was typed
		return s.showEditUser(w, r, st, t, http.StatusBadRequest, problems)
	}
	err = s.directory(st).UpdateUser(r.Context(), t.User, s.by(r, st.Login), time.Now())
	if errors.Is(err, storage.ErrExists) {
		return s.showEditUser(w, r, st, t, http.StatusConflict, []templates.FieldError{addressTaken})
	}
	if err != nil {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=user_saved")
	return nil
}

func (s *Server) showEditUser(w http.ResponseWriter, r *http.Request, st *staff, t *target, status int, problems []templates.FieldError) error {
	p := templates.EditUserPage{
		Page: s.consoleFrame(r, st), Posted: templates.Posted{Errors: problems, MustConfirm: s.mustConfirm(st.Login)},
		URL: userURL(t.ID), Name: t.DisplayName(), Address: addressParts(t.Address),
		EmailVerified: t.EmailVerified, PhoneNumberVerified: t.PhoneNumberVerified, NeverImpersonate: t.NeverImpersonate,
	}
	for _, f := range userFields(t.User) {
		p.Fields = append(p.Fields, templates.EditField{Name: f.name, Label: f.label, Value: *f.value})
	}
	return s.pages.EditUser(w, status, p)
}

// grantForm asks for a role to give, everywhere or within an organization.
func (s *Server) grantForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	t, err := s.grantable(r, st)
	if err != nil {
		return err
	}
	return s.showGrant(w, r, st, t, http.StatusOK, url.Values{}, nil)
}

// grantable is target for somebody else, to whom roles may be given where staff may
// change users. What they hold elsewhere does not matter.
func (s *Server) grantable(r *http.Request, st *staff) (*target, error) {
	if r.PathValue("id") == st.User.ID {
		return nil, errYourself
	}
	return s.target(r, st, provider.PermissionUsersWrite)
}

// grant gives a role. A member has one role in an organization: another takes its
// place, and so whoever gives it must be allowed to take the old one away.
func (s *Server) grant(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	t, err := s.grantable(r, st)
	if err != nil {
		return err
	}
	problems, err := s.confirmedForm(w, r, st, form)
	if err != nil {
		return err
	}
	give, wrong, err := s.roleToGive(r, st, t, form)
	if err != nil {
		return err
	}
	if problems = append(problems, wrong...); len(problems) > 0 {
		return s.showGrant(w, r, st, t, http.StatusBadRequest, form, problems)
	}
	directory, by := s.directory(st), s.by(r, st.Login)
	if give.Organization == "" {
		err = directory.GrantRole(r.Context(), t.ID, give.Role, "", by, time.Now())
	} else {
		err = directory.AddMember(r.Context(), give.Organization, t.ID, give.Role, by, time.Now())
	}
	if err != nil {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=role_granted")
	return nil
}

// roleToGive reads where a role is to be held and which: none within an organization is
// plain membership.
func (s *Server) roleToGive(r *http.Request, st *staff, t *target, form url.Values) (provider.OrgRole, []templates.FieldError, error) {
	if form.Get("organization") == "" {
		if form.Get("role") == "" {
			return provider.OrgRole{}, []templates.FieldError{{Field: "role", Message: "Choose a role, an organization or both."}}, nil
		}
		role, problems, err := s.mayGrantRole(r, st, form.Get("role"), "", "role")
		return provider.OrgRole{Role: role}, problems, err
	}
	give, problems, err := s.grantOf(r, st, form)
	if err == nil && len(problems) == 0 && !provider.MayGrant(st.standing, storage.Role{Permissions: t.standing.Within[give.Organization]}, give.Organization) {
		problems = []templates.FieldError{{Field: "role", Message: "You cannot take away the role that they have there."}}
	}
	return give, problems, err
}

func (s *Server) showGrant(w http.ResponseWriter, r *http.Request, st *staff, t *target, status int, form url.Values, problems []templates.FieldError) error {
	p := templates.GrantPage{
		Page: s.consoleFrame(r, st), Posted: templates.Posted{Errors: problems, MustConfirm: s.mustConfirm(st.Login)},
		URL: userURL(t.ID), Name: t.DisplayName(), Organization: form.Get("organization"), Everywhere: st.may(provider.PermissionUsersWrite),
	}
	var err error
	if p.Roles, err = s.roleOptions(r, form.Get("role"), st.mayGrantSomewhere); err != nil {
		return err
	}
	if p.Organizations, err = s.organizationNames(r, st.within(provider.PermissionUsersWrite)); err != nil {
		return err
	}
	return s.pages.Grant(w, status, p)
}
