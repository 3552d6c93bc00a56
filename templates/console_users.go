package templates

import (
	"net/http"
	"time"
)

// Posted is what a page of the console with a form says of what was posted. The field of
// an error is the id of its element.
type Posted struct {
	Errors      []FieldError
	MustConfirm bool // it asks for the password
}

// Problem returns what is wrong with a field; empty: nothing.
func (f Posted) Problem(field string) string {
	for _, e := range f.Errors {
		if e.Field == field {
			return e.Message
		}
	}
	return ""
}

// UsersPage lists users by name. Its search is a GET of q, role, status and
// organization; the button adds open, so that Enter opens the only match.
type UsersPage struct {
	Page
	Query, Role, Status  string
	Organization         string // name or id, as it was typed
	Roles                []Option
	Organizations        []string // names that the field proposes
	Filtered             bool     // not all users are asked for
	Rows                 []UserRow
	PreviousURL, NextURL string
	MayCreate, MayImport bool
	Now                  time.Time
}

// UserRow is a user in the list.
type UserRow struct {
	URL, Name, Email        string
	Places                  []UserPlace
	LastSignIn              time.Time // zero: never
	Disabled                bool
	SignInAsURL, DisableURL string
}

// UserPlace is where a user belongs or holds a role: everywhere where there is no
// organization.
type UserPlace struct{ Organization, Role, RevokeURL string }

// Users has a form that selects.
func (s *Set) Users(w http.ResponseWriter, status int, p UsersPage) error {
	return s.render(w, status, "console/users", p)
}

// NewUserPage posts email, email_verified, name, new_password, organization, role,
// role_everywhere and password.
type NewUserPage struct {
	Page
	Posted
	Email, Name       string
	EmailVerified     bool
	Organization      string
	Organizations     []string
	OrganizationRoles []Option
	Everywhere        bool // otherwise an organization is needed
	Roles             []Option
}

// NewUser shows the form.
func (s *Set) NewUser(w http.ResponseWriter, status int, p NewUserPage) error {
	return s.render(w, status, "console/user_new", p)
}

// UserPage shows everything about a user.
type UserPage struct {
	Page
	Now                           time.Time
	URL, ID, Name, Email          string
	EmailVerified, HasPassword    bool
	Disabled, Protected           bool
	CreatedAt, LastSignIn         time.Time
	PasswordChangedAt             time.Time
	Facts                         []UserFact
	Yourself, MayChange, MayGrant bool
	SignInAsURL, EventsURL        string
	Places                        []UserPlace
	SignIns                       []UserSignIn
	Applications                  []UserApplication
	Support                       SupportState
	ShowHistory                   bool
	ActedAsBy, ActedAs            []Acted // latest first
}

// UserFact is something said about a user.
type UserFact struct{ Label, Value string }

// UserSignIn is a browser in which a user is signed in.
type UserSignIn struct {
	SID, IP, UserAgent  string
	StartedAt, LastSeen time.Time
	Current             bool // the one that the page is shown in
}

// UserApplication is one that a user allows something, or is signed in to.
type UserApplication struct {
	ClientID, Name, Scope string
	Grants                int
	LastUsed              time.Time
}

// SupportState is what a user says about staff acting as them.
type SupportState struct {
	Mode      string // denied, until or ticket; empty: nothing
	TicketRef string
	Until     time.Time
	Over      bool
}

// Acted is one in which somebody acted as the user, or the user as somebody; Name is
// the other one's.
type Acted struct {
	Name, ClientName, Reason, TicketRef string
	StartedAt, EndsAt, Now              time.Time
	Running                             bool
	StopURL                             string
}

// User has forms that post sid to /sign-ins, client_id to /applications, and nothing to
// /enable, all below its address.
func (s *Set) User(w http.ResponseWriter, status int, p UserPage) error {
	return s.render(w, status, "console/user", p)
}

// EditUserPage posts its fields, email_verified, phone_number_verified,
// never_impersonate and password.
type EditUserPage struct {
	Page
	Posted
	URL, Name                          string
	Fields, Address                    []EditField
	EmailVerified, PhoneNumberVerified bool
	NeverImpersonate                   bool
}

// EditField is a text to edit.
type EditField struct {
	Name, Label, Value string
	Lines              bool // more than one
}

// EditUser shows the form.
func (s *Set) EditUser(w http.ResponseWriter, status int, p EditUserPage) error {
	return s.render(w, status, "console/user_edit", p)
}

// GrantPage posts organization, role and password.
type GrantPage struct {
	Page
	Posted
	URL, Name, Organization string
	Organizations           []string
	Everywhere              bool // otherwise an organization is needed
	Roles                   []Option
}

// Grant shows the form.
func (s *Set) Grant(w http.ResponseWriter, status int, p GrantPage) error {
	return s.render(w, status, "console/user_grant", p)
}

// DangerPage asks whether to do something to a user, and posts email, where they are to
// be deleted, and password.
type DangerPage struct {
	Page
	Posted
	Deed               string // disable, password, delete or revoke
	URL, Action        string
	Name, Email, Typed string
	Role, Organization string // to revoke
}

// Danger shows the form.
func (s *Set) Danger(w http.ResponseWriter, status int, p DangerPage) error {
	return s.render(w, status, "console/user_danger", p)
}

// NewPasswordPage shows a password, once.
type NewPasswordPage struct {
	Page
	URL, Name, Password string
}

// NewPassword has no form.
func (s *Set) NewPassword(w http.ResponseWriter, status int, p NewPasswordPage) error {
	return s.render(w, status, "console/user_password", p)
}

// ImportPage posts, as multipart/form-data, file, text, skip_bad, skip_existing, password
// and action, which is check or import.
type ImportPage struct {
	Page
	Posted
	Text                          string
	SkipBad, SkipExisting         bool
	Checked                       bool // then what follows is what was found
	DryRun                        bool // nothing was added
	Users, Created, Existing, Bad int
	Problems                      []string // each names its line
	More                          int      // how many further problems there are
}

// Import shows the form.
func (s *Set) Import(w http.ResponseWriter, status int, p ImportPage) error {
	return s.render(w, status, "console/user_import", p)
}
