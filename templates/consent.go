package templates

import (
	"cmp"
	"net/http"
	"strconv"
)

// ConsentPage asks whether to go on to the application and, when CanImpersonate,
// as whom. Its form posts action, which is "allow", "deny" or "find", and with
// CanImpersonate also continue_as, q, subject, organization, reason, ticket_ref,
// access and duration. After a "find", or an "allow" with Errors, render it again
// with what was posted, so that nothing is lost.
//
// Enter in a form presses its first button, which is "find". That is what the
// search box needs; while "Continue as me" is chosen there is no search box, so
// answer "find" with continue_as=me like "allow".
type ConsentPage struct {
	Page
	Action                 string
	ClientName, ClientHost string
	SignOutURL             string // where "Not you?" leads; empty: the logout page
	LogoURL                string // in place of the initial; the policy of the page must let it in
	ClientURL              string // this and the next two are shown if https, or http on loopback
	PolicyURL, TermsURL    string
	SelfRegistered         bool // nobody here has looked at the application
	Scopes                 []Scope
	NeedsConsent           bool // list Scopes and ask for them
	CanImpersonate         bool
	ContinueAs             string // "me" or "other"
	Query                  string
	Searched               bool // Results answer Query
	Results                []Candidate
	More                   int // how many further matches there are
	Organizations          []Option
	Reason                 string
	ReasonMin, ReasonMax   int
	TicketRef              string
	Access                 string // "read_only" or "full"
	ReadOnlyDeclared       bool   // the client has registered read-only scopes
	Durations              []DurationOption
	Errors                 []FieldError
	AskApproval            bool   // offer to ask for approval, with action "request_approval"
	SubjectName            string // the selected candidate's, for the button; else Candidate.Name
}

// Scope is one that is asked for: its Title says in plain words what for, where there
// is one.
type Scope struct{ Name, Title, Detail string }

// Candidate is a user the search has found. One that is not Selectable says Why.
type Candidate struct {
	ID, Name, Email string
	Organizations   []string
	Selectable      bool
	Why             string
	Selected        bool
	Owed            Owed
}

// Owed is what the policy obliges to, whatever else is filled in.
type Owed struct {
	ReadOnly      bool
	Minutes       int    // at most; 0: no bound
	Scopes        string // no others, with spaces between them
	Ticket        bool
	TicketPattern string
	SupportAccess bool
	Approval      bool
	Messages      []string // the operator's own words
}

// Any reports whether there is anything to say.
func (o Owed) Any() bool {
	return o.ReadOnly || o.Minutes != 0 || o.Scopes != "" || o.Ticket || o.TicketPattern != "" || o.SupportAccess || o.Approval
}

// Option is one of a select. Without a value it is the one that chooses nothing, and
// needs no label.
type Option struct {
	Value, Label string
	Selected     bool
}

// DurationOption is a time after which an impersonation may end.
type DurationOption struct {
	Minutes  int
	Selected bool
}

// FieldError belongs to the form field it names.
type FieldError struct{ Field, Message string }

// maxResults is how many results have their own text on the submit button, which
// always names the person chosen (see [choiceRules]). It also keeps pages small.
const maxResults = 25

// Consent posts to p.Action. It shows the first 25 results and counts the others
// as More.
func (s *Set) Consent(w http.ResponseWriter, status int, p ConsentPage) error {
	return s.render(w, status, "consent", p.view())
}

// consentView is a ConsentPage with what its template would have to work out.
type consentView struct {
	Page
	Form    ConsentPage
	Other   bool // continue_as=other
	Results []result
	Chosen  bool // one of Results is selected
	// ChosenIndex is whose the organizations are, "" for nobody's.
	ChosenIndex string
	Found       int
	Focus       string            // "summary", "q", "result" or ""
	Errors      []linkedError     // in the summary
	Problem     map[string]string // at the field
}

type result struct {
	Index  string
	User   Candidate
	Chosen bool
	Label  string // of the submit button
}

type linkedError struct{ Anchor, Message string }

func (p ConsentPage) view() consentView {
	v := consentView{
		Page: p.Page, Form: p, Other: p.ContinueAs == "other",
		Found: len(p.Results) + p.More, Problem: make(map[string]string),
	}
	for i, c := range p.Results[:min(len(p.Results), maxResults)] {
		r := result{Index: strconv.Itoa(i), User: c, Label: c.Name}
		if c.Selected && c.Selectable && !v.Chosen {
			v.Chosen, r.Chosen = true, true
			r.Label = cmp.Or(p.SubjectName, c.Name)
			v.ChosenIndex = r.Index
		}
		v.Results = append(v.Results, r)
	}
	for _, e := range p.Errors {
		v.Errors = append(v.Errors, linkedError{Anchor: p.anchor(e.Field), Message: e.Message})
		v.Problem[e.Field] = e.Message
	}
	v.Focus = p.focus(v.Chosen)
	return v
}

// anchor is the id of the element to mend field at; not every field is there on
// every page.
func (p ConsentPage) anchor(field string) string {
	switch field {
	case "q", "continue_as", "reason", "ticket_ref", "access":
	case "subject":
		if len(p.Results) == 0 {
			field = "q"
		}
	case "organization":
		if len(p.Organizations) == 0 {
			field = "q"
		}
	case "duration":
		if len(p.Durations) == 0 {
			field = "access"
		}
	default:
		return "consent-form"
	}
	if !p.CanImpersonate {
		return "consent-form"
	}
	return field
}

// focus is where the keyboard goes on from: what is wrong, then what was found.
func (p ConsentPage) focus(chosen bool) string {
	switch {
	case len(p.Errors) > 0:
		return "summary"
	case !p.CanImpersonate || p.ContinueAs != "other":
		return ""
	case chosen:
		return "result"
	}
	return "q"
}
