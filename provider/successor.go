package provider

import "crypto/cipher"

// sealSuccessor encrypts a refresh token with a key that only the holder of the one
// before can derive, so that the database alone gives neither away (SECURITY B14).
func sealSuccessor(before, successor string) ([]byte, error) {
	seal, err := successorSeal(before)
	if err != nil {
		return nil, err
	}
	return seal.Seal(nil, nil, []byte(successor), nil), nil //nolint:gosec // this AEAD takes a random nonce by itself
}

// openSuccessor is the reverse; empty where there is nothing to be had.
func openSuccessor(before string, sealed []byte) string {
	seal, err := successorSeal(before)
	if err != nil {
		return ""
	}
	successor, err := seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return ""
	}
	return string(successor)
}

func successorSeal(before string) (cipher.AEAD, error) {
	return newSeal(before, "understudy refresh token successor")
}
