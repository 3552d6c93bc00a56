package handlers_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

const initiate = "https://app.example/initiate?from=console"

// started is a client that staff get into through its initiate_login_uri.
func started(c *storage.Client) { c.InitiateLoginURI, c.ImpersonationRefresh = initiate, true }

// byCallback is a client that gets its answers unasked.
func byCallback(c *storage.Client) { c.Delivery, c.RequirePKCE = provider.DeliveryCallback, false }

// askForm is the console's dialog, filled in.
func askForm(client string, pairs ...string) url.Values {
	form := url.Values{"client_id": {client}, "reason": {"Cannot see invoice 4711"}, "access": {"read_only"}, "duration": {"30"}}
	having(pairs...)(form)
	return form
}

func askAs(b *idptest.Browser, subject string, form url.Values) *idptest.Response {
	return b.Post("/admin/users/"+subject+"/impersonate", form)
}

// staffed is a browser of somebody new in support whose console is open.
func staffed(t testing.TB, idp *idptest.IDP, role string) (b *idptest.Browser, name string) {
	t.Helper()
	name = unique("staff")
	enroll(t, idp, name, role)
	return inConsole(t, idp, name), name
}

// inConsole is a browser in which somebody has opened the console, if they may.
func inConsole(t testing.TB, idp *idptest.IDP, name string) *idptest.Browser {
	t.Helper()
	b := person(t, idp, name)
	b.Get("/admin")
	return b
}

// handle asks in the console to sign in as somebody and returns the name that the
// application is sent.
func handle(t testing.TB, b *idptest.Browser, subject, client string) string {
	t.Helper()
	w := askAs(b, subject, askForm(client))
	to := w.Location()
	hint := to.Query().Get("login_hint")
	if w.Status != http.StatusSeeOther || hint == "" || to.Query().Get("iss") != idptest.Issuer {
		t.Fatalf("no start at the application: %d %s %.600s", w.Status, to, w.Body)
	}
	return hint
}

// becomes exchanges the code of an answer, and returns whose token that is and who acts.
func becomes(t testing.TB, idp *idptest.IDP, client string, w *idptest.Response) (sub, actor string) {
	t.Helper()
	_, said := answered(w)
	got := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(said.Get("code"), nil))
	if got.Status != http.StatusOK {
		t.Fatalf("token: %d %s; the answer was %d %s %.500s", got.Status, got.Body, w.Status, w.Location(), w.Body)
	}
	claims := idptest.Claims(t, got.JSON(t)["id_token"])
	act, _ := claims["act"].(map[string]any)
	actor, _ = act["sub"].(string)
	return claims["sub"].(string), actor
}

func TestDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "billing", started)
		addClient(t, idp, "wiki", started)
		for name, test := range map[string]func(*testing.T, *idptest.IDP){
			"with the hint": testHint, "T16 without the hint": testLostHint, "T01 T12 T13 A22 callback": testCallback,
			"link": testLink, "A21 T14 stolen": testStolen, "A03 A07 A14 A15 T08 T09 changed meanwhile": testChangedMeanwhile, "A06 A20 E07 T28 the dialog": testDialog,
		} {
			t.Run(name, func(t *testing.T) { test(t, idp) })
		}
	})
}

// The application passes the hint on: no further page, and its own state.
func testHint(t *testing.T, idp *idptest.IDP) {
	b, name := staffed(t, idp, "support")
	w := askAs(b, "usr_ada", askForm("billing", "target_link_uri", "https://app.example/invoices/4711"))
	to := w.Location()
	if !strings.HasPrefix(to.String(), "https://app.example/initiate?") || to.Query().Get("from") != "console" ||
		to.Query().Get("iss") != idptest.Issuer || to.Query().Get("target_link_uri") != "https://app.example/invoices/4711" {
		t.Fatalf("start at %s", to)
	}
	hint := to.Query().Get("login_hint")
	answer := b.Get(asking("client_id", "billing", "login_hint", hint))
	if _, said := answered(answer); said.Get("state") != "a state" {
		t.Errorf("answer %v", said)
	}
	if sub, actor := becomes(t, idp, "billing", answer); sub != "usr_ada" || actor != "usr_"+name {
		t.Errorf("A08: signed in as %s by %s", sub, actor)
	}
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + name, Running: true}, time.Now())
	check(t, err)
	if len(running) != 1 || running[0].Entry != "console" || running[0].TicketID != hint || running[0].Reason != "Cannot see invoice 4711" {
		t.Fatalf("got %+v", running)
	}
	var kinds []string
	for _, e := range events(t, idp, func(e storage.Event) bool { return e.ActorID == "usr_"+name && e.SubjectID == "usr_ada" }) {
		kinds = append(kinds, string(e.Type))
	}
	if got := strings.Join(kinds, " "); got != "impersonation.requested impersonation.started session.created token.issued" {
		t.Errorf("G01: on the record: %s", got)
	}
	w = b.Get(asking("client_id", "billing", "login_hint", hint))
	wantStatus(t, "A21 used again", w, http.StatusForbidden)
	if w.Location().Query().Has("code") || !strings.Contains(w.Body, "dialog=impersonate") {
		t.Errorf("A21 used again: %s", w.Body)
	}
	other := handle(t, b, "usr_linus", "wiki") // the same person, the other application, at the same time
	if sub, _ := becomes(t, idp, "wiki", b.Get(asking("client_id", "wiki", "login_hint", other))); sub != "usr_linus" {
		t.Errorf("two at once: %s", sub)
	}
	for what, pairs := range map[string][]string{"prompt=none": {"prompt", "none"}, "max_age": {"max_age", "3000"}, "acr_values": {"acr_values", "phr"}} {
		b, _ := staffed(t, idp, "support")
		_, said := answered(b.Get(asking(append(pairs, "client_id", "billing", "login_hint", handle(t, b, "usr_ada", "billing"))...)))
		if said.Has("code") || said.Get("error") == "" {
			t.Errorf("A10 A18 %s: %v", what, said)
		}
	}
	b, _ = staffed(t, idp, "support")
	hint = handle(t, b, "usr_ada", "billing")
	answers := parallel(20, func(int) *idptest.Response {
		return (&idptest.Browser{IDP: idp, Cookies: maps.Clone(b.Cookies)}).Get(asking("client_id", "billing", "login_hint", hint))
	})
	if answers["303 "] != 1 || len(answers) > 4 {
		t.Errorf("twenty at once: %v", answers)
	}
}

// The application loses the hint: the person is asked, and nothing is answered silently.
func testLostHint(t *testing.T, idp *idptest.IDP) {
	withdrawn := func(t *testing.T, hint string) {
		t.Helper()
		events, err := idp.Store.SearchEvents(t.Context(), storage.EventSearch{Type: storage.EventImpersonationRevoked})
		check(t, err)
		events = slices.DeleteFunc(events, func(e storage.Event) bool { return e.Data["ticket"] != hint })
		if len(events) != 1 || events[0].ActorID != events[0].Data["for"] || events[0].SubjectID != "usr_ada" || events[0].RequestID == "" {
			t.Errorf("on the record: %+v", events)
		}
	}
	waiting := func(t *testing.T, pairs ...string) (b *idptest.Browser, at, hint string) {
		b, _ = staffed(t, idp, "support")
		hint = handle(t, b, "usr_ada", "billing")
		at, w := b.Follow(asking(append(pairs, "client_id", "billing")...))
		if w.Element("waiting-form") == nil {
			t.Fatalf("no question: %d at %s: %s", w.Status, at, w.Body)
		}
		for _, said := range []string{"Ada", "ada@example.test", "Cannot see invoice 4711"} {
			if !strings.Contains(strings.ToLower(w.Body), strings.ToLower(said)) {
				t.Errorf("A20: does not say %s", said)
			}
		}
		return b, at, hint
	}
	b, at, hint := waiting(t)
	if sub, actor := becomes(t, idp, "billing", b.Post(at, url.Values{"choice": {hint}})); sub != "usr_ada" || actor == "" {
		t.Errorf("as ada: %s by %s", sub, actor)
	}
	b, at, hint = waiting(t, "login_hint", "somebody@example.test")
	if sub, actor := becomes(t, idp, "billing", b.Post(at, url.Values{"choice": {"me"}})); !strings.HasPrefix(sub, "usr_staff") || actor != "" {
		t.Errorf("as me: %s by %s", sub, actor)
	}
	withdrawn(t, hint)
	wantStatus(t, "what was not wanted", b.Get(asking("client_id", "billing", "login_hint", hint)), http.StatusForbidden)
	if _, w := b.Follow(asking("client_id", "billing")); w.Element("waiting-form") != nil {
		t.Error("asks again after the answer")
	}
	b, at, hint = waiting(t)
	_, said := answered(b.Post(at, url.Values{"choice": {"deny"}}))
	if said.Get("error") != "access_denied" {
		t.Errorf("cancelled: %v", said)
	}
	withdrawn(t, hint)
	wantStatus(t, "what was cancelled", b.Get(asking("client_id", "billing", "login_hint", hint)), http.StatusForbidden)

	// Two tabs for two applications, their hints lost: each asks about its own.
	b, _ = staffed(t, idp, "support")
	first, second := handle(t, b, "usr_ada", "billing"), handle(t, b, "usr_linus", "wiki")
	atBilling, w := b.Follow(asking("client_id", "billing"))
	if strings.Contains(w.Body, second) || !strings.Contains(w.Body, first) {
		t.Errorf("the page of billing: %s", w.Body)
	}
	wantStatus(t, "the other's ticket", b.Post(atBilling, url.Values{"choice": {second}}), http.StatusForbidden)
	// It ran out while the page was open: no answer as anybody.
	b, at, hint = waiting(t)
	expire(t, idp, hint)
	w = b.Post(at, url.Values{"choice": {hint}})
	if wantStatus(t, "too late", w, http.StatusForbidden); w.Location().Query().Has("code") {
		t.Error("answered as somebody else")
	}
	// A silent renewal meanwhile is the person's own.
	b, _, _ = waiting(t)
	if _, said := answered(b.Get(asking("client_id", "billing", "prompt", "none"))); said.Has("code") {
		if sub, actor := becomes(t, idp, "billing", b.Get(asking("client_id", "billing", "prompt", "none"))); actor != "" || sub == "usr_ada" {
			t.Errorf("A18 silently: %s by %s", sub, actor)
		}
	}
}

// expire makes a ticket one whose time is up.
func expire(t testing.TB, idp *idptest.IDP, id string) {
	t.Helper()
	db := database(t, idp)
	exec(t, db, `UPDATE tickets SET expires_at = created_at + 1 WHERE id = '`+id+`'`)
}

// The answer that nobody asked for: registered address only, its own state, each mode.
func testCallback(t *testing.T, idp *idptest.IDP) {
	addClient(t, idp, "crm", func(c *storage.Client) {
		byCallback(c)
		c.ResponseTypes = storage.List{"code", "code id_token"}
		c.RedirectURIs = storage.List{idptest.Callback, "https://app.example/other"}
	})
	for mode, kind := range map[string]string{"query": "code", "fragment": "code id_token", "form_post": "code"} {
		b, _ := staffed(t, idp, "support")
		state := "state of " + mode
		w := askAs(b, "usr_ada", askForm("crm", "redirect_uri", idptest.Callback, "response_mode", mode, "response_type", kind, "state", state))
		to, said := answered(w)
		if to != idptest.Callback || said.Get("state") != state || said.Get("iss") != idptest.Issuer {
			t.Fatalf("%s: to %s: %v: %d %s", mode, to, said, w.Status, w.Body)
		}
		got := idp.Call("/oauth2/token", "crm", idptest.Secret, url.Values{
			"grant_type": {"authorization_code"}, "code": {said.Get("code")}, "redirect_uri": {idptest.Callback},
		})
		if sub := idptest.Claims(t, got.JSON(t)["id_token"])["sub"]; sub != "usr_ada" {
			t.Errorf("%s: as %v", mode, sub)
		}
		if kind == "code id_token" && idptest.Claims(t, said.Get("id_token"))["act"] == nil {
			t.Errorf("A08 %s: no act", mode)
		}
	}
	b, _ := staffed(t, idp, "support")
	for what, pairs := range map[string][]string{
		"no address of several": {}, "T12 not registered": {"redirect_uri", "https://evil.example/"}, "T12 nearly": {"redirect_uri", idptest.Callback + "/"},
		"A22 state too long": {"redirect_uri", idptest.Callback, "state", strings.Repeat("x", 1025)}, "state with a line": {"redirect_uri", idptest.Callback, "state", "a\nb"},
		"type not registered": {"redirect_uri", idptest.Callback, "response_type", "id_token"}, "query for an ID token": {"redirect_uri", idptest.Callback, "response_type", "code id_token", "response_mode", "query"},
		"no such mode": {"redirect_uri", idptest.Callback, "response_mode", "web_message"},
	} {
		w := askAs(b, "usr_ada", askForm("crm", pairs...))
		if to, _ := answered(w); w.Status != http.StatusBadRequest || to != "" {
			t.Errorf("%s: %d to %s", what, w.Status, to)
		}
	}
	for what, change := range map[string]func(*storage.Client){
		"A22 public": func(c *storage.Client) {
			byCallback(c)
			c.TokenEndpointAuthMethod, c.SecretHash, c.Type = "none", nil, "spa"
		},
		"PKCE":       func(c *storage.Client) { byCallback(c); c.RequirePKCE = true },
		"no address": func(c *storage.Client) { c.InitiateLoginURI, c.ClientURI = "", "" },
		"no opt-in":  func(c *storage.Client) { c.AllowImpersonation = false },
		"not a member": func(c *storage.Client) {
			started(c)
			c.Organizations = storage.List{"org_initech"}
		},
	} {
		id := unique("client")
		addClient(t, idp, id, change)
		w := b.Get("/admin/users/usr_ada/impersonate")
		if strings.Contains(w.Body, `<option value="`+id+`"`) || !strings.Contains(w.Body, "<dt>"+id+"</dt>") {
			t.Errorf("%s: is offered, or not explained", what)
		}
		if w := askAs(b, "usr_ada", askForm(id)); w.Status == http.StatusSeeOther && w.Location().Host != "" {
			t.Errorf("%s: sent to %s", what, w.Location())
		}
	}
	// Nothing goes to a redirect URI that was not asked for where the client did not choose that.
	w := askAs(b, "usr_ada", askForm("billing", "redirect_uri", idptest.Callback, "state", "mine", "response_type", "code"))
	if to, _ := answered(w); strings.HasPrefix(to, idptest.Callback) {
		t.Errorf("T01: answered unasked at %s", to)
	}
}

var oneTimeLink = regexp.MustCompile(`value="` + regexp.QuoteMeta(idptest.Issuer) + `(/impersonate/utl_[^"]+)"`)

func linkOf(t testing.TB, b *idptest.Browser, subject, client string) string {
	t.Helper()
	w := askAs(b, subject, askForm(client, "delivery", "link"))
	m := oneTimeLink.FindStringSubmatch(w.Body)
	if w.Status != http.StatusOK || m == nil {
		t.Fatalf("no link: %d %.800s", w.Status, w.Body)
	}
	return m[1]
}

// A link for another browser, in which the same person signs in.
func testLink(t *testing.T, idp *idptest.IDP) {
	b, name := staffed(t, idp, "support")
	link := linkOf(t, b, "usr_ada", "billing")
	other := idp.Browser(t)
	wantStatus(t, "nobody signed in", other.Get(link), http.StatusSeeOther)
	w := other.Post("/login?again=1", url.Values{"username": {name + "@example.test"}, "password": {idptest.Password}})
	if w.Location().String() != link {
		t.Fatalf("after the sign-in: %s", w.Location())
	}
	for range 2 { // A20: looking at it changes nothing
		w = other.Get(link)
		if w.Element("link-form") == nil || !strings.Contains(w.Body, "Cannot see invoice 4711") {
			t.Fatalf("no page: %d %s", w.Status, w.Body)
		}
	}
	w = other.Post(link, url.Values{})
	if !strings.HasPrefix(w.Location().String(), "https://app.example/initiate?") {
		t.Fatalf("delivered to %d %s", w.Status, w.Location())
	}
	hint := w.Location().Query().Get("login_hint")
	if sub, actor := becomes(t, idp, "billing", other.Get(asking("client_id", "billing", "login_hint", hint))); sub != "usr_ada" || actor != "usr_"+name {
		t.Errorf("as %s by %s", sub, actor)
	}
	wantStatus(t, "the link again", other.Get(link), http.StatusNotFound)
	wantStatus(t, "the form again", other.Post(link, nil), http.StatusNotFound)
	wantStatus(t, "no link", other.Get("/impersonate/utl_nothing"), http.StatusNotFound)
	wantStatus(t, "A24 a handle as a link", other.Get("/impersonate/"+hint), http.StatusNotFound)

	// An old sign-in in the other browser confirms first (A19).
	link = linkOf(t, b, "usr_ada", "wiki")
	old := personSince(t, idp, name, time.Now().Add(-time.Hour))
	wantStatus(t, "A19 without the password", old.Post(link, nil), http.StatusUnauthorized)
	wantStatus(t, "A19 with a wrong one", old.Post(link, url.Values{"password": {"wrong"}}), http.StatusUnauthorized)
	before := old.Cookies["__Host-understudy"]
	wantStatus(t, "A19 with the password", old.Post(link, url.Values{"password": {idptest.Password}}), http.StatusSeeOther)
	if old.Cookies["__Host-understudy"] == before {
		t.Error("D01 T26: the session kept its id")
	}
}

// What somebody got hold of opens nothing, and that it was tried is on the record.
func testStolen(t *testing.T, idp *idptest.IDP) {
	tried := func(t *testing.T, by string) int {
		return len(events(t, idp, func(e storage.Event) bool {
			return e.Type == storage.EventImpersonationDenied && e.ActorID == by && e.Data["denial"] == "ticket_foreign"
		}))
	}
	for what, thief := range map[string]func(t *testing.T, victim string) (b *idptest.Browser, name string){
		"another of support": func(t *testing.T, _ string) (*idptest.Browser, string) { return staffed(t, idp, "support") },
		"a user": func(t *testing.T, _ string) (*idptest.Browser, string) {
			name := unique("user")
			enroll(t, idp, name, "")
			return person(t, idp, name), name
		},
		"the same person elsewhere": func(t *testing.T, victim string) (*idptest.Browser, string) { return person(t, idp, victim), victim },
	} {
		b, victim := staffed(t, idp, "support")
		hint := handle(t, b, "usr_ada", "billing")
		m, name := thief(t, victim)
		w := m.Get(asking("client_id", "billing", "login_hint", hint))
		if wantStatus(t, what, w, http.StatusForbidden); w.Location().Query().Has("code") {
			t.Errorf("%s: got a code", what)
		}
		if n := tried(t, "usr_"+name); n != 1 {
			t.Errorf("%s: %d times on the record", what, n)
		}
		if w := b.Get(asking("client_id", "billing", "login_hint", hint)); w.Location().Query().Has("code") {
			t.Errorf("%s: the ticket still works", what)
		}
	}
	b, _ := staffed(t, idp, "support")
	link := linkOf(t, b, "usr_ada", "billing")
	m, name := staffed(t, idp, "admin")
	for range 2 { // A20 E01: browsers prefetch, and look at what their people never see
		wantStatus(t, "a link of somebody else", m.Get(link), http.StatusForbidden)
		wantStatus(t, "a link of somebody else", m.Do(request(http.MethodHead, link, "", "")), http.StatusForbidden)
	}
	if n := tried(t, "usr_"+name); n != 4 {
		t.Errorf("a link of somebody else, looked at: %d times on the record", n)
	}
	if b.Get(link).Element("link-form") == nil {
		t.Error("A20: their own link is gone because somebody else looked at it")
	}
	wantStatus(t, "the button of somebody else", m.Post(link, nil), http.StatusForbidden)
	if n := tried(t, "usr_"+name); n != 5 {
		t.Errorf("the button of somebody else: %d times on the record", n)
	}
	wantStatus(t, "their own link, stolen meanwhile", b.Post(link, nil), http.StatusNotFound)
	hint := handle(t, b, "usr_ada", "billing")
	wantStatus(t, "at another client", b.Get(asking("client_id", "wiki", "login_hint", hint)), http.StatusForbidden)
	stranger := idp.Browser(t)
	if at, w := stranger.Follow(asking("client_id", "billing", "login_hint", handle(t, b, "usr_ada", "billing"))); strings.Contains(w.Body, "tkt_") || !strings.HasPrefix(at, "/login") {
		t.Errorf("nobody signed in: %s %s", at, w.Body)
	}
	if m := regexp.MustCompile(`utl_[A-Za-z0-9_-]+`).FindString(strings.Join(query(t, database(t, idp), `SELECT COALESCE(data, '') || private FROM events`), " ")); m != "" {
		t.Errorf("B14 G04: %s is on the record", m)
	}
}

// Whatever is forbidden between asking and redeeming is refused, and nothing is sent.
func testChangedMeanwhile(t *testing.T, idp *idptest.IDP) {
	dir := provider.NewDirectory(idp.Store)
	for what, change := range map[string]func(ctx context.Context, actor, subject, client string) error{
		"A14 T08 actor disabled": func(ctx context.Context, actor, _, _ string) error {
			return dir.Disable(ctx, actor, storage.Cause{}, time.Now())
		},
		"A14 permission lost": func(ctx context.Context, actor, _, _ string) error {
			return dir.RevokeRole(ctx, actor, "support", "", storage.Cause{}, time.Now())
		},
		"A15 T09 subject disabled": func(ctx context.Context, _, subject, _ string) error {
			return dir.Disable(ctx, subject, storage.Cause{}, time.Now())
		},
		"A03 subject promoted": func(ctx context.Context, _, subject, _ string) error {
			return dir.GrantRole(ctx, subject, "auditor", "", storage.Cause{}, time.Now())
		},
		"A04 subject protected": func(ctx context.Context, _, subject, _ string) error {
			return dir.SetNeverImpersonate(ctx, subject, true, storage.Cause{}, time.Now())
		},
		"support access denied": func(ctx context.Context, _, subject, _ string) error {
			return idp.Store.Write(ctx, func(tx *storage.Tx) error {
				return tx.PutSupportAccess(ctx, &storage.SupportAccess{UserID: subject, Mode: storage.SupportDenied, UpdatedAt: 1})
			})
		},
		"A07 client opts out": func(ctx context.Context, _, _, client string) error {
			c, err := idp.Store.Queries.Client(ctx, client)
			if err != nil {
				return err
			}
			c.AllowImpersonation = false
			return idp.Store.Write(ctx, func(tx *storage.Tx) error { return tx.UpdateClient(ctx, c, storage.Cause{}, time.Now()) })
		},
		"switched off": func(ctx context.Context, _, _, _ string) error {
			return idp.Store.Write(ctx, func(tx *storage.Tx) error {
				return tx.EnableImpersonation(ctx, false, storage.Cause{}, time.Now())
			})
		},
	} {
		b, name := staffed(t, idp, "support")
		subject, client := enroll(t, idp, unique("subject"), ""), unique("client")
		addClient(t, idp, client, started)
		hint := handle(t, b, subject, client)
		check(t, change(t.Context(), "usr_"+name, subject, client))
		_, w := b.Follow(asking("client_id", client, "login_hint", hint))
		_, said := answered(w)
		if said.Has("code") {
			t.Errorf("%s: got a code", what)
		}
		if n := len(events(t, idp, func(e storage.Event) bool {
			return e.Type == storage.EventImpersonationStarted && e.ActorID == "usr_"+name
		})); n != 0 {
			t.Errorf("%s: it started", what)
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.EnableImpersonation(ctx, true, storage.Cause{}, time.Now())
		})
	}
}

// A deep link fills in and marks, and never sends; the form says what is wrong and
// loses nothing.
func testDialog(t *testing.T, idp *idptest.IDP) {
	b, name := staffed(t, idp, "support")
	before := len(rows(t, idp, database(t, idp))["tickets"])
	w := b.Get("/admin/users/usr_ada?dialog=impersonate&" + url.Values{
		"client_id": {"billing"}, "ticket": {`SUP-1"><script>`}, "reason_code": {"invoice"}, "reason": {"Typed by a link, not by me"},
		"access": {"full"}, "delivery": {"link"}, "password": {"x"}, "target_link_uri": {"https://evil.example/"},
	}.Encode())
	for _, said := range []string{"Suggested by the link", "invoice", "SUP-1&#34;&gt;&lt;script&gt;", `<option value="billing" selected>`} {
		if !strings.Contains(w.Body, said) {
			t.Errorf("E07: does not say %s", said)
		}
	}
	for _, not := range []string{"Typed by a link", "evil.example", "<script>", `value="full" checked`} {
		if strings.Contains(w.Body, not) {
			t.Errorf("E07: says %s", not)
		}
	}
	wantStatus(t, "A20 HEAD", b.Do(request(http.MethodHead, "/admin/users/usr_ada/impersonate", "", "")), http.StatusOK)
	if after := len(rows(t, idp, database(t, idp))["tickets"]); after != before {
		t.Errorf("A20: looking made %d tickets", after-before)
	}
	for what, c := range map[string]struct {
		pairs  []string
		status int
	}{
		"A06 no reason":            {[]string{"reason", ""}, http.StatusBadRequest},
		"A06 only spaces":          {[]string{"reason", " \u200b\u200b  \u00a0        "}, http.StatusBadRequest},
		"A06 short":                {[]string{"reason", "short"}, http.StatusBadRequest},
		"A06 long":                 {[]string{"reason", strings.Repeat("x", 501)}, http.StatusBadRequest},
		"A06 control characters":   {[]string{"reason", "a reason\x00 with NUL"}, http.StatusBadRequest},
		"A06 1 MB":                 {[]string{"reason", strings.Repeat("x", 1<<20)}, http.StatusRequestEntityTooLarge},
		"A12 too long":             {[]string{"duration", "61"}, http.StatusBadRequest},
		"no number":                {[]string{"duration", "soon"}, http.StatusBadRequest},
		"no such access":           {[]string{"access", "root"}, http.StatusBadRequest},
		"no such client":           {[]string{"client_id", "nothing"}, http.StatusBadRequest},
		"A07 not opted in":         {[]string{"client_id", "public"}, http.StatusForbidden},
		"no such organization":     {[]string{"organization", "org_initech"}, http.StatusForbidden},
		"T12 target somewhere":     {[]string{"target_link_uri", "https://evil.example/x"}, http.StatusBadRequest},
		"T12 target nearly":        {[]string{"target_link_uri", "https://app.example@evil.example/"}, http.StatusBadRequest},
		"T12 target of a script":   {[]string{"target_link_uri", "javascript:alert(1)"}, http.StatusBadRequest},
		"T12 target, other scheme": {[]string{"target_link_uri", "http://app.example/"}, http.StatusBadRequest},
	} {
		w := askAs(b, "usr_ada", askForm("billing", append([]string{"ticket_ref", "SUP-77"}, c.pairs...)...))
		wantStatus(t, what, w, c.status)
		if c.status != http.StatusRequestEntityTooLarge && !strings.Contains(what, "control") && !strings.Contains(w.Body, "SUP-77") {
			t.Errorf("%s: what was typed is lost", what)
		}
	}
	for what, subject := range map[string]string{"A04 oneself": "usr_" + name, "A02 an administrator": "usr_root"} {
		wantStatus(t, what, askAs(b, subject, askForm("billing")), http.StatusForbidden)
	}
	wantStatus(t, "nobody", askAs(b, "usr_nobody", askForm("billing")), http.StatusNotFound)
	w = b.Do(crossSite("/admin/users/usr_ada/impersonate", askForm("billing"), "Sec-Fetch-Site", "cross-site"))
	wantStatus(t, "E01 T02 from another site", w, http.StatusForbidden)
}

// A01, T23: whoever may not start learns nothing of whom there is, and it is on the
// record.
func TestAskWithoutPermission(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	for _, name := range []string{"olga", "ada"} {
		b := person(t, idp, name)
		b.Get("/admin/users/usr_linus/impersonate")
		there, not := askAs(b, "usr_linus", askForm("app")), askAs(b, "usr_nobody", askForm("app"))
		if there.Status != http.StatusForbidden || not.Status != there.Status || anonymous(there.Body) != anonymous(not.Body) {
			t.Errorf("A01 %s: %d and %d differ", name, there.Status, not.Status)
		}
		found := events(t, idp, func(e storage.Event) bool {
			return e.Type == storage.EventImpersonationDenied && e.ActorID == "usr_"+name && e.Data["denial"] == "permission"
		})
		if len(found) != 2 || found[0].SubjectID != "usr_linus" || found[1].SubjectID != "" {
			t.Errorf("A01 %s: on the record: %+v", name, found)
		}
	}
}

// A19: a sign-in that is older than five minutes shows the password in the dialog, and
// nothing that was typed is lost.
func TestDialogStepUp(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	addClient(t, idp, "billing", started)
	b := personSince(t, idp, "sam", time.Now().Add(-10*time.Minute))
	w := b.Get("/admin/users/usr_ada/impersonate")
	if w.Element("password") == nil {
		t.Fatalf("no password is asked for: %d %s", w.Status, w.Body)
	}
	for _, password := range []string{"", "wrong"} {
		w = askAs(b, "usr_ada", askForm("billing", "password", password))
		if wantStatus(t, "A19", w, http.StatusUnauthorized); !strings.Contains(w.Body, "Cannot see invoice 4711") || w.Element("password") == nil {
			t.Errorf("A19: %s", w.Body)
		}
	}
	w = askAs(b, "usr_ada", askForm("billing", "password", idptest.Password))
	hint := w.Location().Query().Get("login_hint")
	if sub, _ := becomes(t, idp, "billing", b.Get(asking("client_id", "billing", "login_hint", hint))); sub != "usr_ada" {
		t.Errorf("as %s", sub)
	}
}

// A12, A21: a ticket waits for two minutes.
func TestTicketExpires(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "billing", started)
		b := inConsole(t, idp, "sam")
		late, link := handle(t, b, "usr_ada", "billing"), linkOf(t, b, "usr_ada", "billing")
		time.Sleep(119 * time.Second)
		wantStatus(t, "in time", b.Get(link), http.StatusOK)
		time.Sleep(time.Second)
		wantStatus(t, "A21 link", b.Get(link), http.StatusNotFound)
		wantStatus(t, "A21 handle", b.Get(asking("client_id", "billing", "login_hint", late)), http.StatusForbidden)
		if _, w := b.Follow(asking("client_id", "billing", "prompt", "select_account")); w.Element("waiting-form") != nil {
			t.Error("asks about a ticket that ran out")
		}
	})
}

// D03, D05, D06, E03: the console's own cookie, and when it closes.
func TestConsoleSession(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		const page = "/admin/users/usr_ada/impersonate"
		b := person(t, idp, "sam")
		w := b.Get(page)
		cookie := w.Header.Get("Set-Cookie")
		for _, want := range []string{"__Host-understudy_console=", "SameSite=Strict", "HttpOnly", "Secure", "Path=/"} {
			if !strings.Contains(cookie, want) {
				t.Errorf("D03: no %s in %s", want, cookie)
			}
		}
		if got := w.Header.Get("Cross-Origin-Opener-Policy"); got != "same-origin" {
			t.Errorf("E03: COOP %q", got)
		}
		for range 10 {
			time.Sleep(14 * time.Minute)
			wantStatus(t, "D05 in use", b.Get(page), http.StatusOK)
		}
		time.Sleep(16 * time.Minute)
		wantStatus(t, "D05 idle", b.Get(page), http.StatusSeeOther)
		w = b.Post("/login?again=1", url.Values{"password": {idptest.Password}})
		if w.Location().String() != page {
			t.Errorf("after the password: %d %s", w.Status, w.Location())
		}
		for range 48 { // eight hours, never idle
			time.Sleep(10 * time.Minute)
			w = b.Get(page)
		}
		wantStatus(t, "D05 after eight hours", w, http.StatusSeeOther)

		b = person(t, idp, "sam")
		b.Get(page)
		stolen := replay(b, map[string]string{"__Host-understudy": b.Cookies["__Host-understudy"]})
		time.Sleep(time.Minute * 15)
		wantStatus(t, "D03 without the console's cookie", stolen.Get(page), http.StatusSeeOther)
		b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}})
		wantStatus(t, "D06 after signing out", b.Get(page), http.StatusSeeOther)

		b = inConsole(t, idp, "sam")
		r := request(http.MethodGet, page, "client_id=app", "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		theirs := replay(b, map[string]string{"__Host-understudy": b.Cookies["__Host-understudy"]}) // what a browser sends from there
		w = theirs.Do(r)
		if w.Header.Get("Refresh") != "0; url="+page+"?client_id=app" || strings.Contains(w.Body, "usr_") && !strings.Contains(w.Body, "/admin/users/usr_ada") {
			t.Errorf("E07 from another site: %d %v %s", w.Status, w.Header, w.Body)
		}
	})
}
