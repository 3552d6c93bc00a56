// Package pgtest gives tests a real PostgreSQL: a throw-away cluster of their
// own, and for every call of DSN a fresh database in it, empty or the copy of a
// Template. Only tests import it.
//
// One cluster serves the whole test process and goes away with it, however it
// ends. To share one between many test binaries, run them under
//
//	go run ./storage/pgtest/cmd/with-postgres go test ./...
//
// which is what `make test` does. Read pgtest.go, then cluster.go.
package pgtest
