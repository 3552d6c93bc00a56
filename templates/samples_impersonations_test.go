package templates

import (
	"net/http"
	"time"
)

func impersonationSamples() map[string]any {
	running := Impersonation{
		ID: "imp_1", URL: "/admin/impersonations/imp_1", ActorID: "usr_sam", ActorName: "Sam Support", SubjectID: "usr_ada", SubjectName: "Ada Lovelace",
		ClientID: "billing", ClientName: "Acme Billing", Organization: "Globex", Reason: "Cannot see invoice 4711", TicketRef: "SUP-4821",
		Access: "read_only", Entry: "console", StartedAt: now.Add(-11 * time.Minute), EndsAt: end, Running: true, StopURL: "/admin/impersonations/imp_1/stop",
	}
	asked := running
	asked.Entry, asked.AskedBy, asked.Unsigned = "api", "key_1", true
	over := running
	over.ID, over.URL, over.Running, over.StopURL = "imp_2", "/admin/impersonations/imp_2", false, ""
	over.EndsAt, over.EndReason, over.EndedBy, over.Access = now, "stopped", "Root Admin", "full"
	over.Notices = []LogoutNotice{{ClientName: "Acme Billing", Status: "delivered", Attempts: 1, HTTPStatus: 200}, {ClientName: "Acme Wiki", Status: "failed", Attempts: 9, Error: "connection refused"}}
	tabs := []Section{{Label: "Active", URL: "/admin/impersonations", Current: true}, {Label: "Past", URL: "/admin/impersonations/past"}}
	return map[string]any{
		"console_running": ImpersonationsPage{
			Page: framed("It was stopped."), Tabs: tabs, Running: true, List: []Impersonation{running, running}, StopAllURL: "/admin/impersonations/stop",
			Errors: []FieldError{{"confirm", "Type stop to confirm."}}, Now: now,
		},
		"console_running_none": ImpersonationsPage{Page: framed(""), Tabs: tabs, Running: true, Now: now},
		"console_past":         ImpersonationsPage{Page: framed(""), Tabs: tabs, List: []Impersonation{over}, OlderURL: "/admin/impersonations/past?before=1.x", NewestURL: "/admin/impersonations/past", Now: now},
		"console_acting":       ImpersonationPage{Page: framed(""), Impersonation: running, EventsURL: "/admin/events?impersonation=imp_1", Now: now},
		"console_acting_api":   ImpersonationPage{Page: framed(""), Impersonation: asked, Now: now},
		"console_acted":        ImpersonationPage{Page: framed(""), Impersonation: over, AgainURL: "/admin/users/usr_ada?dialog=impersonate", Now: now},
		"console_denials": DenialsPage{Page: framed(""), Tabs: tabs, Now: now, OlderURL: "/admin/impersonations/denied?before=1.x", List: []DeniedAttempt{
			{Time: now.Add(-time.Hour), ActorName: "Sam Support", SubjectName: "Root Admin", ClientName: "Acme Billing", Why: "This account is protected.", Reason: "A reason"},
			{Time: now.Add(-26 * time.Hour), ActorName: "Sam Support", Why: "This is not allowed."},
		}},
		"console_denials_none": DenialsPage{Page: framed(""), Tabs: tabs, Now: now},
		"console_requests": SupportRequestsPage{Page: framed(""), Tabs: tabs, Now: now, List: []AskedUser{
			{Time: now, ActorName: "Sam Support", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Reason: "Invoice 4711", TicketRef: "SUP-4821", Status: "pending"},
			{Time: now, ActorName: "Sam Support", SubjectName: "Ada Lovelace", Reason: "Invoice 4711", Status: "denied"},
		}},
		"console_requests_none": SupportRequestsPage{Page: framed(""), Tabs: tabs, Now: now},
	}
}

func (p ImpersonationsPage) show(s *Set, w http.ResponseWriter) error {
	return s.Impersonations(w, http.StatusOK, p)
}

func (p ImpersonationPage) show(s *Set, w http.ResponseWriter) error {
	return s.Impersonation(w, http.StatusOK, p)
}

func (p DenialsPage) show(s *Set, w http.ResponseWriter) error { return s.Denials(w, http.StatusOK, p) }

func (p SupportRequestsPage) show(s *Set, w http.ResponseWriter) error {
	return s.SupportRequests(w, http.StatusOK, p)
}
