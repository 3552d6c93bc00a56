package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// The types of clients.
const (
	ClientWeb     = "web"     // a server that can keep a secret
	ClientSPA     = "spa"     // runs in a browser
	ClientNative  = "native"  // runs on a device
	ClientService = "service" // acts for itself; there is no user
)

// The ways in which the console hands an impersonation to a client.
const (
	DeliveryInitiateLogin = "initiate_login"
	DeliveryCallback      = "callback"
	DeliveryLink          = "link"
)

const (
	grantCode              = "authorization_code"
	grantImplicit          = "implicit"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// NewClient returns a client with what suits its type, to be completed with a
// name and, unless it is a service, redirect URIs.
func NewClient(clientType string) *storage.Client {
	c := &storage.Client{
		Type: clientType, TokenEndpointAuthMethod: authNone,
		GrantTypes: storage.List{grantCode, grantRefresh}, ResponseTypes: storage.List{"code"},
		Scope:       strings.Join([]string{scopeOpenID, scopeProfile, scopeEmail, scopeOfflineAccess}, " "),
		RequirePKCE: true, IDTokenSignedResponseAlg: algRS256, AccessTokenFormat: "jwt",
		Delivery: DeliveryInitiateLogin, ImpersonatorInResponse: true, SubjectType: storage.SubjectPublic,
	}
	switch clientType {
	case ClientWeb:
		c.TokenEndpointAuthMethod = authBasic
	case ClientService:
		c.TokenEndpointAuthMethod = authBasic
		c.GrantTypes, c.ResponseTypes, c.Scope = storage.List{grantClientCredentials}, nil, ""
	}
	return c
}

// Metadata is a client as it is shown: the metadata of RFC 7591, OpenID Connect
// and our own, without secrets and their hashes.
type Metadata struct {
	ClientID               string    `json:"client_id"`
	ClientName             string    `json:"client_name"`
	Type                   string    `json:"type"`
	Status                 string    `json:"status"`
	RedirectURIs           []string  `json:"redirect_uris"`
	PostLogoutRedirectURIs []string  `json:"post_logout_redirect_uris"`
	GrantTypes             []string  `json:"grant_types"`
	ResponseTypes          []string  `json:"response_types"`
	Scope                  string    `json:"scope"`
	Audience               []string  `json:"audience"`
	Organizations          []string  `json:"organizations"`
	AuthMethod             string    `json:"token_endpoint_auth_method"`
	IDTokenAlg             string    `json:"id_token_signed_response_alg"`
	AccessTokenFormat      string    `json:"access_token_format"`
	RequirePKCE            bool      `json:"require_pkce"`
	FirstParty             bool      `json:"first_party"`
	JWKS                   string    `json:"jwks"`
	JWKSURI                string    `json:"jwks_uri"`
	ClientURI              string    `json:"client_uri"`
	LogoURI                string    `json:"logo_uri"`
	PolicyURI              string    `json:"policy_uri"`
	TermsOfServiceURI      string    `json:"tos_uri"`
	Contacts               []string  `json:"contacts"`
	SoftwareID             string    `json:"software_id"`
	SoftwareVersion        string    `json:"software_version"`
	InitiateLoginURI       string    `json:"initiate_login_uri"`
	BackchannelLogoutURI   string    `json:"backchannel_logout_uri"`
	AllowImpersonation     bool      `json:"allow_impersonation"`
	Delivery               string    `json:"delivery"`
	ReadOnlyScopes         []string  `json:"read_only_scopes"`
	ActClaims              []string  `json:"act_claims"`
	ImpersonationRefresh   bool      `json:"impersonation_refresh"`
	ImpersonatorInResponse bool      `json:"impersonator_in_response"`
	AuthSigningAlg         string    `json:"token_endpoint_auth_signing_alg"`
	RequestObjectAlg       string    `json:"request_object_signing_alg"`
	RequestURIs            []string  `json:"request_uris"`
	RequireSignedRequest   bool      `json:"require_signed_request_object"`
	RequirePAR             bool      `json:"require_pushed_authorization_requests"`
	UserinfoAlg            string    `json:"userinfo_signed_response_alg"`
	SubjectType            string    `json:"subject_type"`
	SectorIdentifierURI    string    `json:"sector_identifier_uri"`
	DefaultMaxAge          *int64    `json:"default_max_age"`
	LogoutSessionRequired  bool      `json:"backchannel_logout_session_required"`
	RevokeOnLogout         bool      `json:"revoke_on_logout"`
	RegisteredWith         string    `json:"registered_with"`
	SelfManaged            bool      `json:"self_managed"` // it has a registration access token
	CreatedAt              time.Time `json:"created_at"`
	UpdatedAt              time.Time `json:"updated_at"`
}

// MetadataOf returns how a client is shown.
func MetadataOf(c *storage.Client) Metadata {
	list := func(l storage.List) []string { return append([]string{}, l...) } // [] in JSON, never null
	return Metadata{
		ClientID: c.ID, ClientName: c.Name, Type: c.Type, Status: string(c.Status),
		RedirectURIs: list(c.RedirectURIs), PostLogoutRedirectURIs: list(c.PostLogoutRedirectURIs),
		GrantTypes: list(c.GrantTypes), ResponseTypes: list(c.ResponseTypes), Scope: c.Scope,
		Audience: list(c.Audience), Organizations: list(c.Organizations),
		AuthMethod: c.TokenEndpointAuthMethod, IDTokenAlg: c.IDTokenSignedResponseAlg, AccessTokenFormat: c.AccessTokenFormat,
		RequirePKCE: c.RequirePKCE, FirstParty: c.FirstParty, JWKS: c.JWKS, JWKSURI: c.JWKSURI,
		ClientURI: c.ClientURI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TermsOfServiceURI: c.TermsOfServiceURI,
		Contacts: list(c.Contacts), SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion,
		InitiateLoginURI: c.InitiateLoginURI, BackchannelLogoutURI: c.BackchannelLogoutURI,
		AllowImpersonation: c.AllowImpersonation, Delivery: c.Delivery,
		ReadOnlyScopes: list(c.ReadOnlyScopes), ActClaims: list(c.ActClaims),
		ImpersonationRefresh: c.ImpersonationRefresh, ImpersonatorInResponse: c.ImpersonatorInResponse,
		AuthSigningAlg: c.TokenEndpointAuthSigningAlg, RequestObjectAlg: c.RequestObjectSigningAlg, RequestURIs: list(c.RequestURIs),
		RequireSignedRequest: c.RequireSignedRequestObject, RequirePAR: c.RequirePushedAuthorizationRequests,
		UserinfoAlg: c.UserinfoSignedResponseAlg, SubjectType: c.SubjectType, SectorIdentifierURI: c.SectorIdentifierURI,
		DefaultMaxAge: c.DefaultMaxAge, LogoutSessionRequired: c.BackchannelLogoutSessionRequired, RevokeOnLogout: c.RevokeOnLogout,
		RegisteredWith: c.RegisteredWith, SelfManaged: c.RegistrationTokenHash != nil,
		CreatedAt: c.CreatedAt.Time(), UpdatedAt: c.UpdatedAt.Time(),
	}
}

// ApplyTo makes a client what the metadata says, but for what is never set so: its id,
// its status and how it came to be.
func (m Metadata) ApplyTo(c *storage.Client) {
	c.Name, c.Type, c.Scope = m.ClientName, m.Type, m.Scope
	c.RedirectURIs, c.PostLogoutRedirectURIs, c.RequestURIs = m.RedirectURIs, m.PostLogoutRedirectURIs, m.RequestURIs
	c.GrantTypes, c.ResponseTypes, c.Audience, c.Organizations = m.GrantTypes, m.ResponseTypes, m.Audience, m.Organizations
	c.TokenEndpointAuthMethod, c.TokenEndpointAuthSigningAlg = m.AuthMethod, m.AuthSigningAlg
	c.IDTokenSignedResponseAlg, c.UserinfoSignedResponseAlg, c.AccessTokenFormat = m.IDTokenAlg, m.UserinfoAlg, m.AccessTokenFormat
	c.RequirePKCE, c.FirstParty, c.DefaultMaxAge = m.RequirePKCE, m.FirstParty, m.DefaultMaxAge
	c.JWKS, c.JWKSURI, c.ClientURI, c.LogoURI = m.JWKS, m.JWKSURI, m.ClientURI, m.LogoURI
	c.PolicyURI, c.TermsOfServiceURI, c.Contacts = m.PolicyURI, m.TermsOfServiceURI, m.Contacts
	c.SoftwareID, c.SoftwareVersion = m.SoftwareID, m.SoftwareVersion
	c.InitiateLoginURI, c.BackchannelLogoutURI = m.InitiateLoginURI, m.BackchannelLogoutURI
	c.BackchannelLogoutSessionRequired, c.RevokeOnLogout = m.LogoutSessionRequired, m.RevokeOnLogout
	c.AllowImpersonation, c.Delivery, c.ReadOnlyScopes, c.ActClaims = m.AllowImpersonation, m.Delivery, m.ReadOnlyScopes, m.ActClaims
	c.ImpersonationRefresh, c.ImpersonatorInResponse = m.ImpersonationRefresh, m.ImpersonatorInResponse
	c.RequestObjectSigningAlg, c.RequireSignedRequestObject = m.RequestObjectAlg, m.RequireSignedRequest
	c.RequirePushedAuthorizationRequests = m.RequirePAR
	c.SubjectType, c.SectorIdentifierURI = cmp.Or(m.SubjectType, storage.SubjectPublic), m.SectorIdentifierURI
}

// changed names the metadata in which two states of a client differ.
func changed(was, is *storage.Client) []string {
	fields := func(c *storage.Client) map[string]json.RawMessage {
		m := MetadataOf(c)
		m.UpdatedAt = time.Time{}
		var f map[string]json.RawMessage
		if err := json.Unmarshal(asRaw(m), &f); err != nil {
			panic(err) // our own struct
		}
		return f
	}
	before, after := fields(was), fields(is)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !bytes.Equal(before[name], after[name]) {
			names = append(names, name)
		}
	}
	return names
}

// Registration changes clients. Each method is one Write that holds the change,
// its event, and the end of every impersonation that the change no longer allows.
type Registration struct {
	store *storage.Store
	by    *storage.Standing // bounds what clients may be permitted; nil: an operator's, without bounds
}

// NewRegistration returns a Registration on an open, migrated store, for an operator who
// may all.
func NewRegistration(store *storage.Store) *Registration { return &Registration{store: store} }

// For returns a Registration for whoever has this standing. A client whose scope names
// permissions can call the management API with them: only who holds them all makes one,
// changes one or gets at its secret. Everybody else gets ErrMoreThanHeld.
func (r *Registration) For(by storage.Standing) *Registration { return &Registration{r.store, &by} }

// mayChange asks whether a client may be changed, or become what it is.
func (r *Registration) mayChange(c *storage.Client) error {
	if r.by == nil {
		return nil
	}
	for _, scope := range strings.Fields(c.Scope) {
		if slices.Contains(permissions, scope) && !r.by.May(scope, "") {
			return fmt.Errorf("scope %q of client %q: %w", scope, c.ID, ErrMoreThanHeld)
		}
	}
	return nil
}

// changeable returns a client that may be changed.
func (r *Registration) changeable(ctx context.Context, tx *storage.Tx, id string) (*storage.Client, error) {
	c, err := tx.Client(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("client %q: %w", id, err)
	}
	return c, r.mayChange(c)
}

// Register adds a client; it fills an empty id. Where the client authenticates
// with a secret it returns it: secret itself, or a new one where that is empty. A
// client that was registered with an initial access token takes one of its uses.
// storage.ErrExists: the id is taken. storage.ErrSpent: the token has no use left.
func (r *Registration) Register(ctx context.Context, c *storage.Client, secret string, by storage.Cause, now time.Time) (string, error) {
	if c.ID == "" {
		c.ID = storage.NewID("client")
	}
	if c.Status == "" {
		c.Status = storage.ClientActive
	}
	secret, err := chooseSecret(c, secret)
	if err := invalid(ValidateClient(c), err); err != nil {
		return "", err
	}
	if err := r.mayChange(c); err != nil {
		return "", err
	}
	if secret != "" {
		c.SecretHash = storage.Hash(secret)
	}
	return secret, r.store.Write(ctx, func(tx *storage.Tx) error {
		if err := freeIdentifier(ctx, tx, c.ID); err != nil {
			return err
		}
		if err := knownOrganizations(ctx, tx, c, nil); err != nil {
			return err
		}
		if c.RegisteredWith != "" && c.RegisteredWith != RegistrationOpen {
			if err := tx.SpendInitialAccessToken(ctx, c.RegisteredWith, now); err != nil {
				return fmt.Errorf("initial access token %q: %w", c.RegisteredWith, err)
			}
		}
		if err := tx.CreateClient(ctx, c, now); err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
		if err := tx.HoldClient(ctx, c.ID, by.By); err != nil {
			return fmt.Errorf("client %q: holder: %w", c.ID, err)
		}
		return recordClient(ctx, tx, storage.EventClientCreated, c.ID, withOrigin(c, storage.Data{
			"type": c.Type, "allow_impersonation": c.AllowImpersonation,
		}), by, now)
	})
}

// authenticates are what a change of which decides what a client authenticates with.
var authenticates = []string{"token_endpoint_auth_method", "jwks", "jwks_uri"}

// Update stores c, a changed copy of what was read. A client that now
// authenticates with a secret and had none gets one, which is returned; one that
// no longer does loses it. c is then what was stored. storage.ErrSpent: it was
// changed meanwhile.
func (r *Registration) Update(ctx context.Context, c *storage.Client, by storage.Cause, now time.Time) (secret string, err error) {
	switch usesSecret(c) {
	case true:
		if c.SecretHash == nil {
			secret = NewSecret("ucs_")
			c.SecretHash = storage.Hash(secret)
		}
	case false:
		c.SecretHash, c.PreviousSecretHash = nil, nil
	}
	if err := ValidateClient(c); err != nil {
		return "", err
	}
	if err := r.mayChange(c); err != nil {
		return "", err
	}
	var stored storage.Client
	err = impersonation.Change(ctx, r.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		stored = *c
		was, err := r.changeable(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		names := changed(was, c)
		if len(names) == 0 {
			return nil
		}
		if err := knownOrganizations(ctx, tx, c, was.Organizations); err != nil {
			return err
		}
		if err := tx.UpdateClient(ctx, c, by, now); err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
		stored.Version, stored.UpdatedAt = c.Version+1, storage.At(now)
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(authenticates, name) }) {
			if err := tx.HoldClient(ctx, c.ID, by.By); err != nil {
				return fmt.Errorf("client %q: holder: %w", c.ID, err)
			}
		}
		err = recordClient(ctx, tx, storage.EventClientUpdated, c.ID, withOrigin(c, storage.Data{
			"changed": names, "allow_impersonation": c.AllowImpersonation,
		}), by, now)
		if err != nil {
			return err
		}
		if err := reconsider(storage.ImpersonationFilter{Client: c.ID}); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Caller: c.ID})
	})
	if err == nil {
		*c = stored
	}
	return secret, err
}

// Delete removes a client and everything granted to it.
func (r *Registration) Delete(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return impersonation.Change(ctx, r.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		c, err := r.changeable(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.DeleteClient(ctx, id, by, now); err != nil {
			return fmt.Errorf("client %q: %w", id, err)
		}
		if err := recordClient(ctx, tx, storage.EventClientDeleted, id, withOrigin(c, storage.Data{}), by, now); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Caller: id})
	})
}

// ErrNoSecret says that a client has no secret that could be rotated.
var ErrNoSecret = errors.New("has no secret")

// RotateSecret gives a client a new secret and returns it. With keep the present
// one works until the next rotation, so that the client can be changed over;
// without, it ends now.
func (r *Registration) RotateSecret(ctx context.Context, id string, keep bool, by storage.Cause, now time.Time) (string, error) {
	secret := NewSecret("ucs_")
	return secret, r.store.Write(ctx, func(tx *storage.Tx) error {
		c, err := r.changeable(ctx, tx, id)
		if err != nil {
			return err
		}
		if !usesSecret(c) {
			return fmt.Errorf("client %q: %w: its token_endpoint_auth_method is %s", id, ErrNoSecret, c.TokenEndpointAuthMethod)
		}
		c.PreviousSecretHash = nil
		if keep {
			c.PreviousSecretHash = c.SecretHash
		}
		c.SecretHash = storage.Hash(secret)
		if err := tx.UpdateClient(ctx, c, by, now); err != nil {
			return fmt.Errorf("client %q: %w", id, err)
		}
		if err := tx.HoldClient(ctx, id, by.By); err != nil {
			return fmt.Errorf("client %q: holder: %w", id, err)
		}
		return recordClient(ctx, tx, storage.EventClientSecretRotated, id, storage.Data{"previous_kept": keep}, by, now)
	})
}

// DropPreviousSecret ends the secret from before the last rotation. It is no error that
// there is none.
func (r *Registration) DropPreviousSecret(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return r.store.Write(ctx, func(tx *storage.Tx) error {
		c, err := r.changeable(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.PreviousSecretHash == nil {
			return nil
		}
		c.PreviousSecretHash = nil
		if err := tx.UpdateClient(ctx, c, by, now); err != nil {
			return fmt.Errorf("client %q: %w", id, err)
		}
		return recordClient(ctx, tx, storage.EventClientSecretDropped, id, storage.Data{}, by, now)
	})
}

// SetStatus disables a client, which ends everything granted to it, or enables it. It
// does not ask whether the rest of the client is as it should be: whatever has to be
// shut off can be.
func (r *Registration) SetStatus(ctx context.Context, id string, status storage.ClientStatus, by storage.Cause, now time.Time) error {
	return impersonation.Change(ctx, r.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		c, err := r.changeable(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.Status == status {
			return nil
		}
		c.Status = status
		if err := tx.UpdateClient(ctx, c, by, now); err != nil {
			return fmt.Errorf("client %q: %w", id, err)
		}
		err = recordClient(ctx, tx, storage.EventClientUpdated, id, withOrigin(c, storage.Data{
			"changed": []string{"status"}, "status": string(status), "allow_impersonation": c.AllowImpersonation,
		}), by, now)
		if err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Caller: id})
	})
}

// withOrigin adds how a client registered itself, if it did, to what an event says of it.
func withOrigin(c *storage.Client, d storage.Data) storage.Data {
	if c.RegisteredWith != "" {
		d["registered_with"] = c.RegisteredWith
	}
	return d
}

func recordClient(
	ctx context.Context, tx *storage.Tx, kind storage.EventType, id string, data storage.Data, by storage.Cause, now time.Time,
) error {
	return tx.Record(ctx, storage.Event{Type: kind, ActorID: by.By, ClientID: id, Data: data}, storage.Private{}, by.Request, now)
}

func usesSecret(c *storage.Client) bool {
	return c.TokenEndpointAuthMethod == authBasic || c.TokenEndpointAuthMethod == authPost
}

// minSecret is how long a secret must be that we did not make: it is hashed once,
// so that guessing it must be hopeless.
const minSecret = 32

// chooseSecret returns the secret that a new client gets, empty where it has none.
func chooseSecret(c *storage.Client, given string) (string, error) {
	switch {
	case !usesSecret(c) && given != "":
		return "", fmt.Errorf("client_secret: a client with token_endpoint_auth_method %q has none", c.TokenEndpointAuthMethod)
	case !usesSecret(c):
		return "", nil
	case given == "":
		return NewSecret("ucs_"), nil
	case len(given) < minSecret || len(given) > maxPassword || !printable(given):
		return "", fmt.Errorf("client_secret: want %d to %d printable ASCII characters without spaces, chosen at random", minSecret, maxPassword)
	}
	return given, nil
}

// knownOrganizations asks whether those that a client is limited to are there. One that it
// was limited to before may be gone: other changes of the client do not widen it.
func knownOrganizations(ctx context.Context, tx *storage.Tx, c *storage.Client, before storage.List) error {
	for _, id := range c.Organizations {
		if slices.Contains(before, id) {
			continue
		}
		o, err := tx.Organization(ctx, id)
		if err == nil && o.ID != id {
			err = storage.ErrNotFound // a name
		}
		if err != nil {
			return fmt.Errorf("organizations: %q: %w", id, referred(err))
		}
	}
	return nil
}

// Choices returns the values that a member of a client's metadata is chosen from, nil
// where it is free.
func Choices(name string) []string {
	switch name {
	case "type":
		return []string{ClientWeb, ClientSPA, ClientNative, ClientService}
	case "status":
		return []string{string(storage.ClientActive), string(storage.ClientDisabled)}
	case "token_endpoint_auth_method":
		return []string{authNone, authBasic, authPost, authPrivateKey}
	case "token_endpoint_auth_signing_alg", "request_object_signing_alg":
		return slices.Clone(clientAlgs)
	case "id_token_signed_response_alg", "userinfo_signed_response_alg":
		return []string{algRS256, algES256}
	case "grant_types":
		return []string{grantCode, grantImplicit, grantRefresh, grantClientCredentials, grantTokenExchange}
	case "response_types":
		return slices.Clone(responseTypes)
	case "access_token_format":
		return []string{"jwt", "opaque"}
	case "subject_type":
		return []string{storage.SubjectPublic, storage.SubjectPairwise}
	case "delivery":
		return []string{DeliveryInitiateLogin, DeliveryCallback, DeliveryLink}
	case "act_claims":
		return []string{"email", "name"}
	}
	return nil
}

// Problem is what is wrong with one member of a client's metadata.
type Problem struct{ Field, Message string }

var namedProblem = regexp.MustCompile(`^([a-z_]+):? ((?s).*)$`)

// ProblemsOf takes what ValidateClient returned apart.
func ProblemsOf(err error) []Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Problem
		for _, e := range joined.Unwrap() {
			all = append(all, ProblemsOf(e)...)
		}
		return all
	}
	if e, ok := errors.AsType[FieldError](err); ok {
		return []Problem{{e.Field, e.Wrong}}
	}
	if m := namedProblem.FindStringSubmatch(err.Error()); m != nil {
		return []Problem{{m[1], m[2]}}
	}
	return []Problem{{"", err.Error()}}
}

// ValidateClient returns everything that is wrong with a client, each problem with
// the name of its metadata, or nil.
func ValidateClient(c *storage.Client) error {
	var p problems
	p.identity(c)
	p.authentication(c)
	p.grants(c)
	p.redirects(c)
	p.pages(c)
	p.tokens(c)
	p.connect(c)
	p.impersonation(c)
	return p.err()
}

type problems []error

// err returns the problems, nil where there are none.
func (p problems) err() error { return invalid(p...) }

// Invalid is everything that is wrong with something that was to be stored. ProblemsOf
// takes it apart.
type Invalid []error

// invalid returns the errors that are not nil as Invalid, nil where there are none.
func invalid(errs ...error) error {
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) == 0 {
		return nil
	}
	return Invalid(errs)
}

func (i Invalid) Error() string { return errors.Join(i...).Error() }

func (i Invalid) Unwrap() []error { return i }

// unless adds a problem where something is not as it should be.
func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// oneOf wants a value that is listed.
func (p *problems) oneOf(name, value string, allowed ...string) {
	p.unless(slices.Contains(allowed, value), "%s %q: want %s", name, value, strings.Join(allowed, " or "))
}

// subset wants values that are listed, each once.
func (p *problems) subset(name string, values, allowed []string) {
	seen := map[string]bool{}
	for _, v := range values {
		p.unless(slices.Contains(allowed, v), "%s %q: want %s", name, v, orNothing(allowed))
		p.unless(!seen[v], "%s %q: listed twice", name, v)
		seen[v] = true
	}
}

func orNothing(allowed []string) string {
	if len(allowed) == 0 {
		return "none"
	}
	return strings.Join(allowed, " or ")
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

func (p *problems) identity(c *storage.Client) {
	p.unless(clientID.MatchString(c.ID) && strings.Trim(c.ID, ".") != "", // dots alone are no part of a path (RFC 3986 section 3.3)
		"client_id %q: want 1 to 128 letters, digits and . _ ~ -, not dots only", c.ID)
	ofKey := notOfKey(c.ID)
	p.unless(ofKey == nil, "client_id %q: %w", c.ID, ofKey)
	name := checkText(c.Name, maxClaim)
	p.unless(c.Name != "", "client_name: is missing")
	p.unless(name == nil, "client_name %q: %w", c.Name, name)
	p.oneOf("type", c.Type, Choices("type")...)
	p.oneOf("status", string(c.Status), Choices("status")...)
	for _, contact := range c.Contacts {
		a, err := mail.ParseAddress(contact)
		p.unless(err == nil && a.Address == contact, "contacts %q: want an e-mail address", contact)
	}
	for _, s := range []struct{ name, text string }{{"software_id", c.SoftwareID}, {"software_version", c.SoftwareVersion}} {
		err := checkText(s.text, maxClaim)
		p.unless(err == nil, "%s %q: %w", s.name, s.text, err)
	}
}

func (p *problems) authentication(c *storage.Client) {
	method := c.TokenEndpointAuthMethod
	switch c.Type {
	case ClientSPA:
		p.unless(method == authNone, "token_endpoint_auth_method %q: a spa client cannot keep a secret; want %s", method, authNone)
	case ClientNative:
		p.unless(method == authNone || method == authPrivateKey,
			"token_endpoint_auth_method %q: a native client cannot keep a secret; want %s or, with a key of each installation, %s", method, authNone, authPrivateKey)
	case ClientService:
		p.unless(method != authNone, "token_endpoint_auth_method %q: a service needs a secret or a key; want %s, %s or %s",
			method, authBasic, authPost, authPrivateKey)
	}
	p.oneOf("token_endpoint_auth_method", method, Choices("token_endpoint_auth_method")...)
	p.unless(!c.Public() || c.RequirePKCE, "require_pkce: a client without a secret cannot do without")
	p.unless(method != authPrivateKey || c.JWKS != "" || c.JWKSURI != "", "token_endpoint_auth_method %q: needs jwks or jwks_uri", method)
	alg := c.TokenEndpointAuthSigningAlg
	p.unless(alg == "" || method == authPrivateKey, "token_endpoint_auth_signing_alg %q: is of token_endpoint_auth_method %s", alg, authPrivateKey)
	if alg != "" {
		p.oneOf("token_endpoint_auth_signing_alg", alg, Choices("token_endpoint_auth_signing_alg")...)
	}
	p.keys(c)
}

// keys: what a client registers itself it may as well register right; what it
// publishes is looked at when it is fetched.
func (p *problems) keys(c *storage.Client) {
	p.unless(c.JWKS == "" || c.JWKSURI == "", "jwks_uri: there is jwks already; keep one")
	if c.JWKSURI != "" {
		p.web("jwks_uri", c.JWKSURI)
	}
	if c.JWKS == "" {
		return
	}
	p.unless(len(c.JWKS) <= maxOutgoingBytes, "jwks: is larger than %d bytes", maxOutgoingBytes)
	keys, wrong, err := parseKeySet([]byte(c.JWKS))
	if err == nil && len(keys)+len(wrong) == 0 {
		err = errNoKeySet
	}
	for _, err := range append(wrong, err) {
		p.unless(err == nil, "jwks: %w", err)
	}
	alg := c.TokenEndpointAuthSigningAlg
	fits := func(k clientPublicKey) bool { return k.fits(alg) }
	p.unless(alg == "" || len(keys) == 0 || slices.ContainsFunc(keys, fits), "jwks: has no key for token_endpoint_auth_signing_alg %q", alg)
}

func (p *problems) grants(c *storage.Client) {
	allowed := Choices("grant_types")
	for _, g := range c.GrantTypes {
		p.unless(slices.Contains(allowed, g), "grant_types %q: is not supported; want %s", g, strings.Join(allowed, " or "))
	}
	has := func(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
	p.subset("grant_types", slices.DeleteFunc(slices.Clone(c.GrantTypes), func(g string) bool { return !slices.Contains(allowed, g) }), allowed)
	p.unless(len(c.GrantTypes) > 0, "grant_types: is empty")
	p.unless(!c.Public() || !has(grantClientCredentials), "grant_types %q: a client without a secret cannot act for itself", grantClientCredentials)
	p.unless(c.Type != ClientService || !has(grantImplicit), "grant_types %q: a service has no user; want %s", grantImplicit, grantClientCredentials)
	p.unless(c.Type != ClientService || !has(grantCode), "grant_types %q: a service has no user; want %s", grantCode, grantClientCredentials)
	p.unless(!c.Public() || !has(grantTokenExchange), "grant_types %q: a client without a secret or a key cannot exchange tokens", grantTokenExchange)
	p.unless(c.Type != ClientService || !has(grantTokenExchange), "grant_types %q: a service has no user; want %s", grantTokenExchange, grantClientCredentials)
	p.unless(!has(grantRefresh) || has(grantCode), "grant_types %q: needs %s", grantRefresh, grantCode)

	canonical := storage.List{}
	for _, r := range c.ResponseTypes {
		canonical = append(canonical, canonicalResponseType(r))
	}
	p.subset("response_types", canonical, Choices("response_types"))
	code := slices.ContainsFunc(canonical, func(r string) bool { return gives(r, responseTypeCode) })
	front := slices.ContainsFunc(canonical, func(r string) bool { return r != responseTypeCode })
	p.unless(code || !has(grantCode), "response_types: %s needs %q", grantCode, responseTypeCode)
	p.unless(!code || has(grantCode), "response_types %q: needs grant type %s", responseTypeCode, grantCode)
	p.unless(!front || has(grantImplicit), "response_types: tokens from the authorization endpoint need grant type %s", grantImplicit)
	p.unless(front || !has(grantImplicit), "grant_types %q: needs a response type with token or id_token", grantImplicit)
}

// redirects: exact URIs only, because they are compared byte by byte (SECURITY C03).
func (p *problems) redirects(c *storage.Client) {
	redirected := len(c.ResponseTypes) > 0
	p.unless(len(c.RedirectURIs) > 0 || !redirected, "redirect_uris: a client that people sign in to needs at least one")
	p.unless(len(c.RedirectURIs) == 0 || redirected, "redirect_uris: without a response type there is nothing to redirect to")
	p.distinct("redirect_uris", c.RedirectURIs)
	for _, uri := range c.RedirectURIs {
		if err := CheckRedirectURI(c.Type, uri); err != nil {
			*p = append(*p, fmt.Errorf("redirect_uris: %w", err))
		}
	}
	p.distinct("post_logout_redirect_uris", c.PostLogoutRedirectURIs)
	for _, uri := range c.PostLogoutRedirectURIs {
		if c.Type == ClientNative && CheckRedirectURI(c.Type, uri) == nil {
			continue // back to the app
		}
		p.web("post_logout_redirect_uris", uri)
	}
}

func (p *problems) distinct(name string, values []string) {
	seen := map[string]bool{}
	for _, v := range values {
		p.unless(!seen[v], "%s %q: listed twice", name, v)
		seen[v] = true
	}
}

func (p *problems) pages(c *storage.Client) {
	for _, page := range []struct{ name, uri string }{
		{"client_uri", c.ClientURI},
		{"logo_uri", c.LogoURI},
		{"policy_uri", c.PolicyURI},
		{"tos_uri", c.TermsOfServiceURI},
		{"initiate_login_uri", c.InitiateLoginURI},
		{"backchannel_logout_uri", c.BackchannelLogoutURI},
	} {
		if page.uri != "" {
			p.web(page.name, page.uri)
		}
	}
}

func (p *problems) web(name, uri string) {
	if err := CheckWebURI(name, uri); err != nil {
		*p = append(*p, err)
	}
}

// scopeToken is RFC 6749 section 3.3.
var scopeToken = regexp.MustCompile(`^[!#-\[\]-~]{1,128}$`)

func (p *problems) tokens(c *storage.Client) {
	p.oneOf("id_token_signed_response_alg", c.IDTokenSignedResponseAlg, Choices("id_token_signed_response_alg")...)
	p.oneOf("access_token_format", c.AccessTokenFormat, Choices("access_token_format")...)
	scopes := strings.Fields(c.Scope)
	p.unless(strings.Join(scopes, " ") == c.Scope, "scope %q: want names with one space between them", c.Scope)
	p.distinct("scope", scopes)
	for _, s := range scopes {
		p.unless(scopeToken.MatchString(s), "scope %q: want printable ASCII without quotes and backslashes", s)
		p.unless(c.Type != ClientService || !isIdentityScope(s), "scope %q: is about a user; a service has none", s)
	}
	p.distinct("audience", c.Audience)
	for _, a := range c.Audience {
		p.unless(a != "" && len(a) <= maxClaim && printable(a), "audience %q: want printable ASCII without spaces", a)
		p.unless(a != c.ID, "audience %q: is the client itself; an access token must not be for it", a) // SECURITY B18
	}
	p.distinct("organizations", c.Organizations)
}

func (p *problems) impersonation(c *storage.Client) {
	p.oneOf("delivery", c.Delivery, Choices("delivery")...)
	// Nobody asked for what is sent to the callback: there is no challenge that a
	// verifier could meet, and nothing but its authentication protects the code.
	callback := c.Delivery == DeliveryCallback
	p.unless(!callback || !c.Public(), "delivery %q: needs a client with a secret or a key", c.Delivery)
	p.unless(!callback || !c.RequirePKCE, "delivery %q: cannot have a code challenge, which require_pkce asks for", c.Delivery)
	p.unless(!c.AllowImpersonation || len(c.ResponseTypes) > 0, "allow_impersonation: nobody signs in to a client without response types")
	p.subset("read_only_scopes", c.ReadOnlyScopes, strings.Fields(c.Scope))
	p.subset("act_claims", c.ActClaims, Choices("act_claims"))
	p.unless(!c.ImpersonationRefresh || slices.Contains(c.GrantTypes, grantRefresh), "impersonation_refresh: needs grant type %s", grantRefresh)
}
