package provider

import (
	"context"
	"net/url"

	"github.com/understudy-id/understudy/storage"
)

// resolveObject returns the parameters of a request object (RFC 9101).
func (p *Provider) resolveObject(_ context.Context, c *storage.Client, form url.Values) (url.Values, *Error, error) {
	uri, object := form.Get("request_uri"), form.Get("request")
	switch {
	case object != "":
		return form, errRequestNotSupported, nil
	case uri != "":
		return form, errRequestURINotSupport, nil
	case form.Get("registration") != "":
		return form, errRegistrationNotSup, nil
	case c.RequireSignedRequestObject:
		return form, errInvalidRequest.with("The application has to sign its requests."), nil
	}
	return form, nil, nil
}
