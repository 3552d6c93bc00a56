package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// policyInForce returns the newest version of the policy and its rules; its version is
// 0 where none was ever saved.
func (s *Server) policyInForce(ctx context.Context) (*storage.Policy, []impersonation.Rule, error) {
	current, err := s.store.CurrentPolicy(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return &storage.Policy{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	rules, err := impersonation.ParsePolicy([]byte(current.Rules))
	return current, rules, err
}

// guardRails say what the guard rails ask.
var guardRails = map[string]string{
	"product":        "Signing in as others is switched on, and whoever asks does not act as somebody else already.",
	"caller":         "A program that asks in somebody's place may do so itself.",
	"actor":          "The actor is active and has the right to start.",
	"client":         "The application is active and allows it.",
	"form":           "There is a reason, a ticket where one is needed, a valid duration, and a password shown lately.",
	"subject":        "The user is active, within the actor's reach, not the actor, and not protected.",
	"organization":   "Actor, user and application meet in one organization.",
	"privileges":     "The user has no right that the actor lacks.",
	"support_access": "The user has not refused, and has allowed it where that is required.",
	"limits":         "The actor has not started too many.",
}

// policies lists the rules.
func (s *Server) policies(w http.ResponseWriter, r *http.Request, st *staff) error {
	current, rules, err := s.policyInForce(r.Context())
	if err != nil {
		return err
	}
	now := time.Now()
	p := templates.PoliciesPage{
		Page: s.consoleFrame(r, st), Version: current.Version, ChangedAt: current.CreatedAt.Time(), Now: now, Note: current.Note,
		Confirm: s.mustConfirm(st.Login),
	}
	if current.Version > 1 { // or there is nothing before it
		p.Bound = s.provider.Impersonation.OwnChangeHolds(current.AuthorID, current.CreatedAt.Time(), st.User.ID, now)
	}
	if p.Author, err = s.policyAuthor(r.Context(), current); err != nil {
		return err
	}
	for _, name := range impersonation.GuardRails() {
		p.Rails = append(p.Rails, guardRails[name])
	}
	for i, rule := range rules {
		p.Rules = append(p.Rules, templates.PolicyRule{
			Name: rule.Name, Comment: rule.Comment, When: rule.When, Message: rule.Message, Denies: rule.Effect == impersonation.EffectDeny,
			URL: "/admin/policies/rule?rule=" + url.QueryEscape(rule.Name), Owed: owedOf(rule.Oblige), First: i == 0, Last: i == len(rules)-1,
		})
	}
	return s.pages.Policies(w, http.StatusOK, p)
}

// policyAuthor is what whoever saved a version is called.
func (s *Server) policyAuthor(ctx context.Context, version *storage.Policy) (string, error) {
	names, err := s.store.NamesOf(ctx, []string{version.AuthorID}, nil, nil)
	return cmp.Or(names.User(version.AuthorID), "an operator"), err
}
