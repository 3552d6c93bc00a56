package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newAPIKeyCmd() *cobra.Command {
	return group("apikey", "Keys with which programs call the management API", newAPIKeyCreateCmd(), newAPIKeyListCmd(), newAPIKeyRevokeCmd())
}

// apiKeyRecord is an API key as --json shows it; the secret is there once, when it is
// new.
type apiKeyRecord struct {
	ID             string     `json:"id"`
	Secret         string     `json:"secret,omitempty"`
	Name           string     `json:"name"`
	Permissions    []string   `json:"permissions"`
	OrganizationID *string    `json:"organization_id"`
	ClientID       *string    `json:"client_id"`
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	LastUsedAt     *time.Time `json:"last_used_at"`
	RevokedAt      *time.Time `json:"revoked_at"`
}

func apiKeyOf(k *storage.APIKey, secret string) apiKeyRecord {
	return apiKeyRecord{
		ID: k.ID, Secret: secret, Name: k.Name, Permissions: append([]string{}, k.Permissions...), OrganizationID: k.OrganizationID,
		ClientID: k.ClientID, CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt.Time(), ExpiresAt: when(k.ExpiresAt),
		LastUsedAt: when(k.LastUsedAt), RevokedAt: when(k.RevokedAt),
	}
}

func newAPIKeyCreateCmd() *cobra.Command {
	var k storage.APIKey
	var organization, client string
	var permissions []string
	var lifetime time.Duration
	cmd := jsonFlag(&cobra.Command{
		Use: "create", Short: "Make an API key; its secret is shown once", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				now := time.Now()
				k.Permissions = permissions
				if organization != "" {
					o, err := store.Organization(ctx, organization)
					if errors.Is(err, storage.ErrNotFound) {
						return fmt.Errorf("organization %q: there is none with this id or name", organization)
					}
					if err != nil {
						return err
					}
					k.OrganizationID = &o.ID
				}
				if client != "" {
					k.ClientID = &client
				}
				if lifetime != 0 {
					k.ExpiresAt = storage.At(now.Add(lifetime))
				}
				secret, err := provider.NewAPIKeys(store).Create(ctx, &k, operator(), now)
				if errors.Is(err, storage.ErrReference) {
					return fmt.Errorf("client %q: there is none with this id", client)
				}
				if err != nil {
					return err
				}
				r := apiKeyOf(&k, secret)
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
	cmd.Flags().StringVar(&k.Name, "name", "", "what it is for, for those who list it")
	cmd.Flags().StringSliceVar(&permissions, "permission", nil, "what it may do, also several times: "+strings.Join(provider.Permissions(), ", "))
	cmd.Flags().StringVar(&organization, "organization", "", "reach only this organization, by id or name")
	cmd.Flags().StringVar(&client, "client", "", "stand in for this client where another product's API wants one")
	cmd.Flags().DurationVar(&lifetime, "expires-in", 0, "how long it can be used; without it, until it is revoked")
	return cmd
}

// keysAtOnce is how many keys are read with one statement.
const keysAtOnce = 100

func newAPIKeyListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List API keys, the latest first", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				all, rows := []apiKeyRecord{}, [][]string{{"ID", "NAME", "PERMISSIONS", "ORGANIZATION", "LAST USED", "EXPIRES", "REVOKED"}}
				search := storage.APIKeySearch{Limit: keysAtOnce}
				for more := true; more; {
					var keys []storage.APIKey
					var err error
					if keys, more, err = store.APIKeys(ctx, search); err != nil {
						return err
					}
					for _, k := range keys {
						r := apiKeyOf(&k, "")
						all = append(all, r)
						organization := ""
						if r.OrganizationID != nil {
							organization = *r.OrganizationID
						}
						rows = append(rows, []string{
							k.ID, k.Name, strings.Join(k.Permissions, ", "), organization, moment(k.LastUsedAt), moment(k.ExpiresAt), moment(k.RevokedAt),
						})
						search.At = &storage.Mark{Time: k.CreatedAt, ID: k.ID}
					}
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
}

func newAPIKeyRevokeCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "revoke ID", Short: "End an API key at once", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				keys := provider.NewAPIKeys(store)
				err := keys.Revoke(ctx, args[0], operator(), time.Now())
				if errors.Is(err, storage.ErrNotFound) {
					return fmt.Errorf("API key %q: there is none with this id", args[0])
				}
				if err != nil {
					return err
				}
				k, err := keys.Find(ctx, args[0])
				if err != nil {
					return err
				}
				r := apiKeyOf(k, "")
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
}
