package app

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	sessionCookie = "demo_app"       // names the session of somebody signed in
	browserCookie = "demo_app_login" // ties a round trip to the browser that began it

	sessionLife = 8 * time.Hour
	tripLife    = 10 * time.Minute
	maxTrips    = 10_000
)

// session is somebody signed in. It is never changed, only replaced.
type session struct {
	person  person
	subject string
	sid     string // the provider's name for this sign-in, for back-channel logout
	idToken string // as received: the id_token_hint of the logout
	claims  json.RawMessage
	token   *oauth2.Token
	acting  *acting // nil when people are themselves
	until   time.Time
}

// trip is a visit to the provider that has not come back yet, kept under its state.
type trip struct {
	browser  string
	nonce    string
	verifier string
	next     string // where to go afterwards, a path of ours
	logout   bool
	until    time.Time
}

// memory holds sessions and trips in this process: enough for one instance. Keep
// them in your session store when there are several.
type memory struct {
	mu       sync.Mutex
	sessions map[string]*session
	trips    map[string]trip
}

func newMemory() *memory {
	return &memory{sessions: map[string]*session{}, trips: map[string]trip{}}
}

// session returns the id and session of the request's cookie, or "" and nil.
func (m *memory) session(r *http.Request) (string, *session) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[c.Value]
	if s == nil || time.Now().After(s.until) {
		delete(m.sessions, c.Value)
		return "", nil
	}
	return c.Value, s
}

// start keeps s under a fresh id: a known one would let it be planted.
func (m *memory) start(s *session) string {
	id := rand.Text()
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for id, old := range m.sessions {
		if now.After(old.until) {
			delete(m.sessions, id)
		}
	}
	m.sessions[id] = s
	return id
}

// replace puts s in the place of a session that still exists.
func (m *memory) replace(id string, s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sessions[id]; ok {
		m.sessions[id] = s
	}
}

func (m *memory) end(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, id)
}

// endAt ends the session that the provider calls sid, or without a sid every
// session of the subject (OIDC Back-Channel Logout section 2.7).
func (m *memory) endAt(sid, subject string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range m.sessions {
		if sid != "" && s.sid == sid || sid == "" && s.subject == subject {
			delete(m.sessions, id)
		}
	}
}

// depart remembers t and returns its state; false means too many are on the way.
func (m *memory) depart(t trip) (state string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.trips) >= maxTrips {
		for state, old := range m.trips {
			if now.After(old.until) {
				delete(m.trips, state)
			}
		}
		if len(m.trips) >= maxTrips {
			return "", false
		}
	}
	state, t.until = rand.Text(), now.Add(tripLife)
	m.trips[state] = t
	return state, true
}

// arrive returns the trip of the state, once, and only to the browser that left.
func (m *memory) arrive(r *http.Request, logout bool) (trip, bool) {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return trip{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	state := r.FormValue("state")
	t, ok := m.trips[state]
	if !ok || t.browser != c.Value || t.logout != logout {
		return trip{}, false
	}
	delete(m.trips, state)
	return t, time.Now().Before(t.until)
}

// browser returns the value of the request's browser cookie, setting one first
// if there is none.
func (a *app) browser(w http.ResponseWriter, r *http.Request) string {
	value := rand.Text()
	if c, err := r.Cookie(browserCookie); err == nil && c.Value != "" {
		value = c.Value
	}
	a.setCookie(w, browserCookie, value, int(tripLife.Seconds()))
	return value
}

// setCookie sets a cookie for this origin only; a negative age removes it.
func (a *app) setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the application is on https
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   age,
		HttpOnly: true,
		Secure:   strings.HasPrefix(a.BaseURL, "https://"),
		SameSite: http.SameSiteLaxMode,
	})
}

// local returns the path and query of a link to this application, "/" for any other.
func (a *app) local(link string) string {
	u, err := url.Parse(link)
	base, _ := url.Parse(a.BaseURL)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return u.RequestURI()
}
