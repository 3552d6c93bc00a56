package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// prefixInitial is what an initial access token begins with.
const prefixInitial = "uit_"

// What an initial access token may be.
const (
	maxInitialUses     = 1_000_000
	maxInitialLifetime = 365 * 24 * time.Hour
)

// CreateInitialToken makes an initial access token that registers as many clients
// as t has uses left, until t expires. It fills in the rest of t and returns the
// token, which is not kept.
func (r *Registration) CreateInitialToken(ctx context.Context, t *storage.InitialAccessToken, by storage.Cause, now time.Time) (string, error) {
	var p problems
	p.unless(t.UsesLeft >= 1 && t.UsesLeft <= maxInitialUses, "uses %d: want 1 to %d", t.UsesLeft, maxInitialUses)
	lifetime := t.ExpiresAt.Time().Sub(storage.At(now).Time())
	p.unless(lifetime >= time.Second && lifetime <= maxInitialLifetime, "expires %v: want 1s to %v", lifetime, maxInitialLifetime)
	text := checkText(t.Description, maxClaim)
	p.unless(text == nil, "description %q: %w", t.Description, text)
	if err := p.err(); err != nil {
		return "", err
	}
	token := NewSecret(prefixInitial)
	t.ID, t.TokenHash, t.CreatedAt = storage.NewID("iat"), storage.Hash(token), storage.At(now)
	return token, r.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.CreateInitialAccessToken(ctx, t); err != nil {
			return err
		}
		return recordClient(ctx, tx, storage.EventInitialTokenCreated, "", storage.Data{
			"id": t.ID, "uses": t.UsesLeft, "expires_at": t.ExpiresAt.Time().Unix(),
		}, by, now)
	})
}

// RevokeInitialToken ends an initial access token. The clients that were registered
// with it stay. storage.ErrSpent: there is none with this id that could be used.
func (r *Registration) RevokeInitialToken(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return r.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.RevokeInitialAccessToken(ctx, id, now); err != nil {
			return fmt.Errorf("initial access token %q: %w", id, err)
		}
		return recordClient(ctx, tx, storage.EventInitialTokenRevoked, "", storage.Data{"id": id}, by, now)
	})
}
