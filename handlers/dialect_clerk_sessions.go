package handlers

import (
	"net/http"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// clerkSession is a session in Clerk's words. Those of impersonations have an actor.
type clerkSession struct {
	Object         string            `json:"object"`
	ID             string            `json:"id"`
	ClientID       string            `json:"client_id"`
	UserID         string            `json:"user_id"`
	Status         string            `json:"status"` // active, expired or revoked
	Organization   *string           `json:"last_active_organization_id"`
	Actor          map[string]string `json:"actor"`
	LastActiveAt   *int64            `json:"last_active_at"`
	ExpireAt       *int64            `json:"expire_at"`
	AbandonAt      *int64            `json:"abandon_at"`
	CreatedAt      *int64            `json:"created_at"`
	UpdatedAt      *int64            `json:"updated_at"`
	LatestActivity any               `json:"latest_activity"`
}

func clerkSessionOf(s *dialectSession, now time.Time) clerkSession {
	if l := s.login; l != nil {
		session := clerkSession{
			Object: "session", ID: l.SID, UserID: l.UserID, Status: "active", LastActiveAt: milliseconds(l.LastSeenAt),
			ExpireAt: milliseconds(l.ExpiresAt), AbandonAt: milliseconds(l.IdleExpiresAt), CreatedAt: milliseconds(l.CreatedAt), UpdatedAt: milliseconds(l.LastSeenAt),
		}
		if l.RevokedAt.Set() {
			session.Status = "revoked"
		}
		return session
	}
	i := s.acting
	session := clerkSession{
		Object: "session", ID: i.ID, ClientID: i.ClientID, UserID: i.SubjectID, Status: "active", Organization: unlessEmpty(i.OrganizationID),
		Actor: map[string]string{"sub": i.ActorID, "sid": i.ID}, LastActiveAt: milliseconds(i.StartedAt),
		ExpireAt: milliseconds(i.ExpiresAt), AbandonAt: milliseconds(i.ExpiresAt), CreatedAt: milliseconds(i.StartedAt), UpdatedAt: milliseconds(max(i.StartedAt, i.EndedAt)),
	}
	switch {
	case i.EndedAt.Set() && i.EndReason != storage.EndExpired:
		session.Status = "revoked"
	case !i.Running(now):
		session.Status = "expired"
	}
	return session
}

// clerkSessions lists the live sessions of a user.
func (s *Server) clerkSessions(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, "user_id", "status", "limit", "offset", "paginated")
	if err != nil {
		return err
	}
	switch {
	case q.Get("user_id") == "":
		return invalidField("user_id", "is missing")
	case q.Has("status") && q.Get("status") != "active":
		return invalidField("status", "active ones are to be had here; the others are on the record")
	}
	limit, err := numberIn(q, "limit", 1, 500, 10)
	if err != nil {
		return err
	}
	offset, err := numberIn(q, "offset", 0, 1<<31-1, 0)
	if err != nil {
		return err
	}
	found, err := s.sessionsOf(r, call, q.Get("user_id"))
	if err != nil {
		return err
	}
	shown := []clerkSession{}
	for i := min(offset, len(found)); i < len(found) && len(shown) < limit; i++ {
		shown = append(shown, clerkSessionOf(&found[i], call.now))
	}
	if q.Get("paginated") != "true" { // as the SDK asks before its version 1
		writeJSON(w, http.StatusOK, shown)
		return nil
	}
	writeJSON(w, http.StatusOK, struct {
		Data  []clerkSession `json:"data"`
		Total int            `json:"total_count"`
	}{shown, len(found)})
	return nil
}

// clerkSessionIs shows a session.
func (s *Server) clerkSessionIs(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	session, err := s.sessionNamed(r, call, r.PathValue("session"), impersonation.PermissionRead)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, clerkSessionOf(session, call.now))
	return nil
}

// clerkEndSession ends a session.
func (s *Server) clerkEndSession(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	session, err := s.revokeSession(r, call, r.PathValue("session"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, clerkSessionOf(session, call.now))
	return nil
}
