package handlers_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// visited are all pages, each in the states that it has, with text wherever a page
// shows what somebody else wrote.
func visited(t *testing.T, idp *idptest.IDP, text string) map[string]*idptest.Response {
	t.Helper()
	pages := map[string]*idptest.Response{}
	actor, subject, client := unique("actor"), unique("subject"), unique("client")
	for name, role := range map[string]string{actor: "support", subject: ""} {
		sam, err := idp.Store.User(t.Context(), "usr_sam")
		check(t, err)
		u := &storage.User{ID: "usr_" + name, Email: name + "@example.test", Name: text, PasswordHash: sam.PasswordHash}
		organization := &storage.Organization{ID: "org_" + name, Name: "Organization " + text + name}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.CreateUser(ctx, u, time.Now()); err != nil {
				return err
			}
			if err := tx.CreateOrganization(ctx, organization, time.Now()); err != nil {
				return err
			}
			if role != "" {
				return tx.GrantRole(ctx, u.ID, role, time.Now())
			}
			for _, o := range []string{organization.ID, "org_globex"} {
				if err := tx.AddMember(ctx, o, u.ID, "", time.Now()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	addClient(t, idp, client, func(c *storage.Client) {
		c.Name, c.ClientURI, c.PolicyURI, c.TermsOfServiceURI, c.FirstParty = text, text, text, text, false
		c.Scope += " custom:scope"
		c.ResponseTypes = storage.List{"code"}
	})
	request := asking("client_id", client, "login_hint", text, "state", text, "scope", "openid custom:scope")

	b := idp.Browser(t)
	pages["home, nobody"] = b.Get("/")
	pages["login alone"] = b.Get("/login")
	at, w := b.Follow(request)
	pages["login"] = w
	pages["login, failed"] = b.Post(at, url.Values{"username": {text}, "password": {"wrong"}})
	w = b.Post(at, url.Values{"username": {actor + "@example.test"}, "password": {idptest.Password}})
	at, w = b.Follow(w.Header.Get("Location"))
	pages["consent"] = w
	wish := idptest.Wish("usr_"+subject, having("reason", text, "ticket_ref", "T-1", "organization", "org_"+subject))
	pages["consent, found"] = b.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {subject}, "reason": {text}, "subject": {"usr_" + subject}})
	pages["consent, nobody found"] = b.Post(at, url.Values{"continue_as": {"other"}, "action": {"find"}, "q": {text}})
	wrong := maps.Clone(wish)
	wrong.Set("ticket_ref", text+"\x1b")
	wrong.Set("duration", text)
	pages["consent, refused"] = b.Post(at, wrong)
	pages["consent, malformed"] = b.Post(at, url.Values{"continue_as": {text}, "action": {text}})
	w = b.Post(at, wish)
	if !w.Location().Query().Has("code") {
		t.Fatalf("%q: no code: %d %s", text, w.Status, w.Body)
	}
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + actor}, time.Now())
	check(t, err)
	id := running[0].ID
	pages["account"] = b.Get("/account")
	pages["stop"] = b.Get("/impersonation/stop?id=" + id)
	b.Post("/impersonation/stop", url.Values{"id": {id}})
	pages["stopped"] = b.Get("/impersonation/stopped?id=" + id)
	_, pages["login again"] = b.Follow(asking("client_id", client, "prompt", "login", "scope", "openid"))
	at = b.Consent(asking("client_id", client, "response_mode", "form_post", "state", text, "scope", "openid"))
	pages["form_post"] = b.Post(at, url.Values{"continue_as": {"me"}})
	pages["form_post, error"] = b.Get(asking("client_id", client, "response_mode", "form_post", "state", text, "prompt", "none", "max_age", "0"))
	pages["sign out"] = b.Get("/oauth2/logout?" + url.Values{"state": {text}, "client_id": {text}}.Encode())
	pages["signed out"] = b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}, "state": {text}})
	pages["unknown client"] = b.Get(asking("client_id", text))
	pages["redirect URI not registered"] = b.Get(asking("redirect_uri", "https://evil.example/?"+text))
	pages["no page"] = b.Get("/" + url.PathEscape(text))
	pages["no method"] = b.Do(httptest.NewRequest(http.MethodDelete, "/login", nil))
	pages["no interaction"] = b.Get("/consent/" + url.PathEscape(text))
	pages["another site"] = idp.Do(crossSite("/login", url.Values{"username": {text}}, "Sec-Fetch-Site", "cross-site"))
	link := setupLink(t, idp)
	pages["setup"] = b.Get(link)
	pages["setup, refused"] = b.Post(link, url.Values{"name": {text + "\x1b"}, "email": {text}, "password": {"short"}})
	pages["setup, not a link"] = b.Get("/setup/" + url.PathEscape(text))
	root := person(t, idp, "root")
	pages["setup, signed in"] = root.Get(link)
	pages["checklist"] = root.Get("/setup")
	for name, w := range pages {
		if !strings.HasPrefix(w.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: no page: %d %v %s", name, w.Status, w.Header, w.Body)
		}
	}
	return pages
}

func crossSite(path string, form url.Values, name, value string) *http.Request {
	r := idptest.Form(path, form)
	r.Header.Set(name, value)
	return r
}

// E03, E08, E09, T25: what every page forbids the browser.
func TestHeadersOfPages(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	// Pages whose form may end at the application name its origin.
	leads := []string{"login", "login, failed", "login again", "consent", "consent, found", "consent, nobody found", "consent, refused"}
	for name, w := range visited(t, idp, "harmless text") {
		t.Run(name, func(t *testing.T) {
			policy := map[string]string{}
			for directive := range strings.SplitSeq(w.Header.Get("Content-Security-Policy"), ";") {
				key, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
				policy[key] = value
			}
			want := map[string]string{
				"default-src": "'none'", "style-src": "'self'", "img-src": "'self'", "script-src": "'self'", "font-src": "'self'", "connect-src": "'self'",
				"form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
			}
			referrer := "same-origin"
			switch {
			case slices.Contains(leads, name):
				want["form-action"] += " https://app.example"
			case strings.HasPrefix(name, "form_post"):
				_, nonce, _ := strings.Cut(w.Body, `nonce="`)
				nonce, _, _ = strings.Cut(nonce, `"`)
				if len(nonce) < 22 {
					t.Errorf("nonce %q", nonce)
				}
				want["form-action"], want["script-src"], referrer = "https://app.example", "'nonce-"+nonce+"'", "no-referrer"
				delete(want, "font-src")
				delete(want, "connect-src")
			}
			if diff := cmp.Diff(want, policy); diff != "" {
				t.Errorf("Content-Security-Policy: %s", diff)
			}
			for header, want := range map[string]string{
				"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": referrer,
				"Content-Type": "text/html; charset=utf-8", "Strict-Transport-Security": "max-age=31536000", "Access-Control-Allow-Origin": "",
			} {
				if got := w.Header.Get(header); got != want {
					t.Errorf("%s: got %q, want %q", header, got, want)
				}
			}
			for _, e := range skeleton(t, w) {
				if strings.HasPrefix(e, "style=") || strings.HasPrefix(e, "on") {
					t.Errorf("inline %s, which the policy forbids", e)
				}
			}
		})
	}
}

// skeleton is a page without its text: elements, attributes' names, and where
// links lead.
func skeleton(t testing.TB, w *idptest.Response) []string {
	t.Helper()
	page, err := html.Parse(strings.NewReader(w.Body))
	check(t, err)
	var list []string
	for n := range page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		list = append(list, "<"+n.Data)
		for _, a := range n.Attr {
			list = append(list, a.Key+"=")
			scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(a.Val)), ":")
			if slices.Contains([]string{"href", "src", "action", "formaction"}, a.Key) && slices.Contains([]string{"javascript", "data", "vbscript"}, scheme) {
				t.Errorf("%s %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	return list
}

// E05, E06: no text that somebody wrote becomes markup, a link or a header.
func TestNoTextBecomesMarkup(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	want := visited(t, idp, "harmless text")
	for _, text := range []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' autofocus onfocus=alert(1) x='`,
		`</textarea></title><svg onload=alert(1)>`,
		`javascript:alert(document.domain)`,
		"a reason\r\nSet-Cookie: x=y\r\n\r\n<b>",
		`{{.Person}}<!--<img src="--><iframe srcdoc="x">`,
	} {
		got := visited(t, idp, text)
		for name, w := range got {
			if diff := cmp.Diff(skeleton(t, want[name]), skeleton(t, w)); diff != "" || w.Status != want[name].Status {
				t.Errorf("%s: %q changes the page, status %d: %s", name, text, w.Status, diff)
			}
			for header, values := range w.Header {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n") || header == "Set-Cookie" && strings.Contains(values[0], "x=y") {
					t.Errorf("%s: %s: %q", name, header, values)
				}
			}
		}
	}
}

// E01, E02, T02, T24: a form that another site sends does nothing, on any page.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	db := database(t, idp)
	a := begun(t, idp)
	consent := a.browser.Consent(a.request())
	_, query, _ := strings.Cut(a.request(), "?")
	everything, err := url.ParseQuery(query)
	check(t, err)
	maps.Copy(everything, idptest.Wish("usr_ada", having(
		"username", "root@example.test", "password", idptest.Password, "id", a.id, "confirmed", "yes", "name", "Eve", "email", "eve@example.test")))
	link := setupLink(t, idp)
	paths := handlers.PagePosts()
	if len(paths) < 5 {
		t.Fatalf("routes: %v", paths)
	}
	sent := func(r *http.Request) *idptest.Response {
		for name, value := range a.browser.Cookies { // though SameSite would keep them back
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		return idp.Do(r)
	}
	before := rows(t, idp, db)
	for pattern, byDesign := range paths {
		path := strings.NewReplacer("/consent/{interaction}", consent, "/setup/{token}", link).Replace(pattern)
		for _, header := range [][2]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "CROSS-SITE"},
			{"Origin", "https://evil.example"},
			{"Origin", "null"},
			{"Origin", "http://example.com:8080"},
			{"Origin", "https://example.com.evil.example"},
		} {
			w := sent(crossSite(path, everything, header[0], header[1]))
			if byDesign && pattern == "/oauth2/authorize" { // takes the request and looks at no cookie
				if !strings.HasPrefix(w.Location().Path, "/oauth2/authorize/") {
					t.Errorf("%s, %v: %d %s", pattern, header, w.Status, w.Location())
				}
			} else if w.Status != http.StatusForbidden || textOf(w, "error-code") != "cross_site_request" {
				t.Errorf("%s, %v: status %d: %s", pattern, header, w.Status, w.Body)
			}
			if w.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s, %v: sets a cookie", pattern, header)
			}
		}
		after := rows(t, idp, db)
		if byDesign && pattern == "/oauth2/authorize" {
			before["interactions"] = after["interactions"]
		}
		if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s changed:\n%s", pattern, diff)
		}
		before = after
	}
	// The same forms from here do what they say.
	for _, step := range []struct{ path, to string }{
		{consent, "https://app.example/callback"}, {"/impersonation/stop", "/impersonation/stopped"}, {"/login", "/"}, {"/oauth2/logout", ""},
	} {
		w := a.browser.Post(step.path, everything)
		u := w.Location()
		u.RawQuery = ""
		if u.String() != step.to || w.Status >= 400 {
			t.Errorf("%s from here: %d %s", step.path, w.Status, w.Location())
		}
	}
}

// E09: what is shown after signing out is nobody's.
func TestNothingAfterSignOut(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	a := begun(t, idp)
	at := a.browser.Consent(a.request())
	wantStatus(t, "sign out", a.browser.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	for _, path := range []string{"/", "/account", "/account/activity", at, "/impersonation/stop?id=" + a.id, "/impersonation/stopped?id=" + a.id, "/login", "/oauth2/logout"} {
		_, w := a.browser.Follow(path)
		if strings.Contains(w.Body, a.actor) || strings.Contains(w.Body, a.subject) {
			t.Errorf("%s: says who was here", path)
		}
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// G04: nothing that opens anything is in the log, also when it was refused.
func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	idp := idptest.New(t, unlimited(idptest.Options{Log: &log}))
	const typed = "what somebody typed by mistake"
	secrets := map[string]string{"password": idptest.Password, "wrong password": typed, "client secret": idptest.Secret, "verifier": idptest.Verifier}
	keep := func(what string, b *idptest.Browser) {
		for name, value := range b.Cookies {
			secrets[what+" "+name] = value
		}
	}
	pages := visited(t, idp, "harmless text")
	a := begun(t, idp)
	keep("actor", a.browser)
	secrets["code"] = a.code
	link := setupLink(t, idp)
	_, secrets["setup link"], _ = strings.Cut(link, "/setup/")
	idp.Do(crossSite(link, url.Values{}, "Sec-Fetch-Site", "cross-site"))
	idp.Do(httptest.NewRequest(http.MethodPut, link, nil))
	a.browser.Get(link)                                                  // while acting
	idp.Browser(t).Post(link, url.Values{"name": {"x", "y"}})            // malformed
	idp.Browser(t).Post(link, url.Values{"password": {typed}})           // refused
	idp.Browser(t).Get(strings.Replace(link, "/setup/", "//setup//", 1)) // cleaned
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		secrets[name] = str(t, a.tokens, name)
	}
	next := a.refresh(t).JSON(t)
	secrets["second refresh token"] = str(t, next, "refresh_token")
	stolen := idp.Browser(t)
	login(stolen, "ada@example.test", typed)
	login(stolen, typed, typed)
	keep("stranger", stolen)
	idp.Call("/oauth2/token", a.client, typed, idptest.Exchange(a.code, nil))
	idp.Call("/oauth2/token", "app", idptest.Secret, idptest.Exchange(a.code, nil)) // of another client
	a.call(refreshing(a.code))
	a.call(idptest.Exchange(secrets["refresh_token"], nil))
	userinfo(idp, secrets["refresh_token"])
	userinfo(idp, secrets["id_token"])
	idp.Do(httptest.NewRequest(http.MethodGet, "/oauth2/userinfo?access_token="+secrets["access_token"], nil))
	idp.Do(httptest.NewRequest(http.MethodGet, "/oauth2/token?code="+a.code, nil))
	a.browser.Get("/oauth2/logout?id_token_hint=" + secrets["id_token"] + "x")
	a.browser.Get(a.request("id_token_hint", secrets["access_token"]))
	a.exchange() // a second time
	a.refresh(t) // a second time
	a.call(refreshing(secrets["second refresh token"]))
	wantActive(t, idp, "another's", secrets["access_token"], false)
	if len(pages) == 0 || !strings.Contains(log.String(), "request refused") {
		t.Fatalf("the log proves nothing: %s", log.String())
	}
	for what, secret := range secrets {
		if strings.Contains(log.String(), secret) || strings.Contains(log.String(), url.QueryEscape(secret)) {
			t.Errorf("the log has the %s", what)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}") {
			t.Errorf("not one record a line: %q", line)
		}
	}
}
