package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "understudy",
		Short:         "OpenID Connect provider whose staff can sign in as a user, on the record",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", os.Getenv("UNDERSTUDY_CONFIG"), "configuration file (YAML)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newDemoCmd(), newInitCmd(), newServeCmd(), newSetupLinkCmd(), newMigrateCmd(),
		newUserCmd(), newRoleCmd(), newOrgCmd(), newClientCmd(), newAPIKeyCmd(), newWebhookCmd(), newKeyCmd(),
		newImpersonationCmd(), newPolicyCmd(), newAuditCmd(), newMailCmd(), newConfigCmd(), newDoctorCmd(), newHealthcheckCmd(), newVersionCmd(),
	)
	markUsage(root)
	return root
}

// markUsage makes what cobra says about arguments a usage error, for every command.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}

// loadConfig reads the configuration that --config names, the environment, and
// the flags that a command turned into overrides.
func loadConfig(cmd *cobra.Command, overrides ...map[string]any) (*config.Config, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, o := range overrides {
		for key, value := range o {
			all[key] = value
		}
	}
	return config.Load(file, os.Environ(), all)
}

// openStore opens the database and checks that its schema is the one we know.
func openStore(ctx context.Context, c *config.Config) (*storage.Store, error) {
	store, err := storage.Open(ctx, storage.Options{DSN: c.Database.DSN.Reveal(), MaxConnections: c.Database.MaxConnections})
	if err != nil {
		return nil, err
	}
	if err := store.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// openKeys opens the keyring and makes the keys that are missing, which is for
// init and for what serves.
func openKeys(ctx context.Context, c *config.Config, store *storage.Store) (*provider.Keyring, error) {
	keys, err := newKeyring(c, store)
	if err != nil {
		return nil, err
	}
	return keys, keys.Ensure(ctx, time.Now())
}

// loadKeys opens the keyring as it is: provider.ErrNoKeys where keys are missing.
func loadKeys(ctx context.Context, c *config.Config, store *storage.Store) (*provider.Keyring, error) {
	keys, err := newKeyring(c, store)
	if err != nil {
		return nil, err
	}
	return keys, keys.Load(ctx, time.Now())
}

func newKeyring(c *config.Config, store *storage.Store) (*provider.Keyring, error) {
	secrets := []string{c.Secrets.System.Reveal()}
	for _, s := range c.Secrets.Previous {
		secrets = append(secrets, s.Reveal())
	}
	return provider.NewKeyring(store, secrets...)
}
