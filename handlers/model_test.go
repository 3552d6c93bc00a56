package handlers_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// The life of everything that is given out, by rules that are simpler than the
// product's: what each thing is, and what ends it.
const (
	modelLeeway  = 10 * time.Second
	modelCode    = time.Minute
	modelAccess  = 15 * time.Minute
	modelIdle    = 14 * 24 * time.Hour
	modelRefresh = 30 * 24 * time.Hour
)

type modelClient struct {
	id       string
	active   bool
	delegate bool // may refresh while somebody acts
}

type modelPerson struct {
	id, name string
	active   bool
	browser  *idptest.Browser
	session  *modelSession // nil: signed out
}

type modelSession struct{ ended bool }

type modelActing struct {
	id             string
	actor, subject *modelPerson
	client         *modelClient
	session        *modelSession
	end            time.Time
	ended          bool
}

func (i *modelActing) running(now time.Time) bool { return i != nil && !i.ended && now.Before(i.end) }

type modelGrant struct {
	client   *modelClient
	subject  *modelPerson
	acting   *modelActing // nil: as themselves
	session  *modelSession
	offline  bool
	notAfter time.Time
	revoked  bool
	code     string
	codeEnd  time.Time
	codeUsed bool
}

func (g *modelGrant) live(now time.Time) bool {
	return !g.revoked && g.subject.active && now.Before(g.notAfter)
}

type modelToken struct {
	value     string
	grant     *modelGrant
	refresh   bool
	end       time.Time
	denied    bool
	used      bool // of refresh tokens
	usedAt    time.Time
	successor *modelToken
}

func (x *modelToken) active(now time.Time) bool {
	return !x.denied && !x.used && now.Before(x.end) && x.grant.live(now)
}

// model is a provider beside what there should be in it.
type model struct {
	idp     *idptest.IDP
	db      *sql.DB
	t       asTB
	clients []*modelClient
	people  []*modelPerson // the last may act as the others
	acting  []*modelActing
	grants  []*modelGrant
	tokens  []*modelToken
}

// asTB lets helpers of tests fail the check that runs.
type asTB struct {
	testing.TB
	r *rapid.T
}

func (t asTB) Helper()                           {}
func (t asTB) Cleanup(f func())                  { t.r.Cleanup(f) }
func (t asTB) Context() context.Context          { return context.Background() }
func (t asTB) Error(args ...any)                 { t.r.Error(args...) }
func (t asTB) Errorf(format string, args ...any) { t.r.Errorf(format, args...) }
func (t asTB) Fatal(args ...any)                 { t.r.Fatal(args...) }
func (t asTB) Fatalf(format string, args ...any) { t.r.Fatalf(format, args...) }

func newModel(t asTB, idp *idptest.IDP, db *sql.DB) *model {
	m := &model{idp: idp, db: db, t: t}
	for i := range 2 {
		c := &modelClient{id: unique("client"), active: true, delegate: i == 0}
		addClient(t, idp, c.id, func(row *storage.Client) {
			everyResponseType(row)
			row.ImpersonationRefresh = c.delegate
			row.GrantTypes = append(row.GrantTypes, grantExchange)
			if i == 1 {
				row.AccessTokenFormat = "opaque"
			}
		})
		m.clients = append(m.clients, c)
	}
	for _, role := range []string{"", "", "support"} {
		p := &modelPerson{name: unique("person"), active: true}
		p.id = enroll(t, idp, p.name, role)
		m.people = append(m.people, p)
		m.arrive(p)
	}
	return m
}

// arrive signs a person in.
func (m *model) arrive(p *modelPerson) {
	p.browser, p.session = person(m.t, m.idp, p.name), &modelSession{}
}

func (m *model) actor() *modelPerson { return m.people[len(m.people)-1] }

// one draws one of what there is, the first more often, and skips the action where
// there is none.
func one[T any](r *rapid.T, what string, from []T) T {
	if len(from) == 0 {
		r.Skip("no " + what)
	}
	return rapid.SampledFrom(from).Draw(r, what)
}

// latest is what there is, the last first.
func latest[T any](from []T) []T {
	from = slices.Clone(from)
	slices.Reverse(from)
	return from
}

// asks are the parameters of an authorization request.
func (m *model) asks(r *rapid.T) (c *modelClient, responseType string, offline bool, pairs []string) {
	c = one(r, "client", m.clients)
	responseType = rapid.SampledFrom(everyType).Draw(r, "response type")
	offline = rapid.SampledFrom([]bool{true, true, false}).Draw(r, "offline")
	scope := "openid email"
	if offline {
		scope += " offline_access"
	}
	return c, responseType, offline, []string{"client_id", c.id, "response_type", responseType, "scope", scope}
}

// authorize asks as the person themselves.
func (m *model) authorize(r *rapid.T) {
	p := one(r, "person", m.people)
	c, responseType, offline, pairs := m.asks(r)
	now, want := time.Now(), "answer"
	switch {
	case !c.active:
		want = "page=invalid_client"
	case p.session.ended:
		want = "error=login_required"
	case slices.ContainsFunc(m.acting, func(i *modelActing) bool {
		return i.session == p.session && i.client == c && i.running(now)
	}):
		want = "error=login_required"
	}
	at, w := p.browser.Follow(asking(append(pairs, "prompt", "none")...))
	_, said := answered(w)
	got := outcome(at, w)
	if said.Has("code") || said.Has("id_token") {
		got = "answer"
	}
	if got != want {
		m.t.Fatalf("authorize: got %s, want %s", got, want)
	}
	if want != "answer" {
		return
	}
	g := &modelGrant{client: c, subject: p, session: p.session, offline: offline && gives(responseType, "code"), notAfter: now.Add(modelCode + modelAccess)}
	if offline {
		g.notAfter = now.Add(modelRefresh)
	}
	m.given(g, responseType, said)
}

func gives(responseType, word string) bool {
	return slices.Contains(strings.Fields(responseType), word)
}

// given notes what an authorization response brought, and checks it.
func (m *model) given(g *modelGrant, responseType string, said url.Values) {
	now := time.Now()
	for word, name := range map[string]string{"code": "code", "token": "access_token", "id_token": "id_token"} {
		if gives(responseType, word) != said.Has(name) {
			m.t.Fatalf("%s: said %v", responseType, said)
		}
	}
	m.grants = append(m.grants, g)
	if g.code = said.Get("code"); g.code != "" {
		g.codeEnd = now.Add(modelCode)
	}
	if token := said.Get("access_token"); token != "" {
		m.accessToken(g, token)
	}
	if token := said.Get("id_token"); token != "" {
		m.claims(g, "ID token", idptest.Claims(m.t, token))
	}
}

// accessToken notes one that was given out.
func (m *model) accessToken(g *modelGrant, token string) {
	m.tokens = append(m.tokens, &modelToken{value: token, grant: g, end: earlier(time.Now().Add(modelAccess), g.notAfter)})
	if strings.Count(token, ".") == 2 {
		m.claims(g, "access token", idptest.Claims(m.t, token))
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// claims checks what a token, or the answer about one, says of its people: A08, A12.
func (m *model) claims(g *modelGrant, what string, claims map[string]any) {
	act, _ := claims["act"].(map[string]any)
	if claims["sub"] != g.subject.id || (act != nil) != (g.acting != nil) {
		m.t.Fatalf("%s of %s: %v", what, g.subject.id, claims)
	}
	if g.acting == nil {
		return
	}
	if act["sub"] != g.acting.actor.id {
		m.t.Fatalf("%s of %s, who acts as %s: %v", what, g.acting.actor.id, g.subject.id, claims)
	}
	if exp, ok := claims["exp"].(float64); ok && int64(exp) > g.acting.end.Unix() {
		m.t.Fatalf("%s outlives its impersonation: %v", what, claims)
	}
}

// act starts an impersonation at the consent page.
func (m *model) act(r *rapid.T) {
	a, s := m.actor(), one(r, "subject", m.people[:len(m.people)-1])
	c, responseType, offline, pairs := m.asks(r)
	minutes := rapid.SampledFrom([]int{1, 5, 30, 60}).Draw(r, "minutes")
	now := time.Now()
	// The password was just shown; TestStepUp is about what happens otherwise.
	_, err := m.db.Exec(`UPDATE login_sessions SET auth_time = ? WHERE user_id = ?`, storage.At(now), a.id)
	check(m.t, err)
	at, w := a.browser.Follow(asking(append(pairs, "prompt", "select_account")...))
	want := "consent"
	switch {
	case !c.active:
		want = "page=invalid_client"
	case a.session.ended:
		want = "login"
	}
	if got := outcome(at, w); got != want {
		m.t.Fatalf("consent page: got %s, want %s", got, want)
	}
	if want != "consent" {
		return
	}
	w = a.browser.Post(at, idptest.Wish(s.id, having("duration", fmt.Sprint(minutes))))
	_, said := answered(w)
	if !s.active {
		if w.Status != http.StatusForbidden || said != nil {
			m.t.Fatalf("acting as somebody who is disabled: status %d, %v", w.Status, said)
		}
		return
	}
	i := &modelActing{actor: a, subject: s, client: c, session: a.session, end: now.Add(time.Duration(minutes) * time.Minute)}
	all, err := m.idp.Store.Impersonations(context.Background(), storage.ImpersonationFilter{Actor: a.id}, now)
	check(m.t, err)
	for _, row := range all {
		if !slices.ContainsFunc(m.acting, func(known *modelActing) bool { return known.id == row.ID }) {
			i.id = row.ID
		}
	}
	if i.id == "" {
		m.t.Fatalf("nothing started: status %d: %.300s", w.Status, w.Body)
	}
	m.acting = append(m.acting, i)
	m.given(&modelGrant{
		client: c, subject: s, acting: i, session: a.session, notAfter: i.end, offline: offline && c.delegate && gives(responseType, "code"),
	}, responseType, said)
}

// access returns the access tokens that were given to a client for somebody as themselves, or for somebody
// who acts.
func (m *model) access(own bool) (all []*modelToken) {
	for _, x := range latest(m.some(false)) {
		if own == (x.grant.acting == nil) && (!own || x.grant.subject == m.actor()) {
			all = append(all, x)
		}
	}
	return all
}

// trade begins to act by token exchange, with an access token of the actor.
func (m *model) trade(r *rapid.T) {
	x, s := one(r, "actor token", m.access(true)), one(r, "subject", m.people[:len(m.people)-1])
	g, c, now := x.grant, x.grant.client, time.Now()
	offline := rapid.Bool().Draw(r, "offline")
	minutes := rapid.SampledFrom([]int{1, 5, 30, 60}).Draw(r, "minutes")
	// The password was just shown; TestTokenExchangeTable is about what happens otherwise.
	for _, table := range []string{"login_sessions", "grants"} {
		_, err := m.db.Exec(`UPDATE `+table+` SET auth_time = ? WHERE user_id = ?`, storage.At(now), m.actor().id)
		check(m.t, err)
	}
	form := url.Values{
		"grant_type": {grantExchange}, "subject_token": {s.id}, "subject_token_type": {userIDType}, "actor_token": {x.value}, "actor_token_type": {accessType},
		"reason": {"Cannot see invoice 4711"}, "duration": {fmt.Sprint(minutes)}, "scope": {"openid email"},
	}
	if offline {
		form.Set("scope", "openid email offline_access")
	}
	w := m.call(c, form)
	if !x.active(now) || g.session.ended || !s.active || !c.active {
		m.untraded("an exchange", c, w)
		return
	}
	wantStatus(m.t, "a good exchange", w, http.StatusOK)
	answer := w.JSON(m.t)
	told, _ := answer["impersonation"].(map[string]any)
	i := &modelActing{
		id: str(m.t, told, "id"), actor: m.actor(), subject: s, client: c, session: g.session, end: now.Add(time.Duration(minutes) * time.Minute),
	}
	m.acting = append(m.acting, i)
	m.traded(&modelGrant{client: c, subject: s, acting: i, session: g.session, notAfter: i.end, offline: offline && c.delegate}, answer, x.end)
}

// comeBack ends an impersonation by exchanging a token of it for one of the actor.
func (m *model) comeBack(r *rapid.T) {
	x, now := one(r, "token of somebody who acts", m.access(false)), time.Now()
	g, i := x.grant, x.grant.acting
	w := m.call(g.client, url.Values{
		"grant_type": {grantExchange}, "subject_token": {x.value}, "subject_token_type": {accessType}, "requested_subject": {i.actor.id},
	})
	if !x.active(now) || i.session.ended || !g.client.active {
		m.untraded("the way back", g.client, w)
		return
	}
	wantStatus(m.t, "the way back", w, http.StatusOK)
	m.end(i)
	m.traded(&modelGrant{client: g.client, subject: i.actor, session: i.session, notAfter: now.Add(modelAccess)}, w.JSON(m.t), now.Add(modelAccess))
}

// traded notes what an exchange brought: nothing that lives longer than what it was for.
func (m *model) traded(g *modelGrant, answer map[string]any, bound time.Time) {
	m.grants = append(m.grants, g)
	m.accessToken(g, str(m.t, answer, "access_token"))
	last := m.tokens[len(m.tokens)-1]
	last.end = earlier(last.end, bound)
	if lives := int64(answer["expires_in"].(float64)); lives > int64(time.Until(last.end)/time.Second) {
		m.t.Fatalf("expires_in %d, and it ends at %v", lives, last.end)
	}
	token, has := answer["refresh_token"].(string)
	if has != g.offline {
		m.t.Fatalf("a refresh token: %v, want %v", has, g.offline)
	}
	if has {
		m.tokens = append(m.tokens, &modelToken{value: token, grant: g, refresh: true, end: g.notAfter})
	}
}

func (m *model) untraded(what string, c *modelClient, w *idptest.Response) {
	if !c.active {
		wantRefused(m.t, what, w, http.StatusUnauthorized, "invalid_client")
	} else if answer := w.JSON(m.t); w.Status != http.StatusBadRequest || answer["error"] != "invalid_request" {
		m.t.Fatalf("%s: %d %s", what, w.Status, w.Body)
	}
}

// end ends an impersonation and what came of it.
func (m *model) end(i *modelActing) {
	i.ended = true
	for _, g := range m.grants {
		if g.acting == i {
			g.revoked = true
		}
	}
}

func (m *model) endAll(which func(*modelActing) bool) {
	for _, i := range m.acting {
		if !i.ended && which(i) {
			m.end(i)
		}
	}
}

// stolen revokes what a code or a refresh token gave that came a second time.
func (m *model) stolen(g *modelGrant) {
	g.revoked = true
	if g.acting != nil {
		m.end(g.acting)
	}
}

// refused checks that a token request is refused, as is right for its client.
func (m *model) refused(what string, c *modelClient, w *idptest.Response) {
	if c.active {
		wantRefused(m.t, what, w, http.StatusBadRequest, "invalid_grant")
	} else {
		wantRefused(m.t, what, w, http.StatusUnauthorized, "invalid_client")
	}
}

// exchange presents a code, good or not, in the right way or in a wrong one.
func (m *model) exchange(r *rapid.T) {
	var unused, used []*modelGrant
	for _, g := range latest(m.grants) {
		switch {
		case g.code == "":
		case g.codeUsed:
			used = append(used, g)
		default:
			unused = append(unused, g)
		}
	}
	g, now := one(r, "code", append(unused, used...)), time.Now()
	c, form := g.client, idptest.Exchange(g.code, nil)
	switch rapid.SampledFrom([]string{"right", "right", "right", "verifier", "client"}).Draw(r, "how") {
	case "verifier":
		form.Set("code_verifier", strings.Repeat("w", 43))
		m.refused("a wrong verifier", c, m.call(c, form))
		return
	case "client":
		other := m.clients[(slices.Index(m.clients, c)+1)%len(m.clients)]
		m.refused("another client", other, m.call(other, form))
		return
	}
	w := m.call(c, form)
	switch {
	case !c.active:
		m.refused("a code of a disabled client", c, w)
	case g.codeUsed:
		m.refused("a code that was used", c, w)
		m.stolen(g)
	case !now.Before(g.codeEnd), !g.live(now), g.session.ended:
		m.refused("a code that is over", c, w)
	default:
		wantStatus(m.t, "a good code", w, http.StatusOK)
		g.codeUsed = true
		m.tokensOf(g, w.JSON(m.t), nil)
	}
}

func (m *model) call(c *modelClient, form url.Values) *idptest.Response {
	return m.idp.Call("/oauth2/token", c.id, idptest.Secret, form)
}

// tokensOf notes what a token response brought; again is the refresh token that it
// has to bring once more, where it does.
func (m *model) tokensOf(g *modelGrant, answer map[string]any, again *modelToken) *modelToken {
	m.claims(g, "ID token", idptest.Claims(m.t, answer["id_token"]))
	m.accessToken(g, str(m.t, answer, "access_token"))
	token, has := answer["refresh_token"].(string)
	if has != g.offline {
		m.t.Fatalf("a refresh token: %v, want %v", has, g.offline)
	}
	switch {
	case !has:
		return nil
	case again != nil && token != again.value:
		m.t.Fatal("a retry brought another refresh token")
	case again != nil:
		return again
	}
	x := &modelToken{value: token, grant: g, refresh: true, end: earlier(time.Now().Add(modelIdle), g.notAfter)}
	m.tokens = append(m.tokens, x)
	return x
}

func (m *model) some(refresh bool) (all []*modelToken) {
	for _, x := range m.tokens {
		if x.refresh == refresh {
			all = append(all, x)
		}
	}
	return all
}

// refresh presents a refresh token: the current one, one that was spent, at once or
// later.
func (m *model) refresh(r *rapid.T) {
	x, now := one(r, "refresh token", latest(m.some(true))), time.Now()
	g := x.grant
	if rapid.IntRange(0, 4).Draw(r, "whose") == 0 {
		other := m.clients[(slices.Index(m.clients, g.client)+1)%len(m.clients)]
		m.refused("another client", other, m.call(other, refreshing(x.value)))
		return
	}
	w := m.call(g.client, refreshing(x.value))
	switch {
	case !g.client.active:
		m.refused("a refresh token of a disabled client", g.client, w)
	case !now.Before(x.end), !g.live(now):
		m.refused("a refresh token that is over", g.client, w)
	case !x.used:
		wantStatus(m.t, "a good refresh token", w, http.StatusOK)
		x.used, x.usedAt = true, now
		x.successor = m.tokensOf(g, w.JSON(m.t), nil)
	case g.acting != nil, now.Sub(x.usedAt) > modelLeeway:
		m.refused("a spent refresh token", g.client, w)
		m.stolen(g)
	case x.successor.used:
		m.refused("a retry after the successor was used", g.client, w)
	default:
		wantStatus(m.t, "a retry", w, http.StatusOK)
		m.tokensOf(g, w.JSON(m.t), x.successor)
	}
}

// revoke revokes any token, as its client or as another.
func (m *model) revoke(r *rapid.T) {
	x, c, now := one(r, "token", latest(m.tokens)), one(r, "client", m.clients), time.Now()
	w := m.idp.Call("/oauth2/revoke", c.id, idptest.Secret, url.Values{"token": {x.value}})
	if !c.active {
		wantRefused(m.t, "revocation", w, http.StatusUnauthorized, "invalid_client")
		return
	}
	wantStatus(m.t, "revocation", w, http.StatusOK)
	switch {
	case c != x.grant.client || !x.active(now):
	case !x.refresh:
		x.denied = true
	case x.grant.acting != nil:
		m.end(x.grant.acting)
	default:
		x.grant.revoked = true
	}
}

// stop stops an impersonation at the page, or by its ID token's sid.
func (m *model) stop(r *rapid.T) {
	i := one(r, "impersonation", latest(m.acting))
	by := one(r, "who", []*modelPerson{i.actor, i.subject})
	w := by.browser.Post("/impersonation/stop", url.Values{"id": {i.id}})
	if by.session.ended {
		if w.Location().Path != "/login" {
			m.t.Fatalf("stop by nobody: status %d at %s", w.Status, w.Location())
		}
		return
	}
	if w.Location().Path != "/impersonation/stopped" {
		m.t.Fatalf("stop: status %d at %s", w.Status, w.Location())
	}
	m.end(i)
}

// signOut ends a person's sign-in, and the next action finds them signed in anew.
func (m *model) signOut(r *rapid.T) {
	p := one(r, "person", m.people)
	if p.session.ended {
		r.Skip("signed out already")
	}
	wantStatus(m.t, "sign out", p.browser.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	p.session.ended = true
	m.endAll(func(i *modelActing) bool { return i.session == p.session })
}

func (m *model) signIn(r *rapid.T) {
	p := one(r, "person", m.people)
	if !p.session.ended || !p.active {
		r.Skip("signed in already, or disabled")
	}
	m.arrive(p)
}

// turnUser disables a user, or enables them again: what ended stays ended.
func (m *model) turnUser(r *rapid.T) {
	p := one(r, "person", m.people)
	d := provider.NewDirectory(m.idp.Store)
	p.active = !p.active
	if p.active {
		check(m.t, d.Enable(context.Background(), p.id, byTest, time.Now()))
		return
	}
	check(m.t, d.Disable(context.Background(), p.id, byTest, time.Now()))
	p.session.ended = true
	for _, g := range m.grants {
		if g.subject == p {
			g.revoked = true
		}
	}
	m.endAll(func(i *modelActing) bool { return i.actor == p || i.subject == p })
}

// turnClient does the same to a client.
func (m *model) turnClient(r *rapid.T) {
	c := one(r, "client", m.clients)
	c.active = !c.active
	m.idp.Change(m.t, c.id, func(row *storage.Client) {
		row.Status = storage.ClientActive
		if !c.active {
			row.Status = storage.ClientDisabled
		}
	})
	if c.active {
		return
	}
	for _, g := range m.grants {
		if g.client == c {
			g.revoked = true
		}
	}
	m.endAll(func(i *modelActing) bool { return i.client == c })
}

// tick lets time pass: little more often than much.
func (m *model) tick(r *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{
		time.Second, 5 * time.Second, 9 * time.Second, 10 * time.Second, 11 * time.Second, 59 * time.Second, time.Minute, 5 * time.Minute, 14 * time.Minute,
		15 * time.Minute, 16 * time.Minute, time.Hour, 24 * time.Hour, 15 * 24 * time.Hour,
	}).Draw(r, "time"))
}

// compare asks the provider about everything that was ever given out.
func (m *model) compare(*rapid.T) {
	now := time.Now()
	for _, x := range m.tokens {
		want := x.active(now)
		if !x.refresh {
			w := userinfo(m.idp, x.value)
			if got := w.Status == http.StatusOK; got != want {
				m.t.Fatalf("access token: userinfo says %d, want active %v", w.Status, want)
			}
			if want {
				m.claims(x.grant, "userinfo", w.JSON(m.t))
			}
		}
		if c := x.grant.client; c.active && (x.refresh || want) {
			answer := m.idp.Call("/oauth2/introspect", c.id, idptest.Secret, url.Values{"token": {x.value}}).JSON(m.t)
			if answer["active"] != want {
				m.t.Fatalf("refresh token %v: introspection says %v, want active %v", x.refresh, answer, want)
			}
			if want {
				m.claims(x.grant, "introspection", answer)
			}
		}
	}
	for _, i := range m.acting {
		row, err := m.idp.Store.Impersonation(context.Background(), i.id)
		check(m.t, err)
		if row.Running(now) != i.running(now) {
			m.t.Fatalf("impersonation runs: %v, want %v", row.Running(now), i.running(now))
		}
	}
	for what, statement := range map[string]string{
		"families that forked": `SELECT grant_id FROM tokens WHERE kind = 'refresh_token' AND used_at = 0 GROUP BY grant_id HAVING COUNT(*) > 1`,
		"tokens that outlive their impersonation": `SELECT t.grant_id FROM tokens t JOIN grants g ON g.id = t.grant_id
			JOIN impersonations i ON i.id = g.impersonation_id WHERE t.expires_at > i.expires_at OR g.expires_at > i.expires_at`,
		"grants that survive their impersonation": `SELECT g.id FROM grants g JOIN impersonations i ON i.id = g.impersonation_id WHERE i.ended_at > 0 AND g.revoked_at = 0`,
		"impersonations without a record": `SELECT id FROM impersonations i WHERE NOT EXISTS
			(SELECT 1 FROM events e WHERE e.impersonation_id = i.id AND e.type = 'impersonation.started')`,
	} {
		if found := query(m.t, m.db, statement); len(found) > 0 {
			m.t.Fatalf("%s: %v", what, found)
		}
	}
}

// sameAsModel plays whatever the draws say, on a copy of the database: a store that
// was used in one bubble is of no use in the next.
func sameAsModel(t testing.TB, template *idptest.IDP) func(*rapid.T) {
	return func(r *rapid.T) {
		tb := asTB{t, r}
		idp, now := template.Copy(tb), time.Now()
		db := database(tb, idp)
		rapid.SyncTest(r, func(r *rapid.T) {
			time.Sleep(time.Until(now.Truncate(time.Second).Add(time.Second))) // fosite rounds to seconds
			m := newModel(tb, idp, db)
			actions := map[string]func(*rapid.T){
				"": m.compare, "authorize": m.authorize, "act": m.act, "revoke": m.revoke, "stop": m.stop, "sign in": m.signIn,
				"turn user": m.turnUser, "turn client": m.turnClient, "tick": m.tick, "trade": m.trade, "trade again": m.trade, "authorize again": m.authorize, "come back": m.comeBack,
			}
			for _, again := range []string{"", " again", " once more"} { // what is drawn more often
				actions["exchange"+again], actions["refresh"+again], actions["sign out"+again] = m.exchange, m.refresh, m.signOut
			}
			r.Repeat(actions)
		})
	}
}

func modelled(t testing.TB) *idptest.IDP {
	t.Helper()
	return idptest.New(t, unlimited(idptest.Options{Provider: provider.Config{RefreshReuseLeeway: modelLeeway}, Handlers: longSessions}))
}

// In any order of what people, applications and time can do, what is active is what
// the model says. `-rapid.checks=1000` and FuzzModel play it for longer.
//
// Not in parallel: how often rapid plays is one number for the whole process.
func TestModel(t *testing.T) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if checks := flag.Lookup("rapid.checks"); !given {
		check(t, checks.Value.Set("10"))
		defer func() { check(t, checks.Value.Set(checks.DefValue)) }()
	}
	rapid.Check(t, sameAsModel(t, modelled(t)))
}

func FuzzModel(f *testing.F) {
	template := modelled(f)
	draws := rand.NewChaCha8([32]byte{})
	for range 3 {
		seed := make([]byte, 16<<10)
		_, _ = draws.Read(seed) // never fails
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, draws []byte) { rapid.MakeFuzz(sameAsModel(t, template))(t, draws) })
}
