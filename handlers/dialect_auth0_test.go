package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// auth0Call is users.impersonate of sam as ada.
func auth0Call(key string) spoken {
	return spoken{http.MethodPost, "/users/usr_ada/impersonate", key, object{
		"protocol": "oauth2", "impersonator_id": "usr_sam", "client_id": "app", "token": key,
		"additionalParameters": object{"response_type": "code", "state": "a state", "scope": "openid email", "callback_url": idptest.Callback, "reason": "Cannot see invoice 4711"},
	}}
}

func auth0More(pairs ...any) func(*spoken) {
	return func(c *spoken) {
		changes := object{}
		for i := 0; i < len(pairs); i += 2 {
			changes[pairs[i].(string)] = pairs[i+1]
		}
		c.body = but(c.body.(object), object{"additionalParameters": but(c.body.(object)["additionalParameters"].(object), changes)})
	}
}

func auth0Client(c *storage.Client) {
	byCallback(c)
	c.ResponseTypes = storage.List{"code", "id_token token"}
	c.GrantTypes = append(c.GrantTypes, "implicit")
}

// A01-A22: every rule holds for Auth0's links.
func TestAuth0Impersonate(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "auth0")
	idp.Change(t, "app", auth0Client)
	addClient(t, idp, "other", auth0Client)
	key := keyFor(t, idp, "app", "impersonation:start")
	bearer := func(key string) func(*spoken) { return func(c *spoken) { c.bearer = key } }
	path := func(user string) func(*spoken) {
		return func(c *spoken) { c.path = "/users/" + user + "/impersonate" }
	}
	refuses(t, idp, "auth0", func(*testing.T, *idptest.IDP) spoken { return auth0Call(key) }, []refusedRow{
		{"no token", 401, "", bearer(""), nil},
		{"a key that never was", 401, "", bearer("usk_nonsense"), nil},
		{"a key that may not", 403, "impersonation:start", bearer(keyFor(t, idp, "app", "users:read")), nil},
		{"a key of another application", 403, "another application", bearer(keyFor(t, idp, "other", "impersonation:start")), nil},
		{"A17: a token of somebody who acts", 403, "acts as another", func(c *spoken) {
			c.bearer = str(t, idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking())), "access_token")
		}, nil},
		{"another protocol", 400, "oauth2", setBody("protocol", "samlp"), nil},
		{"no protocol", 400, "oauth2", setBody("protocol", nil), nil},
		{"an application that never was", 403, "another application", setBody("client_id", "nothing"), nil},
		{"A01: an actor who may not", 403, "may not sign in as someone else", setBody("impersonator_id", "usr_linus"), nil},
		{"an actor who never was", 403, "nobody of this name", setBody("impersonator_id", "usr_nobody"), nil},
		{"no actor", 400, "actor.sub", setBody("impersonator_id", nil), nil},
		{"a user who never was", 403, "user", path("usr_nobody"), nil},
		{"A04: themselves", 403, "the same user", path("usr_sam"), nil},
		{"A02: an administrator", 403, "rights", path("usr_root"), nil},
		{"they have two organizations", 400, "organization", path("usr_grace"), nil},
		{"A22: a callback that is not registered", 400, "callback_url", auth0More("callback_url", "https://evil.example/"), nil},
		{"A22: one with more in it", 400, "callback_url", auth0More("callback_url", idptest.Callback+"?x=1"), nil},
		{"a state that is too long", 400, "state", auth0More("state", strings.Repeat("x", 1025)), nil},
		{"a response type that is not registered", 400, "response_type", auth0More("response_type", "code token"), nil},
		{"a response mode that is none", 400, "response_mode", auth0More("response_mode", "web_message"), nil},
		{"a token in a query", 400, "response_mode", auth0More("response_type", "token", "response_mode", "query"), nil},
		{"a scope that is more", 400, "scope", auth0More("scope", "openid admin"), nil},
		{"A06: a reason that says nothing", 400, "reason", auth0More("reason", "x"), nil},
		{"A07: an application that does not allow it", 403, "does not allow", nil, altered("app", func(c *storage.Client) { c.AllowImpersonation = false })},
		{"T01: an application that starts its sign-ins itself", 403, "--delivery callback", nil, altered("app", func(c *storage.Client) { c.Delivery = "initiate_login" })},
		{"the switch is off", 403, "switched off", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
			})
		}},
	})
	for what, change := range map[string]func(*spoken){
		"the documentation's":       auth0More("reason", nil, "response_type", nil, "state", nil, "scope", nil, "callback_url", nil),
		"in one of two":             func(c *spoken) { path("usr_grace")(c); auth0More("organization", "org_initech")(c) },
		"a key of no application":   bearer(idp.APIKey(t, "impersonation:start")),
		"no parameters":             setBody("additionalParameters", nil),
		"a client's token":          bearer(serviceToken(t, idp, "impersonation:start")),
		"its application not named": setBody("client_id", nil),
		"named in the SDK's words": func(c *spoken) {
			bearer(idp.APIKey(t, "impersonation:start"))(c)
			setBody("client_id", nil, "clientID", "app")(c)
		},
	} {
		c := auth0Call(key)
		change(&c)
		w := say(t, idp, c)
		wantStatus(t, what, w, http.StatusOK)
		if !strings.HasPrefix(w.Body, idptest.Issuer+"/impersonate/utk_") {
			t.Errorf("%s: %s", what, w.Body)
		}
	}
}

// serviceToken is an access token that a client got for itself.
func serviceToken(t *testing.T, idp *idptest.IDP, scope string) string {
	t.Helper()
	addClient(t, idp, "desk", func(c *storage.Client) {
		*c = *idptest.Service()
		c.ID, c.Scope, c.Audience = "desk", scope, storage.List{idptest.Issuer}
	})
	w := idp.Call("/oauth2/token", "desk", idptest.Secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {idptest.Issuer}})
	wantStatus(t, "client credentials", w, http.StatusOK)
	return str(t, w.JSON(t), "access_token")
}

// A link ends where Auth0's does, once, in every mode, and the profile says who is there.
func TestAuth0Link(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "auth0")
	idp.Change(t, "app", auth0Client)
	key := keyFor(t, idp, "app", "impersonation:start")
	for _, row := range []struct{ responseType, mode, sentBy, holds string }{
		{"code", "", "query", "code"},
		{"code", "GET", "query", "code"},
		{"code", "POST", "form_post", "code"},
		{"code", "form_post", "form_post", "code"},
		{"code", "fragment", "fragment", "code"},
		{"token", "", "fragment", "access_token"},
		{"token", "get", "fragment", "access_token"},
		{"token", "POST", "form_post", "access_token"},
	} {
		what := row.responseType + " " + row.mode
		c := auth0Call(key)
		auth0More("response_type", row.responseType, "response_mode", row.mode)(&c)
		w := say(t, idp, c)
		wantStatus(t, what, w, http.StatusOK)
		path := strings.TrimPrefix(w.Body, idptest.Issuer)
		b := idp.Browser(t)
		wantStatus(t, "A20: "+what+", opened", b.Get(path), http.StatusOK)
		wantStatus(t, "A20: "+what+", opened again", b.Get(path), http.StatusOK)
		answer := b.Post(path, nil)
		sentBy, said := "query", answer.Location().Query()
		if fragment := answer.Location().Fragment; fragment != "" {
			sentBy = "fragment"
			said, _ = url.ParseQuery(fragment)
		} else if answer.Status == http.StatusOK {
			to, fields := formOf(answer)
			if sentBy, said = "form_post", fields; to != idptest.Callback {
				t.Errorf("%s: posts to %s", what, to)
			}
		}
		if sentBy != row.sentBy || said.Get("state") != "a state" || said.Get(row.holds) == "" {
			t.Errorf("%s: by %s: %v: %d %.200s", what, sentBy, said, answer.Status, answer.Body)
			continue
		}
		if w := b.Post(path, nil); w.Status < 400 {
			t.Errorf("A21: %s, once more: %d", what, w.Status)
		}
		access := said.Get("access_token")
		if access == "" {
			access = str(t, idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{
				"grant_type": {"authorization_code"}, "code": {said.Get("code")}, "redirect_uri": {idptest.Callback},
			}).JSON(t), "access_token")
		}
		if act := idptest.Claims(t, access)["act"].(map[string]any); act["sub"] != "usr_sam" {
			t.Errorf("%s: act %v", what, act)
		}
		profile := say(t, idp, spoken{method: http.MethodGet, path: "/userinfo", bearer: access}).JSON(t)
		impersonator, _ := profile["impersonator"].(map[string]any)
		if profile["sub"] != "usr_ada" || profile["impersonated"] != true || impersonator["user_id"] != "usr_sam" || impersonator["email"] != "sam@example.test" || profile["act"] == nil {
			t.Errorf("%s: profile %v", what, profile)
		}
	}
	own := str(t, idp.Tokens(t, person(t, idp, "ada").Code(asking())), "access_token")
	if profile := say(t, idp, spoken{method: http.MethodGet, path: "/userinfo", bearer: own}).JSON(t); profile["impersonated"] != nil || profile["sub"] != "usr_ada" {
		t.Errorf("their own profile: %v", profile)
	}
	wantStatus(t, "nobody's", say(t, idp, spoken{method: http.MethodGet, path: "/userinfo"}), http.StatusUnauthorized)
}

// A call that says no reason is recorded as one, or refused where one is required.
func TestDialectReasons(t *testing.T) {
	t.Parallel()
	calls := func(key string) map[string]spoken {
		clerk, descope, auth0 := clerkCall(key), descopeCall(key), auth0Call(key)
		clerkActs("reason", nil)(&clerk)
		claims(object{"plan": "gold"})(&descope)
		auth0More("reason", "  ")(&auth0)
		return map[string]spoken{"clerk": clerk, "descope": descope, "auth0": auth0}
	}
	o := idptest.Options{}
	o.Handlers.DialectReasonRequired = true
	for _, strict := range []bool{false, true} {
		o.Handlers.DialectReasonRequired = strict
		idp := speaking(t, o)
		idp.Change(t, "app", func(c *storage.Client) { started(c); auth0Client(c) })
		key := keyFor(t, idp, "app", "impersonation:start")
		for dialect, c := range calls(key) {
			if dialect == "clerk" {
				idp.Change(t, "app", func(c *storage.Client) { c.Delivery = "initiate_login" })
			} else {
				idp.Change(t, "app", func(c *storage.Client) { c.Delivery = "callback" })
			}
			w := say(t, idp, c)
			if strict {
				wantStatus(t, dialect, w, http.StatusBadRequest)
				if m := vendorsError(t, dialect, dialect, w); !strings.Contains(m, "reason") {
					t.Errorf("%s says %q", dialect, m)
				}
				continue
			}
			wantStatus(t, dialect, w, http.StatusOK)
			found := events(t, idp, func(e storage.Event) bool {
				return e.Data["dialect"] == dialect && (e.Type == storage.EventImpersonationRequested || e.Type == storage.EventImpersonationStarted)
			})
			if len(found) != 1 || found[0].Data["reason"] != "generated" || !strings.Contains(private(t, found[0]).Reason, `called by "Helpdesk" without a reason`) {
				t.Errorf("%s: on the record: %+v", dialect, found)
			}
		}
	}
}
