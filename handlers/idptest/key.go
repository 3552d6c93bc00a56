package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Key is a key of a client. It signs with the standard library alone, so that no
// test asks the product's library whether it is right.
type Key struct {
	ID, Alg string
	Private crypto.Signer
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewKey makes a key for RS256, PS256, ES256 or EdDSA. RSA takes long to make: all
// keys of a test run are the same one.
func NewKey(t testing.TB, id, alg string) *Key {
	t.Helper()
	k := &Key{ID: id, Alg: alg}
	var err error
	switch alg {
	case "ES256":
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.Private, err = rsaKey()
	}
	check(t, err)
	return k
}

var b64 = base64.RawURLEncoding

// JWK is the public key (RFC 7517).
func (k *Key) JWK() map[string]any {
	jwk := map[string]any{"use": "sig", "alg": k.Alg}
	if k.ID != "" {
		jwk["kid"] = k.ID
	}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64.EncodeToString(public.N.Bytes()), b64.EncodeToString(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err) // a key that we made
		}
		jwk["kty"], jwk["crv"] = "EC", "P-256"
		jwk["x"], jwk["y"] = b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64.EncodeToString(public)
	}
	return jwk
}

// KeySet is the JSON Web Key Set of keys.
func KeySet(keys ...*Key) string {
	set := map[string][]any{"keys": {}}
	for _, k := range keys {
		set["keys"] = append(set["keys"], k.JWK())
	}
	return asJSON(set)
}

// Sign returns a JWT with more headers than alg and kid; one that is nil is left out.
func (k *Key) Sign(t testing.TB, claims any, more map[string]any) string {
	t.Helper()
	header := map[string]any{"alg": k.Alg}
	if k.ID != "" {
		header["kid"] = k.ID
	}
	maps.Copy(header, more)
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	input := b64.EncodeToString([]byte(asJSON(header))) + "." + b64.EncodeToString([]byte(asJSON(claims)))
	return input + "." + b64.EncodeToString(k.SignBytes(t, []byte(input)))
}

// SignBytes returns a signature as RFC 7518 wants it.
func (k *Key) SignBytes(t testing.TB, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	switch private := k.Private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		check(t, err)
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input)
	}
	var options crypto.SignerOpts = crypto.SHA256
	if k.Alg == "PS256" {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := k.Private.Sign(rand.Reader, digest[:], options)
	check(t, err)
	return signature
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what tests write down
	}
	return string(text)
}

// AssertionClaims are those of a good assertion of a client, made anew each time.
func AssertionClaims(clientID string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": clientID, "sub": clientID, "aud": Issuer, "jti": rand.Text(), "iat": now, "exp": now + 60,
	}
}

// AssertionType is the value of client_assertion_type.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Assert adds a good assertion of a client to a form, and returns it.
func (k *Key) Assert(t testing.TB, clientID string, form url.Values) url.Values {
	t.Helper()
	form.Set("client_assertion_type", AssertionType)
	form.Set("client_assertion", k.Sign(t, AssertionClaims(clientID), nil))
	return form
}
