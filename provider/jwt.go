package provider

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/storage"
)

// The algorithms that keys have, and the types that tell our JWTs apart (RFC 8725
// section 3.11): an ID token is never taken for an access token (fosite #18).
const (
	algRS256 = "RS256"
	algES256 = "ES256"
	algPS256 = "PS256" // of clients only
	algEdDSA = "EdDSA" // of clients, and of checkpoints

	typAccessToken = "at+jwt"
	typIDToken     = "JWT"
	typUserinfo    = "userinfo+jwt"
	typLogoutToken = "logout+jwt"
	typRefresh     = "refresh+jwt" // as Descope's SDKs keep it
	typSession     = "session+jwt"
)

// maxJWT is how long a JWT may be that somebody presents.
const maxJWT = 8 << 10

var errNotOurs = errors.New("not a token of ours")

// verify returns the payload of a JWT that one of our keys signed, of the given
// type. It looks at nothing but the header before the signature is checked, takes
// the key by its kid (fosite #24) and its algorithm from the key.
func (k *Keyring) verify(token, typ string) ([]byte, error) {
	if len(token) > maxJWT || strings.Count(token, ".") != 2 {
		return nil, errNotOurs
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, errNotOurs
	}
	// A decoder of base64 skips line breaks and drops the last bits: one token
	// would have many spellings (SECURITY B13).
	if spelled, err := signed.CompactSerialize(); err != nil || spelled != token {
		return nil, errNotOurs
	}
	header := signed.Signatures[0].Protected
	key, ok := k.current().byID[header.KeyID]
	if !ok || header.Algorithm != key.alg {
		return nil, errNotOurs
	}
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(got, typ) {
		return nil, errNotOurs
	}
	payload, err := signed.Verify(key.public)
	if err != nil {
		return nil, errNotOurs
	}
	return payload, nil
}

// accessToken returns the claims of a JWT access token of ours that has not
// expired. It says nothing about the grant.
func (p *Provider) accessToken(token string, now time.Time) (*accessToken, error) {
	hash := [32]byte(storage.Hash(token))
	t := p.verified.get(hash)
	if t == nil {
		payload, err := p.Keys.verify(token, typAccessToken)
		if err != nil {
			return nil, err
		}
		t = new(accessToken)
		if err := json.Unmarshal(payload, t); err != nil || t.Issuer != p.config.Issuer {
			return nil, errNotOurs
		}
		p.verified.put(hash, t)
	}
	if now.Unix() >= t.Expires {
		return nil, errNotOurs
	}
	return t, nil
}

// verifiedTokens remembers access tokens whose signature was good, by the hash of
// the whole token: verifying ES256 costs more than the rest of a request. It has
// two generations; when the young one is full it becomes the old one.
type verifiedTokens struct {
	mu         sync.Mutex
	young, old map[[32]byte]*accessToken
}

const verifiedGeneration = 8192

func newVerifiedTokens() *verifiedTokens {
	return &verifiedTokens{young: map[[32]byte]*accessToken{}}
}

func (v *verifiedTokens) get(hash [32]byte) *accessToken {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.young[hash]; t != nil {
		return t
	}
	return v.old[hash]
}

func (v *verifiedTokens) put(hash [32]byte, t *accessToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= verifiedGeneration {
		v.old, v.young = v.young, make(map[[32]byte]*accessToken, verifiedGeneration)
	}
	v.young[hash] = t
}

// forget drops everything, when a key is no longer trusted.
func (v *verifiedTokens) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.young, v.old = map[[32]byte]*accessToken{}, nil
}
