package handlers

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

const (
	// usersShown is how many users a page lists.
	usersShown = 25

	// organizationsOffered is how many organizations a field proposes. Others can be
	// typed, by name or id.
	organizationsOffered = 100
)

// errAddress refuses the address of a list that no page of ours leads to.
var errAddress = &pageErr{
	Status: http.StatusBadRequest, Code: "invalid_request", Message: "The address of this page is malformed.",
	Advice: "Open the list again.", BackURL: "/admin", BackLabel: "Console",
}

// users lists users by name. All that selects them is in the address.
func (s *Server) users(w http.ResponseWriter, r *http.Request, st *staff) error {
	q := r.URL.Query()
	listing, err := userListing(q)
	if err != nil {
		return err
	}
	listing.Within = st.within(impersonation.PermissionUsersRead)
	p := templates.UsersPage{
		Page: s.consoleFrame(r, st), Query: listing.Text, Role: listing.Role, Status: string(listing.Status),
		Organization: q.Get("organization"), Now: time.Now(),
		MayCreate: st.standing.MayAnywhere(provider.PermissionUsersWrite), MayImport: st.may(provider.PermissionUsersWrite),
	}
	p.Filtered = p.Query != "" || p.Role != "" || p.Status != "" || p.Organization != ""
	if err := s.nameOrganization(r, &listing, p.Organization); err != nil {
		return err
	}
	users, more, err := s.store.ListUsers(r.Context(), listing)
	if err != nil {
		return fmt.Errorf("list users: %w", err)
	}
	if q.Has("open") && p.Query != "" && listing.At == nil && len(users) == 1 { // Enter opens the only one
		redirect(w, userURL(users[0].ID))
		return nil
	}
	if p.Rows, err = s.userRows(r, st, users); err != nil {
		return err
	}
	p.PreviousURL, p.NextURL = userPages(q, listing.At, users, more)
	if p.Roles, err = s.roleOptions(r, p.Role, nil); err != nil {
		return err
	}
	p.Organizations, err = s.organizationNames(r, listing.Within)
	if err != nil {
		return err
	}
	return s.pages.Users(w, http.StatusOK, p)
}

// userListing reads what selects users from an address (SECURITY F09).
func userListing(q url.Values) (storage.UserListing, error) {
	if provider.CheckParameters(q) != nil || len(q.Get("q")) > 200 {
		return storage.UserListing{}, errAddress
	}
	l := storage.UserListing{
		Text: strings.TrimSpace(q.Get("q")), Role: q.Get("role"), Status: storage.UserStatus(q.Get("status")), Limit: usersShown,
	}
	if !slices.Contains([]storage.UserStatus{"", storage.UserActive, storage.UserDisabled}, l.Status) {
		return l, errAddress
	}
	for _, direction := range []string{"before", "after"} {
		text := q.Get(direction)
		if text == "" {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(text)
		name, id, found := strings.Cut(string(b), "\x00")
		if err != nil || !found || provider.CheckParameters(url.Values{"name": {name}, "id": {id}}) != nil {
			return l, errAddress
		}
		l.At = &storage.NamePlace{Name: name, ID: id, Before: direction == "before"}
	}
	return l, nil
}

// userPages are the addresses of the pages before and behind one.
func userPages(q url.Values, at *storage.NamePlace, users []storage.User, more bool) (previous, next string) {
	if len(users) == 0 {
		return "", ""
	}
	to := func(direction string, u storage.User) string {
		there := url.Values{direction: {base64.RawURLEncoding.EncodeToString([]byte(u.Name + "\x00" + u.ID))}}
		for _, name := range []string{"q", "role", "status", "organization"} {
			if v := q.Get(name); v != "" {
				there.Set(name, v)
			}
		}
		return "/admin/users?" + there.Encode()
	}
	if at != nil && (!at.Before || more) {
		previous = to("before", users[0])
	}
	if more && (at == nil || !at.Before) || at != nil && at.Before {
		next = to("after", users[len(users)-1])
	}
	return previous, next
}

// nameOrganization selects the members of an organization by what somebody typed. One
// that is not there, or out of reach, has none.
func (s *Server) nameOrganization(r *http.Request, l *storage.UserListing, typed string) error {
	if typed == "" {
		return nil
	}
	o, err := s.organizationNamed(r, typed)
	switch {
	case err != nil:
		return err
	case o == nil, l.Within != nil && !slices.Contains(l.Within, o.ID):
		l.Within = []string{}
	default:
		l.Organization = o.ID
	}
	return nil
}

// organizationNamed returns the one with an id or a name, nil where there is none.
func (s *Server) organizationNamed(r *http.Request, idOrName string) (*storage.Organization, error) {
	o, err := s.store.Organization(r.Context(), strings.TrimSpace(idOrName))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load organization: %w", err)
	}
	return o, nil
}

func (s *Server) userRows(r *http.Request, st *staff, users []storage.User) ([]templates.UserRow, error) {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	places, err := s.store.PlacesOf(r.Context(), ids...)
	if err != nil {
		return nil, fmt.Errorf("load places: %w", err)
	}
	rows := make([]templates.UserRow, len(users))
	for i, u := range users {
		belongs := storage.Standing{Within: map[string]storage.List{}}
		for _, p := range places[u.ID] {
			if p.OrganizationID != "" {
				belongs.Within[p.OrganizationID] = nil
			}
		}
		rows[i] = templates.UserRow{
			URL: userURL(u.ID), Name: u.DisplayName(), Email: u.Email, Disabled: !u.Active(), LastSignIn: u.LastSignInAt.Time(),
			Places: shownPlaces(places[u.ID], st.within(impersonation.PermissionUsersRead)),
		}
		other := u.ID != st.User.ID
		if other && u.Active() && !u.NeverImpersonate && st.reaches(impersonation.PermissionStart, belongs) {
			rows[i].SignInAsURL = signInAsURL(u.ID)
		}
		if other && u.Active() && st.reaches(provider.PermissionUsersWrite, belongs) {
			rows[i].DisableURL = userURL(u.ID) + "/disable"
		}
	}
	return rows, nil
}

// shownPlaces are where a user belongs, as far as staff who see only some organizations
// may know; nil: all.
func shownPlaces(places []storage.Place, within []string) []templates.UserPlace {
	var shown []templates.UserPlace
	for _, p := range places {
		if p.OrganizationID == "" || within == nil || slices.Contains(within, p.OrganizationID) {
			shown = append(shown, templates.UserPlace{Organization: p.OrganizationName, Role: p.Role})
		}
	}
	return shown
}

func userURL(id string) string { return "/admin/users/" + url.PathEscape(id) }

func signInAsURL(id string) string { return userURL(id) + "?dialog=impersonate" }

// roleOptions are the roles to choose from, those that may says yes to; nil: all.
func (s *Server) roleOptions(r *http.Request, chosen string, may func(storage.Role) bool) ([]templates.Option, error) {
	roles, err := s.store.Roles(r.Context())
	if err != nil {
		return nil, fmt.Errorf("load roles: %w", err)
	}
	var options []templates.Option
	for _, role := range roles {
		if may == nil || may(role) {
			options = append(options, templates.Option{Value: role.Name, Label: role.Name, Selected: role.Name == chosen})
		}
	}
	return options, nil
}

// organizationNames are the names that a field proposes, of these organizations; nil:
// of all.
func (s *Server) organizationNames(r *http.Request, among []string) ([]string, error) {
	all, err := s.store.Organizations(r.Context())
	if err != nil {
		return nil, fmt.Errorf("load organizations: %w", err)
	}
	var names []string
	for _, o := range all {
		if (among == nil || slices.Contains(among, o.ID)) && len(names) < organizationsOffered {
			names = append(names, o.Name)
		}
	}
	return names, nil
}

// newUserForm asks for a user to create.
func (s *Server) newUserForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showNewUser(w, r, st, http.StatusOK, url.Values{}, nil)
}

// createUser creates a user with what the form says.
func (s *Server) createUser(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	problems, err := s.confirmedForm(w, r, st, form)
	if err != nil {
		return err
	}
	u := &storage.User{
		ID: storage.NewID("usr"), Email: strings.TrimSpace(form.Get("email")), Name: strings.TrimSpace(form.Get("name")),
		EmailVerified: form.Has("email_verified") && st.may(provider.PermissionUsersWrite), // nobody vouches for an address within an organization
	}
	problems = append(problems, userProblems(provider.ValidateUser(u))...)
	password := form.Get("new_password")
	if wrong := (provider.Administrator{Password: password}).Problems()["password"]; password != "" && wrong != "" {
		problems = append(problems, templates.FieldError{Field: "new_password", Message: wrong})
	}
	g, wrong, err := s.grantOf(r, st, form)
	if err != nil {
		return err
	}
	problems = append(problems, wrong...)
	var roles []string
	if form.Get("role_everywhere") != "" {
		everywhere, wrong, err := s.mayGrantRole(r, st, form.Get("role_everywhere"), "", "role_everywhere")
		if err != nil {
			return err
		}
		roles, problems = append(roles, everywhere), append(problems, wrong...)
	}
	if g.Organization == "" && len(wrong) == 0 && !st.may(provider.PermissionUsersWrite) {
		problems = append(problems, templates.FieldError{Field: "organization", Message: "Choose one of your organizations."})
	}
	if len(problems) > 0 {
		return s.showNewUser(w, r, st, http.StatusBadRequest, form, problems)
	}
	var organizations []provider.OrgRole
	if g.Organization != "" {
		organizations = append(organizations, g)
	}
	err = s.directory(st).CreateUser(r.Context(), u, password, roles, organizations, s.by(r, st.Login), time.Now())
	if errors.Is(err, storage.ErrExists) {
		return s.showNewUser(w, r, st, http.StatusConflict, form, []templates.FieldError{addressTaken})
	}
	if err != nil {
		return err
	}
	redirect(w, userURL(u.ID)+"?done=user_created")
	return nil
}

var addressTaken = templates.FieldError{Field: "email", Message: "There is a user with this e-mail address already."}

func (s *Server) showNewUser(w http.ResponseWriter, r *http.Request, st *staff, status int, form url.Values, problems []templates.FieldError) error {
	p := templates.NewUserPage{
		Page: s.consoleFrame(r, st), Posted: templates.Posted{Errors: problems, MustConfirm: s.mustConfirm(st.Login)},
		Email: form.Get("email"), Name: form.Get("name"), EmailVerified: form.Has("email_verified"),
		Organization: form.Get("organization"), Everywhere: st.may(provider.PermissionUsersWrite),
	}
	var err error
	if p.OrganizationRoles, err = s.roleOptions(r, form.Get("role"), st.mayGrantSomewhere); err != nil {
		return err
	}
	mayEverywhere := func(role storage.Role) bool { return provider.MayGrant(st.standing, role, "") }
	if p.Roles, err = s.roleOptions(r, form.Get("role_everywhere"), mayEverywhere); err != nil {
		return err
	}
	if p.Organizations, err = s.organizationNames(r, st.within(provider.PermissionUsersWrite)); err != nil {
		return err
	}
	return s.pages.NewUser(w, status, p)
}

// mayGrantSomewhere reports whether a role may be given in a place where users may be
// changed.
func (st *staff) mayGrantSomewhere(role storage.Role) bool {
	if st.may(provider.PermissionUsersWrite) && provider.MayGrant(st.standing, role, "") {
		return true
	}
	return slices.ContainsFunc(st.within(provider.PermissionUsersWrite), func(o string) bool { return provider.MayGrant(st.standing, role, o) })
}

// grantOf reads the fields organization, by name or id, and role, which may be empty,
// and asks whether staff may give that.
func (s *Server) grantOf(r *http.Request, st *staff, form url.Values) (provider.OrgRole, []templates.FieldError, error) {
	typed := strings.TrimSpace(form.Get("organization"))
	if typed == "" {
		if form.Get("role") != "" {
			return provider.OrgRole{}, []templates.FieldError{{Field: "organization", Message: "Choose an organization for this role."}}, nil
		}
		return provider.OrgRole{}, nil, nil
	}
	o, err := s.organizationNamed(r, typed)
	if err != nil {
		return provider.OrgRole{}, nil, err
	}
	if o == nil || !st.standing.May(provider.PermissionUsersWrite, o.ID) { // as good as none
		return provider.OrgRole{}, []templates.FieldError{{Field: "organization", Message: "There is no such organization."}}, nil
	}
	role, problems, err := s.mayGrantRole(r, st, form.Get("role"), o.ID, "role")
	return provider.OrgRole{Organization: o.ID, Role: role}, problems, err
}

// mayGrantRole asks whether staff may give a role in a place; an empty one is none.
func (s *Server) mayGrantRole(r *http.Request, st *staff, name, organization, field string) (string, []templates.FieldError, error) {
	if name == "" {
		return "", nil, nil
	}
	role, err := s.role(r, name)
	switch {
	case err != nil:
		return "", nil, err
	case role == nil:
		return "", []templates.FieldError{{Field: field, Message: "There is no such role."}}, nil
	case !st.standing.May(provider.PermissionUsersWrite, organization), !provider.MayGrant(st.standing, *role, organization):
		return "", []templates.FieldError{{Field: field, Message: "You cannot give this role: it has rights that you do not have there."}}, nil
	}
	return name, nil, nil
}

// role returns a role by name, nil where there is none.
func (s *Server) role(r *http.Request, name string) (*storage.Role, error) {
	roles, err := s.store.Roles(r.Context())
	if err != nil {
		return nil, fmt.Errorf("load roles: %w", err)
	}
	i := slices.IndexFunc(roles, func(role storage.Role) bool { return role.Name == name })
	if i < 0 {
		return nil, nil
	}
	return &roles[i], nil
}

// confirmedForm returns what is wrong with the password in a form, where one is needed.
func (s *Server) confirmedForm(w http.ResponseWriter, r *http.Request, st *staff, form url.Values) ([]templates.FieldError, error) {
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil || ok {
		return nil, err
	}
	return []templates.FieldError{{Field: "password", Message: message}}, nil
}

// userProblems says what is wrong with a user, in words for the person, at the fields.
func userProblems(err error) []templates.FieldError {
	all, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return nil
	}
	var problems []templates.FieldError
	for _, err := range all.Unwrap() {
		if e, ok := errors.AsType[provider.FieldError](err); ok {
			problems = append(problems, templates.FieldError{Field: e.Field, Message: cmp.Or(userAdvice[e.Field], "This is one line of at most 300 characters.")})
		}
	}
	return problems
}

// userAdvice says what a field wants.
var userAdvice = map[string]string{
	"email":                 "Type an e-mail address like ada@example.com.",
	"profile":               "Type an address on the web, like https://example.com.",
	"picture":               "Type an address on the web, like https://example.com.",
	"website":               "Type an address on the web, like https://example.com.",
	"zoneinfo":              "Type the name of a time zone, like Europe/Paris.",
	"locale":                "Type a language, like en-GB.",
	"birthdate":             "Type a date like 1815-12-10, or a year.",
	"phone_number":          "Type a number like +1 555 010 999.",
	"phone_number_verified": "There is no phone number.",
	"address":               "An address has at most 2000 characters.",
}
