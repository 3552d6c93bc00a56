package templates

import "net/http"

// ClientsPage lists applications.
type ClientsPage struct {
	Page
	Query         string
	Types, States []Option
	Filtered      bool // something narrows the list
	Rows          []ClientRow
	Newer, Older  string // the pages before and after this one
	MayCreate     bool
	SwitchedOff   bool // nobody signs in as others anywhere
}

// ClientRow is an application in a list.
type ClientRow struct {
	ID, Name, Type, Delivery string
	Disabled, Acting         bool
}

// Clients is a form that is sent with GET.
func (s *Set) Clients(w http.ResponseWriter, status int, p ClientsPage) error {
	return s.render(w, status, "console/clients", p)
}

// NewClientPage asks for what makes an application.
type NewClientPage struct {
	Page
	Form Form
}

// NewClient posts to p.Form.Action.
func (s *Set) NewClient(w http.ResponseWriter, status int, p NewClientPage) error {
	return s.render(w, status, "console/client_new", p)
}

// ClientSecretPage shows what an application needs to begin with, and its secret while
// it can be shown.
type ClientSecretPage struct {
	Page
	ID, Name     string
	Secret       string
	HasSecret    bool   // it has one, which may not be shown any more
	Settings     string // for its environment
	Discovery    string
	Snippets     []Snippet
	New          bool // the application is
	KeptPrevious bool // the secret from before works on
	Action       string
}

// Snippet is code to begin with.
type Snippet struct{ ID, Title, Text string }

// ClientSecret posts to p.Action when the secret was stored.
func (s *Set) ClientSecret(w http.ResponseWriter, status int, p ClientSecretPage) error {
	return s.render(w, status, "console/client_secret", p)
}

// ClientTab are what every page about an application has above its content.
type ClientTab struct {
	ID, Name string
	Disabled bool
	Tabs     []Section
}

// ClientPage shows an application.
type ClientPage struct {
	Page
	Client                ClientTab
	Facts                 []Fact
	MayWrite, MustConfirm bool
	Secret                SecretState
	LogoutURI             string
	Logout                LogoutTest
	SelfRegistered        bool
	Errors                []FieldError // of rotate_password, status_password, delete_id and delete_password
}

// Fact is a line of what is known. Values has one or several.
type Fact struct {
	Label  string
	Values []string
	Code   bool // something to copy, not words
}

// SecretState says which secrets an application has.
type SecretState struct{ Has, HasPrevious bool }

// LogoutTest is what came of the last try.
type LogoutTest struct {
	Tried    bool
	Answered bool
	Good     bool
	Status   int
}

// Client has a form for each action.
func (s *Set) Client(w http.ResponseWriter, status int, p ClientPage) error {
	v := struct {
		Page
		View    ClientPage
		Problem map[string]string
	}{p.Page, p, map[string]string{}}
	for _, e := range p.Errors {
		v.Problem[e.Field] = e.Message
	}
	return s.render(w, status, "console/client", v)
}

// ClientFormPage changes an application.
type ClientFormPage struct {
	Page
	Client ClientTab
	Title  string
	Acting bool // it is about signing in as others
	Bar    string
	Form   Form
}

// ClientForm posts to p.Form.Action.
func (s *Set) ClientForm(w http.ResponseWriter, status int, p ClientFormPage) error {
	return s.render(w, status, "console/client_form", p)
}

// ClientPreviewPage shows what tokens would say.
type ClientPreviewPage struct {
	Page
	Client      ClientTab
	Form        Form // sent with GET
	Computed    bool
	IDToken     string
	AccessToken string // empty: it is opaque
	SubjectName string
	ActorName   string
}

// ClientPreview sends p.Form with GET.
func (s *Set) ClientPreview(w http.ResponseWriter, status int, p ClientPreviewPage) error {
	return s.render(w, status, "console/client_preview", p)
}
