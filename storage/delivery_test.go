package storage

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// hooked adds a webhook and events in the tree, and makes their deliveries.
func hooked(t testing.TB, s *Store, events int, types ...string) *Webhook {
	t.Helper()
	w := &Webhook{ID: "wh_1", URL: "https://hooks.test/", Secret: []byte("sealed"), EventTypes: types}
	write(t, s, func(ctx context.Context, tx *Tx) error { return tx.CreateWebhook(ctx, w, t0) })
	write(t, s, func(ctx context.Context, tx *Tx) error {
		all := make([]Event, events)
		for i := range all {
			all[i] = Event{Type: EventSessionCreated, SubjectID: fmt.Sprint(i)}
		}
		return tx.RecordAll(ctx, all, Private{}, Request{}, t0)
	})
	if _, err := s.Sequence(t.Context(), "test", t0); err != nil {
		t.Fatal(err)
	}
	return w
}

// Of many who make the deliveries of the same events one does, and of many who claim
// them each gets others; a claim whose holder is gone is somebody else's, and only that
// one's word counts then.
func TestDeliveries(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		const n = 40
		hooked(t, s, n)
		behind, err := s.WebhooksBehind(ctx)
		if err != nil || len(behind) != 1 {
			t.Fatalf("behind: %+v, %v", behind, err)
		}
		var mu sync.Mutex
		won := 0
		concurrently(8, func(int) {
			err := s.Write(ctx, func(tx *Tx) error {
				_, err := tx.FanOut(ctx, &behind[0], t0)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				wantErr(t, "fan out", err, ErrSpent)
			}
		})
		if got := query[int](t, s, `SELECT COUNT(*) FROM webhook_deliveries`); won != 1 || got != n {
			t.Errorf("%d made %d deliveries, want 1 and %d", won, got, n)
		}
		if behind, err := s.WebhooksBehind(ctx); err != nil || len(behind) != 0 {
			t.Errorf("behind: %+v, %v", behind, err)
		}

		claim := func(limit int, now time.Time) (claimed []Delivery) {
			t.Helper()
			write(t, s, func(ctx context.Context, tx *Tx) (err error) {
				claimed, err = tx.ClaimDeliveries(ctx, &Webhook{ID: "wh_1"}, limit, now, now.Add(time.Minute))
				return err
			})
			return claimed
		}
		finish := func(d Delivery, status DeliveryStatus) error {
			d.Status = status
			return s.Write(ctx, func(tx *Tx) error { return tx.FinishDelivery(ctx, &d, t0) })
		}
		by := map[string]Delivery{}
		concurrently(8, func(int) {
			for range 4 {
				for _, d := range claim(3, t0) {
					mu.Lock()
					if _, twice := by[d.EventID]; twice || d.Attempts != 1 || d.TriedSince != At(t0) {
						t.Errorf("claimed %+v", d)
					}
					by[d.EventID] = d
					mu.Unlock()
				}
			}
		})
		if len(by) != n {
			t.Errorf("%d of %d were claimed", len(by), n)
		}
		if due, err := s.DueWebhooks(ctx, t0); err != nil || len(due) != 0 {
			t.Errorf("due: %+v, %v", due, err)
		}
		later := t0.Add(time.Minute)
		if due, err := s.DueWebhooks(ctx, later); err != nil || len(due) != 1 {
			t.Errorf("due a minute later: %+v, %v", due, err)
		}
		again := claim(2, later)
		if len(again) != 2 || again[0].Position > again[1].Position || again[0].Attempts != 2 {
			t.Fatalf("claimed again: %+v", again)
		}
		wantErr(t, "who was gone says that it failed", finish(by[again[0].EventID], DeliveryFailed), ErrSpent)
		wantErr(t, "who was gone says that it is waiting", finish(by[again[0].EventID], DeliveryPending), ErrSpent)
		if err := finish(by[again[0].EventID], DeliveryDelivered); err != nil { // it was, whoever says so
			t.Error(err)
		}
		wantErr(t, "delivered twice", finish(again[0], DeliveryDelivered), ErrSpent)
		if err := finish(again[1], DeliveryFailed); err != nil {
			t.Error(err)
		}
		var replayed int64
		write(t, s, func(ctx context.Context, tx *Tx) (err error) {
			replayed, err = tx.ReplayFailed(ctx, "wh_1", t0, later)
			return err
		})
		if d, err := s.Delivery(ctx, "wh_1", again[1].EventID); err != nil || replayed != 1 || d.Status != DeliveryPending || d.Attempts != 0 || d.DoneAt.Set() {
			t.Errorf("replayed %d: %+v, %v", replayed, d, err)
		}

		// A clock that was set back holds nothing up.
		if due, err := s.DueWebhooks(ctx, t0.Add(-24*time.Hour)); err != nil || len(due) != 1 {
			t.Errorf("due with the clock set back: %+v, %v", due, err)
		}
		if _, err := s.Sweep(ctx, t0.Add(31*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := query[int](t, s, `SELECT COUNT(*) FROM webhook_deliveries`); got != 0 {
			t.Errorf("%d deliveries are kept for ever", got)
		}
	})
}

// What a webhook gets, by its types.
func TestFanOutTypes(t *testing.T) {
	forEachDialect(t, func(t *testing.T, s *Store) {
		w := hooked(t, s, 0, "support_access.*", "session.created")
		kinds := map[EventType]bool{
			EventSessionCreated: true, EventSupportAccessChanged: true, EventSessionRevoked: false, "supportXaccess.changed": false, EventWebhookTest: false,
		}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			for kind := range kinds {
				if err := tx.Record(ctx, Event{Type: kind}, Private{}, Request{}, t0); err != nil {
					return err
				}
			}
			return nil
		})
		if _, err := s.Sequence(t.Context(), "test", t0); err != nil {
			t.Fatal(err)
		}
		write(t, s, func(ctx context.Context, tx *Tx) error {
			_, err := tx.FanOut(ctx, w, t0)
			return err
		})
		found, err := s.Deliveries(t.Context(), DeliverySearch{WebhookID: "wh_1"})
		if err != nil || len(found) != 2 {
			t.Errorf("got %+v, %v", found, err)
		}
		for _, d := range found {
			if !kinds[d.EventType] {
				t.Errorf("got %s", d.EventType)
			}
		}
	})
}
