package handlers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// ListTickets lists the tickets within reach of the caller.
func (a apiServer) ListTickets(ctx context.Context, r api.ListTicketsRequestObject) (api.ListTicketsResponseObject, error) {
	at, err := place[storage.Mark](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tickets, more, err := a.store.Tickets(ctx, storage.TicketSearch{
		Status: storage.TicketStatus(value(r.Params.Status)), Subject: value(r.Params.UserID), Actor: value(r.Params.ActorID), Client: value(r.Params.ClientID),
		Organization: callOf(ctx).Organization, At: at, Limit: pageLimit(r.Params.Limit),
	}, now)
	if err != nil {
		return nil, err
	}
	page := api.ListTickets200JSONResponse{Data: []api.Ticket{}}
	for _, t := range tickets {
		page.Data = append(page.Data, ticketOf(&t, now))
	}
	page.NextCursor, err = next(ctx, a, tickets, more, func(t storage.Ticket) storage.Mark {
		return storage.Mark{Time: t.CreatedAt, ID: t.ID}
	})
	return page, err
}

// CreateTicket asks for a ticket in an actor's place.
func (a apiServer) CreateTicket(ctx context.Context, r api.CreateTicketRequestObject) (api.CreateTicketResponseObject, error) {
	c, b, now := callOf(ctx), r.Body, time.Now()
	id := cmp.Or(value(b.ClientID), c.ClientID)
	if id == "" {
		return nil, invalidField("client_id", "is missing, and the caller speaks for none")
	}
	client, err := a.namedClient(ctx, id)
	if err != nil {
		return nil, err
	}
	q := provider.TicketRequest{
		ActorID: b.Actor.Sub, SubjectID: b.UserID, Client: client, Organization: cmp.Or(value(b.Organization), c.Organization), Reason: b.Reason, TicketRef: value(b.TicketRef),
		Access: impersonation.Access(value(b.Access)), Binding: string(value(b.Binding)), TargetLinkURI: value(b.TargetLinkURI),
		ExpiresIn: seconds(b.ExpiresInSeconds), Duration: seconds(b.SessionMaxDurationInSeconds), ValidateConsent: value(b.ValidateConsent),
		Callback: provider.CallbackChoice{
			RedirectURI: value(b.CallbackURL), ResponseType: value(b.ResponseType), ResponseMode: string(value(b.ResponseMode)),
			State: value(b.State), Scope: value(b.Scope),
		},
	}
	if b.CustomClaims != nil {
		decoder := json.NewDecoder(bytes.NewReader(*b.CustomClaims))
		decoder.UseNumber()
		if err := decoder.Decode(&q.CustomClaims); err != nil {
			return nil, invalidField("custom_claims", "is no object")
		}
	}
	t, token, err := a.provider.CreateTicket(ctx, impersonation.Caller{ID: c.ID, Standing: c.Standing}, q, c.request, now)
	if err != nil {
		return nil, err
	}
	made, err := as[api.TicketWithToken](ticketOf(t, now))
	made.Token, made.URL = token, a.ticketURL(token)
	return api.CreateTicket201JSONResponse{Body: made, Headers: api.CreateTicket201ResponseHeaders{Location: a.at("tickets", t.ID)}}, err
}

// GetTicket shows a ticket.
func (a apiServer) GetTicket(ctx context.Context, r api.GetTicketRequestObject) (api.GetTicketResponseObject, error) {
	t, err := a.ticket(ctx, r.TicketID, impersonation.PermissionRead)
	if err != nil {
		return nil, err
	}
	return api.GetTicket200JSONResponse(ticketOf(t, time.Now())), nil
}

// RevokeTicket ends a ticket that is pending.
func (a apiServer) RevokeTicket(ctx context.Context, r api.RevokeTicketRequestObject) (api.RevokeTicketResponseObject, error) {
	now := time.Now()
	t, err := a.ticket(ctx, r.TicketID, impersonation.PermissionStart)
	if err != nil {
		return nil, err
	}
	if err := a.provider.Impersonation.Revoke(ctx, t, callOf(ctx).by(), now); err != nil {
		return nil, err
	}
	if t, err = a.store.TicketNamed(ctx, t.ID); err != nil {
		return nil, err
	}
	return api.RevokeTicket200JSONResponse(ticketOf(t, now)), nil
}

// ticket returns a ticket for which the caller has the permission.
func (a apiServer) ticket(ctx context.Context, id, permission string) (*storage.Ticket, error) {
	t, err := a.store.TicketNamed(ctx, id)
	if err == nil && !callOf(ctx).Standing.May(permission, t.OrganizationID) {
		err = storage.ErrNotFound
	}
	return t, err
}

func ticketOf(t *storage.Ticket, now time.Time) api.Ticket {
	shown := api.Ticket{
		ID: t.ID, Status: api.TicketStatus(t.Status(now)), UserID: t.SubjectID, ClientID: t.ClientID, Organization: unlessEmpty(t.OrganizationID),
		Reason: t.Reason, TicketRef: unlessEmpty(t.TicketRef), Access: api.Access(t.Access), Binding: api.TicketBinding(t.Binding),
		SessionMaxDurationInSeconds: int(t.Duration / int64(time.Second/time.Microsecond)), ValidateConsent: t.ValidateConsent, CallbackURL: unlessEmpty(t.RedirectURI),
		TargetLinkURI: unlessEmpty(t.TargetLinkURI), CustomClaims: json.RawMessage("{}"), ImpersonationID: unlessEmpty(t.ImpersonationID),
		CreatedBy: unlessEmpty(t.CreatedBy), CreatedAt: t.CreatedAt.Time(), UpdatedAt: t.UpdatedAt.Time(), ExpiresAt: t.ExpiresAt.Time(),
	}
	shown.Actor.Sub = t.ActorID
	if t.CustomClaims != "" {
		shown.CustomClaims = json.RawMessage(t.CustomClaims)
	}
	return shown
}

func seconds(n *int) time.Duration { return time.Duration(value(n)) * time.Second }
