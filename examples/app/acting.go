package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// acting says that the session's person is not who is really here.
type acting struct {
	Actor  string // the most readable name the provider gave
	Reason string
	Access string
	Until  time.Time
}

// actClaim is the actor of RFC 8693 section 4.1. Only sub is always there.
type actClaim struct {
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Email   string `json:"email"`
}

// readActing returns nil for an ordinary sign-in. The verified ID token alone
// decides that somebody acts; the token response only adds words to it.
func readActing(id *oidc.IDToken, token *oauth2.Token) (*acting, error) {
	var claims struct {
		Act *actClaim `json:"act"`
	}
	if err := id.Claims(&claims); err != nil {
		return nil, fmt.Errorf("read act: %w", err)
	}
	if claims.Act == nil {
		return nil, nil
	}
	var by struct{ Email, Reason string }
	var what struct {
		Access    string
		ExpiresAt json.RawMessage `json:"expires_at"`
	}
	if err := extra(token, "impersonator", &by); err != nil {
		return nil, err
	}
	if err := extra(token, "impersonation", &what); err != nil {
		return nil, err
	}
	act := claims.Act
	return &acting{
		Actor:  cmp.Or(act.Name, act.Email, by.Email, act.Subject),
		Reason: by.Reason,
		Access: what.Access,
		Until:  cmp.Or(instant(what.ExpiresAt), id.Expiry),
	}, nil
}

// extra reads a member of the token response into v; a missing one leaves v alone.
func extra(token *oauth2.Token, name string, v any) error {
	member := token.Extra(name)
	if member == nil {
		return nil
	}
	raw, err := json.Marshal(member)
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return fmt.Errorf("token response: %s: %w", name, err)
	}
	return nil
}

// instant reads an RFC 3339 text or a number of seconds, and the zero time from
// anything else.
func instant(raw json.RawMessage) time.Time {
	var t time.Time
	if json.Unmarshal(raw, &t) == nil {
		return t
	}
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil && seconds > 0 {
		return time.Unix(int64(seconds), 0)
	}
	return time.Time{}
}

// Left says how much time remains, as a person would.
func (a *acting) Left() string {
	minutes := int((time.Until(a.Until) + time.Minute - 1) / time.Minute)
	if minutes <= 1 {
		return "less than a minute left"
	}
	return fmt.Sprintf("%d min left", minutes)
}

// EndsAt is the machine-readable form of the end.
func (a *acting) EndsAt() string { return a.Until.UTC().Format(time.RFC3339) }
