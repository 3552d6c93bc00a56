package provider

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// outbox runs attempts to send what was stored to be sent: not too many at once, and
// few of them to one receiver, so that who is slow holds up nobody else.
type outbox struct {
	work          string // what it looks for, for the log
	atOnce, toOne int    // attempts under way: in all, to one receiver

	log  *slog.Logger
	busy map[string]int // attempts under way, by receiver
	all  int
	done chan string // the receiver of an attempt that ended
}

func newOutbox(work string, atOnce, toOne int, log *slog.Logger) outbox {
	return outbox{work: work, atOnce: atOnce, toOne: toOne, log: log, busy: map[string]int{}, done: make(chan string)}
}

// run calls look again and again until ctx ends; attempts under way then have a second
// left. look begins attempts under the context sending, and reports whether it left
// something because too many are under way.
func (o *outbox) run(ctx context.Context, every time.Duration, look func(ctx, sending context.Context) (more bool, err error)) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	more := false
	for {
		select {
		case <-ctx.Done():
			defer time.AfterFunc(sendDrain, cancel).Stop()
			for ; o.all > 0; o.all-- {
				<-o.done
			}
			return nil
		case receiver := <-o.done:
			o.end(receiver)
			o.endOthers()
			if !more {
				continue
			}
		case <-timer.C:
		}
		pause := every
		var err error
		if more, err = look(ctx, sending); err != nil && ctx.Err() == nil {
			o.log.ErrorContext(ctx, "background work failed", "work", o.work, "cause", err.Error())
			pause = lookAfterError
		}
		timer.Reset(pause)
	}
}

// keep stores what came of an attempt, and goes on trying while the database is not
// there: what was taken is not to be sent again for that.
func keep(ctx context.Context, store func(context.Context) error) error {
	for {
		err := store(context.WithoutCancel(ctx))
		if !errors.Is(err, storage.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(keepAgain):
		}
	}
}

func (o *outbox) end(receiver string) {
	o.all--
	if o.busy[receiver]--; o.busy[receiver] == 0 {
		delete(o.busy, receiver)
	}
}

// endOthers takes in what ended in the meantime: to look costs the same for one as for
// many.
func (o *outbox) endOthers() {
	for {
		select {
		case receiver := <-o.done:
			o.end(receiver)
		default:
			return
		}
	}
}

// room returns how many more attempts may be made at the same time for a receiver.
func (o *outbox) room(receiver string) int {
	return max(0, min(o.toOne-o.busy[receiver], o.atOnce-o.all))
}

// begin makes an attempt for a receiver, in a goroutine that run waits for.
func (o *outbox) begin(receiver string, attempt func()) {
	o.busy[receiver]++
	o.all++
	go func() {
		attempt()
		o.done <- receiver
	}()
}
