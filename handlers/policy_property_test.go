package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// drawnRules are rules that say something about the people of a drawnTrial, at random.
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

// places are the roles somebody has: everywhere, and in the organizations they are of.
type places struct {
	everywhere []string
	within     map[string]string
}

func drawnPlaces(t *rapid.T, whose string, roles []string) places {
	p := places{within: map[string]string{}}
	for _, role := range roles {
		if rapid.IntRange(0, 2).Draw(t, whose+" is "+role) == 0 {
			p.everywhere = append(p.everywhere, role)
		}
	}
	for _, organization := range []string{"org_globex", "org_initech"} {
		if rapid.Bool().Draw(t, whose+" of "+organization) {
			p.within[organization] = rapid.SampledFrom(append([]string{"", ""}, roles...)).Draw(t, whose+" there")
		}
	}
	return p
}

// move gives somebody these places instead of those they have.
func (p places) move(ctx context.Context, tx *storage.Tx, userID string) error {
	now := time.Now()
	for _, role := range everyRole {
		if err := tx.RevokeRole(ctx, userID, role); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	for _, role := range p.everywhere {
		if err := tx.GrantRole(ctx, userID, role, now); err != nil {
			return err
		}
	}
	for _, organization := range []string{"org_globex", "org_initech"} {
		if err := tx.RemoveMember(ctx, organization, userID); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if role, ok := p.within[organization]; ok {
			if err := tx.AddMember(ctx, organization, userID, role, now); err != nil {
				return err
			}
		}
	}
	return nil
}

var everyRole = []string{"support", "auditor", "admin"}

// trial is who asks to act as whom, under which rules, and with which form.
type trial struct {
	actor, subject                        places
	rules                                 []impersonation.Rule
	organization, ticket, access, minutes string
}

func drawnTrial(t *rapid.T) trial {
	r := trial{actor: drawnPlaces(t, "actor", everyRole), rules: drawnRules(t)}
	if rapid.IntRange(0, 3).Draw(t, "may start") > 0 {
		r.actor.everywhere = append(r.actor.everywhere, "support")
	}
	r.subject = drawnPlaces(t, "subject", rapid.SampledFrom([][]string{nil, nil, {"auditor"}, everyRole}).Draw(t, "of the subject"))
	r.organization = rapid.SampledFrom([]string{"", "", "org_globex", "org_initech"}).Draw(t, "organization")
	r.ticket = rapid.SampledFrom([]string{"", "T-1", "other"}).Draw(t, "ticket")
	r.access = rapid.SampledFrom([]string{"full", "read_only"}).Draw(t, "access")
	r.minutes = rapid.SampledFrom([]string{"5", "15", "30", "60"}).Draw(t, "minutes")
	return r
}

// What is said to somebody who asks beforehand is what then happens: the same is
// decided when the form is sent, the tokens are what was said, and while nothing changes
// the code is exchanged. And no token is of a subject who may more than its actor.
//
// A02, A03, T03: with roles, organizations and rules at random, and one of each outcome.
func TestExplainAgrees(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	enroll(t, idp, "asker", "")
	enroll(t, idp, "asked", "")
	addClient(t, idp, "tried", func(*storage.Client) {})
	allowed := func() trial {
		return trial{
			actor: places{everywhere: []string{"support"}}, organization: "org_globex", ticket: "T-1", access: "read_only", minutes: "5",
			subject: places{within: map[string]string{"org_globex": ""}},
		}
	}
	oblige := func(o impersonation.Obligations) []impersonation.Rule {
		return []impersonation.Rule{{Name: "duty", Effect: impersonation.EffectOblige, When: "true", Oblige: o}}
	}
	for _, row := range []struct {
		name   string
		change func(*trial)
		want   impersonation.Denial
	}{
		{"allowed", func(*trial) {}, ""},
		{"a narrower scope", func(r *trial) { r.rules = oblige(impersonation.Obligations{Scopes: []string{"email", "api:read"}}) }, ""},
		{"a shorter time", func(r *trial) { r.rules = oblige(impersonation.Obligations{MaxDuration: 2 * time.Minute}) }, ""},
		{"read only", func(r *trial) {
			r.access, r.rules = "full", oblige(impersonation.Obligations{ReadOnly: true})
		}, ""},
		{"a rule", func(r *trial) {
			r.rules = []impersonation.Rule{{Name: "nobody", Effect: impersonation.EffectDeny, When: "true"}}
		}, impersonation.DenyPolicy},
		{"no ticket", func(r *trial) { r.ticket, r.rules = "", oblige(impersonation.Obligations{Ticket: true}) }, impersonation.DenyTicketRef},
		{"no support access", func(r *trial) { r.rules = oblige(impersonation.Obligations{SupportAccess: true}) }, impersonation.DenySupportAccess},
		{"another organization", func(r *trial) { r.organization = "org_initech" }, impersonation.DenyOrganization},
		{"an administrator", func(r *trial) { r.subject.everywhere = []string{"admin"} }, impersonation.DenyPrivileged},
		{"nobody of the staff", func(r *trial) { r.actor = places{} }, impersonation.DenyPermission},
	} {
		r := allowed()
		row.change(&r)
		if got, err := agrees(t, idp, r); err != nil || got != row.want {
			t.Errorf("%s: %q, want %q (%v)", row.name, got, row.want, err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := agrees(t, idp, drawnTrial(rt)); err != nil {
			rt.Fatal(err)
		}
	})
}

// agrees makes the request. Anything but what is said beforehand is an error.
func agrees(t *testing.T, idp *idptest.IDP, r trial) (impersonation.Denial, error) {
	t.Helper()
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return errors.Join(r.actor.move(ctx, tx, "usr_asker"), r.subject.move(ctx, tx, "usr_asked"))
	})
	execute(t, idp, `DELETE FROM throttles`) // or many refusals would be one of their own
	setPolicy(t, idp, r.rules...)
	wish := idptest.Wish("usr_asked", having("organization", r.organization, "ticket_ref", r.ticket, "access", r.access, "duration", r.minutes))
	v := explained(t, idp, wish)
	b := person(t, idp, "asker")
	at, _ := b.Follow(asking("client_id", "tried", "prompt", "select_account", "scope", "openid email api:read api:write"))
	if !strings.HasPrefix(at, "/consent/") { // whoever may start nowhere is not asked
		if v.Allowed {
			return "", fmt.Errorf("explained as %+v, not asked", v)
		}
		return v.Denial, nil
	}
	w := b.Post(at, wish)
	code := w.Location().Query().Get("code")
	if v.Allowed != (code != "") {
		return "", fmt.Errorf("explained as %+v, answered with %d %s", v, w.Status, textOf(w, "error-summary"))
	}
	if !v.Allowed {
		denied := recorded(t, idp, storage.EventImpersonationDenied)
		last := denied[len(denied)-1]
		if last.Data["denial"] != string(v.Denial) || v.Rule != "" && last.Data["rule"] != v.Rule {
			return "", fmt.Errorf("explained as %s of %q, refused as %v", string(v.Denial), v.Rule, last.Data)
		}
		return v.Denial, nil
	}
	answer := idp.Call("/oauth2/token", "tried", idptest.Secret, idptest.Exchange(code, nil))
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("explained as %+v, exchanged with %d %s", v, answer.Status, answer.Body)
	}
	err := errors.Join(asSaid(t, idp, v, answer.JSON(t)), nothingGained(t, idp))
	check(t, idp.Provider.Impersonation.EndAll(t.Context(), storage.Cause{}, time.Now()))
	return "", err
}

// asSaid compares tokens with what was said before they were asked for.
func asSaid(t *testing.T, idp *idptest.IDP, v impersonation.Verdict, tokens map[string]any) error {
	t.Helper()
	running := tokens["impersonation"].(map[string]any)
	i, err := idp.Store.Impersonation(t.Context(), running["id"].(string))
	check(t, err)
	if running["access"] != string(v.Access) || i.ExpiresAt.Time().Sub(i.StartedAt.Time()) != v.Duration {
		return fmt.Errorf("explained as %s for %v, got %+v", v.Access, v.Duration, i)
	}
	for scope := range strings.FieldsSeq(tokens["scope"].(string)) {
		if len(v.Scopes) > 0 && !slices.Contains(v.Scopes, scope) || v.Access == impersonation.ReadOnly && scope == "api:write" {
			return fmt.Errorf("explained as %+v, got the scope %s", v, scope)
		}
	}
	return nil
}

// nothingGained fails when the subject may anything that the actor may not.
func nothingGained(t *testing.T, idp *idptest.IDP) error {
	t.Helper()
	actor, err := idp.Store.Standing(t.Context(), "usr_asker")
	check(t, err)
	subject, err := idp.Store.Standing(t.Context(), "usr_asked")
	check(t, err)
	held := maps.Clone(subject.Within)
	held[""] = nil
	for place, permissions := range held {
		for _, permission := range slices.Concat(permissions, subject.Everywhere) {
			if !actor.May(permission, place) {
				return fmt.Errorf("a token of somebody who may %s in %q, which its actor may not", permission, place)
			}
		}
	}
	return nil
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
