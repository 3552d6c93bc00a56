package handlers

import (
	"cmp"
	"context"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// ListApprovals lists the requests for approval within reach of the caller.
func (a apiServer) ListApprovals(ctx context.Context, r api.ListApprovalsRequestObject) (api.ListApprovalsResponseObject, error) {
	at, err := place[storage.Mark](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	f := storage.ApprovalFilter{Actor: value(r.Params.ActorID), Limit: pageLimit(r.Params.Limit) + 1}
	switch status := value(r.Params.Status); status {
	case api.ApprovalStatusExpired:
		f.Over = true
	case api.ApprovalStatusPending, api.ApprovalStatusApproved:
		f.Status, f.Live = storage.ApprovalStatus(status), true
	default:
		f.Status = storage.ApprovalStatus(status)
	}
	if organization := callOf(ctx).Organization; organization != "" {
		f.Organizations = []string{organization}
	}
	if at != nil {
		f.Before = *at
	}
	found, err := a.store.Approvals(ctx, f, now)
	if err != nil {
		return nil, err
	}
	more := len(found) == f.Limit
	found = found[:min(len(found), f.Limit-1)]
	page := api.ListApprovals200JSONResponse{Data: []api.Approval{}}
	for _, one := range found {
		page.Data = append(page.Data, approvalOf(&one, now))
	}
	page.NextCursor, err = next(ctx, a, found, more, func(one storage.Approval) storage.Mark {
		return storage.Mark{Time: one.CreatedAt, ID: one.ID}
	})
	return page, err
}

// CreateApproval asks for approval in an actor's place.
func (a apiServer) CreateApproval(ctx context.Context, r api.CreateApprovalRequestObject) (api.CreateApprovalResponseObject, error) {
	c, b, now := callOf(ctx), r.Body, time.Now()
	client, err := a.namedClient(ctx, b.ClientID)
	if err != nil {
		return nil, err
	}
	request, err := a.provider.Impersonation.RequestApproval(ctx, impersonation.Ask{
		Actor: &storage.User{ID: b.Actor.Sub}, Caller: &impersonation.Caller{ID: c.ID, Standing: c.Standing}, Client: client, SubjectID: b.UserID,
		Organization: cmp.Or(value(b.Organization), c.Organization), Reason: b.Reason, TicketRef: value(b.TicketRef),
		Access:   impersonation.Access(cmp.Or(value(b.Access), api.Access(impersonation.ReadOnly))),
		Duration: cmp.Or(seconds(b.SessionMaxDurationInSeconds), a.provider.Impersonation.Limits().DefaultDuration), Entry: "api",
	}, c.request, now)
	if err != nil {
		return nil, provider.Malformed(err)
	}
	return api.CreateApproval201JSONResponse{Body: approvalOf(request, now), Headers: api.CreateApproval201ResponseHeaders{Location: a.at("approvals", request.ID)}}, nil
}

// GetApproval shows a request for approval.
func (a apiServer) GetApproval(ctx context.Context, r api.GetApprovalRequestObject) (api.GetApprovalResponseObject, error) {
	one, err := a.store.Approval(ctx, r.ApprovalID)
	if err == nil && !callOf(ctx).Standing.May(impersonation.PermissionRead, one.OrganizationID) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return api.GetApproval200JSONResponse(approvalOf(one, time.Now())), nil
}

// ApproveApproval approves a request as the caller.
func (a apiServer) ApproveApproval(ctx context.Context, r api.ApproveApprovalRequestObject) (api.ApproveApprovalResponseObject, error) {
	one, err := a.decide(ctx, r.ApprovalID, true, r.Body)
	return api.ApproveApproval200JSONResponse(one), err
}

// DenyApproval denies a request as the caller.
func (a apiServer) DenyApproval(ctx context.Context, r api.DenyApprovalRequestObject) (api.DenyApprovalResponseObject, error) {
	one, err := a.decide(ctx, r.ApprovalID, false, r.Body)
	return api.DenyApproval200JSONResponse(one), err
}

func (a apiServer) decide(ctx context.Context, id string, approved bool, body *api.ApprovalDecision) (api.Approval, error) {
	c, now := callOf(ctx), time.Now()
	if body == nil {
		body = &api.ApprovalDecision{}
	}
	note, ok := impersonation.CleanNote(value(body.Note))
	if !ok {
		return api.Approval{}, invalidField("note", "has at most 500 characters, and none that cannot be shown")
	}
	by := impersonation.Approver{ID: c.ID, Standing: c.Standing}
	one, err := a.provider.Impersonation.DecideApproval(ctx, id, approved, note, by, c.request, now)
	if err != nil {
		return api.Approval{}, err
	}
	return approvalOf(one, now), nil
}

func approvalOf(a *storage.Approval, now time.Time) api.Approval {
	shown := api.Approval{
		ID: a.ID, Status: api.ApprovalStatus(a.Status), UserID: a.SubjectID, ClientID: a.ClientID, Organization: unlessEmpty(a.OrganizationID),
		Reason: a.Reason, TicketRef: unlessEmpty(a.TicketRef), Access: api.Access(a.Access), SessionMaxDurationInSeconds: int(lasts(a) / time.Second),
		Rule: unlessEmpty(a.Rule), RequestedBy: unlessEmpty(a.RequestedBy), DecidedBy: unlessEmpty(a.DecidedBy), DecidedByKey: a.ByCaller,
		Note: unlessEmpty(a.Note), ImpersonationID: unlessEmpty(a.ImpersonationID), CreatedAt: a.CreatedAt.Time(), DecidedAt: orNull(a.DecidedAt), ExpiresAt: a.ExpiresAt.Time(),
	}
	shown.Actor.Sub = a.ActorID
	if a.Expired(now) {
		shown.Status = api.ApprovalStatusExpired
	}
	return shown
}
