package templates

import (
	"net/http"
	"time"
)

// ImpersonatePage is the dialog with which staff sign in as a user. Its form posts
// client_id, organization, reason, ticket_ref, access, duration, target_link_uri, and
// for callbacks redirect_uri, response_type, response_mode and state; delivery=link
// asks for a link instead; password, where Confirm asks for it.
type ImpersonatePage struct {
	Page
	Action, CloseURL                     string
	SubjectName, SubjectEmail, ActorName string
	Refused                              string // why this user cannot be signed in as at all
	Clients                              []Option
	Missing                              []MissingClient
	Unavailable                          bool // the application that was asked for is among Missing
	Choose                               bool // the first of Clients is none
	Callbacks                            []CallbackClient
	Organizations                        []Option
	Reason, ReasonCode                   string
	ReasonMin, ReasonMax                 int
	TicketRef                            string
	Suggested                            bool // a link filled in the ticket or names a reason
	Access                               string
	Durations                            []DurationOption
	TargetURI                            string
	RedirectURI, ResponseType, State     string
	ResponseMode                         string
	Confirm                              bool
	Owed                                 Owed
	RequestURL                           string // where to ask the user for permission instead
	ApprovalURL                          string // where to ask a second person for approval instead
	Errors                               []FieldError

	// Link, where there is one, is shown once, in place of the form.
	Link, ClientName string
	LinkEndsAt, Now  time.Time
}

// MissingClient is an application that is not offered.
type MissingClient struct{ Name, Why string }

// CallbackClient is an application that gets its answer unasked.
type CallbackClient struct {
	Name                        string
	RedirectURIs, ResponseTypes []string
}

// Impersonate posts to p.Action.
func (s *Set) Impersonate(w http.ResponseWriter, status int, p ImpersonatePage) error {
	v := impersonateView{ImpersonatePage: p, Problem: map[string]string{}}
	for _, e := range p.Errors {
		v.Problem[e.Field] = e.Message
		anchor := e.Field
		switch {
		case anchor == "subject", anchor == "callback", anchor == "organization" && len(p.Organizations) == 0:
			anchor = "client_id"
		}
		v.Summary = append(v.Summary, linkedError{anchor, e.Message})
	}
	return s.render(w, status, "console/impersonate", v)
}

// impersonateView is an ImpersonatePage with its errors at their fields.
type impersonateView struct {
	ImpersonatePage
	Summary []linkedError
	Problem map[string]string
}
