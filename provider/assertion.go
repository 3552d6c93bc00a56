package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json" // compares names byte by byte, and refuses one that comes twice

	"github.com/understudy-id/understudy/storage"
)

const (
	authPrivateKey = "private_key_jwt"

	// assertionType is the one kind of client assertion (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// What an assertion may be (SECURITY F05, T18).
const (
	assertionLifetime = 5 * time.Minute
	assertionLeeway   = time.Minute // of clocks that are ahead of ours
	maxAssertionID    = 256
)

// errReplayed is not storage.ErrSpent: a code or refresh token that came a second
// time revokes what it gave, an assertion does not.
var errReplayed = errInvalidClient.with("The client assertion was used before.")

// assertion is one that was accepted: it has to be spent.
type assertion struct {
	clientID, id string
	expires      time.Time
	spent        bool
}

// spend is the check that an assertion is used once: an insert whose row count
// decides (fosite #31).
func (a *assertion) spend(ctx context.Context, tx *storage.Tx) error {
	err := tx.SpendAssertion(ctx, a.clientID, a.id, a.expires.Add(assertionLeeway))
	if errors.Is(err, storage.ErrSpent) {
		return errReplayed
	}
	return err
}

// assertion verifies a client's assertion (RFC 7523 section 3). What is wrong with
// one that the client did sign is told: who sees it has its key.
func (p *Provider) assertion(ctx context.Context, c *storage.Client, given *asserted, now time.Time) (*assertion, error) {
	algs := clientAlgs
	if only := c.TokenEndpointAuthSigningAlg; only != "" {
		algs = []string{only}
	}
	if _, err := p.verifyClientJWT(ctx, c, given.jwt, algs); err != nil {
		return nil, errInvalidClient.because(err)
	}
	if wrong := given.wrong(c.ID, p.assertionAudience, now); wrong != "" {
		return nil, errInvalidClient.with("The client assertion " + wrong + ".")
	}
	return &assertion{clientID: c.ID, id: given.ID, expires: time.UnixMicro(int64(*given.Expires * 1e6))}, nil
}

// asserted is what an assertion says, read before its signature is checked: it names
// the client whose keys to check it with.
type asserted struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  any      `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`

	jwt *clientJWT
}

func parseAssertion(token string) (*asserted, error) {
	j, err := parseClientJWT(token)
	if err != nil {
		return nil, err
	}
	a := &asserted{jwt: j}
	if err := josejson.Unmarshal(j.payload, a); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", errNotTheirs, err)
	}
	return a, nil
}

// wrong returns what is wrong with the claims, empty where nothing is. An aud that is
// a list is wrong, also a list of one (docs/adr/0005-audience-of-client-assertions.md).
func (t *asserted) wrong(clientID string, audience []string, now time.Time) string {
	seconds := float64(now.UnixMicro()) / 1e6
	latest := seconds + assertionLeeway.Seconds()
	aud, _ := t.Audience.(string)
	switch {
	case !assertionTyp(t.jwt.typ):
		return "has the typ of something else"
	case t.Issuer != clientID || t.Subject != clientID:
		return "must have the client_id as iss and sub"
	case !slices.Contains(audience, aud):
		return "must have the issuer as aud, as one string"
	case t.ID == "" || len(t.ID) > maxAssertionID:
		return "must have a jti of at most 256 bytes"
	case t.Expires == nil:
		return "must have exp"
	case *t.Expires <= seconds:
		return "has expired"
	case *t.Expires > seconds+assertionLifetime.Seconds():
		return "must expire within five minutes"
	case t.IssuedAt != nil && *t.IssuedAt > latest, t.NotBefore != nil && *t.NotBefore > latest:
		return "is from the future"
	}
	return ""
}

// assertionTyp tells assertions from other JWTs that a client may sign (RFC 8725
// section 3.11): a request object that names its type is none.
func assertionTyp(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return typ == "" || typ == "jwt" || typ == "client-authentication+jwt"
}

// settle spends the assertion of a request that did not do so in a Write of its own,
// because it was refused or undone: an assertion is good for one request, whatever
// came of it. It returns how the request ends.
func (p *Provider) settle(ctx context.Context, err error) error {
	w := workOf(ctx)
	if !w.owes() {
		return err
	}
	if own := w.write(ctx, p.store, func(*storage.Tx) error { return nil }); own != nil {
		return own
	}
	return err
}
