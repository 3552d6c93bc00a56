package templates

import (
	"net/http"
	"time"
)

// StopPage asks the actor, or the subject, to confirm the end of an impersonation.
type StopPage struct {
	Page
	Action                             string
	Hidden                             []HiddenField
	AsSubject                          bool // the person is who is acted as, not who acts
	SubjectName, ActorName, ClientName string
	Reason, TicketRef                  string
	Access                             string // "read_only" or "full"
	StartedAt, EndsAt, Now             time.Time
}

// Stop posts p.Hidden to p.Action.
func (s *Set) Stop(w http.ResponseWriter, status int, p StopPage) error {
	return s.render(w, status, "stop", p)
}

// StoppedPage says that the actor is back as themselves. Why is a sentence,
// needed when it was not the actor who ended it.
type StoppedPage struct {
	Page
	AsSubject                          bool
	ActorName, SubjectName, ClientName string
	Lasted                             time.Duration
	Why                                string
	ReturnURL, ReturnTo                string // where a button leads, and what that is called
	// Where the actor started it, in the console; empty: elsewhere.
	UserURL, AgainURL, RecordURL string
}

// Stopped has no form.
func (s *Set) Stopped(w http.ResponseWriter, status int, p StoppedPage) error {
	return s.render(w, status, "stopped", p)
}
