// Command understudy is a self-hosted OpenID Connect provider whose support staff
// can sign in to an application as one of its users, on the record.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // rules of the policy name time zones, and a container may have none

	"github.com/understudy-id/understudy/config"
)

// version is set when a release is linked.
var version = "dev"

// Exit codes: sysexits.h has 78 for a configuration that cannot be used.
const (
	exitFailure       = 1
	exitUsage         = 2
	exitConfiguration = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := newRoot().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "understudy:", err)
	}
	os.Exit(exitCode(err))
}

// usageError is a mistake in the command line itself.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitConfiguration
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}
