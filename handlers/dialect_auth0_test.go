package handlers_test

import (
	"context"
	"encoding/json"
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

// auth0Form is a token request of Auth0's SDKs from 4 on; before, they sent JSON.
func auth0Form(idp *idptest.IDP, form url.Values) *idptest.Response {
	return idp.Do(idptest.Form("/oauth/token", form))
}

// Auth0's token requests are those of the token endpoint, in its words: also in JSON.
func TestAuth0Token(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("auth0")}), func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) {
			auth0Client(c)
			c.TokenEndpointAuthMethod = "client_secret_post"
		})
		addClient(t, idp, "desk", func(c *storage.Client) {
			*c = *idptest.Service()
			c.ID, c.Scope, c.Audience, c.TokenEndpointAuthMethod = "desk", "users:read impersonation:start", storage.List{idptest.Issuer, "https://orders.example/"}, "client_secret_post"
		})
		addClient(t, idp, "basic", func(c *storage.Client) {
			*c = *idptest.Service()
			c.ID, c.Scope, c.Audience = "basic", "users:read", storage.List{idptest.Issuer}
		})
		own := object{"grant_type": "client_credentials", "client_id": "desk", "client_secret": idptest.Secret, "audience": idptest.Issuer + "/api/v2/"}
		for _, row := range []struct {
			name    string
			changes object
			status  int
			scope   string // or what the error says
		}{
			{"as the SDK asks", nil, 200, "users:read impersonation:start"},
			{"without an audience, as the guide asks", object{"audience": nil}, 200, "users:read impersonation:start"},
			{"by the issuer", object{"audience": idptest.Issuer}, 200, "users:read impersonation:start"},
			{"Auth0's scope", object{"scope": "read:users"}, 200, "users:read"},
			{"our scopes", object{"scope": "impersonation:start"}, 200, "impersonation:start"},
			{"another audience of the client's", object{"audience": "https://orders.example/"}, 200, "users:read impersonation:start"},
			{"null is nothing", object{"scope": json.RawMessage("null")}, 200, "users:read impersonation:start"},
			{"a scope that it does not have", object{"scope": "read:users update:users"}, 400, "scope"},
			{"an audience that it does not have", object{"audience": "https://elsewhere.example/"}, 400, "resource"},
			{"a wrong secret", object{"client_secret": "nonsense"}, 401, "authentication"},
			{"no secret", object{"client_secret": nil}, 401, "authentication"},
			{"no client", object{"client_id": "nobody"}, 401, "authentication"},
			{"F04: a client that authenticates in another way", object{"client_id": "basic"}, 401, "authentication"},
			{"a client for people", object{"client_id": "app"}, 400, "grant type"},
			{"no grant type", object{"grant_type": nil}, 400, "grant_type"},
			{"passwords", object{"grant_type": "password"}, 400, "grant type"},
			{"a number", object{"scope": 5}, 400, "scope: is not a text"},
		} {
			asked := but(own, row.changes)
			form := url.Values{}
			for name, value := range asked {
				if text, ok := value.(string); ok {
					form.Set(name, text)
				}
			}
			answers := map[string]*idptest.Response{"JSON": say(t, idp, spoken{http.MethodPost, "/oauth/token", "", asked})}
			if row.changes["scope"] != 5 {
				answers["form"] = auth0Form(idp, form)
			}
			for by, w := range answers {
				what := row.name + ", " + by
				wantStatus(t, what, w, row.status)
				if w.Status >= 400 {
					if message := vendorsError(t, what, "auth0", w); !strings.Contains(message, row.scope) {
						t.Errorf("%s: %q", what, message)
					}
					continue
				}
				if got := w.JSON(t); got["scope"] != row.scope || got["token_type"] != "Bearer" || got["expires_in"] == nil || w.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %v, %v", what, got, w.Header)
				}
			}
		}
		wantStatus(t, "F02: in the query", say(t, idp, spoken{http.MethodPost, "/oauth/token?grant_type=client_credentials", "", own}), http.StatusBadRequest)
		wantStatus(t, "a parameter twice", auth0Form(idp, url.Values{"grant_type": {"client_credentials", "client_credentials"}}), http.StatusBadRequest)
		basic := idptest.Form("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
		basic.SetBasicAuth("basic", idptest.Secret)
		w := idp.Do(basic)
		wantStatus(t, "with the client in the header", w, http.StatusOK)
		if got := w.JSON(t)["scope"]; got != "users:read" {
			t.Errorf("with the client in the header: scope %v", got)
		}
		basic = idptest.Form("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
		basic.SetBasicAuth("basic", "wrong")
		if w := idp.Do(basic); w.Status != http.StatusUnauthorized || !strings.HasPrefix(w.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("with a wrong secret in the header: status %d, WWW-Authenticate %q", w.Status, w.Header.Get("WWW-Authenticate"))
		}

		// What it got for itself asks for a link, and the application redeems its code. The ID
		// token names the issuer as Auth0 does, and ends a session nevertheless.
		token := str(t, say(t, idp, spoken{http.MethodPost, "/oauth/token", "", own}).JSON(t), "access_token")
		b := idp.Browser(t)
		link := say(t, idp, auth0Call(token))
		wantStatus(t, "a link", link, http.StatusOK)
		code := b.Post(strings.TrimPrefix(link.Body, idptest.Issuer), nil).Location().Query().Get("code")
		redeem := object{"grant_type": "authorization_code", "client_id": "app", "client_secret": idptest.Secret, "code": code, "redirect_uri": idptest.Callback}
		w = say(t, idp, spoken{http.MethodPost, "/oauth/token", "", redeem})
		wantStatus(t, "its code", w, http.StatusOK)
		claims := idptest.Claims(t, w.JSON(t)["id_token"])
		if claims["iss"] != idptest.Issuer+"/" || claims["act"].(object)["sub"] != "usr_sam" || idptest.Claims(t, w.JSON(t)["access_token"])["iss"] != idptest.Issuer {
			t.Errorf("the ID token: %v", claims)
		}
		wantStatus(t, "its code again", say(t, idp, spoken{http.MethodPost, "/oauth/token", "", redeem}), http.StatusBadRequest)
		if _, err := idp.Provider.Hint(str(t, w.JSON(t), "id_token")); err != nil {
			t.Errorf("as a hint: %v", err)
		}
	})
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
