package provider

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/pkce"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Config is what an operator decides. Zero durations get the defaults named here.
type Config struct {
	Issuer                    string         // absolute URL without a trailing slash; one literal everywhere
	AccessTokenLifetime       time.Duration  // 15 min
	IDTokenLifetime           time.Duration  // 15 min
	AuthorizationCodeLifetime time.Duration  // 60 s, never more
	RefreshTokenIdle          time.Duration  // 14 days: how long an unused refresh token lives
	RefreshTokenLifetime      time.Duration  // 30 days: the absolute end of a grant with refresh tokens
	RefreshReuseLeeway        time.Duration  // how long a second use of a refresh token is taken for a retry; zero: not at all
	MaxConcurrentHashes       int            // number of cores
	HashQueueTimeout          time.Duration  // 2 s
	AllowedNetworks           []netip.Prefix // may be called although they are private
	RegistrationMode          string         // RegistrationWithToken, RegistrationOpen; else nobody registers themselves
	RegistrationScope         string         // what clients that registered themselves may ask for; the standard scopes
	UILocales                 []string       // the languages of the pages; English
	TokenEndpointAudience     bool           // client assertions may name the token endpoint as aud, not only the issuer
	Impersonation             impersonation.Limits
	Notices                   impersonation.Notices // what people are told of by mail

	// Transport makes the requests to others; nil is the network, guarded. Only tests
	// have another, which no socket keeps waiting.
	Transport http.RoundTripper

	// PasswordHashing is what a password costs; nil is OWASP's first choice. Only
	// tests have a cheaper one.
	PasswordHashing *argon2id.Params
}

// Provider answers protocol requests. It is safe for concurrent use.
type Provider struct {
	Impersonation *impersonation.Service
	Keys          *Keyring

	config      Config
	store       *storage.Store
	log         *slog.Logger
	fosite      *fosite.Fosite
	passwords   *passwords
	verified    *verifiedTokens
	caller      *caller
	used        keyUse
	metadata    []byte
	metadataTag string

	pairwiseSalt      atomic.Pointer[string] // nil: not read yet
	fetches           chan struct{}          // request objects that are being fetched
	clientKeys        *clientKeys
	assertionAudience []string // what the aud of a client assertion may be
}

// New returns a Provider on an open, migrated store with its keys loaded.
func New(c Config, store *storage.Store, keys *Keyring, log *slog.Logger) *Provider {
	otherwise(&c.AccessTokenLifetime, 15*time.Minute)
	otherwise(&c.IDTokenLifetime, 15*time.Minute)
	otherwise(&c.AuthorizationCodeLifetime, time.Minute)
	c.AuthorizationCodeLifetime = min(c.AuthorizationCodeLifetime, time.Minute) // SECURITY B04
	otherwise(&c.RefreshTokenIdle, 14*24*time.Hour)
	otherwise(&c.RefreshTokenLifetime, 30*24*time.Hour)
	if c.PasswordHashing == nil {
		c.PasswordHashing = hashing
	}
	if len(c.UILocales) == 0 {
		c.UILocales = []string{"en"}
	}
	if c.RegistrationScope == "" {
		c.RegistrationScope = strings.Join([]string{scopeOpenID, scopeProfile, scopeEmail, scopeAddress, scopePhone, scopeOfflineAccess}, " ")
	}
	p := &Provider{
		Impersonation: impersonation.New(store, c.Impersonation),
		Keys:          keys,
		config:        c, store: store, log: log,
		passwords: newPasswords(c.MaxConcurrentHashes, c.HashQueueTimeout, c.PasswordHashing),
		verified:  newVerifiedTokens(),
		caller:    newCaller(c.Issuer, c.AllowedNetworks),
		fetches:   make(chan struct{}, maxFetches),
	}
	if c.Transport != nil {
		p.caller.client.Transport = c.Transport
	}
	p.Impersonation.Notices = c.Notices
	p.clientKeys = newClientKeys(p.caller)
	p.assertionAudience = []string{c.Issuer}
	if c.TokenEndpointAudience {
		p.assertionAudience = append(p.assertionAudience, c.Issuer+"/oauth2/token")
	}
	keys.changed = p.verified.forget
	p.fosite = newFosite(p)
	p.metadata = discovery(c.Issuer, c.UILocales, c.registers())
	p.metadataTag = entityTag(p.metadata)
	return p
}

func otherwise(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Issuer returns the issuer identifier.
func (p *Provider) Issuer() string { return p.config.Issuer }

// newFosite assembles fosite from its handlers and our strategies. Every field
// that its configuration would fill in lazily is set: it does so without a lock
// (fosite #29). Handlers are assigned, not appended: Append drops a second one of
// the same type (fosite #28).
func newFosite(p *Provider) *fosite.Fosite {
	store := &fositeStore{p.store, p}
	tokens := &tokenStrategy{p}
	config := &fosite.Config{
		AccessTokenLifespan:                p.config.AccessTokenLifetime,
		IDTokenLifespan:                    p.config.IDTokenLifetime,
		AuthorizeCodeLifespan:              p.config.AuthorizationCodeLifetime,
		RefreshTokenLifespan:               p.config.RefreshTokenIdle,
		VerifiableCredentialsNonceLifespan: time.Hour,
		IDTokenIssuer:                      p.config.Issuer,
		AccessTokenIssuer:                  p.config.Issuer,
		TokenURL:                           p.config.Issuer + "/oauth2/token",
		EnforcePKCEForPublicClients:        true,
		EnablePKCEPlainChallengeMethod:     false,
		ScopeStrategy:                      exactScope,
		AudienceMatchingStrategy:           exactAudience,
		RedirectSecureChecker:              func(context.Context, *url.URL) bool { return true }, // redirect.go decided
		RefreshTokenScopes:                 []string{scopeOfflineAccess},
		MinParameterEntropy:                1,    // fosite #13
		OmitRedirectScopeParam:             true, // fosite #30
		SanitationWhiteList:                grantParameters,
		ClientAuthenticationStrategy:       p.authenticateClient,
		ClientSecretsHasher:                noHasher{},
		HashCost:                           fosite.DefaultBCryptWorkFactor,
		TokenEntropy:                       32,
		SendDebugMessagesToClients:         false, // fosite #36
	}
	core := &oauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: tokens, RefreshTokenStrategy: tokens, AuthorizeCodeStrategy: tokens,
		CoreStorage: store, TokenRevocationStorage: store, Config: config,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: tokens, Storage: store, Config: config}
	config.AuthorizeEndpointHandlers = fosite.AuthorizeEndpointHandlers{core, &frontChannel{p, store, tokens, core}, proof}
	config.TokenEndpointHandlers = fosite.TokenEndpointHandlers{
		core,
		proof,
		&oauth2.RefreshTokenGrantHandler{
			AccessTokenStrategy: tokens, RefreshTokenStrategy: tokens,
			TokenRevocationStorage: store, Config: config,
		},
		&refreshScopes{},
		&clientScopes{},
		&oauth2.ClientCredentialsGrantHandler{
			HandleHelper: &oauth2.HandleHelper{AccessTokenStrategy: tokens, AccessTokenStorage: store, Config: config},
			Config:       config,
		},
		&tokenExchange{p: p},
		&impersonated{p: p},
		&identity{p: p},
	}
	return fosite.NewOAuth2Provider(store, config)
}

// noHasher takes the place of fosite's secret hasher, which is never used:
// secrets are compared in clientauth.go.
type noHasher struct{}

func (noHasher) Compare(context.Context, []byte, []byte) error { return fosite.ErrInvalidClient }

func (noHasher) Hash(context.Context, []byte) ([]byte, error) { return nil, fosite.ErrServerError }
