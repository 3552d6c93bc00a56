package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/storage"
)

func newMigrateCmd() *cobra.Command {
	return group("migrate", "The tables of the database", newMigrateUpCmd(), newMigrateStatusCmd())
}

type schemaRecord struct {
	Have    int64 `json:"have"`
	Want    int64 `json:"want"`
	Current bool  `json:"current"`
	Steps   int   `json:"steps"`
}

// withSchema runs fn on a database with whatever schema it has, and shows the
// version that it has then.
func withSchema(cmd *cobra.Command, fn func(context.Context, *storage.Store) (steps int, err error)) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	store, err := storage.Open(ctx, storage.Options{DSN: c.Database.DSN.Reveal(), MaxConnections: c.Database.MaxConnections})
	if err != nil {
		return err
	}
	run := func() error {
		steps, err := fn(ctx, store)
		if err != nil {
			return err
		}
		have, want, err := store.SchemaVersion(ctx)
		if err != nil {
			return err
		}
		r := schemaRecord{have, want, have == want, steps}
		return show(cmd, r, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "schema %d, this program needs %d; %d steps taken\n", r.Have, r.Want, r.Steps)
			return err
		})
	}
	return errors.Join(run(), store.Close())
}

func newMigrateUpCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "up", Short: "Bring the schema up to date", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSchema(cmd, func(ctx context.Context, store *storage.Store) (int, error) { return store.Migrate(ctx) })
		},
	})
}

func newMigrateStatusCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "status", Short: "Show the version of the schema and the one this program needs", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSchema(cmd, func(context.Context, *storage.Store) (int, error) { return 0, nil })
		},
	})
}
