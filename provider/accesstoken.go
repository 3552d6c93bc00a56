package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/storage"
)

// What our random tokens begin with, so that none is taken for another (SECURITY
// A24) and a leaked one is recognized by scanners.
const (
	prefixCode    = "uc_"
	prefixRefresh = "ur_"
	prefixAccess  = "ua_"
)

// NewSecret returns a prefix and 256 random bits. Only its hash is kept.
func NewSecret(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// tokenStrategy makes codes, refresh tokens and access tokens for fosite's
// handlers. A token is random and its "signature" the hash of the whole of it, so
// that there is no secret to share between kinds and none to guess (fosite #34).
type tokenStrategy struct{ p *Provider }

var _ oauth2.CoreStrategy = (*tokenStrategy)(nil)

// hashOf returns the hash of a token of the right kind, something that nothing
// matches otherwise.
func hashOf(prefix, token string) string {
	if !strings.HasPrefix(token, prefix) {
		return ""
	}
	return string(storage.Hash(token))
}

func (t *tokenStrategy) AuthorizeCodeSignature(_ context.Context, code string) string {
	return hashOf(prefixCode, code)
}

func (t *tokenStrategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (code, hash string, err error) {
	code = NewSecret(prefixCode)
	return code, hashOf(prefixCode, code), nil
}

// ValidateAuthorizeCode has nothing to add: the row says whether the code is good.
func (t *tokenStrategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error {
	return nil
}

func (t *tokenStrategy) RefreshTokenSignature(_ context.Context, token string) string {
	return hashOf(prefixRefresh, token)
}

// GenerateRefreshToken makes a refresh token, or returns the one that the request
// gets for the second time.
func (t *tokenStrategy) GenerateRefreshToken(ctx context.Context, r fosite.Requester) (token, hash string, err error) {
	w := workOf(ctx)
	if w.successor != "" {
		return w.successor, hashOf(prefixRefresh, w.successor), nil
	}
	token = NewSecret(prefixRefresh)
	if t.p.config.RefreshReuseLeeway > 0 && r.GetSession().(*Session).ImpersonationID == "" {
		w.rotates = token
	}
	return token, hashOf(prefixRefresh, token), nil
}

// ValidateRefreshToken has nothing to add either.
func (t *tokenStrategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error {
	return nil
}

func (t *tokenStrategy) AccessTokenSignature(_ context.Context, token string) string {
	return hashOf(prefixAccess, token)
}

// ValidateAccessToken is never asked: introspect.go has its own way.
func (t *tokenStrategy) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return fosite.ErrInvalidTokenFormat
}

// accessToken is a JWT access token (RFC 9068; fosite #8, #9).
type accessToken struct {
	Issuer       string          `json:"iss"`
	Subject      string          `json:"sub"`
	Audience     audience        `json:"aud"`
	Expires      int64           `json:"exp"`
	IssuedAt     int64           `json:"iat"`
	ID           string          `json:"jti"`
	ClientID     string          `json:"client_id"`
	Scope        string          `json:"scope,omitempty"`
	AuthTime     int64           `json:"auth_time,omitempty"`
	ACR          string          `json:"acr,omitempty"`
	SID          string          `json:"sid,omitempty"`
	Organization string          `json:"org_id,omitempty"`
	GrantID      string          `json:"gid,omitempty"`
	Act          json.RawMessage `json:"act,omitempty"`
	MayAct       json.RawMessage `json:"may_act,omitempty"` // none of ours has it; it is heeded all the same

	custom json.RawMessage // what it says besides, see Session
}

// says returns what is signed.
func (t *accessToken) says() any { return withCustom(t.custom, t) }

// audience is one string or several (RFC 7519 section 4.1.3).
type audience []string

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// GenerateAccessToken plans a JWT, to be signed after the commit, or makes an
// opaque token and adds it to the unit of work.
func (t *tokenStrategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, hash string, err error) {
	w, now := workOf(ctx), time.Now()
	if w.audience != nil { // only now: fosite grants everything once more (RFC 8707 section 2.2)
		r.(*fosite.AccessRequest).GrantedAudience = w.audience
	}
	if clientOf(r.GetClient()).AccessTokenFormat == "opaque" {
		token = NewSecret(prefixAccess)
		w.tokens = append(w.tokens, t.row(token, r, now))
		return token, hashOf(prefixAccess, token), nil
	}
	w.access = t.p.newAccessToken(r, now)
	return "to be signed", "to be signed", nil
}

// audienceOf is whom an access token is for: this provider's userinfo, where nobody
// asked for anything else.
func (p *Provider) audienceOf(r fosite.Requester) audience {
	if granted := r.GetGrantedAudience(); len(granted) > 0 {
		return audience(slices.Clone(granted))
	}
	return audience{p.config.Issuer}
}

// row is an opaque access token as it is stored.
func (t *tokenStrategy) row(token string, r fosite.Requester, now time.Time) storage.Token {
	s := r.GetSession().(*Session)
	return storage.Token{
		Hash: []byte(hashOf(prefixAccess, token)), Kind: storage.AccessToken, GrantID: s.GrantID, ClientID: r.GetClient().GetID(),
		Scope: strings.Join(r.GetGrantedScopes(), " "), Audience: strings.Join(t.p.audienceOf(r), " "),
		CreatedAt: storage.At(now), ExpiresAt: storage.At(s.GetExpiresAt(fosite.AccessToken)),
	}
}

// newAccessToken plans a JWT.
func (p *Provider) newAccessToken(r fosite.Requester, now time.Time) *accessToken {
	s, c := r.GetSession().(*Session), clientOf(r.GetClient())
	t := &accessToken{
		Issuer: p.config.Issuer, Subject: s.Sub, Audience: p.audienceOf(r),
		Expires: s.GetExpiresAt(fosite.AccessToken).Unix(), IssuedAt: now.Unix(), ID: storage.NewID("at"),
		ClientID: c.ID, Scope: strings.Join(r.GetGrantedScopes(), " "), AuthTime: unixOr(s.AuthTime), ACR: s.ACR, SID: s.SID,
		Organization: s.Organization, GrantID: s.GrantID, Act: s.Act, custom: s.Custom,
	}
	if t.Subject == "" {
		t.Subject = c.ID // the client acts for itself (RFC 9068 section 2.2)
	}
	return t
}
