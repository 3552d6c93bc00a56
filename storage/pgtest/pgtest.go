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
	server, err := administrator()
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	// template0 has no connections, so that tests can copy it at the same time.
	if err := run(server, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	u.Path = "/" + name
	return u.String()
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
