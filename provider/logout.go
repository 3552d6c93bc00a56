package provider

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Hint is what an ID token of ours says to the endpoint that it is shown to again.
// It may have expired; its signature was good.
type Hint struct {
	ClientID string // aud
	Subject  string
	SID      string
	Acting   bool // it has act
}

// Hint returns what an id_token_hint says. Expired ones are accepted (OpenID
// Connect RP-Initiated Logout 1.0 section 4), access tokens are not (fosite #18).
func (p *Provider) Hint(token string) (*Hint, error) {
	payload, err := p.Keys.verify(token, typIDToken)
	if err != nil {
		return nil, err
	}
	var t idToken
	if err := json.Unmarshal(payload, &t); err != nil || t.Issuer != p.config.Issuer && t.Issuer != p.auth0Issuer() || t.Audience == "" {
		return nil, errNotOurs
	}
	return &Hint{ClientID: t.Audience, Subject: t.Subject, SID: t.SID, Acting: t.Act != nil}, nil
}

// LogoutRequest is a request to the end_session_endpoint.
type LogoutRequest struct {
	Client   *storage.Client // nil: not known
	Hint     *Hint           // nil: none, or not a good one
	Redirect string          // where to go afterwards; empty: nowhere

	salt   string // of the client's subjects
	Astray bool   // where it asks to go is not registered for its client
}

// NewLogoutRequest reads a logout request. Nothing about it is an error: what is
// not good is left out, and then there is a page instead of a redirect. The
// redirect URI is compared byte by byte, and needs a good hint (SECURITY C10).
func (p *Provider) NewLogoutRequest(ctx context.Context, form url.Values) (*LogoutRequest, error) {
	l := &LogoutRequest{}
	if CheckParameters(form) != nil {
		return l, nil //nolint:nilerr // a malformed request asks for nothing
	}
	hint, err := p.Hint(form.Get("id_token_hint"))
	if err != nil || form.Has("client_id") && form.Get("client_id") != hint.ClientID {
		return l, nil //nolint:nilerr // a bad hint is no hint
	}
	c, err := p.store.Client(ctx, hint.ClientID)
	if isNotFound(err) {
		return l, nil // the hint is of a client that is gone
	}
	if err != nil {
		return nil, err
	}
	if l.salt, err = p.saltFor(ctx, c); err != nil {
		return nil, err
	}
	l.Client, l.Hint = c, hint
	switch uri := form.Get("post_logout_redirect_uri"); {
	case slices.Contains(c.PostLogoutRedirectURIs, uri):
		l.Redirect = withState(uri, form.Get("state"))
	case uri != "":
		l.Astray = true
	}
	return l, nil
}

func withState(uri, state string) string {
	if state == "" {
		return uri
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + url.Values{"state": {state}}.Encode()
}

// Proves reports whether the hint is of this sign-in: the application that shows it
// was signed in to with it.
func (l *LogoutRequest) Proves(login *storage.Login) bool {
	return l.Hint != nil && l.Hint.SID == sidWith(l.salt, l.Client, login.SID)
}

// SignOut ends a login session and the impersonations that run over it.
func (p *Provider) SignOut(ctx context.Context, l *storage.Login, r storage.Request) error {
	return p.signOut(ctx, l.SID, l.User.ID, r, (*storage.Tx).EndLogin)
}

// SignOutIdle ends the session of a hint when it has been idle for too long: then no
// browser shows it any more, and applications are still to be told. One that is in use
// needs its browser. storage.ErrSpent: there is no such session.
func (p *Provider) SignOutIdle(ctx context.Context, l *LogoutRequest, r storage.Request) error {
	return p.signOut(ctx, l.Hint.SID, l.Hint.Subject, r, (*storage.Tx).EndIdleLogin)
}

func (p *Provider) signOut(
	ctx context.Context, sid, userID string, r storage.Request,
	end func(tx *storage.Tx, ctx context.Context, sid string, by storage.Cause, now time.Time) error,
) error {
	now := time.Now()
	return p.store.Write(ctx, func(tx *storage.Tx) error {
		if err := end(tx, ctx, sid, storage.Cause{By: userID, Request: r}, now); err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventSessionRevoked, ActorID: userID, SubjectID: userID, Data: storage.Data{"sid": sid},
		}, storage.Private{}, r, now)
	})
}
