package templates

import (
	"net/http"
	"time"
)

func approvalSamples() map[string]any {
	a := Approval{
		ID: "apr_1", URL: "/admin/approvals/apr_1", ActorName: "Sam Support", SubjectName: "Ada Lovelace", SubjectEmail: "ada@globex.example",
		ClientName: "Acme Billing", Organization: "Globex", Reason: "Cannot see invoice 4711, asked by phone", TicketRef: "SUP-4821", Access: "full",
		Lasts: time.Hour, Status: "pending", Rule: "four eyes", AskedAt: now.Add(-3 * time.Minute), EndsAt: now.Add(24 * time.Hour),
	}
	as := func(change func(*Approval)) Approval {
		other := a
		change(&other)
		return other
	}
	approved := as(func(a *Approval) {
		a.Status, a.DecidedBy, a.Note, a.EndsAt = "approved", "Root Admin", "As we spoke about", now.Add(14*time.Minute)
	})
	denied := as(func(a *Approval) {
		a.Status, a.DecidedBy, a.Note, a.Access, a.AskedBy = "denied", "Root Admin", "Not without a ticket", "read_only", "key_helpdesk"
	})
	expired := as(func(a *Approval) { a.Status, a.TicketRef, a.Organization = "expired", "", "" })
	unused := as(func(a *Approval) { a.Status, a.DecidedBy = "expired", "Root Admin" })
	withdrawn := as(func(a *Approval) { a.Status = "withdrawn" })
	used := as(func(a *Approval) { a.Status, a.DecidedBy = "used", "Root Admin" })
	tabs := []Section{{Label: "Running", URL: "/admin/impersonations"}, {Label: "Approvals", URL: "/admin/impersonations/approvals", Count: 1, Current: true}}
	decide := ApprovalPage{Page: framed(""), Approval: a, Support: "until", SupportEndsAt: end, DecideURL: a.URL, NoteMax: 500, Now: now}
	wrong := decide
	wrong.Confirm, wrong.NoteText, wrong.Support = true, "A note", "denied"
	wrong.Errors = []FieldError{{"password", "The password is not right."}, {"note", "The note is too long, or has characters that cannot be shown."}}
	mine := ApprovalPage{Page: framed("Your request waits for somebody to approve it."), Approval: a, Mine: true, WithdrawURL: a.URL + "/withdraw", Now: now}
	start := mine
	start.Page, start.Approval, start.StartURL = framed(""), approved, "/admin/users/usr_ada/impersonate"
	start.StartFields = []HiddenField{{"client_id", "billing"}, {"reason", a.Reason}, {"access", "full"}, {"duration", "60"}}
	over := mine
	over.Page, over.WithdrawURL, over.Approval, over.AgainURL = framed(""), "", denied, "/admin/users/usr_ada?dialog=impersonate"
	unanswered, notUsed, taken := over, over, over
	unanswered.Approval, notUsed.Approval, taken.Approval = expired, unused, withdrawn
	looked := decide
	looked.DecideURL, looked.Approval, looked.Support, looked.ImpersonationURL = "", used, "ticket", "/admin/impersonations/imp_1"
	looked.SupportTicketRef = "SUP-4821"
	managed, silent, late := looked, looked, looked
	managed.Support, managed.Approval = "managed", denied
	silent.Support, silent.Approval = "", unused
	late.Support, late.Approval = "over", approved
	waiting := mine
	waiting.Page, waiting.BackURL = Page{Person: sam}, "/consent/x"
	ready := start
	ready.Page, ready.BackURL, ready.StartURL = Page{Person: sam}, "/consent/x", "/consent/x?for=usr_sam"
	return map[string]any{
		"console_approvals": ApprovalsPage{
			Page: framed(""), Tabs: tabs, MayDecide: true, Waiting: []Approval{a, as(func(a *Approval) { a.Organization, a.TicketRef, a.Access = "", "", "read_only" })},
			List: []Approval{a, approved, denied, expired, withdrawn, used}, OlderURL: "/admin/impersonations/approvals?before=1.x",
			NewestURL: "/admin/impersonations/approvals", Now: now,
		},
		"console_approvals_none":      ApprovalsPage{Page: framed(""), Tabs: tabs, MayDecide: true, Now: now},
		"console_approval":            decide,
		"console_approval_wrong":      wrong,
		"console_approval_mine":       mine,
		"console_approval_start":      start,
		"console_approval_denied":     over,
		"console_approval_unanswered": unanswered,
		"console_approval_unused":     notUsed,
		"console_approval_withdrawn":  taken,
		"console_approval_looked":     looked,
		"console_approval_managed":    managed,
		"console_approval_silent":     silent,
		"console_approval_late":       late,
		"approval":                    waiting,
		"approval_start":              ready,
	}
}

func (p ApprovalsPage) show(s *Set, w http.ResponseWriter) error {
	return s.Approvals(w, http.StatusOK, p)
}

func (p ApprovalPage) show(s *Set, w http.ResponseWriter) error {
	if p.BackURL != "" {
		return s.AwaitApproval(w, http.StatusOK, p)
	}
	return s.Approval(w, http.StatusOK, p)
}
