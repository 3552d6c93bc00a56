package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Who may register clients at the registration endpoint. Any other value: nobody.
const (
	RegistrationWithToken = "token" // who has an initial access token
	RegistrationOpen      = "open"  // everybody, so many an hour
)

// registrationPath is where the registration endpoint is, and below it each client's
// client configuration endpoint (RFC 7592 section 2).
const registrationPath = "/oauth2/register"

// prefixRegistration is what a registration access token begins with.
const prefixRegistration = "urt_"

// What one network may cost in an hour: new clients where everybody may register,
// and documents that we fetch for it.
const (
	maxRegistrations = 20
	maxSectorFetches = 100
)

var (
	errInvalidMetadata     = &Error{Code: "invalid_client_metadata", Description: "The client metadata are not valid.", Status: http.StatusBadRequest}
	errInvalidRedirectURI  = &Error{Code: "invalid_redirect_uri", Description: "A redirect URI is not valid.", Status: http.StatusBadRequest}
	errInvalidStatement    = &Error{Code: "invalid_software_statement", Description: "The software statement is not a JWT.", Status: http.StatusBadRequest}
	errUnapprovedStatement = &Error{Code: "unapproved_software_statement", Description: "Software statements are not accepted.", Status: http.StatusBadRequest}
	errNoRegistration      = &Error{Code: "not_found", Description: "Clients cannot register themselves here.", Status: http.StatusNotFound}
	errOperators           = &Error{Code: "access_denied", Description: "An operator vouches for this client, so only operators change it.", Status: http.StatusForbidden}
	errTooMany             = &Error{Code: "temporarily_unavailable", Description: "Too many requests from this network. Try again later.", Status: http.StatusTooManyRequests}
)

// registers reports whether clients may register themselves.
func (c *Config) registers() bool {
	return c.RegistrationMode == RegistrationWithToken || c.RegistrationMode == RegistrationOpen
}

// RegisterClient adds the client that a request describes (RFC 7591 section 3). Who
// registers it is nobody we know: nothing in the request decides about what it may
// do here beyond ordinary sign-in (SECURITY D14).
func (p *Provider) RegisterClient(r *http.Request, info storage.Request) (*ClientInformation, error) {
	switch {
	case !p.config.registers():
		return nil, errNoRegistration
	case r.Method != http.MethodPost:
		return nil, ErrPostOnly
	}
	ctx, now := r.Context(), time.Now()
	with, err := p.mayRegister(r, now)
	if err != nil {
		return nil, err
	}
	m, err := readMembers(r)
	if err != nil {
		return nil, err
	}
	token := NewSecret(prefixRegistration)
	c := NewClient(ClientWeb)
	c.ID, c.Status = storage.NewID("client"), storage.ClientActive
	c.RequirePKCE, c.ImpersonatorInResponse = false, false // fill requires it of public ones
	c.RegistrationTokenHash, c.RegisteredWith = storage.Hash(token), with
	if err := p.describe(c, m); err != nil {
		return nil, err
	}
	if with == RegistrationOpen {
		if err := p.take(ctx, "registrations from ", info, maxRegistrations, now); err != nil {
			return nil, err
		}
	}
	if err := p.checkSector(ctx, c, info, now); err != nil {
		return nil, err
	}
	secret, err := NewRegistration(p.store).Register(ctx, c, "", storage.Cause{Request: info}, now)
	if errors.Is(err, storage.ErrSpent) { // the initial access token was used meanwhile
		return nil, errInvalidToken.because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("register client: %w", err)
	}
	return p.informationOf(c, token, secret), nil
}

// mayRegister returns what a client is registered with: the id of the initial access
// token that the request presents, or "open".
func (p *Provider) mayRegister(r *http.Request, now time.Time) (string, error) {
	if err := noQuery(r); err != nil {
		return "", err
	}
	if p.config.RegistrationMode == RegistrationOpen {
		return RegistrationOpen, nil
	}
	token, err := bearer(r)
	if err != nil {
		return "", err
	}
	t, err := p.store.InitialAccessToken(r.Context(), storage.Hash(token))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", errInvalidToken
	case err != nil:
		return "", fmt.Errorf("load initial access token: %w", err)
	case !t.Live(now):
		return "", errInvalidToken
	}
	return t.ID, nil
}

// ReadClient tells a client what is registered of it (RFC 7592 section 2.1).
func (p *Provider) ReadClient(r *http.Request, id string) (*ClientInformation, error) {
	c, token, err := p.registered(r, id)
	if err != nil {
		return nil, err
	}
	return p.informationOf(c, token, ""), nil
}

// ReplaceClient replaces a client's metadata (RFC 7592 section 2.2).
func (p *Provider) ReplaceClient(r *http.Request, id string, info storage.Request) (*ClientInformation, error) {
	c, token, err := p.changeable(r, id)
	if err != nil {
		return nil, err
	}
	m, err := readMembers(r)
	if err != nil {
		return nil, err
	}
	if err := m.identify(c); err != nil {
		return nil, err
	}
	ctx, now, was := r.Context(), time.Now(), *c
	if err := p.describe(c, m); err != nil {
		return nil, err
	}
	if c.SectorIdentifierURI != was.SectorIdentifierURI || !slices.Equal(c.RedirectURIs, was.RedirectURIs) {
		if err := p.checkSector(ctx, c, info, now); err != nil {
			return nil, err
		}
	}
	secret, err := NewRegistration(p.store).Update(ctx, c, storage.Cause{Request: info}, now)
	switch {
	case errors.Is(err, storage.ErrSpent): // changed by somebody else since we read it
		return nil, errUnavailable.because(err)
	case errors.Is(err, storage.ErrNotFound):
		return nil, errInvalidToken.because(err)
	case err != nil:
		return nil, fmt.Errorf("update client: %w", err)
	}
	return p.informationOf(c, token, secret), nil
}

// DeleteClient removes a client and everything that it was granted (RFC 7592 section 2.3).
func (p *Provider) DeleteClient(r *http.Request, id string, info storage.Request) error {
	c, _, err := p.changeable(r, id)
	if err != nil {
		return err
	}
	err = NewRegistration(p.store).Delete(r.Context(), c.ID, storage.Cause{Request: info}, time.Now())
	if errors.Is(err, storage.ErrNotFound) {
		return errInvalidToken.because(err)
	}
	return err
}

// registered returns a client, to be changed, that the request may manage, and the
// registration access token that says so. That there is no such client is told in
// the same words, at the same cost, as that the token is not its own (RFC 7592
// section 2.1).
func (p *Provider) registered(r *http.Request, id string) (*storage.Client, string, error) {
	if !p.config.registers() {
		return nil, "", errNoRegistration
	}
	if err := noQuery(r); err != nil {
		return nil, "", err
	}
	token, err := bearer(r)
	if err != nil {
		return nil, "", err
	}
	c, err := p.store.Queries.Client(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		c = &storage.Client{}
	} else if err != nil {
		return nil, "", fmt.Errorf("load client: %w", err)
	}
	hash := c.RegistrationTokenHash
	if hash == nil {
		hash = make([]byte, sha256.Size) // of no token
	}
	if subtle.ConstantTimeCompare(storage.Hash(token), hash) != 1 || c.Status != storage.ClientActive {
		return nil, "", errInvalidToken
	}
	return c, token, nil
}

// changeable is registered, for requests that change or remove the client: nobody but
// an operator does that to a client that one vouches for.
func (p *Provider) changeable(r *http.Request, id string) (*storage.Client, string, error) {
	c, token, err := p.registered(r, id)
	if err == nil && p.config.vouchedFor(c) {
		err = errOperators
	}
	return c, token, err
}

// vouchedFor reports whether a client that registered itself has something that only
// an operator gives. Whoever got hold of its registration access token would get that
// at a redirect URI of their own.
func (c *Config) vouchedFor(client *storage.Client) bool {
	own := c.scopes()
	return client.FirstParty || client.AllowImpersonation || slices.Contains(client.GrantTypes, grantTokenExchange) || len(client.Audience) > 0 || len(client.Organizations) > 0 ||
		slices.ContainsFunc(strings.Fields(client.Scope), func(s string) bool { return !slices.Contains(own, s) })
}

// noQuery keeps secrets and metadata out of addresses, which are logged (SECURITY F02).
func noQuery(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return errInvalidRequest.with("This address takes no query.")
	}
	return nil
}

// identify checks what a client says of itself when it changes its registration
// (RFC 7592 section 2.2).
func (m *members) identify(c *storage.Client) error {
	id, secret := m.text("client_id"), m.text("client_secret")
	for _, ours := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		_, given := m.values[ours]
		m.problems.unless(!given, "%s: is not the client's to choose; leave it out", ours)
	}
	m.problems.unless(id == c.ID, "client_id: want the client's own")
	m.problems.unless(secret == "" || secretMatches(c, secret), "client_secret: want the client's own, or none")
	return invalidMetadata(m.problems...)
}

// describe gives a client the metadata of a request, all of them checked.
func (p *Provider) describe(c *storage.Client, m *members) error {
	if raw, given := m.values["software_statement"]; given {
		if text := ""; json.Unmarshal(raw, &text) != nil || strings.Count(text, ".") != 2 {
			return errInvalidStatement
		}
		return errUnapprovedStatement
	}
	m.fill(c, p.config.scopes())
	if err := invalidMetadata(m.problems...); err != nil { // the rest would follow from it
		return err
	}
	return invalidMetadata(ValidateClient(c), onlySecure(c))
}

// onlySecure wants https for what people see of a client that nobody here looked at,
// also where others may do with http on loopback: a page of ours would make their
// browsers call their own machines (SECURITY E05). Tokens in addresses go to https
// only, and not to the person's own machine, unless that is where the client is
// installed (OpenID Connect Registration section 2, application_type).
func onlySecure(c *storage.Client) error {
	var p problems
	for _, page := range []struct{ name, uri string }{
		{"client_uri", c.ClientURI}, {"logo_uri", c.LogoURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TermsOfServiceURI},
	} {
		p.unless(page.uri == "" || strings.HasPrefix(page.uri, "https://") || CheckWebURI(page.name, page.uri) != nil, "%s %q: want https", page.name, page.uri)
	}
	if c.Type != ClientNative && slices.Contains(c.GrantTypes, grantImplicit) {
		for _, uri := range c.RedirectURIs {
			u, err := url.Parse(uri)
			p.unless(err == nil && u.Scheme == "https" && !strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), "localhost"),
				"redirect_uris %q: want https, and not localhost, with the grant type implicit", uri)
		}
	}
	return p.err()
}

// scopes are those that clients may have that registered themselves.
func (c *Config) scopes() []string { return strings.Fields(c.RegistrationScope) }

// checkSector fetches the list of redirect URIs that share their users' names, which
// must have each of the client's (OpenID Connect Registration section 5).
func (p *Provider) checkSector(ctx context.Context, c *storage.Client, info storage.Request, now time.Time) error {
	const name = "sector_identifier_uri"
	if c.SectorIdentifierURI == "" {
		return nil
	}
	if err := p.take(ctx, "sector documents for ", info, maxSectorFetches, now); err != nil {
		return err
	}
	document, err := p.caller.get(ctx, c.SectorIdentifierURI)
	if err != nil {
		return errInvalidMetadata.with(name + ": cannot be fetched").because(err)
	}
	var listed []string
	if err := json.Unmarshal(document, &listed); err != nil {
		return errInvalidMetadata.with(name + ": is no JSON array of strings").because(err)
	}
	var missing problems
	for _, uri := range c.RedirectURIs {
		missing.unless(slices.Contains(listed, uri), "%s: does not list %q", name, uri)
	}
	return invalidMetadata(missing...)
}

// take counts what a network costs us, and refuses it when it was enough for an hour.
func (p *Provider) take(ctx context.Context, what string, info storage.Request, limit int64, now time.Time) error {
	var full time.Time
	err := p.store.Write(ctx, func(tx *storage.Tx) (err error) {
		full, err = tx.Take(ctx, throttleKey(what+networkOf(info.IP)), limit, time.Hour, now)
		return err
	})
	if err == nil && !full.IsZero() {
		return errTooMany.because(Throttled{full})
	}
	return err
}

// maxDescription bounds what is said about metadata that are wrong.
const maxDescription = 1000

// invalidMetadata turns what is wrong with a client into the answer that names it
// (RFC 7591 section 3.2.2), nil where nothing is.
func invalidMetadata(problems ...error) error {
	err := errors.Join(problems...)
	if err == nil {
		return nil
	}
	answer := errInvalidMetadata
	all := strings.Split(err.Error(), "\n") // each is one line
	if slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, "redirect_uris") }) {
		answer = errInvalidRedirectURI
	}
	text := descriptive(strings.Join(all, "; "))
	return answer.with(text[:min(len(text), maxDescription)])
}
