package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newRoleCmd() *cobra.Command {
	return group("role", "What people may do, by name", newRoleCreateCmd(), newRoleListCmd(), newRoleUpdateCmd(), newRoleDeleteCmd())
}

type roleRecord struct {
	Name        string   `json:"name"`
	Permissions []string `json:"permissions"`
	BuiltIn     bool     `json:"built_in"`
}

func roleRecordOf(r storage.Role) roleRecord {
	return roleRecord{r.Name, append([]string{}, r.Permissions...), r.BuiltIn}
}

func newRoleCreateCmd() *cobra.Command {
	var permissions []string
	cmd := jsonFlag(&cobra.Command{
		Use: "create NAME", Short: "Add a role; without permissions it is for the rules of the policy to ask about", Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				r := &storage.Role{Name: args[0], Permissions: permissions}
				if err := provider.NewDirectory(store).CreateRole(ctx, r, operator(), time.Now()); err != nil {
					return err
				}
				shown := roleRecordOf(*r)
				return show(cmd, shown, func(w io.Writer) error { return record(w, shown) })
			})
		},
	})
	cmd.Flags().StringSliceVar(&permissions, "permission", nil, "what its holders may do, also several times: "+strings.Join(provider.Permissions(), ", "))
	return cmd
}

func newRoleListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List roles", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				roles, err := store.Roles(ctx)
				if err != nil {
					return err
				}
				all, rows := []roleRecord{}, [][]string{{"NAME", "BUILT IN", "PERMISSIONS"}}
				for _, r := range roles {
					all = append(all, roleRecordOf(r))
					rows = append(rows, []string{r.Name, strconv.FormatBool(r.BuiltIn), strings.Join(r.Permissions, " ")})
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
}

func newRoleUpdateCmd() *cobra.Command {
	var permissions []string
	cmd := jsonFlag(&cobra.Command{
		Use: "update NAME", Short: "Change what a role permits, for everybody who holds it, at once", Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				r, err := provider.NewDirectory(store).ChangeRole(ctx, args[0], permissions, operator(), time.Now())
				if err != nil {
					return err
				}
				shown := roleRecordOf(*r)
				return show(cmd, shown, func(w io.Writer) error { return record(w, shown) })
			})
		},
	})
	cmd.Flags().StringSliceVar(&permissions, "permission", nil, `all that its holders may do from now on, also several times; "" is nothing`)
	cobra.CheckErr(cmd.MarkFlagRequired("permission"))
	return cmd
}

func newRoleDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a role that nobody holds", Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				return provider.NewDirectory(store).DeleteRole(ctx, args[0], operator(), time.Now())
			})
		},
	}
}
