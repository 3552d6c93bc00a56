package handlers_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// telling is a provider whose applications may be on this machine.
func telling(o idptest.Options) idptest.Options {
	o.Provider.AllowedNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	return unlimited(o)
}

// sending sends the logout tokens of a provider until the test ends.
func sending(t testing.TB, p *provider.Provider) {
	t.Helper()
	sender := provider.NewLogoutSender(p)
	sender.Every = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sender.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sender: %v", err)
		}
	})
}

// heard is a logout token as an application got it.
type heard struct {
	raw, sid, subject string
	claims            map[string]any
}

// application is a client with a back-channel logout endpoint on a real socket. It
// checks what it gets as a relying party has to, with a library that we did not write.
type application struct {
	t        testing.TB
	idp      *idptest.IDP
	id       string
	uri      string
	verifier *oidc.IDTokenVerifier

	mu     sync.Mutex
	answer http.HandlerFunc // nil: 200
	got    []heard
}

// newApplication registers one, like App and changed.
func newApplication(t testing.TB, idp *idptest.IDP, answer http.HandlerFunc, change func(*storage.Client)) *application {
	t.Helper()
	a := listening(t, idp, unique("rp"), answer)
	addClient(t, idp, a.id, func(c *storage.Client) {
		c.BackchannelLogoutURI = a.uri
		if change != nil {
			change(c)
		}
	})
	return a
}

// listening is the endpoint of a client that need not be registered yet.
func listening(t testing.TB, idp *idptest.IDP, id string, answer http.HandlerFunc) *application {
	t.Helper()
	keys := httptest.NewServer(idp.Handler)
	t.Cleanup(keys.Close)
	set := oidc.NewRemoteKeySet(context.Background(), keys.URL+"/.well-known/jwks.json")
	a := &application{
		t: t, idp: idp, id: id, answer: answer,
		verifier: oidc.NewVerifier(idptest.Issuer, set, &oidc.Config{ClientID: id, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256}}),
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.uri = server.URL + "/backchannel-logout"
	return a
}

// recovers makes it answer 200 from now on.
func (a *application) recovers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = nil
}

// ServeHTTP implements http.Handler (Back-Channel Logout 1.0 sections 2.5 to 2.8).
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.Path != "/backchannel-logout" || r.URL.RawQuery != "" ||
		r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(r.Form) != 1 || len(r.Form["logout_token"]) != 1 {
		a.t.Errorf("%s: got %s %s %v, %v", a.id, r.Method, r.URL, r.Form, err)
	}
	raw := r.PostFormValue("logout_token")
	token, err := a.verifier.VerifyLogout(r.Context(), raw)
	if err != nil {
		a.t.Errorf("%s: %v: %s", a.id, err, raw)
		return
	}
	if header(a.t, raw)["typ"] != "logout+jwt" {
		a.t.Errorf("%s: header %v", a.id, header(a.t, raw))
	}
	a.mu.Lock()
	a.got = append(a.got, heard{raw, token.SessionID, token.Subject, idptest.Claims(a.t, raw)})
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// heard returns what came so far, by sid.
func (a *application) heard() []heard {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(slices.Values(a.got), func(x, y heard) int { return strings.Compare(x.sid, y.sid) })
}

// signIn signs a browser in to the application and returns the tokens.
func (a *application) signIn(b *idptest.Browser, pairs ...string) map[string]any {
	a.t.Helper()
	code := b.Code(asking(append([]string{"client_id", a.id}, pairs...)...))
	w := a.idp.Call("/oauth2/token", a.id, idptest.Secret, idptest.Exchange(code, nil))
	if w.Status != http.StatusOK {
		a.t.Fatalf("token: %d %s", w.Status, w.Body)
	}
	return w.JSON(a.t)
}

// eventually waits for something that other goroutines do.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settled waits until nothing is left to be sent to the application.
func (a *application) settled(db *sql.DB) {
	a.t.Helper()
	eventually(a.t, "everything sent to "+a.id, func() bool { return a.count(db, "status = 'pending'") == 0 })
}

// count counts the application's notices.
func (a *application) count(db *sql.DB, where string) (n int) {
	a.t.Helper()
	check(a.t, db.QueryRow(fmt.Sprintf(`SELECT COUNT(*) FROM logout_notices WHERE client_id = '%s' AND %s`, a.id, where)).Scan(&n))
	return n
}

// notice returns the application's only notice, as status and http_status, and how often
// it was tried: it is tried again by itself, about a second after the first time.
func (a *application) notice(db *sql.DB) (brief, cause string, attempts int) {
	a.t.Helper()
	var status string
	var answer int
	err := db.QueryRow(fmt.Sprintf(`SELECT status, attempts, http_status, error FROM logout_notices WHERE client_id = '%s'`, a.id)).
		Scan(&status, &attempts, &answer, &cause)
	check(a.t, err)
	return fmt.Sprintf("%s %d", status, answer), cause, attempts
}

// wantHeard checks what an application got, once nothing is left to be sent: the
// sids, and whose they are said to be.
func (a *application) wantHeard(db *sql.DB, want map[string]string) {
	a.t.Helper()
	a.settled(db)
	got := map[string]string{}
	for _, h := range a.heard() {
		if _, twice := got[h.sid]; twice {
			a.t.Errorf("%s heard twice of %s", a.id, h.sid)
		}
		got[h.sid] = h.subject
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		a.t.Errorf("%s heard %v, want %v", a.id, got, want)
	}
}

func exec(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.Exec(statement)
	check(t, err)
}

// ends are the ways in which sessions of a user's own end; the browser's only, or all.
var ends = []struct {
	name string
	all  bool
	end  func(t *testing.T, b *idptest.Browser, user string, tokens map[string]any)
}{
	{"sign-out page", false, func(t *testing.T, b *idptest.Browser, _ string, _ map[string]any) {
		wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	}},
	{"RP-initiated", false, func(t *testing.T, b *idptest.Browser, _ string, tokens map[string]any) {
		w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {str(t, tokens, "id_token")}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
		wantStatus(t, "end session", w, http.StatusSeeOther)
	}},
	{"somebody else signs in", false, func(_ *testing.T, b *idptest.Browser, _ string, _ map[string]any) { b.SignIn("olga") }},
	{"D06 disabled", true, func(t *testing.T, b *idptest.Browser, user string, _ map[string]any) {
		check(t, provider.NewDirectory(b.IDP.Store).Disable(t.Context(), user, byTest, time.Now()))
	}},
	{"D06 new password", true, func(t *testing.T, b *idptest.Browser, user string, _ map[string]any) {
		check(t, provider.NewDirectory(b.IDP.Store).SetPassword(t.Context(), user, "another password", byTest, time.Now()))
	}},
}

// TestBackchannelLogout runs what can share a provider and a sender.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	each(t, telling(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		sending(t, idp.Provider)
		db := database(t, idp)
		t.Run("own sessions", func(t *testing.T) { testOwnSessionsTold(t, idp, db) })
		t.Run("impersonations", func(t *testing.T) { testImpersonationsTold(t, idp, db) })
		t.Run("receivers", func(t *testing.T) { testReceivers(t, idp, db) })
		t.Run("a slow receiver", func(t *testing.T) { testSlowReceiver(t, idp, db) })
		t.Run("A24", func(t *testing.T) { testLogoutTokenIsNothingElse(t, idp, db) })
		t.Run("what a sign-out ends", func(t *testing.T) { testWhatSignOutEnds(t, idp) })
	})
}

// Whoever has a session of the sign-in that ended hears of it, once, and nobody else.
func testOwnSessionsTold(t *testing.T, idp *idptest.IDP, db *sql.DB) {
	for _, way := range ends {
		t.Run(way.name, func(t *testing.T) {
			user := enroll(t, idp, unique("user"), "")
			name := strings.TrimPrefix(user, "usr_")
			told := newApplication(t, idp, nil, func(c *storage.Client) { c.IDTokenSignedResponseAlg = "RS256" })
			other := newApplication(t, idp, nil, nil)
			silent := newApplication(t, idp, nil, func(c *storage.Client) { c.BackchannelLogoutURI = "" })
			never := newApplication(t, idp, nil, nil)
			here, elsewhere, stranger := person(t, idp, name), person(t, idp, name), person(t, idp, "linus")
			tokens := told.signIn(here)
			told.signIn(here, "prompt", "none") // the same session
			other.signIn(here, "scope", "openid offline_access")
			silent.signIn(here)
			second := sidOf(t, told.signIn(elsewhere))
			told.signIn(stranger)
			sid := sidOf(t, tokens)

			way.end(t, here, user, tokens)
			want := map[string]string{sid: user}
			other.wantHeard(db, want)
			if way.all {
				want[second] = user
			}
			told.wantHeard(db, want)
			silent.wantHeard(db, map[string]string{})
			never.wantHeard(db, map[string]string{})
			if n := told.count(db, "status = 'delivered' AND attempts = 1 AND http_status = 200 AND impersonation_id = ''"); n != len(want) {
				t.Errorf("%d notices of %d say that they were delivered", n, len(want))
			}
		})
	}
}

// An impersonation's end is told with its own sid and no subject, however it ends;
// the subject's own session at the same application is not mentioned unless it
// ended too (SECURITY A13, A14, T32).
func testImpersonationsTold(t *testing.T, idp *idptest.IDP, db *sql.DB) {
	type way struct {
		name string
		end  func(t *testing.T, a *act)
	}
	all := []way{
		{"RP-initiated with its hint", func(t *testing.T, a *act) {
			hint := url.Values{"id_token_hint": {str(t, a.tokens, "id_token")}, "post_logout_redirect_uri": {"https://app.example/"}}
			wantStatus(t, "stop", a.browser.Get("/oauth2/logout?"+hint.Encode()), http.StatusSeeOther)
		}},
		{"A12 its time runs out", func(t *testing.T, a *act) {
			exec(t, db, fmt.Sprintf(`UPDATE impersonations SET expires_at = started_at + 1 WHERE id = '%s'`, a.id))
			check(t, idp.Provider.Impersonation.Expire(t.Context(), time.Now()))
		}},
		{"its code comes twice", func(t *testing.T, a *act) {
			wantRefused(t, "again", a.exchange(), http.StatusBadRequest, "invalid_grant")
		}},
	}
	for _, w := range ways {
		all = append(all, way{w.name, w.end})
	}
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			a := begin(t, idp)
			rp := listening(t, idp, a.client, nil)
			idp.Change(t, a.client, func(c *storage.Client) { c.BackchannelLogoutURI = rp.uri })
			own := sidOf(t, rp.signIn(person(t, idp, a.subject)))
			a.tokens = a.exchange().JSON(t)
			if sidOf(t, a.tokens) != a.id {
				t.Fatalf("sid %s of %s", sidOf(t, a.tokens), a.id)
			}

			w.end(t, a)
			want := map[string]string{a.id: ""}
			if strings.HasPrefix(w.name, "A15 the subject is disabled") || strings.HasPrefix(w.name, "A15 the subject has a new password") ||
				strings.HasPrefix(w.name, "D06 the subject changes their password") {
				want[own] = a.subjectID()
			}
			rp.wantHeard(db, want)
			for _, h := range rp.heard() {
				if _, says := h.claims["sub"]; h.sid == a.id && (says || len(h.claims) != 7) {
					t.Errorf("T32 the token of an impersonation: %v", h.claims)
				}
			}
			if n := rp.count(db, fmt.Sprintf("status = 'delivered' AND impersonation_id = '%s' AND sid = '%s'", a.id, a.id)); n != 1 {
				t.Errorf("%d notices name the impersonation", n)
			}
		})
	}
}

// F10, and what becomes of a notice: refused is refused, anything else may pass.
func testReceivers(t *testing.T, idp *idptest.IDP, db *sql.DB) {
	answering := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		change func(*storage.Client)
		first  string // after an attempt: status, http_status
		cause  string // part of the error
	}{
		"200":      {answering(200), nil, "delivered 200", ""},
		"204":      {answering(204), nil, "delivered 204", ""},
		"400":      {answering(400), nil, "failed 400", "400"},
		"401":      {answering(401), nil, "failed 401", "401"},
		"404":      {answering(404), nil, "failed 404", "404"},
		"408":      {answering(408), nil, "pending 408", "408"},
		"429":      {answering(429), nil, "pending 429", "429"},
		"500":      {answering(500), nil, "pending 500", "500"},
		"503":      {answering(503), nil, "pending 503", "503"},
		"redirect": {http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, nil, "pending 307", "307"},
		"a huge answer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
		}, nil, "delivered 200", ""},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "pending 0", "EOF"},
		"nobody there": {nil, func(c *storage.Client) {
			server := httptest.NewServer(nil)
			server.Close()
			c.BackchannelLogoutURI = server.URL + "/logout?key=secret"
		}, "pending 0", "refused"},
		"a private address": {nil, func(c *storage.Client) { c.BackchannelLogoutURI = "https://10.1.2.3/logout?key=secret" }, "pending 0", "not public"},
		"plain http":        {nil, func(c *storage.Client) { c.BackchannelLogoutURI = "http://192.0.2.1/logout?key=secret" }, "pending 0", "not public"},
	} {
		t.Run("F10 "+name, func(t *testing.T) {
			rp := newApplication(t, idp, c.answer, c.change)
			b := person(t, idp, "ada")
			rp.signIn(b)
			wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
			var brief, cause string
			eventually(t, "an attempt", func() bool {
				brief, cause, _ = rp.notice(db)
				return brief != "pending 0" || cause != ""
			})
			if brief != c.first || !strings.Contains(cause, c.cause) || c.cause == "" && cause != "" || strings.Contains(cause, "secret") {
				t.Errorf("got %s, %q, want %s, %q", brief, cause, c.first, c.cause)
			}
			if !strings.HasPrefix(brief, "pending") {
				return
			}
			var next int64
			check(t, db.QueryRow(`SELECT next_attempt_at - created_at FROM logout_notices WHERE client_id = '`+rp.id+`'`).Scan(&next))
			if next < 800_000 {
				t.Errorf("the next attempt is %d µs after the end", next)
			}
			rp.recovers()
			if c.change != nil {
				exec(t, db, fmt.Sprintf(`UPDATE clients SET backchannel_logout_uri = '%s', version = version + 1 WHERE id = '%s'`, rp.uri, rp.id))
			}
			exec(t, db, `UPDATE logout_notices SET next_attempt_at = 0 WHERE client_id = '`+rp.id+`'`) // time passes
			rp.settled(db)
			if brief, cause, attempts := rp.notice(db); brief != "delivered 200" || cause != "" || attempts < 2 {
				t.Errorf("then: got %s, %q after %d attempts", brief, cause, attempts)
			}
			tokens := rp.heard()
			if len(tokens) == 2 && tokens[0].claims["jti"] == tokens[1].claims["jti"] {
				t.Error("two attempts sent one jti")
			}
		})
	}
	t.Run("a day later it is given up", func(t *testing.T) {
		rp := newApplication(t, idp, answering(502), nil)
		b := person(t, idp, "ada")
		rp.signIn(b)
		wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
		eventually(t, "an attempt", func() bool { brief, _, _ := rp.notice(db); return brief == "pending 502" })
		exec(t, db, `UPDATE logout_notices SET next_attempt_at = 0, created_at = created_at - 86400000000 WHERE client_id = '`+rp.id+`'`)
		rp.settled(db)
		if brief, cause, attempts := rp.notice(db); brief != "failed 502" || attempts < 2 || cause != "the answer was 502" {
			t.Errorf("got %s, %q", brief, cause)
		}
	})
	for name, gone := range map[string]func(t *testing.T, id string){
		"unregistered": func(t *testing.T, id string) {
			idp.Change(t, id, func(c *storage.Client) { c.BackchannelLogoutURI = "" })
		},
		"deleted": func(t *testing.T, id string) {
			check(t, provider.NewRegistration(idp.Store).Delete(t.Context(), id, byTest, time.Now()))
		},
	} {
		t.Run(name+" before it was told", func(t *testing.T) {
			rp := newApplication(t, idp, answering(500), nil)
			b := person(t, idp, "ada")
			rp.signIn(b)
			wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
			eventually(t, "an attempt", func() bool { brief, _, _ := rp.notice(db); return brief == "pending 500" })
			gone(t, rp.id)
			heard := len(rp.heard()) // and one more that was on its way
			exec(t, db, `UPDATE logout_notices SET next_attempt_at = 0 WHERE client_id = '`+rp.id+`'`)
			rp.settled(db)
			if brief, cause, _ := rp.notice(db); !strings.HasPrefix(brief, "failed") || cause == "" || len(rp.heard()) > heard+1 {
				t.Errorf("got %s, %q, heard %d times, %d before", brief, cause, len(rp.heard()), heard)
			}
		})
	}
}

// Who is slow gets a few at a time and holds up nobody else.
func testSlowReceiver(t *testing.T, idp *idptest.IDP, db *sql.DB) {
	release, mu, now, most := make(chan struct{}), sync.Mutex{}, 0, 0
	slow := newApplication(t, idp, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		mu.Lock()
		now--
		mu.Unlock()
	}, nil)
	quick := newApplication(t, idp, nil, nil)
	for range 12 {
		b := person(t, idp, "ada")
		slow.signIn(b)
		quick.signIn(b)
		wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	}
	quick.settled(db)
	if n := slow.count(db, "status = 'delivered'"); n != 0 {
		t.Errorf("%d were delivered to an application that does not answer", n)
	}
	close(release)
	eventually(t, "the slow one is done", func() bool {
		exec(t, db, `UPDATE logout_notices SET next_attempt_at = 0 WHERE status = 'pending' AND http_status = 0 AND error <> '' AND client_id = '`+slow.id+`'`)
		return slow.count(db, "status = 'delivered'") == 12
	})
	if most > 4 {
		t.Errorf("%d at once", most)
	}
}

// A logout token is no hint and no access token, though the same key signed it.
func testLogoutTokenIsNothingElse(t *testing.T, idp *idptest.IDP, db *sql.DB) {
	rp := newApplication(t, idp, nil, nil)
	b := person(t, idp, "ada")
	rp.signIn(b)
	wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	rp.settled(db)
	token := rp.heard()[0].raw
	b = person(t, idp, "ada")
	wantOutcome(t, b, asking("client_id", rp.id, "prompt", "none", "id_token_hint", token), "error=invalid_request")
	w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
	if w.Status != http.StatusOK || w.Element("logout-form") == nil {
		t.Errorf("as a hint: %d %s", w.Status, w.Header.Get("Location"))
	}
	wantRefused(t, "as an access token", userinfo(idp, token), http.StatusUnauthorized, "invalid_token")
	if got := idp.Call("/oauth2/introspect", rp.id, idptest.Secret, url.Values{"token": {token}}).JSON(t); got["active"] != false {
		t.Errorf("introspection: %v", got)
	}
}

// Signing out ends what clients were granted where they ask for it, and nothing else.
func testWhatSignOutEnds(t *testing.T, idp *idptest.IDP) {
	elsewhere := person(t, idp, "ada")
	for _, c := range []struct {
		name, scope string
		revoke      bool
		lives       bool
	}{
		{"online", "openid email", false, true},
		{"offline", "openid offline_access", false, true},
		{"online, revoking", "openid email", true, false},
		{"offline, revoking", "openid offline_access", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := person(t, idp, "ada")
			rp := newApplication(t, idp, nil, func(client *storage.Client) {
				client.RevokeOnLogout, client.BackchannelLogoutURI = c.revoke, ""
			})
			tokens, others := rp.signIn(b, "scope", c.scope), rp.signIn(elsewhere, "scope", c.scope)
			active := func(tokens map[string]any) any {
				return idp.Call("/oauth2/introspect", rp.id, idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}}).JSON(t)["active"]
			}
			if active(tokens) != true {
				t.Fatal("not active before")
			}
			wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
			if got := active(tokens); got != c.lives {
				t.Errorf("access token: active %v, want %v", got, c.lives)
			}
			if active(others) != true {
				t.Error("a token of another sign-in ended")
			}
			if token, ok := tokens["refresh_token"].(string); ok {
				w := idp.Call("/oauth2/token", rp.id, idptest.Secret, refreshing(token))
				if (w.Status == http.StatusOK) != c.lives {
					t.Errorf("refresh: %d %s", w.Status, w.Body)
				}
			}
		})
	}
}

// What goes on the wire, of a session of one's own and of an impersonation.
func TestLogoutTokenOnTheWire(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, telling(idptest.Options{}))
	sending(t, idp.Provider)
	db := database(t, idp)
	rp := listening(t, idp, "app", nil)
	idp.Change(t, "app", func(c *storage.Client) { c.BackchannelLogoutURI = rp.uri })
	ada, sam := person(t, idp, "ada"), person(t, idp, "sam")
	rp.signIn(ada)
	acting := sidOf(t, idp.Tokens(t, sam.ActAs("usr_ada", asking("prompt", "select_account"))))
	ada.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}})
	sam.Post("/impersonation/stop", url.Values{"id": {acting}})
	rp.settled(db)
	for i, name := range []string{"acting_logout_token", "own_logout_token"} {
		h := rp.heard()[i]
		issued, _ := h.claims["iat"].(float64)
		wire{t, time.Unix(int64(issued), 0)}.token(name, h.raw)
	}
}

// Two servers share the work: while receivers answer, each token is sent once.
func TestTwoLogoutSenders(t *testing.T) {
	t.Parallel()
	each(t, telling(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		store, err := storage.Open(t.Context(), storage.Options{DSN: idp.DSN})
		check(t, err)
		t.Cleanup(func() { _ = store.Close() })
		keys, err := provider.NewKeyring(store, "a secret of a test that is long enough")
		check(t, err)
		check(t, keys.Load(t.Context(), time.Now()))
		config := telling(idptest.Options{}).Provider
		config.Issuer = idptest.Issuer
		second := provider.New(config, store, keys, slog.New(slog.DiscardHandler))

		db := database(t, idp)
		rps := []*application{newApplication(t, idp, nil, nil), newApplication(t, idp, nil, nil), newApplication(t, idp, nil, nil)}
		want := map[string]string{}
		var browsers []*idptest.Browser
		for range 15 {
			b := person(t, idp, "ada")
			for _, rp := range rps {
				want[sidOf(t, rp.signIn(b))] = "usr_ada"
			}
			browsers = append(browsers, b)
		}
		sending(t, idp.Provider)
		sending(t, second)
		for _, b := range browsers {
			b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}})
		}
		for _, rp := range rps {
			rp.wantHeard(db, want)
			if n := rp.count(db, "status = 'delivered' AND attempts = 1"); n != len(want) {
				t.Errorf("%d of %d were delivered at the first attempt", n, len(want))
			}
		}
	})
}

// A server that dies between the claim and its result delays a notice, and its late
// word no longer counts.
func TestLogoutSenderDies(t *testing.T) {
	t.Parallel()
	each(t, telling(idptest.Options{}), func(t *testing.T, idp *idptest.IDP) {
		db := database(t, idp)
		rp := newApplication(t, idp, nil, nil)
		b := person(t, idp, "ada")
		sid := sidOf(t, rp.signIn(b))
		wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
		var claimed []storage.LogoutNotice
		claim := func(until time.Time) {
			t.Helper()
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) (err error) {
				claimed, err = tx.ClaimLogoutNotices(ctx, rp.id, 10, time.Now(), until)
				return err
			})
		}
		claim(time.Now())
		if len(claimed) != 1 || claimed[0].SID != sid {
			t.Fatalf("claimed %+v", claimed)
		}
		lost := claimed[0]
		sending(t, idp.Provider)
		rp.wantHeard(db, map[string]string{sid: "usr_ada"})
		if brief, _, attempts := rp.notice(db); brief != "delivered 200" || attempts != 2 {
			t.Errorf("got %s after %d attempts", brief, attempts)
		}
		lost.Status = storage.NoticeFailed
		err := idp.Store.Write(t.Context(), func(tx *storage.Tx) error { return tx.FinishLogoutNotice(t.Context(), &lost, time.Now()) })
		if err == nil {
			t.Error("a late word counted")
		}
		if claim(time.Now().Add(time.Minute)); len(claimed) != 0 {
			t.Errorf("claimed again: %+v", claimed)
		}
	})
}

// Who failed for good is said once, in the log, without the token.
func TestLogoutInTheLog(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	idp := idptest.New(t, telling(idptest.Options{Log: &log}))
	db := database(t, idp)
	rp := newApplication(t, idp, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, nil)
	b := person(t, idp, "ada")
	sid := sidOf(t, rp.signIn(b))
	wantStatus(t, "sign out", b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	t.Run("send", func(t *testing.T) { // its end is the end of the sender
		sending(t, idp.Provider)
		rp.settled(db)
	})
	if n := strings.Count(log.String(), `"level":"WARN"`); n != 1 || !strings.Contains(log.String(), sid) || strings.Contains(log.String(), "eyJ") {
		t.Errorf("log: %s", log.String())
	}
}
