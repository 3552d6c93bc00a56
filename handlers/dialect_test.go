package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// speaking is a provider that speaks these dialects, all of them where none is named.
func speaking(t testing.TB, o idptest.Options, names ...string) *idptest.IDP {
	t.Helper()
	if o.Handlers.Dialects = names; names == nil {
		o.Handlers.Dialects = []string{"clerk", "workos", "descope", "auth0"}
	}
	return idptest.New(t, unlimited(o))
}

// spoken is a call in another vendor's words.
type spoken struct {
	method, path string
	bearer       string // empty: no Authorization
	body         any    // a string as it is, anything else as JSON; nil: none
}

// say sends a call.
func say(t testing.TB, idp *idptest.IDP, c spoken) *idptest.Response {
	t.Helper()
	var body []byte
	switch b := c.body.(type) {
	case nil:
	case string:
		body = []byte(b)
	default:
		var err error
		body, err = json.Marshal(b)
		check(t, err)
	}
	r := httptest.NewRequest(c.method, c.path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	return idp.Do(r)
}

// but is an object with members replaced, and those that are nil left out.
func but(object map[string]any, changes map[string]any) map[string]any {
	all := map[string]any{}
	for _, from := range []map[string]any{object, changes} {
		for name, value := range from {
			if all[name] = value; value == nil {
				delete(all, name)
			}
		}
	}
	return all
}

type object = map[string]any

// keyFor makes an API key that speaks for a client.
func keyFor(t testing.TB, idp *idptest.IDP, client string, permissions ...string) string {
	t.Helper()
	return idp.MakeKey(t, storage.APIKey{Name: "Helpdesk", ClientID: &client, Permissions: permissions})
}

// A dialect that is not listed is not there: its addresses are like any that never were.
func TestDialectsAreOff(t *testing.T) {
	t.Parallel()
	rows := handlers.DialectRoutes()
	for name := range rows {
		idp := speaking(t, idptest.Options{}, name)
		for other, patterns := range rows {
			for _, pattern := range patterns {
				method, path, _ := strings.Cut(pattern, " ")
				path = strings.NewReplacer("{id}", "x", "{user}", "x", "{ticket}", "x", "{client}", "app", "{project}", "app", "{session}", "x").Replace(path)
				w := say(t, idp, spoken{method: method, path: path, body: object{}})
				there := w.Status != http.StatusNotFound || strings.Contains(w.Header.Get("Content-Type"), "json") && !strings.Contains(w.Body, "is not here")
				if there != (name == other) {
					t.Errorf("only %s is on: %s of %s: status %d", name, pattern, other, w.Status)
				}
			}
		}
	}
	silent := speaking(t, idptest.Options{}, []string{}...)
	if w := say(t, silent, spoken{method: http.MethodGet, path: "/events"}); w.Status != http.StatusNotFound {
		t.Errorf("nothing is on: %d", w.Status)
	}
}

// What no SDK can do anything with it is told in its own words, whatever the body is.
func TestDialectsRefuseBodies(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{})
	key := keyFor(t, idp, "app", "impersonation:start", "users:read", "users:write", "events:read")
	for name, patterns := range handlers.DialectRoutes() {
		for _, pattern := range patterns {
			method, path, _ := strings.Cut(pattern, " ")
			if method != http.MethodPost || strings.HasSuffix(path, "/revoke") || strings.HasPrefix(path, "/v1/auth/") {
				continue
			}
			path = strings.NewReplacer("{user}", "usr_ada").Replace(path)
			bearer := key
			if name == "descope" {
				bearer = "app:" + key
			}
			for what, body := range map[string]string{
				"nothing": "", "no JSON": "{", "an array": "[]", "a text": `"x"`, "null": "null", "a number": "1",
				"a member twice":  `{"user_id":"a","user_id":"b"}`,
				"too deep":        strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
				"no text":         "{\"a\":\"\xff\"}",
				"too much":        `{"a":"` + strings.Repeat("x", 70<<10) + `"}`,
				"other types":     `{"user_id":1,"grant_type":[],"loginId":{},"protocol":true,"jwt":1,"actor":"x","code":{}}`,
				"two values":      `{} {}`,
				"a form":          "grant_type=authorization_code&code=x",
				"NUL in each":     `{"user_id":"\u0000","actor":{"sub":"\u0000"},"impersonatorId":"\u0000","loginId":"\u0000","protocol":"oauth2","impersonator_id":"\u0000","client_id":"\u0000","grant_type":"\u0000"}`,
				"nobody and none": `{}`,
			} {
				if what == "nobody and none" && strings.HasSuffix(path, "/user/search") {
					continue // everybody
				}
				w := say(t, idp, spoken{method, path, bearer, body})
				if w.Status < 400 || w.Status >= 500 {
					t.Errorf("%s of %s, %s: status %d: %s", pattern, name, what, w.Status, w.Body)
				}
				vendorsError(t, fmt.Sprintf("%s, %s", pattern, what), name, w)
			}
		}
	}
}

// What the vendor has and we do not is told in its own words: of a page its SDK would say
// that it is no JSON.
func TestDialectsTellWhatIsNotHere(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{})
	for dialect, calls := range map[string][]string{
		"clerk":   {"POST /v1/sessions", "GET /v1/organizations", "POST /v1/sign_in_tokens", "DELETE /v1/users/usr_ada", "POST /v1/users/usr_ada/ban"},
		"workos":  {"DELETE /user_management/users/usr_ada", "GET /user_management/users/external_id/x", "GET /organizations", "GET /organizations/org_x", "POST /sso/token"},
		"descope": {"POST /v1/mgmt/user/create", "POST /v1/auth/logoutall", "POST /v2/mgmt/user/search/test", "POST /v2/auth/otp"},
		"auth0":   {"POST /oauth/revoke", "GET /api/v2/clients", "PATCH /api/v2/users/usr_ada", "POST /tokeninfo", "POST /delegation", "POST /dbconnections/signup", "POST /passwordless/start"},
	} {
		for _, call := range calls {
			method, path, _ := strings.Cut(call, " ")
			w := say(t, idp, spoken{method: method, path: path, body: object{}})
			wantStatus(t, call, w, http.StatusNotFound)
			if message := vendorsError(t, call, dialect, w); !strings.Contains(message, "docs/moving-from-"+dialect+".md") {
				t.Errorf("%s: %q", call, message)
			}
		}
	}
}

// vendorsError checks that an error has what a vendor's SDK reads, and returns the
// message that it throws.
func vendorsError(t testing.TB, what, dialect string, w *idptest.Response) string {
	t.Helper()
	var e struct {
		Errors []struct {
			Code        string `json:"code"`
			Message     string `json:"message"`
			LongMessage string `json:"long_message"`
		} `json:"errors"`
		Code        string `json:"code"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Message     string `json:"message"`
		ErrorCode   string `json:"errorCode"`
		ErrorText   string `json:"errorDescription"`
		ErrorWords  string `json:"errorMessage"`
		StatusCode  int    `json:"statusCode"`
	}
	if got := w.Header.Get("Content-Type"); got != "application/json" || w.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %q, Cache-Control %q", what, got, w.Header.Get("Cache-Control"))
	}
	if err := json.Unmarshal([]byte(w.Body), &e); err != nil {
		t.Errorf("%s: %v: %.200s", what, err, w.Body)
		return ""
	}
	whole, message := false, e.Message
	switch dialect {
	case "clerk":
		if whole = len(e.Errors) == 1 && e.Errors[0].Code != "" && e.Errors[0].Message != ""; whole {
			message = e.Errors[0].LongMessage
		}
	case "workos":
		whole = e.Code != "" && e.Error == e.Code && e.Description == e.Message
	case "descope":
		whole, message = e.ErrorCode != "" && e.ErrorText != "", e.ErrorWords
	case "auth0":
		whole = e.StatusCode == w.Status && e.Error != "" && e.Description == e.Message
	}
	if !whole || message == "" {
		t.Errorf("%s: not an error of %s: %s", what, dialect, w.Body)
	}
	return message
}

// refusedRow is an allowed call with one thing broken.
type refusedRow struct {
	name    string
	status  int
	message string // part of what the SDK throws
	call    func(c *spoken)
	before  func(t *testing.T, idp *idptest.IDP)
}

// setBody changes members of a call's body.
func setBody(pairs ...any) func(*spoken) {
	return func(c *spoken) {
		changes := object{}
		for i := 0; i < len(pairs); i += 2 {
			changes[pairs[i].(string)] = pairs[i+1]
		}
		c.body = but(c.body.(object), changes)
	}
}

// refuses plays the rows of a dialect: the call is allowed, and is not with one thing
// broken.
func refuses(t *testing.T, idp *idptest.IDP, dialect string, call func(*testing.T, *idptest.IDP) spoken, rows []refusedRow) {
	t.Helper()
	if w := say(t, idp, call(t, idp)); w.Status != http.StatusOK {
		t.Fatalf("the call that is allowed: %d: %s", w.Status, w.Body)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			idp := idp
			if row.before != nil {
				idp = idp.Copy(t)
			}
			c := call(t, idp)
			if row.before != nil {
				row.before(t, idp)
			}
			if row.call != nil {
				row.call(&c)
			}
			w := say(t, idp, c)
			wantStatus(t, row.name, w, row.status)
			if w.Status >= 400 {
				if got := vendorsError(t, row.name, dialect, w); !strings.Contains(got, row.message) {
					t.Errorf("says %q, want %q in it", got, row.message)
				}
			}
		})
	}
}

// altered changes a client.
func altered(id string, change func(*storage.Client)) func(*testing.T, *idptest.IDP) {
	return func(t *testing.T, idp *idptest.IDP) {
		c, err := idp.Store.Client(t.Context(), id)
		check(t, err)
		changed := *c
		change(&changed)
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.UpdateClient(ctx, &changed, storage.Cause{}, time.Now())
		})
	}
}

// speaks is the configuration of a provider that speaks these dialects.
func speaks(names ...string) handlers.Config { return handlers.Config{Dialects: names} }

// What the SDKs of other vendors get is what their programs rely on.
func TestDialectWire(t *testing.T) {
	t.Parallel()
	o := unlimited(idptest.Options{Handlers: speaks("clerk", "workos", "descope", "auth0")})
	clocked(t, o, func(t *testing.T, idp *idptest.IDP) {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		g := wire{t, time.Now()}
		idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh, c.InitiateLoginURI = true, initiate })
		key := keyFor(t, idp, "app", "impersonation:start", "users:read", "users:write", "events:read")

		own := g.answer("workos_own", say(t, idp, workosCall("app", key)(t, idp)))
		if act := idptest.Claims(t, own["access_token"])["act"]; act != nil {
			t.Errorf("act: %v", act)
		}
		c := workosCall("app", key)(t, idp)
		setBody("code", person(t, idp, "sam").ActAs("usr_ada", workosURL("app")))(&c)
		g.token("workos_access_token", g.answer("workos_impersonation", say(t, idp, c))["access_token"])
		setBody("code", "uc_nonsense")(&c)
		g.answer("workos_error", say(t, idp, c))
		check(t, idp.Auditor.Sequence(t.Context()))
		g.answer("workos_events", say(t, idp, spoken{http.MethodGet, "/events?events=session.created&limit=1", key, nil}))

		g.answer("workos_user", say(t, idp, spoken{http.MethodGet, "/user_management/users/usr_ada", key, nil}))
		g.answer("auth0_user", say(t, idp, spoken{http.MethodGet, "/api/v2/users/usr_ada", key, nil}))
		g.answer("clerk_user", say(t, idp, spoken{http.MethodGet, "/v1/users/usr_ada", key, nil}))
		token := g.answer("clerk_create", say(t, idp, clerkCall(key)))
		g.answer("clerk_revoke", say(t, idp, spoken{http.MethodPost, "/v1/actor_tokens/" + str(t, token, "id") + "/revoke", key, nil}))
		g.answer("clerk_error", say(t, idp, spoken{http.MethodPost, "/v1/actor_tokens", key, object{}}))
		c = auth0Call(key)
		setBody("protocol", "samlp")(&c)
		g.answer("auth0_error", say(t, idp, c))

		refresh := g.answer("descope_impersonate", say(t, idp, descopeCall(key)))
		g.token("descope_refresh_jwt", refresh["jwt"])
		session := say(t, idp, spoken{http.MethodPost, "/v1/auth/refresh", "app:" + str(t, refresh, "jwt"), object{}})
		g.token("descope_session_jwt", g.answer("descope_refresh", session)["sessionJwt"])
		stopped := say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": refresh["jwt"]}})
		g.token("descope_own_jwt", g.answer("descope_stop", stopped)["jwt"])
		g.answer("descope_error", say(t, idp, spoken{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": "x"}}))
	})
}

// Whatever a body says, it is answered in the vendor's words, and never as our failure.
func FuzzDialects(f *testing.F) {
	idp := speaking(f, idptest.Options{})
	key := keyFor(f, idp, "app", "impersonation:start", "impersonation:stop_any", "users:read", "users:write", "events:read")
	calls := []spoken{
		clerkCall(key), descopeCall(key), auth0Call(key),
		{http.MethodPost, "/user_management/authenticate", key, object{
			"grant_type": "authorization_code", "client_id": "app", "client_secret": key, "code": "uc_x", "code_verifier": idptest.Verifier,
		}},
		{http.MethodPost, "/v1/mgmt/stop/impersonation", "app:" + key, object{"jwt": "a.b.c", "customClaims": object{"plan": "gold"}}},
		{http.MethodPost, "/v1/mgmt/user/update/impersonationConsent", "app:" + key, object{"loginId": "usr_ada", "impersonationConsent": true}},
		{http.MethodPost, "/v2/mgmt/user/search", "app:" + key, object{"text": "ada", "sort": []object{{"field": "email", "desc": true}}, "fromCreatedTime": 1}},
		{http.MethodPost, "/v1/mgmt/users/load", "app:" + key, object{"userIds": []string{"usr_ada"}}},
		{http.MethodPost, "/oauth/token", "", object{"grant_type": "client_credentials", "client_id": "app", "client_secret": idptest.Secret, "audience": idptest.Issuer + "/api/v2/"}},
		{http.MethodPost, "/user_management/sessions/revoke", key, object{"session_id": "imp_x"}},
	}
	names := []string{"clerk", "descope", "auth0", "workos", "descope", "descope", "descope", "descope", "auth0", "workos"}
	for i, c := range calls {
		body, err := json.Marshal(c.body)
		check(f, err)
		f.Add(uint8(i), string(body))
	}
	f.Add(uint8(1), `{"customClaims":{"a":{"b":[1e999,null,{"act":1}]}},"refreshDuration":1e3}`)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		i := int(which) % len(calls)
		c := calls[i]
		c.body = body
		w := say(t, idp, c)
		if w.Status >= 500 {
			t.Errorf("%s: status %d: %s", c.path, w.Status, w.Body)
		}
		if w.Status >= 400 {
			vendorsError(t, c.path, names[i], w)
		}
	})
}
