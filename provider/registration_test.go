package provider

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

func validClient(clientType string) *storage.Client {
	c := NewClient(clientType)
	c.ID, c.Name, c.Status = "shop", "Shop", storage.ClientActive
	if clientType != ClientService {
		c.RedirectURIs = storage.List{"https://shop.test/cb"}
	}
	return c
}

// Each type begins valid; then one thing is wrong a row.
func TestValidateClient(t *testing.T) {
	t.Parallel()
	for _, clientType := range []string{ClientWeb, ClientSPA, ClientNative, ClientService} {
		if err := ValidateClient(validClient(clientType)); err != nil {
			t.Errorf("%s: %v", clientType, err)
		}
	}
	type change = func(*storage.Client)
	const goodKeys = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	keyed := func(c *storage.Client) { c.TokenEndpointAuthMethod, c.JWKS = authPrivateKey, goodKeys }
	for _, c := range []struct {
		clientType string
		change     change
		want       string // empty: allowed
	}{
		{"web", func(c *storage.Client) { c.ID = "" }, `client_id ""`},
		{"web", func(c *storage.Client) { c.ID = "a b" }, `client_id "a b"`},
		{"web", func(c *storage.Client) { c.ID = "a/b" }, `client_id "a/b"`},
		{"web", func(c *storage.Client) { c.ID = ".." }, `client_id ".."`},
		{"web", func(c *storage.Client) { c.ID = strings.Repeat("x", 129) }, `client_id`},
		{"web", func(c *storage.Client) { c.ID = "key_lixeum3zmc4eiin7tbseq7ljal" }, `only API keys`},
		{"web", func(c *storage.Client) { c.ID = "a.b_c~d-E9" }, ``},
		{"web", func(c *storage.Client) { c.Name = "" }, `client_name: is missing`},
		{"web", func(c *storage.Client) { c.Name = "a\nb" }, `client_name "a\nb"`},
		{"web", func(c *storage.Client) { c.Type = "batch" }, `type "batch": want web or spa or native or service`},
		{"web", func(c *storage.Client) { c.Status = "gone" }, `status "gone"`},
		{"web", func(c *storage.Client) { c.Contacts = storage.List{"nobody"} }, `contacts "nobody"`},
		{"web", func(c *storage.Client) { c.SoftwareID = "\x00" }, `software_id`},

		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod = authPost }, ``},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod = authNone }, ``},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod = "private_key_jwt" }, `"private_key_jwt": needs jwks or jwks_uri`},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod = "tls_client_auth" }, `token_endpoint_auth_method "tls_client_auth"`},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod = "" }, `token_endpoint_auth_method ""`},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthMethod, c.RequirePKCE = authNone, false }, `require_pkce`},
		{"web", func(c *storage.Client) { c.RequirePKCE = false }, ``},
		{"spa", func(c *storage.Client) { c.TokenEndpointAuthMethod = authBasic }, `token_endpoint_auth_method "client_secret_basic": a spa client`},
		{"native", func(c *storage.Client) { c.TokenEndpointAuthMethod = authPost }, `token_endpoint_auth_method "client_secret_post": a native client`},
		{"spa", func(c *storage.Client) { c.RequirePKCE = false }, `require_pkce`},
		{"service", func(c *storage.Client) { c.TokenEndpointAuthMethod = authNone }, `token_endpoint_auth_method "none": a service`},
		{"web", func(c *storage.Client) { c.JWKS, c.JWKSURI = `{"keys":[{"kty":"EC"}]}`, "https://shop.test/jwks" }, `jwks_uri: there is jwks`},
		{"web", func(c *storage.Client) { c.JWKS = `{"keys":[]}` }, `jwks: want`},
		{"web", func(c *storage.Client) { c.JWKS = `{"keys":[{"kty":"EC","d":"x"}]}` }, `jwks: has a private`},
		{"web", func(c *storage.Client) { c.JWKS = `nonsense` }, `jwks: want`},
		{"web", func(c *storage.Client) { c.JWKS = goodKeys }, ``},
		{"web", keyed, ``},
		{"native", keyed, ``},
		{"service", keyed, ``},
		{"spa", keyed, `token_endpoint_auth_method "private_key_jwt": a spa client`},
		{"web", func(c *storage.Client) { keyed(c); c.JWKS, c.JWKSURI = "", "https://shop.test/jwks" }, ``},
		{"web", func(c *storage.Client) { keyed(c); c.TokenEndpointAuthSigningAlg = algES256 }, ``},
		{"web", func(c *storage.Client) { keyed(c); c.TokenEndpointAuthSigningAlg = algRS256 }, `jwks: has no key for token_endpoint_auth_signing_alg "RS256"`},
		{"web", func(c *storage.Client) { keyed(c); c.TokenEndpointAuthSigningAlg = "HS256" }, `token_endpoint_auth_signing_alg "HS256": want RS256 or PS256 or ES256 or EdDSA`},
		{"web", func(c *storage.Client) { c.TokenEndpointAuthSigningAlg = algES256 }, `token_endpoint_auth_signing_alg "ES256": is of`},
		{"web", func(c *storage.Client) { c.JWKS = `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}` }, `jwks: has a private or symmetric key`},
		{"web", func(c *storage.Client) {
			c.JWKS = `{"keys":[{"kid":"small","kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 170) + `8"}]}`
		}, `jwks: key "small": want RSA of 2048`},
		{"web", func(c *storage.Client) { c.JWKS = strings.Replace(goodKeys, `"kty"`, `"use":"enc","kty"`, 1) }, `jwks: want`},
		{"web", func(c *storage.Client) { c.JWKSURI = "http://shop.test/jwks" }, `jwks_uri "http://shop.test/jwks"`},

		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantClientCredentials) }, ``},
		{"web", func(c *storage.Client) { c.GrantTypes = nil }, `grant_types: is empty`},
		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "password") }, `grant_types "password": is not supported`},
		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "password") }, `grant_types "password": is not supported`},
		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantTokenExchange) }, ``},
		{"spa", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantTokenExchange) }, `token-exchange": a client without a secret or a key`},
		{"service", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantTokenExchange) }, `token-exchange": a service has no user`},
		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantCode) }, `grant_types "authorization_code": listed twice`},
		{"web", func(c *storage.Client) { c.GrantTypes = storage.List{grantRefresh} }, `grant_types "refresh_token": needs`},
		{"spa", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantClientCredentials) }, `grant_types "client_credentials": a client without`},
		{"service", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantCode) }, `grant_types "authorization_code": a service`},
		{"web", func(c *storage.Client) { c.ResponseTypes = nil }, `response_types: authorization_code needs`},
		{"web", func(c *storage.Client) { c.ResponseTypes = storage.List{"code", "token"} }, `response_types "token"`},
		{"web", func(c *storage.Client) { c.ResponseTypes = storage.List{"id_token code"} }, `response_types: tokens from the authorization endpoint need grant type implicit`},
		{"web", func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "implicit") }, `grant_types "implicit": needs`},
		{"web", func(c *storage.Client) { c.ResponseTypes = storage.List{"code", "none"} }, `response_types "none"`},
		{"web", func(c *storage.Client) { c.ResponseTypes = storage.List{"code id_token", "id_token code"} }, `listed twice`},
		{"service", func(c *storage.Client) { c.ResponseTypes = storage.List{"code"} }, `response_types "code": needs`},

		{"web", func(c *storage.Client) { c.RedirectURIs = nil }, `redirect_uris: a client that people sign in to needs`},
		{"service", func(c *storage.Client) { c.RedirectURIs = storage.List{"https://shop.test/cb"} }, `redirect_uris: without`},
		{"web", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, c.RedirectURIs[0]) }, `redirect_uris "https://shop.test/cb": listed twice`},
		{"web", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, "http://shop.test/cb") }, `redirect_uris: redirect_uri "http://shop.test/cb"`},
		{"native", func(c *storage.Client) { c.RedirectURIs = storage.List{"com.example.shop:/cb"} }, ``},
		{"web", func(c *storage.Client) { c.PostLogoutRedirectURIs = storage.List{"https://shop.test/#bye"} }, `post_logout_redirect_uris "https://shop.test/#bye"`},
		{"native", func(c *storage.Client) { c.PostLogoutRedirectURIs = storage.List{"com.example.shop:/bye"} }, ``},
		{"web", func(c *storage.Client) { c.PostLogoutRedirectURIs = storage.List{"com.example.shop:/bye"} }, `post_logout_redirect_uris`},
		{"web", func(c *storage.Client) { c.ClientURI = "ftp://shop.test" }, `client_uri`},
		{"web", func(c *storage.Client) { c.LogoURI = "javascript:alert(1)" }, `logo_uri`},
		{"web", func(c *storage.Client) { c.PolicyURI = "/policy" }, `policy_uri`},
		{"web", func(c *storage.Client) { c.TermsOfServiceURI = "http://shop.test/tos" }, `tos_uri`},
		{"web", func(c *storage.Client) { c.InitiateLoginURI = "https://user@shop.test/" }, `initiate_login_uri`},
		{"web", func(c *storage.Client) { c.BackchannelLogoutURI = "https://shop.test/#x" }, `backchannel_logout_uri`},
		{"web", func(c *storage.Client) { c.InitiateLoginURI = "http://127.0.0.1:8081/initiate" }, ``},

		{"web", func(c *storage.Client) { c.IDTokenSignedResponseAlg = "none" }, `id_token_signed_response_alg "none": want RS256 or ES256`},
		{"web", func(c *storage.Client) { c.IDTokenSignedResponseAlg = "HS256" }, `id_token_signed_response_alg "HS256"`},
		{"web", func(c *storage.Client) { c.AccessTokenFormat = "JWT" }, `access_token_format "JWT"`},
		{"web", func(c *storage.Client) { c.Scope = "openid invoices:read https://x.test/scope" }, ``},
		{"web", func(c *storage.Client) { c.Scope = "openid  email" }, `scope "openid  email"`},
		{"web", func(c *storage.Client) { c.Scope = `openid a"b` }, `scope "a\"b"`},
		{"web", func(c *storage.Client) { c.Scope = `openid a\b` }, `scope "a\\b"`},
		{"web", func(c *storage.Client) { c.Scope = `openid ä` }, `scope "ä"`},
		{"web", func(c *storage.Client) { c.Scope = `openid openid` }, `scope "openid": listed twice`},
		{"service", func(c *storage.Client) { c.Scope = `openid` }, `scope "openid": is about a user`},
		{"web", func(c *storage.Client) { c.Audience = storage.List{"https://api.test", "billing"} }, ``},
		{"web", func(c *storage.Client) { c.Audience = storage.List{"a b"} }, `audience "a b"`},
		{"web", func(c *storage.Client) { c.Audience = storage.List{"shop"} }, `audience "shop": is the client itself`},

		{"web", func(c *storage.Client) { c.AllowImpersonation = true }, ``},
		{"service", func(c *storage.Client) { c.AllowImpersonation = true }, `allow_impersonation`},
		{"web", func(c *storage.Client) { c.Delivery = "" }, `delivery ""`},
		{"web", func(c *storage.Client) { c.Delivery = "email" }, `delivery "email"`},
		{"web", func(c *storage.Client) { c.Delivery, c.RequirePKCE = DeliveryCallback, false }, ``},
		{"web", func(c *storage.Client) { keyed(c); c.Delivery, c.RequirePKCE = DeliveryCallback, false }, ``},
		{"web", func(c *storage.Client) { c.Delivery = DeliveryCallback }, `delivery "callback": cannot have a code challenge`},
		{"web", func(c *storage.Client) { c.Delivery, c.TokenEndpointAuthMethod = DeliveryCallback, authNone }, `delivery "callback": needs a client with`},
		{"web", func(c *storage.Client) { c.InitiateLoginURI = "http://shop.test/initiate" }, `initiate_login_uri "http://shop.test/initiate": want https`},
		{"web", func(c *storage.Client) { c.InitiateLoginURI = "shop://initiate" }, `initiate_login_uri`},
		{"spa", func(c *storage.Client) { c.Delivery = DeliveryCallback }, `delivery "callback": needs`},
		{"web", func(c *storage.Client) { c.ReadOnlyScopes = storage.List{"profile"} }, ``},
		{"web", func(c *storage.Client) { c.ReadOnlyScopes = storage.List{"invoices:read"} }, `read_only_scopes "invoices:read"`},
		{"web", func(c *storage.Client) { c.ActClaims = storage.List{"email", "name"} }, ``},
		{"web", func(c *storage.Client) { c.ActClaims = storage.List{"phone_number"} }, `act_claims "phone_number": want email or name`},
		{"web", func(c *storage.Client) {
			c.GrantTypes, c.ImpersonationRefresh = storage.List{grantCode}, true
		}, `impersonation_refresh: needs`},
	} {
		client := validClient(c.clientType)
		c.change(client)
		err := ValidateClient(client)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", c.clientType, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.clientType, err, c.want)
		}
	}
	everything := ValidateClient(&storage.Client{})
	if n := strings.Count(everything.Error(), "\n"); n < 6 {
		t.Errorf("got %d lines, want every problem: %v", n+1, everything)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	s := migratedStore(t)
	r, ctx := NewRegistration(s), t.Context()
	if err := NewDirectory(s).CreateOrganization(ctx, &storage.Organization{ID: "org_1", Name: "Globex"}, byRoot, testTime); err != nil {
		t.Fatal(err)
	}
	addUser(t, NewDirectory(s), "usr_ada", nil)

	c := validClient(ClientWeb)
	c.ID, c.Organizations = "", storage.List{"org_1"}
	first, err := r.Register(ctx, c, "", byRoot, testTime)
	if err != nil || !strings.HasPrefix(first, "ucs_") || !strings.HasPrefix(c.ID, "client_") {
		t.Fatalf("got %q, %q, %v", first, c.ID, err)
	}
	read := func() *storage.Client {
		t.Helper()
		c, err := s.Queries.Client(ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if !bytes.Equal(read().SecretHash, storage.Hash(first)) {
		t.Error("the hash is not that of the secret")
	}

	second, err := r.RotateSecret(ctx, c.ID, true, byRoot, testTime)
	if got := read(); err != nil || !secretMatches(got, first) || !secretMatches(got, second) {
		t.Errorf("after a rotation: %v", err)
	}
	third, err := r.RotateSecret(ctx, c.ID, false, byRoot, testTime)
	if got := read(); err != nil || secretMatches(got, second) || !secretMatches(got, third) {
		t.Errorf("after a rotation that keeps nothing: %v", err)
	}

	if fourth, err := r.RotateSecret(ctx, c.ID, true, byRoot, testTime); err != nil || !secretMatches(read(), third) {
		t.Errorf("rotated once more: %v", err)
	} else if err := r.DropPreviousSecret(ctx, c.ID, byRoot, testTime); err != nil || secretMatches(read(), third) || !secretMatches(read(), fourth) {
		t.Errorf("after the one before was dropped: %v", err)
	}
	if err := r.DropPreviousSecret(ctx, c.ID, byRoot, testTime); err != nil { // there is none, and nothing to record
		t.Error(err)
	}

	stale := read()
	public := read()
	public.TokenEndpointAuthMethod = authNone
	if secret, err := r.Update(ctx, public, byRoot, testTime); err != nil || secret != "" || read().SecretHash != nil {
		t.Errorf("a client without a secret: got %q, %v", secret, err)
	}
	if _, err := r.RotateSecret(ctx, c.ID, true, byRoot, testTime); err == nil {
		t.Error("rotated the secret of a client that has none")
	}
	stale.Name = "Late"
	if _, err := r.Update(ctx, stale, byRoot, testTime); !errors.Is(err, storage.ErrSpent) {
		t.Errorf("a stale copy: got %v", err)
	}
	public.TokenEndpointAuthMethod = authPost
	if secret, err := r.Update(ctx, public, byRoot, testTime); err != nil || !secretMatches(read(), secret) {
		t.Errorf("a client that has a secret again: got %q, %v", secret, err)
	}
	if _, err := r.Update(ctx, read(), byRoot, testTime); err != nil { // changes nothing, records nothing
		t.Error(err)
	}
	if err := r.Delete(ctx, c.ID, byRoot, testTime); err != nil {
		t.Error(err)
	}
	if err := r.Delete(ctx, c.ID, byRoot, testTime); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("deleted twice: got %v", err)
	}

	if _, err := s.Sequence(ctx, "test", testTime); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[storage.EventType]int{
		storage.EventClientCreated: 1, storage.EventClientUpdated: 2, storage.EventClientSecretRotated: 3, storage.EventClientSecretDropped: 1, storage.EventClientDeleted: 1,
	} {
		events, err := s.Events(ctx, storage.EventFilter{Types: []storage.EventType{kind}})
		if err != nil || len(events) != want {
			t.Errorf("%s: got %d, %v, want %d", kind, len(events), err, want)
		}
		for _, e := range events {
			if e.ActorID != byRoot.By || e.RequestID != byRoot.ID || e.ClientID != c.ID {
				t.Errorf("%s: got %+v", kind, e)
			}
		}
	}

	long := strings.Repeat("s3cret-", 6)
	for name, row := range map[string]struct {
		change func(*storage.Client)
		secret string
		want   string
	}{
		"a secret of one's own":      {func(*storage.Client) {}, long, ""},
		"too short a secret":         {func(*storage.Client) {}, "short", "client_secret"},
		"a secret for no use":        {func(c *storage.Client) { c.TokenEndpointAuthMethod = authNone }, long, "client_secret"},
		"a secret with spaces":       {func(*storage.Client) {}, long + " x", "client_secret"},
		"organization by name":       {func(c *storage.Client) { c.Organizations = storage.List{"Globex"} }, "", "organizations"},
		"no such organization":       {func(c *storage.Client) { c.Organizations = storage.List{"org_9"} }, "", "organizations"},
		"id of a user":               {func(c *storage.Client) { c.ID = "usr_ada" }, "", "of a user"},
		"id taken":                   {func(c *storage.Client) { c.ID = "taken" }, "", "already exists"},
		"nothing at all":             {func(c *storage.Client) { *c = storage.Client{} }, "", "type"},
		"a redirect URI that is not": {func(c *storage.Client) { c.RedirectURIs = storage.List{"/cb"} }, "", "redirect_uri"},
	} {
		c := validClient(ClientWeb)
		c.ID = "taken"
		if name != "id taken" {
			c.ID = "client-" + strings.ReplaceAll(name, " ", "-")
			c.ID = strings.ReplaceAll(c.ID, "'", "")
		}
		row.change(c)
		if name == "id taken" {
			if _, err := r.Register(ctx, validClient(ClientWeb), "", byRoot, testTime); err != nil {
				t.Fatal(err)
			}
			c.ID = "shop"
		}
		got, err := r.Register(ctx, c, row.secret, byRoot, testTime)
		if row.want == "" && (err != nil || got != row.secret) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %v, want %s", name, err, row.want)
		}
	}
	user := &storage.User{ID: "shop", Email: "shop@example.test"}
	if err := NewDirectory(s).CreateUser(ctx, user, "", nil, nil, byRoot, testTime); !errors.Is(err, storage.ErrExists) {
		t.Errorf("a user with the id of a client: got %v", err)
	}
}

// Each problem has the name of its metadata, so that a form can say it at the field.
func TestProblemsOf(t *testing.T) {
	t.Parallel()
	c := validClient(ClientWeb)
	c.Name, c.RedirectURIs, c.Delivery, c.Scope = "", storage.List{"/cb"}, DeliveryCallback, "openid  email"
	got := map[string]string{}
	for _, p := range ProblemsOf(ValidateClient(c)) {
		got[p.Field] = p.Message
	}
	for field, want := range map[string]string{
		"client_name": "is missing", "redirect_uris": `redirect_uri "/cb": is not absolute`, "scope": `"openid  email": want names`,
		"delivery": `"callback": cannot have`,
	} {
		if !strings.HasPrefix(got[field], want) {
			t.Errorf("%s: got %q, want %q", field, got[field], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %q", got)
	}
	if got := ProblemsOf(nil); got != nil {
		t.Errorf("no problem: got %q", got)
	}
	if got := ProblemsOf(ValidateClient(&storage.Client{})); slices.ContainsFunc(got, func(p Problem) bool { return p.Field == "" }) {
		t.Errorf("a problem without a name: %q", got)
	}
	for _, name := range []string{"type", "grant_types", "delivery"} {
		if len(Choices(name)) < 2 {
			t.Errorf("%s: got %q", name, Choices(name))
		}
	}
}
