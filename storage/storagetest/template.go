// Package storagetest gives each test a migrated database of its own: a copy of one
// that the process migrated once. To replay the migrations costs more than most
// tests do. Only tests import it.
package storagetest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/storage/pgtest"
)

// Template is a database of each kind, made when it is first needed.
type Template struct {
	sqlite   func() ([]byte, error)
	postgres *pgtest.Template
}

// New returns a template of what migrate makes of an empty database. It is given,
// because the tests of storage itself are among those that need one.
func New(migrate func(dsn string) error) *Template {
	return &Template{
		sqlite:   sync.OnceValues(func() ([]byte, error) { return migratedFile(migrate) }),
		postgres: pgtest.NewTemplate(migrate),
	}
}

func migratedFile(migrate func(dsn string) error) (content []byte, err error) {
	dir, err := os.MkdirTemp("", "understudy-template-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "template.db")
	if err := migrate("sqlite:" + file); err != nil {
		return nil, err
	}
	return os.ReadFile(file) // whoever closed it left no log beside it
}

// SQLite makes a copy in a new file.
func (m *Template) SQLite(t testing.TB, file string) (dsn string) {
	t.Helper()
	content, err := m.sqlite()
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatalf("copy a migrated database: %v", err)
	}
	return "sqlite:" + file
}

// Dir makes a directory for databases that goes away with the test. It is in memory
// where it can be, or tests would mostly wait for the disk.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(pgtest.Memory(), "understudy-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Postgres makes a copy that is dropped when the test ends.
func (m *Template) Postgres(t testing.TB) (dsn string) {
	t.Helper()
	return m.postgres.DSN(t)
}
