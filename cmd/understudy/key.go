package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newKeyCmd() *cobra.Command {
	return group("key", "Keys that sign tokens and checkpoints", newKeyListCmd(), newKeyRotateCmd(), newKeyPruneCmd())
}

type keyRecord struct {
	ID            string            `json:"kid"`
	Purpose       string            `json:"purpose"`
	Alg           string            `json:"alg"`
	State         provider.KeyState `json:"state"`
	AgeSeconds    int64             `json:"age_seconds"` // since it was made
	CreatedAt     time.Time         `json:"created_at"`
	ActivatesAt   time.Time         `json:"activates_at"`
	VerifiesUntil *time.Time        `json:"verifies_until"` // of a replaced key; then it is removed
	RetiredAt     *time.Time        `json:"retired_at"`
}

// keyRecords is what every key does at the moment.
func keyRecords(ctx context.Context, store *storage.Store, c *config.Config, now time.Time) ([]keyRecord, error) {
	keys, err := store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	all := []keyRecord{}
	for _, k := range provider.KeyStatuses(keys, longestUse(c), now) {
		r := keyRecord{
			ID: k.ID, Purpose: k.Purpose, Alg: k.Alg, State: k.State, AgeSeconds: int64(now.Sub(k.CreatedAt.Time()).Seconds()),
			CreatedAt: k.CreatedAt.Time(), ActivatesAt: k.ActivatesAt.Time(), RetiredAt: when(k.RetiredAt),
		}
		if !k.Until.IsZero() {
			r.VerifiesUntil = &k.Until
		}
		all = append(all, r)
	}
	return all, nil
}

func showKeys(cmd *cobra.Command, store *storage.Store, c *config.Config) error {
	all, err := keyRecords(cmd.Context(), store, c, time.Now())
	if err != nil {
		return err
	}
	rows := [][]string{{"KID", "PURPOSE", "ALG", "AGE", "SIGNS FROM", "STATE"}}
	for _, k := range all {
		rows = append(rows, []string{
			k.ID, k.Purpose, k.Alg, ageOf(time.Duration(k.AgeSeconds) * time.Second), k.ActivatesAt.Format(time.RFC3339), k.state(),
		})
	}
	return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
}

func (k *keyRecord) state() string {
	switch {
	case k.VerifiesUntil != nil:
		return fmt.Sprintf("%s until %s", k.State, k.VerifiesUntil.Format(time.RFC3339))
	case k.RetiredAt != nil:
		return fmt.Sprintf("%s at %s", k.State, k.RetiredAt.Format(time.RFC3339))
	}
	return string(k.State)
}

// ageOf says how old something is, as exactly as people want to know it.
func ageOf(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "new"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func newKeyListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List keys, how old they are and what they do", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(_ context.Context, store *storage.Store, c *config.Config) error {
				return showKeys(cmd, store, c)
			})
		},
	})
}

// withKeys runs what a command does with the keys of a database that has some, and
// shows the outcome.
func withKeys(cmd *cobra.Command, run func(context.Context, *provider.Keyring, *config.Config) error) error {
	return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
		keys, err := loadKeys(ctx, c, store)
		if err != nil {
			return err
		}
		if err := run(ctx, keys, c); err != nil {
			return err
		}
		return showKeys(cmd, store, c)
	})
}

func newKeyRotateCmd() *cobra.Command {
	var algs []string
	var emergency bool
	cmd := jsonFlag(&cobra.Command{
		Use: "rotate", Short: "Publish the next token keys; they sign from 24 hours later on", Args: named(),
		Long: "rotate publishes the next token keys, which sign from 24 hours later on, so that every application knows them by\n" +
			"then. Where the next key is published already nothing is done.\n\n" +
			"With --emergency new keys sign at once and all others leave the key set: for a key that somebody else may have.\n" +
			"Whatever the old ones signed is worth nothing any more, and an application that keeps the key set, and does not\n" +
			"fetch it again when it meets an unknown kid, refuses sign-ins until it does. See docs/operations.md.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd, func(ctx context.Context, keys *provider.Keyring, _ *config.Config) error {
				by := operator()
				if emergency {
					return keys.Replace(ctx, algs, by, time.Now())
				}
				next, err := keys.Rotate(ctx, algs, by, time.Now())
				for _, n := range next {
					if !n.Made {
						fmt.Fprintf(cmd.ErrOrStderr(), "%s: the next key is published already: %s signs from %s on\n", n.Alg, n.ID, moment(n.ActivatesAt))
					}
				}
				return err
			})
		},
	})
	cmd.Flags().StringArrayVar(&algs, "alg", []string{"RS256", "ES256"}, "RS256 or ES256; both where it is not given")
	cmd.Flags().BoolVar(&emergency, "emergency", false, "sign with new keys at once, and take all others out of the key set")
	return cmd
}

func newKeyPruneCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "prune", Short: "Delete replaced token keys of which no token is of use any more", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd, func(ctx context.Context, keys *provider.Keyring, c *config.Config) error {
				_, err := keys.Prune(ctx, longestUse(c), operator(), time.Now())
				return err
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
