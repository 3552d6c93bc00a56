package provider

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Preview is what the tokens of a client would say. They are claims, never tokens:
// nothing is signed, granted or stored.
type Preview struct {
	IDToken     json.RawMessage // nil: the client does not ask who signed in
	AccessToken json.RawMessage // nil: it is opaque
}

// Preview returns what a client would be told of a user who signed in now with all
// that it may ask for, or of one whom the actor, where there is one, acts as. It is
// computed by what makes the tokens.
func (p *Provider) Preview(
	ctx context.Context, c *storage.Client, subject, actor *storage.User, organization string, access impersonation.Access, now time.Time,
) (*Preview, error) {
	as := As{Scope: strings.Fields(c.Scope), Login: &storage.Login{User: *subject, LoginSession: storage.LoginSession{
		SID: storage.NewID("sid"), AMR: storage.List{"pwd"}, AuthTime: storage.At(now),
	}}}
	s, err := p.ownSession(ctx, c, as.Login, now)
	if actor != nil {
		as.Login.User = *actor
		as.Ask = &impersonation.Ask{
			Actor: actor, ActorLogin: &as.Login.LoginSession, Client: c, SubjectID: subject.ID, Organization: organization,
			Access: access, Duration: p.Impersonation.Limits().DefaultDuration,
		}
		s, err = p.sessionOfAct(ctx, as, now)
	}
	if err != nil {
		return nil, err
	}
	code := slices.ContainsFunc(c.ResponseTypes, func(r string) bool { return gives(r, responseTypeCode) })
	r := &fosite.Request{Client: oauthClient{Client: c}, Session: s, GrantedScope: grantable(as, code)}
	s.SetExpiresAt(fosite.AccessToken, now.Add(p.config.AccessTokenLifetime))
	preview := &Preview{}
	if c.AccessTokenFormat != "opaque" {
		preview.AccessToken = asRaw(p.newAccessToken(r, now).says())
	}
	if r.GrantedScope.Has(scopeOpenID) {
		t := p.newIDToken(s, c, "")
		if slices.Equal(c.ResponseTypes, storage.List{"id_token"}) { // no access token could bring the claims of the scopes
			t.scopes = r.GrantedScope
		}
		claims, err := p.claimsOf(ctx, t)
		if err != nil {
			return nil, err
		}
		preview.IDToken = asRaw(claims)
	}
	return preview, nil
}
