package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/templates"
)

// passwordForm lets the person change their password.
func (s *Server) passwordForm(w http.ResponseWriter, r *http.Request, p *person) error {
	return s.pages.Password(w, http.StatusOK, templates.PasswordPage{Page: s.accountFrame(r, p)})
}

// changePassword keeps this sign-in, under a new id, and ends all others.
func (s *Server) changePassword(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	page := templates.PasswordPage{Page: s.accountFrame(r, p)}
	current, fresh := form.Get("current_password"), form.Get("new_password")
	problem := provider.NewPassword(fresh)
	if problem == "" && fresh == current {
		problem = "Choose another password than the one you have."
	}
	if problem != "" {
		page.Errors = []templates.FieldError{{Field: "new_password", Message: problem}}
		return s.pages.Password(w, http.StatusBadRequest, page)
	}
	now := time.Now()
	u, err := s.provider.ChangePassword(r.Context(), p.Login, current, fresh, s.info(r), now)
	if wait, ok := throttled(err); ok {
		page.RetryAfter = wait.Until.Sub(now)
		w.Header().Set("Retry-After", strconv.Itoa(int(page.RetryAfter/time.Second)+1))
		s.logAnswer(r, http.StatusTooManyRequests, "throttled", err)
		return s.pages.Password(w, http.StatusTooManyRequests, page)
	}
	if wrongCredentials(err) {
		page.Errors = []templates.FieldError{{Field: "current_password", Message: "This is not your password."}}
		s.logAnswer(r, http.StatusForbidden, "wrong_credentials", err)
		return s.pages.Password(w, http.StatusForbidden, page)
	}
	if err != nil {
		return err
	}
	if err := s.signIn(w, r, u); err != nil {
		return err
	}
	redirect(w, "/account/password?done=password_changed")
	return nil
}
