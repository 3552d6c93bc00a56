package config_test

import (
	"strings"
	"testing"
)

// TestMistakes starts each row from a valid configuration, breaks one thing, and
// wants the key named, something said of the fix, and no secret printed.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name     string
		old, new string                   // in the file
		do       func(*testing.T, *setup) // or anything else
		key      string
		message  string // part of it
	}{
		{name: "no issuer", old: "issuer: https://id.example.com\n", key: "issuer", message: "is required"},
		{name: "empty issuer", old: "https://id.example.com", new: `""`, key: "issuer", message: "is required"},
		{name: "null issuer", old: "https://id.example.com", key: "issuer", message: "has no value"},
		{name: "relative issuer", old: "https://id.example.com", new: "id.example.com", key: "issuer", message: "absolute URL"},
		{name: "issuer of another scheme", old: "https://id", new: "ftp://id", key: "issuer", message: "https://"},
		{name: "issuer in capitals", old: "https://id.example", new: "https://ID.example", key: "issuer", message: "lower case"},
		{name: "issuer scheme in capitals", old: "https://id", new: "HTTPS://id", key: "issuer", message: "begin with https://"},
		{name: "issuer with query", old: "https://id.example.com", new: "https://id.example.com?", key: "issuer", message: "query"},
		{name: "issuer with fragment", old: "https://id.example.com", new: `"https://id.example.com#a"`, key: "issuer", message: "fragment"},
		{name: "issuer with password", old: "https://id", new: "https://root:hunter2@id", key: "issuer", message: "user or password"},
		{name: "issuer with bad password", old: "https://id", new: "https://root:hunter2 x@id", key: "issuer", message: "absolute URL"},
		{name: "issuer with trailing slash", old: "id.example.com", new: "id.example.com/", key: "issuer", message: "slash"},
		{name: "issuer with dot segments", old: "id.example.com", new: "id.example.com/a/../b", key: "issuer", message: "path"},
		{name: "issuer with default port", old: "id.example.com", new: "id.example.com:443", key: "issuer", message: "default port"},
		{name: "issuer with bad port", old: "id.example.com", new: "id.example.com:70000", key: "issuer", message: "port"},
		{name: "http issuer", old: "https://id", new: "http://id", key: "issuer", message: "loopback"},
		{name: "http issuer, listening to all", do: func(t *testing.T, s *setup) {
			s.replace(t, "https://id.example.com", "http://localhost:8080")
			s.replace(t, "listen: 127.0.0.1:8080", `listen: ":8080"`)
		}, key: "issuer", message: "listen"},
		{name: "issuer a number", old: "https://id.example.com", new: "42", key: "issuer", message: "quotes"},
		{name: "issuer a section", old: "https://id.example.com", new: "{url: x}", key: "issuer", message: "single value"},
		{name: "empty listen", old: "listen: 127.0.0.1:8080", new: `listen: ""`, key: "listen", message: "is required"},
		{name: "listen without port", old: "listen: 127.0.0.1:8080", new: "listen: 127.0.0.1", key: "listen", message: "address and port"},
		{name: "listen with bad port", old: "127.0.0.1:8080", new: "127.0.0.1:99999", key: "listen", message: "port"},
		{name: "listen a URL", old: "127.0.0.1:8080", new: "http://127.0.0.1:8080", key: "listen", message: "address and port"},
		{name: "ops_listen without port", old: "127.0.0.1:9090", new: "localhost", key: "ops_listen", message: "address and port"},
		{name: "ops_listen like listen", old: "127.0.0.1:9090", new: "127.0.0.1:8080", key: "ops_listen", message: "differ"},
		{name: "proxy by name", old: `"::1"`, new: "proxy.example.com", key: "trusted_proxies[1]", message: "IP address"},
		{name: "proxies everybody", old: `"::1"`, new: "0.0.0.0/0", key: "trusted_proxies[1]", message: "everybody"},
		{name: "proxies beyond mask", old: "10.0.0.0/8", new: "10.1.2.3/8", key: "trusted_proxies[0]", message: "10.0.0.0/8"},
		{name: "proxies not a list", old: `[10.0.0.0/8, "::1"]`, new: "10.0.0.0/8", key: "trusted_proxies", message: "list"},
		{name: "unknown dialect", old: "workos]", new: "okta]", key: "dialects[1]", message: "clerk, workos, auth0, descope"},
		{name: "dialect twice", old: "workos]", new: "clerk]", key: "dialects", message: "twice"},
		{name: "dialect a section", old: "workos]", new: "{a: b}]", key: "dialects[1]", message: "text"},
		{
			name: "certificate without key", do: func(t *testing.T, s *setup) { s.replace(t, "  key_file: "+s.dir+"/key.pem\n", "") },
			key: "tls.key_file", message: "tls.cert_file",
		},
		{
			name: "key without certificate", do: func(t *testing.T, s *setup) { s.replace(t, "  cert_file: "+s.dir+"/cert.pem\n", "") },
			key: "tls.cert_file", message: "tls.key_file",
		},
		{name: "no such certificate", old: "/cert.pem", new: "/missing.pem", key: "tls.cert_file", message: "no such file"},
		{name: "no such key", old: "/key.pem", new: "/missing.pem", key: "tls.key_file", message: "no such file"},
		{
			name: "certificate of another key", do: func(t *testing.T, s *setup) { s.keyPair(t, "cert.pem", "other.pem") },
			key: "tls.cert_file", message: "does not match",
		},
		{name: "certificate not PEM", do: func(t *testing.T, s *setup) { s.write(t, "cert.pem", "hunter2", 0o644) }, key: "tls.cert_file", message: "PEM"},
		{
			name: "public key file", do: func(t *testing.T, s *setup) { s.keyPair(t, "cert.pem", "key.pem"); s.chmod(t, "key.pem", 0o644) },
			key: "tls.key_file", message: "0600",
		},
		{name: "another database", old: "postgres://", new: "mysql://", key: "database.dsn", message: "sqlite:PATH"},
		{
			name: "database in words", old: "postgres://understudy:" + dbPassword + "@db.example.com/understudy", new: "host=db password=" + dbPassword,
			key: "database.dsn", message: "sqlite:PATH",
		},
		{name: "database password not encoded", old: ":" + dbPassword, new: ":hunter2/" + dbPassword, key: "database.dsn", message: "percent-encode"},
		{name: "no database name", old: "db.example.com/understudy", new: "db.example.com", key: "database.dsn", message: "name a database"},
		{name: "no sqlite file", old: "postgres://understudy:" + dbPassword + "@db.example.com/understudy", new: `"sqlite:"`, key: "database.dsn", message: "name a file"},
		{name: "sqlite URL", old: "postgres://understudy:" + dbPassword + "@db.example.com/understudy", new: "sqlite:///var/x.db", key: "database.dsn", message: "without //"},
		{name: "empty dsn", old: "postgres://understudy:" + dbPassword + "@db.example.com/understudy", new: `""`, key: "database.dsn", message: "is required"},
		{name: "no connections", old: "max_connections: 8", new: "max_connections: 0", key: "database.max_connections", message: "1 to 1000"},
		{name: "connections in words", old: "max_connections: 8", new: "max_connections: eight", key: "database.max_connections", message: "whole number"},
		{name: "half a connection", old: "max_connections: 8", new: "max_connections: 8.5", key: "database.max_connections", message: "whole number"},
		{name: "I02 no secret", old: "  system: " + systemSecret + "\n", key: "secrets.system", message: "is required"},
		{name: "I02 short secret", old: systemSecret, new: "hunter2", key: "secrets.system", message: "32 bytes"},
		{name: "I02 example secret", old: systemSecret, new: "change-me-hunter2-change-me-0123456789", key: "secrets.system", message: "example"},
		{name: "I02 one letter", old: systemSecret, new: strings.Repeat("a", 40), key: "secrets.system", message: "repeats"},
		{name: "I02 repeated word", old: systemSecret, new: strings.Repeat("hunter2-", 5), key: "secrets.system", message: "repeats"},
		{name: "secret a number", old: systemSecret, new: "12345678901234567890123456789012", key: "secrets.system", message: "quotes"},
		{name: "secrets not a section", do: func(t *testing.T, s *setup) {
			s.yaml = strings.Replace(s.yaml, "secrets:\n  system: "+systemSecret+"\n  previous: ["+oldSecret+"]\n", "secrets: "+systemSecret+"\n", 1)
		}, key: "secrets", message: "system, previous"},
		{name: "I02 short previous secret", old: "[" + oldSecret, new: "[hunter2", key: "secrets.previous[0]", message: "32 bytes"},
		{name: "previous is current", old: oldSecret, new: systemSecret, key: "secrets.previous[0]", message: "rotation"},
		{name: "previous twice", old: oldSecret, new: oldSecret + ", " + oldSecret, key: "secrets.previous", message: "twice"},
		{name: "endless access tokens", old: "access_token_lifetime: 15m", new: "access_token_lifetime: 25h", key: "tokens.access_token_lifetime", message: "24h"},
		{name: "negative access tokens", old: "access_token_lifetime: 15m", new: "access_token_lifetime: -15m", key: "tokens.access_token_lifetime", message: "1s to 24h"},
		{name: "zero ID tokens", old: "id_token_lifetime: 15m", new: "id_token_lifetime: 0s", key: "tokens.id_token_lifetime", message: "1s to 24h"},
		{name: "no unit", old: "id_token_lifetime: 15m", new: "id_token_lifetime: 15", key: "tokens.id_token_lifetime", message: "unit"},
		{name: "slow codes", old: "lifetime: 60s", new: "lifetime: 61s", key: "tokens.authorization_code_lifetime", message: "60s"},
		{name: "idle beyond lifetime", old: "336h", new: "721h", key: "tokens.refresh_token_idle", message: "tokens.refresh_token_lifetime"},
		{name: "zero refresh tokens", old: "720h", new: "0s", key: "tokens.refresh_token_lifetime", message: "1m to 8760h"},
		{name: "long leeway", old: "leeway: 10s", new: "leeway: 11s", key: "tokens.refresh_reuse_leeway", message: "0s to 10s"},
		{name: "negative leeway", old: "leeway: 10s", new: "leeway: -1s", key: "tokens.refresh_reuse_leeway", message: "0s to 10s"},
		{name: "session idle beyond lifetime", old: "idle: 1h", new: "idle: 25h", key: "sessions.idle", message: "sessions.lifetime"},
		{name: "zero sessions", old: "  lifetime: 24h", new: "  lifetime: 0s", key: "sessions.lifetime", message: "1m to 720h"},
		{name: "cookie name with space", old: "cookie_name: understudy", new: "cookie_name: under study", key: "sessions.cookie_name", message: "letters"},
		{name: "cookie name with prefix", old: "cookie_name: understudy", new: "cookie_name: __Host-u", key: "sessions.cookie_name", message: "prefix"},
		{name: "default beyond maximum", old: "max_duration: 60m", new: "max_duration: 20m", key: "impersonation.default_duration", message: "impersonation.max_duration, which is 20m"},
		{name: "maximum beyond cap", old: "max_duration: 60m", new: "max_duration: 61m", key: "impersonation.max_duration", message: "60m"},
		{name: "words for a duration", old: "default_duration: 30m", new: "default_duration: half an hour", key: "impersonation.default_duration", message: "duration"},
		{name: "endless step-up", old: "step_up_max_age: 5m", new: "step_up_max_age: 24h", key: "impersonation.step_up_max_age", message: "60m"},
		{name: "no starts", old: "hour: 10", new: "hour: 0", key: "impersonation.max_starts_per_hour", message: "1 to 1000"},
		{name: "negative concurrency", old: "max_concurrent: 3", new: "max_concurrent: -1", key: "impersonation.max_concurrent", message: "1 to 100"},
		{name: "more at one client", old: "per_client: 1", new: "per_client: 4", key: "impersonation.max_concurrent_per_client", message: "impersonation.max_concurrent"},
		{name: "unknown prompt", old: "prompt: always", new: "prompt: never", key: "impersonation.prompt", message: "always, on_request"},
		{name: "bad pattern", old: `"[A-Z]+-[0-9]+"`, new: `"[A-Z"`, key: "impersonation.ticket_ref_pattern", message: "missing closing ]"},
		{name: "look-ahead", old: `"[A-Z]+-[0-9]+"`, new: `"(?=A)"`, key: "impersonation.ticket_ref_pattern", message: "not a regular expression"},
		{name: "yes", old: "ticket_ref_required: true", new: `ticket_ref_required: "yes"`, key: "impersonation.ticket_ref_required", message: "true or false"},
		{name: "report to nobody", old: "report_to: security@example.com", new: "report_to: security", key: "impersonation.report_to", message: "https URL"},
		{name: "report with a name", old: "report_to: security@example.com", new: "report_to: Security <security@example.com>", key: "impersonation.report_to", message: "https URL"},
		{name: "report by http", old: "report_to: security@example.com", new: "report_to: http://example.com/report", key: "impersonation.report_to", message: "https URL"},
		{name: "negative hashes", old: "hashes: 4", new: "hashes: -1", key: "login.max_concurrent_hashes", message: "0 to 1024"},
		{name: "no queue", old: "timeout: 2s", new: "timeout: 0s", key: "login.queue_timeout", message: "1ms to 60s"},
		{name: "mail by http", old: "smtps://", new: "https://", key: "mail.smtp_url", message: "smtps://"},
		{name: "mail password not encoded", old: ":" + mailPassword, new: ":" + mailPassword + "/x", key: "mail.smtp_url", message: "percent-encode"},
		{name: "mail without sender", old: "  from: Understudy <no-reply@example.com>\n", key: "mail.from", message: "mail.smtp_url"},
		{name: "sender not an address", old: "<no-reply@example.com>", new: "", key: "mail.from", message: "e-mail address"},
		{name: "loud log", old: "level: info", new: "level: loud", key: "log.level", message: "debug, info, warn, error"},
		{name: "log format", old: "format: json", new: "format: xml", key: "log.format", message: "json, text"},
		{name: "no name", old: "name: Understudy", new: `name: ""`, key: "branding.name", message: "is required"},
		{name: "name with line break", old: "name: Understudy", new: `name: "a\nb"`, key: "branding.name", message: "printable"},
		{name: "no such logo", old: "logo: ", new: "logo: no", key: "branding.logo", message: "no such file"},
		{name: "colour by name", old: `"#1f5fbf"`, new: "blue", key: "branding.accent", message: "#rrggbb"},
		{name: "short colour", old: `"#1f5fbf"`, new: `"#15b"`, key: "branding.accent", message: "#rrggbb"},

		{name: "unknown key", old: "max_duration", new: "max_duraton", key: "impersonation.max_duraton", message: "did you mean impersonation.max_duration?"},
		{name: "unknown section", old: "sessions:", new: "session:", key: "session", message: "did you mean sessions?"},
		{name: "key in the wrong place", old: "issuer:", new: "max_starts_per_hour: 3\nissuer:", key: "max_starts_per_hour", message: "did you mean impersonation.max_starts_per_hour?"},
		{name: "key cut short", old: "cert_file", new: "cert", key: "tls.cert", message: "did you mean tls.cert_file?"},
		{name: "key of no likeness", old: "log:\n", new: "log:\n  colours: true\n", key: "log.colours", message: "log has level, format"},
		{name: "secret under an unknown key", old: "secrets:\n", new: "secrets:\n  master: hunter2\n", key: "secrets.master", message: "system, previous"},
		{name: "empty key", old: "issuer:", new: "\"\": x\nissuer:", key: `""`, message: "no such key"},
		{name: "number for a key", old: "tokens:\n", new: "tokens:\n  1: 2\n", key: "tokens.1", message: "tokens has"},
		{name: "mail by another name", old: "smtps://", new: "smtps://@/", key: "mail.smtp_url", message: "name a host"},
		{name: "control character in dsn", old: "postgres://understudy:" + dbPassword + "@db.example.com/understudy", new: `"sqlite:a\0b"`, key: "database.dsn", message: "control"},
		{name: "database without host", old: "@db.example.com/", new: "@/", key: "database.dsn", message: "name a host"},
		{name: "null is not a value of a flag", do: func(_ *testing.T, s *setup) { s.overrides["log"] = map[any]any{"level": nil} }, key: "log.level", message: "has no value"},
		{name: "list in a flag", do: func(_ *testing.T, s *setup) { s.overrides["dialects"] = "clerk,okta" }, key: "dialects[1]", message: "okta"},
		{name: "file too large", do: func(_ *testing.T, s *setup) { s.yaml += strings.Repeat("# padding\n", 110000) }, key: "understudy.yaml", message: "larger"},
		{name: "dotted key", old: "issuer:", new: "mail.from: a@example.com\nissuer:", key: "mail.from", message: "indented"},
		{name: "key twice", old: "issuer:", new: "issuer: https://id.example.org\nissuer:", key: "understudy.yaml", message: "already defined at line 2"},
		{name: "tabs", old: "  level", new: "\tlevel", key: "understudy.yaml", message: "not valid YAML: line"},
		{name: "two documents", old: "issuer:", new: "listen: 127.0.0.1:1\n---\nissuer:", key: "understudy.yaml", message: "single YAML document"},
		{name: "the secret itself for a file", do: func(_ *testing.T, s *setup) { s.yaml = systemSecret }, key: "understudy.yaml", message: "mapping"},
		{name: "secret read as an alias", old: systemSecret, new: "*" + systemSecret, key: "understudy.yaml", message: "anchor"},
		{name: "I02 public file with secret", do: func(_ *testing.T, s *setup) { s.mode = 0o644 }, key: "secrets.system", message: "UNDERSTUDY_SECRETS__SYSTEM_FILE"},
		{name: "public file with password", do: func(_ *testing.T, s *setup) { s.mode = 0o604 }, key: "database.dsn", message: "0600"},

		{
			name: "unknown variable", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_LOG_LEVEL", "info") },
			key: "UNDERSTUDY_LOG_LEVEL", message: "did you mean UNDERSTUDY_LOG__LEVEL?",
		},
		{
			name: "variable in small letters", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_log__level", "info") },
			key: "UNDERSTUDY_log__level", message: "did you mean UNDERSTUDY_LOG__LEVEL?",
		},
		{
			name: "unknown secret variable", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_SECRET__SYSTEM_FILE", "hunter2") },
			key: "UNDERSTUDY_SECRET__SYSTEM_FILE", message: "did you mean UNDERSTUDY_SECRETS__SYSTEM_FILE?",
		},
		{name: "prefix alone", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_", "hunter2") }, key: "UNDERSTUDY_", message: "two underscores"},
		{
			name: "bad variable", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_IMPERSONATION__MAX_DURATION", "") },
			key: "impersonation.max_duration", message: "UNDERSTUDY_IMPERSONATION__MAX_DURATION",
		},
		{
			name: "list in a variable", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_DIALECTS", "clerk,okta") },
			key: "dialects[1]", message: "UNDERSTUDY_DIALECTS",
		},
		{
			name: "file of something not secret", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_ISSUER_FILE", "/etc/issuer") },
			key: "UNDERSTUDY_ISSUER_FILE", message: "only a secret",
		},
		{
			name: "no such secret file", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_SECRETS__SYSTEM_FILE", s.dir+"/none") },
			key: "secrets.system", message: "no such file",
		},
		{
			name: "secret file a directory", do: func(_ *testing.T, s *setup) { s.env("UNDERSTUDY_SECRETS__SYSTEM_FILE", s.dir) },
			key: "secrets.system", message: "directory",
		},
		{name: "empty secret file", do: func(t *testing.T, s *setup) {
			s.env("UNDERSTUDY_SECRETS__SYSTEM_FILE", s.write(t, "system", "\n", 0o600))
		}, key: "secrets.system", message: "empty"},
		{name: "I02 public secret file", do: func(t *testing.T, s *setup) {
			s.env("UNDERSTUDY_SECRETS__SYSTEM_FILE", s.write(t, "system", systemSecret, 0o604))
		}, key: "secrets.system", message: "0600"},
		{name: "secret and its file", do: func(t *testing.T, s *setup) {
			s.env("UNDERSTUDY_SECRETS__SYSTEM", systemSecret)
			s.env("UNDERSTUDY_SECRETS__SYSTEM_FILE", s.write(t, "system", systemSecret, 0o600))
		}, key: "secrets.system", message: "both"},
		{name: "bad flag", do: func(_ *testing.T, s *setup) { s.overrides["log.level"] = "loud" }, key: "log.level", message: "the command line"},
		{name: "unknown flag", do: func(_ *testing.T, s *setup) { s.overrides["log.levl"] = "info" }, key: "log.levl", message: "did you mean log.level?"},
		{name: "forged line", old: "issuer:", new: "\"a\\nlog.level\\e[2J\": x\nissuer:", key: `a\nlog.level\x1b[2J`, message: "indented"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetup(t)
			if test.do != nil {
				test.do(t, s)
			} else {
				s.replace(t, test.old, test.new)
			}
			c, err := s.load(t)
			if err == nil || c != nil {
				t.Fatalf("got %v and error %v, want an error", c, err)
			}
			found := false
			for _, p := range problemsOf(t, err) {
				found = found || strings.HasSuffix(p.Key, test.key) && strings.Contains(p.Message, test.message)
				if strings.ContainsAny(p.Key+p.Message, "\n\x1b") {
					t.Errorf("problem %q is not one line", p)
				}
			}
			if !found {
				t.Errorf("got\n%v\nwant %s: ...%s...", err, test.key, test.message)
			}
			assertNoSecret(t, err.Error())
		})
	}
}

func TestNoFile(t *testing.T) {
	s := newSetup(t)
	if _, err := s.load(t); err != nil {
		t.Fatal(err)
	}
	s.dir += "/missing"
	_, err := loadFile(s.dir)
	problems := problemsOf(t, err)
	if len(problems) != 1 || problems[0].Key != s.dir || !strings.Contains(problems[0].Message, "no such file") {
		t.Errorf("got %v, want the missing file alone", problems)
	}
}
