package provider

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// To look is to ask about every receiver: it is done once for all attempts that ended.
func TestOutboxLooksOnceForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const attempts = 100
		o := newOutbox("test", attempts, attempts, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		err := o.run(ctx, time.Hour, func(context.Context, context.Context) (more bool, err error) {
			looks++
			if looks == 1 {
				for range attempts {
					o.begin("receiver", func() {})
				}
				synctest.Wait() // all have ended
				return true, nil
			}
			if room := o.room("receiver"); room != attempts {
				t.Errorf("room for %d when it looks again, want %d", room, attempts)
			}
			cancel()
			return false, nil
		})
		if err != nil || looks != 2 {
			t.Errorf("%d looks, %v", looks, err)
		}
	})
}
