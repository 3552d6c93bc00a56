package provider

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// The record is read from end to end this often, and never for more than a
// twentieth of the time.
const (
	verifyEvery = 10 * time.Minute
	verifyShare = 20
)

// Verified is what came of verifying the record.
type Verified struct {
	At   time.Time // when it was last read from end to end; zero: never
	Took time.Duration
	// Whole is when it was last found whole; zero: never.
	Whole time.Time

	storage.Verification
	Checkpoints int // how many the tree was compared with

	// Wrong is what does not match, nil where the record was whole.
	Wrong error
	// Failed is why it could not be read the last time, since then; nil: it could.
	Failed error
}

// Fresh reports whether the record was found whole not long ago.
func (v Verified) Fresh(now time.Time) bool {
	return v.Wrong == nil && !v.Whole.IsZero() && now.Sub(v.Whole) < 3*max(verifyEvery, verifyShare*v.Took)
}

// Watch verifies the record at once, then from time to time and whenever VerifyNow
// asks for it, until ctx ends.
func (a *Auditor) Watch(ctx context.Context) error {
	for done := make(chan struct{}); ; {
		a.verify(ctx)
		close(done)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(verifyEvery, verifyShare*a.Verified().Took)):
			done = make(chan struct{})
		case done = <-a.asked:
		}
	}
}

// VerifyNow has Watch verify the record and waits for the outcome, or until ctx
// ends; the outcome then comes later. Verified returns it.
func (a *Auditor) VerifyNow(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case a.asked <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Verified returns what the last verification in this process found.
func (a *Auditor) Verified() Verified {
	a.found.Lock()
	defer a.found.Unlock()
	return a.verified
}

// verify reads the record and remembers what it found. What is wrong is logged, so
// that those who can change the database cannot deny it.
func (a *Auditor) verify(ctx context.Context) {
	began := time.Now()
	var v storage.Verification
	checkpoints, err := 0, a.Sequence(ctx) // so that what was just done is read, too
	if err == nil {
		v, checkpoints, err = a.Verify(ctx)
	}
	a.found.Lock()
	defer a.found.Unlock()
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !errors.Is(err, ErrCheckpoint):
		a.verified.Failed = err
	default:
		whole := a.verified.Whole
		if err = errors.Join(err, v.Err()); err == nil {
			whole = began
		}
		a.verified = Verified{At: began, Took: time.Since(began), Whole: whole, Verification: v, Checkpoints: checkpoints, Wrong: err}
	}
	if err != nil && a.Log != nil {
		a.Log.ErrorContext(ctx, "the audit record could not be verified, or is not whole", "cause", err.Error())
	}
}
