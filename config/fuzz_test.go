package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/config"
)

// FuzzLoad: whatever the file says, there is either a valid configuration or a
// list of one-line problems.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		validYAML, "", "{}", "---\n", "a: &a [*a]", "issuer: &i https://x\nlisten: *i", "<<: {issuer: x}",
		"? [a]\n: b", "1: 2", "issuer: !!binary aGk=", "branding: {name: 2024-01-01}", "tokens: {id_token_lifetime: .nan}",
		"trusted_proxies: [fe80::1%eth0, [], {}, ~]", "a: 1\na: 2", "secrets:\n  previous: {a: b}", "\xff\xfe", "...\nx", "log.level: info",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	environ := []string{"UNDERSTUDY_ISSUER=https://id.example.com", "UNDERSTUDY_SECRETS__SYSTEM=" + systemSecret}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := os.CreateTemp(dir, "*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file.Name())
		if _, err := file.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(filepath.Clean(file.Name()), environ, nil)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("loaded, and then: %v", err)
			}
			return
		}
		for _, p := range problemsOf(t, err) {
			if p.Key == "" || p.Message == "" || strings.ContainsAny(p.Key+p.Message, "\n\r\x1b\x00") {
				t.Errorf("bad problem %q", p)
			}
		}
	})
}
