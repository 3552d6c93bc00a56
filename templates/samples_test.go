package templates

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var (
	now      = time.Date(2026, 11, 21, 14, 14, 0, 0, time.UTC)
	end      = now.Add(18*time.Minute + 42*time.Second)
	sam      = &Person{Name: "Sam Support", Email: "sam@corp.example"}
	lovelace = &Person{Name: "Ada Lovelace", Email: "ada@globex.example"}
	ada      = &Acting{
		SubjectName: "Ada Lovelace", ActorName: "Sam Support", ClientName: "Acme Billing",
		EndsAt: end, Now: now, StopURL: "/impersonation/stop",
	}
)

// samples are pages as people see them, by the name of their golden file.
func samples() map[string]any {
	all := map[string]any{
		"login":        LoginPage{Action: "/login?i=x", ClientName: "Acme Billing"},
		"login_plain":  LoginPage{Action: "/login"},
		"login_failed": LoginPage{Action: "/login", ClientName: "Acme Billing", Username: "sam@corp.example", Error: "That did not match. Check both and try again."},
		"login_wait":   LoginPage{Action: "/login", ClientName: "Acme Billing", Username: "sam@corp.example", Error: "Too many attempts.", RetryAfter: 29200 * time.Millisecond},
		"login_reauth": LoginPage{Page: Page{Person: sam}, Action: "/login", Username: "sam@corp.example", Reauth: true, ReauthToAct: true},

		"consent":            consent(),
		"consent_stranger":   with(consent(), stranger),
		"consent_me":         with(choice(), func(p *ConsentPage) { p.ContinueAs, p.NeedsConsent, p.Scopes = "me", true, consent().Scopes }),
		"consent_other":      choice(),
		"consent_results":    found(),
		"consent_nobody":     with(choice(), func(p *ConsentPage) { p.Query, p.Searched = "zoe", true }),
		"consent_incomplete": with(found(), incomplete),
		"consent_approval": with(found(), func(p *ConsentPage) {
			p.Errors, p.AskApproval = []FieldError{{"subject", "A second person has to approve this first."}}, true
		}),

		"setup":           SetupPage{Action: "/setup/usl_x"},
		"setup_signed_in": SetupPage{Page: Page{Person: sam}, Action: "/setup/usl_x"},
		"setup_incomplete": SetupPage{Action: "/setup/usl_x", Name: "Root", Email: "root", Errors: []FieldError{
			{"email", "Type an e-mail address like ada@example.com."}, {"password", "A password has 8 to 1024 characters."},
		}},
		"checklist": ChecklistPage{Page: Page{Person: sam}, Steps: []ChecklistStep{
			{Title: "Add an application", URL: "/admin/clients/new", State: "There is one application.", Done: true, Commands: []Command{{"understudy client create", "--id shop"}}},
			{Title: "Add users", URL: "/admin/users/new", State: "There are %d users besides administrators.", Count: 3, Commands: []Command{{"understudy user create", "--email ada@example.com"}, {"understudy user create", "--role support"}}},
			{Title: "Switch on signing in as someone else", URL: "/admin/settings", State: "It is off.", Commands: []Command{{"understudy impersonation enable"}}},
		}},
		"checklist_done": ChecklistPage{Page: Page{Person: sam}, Steps: []ChecklistStep{{Title: "Add users", URL: "/admin/users/new", State: "There is one user.", Done: true}}},

		"logout":           LogoutPage{Page: Page{Person: sam}, Action: "/oauth2/logout", Hidden: []HiddenField{{"state", "s1"}, {"id", "l1"}}, ClientName: "Acme Billing"},
		"loggedout":        LoggedOutPage{},
		"loggedout_astray": LoggedOutPage{Astray: true},
		"loggedout_return": LoggedOutPage{ReturnURL: "https://billing.acme.example/", ReturnTo: "Acme Billing"},

		"error": ErrorPage{
			Status: 400, Code: "interaction_expired", Heading: "This page has expired", Message: "You took longer than ten minutes, or have used this page before.",
			Advice: "Go back to the application and start again.", RequestID: "req_01JD8ZK3M7", BackURL: "https://billing.acme.example/",
		},
		"error_plain": ErrorPage{Status: 404, Code: "not_found", Message: "There is no page at this address.", RequestID: "req_01JD8ZK3M9"},
		"error_acting": ErrorPage{
			Page: Page{Person: sam, Acting: ada}, Status: 403, Code: "acting", ActingAs: "Ada Lovelace",
			Message: "Stop to use the admin console.", RequestID: "req_01JD8ZK3M8",
		},

		"stop": StopPage{
			Page:   Page{Person: sam, Acting: &Acting{SubjectName: "Ada Lovelace", ActorName: "Sam Support", ClientName: "Acme Billing", EndsAt: end, Now: now}},
			Action: "/impersonation/stop", Hidden: []HiddenField{{"id", "imp_1"}}, SubjectName: "Ada Lovelace", ActorName: "Sam Support", ClientName: "Acme Billing",
			Reason: "Cannot see invoice 4711, asked by phone", TicketRef: "SUP-4821", Access: "read_only", StartedAt: now.Add(-11 * time.Minute), EndsAt: end, Now: now,
		},
		"stop_subject": StopPage{
			Page: Page{Person: lovelace}, AsSubject: true, Action: "/impersonation/stop", Hidden: []HiddenField{{"id", "imp_1"}},
			SubjectName: "Ada Lovelace", ActorName: "Sam Support", ClientName: "Acme Billing", Reason: "Cannot see invoice 4711",
			Access: "full", StartedAt: now.Add(-11 * time.Minute), EndsAt: end, Now: now,
		},
		"stop_bearer": StopPage{
			Action: "/impersonation/stop", Hidden: []HiddenField{{"id", "imp_1"}}, SubjectName: "Ada Lovelace", ActorName: "Sam Support",
			ClientName: "Acme Billing", Reason: "Cannot see invoice 4711", Access: "full", StartedAt: now.Add(-11 * time.Minute), EndsAt: end, Now: now,
		},
		"stopped_bearer":  StoppedPage{ActorName: "Sam", SubjectName: "Ada", ClientName: "Acme Billing", Lasted: time.Minute, ReturnURL: "https://billing.acme.example/", ReturnTo: "Acme Billing"},
		"stopped_subject": StoppedPage{Page: Page{Person: lovelace}, AsSubject: true, ActorName: "Sam", SubjectName: "Ada", ClientName: "Acme Billing", Lasted: time.Minute},
		"stopped": StoppedPage{
			Page: Page{Person: sam}, ActorName: "Sam", SubjectName: "Ada", ClientName: "Acme Billing", Lasted: 12 * time.Minute,
			Why: "The time was up.", ReturnURL: "/admin/users/usr_ada", ReturnTo: "Ada Lovelace",
		},

		"stopped_console": StoppedPage{
			Page: Page{Person: sam}, ActorName: "Sam", SubjectName: "Ada", ClientName: "Acme Billing", Lasted: time.Minute, ReturnURL: "https://billing.acme.example/",
			ReturnTo: "Acme Billing", UserURL: "/admin/users/usr_ada", AgainURL: "/admin/users/usr_ada?dialog=impersonate", RecordURL: "/admin/impersonations/imp_1",
		},
		"home": HomePage{},

		"formpost": FormPostPage{Action: "https://billing.acme.example/callback", Fields: []HiddenField{{"code", "c1"}, {"state", "s1"}}, Nonce: "n0nce"},
	}
	for _, more := range []map[string]any{deliverySamples(), impersonationSamples(), approvalSamples(), clientSamples(), accountSamples(), userSamples(), eventsSamples(), policySamples(), webhookSamples(), apiKeySamples(), roleSamples()} {
		maps.Copy(all, more)
	}
	return all
}

// framed is the page around a page of the console or the account.
func framed(notice string) Page {
	return Page{Person: sam, Languages: Languages(), Notice: notice, Sections: []Section{
		{Label: "Overview", URL: "/admin"}, {Label: "Users", URL: "/admin/users", Current: true}, {Label: "Active", URL: "/admin/impersonations", Count: 2},
	}}
}

func consent() ConsentPage {
	return ConsentPage{
		Page: Page{Person: sam}, Action: "/consent/i1", ClientName: "Acme Billing", ClientHost: "billing.acme.example",
		PolicyURL: "https://acme.example/privacy", TermsURL: "http://127.0.0.1:8081/terms", NeedsConsent: true,
		Scopes: []Scope{
			{Name: "profile", Title: "See your name", Detail: "and language, time zone and picture if you have set them"},
			{Name: "email", Title: "See your e-mail address"},
			{Name: "invoices.read"},
		},
	}
}

// stranger is an application that registered itself.
func stranger(p *ConsentPage) {
	p.SelfRegistered, p.LogoURL, p.ClientURL = true, "https://acme.example/logo.png", "https://acme.example/"
}

func choice() ConsentPage {
	return ConsentPage{
		Page: Page{Person: sam}, Action: "/consent/i1", ClientName: "Acme Billing", ClientHost: "billing.acme.example",
		CanImpersonate: true, ContinueAs: "other", ReasonMin: 8, ReasonMax: 500, Access: "read_only", ReadOnlyDeclared: true,
		Durations: []DurationOption{{15, false}, {30, true}, {60, false}},
	}
}

func found() ConsentPage {
	return with(choice(), func(p *ConsentPage) {
		p.Query, p.Searched, p.More, p.SubjectName = "ada", true, 40, "Ada"
		p.Results = []Candidate{
			{ID: "usr_ada", Name: "Ada Lovelace", Email: "ada@globex.example", Organizations: []string{"Globex", "Initech"}, Selectable: true, Selected: true},
			{ID: "usr_adam", Name: "Adam Root", Email: "adam@corp.example", Organizations: []string{"Corp"}, Why: "Protected: administrators cannot be acted as"},
			{ID: "usr_adele", Name: "Adele Goldberg", Email: "adele@parc.example", Organizations: []string{"Parc"}, Selectable: true, Owed: Owed{ReadOnly: true, Minutes: 15, Approval: true, Messages: []string{"A second person looks at what happens here."}}},
		}
		p.Organizations = []Option{{"org_globex", "Globex", true}, {"org_initech", "Initech", false}}
		p.Reason, p.TicketRef = "Cannot see invoice 4711, asked by phone", "SUP-4821"
	})
}

func incomplete(p *ConsentPage) {
	p.Reason, p.TicketRef, p.Access, p.ReadOnlyDeclared = "asked", "4821", "full", false
	p.Errors = []FieldError{
		{"subject", "Choose a user who can be selected."},
		{"reason", "Give a reason of at least 8 characters."},
		{"ticket_ref", "A ticket looks like SUP-4821."},
		{"access", "Full access needs an approval, which your policy gives only for one organization at a time."},
	}
}

func with(p ConsentPage, change func(*ConsentPage)) ConsentPage {
	change(&p)
	return p
}

func newSet(t testing.TB) *Set {
	t.Helper()
	s, err := New(Branding{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// show calls the method that belongs to the type of page.
func show(s *Set, w http.ResponseWriter, page any) error {
	switch p := page.(type) {
	case LoginPage:
		return s.Login(w, http.StatusOK, p)
	case ConsentPage:
		return s.Consent(w, http.StatusOK, p)
	case SetupPage:
		return s.Setup(w, http.StatusOK, p)
	case ChecklistPage:
		return s.Checklist(w, http.StatusOK, p)
	case LogoutPage:
		return s.Logout(w, http.StatusOK, p)
	case LoggedOutPage:
		return s.LoggedOut(w, http.StatusOK, p)
	case ErrorPage:
		return s.Error(w, http.StatusForbidden, p)
	case StopPage:
		return s.Stop(w, http.StatusOK, p)
	case StoppedPage:
		return s.Stopped(w, http.StatusOK, p)
	case HomePage:
		return s.Home(w, http.StatusOK, p)
	case FormPostPage:
		return s.FormPost(w, http.StatusOK, p)
	}
	return page.(shownPage).show(s, w)
}

// shownPage is a page of the console or the account: it knows its method.
type shownPage interface {
	show(s *Set, w http.ResponseWriter) error
}

func rendered(t testing.TB, s *Set, page any) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := show(s, w, page); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Header().Get("Content-Type"), "text/html; charset=utf-8"; got != want {
		t.Fatalf("Content-Type = %q, want %q", got, want)
	}
	body := w.Body.String()
	if strings.Contains(body, "ZgotmplZ") {
		t.Fatalf("%T: html/template refused a value:\n%s", page, body)
	}
	return body
}
