package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

const sayWhy = "Cannot see invoice 4711, asked by phone"

// TestBrowserWalk plays the story of the product in a browser.
func TestBrowserWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	d, chromium := startDemo(t), startChromium(t)
	for _, scripts := range []string{"on", "off"} {
		t.Run("scripts "+scripts, func(t *testing.T) {
			b := newTab(t, chromium)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: scripts == "off"})
			b.do(chromedp.Navigate(`data:text/html,<title>off</title><script>document.title = "on"</script>`))
			b.until("document.title == " + quoted(scripts))
			b.reachConsent(d)
			b.actAsAda()
			b.stopActing(d)
			b.click("#logout")
			b.see("#login")
			if got := b.heard(); len(got) > 0 {
				t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
			}
		})
	}
	t.Run("keyboard", func(t *testing.T) {
		b := newTab(t, chromium)
		b.reachConsent(d)
		presses := b.actAsAdaByKeyboard()
		t.Logf("%d key presses", presses)
		if presses >= 60 {
			t.Errorf("%d key presses from the consent page to the application, want fewer than 60", presses)
		}
		b.stopActing(d)
		if got := b.heard(); len(got) > 0 {
			t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
		}
	})
	for _, scripts := range []string{"on", "off"} {
		t.Run("languages, scripts "+scripts, func(t *testing.T) {
			b := newTab(t, chromium)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: scripts == "off"})
			b.open(d.appURL+"/login", "#login-form")
			at := value[string](b, "location.href")
			for _, c := range [][2]string{{"de", "Anmelden"}, {"en", "Sign in"}} {
				b.speak(c[0])
				b.read("#login-submit", c[1])
				if now := value[string](b, "location.href"); now != at {
					t.Errorf("%s: at %s, want %s", c[0], now, at)
				}
			}
			if got := b.heard(); len(got) > 0 {
				t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
			}
		})
	}
	// An hour goes by for the provider and for the bar.
	t.Run("the end leads back to oneself", func(t *testing.T) {
		b := newTab(t, chromium)
		b.reachConsent(d)
		b.actAsAda()
		b.until(visible(".text"))
		err := d.service.store.Write(t.Context(), func(tx *storage.Tx) error {
			_, err := tx.ExpireImpersonations(t.Context(), time.Now().Add(time.Hour))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		value[bool](b, `Date.now = () => new Date().getTime() + 3600e3, true`)
		b.until(part("dialog:modal"))
		b.press("dialog a")
		b.read("#app-user", "sam@understudy.test")
	})
	t.Run("enter goes on as oneself", func(t *testing.T) {
		b := newTab(t, chromium)
		b.reachConsent(d)
		b.do(chromedp.Focus(chromedp.CSS("#continue_as_me")), chromedp.KeyEvent(kb.Enter))
		b.read("#app-user", "sam@understudy.test")
	})
	// That nothing was heard means something only if the tab listens.
	t.Run("violations are heard", func(t *testing.T) {
		b := newTab(t, chromium)
		b.open(d.providerURL, "main")
		value[bool](b, `document.body.setAttribute("style", "color: red"), document.body.append(Object.assign(new Image, {src: "data:,"})), true`)
		for deadline := time.Now().Add(patience); !slices.ContainsFunc(b.heard(), isViolation); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("heard %q, want a violation of the content security policy", b.heard())
			}
		}
	})
}

func isViolation(complaint string) bool { return strings.Contains(complaint, "ontentSecurityPolicy") }

// reachConsent signs Sam in, from the application to the consent page.
func (b *tab) reachConsent(d *demo) {
	b.t.Helper()
	b.open(d.appURL, "#login")
	b.click("#login")
	b.see("#login-form")
	b.signIn("sam@understudy.test", demoPassword)
	b.see("#consent-form")
}

// speak chooses a language in the footer.
func (b *tab) speak(language string) {
	b.t.Helper()
	b.click(`.languages [value="` + language + `"]`)
	b.until(`document.documentElement.lang == ` + quoted(language))
}

func (b *tab) signIn(username, password string) {
	b.t.Helper()
	b.write("#username", username)
	b.write("#password", password)
	b.click("#login-submit")
}

// find searches for a user on the consent page.
func (b *tab) find(query, selector string) {
	b.t.Helper()
	b.write("#q", query+kb.Enter)
	b.see(selector)
}

func candidate(id string) string { return `[name="subject"][value="` + id + `"]` }

func (b *tab) actAsAda() {
	b.t.Helper()
	b.read("#consent-submit", "Continue as me")
	b.click("#continue_as_other")
	b.read("#consent-submit", "Sign in as another user")
	b.find("ada", candidate("usr_ada"))
	b.click(candidate("usr_ada"))
	b.read("#consent-submit", "Sign in as Ada Lovelace")
	b.write("#reason", sayWhy)
	b.click("#consent-submit")
	b.read("#app-user", "ada@globex.test")
	b.see("#acting-bar")
}

func (b *tab) stopActing(d *demo) {
	b.t.Helper()
	// In the bar, or where no script ran in the page itself.
	b.do(chromedp.Click(chromedp.JSPath(`document.querySelector("#acting-bar").shadowRoot?.querySelector(".stop:not([hidden])") ?? document.querySelector("#stop")`)))
	b.read("#app-user", "sam@understudy.test")
	b.until(`location.href == ` + quoted(d.appURL+"/") + ` && !document.querySelector("#acting-bar")`)
}

// actAsAdaByKeyboard returns how many keys it takes.
func (b *tab) actAsAdaByKeyboard() (presses int) {
	b.t.Helper()
	press := func(keys string) {
		b.t.Helper()
		presses += len([]rune(keys))
		b.do(chromedp.KeyEvent(keys))
	}
	focused := func(selector string) bool {
		return value[bool](b, "document.activeElement.matches("+quoted(selector)+")")
	}
	tabTo := func(selector string) {
		b.t.Helper()
		for range 12 {
			if focused(selector) {
				return
			}
			press(kb.Tab)
		}
		b.t.Fatalf("Tab does not lead to %s\n%s", selector, b.where())
	}
	tabTo(`[name="continue_as"]`)
	press(kb.ArrowDown)
	b.read("#consent-submit", "Sign in as another user")
	tabTo("#q")
	press("ada" + kb.Enter)
	b.see(candidate("usr_ada"))
	b.until(`document.activeElement.matches('#q, [name="subject"]')`) // where the page says to go on
	tabTo(`[name="subject"]`)
	press(" ")
	b.read("#consent-submit", "Sign in as Ada Lovelace")
	tabTo("#reason")
	press("Invoice 4711 lost")
	tabTo("#consent-submit")
	press(kb.Enter)
	b.read("#app-user", "ada@globex.test")
	return presses
}

//go:embed testdata/axe/axe.min.js
var axe string

// TestBrowserAccessible asks axe about every page there is.
func TestBrowserAccessible(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	d, chromium := startDemo(t), startChromium(t)
	everyPage(newTab(t, chromium), d, func(b *tab, name string) {
		b.examine(name)
		d.showPasswords(t)
	})
}

// showPasswords makes everybody who is signed in have shown their password just now: a
// slow machine asks axe for longer than that counts.
func (d *demo) showPasswords(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.directory, "understudy.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE login_sessions SET auth_time = ?`, storage.At(time.Now())); err != nil {
		t.Fatal(err)
	}
}

// Rules of axe. A scheme changes colours and nothing else; a width changes where things
// are, unless other elements are shown.
const (
	everyRule = "undefined"
	ofColours = `["color-contrast", "link-in-text-block"]`
	ofPlaces  = `["color-contrast", "link-in-text-block", "scrollable-region-focusable"]`
)

// examine asks axe about a page, and whether it fits, in every look that makes a
// difference to the rules.
func (b *tab) examine(name string) {
	b.t.Helper()
	const shown = `[...document.querySelectorAll("body *")].map(e => +e.checkVisibility()).join("")`
	value[bool](b, axe+"; true")
	wide := value[string](b, shown)
	b.wantAccessible(name, light, 1280, everyRule)
	b.look(dark, 1280)
	b.wantAccessible(name, dark, 1280, ofColours)
	b.look(light, 320)
	if value[string](b, shown) == wide {
		b.wantAccessible(name, light, 320, ofPlaces)
	} else {
		b.wantAccessible(name, light, 320, everyRule)
		b.look(dark, 320)
		b.wantAccessible(name, dark, 320, ofColours)
	}
	b.look(light, 1280)
}

// wantAccessible asks axe, which has to be there, about a page as it looks now.
func (b *tab) wantAccessible(name, scheme string, width int64, rules string) {
	b.t.Helper()
	for _, violation := range value[[]string](b, `axe.run({resultTypes: ["violations"], runOnly: `+rules+`}).then(r => r.violations.flatMap(v => v.nodes.map(n =>
		v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`) {
		b.t.Errorf("%s, %s, %d pixels: %s", name, scheme, width, violation)
	}
	if wide := value[int64](b, "document.documentElement.scrollWidth"); wide > width {
		b.t.Errorf("%s, %s: %d pixels wide, want %d", name, scheme, wide, width)
	}
}

func (b *tab) everyLook(visit func(scheme string, width int64)) {
	b.t.Helper()
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{dark, light} {
			b.look(scheme, width)
			visit(scheme, width)
		}
	}
}

// TestScreenshots draws every page into the directory that UNDERSTUDY_SCREENSHOTS
// names, and the pictures of the README into its readme.
func TestScreenshots(t *testing.T) {
	directory := os.Getenv("UNDERSTUDY_SCREENSHOTS")
	if directory == "" {
		return
	}
	if err := os.MkdirAll(filepath.Join(directory, "readme"), 0o755); err != nil {
		t.Fatal(err)
	}
	save := func(name string, picture []byte) {
		t.Helper()
		if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, chromium := startDemo(t), startChromium(t)
	draw := func(b *tab, name string) {
		value[bool](b, "scrollTo(0, 0), true")
		b.everyLook(func(scheme string, width int64) {
			high := value[float64](b, "document.documentElement.scrollHeight")
			file := name + "-" + scheme
			if width == 320 {
				file += "-320"
			}
			save(file, b.picture(page.Viewport{Width: float64(width), Height: high, Scale: 1}))
		})
		if part, ok := readmePictures[name]; ok {
			value[bool](b, "document.activeElement.blur(), true")
			for _, scheme := range []string{dark, light} {
				b.look(scheme, 800)
				clip := value[page.Viewport](b, part.clip)
				clip.Scale = 1.25
				save(filepath.Join("readme", part.name+"-"+scheme), b.picture(clip))
			}
			b.look(light, 1280)
		}
	}
	everyPage(newTab(t, chromium), d, draw)
	startNodeShop(t, d).everyPage(newTab(t, chromium), draw)
}

// readmePictures are parts of pages, each by an expression for its rectangle.
var readmePictures = map[string]struct{ name, clip string }{
	"consent-ready": {"consent", `(r => ({x: r.x - 24, y: r.y + scrollY - 24, width: r.width + 48, height: r.height + 48}))(document.querySelector("main > .card").getBoundingClientRect())`},
	"app-acting":    {"acting", `({x: 0, y: 0, width: 800, height: document.querySelector("#id-token").getBoundingClientRect().bottom + scrollY + 16})`},
}

// accountPages leads a browser in which nobody is signed in through Ada's account, and
// out of it again.
func accountPages(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	b.open(d.providerURL+"/account", "#login-form")
	b.signIn("ada@globex.test", demoPassword)
	b.until(`location.pathname == "/account"`)
	visit(b, "account")
	b.open(d.providerURL+"/account/activity", ".acts")
	visit(b, "account-activity")
	b.click(".acts li:not(.own) a")
	b.see("#report")
	visit(b, "account-acted-as")
	b.click("#report button")
	b.see(".notice.done")
	visit(b, "account-reported")
	askAda(b.t, d)
	b.open(d.providerURL+"/account/support-access", "#requests")
	visit(b, "account-support")
	b.click("[name='choice'][value='ticket']")
	b.click("#support-submit")
	b.see("#error-summary")
	visit(b, "account-support-errors")
	b.open(d.providerURL+"/account/sessions", ".acts")
	visit(b, "account-sessions")
	b.open(d.providerURL+"/account/applications", "main .card")
	visit(b, "account-applications")
	b.open(d.providerURL+"/account/profile", "#zoneinfo")
	visit(b, "account-profile")
	b.write("#zoneinfo", "nowhere at all")
	b.click("main button[type='submit']")
	b.see("#error-summary")
	visit(b, "account-profile-errors")
	b.open(d.providerURL+"/account/password", "#password-form")
	visit(b, "account-password")
	b.open(d.providerURL+"/oauth2/logout", "#logout-form")
	b.click("#logout-submit")
	b.until(`!document.querySelector("#logout-form")`)
}

// askAda makes Sam ask Ada for permission.
func askAda(t *testing.T, d *demo) {
	t.Helper()
	sam, err := d.service.store.User(t.Context(), "usr_sam")
	if err != nil {
		t.Fatal(err)
	}
	ask := impersonation.Ask{Actor: sam, SubjectID: "usr_ada", Reason: sayWhy, TicketRef: "SUP-4821"}
	if _, err := d.service.prov.Impersonation.RequestSupport(t.Context(), ask, storage.Request{}, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// everyPage leads a browser through every kind of page that the provider and the
// application have.
func everyPage(b *tab, d *demo, visit func(b *tab, name string)) {
	b.t.Helper()
	addShop(b.t, d)
	slowDown(b.t, d, "stranger@understudy.test")

	b.open(d.appURL, "#login")
	visit(b, "app-signed-out")
	b.open(d.appURL+"/callback?state=unknown", "#problem")
	visit(b, "app-error")
	b.open(d.providerURL+"/login", "#login-form")
	visit(b, "login-plain")
	b.speak("de")
	visit(b, "german-login-plain")
	b.open(d.providerURL+"/nowhere", "#error-page")
	visit(b, "german-error-not-found")
	b.speak("en")
	b.open(d.providerURL, "main")
	visit(b, "home-signed-out")
	b.open(d.providerURL+"/nowhere", "#error-page")
	visit(b, "error-not-found")
	b.open(d.providerURL+"/consent/GONE", "#error-page")
	visit(b, "error-expired")
	b.open(d.providerURL+"/oauth2/authorize?client_id=nobody&response_type=code", "#error-page")
	visit(b, "error-unknown-client")

	b.open(d.appURL+"/login", "#login-form")
	visit(b, "login")
	b.signIn("nobody@understudy.test", "wrong")
	b.see("#login-error")
	visit(b, "login-wrong")
	b.open(d.appURL+"/login", "#login-form:not(:has(#login-error))")
	b.signIn("stranger@understudy.test", "wrong")
	b.see("#login-error")
	visit(b, "login-throttled")

	b.signIn("sam@understudy.test", demoPassword)
	b.see("#consent-form")
	visit(b, "consent-me")
	b.click("#continue_as_other")
	b.read("#consent-submit", "Sign in as another user")
	visit(b, "consent-other")
	b.speak("de")
	b.click("#continue_as_other")
	b.read("#consent-submit", "Als jemand anderes anmelden")
	b.find("ad", candidate("usr_ada"))
	visit(b, "german-consent-results")
	b.speak("en")
	b.click("#continue_as_other")
	b.find("zzz", ".other .notice:not(:last-child)")
	visit(b, "consent-nobody")
	b.find("grace", candidate("usr_grace"))
	b.click(candidate("usr_grace"))
	b.write("#reason", "Short")
	b.click("#consent-submit")
	b.see("#error-summary")
	visit(b, "consent-errors")
	b.write("#reason", sayWhy)
	b.click("#consent-submit")
	b.see("#error-summary [href='#organization']")
	visit(b, "consent-organization")
	b.open(d.appURL+"/login", "#consent-form")
	b.click("#continue_as_other")
	b.find("ad", candidate("usr_ada"))
	visit(b, "consent-results")
	b.click(candidate("usr_ada"))
	b.write("#reason", sayWhy)
	b.write("#ticket_ref", "SUP-4821")
	b.read("#consent-submit", "Sign in as Ada Lovelace")
	visit(b, "consent-ready")
	b.click("#consent-submit")
	b.see("#acting-bar")
	visit(b, "app-acting")

	b.open(d.providerURL, ".acts")
	visit(b, "account-acting")
	b.open(d.providerURL+"/account/profile", ".notice")
	visit(b, "account-profile-acting")
	b.open(d.providerURL+"/account", ".acts")
	b.click(".acts a.button")
	b.see("#stop-form")
	visit(b, "stop")
	b.speak("de")
	visit(b, "german-stop")
	b.speak("en")
	b.click("#stop-submit")
	b.until(`location.pathname == "/impersonation/stopped"`)
	visit(b, "stopped")
	b.open(d.providerURL, "main")
	visit(b, "account-of-staff")

	b.open(d.appURL+"/login", "#consent-form")
	b.click("#consent-submit")
	b.read("#app-user", "sam@understudy.test")
	visit(b, "app-signed-in")
	b.open(d.authorize("shop", "openid profile email phone offline_access orders:read"), "#scopes")
	visit(b, "consent-plain")
	b.open(d.authorize(demoClient, "openid")+"&prompt=login", "#login-form")
	visit(b, "login-again")
	b.open(d.providerURL+"/oauth2/logout", "#logout-form")
	visit(b, "logout")
	b.click("#logout-submit")
	b.until(`!document.querySelector("#logout-form")`)
	visit(b, "logged-out")
	accountPages(b, d, visit)

	link := setupLink(b.t, d)
	b.open(link, "#setup-form")
	visit(b, "setup")
	b.write("#name", "Eve Newcomer")
	b.write("#email", "ada@globex.test")
	b.write("#password", demoPassword)
	b.click("#setup-submit")
	b.see("#error-summary [href='#email']")
	visit(b, "setup-errors")
	b.write("#email", "eve@understudy.test")
	b.write("#password", demoPassword)
	b.click("#setup-submit")
	b.see("#checklist")
	visit(b, "setup-checklist")
	b.open(link, "#error-page")
	visit(b, "setup-link-used")
	userPages(b, d, visit)
	deliveryPages(b, d, visit)
	b.open(setupLink(b.t, d), "#setup-form")
	visit(b, "setup-signed-in")
	b.open(d.providerURL+"/oauth2/logout", "#logout-form")
	b.click("#logout-submit")
	b.until(`!document.querySelector("#logout-form")`)
	recordPages(b, d, visit)
	approvalPages(b, d, visit)
	webhookPages(b, d, visit)
}

// setupLink is the address at which somebody becomes administrator.
func setupLink(t *testing.T, d *demo) string {
	t.Helper()
	token, err := provider.NewDirectory(d.service.store).CreateSetupLink(context.Background(), time.Hour, storage.Cause{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return d.providerURL + "/setup/" + token
}

// authorize is an authorization request that nobody takes the answer of.
func (d *demo) authorize(client, scope string) string {
	return d.providerURL + "/oauth2/authorize?" + url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {d.appURL + "/callback"}, "scope": {scope}, "state": {"somewhere"},
		"code_challenge_method": {"S256"}, "code_challenge": {strings.Repeat("A", 43)},
	}.Encode()
}

// addShop registers an application of somebody else, which has to ask for consent.
func addShop(t *testing.T, d *demo) {
	t.Helper()
	ctx := context.Background()
	err := d.service.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.CreateClient(ctx, &storage.Client{
			ID: "shop", Name: "The Web Shop", Type: "web", SecretHash: storage.Hash("secret"), TokenEndpointAuthMethod: "client_secret_basic",
			RedirectURIs: storage.List{d.appURL + "/callback"}, GrantTypes: storage.List{"authorization_code", "refresh_token"}, ResponseTypes: storage.List{"code"},
			Scope: "openid profile email phone offline_access orders:read", RequirePKCE: true, IDTokenSignedResponseAlg: "ES256", AccessTokenFormat: "jwt",
			Delivery: "initiate_login", PolicyURI: "https://shop.example/privacy", TermsOfServiceURI: "https://shop.example/terms",
		}, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// slowDown makes a name wait as if many had tried to guess its password.
func slowDown(t *testing.T, d *demo, name string) {
	t.Helper()
	ctx, key := context.Background(), sha256.Sum256([]byte("name:"+storage.EmailKey(name)))
	err := d.service.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.Fail(ctx, []storage.ThrottleLimit{{
			Key: key[:], Delay: func(int64) time.Duration { return 10 * time.Minute }, Memory: time.Hour,
		}}, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
}
