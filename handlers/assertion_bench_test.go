package handlers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
)

// BenchmarkPrivateKeyJWT says what authentication with a key costs: the CPU time of
// a refresh by a client with a key less that of the same with a secret (auth-us),
// which has in it the insert that spends the assertion and its part of the commit;
// that of the bare verification by the standard library (verify-us); and the first
// by the second (auth/verify).
func BenchmarkPrivateKeyJWT(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		b.Run(alg, func(b *testing.B) {
			idp := benchIDP(b)
			key := idptest.NewKey(b, "k", alg)
			addKeyClient(b, idp, "keyed", idptest.KeySet(key), nil)
			addClient(b, idp, "secretive", nil)
			browser := person(b, idp, "ada")
			login := func(id string, send func(url.Values) *idptest.Response) string {
				code := browser.Code(asking(append(offline, "client_id", id)...))
				w := send(idptest.Exchange(code, nil))
				if err := wantOK(w); err != nil {
					b.Fatal(err)
				}
				return str(b, w.JSON(b), "refresh_token")
			}
			assertions := make([]string, b.N)
			for i := range assertions {
				claims := idptest.AssertionClaims("keyed")
				claims["exp"] = time.Now().Unix() + 290
				assertions[i] = key.Sign(b, claims, nil)
			}
			withKey := func(i int, form url.Values) *idptest.Response {
				form.Set("client_assertion_type", idptest.AssertionType)
				form.Set("client_assertion", assertions[i])
				return idp.Do(idptest.Form("/oauth2/token", form))
			}
			withSecret := func(_ int, form url.Values) *idptest.Response {
				return idp.Call("/oauth2/token", "secretive", idptest.Secret, form)
			}
			byKey := login("keyed", func(form url.Values) *idptest.Response {
				return idp.Do(idptest.Form("/oauth2/token", key.Assert(b, "keyed", form)))
			})
			bySecret := login("secretive", func(form url.Values) *idptest.Response { return withSecret(0, form) })
			renew := func(token string, send func(int, url.Values) *idptest.Response, from, to int) string {
				for i := from; i < to; i++ {
					w := send(i, refreshing(token))
					if err := wantOK(w); err != nil {
						b.Fatal(err)
					}
					token = str(b, w.JSON(b), "refresh_token")
				}
				return token
			}
			verify := verification(b, key)
			var spent [3]time.Duration // key, secret, verification
			since := func(part int, before time.Duration) time.Duration {
				now := cpu()
				spent[part] += now - before
				return now
			}
			b.ResetTimer()
			for from := 0; from < b.N; from += 100 { // in turns: the machine has other work, too
				to := min(from+100, b.N)
				before := cpu()
				byKey = renew(byKey, withKey, from, to)
				before = since(0, before)
				bySecret = renew(bySecret, withSecret, from, to)
				before = since(1, before)
				for i := from; i < to; i++ {
					if err := verify(assertions[i]); err != nil {
						b.Fatal(err)
					}
				}
				since(2, before)
			}
			each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(b.N) }
			b.ReportMetric(each(spent[0]-spent[1]), "auth-us")
			b.ReportMetric(each(spent[2]), "verify-us")
			b.ReportMetric(float64(spent[0]-spent[1])/float64(spent[2]), "auth/verify")
		})
	}
}

// verification checks signatures with the standard library and nothing else.
func verification(b *testing.B, key *idptest.Key) func(token string) error {
	b.Helper()
	check := func(ok bool) error {
		if !ok {
			return fmt.Errorf("bad signature")
		}
		return nil
	}
	return func(token string) error {
		input, encoded := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
		signature, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			return err
		}
		digest := sha256.Sum256([]byte(input))
		switch public := key.Private.Public().(type) {
		case *ecdsa.PublicKey:
			return check(ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])))
		case ed25519.PublicKey:
			return check(ed25519.Verify(public, []byte(input), signature))
		case *rsa.PublicKey:
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
		}
		return check(false)
	}
}
