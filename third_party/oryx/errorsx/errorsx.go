// Package errorsx has the part of ory/x/errorsx that fosite calls: an error
// wrapper that here adds nothing, and the interfaces by which an error carries
// what its answer should say.
package errorsx

import "errors"

// WithStack returns err as it is. The original captures a stack on every error
// path; our errors say where they come from in their text.
func WithStack(err error) error { return err }

// Cause returns the innermost error that err wraps, or err itself.
func Cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// StatusCodeCarrier is an error that knows its HTTP status code.
type StatusCodeCarrier interface{ StatusCode() int }

// RequestIDCarrier is an error that knows the request it belongs to.
type RequestIDCarrier interface{ RequestID() string }

// ReasonCarrier is an error that knows its reason.
type ReasonCarrier interface{ Reason() string }

// DebugCarrier is an error with text for developers only.
type DebugCarrier interface{ Debug() string }

// StatusCarrier is an error that knows its HTTP status line.
type StatusCarrier interface{ Status() string }

// DetailsCarrier is an error with structured details.
type DetailsCarrier interface{ Details() map[string]any }
