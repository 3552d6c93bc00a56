package storage

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// The kill switch while a thousand impersonations run: how long its Write takes, and
// so for how long others wait for it.
func BenchmarkKillSwitch(b *testing.B) {
	for _, dialect := range []string{SQLite, Postgres} {
		b.Run(dialect, func(b *testing.B) {
			s := newStore(b, dialect)
			seed(b, s)
			const running = 1000
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				for i := range running {
					impersonate(b, s, fmt.Sprintf("imp_%d_%d", n, i))
				}
				b.StartTimer()
				write(b, s, func(ctx context.Context, tx *Tx) error {
					return tx.EndImpersonations(ctx, ImpersonationFilter{}, Cause{Reason: EndSwitchedOff}, t0.Add(time.Minute))
				})
			}
		})
	}
}
