package handlers

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// auth0User is a user in Auth0's words, as far as there is something to say.
type auth0User struct {
	UserID        string   `json:"user_id"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified"`
	Username      string   `json:"username,omitempty"`
	Name          string   `json:"name,omitempty"`
	Nickname      string   `json:"nickname,omitempty"`
	GivenName     string   `json:"given_name,omitempty"`
	FamilyName    string   `json:"family_name,omitempty"`
	Picture       string   `json:"picture,omitempty"`
	Blocked       bool     `json:"blocked,omitempty"`
	Identities    []string `json:"identities"` // there are no connections
	LastLogin     *string  `json:"last_login,omitempty"`
	CreatedAt     *string  `json:"created_at"`
	UpdatedAt     *string  `json:"updated_at"`
}

func auth0UserOf(u *storage.User) auth0User {
	return auth0User{
		UserID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Username: u.PreferredUsername, Name: u.DisplayName(), Nickname: u.Nickname,
		GivenName: u.GivenName, FamilyName: u.FamilyName, Picture: u.Picture, Blocked: !u.Active(), Identities: []string{},
		LastLogin: isoTime(u.LastSignInAt), CreatedAt: isoTime(u.CreatedAt), UpdatedAt: isoTime(u.UpdatedAt),
	}
}

// auth0Fields are the parameters that leave members of users out.
var auth0Fields = []string{"fields", "include_fields"}

// auth0Shown are users with the members that a request wants of them.
func auth0Shown(r *http.Request, users []storage.User) ([]map[string]any, error) {
	q := r.URL.Query()
	var named []string
	if fields := q.Get("fields"); fields != "" {
		named = strings.Split(fields, ",")
	}
	shown := []map[string]any{}
	for i := range users {
		b, err := json.Marshal(auth0UserOf(&users[i]))
		if err != nil {
			return nil, err
		}
		var u map[string]any
		if err := json.Unmarshal(b, &u); err != nil {
			return nil, err
		}
		for name := range u {
			if named != nil && slices.Contains(named, name) == (q.Get("include_fields") == "false") {
				delete(u, name)
			}
		}
		shown = append(shown, u)
	}
	return shown, nil
}

// auth0User shows a user.
func (s *Server) auth0User(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	if _, err := usersQuery(r, nil, auth0Fields...); err != nil {
		return err
	}
	u, err := s.dialectUser(r, call, r.PathValue("user"))
	if err != nil {
		return err
	}
	shown, err := auth0Shown(r, []storage.User{*u})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, shown[0])
	return nil
}

// auth0ByEmail lists the user who has an e-mail address.
func (s *Server) auth0ByEmail(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, append(auth0Fields, "email")...)
	if err != nil {
		return err
	}
	if q.Get("email") == "" {
		return invalidField("email", "is missing")
	}
	users, err := s.selectUsers(r, call, storage.UserSelection{Emails: q["email"], Order: "created_at", Limit: 1})
	if err != nil {
		return err
	}
	shown, err := auth0Shown(r, users)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, shown)
	return nil
}

// auth0Users lists users, with their number where that is asked for.
func (s *Server) auth0Users(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, append(auth0Fields, "page", "per_page", "include_totals", "sort", "q", "search_engine", "primary_order")...)
	if err != nil {
		return err
	}
	sel := storage.UserSelection{Order: "created_at"}
	if err := auth0Search(q.Get("q"), &sel); err != nil {
		return err
	}
	if sel.Limit, err = numberIn(q, "per_page", 1, 100, 50); err != nil {
		return err
	}
	page, err := numberIn(q, "page", 0, 1<<24, 0)
	if err != nil {
		return err
	}
	sel.Offset = page * sel.Limit
	if by, way, _ := strings.Cut(q.Get("sort"), ":"); by != "" {
		if sel.Order, err = sortedBy("sort", by, auth0Orders); err != nil {
			return err
		}
		if sel.Descending = way == "-1"; !sel.Descending && way != "1" {
			return invalidField("sort", "want a field, a colon, and 1 or -1")
		}
	}
	users, err := s.selectUsers(r, call, sel)
	if err != nil {
		return err
	}
	shown, err := auth0Shown(r, users)
	if err != nil {
		return err
	}
	if q.Get("include_totals") != "true" {
		writeJSON(w, http.StatusOK, shown)
		return nil
	}
	total, err := s.countUsers(r, call, sel)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Start  int              `json:"start"`
		Limit  int              `json:"limit"`
		Length int              `json:"length"`
		Total  int64            `json:"total"`
		Users  []map[string]any `json:"users"`
	}{sel.Offset, sel.Limit, len(shown), total, shown})
	return nil
}

// auth0Orders are the columns that users can be sorted by, by Auth0's names.
var auth0Orders = map[string]string{
	"created_at": "created_at", "updated_at": "updated_at", "email": "email_key", "name": "name", "last_login": "last_sign_in_at", "user_id": "id",
}

// auth0Terms are the searches that are understood: one field, as a whole, or a part of a
// name or an e-mail address. Others are a language of their own.
var (
	auth0Whole = regexp.MustCompile(`^(user_id|email|username)(?:\.raw)?:(?:"([^"\\*?]+)"|([^\s"\\*?:()]+))$`)
	auth0Part  = regexp.MustCompile(`^(?:(?:name|email):)?\*?([^\s"\\*?:()]+)\*?$`)
)

// auth0Search reads a query of Auth0's.
func auth0Search(q string, sel *storage.UserSelection) error {
	q = strings.TrimSpace(q)
	if q == "" {
		return nil
	}
	if found := auth0Whole.FindStringSubmatch(q); found != nil {
		value := []string{found[2] + found[3]}
		switch found[1] {
		case "user_id":
			sel.IDs = value
		case "email":
			sel.Emails = value
		default:
			sel.Usernames = value
		}
		return nil
	}
	if found := auth0Part.FindStringSubmatch(q); found != nil {
		sel.Text = found[1]
		return nil
	}
	return invalidField("q", `is more than is understood here: a word, or one of user_id, email and username with a whole value, as in email:"ada@example.com"`)
}
