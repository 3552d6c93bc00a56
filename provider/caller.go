package provider

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Caller is whoever calls the management API: an API key, or a client with a token of
// its own. It has a standing as a person has one, and every rule is asked about it.
type Caller struct {
	ID           string // of the key or the client; what the record names
	Name         string
	Standing     storage.Standing
	Organization string // the one that it is limited to; empty: it is not
	ClientID     string // the client that it speaks for; empty: none
}

// Permissions are what the caller may do, everywhere or within its organization.
func (c *Caller) Permissions() []string {
	if c.Organization != "" {
		return c.Standing.Within[c.Organization]
	}
	return c.Standing.Everywhere
}

// Knows reports whether the caller may know that there is a client: whoever is limited to
// an organization knows those at which its members sign in (SECURITY F08).
func (c *Caller) Knows(client *storage.Client) bool {
	return c.Organization == "" || len(client.Organizations) == 0 || slices.Contains(client.Organizations, c.Organization)
}

// ErrActing is the answer to a token of somebody who acts as another, where nobody does
// that (SECURITY A17).
var ErrActing error = &Error{
	Code: "impersonation_forbidden", Status: http.StatusForbidden,
	Description: "This token is of somebody who acts as another. They cannot do this.",
}

// Caller returns who calls the management API. What it presents must be in the
// Authorization header: an API key that is live, or a JWT or opaque access token that a
// client got for itself, is for this provider, and whose client is registered for that.
func (p *Provider) Caller(r *http.Request, now time.Time) (*Caller, error) {
	token, err := bearerInHeader(r)
	if err != nil {
		return nil, err
	}
	return p.CallerWith(r.Context(), token, now)
}

// CallerWith is Caller for a credential that came in another place than that header.
func (p *Provider) CallerWith(ctx context.Context, credential string, now time.Time) (*Caller, error) {
	switch {
	case credential == "":
		return nil, errInvalidToken
	case strings.HasPrefix(credential, prefixAPIKey):
		return p.keyCaller(ctx, credential, now)
	}
	return p.clientCaller(ctx, credential, now)
}

func (p *Provider) keyCaller(ctx context.Context, secret string, now time.Time) (*Caller, error) {
	k, err := p.store.APIKeyBySecret(ctx, storage.Hash(secret))
	if errors.Is(err, storage.ErrNotFound) || err == nil && !k.Live(now) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	p.used.note(k, now)
	c := &Caller{ID: k.ID, Name: k.Name, Standing: k.Standing()}
	if k.OrganizationID != nil {
		c.Organization = *k.OrganizationID
	}
	if k.ClientID != nil {
		c.ClientID = *k.ClientID
	}
	return c, nil
}

// clientCaller takes the scopes of a client's own token for permissions, those for which
// it is still registered. The client's registration must name the issuer as an audience:
// a scope that was registered for somebody else's API opens nothing here, whatever it is
// called. Clients that registered themselves are never let in.
func (p *Provider) clientCaller(ctx context.Context, token string, now time.Time) (*Caller, error) {
	a, err := p.active(ctx, token, now)
	if errors.Is(err, errInactive) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	switch {
	case a.claims.Act != nil:
		return nil, ErrActing
	case a.kind != storage.AccessToken, a.granted != nil, !slices.Contains(a.claims.Audience, p.config.Issuer):
		return nil, errInvalidToken
	}
	c, err := p.store.Client(ctx, a.claims.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if c.RegisteredWith != "" || !slices.Contains(c.Audience, p.config.Issuer) {
		return nil, errInvalidToken
	}
	registered := strings.Fields(c.Scope)
	held := slices.DeleteFunc(strings.Fields(a.claims.Scope), func(scope string) bool {
		return !slices.Contains(permissions, scope) || !slices.Contains(registered, scope) // what was taken from the client since
	})
	return &Caller{
		ID: c.ID, Name: c.Name, ClientID: c.ID, Standing: storage.Standing{Everywhere: held, Within: map[string]storage.List{}},
	}, nil
}
