package provider

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// userinfoAlg is where a grant keeps that userinfo is signed for its client.
const userinfoAlg = "userinfo_alg"

// Userinfo returns the claims that an access token stands for (OpenID Connect Core
// 5.3): as they are, or for a client that is registered for it as a signed JWT. It
// looks at the grant, so a token that was stopped or revoked is refused at once.
func (p *Provider) Userinfo(r *http.Request) (claims map[string]any, signed string, err error) {
	token, err := bearer(r)
	if err != nil {
		return nil, "", err
	}
	a, err := p.userinfoToken(r.Context(), token)
	if err != nil {
		return nil, "", err
	}
	if claims, err = p.userinfo(a); err != nil {
		return nil, "", err
	}
	alg := a.granted.Parameter(userinfoAlg)
	if alg == "" {
		return claims, "", nil
	}
	claims["iss"], claims["aud"] = p.config.Issuer, a.claims.ClientID
	signed, err = p.Keys.sign(alg, typUserinfo, claims)
	return nil, signed, err
}

// userinfoToken returns an access token that may be used here.
func (p *Provider) userinfoToken(ctx context.Context, token string) (*active, error) {
	a, err := p.activeOf(ctx, token, time.Now(), p.store.GrantByToken)
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
	return a, nil
}

func (p *Provider) userinfo(a *active) (map[string]any, error) {
	claims, err := readClaimsObject(a.granted.CustomClaims)
	if err != nil {
		return nil, err
	}
	if claims == nil {
		claims = map[string]any{}
	}
	maps.Copy(claims, claimsAbout(&a.granted.User, strings.Fields(a.claims.Scope), namesWithin(a.granted.Parameter(claimsOfUserinfo), a.granted.Grant.Scope, a.claims.Scope)))
	claims["sub"] = a.claims.Subject
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
	inHeader, err := bearerInHeader(r)
	if err != nil {
		return "", err
	}
	var inForm string
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

// bearerInHeader returns the token in a request's header, empty where there is none.
func bearerInHeader(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", errInvalidToken
	}
	return token, nil
}

// UserinfoWithActor returns the claims of Userinfo, unsigned, and who really acts: the
// actor, and the sub by which act names them. A nil actor: the user does.
func (p *Provider) UserinfoWithActor(r *http.Request) (claims map[string]any, actor *storage.User, sub string, err error) {
	token, err := bearer(r)
	if err != nil {
		return nil, nil, "", err
	}
	a, err := p.userinfoToken(r.Context(), token)
	if err != nil {
		return nil, nil, "", err
	}
	claims, err = p.userinfo(a)
	if err != nil || a.granted.ActorID == "" {
		return claims, nil, "", err
	}
	actor, err = p.store.User(r.Context(), a.granted.ActorID)
	return claims, actor, actorIn(a.claims.Act), err
}
