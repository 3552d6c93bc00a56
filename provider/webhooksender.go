package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/understudy-id/understudy/storage"
)

// How webhooks are sent.
const (
	firstRetry      = 5 * time.Second
	longestRetry    = time.Hour
	deliverFor      = 72 * time.Hour     // from the first attempt on
	disableAfter    = 5 * 24 * time.Hour // of nothing but failures
	recoversAfter   = time.Minute        // what waited goes out at once when a failure that long ends
	webhooksAtOnce  = maxWebhooks * sendToOne
	fanOutsAtOnce   = 10 // batches, before something is sent again
	healthyAttempts = sendToOne
	failingAttempts = 1
)

// WebhookSender pushes events to webhooks (Standard Webhooks 1.0). It first makes a
// delivery of each event for each webhook that wants it, walking the tree, so that
// recording an event costs nothing more; then it sends what is due. Any number of
// senders share both: a walk moves on and a delivery is claimed by one conditional
// UPDATE, so that a process that dies delays and loses nothing. One that dies between
// the answer and its commit sends the same id again.
type WebhookSender struct {
	// Every is how often it looks for events; zero means 250 ms.
	Every time.Duration
	// Observe, where set, is called after each attempt with what came of it:
	// delivered, retry or failed.
	Observe func(result string)

	hooks *Webhooks
	outbox
}

// NewWebhookSender returns the sender of a provider's webhooks.
func NewWebhookSender(p *Provider) *WebhookSender {
	return &WebhookSender{hooks: NewWebhooks(p), outbox: newOutbox("push events to webhooks", webhooksAtOnce, sendToOne, p.log)}
}

// Run sends until ctx ends. Attempts under way then have a second left.
func (s *WebhookSender) Run(ctx context.Context) error {
	otherwise(&s.Every, lookEvery)
	return s.run(ctx, s.Every, s.look)
}

func (s *WebhookSender) look(ctx, sending context.Context) (more bool, err error) {
	if err := s.hooks.fanOut(ctx, time.Now()); err != nil {
		return false, err
	}
	now := time.Now()
	due, err := s.hooks.store.DueWebhooks(ctx, now)
	if err != nil {
		return false, err
	}
	for _, w := range due {
		limit := s.room(w.ID)
		if w.Failures > 0 { // one that does not answer is not asked for everything at once
			limit = min(limit, failingAttempts-s.busy[w.ID])
		}
		if limit <= 0 {
			more = true
			continue
		}
		n, err := s.send(ctx, sending, &w, limit, now)
		if err != nil {
			return more, err
		}
		more = more || n == limit
	}
	return more, nil
}

// send begins an attempt for up to limit deliveries of w and returns for how many.
func (s *WebhookSender) send(ctx, sending context.Context, w *storage.Webhook, limit int, now time.Time) (int, error) {
	var claimed []storage.Delivery
	err := s.hooks.store.Write(ctx, func(tx *storage.Tx) (err error) {
		claimed, err = tx.ClaimDeliveries(ctx, w, limit, now, now.Add(sendLease))
		return err
	})
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	ids := make([]string, len(claimed))
	for i, d := range claimed {
		ids[i] = d.EventID
	}
	events, err := s.hooks.store.EventsByID(ctx, ids)
	if err != nil {
		return 0, err
	}
	for _, d := range claimed {
		e := events[d.EventID]
		if e == nil {
			return 0, fmt.Errorf("webhook %s: event %s: %w", w.ID, d.EventID, storage.ErrNotFound)
		}
		s.begin(w.ID, func() {
			s.hooks.attempt(sending, w, e, &d)
			err := keep(sending, func(ctx context.Context) error { return s.hooks.finish(ctx, w, &d) })
			if errors.Is(err, storage.ErrSpent) {
				return // another sender's word stands
			}
			if err != nil { // it is sent again when the claim ends
				s.log.ErrorContext(sending, "what came of a webhook is not stored", "webhook", w.ID, "event", d.EventID, "cause", err.Error())
			}
			s.tell(sending, &d)
		})
	}
	return len(claimed), nil
}

// fanOut makes the deliveries of the events that got their place since it looked last.
func (h *Webhooks) fanOut(ctx context.Context, now time.Time) error {
	for range fanOutsAtOnce {
		behind, err := h.store.WebhooksBehind(ctx)
		if err != nil || len(behind) == 0 {
			return err
		}
		again := false
		for _, w := range behind {
			more := false
			err := h.store.Write(ctx, func(tx *storage.Tx) (err error) {
				more, err = tx.FanOut(ctx, &w, now)
				return err
			})
			if err != nil && !errors.Is(err, storage.ErrSpent) { // another sender did it, or the webhook was changed
				return fmt.Errorf("webhook %s: %w", w.ID, err)
			}
			again = again || more
		}
		if !again {
			return nil
		}
	}
	return nil
}

// attempt sends one delivery and writes into it what came of it.
func (h *Webhooks) attempt(ctx context.Context, w *storage.Webhook, e *storage.Event, d *storage.Delivery) {
	status, err := h.post(ctx, w, e, time.Now())
	judgeDelivery(d, status, err, rand.Float64(), time.Now()) //nolint:gosec // no secret
}

// finish stores what came of an attempt. ErrSpent: another sender's word stands.
func (h *Webhooks) finish(ctx context.Context, w *storage.Webhook, d *storage.Delivery) error {
	now := time.Now()
	return h.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.FinishDelivery(ctx, d, now); err != nil {
			return err
		}
		return noteHealth(ctx, tx, w, d, now)
	})
}

// tell says what came of an attempt to whoever runs the server.
func (s *WebhookSender) tell(ctx context.Context, d *storage.Delivery) {
	result := string(d.Status)
	switch d.Status {
	case storage.DeliveryPending:
		result = "retry"
	case storage.DeliveryFailed:
		s.log.WarnContext(ctx, "a webhook did not get an event",
			"webhook", d.WebhookID, "event", d.EventID, "attempts", d.Attempts, "status", d.HTTPStatus, "cause", d.Error)
	}
	if s.Observe != nil {
		s.Observe(result)
	}
}

// message is the body of a webhook (Standard Webhooks, Payload structure).
type message struct {
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	Data      EventMessage `json:"data"`
}

// post posts an event and returns the status of the answer, zero where there was none.
func (h *Webhooks) post(ctx context.Context, w *storage.Webhook, e *storage.Event, now time.Time) (int, error) {
	data, err := EventMessageOf(e)
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(message{data.Type, data.Time, data})
	if err != nil {
		return 0, err
	}
	secrets, err := h.p.Keys.webhookSecrets(w, now)
	if err != nil {
		return 0, err
	}
	var signatures []string
	for _, secret := range secrets {
		key, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return 0, err
		}
		signature, err := key.Sign(e.ID, now, body)
		if err != nil {
			return 0, err
		}
		signatures = append(signatures, signature)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set(standardwebhooks.HeaderWebhookID, e.ID)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return h.p.caller.send(ctx, w.URL, body, header)
}

// judgeDelivery writes into a delivery what an attempt came to: an answer's status, zero
// for none, and an error. The status decides, whatever became of the rest of the answer.
// A test is tried once.
func judgeDelivery(d *storage.Delivery, status int, err error, jitter float64, now time.Time) {
	d.HTTPStatus, d.Error = int64(status), ""
	switch {
	case status >= 200 && status < 300:
		d.Status = storage.DeliveryDelivered
		return
	case err != nil:
		d.Error = causeOf(err)
	default:
		d.Error = fmt.Sprintf("the answer was %d", status)
	}
	next := now.Add(pauseAfter(d.Attempts, firstRetry, longestRetry, jitter))
	tried := d.Attempts > 1 && next.Sub(d.TriedSince.Time()) > deliverFor // a clock that was set forward is not days of trying
	if tried || status == http.StatusGone || d.EventType == storage.EventWebhookTest {
		d.Status = storage.DeliveryFailed
		return
	}
	d.NextAttemptAt = storage.At(next)
}

// noteHealth writes into a webhook what an attempt says about it. One that fails is left
// alone for a while; one that says it is gone, or answered nothing good for days, is
// disabled. When a long failure ends, what waited for another attempt goes out at once.
// That a test fails says nothing new.
func noteHealth(ctx context.Context, tx *storage.Tx, w *storage.Webhook, d *storage.Delivery, now time.Time) error {
	if d.Status == storage.DeliveryDelivered {
		if w.Failures == 0 {
			return nil
		}
		if err := tx.NoteWebhookAnswer(ctx, w.ID); err != nil || now.Sub(w.FailingSince.Time()) < recoversAfter {
			return err
		}
		return tx.SendWaiting(ctx, w.ID, now)
	}
	if d.EventType == storage.EventWebhookTest {
		return nil
	}
	pause := pauseAfter(w.Failures+1, time.Second, longestPause, rand.Float64()) //nolint:gosec // no secret
	if err := tx.NoteWebhookFailure(ctx, w, now.Add(pause), now); err != nil {
		return err
	}
	switch {
	case d.HTTPStatus == http.StatusGone:
		return disableWebhook(ctx, tx, w.ID, storage.DisabledGone, now)
	case w.Failures > 0 && now.Sub(w.FailingSince.Time()) >= disableAfter:
		return disableWebhook(ctx, tx, w.ID, storage.DisabledFailing, now)
	}
	return nil
}

// disableWebhook disables a webhook that nobody disabled yet.
func disableWebhook(ctx context.Context, tx *storage.Tx, id string, why storage.DisabledReason, now time.Time) error {
	err := tx.DisableWebhook(ctx, id, why, now)
	if errors.Is(err, storage.ErrSpent) {
		return nil
	}
	if err != nil {
		return err
	}
	return recordWebhook(ctx, tx, storage.EventWebhookDisabled, id, storage.Data{"reason": string(why)}, storage.Cause{}, now)
}
