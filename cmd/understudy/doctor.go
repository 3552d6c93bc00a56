package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// verdict is what a check found.
type verdict string

const (
	good verdict = "ok"
	warn verdict = "warn" // works, but not as it should
	bad  verdict = "fail" // does not work, or is not safe
)

// finding is one thing that was looked at.
type finding struct {
	Check  string  `json:"check"`
	Status verdict `json:"status"`
	Detail string  `json:"detail"`
	Advice string  `json:"advice"` // what to do; empty where all is well
}

// examination is an installation that is looked at. Checks read it and change
// nothing.
type examination struct {
	config *config.Config
	file   string // the configuration's; empty: there is none
	now    time.Time
	client *http.Client // nil: ask no server
	full   bool         // read the whole record

	store *storage.Store
	keys  *provider.Keyring // nil: they cannot be loaded
}

func newDoctorCmd() *cobra.Command {
	var offline, full bool
	cmd := jsonFlag(&cobra.Command{
		Use: "doctor", Short: "Look at everything that can be wrong with an installation", Args: named(),
		Long: "doctor looks at the configuration, its files, the database, the keys, the applications, the record and the server,\n" +
			"and says what to do about what it finds. It changes nothing. It exits with 1 if something fails.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			file, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			e := &examination{config: c, file: file, now: time.Now(), full: full}
			if !offline {
				e.client = &http.Client{
					Timeout:       3 * time.Second,
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
				}
			}
			return report(cmd, e.run(cmd.Context()))
		},
	})
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the server at the issuer's address")
	cmd.Flags().BoolVar(&full, "full", false, "verify the whole record, as audit verify does")
	return cmd
}

// run makes every check that can be made: without a database there is nothing to
// say about what is in it.
func (e *examination) run(ctx context.Context) []finding {
	found := []finding{
		checkConfiguration(e.config, e.file), checkIssuer(e.config), checkSecrets(e.config, e.file, os.Getenv),
		checkTLS(e.config, e.now), checkProxies(e.config), checkRegistration(e.config), checkOpsListen(e.config), checkMail(e.config),
	}
	found = append(found, e.database(ctx)...)
	if e.client != nil {
		found = append(found, checkServer(ctx, e.client, e.config.Issuer))
		if e.config.Mail.SMTPURL != "" {
			found = append(found, checkMailServer(ctx, e.config))
		}
	}
	return found
}

// database looks at the database and then into it.
func (e *examination) database(ctx context.Context) []finding {
	path, isFile := strings.CutPrefix(e.config.Database.DSN.Reveal(), storage.SQLite+":")
	if isFile {
		if _, err := os.Stat(path); err != nil { // opening it would make one
			return []finding{{"database", bad, err.Error(), "Run understudy init, or correct database.dsn."}}
		}
	}
	store, err := storage.Open(ctx, storage.Options{DSN: e.config.Database.DSN.Reveal(), MaxConnections: e.config.Database.MaxConnections})
	if err != nil {
		return []finding{{"database", bad, err.Error(), "See that it runs, and that database.dsn is right."}}
	}
	defer store.Close()
	e.store = store
	found := []finding{{"database", good, fmt.Sprintf("%s answers", e.config.Database.DSN), ""}}
	if isFile {
		found = append(found, checkDatabaseFile(path), checkDatabaseDirectory(filepath.Dir(path), filesystem))
	}
	if err := store.CheckSchema(ctx); err != nil {
		return append(found, schemaFinding(err))
	}
	found = append(found, finding{"schema", good, "is the one that this program needs", ""})
	return append(found, e.inside(ctx)...)
}

// inside looks at what is in the database.
func (e *examination) inside(ctx context.Context) []finding {
	found := e.checkKeys(ctx)
	for _, check := range []func(context.Context) ([]finding, error){
		e.checkAdministrators, e.checkImpersonation, e.checkClients, e.checkRecord, e.checkLogoutNotices, e.checkWebhooks, e.checkMails,
	} {
		more, err := check(ctx)
		if err != nil {
			more = []finding{{"database", bad, err.Error(), "See that it runs."}}
		}
		found = append(found, more...)
	}
	return found
}

// complaints are what the console warns of: everything that a server can look at
// without asking others, where it is not as it should be.
func (e *examination) complaints(ctx context.Context) []handlers.Finding {
	var all []handlers.Finding
	found := []finding{
		checkConfiguration(e.config, e.file), checkIssuer(e.config), checkTLS(e.config, e.now), checkProxies(e.config),
		checkRegistration(e.config), checkOpsListen(e.config), checkMail(e.config),
	}
	for _, f := range append(found, e.inside(ctx)...) {
		if f.Status != good {
			all = append(all, handlers.Finding{Check: f.Check, Detail: f.Detail, Advice: f.Advice, Bad: f.Status == bad})
		}
	}
	return all
}

// report prints what was found; the error is for the exit code.
func report(cmd *cobra.Command, found []finding) error {
	count := map[verdict]int{}
	for _, f := range found {
		count[f.Status]++
	}
	err := show(cmd, found, func(w io.Writer) error {
		if err := writeFindings(w, found); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\n%d ok, %d to look at, %d failed\n", count[good], count[warn], count[bad])
		return err
	})
	if err == nil && count[bad] > 0 {
		err = fmt.Errorf("%d of %d checks failed", count[bad], len(found))
	}
	return err
}

// writeFindings says each finding in a symbol and a word, with what to do below it.
func writeFindings(w io.Writer, found []finding) error {
	symbols, width := map[verdict]string{good: "✓", warn: "!", bad: "✗"}, 0
	for _, f := range found {
		width = max(width, len(f.Check))
	}
	var errs []error
	for _, f := range found {
		_, err := fmt.Fprintf(w, "%s %-4s  %-*s  %s\n", symbols[f.Status], f.Status, width, oneCell(f.Check), oneCell(f.Detail))
		errs = append(errs, err)
		if f.Advice != "" {
			_, err := fmt.Fprintf(w, "        %*s  → %s\n", width, "", oneCell(f.Advice))
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
