package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Variable names a running server by its administrator's DSN. Tests then use it
// instead of starting their own.
const Variable = "UNDERSTUDY_TEST_POSTGRES"

// The server of this process. Package state, because that is what a process has.
var (
	mu     sync.Mutex
	admin  string
	failed error
	stop   = func() {}
)

// DSN returns the URL of a new, empty database that is dropped when the test
// ends. Without a server to start it fails the test: a store that was not
// tested is not one that passed.
func DSN(t testing.TB) string {
	t.Helper()
	return copyOf(t, "template0") // it has no connections, so that tests can copy it at the same time
}

// Template is a database that is made once, when a copy is first needed, and goes
// away with the server.
type Template struct {
	make func() (name string, err error)
}

// NewTemplate returns a template of what fill makes of an empty database. fill
// leaves no connection behind.
func NewTemplate(fill func(dsn string) error) *Template {
	return &Template{sync.OnceValues(func() (string, error) {
		name, dsn, err := create("template0")
		if err != nil {
			return "", err
		}
		return name, fill(dsn)
	})}
}

// DSN returns the URL of a new copy, as the function of the same name does.
func (p *Template) DSN(t testing.TB) string {
	t.Helper()
	name, err := p.make()
	if err != nil {
		t.Fatalf("make a template: %v", err)
	}
	return copyOf(t, name)
}

func copyOf(t testing.TB, template string) string {
	t.Helper()
	name, dsn, err := create(template)
	if err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		server, err := administrator()
		if err == nil {
			err = run(server, "DROP DATABASE "+name+" WITH (FORCE)")
		}
		if err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return dsn
}

func create(template string) (name, dsn string, err error) {
	server, err := administrator()
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", Variable, err)
	}
	name = "test_" + strings.ToLower(rand.Text())
	if err := run(server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return "", "", err
	}
	u.Path = "/" + name
	return name, u.String(), nil
}

// Main runs the tests and then waits until the cluster they started is gone.
// A TestMain may return its result to os.Exit; without one the cluster goes away
// just as surely, a moment later.
func Main(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	stop()
	return code
}

// administrator returns the server's DSN, starting a cluster the first time.
func administrator() (string, error) {
	if dsn := os.Getenv(Variable); dsn != "" {
		return dsn, nil
	}
	mu.Lock()
	defer mu.Unlock()
	if admin == "" && failed == nil {
		admin, stop, failed = Start()
		if failed != nil {
			stop = func() {}
		}
	}
	return admin, failed
}

// run executes one statement that must be outside a transaction.
func run(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
