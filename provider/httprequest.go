package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/storage"
)

// httpRequest shows a form that was parsed already to fosite, which wants a request.
func httpRequest(form url.Values) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: form, PostForm: url.Values{}}
}

type clientKey struct{}

// withClient lets GetClient return what was loaded already, with the redirect URI
// that was accepted.
func withClient(ctx context.Context, c fosite.Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

func isNotFound(err error) bool { return errors.Is(err, storage.ErrNotFound) }
