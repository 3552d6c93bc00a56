package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// loginForm shows the login page: for a request that waits, or by itself.
func (s *Server) loginForm(w http.ResponseWriter, r *http.Request) error {
	i, p, err := s.loginPage(w, r)
	if err != nil {
		return err
	}
	if i == nil && p.Person != nil && !p.Reauth {
		redirect(w, "/")
		return nil
	}
	return s.pages.Login(w, http.StatusOK, p)
}

// loginPage prepares the page. Somebody who is signed in already is asked to show
// it again, with the account fixed; "Not you?" on the other pages signs them out.
func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) (*interaction, templates.LoginPage, error) {
	id := r.URL.Query().Get("interaction")
	if id == "" {
		l, err := s.currentLogin(r)
		p := templates.LoginPage{Page: s.frame(r, l), Action: "/login"}
		switch stop := r.URL.Query().Get(stopParameter); {
		case stop != "":
			p.Action += "?" + url.Values{stopParameter: {stop}}.Encode()
		case r.URL.Query().Get("again") == "1":
			p.Action += "?again=1"
			if l != nil {
				p.Reauth, p.Username = true, l.User.Email
			}
		}
		return nil, p, err
	}
	i, err := s.interaction(w, r, id)
	if err != nil {
		return nil, templates.LoginPage{}, err
	}
	p := templates.LoginPage{
		Page: s.frame(r, i.login), Action: "/login?interaction=" + url.QueryEscape(id), ClientName: i.request.Client.Name,
		Username: i.request.Form.Get("login_hint"),
	}
	if len(p.Username) > 200 || impersonation.IsHandle(p.Username) {
		p.Username = ""
	}
	if i.login != nil && i.request.HintFits(i.login) {
		p.Reauth, p.Username, p.SignOutURL = true, i.login.User.Email, signOutURL(i)
		p.ReauthToAct = i.row.Draft != ""
	}
	w.Header().Set("Content-Security-Policy", pagePolicy(originOf(i.request.GetRedirectURI().String())))
	return i, p, nil
}

// login checks a name and a password.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	i, p, err := s.loginPage(w, r)
	if err != nil {
		return err
	}
	name := form.Get("username")
	if p.Reauth {
		name = p.Username // the account is fixed, whatever the form says
	}
	p.Username = name
	now := time.Now()
	u, err := s.provider.CheckPassword(r.Context(), name, form.Get("password"), s.info(r), now)
	if err == nil {
		err = s.signIn(w, r, u)
	}
	if wait, ok := throttled(err); ok {
		p.RetryAfter = wait.Until.Sub(now)
		w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter/time.Second)+1))
		s.logAnswer(r, http.StatusTooManyRequests, "throttled", err)
		return s.pages.Login(w, http.StatusTooManyRequests, p)
	}
	if wrongCredentials(err) {
		p.Error = "The e-mail address or the password is not right."
		s.logAnswer(r, http.StatusUnauthorized, "wrong_credentials", err)
		return s.pages.Login(w, http.StatusUnauthorized, p)
	}
	if err != nil {
		return err
	}
	switch stop := r.URL.Query().Get(stopParameter); {
	case i != nil:
		redirect(w, "/oauth2/authorize/"+i.id)
	case stop != "":
		redirect(w, "/impersonation/stop?id="+url.QueryEscape(stop))
	default:
		redirect(w, s.after(w, r))
	}
	return nil
}

// throttled returns how long to wait where there were too many attempts.
func throttled(err error) (provider.Throttled, bool) { return errors.AsType[provider.Throttled](err) }

// wrongCredentials reports whether a password was wrong, and not merely not checked.
func wrongCredentials(err error) bool {
	return errors.Is(err, provider.ErrCredentials) && !errors.Is(err, storage.ErrUnavailable)
}

// postForm reads a form that a page of ours posted.
func postForm(r *http.Request) (url.Values, error) {
	if err := parseForm(r); err != nil {
		return nil, err
	}
	return r.PostForm, provider.CheckParameters(r.PostForm)
}

// parseForm reads the parameters of the query and of the body.
func parseForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return malformed(err)
	}
	return nil
}

// malformed says that a body could not be read, or that it is too large.
func malformed(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &pageErr{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: "The request is too large.", Cause: err}
	}
	return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The request is malformed.", Cause: err}
}
