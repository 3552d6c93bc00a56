package provider

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

// What OpenID Connect adds: each row is a client that is allowed, or of which one
// thing is wrong.
func TestValidateConnect(t *testing.T) {
	t.Parallel()
	const keys = `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	age := func(seconds int64) *int64 { return &seconds }
	for _, c := range []struct {
		clientType string
		change     func(*storage.Client)
		want       string // empty: allowed
	}{
		{"web", func(c *storage.Client) { c.RequestObjectSigningAlg, c.JWKS = "ES256", keys }, ``},
		{"web", func(c *storage.Client) { c.RequestObjectSigningAlg, c.JWKSURI = "PS256", "https://shop.test/jwks" }, ``},
		{"web", func(c *storage.Client) { c.RequestObjectSigningAlg = "ES256" }, `request_object_signing_alg "ES256": needs jwks`},
		{"web", func(c *storage.Client) { c.RequestObjectSigningAlg, c.JWKS = "none", keys }, `request_object_signing_alg "none": want RS256`},
		{"web", func(c *storage.Client) { c.RequestObjectSigningAlg, c.JWKS = "HS256", keys }, `request_object_signing_alg "HS256"`},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = "HS256" }, `token_endpoint_auth_signing_alg "HS256"`},
		{"web", func(c *storage.Client) {
			c.RequireSignedRequestObject, c.RequestObjectSigningAlg, c.JWKS = true, "ES256", keys
		}, ``},
		{"web", func(c *storage.Client) { c.RequireSignedRequestObject = true }, `require_signed_request_object: needs`},
		{"web", func(c *storage.Client) { c.RequirePushedAuthorizationRequests = true }, ``},
		{"web", func(c *storage.Client) {
			c.RequestURIs = storage.List{"https://shop.test/r", "https://shop.test/r#NmZm"}
		}, ``},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"http://127.0.0.1:8081/r"} }, ``},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"http://shop.test/r"} }, `request_uris "http://shop.test/r"`},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"urn:example:r"} }, `request_uris "urn:example:r"`},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"https://shop.test/r#a#b"} }, `request_uris "https://shop.test/r#a#b"`},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"https://shop.test/r#a b"} }, `request_uris "https://shop.test/r#a b"`},
		{"web", func(c *storage.Client) { c.RequestURIs = storage.List{"https://shop.test/r", "https://shop.test/r"} }, `request_uris "https://shop.test/r": listed twice`},

		{"web", func(c *storage.Client) { c.UserinfoSignedResponseAlg = "ES256" }, ``},
		{"web", func(c *storage.Client) { c.UserinfoSignedResponseAlg = "none" }, `userinfo_signed_response_alg "none"`},
		{"web", func(c *storage.Client) { c.DefaultMaxAge = age(0) }, ``},
		{"web", func(c *storage.Client) { c.DefaultMaxAge = age(-1) }, `default_max_age -1: want 0`},
		{"web", func(c *storage.Client) { c.DefaultMaxAge = age(1 << 40) }, `default_max_age`},
		{"web", func(c *storage.Client) {
			c.BackchannelLogoutSessionRequired, c.BackchannelLogoutURI = true, "https://shop.test/logout"
		}, ``},
		{"web", func(c *storage.Client) { c.BackchannelLogoutSessionRequired = true }, `backchannel_logout_session_required: needs`},

		{"web", func(c *storage.Client) { c.SubjectType = "" }, ``}, // which is public
		{"web", func(c *storage.Client) { c.SubjectType = "secret" }, `subject_type "secret": want public or pairwise`},
		{"web", func(c *storage.Client) { c.SubjectType = storage.SubjectPairwise }, ``},
		{"service", func(c *storage.Client) { c.SubjectType = storage.SubjectPairwise }, ``},
		{"web", func(c *storage.Client) {
			c.SubjectType, c.RedirectURIs = storage.SubjectPairwise, storage.List{"https://shop.test/cb", "https://shop.test:8443/cb"}
		}, ``},
		{"web", func(c *storage.Client) {
			c.SubjectType, c.RedirectURIs = storage.SubjectPairwise, storage.List{"https://shop.test/cb", "https://wiki.test/cb"}
		}, `sector_identifier_uri: is missing`},
		{"native", func(c *storage.Client) {
			c.SubjectType, c.RedirectURIs = storage.SubjectPairwise, storage.List{"com.example.shop:/cb"}
		}, `sector_identifier_uri: is missing`},
		{"native", func(c *storage.Client) {
			c.SubjectType, c.RedirectURIs, c.SectorIdentifierURI = storage.SubjectPairwise, storage.List{"com.example.shop:/cb"}, "https://shop.test/sector"
		}, ``},
		{"web", func(c *storage.Client) { c.SectorIdentifierURI = "http://shop.test/sector" }, `sector_identifier_uri "http://shop.test/sector"`},
		{"web", func(c *storage.Client) { c.LogoURI = "https://cdn.test;script-src/x" }, `logo_uri "https://cdn.test;script-src/x"`},
	} {
		client := validClient(c.clientType)
		c.change(client)
		err := ValidateClient(client)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", c.clientType, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.clientType, err, c.want)
		}
	}
}
