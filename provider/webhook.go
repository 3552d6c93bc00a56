package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// MayPush reports whether somebody may say where events go: who points a webhook at an
// address of theirs reads the record there, all of it.
func MayPush(s storage.Standing) bool {
	return s.May(PermissionWebhooksWrite, "") && s.May(PermissionEventsRead, "")
}

// What webhooks may be.
const (
	maxWebhooks     = 50
	maxWebhookTypes = 100
)

// How often a webhook may be tried.
const (
	webhookTests      = 5
	webhookTestWindow = 10 * time.Minute
)

// ErrTooManyWebhooks says that there are as many as there may be.
var ErrTooManyWebhooks = fmt.Errorf("there are %d webhooks, which is as many as there may be", maxWebhooks)

// Webhooks says where events are pushed to. Each change is recorded in its own Write.
type Webhooks struct {
	p     *Provider
	store *storage.Store
}

// NewWebhooks returns the webhooks of a provider.
func NewWebhooks(p *Provider) *Webhooks { return &Webhooks{p, p.store} }

// Create adds a webhook with the address, the description and the types of w, fills in
// the rest and returns its secret, which is shown this once.
func (h *Webhooks) Create(ctx context.Context, w *storage.Webhook, by storage.Cause, now time.Time) (secret string, err error) {
	if err := h.validate(w); err != nil {
		return "", err
	}
	w.ID = storage.NewID("wh")
	secret = newWebhookSecret()
	w.Secret = h.p.Keys.sealWebhook(w.ID, []byte(secret))
	return secret, h.store.Write(ctx, func(tx *storage.Tx) error {
		all, err := tx.Webhooks(ctx)
		if err != nil {
			return err
		}
		if len(all) >= maxWebhooks {
			return ErrTooManyWebhooks
		}
		if err := tx.CreateWebhook(ctx, w, now); err != nil {
			return err
		}
		return recordWebhook(ctx, tx, storage.EventWebhookCreated, w.ID, about(w), by, now)
	})
}

// Update stores the address, the description and the types of w, as it was read and
// then changed. storage.ErrSpent: somebody else changed it meanwhile.
func (h *Webhooks) Update(ctx context.Context, w *storage.Webhook, by storage.Cause, now time.Time) error {
	if err := h.validate(w); err != nil {
		return err
	}
	return h.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.UpdateWebhook(ctx, w, now); err != nil {
			return err
		}
		return recordWebhook(ctx, tx, storage.EventWebhookUpdated, w.ID, about(w), by, now)
	})
}

// about is what the record says of a webhook. An address may have a secret in its path
// or query.
func about(w *storage.Webhook) storage.Data {
	data := storage.Data{}
	if u, err := url.Parse(w.URL); err == nil {
		data["host"] = u.Host
	}
	if len(w.EventTypes) > 0 {
		data["event_types"] = []string(w.EventTypes)
	}
	return data
}

// Enable goes on with a disabled webhook, from where it stopped. storage.ErrSpent: it is
// enabled.
func (h *Webhooks) Enable(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return h.change(ctx, id, storage.EventWebhookEnabled, nil, by, now, func(tx *storage.Tx) error { return tx.EnableWebhook(ctx, id, now) })
}

// Disable pushes nothing more to a webhook. What it misses waits. storage.ErrSpent: it is
// disabled.
func (h *Webhooks) Disable(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	why := storage.DisabledByOperator
	return h.change(ctx, id, storage.EventWebhookDisabled, storage.Data{"reason": string(why)}, by, now, func(tx *storage.Tx) error {
		return tx.DisableWebhook(ctx, id, why, now)
	})
}

// Delete removes a webhook, and what it was still to get.
func (h *Webhooks) Delete(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return h.change(ctx, id, storage.EventWebhookDeleted, nil, by, now, func(tx *storage.Tx) error { return tx.DeleteWebhook(ctx, id) })
}

// RotateSecret gives a webhook another secret and returns it. The one that it has signs
// as well for a day; one that still did so before no longer does.
func (h *Webhooks) RotateSecret(ctx context.Context, id string, by storage.Cause, now time.Time) (secret string, err error) {
	secret = newWebhookSecret()
	sealed, until := h.p.Keys.sealWebhook(id, []byte(secret)), now.Add(secretOverlap)
	data := storage.Data{"previous_until": until.UTC().Format(time.RFC3339)}
	return secret, h.change(ctx, id, storage.EventWebhookSecretRotated, data, by, now, func(tx *storage.Tx) error {
		w, err := tx.Webhook(ctx, id)
		if err != nil {
			return err
		}
		return tx.RotateWebhookSecret(ctx, w, sealed, until, now)
	})
}

// change makes a change of a webhook that there is, and records it.
func (h *Webhooks) change(
	ctx context.Context, id string, kind storage.EventType, data storage.Data, by storage.Cause, now time.Time, fn func(*storage.Tx) error,
) error {
	return h.store.Write(ctx, func(tx *storage.Tx) error {
		w, err := tx.Webhook(ctx, id)
		if err != nil {
			return fmt.Errorf("webhook %q: %w", id, err)
		}
		if data == nil {
			data = about(w)
		}
		if err := fn(tx); err != nil {
			return fmt.Errorf("webhook %q: %w", id, err)
		}
		return recordWebhook(ctx, tx, kind, id, data, by, now)
	})
}

// Holds reports whether a secret is the one that a webhook's messages are signed with.
func (h *Webhooks) Holds(w *storage.Webhook, secret string) bool {
	current, _, err := h.p.Keys.unsealWebhook(w.ID, w.Secret)
	return err == nil && subtle.ConstantTimeCompare(current, []byte(secret)) == 1
}

// Replay sends an event to a webhook again, under the id that it had. storage.ErrSpent:
// it is still being sent.
func (h *Webhooks) Replay(ctx context.Context, id, eventID string, by storage.Cause, now time.Time) error {
	data := storage.Data{"event": eventID}
	return h.change(ctx, id, storage.EventWebhookReplayed, data, by, now, func(tx *storage.Tx) error {
		return tx.ReplayDelivery(ctx, id, eventID, now)
	})
}

// ReplayFailed sends a webhook again what it did not get since then, and returns how
// many events that are.
func (h *Webhooks) ReplayFailed(ctx context.Context, id string, since time.Time, by storage.Cause, now time.Time) (n int64, err error) {
	data := storage.Data{"since": since.UTC().Format(time.RFC3339)}
	err = h.change(ctx, id, storage.EventWebhookReplayed, data, by, now, func(tx *storage.Tx) error {
		n, err = tx.ReplayFailed(ctx, id, since, now)
		data["count"] = n
		return err
	})
	return n, err
}

// Test sends a webhook an event of the type webhook.test, also one that is disabled, and
// returns what came of it. That it was asked for is on the record before anything is
// sent. Throttled: it was tried too often.
func (h *Webhooks) Test(ctx context.Context, id string, by storage.Cause, now time.Time) (*storage.Delivery, error) {
	var w *storage.Webhook
	var d *storage.Delivery
	events := []storage.Event{{Type: storage.EventWebhookTest, ActorID: by.By, Data: storage.Data{"webhook": id}}}
	err := h.store.Write(ctx, func(tx *storage.Tx) (err error) {
		if w, err = tx.Webhook(ctx, id); err != nil {
			return fmt.Errorf("webhook %q: %w", id, err)
		}
		full, err := tx.Take(ctx, throttleKey("webhook test:"+id), webhookTests, webhookTestWindow, now)
		if err == nil && !full.IsZero() {
			err = Throttled{full}
		}
		if err == nil {
			err = tx.RecordAll(ctx, events, storage.Private{}, by.Request, now)
		}
		if err != nil {
			return err
		}
		d, err = tx.CreateTest(ctx, id, events[0].ID, now, now.Add(sendLease))
		return err
	})
	if err != nil {
		return nil, err
	}
	h.attempt(ctx, w, &events[0], d)
	if err = h.finish(context.WithoutCancel(ctx), w, d); errors.Is(err, storage.ErrSpent) {
		err = nil
	}
	return d, err
}

// recordWebhook records a change of a webhook.
func recordWebhook(
	ctx context.Context, tx *storage.Tx, kind storage.EventType, id string, data storage.Data, by storage.Cause, now time.Time,
) error {
	data["webhook"] = id
	return tx.Record(ctx, storage.Event{Type: kind, ActorID: by.By, Data: data}, storage.Private{}, by.Request, now)
}

// validate returns everything that is wrong with a webhook, or nil.
func (h *Webhooks) validate(w *storage.Webhook) error {
	var p problems
	if err := h.checkURL(w.URL); err != nil {
		p = append(p, err)
	}
	text := checkText(w.Description, maxClaim)
	p.unless(text == nil, "description %q: %w", w.Description, text)
	p.unless(len(w.EventTypes) <= maxWebhookTypes, "event_types: more than %d", maxWebhookTypes)
	p.distinct("event_types", w.EventTypes)
	for _, t := range w.EventTypes {
		p.unless(knownEvents(t), "event_types %q: there are no such events", t)
	}
	return p.err()
}

// knownEvents reports whether there are events of a type, or of a kind like
// "impersonation.*".
func knownEvents(t string) bool {
	kind, all := strings.CutSuffix(t, ".*")
	return slices.ContainsFunc(storage.EventTypes(), func(known storage.EventType) bool {
		return string(known) == t || all && strings.HasPrefix(string(known), kind+".")
	})
}

// checkURL says why events cannot be pushed to a URL. Where a name leads is seen when it
// is called (SECURITY F10).
func (h *Webhooks) checkURL(uri string) error {
	if err := CheckWebURI("url", uri); err != nil {
		return err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return err
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("url %q: there is no such port", uri)
		}
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil && !h.p.caller.reaches(ip) {
		return fmt.Errorf("url %q: %w", uri, errForbiddenAddress)
	}
	return nil
}
