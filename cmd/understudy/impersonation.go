package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/storage"
)

func newImpersonationCmd() *cobra.Command {
	return group("impersonation", "Who acts as whom", newImpersonationListCmd(), newImpersonationStopCmd(),
		newImpersonationSwitchCmd("enable", "Let staff sign in as users, at clients that allow it", true),
		newImpersonationSwitchCmd("disable", "Switch it off, and end all that run", false))
}

type impersonationRecord struct {
	ID           string     `json:"id"`
	Actor        string     `json:"actor"`
	Subject      string     `json:"subject"`
	Client       string     `json:"client"`
	Organization string     `json:"organization,omitempty"`
	Entry        string     `json:"entry"`
	Reason       string     `json:"reason"`
	TicketRef    string     `json:"ticket_ref,omitempty"`
	Access       string     `json:"access"`
	Running      bool       `json:"running"`
	StartedAt    time.Time  `json:"started_at"`
	ExpiresAt    time.Time  `json:"expires_at"`
	EndedAt      *time.Time `json:"ended_at"`
	EndedBy      string     `json:"ended_by,omitempty"`
	EndReason    string     `json:"end_reason,omitempty"`
}

func newImpersonationListCmd() *cobra.Command {
	var f storage.ImpersonationFilter
	var all bool
	cmd := jsonFlag(&cobra.Command{
		Use: "list", Short: "List impersonations that run", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				for _, name := range []*string{&f.Actor, &f.Subject} {
					if *name != "" {
						u, err := findUser(ctx, store, *name)
						if err != nil {
							return err
						}
						*name = u.ID
					}
				}
				now := time.Now()
				f.Running = !all
				found, err := store.Impersonations(ctx, f, now)
				if err != nil {
					return err
				}
				return showImpersonations(cmd, found, now)
			})
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "also those that have ended")
	cmd.Flags().StringVar(&f.Actor, "actor", "", "by this user, id or e-mail address")
	cmd.Flags().StringVar(&f.Subject, "subject", "", "as this user, id or e-mail address")
	cmd.Flags().StringVar(&f.Client, "client", "", "at this client")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many, the latest first")
	return cmd
}

func showImpersonations(cmd *cobra.Command, found []storage.Impersonation, now time.Time) error {
	records, rows := []impersonationRecord{}, [][]string{{"ID", "ACTOR", "SUBJECT", "CLIENT", "STARTED", "STATE", "REASON"}}
	for _, i := range found {
		records = append(records, impersonationRecord{
			i.ID, i.ActorID, i.SubjectID, i.ClientID, i.OrganizationID, i.Entry, i.Reason, i.TicketRef, i.Access,
			i.Running(now), i.StartedAt.Time(), i.ExpiresAt.Time(), when(i.EndedAt), i.EndedBy, string(i.EndReason),
		})
		state := string(i.EndReason)
		switch {
		case i.Running(now):
			state = "running"
		case state == "":
			state = string(storage.EndExpired)
		}
		rows = append(rows, []string{i.ID, i.ActorID, i.SubjectID, i.ClientID, moment(i.StartedAt), state, i.Reason})
	}
	return show(cmd, records, func(w io.Writer) error { return table(w, rows) })
}

func newImpersonationStopCmd() *cobra.Command {
	var all bool
	cmd := jsonFlag(&cobra.Command{
		Use: "stop ID... | stop --all", Short: "End impersonations and everything derived from them", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return usageError{errors.New("name the impersonations to stop, or --all")}
			}
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				now := time.Now()
				stopped, err := stopImpersonations(ctx, store, ids, now)
				if err != nil {
					return err
				}
				return showImpersonations(cmd, stopped, now)
			})
		},
	})
	cmd.Flags().BoolVar(&all, "all", false, "every one that runs")
	return cmd
}

// stopImpersonations ends those named, or all that run where none is named, all
// or nothing.
func stopImpersonations(ctx context.Context, store *storage.Store, ids []string, now time.Time) ([]storage.Impersonation, error) {
	by, all := operator(), len(ids) == 0
	var stopped []storage.Impersonation
	err := store.Write(ctx, func(tx *storage.Tx) error {
		stopped = nil
		if all {
			ids = nil
			running, err := tx.Impersonations(ctx, storage.ImpersonationFilter{Running: true}, now)
			if err != nil {
				return err
			}
			for _, i := range running {
				ids = append(ids, i.ID)
			}
		}
		for _, id := range ids {
			if err := tx.StopImpersonation(ctx, id, by, now); err != nil {
				if _, unknown := tx.Impersonation(ctx, id); errors.Is(unknown, storage.ErrNotFound) {
					return fmt.Errorf("impersonation %q: there is none with this id", id)
				}
				if errors.Is(err, storage.ErrSpent) {
					return fmt.Errorf("impersonation %q: has ended before", id)
				}
				return err
			}
			i, err := tx.Impersonation(ctx, id)
			if err != nil {
				return err
			}
			stopped = append(stopped, *i)
		}
		return nil
	})
	return stopped, err
}

func newImpersonationSwitchCmd(name, short string, on bool) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				err := store.Write(ctx, func(tx *storage.Tx) error {
					return tx.EnableImpersonation(ctx, on, operator(), time.Now())
				})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "impersonation is %s\n", map[bool]string{true: "on", false: "off"}[on])
				return err
			})
		},
	}
}
