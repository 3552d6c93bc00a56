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

const termsColumns = `COALESCE((SELECT value FROM settings WHERE key = ?), 'false'), COALESCE((SELECT value FROM settings WHERE key = ?), 'optional'),
		COALESCE((SELECT id FROM policies ORDER BY version DESC LIMIT 1), ''),
		COALESCE(p.mode, ''), COALESCE(p.ticket_ref, ''), COALESCE(p.expires_at, 0), COALESCE(p.updated_at, 0), COALESCE(p.set_by, ''),
		COALESCE(c.version, 0), COALESCE(c.created_at, 0),
		COALESCE(a.id, ''), COALESCE(a.email, ''), COALESCE(a.name, ''), COALESCE(a.status, ''), COALESCE(a.never_impersonate, FALSE),
		COALESCE(s.id, ''), COALESCE(s.email, ''), COALESCE(s.name, ''), COALESCE(s.status, ''), COALESCE(s.never_impersonate, FALSE)`

const termsQuery = `SELECT ` + termsColumns + `,
		COALESCE((SELECT blocked_until FROM throttles WHERE key_hash = ? AND blocked_until > ?), 0), n.started, n.began, n.running, n.here
	FROM (` + usageQuery + `) n LEFT JOIN support_access p ON p.user_id = ? LEFT JOIN clients c ON c.id = ?
		LEFT JOIN users a ON a.id = ? LEFT JOIN users s ON s.id = ?`

const runningTermsQuery = `SELECT ` + termsColumns + `, ` + impersonationColumns + `
	FROM impersonations i LEFT JOIN support_access p ON p.user_id = i.subject_id LEFT JOIN clients c ON c.id = i.client_id
		LEFT JOIN users a ON a.id = i.actor_id LEFT JOIN users s ON s.id = i.subject_id WHERE i.id = ?`

// terms are where a row of termsColumns goes, before it is looked at.
type terms struct {
	Grounds
	enabled        string
	said           SupportAccess
	actor, subject User
}

func (t *terms) fields() []any {
	return []any{
		&t.enabled, &t.Support, &t.PolicyID, &t.said.Mode, &t.said.TicketRef, &t.said.ExpiresAt, &t.said.UpdatedAt, &t.said.SetBy,
		&t.clientVersion, &t.clientCreated,
		&t.actor.ID, &t.actor.Email, &t.actor.Name, &t.actor.Status, &t.actor.NeverImpersonate,
		&t.subject.ID, &t.subject.Email, &t.subject.Name, &t.subject.Status, &t.subject.NeverImpersonate,
	}
}

// grounds are the Grounds that were read, but for what both users may do.
func (t *terms) grounds() (g *Grounds, err error) {
	g = &t.Grounds
	if t.said.Mode != "" {
		t.said.UserID = t.subject.ID
		g.Said = &t.said
	}
	if t.actor.ID != "" {
		g.Actor = &t.actor
	}
	if t.subject.ID != "" {
		g.Subject = &t.subject
	}
	g.Enabled, err = strconv.ParseBool(t.enabled)
	return g, err
}

// Grounds returns what decides about q. In a Tx it holds until the commit, after
// HoldForStart.
func (q Queries) Grounds(ctx context.Context, about Question, now time.Time) (*Grounds, error) {
	var t terms
	var blocked Time
	counted := about.ActorID
	if !about.Starts {
		counted = "" // nobody's
	}
	args := append([]any{impersonationEnabled, supportRule, about.Throttle, At(now)}, usageArgs(counted, about.ClientID, now)...)
	into := append(t.fields(), &blocked, &t.Usage.Started, &t.Usage.FirstStarted, &t.Usage.Running, &t.Usage.RunningAtClient)
	err := q.scan(ctx, into, termsQuery, append(args, about.SubjectID, about.ClientID, about.ActorID, about.SubjectID)...)
	if err != nil {
		return nil, err
	}
	g, err := t.grounds()
	if err != nil {
		return nil, err
	}
	g.Blocked = blocked.Time()
	g.ActorStanding, g.SubjectStanding, err = q.standings(ctx, about.ActorID, about.SubjectID)
	return g, err
}

// Running returns an impersonation with what decides about it now, as Grounds does, or
// ErrNotFound. It may have ended.
func (q Queries) Running(ctx context.Context, id string) (*Impersonation, *Grounds, error) {
	var t terms
	var i Impersonation
	if err := q.scan(ctx, append(t.fields(), i.fields()...), runningTermsQuery, impersonationEnabled, supportRule, id); err != nil {
		return nil, nil, err
	}
	g, err := t.grounds()
	if err != nil {
		return nil, nil, err
	}
	g.ActorStanding, g.SubjectStanding, err = q.standings(ctx, i.ActorID, i.SubjectID)
	return &i, g, err
}
