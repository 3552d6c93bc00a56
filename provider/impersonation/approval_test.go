package impersonation

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// T30: who may decide about a request for approval. Each row changes one thing about
// somebody who may.
func TestMayDecide(t *testing.T) {
	limits := New(nil, Limits{}).Limits()
	type decision struct {
		request storage.Approval
		by      Approver
		behind  []string
		limits  *Limits
	}
	program := func(d *decision) { d.by.ID, d.by.User, d.by.AuthTime = "key_1", nil, time.Time{} }
	for _, r := range []struct {
		name   string
		change func(*decision)
		want   error
	}{
		{"nothing", func(*decision) {}, nil},
		{"their own request", func(d *decision) { d.by.ID = "usr_sam" }, RefuseOwn},
		{"a request that they made for the actor", func(d *decision) { d.request.RequestedBy = "usr_olga" }, RefuseOwn},
		{"a request about them", func(d *decision) { d.by.ID = "usr_ada" }, RefuseSubject},
		{"no permission", func(d *decision) { d.by.Standing.Everywhere = storage.List{PermissionStart, PermissionPrivileged} }, storage.ErrNotFound},
		{"disabled", func(d *decision) { d.by.User.Status = storage.UserDisabled }, storage.ErrNotFound},
		{"within the organization", func(d *decision) {
			d.by.Standing = storage.Standing{Within: map[string]storage.List{"org_globex": {PermissionApprove}}}
		}, nil},
		{"within another organization", func(d *decision) {
			d.by.Standing = storage.Standing{Within: map[string]storage.List{"org_initech": {PermissionApprove}}}
		}, storage.ErrNotFound},
		{"within an organization, about somebody of none", func(d *decision) {
			d.request.OrganizationID = ""
			d.by.Standing = storage.Standing{Within: map[string]storage.List{"org_globex": {PermissionApprove}, "": nil}}
		}, storage.ErrNotFound},
		{"acting", func(d *decision) { d.by.Acting = true }, RefuseActing},
		{"password five minutes ago", func(d *decision) { d.by.AuthTime = t0.Add(-5 * time.Minute) }, nil},
		{"password longer ago", func(d *decision) { d.by.AuthTime = t0.Add(-5*time.Minute - 1) }, RefuseStepUp},
		{"password never", func(d *decision) { d.by.AuthTime = time.Time{} }, RefuseStepUp},
		{"password longer ago, asked about afterwards", func(d *decision) { d.by.AuthTime, d.limits = t0.Add(-time.Hour), nil }, nil},
		{"acting, asked about afterwards", func(d *decision) { d.by.Acting, d.limits = true, nil }, nil},
		{"no permission, asked about afterwards", func(d *decision) { d.by.Standing, d.limits = storage.Standing{}, nil }, storage.ErrNotFound},
		{"their own request, asked about afterwards", func(d *decision) { d.request.ActorID, d.limits = "usr_olga", nil }, RefuseOwn},

		{"a program", program, nil},
		{"the program that asked", func(d *decision) { program(d); d.request.RequestedBy = "key_1" }, RefuseOwn},
		{"who made the key that asked", func(d *decision) { d.behind = []string{"key_1", "usr_olga"} }, RefuseOwn},
		{"who made another key", func(d *decision) { d.behind = []string{"key_1", "usr_root"} }, nil},
		{"a program whose key was made by who made the one that asked", func(d *decision) {
			program(d)
			d.by.Behind, d.behind = []string{"usr_root"}, []string{"key_2", "usr_root"}
		}, RefuseKeyOf},
		{"a program that asks with what it approved", func(d *decision) { program(d); d.behind, d.limits = []string{"key_1"}, nil }, RefuseOwn},
		{"a program without the permission", func(d *decision) { program(d); d.by.Standing = storage.Standing{} }, storage.ErrNotFound},
		{"a program whose key the actor made", func(d *decision) { program(d); d.by.Behind = []string{"usr_sam"} }, RefuseKeyOf},
		{"a program whose key the subject made", func(d *decision) { program(d); d.by.Behind = []string{"usr_ada"} }, RefuseKeyOf},
		{"a program whose key somebody else made", func(d *decision) { program(d); d.by.Behind = []string{"usr_root"} }, nil},
		{"a program whose key the actor made, asked about afterwards", func(d *decision) { program(d); d.by.Behind, d.limits = []string{"usr_sam"}, nil }, RefuseKeyOf},
	} {
		t.Run(r.name, func(t *testing.T) {
			d := decision{
				request: storage.Approval{ID: "apr_1", ActorID: "usr_sam", SubjectID: "usr_ada", OrganizationID: "org_globex"},
				by: Approver{
					ID: "usr_olga", User: &storage.User{ID: "usr_olga", Status: storage.UserActive},
					Standing: storage.Standing{Everywhere: storage.List{PermissionApprove}}, AuthTime: t0.Add(-time.Minute),
				},
				limits: &limits,
			}
			r.change(&d)
			if got := MayDecide(&d.request, d.by, d.behind, d.limits, t0); !errors.Is(got, r.want) || r.want == nil && got != nil {
				t.Errorf("got %v, want %v", got, r.want)
			}
		})
	}
}
