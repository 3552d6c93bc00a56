package templates

import "net/http"

// ErrorPage says what happened and what to do about it. Without a Heading it has
// one that fits the status. RequestID is for the person to quote. Set BackURL only
// to a redirect URI that has been validated.
type ErrorPage struct {
	Page
	Status                         int
	Code, Heading, Message, Advice string
	ActingAs                       string // in place of a heading: that the person acts as this one
	RequestID                      string
	BackURL, BackLabel             string
}

// Error shows p.Status, which is status if the caller left it out.
func (s *Set) Error(w http.ResponseWriter, status int, p ErrorPage) error {
	if p.Status == 0 {
		p.Status = status
	}
	if p.Heading == "" {
		p.Heading = headingOf(p.Status)
	}
	return s.render(w, status, "error", p)
}

func headingOf(status int) string {
	switch status {
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusNotFound:
		return "Page not found"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable:
		return "Not available at the moment"
	}
	if status >= http.StatusInternalServerError {
		return "Something went wrong"
	}
	return "This did not work"
}
