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
}

// ActiveImpersonation is one the person can stop. StopURL leads to its StopPage.
type ActiveImpersonation struct {
	ID, SubjectName, ClientName, Reason string
	EndsAt, Now                         time.Time
	StopURL                             string
}

// Home has no form.
func (s *Set) Home(w http.ResponseWriter, status int, p HomePage) error {
	return s.render(w, status, "home", p)
}
