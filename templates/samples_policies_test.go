package templates

import (
	"net/http"
	"time"
)

func (p PoliciesPage) show(s *Set, w http.ResponseWriter) error {
	return s.Policies(w, http.StatusOK, p)
}

func (p PolicyRulePage) show(s *Set, w http.ResponseWriter) error {
	return s.PolicyRule(w, http.StatusOK, p)
}

func (p PolicyNewPage) show(s *Set, w http.ResponseWriter) error {
	return s.PolicyNew(w, http.StatusOK, p)
}

func (p PolicyTestPage) show(s *Set, w http.ResponseWriter) error {
	return s.PolicyTest(w, http.StatusOK, p)
}

func (p PolicyHistoryPage) show(s *Set, w http.ResponseWriter) error {
	return s.PolicyHistory(w, http.StatusOK, p)
}

func (p PolicyVersionPage) show(s *Set, w http.ResponseWriter) error {
	return s.PolicyVersion(w, http.StatusOK, p)
}

// policySamples are the pages about the policy.
func policySamples() map[string]any {
	rule := Form{Action: "/admin/policies/rule", Version: "3", Groups: []FieldGroup{
		{Fields: []Field{
			{Name: "name", Label: "Name", Value: "Office hours"},
			{Kind: FieldLines, Name: "when", Label: "Applies when", Hint: "CEL that is true or false. What it can ask about is listed below.", Value: `!(now.getHours("Europe/Berlin") in [8, 9, 10])`},
			{Kind: FieldRadio, Name: "effect", Label: "Then", Choices: []Choice{{Value: "deny", Label: "Deny", Chosen: true}, {Value: "oblige", Label: "Oblige to what is chosen below"}}},
		}},
		{Title: "Obligations", Text: "Only for a rule that obliges.", Fields: []Field{{Kind: FieldCheck, Name: "oblige", Label: "Read only"}}},
	}}
	wrong := rule
	wrong.Problems = []string{"Somebody changed the policy meanwhile. What you typed is still here: look at the rules before you save it."}
	wrong.Groups = []FieldGroup{{Fields: []Field{{Kind: FieldLines, Name: "when", Label: "Applies when", Value: "now.getHour()", Error: "Line 1, column 12: undeclared reference to 'getHour'"}}}}
	variables := []PolicyVariable{{"actor.id", "string", "id of who acts"}, {"now", "timestamp", "the moment of the decision"}}
	owed := Owed{ReadOnly: true, Minutes: 15, Scopes: "openid invoices:read", Ticket: true, TicketPattern: "SUP-[0-9]+", SupportAccess: true, Approval: true, Messages: []string{"Give the number of the ticket."}}
	try := Form{Action: "/admin/policies/test", Groups: []FieldGroup{{Fields: []Field{{Name: "actor", Label: "Actor", Hint: "Their e-mail address or id.", Value: sam.Email}}}}}
	row := PolicyVersionRow{Version: 2, Author: "Root", Note: "Contractors look only", At: now.Add(-time.Hour)}
	return map[string]any{
		"console_policies_none": PoliciesPage{Page: framed(""), Now: now, Rails: []string{"The actor has not started too many."}},
		"console_policies": PoliciesPage{
			Page: framed("The policy was changed. It holds from now on."), Version: 3, Author: "Root", ChangedAt: now.Add(-time.Minute), Now: now, Note: "Closed at night", Bound: now.Add(14 * time.Minute),
			Rails: []string{"The application is active and allows it.", "The actor has not started too many."},
			Rules: []PolicyRule{
				{Name: "Office hours", Comment: "What runs at closing time ends when its tokens are next renewed.", When: "!(now.getHours(\"Europe/Berlin\") >= 8 &&\n  now.getHours(\"Europe/Berlin\") < 18)", Message: "Only 8 to 18 o'clock.", URL: "/admin/policies/rule?rule=Office+hours", Denies: true, First: true},
				{Name: "Contractors", When: `"contractor" in actor.roles_anywhere`, URL: "/admin/policies/rule?rule=Contractors", Owed: owed, Last: true},
			},
		},
		"console_policy_rule":       PolicyRulePage{Page: framed(""), Form: rule, Rule: "Office hours", Variables: variables, Confirm: true},
		"console_policy_rule_wrong": PolicyRulePage{Page: framed(""), Form: wrong, Variables: variables, Confirm: true, Problem: map[string]string{"password": "The password is not right."}},
		"console_policy_new": PolicyNewPage{Page: framed(""), Kinds: []PolicyKind{
			{Kind: "own_organization", Title: "Only my organization's users", Text: "Staff act only in organizations that they are members of themselves.", Form: Form{Action: "/admin/policies/rule"}},
			{Kind: "office_hours", Title: "Office hours", Text: "What runs at closing time ends when its tokens are next renewed.", Form: Form{Action: "/admin/policies/rule", Groups: []FieldGroup{{Fields: []Field{{Name: "office_hours_zone", Label: "Time zone", Hint: "Such as Europe/Berlin.", Value: "Mars/Base", Error: "There is no such time zone."}}}}}},
		}},
		"console_policy_test": PolicyTestPage{Page: framed(""), Form: try},
		"console_policy_test_allowed": PolicyTestPage{Page: framed(""), Form: try, Verdict: &PolicyVerdict{
			Allowed: true, ActorName: "Sam Support", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Access: "read_only", Minutes: 15, Owed: owed,
			Steps: []PolicyStep{
				{Name: "The application is active and allows it.", Outcome: "passed", Rail: true},
				{Name: "Office hours", Outcome: "not"},
				{Name: "Contractors", Outcome: "obliges", Message: "You may look, and change nothing."},
			},
		}},
		"console_policy_test_refused": PolicyTestPage{Page: framed(""), Form: try, Verdict: &PolicyVerdict{
			Rule: "Office hours", Message: "Only 8 to 18 o'clock.", ActorName: "Sam Support", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Access: "full", Minutes: 30,
			Steps: []PolicyStep{
				{Name: "The application is active and allows it.", Outcome: "passed", Rail: true},
				{Name: "Office hours", Outcome: "refused", Message: "Only 8 to 18 o'clock."},
				{Name: "Broken", Outcome: "failed", Message: "no such overload"},
				{Name: "Contractors", Outcome: "unasked"},
			},
		}},
		"console_policy_history":       PolicyHistoryPage{Page: framed(""), Now: now, Rows: []PolicyVersionRow{{Version: 3, Author: "an operator", At: now.Add(-time.Minute)}, row}, Older: "/admin/policies/history?below=2"},
		"console_policy_history_empty": PolicyHistoryPage{Page: framed(""), Now: now},
		"console_policy_version": PolicyVersionPage{
			Page: framed(""), PolicyVersionRow: row, Now: now, Action: "/admin/policies/history/2", Current: 3, Confirm: true,
			Lines: []PolicyLine{{" ", "rules:"}, {"-", "  - name: Office hours"}, {"+", "  - name: <b>Contractors</b>"}},
			Form:  Form{Version: "3", Problems: []string{"The password is not right."}, Groups: []FieldGroup{{Fields: []Field{{Name: "note", Label: "Why this change?", Hint: "It stands in the history."}}}}},
		},
	}
}
