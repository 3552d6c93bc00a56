package app

import (
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/examples/actor"
)

// acting says that the session's person is not who is really here.
type acting struct{ *actor.Actor }

// readActing returns nil for an ordinary sign-in. The verified ID token alone
// decides that somebody acts; the token response only adds words to it.
func readActing(id *oidc.IDToken, token *oauth2.Token) (*acting, error) {
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	a, err := actor.FromResponse(claims, token.Extra)
	if err != nil || a == nil {
		return nil, err
	}
	return &acting{a}, nil
}

// sameAs reports whether the same person acts, or in both cases nobody.
func (a *acting) sameAs(b *acting) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Subject == b.Subject && a.Impersonation == b.Impersonation
}

// Left says how much time remains, as a person would.
func (a *acting) Left() string {
	minutes := int((time.Until(a.Expires) + time.Minute - 1) / time.Minute)
	if minutes <= 1 {
		return "less than a minute left"
	}
	return fmt.Sprintf("%d min left", minutes)
}

// EndsAt is the machine-readable form of the end.
func (a *acting) EndsAt() string { return a.Expires.UTC().Format(time.RFC3339) }
