package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// filledIn returns what a form on a page would send as it stands.
func filledIn(t testing.TB, w *idptest.Response, id string) url.Values {
	t.Helper()
	form := w.Element(id)
	if form == nil {
		t.Fatalf("no form %s: status %d: %.500s", id, w.Status, w.Body)
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	has := func(n *html.Node, name string) bool {
		return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	}
	values := url.Values{}
	for n := range form.Descendants() {
		switch n.Data {
		case "input":
			if kind := attr(n, "type"); kind == "checkbox" || kind == "radio" {
				if has(n, "checked") {
					values.Set(attr(n, "name"), attr(n, "value"))
				}
				continue
			}
			values.Set(attr(n, "name"), attr(n, "value"))
		case "textarea":
			text := ""
			for c := range n.ChildNodes() {
				text += c.Data
			}
			values.Set(attr(n, "name"), text)
		case "select":
			values.Set(attr(n, "name"), "")
		case "option":
			if has(n, "selected") {
				values.Set(attr(n.Parent, "name"), attr(n, "value"))
			}
		}
	}
	return values
}

// with changes what a form sends; an empty value leaves it out.
func with(form url.Values, pairs ...string) url.Values {
	having(pairs...)(form)
	return form
}

// newShop is a good form of the wizard.
func newShop(pairs ...string) url.Values {
	return with(url.Values{
		"type": {"web"}, "client_name": {"The Shop"}, "client_id": {"shop"}, "redirect_uris": {"https://shop.example/cb\r\n https://shop.example/cb2 "},
	}, pairs...)
}

func storedClient(t testing.TB, idp *idptest.IDP, id string) *storage.Client {
	t.Helper()
	c, err := idp.Store.Queries.Client(t.Context(), id)
	check(t, err)
	return c
}

// From the wizard to a secret that works, shown again as long as it is not stored, and
// nowhere else.
func TestConsoleNewClient(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		b := inConsole(t, idp, "root")
		if w := b.Get("/admin/clients/new"); w.Status != http.StatusOK || w.Element("client-form") == nil {
			t.Fatalf("status %d: %.300s", w.Status, w.Body)
		}
		w := b.Post("/admin/clients/new", newShop("allow_impersonation", "on", "initiate_login_uri", "https://shop.example/start"))
		if w.Status != http.StatusSeeOther || w.Header.Get("Location") != "/admin/clients/shop/secret" {
			t.Fatalf("status %d, location %s: %.300s", w.Status, w.Location(), w.Body)
		}
		secret := ""
		for range 2 { // it may be loaded again
			w = b.Get("/admin/clients/shop/secret")
			if n := w.Element("secret"); n != nil {
				secret = n.Attr[1].Val
			}
			if w.Status != http.StatusOK || !strings.HasPrefix(secret, "ucs_") || w.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("status %d, secret %q, %s", w.Status, secret, w.Header.Get("Cache-Control"))
			}
		}
		for _, part := range []string{"CLIENT_SECRET=" + secret, "CLIENT_ID=shop", "ISSUER=" + idptest.Issuer, "/.well-known/openid-configuration", "oidc.NewProvider", "client.discovery"} {
			if !strings.Contains(w.Body, part) {
				t.Errorf("the page does not have %s", part)
			}
		}
		c := storedClient(t, idp, "shop")
		if !c.AllowImpersonation || c.Scope == "" || len(c.RedirectURIs) != 2 || c.RedirectURIs[1] != "https://shop.example/cb2" || !c.RequirePKCE || c.InitiateLoginURI == "" {
			t.Errorf("got %+v", c)
		}
		if string(c.SecretHash) != string(storage.Hash(secret)) {
			t.Error("the secret is not the client's")
		}
		events := recorded(t, idp, storage.EventClientCreated)
		if len(events) != 1 || events[0].ActorID != "usr_root" || events[0].ClientID != "shop" || events[0].RequestID == "" {
			t.Errorf("events: %+v", events)
		}
		other := inConsole(t, idp, "root")
		other.Cookies["__Host-understudy_secret"] = b.Cookies["__Host-understudy_secret"]
		stranger := person(t, idp, "sam")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.GrantRole(ctx, "usr_sam", "app-admin", time.Now())
		})
		stranger.Follow("/admin/clients")
		stranger.Cookies["__Host-understudy_secret"] = b.Cookies["__Host-understudy_secret"]
		if body := stranger.Get("/admin/clients/shop/secret").Body; strings.Contains(body, secret) {
			t.Error("somebody else sees the secret")
		}
		b.Cookies["__Host-understudy_secret"] += "x"
		if body := b.Get("/admin/clients/shop/secret").Body; strings.Contains(body, secret) {
			t.Error("a cookie that was changed still shows it")
		}
		w = other.Post("/admin/clients/shop/secret/stored", nil)
		if w.Status != http.StatusSeeOther || other.Cookies["__Host-understudy_secret"] != "" {
			t.Errorf("stored: status %d, cookies %v", w.Status, other.Cookies)
		}
		for _, path := range []string{"/admin/clients/shop/secret", "/admin/clients/shop", "/admin/clients"} {
			if body := other.Get(path).Body; strings.Contains(body, secret) {
				t.Errorf("%s shows the secret that was stored", path)
			}
		}
		wantStatus(t, "the same id again", other.Post("/admin/clients/new", newShop()), http.StatusBadRequest)

		w = other.Post("/admin/clients/new", newShop("client_id", "", "type", "spa"))
		at := w.Header.Get("Location")
		if w.Status != http.StatusSeeOther || !strings.HasPrefix(at, "/admin/clients/client_") {
			t.Fatalf("without an id: status %d, location %s", w.Status, at)
		}
		if body := other.Get(at).Body; strings.Contains(body, "CLIENT_SECRET") || !strings.Contains(body, "client.None()") {
			t.Error("the page of a client without a secret speaks of one")
		}
		wantStatus(t, "a service", other.Post("/admin/clients/new", newShop("client_id", "jobs", "type", "service", "redirect_uris", "")), http.StatusSeeOther)
	})
}

// What is wrong is said at its field, and nothing that was typed is lost.
func TestConsoleNewClientRefused(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := inConsole(t, idp, "root")
	for name, row := range map[string]struct {
		field string
		form  url.Values
	}{
		"no name":            {"client_name", newShop("client_name", "")},
		"relative":           {"redirect_uris", newShop("redirect_uris", "/cb")},
		"C03 wildcard":       {"redirect_uris", newShop("redirect_uris", "https://*.shop.example/cb")},
		"none":               {"redirect_uris", newShop("redirect_uris", "")},
		"E05 markup":         {"client_id", newShop("client_id", "<script>alert(1)</script>")},
		"a user's id":        {"client_id", newShop("client_id", "usr_ada")},
		"taken":              {"client_id", newShop("client_id", "app")},
		"http":               {"initiate_login_uri", newShop("initiate_login_uri", "http://shop.example/start")},
		"no such type":       {"type", newShop("type", "toaster")},
		"a service with one": {"redirect_uris", newShop("type", "service")},
		"scope":              {"scope", newShop("scope", `openid a"b`)},
		"after signing out":  {"post_logout_redirect_uris", newShop("post_logout_redirect_uris", "javascript:alert(1)")},
	} {
		w := b.Post("/admin/clients/new", row.form)
		wantStatus(t, name, w, http.StatusBadRequest)
		said := w.Element(row.field + "-error")
		if w.Element("error-summary") == nil || said == nil || said.FirstChild == nil || strings.Contains(w.Body, "<script>alert") {
			t.Errorf("%s: nothing is said at %s: %.2000s", name, row.field, w.Body)
			continue
		}
		kept := filledIn(t, w, "client-form")
		for _, field := range []string{"client_name", "client_id", "scope", "initiate_login_uri"} {
			if kept.Get(field) != row.form.Get(field) {
				t.Errorf("%s: %s: kept %q of %q", name, field, kept.Get(field), row.form.Get(field))
			}
		}
	}
	for name, form := range map[string]url.Values{
		"NUL": newShop("client_name", "a\x00b"), "not UTF-8": newShop("client_name", "a\xffb"), "long": newShop("client_name", strings.Repeat("x", 9000)),
		"twice": {"client_name": {"a", "b"}},
	} {
		wantStatus(t, name, b.Post("/admin/clients/new", form), http.StatusBadRequest)
	}
	wantStatus(t, "1 MB", b.Post("/admin/clients/new", newShop("client_name", strings.Repeat("x", 1<<20))), http.StatusRequestEntityTooLarge)
	if events := recorded(t, idp, storage.EventClientCreated); len(events) != 0 {
		t.Errorf("created: %+v", events)
	}
}

// Who may look, and who may change.
func TestConsoleClientPermissions(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		if err := tx.AddMember(ctx, "org_globex", "usr_ada", "admin", time.Now()); err != nil { // clients belong to no organization
			return err
		}
		return tx.GrantRole(ctx, "usr_linus", "app-admin", time.Now())
	})
	gets := []string{"/admin/clients", "/admin/clients/new", "/admin/clients/app", "/admin/clients/app/settings", "/admin/clients/app/acting", "/admin/clients/app/secret", "/admin/clients/app/preview"}
	posts := []string{"/new", "/app/settings", "/app/acting", "/app/secret", "/app/secret/stored", "/app/secret/drop", "/app/disable", "/app/enable", "/app/delete", "/app/test-logout"}
	for _, name := range []string{"sam", "olga", "ada", "grace"} {
		b := person(t, idp, name)
		for _, path := range gets {
			wantStatus(t, name+" at "+path, b.Get(path), http.StatusForbidden)
		}
		for _, path := range posts {
			wantStatus(t, name+" posts to "+path, b.Post("/admin/clients"+path, newShop()), http.StatusForbidden)
		}
	}
	linus := inConsole(t, idp, "linus")
	for _, path := range gets[:6] {
		wantStatus(t, path, linus.Get(path), http.StatusOK)
	}
	wantStatus(t, "users, of whom linus may see none", linus.Get("/admin/clients/app/preview?subject=usr_ada"), http.StatusForbidden)
	for _, path := range gets[2:] {
		wantStatus(t, "unknown "+path, linus.Get(strings.Replace(path, "/app", "/nobody", 1)), http.StatusNotFound)
	}
	for _, path := range posts[1:] {
		wantStatus(t, "unknown "+path, linus.Post("/admin/clients"+strings.Replace(path, "/app", "/nobody", 1), url.Values{}), http.StatusNotFound)
	}
	if c := storedClient(t, idp, "app"); c.Version != 1 {
		t.Errorf("the client was changed: %+v", c)
	}
}

// The list finds by name and id, type and status, page by page.
func TestConsoleClientList(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			for i := range 60 {
				c := idptest.App()
				c.ID, c.Name = fmt.Sprintf("many-%02d", i), fmt.Sprintf("Many %02d", i)
				if i%2 == 0 {
					c.Status = storage.ClientDisabled
				}
				if err := tx.CreateClient(ctx, c, time.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		b := inConsole(t, idp, "root")
		link := func(w *idptest.Response, rel string) string {
			for n := range w.Element("main").Descendants() {
				if n.Data == "a" && slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "rel" && a.Val == rel }) {
					return n.Attr[0].Val
				}
			}
			return ""
		}
		rows := func(w *idptest.Response) int { return strings.Count(w.Body, "<code>many-") }
		first := b.Get("/admin/clients?q=many&type=web")
		second := b.Get(link(first, "next"))
		third := b.Get(link(second, "next"))
		if rows(first) != 25 || rows(second) != 25 || rows(third) != 10 || link(third, "next") != "" || link(first, "prev") != "" {
			t.Errorf("rows: %d, %d, %d, links %q, %q", rows(first), rows(second), rows(third), link(third, "next"), link(first, "prev"))
		}
		if back := b.Get(link(third, "prev")); rows(back) != 25 || !strings.Contains(back.Body, "many-25") || !strings.Contains(back.Body, "many-49") {
			t.Errorf("back: %d rows", rows(back))
		}
		for path, want := range map[string]int{
			"?q=MANY+07": 1, "?q=many-07": 1, "?q=many&status=disabled": 25, "?q=many&type=spa": 0, "?q=%25": 0, "?q=many&type=toaster": 25, "?q=" + strings.Repeat("x", 3000): 0,
		} {
			if w := b.Get("/admin/clients" + path); w.Status != http.StatusOK || rows(w) != want {
				t.Errorf("%.40s: status %d, %d rows, want %d", path, w.Status, rows(w), want)
			}
		}
		for _, path := range []string{"?after=x", "?after=%00", "?before=AAAA", "?q=%00", "?q=%ff", "?after=" + strings.Repeat("A", 9000), "?q=a&q=b", "?%zz"} {
			wantStatus(t, path[:min(len(path), 40)], b.Get("/admin/clients"+path), http.StatusBadRequest)
		}
		if w := b.Get("/admin/clients?q=nothing+like+it"); !strings.Contains(w.Body, "No application is like that.") {
			t.Errorf("nothing found: %.300s", w.Body)
		}
	})
}

// A form that is sent as it was shown changes nothing; what is changed is recorded by
// name, once.
func TestConsoleClientSettings(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		b := inConsole(t, idp, "root")
		const path = "/admin/clients/app/settings"
		before := *storedClient(t, idp, "app")
		w := b.Post(path, filledIn(t, b.Get(path), "client-form"))
		if got := storedClient(t, idp, "app"); w.Status != http.StatusSeeOther || got.Version != 1 {
			t.Fatalf("unchanged: status %d, version %d: %.1000s", w.Status, got.Version, w.Body)
		}
		form := with(filledIn(t, b.Get(path), "client-form"),
			"client_name", "Renamed", "organizations", "Globex\norg_initech", "default_max_age", "60", "grant_types.client_credentials", "on", "first_party", "",
			"backchannel_logout_uri", "https://app.example/logout", "contacts", "ada@globex.test", "jwks", `{"keys":[]}`)
		w = b.Post(path, form)
		wantStatus(t, "bad keys", w, http.StatusBadRequest)
		if kept := filledIn(t, w, "client-form"); kept.Get("client_name") != "Renamed" || kept.Get("jwks") != `{"keys":[]}` || kept.Get("organizations") != "org_globex\norg_initech" {
			t.Errorf("kept %v", kept)
		}
		wantStatus(t, "good", b.Post(path, with(form, "jwks", "")), http.StatusSeeOther)
		got := storedClient(t, idp, "app")
		if got.Name != "Renamed" || *got.DefaultMaxAge != 60 || !slices.Equal(got.Organizations, storage.List{"org_globex", "org_initech"}) ||
			!slices.Contains(got.GrantTypes, "client_credentials") || got.FirstParty || string(got.SecretHash) != string(before.SecretHash) || got.AllowImpersonation != before.AllowImpersonation {
			t.Errorf("got %+v", got)
		}
		w = b.Post(path, with(form, "client_name", "Mine"))
		wantStatus(t, "changed meanwhile", w, http.StatusConflict)
		again := filledIn(t, w, "client-form")
		if again.Get("client_name") != "Mine" || again.Get("version") != "2" {
			t.Errorf("kept %v", again)
		}
		wantStatus(t, "saved all the same", b.Post(path, again), http.StatusSeeOther)
		events := recorded(t, idp, storage.EventClientUpdated)
		if len(events) != 2 || events[0].ActorID != "usr_root" || !strings.Contains(fmt.Sprint(events[0].Data["changed"]), "client_name") {
			t.Errorf("events: %+v", events)
		}

		for name, pairs := range map[string][]string{
			"default_max_age":     {"default_max_age", "soon"},
			"organizations":       {"organizations", "Nowhere"},
			"redirect_uris":       {"redirect_uris", "https://user@app.example/cb"},
			"access_token_format": {"access_token_format", "paper"},
			"grant_types":         {"grant_types.authorization_code", "", "grant_types.refresh_token", "", "grant_types.client_credentials", ""},
			"subject_type":        {"subject_type", "x"},
		} {
			w := b.Post(path, with(filledIn(t, b.Get(path), "client-form"), pairs...))
			if said := w.Element(name + "-error"); w.Status != http.StatusBadRequest || said == nil || said.FirstChild == nil {
				t.Errorf("%s: status %d: %.2000s", name, w.Status, w.Body)
			}
		}

		// Without a secret, and with one again.
		public := with(filledIn(t, b.Get(path), "client-form"), "token_endpoint_auth_method", "none", "require_pkce", "on", "grant_types.client_credentials", "")
		wantStatus(t, "no secret", b.Post(path, public), http.StatusSeeOther)
		w = b.Post(path, with(filledIn(t, b.Get(path), "client-form"), "token_endpoint_auth_method", "client_secret_post"))
		if w.Header.Get("Location") != "/admin/clients/app/secret" || !strings.Contains(b.Get("/admin/clients/app/secret").Body, "ucs_") {
			t.Errorf("a secret again: status %d, location %s", w.Status, w.Location())
		}
	})
}

// Whom staff may be is worth a password, and what is open to login CSRF asks for more.
func TestConsoleClientActing(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		sam := person(t, idp, "sam")
		tokens := idp.Tokens(t, sam.ActAs("usr_ada", idptest.Request(nil)))
		if tokens["id_token"] == nil {
			t.Fatal("nobody acts")
		}
		b := inConsole(t, idp, "root")
		const path = "/admin/clients/app/acting"
		wantStatus(t, "fresh", b.Post(path, with(filledIn(t, b.Get(path), "client-form"), "act_claims.name", "on", "read_only_scopes", "api:read")), http.StatusSeeOther)
		time.Sleep(6 * time.Minute)
		form := filledIn(t, b.Get(path), "client-form")
		if !form.Has("password") {
			t.Fatal("no field for the password")
		}
		off := with(form, "allow_impersonation", "", "delivery", "link")
		for _, password := range []string{"", "wrong"} {
			w := b.Post(path, with(off, "password", password))
			wantStatus(t, "A19 password "+password, w, http.StatusForbidden)
			if kept := filledIn(t, w, "client-form"); kept.Get("delivery") != "link" || kept.Get("password") != "" {
				t.Errorf("kept %v", kept)
			}
		}
		if !storedClient(t, idp, "app").AllowImpersonation {
			t.Fatal("it was changed without the password")
		}
		off.Set("password", idptest.Password)
		wantStatus(t, "with the password", b.Post(path, off), http.StatusSeeOther)
		if c := storedClient(t, idp, "app"); c.AllowImpersonation || c.Delivery != "link" || !slices.Equal(c.ActClaims, storage.List{"name"}) {
			t.Errorf("got %+v", c)
		}
		if ended := recorded(t, idp, storage.EventImpersonationStopped); len(ended) != 1 {
			t.Errorf("A07: %d impersonations ended, want 1", len(ended))
		}
		b.Follow(path)
		w := b.Post(path, with(filledIn(t, b.Get(path), "client-form"), "delivery", "callback", "allow_impersonation", "on"))
		wantStatus(t, "to the callback of a client with a secret, without PKCE", w, http.StatusSeeOther)
		idp.Change(t, "app", func(c *storage.Client) { c.RequirePKCE, c.Delivery = true, "link" })
		w = b.Post(path, with(filledIn(t, b.Get(path), "client-form"), "delivery", "callback"))
		wantStatus(t, "with PKCE", w, http.StatusBadRequest)
		w = b.Post("/admin/clients/public/acting", with(filledIn(t, b.Get("/admin/clients/public/acting"), "client-form"), "delivery", "callback"))
		wantStatus(t, "without a secret", w, http.StatusBadRequest)
		if said := w.Element("delivery-error"); said == nil || said.FirstChild == nil || !strings.Contains(w.Body, "login CSRF") {
			t.Errorf("what is wrong is not said: %.2000s", w.Body)
		}
	})
}

// Two secrets at a time; then one; then no client.
func TestConsoleClientSecrets(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		b := inConsole(t, idp, "root")
		works := func(secret string) bool {
			return idp.Call("/oauth2/introspect", "app", secret, url.Values{"token": {"x"}}).Status == http.StatusOK
		}
		wantStatus(t, "rotate", b.Post("/admin/clients/app/secret", url.Values{}), http.StatusSeeOther)
		w := b.Get("/admin/clients/app/secret")
		secret := w.Element("secret").Attr[1].Val
		if !works(secret) || !works(idptest.Secret) {
			t.Error("not both secrets work")
		}
		if b.Get("/admin/clients/app").Element("drop-form") == nil {
			t.Error("the old one cannot be dropped")
		}
		wantStatus(t, "drop", b.Post("/admin/clients/app/secret/drop", nil), http.StatusSeeOther)
		if !works(secret) || works(idptest.Secret) {
			t.Error("the old one works, or the new one does not")
		}
		wantStatus(t, "a client without", b.Post("/admin/clients/public/secret", url.Values{}), http.StatusConflict)

		wantStatus(t, "disable", b.Post("/admin/clients/app/disable", nil), http.StatusSeeOther)
		wantStatus(t, "disable again", b.Post("/admin/clients/app/disable", nil), http.StatusSeeOther)
		if works(secret) {
			t.Error("a disabled client authenticates")
		}
		wantStatus(t, "enable", b.Post("/admin/clients/app/enable", nil), http.StatusSeeOther)
		if !works(secret) {
			t.Error("an enabled client does not authenticate")
		}
		time.Sleep(6 * time.Minute)
		for name, form := range map[string]url.Values{"no id": {}, "another": {"id": {"public"}, "password": {idptest.Password}}} {
			wantStatus(t, "delete, "+name, b.Post("/admin/clients/app/delete", form), http.StatusBadRequest)
		}
		wantStatus(t, "rotate without the password", b.Post("/admin/clients/app/secret", url.Values{}), http.StatusForbidden)
		wantStatus(t, "delete without the password", b.Post("/admin/clients/app/delete", url.Values{"id": {"app"}}), http.StatusForbidden)
		wantStatus(t, "delete", b.Post("/admin/clients/app/delete", url.Values{"id": {"app"}, "password": {idptest.Password}}), http.StatusSeeOther)
		if _, err := idp.Store.Queries.Client(t.Context(), "app"); err == nil {
			t.Error("it is still there")
		}
		for kind, want := range map[storage.EventType]int{
			storage.EventClientSecretRotated: 1, storage.EventClientSecretDropped: 1, storage.EventClientUpdated: 2, storage.EventClientDeleted: 1,
		} {
			if events := recorded(t, idp, kind); len(events) != want || events[0].ActorID != "usr_root" || events[0].RequestID == "" {
				t.Errorf("%s: got %+v, want %d", kind, events, want)
			}
		}
	})
}

// A test of back-channel logout is a real logout token of a session that never was.
func TestConsoleLogoutTest(t *testing.T) {
	t.Parallel()
	var got []string
	status := http.StatusOK
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.PostFormValue("logout_token"))
		w.WriteHeader(status)
	}))
	defer app.Close()
	idp := idptest.New(t, idptest.Options{Issuer: "http://127.0.0.1:1"}) // whose applications may be on loopback
	idp.Change(t, "app", func(c *storage.Client) { c.BackchannelLogoutURI = app.URL + "/logout" })
	idp.Change(t, "public", func(c *storage.Client) { c.BackchannelLogoutURI = "http://127.0.0.1:1/logout" })
	b := arrive(t, idp, "root")
	b.Follow("/admin/clients")
	const path = "/admin/clients/app/test-logout"
	for _, status = range []int{200, 204, 400} {
		w := b.Post(path, nil)
		if at := w.Header.Get("Location"); at != "/admin/clients/app?logout="+strconv.Itoa(status)+"#logout" {
			t.Fatalf("status %d, location %s: %.300s", w.Status, at, w.Body)
		}
	}
	claims := idptest.Claims(t, got[0])
	if claims["aud"] != "app" || claims["sub"] != nil || !strings.HasPrefix(claims["sid"].(string), "test_") || claims["events"] == nil {
		t.Errorf("got %v", claims)
	}
	for query, want := range map[string]string{"?logout=200": "takes logout tokens", "?logout=400": "did not take", "?logout=0": "There was no answer"} {
		if body := b.Get("/admin/clients/app" + query).Body; !strings.Contains(body, want) {
			t.Errorf("%s: not said: %s", query, want)
		}
	}
	for _, query := range []string{"?logout=x", "?logout=7", "?logout=<script>"} {
		if body := b.Get("/admin/clients/app" + query).Body; strings.Contains(body, "The answer was") || strings.Contains(body, "no answer") {
			t.Errorf("%s: something is said of a test", query)
		}
	}
	if at := b.Post("/admin/clients/public/test-logout", nil).Header.Get("Location"); at != "/admin/clients/public?logout=0#logout" {
		t.Errorf("nobody answers: %s", at)
	}
	wantStatus(t, "no address", b.Post("/admin/clients/service/test-logout", nil), http.StatusNotFound)
	for range 2 {
		b.Post(path, nil)
	}
	w := b.Post(path, nil)
	wantStatus(t, "too often", w, http.StatusTooManyRequests)
	if events := recorded(t, idp, storage.EventClientLogoutTested); len(events) != 6 || len(got) != 5 || w.Header.Get("Retry-After") == "" {
		t.Errorf("%d events, %d tokens, Retry-After %q", len(events), len(got), w.Header.Get("Retry-After"))
	}
}

// What the preview says is what the tokens say.
func TestConsolePreview(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) { c.ActClaims = storage.List{"email", "name"} })
		b, sam := inConsole(t, idp, "root"), person(t, idp, "sam")
		const path = "/admin/clients/app/preview"
		shown := func(w *idptest.Response, id string) string {
			n := w.Element(id)
			if n == nil || n.FirstChild == nil {
				t.Fatalf("no %s: status %d: %.1000s", id, w.Status, w.Body)
			}
			return n.FirstChild.Data
		}
		scope := "openid profile email address phone offline_access api:read api:write"
		for name, row := range map[string]struct {
			query  string
			tokens map[string]any
		}{
			"as themselves": {"?subject=ada@example.test", idp.Tokens(t, person(t, idp, "ada").Code(asking("scope", scope)))},
			"acting":        {"?subject=usr_ada&actor=sam@example.test", idp.Tokens(t, sam.ActAs("usr_ada", asking("scope", scope)))},
		} {
			w := b.Get(path + row.query)
			for id, token := range map[string]string{"id-token": "id_token", "access-token": "access_token"} {
				want := idptest.Claims(t, row.tokens[token])
				got := (&idptest.Response{Body: shown(w, id)}).JSON(t)
				for _, moment := range []string{"exp", "iat", "auth_time", "jti", "gid", "sid"} {
					if (want[moment] == nil) != (got[moment] == nil) {
						t.Errorf("%s: %s: %s: got %v, want %v", name, id, moment, got[moment], want[moment])
					}
					delete(want, moment)
					delete(got, moment)
				}
				for _, live := range []string{"at_hash", "nonce"} { // of the request and of the token that there is not
					delete(want, live)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %s: got %v, want %v", name, id, got, want)
				}
			}
		}
		wantStatus(t, "nobody", b.Get(path+"?subject=nobody@example.test"), http.StatusNotFound)
		wantStatus(t, "no such actor", b.Get(path+"?subject=usr_ada&actor=usr_x"), http.StatusNotFound)
		wantStatus(t, "NUL", b.Get(path+"?subject=%00"), http.StatusBadRequest)
		wantStatus(t, "a service", b.Get("/admin/clients/service/preview"), http.StatusNotFound)
		if w := b.Get("/admin/clients/public/preview?subject=usr_ada"); !strings.Contains(w.Body, "It is opaque") {
			t.Errorf("an opaque token: status %d", w.Status)
		}

		// Whoever may see the members of one organization sees nobody else, not even that there is somebody.
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.GrantRole(ctx, "usr_grace", "app-admin", time.Now()); err != nil {
				return err
			}
			return tx.AddMember(ctx, "org_initech", "usr_grace", "support", time.Now())
		})
		grace := inConsole(t, idp, "grace")
		wantStatus(t, "within reach", grace.Get(path+"?subject=linus@example.test"), http.StatusOK)
		out, none := grace.Get(path+"?subject=ada@example.test"), grace.Get(path+"?subject=xxx@example.test")
		wantStatus(t, "out of reach", out, http.StatusNotFound)
		if strings.ReplaceAll(out.Body, "ada@", "xxx@") != none.Body {
			t.Error("somebody out of reach looks different from nobody")
		}
		wantStatus(t, "actor out of reach", grace.Get(path+"?subject=usr_linus&actor=usr_sam"), http.StatusNotFound)
	})
}
