package provider

import (
	"context"
	"slices"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// errOnlyAccess: an access token says who is there, not that they signed in.
var errOnlyAccess = errInvalidRequest.with("Without an actor_token or a requested_subject only an access token is issued.")

// prepareNarrower finds out what an access token of the client's gives without anybody
// beginning to act: one of the same grant, so of the same user, the same actor, and dead
// when it is. It may do no more, lasts no longer, and may be for another of the client's
// targets (RFC 8693 section 2.1).
//
// An impersonation is decided about again, as at a refresh (SECURITY A03).
func (x *exchange) prepareNarrower(ctx context.Context) error {
	if x.requestedType != typeAccessToken {
		return errOnlyAccess
	}
	a, err := x.presented(ctx, x.subjectToken, errSubjectToken)
	switch {
	case err != nil:
		return err
	case a.claims.ClientID != x.client.ID:
		return errSubjectToken
	}
	x.holds(a)
	x.session = newSession(&a.granted.Grant)
	x.scopes = slices.DeleteFunc(x.asks(x.client), func(s string) bool { return s == scopeOfflineAccess })
	if err := x.narrow(a.claims.Scope); err != nil {
		return err
	}
	if len(x.audience) == 0 {
		x.audience = slices.Clone(a.claims.Audience)
		if err := x.mayAsk(x.client, x.p.config.Issuer); err != nil { // what was taken from the client since
			return err
		}
	}
	if !a.acting() {
		return nil
	}
	w := workOf(ctx)
	if err := x.p.settle(ctx, nil); err != nil { // who presents an assertion again ends nothing
		return err
	}
	i, actor, err := x.p.Impersonation.Recheck(ctx, x.session.ImpersonationID, x.client, w.info, x.now)
	if _, denied := impersonation.Denied(err); denied {
		return errEndedMeanwhile.because(err)
	}
	if err == nil {
		x.p.tellOf(x.told, x.client, i, actor)
	}
	return err
}

// addNarrower adds the token to the unit of work. A JWT of somebody who is themselves
// adds nothing: it is not stored, and names the grant that it lives and dies with.
func (x *exchange) addNarrower(ctx context.Context, w *work) (err error) {
	x.request.GrantedScope = x.scopes
	if w.tokens, err = x.plan(); err != nil || x.session.ImpersonationID == "" {
		return err
	}
	w.writes = append(w.writes, func(tx *storage.Tx) error {
		if err := x.hold(ctx, tx); err != nil {
			return err
		}
		return recordIssued(ctx, tx, x.session, x.client.ID, grantTokenExchange, w.info)
	})
	return nil
}
