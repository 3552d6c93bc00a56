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

func newSetupLinkCmd() *cobra.Command {
	var expires time.Duration
	cmd := jsonFlag(&cobra.Command{
		Use: "setup-link", Short: "Print a link with which one person makes themselves an administrator", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expires < time.Minute || expires > longestSetup {
				return usageError{errors.New("--expires: want 1m to 168h")}
			}
			return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
				now := time.Now()
				token, err := provider.NewDirectory(store).CreateSetupLink(ctx, expires, operator(), now)
				if err != nil {
					return err
				}
				link := setupRecord{c.Issuer + "/setup/" + token, now.Add(expires).UTC().Truncate(time.Second)}
				return show(cmd, link, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s\n\nWhoever opens it becomes an administrator. It works once, until %s.\n",
						link.URL, link.ExpiresAt.Format(time.RFC3339))
					return err
				})
			})
		},
	})
	cmd.Flags().DurationVar(&expires, "expires", time.Hour, "how long the link works")
	return cmd
}
