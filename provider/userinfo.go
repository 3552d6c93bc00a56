package provider

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Userinfo returns the claims that an access token stands for (OpenID Connect Core
// 5.3). It looks at the grant, so a token that was stopped or revoked is refused
// at once.
func (p *Provider) Userinfo(r *http.Request) (map[string]any, error) {
	token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	a, err := p.active(r.Context(), token, time.Now())
	if errors.Is(err, errInactive) {
		return nil, errInvalidToken
	}
	if err != nil {
		return nil, err
	}
	scopes := strings.Fields(a.claims.Scope)
	if a.kind != storage.AccessToken || a.granted == nil || !slices.Contains(a.claims.Audience, p.config.Issuer) {
		return nil, errInvalidToken
	}
	if !slices.Contains(scopes, scopeOpenID) {
		return nil, &Error{Code: "insufficient_scope", Description: "The openid scope is needed.", Status: http.StatusForbidden}
	}
	claims := scopeClaims(&a.granted.User, scopes)
	claims["sub"] = a.granted.User.ID
	if a.claims.Act != nil {
		claims["act"] = a.claims.Act
	}
	if a.claims.Organization != "" {
		claims["org_id"] = a.claims.Organization
	}
	return claims, nil
}

// bearer returns the token that a request presents in its header or, with POST, in
// its form (RFC 6750 sections 2.1 and 2.2). A token in the query is not looked at.
func bearer(r *http.Request) (string, error) {
	var inHeader, inForm string
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, ok := strings.Cut(values[0], " ")
		if !ok || len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return "", errInvalidToken
		}
		inHeader = token
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && err == nil &&
		kind == "application/x-www-form-urlencoded" {
		if err := r.ParseForm(); err != nil {
			return "", bodyError(err)
		}
		if err := CheckParameters(r.PostForm); err != nil {
			return "", err
		}
		inForm = r.PostForm.Get("access_token")
	}
	switch {
	case inHeader != "" && inForm != "":
		return "", errInvalidRequest.with("Present the access token in one way only.")
	case inHeader+inForm == "":
		return "", errInvalidToken
	}
	return inHeader + inForm, nil
}
