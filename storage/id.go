package storage

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"
)

// NewID returns an unguessable identifier: the prefix, an underscore and 130
// random bits in lower-case letters and digits.
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text())
}

// NewIDAt is NewID for rows of which requests make many: it begins with the moment, to the
// millisecond, and 80 random bits follow. The ids of one time lie side by side in the index
// of them, so that a commit writes one page of it and not one for each.
func NewIDAt(prefix string, now time.Time) string {
	const digits = "234567abcdefghijklmnopqrstuvwxyz" // those of NewID, in their order
	var moment [10]byte
	ms := now.UnixMilli()
	for i := len(moment) - 1; i >= 0; i-- {
		moment[i] = digits[ms&31]
		ms >>= 5
	}
	return prefix + "_" + string(moment[:]) + strings.ToLower(rand.Text()[:16])
}

// Hash returns the SHA-256 of what a caller presents, the only form in which
// codes, tokens, session ids and secrets are kept.
func Hash(presented string) []byte {
	sum := sha256.Sum256([]byte(presented))
	return sum[:]
}
