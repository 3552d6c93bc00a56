package idptest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// APIKey makes an API key with these permissions, everywhere.
func (idp *IDP) APIKey(t testing.TB, permissions ...string) string {
	t.Helper()
	return idp.MakeKey(t, storage.APIKey{Permissions: permissions})
}

// LocalAPIKey makes an API key that reaches one organization only.
func (idp *IDP) LocalAPIKey(t testing.TB, organization string, permissions ...string) string {
	t.Helper()
	return idp.MakeKey(t, storage.APIKey{OrganizationID: &organization, Permissions: permissions})
}

// MakeKey makes an API key and returns its secret.
func (idp *IDP) MakeKey(t testing.TB, k storage.APIKey) string {
	t.Helper()
	if k.Name == "" {
		k.Name = "a key of a test"
	}
	secret, err := provider.NewAPIKeys(idp.Store).Create(t.Context(), &k, storage.Cause{}, time.Now())
	check(t, err)
	return secret
}

// Into reads the body's JSON.
func (r *Response) Into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), v); err != nil {
		t.Fatalf("status %d, not JSON: %s", r.Status, r.Body)
	}
}

// Problem reads the body as a problem; it is an error that it is none.
func (r *Response) Problem(t testing.TB) (p api.Problem) {
	t.Helper()
	if kind := r.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%d %q: the content type is %q", r.Status, r.Body, kind)
	}
	r.Into(t, &p)
	if p.Status != r.Status || p.RequestID == "" {
		t.Errorf("status %d, %+v", r.Status, p)
	}
	return p
}

// API calls the management API and holds the answer against its document. path goes on
// from its prefix; body is JSON, or marshalled to it, or nil for none.
func (idp *IDP) API(t testing.TB, key, method, path string, body any, header ...string) *Response {
	t.Helper()
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(body)
	case []byte:
		content = bytes.NewReader(body)
	default:
		b, err := json.Marshal(body)
		check(t, err)
		content = bytes.NewReader(b)
	}
	r := httptest.NewRequest(method, api.Prefix+path, content)
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return idp.Hold(t, r)
}
