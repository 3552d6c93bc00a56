package handlers

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// danger is something that is done to somebody else only after a page has asked whether
// to, and for the password.
type danger struct {
	name string // the last part of the address, and what the page asks
	// whom returns the user, if staff may do it to them.
	whom func(*Server, *http.Request, *staff) (*target, error)
	// wrong says what is wrong with the form, at its fields; nil: nothing can be.
	wrong func(t *target, form url.Values) []templates.FieldError
	do    func(s *Server, w http.ResponseWriter, r *http.Request, st *staff, t *target) error
}

var (
	dangerDisable = &danger{name: "disable", whom: (*Server).another, do: (*Server).disableUser}
	dangerEnable  = &danger{name: "enable", whom: (*Server).another, do: (*Server).enableUser}
	dangerReset   = &danger{name: "password", whom: (*Server).another, do: (*Server).resetPassword}
	dangerDelete  = &danger{name: "delete", whom: (*Server).another, wrong: wrongEmail, do: (*Server).deleteUser}
	dangerRevoke  = &danger{name: "revoke", whom: (*Server).roleHolder, do: (*Server).revokeRole}
)

// ask shows the page that asks.
func (d *danger) ask(s *Server, w http.ResponseWriter, r *http.Request, st *staff) error {
	t, err := d.whom(s, r, st)
	if err != nil {
		return err
	}
	return d.show(s, w, r, st, t, http.StatusOK, nil, nil)
}

// act does it, when the form is right.
func (d *danger) act(s *Server, w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	t, err := d.whom(s, r, st)
	if err != nil {
		return err
	}
	problems, err := s.confirmedForm(w, r, st, form)
	if err != nil {
		return err
	}
	if d.wrong != nil {
		problems = append(d.wrong(t, form), problems...)
	}
	if len(problems) > 0 {
		return d.show(s, w, r, st, t, http.StatusBadRequest, form, problems)
	}
	return d.do(s, w, r, st, t)
}

func (d *danger) show(s *Server, w http.ResponseWriter, r *http.Request, st *staff, t *target, status int, form url.Values, problems []templates.FieldError) error {
	q := r.URL.Query()
	return s.pages.Danger(w, status, templates.DangerPage{
		Page: s.consoleFrame(r, st), Posted: templates.Posted{Errors: problems, MustConfirm: s.mustConfirm(st.Login)},
		URL: userURL(t.ID), Action: r.URL.RequestURI(), Name: t.DisplayName(), Email: t.Email, Deed: d.name, Typed: form.Get("email"),
		Role: q.Get("role"), Organization: q.Get("organization"),
	})
}

func (s *Server) disableUser(w http.ResponseWriter, r *http.Request, st *staff, t *target) error {
	if err := s.directory(st).Disable(r.Context(), t.ID, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=user_disabled")
	return nil
}

// enableUser lets a user sign in again.
func (s *Server) enableUser(w http.ResponseWriter, r *http.Request, st *staff, t *target) error {
	if err := s.directory(st).Enable(r.Context(), t.ID, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=user_enabled")
	return nil
}

// resetPassword gives a user a password that nobody has seen before and shows it, once:
// it is in this answer and nowhere else.
func (s *Server) resetPassword(w http.ResponseWriter, r *http.Request, st *staff, t *target) error {
	password := rand.Text()
	if err := s.directory(st).SetPassword(r.Context(), t.ID, password, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	return s.pages.NewPassword(w, http.StatusOK, templates.NewPasswordPage{
		Page: s.consoleFrame(r, st), URL: userURL(t.ID), Name: t.DisplayName(), Password: password,
	})
}

// wrongEmail wants the address of whoever is to be deleted.
func wrongEmail(t *target, form url.Values) []templates.FieldError {
	if storage.EmailKey(form.Get("email")) == t.EmailKey {
		return nil
	}
	return []templates.FieldError{{Field: "email", Message: "This is not their e-mail address."}}
}

func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request, st *staff, t *target) error {
	if err := s.directory(st).Delete(r.Context(), t.ID, s.by(r, st.Login), time.Now()); err != nil {
		return err
	}
	redirect(w, "/admin/users?done=user_deleted")
	return nil
}

// roleHolder returns somebody else who holds the role that the address names, where
// staff may take it away.
func (s *Server) roleHolder(r *http.Request, st *staff) (*target, error) {
	t, err := s.grantable(r, st)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	if provider.CheckParameters(q) != nil {
		return nil, errNoPage
	}
	role, err := s.role(r, q.Get("role"))
	if err != nil {
		return nil, err
	}
	place := ""
	if named := q.Get("organization"); named != "" {
		o, err := s.organizationNamed(r, named)
		if err != nil {
			return nil, err
		}
		if o == nil {
			return nil, errNoPage
		}
		place = o.ID
	}
	if role == nil {
		return nil, errNoPage
	}
	if !st.standing.May(provider.PermissionUsersWrite, place) || !provider.MayGrant(st.standing, *role, place) {
		return nil, &pageErr{
			Status: http.StatusForbidden, Code: "forbidden", Heading: "You may not take this role away",
			Message: "It has rights that you do not have there.", BackURL: userURL(t.ID), BackLabel: "Back to the user",
		}
	}
	return t, nil
}

func (s *Server) revokeRole(w http.ResponseWriter, r *http.Request, st *staff, t *target) error {
	q := r.URL.Query()
	err := s.directory(st).RevokeRole(r.Context(), t.ID, q.Get("role"), strings.TrimSpace(q.Get("organization")), s.by(r, st.Login), time.Now())
	if errors.Is(err, storage.ErrNotFound) {
		return errNoPage // it was not held
	}
	if err != nil {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=role_revoked")
	return nil
}
