package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json" // compares names byte by byte, and refuses one that comes twice

	"github.com/understudy-id/understudy/storage"
)

// resolveObject returns the parameters of a request object (RFC 9101), which only a
// client that is registered for it may send, by value or from a place that it
// registered. It is signed, always (SECURITY C08, fosite #6). Of what came beside it
// only client_id counts.
func (p *Provider) resolveObject(ctx context.Context, c *storage.Client, form url.Values) (url.Values, *Error, error) {
	uri, object := form.Get("request_uri"), form.Get("request")
	registered := c.RequestObjectSigningAlg != ""
	switch {
	case object != "" && !registered:
		return form, errRequestNotSupported, nil
	case uri != "" && (!registered || len(c.RequestURIs) == 0):
		return form, errRequestURINotSupport, nil
	case form.Get("registration") != "":
		return form, errRegistrationNotSup, nil
	case object != "" && uri != "":
		return form, errInvalidRequest.with("Send request or request_uri, not both."), nil
	case object == "" && uri == "" && c.RequireSignedRequestObject:
		return form, errInvalidRequest.with("The application has to sign its requests."), nil
	case object == "" && uri == "":
		return form, nil, nil
	case uri != "":
		if !slices.ContainsFunc(c.RequestURIs, func(known string) bool { return withoutFragment(known) == withoutFragment(uri) }) {
			return form, errInvalidRequestURI, nil
		}
		fetched, err := p.fetchObject(ctx, withoutFragment(uri))
		if errors.Is(err, errUnavailable) {
			return form, nil, err
		}
		if err != nil {
			return form, errInvalidRequestURI.with("The request object could not be fetched.").because(err), nil
		}
		object = strings.TrimSpace(string(fetched))
	}
	parameters, refusal := p.readObject(ctx, c, object)
	if refusal != nil {
		return form, refusal, nil
	}
	return parameters, nil, nil
}

// maxFetches is how many request objects are fetched at once: anybody's browser can
// ask for one.
const maxFetches = 16

func (p *Provider) fetchObject(ctx context.Context, uri string) ([]byte, error) {
	select {
	case p.fetches <- struct{}{}:
		defer func() { <-p.fetches }()
		return p.caller.get(ctx, uri)
	default:
		return nil, errUnavailable
	}
}

// withoutFragment cuts off what a client puts behind the address of a request object
// to say that it has another content (OpenID Connect Core 6.2).
func withoutFragment(uri string) string {
	address, _, _ := strings.Cut(uri, "#")
	return address
}

// notParameters are the claims of a request object that are about itself.
var notParameters = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

// readObject verifies a request object and returns its parameters.
func (p *Provider) readObject(ctx context.Context, c *storage.Client, object string) (url.Values, *Error) {
	j, err := parseClientJWT(object)
	if err != nil {
		return nil, errInvalidRequestObject.because(err)
	}
	switch strings.ToLower(strings.TrimPrefix(j.typ, "application/")) {
	case "", "jwt", "oauth-authz-req+jwt":
	default: // an assertion of the client is no request (RFC 8725 section 3.11)
		return nil, errInvalidRequestObject.with("The request object has the typ of something else.")
	}
	payload, err := p.verifyClientJWT(ctx, c, j, []string{c.RequestObjectSigningAlg})
	if err != nil {
		return nil, errInvalidRequestObject.because(err)
	}
	var claims map[string]json.RawMessage
	var itself objectClaims
	if err := josejson.Unmarshal(payload, &claims); err != nil {
		return nil, errInvalidRequestObject.because(err)
	}
	if err := josejson.Unmarshal(payload, &itself); err != nil {
		return nil, errInvalidRequestObject.because(err)
	}
	if wrong := itself.check(c.ID, p.config.Issuer, time.Now()); wrong != "" {
		return nil, errInvalidRequestObject.with("The request object " + wrong + ".")
	}
	parameters := url.Values{"client_id": {c.ID}}
	for name, value := range claims {
		if name == "client_id" || slices.Contains(notParameters, name) {
			continue
		}
		if parameters[name] = parameterOf(value); parameters[name] == nil || name == "request" || name == "request_uri" {
			return nil, errInvalidRequestObject.with("The request object has a member that is no parameter.")
		}
	}
	return parameters, nil
}

// objectClaims are what a request object says about itself.
type objectClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ClientID  string   `json:"client_id"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
}

// check returns what is wrong, empty where nothing is. What is not there is not
// wrong: OpenID Connect Core 6.1 demands none of it.
func (o *objectClaims) check(clientID, issuer string, now time.Time) string {
	seconds := float64(now.Unix())
	switch {
	case o.Issuer != "" && o.Issuer != clientID, o.ClientID != "" && o.ClientID != clientID:
		return "is of another client"
	case o.Subject == clientID: // it could be taken for an assertion (RFC 9101 section 4)
		return "must not have the client as sub"
	case len(o.Audience) > 0 && !slices.Contains(o.Audience, issuer):
		return "is for another issuer"
	case o.Expires != nil && *o.Expires <= seconds:
		return "has expired"
	case o.NotBefore != nil && *o.NotBefore > seconds+assertionLeeway.Seconds():
		return "is from the future"
	}
	return ""
}

// parameterOf returns a member of a request object as the parameter that it would
// have been: numbers and objects as their JSON (fosite #6), a list of texts as several.
// nil: it cannot have been one.
func parameterOf(value json.RawMessage) []string {
	var text string
	var list []string
	switch {
	case json.Unmarshal(value, &text) == nil && value[0] == '"':
		return []string{text}
	case value[0] == '[':
		if json.Unmarshal(value, &list) != nil || len(list) == 0 {
			return nil
		}
		return list
	case string(value) == "null":
		return nil
	}
	return []string{string(value)}
}
