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

	Actor, Subject                 *User // nil: there is no such user
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
		COALESCE(a.mode, ''), COALESCE(a.ticket_ref, ''), COALESCE(a.expires_at, 0), COALESCE(a.updated_at, 0), COALESCE(a.set_by, ''),
		COALESCE((SELECT blocked_until FROM throttles WHERE key_hash = ? AND blocked_until > ?), 0),
		COALESCE(c.version, 0), COALESCE(c.created_at, 0), n.started, n.began, n.running, n.here
	FROM (` + usageQuery + `) n LEFT JOIN support_access a ON a.user_id = ? LEFT JOIN clients c ON c.id = ?`

// Grounds returns what decides about q. In a Tx it holds until the commit, after
// HoldForStart.
func (q Queries) Grounds(ctx context.Context, about Question, now time.Time) (*Grounds, error) {
	g, said := &Grounds{}, &SupportAccess{UserID: about.SubjectID}
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
	}, termsQuery, append(args, about.SubjectID, about.ClientID)...)
	if err != nil {
		return nil, err
	}
	if g.Blocked = blocked.Time(); said.Mode != "" {
		g.Said = said
	}
	if g.Enabled, err = strconv.ParseBool(enabled); err != nil {
		return nil, err
	}
	if g.Actor, g.Subject, err = q.pair(ctx, about.ActorID, about.SubjectID); err != nil {
		return nil, err
	}
	g.ActorStanding, g.SubjectStanding, err = q.standings(ctx, about.ActorID, about.SubjectID)
	return g, err
}

// pair returns two users, who may be the same; nil: there is no such user.
func (q Queries) pair(ctx context.Context, oneID, otherID string) (one, other *User, err error) {
	rows, err := q.query(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id IN (?, ?)`, oneID, otherID)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var u User
		if err := rows.Scan(u.fields()...); err != nil {
			return nil, nil, translate(err)
		}
		if u.ID == otherID {
			twin := u // whoever changes one of them does not change the other
			other = &twin
		}
		if u.ID == oneID {
			one = &u
		}
	}
	return one, other, translate(rows.Err())
}
