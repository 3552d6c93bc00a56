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

// importRecord is what an import did, as --json shows it.
type importRecord struct {
	DryRun   bool            `json:"dry_run"`
	Users    int             `json:"users"`
	Created  int             `json:"created"`
	Existing int             `json:"existing"`
	Bad      int             `json:"bad"`
	Problems []problemRecord `json:"problems"`
}

type problemRecord struct {
	Line    int    `json:"line"`
	Object  int    `json:"object,omitempty"`
	Field   string `json:"field,omitempty"`
	Value   string `json:"value,omitempty"`
	Problem string `json:"problem"`
}

func newUserImportCmd() *cobra.Command {
	o := provider.ImportOptions{Operator: true}
	var format string
	cmd := jsonFlag(&cobra.Command{
		Use:   "import FILE",
		Short: "Add the users of a file of CSV or JSON, with hashes of their passwords; - is standard input",
		Args:  named("FILE"),
	})
	f := cmd.Flags()
	f.StringVar(&format, "format", "", "csv or json; recognized where it is not given")
	f.BoolVar(&o.DryRun, "dry-run", false, "say what is wrong and change nothing")
	f.BoolVar(&o.SkipBad, "skip-bad", false, "add the others where some cannot be added")
	f.BoolVar(&o.SkipExisting, "skip-existing", false, "leave users who exist as they are")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch provider.UserFormat(format) {
		case "", provider.UsersCSV, provider.UsersJSON:
		default:
			return usageError{fmt.Errorf("--format %q: want csv or json", format)}
		}
		users, err := readUsers(cmd, args[0], provider.UserFormat(format))
		if err != nil {
			return err
		}
		return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
			report, err := provider.NewDirectory(store).ImportUsers(ctx, users, o, operator(), time.Now())
			if err == nil && report.Bad() > 0 && !o.SkipBad {
				err = fmt.Errorf("%s: %d of %d users cannot be added", args[0], report.Bad(), report.Users)
			}
			return errors.Join(showImport(cmd, report), err)
		})
	}
	return cmd
}

func readUsers(cmd *cobra.Command, name string, format provider.UserFormat) (*provider.UserFile, error) {
	from, err := openInput(cmd, name)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	users, err := provider.ReadUsers(from, format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return users, nil
}

func showImport(cmd *cobra.Command, report *provider.ImportReport) error {
	r := importRecord{
		DryRun: report.DryRun, Users: report.Users, Created: report.Created, Existing: report.Existing,
		Bad: report.Bad(), Problems: []problemRecord{},
	}
	for _, p := range report.Problems {
		r.Problems = append(r.Problems, problemRecord{p.Line, p.Object, p.Field, p.Value, p.Wrong})
	}
	return show(cmd, r, func(w io.Writer) error {
		for _, p := range report.Problems {
			if _, err := fmt.Fprintln(w, p); err != nil {
				return err
			}
		}
		verb := "added"
		if r.DryRun {
			verb = "would be added"
		}
		_, err := fmt.Fprintf(w, "%d of %d users %s, %d existed already, %d cannot be added\n", r.Created, r.Users, verb, r.Existing, r.Bad)
		return err
	})
}
