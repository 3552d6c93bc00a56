package provider

import (
	"net/url"

	"github.com/ory/fosite"
)

// Answer is an authorization response on its way to the client.
type Answer struct {
	RedirectURI string
	Mode        fosite.ResponseModeType // query, fragment or form_post
	Parameters  url.Values
}

// URL returns where to send the browser, for every mode but form_post.
func (a *Answer) URL() string {
	u, err := url.Parse(a.RedirectURI)
	if err != nil {
		return a.RedirectURI // registered, so it parsed before
	}
	if a.Mode == fosite.ResponseModeFragment {
		u.Fragment = ""
		return u.String() + "#" + a.Parameters.Encode()
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += a.Parameters.Encode()
	return u.String()
}

// answer makes a response with what every one has: iss (RFC 9207), and state where
// the client sent one.
func (p *Provider) answer(a *AuthorizeRequest, parameters url.Values) *Answer {
	parameters.Set("iss", p.config.Issuer)
	if state := a.Form.Get("state"); state != "" {
		parameters.Set("state", state)
	} else {
		parameters.Del("state")
	}
	mode := responseMode(a.Form.Get("response_type"), a.Form.Get("response_mode"))
	return &Answer{RedirectURI: a.GetRedirectURI().String(), Mode: mode, Parameters: parameters}
}

// Refuse makes the response that tells the client what went wrong.
func (p *Provider) Refuse(a *AuthorizeRequest, err error) *Answer {
	e := AsError(err)
	return p.answer(a, url.Values{"error": {e.Code}, "error_description": {e.Description}})
}
