package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	josejson "github.com/go-jose/go-jose/v4/json" // compares names byte by byte, and refuses one that comes twice

	"github.com/understudy-id/understudy/storage"
)

// clientAlgs are the algorithms that clients may sign with, all of them asymmetric
// (SECURITY F05).
var clientAlgs = []string{algRS256, algPS256, algES256, algEdDSA}

// algNamed returns the name that we know an algorithm by: RFC 9864 calls EdDSA with
// its one curve Ed25519.
func algNamed(alg string) string {
	if alg == "Ed25519" {
		return algEdDSA
	}
	return alg
}

// maxJSONDepth is how deeply header and payload may be nested (SECURITY H04).
const maxJSONDepth = 32

var (
	errNotTheirs = errors.New("not a JWT that the client signed")
	errNoKeys    = errors.New("the client's keys cannot be had")
)

// clientJWT is a JWT that a client sent: an assertion, or a request object. Nothing
// that it says counts before verifyClientJWT.
//
// It is taken apart here, and its signature checked with the standard library: what
// go-jose does besides costs as much again as half a verification.
type clientJWT struct {
	alg, kid, typ string
	payload       []byte
	input         []byte // of the signature
	signature     []byte
}

// parseClientJWT reads a signed JWT in the one spelling that it has (SECURITY B13).
// What is encrypted or too long is refused before anything of it is decoded
// (SECURITY H04). Keys that the header brings along (jwk, jku, x5c, x5u) are never
// looked at; a header that says crit wants something of us that we do not do.
func parseClientJWT(token string) (*clientJWT, error) {
	if len(token) > maxJWT || strings.Count(token, ".") != 2 {
		return nil, fmt.Errorf("%w: too long, or not three parts", errNotTheirs)
	}
	parts := strings.SplitN(token, ".", 3)
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") { // which the decoder skips
			return nil, fmt.Errorf("%w: not base64url", errNotTheirs)
		}
	}
	var header struct {
		Alg  string              `json:"alg"`
		Kid  string              `json:"kid"`
		Typ  string              `json:"typ"`
		Crit josejson.RawMessage `json:"crit"`
	}
	if err := josejson.Unmarshal(decoded[0], &header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", errNotTheirs, err)
	}
	switch alg := algNamed(header.Alg); {
	case !slices.Contains(clientAlgs, alg):
		return nil, fmt.Errorf("%w: alg %.20q", errNotTheirs, header.Alg)
	case header.Crit != nil:
		return nil, fmt.Errorf("%w: crit", errNotTheirs)
	case deeper(decoded[0], maxJSONDepth) || deeper(decoded[1], maxJSONDepth):
		return nil, fmt.Errorf("%w: nested too deep", errNotTheirs)
	default:
		input := token[:len(parts[0])+1+len(parts[1])]
		return &clientJWT{alg, header.Kid, header.Typ, decoded[1], []byte(input), decoded[2]}, nil
	}
}

// deeper reports whether JSON is nested deeper than a limit.
func deeper(text []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > limit {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// verifyClientJWT returns the payload of a JWT that a key of the client signed with
// one of algs. errNotTheirs: it did not; errNoKeys: we cannot know, because its keys
// could not be fetched.
func (p *Provider) verifyClientJWT(ctx context.Context, c *storage.Client, j *clientJWT, algs []string) ([]byte, error) {
	if !slices.Contains(algs, j.alg) {
		return nil, fmt.Errorf("%w: alg %s", errNotTheirs, j.alg)
	}
	set, err := p.clientKeys.of(ctx, c)
	if err != nil {
		return nil, err
	}
	payload, err := set.verify(j)
	if errors.Is(err, errUnknownKey) && c.JWKSURI != "" {
		if set, err = p.clientKeys.again(ctx, c, set); err == nil { // it may have replaced its keys
			payload, err = set.verify(j)
		}
	}
	return payload, err
}
