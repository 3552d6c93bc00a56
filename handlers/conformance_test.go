package handlers_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/text/language"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// suite is a provider as docs/conformance.md sets it up for the OpenID Foundation's
// conformance suite: two clients with client_secret_basic and one with
// client_secret_post, registered for every response type, and a person who has
// every standard claim.
type suite struct {
	idp     *idptest.IDP
	keys    oidc.KeySet
	secrets map[string]string
}

// Of the person who signs in.
const (
	memberName  = "member"
	memberClaim = `{"name":"A Member","given_name":"A","family_name":"Member","middle_name":"Q.","nickname":"Mem","preferred_username":"mem",
		"profile":"https://people.example/mem","picture":"https://people.example/mem.png","website":"https://mem.example/","gender":"unspecified",
		"birthdate":"1990-01-02","zoneinfo":"Europe/Berlin","locale":"en-GB","email":"member@example.test","email_verified":true,
		"phone_number":"+49 30 1234567","phone_number_verified":true,
		"address":{"formatted":"1 Street\nBerlin","street_address":"1 Street","locality":"Berlin","region":"Berlin","postal_code":"10115","country":"Germany"}}`
)

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{idp: idptest.New(t, idptest.Options{Handlers: longSessions}), secrets: map[string]string{}}
	sam, err := s.idp.Store.User(t.Context(), "usr_sam")
	check(t, err)
	member := &storage.User{ID: "usr_" + memberName, PasswordHash: sam.PasswordHash}
	check(t, provider.ApplyClaims(member, []byte(memberClaim)))
	s.idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateUser(ctx, member, time.Now()) })
	for id, method := range map[string]string{"suite": "client_secret_basic", "suite-2": "client_secret_basic", "suite-post": "client_secret_post"} {
		c := provider.NewClient(provider.ClientWeb)
		c.ID, c.Name, c.TokenEndpointAuthMethod, c.RequirePKCE = id, "Conformance suite", method, false
		c.RedirectURIs, c.PostLogoutRedirectURIs = storage.List{idptest.Callback}, storage.List{"https://app.example/bye"}
		c.GrantTypes, c.ResponseTypes = storage.List{"authorization_code", "implicit", "refresh_token"}, everyType
		c.Scope = "openid profile email address phone offline_access"
		s.secrets[id], err = provider.NewRegistration(s.idp.Store).Register(t.Context(), c, "", byTest, time.Now())
		check(t, err)
	}
	var set jose.JSONWebKeySet
	check(t, json.Unmarshal([]byte(s.idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)).Body), &set))
	var public []crypto.PublicKey
	for _, k := range set.Keys {
		public = append(public, k.Key)
	}
	s.keys = &oidc.StaticKeySet{PublicKeys: public}
	return s
}

// party is a client of the suite in one of its test plans, and a browser.
type party struct {
	t                  *testing.T
	s                  *suite
	client             string
	responseType, mode string // mode: default or form_post
	b                  *idptest.Browser
}

func (p *party) gives(word string) bool {
	return slices.Contains(strings.Fields(p.responseType), word)
}

// request is an authorization request of the plan, changed.
func (p *party) request(pairs ...string) string {
	q := url.Values{
		"client_id": {p.client}, "response_type": {p.responseType}, "redirect_uri": {idptest.Callback}, "scope": {"openid"},
		"state": {"a state"}, "nonce": {"a nonce"},
	}
	if p.mode == "form_post" {
		q.Set("response_mode", p.mode)
	}
	having(pairs...)(q)
	return "/oauth2/authorize?" + q.Encode()
}

// visit runs a request to its end, and says whether there was a login page.
func (p *party) visit(request string) (w *idptest.Response, asked bool) {
	p.t.Helper()
	at, w := p.b.Follow(request)
	if strings.HasPrefix(at, "/login") {
		asked = true
		w = p.b.Post(at, url.Values{"username": {memberName + "@example.test"}, "password": {idptest.Password}})
		at, w = p.b.Follow(w.Header.Get("Location"))
	}
	if strings.HasPrefix(at, "/consent/") {
		w = p.b.Post(at, url.Values{"action": {"allow"}})
	}
	return w, asked
}

// said checks how an answer reached the client, and returns what it says.
func (p *party) said(w *idptest.Response) url.Values {
	p.t.Helper()
	to, said := answered(w)
	u := w.Location()
	switch {
	case said == nil || to != idptest.Callback:
		p.t.Fatalf("no answer at the redirect URI: status %d, %q at %q: %.300s", w.Status, textOf(w, "error-code"), w.Header.Get("Location"), w.Body)
	case p.mode == "form_post" && (w.Status != http.StatusOK || w.Header.Get("Location") != ""):
		p.t.Errorf("form_post: status %d, location %q", w.Status, w.Header.Get("Location"))
	case p.mode == "default" && p.responseType == "code" && u.Fragment != "", p.mode == "default" && p.responseType != "code" && u.RawQuery != "":
		p.t.Errorf("default mode of %s: location %s", p.responseType, u)
	}
	if said.Get("iss") != idptest.Issuer {
		p.t.Errorf("iss %q", said.Get("iss"))
	}
	return said
}

// refused runs a request that must end with an error at the client.
func (p *party) refused(request string, codes ...string) {
	p.t.Helper()
	w, _ := p.visit(request)
	said := p.said(w)
	if !slices.Contains(codes, said.Get("error")) || said.Has("code") || said.Has("id_token") || said.Has("access_token") {
		p.t.Errorf("got %v, want %v", said, codes)
	}
	if state := mustQuery(request).Get("state"); said.Get("state") != state {
		p.t.Errorf("state %q, want %q", said.Get("state"), state)
	}
}

// reply is everything that came of a request.
type reply struct {
	asked        bool
	code, access string
	front        map[string]any // claims of the ID token of the authorization response; nil: none
	back         map[string]any // claims of the one of the token response; nil: none
	tokens       map[string]any // the token response; nil: none
	userinfo     map[string]any // nil: there is no access token
}

// id is the first ID token's claims.
func (r *reply) id() map[string]any {
	if r.front != nil {
		return r.front
	}
	return r.back
}

// login runs a request that must succeed, and checks all that came of it as the
// suite does in each of its modules.
func (p *party) login(pairs ...string) *reply {
	p.t.Helper()
	request := p.request(pairs...)
	w, asked := p.visit(request)
	r := p.complete(p.said(w), mustQuery(request))
	r.asked = asked
	return r
}

func (p *party) complete(said, asked url.Values) *reply {
	p.t.Helper()
	if said.Has("error") || said.Get("state") != asked.Get("state") {
		p.t.Fatalf("got %v", said)
	}
	r := &reply{code: said.Get("code"), access: said.Get("access_token")}
	if p.gives("code") != (r.code != "") || p.gives("token") != (r.access != "") || p.gives("id_token") != said.Has("id_token") {
		p.t.Fatalf("%s: got %v", p.responseType, slices.Sorted(maps.Keys(said)))
	}
	if p.gives("id_token") {
		r.front = p.idToken(said.Get("id_token"), asked.Get("nonce"))
		for name, of := range map[string]string{"c_hash": r.code, "at_hash": r.access} {
			if of != "" && r.front[name] != halfHash(of) {
				p.t.Errorf("%s is %v", name, r.front[name])
			}
		}
	}
	if p.gives("code") {
		r.tokens = p.redeemed(r.code, nil)
		r.access = str(p.t, r.tokens, "access_token")
		r.back = p.idToken(r.tokens["id_token"], asked.Get("nonce"))
		if r.front != nil && (r.front["iss"] != r.back["iss"] || r.front["sub"] != r.back["sub"]) {
			p.t.Errorf("ID tokens of two: %v, %v", r.front, r.back)
		}
	}
	if r.access != "" {
		w := userinfo(p.s.idp, r.access)
		if r.userinfo = w.JSON(p.t); w.Status != http.StatusOK || r.userinfo["sub"] != r.id2sub() || w.Header.Get("Content-Type") != "application/json" {
			p.t.Errorf("userinfo: status %d, %s: %s", w.Status, w.Header.Get("Content-Type"), w.Body)
		}
	}
	return r
}

// id2sub is the sub that userinfo must have.
func (r *reply) id2sub() any {
	if id := r.id(); id != nil {
		return id["sub"]
	}
	return "usr_" + memberName
}

// idToken verifies an ID token with somebody else's code.
func (p *party) idToken(token any, nonce string) map[string]any {
	p.t.Helper()
	raw, _ := token.(string)
	verifier := oidc.NewVerifier(idptest.Issuer, p.s.keys, &oidc.Config{ClientID: p.client})
	id, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		p.t.Fatal(err)
	}
	claims := idptest.Claims(p.t, raw)
	for _, name := range []string{"exp", "iat", "auth_time"} {
		if _, ok := claims[name].(float64); !ok {
			p.t.Errorf("%s is %v, want a number", name, claims[name])
		}
	}
	if h := header(p.t, raw); h["alg"] != "RS256" || h["kid"] == nil || h["kid"] == "" {
		p.t.Errorf("header of the ID token: %v", h)
	}
	if got, _ := claims["nonce"].(string); got != nonce || id.Subject == "" || claims["sid"] == nil || claims["acr"] != "urn:understudy:acr:password" || claims["act"] != nil {
		p.t.Errorf("ID token: %v", claims)
	}
	return claims
}

// call posts a form to the token endpoint as the client.
func (p *party) call(form url.Values) *idptest.Response {
	if p.client == "suite-post" {
		form.Set("client_id", p.client)
		form.Set("client_secret", p.s.secrets[p.client])
		return p.s.idp.Call("/oauth2/token", "", "", form)
	}
	return p.s.idp.Call("/oauth2/token", p.client, p.s.secrets[p.client], form)
}

// exchange is the client's token request for a code, changed.
func (p *party) exchange(code string, change func(url.Values)) *idptest.Response {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {idptest.Callback}}
	if change != nil {
		change(form)
	}
	return p.call(form)
}

// redeemed exchanges a code and checks the form of the answer.
func (p *party) redeemed(code string, change func(url.Values)) map[string]any {
	p.t.Helper()
	w := p.exchange(code, change)
	if w.Status != http.StatusOK || w.Header.Get("Content-Type") != "application/json" || w.Header.Get("Cache-Control") != "no-store" {
		p.t.Fatalf("token: status %d, %v: %s", w.Status, w.Header, w.Body)
	}
	tokens := w.JSON(p.t)
	if in, ok := tokens["expires_in"].(float64); !ok || in <= 0 || tokens["token_type"] != "Bearer" {
		p.t.Errorf("token response: %v", tokens)
	}
	return tokens
}

// standardClaims are those of OpenID Connect Core 5.4, each with its JSON type.
var standardClaims = map[string]map[string]string{
	"profile": {
		"name": "string", "given_name": "string", "family_name": "string", "middle_name": "string", "nickname": "string",
		"preferred_username": "string", "profile": "string", "picture": "string", "website": "string", "gender": "string",
		"birthdate": "string", "zoneinfo": "string", "locale": "string", "updated_at": "float64",
	},
	"email":   {"email": "string", "email_verified": "bool"},
	"phone":   {"phone_number": "string", "phone_number_verified": "bool"},
	"address": {"address": "map[string]interface {}"},
}

// scopes asks for scopes and checks that the claims of these, and no others, come
// from where they belong: userinfo, or the ID token where there is no access token.
func (p *party) scopes(scopes ...string) {
	p.t.Helper()
	r := p.login("scope", strings.Join(append([]string{"openid"}, scopes...), " "))
	told := r.userinfo
	if told == nil {
		told = r.front
	}
	for scope, claims := range standardClaims {
		for name, want := range claims {
			got := fmt.Sprintf("%T", told[name])
			if !slices.Contains(scopes, scope) {
				want = "<nil>"
			}
			if got != want {
				p.t.Errorf("%s is %v, a %s, want %s", name, told[name], got, want)
			}
			for what, id := range map[string]map[string]any{"first": r.front, "second": r.back} {
				if r.userinfo != nil && id[name] != nil {
					p.t.Errorf("%s is in the %s ID token", name, what)
				}
			}
		}
	}
	address, _ := told["address"].(map[string]any)
	for _, name := range []string{"formatted", "street_address", "locality", "region", "postal_code", "country"} {
		if _, text := address[name].(string); slices.Contains(scopes, "address") && !text {
			p.t.Errorf("address: %s is %v", name, address[name])
		}
	}
}

// present asks userinfo with an access token in one of its ways.
func (p *party) present(change func(r *http.Request, access string) *http.Request) {
	p.t.Helper()
	r := p.login("scope", "openid email")
	w := p.s.idp.Do(change(httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil), r.access))
	if w.Status != http.StatusOK || w.JSON(p.t)["sub"] != r.id2sub() || w.JSON(p.t)["email"] != "member@example.test" {
		p.t.Errorf("userinfo: status %d: %s", w.Status, w.Body)
	}
}

// unchanged asks with other parameters, which must make no difference.
func unchanged(pairs ...string) func(*party) {
	return func(p *party) { p.login(pairs...) }
}

// module is one of the suite's test modules that are in its plans for a response
// type and a response mode, with what we take it to check.
type module struct {
	name  string
	needs string // words of which the response type must have one; empty: any will do
	run   func(p *party)
}

var modules = []module{
	{"oidcc-server", "", unchanged()},
	{"oidcc-response-type-missing", "", func(p *party) {
		asCode := *p
		asCode.responseType = "code" // nothing else is known of it
		asCode.refused(p.request("response_type", ""), "invalid_request", "unsupported_response_type")
	}},
	{"oidcc-idtoken-signature", "", unchanged()},
	{"oidcc-userinfo-get", "token code", func(p *party) {
		p.present(func(r *http.Request, access string) *http.Request {
			r.Header.Set("Authorization", "Bearer "+access)
			return r
		})
	}},
	{"oidcc-userinfo-post-header", "token code", func(p *party) {
		p.present(func(r *http.Request, access string) *http.Request {
			r.Method = http.MethodPost
			r.Header.Set("Authorization", "Bearer "+access)
			return r
		})
	}},
	{"oidcc-userinfo-post-body", "token code", func(p *party) {
		p.present(func(_ *http.Request, access string) *http.Request {
			return idptest.Form("/oauth2/userinfo", url.Values{"access_token": {access}})
		})
	}},
	{"oidcc-ensure-request-without-nonce", "", func(p *party) {
		if p.gives("id_token") {
			p.refused(p.request("nonce", ""), "invalid_request")
			return
		}
		p.login("nonce", "")
	}},
	{"oidcc-scope-profile", "", func(p *party) { p.scopes("profile") }},
	{"oidcc-scope-email", "", func(p *party) { p.scopes("email") }},
	{"oidcc-scope-address", "", func(p *party) { p.scopes("address") }},
	{"oidcc-scope-phone", "", func(p *party) { p.scopes("phone") }},
	{"oidcc-scope-all", "", func(p *party) { p.scopes("profile", "email", "address", "phone") }},
	{"oidcc-ensure-other-scope-order-succeeds", "", unchanged("scope", "email openid")},
	{"oidcc-display-page", "", unchanged("display", "page")},
	{"oidcc-display-popup", "", unchanged("display", "popup")},
	{"oidcc-ui-locales", "", unchanged("ui_locales", "se")},
	{"oidcc-claims-locales", "", unchanged("claims_locales", "se")},
	{"oidcc-login-hint", "", unchanged("login_hint", "buffy@app.example")},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", "", unchanged("extra", "foobar", "approval_prompt", "force", "access_type", "offline")},
	{"oidcc-ensure-request-with-acr-values-succeeds", "", unchanged("acr_values", "urn:understudy:acr:password urn:understudy:acr:impersonation")},
	{"oidcc-prompt-login", "", func(p *party) {
		first := p.login()
		second := p.login("prompt", "login")
		if !second.asked || second.id()["auth_time"].(float64) <= first.id()["auth_time"].(float64) {
			p.t.Errorf("asked %v, auth_time %v, then %v", second.asked, first.id()["auth_time"], second.id()["auth_time"])
		}
	}},
	{"oidcc-prompt-none-not-logged-in", "", func(p *party) {
		p.b = p.s.idp.Browser(p.t)
		p.refused(p.request("prompt", "none", "state", strings.Repeat("0123456789abcdef", 8)), "login_required")
	}},
	{"oidcc-prompt-none-logged-in", "", func(p *party) {
		first := p.login()
		p.same(first, "prompt", "none")
	}},
	{"oidcc-max-age-1", "", func(p *party) {
		first := p.login()
		second := p.login("max_age", "1")
		if !second.asked || second.id()["auth_time"].(float64) <= first.id()["auth_time"].(float64) {
			p.t.Errorf("asked %v, auth_time %v, then %v", second.asked, first.id()["auth_time"], second.id()["auth_time"])
		}
	}},
	{"oidcc-max-age-10000", "", func(p *party) {
		first := p.login()
		p.same(first, "max_age", "10000")
	}},
	{"oidcc-id-token-hint", "", func(p *party) {
		w, _ := p.visit(p.request("scope", "openid email"))
		said := p.said(w)
		token := said.Get("id_token")
		if token == "" {
			token = str(p.t, p.redeemed(said.Get("code"), nil), "id_token")
		}
		p.same(&reply{front: idptest.Claims(p.t, token)}, "prompt", "none", "id_token_hint", token)
	}},
	{"oidcc-codereuse", "code", func(p *party) { // for 30 seconds later see TestTokenLifetimes
		r := p.login()
		wantRefused(p.t, "the code again", p.exchange(r.code, nil), http.StatusBadRequest, "invalid_grant")
		wantRefused(p.t, "userinfo after", userinfo(p.s.idp, r.access), http.StatusUnauthorized, "invalid_token")
	}},
	{"oidcc-ensure-registered-redirect-uri", "", func(p *party) {
		nowhere(p.t, p.b, p.request("redirect_uri", "https://app.example/callback/XYZ"), "invalid_request")
	}},
	{"oidcc-ensure-post-request-succeeds", "", func(p *party) {
		asked := mustQuery(p.request("scope", "openid email"))
		r := idptest.Form("/oauth2/authorize", asked)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://app.example")
		w, _ := p.visit(p.s.idp.Do(r).Header.Get("Location")) // the browser keeps its cookies back
		p.complete(p.said(w), asked)
	}},
	{"oidcc-server-client-secret-post", "", func(p *party) {
		p.client = "suite-post"
		p.login()
	}},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "", func(p *party) {
		p.refused(p.request("request", unsignedRequest, "state", "", "nonce", ""), "request_not_supported")
	}},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", "", func(p *party) {
		p.refused(p.request("request_uri", "https://app.example/request", "state", "", "nonce", ""), "request_uri_not_supported")
	}},
	{"oidcc-ensure-request-object-with-redirect-uri", "", func(p *party) {
		nowhere(p.t, p.b, p.request("request", unsignedRequest, "redirect_uri", "https://app.example/callback/XYZ"), "invalid_request")
	}},
	{"oidcc-claims-essential", "", func(p *party) {
		if p.responseType == "id_token" {
			if r := p.login("claims", `{"id_token":{"name":{"essential":true}}}`); r.front["name"] != "A Member" {
				p.t.Errorf("ID token: %v", r.front)
			}
			return
		}
		r := p.login("claims", `{"userinfo":{"name":{"essential":true}}}`)
		if r.userinfo["name"] != "A Member" || r.front["name"] != nil || r.back["name"] != nil {
			p.t.Errorf("userinfo %v, ID tokens %v, %v", r.userinfo, r.front, r.back)
		}
	}},
	{"oidcc-refresh-token", "code", func(p *party) {
		refreshed := func(client string, token any) *idptest.Response {
			as := *p
			as.client = client
			return as.call(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}})
		}
		for _, client := range []string{"suite", "suite-2"} {
			p.client = client
			first := p.login("scope", "openid offline_access", "prompt", "consent")
			w := refreshed(client, first.tokens["refresh_token"])
			wantStatus(p.t, "refresh", w, http.StatusOK)
			second := w.JSON(p.t)
			claims := p.idToken(second["id_token"], "")
			for _, name := range []string{"iss", "sub", "aud", "auth_time", "azp", "sid"} {
				if claims[name] != first.back[name] {
					p.t.Errorf("%s is %v, then %v", name, first.back[name], claims[name])
				}
			}
			if claims["iat"].(float64) < first.back["iat"].(float64) || second["access_token"] == first.access {
				p.t.Errorf("ID tokens of %v and %v", first.back["iat"], claims["iat"])
			}
			wantStatus(p.t, "userinfo", userinfo(p.s.idp, str(p.t, second, "access_token")), http.StatusOK)
			other := map[string]string{"suite": "suite-2", "suite-2": "suite"}[client]
			wantRefused(p.t, "the other client", refreshed(other, second["refresh_token"]), http.StatusBadRequest, "invalid_grant")
		}
	}},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", "code", func(p *party) {
		w, _ := p.visit(p.request("code_challenge", idptest.Challenge, "code_challenge_method", "S256"))
		p.redeemed(p.said(w).Get("code"), having("code_verifier", idptest.Verifier))
	}},
}

// same runs a request that must be answered without a page, about the same sign-in.
func (p *party) same(first *reply, pairs ...string) {
	p.t.Helper()
	second := p.login(pairs...)
	for _, name := range []string{"iss", "sub", "aud", "auth_time"} {
		if first.id()[name] != second.id()[name] || second.asked {
			p.t.Errorf("asked %v; %s is %v, then %v", second.asked, name, first.id()[name], second.id()[name])
		}
	}
}

// The modules of the Basic, Implicit, Hybrid and Form Post plans, for each response
// type in each response mode that the plans have.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	for _, responseType := range everyType {
		for _, mode := range []string{"default", "form_post"} {
			t.Run(responseType+" "+mode, func(t *testing.T) {
				for _, m := range modules {
					p := &party{s: s, client: "suite", responseType: responseType, mode: mode}
					if m.needs != "" && !slices.ContainsFunc(strings.Fields(m.needs), p.gives) {
						continue
					}
					t.Run(m.name, func(t *testing.T) {
						// The suite waits that long between two requests of a module.
						p.t, p.b = t, personSince(t, s.idp, memberName, time.Now().Add(-2*time.Second))
						m.run(p)
					})
				}
			})
		}
	}
}

// registeredMetadata is what the IANA registry "OAuth Authorization Server Metadata"
// lists (RFC 8414 section 7.1), and with it OpenID Connect.
var registeredMetadata = strings.Fields(`
	issuer authorization_endpoint token_endpoint jwks_uri registration_endpoint scopes_supported response_types_supported
	response_modes_supported grant_types_supported token_endpoint_auth_methods_supported
	token_endpoint_auth_signing_alg_values_supported service_documentation ui_locales_supported op_policy_uri op_tos_uri
	revocation_endpoint revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported
	introspection_endpoint introspection_endpoint_auth_methods_supported introspection_endpoint_auth_signing_alg_values_supported
	code_challenge_methods_supported signed_metadata device_authorization_endpoint tls_client_certificate_bound_access_tokens
	mtls_endpoint_aliases nfv_token_signing_alg_values_supported nfv_token_encryption_alg_values_supported
	nfv_token_encryption_enc_values_supported userinfo_endpoint acr_values_supported subject_types_supported
	id_token_signing_alg_values_supported id_token_encryption_alg_values_supported id_token_encryption_enc_values_supported
	userinfo_signing_alg_values_supported userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported
	request_object_signing_alg_values_supported request_object_encryption_alg_values_supported
	request_object_encryption_enc_values_supported display_values_supported claim_types_supported claims_supported
	claims_locales_supported claims_parameter_supported request_parameter_supported request_uri_parameter_supported
	require_request_uri_registration require_signed_request_object pushed_authorization_request_endpoint
	require_pushed_authorization_requests introspection_signing_alg_values_supported introspection_encryption_alg_values_supported
	introspection_encryption_enc_values_supported authorization_response_iss_parameter_supported check_session_iframe
	frontchannel_logout_supported backchannel_logout_session_supported end_session_endpoint backchannel_logout_supported
	frontchannel_logout_session_supported backchannel_token_delivery_modes_supported backchannel_authentication_endpoint
	backchannel_authentication_request_signing_alg_values_supported backchannel_user_code_parameter_supported
	authorization_details_types_supported dpop_signing_alg_values_supported client_registration_types_supported
	federation_registration_endpoint signed_jwks_uri jwks organization_name display_name description keywords contacts logo_uri
	information_uri organization_uri protected_resources prompt_values_supported authorization_signing_alg_values_supported
	authorization_encryption_alg_values_supported authorization_encryption_enc_values_supported`)

// The Config plan (oidcc-discovery-endpoint-verification), and those of the logout
// plans that look at the document. TestDiscoveryIsTrue shows that what it says holds.
func TestDiscoveryMetadata(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{idptest.Issuer, "http://127.0.0.1:8080"} {
		idp := idptest.New(t, idptest.Options{Issuer: issuer})
		get := func(path string) *idptest.Response { return idp.Do(httptest.NewRequest(http.MethodGet, path, nil)) }
		w := get("/.well-known/openid-configuration")
		document := w.JSON(t)
		list := func(name string) []string {
			var all []string
			values, _ := document[name].([]any)
			for _, v := range values {
				text, _ := v.(string)
				all = append(all, text)
			}
			return all
		}
		t.Run("document of "+issuer, func(t *testing.T) {
			wantStatus(t, "discovery", w, http.StatusOK)
			if got := w.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: %s", got)
			}
			// The issuer is what the address of the document begins with (Discovery 4.3).
			if document["issuer"] != issuer {
				t.Errorf("issuer %v of %s", document["issuer"], issuer)
			}
		})
		t.Run("required members", func(t *testing.T) {
			for _, name := range []string{
				"scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported", "subject_types_supported",
				"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "token_endpoint_auth_methods_supported",
				"claims_supported", "claim_types_supported", "acr_values_supported", "code_challenge_methods_supported",
			} {
				if values := list(name); len(values) == 0 || slices.Contains(values, "") || slices.Contains(values, "none") && name != "token_endpoint_auth_methods_supported" {
					t.Errorf("%s: %v", name, document[name])
				}
			}
			for name, want := range map[string][]string{
				"scopes_supported":                      {"openid", "profile", "email", "address", "phone", "offline_access"},
				"response_types_supported":              {"code", "id_token", "id_token token"}, // the Dynamic profile's
				"grant_types_supported":                 {"authorization_code", "implicit"},
				"subject_types_supported":               {"public"},
				"id_token_signing_alg_values_supported": {"RS256"},
				"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
			} {
				for _, value := range want {
					if !slices.Contains(list(name), value) {
						t.Errorf("%s: %v without %s", name, list(name), value)
					}
				}
			}
			for _, name := range []string{
				"claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported",
				"authorization_response_iss_parameter_supported",
			} {
				if _, stated := document[name].(bool); !stated {
					t.Errorf("%s is not stated: %v", name, document[name])
				}
			}
		})
		t.Run("endpoints", func(t *testing.T) {
			for _, name := range []string{
				"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "revocation_endpoint",
				"introspection_endpoint", "pushed_authorization_request_endpoint",
			} {
				if document[name] == nil {
					t.Errorf("%s is missing", name)
				}
			}
			for name, v := range document {
				text, _ := v.(string)
				if strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri") {
					u, err := url.Parse(text)
					if err != nil || !strings.HasPrefix(text, issuer+"/") || u.Fragment != "" {
						t.Errorf("%s: %q", name, text)
					}
				}
			}
		})
		t.Run("claims", func(t *testing.T) {
			want := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "sid"}
			for _, claims := range standardClaims {
				want = slices.AppendSeq(want, maps.Keys(claims))
			}
			for _, name := range want {
				if !slices.Contains(list("claims_supported"), name) {
					t.Errorf("%s is not listed", name)
				}
			}
		})
		t.Run("registered members only", func(t *testing.T) {
			for name := range document {
				if !slices.Contains(registeredMetadata, name) {
					t.Errorf("%s is no registered metadata", name)
				}
			}
		})
		t.Run("locales", func(t *testing.T) {
			for _, name := range []string{"ui_locales_supported", "claims_locales_supported"} {
				for _, locale := range list(name) {
					if tag, err := language.Parse(locale); err != nil || tag.String() != locale {
						t.Errorf("%s: %q is not the canonical %q: %v", name, locale, tag, err)
					}
				}
			}
		})
		t.Run("scope syntax", func(t *testing.T) {
			for _, scope := range list("scopes_supported") {
				if strings.ContainsAny(scope, " \"\\") {
					t.Errorf("scope %q (RFC 6749 section 3.3)", scope)
				}
			}
		})
	}
}

// In each response mode, what is good and what is wrong comes in that mode, with
// iss, and nowhere else.
func TestResponseModes(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "every", everyResponseType)
	b := person(t, idp, "ada")
	for _, mode := range []string{"query", "fragment", "form_post"} {
		for _, responseType := range everyType {
			if mode == "query" && responseType != "code" {
				continue // see TestFrontChannelErrors
			}
			for what, pairs := range map[string][]string{"good": nil, "wrong": {"scope", "openid wrong"}, "refused": {"prompt", "none", "max_age", "0"}} {
				t.Run(what+" "+responseType+" "+mode, func(t *testing.T) {
					w := b.Get(asking(append([]string{"client_id", "every", "response_type", responseType, "response_mode", mode}, pairs...)...))
					to, said := answered(w)
					if to != idptest.Callback || said.Get("iss") != idptest.Issuer || said.Get("state") != "a state" || said.Has("error") != (what != "good") {
						t.Errorf("status %d at %s: %v", w.Status, to, said)
					}
					u := w.Location()
					if (u.RawQuery != "") != (mode == "query") || (u.Fragment != "") != (mode == "fragment") || (w.Status == http.StatusOK) != (mode == "form_post") {
						t.Errorf("status %d, location %s", w.Status, u)
					}
				})
			}
		}
	}
	t.Run("form_post of a redirect URI with a query", func(t *testing.T) {
		addClient(t, idp, "query", func(c *storage.Client) { c.RedirectURIs = storage.List{"https://app.example/cb?a=b"} })
		for _, scope := range []string{"openid", "openid wrong"} {
			action, fields := formOf(b.Get(asking("client_id", "query", "redirect_uri", "https://app.example/cb?a=b", "response_mode", "form_post", "scope", scope)))
			if action != "https://app.example/cb?a=b" || fields.Get("iss") != idptest.Issuer || fields.Get("state") != "a state" {
				t.Errorf("%s: %v", action, fields)
			}
		}
	})
}

// A redirect URI is what was registered, its query included (modules
// oidcc-redirect-uri-query-OK, -mismatch and -added).
func TestRedirectURIQuery(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	const registered = "https://app.example/cb?foo=bar"
	addClient(t, idp, "query", func(c *storage.Client) { c.RedirectURIs = storage.List{registered} })
	b := person(t, idp, "ada")
	t.Run("the same", func(t *testing.T) {
		w := wantOutcome(t, b, asking("client_id", "query", "redirect_uri", registered), "code")
		if q := w.Location().Query(); q.Get("foo") != "bar" || q.Get("code") == "" || q.Get("iss") != idptest.Issuer {
			t.Errorf("location %s", w.Location())
		}
	})
	t.Run("another", func(t *testing.T) {
		for _, uri := range []string{"https://app.example/cb?bar=foo", "https://app.example/cb", "https://app.example/cb?foo=bar&x=y", "https://app.example/cb?foo=bar&"} {
			nowhere(t, b, asking("client_id", "query", "redirect_uri", uri), "invalid_request")
		}
	})
	t.Run("added", func(t *testing.T) {
		nowhere(t, b, asking("redirect_uri", idptest.Callback+"?foo=bar"), "invalid_request")
	})
}

// The issuer is one literal wherever it is said.
func TestIssuerIsOneLiteral(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{idptest.Issuer, "http://127.0.0.1:8080", "https://id.example/tenant"} {
		idp := idptest.New(t, idptest.Options{Issuer: issuer})
		b := idp.Browser(t)
		ask := func(request string) *idptest.Response {
			r := httptest.NewRequest(http.MethodGet, request, nil)
			for name, value := range b.Cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			return idp.Do(r)
		}
		b.SignIn("ada")
		tokens := idp.Tokens(t, ask(asking()).Location().Query().Get("code"))
		introspected := idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}})
		for what, got := range map[string]any{
			"discovery": idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).JSON(t)["issuer"],
			"answer":    ask(asking()).Location().Query().Get("iss"), "error": ask(asking("scope", "wrong")).Location().Query().Get("iss"),
			"ID token": idptest.Claims(t, tokens["id_token"])["iss"], "access token": idptest.Claims(t, tokens["access_token"])["iss"],
			"introspection": introspected.JSON(t)["iss"],
		} {
			if got != issuer {
				t.Errorf("%s: iss %v, want %s", what, got, issuer)
			}
		}
	}
}
