package provider

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// The record is verified at once, whenever somebody asks, and says what was done to
// it since, also by whoever removed the checkpoints.
func TestWatch(t *testing.T) {
	for _, test := range []struct {
		name, statement, says string
	}{
		{"untouched", `UPDATE events SET private = ''`, ""},
		{"changed", `UPDATE events SET data = '{"x":1}' WHERE position = 4`, "event 4: changed"},
		{"truncated", `DELETE FROM events WHERE position = 11`, "event 11: missing"},
		{"forged", `UPDATE checkpoints SET note = 'x'`, "stored checkpoint of 12 events"},
		{"without checkpoints", `DELETE FROM checkpoints; DELETE FROM tree_hashes WHERE position >= 11; DELETE FROM events WHERE position >= 7`, "event 7: truncated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachDSN(t, func(t *testing.T, dsn string) {
				s := openTestStore(t, dsn)
				a := newTestAuditor(t, s, "https://id.test")
				var log bytes.Buffer
				recordEvent(t, s, slices.Repeat([]storage.EventType{storage.EventSessionCreated}, 9)...)
				if _, err := a.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				a.Log = slog.New(slog.NewJSONHandler(&log, nil))
				if v := a.Verified(); !v.At.IsZero() || v.Fresh(time.Now()) {
					t.Errorf("before: got %+v", v)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- a.Watch(ctx) }()
				look := func() Verified {
					t.Helper()
					if err := a.VerifyNow(t.Context()); err != nil {
						t.Fatal(err)
					}
					return a.Verified()
				}
				first := look()
				if first.Wrong != nil || first.Failed != nil || first.Size != 12 || first.Checkpoints != 1 || !first.Fresh(time.Now()) {
					t.Errorf("whole: got %+v", first)
				}
				dropTriggers(t, dsn)
				tamper(t, dsn, strings.Split(test.statement, "; ")...)
				v := look()
				if (v.Wrong != nil) != (test.says != "") || v.Fresh(time.Now()) == (test.says != "") || v.Wrong != nil && !strings.Contains(v.Wrong.Error(), test.says) {
					t.Errorf("got %v, want %q", v.Wrong, test.says)
				}
				if v.Wrong != nil && !strings.Contains(log.String(), test.says) {
					t.Errorf("logged %s", &log)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if err := a.VerifyNow(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("when nobody watches: got %v", err)
				}
			})
		})
	}
}

// The record is looked at again by itself, and what was found before still counts
// while it cannot be.
func TestWatchGoesOn(t *testing.T) {
	s := migratedStore(t)
	keys := newTestAuditor(t, s, "https://id.test").keys
	synctest.Test(t, func(t *testing.T) {
		a := NewAuditor(s, keys, "https://id.test")
		if _, err := a.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = a.Watch(ctx) }()
		synctest.Wait()
		first := a.Verified()
		time.Sleep(verifyEvery + time.Minute)
		synctest.Wait()
		second := a.Verified()
		if second.At.Sub(first.At) < verifyEvery || !second.Fresh(time.Now()) || second.Fresh(time.Now().Add(time.Hour)) {
			t.Errorf("got %+v, then %+v", first, second)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(verifyEvery)
		synctest.Wait()
		if v := a.Verified(); v.Failed == nil || v.Wrong != nil || !v.Whole.Equal(second.Whole) {
			t.Errorf("without a database: got %+v", v)
		}
	})
}
