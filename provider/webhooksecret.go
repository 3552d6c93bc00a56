package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

const (
	webhookSecretSize = 32
	// prefixWebhookSecret begins a secret (Standard Webhooks, Signature scheme).
	prefixWebhookSecret = "whsec_"
	// secretOverlap is how long an earlier secret signs beside the new one.
	secretOverlap = 24 * time.Hour
)

// newWebhookSecret returns a secret as Standard Webhooks spells it.
func newWebhookSecret() string {
	b := make([]byte, webhookSecretSize)
	_, _ = rand.Read(b) // it never fails
	return prefixWebhookSecret + base64.StdEncoding.EncodeToString(b)
}

// sealWebhook encrypts a secret of a webhook; it cannot be opened as another's.
func (k *Keyring) sealWebhook(id string, secret []byte) []byte {
	return k.hooks.close(secret, id)
}

// unsealWebhook decrypts a secret of a webhook. previous: only an earlier system secret
// does.
func (k *Keyring) unsealWebhook(id string, sealed []byte) (secret []byte, previous bool, err error) {
	secret, by, ok := k.hooks.open(sealed, id)
	if !ok {
		return nil, false, fmt.Errorf("webhook %s: %w", id, ErrSecret)
	}
	return secret, by > 0, nil
}

// webhookSecrets returns what the messages of a webhook are signed with, the current
// secret first.
func (k *Keyring) webhookSecrets(w *storage.Webhook, now time.Time) ([]string, error) {
	sealed := [][]byte{w.Secret}
	if w.PreviousSecret != nil && !w.PreviousSecretUntil.Passed(now) {
		sealed = append(sealed, w.PreviousSecret)
	}
	var secrets []string
	for _, s := range sealed {
		secret, _, err := k.unsealWebhook(w.ID, s)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, string(secret))
	}
	return secrets, nil
}

// SealedWebhooks returns the ids of webhooks of which a secret opens with an earlier
// system secret only.
func (k *Keyring) SealedWebhooks(webhooks []storage.Webhook) (previous []string) {
	for _, w := range webhooks {
		if _, _, earlier, err := k.resealed(&w); err == nil && earlier {
			previous = append(previous, w.ID)
		}
	}
	return previous
}

// resealed encrypts the secrets of a webhook with the current system secret. earlier:
// one of them was not.
func (k *Keyring) resealed(w *storage.Webhook) (secret, previous []byte, earlier bool, err error) {
	plain, earlier, err := k.unsealWebhook(w.ID, w.Secret)
	if err != nil {
		return nil, nil, false, err
	}
	secret = k.sealWebhook(w.ID, plain)
	if w.PreviousSecret == nil {
		return secret, nil, earlier, nil
	}
	plain, too, err := k.unsealWebhook(w.ID, w.PreviousSecret)
	if err != nil {
		return nil, nil, false, err
	}
	return secret, k.sealWebhook(w.ID, plain), earlier || too, nil
}

// reencryptWebhooks does for the secrets of webhooks what reencrypt does for keys.
func (k *Keyring) reencryptWebhooks(ctx context.Context, now time.Time) (ids []string, err error) {
	webhooks, err := k.store.Webhooks(ctx)
	if err != nil {
		return nil, fmt.Errorf("load webhooks: %w", err)
	}
	for _, w := range webhooks {
		secret, previous, earlier, err := k.resealed(&w)
		if err != nil || !earlier {
			continue
		}
		err = k.store.Write(ctx, func(tx *storage.Tx) error {
			if err := tx.ReencryptWebhook(ctx, &w, secret, previous); err != nil {
				return err
			}
			return tx.Record(ctx, storage.Event{
				Type: storage.EventKeyReencrypted, Data: storage.Data{"webhook": w.ID, "purpose": "webhook"},
			}, storage.Private{}, storage.Request{}, now)
		})
		switch {
		case errors.Is(err, storage.ErrSpent): // another process was first, or it got another secret
		case err != nil:
			return ids, fmt.Errorf("encrypt the secrets of webhook %s anew: %w", w.ID, err)
		default:
			ids = append(ids, w.ID)
		}
	}
	return ids, nil
}
