package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// policyHistory lists the versions, the newest first.
func (s *Server) policyHistory(w http.ResponseWriter, r *http.Request, st *staff) error {
	const size = 25
	below, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("below"), "0"), 10, 64)
	if err != nil || below < 0 {
		return errNoPage
	}
	versions, err := s.store.Policies(r.Context(), below, size+1)
	if err != nil {
		return err
	}
	p := templates.PolicyHistoryPage{Page: s.consoleFrame(r, st), Now: time.Now()}
	if len(versions) > size {
		versions = versions[:size]
		p.Older = "/admin/policies/history?below=" + strconv.FormatInt(versions[size-1].Version, 10)
	}
	authors := make([]string, len(versions))
	for i, v := range versions {
		authors[i] = v.AuthorID
	}
	names, err := s.store.NamesOf(r.Context(), authors, nil, nil)
	if err != nil {
		return err
	}
	for _, v := range versions {
		p.Rows = append(p.Rows, templates.PolicyVersionRow{
			Version: v.Version, Author: cmp.Or(names.User(v.AuthorID), "an operator"), Note: v.Note, At: v.CreatedAt.Time(),
		})
	}
	return s.pages.PolicyHistory(w, http.StatusOK, p)
}

// policyVersion shows what a version changed.
func (s *Server) policyVersion(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showPolicyVersion(w, r, st, http.StatusOK, "", nil)
}

func (s *Server) showPolicyVersion(w http.ResponseWriter, r *http.Request, st *staff, status int, note string, wrong map[string]string) error {
	ctx := r.Context()
	version, err := s.versionOf(r)
	if err != nil {
		return err
	}
	current, err := s.store.CurrentPolicy(ctx)
	if err != nil {
		return err
	}
	before, err := s.store.Policy(ctx, version.Version-1)
	if errors.Is(err, storage.ErrNotFound) {
		before, err = &storage.Policy{}, nil
	}
	if err != nil {
		return err
	}
	author, err := s.policyAuthor(ctx, version)
	if err != nil {
		return err
	}
	p := templates.PolicyVersionPage{
		Page: s.consoleFrame(r, st), Now: time.Now(), Current: current.Version, Confirm: s.mustConfirm(st.Login), Problem: wrong,
		PolicyVersionRow: templates.PolicyVersionRow{Version: version.Version, Author: author, Note: version.Note, At: version.CreatedAt.Time()},
		Action:           r.URL.Path,
		Form: templates.Form{
			Version: strconv.FormatInt(current.Version, 10),
			Groups: []templates.FieldGroup{{Fields: []templates.Field{
				{Name: policyNote, Label: "Why this change?", Hint: "It stands in the history.", Value: note, Error: wrong[policyNote]},
			}}},
		},
	}
	for _, field := range []string{"", "password"} {
		if text := wrong[field]; text != "" {
			p.Form.Problems = append(p.Form.Problems, text)
		}
	}
	for _, line := range impersonation.DiffPolicies(before.Rules, version.Rules) {
		p.Lines = append(p.Lines, templates.PolicyLine{Op: string(line.Op), Text: line.Text})
	}
	return s.pages.PolicyVersion(w, status, p)
}

// versionOf returns the version that an address names.
func (s *Server) versionOf(r *http.Request) (*storage.Policy, error) {
	n, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil {
		return nil, errNoPage
	}
	version, err := s.store.Policy(r.Context(), n)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	return version, err
}

// restorePolicy makes the rules of an earlier version the newest.
func (s *Server) restorePolicy(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	version, err := s.versionOf(r)
	if err != nil {
		return err
	}
	rules, err := impersonation.ParsePolicy([]byte(version.Rules))
	if err != nil {
		return err
	}
	note := strings.TrimSpace(form.Get(policyNote))
	basedOn, err := strconv.ParseInt(form.Get("version"), 10, 64)
	if err != nil {
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The form is malformed."}
	}
	current, err := s.store.CurrentPolicy(r.Context())
	if err != nil {
		return err
	}
	if basedOn != current.Version { // before the page comes back with the version of now
		return s.showPolicyVersion(w, r, st, http.StatusConflict, note, map[string]string{"": policyMoved})
	}
	confirmed, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !confirmed {
		return s.showPolicyVersion(w, r, st, http.StatusForbidden, note, map[string]string{"password": message})
	}
	policy, err := impersonation.Compile(rules)
	if err == nil {
		_, err = s.provider.Impersonation.SetPolicy(r.Context(), policy, note, basedOn, s.by(r, st.Login), time.Now())
	}
	switch {
	case errors.Is(err, storage.ErrPolicyChanged):
		return s.showPolicyVersion(w, r, st, http.StatusConflict, note, map[string]string{"": policyMoved})
	case impersonation.RuleProblems(err) != nil:
		return s.showPolicyVersion(w, r, st, http.StatusBadRequest, note, ruleWrong(err, -1))
	case err != nil:
		return err
	}
	redirect(w, "/admin/policies?done=policy-saved")
	return nil
}
