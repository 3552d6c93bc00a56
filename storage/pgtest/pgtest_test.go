package pgtest

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// Two databases at once do not see each other, and are gone afterwards.
func TestDSN(t *testing.T) {
	var dsns [2]string
	t.Run("fresh", func(t *testing.T) {
		for i := range dsns {
			dsns[i] = DSN(t)
			if err := run(dsns[i], "CREATE TABLE only_one (id int)"); err != nil {
				t.Errorf("database %d: %v", i, err)
			}
		}
	})
	for _, dsn := range dsns {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("connect after the test: got %v, want that it does not exist", err)
		}
	}
}

// A copy has what its template has, and not what became of another copy.
func TestTemplate(t *testing.T) {
	made := 0
	template := NewTemplate(func(dsn string) error {
		made++
		return run(dsn, "CREATE TABLE kept (id int)")
	})
	for range 2 {
		dsn := template.DSN(t)
		for _, statement := range []string{"INSERT INTO kept VALUES (1)", "CREATE TABLE only_one (id int)"} {
			if err := run(dsn, statement); err != nil {
				t.Error(err)
			}
		}
	}
	if made != 1 {
		t.Errorf("made %d times, want once", made)
	}
}

// What stops is gone: no process that answers, no directory.
func TestStart(t *testing.T) {
	dsn, stop, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := run(dsn, "SELECT 1"); err == nil {
		t.Error("it still answers")
	}
	if _, err := os.Stat(config.Host); !os.IsNotExist(err) {
		t.Errorf("%s: got %v, want that it does not exist", config.Host, err)
	}
}
