package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// provider is what discovery told us about the sign-in service.
type provider struct {
	*oidc.Provider
	oauth2   oauth2.Config
	verifier *oidc.IDTokenVerifier
	meta     struct {
		EndSession string `json:"end_session_endpoint"`
		SendsIss   bool   `json:"authorization_response_iss_parameter_supported"`
	}
}

// provider discovers once. A failure is not remembered: the next request asks again.
func (a *app) provider(r *http.Request) (*provider, error) {
	a.discovering.Lock()
	defer a.discovering.Unlock()
	if a.discovered != nil {
		return a.discovered, nil
	}
	found, err := oidc.NewProvider(a.calling(r), a.Issuer)
	if err != nil {
		return nil, unreachable(err)
	}
	p := &provider{Provider: found, verifier: found.Verifier(&oidc.Config{ClientID: a.ClientID})}
	if err := found.Claims(&p.meta); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	p.oauth2 = oauth2.Config{
		ClientID:     a.ClientID,
		ClientSecret: a.ClientSecret,
		Endpoint:     found.Endpoint(),
		RedirectURL:  a.BaseURL + "/callback",
		Scopes:       a.Scopes,
	}
	// Left to itself x/oauth2 tries one style and then the other: a refused code is sent twice.
	p.oauth2.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if a.ClientSecret == "" {
		p.oauth2.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	a.discovered = p
	return p, nil
}

// calling is the context of calls made to the provider on behalf of r.
func (a *app) calling(r *http.Request) context.Context {
	return oidc.ClientContext(r.Context(), a.client)
}

// refused tells a refusal of the token endpoint from a failure to reach it.
func refused(err error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		detail := cmp.Or(answer.ErrorDescription, answer.ErrorCode, answer.Response.Status)
		return &problem{http.StatusBadRequest, "Not signed in", detail}
	}
	return unreachable(err)
}

func unreachable(err error) error {
	return &problem{http.StatusBadGateway, "The sign-in service cannot be reached", err.Error()}
}
