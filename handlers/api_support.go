package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// GetSupportAccess shows what a user says about staff acting as them.
func (a apiServer) GetSupportAccess(ctx context.Context, r api.GetSupportAccessRequestObject) (api.GetSupportAccessResponseObject, error) {
	if _, err := a.reachableUser(ctx, r.UserID); err != nil {
		return nil, err
	}
	shown, err := a.supportAccessOf(ctx, r.UserID)
	return api.GetSupportAccess200JSONResponse(shown), err
}

// SetSupportAccess says it in the user's place.
func (a apiServer) SetSupportAccess(ctx context.Context, r api.SetSupportAccessRequestObject) (api.SetSupportAccessResponseObject, error) {
	if _, err := a.reachableUser(ctx, r.UserID); err != nil {
		return nil, err
	}
	c, now := callOf(ctx), time.Now()
	choice := impersonation.SupportChoice{
		Mode: storage.SupportMode(r.Body.Mode), TicketRef: value(r.Body.TicketRef), For: seconds(r.Body.ExpiresInSeconds),
	}
	if err := a.directoryOf(c).SetSupportAccess(ctx, a.provider.Impersonation, r.UserID, choice, c.by(), now); err != nil {
		return nil, err
	}
	shown, err := a.supportAccessOf(ctx, r.UserID)
	return api.SetSupportAccess200JSONResponse(shown), err
}

// supportAccessOf is what a user says, or somebody in their place.
func (a apiServer) supportAccessOf(ctx context.Context, userID string) (api.SupportAccess, error) {
	shown := api.SupportAccess{Mode: api.SupportAccessModeNone, Requests: []api.SupportRequest{}}
	_, said, err := a.store.ImpersonationTerms(ctx, userID)
	if err != nil {
		return shown, err
	}
	requests, err := a.store.SupportRequests(ctx, userID, pageSize)
	if err == nil {
		requests, err = a.reachableRequests(ctx, userID, requests)
	}
	if err != nil {
		return shown, err
	}
	if said != nil {
		shown.Mode, shown.TicketRef, shown.SetBy = api.SupportAccessMode(said.Mode), unlessEmpty(said.TicketRef), unlessEmpty(said.SetBy)
		shown.ExpiresAt, shown.UpdatedAt = orNull(said.ExpiresAt), orNull(said.UpdatedAt)
	}
	now := time.Now()
	for _, request := range requests {
		shown.Requests = append(shown.Requests, supportRequestOf(&request, now))
	}
	return shown, nil
}

// reachableRequests leaves of what a user was asked what the caller may know. Requests
// are of no organization: of a user of several, one that is limited to one of these
// sees what its own members asked (SECURITY F08).
func (a apiServer) reachableRequests(ctx context.Context, userID string, asked []storage.SupportRequest) ([]storage.SupportRequest, error) {
	c := callOf(ctx)
	if c.Organization == "" || len(asked) == 0 {
		return asked, nil
	}
	who := []string{userID}
	for _, r := range asked {
		who = append(who, r.ActorID)
	}
	of, err := a.store.OrganizationsOf(ctx, who)
	if err != nil || len(of[userID]) < 2 {
		return asked, err
	}
	return slices.DeleteFunc(asked, func(r storage.SupportRequest) bool {
		return !slices.ContainsFunc(of[r.ActorID], func(o storage.Organization) bool { return o.ID == c.Organization })
	}), nil
}

// GetSupportRequest shows what a user was asked.
func (a apiServer) GetSupportRequest(ctx context.Context, r api.GetSupportRequestRequestObject) (api.GetSupportRequestResponseObject, error) {
	if _, err := a.reachableUser(ctx, r.UserID); err != nil {
		return nil, err
	}
	request, err := a.store.SupportRequest(ctx, r.RequestID)
	if err == nil && request.UserID != r.UserID {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	reachable, err := a.reachableRequests(ctx, r.UserID, []storage.SupportRequest{*request})
	if err == nil && len(reachable) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return api.GetSupportRequest200JSONResponse(supportRequestOf(request, time.Now())), nil
}

// RequestSupportAccess asks a user, on behalf of somebody who may sign in as them.
func (a apiServer) RequestSupportAccess(ctx context.Context, r api.RequestSupportAccessRequestObject) (api.RequestSupportAccessResponseObject, error) {
	if _, err := a.reachableUser(ctx, r.UserID); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	ask := impersonation.Ask{
		Actor: &storage.User{ID: r.Body.ActorID}, Caller: &impersonation.Caller{ID: c.ID, Standing: c.Standing},
		SubjectID: r.UserID, Reason: r.Body.Reason, TicketRef: value(r.Body.TicketRef),
	}
	if r.Body.ClientID != nil {
		var err error
		if ask.Client, err = a.namedClient(ctx, *r.Body.ClientID); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	request, err := a.provider.Impersonation.RequestSupport(ctx, ask, c.request, now)
	if err != nil {
		return nil, provider.Malformed(err)
	}
	return api.RequestSupportAccess201JSONResponse{Body: supportRequestOf(request, now), Headers: api.RequestSupportAccess201ResponseHeaders{Location: a.at("users", r.UserID, "support-access", "requests", request.ID)}}, nil
}

func supportRequestOf(r *storage.SupportRequest, now time.Time) api.SupportRequest {
	shown := api.SupportRequest{
		ID: r.ID, UserID: r.UserID, ActorID: r.ActorID, ClientID: unlessEmpty(r.ClientID), Reason: r.Reason, TicketRef: unlessEmpty(r.TicketRef),
		Status: api.SupportRequestStatus(r.Status), CreatedAt: r.CreatedAt.Time(), ExpiresAt: r.ExpiresAt.Time(), DecidedAt: orNull(r.DecidedAt),
	}
	if r.Status == "pending" && !r.Pending(now) {
		shown.Status = api.SupportRequestStatusExpired
	}
	return shown
}

// supportFieldError says at the member of a request what is wrong with what is to be said.
func supportFieldError(p impersonation.SupportProblem) *problemErr {
	switch p {
	case impersonation.ProblemTicketRef:
		return invalidField("ticket_ref", "want a ticket reference, of the form that is configured")
	case impersonation.ProblemHours:
		return invalidField("expires_in_seconds", "want 3600 to 604800")
	}
	return invalidField(string(p), "is none that can be said")
}
