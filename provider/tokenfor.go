package provider

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// TokenRequest is a token request that came in another vendor's words. Which client
// sent it was found out already.
type TokenRequest struct {
	Client *storage.Client
	Form   url.Values // as the token endpoint takes it, without the client's credentials
	// Organization is the one that the tokens have to be for, empty where it does not matter.
	// A grant stays in the one in which it began.
	Organization string
	// ActorByEmail makes the actor's e-mail address the sub of act, in everything that
	// comes of the grant.
	ActorByEmail bool
}

// TokenAnswer is what came of a TokenRequest: the token response, and whom it is about.
type TokenAnswer struct {
	Tokens       map[string]any
	User         storage.User
	Sub          string   // what the application knows User by
	Scopes       []string // that were granted: what the application may know of User
	Organization string
	// Acting: somebody acts as User; impersonator and impersonation in Tokens say who,
	// and until when.
	Acting bool
}

// TokenFor answers a token request that came in another vendor's words, and is Token in
// everything else. Such a request does not repeat the redirect URI of its code, as RFC
// 6749 section 4.1.3 wants: the code is bound to its client, and to the verifier where
// there is a challenge.
func (p *Provider) TokenFor(ctx context.Context, q TokenRequest, info storage.Request) (*TokenAnswer, error) {
	if q.ActorByEmail && slices.ContainsFunc(q.Client.ResponseTypes, func(t string) bool { return t != responseTypeCode }) {
		// One grant's tokens would name the actor now by id, now by address.
		return nil, errUnauthorizedClient.with("This is for applications whose only response type is code.")
	}
	if grantType := q.Form.Get("grant_type"); grantType != grantCode && grantType != grantRefresh {
		return nil, errUnsupportedGrantType.with("Only authorization_code and refresh_token are to be had here.")
	}
	ctx = Begin(ctx, info)
	w := workOf(ctx)
	w.client, w.translated = q.Client, &q
	form := maps.Clone(q.Form)
	form.Set("client_id", q.Client.ID)
	if code := form.Get("code"); code != "" {
		g, err := p.store.GrantByCode(ctx, []byte(hashOf(prefixCode, code)))
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		if err == nil && g.ClientID == q.Client.ID {
			w.granted = g
			form.Set("redirect_uri", g.Parameter("redirect_uri"))
		}
	}
	tokens, err := p.token(ctx, directRequest(form))
	if errors.Is(err, errOvertaken) {
		ctx = beginAgain(ctx)
		tokens, err = p.token(ctx, directRequest(form))
	}
	if err != nil {
		return nil, err
	}
	g := workOf(ctx).granted
	return &TokenAnswer{Tokens: tokens, User: g.User, Sub: newSession(&g.Grant).Sub, Scopes: strings.Fields(g.Grant.Scope), Organization: g.OrganizationID, Acting: g.ImpersonationID != ""}, nil
}

// directRequest makes a request of a direct endpoint of a form.
func directRequest(form url.Values) *http.Request {
	return &http.Request{
		Method: http.MethodPost, URL: &url.URL{}, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		Body: io.NopCloser(strings.NewReader(form.Encode())),
	}
}

// renamesActor reports whether act is to name the actor as the request has it: where a
// code is exchanged, before anything carried act. What follows carries what the grant's
// row says.
func (w *work) renamesActor(grantType string) bool {
	return w.translated != nil && w.translated.ActorByEmail && grantType == grantCode
}

// keepsOrganization refuses a request for tokens of another organization than the
// grant's, before anything is spent.
func (w *work) keepsOrganization() error {
	if q := w.translated; q != nil && q.Organization != "" && q.Organization != w.granted.OrganizationID {
		return errInvalidRequest.with("This sign-in is not one for that organization, and stays in the one in which it began.")
	}
	return nil
}
