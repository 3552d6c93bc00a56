package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// Error is what a client is told: an OAuth error code, a description in the
// characters that the standards allow, and the HTTP status of a direct answer.
// The cause is for the log.
type Error struct {
	Code        string // RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core 3.1.2.6
	Description string
	Status      int
	Denial      string // the rule that refused an impersonation, where the client may know; empty: none
	Cause       error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Code + ": " + e.Description
	}
	return e.Code + ": " + e.Description + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// with returns a copy with another description.
func (e *Error) with(description string) *Error {
	c := *e
	c.Description = description
	return &c
}

// descriptive returns text in the characters that a description may have (RFC 6749
// section 5.2).
func descriptive(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}

// because returns a copy with a cause.
func (e *Error) because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// The errors that this package raises by itself.
var (
	errInvalidRequest       = &Error{Code: "invalid_request", Description: "The request is malformed.", Status: http.StatusBadRequest}
	errInvalidClient        = &Error{Code: "invalid_client", Description: "Client authentication failed.", Status: http.StatusUnauthorized}
	errInvalidGrant         = &Error{Code: "invalid_grant", Description: "The grant is invalid, expired, revoked or was issued to another client.", Status: http.StatusBadRequest}
	errInvalidScope         = &Error{Code: "invalid_scope", Description: "The requested scope is invalid, unknown or more than what was granted.", Status: http.StatusBadRequest}
	errInvalidTarget        = &Error{Code: "invalid_target", Description: "The requested resource is not one that the client may use.", Status: http.StatusBadRequest}
	errUnsupportedGrantType = &Error{Code: "unsupported_grant_type", Description: "The grant type is not supported.", Status: http.StatusBadRequest}
	errUnauthorizedClient   = &Error{Code: "unauthorized_client", Description: "The client may not use this grant type.", Status: http.StatusBadRequest}
	errUnsupportedResponse  = &Error{Code: "unsupported_response_type", Description: "The response type is missing or not one that the client may use.", Status: http.StatusBadRequest}
	errRequestNotSupported  = &Error{Code: "request_not_supported", Description: "Request objects are not supported.", Status: http.StatusBadRequest}
	errRequestURINotSupport = &Error{Code: "request_uri_not_supported", Description: "The request_uri parameter is not supported.", Status: http.StatusBadRequest}
	errRegistrationNotSup   = &Error{Code: "registration_not_supported", Description: "The registration parameter is not supported.", Status: http.StatusBadRequest}
	errInvalidRequestURI    = &Error{Code: "invalid_request_uri", Description: "The request_uri is not one that the application may use.", Status: http.StatusBadRequest}
	errInvalidRequestObject = &Error{Code: "invalid_request_object", Description: "The request object is not acceptable.", Status: http.StatusBadRequest}
	errLoginRequired        = &Error{Code: "login_required", Description: "The user has to sign in.", Status: http.StatusBadRequest}
	errConsentRequired      = &Error{Code: "consent_required", Description: "The user has to consent.", Status: http.StatusBadRequest}
	errUnmetAuthentication  = &Error{Code: "unmet_authentication_requirements", Description: "The authentication asked for cannot be met.", Status: http.StatusBadRequest}
	errAccessDenied         = &Error{Code: "access_denied", Description: "The request was denied.", Status: http.StatusBadRequest}
	errInvalidToken         = &Error{Code: "invalid_token", Description: "The access token is missing, expired, revoked or not for this.", Status: http.StatusUnauthorized}
	errUnavailable          = &Error{Code: "temporarily_unavailable", Description: "The service cannot answer now. Try again shortly.", Status: http.StatusServiceUnavailable}
	errServer               = &Error{Code: "server_error", Description: "Something went wrong.", Status: http.StatusInternalServerError}
)

// ErrMethod is the answer to a method that an address for applications does not take.
var ErrMethod error = &Error{Code: "invalid_request", Description: "This address does not take this method.", Status: http.StatusMethodNotAllowed}

// ErrPostOnly is the answer to any other method at a direct endpoint.
var ErrPostOnly error = &Error{Code: "invalid_request", Description: "Use POST.", Status: http.StatusMethodNotAllowed}

// ErrLoginRequired is what a client learns that asks for an answer without a page
// where there has to be one.
var ErrLoginRequired error = errLoginRequired

// ErrAccessDenied is how the person's refusal reaches the client.
var ErrAccessDenied error = errAccessDenied.with("The user refused.")

// AsError turns any error into what a client is told. What nobody mapped is
// server_error, never fosite's "error", and never a cause (fosite #36).
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUnavailable.because(err)
	case errors.Is(err, storage.ErrSpent):
		return errInvalidGrant.because(err)
	}
	if e, ok := errors.AsType[*fosite.RFC6749Error](err); ok {
		return fromFosite(e)
	}
	return errServer.because(err)
}

// fromFosite keeps fosite's code where it is one of the standards', in our words.
func fromFosite(e *fosite.RFC6749Error) *Error {
	cause := errors.New(strings.TrimSpace(e.HintField + " " + e.DebugField))
	if inner := e.Unwrap(); inner != nil {
		if errors.Is(inner, storage.ErrUnavailable) {
			return errUnavailable.because(inner) // a failure of ours, whatever fosite made of it
		}
		if _, ours := errors.AsType[*Error](inner); ours {
			return AsError(inner)
		}
		cause = inner
	}
	for _, known := range []*Error{
		errInvalidRequest, errInvalidClient, errInvalidGrant, errInvalidScope, errUnsupportedGrantType,
		errUnauthorizedClient, errUnsupportedResponse, errLoginRequired, errConsentRequired, errAccessDenied, errUnavailable,
	} {
		if e.ErrorField == known.Code {
			return known.because(cause)
		}
	}
	switch e.ErrorField {
	case "invalid_state", "unsupported_response_mode":
		return errInvalidRequest.because(cause)
	case "scope_not_granted", "token_expired":
		return errInvalidGrant.because(cause)
	}
	return errServer.because(cause)
}
