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

func newImpersonationCmd() *cobra.Command {
	return group("impersonation", "Who acts as whom", newImpersonationListCmd(), newImpersonationShowCmd(), newImpersonationStopCmd(),
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

	// Logout is what clients were told of the end.
	Logout []logoutRecord `json:"logout"`
}

type logoutRecord struct {
	ClientID   string `json:"client_id"`
	Status     string `json:"status"`
	Attempts   int64  `json:"attempts"`
	HTTPStatus int64  `json:"http_status"`
	Error      string `json:"error"`
}

// String says in a few words what became of a notice.
func (l logoutRecord) String() string {
	switch storage.NoticeStatus(l.Status) {
	case storage.NoticeDelivered:
		return "told " + l.ClientID
	case storage.NoticeFailed:
		return fmt.Sprintf("%s was not told: %s", l.ClientID, l.Error)
	}
	if l.Error != "" {
		return fmt.Sprintf("%s is still to be told: %s", l.ClientID, l.Error)
	}
	return l.ClientID + " is to be told"
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
				return showImpersonations(ctx, cmd, store, found, now)
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

func newImpersonationShowCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "show ID", Short: "Show an impersonation, and who was told of its end", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				i, err := store.Impersonation(ctx, args[0])
				if errors.Is(err, storage.ErrNotFound) {
					return noImpersonation(args[0])
				}
				if err != nil {
					return err
				}
				records, err := impersonationRecords(ctx, store, []storage.Impersonation{*i}, time.Now())
				if err != nil {
					return err
				}
				return show(cmd, records[0], func(w io.Writer) error { return record(w, records[0]) })
			})
		},
	})
}

func noImpersonation(id string) error {
	return fmt.Errorf("impersonation %q: there is none with this id", id)
}

// impersonationRecords returns what --json shows of impersonations.
func impersonationRecords(ctx context.Context, store *storage.Store, found []storage.Impersonation, now time.Time) ([]impersonationRecord, error) {
	var ids []string
	for _, i := range found {
		ids = append(ids, i.ID)
	}
	notices, err := store.LogoutNotices(ctx, ids)
	if err != nil {
		return nil, err
	}
	told := map[string][]logoutRecord{}
	for _, n := range notices {
		told[n.ImpersonationID] = append(told[n.ImpersonationID], logoutRecord{n.ClientID, string(n.Status), n.Attempts, n.HTTPStatus, n.Error})
	}
	records := []impersonationRecord{}
	for _, i := range found {
		records = append(records, impersonationRecord{
			i.ID, i.ActorID, i.SubjectID, i.ClientID, i.OrganizationID, i.Entry, i.Reason, i.TicketRef, i.Access,
			i.Running(now), i.StartedAt.Time(), i.ExpiresAt.Time(), when(i.EndedAt), i.EndedBy, string(i.EndReason),
			append([]logoutRecord{}, told[i.ID]...),
		})
	}
	return records, nil
}

func showImpersonations(ctx context.Context, cmd *cobra.Command, store *storage.Store, found []storage.Impersonation, now time.Time) error {
	records, err := impersonationRecords(ctx, store, found, now)
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "ACTOR", "SUBJECT", "CLIENT", "STARTED", "STATE", "REASON"}}
	for _, i := range found {
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
				return showImpersonations(ctx, cmd, store, stopped, now)
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
					return noImpersonation(id)
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
				if err := provider.NewSettings(store).EnableImpersonation(ctx, on, operator(), time.Now()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "impersonation is %s\n", map[bool]string{true: "on", false: "off"}[on])
				return err
			})
		},
	}
}
