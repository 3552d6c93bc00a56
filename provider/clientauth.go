package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// authenticateClient finds out which client calls a direct endpoint. It is
// fosite's ClientAuthenticationStrategy: a client has one method, the one it is
// registered with, and uses no other (SECURITY F04).
func (p *Provider) authenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	c, err := p.client(ctx, r, form)
	if err != nil {
		return nil, err
	}
	return oauthClient{Client: c}, nil
}

func (p *Provider) client(ctx context.Context, r *http.Request, form url.Values) (*storage.Client, error) {
	given, err := credentialsOf(r, form)
	if err != nil {
		return nil, err
	}
	c, err := p.store.Client(ctx, given.id)
	if errors.Is(err, storage.ErrNotFound) {
		c = &storage.Client{} // costs what a known client costs (SECURITY F06)
	} else if err != nil {
		return nil, err
	}
	secretOK := secretMatches(c, given.secret)
	switch {
	case c.ID == "", c.Status != storage.ClientActive, c.TokenEndpointAuthMethod != given.method:
		return nil, errInvalidClient
	case given.method != authNone && !secretOK:
		return nil, errInvalidClient
	}
	return c, nil
}

// The ways in which a client authenticates.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

var errTwoMethods = errInvalidRequest.with("Authenticate the client in one way only.")

type credentials struct{ id, secret, method string }

// credentialsOf reads what the request presents. Two methods in one request, and
// a client_id in the body that is not the authenticated one, are refused (RFC
// 6749 section 2.3, fosite #2).
func credentialsOf(r *http.Request, form url.Values) (credentials, error) {
	inBody := credentials{form.Get("client_id"), form.Get("client_secret"), authNone}
	if form.Has("client_secret") {
		inBody.method = authPost
	}
	header := r.Header.Values("Authorization")
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		if len(header) > 0 || inBody.method != authNone {
			return credentials{}, errTwoMethods
		}
		return credentials{}, errInvalidClient.with("Client assertions are not supported.")
	}
	if len(header) == 0 {
		if inBody.id == "" {
			return credentials{}, errInvalidClient
		}
		return inBody, nil
	}
	id, secret, ok := r.BasicAuth()
	if !ok || len(header) > 1 {
		return credentials{}, errInvalidClient
	}
	// Both are form-encoded before they are put together (RFC 6749 section 2.3.1).
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	switch {
	case errID != nil || errSecret != nil || id == "":
		return credentials{}, errInvalidClient
	case inBody.method != authNone:
		return credentials{}, errTwoMethods
	case inBody.id != "" && inBody.id != id:
		return credentials{}, errInvalidRequest.with("The client_id is not that of the authenticated client.")
	}
	return credentials{id, secret, authBasic}, nil
}

// secretMatches compares without telling by its time where two hashes differ.
func secretMatches(c *storage.Client, secret string) bool {
	hash := storage.Hash(secret)
	current := subtle.ConstantTimeCompare(hash, c.SecretHash)
	previous := subtle.ConstantTimeCompare(hash, c.PreviousSecretHash)
	return secret != "" && current|previous == 1
}
