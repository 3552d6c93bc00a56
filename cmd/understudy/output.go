package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/storage"
)

// group is a command that only has others below it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("unknown command %q for %q; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// named is the arguments of a command, each with the name that its usage has.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s: %s is missing", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%s: do not know what to do with %q", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// withStore runs what a command does on an open database with our schema.
func withStore(cmd *cobra.Command, run func(context.Context, *storage.Store, *config.Config) error) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	store, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, store, c), store.Close())
}

// operator is who makes a change with a command: nobody the provider knows, so
// that the record has the name that the machine knows them by.
func operator() storage.Cause {
	agent := "understudy/" + version
	if u, err := user.Current(); err == nil {
		agent += " (" + u.Username + ")"
	}
	return storage.Cause{Request: storage.Request{ID: storage.NewID("cli"), UserAgent: agent}}
}

// jsonFlag adds --json to a command that shows something.
func jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("json", false, "print JSON")
	return cmd
}

// show prints value as JSON where that was asked for, otherwise what human prints.
func show(cmd *cobra.Command, value any, human func(io.Writer) error) error {
	if asJSON, err := cmd.Flags().GetBool("json"); err == nil && asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	return human(cmd.OutOrStdout())
}

// table aligns rows of cells; the first is the heading.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = oneCell(cell)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return t.Flush()
}

// oneCell keeps what people typed from moving the cursor.
func oneCell(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s
}

// record prints what is set in a struct, by its JSON names.
func record(w io.Writer, value any) error {
	return table(w, fieldsOf(reflect.ValueOf(value)))
}

func fieldsOf(v reflect.Value) [][]string {
	var rows [][]string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		switch {
		case name == "" && field.Kind() == reflect.Struct:
			rows = append(rows, fieldsOf(field)...)
		case field.IsZero(), field.Kind() == reflect.Slice && field.Len() == 0:
		default:
			rows = append(rows, []string{name, cell(field.Interface())})
		}
	}
	return rows
}

func cell(value any) string {
	switch v := value.(type) {
	case time.Time:
		return v.Format(time.RFC3339)
	case *time.Time:
		return v.Format(time.RFC3339)
	case json.RawMessage:
		return string(v)
	case []string:
		return strings.Join(v, ", ")
	case fmt.Stringer:
		return v.String()
	}
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice {
		var all []string
		for i := range v.Len() {
			all = append(all, cell(v.Index(i).Interface()))
		}
		return strings.Join(all, ", ")
	} else if v.Kind() == reflect.Pointer && !v.IsNil() {
		return cell(v.Elem().Interface())
	}
	return fmt.Sprint(value)
}

// when converts a time for JSON, where never is null.
func when(t storage.Time) *time.Time {
	if !t.Set() {
		return nil
	}
	at := t.Time()
	return &at
}

// moment is how a table shows a time.
func moment(t storage.Time) string {
	if !t.Set() {
		return ""
	}
	return t.Time().Format(time.RFC3339)
}

// readSecret reads one line from a file, or from standard input where that is "-".
func readSecret(cmd *cobra.Command, name string) (string, error) {
	text, err := readHidden(cmd, name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("%s: want one line", name)
	}
	return secret, nil
}

// readHidden asks for the secret without showing it, when - is a terminal.
func readHidden(cmd *cobra.Command, name string) ([]byte, error) {
	f, ok := cmd.InOrStdin().(*os.File)
	if name != "-" || !ok || !term.IsTerminal(int(f.Fd())) {
		return readFile(cmd, name)
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
	text, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return text, err
}

// maxInput is how much a file may hold that a command reads.
const maxInput = 1 << 20

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	from, err := openInput(cmd, name)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxInput)
	}
	return text, err
}

// openInput opens a file, or standard input where that is "-".
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(name)
}
