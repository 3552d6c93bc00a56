package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// problemErr is an error that a program reads (RFC 9457). Status and title are those
// that the document has for its code.
type problemErr struct {
	Code       string
	Detail     string
	Errors     []api.FieldError
	Denial     string
	Rule       string
	RetryAfter time.Duration
	Cause      error
}

func (e *problemErr) Error() string {
	text := e.Code
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	for _, f := range e.Errors {
		if strings.HasPrefix(f.Message, "there is no such") { // its name is anything, also a secret
			f.Field = "?"
		}
		text += fmt.Sprintf(" %s: %s;", f.Field, f.Message)
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *problemErr) Unwrap() error { return e.Cause }

// because adds the cause, which is for the log.
func (e *problemErr) because(cause error) *problemErr {
	e.Cause = cause
	return e
}

// invalidField is the problem of a request with one bad field.
func invalidField(field, message string) *problemErr {
	return &problemErr{Code: "invalid_request", Detail: badValues, Errors: []api.FieldError{{Field: field, Message: message}}}
}

const badValues = "The request has values that cannot be."

// unknown is the problem of a request that names in a field what is not there, or out of
// the caller's reach, which is the same (SECURITY F08). Any other error stays what it is.
func unknown(field string, err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return (&problemErr{
		Code: "unknown_reference", Detail: "Something that the request names does not exist.", Errors: []api.FieldError{{Field: field, Message: "there is none with this id"}},
	}).because(err)
}

// problem answers an error of the management API.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	e := asProblem(err)
	kind := api.Load().Problems[e.Code]
	h := w.Header()
	switch {
	case kind.Status == http.StatusUnauthorized: // RFC 6750 section 3
		h.Set("WWW-Authenticate", `Bearer realm="understudy", error="invalid_token"`)
		if len(r.Header.Values("Authorization")) == 0 { // nothing was presented, so nothing is wrong with it
			h.Set("WWW-Authenticate", `Bearer realm="understudy"`)
		}
	case e.Code == "insufficient_permission":
		h.Set("WWW-Authenticate", `Bearer realm="understudy", error="insufficient_scope"`)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	s.logAnswer(r, kind.Status, e.Code, err)
	p := api.Problem{
		Type: "urn:understudy:problem:" + e.Code, Title: kind.Title, Status: kind.Status, Code: e.Code, RequestID: requestID(r.Context()),
		Detail: unlessEmpty(e.Detail), Denial: unlessEmpty(e.Denial), Rule: unlessEmpty(e.Rule),
	}
	if len(e.Errors) > 0 {
		p.Errors = &e.Errors
	}
	b, err := json.Marshal(p)
	if err != nil { // our own struct
		kind.Status, b = http.StatusInternalServerError, nil
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(kind.Status)
	_, _ = w.Write(b) // the client is gone: nothing to do
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// asProblem says what a program is told of an error. What nobody mapped is ours.
func asProblem(err error) *problemErr {
	if e, ok := errors.AsType[*problemErr](err); ok {
		return e
	}
	if wrong, ok := errors.AsType[provider.Invalid](err); ok {
		p := (&problemErr{Code: "invalid_request", Detail: badValues}).because(err)
		for _, problem := range provider.ProblemsOf(wrong) {
			p.Errors = append(p.Errors, api.FieldError{Field: problem.Field, Message: problem.Message})
		}
		return p
	}
	if wrong := impersonation.RuleProblems(err); wrong != nil {
		p := (&problemErr{Code: "invalid_request", Detail: "The rules are not what can be decided by."}).because(err)
		for _, problem := range wrong {
			p.Errors = append(p.Errors, ruleFieldError(problem))
		}
		return p
	}
	if wrong, ok := errors.AsType[impersonation.SupportProblem](err); ok {
		return supportFieldError(wrong).because(err)
	}
	if wait, ok := errors.AsType[provider.Throttled](err); ok {
		return (&problemErr{Code: "rate_limited", RetryAfter: time.Until(wait.Until)}).because(err)
	}
	if denied, ok := errors.AsType[impersonation.Denial](err); ok {
		p := &problemErr{Code: "impersonation_denied", Denial: string(denied), Rule: impersonation.RuleOf(err), Detail: provider.DenialText(err)}
		if denied.OfLimits() { // SECURITY A26
			p.Code = "rate_limited"
		}
		if wait, ok := errors.AsType[impersonation.Wait](err); ok {
			p.RetryAfter = time.Until(wait.Until)
		}
		return p.because(err)
	}
	if denied, ok := errors.AsType[provider.RoleDenial](err); ok {
		if denied == provider.DenyReach {
			return (&problemErr{Code: "not_found"}).because(err)
		}
		return (&problemErr{Code: "not_permitted", Detail: denied.Message()}).because(err)
	}
	if refused, ok := errors.AsType[impersonation.Refusal](err); ok {
		return (&problemErr{Code: "not_permitted", Detail: refused.Message()}).because(err)
	}
	for _, known := range problemsOf {
		if errors.Is(err, known.err) {
			return (&problemErr{Code: known.code, Detail: known.detail, RetryAfter: known.wait}).because(err)
		}
	}
	e := provider.AsError(err)
	if _, known := api.Load().Problems[e.Code]; !known {
		return (&problemErr{Code: "server_error"}).because(err)
	}
	return (&problemErr{Code: e.Code, Detail: e.Description}).because(err)
}

// problemsOf are the problems that errors are, the first that fits.
var problemsOf = []struct {
	err    error
	code   string
	detail string
	wait   time.Duration
}{
	{provider.ErrBusy, "temporarily_unavailable", "", retryAfter},
	{storage.ErrUnavailable, "temporarily_unavailable", "", retryAfter},
	{context.DeadlineExceeded, "temporarily_unavailable", "", retryAfter},
	{context.Canceled, "temporarily_unavailable", "", retryAfter},
	{provider.ErrCursor, "invalid_cursor", "Begin again without one.", 0},
	{provider.ErrUnderWay, "idempotency_under_way", "Send it again in a moment.", retryAfter},
	{provider.ErrUnknownEnd, "idempotency_unknown_end", "Something was done. Look what, before you send it with another Idempotency-Key.", 0},
	{provider.ErrOtherUse, "idempotency_key_reused", "Choose another Idempotency-Key for another request.", 0},
	{provider.ErrMayNotSpeak, "not_permitted", "A key stands in only for a client that its maker may change.", 0},
	{provider.ErrMoreThanHeld, "not_permitted", "Nobody hands on permissions that they do not hold themselves.", 0},
	{provider.ErrMayNotChange, "not_permitted", "They have rights that the caller does not have, or belong where it may not change anybody.", 0},
	{provider.ErrBuiltInRole, "conflict", "It is built in.", 0},
	{provider.ErrLastAdministrator, "conflict", "Nobody would be left who may give roles.", 0},
	{provider.ErrRoleHeld, "conflict", "Somebody holds it. Take it from them first.", 0},
	{provider.ErrNoSecret, "conflict", "It has no secret.", 0},
	{provider.ErrTooManyWebhooks, "conflict", "There are as many webhooks as there may be. Delete one first.", 0},
	{impersonation.ErrNoApproval, "conflict", "Nobody has to approve this.", 0},
	{impersonation.ErrManaged, "conflict", "Support access is managed for everybody: users are not asked.", 0},
	{impersonation.ErrSaid, "conflict", "The user has decided about this themselves, and nobody says yes in their place.", 0},
	{impersonation.ErrAsked, "conflict", "Enough requests of this actor wait for an answer already.", 0},
	{impersonation.ErrApprovalsWaiting, "conflict", "Enough requests of this actor wait for approval already.", 0},
	{storage.ErrReference, "unknown_reference", "Something that the request names does not exist.", 0},
	{storage.ErrExists, "already_exists", "", 0},
	{storage.ErrNotFound, "not_found", "", 0},
	{storage.ErrPolicyChanged, "conflict", "There is a newer version than the one it is based on.", 0},
	{storage.ErrSpent, "conflict", "It was changed meanwhile, or has ended.", 0},
}

// errNoOperation and errOtherMethod are what is said of addresses below the API that no
// row of the table answers.
var (
	errNoOperation = &problemErr{Code: "not_found", Detail: "There is no operation at this address."}
	errOtherMethod = &problemErr{Code: "method_not_allowed"}
	errAPIPanic    = &problemErr{Code: "server_error"}
)
