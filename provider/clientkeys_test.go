package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/storage"
)

// web is what an address answers, without a socket, so that synctest can move the clock.
type web struct {
	mu    sync.Mutex
	body  string
	fails bool
	hangs bool
	asked int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked++
	body, fails, hangs := w.body, w.fails, w.hangs
	w.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if fails {
		return nil, errors.New("no route to host")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (w *web) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *web) wantAsked(t *testing.T, what string, want int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != want {
		t.Errorf("%s: asked %d times, want %d", what, w.asked, want)
	}
}

func published(keys ...jose.JSONWebKey) string {
	return string(asRaw(jose.JSONWebKeySet{Keys: keys}))
}

// signedWith makes a key and returns its public part and a JWT that it signed.
func signedWith(t testing.TB, kid string) (jose.JSONWebKey, *clientJWT) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(`{"sub":"shop"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	j, err := parseClientJWT(token)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Use: "sig"}, j
}

// When keys that a client publishes are fetched, and how long they count (SECURITY F10).
func TestClientKeys(t *testing.T) {
	t.Parallel()
	one, byOne := signedWith(t, "one")
	two, byTwo := signedWith(t, "two")
	bare, byBare := signedWith(t, "")
	type site struct {
		*web
		p      *Provider
		client *storage.Client
	}
	verify := func(s site, j *clientJWT) error {
		_, err := s.p.verifyClientJWT(context.Background(), s.client, j, clientAlgs)
		return err
	}
	wantError := func(t *testing.T, what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) || want == nil && got != nil {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	for name, test := range map[string]func(t *testing.T, s site){
		"for 15 minutes as they are": func(t *testing.T, s site) {
			for range 14 {
				wantError(t, "good", verify(s, byOne), nil)
				time.Sleep(time.Minute)
			}
			s.wantAsked(t, "14 minutes", 1)
			time.Sleep(2 * time.Minute)
			wantError(t, "good", verify(s, byOne), nil)
			s.wantAsked(t, "16 minutes", 2)
		},
		"an unknown kid is looked for every 30 s at most": func(t *testing.T, s site) {
			wantError(t, "known", verify(s, byOne), nil)
			for range 10 {
				wantError(t, "unknown", verify(s, byTwo), errNotTheirs)
			}
			s.wantAsked(t, "at once", 2)
			s.set(func() { s.body = published(two) })
			time.Sleep(28 * time.Second)
			wantError(t, "too soon", verify(s, byTwo), errNotTheirs)
			time.Sleep(3 * time.Second)
			wantError(t, "new", verify(s, byTwo), nil)
			wantError(t, "replaced", verify(s, byOne), errNotTheirs)
			s.wantAsked(t, "after 30 s", 3)
		},
		"keys without kid, too": func(t *testing.T, s site) {
			wantError(t, "unknown", verify(s, byBare), errNotTheirs)
			s.set(func() { s.body = published(bare) })
			time.Sleep(31 * time.Second)
			wantError(t, "new", verify(s, byBare), nil)
		},
		"the last good ones for an hour": func(t *testing.T, s site) {
			wantError(t, "good", verify(s, byOne), nil)
			s.set(func() { s.fails = true })
			for range 58 {
				time.Sleep(time.Minute)
				wantError(t, "address fails", verify(s, byOne), nil)
			}
			s.wantAsked(t, "once each minute after 15", 1+44)
			time.Sleep(3 * time.Minute)
			wantError(t, "after an hour", verify(s, byOne), errNoKeys)
			wantError(t, "a moment later", verify(s, byOne), errNoKeys)
			s.wantAsked(t, "after an hour", 1+44+1)
			s.set(func() { s.fails = false })
			time.Sleep(31 * time.Second)
			wantError(t, "it is back", verify(s, byOne), nil)
		},
		"an empty set takes all keys away": func(t *testing.T, s site) {
			wantError(t, "good", verify(s, byOne), nil)
			s.set(func() { s.body = `{"keys":[]}` })
			time.Sleep(16 * time.Minute)
			wantError(t, "empty", verify(s, byOne), errNotTheirs)
		},
		"nonsense does not": func(t *testing.T, s site) {
			wantError(t, "good", verify(s, byOne), nil)
			s.set(func() { s.body = `{"error":"not today"}` })
			time.Sleep(16 * time.Minute)
			wantError(t, "nonsense", verify(s, byOne), nil)
		},
		"an address that fails from the start is asked every 30 s at most": func(t *testing.T, s site) {
			s.set(func() { s.fails = true })
			for range 10 {
				wantError(t, "fails", verify(s, byOne), errNoKeys)
			}
			s.wantAsked(t, "at once", 1)
			s.set(func() { s.fails = false })
			time.Sleep(31 * time.Second)
			wantError(t, "it is back", verify(s, byOne), nil)
		},
		"F10 a slow address is given up after 5 s": func(t *testing.T, s site) {
			s.set(func() { s.hangs = true })
			began := time.Now()
			wantError(t, "hangs", verify(s, byOne), errNoKeys)
			if took := time.Since(began); took > outgoingTimeout+time.Second {
				t.Errorf("took %v", took)
			}
		},
		"those who come meanwhile share an answer": func(t *testing.T, s site) {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { wantError(t, "good", verify(s, byOne), nil) })
			}
			wg.Wait()
			s.wantAsked(t, "fifty", 1)
			for range 50 {
				wg.Go(func() { wantError(t, "unknown", verify(s, byTwo), errNotTheirs) })
			}
			wg.Wait()
			s.wantAsked(t, "fifty with an unknown kid", 2)
		},
		"who goes away harms nobody": func(t *testing.T, s site) {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := s.p.verifyClientJWT(ctx, s.client, byOne, clientAlgs)
				wantError(t, "who left", err, context.DeadlineExceeded)
			})
			synctest.Wait()
			wg.Go(func() { wantError(t, "who stayed", verify(s, byOne), nil) })
			wg.Wait()
			s.wantAsked(t, "both", 1)
		},
		"a client that was changed is another": func(t *testing.T, s site) {
			wantError(t, "good", verify(s, byOne), nil)
			for _, change := range []func(*storage.Client){
				func(c *storage.Client) { c.Version++ },
				func(c *storage.Client) { c.Version--; c.CreatedAt++ }, // deleted, and made again
			} {
				changed := *s.client
				change(&changed)
				s.client = &changed
				s.set(func() { s.fails = true })
				wantError(t, "its old keys", verify(s, byOne), errNoKeys)
			}
		},
		"in its row": func(t *testing.T, s site) {
			inRow := *s.client
			inRow.JWKS, inRow.JWKSURI = published(one), ""
			s.client = &inRow
			wantError(t, "good", verify(s, byOne), nil)
			wantError(t, "unknown", verify(s, byTwo), errNotTheirs)
			changed := inRow
			changed.Version, changed.JWKS = 2, published(two)
			s.client = &changed
			wantError(t, "good", verify(s, byTwo), nil)
			wantError(t, "its old key", verify(s, byOne), errNotTheirs)
			s.wantAsked(t, "nobody", 0)
		},
		"of as many clients as fit": func(t *testing.T, s site) {
			for i := range maxKeySets + 10 {
				c := &storage.Client{ID: fmt.Sprint("c", i), Version: 1, JWKS: published(one)}
				wantError(t, c.ID, verify(site{p: s.p, client: c}, byOne), nil)
			}
			if n := len(s.p.clientKeys.sets); n != maxKeySets {
				t.Errorf("%d sets are remembered", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &web{body: published(one)}
				keys := newClientKeys(&caller{client: &http.Client{Transport: w, Timeout: outgoingTimeout}})
				test(t, site{w, &Provider{clientKeys: keys}, &storage.Client{ID: "shop", Version: 1, CreatedAt: 1, JWKSURI: "https://shop.test/jwks"}})
			})
		})
	}
}

// F06: an unknown client costs a verification of the same algorithm.
func TestDecoys(t *testing.T) {
	t.Parallel()
	d := decoys()
	for _, alg := range clientAlgs {
		n := 0
		for _, k := range d.keys {
			if k.fits(alg) {
				n++
				if public, ok := k.public.(*rsa.PublicKey); ok && (public.N.BitLen() != 2048 || public.N.Bit(0) != 1) {
					t.Errorf("%s: a modulus that nobody would try", alg)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d decoys", alg, n)
		}
	}
	_, j := signedWith(t, "k")
	newClientKeys(nil).pretend(j)
	if j.kid != "k" {
		t.Error("pretending changed the JWT")
	}
}

// Which keys of a set count.
func TestParseKeySet(t *testing.T) {
	t.Parallel()
	rsaKey := func(bits int) *rsa.PublicKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	p256, _ := signedWith(t, "one")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := func(key any, pairs ...any) string {
		raw, err := jose.JSONWebKey{Key: key}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			if members[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
				delete(members, pairs[i].(string))
			}
		}
		return `{"keys":[` + string(asRaw(members)) + `]}`
	}
	strong := rsaKey(2048)
	for _, c := range []struct {
		name, document string
		keys, wrong    int
	}{
		{"P-256", of(p256.Key), 1, 0},
		{"Ed25519", of(ed), 1, 0},
		{"RSA", of(strong), 1, 0},
		{"for signatures", of(p256.Key, "use", "sig", "alg", "ES256"), 1, 0},
		{"Ed25519 by its newer name", of(ed, "alg", "Ed25519"), 1, 0},
		{"to verify", of(p256.Key, "key_ops", []string{"verify"}), 1, 0},
		{"with members of others", of(p256.Key, "x5u", "https://shop.test/c", "iat", 1), 1, 0},
		{"for encryption", of(p256.Key, "use", "enc"), 0, 0},
		{"to encrypt", of(strong, "key_ops", []string{"encrypt"}), 0, 0},
		{"of an algorithm for encryption", of(strong, "alg", "RSA-OAEP"), 0, 0},
		{"of an algorithm that is not ours", of(strong, "alg", "RS512"), 0, 0},
		{"of another's algorithm", of(p256.Key, "alg", "RS256"), 0, 1},
		{"P-384", of(&p384.PublicKey), 0, 1},
		{"RSA of 1024 bits", `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 170) + `8"}]}`, 0, 1},
		{"RSA of 16384 bits", `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 2730) + `8"}]}`, 0, 1},
		{"RSA with an exponent of 1", of(strong, "e", "AQ"), 0, 1},
		{"RSA with an even exponent", of(strong, "e", "Ag"), 0, 1},
		{"a point that is not on the curve", of(p256.Key, "x", strings.Repeat("A", 43)), 0, 1},
		{"private EC", of(p256.Key, "d", "AQ"), 0, 1},
		{"private Ed25519", of(private), 0, 1},
		{"private RSA, in part", of(strong, "dp", "AQ"), 0, 1},
		{"symmetric", of([]byte("a secret")), 0, 1},
		{"symmetric for encryption", of([]byte("a secret"), "use", "enc"), 0, 1},
		{"without kty", of(p256.Key, "kty", nil), 0, 1},
		{"of an unknown kty", of(p256.Key, "kty", "XYZ"), 0, 1},
		{"of a kty in small letters", of(p256.Key, "kty", "ec"), 0, 1},
		{"a kid that is a number", of(p256.Key, "kid", 1), 0, 1},
		{"a string", `{"keys":["x"]}`, 0, 1},
		{"null", `{"keys":[null]}`, 0, 1},
		{"none", `{"keys":[]}`, 0, 0},
		{"60", `{"keys":[` + strings.TrimSuffix(strings.Repeat(strings.TrimSuffix(strings.TrimPrefix(of(ed), `{"keys":[`), `]}`)+",", 60), ",") + `]}`, maxClientKeys, 1},
	} {
		keys, wrong, err := parseKeySet([]byte(c.document))
		if len(keys) != c.keys || len(wrong) != c.wrong || err != nil {
			t.Errorf("%s: %d keys, %v, %v; want %d and %d wrong", c.name, len(keys), wrong, err, c.keys, c.wrong)
		}
	}
	for _, document := range []string{``, `null`, `[]`, `{}`, `{"keys":{}}`, `{"keys":null}`, `{"Keys":[]}`, `{"keys":[],"keys":[]}`, `nonsense`, `{"keys":[]} x`} {
		if keys, _, err := parseKeySet([]byte(document)); err == nil {
			t.Errorf("%s: %d keys, no error", document, len(keys))
		}
	}
}

func FuzzKeySet(f *testing.F) {
	key, _ := signedWith(f, "one")
	f.Add(published(key))
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`)
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":"","x5c":["MIIB"]}]}`)
	f.Add(`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":""}]}`)
	f.Add(strings.Repeat(`{"keys":[`, 1000))
	f.Fuzz(func(t *testing.T, document string) {
		keys, _, err := parseKeySet([]byte(document))
		if err != nil || len(keys) > maxClientKeys {
			if len(keys) > 0 {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			return
		}
		for _, k := range keys {
			fits := 0
			for _, alg := range clientAlgs {
				if k.fits(alg) {
					fits++
				}
			}
			if fits == 0 {
				t.Errorf("a key that fits nothing: %+v", k)
			}
		}
	})
}
