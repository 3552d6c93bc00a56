package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
			{"GET /v1/jwks", open, (*Server).dialectKeys},
		},
		besides: []string{"/v1/"},
	}
}

// clerkActor is who acts, and why: Clerk has no other place for a reason.
type clerkActor struct {
	Sub       string `json:"sub"`
	Reason    string `json:"reason"`
	TicketRef string `json:"ticket_ref"`
	More      struct {
		Reason    string `json:"reason"`
		TicketRef string `json:"ticket_ref"`
	} `json:"additionalProperties"` // as the SDK's types have it
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
	if q.Waits != nil {
		if waits, err = secondsIn("expires_in_seconds", *q.Waits); err != nil {
			return err
		}
	}
	duration, err := secondsIn("session_max_duration_in_seconds", q.Duration)
	if err != nil {
		return err
	}
	call.as = "Clerk's actorTokens.create"
	t, token, err := s.bearerTicket(r, call, provider.TicketRequest{
		ActorID: q.Actor.Sub, SubjectID: q.UserID, ClientID: c.ID, ExpiresIn: waits, Duration: duration,
		Reason: cmp.Or(q.Actor.Reason, q.Actor.More.Reason), TicketRef: cmp.Or(q.Actor.TicketRef, q.Actor.More.TicketRef),
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

// clerkUsersQuery reads what selects users. What Clerk knows and we do not is refused:
// a filter that is not heard would show everybody.
func clerkUsersQuery(q url.Values) (storage.UserSelection, error) {
	sel := storage.UserSelection{Text: strings.TrimSpace(q.Get("query")), Limit: 10, Order: "created_at", Descending: true}
	for name, values := range q {
		if slices.ContainsFunc(values, notText) {
			return sel, invalidField(name, "is no text")
		}
		switch name {
		case "query", "limit", "offset", "order_by":
			if len(values) > 1 {
				return sel, invalidField(name, "was given more than once")
			}
		case "user_id", "email_address", "organization_id":
			if len(values) > 100 {
				return sel, invalidField(name, "has more than 100 values")
			}
		default:
			return sel, invalidField(name, "users cannot be selected by this here")
		}
	}
	var err error
	if sel.IDs, err = clerkIncluded("user_id", q["user_id"]); err != nil {
		return sel, err
	}
	if sel.Organizations, err = clerkIncluded("organization_id", q["organization_id"]); err != nil {
		return sel, err
	}
	sel.Emails = q["email_address"]
	if sel.Limit, err = numberIn(q, "limit", 1, 500, sel.Limit); err != nil {
		return sel, err
	}
	if sel.Offset, err = numberIn(q, "offset", 0, 1<<31-1, 0); err != nil {
		return sel, err
	}
	if by := q.Get("order_by"); by != "" {
		sel.Descending = by[0] == '-'
		sel.Order = strings.TrimLeft(by, "+- ")
		if column, ok := clerkOrders[sel.Order]; ok {
			sel.Order = column
		} else {
			return sel, invalidField("order_by", "users cannot be sorted by this here")
		}
	}
	return sel, nil
}

// clerkIncluded reads ids that select users. In Clerk's words +id includes one, as id
// does, and -id excludes one.
func clerkIncluded(name string, ids []string) ([]string, error) {
	var included []string
	for _, id := range ids {
		if strings.HasPrefix(id, "-") {
			return nil, invalidField(name, "nobody can be excluded by this here")
		}
		included = append(included, strings.TrimPrefix(id, "+"))
	}
	return included, nil
}

// clerkOrders are the columns that users can be sorted by, by Clerk's names.
var clerkOrders = map[string]string{
	"created_at": "created_at", "updated_at": "updated_at", "email_address": "email_key", "first_name": "given_name", "last_name": "family_name",
	"username": "preferred_username", "last_sign_in_at": "last_sign_in_at",
}

// clerkSelection is what a request selects, of whom its key reaches.
func (s *Server) clerkSelection(r *http.Request, call *dialectCall) (storage.UserSelection, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return storage.UserSelection{}, (&problemErr{Code: "invalid_request", Detail: "The query is malformed."}).because(err)
	}
	sel, err := clerkUsersQuery(q)
	if call.Organization != "" {
		sel.Within = []string{call.Organization}
	}
	return sel, err
}

func (s *Server) clerkUsers(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	sel, err := s.clerkSelection(r, call)
	if err != nil {
		return err
	}
	users, err := s.store.SelectUsers(r.Context(), sel)
	if err != nil {
		return err
	}
	found := make([]clerkUserObject, 0, len(users))
	for i := range users {
		found = append(found, clerkUserOf(&users[i]))
	}
	writeJSON(w, http.StatusOK, found)
	return nil
}

func (s *Server) clerkCount(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	sel, err := s.clerkSelection(r, call)
	if err != nil {
		return err
	}
	n, err := s.store.CountUsers(r.Context(), sel)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Object string `json:"object"`
		Total  int64  `json:"total_count"`
	}{"total_count", n})
	return nil
}

func (s *Server) clerkUser(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	u, err := apiServer{s}.reachableUser(call.operation(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, clerkUserOf(u))
	return nil
}

// clerkUserObject is a user in Clerk's words, as far as there is something to say.
type clerkUserObject struct {
	ID              string         `json:"id"`
	Object          string         `json:"object"`
	Username        *string        `json:"username"`
	FirstName       *string        `json:"first_name"`
	LastName        *string        `json:"last_name"`
	ImageURL        string         `json:"image_url"`
	HasImage        bool           `json:"has_image"`
	PrimaryEmail    *string        `json:"primary_email_address_id"`
	Emails          []clerkEmail   `json:"email_addresses"`
	PasswordEnabled bool           `json:"password_enabled"`
	Banned          bool           `json:"banned"`
	Locked          bool           `json:"locked"`
	ExternalID      *string        `json:"external_id"`
	PublicMetadata  map[string]any `json:"public_metadata"`
	Locale          *string        `json:"locale"`
	LastSignInAt    *int64         `json:"last_sign_in_at"`
	CreatedAt       *int64         `json:"created_at"`
	UpdatedAt       *int64         `json:"updated_at"`
}

type clerkEmail struct {
	ID           string  `json:"id"`
	Object       string  `json:"object"`
	EmailAddress string  `json:"email_address"`
	Verification *status `json:"verification"`
	LinkedTo     []any   `json:"linked_to"`
}

type status struct {
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
}

func clerkUserOf(u *storage.User) clerkUserObject {
	first, last := firstAndLast(u)
	user := clerkUserObject{
		ID: u.ID, Object: "user", Username: unlessEmpty(u.PreferredUsername), FirstName: first, LastName: last,
		ImageURL: u.Picture, HasImage: u.Picture != "", Emails: []clerkEmail{}, PasswordEnabled: u.PasswordHash != "", Banned: !u.Active(),
		PublicMetadata: map[string]any{}, Locale: unlessEmpty(u.Locale), LastSignInAt: milliseconds(u.LastSignInAt),
		CreatedAt: milliseconds(u.CreatedAt), UpdatedAt: milliseconds(u.UpdatedAt),
	}
	if u.Email != "" {
		e := clerkEmail{ID: "idn_" + u.ID, Object: "email_address", EmailAddress: u.Email, LinkedTo: []any{}}
		if u.EmailVerified {
			e.Verification = &status{"verified", "admin"}
		}
		user.PrimaryEmail, user.Emails = &e.ID, append(user.Emails, e)
	}
	return user
}
