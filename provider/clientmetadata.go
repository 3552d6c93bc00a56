package provider

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/storage"
)

// What clients call their application_type (OpenID Connect Registration section 2).
const (
	applicationWeb    = "web"
	applicationNative = "native"
)

// ClientInformation is what a client that registers itself is told (RFC 7591 section
// 3.2.1, RFC 7592 section 3): its metadata as they are registered, defaults included.
// The two secrets are those that the client does not know yet, or just presented.
type ClientInformation struct {
	ClientID               string          `json:"client_id"`
	ClientSecret           string          `json:"client_secret,omitempty"`
	ClientIDIssuedAt       int64           `json:"client_id_issued_at"`
	ClientSecretExpiresAt  *int64          `json:"client_secret_expires_at,omitempty"` // 0: never
	RegistrationToken      string          `json:"registration_access_token"`
	RegistrationURI        string          `json:"registration_client_uri"`
	ClientName             string          `json:"client_name"`
	ApplicationType        string          `json:"application_type"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string        `json:"grant_types"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	Scope                  string          `json:"scope"`
	AuthMethod             string          `json:"token_endpoint_auth_method"`
	AuthSigningAlg         string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	ClientURI              string          `json:"client_uri,omitempty"`
	LogoURI                string          `json:"logo_uri,omitempty"`
	PolicyURI              string          `json:"policy_uri,omitempty"`
	TermsOfServiceURI      string          `json:"tos_uri,omitempty"`
	Contacts               []string        `json:"contacts,omitempty"`
	SoftwareID             string          `json:"software_id,omitempty"`
	SoftwareVersion        string          `json:"software_version,omitempty"`
	InitiateLoginURI       string          `json:"initiate_login_uri,omitempty"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	LogoutSessionRequired  bool            `json:"backchannel_logout_session_required,omitempty"`
	SubjectType            string          `json:"subject_type"`
	SectorIdentifierURI    string          `json:"sector_identifier_uri,omitempty"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg"`
	UserinfoAlg            string          `json:"userinfo_signed_response_alg,omitempty"`
	RequestObjectAlg       string          `json:"request_object_signing_alg,omitempty"`
	RequestURIs            []string        `json:"request_uris,omitempty"`
	RequireSignedRequest   bool            `json:"require_signed_request_object"`
	RequirePAR             bool            `json:"require_pushed_authorization_requests"`
	DefaultMaxAge          *int64          `json:"default_max_age,omitempty"`
	RequireAuthTime        bool            `json:"require_auth_time"` // every ID token has it
}

// informationOf returns what a client is told of itself. token is the one it
// manages its registration with, secret a new client_secret or empty.
func (p *Provider) informationOf(c *storage.Client, token, secret string) *ClientInformation {
	i := &ClientInformation{
		ClientID: c.ID, ClientSecret: secret, ClientIDIssuedAt: c.CreatedAt.Time().Unix(),
		RegistrationToken: token, RegistrationURI: p.config.Issuer + registrationPath + "/" + c.ID,
		ClientName: c.Name, ApplicationType: applicationWeb,
		RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		GrantTypes: c.GrantTypes, ResponseTypes: c.ResponseTypes, Scope: c.Scope,
		AuthMethod: c.TokenEndpointAuthMethod, AuthSigningAlg: c.TokenEndpointAuthSigningAlg,
		JWKS: json.RawMessage(c.JWKS), JWKSURI: c.JWKSURI,
		ClientURI: c.ClientURI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TermsOfServiceURI: c.TermsOfServiceURI,
		Contacts: c.Contacts, SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion,
		InitiateLoginURI: c.InitiateLoginURI, BackchannelLogoutURI: c.BackchannelLogoutURI,
		LogoutSessionRequired: c.BackchannelLogoutSessionRequired,
		SubjectType:           c.SubjectType, SectorIdentifierURI: c.SectorIdentifierURI,
		IDTokenAlg: c.IDTokenSignedResponseAlg, UserinfoAlg: c.UserinfoSignedResponseAlg,
		RequestObjectAlg: c.RequestObjectSigningAlg, RequestURIs: c.RequestURIs,
		RequireSignedRequest: c.RequireSignedRequestObject, RequirePAR: c.RequirePushedAuthorizationRequests,
		DefaultMaxAge: c.DefaultMaxAge, RequireAuthTime: true,
	}
	if c.Type == ClientNative {
		i.ApplicationType = applicationNative
	}
	if usesSecret(c) {
		i.ClientSecretExpiresAt = new(int64)
	}
	return i
}

// members are a registration's JSON object. Only what is asked for by its name is
// ever looked at, so that nothing else can get into a client (SECURITY D14).
type members struct {
	values   map[string]json.RawMessage
	problems problems // members of the wrong type
}

// readMembers reads the body of a registration.
func readMembers(r *http.Request) (*members, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errInvalidRequest.with("Send the metadata as application/json.")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	if err := CheckJSON(body); err != nil {
		return nil, errInvalidMetadata.with("The body " + err.Error() + ".")
	}
	m := &members{}
	if err := json.Unmarshal(body, &m.values); err != nil || m.values == nil {
		return nil, errInvalidMetadata.with("The body is not a JSON object.")
	}
	return m, nil
}

// CheckJSON refuses what is no JSON, what is nested too deeply, and what two readers
// may understand in two ways: a member that is there twice.
func CheckJSON(body []byte) error {
	if !json.Valid(body) || !utf8.Valid(body) {
		return errors.New("is not JSON")
	}
	var around []map[string]bool // the names so far of each object around; nil for an array
	isName := false
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("is not JSON")
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				around = append(around, map[string]bool{})
			case '[':
				around = append(around, nil)
			default:
				around = around[:len(around)-1]
			}
			if len(around) > maxJSONDepth {
				return errors.New("is nested too deeply")
			}
		case string:
			if isName {
				names := around[len(around)-1]
				if names[token] {
					return errors.New("has a member twice")
				}
				names[token], isName = true, false
				continue
			}
		}
		isName = len(around) > 0 && around[len(around)-1] != nil // after a value
	}
}

// given reports whether a member has a value: null and empty are none (RFC 7592
// section 2.2).
func (m *members) given(name string) bool {
	switch string(m.values[name]) {
	case "", "null", `""`, "[]":
		return false
	}
	return true
}

func (m *members) read(name string, into any, want string) {
	if m.given(name) {
		m.problems.unless(json.Unmarshal(m.values[name], into) == nil, "%s: want %s", name, want)
	}
}

func (m *members) text(name string) (s string) {
	m.read(name, &s, "a string")
	return s
}

func (m *members) list(name string) (l []string) {
	m.read(name, &l, "a list of strings")
	return l
}

func (m *members) flag(name string) (yes bool) {
	m.read(name, &yes, "true or false")
	return yes
}

func (m *members) seconds(name string) (n *int64) {
	m.read(name, &n, "a whole number of seconds")
	return n
}

// object returns a member's JSON without white space.
func (m *members) object(name string) string {
	var fields map[string]json.RawMessage
	m.read(name, &fields, "a JSON object")
	var text bytes.Buffer
	if fields == nil || json.Compact(&text, m.values[name]) != nil {
		return ""
	}
	return text.String()
}

// notOffered are metadata that we know and do not do. To ignore them would be to
// send in the clear what the client wants encrypted.
var notOffered = []string{
	"id_token_encrypted_response_alg", "id_token_encrypted_response_enc",
	"userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc",
	"request_object_encryption_alg", "request_object_encryption_enc",
}

// fill replaces all metadata of c that are its own to choose (RFC 7592 section 2.2);
// what is not given gets its default. What only an operator decides stays as it is.
// allowed are the scopes that it may have.
func (m *members) fill(c *storage.Client, allowed []string) {
	for _, name := range notOffered {
		m.problems.unless(!m.given(name), "%s: encryption is not supported", name)
	}
	application := cmp.Or(m.text("application_type"), applicationWeb)
	m.problems.oneOf("application_type", application, applicationWeb, applicationNative)

	c.RedirectURIs = m.list("redirect_uris")
	c.PostLogoutRedirectURIs = m.list("post_logout_redirect_uris")
	c.GrantTypes = m.list("grant_types")
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = storage.List{grantCode}
	}
	m.problems.unless(!slices.Contains(c.GrantTypes, grantTokenExchange), "grant_types %q: is an operator's to give", grantTokenExchange)
	c.ResponseTypes = m.list("response_types")
	if len(c.ResponseTypes) == 0 && slices.Contains(c.GrantTypes, grantCode) {
		c.ResponseTypes = storage.List{"code"}
	}
	c.TokenEndpointAuthMethod = cmp.Or(m.text("token_endpoint_auth_method"), defaultAuthMethod(application))
	c.TokenEndpointAuthSigningAlg = m.text("token_endpoint_auth_signing_alg")
	c.Type = clientType(application, c)
	c.RequirePKCE = c.RequirePKCE || c.Public()
	c.JWKS, c.JWKSURI = m.object("jwks"), m.text("jwks_uri")

	c.ClientURI, c.LogoURI = m.text("client_uri"), m.text("logo_uri")
	c.PolicyURI, c.TermsOfServiceURI = m.text("policy_uri"), m.text("tos_uri")
	c.Contacts = m.list("contacts")
	c.SoftwareID, c.SoftwareVersion = m.text("software_id"), m.text("software_version")
	c.Name = cmp.Or(m.text("client_name"), nameOf(c))
	c.Scope = m.scope(c, allowed)

	c.InitiateLoginURI = m.text("initiate_login_uri")
	c.BackchannelLogoutURI = m.text("backchannel_logout_uri")
	c.BackchannelLogoutSessionRequired = m.flag("backchannel_logout_session_required")
	c.SubjectType = cmp.Or(m.text("subject_type"), storage.SubjectPublic)
	c.SectorIdentifierURI = m.text("sector_identifier_uri")
	c.IDTokenSignedResponseAlg = cmp.Or(m.text("id_token_signed_response_alg"), algRS256)
	c.UserinfoSignedResponseAlg = m.text("userinfo_signed_response_alg")
	c.RequestObjectSigningAlg = m.text("request_object_signing_alg")
	c.RequestURIs = m.list("request_uris")
	c.RequireSignedRequestObject = m.flag("require_signed_request_object")
	c.RequirePushedAuthorizationRequests = m.flag("require_pushed_authorization_requests")
	c.DefaultMaxAge = m.seconds("default_max_age")
	m.flag("require_auth_time")
}

// defaultAuthMethod is client_secret_basic (RFC 7591 section 2), except for what
// people install: it cannot keep a secret (RFC 8252 section 8.5).
func defaultAuthMethod(application string) string {
	if application == applicationNative {
		return authNone
	}
	return authBasic
}

// clientType is our type of client for what others call application_type.
func clientType(application string, c *storage.Client) string {
	switch {
	case slices.Equal(c.GrantTypes, storage.List{grantClientCredentials}):
		return ClientService
	case application == applicationNative:
		return ClientNative
	case c.Public():
		return ClientSPA
	}
	return ClientWeb
}

// nameOf is what people see of a client that does not say how it is called: where
// it sends them.
func nameOf(c *storage.Client) string {
	for _, uri := range append(slices.Clone(c.RedirectURIs), c.ClientURI) {
		if u, err := url.Parse(uri); err == nil && cmp.Or(u.Hostname(), u.Scheme) != "" {
			return cmp.Or(u.Hostname(), u.Scheme)
		}
	}
	return c.ID
}

// scope returns what a client gets of the scopes that it asks for, or of all where
// it asks for none (RFC 7591 section 2).
func (m *members) scope(c *storage.Client, allowed []string) string {
	asked := allowed
	if m.given("scope") {
		asked = strings.Fields(m.text("scope"))
	}
	var granted []string
	for _, s := range asked {
		if slices.Contains(allowed, s) && !slices.Contains(granted, s) && !(c.Type == ClientService && isIdentityScope(s)) {
			granted = append(granted, s)
		}
	}
	return strings.Join(granted, " ")
}
