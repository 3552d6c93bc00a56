package provider

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// Session is what a grant says about its authentication: whose it is, who acts,
// until when. It is rebuilt from the grant's row at each step, so that act
// survives whatever happens to the tokens.
type Session struct {
	GrantID         string
	Subject         string // the user's id
	Sub             string // what the client knows the user by
	SID             string
	LoginSID        string
	Organization    string
	ActorID         string
	ImpersonationID string
	Act             json.RawMessage // the act claim; nil: the subject acts
	Custom          json.RawMessage // an object of what tokens say besides; nil: nothing
	ACR             string
	AMR             []string
	AuthTime        time.Time
	NotAfter        time.Time // no token lives longer; zero: the lifetimes decide
	Left            []string  // of the scopes, by the start of an impersonation; nil: all that were granted
	expires         map[fosite.TokenType]time.Time
}

// pairwiseSub is where a grant keeps the sub of a pairwise client.
const pairwiseSub = "sub"

// newSession rebuilds the session of a grant.
func newSession(g *storage.Grant) *Session {
	s := &Session{
		GrantID: g.ID, Subject: g.UserID, SID: g.SID, LoginSID: g.LoginSID, Organization: g.OrganizationID,
		ActorID: g.ActorID, ImpersonationID: g.ImpersonationID,
		ACR: g.ACR, AMR: strings.Fields(g.AMR), AuthTime: g.AuthTime.Time(), NotAfter: g.ExpiresAt.Time(),
	}
	if g.Act != "" {
		s.Act = json.RawMessage(g.Act)
	}
	if g.CustomClaims != "" {
		s.Custom = json.RawMessage(g.CustomClaims)
	}
	if s.Sub = g.Parameter(pairwiseSub); s.Sub == "" {
		s.Sub = s.Subject
	}
	return s
}

// SetExpiresAt sets when a kind of token expires, never later than NotAfter
// (fosite #33: a refresh token's expiry would slide for ever).
func (s *Session) SetExpiresAt(kind fosite.TokenType, at time.Time) {
	if !s.NotAfter.IsZero() && at.After(s.NotAfter) {
		at = s.NotAfter
	}
	if s.expires == nil {
		s.expires = map[fosite.TokenType]time.Time{}
	}
	s.expires[kind] = at
}

// GetExpiresAt returns when a kind of token expires, zero where nobody said.
func (s *Session) GetExpiresAt(kind fosite.TokenType) time.Time { return s.expires[kind] }

// GetUsername returns nothing: names are userinfo's business.
func (s *Session) GetUsername() string { return "" }

// GetSubject returns the subject.
func (s *Session) GetSubject() string { return s.Subject }

// Clone returns a copy.
func (s *Session) Clone() fosite.Session {
	c := *s
	c.expires = maps.Clone(s.expires)
	return &c
}
