package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// drawnRules are rules that say something about the people of drawnPeople, at random.
func drawnRules(t *rapid.T) []impersonation.Rule {
	conditions := []string{
		`"support" in actor.roles`, `"auditor" in actor.roles_anywhere`, `organization == "org_globex"`, `"org_initech" in subject.organizations`,
		`subject.roles != []`, `access == "full"`, `access == "read_only"`, `duration > duration("15m")`, `duration <= duration("10m")`, `ticket_ref == ""`,
		`ticket_ref.matches("^T-[0-9]+$")`, `"impersonation:privileged" in actor.permissions`, `entry == "consent"`, `reason.contains("invoice")`,
		`actor.organizations.exists(o, o in subject.organizations)`, `client.scopes.exists(s, s.endsWith(":write"))`, `subject.support_access == "none"`,
		`ip != ""`, `subject.organizations[0] == "org_globex"`, "true",
	}
	duties := []impersonation.Obligations{
		{ReadOnly: true},
		{MaxDuration: 10 * time.Minute},
		{MaxDuration: 20 * time.Minute},
		{Scopes: []string{"email", "api:read"}},
		{Scopes: []string{"api:read", "api:write"}},
		{Ticket: true},
		{TicketPattern: "T-[0-9]+"},
		{SupportAccess: true},
		{Approval: true},
	}
	var rules []impersonation.Rule
	for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
		r := impersonation.Rule{Name: fmt.Sprintf("rule %d", i), Effect: impersonation.EffectDeny, When: rapid.SampledFrom(conditions).Draw(t, "when")}
		if rapid.Bool().Draw(t, "and more") {
			r.When += " && " + rapid.SampledFrom(conditions).Draw(t, "more")
		}
		if rapid.IntRange(0, 3).Draw(t, "obliges") > 0 {
			r.Effect, r.Oblige = impersonation.EffectOblige, rapid.SampledFrom(duties).Draw(t, "duty")
		}
		rules = append(rules, r)
	}
	return rules
}

// drawnPlaces gives somebody roles and memberships at random, in place of those they
// have; from the given roles.
func drawnPlaces(t *rapid.T, tx *storage.Tx, ctx context.Context, userID string, roles []string, now time.Time) error {
	for _, role := range roles {
		if err := tx.RevokeRole(ctx, userID, role); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if rapid.IntRange(0, 2).Draw(t, userID+" is "+role) == 0 {
			if err := tx.GrantRole(ctx, userID, role, now); err != nil {
				return err
			}
		}
	}
	for _, organization := range []string{"org_globex", "org_initech"} {
		if err := tx.RemoveMember(ctx, organization, userID); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if rapid.Bool().Draw(t, userID+" of "+organization) {
			role := rapid.SampledFrom(append([]string{"", ""}, roles...)).Draw(t, userID+" there")
			if err := tx.AddMember(ctx, organization, userID, role, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// What is said to somebody who asks beforehand is what then happens: the same is
// decided when the form is sent, the tokens are what was said, and while nothing changes
// the code is exchanged. And no token is of a subject who may more than its actor.
//
// A02, A03, T03: with roles, organizations and rules at random.
func TestExplainAgrees(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	enroll(t, idp, "asker", "")
	enroll(t, idp, "asked", "")
	addClient(t, idp, "tried", func(*storage.Client) {})
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		ctx, now := t.Context(), time.Now()
		roles := []string{"support", "auditor", "admin"}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := drawnPlaces(rt, tx, ctx, "usr_asker", roles, now); err != nil {
				return err
			}
			if rapid.IntRange(0, 3).Draw(rt, "may start") > 0 {
				if err := tx.GrantRole(ctx, "usr_asker", "support", now); err != nil {
					return err
				}
			}
			return drawnPlaces(rt, tx, ctx, "usr_asked", rapid.SampledFrom([][]string{nil, nil, {"auditor"}, roles}).Draw(rt, "of the subject"), now)
		})
		execute(t, idp, `DELETE FROM throttles`) // or many refusals would be one of their own
		setPolicy(t, idp, drawnRules(rt)...)
		form := having(
			"organization", rapid.SampledFrom([]string{"", "", "org_globex", "org_initech"}).Draw(rt, "organization"),
			"ticket_ref", rapid.SampledFrom([]string{"", "T-1", "other"}).Draw(rt, "ticket"),
			"access", rapid.SampledFrom([]string{"full", "read_only"}).Draw(rt, "access"),
			"duration", rapid.SampledFrom([]string{"5", "15", "30", "60"}).Draw(rt, "minutes"),
		)
		wish := idptest.Wish("usr_asked", form)
		v := explained(t, idp, wish)
		standing := func(id string) storage.Standing {
			s, err := idp.Store.Standing(ctx, id)
			check(t, err)
			return s
		}
		b := person(t, idp, "asker")
		at, _ := b.Follow(asking("client_id", "tried", "prompt", "select_account", "scope", "openid email api:read api:write"))
		if !strings.HasPrefix(at, "/consent/") { // whoever may start nowhere is not asked
			if v.Allowed {
				rt.Fatalf("explained as %+v, not asked", v)
			}
			seen[string(v.Denial)]++
			return
		}
		w := b.Post(at, wish)
		code := w.Location().Query().Get("code")
		if v.Allowed != (code != "") {
			rt.Fatalf("explained as %+v, answered with %d %s", v, w.Status, textOf(w, "error-summary"))
		}
		seen[string(v.Denial)]++
		if !v.Allowed {
			denied := recorded(t, idp, storage.EventImpersonationDenied)
			last := denied[len(denied)-1]
			if last.Data["denial"] != string(v.Denial) || v.Rule != "" && last.Data["rule"] != v.Rule {
				rt.Fatalf("explained as %s of %q, refused as %v", v.Denial, v.Rule, last.Data)
			}
			return
		}
		answer := idp.Call("/oauth2/token", "tried", idptest.Secret, idptest.Exchange(code, nil))
		if answer.Status != http.StatusOK {
			rt.Fatalf("explained as %+v, exchanged with %d %s", v, answer.Status, answer.Body)
		}
		tokens := answer.JSON(t)
		running := tokens["impersonation"].(map[string]any)
		i, err := idp.Store.Impersonation(ctx, running["id"].(string))
		check(t, err)
		if running["access"] != string(v.Access) || i.ExpiresAt.Time().Sub(i.StartedAt.Time()) != v.Duration {
			rt.Fatalf("explained as %s for %v, got %+v", v.Access, v.Duration, i)
		}
		for scope := range strings.FieldsSeq(tokens["scope"].(string)) {
			if len(v.Scopes) > 0 && !slices.Contains(v.Scopes, scope) || v.Access == impersonation.ReadOnly && scope == "api:write" {
				rt.Fatalf("explained as %+v, got the scope %s", v, scope)
			}
		}
		actor, subject := standing("usr_asker"), standing("usr_asked")
		for place, held := range subject.Within {
			for _, permission := range append(slices.Clone(held), subject.Everywhere...) {
				if !actor.May(permission, place) {
					rt.Fatalf("a token of somebody who may %s in %s, which its actor may not", permission, place)
				}
			}
		}
		for _, permission := range subject.Everywhere {
			if !actor.May(permission, "") {
				rt.Fatalf("a token of somebody who may %s, which its actor may not", permission)
			}
		}
		check(t, idp.Provider.Impersonation.EndAll(ctx, storage.Cause{}, time.Now()))
	})
	if !testing.Short() && (seen[""] == 0 || seen["policy"] == 0 || len(seen) < 5) {
		t.Errorf("the attempts prove nothing: %v", seen)
	}
}

// explained is what is said beforehand about a form of the consent page.
func explained(t testing.TB, idp *idptest.IDP, wish url.Values) impersonation.Verdict {
	t.Helper()
	actor, err := idp.Store.User(t.Context(), "usr_asker")
	check(t, err)
	client, err := idp.Store.Client(t.Context(), "tried")
	check(t, err)
	minutes, err := time.ParseDuration(wish.Get("duration") + "m")
	check(t, err)
	v, err := idp.Provider.Impersonation.Explain(t.Context(), impersonation.Ask{
		Actor: actor, Client: client, SubjectID: wish.Get("subject"), Organization: wish.Get("organization"), Reason: wish.Get("reason"), TicketRef: wish.Get("ticket_ref"),
		Access: impersonation.Access(wish.Get("access")), Duration: minutes, Entry: "consent", IP: "192.0.2.1",
	}, nil, time.Now())
	check(t, err)
	return v
}
