package templates

import "net/http"

// LogoutPage asks whether to sign out. ClientName is the application that
// asked for it, if any.
type LogoutPage struct {
	Page
	Action     string
	Hidden     []HiddenField
	ClientName string
}

// Logout posts p.Hidden to p.Action.
func (s *Set) Logout(w http.ResponseWriter, status int, p LogoutPage) error {
	return s.render(w, status, "logout", p)
}

// LoggedOutPage says that it is done. Without a ReturnURL it offers to sign in.
// Astray says that the application named a place to go on to that is not its own.
type LoggedOutPage struct {
	Page
	ReturnURL, ReturnTo string // where a button leads, and what that is called
	Astray              bool
}

// LoggedOut has no form.
func (s *Set) LoggedOut(w http.ResponseWriter, status int, p LoggedOutPage) error {
	return s.render(w, status, "loggedout", p)
}
