package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// policyTest shows the panel in which the policy is tried.
func (s *Server) policyTest(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showPolicyTest(w, r, st, http.StatusOK, url.Values{}, nil, nil)
}

// tryPolicy decides about what was filled in, and starts nothing.
func (s *Server) tryPolicy(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	ask, rules, now, wrong, err := s.tried(r.Context(), form)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return s.showPolicyTest(w, r, st, http.StatusBadRequest, form, wrong, nil)
	}
	v, err := s.provider.Impersonation.Explain(r.Context(), ask, rules, now)
	if err != nil {
		return err
	}
	names, err := s.store.NamesOf(r.Context(), []string{ask.Actor.ID, ask.SubjectID}, []string{ask.Client.ID}, nil)
	if err != nil {
		return err
	}
	shown := &templates.PolicyVerdict{
		Allowed: v.Allowed, Rule: v.Rule, Message: v.Message, Access: string(v.Access), Minutes: int(v.Duration.Minutes()), Owed: owedOf(v.Obligations),
		ActorName: names.User(ask.Actor.ID), SubjectName: names.User(ask.SubjectID), ClientName: names.Client(ask.Client.ID),
	}
	for _, step := range v.Steps {
		name := step.Name
		if step.Kind == impersonation.StepGuardRail {
			name = guardRails[name]
		}
		shown.Steps = append(shown.Steps, templates.PolicyStep{
			Name: name, Outcome: string(step.Outcome), Message: step.Message, Rail: step.Kind == impersonation.StepGuardRail,
		})
	}
	return s.showPolicyTest(w, r, st, http.StatusOK, form, nil, shown)
}

// tried reads what is to be decided about, or says by field what is wrong with it.
func (s *Server) tried(ctx context.Context, form url.Values) (ask impersonation.Ask, rules *impersonation.Policy, now time.Time, wrong map[string]string, err error) {
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	wrong, now = map[string]string{}, time.Now()
	missing := func(field, message string, err error) error {
		if errors.Is(err, storage.ErrNotFound) {
			wrong[field] = message
			return nil
		}
		return err
	}
	actor, actorErr := s.store.FindUser(ctx, text("actor"))
	subject, subjectErr := s.store.FindUser(ctx, text("subject"))
	client, clientErr := s.store.Client(ctx, text("client_id"))
	err = errors.Join(missing("actor", noSuchUser, actorErr), missing("subject", noSuchUser, subjectErr), missing("client_id", "Choose an application.", clientErr))
	if err != nil {
		return ask, nil, now, nil, err
	}
	ask = impersonation.Ask{
		Actor: actor, Client: client, Reason: text("reason"), TicketRef: text("ticket_ref"), Entry: cmp.Or(text("entry"), "consent"), IP: text("ip"),
		Access: impersonation.Access(cmp.Or(text("access"), string(impersonation.ReadOnly))), Duration: s.provider.Impersonation.Limits().DefaultDuration,
	}
	if subject != nil {
		ask.SubjectID = subject.ID
	}
	if name := text("organization"); name != "" {
		o, err := s.store.Organization(ctx, name)
		if err = missing("organization", "There is no such organization.", err); err != nil {
			return ask, nil, now, nil, err
		}
		if o != nil {
			ask.Organization = o.ID
		}
	}
	if minutes := text("duration"); minutes != "" {
		n, err := strconv.Atoi(minutes)
		if err != nil || n < 1 || n > 24*60 {
			wrong["duration"] = "This is a number of minutes."
		}
		ask.Duration = time.Duration(n) * time.Minute
	}
	if at := text("at"); at != "" {
		var err error
		if now, err = time.Parse("2006-01-02T15:04", at); err != nil {
			wrong["at"] = "Type it like 2026-03-14T15:09."
		}
	}
	if !slices.ContainsFunc(entries, func(e [2]string) bool { return e[0] == ask.Entry }) {
		wrong["entry"] = "Choose one of these."
	}
	if ask.IP != "" {
		if _, err := netip.ParseAddr(ask.IP); err != nil {
			wrong["ip"] = "This is no address."
		}
	}
	if other := form.Get("rules"); strings.TrimSpace(other) != "" {
		parsed, problem := impersonation.ParsePolicy([]byte(other))
		if problem == nil {
			rules, problem = impersonation.Compile(parsed)
		}
		if problem != nil {
			wrong["rules"] = problem.Error()
		}
	}
	return ask, rules, now, wrong, nil
}

// entries are how something is started.
var entries = [][2]string{
	{"consent", "from the consent page"}, {"console", "from the console"}, {"api", "by API"}, {"token_exchange", "by token exchange"},
}

// showPolicyTest renders the panel with what was filled in.
func (s *Server) showPolicyTest(w http.ResponseWriter, r *http.Request, st *staff, status int, form url.Values, wrong map[string]string, v *templates.PolicyVerdict) error {
	clients, err := s.store.Clients(r.Context())
	if err != nil {
		return err
	}
	line := func(name, label, hint, usual string) templates.Field {
		value := form.Get(name)
		if form.Get("actor") == "" && value == "" {
			value = usual
		}
		return templates.Field{Name: name, Label: label, Hint: hint, Value: value, Error: wrong[name]}
	}
	application := line("client_id", "Application", "", "")
	application.Kind = templates.FieldSelect
	for _, c := range clients {
		application.Choices = append(application.Choices, templates.Choice{Value: c.ID, Label: c.Name, Chosen: c.ID == form.Get("client_id")})
	}
	choice := func(name, label string, values ...[2]string) templates.Field {
		f := line(name, label, "", "")
		f.Kind = templates.FieldSelect
		for _, v := range values {
			f.Choices = append(f.Choices, templates.Choice{Value: v[0], Label: v[1], Chosen: v[0] == form.Get(name)})
		}
		return f
	}
	rules := line("rules", "Other rules than those in force", "As in the file of “understudy policy show”; empty: those in force.", "")
	rules.Kind = templates.FieldLines
	return s.pages.PolicyTest(w, status, templates.PolicyTestPage{
		Page: s.consoleFrame(r, st), Verdict: v,
		Form: templates.Form{Action: "/admin/policies/test", Groups: []templates.FieldGroup{
			{Fields: []templates.Field{
				line("actor", "Actor", "Their e-mail address or id.", st.User.Email),
				line("subject", "User", "Their e-mail address or id.", ""),
				application,
				line("organization", "Organization", "Its name or id; empty: the user's only one.", ""),
			}},
			{Fields: []templates.Field{
				line("reason", "Reason", "", "A test of the policy"),
				line("ticket_ref", "Ticket", "", ""),
				choice("access", "Access", [2]string{"read_only", "Read only"}, [2]string{"full", "Full"}),
				choice("entry", "Started", entries...),
				line("duration", "Ends after", "Minutes.", strconv.Itoa(int(s.provider.Impersonation.Limits().DefaultDuration.Minutes()))),
				line("at", "At", "Like 2026-03-14T15:09, in UTC; empty: now.", ""),
				line("ip", "From the address", "Empty: not known.", ""),
				rules,
			}},
		}},
	})
}
