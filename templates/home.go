package templates

import (
	"net/http"
	"time"
)

// HomePage says who is signed in and as whom they are acting. Without a Person
// it offers to sign in.
type HomePage struct {
	Page
	Impersonations []ActiveImpersonation
	ActedAs        []ActedAs // latest first
}

// ActiveImpersonation is one the person can stop. StopURL leads to its StopPage.
type ActiveImpersonation struct {
	ID, SubjectName, ClientName, Reason string
	EndsAt, Now                         time.Time
	StopURL                             string
}

// ActedAs is one in which somebody else acted, or acts, as the person.
type ActedAs struct {
	ActorName, ClientName, Reason string
	StartedAt, EndsAt, Now        time.Time
	Running                       bool
	StopURL                       string // only while it runs
}

// Home has no form.
func (s *Set) Home(w http.ResponseWriter, status int, p HomePage) error {
	return s.render(w, status, "home", p)
}
