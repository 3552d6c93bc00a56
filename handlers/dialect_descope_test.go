package handlers_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// descopeCall is management.jwt.impersonate of sam as ada.
func descopeCall(key string) spoken {
	return spoken{http.MethodPost, "/v1/mgmt/impersonate", "app:" + key, object{
		"impersonatorId": "usr_sam", "loginId": "ada@example.test", "validateConsent": false,
		"customClaims": object{"plan": "gold", "impersonation_reason": "Cannot see invoice 4711"}, "selectedTenant": "org_globex", "refreshDuration": 600,
	}}
}

// descopeJWT starts an impersonation and returns its refresh JWT.
func descopeJWT(t *testing.T, idp *idptest.IDP, key string, pairs ...any) string {
	t.Helper()
	c := descopeCall(key)
	setBody(pairs...)(&c)
	w := say(t, idp, c)
	wantStatus(t, "impersonate", w, http.StatusOK)
	return str(t, w.JSON(t), "jwt")
}

// claims changes the custom claims of a call.
func claims(custom object) func(*spoken) { return setBody("customClaims", custom) }

// A01-A12, F08: every rule holds for Descope's impersonate.
func TestDescopeImpersonate(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "descope")
	key := keyFor(t, idp, "app", "impersonation:start")
	addClient(t, idp, "other", nil)
	bearer := func(project, key string) func(*spoken) { return func(c *spoken) { c.bearer = project + ":" + key } }
	local := "org_initech"
	refuses(t, idp, "descope", func(*testing.T, *idptest.IDP) spoken { return descopeCall(key) }, []refusedRow{
		{"no key", 401, "", func(c *spoken) { c.bearer = "" }, nil},
		{"a key without a project", 401, "", func(c *spoken) { c.bearer = key }, nil},
		{"a key that never was", 401, "", bearer("app", "usk_nonsense"), nil},
		{"a project that never was", 403, "another application", bearer("nothing", key), nil},
		{"a key of another project", 403, "another application", bearer("app", keyFor(t, idp, "other", "impersonation:start")), nil},
		{"a key that may not", 403, "impersonation:start", bearer("app", keyFor(t, idp, "app", "users:read")), nil},
		{"F08: a key of another organization", 403, "", bearer("app", idp.MakeKey(t, storage.APIKey{OrganizationID: &local, Permissions: storage.List{"impersonation:start"}})), nil},
		{"A17: a token of somebody who acts", 403, "acts as another", func(c *spoken) {
			c.bearer = "app:" + str(t, idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking())), "access_token")
		}, nil},
		{"a token of a person", 401, "", func(c *spoken) {
			c.bearer = "app:" + str(t, idp.Tokens(t, person(t, idp, "root").Code(asking())), "access_token")
		}, nil},
		{"A01: an actor who may not", 403, "may not sign in as someone else", setBody("impersonatorId", "usr_linus", "selectedTenant", ""), nil},
		{"an actor who never was", 403, "nobody of this name", setBody("impersonatorId", "usr_nobody"), nil},
		{"no actor", 403, "nobody of this name", setBody("impersonatorId", nil), nil},
		{"an actor who was disabled", 403, "disabled", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.DisableUser(ctx, "usr_sam", storage.Cause{}, time.Now())
			})
		}},
		{"a user who never was", 403, "user", setBody("loginId", "nobody@example.test"), nil},
		{"no user", 403, "user", setBody("loginId", nil), nil},
		{"A04: themselves", 403, "the same user", setBody("loginId", "sam@example.test"), nil},
		{"A02: an administrator", 403, "rights", setBody("loginId", "usr_root", "selectedTenant", ""), nil},
		{"A04: somebody protected", 403, "protected", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.SetNeverImpersonate(ctx, "usr_ada", true, storage.Cause{}, time.Now())
			})
		}},
		{"A04: somebody disabled", 403, "disabled", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.DisableUser(ctx, "usr_ada", storage.Cause{}, time.Now())
			})
		}},
		{"A07: an application that does not allow it", 403, "does not allow", nil, altered("app", func(c *storage.Client) { c.AllowImpersonation = false })},
		{"the switch is off", 403, "switched off", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
			})
		}},
		{"consent is asked for, and there is none", 403, "not allowed support", setBody("validateConsent", true), nil},
		{"consent was denied", 403, "not allowed support", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.PutSupportAccess(ctx, &storage.SupportAccess{UserID: "usr_ada", Mode: storage.SupportDenied, UpdatedAt: storage.At(time.Now())})
			})
		}},
		{"the policy lets them look only", 403, "fewer rights", nil, func(t *testing.T, idp *idptest.IDP) {
			setPolicy(t, idp, impersonation.Rule{Name: "look", When: "true", Effect: impersonation.EffectOblige, Oblige: impersonation.Obligations{ReadOnly: true}})
		}},
		{"the policy leaves them few scopes", 403, "fewer rights", nil, func(t *testing.T, idp *idptest.IDP) {
			setPolicy(t, idp, impersonation.Rule{Name: "few", When: "true", Effect: impersonation.EffectOblige, Oblige: impersonation.Obligations{Scopes: []string{"email"}}})
		}},
		{"another tenant", 403, "organization", setBody("selectedTenant", "org_initech"), nil},
		{"no tenant, and they have two", 400, "organization", setBody("loginId", "usr_grace", "selectedTenant", nil), nil},
		{"A06: a reason that says nothing", 400, "reason", claims(object{"impersonation_reason": "x"}), nil},
		{"A06: a reason that is no text", 400, "impersonation_reason", claims(object{"impersonation_reason": 1}), nil},
		{"a ticket that is none", 400, "ticket", claims(object{"impersonation_ticket": strings.Repeat("x", 500)}), nil},
		{"act among the claims", 400, "act", claims(object{"act": object{"sub": "usr_root"}}), nil},
		{"sub among the claims", 400, "sub", claims(object{"sub": "usr_root"}), nil},
		{"tenants among the claims", 400, "tenants", claims(object{"tenants": object{}}), nil},
		{"drn among the claims", 400, "drn", claims(object{"drn": "DS"}), nil},
		{"A12: longer than an hour", 403, "duration", setBody("refreshDuration", 3601), nil},
		{"shorter than a minute", 403, "duration", setBody("refreshDuration", 59), nil},
		{"a duration that is none", 400, "refreshDuration", setBody("refreshDuration", -1), nil},
	})
	exact := descopeCall(key)
	exact.body = `{"impersonatorId": "usr_sam", "loginId": "usr_ada", "customClaims": {"account": 9007199254740993}}`
	w := say(t, idp, exact)
	wantStatus(t, "a number beyond a float's", w, http.StatusOK)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(str(t, w.JSON(t), "jwt"), ".")[1])
	check(t, err)
	if !strings.Contains(string(payload), `"account":9007199254740993`) {
		t.Errorf("a number beyond a float's became another: %s", payload)
	}
	for what, change := range map[string]func(*spoken){
		"by e-mail":                   setBody("impersonatorId", "SAM@example.test"),
		"by id":                       setBody("loginId", "usr_ada"),
		"the least that there can be": func(c *spoken) { c.body = object{"impersonatorId": "usr_sam", "loginId": "usr_ada"} },
		"a key of no project":         bearer("app", idp.APIKey(t, "impersonation:start")),
	} {
		c := descopeCall(key)
		change(&c)
		wantStatus(t, what, say(t, idp, c), http.StatusOK)
	}
}

// A08, A12, A24: what the JWTs say, and that nobody takes them for anything else.
func TestDescopeJWTs(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "descope")
	key := keyFor(t, idp, "app", "impersonation:start")
	addClient(t, idp, "other", nil)
	otherKey := keyFor(t, idp, "other", "impersonation:start")
	refresh := descopeJWT(t, idp, key)
	renew := func(project, jwt string) *idptest.Response {
		return say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", project + ":" + jwt, object{}})
	}
	stop := func(key, jwt string) *idptest.Response {
		project := "app"
		if key == otherKey {
			project = "other"
		}
		return say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", project + ":" + key, object{"jwt": jwt}})
	}
	w := renew("app", refresh)
	wantStatus(t, "refresh", w, http.StatusOK)
	session := str(t, w.JSON(t), "sessionJwt")
	if a, b := idptest.Claims(t, session), idptest.Claims(t, refresh); a["exp"].(float64) > b["exp"].(float64) {
		t.Errorf("A12: the session outlives the impersonation: %v", a)
	}

	own := idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking()))
	for what, jwt := range map[string]string{
		"an access token": str(t, own, "access_token"), "an ID token": str(t, own, "id_token"), "a session JWT": session,
		"nothing": "", "nonsense": "a.b.c", "one with more": refresh + "A", "one that is not signed": strings.Join(strings.Split(refresh, ".")[:2], ".") + ".",
	} {
		if w := renew("app", jwt); w.Status < 400 || w.Status >= 500 {
			t.Errorf("A24: %s refreshes: %d %s", what, w.Status, w.Body)
		}
		if w := stop(key, jwt); w.Status != http.StatusBadRequest {
			t.Errorf("A24: %s stops: %d %s", what, w.Status, w.Body)
		}
	}
	for what, w := range map[string]*idptest.Response{
		"another project refreshes": renew("other", refresh), "another project stops": stop(otherKey, refresh), "no project": renew("", refresh),
	} {
		if w.Status < 400 || w.Status >= 500 {
			t.Errorf("B01: %s: %d %s", what, w.Status, w.Body)
		}
	}
	for _, jwt := range []string{refresh, session} {
		wantStatus(t, "A24: as an access token at userinfo", userinfo(idp, jwt), http.StatusUnauthorized)
		wantStatus(t, "A24: at the management API", idp.API(t, jwt, http.MethodGet, "/users", nil), http.StatusUnauthorized)
		if i := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {jwt}}).JSON(t); len(i) != 1 || i["active"] != false {
			t.Errorf("A24: introspected: %v", i)
		}
		if w := person(t, idp, "ada").Get(asking("id_token_hint", jwt, "prompt", "none")); !strings.Contains(w.Location().String(), "error=") {
			t.Errorf("A24: as a hint: %s", w.Location())
		}
		w := idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {jwt}})
		wantStatus(t, "A24: as a refresh token", w, http.StatusBadRequest)
	}
	keys := say(t, idp, spoken{method: http.MethodGet, path: "/v2/keys/app"})
	if set := keys.JSON(t)["keys"].([]any); keys.Status != http.StatusOK || len(set) < 2 {
		t.Errorf("keys: %d %v", keys.Status, set)
	}
}

// R16: one that is stopped while its session JWT is made gives none.
func TestDescopeStoppedMeanwhile(t *testing.T) {
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			var stop atomic.Pointer[func()]
			idp := speaking(t, idptest.Options{DSN: dsn(t), Trace: func(statement string) {
				if strings.Contains(statement, "FROM user_roles ur") { // what Recheck reads last
					if now := stop.Swap(nil); now != nil {
						(*now)()
					}
				}
			}}, "descope")
			refresh := descopeJWT(t, idp, keyFor(t, idp, "app", "impersonation:start"))
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Running: true}, time.Now())
			check(t, err)
			stopped := false
			now := func() {
				stopped = true
				check(t, idp.Provider.Impersonation.End(t.Context(), running[0].ID, storage.Cause{}, time.Now()))
			}
			stop.Store(&now)
			w := say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + refresh, object{}})
			if w.Status != http.StatusUnauthorized || !stopped {
				t.Errorf("status %d, stopped %v: %s", w.Status, stopped, w.Body)
			}
			if issued := recorded(t, idp, storage.EventTokenIssued); len(issued) != 1 {
				t.Errorf("on the record: %d, want the start's alone", len(issued))
			}
		})
	}
}

// F08: who cannot ask in the actor's place gets nothing of theirs, and ends nothing.
func TestDescopeStopReach(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "descope")
	refresh := descopeJWT(t, idp, idp.APIKey(t, "impersonation:start"))
	stop := func(key string, pairs ...any) *idptest.Response {
		c := spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": refresh}}
		setBody(pairs...)(&c)
		return say(t, idp, c)
	}
	for _, organization := range []string{"org_initech", "org_globex"} { // Sam is staff everywhere, and a member of neither
		w := stop(idp.LocalAPIKey(t, organization, "impersonation:start"))
		wantStatus(t, "F08: a key of "+organization, w, http.StatusBadRequest)
		if strings.Contains(w.Body, `"jwt"`) {
			t.Errorf("F08: a key of %s gets %s", organization, w.Body)
		}
	}
	wantStatus(t, "it goes on", say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + refresh, object{}}), http.StatusOK)
	wantStatus(t, "a key that reaches both", stop(idp.APIKey(t, "impersonation:start")), http.StatusOK)

	enroll(t, idp, "local", "")
	within(t, idp, "local", "support", "org_globex")
	within(t, idp, "local", "support", "org_initech")
	key := idp.LocalAPIKey(t, "org_globex", "impersonation:start")
	refresh = descopeJWT(t, idp, key, "impersonatorId", "usr_local")
	wantStatus(t, "F08: a tenant out of its reach", stop(key, "selectedTenant", "org_initech"), http.StatusBadRequest)
	wantStatus(t, "its own tenant", stop(key, "selectedTenant", "org_globex"), http.StatusOK)
}

// F08: a key that names somebody who may do more than it as the actor does not get to be
// them by stopping, nor somebody whom nobody may act as. What runs ends all the same.
func TestDescopeStopGivesNoMore(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("descope")}), func(t *testing.T, idp *idptest.IDP) {
		enroll(t, idp, "chief", "support")
		within(t, idp, "chief", "auditor", "org_initech")
		enroll(t, idp, "vip", "support")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.SetNeverImpersonate(ctx, "usr_vip", true, storage.Cause{}, time.Now())
		})
		for _, row := range []struct {
			what, actor string
			key         string
			status      int
		}{
			{"support", "usr_sam", idp.APIKey(t, "impersonation:start"), http.StatusOK},
			{"an administrator", "usr_root", idp.APIKey(t, "impersonation:start"), http.StatusBadRequest},
			{"an administrator, by a key that may change users", "usr_root", idp.APIKey(t, "impersonation:start", "users:write"), http.StatusBadRequest},
			{"an administrator, by a key that may do everything", "usr_root", idp.APIKey(t, provider.Permissions()...), http.StatusOK},
			{"who may do more in another organization", "usr_chief", idp.APIKey(t, "impersonation:start"), http.StatusBadRequest},
			{"who may do more in another organization, as the key may", "usr_chief", idp.APIKey(t, "impersonation:start", "events:read", "events:export"), http.StatusOK},
			{"somebody protected", "usr_vip", idp.APIKey(t, provider.Permissions()...), http.StatusBadRequest},
		} {
			refresh := descopeJWT(t, idp, row.key, "impersonatorId", row.actor)
			w := say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + row.key, object{"jwt": refresh}})
			wantStatus(t, row.what, w, row.status)
			if got := strings.Contains(w.Body, `"jwt"`); got != (row.status == http.StatusOK) {
				t.Errorf("%s: %s", row.what, w.Body)
			}
			wantStatus(t, row.what+": it has ended", say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + refresh, object{}}), http.StatusUnauthorized)
		}
	})
}

// A13: to stop ends everything at once, and one of many does it.
func TestDescopeStop(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("descope")}), func(t *testing.T, idp *idptest.IDP) {
		key := keyFor(t, idp, "app", "impersonation:start")
		refresh := descopeJWT(t, idp, key)
		id, _ := idptest.Claims(t, refresh)["sid"].(string)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var won []*idptest.Response
		for range 10 {
			wg.Go(func() {
				w := say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": refresh, "selectedTenant": ""}})
				mu.Lock()
				defer mu.Unlock()
				if w.Status == http.StatusOK {
					won = append(won, w)
				} else if w.Status >= 500 {
					t.Errorf("%d %s", w.Status, w.Body)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d stopped it", len(won))
		}
		own := idptest.Claims(t, won[0].JSON(t)["jwt"])
		if own["sub"] != "usr_sam" || own["act"] != nil || own["exp"].(float64) > idptest.Claims(t, refresh)["exp"].(float64) {
			t.Errorf("the actor's own: %v", own)
		}
		i, err := idp.Store.Impersonation(t.Context(), id)
		check(t, err)
		k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
		check(t, err)
		if i.EndReason != storage.EndStopped || i.EndedBy != k.ID {
			t.Errorf("ended by %q because %q", i.EndedBy, i.EndReason)
		}
		w := say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + refresh, object{}})
		wantStatus(t, "refresh after it", w, http.StatusUnauthorized)
		w = say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + str(t, won[0].JSON(t), "jwt"), object{}})
		wantStatus(t, "the actor's own refreshes", w, http.StatusOK)
		w = say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": str(t, won[0].JSON(t), "jwt")}})
		wantStatus(t, "nobody acts by it", w, http.StatusBadRequest)
		for what, row := range map[string]struct{ seconds, status, most int }{
			"for less": {60, http.StatusOK, 60}, "for more": {3600, http.StatusOK, 600}, "for no time": {-1, http.StatusBadRequest, 0},
		} {
			more := descopeJWT(t, idp, key)
			w := say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": more, "refreshDuration": row.seconds}})
			if wantStatus(t, what, w, row.status); w.Status == http.StatusOK {
				if c := idptest.Claims(t, w.JSON(t)["jwt"]); c["exp"].(float64)-c["iat"].(float64) > float64(row.most) {
					t.Errorf("%s: %v", what, c)
				}
			}
		}
		kinds := map[storage.EventType]int{}
		for _, e := range events(t, idp, func(e storage.Event) bool { return e.ImpersonationID == id }) {
			kinds[e.Type]++
		}
		if kinds[storage.EventImpersonationStarted] != 1 || kinds[storage.EventTokenIssued] != 1 || kinds[storage.EventImpersonationStopped] != 1 {
			t.Errorf("G01: %v", kinds)
		}
	})
}

// A14, A15: what ends an impersonation ends what its JWT is good for.
func TestDescopeEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, tx *storage.Tx) error{
		"the actor was disabled": func(ctx context.Context, tx *storage.Tx) error {
			return tx.DisableUser(ctx, "usr_sam", storage.Cause{}, time.Now())
		},
		"the subject was disabled": func(ctx context.Context, tx *storage.Tx) error {
			return tx.DisableUser(ctx, "usr_ada", storage.Cause{}, time.Now())
		},
		"the switch was turned": func(ctx context.Context, tx *storage.Tx) error {
			return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
		},
		"the role was lost": func(ctx context.Context, tx *storage.Tx) error { return tx.RevokeRole(ctx, "usr_sam", "support") },
		"somebody stopped all": func(ctx context.Context, tx *storage.Tx) error {
			return tx.EndImpersonations(ctx, storage.ImpersonationFilter{}, storage.Cause{}, time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp := speaking(t, idptest.Options{}, "descope")
			key := keyFor(t, idp, "app", "impersonation:start")
			refresh := descopeJWT(t, idp, key)
			call := spoken{http.MethodPost, "/v1/auth/refresh", "app:" + refresh, object{}}
			wantStatus(t, "before", say(t, idp, call), http.StatusOK)
			idp.Write(t, end)
			wantStatus(t, "after", say(t, idp, call), http.StatusUnauthorized)
		})
	}
}

// A refresh JWT says who is there as far as the application may know, and ends what it is
// of. It never says that they stepped up.
func TestDescopeHolder(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("descope")}), func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) { c.Scope = "openid email" })
		addClient(t, idp, "other", nil)
		key := keyFor(t, idp, "app", "impersonation:start")
		ask := func(method, path, bearer string) *idptest.Response {
			return say(t, idp, spoken{method, path, bearer, nil})
		}
		jwt := descopeJWT(t, idp, key)
		w := ask(http.MethodGet, "/v1/auth/me", "app:"+jwt)
		wantStatus(t, "me", w, http.StatusOK)
		if me := w.JSON(t); me["userId"] != "usr_ada" || me["email"] != "ada@example.test" || me["name"] != "" || me["phone"] != "" || !strings.Contains(w.Body, "org_globex") {
			t.Errorf("me: %v", me)
		}
		idp.Change(t, "app", func(c *storage.Client) { c.Scope = "openid profile" })
		if me := ask(http.MethodGet, "/v1/auth/me", "app:"+jwt).JSON(t); me["email"] != "" || me["name"] != "ada" {
			t.Errorf("me, by profile: %v", me)
		}
		addClient(t, idp, "pairwise", func(c *storage.Client) { c.SubjectType, c.Scope = storage.SubjectPairwise, "openid email" })
		apart := descopeCall("")
		apart.bearer = "pairwise:" + keyFor(t, idp, "pairwise", "impersonation:start")
		theirs := str(t, say(t, idp, apart).JSON(t), "jwt")
		sub := idptest.Claims(t, theirs)["sub"]
		if w := ask(http.MethodGet, "/v1/auth/me", "pairwise:"+theirs); w.JSON(t)["userId"] != sub || strings.Contains(w.Body, "usr_ada") {
			t.Errorf("me, pairwise: want %v: %s", sub, w.Body)
		}
		renewed := say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "pairwise:" + theirs, object{}}).JSON(t)
		if got := idptest.Claims(t, renewed["sessionJwt"])["sub"]; got != sub {
			t.Errorf("session JWT, pairwise: sub %v, want %v", got, sub)
		}
		own := str(t, say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": jwt}}).JSON(t), "jwt")
		if me := ask(http.MethodGet, "/v1/auth/me", "app:"+own).JSON(t); me["userId"] != "usr_sam" || len(me["userTenants"].([]any)) != 0 {
			t.Errorf("me, the actor: %v", me)
		}
		second := descopeJWT(t, idp, key)
		for what, bearer := range map[string]string{"nobody's": "", "a key": "app:" + key, "another project's": "other:" + second, "one that has ended": "app:" + jwt} {
			for path, method := range map[string]string{"/v1/auth/me": http.MethodGet, "/v1/auth/logout": http.MethodPost} {
				w := ask(method, path, bearer)
				if w.Status != http.StatusUnauthorized && w.Status != http.StatusBadRequest {
					t.Errorf("%s, %s: status %d", path, what, w.Status)
				}
				vendorsError(t, path+", "+what, "descope", w)
			}
		}
		for what, jwt := range map[string]string{"of an impersonation": second, "of the actor": own} {
			wantStatus(t, "logout "+what, ask(http.MethodPost, "/v1/auth/logout", "app:"+jwt), http.StatusOK)
			wantStatus(t, "refresh "+what, ask(http.MethodPost, "/v1/auth/refresh", "app:"+jwt), http.StatusUnauthorized)
			wantStatus(t, "logout again "+what, ask(http.MethodPost, "/v1/auth/logout", "app:"+jwt), http.StatusUnauthorized)
		}
		if stopped := events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventImpersonationStopped }); len(stopped) != 2 || stopped[1].Data["ended_by"] != "usr_sam" {
			t.Errorf("on the record: %v", stopped)
		}
		step := descopeCall(key)
		step.path = "/v1/mgmt/impersonate/stepup"
		w = say(t, idp, step)
		wantStatus(t, "stepped up", w, http.StatusForbidden)
		if message := vendorsError(t, "stepped up", "descope", w); !strings.Contains(message, "stepped up") {
			t.Errorf("says %q", message)
		}
		claims(object{"su": true})(&step)
		step.path = "/v1/mgmt/impersonate"
		wantStatus(t, "stepped up by a claim", say(t, idp, step), http.StatusBadRequest)
	})
}

// What users said themselves about staff acting as them, nobody turns into a yes, in as
// many steps as it takes.
func TestDescopeConsent(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "descope")
	key := keyFor(t, idp, "app", "impersonation:start", "users:write")
	for _, row := range []struct {
		yes    bool
		status int
	}{{false, http.StatusOK}, {true, http.StatusOK}, {false, http.StatusOK}, {true, http.StatusOK}} {
		wantStatus(t, "in the place of who said nothing", consent(t, idp, key, "linus@example.test", row.yes), row.status)
	}
	check(t, idp.Provider.Impersonation.Allow(t.Context(), "usr_ada", impersonation.SupportChoice{Mode: storage.SupportDenied}, storage.Request{}, time.Now()))
	for _, row := range []struct {
		yes    bool
		status int
	}{{true, http.StatusConflict}, {false, http.StatusOK}, {true, http.StatusConflict}} {
		w := consent(t, idp, key, "usr_ada", row.yes)
		wantStatus(t, "against a no of their own", w, row.status)
		if row.status == http.StatusConflict {
			if message := vendorsError(t, "against a no of their own", "descope", w); !strings.Contains(message, "decided about this themselves") {
				t.Errorf("says %q", message)
			}
		}
	}
	c := descopeCall(key)
	setBody("validateConsent", true)(&c)
	wantStatus(t, "with the consent that there is not", say(t, idp, c), http.StatusForbidden)
}

// A program never gives more than the user last gave themselves, in as many steps as it
// takes, nor once that has run out. Its own no it may take back.
func TestDescopeConsentStaysTheUsers(t *testing.T) {
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			idp := speaking(t, idptest.Options{DSN: dsn(t)}, "descope")
			key := keyFor(t, idp, "app", "users:write")
			said := func() *storage.SupportAccess {
				_, said, err := idp.Store.ImpersonationTerms(t.Context(), "usr_ada")
				check(t, err)
				return said
			}
			for _, own := range []impersonation.SupportChoice{
				{Mode: storage.SupportTicket, TicketRef: "SUP-1", For: 2 * time.Hour}, {Mode: storage.SupportUntil, For: time.Hour},
			} {
				check(t, idp.Provider.Impersonation.Allow(t.Context(), "usr_ada", own, storage.Request{}, time.Now()))
				theirs := *said()
				for i, row := range []struct {
					yes    bool
					status int
					mode   storage.SupportMode
				}{
					{true, http.StatusConflict, own.Mode},
					{false, http.StatusOK, storage.SupportDenied},
					{false, http.StatusOK, storage.SupportDenied},
					{true, http.StatusOK, own.Mode},
					{true, http.StatusConflict, own.Mode},
				} {
					wantStatus(t, fmt.Sprint("step ", i), consent(t, idp, key, "usr_ada", row.yes), row.status)
					got := said()
					if got.Mode != row.mode || (got.SetBy == "") != (row.mode == own.Mode) {
						t.Errorf("step %d: got %+v", i, got)
					}
					if row.mode == own.Mode && (got.TicketRef != theirs.TicketRef || got.ExpiresAt != theirs.ExpiresAt) {
						t.Errorf("step %d: got %+v, want %+v", i, got, theirs)
					}
				}
			}
			// What has run out is no yes of theirs any more.
			past := storage.At(time.Now().Add(-time.Minute))
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.PutSupportAccess(ctx, &storage.SupportAccess{UserID: "usr_ada", Mode: storage.SupportUntil, ExpiresAt: past, UpdatedAt: past})
			})
			for i, row := range []struct {
				yes    bool
				status int
			}{{true, http.StatusConflict}, {false, http.StatusOK}, {true, http.StatusConflict}} {
				wantStatus(t, fmt.Sprint("run out, step ", i), consent(t, idp, key, "usr_ada", row.yes), row.status)
			}
			// Whoever never said anything can be asked elsewhere.
			for _, yes := range []bool{true, false, true} {
				wantStatus(t, "who never said anything", consent(t, idp, key, "linus@example.test", yes), http.StatusOK)
			}
			changes := events(t, idp, func(e storage.Event) bool {
				return e.Type == storage.EventSupportAccessChanged && e.SubjectID == "usr_ada" && strings.HasPrefix(e.ActorID, "key_") && e.Data["set_by"] == e.ActorID
			})
			if len(changes) != 3+3+1 {
				t.Errorf("on the record: %+v", changes)
			}
		})
	}
}

// consent says in a user's place whether staff may act as them.
func consent(t *testing.T, idp *idptest.IDP, key, user string, yes bool) *idptest.Response {
	t.Helper()
	return say(t, idp, spoken{http.MethodPost, "/v1/mgmt/user/update/impersonationConsent", "app:" + key, object{"loginId": user, "impersonationConsent": yes}})
}

// F08: whom a key does not reach, it does not find.
func TestDescopeConsentReach(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "descope")
	app, local := "app", "org_initech"
	near := idp.MakeKey(t, storage.APIKey{ClientID: &app, OrganizationID: &local, Permissions: storage.List{"users:write"}})
	wantStatus(t, "within reach", consent(t, idp, near, "linus@example.test", true), http.StatusOK)
	nobody := consent(t, idp, near, "nobody@example.test", true)
	wantStatus(t, "F08: nobody", nobody, http.StatusNotFound)
	for _, user := range []string{"usr_ada", "ada@example.test"} {
		if w := consent(t, idp, near, user, true); w.Status != nobody.Status || w.Body != nobody.Body {
			t.Errorf("F08: %s is told apart from nobody: %d %s", user, w.Status, w.Body)
		}
	}
	wantStatus(t, "a key that may not", consent(t, idp, keyFor(t, idp, "app", "impersonation:start"), "usr_linus", true), http.StatusForbidden)
}
