package handlers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// directoryOf changes people as far as the caller may.
func (a apiServer) directoryOf(c *call) *provider.Directory {
	return a.provider.Directory().For(c.Caller)
}

// ListUsers lists the users within reach of the caller.
func (a apiServer) ListUsers(ctx context.Context, r api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	list, err := userPage(callOf(ctx), r.Params)
	if err != nil {
		return nil, err
	}
	if list.At, err = place[storage.KeyPlace](ctx, a, r.Params.Cursor); err != nil {
		return nil, err
	}
	users, more, err := a.store.UserPage(ctx, list)
	if err != nil {
		return nil, err
	}
	page := api.ListUsers200JSONResponse{Data: []api.User{}}
	for _, u := range users {
		page.Data = append(page.Data, userOf(&u.User))
	}
	page.NextCursor, err = next(ctx, a, users, more, storage.PlacedUser.Place)
	return page, err
}

// userPage reads which users to list. Each order has its index: what would need another
// one is refused.
func userPage(c *call, p api.ListUsersParams) (storage.UserPage, error) {
	list := storage.UserPage{Organization: c.Organization, Email: value(p.Email), Limit: pageLimit(p.Limit)}
	if p.OrganizationID != nil {
		list.Organization = *p.OrganizationID
	}
	if c.Organization != "" && list.Organization != c.Organization {
		return list, storage.ErrNotFound
	}
	if p.Sort != nil {
		list.Sort = storage.UserSort(*p.Sort)
	}
	orders := 0
	for _, given := range []bool{p.Sort != nil, p.EmailPrefix != nil, p.NamePrefix != nil} {
		if given {
			orders++
		}
	}
	switch {
	case orders > 1:
		return list, invalidField("sort", "email_prefix, name_prefix and sort are not given together")
	case p.EmailPrefix != nil:
		list.Sort, list.Prefix = storage.UsersByEmail, *p.EmailPrefix
	case p.NamePrefix != nil:
		list.Sort, list.Prefix = storage.UsersByName, *p.NamePrefix
	}
	return list, nil
}

// CreateUser adds a user.
func (a apiServer) CreateUser(ctx context.Context, r api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	c := callOf(ctx)
	u := &storage.User{ID: storage.NewID("usr")}
	if r.Body.ID != nil {
		u.ID = *r.Body.ID
	}
	if err := applyClaims(c, u); err != nil {
		return nil, err
	}
	var organizations []provider.OrgRole
	for _, o := range value(r.Body.Organizations) {
		organizations = append(organizations, provider.OrgRole{Organization: o.OrganizationID, Role: value(o.Role)})
	}
	err := a.directoryOf(c).CreateUser(ctx, u, value(r.Body.Password), value(r.Body.Roles), organizations, c.by(), time.Now())
	if err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, u.ID)
	return api.CreateUser201JSONResponse{Body: detail, Headers: api.CreateUser201ResponseHeaders{Location: a.at("users", u.ID)}}, err
}

// applyClaims sets what the body says about a user. Everything else in it is read
// elsewhere.
func applyClaims(c *call, u *storage.User) error {
	var said map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &said); err != nil {
		return err
	}
	if never, ok := said["never_impersonate"]; ok {
		if err := json.Unmarshal(never, &u.NeverImpersonate); err != nil {
			return err
		}
	}
	for _, other := range []string{"id", "never_impersonate", "password", "roles", "organizations"} {
		delete(said, other)
	}
	claims, err := json.Marshal(said)
	if err != nil {
		return err
	}
	return provider.ApplyClaims(u, claims)
}

// GetUser shows a user.
func (a apiServer) GetUser(ctx context.Context, r api.GetUserRequestObject) (api.GetUserResponseObject, error) {
	detail, err := a.userDetail(ctx, r.UserID)
	return api.GetUser200JSONResponse(detail), err
}

// UpdateUser changes what is said about a user.
func (a apiServer) UpdateUser(ctx context.Context, r api.UpdateUserRequestObject) (api.UpdateUserResponseObject, error) {
	u, err := a.reachableUser(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	c, had := callOf(ctx), *u
	if err := applyClaims(c, u); err != nil {
		return nil, err
	}
	// Nobody has vouched for another address yet.
	u.EmailVerified = u.EmailVerified && (r.Body.EmailVerified != nil || u.Email == had.Email)
	u.PhoneNumberVerified = u.PhoneNumberVerified && (r.Body.PhoneNumberVerified != nil || u.PhoneNumber == had.PhoneNumber)
	if err := a.directoryOf(c).UpdateUser(ctx, u, c.by(), time.Now()); err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, r.UserID)
	return api.UpdateUser200JSONResponse(detail), err
}

// DeleteUser forgets a user.
func (a apiServer) DeleteUser(ctx context.Context, r api.DeleteUserRequestObject) (api.DeleteUserResponseObject, error) {
	return api.DeleteUser204Response{}, a.changeUser(ctx, r.UserID, (*provider.Directory).Delete)
}

// DisableUser ends everything that a user has open.
func (a apiServer) DisableUser(ctx context.Context, r api.DisableUserRequestObject) (api.DisableUserResponseObject, error) {
	if err := a.changeUser(ctx, r.UserID, (*provider.Directory).Disable); err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, r.UserID)
	return api.DisableUser200JSONResponse(detail), err
}

// EnableUser lets a user sign in again.
func (a apiServer) EnableUser(ctx context.Context, r api.EnableUserRequestObject) (api.EnableUserResponseObject, error) {
	if err := a.changeUser(ctx, r.UserID, (*provider.Directory).Enable); err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, r.UserID)
	return api.EnableUser200JSONResponse(detail), err
}

// changeUser does something to a user whom the caller reaches.
func (a apiServer) changeUser(
	ctx context.Context, id string, change func(*provider.Directory, context.Context, string, storage.Cause, time.Time) error,
) error {
	if _, err := a.reachableUser(ctx, id); err != nil {
		return err
	}
	c := callOf(ctx)
	return change(a.directoryOf(c), ctx, id, c.by(), time.Now())
}

// SetPassword gives a user another password.
func (a apiServer) SetPassword(ctx context.Context, r api.SetPasswordRequestObject) (api.SetPasswordResponseObject, error) {
	return api.SetPassword204Response{}, a.changeUser(ctx, r.UserID,
		func(d *provider.Directory, ctx context.Context, id string, by storage.Cause, now time.Time) error {
			return d.SetPassword(ctx, id, r.Body.Password, by, now)
		})
}

// GrantRole gives a user a role.
func (a apiServer) GrantRole(ctx context.Context, r api.GrantRoleRequestObject) (api.GrantRoleResponseObject, error) {
	err := a.changeUser(ctx, r.UserID, func(d *provider.Directory, ctx context.Context, id string, by storage.Cause, now time.Time) error {
		return d.GrantRole(ctx, id, r.Body.Role, value(r.Body.OrganizationID), by, now)
	})
	if err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, r.UserID)
	return api.GrantRole200JSONResponse(detail), err
}

// RevokeRole takes a role away.
func (a apiServer) RevokeRole(ctx context.Context, r api.RevokeRoleRequestObject) (api.RevokeRoleResponseObject, error) {
	err := a.changeUser(ctx, r.UserID, func(d *provider.Directory, ctx context.Context, id string, by storage.Cause, now time.Time) error {
		return d.RevokeRole(ctx, id, r.Role, value(r.Params.OrganizationID), by, now)
	})
	if err != nil {
		return nil, err
	}
	detail, err := a.userDetail(ctx, r.UserID)
	return api.RevokeRole200JSONResponse(detail), err
}

// ListSessions lists where a user is signed in.
func (a apiServer) ListSessions(ctx context.Context, r api.ListSessionsRequestObject) (api.ListSessionsResponseObject, error) {
	if _, err := a.reachableUser(ctx, r.UserID); err != nil {
		return nil, err
	}
	live, err := a.store.LiveLogins(ctx, r.UserID, time.Now())
	if err != nil {
		return nil, err
	}
	page := api.ListSessions200JSONResponse{Data: []api.Session{}}
	for _, l := range live {
		page.Data = append(page.Data, api.Session{
			ID: l.SID, SignedInAt: l.AuthTime.Time(), LastUsedAt: l.LastSeenAt.Time(), ExpiresAt: l.ExpiresAt.Time(), IP: l.IP, UserAgent: l.UserAgent,
		})
	}
	return page, nil
}

// RevokeSessions signs a user out everywhere.
func (a apiServer) RevokeSessions(ctx context.Context, r api.RevokeSessionsRequestObject) (api.RevokeSessionsResponseObject, error) {
	return api.RevokeSessions204Response{}, a.changeUser(ctx, r.UserID, (*provider.Directory).EndSignIns)
}

// RevokeSession ends one sign-in of a user.
func (a apiServer) RevokeSession(ctx context.Context, r api.RevokeSessionRequestObject) (api.RevokeSessionResponseObject, error) {
	return api.RevokeSession204Response{}, a.changeUser(ctx, r.UserID,
		func(d *provider.Directory, ctx context.Context, id string, by storage.Cause, now time.Time) error {
			return d.EndSignIn(ctx, id, r.SessionID, by, now)
		})
}

// ListRoles lists the roles there are.
func (a apiServer) ListRoles(ctx context.Context, _ api.ListRolesRequestObject) (api.ListRolesResponseObject, error) {
	roles, err := a.store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	page := api.ListRoles200JSONResponse{Data: []api.Role{}}
	for _, r := range roles {
		page.Data = append(page.Data, roleShown(r))
	}
	return page, nil
}

// GetRole shows a role.
func (a apiServer) GetRole(ctx context.Context, r api.GetRoleRequestObject) (api.GetRoleResponseObject, error) {
	roles, err := a.store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if role.Name == r.Role {
			return api.GetRole200JSONResponse(roleShown(role)), nil
		}
	}
	return nil, storage.ErrNotFound
}

// CreateRole adds a role.
func (a apiServer) CreateRole(ctx context.Context, r api.CreateRoleRequestObject) (api.CreateRoleResponseObject, error) {
	c, made := callOf(ctx), &storage.Role{Name: r.Body.Name}
	for _, p := range r.Body.Permissions {
		made.Permissions = append(made.Permissions, string(p))
	}
	if err := a.directoryOf(c).CreateRole(ctx, made, c.by(), time.Now()); err != nil {
		return nil, err
	}
	return api.CreateRole201JSONResponse{Body: roleShown(*made), Headers: api.CreateRole201ResponseHeaders{Location: a.at("roles", made.Name)}}, nil
}

// ChangeRole changes what a role permits.
func (a apiServer) ChangeRole(ctx context.Context, r api.ChangeRoleRequestObject) (api.ChangeRoleResponseObject, error) {
	c := callOf(ctx)
	permissions := storage.List{}
	for _, p := range r.Body.Permissions {
		permissions = append(permissions, string(p))
	}
	role, err := a.directoryOf(c).ChangeRole(ctx, r.Role, permissions, c.by(), time.Now())
	if err != nil {
		return nil, err
	}
	return api.ChangeRole200JSONResponse(roleShown(*role)), nil
}

// DeleteRole removes a role that nobody holds.
func (a apiServer) DeleteRole(ctx context.Context, r api.DeleteRoleRequestObject) (api.DeleteRoleResponseObject, error) {
	c := callOf(ctx)
	return api.DeleteRole204Response{}, a.directoryOf(c).DeleteRole(ctx, r.Role, c.by(), time.Now())
}

func roleShown(r storage.Role) api.Role {
	return api.Role{Name: r.Name, Permissions: permissionsOf(r.Permissions), BuiltIn: r.BuiltIn}
}

func permissionsOf(held storage.List) []api.Permission {
	shown := []api.Permission{}
	for _, p := range held {
		shown = append(shown, api.Permission(p))
	}
	return shown
}

// reachableUser returns a user over whom the caller holds the permission of the
// operation. Whoever is limited to an organization does not learn that others are there
// (SECURITY F08).
func (a apiServer) reachableUser(ctx context.Context, id string) (*storage.User, error) {
	u, err := a.store.User(ctx, id)
	if err == nil && u.Deleted() {
		err = storage.ErrNotFound
	}
	c := callOf(ctx)
	if err != nil || c.Organization == "" {
		return u, err
	}
	theirs, err := a.store.Standing(ctx, id)
	if err == nil && !theirs.MemberOf(c.Organization) {
		err = storage.ErrNotFound
	}
	return u, err
}

// userDetail is a user with what they may do and where they belong, as far as the caller
// reaches.
func (a apiServer) userDetail(ctx context.Context, id string) (api.UserDetail, error) {
	u, err := a.reachableUser(ctx, id)
	if err != nil {
		return api.UserDetail{}, err
	}
	places, err := a.store.PlacesOf(ctx, id)
	if err != nil {
		return api.UserDetail{}, err
	}
	detail := struct {
		api.User
		Roles         []string         `json:"roles"`
		Organizations []api.Membership `json:"organizations"`
	}{userOf(u), []string{}, []api.Membership{}}
	c := callOf(ctx)
	for _, p := range places[id] {
		switch {
		case p.OrganizationID == "" && c.Organization == "":
			detail.Roles = append(detail.Roles, p.Role)
		case p.OrganizationID != "" && (c.Organization == "" || c.Organization == p.OrganizationID):
			detail.Organizations = append(detail.Organizations, api.Membership{
				OrganizationID: p.OrganizationID, Name: p.OrganizationName, Role: unlessEmpty(p.Role),
			})
		}
	}
	return as[api.UserDetail](detail)
}

func userOf(u *storage.User) api.User {
	shown := api.User{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: unlessEmpty(u.Name), GivenName: unlessEmpty(u.GivenName),
		FamilyName: unlessEmpty(u.FamilyName), MiddleName: unlessEmpty(u.MiddleName), Nickname: unlessEmpty(u.Nickname),
		PreferredUsername: unlessEmpty(u.PreferredUsername), Profile: unlessEmpty(u.Profile), Picture: unlessEmpty(u.Picture),
		Website: unlessEmpty(u.Website), Gender: unlessEmpty(u.Gender), Birthdate: unlessEmpty(u.Birthdate), Zoneinfo: unlessEmpty(u.Zoneinfo),
		Locale: unlessEmpty(u.Locale), PhoneNumber: unlessEmpty(u.PhoneNumber), Status: api.UserStatus(u.Status),
		NeverImpersonate: u.NeverImpersonate, HasPassword: u.PasswordHash != "",
		CreatedAt: u.CreatedAt.Time(), UpdatedAt: u.UpdatedAt.Time(), LastSignInAt: orNull(u.LastSignInAt),
	}
	if u.PhoneNumber != "" {
		shown.PhoneNumberVerified = &u.PhoneNumberVerified
	}
	var address api.Address
	if json.Unmarshal([]byte(u.Address), &address) == nil { // empty where there is none
		shown.Address = &address
	}
	return shown
}
