package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/understudy-id/understudy/storage"
)

// Letter is what a mail says, to one address.
type Letter struct {
	ID      string // the same for each attempt, so that one that came twice is known for it
	To      string
	Subject string
	Text    string
	HTML    string
}

// sendWithin bounds one conversation with the mail server, for each letter.
const sendWithin = 15 * time.Second

// Mailer hands letters to a mail server. It is safe for concurrent use.
type Mailer struct {
	// Roots are who may vouch for the server's certificate; nil: whom the system trusts.
	Roots *x509.CertPool
	// Dial, where set, opens the connection in place of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	server *url.URL
	from   *netmail.Address
	domain string // of message ids
}

// NewMailer returns a Mailer for the server of an smtp:// or smtps:// URL. Letters are
// from from, an address with a name or without.
func NewMailer(server, from, issuer string) (*Mailer, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("mail.smtp_url: not a URL") // its text has the password in it
	}
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	m := &Mailer{server: u, from: sender, domain: "localhost"}
	if i, err := url.Parse(issuer); err == nil {
		m.domain = cmp.Or(i.Hostname(), m.domain)
	}
	return m, nil
}

// client returns a client for one conversation. What crosses a network is encrypted, to
// whom the certificate names: passwords, and who acts as whom. On this machine a server
// may go without, and may have made its certificate itself.
func (m *Mailer) client() (*mail.Client, error) {
	host := m.server.Hostname()
	config := &tls.Config{ServerName: host, RootCAs: m.Roots, MinVersion: tls.VersionTLS12}
	options := []mail.Option{mail.WithTimeout(sendWithin), mail.WithTLSConfig(config), mail.WithHELO(m.domain), mail.WithoutNoop()}
	port := 587
	switch {
	case m.server.Scheme == "smtps":
		port = 465
		options = append(options, mail.WithSSL())
	case onLoopback(host):
		port = 25
		config.InsecureSkipVerify = true // nobody is in between
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if text := m.server.Port(); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("mail.smtp_url: port %q", text)
		}
	}
	options = append(options, mail.WithPort(port))
	if user := m.server.User; user != nil {
		password, _ := user.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(user.Username()), mail.WithPassword(password))
	}
	if m.Dial != nil {
		options = append(options, mail.WithDialContextFunc(m.Dial))
	}
	return mail.NewClient(host, options...)
}

func onLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Check talks to the server as far as before a letter: it is there, encrypts, and knows
// the password.
func (m *Mailer) Check(ctx context.Context) error {
	c, err := m.client()
	if err != nil {
		return err
	}
	if err := c.DialWithContext(ctx); err != nil {
		return err
	}
	_ = c.Close() // what was to be seen is seen
	return nil
}

// Send hands letters to the server, in one conversation, and returns for each what came
// of it: nil, or an error for which Refused says whether it is worth another try.
func (m *Mailer) Send(ctx context.Context, letters ...*Letter) []error {
	errs := make([]error, len(letters))
	c, err := m.client()
	if err == nil {
		err = c.DialWithContext(ctx)
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for i, l := range letters {
		message, err := m.message(l)
		if err == nil {
			err = ctx.Err() // the process ends: the others wait for the next one
		}
		if err == nil {
			err = c.Send(message)
		}
		errs[i] = err
	}
	_ = c.Close() // what the server took it has
	return errs
}

// message puts a letter into the form of RFC 5322. Nothing in it can begin a header of
// its own: texts are encoded, and the address is one address.
func (m *Mailer) message(l *Letter) (*mail.Msg, error) {
	to, err := netmail.ParseAddress(l.To)
	if err != nil || to.Address != l.To {
		return nil, errAddress
	}
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	message.FromMailAddress(m.from)
	message.ToMailAddress(&netmail.Address{Address: l.To})
	message.Subject(strings.ReplaceAll(oneLine(l.Subject), "=?", "= ?")) // it must not pass for an encoded word (RFC 2047)
	message.SetDate()
	message.SetMessageIDWithValue(hex.EncodeToString(storage.Hash(l.ID)) + "@" + m.domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	message.SetBodyString(mail.TypeTextPlain, l.Text)
	message.AddAlternativeString(mail.TypeTextHTML, l.HTML)
	return message, nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// What keeps a mail from ever being sent.
var (
	errAddress = errors.New("the address is not one that can be written to")
	// ErrNoLetter says that there is nothing to write any more, or nobody to write to.
	ErrNoLetter = errors.New("there is nobody to tell")
)

// refusedForGood reports whether another attempt would end as this one did: the server
// has understood the letter and does not want it (RFC 5321 section 4.2.1, a code of 5yz).
// A server that is not there, or does not let us in, may be mended.
func refusedForGood(err error) bool {
	if errors.Is(err, ErrNoLetter) || errors.Is(err, errAddress) {
		return true
	}
	refusal, ok := errors.AsType[*mail.SendError](err)
	return ok && refusal.ErrorCode() >= 500 && refusal.ErrorCode() < 600
}

// How mails are sent.
const (
	mailLookEvery = time.Second
	mailsAtOnce   = 10
	mailLease     = 5 * time.Minute // longer than an attempt at so many can take

	// firstMailPause suits a server that puts off whom it does not know yet.
	firstMailPause = 30 * time.Second
)

// MailSender sends the notices that wait. What is to be told was stored with what it is
// about, and any number of senders share it: a mail is claimed for one attempt by one
// UPDATE, so that a process that dies delays it and loses nothing.
type MailSender struct {
	// Every is how often it looks for mails; zero means 1 s.
	Every time.Duration
	// Observe, where set, is called after each attempt with what came of it:
	// delivered, retry or failed.
	Observe func(result string)

	p       *Provider
	mailer  *Mailer
	compose func(context.Context, *storage.Mail) (*Letter, error)
}

// NewMailSender returns the sender of a provider's notices. compose says what is in one,
// or ErrNoLetter.
func NewMailSender(p *Provider, m *Mailer, compose func(context.Context, *storage.Mail) (*Letter, error)) *MailSender {
	return &MailSender{p: p, mailer: m, compose: compose}
}

// Run sends until ctx ends.
func (s *MailSender) Run(ctx context.Context) error {
	otherwise(&s.Every, mailLookEvery)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		pause := s.Every
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.p.log.ErrorContext(ctx, "background work failed", "work", "send mails", "cause", err.Error())
			pause = max(pause, lookAfterError)
		}
		timer.Reset(pause)
	}
}

// Look makes an attempt at every mail that is due.
func (s *MailSender) Look(ctx context.Context) error {
	for ctx.Err() == nil {
		now := time.Now()
		if due, err := s.p.store.DueMail(ctx, now); err != nil || !due {
			return err
		}
		var claimed []storage.Mail
		err := s.p.store.Write(ctx, func(tx *storage.Tx) (err error) {
			claimed, err = tx.ClaimMails(ctx, mailsAtOnce, now, now.Add(mailLease))
			return err
		})
		if err != nil || len(claimed) == 0 {
			return err
		}
		if err := s.attempt(ctx, claimed); err != nil {
			return err
		}
	}
	return nil
}

// attempt sends mails and stores what came of each.
func (s *MailSender) attempt(ctx context.Context, claimed []storage.Mail) error {
	var letters []*Letter
	var of []int // the mail that a letter is of
	results := make([]error, len(claimed))
	for i := range claimed {
		letter, err := s.compose(ctx, &claimed[i])
		if results[i] = err; err == nil {
			letter.ID = claimed[i].ID
			letters, of = append(letters, letter), append(of, i)
		}
	}
	if len(letters) > 0 {
		for n, err := range s.mailer.Send(ctx, letters...) {
			results[of[n]] = err
		}
	}
	now := time.Now()
	for i := range claimed {
		m := &claimed[i]
		judgeMail(m, results[i], rand.Float64(), now) //nolint:gosec // no secret
		err := keep(ctx, func(ctx context.Context) error {
			return s.p.store.Write(ctx, func(tx *storage.Tx) error { return tx.FinishMail(ctx, m, now) })
		})
		if errors.Is(err, storage.ErrSpent) {
			continue // another sender's word stands
		}
		if err != nil {
			return fmt.Errorf("store what came of mail %s: %w", m.ID, err)
		}
		s.tell(ctx, m)
	}
	return nil
}

// tell says what came of an attempt to whoever runs the server.
func (s *MailSender) tell(ctx context.Context, m *storage.Mail) {
	result := string(m.Status)
	switch m.Status {
	case storage.NoticePending:
		result = "retry"
	case storage.NoticeFailed:
		s.p.log.WarnContext(ctx, "a mail was not sent", "kind", m.Kind, "user", m.UserID, "about", m.AboutID, "attempts", m.Attempts, "cause", m.Error)
	}
	if s.Observe != nil {
		s.Observe(result)
	}
}

// judgeMail writes into a mail what an attempt came to.
func judgeMail(m *storage.Mail, err error, jitter float64, now time.Time) {
	m.Error = ""
	if err == nil {
		m.Status = storage.NoticeDelivered
		return
	}
	m.Error = oneLine(causeOf(err))
	next := now.Add(pauseAfter(m.Attempts, firstMailPause, longestPause, jitter))
	if refusedForGood(err) || m.Attempts > 1 && next.Sub(m.CreatedAt.Time()) > sendFor {
		m.Status = storage.NoticeFailed
		return
	}
	m.NextAttemptAt = storage.At(next)
}

// How often somebody may have a test message sent.
const (
	mailTests      = 5
	mailTestWindow = 10 * time.Minute
)

// ErrNotSent says that the mail server did not take a test message.
var ErrNotSent = errors.New("the mail server did not take it")

// SendTest sends a letter to show that mail arrives. That it was asked for is on the
// record before anything is sent. Throttled: it was tried too often.
func (p *Provider) SendTest(ctx context.Context, m *Mailer, l *Letter, by storage.Cause, now time.Time) error {
	err := p.store.Write(ctx, func(tx *storage.Tx) error {
		full, err := tx.Take(ctx, throttleKey("mail test:"+by.By), mailTests, mailTestWindow, now)
		if err == nil && !full.IsZero() {
			err = Throttled{full}
		}
		if err != nil {
			return err
		}
		return tx.Record(ctx, storage.Event{Type: storage.EventMailTested, ActorID: by.By}, storage.Private{}, by.Request, now)
	})
	if err != nil {
		return err
	}
	if err := m.Send(ctx, l)[0]; err != nil {
		return fmt.Errorf("%w: %s", ErrNotSent, oneLine(causeOf(err)))
	}
	return nil
}
