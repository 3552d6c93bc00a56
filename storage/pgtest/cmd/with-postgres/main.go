// Command with-postgres runs a command beside a throw-away PostgreSQL that the
// command's tests share, and exits as the command does:
//
//	go run ./storage/pgtest/cmd/with-postgres go test ./...
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/understudy-id/understudy/storage/pgtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: with-postgres COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "with-postgres:", err)
		os.Exit(1)
	}
}

// run leaves an existing server alone: somebody chose it.
func run(command []string) error {
	if os.Getenv(pgtest.Variable) == "" {
		dsn, stop, err := pgtest.Start()
		if err != nil {
			return err
		}
		defer stop()
		if err := os.Setenv(pgtest.Variable, dsn); err != nil {
			return err
		}
	}
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	return child.Run()
}
