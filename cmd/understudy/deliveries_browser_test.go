package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/understudy-id/understudy/storage"
)

// TestBrowserDeliveries starts from the console and ends in real applications: by
// initiate_login with and without the hint, by callback in each mode, by a link in
// another browser; and stops from the bar, from the console, and from the account of
// the user.
func TestBrowserDeliveries(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	d, chromium := startDemo(t), startChromium(t)
	crm := newCallbackApp(t, d)
	b := newTab(t, chromium)
	b.open(d.providerURL+"/admin/users", "#login-form")
	b.signIn("sam@understudy.test", demoPassword)
	b.see("#users table")

	t.Run("the hint, stopped from the bar", func(t *testing.T) {
		b := b.of(t)
		b.askAs(d, "usr_ada", demoClient)
		b.read("#app-user", "ada@globex.test")
		b.until(visible(".text"))
		b.stopActing(d)
	})
	t.Run("the hint lost, stopped from the console", func(t *testing.T) {
		b := b.of(t)
		b.stopAll(d)
		d.change(t, func(c *storage.Client) { c.InitiateLoginURI = d.appURL + "/login" }) // which passes nothing on
		defer d.change(t, func(c *storage.Client) { c.InitiateLoginURI = d.appURL + "/initiate-login" })
		b.askAs(d, "usr_linus", demoClient)
		b.see("#waiting-form")
		b.click("#waiting-form .amber")
		b.read("#app-user", "linus@initech.test")
		b.open(d.providerURL+"/admin/impersonations", "#list .acts-now")
		b.click("#list .acts-now button")
		b.until(`location.search == "?done=stopped"`)
		b.see(".notice.done")
		b.signedOut(d)
	})
	t.Run("ended by the user", func(t *testing.T) {
		b := b.of(t)
		b.stopAll(d)
		b.askAs(d, "usr_ada", demoClient)
		b.read("#app-user", "ada@globex.test")
		ada := newTab(t, chromium)
		ada.open(d.providerURL+"/account/activity", "#login-form")
		ada.signIn("ada@globex.test", demoPassword)
		ada.until(`location.pathname == "/account/activity" && document.body.innerText.includes("Sam Support")`)
		ada.click(`main form[action*="end"] button`)
		ada.see(".notice.done")
		b.signedOut(d)
	})
	for _, mode := range []string{"query", "fragment", "form_post"} {
		t.Run("callback "+mode, func(t *testing.T) {
			b := b.of(t)
			b.open(d.providerURL+"/admin/users/usr_grace?dialog=impersonate&client_id=crm", "#impersonate-form")
			b.write("#reason", sayWhy)
			value[bool](b, `document.querySelector("#organization").value = "org_globex", document.querySelector("details").open = true, `+
				`document.querySelector("#response_mode").value = `+quoted(mode)+`, document.querySelector("#state").value = "state-of-`+mode+`", true`)
			b.click("#impersonate-submit")
			if mode == "fragment" {
				b.until(`location.hash.includes("code=") && location.hash.includes("state-of-fragment")`)
				b.do(chromedp.Navigate(crm.URL + "/callback?" + strings.TrimPrefix(value[string](b, "location.hash"), "#")))
			}
			b.read("#sub", "usr_grace by usr_sam, state-of-"+mode)
			b.stopAll(d)
		})
	}
	t.Run("a link in another browser", func(t *testing.T) {
		b := b.of(t)
		b.open(d.providerURL+"/admin/users/usr_ada?dialog=impersonate&client_id="+demoClient, "#impersonate-form")
		b.write("#reason", sayWhy)
		b.click("#impersonate-link")
		b.see("#link")
		link := value[string](b, `document.querySelector("#link").value`)
		other := newTab(t, chromium)
		other.open(link, "#login-form")
		other.signIn("sam@understudy.test", demoPassword)
		other.see("#link-form")
		other.click("#link-submit")
		other.read("#app-user", "ada@globex.test")
		other.open(link, "#error-page")
		b.stopAll(d)
	})
	t.Run("keyboard", func(t *testing.T) {
		b := b.of(t)
		b.open(d.providerURL+"/admin/users", "#users table")
		presses := 0
		press := func(keys string, modifiers ...chromedp.KeyOption) {
			presses += len([]rune(keys)) + len(modifiers)
			b.do(chromedp.KeyEvent(keys, modifiers...))
		}
		press("/")
		b.until(`document.activeElement.id == "q"`)
		value[bool](b, `document.activeElement.value = "", true`) // a key of a real keyboard is not typed, too
		press("ada" + kb.Enter)
		b.see("#impersonate")
		press("s")
		b.until(`document.activeElement.id == "client_id"`)
		press("d" + kb.Tab) // Demo App
		b.until(`document.querySelector("#client_id").value == ` + quoted(demoClient) + ` && document.activeElement.id == "reason"`)
		press("Invoice 7")
		press(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl))
		b.read("#app-user", "ada@globex.test")
		if t.Logf("%d key presses", presses); presses >= 25 {
			t.Errorf("%d key presses from the list of users into the application, want fewer than 25", presses)
		}
		b.stopAll(d)
	})
	if got := b.heard(); len(got) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
	}
}

// of is the same tab for another test.
func (b *tab) of(t *testing.T) *tab { return &tab{t: t, ctx: b.ctx} }

// askAs signs in as a user from the console.
func (b *tab) askAs(d *demo, user, client string) {
	b.t.Helper()
	b.open(d.providerURL+"/admin/users/"+user+"?dialog=impersonate&client_id="+client, "#impersonate-form")
	b.write("#reason", sayWhy)
	b.click("#impersonate-submit")
}

// signedOut waits until the application was told that the session is over.
func (b *tab) signedOut(d *demo) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		b.open(d.appURL, "body")
		if value[bool](b, `!!document.querySelector("#login")`) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("still signed in: %s", b.where())
		}
	}
}

// stopAll ends what runs, one after the other.
func (b *tab) stopAll(d *demo) {
	b.t.Helper()
	ctx := context.Background()
	err := d.service.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.EndImpersonations(ctx, storage.ImpersonationFilter{}, storage.Cause{Reason: storage.EndStopped}, time.Now())
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// change changes the demo's application.
func (d *demo) change(t *testing.T, change func(*storage.Client)) {
	t.Helper()
	ctx := context.Background()
	c, err := d.service.store.Queries.Client(ctx, demoClient)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	if err := d.service.store.Write(ctx, func(tx *storage.Tx) error { return tx.UpdateClient(ctx, c, storage.Cause{}, time.Now()) }); err != nil {
		t.Fatal(err)
	}
}

// newCallbackApp is an application that takes whatever answer comes to its callback,
// redeems the code and says whose it is. It is the client crm.
func newCallbackApp(t *testing.T, d *demo) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") == "" { // the fragment stays in the browser
			fmt.Fprint(w, `<!doctype html><title>callback</title><p>nothing</p>`)
			return
		}
		token, err := http.NewRequestWithContext(r.Context(), http.MethodPost, d.providerURL+"/oauth2/token", strings.NewReader(url.Values{
			"grant_type": {"authorization_code"}, "code": {r.FormValue("code")}, "redirect_uri": {"http://" + r.Host + "/callback"},
		}.Encode()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		token.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		token.SetBasicAuth("crm", "secret")
		answer, err := http.DefaultClient.Do(token)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		var tokens struct {
			IDToken string `json:"id_token"`
		}
		var claims struct {
			Sub string
			Act struct{ Sub string }
		}
		_ = json.NewDecoder(answer.Body).Decode(&tokens)
		if parts := strings.Split(tokens.IDToken, "."); len(parts) == 3 {
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			_ = json.Unmarshal(payload, &claims)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>callback</title><p id="sub">%s by %s, %s</p>`, claims.Sub, claims.Act.Sub, r.FormValue("state"))
	}))
	t.Cleanup(app.Close)
	ctx := context.Background()
	err := d.service.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreateClient(ctx, &storage.Client{
			ID: "crm", Name: "CRM", Type: "web", SecretHash: storage.Hash("secret"), TokenEndpointAuthMethod: "client_secret_basic",
			RedirectURIs: storage.List{app.URL + "/callback"}, GrantTypes: storage.List{"authorization_code"}, ResponseTypes: storage.List{"code"},
			Scope: "openid email", FirstParty: true, IDTokenSignedResponseAlg: "ES256", AccessTokenFormat: "jwt", Delivery: "callback", AllowImpersonation: true,
		}, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// deliveryPages leads an administrator who is signed in through the pages on which one
// acts as somebody from the console, and those about applications and organizations.
func deliveryPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	dialog := d.providerURL + "/admin/users/usr_grace?dialog=impersonate"
	b.open(dialog+"&client_id="+demoClient+"&ticket=SUP-4821&reason_code=invoice", "#impersonate-form")
	visit(b, "console-sign-in-as")
	b.click("#impersonate-submit")
	b.see("#error-summary")
	visit(b, "console-sign-in-as-errors")
	b.open(dialog+"&client_id="+demoClient, "#impersonate-form")
	value[bool](b, `document.querySelector("#organization").value = "org_globex", true`)
	b.write("#reason", sayWhy)
	b.click("#impersonate-link")
	b.see("#link")
	visit(b, "console-one-time-link")
	b.open(value[string](b, `document.querySelector("#link").value`), "#link-form")
	visit(b, "one-time-link")
	d.change(b.t, func(c *storage.Client) { c.InitiateLoginURI = d.appURL + "/login" })
	b.click("#link-submit")
	b.see("#waiting-form")
	visit(b, "waiting")
	b.click("#waiting-form .amber")
	b.read("#app-user", "grace@globex.test")
	d.change(b.t, func(c *storage.Client) { c.InitiateLoginURI = d.appURL + "/initiate-login" })
	b.open(d.providerURL+"/admin/impersonations", "#list .acts-now")
	visit(b, "console-acting")
	b.click("#list .acts-now a")
	b.see("main .card.amber")
	visit(b, "console-acting-one")
	b.open(d.providerURL+"/admin/users", "#users table")
	visit(b, "console-users-acting")
	b.stopAll(d)
	for name, path := range map[string]string{
		"console-acted": "/admin/impersonations/past", "console-refused": "/admin/impersonations/denied", "console-requests": "/admin/impersonations/requests",
		"console-clients": "/admin/clients", "console-client": "/admin/clients/" + demoClient, "console-client-new": "/admin/clients/new",
		"console-client-settings": "/admin/clients/" + demoClient + "/settings", "console-client-acting": "/admin/clients/" + demoClient + "/acting",
		"console-organizations": "/admin/organizations", "console-organization": "/admin/organizations/org_globex", "console-roles": "/admin/roles", "console-role-built-in": "/admin/roles/support",
	} {
		b.open(d.providerURL+path, "main h1")
		visit(b, name)
	}
	b.open(d.providerURL+"/admin/roles", "#role-form")
	b.write("#name", "first-line")
	b.click(`[name="permissions.users:read"]`)
	b.click("#role-submit")
	b.see("#delete-form")
	visit(b, "console-role")
	b.open(d.providerURL+"/admin/impersonations/past", "table")
	b.click("tbody a")
	b.see("main .facts")
	visit(b, "console-acted-one")
}
