package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// active is an access or refresh token that may be used now.
type active struct {
	kind     storage.TokenKind
	claims   accessToken      // what a JWT of the token says or would say
	granted  *storage.Granted // nil: the client acts for itself
	presents string           // the token itself
}

// errInactive says that a token is not one that may be used now. Why is nobody's
// business.
var errInactive = errors.New("inactive")

// active finds out what a token is and whether it may be used now. Everything
// that is stopped, disabled, revoked or past its time is errInactive. What is said about
// the user may be missing.
func (p *Provider) active(ctx context.Context, token string, now time.Time) (*active, error) {
	return p.activeOf(ctx, token, now, p.store.GrantAlone)
}

// activeOf is active with how the grant of a JWT is read.
func (p *Provider) activeOf(ctx context.Context, token string, now time.Time, grant readGrant) (*active, error) {
	var a *active
	var err error
	switch {
	case len(token) > maxJWT:
		return nil, errInactive
	case strings.HasPrefix(token, prefixAccess):
		a, err = p.stored(ctx, token, storage.AccessToken)
	case strings.HasPrefix(token, prefixRefresh):
		a, err = p.stored(ctx, token, storage.RefreshToken)
	default:
		a, err = p.jwt(ctx, token, now, grant)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, errNotOurs):
		return nil, errInactive
	case err != nil:
		return nil, err
	case now.Unix() >= a.claims.Expires, a.granted != nil && !a.granted.Live(now):
		return nil, errInactive
	}
	return a, nil
}

// readGrant is how the grant of a JWT is read, by its id and the token's.
type readGrant = func(ctx context.Context, grantID, jti string) (*storage.Granted, error)

func (p *Provider) jwt(ctx context.Context, token string, now time.Time, grant readGrant) (*active, error) {
	t, err := p.accessToken(token, now)
	if err != nil {
		return nil, err
	}
	a := &active{kind: storage.AccessToken, claims: *t, presents: token}
	if t.GrantID != "" {
		a.granted, err = grant(ctx, t.GrantID, t.ID)
		return a, err
	}
	live, err := p.store.ClientToken(ctx, t.ID, t.ClientID, time.Unix(t.IssuedAt, 0))
	if err == nil && !live {
		err = storage.ErrNotFound
	}
	return a, err
}

func (p *Provider) stored(ctx context.Context, token string, kind storage.TokenKind) (*active, error) {
	hash := storage.Hash(token)
	g, err := p.store.GrantOfToken(ctx, hash, kind)
	var row storage.Token
	switch {
	case err == nil:
		row = g.Token
	case errors.Is(err, storage.ErrNotFound) && kind == storage.AccessToken:
		own, err := p.store.Token(ctx, hash, kind) // the client's own
		if err != nil {
			return nil, err
		}
		row, g = *own, nil
	default:
		return nil, err
	}
	if row.UsedAt.Set() {
		return nil, storage.ErrNotFound
	}
	a := &active{kind: kind, granted: g, presents: token, claims: accessToken{
		Issuer: p.config.Issuer, Subject: row.ClientID, Audience: strings.Fields(row.Audience),
		Expires: row.ExpiresAt.Time().Unix(), IssuedAt: row.CreatedAt.Time().Unix(),
		ClientID: row.ClientID, Scope: row.Scope,
	}}
	if g != nil {
		s := newSession(&g.Grant)
		a.claims.Subject, a.claims.SID, a.claims.GrantID = s.Sub, s.SID, s.GrantID
		a.claims.Organization, a.claims.ACR, a.claims.Act = s.Organization, s.ACR, s.Act
		a.claims.AuthTime = unixOr(s.AuthTime)
	}
	return a, nil
}

// Introspection is the answer of RFC 7662. Only Active is there when it is false.
type Introspection struct {
	Active       bool            `json:"active"`
	Scope        string          `json:"scope,omitempty"`
	ClientID     string          `json:"client_id,omitempty"`
	TokenType    string          `json:"token_type,omitempty"`
	Expires      int64           `json:"exp,omitempty"`
	IssuedAt     int64           `json:"iat,omitempty"`
	Subject      string          `json:"sub,omitempty"`
	Audience     audience        `json:"aud,omitempty"`
	Issuer       string          `json:"iss,omitempty"`
	ID           string          `json:"jti,omitempty"`
	AuthTime     int64           `json:"auth_time,omitempty"`
	ACR          string          `json:"acr,omitempty"`
	SID          string          `json:"sid,omitempty"`
	Organization string          `json:"org_id,omitempty"`
	Act          json.RawMessage `json:"act,omitempty"`

	custom json.RawMessage // what its tokens say besides, see Session
}

// MarshalJSON adds the claims of a caller's own.
func (i *Introspection) MarshalJSON() ([]byte, error) {
	type members Introspection
	return json.Marshal(withCustom(i.custom, (*members)(i)))
}

// Introspect answers a confidential client about a token that was issued to it or
// is meant for it; about any other it learns only that it is not active (fosite
// #25, SECURITY F01).
func (p *Provider) Introspect(r *http.Request) (*Introspection, error) {
	form, err := directForm(r)
	if err != nil {
		return nil, err
	}
	c, err := p.client(r.Context(), r, form)
	if err != nil {
		return nil, err
	}
	if c.Public() {
		return nil, errInvalidClient.with("Only confidential clients may introspect.")
	}
	if !form.Has("token") {
		return nil, errInvalidRequest.with("The token parameter is missing.")
	}
	a, err := p.active(r.Context(), form.Get("token"), time.Now())
	if errors.Is(err, errInactive) || err == nil && !mayIntrospect(c, a) {
		return &Introspection{}, nil
	}
	if err != nil {
		return nil, err
	}
	t := a.claims
	i := &Introspection{
		Active: true, Scope: t.Scope, ClientID: t.ClientID, TokenType: "Bearer", Expires: t.Expires, IssuedAt: t.IssuedAt,
		Subject: t.Subject, Audience: t.Audience, Issuer: t.Issuer, ID: t.ID, AuthTime: t.AuthTime, ACR: t.ACR,
		SID: t.SID, Organization: t.Organization, Act: t.Act,
	}
	if a.granted != nil && a.granted.CustomClaims != "" {
		i.custom = json.RawMessage(a.granted.CustomClaims)
	}
	if a.kind == storage.RefreshToken {
		i.TokenType = "refresh_token"
	}
	return i, nil
}

func mayIntrospect(c *storage.Client, a *active) bool {
	if a.claims.ClientID == c.ID {
		return true
	}
	return a.kind == storage.AccessToken && slices.ContainsFunc(a.claims.Audience, func(aud string) bool {
		return aud == c.ID // what a client may ask tokens for is not what it is
	})
}
