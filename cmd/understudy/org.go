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

func newOrgCmd() *cobra.Command {
	return group("org", "Organizations whose members use applications together",
		newOrgCreateCmd(), newOrgListCmd(), newOrgRenameCmd(), newOrgDeleteCmd(), newOrgAddMemberCmd(), newOrgRemoveMemberCmd())
}

type orgRecord struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func findOrganization(ctx context.Context, store *storage.Store, name string) (*storage.Organization, error) {
	o, err := store.Organization(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("organization %q: there is none with this id or name", name)
	}
	return o, err
}

func newOrgCreateCmd() *cobra.Command {
	var id string
	cmd := jsonFlag(&cobra.Command{
		Use: "create NAME", Short: "Add an organization", Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				o := &storage.Organization{ID: id, Name: args[0]}
				if err := provider.NewDirectory(store).CreateOrganization(ctx, o, operator(), time.Now()); err != nil {
					return err
				}
				r := orgRecord{o.ID, o.Name, o.CreatedAt.Time()}
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
	cmd.Flags().StringVar(&id, "id", "", "its id; made up where it is not given")
	return cmd
}

func newOrgListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List organizations", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				organizations, err := store.Organizations(ctx)
				if err != nil {
					return err
				}
				all, rows := []orgRecord{}, [][]string{{"ID", "NAME", "CREATED"}}
				for _, o := range organizations {
					all = append(all, orgRecord{o.ID, o.Name, o.CreatedAt.Time()})
					rows = append(rows, []string{o.ID, o.Name, moment(o.CreatedAt)})
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, rows) })
			})
		},
	})
}

func newOrgAddMemberCmd() *cobra.Command {
	var role string
	cmd := jsonFlag(&cobra.Command{
		Use: "add-member ORG USER", Short: "Make a user a member, or change the role of one", Args: named("ORG", "USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeUser(cmd, args[1], func(ctx context.Context, d *provider.Directory, u *storage.User) error {
				return d.AddMember(ctx, args[0], u.ID, role, operator(), time.Now())
			})
		},
	})
	cmd.Flags().StringVar(&role, "role", "", "role held within the organization; none is plain membership")
	return cmd
}

func newOrgRemoveMemberCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "remove-member ORG USER", Short: "End a membership, and the role held there", Args: named("ORG", "USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeUser(cmd, args[1], func(ctx context.Context, d *provider.Directory, u *storage.User) error {
				return d.RemoveMember(ctx, args[0], u.ID, operator(), time.Now())
			})
		},
	})
}

func newOrgRenameCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "rename ORG NAME", Short: "Give an organization another name", Args: named("ORG", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				o, err := findOrganization(ctx, store, args[0])
				if err != nil {
					return err
				}
				if err := provider.NewDirectory(store).RenameOrganization(ctx, o.ID, args[1], operator(), time.Now()); err != nil {
					return err
				}
				r := orgRecord{o.ID, args[1], o.CreatedAt.Time()}
				return show(cmd, r, func(w io.Writer) error { return record(w, r) })
			})
		},
	})
}

func newOrgDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use: "delete ORG", Short: "Delete an organization; its members stay users", Args: named("ORG"),
		Long: `Delete an organization. Its members stay users, without the roles that they held in it. Its API keys are revoked, what runs in it or only because of it ends, and clients
that are limited to it let nobody in by way of it. Its id is never given again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				o, err := findOrganization(ctx, store, args[0])
				if err != nil {
					return err
				}
				return provider.NewDirectory(store).DeleteOrganization(ctx, o.ID, operator(), time.Now())
			})
		},
	}
}
