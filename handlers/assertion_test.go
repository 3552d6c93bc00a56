package handlers_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// addKeyClient adds a client like App that authenticates with a key, changed.
func addKeyClient(t testing.TB, idp *idptest.IDP, id string, keys string, change func(*storage.Client)) {
	t.Helper()
	addClient(t, idp, id, func(c *storage.Client) {
		c.TokenEndpointAuthMethod, c.SecretHash, c.JWKS = "private_key_jwt", nil, keys
		c.GrantTypes = append(c.GrantTypes, "client_credentials")
		if change != nil {
			change(c)
		}
	})
}

// direct are the endpoints at which clients authenticate, each with a request that
// nothing but authentication can fail.
var direct = map[string]url.Values{
	"token": {"grant_type": {"client_credentials"}}, "introspect": {"token": {"x"}}, "revoke": {"token": {"x"}},
}

// attempt is a request with an assertion, before it is put together.
type attempt struct {
	key            *idptest.Key
	claims, header map[string]any
	form           url.Values
	rewrite        func(token string) string
	request        func(*http.Request)
}

func attempting(client string, key *idptest.Key) *attempt {
	return &attempt{
		key: key, claims: idptest.AssertionClaims(client), header: map[string]any{},
		form: url.Values{"client_assertion_type": {idptest.AssertionType}},
	}
}

func (a *attempt) send(t testing.TB, idp *idptest.IDP, endpoint string) *idptest.Response {
	t.Helper()
	token := a.key.Sign(t, a.claims, a.header)
	if a.rewrite != nil {
		token = a.rewrite(token)
	}
	form := url.Values{"client_assertion": {token}}
	maps.Copy(form, direct[endpoint])
	maps.Copy(form, a.form)
	r := idptest.Form("/oauth2/"+endpoint, form)
	if a.request != nil {
		a.request(r)
	}
	return idp.Do(r)
}

// resign replaces a part of a JWT and leaves the signature as it was.
func resign(part int, with func(string) string) func(string) string {
	return func(token string) string {
		parts := strings.Split(token, ".")
		parts[part] = with(parts[part])
		return strings.Join(parts, ".")
	}
}

// otherBits changes bits of base64 that say nothing.
func otherBits(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

// F05: from a good assertion one thing is wrong a row. Each is tried at every
// endpoint.
func TestAssertions(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	key, second, attacker := idptest.NewKey(t, "one", "ES256"), idptest.NewKey(t, "", "ES256"), idptest.NewKey(t, "one", "ES256")
	rsaKey, theirs := idptest.NewKey(t, "rsa", "RS256"), idptest.NewKey(t, "theirs", "ES256")
	addKeyClient(t, idp, "keyed", idptest.KeySet(key, second, rsaKey), nil)
	addKeyClient(t, idp, "strict", idptest.KeySet(key, rsaKey), func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = "ES256" })
	addKeyClient(t, idp, "other", idptest.KeySet(theirs), nil)
	addKeyClient(t, idp, "off", idptest.KeySet(key), func(c *storage.Client) { c.Status = storage.ClientDisabled })
	addKeyClient(t, idp, "broken", "nonsense", nil)
	addKeyClient(t, idp, "empty", `{"keys":[]}`, nil)
	addKeyClient(t, idp, "secretive", idptest.KeySet(key), func(c *storage.Client) {
		c.TokenEndpointAuthMethod, c.SecretHash = "client_secret_basic", storage.Hash(idptest.Secret)
	})
	addKeyClient(t, idp, "unprotected", idptest.KeySet(key), func(c *storage.Client) { c.TokenEndpointAuthMethod = "none" })
	encryption := idptest.NewKey(t, "enc", "ES256")
	forEncryption := encryption.JWK()
	forEncryption["use"] = "enc"
	forOther := second.JWK()
	forOther["kid"], forOther["alg"] = "confused", "RS256"
	set, err := json.Marshal(map[string]any{"keys": []any{forEncryption, forOther, map[string]any{"kty": "oct", "kid": "sym", "k": "c2VjcmV0"}}})
	if err != nil {
		t.Fatal(err)
	}
	addKeyClient(t, idp, "odd", string(set), nil)

	now := time.Now().Unix()
	claim := func(pairs ...any) func(*attempt) {
		return func(a *attempt) {
			for i := 0; i < len(pairs); i += 2 {
				if a.claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
					delete(a.claims, pairs[i].(string))
				}
			}
		}
	}
	head := func(name string, value any) func(*attempt) { return func(a *attempt) { a.header[name] = value } }
	param := func(name string, values ...string) func(*attempt) { return func(a *attempt) { a.form[name] = values } }
	rewrite := func(f func(string) string) func(*attempt) { return func(a *attempt) { a.rewrite = f } }
	as := func(client string, k *idptest.Key) func(*attempt) {
		return func(a *attempt) { a.claims, a.key = idptest.AssertionClaims(client), k }
	}
	both := func(all ...func(*attempt)) func(*attempt) {
		return func(a *attempt) {
			for _, f := range all {
				f(a)
			}
		}
	}
	mac := func(secret []byte) func(string) string {
		return func(token string) string {
			input := token[:strings.LastIndexByte(token, '.')]
			h := hmac.New(sha256.New, secret)
			h.Write([]byte(input))
			return input + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
		}
	}
	publicText, err := json.Marshal(key.JWK())
	if err != nil {
		t.Fatal(err)
	}
	const client, request = "invalid_client", "invalid_request"
	for _, c := range []struct {
		name   string
		change func(*attempt)
		want   string // empty: good
	}{
		{"F05 as it is", func(*attempt) {}, ""},
		{"F05 with the client_id", param("client_id", "keyed"), ""},
		{"F05 without kid", both(as("keyed", second), head("kid", nil)), ""},
		{"F05 RS256", as("keyed", rsaKey), ""},
		{"F05 typ JWT", head("typ", "JWT"), ""},
		{"F05 its own typ", head("typ", "client-authentication+jwt"), ""},
		{"F05 more claims", claim("nbf", now, "client_id", "keyed", "x", map[string]any{"y": 1}), ""},
		{"F05 without iat", claim("iat", nil), ""},
		{"F05 a fraction", claim("exp", float64(now)+30.5), ""},
		{"F05 exp in five minutes", claim("exp", now+295), ""},
		{"T18 a clock that is 45 s ahead", claim("iat", now+45, "nbf", now+45), ""},
		{"F05 a jti of 256 bytes", func(a *attempt) { a.claims["jti"] = rand.Text() + strings.Repeat("x", 230) }, ""},
		{"F05 the registered alg", as("strict", key), ""},

		{"F05 aud is a list", claim("aud", []string{idptest.Issuer}), client},
		{"F05 aud is a list of several", claim("aud", []string{idptest.Issuer, idptest.Issuer + "/oauth2/token"}), client},
		{"F05 aud is the token endpoint", claim("aud", idptest.Issuer+"/oauth2/token"), client},
		{"F05 aud is another endpoint", claim("aud", idptest.Issuer+"/oauth2/introspect"), client},
		{"F05 aud with a slash", claim("aud", idptest.Issuer+"/"), client},
		{"F05 aud of somebody else", claim("aud", "https://evil.example"), client},
		{"F05 aud empty", claim("aud", ""), client},
		{"F05 no aud", claim("aud", nil), client},
		{"F05 aud in capitals", claim("aud", strings.ToUpper(idptest.Issuer)), client},
		{"F05 aud under another name", claim("aud", nil, "AUD", idptest.Issuer), client},
		{"F05 wrong iss", claim("iss", "other"), client},
		{"F05 no iss", claim("iss", nil), client},
		{"F05 iss is ours", claim("iss", idptest.Issuer), client},
		{"F05 wrong sub", claim("sub", "other"), client},
		{"F05 no sub", claim("sub", nil), client},
		{"F05 sub is a number", claim("sub", 1), client},
		{"F05 unknown client", claim("iss", "nobody", "sub", "nobody"), client},
		{"F05 no jti", claim("jti", nil), client},
		{"F05 empty jti", claim("jti", ""), client},
		{"F05 long jti", claim("jti", strings.Repeat("x", 257)), client},
		{"F05 jti is a number", claim("jti", 7), client},
		{"F05 no exp", claim("exp", nil), client},
		{"F05 exp is text", claim("exp", "2999-01-01"), client},
		{"F05 exp is null", claim("exp", json.RawMessage("null")), client},
		{"F05 exp too far", claim("exp", now+330), client},
		{"F05 exp for ever", claim("exp", 1e300), client},
		{"F05 expired", claim("exp", now-1, "iat", now-60), client},
		{"F05 exp before all time", claim("exp", -1e300), client},
		{"T18 iat in the future", claim("iat", now+90), client},
		{"T18 nbf in the future", claim("nbf", now+90), client},
		{"F05 iat is text", claim("iat", "now"), client},
		{"F05 no claims", func(a *attempt) { a.claims = nil }, client},
		{"F05 a claim twice", rewrite(func(string) string {
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"one"}`))
			claims := strings.TrimSuffix(asJSON(t, idptest.AssertionClaims("keyed")), "}") + `,"jti":"again"}`
			input := header + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
			return input + "." + base64.RawURLEncoding.EncodeToString(key.SignBytes(t, []byte(input)))
		}), client},

		{"F05 alg none", both(head("alg", "none"), rewrite(resign(2, func(string) string { return "" }))), client},
		{"F05 alg none with a signature", head("alg", "none"), client},
		{"F05 alg None", head("alg", "None"), client},
		{"F05 no alg", head("alg", nil), client},
		{"F05 HS256 with the public key", both(head("alg", "HS256"), rewrite(mac(publicText))), client},
		{"F05 HS256 with the client's hash", both(head("alg", "HS256"), rewrite(mac(storage.Hash(idptest.Secret)))), client},
		{"F05 HS256 with nothing", both(head("alg", "HS256"), rewrite(mac(nil))), client},
		{"F05 ES384", head("alg", "ES384"), client},
		{"F05 RS512", both(as("keyed", rsaKey), head("alg", "RS512")), client},
		{"F05 RS256 signature called PS256", both(as("keyed", rsaKey), head("alg", "PS256")), client},
		{"F05 an alg that it is not registered for", as("strict", rsaKey), client},
		{"F05 wrong key", as("keyed", attacker), client},
		{"F05 wrong key without kid", both(as("keyed", attacker), head("kid", nil)), client},
		{"F05 kid that there is not", head("kid", "two"), client},
		{"F05 kid of another key of its own", head("kid", "rsa"), client},
		{"F05 key and kid of another client", as("keyed", theirs), client},
		{"F05 key of another client without kid", both(as("keyed", theirs), head("kid", nil)), client},
		{"F05 kid is a path", head("kid", "../../../../dev/null"), client},
		{"F05 kid is a number", head("kid", 1), client},
		{"F05 the attacker's jwk in the header", both(as("keyed", attacker), head("kid", nil), head("jwk", attacker.JWK())), client},
		{"F05 the attacker's jwk and the client's kid", both(as("keyed", attacker), head("jwk", attacker.JWK())), client},
		{"F05 jku", both(as("keyed", attacker), head("jku", "https://evil.example/jwks")), client},
		{"F05 x5u", both(as("keyed", attacker), head("x5u", "https://evil.example/cert")), client},
		{"F05 x5c", both(as("keyed", attacker), head("x5c", []string{"MIIB"})), client},
		{"F05 crit", both(head("crit", []string{"b64"}), head("b64", true)), client},
		{"F05 crit of something unknown", both(head("crit", []string{"x"}), head("x", 1)), client},
		{"F05 an empty crit", head("crit", []string{}), client},
		{"F05 crit is null", head("crit", json.RawMessage("null")), client},
		{"F05 typ of a request object", head("typ", "oauth-authz-req+jwt"), client},
		{"F05 typ of an access token", head("typ", "at+jwt"), client},
		{"F05 a key for encryption", as("odd", encryption), client},
		{"F05 a key for another alg", both(as("odd", second), head("kid", "confused")), client},
		{"F05 a symmetric key", both(as("odd", second), head("kid", "sym"), head("alg", "HS256"), rewrite(mac([]byte("secret")))), client},

		{"H04 JWE", rewrite(func(string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","zip":"DEF","p2c":2147483647,"p2s":"eA"}`)) + ".e30.e30.e30.e30"
		}), client},
		{"H04 brackets in text", claim("x", strings.Repeat(`[\"`, 40)), ""},
		{"H04 nested deeply after brackets in text", claim("a", strings.Repeat("]", 40), "x", json.RawMessage(strings.Repeat("[", 40)+strings.Repeat("]", 40))), client},
		{"H04 nested deeply in the header", head("x", json.RawMessage(strings.Repeat("[", 40)+strings.Repeat("]", 40))), client},
		{"H04 nested deeply", claim("x", json.RawMessage(strings.Repeat("[", 40)+strings.Repeat("]", 40))), client},
		{"F05 JSON serialization", rewrite(func(token string) string {
			p := strings.Split(token, ".")
			return `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`
		}), client},
		{"H01 too long", claim("x", strings.Repeat("x", 6<<10)), request},
		{"B13 other bits in the signature", rewrite(resign(2, otherBits)), client},
		{"B13 padding", rewrite(resign(2, func(s string) string { return s + "==" })), client},
		{"B13 a newline in the signature", rewrite(resign(2, func(s string) string { return s[:9] + "\n" + s[9:] })), client},
		{"B13 a newline in the claims", rewrite(resign(1, func(s string) string { return s[:9] + "\r\n" + s[9:] })), client},
		{"B13 a blank after", rewrite(func(token string) string { return token + " " }), client},
		{"B13 standard base64", rewrite(resign(2, func(string) string { return strings.Repeat("+/", 43) })), client},
		{"B13 other claims", rewrite(resign(1, func(string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(asJSON(t, idptest.AssertionClaims("keyed"))))
		})), client},
		{"B13 no signature", rewrite(resign(2, func(string) string { return "" })), client},
		{"F05 two parts", rewrite(func(token string) string { return token[:strings.LastIndexByte(token, '.')] }), client},
		{"F05 empty", rewrite(func(string) string { return "" }), client},
		{"F05 dots", rewrite(func(string) string { return ".." }), client},
		{"F05 NULs", rewrite(func(string) string { return "\x00.\x00.\x00" }), request},

		{"F05 another client's assertion and client_id", both(as("other", theirs), param("client_id", "keyed")), request},
		{"fosite 2 another client_id", param("client_id", "other"), request},
		{"fosite 2 an empty client_id", param("client_id", ""), request},
		{"F05 wrong type", param("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), client},
		{"F05 type of the grant", param("client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), client},
		{"F05 empty type", param("client_assertion_type", ""), client},
		{"C06 assertion twice", func(a *attempt) {
			token := key.Sign(t, a.claims, nil)
			a.form["client_assertion"] = []string{token, token}
		}, request},
		{"C06 type twice", param("client_assertion_type", idptest.AssertionType, idptest.AssertionType), request},
		{"F04 Basic too", func(a *attempt) {
			a.request = func(r *http.Request) { r.SetBasicAuth("app", idptest.Secret) }
		}, request},
		{"F04 a secret too", param("client_secret", idptest.Secret), request},
		{"F04 an empty secret too", param("client_secret", ""), request},
		{"F04 a client with a secret", as("secretive", key), client},
		{"F04 a client without authentication", as("unprotected", key), client},
		{"F05 a client that is disabled", as("off", key), client},
		{"F05 a client whose keys are nonsense", as("broken", key), client},
		{"F05 a client without keys", as("empty", key), client},
	} {
		for endpoint := range direct {
			t.Run(c.name+" at "+endpoint, func(t *testing.T) {
				a := attempting("keyed", key)
				c.change(a)
				w := a.send(t, idp, endpoint)
				switch c.want {
				case "":
					wantStatus(t, "good", w, http.StatusOK)
				case client:
					wantRefused(t, "assertion", w, http.StatusUnauthorized, client)
				default:
					wantRefused(t, "assertion", w, http.StatusBadRequest, c.want)
				}
			})
		}
	}
	t.Run("F06 the same words for unknown and wrong", func(t *testing.T) {
		say := func(client string) string {
			return attempting(client, attacker).send(t, idp, "token").Body
		}
		if known, unknown := say("keyed"), say("nobody"); known != unknown {
			t.Errorf("%s, %s", known, unknown)
		}
	})
	t.Run("F04 other ways are closed to it", func(t *testing.T) {
		wantRefused(t, "none", idp.Call("/oauth2/token", "", "", url.Values{"client_id": {"keyed"}, "grant_type": {"client_credentials"}}), http.StatusUnauthorized, client)
		wantRefused(t, "Basic", idp.Call("/oauth2/token", "keyed", "", direct["token"]), http.StatusUnauthorized, client)
		wantRefused(t, "Basic with a secret", idp.Call("/oauth2/token", "keyed", idptest.Secret, direct["token"]), http.StatusUnauthorized, client)
	})
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each algorithm, with and without kid, registered or left open.
func TestAssertionAlgorithms(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		for _, kid := range []string{"", "k"} {
			for _, registered := range []string{"", alg} {
				id := strings.Join([]string{alg, kid, registered}, "-")
				t.Run("F05 "+id, func(t *testing.T) {
					key := idptest.NewKey(t, kid, alg)
					addKeyClient(t, idp, id, idptest.KeySet(key), func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = registered })
					for endpoint := range direct {
						form := url.Values{}
						maps.Copy(form, direct[endpoint])
						wantStatus(t, endpoint, idp.Do(idptest.Form("/oauth2/"+endpoint, key.Assert(t, id, form))), http.StatusOK)
					}
				})
			}
		}
	}
	t.Run("F05 EdDSA by its newer name", func(t *testing.T) {
		key := idptest.NewKey(t, "k", "EdDSA")
		addKeyClient(t, idp, "newer", idptest.KeySet(key), func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = "EdDSA" })
		a := attempting("newer", key)
		a.header["alg"] = "Ed25519" // RFC 9864
		wantStatus(t, "Ed25519", a.send(t, idp, "token"), http.StatusOK)
	})
}

// An operator may let assertions name the token endpoint, as one string.
func TestAssertionAudience(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{TokenEndpointAudience: true}})
	key := idptest.NewKey(t, "k", "ES256")
	addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
	for name, c := range map[string]struct {
		aud  any
		want int
	}{
		"the issuer":         {idptest.Issuer, http.StatusOK},
		"the token endpoint": {idptest.Issuer + "/oauth2/token", http.StatusOK},
		"another endpoint":   {idptest.Issuer + "/oauth2/revoke", http.StatusUnauthorized},
		"a list":             {[]string{idptest.Issuer, idptest.Issuer + "/oauth2/token"}, http.StatusUnauthorized},
		"a list of one":      {[]string{idptest.Issuer + "/oauth2/token"}, http.StatusUnauthorized},
	} {
		for endpoint := range direct {
			a := attempting("keyed", key)
			a.claims["aud"] = c.aud
			wantStatus(t, name+" at "+endpoint, a.send(t, idp, endpoint), c.want)
		}
	}
}

const refusedClient = `401 {"error":"invalid_client`

// An assertion is good for one request, whatever came of that.
func TestAssertionReplay(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		key := idptest.NewKey(t, "k", "ES256")
		addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
		addKeyClient(t, idp, "twin", idptest.KeySet(key), nil)
		b := person(t, idp, "ada")
		call := func(endpoint string, form url.Values) *idptest.Response {
			return idp.Do(idptest.Form("/oauth2/"+endpoint, form))
		}
		code := func() string { return b.Code(asking(append(offline, "client_id", "keyed")...)) }
		with := func(assertion url.Values, form url.Values) url.Values {
			all := url.Values{}
			maps.Copy(all, form)
			for _, name := range []string{"client_assertion", "client_assertion_type"} {
				all[name] = assertion[name]
			}
			return all
		}
		assertion := func() url.Values { return key.Assert(t, "keyed", url.Values{}) }
		again := func(what string, endpoint string, form url.Values) {
			t.Helper()
			wantRefused(t, what, call(endpoint, form), http.StatusUnauthorized, "invalid_client")
		}
		introspects := func(token string) any {
			t.Helper()
			w := call("introspect", with(assertion(), url.Values{"token": {token}}))
			wantStatus(t, "introspect", w, http.StatusOK)
			return w.JSON(t)["active"]
		}
		for first := range direct {
			for second := range direct {
				t.Run("F05 at "+first+", then at "+second, func(t *testing.T) {
					a := assertion()
					wantStatus(t, "first", call(first, with(a, direct[first])), http.StatusOK)
					again("second", second, with(a, direct[second]))
				})
			}
		}
		t.Run("F05 a whole request again revokes nothing", func(t *testing.T) {
			request := with(assertion(), idptest.Exchange(code(), nil))
			w := call("token", request)
			wantStatus(t, "exchange", w, http.StatusOK)
			again("again", "token", request)
			access, token := str(t, w.JSON(t), "access_token"), str(t, w.JSON(t), "refresh_token")
			if introspects(access) != true || introspects(token) != true {
				t.Error("the tokens were revoked")
			}
			request = with(assertion(), refreshing(token))
			w = call("token", request)
			wantStatus(t, "refresh", w, http.StatusOK)
			again("refresh again", "token", request)
			if introspects(str(t, w.JSON(t), "refresh_token")) != true {
				t.Error("the tokens were revoked")
			}
			wantRefused(t, "reuse with a new assertion", call("token", with(assertion(), refreshing(token))), http.StatusBadRequest, "invalid_grant")
			if introspects(str(t, w.JSON(t), "refresh_token")) != false {
				t.Error("B08: the family lives")
			}
		})
		t.Run("B03 code reuse with a new assertion revokes, and spends that one", func(t *testing.T) {
			code := code()
			w := call("token", with(assertion(), idptest.Exchange(code, nil)))
			wantStatus(t, "exchange", w, http.StatusOK)
			a := assertion()
			wantRefused(t, "reuse", call("token", with(a, idptest.Exchange(code, nil))), http.StatusBadRequest, "invalid_grant")
			if introspects(str(t, w.JSON(t), "access_token")) != false {
				t.Error("the tokens live")
			}
			again("its assertion", "introspect", with(a, direct["introspect"]))
		})
		for name, form := range map[string]url.Values{
			"unknown code": idptest.Exchange("uc_x", nil), "wrong verifier": idptest.Exchange(code(), having("code_verifier", strings.Repeat("w", 43))),
			"unknown refresh token": refreshing("ur_x"), "wrong scope": {"grant_type": {"client_credentials"}, "scope": {"nothing"}},
			"a user's scope": {"grant_type": {"client_credentials"}, "scope": {"openid"}},
		} {
			t.Run("F05 after a failure: "+name, func(t *testing.T) {
				a := assertion()
				wantStatus(t, name, call("token", with(a, form)), http.StatusBadRequest)
				again("again", "token", with(a, direct["token"]))
			})
		}
		t.Run("F05 after a failure at the others", func(t *testing.T) {
			for _, endpoint := range []string{"introspect", "revoke"} {
				a := assertion()
				wantRefused(t, endpoint, call(endpoint, a), http.StatusBadRequest, "invalid_request")
				again(endpoint, endpoint, with(a, direct[endpoint]))
			}
		})
		t.Run("F05 one that was refused is not spent", func(t *testing.T) {
			claims := idptest.AssertionClaims("keyed")
			send := func(k *idptest.Key) *idptest.Response {
				a := attempting("keyed", k)
				a.claims = claims
				return a.send(t, idp, "token")
			}
			wantStatus(t, "somebody else's", send(idptest.NewKey(t, "k", "ES256")), http.StatusUnauthorized)
			wantStatus(t, "its own", send(key), http.StatusOK)
			wantStatus(t, "another with the same jti", send(key), http.StatusUnauthorized)
		})
		t.Run("F05 a jti is of one client", func(t *testing.T) {
			for _, id := range []string{"keyed", "twin"} {
				a := attempting(id, key)
				a.claims["jti"] = "the same"
				wantStatus(t, id, a.send(t, idp, "token"), http.StatusOK)
			}
		})
		t.Run("F05 fifty at once", func(t *testing.T) {
			for endpoint := range direct {
				request := with(assertion(), direct[endpoint])
				got := parallel(50, func(int) *idptest.Response { return call(endpoint, request) })
				if got["200"] != 1 || got[refusedClient] != 49 {
					t.Errorf("%s: got %v", endpoint, got)
				}
			}
		})
		t.Run("F05 fifty whole requests at once", func(t *testing.T) {
			request := with(assertion(), idptest.Exchange(code(), nil))
			var mu sync.Mutex
			var token string
			got := parallel(50, func(int) *idptest.Response {
				w := call("token", request)
				if w.Status == http.StatusOK {
					mu.Lock()
					defer mu.Unlock()
					token = str(t, w.JSON(t), "refresh_token")
				}
				return w
			})
			if got["200"] != 1 || got[refusedClient] != 49 {
				t.Fatalf("got %v", got)
			}
			if introspects(token) != true {
				t.Error("the tokens were revoked")
			}
		})
		t.Run("B02 one code, fifty assertions", func(t *testing.T) {
			code := code()
			got := parallel(50, func(int) *idptest.Response { return call("token", with(assertion(), idptest.Exchange(code, nil))) })
			if got["200"] != 1 || got[refusedGrant] != 49 {
				t.Errorf("got %v", got)
			}
		})
	})
}

// H03: without the database nobody can say whether it was used before.
func TestAssertionUnavailable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "understudy.db")
	idp := idptest.New(t, idptest.Options{DSN: "sqlite:" + file})
	key := idptest.NewKey(t, "k", "ES256")
	addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
	requests := map[string]url.Values{}
	for endpoint := range direct {
		form := url.Values{}
		maps.Copy(form, direct[endpoint])
		requests[endpoint] = key.Assert(t, "keyed", form)
	}
	send := func(endpoint string) *idptest.Response {
		return idp.Do(idptest.Form("/oauth2/"+endpoint, requests[endpoint]))
	}
	release := lockSQLite(t, file)
	for endpoint := range direct {
		w := send(endpoint)
		wantRefused(t, endpoint, w, http.StatusServiceUnavailable, "temporarily_unavailable")
		if w.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", endpoint)
		}
	}
	release()
	for endpoint := range direct {
		wantStatus(t, endpoint+" afterwards", send(endpoint), http.StatusOK)
	}
}

// A spent assertion is forgotten when it could not be used any more.
func TestAssertionExpiry(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		key := idptest.NewKey(t, "k", "ES256")
		addKeyClient(t, idp, "keyed", idptest.KeySet(key), nil)
		request := key.Assert(t, "keyed", url.Values{"grant_type": {"client_credentials"}})
		late := key.Assert(t, "keyed", url.Values{"grant_type": {"client_credentials"}})
		send := func(form url.Values) *idptest.Response { return idp.Do(idptest.Form("/oauth2/token", form)) }
		wantStatus(t, "first", send(request), http.StatusOK)
		swept := int64(0)
		for range 12 {
			wantRefused(t, "again", send(request), http.StatusUnauthorized, "invalid_client")
			time.Sleep(10 * time.Second)
			if swept > 0 {
				t.Error("forgotten before the leeway was over")
			}
			n, err := idp.Store.Sweep(t.Context(), time.Now())
			if swept += n; err != nil {
				t.Fatal(err)
			}
		}
		if swept != 1 {
			t.Errorf("%d assertions were forgotten", swept)
		}
		wantRefused(t, "F05 after its exp", send(late), http.StatusUnauthorized, "invalid_client")
	})
}

// publisher is a client's web server.
type publisher struct {
	*httptest.Server
	mu    sync.Mutex
	serve http.HandlerFunc
	asked atomic.Int32
}

func newPublisher(t *testing.T, keys ...*idptest.Key) *publisher {
	p := &publisher{}
	p.publish(idptest.KeySet(keys...))
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		serve := p.serve
		p.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }
}

var loopback = provider.Config{AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// A client that publishes its keys, and replaces them. See TestClientKeys of the
// provider for everything that takes time.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Provider: loopback})
	first, second := idptest.NewKey(t, "one", "ES256"), idptest.NewKey(t, "two", "EdDSA")
	web := newPublisher(t, first)
	published := func(id, address string) {
		addKeyClient(t, idp, id, "", func(c *storage.Client) { c.JWKSURI = address })
	}
	send := func(key *idptest.Key, id string) *idptest.Response {
		return idp.Do(idptest.Form("/oauth2/token", key.Assert(t, id, url.Values{"grant_type": {"client_credentials"}})))
	}
	published("keyed", web.URL)
	t.Run("fetched once", func(t *testing.T) {
		got := parallel(20, func(int) *idptest.Response { return send(first, "keyed") })
		wantStatus(t, "one more", send(first, "keyed"), http.StatusOK)
		if got["200"] != 20 || web.asked.Load() != 1 {
			t.Errorf("got %v, fetched %d times", got, web.asked.Load())
		}
	})
	t.Run("a kid that is new is looked for at once", func(t *testing.T) {
		web.publish(idptest.KeySet(second))
		wantStatus(t, "the new key", send(second, "keyed"), http.StatusOK)
		wantRefused(t, "the old key", send(first, "keyed"), http.StatusUnauthorized, "invalid_client")
		for range 20 {
			wantRefused(t, "a kid that nobody has", send(idptest.NewKey(t, "three", "ES256"), "keyed"), http.StatusUnauthorized, "invalid_client")
		}
		if n := web.asked.Load(); n != 2 {
			t.Errorf("fetched %d times, want 2", n)
		}
	})
	t.Run("a client that was changed", func(t *testing.T) {
		elsewhere := newPublisher(t, first)
		idp.Change(t, "keyed", func(c *storage.Client) { c.JWKSURI = elsewhere.URL })
		wantStatus(t, "the key there", send(first, "keyed"), http.StatusOK)
		wantRefused(t, "the key of before", send(second, "keyed"), http.StatusUnauthorized, "invalid_client")
		idp.Change(t, "keyed", func(c *storage.Client) { c.JWKSURI, c.JWKS = "", idptest.KeySet(second) })
		wantStatus(t, "the key in its row", send(second, "keyed"), http.StatusOK)
		wantRefused(t, "the key of before", send(first, "keyed"), http.StatusUnauthorized, "invalid_client")
	})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for id, serve := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, web.URL, http.StatusFound) },
		"large": func(w http.ResponseWriter, _ *http.Request) {
			set := idptest.KeySet(second)
			_, _ = w.Write([]byte(strings.Repeat(" ", 64<<10) + set))
		},
		"error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"none":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"html":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"key":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(asJSON(t, second.JWK()))) },
	} {
		t.Run("F10 "+id, func(t *testing.T) {
			bad := newPublisher(t)
			bad.serve = serve
			published(id, bad.URL)
			for range 3 {
				wantRefused(t, id, send(second, id), http.StatusUnauthorized, "invalid_client")
			}
			if n := bad.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("F10 gone", func(t *testing.T) {
		published("gone", gone.URL)
		wantRefused(t, "gone", send(second, "gone"), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("F10 a private address", func(t *testing.T) {
		guarded := idptest.New(t, idptest.Options{})
		secret := newPublisher(t, second)
		addKeyClient(t, guarded, "keyed", "", func(c *storage.Client) { c.JWKSURI = secret.URL })
		w := guarded.Do(idptest.Form("/oauth2/token", second.Assert(t, "keyed", url.Values{"grant_type": {"client_credentials"}})))
		wantRefused(t, "private", w, http.StatusUnauthorized, "invalid_client")
		if n := secret.asked.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}
