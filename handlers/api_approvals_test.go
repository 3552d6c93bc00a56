package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// T30, F08: a program asks in an actor's place, another decides as itself, and the ticket
// that was refused is made. The program that asked decides nothing, nor does a key that
// the actor made or that reaches elsewhere.
func TestAPIApprovals(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		addClient(t, idp, "desk", started)
		asks := idp.APIKey(t, "impersonation:start", "impersonation:read", "impersonation:approve")
		decides := idp.APIKey(t, "impersonation:approve")
		elsewhere := idp.LocalAPIKey(t, "org_initech", provider.Permissions()...)
		theirs := storage.APIKey{Name: "sam's", Permissions: storage.List{"impersonation:approve"}}
		secret, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &theirs, storage.Cause{By: "usr_sam"}, time.Now())
		check(t, err)

		ticket := func() *idptest.Response { return idp.API(t, asks, http.MethodPost, "/tickets", ticketBody(nil)) }
		if w := ticket(); w.Problem(t).Denial == nil || *w.Problem(t).Denial != "approval_required" {
			t.Fatalf("without approval: %d %s", w.Status, w.Body)
		}
		w := idp.API(t, asks, http.MethodPost, "/approvals", ticketBody(nil))
		wantStatus(t, "ask", w, http.StatusCreated)
		var request, again api.Approval
		w.Into(t, &request)
		idp.API(t, asks, http.MethodPost, "/approvals", ticketBody(nil)).Into(t, &again)
		if request.Status != api.ApprovalStatusPending || request.RequestedBy == nil || again.ID != request.ID {
			t.Errorf("got %s, again %s", w.Body, again.ID)
		}
		at := "/approvals/" + request.ID
		for name, c := range map[string]struct {
			key    string
			status int
		}{
			"who asked": {asks, http.StatusForbidden}, "the actor's key": {secret, http.StatusForbidden}, "elsewhere": {elsewhere, http.StatusNotFound},
			"without the permission": {idp.APIKey(t, "impersonation:read"), http.StatusForbidden},
		} {
			wantStatus(t, name, idp.API(t, c.key, http.MethodPost, at+"/approve", nil), c.status)
		}
		wantStatus(t, "shown elsewhere", idp.API(t, elsewhere, http.MethodGet, at, nil), http.StatusNotFound)
		if w := idp.API(t, elsewhere, http.MethodGet, "/approvals", nil); strings.Contains(w.Body, request.ID) {
			t.Errorf("F08 listed elsewhere: %s", w.Body)
		}

		w = idp.API(t, decides, http.MethodPost, at+"/approve", map[string]any{"note": "As agreed"})
		wantStatus(t, "approve", w, http.StatusOK)
		w.Into(t, &request)
		if request.Status != api.ApprovalStatusApproved || !request.DecidedByKey || request.Note == nil || *request.Note != "As agreed" {
			t.Errorf("got %s", w.Body)
		}
		wantStatus(t, "deny afterwards", idp.API(t, decides, http.MethodPost, at+"/deny", nil), http.StatusConflict)
		if w := idp.API(t, asks, http.MethodGet, "/approvals?status=approved&limit=1", nil); !strings.Contains(w.Body, request.ID) {
			t.Errorf("listed: %s", w.Body)
		}
		wantStatus(t, "the ticket", ticket(), http.StatusCreated)

		check(t, provider.NewAPIKeys(idp.Store).Revoke(t.Context(), *request.DecidedBy, storage.Cause{}, time.Now()))
		wantStatus(t, "the approver's key has ended", ticket(), http.StatusForbidden)
	})
}

// T30: whoever has a key asks with it, so nobody approves what a key of theirs asked for,
// and no key of theirs uses what they approved: two people are two people.
func TestApprovalByWhoHasTheKey(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		addClient(t, idp, "desk", started)
		boss, name := staffed(t, idp, "admin")
		keyOf := func(by string, permissions ...string) string {
			k := storage.APIKey{Name: unique("key"), Permissions: permissions}
			secret, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &k, storage.Cause{By: by}, time.Now())
			check(t, err)
			return secret
		}
		asks := keyOf("usr_"+name, "impersonation:start", "impersonation:read")
		w := idp.API(t, asks, http.MethodPost, "/approvals", ticketBody(nil))
		wantStatus(t, "ask", w, http.StatusCreated)
		var request api.Approval
		w.Into(t, &request)
		wantStatus(t, "who made the key", boss.Post("/admin/approvals/"+request.ID+"/approve", nil), http.StatusForbidden)
		at := "/approvals/" + request.ID + "/approve"
		wantStatus(t, "another key of theirs", idp.API(t, keyOf("usr_"+name, "impersonation:approve"), http.MethodPost, at, nil), http.StatusForbidden)
		var made api.APIKeyWithSecret
		makes := keyOf("usr_"+name, "apikeys:write", "impersonation:approve")
		idp.API(t, makes, http.MethodPost, "/api-keys", map[string]any{"name": "made by a key", "permissions": []string{"impersonation:approve"}}).Into(t, &made)
		wantStatus(t, "a key that a key of theirs made", idp.API(t, made.Secret, http.MethodPost, at, nil), http.StatusForbidden)
		wantStatus(t, "a key of somebody else", idp.API(t, keyOf("usr_root", "impersonation:approve"), http.MethodPost, at, nil), http.StatusOK)
		wantStatus(t, "the ticket", idp.API(t, asks, http.MethodPost, "/tickets", ticketBody(nil)), http.StatusCreated)

		a := asked(t, idp)
		a.approve(t)
		form := askForm(a.client)
		ticket := ticketBody(setting("actor", map[string]any{"sub": a.actorID}, "client_id", a.client, "reason", form.Get("reason"),
			"access", form.Get("access"), "binding", "bearer", "session_max_duration_in_seconds", 600))
		delete(ticket, "ticket_ref")
		wantStatus(t, "a key of the approver", idp.API(t, keyOf(a.approves, "impersonation:start"), http.MethodPost, "/tickets", ticket), http.StatusForbidden)
		wantStatus(t, "a key of somebody else", idp.API(t, keyOf("usr_root", "impersonation:start"), http.MethodPost, "/tickets", ticket), http.StatusCreated)
	})
}

// T30: whoever may know what a client authenticates with asks and approves as that client,
// so it counts as theirs: who registered it, gave it a secret, or said what its keys are.
func TestApprovalByWhoHoldsTheClient(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		fourEyes(t, idp)
		addClient(t, idp, "desk", started)
		boss, name := staffed(t, idp, "admin")
		_, actor := staffed(t, idp, "admin")
		keyOf := func(by string) string {
			k := storage.APIKey{Name: unique("key"), Permissions: provider.Permissions()}
			secret, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &k, storage.Cause{By: by}, time.Now())
			check(t, err)
			return secret
		}
		operators, bosss, actors := keyOf(""), keyOf("usr_"+name), keyOf("usr_"+actor)
		const scope = "impersonation:start impersonation:approve apikeys:write"
		registered := func(key string) (id, secret string) {
			id = unique("machine")
			w := idp.API(t, key, http.MethodPost, "/clients", object{
				"client_id": id, "client_name": id, "type": "service", "scope": scope, "audience": []string{idptest.Issuer},
			})
			wantStatus(t, "register", w, http.StatusCreated)
			return id, str(t, w.JSON(t), "client_secret")
		}
		rotated := func(id, key string) string {
			w := idp.API(t, key, http.MethodPost, "/clients/"+id+"/rotate-secret", nil)
			wantStatus(t, "rotate", w, http.StatusOK)
			return str(t, w.JSON(t), "client_secret")
		}
		as := func(id, secret string) string {
			w := idp.Call("/oauth2/token", id, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
			wantStatus(t, "token", w, http.StatusOK)
			return str(t, w.JSON(t), "access_token")
		}
		body := func() object {
			return ticketBody(setting("actor", object{"sub": "usr_" + actor}, "reason", unique("Cannot see invoice ")))
		}
		ask := func(key string) string {
			w := idp.API(t, key, http.MethodPost, "/approvals", body())
			wantStatus(t, "ask", w, http.StatusCreated)
			return "/approvals/" + str(t, w.JSON(t), "id")
		}
		unheld := func() (id, secret string) {
			id = unique("machine")
			c := idptest.Service()
			c.ID, c.Scope, c.Audience = id, scope, storage.List{idptest.Issuer}
			secret, err := provider.NewRegistration(idp.Store).Register(t.Context(), c, "", storage.Cause{}, time.Now())
			check(t, err)
			return id, secret
		}
		for what, row := range map[string]struct {
			approver func() string
			status   int
		}{
			"a client of nobody":                  {func() string { return as(unheld()) }, http.StatusOK},
			"a client of somebody else":           {func() string { return as(registered(bosss)) }, http.StatusOK},
			"a client that the actor registered":  {func() string { return as(registered(actors)) }, http.StatusForbidden},
			"a client whose secret the actor has": {func() string { id, _ := unheld(); return as(id, rotated(id, actors)) }, http.StatusForbidden},
			"a client whose old secret the actor has": {func() string {
				id, _ := registered(actors)
				return as(id, rotated(id, bosss))
			}, http.StatusForbidden},
			"a client whose keys the actor may have": {func() string {
				id, secret := unheld()
				token := as(id, secret)
				w := idp.API(t, actors, http.MethodPatch, "/clients/"+id, object{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://keys.example/jwks"})
				wantStatus(t, "change", w, http.StatusOK)
				return token
			}, http.StatusForbidden},
			"a key of a client that the actor registered, which is gone": {func() string {
				id, secret := registered(actors)
				w := idp.API(t, as(id, secret), http.MethodPost, "/api-keys", object{"name": "left behind", "permissions": []string{"impersonation:approve"}})
				wantStatus(t, "make a key", w, http.StatusCreated)
				wantStatus(t, "delete", idp.API(t, actors, http.MethodDelete, "/clients/"+id, nil), http.StatusNoContent)
				return str(t, w.JSON(t), "secret")
			}, http.StatusForbidden},
			"a key of a key of the actor, which went with its client": {func() string {
				id, _ := unheld()
				w := idp.API(t, actors, http.MethodPost, "/api-keys", object{"name": "stands in", "client_id": id, "permissions": []string{"apikeys:write", "impersonation:approve"}})
				wantStatus(t, "make a key", w, http.StatusCreated)
				w = idp.API(t, str(t, w.JSON(t), "secret"), http.MethodPost, "/api-keys", object{"name": "left behind", "permissions": []string{"impersonation:approve"}})
				wantStatus(t, "make a key", w, http.StatusCreated)
				wantStatus(t, "delete", idp.API(t, actors, http.MethodDelete, "/clients/"+id, nil), http.StatusNoContent)
				return str(t, w.JSON(t), "secret")
			}, http.StatusForbidden},
			"a client that the actor renamed": {func() string {
				id, secret := unheld()
				wantStatus(t, "change", idp.API(t, actors, http.MethodPatch, "/clients/"+id, object{"client_name": "Another"}), http.StatusOK)
				return as(id, secret)
			}, http.StatusOK},
			"a key that such a client made": {func() string {
				w := idp.API(t, as(registered(actors)), http.MethodPost, "/api-keys", object{"name": "made", "permissions": []string{"impersonation:approve"}})
				wantStatus(t, "make", w, http.StatusCreated)
				return str(t, w.JSON(t), "secret")
			}, http.StatusForbidden},
			"a client that such a client's key registered": {func() string {
				id, secret := registered(actors)
				made := idp.API(t, as(id, secret), http.MethodPost, "/api-keys", object{"name": "made", "permissions": []string{"impersonation:start"}})
				wantStatus(t, "make", made, http.StatusCreated)
				c, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(str(t, made.JSON(t), "secret")))
				check(t, err)
				other, secret := unheld()
				idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.HoldClient(ctx, other, c.ID) })
				return as(other, secret)
			}, http.StatusForbidden},
		} {
			approver, at := row.approver(), ask(operators)
			w := idp.API(t, approver, http.MethodPost, at+"/approve", nil)
			if wantStatus(t, what, w, row.status); row.status != http.StatusOK {
				wantStatus(t, what+": somebody else", idp.API(t, keyOf("usr_root"), http.MethodPost, at+"/approve", nil), http.StatusOK)
			}
		}

		at := ask(as(registered(bosss)))
		wantStatus(t, "who registered the client that asked", boss.Post("/admin"+at+"/approve", nil), http.StatusForbidden)
		wantStatus(t, "a key of theirs", idp.API(t, bosss, http.MethodPost, at+"/approve", nil), http.StatusForbidden)
		other, _ := staffed(t, idp, "admin")
		wantStatus(t, "somebody else", other.Post("/admin"+at+"/approve", nil), http.StatusSeeOther)
	})
}

// Nobody says yes in a user's place, and uses it: not with a key or a client of theirs either.
func TestSupportAccessByAKeyOfTheActor(t *testing.T) {
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		setRules(t, idp, impersonation.Rule{
			Name: "asked", When: "true", Effect: impersonation.EffectOblige, Oblige: impersonation.Obligations{SupportAccess: true},
		})
		client, err := idp.Store.Client(t.Context(), "app")
		check(t, err)
		sam, err := idp.Store.User(t.Context(), "usr_sam")
		check(t, err)
		makes := map[string]func(maker string) (id string){
			"a key": func(maker string) string {
				k := storage.APIKey{Name: unique("key"), Permissions: storage.List{"users:write"}}
				_, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &k, storage.Cause{By: maker}, time.Now())
				check(t, err)
				return k.ID
			},
			"a client": func(maker string) string {
				c := idptest.Service()
				c.ID, c.Scope, c.Audience = unique("machine"), "users:write", storage.List{idptest.Issuer}
				_, err := provider.NewRegistration(idp.Store).Register(t.Context(), c, "", storage.Cause{By: maker}, time.Now())
				check(t, err)
				return c.ID
			},
		}
		for _, row := range []struct {
			what, maker string
			allowed     bool
		}{
			{"a key", "usr_sam", false},
			{"a key", "usr_root", true},
			{"a key", "", true},
			{"a client", "usr_sam", false},
			{"a client", "usr_root", true},
			{"a client", "", true},
		} {
			setBy := makes[row.what](row.maker)
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.PutSupportAccess(ctx, &storage.SupportAccess{
					UserID: "usr_ada", Mode: storage.SupportUntil, ExpiresAt: storage.At(time.Now().Add(time.Hour)), UpdatedAt: storage.At(time.Now()), SetBy: setBy,
				})
			})
			v, err := idp.Provider.Impersonation.Explain(t.Context(), impersonation.Ask{
				Actor: sam, Client: client, SubjectID: "usr_ada", Reason: "Cannot see invoice 4711", Access: impersonation.Full, Duration: 10 * time.Minute, Entry: "console",
			}, nil, time.Now())
			check(t, err)
			if v.Allowed != row.allowed {
				t.Errorf("set with %s of %q: %v", row.what, row.maker, v.Err())
			}
		}
	})
}
