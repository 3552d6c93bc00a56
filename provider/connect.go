package provider

import (
	"cmp"
	"math"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// connect checks the metadata of OpenID Connect that are about requests, subjects
// and sign-out (OpenID Connect Registration section 2, RFC 9101, Back-Channel Logout
// section 2.2).
func (p *problems) connect(c *storage.Client) {
	if alg := c.RequestObjectSigningAlg; alg != "" {
		p.oneOf("request_object_signing_alg", alg, Choices("request_object_signing_alg")...)
		p.unless(c.JWKS != "" || c.JWKSURI != "", "request_object_signing_alg %q: needs jwks or jwks_uri", alg)
	}
	p.unless(!c.RequireSignedRequestObject || c.RequestObjectSigningAlg != "", "require_signed_request_object: needs request_object_signing_alg")
	p.distinct("request_uris", c.RequestURIs)
	for _, uri := range c.RequestURIs {
		document, hash, _ := strings.Cut(uri, "#") // the fragment is a hash of what is there (Core 6.2)
		p.web("request_uris", document)
		p.unless(printable(hash) && !strings.ContainsAny(hash, `"\#`), "request_uris %q: has characters that a URI cannot have", uri)
	}
	if alg := c.UserinfoSignedResponseAlg; alg != "" {
		p.oneOf("userinfo_signed_response_alg", alg, Choices("userinfo_signed_response_alg")...)
	}
	if age := c.DefaultMaxAge; age != nil {
		p.unless(*age >= 0 && *age <= math.MaxInt32, "default_max_age %d: want 0 to %d seconds", *age, math.MaxInt32)
	}
	p.unless(!c.BackchannelLogoutSessionRequired || c.BackchannelLogoutURI != "", "backchannel_logout_session_required: needs backchannel_logout_uri")
	p.sector(c)
}

// sector: users have one name within a sector, so it must be known which that is
// (OpenID Connect Core section 8.1).
func (p *problems) sector(c *storage.Client) {
	p.oneOf("subject_type", cmp.Or(c.SubjectType, storage.SubjectPublic), storage.SubjectPublic, storage.SubjectPairwise)
	if c.SectorIdentifierURI != "" {
		p.web("sector_identifier_uri", c.SectorIdentifierURI)
		return
	}
	hosts := map[string]bool{}
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil {
			hosts[u.Hostname()] = true
		}
	}
	p.unless(c.SubjectType != storage.SubjectPairwise || len(hosts) <= 1 && !hosts[""],
		"sector_identifier_uri: is missing; pairwise subjects need it, because the redirect URIs have not one host in common")
}
