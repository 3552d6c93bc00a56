package storage

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// What takes the ground away from whoever wants to act also takes back what they asked for
// and did not start, on the record.
func TestWithdrawStarts(t *testing.T) {
	by := Cause{By: "usr_root", Request: Request{ID: "req_1"}}
	own := Cause{By: "usr_sam", Request: Request{ID: "req_1"}}
	ofSam := []string{"apr_given", "apr_sam", "tkt_kept", "tkt_sam"}
	everywhere := []string{"apr_given", "apr_grace", "apr_sam", "tkt_grace", "tkt_kept", "tkt_sam"}
	for name, test := range map[string]struct {
		end  func(ctx context.Context, tx *Tx) error
		by   string
		want []string
	}{
		"actor's password": {func(ctx context.Context, tx *Tx) error { return tx.SetPassword(ctx, "usr_sam", "hash", by, t0) }, "usr_root", ofSam},
		"in a sign-in": {func(ctx context.Context, tx *Tx) error {
			return tx.SetPasswordIn(ctx, "usr_sam", "hash", "sid_sam", own, t0)
		}, "usr_sam", ofSam},
		"subject's password": {func(ctx context.Context, tx *Tx) error { return tx.SetPassword(ctx, "usr_ada", "hash", by, t0) }, "usr_root", everywhere},
		"actor disabled":     {func(ctx context.Context, tx *Tx) error { return tx.DisableUser(ctx, "usr_sam", by, t0) }, "usr_root", ofSam},
		"signed out of all":  {func(ctx context.Context, tx *Tx) error { return tx.EndWithoutLogin(ctx, "usr_sam", "", by, t0) }, "usr_root", ofSam},
		"of all others": {
			func(ctx context.Context, tx *Tx) error { return tx.EndWithoutLogin(ctx, "usr_sam", "sid_sam", own, t0) },
			"usr_sam",
			[]string{"apr_given", "apr_sam", "tkt_sam"},
		},
		"a subject who signs out": {func(ctx context.Context, tx *Tx) error { return tx.EndWithoutLogin(ctx, "usr_ada", "", by, t0) }, "usr_root", nil},
	} {
		t.Run(name, func(t *testing.T) {
			forEachDialect(t, func(t *testing.T, s *Store) {
				undo := errors.New("undo")
				err := s.Write(t.Context(), func(tx *Tx) error {
					scene(t, tx)
					asks(t, tx)
					if err := test.end(t.Context(), tx); err != nil {
						return err
					}
					var got []string
					for _, e := range eventsIn(t, tx) {
						switch e.Type {
						case EventImpersonationRevoked:
							got = append(got, e.Data["ticket"].(string))
						case EventImpersonationWithdrawn:
							got = append(got, e.Data["approval"].(string))
						default:
							continue
						}
						if e.ActorID != test.by || e.SubjectID != "usr_ada" || e.ClientID != "demo" || e.RequestID != "req_1" {
							t.Errorf("on the record: %+v", e)
						}
					}
					if slices.Sort(got); !slices.Equal(got, test.want) {
						t.Errorf("taken back: %v, want %v", got, test.want)
					}
					for _, id := range []string{"tkt_sam", "tkt_kept", "tkt_grace", "tkt_used", "tkt_late"} {
						ticket, err := tx.TicketNamed(t.Context(), id)
						if err != nil {
							return err
						}
						if ticket.RevokedAt.Set() != slices.Contains(test.want, id) {
							t.Errorf("got %+v", ticket)
						}
					}
					for _, id := range []string{"apr_sam", "apr_given", "apr_grace", "apr_late"} {
						approval, err := tx.Approval(t.Context(), id)
						if err != nil {
							return err
						}
						if (approval.Status == ApprovalWithdrawn) != slices.Contains(test.want, id) {
							t.Errorf("got %+v", approval)
						}
					}
					return undo
				})
				wantErr(t, name, err, undo)
			})
		})
	}
}

// asks has tickets and approvals of sam and of grace about ada, and some that wait no
// more. tkt_kept is held by sam's sign-in.
func asks(t *testing.T, tx *Tx) {
	t.Helper()
	ctx, soon := t.Context(), At(t0.Add(time.Minute))
	for _, k := range []Ticket{
		{ID: "tkt_sam", ActorID: "usr_sam", Binding: BindingBearer, ExpiresAt: soon},
		{ID: "tkt_kept", ActorID: "usr_sam", Binding: BindingActorSession, LoginSID: "sid_sam", ExpiresAt: soon},
		{ID: "tkt_grace", ActorID: "usr_grace", Binding: BindingBearer, ExpiresAt: soon},
		{ID: "tkt_used", ActorID: "usr_sam", Binding: BindingBearer, ExpiresAt: soon, RedeemedAt: At(t0)},
		{ID: "tkt_late", ActorID: "usr_sam", Binding: BindingBearer, ExpiresAt: At(t0)},
	} {
		k.TokenHash, k.SubjectID, k.ClientID, k.Reason, k.Access, k.Duration = Hash(k.ID), "usr_ada", "demo", "invoice", "full", 60_000_000
		k.Entry, k.Delivery, k.CreatedAt = "api", "link", At(t0.Add(-time.Minute))
		if err := tx.CreateTicket(ctx, &k); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []Approval{
		{ID: "apr_sam", ActorID: "usr_sam", Status: ApprovalPending, ExpiresAt: soon},
		{ID: "apr_given", ActorID: "usr_sam", Status: ApprovalApproved, DecidedBy: "usr_root", ExpiresAt: soon},
		{ID: "apr_grace", ActorID: "usr_grace", Status: ApprovalPending, ExpiresAt: soon},
		{ID: "apr_late", ActorID: "usr_sam", Status: ApprovalPending, ExpiresAt: At(t0)},
	} {
		a.SubjectID, a.ClientID, a.Reason, a.Access, a.Duration, a.Entry, a.CreatedAt = "usr_ada", "demo", "invoice", "full", 60_000_000, "api", At(t0)
		if err := tx.CreateApproval(ctx, &a); err != nil {
			t.Fatal(err)
		}
	}
}

// eventsIn returns what a unit of work has recorded.
func eventsIn(t *testing.T, tx *Tx) []Event {
	t.Helper()
	var all []Event
	if err := tx.conn(t.Context()).Order("id").Find(&all).Error; err != nil {
		t.Fatal(err)
	}
	return all
}
