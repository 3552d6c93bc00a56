package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gorm.io/gorm"
)

// Tx is one unit of work within a Write: its reads see its own writes.
type Tx struct{ Queries }

// Write runs fn and makes what it did durable, or undoes all of it and returns
// fn's error. When Write returns nil the change survives a power loss. fn holds
// only SQL: no signing, no network, no second Write; it may run more than once
// and must not keep its Tx.
//
// On SQLite concurrent Writes share one transaction and one fsync: each fn runs
// under its own savepoint, so that one failure harms no neighbour. On PostgreSQL
// each is a transaction of its own, run again when the server reports a conflict.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return translate(err)
	}
	fn = claimed(ctx, fn)
	if s.dialect == SQLite {
		return s.group.write(ctx, fn)
	}
	return s.writePostgres(ctx, fn)
}

// conflictRetries is how often a transaction that lost a conflict is run again.
const conflictRetries = 5

func (s *Store) writePostgres(ctx context.Context, fn func(*Tx) error) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// However long it takes, as an end of all that runs may, something has to move.
	watch := time.AfterFunc(s.most, func() { giveUp(context.DeadlineExceeded) })
	defer watch.Stop()
	moved := func() { watch.Reset(s.most) }
	for try := 0; ; try++ {
		moved()
		err := s.write.WithContext(ctx).Transaction(func(db *gorm.DB) error {
			defer moved()
			within := s.Queries
			within.db, within.moved = db, moved
			return protect(fn, &Tx{within})
		})
		if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled)) {
			err = context.Cause(ctx) // what ended the transaction behind fn's back
		}
		if err == nil || !conflicted(err) || try == conflictRetries {
			return translate(err)
		}
		pause := time.Duration(1+rand.IntN(10<<try)) * time.Millisecond //nolint:gosec // no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return translate(context.Cause(ctx))
		}
	}
}

// protect turns a panic in fn into an error, so that its neighbours go on.
func protect(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage: panic in a write: %v", p)
		}
	}()
	return fn(tx)
}

// group lets the Writes that arrive while one commits share the next commit.
// The first to find no leader leads: it runs its own and every waiting closure
// in one transaction, commits once, answers all, and hands the lead to whoever
// came meanwhile. There is no goroutine of its own to start or stop.
type group struct {
	writer *sqliteWriter
	db     *gorm.DB // over writer; only the leader uses it
	trace  func(string)

	derived *derived // the Store's

	mu      sync.Mutex
	closed  bool
	leading bool
	waiting []*pending
}

// pending is one closure that waits for its commit.
type pending struct {
	ctx  context.Context
	fn   func(*Tx) error
	err  error
	done chan struct{} // closed when err is final
	lead chan struct{} // receives the lead
}

// groupLimit bounds how many closures share a commit, and with it how long a
// neighbour waits.
const groupLimit = 128

func (g *group) write(ctx context.Context, fn func(*Tx) error) error {
	p := &pending{ctx: ctx, fn: fn, done: make(chan struct{}), lead: make(chan struct{}, 1)}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	g.waiting = append(g.waiting, p)
	if !g.leading {
		g.leading = true
		p.lead <- struct{}{}
	}
	g.mu.Unlock()

	select {
	case <-p.done:
	case <-p.lead:
		g.run()
		<-p.done
	case <-ctx.Done():
		if g.leave(p) {
			return translate(ctx.Err())
		}
		<-p.done
	}
	return p.err
}

// leave takes p out of the queue. It reports false when p was taken into a
// commit already; the caller then waits for the outcome, which is soon. A p that
// was offered the lead in the meantime passes it on.
func (g *group) leave(p *pending) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w != p {
			continue
		}
		g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
		select {
		case <-p.lead:
			g.handOver()
		default:
		}
		return true
	}
	return false
}

// handOver gives the lead to the first who waits. The caller holds mu.
func (g *group) handOver() {
	if len(g.waiting) == 0 {
		g.leading = false
		return
	}
	g.waiting[0].lead <- struct{}{}
}

// run commits one batch, answers its closures and hands the lead over. It does
// so even when a closure ends the goroutine (runtime.Goexit): otherwise all
// Writes to come would wait for a leader that is gone.
func (g *group) run() {
	b := batch{group: g, db: g.writer}
	err := errors.New("a closure ended its goroutine")
	defer func() { b.answer(err) }()
	err = b.commit()
}

// answer tells the closures of a batch how it ended. When it was lost, it was so
// for all of them: also one that failed may have failed for what a neighbour
// did, which now never happened.
func (b *batch) answer(err error) {
	g := b.group
	g.mu.Lock()
	if !b.begun { // the database did not even begin: nobody who waits would fare better
		b.ran = append(b.ran, g.waiting...)
		g.waiting = nil
	}
	g.handOver()
	g.mu.Unlock()
	for _, p := range b.ran {
		if err != nil {
			p.err = fmt.Errorf("%w: commit: %w", ErrUnavailable, err)
		}
		close(p.done)
	}
}

// next takes the next closure that waits, nil when there is none.
func (g *group) next() *pending {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return nil
	}
	p := g.waiting[0]
	g.waiting = g.waiting[1:]
	return p
}

// batch is the closures that share one transaction.
type batch struct {
	group *group
	db    *sqliteWriter
	begun bool
	ran   []*pending

	broken error // the transaction itself is lost
}

func (b *batch) commit() error {
	ctx := context.Background() // one caller's patience is not the others'
	if err := b.db.begin(ctx); err != nil {
		return err
	}
	b.begun = true
	changed, committed := false, false
	defer func() {
		if !committed {
			b.db.rollback(ctx)
		}
	}()
	for len(b.ran) < groupLimit {
		p := b.group.next()
		if p == nil {
			break
		}
		b.ran = append(b.ran, p)
		if p.err = translate(p.ctx.Err()); p.err != nil {
			continue
		}
		if p.err = b.apply(p, !changed); p.err == nil {
			changed = true
		}
		if b.broken != nil {
			return b.broken
		}
	}
	if !changed {
		return nil
	}
	err := b.db.run(ctx, "COMMIT")
	committed = err == nil
	return err
}

// apply runs one closure so that its failure can be undone alone. The first needs
// no savepoint: undoing it is undoing everything, and most batches have no second.
func (b *batch) apply(p *pending, first bool) error {
	ctx := context.Background()
	if !first {
		if b.broken = b.db.run(ctx, "SAVEPOINT closure"); b.broken != nil {
			return b.broken
		}
	}
	err := translate(protect(p.fn, &Tx{Queries{db: b.group.db, dialect: SQLite, trace: b.group.trace, derived: b.group.derived}}))
	switch {
	case first && err != nil:
		b.db.rollback(ctx)
		b.broken = b.db.begin(ctx)
	case err != nil:
		// SQLite ends the whole transaction when the disk is full or fails. What
		// came before is then gone, and what came after would commit by itself.
		if lost := b.db.run(ctx, "ROLLBACK TO closure"); lost != nil {
			b.broken = fmt.Errorf("%w, after: %s", lost, err.Error())
			return err
		}
		b.broken = b.db.run(ctx, "RELEASE closure")
	case !first:
		b.broken = b.db.run(ctx, "RELEASE closure")
	}
	return err
}

// close waits for the commit under way and gives the connection back. Whoever
// writes afterwards is told ErrUnavailable.
func (g *group) close() {
	for {
		g.mu.Lock()
		g.closed = true
		if !g.leading {
			g.writer.drop()
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}
