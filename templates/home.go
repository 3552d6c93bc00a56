package templates

import "net/http"

// HomePage is for somebody who is not signed in, and offers it.
type HomePage struct{ Page }

// Home has no form.
func (s *Set) Home(w http.ResponseWriter, status int, p HomePage) error {
	return s.render(w, status, "home", p)
}
