package storage

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// fill puts events into the tree's order, without the tree: of ten types, of a hundred
// users, one in a thousand of a rare type.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	exec(b, s, `WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
		INSERT INTO events (id, position, time, type, actor_id, subject_id, client_id)
		SELECT 'evt_' || n, n, ? + n * 100000, CASE WHEN n % 1000 = 999 THEN 'impersonation.started' ELSE 'session.' || (n % 10) END,
			'usr_' || (n % 100), 'usr_' || (n % 100), 'app' FROM i`, n-1, int64(At(t0)))
}

// A page from the middle of the record, however long that is.
func BenchmarkEventFeed(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		s := newStore(b, SQLite)
		fill(b, s, n)
		middle := At(t0.Add(time.Duration(n/2) * 100 * time.Millisecond))
		for name, f := range map[string]EventFeed{
			"all": {From: int64(n / 2)}, "type": {Types: []EventType{EventImpersonationStarted}}, "types": {Types: []EventType{EventImpersonationStarted, EventSessionCreated}, From: int64(n / 2)}, "subject": {SubjectID: "usr_7", From: int64(n / 2)},
			"client": {ClientID: "app", From: int64(n / 2)}, "since": {Since: middle},
		} {
			f.Limit = 25
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if _, err := s.EventFeed(b.Context(), f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// What it costs to make the deliveries of a thousand events for a webhook.
func BenchmarkFanOut(b *testing.B) {
	s := newStore(b, SQLite)
	w := &Webhook{ID: "wh_1", URL: "https://hooks.test/", Secret: []byte("sealed")}
	write(b, s, func(ctx context.Context, tx *Tx) error { return tx.CreateWebhook(ctx, w, t0) })
	fill(b, s, 1_000_000)
	for b.Loop() {
		behind, err := s.WebhooksBehind(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		write(b, s, func(ctx context.Context, tx *Tx) error {
			_, err := tx.FanOut(ctx, &behind[0], t0)
			return err
		})
	}
}
