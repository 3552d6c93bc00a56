package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// applications shows what the person is signed in to, and what they allowed it.
func (s *Server) applications(w http.ResponseWriter, r *http.Request, p *person) error {
	now := time.Now()
	all, err := s.store.Applications(r.Context(), p.User.ID, now)
	if err != nil {
		return err
	}
	page := templates.ApplicationsPage{Page: s.accountFrame(r, p)}
	for _, a := range all {
		shown := templates.UsedApplication{
			ID: a.ClientID, Name: a.Name, URL: a.ClientURI, AgreedAt: a.AgreedAt.Time(), SignedIn: a.Grants > 0, LastSignIn: a.LastUsed.Time(), Now: now,
		}
		if a.Name == "" {
			shown.Name = a.ClientID
		}
		for _, scope := range strings.Fields(a.Scope) {
			shown.Scopes = append(shown.Scopes, describe(scope))
		}
		page.Applications = append(page.Applications, shown)
	}
	return s.pages.Applications(w, http.StatusOK, page)
}

// revokeApplication takes back what the person allowed an application.
func (s *Server) revokeApplication(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	err = s.provider.RevokeConsent(r.Context(), p.User.ID, form.Get("client"), s.info(r), time.Now())
	if errors.Is(err, storage.ErrNotFound) {
		return &pageErr{
			Status: http.StatusNotFound, Code: "not_found", Message: "You have not allowed this application anything, or took it back already.",
			BackURL: "/account/applications", BackLabel: "Applications",
		}
	}
	if err != nil {
		return err
	}
	redirect(w, "/account/applications?done=application_revoked")
	return nil
}
