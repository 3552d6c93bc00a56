package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newRegistrationTokenCmd() *cobra.Command {
	return group("registration-token", "Initial access tokens, with which applications register themselves",
		newRegistrationTokenCreateCmd(), newRegistrationTokenListCmd(), newRegistrationTokenRevokeCmd())
}

// initialTokenRecord is an initial access token as --json shows it; the token itself
// is there once, when it is new.
type initialTokenRecord struct {
	ID          string     `json:"id"`
	Token       string     `json:"token,omitempty"`
	Description string     `json:"description"`
	UsesLeft    int64      `json:"uses_left"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	RevokedAt   *time.Time `json:"revoked_at"`
}

func initialTokenOf(t *storage.InitialAccessToken, token string) initialTokenRecord {
	return initialTokenRecord{
		ID: t.ID, Token: token, Description: t.Description, UsesLeft: t.UsesLeft,
		CreatedAt: t.CreatedAt.Time(), ExpiresAt: t.ExpiresAt.Time(), RevokedAt: when(t.RevokedAt),
	}
}

func newRegistrationTokenCreateCmd() *cobra.Command {
	var t storage.InitialAccessToken
	var lifetime time.Duration
	cmd := jsonFlag(&cobra.Command{
		Use: "create", Short: "Make an initial access token; it is shown once", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				now := time.Now()
				t.ExpiresAt = storage.At(now.Add(lifetime))
				token, err := provider.NewRegistration(store).CreateInitialToken(ctx, &t, operator(), now)
				if err != nil {
					return err
				}
				r := initialTokenOf(&t, token)
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
	cmd.Flags().Int64Var(&t.UsesLeft, "uses", 1, "how many applications it registers")
	cmd.Flags().DurationVar(&lifetime, "expires", 24*time.Hour, "how long it can be used")
	cmd.Flags().StringVar(&t.Description, "description", "", "what it is for, for those who list it")
	return cmd
}

func newRegistrationTokenListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List initial access tokens that have not expired", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				now := time.Now()
				tokens, err := store.InitialAccessTokens(ctx)
				if err != nil {
					return err
				}
				all, rows := []initialTokenRecord{}, [][]string{{"ID", "DESCRIPTION", "USES LEFT", "EXPIRES", "REVOKED"}}
				for _, t := range tokens {
					if t.ExpiresAt.Passed(now) {
						continue // not swept yet
					}
					all = append(all, initialTokenOf(&t, ""))
					rows = append(rows, []string{t.ID, t.Description, strconv.FormatInt(t.UsesLeft, 10), moment(t.ExpiresAt), moment(t.RevokedAt)})
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
}

func newRegistrationTokenRevokeCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "revoke ID", Short: "End an initial access token; what it registered stays", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				err := provider.NewRegistration(store).RevokeInitialToken(ctx, args[0], operator(), time.Now())
				if errors.Is(err, storage.ErrSpent) {
					return fmt.Errorf("initial access token %q: there is none with this id that could be used", args[0])
				}
				if err != nil {
					return err
				}
				r := struct {
					ID      string `json:"id"`
					Revoked bool   `json:"revoked"`
				}{args[0], true}
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
}
