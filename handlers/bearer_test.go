package handlers_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// desk is a program that asks for tickets.
func desk(t testing.TB, idp *idptest.IDP) impersonation.Caller {
	t.Helper()
	k, err := idp.Store.APIKeyBySecret(t.Context(), storage.Hash(idp.APIKey(t, impersonation.PermissionStart)))
	check(t, err)
	return impersonation.Caller{ID: k.ID, Standing: k.Standing()}
}

// aTicket is what a desk asks for: that somebody acts as ada, in a browser without a
// sign-in.
func aTicket(actor, client string, change func(*provider.TicketRequest)) provider.TicketRequest {
	q := provider.TicketRequest{
		ActorID: actor, SubjectID: "usr_ada", Client: &storage.Client{ID: client}, Reason: "Cannot see invoice 4711", TicketRef: "SUP-4711", Binding: storage.BindingBearer,
	}
	if change != nil {
		change(&q)
	}
	return q
}

// ticketed returns a ticket that a desk asked for, and the link that opens it.
func ticketed(t testing.TB, idp *idptest.IDP, q provider.TicketRequest) (*storage.Ticket, string) {
	t.Helper()
	return issuedBy(t, idp, desk(t, idp), q)
}

// issuedBy is ticketed for this caller.
func issuedBy(t testing.TB, idp *idptest.IDP, by impersonation.Caller, q provider.TicketRequest) (*storage.Ticket, string) {
	t.Helper()
	var err error
	q.Client, err = idp.Store.Client(t.Context(), q.Client.ID)
	check(t, err)
	issued, token, err := idp.Provider.CreateTicket(t.Context(), by, q, storage.Request{}, time.Now())
	if err != nil {
		t.Fatalf("ticket: %v", err)
	}
	return issued, "/impersonate/" + token
}

// agent is a new member of support.
func agent(t testing.TB, idp *idptest.IDP) string {
	t.Helper()
	name := unique("agent")
	enroll(t, idp, name, "support")
	return name
}

// showing is a browser with these cookies only.
func showing(t testing.TB, idp *idptest.IDP, cookies map[string]string) *idptest.Browser {
	b := idp.Browser(t)
	b.Cookies = cookies
	return b
}

// bound is a client whose sign-ins it starts itself, and that wants to be told of ends.
func bound(c *storage.Client) {
	started(c)
	c.BackchannelLogoutURI = "https://app.example/logout"
}

// Each binding, delivery and response mode: the application learns who acts as whom, and
// no browser becomes the actor by it.
func TestTicketRedemption(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-start", bound)
		addClient(t, idp, "desk-back", func(c *storage.Client) {
			byCallback(c)
			c.ResponseTypes = storage.List{"code", "code id_token"}
		})
		for _, c := range []struct{ binding, client, mode, kind string }{
			{storage.BindingActorSession, "desk-start", "", ""},
			{storage.BindingActorSession, "desk-back", "query", "code"},
			{storage.BindingActorSession, "desk-back", "fragment", "code"},
			{storage.BindingActorSession, "desk-back", "form_post", "code id_token"},
			{storage.BindingBearer, "desk-start", "", ""},
			{storage.BindingBearer, "desk-back", "query", "code"},
			{storage.BindingBearer, "desk-back", "fragment", "code id_token"},
			{storage.BindingBearer, "desk-back", "form_post", "code"},
		} {
			t.Run(strings.Join([]string{c.binding, c.client, c.mode, c.kind}, " "), func(t *testing.T) {
				name := agent(t, idp)
				state := "a state of theirs: " + c.mode + " é"
				issued, link := ticketed(t, idp, aTicket("usr_"+name, c.client, func(q *provider.TicketRequest) {
					q.Binding, q.CustomClaims = c.binding, map[string]any{"desk_case": "4711"}
					if c.mode != "" {
						q.Callback = provider.CallbackChoice{RedirectURI: idptest.Callback, ResponseMode: c.mode, ResponseType: c.kind, State: state}
					} else {
						q.TargetLinkURI = "https://app.example/invoices/4711"
					}
				}))
				b := idp.Browser(t)
				if c.binding == storage.BindingActorSession {
					wantStatus(t, "nobody signed in", b.Get(link), http.StatusSeeOther)
					b.SignIn(name)
				}
				for range 2 { // A20: link scanners look, and change nothing
					w := b.Get(link)
					if w.Element("link-form") == nil {
						t.Fatalf("no page: %d %s", w.Status, w.Body)
					}
					for _, said := range []string{name, "ada", "Cannot see invoice 4711", "SUP-4711", c.client} {
						if !strings.Contains(w.Body, said) {
							t.Errorf("A20: does not say %s", said)
						}
					}
					wantStatus(t, "HEAD", b.Do(request(http.MethodHead, link, "", "")), http.StatusOK)
				}
				w := b.Do(crossSite(link, url.Values{}, "Sec-Fetch-Site", "cross-site"))
				wantStatus(t, "E01 from another site", w, http.StatusForbidden)
				w = b.Post(link, nil)
				if c.mode == "" {
					q := w.Location().Query()
					if !strings.HasPrefix(w.Location().String(), "https://app.example/initiate?") || q.Get("login_hint") != issued.ID || q.Get("target_link_uri") == "" {
						t.Fatalf("start at %d %s %s", w.Status, w.Location(), w.Body)
					}
					w = b.Get(asking("client_id", c.client, "login_hint", q.Get("login_hint")))
					state = "a state"
				}
				to, said := answered(w)
				if to != idptest.Callback || said.Get("state") != state || said.Get("iss") != idptest.Issuer {
					t.Fatalf("answer to %s: %v: %d %s", to, said, w.Status, w.Body)
				}
				form := idptest.Exchange(said.Get("code"), func(f url.Values) {
					if c.mode != "" {
						f.Del("code_verifier")
					}
				})
				got := idp.Call("/oauth2/token", c.client, idptest.Secret, form)
				wantStatus(t, "token", got, http.StatusOK)
				claims := idptest.Claims(t, got.JSON(t)["id_token"])
				act, _ := claims["act"].(map[string]any)
				if claims["sub"] != "usr_ada" || act["sub"] != "usr_"+name || claims["desk_case"] != "4711" {
					t.Errorf("A08: %v", claims)
				}
				if _, there := claims["auth_time"]; there == (c.binding == storage.BindingBearer) {
					t.Errorf("A10: auth_time %v of who did not sign in", claims["auth_time"])
				}
				wantStatus(t, "the form again", b.Post(link, nil), http.StatusNotFound)
				kept, err := idp.Store.TicketNamed(t.Context(), issued.ID)
				check(t, err)
				i, err := idp.Store.Impersonation(t.Context(), kept.ImpersonationID)
				check(t, err)
				if kept.Status(time.Now()) != storage.TicketAccepted || i.Binding != c.binding || i.Entry != "api" || i.CreatedBy != issued.CreatedBy || i.TicketID != issued.ID {
					t.Errorf("became %+v", i)
				}
				var kinds []string
				for _, e := range events(t, idp, func(e storage.Event) bool { return e.ActorID == "usr_"+name && e.SubjectID == "usr_ada" }) {
					kinds = append(kinds, string(e.Type))
					if strings.HasPrefix(string(e.Type), "impersonation.") && (e.Data["binding"] != c.binding || e.Data["caller"] != issued.CreatedBy || e.Data["ticket"] != issued.ID) {
						t.Errorf("G01 %s: %v", e.Type, e.Data)
					}
				}
				if !strings.HasPrefix(strings.Join(kinds, " "), "impersonation.requested impersonation.started") {
					t.Errorf("G01: on the record: %v", kinds)
				}
				if c.binding == storage.BindingBearer {
					noSession(t, idp, b, name, c.client)
				}
			})
		}
	})
}

// noSession checks that a browser which acts without a sign-in is signed in to nothing
// here, and that the actor is not either.
func noSession(t *testing.T, idp *idptest.IDP, b *idptest.Browser, name, client string) {
	t.Helper()
	logins, err := idp.Store.OpenLogins(t.Context(), "usr_"+name, time.Now())
	check(t, err)
	if len(logins) != 0 || b.Cookies["__Host-understudy"] != "" {
		t.Errorf("A17: a sign-in of the actor: %v", logins)
	}
	for _, path := range []string{"/account", "/account/password", "/account/export", "/admin", "/admin/users", "/admin/users/usr_ada/impersonate"} {
		if at, w := b.Follow(path); !strings.HasPrefix(at, "/login") || strings.Contains(w.Body, name) {
			t.Errorf("A17 %s: at %s: %d", path, at, w.Status)
		}
	}
	wantStatus(t, "A17 POST", b.Post("/account/password", url.Values{"current": {idptest.Password}, "new": {"another of twelve characters"}}), http.StatusSeeOther)
	for what, pairs := range map[string][]string{
		"another client": {"client_id", "app"}, "the same client": {"client_id", client}, "silently": {"client_id", client, "prompt", "none"},
		"another client, silently": {"client_id", "app", "prompt", "none"}, "a choice": {"client_id", client, "prompt", "select_account"},
	} {
		_, w := b.Follow(asking(pairs...))
		if _, said := answered(w); said.Has("code") {
			t.Errorf("A18 %s: %v", what, said)
		}
	}
}

// A bearer's browser stops what it started, by its cookie or by the ID token, and
// nobody else does without being who they are.
func TestStopWithoutASignIn(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-stop", bound)
		begin := func(t *testing.T) (b *idptest.Browser, id, idToken string) {
			_, link := ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-stop", nil))
			b = idp.Browser(t)
			hint := b.Post(link, nil).Location().Query().Get("login_hint")
			_, said := answered(b.Get(asking("client_id", "desk-stop", "login_hint", hint)))
			got := idp.Call("/oauth2/token", "desk-stop", idptest.Secret, idptest.Exchange(said.Get("code"), nil))
			wantStatus(t, "token", got, http.StatusOK)
			idToken = str(t, got.JSON(t), "id_token")
			return b, idptest.Claims(t, idToken)["sid"].(string), idToken
		}
		ended := func(t *testing.T, id string) bool {
			i, err := idp.Store.Impersonation(t.Context(), id)
			check(t, err)
			if !i.EndedAt.Set() {
				return false
			}
			notices, err := idp.Store.LogoutNotices(t.Context(), []string{id})
			check(t, err)
			if len(notices) != 1 {
				t.Errorf("A13: the client is told %d times", len(notices))
			}
			return true
		}
		t.Run("by the cookie", func(t *testing.T) {
			b, id, _ := begin(t)
			page := "/impersonation/stop?id=" + url.QueryEscape(id)
			w := b.Get(page)
			if w.Element("stop-form") == nil || ended(t, id) {
				t.Fatalf("A20: %d %s", w.Status, w.Body)
			}
			w = b.Post("/impersonation/stop", url.Values{"id": {id}})
			if !ended(t, id) {
				t.Fatalf("it runs on: %d %s", w.Status, w.Body)
			}
			at, w := b.Follow(w.Location().String())
			if !strings.HasPrefix(at, "/impersonation/stopped") || w.Status != http.StatusOK {
				t.Errorf("afterwards: %d at %s", w.Status, at)
			}
		})
		t.Run("by the ID token", func(t *testing.T) {
			b, id, idToken := begin(t)
			w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://app.example/"}, "state": {"s"}}.Encode())
			if w.Location().String() != "https://app.example/?state=s" || !ended(t, id) {
				t.Errorf("%d %s", w.Status, w.Location())
			}
			_, id, idToken = begin(t)
			idp.Browser(t).Get("/oauth2/logout?" + url.Values{"id_token_hint": {idToken}}.Encode()) // the application's own proof
			if !ended(t, id) {
				t.Error("it runs on")
			}
		})
		t.Run("not by others", func(t *testing.T) {
			b, id, _ := begin(t)
			other, otherID, _ := begin(t)
			for what, thief := range map[string]*idptest.Browser{
				"nobody": idp.Browser(t), "another bearer": other, "a user": person(t, idp, "linus"), "another of support": person(t, idp, agent(t, idp)),
				"a made up cookie": showing(t, idp, map[string]string{"__Host-understudy_bearer": "ubr_" + strings.Repeat("x", 43)}),
				"the id as cookie": showing(t, idp, map[string]string{"__Host-understudy_bearer": id}),
			} {
				thief.Get("/impersonation/stop?id=" + url.QueryEscape(id))
				w := thief.Post("/impersonation/stop", url.Values{"id": {id}, "user": {"usr_ada"}, "sub": {"usr_ada"}})
				if ended(t, id) {
					t.Fatalf("A13: stopped by %s", what)
				}
				if strings.Contains(w.Body, "invoice") {
					t.Errorf("%s learns of it", what)
				}
			}
			wantStatus(t, "cross-site", b.Do(crossSite("/impersonation/stop", url.Values{"id": {id}}, "Sec-Fetch-Site", "cross-site")), http.StatusForbidden)
			if ended(t, id) || ended(t, otherID) {
				t.Error("stopped from another site")
			}
			subject := person(t, idp, "ada")
			subject.Post("/impersonation/stop", url.Values{"id": {id}})
			if !ended(t, id) {
				t.Error("A13: the subject may not end it")
			}
		})
	})
}

// What a ticket without a sign-in cannot do.
func TestBearerTicketGuards(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-a", started)
		addClient(t, idp, "desk-b", started)
		taken := func(t *testing.T) (b *idptest.Browser, issued *storage.Ticket, link string) {
			issued, link = ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-a", nil))
			b = idp.Browser(t)
			wantStatus(t, "taken", b.Post(link, nil), http.StatusSeeOther)
			return b, issued, link
		}
		hinted := func(client, hint string, pairs ...string) string {
			return asking(append(pairs, "client_id", client, "login_hint", hint)...)
		}
		status := func(t *testing.T, id string) storage.TicketStatus {
			kept, err := idp.Store.TicketNamed(t.Context(), id)
			check(t, err)
			return kept.Status(time.Now())
		}
		t.Run("A21 elsewhere", func(t *testing.T) {
			for what, thief := range map[string]func(b *idptest.Browser) (*idptest.Browser, string){
				"another browser":    func(*idptest.Browser) (*idptest.Browser, string) { return idp.Browser(t), "desk-a" },
				"somebody signed in": func(*idptest.Browser) (*idptest.Browser, string) { return person(t, idp, "linus"), "desk-a" },
				"another client":     func(b *idptest.Browser) (*idptest.Browser, string) { return b, "desk-b" },
				"a cookie that is made up": func(b *idptest.Browser) (*idptest.Browser, string) {
					return showing(t, idp, map[string]string{"__Host-understudy_bearer": "ubr_" + strings.Repeat("x", 43)}), "desk-a"
				},
			} {
				b, issued, _ := taken(t)
				m, client := thief(b)
				_, w := m.Follow(hinted(client, issued.ID))
				if _, said := answered(w); said.Has("code") || w.Status != http.StatusForbidden {
					t.Errorf("%s: %d %v", what, w.Status, said)
				}
				if got := status(t, issued.ID); got != storage.TicketRevoked {
					t.Errorf("%s: the ticket is %s", what, got)
				}
				if n := len(events(t, idp, func(e storage.Event) bool {
					return e.Type == storage.EventImpersonationDenied && e.Data["denial"] == "ticket_foreign" && e.Data["ticket"] == issued.ID
				})); n != 1 {
					t.Errorf("%s: %d times on the record", what, n)
				}
				if _, said := answered(b.Get(hinted("desk-a", issued.ID))); said.Has("code") {
					t.Errorf("%s: it still works", what)
				}
			}
			// Nobody has to sign in for that, so it must not fill the record.
			_, issued, _ := taken(t)
			for range 100 {
				wantStatus(t, "tried again", idp.Browser(t).Get(hinted("desk-a", issued.ID)), http.StatusForbidden)
			}
			if n := len(events(t, idp, func(e storage.Event) bool {
				return e.Data["denial"] == "ticket_foreign" && e.Data["ticket"] == issued.ID
			})); n < 1 || n > 40 {
				t.Errorf("tried 100 times: %d times on the record", n)
			}
		})
		t.Run("A18 A10 what cannot be met", func(t *testing.T) {
			for what, pairs := range map[string][]string{
				"prompt=none": {"prompt", "none"}, "prompt=login": {"prompt", "login"}, "max_age": {"max_age", "3000"}, "acr_values": {"acr_values", "phr"},
				"another subject": {"claims", `{"id_token":{"sub":{"value":"usr_linus"}}}`}, "no scope": {"scope", "openid nothing"},
			} {
				b, issued, _ := taken(t)
				if to, said := answered(b.Get(hinted("desk-a", issued.ID, pairs...))); said.Has("code") || said.Get("error") == "" || to != idptest.Callback {
					t.Errorf("%s: to %s: %v", what, to, said)
				}
			}
		})
		t.Run("A20 only by a press of the button", func(t *testing.T) {
			issued, _ := ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-a", nil))
			_, w := idp.Browser(t).Follow(hinted("desk-a", issued.ID))
			if _, said := answered(w); said.Has("code") {
				t.Errorf("by its name alone: %v", said)
			}
		})
		t.Run("B02 once", func(t *testing.T) {
			_, link := ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-a", nil))
			if got := parallel(100, func(int) *idptest.Response { return idp.Browser(t).Post(link, nil) }); got["303 "] != 1 {
				t.Errorf("100 browsers: %v", got)
			}
			b, issued, _ := taken(t)
			got := parallel(100, func(int) *idptest.Response {
				return (&idptest.Browser{IDP: idp, Cookies: maps.Clone(b.Cookies)}).Get(hinted("desk-a", issued.ID))
			})
			if got["303 "] != 1 {
				t.Errorf("100 requests: %v", got)
			}
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: issued.ActorID, Running: true}, time.Now())
			check(t, err)
			if len(running) != 1 {
				t.Errorf("%d run", len(running))
			}
			wantStatus(t, "again", b.Get(hinted("desk-a", issued.ID)), http.StatusForbidden)
		})
		t.Run("somebody else is signed in", func(t *testing.T) {
			issued, link := ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-a", nil))
			b := person(t, idp, "linus")
			b.Post(link, nil)
			if sub, actor := becomes(t, idp, "desk-a", b.Get(hinted("desk-a", issued.ID))); sub != "usr_ada" || actor != issued.ActorID {
				t.Errorf("as %s by %s", sub, actor)
			}
			if _, w := b.Follow("/account"); !strings.Contains(w.Body, "linus") {
				t.Error("their own sign-in is not theirs any more")
			}
			if sub, actor := becomes(t, idp, "desk-b", b.Get(asking("client_id", "desk-b"))); sub != "usr_linus" || actor != "" {
				t.Errorf("elsewhere: as %s by %s", sub, actor)
			}
		})
		t.Run("A18 T33 somebody else is signed in, and the application asks silently", func(t *testing.T) {
			staff := agent(t, idp)
			for _, name := range []string{"linus", staff} {
				issued, link := ticketed(t, idp, aTicket("usr_"+agent(t, idp), "desk-a", nil))
				b := person(t, idp, name)
				silently := func(client string, pairs ...string) url.Values {
					_, said := answered(b.Get(asking(append(pairs, "client_id", client, "prompt", "none")...)))
					return said
				}
				if said := silently("desk-a"); !said.Has("code") {
					t.Fatalf("before: %v", said)
				}
				b.Post(link, nil)
				_, said := answered(b.Get(hinted("desk-a", issued.ID)))
				tokens := idp.Call("/oauth2/token", "desk-a", idptest.Secret, idptest.Exchange(said.Get("code"), nil)).JSON(t)
				for _, said := range []url.Values{silently("desk-a"), silently("desk-a", "id_token_hint", str(t, tokens, "id_token"))} {
					if said.Get("error") != "login_required" {
						t.Errorf("%s: %v", name, said)
					}
				}
				if said := silently("desk-b"); !said.Has("code") {
					t.Errorf("%s elsewhere: %v", name, said)
				}
				if name != staff {
					continue
				}
				w := b.Post(b.Consent(asking("client_id", "desk-a")), url.Values{"continue_as": {"me"}}) // asked, they go on as themselves
				if sub, actor := becomes(t, idp, "desk-a", w); sub != "usr_"+staff || actor != "" {
					t.Errorf("as %s by %s", sub, actor)
				}
				running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: issued.ActorID, Running: true}, time.Now())
				check(t, err)
				if len(running) != 0 {
					t.Error("the application has forgotten it, and it runs on")
				}
			}
		})
		t.Run("A24 one for the other", func(t *testing.T) {
			b, issued, link := taken(t)
			token, cookie := strings.TrimPrefix(link, "/impersonate/"), b.Cookies["__Host-understudy_bearer"]
			for _, what := range []string{token, cookie, issued.ID} {
				wantRefused(t, "as a code", idp.Call("/oauth2/token", "desk-a", idptest.Secret, idptest.Exchange(what, nil)), http.StatusBadRequest, "invalid_grant")
				wantRefused(t, "as a refresh token", idp.Call("/oauth2/token", "desk-a", idptest.Secret,
					url.Values{"grant_type": {"refresh_token"}, "refresh_token": {what}}), http.StatusBadRequest, "invalid_grant")
				r := request(http.MethodGet, "/oauth2/userinfo", "", "")
				r.Header.Set("Authorization", "Bearer "+what)
				wantStatus(t, "as an access token", idp.Do(r), http.StatusUnauthorized)
				if w := idp.Call("/oauth2/introspect", "desk-a", idptest.Secret, url.Values{"token": {what}}); w.JSON(t)["active"] != false {
					t.Errorf("introspection: %s", w.Body)
				}
				for _, name := range []string{"__Host-understudy", "__Host-understudy_console", "__Host-understudy_browser"} {
					if at, _ := showing(t, idp, map[string]string{name: what}).Follow("/account"); !strings.HasPrefix(at, "/login") {
						t.Errorf("as the cookie %s: at %s", name, at)
					}
				}
				wantStatus(t, "as a setup link", idp.Browser(t).Get("/setup/"+what), http.StatusNotFound)
			}
			for _, what := range []string{cookie, issued.ID, "utk_" + strings.TrimPrefix(cookie, "ubr_"), token + "x", token[:len(token)-1], strings.ToUpper(token)} {
				if w := idp.Browser(t).Post("/impersonate/"+what, nil); w.Status != http.StatusSeeOther && w.Status != http.StatusNotFound || w.Location().Host != "" {
					t.Errorf("as a link, %s: %d %s", what, w.Status, w.Location())
				}
			}
			if _, said := answered(b.Get(hinted("desk-a", token))); said.Has("code") {
				t.Error("a token as a handle")
			}
		})
	})
}

// Whatever is forbidden between the two decisions is refused, whichever way it is redeemed.
func TestTicketAfterAChange(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		dir := provider.NewDirectory(idp.Store)
		addClient(t, idp, "desk-change", started)
		for what, change := range map[string]func(ctx context.Context, actor, subject string) error{
			"A14 actor disabled": func(ctx context.Context, actor, _ string) error {
				return dir.Disable(ctx, actor, storage.Cause{}, time.Now())
			},
			"A14 actor demoted": func(ctx context.Context, actor, _ string) error {
				return dir.RevokeRole(ctx, actor, "support", "", storage.Cause{}, time.Now())
			},
			"A15 subject disabled": func(ctx context.Context, _, subject string) error {
				return dir.Disable(ctx, subject, storage.Cause{}, time.Now())
			},
			"A03 subject promoted": func(ctx context.Context, _, subject string) error {
				return dir.GrantRole(ctx, subject, "auditor", "", storage.Cause{}, time.Now())
			},
			"the key revoked": func(ctx context.Context, actor, _ string) error {
				_, err := database(t, idp).Exec(`UPDATE api_keys SET revoked_at = 1 WHERE id IN (SELECT created_by FROM tickets WHERE actor_id = '` + actor + `')`)
				return err
			},
			"the ticket revoked": func(ctx context.Context, actor, _ string) error {
				var id string
				if err := database(t, idp).QueryRow(`SELECT id FROM tickets WHERE actor_id = '` + actor + `'`).Scan(&id); err != nil {
					return err
				}
				return idp.Store.Write(ctx, func(tx *storage.Tx) error { return tx.RevokeTicket(ctx, id, time.Now()) })
			},
		} {
			for _, late := range []bool{false, true} { // before the button, and behind it
				actor, subject := "usr_"+agent(t, idp), enroll(t, idp, unique("subject"), "")
				issued, link := ticketed(t, idp, aTicket(actor, "desk-change", func(q *provider.TicketRequest) { q.SubjectID = subject }))
				b := idp.Browser(t)
				if !late {
					check(t, change(t.Context(), actor, subject))
				}
				b.Post(link, nil)
				if late {
					check(t, change(t.Context(), actor, subject))
				}
				_, w := b.Follow(asking("client_id", "desk-change", "login_hint", issued.ID))
				if _, said := answered(w); said.Has("code") {
					t.Errorf("%s, late %v: got a code", what, late)
				}
				if n := len(events(t, idp, func(e storage.Event) bool {
					return e.Type == storage.EventImpersonationStarted && e.ActorID == actor
				})); n != 0 {
					t.Errorf("%s, late %v: it started", what, late)
				}
			}
		}
	})
}

// An application that takes no unasked answers any more gets none, also where a ticket
// was made for one.
func TestCallbackSwitchedOff(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for _, binding := range []string{storage.BindingBearer, storage.BindingActorSession} {
			client, actor := unique("desk-off"), agent(t, idp)
			addClient(t, idp, client, byCallback)
			issued, link := ticketed(t, idp, aTicket("usr_"+actor, client, func(q *provider.TicketRequest) { q.Binding = binding }))
			c, err := idp.Store.Client(t.Context(), client)
			check(t, err)
			started(c)
			c.Delivery = provider.DeliveryInitiateLogin
			_, err = provider.NewRegistration(idp.Store).Update(t.Context(), c, storage.Cause{}, time.Now())
			check(t, err)
			b := idp.Browser(t)
			if binding == storage.BindingActorSession {
				b = person(t, idp, actor)
			}
			w := b.Post(link, nil)
			if w.Status != http.StatusConflict || w.Element("error-code") == nil || !strings.Contains(w.Body, "did not ask for") {
				t.Errorf("%s: %d %s %s", binding, w.Status, w.Location(), w.Body)
			}
			kept, err := idp.Store.TicketNamed(t.Context(), issued.ID)
			check(t, err)
			if kept.ImpersonationID != "" {
				t.Errorf("%s: it started", binding)
			}
		}
	})
}

// What vouches for an actor who has not signed in has to stand: a key that was stolen is
// revoked, and with it goes what somebody does with it.
func TestEndOfACaller(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-caller", started)
		keys, clients := provider.NewAPIKeys(idp.Store), provider.NewRegistration(idp.Store)
		redeems := func(t *testing.T, actor string, by impersonation.Caller, binding string) *idptest.Response {
			issued, link := issuedBy(t, idp, by, aTicket("usr_"+actor, "desk-caller", func(q *provider.TicketRequest) { q.Binding = binding }))
			b := idp.Browser(t)
			if binding == storage.BindingActorSession {
				b = person(t, idp, actor)
			}
			b.Post(link, nil)
			return b.Get(asking("client_id", "desk-caller", "login_hint", issued.ID, "scope", "openid offline_access"))
		}
		runs := func(t *testing.T, actor string) bool {
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + actor, Running: true}, time.Now())
			check(t, err)
			return len(running) > 0
		}
		program := func(change func(*storage.Client)) (impersonation.Caller, func(t *testing.T, id string) error) {
			id := unique("program")
			addClient(t, idp, id, func(c *storage.Client) {
				c.Type, c.Scope, c.ReadOnlyScopes, c.RedirectURIs, c.ResponseTypes = provider.ClientService, "impersonation:start users:read", nil, nil, nil
				c.GrantTypes, c.AllowImpersonation, c.RequirePKCE = storage.List{"client_credentials"}, false, false
			})
			return impersonation.Caller{ID: id, Standing: storage.Standing{Everywhere: storage.List{"impersonation:start"}}}, func(t *testing.T, id string) error {
				if change == nil {
					return clients.Delete(t.Context(), id, storage.Cause{}, time.Now())
				}
				c, err := idp.Store.Client(t.Context(), id)
				check(t, err)
				change(c)
				_, err = clients.Update(t.Context(), c, storage.Cause{}, time.Now())
				return err
			}
		}
		// A request that came before the end, and starts after it.
		starts := func(t *testing.T, by impersonation.Caller, stands bool) {
			app, err := idp.Store.Client(t.Context(), "desk-caller")
			check(t, err)
			_, err = idp.Provider.DescopeImpersonate(t.Context(), impersonation.Ask{
				Actor: &storage.User{ID: "usr_" + agent(t, idp)}, Caller: &by, Client: app, SubjectID: "usr_ada", Organization: "org_globex",
				Reason: "Cannot see invoice 4711", Access: impersonation.Full, Entry: "api",
			}, nil, storage.Request{}, time.Now())
			if denial, _ := impersonation.Denied(err); (err == nil) != stands || !stands && denial != impersonation.DenyCaller {
				t.Errorf("start afterwards: %v", err)
			}
		}
		revoke := func(t *testing.T, id string) error { return keys.Revoke(t.Context(), id, storage.Cause{}, time.Now()) }
		deleted, remove := program(nil)
		disabled, disable := program(func(c *storage.Client) { c.Status = storage.ClientDisabled })
		narrowed, narrow := program(func(c *storage.Client) { c.Scope = "users:read" })
		shut, _ := program(nil)
		shutOff := func(t *testing.T, id string) error {
			return clients.SetStatus(t.Context(), id, storage.ClientDisabled, storage.Cause{}, time.Now())
		}
		renamed, rename := program(func(c *storage.Client) { c.Name = "Another name" })
		for what, c := range map[string]struct {
			by      impersonation.Caller
			end     func(t *testing.T, id string) error
			binding string
			stands  bool
		}{
			"a key":                           {desk(t, idp), revoke, storage.BindingBearer, false},
			"a key, and the actor signed in":  {desk(t, idp), revoke, storage.BindingActorSession, true},
			"a client that is deleted":        {deleted, remove, storage.BindingBearer, false},
			"a client that is disabled":       {disabled, disable, storage.BindingBearer, false},
			"a client that is shut off":       {shut, shutOff, storage.BindingBearer, false},
			"a client without the permission": {narrowed, narrow, storage.BindingBearer, false},
			"a client that is renamed":        {renamed, rename, storage.BindingBearer, true},
		} {
			t.Run(what, func(t *testing.T) {
				actor := agent(t, idp)
				_, said := answered(redeems(t, actor, c.by, c.binding))
				tokens := idp.Call("/oauth2/token", "desk-caller", idptest.Secret, idptest.Exchange(said.Get("code"), nil)).JSON(t)
				if !runs(t, actor) {
					t.Fatal("nothing runs")
				}
				check(t, c.end(t, c.by.ID))
				if got := runs(t, actor); got != c.stands {
					t.Errorf("it runs: %v", got)
				}
				if c.binding == storage.BindingBearer {
					starts(t, c.by, c.stands)
				}
				for _, kind := range []string{"access_token", "refresh_token"} {
					if w := idp.Call("/oauth2/introspect", "desk-caller", idptest.Secret, url.Values{"token": {str(t, tokens, kind)}}); w.JSON(t)["active"] != c.stands {
						t.Errorf("%s: %s", kind, w.Body)
					}
				}
			})
		}
		t.Run("T15 at the same moment", func(t *testing.T) {
			for range 10 {
				actor, by := agent(t, idp), desk(t, idp)
				issued, link := issuedBy(t, idp, by, aTicket("usr_"+actor, "desk-caller", nil))
				b := idp.Browser(t)
				b.Post(link, nil)
				revoked := make(chan error, 1)
				parallel(2, func(n int) *idptest.Response {
					if n == 0 {
						revoked <- revoke(t, by.ID)
						return &idptest.Response{Status: http.StatusOK}
					}
					return b.Get(asking("client_id", "desk-caller", "login_hint", issued.ID))
				})
				check(t, <-revoked)
				if runs(t, actor) {
					t.Fatal("it runs on")
				}
			}
		})
	})
}

// A12, A21: how long a ticket waits, before the button and behind it, and that its
// impersonation ends in time.
func TestTicketRunsOut(t *testing.T) {
	t.Parallel()
	clocked(t, unlimited(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-late", started)
		b := idp.Browser(t)
		_, late := ticketed(t, idp, aTicket("usr_sam", "desk-late", nil))
		issued, behind := ticketed(t, idp, aTicket("usr_sam", "desk-late", nil))
		patient, link := ticketed(t, idp, aTicket("usr_sam", "desk-late", func(q *provider.TicketRequest) {
			q.Binding, q.ExpiresIn, q.Duration = storage.BindingActorSession, time.Hour, 10*time.Minute
		}))
		time.Sleep(119 * time.Second)
		wantStatus(t, "in time", b.Get(late), http.StatusOK)
		wantStatus(t, "taken in time", b.Post(behind, nil), http.StatusSeeOther)
		time.Sleep(time.Second)
		wantStatus(t, "A21 late", b.Get(late), http.StatusNotFound)
		wantStatus(t, "A21 late", b.Post(late, nil), http.StatusNotFound)
		time.Sleep(119 * time.Second)
		wantStatus(t, "A21 behind the button", b.Get(asking("client_id", "desk-late", "login_hint", issued.ID)), http.StatusForbidden)

		time.Sleep(50 * time.Minute)
		sam := person(t, idp, "sam")
		hint := sam.Post(link, nil).Location().Query().Get("login_hint")
		time.Sleep(100 * time.Second)
		_, said := answered(sam.Get(asking("client_id", "desk-late", "login_hint", hint)))
		tokens := idp.Call("/oauth2/token", "desk-late", idptest.Secret, idptest.Exchange(said.Get("code"), nil)).JSON(t)
		kept, err := idp.Store.TicketNamed(t.Context(), patient.ID)
		check(t, err)
		i, err := idp.Store.Impersonation(t.Context(), kept.ImpersonationID)
		check(t, err)
		if got := i.ExpiresAt.Time().Sub(i.StartedAt.Time()); got != 10*time.Minute {
			t.Errorf("A12: it lasts %v", got)
		}
		time.Sleep(10 * time.Minute)
		if w := idp.Call("/oauth2/introspect", "desk-late", idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}}); w.JSON(t)["active"] != false {
			t.Error("A12: its token outlives it")
		}
	})
}

// A14: whoever signs out everywhere, or gets another password, also stops acting where no
// sign-in of theirs is, and what they asked for and did not start is taken back.
func TestSignedOutEverywhereOfNoSignIn(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk-out", bound)
		runs := func(actor string) bool {
			n, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + actor, Running: true}, time.Now())
			check(t, err)
			return len(n) > 0
		}
		for what, end := range map[string]func(actor string){
			"by themselves": func(actor string) {
				wantDone(t, person(t, idp, actor).Post("/account/sign-out-everywhere", nil), "/login")
			},
			"all others": func(actor string) {
				wantDone(t, person(t, idp, actor).Post("/account/sessions", url.Values{"action": {"others"}}), "/account/sessions?done=sessions_ended")
			},
			"by a program": func(actor string) {
				key := idp.APIKey(t, provider.Permissions()...)
				wantStatus(t, "revoke", idp.API(t, key, http.MethodDelete, "/users/usr_"+actor+"/sessions", nil), http.StatusNoContent)
			},
			"by another password": func(actor string) {
				check(t, provider.NewDirectory(idp.Store).SetPassword(t.Context(), "usr_"+actor, "another battery staple", storage.Cause{}, time.Now()))
			},
		} {
			actor, other := agent(t, idp), agent(t, idp)
			for _, name := range []string{actor, other} {
				issued, link := ticketed(t, idp, aTicket("usr_"+name, "desk-out", nil))
				b := idp.Browser(t)
				b.Post(link, nil)
				b.Get(asking("client_id", "desk-out", "login_hint", issued.ID))
				if !runs(name) {
					t.Fatalf("%s: nothing runs", what)
				}
			}
			waits, link := ticketed(t, idp, aTicket("usr_"+actor, "desk-out", nil))
			end(actor)
			if kept, err := idp.Store.TicketNamed(t.Context(), waits.ID); err != nil || kept.Status(time.Now()) != storage.TicketRevoked {
				t.Errorf("%s: what waits is %+v, %v", what, kept, err)
			}
			stranger := idp.Browser(t)
			stranger.Post(link, nil)
			stranger.Get(asking("client_id", "desk-out", "login_hint", waits.ID))
			if runs(actor) || !runs(other) {
				t.Errorf("%s: the actor's runs: %v, another's: %v", what, runs(actor), runs(other))
			}
		}
	})
}
