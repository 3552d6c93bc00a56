package handlers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// objectOf is a good request object of a client, changed.
func objectOf(client string, change map[string]any) map[string]any {
	claims := map[string]any{"iss": client, "aud": idptest.Issuer, "exp": time.Now().Add(time.Minute).Unix(), "client_id": client}
	for name, values := range mustQuery(asking("client_id", client, "state", "in the object")) {
		claims[name] = values[0]
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// signing registers a client that signs its requests with a key.
func signing(key *idptest.Key) func(*storage.Client) {
	return func(c *storage.Client) { c.RequestObjectSigningAlg, c.JWKS = key.Alg, idptest.KeySet(key) }
}

// RFC 9101: C08, fosite 6.
func TestRequestObjects(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b, nobody := person(t, idp, "ada"), idp.Browser(t)
	keys := map[string]*idptest.Key{}
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		keys[alg] = idptest.NewKey(t, "key", alg)
		addClient(t, idp, alg, signing(keys[alg]))
		t.Run("good "+alg, func(t *testing.T) {
			for _, typ := range []any{nil, "JWT", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt"} {
				object := keys[alg].Sign(t, objectOf(alg, nil), map[string]any{"typ": typ})
				w := wantOutcome(t, b, asking("client_id", alg, "request", object), "code")
				if _, said := answered(w); said.Get("state") != "in the object" {
					t.Errorf("typ %v: said %v", typ, said)
				}
			}
		})
	}
	key := keys["ES256"]
	t.Run("fosite 4, 6: only what is in the object counts", func(t *testing.T) {
		object := key.Sign(t, objectOf("ES256", map[string]any{"scope": "openid", "max_age": 10000, "claims": map[string]any{"userinfo": map[string]any{"name": nil}}}), nil)
		request := "/oauth2/authorize?" + url.Values{
			"client_id": {"ES256"}, "request": {object}, "scope": {"openid email"}, "state": {"outside"}, "redirect_uri": {"https://evil.example/"},
			"response_type": {"code token"}, "prompt": {"login"}, "max_age": {"0"}, "response_mode": {"fragment"}, "nonce": {"outside"},
		}.Encode()
		w := wantOutcome(t, b, request, "code")
		if !strings.HasPrefix(w.Header.Get("Location"), idptest.Callback+"?") {
			t.Fatalf("location %s", w.Header.Get("Location"))
		}
		tokens := idp.Call("/oauth2/token", "ES256", idptest.Secret, idptest.Exchange(w.Location().Query().Get("code"), nil)).JSON(t)
		if tokens["scope"] != "openid" || idptest.Claims(t, tokens["id_token"])["nonce"] != "a nonce" || userinfo(idp, str(t, tokens, "access_token")).JSON(t)["name"] != "ada" {
			t.Errorf("tokens %v", tokens)
		}
	})
	t.Run("fosite 6: numbers count", func(t *testing.T) {
		wantOutcome(t, b, asking("client_id", "ES256", "request", key.Sign(t, objectOf("ES256", map[string]any{"max_age": 0}), nil)), "login")
	})
	t.Run("through the login page", func(t *testing.T) {
		visitor := idp.Browser(t)
		at, _ := visitor.Follow(asking("client_id", "ES256", "request", key.Sign(t, objectOf("ES256", nil), nil)))
		w := visitor.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
		w = wantOutcome(t, visitor, w.Header.Get("Location"), "code")
		if _, said := answered(w); said.Get("state") != "in the object" {
			t.Errorf("said %v", said)
		}
	})
	stranger := idptest.NewKey(t, "key", "ES256")
	public, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed := func(change map[string]any) string { return key.Sign(t, objectOf("ES256", change), nil) }
	good := signed(nil)
	for name, object := range map[string]string{
		"another key":                  stranger.Sign(t, objectOf("ES256", nil), nil),
		"a key that it brings along":   stranger.Sign(t, objectOf("ES256", nil), map[string]any{"jwk": stranger.JWK()}),
		"C08 alg none":                 unsigned(objectOf("ES256", nil)),
		"HS256 with the public key":    hmacSigned(objectOf("ES256", nil), public),
		"another algorithm":            keys["RS256"].Sign(t, objectOf("ES256", nil), nil),
		"garbage":                      "x.y.z",
		"encrypted":                    good + ".x.y",
		"another byte":                 good[:len(good)-1] + "~",
		"iss":                          signed(map[string]any{"iss": "app"}),
		"client_id":                    signed(map[string]any{"client_id": "app"}),
		"aud":                          signed(map[string]any{"aud": "https://other.example"}),
		"expired":                      signed(map[string]any{"exp": time.Now().Add(-time.Second).Unix()}),
		"from the future":              signed(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"sub is the client":            signed(map[string]any{"sub": "ES256"}),
		"an object within":             signed(map[string]any{"request": good}),
		"a reference within":           signed(map[string]any{"request_uri": "https://app.example/object"}),
		"a list that is no parameter":  signed(map[string]any{"scope": []any{1, 2}}),
		"null":                         signed(map[string]any{"state": json.RawMessage("null")}),
		"not an object":                key.Sign(t, []string{"a"}, nil),
		"the typ of an assertion":      key.Sign(t, objectOf("ES256", nil), map[string]any{"typ": "client-authentication+jwt"}),
		"a logout token":               key.Sign(t, objectOf("ES256", nil), map[string]any{"typ": "logout+jwt"}),
		"an ID token of ours":          str(t, loggedIn(t, idp, "ada"), "id_token"),
		"nested too deep":              signed(map[string]any{"claims": json.RawMessage(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40))}),
		"longer than what may be read": signed(map[string]any{"login_hint": strings.Repeat("x", 7000)}),
	} {
		t.Run(name, func(t *testing.T) {
			want := "error=invalid_request_object"
			if strings.HasPrefix(name, "longer") {
				want = "error=invalid_request" // the parameters' own rules
			}
			w := wantOutcome(t, b, asking("client_id", "ES256", "request", object), want)
			if to, said := answered(w); to != idptest.Callback || said.Get("iss") != idptest.Issuer {
				t.Errorf("answered at %s: %v", to, said)
			}
			wantOutcome(t, nobody, asking("client_id", "ES256", "request", object, "prompt", "none"), want)
			nowhere(t, b, asking("client_id", "ES256", "request", object, "redirect_uri", "https://evil.example/"), "invalid_request")
		})
	}
	t.Run("the rules for parameters are those of others", func(t *testing.T) {
		for _, object := range []string{signed(map[string]any{"scope": []string{"openid", "email"}}), signed(map[string]any{"\x00": "x"}), signed(map[string]any{"state": nil, "scope": "wrong"})} {
			w := b.Get(asking("client_id", "ES256", "request", object))
			if _, said := answered(w); said.Get("error") != "invalid_request" && said.Get("error") != "invalid_scope" {
				t.Errorf("status %d: %v", w.Status, said)
			}
		}
		nowhere(t, b, asking("client_id", "ES256", "request", signed(map[string]any{"redirect_uri": "https://evil.example/"})), "invalid_request")
		nowhere(t, b, asking("client_id", "ES256", "request", signed(map[string]any{"redirect_uri": nil})), "invalid_request")
	})
	t.Run("after the login page it is still refused", func(t *testing.T) {
		visitor := idp.Browser(t)
		at, _ := visitor.Follow(asking("client_id", "ES256", "request", stranger.Sign(t, objectOf("ES256", nil), nil)))
		w := visitor.Post(at, url.Values{"username": {"ada@example.test"}, "password": {idptest.Password}})
		wantOutcome(t, visitor, w.Header.Get("Location"), "error=invalid_request_object")
	})
	t.Run("C08 a client that is not registered for them", func(t *testing.T) {
		wantOutcome(t, b, asking("request", good), "error=request_not_supported")
		wantOutcome(t, b, asking("request_uri", "https://app.example/object"), "error=request_uri_not_supported")
		wantOutcome(t, b, asking("client_id", "ES256", "request_uri", "https://app.example/object"), "error=request_uri_not_supported")
	})
	t.Run("a client that has to sign", func(t *testing.T) {
		addClient(t, idp, "strict", func(c *storage.Client) { signing(key)(c); c.RequireSignedRequestObject = true })
		wantOutcome(t, b, asking("client_id", "strict"), "error=invalid_request")
		wantOutcome(t, b, asking("client_id", "strict", "request", key.Sign(t, objectOf("strict", nil), nil)), "code")
	})
	t.Run("pushed", func(t *testing.T) {
		push := func(object string) *idptest.Response {
			return idp.Call("/oauth2/par", "ES256", idptest.Secret, url.Values{"request": {object}})
		}
		w := push(good)
		wantStatus(t, "push", w, http.StatusCreated)
		w = wantOutcome(t, b, "/oauth2/authorize?"+url.Values{"client_id": {"ES256"}, "request_uri": {str(t, w.JSON(t), "request_uri")}}.Encode(), "code")
		if _, said := answered(w); said.Get("state") != "in the object" {
			t.Errorf("said %v", said)
		}
		wantRefused(t, "another key", push(stranger.Sign(t, objectOf("ES256", nil), nil)), http.StatusBadRequest, "invalid_request_object")
	})
}

// OpenID Connect Core 6.2: request objects by reference, and F10.
func TestRequestURIs(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Issuer: "http://127.0.0.1:8080"})
	key := idptest.NewKey(t, "key", "ES256")
	var fetched atomic.Int64
	var object atomic.Value
	mux := http.NewServeMux()
	mux.HandleFunc("/object", func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write([]byte(object.Load().(string) + "\n"))
	})
	mux.Handle("/elsewhere", http.RedirectHandler("/object", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	known := []string{server.URL + "/object", server.URL + "/elsewhere", server.URL + "/missing", "https://10.0.0.1/object", "http://127.0.0.1:1/object"}
	addClient(t, idp, "app2", func(c *storage.Client) { signing(key)(c); c.RequestURIs = known })
	object.Store(key.Sign(t, objectOf("app2", map[string]any{"aud": "http://127.0.0.1:8080"}), nil))
	b := idp.Browser(t)
	b.SignIn("ada")
	at := func(uri string) string { return asking("client_id", "app2", "request_uri", uri) }
	for _, uri := range []string{known[0], known[0] + "#another-content"} {
		w := wantOutcome(t, b, at(uri), "code")
		if _, said := answered(w); said.Get("state") != "in the object" {
			t.Errorf("said %v", said)
		}
	}
	before := fetched.Load()
	for _, uri := range append(known[1:], server.URL+"/object?a=b", server.URL+"/object/", "https://169.254.169.254/latest", "file:///etc/passwd", "javascript:alert(1)") {
		wantOutcome(t, b, at(uri), "error=invalid_request_uri")
	}
	if fetched.Load() != before {
		t.Error("F10: what is not registered, or a redirect, was fetched")
	}
	wantOutcome(t, b, at(known[0])+"&request=x.y.z", "error=invalid_request")
	object.Store("<html>")
	wantOutcome(t, b, at(known[0]), "error=invalid_request_object")
}

// unsigned is a JWT with alg none.
func unsigned(claims map[string]any) string {
	return parts(map[string]any{"alg": "none"}, claims) + "."
}

// hmacSigned is a JWT signed with a secret that everybody knows.
func hmacSigned(claims map[string]any, secret []byte) string {
	input := parts(map[string]any{"alg": "HS256", "kid": "key"}, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func parts(header, claims map[string]any) string {
	var encoded []string
	for _, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			panic(err) // what a test writes down
		}
		encoded = append(encoded, base64.RawURLEncoding.EncodeToString(text))
	}
	return strings.Join(encoded, ".")
}
