package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// issuer is the least OpenID provider: it answers every code with the claims and
// members a test sets.
type issuer struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	claims  map[string]any // of the next ID token, besides the usual ones
	members map[string]any // of the next token response
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer":                                i.URL,
			"authorization_endpoint":                i.URL + "/authorize",
			"token_endpoint":                        i.URL + "/token",
			"userinfo_endpoint":                     i.URL + "/userinfo",
			"jwks_uri":                              i.URL + "/jwks",
			"end_session_endpoint":                  i.URL + "/logout",
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"authorization_response_iss_parameter_supported": true,
		})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		point, err := key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		answer(w, map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
			"x": encode(point[1:33]), "y": encode(point[33:]),
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		body := map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": i.sign("JWT", i.claims)}
		maps.Copy(body, i.members)
		answer(w, body)
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"sub": "usr_ada", "name": "Ada Lovelace", "email": "ada@globex.test"})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// sign returns a token for client "shop" about Ada, valid for an hour.
func (i *issuer) sign(typ string, claims map[string]any) string {
	all := map[string]any{
		"iss": i.URL, "aud": "shop", "sub": "usr_ada", "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	header, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": "1", "typ": typ})
	payload, _ := json.Marshal(all)
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
