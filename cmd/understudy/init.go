package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/storage"
)

func newInitCmd() *cobra.Command {
	var issuer, dsn string
	cmd := &cobra.Command{
		Use:   "init --config FILE",
		Short: "Write a new configuration with a new secret, make the tables and the keys",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if file == "" {
				return usageError{errors.New("--config is missing: the file to write")}
			}
			if dsn == "" {
				path, err := filepath.Abs(filepath.Join(filepath.Dir(file), "understudy.db"))
				if err != nil {
					return err
				}
				dsn = storage.SQLite + ":" + path
			}
			return initialize(cmd, file, issuer, dsn)
		},
	}
	cmd.Flags().StringVar(&issuer, "issuer", "http://localhost:8080", "address of this provider, as applications are told it")
	cmd.Flags().StringVar(&dsn, "dsn", "", "sqlite:PATH or postgres://...; understudy.db beside the configuration where it is not given")
	return cmd
}

// initialize writes the file first, because what is encrypted with its secret is
// lost without it. It is removed again only while nothing is.
func initialize(cmd *cobra.Command, file, issuer, dsn string) error {
	if err := writeConfig(file, issuer, dsn); err != nil {
		return err
	}
	c, err := loadConfig(cmd)
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	ctx := cmd.Context()
	store, err := storage.Open(ctx, storage.Options{DSN: c.Database.DSN.Reveal(), MaxConnections: c.Database.MaxConnections})
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	defer store.Close()
	if err := isNew(ctx, store); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	steps, err := store.Migrate(ctx)
	if err != nil {
		return err
	}
	if _, err := openKeys(ctx, c, store); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s, migrated the database (%d steps), made the signing keys\n", file, steps)
	fmt.Fprintf(cmd.OutOrStdout(), "next: understudy serve --config %s\n", strconv.Quote(file))
	fmt.Fprintf(cmd.OutOrStdout(), "      understudy setup-link --config %s   # a link that makes you an administrator\n", strconv.Quote(file))
	fmt.Fprintf(cmd.OutOrStdout(), "      understudy doctor --config %s\n", strconv.Quote(file))
	return nil
}

// isNew wants a database whose keys no other secret has encrypted.
func isNew(ctx context.Context, store *storage.Store) error {
	have, _, err := store.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > 0 {
		return fmt.Errorf("the database is in use (schema %d); its keys need the secrets.system that they were made with", have)
	}
	return nil
}

// writeConfig makes a file that only its owner can read, and never replaces one.
func writeConfig(file, issuer, dsn string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already and will not be replaced", file)
	}
	if err != nil {
		return err
	}
	var secret [32]byte
	rand.Read(secret[:])
	_, err = fmt.Fprintf(f, newConfig, strconv.Quote(issuer), strconv.Quote(listenFor(issuer)), strconv.Quote(config.DSN(dsn).Reveal()),
		strconv.Quote(base64.StdEncoding.EncodeToString(secret[:])))
	return errors.Join(err, f.Close())
}

// listenFor is where a provider on this machine is reached by its issuer; behind a
// proxy it is the default.
func listenFor(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return "127.0.0.1:8080"
	}
	return u.Host
}

const newConfig = `# Understudy. Every key: docs/configuration.md, or understudy config schema.

# The address of this provider, exactly as applications are told it. Plain http is
# for trying it out, on this machine only.
issuer: %s

# Where it accepts connections. A proxy in front adds TLS, or see tls below.
listen: %s
# ops_listen: "127.0.0.1:9090"   # /healthz, /readyz, /metrics
# trusted_proxies: ["127.0.0.1"]
# tls:
#   cert_file: /etc/understudy/tls.crt
#   key_file: /etc/understudy/tls.key

database:
  dsn: %s

secrets:
  # Encrypts the signing keys. Keep a copy: they are lost without it.
  system: %s

# Impersonation is off until: understudy impersonation enable
# impersonation:
#   default_duration: 30m
#   max_duration: 60m
`
