package storage

import (
	"context"
	"slices"
	"strings"
	"time"
)

// DeliveryStatus says what became of a delivery.
type DeliveryStatus string

// The statuses of a delivery. Only a pending one is sent.
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryFailed    DeliveryStatus = "failed"
)

// Delivery is an event that a webhook is to get, and what came of it. There is one of
// an event for a webhook, however often it is sent.
type Delivery struct {
	WebhookID     string `gorm:"primaryKey"`
	EventID       string `gorm:"primaryKey"`
	EventType     EventType
	Position      int64 // of the event; -1 of a test, which goes out at once
	Status        DeliveryStatus
	Attempts      int64
	HTTPStatus    int64  `gorm:"column:http_status"` // of the last answer; zero: there was none
	Error         string // of the last attempt
	CreatedAt     Time   `gorm:"autoCreateTime:false"`
	TriedSince    Time   // the first attempt; never before, and after it was replayed
	NextAttemptAt Time
	ClaimedUntil  Time // an attempt is being made; afterwards whoever made it is gone
	DoneAt        Time
	ExpiresAt     Time
}

// Mark is its place in a list.
func (d *Delivery) Mark() Mark { return Mark{d.CreatedAt, d.EventID} }

// TableName is not what gorm would call it.
func (Delivery) TableName() string { return "webhook_deliveries" }

const (
	// deliveriesKept is how long what came of a delivery can be asked for.
	deliveriesKept = 30 * 24 * time.Hour
	// fanOutBatch bounds one FanOut, so that it does not hold the writer for long.
	fanOutBatch = 1000
	// longestPause and longestClaim are more than any delivery, or any webhook, waits:
	// one that seems to wait longer was written before the clock was set back, and is due.
	longestPause = 2 * time.Hour
	longestClaim = 5 * time.Minute
)

// waiting is the condition that a delivery is to be sent now; waitingSince are its
// parameters.
const waiting = `status = 'pending' AND (next_attempt_at <= ? OR next_attempt_at > ?) AND (claimed_until <= ? OR claimed_until > ?)`

func waitingSince(now time.Time) []any {
	return []any{At(now), At(now.Add(longestPause)), At(now), At(now.Add(longestClaim))}
}

// WebhooksBehind returns the active webhooks for which events have to be looked at.
func (q Queries) WebhooksBehind(ctx context.Context) ([]Webhook, error) {
	var behind []Webhook
	err := q.conn(ctx).Where(`status = 'active' AND position <= (SELECT MAX(position) FROM events WHERE position IS NOT NULL)`).
		Order("position, id").Find(&behind).Error
	return behind, translate(err)
}

// FanOut makes the deliveries of w for the next events in the tree, and reports whether
// there are more. Of several at once one does it: ErrSpent, w is not any more what was
// read.
func (tx *Tx) FanOut(ctx context.Context, w *Webhook, now time.Time) (more bool, err error) {
	var size int64
	if err := tx.scan(ctx, []any{&size}, `SELECT COALESCE(MAX(position) + 1, 0) FROM events WHERE position IS NOT NULL`); err != nil {
		return false, err
	}
	to := min(size, w.Position+fanOutBatch)
	err = tx.spend(ctx, `UPDATE webhooks SET position = ? WHERE id = ? AND position = ? AND status = 'active' AND updated_at = ?`,
		to, w.ID, w.Position, w.UpdatedAt)
	if err != nil {
		return false, err
	}
	wanted, args := typesCondition(w.EventTypes)
	args = append([]any{w.ID, At(now), At(now), At(now.Add(deliveriesKept)), w.Position, to, EventWebhookTest}, args...)
	_, err = tx.exec(ctx, `
		INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, position, created_at, next_attempt_at, expires_at)
		SELECT ?, id, type, position, `+tx.integer()+`, `+tx.integer()+`, `+tx.integer()+` FROM events
		WHERE position IS NOT NULL AND position >= ? AND position < ? AND type <> ? AND (`+wanted+`) ON CONFLICT DO NOTHING`, args...)
	return to < size, err
}

// integer is a parameter that a query selects: PostgreSQL has to be told its type.
func (tx *Tx) integer() string {
	if tx.dialect == Postgres {
		return `?::bigint`
	}
	return `?`
}

// typesCondition selects the events of a webhook by their types.
func typesCondition(types List) (condition string, args []any) {
	if len(types) == 0 {
		return "1 = 1", nil
	}
	var any []string
	for _, t := range types {
		if kind, all := strings.CutSuffix(t, "*"); all {
			any, args = append(any, `type LIKE ? ESCAPE '\'`), append(args, escapeLike(kind)+"%")
		} else {
			any, args = append(any, `type = ?`), append(args, t)
		}
	}
	return strings.Join(any, " OR "), args
}

// DueWebhooks returns the active webhooks to which something is to be sent now.
func (q Queries) DueWebhooks(ctx context.Context, now time.Time) ([]Webhook, error) {
	var due []Webhook
	err := q.conn(ctx).Where(`status = 'active' AND (retry_at <= ? OR retry_at > ?) AND EXISTS
		(SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id AND `+waiting+`)`,
		append([]any{At(now), At(now.Add(longestPause))}, waitingSince(now)...)...).Order("id").Find(&due).Error
	return due, translate(err)
}

// ClaimDeliveries takes up to limit waiting deliveries of a webhook, for one attempt each:
// whoever waits longest first, and those that wait as long in the order of their events.
// Of a webhook that fails, those that were never tried come before: events that it chokes
// on are not in the way of others. Nobody else takes them before until; whoever is gone by
// then only delayed them.
func (tx *Tx) ClaimDeliveries(ctx context.Context, w *Webhook, limit int, now, until time.Time) ([]Delivery, error) {
	order := "next_attempt_at, position"
	if w.Failures > 0 { // no index has this order, but it is asked for seldom then
		order = "attempts > 0, " + order
	}
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	args := append([]any{w.ID}, waitingSince(now)...)
	args = append(args, limit, At(until), At(now), w.ID)
	var claimed []Delivery
	err := tx.conn(ctx).Raw(`
		WITH due AS (SELECT event_id FROM webhook_deliveries WHERE webhook_id = ? AND `+waiting+` ORDER BY `+order+` LIMIT ?`+lock+`)
		UPDATE webhook_deliveries SET attempts = attempts + 1, claimed_until = ?, tried_since = CASE WHEN tried_since = 0 THEN ? ELSE tried_since END
		WHERE webhook_id = ? AND event_id IN (SELECT event_id FROM due) RETURNING *`, args...).Scan(&claimed).Error
	slices.SortFunc(claimed, func(a, b Delivery) int { return int(a.Position - b.Position) })
	return claimed, translate(err)
}

// CreateTest adds the delivery of an event of the type EventWebhookTest, claimed for
// its one attempt.
func (tx *Tx) CreateTest(ctx context.Context, webhookID, eventID string, now, until time.Time) (*Delivery, error) {
	d := &Delivery{
		WebhookID: webhookID, EventID: eventID, EventType: EventWebhookTest, Position: -1, Status: DeliveryPending, Attempts: 1,
		CreatedAt: At(now), TriedSince: At(now), NextAttemptAt: At(now), ClaimedUntil: At(until), ExpiresAt: At(now.Add(deliveriesKept)),
	}
	return d, translate(tx.conn(ctx).Create(d).Error)
}

// FinishDelivery stores how the attempt ended with which d was claimed: its Status,
// HTTPStatus, Error and, where it is still pending, NextAttemptAt. ErrSpent: the
// delivery is done, or somebody else has claimed it since. That it was delivered counts
// even then.
func (tx *Tx) FinishDelivery(ctx context.Context, d *Delivery, now time.Time) error {
	if d.Status != DeliveryPending {
		d.DoneAt = At(now)
	}
	statement := `UPDATE webhook_deliveries SET status = ?, http_status = ?, error = ?, next_attempt_at = ?, claimed_until = 0, done_at = ?
		WHERE webhook_id = ? AND event_id = ? AND status = 'pending'`
	args := []any{d.Status, d.HTTPStatus, text(d.Error), d.NextAttemptAt, d.DoneAt, d.WebhookID, d.EventID}
	if d.Status != DeliveryDelivered {
		statement, args = statement+` AND attempts = ?`, append(args, d.Attempts)
	}
	return tx.spend(ctx, statement, args...)
}

// SendWaiting makes due what a webhook was to get later.
func (tx *Tx) SendWaiting(ctx context.Context, webhookID string, now time.Time) error {
	_, err := tx.exec(ctx, `UPDATE webhook_deliveries SET next_attempt_at = ? WHERE webhook_id = ? AND status = 'pending' AND next_attempt_at > ?`,
		At(now), webhookID, At(now))
	return err
}

// replay begins a delivery anew.
const replay = `UPDATE webhook_deliveries SET status = 'pending', attempts = 0, http_status = 0, error = '', tried_since = 0, next_attempt_at = ?, done_at = 0, expires_at = ?
	WHERE webhook_id = ? AND `

// ReplayDelivery sends again what is done, under the id that it had. ErrSpent: it is not
// done. ErrNotFound: there is none.
func (tx *Tx) ReplayDelivery(ctx context.Context, webhookID, eventID string, now time.Time) error {
	if _, err := tx.Delivery(ctx, webhookID, eventID); err != nil {
		return err
	}
	return tx.spend(ctx, replay+`event_id = ? AND status <> 'pending'`, At(now), At(now.Add(deliveriesKept)), webhookID, eventID)
}

// ReplayFailed sends again what a webhook did not get of the events since then, and
// returns how many they are.
func (tx *Tx) ReplayFailed(ctx context.Context, webhookID string, since, now time.Time) (int64, error) {
	return tx.exec(ctx, replay+`status = 'failed' AND created_at >= ? AND event_type <> ?`,
		At(now), At(now.Add(deliveriesKept)), webhookID, At(since), EventWebhookTest)
}

// Delivery returns the delivery of an event to a webhook, or ErrNotFound.
func (q Queries) Delivery(ctx context.Context, webhookID, eventID string) (*Delivery, error) {
	var d Delivery
	if err := q.conn(ctx).Take(&d, "webhook_id = ? AND event_id = ?", webhookID, eventID).Error; err != nil {
		return nil, translate(err)
	}
	return &d, nil
}

// DeliverySearch selects deliveries of a webhook by what is not zero.
type DeliverySearch struct {
	WebhookID string
	Status    DeliveryStatus
	Before    Mark // only what comes after this one in the list
	Limit     int  // zero: 100
}

// Deliveries returns what s selects, latest first.
func (q Queries) Deliveries(ctx context.Context, s DeliverySearch) ([]Delivery, error) {
	db := q.conn(ctx).Where("webhook_id = ?", s.WebhookID)
	if s.Status != "" {
		db = db.Where("status = ?", s.Status)
	}
	if s.Before.Set() {
		db = db.Where("(created_at, event_id) < (?, ?)", s.Before.Time, s.Before.ID)
	}
	if s.Limit == 0 {
		s.Limit = 100
	}
	var found []Delivery
	err := db.Order("created_at DESC, event_id DESC").Limit(s.Limit).Find(&found).Error
	return found, translate(err)
}

// Backlog is what active webhooks still have to get.
type Backlog struct {
	Deliveries int64 // that are pending
	Oldest     Time  // when the oldest of them was made, or replayed
	Events     int64 // that were not looked at yet for the webhook that is furthest behind
	Disabled   int64 // webhooks that are disabled, but not by an operator
}

// Backlog measures what waits.
func (q Queries) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	err := q.scan(ctx, []any{&b.Deliveries, &b.Oldest, &b.Events, &b.Disabled}, `
		SELECT (SELECT COUNT(*) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.status = 'pending' AND w.status = 'active'),
			(SELECT COALESCE(MIN(d.expires_at) - ?, 0) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.status = 'pending' AND w.status = 'active'),
			(SELECT COALESCE((SELECT MAX(position) + 1 FROM events WHERE position IS NOT NULL) - MIN(position), 0) FROM webhooks WHERE status = 'active'),
			(SELECT COUNT(*) FROM webhooks WHERE disabled_reason IN ('gone', 'failing'))`, deliveriesKept.Microseconds())
	return b, err
}
