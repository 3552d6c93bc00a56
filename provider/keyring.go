package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	seals   seals // of the private keys
	cursors seals // of the places where lists go on
	answers seals // of what idempotent requests were answered
	hooks   seals // of the secrets of webhooks
	keys    atomic.Pointer[keys]
	changed func() // called when the set of trusted keys changed

	loading sync.Mutex // what was read first must not come in last
}

// keys are what was loaded at one time.
type keys struct {
	byID       map[string]*publicKey
	signers    map[string]map[string]jose.Signer // by algorithm, by typ
	signs      map[string]string                 // by algorithm: the kid of its signers
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
		for purpose, seals := range map[string]*seals{
			"understudy signing keys": &k.seals, "understudy cursors": &k.cursors, "understudy idempotent answers": &k.answers,
			"understudy webhook secrets": &k.hooks,
		} {
			seal, err := newSeal(secret, purpose)
			if err != nil {
				return nil, err
			}
			*seals = append(*seals, seal)
		}
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
		if holds(have, want.purpose, want.alg) {
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
	err = k.locked(ctx, func(tx *storage.Tx, have []storage.SigningKey) error { // another process may have been first
		for _, row := range made {
			if holds(have, row.Purpose, row.Alg) {
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
func holds(keys []storage.SigningKey, purpose, alg string) bool {
	return slices.ContainsFunc(keys, func(k storage.SigningKey) bool {
		return k.Purpose == purpose && k.Alg == alg && !k.RetiredAt.Set()
	})
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
		PrivateKey: k.seal(id, priv), ActivatesAt: storage.At(activates),
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
	k.loading.Lock()
	defer k.loading.Unlock()
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	for _, want := range wanted {
		if !holds(rows, want.purpose, want.alg) {
			return ErrNoKeys
		}
	}
	was := k.keys.Load()
	next := &keys{byID: map[string]*publicKey{}, signers: map[string]map[string]jose.Signer{}, signs: map[string]string{}}
	var closed error // a private half does not open
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	signs := signing(rows, now)
	for _, row := range rows {
		if row.Purpose == purposeCheckpoint {
			key, err := k.openCheckpoint(row)
			if err != nil {
				closed = err
				continue
			}
			next.verify = append(next.verify, key)
		}
		if row.RetiredAt.Set() {
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
		switch {
		case signs[row.ID]:
			err = k.activate(next, row)
		case !row.ActivatesAt.Passed(now): // not only when its time has come
			_, err = k.open(row)
		}
		if err != nil {
			closed = err
		}
	}
	if closed != nil {
		if was == nil {
			return closed
		}
		next.keep(was)
	}
	if next.set, err = json.Marshal(set); err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	next.etag = entityTag(next.set)
	if k.keys.Store(next); was != nil && was.etag != next.etag {
		k.changed()
	}
	return closed
}

// keep takes over the signers that were opened before, of keys that are to sign now as
// well, when some private halves do not open any more. A key that was retired is not
// among them: who cannot open the next one does not sign, rather than with a key that
// is not trusted.
func (k *keys) keep(was *keys) {
	for alg, kid := range was.signs {
		if _, trusted := k.byID[kid]; trusted && k.signers[alg] == nil {
			k.signers[alg], k.signs[alg] = was.signers[alg], kid
		}
	}
	if k.checkpoint == nil {
		k.checkpoint = was.checkpoint
	}
	if len(k.verify) < len(was.verify) {
		k.verify = was.verify
	}
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
	into.signers[row.Alg], into.signs[row.Alg] = map[string]jose.Signer{}, row.ID
	for _, typ := range []string{typAccessToken, typIDToken, typUserinfo, typLogoutToken, typRefresh, typSession} {
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
	plain, _, err := k.unseal(row)
	if err != nil {
		return nil, err
	}
	return x509.ParsePKCS8PrivateKey(plain)
}

// seal encrypts a private key; it cannot be opened under another id.
func (k *Keyring) seal(id string, plain []byte) []byte {
	return k.seals.close(plain, id)
}

// unseal decrypts a private key. previous: only an earlier secret does.
func (k *Keyring) unseal(row storage.SigningKey) (plain []byte, previous bool, err error) {
	plain, by, ok := k.seals.open(row.PrivateKey, row.ID)
	if !ok {
		return nil, false, fmt.Errorf("key %s: %w", row.ID, ErrSecret)
	}
	return plain, by > 0, nil
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
