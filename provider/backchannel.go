package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// logoutTokenLifetime is short: a token is made anew for each attempt (OpenID
// Connect Back-Channel Logout 1.0 section 2.4).
const logoutTokenLifetime = 2 * time.Minute

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken tells a client that a session has ended (section 2.4). There is no
// nonce, so that it cannot pass as an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub,omitempty"`
	Audience string              `json:"aud"`
	Expires  int64               `json:"exp"`
	IssuedAt int64               `json:"iat"`
	ID       string              `json:"jti"`
	SID      string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// newLogoutToken returns the claims of a notice.
func (p *Provider) newLogoutToken(n *storage.LogoutNotice, now time.Time) *logoutToken {
	return &logoutToken{
		Issuer: p.config.Issuer, Subject: logoutSubject(n), Audience: n.ClientID,
		Expires: now.Add(logoutTokenLifetime).Unix(), IssuedAt: now.Unix(), ID: storage.NewID("lo"),
		SID: n.SID, Events: map[string]struct{}{logoutEvent: {}},
	}
}

// logoutSubject is whom a client is told of beside the session. The end of an
// impersonation names nobody: a client that goes by sub would sign the real user
// out (SECURITY A13, T32).
func logoutSubject(n *storage.LogoutNotice) string {
	if n.ImpersonationID != "" {
		return ""
	}
	return n.UserID
}

// noteSession adds to the unit of work that a client gets a session under the sid
// of s, if it wants to be told of its end. The unit fails with storage.ErrSpent
// when the session has ended meanwhile.
func (p *Provider) noteSession(ctx context.Context, c *storage.Client, s *Session) {
	if c.BackchannelLogoutURI == "" || s.SID == "" {
		return
	}
	w := workOf(ctx)
	w.writes = append(w.writes, func(tx *storage.Tx) error {
		if s.ImpersonationID != "" {
			return tx.NoteImpersonation(ctx, s.ImpersonationID)
		}
		return tx.NoteLogin(ctx, s.LoginSID, c.ID, time.Now())
	})
}

// How logout tokens are sent.
const (
	lookEvery      = 250 * time.Millisecond
	lookAfterError = 2 * time.Second
	sendAtOnce     = 32
	sendToOne      = 4                // at once: who is slow holds up nobody else
	sendLease      = 30 * time.Second // longer than an attempt can take
	keepAgain      = time.Second      // sooner than lookAfterError: what is known is stored before more is sent
	sendDrain      = time.Second      // for attempts under way when the process ends
	sendFor        = 24 * time.Hour   // from the end of the session on
	longestPause   = 10 * time.Minute // between two attempts
)

// LogoutSender tells clients that sessions have ended (OpenID Connect Back-Channel
// Logout 1.0). What is to be told was stored with the end itself, and any number of
// senders share it: a notice is claimed for one attempt by one UPDATE, so that a
// process that dies delays it and loses nothing.
type LogoutSender struct {
	// Every is how often it looks for notices; zero means 250 ms.
	Every time.Duration
	// Observe, where set, is called after each attempt with what came of it:
	// delivered, retry or failed.
	Observe func(result string)

	p *Provider
	outbox
}

// NewLogoutSender returns the sender of a provider's logout tokens.
func NewLogoutSender(p *Provider) *LogoutSender {
	return &LogoutSender{p: p, outbox: newOutbox("look for logout tokens to send", sendAtOnce, sendToOne, p.log)}
}

// Run sends until ctx ends. Attempts under way then have a second left.
func (s *LogoutSender) Run(ctx context.Context) error {
	otherwise(&s.Every, lookEvery)
	return s.run(ctx, s.Every, s.look)
}

// look begins an attempt for as many due notices as may be under way, and reports
// whether more may be due.
func (s *LogoutSender) look(ctx, sending context.Context) (more bool, err error) {
	now := time.Now()
	due, err := s.p.store.DueLogoutClients(ctx, now)
	if err != nil {
		return false, err
	}
	for _, client := range due {
		limit := s.room(client)
		if limit == 0 {
			more = true
			continue
		}
		var claimed []storage.LogoutNotice
		err := s.p.store.Write(ctx, func(tx *storage.Tx) (err error) {
			claimed, err = tx.ClaimLogoutNotices(ctx, client, limit, now, now.Add(sendLease))
			return err
		})
		if err != nil {
			return more, err
		}
		more = more || len(claimed) == limit
		for _, n := range claimed {
			s.begin(client, func() { s.attempt(sending, &n) })
		}
	}
	return more, nil
}

// attempt sends one logout token and stores what came of it.
func (s *LogoutSender) attempt(ctx context.Context, n *storage.LogoutNotice) {
	status, err := s.p.sendLogout(ctx, n, time.Now())
	now := time.Now()
	judge(n, status, err, rand.Float64(), now) //nolint:gosec // no secret
	err = keep(ctx, func(ctx context.Context) error {
		return s.p.store.Write(ctx, func(tx *storage.Tx) error { return tx.FinishLogoutNotice(ctx, n, now) })
	})
	if errors.Is(err, storage.ErrSpent) {
		return // another sender's word stands
	}
	if err != nil { // it is sent again, and finds nothing left to end
		s.p.log.ErrorContext(ctx, "what came of a logout token is not stored", "client_id", n.ClientID, "sid", n.SID, "cause", err.Error())
	}
	result := string(n.Status)
	if n.Status == storage.NoticePending {
		result = "retry"
	}
	if n.Status == storage.NoticeFailed {
		s.p.log.WarnContext(ctx, "a client was not told that a session ended",
			"client_id", n.ClientID, "sid", n.SID, "attempts", n.Attempts, "status", n.HTTPStatus, "cause", n.Error)
	}
	if s.Observe != nil {
		s.Observe(result)
	}
}

// errNotWanted says that a client has no back-channel logout URI any more.
var errNotWanted = errors.New("the client has no backchannel_logout_uri any more")

// sendLogout posts a logout token and returns the status of the answer, zero where
// there was none (section 2.5).
func (p *Provider) sendLogout(ctx context.Context, n *storage.LogoutNotice, now time.Time) (int, error) {
	c, err := p.store.Client(ctx, n.ClientID)
	if isNotFound(err) || err == nil && c.BackchannelLogoutURI == "" {
		return 0, errNotWanted
	}
	if err != nil {
		return 0, err
	}
	claims := p.newLogoutToken(n, now)
	if claims.Subject != "" {
		salt, err := p.saltFor(ctx, c)
		if err != nil {
			return 0, err
		}
		claims.Subject, claims.SID = subjectWith(salt, c, claims.Subject), sidWith(salt, c, claims.SID)
	}
	token, err := p.Keys.sign(c.IDTokenSignedResponseAlg, typLogoutToken, claims)
	if err != nil {
		return 0, err
	}
	return p.caller.post(ctx, c.BackchannelLogoutURI, url.Values{"logout_token": {token}})
}

// How often a client may be sent a logout token of a session that never was.
const (
	logoutTests      = 5
	logoutTestWindow = 10 * time.Minute
)

// TestLogout sends a client a logout token of a session that never was, as it would
// be told of a real end, and returns the status of the answer, zero where there was
// none. That it was asked for is on the record before anything is sent. Throttled:
// it was tried too often. storage.ErrNotFound: there is no such client, or it has no
// back-channel logout URI.
func (p *Provider) TestLogout(ctx context.Context, clientID string, by storage.Cause, now time.Time) (status int, err error) {
	n := &storage.LogoutNotice{ClientID: clientID, SID: storage.NewID("test")}
	err = p.store.Write(ctx, func(tx *storage.Tx) error {
		c, err := tx.Client(ctx, clientID)
		if err == nil && c.BackchannelLogoutURI == "" {
			err = storage.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("back-channel logout of client %q: %w", clientID, err)
		}
		full, err := tx.Take(ctx, throttleKey("logout test:"+clientID), logoutTests, logoutTestWindow, now)
		if err == nil && !full.IsZero() {
			err = Throttled{full}
		}
		if err != nil {
			return err
		}
		return recordClient(ctx, tx, storage.EventClientLogoutTested, clientID, storage.Data{"sid": n.SID}, by, now)
	})
	if err != nil {
		return 0, err
	}
	status, err = p.sendLogout(ctx, n, now)
	if status == 0 {
		p.log.InfoContext(ctx, "a logout token for a test was not answered", "client_id", clientID, "cause", causeOf(err))
	}
	return status, nil
}

// judge writes into a notice what an attempt came to: an answer's status, zero for
// none, and an error. The status decides: whoever said 200 has heard, whatever
// became of the rest of the answer. A client that understood and refused would
// refuse again; anything else may pass.
func judge(n *storage.LogoutNotice, status int, err error, jitter float64, now time.Time) {
	n.HTTPStatus, n.Error = int64(status), ""
	refused := status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
	switch {
	case status >= 200 && status < 300:
		n.Status = storage.NoticeDelivered
		return
	case err != nil:
		n.Error = causeOf(err)
	default:
		n.Error = fmt.Sprintf("the answer was %d", status)
	}
	next := now.Add(pauseAfter(n.Attempts, time.Second, longestPause, jitter))
	if refused || errors.Is(err, errNotWanted) || n.Attempts > 1 && next.Sub(n.CreatedAt.Time()) > sendFor { // a clock that was set forward is not a day of trying
		n.Status = storage.NoticeFailed
		return
	}
	n.NextAttemptAt = storage.At(next)
}

// pauseAfter is how long to wait after so many attempts: the first pause, then twice as
// long each time up to the longest, each a fifth more or less so that those that failed
// together do not come back together. jitter is in [0,1).
func pauseAfter(attempts int64, first, longest time.Duration, jitter float64) time.Duration {
	pause := first
	for i := int64(1); i < attempts && pause < longest; i++ {
		pause *= 2
	}
	return time.Duration(float64(min(pause, longest)) * (0.8 + 0.4*jitter))
}

// maxCause is how much is kept of an error.
const maxCause = 200

// causeOf says why there was no answer, without the address, whose query may have a
// secret in it, and without what is on our side: our own address, whom we ask for names, and
// which address of our network a name has.
func causeOf(err error) string {
	if errors.Is(err, errForbiddenAddress) {
		return errForbiddenAddress.Error()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		err = &net.DNSError{Err: e.Err, Name: e.Name}
	} else if e, ok := errors.AsType[*net.OpError](err); ok {
		err = &net.OpError{Op: e.Op, Net: e.Net, Addr: e.Addr, Err: e.Err}
	}
	s := err.Error()
	return strings.ToValidUTF8(s[:min(len(s), maxCause)], "")
}
