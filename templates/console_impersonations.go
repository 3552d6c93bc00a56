package templates

import (
	"net/http"
	"time"
)

// ImpersonationsPage lists impersonations: those that run, or those that are over.
// Each that runs and may be stopped has a form that posts to its StopURL; StopAllURL,
// where there is one, takes a form that posts confirm.
type ImpersonationsPage struct {
	Page
	Tabs       []Section
	Running    bool // those that run
	List       []Impersonation
	StopAllURL string
	Errors     []FieldError // of confirm
	OlderURL   string
	NewestURL  string
	Now        time.Time
}

// Impersonation is one of a list, or the subject of a page.
type Impersonation struct {
	ID, URL                            string
	ActorID, ActorName                 string
	SubjectID, SubjectName             string
	ClientID, ClientName, Organization string
	Reason, TicketRef                  string
	Access                             string // "read_only" or "full"
	Entry                              string // consent, console, api or token_exchange
	AskedBy                            string // the program that asked for it; empty: who acted
	Unsigned                           bool   // who acted did not sign in here for it
	StartedAt, EndsAt                  time.Time
	Running                            bool
	EndReason, EndedBy                 string
	StopURL                            string // where it may be stopped
	Notices                            []LogoutNotice
}

// LogoutNotice is what came of telling an application.
type LogoutNotice struct {
	ClientName, Status string // pending, delivered or failed
	Attempts           int64
	HTTPStatus         int64
	Error              string
}

// Lasted is how long it ran, or has been running.
func (i Impersonation) Lasted(now time.Time) time.Duration {
	if i.Running {
		return now.Sub(i.StartedAt)
	}
	return i.EndsAt.Sub(i.StartedAt)
}

// Impersonations has a form for each that may be stopped.
func (s *Set) Impersonations(w http.ResponseWriter, status int, p ImpersonationsPage) error {
	return s.render(w, status, "console/impersonations", p)
}

// ImpersonationPage shows one.
type ImpersonationPage struct {
	Page
	Impersonation
	AgainURL, EventsURL string
	Now                 time.Time
}

// Impersonation posts to p.StopURL.
func (s *Set) Impersonation(w http.ResponseWriter, status int, p ImpersonationPage) error {
	return s.render(w, status, "console/impersonation", p)
}

// DenialsPage lists attempts that a rule refused.
type DenialsPage struct {
	Page
	Tabs                []Section
	List                []DeniedAttempt
	OlderURL, NewestURL string
	Now                 time.Time
}

// DeniedAttempt is one that was refused.
type DeniedAttempt struct {
	Time                               time.Time
	ActorName, SubjectName, ClientName string
	Why, Reason                        string
	Rule                               string // of the policy, that refused; empty: a guard rail
}

// Denials has no form.
func (s *Set) Denials(w http.ResponseWriter, status int, p DenialsPage) error {
	return s.render(w, status, "console/denials", p)
}

// SupportRequestsPage lists what staff asked users to allow.
type SupportRequestsPage struct {
	Page
	Tabs []Section
	List []AskedUser
	Now  time.Time
}

// AskedUser is one question to a user.
type AskedUser struct {
	Time                               time.Time
	ActorName, SubjectName, ClientName string
	Reason, TicketRef                  string
	Status                             string // pending, approved, denied or expired
}

// SupportRequests has no form.
func (s *Set) SupportRequests(w http.ResponseWriter, status int, p SupportRequestsPage) error {
	return s.render(w, status, "console/requests", p)
}
