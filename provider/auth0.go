package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// Auth0Token is Token for a request in the words of Auth0's SDKs, whose form was read
// already. They name the management API by an address of its own and the issuer with a
// slash behind it, which is what they want an ID token to say. How a client authenticates,
// and what it gets, is as in Token.
func (p *Provider) Auth0Token(r *http.Request, form url.Values, info storage.Request) (map[string]any, error) {
	if err := CheckParameters(form); err != nil {
		return nil, err
	}
	if form.Get("grant_type") == grantClientCredentials {
		if err := p.auth0Asks(r, form); err != nil {
			return nil, err
		}
	}
	q := directRequest(form)
	q.Header["Authorization"] = r.Header["Authorization"]
	ctx := Begin(r.Context(), info)
	workOf(ctx).issuer = p.auth0Issuer()
	return p.tokenTwice(ctx, q)
}

func (p *Provider) auth0Issuer() string { return p.config.Issuer + "/" }

// auth0Asks puts what a client asks for itself into our words: the management API is the
// one that the issuer is the audience of, and a client that says no scope gets those that
// it is registered for, as there.
func (p *Provider) auth0Asks(r *http.Request, form url.Values) error {
	if api := p.auth0Issuer() + "api/v2"; form.Get("audience") == api || form.Get("audience") == api+"/" {
		form.Set("audience", p.config.Issuer)
	}
	var scopes []string
	for _, scope := range strings.Fields(form.Get("scope")) {
		if scope == "read:users" {
			scope = "users:read"
		}
		scopes = append(scopes, scope)
	}
	if len(scopes) == 0 {
		given, err := credentialsOf(r, form)
		if err != nil {
			return err
		}
		c, err := p.store.Client(r.Context(), given.id)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil {
			scopes = slices.DeleteFunc(strings.Fields(c.Scope), isIdentityScope)
		}
	}
	form.Set("scope", strings.Join(scopes, " "))
	return nil
}
