package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newAuditCmd() *cobra.Command {
	return group("audit", "The record of what happened", newAuditVerifyCmd(), newAuditExportCmd(), newAuditCheckpointCmd())
}

// withAuditor runs fn with what looks after the record.
func withAuditor(cmd *cobra.Command, fn func(context.Context, *storage.Store, *provider.Auditor) error) error {
	return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
		keys, err := loadKeys(ctx, c, store)
		if err != nil {
			return err
		}
		return fn(ctx, store, provider.NewAuditor(store, keys, c.Issuer))
	})
}

// verification is what audit verify found.
type verification struct {
	OK          bool     `json:"ok"`
	Size        int64    `json:"size"`
	Root        string   `json:"root,omitempty"`
	Checkpoints int      `json:"checkpoints"` // how many the tree was compared with
	Pending     int64    `json:"pending"`     // events that wait for their place
	Erased      int64    `json:"erased"`      // private parts that were erased, as is allowed
	Fault       *fault   `json:"fault,omitempty"`
	Unrecorded  []string `json:"unrecorded,omitempty"`
}

type fault struct {
	Position int64  `json:"position"`
	Kind     string `json:"kind"`
	Detail   string `json:"detail"`
}

func newAuditVerifyCmd() *cobra.Command {
	var against []string
	cmd := jsonFlag(&cobra.Command{
		Use:   "verify",
		Short: "Compute the record anew and compare it with its tree and with every checkpoint",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var given []string
			for _, name := range against {
				text, err := readFile(cmd, name)
				if err != nil {
					return err
				}
				given = append(given, string(text))
			}
			return withAuditor(cmd, func(ctx context.Context, _ *storage.Store, a *provider.Auditor) error {
				v, checkpoints, err := a.Verify(ctx, given...)
				if err != nil {
					return err
				}
				return errors.Join(showVerification(cmd, v, checkpoints), v.Err())
			})
		},
	})
	cmd.Flags().StringArrayVar(&against, "against", nil, "file with a checkpoint that was kept elsewhere; may be repeated")
	return cmd
}

func showVerification(cmd *cobra.Command, v storage.Verification, checkpoints int) error {
	r := verification{
		OK: v.Err() == nil, Size: v.Size, Checkpoints: checkpoints,
		Pending: v.Pending, Erased: v.Erased, Unrecorded: v.Unrecorded,
	}
	if v.Fault == nil {
		r.Root = v.Root.String()
	} else {
		r.Fault = &fault{v.Fault.Position, string(v.Fault.Kind), v.Fault.Detail}
	}
	return show(cmd, r, func(w io.Writer) error {
		rows := [][]string{
			{"events", fmt.Sprint(r.Size)},
			{"root", r.Root},
			{"compared with", fmt.Sprintf("%d checkpoints", r.Checkpoints)},
			{"without a place yet", fmt.Sprint(r.Pending)},
			{"private part erased", fmt.Sprint(r.Erased)},
			{"result", map[bool]string{true: "the record is whole", false: "the record is NOT whole"}[r.OK]},
		}
		return table(w, rows)
	})
}

func newAuditCheckpointCmd() *cobra.Command {
	var key bool
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "Sign the record as it is and print the checkpoint, to be kept elsewhere", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAuditor(cmd, func(ctx context.Context, _ *storage.Store, a *provider.Auditor) error {
				if key {
					public, err := a.VerifierKey()
					if err != nil {
						return err
					}
					_, err = fmt.Fprintln(cmd.OutOrStdout(), public)
					return err
				}
				c, err := a.Checkpoint(ctx)
				if err != nil {
					return err
				}
				_, err = io.WriteString(cmd.OutOrStdout(), c.Note)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&key, "key", false, "print the public key that checkpoints are verified with")
	return cmd
}

func newAuditExportCmd() *cobra.Command {
	var format string
	var from int64
	cmd := &cobra.Command{
		Use: "export", Short: "Write events, with what they say about people, to standard output", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := provider.NewEventWriter(format, cmd.OutOrStdout())
			if err != nil {
				return usageError{fmt.Errorf("--%w", err)}
			}
			return withAuditor(cmd, func(ctx context.Context, store *storage.Store, a *provider.Auditor) error {
				if err := a.Sequence(ctx); err != nil { // where no server runs that does
					return err
				}
				return errors.Join(export(ctx, store, from, out), out.Flush())
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	cmd.Flags().Int64Var(&from, "from", 0, "position of the first event")
	return cmd
}

func export(ctx context.Context, store *storage.Store, from int64, out provider.EventWriter) error {
	const batch = 1000
	for {
		events, err := store.Events(ctx, storage.EventFilter{From: from, Limit: batch})
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := out.Write(&e); err != nil {
				return err
			}
		}
		if len(events) < batch {
			return nil
		}
		from = *events[len(events)-1].Position + 1
	}
}
