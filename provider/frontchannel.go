package provider

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/storage"
)

// frontChannel answers the response types that bring tokens back from the
// authorization endpoint, alone (implicit, OpenID Connect Core 3.2) or beside a
// code (hybrid, 3.3). It takes the place of fosite's handlers, which sign before
// the commit and keep a row under the code itself (fosite #32, #38).
type frontChannel struct {
	p      *Provider
	store  *fositeStore
	tokens *tokenStrategy
	code   *oauth2.AuthorizeExplicitGrantHandler
}

// HandleAuthorizeEndpointRequest adds the grant to the unit of work, without a code
// where none is asked for. The tokens are made by signFront, after the commit: the
// start of an impersonation, which is part of it, decides about their end.
func (h *frontChannel) HandleAuthorizeEndpointRequest(ctx context.Context, r fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	types := r.GetResponseTypes()
	if types.ExactOne(responseTypeCode) {
		return nil
	}
	r.SetDefaultResponseMode(fosite.ResponseModeFragment)
	if types.Has(responseTypeCode) {
		if err := h.code.IssueAuthorizeCode(ctx, r, response); err != nil {
			return err
		}
	} else if err := h.store.createGrant(ctx, nil, r); err != nil {
		return err
	}
	h.p.noteSession(ctx, clientOf(r.GetClient()), r.GetSession().(*Session))
	if types.Has("token") {
		h.accessToken(ctx, r, response)
		r.SetResponseTypeHandled("token")
	}
	if types.Has("id_token") {
		r.SetResponseTypeHandled("id_token")
	}
	return h.record(ctx, r)
}

// accessToken adds the row of an opaque access token to the unit of work, behind
// that of its grant.
func (h *frontChannel) accessToken(ctx context.Context, r fosite.AuthorizeRequester, response fosite.AuthorizeResponder) {
	if clientOf(r.GetClient()).AccessTokenFormat != "opaque" {
		return
	}
	w, token := workOf(ctx), NewSecret(prefixAccess)
	response.AddParameter("access_token", token)
	w.writes = append(w.writes, func(tx *storage.Tx) error {
		now := time.Now()
		r.GetSession().SetExpiresAt(fosite.AccessToken, now.Add(h.p.config.AccessTokenLifetime))
		return tx.CreateTokens(ctx, []storage.Token{h.tokens.row(token, r, now)})
	})
}

// record notes that tokens of an impersonation were issued.
func (h *frontChannel) record(ctx context.Context, r fosite.AuthorizeRequester) error {
	w, s := workOf(ctx), r.GetSession().(*Session)
	if s.ImpersonationID == "" {
		return nil
	}
	return w.add(ctx, h.p.store, func(tx *storage.Tx) error {
		return recordIssued(ctx, tx, s, r.GetClient().GetID(), canonicalResponseType(strings.Join(r.GetResponseTypes(), " ")), w.info)
	})
}

// signFront makes the tokens of an authorization response, of what its session has
// become in the Write.
func (p *Provider) signFront(ctx context.Context, r fosite.AuthorizeRequester, parameters url.Values) error {
	s, c, types, now := r.GetSession().(*Session), clientOf(r.GetClient()), r.GetResponseTypes(), time.Now()
	if types.Has("token") {
		s.SetExpiresAt(fosite.AccessToken, now.Add(p.config.AccessTokenLifetime))
		if c.AccessTokenFormat != "opaque" {
			token, err := p.Keys.sign(algES256, typAccessToken, p.newAccessToken(r, now).says())
			if err != nil {
				return errServer.because(err)
			}
			parameters.Set("access_token", token)
		}
		lives := s.GetExpiresAt(fosite.AccessToken).Sub(now) / time.Second
		parameters.Set("token_type", "Bearer")
		parameters.Set("expires_in", strconv.FormatInt(max(1, int64(lives)), 10))
		parameters.Set("scope", strings.Join(r.GetGrantedScopes(), " "))
	}
	if types.Has("id_token") {
		t := p.newIDToken(s, c, r.GetRequestForm().Get("nonce"))
		t.names = strings.Fields(r.GetRequestForm().Get(claimsOfIDToken))
		if types.ExactOne("id_token") { // no access token could bring the claims of the scopes (section 5.4)
			t.scopes = r.GetGrantedScopes()
		}
		token, err := p.signIDToken(ctx, t, c, parameters.Get("access_token"), parameters.Get("code"))
		if err != nil {
			return errServer.because(err)
		}
		parameters.Set("id_token", token)
	}
	return nil
}
