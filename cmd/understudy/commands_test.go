package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/storage"
)

// site is a directory that understudy init has set up.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) site {
	t.Helper()
	return siteAt(t, firstIssuer)
}

// firstIssuer is the one that init chooses.
const firstIssuer = "http://localhost:8080"

// siteAt returns a site with that issuer: a copy of the first one, because keys take
// longer to make than most tests.
func siteAt(t *testing.T, issuer string) site {
	t.Helper()
	s := site{t, t.TempDir()}
	first.once.Do(func() {
		s.ok("init")
		first.dir, first.config, first.database = s.dir, s.read("understudy.yaml"), s.read("understudy.db")
	})
	s.file("understudy.yaml", strings.NewReplacer(first.dir, s.dir, firstIssuer, issuer).Replace(first.config))
	s.file("understudy.db", first.database)
	return s
}

var first struct {
	once                  sync.Once
	dir, config, database string
}

func (s site) config() string { return filepath.Join(s.dir, "understudy.yaml") }

// file writes a file and returns its path.
func (s site) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s site) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// run runs a command line with this site's configuration.
func (s site) run(stdin string, args ...string) (stdout string, err error) {
	stdout, problems, err := s.said(stdin, args...)
	if problems != "" {
		s.t.Errorf("%v: wrote to standard error: %s", args, problems)
	}
	return stdout, err
}

// said is run for a command line that has something to say besides its output.
func (s site) said(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	root := newRoot()
	root.SetArgs(append(args, "--config", s.config()))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&problems)
	err = root.ExecuteContext(s.t.Context())
	return out.String(), problems.String(), err
}

// ok runs a command line that must succeed.
func (s site) ok(args ...string) string {
	s.t.Helper()
	out, err := s.run("", args...)
	if err != nil {
		s.t.Fatalf("understudy %v: %v", args, err)
	}
	return out
}

// object runs a command line with --json and returns what it printed.
func (s site) object(args ...string) map[string]any {
	s.t.Helper()
	return decoded[map[string]any](s, args...)
}

func (s site) list(args ...string) []map[string]any {
	s.t.Helper()
	return decoded[[]map[string]any](s, args...)
}

func decoded[T any](s site, args ...string) T {
	s.t.Helper()
	out := s.ok(append(args, "--json")...)
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		s.t.Fatalf("understudy %v: %v in %s", args, err, out)
	}
	for _, secret := range []string{"hash", "argon2"} {
		if strings.Contains(out, secret) {
			s.t.Errorf("understudy %v prints a %s: %s", args, secret, out)
		}
	}
	return v
}

// store opens the site's database; the caller closes it.
func (s site) store() *storage.Store {
	s.t.Helper()
	store, err := storage.Open(s.t.Context(), storage.Options{DSN: "sqlite:" + filepath.Join(s.dir, "understudy.db")})
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	s := site{t, t.TempDir()}
	s.ok("init")
	info, err := os.Stat(s.config())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	c, err := config.Load(s.config(), nil, nil)
	if err != nil || c.Issuer != "http://localhost:8080" || len(c.Secrets.System.Reveal()) != 44 {
		t.Fatalf("got %+v, %v", c, err)
	}
	want(t, "keys", len(s.list("key", "list")), 3)
	want(t, "schema", s.object("migrate", "status")["current"], true)
	want(t, "steps", s.object("migrate", "up")["steps"], 0)

	// Neither the file nor a database in use is touched.
	before, _ := os.ReadFile(s.config())
	if _, err := s.run("", "init"); err == nil || !strings.Contains(err.Error(), "will not be replaced") {
		t.Errorf("a second time: got %v", err)
	}
	if after, _ := os.ReadFile(s.config()); !bytes.Equal(before, after) {
		t.Error("the configuration was replaced")
	}
	other := site{t, t.TempDir()}
	if _, err := other.run("", "init", "--dsn", c.Database.DSN.Reveal()); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a database in use: got %v", err)
	}
	if _, err := other.run("", "init", "--issuer", "not an issuer"); exitCode(err) != exitConfiguration {
		t.Errorf("a bad issuer: got %v", err)
	}
	if _, err := os.Stat(other.config()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a configuration that cannot be used was left: %v", err)
	}
}

// I04: the exit code of each kind of mistake, 78 for one in the configuration.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bad := s.file("bad.yaml", "issuer: nonsense\nlisten: nonsense\nsecret: x\n")
	unmigrated := s.file("unmigrated.yaml", "issuer: https://id.test\nsecrets: {system: "+strings.Repeat("Zx9!qWe7", 5)+"kk}\ndatabase: {dsn: 'sqlite:"+
		filepath.Join(s.dir, "new.db")+"'}\n")
	noLogo := s.file("nologo.yaml", "issuer: https://id.test\nsecrets: {system: "+strings.Repeat("Zx9!qWe7", 5)+"kk}\nbranding: {logo: '"+bad+"'}\n")
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"version", 0, ""},
		{"config validate", 0, ""},
		{"config schema", 0, ""},
		{"user", 0, ""},
		{"user list", 0, ""},

		{"user show nobody", exitFailure, `user "nobody"`},
		{"user show ada@nowhere.test", exitFailure, `user "ada@nowhere.test"`},
		{"user disable nobody", exitFailure, `user "nobody"`},
		{"user create --email a@b.test --password-file /no/such/file", exitFailure, "no such file"},
		{"user create --email nonsense", exitFailure, "email"},
		{"user create --email a@b.test --role king", exitFailure, "there are admin"},
		{"user create --email a@b.test --org nowhere", exitFailure, `organization "nowhere"`},
		{"user import /no/such/file", exitFailure, "no such file"},
		{"org add-member nowhere nobody", exitFailure, `user "nobody"`},
		{"client show nothing", exitFailure, `client "nothing"`},
		{"client delete nothing", exitFailure, `client "nothing"`},
		{"org rename nowhere Hooli", exitFailure, `organization "nowhere"`},
		{"org remove-member nowhere nobody", exitFailure, `user "nobody"`},
		{"org delete nowhere", exitFailure, `organization "nowhere"`},
		{"client drop-secret nothing", exitFailure, `client "nothing"`},
		{"client rotate-secret nothing", exitFailure, `client "nothing"`},
		{"client create --id x --redirect-uri http://x.test/", exitFailure, "redirect_uri"},
		{"client create --id x --type batch --redirect-uri https://x.test/", exitFailure, `type "batch"`},
		{"client registration-token create --uses 0", exitFailure, "uses 0: want 1 to 1000000"},
		{"client registration-token create --expires -1s", exitFailure, "expires -1s"},
		{"client registration-token revoke iat_none", exitFailure, `initial access token "iat_none"`},
		{"webhook create", exitFailure, "url"},
		{"webhook create --url http://hooks.test/", exitFailure, "url"},
		{"webhook create --url https://10.0.0.1/", exitFailure, "not public"},
		{"webhook create --url https://hooks.test/ --event-type x.y", exitFailure, "there are no such events"},
		{"webhook show wh_none", exitFailure, `webhook "wh_none": there is none`},
		{"webhook delete wh_none", exitFailure, `webhook "wh_none": there is none`},
		{"webhook deliveries wh_none", exitFailure, `webhook "wh_none": there is none`},
		{"webhook deliveries wh_none --status lost", exitUsage, "pending, delivered or failed"},
		{"apikey create --name x", exitFailure, "permissions: is empty"},
		{"apikey create --permission users:read", exitFailure, "name: is missing"},
		{"apikey create --name x --permission root", exitFailure, `permissions "root"`},
		{"apikey create --name x --permission users:read --expires-in -1s", exitFailure, "expires_at"},
		{"apikey create --name x --permission users:read --organization nowhere", exitFailure, `organization "nowhere"`},
		{"apikey create --name x --permission users:read --client nothing", exitFailure, `client "nothing"`},
		{"apikey revoke key_none", exitFailure, `API key "key_none"`},
		{"impersonation stop imp_none", exitFailure, `impersonation "imp_none"`},
		{"key rotate --alg none", exitFailure, "want RS256 or ES256"},
		{"healthcheck --url http://127.0.0.1:1/", exitFailure, "refused"},
		{"audit verify --against /no/such/file", exitFailure, "no such file"},
		{"user list --config " + unmigrated, exitFailure, "understudy migrate up"},

		{"nonsense", exitUsage, "nonsense"},
		{"user nonsense", exitUsage, `unknown command "nonsense"`},
		{"user list --nonsense", exitUsage, "nonsense"},
		{"user list too many", exitUsage, `"too"`},
		{"user show", exitUsage, "USER is missing"},
		{"user grant ada", exitUsage, "ROLE is missing"},
		{"user create", exitUsage, "--email"},
		{"user create --email a@b.test --password-file - --claims-file -", exitUsage, "standard input"},
		{"user set-password ada", exitUsage, "--password-file"},
		{"user import", exitUsage, "FILE is missing"},
		{"user import --format xml users.xml", exitUsage, `--format "xml"`},
		{"client create", exitUsage, "--name"},
		{"client registration-token revoke", exitUsage, "ID is missing"},
		{"apikey revoke", exitUsage, "ID is missing"},
		{"impersonation stop", exitUsage, "--all"},
		{"impersonation stop --all imp_1", exitUsage, "--all"},
		{"impersonation list --limit many", exitUsage, "limit"},
		{"audit export --format xml", exitUsage, `"xml"`},

		{"config validate --config " + bad, exitConfiguration, "\nsecret: no such key"},
		{"user list --config " + bad, exitConfiguration, "listen: "},
		{"serve --config " + bad, exitConfiguration, "issuer: "},
		{"config validate --config " + noLogo, exitConfiguration, "branding.logo: \"" + bad + "\": is neither an SVG nor a PNG image"},
		{"config validate --config /no/such/file", exitConfiguration, "/no/such/file"},
	} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		args := strings.Fields(c.args)
		if !strings.Contains(c.args, "--config") {
			args = append(args, "--config", s.config())
		}
		root.SetArgs(args)
		err := root.ExecuteContext(t.Context())
		if got := exitCode(err); got != c.want {
			t.Errorf("%s: got exit code %d (%v), want %d", c.args, got, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q in it", c.args, err, c.says)
		}
	}
}

func TestUserCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("org", "create", "Globex", "--id", "org_globex")
	want(t, "organization", s.object("org", "create", "Ini:tech")["name"], "Ini:tech")
	want(t, "organizations", len(s.list("org", "list")), 2)

	want(t, "role", s.object("role", "create", "first-line", "--permission", "users:read,impersonation:start")["permissions"], "[impersonation:start users:read]")
	want(t, "role changed", s.object("role", "update", "first-line", "--permission", "users:read")["permissions"], "[users:read]")
	want(t, "role that permits nothing", s.object("role", "update", "first-line", "--permission", "")["permissions"], "[]")
	s.ok("role", "create", "contractor")
	want(t, "roles", len(s.list("role", "list")), 6)
	s.ok("role", "delete", "contractor")

	claims := s.file("ada.json", `{"email":"ada@globex.test","given_name":"Ada","phone_number":"+44 20 7946 0958","address":{"country":"UK"}}`)
	password := s.file("password", "correct horse\n")
	ada := s.object("user", "create", "--id", "usr_ada", "--name", "Ada Lovelace", "--claims-file", claims, "--password-file", password,
		"--role", "auditor", "--org", "Globex:support", "--org", "Ini:tech", "--email-verified", "--never-impersonate")
	for name, value := range map[string]any{
		"id": "usr_ada", "email": "ada@globex.test", "email_verified": true, "name": "Ada Lovelace", "given_name": "Ada",
		"address": "map[country:UK]", "status": "active", "roles": "[auditor]", "never_impersonate": true, "has_password": true,
	} {
		want(t, name, ada[name], value)
	}
	if _, err := time.Parse(time.RFC3339, ada["created_at"].(string)); err != nil {
		t.Error(err)
	}
	roles := map[string]any{}
	for _, o := range ada["organizations"].([]any) {
		o := o.(map[string]any)
		roles[o["name"].(string)] = o["role"]
	}
	want(t, "memberships", roles, map[string]any{"Globex": "support", "Ini:tech": nil})

	want(t, "by e-mail address", s.object("user", "show", "ADA@globex.test")["id"], "usr_ada")
	want(t, "disabled", s.object("user", "disable", "usr_ada")["status"], "disabled")
	want(t, "enabled", s.object("user", "enable", "usr_ada")["status"], "active")
	want(t, "unprotected", s.object("user", "unprotect", "usr_ada")["never_impersonate"], false)
	want(t, "protected", s.object("user", "protect", "usr_ada")["never_impersonate"], true)
	want(t, "revoked", s.object("user", "revoke", "usr_ada", "auditor")["roles"], "[]")
	want(t, "granted", s.object("user", "grant", "usr_ada", "app-admin")["roles"], "[app-admin]")
	s.ok("user", "revoke", "usr_ada", "support", "--org", "Globex")
	s.ok("org", "add-member", "Globex", "ada@globex.test", "--role", "auditor")
	s.ok("org", "remove-member", "Globex", "usr_ada")
	want(t, "renamed", s.object("org", "rename", "Globex", "Hooli")["name"], "Hooli")
	s.ok("org", "rename", "Hooli", "Globex")
	s.ok("org", "create", "Gone", "--id", "org_gone")
	s.ok("org", "delete", "Gone")
	want(t, "organizations after one was deleted", len(s.list("org", "list")), 2)
	s.ok("org", "add-member", "Globex", "ada@globex.test", "--role", "auditor")

	bob := s.object("user", "create", "--email", "bob@initech.test")
	want(t, "without a password", bob["has_password"], false)
	if _, err := s.run("a new password\n", "user", "set-password", "bob@initech.test", "--password-file", "-"); err != nil {
		t.Error(err)
	}
	want(t, "with a password", s.object("user", "show", bob["id"].(string))["has_password"], true)
	want(t, "all", len(s.list("user", "list")), 2)
	want(t, "search", s.list("user", "list", "--search", "bob")[0]["id"], bob["id"])
	want(t, "members", len(s.list("user", "list", "--org", "Globex")), 1)
	if out := s.ok("user", "list"); !strings.Contains(out, "ID ") || !strings.Contains(out, "Globex:auditor") || strings.Count(out, "\n") != 3 {
		t.Errorf("got %s", out)
	}

	evil := s.file("evil.json", `{"email":"eve@x.test","sub":"usr_root","roles":["admin"]}`)
	_, err := s.run("", "user", "create", "--claims-file", evil)
	if err == nil || !strings.Contains(err.Error(), `claim "roles"`) || !strings.Contains(err.Error(), `claim "sub"`) {
		t.Errorf("got %v", err)
	}

	// What was done is on the record, with the person at the keyboard.
	types := map[string]int{}
	for line := range strings.Lines(s.ok("audit", "export")) {
		var e struct {
			Type      string `json:"type"`
			RequestID string `json:"request_id"`
			Private   struct {
				UserAgent string `json:"user_agent"`
			} `json:"private"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
		if strings.HasPrefix(e.Type, "user.") && (!strings.HasPrefix(e.RequestID, "cli_") || !strings.HasPrefix(e.Private.UserAgent, "understudy/")) {
			t.Errorf("got %s", line)
		}
	}
	want(t, "events", types, map[string]int{
		"key.created": 3, "organization.created": 3, "organization.deleted": 1, "organization.updated": 2, "organization.member_added": 3, "organization.member_removed": 1, "user.created": 2, "user.disabled": 1, "user.enabled": 1,
		"role.created": 2, "role.updated": 2, "role.deleted": 1, "user.password_changed": 1, "user.role_granted": 5, "user.role_revoked": 3, "user.updated": 2,
	})
}

// A leaked registration access token is worth nothing once its client is managed by
// operators alone.
func TestEndSelfManagement(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("client", "create", "--id", "shop", "--redirect-uri", "https://shop.test/cb")
	s.exec(`UPDATE clients SET registration_token_hash = x'00', registered_with = 'open'`)
	want(t, "self_managed before", s.object("client", "show", "shop")["self_managed"], true)
	want(t, "self_managed", s.object("client", "update", "shop", "--end-self-management")["self_managed"], false)
	store := s.store()
	defer store.Close()
	if c, err := store.Client(t.Context(), "shop"); err != nil || c.RegistrationTokenHash != nil || c.RegisteredWith != "open" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAPIKeyCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("org", "create", "Globex", "--id", "org_globex")
	plain := s.object("apikey", "create", "--name", "helpdesk", "--permission", "users:read,impersonation:start", "--permission", "impersonation:read")
	want(t, "permissions", fmt.Sprint(plain["permissions"]), "[users:read impersonation:start impersonation:read]")
	secret, _ := plain["secret"].(string)
	id, _ := plain["id"].(string)
	if !strings.HasPrefix(secret, "usk_") || !strings.HasPrefix(id, "key_") || plain["expires_at"] != nil || plain["organization_id"] != nil {
		t.Errorf("got %v", plain)
	}
	local := s.object("apikey", "create", "--name", "Globex", "--permission", "users:read", "--organization", "Globex", "--expires-in", "1h")
	want(t, "organization", local["organization_id"], "org_globex")
	created, _ := time.Parse(time.RFC3339, fmt.Sprint(local["created_at"]))
	expires, _ := time.Parse(time.RFC3339, fmt.Sprint(local["expires_at"]))
	want(t, "lifetime", expires.Sub(created), time.Hour)

	for range 2 { // it is no error to revoke it again
		if revoked := s.object("apikey", "revoke", id); revoked["revoked_at"] == nil || revoked["secret"] != nil {
			t.Errorf("got %v", revoked)
		}
	}
	list := s.list("apikey", "list")
	want(t, "keys", len(list), 2)
	for _, k := range list {
		if k["secret"] != nil || (k["revoked_at"] != nil) != (k["id"] == id) {
			t.Errorf("got %v", k)
		}
	}
	if out := s.ok("apikey", "list"); !strings.Contains(out, "helpdesk") || strings.Contains(out, "usk_") {
		t.Errorf("got %s", out)
	}
	types := map[string]int{}
	for line := range strings.Lines(s.ok("audit", "export")) {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
	}
	want(t, "created", types["apikey.created"], 2)
	want(t, "revoked", types["apikey.revoked"], 1)
}

func TestWebhookCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.object("webhook", "create", "--url", "https://hooks.invalid/in", "--description", "SIEM", "--event-type", "impersonation.*", "--event-type", "session.created")
	id, _ := made["id"].(string)
	secret, _ := made["secret"].(string)
	if !strings.HasPrefix(id, "wh_") || !strings.HasPrefix(secret, "whsec_") || made["status"] != "active" {
		t.Errorf("got %v", made)
	}
	want(t, "webhooks", len(s.list("webhook", "list")), 1)
	for _, way := range []string{"disable", "disable", "enable", "enable", "show"} {
		w := s.object("webhook", way, id)
		if w["secret"] != nil || w["description"] != "SIEM" || (w["status"] == "disabled") != (way == "disable") {
			t.Errorf("%s: got %v", way, w)
		}
	}
	if second := s.object("webhook", "rotate-secret", id); second["secret"] == nil || second["secret"] == secret || second["previous_secret_until"] == nil {
		t.Errorf("rotated: got %v", second)
	}
	out, err := s.run("", "webhook", "test", id, "--json")
	if err == nil || !strings.Contains(out, `"status": "failed"`) || !strings.Contains(err.Error(), "was not delivered") {
		t.Errorf("test: got %s, %v", out, err)
	}
	found := s.list("webhook", "deliveries", id, "--status", "failed")
	if len(found) != 1 || found[0]["event_type"] != "webhook.test" {
		t.Fatalf("deliveries: got %v", found)
	}
	event, _ := found[0]["event_id"].(string)
	want(t, "replayed", s.object("webhook", "replay", id, "--event", event)["count"], 1)
	if _, err := s.run("", "webhook", "replay", id, "--event", event); err == nil || !strings.Contains(err.Error(), "still being sent") {
		t.Errorf("replayed twice: %v", err)
	}
	want(t, "nothing failed", s.object("webhook", "replay", id)["count"], 0)
	if out := s.ok("webhook", "list") + s.ok("webhook", "show", id) + s.ok("webhook", "deliveries", id); strings.Contains(out, "whsec_") || !strings.Contains(out, "impersonation.* session.created") {
		t.Errorf("got %s", out)
	}
	want(t, "deleted", s.object("webhook", "delete", id)["deleted"], true)
	want(t, "left", len(s.list("webhook", "list")), 0)
}

func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("user", "create", "--id", "usr_sam", "--email", "sam@example.test", "--role", "support")
	s.ok("user", "create", "--id", "usr_ada", "--email", "ada@example.test")
	s.ok("client", "create", "--id", "shop", "--name", "Shop", "--redirect-uri", "https://shop.example/callback", "--allow-impersonation")
	s.ok("impersonation", "enable")
	try := []string{"policy", "test", "--actor", "sam@example.test", "--subject", "usr_ada", "--client", "shop"}
	want(t, "without rules", s.object(try...)["allowed"], true)
	want(t, "asked for, where nothing is said", s.object(try...)["access"], "read_only")
	want(t, "asked for", s.object(append(slices.Clone(try), "--access", "full")...)["access"], "full")
	want(t, "rules", s.ok("policy", "show"), "rules: []\n")

	rules := s.file("rules.yaml", "# at night nobody acts as anybody\nrules:\n  - {name: night, when: now.getHours(\"Europe/Berlin\") < 6, effect: deny, message: Too early.}\n")
	night := append(slices.Clone(try), "--at", "2026-03-14T03:00:00Z", "--file", rules, "--json")
	out, err := s.run("", night...)
	want(t, "exit code of a refusal", exitCode(err), exitFailure)
	if !strings.Contains(fmt.Sprint(err), `the rule "night": Too early.`) || !strings.Contains(out, `"denial": "policy"`) {
		t.Errorf("got %s, %v", out, err)
	}
	want(t, "the rules in force", s.object(append(slices.Clone(try), "--at", "2026-03-14T03:00:00Z")...)["allowed"], true)
	saved := s.object("policy", "set", "--file", rules, "--note", "closed at night")
	want(t, "version", saved["version"], float64(1))
	if _, err := s.run("", "policy", "set", "--file", rules, "--based-on", "0"); exitCode(err) != exitFailure || !strings.Contains(err.Error(), "is not the newest") {
		t.Errorf("got %v", err)
	}
	_, err = s.run("", append(slices.Clone(try), "--at", "2026-03-14T03:00:00Z")...)
	want(t, "exit code under the rules in force", exitCode(err), exitFailure)
	s.file("rules.yaml", "rules:\n  - {name: x, when: nothing, effect: deny}\n")
	if _, err := s.run("", "policy", "set", "--file", rules); exitCode(err) != exitFailure || !strings.Contains(err.Error(), "line 1, column 1") {
		t.Errorf("got %v", err)
	}
	history := s.list("policy", "history")
	if len(history) != 1 || history[0]["note"] != "closed at night" || history[0]["rules"] != nil {
		t.Errorf("got %v", history)
	}
	if text := s.ok("policy", "show", "--version", "1"); !strings.Contains(text, "name: night") {
		t.Errorf("got %s", text)
	}
	for _, usage := range [][]string{
		{"policy", "test", "--actor", "x"}, {"policy", "set"}, append(slices.Clone(try), "--at", "now"), append(slices.Clone(try), "--ip", "here"), append(slices.Clone(try), "--access", "all"),
	} {
		_, err := s.run("", usage...)
		want(t, strings.Join(usage, " "), exitCode(err), exitUsage)
	}
	if got := s.ok("audit", "export"); !strings.Contains(got, "policy.updated") {
		t.Error("nothing of it is on the record")
	}
}

func TestRegistrationTokenCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := s.object("client", "registration-token", "create")
	token, _ := one["token"].(string)
	if id, _ := one["id"].(string); !strings.HasPrefix(token, "uit_") || !strings.HasPrefix(id, "iat_") || one["uses_left"] != 1.0 {
		t.Errorf("got %v", one)
	}
	many := s.object("client", "registration-token", "create", "--uses", "5", "--expires", "1h", "--description", "for CI")
	want(t, "uses", many["uses_left"], 5)
	want(t, "description", many["description"], "for CI")
	created, _ := time.Parse(time.RFC3339, fmt.Sprint(many["created_at"]))
	expires, _ := time.Parse(time.RFC3339, fmt.Sprint(many["expires_at"]))
	want(t, "lifetime", expires.Sub(created), time.Hour)

	store := s.store()
	row, err := store.InitialAccessToken(t.Context(), storage.Hash(token))
	if err := errors.Join(err, store.Close()); err != nil || row.ID != one["id"] {
		t.Errorf("got %+v, %v", row, err)
	}
	want(t, "revoked", s.object("client", "registration-token", "revoke", row.ID)["revoked"], true)
	if _, err := s.run("", "client", "registration-token", "revoke", row.ID); err == nil || !strings.Contains(err.Error(), "none with this id") {
		t.Errorf("revoked twice: got %v", err)
	}
	list := s.list("client", "registration-token", "list")
	want(t, "tokens", len(list), 2)
	for _, r := range list {
		if r["token"] != nil || (r["revoked_at"] != nil) != (r["id"] == row.ID) {
			t.Errorf("got %v", r)
		}
	}
	if out := s.ok("client", "registration-token", "list"); !strings.Contains(out, "for CI") || strings.Contains(out, "uit_") {
		t.Errorf("got %s", out)
	}
	types := map[string]int{}
	for line := range strings.Lines(s.ok("audit", "export")) {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || strings.Contains(line, token) {
			t.Errorf("%v: %s", err, line)
		}
		types[e.Type]++
	}
	want(t, "events", types, map[string]int{"key.created": 3, "registration_token.created": 2, "registration_token.revoked": 1})
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("org", "create", "Globex", "--id", "org_globex")
	shop := s.object("client", "create", "--id", "shop", "--name", "Shop", "--redirect-uri", "https://shop.test/cb",
		"--redirect-uri", "https://shop.test/other", "--post-logout-redirect-uri", "https://shop.test/", "--scope", "openid email invoices:read",
		"--audience", "https://api.test", "--organization", "Globex", "--id-token-alg", "ES256", "--access-token", "opaque",
		"--initiate-login-uri", "https://shop.test/initiate", "--backchannel-logout-uri", "https://shop.test/logout", "--allow-impersonation",
		"--delivery", "callback", "--read-only-scope", "invoices:read", "--act-claim", "email", "--act-claim", "name", "--no-require-pkce",
		"--first-party", "--impersonation-refresh", "--client-uri", "https://shop.test", "--policy-uri", "https://shop.test/p", "--tos-uri", "https://shop.test/t",
		"--auth-method", "client_secret_post")
	for name, value := range map[string]any{
		"client_id": "shop", "client_name": "Shop", "type": "web", "status": "active", "require_pkce": false, "first_party": true,
		"redirect_uris": "[https://shop.test/cb https://shop.test/other]", "grant_types": "[authorization_code refresh_token]",
		"response_types": "[code]", "scope": "openid email invoices:read", "organizations": "[org_globex]", "audience": "[https://api.test]",
		"token_endpoint_auth_method": "client_secret_post", "id_token_signed_response_alg": "ES256", "access_token_format": "opaque",
		"allow_impersonation": true, "delivery": "callback", "read_only_scopes": "[invoices:read]", "act_claims": "[email name]",
		"impersonation_refresh": true, "impersonator_in_response": true,
	} {
		want(t, name, shop[name], value)
	}
	if secret, _ := shop["client_secret"].(string); !strings.HasPrefix(secret, "ucs_") {
		t.Errorf("got secret %q", secret)
	}
	if shown := s.object("client", "show", "shop"); shown["client_secret"] != nil {
		t.Error("the secret is shown twice")
	}

	updated := s.object("client", "update", "shop", "--name", "The Shop", "--allow-impersonation=false", "--audience=", "--no-require-pkce=false", "--delivery", "link",
		"--redirect-uri", "https://shop.test/new", "--status", "disabled")
	for name, value := range map[string]any{
		"client_name": "The Shop", "allow_impersonation": false, "audience": "[]", "require_pkce": true, "delivery": "link", "status": "disabled",
		"redirect_uris": "[https://shop.test/new]", "scope": "openid email invoices:read", "organizations": "[org_globex]",
	} {
		want(t, "updated "+name, updated[name], value)
	}
	// Each list can be emptied, but for those without which it would be no client.
	s.ok("client", "update", "shop", "--request-uri", "https://shop.test/request", "--scope", "openid invoices:read", "--read-only-scope", "invoices:read")
	for flag, member := range map[string]string{
		"request-uri": "request_uris", "post-logout-redirect-uri": "post_logout_redirect_uris", "organization": "organizations",
		"read-only-scope": "read_only_scopes", "act-claim": "act_claims",
	} {
		want(t, flag+" before", fmt.Sprint(s.object("client", "show", "shop")[member]) == "[]", false)
		want(t, flag+" emptied", s.object("client", "update", "shop", "--"+flag+"=")[member], "[]")
	}
	rotated := s.object("client", "rotate-secret", "shop")
	if rotated["client_secret"] == shop["client_secret"] || rotated["client_id"] != "shop" {
		t.Errorf("got %v", rotated)
	}
	s.ok("client", "drop-secret", "shop")
	s.ok("client", "rotate-secret", "shop", "--revoke-previous")

	spa := s.object("client", "create", "--id", "spa", "--type", "spa", "--redirect-uri", "http://localhost:3000/cb")
	if spa["token_endpoint_auth_method"] != "none" || spa["client_secret"] != nil {
		t.Errorf("got %v", spa)
	}
	secret := s.file("secret", strings.Repeat("r4nd0m", 8)+"\n")
	batch := s.object("client", "create", "--name", "Batch", "--type", "service", "--scope", "jobs:run", "--secret-file", secret)
	if batch["client_secret"] != nil || fmt.Sprint(batch["grant_types"]) != "[client_credentials]" || !strings.HasPrefix(batch["client_id"].(string), "client_") {
		t.Errorf("got %v", batch)
	}
	machine := s.object("client", "create", "--id", "machine", "--grant-type", "client_credentials", "--scope", "jobs:run")
	want(t, "response types follow", machine["response_types"], "[]")
	tool := s.object("client", "create", "--id", "tool", "--name", "Tool", "--redirect-uri", "https://tool.test/cb", "--allow-impersonation",
		"--grant-type", "authorization_code", "--grant-type", "urn:ietf:params:oauth:grant-type:token-exchange")
	want(t, "token exchange", tool["grant_types"], "[authorization_code urn:ietf:params:oauth:grant-type:token-exchange]")
	const set = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	jwks := s.file("jwks.json", set+"\n")
	want(t, "jwks", s.object("client", "update", "machine", "--jwks-file", jwks)["jwks"], set)
	keyed := s.object("client", "create", "--id", "keyed", "--name", "Keyed", "--redirect-uri", "https://keyed.test/cb",
		"--auth-method", "private_key_jwt", "--jwks-file", jwks, "--auth-signing-alg", "ES256")
	if keyed["client_secret"] != nil || keyed["token_endpoint_auth_method"] != "private_key_jwt" || keyed["token_endpoint_auth_signing_alg"] != "ES256" {
		t.Errorf("got %v", keyed)
	}
	moved := s.object("client", "update", "keyed", "--jwks-file", "", "--jwks-uri", "https://keyed.test/jwks.json")
	if moved["jwks"] != "" || moved["jwks_uri"] != "https://keyed.test/jwks.json" || moved["client_secret"] != nil {
		t.Errorf("got %v", moved)
	}
	if _, err := s.run("", "client", "rotate-secret", "keyed"); err == nil || !strings.Contains(err.Error(), "has no secret") {
		t.Errorf("a secret of a client with a key: %v", err)
	}
	s.ok("client", "delete", "keyed")

	want(t, "clients", len(s.list("client", "list")), 5)
	s.ok("client", "delete", "machine")
	want(t, "clients", len(s.list("client", "list")), 4)
	if out := s.ok("client", "show", "shop"); !strings.Contains(out, "redirect_uris") || !strings.Contains(out, "https://shop.test/new") {
		t.Errorf("got %s", out)
	}
	_, err := s.run("", "client", "create", "--id", "a b", "--type", "spa", "--auth-method", "private_key_jwt", "--scope", "a  b")
	if err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("want every problem, got %v", err)
	}
}

func TestKeyCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	states := func(keys []map[string]any) map[string]int {
		n := map[string]int{}
		for _, k := range keys {
			n[fmt.Sprint(k["purpose"], " ", k["alg"], " ", k["state"])]++
		}
		return n
	}
	rotated := map[string]int{
		"token RS256 signing": 1, "token ES256 signing": 1, "checkpoint EdDSA signing": 1, "token ES256 next": 1,
	}
	want(t, "rotated one", states(s.list("key", "rotate", "--alg", "ES256")), rotated)
	now := time.Now()
	s.exec(`UPDATE signing_keys SET created_at = ?`, storage.At(now.Add(time.Hour))) // new however long this takes
	out, problems, err := s.said("", "key", "rotate")
	if err != nil || !strings.Contains(problems, "ES256: the next key is published already: key_") || strings.Contains(problems, "RS256") {
		t.Errorf("rotated a second time: %v, %s", err, problems)
	}
	if strings.Count(out, "next") != 2 || strings.Count(out, "new") != 5 {
		t.Errorf("got %s", out)
	}
	rotated["token RS256 next"]++
	want(t, "pruned", states(s.list("key", "prune")), rotated) // nothing was replaced yet
	successor, old := storage.At(now.Add(-time.Hour)), storage.At(now.Add(-60*24*time.Hour))
	s.exec(`UPDATE signing_keys SET activates_at = ? WHERE alg = 'RS256' AND activates_at > ?`, successor, storage.At(time.Now()))
	s.exec(`UPDATE signing_keys SET activates_at = ?, created_at = ? WHERE alg = 'RS256' AND activates_at <> ?`, old, old, successor)
	for _, line := range strings.Split(s.ok("key", "list"), "\n") {
		if strings.Contains(line, "verifying") && (!strings.Contains(line, "60 days") || !strings.Contains(line, "verifying until "+now.UTC().Format("2006-"))) {
			t.Errorf("got %s", line)
		}
	}
	want(t, "emergency", states(s.list("key", "rotate", "--emergency")), map[string]int{
		"token RS256 signing": 1, "token ES256 signing": 1, "checkpoint EdDSA signing": 1, "token ES256 retired": 2, "token RS256 retired": 2,
	})
}

func TestAgeOf(t *testing.T) {
	t.Parallel()
	for age, wanted := range map[time.Duration]string{
		-time.Hour: "new", time.Second: "new", time.Minute: "1 min", 119 * time.Minute: "1 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 days",
	} {
		want(t, age.String(), ageOf(age), wanted)
	}
}

func TestImpersonationCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"sam", "ada", "bob"} {
		s.ok("user", "create", "--id", id, "--email", id+"@globex.test")
	}
	start := func(ids ...string) {
		t.Helper()
		store := s.store()
		err := store.Write(t.Context(), func(tx *storage.Tx) error {
			for _, id := range ids {
				err := tx.CreateImpersonation(t.Context(), &storage.Impersonation{
					ID: id, ActorID: "sam", SubjectID: "ada", ClientID: "shop", Entry: "consent", Reason: "=cmd()\nx", Access: "full",
					StartedAt: storage.At(time.Now()), ExpiresAt: storage.At(time.Now().Add(30 * time.Minute)),
				})
				if err != nil {
					return err
				}
				err = tx.Record(t.Context(), storage.Event{Type: storage.EventImpersonationStarted, ImpersonationID: id},
					storage.Private{Reason: "=cmd()\nx"}, storage.Request{}, time.Now())
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	start("imp_1", "imp_2", "imp_3")
	want(t, "running", len(s.list("impersonation", "list")), 3)
	want(t, "of the actor", len(s.list("impersonation", "list", "--actor", "sam@globex.test")), 3)
	want(t, "of somebody else", len(s.list("impersonation", "list", "--subject", "bob")), 0)
	if out := s.ok("impersonation", "list"); strings.Count(out, "\n") != 4 {
		t.Errorf("a reason breaks the table: %s", out)
	}
	stopped := s.list("impersonation", "stop", "imp_2")
	want(t, "stopped", []any{stopped[0]["id"], stopped[0]["running"], stopped[0]["end_reason"]}, "[imp_2 false stopped]")
	if _, err := s.run("", "impersonation", "stop", "imp_1", "imp_2"); err == nil || !strings.Contains(err.Error(), "has ended before") {
		t.Errorf("stopped twice: got %v", err)
	}
	want(t, "running after all or nothing", len(s.list("impersonation", "list")), 2)
	want(t, "all", len(s.list("impersonation", "stop", "--all")), 2)
	want(t, "nobody", len(s.list("impersonation", "stop", "--all")), 0)
	want(t, "with those that ended", len(s.list("impersonation", "list", "--all", "--limit", "2")), 2)

	s.ok("impersonation", "enable")
	start("imp_4")
	want(t, "switched on", enabled(t, s), true)
	s.ok("impersonation", "disable")
	want(t, "switched off", enabled(t, s), false)
	want(t, "ended with it", len(s.list("impersonation", "list")), 0)
	want(t, "nobody to tell", s.object("impersonation", "show", "imp_4")["logout"], "[]")
	if _, err := s.run("", "impersonation", "show", "imp_none"); err == nil || !strings.Contains(err.Error(), "there is none with this id") {
		t.Errorf("show what there is not: got %v", err)
	}

	s.ok("client", "create", "--id", "shop", "--redirect-uri", "https://shop.test/cb", "--backchannel-logout-uri", "https://shop.test/logout")
	start("imp_5")
	s.write(func(tx *storage.Tx) error { return tx.NoteImpersonation(t.Context(), "imp_5") })
	s.ok("impersonation", "stop", "imp_5")
	told := func(status string) map[string]any {
		return map[string]any{"client_id": "shop", "status": status, "attempts": 0, "http_status": 0, "error": ""}
	}
	want(t, "still to be told", s.object("impersonation", "show", "imp_5")["logout"], []any{told("pending")})
	want(t, "the same in the list", s.list("impersonation", "list", "--all", "--limit", "1")[0]["logout"], []any{told("pending")})
	if out := s.ok("impersonation", "show", "imp_5"); !strings.Contains(out, "shop is to be told") {
		t.Errorf("as text: %s", out)
	}
	s.write(func(tx *storage.Tx) error {
		claimed, err := tx.ClaimLogoutNotices(t.Context(), "shop", 1, time.Now(), time.Now().Add(time.Minute))
		if err != nil {
			return err
		}
		claimed[0].Status, claimed[0].HTTPStatus, claimed[0].Error = storage.NoticeFailed, 400, "the answer was 400"
		return tx.FinishLogoutNotice(t.Context(), &claimed[0], time.Now())
	})
	if out := s.ok("impersonation", "show", "imp_5"); !strings.Contains(out, "shop was not told: the answer was 400") {
		t.Errorf("as text: %s", out)
	}

	rows, err := csv.NewReader(strings.NewReader(s.ok("audit", "export", "--format", "csv"))).ReadAll()
	if err != nil || rows[0][10] != "reason" {
		t.Fatalf("got %v, %v", rows[0], err)
	}
	for i, row := range rows[1:] {
		want(t, "position", row[0], i)
		if row[3] == "impersonation.started" && row[10] != "'=cmd()\nx" {
			t.Errorf("got reason %q", row[10])
		}
	}
	from := strings.Count(s.ok("audit", "export", "--from", "3"), "\n")
	want(t, "from a position", from, len(rows)-1-3)
}

// write changes the database behind the commands' back.
func (s site) write(fn func(tx *storage.Tx) error) {
	s.t.Helper()
	store := s.store()
	if err := errors.Join(store.Write(s.t.Context(), fn), store.Close()); err != nil {
		s.t.Fatal(err)
	}
}

func enabled(t *testing.T, s site) bool {
	t.Helper()
	store := s.store()
	defer store.Close()
	on, err := store.ImpersonationEnabled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return on
}

func TestAuditCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("org", "create", "Globex")
	checkpoint := s.ok("audit", "checkpoint")
	if !strings.HasPrefix(checkpoint, "localhost:8080\n4\n") {
		t.Fatalf("got %s", checkpoint)
	}
	if key := s.ok("audit", "checkpoint", "--key"); !strings.HasPrefix(key, "localhost:8080+") {
		t.Errorf("got %s", key)
	}
	kept := s.file("kept.txt", checkpoint)
	s.ok("org", "create", "Initech")
	s.ok("audit", "checkpoint")
	v := s.object("audit", "verify", "--against", kept)
	want(t, "verified", []any{v["ok"], v["size"], v["checkpoints"], v["pending"]}, "[true 5 3 0]")
	if out := s.ok("audit", "verify"); !strings.Contains(out, "the record is whole") || !strings.Contains(out, v["root"].(string)) {
		t.Errorf("got %s", out)
	}

	forged := s.file("forged.txt", strings.Replace(checkpoint, "\n4\n", "\n3\n", 1))
	if _, err := s.run("", "audit", "verify", "--against", forged); exitCode(err) != exitFailure {
		t.Errorf("a forged checkpoint: got %v", err)
	}
	tamper(t, s)
	out, err := s.run("", "audit", "verify")
	if exitCode(err) != exitFailure || !strings.Contains(err.Error(), "event 3: changed") || !strings.Contains(out, "NOT whole") {
		t.Errorf("a changed event: got %v, %s", err, out)
	}
	if out, err := s.run("", "audit", "verify", "--json"); err == nil || !strings.Contains(out, `"position": 3`) {
		t.Errorf("got %s, %v", out, err)
	}
}

// tamper changes the event at position 3, as somebody with the file could.
func tamper(t *testing.T, s site) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "understudy.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`DROP TRIGGER events_no_update`,
		`UPDATE events SET data = '{"name":"Glo\u0062ex"}' WHERE position = 3`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConfigCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := strings.SplitN(readAll(t, s.config()), "system: ", 2)[1][1:40]
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "--json"}} {
		if out := s.ok(args...); strings.Contains(out, secret) || !strings.Contains(out, "REDACTED") || !strings.Contains(out, "http://localhost:8080") {
			t.Errorf("%v: got %s", args, out)
		}
	}
	if !json.Valid([]byte(s.ok("config", "schema"))) {
		t.Error("the schema is no JSON")
	}
	want(t, "version", s.object("version")["version"], version)
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	if err := healthcheck(context.Background(), server.URL); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	if err := healthcheck(context.Background(), server.URL); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	for listen, wanted := range map[string]string{
		":9090": "http://127.0.0.1:9090/readyz", "0.0.0.0:1": "http://127.0.0.1:1/readyz", "[::]:1": "http://127.0.0.1:1/readyz",
		"10.0.0.1:1": "http://10.0.0.1:1/readyz", "[::1]:1": "http://[::1]:1/readyz", "": "",
	} {
		got, err := readyURL(listen)
		if got != wanted || (err == nil) != (wanted != "") {
			t.Errorf("%q: got %q, %v, want %q", listen, got, err, wanted)
		}
	}
}

// Where the demo's port is taken, it says how to have another.
func TestDemoWhereThePortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, _, err := loopbackListener(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "--listen 127.0.0.1:0") {
		t.Errorf("got %v", err)
	}
}
