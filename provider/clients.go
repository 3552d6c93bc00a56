package provider

import (
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// Scopes that mean something to the provider itself.
const (
	scopeOpenID        = "openid"
	scopeProfile       = "profile"
	scopeEmail         = "email"
	scopeAddress       = "address"
	scopePhone         = "phone"
	scopeOfflineAccess = "offline_access"
)

// oauthClient shows a client to fosite. It does not implement
// fosite.OpenIDConnectClient: that would open its request objects (fosite #6).
type oauthClient struct {
	*storage.Client
	redirectURI string // the one that redirect.go accepted for this request
}

func (c oauthClient) GetID() string { return c.ID }

func (c oauthClient) GetHashedSecret() []byte { return nil }

// GetRedirectURIs returns what was accepted already, so that fosite's own
// matching cannot accept anything else (fosite #19).
func (c oauthClient) GetRedirectURIs() []string {
	if c.redirectURI == "" {
		return nil
	}
	return []string{c.redirectURI}
}

func (c oauthClient) GetGrantTypes() fosite.Arguments { return fosite.Arguments(c.GrantTypes) }

func (c oauthClient) GetResponseTypes() fosite.Arguments { return fosite.Arguments(c.ResponseTypes) }

func (c oauthClient) GetScopes() fosite.Arguments { return strings.Fields(c.Scope) }

func (c oauthClient) IsPublic() bool { return c.Public() }

func (c oauthClient) GetAudience() fosite.Arguments { return fosite.Arguments(c.Audience) }

// GetResponseModes lists what fosite refuses even when it is the default.
func (c oauthClient) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{
		fosite.ResponseModeDefault, fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost,
	}
}

// clientOf returns our client behind fosite's.
func clientOf(c fosite.Client) *storage.Client { return c.(oauthClient).Client }

// exactScope compares scopes byte by byte (fosite #21: "OpenID" is not openid).
func exactScope(allowed []string, scope string) bool { return slices.Contains(allowed, scope) }

// audiences are what a request asks a token for: resource (RFC 8707), or the older
// audience, each once or several times.
func audiences(form url.Values) []string {
	var all []string
	for _, value := range append(slices.Clone(form["audience"]), form["resource"]...) {
		for _, asked := range strings.Fields(value) {
			if !slices.Contains(all, asked) {
				all = append(all, asked)
			}
		}
	}
	return all
}

// exactAudience lets a client ask only for audiences that it is registered for.
func exactAudience(allowed, asked []string) error {
	for _, a := range asked {
		if !slices.Contains(allowed, a) {
			return errInvalidTarget
		}
	}
	return nil
}
