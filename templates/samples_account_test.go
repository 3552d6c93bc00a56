package templates

import (
	"net/http"
	"time"
)

// accountSamples are the pages of Ada's own account.
func accountSamples() map[string]any {
	running := ActedAs{
		ID: "imp_1", ActorName: "Sam Support", ClientName: "Acme Billing", Organization: "Globex", Reason: "Cannot see invoice 4711",
		TicketRef: "SUP-12", Access: "read_only", StartedAt: now.Add(-10 * time.Minute), EndsAt: end, Now: now, Running: true,
	}
	ended := ActedAs{
		ID: "imp_2", ActorName: "Sam Support", ClientName: "Acme Wiki", Reason: "Asked by phone", Access: "full",
		StartedAt: now.Add(-26 * time.Hour), EndsAt: now.Add(-26*time.Hour + 14*time.Minute), Now: now, Why: "You ended it.",
	}
	reported := ended
	reported.Reported = true
	program := ended
	program.ByProgram, program.Unsigned = true, true
	firefox := Device{Browser: "Firefox", System: "Linux", IP: "198.51.100.7"}
	unknown := Device{IP: "10.0.0.7", Network: "A private network"}
	asks := SupportRequest{ID: "sar_1", ActorName: "Sam Support", ClientName: "Acme Billing", Reason: "Cannot see invoice 4711", AskedAt: now.Add(-2 * time.Hour), Now: now}
	forTicket := asks
	forTicket.ID, forTicket.ClientName, forTicket.TicketRef = "sar_2", "", "SUP-12"
	support := func(change func(*SupportAccessPage)) SupportAccessPage {
		p := SupportAccessPage{Page: own(""), Rule: "optional", Hours: "24", Now: now}
		change(&p)
		return p
	}
	return map[string]any{
		"account": AccountPage{Page: own(""), EmailVerified: true, SignIns: 1, Now: now},
		"account_acted_as": AccountPage{
			Page: own("Your profile is saved."), SignIns: 3, Requests: 2, Now: now,
			ActedAs: []ActedAs{running, ended},
		},
		"account_acting": AccountPage{Page: whileActing(), EmailVerified: true, SignIns: 1, Requests: 1, Now: now, ActingAs: []ActiveImpersonation{
			{ID: "imp_1", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Reason: "Cannot see invoice 4711, asked by phone", EndsAt: end, Now: now, StopURL: "/impersonation/stop?id=imp_1"},
			{ID: "imp_2", SubjectName: "Linus Initech", ClientName: "Acme Wiki", EndsAt: now.Add(30 * time.Second), Now: now, StopURL: "/impersonation/stop?id=imp_2"},
		}},

		"account_activity": ActivityPage{Page: own("It has ended. Whoever was signed in as you is not any more."), Entries: []ActivityEntry{
			{At: now, Now: now, ActedAs: &running},
			{At: now.Add(-time.Hour), Now: now, What: "You signed in", Device: firefox},
			{At: now.Add(-2 * time.Hour), Now: now, What: "Support asked to sign in as you", By: "Sam Support"},
			{At: now.Add(-26 * time.Hour), Now: now, ActedAs: &reported},
			{At: now.Add(-30 * time.Hour), Now: now, What: "You changed your password", Device: unknown},
		}, Older: "/account/activity?before=1.evt_1", Newer: "/account/activity?after=2.evt_2"},
		"account_activity_empty":    ActivityPage{Page: own("")},
		"account_acted_as_running":  ActedAsPage{Page: own(""), ActedAs: running, ReportMail: "security@corp.example", MaxNote: 500},
		"account_acted_as_mistaken": ActedAsPage{Page: own(""), ActedAs: ended, ReportURL: "https://corp.example/report", MaxNote: 500, Note: "too long", Errors: []FieldError{{"note", "A note has at most 500 characters, and no control characters."}}},
		"account_acted_as_program":  ActedAsPage{Page: own(""), ActedAs: program, MaxNote: 500},
		"account_acted_as_reported": ActedAsPage{Page: own("Thank you. Your report is on the record."), ActedAs: reported, MaxNote: 500},

		"account_support":           support(func(p *SupportAccessPage) { p.Requests = []SupportRequest{asks, forTicket} }),
		"account_support_required":  support(func(p *SupportAccessPage) { p.Rule, p.SwitchedOff = "required", true }),
		"account_support_managed":   support(func(p *SupportAccessPage) { p.Rule = "managed" }),
		"account_support_protected": support(func(p *SupportAccessPage) { p.Protected = true }),
		"account_support_denied":    support(func(p *SupportAccessPage) { p.Said, p.Choice = "denied", "denied" }),
		"account_support_set": support(func(p *SupportAccessPage) {
			p.Said, p.Choice, p.EndsAt, p.SetBy, p.SetAt = "until", "until", now.Add(7*24*time.Hour), "Helpdesk", now.Add(-time.Hour)
		}),
		"account_support_until": support(func(p *SupportAccessPage) { p.Said, p.Choice, p.EndsAt = "until", "until", now.Add(7*24*time.Hour) }),
		"account_support_over": support(func(p *SupportAccessPage) {
			p.Said, p.Choice, p.EndsAt, p.Over = "until", "until", now.Add(-time.Hour), true
		}),
		"account_support_ticket": support(func(p *SupportAccessPage) {
			p.Said, p.Choice, p.EndsAt, p.SaidTicketRef, p.TicketRef = "ticket", "ticket", now.Add(24*time.Hour), "SUP-12", "SUP-12"
		}),
		"account_support_incomplete": support(func(p *SupportAccessPage) {
			p.Choice, p.Hours, p.Errors = "ticket", "200", []FieldError{{"hours", "Type a number of hours from 1 to 168."}}
		}),
		"account_support_acting": support(func(p *SupportAccessPage) { p.Page, p.Requests = whileActing(), []SupportRequest{asks} }),

		"account_sessions": SignInsPage{Page: own(""), SignIns: []SignIn{
			{SID: "sid_1", Device: firefox, Here: true, Since: now.Add(-time.Hour), LastUsed: now, Now: now},
			{SID: "sid_2", Device: unknown, Since: now.Add(-20 * time.Hour), LastUsed: now.Add(-time.Hour), Now: now},
		}},
		"account_sessions_acting": SignInsPage{Page: whileActing(), SignIns: []SignIn{{SID: "sid_1", Device: firefox, Here: true, Since: now, LastUsed: now, Now: now}}},
		"account_applications": ApplicationsPage{Page: own(""), Applications: []UsedApplication{
			{ID: "billing", Name: "Acme Billing", URL: "https://billing.acme.example", Scopes: []Scope{{Name: "openid", Title: "Know who you are"}, {Name: "x"}}, AgreedAt: now.Add(-72 * time.Hour), LastSignIn: now.Add(-time.Hour), SignedIn: true, Now: now},
			{ID: "wiki", Name: "Acme Wiki", SignedIn: true, LastSignIn: now.Add(-time.Hour), Now: now},
		}},
		"account_applications_none":   ApplicationsPage{Page: own("The application can no longer use your account.")},
		"account_applications_acting": ApplicationsPage{Page: whileActing(), Applications: []UsedApplication{{ID: "wiki", Name: "Acme Wiki", SignedIn: true, LastSignIn: now, Now: now}}},
		"account_profile":             ProfilePage{Page: own(""), EmailVerified: true, Name: "Ada Lovelace", GivenName: "Ada", FamilyName: "Lovelace", Locale: "en-GB", Zoneinfo: "Europe/London"},
		"account_profile_incomplete":  ProfilePage{Page: own(""), Name: "Ada", Website: "ada", Errors: []FieldError{{"website", "Type an address on the web, like https://example.com."}}},
		"account_profile_acting":      ProfilePage{Page: whileActing(), Name: "Sam Support"},
		"account_password":            PasswordPage{Page: own("")},
		"account_password_wrong":      PasswordPage{Page: own(""), Errors: []FieldError{{"current_password", "This is not your password."}}},
		"account_password_wait":       PasswordPage{Page: own(""), RetryAfter: 30 * time.Second},
		"account_password_acting":     PasswordPage{Page: whileActing()},
	}
}

// own is the page around a page of Ada's account.
func own(notice string) Page {
	return Page{Person: lovelace, Notice: notice, Sections: []Section{{Label: "Your account", URL: "/account", Current: true}}}
}

// whileActing is the page around a page of Sam's account, who acts as Ada.
func whileActing() Page {
	p := own("")
	p.Person, p.Acting = sam, ada
	return p
}

func (p AccountPage) show(s *Set, w http.ResponseWriter) error {
	return s.Account(w, http.StatusOK, p)
}

func (p ActivityPage) show(s *Set, w http.ResponseWriter) error {
	return s.Activity(w, http.StatusOK, p)
}

func (p ActedAsPage) show(s *Set, w http.ResponseWriter) error { return s.ActedAs(w, http.StatusOK, p) }

func (p SupportAccessPage) show(s *Set, w http.ResponseWriter) error {
	return s.SupportAccess(w, http.StatusOK, p)
}

func (p SignInsPage) show(s *Set, w http.ResponseWriter) error { return s.SignIns(w, http.StatusOK, p) }

func (p ApplicationsPage) show(s *Set, w http.ResponseWriter) error {
	return s.Applications(w, http.StatusOK, p)
}

func (p ProfilePage) show(s *Set, w http.ResponseWriter) error { return s.Profile(w, http.StatusOK, p) }

func (p PasswordPage) show(s *Set, w http.ResponseWriter) error {
	return s.Password(w, http.StatusOK, p)
}
