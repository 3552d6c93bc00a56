package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// home says who is signed in, as whom they act, and who acted as them.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	l, err := s.currentLogin(r)
	if err != nil {
		return err
	}
	if l == nil {
		return s.pages.Home(w, http.StatusOK, templates.HomePage{Page: s.frame(r, nil)})
	}
	now := time.Now()
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Actor: l.User.ID, Running: true, Limit: 50}, now)
	if err != nil {
		return err
	}
	p := templates.HomePage{Page: s.frame(r, l)}
	if p.ActedAs, err = s.actedAs(r, &l.User, now); err != nil {
		return err
	}
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

// shownHistory is how many impersonations of themselves a person sees at a glance.
const shownHistory = 20

// actedAs is who signed in as the person, and why (SECURITY A27).
func (s *Server) actedAs(r *http.Request, u *storage.User, now time.Time) ([]templates.ActedAs, error) {
	all, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Subject: u.ID, Limit: shownHistory}, now)
	if err != nil {
		return nil, err
	}
	var shown []templates.ActedAs
	for _, i := range all {
		actor, _, client, err := s.parties(r, &i)
		if err != nil {
			return nil, err
		}
		a := templates.ActedAs{
			ActorName: actor, ClientName: client, Reason: i.Reason, StartedAt: i.StartedAt.Time(), EndsAt: i.ExpiresAt.Time(),
			Now: now, Running: i.Running(now),
		}
		if i.EndedAt.Set() {
			a.EndsAt = i.EndedAt.Time()
		}
		if a.Running {
			a.StopURL = "/impersonation/stop?id=" + url.QueryEscape(i.ID)
		}
		shown = append(shown, a)
	}
	return shown, nil
}
