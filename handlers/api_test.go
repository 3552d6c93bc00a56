package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// What every operation refuses, from one request that is allowed.
func TestAPIRequests(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	key := idp.APIKey(t, provider.Permissions()...)
	type request struct {
		key, method, path string
		body              any
		header            []string
	}
	name := func(s string) string { return `{"name": "` + s + `", "permissions": ["users:read"]}` }
	for _, c := range []struct {
		what   string
		change func(*request)
		status int
		code   string
		field  string
	}{
		{"allowed", func(*request) {}, http.StatusCreated, "", ""},
		{"no key", func(r *request) { r.key = "" }, http.StatusUnauthorized, "invalid_token", ""},
		{"a cookie instead", func(r *request) {
			b := inConsole(t, idp, "root")
			cookies := []string{}
			for name, value := range b.Cookies {
				cookies = append(cookies, name+"="+value)
			}
			r.key, r.header = "", []string{"Cookie", strings.Join(cookies, "; ")}
		}, http.StatusUnauthorized, "invalid_token", ""},
		{"another key", func(r *request) { r.key = "usk_" + strings.Repeat("a", 43) }, http.StatusUnauthorized, "invalid_token", ""},
		{"Basic", func(r *request) { r.key, r.header = "", []string{"Authorization", "Basic " + key} }, http.StatusUnauthorized, "invalid_token", ""},
		{"no such path", func(r *request) { r.path = "/nothing" }, http.StatusNotFound, "not_found", ""},
		{"the prefix alone", func(r *request) { r.path = "" }, http.StatusNotFound, "not_found", ""},
		{"a path too long", func(r *request) { r.path += "/" }, http.StatusNotFound, "not_found", ""},
		{"a path with two slashes", func(r *request) { r.path = "/" + r.path }, http.StatusNotFound, "not_found", ""},
		{"a path with two slashes, by GET", func(r *request) { *r = request{key: key, path: "//users"} }, http.StatusNotFound, "not_found", ""},
		{"a path that goes up", func(r *request) { r.path = "/users/.." + r.path }, http.StatusNotFound, "not_found", ""},
		{"a path out of the API", func(r *request) { *r = request{key: key, path: "/../../account"} }, http.StatusNotFound, "not_found", ""},
		{"PUT", func(r *request) { r.method = http.MethodPut }, http.StatusMethodNotAllowed, "method_not_allowed", ""},
		{"OPTIONS", func(r *request) { r.method = http.MethodOptions }, http.StatusMethodNotAllowed, "method_not_allowed", ""},
		{"no body", func(r *request) { r.body = nil }, http.StatusBadRequest, "invalid_request", ""},
		{"a form", func(r *request) { r.header = []string{"Content-Type", "application/x-www-form-urlencoded"} }, http.StatusUnsupportedMediaType, "unsupported_media_type", ""},
		{"another charset", func(r *request) { r.header = []string{"Content-Type", "application/json; charset=utf-16"} }, http.StatusUnsupportedMediaType, "unsupported_media_type", ""},
		{"no JSON", func(r *request) { r.body = "{" }, http.StatusBadRequest, "invalid_request", ""},
		{"two values", func(r *request) { r.body = name("a") + name("b") }, http.StatusBadRequest, "invalid_request", ""},
		{"a list", func(r *request) { r.body = "[]" }, http.StatusBadRequest, "invalid_request", ""},
		{"too large", func(r *request) { r.body = name(strings.Repeat("a", 64<<10)) }, http.StatusRequestEntityTooLarge, "body_too_large", ""},
		{"too deep", func(r *request) { r.body = `{"name": ` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}` }, http.StatusBadRequest, "invalid_request", ""},
		{"a member twice", func(r *request) { r.body = `{"name": "a", "name": "b", "permissions": ["users:read"]}` }, http.StatusBadRequest, "invalid_request", ""},
		{"an unknown member", func(r *request) { r.body = `{"name": "a", "permissions": ["users:read"], "admin": true}` }, http.StatusBadRequest, "invalid_request", "admin"},
		{"a member in capitals", func(r *request) { r.body = `{"name": "a", "permissions": ["users:read"], "Name": "b"}` }, http.StatusBadRequest, "invalid_request", "Name"},
		{"a missing member", func(r *request) { r.body = `{"name": "a"}` }, http.StatusBadRequest, "invalid_request", "permissions"},
		{"another type", func(r *request) { r.body = `{"name": 1, "permissions": ["users:read"]}` }, http.StatusBadRequest, "invalid_request", "name"},
		{"no text", func(r *request) { r.body = name(`\u0000`) }, http.StatusBadRequest, "invalid_request", "name"},
		{"blank", func(r *request) { r.body = name(" ") }, http.StatusBadRequest, "invalid_request", "name"},
		{"no permission of ours", func(r *request) { r.body = `{"name": "a", "permissions": ["users:read", "root"]}` }, http.StatusBadRequest, "invalid_request", "permissions[1]"},
		{"a time that is none", func(r *request) {
			r.body = `{"name": "a", "permissions": ["users:read"], "expires_at": "tomorrow"}`
		}, http.StatusBadRequest, "invalid_request", "expires_at"},
		{"a time that has passed", func(r *request) {
			r.body = `{"name": "a", "permissions": ["users:read"], "expires_at": "2020-01-01T00:00:00Z"}`
		}, http.StatusBadRequest, "invalid_request", "expires_at"},
		{"a time long ago", func(r *request) {
			r.body = `{"name": "a", "permissions": ["users:read"], "expires_at": "1970-01-01T00:00:00Z"}`
		}, http.StatusBadRequest, "invalid_request", "expires_at"},
		{"the first time of all", func(r *request) {
			r.body = `{"name": "a", "permissions": ["users:read"], "expires_at": "0001-01-01T00:00:00Z"}`
		}, http.StatusBadRequest, "invalid_request", "expires_at"},
		{"members of nothing", func(r *request) { *r = request{key: key, path: "/organizations/org_nowhere/members"} }, http.StatusNotFound, "not_found", ""},
		{"no such organization", func(r *request) {
			r.body = `{"name": "a", "permissions": ["users:read"], "organization_id": "org_nowhere"}`
		}, http.StatusBadRequest, "unknown_reference", ""},
		{"an unknown parameter", func(r *request) { r.path += "?debug=1" }, http.StatusBadRequest, "invalid_request", "debug"},
		{"the key in the query", func(r *request) { r.key, r.path = "", r.path+"?access_token="+key }, http.StatusUnauthorized, "invalid_token", ""},
		{"a malformed query", func(r *request) { r.path += "?a=%zz" }, http.StatusBadRequest, "invalid_request", ""},
		{"an empty Idempotency-Key", func(r *request) { r.header = []string{"Idempotency-Key", ""} }, http.StatusBadRequest, "invalid_request", "Idempotency-Key"},
		{"a long Idempotency-Key", func(r *request) { r.header = []string{"Idempotency-Key", strings.Repeat("a", 256)} }, http.StatusBadRequest, "invalid_request", "Idempotency-Key"},

		{"a limit of 0", func(r *request) { *r = request{key: key, path: "/users?limit=0"} }, http.StatusBadRequest, "invalid_request", "limit"},
		{"a limit of 101", func(r *request) { *r = request{key: key, path: "/users?limit=101"} }, http.StatusBadRequest, "invalid_request", "limit"},
		{"a limit that is none", func(r *request) { *r = request{key: key, path: "/users?limit=x"} }, http.StatusBadRequest, "invalid_request", "limit"},
		{"a limit twice", func(r *request) { *r = request{key: key, path: "/users?limit=1&limit=2"} }, http.StatusBadRequest, "invalid_request", ""},
		{"F09 a cursor that is none", func(r *request) { *r = request{key: key, path: "/users?cursor=abc"} }, http.StatusBadRequest, "invalid_cursor", ""},
		{"a body where none belongs", func(r *request) { *r = request{key: key, path: "/users", body: `{"a": 1}`} }, http.StatusBadRequest, "invalid_request", ""},
		{"a NUL in a path", func(r *request) { *r = request{key: key, path: "/users/%00"} }, http.StatusNotFound, "not_found", ""},
		{"no UTF-8 in a path", func(r *request) { *r = request{key: key, path: "/users/%ff"} }, http.StatusNotFound, "not_found", ""},
	} {
		r := request{key: key, method: http.MethodPost, path: "/api-keys", body: name("a")}
		c.change(&r)
		if r.method == "" {
			r.method = http.MethodGet
		}
		w := idp.API(t, r.key, r.method, r.path, r.body, r.header...)
		if w.Status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.what, w.Status, c.status, w.Body)
		}
		for header, want := range map[string]string{"Cache-Control": "no-store", "Access-Control-Allow-Origin": ""} {
			if got := w.Header.Get(header); got != want {
				t.Errorf("%s: %s: got %q, want %q", c.what, header, got, want)
			}
		}
		if c.code == "" {
			continue
		}
		p := w.Problem(t)
		if p.Code != c.code || p.Type != "urn:understudy:problem:"+c.code || p.Title == "" {
			t.Errorf("%s: got %+v, want %s", c.what, p, c.code)
		}
		if c.field != "" && (p.Errors == nil || !slices.ContainsFunc(*p.Errors, func(f api.FieldError) bool { return f.Field == c.field && f.Message != "" })) {
			t.Errorf("%s: got %s, want the field %q", c.what, w.Body, c.field)
		}
		if challenge := w.Header.Get("WWW-Authenticate"); (c.status == http.StatusUnauthorized) != (challenge != "") {
			t.Errorf("%s: WWW-Authenticate %q", c.what, challenge)
		}
		if allow := w.Header.Get("Allow"); c.status == http.StatusMethodNotAllowed && allow != "GET, POST" {
			t.Errorf("%s: Allow %q", c.what, allow)
		}
		if strings.Contains(w.Body, key) {
			t.Errorf("%s: the key is in the answer", c.what)
		}
	}
}

// Who may call at all: each kind of token, from one that may.
func TestAPICallers(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		now := time.Now()
		globex := "org_globex"
		registered := func(id string, change func(*storage.Client)) {
			c := idptest.Service()
			c.ID, c.Scope, c.Audience = id, "users:read jobs:run openid", storage.List{idptest.Issuer, "https://api.example"}
			change(c)
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateClient(ctx, c, now) })
		}
		registered("machine", func(*storage.Client) {})
		registered("opaque", func(c *storage.Client) { c.AccessTokenFormat = "opaque" })
		registered("elsewhere", func(c *storage.Client) { c.Audience = storage.List{"https://api.example"} })
		registered("itself", func(c *storage.Client) { c.RegisteredWith = provider.RegistrationOpen })
		own := func(client, scope string, more ...string) func() string {
			return func() string {
				form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
				having(more...)(form)
				w := idp.Call("/oauth2/token", client, idptest.Secret, form)
				wantStatus(t, client, w, http.StatusOK)
				return str(t, w.JSON(t), "access_token")
			}
		}
		key := func(k storage.APIKey) func() string {
			k.Permissions = storage.List{"users:read"}
			return func() string { return idp.MakeKey(t, k) }
		}
		for _, c := range []struct {
			what   string
			token  func() string
			status int
		}{
			{"a key", key(storage.APIKey{}), http.StatusOK},
			{"a key of an organization", key(storage.APIKey{OrganizationID: &globex}), http.StatusOK},
			{"a key that will expire", key(storage.APIKey{ExpiresAt: storage.At(now.Add(time.Hour))}), http.StatusOK},
			{"a key that was revoked", func() string {
				secret := key(storage.APIKey{Name: "to be revoked"})()
				k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(secret))
				check(t, err)
				check(t, provider.NewAPIKeys(idp.Store).Revoke(t.Context(), k.ID, storage.Cause{}, now))
				return secret
			}, http.StatusUnauthorized},
			{"the id of a key", func() string {
				k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key(storage.APIKey{})()))
				check(t, err)
				return k.ID
			}, http.StatusUnauthorized},
			{"a JWT of a client", own("machine", "users:read"), http.StatusOK},
			{"an opaque token of a client", own("opaque", "users:read"), http.StatusOK},
			{"without the scope", own("machine", "jobs:run"), http.StatusForbidden},
			{"without the scope any more", func() string {
				registered("reduced", func(*storage.Client) {})
				token := own("reduced", "users:read jobs:run")()
				c, err := idp.Store.Client(t.Context(), "reduced")
				check(t, err)
				reduced := *c
				reduced.Scope = "jobs:run"
				idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
					return tx.UpdateClient(ctx, &reduced, storage.Cause{}, now)
				})
				return token
			}, http.StatusForbidden},
			{"for another API", own("machine", "users:read", "resource", "https://api.example"), http.StatusUnauthorized},
			{"of a client not registered for it", own("elsewhere", "users:read"), http.StatusUnauthorized},
			{"of a client that registered itself", own("itself", "users:read"), http.StatusUnauthorized},
			{"of a user", func() string {
				return str(t, idp.Tokens(t, person(t, idp, "root").Code(asking())), "access_token")
			}, http.StatusUnauthorized},
			{"A17 of somebody who acts", func() string {
				return str(t, idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking())), "access_token")
			}, http.StatusForbidden},
		} {
			if w := idp.API(t, c.token(), http.MethodGet, "/users", nil); w.Status != c.status {
				t.Errorf("%s: status %d, want %d: %s", c.what, w.Status, c.status, w.Body)
			}
		}
	})
}

// Whoever begins a request and holds its end back does nothing with a key that is revoked
// before it comes.
func TestAPIKeyRevokedDuringRequest(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	key := idp.APIKey(t, "apikeys:write")
	k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
	check(t, err)
	body, rest := io.Pipe()
	r := httptest.NewRequest(http.MethodPost, "/api/v1/api-keys", body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	go func() {
		_, _ = io.WriteString(rest, `{"name": "late", `) // until it is read
		err := provider.NewAPIKeys(idp.Store).Revoke(context.Background(), k.ID, storage.Cause{}, time.Now())
		_, _ = io.WriteString(rest, `"permissions": ["apikeys:write"]}`)
		_ = rest.CloseWithError(err)
	}()
	wantStatus(t, "revoked meanwhile", idp.Hold(t, r), http.StatusUnauthorized)
	wantStatus(t, "afterwards", idp.API(t, key, http.MethodGet, "/api-keys", nil), http.StatusUnauthorized)
}

// F08, D14: every operation of the document, with a key that holds its permission, with
// one that holds all others, and with one of an organization.
func TestAPIMatrix(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: handlers.Config{CallsPerSecond: 10_000}})
	for _, o := range api.Load().Operations {
		if o.Permission == "" {
			continue
		}
		others := slices.DeleteFunc(provider.Permissions(), func(p string) bool { return p == o.Permission })
		if len(others) != len(provider.Permissions())-1 {
			t.Errorf("%s: there is no permission %q", o.ID, o.Permission)
			continue
		}
		for _, c := range []struct {
			what, key string
			may       bool
		}{
			{"its permission", idp.APIKey(t, o.Permission), true},
			{"all others", idp.APIKey(t, others...), false},
			{"its permission within an organization", idp.LocalAPIKey(t, "org_globex", o.Permission), o.Within},
			{"all others within an organization", idp.LocalAPIKey(t, "org_globex", others...), false},
		} {
			path := placeholders.ReplaceAllString(o.Path, "nothing")
			w := idp.API(t, c.key, o.Method, path, nil)
			refused := w.Status == http.StatusForbidden && w.Problem(t).Code == "insufficient_permission"
			if refused == c.may || w.Status >= http.StatusInternalServerError {
				t.Errorf("%s with %s: status %d, want it to be let in: %v", o.ID, c.what, w.Status, c.may)
			}
		}
		if w := idp.API(t, "", o.Method, placeholders.ReplaceAllString(o.Path, "nothing"), nil); w.Status != http.StatusUnauthorized {
			t.Errorf("%s without a key: status %d", o.ID, w.Status)
		}
	}
}

var placeholders = regexp.MustCompile(`\{[a-z_]+\}`)

// F09: pages follow each other without gap or repetition; a cursor is of one list only.
func TestAPICursors(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key, other := idp.APIKey(t, "users:read", "apikeys:write"), idp.APIKey(t, "users:read", "apikeys:write")
		var list struct {
			Data []struct{ ID string }
			Next *string `json:"next_cursor"`
		}
		var seen, whole []string
		idp.API(t, key, http.MethodGet, "/users?limit=100", nil).Into(t, &list)
		for _, u := range list.Data {
			whole = append(whole, u.ID)
		}
		var cursors []string
		for path := "/users?limit=2"; path != ""; {
			list.Next = nil
			idp.API(t, key, http.MethodGet, path, nil).Into(t, &list)
			for _, u := range list.Data {
				seen = append(seen, u.ID)
			}
			path = ""
			if list.Next != nil {
				path, cursors = "/users?limit=2&cursor="+*list.Next, append(cursors, *list.Next)
			}
		}
		if !slices.Equal(seen, whole) || len(whole) < 6 {
			t.Errorf("got %v, want %v", seen, whole)
		}
		cursor := cursors[0]
		changed := "x"
		if cursor[20] == 'x' {
			changed = "y"
		}
		list.Next = nil
		idp.API(t, key, http.MethodGet, "/organizations/org_globex/members?limit=1", nil).Into(t, &list)
		for what, w := range map[string]*idptest.Response{
			"another path":   idp.API(t, key, http.MethodGet, "/organizations/org_initech/members?cursor="+*list.Next, nil),
			"another list":   idp.API(t, key, http.MethodGet, "/api-keys?cursor="+cursor, nil),
			"another caller": idp.API(t, other, http.MethodGet, "/users?cursor="+cursor, nil),
			"changed":        idp.API(t, key, http.MethodGet, "/users?cursor="+cursor[:20]+changed+cursor[21:], nil),
			"cut":            idp.API(t, key, http.MethodGet, "/users?cursor="+cursor[:20], nil),
		} {
			if w.Status != http.StatusBadRequest || w.Problem(t).Code != "invalid_cursor" {
				t.Errorf("%s: %d %s", what, w.Status, w.Body)
			}
		}
	})
}

// A POST with an Idempotency-Key is done once, however often and however many at once
// send it.
func TestAPIIdempotency(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key, other := idp.APIKey(t, provider.Permissions()...), idp.APIKey(t, provider.Permissions()...)
		body := func(name string) string { return `{"name": "` + name + `", "permissions": ["users:read"]}` }
		count := func(name string) (n int) {
			for _, e := range events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventAPIKeyCreated }) {
				if e.Data["name"] == name {
					n++
				}
			}
			return n
		}
		send := func(key, id, name string) *idptest.Response {
			return idp.API(t, key, http.MethodPost, "/api-keys", body(name), "Idempotency-Key", id)
		}

		first := send(key, "a", "first")
		wantStatus(t, "first", first, http.StatusCreated)
		again := send(key, "a", "first")
		if again.Body != first.Body || again.Status != first.Status || again.Header.Get("Idempotent-Replayed") != "true" || count("first") != 1 {
			t.Errorf("again: %d %s, want %s", again.Status, again.Body, first.Body)
		}
		if w := send(key, "a", "second"); w.Status != http.StatusUnprocessableEntity || w.Problem(t).Code != "idempotency_key_reused" {
			t.Errorf("another body: %d %s", w.Status, w.Body)
		}
		if w := idp.API(t, key, http.MethodPost, "/api-keys?", body("first"), "Idempotency-Key", "a"); w.Status != http.StatusUnprocessableEntity {
			t.Errorf("another address: %d %s", w.Status, w.Body)
		}
		wantStatus(t, "another caller", send(other, "a", "first"), http.StatusCreated)

		// What was refused is refused again.
		refused := idp.API(t, key, http.MethodPost, "/api-keys/nothing/revoke", nil, "Idempotency-Key", "b")
		again = idp.API(t, key, http.MethodPost, "/api-keys/nothing/revoke", nil, "Idempotency-Key", "b")
		if refused.Status != http.StatusNotFound || again.Body != refused.Body {
			t.Errorf("refused: %d %s, then %d %s", refused.Status, refused.Body, again.Status, again.Body)
		}

		var wg sync.WaitGroup
		answers := make([]*idptest.Response, 20)
		for i := range answers {
			wg.Go(func() { answers[i] = send(key, "race", "race") })
		}
		wg.Wait()
		winners := 0
		for _, w := range answers {
			switch {
			case w.Status == http.StatusCreated && w.Header.Get("Idempotent-Replayed") == "":
				winners++
			case w.Status == http.StatusCreated:
			case w.Status != http.StatusConflict || w.Problem(t).Code != "idempotency_under_way" || w.Header.Get("Retry-After") == "":
				t.Errorf("at once: %d %s", w.Status, w.Body)
			}
		}
		if winners != 1 || count("race") != 1 {
			t.Errorf("at once: %d winners made %d keys", winners, count("race"))
		}

		// Whoever has the database has neither the answer nor the key of the request.
		for table, text := range rows(t, idp, database(t, idp)) {
			for _, row := range text {
				if strings.Contains(row, strings.Split(first.Body, `"secret":"`)[1][:20]) {
					t.Errorf("%s: the secret is in the database", table)
				}
			}
		}
	})
}

// A server that is gone in the middle of a request has done it or not: whoever sends it
// again gets it done in the one case, and is told so in the other.
func TestAPIIdempotencyAcrossACrash(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key, db := idp.APIKey(t, "apikeys:write"), database(t, idp)
		body := `{"name": "crash", "permissions": ["apikeys:write"]}`
		send := func() *idptest.Response {
			return idp.API(t, key, http.MethodPost, "/api-keys", body, "Idempotency-Key", "a")
		}
		exec := func(statement string) {
			t.Helper()
			_, err := db.Exec(statement)
			check(t, err)
		}
		later := func() {
			exec(`UPDATE idempotent_requests SET created_at = created_at - 31000000, expires_at = expires_at - 31000000`)
		}
		wantProblem := func(what, code string) {
			t.Helper()
			if w := send(); w.Status != http.StatusConflict || w.Problem(t).Code != code {
				t.Errorf("%s: %d %s, want %s", what, w.Status, w.Body, code)
			}
		}
		made := func() (n int) {
			check(t, db.QueryRow(`SELECT COUNT(*) FROM api_keys WHERE name = 'crash'`).Scan(&n))
			return n
		}
		// What a claim looks like whose server went away before it had done anything.
		wantStatus(t, "first", send(), http.StatusCreated)
		exec(`DELETE FROM api_keys WHERE name = 'crash'`)
		exec(`UPDATE idempotent_requests SET status = 0, sealed = NULL, expires_at = created_at + 30000000`)
		wantProblem("nothing done yet", "idempotency_under_way")
		later()

		// A server that changes something, and is gone before the answer is kept.
		if idp.Store.Dialect() == storage.SQLite {
			exec(`CREATE TRIGGER gone BEFORE UPDATE ON idempotent_requests WHEN NEW.status > 1 BEGIN SELECT RAISE(ABORT, 'gone'); END`)
		} else {
			exec(`ALTER TABLE idempotent_requests ADD CONSTRAINT gone CHECK (status < 2)`)
		}
		wantStatus(t, "after a claim that came to nothing", send(), http.StatusCreated)
		wantProblem("done just now", "idempotency_under_way")
		later()
		wantProblem("done, and never answered", "idempotency_unknown_end")
		if n := made(); n != 1 {
			t.Errorf("%d keys were made, want 1", n)
		}
	})
}

// Whoever is so slow that another has taken the request over changes nothing any more.
func TestAPIIdempotencyTakenOver(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		now := time.Now()
		claim := func(at time.Time) *storage.IdempotentRequest {
			r := &storage.IdempotentRequest{KeyHash: storage.Hash("key"), RequestHash: storage.Hash("request")}
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				was, err := tx.ClaimIdempotent(ctx, r, at)
				if was != nil {
					t.Errorf("at %v: it is claimed", at)
				}
				return err
			})
			return r
		}
		change := func(r *storage.IdempotentRequest, name string) error {
			ctx := storage.Answering(t.Context(), r)
			return idp.Store.Write(ctx, func(tx *storage.Tx) error {
				return tx.CreateOrganization(ctx, &storage.Organization{ID: name, Name: name}, now)
			})
		}
		slow, next := claim(now), claim(now.Add(31*time.Second))
		if err := change(slow, "org_slow"); !errors.Is(err, storage.ErrSpent) {
			t.Errorf("the slow one: %v", err)
		}
		if _, err := idp.Store.Organization(t.Context(), "org_slow"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the slow one did it: %v", err)
		}
		check(t, change(next, "org_next"))
		check(t, change(next, "org_more"))
	})
}

// Who was told to wait, waits and sends the same again is answered.
func TestAPIIdempotencyOfWaiting(t *testing.T) {
	t.Parallel()
	v := newReceiver(t)
	clocked(t, idptest.Options{Provider: provider.Config{Transport: v}}, func(t *testing.T, idp *idptest.IDP) {
		key := idp.APIKey(t, "webhooks:write")
		_, w := hooked(t, idp, v)
		send := func(header ...string) *idptest.Response {
			return idp.API(t, key, http.MethodPost, "/webhooks/"+w.ID+"/test", nil, header...)
		}
		for range 5 {
			wantStatus(t, "within the limit", send(), http.StatusOK)
		}
		wantStatus(t, "beyond it", send("Idempotency-Key", "a"), http.StatusTooManyRequests)
		time.Sleep(11 * time.Minute)
		wantStatus(t, "later", send("Idempotency-Key", "a"), http.StatusOK)
	})
}

// A key can do no more than whoever made it, and reaches no further (SECURITY F08).
func TestAPIKeysOfKeys(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	global, local := idp.APIKey(t, "apikeys:write", "users:read"), idp.LocalAPIKey(t, "org_globex", "apikeys:write", "users:read", "clients:write")
	clients := idp.APIKey(t, "apikeys:write", "users:read", "clients:write")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		machine := idptest.Service()
		machine.ID, machine.Scope = "machine", "users:read users:write"
		return tx.CreateClient(ctx, machine, time.Now())
	})
	for _, c := range []struct {
		what, key, body string
		status          int
	}{
		{"what it holds", global, `{"name": "a", "permissions": ["users:read"]}`, http.StatusCreated},
		{"of an organization", global, `{"name": "a", "permissions": ["users:read"], "organization_id": "org_globex"}`, http.StatusCreated},
		{"more than it holds", global, `{"name": "a", "permissions": ["users:read", "users:write"]}`, http.StatusForbidden},
		{"its own organization unsaid", local, `{"name": "a", "permissions": ["users:read"]}`, http.StatusCreated},
		{"its own organization", local, `{"name": "a", "permissions": ["users:read"], "organization_id": "org_globex"}`, http.StatusCreated},
		{"another organization", local, `{"name": "a", "permissions": ["users:read"], "organization_id": "org_initech"}`, http.StatusForbidden},
		{"an organization that is not there", local, `{"name": "a", "permissions": ["users:read"], "organization_id": "org_nowhere"}`, http.StatusForbidden},
		{"to stand in for a client", clients, `{"name": "a", "permissions": ["users:read"], "client_id": "app"}`, http.StatusCreated},
		{"for a client, who may not change clients", global, `{"name": "a", "permissions": ["users:read"], "client_id": "app"}`, http.StatusForbidden},
		{"for a client, who may not change clients everywhere", local, `{"name": "a", "permissions": ["users:read"], "client_id": "app"}`, http.StatusForbidden},
		{"for a client that may do more", clients, `{"name": "a", "permissions": ["users:read"], "client_id": "machine"}`, http.StatusForbidden},
		{"for a client that is not there", clients, `{"name": "a", "permissions": ["users:read"], "client_id": "nothing"}`, http.StatusBadRequest},
	} {
		w := idp.API(t, c.key, http.MethodPost, "/api-keys", c.body)
		if w.Status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.what, w.Status, c.status, w.Body)
		}
		if w.Status != http.StatusCreated {
			continue
		}
		var made api.APIKeyWithSecret
		w.Into(t, &made)
		if c.key == local && (made.OrganizationID == nil || *made.OrganizationID != "org_globex") {
			t.Errorf("%s: %s", c.what, w.Body)
		}
		wantStatus(t, c.what, idp.API(t, made.Secret, http.MethodGet, "/users", nil), http.StatusOK)
		wantStatus(t, c.what, idp.API(t, c.key, http.MethodPost, "/api-keys/"+made.ID+"/revoke", nil), http.StatusOK)
		wantStatus(t, c.what, idp.API(t, c.key, http.MethodPost, "/api-keys/"+made.ID+"/revoke", nil), http.StatusOK)
		wantStatus(t, c.what+", revoked", idp.API(t, made.Secret, http.MethodGet, "/users", nil), http.StatusUnauthorized)
	}
	theirs, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(global))
	check(t, err)
	for _, path := range []string{"/api-keys/" + theirs.ID, "/api-keys/nothing"} {
		got := idp.API(t, local, http.MethodGet, path, nil).Problem(t)
		stop := idp.API(t, local, http.MethodPost, path+"/revoke", nil).Problem(t)
		if got.Code != "not_found" || stop.Code != "not_found" {
			t.Errorf("%s: %+v, %+v", path, got, stop)
		}
	}
	wantStatus(t, "not revoked", idp.API(t, global, http.MethodGet, "/users", nil), http.StatusOK)
	if w := idp.API(t, local, http.MethodGet, "/api-keys", nil); strings.Contains(w.Body, `"id":"`+theirs.ID) || !strings.Contains(w.Body, "org_globex") {
		t.Errorf("the list: %s", w.Body)
	}
}

// F08: the key of an organization finds its members, and cannot tell whether there is
// anybody else.
func TestAPIUsersWithinOrganization(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := idp.LocalAPIKey(t, "org_globex", "users:read")
		w := idp.API(t, key, http.MethodGet, "/users", nil)
		var list api.UserList
		w.Into(t, &list)
		if len(list.Data) != 2 || strings.Contains(w.Body, "linus") {
			t.Errorf("list: %s", w.Body)
		}
		wantStatus(t, "ada", idp.API(t, key, http.MethodGet, "/users/usr_ada", nil), http.StatusOK)
		linus, nobody := idp.API(t, key, http.MethodGet, "/users/usr_linus", nil), idp.API(t, key, http.MethodGet, "/users/usr_nobody", nil)
		if linus.Status != http.StatusNotFound || anonymousProblem(t, linus) != anonymousProblem(t, nobody) {
			t.Errorf("linus: %s, nobody: %s", linus.Body, nobody.Body)
		}
	})
}

func anonymousProblem(t *testing.T, w *idptest.Response) string {
	return strings.ReplaceAll(w.Body, w.Problem(t).RequestID, "")
}

// Each caller has a budget of its own, and learns what is left of it.
func TestAPIRateLimit(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{Handlers: handlers.Config{CallsPerSecond: 2}}, func(t *testing.T, idp *idptest.IDP) {
		key, other := idp.APIKey(t, "users:read"), idp.APIKey(t, "users:read")
		call := func(key string) *idptest.Response { return idp.API(t, key, http.MethodGet, "/users", nil) }
		for i := range 4 {
			w := call(key)
			wantStatus(t, "within the budget", w, http.StatusOK)
			if want := fmt.Sprintf(`"caller";r=%d;t=%d`, 3-i, (i+2)/2); w.Header.Get("RateLimit") != want || w.Header.Get("RateLimit-Policy") != `"caller";q=4;w=2` {
				t.Errorf("got %v, want %s", w.Header, want)
			}
		}
		w := call(key)
		if p := w.Problem(t); w.Status != http.StatusTooManyRequests || p.Code != "rate_limited" || w.Header.Get("Retry-After") != "1" {
			t.Errorf("beyond it: %d %v", w.Status, w.Header)
		}
		wantStatus(t, "another caller", call(other), http.StatusOK)
		time.Sleep(time.Second)
		wantStatus(t, "later", call(key), http.StatusOK)
	})
}

// When a key was last used is written down once a minute, and by nobody who waits for it.
func TestAPIKeyUse(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		key := idp.APIKey(t, "users:read")
		used := func() time.Time {
			t.Helper()
			check(t, idp.Provider.NoteKeyUse(t.Context()))
			k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(key))
			check(t, err)
			return k.LastUsedAt.Time()
		}
		if at := used(); !at.IsZero() {
			t.Errorf("not used: %v", at)
		}
		var last time.Time
		for i, want := range []bool{true, false, true} {
			wantStatus(t, "call", idp.API(t, key, http.MethodGet, "/users", nil), http.StatusOK)
			at := used()
			if at.After(last) != want {
				t.Errorf("call %d: %v after %v", i, at, last)
			}
			last = at
			time.Sleep(31 * time.Second)
		}
	})
}

// G04: a key is in no line of the log, wherever it was put, and on the pages of the record
// has its name.
func TestAPIKeysInLogAndRecord(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	idp := idptest.New(t, idptest.Options{Log: &log})
	key := idp.MakeKey(t, storage.APIKey{Name: "Helpdesk", Permissions: provider.Permissions()})
	for _, path := range []string{"/users/" + key, "/nothing/" + key, "/users?cursor=" + key, "/users?" + key + "=1"} {
		if w := idp.API(t, key, http.MethodGet, path, nil); w.Status < http.StatusBadRequest {
			t.Errorf("%s: %d", path, w.Status)
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), key) {
		t.Errorf("the log: %s", log.String())
	}
	wantStatus(t, "disable", idp.API(t, key, http.MethodPost, "/users/usr_ada/disable", nil), http.StatusOK)
	if w := inConsole(t, idp, "olga").Get("/admin/events?type=user.disabled"); !strings.Contains(w.Body, "Helpdesk") {
		t.Errorf("the record: %s", w.Body)
	}
}
