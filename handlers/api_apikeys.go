package handlers

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// keysOf are the API keys within reach of the caller.
func (a apiServer) keysOf(c *call) *provider.APIKeys {
	return provider.NewAPIKeys(a.store).For(c.Standing)
}

// ListAPIKeys lists the keys within reach of the caller.
func (a apiServer) ListAPIKeys(ctx context.Context, r api.ListAPIKeysRequestObject) (api.ListAPIKeysResponseObject, error) {
	at, err := place[storage.Mark](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	keys, more, err := a.store.APIKeys(ctx, storage.APIKeySearch{
		Organization: callOf(ctx).Organization, At: at, Limit: pageLimit(r.Params.Limit),
	})
	if err != nil {
		return nil, err
	}
	page := api.ListAPIKeys200JSONResponse{Data: []api.APIKey{}}
	for _, k := range keys {
		page.Data = append(page.Data, apiKeyOf(&k))
	}
	page.NextCursor, err = next(ctx, a, keys, more, func(k storage.APIKey) storage.Mark {
		return storage.Mark{Time: k.CreatedAt, ID: k.ID}
	})
	return page, err
}

// CreateAPIKey makes a key that can do no more than the caller. Who is limited to an
// organization makes keys of it without saying so.
func (a apiServer) CreateAPIKey(ctx context.Context, r api.CreateAPIKeyRequestObject) (api.CreateAPIKeyResponseObject, error) {
	c := callOf(ctx)
	k := &storage.APIKey{Name: r.Body.Name, OrganizationID: r.Body.OrganizationID, ClientID: r.Body.ClientID, ExpiresAt: given(r.Body.ExpiresAt)}
	for _, p := range r.Body.Permissions {
		k.Permissions = append(k.Permissions, string(p))
	}
	if k.OrganizationID == nil && c.Organization != "" {
		k.OrganizationID = &c.Organization
	}
	secret, err := a.keysOf(c).Create(ctx, k, c.by(), time.Now())
	if err != nil {
		return nil, err
	}
	made, err := as[api.APIKeyWithSecret](struct {
		api.APIKey
		Secret string `json:"secret"`
	}{apiKeyOf(k), secret})
	return api.CreateAPIKey201JSONResponse{Body: made, Headers: api.CreateAPIKey201ResponseHeaders{Location: a.at("api-keys", k.ID)}}, err
}

// GetAPIKey shows a key.
func (a apiServer) GetAPIKey(ctx context.Context, r api.GetAPIKeyRequestObject) (api.GetAPIKeyResponseObject, error) {
	k, err := a.keysOf(callOf(ctx)).Find(ctx, r.KeyID)
	if err != nil {
		return nil, err
	}
	return api.GetAPIKey200JSONResponse(apiKeyOf(k)), nil
}

// RevokeAPIKey ends a key.
func (a apiServer) RevokeAPIKey(ctx context.Context, r api.RevokeAPIKeyRequestObject) (api.RevokeAPIKeyResponseObject, error) {
	c := callOf(ctx)
	if err := a.keysOf(c).Revoke(ctx, r.KeyID, c.by(), time.Now()); err != nil {
		return nil, err
	}
	k, err := a.keysOf(c).Find(ctx, r.KeyID)
	if err != nil {
		return nil, err
	}
	return api.RevokeAPIKey200JSONResponse(apiKeyOf(k)), nil
}

func apiKeyOf(k *storage.APIKey) api.APIKey {
	return api.APIKey{
		ID: k.ID, Name: k.Name, Permissions: permissionsOf(k.Permissions), OrganizationID: k.OrganizationID, ClientID: k.ClientID, CreatedBy: k.CreatedBy,
		CreatedAt: k.CreatedAt.Time(), ExpiresAt: orNull(k.ExpiresAt), LastUsedAt: orNull(k.LastUsedAt), RevokedAt: orNull(k.RevokedAt),
	}
}
