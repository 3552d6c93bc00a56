package templates

import (
	"net/http"
	"time"
)

// LoginPage asks for a username and a password.
type LoginPage struct {
	Page
	Action     string
	ClientName string // the application that sent the person, if any
	Username   string
	Error      string
	RetryAfter time.Duration // > 0 says how long to wait before the next attempt
	// Reauth asks the person who is signed in for the password again; Username
	// is then fixed. ReauthToAct says that it is asked for to sign in as someone else.
	Reauth, ReauthToAct bool
	// SignOutURL is where "Not you?" leads; empty: the logout page.
	SignOutURL string
}

// Login posts username and password to p.Action.
func (s *Set) Login(w http.ResponseWriter, status int, p LoginPage) error {
	return s.render(w, status, "login", p)
}
