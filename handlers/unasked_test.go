package handlers_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// unasked are fields that no form of ours has: every column of every table, as an
// attacker would guess them, and the usual names of privilege. What the protocol
// gives a meaning is left out.
func unasked(t *testing.T, idp *idptest.IDP) []url.Values {
	t.Helper()
	meant := []string{"client_id", "scope", "audience", "request", "id", "type", "access", "reason", "ticket_ref", "name", "response_type", "response_mode", "redirect_uri", "state"}
	names := []string{
		"User.Status", "user[status]", "users.role", "Status", "role", "roles", "roles[]", "groups", "permissions", "is_admin", "admin", "act", "sub",
		"amr", "acr", "org_id", "actor", "impersonation", "verified", "EmailVerified", "_method", "__proto__", "user", "session", "sid", "gid",
	}
	db := database(t, idp)
	for table := range rows(t, idp, db) {
		names = append(names, query(t, db, `SELECT name FROM pragma_table_info('`+table+`')`)...)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(meant, name) })
	if !slices.Contains(names, "email_verified") || !slices.Contains(names, "first_party") || !slices.Contains(names, "never_impersonate") {
		t.Fatalf("columns: %v", names)
	}
	values := map[string]string{"sub": "usr_root", "user_id": "usr_root", "actor_id": "usr_root", "status": "disabled", "role": "admin", "roles": "admin", "email": "root@example.test"}
	var all []url.Values
	for chunk := range slices.Chunk(names, 60) { // a request has a hundred parameters at most
		fields := url.Values{}
		for _, name := range chunk {
			if fields.Set(name, "1"); values[name] != "" {
				fields.Set(name, values[name])
			}
		}
		all = append(all, fields)
	}
	return all
}

// D13, D14: nobody changes what they are, or what an application is, by sending more
// than they were asked for.
func TestFieldsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	addClient(t, idp, "third", func(c *storage.Client) { c.FirstParty = false })
	sam, err := idp.Store.User(t.Context(), "usr_sam")
	check(t, err)
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.CreateUser(ctx, &storage.User{ID: "usr_mallory", Email: "mallory@example.test", PasswordHash: sam.PasswordHash}, time.Now())
	})
	steady := func() map[string][]string {
		_, err := db.Exec(`UPDATE users SET last_sign_in_at = 0`) // which a sign-in is meant to change
		check(t, err)
		all := rows(t, idp, db)
		maps.DeleteFunc(all, func(table string, _ []string) bool {
			return !slices.Contains([]string{
				"users", "roles", "user_roles", "memberships", "organizations", "clients", "settings", "signing_keys", "tickets", "initial_access_tokens", "setup_links",
			}, table)
		})
		return all
	}
	before := steady()
	for _, extra := range unasked(t, idp) {
		with := func(form url.Values) url.Values {
			all := maps.Clone(extra)
			maps.Copy(all, form)
			return all
		}
		whole := func(request string) string { return "/oauth2/authorize?" + with(mustQuery(request)).Encode() }
		b := idp.Browser(t)
		sent := func(what string, w *idptest.Response, want int) *idptest.Response {
			t.Helper()
			wantStatus(t, "D14 "+what, w, want)
			if diff := cmp.Diff(before, steady(), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("D14 %s changed:\n%s", what, diff)
			}
			return w
		}
		sent("login", b.Post("/login", with(url.Values{"username": {"mallory@example.test"}, "password": {idptest.Password}})), http.StatusSeeOther)
		if body := b.Get("/account").Body; !strings.Contains(body, "mallory") || strings.Contains(body, "root") {
			t.Errorf("D14 login: %s", body)
		}
		sent("authorize", b.Get(whole(asking("scope", "openid email"))), http.StatusSeeOther)
		sent("authorize by POST", b.Post("/oauth2/authorize", with(mustQuery(asking()))), http.StatusSeeOther)
		third := asking("client_id", "third", "scope", "openid email offline_access", "prompt", "consent")
		w := sent("consent", b.Post(b.Consent(third), with(url.Values{"continue_as": {"me"}, "action": {"allow"}})), http.StatusSeeOther)
		w = sent("token", idp.Call("/oauth2/token", "third", idptest.Secret, with(idptest.Exchange(w.Location().Query().Get("code"), nil))), http.StatusOK)
		w = sent("refresh", idp.Call("/oauth2/token", "third", idptest.Secret, with(refreshing(str(t, w.JSON(t), "refresh_token")))), http.StatusOK)
		access := str(t, w.JSON(t), "access_token")
		for what, claims := range map[string]map[string]any{"ID token": idptest.Claims(t, w.JSON(t)["id_token"]), "access token": idptest.Claims(t, access)} {
			if claims["sub"] != "usr_mallory" || claims["act"] != nil || claims["org_id"] != nil || claims["roles"] != nil {
				t.Errorf("D14 %s: %v", what, claims)
			}
		}
		info := sent("userinfo", idp.Do(idptest.Form("/oauth2/userinfo", with(url.Values{"access_token": {access}}))), http.StatusOK).JSON(t)
		if info["sub"] != "usr_mallory" || info["email"] != "mallory@example.test" || info["email_verified"] != false {
			t.Errorf("D13 userinfo: %v", info)
		}
		sent("introspection", idp.Call("/oauth2/introspect", "third", idptest.Secret, with(url.Values{"token": {access}})), http.StatusOK)
		sent("push", idp.Call("/oauth2/par", "app", idptest.Secret, with(pushing())), http.StatusCreated)
		sent("revocation", idp.Call("/oauth2/revoke", "third", idptest.Secret, with(url.Values{"token": {access}})), http.StatusOK)

		acting := person(t, idp, "sam")
		wish := with(idptest.Wish("usr_ada", nil))
		w = sent("acting", acting.Post(acting.Consent(asking("prompt", "select_account")), wish), http.StatusSeeOther)
		claims := idptest.Claims(t, idp.Tokens(t, w.Location().Query().Get("code"))["id_token"])
		act, _ := claims["act"].(map[string]any)
		if claims["sub"] != "usr_ada" || act["sub"] != "usr_sam" || len(act) != 1 {
			t.Errorf("D14 acting: %v", claims)
		}
		sent("stop", acting.Post("/impersonation/stop", with(url.Values{"id": {str(t, claims, "sid")}})), http.StatusSeeOther)
		sent("logout", b.Post("/oauth2/logout", with(url.Values{"confirmed": {"yes"}})), http.StatusOK)
		if signedIn(b) {
			t.Error("D14 logout: still signed in")
		}
	}
	if got := query(t, db, `SELECT DISTINCT user_id FROM consents`); !slices.Equal(got, []string{"usr_mallory"}) {
		t.Errorf("D14 consents of %v", got)
	}
}

// E07: a link fills nothing in and sends nothing. Only the name to sign in with can
// be suggested, by login_hint, which OpenID Connect has for that.
func TestLinksFillNothingIn(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	a := begun(t, idp)
	fields := idptest.Wish("usr_grace", having(
		"reason", "A reason that a link suggests", "ticket_ref", "T-4711", "q", "grace", "organization", "org_globex", "client", "app",
		"username", "suggested@example.test", "password", idptest.Password, "confirmed", "yes", "dialog", "impersonate", "reason_code", "r", "draft", "reason=x",
	))
	plain := func(w *idptest.Response, at string) string {
		_, id, _ := strings.Cut(strings.ReplaceAll(at, "/login?interaction=", "/consent/"), "/consent/")
		body := anonymous(w.Body)
		if id != "" {
			body = strings.ReplaceAll(body, id, "ID")
		}
		return body
	}
	nobody := idp.Browser(t)
	t.Run("E07 pages", func(t *testing.T) {
		waiting, _ := nobody.Follow(asking())
		for _, page := range []struct {
			b  *idptest.Browser
			at string
		}{
			{a.browser, a.browser.Consent(a.request())},
			{a.browser, "/impersonation/stop?id=" + a.id},
			{a.browser, "/account"},
			{a.browser, "/oauth2/logout"},
			{nobody, waiting},
			{nobody, "/login"},
			{nobody, "/"},
		} {
			want := plain(page.b.Get(page.at), page.at)
			separator := "?"
			if strings.Contains(page.at, "?") {
				separator = "&"
			}
			before := rows(t, idp, db)
			w := page.b.Get(page.at + separator + fields.Encode())
			if w.Status != http.StatusOK {
				t.Errorf("%s: status %d", page.at, w.Status)
			}
			if diff := cmp.Diff(want, plain(w, page.at)); diff != "" {
				t.Errorf("%s: a link changes the page:\n%s", page.at, diff)
			}
			if diff := cmp.Diff(before, rows(t, idp, db), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: a link changes something:\n%s", page.at, diff)
			}
		}
	})
	t.Run("E07 requests", func(t *testing.T) {
		for who, b := range map[string]*idptest.Browser{"nobody": nobody, "sam": person(t, idp, "sam")} {
			at, w := b.Follow(asking("prompt", "select_account"))
			want := plain(w, at)
			for how, start := range map[string]func(url.Values) string{
				"in the address": func(q url.Values) string { return "/oauth2/authorize?" + q.Encode() },
				"posted": func(q url.Values) string {
					return idp.Do(idptest.Form("/oauth2/authorize", q)).Header.Get("Location")
				},
				"pushed": func(q url.Values) string {
					w := idp.Call("/oauth2/par", "app", idptest.Secret, q)
					return "/oauth2/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {str(t, w.JSON(t), "request_uri")}}.Encode()
				},
			} {
				q := mustQuery(asking("prompt", "select_account"))
				for name, values := range fields {
					q[name] = values
				}
				at, w := b.Follow(start(q))
				if diff := cmp.Diff(want, plain(w, at)); diff != "" {
					t.Errorf("%s, %s: a request changes the page:\n%s", who, how, diff)
				}
			}
		}
		_, w := nobody.Follow(asking("login_hint", "suggested@example.test"))
		if !strings.Contains(w.Body, `value="suggested@example.test"`) {
			t.Error("login_hint does not suggest a name")
		}
	})
	if n := len(events(t, idp, func(e storage.Event) bool { return e.Type == storage.EventImpersonationStarted })); n != 1 {
		t.Errorf("%d impersonations were started, want the one", n)
	}
}

// F08: an id of somebody else's opens nothing and changes nothing, wherever it is
// put. The management API will have its own.
func TestObjectsOfOthers(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	addClient(t, idp, "other", func(c *storage.Client) { c.PostLogoutRedirectURIs = storage.List{"https://other.example/bye"} })
	a := begun(t, idp) // an impersonation of others
	victim := person(t, idp, "ada")
	tokens := idp.Tokens(t, victim.Code(asking(offline...)))
	code, request := victim.Code(asking()), pushed(t, idp)
	at := victim.Consent(asking("prompt", "consent"))
	theirs := strings.TrimPrefix(at, "/consent/")
	b := person(t, idp, "grace")
	mine := strings.TrimPrefix(b.Consent(asking("prompt", "consent")), "/consent/")
	as := func(path string, form url.Values) *idptest.Response {
		return idp.Call(path, "other", idptest.Secret, form)
	}
	allow := url.Values{"continue_as": {"me"}, "action": {"allow"}}
	before := rows(t, idp, db)
	for what, w := range map[string]*idptest.Response{
		"interaction in the path":         b.Get("/oauth2/authorize/" + theirs),
		"consent page":                    b.Get(at),
		"consent form":                    b.Post(at, allow),
		"consent form, denied":            b.Post(at, url.Values{"action": {"deny"}}),
		"consent form for its owner":      b.Post(at+"?for=usr_ada", allow),
		"interaction in the query":        b.Get("/login?interaction=" + theirs),
		"interaction of a failed login":   b.Post("/login?interaction="+theirs, url.Values{"username": {"grace@example.test"}, "password": {idptest.Password}}),
		"impersonation in the query":      b.Get("/impersonation/stop?id=" + a.id),
		"impersonation that is over":      b.Get("/impersonation/stopped?id=" + a.id),
		"impersonation in the body":       b.Post("/impersonation/stop", url.Values{"id": {a.id}}),
		"impersonation, another in front": b.Post("/impersonation/stop?id="+mine, url.Values{"id": {a.id}}),
		"code":                            as("/oauth2/token", idptest.Exchange(code, nil)),
		"refresh token":                   as("/oauth2/token", refreshing(str(t, tokens, "refresh_token"))),
		"access token to introspect":      as("/oauth2/introspect", url.Values{"token": {str(t, tokens, "access_token")}}),
		"access token to revoke":          as("/oauth2/revoke", url.Values{"token": {str(t, tokens, "access_token")}}),
		"refresh token to revoke":         as("/oauth2/revoke", url.Values{"token": {str(t, tokens, "refresh_token")}}),
		"pushed request":                  b.Get(strings.Replace(request, "client_id=app", "client_id=other", 1)),
		"pushed request as another":       as("/oauth2/par", pushing("client_id", "app")),
		"hint of another client":          b.Get(asking("client_id", "other", "prompt", "none", "id_token_hint", str(t, tokens, "id_token"))),
		"hint at logout": b.Get("/oauth2/logout?" + url.Values{
			"id_token_hint": {str(t, tokens, "id_token")}, "client_id": {"other"}, "post_logout_redirect_uri": {"https://other.example/bye"},
		}.Encode()),
	} {
		_, said := answered(w)
		if said.Has("code") || w.Status == http.StatusOK && w.Body != `{"active":false}` && w.Body != "" && w.Element("logout-form") == nil {
			t.Errorf("F08 %s: status %d, %s: %.200s", what, w.Status, w.Location(), w.Body)
		}
	}
	if diff := cmp.Diff(before, rows(t, idp, db), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("F08 changed:\n%s", diff)
	}
	// They are good all the same, where they belong.
	wantStatus(t, "the code", redeem(idp, code), http.StatusOK)
	wantOutcome(t, victim, request, "code")
	wantStatus(t, "the consent form", victim.Post(at, allow), http.StatusSeeOther)
	wantActive(t, idp, "the refresh token", str(t, tokens, "refresh_token"), true)
}

// E06: nothing that was sent becomes a header, at any address and in any place.
func TestNothingBecomesAHeader(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	const split = "x\r\nSet-Cookie: planted=1\r\n\r\n<b>"
	b := person(t, idp, "ada")
	parameters := []string{
		"client_id", "redirect_uri", "state", "scope", "response_type", "response_mode", "nonce", "prompt", "max_age", "claims", "id_token_hint", "login_hint",
		"request", "request_uri", "resource", "post_logout_redirect_uri", "interaction", "stop", "id", "token", "code", "refresh_token", "grant_type", "access_token",
	}
	for _, path := range []string{
		"/oauth2/authorize", "/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo", "/oauth2/logout", "/login",
		"/consent/" + url.PathEscape(split), "/impersonation/stop", "/impersonation/stopped", "/" + url.PathEscape(split), "/.well-known/jwks.json",
	} {
		for _, name := range parameters {
			q := mustQuery(asking(name, split))
			for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, path+"?"+q.Encode(), nil), idptest.Form(path, q)} {
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				r.Header.Set("Origin", idptest.Issuer)
				r.Header.Set("User-Agent", "x")
				w := b.Do(r)
				for header, values := range w.Header {
					if text := strings.Join(values, ""); strings.ContainsAny(text, "\r\n") || header == "Set-Cookie" && strings.Contains(text, "planted") {
						t.Errorf("E06 %s %s, %s: %s: %q", r.Method, path, name, header, values)
					}
				}
				if got := w.Header.Get("X-Content-Type-Options"); got != "nosniff" {
					t.Errorf("E06 %s %s: X-Content-Type-Options %q", r.Method, path, got)
				}
				if body := strings.TrimSpace(w.Body); strings.HasPrefix(body, "{") && !strings.HasSuffix(w.Header.Get("Content-Type"), "json") {
					t.Errorf("E06 %s %s: JSON as %s", r.Method, path, w.Header.Get("Content-Type"))
				}
			}
		}
	}
}
