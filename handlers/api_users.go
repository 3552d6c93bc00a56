package handlers

import (
	"context"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/storage"
)

// idPlace is where a list in the order of ids goes on.
type idPlace struct{ ID string }

// ListUsers lists the users within reach of the caller.
func (a apiServer) ListUsers(ctx context.Context, r api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	at, err := place[idPlace](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := pageLimit(r.Params.Limit)
	search := storage.UserSearch{Limit: limit + 1}
	if at != nil {
		search.After = at.ID
	}
	if c := callOf(ctx); c.Organization != "" {
		search.Organizations = []string{c.Organization}
	}
	users, err := a.store.SearchUsers(ctx, search)
	if err != nil {
		return nil, err
	}
	more := len(users) > limit
	users = users[:min(len(users), limit)]
	page := api.ListUsers200JSONResponse{Data: []api.User{}}
	for _, u := range users {
		page.Data = append(page.Data, userOf(&u))
	}
	page.NextCursor, err = next(ctx, a, users, more, func(u storage.User) idPlace { return idPlace{u.ID} })
	return page, err
}

// GetUser shows a user.
func (a apiServer) GetUser(ctx context.Context, r api.GetUserRequestObject) (api.GetUserResponseObject, error) {
	u, err := a.reachableUser(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetUser200JSONResponse(userOf(u)), nil
}

// reachableUser returns a user whom the caller reaches. Whoever is limited to an
// organization does not learn that others are there (SECURITY F08).
func (a apiServer) reachableUser(ctx context.Context, id string) (*storage.User, error) {
	u, err := a.store.User(ctx, id)
	if err != nil || u.Deleted() {
		return nil, storage.ErrNotFound
	}
	c := callOf(ctx)
	if c.Organization == "" {
		return u, nil
	}
	theirs, err := a.store.Standing(ctx, id)
	if err == nil && !theirs.MemberOf(c.Organization) {
		err = storage.ErrNotFound
	}
	return u, err
}

func userOf(u *storage.User) api.User {
	return api.User{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: unlessEmpty(u.Name), Status: api.UserStatus(u.Status),
		NeverImpersonate: u.NeverImpersonate, HasPassword: u.PasswordHash != "",
		CreatedAt: u.CreatedAt.Time(), UpdatedAt: u.UpdatedAt.Time(), LastSignInAt: orNull(u.LastSignInAt),
	}
}
