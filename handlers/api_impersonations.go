package handlers

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// ListImpersonations lists who acted as whom, as far as the caller may know.
func (a apiServer) ListImpersonations(ctx context.Context, r api.ListImpersonationsRequestObject) (api.ListImpersonationsResponseObject, error) {
	p, now := r.Params, time.Now()
	list := storage.ImpersonationPage{
		Actor: value(p.ActorID), Subject: value(p.UserID), Client: value(p.ClientID), Organization: value(p.OrganizationID),
		Running: value(p.Status) == api.ListImpersonationsParamsStatusRunning, Over: value(p.Status) == api.ListImpersonationsParamsStatusEnded,
		Limit: pageLimit(p.Limit),
	}
	if c := callOf(ctx); c.Organization != "" {
		if list.Organization != "" && list.Organization != c.Organization {
			return nil, storage.ErrNotFound
		}
		list.Organization = c.Organization
	}
	var err error
	if list.At, err = place[storage.Mark](ctx, a, p.Cursor); err != nil {
		return nil, err
	}
	found, more, err := a.store.ImpersonationPage(ctx, list, now)
	if err != nil {
		return nil, err
	}
	page := api.ListImpersonations200JSONResponse{Data: []api.Impersonation{}}
	for _, i := range found {
		page.Data = append(page.Data, impersonationOf(&i, now))
	}
	page.NextCursor, err = next(ctx, a, found, more, func(i storage.Impersonation) storage.Mark {
		return storage.Mark{Time: i.StartedAt, ID: i.ID}
	})
	return page, err
}

// GetImpersonation shows who acted as whom.
func (a apiServer) GetImpersonation(ctx context.Context, r api.GetImpersonationRequestObject) (api.GetImpersonationResponseObject, error) {
	i, err := a.reachableImpersonation(ctx, r.ImpersonationID, impersonation.PermissionRead)
	if err != nil {
		return nil, err
	}
	return api.GetImpersonation200JSONResponse(impersonationOf(i, time.Now())), nil
}

// StopImpersonation ends one.
func (a apiServer) StopImpersonation(ctx context.Context, r api.StopImpersonationRequestObject) (api.StopImpersonationResponseObject, error) {
	i, err := a.reachableImpersonation(ctx, r.ImpersonationID, impersonation.PermissionStopAny)
	if err != nil {
		return nil, err
	}
	by, now := callOf(ctx).by(), time.Now()
	by.Reason = storage.EndStopped
	if err := a.provider.Impersonation.End(ctx, i.ID, by, now); err != nil {
		return nil, err
	}
	if i, err = a.store.Impersonation(ctx, i.ID); err != nil {
		return nil, err
	}
	return api.StopImpersonation200JSONResponse(impersonationOf(i, now)), nil
}

// StopAllImpersonations ends every one.
func (a apiServer) StopAllImpersonations(
	ctx context.Context, _ api.StopAllImpersonationsRequestObject,
) (api.StopAllImpersonationsResponseObject, error) {
	by := callOf(ctx).by()
	by.Reason = storage.EndStopped
	return api.StopAllImpersonations204Response{}, a.provider.Impersonation.EndAll(ctx, by, time.Now())
}

// reachableImpersonation returns one over which the caller holds a permission.
func (a apiServer) reachableImpersonation(ctx context.Context, id, permission string) (*storage.Impersonation, error) {
	i, err := a.store.Impersonation(ctx, id)
	if err == nil && !callOf(ctx).Standing.May(permission, i.OrganizationID) {
		err = storage.ErrNotFound
	}
	return i, err
}

func impersonationOf(i *storage.Impersonation, now time.Time) api.Impersonation {
	shown := api.Impersonation{
		ID: i.ID, Status: api.ImpersonationStatusEnded, ActorID: i.ActorID, UserID: i.SubjectID, ClientID: i.ClientID,
		OrganizationID: unlessEmpty(i.OrganizationID), Entry: api.ImpersonationEntry(i.Entry), TicketID: unlessEmpty(i.TicketID), CreatedBy: unlessEmpty(i.CreatedBy),
		Reason: i.Reason, TicketRef: unlessEmpty(i.TicketRef), Access: api.Access(i.Access),
		StartedAt: i.StartedAt.Time(), ExpiresAt: i.ExpiresAt.Time(), EndedAt: orNull(i.EndedAt),
		EndedBy: unlessEmpty(i.EndedBy),
	}
	if i.Running(now) {
		shown.Status = api.ImpersonationStatusRunning
	}
	if why := api.ImpersonationEndReason(i.EndReason); why != "" {
		shown.EndReason = &why
	}
	if binding := api.ImpersonationBinding(i.Binding); binding != "" {
		shown.Binding = &binding
	}
	return shown
}
