package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// idempotencyMemory is how long the answer to an idempotent request is kept.
const idempotencyMemory = 24 * time.Hour

// The errors of Once.
var (
	ErrUnderWay   = errors.New("the request with this Idempotency-Key is still under way")
	ErrOtherUse   = errors.New("this Idempotency-Key was used for another request")
	ErrUnknownEnd = errors.New("the request with this Idempotency-Key did not finish")
)

// underWay is how long a request may take; one that is not finished then never will.
const underWay = time.Minute

// Reply is what a request was answered.
type Reply struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// Once runs what answers a request, unless it was sent before with the same key: then
// it returns the answer of that time, and that it did. key names who sends it and their
// Idempotency-Key, request what is asked for. Of many that send it at once one runs.
// Failures of ours are not kept, nor is it that somebody has to wait: they may be tried
// again.
//
// The answer is kept for a day, encrypted under a key that the database does not have.
func (p *Provider) Once(ctx context.Context, key, request string, now time.Time, run func() Reply) (a Reply, again bool, err error) {
	claim := &storage.IdempotentRequest{
		KeyHash: storage.Hash(key), RequestHash: storage.Hash(request), ExpiresAt: storage.At(now.Add(idempotencyMemory)),
	}
	var was *storage.IdempotentRequest
	err = p.store.Write(ctx, func(tx *storage.Tx) (err error) {
		was, err = tx.ClaimIdempotent(ctx, claim, now)
		return err
	})
	if err != nil {
		return a, false, err
	}
	if was != nil {
		a, err = p.answered(was, key, claim.RequestHash, now)
		return a, true, err
	}
	ctx = context.WithoutCancel(ctx) // whoever hangs up sends it again
	done := false
	defer func() {
		if !done { // also after a panic
			err = errors.Join(err, p.store.Write(ctx, func(tx *storage.Tx) error { return tx.ReleaseIdempotent(ctx, claim.KeyHash) }))
		}
	}()
	a = run()
	if a.Status >= http.StatusInternalServerError || a.Status == http.StatusTooManyRequests {
		return a, false, nil
	}
	done = true
	plain, err := json.Marshal(a)
	if err != nil {
		return a, false, err
	}
	sealed := p.Keys.answers.close(plain, key)
	if err := p.store.Write(ctx, func(tx *storage.Tx) error {
		return tx.FinishIdempotent(ctx, claim.KeyHash, a.Status, sealed)
	}); err != nil { // what was asked for is done; who sends it again learns that nobody knows
		p.log.ErrorContext(ctx, "the answer to an idempotent request is not kept", "cause", err.Error())
	}
	return a, false, nil
}

// answered returns what a request that was sent before has come to.
func (p *Provider) answered(was *storage.IdempotentRequest, key string, request []byte, now time.Time) (a Reply, err error) {
	switch {
	case string(was.RequestHash) != string(request):
		return a, ErrOtherUse
	case was.Status == 0 && now.Sub(was.CreatedAt.Time()) < underWay:
		return a, ErrUnderWay
	case was.Status == 0:
		return a, ErrUnknownEnd
	}
	plain, _, ok := p.Keys.answers.open(was.Sealed, key)
	if !ok { // the system secret is another one now
		return a, ErrUnknownEnd
	}
	return a, json.Unmarshal(plain, &a)
}
