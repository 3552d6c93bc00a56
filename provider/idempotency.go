package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// The errors of Once.
var (
	ErrUnderWay   = errors.New("the request with this Idempotency-Key is still under way")
	ErrOtherUse   = errors.New("this Idempotency-Key was used for another request")
	ErrUnknownEnd = errors.New("what the request with this Idempotency-Key was answered is lost")
)

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
// What run changes under its context is noted in the same transaction. So a request that
// was cut short, by a crash too, is run again by whoever sends it next if it had changed
// nothing, and otherwise not: ErrUnknownEnd.
//
// The answer is kept for a day, encrypted under a key that the database does not have.
func (p *Provider) Once(
	ctx context.Context, key, request string, now time.Time, run func(context.Context) Reply,
) (a Reply, again bool, err error) {
	claim := &storage.IdempotentRequest{KeyHash: storage.Hash(key), RequestHash: storage.Hash(request)}
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
	kept := false
	defer func() {
		if !kept { // also after a panic
			p.release(ctx, claim, a.Status == http.StatusTooManyRequests)
		}
	}()
	a = run(storage.Answering(ctx, claim))
	if a.Status >= http.StatusInternalServerError || a.Status == http.StatusTooManyRequests {
		return a, false, nil
	}
	plain, err := json.Marshal(a)
	if err != nil {
		return a, false, err
	}
	kept = true
	sealed := p.Keys.answers.close(plain, key)
	err = p.store.Write(ctx, func(tx *storage.Tx) error { return tx.FinishIdempotent(ctx, claim, a.Status, sealed) })
	if errors.Is(err, storage.ErrSpent) { // it took so long that another took it over, and nothing of it was done here
		return a, false, ErrUnderWay
	}
	if err != nil { // whoever sends it again learns that the answer is lost
		p.log.ErrorContext(ctx, "the answer to an idempotent request is not kept", "cause", err.Error())
	}
	return a, false, nil
}

// release lets a request be tried again at once. Where that fails too, or takes long, it
// can be when the claim has run out.
func (p *Provider) release(ctx context.Context, claim *storage.IdempotentRequest, done bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := p.store.Write(ctx, func(tx *storage.Tx) error { return tx.ReleaseIdempotent(ctx, claim, done) })
	if err != nil {
		p.log.ErrorContext(ctx, "an idempotent request cannot be tried again yet", "cause", err.Error())
	}
}

// answered returns what a request that was sent before has come to.
func (p *Provider) answered(was *storage.IdempotentRequest, key string, request []byte, now time.Time) (a Reply, err error) {
	switch {
	case string(was.RequestHash) != string(request):
		return a, ErrOtherUse
	case was.Status <= storage.IdempotentDone && was.Fresh(now):
		return a, ErrUnderWay
	case was.Status <= storage.IdempotentDone:
		return a, ErrUnknownEnd
	}
	plain, _, ok := p.Keys.answers.open(was.Sealed, key)
	if !ok { // the system secret is another one now
		return a, ErrUnknownEnd
	}
	return a, json.Unmarshal(plain, &a)
}
