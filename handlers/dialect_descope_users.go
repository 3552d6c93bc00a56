package handlers

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// descopeUser is a user in Descope's words, as far as there is something to say.
type descopeUser struct {
	LoginIDs      []string        `json:"loginIds"`
	UserID        string          `json:"userId"`
	Name          string          `json:"name"`
	GivenName     string          `json:"givenName"`
	MiddleName    string          `json:"middleName"`
	FamilyName    string          `json:"familyName"`
	Email         string          `json:"email"`
	VerifiedEmail bool            `json:"verifiedEmail"`
	Phone         string          `json:"phone"`
	VerifiedPhone bool            `json:"verifiedPhone"`
	Picture       string          `json:"picture"`
	Status        string          `json:"status"` // enabled or disabled
	RoleNames     []string        `json:"roleNames"`
	Tenants       []descopeTenant `json:"userTenants"`
	Attributes    struct{}        `json:"customAttributes"`
	Test          bool            `json:"test"`
	CreatedTime   int64           `json:"createdTime"` // seconds
}

type descopeTenant struct {
	ID        string   `json:"tenantId"`
	Name      string   `json:"tenantName"`
	RoleNames []string `json:"roleNames"`
}

// reachesTenant reports whether the call's key reaches an organization.
func (c *dialectCall) reachesTenant(id string) bool {
	return c.Organization == "" || c.Organization == id
}

// descopeUsersOf are users in Descope's words, with those organizations that may be told.
// Roles at the provider are none of an application's.
func (s *Server) descopeUsersOf(r *http.Request, users []storage.User, told func(organization string) bool) ([]descopeUser, error) {
	var ids []string
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	organizations, err := s.store.OrganizationsOf(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	shown := []descopeUser{}
	for _, u := range users {
		d := descopeUser{
			LoginIDs: []string{u.ID}, UserID: u.ID, Name: u.Name, GivenName: u.GivenName, MiddleName: u.MiddleName, FamilyName: u.FamilyName,
			Email: u.Email, VerifiedEmail: u.EmailVerified, Phone: u.PhoneNumber, VerifiedPhone: u.PhoneNumberVerified, Picture: u.Picture,
			Status: "enabled", RoleNames: []string{}, Tenants: []descopeTenant{}, CreatedTime: u.CreatedAt.Time().Unix(),
		}
		if u.Email != "" {
			d.LoginIDs = []string{u.Email, u.ID}
		}
		if !u.Active() {
			d.Status = "disabled"
		}
		for _, o := range organizations[u.ID] {
			if told(o.ID) {
				d.Tenants = append(d.Tenants, descopeTenant{o.ID, o.Name, []string{}})
			}
		}
		shown = append(shown, d)
	}
	return shown, nil
}

// descopeMe shows the user of a refresh JWT, as far as its application is registered to
// know them: the address by the scope email, the number by phone, the rest by profile.
func (s *Server) descopeMe(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	c, token, err := s.descopeHolder(r, call)
	if err != nil {
		return err
	}
	g, sub, err := s.provider.DescopeGranted(r.Context(), c, token, call.now)
	if err != nil {
		return err
	}
	known, scopes := storage.User{ID: g.User.ID, Status: g.User.Status, CreatedAt: g.User.CreatedAt}, strings.Fields(c.Scope)
	if slices.Contains(scopes, "email") {
		known.Email, known.EmailVerified = g.User.Email, g.User.EmailVerified
	}
	if slices.Contains(scopes, "phone") {
		known.PhoneNumber, known.PhoneNumberVerified = g.User.PhoneNumber, g.User.PhoneNumberVerified
	}
	if slices.Contains(scopes, "profile") {
		known.Name, known.GivenName, known.MiddleName, known.FamilyName, known.Picture = g.User.Name, g.User.GivenName, g.User.MiddleName, g.User.FamilyName, g.User.Picture
	}
	shown, err := s.descopeUsersOf(r, []storage.User{known}, func(organization string) bool { return organization == g.OrganizationID })
	if err != nil {
		return err
	}
	shown[0].UserID, shown[0].LoginIDs[len(shown[0].LoginIDs)-1] = sub, sub // which may be for this application alone
	writeJSON(w, http.StatusOK, shown[0])
	return nil
}

// descopeLoad shows a user, by login id or by id.
func (s *Server) descopeLoad(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	q, err := usersQuery(r, nil, "loginId", "userId")
	if err != nil {
		return err
	}
	id := q.Get("userId")
	if loginID := q.Get("loginId"); loginID != "" {
		named, err := s.named(r, loginID)
		if err != nil {
			return err
		}
		id = named.ID
	}
	u, err := s.dialectUser(r, call, id)
	if err != nil {
		return err
	}
	shown, err := s.descopeUsersOf(r, []storage.User{*u}, call.reachesTenant)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"user": shown[0]})
	return nil
}

// descopeLoadAll shows users by their ids.
func (s *Server) descopeLoadAll(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	var q struct {
		UserIDs        []string `json:"userIds"`
		IncludeInvalid bool     `json:"includeInvalidUsers"`
	}
	if err := readWords(r, &q); err != nil {
		return err
	}
	if len(q.UserIDs) < 1 || len(q.UserIDs) > 100 {
		return invalidField("userIds", "has not 1 to 100 values")
	}
	if slices.ContainsFunc(q.UserIDs, notText) {
		return invalidField("userIds", "has one that is no text")
	}
	users, err := s.selectUsers(r, call, storage.UserSelection{IDs: q.UserIDs, Order: "created_at", Limit: len(q.UserIDs)})
	if err != nil {
		return err
	}
	shown, err := s.descopeUsersOf(r, users, call.reachesTenant)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"users": shown})
	return nil
}

// descopeSearch lists users. What would select them and is not known here is refused.
func (s *Server) descopeSearch(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	sel, err := descopeSelection(r)
	if err != nil {
		return err
	}
	users, err := s.selectUsers(r, call, sel)
	if err != nil {
		return err
	}
	total, err := s.countUsers(r, call, sel)
	if err != nil {
		return err
	}
	shown, err := s.descopeUsersOf(r, users, call.reachesTenant)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"users": shown, "total": total})
	return nil
}

// descopeSearched are the members that a search may have. Those without a value here
// select nobody who would not be selected anyway.
type descopeSearched struct {
	TenantIDs     []string `json:"tenantIds"`
	LoginIDs      []string `json:"loginIds"`
	UserIDs       []string `json:"userIds"`
	Emails        []string `json:"emails"`
	Statuses      []string `json:"statuses"`
	Text          string   `json:"text"`
	Limit         int      `json:"limit"`
	Page          int      `json:"page"`
	CreatedFrom   int64    `json:"fromCreatedTime"` // milliseconds
	CreatedUntil  int64    `json:"toCreatedTime"`
	WithTestUsers any      `json:"withTestUser"` // there are none
	Sort          []struct {
		Field string `json:"field"`
		Desc  bool   `json:"desc"`
	} `json:"sort"`
}

func descopeSelection(r *http.Request) (sel storage.UserSelection, err error) {
	body, err := bodyOf(r)
	if err != nil {
		return sel, err
	}
	var q descopeSearched
	if err := understand(body, &q); err != nil {
		return sel, err
	}
	if err := descopeKnows(body); err != nil {
		return sel, err
	}
	if q.Limit < 0 || q.Limit > 1000 || q.Page < 0 || q.Page > 1<<20 {
		return sel, invalidField("limit", "want a limit of at most 1000, and a page from 0 on")
	}
	sel = storage.UserSelection{
		Text: strings.TrimSpace(q.Text), Limit: cmp.Or(q.Limit, 100), Order: "created_at",
		IDs: q.UserIDs, Emails: q.Emails,
	}
	sel.Offset = q.Page * sel.Limit
	if len(q.TenantIDs) > 0 {
		sel.Organizations = q.TenantIDs
	}
	if len(q.LoginIDs) > 0 && len(q.UserIDs)+len(q.Emails) > 0 {
		return sel, invalidField("loginIds", "not with userIds or emails")
	}
	for _, id := range q.LoginIDs {
		if strings.Contains(id, "@") {
			sel.Emails = append(sel.Emails, id)
		} else {
			sel.IDs = append(sel.IDs, id)
		}
	}
	if len(q.LoginIDs) > len(sel.Emails) && len(q.LoginIDs) > len(sel.IDs) {
		return sel, invalidField("loginIds", "either ids or e-mail addresses, in one request")
	}
	for name, all := range map[string][]string{"userIds": sel.IDs, "emails": sel.Emails, "tenantIds": sel.Organizations, "text": {sel.Text}} {
		if len(all) > 100 || slices.ContainsFunc(all, notText) {
			return sel, invalidField(name, "has more than 100 values, or one that is no text")
		}
	}
	switch {
	case len(q.Statuses) == 1 && q.Statuses[0] == "enabled":
		sel.Status = storage.UserActive
	case len(q.Statuses) == 1 && q.Statuses[0] == "disabled":
		sel.Status = storage.UserDisabled
	case len(q.Statuses) > 0:
		return sel, invalidField("statuses", "want enabled or disabled")
	}
	for _, c := range []struct {
		at   int64
		into *storage.Time
	}{{q.CreatedFrom, &sel.CreatedFrom}, {q.CreatedUntil, &sel.CreatedUntil}} {
		if c.at < 0 || time.UnixMilli(c.at).Year() > 9999 {
			return sel, invalidField("fromCreatedTime", "is no time in milliseconds")
		}
		if c.at > 0 {
			*c.into = storage.At(time.UnixMilli(c.at))
		}
	}
	if len(q.Sort) > 1 {
		return sel, invalidField("sort", "want one field")
	}
	for _, by := range q.Sort {
		sel.Descending = by.Desc
		sel.Order, err = sortedBy("sort", by.Field, descopeOrders)
	}
	return sel, err
}

// descopeOrders are the columns that users can be sorted by, by Descope's names.
var descopeOrders = map[string]string{"createdTime": "created_at", "email": "email_key", "name": "name", "displayName": "name", "userId": "id", "status": "status"}

// descopeKnows refuses a search for what is not known here: one that is not heard would
// show everybody.
func descopeKnows(body []byte) error {
	var all map[string]json.RawMessage
	if err := understand(body, &all); err != nil || all == nil {
		return (&problemErr{Code: "invalid_request", Detail: "The body is not what this takes."}).because(err)
	}
	known := reflect.TypeFor[descopeSearched]()
	for i := range known.NumField() {
		delete(all, known.Field(i).Tag.Get("json"))
	}
	for name, value := range all {
		nothing := []string{"null", "0", `""`, "[]", "{}"}
		if name == "testUsersOnly" {
			nothing = append(nothing, "false")
		}
		if !slices.Contains(nothing, string(value)) {
			return invalidField(name, "users cannot be selected by this here")
		}
	}
	return nil
}
