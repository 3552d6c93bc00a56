package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

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
	if err != nil || call.Organization == "" {
		return sel, err
	}
	if slices.ContainsFunc(sel.Organizations, func(id string) bool { return id != call.Organization }) {
		return sel, storage.ErrNotFound // whether its members belong there as well is not for this key either
	}
	sel.Within = []string{call.Organization}
	return sel, nil
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
