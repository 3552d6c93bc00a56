package provider

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Token answers a token request, with what RFC 6749 section 5.1 lists.
func (p *Provider) Token(r *http.Request, info storage.Request) (map[string]any, error) {
	return p.tokenTwice(Begin(r.Context(), info), r)
}

// tokenTwice answers a token request, once more where somebody else spent its refresh
// token at the same moment: now it counts as sent twice.
func (p *Provider) tokenTwice(ctx context.Context, r *http.Request) (map[string]any, error) {
	answer, err := p.token(ctx, r)
	if errors.Is(err, errOvertaken) {
		answer, err = p.token(beginAgain(ctx), r)
	}
	return answer, err
}

// errOvertaken says that somebody else spent the refresh token in between.
var errOvertaken = errors.New("the refresh token was used at the same moment")

func (p *Provider) token(ctx context.Context, r *http.Request) (map[string]any, error) {
	request, err := p.newAccessRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := workOf(ctx).keepsOrganization(); err != nil {
		return nil, err
	}
	response, err := p.newAccessResponse(ctx, request)
	if err != nil {
		return nil, err
	}
	answer := response.ToMap()
	if seconds, ok := answer["expires_in"].(int64); ok && seconds < 1 {
		answer["expires_in"] = int64(1) // it ends with its impersonation, within this second
	}
	return answer, nil
}

// newAccessRequest reads a token request, finds its client and lets the handlers
// of its grant type check it.
func (p *Provider) newAccessRequest(ctx context.Context, r *http.Request) (fosite.AccessRequester, error) {
	form, err := directForm(r)
	if err != nil {
		return nil, err
	}
	if !form.Has("grant_type") {
		return nil, errInvalidRequest.with("The grant_type parameter is missing.")
	}
	if !p.handles(ctx, form.Get("grant_type")) {
		return nil, errUnsupportedGrantType // fosite #11
	}
	for grantType, needed := range map[string]string{grantCode: "code", grantRefresh: "refresh_token"} {
		if form.Get("grant_type") == grantType && form.Get(needed) == "" {
			return nil, errInvalidRequest.with("The " + needed + " parameter is missing.")
		}
	}
	if asked := audiences(form); len(asked) > 0 {
		form["audience"] = asked
	}
	request, err := p.fosite.NewAccessRequest(ctx, r, &Session{})
	if lost := workOf(ctx).lost; lost != nil {
		err = lost // fosite says invalid_grant although the revocation failed
	}
	if err != nil {
		if form.Get("grant_type") == grantRefresh && form.Get("scope") == "" && AsError(err).Code == errInvalidScope.Code {
			err = errInvalidGrant.because(err) // the client lost a scope that it did not even ask for
		}
		return nil, p.settle(ctx, err)
	}
	return request, nil
}

func (p *Provider) handles(ctx context.Context, grantType string) bool {
	probe := &fosite.AccessRequest{GrantTypes: fosite.Arguments{grantType}}
	for _, h := range p.fosite.Config.GetTokenEndpointHandlers(ctx) {
		if h.CanHandleTokenEndpointRequest(ctx, probe) {
			return true
		}
	}
	return false
}

// newAccessResponse carries the request out in one Write, and signs what it gave
// after that: a token exists only when its grant and its event do, and whoever
// loses a race costs no signature. The handlers run inside one unit of work, so
// that a failure of the last one undoes the first (fosite #38).
func (p *Provider) newAccessResponse(ctx context.Context, r fosite.AccessRequester) (_ fosite.AccessResponder, err error) {
	defer func() { err = p.settle(ctx, err) }()
	store := p.fosite.Store.(*fositeStore)
	ctx, err = store.BeginTX(ctx)
	if err != nil {
		return nil, err
	}
	if r.GetGrantTypes().ExactOne(string(fosite.GrantTypeAuthorizationCode)) {
		// First, so that rows are locked in the order of whoever ends the session:
		// session, then grant.
		p.noteSession(ctx, clientOf(r.GetClient()), r.GetSession().(*Session))
	}
	response, err := p.fosite.NewAccessResponse(ctx, r)
	if err != nil {
		return nil, errors.Join(err, store.Rollback(ctx))
	}
	if err := store.Commit(ctx); err != nil {
		return nil, p.lost(ctx, r, err)
	}
	return response, p.sign(ctx, r, response)
}

// lost is called when the unit of work did not commit. A code that somebody else
// spent in between was used twice.
func (p *Provider) lost(ctx context.Context, r fosite.AccessRequester, err error) error {
	w := workOf(ctx)
	if w.exchange != nil {
		return w.exchange.lost(ctx, err)
	}
	if !errors.Is(err, storage.ErrSpent) {
		return err
	}
	if r.GetGrantTypes().ExactOne(string(fosite.GrantTypeAuthorizationCode)) && w.granted != nil {
		now, readErr := p.store.GrantByCode(ctx, w.granted.CodeHash)
		if readErr == nil && now.CodeUsedAt.Set() { // not stopped, nor run out, in between
			return errors.Join(errInvalidGrant.because(err), p.revokeReused(ctx, now.Grant.ID))
		}
	}
	if w.rotates != "" && w.successor == "" && r.GetGrantTypes().ExactOne(grantRefresh) {
		err = errors.Join(errOvertaken, err)
	}
	return errInvalidGrant.because(err)
}

// revokeReused ends a grant whose code or refresh token came a second time, and
// the impersonation behind it.
func (p *Provider) revokeReused(ctx context.Context, grantID string) error {
	w, now := workOf(ctx), time.Now()
	return w.add(ctx, p.store, func(tx *storage.Tx) error {
		if err := tx.RevokeGrant(ctx, grantID, now); err != nil {
			return err
		}
		g := w.granted
		if g.ImpersonationID != "" {
			err := tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: g.ImpersonationID},
				storage.Cause{Reason: storage.EndReusedToken, Request: w.info}, now)
			if err != nil {
				return err
			}
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventGrantRevoked, SubjectID: g.Grant.UserID, ClientID: g.Grant.ClientID,
			ImpersonationID: g.ImpersonationID, Data: storage.Data{"grant": grantID, "why": "reuse"},
		}, storage.Private{}, w.info, now)
	})
}

// sign makes the tokens that the handlers planned.
func (p *Provider) sign(ctx context.Context, r fosite.AccessRequester, response fosite.AccessResponder) error {
	w := workOf(ctx)
	if w.exchange != nil {
		return w.exchange.sign(ctx, response)
	}
	if w.access != nil {
		token, err := p.Keys.sign(algES256, typAccessToken, w.access.says())
		if err != nil {
			return errServer.because(err)
		}
		response.SetAccessToken(token)
	}
	if w.id != nil {
		token, err := p.signIDToken(ctx, w.id, clientOf(r.GetClient()), response.GetAccessToken(), "")
		if err != nil {
			return errServer.because(err)
		}
		response.SetExtra("id_token", token)
	}
	for name, value := range w.extra {
		response.SetExtra(name, value)
	}
	response.SetTokenType("Bearer")
	return nil
}

// only makes a TokenEndpointHandler of those parts that a handler needs.
type only struct{}

func (only) PopulateTokenEndpointResponse(context.Context, fosite.AccessRequester, fosite.AccessResponder) error {
	return nil
}

func (only) HandleTokenEndpointRequest(context.Context, fosite.AccessRequester) error { return nil }

func (only) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// refreshScopes honours scope in a refresh request, which fosite ignores (fosite
// #14): narrower narrows this access token, wider is refused (RFC 6749 section 6).
type refreshScopes struct{ only }

func (refreshScopes) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(string(fosite.GrantTypeRefreshToken))
}

func (refreshScopes) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	asked := fosite.RemoveEmpty(splitSpace(r.GetRequestForm().Get("scope")))
	if len(asked) == 0 {
		return nil
	}
	granted := r.GetGrantedScopes()
	for _, scope := range asked {
		if !exactScope(granted, scope) {
			return errInvalidScope
		}
	}
	slices.Sort(asked)
	r.(*fosite.AccessRequest).GrantedScope = slices.Compact(asked)
	return nil
}

// clientScopes grants a client what it asks for itself; fosite checked that it may.
type clientScopes struct{ only }

func (clientScopes) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(string(fosite.GrantTypeClientCredentials))
}

func (clientScopes) HandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) error {
	if r.GetClient().IsPublic() || !r.GetClient().GetGrantTypes().Has(string(fosite.GrantTypeClientCredentials)) {
		return errUnauthorizedClient
	}
	for _, scope := range r.GetRequestedScopes() {
		if isIdentityScope(scope) {
			return errInvalidScope // there is no user
		}
		r.GrantScope(scope)
	}
	for _, audience := range r.GetRequestedAudience() {
		r.GrantAudience(audience)
	}
	return nil
}

// forPeople are the grant types behind which there is a user.
type forPeople struct{ only }

func (forPeople) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(string(fosite.GrantTypeAuthorizationCode)) ||
		r.GetGrantTypes().ExactOne(string(fosite.GrantTypeRefreshToken))
}

// identity adds the ID token. It takes the place of fosite's OpenID Connect
// handlers, which sign before the commit, key their row by the code itself (fosite
// #32) and hash with the wrong function (fosite #23).
type identity struct {
	forPeople
	p *Provider
}

// HandleTokenEndpointRequest asks again whether the client is for the user and,
// at a refresh, whether they still allow it what they had allowed (SECURITY B10).
// For impersonations see impersonated.
func (h *identity) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	s, c := r.GetSession().(*Session), clientOf(r.GetClient())
	if asked := audiences(r.GetRequestForm()); len(asked) > 0 {
		granted := strings.Fields(workOf(ctx).granted.Grant.Audience)
		for _, a := range asked {
			if !slices.Contains(granted, a) && a != h.p.config.Issuer { // whose userinfo is always granted
				return errInvalidTarget // fixed when the user was asked (SECURITY B15)
			}
		}
		workOf(ctx).audience = asked
	}
	if s.ImpersonationID != "" {
		return nil
	}
	if len(c.Organizations) > 0 {
		standing, err := h.p.store.Standing(ctx, s.Subject)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(c.Organizations, standing.MemberOf) {
			return errInvalidGrant
		}
	}
	if c.FirstParty || !r.GetGrantTypes().ExactOne(string(fosite.GrantTypeRefreshToken)) {
		return nil
	}
	g := workOf(ctx).granted
	consented := strings.Fields(g.Consented)
	for _, scope := range strings.Fields(g.Grant.Scope) {
		if !exactScope(consented, scope) {
			return errInvalidGrant
		}
	}
	return nil
}

func (h *identity) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, _ fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	if r.GetGrantedScopes().Has(scopeOpenID) {
		w, nonce := workOf(ctx), ""
		if r.GetGrantTypes().ExactOne(string(fosite.GrantTypeAuthorizationCode)) {
			nonce = w.granted.Parameter("nonce")
		}
		w.id = h.p.newIDToken(r.GetSession().(*Session), clientOf(r.GetClient()), nonce)
		w.id.Issuer = cmp.Or(w.issuer, w.id.Issuer)
		w.id.names = namesWithin(w.granted.Parameter(claimsOfIDToken), w.granted.Grant.Scope, strings.Join(r.GetGrantedScopes(), " "))
	}
	return nil
}

// impersonated decides again about an impersonation before it gets tokens, says
// in the response what it is, and records that tokens were issued.
type impersonated struct {
	forPeople
	p *Provider
}

func (h *impersonated) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	s := r.GetSession().(*Session)
	if s.ImpersonationID == "" {
		return nil
	}
	w, c := workOf(ctx), clientOf(r.GetClient())
	if err := h.p.settle(ctx, nil); err != nil { // who presents an assertion again ends nothing
		return err
	}
	i, actor, err := h.p.Impersonation.Recheck(ctx, s.ImpersonationID, c, w.info, time.Now())
	if err != nil {
		return h.refusal(err)
	}
	if w.renamesActor(r.GetGrantTypes()[0]) {
		s.Act = asRaw(map[string]string{"sub": actor.Email})
		w.granted.Act = string(s.Act)
	}
	h.p.tellOf(w.extra, c, i, actor)
	if w.translated != nil {
		w.extra["impersonator"] = impersonatorOf(actor, i)
	}
	return nil
}

// tellOf adds to a response what an impersonation is and, where the client is
// registered to hear it, who acts and why.
func (p *Provider) tellOf(response map[string]any, c *storage.Client, i *storage.Impersonation, actor *storage.User) {
	response["impersonation"] = map[string]any{
		"id": i.ID, "expires_at": i.ExpiresAt.Time().Format(time.RFC3339), "access": i.Access, "stop_uri": p.stopURI(i.ID),
	}
	if c.ImpersonatorInResponse {
		response["impersonator"] = impersonatorOf(actor, i)
	}
}

func impersonatorOf(actor *storage.User, i *storage.Impersonation) map[string]any {
	return map[string]any{"email": actor.Email, "reason": i.Reason}
}

func (h *impersonated) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, _ fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	s, w := r.GetSession().(*Session), workOf(ctx)
	if s.ImpersonationID == "" {
		return nil
	}
	return w.add(ctx, h.p.store, func(tx *storage.Tx) error {
		if w.renamesActor(r.GetGrantTypes()[0]) {
			if err := tx.SetGrantAct(ctx, s.GrantID, w.granted.Act); err != nil {
				return err
			}
		}
		return recordIssued(ctx, tx, s, r.GetClient().GetID(), r.GetGrantTypes()[0], w.info)
	})
}

// recordIssued notes that an impersonation got tokens, and by which grant type or
// response type.
func recordIssued(ctx context.Context, tx *storage.Tx, s *Session, clientID, by string, info storage.Request) error {
	return tx.Record(ctx, issued(s, clientID, by), storage.Private{}, info, time.Now())
}

func issued(s *Session, clientID, by string) storage.Event {
	return storage.Event{
		Type: storage.EventTokenIssued, ActorID: s.ActorID, SubjectID: s.Subject, ClientID: clientID,
		OrganizationID: s.Organization, ImpersonationID: s.ImpersonationID,
		Data: storage.Data{"grant": s.GrantID, "grant_type": by},
	}
}

// refusal is what the client is told of a denial: the grant is no longer good. The
// rule is in the record.
func (h *impersonated) refusal(err error) error {
	if _, denied := impersonation.Denied(err); denied {
		return errInvalidGrant.because(err)
	}
	return err
}
