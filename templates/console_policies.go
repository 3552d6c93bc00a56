package templates

import (
	"net/http"
	"time"
)

// PoliciesPage lists the rules of the policy in their order.
type PoliciesPage struct {
	Page
	Version   int64 // 0: there never was one
	Author    string
	ChangedAt time.Time
	Now       time.Time
	Note      string
	Rails     []string // what the guard rails ask, which nobody changes
	Rules     []PolicyRule
	Bound     time.Time // until then the version before binds who reads this, too; zero: it does not
	Confirm   bool      // moving a rule asks for the password on its page
}

// PolicyRule is a rule in the list.
type PolicyRule struct {
	Name, Comment, When, Message string
	URL                          string
	Denies                       bool
	Owed                         Owed
	First, Last                  bool
}

// Policies posts action, rule and version to /admin/policies/rule.
func (s *Set) Policies(w http.ResponseWriter, status int, p PoliciesPage) error {
	return s.render(w, status, "console/policies", p)
}

// PolicyRulePage edits a rule or adds one. Its form posts the fields of Form, rule (its
// name before), version, and action: save, delete, up or down.
type PolicyRulePage struct {
	Page
	Form      Form
	Rule      string // its name as it is saved; empty: it is new
	Variables []PolicyVariable
	Confirm   bool
	Problem   map[string]string // of password
}

// PolicyVariable is something that a rule can ask about.
type PolicyVariable struct{ Name, Type, Doc string }

// PolicyRule posts to p.Form.Action.
func (s *Set) PolicyRule(w http.ResponseWriter, status int, p PolicyRulePage) error {
	return s.render(w, status, "console/policy_rule", p)
}

// PolicyNewPage offers rules to begin with, each made from a few values.
type PolicyNewPage struct {
	Page
	Kinds []PolicyKind
}

// PolicyKind is a rule that can be made. Its form gets Form.Action.
type PolicyKind struct {
	Kind, Title, Text string
	Form              Form
	Open              bool
}

// PolicyNew has a form for each kind, which leads to the page of the rule.
func (s *Set) PolicyNew(w http.ResponseWriter, status int, p PolicyNewPage) error {
	return s.render(w, status, "console/policy_new", p)
}

// PolicyTestPage tries what the policy makes of somebody who acts as somebody.
type PolicyTestPage struct {
	Page
	Form    Form
	Verdict *PolicyVerdict // nil: nothing was tried yet
}

// PolicyVerdict is what was decided, and how.
type PolicyVerdict struct {
	Allowed                            bool
	Rule, Message                      string // which refused, and what it says
	ActorName, SubjectName, ClientName string
	Access                             string // as it would be granted
	Minutes                            int
	Owed                               Owed
	Steps                              []PolicyStep
}

// PolicyStep is what became of a guard rail or a rule: its Outcome is passed, refused,
// failed, obliges, not or unasked.
type PolicyStep struct {
	Name, Outcome, Message string
	Rail                   bool
}

// PolicyTest posts to p.Form.Action.
func (s *Set) PolicyTest(w http.ResponseWriter, status int, p PolicyTestPage) error {
	return s.render(w, status, "console/policy_test", p)
}

// PolicyHistoryPage lists the versions.
type PolicyHistoryPage struct {
	Page
	Rows  []PolicyVersionRow
	Older string // the page after this one
	Now   time.Time
}

// PolicyVersionRow is a version in a list.
type PolicyVersionRow struct {
	Version      int64
	Author, Note string
	At           time.Time
}

// PolicyHistory has no form.
func (s *Set) PolicyHistory(w http.ResponseWriter, status int, p PolicyHistoryPage) error {
	return s.render(w, status, "console/policy_history", p)
}

// PolicyVersionPage shows what a version changed. Where it is not in force its form
// posts version, note and password to Action, to bring it back.
type PolicyVersionPage struct {
	Page
	PolicyVersionRow
	Now     time.Time
	Lines   []PolicyLine
	Action  string
	Current int64
	Form    Form
	Confirm bool
	Problem map[string]string
}

// PolicyLine is one of a comparison: its Op is +, - or a space.
type PolicyLine struct{ Op, Text string }

// PolicyVersion posts to p.Action.
func (s *Set) PolicyVersion(w http.ResponseWriter, status int, p PolicyVersionPage) error {
	return s.render(w, status, "console/policy_version", p)
}
