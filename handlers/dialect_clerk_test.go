package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// clerkCall is actorTokens.create of sam as ada.
func clerkCall(key string) spoken {
	return spoken{http.MethodPost, "/v1/actor_tokens", key, object{
		"user_id": "usr_ada", "actor": object{"sub": "usr_sam", "reason": "Cannot see invoice 4711"}, "expires_in_seconds": 600, "session_max_duration_in_seconds": 600,
	}}
}

func clerkActs(pairs ...any) func(*spoken) {
	actor := object{"sub": "usr_sam", "reason": "Cannot see invoice 4711"}
	for i := 0; i < len(pairs); i += 2 {
		actor[pairs[i].(string)] = pairs[i+1]
	}
	return setBody("actor", actor)
}

// A01-A12, F08: every rule holds for Clerk's actor tokens.
func TestClerkCreate(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "clerk")
	idp.Change(t, "app", started)
	key := keyFor(t, idp, "app", "impersonation:start")
	local, app := "org_initech", "app"
	bearer := func(key string) func(*spoken) { return func(c *spoken) { c.bearer = key } }
	refuses(t, idp, "clerk", func(*testing.T, *idptest.IDP) spoken { return clerkCall(key) }, []refusedRow{
		{"no key", 401, "API key", bearer(""), nil},
		{"a key that never was", 401, "", bearer("usk_nonsense"), nil},
		{"a key that may not", 403, "impersonation:start", bearer(keyFor(t, idp, "app", "users:read")), nil},
		{"a key of no application", 403, "speaks for no application", bearer(idp.APIKey(t, "impersonation:start")), nil},
		{"F08: a key of another organization", 403, "", bearer(idp.MakeKey(t, storage.APIKey{
			OrganizationID: &local, ClientID: &app, Permissions: storage.List{"impersonation:start"},
		})), nil},
		{"A17: a token of somebody who acts", 403, "acts as another", func(c *spoken) {
			c.bearer = str(t, idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking())), "access_token")
		}, nil},
		{"A01: an actor who may not", 403, "may not sign in as someone else", clerkActs("sub", "usr_linus"), nil},
		{"an actor who never was", 403, "nobody of this name", clerkActs("sub", "usr_nobody"), nil},
		{"no actor", 400, "actor.sub", setBody("actor", nil), nil},
		{"NUL for an actor", 400, "actor.sub", clerkActs("sub", "\x00"), nil},
		{"a user who never was", 403, "user", setBody("user_id", "usr_nobody"), nil},
		{"a user by e-mail", 403, "user", setBody("user_id", "ada@example.test"), nil},
		{"no user", 400, "user_id", setBody("user_id", nil), nil},
		{"A04: themselves", 403, "the same user", setBody("user_id", "usr_sam"), nil},
		{"A02: an administrator", 403, "rights", setBody("user_id", "usr_root"), nil},
		{"A07: an application that does not allow it", 403, "does not allow", nil, altered("app", func(c *storage.Client) { c.AllowImpersonation = false })},
		{"an application without an address to start at", 400, "initiate_login_uri", nil, altered("app", func(c *storage.Client) { c.InitiateLoginURI, c.ClientURI = "", "https://app.example" })},
		{"the switch is off", 403, "switched off", nil, func(t *testing.T, idp *idptest.IDP) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
			})
		}},
		{"they have two organizations", 400, "organization", setBody("user_id", "usr_grace"), nil},
		{"A06: a reason that says nothing", 400, "reason", clerkActs("reason", "x"), nil},
		{"a ticket that is none", 400, "ticket", clerkActs("ticket_ref", strings.Repeat("x", 500)), nil},
		{"A12: longer than an hour", 400, "session_max_duration", setBody("session_max_duration_in_seconds", 3601), nil},
		{"shorter than a minute", 400, "session_max_duration", setBody("session_max_duration_in_seconds", 59), nil},
		{"a negative duration", 400, "session_max_duration", setBody("session_max_duration_in_seconds", -1), nil},
		{"it waits for no time", 400, "expires_in_seconds", setBody("expires_in_seconds", -5), nil},
		{"another organization", 403, "organization", clerkActs("organization_id", "org_initech"), nil},
	})
	for what, change := range map[string]func(*spoken){
		"the quickstart's":          func(c *spoken) { c.body = object{"user_id": "usr_ada", "actor": object{"sub": "usr_sam"}} },
		"as the types have it":      clerkActs("additionalProperties", object{"reason": "Cannot see invoice 4711"}, "reason", nil),
		"with more about the actor": clerkActs("iss", "https://dashboard.example", "sid", "sess_1"),
		"as if it waited for years": setBody("expires_in_seconds", 1<<40),
		"in one of two":             func(c *spoken) { setBody("user_id", "usr_grace")(c); clerkActs("organization_id", "org_initech")(c) },
		"in one of two, as the types have it": func(c *spoken) {
			setBody("user_id", "usr_grace")(c)
			clerkActs("additionalProperties", object{"organization_id": "org_initech"})(c)
		},
	} {
		c := clerkCall(key)
		change(&c)
		w := say(t, idp, c)
		wantStatus(t, what, w, http.StatusOK)
		body := w.JSON(t)
		if waits := body["expires_at"].(float64) - body["created_at"].(float64); waits > 120_000 {
			t.Errorf("A21: %s: it waits for %v ms", what, waits)
		}
		if strings.Contains(w.Body, "sess_1") {
			t.Errorf("A09: %s: %s", what, w.Body)
		}
	}
}

// A21: a ticket is withdrawn while it waits, once, by whom it is within reach of.
func TestClerkRevoke(t *testing.T) {
	t.Parallel()
	idp := speaking(t, idptest.Options{}, "clerk")
	idp.Change(t, "app", started)
	key := keyFor(t, idp, "app", "impersonation:start")
	made := say(t, idp, clerkCall(key)).JSON(t)
	revoke := func(key string) *idptest.Response {
		return say(t, idp, spoken{http.MethodPost, "/v1/actor_tokens/" + str(t, made, "id") + "/revoke", key, nil})
	}
	wantStatus(t, "without a key", revoke(""), http.StatusUnauthorized)
	wantStatus(t, "F08: from another organization", revoke(idp.LocalAPIKey(t, "org_initech", "impersonation:start")), http.StatusNotFound)
	wantStatus(t, "with a key that may not", revoke(keyFor(t, idp, "app", "users:read")), http.StatusForbidden)
	w := revoke(key)
	wantStatus(t, "it waits", w, http.StatusOK)
	if body := w.JSON(t); body["status"] != "revoked" || body["token"] != nil || body["url"] != nil {
		t.Errorf("revoked: %v", body)
	}
	wantStatus(t, "once more", revoke(key), http.StatusBadRequest)
	u, err := url.Parse(str(t, made, "url"))
	check(t, err)
	wantStatus(t, "its link", idp.Browser(t).Get(u.Path), http.StatusNotFound)
}

// Clerk's lists are of whom the key reaches, and a filter that we do not have is refused
// and not forgotten.
func TestClerkUsers(t *testing.T) {
	t.Parallel()
	each(t, unlimited(idptest.Options{Handlers: speaks("clerk")}), func(t *testing.T, idp *idptest.IDP) {
		key := idp.APIKey(t, "users:read")
		local := idp.LocalAPIKey(t, "org_initech", "users:read")
		list := func(key, query string) (ids []string, count int) {
			t.Helper()
			w := say(t, idp, spoken{http.MethodGet, "/v1/users?" + query, key, nil})
			wantStatus(t, query, w, http.StatusOK)
			var users []struct{ ID string }
			w.Into(t, &users)
			for _, u := range users {
				ids = append(ids, strings.TrimPrefix(u.ID, "usr_"))
			}
			q, _ := url.ParseQuery(query)
			for _, name := range []string{"limit", "offset", "order_by"} {
				q.Del(name)
			}
			w = say(t, idp, spoken{http.MethodGet, "/v1/users/count?" + q.Encode(), key, nil})
			wantStatus(t, "count "+query, w, http.StatusOK)
			return ids, int(w.JSON(t)["total_count"].(float64))
		}
		for query, want := range map[string]string{
			"order_by=email_address&limit=3":                         "ada grace linus 6",
			"order_by=%2Bemail_address&limit=3":                      "ada grace linus 6",
			"order_by=-email_address&limit=3":                        "sam root olga 6",
			"order_by=email_address&offset=4&limit=500":              "root sam 6",
			"query=ada@example.test":                                 "ada 1",
			"query=usr_sam":                                          "sam 1",
			"query=nobody":                                           " 0",
			"query=%25":                                              " 0",
			"user_id=usr_ada&user_id=usr_sam&order_by=email_address": "ada sam 2",
			"email_address=ADA@example.test":                         "ada 1",
			"email_address=da@example.test":                          " 0",
			"email_address=":                                         " 0",
			"email_address=ada@example.test&email_address=sam@example.test&order_by=email_address": "ada sam 2",
			"organization_id=org_initech&order_by=email_address":                                   "grace linus 2",
			"organization_id=%2Borg_initech&order_by=email_address":                                "grace linus 2",
			"user_id=%2Busr_ada":                                                              "ada 1",
			"user_id=-usr_ada&order_by=email_address&limit=2":                                 "grace linus 5",
			"organization_id=org_initech&organization_id=-org_globex":                         "linus 1",
			"organization_id=-org_globex&organization_id=-org_initech&order_by=email_address": "olga root sam 3",
			"username=linus_":                       " 0",
			"created_at_before=1000":                " 0",
			"created_at_after=1000&user_id=usr_ada": "ada 1",
			"last_sign_in_at_before=4000000000000":  " 0",
			"last_sign_in_at_after=1":               " 0",
		} {
			if ids, n := list(key, query); strings.Join(ids, " ")+" "+strconv.Itoa(n) != want {
				t.Errorf("%s: %v of %d, want %s", query, ids, n, want)
			}
		}
		if ids, n := list(local, "order_by=email_address"); strings.Join(ids, " ") != "grace linus" || n != 2 {
			t.Errorf("F08: of one organization: %v of %d", ids, n)
		}
		if ids, n := list(local, "organization_id=org_initech&order_by=email_address"); strings.Join(ids, " ") != "grace linus" || n != 2 {
			t.Errorf("F08: of one organization, asked for that: %v of %d", ids, n)
		}
		for _, query := range []string{"organization_id=org_globex", "organization_id=%2Borg_globex", "organization_id=org_initech&organization_id=org_globex", "organization_id=org_nowhere"} {
			for _, path := range []string{"/v1/users?", "/v1/users/count?"} { // Grace is a member of both
				wantStatus(t, "F08: of one organization, asked for another: "+path+query, say(t, idp, spoken{http.MethodGet, path + query, local, nil}), http.StatusNotFound)
			}
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.CreateUser(ctx, &storage.User{ID: "usr_whole", Email: "whole@example.test", Name: "Ada Byron"}, time.Now())
		})
		if u := say(t, idp, spoken{http.MethodGet, "/v1/users/usr_whole", key, nil}).JSON(t); u["first_name"] != "Ada Byron" || u["last_name"] != nil {
			t.Errorf("who has nothing but a whole name: %v %v", u["first_name"], u["last_name"])
		}
		wantStatus(t, "one", say(t, idp, spoken{http.MethodGet, "/v1/users/usr_ada", key, nil}), http.StatusOK)
		wantStatus(t, "F08: one of elsewhere", say(t, idp, spoken{http.MethodGet, "/v1/users/usr_ada", local, nil}), http.StatusNotFound)
		wantStatus(t, "nobody", say(t, idp, spoken{http.MethodGet, "/v1/users/usr_nobody", key, nil}), http.StatusNotFound)
		for _, query := range []string{
			"created_at_after=x", "created_at_before=-1", "last_sign_in_at_after=99999999999999999999", "last_sign_in_at_before=999999999999999999", "phone_number=1", "external_id=x", "last_active_at_since=1", "limit=0", "limit=501", "limit=x", "offset=-1", "order_by=password_hash",
			"order_by=id;drop", "order_by=-", "limit=1&limit=2", "%zz", "query=%00", "query=%ff",
			"user_id=%00", "email_address=ada@example.test&email_address=%00", "organization_id=%ff", "x=" + strings.Repeat("y", 9000),
		} {
			w := say(t, idp, spoken{http.MethodGet, "/v1/users?" + query, key, nil})
			wantStatus(t, "F09: "+query, w, http.StatusBadRequest)
			vendorsError(t, query, "clerk", w)
		}
		wantStatus(t, "a key that may not", say(t, idp, spoken{http.MethodGet, "/v1/users", idp.APIKey(t, "impersonation:start"), nil}), http.StatusForbidden)
	})
}
