package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json" // compares names byte by byte, and refuses one that comes twice
	"golang.org/x/sync/singleflight"

	"github.com/understudy-id/understudy/storage"
)

// How many of a client's keys are looked at.
const (
	maxClientKeys = 50 // of a set
	maxTriedKeys  = 5  // for one signature
)

// clientPublicKey is a public key of a client.
type clientPublicKey struct {
	id, alg string // as far as the client said
	public  crypto.PublicKey
}

// fits reports whether a key may have made a signature with alg.
func (k *clientPublicKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch k.public.(type) {
	case *rsa.PublicKey:
		return alg == algRS256 || alg == algPS256
	case *ecdsa.PublicKey:
		return alg == algES256
	case ed25519.PublicKey:
		return alg == algEdDSA
	}
	return false
}

// signed reports whether a key that fits made the signature (RFC 7518 section 3).
func (k *clientPublicKey) signed(j *clientJWT) bool {
	digest := sha256.Sum256(j.input)
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if j.alg == algRS256 {
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], j.signature) == nil
		}
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], j.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		if len(j.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(j.signature[:32]), new(big.Int).SetBytes(j.signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, j.input, j.signature)
	}
	return false
}

// keySet are the keys of a client at one version of it.
type keySet struct {
	version int64
	created storage.Time
	keys    []clientPublicKey
	good    time.Time // when they were fetched; zero: never, or they are in its row
	tried   time.Time // when that was tried last
	early   time.Time // when it was last tried for a key that was not there
	err     error     // why it failed last
}

// errUnknownKey is errNotTheirs where another set might have the key.
var errUnknownKey = fmt.Errorf("%w: none of its keys", errNotTheirs)

// verify takes the key with the header's kid; where there is none, each that fits.
func (s *keySet) verify(j *clientJWT) ([]byte, error) {
	tried := 0
	for i := range s.keys {
		k := &s.keys[i]
		if j.kid != "" && k.id != j.kid || !k.fits(j.alg) {
			continue
		}
		if tried++; tried > maxTriedKeys {
			break
		}
		if k.signed(j) {
			return j.payload, nil
		}
	}
	if j.kid != "" && tried > 0 {
		return nil, fmt.Errorf("%w: bad signature", errNotTheirs)
	}
	return nil, errUnknownKey
}

// When keys that clients publish are fetched.
const (
	keysFresh = 15 * time.Minute // until then they are used as they are
	keysPause = 30 * time.Second // between tries out of turn: nobody makes us hammer an address
	keysLast  = time.Hour        // how long they count while their address does not answer
)

// maxKeySets bounds how many clients' keys are remembered.
const maxKeySets = 1024

// clientKeys knows the keys of clients, from their row or from where they publish
// them. A client that was changed is another one: an old set never serves it.
type clientKeys struct {
	caller  *caller
	flights singleflight.Group
	decoys  keySet

	mu   sync.Mutex
	sets map[string]*keySet // by client; not changed once they are here
}

func newClientKeys(caller *caller) *clientKeys {
	return &clientKeys{caller: caller, decoys: decoys(), sets: map[string]*keySet{}}
}

// of returns the keys of a client.
func (k *clientKeys) of(ctx context.Context, c *storage.Client) (*keySet, error) {
	s, now := k.get(c), time.Now()
	switch {
	case c.JWKSURI == "":
		if s == nil {
			s = &keySet{version: c.Version, created: c.CreatedAt}
			s.keys, _, s.err = parseKeySet([]byte(c.JWKS))
			k.put(c, s)
		}
		if s.err != nil {
			return nil, fmt.Errorf("%w: %w", errNoKeys, s.err)
		}
		return s, nil
	case s != nil && (now.Sub(s.good) < keysFresh || now.Sub(s.tried) < keysPause):
		return s.usable(now)
	}
	return k.fetch(ctx, c, false)
}

// again returns the keys of a client whose set s lacks one. They are fetched before
// their time, but not so twice in a moment.
func (k *clientKeys) again(ctx context.Context, c *storage.Client, s *keySet) (*keySet, error) {
	now := time.Now()
	if latest := k.get(c); latest != nil && latest != s {
		return latest.usable(now)
	}
	if now.Sub(s.early) < keysPause || s.err != nil && now.Sub(s.tried) < keysPause {
		return s, nil
	}
	return k.fetch(ctx, c, true)
}

// usable keeps the last good keys alive while their address fails, for a while.
func (s *keySet) usable(now time.Time) (*keySet, error) {
	if now.Sub(s.good) < keysLast {
		return s, nil
	}
	return nil, fmt.Errorf("%w: jwks_uri: %w", errNoKeys, s.err)
}

// fetch asks the client's address; requests that come meanwhile share the answer.
// Who asked first may go away without harm to the others.
func (k *clientKeys) fetch(ctx context.Context, c *storage.Client, early bool) (*keySet, error) {
	flight := fmt.Sprintf("%s %d %d", c.ID, c.Version, c.CreatedAt)
	answer := k.flights.DoChan(flight, func() (any, error) {
		next, now := &keySet{version: c.Version, created: c.CreatedAt}, time.Now()
		if s := k.get(c); s != nil {
			*next = *s
		}
		if next.tried = now; early {
			next.early = now
		}
		keys, err := k.published(context.WithoutCancel(ctx), c.JWKSURI)
		if next.err = err; err == nil {
			next.keys, next.good = keys, now
		}
		k.put(c, next)
		return next, nil
	})
	select {
	case r := <-answer:
		return r.Val.(*keySet).usable(time.Now())
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// published fetches a key set. A panic would end the process, not only a request:
// the document is somebody else's, and so is what reads it.
func (k *clientKeys) published(ctx context.Context, address string) (keys []clientPublicKey, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	document, err := k.caller.get(ctx, address)
	if err != nil {
		return nil, err
	}
	keys, _, err = parseKeySet(document)
	return keys, err
}

func (k *clientKeys) get(c *storage.Client) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sets[c.ID]
	if s == nil || s.version != c.Version || s.created != c.CreatedAt {
		return nil
	}
	return s
}

func (k *clientKeys) put(c *storage.Client, s *keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.sets[c.ID]; !there && len(k.sets) >= maxKeySets {
		for id := range k.sets {
			delete(k.sets, id)
			break
		}
	}
	k.sets[c.ID] = s
}

// pretend costs what verifying costs, for a client that there is not (SECURITY F06).
func (k *clientKeys) pretend(j *clientJWT) {
	decoy := *j
	decoy.kid = ""
	_, _ = k.decoys.verify(&decoy)
}

// decoys are keys that nobody has the private part of.
func decoys() keySet {
	n := make([]byte, 256)
	_, _ = rand.Read(n) // never fails
	n[0] |= 0x80
	n[len(n)-1] |= 1
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // no error from rand.Reader
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // no error from rand.Reader
	}
	return keySet{keys: []clientPublicKey{
		{public: &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}}, {public: &ec.PublicKey}, {public: ed},
	}}
}

var (
	errNoKeySet   = errors.New("want a JSON Web Key Set with at least one key for signatures")
	errPrivateKey = errors.New("has a private or symmetric key; want public ones")
	errWeakKey    = errors.New("want RSA of 2048 to 8192 bits, EC on P-256, or Ed25519")
)

// parseKeySet returns the public keys of a JSON Web Key Set that may sign, and what
// is wrong with others. Keys for encryption, and for algorithms that are not ours,
// are left out without a word.
func parseKeySet(document []byte) (keys []clientPublicKey, wrong []error, err error) {
	var set struct {
		Keys *[]josejson.RawMessage `json:"keys"`
	}
	if err := josejson.Unmarshal(document, &set); err != nil || set.Keys == nil {
		return nil, nil, errNoKeySet
	}
	all := *set.Keys
	if len(all) > maxClientKeys {
		wrong = append(wrong, fmt.Errorf("has %d keys; only the first %d are looked at", len(all), maxClientKeys))
		all = all[:maxClientKeys]
	}
	for _, raw := range all {
		key, err := parsePublicKey(raw)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case key != nil:
			keys = append(keys, *key)
		}
	}
	return keys, wrong, nil
}

// parsePublicKey returns a JSON Web Key (RFC 7517 section 4), nil where it is for
// something else.
func parsePublicKey(raw josejson.RawMessage) (*clientPublicKey, error) {
	var members map[string]josejson.RawMessage
	if err := josejson.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("has what is not a key: %w", err)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if members[private] != nil {
			return nil, errPrivateKey
		}
	}
	var about struct {
		Use string   `json:"use"`
		Ops []string `json:"key_ops"`
		Alg string   `json:"alg"`
		ID  string   `json:"kid"`
		X   string   `json:"x"`
	}
	if err := josejson.Unmarshal(raw, &about); err != nil {
		return nil, fmt.Errorf("has what is not a key: %w", err)
	}
	alg := algNamed(about.Alg)
	if about.Use != "" && about.Use != "sig" || about.Ops != nil && !slices.Contains(about.Ops, "verify") ||
		alg != "" && !slices.Contains(clientAlgs, alg) {
		return nil, nil //nolint:nilnil // for something else
	}
	key := clientPublicKey{id: about.ID, alg: alg}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("key %q: %w", about.ID, errWeakKey)
	}
	switch public := parsed.Key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits >= 2048 && bits <= 8192 && public.E >= 3 && public.E%2 == 1 {
			key.public = public
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			key.public = public
		}
	case ed25519.PublicKey:
		if len(about.X) == base64.RawURLEncoding.EncodedLen(ed25519.PublicKeySize) { // go-jose fills up a short one
			key.public = public
		}
	}
	if key.public == nil || alg != "" && !key.fits(alg) {
		return nil, fmt.Errorf("key %q: %w", about.ID, errWeakKey)
	}
	return &key, nil
}
