package provider

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/storage"
)

// What keys are for.
const (
	purposeToken      = "token"
	purposeCheckpoint = "checkpoint"
)

// publishAhead is how long a key is published before it signs (SECURITY I03).
const publishAhead = 24 * time.Hour

// wanted are the keys without which nothing works.
var wanted = []struct{ purpose, alg string }{
	{purposeToken, algRS256}, {purposeToken, algES256}, {purposeCheckpoint, "EdDSA"},
}

// ErrNoKeys says that the database lacks keys, as a new one does.
var ErrNoKeys = errors.New("the database lacks signing keys; run understudy init or serve first")

// ErrSecret says that the system secret does not open the stored keys.
var ErrSecret = errors.New("secrets.system does not decrypt the signing keys of this database")

// Keyring holds the keys that sign tokens and checkpoints. It is safe for
// concurrent use; Load replaces what it holds at once.
type Keyring struct {
	store   *storage.Store
	seals   []cipher.AEAD // the first encrypts, all decrypt
	keys    atomic.Pointer[keys]
	changed func() // called when the set of trusted keys changed
}

// keys are what was loaded at one time.
type keys struct {
	byID       map[string]*publicKey
	signers    map[string]map[string]jose.Signer // by algorithm, by typ
	checkpoint ed25519.PrivateKey                // signs
	verify     []ed25519.PrivateKey              // all that signed checkpoints
	set        []byte                            // the JSON Web Key Set
	etag       string
}

type publicKey struct {
	alg    string
	public crypto.PublicKey
}

// NewKeyring returns a keyring whose private keys are encrypted with a key derived
// from the first secret; the others still decrypt what they encrypted. Call Ensure
// or Load before use.
func NewKeyring(store *storage.Store, secrets ...string) (*Keyring, error) {
	k := &Keyring{store: store, changed: func() {}}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "understudy signing keys", 32)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		seal, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		k.seals = append(k.seals, seal)
	}
	return k, nil
}

// Ensure makes the keys that are missing, so that the first start has an RS256, an
// ES256 and a checkpoint key, and loads all. Of several that start at once one
// makes them.
func (k *Keyring) Ensure(ctx context.Context, now time.Time) error {
	have, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	var made []*storage.SigningKey
	for _, want := range wanted {
		if holds(have, want.purpose, want.alg, now) {
			continue
		}
		row, err := k.generate(want.purpose, want.alg, now)
		if err != nil {
			return err
		}
		made = append(made, row)
	}
	if len(made) == 0 {
		return k.Load(ctx, now)
	}
	err = k.store.Write(ctx, func(tx *storage.Tx) error {
		if err := tx.LockKeys(ctx); err != nil {
			return err
		}
		have, err := tx.SigningKeys(ctx) // another process may have been first
		if err != nil {
			return err
		}
		for _, row := range made {
			if holds(have, row.Purpose, row.Alg, now) {
				continue
			}
			if err := storeKey(ctx, tx, row, storage.Cause{}, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store keys: %w", err)
	}
	return k.Load(ctx, now)
}

// holds reports whether one of the keys is for the purpose and not retired.
func holds(keys []storage.SigningKey, purpose, alg string, now time.Time) bool {
	return slices.ContainsFunc(keys, func(k storage.SigningKey) bool {
		return k.Purpose == purpose && k.Alg == alg && !k.RetiredAt.Passed(now)
	})
}

// Rotate publishes the next token key of an algorithm, which signs from 24 hours
// later on, and returns its id.
func (k *Keyring) Rotate(ctx context.Context, alg string, by storage.Cause, now time.Time) (string, error) {
	if alg != algRS256 && alg != algES256 {
		return "", fmt.Errorf("algorithm %q: want RS256 or ES256", alg)
	}
	row, err := k.generate(purposeToken, alg, now.Add(publishAhead))
	if err != nil {
		return "", err
	}
	err = k.store.Write(ctx, func(tx *storage.Tx) error { return storeKey(ctx, tx, row, by, now) })
	if err != nil {
		return "", fmt.Errorf("store key: %w", err)
	}
	return row.ID, k.Load(ctx, now)
}

// Prune deletes token keys that were replaced at least longestToken ago, so that
// nothing they signed is still valid, and returns their ids.
func (k *Keyring) Prune(ctx context.Context, longestToken time.Duration, by storage.Cause, now time.Time) ([]string, error) {
	all, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	var gone []string
	for i, key := range all {
		if key.Purpose != purposeToken || !replaced(all[i+1:], key.Alg, now.Add(-longestToken)) {
			continue
		}
		err := k.store.Write(ctx, func(tx *storage.Tx) error {
			if err := tx.DeleteSigningKey(ctx, key.ID); err != nil {
				return err
			}
			return tx.Record(ctx, storage.Event{
				Type: storage.EventKeyRetired, ActorID: by.By, Data: storage.Data{"kid": key.ID, "alg": key.Alg},
			}, storage.Private{}, by.Request, now)
		})
		if err != nil {
			return gone, fmt.Errorf("delete key %s: %w", key.ID, err)
		}
		gone = append(gone, key.ID)
	}
	return gone, k.Load(ctx, now)
}

// replaced reports whether a later key of the algorithm has signed since then.
func replaced(later []storage.SigningKey, alg string, since time.Time) bool {
	for _, l := range later {
		if l.Purpose == purposeToken && l.Alg == alg && l.ActivatesAt.Passed(since) {
			return true
		}
	}
	return false
}

// generate makes a key, to be stored.
func (k *Keyring) generate(purpose, alg string, activates time.Time) (*storage.SigningKey, error) {
	private, err := newKey(alg)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	pub, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	priv, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	id := storage.NewID("key")
	return &storage.SigningKey{
		ID: id, Purpose: purpose, Alg: alg, PublicKey: pub,
		PrivateKey:  k.seals[0].Seal(nil, nil, priv, []byte(id)), //nolint:gosec // this AEAD takes a random nonce by itself
		ActivatesAt: storage.At(activates),
	}, nil
}

func storeKey(ctx context.Context, tx *storage.Tx, row *storage.SigningKey, by storage.Cause, now time.Time) error {
	if err := tx.CreateSigningKey(ctx, row, now); err != nil {
		return err
	}
	return tx.Record(ctx, storage.Event{
		Type: storage.EventKeyCreated, ActorID: by.By, Data: storage.Data{"kid": row.ID, "alg": row.Alg, "purpose": row.Purpose},
	}, storage.Private{}, by.Request, now)
}

func newKey(alg string) (crypto.Signer, error) {
	switch alg {
	case algRS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	case algES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}

// Load reads the keys again, and so takes up what another process made. ErrNoKeys:
// some are missing, and what was loaded before stays.
func (k *Keyring) Load(ctx context.Context, now time.Time) error {
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	for _, want := range wanted {
		if !holds(rows, want.purpose, want.alg, now) {
			return ErrNoKeys
		}
	}
	next := &keys{byID: map[string]*publicKey{}, signers: map[string]map[string]jose.Signer{}}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	active := map[string]storage.SigningKey{}
	for _, row := range rows { // in the order of activation: the last active one stays
		if row.Purpose == purposeCheckpoint {
			key, err := k.openCheckpoint(row)
			if err != nil {
				return err
			}
			next.verify = append(next.verify, key)
		}
		if row.RetiredAt.Passed(now) {
			continue
		}
		pub, err := x509.ParsePKIXPublicKey(row.PublicKey)
		if err != nil {
			return fmt.Errorf("key %s: %w", row.ID, err)
		}
		if row.Purpose == purposeToken {
			next.byID[row.ID] = &publicKey{row.Alg, pub}
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: pub, KeyID: row.ID, Algorithm: row.Alg, Use: "sig"})
		}
		kind := row.Purpose + row.Alg
		if _, found := active[kind]; !found || row.ActivatesAt.Passed(now) { // the first signs although its maker's clock is ahead
			active[kind] = row
		}
	}
	for _, row := range active {
		if err := k.activate(next, row); err != nil {
			return err
		}
	}
	if next.set, err = json.Marshal(set); err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	sum := sha256.Sum256(next.set)
	next.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	if was := k.keys.Swap(next); was != nil && was.etag != next.etag {
		k.changed()
	}
	return nil
}

// activate opens a private key and prepares its signers.
func (k *Keyring) activate(into *keys, row storage.SigningKey) error {
	if row.Purpose == purposeCheckpoint {
		key, err := k.openCheckpoint(row)
		into.checkpoint = key
		return err
	}
	private, err := k.open(row)
	if err != nil {
		return err
	}
	into.signers[row.Alg] = map[string]jose.Signer{}
	for _, typ := range []string{typAccessToken, typIDToken, typUserinfo} {
		key := jose.SigningKey{
			Algorithm: jose.SignatureAlgorithm(row.Alg),
			Key:       jose.JSONWebKey{Key: private, KeyID: row.ID},
		}
		signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return fmt.Errorf("key %s: %w", row.ID, err)
		}
		into.signers[row.Alg][typ] = signer
	}
	return nil
}

func (k *Keyring) open(row storage.SigningKey) (any, error) {
	for _, seal := range k.seals {
		if plain, err := seal.Open(nil, nil, row.PrivateKey, []byte(row.ID)); err == nil {
			return x509.ParsePKCS8PrivateKey(plain)
		}
	}
	return nil, fmt.Errorf("key %s: %w", row.ID, ErrSecret)
}

// openCheckpoint opens a key of checkpoints. Its public half is to be taken from
// the result: who can write to the database can exchange the one stored.
func (k *Keyring) openCheckpoint(row storage.SigningKey) (ed25519.PrivateKey, error) {
	private, err := k.open(row)
	if err != nil {
		return nil, err
	}
	key, ok := private.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %s: want an Ed25519 key, got %T", row.ID, private)
	}
	return key, nil
}

func (k *Keyring) current() *keys { return k.keys.Load() }

// Set returns the JSON Web Key Set and its entity tag.
func (k *Keyring) Set() (set []byte, etag string) {
	c := k.current()
	return c.set, c.etag
}

// Checkpoint returns the key that signs checkpoints of the audit tree.
func (k *Keyring) Checkpoint() ed25519.PrivateKey { return k.current().checkpoint }

// checkpoints returns every key that signed checkpoints, of which databases have
// two whose first servers started together.
func (k *Keyring) checkpoints() []ed25519.PrivateKey { return k.current().verify }

// sign returns claims as a compact JWT.
func (k *Keyring) sign(alg, typ string, claims any) (string, error) {
	signer := k.current().signers[alg][typ]
	if signer == nil {
		return "", fmt.Errorf("no active %s key", alg)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("marshal claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed.CompactSerialize()
}
