package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/config"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

func newWebhookCmd() *cobra.Command {
	return group("webhook", "Addresses that events are pushed to",
		newWebhookCreateCmd(), newWebhookListCmd(), newWebhookShowCmd(), newWebhookEnableCmd(), newWebhookDisableCmd(), newWebhookDeleteCmd(),
		newWebhookRotateCmd(), newWebhookTestCmd(), newWebhookDeliveriesCmd(), newWebhookReplayCmd())
}

// webhookRecord is a webhook as --json shows it; the secret is there once, when it is new.
type webhookRecord struct {
	ID                  string     `json:"id"`
	URL                 string     `json:"url"`
	Description         string     `json:"description"`
	EventTypes          []string   `json:"event_types"` // empty: everything
	Status              string     `json:"status"`
	DisabledReason      string     `json:"disabled_reason"`
	FailingSince        *time.Time `json:"failing_since"`
	PreviousSecretUntil *time.Time `json:"previous_secret_until"`
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           time.Time  `json:"updated_at"`
	Secret              string     `json:"secret,omitempty"`
}

func webhookRecordOf(w *storage.Webhook, secret string) webhookRecord {
	return webhookRecord{
		ID: w.ID, URL: w.URL, Description: w.Description, EventTypes: append([]string{}, w.EventTypes...), Status: string(w.Status),
		DisabledReason: string(w.DisabledReason), FailingSince: when(w.FailingSince), PreviousSecretUntil: when(w.PreviousSecretUntil),
		CreatedAt: w.CreatedAt.Time(), UpdatedAt: w.UpdatedAt.Time(), Secret: secret,
	}
}

// deliveryRecord is a delivery as --json shows it.
type deliveryRecord struct {
	EventID       string     `json:"event_id"`
	EventType     string     `json:"event_type"`
	Status        string     `json:"status"`
	Attempts      int64      `json:"attempts"`
	HTTPStatus    int64      `json:"http_status"` // zero: there was no answer
	Error         string     `json:"error"`
	CreatedAt     time.Time  `json:"created_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	DoneAt        *time.Time `json:"done_at"`
}

func deliveryRecordOf(d *storage.Delivery) deliveryRecord {
	r := deliveryRecord{
		EventID: d.EventID, EventType: string(d.EventType), Status: string(d.Status), Attempts: d.Attempts, HTTPStatus: d.HTTPStatus, Error: d.Error,
		CreatedAt: d.CreatedAt.Time(), DoneAt: when(d.DoneAt),
	}
	if d.Status == storage.DeliveryPending {
		r.NextAttemptAt = when(d.NextAttemptAt)
	}
	return r
}

// withWebhooks runs what a command does with the webhooks of a database that has keys.
func withWebhooks(cmd *cobra.Command, run func(context.Context, *provider.Webhooks, *storage.Store) error) error {
	return withStore(cmd, func(ctx context.Context, store *storage.Store, c *config.Config) error {
		keys, err := loadKeys(ctx, c, store)
		if err != nil {
			return err
		}
		settings, err := providerConfig(c)
		if err != nil {
			return err
		}
		return run(ctx, provider.NewWebhooks(provider.New(settings, store, keys, newLogger(c.Log, cmd.ErrOrStderr()))), store)
	})
}

// webhookCommand is a command about one webhook. What act returns beside an error is a
// secret to show.
func webhookCommand(use, short string, act func(context.Context, *provider.Webhooks, string) (secret string, err error)) *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: use + " ID", Short: short, Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWebhooks(cmd, func(ctx context.Context, hooks *provider.Webhooks, store *storage.Store) error {
				secret, err := act(ctx, hooks, args[0])
				if err != nil && !errors.Is(err, storage.ErrSpent) { // it was so before
					return noSuchWebhook(args[0], err)
				}
				w, err := store.Webhook(ctx, args[0])
				if err != nil {
					return noSuchWebhook(args[0], err)
				}
				r := webhookRecordOf(w, secret)
				return show(cmd, r, func(out io.Writer) error { return record(out, r) })
			})
		},
	})
}

func noSuchWebhook(id string, err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("webhook %q: there is none", id)
	}
	return err
}

func newWebhookCreateCmd() *cobra.Command {
	w := &storage.Webhook{}
	var types []string
	cmd := jsonFlag(&cobra.Command{
		Use: "create", Short: "Push events to an address from now on; the secret is shown once", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withWebhooks(cmd, func(ctx context.Context, hooks *provider.Webhooks, _ *storage.Store) error {
				w.EventTypes = types
				secret, err := hooks.Create(ctx, w, operator(), time.Now())
				if err != nil {
					return err
				}
				r := webhookRecordOf(w, secret)
				return show(cmd, r, func(out io.Writer) error { return record(out, r) })
			})
		},
	})
	cmd.Flags().StringVar(&w.URL, "url", "", "https address that events are posted to")
	cmd.Flags().StringVar(&w.Description, "description", "", "what it is for, for those who list it")
	cmd.Flags().StringSliceVar(&types, "event-type", nil, `type of event, or impersonation.* for all of a kind; may be repeated; none: everything`)
	return cmd
}

func newWebhookListCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "list", Short: "List webhooks", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				found, err := store.Webhooks(ctx)
				if err != nil {
					return err
				}
				all, rows := []webhookRecord{}, [][]string{{"ID", "URL", "EVENTS", "STATUS", "FAILING SINCE"}}
				for _, w := range found {
					all = append(all, webhookRecordOf(&w, ""))
					status := string(w.Status)
					if w.DisabledReason != "" {
						status += " (" + string(w.DisabledReason) + ")"
					}
					rows = append(rows, []string{w.ID, w.URL, strings.Join(w.EventTypes, " "), status, moment(w.FailingSince)})
				}
				return show(cmd, all, func(out io.Writer) error { return table(out, rows) })
			})
		},
	})
}

func newWebhookShowCmd() *cobra.Command {
	return webhookCommand("show", "Show a webhook", func(context.Context, *provider.Webhooks, string) (string, error) { return "", nil })
}

func newWebhookEnableCmd() *cobra.Command {
	return webhookCommand("enable", "Go on with a disabled webhook, from where it stopped",
		func(ctx context.Context, hooks *provider.Webhooks, id string) (string, error) {
			return "", hooks.Enable(ctx, id, operator(), time.Now())
		})
}

func newWebhookDisableCmd() *cobra.Command {
	return webhookCommand("disable", "Push nothing more to a webhook; what happens meanwhile waits",
		func(ctx context.Context, hooks *provider.Webhooks, id string) (string, error) {
			return "", hooks.Disable(ctx, id, operator(), time.Now())
		})
}

func newWebhookRotateCmd() *cobra.Command {
	return webhookCommand("rotate-secret", "Give a webhook another secret; the one before signs as well for 24 hours",
		func(ctx context.Context, hooks *provider.Webhooks, id string) (string, error) {
			return hooks.RotateSecret(ctx, id, operator(), time.Now())
		})
}

func newWebhookDeleteCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "delete ID", Short: "Delete a webhook and the log of its deliveries", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWebhooks(cmd, func(ctx context.Context, hooks *provider.Webhooks, _ *storage.Store) error {
				if err := hooks.Delete(ctx, args[0], operator(), time.Now()); err != nil {
					return noSuchWebhook(args[0], err)
				}
				r := struct {
					ID      string `json:"id"`
					Deleted bool   `json:"deleted"`
				}{args[0], true}
				return show(cmd, r, func(out io.Writer) error { return record(out, r) })
			})
		},
	})
}

func newWebhookTestCmd() *cobra.Command {
	return jsonFlag(&cobra.Command{
		Use: "test ID", Short: "Send a webhook an event of the type webhook.test, and say what came of it", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWebhooks(cmd, func(ctx context.Context, hooks *provider.Webhooks, _ *storage.Store) error {
				d, err := hooks.Test(ctx, args[0], operator(), time.Now())
				if err != nil {
					return noSuchWebhook(args[0], err)
				}
				r := deliveryRecordOf(d)
				if err := show(cmd, r, func(out io.Writer) error { return record(out, r) }); err != nil {
					return err
				}
				if d.Status != storage.DeliveryDelivered {
					return fmt.Errorf("webhook %q: the test was not delivered: %s", args[0], d.Error)
				}
				return nil
			})
		},
	})
}

func newWebhookDeliveriesCmd() *cobra.Command {
	var status string
	var limit int
	cmd := jsonFlag(&cobra.Command{
		Use: "deliveries ID", Short: "List what a webhook got or is to get, the latest first", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch storage.DeliveryStatus(status) {
			case "", storage.DeliveryPending, storage.DeliveryDelivered, storage.DeliveryFailed:
			default:
				return usageError{fmt.Errorf("--status %q: want pending, delivered or failed", status)}
			}
			if limit < 1 || limit > 1000 {
				return usageError{fmt.Errorf("--limit %d: want 1 to 1000", limit)}
			}
			return withStore(cmd, func(ctx context.Context, store *storage.Store, _ *config.Config) error {
				if _, err := store.Webhook(ctx, args[0]); err != nil {
					return noSuchWebhook(args[0], err)
				}
				found, err := store.Deliveries(ctx, storage.DeliverySearch{WebhookID: args[0], Status: storage.DeliveryStatus(status), Limit: limit})
				if err != nil {
					return err
				}
				all, rows := []deliveryRecord{}, [][]string{{"EVENT", "TYPE", "STATUS", "ATTEMPTS", "ANSWER", "MADE", "NEXT ATTEMPT"}}
				for _, d := range found {
					all = append(all, deliveryRecordOf(&d))
					answer, next := d.Error, storage.Time(0)
					if d.HTTPStatus != 0 {
						answer = strconv.FormatInt(d.HTTPStatus, 10)
					}
					if d.Status == storage.DeliveryPending {
						next = d.NextAttemptAt
					}
					rows = append(rows, []string{
						d.EventID, string(d.EventType), string(d.Status), strconv.FormatInt(d.Attempts, 10), answer, moment(d.CreatedAt), moment(next),
					})
				}
				return show(cmd, all, func(out io.Writer) error { return table(out, rows) })
			})
		},
	})
	cmd.Flags().StringVar(&status, "status", "", "only those that are pending, delivered or failed")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	return cmd
}

func newWebhookReplayCmd() *cobra.Command {
	var event string
	var within time.Duration
	cmd := jsonFlag(&cobra.Command{
		Use: "replay ID", Short: "Send a webhook again what it did not get, or one event", Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWebhooks(cmd, func(ctx context.Context, hooks *provider.Webhooks, _ *storage.Store) error {
				now := time.Now()
				r := struct {
					ID    string `json:"id"`
					Count int64  `json:"count"` // how many go out again
				}{args[0], 1}
				var err error
				if event != "" {
					err = hooks.Replay(ctx, args[0], event, operator(), now)
				} else {
					r.Count, err = hooks.ReplayFailed(ctx, args[0], now.Add(-within), operator(), now)
				}
				if errors.Is(err, storage.ErrNotFound) {
					return fmt.Errorf("webhook %q: there is none, or it has no such event", args[0])
				}
				if errors.Is(err, storage.ErrSpent) {
					return fmt.Errorf("webhook %q: event %q is still being sent", args[0], event)
				}
				if err != nil {
					return err
				}
				return show(cmd, r, func(out io.Writer) error { return record(out, r) })
			})
		},
	})
	cmd.Flags().StringVar(&event, "event", "", "id of the one event")
	cmd.Flags().DurationVar(&within, "within", 24*time.Hour, "how long ago what failed was made at most")
	return cmd
}
