package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// idToken is an ID token (OpenID Connect Core 2).
type idToken struct {
	Issuer       string          `json:"iss"`
	Subject      string          `json:"sub"`
	Audience     string          `json:"aud"`
	Expires      int64           `json:"exp"`
	IssuedAt     int64           `json:"iat"`
	AuthTime     int64           `json:"auth_time,omitempty"` // zero: nobody signed in, a program vouched for who acts
	Nonce        string          `json:"nonce,omitempty"`
	AtHash       string          `json:"at_hash,omitempty"`
	CHash        string          `json:"c_hash,omitempty"`
	ACR          string          `json:"acr,omitempty"`
	AMR          []string        `json:"amr,omitempty"`
	SID          string          `json:"sid,omitempty"`
	Organization string          `json:"org_id,omitempty"`
	Act          json.RawMessage `json:"act,omitempty"`

	// The claims about the user that it has besides. Where there is an access
	// token those of the scopes come from userinfo (section 5.4).
	userID        string
	scopes, names []string
	custom        json.RawMessage // what it says besides, see Session
}

// newIDToken plans an ID token. A refreshed one keeps iss, sub, aud and auth_time
// (section 12.2).
func (p *Provider) newIDToken(s *Session, c *storage.Client, nonce string) *idToken {
	now := time.Now()
	expires := now.Add(p.config.IDTokenLifetime)
	if !s.NotAfter.IsZero() && expires.After(s.NotAfter) {
		expires = s.NotAfter
	}
	return &idToken{
		Issuer: p.config.Issuer, Subject: s.Sub, Audience: c.ID,
		Expires: expires.Unix(), IssuedAt: now.Unix(), AuthTime: unixOr(s.AuthTime), Nonce: nonce,
		ACR: s.ACR, AMR: s.AMR, SID: s.SID, Organization: s.Organization, Act: s.Act, userID: s.Subject, custom: s.Custom,
	}
}

// signIDToken makes an ID token that goes with an access token, with a code, with
// both or with neither (sections 3.1.3.6 and 3.3.2.11).
func (p *Provider) signIDToken(ctx context.Context, t *idToken, c *storage.Client, accessToken, code string) (string, error) {
	t.AtHash, t.CHash = halfHash(accessToken), halfHash(code)
	claims, err := p.claimsOf(ctx, t)
	if err != nil {
		return "", err
	}
	return p.Keys.sign(c.IDTokenSignedResponseAlg, typIDToken, claims)
}

// claimsOf returns everything that an ID token says.
func (p *Provider) claimsOf(ctx context.Context, t *idToken) (any, error) {
	if len(t.scopes)+len(t.names) == 0 {
		return withCustom(t.custom, t), nil
	}
	u, err := p.store.User(ctx, t.userID)
	if err != nil {
		return nil, err
	}
	all := claimsAbout(u, t.scopes, t.names)
	err = json.Unmarshal(asRaw(t), &all) // its own claims come last: none is another's
	return withCustom(t.custom, all), err
}

// halfHash is what at_hash and c_hash hold. Every algorithm that is offered has
// SHA-256 (fosite #23).
func halfHash(of string) string {
	if of == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(of))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
