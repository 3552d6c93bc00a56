package templates

import (
	"net/http"
	"time"
)

// WaitingPage asks somebody who is about to sign in to an application whether they
// meant to do so as the user they asked for a moment ago. Its form posts choice: the
// id of a ticket, "me" or "deny".
type WaitingPage struct {
	Page
	Action                 string
	ClientName, ClientHost string
	Scopes                 []Scope
	Tickets                []WaitingTicket
}

// WaitingTicket is what they asked for.
type WaitingTicket struct {
	ID, SubjectName, SubjectEmail string
	Reason, TicketRef             string
	Access                        string // "read_only" or "full"
	Lasts                         time.Duration
}

// Waiting posts to p.Action.
func (s *Set) Waiting(w http.ResponseWriter, status int, p WaitingPage) error {
	return s.render(w, status, "waiting", p)
}

// LinkPage is what a one-time link leads to, for the person who asked for it. Its form
// posts password, where Confirm asks for it.
type LinkPage struct {
	Page
	Action                    string
	ActorName                 string
	SubjectName, SubjectEmail string
	ClientName                string
	Reason, TicketRef         string
	Access                    string // "read_only" or "full"
	Lasts                     time.Duration
	EndsAt, Now               time.Time // of the link
	Confirm                   bool
	Problem                   string // with the password
	Bearer                    bool   // nobody signs in: whoever sees the page acts as ActorName
}

// Link posts to p.Action.
func (s *Set) Link(w http.ResponseWriter, status int, p LinkPage) error {
	return s.render(w, status, "link", p)
}
