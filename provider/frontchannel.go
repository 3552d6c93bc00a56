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

// HandleAuthorizeEndpointRequest adds the grant to the unit of work and plans its
// tokens. Without a code the grant has none.
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
		if err := h.accessToken(ctx, r, response); err != nil {
			return err
		}
	}
	if types.Has("id_token") {
		h.idToken(ctx, r)
	}
	return h.record(ctx, r)
}

func (h *frontChannel) accessToken(ctx context.Context, r fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	now := time.Now()
	r.GetSession().SetExpiresAt(fosite.AccessToken, now.Add(h.p.config.AccessTokenLifetime))
	token, _, err := h.tokens.GenerateAccessToken(ctx, r)
	if err != nil {
		return err
	}
	expires := r.GetSession().GetExpiresAt(fosite.AccessToken)
	response.AddParameter("access_token", token) // a JWT takes its place once it is signed
	response.AddParameter("token_type", "Bearer")
	response.AddParameter("expires_in", strconv.FormatInt(max(1, int64(expires.Sub(now)/time.Second)), 10))
	response.AddParameter("scope", strings.Join(r.GetGrantedScopes(), " "))
	r.SetResponseTypeHandled("token")
	return nil
}

// idToken plans the ID token. Where no access token comes of the request it has the
// claims of the scopes itself (section 5.4).
func (h *frontChannel) idToken(ctx context.Context, r fosite.AuthorizeRequester) {
	s, types := r.GetSession().(*Session), r.GetResponseTypes()
	t := h.p.newIDToken(s, clientOf(r.GetClient()), r.GetRequestForm().Get("nonce"))
	t.names = strings.Fields(r.GetRequestForm().Get(claimsOfIDToken))
	if types.ExactOne("id_token") {
		t.scopes = r.GetGrantedScopes()
	}
	workOf(ctx).id = t
	r.SetResponseTypeHandled("id_token")
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

// signFront makes the tokens of an authorization response.
func (p *Provider) signFront(ctx context.Context, c *storage.Client, parameters url.Values) error {
	w := workOf(ctx)
	if w.access != nil {
		token, err := p.Keys.sign(algES256, typAccessToken, w.access)
		if err != nil {
			return errServer.because(err)
		}
		parameters.Set("access_token", token)
	}
	if w.id != nil {
		token, err := p.signIDToken(ctx, w.id, c, parameters.Get("access_token"), parameters.Get("code"))
		if err != nil {
			return errServer.because(err)
		}
		parameters.Set("id_token", token)
	}
	return nil
}
