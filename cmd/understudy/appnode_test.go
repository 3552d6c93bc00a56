package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/understudy-id/understudy/examples/nodetest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// nodeShop is a demo whose application is the example for Node.js.
type nodeShop struct {
	*demo
	webhookSecret string
}

const nodeClient = "shop-node"

// startNodeShop builds, starts and registers the application, as its README says.
func startNodeShop(t *testing.T, d *demo) *nodeShop {
	t.Helper()
	const examples, directory = "../../examples", "../../examples/app-node"
	nodetest.Sources(t, examples+"/*.json", directory+"/*.json", directory+"/src/*", directory+"/views/*", directory+"/public/*", examples+"/actor-ts/src/*")
	nodetest.Build(t, examples)
	ctx, own := context.Background(), *d
	s := &nodeShop{demo: &own}
	// The shop starts with the secret of a webhook, which is made with the shop's address.
	open := make(chan struct{})
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
		shop, _ := url.Parse(s.appURL)
		httputil.NewSingleHostReverseProxy(shop).ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	var err error
	s.webhookSecret, err = provider.NewWebhooks(d.service.prov).Create(ctx, &storage.Webhook{URL: door.URL + "/webhooks"}, storage.Cause{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.appURL = nodetest.Start(t, nodetest.Node(t, directory, "dist/main.js"),
		"ISSUER="+d.providerURL, "CLIENT_ID="+nodeClient, "CLIENT_SECRET=secret", "WEBHOOK_SECRET="+s.webhookSecret)
	close(open)
	err = d.service.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreateClient(ctx, &storage.Client{
			ID: nodeClient, Name: "Shop", Type: "web", SecretHash: storage.Hash("secret"), TokenEndpointAuthMethod: "client_secret_basic",
			RedirectURIs: storage.List{s.appURL + "/callback"}, PostLogoutRedirectURIs: storage.List{s.appURL + "/", s.appURL + "/stopped"},
			InitiateLoginURI: s.appURL + "/initiate-login", BackchannelLogoutURI: s.appURL + "/backchannel-logout",
			GrantTypes: storage.List{"authorization_code"}, ResponseTypes: storage.List{"code"}, Scope: "openid profile email", RequirePKCE: true,
			IDTokenSignedResponseAlg: "RS256", AccessTokenFormat: "jwt", Delivery: "initiate_login", AllowImpersonation: true,
			ActClaims: storage.List{"name"}, ImpersonatorInResponse: true, FirstParty: true,
		}, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNodeShop plays with the example application for Node.js everything that it
// shows how to do.
func TestNodeShop(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time, and it needs Node.js")
	}
	t.Parallel()
	d, chromium := startDemo(t), startChromium(t)
	s := startNodeShop(t, d)

	t.Run("oneself", func(t *testing.T) {
		b := newTab(t, chromium)
		s.signIn(b, "ada@globex.test")
		b.read("#app-user", "ada@globex.test")
		b.click("#cancel-4711")
		b.until(`!document.querySelector("#cancel-4711")`)
		b.open(s.appURL+"/profile", "#email-form")
		b.write("[name='email']", "invoices@globex.test")
		b.click("#email-form button")
		b.read("#email", "invoices@globex.test")
		b.open(s.appURL+"/activity", "#log")
		b.until(`document.querySelectorAll("#log li").length == 2 && !document.querySelector("#log").innerText.includes(" by ")`)
		b.open(s.appURL+"/profile", "#logout")
		b.click("#logout")
		b.see("#login")
		b.quiet()
	})
	t.Run("somebody, reading, from the consent page", func(t *testing.T) {
		b := newTab(t, chromium)
		b.reachConsent(s.demo)
		b.actAsAda()
		b.until(visible(".text"))
		b.says(".what", "· read only")
		b.until(`document.title.startsWith("(as Ada Lovelace) ") && document.querySelector("#read-only") && !document.querySelector("[id^='cancel-']")`)
		for path, want := range map[string]int{"/orders/4712/cancel": http.StatusForbidden, "/profile/email": http.StatusForbidden} {
			if got := b.post(path, "email=sam@understudy.test"); got != want {
				t.Errorf("POST %s: got %d, want %d", path, got, want)
			}
		}
		b.open(s.appURL+"/profile", "#not-while-acting")
		b.read("#email", "invoices@globex.test")
		b.stopActing(s.demo)
		b.quiet()
	})
	t.Run("without scripts", func(t *testing.T) {
		b := newTab(t, chromium)
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		b.reachConsent(s.demo)
		b.actAsAda()
		b.stopActing(s.demo)
		b.quiet()
	})
	t.Run("somebody, with full access, from the console", func(t *testing.T) {
		b := newTab(t, chromium)
		b.open(d.providerURL+"/admin/users", "#login-form")
		b.signIn("sam@understudy.test", demoPassword)
		b.see("#users table")
		b.open(d.providerURL+"/admin/users/usr_ada?dialog=impersonate&client_id="+nodeClient, "#impersonate-form")
		b.write("#reason", sayWhy)
		b.click(`#impersonate-form [name="access"][value="full"]`)
		b.click("#impersonate-submit")
		b.read("#app-user", "ada@globex.test")
		b.until(visible(".text"))
		b.click("#cancel-4712")
		b.until(`!document.querySelector("#cancel-4712")`)
		if got := b.post("/profile/email", "email=sam@understudy.test"); got != http.StatusForbidden {
			t.Errorf("change of the e-mail address: got %d, want 403", got)
		}
		b.open(s.appURL+"/activity", "#log")
		b.until(`document.querySelector("#log li").innerText.includes("usr_ada, by usr_sam")`)
		s.learns(b, "impersonation.started", `by usr_sam · `+sayWhy, `"access": "full"`)
		s.learns(b, "session.created", `"impersonator": {`, `"email": "sam@understudy.test"`, `"reason": "`+sayWhy+`"`)
		b.stopAll(d)
		b.signedOut(s.demo)
		b.quiet()
	})
	t.Run("events", func(t *testing.T) {
		b := newTab(t, chromium)
		s.signIn(b, "linus@initech.test")
		b.open(s.appURL+"/activity", "main")
		for name, c := range map[string]struct {
			change func(http.Header)
			want   int
		}{
			"signed":      {func(http.Header) {}, http.StatusNoContent},
			"again":       {func(http.Header) {}, http.StatusNoContent},
			"not signed":  {func(h http.Header) { h.Del(standardwebhooks.HeaderWebhookSignature) }, http.StatusBadRequest},
			"another's":   {func(h http.Header) { h.Set(standardwebhooks.HeaderWebhookSignature, "v1,"+strings.Repeat("A", 43)+"=") }, http.StatusBadRequest},
			"under an id": {func(h http.Header) { h.Set(standardwebhooks.HeaderWebhookID, "evt_2") }, http.StatusBadRequest},
			"from yesterday": {func(h http.Header) {
				h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(time.Now().Add(-24*time.Hour).Unix(), 10))
			}, http.StatusBadRequest},
		} {
			if got := s.tell(t, "usr_linus", c.change); got != c.want {
				t.Errorf("%s: got %d, want %d", name, got, c.want)
			}
		}
		b.open(s.appURL+"/activity", "#events")
		b.until(`[...document.querySelectorAll("#events li")].filter(li => li.innerText.includes("by usr_sam · ` + sayWhy + `")).length == 1`)
		b.quiet()
	})
	t.Run("strangers", func(t *testing.T) { s.strangers(newTab(t, chromium)) })
	t.Run("accessible", func(t *testing.T) { s.everyPage(newTab(t, chromium), (*tab).examine) })
}

// everyPage leads a browser through every kind of page that the shop has.
func (s *nodeShop) everyPage(b *tab, visit func(b *tab, name string)) {
	b.t.Helper()
	s.tell(b.t, "usr_ada", func(http.Header) {})
	b.open(s.appURL, "#login")
	visit(b, "shop-signed-out")
	b.open(s.appURL+"/callback?state=unknown", "#problem")
	visit(b, "shop-error")
	b.reachConsent(s.demo)
	b.click("#consent-submit")
	b.see("#orders")
	b.click("#cancel-4712")
	b.until(`!document.querySelector("#cancel-4712")`)
	visit(b, "shop-orders")
	b.open(s.appURL+"/profile", "#email-form")
	visit(b, "shop-profile")
	b.click("#switch")
	b.see("#consent-form")
	b.actAsAda()
	b.until(visible(".text"))
	visit(b, "shop-acting-orders")
	b.open(s.appURL+"/profile", "#not-while-acting")
	visit(b, "shop-acting-profile")
	b.open(s.appURL+"/activity", "#events")
	visit(b, "shop-acting-activity")
	b.stopActing(s.demo)
}

// strangers are turned away.
func (s *nodeShop) strangers(b *tab) {
	b.t.Helper()
	for path, want := range map[string]int{
		"/initiate-login": http.StatusBadRequest,
		"/initiate-login?iss=https://evil.example&login_hint=tkt_1":                              http.StatusBadRequest,
		"/initiate-login?" + url.Values{"iss": {s.providerURL, "https://evil.example"}}.Encode(): http.StatusBadRequest,
		"/callback?code=c&state=s&iss=" + url.QueryEscape(s.providerURL):                         http.StatusBadRequest,
		"/callback?state[]=s": http.StatusBadRequest,
		"/session":            http.StatusUnauthorized,
		"/nowhere":            http.StatusNotFound,
	} {
		if got, _ := s.do(b.t, http.MethodGet, path, "", nil); got != want {
			b.t.Errorf("GET %s: got %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string]int{
		"/logout": http.StatusForbidden, "/stop": http.StatusForbidden, "/profile/email": http.StatusForbidden, "/orders/4713/cancel": http.StatusForbidden,
		"/backchannel-logout": http.StatusBadRequest, "/webhooks": http.StatusBadRequest,
	} {
		if got, body := s.do(b.t, http.MethodPost, path, "logout_token=e30.e30.e30", nil); got != want || strings.Contains(body, "node_modules") {
			b.t.Errorf("POST %s: got %d %s, want %d", path, got, body, want)
		}
	}
	// With a session, but not from its pages.
	s.signIn(b, "grace@globex.test")
	for _, csrf := range []string{"", "csrf=", "csrf=guess", "csrf[]=guess"} {
		status := value[int](b, `fetch("/orders/4713/cancel", {method: "POST", body: new URLSearchParams(`+quoted(csrf)+`)}).then(r => r.status)`)
		if status != http.StatusForbidden {
			b.t.Errorf("POST with %q: got %d, want 403", csrf, status)
		}
	}
	// Words of others stay words.
	b.open(s.appURL+"/callback?"+url.Values{"state": {"s"}, "error": {"x"}, "error_description": {"<img src=x>"}}.Encode(), "#problem")
	if value[bool](b, `!!document.querySelector("img")`) {
		b.t.Error("an error's description is markup")
	}
}

// tell sends the shop an event about a user, as the provider does, and returns the status.
func (s *nodeShop) tell(t *testing.T, subject string, change func(http.Header)) int {
	t.Helper()
	now := time.Now()
	event := map[string]any{
		"id": "evt_1", "type": "impersonation.started", "time": now, "actor": "usr_sam", "subject": subject, "client": nodeClient,
		"impersonation": "imp_1", "reason": sayWhy, "data": map[string]any{"access": "read_only"},
	}
	body, err := json.Marshal(map[string]any{"type": event["type"], "timestamp": now, "data": event})
	if err != nil {
		t.Fatal(err)
	}
	key, err := standardwebhooks.NewWebhook(s.webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign("evt_1", now, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set(standardwebhooks.HeaderWebhookID, "evt_1")
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	change(header)
	status, _ := s.do(t, http.MethodPost, "/webhooks", string(body), header)
	return status
}

// learns waits until the provider told the shop of an event of a type that has words in it.
func (s *nodeShop) learns(b *tab, kind string, words ...string) {
	b.t.Helper()
	all, _ := json.Marshal(append(words, kind))
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		b.open(s.appURL+"/activity", "main")
		if value[bool](b, `[...document.querySelectorAll("#events li")].some(li => `+string(all)+`.every(word => li.textContent.includes(word)))`) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no %s with %q: %s", kind, words, value[string](b, "document.body.textContent"))
		}
	}
}

// do sends a request as nobody.
func (s *nodeShop) do(t *testing.T, method, path, body string, header http.Header) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.appURL+path, strings.NewReader(body))
	if err != nil { // not even a URL
		r, err = http.NewRequestWithContext(t.Context(), method, s.appURL, strings.NewReader(body))
		r.URL.Opaque = path
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := stay.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// signIn signs in at the shop, without a question to go on.
func (s *nodeShop) signIn(b *tab, who string) {
	b.t.Helper()
	b.open(s.appURL, "#login")
	b.click("#login")
	b.see("#login-form")
	b.signIn(who, demoPassword)
	b.see("#orders")
}

// post sends a form of the page's own, with its token, and returns the status.
func (b *tab) post(path, fields string) int {
	b.t.Helper()
	return value[int](b, fmt.Sprintf(`fetch(%s, {method: "POST", body: new URLSearchParams(%s + "&csrf=" + document.querySelector("[name='csrf']").value)}).then(r => r.status)`,
		quoted(path), quoted(fields)))
}

// quiet checks that the browser has nothing to complain about but refusals, of a form or
// of the session that the bar asks about.
func (b *tab) quiet() {
	b.t.Helper()
	for _, complaint := range b.heard() {
		if !strings.Contains(complaint, "responded with a status of 40") {
			b.t.Errorf("the browser complains: %s", complaint)
		}
	}
}
