package handlers

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// ListOrganizations lists the organizations within reach of the caller.
func (a apiServer) ListOrganizations(ctx context.Context, r api.ListOrganizationsRequestObject) (api.ListOrganizationsResponseObject, error) {
	search := storage.OrganizationPage{Limit: pageLimit(r.Params.Limit), Only: callOf(ctx).Organization}
	var err error
	if search.At, err = place[storage.KeyPlace](ctx, a, r.Params.Cursor); err != nil {
		return nil, err
	}
	found, more, err := a.store.OrganizationPage(ctx, search)
	if err != nil {
		return nil, err
	}
	page := api.ListOrganizations200JSONResponse{Data: []api.Organization{}}
	for _, o := range found {
		page.Data = append(page.Data, organizationOf(&o))
	}
	page.NextCursor, err = next(ctx, a, found, more, func(o storage.Organization) storage.KeyPlace { return storage.KeyPlace{Key: o.Name, ID: o.ID} })
	return page, err
}

// CreateOrganization adds an organization.
func (a apiServer) CreateOrganization(ctx context.Context, r api.CreateOrganizationRequestObject) (api.CreateOrganizationResponseObject, error) {
	c := callOf(ctx)
	o := &storage.Organization{ID: value(r.Body.ID), Name: r.Body.Name}
	if err := a.directoryOf(c).CreateOrganization(ctx, o, c.by(), time.Now()); err != nil {
		return nil, err
	}
	return api.CreateOrganization201JSONResponse{Body: organizationOf(o), Headers: api.CreateOrganization201ResponseHeaders{Location: a.at("organizations", o.ID)}}, nil
}

// GetOrganization shows an organization.
func (a apiServer) GetOrganization(ctx context.Context, r api.GetOrganizationRequestObject) (api.GetOrganizationResponseObject, error) {
	o, err := a.reachableOrganization(ctx, r.OrganizationID)
	if err != nil {
		return nil, err
	}
	return api.GetOrganization200JSONResponse(organizationOf(o)), nil
}

// RenameOrganization changes an organization's name.
func (a apiServer) RenameOrganization(ctx context.Context, r api.RenameOrganizationRequestObject) (api.RenameOrganizationResponseObject, error) {
	o, err := a.reachableOrganization(ctx, r.OrganizationID)
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	if err := a.directoryOf(c).RenameOrganization(ctx, o.ID, r.Body.Name, c.by(), time.Now()); err != nil {
		return nil, err
	}
	if o, err = a.reachableOrganization(ctx, o.ID); err != nil {
		return nil, err
	}
	return api.RenameOrganization200JSONResponse(organizationOf(o)), nil
}

// DeleteOrganization removes an organization.
func (a apiServer) DeleteOrganization(ctx context.Context, r api.DeleteOrganizationRequestObject) (api.DeleteOrganizationResponseObject, error) {
	c := callOf(ctx)
	return api.DeleteOrganization204Response{}, a.directoryOf(c).DeleteOrganization(ctx, r.OrganizationID, c.by(), time.Now())
}

// ListMembers lists the members of an organization.
func (a apiServer) ListMembers(ctx context.Context, r api.ListMembersRequestObject) (api.ListMembersResponseObject, error) {
	if err := reachesOrganization(ctx, r.OrganizationID); err != nil {
		return nil, err
	}
	at, err := place[storage.KeyPlace](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	found, more, err := a.store.MemberPage(ctx, storage.MemberPage{Organization: r.OrganizationID, At: at, Limit: pageLimit(r.Params.Limit)})
	if err == nil && len(found) == 0 { // also what an organization has that is not there
		_, err = a.reachableOrganization(ctx, r.OrganizationID)
	}
	if err != nil {
		return nil, err
	}
	page := api.ListMembers200JSONResponse{Data: []api.Member{}}
	for _, m := range found {
		page.Data = append(page.Data, memberOf(&m))
	}
	page.NextCursor, err = next(ctx, a, found, more, func(m storage.JoinedMember) storage.KeyPlace { return storage.KeyPlace{ID: m.ID} })
	return page, err
}

// GetMember shows a member.
func (a apiServer) GetMember(ctx context.Context, r api.GetMemberRequestObject) (api.GetMemberResponseObject, error) {
	if err := reachesOrganization(ctx, r.OrganizationID); err != nil {
		return nil, err
	}
	m, err := a.store.MemberOf(ctx, r.OrganizationID, r.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetMember200JSONResponse(memberOf(m)), nil
}

// SetMember makes a user a member, or changes the role of one. Whoever is limited to
// an organization finds only users who are members of it already.
func (a apiServer) SetMember(ctx context.Context, r api.SetMemberRequestObject) (api.SetMemberResponseObject, error) {
	err := a.changeMember(ctx, r.OrganizationID, r.UserID, func(d *provider.Directory, by storage.Cause, now time.Time) error {
		return d.AddMember(ctx, r.OrganizationID, r.UserID, value(r.Body.Role), by, now)
	})
	if err != nil {
		return nil, err
	}
	m, err := a.store.MemberOf(ctx, r.OrganizationID, r.UserID)
	if err != nil {
		return nil, err
	}
	return api.SetMember200JSONResponse(memberOf(m)), nil
}

// RemoveMember ends a membership.
func (a apiServer) RemoveMember(ctx context.Context, r api.RemoveMemberRequestObject) (api.RemoveMemberResponseObject, error) {
	err := a.changeMember(ctx, r.OrganizationID, r.UserID, func(d *provider.Directory, by storage.Cause, now time.Time) error {
		return d.RemoveMember(ctx, r.OrganizationID, r.UserID, by, now)
	})
	return api.RemoveMember204Response{}, err
}

func (a apiServer) changeMember(
	ctx context.Context, organization, user string, change func(d *provider.Directory, by storage.Cause, now time.Time) error,
) error {
	if _, err := a.reachableOrganization(ctx, organization); err != nil {
		return err
	}
	if _, err := a.reachableUser(ctx, user); err != nil {
		return err
	}
	c := callOf(ctx)
	return change(a.directoryOf(c), c.by(), time.Now())
}

// reachableOrganization returns an organization that the caller reaches. By its name it
// is none.
func (a apiServer) reachableOrganization(ctx context.Context, id string) (*storage.Organization, error) {
	if err := reachesOrganization(ctx, id); err != nil {
		return nil, err
	}
	o, err := a.store.Organization(ctx, id)
	if err == nil && o.ID != id {
		err = storage.ErrNotFound
	}
	return o, err
}

// reachesOrganization reports whether the caller is not limited to another organization.
func reachesOrganization(ctx context.Context, id string) error {
	if c := callOf(ctx); c.Organization != "" && c.Organization != id {
		return storage.ErrNotFound
	}
	return nil
}

func organizationOf(o *storage.Organization) api.Organization {
	return api.Organization{ID: o.ID, Name: o.Name, CreatedAt: o.CreatedAt.Time()}
}

func memberOf(m *storage.JoinedMember) api.Member {
	return api.Member{
		UserID: m.ID, Email: m.Email, Name: m.Name, Status: api.MemberStatus(m.Status), Role: unlessEmpty(m.Role), JoinedAt: m.JoinedAt.Time(),
	}
}
