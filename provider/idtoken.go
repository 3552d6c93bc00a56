package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// idToken is an ID token of the code flow (OpenID Connect Core 2). The claims of
// its scopes come from userinfo (section 5.4).
type idToken struct {
	Issuer       string          `json:"iss"`
	Subject      string          `json:"sub"`
	Audience     string          `json:"aud"`
	Expires      int64           `json:"exp"`
	IssuedAt     int64           `json:"iat"`
	AuthTime     int64           `json:"auth_time"`
	Nonce        string          `json:"nonce,omitempty"`
	AtHash       string          `json:"at_hash,omitempty"`
	ACR          string          `json:"acr,omitempty"`
	AMR          []string        `json:"amr,omitempty"`
	SID          string          `json:"sid,omitempty"`
	Organization string          `json:"org_id,omitempty"`
	Act          json.RawMessage `json:"act,omitempty"`
}

// newIDToken plans the ID token of a code or refresh request. A refreshed one
// keeps iss, sub, aud and auth_time (section 12.2).
func (p *Provider) newIDToken(ctx context.Context, r fosite.AccessRequester) *idToken {
	s, now := r.GetSession().(*Session), time.Now()
	expires := now.Add(p.config.IDTokenLifetime)
	if !s.NotAfter.IsZero() && expires.After(s.NotAfter) {
		expires = s.NotAfter
	}
	t := &idToken{
		Issuer: p.config.Issuer, Subject: s.Subject, Audience: r.GetClient().GetID(),
		Expires: expires.Unix(), IssuedAt: now.Unix(), AuthTime: s.AuthTime.Unix(),
		ACR: s.ACR, AMR: s.AMR, SID: s.SID, Organization: s.Organization, Act: s.Act,
	}
	if r.GetGrantTypes().ExactOne(string(fosite.GrantTypeAuthorizationCode)) {
		t.Nonce = workOf(ctx).granted.Parameter("nonce")
	}
	return t
}

func (p *Provider) signIDToken(t *idToken, c *storage.Client, accessToken string) (string, error) {
	// Every algorithm that is offered has SHA-256 (section 3.1.3.6, fosite #23).
	sum := sha256.Sum256([]byte(accessToken))
	t.AtHash = base64.RawURLEncoding.EncodeToString(sum[:16])
	return p.Keys.sign(c.IDTokenSignedResponseAlg, typIDToken, t)
}
