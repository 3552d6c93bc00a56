// Package actor tells a relying party who is really there: support staff who act
// as one of its users have an `act` in the verified claims (RFC 8693 section 4.1).
//
// It needs the standard library alone and knows no provider. Everything it cannot
// read is an error and never "nobody acts": a session that may be somebody else's
// is not begun. Read actor.go for the claims, response.go for what a sign-in knows
// besides, guard.go for what handlers do with it.
package actor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// ErrUnclear is what every error about claims and responses wraps. A sign-in or a
// request that gives one is refused.
var ErrUnclear = errors.New("actor: unclear who acts")

// Actor is who really acts while somebody else is signed in. It is plain data, made
// to be kept in a session.
type Actor struct {
	Subject       string    `json:"sub"`                     // act.sub; what to decide by and to write into an audit log
	Email         string    `json:"email,omitempty"`         // a word to show, as Name and Reason are
	Name          string    `json:"name,omitempty"`          //
	Impersonation string    `json:"impersonation,omitempty"` // its id, which is the sid of the claims
	Expires       time.Time `json:"expires"`                 // no session may go on after that
	Access        Access    `json:"access,omitempty"`        // empty where only claims are known
	Reason        string    `json:"reason,omitempty"`
	StopURI       string    `json:"stop_uri,omitempty"` // a page of the provider on which to stop
}

// Access says what an actor may do.
type Access string

// What `impersonation.access` of a token response holds.
const (
	ReadOnly Access = "read_only"
	Full     Access = "full"
)

// From returns who acts according to verified claims: of an ID token, of an access
// token, or of an active introspection answer. It is nil when nobody does, that is
// when there is no `act`. It says nothing about a token that was not verified.
//
// An actor for whom somebody else acts (an `act` within `act`) is refused: whoever
// reads only the outer one would not know who is there.
func From(claims map[string]any) (*Actor, error) {
	if _, ok := subject(claims); !ok { // no claims, or {"active": false}
		return nil, unclear("sub: not a subject")
	}
	act, ok := claims["act"]
	if !ok {
		return nil, nil
	}
	who, ok := act.(map[string]any)
	if !ok {
		return nil, unclear("act: not an object")
	}
	if _, ok := who["act"]; ok {
		return nil, unclear("act.act: somebody acts as the actor")
	}
	a := &Actor{}
	if a.Subject, ok = subject(who); !ok {
		return nil, unclear("act.sub: not a subject")
	}
	if a.Expires, ok = numericDate(claims["exp"]); !ok {
		return nil, unclear("exp: not a time")
	}
	err := cmp.Or(
		text(who, "act.", "email", &a.Email),
		text(who, "act.", "name", &a.Name),
		text(claims, "", "sid", &a.Impersonation),
	)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// String is how a page calls the actor: by the most readable word there is.
func (a *Actor) String() string { return cmp.Or(a.Name, a.Email, a.Subject) }

// Expired reports whether the permission to act is over.
func (a *Actor) Expired(now time.Time) bool { return !now.Before(a.Expires) }

func unclear(format string, values ...any) error {
	return fmt.Errorf("%w: %w", ErrUnclear, fmt.Errorf(format, values...))
}

// subject returns the sub of claims, which has something in it to see.
func subject(claims map[string]any) (string, bool) {
	sub, ok := claims["sub"].(string)
	return sub, ok && strings.ContainsFunc(sub, func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
	})
}

// text reads a member that may be missing and must be a text otherwise.
func text(from map[string]any, path, name string, to *string) error {
	v, ok := from[name]
	if !ok {
		return nil
	}
	if *to, ok = v.(string); !ok {
		return unclear("%s%s: not a string", path, name)
	}
	return nil
}

// year10000 is the first second that RFC 3339 cannot write.
const year10000 = 253402300800

// numericDate reads seconds since the epoch (RFC 7519 section 2) in each of the
// types that JSON libraries have for them.
func numericDate(v any) (time.Time, bool) {
	var seconds float64
	switch n := v.(type) {
	case float64:
		seconds = n
	case int64:
		seconds = float64(n)
	case int:
		seconds = float64(n)
	case json.Number:
		var err error
		if seconds, err = n.Float64(); err != nil {
			return time.Time{}, false
		}
	}
	if !(seconds >= 1 && seconds < year10000) { // NaN is neither
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}
