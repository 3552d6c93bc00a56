package templates

import "net/http"

// ErrorPage says what happened and what to do about it. RequestID is for the
// person to quote. Set BackURL only to a redirect URI that has been validated.
type ErrorPage struct {
	Page
	Status                         int
	Code, Heading, Message, Advice string
	RequestID                      string
	BackURL, BackLabel             string
}

// Error shows p.Status, which is status if the caller left it out.
func (s *Set) Error(w http.ResponseWriter, status int, p ErrorPage) error {
	if p.Status == 0 {
		p.Status = status
	}
	return s.render(w, status, "error", p)
}
