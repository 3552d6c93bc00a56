package templates

import (
	"net/http"
	"time"
)

// Approval is what somebody wants to do, for a second person to approve.
type Approval struct {
	ID, URL                              string
	ActorName, SubjectName, SubjectEmail string
	ClientName, Organization             string
	Reason, TicketRef                    string
	Access                               string // "read_only" or "full"
	Lasts                                time.Duration
	Status                               string // pending, approved, expired, denied, withdrawn or used
	Rule                                 string // of the policy that asks for it
	AskedBy                              string // the program that asked in the actor's place
	DecidedBy, Note                      string
	AskedAt                              time.Time
	EndsAt                               time.Time // of waiting, or of its worth
}

// ApprovalsPage lists what waits for the person to decide, and what else there is that
// they may see.
type ApprovalsPage struct {
	Page
	Tabs                []Section
	MayDecide           bool
	Waiting, List       []Approval
	OlderURL, NewestURL string
	Now                 time.Time
}

// Approvals has no form.
func (s *Set) Approvals(w http.ResponseWriter, status int, p ApprovalsPage) error {
	return s.render(w, status, "console/approvals", p)
}

// ApprovalPage shows one to whoever decides, or to the actor. Where there is DecideURL, a
// form posts note and, where Confirm asks for it, password to it with /approve or /deny
// behind it. Where there is StartURL, one posts StartFields to it; where there is
// WithdrawURL, one posts nothing.
type ApprovalPage struct {
	Page
	Approval
	Support           string // what the subject says about support access: as on their page, or "managed" or ""
	SupportEndsAt     time.Time
	SupportTicketRef  string
	DecideURL         string
	Confirm           bool
	NoteMax           int
	NoteText          string // that was typed, and not taken
	StartURL          string
	StartFields       []HiddenField
	WithdrawURL       string
	ImpersonationURL  string
	AgainURL, BackURL string
	Mine              bool // the person is the actor
	Errors            []FieldError
	Now               time.Time
}

// Problem is what is wrong with a field.
func (p ApprovalPage) Problem(field string) string {
	for _, e := range p.Errors {
		if e.Field == field {
			return e.Message
		}
	}
	return ""
}

// MustConfirm reports whether a form has to ask for the password.
func (p ApprovalPage) MustConfirm() bool { return p.Confirm }

// Approval posts to DecideURL, StartURL or WithdrawURL.
func (s *Set) Approval(w http.ResponseWriter, status int, p ApprovalPage) error {
	return s.render(w, status, "console/approval", p)
}

// AwaitApproval is the same for an actor who came from the consent page of an
// application: without the console around it.
func (s *Set) AwaitApproval(w http.ResponseWriter, status int, p ApprovalPage) error {
	return s.render(w, status, "approval", p)
}
