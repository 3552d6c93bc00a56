package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
)

// checkConfiguration: that it is valid was found when it was loaded.
func checkConfiguration(c *config.Config, file string) finding {
	if file == "" {
		file = "the environment"
	}
	if _, err := branding(c); err != nil {
		return finding{"configuration", bad, err.Error(), "The server will not start."}
	}
	return finding{"configuration", good, file + " is valid", ""}
}

// checkMail looks at what is said about mail without sending any.
func checkMail(c *config.Config) finding {
	wanted := c.Impersonation.Notify != "none" && c.Impersonation.Notify != "" || c.Impersonation.NotifyRequests
	switch {
	case c.Mail.SMTPURL == "" && wanted:
		return finding{"mail", warn, "people are to be told by mail, and there is no mail server", "Set mail.smtp_url and mail.from, or impersonation.notify: none."}
	case c.Mail.SMTPURL == "":
		return finding{"mail", good, "none is sent", ""}
	}
	return finding{"mail", good, "is sent through " + mailHost(c), ""}
}

// mailHost names the mail server, without the password.
func mailHost(c *config.Config) string {
	u, err := url.Parse(c.Mail.SMTPURL.Reveal())
	if err != nil {
		return "mail.smtp_url"
	}
	return u.Scheme + "://" + u.Host
}

// checkMailServer talks to the mail server as far as before a message.
func checkMailServer(ctx context.Context, c *config.Config) finding {
	mailer, err := newMailer(c)
	if err == nil {
		err = mailer.Check(ctx)
	}
	if err != nil {
		return finding{"mail server", bad, err.Error(), "See that it runs, that its certificate is good, and that mail.smtp_url is right."}
	}
	return finding{"mail server", good, mailHost(c) + " takes messages", ""}
}

func checkIssuer(c *config.Config) finding {
	if strings.HasPrefix(c.Issuer, "http://") {
		return finding{
			"issuer", warn, c.Issuer + " is not https, which is for trying it out on this machine",
			"Before anybody else uses it, set an https issuer. It cannot be changed later without signing everybody out.",
		}
	}
	return finding{"issuer", good, c.Issuer, ""}
}

// secretVariables name files that hold secrets.
var secretVariables = []string{"UNDERSTUDY_SECRETS__SYSTEM_FILE", "UNDERSTUDY_SECRETS__PREVIOUS_FILE", "UNDERSTUDY_DATABASE__DSN_FILE", "UNDERSTUDY_MAIL__SMTP_URL_FILE"}

// checkSecrets looks at the files with secrets, the key of the certificate among
// them. One that everybody may read does not load at all (SECURITY I02).
func checkSecrets(c *config.Config, file string, getenv func(string) string) finding {
	files := []string{file, c.TLS.KeyFile}
	for _, name := range secretVariables {
		files = append(files, getenv(name))
	}
	for _, name := range files {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return finding{"secrets", bad, err.Error(), "See that the file is there."}
		}
		if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o077 != 0 {
			return finding{"secrets", warn, fmt.Sprintf("%s can be read by others than its owner (mode %04o)", name, mode), "chmod 0600 " + name}
		}
	}
	return finding{"secrets", good, "nobody but their owner can read the files", ""}
}

// renewBefore is when a certificate should have been renewed.
const renewBefore = 14 * 24 * time.Hour

func checkTLS(c *config.Config, now time.Time) finding {
	https := strings.HasPrefix(c.Issuer, "https://")
	switch {
	case c.TLS.CertFile == "" && https:
		return finding{"tls", good, "is the business of a proxy in front", ""}
	case c.TLS.CertFile == "":
		return finding{"tls", good, "is not used", ""}
	case !https:
		return finding{"tls", bad, "a certificate is configured, but the issuer is http", "Set an https issuer, or remove tls."}
	}
	const renew = "Renew the certificate and restart the server, which reads it at the start."
	pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return finding{"tls", bad, err.Error(), renew}
	}
	leaf, until := pair.Leaf, pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
	host := ""
	if u, err := url.Parse(c.Issuer); err == nil {
		host = u.Hostname()
	}
	switch {
	case now.Before(leaf.NotBefore):
		return finding{"tls", bad, "the certificate is not valid before " + leaf.NotBefore.UTC().Format(time.RFC3339), "See that the clock is right."}
	case !now.Before(leaf.NotAfter):
		return finding{"tls", bad, "the certificate expired at " + until, renew}
	case leaf.VerifyHostname(host) != nil:
		return finding{"tls", bad, "the certificate is not for " + host, "Get one for the issuer's host."}
	case leaf.NotAfter.Sub(now) < renewBefore:
		return finding{"tls", warn, "the certificate expires at " + until, renew}
	}
	return finding{"tls", good, "the certificate is valid until " + until, ""}
}

func checkProxies(c *config.Config) finding {
	switch {
	case len(c.TrustedProxies) > 0:
		return finding{"proxies", good, fmt.Sprintf("X-Forwarded-For is believed from %s", cell(c.TrustedProxies)), ""}
	case strings.HasPrefix(c.Issuer, "https://") && c.TLS.CertFile == "":
		return finding{
			"proxies", warn, "there is a proxy in front, and trusted_proxies is empty: every request seems to come from the proxy",
			"List the proxy in trusted_proxies. Sign-ins are throttled, and recorded, by address.",
		}
	}
	return finding{"proxies", good, "none: clients connect to this server themselves", ""}
}

// checkRegistration: what everybody may do, somebody will.
func checkRegistration(c *config.Config) finding {
	switch c.Registration.Mode {
	case provider.RegistrationOpen:
		return finding{
			"registration", warn, "everybody may register applications, and nothing removes those that nobody uses",
			"Outside of tests and networks of your own, set registration.mode to token.",
		}
	case provider.RegistrationWithToken:
		return finding{"registration", good, "is for those who have an initial access token", ""}
	}
	return finding{"registration", good, "is off", ""}
}

// checkOpsListen: nothing there asks for a password.
func checkOpsListen(c *config.Config) finding {
	if c.OpsListen == "" {
		return finding{"ops_listen", good, "is switched off", ""}
	}
	host, _, err := net.SplitHostPort(c.OpsListen)
	a, addrErr := netip.ParseAddr(host)
	public := err != nil || host == "" || addrErr == nil && (a.IsUnspecified() || !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast())
	if public {
		return finding{
			"ops_listen", warn, c.OpsListen + " can be reached from other networks, and asks for no password",
			"Use a loopback or private address, or see that a firewall keeps others out.",
		}
	}
	return finding{"ops_listen", good, c.OpsListen, ""}
}

// maxDocument is how large a discovery document may be.
const maxDocument = 64 << 10

// checkServer asks at the issuer's address whether a server answers that says it is
// this issuer (OpenID Connect Discovery 1.0 section 4.3).
func checkServer(ctx context.Context, client *http.Client, issuer string) finding {
	const advice = "See that the server runs, and that the name, the proxy and the certificate lead to it. --offline leaves this out."
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return finding{"server", warn, err.Error(), advice}
	}
	answer, err := client.Do(r)
	if err != nil {
		return finding{"server", warn, err.Error(), advice}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return finding{"server", warn, r.URL.String() + ": " + answer.Status, advice}
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxDocument)).Decode(&document); err != nil {
		return finding{"server", warn, r.URL.String() + ": " + err.Error(), advice}
	}
	if document.Issuer != issuer {
		return finding{
			"server", bad, fmt.Sprintf("what answers at %s says that it is %q", issuer, document.Issuer),
			"Applications compare the two byte by byte. See that they lead to this server, and restart it.",
		}
	}
	return finding{"server", good, "answers at " + issuer, ""}
}
