package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// The fields of a rule's form.
const (
	ruleName    = "name"
	ruleWhen    = "when"
	ruleEffect  = "effect"
	ruleMessage = "message"
	ruleComment = "comment"
	policyNote  = "note"
)

// ruleFields are a rule's form, with what is wrong with what was typed.
func ruleFields(rule impersonation.Rule, minutes, note string, wrong map[string]string) []templates.FieldGroup {
	line := func(name, label, hint, value string) templates.Field {
		return templates.Field{Name: name, Label: label, Hint: hint, Value: value, Error: wrong[name]}
	}
	lines := func(name, label, hint, value string) templates.Field {
		f := line(name, label, hint, value)
		f.Kind = templates.FieldLines
		return f
	}
	check := func(name, label string, on bool) templates.Field {
		return templates.Field{Kind: templates.FieldCheck, Name: name, Label: label, Checked: on, Error: wrong[name]}
	}
	o := rule.Oblige
	return []templates.FieldGroup{
		{Fields: []templates.Field{
			line(ruleName, "Name", "", rule.Name),
			lines(ruleWhen, "Applies when", "CEL that is true or false. What it can ask about is listed below.", rule.When),
			{
				Kind: templates.FieldRadio, Name: ruleEffect, Label: "Then", Error: wrong[ruleEffect],
				Choices: []templates.Choice{
					{Value: string(impersonation.EffectDeny), Label: "Deny", Chosen: rule.Effect != impersonation.EffectOblige},
					{Value: string(impersonation.EffectOblige), Label: "Oblige to what is chosen below", Chosen: rule.Effect == impersonation.EffectOblige},
				},
			},
			line(ruleMessage, "Message", "What the actor reads.", rule.Message),
		}},
		{Title: "Obligations", Text: "Only for a rule that obliges.", Fields: []templates.Field{
			{Name: "oblige", Kind: templates.FieldCheck, Label: "Read only", Checked: o.ReadOnly, Error: wrong["oblige"]},
			line("max_duration", "At most so many minutes", "1 to 60; empty: no bound of its own.", minutes),
			line("scopes", "Only these scopes", "With spaces between them; openid is always left. Empty: all.", strings.Join(o.Scopes, " ")),
			check("require_ticket", "A ticket reference is needed", o.Ticket),
			line("ticket_pattern", "The ticket reference looks like", "A regular expression for the whole of it, such as SUP-[0-9]+.", o.TicketPattern),
			check("require_support_access", "The user has to have allowed it", o.SupportAccess),
			check("require_approval", "A second person has to approve it", o.Approval),
		}},
		{Title: "For those who read the rules", Fields: []templates.Field{
			lines(ruleComment, "Comment", "", rule.Comment),
			line(policyNote, "Why this change?", "It stands in the history.", note),
		}},
	}
}

// ruleOf reads a rule from its form.
func ruleOf(form url.Values) (rule impersonation.Rule, wrong map[string]string) {
	text := func(name string) string { return strings.ReplaceAll(strings.TrimSpace(form.Get(name)), "\r\n", "\n") }
	rule = impersonation.Rule{
		Name: text(ruleName), When: text(ruleWhen), Effect: impersonation.Effect(form.Get(ruleEffect)), Message: text(ruleMessage), Comment: text(ruleComment),
		Oblige: impersonation.Obligations{
			ReadOnly: form.Get("oblige") == "on", Ticket: form.Get("require_ticket") == "on", TicketPattern: text("ticket_pattern"),
			SupportAccess: form.Get("require_support_access") == "on", Approval: form.Get("require_approval") == "on",
			Scopes: strings.Fields(form.Get("scopes")),
		},
	}
	if minutes := text("max_duration"); minutes != "" {
		n, err := strconv.Atoi(minutes)
		if err != nil || n < 1 || n > 60 {
			return rule, map[string]string{"max_duration": "This is a number of minutes, 1 to 60."}
		}
		rule.Oblige.MaxDuration = time.Duration(n) * time.Minute
	}
	return rule, nil
}

// ruleForm shows the page of a rule: of one that is saved, of a new one, or of one that
// was made from a few values.
func (s *Server) ruleForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	current, rules, err := s.policyInForce(r.Context())
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if kind := q.Get("kind"); kind != "" {
		rule, wrong, err := s.buildRule(r.Context(), impersonation.RuleKind(kind), q)
		if err != nil {
			return err
		}
		if wrong != nil {
			return s.showNewRule(w, r, st, http.StatusBadRequest, kind, q, wrong)
		}
		for n := 2; slices.ContainsFunc(rules, func(other impersonation.Rule) bool { return other.Name == rule.Name }); n++ {
			rule.Name = strings.TrimSuffix(rule.Name, " "+strconv.Itoa(n-1)) + " " + strconv.Itoa(n)
		}
		return s.showRule(w, r, st, http.StatusOK, "", current.Version, rule, "", nil)
	}
	name := q.Get("rule")
	if name == "" {
		return s.showRule(w, r, st, http.StatusOK, "", current.Version, impersonation.Rule{}, "", nil)
	}
	i := slices.IndexFunc(rules, func(rule impersonation.Rule) bool { return rule.Name == name })
	if i < 0 {
		return errNoPage
	}
	return s.showRule(w, r, st, http.StatusOK, name, current.Version, rules[i], "", nil)
}

// showRule renders the page of a rule. What is wrong is by field; that of no field is
// under the empty name.
func (s *Server) showRule(
	w http.ResponseWriter, r *http.Request, st *staff, status int, name string, version int64, rule impersonation.Rule, note string, wrong map[string]string,
) error {
	minutes := r.PostForm.Get("max_duration") // as it was typed
	if d := rule.Oblige.MaxDuration; d != 0 {
		minutes = strconv.Itoa(int(d.Minutes()))
	}
	p := templates.PolicyRulePage{
		Page: s.consoleFrame(r, st), Rule: name, Confirm: s.mustConfirm(st.Login), Problem: map[string]string{"password": wrong["password"]},
		Form: templates.Form{
			Action: "/admin/policies/rule", Version: strconv.FormatInt(version, 10), Groups: ruleFields(rule, minutes, note, wrong),
		},
	}
	for _, field := range []string{"", "rules", "password"} {
		if text := wrong[field]; text != "" {
			p.Form.Problems = append(p.Form.Problems, text)
		}
	}
	for _, v := range impersonation.Variables() {
		p.Variables = append(p.Variables, templates.PolicyVariable{Name: v.Name, Type: v.Type, Doc: v.Doc})
	}
	return s.pages.PolicyRule(w, status, p)
}

// What is said where somebody else was first.
const (
	policyChanged = "Somebody changed the policy meanwhile. What you typed is still here: look at the rules before you save it."
	policyMoved   = "Somebody changed the policy meanwhile. Look at the rules before you save it."
)

// saveRule saves a rule, moves it or takes it away: each makes a version.
func (s *Server) saveRule(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	current, rules, err := s.policyInForce(r.Context())
	if err != nil {
		return err
	}
	name, action := form.Get("rule"), form.Get("action")
	i := slices.IndexFunc(rules, func(rule impersonation.Rule) bool { return name != "" && rule.Name == name })
	stale := form.Get("version") != strconv.FormatInt(current.Version, 10)
	var rule impersonation.Rule
	var wrong map[string]string
	switch {
	case action == "save":
		rule, wrong = ruleOf(form)
		if stale && i < 0 {
			name = "" // it is gone, and what was typed can be a new one
		}
	case i >= 0:
		rule = rules[i]
	case stale: // there is nothing to move or remove any more
		redirect(w, "/admin/policies")
		return nil
	}
	refuse := func(status int, wrong map[string]string) error {
		return s.showRule(w, r, st, status, name, current.Version, rule, form.Get(policyNote), wrong)
	}
	if stale { // before anything else: the page comes back with the version of now
		return refuse(http.StatusConflict, map[string]string{"": policyChanged})
	}
	if wrong != nil {
		return refuse(http.StatusBadRequest, wrong)
	}
	after, ok := changedRules(rules, i, rule, action)
	if !ok || name != "" && i < 0 {
		return errNoPage
	}
	i = slices.IndexFunc(after, func(other impersonation.Rule) bool { return other.Name == rule.Name })
	policy, err := impersonation.Compile(after)
	if err != nil {
		return refuse(http.StatusBadRequest, ruleWrong(err, i))
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !confirmed {
		return refuse(http.StatusForbidden, map[string]string{"password": message})
	}
	_, err = s.provider.Impersonation.SetPolicy(r.Context(), policy, strings.TrimSpace(form.Get(policyNote)), current.Version, s.by(r, st.Login), time.Now())
	switch {
	case errors.Is(err, storage.ErrPolicyChanged):
		return refuse(http.StatusConflict, map[string]string{"": policyChanged})
	case impersonation.RuleProblems(err) != nil:
		return refuse(http.StatusBadRequest, ruleWrong(err, i))
	case err != nil:
		return err
	}
	redirect(w, "/admin/policies?done=policy-saved")
	return nil
}

// changedRules returns the rules after an action on the one at a place, -1 being none.
// False: there is no such action.
func changedRules(rules []impersonation.Rule, at int, rule impersonation.Rule, action string) ([]impersonation.Rule, bool) {
	after := slices.Clone(rules)
	switch {
	case action == "save" && at < 0:
		return append(after, rule), true
	case at < 0:
		return nil, false
	case action == "save":
		after[at] = rule
	case action == "delete":
		after = slices.Delete(after, at, at+1)
	case action == "up" && at > 0:
		after[at], after[at-1] = after[at-1], after[at]
	case action == "down" && at < len(after)-1:
		after[at], after[at+1] = after[at+1], after[at]
	case action != "up" && action != "down":
		return nil, false
	}
	return after, true
}

// ruleWrong says by field what is wrong with the rule at a place, and under the empty
// name what is wrong with others.
func ruleWrong(err error, at int) map[string]string {
	wrong := map[string]string{}
	for _, p := range impersonation.RuleProblems(err) {
		text := p.Text
		if p.Line > 0 {
			text = "Line " + strconv.Itoa(p.Line) + ", column " + strconv.Itoa(p.Column) + ": " + p.Text
		}
		field := p.Field
		if p.Rule != at && p.Rule >= 0 {
			field, text = "", p.Error()
		}
		if wrong[field] == "" {
			wrong[field] = text
		}
	}
	return wrong
}
