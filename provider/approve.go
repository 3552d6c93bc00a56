package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// CheckActing says why a request cannot be answered by somebody who acts as another:
// it asks how the subject signed in, and the subject did not (SECURITY A10), or for
// somebody else (OpenID Connect Core 5.5.1).
func (a *AuthorizeRequest) CheckActing(subjectID string) error {
	sub := subjectWith(a.salt, a.Client, subjectID)
	chooses := slices.Contains(a.Prompt, "select_account") || a.Form.Get("impersonate") == "1"
	switch {
	case a.HasAge:
		return errLoginRequired.with("max_age cannot be met while somebody acts as the user.")
	case a.Form.Get("acr_values") != "", a.Claims.acrEssential, a.Claims.acrNamed:
		return errUnmetAuthentication.with("The authentication asked for cannot be met while somebody acts as the user.")
	case !a.Claims.means(sub), a.Hint != nil && a.Hint.Subject != sub && !chooses:
		return errLoginRequired.with("The request means another user.")
	}
	return nil
}

// CheckUnseen says why a request cannot be answered by somebody who acts as another
// without having signed in here: there is nobody who could sign in again.
func (a *AuthorizeRequest) CheckUnseen(subjectID string) error {
	switch {
	case a.Err != nil:
		return a.Err
	case slices.Contains(a.Prompt, "login"), a.Hint != nil && a.Hint.Acting:
		return errLoginRequired
	}
	return a.CheckActing(subjectID)
}

// As says as whom a request is answered.
type As struct {
	Login *storage.Login // who sits in front of it; nil: nobody signed in, and Ask says who acts
	Scope []string       // what they allow

	// Ask is set when they act as somebody else.
	Ask *impersonation.Ask
}

// Approve answers a request with what it asks for. before is done in the same Write: it
// spends the interaction, stores the consent. A refusal to impersonate is an
// impersonation.Denial, and nothing was changed but for its record.
func (p *Provider) Approve(ctx context.Context, a *AuthorizeRequest, as As, before func(*storage.Tx) error) (*Answer, error) {
	now := time.Now()
	store := p.fosite.Store.(*fositeStore)
	ctx, err := store.BeginTX(ctx)
	if err != nil {
		return nil, err
	}
	w := workOf(ctx)
	if as.Login != nil {
		w.writes = append(w.writes, func(tx *storage.Tx) error { return tx.HoldLogin(ctx, as.Login.SID, now) })
	}
	if before != nil {
		w.writes = append(w.writes, before)
	}
	r := a.AuthorizeRequester.(*fosite.AuthorizeRequest)
	var s *Session
	if as.Ask != nil {
		s, err = p.actingSession(ctx, r, as, now)
	} else {
		s, err = p.ownSession(ctx, a.Client, as.Login, now)
	}
	if err != nil {
		return nil, errors.Join(err, store.Rollback(ctx))
	}
	r.GrantedScope = grantable(as, r.GetResponseTypes().Has(responseTypeCode))
	if as.Ask == nil && r.GrantedScope.Has(scopeOfflineAccess) {
		s.NotAfter = now.Add(p.config.RefreshTokenLifetime)
	}
	r.GrantedAudience = r.GetRequestedAudience()
	response, err := p.fosite.NewAuthorizeResponse(ctx, r, s)
	if err == nil {
		err = store.Commit(ctx)
	} else {
		_ = store.Rollback(ctx)
	}
	if _, denied := impersonation.Denied(err); denied {
		return nil, p.Impersonation.Refused(ctx, err, *as.Ask, w.info, now)
	}
	if err != nil {
		return nil, err
	}
	parameters := response.GetParameters()
	if err := p.signFront(ctx, r, parameters); err != nil {
		return nil, err
	}
	return p.answer(a, parameters), nil
}

// ownSession is what tokens say when the person acts as themselves.
func (p *Provider) ownSession(ctx context.Context, c *storage.Client, l *storage.Login, now time.Time) (*Session, error) {
	salt, err := p.saltFor(ctx, c)
	return &Session{
		GrantID: storage.NewIDAt("gr", now), Subject: l.User.ID, Sub: subjectWith(salt, c, l.User.ID), SID: sidWith(salt, c, l.SID), LoginSID: l.SID,
		ACR: acrPassword, AMR: l.AMR, AuthTime: l.AuthTime.Time(),
		NotAfter: now.Add(p.config.AuthorizationCodeLifetime + max(p.config.AccessTokenLifetime, p.config.IDTokenLifetime)),
	}, err
}

// actingSession adds the start of the impersonation to the unit of work and
// returns what its tokens say. The grant's row follows in the same Write, with
// what the start found out, and the scopes that it leaves.
func (p *Provider) actingSession(ctx context.Context, r *fosite.AuthorizeRequest, as As, now time.Time) (*Session, error) {
	w, ask := workOf(ctx), as.Ask
	s, err := p.sessionOfAct(ctx, as, now)
	if err != nil {
		return nil, err
	}
	w.writes = append(w.writes, func(tx *storage.Tx) error {
		i, err := p.Impersonation.Start(ctx, tx, *ask, s.ImpersonationID, w.info, now)
		if err != nil {
			return err
		}
		s.Organization, s.NotAfter = i.OrganizationID, i.ExpiresAt.Time()
		r.GrantedScope = grantable(as.started(i), r.GetResponseTypes().Has(responseTypeCode))
		s.Left = append([]string{}, r.GrantedScope...)
		return nil
	})
	return s, nil
}

// started narrows what was allowed to what the policy left of it at the start.
func (as As) started(i *storage.Impersonation) As {
	ask := *as.Ask
	ask.Access = impersonation.Access(i.Access)
	as.Ask = &ask
	if len(i.Scopes) > 0 {
		as.Scope = slices.DeleteFunc(slices.Clone(as.Scope), func(scope string) bool { return !slices.Contains(i.Scopes, scope) })
	}
	return as
}

// sessionOfAct is what tokens say when the person acts as somebody else.
func (p *Provider) sessionOfAct(ctx context.Context, as As, now time.Time) (*Session, error) {
	ask := as.Ask
	sub, err := p.subjectFor(ctx, ask.Client, ask.SubjectID)
	if err != nil {
		return nil, err
	}
	actor, err := p.subjectFor(ctx, ask.Client, ask.Actor.ID)
	if err != nil {
		return nil, err
	}
	s := &Session{
		GrantID: storage.NewIDAt("gr", now), Subject: ask.SubjectID, Sub: sub, Organization: ask.Organization,
		ActorID: ask.Actor.ID, ImpersonationID: storage.NewIDAt("imp", now), Act: actClaim(ask.Actor, actor, ask.Client),
		ACR: acrImpersonation, Custom: customOf(ask), AuthTime: ask.SignedIn(), NotAfter: now.Add(ask.Duration),
	}
	if ask.ActorLogin != nil {
		s.LoginSID = ask.ActorLogin.SID
	}
	s.SID = s.ImpersonationID
	if ask.Words.Dialect == "clerk" {
		s.Act = withSID(s.Act, s.SID)
	}
	return s, nil
}

// customOf returns what the tokens of an impersonation say besides.
func customOf(ask *impersonation.Ask) json.RawMessage {
	if ask.CustomClaims == "" {
		return nil
	}
	return json.RawMessage(ask.CustomClaims)
}

// grantable returns the scopes that an answer grants. Without a code nothing goes
// on while the user is away (OpenID Connect Core 11). An impersonation gets no
// offline_access unless the client opted in (SECURITY A11), and read only means
// the client's read-only scopes.
func grantable(as As, code bool) fosite.Arguments {
	var granted fosite.Arguments
	for _, scope := range as.Scope {
		switch {
		case scope == scopeOfflineAccess && !code:
		case as.Ask == nil:
			granted = append(granted, scope)
		case scope == scopeOfflineAccess && !as.Ask.Client.ImpersonationRefresh:
		case as.Ask.Access == impersonation.ReadOnly && !isIdentityScope(scope) && !slices.Contains(as.Ask.Client.ReadOnlyScopes, scope):
		default:
			granted = append(granted, scope)
		}
	}
	return granted
}

// stopURI is where the person stops an impersonation.
func (p *Provider) stopURI(id string) string {
	return p.config.Issuer + "/impersonation/stop?id=" + url.QueryEscape(id)
}
