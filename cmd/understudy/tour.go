package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/storage"
)

// runTour plays the story of the product against the demo's servers, over HTTP and
// with a cookie jar like a browser's. It prints every hop and every token, and
// returns an error at the first check that does not hold.
func runTour(ctx context.Context, w io.Writer, d *demo) error {
	sam, err := newVisitor(ctx, w, d)
	if err != nil {
		return err
	}
	for _, chapter := range []struct {
		title string
		play  func(*visitor) error
	}{
		{"Sam signs in to the example application", (*visitor).signsIn},
		{"Sam goes back to sign in as Ada, from the consent page", (*visitor).actsAsAda},
		{"What must be refused is refused", (*visitor).isRefused},
		{"Sam stops and is Sam again", (*visitor).stops},
		{"A stop at the provider reaches the application", (*visitor).isToldOfTheStop},
		{"Sam signs in as Grace, from the console", (*visitor).comesFromTheConsole},
		{"Stop, seen from the token endpoint", (*visitor).tokensDie},
		{"An application's server exchanges Sam's token for one of Ada's", (*visitor).exchanges},
		{"A helpdesk asks for a ticket, and hears of what came of it", (*visitor).beginsAtTheHelpdesk},
		{"The operator has rules, and they can be asked", (*visitor).followsRules},
		{"The record is complete and nobody changed it", (*visitor).recordHolds},
	} {
		fmt.Fprintf(w, "\n== %s\n", chapter.title)
		if err := chapter.play(sam); err != nil {
			return fmt.Errorf("tour: %s: %w", chapter.title, err)
		}
	}
	fmt.Fprintf(w, "\nThe tour is complete: %d checks held.\n", sam.checks)
	return nil
}

// visitor is a person with a browser.
type visitor struct {
	ctx    context.Context
	w      io.Writer
	d      *demo
	client *http.Client
	checks int

	at     *url.URL   // where the browser is
	page   *html.Node // what it shows
	status int

	impersonation string     // the id of the one that ran
	catch         string     // an address at which the browser does not go on
	redeemed      url.Values // the token request that redeemed the last code
}

func newVisitor(ctx context.Context, w io.Writer, d *demo) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &visitor{ctx: ctx, w: w, d: d, client: &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (v *visitor) signsIn() error {
	if err := v.open(v.d.appURL + "/login"); err != nil {
		return err
	}
	if err := v.submit("login-form", url.Values{"username": {"sam@understudy.test"}, "password": {demoPassword}}); err != nil {
		return err
	}
	if err := v.check("the consent page offers to sign in as another user", v.has("consent-form") && v.value("continue_as") != ""); err != nil {
		return err
	}
	if err := v.submit("consent-form", url.Values{"continue_as": {"me"}, "action": {"allow"}}); err != nil {
		return err
	}
	if err := v.check("the application knows Sam", v.text("app-user") == "sam@understudy.test"); err != nil {
		return err
	}
	return v.check("nobody acts as Sam: no act in the ID token", v.claims("id-token")["act"] == nil)
}

func (v *visitor) actsAsAda() error {
	if err := v.open(v.d.appURL + "/login?switch=1"); err != nil {
		return err
	}
	find := url.Values{"continue_as": {"other"}, "q": {"ada"}, "action": {"find"}}
	if err := v.submit("consent-form", find); err != nil {
		return err
	}
	if err := v.check("searching for ada finds Ada Lovelace", strings.Contains(v.whole(), "Ada Lovelace")); err != nil {
		return err
	}
	if err := v.submit("consent-form", v.wish("usr_ada", "short")); err != nil {
		return err
	}
	if err := v.check("a reason that says nothing is not taken", v.status == http.StatusBadRequest && v.has("consent-form")); err != nil {
		return err
	}
	if err := v.submit("consent-form", v.wish("usr_ada", "Cannot see invoice 4711, asked by phone")); err != nil {
		return err
	}
	if err := v.check("the application shows Ada", v.text("app-user") == "ada@globex.test"); err != nil {
		return err
	}
	if err := v.check("and the bar that says who really acts", v.has("acting-bar")); err != nil {
		return err
	}
	return v.checkActingTokens()
}

func (v *visitor) checkActingTokens() error {
	id, access, userinfo := v.claims("id-token"), v.claims("access-token"), v.claims("userinfo")
	for name, claims := range map[string]map[string]any{"ID token": id, "access token": access, "userinfo": userinfo} {
		act, _ := claims["act"].(map[string]any)
		if err := v.check(name+": sub is Ada, act.sub is Sam", claims["sub"] == "usr_ada" && act["sub"] == "usr_sam"); err != nil {
			return err
		}
	}
	v.impersonation, _ = id["sid"].(string)
	if err := v.check("the session is the impersonation's own", strings.HasPrefix(v.impersonation, "imp_")); err != nil {
		return err
	}
	if err := v.check("nothing is claimed of how Ada signed in", id["amr"] == nil && id["acr"] == "urn:understudy:acr:impersonation"); err != nil {
		return err
	}
	scope, _ := access["scope"].(string)
	if err := v.check("read only: no write scope", !strings.Contains(scope, "invoices:write") && strings.Contains(scope, "invoices:read")); err != nil {
		return err
	}
	return v.check("no refresh token was asked for in Ada's name", !strings.Contains(scope, "offline_access"))
}

func (v *visitor) isRefused() error {
	if err := v.open(v.d.appURL + "/login?switch=1"); err != nil {
		return err
	}
	for _, refused := range []struct{ what, subject string }{
		{"an administrator cannot be acted as", "usr_root"},
		{"nor can one act as oneself", "usr_sam"},
		{"nor as nobody", "usr_nobody"},
		{"nor as a second user at the same application", "usr_linus"},
	} {
		if err := v.submit("consent-form", v.wish(refused.subject, "Trying what must not work")); err != nil {
			return err
		}
		if err := v.check(refused.what, v.status >= 400 && v.status < 500 && v.has("consent-form")); err != nil {
			return err
		}
	}
	if err := v.submit("consent-form", url.Values{"action": {"deny"}}); err != nil {
		return err
	}
	return v.check("cancelling goes back to the application", v.at.Host == mustHost(v.d.appURL))
}

func (v *visitor) stops() error {
	if err := v.open(v.d.appURL + "/"); err != nil {
		return err
	}
	if err := v.check("the application still shows Ada", v.text("app-user") == "ada@globex.test"); err != nil {
		return err
	}
	if err := v.submit("stop-form", nil); err != nil {
		return err
	}
	if err := v.check("after Stop the application shows Sam", v.text("app-user") == "sam@understudy.test"); err != nil {
		return err
	}
	if err := v.check("and no bar", !v.has("acting-bar")); err != nil {
		return err
	}
	i, err := v.d.service.store.Impersonation(v.ctx, v.impersonation)
	if err != nil {
		return err
	}
	return v.check("the impersonation has ended because it was stopped", i.EndedAt.Set() && i.EndReason == storage.EndStopped)
}

// comesFromTheConsole starts at the provider: the application makes a request of its
// own, with the hint that it was given, and is answered without a further page.
func (v *visitor) comesFromTheConsole() error {
	if err := v.open(v.d.providerURL + "/admin/users/usr_grace?dialog=impersonate&client_id=" + demoClient + "&ticket=SUP-4821"); err != nil {
		return err
	}
	if err := v.check("the dialog is open, and the ticket of the link filled in", v.has("impersonate-form") && v.value("ticket_ref") == "SUP-4821"); err != nil {
		return err
	}
	ask := url.Values{"client_id": {demoClient}, "organization": {"org_globex"}, "ticket_ref": {"SUP-4821"}}
	if err := v.submit("impersonate-form", ask); err != nil {
		return err
	}
	if err := v.check("without a reason nothing starts", v.status == http.StatusBadRequest && v.has("impersonate-form")); err != nil {
		return err
	}
	ask.Set("reason", "Her invoices do not add up, asked by phone")
	if err := v.submit("impersonate-form", ask); err != nil {
		return err
	}
	if err := v.check("the application shows Grace", v.text("app-user") == "grace@globex.test"); err != nil {
		return err
	}
	act, _ := v.claims("id-token")["act"].(map[string]any)
	if err := v.check("and its ID token says that Sam acts", act["sub"] == "usr_sam"); err != nil {
		return err
	}
	id, _ := v.claims("id-token")["sid"].(string)
	i, err := v.d.service.store.Impersonation(v.ctx, id)
	if err != nil {
		return err
	}
	if err := v.check("it began in the console, with a ticket", i.Entry == "console" && i.TicketID != ""); err != nil {
		return err
	}
	if err := v.submit("stop-form", nil); err != nil {
		return err
	}
	return v.check("after Stop the application shows Sam", v.text("app-user") == "sam@understudy.test")
}

// isToldOfTheStop stops at the provider, behind the application's back.
func (v *visitor) isToldOfTheStop() error {
	if err := v.open(v.d.appURL + "/login?switch=1"); err != nil {
		return err
	}
	if err := v.submit("consent-form", v.wish("usr_ada", "Looking whether the application hears of a stop")); err != nil {
		return err
	}
	if err := v.check("the application shows Ada again", v.text("app-user") == "ada@globex.test"); err != nil {
		return err
	}
	id, _ := v.claims("id-token")["sid"].(string)
	if err := v.open(v.d.providerURL + "/impersonation/stop?id=" + url.QueryEscape(id)); err != nil {
		return err
	}
	stopped := time.Now()
	if err := v.submit("stop-form", nil); err != nil {
		return err
	}
	for delivered := false; !delivered; time.Sleep(20 * time.Millisecond) {
		notices, err := v.d.service.store.LogoutNotices(v.ctx, []string{id})
		if err != nil {
			return err
		}
		delivered = len(notices) == 1 && notices[0].Status == storage.NoticeDelivered
		if !delivered && time.Since(stopped) > toldWithin {
			return v.check("the application was sent a logout token", false)
		}
	}
	took := time.Since(stopped).Round(time.Millisecond)
	if err := v.check(fmt.Sprintf("the application was sent a logout token, %v after the stop", took), true); err != nil {
		return err
	}
	if err := v.open(v.d.appURL + "/"); err != nil {
		return err
	}
	return v.check("and its session is gone", v.status == http.StatusOK && !v.has("app-user") && !v.has("acting-bar"))
}

// toldWithin is when the tour gives up waiting. An idle machine takes a quarter of
// a second.
const toldWithin = time.Minute

// tokensDie plays the application's part too: it exchanges the code itself, and
// looks at the tokens before and after the stop page was used.
func (v *visitor) tokensDie() error {
	tokens, err := v.codeFlow("openid email", url.Values{"prompt": {"select_account"}}, v.wish("usr_linus", "Looking at what the token endpoint says"))
	if err != nil {
		return err
	}
	impersonation, _ := tokens["impersonation"].(map[string]any)
	impersonator, _ := tokens["impersonator"].(map[string]any)
	if err := v.check("the response names the actor, the reason and where to stop", impersonator["email"] == "sam@understudy.test" &&
		impersonator["reason"] != nil && impersonation["stop_uri"] != nil); err != nil {
		return err
	}
	access, _ := tokens["access_token"].(string)
	live, _, err := v.call("/oauth2/introspect", url.Values{"token": {access}})
	if err != nil {
		return err
	}
	act, _ := live["act"].(map[string]any)
	if err := v.check("introspection: active, with act", live["active"] == true && act["sub"] == "usr_sam"); err != nil {
		return err
	}
	stop, _ := impersonation["stop_uri"].(string)
	if err := v.open(stop); err != nil {
		return err
	}
	if err := v.submit("stop-form", nil); err != nil {
		return err
	}
	dead, _, err := v.call("/oauth2/introspect", url.Values{"token": {access}})
	if err != nil {
		return err
	}
	if err := v.check("after the stop: not active, and nothing else is said", len(dead) == 1 && dead["active"] == false); err != nil {
		return err
	}
	_, status, err := v.call("/oauth2/token", v.redeemed)
	if err != nil {
		return err
	}
	return v.check("a code does not work twice", status == http.StatusBadRequest)
}

// call is the application calling the provider.
func (v *visitor) call(path string, form url.Values) (map[string]any, int, error) {
	request, err := http.NewRequestWithContext(v.ctx, http.MethodPost, v.d.providerURL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(demoClient, url.QueryEscape(v.d.clientSecret))
	return v.send(request)
}

// send makes a request that no browser makes and returns the JSON of its answer.
func (v *visitor) send(request *http.Request) (map[string]any, int, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	fmt.Fprintf(v.w, "   %-4s %d  %s\n", request.Method, response.StatusCode, request.URL)
	var body map[string]any
	return body, response.StatusCode, json.NewDecoder(response.Body).Decode(&body)
}

func (v *visitor) recordHolds() error {
	if _, err := v.d.service.auditor.Checkpoint(v.ctx); err != nil {
		return err
	}
	events, err := v.d.service.store.Events(v.ctx, storage.EventFilter{ImpersonationID: v.impersonation})
	if err != nil {
		return err
	}
	var story []string
	for _, e := range events {
		story = append(story, string(e.Type))
		fmt.Fprintf(v.w, "   event %d  %s  %s as %s\n", *e.Position, e.Type, e.ActorID, e.SubjectID)
	}
	want := "impersonation.started session.created token.issued impersonation.stopped"
	if err := v.check("start, tokens and stop are on the record", strings.Join(story, " ") == want); err != nil {
		return err
	}
	denied, err := v.d.service.store.Events(v.ctx, storage.EventFilter{Types: []storage.EventType{storage.EventImpersonationDenied}})
	if err != nil {
		return err
	}
	if err := v.check("and what was refused", len(denied) == 10); err != nil {
		return err
	}
	verified, err := v.d.service.store.VerifyEvents(v.ctx, nil)
	if err != nil {
		return err
	}
	return v.check(fmt.Sprintf("all %d events are in the tree, unchanged", verified.Size), verified.OK())
}

// wish is the consent form filled in.
func (v *visitor) wish(subject, reason string) url.Values {
	return url.Values{
		"continue_as": {"other"}, "subject": {subject}, "reason": {reason}, "ticket_ref": {"SUP-4821"},
		"access": {"read_only"}, "duration": {"30"}, "action": {"allow"},
	}
}

// check prints whether something holds, and fails the tour when it does not.
func (v *visitor) check(what string, holds bool) error {
	if !holds {
		fmt.Fprintf(v.w, "   FAILED  %s (at %s, status %d)\n", what, secretInAddress.ReplaceAllString(v.at.String(), "$1…"), v.status)
		if os.Getenv("UNDERSTUDY_TOUR_DEBUG") != "" {
			fmt.Fprintln(v.w, v.whole())
		}
		return errors.New(what)
	}
	v.checks++
	fmt.Fprintf(v.w, "   ok      %s\n", what)
	return nil
}

// open goes to an address and follows redirects, as a browser does.
func (v *visitor) open(address string) error {
	request, err := http.NewRequestWithContext(v.ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return v.follow(request)
}

// submit posts a form of the page with its hidden fields and the given ones.
func (v *visitor) submit(id string, fields url.Values) error {
	form := v.element(id)
	if form == nil {
		return fmt.Errorf("%s (status %d) has no form %q", v.at, v.status, id)
	}
	values := url.Values{}
	walk(form, func(n *html.Node) {
		if n.Data == "input" && attr(n, "type") == "hidden" {
			values.Set(attr(n, "name"), attr(n, "value"))
		}
	})
	for name, value := range fields {
		values[name] = value
	}
	action, err := v.at.Parse(attr(form, "action"))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(v.ctx, http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", v.at.Scheme+"://"+v.at.Host)
	return v.follow(request)
}

var secretInAddress = regexp.MustCompile(`((?:code|state|nonce|code_challenge|id_token_hint|interaction)=)[^&]{9,}`)

func (v *visitor) follow(request *http.Request) error {
	for range 20 {
		response, err := v.client.Do(request)
		if err != nil {
			return err
		}
		fmt.Fprintf(v.w, "   %-4s %d  %s\n", request.Method, response.StatusCode, secretInAddress.ReplaceAllString(request.URL.String(), "$1…"))
		v.at, v.status = request.URL, response.StatusCode
		if next := response.Header.Get("Location"); next != "" {
			_ = response.Body.Close() // its body is not needed
			to, err := v.at.Parse(next)
			if err != nil {
				return err
			}
			if v.catch != "" && strings.HasPrefix(to.String(), v.catch) {
				v.at, v.page = to, nil
				return nil
			}
			if request, err = http.NewRequestWithContext(v.ctx, http.MethodGet, to.String(), nil); err != nil {
				return err
			}
			continue
		}
		v.page, err = html.Parse(response.Body)
		return errors.Join(err, response.Body.Close())
	}
	return errors.New("too many redirects")
}

func walk(n *html.Node, visit func(*html.Node)) {
	if n == nil {
		return
	}
	if n.Type == html.ElementNode {
		visit(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (v *visitor) element(id string) (found *html.Node) {
	walk(v.page, func(n *html.Node) {
		if found == nil && attr(n, "id") == id {
			found = n
		}
	})
	return found
}

func (v *visitor) has(id string) bool { return v.element(id) != nil }

// value returns the value of the first input of a name.
func (v *visitor) value(name string) (value string) {
	walk(v.page, func(n *html.Node) {
		if value == "" && attr(n, "name") == name {
			value = attr(n, "value")
		}
	})
	return value
}

func (v *visitor) text(id string) string { return strings.TrimSpace(textOf(v.element(id))) }

func (v *visitor) whole() string { return textOf(v.page) }

func textOf(n *html.Node) string {
	if n == nil {
		return ""
	}
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(textOf(c))
	}
	return b.String()
}

// claims prints and returns the JSON that the page shows under an id.
func (v *visitor) claims(id string) map[string]any { return v.decoded(id, v.text(id)) }

// decoded prints and returns the claims of a token, or JSON as it is.
func (v *visitor) decoded(id, text string) map[string]any {
	var claims map[string]any
	if json.Unmarshal([]byte(text), &claims) != nil {
		if _, payload, ok := strings.Cut(text, "."); ok {
			decoded, _ := base64.RawURLEncoding.DecodeString(strings.Split(payload, ".")[0])
			_ = json.Unmarshal(decoded, &claims)
		}
	}
	b, err := json.MarshalIndent(claims, "      ", "  ")
	if err == nil {
		fmt.Fprintf(v.w, "   %s:\n      %s\n", id, b)
	}
	return claims
}

func mustHost(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
