package provider

import (
	"context"
	"encoding/json"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// work is what one request does to the database. fosite's storage calls add to
// it; one Write carries it out; then the tokens are signed. Nothing is signed
// inside the Write, and nothing is answered before it.
type work struct {
	client     *storage.Client // who authenticated
	assertion  *assertion      // with what; nil: otherwise
	translated *TokenRequest   // the request in another vendor's words; nil: it came in the standard's
	issuer     string          // whom an ID token names as its issuer; empty: the issuer

	depth     int // open BeginTX calls
	writes    []func(*storage.Tx) error
	granted   *storage.Granted // what the presented code or refresh token belongs to
	tokens    []storage.Token  // to store, in one statement
	audience  []string         // what this access token is narrowed to; nil: all that was granted
	access    *accessToken     // to sign after the commit; nil: opaque
	id        *idToken
	extra     map[string]any // of the response
	rotates   string         // the refresh token that takes the place of the presented one, where its holder may ask for it again
	successor string         // the one that took its place before: the request is a repetition
	lost      error          // a revocation that must not be lost failed
	exchange  *exchange      // of tokens; nil: another grant type
	info      storage.Request
}

type workKey struct{}

// Begin returns a context that collects what the request does. info is what the
// record keeps of it.
func Begin(ctx context.Context, info storage.Request) context.Context {
	return context.WithValue(ctx, workKey{}, &work{info: info, extra: map[string]any{}})
}

// beginAgain is Begin for a second try of the same request: its client has
// authenticated, and spent the assertion it did so with.
func beginAgain(ctx context.Context) context.Context {
	w := workOf(ctx)
	ctx = Begin(ctx, w.info)
	again := workOf(ctx)
	again.client, again.assertion, again.translated, again.issuer = w.client, w.assertion, w.translated, w.issuer
	return ctx
}

// workOf returns the request's work. Its absence is a mistake in the program.
func workOf(ctx context.Context) *work { return ctx.Value(workKey{}).(*work) }

// add puts a change into the unit of work, or carries it out at once when no
// unit is open: a revocation stands even though its request is refused.
func (w *work) add(ctx context.Context, s *storage.Store, fn func(*storage.Tx) error) error {
	if w.depth == 0 {
		return w.write(ctx, s, fn)
	}
	w.writes = append(w.writes, fn)
	return nil
}

// owes reports whether the client's assertion is still to be spent.
func (w *work) owes() bool { return w.assertion != nil && !w.assertion.spent }

// write carries a change out. The request's first one spends its client's assertion
// before anything else: who presents one again changes nothing, and revokes nothing.
func (w *work) write(ctx context.Context, s *storage.Store, fn func(*storage.Tx) error) error {
	if !w.owes() {
		return impersonation.Write(ctx, s, fn)
	}
	err := impersonation.Write(ctx, s, func(tx *storage.Tx) error {
		if err := w.assertion.spend(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	})
	w.assertion.spent = err == nil
	return err
}

// BeginTX opens a unit of work, or joins the one that is open.
func (s *fositeStore) BeginTX(ctx context.Context) (context.Context, error) {
	workOf(ctx).depth++
	return ctx, nil
}

// Commit carries the unit out when its outermost part is done.
func (s *fositeStore) Commit(ctx context.Context) error {
	w := workOf(ctx)
	if w.depth--; w.depth > 0 {
		return nil
	}
	writes, tokens := w.writes, w.tokens
	w.writes, w.tokens = nil, nil
	if len(writes)+len(tokens) == 0 && !w.owes() {
		return nil
	}
	return w.write(ctx, s.store, func(tx *storage.Tx) error {
		for _, fn := range writes {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return tx.CreateTokens(ctx, tokens)
	})
}

// Rollback forgets what was collected.
func (s *fositeStore) Rollback(ctx context.Context) error {
	w := workOf(ctx)
	w.depth = max(0, w.depth-1)
	w.writes, w.tokens = nil, nil
	return nil
}

// asRaw marshals what cannot fail to.
func asRaw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings
	}
	return b
}
