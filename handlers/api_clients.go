package handlers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// clientsOf changes clients as far as the caller may.
func (a apiServer) clientsOf(c *call) *provider.Registration {
	return provider.NewRegistration(a.store).For(c.Standing)
}

// namedClient returns the client that a request is about, of those that the caller may
// know of.
func (a apiServer) namedClient(ctx context.Context, id string) (*storage.Client, error) {
	client, err := a.store.Client(ctx, id)
	if err == nil && !callOf(ctx).Knows(client) {
		err = storage.ErrNotFound
	}
	return client, unknown("client_id", err)
}

// ListClients lists the clients.
func (a apiServer) ListClients(ctx context.Context, r api.ListClientsRequestObject) (api.ListClientsResponseObject, error) {
	search := storage.ClientSearch{
		Type: string(value(r.Params.Type)), Status: storage.ClientStatus(value(r.Params.Status)), Limit: pageLimit(r.Params.Limit),
	}
	var err error
	if search.At, err = place[storage.NamePlace](ctx, a, r.Params.Cursor); err != nil {
		return nil, err
	}
	found, more, err := a.store.SearchClients(ctx, search)
	if err != nil {
		return nil, err
	}
	page := api.ListClients200JSONResponse{Data: []api.OAuthClient{}}
	for _, c := range found {
		shown, err := as[api.OAuthClient](provider.MetadataOf(&c))
		if err != nil {
			return nil, err
		}
		page.Data = append(page.Data, shown)
	}
	page.NextCursor, err = next(ctx, a, found, more, func(c storage.Client) storage.NamePlace { return storage.NamePlace{Name: c.Name, ID: c.ID} })
	return page, err
}

// CreateClient registers a client with what suits its type, where the body does not say
// otherwise.
func (a apiServer) CreateClient(ctx context.Context, r api.CreateClientRequestObject) (api.CreateClientResponseObject, error) {
	clientType := provider.ClientWeb
	if r.Body.Type != nil {
		clientType = string(*r.Body.Type)
	}
	by, c := callOf(ctx), provider.NewClient(clientType)
	if err := applyMetadata(by, c); err != nil {
		return nil, err
	}
	c.ID = value(r.Body.ClientID)
	secret, err := a.clientsOf(by).Register(ctx, c, value(r.Body.ClientSecret), by.by(), time.Now())
	if err != nil {
		return nil, err
	}
	shown, err := a.clientDetail(ctx, c.ID, secret)
	return api.CreateClient201JSONResponse{Body: shown, Headers: api.CreateClient201ResponseHeaders{Location: a.at("clients", c.ID)}}, err
}

// applyMetadata makes a client what the body says.
func applyMetadata(by *call, c *storage.Client) error {
	m := provider.MetadataOf(c)
	if err := json.Unmarshal(by.body, &m); err != nil {
		return err
	}
	m.ApplyTo(c)
	return nil
}

// GetClient shows a client.
func (a apiServer) GetClient(ctx context.Context, r api.GetClientRequestObject) (api.GetClientResponseObject, error) {
	c, err := a.store.Client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	shown, err := as[api.OAuthClient](provider.MetadataOf(c))
	return api.GetClient200JSONResponse(shown), err
}

// UpdateClient changes a client.
func (a apiServer) UpdateClient(ctx context.Context, r api.UpdateClientRequestObject) (api.UpdateClientResponseObject, error) {
	for field, given := range map[string]bool{
		"client_id": r.Body.ClientID != nil, "type": r.Body.Type != nil, "client_secret": r.Body.ClientSecret != nil,
	} {
		if given {
			return nil, invalidField(field, "is given only when the client is made")
		}
	}
	stored, err := a.store.Client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	by, c := callOf(ctx), *stored
	if err := applyMetadata(by, &c); err != nil {
		return nil, err
	}
	secret, err := a.clientsOf(by).Update(ctx, &c, by.by(), time.Now())
	if err != nil {
		return nil, err
	}
	shown, err := a.clientDetail(ctx, c.ID, secret)
	return api.UpdateClient200JSONResponse(shown), err
}

// DeleteClient removes a client.
func (a apiServer) DeleteClient(ctx context.Context, r api.DeleteClientRequestObject) (api.DeleteClientResponseObject, error) {
	by := callOf(ctx)
	return api.DeleteClient204Response{}, a.clientsOf(by).Delete(ctx, r.ClientID, by.by(), time.Now())
}

// RotateClientSecret gives a client a new secret.
func (a apiServer) RotateClientSecret(ctx context.Context, r api.RotateClientSecretRequestObject) (api.RotateClientSecretResponseObject, error) {
	keep := true
	if r.Body != nil && r.Body.KeepPrevious != nil {
		keep = *r.Body.KeepPrevious
	}
	by := callOf(ctx)
	secret, err := a.clientsOf(by).RotateSecret(ctx, r.ClientID, keep, by.by(), time.Now())
	if err != nil {
		return nil, err
	}
	shown, err := a.clientDetail(ctx, r.ClientID, secret)
	return api.RotateClientSecret200JSONResponse(shown), err
}

// DropClientSecret ends the secret from before the last rotation.
func (a apiServer) DropClientSecret(ctx context.Context, r api.DropClientSecretRequestObject) (api.DropClientSecretResponseObject, error) {
	by := callOf(ctx)
	if err := a.clientsOf(by).DropPreviousSecret(ctx, r.ClientID, by.by(), time.Now()); err != nil {
		return nil, err
	}
	c, err := a.store.Client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	shown, err := as[api.OAuthClient](provider.MetadataOf(c))
	return api.DropClientSecret200JSONResponse(shown), err
}

// DisableClient ends everything granted to a client.
func (a apiServer) DisableClient(ctx context.Context, r api.DisableClientRequestObject) (api.DisableClientResponseObject, error) {
	shown, err := a.setClientStatus(ctx, r.ClientID, storage.ClientDisabled)
	return api.DisableClient200JSONResponse(shown), err
}

// EnableClient lets a client be used again.
func (a apiServer) EnableClient(ctx context.Context, r api.EnableClientRequestObject) (api.EnableClientResponseObject, error) {
	shown, err := a.setClientStatus(ctx, r.ClientID, storage.ClientActive)
	return api.EnableClient200JSONResponse(shown), err
}

func (a apiServer) setClientStatus(ctx context.Context, id string, status storage.ClientStatus) (api.OAuthClient, error) {
	by := callOf(ctx)
	if err := a.clientsOf(by).SetStatus(ctx, id, status, by.by(), time.Now()); err != nil {
		return api.OAuthClient{}, err
	}
	c, err := a.store.Client(ctx, id)
	if err != nil {
		return api.OAuthClient{}, err
	}
	return as[api.OAuthClient](provider.MetadataOf(c))
}

// clientDetail is a client as it is stored, with a secret that was just made.
func (a apiServer) clientDetail(ctx context.Context, id, secret string) (api.ClientWithSecret, error) {
	c, err := a.store.Client(ctx, id)
	if err != nil {
		return api.ClientWithSecret{}, err
	}
	return as[api.ClientWithSecret](struct {
		provider.Metadata
		Secret string `json:"client_secret,omitempty"`
	}{provider.MetadataOf(c), secret})
}
