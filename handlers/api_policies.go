package handlers

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// GetPolicy shows the rules in force.
func (a apiServer) GetPolicy(ctx context.Context, _ api.GetPolicyRequestObject) (api.GetPolicyResponseObject, error) {
	current, rules, err := a.policyInForce(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetPolicy200JSONResponse(policyShown(current, rules)), nil
}

// ReplacePolicy makes the rules of the request the next version.
func (a apiServer) ReplacePolicy(ctx context.Context, r api.ReplacePolicyRequestObject) (api.ReplacePolicyResponseObject, error) {
	rules, err := impersonation.Compile(rulesGiven(r.Body.Rules))
	if err != nil {
		return nil, err
	}
	saved, err := a.provider.Impersonation.SetPolicy(ctx, rules, value(r.Body.Note), r.Body.BasedOn, callOf(ctx).by(), time.Now())
	if err != nil {
		return nil, err
	}
	return api.ReplacePolicy200JSONResponse(policyShown(saved, rules.Rules())), nil
}

// ValidatePolicy says what is wrong with rules.
func (a apiServer) ValidatePolicy(_ context.Context, r api.ValidatePolicyRequestObject) (api.ValidatePolicyResponseObject, error) {
	_, err := impersonation.Compile(rulesGiven(r.Body.Rules))
	problems := impersonation.RuleProblems(err)
	if err != nil && problems == nil {
		return nil, err
	}
	answer := api.ValidatePolicy200JSONResponse{Valid: err == nil, Problems: []api.PolicyProblem{}}
	for _, p := range problems {
		shown := api.PolicyProblem{Name: unlessEmpty(p.Name), Field: p.Field, Message: p.Text}
		if p.Rule >= 0 {
			shown.Rule = &p.Rule
		}
		if p.Line > 0 {
			shown.Line, shown.Column = &p.Line, &p.Column
		}
		answer.Problems = append(answer.Problems, shown)
	}
	return answer, nil
}

// versionPlace is where a list of versions goes on.
type versionPlace struct {
	Version int64 `json:"version"`
}

// ListPolicies lists the versions.
func (a apiServer) ListPolicies(ctx context.Context, r api.ListPoliciesRequestObject) (api.ListPoliciesResponseObject, error) {
	at, err := place[versionPlace](ctx, a, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := pageLimit(r.Params.Limit)
	found, err := a.store.Policies(ctx, value(at).Version, limit+1)
	if err != nil {
		return nil, err
	}
	more := len(found) > limit
	if more {
		found = found[:limit]
	}
	page := api.ListPolicies200JSONResponse{Data: []api.PolicyVersion{}}
	for _, p := range found {
		page.Data = append(page.Data, api.PolicyVersion{
			Version: p.Version, Note: unlessEmpty(p.Note), AuthorID: unlessEmpty(p.AuthorID), CreatedAt: p.CreatedAt.Time(),
		})
	}
	page.NextCursor, err = next(ctx, a, found, more, func(p storage.Policy) versionPlace { return versionPlace{p.Version} })
	return page, err
}

// GetPolicyVersion shows one.
func (a apiServer) GetPolicyVersion(ctx context.Context, r api.GetPolicyVersionRequestObject) (api.GetPolicyVersionResponseObject, error) {
	p, err := a.store.Policy(ctx, r.Version)
	if err != nil {
		return nil, err
	}
	rules, err := impersonation.ParsePolicy([]byte(p.Rules))
	if err != nil {
		return nil, err
	}
	return api.GetPolicyVersion200JSONResponse(policyShown(p, rules)), nil
}

// ExplainImpersonation decides about somebody as somebody, and starts nothing.
func (a apiServer) ExplainImpersonation(ctx context.Context, r api.ExplainImpersonationRequestObject) (api.ExplainImpersonationResponseObject, error) {
	b := r.Body
	actor, err := a.reachableUser(ctx, b.ActorID)
	if err != nil {
		return nil, unknown("actor_id", err)
	}
	subject, err := a.reachableUser(ctx, b.UserID)
	if err != nil {
		return nil, unknown("user_id", err)
	}
	client, err := a.namedClient(ctx, b.ClientID)
	if err != nil {
		return nil, err
	}
	ask := impersonation.Ask{
		Actor: actor, SubjectID: subject.ID, Client: client, Organization: value(b.OrganizationID), Reason: value(b.Reason), TicketRef: value(b.TicketRef),
		Access: impersonation.ReadOnly, Duration: a.provider.Impersonation.Limits().DefaultDuration, Entry: "api", IP: value(b.IP), RequireSupportAccess: value(b.ValidateConsent),
	}
	if c := callOf(ctx); c.Organization != "" {
		if ask.Organization != "" && ask.Organization != c.Organization {
			return nil, unknown("organization_id", storage.ErrNotFound)
		}
		ask.Organization = c.Organization
	}
	if ask.Reason == "" {
		ask.Reason = "A question about the policy"
	}
	if b.Access != nil {
		ask.Access = impersonation.Access(*b.Access)
	}
	if b.Entry != nil {
		ask.Entry = string(*b.Entry)
	}
	if b.DurationMinutes != nil {
		ask.Duration = time.Duration(*b.DurationMinutes) * time.Minute
	}
	if ask.IP != "" {
		if _, err := netip.ParseAddr(ask.IP); err != nil {
			return nil, invalidField("ip", "is no address")
		}
	}
	now := time.Now()
	if b.At != nil {
		now = given(b.At).Time()
	}
	v, err := a.provider.Impersonation.Explain(ctx, ask, nil, now)
	if err != nil {
		return nil, err
	}
	answer := api.ExplainImpersonation200JSONResponse{
		Allowed: v.Allowed, Denial: unlessEmpty(string(v.Denial)), Rule: unlessEmpty(v.Rule), Message: unlessEmpty(v.Message),
		Access: api.Access(v.Access), DurationMinutes: int(v.Duration.Minutes()), Obligations: *obligationsShown(v.Obligations), Steps: []api.ExplanationStep{},
	}
	for _, step := range v.Steps {
		answer.Steps = append(answer.Steps, api.ExplanationStep{
			Kind: api.ExplanationStepKind(step.Kind), Name: step.Name, Outcome: api.ExplanationStepOutcome(step.Outcome), Message: unlessEmpty(step.Message),
		})
	}
	return answer, nil
}

// rulesGiven are the rules of a request.
func rulesGiven(given []api.PolicyRule) []impersonation.Rule {
	rules := make([]impersonation.Rule, len(given))
	for i, r := range given {
		rules[i] = impersonation.Rule{
			Name: r.Name, Comment: value(r.Comment), When: r.When, Effect: impersonation.Effect(r.Effect), Message: value(r.Message),
		}
		if o := r.Oblige; o != nil {
			rules[i].Oblige = impersonation.Obligations{
				SupportAccess: value(o.RequireSupportAccess), Approval: value(o.RequireApproval), Ticket: value(o.RequireTicket),
				TicketPattern: value(o.TicketPattern), ReadOnly: value(o.ReadOnly), Scopes: value(o.Scopes),
				MaxDuration: time.Duration(value(o.MaxDurationMinutes)) * time.Minute,
			}
		}
	}
	return rules
}

func policyShown(p *storage.Policy, rules []impersonation.Rule) api.Policy {
	shown := api.Policy{Version: p.Version, Rules: []api.PolicyRule{}, Note: unlessEmpty(p.Note), AuthorID: unlessEmpty(p.AuthorID), CreatedAt: orNull(p.CreatedAt)}
	for _, r := range rules {
		rule := api.PolicyRule{
			Name: r.Name, Comment: unlessEmpty(r.Comment), When: r.When, Effect: api.PolicyRuleEffect(r.Effect), Message: unlessEmpty(r.Message),
		}
		if r.Effect == impersonation.EffectOblige {
			rule.Oblige = obligationsShown(r.Oblige)
		}
		shown.Rules = append(shown.Rules, rule)
	}
	return shown
}

// obligationsShown says what is obliged to, and nothing else.
func obligationsShown(o impersonation.Obligations) *api.PolicyObligations {
	yes := func(on bool) *bool {
		if !on {
			return nil
		}
		return &on
	}
	shown := &api.PolicyObligations{
		RequireSupportAccess: yes(o.SupportAccess), RequireApproval: yes(o.Approval), RequireTicket: yes(o.Ticket),
		TicketPattern: unlessEmpty(o.TicketPattern), ReadOnly: yes(o.ReadOnly),
	}
	if o.MaxDuration != 0 {
		minutes := int(o.MaxDuration.Minutes())
		shown.MaxDurationMinutes = &minutes
	}
	if len(o.Scopes) > 0 {
		shown.Scopes = &o.Scopes
	}
	return shown
}

// ruleFieldError says at the member of a request what is wrong with a rule.
func ruleFieldError(p *impersonation.RuleProblem) api.FieldError {
	e := api.FieldError{Field: p.Field, Message: p.Text}
	if p.Rule >= 0 {
		field := p.Field
		switch field {
		case "ticket_pattern", "scopes":
			field = "oblige." + field
		case "max_duration":
			field = "oblige.max_duration_minutes"
		}
		e.Field = fmt.Sprintf("rules[%d].%s", p.Rule, field)
	}
	if p.Line > 0 {
		e.Message = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
	}
	return e
}
