package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// home says who is signed in and as whom they act at the moment.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	l, err := s.currentLogin(r)
	if err != nil {
		return err
	}
	if l == nil {
		return s.pages.Home(w, http.StatusOK, templates.HomePage{})
	}
	now := time.Now()
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Actor: l.User.ID, Running: true, Limit: 50}, now)
	if err != nil {
		return err
	}
	p := templates.HomePage{Page: templates.Page{Person: personOf(&l.User)}}
	for _, i := range running {
		_, subject, client, err := s.parties(r, &i)
		if err != nil {
			return err
		}
		p.Impersonations = append(p.Impersonations, templates.ActiveImpersonation{
			ID: i.ID, SubjectName: subject, ClientName: client, Reason: i.Reason, EndsAt: i.ExpiresAt.Time(), Now: now,
			StopURL: "/impersonation/stop?id=" + url.QueryEscape(i.ID),
		})
	}
	return s.pages.Home(w, http.StatusOK, p)
}
