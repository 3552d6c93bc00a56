package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// judged checks what a check found; of the detail and the advice, says is a part.
func judged(t *testing.T, what string, got finding, status verdict, says string) {
	t.Helper()
	if got.Status != status || !strings.Contains(got.Detail+"\n"+got.Advice, says) {
		t.Errorf("%s: got %+v, want %s: %s", what, got, status, says)
	}
	if (got.Advice == "") != (got.Status == good) {
		t.Errorf("%s: %s with the advice %q", what, got.Status, got.Advice)
	}
}

// Each row breaks one thing of a configuration that is right.
func TestDoctorConfiguration(t *testing.T) {
	t.Parallel()
	sound := func(change func(*config.Config)) *config.Config {
		c := &config.Config{Issuer: "https://id.example.com", OpsListen: "127.0.0.1:9090", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
		if change != nil {
			change(c)
		}
		return c
	}
	for _, test := range []struct {
		name   string
		check  func(*config.Config) finding
		change func(*config.Config)
		status verdict
		says   string
	}{
		{"configuration", func(c *config.Config) finding { return checkConfiguration(c, "a.yaml") }, nil, good, "a.yaml is valid"},
		{"from the environment", func(c *config.Config) finding { return checkConfiguration(c, "") }, nil, good, "the environment is valid"},
		{"dialects", func(c *config.Config) finding { return checkConfiguration(c, "") }, func(c *config.Config) { c.Dialects = []string{"clerk"} }, good, "is valid"},
		{"no logo", func(c *config.Config) finding { return checkConfiguration(c, "") }, func(c *config.Config) { c.Branding.Logo = "doctor_test.go" }, bad, "branding.logo"},

		{"no mail", checkMail, nil, good, "none is sent"},
		{"mail", checkMail, func(c *config.Config) { c.Mail.SMTPURL = "smtp://bot:secret@mail.example:25" }, good, "through smtp://mail.example:25"},
		{"mail wanted, and no server", checkMail, func(c *config.Config) { c.Impersonation.Notify = "start" }, warn, "no mail server"},
		{"requests wanted, and no server", checkMail, func(c *config.Config) { c.Impersonation.NotifyRequests = true }, warn, "no mail server"},

		{"issuer", checkIssuer, nil, good, "https://id.example.com"},
		{"I05 issuer over http", checkIssuer, func(c *config.Config) { c.Issuer = "http://localhost:8080" }, warn, "not https"},

		{"proxies", checkProxies, nil, good, "127.0.0.1/32"},
		{"proxies not listed", checkProxies, func(c *config.Config) { c.TrustedProxies = nil }, warn, "seems to come from the proxy"},
		{"no proxy", checkProxies, func(c *config.Config) { c.TrustedProxies, c.TLS.CertFile = nil, "x" }, good, "none"},
		{"no proxy on loopback", checkProxies, func(c *config.Config) { c.TrustedProxies, c.Issuer = nil, "http://localhost:8080" }, good, "none"},

		{"registration", checkRegistration, nil, good, "is off"},
		{"registration with a token", checkRegistration, func(c *config.Config) { c.Registration.Mode = "token" }, good, "initial access token"},
		{"registration for everybody", checkRegistration, func(c *config.Config) { c.Registration.Mode = "open" }, warn, "everybody may register"},

		{"ops_listen", checkOpsListen, nil, good, "127.0.0.1:9090"},
		{"ops_listen off", checkOpsListen, func(c *config.Config) { c.OpsListen = "" }, good, "switched off"},
		{"ops_listen private", checkOpsListen, func(c *config.Config) { c.OpsListen = "10.1.2.3:9090" }, good, "10.1.2.3"},
		{"ops_listen by name", checkOpsListen, func(c *config.Config) { c.OpsListen = "localhost:9090" }, good, "localhost"},
		{"ops_listen everywhere", checkOpsListen, func(c *config.Config) { c.OpsListen = ":9090" }, warn, "asks for no password"},
		{"ops_listen everywhere, IPv4", checkOpsListen, func(c *config.Config) { c.OpsListen = "0.0.0.0:9090" }, warn, "asks for no password"},
		{"ops_listen everywhere, IPv6", checkOpsListen, func(c *config.Config) { c.OpsListen = "[::]:9090" }, warn, "asks for no password"},
		{"ops_listen public", checkOpsListen, func(c *config.Config) { c.OpsListen = "203.0.113.1:9090" }, warn, "asks for no password"},
	} {
		judged(t, test.name, test.check(sound(test.change)), test.status, test.says)
	}
}

// certificate writes one for a host and returns the files.
func certificate(t *testing.T, host string, from, until time.Time) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{CertFile: filepath.Join(t.TempDir(), "tls.crt"), KeyFile: filepath.Join(t.TempDir(), "tls.key")}
	for name, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: cert}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestDoctorTLS(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Now()
	whole := certificate(t, "id.example.com", now.Add(-day), now.Add(90*day))
	for _, test := range []struct {
		name   string
		issuer string
		files  config.TLS
		after  time.Duration
		status verdict
		says   string
	}{
		{"valid", "https://id.example.com", whole, 0, good, "valid until"},
		{"with a port", "https://id.example.com:8443", whole, 0, good, "valid until"},
		{"a proxy's", "https://id.example.com", config.TLS{}, 0, good, "proxy"},
		{"none", "http://localhost:8080", config.TLS{}, 0, good, "not used"},
		{"for an http issuer", "http://localhost:8080", whole, 0, bad, "the issuer is http"},
		{"expires within 14 days", "https://id.example.com", whole, 77 * day, warn, "expires at"},
		{"expired", "https://id.example.com", whole, 90 * day, bad, "expired at"},
		{"not yet valid", "https://id.example.com", whole, -2 * day, bad, "not valid before"},
		{"for another host", "https://other.example.com", whole, 0, bad, "not for other.example.com"},
		{"not there", "https://id.example.com", config.TLS{CertFile: "/no/such/file", KeyFile: "/no/such/file"}, 0, bad, "no such file"},
	} {
		judged(t, test.name, checkTLS(&config.Config{Issuer: test.issuer, TLS: test.files}, now.Add(test.after)), test.status, test.says)
	}
}

// I02: files with secrets are their owner's alone.
func TestDoctorFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(directory, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, group, world := file("private", 0o600), file("group", 0o640), file("world", 0o644)
	none := func(string) string { return "" }
	judged(t, "I02 private", checkSecrets(&config.Config{}, private, none), good, "nobody but")
	judged(t, "I02 no file", checkSecrets(&config.Config{}, "", none), good, "nobody but")
	judged(t, "I02 group", checkSecrets(&config.Config{}, group, none), warn, "mode 0640")
	judged(t, "I02 key of the certificate", checkSecrets(&config.Config{TLS: config.TLS{KeyFile: group}}, private, none), warn, "mode 0640")
	judged(t, "I02 gone", checkSecrets(&config.Config{}, private+"x", none), bad, "no such file")
	for _, name := range secretVariables {
		judged(t, "I02 "+name, checkSecrets(&config.Config{}, private, func(n string) string {
			if n == name {
				return group
			}
			return ""
		}), warn, "chmod 0600 "+group)
	}
	judged(t, "database private", checkDatabaseFile(private), good, "its owner's alone")
	judged(t, "database of a group", checkDatabaseFile(group), warn, "mode 0640")
	judged(t, "I02 database of the world", checkDatabaseFile(world), bad, "chmod 0600 "+world)
	judged(t, "database gone", checkDatabaseFile(private+"x"), bad, "no such file")
	file("private-wal", 0o604)
	judged(t, "I02 its log", checkDatabaseFile(private), bad, "private-wal")
}

func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	roomy := volume{free: 10 << 30, total: 20 << 30}
	for _, test := range []struct {
		name   string
		change func(*volume)
		err    error
		status verdict
		says   string
	}{
		{"local", func(*volume) {}, nil, good, "10 GiB of 20 GiB left"},
		{"over a network", func(v *volume) { v.network = "NFS" }, nil, bad, "is on NFS"},
		{"FUSE", func(v *volume) { v.user = true }, nil, warn, "FUSE"},
		{"little room", func(v *volume) { v.free = 500 << 20 }, nil, warn, "500 MiB left"},
		{"no room", func(v *volume) { v.free = 99 << 20 }, nil, bad, "99 MiB left"},
		{"not told", func(*volume) {}, errNoVolume, good, "not known"},
		{"not there", func(*volume) {}, os.ErrNotExist, bad, "not exist"},
	} {
		v := roomy
		test.change(&v)
		judged(t, test.name, checkDatabaseDirectory("/data", func(string) (volume, error) { return v, test.err }), test.status, test.says)
	}
	v, err := filesystem(t.TempDir())
	if !errors.Is(err, errNoVolume) && (err != nil || v.total == 0 || v.free > v.total) {
		t.Errorf("this machine: %+v, %v", v, err)
	}
	if _, err := filesystem("/no/such/directory"); err == nil {
		t.Error("a directory that is not there: no error")
	}
}

func TestDoctorKeyAges(t *testing.T) {
	t.Parallel()
	const day, interval = 24 * time.Hour, 90 * 24 * time.Hour
	now := time.Now()
	status := func(alg string, state provider.KeyState, activates time.Duration) provider.KeyStatus {
		return provider.KeyStatus{SigningKey: storage.SigningKey{Alg: alg, ActivatesAt: storage.At(now.Add(activates))}, State: state}
	}
	young := []provider.KeyStatus{status("RS256", provider.KeySigning, -10*day), status("ES256", provider.KeySigning, -11*day), status("EdDSA", provider.KeySigning, -500*day)}
	old := []provider.KeyStatus{status("RS256", provider.KeySigning, -90*day)}
	for _, test := range []struct {
		name     string
		keys     []provider.KeyStatus
		interval time.Duration
		status   verdict
		says     string
	}{
		{"young", young, interval, good, "RS256 10 days old, ES256 11 days old; the next is published at " + now.Add(78*day).UTC().Format(time.DateOnly)},
		{"left to the operator", old, 0, good, "left to understudy key rotate"},
		{"overdue", old, interval, warn, "should have been published"},
		{"the next is published", append(old, status("RS256", provider.KeyNext, day)), interval, good, "the next is published"},
		{"the next is far away", append(old, status("RS256", provider.KeyNext, 365*day)), interval, warn, "the clock was wrong"},
	} {
		judged(t, test.name, keyAges(test.keys, test.interval, now), test.status, test.says)
	}
	judged(t, "I02 to be encrypted anew", encryption(3, 1), warn, "3 keys are encrypted with secrets.previous")
	judged(t, "I02 the previous secret is of no use", encryption(0, 1), warn, "Remove it")
	judged(t, "I02 encrypted", encryption(0, 0), good, "secrets.system")
}

func TestDoctorWeaknesses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*storage.Client)
		says   []string
	}{
		{"none", func(*storage.Client) {}, nil},
		{"no PKCE", func(c *storage.Client) { c.RequirePKCE = false }, []string{"PKCE"}},
		{"a service needs none", func(c *storage.Client) { c.RequirePKCE, c.GrantTypes = false, storage.List{"client_credentials"} }, nil},
		{"implicit", func(c *storage.Client) { c.ResponseTypes = storage.List{"code", "id_token token"} }, []string{`"id_token token"`}},
		{"hybrid", func(c *storage.Client) { c.ResponseTypes = storage.List{"code id_token", "code token"} }, []string{`"code id_token"`, `"code token"`}},
		{"http", func(c *storage.Client) {
			c.RedirectURIs = storage.List{"http://shop.example/cb", "https://shop.example/cb"}
		}, []string{"http://shop.example/cb"}},
		{"http on loopback", func(c *storage.Client) {
			c.RedirectURIs = storage.List{"http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost/cb", "com.example.app:/cb"}
		}, nil},
		{"callback", func(c *storage.Client) { c.Delivery = "callback" }, []string{"login CSRF"}},
		{"everything", func(c *storage.Client) { c.RequirePKCE, c.Delivery = false, "callback" }, []string{"PKCE", "login CSRF"}},
		{"disabled", func(c *storage.Client) { c.RequirePKCE, c.Status = false, storage.ClientDisabled }, nil},
	} {
		c := &storage.Client{
			ID: "shop", RequirePKCE: true, GrantTypes: storage.List{"authorization_code"}, ResponseTypes: storage.List{"code"},
			RedirectURIs: storage.List{"https://shop.example/cb"}, Delivery: "initiate_login",
		}
		test.change(c)
		found := weaknesses(c)
		if len(found) != len(test.says) {
			t.Errorf("%s: got %+v, want %q", test.name, found, test.says)
			continue
		}
		for i, w := range found {
			if !strings.Contains(w.detail, test.says[i]) || w.advice == "" {
				t.Errorf("%s: got %+v, want %s", test.name, w, test.says[i])
			}
		}
	}
}

func TestDoctorRecordFinding(t *testing.T) {
	t.Parallel()
	now := time.Now()
	signed := &storage.Checkpoint{Size: 5, CreatedAt: storage.At(now.Add(-1000 * time.Hour))}
	events := func(ago ...time.Duration) (all []storage.Event) {
		for _, d := range ago {
			all = append(all, storage.Event{Time: storage.At(now.Add(-d))})
		}
		return all
	}
	judged(t, "signed", recordFinding(signed, 5, nil, now), good, "5 events; signed")
	judged(t, "about to be signed", recordFinding(signed, 6, events(time.Minute, time.Second), now), good, "6 events; signed")
	judged(t, "nothing yet", recordFinding(&storage.Checkpoint{}, 0, nil, now), good, "0 events")
	judged(t, "a new installation", recordFinding(&storage.Checkpoint{}, 3, events(time.Second), now), good, "3 events")
	judged(t, "not signed", recordFinding(signed, 6, events(11*time.Minute), now), warn, "not been signed since")
	judged(t, "never signed", recordFinding(&storage.Checkpoint{}, 6, events(time.Hour), now), warn, "not been signed since")
	judged(t, "no place", recordFinding(signed, 6, events(time.Second, time.Hour), now), warn, "not been signed since")
}

func TestDoctorServer(t *testing.T) {
	t.Parallel()
	answer := http.HandlerFunc(nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer server.Close()
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		status verdict
		says   string
	}{
		{"itself", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"issuer":%q}`, server.URL) }, good, "answers"},
		{"another issuer", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"issuer":"https://other.example"}`) }, bad, "https://other.example"},
		{"with a slash", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"issuer":%q}`, server.URL+"/") }, bad, "byte by byte"},
		{"no document", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, warn, "openid-configuration"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, warn, "502"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, warn, "302"},
		{"a document without end", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"x":"`+strings.Repeat("x", maxDocument)+`"}`)
		}, warn, "EOF"},
	} {
		answer = test.answer
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		judged(t, test.name, checkServer(t.Context(), client, server.URL), test.status, test.says)
	}
	gone := server.URL
	server.Close()
	judged(t, "nobody", checkServer(t.Context(), &http.Client{}, gone), warn, "refused")
}

// healthy is an installation with nothing to complain about, and its server.
func healthy(t *testing.T) *examination {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	s := siteAt(t, "https://"+server.Listener.Addr().String())
	s.ok("user", "create", "--email", "root@understudy.test", "--role", "admin", "--password-file", s.file("password", "a long password"))
	s.ok("client", "create", "--id", "shop", "--redirect-uri", "https://shop.test/callback", "--allow-impersonation")
	s.ok("impersonation", "enable")
	s.ok("audit", "checkpoint")
	c, err := config.Load(s.config(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.TLS = certificate(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
	store := s.store()
	t.Cleanup(func() { store.Close() })
	service, err := assemble(t.Context(), c, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = service.server.Handler()
	server.StartTLS()
	t.Cleanup(server.Close)
	return &examination{config: c, file: s.config(), now: time.Now(), client: server.Client()}
}

// A healthy installation is ok throughout; each row breaks one thing of it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	change := func(statements ...string) func(t *testing.T, e *examination) {
		return func(t *testing.T, e *examination) {
			s := site{t, filepath.Dir(e.file)}
			for _, statement := range statements {
				s.exec(statement)
			}
		}
	}
	run := func(t *testing.T, args ...string) func(*testing.T, *examination) {
		t.Helper()
		return func(t *testing.T, e *examination) { site{t, filepath.Dir(e.file)}.ok(args...) }
	}
	path := func(e *examination) string { return filepath.Join(filepath.Dir(e.file), "understudy.db") }
	for _, test := range []struct {
		name   string
		spoil  func(*testing.T, *examination)
		check  string // empty: everything is ok
		status verdict
		says   string
	}{
		{"healthy", func(*testing.T, *examination) {}, "", good, ""},
		{"healthy, the whole record", func(_ *testing.T, e *examination) { e.full = true }, "", good, ""},
		{"healthy, offline", func(_ *testing.T, e *examination) { e.client = nil }, "", good, ""},
		{"switched off", run(t, "impersonation", "disable"), "", good, ""},
		{"no database", func(t *testing.T, e *examination) { remove(t, path(e)) }, "database", bad, "no such file"},
		{"no PostgreSQL", func(_ *testing.T, e *examination) {
			e.config.Database.DSN = "postgres://nobody:secret@127.0.0.1:1/none?connect_timeout=1"
		}, "database", bad, "database.dsn"},
		{"I02 readable by all", func(t *testing.T, e *examination) {
			if err := os.Chmod(path(e), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "database file", bad, "chmod 0600"},
		{"a schema of the future", change(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`), "schema", bad, "migrate up"},
		{"no keys", change(`DELETE FROM signing_keys`), "keys", bad, "Start the server"},
		{"I02 another secret", func(_ *testing.T, e *examination) { e.config.Secrets.System = "another secret that is long enough" }, "keys", bad, "secrets.previous"},
		{"I02 a damaged key", change(`UPDATE signing_keys SET public_key = x'00'`), "keys", bad, "damaged"},
		{"I03 keys too old", change(`UPDATE signing_keys SET activates_at = 1`), "keys", warn, "should have been published"},
		{"I02 to be encrypted anew", func(_ *testing.T, e *examination) {
			e.config.Secrets.Previous = []config.Secret{e.config.Secrets.System}
			e.config.Secrets.System = "another secret that is long enough"
		}, "encryption", warn, "3 keys"},
		{"I02 the previous secret is of no use", func(_ *testing.T, e *examination) {
			e.config.Secrets.Previous = []config.Secret{"another secret that is long enough"}
		}, "encryption", warn, "Remove it"},
		{"no administrator", change(`DELETE FROM user_roles`), "administrators", warn, "setup-link"},
		{"only a disabled one", run(t, "user", "disable", "root@understudy.test"), "administrators", warn, "setup-link"},
		{"only one without a password", change(`UPDATE users SET password_hash = ''`), "administrators", warn, "setup-link"},
		{"on for nobody", run(t, "client", "update", "shop", "--allow-impersonation=false"), "impersonation", warn, "no application allows it"},
		{"a weak application", change(`UPDATE clients SET delivery = 'callback'`), "application shop", warn, "login CSRF"},
		{"G03 a record that was cut off", change(`DROP TRIGGER tree_hashes_no_delete`, `DELETE FROM tree_hashes`), "record", bad, "kept elsewhere"},
		{"G03 a forged checkpoint", change(`DROP TRIGGER checkpoints_no_update`, `UPDATE checkpoints SET note = 'x'`), "record", bad, "kept elsewhere"},
		{"G03 a changed event", func(t *testing.T, e *examination) {
			e.full = true
			change(`DROP TRIGGER events_no_update`, `UPDATE events SET data = '{"x":1}' WHERE position = 0`)(t, e)
		}, "record", bad, "event 0"},
		{"events that nobody signs", func(t *testing.T, e *examination) {
			run(t, "org", "create", "Globex")(t, e)
			e.now = e.now.Add(time.Hour)
		}, "record", warn, "not been signed since"},
		{"logout notices", change(fmt.Sprintf(`INSERT INTO logout_notices (id, client_id, user_id, sid, status, created_at, next_attempt_at, done_at, expires_at)
			VALUES ('n1', 'shop', 'u', 's', 'failed', 1, 1, %d, 1), ('n2', 'shop', 'u', 's', 'failed', 1, 1, %d, 1), ('n3', 'shop', 'u', 's', 'delivered', 1, 1, 1, 1)`,
			storage.At(time.Now()), storage.At(time.Now().Add(-25*time.Hour)))), "logout notices", warn, "1 were refused or given up"},
		{"logout notices that wait", change(`INSERT INTO logout_notices (id, client_id, user_id, sid, status, created_at, next_attempt_at, expires_at)
			VALUES ('n1', 'shop', 'u', 's', 'pending', 1, 1, 1)`), "logout notices", warn, "1 have waited for more than 5 minutes"},
		{"logout notices just now", change(fmt.Sprintf(`INSERT INTO logout_notices (id, client_id, user_id, sid, status, created_at, next_attempt_at, expires_at)
			VALUES ('n1', 'shop', 'u', 's', 'pending', %d, 1, 1)`, storage.At(time.Now()))), "", good, ""},
		{"logout notices of an application that is gone", change(fmt.Sprintf(`INSERT INTO logout_notices (id, client_id, user_id, sid, status, created_at, next_attempt_at, done_at, expires_at)
			VALUES ('n1', 'gone', 'u', 's', 'failed', 1, 1, %d, 1)`, storage.At(time.Now()))), "", good, ""},
		{"a server of another issuer", func(t *testing.T, e *examination) {
			other := healthy(t)
			e.client = &http.Client{Transport: rewritten{other}}
		}, "server", bad, "byte by byte"},
		{"no server", func(_ *testing.T, e *examination) { e.client = &http.Client{Transport: refused{}} }, "server", warn, "no route"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := healthy(t)
			test.spoil(t, e)
			seen := false
			for _, f := range e.run(t.Context()) {
				if f.Check == test.check && f.Status != good {
					seen = true
					judged(t, f.Check, f, test.status, test.says)
				} else if f.Status != good {
					t.Errorf("got %+v besides", f)
				}
			}
			if seen != (test.check != "") {
				t.Errorf("nothing about %s: %+v", test.check, e.run(t.Context()))
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// rewritten leads to another installation.
type rewritten struct{ to *examination }

func (r rewritten) RoundTrip(request *http.Request) (*http.Response, error) {
	other, err := http.NewRequestWithContext(request.Context(), request.Method, r.to.config.Issuer+request.URL.Path, nil)
	if err != nil {
		return nil, err
	}
	return r.to.client.Do(other)
}

type refused struct{}

func (refused) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route to host")
}

// The command says what it found to people and to programs, and exits accordingly.
func TestDoctorCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	out := s.ok("doctor", "--offline")
	for _, part := range []string{
		"✓ ok    configuration", "! warn  issuer", "! warn  administrators", "→ Run understudy setup-link", "✓ ok    keys", "2 to look at, 0 failed",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in\n%s", part, out)
		}
	}
	if strings.Contains(out, "  server ") {
		t.Errorf("offline: got\n%s", out)
	}
	statuses := map[any]int{}
	for _, f := range s.list("doctor", "--offline") {
		if f["check"] == "" || f["detail"] == "" || f["advice"] == nil {
			t.Errorf("got %v", f)
		}
		statuses[f["status"]]++
	}
	if statuses["ok"] < 10 || statuses["warn"] != 2 || len(statuses) != 2 {
		t.Errorf("got %v", statuses)
	}
	s.exec(`DELETE FROM signing_keys`)
	out, err := s.run("", "doctor", "--offline", "--json")
	var found []finding
	if exitCode(err) != exitFailure || json.Unmarshal([]byte(out), &found) != nil || len(found) < 10 {
		t.Errorf("without keys: %v, %s", err, out)
	}
	remove(t, filepath.Join(s.dir, "understudy.db"))
	if out, err := s.run("", "doctor", "--offline"); exitCode(err) != exitFailure || !strings.Contains(out, "✗ fail  database") {
		t.Errorf("without a database: %v, %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "understudy.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("doctor made a database: %v", err)
	}
	if err := os.WriteFile(s.config(), []byte("issuer: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run("", "doctor"); exitCode(err) != exitConfiguration {
		t.Errorf("a bad configuration: %v", err)
	}
}

func TestSetupLinkCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.object("setup-link", "--expires", "10m")
	address, _ := link["url"].(string)
	if !strings.HasPrefix(address, "http://localhost:8080/setup/usl_") || len(address) != len("http://localhost:8080/setup/usl_")+43 {
		t.Errorf("got %s", address)
	}
	expires, err := time.Parse(time.RFC3339, link["expires_at"].(string))
	if left := time.Until(expires); err != nil || left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("expires in %v, %v", left, err)
	}
	if out := s.ok("setup-link"); !strings.HasPrefix(out, "http://localhost:8080/setup/usl_") || !strings.Contains(out, "It works once, until ") {
		t.Errorf("got %s", out)
	}
	for _, expires := range []string{"0s", "-1h", "169h", "59s"} {
		if _, err := s.run("", "setup-link", "--expires", expires); exitCode(err) != exitUsage {
			t.Errorf("%s: got %v", expires, err)
		}
	}
	if _, err := s.run("", "setup-link", "--revoke", "--expires", "10m"); exitCode(err) != exitUsage {
		t.Errorf("--revoke with --expires: got %v", err)
	}
	stands := func(link map[string]any) bool {
		store := s.store()
		defer store.Close()
		_, token, _ := strings.Cut(link["url"].(string), "/setup/")
		return provider.NewDirectory(store).CheckSetupLink(context.Background(), token, time.Now()) == nil
	}
	last := s.object("setup-link")
	if stands(link) || !stands(last) {
		t.Error("want the last link to be the only one that works")
	}
	want(t, "revoked", s.object("setup-link", "--revoke")["revoked"], 1)
	if out := s.ok("setup-link", "--revoke"); stands(last) || out != "open setup links ended: 0\n" {
		t.Errorf("after --revoke: got %s", out)
	}
}
