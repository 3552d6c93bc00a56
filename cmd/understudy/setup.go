package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// longestSetup is how long a link that makes administrators may lie around.
const longestSetup = 7 * 24 * time.Hour

type setupRecord struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

type revokedLinks struct {
	Revoked int64 `json:"revoked"`
}

func newSetupLinkCmd() *cobra.Command {
	var expires time.Duration
	var revoke bool
	cmd := jsonFlag(&cobra.Command{
		Use: "setup-link", Short: "Print a link with which one person makes themselves an administrator", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expires < time.Minute || expires > longestSetup {
				return usageError{errors.New("--expires: want 1m to 168h")}
			}
			if revoke && cmd.Flags().Changed("expires") {
				return usageError{errors.New("--expires: --revoke makes no link")}
			}
			return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
				now := time.Now()
				if revoke {
					n, err := provider.NewDirectory(store).RevokeSetupLinks(ctx, operator(), now)
					if err != nil {
						return err
					}
					return show(cmd, revokedLinks{n}, func(w io.Writer) error {
						_, err := fmt.Fprintf(w, "open setup links ended: %d\n", n)
						return err
					})
				}
				token, err := provider.NewDirectory(store).CreateSetupLink(ctx, expires, operator(), now)
				if err != nil {
					return err
				}
				link := setupRecord{c.Issuer + "/setup/" + token, now.Add(expires).UTC().Truncate(time.Second)}
				return show(cmd, link, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s\n\nWhoever opens it becomes an administrator. It works once, until %s. Links made earlier have ended.\n",
						link.URL, link.ExpiresAt.Format(time.RFC3339))
					return err
				})
			})
		},
	})
	cmd.Flags().BoolVar(&revoke, "revoke", false, "make no link; end all that could still be used")
	cmd.Flags().DurationVar(&expires, "expires", time.Hour, "how long the link works")
	return cmd
}
