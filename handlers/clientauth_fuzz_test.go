package handlers_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
)

// FuzzClientAuthentication: who is let in showed the right credentials in one way,
// as somebody else reads them.
func FuzzClientAuthentication(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, header := range []string{
		"", "Basic", "Basic ", "basic x", "Bearer x", basic("app:" + idptest.Secret), basic("app"), basic(":"), basic("app:"), basic("app:wrong"),
		basic("a%70p:" + idptest.Secret), basic("app:" + idptest.Secret + "%00"), basic("app%zz:x"), basic("app:" + idptest.Secret + ":x"),
		basic("public:"), "bAsIc  " + basic("app:" + idptest.Secret)[6:], basic("app:"+idptest.Secret) + "=", basic("app\n:" + idptest.Secret),
		strings.ReplaceAll(basic("app:"+idptest.Secret), "=", ""), basic("+app:" + idptest.Secret), basic("\xff:\xff"),
	} {
		for _, body := range []string{
			"", "client_id=app", "client_id=public", "client_id=app&client_secret=" + idptest.Secret, "client_secret=", "client_id=",
			"client_assertion=e30.e30.e30", "client_assertion_type=" + url.QueryEscape(idptest.AssertionType), "client_id=app&client_id=app", "%zz;",
		} {
			f.Add(header, body)
		}
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		r := request(http.MethodPost, "/oauth2/revoke", "", "token=x&"+body)
		if header = headerSafe(header); header != "" {
			r.Header.Set("Authorization", header)
		}
		w := idp.Do(r)
		if w.Status != http.StatusOK {
			if w.Status != http.StatusBadRequest && w.Status != http.StatusUnauthorized && w.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%q, %q: status %d: %s", header, body, w.Status, w.Body)
			}
			return
		}
		form, err := url.ParseQuery("token=x&" + body)
		if err != nil || form.Has("client_secret") || form.Has("client_assertion") || form.Has("client_assertion_type") || len(form["client_id"]) > 1 {
			t.Fatalf("%q, %q: let in", header, body)
		}
		if header == "" && form.Get("client_id") == "public" {
			return
		}
		scheme, rest, _ := strings.Cut(header, " ")
		text, err := base64.StdEncoding.DecodeString(rest)
		id, secret, _ := strings.Cut(string(text), ":")
		id, errID := url.QueryUnescape(id)
		secret, errSecret := url.QueryUnescape(secret)
		named := form.Get("client_id")
		if err != nil || errID != nil || errSecret != nil || !strings.EqualFold(scheme, "Basic") || id != "app" && id != "service" ||
			secret != idptest.Secret || named != "" && named != id {
			t.Errorf("%q, %q: let in", header, body)
		}
	})
}

// FuzzAssertion: what is accepted verifies by hand as well, and says what it must.
func FuzzAssertion(f *testing.F) {
	idp := idptest.New(f, idptest.Options{})
	key := idptest.NewKey(f, "k", "ES256")
	addKeyClient(f, idp, "keyed", idptest.KeySet(key), nil)
	const header = `{"alg":"ES256","kid":"k"}`
	claims := asJSON(f, map[string]any{"iss": "keyed", "sub": "keyed", "aud": idptest.Issuer, "jti": "JTI", "exp": 7777777777})
	seed := func(header, claims, wrap string) { f.Add(header, claims, wrap) }
	for _, h := range []string{
		header, `{"alg":"ES256"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"k"}`, `{"alg":"ES256","kid":"x"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`,
		`{"alg":"none","alg":"ES256"}`, `{"ALG":"ES256"}`, `{"alg":"ES256","typ":"at+jwt"}`, `{"alg":"ES256","jwk":{"kty":"EC"}}`, `{"alg":"ES256","kid":null}`, `[]`, `{}`,
		`{"alg":"dir","enc":"A256GCM"}`, `{"alg":"ES256","x5c":["MIIB"]}`, `{"alg":"ES256","kid":"k"} `, `{"alg":"ES256","kid":"k"}{}`,
	} {
		seed(h, claims, "TOKEN")
	}
	for _, c := range []string{
		strings.Replace(claims, `"sub":"keyed"`, `"sub":"app"`, 1), strings.Replace(claims, `"JTI"`, `""`, 1), strings.Replace(claims, "7777777777", "1e999", 1),
		strings.Replace(claims, "7777777777", "-1", 1), strings.Replace(claims, `"https://id.example"`, `["https://id.example"]`, 1), "null", "{}", "",
		strings.TrimSuffix(claims, "}") + `,"aud":"https://evil.example"}`, strings.Repeat("[", 3000), claims + claims, strings.ToUpper(claims),
	} {
		seed(header, c, "TOKEN")
	}
	for _, wrap := range []string{"TOKEN.", ".TOKEN", "TOKEN.TOKEN", "TOKEN\n", "TOKEN=", " TOKEN", "T", "", "..", strings.Repeat(".", 5000), `{"payload":"e30"}`, "eyJhbGciOiJkaXIifQ...."} {
		seed(header, claims, wrap)
	}
	f.Fuzz(func(t *testing.T, header, claims, wrap string) {
		now := time.Now()
		claims = strings.NewReplacer("7777777777", asJSON(t, now.Unix()+60), "JTI", idptest.AssertionClaims("")["jti"].(string)).Replace(claims)
		input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		good := input + "." + base64.RawURLEncoding.EncodeToString(key.SignBytes(t, []byte(input)))
		token := strings.ReplaceAll(wrap, "TOKEN", good)
		form := url.Values{"token": {"x"}, "client_assertion_type": {idptest.AssertionType}, "client_assertion": {token}}
		w := idp.Do(idptest.Form("/oauth2/revoke", form))
		if w.Status != http.StatusOK {
			if w.Status != http.StatusBadRequest && w.Status != http.StatusUnauthorized {
				t.Errorf("%q: status %d: %s", token, w.Status, w.Body)
			}
			return
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			t.Fatalf("%q: accepted", token)
		}
		var decoded [3][]byte
		for i, part := range parts {
			text, err := base64.RawURLEncoding.Strict().DecodeString(part)
			if err != nil || strings.ContainsAny(part, "\r\n") {
				t.Fatalf("%q: accepted in this spelling", token)
			}
			decoded[i] = text
		}
		var head struct{ Alg, Typ, Kid string }
		var said struct {
			Iss, Sub, Aud, Jti string
			Exp                float64
		}
		if err := json.Unmarshal(decoded[0], &head); err != nil || head.Alg != "ES256" || head.Kid != "" && head.Kid != "k" || strings.Contains(string(decoded[0]), `"crit"`) {
			t.Errorf("%s: accepted", decoded[0])
		}
		if err := json.Unmarshal(decoded[1], &said); err != nil || said.Iss != "keyed" || said.Sub != "keyed" || said.Aud != idptest.Issuer ||
			said.Jti == "" || len(said.Jti) > 256 || said.Exp < float64(now.Unix()) || said.Exp > float64(now.Unix()+330) {
			t.Errorf("%s: accepted", decoded[1])
		}
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		r, s := new(big.Int).SetBytes(decoded[2][:32]), new(big.Int).SetBytes(decoded[2][32:])
		if len(decoded[2]) != 64 || !ecdsa.Verify(key.Private.Public().(*ecdsa.PublicKey), digest[:], r, s) {
			t.Errorf("%q: accepted without a signature", token)
		}
		if again := idp.Do(idptest.Form("/oauth2/revoke", form)); again.Status == http.StatusOK {
			t.Errorf("%q: a second time", token)
		}
	})
}
