package provider

import (
	"context"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// resolve returns the parameters that an authorization request stands for, when it
// refers to them: by a request_uri that was pushed, or by a request object. The
// second result is what is wrong with the reference, to be said at the redirect URI
// that came beside it; the error, that there is none to say it at.
func (p *Provider) resolve(ctx context.Context, c *storage.Client, form url.Values) (url.Values, *Error, error) {
	uri, object := form.Get("request_uri"), form.Get("request")
	switch {
	case uri+object != "" && CheckParameters(form) != nil:
		return form, nil, nil //nolint:nilerr // authorizeRequest refuses it for that
	case strings.HasPrefix(uri, prefixRequestURI) && object == "":
		pushed, err := p.takePushed(ctx, c, uri)
		return pushed, nil, err
	case c.RequirePushedAuthorizationRequests:
		return form, errInvalidRequest.with("The application has to push its requests."), nil
	}
	return p.resolveObject(ctx, c, form)
}

// keptRefusal is where a request that waits for its person keeps that its
// parameters came in a way that is refused. What they were is forgotten.
const keptRefusal = "error"

// refusals are what can be wrong with how parameters come.
var refusals = []*Error{
	errInvalidRequest, errRequestNotSupported, errRequestURINotSupport, errRegistrationNotSup, errInvalidRequestObject, errInvalidRequestURI,
}

// refusalNamed returns the refusal with a code, nil where there is none.
func refusalNamed(code string) *Error {
	for _, r := range refusals {
		if r.Code == code {
			return r
		}
	}
	return nil
}
