package provider

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/understudy-id/understudy/storage"
)

// metadata is the discovery document (OpenID Connect Discovery 1.0, RFC 8414). It
// lists what works and nothing else (SECURITY F11).
type metadata struct {
	Issuer                        string   `json:"issuer"`
	AuthorizationEndpoint         string   `json:"authorization_endpoint"`
	TokenEndpoint                 string   `json:"token_endpoint"`
	UserinfoEndpoint              string   `json:"userinfo_endpoint"`
	JWKSURI                       string   `json:"jwks_uri"`
	RevocationEndpoint            string   `json:"revocation_endpoint"`
	IntrospectionEndpoint         string   `json:"introspection_endpoint"`
	EndSessionEndpoint            string   `json:"end_session_endpoint"`
	PushedRequestEndpoint         string   `json:"pushed_authorization_request_endpoint"`
	RegistrationEndpoint          string   `json:"registration_endpoint,omitempty"`
	ScopesSupported               []string `json:"scopes_supported"`
	ResponseTypesSupported        []string `json:"response_types_supported"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	GrantTypesSupported           []string `json:"grant_types_supported"`
	SubjectTypesSupported         []string `json:"subject_types_supported"`
	IDTokenSigningAlgs            []string `json:"id_token_signing_alg_values_supported"`
	UserinfoSigningAlgs           []string `json:"userinfo_signing_alg_values_supported"`
	TokenAuthMethods              []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods         []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods      []string `json:"introspection_endpoint_auth_methods_supported"`
	TokenAuthAlgs                 []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgs            []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthAlgs         []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethods          []string `json:"code_challenge_methods_supported"`
	ClaimTypesSupported           []string `json:"claim_types_supported"`
	ClaimsSupported               []string `json:"claims_supported"`
	ACRValuesSupported            []string `json:"acr_values_supported"`
	PromptValuesSupported         []string `json:"prompt_values_supported"`
	DisplayValuesSupported        []string `json:"display_values_supported"`
	UILocalesSupported            []string `json:"ui_locales_supported"`
	ClaimsParameterSupported      bool     `json:"claims_parameter_supported"`
	RequestParameterSupported     bool     `json:"request_parameter_supported"`
	RequestURIParameterSupported  bool     `json:"request_uri_parameter_supported"`
	RequireRequestURIRegistration bool     `json:"require_request_uri_registration"`
	RequestObjectAlgs             []string `json:"request_object_signing_alg_values_supported"`
	AuthorizationResponseIssParam bool     `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout             bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSession      bool     `json:"backchannel_logout_session_supported"`
}

func discovery(issuer string, locales []string, registers bool) []byte {
	confidential := []string{authBasic, authPost, authPrivateKey}
	all := []string{authBasic, authPost, authPrivateKey, authNone}
	registration := ""
	if registers {
		registration = issuer + registrationPath
	}
	return asRaw(metadata{
		Issuer:                    issuer,
		AuthorizationEndpoint:     issuer + "/oauth2/authorize",
		TokenEndpoint:             issuer + "/oauth2/token",
		UserinfoEndpoint:          issuer + "/oauth2/userinfo",
		JWKSURI:                   issuer + "/.well-known/jwks.json",
		RevocationEndpoint:        issuer + "/oauth2/revoke",
		IntrospectionEndpoint:     issuer + "/oauth2/introspect",
		EndSessionEndpoint:        issuer + "/oauth2/logout",
		PushedRequestEndpoint:     issuer + "/oauth2/par",
		RegistrationEndpoint:      registration,
		ScopesSupported:           []string{scopeOpenID, scopeProfile, scopeEmail, scopeAddress, scopePhone, scopeOfflineAccess},
		ResponseTypesSupported:    responseTypes,
		ResponseModesSupported:    []string{"query", "fragment", "form_post"},
		GrantTypesSupported:       []string{grantCode, grantImplicit, grantRefresh, grantClientCredentials, grantTokenExchange},
		SubjectTypesSupported:     []string{storage.SubjectPublic, storage.SubjectPairwise},
		IDTokenSigningAlgs:        []string{algRS256, algES256},
		UserinfoSigningAlgs:       []string{algRS256, algES256},
		TokenAuthMethods:          all,
		RevocationAuthMethods:     all,
		IntrospectionAuthMethods:  confidential,
		TokenAuthAlgs:             clientAlgs,
		RevocationAuthAlgs:        clientAlgs,
		IntrospectionAuthAlgs:     clientAlgs,
		CodeChallengeMethods:      []string{"S256"},
		ClaimTypesSupported:       []string{"normal"},
		ClaimsSupported:           claimsSupported(),
		ACRValuesSupported:        []string{acrPassword, acrImpersonation},
		DisplayValuesSupported:    []string{"page"},
		ClaimsParameterSupported:  true,
		RequestParameterSupported: true, RequestURIParameterSupported: true, RequireRequestURIRegistration: true,
		RequestObjectAlgs:             clientAlgs,
		PromptValuesSupported:         []string{"none", "login", "consent", "select_account"},
		UILocalesSupported:            locales,
		AuthorizationResponseIssParam: true,
		BackchannelLogout:             true,
		BackchannelLogoutSession:      true,
	})
}

// claimsSupported are those of every ID token, and those about users.
func claimsSupported() []string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "act", "org_id"}
	for _, c := range userClaims {
		names = append(names, c.name)
	}
	return names
}

// Metadata returns the discovery document and its entity tag.
func (p *Provider) Metadata() (document []byte, etag string) { return p.metadata, p.metadataTag }

// entityTag returns a strong validator of a document (RFC 9110 section 8.8.3).
func entityTag(document []byte) string {
	sum := sha256.Sum256(document)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
