package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/pkce"
	fositestorage "github.com/ory/fosite/storage"

	"github.com/understudy-id/understudy/storage"
)

// fositeStore shows the store to fosite's handlers. One grant row holds what
// fosite keeps in four places, so most of its calls do nothing: the row is read
// once a request and written once.
type fositeStore struct {
	store *storage.Store
	p     *Provider
}

var (
	_ fosite.Storage                = (*fositeStore)(nil)
	_ oauth2.CoreStorage            = (*fositeStore)(nil)
	_ oauth2.TokenRevocationStorage = (*fositeStore)(nil)
	_ pkce.PKCERequestStorage       = (*fositeStore)(nil)
	_ fositestorage.Transactional   = (*fositeStore)(nil)
)

// grantParameters are what a grant keeps of its authorization request.
var grantParameters = []string{"redirect_uri", "nonce", "code_challenge", "code_challenge_method", claimsOfUserinfo, claimsOfIDToken}

// GetClient returns the client of an authorization request, which was loaded when
// its redirect URI was looked at.
func (s *fositeStore) GetClient(ctx context.Context, _ string) (fosite.Client, error) {
	if c, ok := ctx.Value(clientKey{}).(fosite.Client); ok {
		return c, nil
	}
	return nil, fosite.ErrNotFound
}

// ClientAssertionJWTValid refuses: assertions are checked in assertion.go, and do not
// come this far (fosite #31).
func (s *fositeStore) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrJTIKnown
}

// SetClientAssertionJWT refuses too.
func (s *fositeStore) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}

// CreateAuthorizeCodeSession adds the grant to the unit of work.
func (s *fositeStore) CreateAuthorizeCodeSession(ctx context.Context, codeHash string, r fosite.Requester) error {
	return s.createGrant(ctx, []byte(codeHash), r)
}

// createGrant adds a grant, without a code where there is no hash of one.
func (s *fositeStore) createGrant(ctx context.Context, codeHash []byte, r fosite.Requester) error {
	form := r.GetRequestForm()
	kept := url.Values{}
	for _, name := range grantParameters {
		if v := form.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	// The row is made inside the Write: the start of an impersonation, which goes
	// first there, decides about the organization.
	return workOf(ctx).add(ctx, s.store, func(tx *storage.Tx) error {
		return tx.CreateGrant(ctx, newGrant(codeHash, r, kept))
	})
}

// newGrant is the row of what a request granted. kept are the parameters that later
// steps compare with.
func newGrant(codeHash []byte, r fosite.Requester, kept url.Values) *storage.Grant {
	session := r.GetSession().(*Session)
	if alg := clientOf(r.GetClient()).UserinfoSignedResponseAlg; alg != "" {
		kept.Set(userinfoAlg, alg)
	}
	if session.Sub != session.Subject {
		kept.Set(pairwiseSub, session.Sub)
	}
	scopes := r.GetGrantedScopes()
	if session.Left != nil { // fosite made a copy of the request before that was known
		scopes = session.Left
	}
	return &storage.Grant{
		ID: session.GrantID, ClientID: r.GetClient().GetID(), UserID: session.Subject,
		ActorID: session.ActorID, ImpersonationID: session.ImpersonationID, OrganizationID: session.Organization,
		SID: session.SID, LoginSID: session.LoginSID,
		Scope: strings.Join(scopes, " "), Audience: strings.Join(r.GetGrantedAudience(), " "),
		Request: kept.Encode(), Act: string(session.Act), CustomClaims: string(session.Custom),
		ACR: session.ACR, AMR: strings.Join(session.AMR, " "),
		AuthTime: storage.At(session.AuthTime), RequestedAt: storage.At(r.GetRequestedAt()),
		CodeHash: codeHash, CodeExpiresAt: storage.At(session.GetExpiresAt(fosite.AuthorizeCode)),
		CreatedAt: storage.At(time.Now()), ExpiresAt: storage.At(session.NotAfter),
	}
}

// GetAuthorizeCodeSession returns the grant of a code. A code that was used
// before is reported as such only to its own client with its own redirect URI and
// verifier: anybody else would revoke the victim's tokens with it (fosite #15,
// SECURITY B03).
func (s *fositeStore) GetAuthorizeCodeSession(ctx context.Context, codeHash string, _ fosite.Session) (fosite.Requester, error) {
	w := workOf(ctx)
	if w.granted == nil {
		g, err := s.store.GrantByCode(ctx, []byte(codeHash))
		if err != nil {
			return nil, asFosite(err)
		}
		w.granted = g
	}
	g := w.granted
	caller, form := callerOf(ctx)
	if caller == nil || caller.GetID() != g.ClientID {
		return nil, fosite.ErrNotFound
	}
	r := requester(g, caller)
	if g.CodeUsedAt.Set() && redeems(&g.Grant, form) {
		return r, fosite.ErrInvalidatedAuthorizeCode
	}
	if g.CodeUsedAt.Set() || g.CodeExpiresAt.Passed(time.Now()) || !g.Live(time.Now()) {
		return nil, fosite.ErrNotFound
	}
	return r, nil
}

// redeems reports whether a token request has what the grant's code asks for.
func redeems(g *storage.Grant, form url.Values) bool {
	kept, err := url.ParseQuery(g.Request)
	if err != nil || kept.Get("redirect_uri") != form.Get("redirect_uri") {
		return false
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	return kept.Get("code_challenge") == "" && form.Get("code_verifier") == "" ||
		subtle.ConstantTimeCompare([]byte(challenge), []byte(kept.Get("code_challenge"))) == 1
}

// InvalidateAuthorizeCodeSession spends the code by one conditional UPDATE
// (fosite #17). Whoever comes second with everything right was shown a code that
// had leaked: what it gave is revoked (RFC 6749 section 4.1.2).
func (s *fositeStore) InvalidateAuthorizeCodeSession(ctx context.Context, codeHash string) error {
	return workOf(ctx).add(ctx, s.store, func(tx *storage.Tx) error {
		return tx.SpendCode(ctx, []byte(codeHash), time.Now())
	})
}

// GetPKCERequestSession returns the challenge, which lives in the grant's row.
func (s *fositeStore) GetPKCERequestSession(ctx context.Context, _ string, _ fosite.Session) (fosite.Requester, error) {
	w := workOf(ctx)
	caller, _ := callerOf(ctx)
	if w.granted == nil || caller == nil {
		return nil, fosite.ErrNotFound
	}
	r := requester(w.granted, caller)
	if r.Form.Get("code_challenge") == "" {
		return nil, fosite.ErrNotFound
	}
	return r, nil
}

// CreatePKCERequestSession does nothing: see CreateAuthorizeCodeSession.
func (s *fositeStore) CreatePKCERequestSession(context.Context, string, fosite.Requester) error {
	return nil
}

// DeletePKCERequestSession does nothing: fosite calls it before it checks the
// verifier, and a code without its challenge could be redeemed without one (fosite #1).
func (s *fositeStore) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateAccessTokenSession does nothing: a JWT is not stored, and an opaque token
// is stored by the strategy that made it.
func (s *fositeStore) CreateAccessTokenSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetAccessTokenSession finds nothing: introspect.go has its own way.
func (s *fositeStore) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession does nothing.
func (s *fositeStore) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession adds the token to the unit of work. A refresh token
// keeps the grant's scope, whatever this request narrowed (RFC 6749 section 6).
func (s *fositeStore) CreateRefreshTokenSession(ctx context.Context, hash, _ string, r fosite.Requester) error {
	w := workOf(ctx)
	if w.successor != "" {
		return nil // it is there already
	}
	g := w.granted
	t := storage.Token{
		Hash: []byte(hash), Kind: storage.RefreshToken, GrantID: g.Grant.ID, ClientID: g.Grant.ClientID,
		Scope: g.Grant.Scope, Audience: g.Grant.Audience,
		CreatedAt: storage.At(time.Now()), ExpiresAt: storage.At(r.GetSession().GetExpiresAt(fosite.RefreshToken)),
	}
	if g.Token.Kind == storage.RefreshToken {
		t.Generation = g.Token.Generation + 1
	}
	w.tokens = append(w.tokens, t)
	return nil
}

// GetRefreshTokenSession returns the grant of a refresh token. Reuse is reported
// only to the token's own client (fosite #15). Within the leeway it is taken for
// the repetition of a request whose answer was lost, and gets the same successor,
// as long as nobody used that.
func (s *fositeStore) GetRefreshTokenSession(ctx context.Context, hash string, _ fosite.Session) (fosite.Requester, error) {
	w := workOf(ctx)
	g, err := s.store.GrantOfToken(ctx, []byte(hash), storage.RefreshToken)
	if err != nil {
		return nil, asFosite(err)
	}
	caller, form := callerOf(ctx)
	now := time.Now()
	if caller == nil || caller.GetID() != g.Grant.ClientID || g.Token.ExpiresAt.Passed(now) || !g.Live(now) {
		return nil, fosite.ErrNotFound
	}
	w.granted = g
	r := requester(g, caller)
	if !g.Token.UsedAt.Set() {
		return r, nil
	}
	// A clock that was set back makes no retry of what came long ago (SECURITY B09).
	since := now.Sub(g.Token.UsedAt.Time()).Abs()
	if leeway := s.p.config.RefreshReuseLeeway; g.ImpersonationID != "" || leeway == 0 || since > leeway {
		return r, fosite.ErrInactiveToken
	}
	successor := openSuccessor(form.Get("refresh_token"), g.Token.Successor)
	next, err := s.store.GrantOfToken(ctx, storage.Hash(successor), storage.RefreshToken)
	if err != nil {
		return nil, asFosite(err)
	}
	if next.Token.UsedAt.Set() || next.Token.ExpiresAt.Passed(now) {
		return nil, fosite.ErrNotFound
	}
	w.successor = successor
	return r, nil
}

// RotateRefreshToken spends the token by one conditional UPDATE (fosite #16), or
// makes sure that its successor still stands when the request is a repetition.
func (s *fositeStore) RotateRefreshToken(ctx context.Context, _ string, hash string) error {
	w := workOf(ctx)
	if w.successor != "" {
		return w.add(ctx, s.store, func(tx *storage.Tx) error {
			return tx.HoldRefreshToken(ctx, storage.Hash(w.successor))
		})
	}
	var sealed []byte
	if w.rotates != "" {
		_, form := callerOf(ctx)
		var err error
		if sealed, err = sealSuccessor(form.Get("refresh_token"), w.rotates); err != nil {
			return err
		}
	}
	return w.add(ctx, s.store, func(tx *storage.Tx) error {
		return tx.SpendRefreshToken(ctx, []byte(hash), sealed, time.Now())
	})
}

// DeleteRefreshTokenSession does nothing: a spent token stays, so that its reuse
// is recognized.
func (s *fositeStore) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RevokeRefreshToken ends the grant, which is the whole family: fosite calls it
// when a code or a refresh token comes a second time.
func (s *fositeStore) RevokeRefreshToken(ctx context.Context, grantID string) error {
	err := s.p.revokeReused(ctx, grantID)
	workOf(ctx).lost = err
	return err
}

// RevokeAccessToken does nothing more: RevokeRefreshToken ended the grant.
func (s *fositeStore) RevokeAccessToken(context.Context, string) error { return nil }

// callerOf returns the client that is being served and what it sent.
func callerOf(ctx context.Context) (fosite.Client, url.Values) {
	r, ok := ctx.Value(fosite.AccessRequestContextKey).(fosite.AccessRequester)
	if !ok {
		return nil, nil
	}
	return r.GetClient(), r.GetRequestForm()
}

// requester rebuilds the request that a grant came from.
func requester(g *storage.Granted, c fosite.Client) *fosite.Request {
	form, err := url.ParseQuery(g.Request)
	if err != nil {
		form = url.Values{}
	}
	scopes, audience := fosite.Arguments(strings.Fields(g.Grant.Scope)), fosite.Arguments(strings.Fields(g.Grant.Audience))
	return &fosite.Request{
		ID: g.Grant.ID, RequestedAt: g.RequestedAt.Time(), Client: c, Form: form,
		RequestedScope: scopes, GrantedScope: scopes, RequestedAudience: audience, GrantedAudience: audience,
		Session: newSession(&g.Grant),
	}
}

// asFosite turns the store's "not found" into fosite's, which it branches on.
func asFosite(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fosite.ErrNotFound
	}
	return err
}
