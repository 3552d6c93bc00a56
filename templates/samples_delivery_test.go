package templates

import (
	"net/http"
	"time"
)

func deliverySamples() map[string]any {
	ticket := WaitingTicket{
		ID: "tkt_1", SubjectName: "Ada Lovelace", SubjectEmail: "ada@globex.example", Reason: "Cannot see invoice 4711",
		TicketRef: "SUP-4821", Access: "read_only", Lasts: 30 * time.Minute,
	}
	link := LinkPage{
		Page: Page{Person: sam}, Action: "/impersonate/utl_x", ActorName: "Sam Support", SubjectName: "Ada Lovelace", SubjectEmail: "ada@globex.example",
		ClientName: "Acme Billing", Reason: "Cannot see invoice 4711", TicketRef: "SUP-4821", Access: "full", Lasts: 15 * time.Minute,
		EndsAt: now.Add(2 * time.Minute), Now: now,
	}
	confirm := link
	confirm.Confirm, confirm.Problem = true, "The password is not right."
	bearer := link
	bearer.Page, bearer.Bearer = Page{}, true
	ask := ImpersonatePage{
		Page: framed(""), Action: "/admin/users/usr_ada/impersonate", CloseURL: "/admin/users/usr_ada",
		SubjectName: "Ada Lovelace", SubjectEmail: "ada@globex.example", ActorName: "Sam Support",
		Clients:       []Option{{Value: "billing", Label: "Acme Billing", Selected: true}, {Value: "crm", Label: "Acme CRM"}},
		Missing:       []MissingClient{{"Acme Wiki", "It does not allow signing in as its users."}},
		Organizations: []Option{{Label: "Choose…", Selected: true}, {Value: "org_globex", Label: "Globex"}},
		ReasonMin:     8, ReasonMax: 500, Access: "read_only", Durations: []DurationOption{{Minutes: 15}, {Minutes: 30, Selected: true}},
	}
	wrong := ask
	wrong.Reason, wrong.ReasonCode, wrong.TicketRef, wrong.Suggested, wrong.Confirm = "short", "billing", "SUP-4821", true, true
	wrong.Callbacks = []CallbackClient{{"Acme CRM", []string{"https://crm.acme.example/callback"}, []string{"code", "code id_token"}}}
	wrong.Errors = []FieldError{{"reason", "Give a reason of 8 to 500 characters."}, {"password", "Confirm with your password."}, {"callback", "This has ended."}}
	wrong.RequestURL, wrong.ApprovalURL = "/admin/users/usr_ada/request-access", "/admin/users/usr_ada/request-approval"
	refused := ask
	refused.Refused, refused.Clients = "This account is protected.", nil
	made := ask
	made.Link, made.ClientName, made.LinkEndsAt = "https://id.acme.example/impersonate/utl_x", "Acme Billing", now.Add(2*time.Minute)
	made.Now = now
	return map[string]any{
		"waiting":      WaitingPage{Page: Page{Person: sam}, Action: "/consent/x", ClientName: "Acme Billing", ClientHost: "billing.acme.example", Scopes: []Scope{{Name: "email", Title: "See your e-mail address"}}, Tickets: []WaitingTicket{ticket, ticket}},
		"link":         link,
		"link_confirm": confirm,
		"link_bearer":  bearer,
		"passage":      PassagePage{Page: Page{Person: sam}, URL: "/admin/users/usr_ada"},

		"console_impersonate":         ask,
		"console_impersonate_wrong":   wrong,
		"console_impersonate_refused": refused,
		"console_impersonate_link":    made,
	}
}

func (p WaitingPage) show(s *Set, w http.ResponseWriter) error { return s.Waiting(w, http.StatusOK, p) }

func (p LinkPage) show(s *Set, w http.ResponseWriter) error { return s.Link(w, http.StatusOK, p) }

func (p PassagePage) show(s *Set, w http.ResponseWriter) error { return s.Passage(w, http.StatusOK, p) }

func (p ImpersonatePage) show(s *Set, w http.ResponseWriter) error {
	return s.Impersonate(w, http.StatusOK, p)
}
