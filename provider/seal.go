package provider

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// newSeal returns what encrypts and authenticates with a key that is derived from a
// secret for one purpose. It takes a random nonce by itself.
func newSeal(secret, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, 32)
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
	return seal, nil
}

// seals are of one purpose, each from another secret: the first encrypts, all decrypt.
type seals []cipher.AEAD

// close encrypts what belongs to a context.
func (s seals) close(plain []byte, context string) []byte {
	return s[0].Seal(nil, nil, plain, []byte(context)) //nolint:gosec // this AEAD takes a random nonce by itself
}

// open is the reverse, of what was closed in the same context. It returns which of the
// seals it was.
func (s seals) open(sealed []byte, context string) (plain []byte, by int, ok bool) {
	for i, seal := range s {
		if plain, err := seal.Open(nil, nil, sealed, []byte(context)); err == nil {
			return plain, i, true
		}
	}
	return nil, 0, false
}
