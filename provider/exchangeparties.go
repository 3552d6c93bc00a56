package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// entryExchange is the entry of impersonations that an exchange starts. One that a ticket
// starts has the ticket's: what the rules were asked about then is asked again.
const entryExchange = "token_exchange"

// prepareStart finds out who wants to act, and as whom.
func (x *exchange) prepareStart(ctx context.Context) error {
	if x.requestedType == typeRefreshToken && !x.client.ImpersonationRefresh {
		return errNoRefresh
	}
	x.scopes = x.asks(x.client)
	if !x.client.ImpersonationRefresh {
		x.scopes = slices.DeleteFunc(x.scopes, func(s string) bool { return s == scopeOfflineAccess }) // SECURITY A11
	}
	var actor *storage.Login
	var err error
	if x.actorToken != "" || x.subjectType != typeTicket {
		if actor, err = x.actor(ctx); err != nil {
			return err
		}
		x.ask = &impersonation.Ask{
			Actor: &actor.User, ActorLogin: &actor.LoginSession, Client: x.client, Organization: x.organization,
			Reason: x.reason, TicketRef: x.ticketRef, Access: cmp.Or(x.access, impersonation.ReadOnly),
			Duration: cmp.Or(x.duration, x.p.Impersonation.Limits().DefaultDuration), Entry: entryExchange, Exchanged: true,
		}
	}
	switch x.subjectType {
	case typeUserID:
		x.ask.SubjectID = x.subjectToken
	case typeAccessToken:
		err = x.subject(ctx)
	case typeTicket:
		err = x.ticket(ctx, actor)
	}
	if err != nil {
		return err
	}
	x.session, err = x.p.sessionOfAct(ctx, As{Login: actor, Ask: x.ask}, x.now)
	return err
}

// actor returns the sign-in of whoever wants to act: behind an access token of theirs,
// for this provider, that the authenticated client was given (SECURITY A25). They have
// shown their password when that token's grant says, not when the browser last did.
func (x *exchange) actor(ctx context.Context) (*storage.Login, error) {
	if x.actorToken == "" {
		return nil, errActorMissing
	}
	a, err := x.presented(ctx, x.actorToken, errActorToken)
	switch {
	case err != nil:
		return nil, err
	case a.claims.ClientID != x.client.ID, !slices.Contains(a.claims.Audience, x.p.config.Issuer):
		return nil, errActorToken
	case a.acting():
		return nil, x.chained(ctx, a.granted)
	}
	session, err := x.signIn(ctx, a.granted, a.granted.Grant.UserID)
	if err != nil {
		return nil, err
	}
	session.AuthTime = min(session.AuthTime, a.granted.AuthTime)
	x.actorSub = a.claims.Subject
	x.holds(a)
	return &storage.Login{LoginSession: *session, User: a.granted.User}, nil
}

// presented returns an access token of a user that may be used now, else otherwise.
func (x *exchange) presented(ctx context.Context, token string, otherwise *Error) (*active, error) {
	a, err := x.p.active(ctx, token, x.now)
	if err == nil && (a.kind != storage.AccessToken || a.granted == nil) {
		err = errInactive
	}
	if errors.Is(err, errInactive) {
		err = otherwise.because(err)
	}
	return a, err
}

// acting reports whether somebody acts as the subject of the token.
func (a *active) acting() bool { return a.claims.Act != nil || a.granted.ImpersonationID != "" }

// holds makes what is issued depend on a token that was presented.
func (x *exchange) holds(a *active) {
	x.grants = append(x.grants, a.granted.Grant.ID)
	x.earlier(a.claims.Expires)
}

// signIn returns the sign-in that a grant came from, which must be a user's.
func (x *exchange) signIn(ctx context.Context, g *storage.Granted, userID string) (*storage.LoginSession, error) {
	session, err := x.p.store.LoginNamed(ctx, g.LoginSID, x.now)
	if errors.Is(err, storage.ErrNotFound) || err == nil && session.UserID != userID {
		return nil, errActorSignedOut.because(err)
	}
	if err == nil {
		x.login = session.SID
	}
	return session, err
}

// chained refuses somebody who acts as another already (SECURITY A05).
func (x *exchange) chained(ctx context.Context, g *storage.Granted) error {
	actor, err := x.p.store.User(ctx, g.ActorID)
	if err != nil {
		return err
	}
	ask := impersonation.Ask{Actor: actor, Client: x.client, Reason: x.reason, Entry: entryExchange, Exchanged: true, Chained: true}
	return x.p.refuseExchange(ctx, impersonation.DenyChain, ask)
}

// subject takes the user of an access token that the client was given, or that is for
// it. What the token may not do, nobody may who acts as its user.
func (x *exchange) subject(ctx context.Context) error {
	s, err := x.presented(ctx, x.subjectToken, errSubjectToken)
	switch {
	case err != nil:
		return err
	case !mayIntrospect(x.client, s):
		return errSubjectToken
	case s.acting():
		x.ask.SubjectID, x.ask.Chained = s.granted.UserID, true
		return x.p.refuseExchange(ctx, impersonation.DenyChain, *x.ask)
	case s.claims.MayAct != nil && !mayActAs(s.claims.MayAct, x.p.config.Issuer, x.actorSub):
		return errSubjectToken.with("The may_act claim of the subject_token names somebody else.")
	}
	x.ask.SubjectID = s.granted.UserID
	x.holds(s)
	return x.narrow(s.claims.Scope)
}

// ticket takes what a ticket says, for its actor at its client. One that is a bearer's
// needs no actor: its caller vouches for them. In other hands it is withdrawn, and on
// the record (SECURITY A21).
func (x *exchange) ticket(ctx context.Context, actor *storage.Login) error {
	t, err := x.p.store.Ticket(ctx, storage.Hash(x.subjectToken))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errSubjectToken.because(err)
	case err != nil:
		return err
	case actor == nil && t.Binding != storage.BindingBearer:
		return errActorMissing
	case t.ClientID != x.client.ID, !mayRedeem(t, actor):
		return x.foreign(ctx, t, actor)
	case actor == nil:
		x.ask, err = x.p.Impersonation.AskInBrowser(ctx, t, x.client)
	default:
		x.ask = impersonation.AskOf(t, x.client, actor)
	}
	if err != nil {
		return err
	}
	x.ask.Exchanged = true
	switch {
	case !t.Pending(x.now):
		return x.p.refuseExchange(ctx, impersonation.DenyTicketSpent, *x.ask)
	case actor != nil && x.now.Sub(actor.AuthTime.Time()) > x.p.Impersonation.Limits().StepUpMaxAge: // now, whenever the ticket was made
		return x.p.refuseExchange(ctx, impersonation.DenyStepUp, *x.ask)
	case !x.fits(x.ask):
		return errTermsOfTicket
	case t.Scope != "":
		return x.narrow(t.Scope)
	}
	return nil
}

// mayRedeem reports whether a ticket is the actor's, in this sign-in, or nobody's that
// no browser has taken.
func mayRedeem(t *storage.Ticket, actor *storage.Login) bool {
	if actor == nil {
		return !t.Bound()
	}
	return t.ActorID == actor.User.ID && len(t.BrowserHash) == 0 && (t.LoginSID == "" || t.LoginSID == actor.SID)
}

func (x *exchange) foreign(ctx context.Context, t *storage.Ticket, by *storage.Login) error {
	if err := x.p.settle(ctx, nil); err != nil {
		return err
	}
	id := ""
	if by != nil {
		id = by.User.ID
	}
	return refusedExchange(x.p.Impersonation.Foreign(ctx, t, id, workOf(ctx).info, x.now))
}

// prepareReturn finds out whether the actor of an impersonation becomes themselves
// again: with a token of their own for the client that gives the impersonation's back,
// while the sign-in lasts from which they began, and with no more than they allow it.
func (x *exchange) prepareReturn(ctx context.Context) error {
	if x.requestedType == typeRefreshToken {
		return errNoRefresh
	}
	a, err := x.presented(ctx, x.subjectToken, errSubjectToken)
	switch {
	case err != nil:
		return err
	case a.claims.ClientID != x.client.ID, !a.acting(), x.requestedSubject != actorIn(a.claims.Act):
		return errSubjectToken
	}
	session, err := x.signIn(ctx, a.granted, a.granted.ActorID)
	if err != nil {
		return err
	}
	if x.scopes, err = x.own(ctx, session.UserID); err != nil {
		return err
	}
	login := &storage.Login{LoginSession: *session, User: storage.User{ID: session.UserID}}
	x.ends = a.granted.ImpersonationID // which ends once, so its grant need not be held
	if x.session, err = x.p.ownSession(ctx, x.client, login, x.now); err != nil {
		return err
	}
	x.session.NotAfter = x.now.Add(max(x.p.config.AccessTokenLifetime, x.p.config.IDTokenLifetime))
	if ends := login.ExpiresAt.Time(); x.session.NotAfter.After(ends) {
		x.session.NotAfter = ends
	}
	return nil
}

// actorIn is whom an act claim names.
func actorIn(act json.RawMessage) string {
	var named struct {
		Subject string `json:"sub"`
	}
	_ = json.Unmarshal(act, &named) // our own
	return named.Subject
}

// own returns the scopes that a user gets at the client for themselves, of those that
// were asked for. Nothing goes on without them: they are back for as long as they are
// signed in.
func (x *exchange) own(ctx context.Context, userID string) ([]string, error) {
	if len(x.client.Organizations) > 0 {
		standing, err := x.p.store.Standing(ctx, userID)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(x.client.Organizations, standing.MemberOf) {
			return nil, errSubjectToken.with("The actor may not use the application as themselves.")
		}
	}
	scopes := slices.DeleteFunc(x.asks(x.client), func(s string) bool { return s == scopeOfflineAccess })
	if x.client.FirstParty {
		return scopes, nil
	}
	consented, err := x.p.store.ConsentedScope(ctx, userID, x.client.ID)
	if err != nil {
		return nil, err
	}
	x.scopes = scopes
	err = x.narrow(consented)
	if err == nil && len(x.scopes) == 0 {
		err = errInvalidScope.with("The actor has not consented to anything.")
	}
	return x.scopes, err
}
