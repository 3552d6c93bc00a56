package main

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// approvalPages visits the pages about a second person's approval, as an administrator
// who is signed in: as whoever decides, and as whoever waits.
func approvalPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	// Twenty minutes old: the page of who waits loads itself again every five seconds until
	// then, which may be in the middle of a visit.
	put := func(id, actor string, status storage.ApprovalStatus) {
		now := time.Now()
		a := &storage.Approval{
			ID: id, ActorID: actor, SubjectID: "usr_ada", ClientID: demoClient, OrganizationID: "org_globex", Reason: "Cannot see invoice 4711, asked by phone",
			TicketRef: "SUP-4821", Access: "full", Duration: time.Hour.Microseconds(), Entry: "console", Rule: "full access needs a second person", Status: status,
			CreatedAt: storage.At(now.Add(-20 * time.Minute)), ExpiresAt: storage.At(now.Add(24 * time.Hour)), KeptUntil: storage.At(now.Add(48 * time.Hour)),
		}
		if status != storage.ApprovalPending {
			a.DecidedBy, a.DecidedAt, a.Note = "usr_olga", storage.At(now), "Only the invoice, please"
		}
		err := d.service.store.Write(context.Background(), func(tx *storage.Tx) error { return tx.CreateApproval(context.Background(), a) })
		if err != nil {
			b.t.Fatal(err)
		}
	}
	put("apr_decide", "usr_sam", storage.ApprovalPending)
	put("apr_denied", "usr_sam", storage.ApprovalDenied)
	put("apr_wait", "usr_root", storage.ApprovalPending)
	put("apr_start", "usr_root", storage.ApprovalApproved)
	b.open(d.providerURL+"/admin", "#approvals")
	visit(b, "console-overview-approval")
	b.open(d.providerURL+"/admin/impersonations/approvals", "#waiting")
	visit(b, "console-approvals")
	b.open(d.providerURL+"/admin/approvals/apr_decide", "#decide-form")
	visit(b, "console-approval")
	b.open(d.providerURL+"/admin/approvals/apr_wait", "#withdraw-form")
	visit(b, "console-approval-waiting")
	b.open(d.providerURL+"/admin/approvals/apr_start", "#start-form")
	visit(b, "console-approval-start")
	b.open(d.providerURL+"/admin/approvals/apr_decide", "#decide-form")
	b.write("#note", "As we spoke about")
	b.click("#approve-submit")
	b.see(".notice.done")
	visit(b, "console-approval-given")
}
