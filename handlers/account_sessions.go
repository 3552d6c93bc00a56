package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// signIns shows where the person is signed in.
func (s *Server) signIns(w http.ResponseWriter, r *http.Request, p *person) error {
	now := time.Now()
	live, err := s.store.LiveLogins(r.Context(), p.User.ID, now)
	if err != nil {
		return err
	}
	page := templates.SignInsPage{Page: s.accountFrame(r, p)}
	for _, l := range live {
		page.SignIns = append(page.SignIns, templates.SignIn{
			SID: l.SID, Device: device(l.UserAgent, l.IP), Here: l.SID == p.SID, Since: l.CreatedAt.Time(), LastUsed: l.LastSeenAt.Time(), Now: now,
		})
	}
	return s.pages.SignIns(w, http.StatusOK, page)
}

// endSignIn ends one sign-in of the person's, or all others.
func (s *Server) endSignIn(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if form.Get("action") == "others" {
		if err := s.provider.SignOutOthers(r.Context(), p.Login, s.info(r), time.Now()); err != nil {
			return err
		}
		redirect(w, "/account/sessions?done=sessions_ended")
		return nil
	}
	err = s.provider.SignOutOf(r.Context(), p.Login, form.Get("sid"), s.info(r), time.Now())
	if errors.Is(err, storage.ErrNotFound) {
		return &pageErr{
			Status: http.StatusNotFound, Code: "not_found", Message: "You have no such sign-in, or it has ended.",
			BackURL: "/account/sessions", BackLabel: "Sessions",
		}
	}
	if err != nil {
		return err
	}
	redirect(w, "/account/sessions?done=session_ended")
	return nil
}
