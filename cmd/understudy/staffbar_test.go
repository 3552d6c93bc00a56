package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// barHost is an application of somebody else, whose pages let in nothing but the
// provider's staff bar.
type barHost struct {
	*httptest.Server
	provider, integrity string

	mu    sync.Mutex
	body  string // of its page
	live  int    // what /session answers
	asked int    // how often
	heard string // what was sent to /stop
}

func newBarHost(t *testing.T, d *demo) *barHost {
	t.Helper()
	script, err := http.Get(d.providerURL + "/staff-bar.js")
	if err != nil {
		t.Fatal(err)
	}
	script.Body.Close()
	h := &barHost{provider: d.providerURL, integrity: strings.Trim(script.Header.Get("ETag"), `"`), live: http.StatusOK}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *barHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src "+h.provider+"/staff-bar.js; style-src 'self'; img-src data:; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
	switch r.URL.Path {
	case "/style.css":
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, `:root { color-scheme: light dark } body { margin: 0; min-height: 200vh } button { all: unset } form { margin: 9rem }`)
	case "/session":
		h.asked++
		w.WriteHeader(h.live)
	case "/stop":
		h.heard = r.Method + " " + r.FormValue("csrf")
		http.Redirect(w, r, "/elsewhere", http.StatusSeeOther)
	default:
		fmt.Fprintf(w, `<!doctype html><html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>An application</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<script src="%s/staff-bar.js" integrity="%s" crossorigin defer></script>
%s<main><h1 id="%s">Orders</h1><p><button id="own">Order</button></p></main>`, h.provider, h.integrity, h.body, strings.Trim(r.URL.Path, "/"))
	}
}

// show opens a page with something in it, above the rest.
func (h *barHost) show(b *tab, body string) {
	b.t.Helper()
	h.mu.Lock()
	h.body = body
	h.mu.Unlock()
	b.open(h.URL+"/orders", "staff-bar")
	b.until(`customElements.get("staff-bar")`)
}

// answers says what /session answers from now on.
func (h *barHost) answers(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live, h.asked = status, 0
}

// The clock of a page under test stands still at 14:14 until it is moved.
const (
	stoppedClock = `Date.now = () => self.now ?? Date.parse("2026-11-21T14:14:00Z")`
	ada          = `<staff-bar user="Ada Lovelace" actor="Sam Support" organization="Globex" access="read_only" reason="Invoice 4711" expires="2026-11-21T14:32:42Z" stop="/stopped" return="/orders#list"></staff-bar>`
	theBar       = `document.querySelector("staff-bar")`
)

// part is an expression for an element within the bar.
func part(selector string) string {
	return theBar + ".shadowRoot.querySelector(" + quoted(selector) + ")"
}

func (b *tab) press(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.JSPath(part(selector))))
}

// says waits for a text of the bar.
func (b *tab) says(selector, text string) {
	b.t.Helper()
	b.until(part(selector) + "?.textContent.trim() == " + quoted(text))
}

// at moves the clock, and lets the bar look at it.
func (b *tab) at(clock string) {
	b.t.Helper()
	value[bool](b, `self.now = Date.parse("2026-11-21T`+clock+`Z"), `+theBar+`.toggleAttribute("data-moved")`)
}

// visible is an expression that is true of what is drawn.
func visible(selector string) string { return part(selector) + ".checkVisibility()" }

func TestStaffBar(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	d, chromium := startDemo(t), startChromium(t)
	h := newBarHost(t, d)
	for _, story := range []struct {
		name string
		play func(*barHost, *tab)
	}{
		{"says who, whom and how long", barSays},
		{"a wrong expires", barWithoutEnd},
		{"German", barInGerman},
		{"announces five minutes and one", barAnnounces},
		{"hides in this tab", barHides},
		{"is printed", barPrints},
		{"stops by a link", barLinks},
		{"stops by the page's own form", barPosts},
		{"ends", barEnds},
		{"asks the application", barAsks},
		{"hostile attributes", barDisbelieves},
		{"frameworks", barSurvives},
		{"accessible", barAccessible},
	} {
		t.Run(story.name, func(t *testing.T) {
			b := newTab(t, chromium)
			call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: stoppedClock})
			h.answers(http.StatusOK)
			story.play(h, b)
			refused := func(complaint string) bool { return strings.HasSuffix(complaint, h.URL+"/session") }
			if got := slices.DeleteFunc(b.heard(), refused); len(got) > 0 {
				t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
			}
		})
	}
	t.Run("by a real clock", func(t *testing.T) {
		b := newTab(t, chromium)
		h.show(b, `<staff-bar user="Ada"></staff-bar>`)
		expire := func(milliseconds int) {
			value[bool](b, fmt.Sprintf(`%s.setAttribute("expires", new Date(Date.now() + %d).toISOString()), true`, theBar, milliseconds))
		}
		expire(600_000)
		b.until(part(".time") + `.textContent.endsWith(" left")`)
		b.until(part(".time") + `.textContent != ` + quoted(value[string](b, part(".time")+`.textContent`)))
		expire(1500)
		b.until(part("dialog:modal"))
	})
	t.Run("without scripts", func(t *testing.T) {
		b := newTab(t, chromium)
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		h.mu.Lock()
		h.body = `<staff-bar stop="/stopped">You are signed in as Ada.<form method="post" action="/stop"><input type="hidden" name="csrf" value="c1"><button id="stop">Stop</button></form></staff-bar>`
		h.mu.Unlock()
		b.open(h.URL+"/orders", "staff-bar")
		b.click("#stop")
		b.see("#elsewhere")
		h.wasSent(t, "POST c1")
	})
}

func barSays(h *barHost, b *tab) {
	h.show(b, ada)
	b.says(".text", "⚠︎ You, Sam Support, are signed in as Ada Lovelace (Globex) · read only · 18:42 left · Reason: Invoice 4711")
	b.at("14:14:01")
	b.says(".time", "· 18:41 left")
	b.at("14:32:37")
	b.says(".time", "· 0:05 left")
	b.until(part("[role=timer]") + ` && ` + part("section[aria-label='Impersonation notice'][lang=en]") + ` && ` + part("dialog[aria-label][lang=en]"))
	h.show(b, `<staff-bar user="Ada" access="full"></staff-bar>`)
	b.says(".text", "⚠︎ You are signed in as Ada")
	b.until("!" + visible("a.link") + " && !" + visible("button.stop") + " && " + visible(".hide"))
}

func barWithoutEnd(h *barHost, b *tab) {
	h.show(b, `<staff-bar user="Ada" reason="Invoice"></staff-bar>`)
	expire := func(at string) { value[bool](b, theBar+`.setAttribute("expires", `+quoted(at)+`), true`) }
	for _, expires := range []string{"", "soon", "1795270440", "2026-11-21", "2026-11-21T14:32:42", "2026-13-41T99:99:99Z", "Sat Nov 21 2026 14:32:42 GMT+0000", "NaN", "T+00:00"} {
		expire(expires)
		b.says(".text", "⚠︎ You are signed in as Ada · Reason: Invoice")
		b.press(".hide")
		b.says(".hide", "⚠︎ Ada")
		if value[bool](b, part("dialog")+".open") {
			b.t.Errorf("%q: the session has ended", expires)
		}
	}
	for expires, left := range map[string]string{"2026-11-21T15:32:42.123+01:00": "18:43", "2026-11-21T15:44:00Z": "90:00"} {
		expire(expires)
		b.says(".time", "· "+left+" left")
	}
}

func barInGerman(h *barHost, b *tab) {
	h.show(b, `<div lang="de-AT">`+ada+`</div>`)
	b.says(".text", "⚠︎ Sie, Sam Support, sind angemeldet als Ada Lovelace (Globex) · nur lesen · noch 18:42 · Grund: Invoice 4711")
	b.until(part("section[lang=de]"))
	b.says(".hide", "Ausblenden")
	value[bool](b, theBar+`.setAttribute("lang", "en"), true`)
	b.says(".hide", "Hide")
}

func barAnnounces(h *barHost, b *tab) {
	h.show(b, ada)
	value[bool](b, `self.said = [], new MutationObserver(() => said.push(`+part("output")+`.textContent)).observe(`+part("output")+`, {childList: true}), true`)
	colour := func() string { return value[string](b, `getComputedStyle(`+part("section")+`).backgroundColor`) }
	calm := colour()
	for _, c := range []struct{ clock, left string }{
		{"14:27:41", "5:01"}, {"14:27:42", "5:00"}, {"14:29:00", "3:42"}, {"14:31:41", "1:01"}, {"14:31:42", "1:00"}, {"14:32:00", "0:42"},
	} {
		b.at(c.clock)
		b.says(".time", "· "+c.left+" left")
		if stronger := c.left != "5:01"; (colour() != calm) != stronger {
			b.t.Errorf("with %s left: colour %s, at first %s", c.left, colour(), calm)
		}
	}
	if said := value[[]string](b, "said"); !slices.Equal(said, []string{"Under 5 min left", "Under 1 min left"}) {
		b.t.Errorf("announced %q", said)
	}
}

func barHides(h *barHost, b *tab) {
	h.show(b, ada)
	b.press(".hide")
	pill := "!" + visible(".text") + " && " + visible(".hide")
	bar := visible(".text") + " && " + visible(".move")
	b.until(pill)
	b.says(".hide", "⚠︎ 18:42 left")
	b.until(theBar + ".shadowRoot.activeElement == " + part(".hide"))
	h.show(b, ada)
	b.until(pill)
	b.at("14:20:00")
	b.says(".hide", "⚠︎ 12:42 left")
	b.press(".hide")
	b.until(bar)
	h.show(b, ada)
	b.until(bar)

	low := part("section") + ".getBoundingClientRect().bottom == innerHeight"
	b.press(".move")
	b.until(low)
	h.show(b, ada)
	b.until(low)
	b.press(".hide")
	b.until(pill + " && " + part("section") + ".getBoundingClientRect().top > innerHeight / 2")

	// Another one is not hidden because this one is.
	h.show(b, strings.ReplaceAll(ada, "Lovelace", "Byron"))
	b.until(bar + " && " + low)
	b.press(".move")
	b.until(part("section") + ".getBoundingClientRect().top == 0")
	value[bool](b, `scrollTo(0, 500), true`)
	b.until(part("section") + ".getBoundingClientRect().top == 0")
}

func barPrints(h *barHost, b *tab) {
	h.show(b, ada)
	b.press(".hide")
	b.until("!" + visible(".text"))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	b.until(visible(".text") + " && !" + visible(".hide"))
}

func barLinks(h *barHost, b *tab) {
	h.show(b, ada)
	b.press("a.link")
	b.see("#stopped")
}

func barPosts(h *barHost, b *tab) {
	h.show(b, `<staff-bar user="Ada" stop="/stopped"><form method="post" action="/stop"><input type="hidden" name="csrf" value="c2"><button>Stop</button></form></staff-bar>`)
	b.until("!" + visible("a.link") + ` && !document.querySelector("form").checkVisibility()`)
	b.press("button.stop")
	b.see("#elsewhere")
	h.wasSent(b.t, "POST c2")
}

func (h *barHost) wasSent(t *testing.T, want string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard != want {
		t.Errorf("/stop was sent %q, want %q", h.heard, want)
	}
	h.heard = ""
}

func barEnds(h *barHost, b *tab) {
	over := part("dialog:modal")
	h.show(b, ada)
	b.at("14:32:41")
	b.says(".time", "· 0:01 left")
	b.until("!" + over)
	b.at("15:00:00") // asleep meanwhile
	b.until(over)
	b.says("h2", "This session has ended")
	b.until(theBar + ".shadowRoot.activeElement == " + part("dialog a"))
	value[bool](b, `self.shut = [], `+part("dialog")+`.addEventListener("close", event => shut.push(!event.target.open)), true`)
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Tab))
	b.until(over)
	if value[bool](b, "shut.includes(true)") {
		b.t.Error("Escape closes the dialog")
	}
	if value[bool](b, `document.querySelector("#own").focus(), document.activeElement == document.querySelector("#own")`) {
		b.t.Error("the page can still be worked with")
	}
	b.at("14:14:00") // the clock was wrong
	b.until("!" + over)
	b.at("15:00:00")
	b.until(over)
	value[bool](b, `document.body.append(self.bar = `+theBar+`), bar.remove(), document.body.prepend(bar), true`)
	b.until(over)
	value[bool](b, theBar+`.setAttribute("expires", "2026-11-21T15:10:00Z"), true`)
	b.until("!" + over)
	value[bool](b, theBar+`.setAttribute("expires", "2026-11-21T14:50:00Z"), true`)
	b.until(over)
	b.press("dialog a")
	b.until(`location.hash == "#list"`)

	h.show(b, `<staff-bar user="Ada" expires="2026-11-21T14:00:00Z"></staff-bar>`) // where Return leads by itself
	b.until(over + ` && ` + part("dialog a") + `.href == location.href`)
}

func barAsks(h *barHost, b *tab) {
	over := part("dialog:modal")
	h.show(b, ada)
	asking := strings.Replace(ada, "<staff-bar", `<staff-bar session-url="/session"`, 1)
	for status, ended := range map[int]bool{200: false, 204: true, 401: true, 404: true, 403: false, 500: false, 503: false} {
		h.answers(status)
		h.show(b, asking)
		// One more question of the page's own, which is answered after the bar's.
		b.until(`performance.getEntriesByName(location.origin + "/session").length > 0`)
		value[bool](b, `fetch("/session").then(() => `+theBar+`.toggleAttribute("data-moved"))`)
		if ended {
			b.until(over)
			b.at("14:15:00")
			b.until(over)
			value[bool](b, theBar+`.setAttribute("user", "Grace"), true`) // somebody else's is not over
			b.until("!" + over)
		} else if value[bool](b, `!!`+over) {
			b.t.Errorf("%d ends the session", status)
		}
	}
	b.do(chromedp.Navigate("about:blank")) // where nobody asks
	h.answers(http.StatusNotFound)
	h.show(b, ada)
	b.at("14:15:00")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked != 0 {
		b.t.Error("it asks though there is no session-url")
	}
}

func barDisbelieves(h *barHost, b *tab) {
	h.show(b, `<staff-bar></staff-bar>`)
	for _, hostile := range []string{
		"javascript:pwned=1", " javascript:pwned=1", "JaVaScRiPt:pwned=1", "java\nscript:pwned=1", "\x01javascript:pwned=1", "javascript&colon;pwned=1//",
		"data:text/html,<script>pwned=1</script>", "vbscript:pwned=1", "blob:null/x", "file:///etc/passwd", "//", "http://[", "about:blank",
		`"><img src=x onerror=pwned=1>`, "</staff-bar><script>pwned=1</script>", "${pwned=1}", "#", "$&$`", "\u202egnorw", "constructor", "__proto__", strings.Repeat("W", 5000),
	} {
		value[bool](b, `["user", "actor", "organization", "access", "reason", "expires", "stop", "return", "position", "lang", "session-url", "class"]
			.forEach(name => `+theBar+`.setAttribute(name, `+quoted(hostile)+`)), true`)
		b.says(".user", strings.TrimSpace(hostile))
		if got := value[int](b, theBar+`.shadowRoot.querySelectorAll("img, script, style, iframe, [style], [onerror]").length`); got != 0 {
			b.t.Errorf("%.40q became markup", hostile)
		}
		for _, link := range []string{"a.link", "dialog a"} {
			if !value[bool](b, `((a, page) => !a.hasAttribute("href") || new URL(a.href).origin == page || /^https?:$/.test(a.protocol))(`+part(link)+`, location.origin)`) {
				b.t.Errorf("%.40q: %s leads to %s", hostile, link, value[string](b, part(link)+".href"))
			}
		}
		if value[bool](b, visible("a.link")+" && "+part("a.link")+`.href == location.href`) {
			b.t.Errorf("%.40q: Stop is there and leads nowhere", hostile)
		}
		if value[bool](b, `"pwned" in self`) {
			b.t.Fatalf("%.40q: ran", hostile)
		}
		if !value[bool](b, `!document.querySelector("staff-bar") || `+part("dialog")+`.open || `+visible(".hide")) {
			b.t.Errorf("%.40q: nothing to be seen", hostile)
		}
	}
	for address, want := range map[string]string{
		"/stop?a=1&b=2": h.URL + "/stop?a=1&b=2", "stop": h.URL + "/stop", "?stop": h.URL + "/orders?stop",
		"https://id.example/stop": "https://id.example/stop", "http://id.example/stop": "http://id.example/stop", "//id.example/stop": "http://id.example/stop",
	} {
		value[bool](b, `["stop", "return"].forEach(name => `+theBar+`.setAttribute(name, `+quoted(address)+`)), true`)
		b.until(visible("a.link") + " && " + part("a.link") + ".href == " + quoted(want) + " && " + part("dialog a") + ".href == " + quoted(want))
	}
}

func barSurvives(h *barHost, b *tab) {
	h.show(b, ada+strings.ReplaceAll(ada, "Ada Lovelace", "Grace Hopper"))
	b.until(`[...document.querySelectorAll("staff-bar")].map(e => e.shadowRoot.querySelector(".user").textContent).join() == "Ada Lovelace,Grace Hopper"`)
	value[bool](b, `(() => {
		const clocks = self.clocks = new Set, start = setInterval, stop = clearInterval;
		self.setInterval = (...a) => { const id = start(...a); clocks.add(id); return id };
		self.clearInterval = id => { stop(id); clocks.delete(id) };
		const [first, second] = document.querySelectorAll("staff-bar");
		for (let i = 0; i < 100; i++) {
			second.remove();
			second.setAttribute("user", "User " + i);
			document.querySelector(i % 2 ? "main" : "body").append(second);
			first.before(second);
		}
		const made = document.createElement("staff-bar");
		for (const [name, value] of Object.entries({user: "Linus", expires: "2026-11-21T14:15:00Z", stop: "/stop"})) {
			if (name in made) throw new Error(name + " is a member: frameworks would set it");
			made.setAttribute(name, value);
		}
		made.cloneNode(true);
		first.replaceWith(made);
		return true;
	})()`)
	b.until(`[...document.querySelectorAll("staff-bar")].map(e => e.shadowRoot.querySelector(".user").textContent).join() == "User 99,Linus" && clocks.size == 2`)
	value[bool](b, `document.querySelectorAll("staff-bar")[1].removeAttribute("expires"), true`)
	b.until(`document.querySelectorAll("staff-bar")[1].shadowRoot.querySelector(".time").textContent == ""`)

	// What somebody selected stays selected while time goes by.
	value[bool](b, `getSelection().selectAllChildren(`+part(".user")+`), self.chosen = `+part(".user")+`.firstChild, true`)
	b.at("14:15:00")
	b.says(".time", "· 17:42 left")
	b.until(part(".user") + ".firstChild == chosen")

	h.show(b, strings.Repeat(`<script src="`+h.provider+`/staff-bar.js" crossorigin></script>`, 2)+ada) // loaded three times
	b.says(".user", "Ada Lovelace")
}

func barAccessible(h *barHost, b *tab) {
	for name, reach := range map[string]func(){
		"bar":          func() {},
		"soon":         func() { b.at("14:30:00") },
		"at the foot":  func() { b.press(".move") },
		"pill":         func() { b.press(".hide") },
		"end":          func() { b.at("15:00:00") },
		"own form":     func() { value[bool](b, theBar+`.append(document.createElement("button")), true`) },
		"endless name": func() { value[bool](b, theBar+`.setAttribute("user", "W".repeat(3000)), true`) },
	} {
		value[bool](b, `try { sessionStorage.clear() } catch {} true`)
		h.show(b, ada)
		reach()
		value[bool](b, axe+"; true")
		b.everyLook(func(scheme string, width int64) {
			rules := everyRule
			if scheme == dark {
				rules = ofColours
			}
			b.wantAccessible(name, scheme, width, rules)
			if high := value[float64](b, part("section")+".getBoundingClientRect().height / innerHeight"); high > 0.4 {
				b.t.Errorf("%s, %s, %d pixels: it takes %v of the window, want 0.4 at most", name, scheme, width, high)
			}
		})
	}
}
