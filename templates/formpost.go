package templates

import "net/http"

// FormPostPage sends Fields to the client's redirect URI, for
// response_mode=form_post. Nonce lets its one script run; without that, the
// person presses the button. It offers no languages: its policy lets no other form go.
type FormPostPage struct {
	Page
	Action string
	Fields []HiddenField
	Nonce  string
}

// FormPost posts p.Fields to p.Action, an http or https URL, as soon as the
// browser has read it.
func (s *Set) FormPost(w http.ResponseWriter, status int, p FormPostPage) error {
	return s.render(w, status, "formpost", p)
}
