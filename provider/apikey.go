package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// prefixAPIKey is what an API key begins with.
const prefixAPIKey = "usk_"

// prefixAPIKeyID begins the id of an API key, and of nothing else.
const prefixAPIKeyID = "key"

// maxAPIKeyLifetime is how long a key that expires may live.
const maxAPIKeyLifetime = 10 * 365 * 24 * time.Hour

// ErrMoreThanHeld says that somebody would hand on permissions that they do not hold.
var ErrMoreThanHeld = errors.New("permissions: nobody hands on what they do not hold themselves")

// ErrMayNotSpeak says that a key would stand in for a client that its maker may not change.
var ErrMayNotSpeak = errors.New("client: a key stands in only for one that its maker may change")

// APIKeys makes and ends keys of the management API. Each method is one Write that
// holds the change and its event.
type APIKeys struct {
	store *storage.Store
	by    *storage.Standing // bounds what is given and reached; nil: an operator's, without bounds
}

// NewAPIKeys returns APIKeys on an open, migrated store, for an operator who may all.
func NewAPIKeys(store *storage.Store) *APIKeys { return &APIKeys{store: store} }

// For returns APIKeys that give no more than a standing has, and reach no further.
func (a *APIKeys) For(by storage.Standing) *APIKeys { return &APIKeys{a.store, &by} }

// Create makes a key with the name, permissions, organization, client and expiry of k.
// It fills in the rest of k and returns the secret, which is not kept.
// ErrMoreThanHeld: k has permissions that its maker does not hold there. ErrMayNotSpeak:
// it stands in for a client that they may not change.
// storage.ErrReference: there is no such organization or client.
func (a *APIKeys) Create(ctx context.Context, k *storage.APIKey, by storage.Cause, now time.Time) (string, error) {
	k.CreatedAt = storage.At(now)
	if err := validateAPIKey(k); err != nil {
		return "", err
	}
	if a.by != nil && (!a.reaches(k) || !mayAll(*a.by, k.Permissions, organizationOf(k))) {
		return "", ErrMoreThanHeld
	}
	secret := NewSecret(prefixAPIKey)
	k.ID, k.SecretHash, k.CreatedBy = storage.NewID(prefixAPIKeyID), storage.Hash(secret), by.By
	return secret, a.store.Write(ctx, func(tx *storage.Tx) error {
		if err := a.maySpeak(ctx, tx, k); err != nil {
			return err
		}
		if err := tx.CreateAPIKey(ctx, k); err != nil {
			return fmt.Errorf("API key %q: organization or client: %w", k.Name, err)
		}
		return recordAPIKey(ctx, tx, storage.EventAPIKeyCreated, k, storage.Data{
			"name": k.Name, "permissions": []string(k.Permissions), "expires_at": unixOr(k.ExpiresAt.Time()),
		}, by, now)
	})
}

// Revoke ends a key at once, and the impersonations that only it vouches for. storage.ErrNotFound: there is none with this id within
// reach. It is no error that it was revoked before.
func (a *APIKeys) Revoke(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return impersonation.Change(ctx, a.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		k, err := tx.APIKey(ctx, id)
		if err == nil && !a.reaches(k) {
			err = storage.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("API key %q: %w", id, err)
		}
		if err := tx.RevokeAPIKey(ctx, id, now); errors.Is(err, storage.ErrSpent) {
			return nil
		} else if err != nil {
			return fmt.Errorf("API key %q: %w", id, err)
		}
		if err := recordAPIKey(ctx, tx, storage.EventAPIKeyRevoked, k, storage.Data{"name": k.Name}, by, now); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Caller: id})
	})
}

// reaches reports whether a key is one that whoever acts may make and end.
func (a *APIKeys) reaches(k *storage.APIKey) bool {
	return a.by == nil || a.by.May(PermissionAPIKeysWrite, organizationOf(k))
}

// maySpeak asks whether a key may stand in for its client, whose codes it then opens
// where another product's API takes it for the client's secret: only who can get at that
// secret makes one.
func (a *APIKeys) maySpeak(ctx context.Context, tx *storage.Tx, k *storage.APIKey) error {
	if a.by == nil || k.ClientID == nil {
		return nil
	}
	if !a.by.May(PermissionClientsWrite, "") {
		return ErrMayNotSpeak
	}
	c, err := tx.Client(ctx, *k.ClientID)
	if err != nil {
		return fmt.Errorf("client %q: %w", *k.ClientID, referred(err))
	}
	if err := (&Registration{by: a.by}).mayChange(c); err != nil {
		return fmt.Errorf("%w: %w", ErrMayNotSpeak, err)
	}
	return nil
}

func organizationOf(k *storage.APIKey) string {
	if k.OrganizationID == nil {
		return ""
	}
	return *k.OrganizationID
}

func recordAPIKey(
	ctx context.Context, tx *storage.Tx, kind storage.EventType, k *storage.APIKey, data storage.Data, by storage.Cause, now time.Time,
) error {
	data["id"] = k.ID
	e := storage.Event{Type: kind, ActorID: by.By, OrganizationID: organizationOf(k), Data: data}
	if k.ClientID != nil {
		e.ClientID = *k.ClientID
	}
	return tx.Record(ctx, e, storage.Private{}, by.Request, now)
}

// validateAPIKey returns everything that is wrong with a key, or nil.
func validateAPIKey(k *storage.APIKey) error {
	var p problems
	text := checkText(k.Name, maxClaim)
	p.unless(strings.TrimSpace(k.Name) != "", "name: is missing")
	p.unless(text == nil, "name %q: %w", k.Name, text)
	p.unless(len(k.Permissions) > 0, "permissions: is empty")
	p.subset("permissions", k.Permissions, permissions)
	if k.ExpiresAt.Set() {
		lifetime := k.ExpiresAt.Time().Sub(k.CreatedAt.Time())
		p.unless(lifetime >= time.Second && lifetime <= maxAPIKeyLifetime, "expires_at: want a time within the next ten years")
	}
	return p.err()
}

// touchKeysEvery is how exactly it is known when a key was last used.
const touchKeysEvery = time.Minute

// keyUse remembers which keys were used, until somebody writes it down: no request
// waits for that.
type keyUse struct {
	mu   sync.Mutex
	last map[string]time.Time // of keys that have to be written down
}

func (u *keyUse) note(k *storage.APIKey, now time.Time) {
	if now.Sub(k.LastUsedAt.Time()) < touchKeysEvery {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]time.Time{}
	}
	u.last[k.ID] = now
}

func (u *keyUse) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := u.last
	u.last = nil
	return last
}

// NoteKeyUse writes down when API keys were last used. Call it every few seconds.
func (p *Provider) NoteKeyUse(ctx context.Context) error {
	last := p.used.take()
	if len(last) == 0 {
		return nil
	}
	return p.store.Write(ctx, func(tx *storage.Tx) error {
		for id, at := range last {
			if err := tx.TouchAPIKey(ctx, id, at); err != nil {
				return fmt.Errorf("API key %q: %w", id, err)
			}
		}
		return nil
	})
}

// Find returns a key within reach, or storage.ErrNotFound.
func (a *APIKeys) Find(ctx context.Context, id string) (*storage.APIKey, error) {
	k, err := a.store.APIKey(ctx, id)
	if err == nil && !a.reaches(k) {
		err = storage.ErrNotFound
	}
	return k, err
}
