package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// logoutForm is the end_session_endpoint by GET (OpenID Connect RP-Initiated
// Logout 1.0). A good hint for the session at hand ends it at once: the
// application that was signed in to proves with it that it is not just any site
// that sends the browser here. Everything else is asked first.
func (s *Server) logoutForm(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	return s.endSession(w, r, r.Form, false)
}

// logout is the same by POST, and the answer of the page. A form that another site
// posts brings no cookie of ours: the browser comes back with it by GET.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	confirmed := form.Get("confirmed") == "yes"
	if confirmed {
		if err := s.sameSite.Check(r); err != nil {
			return errCrossSite
		}
	}
	return s.endSession(w, r, form, confirmed)
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request, form url.Values, confirmed bool) error {
	asksForLanguages(r, form)
	request, err := s.provider.NewLogoutRequest(r.Context(), form)
	if err != nil {
		return err
	}
	login, err := s.currentLogin(r)
	if err != nil {
		return err
	}
	switch {
	case request.Hint != nil && request.Hint.Acting:
		return s.stopByHint(w, r, request, login)
	case login == nil && s.crossSite(r):
		redirect(w, "/oauth2/logout?"+again(form).Encode())
		return nil
	case login == nil && request.Hint != nil:
		err := s.provider.SignOutIdle(r.Context(), request, s.info(r))
		if err != nil && !errors.Is(err, storage.ErrSpent) {
			return err
		}
		return s.loggedOut(w, r, request)
	case login == nil:
		return s.loggedOut(w, r, request)
	case confirmed, request.Proves(login):
		if err := s.signOut(w, r); err != nil {
			return err
		}
		if id := form.Get("interaction"); confirmed && interactionID.MatchString(id) {
			redirect(w, "/oauth2/authorize/"+id) // somebody else signs in for the same application
			return nil
		}
		return s.loggedOut(w, r, request)
	}
	p := templates.LogoutPage{
		Page: s.frame(r, login), Action: "/oauth2/logout",
		Hidden: []templates.HiddenField{{Name: "confirmed", Value: "yes"}},
	}
	if id := form.Get("interaction"); interactionID.MatchString(id) {
		p.Hidden = append(p.Hidden, templates.HiddenField{Name: "interaction", Value: id})
	}
	if locales := form.Get(uiLocales); locales != "" {
		p.Hidden = append(p.Hidden, templates.HiddenField{Name: uiLocales, Value: locales})
	}
	if request.Client != nil {
		p.ClientName = request.Client.Name
	}
	if request.Redirect != "" {
		for _, name := range []string{"id_token_hint", "post_logout_redirect_uri", "state"} {
			p.Hidden = append(p.Hidden, templates.HiddenField{Name: name, Value: form.Get(name)})
		}
		w.Header().Set("Content-Security-Policy", pagePolicy(originOf(request.Redirect)))
	}
	return s.pages.Logout(w, http.StatusOK, p)
}

// stopByHint ends the impersonation that an ID token is from. The token proves
// that the application holds it, which is enough to stop and for nothing else: the
// actor's own session is not touched.
func (s *Server) stopByHint(w http.ResponseWriter, r *http.Request, request *provider.LogoutRequest, login *storage.Login) error {
	ctx, now := r.Context(), time.Now()
	i, err := s.store.Impersonation(ctx, request.Hint.SID)
	if err != nil || i.ClientID != request.Client.ID {
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return s.loggedOut(w, r, request)
	}
	cause := storage.Cause{Reason: storage.EndStopped, Request: s.info(r)} // by whoever holds the token
	if login != nil {
		cause.By = login.User.ID
	}
	if err := s.provider.Impersonation.End(ctx, i.ID, cause, now); err != nil && !errors.Is(err, storage.ErrSpent) {
		return err
	}
	if request.Redirect == "" {
		redirect(w, "/impersonation/stopped?id="+url.QueryEscape(i.ID))
		return nil
	}
	redirect(w, request.Redirect)
	return nil
}

// loggedOut goes where the request may go, or says that it is done.
func (s *Server) loggedOut(w http.ResponseWriter, r *http.Request, request *provider.LogoutRequest) error {
	if request.Redirect != "" {
		redirect(w, request.Redirect)
		return nil
	}
	p := templates.LoggedOutPage{Page: s.frame(r, nil), Astray: request.Astray}
	if c := request.Client; c != nil && c.ClientURI != "" {
		p.ReturnURL, p.ReturnTo = c.ClientURI, c.Name
	}
	return s.pages.LoggedOut(w, http.StatusOK, p)
}

// crossSite reports whether another site posts a form, so that cookies of ours
// were kept back (SameSite=Lax).
func (s *Server) crossSite(r *http.Request) bool { return s.sameSite.Check(r) != nil }

// again returns the parameters of RP-Initiated Logout 1.0 section 2, as they came.
func again(form url.Values) url.Values {
	kept := url.Values{}
	for _, name := range []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", uiLocales} {
		if values := form[name]; len(values) > 0 {
			kept[name] = values
		}
	}
	return kept
}

// interactionID is what the id of an interaction looks like.
var interactionID = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// signOutURL is where "Not you?" leads: somebody else may go on with the same
// request.
func signOutURL(i *interaction) string {
	return "/oauth2/logout?" + url.Values{"interaction": {i.id}}.Encode()
}
