package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// Config is what the surface needs to know. Zero durations get the defaults named here.
type Config struct {
	CookieName      string        // "understudy"
	SessionIdle     time.Duration // 1 h
	SessionLifetime time.Duration // 24 h
	TrustedProxies  []netip.Prefix
	// OfferOnRequest: people who may sign in as others are asked only when the
	// application asks for it; otherwise each time.
	OfferOnRequest bool
	// ReportTo is whom people may tell that somebody signed in as them who should not
	// have: an e-mail address or the https URL of a page. Empty: nobody is named.
	ReportTo string
	// Mailer sends the test message of the settings; nil: there is no mail server.
	Mailer *provider.Mailer
	// Auditor looks after the record. Nil: the record is never verified by itself.
	Auditor *provider.Auditor
	// RotationInterval is how old a signing key becomes; zero: it is not replaced by itself.
	RotationInterval time.Duration
	// LongestToken is how long a token may be of use; 24 h.
	LongestToken time.Duration
	// CallsPerSecond is how often each caller may call the management API, in the long
	// run; 100. It may call twice as often for a second.
	CallsPerSecond int
	// Dialects are the vendors whose APIs are spoken: clerk, workos, descope, auth0.
	Dialects []string
	// DialectReasonRequired: a call of theirs without a reason is refused; otherwise the
	// record says that there was none.
	DialectReasonRequired bool
	// Settings are what the configuration says, secrets left out.
	Settings []Setting
	// Findings says what is wrong with the installation. Nil: nobody looks.
	Findings func(context.Context) []Finding
}

// Setting is a value of the configuration, and where it comes from: default, file,
// env or flag.
type Setting struct{ Key, Value, Source string }

// Finding is one thing that is wrong, and what to do about it. What is bad does not
// work, or is not safe.
type Finding struct {
	Check, Detail, Advice string
	Bad                   bool
}

// Server answers HTTP requests. Its fields do not change after New.
type Server struct {
	config   Config
	provider *provider.Provider
	store    *storage.Store
	pages    *templates.Set
	log      *slog.Logger
	sessions *sessionStore
	secure   bool // the issuer is https
	metrics  *metrics
	sameSite *http.CrossOriginProtection
	auditor  *provider.Auditor

	consoleRoutes []consoleRoute
	callers       callRates
}

// New returns a Server.
func New(c Config, p *provider.Provider, store *storage.Store, pages *templates.Set, log *slog.Logger) *Server {
	if c.CookieName == "" {
		c.CookieName = "understudy"
	}
	if c.SessionIdle == 0 {
		c.SessionIdle = time.Hour
	}
	if c.SessionLifetime == 0 {
		c.SessionLifetime = 24 * time.Hour
	}
	if c.LongestToken == 0 {
		c.LongestToken = 24 * time.Hour
	}
	if c.CallsPerSecond == 0 {
		c.CallsPerSecond = 100
	}
	if c.Auditor == nil {
		c.Auditor = provider.NewAuditor(store, p.Keys, p.Issuer())
	}
	s := &Server{
		config: c, provider: p, store: store, pages: pages, log: log,
		secure: strings.HasPrefix(p.Issuer(), "https://"), metrics: newMetrics(store),
		sameSite: http.NewCrossOriginProtection(), consoleRoutes: consoleRoutes(), auditor: c.Auditor,
	}
	s.callers.each, s.callers.burst = rate.Limit(c.CallsPerSecond), 2*c.CallsPerSecond
	s.sessions = newSessionStore(s)
	return s
}

// cookieName returns the full name of a cookie. On an https issuer it has the
// prefix that keeps other hosts from setting it (SECURITY D03).
func (s *Server) cookieName(suffix string) string {
	name := s.config.CookieName + suffix
	if s.secure {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie of ours; a negative age removes it.
func (s *Server) setCookie(w http.ResponseWriter, suffix, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the issuer: a browser would not send it to http://127.0.0.1
		Name: s.cookieName(suffix), Value: value, Path: "/", MaxAge: int(age / time.Second),
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookie returns the value of a cookie of ours, empty when there is none.
func (s *Server) cookie(r *http.Request, suffix string) string {
	c, err := r.Cookie(s.cookieName(suffix))
	if err != nil {
		return ""
	}
	return c.Value
}

// info is what the record keeps of a request.
func (s *Server) info(r *http.Request) storage.Request {
	agent := r.UserAgent()
	if len(agent) > 300 {
		agent = agent[:300]
	}
	return storage.Request{ID: requestID(r.Context()), IP: s.clientIP(r), UserAgent: strings.ToValidUTF8(agent, "")}
}

// clientIP returns the address that a request came from. X-Forwarded-For is
// believed as far as trusted proxies wrote it.
func (s *Server) clientIP(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	ip := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(ip); i-- {
		hop := strings.TrimSpace(hops[i])
		next, err := netip.ParseAddr(hop)
		if withPort, portErr := netip.ParseAddrPort(hop); portErr == nil {
			next, err = withPort.Addr(), nil
		}
		if err != nil {
			break
		}
		ip = next.Unmap()
	}
	return ip.String()
}

func (s *Server) trusted(ip netip.Addr) bool {
	for _, p := range s.config.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// originOf returns the origin of a URI for a content security policy: the scheme
// alone where the URI has no host.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Host == "":
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
