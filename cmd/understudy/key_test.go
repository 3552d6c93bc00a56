package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// exec runs a statement as somebody with the database's file could.
func (s site) exec(statement string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "understudy.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(s.t.Context(), statement, args...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// Only what serves, and init, make keys.
func TestCommandsMakeNoKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(`DELETE FROM signing_keys`)
	for _, line := range []string{"audit verify", "audit export", "audit checkpoint", "audit checkpoint --key", "key rotate", "key prune"} {
		_, err := s.run("", strings.Fields(line)...)
		if exitCode(err) != exitFailure || !strings.Contains(fmt.Sprint(err), "run understudy init or serve first") {
			t.Errorf("%s: got %v", line, err)
		}
	}
	want(t, "keys", len(s.list("key", "list")), 0)
}

// A key stays while an ID token that it signed can be shown as a hint.
func TestKeyPruneKeepsHints(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("key", "rotate")
	now := time.Now()
	for _, c := range []struct {
		since time.Duration
		keys  int
	}{{30 * time.Minute, 5}, {23 * time.Hour, 5}, {25 * time.Hour, 3}} {
		s.exec(`UPDATE signing_keys SET created_at = ?, activates_at = ? WHERE id IN (
			SELECT id FROM signing_keys WHERE purpose = 'token' ORDER BY activates_at DESC LIMIT 2)`,
			storage.At(now.Add(-c.since)), storage.At(now.Add(-c.since)))
		s.exec(`UPDATE signing_keys SET activates_at = 1 WHERE activates_at > ?`, storage.At(now.Add(-c.since)))
		want(t, fmt.Sprint("replaced ", c.since, " ago"), len(s.list("key", "prune")), c.keys)
	}
}

func TestLongestUse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ access, id, session, want time.Duration }{
		{time.Minute, time.Minute, time.Minute, time.Hour},
		{time.Minute, time.Minute, 24 * time.Hour, 24 * time.Hour},
		{2 * time.Hour, time.Minute, time.Minute, 2 * time.Hour},
		{time.Minute, 3 * time.Hour, time.Hour, 3 * time.Hour},
	} {
		var c config.Config
		c.Tokens.AccessTokenLifetime, c.Tokens.IDTokenLifetime, c.Sessions.Lifetime = test.access, test.id, test.session
		if got := longestUse(&c); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

// output is what a server writes while a test looks on.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// wait returns what was written as soon as all of it is there.
func (o *output) wait(t *testing.T, parts ...string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		o.mu.Lock()
		text := o.text.String()
		o.mu.Unlock()
		missing := slices.DeleteFunc(slices.Clone(parts), func(part string) bool { return strings.Contains(text, part) })
		if len(missing) == 0 {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", missing, text)
		}
	}
}

// I02: a server that starts with another secret encrypts the keys anew and says when
// the old secret may go; with a wrong one it does not start.
func TestServeWithAnotherSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.list("key", "list")
	text := readAll(t, s.config())
	_, old, _ := strings.Cut(text, `system: "`)
	old, _, _ = strings.Cut(old, `"`)
	const another = "Zx9!qWe7-another-secret-of-a-test-0815"
	configure := func(secrets string) {
		changed := strings.NewReplacer(`system: "`+old+`"`, secrets, `listen: "localhost:8080"`, "listen: \"127.0.0.1:0\"\nops_listen: \"\"").Replace(text)
		if err := os.WriteFile(s.config(), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(`system: "` + another + `"`)
	if _, err := s.run("", "serve"); !errors.Is(err, provider.ErrSecret) || exitCode(err) != exitFailure {
		t.Errorf("a wrong secret: got %v", err)
	}
	configure(`system: "` + another + "\"\n  previous: [\"" + old + `"]`)
	ctx, stop := context.WithCancel(t.Context())
	var log output
	root := newRoot()
	root.SetArgs([]string{"serve", "--config", s.config()})
	root.SetErr(&log)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	said := log.wait(t, "no administrator yet; run understudy setup-link", "no key needs secrets.previous any more", `"reencrypted":["key_`)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(said, "/setup/") || strings.Contains(said, old) || strings.Contains(said, another) {
		t.Errorf("G04: the log has a secret:\n%s", said)
	}
	configure(`system: "` + another + `"`) // the old one is removed
	for i, k := range s.list("key", "rotate", "--alg", "ES256")[:3] {
		want(t, "key", k["kid"], before[i]["kid"])
	}
	s.ok("audit", "verify")
}
