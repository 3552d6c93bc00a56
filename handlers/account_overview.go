package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// recently is for how long the overview tells that somebody acted as the person.
const recently = 14 * 24 * time.Hour

// ownAccount says who is signed in, as whom they act, and who acted as them lately.
func (s *Server) ownAccount(w http.ResponseWriter, r *http.Request, p *person) error {
	ctx, now := r.Context(), time.Now()
	page := templates.AccountPage{Page: s.accountFrame(r, p), EmailVerified: p.User.EmailVerified, Now: now}
	known := s.names()
	last, err := s.store.ActedAs(ctx, p.User.ID, storage.Span{Limit: pageSize})
	if err != nil {
		return err
	}
	for _, i := range last {
		if !i.Running(now) && (len(page.ActedAs) > 0 || now.Sub(i.StartedAt.Time()) > recently) {
			continue
		}
		a, err := known.actedAs(ctx, &i, now)
		if err != nil {
			return err
		}
		page.ActedAs = append(page.ActedAs, *a)
	}
	if page.ActingAs, err = s.actingAs(r, p, known, now); err != nil {
		return err
	}
	waiting, err := s.store.PendingSupportRequests(ctx, p.User.ID, now)
	if err != nil {
		return err
	}
	logins, err := s.store.LiveLogins(ctx, p.User.ID, now)
	if err != nil {
		return err
	}
	page.Requests, page.SignIns = len(waiting), len(logins)
	return s.pages.Account(w, http.StatusOK, page)
}

// actingAs is whom the person acts as, in any browser.
func (s *Server) actingAs(r *http.Request, p *person, known *names, now time.Time) ([]templates.ActiveImpersonation, error) {
	if !p.HasRole {
		return nil, nil // as nearly everybody
	}
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Actor: p.User.ID, Running: true, Limit: 50}, now)
	if err != nil {
		return nil, err
	}
	var shown []templates.ActiveImpersonation
	for _, i := range running {
		subject, err := known.user(r.Context(), i.SubjectID)
		if err != nil {
			return nil, err
		}
		client, err := known.client(r.Context(), i.ClientID)
		if err != nil {
			return nil, err
		}
		shown = append(shown, templates.ActiveImpersonation{
			ID: i.ID, SubjectName: subject, ClientName: client, Reason: i.Reason, EndsAt: i.ExpiresAt.Time(), Now: now,
			StopURL: "/impersonation/stop?id=" + url.QueryEscape(i.ID),
		})
	}
	return shown, nil
}

// signOutEverywhere ends all sign-ins of the person, this one last.
func (s *Server) signOutEverywhere(w http.ResponseWriter, r *http.Request, p *person) error {
	if err := s.provider.SignOutOthers(r.Context(), p.Login, s.info(r), time.Now()); err != nil {
		return err
	}
	if err := s.signOut(w, r); err != nil {
		return err
	}
	redirect(w, "/login")
	return nil
}
