package handlers_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// The rules from none to the third version, what is wrong with them, and what they make
// of somebody.
func TestAPIPolicies(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := everyPermission(t, idp)
		var p api.Policy
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/policies", nil).Into(t, &p)
		if p.Version != 0 || len(p.Rules) != 0 || p.CreatedAt != nil {
			t.Errorf("before the first: %+v", p)
		}
		ask(t, idp, key, http.StatusOK, http.MethodPut, "/policies", `{"based_on": 0, "note": "the first", "rules": [
			{"name": "never Ada", "when": "subject.id == \"usr_ada\"", "effect": "deny", "message": "Ada is on holiday.", "comment": "until May"},
			{"name": "look", "when": "true", "effect": "oblige", "oblige": {"read_only": true, "max_duration_minutes": 10, "scopes": ["email"], "require_ticket": true, "ticket_pattern": "SUP-[0-9]+"}}
		]}`).Into(t, &p)
		if p.Version != 1 || len(p.Rules) != 2 || *p.Rules[1].Oblige.MaxDurationMinutes != 10 || p.Rules[1].Oblige.RequireApproval != nil || *p.Note != "the first" || *p.AuthorID == "" {
			t.Errorf("saved: %+v", p)
		}
		if saved := recorded(t, idp, storage.EventPolicyUpdated); len(saved) != 1 || saved[0].ActorID != *p.AuthorID {
			t.Errorf("recorded: %+v", saved)
		}
		ask(t, idp, key, http.StatusConflict, http.MethodPut, "/policies", `{"based_on": 0, "rules": []}`)
		w := ask(t, idp, key, http.StatusBadRequest, http.MethodPut, "/policies", `{"based_on": 1, "rules": [{"name": "x", "when": "actor.idd == ''", "effect": "oblige"}]}`)
		fields := []string{}
		for _, e := range *w.Problem(t).Errors {
			fields = append(fields, e.Field)
		}
		if !slices.Equal(fields, []string{"rules[0].oblige", "rules[0].when"}) {
			t.Errorf("wrong: %v", fields)
		}
		var wrong api.PolicyProblems
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/policies/validate", `{"rules": [{"name": "x", "when": "true &&\n nothing", "effect": "deny"}]}`).Into(t, &wrong)
		if wrong.Valid || len(wrong.Problems) != 1 || *wrong.Problems[0].Line != 2 || *wrong.Problems[0].Column != 2 || *wrong.Problems[0].Rule != 0 {
			t.Errorf("validated: %+v", wrong)
		}
		wrong = api.PolicyProblems{}
		ask(t, idp, key, http.StatusOK, http.MethodPost, "/policies/validate", `{"rules": [{"name": "x", "when": "true", "effect": "deny"}]}`).Into(t, &wrong)
		if !wrong.Valid || len(wrong.Problems) != 0 {
			t.Errorf("validated: %+v", wrong)
		}

		explain := func(body string) api.Explanation {
			t.Helper()
			var e api.Explanation
			ask(t, idp, key, http.StatusOK, http.MethodPost, "/impersonations/explain", body).Into(t, &e)
			return e
		}
		e := explain(`{"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "app"}`)
		if e.Allowed || *e.Denial != "policy" || *e.Rule != "never Ada" || *e.Message != "Ada is on holiday." {
			t.Errorf("as Ada: %+v", e)
		}
		e = explain(`{"actor_id": "usr_sam", "user_id": "usr_linus", "client_id": "app"}`)
		if e.Allowed || *e.Denial != "ticket_ref" || *e.Rule != "look" {
			t.Errorf("without a ticket: %+v", e)
		}
		e = explain(`{"actor_id": "usr_sam", "user_id": "usr_linus", "client_id": "app", "ticket_ref": "SUP-1", "access": "full", "duration_minutes": 30, "at": "2026-03-14T15:09:26Z", "ip": "192.0.2.1"}`)
		if !e.Allowed || e.Access != "read_only" || e.DurationMinutes != 10 || !slices.Equal(*e.Obligations.Scopes, []string{"openid", "email"}) || e.Denial != nil {
			t.Errorf("with one: %+v", e)
		}
		if kinds := len(e.Steps); kinds < 11 || e.Steps[kinds-1].Outcome != "obliges" || e.Steps[kinds-2].Outcome != "not" || e.Steps[0].Kind != "guard_rail" {
			t.Errorf("steps: %+v", e.Steps)
		}
		ask(t, idp, key, http.StatusBadRequest, http.MethodPost, "/impersonations/explain", `{"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "app", "ip": "here"}`)

		ask(t, idp, key, http.StatusOK, http.MethodPut, "/policies", `{"based_on": 1, "rules": [{"name": "no exchanges", "when": "entry == 'token_exchange'", "effect": "deny"}]}`)
		for entry, allowed := range map[string]bool{"": true, `, "entry": "api"`: true, `, "entry": "token_exchange"`: false} {
			if e := explain(`{"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "app"` + entry + `}`); e.Allowed != allowed {
				t.Errorf("started%s: %+v", entry, e)
			}
		}
		for said, want := range map[string]api.Access{"": "read_only", `, "access": "read_only"`: "read_only", `, "access": "full"`: "full"} {
			if e := explain(`{"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "app"` + said + `}`); e.Access != want {
				t.Errorf("asked%s: got %s, want %s", said, e.Access, want)
			}
		}

		for i := range 2 {
			ask(t, idp, key, http.StatusOK, http.MethodPut, "/policies", fmt.Sprintf(`{"based_on": %d, "rules": []}`, i+2))
		}
		var page api.PolicyList
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/policies/versions?limit=3", nil).Into(t, &page)
		if len(page.Data) != 3 || page.Data[0].Version != 4 || page.NextCursor == nil {
			t.Fatalf("history: %+v", page)
		}
		cursor := *page.NextCursor
		page = api.PolicyList{}
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/policies/versions?limit=3&cursor="+cursor, nil).Into(t, &page)
		if len(page.Data) != 1 || page.Data[0].Version != 1 || page.NextCursor != nil {
			t.Errorf("history, on: %+v", page)
		}
		p = api.Policy{}
		ask(t, idp, key, http.StatusOK, http.MethodGet, "/policies/versions/1", nil).Into(t, &p)
		if len(p.Rules) != 2 || *p.Rules[0].Comment != "until May" {
			t.Errorf("version 1: %+v", p)
		}
	})
}

// F08: whoever is limited to an organization asks about its people and in it; whether
// there is anybody else they do not learn.
func TestAPIExplainWithin(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: manyCalls})
	enroll(t, idp, "tim", "")
	within(t, idp, "tim", "support", "org_globex")
	key := idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)
	var e api.Explanation
	ask(t, idp, key, http.StatusOK, http.MethodPost, "/impersonations/explain", `{"actor_id": "usr_tim", "user_id": "usr_grace", "client_id": "app"}`).Into(t, &e)
	if !e.Allowed {
		t.Errorf("got %+v", e)
	}
	var bodies []string
	for _, body := range []string{
		`{"actor_id": "usr_tim", "user_id": "usr_linus", "client_id": "app"}`,
		`{"actor_id": "usr_tim", "user_id": "usr_nobody", "client_id": "app"}`,
		`{"actor_id": "usr_sam", "user_id": "usr_grace", "client_id": "app"}`,
		`{"actor_id": "usr_tim", "user_id": "usr_grace", "client_id": "app", "organization_id": "org_initech"}`,
	} {
		p := ask(t, idp, key, http.StatusBadRequest, http.MethodPost, "/impersonations/explain", body).Problem(t)
		p.RequestID = ""
		bodies = append(bodies, fmt.Sprintf("%+v", p.Code))
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Errorf("told apart: %q", bodies)
	}
	ask(t, idp, key, http.StatusForbidden, http.MethodGet, "/policies", nil)
}
