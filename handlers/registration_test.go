package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// registers are options of a provider at which clients register themselves.
func registers(mode string) idptest.Options {
	return idptest.Options{Provider: provider.Config{RegistrationMode: mode}}
}

// metadata are those of a client that may be registered, changed.
func metadata(pairs ...any) map[string]any {
	m := map[string]any{"client_name": "Shop", "redirect_uris": []string{"https://shop.example/cb"}}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// manage sends JSON to the registration endpoint, or below it. metadata is a text, or
// a value.
func manage(idp *idptest.IDP, method, path, token string, metadata any) *idptest.Response {
	body, ok := metadata.(string)
	if !ok && metadata != nil {
		b, err := json.Marshal(metadata)
		if err != nil {
			panic(err)
		}
		body = string(b)
	}
	r := httptest.NewRequest(method, "/oauth2/register"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return idp.Do(r)
}

// invited returns an initial access token of so many uses.
func invited(t testing.TB, idp *idptest.IDP, uses int64) (token, id string) {
	t.Helper()
	row := &storage.InitialAccessToken{UsesLeft: uses, ExpiresAt: storage.At(time.Now().Add(24 * time.Hour))}
	token, err := provider.NewRegistration(idp.Store).CreateInitialToken(context.Background(), row, byTest, time.Now())
	check(t, err)
	return token, row.ID
}

// client is one that registered itself.
type client struct {
	id, path, secret, token string
	told                    map[string]any
}

// registered registers a client, which must succeed.
func registered(t testing.TB, idp *idptest.IDP, with string, metadata any) client {
	t.Helper()
	w := manage(idp, http.MethodPost, "", with, metadata)
	c := clientOf(t, w)
	if uri := str(t, c.told, "registration_client_uri"); uri != idp.Provider.Issuer()+"/oauth2/register/"+c.id {
		t.Errorf("registration_client_uri %s", uri)
	}
	return c
}

// clientOf is the client that an answer tells of.
func clientOf(t testing.TB, w *idptest.Response) client {
	t.Helper()
	if w.Status != http.StatusCreated {
		t.Fatalf("register: status %d: %s", w.Status, w.Body)
	}
	told := w.JSON(t)
	c := client{id: str(t, told, "client_id"), token: str(t, told, "registration_access_token"), told: told}
	c.path = "/" + c.id
	if secret, ok := told["client_secret"]; ok {
		c.secret = secret.(string)
	}
	return c
}

// stored is the client as the database has it.
func (c client) stored(t testing.TB, idp *idptest.IDP) *storage.Client {
	t.Helper()
	row, err := idp.Store.Queries.Client(context.Background(), c.id)
	check(t, err)
	return row
}

// again are the metadata that the client was told, as it may send them back.
func (c client) again(pairs ...any) map[string]any {
	m := maps.Clone(c.told)
	for _, ours := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		delete(m, ours)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(m, pairs[i].(string))
			continue
		}
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// everything are all metadata that a client may have.
func everything() map[string]any {
	return metadata(
		"application_type", "web", "response_types", []string{"code"}, "grant_types", []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_method", "client_secret_post", "scope", "openid email jobs:run", "contacts", []string{"ops@shop.example"},
		"client_uri", "https://shop.example/", "logo_uri", "https://cdn.shop.example/logo.png", "policy_uri", "https://shop.example/privacy",
		"tos_uri", "https://shop.example/terms", "jwks", publicKeys(),
		"software_id", "4NRB1-0XZABZI9E6-5SM3R", "software_version", "2.1", "subject_type", "pairwise", "id_token_signed_response_alg", "ES256",
		"userinfo_signed_response_alg", "RS256", "request_object_signing_alg", "ES256", "request_uris", []string{"https://shop.example/request#hash"},
		"require_pushed_authorization_requests", true, "require_signed_request_object", true, "default_max_age", 3600, "require_auth_time", true,
		"default_acr_values", []string{"urn:example:gold"}, "initiate_login_uri", "https://shop.example/initiate",
		"backchannel_logout_uri", "https://shop.example/logout", "backchannel_logout_session_required", true,
		"post_logout_redirect_uris", []string{"https://shop.example/bye"}, "client_name#de", "Laden", "unheard_of", map[string]any{"a": 1},
	)
}

// publicKeys is a key set of a client (RFC 7517 appendix A.1).
func publicKeys() map[string]any {
	return map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
		"x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
	}}}
}

// What a client that registers itself sees on the wire, and what is on the record.
func TestRegistrationOnTheWire(t *testing.T) {
	t.Parallel()
	clocked(t, registers("token"), func(t *testing.T, idp *idptest.IDP) {
		g := wire{t, time.Now()}
		with, invitation := invited(t, idp, 1)
		created := manage(idp, http.MethodPost, "", with, everything())
		c := clientOf(t, created)
		golden := func(name string, w *idptest.Response) {
			t.Helper()
			varying := []string{c.id, "client_...", c.token, "urt_...", fmt.Sprint(g.start.Unix()), `"start"`}
			if secret, ok := w.JSON(t)["client_secret"].(string); ok {
				varying = append(varying, secret, "ucs_...")
			}
			g.answer(name, &idptest.Response{Status: w.Status, Header: w.Header, Body: strings.NewReplacer(varying...).Replace(w.Body)})
		}
		golden("registration_created", created)
		time.Sleep(time.Minute)
		read := manage(idp, http.MethodGet, c.path, c.token, nil)
		told := maps.Clone(c.told)
		delete(told, "client_secret") // which is told once
		if diff := cmp.Diff(told, read.JSON(t)); diff != "" {
			t.Errorf("what is read is not what was registered: %s", diff)
		}
		golden("registration_replaced", manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id)))
		golden("registration_refused", manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id, "redirect_uris", []string{"http://shop.example/cb"})))
		golden("registration_unauthorized", manage(idp, http.MethodGet, c.path, "x", nil))
		w := manage(idp, http.MethodDelete, c.path, c.token, nil)
		if w.Status != http.StatusNoContent || w.Body != "" || w.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("delete: %+v", w)
		}
		wantRefused(t, "a client that is gone", manage(idp, http.MethodGet, c.path, c.token, nil), http.StatusUnauthorized, "invalid_token")

		var types []string
		for _, e := range events(t, idp, func(e storage.Event) bool { return e.ClientID == c.id }) {
			types = append(types, string(e.Type))
			if e.Data["registered_with"] != invitation || e.RequestID == "" || e.ActorID != "" {
				t.Errorf("%s: got %+v", e.Type, e)
			}
		}
		slices.Sort(types) // the clock stands still
		if want := []string{"client.created", "client.deleted", "client.updated"}; !slices.Equal(types, want) {
			t.Errorf("events %v, want %v", types, want)
		}
	})
}

// With its defaults a client is told what it may send back, and sending it back
// changes nothing.
func TestRegistrationRoundTrip(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, registers("token"))
	with, _ := invited(t, idp, 100)
	for name, m := range map[string]map[string]any{
		"everything": everything(), "defaults": {"redirect_uris": []string{"https://shop.example/cb"}},
		"spa":     metadata("token_endpoint_auth_method", "none"),
		"native":  metadata("application_type", "native", "redirect_uris", []string{"com.example.shop:/cb", "http://127.0.0.1/cb"}),
		"service": {"client_name": "Jobs", "grant_types": []string{"client_credentials"}},
	} {
		c := registered(t, idp, with, m)
		was := c.stored(t, idp)
		w := manage(idp, http.MethodPut, c.path, c.token, c.again())
		wantStatus(t, name, w, http.StatusOK)
		if diff := cmp.Diff(was, c.stored(t, idp)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Each row is a registration that is allowed, or one of which one thing is wrong.
func TestRegistrationMetadata(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{RegistrationMode: "token", RegistrationScope: "openid email jobs:run"}})
	with, _ := invited(t, idp, 1000)
	const invalid, redirect = "invalid_client_metadata", "invalid_redirect_uri"
	uris := func(all ...string) []any { return []any{"redirect_uris", all} }
	native := func(all ...string) []any { return []any{"application_type", "native", "redirect_uris", all} }
	implicit := []any{"grant_types", []string{"implicit"}, "response_types", []string{"id_token"}}
	service := []any{"redirect_uris", nil, "grant_types", []string{"client_credentials"}}
	keys := publicKeys()
	for _, c := range []struct {
		name  string
		pairs []any
		want  string         // an error code; empty: allowed
		says  string         // in the description
		is    map[string]any // what is registered
	}{
		{"defaults", []any{"client_name", nil}, "", "", map[string]any{
			"client_name": "shop.example", "application_type": "web", "grant_types": []any{"authorization_code"}, "response_types": []any{"code"},
			"token_endpoint_auth_method": "client_secret_basic", "scope": "openid email jobs:run", "id_token_signed_response_alg": "RS256",
			"subject_type": "public", "client_secret_expires_at": 0.0, "require_auth_time": true, "jwks": nil, "default_max_age": nil,
		}},
		{"empty values are none", []any{"scope", "", "grant_types", []string{}, "jwks", nil, "client_uri", ""}, "", "", map[string]any{"scope": "openid email jobs:run"}},
		{"unknown metadata", []any{"client_name#de", "Laden", "frontchannel_logout_uri", 7}, "", "", map[string]any{"client_name#de": nil, "frontchannel_logout_uri": nil}},
		{"an id of its choice", []any{"client_id", "app", "client_secret", "chosen"}, "", "", nil},

		{"C03 two URIs", uris("https://shop.example/cb", "http://127.0.0.1:8080/cb?a=b"), "", "", nil},
		{"C03 no URI", uris(), redirect, "redirect_uris:", nil},
		{"C03 http", uris("http://shop.example/cb"), redirect, "http://shop.example/cb", nil},
		{"C03 wildcard", uris("https://*.shop.example/cb"), redirect, "", nil},
		{"C03 fragment", uris("https://shop.example/cb#x"), redirect, "", nil},
		{"C03 user information", uris("https://a@shop.example/cb"), redirect, "", nil},
		{"C03 javascript", uris("javascript:alert(1)"), redirect, "", nil},
		{"C03 data", uris("data:text/html,x"), redirect, "", nil},
		{"C03 vbscript", uris("vbscript:x"), redirect, "", nil},
		{"C03 file", uris("file:///etc/passwd"), redirect, "", nil},
		{"C03 relative", uris("/cb"), redirect, "", nil},
		{"C03 empty", uris(""), redirect, "", nil},
		{"C03 line break", uris("https://shop.example/cb\r\nx"), redirect, "", nil},
		{"C03 one bad of two", uris("https://shop.example/cb", "http://shop.example/cb"), redirect, "", nil},
		{"C03 twice", uris("https://shop.example/cb", "https://shop.example/cb"), redirect, "twice", nil},
		{"C03 scheme of a web client", uris("com.example.shop:/cb"), redirect, "", nil},
		{"C03 native", native("com.example.shop:/cb", "http://127.0.0.1/cb"), "", "", map[string]any{"application_type": "native", "token_endpoint_auth_method": "none", "client_secret": nil}},
		{"C03 native, a scheme without a dot", native("shop:/cb"), redirect, "", nil},
		{"C03 implicit", append(uris("https://shop.example/cb"), implicit...), "", "", nil},
		{"C03 implicit, http on loopback", append(uris("https://shop.example/cb", "http://127.0.0.1/cb"), implicit...), redirect, "http://127.0.0.1/cb", nil},
		{"C03 implicit, localhost", append(uris("https://localhost/cb"), implicit...), redirect, "localhost", nil},
		{"C03 implicit beside code, localhost", append(uris("https://LOCALHOST.:8443/cb"), "grant_types", []string{"authorization_code", "implicit"}, "response_types", []string{"code id_token"}), redirect, "", nil},
		{"C03 implicit, without authentication", append(uris("http://localhost/cb"), append(implicit, "token_endpoint_auth_method", "none")...), redirect, "localhost", nil},
		{"C03 implicit, native", append(native("http://127.0.0.1/cb"), implicit...), "", "", nil},
		{"C03 no list", []any{"redirect_uris", "https://shop.example/cb"}, redirect, "redirect_uris: want a list", nil},

		{"a native client with a secret", append(native("com.example.shop:/cb"), "token_endpoint_auth_method", "client_secret_basic"), invalid, "token_endpoint_auth_method", nil},
		{"no such application_type", []any{"application_type", "desktop"}, invalid, "application_type", nil},
		{"without authentication", []any{"token_endpoint_auth_method", "none"}, "", "", map[string]any{"client_secret": nil, "client_secret_expires_at": nil}},
		{"client_secret_post", []any{"token_endpoint_auth_method", "client_secret_post"}, "", "", nil},
		{"client_secret_jwt", []any{"token_endpoint_auth_method", "client_secret_jwt"}, invalid, "token_endpoint_auth_method", nil},
		{"service", service, "", "", map[string]any{"scope": "jobs:run", "response_types": nil, "redirect_uris": nil}},
		{"service without authentication", append(slices.Clone(service), "token_endpoint_auth_method", "none"), invalid, "token_endpoint_auth_method", nil},
		{"service with a redirect URI", []any{"grant_types", []string{"client_credentials"}}, redirect, "redirect_uris", nil},
		{"password grant", []any{"grant_types", []string{"authorization_code", "password"}}, invalid, "grant_types", nil},
		{"A25 token exchange", []any{"grant_types", []string{"authorization_code", grantExchange}}, invalid, "grant_types", nil},
		{"response type of no grant type", []any{"response_types", []string{"token"}}, invalid, "response_types", nil},
		{"refresh tokens", []any{"grant_types", []string{"authorization_code", "refresh_token"}}, "", "", nil},

		{"scope", []any{"scope", "email admin openid email"}, "", "", map[string]any{"scope": "email openid"}},
		{"scope of nothing", []any{"scope", "admin"}, "", "", map[string]any{"scope": ""}},
		{"scope that is a list", []any{"scope", []string{"openid"}}, invalid, "scope: want a string", nil},

		{"client_name that is no text", []any{"client_name", 7}, invalid, "client_name", nil},
		{"E05 client_name with a line break", []any{"client_name", "a\nb"}, invalid, "client_name", nil},
		{"E05 client_name that turns the text", []any{"client_name", "shop\u202egnp.exe"}, invalid, "client_name", nil},
		{"E05 client_name too long", []any{"client_name", strings.Repeat("x", 301)}, invalid, "client_name", nil},
		{"pages", []any{"client_uri", "https://shop.example", "logo_uri", "https://cdn.example/l.png", "policy_uri", "https://shop.example/p", "tos_uri", "https://shop.example/t"}, "", "", nil},
		{"E05 client_uri on http", []any{"client_uri", "http://shop.example"}, invalid, "client_uri", nil},
		{"E05 logo_uri on http, loopback", []any{"logo_uri", "http://127.0.0.1/logo.png"}, invalid, "logo_uri", nil},
		{"E05 logo_uri as data", []any{"logo_uri", "data:image/png;base64,AA=="}, invalid, "logo_uri", nil},
		{"E05 logo_uri that would change the policy", []any{"logo_uri", "https://cdn.example;script-src/logo.png"}, invalid, "logo_uri", nil},
		{"E05 policy_uri as script", []any{"policy_uri", "javascript:alert(1)"}, invalid, "policy_uri", nil},
		{"E05 tos_uri relative", []any{"tos_uri", "/terms"}, invalid, "tos_uri", nil},
		{"contacts", []any{"contacts", []string{"nobody"}}, invalid, "contacts", nil},
		{"software_version", []any{"software_version", "\x00"}, invalid, "software_version", nil},
		{"software statement", []any{"software_statement", "e30.e30.c2ln"}, "unapproved_software_statement", "", nil},
		{"software statement that is none", []any{"software_statement", "trust me"}, "invalid_software_statement", "", nil},
		{"software statement that is no text", []any{"software_statement", 7}, "invalid_software_statement", "", nil},

		{"jwks", []any{"jwks", keys}, "", "", map[string]any{"jwks": keys}},
		{"jwks that is a text", []any{"jwks", `{"keys":[{"kty":"EC"}]}`}, invalid, "jwks: want a JSON object", nil},
		{"jwks without keys", []any{"jwks", map[string]any{"keys": []any{}}}, invalid, "jwks", nil},
		{"jwks with a private key", []any{"jwks", map[string]any{"keys": []any{map[string]any{"kty": "EC", "d": "x"}}}}, invalid, "jwks", nil},
		{"jwks_uri", []any{"jwks_uri", "https://shop.example/jwks"}, "", "", nil},
		{"jwks_uri on http", []any{"jwks_uri", "http://shop.example/jwks"}, invalid, "jwks_uri", nil},
		{"jwks and jwks_uri", []any{"jwks", keys, "jwks_uri", "https://shop.example/jwks"}, invalid, "jwks_uri", nil},
		{"token_endpoint_auth_signing_alg", []any{"token_endpoint_auth_signing_alg", "HS256"}, invalid, "token_endpoint_auth_signing_alg", nil},

		{"pairwise", []any{"subject_type", "pairwise"}, "", "", nil},
		{"pairwise with one host twice", append(uris("https://shop.example/cb", "https://shop.example:8443/cb"), "subject_type", "pairwise"), "", "", nil},
		{"pairwise with two hosts", append(uris("https://shop.example/cb", "https://shop.test/cb"), "subject_type", "pairwise"), invalid, "sector_identifier_uri", nil},
		{"pairwise with no host", append(native("com.example.shop:/cb"), "subject_type", "pairwise"), invalid, "sector_identifier_uri", nil},
		{"no such subject_type", []any{"subject_type", "random"}, invalid, "subject_type", nil},
		{"sector_identifier_uri on http", []any{"sector_identifier_uri", "http://shop.example/sector"}, invalid, "sector_identifier_uri", nil},
		{"F10 sector_identifier_uri that is not public", []any{"sector_identifier_uri", "https://127.0.0.1:1/sector"}, invalid, "sector_identifier_uri: cannot be fetched", nil},
		{"F10 sector_identifier_uri on loopback", []any{"sector_identifier_uri", "http://127.0.0.1:1/sector"}, invalid, "sector_identifier_uri: cannot be fetched", nil},

		{"I01 ES256", []any{"id_token_signed_response_alg", "ES256"}, "", "", nil},
		{"I01 none", []any{"id_token_signed_response_alg", "none"}, invalid, "id_token_signed_response_alg", nil},
		{"I01 HS256", []any{"id_token_signed_response_alg", "HS256"}, invalid, "id_token_signed_response_alg", nil},
		{"userinfo as a JWT", []any{"userinfo_signed_response_alg", "ES256"}, "", "", nil},
		{"userinfo with HS256", []any{"userinfo_signed_response_alg", "HS256"}, invalid, "userinfo_signed_response_alg", nil},
		{"userinfo with none", []any{"userinfo_signed_response_alg", "none"}, invalid, "userinfo_signed_response_alg", nil},
		{"request objects", []any{"request_object_signing_alg", "ES256", "jwks", keys, "require_signed_request_object", true}, "", "", nil},
		{"C08 request objects with none", []any{"request_object_signing_alg", "none", "jwks", keys}, invalid, "request_object_signing_alg", nil},
		{"request objects with HS256", []any{"request_object_signing_alg", "HS256", "jwks", keys}, invalid, "request_object_signing_alg", nil},
		{"request objects without keys", []any{"request_object_signing_alg", "ES256"}, invalid, "request_object_signing_alg", nil},
		{"required request objects that it cannot sign", []any{"require_signed_request_object", true}, invalid, "require_signed_request_object", nil},
		{"request_uris", []any{"request_uris", []string{"https://shop.example/r#NmZm", "https://shop.example/r"}}, "", "", nil},
		{"request_uris on http", []any{"request_uris", []string{"http://shop.example/r"}}, invalid, "request_uris", nil},
		{"request_uris with two fragments", []any{"request_uris", []string{"https://shop.example/r#a#b"}}, invalid, "request_uris", nil},
		{"require_pushed_authorization_requests", []any{"require_pushed_authorization_requests", true}, "", "", nil},
		{"a boolean that is a text", []any{"require_pushed_authorization_requests", "true"}, invalid, "require_pushed_authorization_requests: want true or false", nil},
		{"default_max_age", []any{"default_max_age", 0}, "", "", map[string]any{"default_max_age": 0.0}},
		{"default_max_age before now", []any{"default_max_age", -1}, invalid, "default_max_age", nil},
		{"default_max_age of ages", []any{"default_max_age", 1 << 40}, invalid, "default_max_age", nil},
		{"default_max_age in parts", []any{"default_max_age", 1.5}, invalid, "default_max_age: want a whole number", nil},
		{"default_max_age as a text", []any{"default_max_age", "3600"}, invalid, "default_max_age", nil},
		{"require_auth_time", []any{"require_auth_time", 1}, invalid, "require_auth_time", nil},

		{"initiate_login_uri", []any{"initiate_login_uri", "http://localhost:8081/initiate"}, "", "", nil},
		{"initiate_login_uri on http", []any{"initiate_login_uri", "http://shop.example/initiate"}, invalid, "initiate_login_uri", nil},
		{"backchannel_logout_uri", []any{"backchannel_logout_uri", "https://shop.example/l", "backchannel_logout_session_required", true}, "", "", nil},
		{"backchannel_logout_uri on http", []any{"backchannel_logout_uri", "http://shop.example/l"}, invalid, "backchannel_logout_uri", nil},
		{"backchannel_logout_session_required alone", []any{"backchannel_logout_session_required", true}, invalid, "backchannel_logout_session_required", nil},
		{"post_logout_redirect_uris", []any{"post_logout_redirect_uris", []string{"http://shop.example/"}}, invalid, "post_logout_redirect_uris", nil},

		{"encrypted ID tokens", []any{"id_token_encrypted_response_alg", "RSA-OAEP"}, invalid, "id_token_encrypted_response_alg", nil},
		{"encrypted userinfo", []any{"userinfo_encrypted_response_enc", "A128GCM"}, invalid, "userinfo_encrypted_response_enc", nil},
		{"encrypted requests", []any{"request_object_encryption_alg", "RSA-OAEP"}, invalid, "request_object_encryption_alg", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := manage(idp, http.MethodPost, "", with, metadata(c.pairs...))
			if c.want != "" {
				wantRefused(t, c.name, w, http.StatusBadRequest, c.want)
				if said, _ := w.JSON(t)["error_description"].(string); !strings.Contains(said, c.says) {
					t.Errorf("described as %q, want %q in it", said, c.says)
				}
				return
			}
			wantStatus(t, c.name, w, http.StatusCreated)
			told := w.JSON(t)
			for name, want := range c.is {
				if diff := cmp.Diff(want, told[name]); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
			if id, _ := told["client_id"].(string); !strings.HasPrefix(id, "client_") {
				t.Errorf("client_id %q", id)
			}
		})
	}
}

// H04, F02: what no registration may be, whatever it says.
func TestRegistrationBodies(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, registers("open"))
	deep := func(n int) string {
		return `{"redirect_uris":["https://shop.example/cb"],"x":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}`
	}
	const good = `{"redirect_uris":["https://shop.example/cb"]}`
	for name, body := range map[string]string{
		"empty": "", "null": "null", "a list": "[" + good + "]", "a text": `"x"`, "two objects": good + good, "half": good[:20],
		"a member twice":             `{"redirect_uris":["https://shop.example/cb"],"redirect_uris":["https://evil.example/cb"]}`,
		"twice, spelled in two ways": `{"redirect_uris":["https://shop.example/cb"],"redirect\u005furis":["https://evil.example/cb"]}`,
		"twice, deeper":              `{"redirect_uris":["https://shop.example/cb"],"jwks":{"keys":[{"kty":"EC","kty":"RSA"}]}}`,
		"not UTF-8":                  "{\"redirect_uris\":[\"https://shop.example/cb\"],\"client_name\":\"\xff\"}",
		"H04 nested":                 deep(32), "H04 nested deeply": deep(10000),
	} {
		wantRefused(t, name, manage(idp, http.MethodPost, "", "", body), http.StatusBadRequest, "invalid_client_metadata")
	}
	wantStatus(t, "H04 nested enough", manage(idp, http.MethodPost, "", "", deep(31)), http.StatusCreated)
	wantStatus(t, "names in other objects", manage(idp, http.MethodPost, "", "", `{"a":{"b":1},"b":[{"a":1},{"a":"a"}],`+good[1:]), http.StatusCreated)
	wantStatus(t, "no names of ours in capitals", manage(idp, http.MethodPost, "", "", `{"Client_Name":7,`+good[1:]), http.StatusCreated)
	wantRefused(t, "H01 65 KiB", manage(idp, http.MethodPost, "", "", good+strings.Repeat(" ", 65<<10)), http.StatusRequestEntityTooLarge, "invalid_request")
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jwt"} {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/register", strings.NewReader(good))
		r.Header.Set("Content-Type", contentType)
		wantRefused(t, contentType, idp.Do(r), http.StatusBadRequest, "invalid_request")
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth2/register", strings.NewReader(good))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	wantStatus(t, "with a charset", idp.Do(r), http.StatusCreated)
	wantRefused(t, "F02 a query", manage(idp, http.MethodPost, "?access_token=x", "", good), http.StatusBadRequest, "invalid_request")
}

// Who may register, by the mode of the provider.
func TestRegistrationModes(t *testing.T) {
	t.Parallel()
	endpoint := func(idp *idptest.IDP) any {
		return idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).JSON(t)["registration_endpoint"]
	}
	t.Run("off", func(t *testing.T) {
		idp := idptest.New(t, registers("off"))
		with, _ := invited(t, idp, 1)
		for _, w := range []*idptest.Response{
			manage(idp, http.MethodPost, "", "", metadata()), manage(idp, http.MethodPost, "", with, metadata()), manage(idp, http.MethodGet, "", "", nil),
			manage(idp, http.MethodGet, "/app", "x", nil), manage(idp, http.MethodPut, "/app", "x", metadata()), manage(idp, http.MethodDelete, "/app", "x", nil),
		} {
			wantRefused(t, "off", w, http.StatusNotFound, "not_found")
		}
		if got := endpoint(idp); got != nil {
			t.Errorf("discovery lists %v", got)
		}
	})
	t.Run("token", func(t *testing.T) {
		clocked(t, registers("token"), func(t *testing.T, idp *idptest.IDP) {
			refused := func(what, token string) {
				t.Helper()
				wantRefused(t, what, manage(idp, http.MethodPost, "", token, metadata()), http.StatusUnauthorized, "invalid_token")
			}
			with, id := invited(t, idp, 2)
			refused("no token", "")
			refused("another token", with+"x")
			refused("the id of the token", id)
			access := str(t, loggedIn(t, idp, "ada"), "access_token")
			refused("A24 an access token", access)
			wantRefused(t, "metadata that are refused", manage(idp, http.MethodPost, "", with, metadata("redirect_uris", nil)), http.StatusBadRequest, "invalid_redirect_uri")
			c := registered(t, idp, with, metadata())
			refused("A24 a registration access token", c.token)
			registered(t, idp, with, metadata())
			refused("a token that is used up", with)

			revoked, id := invited(t, idp, 1)
			check(t, provider.NewRegistration(idp.Store).RevokeInitialToken(t.Context(), id, byTest, time.Now()))
			refused("a token that was revoked", revoked)
			late, _ := invited(t, idp, 1)
			time.Sleep(24*time.Hour - time.Microsecond)
			time.Sleep(time.Microsecond)
			refused("a token that ran out", late)
			if got := endpoint(idp); got != idptest.Issuer+"/oauth2/register" {
				t.Errorf("discovery lists %v", got)
			}
		})
	})
	t.Run("open", func(t *testing.T) {
		idp := idptest.New(t, registers("open"))
		c := registered(t, idp, "", metadata())
		if got := c.stored(t, idp).RegisteredWith; got != "open" {
			t.Errorf("registered with %q", got)
		}
		if got := endpoint(idp); got != idptest.Issuer+"/oauth2/register" {
			t.Errorf("discovery lists %v", got)
		}
	})
	t.Run("methods", func(t *testing.T) {
		idp := idptest.New(t, registers("open"))
		for path, want := range map[string]string{"": "POST", "/app": "GET, PUT, DELETE"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
				if slices.Contains(strings.Split(want, ", "), method) || path == "" && method == http.MethodOptions {
					continue
				}
				w := manage(idp, method, path, "", metadata())
				wantRefused(t, method+path, w, http.StatusMethodNotAllowed, "invalid_request")
				if allow := w.Header.Get("Allow"); !strings.Contains(allow, want) {
					t.Errorf("%s %s: Allow %q", method, path, allow)
				}
			}
		}
	})
}

// A token of one use registers one client, however many try at once.
func TestInitialTokenIsSpentOnce(t *testing.T) {
	t.Parallel()
	each(t, registers("token"), func(t *testing.T, idp *idptest.IDP) {
		with, id := invited(t, idp, 1)
		answers := parallel(30, func(int) *idptest.Response {
			w := manage(idp, http.MethodPost, "", with, metadata())
			if w.Status == http.StatusCreated {
				w.Body = ""
			}
			return w
		})
		if answers["201 "] != 1 || answers[`401 {"error":"invalid_token"`] != 29 {
			t.Errorf("got %v", answers)
		}
		clients, err := idp.Store.Clients(t.Context())
		check(t, err)
		clients = slices.DeleteFunc(clients, func(c storage.Client) bool { return c.RegisteredWith != id })
		created := events(t, idp, func(e storage.Event) bool {
			return e.Type == storage.EventClientCreated && e.Data["registered_with"] == id
		})
		if len(clients) != 1 || len(created) != 1 {
			t.Errorf("%d clients, %d events", len(clients), len(created))
		}
	})
}

// Where everybody may register, a network registers so many an hour.
func TestOpenRegistrationIsLimited(t *testing.T) {
	t.Parallel()
	from := func(idp *idptest.IDP, address string) *idptest.Response {
		b, err := json.Marshal(metadata())
		check(t, err)
		r := httptest.NewRequest(http.MethodPost, "/oauth2/register", bytes.NewReader(b))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = address
		return idp.Do(r)
	}
	clocked(t, registers("open"), func(t *testing.T, idp *idptest.IDP) {
		for i := range 20 {
			wantStatus(t, "a registration", from(idp, fmt.Sprintf("198.51.100.%d:1", i)), http.StatusCreated)
		}
		time.Sleep(59 * time.Minute)
		w := from(idp, "198.51.100.77:1")
		wantRefused(t, "one more", w, http.StatusTooManyRequests, "temporarily_unavailable")
		if wait, _ := strconv.Atoi(w.Header.Get("Retry-After")); wait < 60 || wait > 61 {
			t.Errorf("Retry-After: %s, want a minute", w.Header.Get("Retry-After"))
		}
		wantStatus(t, "another network", from(idp, "198.51.101.1:1"), http.StatusCreated)
		wantRefused(t, "nothing to register", manage(idp, http.MethodPost, "", "", "{}"), http.StatusBadRequest, "invalid_redirect_uri") // costs nothing
		time.Sleep(time.Minute)
		wantStatus(t, "an hour later", from(idp, "198.51.100.77:1"), http.StatusCreated)
	})
	each(t, registers("open"), func(t *testing.T, idp *idptest.IDP) {
		answers := parallel(40, func(int) *idptest.Response {
			w := from(idp, "203.0.113.5:1")
			w.Body = ""
			return w
		})
		if answers["201 "] != 20 || answers["429 "] != 20 {
			t.Errorf("at once: %v", answers)
		}
	})
}

// D14: nothing that a client says about itself makes it more than somebody else's
// application.
func TestRegistrationAssignsNothingElse(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, registers("token"))
	with, id := invited(t, idp, 1000)
	hostile := map[string]any{}
	for _, own := range []any{provider.Metadata{}, storage.Client{}} {
		for f := range reflect.TypeOf(own).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			for _, name := range []string{name, f.Name, strings.ToLower(f.Name)} {
				switch f.Type.Kind() {
				case reflect.Bool:
					hostile[name] = true
				case reflect.Slice:
					hostile[name] = []string{"openid"}
				case reflect.String:
					hostile[name] = "callback"
				default:
					hostile[name] = 1
				}
			}
		}
	}
	maps.Copy(hostile, map[string]any{
		"client_id": "app", "type": "service", "access_token_format": "opaque", "audience": []string{idptest.Issuer}, "organizations": []string{"org_globex"},
		"organization": "org_globex", "registered_with": "", "status": "disabled", "act_claims": []string{"email"}, "read_only_scopes": []string{"openid"},
		"require_pkce": true,
	})
	delete(hostile, "")
	wanted := everything()
	for name := range wanted { // these are its own to choose
		delete(hostile, name)
	}
	for _, name := range []string{"sector_identifier_uri", "jwks_uri", "token_endpoint_auth_signing_alg"} {
		delete(hostile, name)
	}
	plain := registered(t, idp, with, everything())
	greedy := everything()
	maps.Copy(greedy, hostile)
	t.Logf("%d members: %v", len(hostile), slices.Sorted(maps.Keys(hostile)))
	same := func(what string, c client) {
		t.Helper()
		want, got := plain.stored(t, idp), c.stored(t, idp)
		got.ID, got.SecretHash, got.RegistrationTokenHash, got.CreatedAt, got.UpdatedAt, got.Version = want.ID, want.SecretHash, want.RegistrationTokenHash, want.CreatedAt, want.UpdatedAt, want.Version
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("D14 %s: %s", what, diff)
		}
		if got.RegisteredWith != id || got.FirstParty || got.AllowImpersonation || got.ImpersonationRefresh || got.ImpersonatorInResponse || got.RequirePKCE ||
			got.RevokeOnLogout || len(got.Organizations)+len(got.Audience)+len(got.ActClaims)+len(got.ReadOnlyScopes) > 0 ||
			got.Delivery != "initiate_login" || got.AccessTokenFormat != "jwt" || got.Status != storage.ClientActive {
			t.Errorf("D14 %s: got %+v", what, got)
		}
	}
	c := registered(t, idp, with, greedy)
	same("created", c)
	greedy["client_id"] = c.id
	wantStatus(t, "replace", manage(idp, http.MethodPut, c.path, c.token, greedy), http.StatusOK)
	same("replaced", c)
	app, err := idp.Store.Queries.Client(t.Context(), "app")
	check(t, err)
	if !bytes.Equal(app.SecretHash, storage.Hash(idptest.Secret)) {
		t.Error("D14: App has another secret")
	}
	public := registered(t, idp, with, metadata("token_endpoint_auth_method", "none", "require_pkce", false))
	if !public.stored(t, idp).RequirePKCE {
		t.Error("a public client without PKCE")
	}
}

// RFC 7592: who manages a registration, and what may be said of it.
func TestManagedRegistration(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, registers("token"))
	with, _ := invited(t, idp, 1000)
	other := registered(t, idp, with, metadata())
	t.Run("F06 one answer for everybody who may not", func(t *testing.T) {
		c, disabled := registered(t, idp, with, metadata()), registered(t, idp, with, metadata())
		idp.Change(t, disabled.id, func(c *storage.Client) { c.Status = storage.ClientDisabled })
		want := ""
		for name, try := range map[string]struct{ path, token string }{
			"wrong token": {c.path, "urt_x"}, "no token": {c.path, ""}, "another's token": {c.path, other.token}, "another's client": {other.path, c.token},
			"unknown client": {"/client_x", c.token}, "a client of an operator": {"/app", c.token}, "its secret": {c.path, c.secret},
			"initial access token": {c.path, with}, "disabled": {disabled.path, disabled.token}, "no id": {"/%00", c.token}, "path": {"/..%2f" + c.id, c.token},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				w := manage(idp, method, try.path, try.token, metadata("client_id", c.id))
				wantRefused(t, name, w, http.StatusUnauthorized, "invalid_token")
				if want == "" {
					want = w.Body + w.Header.Get("WWW-Authenticate")
				}
				if got := w.Body + w.Header.Get("WWW-Authenticate"); got != want {
					t.Errorf("%s %s: %s", method, name, got)
				}
			}
		}
		wantRefused(t, "F02 in the query", manage(idp, http.MethodGet, c.path+"?access_token="+c.token, c.token, nil), http.StatusBadRequest, "invalid_request")
		wantStatus(t, "the right one", manage(idp, http.MethodGet, c.path, c.token, nil), http.StatusOK)
	})
	t.Run("replace", func(t *testing.T) {
		for _, row := range []struct {
			name  string
			pairs []any
			says  string // empty: allowed
		}{
			{"as it was", nil, ""},
			{"with its secret", []any{"client_secret", "SECRET"}, ""},
			{"without its secret", []any{"client_secret", nil}, ""},
			{"with a secret of its choice", []any{"client_secret", strings.Repeat("s", 40)}, "client_secret"},
			{"without its id", []any{"client_id", nil}, "client_id"},
			{"with another's id", []any{"client_id", other.id}, "client_id"},
			{"with its token", []any{"registration_access_token", "urt_x"}, "registration_access_token"},
			{"with its address", []any{"registration_client_uri", "https://evil.example/"}, "registration_client_uri"},
			{"with an end of its secret", []any{"client_secret_expires_at", 0}, "client_secret_expires_at"},
			{"with its beginning", []any{"client_id_issued_at", 0}, "client_id_issued_at"},
			{"without redirect URIs", []any{"redirect_uris", nil}, "redirect_uris"},
			{"with keys twice", []any{"jwks_uri", "https://shop.example/jwks"}, "jwks_uri"},
		} {
			c := registered(t, idp, with, everything())
			before := c.stored(t, idp)
			m := c.again(row.pairs...)
			if m["client_secret"] == "SECRET" {
				m["client_secret"] = c.secret
			}
			w := manage(idp, http.MethodPut, c.path, c.token, m)
			if row.says == "" {
				wantStatus(t, row.name, w, http.StatusOK)
				if w.JSON(t)["client_secret"] != nil {
					t.Errorf("%s: the secret is told again", row.name)
				}
				continue
			}
			if w.Status != http.StatusBadRequest || !strings.Contains(str(t, w.JSON(t), "error_description"), row.says) {
				t.Errorf("%s: %d %s", row.name, w.Status, w.Body)
			}
			if diff := cmp.Diff(before, c.stored(t, idp)); diff != "" {
				t.Errorf("%s: refused, and %s", row.name, diff)
			}
		}
	})
	t.Run("what is left out goes back to its default", func(t *testing.T) {
		c := registered(t, idp, with, everything())
		w := manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id, "token_endpoint_auth_method", "client_secret_post"))
		wantStatus(t, "replace", w, http.StatusOK)
		fresh := registered(t, idp, with, metadata("token_endpoint_auth_method", "client_secret_post"))
		got, want := w.JSON(t), maps.Clone(fresh.told)
		for _, name := range []string{"client_id", "client_secret", "registration_access_token", "registration_client_uri", "client_id_issued_at"} {
			delete(got, name)
			delete(want, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a new secret with a new method", func(t *testing.T) {
		c := registered(t, idp, with, metadata())
		put := func(method string) (secret string) {
			w := manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id, "token_endpoint_auth_method", method))
			wantStatus(t, method, w, http.StatusOK)
			secret, _ = w.JSON(t)["client_secret"].(string)
			return secret
		}
		if got := put("client_secret_post"); got != "" {
			t.Errorf("a new secret for another way to send it: %q", got)
		}
		if got := put("none"); got != "" || c.stored(t, idp).SecretHash != nil {
			t.Errorf("a secret for nothing: %q", got)
		}
		got := put("client_secret_basic")
		if !strings.HasPrefix(got, "ucs_") || got == c.secret || !bytes.Equal(c.stored(t, idp).SecretHash, storage.Hash(got)) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("what an operator decided stays", func(t *testing.T) {
		c := registered(t, idp, with, metadata())
		idp.Change(t, c.id, func(c *storage.Client) {
			c.RequirePKCE, c.RevokeOnLogout, c.Scope = true, true, "openid"
		})
		wantStatus(t, "replace", manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id, "scope", "openid email jobs:run admin")), http.StatusOK)
		got := c.stored(t, idp)
		if fmt.Sprintf("%v %v %s", got.RequirePKCE, got.RevokeOnLogout, got.Scope) != "true true openid email" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a client that an operator vouches for", func(t *testing.T) {
		for name, vouch := range map[string]func(*storage.Client){
			"first party":   func(c *storage.Client) { c.FirstParty = true },
			"A25 exchange":  func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantExchange) },
			"impersonation": func(c *storage.Client) { c.AllowImpersonation = true },
			"audience":      func(c *storage.Client) { c.Audience = storage.List{"https://api.example"} },
			"organizations": func(c *storage.Client) { c.Organizations = storage.List{"org_globex"} },
			"scope":         func(c *storage.Client) { c.Scope += " jobs:run" },
		} {
			c := registered(t, idp, with, metadata())
			idp.Change(t, c.id, vouch)
			w := manage(idp, http.MethodPut, c.path, c.token, metadata("client_id", c.id, "redirect_uris", []string{"https://evil.example/cb"}))
			wantRefused(t, name, w, http.StatusForbidden, "access_denied")
			wantRefused(t, name, manage(idp, http.MethodDelete, c.path, c.token, nil), http.StatusForbidden, "access_denied")
			wantStatus(t, name, manage(idp, http.MethodGet, c.path, c.token, nil), http.StatusOK)
			wantRefused(t, name+", with another's token", manage(idp, http.MethodDelete, c.path, "urt_x", nil), http.StatusUnauthorized, "invalid_token")
		}
	})
	t.Run("self-management that was ended", func(t *testing.T) {
		c := registered(t, idp, with, metadata())
		row := c.stored(t, idp)
		row.RegistrationTokenHash = nil
		_, err := provider.NewRegistration(idp.Store).Update(t.Context(), row, byTest, time.Now())
		check(t, err)
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			wantRefused(t, method, manage(idp, method, c.path, c.token, c.again()), http.StatusUnauthorized, "invalid_token")
		}
		is := events(t, idp, func(e storage.Event) bool { return e.ClientID == c.id && e.Type == storage.EventClientUpdated })
		if len(is) != 1 || fmt.Sprint(is[0].Data["changed"]) != "[self_managed]" {
			t.Errorf("events %+v", is)
		}
	})
}

// OpenID Connect Registration section 5, and F10: the document that lists the
// redirect URIs of a sector.
func TestSectorIdentifier(t *testing.T) {
	t.Parallel()
	asked := 0
	mux := http.NewServeMux()
	for name, document := range map[string]string{
		"/both": `["http://127.0.0.1/a","http://localhost/b","http://[::1]/c"]`, "/one": `["http://127.0.0.1/a"]`, "/none": `[]`,
		"/object": `{"redirect_uris":["http://127.0.0.1/a"]}`, "/text": `no JSON`, "/large": `["` + strings.Repeat("x", 65<<10) + `"]`,
	} {
		mux.HandleFunc(name, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			fmt.Fprint(w, document)
		})
	}
	mux.Handle("/elsewhere", http.RedirectHandler("/both", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	o := registers("token")
	o.Issuer = "http://127.0.0.1:8080" // which may call its own machine
	idp := idptest.New(t, o)
	with, _ := invited(t, idp, 1000)
	sector := func(document string) map[string]any {
		return metadata("redirect_uris", []string{"http://127.0.0.1/a", "http://localhost/b"}, "subject_type", "pairwise", "sector_identifier_uri", server.URL+document)
	}
	for document, says := range map[string]string{
		"/one": "does not list 'http://localhost/b'", "/none": "does not list", "/object": "is no JSON array", "/text": "is no JSON array", "/large": "cannot be fetched",
		"/elsewhere": "cannot be fetched", "/missing": "cannot be fetched",
	} {
		w := manage(idp, http.MethodPost, "", with, sector(document))
		wantRefused(t, document, w, http.StatusBadRequest, "invalid_client_metadata")
		if said := str(t, w.JSON(t), "error_description"); !strings.Contains(said, "sector_identifier_uri: "+says) {
			t.Errorf("%s: described as %q, want %q", document, said, says)
		}
	}
	c := registered(t, idp, with, sector("/both"))
	asked = 0
	wantStatus(t, "another name", manage(idp, http.MethodPut, c.path, c.token, c.again("client_name", "Other")), http.StatusOK)
	if asked > 0 {
		t.Error("the document was fetched for nothing")
	}
	wantRefused(t, "a redirect URI that is not listed", manage(idp, http.MethodPut, c.path, c.token, c.again("redirect_uris", []string{"http://127.0.0.1/evil"})), http.StatusBadRequest, "invalid_client_metadata")
	wantStatus(t, "one that is", manage(idp, http.MethodPut, c.path, c.token, c.again("redirect_uris", []string{"http://[::1]/c"})), http.StatusOK)
	wantRefused(t, "no token, no request", manage(idp, http.MethodPost, "", "", sector("/both")), http.StatusUnauthorized, "invalid_token")
	answers := map[int]int{}
	for range 100 {
		answers[manage(idp, http.MethodPut, c.path, c.token, c.again("sector_identifier_uri", server.URL+"/one")).Status]++
	}
	if answers[http.StatusTooManyRequests] == 0 || answers[http.StatusTooManyRequests]+answers[http.StatusBadRequest] != 100 {
		t.Errorf("F10 a hundred requests of ours: %v", answers)
	}
}

// A client that registered itself signs people in, and no longer when it is deleted.
func TestRegisteredClientSignsIn(t *testing.T) {
	t.Parallel()
	each(t, registers("token"), func(t *testing.T, idp *idptest.IDP) {
		with, _ := invited(t, idp, 1)
		c := registered(t, idp, with, metadata("grant_types", []string{"authorization_code", "refresh_token"}))
		request := asking("client_id", c.id, "redirect_uri", "https://shop.example/cb", "scope", "openid email offline_access", "code_challenge", "", "code_challenge_method", "")
		exchange := func(code string) *idptest.Response {
			return idp.Call("/oauth2/token", c.id, c.secret, idptest.Exchange(code, having("redirect_uri", "https://shop.example/cb", "code_verifier", "")))
		}
		b := person(t, idp, "ada")
		consent := b.Get(b.Consent(request))
		if !strings.Contains(textOf(consent, "self-registered"), "nobody here has checked it") {
			t.Errorf("the consent page does not say who it is: %s", consent.Body)
		}
		w := exchange(b.Code(request))
		wantStatus(t, "exchange", w, http.StatusOK)
		tokens := w.JSON(t)
		if claims := idptest.Claims(t, tokens["id_token"]); claims["sub"] != "usr_ada" || claims["aud"] != c.id {
			t.Errorf("claims %v", claims)
		}
		wantStatus(t, "userinfo", userinfo(idp, str(t, tokens, "access_token")), http.StatusOK)
		pending := b.Code(request)

		wantStatus(t, "delete", manage(idp, http.MethodDelete, c.path, c.token, nil), http.StatusNoContent)
		wantStatus(t, "userinfo", userinfo(idp, str(t, tokens, "access_token")), http.StatusUnauthorized)
		wantRefused(t, "code", exchange(pending), http.StatusUnauthorized, "invalid_client")
		wantRefused(t, "refresh", idp.Call("/oauth2/token", c.id, c.secret, refreshing(str(t, tokens, "refresh_token"))), http.StatusUnauthorized, "invalid_client")
		wantOutcome(t, b, request, "page=invalid_client")
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			wantRefused(t, method, manage(idp, method, c.path, c.token, c.again()), http.StatusUnauthorized, "invalid_token")
		}
		wantRefused(t, "impersonation", idp.Call("/oauth2/token", c.id, c.secret, url.Values{"grant_type": {"client_credentials"}}), http.StatusUnauthorized, "invalid_client")
	})
}

// E05: what a stranger says of itself is text on the consent page, and links that
// tell the other side nothing. Its logo is the only thing that the page loads from
// elsewhere, and no other page does.
func TestConsentPageOfAStranger(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, registers("token"))
	with, _ := invited(t, idp, 1000)
	b := person(t, idp, "ada")
	shown := func(c client) *idptest.Response {
		return b.Get(b.Consent(asking("client_id", c.id, "redirect_uri", "https://shop.example/cb", "scope", "openid")))
	}
	full := func(name string) map[string]any {
		return metadata("client_name", name, "client_uri", "https://shop.example/?a=%22&b='", "logo_uri", "https://cdn.example:8443/logo.png?x=1&y='",
			"policy_uri", "https://shop.example/privacy", "tos_uri", "https://shop.example/terms")
	}
	harmless := shown(registered(t, idp, with, full("Shop")))
	policy := harmless.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "; img-src 'self' https://cdn.example:8443;") || strings.Count(policy, "cdn.example") != 1 {
		t.Errorf("policy %s", policy)
	}
	for _, want := range []string{`referrerpolicy="no-referrer"`, `alt="Logo of Shop"`, `width="48" height="48"`, `rel="noopener noreferrer">Home page`, `>Privacy policy<`, `>Terms of service<`} {
		if !strings.Contains(harmless.Body, want) {
			t.Errorf("no %s in %s", want, harmless.Body)
		}
	}
	tried := 0
	for _, text := range strangeTexts {
		w := manage(idp, http.MethodPost, "", with, full(text))
		if w.Status == http.StatusCreated {
			tried++
			if diff := cmp.Diff(skeleton(t, harmless), skeleton(t, shown(clientOf(t, w)))); diff != "" {
				t.Errorf("E05 client_name %q: %s", text, diff)
			}
		} else {
			wantRefused(t, text, w, http.StatusBadRequest, "invalid_client_metadata")
		}
		for _, name := range []string{"client_uri", "logo_uri", "policy_uri", "tos_uri"} {
			for _, uri := range []string{text, "https://shop.example/" + text, "https://" + text + ".example/"} {
				w := manage(idp, http.MethodPost, "", with, metadata(name, uri))
				if w.Status != http.StatusCreated {
					wantRefused(t, uri, w, http.StatusBadRequest, "invalid_client_metadata")
					continue
				}
				tried++
				page := shown(clientOf(t, w))
				if strings.Contains(page.Header.Get("Content-Security-Policy"), "alert") || strings.Count(page.Body, "<script") != 1 {
					t.Errorf("E05 %s %q: %v %s", name, uri, page.Header, page.Body)
				}
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d of the corpus can be registered", tried)
	}
	// What a row holds that was never checked does not get into the header.
	c := registered(t, idp, with, metadata())
	for _, uri := range []string{"https://a;script-src *", "https://a b/", "http://a.example/", "javascript:alert(1)", "https://a'unsafe-inline'"} {
		idp.Change(t, c.id, func(c *storage.Client) { c.LogoURI = uri })
		if w := shown(c); !strings.Contains(w.Header.Get("Content-Security-Policy"), "; img-src 'self'; ") || strings.Contains(w.Body, `class="logo"`) {
			t.Errorf("%q: %v", uri, w.Header)
		}
	}
	// An operator who vouches for it takes the warning away.
	idp.Change(t, c.id, func(c *storage.Client) { c.FirstParty = true })
	w := b.Get(b.Consent(asking("client_id", c.id, "redirect_uri", "https://shop.example/cb", "scope", "openid", "prompt", "consent")))
	if w.Element("self-registered") != nil {
		t.Error("an application that an operator vouches for is called unchecked")
	}
}

// strangeTexts are names and parts of addresses that mean something to browsers.
var strangeTexts = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover=alert(1) x='`, "` onload=alert(1) `", `javascript:alert(1)`, `data:text/html,<script>alert(1)</script>`,
	`{{.Person}}`, `&lt;script&gt;`, `</title><svg onload=alert(1)>`, `]]><script>`, "a\r\nSet-Cookie: x=y", "\u202egnp.exe", "\x00", `x;script-src alert`, `//evil.example/alert(1)`, `%22onload=alert(1)`,
}

func FuzzRegistration(f *testing.F) {
	idp := idptest.New(f, registers("token"))
	with, _ := invited(f, idp, 1_000_000)
	seed := func(m any) {
		b, err := json.Marshal(m)
		check(f, err)
		f.Add(string(b))
	}
	seed(everything())
	seed(metadata("application_type", "native", "redirect_uris", []string{"com.example.shop:/cb", "http://[::1]/cb"}))
	seed(metadata("grant_types", []string{"client_credentials"}, "redirect_uris", nil))
	for _, uri := range strangeRedirects {
		seed(metadata("redirect_uris", []string{uri}))
	}
	for _, text := range strangeTexts {
		seed(metadata("client_name", text, "logo_uri", "https://"+text))
	}
	f.Add(`{"redirect_uris":["https://shop.example/cb"],"redirect_uris":[]}`)
	f.Add(`{"default_max_age":1e400,"jwks":{"keys":[[[[[]]]]]},"contacts":[null]}`)
	f.Fuzz(func(t *testing.T, body string) {
		body = strings.ReplaceAll(body, "sector_identifier_uri", "sector") // it would be fetched
		w := manage(idp, http.MethodPost, "", with, body)
		if w.Status != http.StatusCreated {
			if w.Status != http.StatusRequestEntityTooLarge {
				code, _ := w.JSON(t)["error"].(string)
				wantRefused(t, body, w, http.StatusBadRequest, code)
			}
			return
		}
		c := clientOf(t, w)
		row := c.stored(t, idp)
		if err := provider.ValidateClient(row); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		for _, uri := range row.RedirectURIs {
			u, err := url.Parse(uri)
			switch {
			case err != nil:
				t.Errorf("%q: %v", body, err)
			case u.Scheme == "https" && u.Hostname() != "":
			case u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
			case u.Scheme == "http" && strings.HasPrefix(u.Hostname(), "127."):
			case row.Type == "native" && strings.Contains(u.Scheme, ".") && u.Host == "":
			default:
				t.Errorf("%q: redirect URI %q", body, uri)
			}
		}
		if row.FirstParty || row.AllowImpersonation || row.RegisteredWith == "" || row.Public() && !row.RequirePKCE {
			t.Errorf("%q: got %+v", body, row)
		}
		wantStatus(t, body, manage(idp, http.MethodPut, c.path, c.token, c.again()), http.StatusOK)
		wantStatus(t, body, manage(idp, http.MethodDelete, c.path, c.token, nil), http.StatusNoContent)
	})
}
