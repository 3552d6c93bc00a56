package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// ruleKinds are the rules that can be made from a few values, each with its fields and
// what they hold at first.
var ruleKinds = map[impersonation.RuleKind]struct {
	title, text string
	fields      []templates.Field
}{
	impersonation.KindOwnOrganization: {
		"Only my organization's users", "Staff act only in organizations that they are members of themselves.", nil,
	},
	impersonation.KindOfficeHours: {
		"Office hours", "Nobody acts as a user outside of them. What runs at closing time ends when its tokens are next renewed.", []templates.Field{
			{Name: "zone", Label: "Time zone", Hint: "Such as Europe/Berlin.", Value: "Europe/Berlin"},
			{Name: "from", Label: "From the hour", Hint: "A full hour, 0 to 23.", Value: "8"},
			{Name: "until", Label: "To the hour", Hint: "A full hour, 1 to 24.", Value: "18"},
			{Kind: templates.FieldCheck, Name: "weekends", Label: "Saturday and Sunday, too"},
		},
	},
	impersonation.KindTicket: {
		"A ticket of the help desk", "Each needs a ticket reference of your form.", []templates.Field{
			{Name: "pattern", Label: "It looks like", Hint: "A regular expression for the whole of it, such as SUP-[0-9]+.", Value: "SUP-[0-9]+"},
		},
	},
	impersonation.KindNever: {
		"Never these", "Nobody signs in as whoever has one of these roles, or is named.", []templates.Field{
			{Name: "roles", Label: "Roles", Hint: "With commas between them."},
			{Name: "users", Label: "Users", Hint: "E-mail addresses or ids, with commas between them."},
		},
	},
	impersonation.KindReadOnly: {
		"Read only", "These members of staff look, and change nothing.", []templates.Field{
			{Name: "roles", Label: "Roles", Hint: "With commas between them."},
			{Name: "organization", Label: "Members of the organization", Hint: "Its name or id."},
		},
	},
	impersonation.KindConsent: {
		"Users allow it themselves", "Users of this organization have to have allowed support to sign in as them.", []templates.Field{
			{Name: "organization", Label: "Organization", Hint: "Its name or id."},
		},
	},
	impersonation.KindApproval: {
		"Approval for what takes longer", "A second person has to approve what takes more than so many minutes.", []templates.Field{
			{Name: "minutes", Label: "Minutes without approval", Hint: "0 to 59.", Value: "15"},
		},
	},
}

// newRule offers the rules to begin with.
func (s *Server) newRule(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showNewRule(w, r, st, http.StatusOK, "", nil, nil)
}

// showNewRule renders the page; chosen is the kind whose values came back, with what is
// wrong with them.
func (s *Server) showNewRule(w http.ResponseWriter, r *http.Request, st *staff, status int, chosen string, typed url.Values, wrong map[string]string) error {
	p := templates.PolicyNewPage{Page: s.consoleFrame(r, st)}
	for _, kind := range impersonation.RuleKinds {
		k := ruleKinds[kind]
		form := templates.Form{Action: "/admin/policies/rule"}
		group := templates.FieldGroup{}
		for _, f := range k.fields {
			problem := wrong[f.Name]
			f.Name = partName(kind, f.Name)
			if string(kind) == chosen {
				f.Value, f.Checked, f.Error = typed.Get(f.Name), typed.Get(f.Name) == "on", problem
			}
			group.Fields = append(group.Fields, f)
		}
		form.Groups = []templates.FieldGroup{group}
		p.Kinds = append(p.Kinds, templates.PolicyKind{Kind: string(kind), Title: k.title, Text: k.text, Form: form})
	}
	return s.pages.PolicyNew(w, status, p)
}

// partName is what a value is called on a page that asks for several kinds.
func partName(kind impersonation.RuleKind, field string) string { return string(kind) + "_" + field }

// buildRule makes a rule from what was filled in, or says by field what is wrong.
func (s *Server) buildRule(ctx context.Context, kind impersonation.RuleKind, q url.Values) (impersonation.Rule, map[string]string, error) {
	text := func(name string) string { return strings.TrimSpace(q.Get(partName(kind, name))) }
	number := func(name string) int {
		n, err := strconv.Atoi(text(name))
		if err != nil {
			return -1
		}
		return n
	}
	parts := impersonation.RuleParts{
		Zone: text("zone"), From: number("from"), Until: number("until"), Weekends: text("weekends") == "on",
		Pattern: text("pattern"), Roles: commas(text("roles")), Users: commas(text("users")), Minutes: number("minutes"),
	}
	if name := text("organization"); name != "" {
		o, err := s.store.Organization(ctx, name)
		if errors.Is(err, storage.ErrNotFound) {
			return impersonation.Rule{}, map[string]string{"organization": "There is no such organization."}, nil
		}
		if err != nil {
			return impersonation.Rule{}, nil, err
		}
		parts.Organization = o.ID
	}
	rule, err := impersonation.BuildRule(kind, parts)
	if problems := impersonation.RuleProblems(err); problems != nil {
		return rule, map[string]string{problems[0].Field: cmp.Or(builtAdvice[problems[0].Field], problems[0].Text)}, nil
	}
	return rule, nil, err
}

// builtAdvice says what a value has to be.
var builtAdvice = map[string]string{
	"zone":         "There is no such time zone.",
	"until":        "These are full hours, the second later than the first.",
	"roles":        "Name at least one.",
	"organization": "Name an organization.",
	"minutes":      "This is a number, 0 to 59.",
}

// commas are the parts of a text between commas.
func commas(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
