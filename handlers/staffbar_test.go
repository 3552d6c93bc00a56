package handlers_test

import (
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
)

// Every application loads it on every page while somebody acts.
func TestStaffBar(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	ask := func(method, etag string) *idptest.Response {
		r := httptest.NewRequest(method, "/staff-bar.js", nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("If-None-Match", etag)
		return idp.Do(r)
	}
	w := ask(http.MethodGet, "")
	wantStatus(t, "GET", w, http.StatusOK)
	if size := len(w.Body); size == 0 || size >= 5000 {
		t.Errorf("%d bytes, want fewer than 5000", size)
	}
	sum := sha512.Sum384([]byte(w.Body))
	tag := `"sha384-` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
	for name, want := range map[string]string{
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Content-Length":               strconv.Itoa(len(w.Body)),
		"Cache-Control":                "public, max-age=3600",
		"ETag":                         tag, // documented as what integrity takes
		"Access-Control-Allow-Origin":  "*",
		"Cross-Origin-Resource-Policy": "cross-origin",
		"X-Content-Type-Options":       "nosniff",
		"Set-Cookie":                   "",
	} {
		if got := w.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if again := ask(http.MethodGet, tag); again.Status != http.StatusNotModified || again.Body != "" || again.Header.Get("ETag") != tag {
		t.Errorf("status %d for the same ETag", again.Status)
	}
	wantStatus(t, "POST", ask(http.MethodPost, ""), http.StatusMethodNotAllowed)

	// What would make it need more than script-src in a policy, or markup of an attribute.
	for _, never := range []string{"innerHTML", "insertAdjacentHTML", "eval(", "Function(", "document.write", "<style", "cssText", "setAttribute('style'", "localStorage", "import("} {
		if strings.Contains(w.Body, never) {
			t.Errorf("the script has %q", never)
		}
	}
	for i := range len(w.Body) { // a page may be in any encoding
		if w.Body[i] > 0x7e {
			t.Fatalf("byte %#x at %d is not ASCII", w.Body[i], i)
		}
	}
}
