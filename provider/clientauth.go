package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// authenticateClient finds out which client calls the token endpoint. It is
// fosite's ClientAuthenticationStrategy. A request does it once; its first Write
// spends the assertion, if there is one.
func (p *Provider) authenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	w := workOf(ctx)
	if w.client == nil {
		c, a, err := p.authenticate(ctx, r, form)
		if err != nil {
			return nil, err
		}
		w.client, w.assertion = c, a
	}
	return oauthClient{Client: w.client}, nil
}

// client finds out which client calls another direct endpoint, and spends its
// assertion, if there is one, at once.
func (p *Provider) client(ctx context.Context, r *http.Request, form url.Values) (*storage.Client, error) {
	c, a, err := p.authenticate(ctx, r, form)
	if err == nil && a != nil {
		err = p.store.Write(ctx, func(tx *storage.Tx) error { return a.spend(ctx, tx) })
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// authenticate finds out which client a request is from: a client has one method,
// the one it is registered with, and uses no other (SECURITY F04). Where that is an
// assertion the caller has to spend it.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (*storage.Client, *assertion, error) {
	given, err := credentialsOf(r, form)
	if err != nil {
		return nil, nil, err
	}
	c, err := p.store.Client(ctx, given.id)
	if errors.Is(err, storage.ErrNotFound) {
		c = &storage.Client{} // costs what a known client costs (SECURITY F06)
	} else if err != nil {
		return nil, nil, err
	}
	entitled := c.ID != "" && c.Status == storage.ClientActive && c.TokenEndpointAuthMethod == given.method
	switch given.method {
	case authPrivateKey:
		if entitled {
			a, err := p.assertion(ctx, c, given.assertion, time.Now())
			return c, a, err
		}
		p.clientKeys.pretend(given.assertion.jwt)
	case authNone:
		if entitled {
			return c, nil, nil
		}
	default:
		if secretMatches(c, given.secret) && entitled {
			return c, nil, nil
		}
	}
	return nil, nil, errInvalidClient
}

// The ways in which a client authenticates.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

var (
	errTwoMethods  = errInvalidRequest.with("Authenticate the client in one way only.")
	errOtherClient = errInvalidRequest.with("The client_id is not that of the authenticated client.")
)

type credentials struct {
	id, secret, method string
	assertion          *asserted
}

// credentialsOf reads what the request presents. Two methods in one request, and
// a client_id in the body that is not the authenticated one, are refused (RFC
// 6749 section 2.3, fosite #2).
func credentialsOf(r *http.Request, form url.Values) (credentials, error) {
	inBody := credentials{id: form.Get("client_id"), secret: form.Get("client_secret"), method: authNone}
	if form.Has("client_secret") {
		inBody.method = authPost
	}
	header := r.Header.Values("Authorization")
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		if len(header) > 0 || inBody.method != authNone {
			return credentials{}, errTwoMethods
		}
		return assertionIn(form)
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
		return credentials{}, errOtherClient
	}
	return credentials{id: id, secret: secret, method: authBasic}, nil
}

// assertionIn reads the assertion of a form. A client_id is not needed (RFC 7521
// section 4.2); one that is there names the same client (fosite #2).
func assertionIn(form url.Values) (credentials, error) {
	if form.Get("client_assertion_type") != assertionType {
		return credentials{}, errInvalidClient.with("The client_assertion_type is not supported.")
	}
	a, err := parseAssertion(form.Get("client_assertion"))
	if err != nil {
		return credentials{}, errInvalidClient.because(err)
	}
	if form.Has("client_id") && form.Get("client_id") != a.Subject {
		return credentials{}, errOtherClient
	}
	return credentials{id: a.Subject, method: authPrivateKey, assertion: a}, nil
}

// secretMatches compares without telling by its time where two hashes differ.
func secretMatches(c *storage.Client, secret string) bool {
	hash := storage.Hash(secret)
	current := subtle.ConstantTimeCompare(hash, c.SecretHash)
	previous := subtle.ConstantTimeCompare(hash, c.PreviousSecretHash)
	return secret != "" && current|previous == 1
}
