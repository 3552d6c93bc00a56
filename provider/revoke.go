package provider

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Revoke ends a token for its client (RFC 7009): a refresh token with its whole
// grant, an access token alone. What is not a token of this client is answered
// like success and changes nothing; a failure of the database is a failure (fosite
// #10).
func (p *Provider) Revoke(r *http.Request, info storage.Request) error {
	form, err := directForm(r)
	if err != nil {
		return err
	}
	ctx, now := r.Context(), time.Now()
	c, err := p.client(ctx, r, form)
	if err != nil {
		return err
	}
	if !form.Has("token") {
		return errInvalidRequest.with("The token parameter is missing.")
	}
	a, err := p.active(ctx, form.Get("token"), now)
	if errors.Is(err, errInactive) || err == nil && a.claims.ClientID != c.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := p.revoke(ctx, tx, a, info, now); err != nil {
			return err
		}
		e := storage.Event{
			Type: storage.EventGrantRevoked, ClientID: c.ID,
			Data: storage.Data{"grant": a.claims.GrantID, "why": "revoked", "kind": string(a.kind)},
		}
		if a.granted != nil {
			e.SubjectID, e.ActorID, e.ImpersonationID = a.granted.UserID, a.granted.ActorID, a.granted.ImpersonationID
		}
		return tx.Record(ctx, e, storage.Private{}, info, now)
	})
}

func (p *Provider) revoke(ctx context.Context, tx *storage.Tx, a *active, info storage.Request, now time.Time) error {
	switch {
	case a.kind == storage.RefreshToken && a.granted.ImpersonationID != "":
		return tx.EndImpersonations(ctx, storage.ImpersonationFilter{ID: a.granted.ImpersonationID},
			storage.Cause{Reason: storage.EndStopped, Request: info}, now)
	case a.kind == storage.RefreshToken:
		return tx.RevokeGrant(ctx, a.granted.Grant.ID, now)
	case a.claims.ID == "":
		return tx.RevokeToken(ctx, storage.Hash(a.presents))
	default:
		return tx.DenyToken(ctx, a.claims.ID, time.Unix(a.claims.Expires+1, 0))
	}
}
