package handlers

import (
	"net/http"

	"github.com/understudy-id/understudy/templates"
)

// home offers to sign in, and leads whoever has to their account.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	l, err := s.currentLogin(r)
	if err != nil {
		return err
	}
	if l != nil {
		redirect(w, "/account")
		return nil
	}
	return s.pages.Home(w, http.StatusOK, templates.HomePage{Page: s.frame(r, nil)})
}
