package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// clerk is what @clerk/backend asks. Its secret key is an API key that speaks for a
// client, and an actor token a ticket that whoever holds it may use.
func clerk() dialect {
	return dialect{
		name: "clerk",
		refuse: func(e refusal) any {
			type problem struct {
				Code        string `json:"code"`
				Message     string `json:"message"`
				LongMessage string `json:"long_message"`
			}
			return struct {
				Errors  []problem `json:"errors"`
				TraceID string    `json:"clerk_trace_id"`
			}{[]problem{{e.Code, e.Message, e.Message}}, e.RequestID}
		},
		rows: []dialectRoute{
			{"POST /v1/actor_tokens", impersonation.PermissionStart, (*Server).clerkCreate},
			{"POST /v1/actor_tokens/{ticket}/revoke", impersonation.PermissionStart, (*Server).clerkRevoke},
			{"GET /v1/users", impersonation.PermissionUsersRead, (*Server).clerkUsers},
			{"GET /v1/users/count", impersonation.PermissionUsersRead, (*Server).clerkCount},
			{"GET /v1/users/{id}", impersonation.PermissionUsersRead, (*Server).clerkUser},
			{"GET /v1/sessions", impersonation.PermissionUsersRead, (*Server).clerkSessions},
			{"GET /v1/sessions/{session}", impersonation.PermissionUsersRead, (*Server).clerkSessionIs},
			{"POST /v1/sessions/{session}/revoke", impersonation.PermissionStopAny, (*Server).clerkEndSession},
			{"GET /v1/jwks", open, (*Server).dialectKeys},
		},
		besides: []string{"/v1/"},
	}
}

// clerkActor is who acts, and why: Clerk has no other place for a reason.
type clerkActor struct {
	Sub string `json:"sub"`
	clerkActorMore
	More clerkActorMore `json:"additionalProperties"` // as the SDK's types have it
}

type clerkActorMore struct {
	Reason       string `json:"reason"`
	TicketRef    string `json:"ticket_ref"`
	Organization string `json:"organization_id"`
}

// clerkWaits is how long an actor token waits unless a call says so; no longer than any
// ticket that works without a sign-in.
const clerkWaits = time.Hour

// clerkCreate makes an actor token.
func (s *Server) clerkCreate(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		UserID   string     `json:"user_id"`
		Actor    clerkActor `json:"actor"`
		Waits    *int64     `json:"expires_in_seconds"`
		Duration int64      `json:"session_max_duration_in_seconds"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	c, err := s.clientFor(r, call, "")
	if err != nil {
		return err
	}
	waits := clerkWaits
	if q.Waits != nil { // for as long as one likes, as it will be less
		if waits, err = secondsIn("expires_in_seconds", min(*q.Waits, int64(clerkWaits/time.Second))); err != nil {
			return err
		}
	}
	duration, err := secondsIn("session_max_duration_in_seconds", q.Duration)
	if err != nil {
		return err
	}
	call.as = "Clerk's actorTokens.create"
	t, token, err := s.bearerTicket(r, call, provider.TicketRequest{
		ActorID: q.Actor.Sub, SubjectID: q.UserID, Client: c, ExpiresIn: waits, Duration: duration,
		Organization: cmp.Or(q.Actor.Organization, q.Actor.More.Organization),
		Reason:       cmp.Or(q.Actor.Reason, q.Actor.More.Reason), TicketRef: cmp.Or(q.Actor.TicketRef, q.Actor.More.TicketRef),
	})
	if err != nil {
		return err
	}
	answer := clerkTokenOf(t, call.now)
	answer.Token, answer.URL = &token, unlessEmpty(s.ticketURL(token))
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// clerkRevoke ends an actor token that waits.
func (s *Server) clerkRevoke(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	in := call.operation(r)
	t, err := apiServer{s}.ticket(in, r.PathValue("ticket"), impersonation.PermissionStart)
	if err != nil {
		return err
	}
	err = s.provider.Impersonation.Revoke(in, t, call.by(), call.now)
	if errors.Is(err, storage.ErrSpent) {
		return (&problemErr{Code: "invalid_request", Detail: impersonation.DenyTicketSpent.Message()}).because(err)
	}
	if err != nil {
		return err
	}
	if t, err = s.store.TicketNamed(in, t.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, clerkTokenOf(t, call.now))
	return nil
}

// clerkToken is a ticket in Clerk's words.
type clerkToken struct {
	Object    string            `json:"object"`
	ID        string            `json:"id"`
	Status    string            `json:"status"` // pending, accepted or revoked
	UserID    string            `json:"user_id"`
	Actor     map[string]string `json:"actor"`
	Token     *string           `json:"token,omitempty"` // shown once
	URL       *string           `json:"url,omitempty"`
	CreatedAt *int64            `json:"created_at"`
	UpdatedAt *int64            `json:"updated_at"`
	ExpiresAt *int64            `json:"expires_at"` // ours: it may be earlier than was asked for
}

func clerkTokenOf(t *storage.Ticket, now time.Time) clerkToken {
	status := t.Status(now)
	if status == storage.TicketExpired { // for which Clerk has no word
		status = storage.TicketRevoked
	}
	return clerkToken{
		Object: "actor_token", ID: t.ID, Status: string(status), UserID: t.SubjectID, Actor: map[string]string{"sub": t.ActorID},
		CreatedAt: milliseconds(t.CreatedAt), UpdatedAt: milliseconds(t.UpdatedAt), ExpiresAt: milliseconds(t.ExpiresAt),
	}
}
