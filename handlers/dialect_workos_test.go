package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// workosURL is what getAuthorizationUrl of WorkOS's SDK returns.
func workosURL(client string, pairs ...string) string {
	q := url.Values{
		"client_id": {client}, "provider": {"authkit"}, "redirect_uri": {idptest.Callback}, "response_type": {"code"}, "state": {"a state"},
		"code_challenge": {idptest.Challenge}, "code_challenge_method": {"S256"},
	}
	having(pairs...)(q)
	return "/user_management/authorize?" + q.Encode()
}

// workosCall is authenticateWithCode with a code of ada's own.
func workosCall(client, key string) func(*testing.T, *idptest.IDP) spoken {
	return func(t *testing.T, idp *idptest.IDP) spoken {
		return spoken{http.MethodPost, "/user_management/authenticate", key, object{
			"grant_type": "authorization_code", "client_id": client, "client_secret": key,
			"code": person(t, idp, "ada").Code(workosURL(client)), "code_verifier": idptest.Verifier,
		}}
	}
}

// A24, B01-B07, F04: WorkOS's token request is held to what ours is.
func TestWorkOSAuthenticate(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "workos")
	key := keyFor(t, idp, "app", "events:read")
	expires := storage.At(time.Now().Add(time.Hour))
	app := "app"
	dying := idp.MakeKey(t, storage.APIKey{Name: "dying", ClientID: &app, Permissions: storage.List{"events:read"}, ExpiresAt: expires})
	globex := "org_globex"
	local := idp.MakeKey(t, storage.APIKey{ClientID: &app, OrganizationID: &globex, Permissions: storage.List{"events:read"}})
	addClient(t, idp, "other", nil)
	addClient(t, idp, "hybrid", func(c *storage.Client) { c.ResponseTypes = storage.List{"code", "code id_token"} })
	secret := func(key string) func(*spoken) { return setBody("client_secret", key) }
	refuses(t, idp, "workos", workosCall("app", key), []refusedRow{
		{"no key", 401, "API key", setBody("client_secret", nil), nil},
		{"a key that never was", 401, "", secret("usk_nonsense"), nil},
		{"the client's own secret", 401, "", secret(idptest.Secret), nil},
		{"a key of another application", 403, "speaks for another", secret(keyFor(t, idp, "other", "events:read")), nil},
		{"a token of another client", 403, "speaks for another", func(c *spoken) { secret(serviceToken(t, idp, "impersonation:start"))(c) }, nil},
		{"F08: a key of one organization", 403, "of one organization", secret(local), nil},
		{"an organization of an ordinary sign-in", 400, "organization", setBody("organization_id", "org_globex"), nil},
		{"a key of no application", 403, "speaks for no", secret(idp.APIKey(t, "events:read", "impersonation:start")), nil},
		{"a key that was revoked", 401, "", nil, func(t *testing.T, idp *idptest.IDP) {
			k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
			check(t, err)
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.RevokeAPIKey(ctx, k.ID, time.Now()) })
		}},
		{"an application that never was", 403, "another application", setBody("client_id", "nothing"), nil},
		{"a disabled application", 404, "no application", nil, altered("app", func(c *storage.Client) { c.Status = storage.ClientDisabled })},
		{"a code that never was", 400, "grant", setBody("code", "uc_nonsense"), nil},
		{"no code", 400, "code", setBody("code", nil), nil},
		{"a refresh token for a code", 400, "grant", setBody("code", "ur_nonsense"), nil},
		{"another verifier", 400, "", setBody("code_verifier", strings.Repeat("x", 43)), nil},
		{"no verifier", 400, "", setBody("code_verifier", nil), nil},
		{"a code of another application", 400, "grant", func(c *spoken) {
			c.body = but(c.body.(object), object{"code": person(t, idp, "ada").Code(workosURL("other"))})
		}, nil},
		{"a grant type of WorkOS's own", 400, "Only authorization_code", setBody("grant_type", "urn:workos:oauth:grant-type:magic-auth:code"), nil},
		{"client credentials", 400, "Only authorization_code", setBody("grant_type", "client_credentials"), nil},
		{"no grant type", 400, "Only authorization_code", setBody("grant_type", nil), nil},
	})
	if w := say(t, idp, workosCall("app", dying)(t, idp)); w.Status != http.StatusOK {
		t.Errorf("with a key that lives: %d %s", w.Status, w.Body)
	}

	t.Run("F08: a key of the organization that the application is limited to", func(t *testing.T) {
		idp := idp.Copy(t)
		altered("app", func(c *storage.Client) { c.Organizations = storage.List{globex} })(t, idp)
		wantStatus(t, "its own", say(t, idp, workosCall("app", local)(t, idp)), http.StatusOK)
	})
	t.Run("B03: the code once more", func(t *testing.T) {
		c := workosCall("app", key)(t, idp)
		first := say(t, idp, c).JSON(t)
		wantStatus(t, "the code once more", say(t, idp, c), http.StatusBadRequest)
		wantStatus(t, "what it gave", userinfo(idp, str(t, first, "access_token")), http.StatusUnauthorized)
	})
	t.Run("tokens at the front channel would name the actor otherwise", func(t *testing.T) {
		hybrid := keyFor(t, idp, "hybrid", "events:read")
		w := say(t, idp, workosCall("hybrid", hybrid)(t, idp))
		wantStatus(t, "hybrid", w, http.StatusBadRequest)
		if !strings.Contains(vendorsError(t, "hybrid", "workos", w), "only response type is code") {
			t.Error(w.Body)
		}
	})
	t.Run("what the scopes say nothing of", func(t *testing.T) {
		for scope, want := range map[string][2]any{
			"openid": {"", nil}, "openid email": {"ada@example.test", nil}, "openid profile": {"", "ada"}, "openid profile email": {"ada@example.test", "ada"},
		} {
			client := strings.ReplaceAll("scoped "+scope, " ", "-")
			addClient(t, idp, client, func(c *storage.Client) { c.Scope = scope })
			w := say(t, idp, workosCall(client, keyFor(t, idp, client, "events:read"))(t, idp))
			wantStatus(t, scope, w, http.StatusOK)
			user, _ := w.JSON(t)["user"].(map[string]any)
			if user["email"] != want[0] || user["email_verified"] != (want[0] != "") || user["first_name"] != want[1] || user["name"] != want[1] {
				t.Errorf("%s: %v", scope, user)
			}
		}
	})
	t.Run("the user goes by the name that the client knows", func(t *testing.T) {
		addClient(t, idp, "pairwise", func(c *storage.Client) { c.SubjectType = storage.SubjectPairwise })
		body := say(t, idp, workosCall("pairwise", keyFor(t, idp, "pairwise", "events:read"))(t, idp)).JSON(t)
		sub := idptest.Claims(t, body["access_token"])["sub"]
		if user, _ := body["user"].(map[string]any); user["id"] != sub || sub == "usr_ada" {
			t.Errorf("user %v, sub %v", user["id"], sub)
		}
	})
	t.Run("without a key, by its verifier", func(t *testing.T) {
		addClient(t, idp, "mobile", func(c *storage.Client) { c.TokenEndpointAuthMethod, c.SecretHash = "none", nil })
		c := workosCall("mobile", "")(t, idp)
		c.body = but(c.body.(object), object{"client_secret": nil})
		wantStatus(t, "wrong verifier", say(t, idp, spoken{c.method, c.path, "", but(c.body.(object), object{"code_verifier": strings.Repeat("x", 43)})}), http.StatusBadRequest)
		wantStatus(t, "public", say(t, idp, c), http.StatusOK)
	})
}

// A08, A12: an impersonation is one in WorkOS's answer, and act the same in everything
// that comes of it.
func TestWorkOSImpersonation(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "workos")
	addClient(t, idp, "shop", func(c *storage.Client) { c.ImpersonationRefresh = true })
	key := keyFor(t, idp, "shop", "events:read")
	b := person(t, idp, "sam")
	code := b.ActAs("usr_ada", workosURL("shop"))
	answer := say(t, idp, spoken{http.MethodPost, "/user_management/authenticate", key, object{
		"grant_type": "authorization_code", "client_id": "shop", "client_secret": key, "code": code, "code_verifier": idptest.Verifier,
	}})
	body := answer.JSON(t)
	access := str(t, body, "access_token")
	wantAct := func(what string, act any) {
		t.Helper()
		if got, ok := act.(map[string]any); !ok || len(got) != 1 || got["sub"] != "sam@example.test" {
			t.Errorf("%s: act %v", what, act)
		}
	}
	everywhere := func(what, access string) {
		t.Helper()
		wantAct(what+", access token", idptest.Claims(t, access)["act"])
		wantAct(what+", introspection", idp.Call("/oauth2/introspect", "shop", idptest.Secret, url.Values{"token": {access}}).JSON(t)["act"])
		wantAct(what+", userinfo", userinfo(idp, access).JSON(t)["act"])
	}
	everywhere("at first", access)
	refresh := spoken{http.MethodPost, "/user_management/authenticate", key, object{
		"grant_type": "refresh_token", "client_id": "shop", "client_secret": key, "refresh_token": body["refresh_token"],
	}}
	elsewhere := say(t, idp, spoken{refresh.method, refresh.path, key, but(refresh.body.(object), object{"organization_id": "org_initech"})})
	wantStatus(t, "in another organization", elsewhere, http.StatusBadRequest)
	setBody("organization_id", "org_globex")(&refresh) // as the SDK's session.refresh has it
	renewed := say(t, idp, refresh).JSON(t)
	everywhere("renewed", str(t, renewed, "access_token"))
	if renewed["authentication_method"] != "Impersonation" || renewed["impersonator"] == nil {
		t.Errorf("renewed: %v", renewed)
	}
	// The same refresh token by our own endpoint says the same.
	own := idp.Call("/oauth2/token", "shop", idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(t, renewed, "refresh_token")}}).JSON(t)
	everywhere("by our endpoint", str(t, own, "access_token"))
	wantAct("by our endpoint, ID token", idptest.Claims(t, own["id_token"])["act"])

	id, _ := body["impersonation"].(map[string]any)["id"].(string)
	check(t, idp.Provider.Impersonation.End(t.Context(), id, storage.Cause{Reason: storage.EndStopped}, time.Now()))
	wantStatus(t, "stopped", say(t, idp, spoken{refresh.method, refresh.path, key, but(refresh.body.(object), object{"refresh_token": own["refresh_token"]})}), http.StatusBadRequest)
	wantStatus(t, "stopped", userinfo(idp, access), http.StatusUnauthorized)
}

// What WorkOS's authorization request says and ours does not is no way around the rules.
func TestWorkOSAuthorize(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "workos")
	b := person(t, idp, "ada")
	for what, path := range map[string]string{
		"C01: another callback":  workosURL("app", "redirect_uri", "https://evil.example/"),
		"an unknown application": workosURL("nothing"),
		"one organization":       workosURL("app", "organization_id", "org_globex"),
		"one connection":         workosURL("app", "connection_id", "conn_1"),
	} {
		if w := b.Get(path); w.Status < 400 || w.Location().String() != "" {
			t.Errorf("%s: %d %s", what, w.Status, w.Location())
		}
	}
	for what, row := range map[string]struct{ path, code string }{
		"B16: a token":        {workosURL("app", "response_type", "token"), "unsupported_response_type"},
		"a plain challenge":   {workosURL("app", "code_challenge_method", "plain"), "invalid_request"},
		"a prompt that is no": {workosURL("app", "prompt", "x"), "invalid_request"},
	} {
		_, w := b.Follow(row.path)
		q := w.Location().Query()
		if q.Get("error") == "" {
			q, _ = url.ParseQuery(w.Location().Fragment)
		}
		if q.Get("error") != row.code {
			t.Errorf("%s: %s", what, w.Location())
		}
	}
	w := b.Get("/users/usr_ada/details?dialog=impersonate&reason=x")
	if got := w.Location().String(); got != "/admin/users/usr_ada?dialog=impersonate" {
		t.Errorf("E07: the deep link leads to %q", got)
	}
	for session, want := range map[string]string{
		"imp_x": "/impersonation/stop?id=imp_x", "imp_x&id=y": "/impersonation/stop?id=imp_x", "sid_x": "/oauth2/logout",
		"sid_x&return_to=https://evil.example/": "/oauth2/logout", "": "/oauth2/logout",
	} {
		if got := b.Get("/user_management/sessions/logout?session_id=" + session).Location().String(); got != want {
			t.Errorf("the end of session %q leads to %q, want %q", session, got, want)
		}
	}
	if w := b.Get("/users/..%2f..%2fevil.example/details"); strings.HasPrefix(w.Location().String(), "//") || w.Location().Host != "" {
		t.Errorf("the deep link leads to %s", w.Location())
	}
}

// What gets its place while a page is read is on a later one, of whichever type it is.
func TestWorkOSEventsMeanwhile(t *testing.T) {
	for name, dsn := range databases {
		t.Run(name, func(t *testing.T) {
			var meanwhile atomic.Pointer[func()]
			idp := speaking(t, idptest.Options{DSN: dsn(t), Trace: func(statement string) {
				if strings.Contains(statement, "position >= ") {
					if then := meanwhile.Swap(nil); then != nil {
						(*then)()
					}
				}
			}}, "workos")
			key := idp.APIKey(t, "events:read")
			end := func() {
				idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
					return tx.RecordAll(ctx, []storage.Event{
						{Type: storage.EventImpersonationExpired, SubjectID: "usr_ada", ImpersonationID: "imp_1"},
						{Type: storage.EventImpersonationStopped, SubjectID: "usr_ada", ImpersonationID: "imp_2"},
					}, storage.Private{}, storage.Request{}, time.Now())
				})
				check(t, idp.Auditor.Sequence(t.Context()))
			}
			meanwhile.Store(&end)
			var got []string
			after := ""
			for range 2 {
				w := say(t, idp, spoken{http.MethodGet, "/events?events=session.revoked&after=" + after, key, nil})
				wantStatus(t, "a page", w, http.StatusOK)
				for _, e := range w.JSON(t)["data"].([]any) {
					event := e.(map[string]any)
					after = str(t, event, "id")
					got = append(got, str(t, event["data"].(map[string]any), "id"))
				}
			}
			if want := []string{"imp_1", "imp_2"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The events are WorkOS's, in order, page by page, and within the reach of the key.
func TestWorkOSEvents(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("workos")}), testWorkOSEvents)
}

func testWorkOSEvents(t *testing.T, idp *idptest.IDP) {
	key := idp.APIKey(t, "events:read")
	for _, name := range []string{"linus", "sam"} {
		idp.Browser(t).SignIn(name)
	}
	b := person(t, idp, "sam")
	code := b.ActAs("usr_ada", asking())
	tokens := idp.Tokens(t, code)
	id, _ := tokens["impersonation"].(map[string]any)["id"].(string)
	check(t, idp.Provider.Impersonation.End(t.Context(), id, storage.Cause{Reason: storage.EndStopped}, time.Now()))
	check(t, idp.Auditor.Sequence(t.Context()))

	list := func(key, query string) *idptest.Response {
		return say(t, idp, spoken{http.MethodGet, "/events?" + query, key, nil})
	}
	type session struct {
		ID, UserID, Organization string
		Impersonator             map[string]any
		Status                   string
	}
	read := func(key, query string) (all []session) {
		t.Helper()
		for after := ""; ; {
			w := list(key, query+"&after="+after)
			wantStatus(t, query, w, http.StatusOK)
			page := w.JSON(t)
			for _, e := range page["data"].([]any) {
				d := e.(map[string]any)["data"].(map[string]any)
				one := session{ID: str(t, d, "id"), UserID: str(t, d, "user_id"), Status: str(t, d, "status")}
				one.Organization, _ = d["organization_id"].(string)
				one.Impersonator, _ = d["impersonator"].(map[string]any)
				all = append(all, one)
			}
			next, _ := page["list_metadata"].(map[string]any)["after"].(string)
			if after = next; next == "" {
				return all
			}
		}
	}
	created := read(key, "events=session.created&limit=1")
	found := 0
	for _, s := range created {
		if s.ID == id {
			found++
			if s.UserID != "usr_ada" || s.Impersonator["email"] != "sam@example.test" || s.Impersonator["reason"] != "Cannot see invoice 4711" || s.Organization != "org_globex" {
				t.Errorf("the impersonation's: %+v", s)
			}
		} else if s.Impersonator != nil {
			t.Errorf("an ordinary one: %+v", s)
		}
	}
	if found != 1 || len(created) < 3 {
		t.Errorf("%d of %d are the impersonation's", found, len(created))
	}
	if ended := read(key, "events=session.revoked&limit=2"); len(ended) != 1 || ended[0].ID != id || ended[0].Status != "revoked" ||
		ended[0].Impersonator["email"] != "sam@example.test" || ended[0].Impersonator["reason"] != "Cannot see invoice 4711" {
		t.Errorf("ended: %+v", ended)
	}
	if both := read(key, "events=session.created,session.revoked&limit=2"); len(both) != len(created)+1 {
		t.Errorf("both: %d, want %d", len(both), len(created)+1)
	}
	local := idp.LocalAPIKey(t, "org_globex", "events:read")
	if s := read(local, "events=session.created"); len(s) != 1 || s[0].ID != id {
		t.Errorf("F08: of one organization: %+v", s)
	}
	for what, row := range map[string]struct {
		key, query string
		status     int
	}{
		"no key":                        {"", "events=session.created", 401},
		"a key that may not":            {idp.APIKey(t, "users:read"), "events=session.created", 403},
		"no events named":               {key, "", 400},
		"others":                        {key, "events=user.created", 400},
		"too many":                      {key, "events=session.created&limit=101", 400},
		"none":                          {key, "events=session.created&limit=0", 400},
		"after nothing":                 {key, "events=session.created&after=evt_nothing", 400},
		"F08: after what it cannot see": {local, "events=session.created&after=" + foreignEvent(t, idp), 400},
		"another organization":          {local, "events=session.created&organization_id=org_initech", 403},
		"F09: a parameter twice":        {key, "events=session.created&limit=1&limit=2", 400},
		"F09: another parameter":        {key, "events=session.created&sort=x", 400},
		"backwards":                     {key, "events=session.created&order=desc", 400},
		"F09: no text":                  {key, "events=session.created&organization_id=%00", 400},
		"no time":                       {key, "events=session.created&range_start=x", 400},
	} {
		w := list(row.key, row.query)
		wantStatus(t, what, w, row.status)
		vendorsError(t, what, "workos", w)
	}
	later := url.Values{"events": {"session.created"}, "range_start": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339)}}
	if s := read(key, later.Encode()); len(s) != 0 {
		t.Errorf("later than all: %+v", s)
	}
}

// foreignEvent is the id of an event of no organization.
func foreignEvent(t *testing.T, idp *idptest.IDP) string {
	t.Helper()
	all, err := idp.Store.Events(t.Context(), storage.EventFilter{Types: []storage.EventType{storage.EventSessionCreated}})
	check(t, err)
	return all[0].ID
}
