package handlers

import (
	"context"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// eventPlace is where a list of events goes on.
type eventPlace struct{ From int64 }

// ListEvents lists events in the order of their places in the tree.
func (a apiServer) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	at, err := place[eventPlace](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := pageLimit(r.Params.Limit)
	feed := storage.EventFeed{
		ActorID: value(r.Params.Actor), SubjectID: value(r.Params.Subject),
		ClientID: value(r.Params.Client), OrganizationID: value(r.Params.Organization), ImpersonationID: value(r.Params.Impersonation),
		Since: given(r.Params.Since), Until: given(r.Params.Until), Limit: limit + 1,
	}
	if kind := value(r.Params.Type); kind != "" {
		feed.Types = []storage.EventType{storage.EventType(kind)}
	}
	if only := callOf(ctx).Organization; only != "" {
		if feed.OrganizationID != "" && feed.OrganizationID != only {
			return nil, storage.ErrNotFound
		}
		feed.OrganizationID = only
	}
	switch {
	case at != nil:
		feed.From = at.From
	case r.Params.After != nil:
		e, err := a.reachableEvent(ctx, *r.Params.After)
		if err != nil {
			return nil, err
		}
		if e.Position == nil {
			return nil, invalidField("after", "this event has no place yet; ask again in a second")
		}
		feed.From = *e.Position + 1
	}
	events, err := a.store.EventFeed(ctx, feed)
	if err != nil {
		return nil, err
	}
	more := len(events) > limit
	events = events[:min(len(events), limit)]
	page := api.ListEvents200JSONResponse{Data: []api.Event{}}
	for _, e := range events {
		page.Data = append(page.Data, eventOf(&e))
	}
	page.NextCursor, err = next(ctx, a, events, more, func(e storage.Event) eventPlace { return eventPlace{*e.Position + 1} })
	return page, err
}

// GetEvent shows an event.
func (a apiServer) GetEvent(ctx context.Context, r api.GetEventRequestObject) (api.GetEventResponseObject, error) {
	e, err := a.reachableEvent(ctx, r.EventID)
	if err != nil {
		return nil, err
	}
	return api.GetEvent200JSONResponse(eventOf(e)), nil
}

// reachableEvent returns an event that the caller may read. Whoever is limited to an
// organization does not learn that others are there (SECURITY F08).
func (a apiServer) reachableEvent(ctx context.Context, id string) (*storage.Event, error) {
	e, err := a.store.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	if only := callOf(ctx).Organization; only != "" && e.OrganizationID != only {
		return nil, storage.ErrNotFound
	}
	return e, nil
}

// eventOf says an event to programs. One whose private part is damaged is told without
// it: verifying the record says so.
func eventOf(e *storage.Event) api.Event {
	m, _ := provider.EventMessageOf(e)
	shown := api.Event{
		ID: m.ID, Type: m.Type, Time: m.Time, Actor: unlessEmpty(m.Actor), Subject: unlessEmpty(m.Subject), Client: unlessEmpty(m.Client),
		Organization: unlessEmpty(m.Organization), Impersonation: unlessEmpty(m.Impersonation), Reason: unlessEmpty(m.Reason),
		TicketRef: unlessEmpty(m.TicketRef), IP: unlessEmpty(m.IP), UserAgent: unlessEmpty(m.UserAgent), RequestID: unlessEmpty(m.RequestID), Data: m.Data,
	}
	if m.Impersonator != nil {
		shown.Impersonator = &api.Impersonator{Email: m.Impersonator.Email, Reason: m.Impersonator.Reason}
	}
	return shown
}
