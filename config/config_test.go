package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const (
	systemSecret = "k3Yq8ZtUO7uWcX1sPnB5vLf0HdJ2mRgE9aTQiVw4xNo"
	oldSecret    = "Zp6Hc0Rj5yTbKx2LwQ8sNeVf1UgMa9DoIi3rXt7Yk4E"
	mailPassword = "hunter2-mail-pw"
	dbPassword   = "hunter2-db-pw"
)

// A setup is everything Load depends on, valid until a row breaks one thing.
type setup struct {
	dir       string
	yaml      string
	mode      os.FileMode
	environ   []string
	overrides map[string]any
}

const validYAML = `
issuer: https://id.example.com
listen: 127.0.0.1:8080
ops_listen: 127.0.0.1:9090
trusted_proxies: [10.0.0.0/8, "::1"]
dialects: [clerk, workos]
tls:
  cert_file: DIR/cert.pem
  key_file: DIR/key.pem
database:
  dsn: postgres://understudy:` + dbPassword + `@db.example.com/understudy
  max_connections: 8
secrets:
  system: ` + systemSecret + `
  previous: [` + oldSecret + `]
tokens:
  access_token_lifetime: 15m
  id_token_lifetime: 15m
  authorization_code_lifetime: 60s
  refresh_token_idle: 336h
  refresh_token_lifetime: 720h
  refresh_reuse_leeway: 10s
sessions:
  idle: 1h
  lifetime: 24h
  cookie_name: understudy
impersonation:
  default_duration: 30m
  max_duration: 60m
  step_up_max_age: 5m
  max_starts_per_hour: 10
  max_concurrent: 3
  max_concurrent_per_client: 1
  prompt: always
  ticket_ref_pattern: "[A-Z]+-[0-9]+"
  ticket_ref_required: true
  report_to: security@example.com
login:
  max_concurrent_hashes: 4
  queue_timeout: 2s
mail:
  smtp_url: smtps://bot:` + mailPassword + `@mail.example.com
  from: Understudy <no-reply@example.com>
log:
  level: info
  format: json
branding:
  name: Understudy
  logo: DIR/cert.pem
  accent: "#1f5fbf"
`

func newSetup(t *testing.T) *setup {
	s := &setup{dir: t.TempDir(), mode: 0o600, overrides: map[string]any{}}
	s.yaml = strings.ReplaceAll(validYAML, "DIR", s.dir)
	s.keyPair(t, "cert.pem", "key.pem")
	return s
}

func (s *setup) load(t *testing.T) (*config.Config, error) {
	return config.Load(s.write(t, "understudy.yaml", s.yaml, s.mode), s.environ, s.overrides)
}

func (s *setup) write(t *testing.T, name, text string, mode os.FileMode) string {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask does not matter
		t.Fatal(err)
	}
	return path
}

// replace breaks the file; the text must be there.
func (s *setup) replace(t *testing.T, old, with string) {
	if !strings.Contains(s.yaml, old) {
		t.Fatalf("the valid file has no %q", old)
	}
	s.yaml = strings.Replace(s.yaml, old, with, 1)
}

func (s *setup) env(name, value string) { s.environ = append(s.environ, name+"="+value) }

func (s *setup) keyPair(t *testing.T, certName, keyName string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, certName, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), 0o644)
	s.write(t, keyName, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
}

func problemsOf(t *testing.T, err error) []config.Problem {
	t.Helper()
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("got error %v of type %T, want *config.Error", err, err)
	}
	return e.Problems
}

func TestLoadValid(t *testing.T) {
	s := newSetup(t)
	c, err := s.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Secrets.System.Reveal() != systemSecret || c.Mail.SMTPURL.Reveal() == "" {
		t.Error("a secret was not read")
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("trusted_proxies: got %v, want %v", c.TrustedProxies, want)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	c, err := config.Load("", []string{"UNDERSTUDY_ISSUER=https://id.example.com", "UNDERSTUDY_SECRETS__SYSTEM=" + systemSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, s := range c.Redacted() {
		if s.Source == "default" {
			got[s.Key] = s.Value
		}
	}
	want := map[string]any{
		"listen": "127.0.0.1:8080", "ops_listen": "127.0.0.1:9090", "trusted_proxies": []any{}, "dialects": []any{},
		"tls.cert_file": "", "tls.key_file": "", "database.dsn": "sqlite:understudy.db", "database.max_connections": 8,
		"secrets.previous": []any{}, "tokens.access_token_lifetime": "15m", "tokens.id_token_lifetime": "15m",
		"tokens.authorization_code_lifetime": "1m", "tokens.refresh_token_idle": "336h", "tokens.refresh_token_lifetime": "720h",
		"tokens.refresh_reuse_leeway": "10s", "tokens.assertion_audience": "issuer", "sessions.idle": "1h", "sessions.lifetime": "24h", "sessions.cookie_name": "understudy",
		"impersonation.default_duration": "30m", "impersonation.max_duration": "1h", "impersonation.step_up_max_age": "5m",
		"impersonation.max_starts_per_hour": 10, "impersonation.max_concurrent": 3, "impersonation.max_concurrent_per_client": 1,
		"impersonation.prompt": "always", "impersonation.ticket_ref_pattern": "", "impersonation.ticket_ref_required": false, "impersonation.policy_authors_at_once": false, "impersonation.dialect_reason": "generated", "impersonation.approval_wait": "24h",
		"impersonation.notify": "none", "impersonation.notify_requests": false, "impersonation.report_to": "",
		"keys.rotation_interval": "2160h", "registration.mode": "off", "api.requests_per_second": 100,
		"registration.scope": "openid profile email address phone offline_access", "outgoing.allowed_networks": []any{},
		"login.max_concurrent_hashes": 0, "login.queue_timeout": "2s", "mail.smtp_url": "", "mail.from": "",
		"log.level": "info", "log.format": "json", "branding.name": "Understudy", "branding.logo": "", "branding.accent": "#1f5fbf",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestPrecedence(t *testing.T) {
	s := newSetup(t)
	level := func() string {
		t.Helper()
		c, err := s.load(t)
		if err != nil {
			t.Fatal(err)
		}
		for _, setting := range c.Redacted() {
			if setting.Key == "log.level" {
				return fmt.Sprint(c.Log.Level, " from ", setting.Source)
			}
		}
		return "not shown"
	}
	s.replace(t, "  level: info\n", "")
	steps := []struct {
		want string
		set  func()
	}{
		{"info from default", func() {}},
		{"warn from file", func() { s.replace(t, "log:\n", "log:\n  level: warn\n") }},
		{"error from env", func() { s.env("UNDERSTUDY_LOG__LEVEL", "error") }},
		{"debug from flag", func() { s.overrides["log.level"] = "debug" }},
	}
	for _, step := range steps {
		step.set()
		if got := level(); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
}

func TestOverrides(t *testing.T) {
	s := newSetup(t)
	s.overrides = map[string]any{
		"impersonation":        map[string]any{"max_duration": 45 * time.Minute, "ticket_ref_required": false},
		"login.queue_timeout":  "3s",
		"dialects":             []string{"auth0"},
		"trusted_proxies":      []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		"secrets.system":       config.Secret(oldSecret + "x"),
		"impersonation.prompt": "on_request",
	}
	c, err := s.load(t)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(c.Impersonation.MaxDuration, c.Impersonation.TicketRefRequired, c.Login.QueueTimeout, c.Dialects, c.TrustedProxies, c.Impersonation.Prompt)
	if want := "45m0s false 3s [auth0] [192.0.2.0/24] on_request\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c.Secrets.System.Reveal() != oldSecret+"x" {
		t.Error("secrets.system was not overridden")
	}
}

func TestEnvironment(t *testing.T) {
	s := newSetup(t)
	s.yaml = ""
	s.environ = []string{
		"UNDERSTUDY_ISSUER=http://127.0.0.1:8080", "UNDERSTUDY_CONFIG=/etc/understudy.yaml", "UNDERSTUDY_PORT=tcp://10.0.0.1:80",
		"UNDERSTUDY_SERVICE_HOST=10.0.0.1", "UNDERSTUDY_SERVICE_PORT_HTTP=80", "UNDERSTUDY_PORT_80_TCP_ADDR=10.0.0.1", "HOME=/",
		"UNDERSTUDY_TRUSTED_PROXIES=10.0.0.1, 192.0.2.0/24", "UNDERSTUDY_OPS_LISTEN=", "UNDERSTUDY_IMPERSONATION__TICKET_REF_REQUIRED=true",
		"UNDERSTUDY_SECRETS__SYSTEM_FILE=" + s.write(t, "system", systemSecret+"\n", 0o440),
		"UNDERSTUDY_SECRETS__PREVIOUS_FILE=" + s.write(t, "previous", oldSecret+"\n"+oldSecret+",x\n", 0o400),
	}
	c, err := s.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Secrets.System.Reveal() != systemSecret {
		t.Error("secrets.system is not what its file says")
	}
	if got, want := c.Secrets.Previous, []config.Secret{oldSecret, oldSecret + ",x"}; !slices.Equal(got, want) {
		t.Error("secrets.previous is not what its file says")
	}
	if got, want := fmt.Sprint(c.TrustedProxies), "[10.0.0.1/32 192.0.2.0/24]"; got != want {
		t.Errorf("trusted_proxies: got %s, want %s", got, want)
	}
	if c.OpsListen != "" || !c.Impersonation.TicketRefRequired {
		t.Errorf("got ops_listen %q and ticket_ref_required %v", c.OpsListen, c.Impersonation.TicketRefRequired)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	s := newSetup(t)
	s.replace(t, "https://id.example.com", "ftp://id.example.com")
	s.replace(t, "level: info", "level: loud")
	s.replace(t, systemSecret, "short")
	s.yaml += "isuer: x\n"
	s.mode = 0o644
	s.env("UNDERSTUDY_SESSIONS__IDLE", "an hour")
	s.env("UNDERSTUDY_SESION__IDLE", "1h")
	s.overrides["branding.accent"] = "blue"
	_, err := s.load(t)
	var keys []string
	for _, p := range problemsOf(t, err) {
		keys = append(keys, p.Key)
	}
	want := []string{
		"UNDERSTUDY_SESION__IDLE", "branding.accent", "database.dsn", "issuer", "isuer", "log.level",
		"mail.smtp_url", "secrets.previous", "secrets.system", "secrets.system", "sessions.idle",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s\n%v", diff, err)
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(keys) {
		t.Errorf("got %d lines for %d problems:\n%v", got, len(keys), err)
	}
	for _, where := range []string{"(from UNDERSTUDY_SESSIONS__IDLE)", "(from the command line)", "understudy.yaml)"} {
		if !strings.Contains(err.Error(), where) {
			t.Errorf("no problem says %s:\n%v", where, err)
		}
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	s := newSetup(t)
	c, err := s.load(t)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&printed, verb+"\n", *c)
		fmt.Fprintf(&printed, verb+"\n", c.Secrets.System)
		fmt.Fprintf(&printed, verb+"\n", c.Database.DSN)
	}
	logger := slog.New(slog.NewTextHandler(&printed, nil))
	logger.Info("config", "config", c, "secret", c.Secrets.System, "dsn", c.Database.DSN)
	for _, v := range []any{c, c.Redacted()} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(b)
	}
	text, err := c.Secrets.System.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	printed.Write(text)
	assertNoSecret(t, printed.String())
	if !strings.Contains(printed.String(), "REDACTED") {
		t.Error("nothing says REDACTED")
	}
}

func TestDSNString(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                     "",
		"sqlite:understudy.db": "sqlite:understudy.db",
		"postgres://u:pw@h/db": "postgres://u:REDACTED@h/db",
		"postgres://u@h/db":    "postgres://u@h/db",
		"postgres://h/db?password=pw&sslmode=require": "postgres://h/db?password=REDACTED&sslmode=require",
		"postgres://h/db?a;password=pw":               "postgres://h/db",
		"postgres://u:12/pw@h/db":                     "postgres://REDACTED",
		"postgres://u:12#pw@h/db":                     "postgres://REDACTED",
		"postgres://u:p%w@h/db":                       "postgres://REDACTED",
		"postgres:u:pw@h":                             "postgres://REDACTED",
		"host=h password=pw":                          "REDACTED",
		"mysql://u:pw@h/db":                           "mysql://u:REDACTED@h/db",
	} {
		if got := config.DSN(dsn).String(); got != want {
			t.Errorf("DSN %q: got %q, want %q", dsn, got, want)
		}
	}
}

func TestValidateWithoutLoad(t *testing.T) {
	problems := problemsOf(t, new(config.Config).Validate())
	if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Key == "secrets.system" }) {
		t.Errorf("got %v, want a problem with secrets.system", problems)
	}
}

func assertNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{systemSecret, oldSecret, mailPassword, dbPassword, "hunter2", fmt.Sprintf("%x", systemSecret)} {
		if strings.Contains(text, secret) {
			t.Errorf("prints the secret %s:\n%s", secret, text)
		}
	}
}

func (s *setup) chmod(t *testing.T, name string, mode os.FileMode) {
	if err := os.Chmod(filepath.Join(s.dir, name), mode); err != nil {
		t.Fatal(err)
	}
}
