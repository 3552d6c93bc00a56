package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/storage"
)

func newKeyCmd() *cobra.Command {
	return group("key", "Keys that sign tokens and checkpoints", newKeyListCmd(), newKeyRotateCmd(), newKeyPruneCmd())
}

type keyRecord struct {
	ID          string     `json:"kid"`
	Purpose     string     `json:"purpose"`
	Alg         string     `json:"alg"`
	State       string     `json:"state"` // next, active, previous or retired
	CreatedAt   time.Time  `json:"created_at"`
	ActivatesAt time.Time  `json:"activates_at"`
	RetiredAt   *time.Time `json:"retired_at"`
}

func showKeys(cmd *cobra.Command, store *storage.Store, now time.Time) error {
	keys, err := store.SigningKeys(cmd.Context())
	if err != nil {
		return err
	}
	active := map[string]string{}
	for _, k := range keys { // in the order of activation
		if k.ActivatesAt.Passed(now) && !k.RetiredAt.Passed(now) {
			active[k.Purpose+k.Alg] = k.ID
		}
	}
	all, rows := []keyRecord{}, [][]string{{"KID", "PURPOSE", "ALG", "STATE", "SIGNS FROM"}}
	for _, k := range keys {
		state := "previous"
		switch {
		case k.RetiredAt.Passed(now):
			state = "retired"
		case !k.ActivatesAt.Passed(now):
			state = "next"
		case active[k.Purpose+k.Alg] == k.ID:
			state = "active"
		}
		all = append(all, keyRecord{k.ID, k.Purpose, k.Alg, state, k.CreatedAt.Time(), k.ActivatesAt.Time(), when(k.RetiredAt)})
		rows = append(rows, []string{k.ID, k.Purpose, k.Alg, state, moment(k.ActivatesAt)})
	}
	return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
}

func newKeyListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List keys", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(_ context.Context, store *storage.Store, _ *config.Config) error {
				return showKeys(cmd, store, time.Now())
			})
		},
	})
}

func newKeyRotateCmd() *cobra.Command {
	var algs []string
	cmd := jsonFlag(&cobra.Command{
		Use: "rotate", Short: "Publish the next token keys; they sign from 24 hours later on", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
				keys, err := loadKeys(ctx, c, store)
				if err != nil {
					return err
				}
				by := operator()
				for _, alg := range algs {
					if _, err := keys.Rotate(ctx, alg, by, time.Now()); err != nil {
						return err
					}
				}
				return showKeys(cmd, store, time.Now())
			})
		},
	})
	cmd.Flags().StringArrayVar(&algs, "alg", []string{"RS256", "ES256"}, "RS256 or ES256; both where it is not given")
	return cmd
}

func newKeyPruneCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "prune", Short: "Delete replaced token keys of which no token is of use any more", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
				keys, err := loadKeys(ctx, c, store)
				if err != nil {
					return err
				}
				if _, err := keys.Prune(ctx, longestUse(c), operator(), time.Now()); err != nil {
					return err
				}
				return showKeys(cmd, store, time.Now())
			})
		},
	})
}

// longestUse is how long a token is of use: an application shows its ID token to
// end an impersonation or to sign out, when the token itself may have expired.
func longestUse(c *config.Config) time.Duration {
	const impersonation = 60 * time.Minute // at most
	return max(c.Tokens.AccessTokenLifetime, c.Tokens.IDTokenLifetime, c.Sessions.Lifetime, impersonation)
}
