package config_test

import (
	"fmt"
	"strings"
	"testing"
)

// I04: what is wrong with a configuration is said all at once, a line each: the key,
// what is allowed, what may have been meant, and no secret.
func TestProblemsOfAConfiguration(t *testing.T) {
	s := newSetup(t)
	for old, with := range map[string]string{
		"issuer: https://id.example.com":     "issuer: \"https://id.example.com/\\nissuer: forged\"",
		"  system: " + systemSecret:          "  system: hunter2",
		"level: info":                        "level: loud",
		"idle: 1h":                           "idle: 48h",
		"max_duration: 60m":                  "max_duration: 99h",
		"max_concurrent_hashes: 4":           "max_concurrent_hashs: 4",
		"smtps://bot:" + mailPassword + "@m": "https://bot:" + mailPassword + "@m",
		"prompt: always":                     "prompt: sometimes",
	} {
		s.replace(t, old, with)
	}
	c, err := s.load(t)
	if err == nil || c != nil {
		t.Fatalf("got %v and error %v, want no configuration at all", c, err)
	}
	problems := problemsOf(t, err)
	for key, message := range map[string]string{
		"issuer": "", "secrets.system": "32 bytes", "log.level": "debug, info, warn, error", "sessions.idle": "sessions.lifetime",
		"impersonation.max_duration": "60m", "login.max_concurrent_hashs": "did you mean login.max_concurrent_hashes?", "mail.smtp_url": "smtps://",
		"impersonation.prompt": "always, on_request",
	} {
		t.Run("I04 "+key, func(t *testing.T) {
			var found []string
			for _, p := range problems {
				if p.Key == key {
					found = append(found, p.Message)
				}
			}
			if len(found) != 1 || !strings.Contains(found[0], message) {
				t.Errorf("got %q, want one with %q", found, message)
			}
		})
	}
	t.Run("I04 a line each", func(t *testing.T) {
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		named := 0
		for _, line := range lines {
			for _, p := range problems {
				if strings.Contains(line, p.Key+": ") && strings.Contains(line, p.Message) {
					named++
					break
				}
			}
		}
		if named != len(problems) || len(problems) != 8 {
			t.Errorf("%d lines name one of %d problems:\n%v", named, len(problems), err)
		}
	})
	t.Run("I04 no secret", func(t *testing.T) { assertNoSecret(t, err.Error()+fmt.Sprintf("%+v %#v", problems, problems)) })
}

// I05: plain http is for one's own machine. It takes no switch of its own: the issuer
// and the address that is listened at have to be loopback addresses.
func TestPlainHTTP(t *testing.T) {
	for _, c := range []struct {
		issuer, listen string
		want           string // empty: accepted
	}{
		{"http://localhost:8080", "127.0.0.1:8080", ""},
		{"http://127.0.0.1:8080", "[::1]:8080", ""},
		{"http://[::1]:8080", "localhost:8080", ""},
		{"https://id.example.com", ":8080", ""}, // behind a proxy
		{"http://id.example.com", "127.0.0.1:8080", "loopback"},
		{"http://192.168.0.7", "127.0.0.1:8080", "loopback"},
		{"http://localhost.example.com", "127.0.0.1:8080", "loopback"},
		{"http://127.0.0.1.example.com", "127.0.0.1:8080", "loopback"},
		{"http://localhost:8080", ":8080", "listen"},
		{"http://localhost:8080", "0.0.0.0:8080", "listen"},
		{"http://localhost:8080", "[::]:8080", "listen"},
		{"http://localhost:8080", "192.168.0.7:8080", "listen"},
		{"http://localhost:8080", "id.example.com:8080", "listen"},
	} {
		t.Run("I05 "+c.issuer+" at "+c.listen, func(t *testing.T) {
			s := newSetup(t)
			s.replace(t, "issuer: https://id.example.com", "issuer: "+c.issuer)
			s.replace(t, "listen: 127.0.0.1:8080", `listen: "`+c.listen+`"`)
			_, err := s.load(t)
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			problems := problemsOf(t, err)
			if len(problems) != 1 || problems[0].Key != "issuer" || !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("got %v, want issuer: ...%s...", problems, c.want)
			}
		})
	}
}
