package storage

import (
	"context"
	"time"
)

// WebhookStatus says whether events are pushed to a webhook.
type WebhookStatus string

// The statuses of a webhook. What a disabled one misses waits until it is enabled.
const (
	WebhookActive   WebhookStatus = "active"
	WebhookDisabled WebhookStatus = "disabled"
)

// DisabledReason says why a webhook is disabled.
type DisabledReason string

// The reasons.
const (
	DisabledByOperator DisabledReason = "operator"
	DisabledGone       DisabledReason = "gone"    // it answered 410
	DisabledFailing    DisabledReason = "failing" // it answered nothing good for days
)

// Webhook is an address that events are pushed to. Its secrets are encrypted by the
// caller.
type Webhook struct {
	ID                  string `gorm:"primaryKey"`
	URL                 string `gorm:"column:url"`
	Description         string
	EventTypes          List // what it gets, "impersonation.*" for a kind; empty: everything
	Secret              []byte
	PreviousSecret      []byte // signs as well, until then; nil: there is none
	PreviousSecretUntil Time
	Status              WebhookStatus `gorm:"default:active"`
	DisabledReason      DisabledReason
	Position            int64 // of the first event that was not looked at for it
	Failures            int64 // attempts in a row that failed, those at the same time counted once
	FailingSince        Time
	RetryAt             Time // nothing is sent before
	CreatedAt           Time `gorm:"autoCreateTime:false"`
	UpdatedAt           Time `gorm:"autoUpdateTime:false"`
}

// Active reports whether events are pushed to it.
func (w *Webhook) Active() bool { return w.Status == WebhookActive }

// Webhook returns the webhook with the given id, or ErrNotFound.
func (q Queries) Webhook(ctx context.Context, id string) (*Webhook, error) {
	var w Webhook
	if err := q.conn(ctx).Take(&w, "id = ?", id).Error; err != nil {
		return nil, translate(err)
	}
	return &w, nil
}

// Webhooks returns all webhooks, oldest first. They are few.
func (q Queries) Webhooks(ctx context.Context) ([]Webhook, error) {
	var all []Webhook
	err := q.conn(ctx).Order("created_at, id").Find(&all).Error
	return all, translate(err)
}

// CreateWebhook adds a webhook, which gets the events that get their place in the tree
// from now on.
func (tx *Tx) CreateWebhook(ctx context.Context, w *Webhook, now time.Time) error {
	err := tx.scan(ctx, []any{&w.Position}, `SELECT COALESCE(MAX(position) + 1, 0) FROM events WHERE position IS NOT NULL`)
	if err != nil {
		return err
	}
	w.Status, w.CreatedAt, w.UpdatedAt = WebhookActive, At(now), At(now)
	return translate(tx.conn(ctx).Create(w).Error)
}

// UpdateWebhook stores the address, the description and the types of w. ErrSpent: it
// was changed since it was read, or is gone.
func (tx *Tx) UpdateWebhook(ctx context.Context, w *Webhook, now time.Time) error {
	was := w.UpdatedAt
	w.UpdatedAt = max(At(now), was+1)
	return tx.spend(ctx, `UPDATE webhooks SET url = ?, description = ?, event_types = ?, failures = 0, failing_since = 0, retry_at = 0, updated_at = ?
		WHERE id = ? AND updated_at = ?`, w.URL, w.Description, w.EventTypes, w.UpdatedAt, w.ID, was)
}

// RotateWebhookSecret gives w another secret; the one it has signs as well until then.
// ErrSpent: it was changed since it was read, or is gone.
func (tx *Tx) RotateWebhookSecret(ctx context.Context, w *Webhook, secret []byte, until, now time.Time) error {
	return tx.spend(ctx, `UPDATE webhooks SET secret = ?, previous_secret = secret, previous_secret_until = ?, updated_at = ? WHERE id = ? AND secret = ?`,
		secret, At(until), max(At(now), w.UpdatedAt+1), w.ID, w.Secret)
}

// ReencryptWebhook replaces the encrypted secrets of w. ErrSpent: they are no longer
// those that were read, or it is gone.
func (tx *Tx) ReencryptWebhook(ctx context.Context, w *Webhook, secret, previous []byte) error {
	return tx.spend(ctx, `UPDATE webhooks SET secret = ?, previous_secret = ? WHERE id = ? AND secret = ?`, secret, previous, w.ID, w.Secret)
}

// EnableWebhook goes on with a disabled webhook, from where it stopped. ErrSpent: it is
// active, or gone.
func (tx *Tx) EnableWebhook(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE webhooks SET status = 'active', disabled_reason = '', failures = 0, failing_since = 0, retry_at = 0, updated_at = ?
		WHERE id = ? AND status = 'disabled'`, At(now), id)
}

// DisableWebhook pushes nothing more to a webhook. ErrSpent: it is disabled, or gone.
func (tx *Tx) DisableWebhook(ctx context.Context, id string, why DisabledReason, now time.Time) error {
	return tx.spend(ctx, `UPDATE webhooks SET status = 'disabled', disabled_reason = ?, updated_at = ? WHERE id = ? AND status = 'active'`,
		why, At(now), id)
}

// DeleteWebhook removes a webhook and its deliveries. ErrNotFound: there is none.
func (tx *Tx) DeleteWebhook(ctx context.Context, id string) error {
	n, err := tx.exec(ctx, `DELETE FROM webhooks WHERE id = ?`, id)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// NoteWebhookFailure notes that an attempt failed which began when w was read, and when
// the next may be made. Of attempts at the same time the first counts.
func (tx *Tx) NoteWebhookFailure(ctx context.Context, w *Webhook, retryAt, now time.Time) error {
	_, err := tx.exec(ctx, `UPDATE webhooks SET failures = failures + 1, retry_at = ?,
		failing_since = CASE WHEN failing_since = 0 THEN ? ELSE failing_since END WHERE id = ? AND failures = ?`, At(retryAt), At(now), w.ID, w.Failures)
	return err
}

// NoteWebhookAnswer notes that a webhook that failed answers again.
func (tx *Tx) NoteWebhookAnswer(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `UPDATE webhooks SET failures = 0, failing_since = 0, retry_at = 0 WHERE id = ?`, id)
	return err
}
