package templates

import "net/http"

// PassagePage leads on to a page of the console: a browser that came from another
// site shows it only to whoever goes there from here.
type PassagePage struct {
	Page
	URL string // the same page again
}

// Passage has no form. The caller sends a Refresh header.
func (s *Set) Passage(w http.ResponseWriter, status int, p PassagePage) error {
	return s.render(w, status, "passage", p)
}
