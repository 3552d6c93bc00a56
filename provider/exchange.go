package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// tokenExchange is the grant type of RFC 8693, for what an application does on its own
// server: its staff begin to act as a user, and become themselves again; and a token of
// its own gives one that may do less, or is for something else.
//
// The client stands in for the page on which people confirm at the provider, so it
// must be one that was registered for this and that authenticates
// (docs/adr/0013-token-exchange-for-clients-that-authenticate.md).
type tokenExchange struct {
	only
	p *Provider
}

func (tokenExchange) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantTokenExchange)
}

// HandleTokenEndpointRequest looks at everything that was presented. Whether somebody
// may act is decided in the unit of work.
func (h *tokenExchange) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	c := clientOf(r.GetClient())
	if c.Public() || !slices.Contains(c.GrantTypes, grantTokenExchange) {
		return errUnauthorizedClient
	}
	asked, err := parseExchange(r.GetRequestForm())
	if err == nil {
		err = asked.mayAsk(c, h.p.config.Issuer)
	}
	if err != nil {
		return err
	}
	x := &exchange{exchangeRequest: asked, p: h.p, client: c, request: r.(*fosite.AccessRequest), now: time.Now(), told: map[string]any{}}
	switch {
	case asked.requestedSubject != "":
		err = x.prepareReturn(ctx)
	case asked.narrows():
		err = x.prepareNarrower(ctx)
	default:
		err = x.prepareStart(ctx)
	}
	if err != nil {
		return err
	}
	x.request.SetSession(x.session)
	x.request.GrantedAudience = asked.audience
	if asked.requestedType == typeIDToken {
		x.request.GrantedAudience = nil
	}
	workOf(ctx).exchange = x
	return nil
}

// PopulateTokenEndpointResponse adds the exchange to the unit of work. Its tokens are
// planned there: the start of an impersonation decides about their end.
func (h *tokenExchange) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, response fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	w := workOf(ctx)
	x := w.exchange
	x.secrets()
	if x.narrows() {
		if err := x.addNarrower(ctx, w); err != nil {
			return err
		}
	} else {
		w.writes = append(w.writes, func(tx *storage.Tx) error { return x.carryOut(ctx, tx) })
		h.p.noteSession(ctx, x.client, x.session)
	}
	response.SetAccessToken("to be signed")
	response.SetTokenType(tokenTypeNone)
	return nil
}

// tokenTypeNone is the token_type of what is no access token (RFC 8693 section 2.2.1).
const tokenTypeNone = "N_A"

// exchange is one that is under way.
type exchange struct {
	*exchangeRequest
	p       *Provider
	client  *storage.Client
	request *fosite.AccessRequest
	session *Session
	now     time.Time

	// What must still stand when the commit happens.
	login  string   // the actor's sign-in; empty: nobody signed in
	grants []string // those of the presented tokens
	before time.Time
	scopes []string // what may be granted at most

	actorSub string             // as the client knows them
	ask      *impersonation.Ask // what starts; nil: the actor becomes themselves
	ends     string             // the impersonation that ends; empty: one starts

	opaque, refresh string       // made before the commit, stored with it
	jwt             *accessToken // to sign after it
	idToken         *idToken
	told            map[string]any // of the response
}

// earlier bounds what is issued by what was presented (SECURITY A25).
func (x *exchange) earlier(expires int64) {
	at := time.Unix(expires, 0)
	if x.before.IsZero() || at.Before(x.before) {
		x.before = at
	}
}

// narrow leaves of the scopes that may be granted those of a token. What the request
// names and the token lacks is an error.
func (x *exchange) narrow(scope string) error {
	held := strings.Fields(scope)
	if len(x.scope) == 0 {
		x.scopes = slices.DeleteFunc(x.scopes, func(s string) bool { return s != scopeOfflineAccess && !slices.Contains(held, s) })
		return nil
	}
	for _, s := range x.scope {
		if s != scopeOfflineAccess && !slices.Contains(held, s) { // whether anything goes on is not the token's to say
			return errInvalidScope
		}
	}
	return nil
}

// secrets makes what is stored as a hash.
func (x *exchange) secrets() {
	if x.requestedType == typeAccessToken && x.client.AccessTokenFormat == "opaque" {
		x.opaque = NewSecret(prefixAccess)
	}
	if slices.Contains(x.scopes, scopeOfflineAccess) {
		x.refresh = NewSecret(prefixRefresh)
	}
}

// carryOut is what the unit of work tx holds: what was presented still stands, the
// impersonation starts or ends, and there is a grant with its tokens. It may run again.
func (x *exchange) carryOut(ctx context.Context, tx *storage.Tx) error {
	if err := x.hold(ctx, tx); err != nil {
		return err
	}
	w, s := workOf(ctx), x.session
	x.told, x.request.GrantedScope = map[string]any{}, x.scopes
	if x.ask != nil {
		i, err := x.p.Impersonation.Start(ctx, tx, *x.ask, s.ImpersonationID, w.info, x.now, issued(s, x.client.ID, grantTokenExchange))
		if err != nil {
			return err
		}
		s.Organization, s.NotAfter = i.OrganizationID, i.ExpiresAt.Time()
		x.request.GrantedScope = grantable(As{Scope: x.scopes, Ask: x.ask}.started(i), true)
		x.p.tellOf(x.told, x.client, i, x.ask.Actor)
	} else if err := tx.StopImpersonation(ctx, x.ends, storage.Cause{By: s.Subject, Request: w.info}, x.now); err != nil {
		return err
	}
	if err := tx.CreateGrant(ctx, newGrant(nil, x.request, url.Values{})); err != nil {
		return err
	}
	stored, err := x.plan()
	if err != nil {
		return err
	}
	return tx.CreateTokens(ctx, stored)
}

// hold makes sure that what was presented still stands when the commit happens.
func (x *exchange) hold(ctx context.Context, tx *storage.Tx) error {
	grants := x.grants
	switch {
	case x.login != "" && len(grants) > 0:
		if err := tx.HoldSignIn(ctx, x.login, grants[0], x.now); err != nil {
			return err
		}
		grants = grants[1:]
	case x.login != "":
		if err := tx.HoldLogin(ctx, x.login, x.now); err != nil {
			return err
		}
	}
	for _, id := range grants {
		if err := tx.HoldGrant(ctx, id, x.now); err != nil {
			return err
		}
	}
	return nil
}

// plan plans the tokens, and returns those that are stored.
func (x *exchange) plan() (stored []storage.Token, err error) {
	s, config := x.session, x.p.config
	within := func(lifetime time.Duration) time.Time {
		at := x.now.Add(lifetime)
		if !x.before.IsZero() && at.After(x.before) {
			at = x.before
		}
		return at
	}
	expires := s.NotAfter
	switch x.requestedType {
	case typeAccessToken:
		s.SetExpiresAt(fosite.AccessToken, within(config.AccessTokenLifetime))
		expires = s.GetExpiresAt(fosite.AccessToken)
		if x.opaque == "" {
			x.jwt = x.p.newAccessToken(x.request, x.now)
		} else {
			stored = append(stored, (&tokenStrategy{x.p}).row(x.opaque, x.request, x.now))
		}
	case typeIDToken:
		if !slices.Contains(x.request.GetGrantedScopes(), scopeOpenID) {
			return nil, errNoOpenID
		}
		x.idToken = x.p.newIDToken(s, x.client, "")
		x.idToken.scopes = x.request.GetGrantedScopes() // no access token could bring them (OpenID Connect Core 5.4)
		x.idToken.Expires = min(x.idToken.Expires, within(config.IDTokenLifetime).Unix())
		expires = time.Unix(x.idToken.Expires, 0)
	}
	switch {
	case slices.Contains(x.request.GetGrantedScopes(), scopeOfflineAccess):
		s.SetExpiresAt(fosite.RefreshToken, x.now.Add(config.RefreshTokenIdle))
		x.told["refresh_token"] = x.refresh
		stored = append(stored, storage.Token{
			Hash: []byte(hashOf(prefixRefresh, x.refresh)), Kind: storage.RefreshToken, GrantID: s.GrantID, ClientID: x.client.ID,
			Scope: strings.Join(x.request.GetGrantedScopes(), " "), Audience: strings.Join(x.request.GetGrantedAudience(), " "),
			CreatedAt: storage.At(x.now), ExpiresAt: storage.At(s.GetExpiresAt(fosite.RefreshToken)),
		})
		if x.requestedType == typeRefreshToken {
			expires = s.GetExpiresAt(fosite.RefreshToken)
		}
	case x.requestedType == typeRefreshToken:
		return nil, errNoRefresh
	}
	x.told["expires_in"] = int64(expires.Sub(x.now) / time.Second)
	return stored, nil
}

// sign makes the token that was asked for, whatever its type, the access_token of the
// response (RFC 8693 section 2.2.1).
func (x *exchange) sign(ctx context.Context, response fosite.AccessResponder) error {
	token, tokenType := x.opaque, "Bearer"
	var err error
	switch x.requestedType {
	case typeAccessToken:
		if x.jwt != nil {
			token, err = x.p.Keys.sign(algES256, typAccessToken, x.jwt.says())
		}
	case typeIDToken:
		tokenType = tokenTypeNone
		token, err = x.p.signIDToken(ctx, x.idToken, x.client, "", "")
	case typeRefreshToken:
		token, tokenType = x.refresh, tokenTypeNone
	}
	if err != nil {
		return errServer.because(err)
	}
	response.SetAccessToken(token)
	response.SetTokenType(tokenType)
	response.SetExtra("issued_token_type", x.requestedType)
	response.SetScopes(x.request.GetGrantedScopes())
	for name, value := range x.told {
		response.SetExtra(name, value)
	}
	return nil
}

// lost says why the unit of work did not commit.
func (x *exchange) lost(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, storage.ErrSpent):
		return errEndedMeanwhile.because(err)
	case x.ask != nil:
		return x.p.refuseExchange(ctx, err, *x.ask)
	}
	return err
}

// What is wrong with what was presented is invalid_request (RFC 8693 section 2.2.2).
var (
	errSubjectToken   = errInvalidRequest.with("The subject_token is not one that this client may exchange.")
	errActorToken     = errInvalidRequest.with("The actor_token is not an access token of a user, issued to this client and for this provider, that may be used now.")
	errActorMissing   = errInvalidRequest.with("The actor_token parameter is missing.")
	errActorSignedOut = errInvalidRequest.with("The sign-in behind the token has ended.")
	errEndedMeanwhile = errInvalidRequest.with("What was presented has ended.")
	errTermsOfTicket  = errInvalidRequest.with("The ticket says something else.")
	errNoOpenID       = errInvalidScope.with("An ID token needs the openid scope.")
	errNoRefresh      = errInvalidRequest.with("The client gets no refresh token by an exchange.")
)

// refuseExchange puts a Denial on the record and says it to the client, which acts for
// who is refused and has to tell them. Whatever else err is comes back as it is. Who
// presents a client assertion again leaves nothing on the record.
func (p *Provider) refuseExchange(ctx context.Context, err error, ask impersonation.Ask) error {
	if _, denied := impersonation.Denied(err); !denied {
		return err
	}
	if err := p.settle(ctx, nil); err != nil {
		return err
	}
	return refusedExchange(p.Impersonation.Refused(ctx, err, ask, workOf(ctx).info, time.Now()))
}

// DenialText is impersonation.MessageOf for a program, which knows who it asked for and chose from no list.
func DenialText(err error) string {
	switch denial, _ := impersonation.Denied(err); denial {
	case impersonation.DenySubject:
		return "There is no such user within the actor's reach."
	case impersonation.DenySelf:
		return "Actor and subject are the same user."
	case impersonation.DenyDuration:
		return "The duration is longer than is allowed, or shorter than a minute."
	case impersonation.DenyActorInactive:
		return "The actor's account is disabled."
	}
	return impersonation.MessageOf(err)
}

// refusedExchange is what the client is told of a Denial. Decide asks about the subject
// last, so that who may not start learns nothing of whom there is.
func refusedExchange(err error) error {
	denial, denied := impersonation.Denied(err)
	if !denied {
		return err
	}
	e := errInvalidRequest.with(descriptive(DenialText(err))).because(err)
	e.Denial = string(denial)
	if denial.OfLimits() {
		e.Status = http.StatusTooManyRequests
	}
	switch denial {
	case impersonation.DenyClient, impersonation.DenyClientInactive:
		e.Code = errUnauthorizedClient.Code
	case impersonation.DenyStepUp:
		e.Description = "The sign-in behind the actor_token is too old. Ask for a new one with max_age, or prompt=login, and exchange that."
	}
	return e
}
