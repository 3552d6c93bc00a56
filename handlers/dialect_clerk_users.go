package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// clerkSelection is what a request selects.
func clerkSelection(r *http.Request) (storage.UserSelection, error) {
	sel := storage.UserSelection{Limit: 10, Order: "created_at", Descending: true}
	q, err := usersQuery(r, []string{"user_id", "email_address", "username", "organization_id"},
		"query", "limit", "offset", "order_by", "created_at_after", "created_at_before", "last_sign_in_at_after", "last_sign_in_at_before")
	if err != nil {
		return sel, err
	}
	sel.Text, sel.Emails, sel.Usernames = strings.TrimSpace(q.Get("query")), q["email_address"], q["username"]
	sel.IDs, sel.NotIDs = without(q["user_id"])
	sel.Organizations, sel.NotOrganizations = without(q["organization_id"])
	for name, into := range map[string]*storage.Time{
		"created_at_after": &sel.CreatedFrom, "created_at_before": &sel.CreatedUntil,
		"last_sign_in_at_after": &sel.SignedInFrom, "last_sign_in_at_before": &sel.SignedInUntil,
	} {
		if *into, err = clerkTime(q, name); err != nil {
			return sel, err
		}
	}
	if sel.Limit, err = numberIn(q, "limit", 1, 500, sel.Limit); err != nil {
		return sel, err
	}
	if sel.Offset, err = numberIn(q, "offset", 0, 1<<31-1, 0); err != nil {
		return sel, err
	}
	if by := q.Get("order_by"); by != "" {
		sel.Descending = by[0] == '-'
		sel.Order, err = sortedBy("order_by", strings.TrimLeft(by, "+- "), clerkOrders)
	}
	return sel, err
}

// clerkTime reads a time of a query in milliseconds, none where there is none.
func clerkTime(q url.Values, name string) (storage.Time, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 1 || time.UnixMilli(ms).Year() > 9999 {
		return 0, invalidField(name, "is no time in milliseconds")
	}
	return storage.At(time.UnixMilli(ms)), nil
}

// clerkOrders are the columns that users can be sorted by, by Clerk's names.
var clerkOrders = map[string]string{
	"created_at": "created_at", "updated_at": "updated_at", "email_address": "email_key", "first_name": "given_name", "last_name": "family_name",
	"username": "preferred_username", "last_sign_in_at": "last_sign_in_at",
}

func (s *Server) clerkUsers(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	sel, err := clerkSelection(r)
	if err != nil {
		return err
	}
	users, err := s.selectUsers(r, call, sel)
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
	sel, err := clerkSelection(r)
	if err != nil {
		return err
	}
	n, err := s.countUsers(r, call, sel)
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
	u, err := s.dialectUser(r, call, r.PathValue("id"))
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
