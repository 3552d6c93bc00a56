package storage

import (
	"context"
	"strconv"
	"time"
)

// Question is what a decision is about: one user acting as another.
type Question struct {
	ActorID, SubjectID string
	ClientID           string // empty: nowhere in particular
	Starts             bool   // what the actor does at the moment counts, too
	Throttle           []byte // under which the actor's refusals are counted; nil: they do not matter
}

// Grounds are what such a decision rests on, as one place has them: the rules, what
// both users are and may do, and what the actor does already.
type Grounds struct {
	ImpersonationSettings
	Said    *SupportAccess // by the subject about being acted as; nil: nothing
	Blocked time.Time      // until when the actor is refused; zero: they are not
	Usage   Usage          // zero but for a start

	// Of both users no more than is asked of them: who they are, their status, and
	// whether they may be acted as. nil: there is no such user.
	Actor, Subject                 *User
	ActorStanding, SubjectStanding Standing

	clientVersion int64 // zero: there is no such client
	clientCreated Time
}

// Same reports whether c, which was read before, is the client of the question as it
// is now.
func (g *Grounds) Same(c *Client) bool {
	return c.Version > 0 && c.Version == g.clientVersion && c.CreatedAt == g.clientCreated
}

const termsQuery = `
	SELECT COALESCE((SELECT value FROM settings WHERE key = ?), 'false'), COALESCE((SELECT value FROM settings WHERE key = ?), 'optional'),
		COALESCE((SELECT id FROM policies ORDER BY version DESC LIMIT 1), ''),
		COALESCE(p.mode, ''), COALESCE(p.ticket_ref, ''), COALESCE(p.expires_at, 0), COALESCE(p.updated_at, 0), COALESCE(p.set_by, ''),
		COALESCE((SELECT blocked_until FROM throttles WHERE key_hash = ? AND blocked_until > ?), 0),
		COALESCE(c.version, 0), COALESCE(c.created_at, 0), n.started, n.began, n.running, n.here,
		COALESCE(a.id, ''), COALESCE(a.email, ''), COALESCE(a.name, ''), COALESCE(a.status, ''), COALESCE(a.never_impersonate, FALSE),
		COALESCE(s.id, ''), COALESCE(s.email, ''), COALESCE(s.name, ''), COALESCE(s.status, ''), COALESCE(s.never_impersonate, FALSE)
	FROM (` + usageQuery + `) n LEFT JOIN support_access p ON p.user_id = ? LEFT JOIN clients c ON c.id = ?
		LEFT JOIN users a ON a.id = ? LEFT JOIN users s ON s.id = ?`

// Grounds returns what decides about q. In a Tx it holds until the commit, after
// HoldForStart.
func (q Queries) Grounds(ctx context.Context, about Question, now time.Time) (*Grounds, error) {
	g, said, actor, subject := &Grounds{}, &SupportAccess{UserID: about.SubjectID}, &User{}, &User{}
	var enabled string
	var blocked Time
	counted := about.ActorID
	if !about.Starts {
		counted = "" // nobody's
	}
	args := append([]any{impersonationEnabled, supportRule, about.Throttle, At(now)}, usageArgs(counted, about.ClientID, now)...)
	err := q.scan(ctx, []any{
		&enabled, &g.Support, &g.PolicyID, &said.Mode, &said.TicketRef, &said.ExpiresAt, &said.UpdatedAt, &said.SetBy,
		&blocked, &g.clientVersion, &g.clientCreated, &g.Usage.Started, &g.Usage.FirstStarted, &g.Usage.Running, &g.Usage.RunningAtClient,
		&actor.ID, &actor.Email, &actor.Name, &actor.Status, &actor.NeverImpersonate,
		&subject.ID, &subject.Email, &subject.Name, &subject.Status, &subject.NeverImpersonate,
	}, termsQuery, append(args, about.SubjectID, about.ClientID, about.ActorID, about.SubjectID)...)
	if err != nil {
		return nil, err
	}
	g.Blocked = blocked.Time()
	if said.Mode != "" {
		g.Said = said
	}
	if actor.ID != "" {
		g.Actor = actor
	}
	if subject.ID != "" {
		g.Subject = subject
	}
	if g.Enabled, err = strconv.ParseBool(enabled); err != nil {
		return nil, err
	}
	g.ActorStanding, g.SubjectStanding, err = q.standings(ctx, about.ActorID, about.SubjectID)
	return g, err
}
