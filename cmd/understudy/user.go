package main

import (
	"context"
	"encoding/json"
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

func newUserCmd() *cobra.Command {
	return group("user", "People who sign in",
		newUserCreateCmd(), newUserImportCmd(), newUserListCmd(), newUserShowCmd(),
		userChange("disable", "End everything that a user has open, and refuse more", (*provider.Directory).Disable),
		userChange("enable", "Let a disabled user sign in again", (*provider.Directory).Enable),
		userChange("protect", "Never let anybody sign in as this user", protect(true)),
		userChange("unprotect", "Let staff sign in as this user again", protect(false)),
		newUserSetPasswordCmd(),
		userRole("grant", "Give a user a role, everywhere or within an organization", (*provider.Directory).GrantRole),
		userRole("revoke", "Take a role away", (*provider.Directory).RevokeRole),
	)
}

// userRecord is a user as --json shows it: never a hash.
type userRecord struct {
	ID                  string          `json:"id"`
	Email               string          `json:"email"`
	EmailVerified       bool            `json:"email_verified"`
	Name                string          `json:"name,omitempty"`
	GivenName           string          `json:"given_name,omitempty"`
	FamilyName          string          `json:"family_name,omitempty"`
	MiddleName          string          `json:"middle_name,omitempty"`
	Nickname            string          `json:"nickname,omitempty"`
	PreferredUsername   string          `json:"preferred_username,omitempty"`
	Profile             string          `json:"profile,omitempty"`
	Picture             string          `json:"picture,omitempty"`
	Website             string          `json:"website,omitempty"`
	Gender              string          `json:"gender,omitempty"`
	Birthdate           string          `json:"birthdate,omitempty"`
	Zoneinfo            string          `json:"zoneinfo,omitempty"`
	Locale              string          `json:"locale,omitempty"`
	PhoneNumber         string          `json:"phone_number,omitempty"`
	PhoneNumberVerified bool            `json:"phone_number_verified,omitempty"`
	Address             json.RawMessage `json:"address,omitempty"`
	Status              string          `json:"status"`
	Roles               []string        `json:"roles"`
	Organizations       []memberRecord  `json:"organizations"`
	NeverImpersonate    bool            `json:"never_impersonate"`
	HasPassword         bool            `json:"has_password"`
	PasswordChangedAt   *time.Time      `json:"password_changed_at"`
	CreatedAt           time.Time       `json:"created_at"`
	UpdatedAt           time.Time       `json:"updated_at"`
}

type memberRecord struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role,omitempty"`
}

func (m memberRecord) String() string {
	if m.Role == "" {
		return m.Name
	}
	return m.Name + ":" + m.Role
}

// userRecords adds to users what they are allowed and where they belong.
func userRecords(ctx context.Context, store *storage.Store, users ...storage.User) ([]userRecord, error) {
	organizations, err := store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, o := range organizations {
		names[o.ID] = o.Name
	}
	records := make([]userRecord, 0, len(users))
	for _, u := range users {
		r := userRecord{
			ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.Name, GivenName: u.GivenName,
			FamilyName: u.FamilyName, MiddleName: u.MiddleName, Nickname: u.Nickname, PreferredUsername: u.PreferredUsername,
			Profile: u.Profile, Picture: u.Picture, Website: u.Website, Gender: u.Gender, Birthdate: u.Birthdate,
			Zoneinfo: u.Zoneinfo, Locale: u.Locale, PhoneNumber: u.PhoneNumber, PhoneNumberVerified: u.PhoneNumberVerified,
			Address: json.RawMessage(u.Address), Status: string(u.Status), NeverImpersonate: u.NeverImpersonate,
			HasPassword: u.PasswordHash != "", PasswordChangedAt: when(u.PasswordChangedAt),
			CreatedAt: u.CreatedAt.Time(), UpdatedAt: u.UpdatedAt.Time(), Organizations: []memberRecord{},
		}
		roles, err := store.RolesOf(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		r.Roles = append([]string{}, roles...)
		memberships, err := store.MembershipsOf(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		for _, m := range memberships {
			member := memberRecord{ID: m.OrganizationID, Name: names[m.OrganizationID]}
			if m.Role != nil {
				member.Role = *m.Role
			}
			r.Organizations = append(r.Organizations, member)
		}
		records = append(records, r)
	}
	return records, nil
}

// showUser prints one user as the database has it.
func showUser(cmd *cobra.Command, store *storage.Store, id string) error {
	u, err := store.User(cmd.Context(), id)
	if err != nil {
		return err
	}
	records, err := userRecords(cmd.Context(), store, *u)
	if err != nil {
		return err
	}
	return show(cmd, records[0], func(w io.Writer) error { return record(w, records[0]) })
}

// findUser returns the user whom the command line names by id or e-mail address.
func findUser(ctx context.Context, store *storage.Store, name string) (*storage.User, error) {
	u, err := store.FindUser(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("user %q: there is none with this id or e-mail address", name)
	}
	return u, err
}

func newUserCreateCmd() *cobra.Command {
	var o struct {
		id, email, name, passwordFile, claimsFile string
		roles, organizations                      []string
		verified, never                           bool
	}
	cmd := jsonFlag(&cobra.Command{
		Use:   "create --email ADDRESS",
		Short: "Add a user; without --password-file there is no password to sign in with",
		Args:  named(),
	})
	f := cmd.Flags()
	f.StringVar(&o.id, "id", "", "the user's sub; made up where it is not given")
	f.StringVar(&o.email, "email", "", "e-mail address, the name to sign in with")
	f.StringVar(&o.name, "name", "", "full name")
	f.StringArrayVar(&o.roles, "role", nil, "role held everywhere; may be repeated")
	f.StringArrayVar(&o.organizations, "org", nil, "membership, NAME_OR_ID or NAME_OR_ID:ROLE; may be repeated")
	f.StringVar(&o.passwordFile, "password-file", "", "file that holds the password; - is standard input")
	f.StringVar(&o.claimsFile, "claims-file", "", "JSON object of standard claims; - is standard input")
	f.BoolVar(&o.verified, "email-verified", false, "the e-mail address is known to be the user's")
	f.BoolVar(&o.never, "never-impersonate", false, "nobody may sign in as this user")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.passwordFile == "-" && o.claimsFile == "-" {
			return usageError{errors.New("--password-file and --claims-file cannot both be standard input")}
		}
		u := &storage.User{}
		if o.claimsFile != "" {
			claims, err := readFile(cmd, o.claimsFile)
			if err != nil {
				return err
			}
			if err := provider.ApplyClaims(u, claims); err != nil {
				return fmt.Errorf("%s: %w", o.claimsFile, err)
			}
		}
		u.ID, u.NeverImpersonate = o.id, o.never
		u.EmailVerified = u.EmailVerified || o.verified
		if o.email != "" {
			u.Email = o.email
		}
		if o.name != "" {
			u.Name = o.name
		}
		if u.Email == "" {
			return usageError{errors.New("--email is missing")}
		}
		password := ""
		if o.passwordFile != "" {
			var err error
			if password, err = readSecret(cmd, o.passwordFile); err != nil {
				return err
			}
		}
		return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
			var orgs []provider.OrgRole
			for _, text := range o.organizations {
				orgRole, err := parseOrgRole(ctx, store, text)
				if err != nil {
					return err
				}
				orgs = append(orgs, orgRole)
			}
			err := provider.NewDirectory(store).CreateUser(ctx, u, password, o.roles, orgs, operator(), time.Now())
			if err != nil {
				return err
			}
			return showUser(cmd, store, u.ID)
		})
	}
	return cmd
}

// parseOrgRole reads ORG or ORG:ROLE; an organization whose name has a colon is
// recognized by being there.
func parseOrgRole(ctx context.Context, store *storage.Store, text string) (provider.OrgRole, error) {
	_, err := store.Organization(ctx, text)
	i := strings.LastIndexByte(text, ':')
	if err == nil || i < 0 || !errors.Is(err, storage.ErrNotFound) {
		return provider.OrgRole{Organization: text}, ignoreNotFound(err)
	}
	return provider.OrgRole{Organization: text[:i], Role: text[i+1:]}, nil
}

// ignoreNotFound leaves it to the change itself to say what does not exist.
func ignoreNotFound(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

func newUserListCmd() *cobra.Command {
	var search, organization string
	cmd := jsonFlag(&cobra.Command{
		Use: "list", Short: "List users", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				s := storage.UserSearch{Text: search, Limit: 500}
				if organization != "" {
					o, err := findOrganization(ctx, store, organization)
					if err != nil {
						return err
					}
					s.Organizations = []string{o.ID}
				}
				all := []userRecord{}
				for {
					users, err := store.SearchUsers(ctx, s)
					if err != nil {
						return err
					}
					records, err := userRecords(ctx, store, users...)
					if err != nil {
						return err
					}
					all = append(all, records...)
					if len(users) < s.Limit {
						break
					}
					s.After = users[len(users)-1].ID
				}
				return show(cmd, all, func(w io.Writer) error { return table(w, userTable(all)) })
			})
		},
	})
	cmd.Flags().StringVar(&search, "search", "", "part of the name or e-mail address")
	cmd.Flags().StringVar(&organization, "org", "", "only members of this organization, by id or name")
	return cmd
}

func userTable(users []userRecord) [][]string {
	rows := [][]string{{"ID", "EMAIL", "NAME", "STATUS", "ROLES", "ORGANIZATIONS"}}
	for _, u := range users {
		rows = append(rows, []string{u.ID, u.Email, u.Name, u.Status, cell(u.Roles), cell(u.Organizations)})
	}
	return rows
}

func newUserShowCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "show USER", Short: "Show a user, by id or e-mail address", Args: named("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				u, err := findUser(ctx, store, args[0])
				if err != nil {
					return err
				}
				return showUser(cmd, store, u.ID)
			})
		},
	})
}

// changeUser runs a change on the user whom the first argument names, and shows
// the outcome.
func changeUser(cmd *cobra.Command, name string, change func(context.Context, *provider.Directory, *storage.User) error) error {
	return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
		u, err := findUser(ctx, store, name)
		if err != nil {
			return err
		}
		if err := change(ctx, provider.NewDirectory(store), u); err != nil {
			return err
		}
		return showUser(cmd, store, u.ID)
	})
}

func userChange(name, short string, change func(*provider.Directory, context.Context, string, storage.Cause, time.Time) error) *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: name + " USER", Short: short, Args: named("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeUser(cmd, args[0], func(ctx context.Context, d *provider.Directory, u *storage.User) error {
				return change(d, ctx, u.ID, operator(), time.Now())
			})
		},
	})
}

func protect(never bool) func(*provider.Directory, context.Context, string, storage.Cause, time.Time) error {
	return func(d *provider.Directory, ctx context.Context, id string, by storage.Cause, now time.Time) error {
		return d.SetNeverImpersonate(ctx, id, never, by, now)
	}
}

func newUserSetPasswordCmd() *cobra.Command {
	var file string
	cmd := jsonFlag(&cobra.Command{
		Use:   "set-password USER --password-file FILE",
		Short: "Give a user another password; ends what the old one opened", Args: named("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usageError{errors.New("--password-file is missing; - is standard input")}
			}
			password, err := readSecret(cmd, file)
			if err != nil {
				return err
			}
			return changeUser(cmd, args[0], func(ctx context.Context, d *provider.Directory, u *storage.User) error {
				return d.SetPassword(ctx, u.ID, password, operator(), time.Now())
			})
		},
	})
	cmd.Flags().StringVar(&file, "password-file", "", "file that holds the password; - is standard input")
	return cmd
}

func userRole(
	name, short string, change func(*provider.Directory, context.Context, string, string, string, storage.Cause, time.Time) error,
) *cobra.Command {
	var organization string
	cmd := jsonFlag(&cobra.Command{
		Use: name + " USER ROLE", Short: short, Args: named("USER", "ROLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeUser(cmd, args[0], func(ctx context.Context, d *provider.Directory, u *storage.User) error {
				return change(d, ctx, u.ID, args[1], organization, operator(), time.Now())
			})
		},
	})
	cmd.Flags().StringVar(&organization, "org", "", "within this organization, by id or name")
	return cmd
}
