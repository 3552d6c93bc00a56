package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/config"
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
