package storage

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// NewID returns an unguessable identifier: the prefix, an underscore and 130
// random bits in lower-case letters and digits.
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text())
}

// Hash returns the SHA-256 of what a caller presents, the only form in which
// codes, tokens, session ids and secrets are kept.
func Hash(presented string) []byte {
	sum := sha256.Sum256([]byte(presented))
	return sum[:]
}
