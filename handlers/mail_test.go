package handlers_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// postOffice is a mail server (RFC 5321) at the other end of pipes, or of sockets where
// both ends may speak at once: it offers STARTTLS and AUTH PLAIN, and answers as it is told.
type postOffice struct {
	certificate *tls.Certificate // nil: it does not encrypt
	sockets     bool
	password    string // that bot has to show; empty: nobody has to

	mu      sync.Mutex
	down    bool
	refuse  map[string]string // the answer to RCPT, by address
	letters []*mail.Message   // what it took
	bodies  []string
	plain   []string // commands that came unencrypted
}

func (p *postOffice) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, errors.New("connection refused")
	}
	if !p.sockets {
		ours, theirs := net.Pipe()
		go p.serve(ours)
		return theirs, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		defer l.Close()
		if c, err := l.Accept(); err == nil {
			p.serve(c)
		}
	}()
	return net.Dial("tcp", l.Addr().String())
}

func (p *postOffice) serve(c net.Conn) {
	defer c.Close()
	encrypted := false
	in := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 mail.example ready")
	known := p.password == ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if !encrypted {
			p.mu.Lock()
			p.plain = append(p.plain, line)
			p.mu.Unlock()
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			if p.certificate != nil && !encrypted {
				say("250-mail.example\r\n250-STARTTLS\r\n250 8BITMIME")
			} else {
				say("250-mail.example\r\n250-AUTH PLAIN\r\n250 8BITMIME")
			}
		case "STARTTLS":
			say("220 go on")
			t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*p.certificate}})
			if t.Handshake() != nil {
				return
			}
			c, in, encrypted = t, bufio.NewReader(t), true
		case "AUTH":
			token, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			if known = string(token) == "\x00bot\x00"+p.password; known {
				say("235 welcome")
			} else {
				say("535 who are you")
			}
		case "MAIL":
			if known {
				say("250 ok")
			} else {
				say("530 authentication required")
			}
		case "RCPT":
			p.mu.Lock()
			answer := p.refuse[strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>")]
			p.mu.Unlock()
			if answer == "" {
				answer = "250 ok"
			}
			say(answer)
		case "DATA":
			say("354 go on")
			body, err := textproto.NewReader(in).ReadDotBytes()
			if err != nil {
				return
			}
			p.take(string(body))
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default: // RSET, NOOP
			say("250 ok")
		}
	}
}

func (p *postOffice) take(body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, err := mail.ReadMessage(strings.NewReader(body))
	if err == nil {
		p.letters, p.bodies = append(p.letters, m), append(p.bodies, body)
	}
}

func (p *postOffice) taken() []*mail.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters)
}

// read returns what a message says: its subject, its text and its HTML.
func read(t testing.TB, m *mail.Message) (subject, text, html string) {
	t.Helper()
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	check(t, err)
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type %q, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, into := range []*string{&text, &html} {
		part, err := parts.NextRawPart()
		check(t, err)
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		check(t, err)
		*into = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	return subject, text, html
}

// vouched returns a certificate for mail.example, and who vouches for it.
func vouched(t testing.TB) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example"}, DNSNames: []string{"mail.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func mailerTo(t testing.TB, p *postOffice, roots *x509.CertPool, server string) *provider.Mailer {
	t.Helper()
	m, err := provider.NewMailer(server, "Understudy <no-reply@id.example>", idptest.Issuer)
	check(t, err)
	m.Roots, m.Dial = roots, p.dial
	return m
}

// senderOf is a provider's worker with a post office that it can reach.
func senderOf(t testing.TB, idp *idptest.IDP) (*provider.MailSender, *postOffice) {
	t.Helper()
	certificate, roots := vouched(t)
	p := &postOffice{certificate: certificate, password: "secret"}
	return provider.NewMailSender(idp.Provider, mailerTo(t, p, roots, "smtp://bot:secret@mail.example"), idp.Server.ComposeMail), p
}

func tellingOptions() idptest.Options {
	o := unlimited(idptest.Options{})
	o.Provider.Notices = impersonation.Notices{Start: true, End: true, Requests: true}
	o.Handlers.ReportTo = "security@example.test"
	return o
}

// A letter leaves encrypted, to whom the certificate names, or not at all; and the
// password with it.
func TestMailIsEncrypted(t *testing.T) {
	t.Parallel()
	certificate, roots := vouched(t)
	letter := &provider.Letter{ID: "1", To: "ada@example.test", Subject: "A subject", Text: "A secret\n", HTML: "<p>A secret</p>"}
	for name, c := range map[string]struct {
		office *postOffice
		roots  *x509.CertPool
		url    string
		sent   bool
	}{
		"STARTTLS":                            {&postOffice{certificate: certificate, password: "secret"}, roots, "smtp://bot:secret@mail.example", true},
		"a wrong password":                    {&postOffice{certificate: certificate, password: "other"}, roots, "smtp://bot:secret@mail.example", false},
		"nobody vouches for it":               {&postOffice{certificate: certificate, password: "secret"}, x509.NewCertPool(), "smtp://bot:secret@mail.example", false},
		"it is somebody else's":               {&postOffice{certificate: certificate, password: "secret"}, roots, "smtp://bot:secret@other.example", false},
		"it does not encrypt":                 {&postOffice{password: "secret"}, roots, "smtp://bot:secret@mail.example", false},
		"it does not encrypt, on a loopback":  {&postOffice{}, roots, "smtp://127.0.0.1", true},
		"encrypted by itself, on a loopback":  {&postOffice{certificate: certificate}, nil, "smtp://localhost", true},
		"it does not encrypt, is named alike": {&postOffice{}, roots, "smtp://localhost.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			c.office.sockets = true
			m := mailerTo(t, c.office, c.roots, c.url)
			err := m.Send(t.Context(), letter)[0]
			if (err == nil) != c.sent || (len(c.office.taken()) == 1) != c.sent {
				t.Errorf("got %v and %d letters, want sent: %v", err, len(c.office.taken()), c.sent)
			}
			if got := m.Check(t.Context()) == nil; got != c.sent {
				t.Errorf("Check: %v, want %v", got, c.sent)
			}
			for _, line := range c.office.plain {
				if verb, _, _ := strings.Cut(line, " "); strings.Contains(c.url, "bot") && verb != "EHLO" && verb != "STARTTLS" && verb != "QUIT" {
					t.Errorf("%q came unencrypted", line)
				}
			}
		})
	}
}

// smtps encrypts from the first byte.
func TestMailByTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := vouched(t)
	office := &postOffice{password: "secret"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*certificate}})
	check(t, err)
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go office.serve(c)
		}
	}()
	letter := &provider.Letter{ID: "1", To: "ada@example.test", Subject: "A subject", Text: "A text\n", HTML: "<p>A text</p>"}
	for trusted, roots := range map[bool]*x509.CertPool{true: roots, false: x509.NewCertPool()} {
		m := mailerTo(t, office, roots, "smtps://bot:secret@"+l.Addr().String())
		m.Dial = nil
		if err := m.Send(t.Context(), letter)[0]; (err == nil) != trusted {
			t.Errorf("trusted %v: got %v", trusted, err)
		}
	}
	if got := len(office.taken()); got != 1 {
		t.Errorf("%d letters, want 1", got)
	}
}

// A27: the subject is told at the start and at the end, in their language, of what their
// own page says; those who may approve, and users who are asked, of what waits for them.
// Nobody else is.
func TestNotices(t *testing.T) {
	t.Parallel()
	each(t, tellingOptions(), func(t *testing.T, idp *idptest.IDP) {
		sender, office := senderOf(t, idp)
		addClient(t, idp, "billing", started)
		execute(t, idp, `UPDATE users SET locale = 'de-AT' WHERE id = 'usr_linus'`)
		execute(t, idp, `UPDATE users SET email_verified = FALSE WHERE id = 'usr_grace'`)
		sam, name := staffed(t, idp, "support")
		begin := func(subject string, pairs ...string) string {
			form := askForm("billing", append([]string{"ticket_ref", "SUP-1"}, pairs...)...)
			hint := askAs(sam, subject, form).Location().Query().Get("login_hint")
			if !sam.Get(asking("client_id", "billing", "login_hint", hint)).Location().Query().Has("code") {
				t.Fatal("not started")
			}
			running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_" + name, Running: true}, time.Now())
			check(t, err)
			return running[0].ID
		}
		stop := func(id string) {
			wantStatus(t, "stop", sam.Post("/admin/impersonations/"+id+"/stop", nil), http.StatusSeeOther)
		}
		look := func(want int) []*mail.Message {
			before := len(office.taken())
			check(t, sender.Look(t.Context()))
			check(t, sender.Look(t.Context())) // and nothing twice
			got := office.taken()[before:]
			if len(got) != want {
				t.Fatalf("%d mails, want %d", len(got), want)
			}
			return got
		}
		look(0)

		id := begin("usr_ada")
		m := look(1)[0]
		subject, text, html := read(t, m)
		if to := m.Header.Get("To"); to != "<ada@example.test>" || subject != "billing: support has signed in as you" {
			t.Errorf("to %s: %s", to, subject)
		}
		for _, want := range []string{
			"Full " + name + " has signed in as you in billing (Globex)", "Reason: Cannot see invoice 4711", "Ticket: SUP-1", "Access: read only",
			"\n" + idptest.Issuer + "/account/activity/" + id + "\n", "security@example.test",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in:\n%s", want, text)
			}
		}
		if !strings.Contains(html, `<a href="`+idptest.Issuer+"/account/activity/"+id+`">`) || m.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("got %v\n%s", m.Header, html)
		}
		stop(id)
		if subject, text, _ := read(t, look(1)[0]); subject != "billing: support is no longer signed in as you" || !strings.Contains(text, "It has ended.") {
			t.Errorf("%s\n%s", subject, text)
		}

		id = begin("usr_linus")
		if subject, text, _ := read(t, look(1)[0]); subject != "billing: Der Support hat sich als Sie angemeldet" || !strings.Contains(text, "Grund: Cannot see") {
			t.Errorf("in German: %s\n%s", subject, text)
		}
		stop(id)
		look(1)

		stop(begin("usr_grace", "organization", "org_globex")) // whose address nobody has verified
		look(0)
		state, err := idp.Store.MailState(t.Context())
		if err != nil || state.Failed != 2 || state.Waiting != 0 || !strings.Contains(state.LastError, "not verified") {
			t.Errorf("D13 got %+v, %v", state, err)
		}

		wantStatus(t, "ask ada", sam.Post("/admin/users/usr_ada/request-access", askForm("billing")), http.StatusSeeOther)
		if subject, text, _ := read(t, look(1)[0]); subject != "Support asks to sign in as you" || !strings.Contains(text, "/account/support-access") {
			t.Errorf("%s\n%s", subject, text)
		}

		fourEyes(t, idp)
		w := sam.Post("/admin/users/usr_ada/request-approval", askForm("billing", "access", "full"))
		wantStatus(t, "ask for approval", w, http.StatusSeeOther)
		m = look(1)[0] // root is the only one who may approve
		if subject, text, _ := read(t, m); m.Header.Get("To") != "<root@example.test>" || subject != "Approval wanted: Full "+name+" as ada" ||
			!strings.Contains(text, idptest.Issuer+w.Location().Path) {
			t.Errorf("to %s: %s\n%s", m.Header.Get("To"), subject, text)
		}
	})
}

// T11, A27: what people wrote begins no header, ends no line, and turns nothing around.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, tellingOptions())
	sender, office := senderOf(t, idp)
	for n, hostile := range []string{
		"Sam\r\nBcc: everybody@evil.example", "Sam\nSubject: other\n\nbody", "Sam\x00\x1b[31m", "\u202eevil\u202c Sam", "Sam\u2028Bcc: x@evil.example",
		`"Sam" <x@evil.example>, y@evil.example`, "=?utf-8?q?Sam=0d=0aBcc:_x?=", "<script>alert(1)</script>", "{{.Reason}}", "[[Hello]]", "ä" + strings.Repeat("ö", 900), ".\r\nQUIT\r\n",
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			name, client := unique("hostile"), unique("client")
			enroll(t, idp, name, "support")
			kept := strings.ReplaceAll(hostile, "\x00", "")
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				c := idptest.App()
				c.ID, c.Name = client, kept
				if err := tx.CreateClient(ctx, c, time.Now()); err != nil {
					return err
				}
				i := &storage.Impersonation{
					ID: storage.NewID("imp"), ActorID: "usr_" + name, SubjectID: "usr_ada", ClientID: client, Entry: "console", Reason: kept, Access: "full",
					TicketRef: kept, StartedAt: storage.At(time.Now()), ExpiresAt: storage.At(time.Now().Add(time.Minute)),
				}
				if err := tx.CreateImpersonation(ctx, i); err != nil {
					return err
				}
				return tx.QueueMail(ctx, storage.MailStarted, "usr_ada", i.ID, time.Now())
			})
			check(t, sender.Look(t.Context()))
			if len(office.taken()) != n+1 {
				t.Fatalf("%d mails, want %d", len(office.taken()), n+1)
			}
			m := office.taken()[n]
			var headers []string
			for header := range m.Header {
				headers = append(headers, header)
			}
			slices.Sort(headers)
			want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
			if !slices.Equal(headers, want) || m.Header.Get("To") != "<ada@example.test>" {
				t.Errorf("headers %q, to %q, want %q", headers, m.Header.Get("To"), want)
			}
			subject, text, html := read(t, m)
			for _, bad := range []string{"\r", "\x1b", "\u202e", "\u2028"} {
				if strings.Contains(subject+text+html, bad) {
					t.Errorf("%q is in it", bad)
				}
			}
			if strings.Contains(subject, "\n") || strings.Contains(html, "<script") || strings.Contains(text, "\nBcc:") || strings.Contains(text, "\nSubject:") {
				t.Errorf("got %q\n%s\n%s", subject, text, html)
			}
		})
	}
}

// A server that puts us off is asked again, one that refuses is not, and one that is gone
// for an hour loses nothing and gets nothing twice.
func TestMailIsTriedAgain(t *testing.T) {
	t.Parallel()
	clocked(t, tellingOptions(), func(t *testing.T, idp *idptest.IDP) {
		sender, office := senderOf(t, idp)
		sender.Every = 10 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- sender.Run(ctx) }()
		queue := func(user, about string) {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				i := &storage.Impersonation{
					ID: about, ActorID: "usr_sam", SubjectID: user, ClientID: "app", Entry: "console", Reason: "A reason that is good", Access: "full",
					StartedAt: storage.At(time.Now()), ExpiresAt: storage.At(time.Now().Add(time.Minute)),
				}
				if err := tx.CreateImpersonation(ctx, i); err != nil {
					return err
				}
				return tx.QueueMail(ctx, storage.MailStarted, user, i.ID, time.Now())
			})
		}
		set := func(down bool, refuse map[string]string) {
			office.mu.Lock()
			defer office.mu.Unlock()
			office.down, office.refuse = down, refuse
		}
		status := func(about string) storage.Mail {
			mails, err := idp.Store.Mails(t.Context(), about)
			if err != nil || len(mails) != 1 {
				t.Fatalf("got %+v, %v", mails, err)
			}
			return mails[0]
		}

		set(false, map[string]string{"ada@example.test": "451 4.7.1 greylisted, come back", "linus@example.test": "550 5.1.1 no such user"})
		queue("usr_ada", "imp_grey")
		queue("usr_linus", "imp_gone")
		time.Sleep(15 * time.Second)
		if m := status("imp_grey"); m.Status != storage.NoticePending || m.Attempts != 1 || !strings.Contains(m.Error, "451") {
			t.Errorf("greylisted: %+v", m)
		}
		if m := status("imp_gone"); m.Status != storage.NoticeFailed || !strings.Contains(m.Error, "550") {
			t.Errorf("refused: %+v", m)
		}
		set(false, nil)
		time.Sleep(time.Minute)
		if m := status("imp_grey"); m.Status != storage.NoticeDelivered || m.Attempts != 2 {
			t.Errorf("after greylisting: %+v", m)
		}

		set(true, nil)
		for n := range 30 {
			queue("usr_ada", fmt.Sprintf("imp_%d", n))
			time.Sleep(2 * time.Minute)
		}
		set(false, nil)
		time.Sleep(15 * time.Minute)
		seen := map[string]int{}
		for _, m := range office.taken() {
			seen[m.Header.Get("Message-Id")]++
		}
		if len(seen) != 31 || len(office.taken()) != 31 {
			t.Errorf("%d mails of %d ids, want 31", len(office.taken()), len(seen))
		}
		cancel()
		check(t, <-done)
	})
}

// The settings send a message to whoever presses the button, and say so where it fails.
func TestMailTest(t *testing.T) {
	t.Parallel()
	certificate, roots := vouched(t)
	office := &postOffice{certificate: certificate}
	o := unlimited(idptest.Options{})
	o.Handlers.Mailer = mailerTo(t, office, roots, "smtp://mail.example")
	idp := idptest.New(t, o)
	root := inConsole(t, idp, "root")
	w := root.Post("/admin/settings/mail-test", url.Values{})
	wantStatus(t, "test", w, http.StatusSeeOther)
	if got := office.taken(); len(got) != 1 || got[0].Header.Get("To") != "<root@example.test>" {
		t.Fatalf("got %d letters", len(got))
	}
	office.down = true
	wantStatus(t, "no server", root.Post("/admin/settings/mail-test", nil), http.StatusBadGateway)
	for range 3 {
		root.Post("/admin/settings/mail-test", nil)
	}
	wantStatus(t, "too often", root.Post("/admin/settings/mail-test", nil), http.StatusTooManyRequests)
	wantStatus(t, "somebody of support", inConsole(t, idp, "sam").Post("/admin/settings/mail-test", nil), http.StatusForbidden)
}
