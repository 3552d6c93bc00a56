package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// pageErr is an error that a person reads.
type pageErr struct {
	Status                int
	Code, Message, Advice string
	Heading               string // empty: one that fits the status
	ActingAs              string // in place of a heading: that the person acts as this one
	BackURL, BackLabel    string
	Cause                 error
	RetryAfter            time.Duration
}

func (e *pageErr) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Cause.Error()
	}
	return e.Code
}

func (e *pageErr) Unwrap() error { return e.Cause }

var (
	errNoPage    = &pageErr{Status: http.StatusNotFound, Code: "not_found", Message: "There is no page at this address."}
	errMethod    = &pageErr{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "This address does not take that kind of request."}
	errPanic     = &pageErr{Status: http.StatusInternalServerError, Code: "server_error", Message: "Something went wrong on our side."}
	errCrossSite = &pageErr{
		Status: http.StatusForbidden, Code: "cross_site_request", Message: "This form was sent from another site, so nothing was done.",
		Advice: "Open the page here and send the form again.",
	}
	errInteraction = &pageErr{
		Status: http.StatusBadRequest, Code: "interaction_expired", Message: "This sign-in has expired, was finished already, or was started in another browser.",
		Advice: "Go back to the application and start again.",
	}
)

// retryAfter is what a caller is told to wait when we cannot answer.
const retryAfter = 2 * time.Second

// fail answers an error in the form that the caller of a route expects.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, k kind, err error) {
	switch k {
	case page, entry:
		s.pageError(w, r, err)
	case management:
		s.problem(w, r, err)
	default:
		s.oauthError(w, r, err)
	}
}

// oauthError answers with OAuth's JSON (RFC 6749 section 5.2, RFC 6750 section 3).
func (s *Server) oauthError(w http.ResponseWriter, r *http.Request, err error) {
	e := provider.AsError(err)
	oauthHeaders(w.Header(), e, err)
	s.logAnswer(r, e.Status, e.Code, err)
	writeJSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
		Denial      string `json:"denial,omitempty"`
	}{e.Code, e.Description, e.Denial})
}

// oauthHeaders sets what the answer of an error says beside its body.
func oauthHeaders(h http.Header, e *provider.Error, err error) {
	switch {
	case e.Status == http.StatusUnauthorized && e.Code == "invalid_client":
		h.Set("WWW-Authenticate", `Basic realm="understudy", charset="UTF-8"`) // fosite #12
	case e.Code == "invalid_token" || e.Code == "insufficient_scope":
		h.Set("WWW-Authenticate", `Bearer realm="understudy", error="`+e.Code+`", error_description="`+e.Description+`"`)
	case e.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	case e.Status == http.StatusMethodNotAllowed && h.Get("Allow") == "":
		h.Set("Allow", "POST")
	}
	if wait, ok := errors.AsType[provider.Throttled](err); ok {
		h.Set("Retry-After", strconv.Itoa(int(time.Until(wait.Until)/time.Second)+1))
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone: nothing to do
}

// pageError answers with a page that says what happened, what to do, and a
// reference to quote.
func (s *Server) pageError(w http.ResponseWriter, r *http.Request, err error) {
	e := asPageErr(err)
	s.logAnswer(r, e.Status, e.Code, err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Round(time.Second).Seconds())))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", pagePolicy(""))
	p := templates.ErrorPage{
		Page: s.frame(r, nil),
		Code: e.Code, Heading: e.Heading, Message: e.Message, Advice: e.Advice, RequestID: requestID(r.Context()),
		ActingAs: e.ActingAs, BackURL: e.BackURL, BackLabel: e.BackLabel,
	}
	if err := s.pages.Error(w, e.Status, p); err != nil {
		http.Error(w, e.Message, e.Status)
	}
}

func isRoleDenial(err error) bool {
	_, denied := errors.AsType[provider.RoleDenial](err)
	return denied
}

func asPageErr(err error) *pageErr {
	if e, ok := errors.AsType[*pageErr](err); ok {
		return e
	}
	switch {
	case errors.Is(err, provider.ErrBusy), errors.Is(err, storage.ErrUnavailable):
		return &pageErr{
			Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Message: "We cannot answer at the moment.",
			Advice: "Try again in a few seconds.", RetryAfter: retryAfter, Cause: err,
		}
	case errors.Is(err, provider.ErrMayNotChange), isRoleDenial(err):
		return &pageErr{
			Status: http.StatusForbidden, Code: "forbidden", Heading: "You may not change this user",
			Message: "They have rights that you do not have, or belong where you may not change anybody.", Cause: err,
		}
	case errors.Is(err, storage.ErrSpent), errors.Is(err, storage.ErrNotFound):
		e := *errInteraction
		e.Cause = err
		return &e
	}
	e := provider.AsError(err)
	p := &pageErr{Status: e.Status, Code: e.Code, Message: e.Description, Cause: err}
	switch e.Status {
	case http.StatusUnauthorized:
		p.Status = http.StatusBadRequest // an unknown application; there is nothing to authenticate with
	case http.StatusServiceUnavailable:
		p.RetryAfter, p.Advice = retryAfter, "Try again in a few seconds."
	case http.StatusBadRequest:
		p.Advice = "Go back to the application and start again. If it happens again, tell its makers what is written here."
	}
	return p
}
