package handlers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// errMayNotPush is the answer to who may change webhooks and not read the record.
var errMayNotPush = &problemErr{Code: "not_permitted", Detail: "Who says where events go must hold events:read, too."}

// ListWebhooks lists the webhooks. They are few, and read at once.
func (a apiServer) ListWebhooks(ctx context.Context, r api.ListWebhooksRequestObject) (api.ListWebhooksResponseObject, error) {
	at, err := place[storage.Mark](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	all, err := a.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	if at != nil { // the one that it names may be gone
		all = slices.DeleteFunc(all, func(w storage.Webhook) bool {
			return cmp.Or(cmp.Compare(w.CreatedAt, at.Time), cmp.Compare(w.ID, at.ID)) <= 0
		})
	}
	more := len(all) > pageLimit(r.Params.Limit)
	all = all[:min(len(all), pageLimit(r.Params.Limit))]
	page := api.ListWebhooks200JSONResponse{Data: []api.Webhook{}}
	for _, w := range all {
		page.Data = append(page.Data, webhookOf(&w))
	}
	page.NextCursor, err = next(ctx, a, all, more, func(w storage.Webhook) storage.Mark {
		return storage.Mark{Time: w.CreatedAt, ID: w.ID}
	})
	return page, err
}

// CreateWebhook makes a webhook.
func (a apiServer) CreateWebhook(ctx context.Context, r api.CreateWebhookRequestObject) (api.CreateWebhookResponseObject, error) {
	c := callOf(ctx)
	if !provider.MayPush(c.Standing) {
		return nil, errMayNotPush
	}
	w := &storage.Webhook{URL: r.Body.URL, Description: value(r.Body.Description)}
	if r.Body.EventTypes != nil {
		w.EventTypes = *r.Body.EventTypes
	}
	secret, err := provider.NewWebhooks(a.provider).Create(ctx, w, c.by(), time.Now())
	if err != nil {
		return nil, err
	}
	made, err := webhookWithSecret(w, secret)
	return api.CreateWebhook201JSONResponse{Body: made, Headers: api.CreateWebhook201ResponseHeaders{Location: a.at("webhooks", w.ID)}}, err
}

// GetWebhook shows a webhook.
func (a apiServer) GetWebhook(ctx context.Context, r api.GetWebhookRequestObject) (api.GetWebhookResponseObject, error) {
	w, err := a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	return api.GetWebhook200JSONResponse(webhookOf(w)), nil
}

// UpdateWebhook changes what is given of a webhook.
func (a apiServer) UpdateWebhook(ctx context.Context, r api.UpdateWebhookRequestObject) (api.UpdateWebhookResponseObject, error) {
	c := callOf(ctx)
	if !provider.MayPush(c.Standing) {
		return nil, errMayNotPush
	}
	w, err := a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	if r.Body.URL != nil {
		w.URL = *r.Body.URL
	}
	if r.Body.Description != nil {
		w.Description = *r.Body.Description
	}
	if r.Body.EventTypes != nil {
		w.EventTypes = *r.Body.EventTypes
	}
	if err := provider.NewWebhooks(a.provider).Update(ctx, w, c.by(), time.Now()); err != nil {
		return nil, err
	}
	w, err = a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	return api.UpdateWebhook200JSONResponse(webhookOf(w)), nil
}

// DeleteWebhook deletes a webhook.
func (a apiServer) DeleteWebhook(ctx context.Context, r api.DeleteWebhookRequestObject) (api.DeleteWebhookResponseObject, error) {
	err := provider.NewWebhooks(a.provider).Delete(ctx, r.WebhookID, callOf(ctx).by(), time.Now())
	return api.DeleteWebhook204Response{}, err
}

// EnableWebhook goes on with a disabled webhook.
func (a apiServer) EnableWebhook(ctx context.Context, r api.EnableWebhookRequestObject) (api.EnableWebhookResponseObject, error) {
	c := callOf(ctx)
	if !provider.MayPush(c.Standing) {
		return nil, errMayNotPush
	}
	err := provider.NewWebhooks(a.provider).Enable(ctx, r.WebhookID, c.by(), time.Now())
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return nil, err
	}
	w, err := a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	return api.EnableWebhook200JSONResponse(webhookOf(w)), nil
}

// DisableWebhook stops pushing to a webhook.
func (a apiServer) DisableWebhook(ctx context.Context, r api.DisableWebhookRequestObject) (api.DisableWebhookResponseObject, error) {
	err := provider.NewWebhooks(a.provider).Disable(ctx, r.WebhookID, callOf(ctx).by(), time.Now())
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return nil, err
	}
	w, err := a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	return api.DisableWebhook200JSONResponse(webhookOf(w)), nil
}

// RotateWebhookSecret gives a webhook another secret.
func (a apiServer) RotateWebhookSecret(ctx context.Context, r api.RotateWebhookSecretRequestObject) (api.RotateWebhookSecretResponseObject, error) {
	secret, err := provider.NewWebhooks(a.provider).RotateSecret(ctx, r.WebhookID, callOf(ctx).by(), time.Now())
	if err != nil {
		return nil, err
	}
	w, err := a.store.Webhook(ctx, r.WebhookID)
	if err != nil {
		return nil, err
	}
	made, err := webhookWithSecret(w, secret)
	return api.RotateWebhookSecret200JSONResponse(made), err
}

// TestWebhook sends a webhook an event to try it.
func (a apiServer) TestWebhook(ctx context.Context, r api.TestWebhookRequestObject) (api.TestWebhookResponseObject, error) {
	d, err := provider.NewWebhooks(a.provider).Test(ctx, r.WebhookID, callOf(ctx).by(), time.Now())
	if err != nil {
		return nil, err
	}
	return api.TestWebhook200JSONResponse(deliveryOf(d)), nil
}

// ListDeliveries lists what a webhook got, or is to get.
func (a apiServer) ListDeliveries(ctx context.Context, r api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	at, err := place[storage.Mark](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	if _, err := a.store.Webhook(ctx, r.WebhookID); err != nil {
		return nil, err
	}
	limit := pageLimit(r.Params.Limit)
	search := storage.DeliverySearch{WebhookID: r.WebhookID, Limit: limit + 1}
	if at != nil {
		search.Before = *at
	}
	if r.Params.Status != nil {
		search.Status = storage.DeliveryStatus(*r.Params.Status)
	}
	found, err := a.store.Deliveries(ctx, search)
	if err != nil {
		return nil, err
	}
	more := len(found) > limit
	found = found[:min(len(found), limit)]
	page := api.ListDeliveries200JSONResponse{Data: []api.Delivery{}}
	for _, d := range found {
		page.Data = append(page.Data, deliveryOf(&d))
	}
	page.NextCursor, err = next(ctx, a, found, more, func(d storage.Delivery) storage.Mark { return d.Mark() })
	return page, err
}

// GetDelivery shows what came of an event at a webhook.
func (a apiServer) GetDelivery(ctx context.Context, r api.GetDeliveryRequestObject) (api.GetDeliveryResponseObject, error) {
	d, err := a.store.Delivery(ctx, r.WebhookID, r.EventID)
	if err != nil {
		return nil, err
	}
	return api.GetDelivery200JSONResponse(deliveryOf(d)), nil
}

// ReplayDelivery sends an event again.
func (a apiServer) ReplayDelivery(ctx context.Context, r api.ReplayDeliveryRequestObject) (api.ReplayDeliveryResponseObject, error) {
	err := provider.NewWebhooks(a.provider).Replay(ctx, r.WebhookID, r.EventID, callOf(ctx).by(), time.Now())
	if err != nil {
		return nil, err
	}
	d, err := a.store.Delivery(ctx, r.WebhookID, r.EventID)
	if err != nil {
		return nil, err
	}
	return api.ReplayDelivery200JSONResponse(deliveryOf(d)), nil
}

// ReplayFailedDeliveries sends again what failed.
func (a apiServer) ReplayFailedDeliveries(ctx context.Context, r api.ReplayFailedDeliveriesRequestObject) (api.ReplayFailedDeliveriesResponseObject, error) {
	n, err := provider.NewWebhooks(a.provider).ReplayFailed(ctx, r.WebhookID, r.Body.Since, callOf(ctx).by(), time.Now())
	if err != nil {
		return nil, err
	}
	return api.ReplayFailedDeliveries200JSONResponse{Count: n}, nil
}

func webhookOf(w *storage.Webhook) api.Webhook {
	shown := api.Webhook{
		ID: w.ID, URL: w.URL, Description: w.Description, EventTypes: append([]string{}, w.EventTypes...), Status: api.WebhookStatus(w.Status),
		FailingSince: orNull(w.FailingSince), PreviousSecretUntil: orNull(w.PreviousSecretUntil),
		CreatedAt: w.CreatedAt.Time(), UpdatedAt: w.UpdatedAt.Time(),
	}
	if why := api.WebhookDisabledReason(w.DisabledReason); why != "" {
		shown.DisabledReason = &why
	}
	return shown
}

func webhookWithSecret(w *storage.Webhook, secret string) (api.WebhookWithSecret, error) {
	return as[api.WebhookWithSecret](struct {
		api.Webhook
		Secret string `json:"secret"`
	}{webhookOf(w), secret})
}

func deliveryOf(d *storage.Delivery) api.Delivery {
	shown := api.Delivery{
		EventID: d.EventID, EventType: string(d.EventType), Status: api.DeliveryStatus(d.Status), Attempts: d.Attempts, Error: d.Error,
		CreatedAt: d.CreatedAt.Time(), DoneAt: orNull(d.DoneAt),
	}
	if d.HTTPStatus != 0 {
		shown.HTTPStatus = &d.HTTPStatus
	}
	if d.Status == storage.DeliveryPending {
		shown.NextAttemptAt = orNull(d.NextAttemptAt)
	}
	return shown
}
