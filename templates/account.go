package templates

import (
	"net/http"
	"time"
)

// AccountPage is the first page of somebody's account.
type AccountPage struct {
	Page
	EmailVerified bool
	ActedAs       []ActedAs // what runs, and the last that does not, if it was lately
	ActingAs      []ActiveImpersonation
	Requests      int // of support, that wait for an answer
	SignIns       int // how many there are, this one included
	Now           time.Time
}

// ActiveImpersonation is one the person can stop. StopURL leads to its StopPage.
type ActiveImpersonation struct {
	ID, SubjectName, ClientName, Reason string
	EndsAt, Now                         time.Time
	StopURL                             string
}

// ActedAs is one in which somebody else acted, or acts, as the person.
type ActedAs struct {
	ID, ActorName, ClientName, Organization string
	Reason, TicketRef, Access               string
	StartedAt, EndsAt, Now                  time.Time
	Running                                 bool
	Reported                                bool   // by the person
	ByProgram                               bool   // a program asked for it, in the actor's name
	Unsigned                                bool   // the actor did not sign in here for it
	Why                                     string // it ended; empty: somebody stopped it
}

// Lasted is how long it was.
func (a ActedAs) Lasted() time.Duration { return a.EndsAt.Sub(a.StartedAt) }

// Account posts to /account/sign-out-everywhere, without a field.
func (s *Set) Account(w http.ResponseWriter, status int, p AccountPage) error {
	return s.render(w, status, "account/overview", p)
}

// Device is what somebody signed in with, as far as it is known.
type Device struct {
	Browser, System string
	IP              string
	Network         string // in words; empty: the address says more
}

// ActivityPage is what happened to somebody's account, latest first.
type ActivityPage struct {
	Page
	Entries      []ActivityEntry
	Older, Newer string // addresses; empty: there is nothing
}

// ActivityEntry is an event, or an impersonation where ActedAs is not nil.
type ActivityEntry struct {
	At, Now time.Time
	What    string
	By      string // who did it, where it was not the person
	Device  Device // of the person
	ActedAs *ActedAs
}

// Activity posts to /account/activity/{id}/end, without a field.
func (s *Set) Activity(w http.ResponseWriter, status int, p ActivityPage) error {
	return s.render(w, status, "account/activity", p)
}

// ActedAsPage is one impersonation of the person.
type ActedAsPage struct {
	Page
	ActedAs    ActedAs
	ReportMail string // whom to write to about it; empty: nobody was named
	ReportURL  string
	Note       string
	MaxNote    int
	Errors     []FieldError // of note
}

// ActedAs posts note to /account/activity/{id}/report, and to /account/activity/{id}/end
// without a field.
func (s *Set) ActedAs(w http.ResponseWriter, status int, p ActedAsPage) error {
	return s.render(w, status, "account/acted_as", struct {
		ActedAsPage
		Problem map[string]string
	}{p, problems(p.Errors)})
}

// problems are messages by the field that they belong to.
func problems(errs []FieldError) map[string]string {
	by := map[string]string{}
	for _, e := range errs {
		by[e.Field] = e.Message
	}
	return by
}

// SupportAccessPage is what somebody says about staff who want to act as them.
type SupportAccessPage struct {
	Page
	Rule          string // optional, required or managed: what counts
	Said          string // denied, until or ticket; empty: nothing
	SaidTicketRef string
	SetBy         string // who set it in the person's place; empty: they did
	SetAt         time.Time
	EndsAt, Now   time.Time
	Over          bool // it was said until a time that has passed
	SwitchedOff   bool // nobody acts as anybody at the moment
	Protected     bool // nobody acts as this person, ever
	Requests      []SupportRequest

	Choice, Hours, TicketRef string // of the form
	Errors                   []FieldError
}

// SupportRequest is staff asking for permission.
type SupportRequest struct {
	ID, ActorName, ClientName, Reason, TicketRef string
	AskedAt, Now                                 time.Time
}

// SupportAccess posts choice, hours and ticket_ref to /account/support-access, and
// request and answer to /account/support-access/requests.
func (s *Set) SupportAccess(w http.ResponseWriter, status int, p SupportAccessPage) error {
	return s.render(w, status, "account/support_access", struct {
		SupportAccessPage
		Problem map[string]string
	}{p, problems(p.Errors)})
}

// SignInsPage is where somebody is signed in.
type SignInsPage struct {
	Page
	SignIns []SignIn // last used first
}

// SignIn is one of them.
type SignIn struct {
	SID                  string
	Device               Device
	Here                 bool // the browser that asks
	Since, LastUsed, Now time.Time
}

// Others reports whether there are sign-ins elsewhere.
func (p SignInsPage) Others() bool {
	for _, s := range p.SignIns {
		if !s.Here {
			return true
		}
	}
	return false
}

// SignIns posts sid, or action with the value others, to /account/sessions.
func (s *Set) SignIns(w http.ResponseWriter, status int, p SignInsPage) error {
	return s.render(w, status, "account/sessions", p)
}

// ApplicationsPage is what somebody is signed in to, or allowed something.
type ApplicationsPage struct {
	Page
	Applications []UsedApplication
}

// UsedApplication is one of them.
type UsedApplication struct {
	ID, Name, URL             string
	Scopes                    []Scope // that they agreed to
	AgreedAt, LastSignIn, Now time.Time
	SignedIn                  bool
}

// Applications posts client to /account/applications.
func (s *Set) Applications(w http.ResponseWriter, status int, p ApplicationsPage) error {
	return s.render(w, status, "account/applications", p)
}

// ProfilePage is what somebody says about themselves. The e-mail address of the Person
// is shown only.
type ProfilePage struct {
	Page
	EmailVerified                         bool
	Name, GivenName, FamilyName, Nickname string
	Locale, Zoneinfo                      string
	Picture, Website, ProfileURL          string
	Errors                                []FieldError
}

// Profile posts the claims, by their names, to /account/profile.
func (s *Set) Profile(w http.ResponseWriter, status int, p ProfilePage) error {
	problem := problems(p.Errors)
	field := func(name, label, value, kind, complete, hint string) profileField {
		return profileField{name, label, value, kind, complete, hint, problem[name]}
	}
	return s.render(w, status, "account/profile", struct {
		ProfilePage
		Fields []profileField
	}{p, []profileField{
		field("name", "Name", p.Name, "text", "name", "How applications greet you."),
		field("given_name", "Given name", p.GivenName, "text", "given-name", ""),
		field("family_name", "Family name", p.FamilyName, "text", "family-name", ""),
		field("nickname", "Nickname", p.Nickname, "text", "nickname", ""),
		field("locale", "Language", p.Locale, "text", "language", "Like en-GB. Applications may follow it; the pages here follow your browser."),
		field("zoneinfo", "Time zone", p.Zoneinfo, "text", "off", "Like Europe/Paris."),
		field("picture", "Address of a picture of you", p.Picture, "url", "photo", ""),
		field("website", "Web site", p.Website, "url", "url", ""),
		field("profile", "Page about you", p.ProfileURL, "url", "off", ""),
	}})
}

// profileField is one input of the profile.
type profileField struct{ Name, Label, Value, Kind, Complete, Hint, Problem string }

// PasswordPage lets somebody change their password. It never shows one that was typed.
type PasswordPage struct {
	Page
	Errors     []FieldError  // of current_password and new_password
	RetryAfter time.Duration // there were too many attempts; zero: there were not
}

// Password posts current_password and new_password to /account/password.
func (s *Set) Password(w http.ResponseWriter, status int, p PasswordPage) error {
	return s.render(w, status, "account/password", struct {
		PasswordPage
		Problem map[string]string
	}{p, problems(p.Errors)})
}
