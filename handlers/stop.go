package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// stopForm asks whether to stop an impersonation. GET changes nothing.
func (s *Server) stopForm(w http.ResponseWriter, r *http.Request) error {
	i, by, err := s.stoppable(w, r, r.URL.Query().Get("id"))
	if err != nil || by == nil {
		return err
	}
	if !i.Running(time.Now()) {
		redirect(w, "/impersonation/stopped?id="+url.QueryEscape(i.ID))
		return nil
	}
	actor, subject, client, err := s.parties(r, i)
	if err != nil {
		return err
	}
	return s.pages.Stop(w, http.StatusOK, templates.StopPage{
		Page: s.frame(r, by.login), Action: "/impersonation/stop",
		Hidden:      []templates.HiddenField{{Name: "id", Value: i.ID}},
		AsSubject:   by.userID == i.SubjectID,
		SubjectName: subject, ActorName: actor, ClientName: client, Reason: i.Reason, TicketRef: i.TicketRef, Access: i.Access,
		StartedAt: i.StartedAt.Time(), EndsAt: i.ExpiresAt.Time(), Now: time.Now(),
	})
}

// stop ends an impersonation. Whose it is comes from the record, never from the
// request (SECURITY A13).
func (s *Server) stop(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	id := form.Get("id")
	i, by, err := s.stoppable(w, r, id)
	if err != nil || by == nil {
		return err
	}
	if by.login != nil {
		err = s.provider.Impersonation.Stop(r.Context(), i.ID, &by.login.User, s.info(r), time.Now())
	} else {
		cause := storage.Cause{By: by.userID, Reason: storage.EndStopped, Request: s.info(r)}
		err = s.provider.Impersonation.End(r.Context(), i.ID, cause, time.Now())
	}
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return err
	}
	redirect(w, "/impersonation/stopped?id="+url.QueryEscape(id))
	return nil
}

// stopped says that it is over, and who the person is again.
func (s *Server) stopped(w http.ResponseWriter, r *http.Request) error {
	i, by, err := s.stoppable(w, r, r.URL.Query().Get("id"))
	if err != nil || by == nil {
		return err
	}
	if !i.EndedAt.Set() && i.Running(time.Now()) {
		redirect(w, "/impersonation/stop?id="+url.QueryEscape(i.ID))
		return nil
	}
	actor, subject, client, err := s.parties(r, i)
	if err != nil {
		return err
	}
	ended := i.EndedAt.Time()
	if !i.EndedAt.Set() {
		ended = i.ExpiresAt.Time()
	}
	p := templates.StoppedPage{
		Page: s.frame(r, by.login), AsSubject: by.userID == i.SubjectID,
		ActorName: actor, SubjectName: subject, ClientName: client,
		Lasted: ended.Sub(i.StartedAt.Time()), Why: whyEnded(i.EndReason),
	}
	if c, err := s.store.Client(r.Context(), i.ClientID); err == nil && c.ClientURI != "" && !p.AsSubject {
		p.ReturnURL, p.ReturnTo = c.ClientURI, c.Name
	}
	if by.login != nil && by.userID == i.ActorID && i.Entry == "console" {
		p.UserURL, p.AgainURL = "/admin/users/"+url.PathEscape(i.SubjectID), askAgain(i.SubjectID, i.ClientID)
		p.RecordURL = "/admin/impersonations/" + url.PathEscape(i.ID)
	}
	return s.pages.Stopped(w, http.StatusOK, p)
}

// stopper is who may stop an impersonation: somebody signed in or, where it lies over
// no sign-in, its actor in the browser that it was started in.
type stopper struct {
	login  *storage.Login // nil: nobody is signed in
	userID string
}

// stoppable returns an impersonation that the person in front of the browser may
// stop. Nobody signed in is sent to the login page, and the stopper is nil. One
// that is not theirs is as good as none.
func (s *Server) stoppable(w http.ResponseWriter, r *http.Request, id string) (*storage.Impersonation, *stopper, error) {
	l, err := s.currentLogin(r)
	if err != nil {
		return nil, nil, err
	}
	if l != nil {
		i, err := s.provider.Impersonation.Of(r.Context(), id, &l.User)
		if !errors.Is(err, storage.ErrNotFound) {
			return i, &stopper{l, l.User.ID}, err
		}
	}
	i, err := s.store.Impersonation(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return nil, nil, err
	case err == nil && s.bears(r, i):
		return i, &stopper{nil, i.ActorID}, nil
	case l == nil:
		redirect(w, "/login?"+url.Values{stopParameter: {id}}.Encode())
		return nil, nil, nil
	}
	return nil, nil, errNoPage
}

// stopParameter holds the impersonation whose stop page waits behind the login
// page: an id, never an address (SECURITY C11).
const stopParameter = "stop"

// parties returns the names that a page shows.
func (s *Server) parties(r *http.Request, i *storage.Impersonation) (actor, subject, client string, err error) {
	a, err := s.store.User(r.Context(), i.ActorID)
	if err != nil {
		return "", "", "", err
	}
	u, err := s.store.User(r.Context(), i.SubjectID)
	if err != nil {
		return "", "", "", err
	}
	client = i.ClientID
	if c, err := s.store.Client(r.Context(), i.ClientID); err == nil {
		client = c.Name
	}
	return a.DisplayName(), u.DisplayName(), client, nil
}

func whyEnded(why storage.EndReason) string {
	switch why {
	case storage.EndExpired, "":
		return "The time was up."
	case storage.EndStopped:
		return ""
	case storage.EndSignedOut:
		return "It ended because you signed out."
	case storage.EndSwitchedOff:
		return "It ended because signing in as someone else was switched off."
	case storage.EndReusedToken:
		return "It ended because a token was used twice, which may mean that it leaked."
	}
	return "It ended because it is no longer allowed."
}
