package handlers_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// inProcess is a transport that asks the provider without a socket, so that the
// clock of a test stands still.
type inProcess struct{ idp *idptest.IDP }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.idp.Handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// verifierOf verifies ID tokens of App as coreos/go-oidc does, which keeps the key
// set until it meets an unknown kid.
func verifierOf(t testing.TB, idp *idptest.IDP) *oidc.IDTokenVerifier {
	t.Helper()
	ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: inProcess{idp}})
	p, err := oidc.NewProvider(ctx, idptest.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return p.Verifier(&oidc.Config{ClientID: "app"})
}

// published returns the kids of the key set.
func published(t testing.TB, idp *idptest.IDP) map[string]bool {
	t.Helper()
	kids := map[string]bool{}
	for _, key := range idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)).JSON(t)["keys"].([]any) {
		kids[str(t, key.(map[string]any), "kid")] = true
	}
	return kids
}

// I03, R8: over a month in which keys change twice, no relying party ever meets a
// token that it cannot verify, and every key was published a day before its first.
func TestRotation(t *testing.T) {
	t.Parallel()
	const day, interval, longest = 24 * time.Hour, 10 * 24 * time.Hour, 24 * time.Hour
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		idp.Change(t, "app", func(c *storage.Client) { c.IDTokenSignedResponseAlg = "RS256" })
		old := verifierOf(t, idp)
		type issued struct {
			token string
			at    time.Time
		}
		var tokens []issued
		start, seen, signed := time.Now(), map[string]time.Time{}, map[string]bool{}
		for now := start; now.Before(start.Add(23 * day)); now = time.Now() {
			if _, err := idp.Keys.Maintain(t.Context(), interval, longest, now); err != nil {
				t.Fatal(err)
			}
			kids := published(t, idp)
			for kid := range kids {
				if seen[kid].IsZero() {
					seen[kid] = now
				}
			}
			token := str(t, loggedIn(t, idp, "ada"), "id_token")
			kid := str(t, header(t, token), "kid")
			if first := seen[kid]; now.Sub(first) < day && !first.Equal(start) {
				t.Errorf("after %v: %s signs %v after it was published", now.Sub(start), kid, now.Sub(first))
			}
			signed[kid] = true
			for name, rp := range map[string]*oidc.IDTokenVerifier{"a relying party from before": old, "a new one": verifierOf(t, idp)} {
				if _, err := rp.Verify(t.Context(), token); err != nil {
					t.Fatalf("after %v: %s: %v", now.Sub(start), name, err)
				}
			}
			tokens = append(tokens, issued{token, now})
			for _, i := range tokens { // a hint is of use for as long as a session may last
				if kid := str(t, header(t, i.token), "kid"); now.Sub(i.at) < longest && !kids[kid] {
					t.Errorf("after %v: the key of a token of %v ago is gone", now.Sub(start), now.Sub(i.at))
				}
			}
			if len(kids) > 4 {
				t.Errorf("after %v: %d keys are published", now.Sub(start), len(kids))
			}
			time.Sleep(6 * time.Hour)
		}
		if len(signed) != 3 || len(seen) != 6 {
			t.Errorf("%d keys signed and %d were published, want 3 and 6", len(signed), len(seen))
		}
		last := tokens[len(tokens)-1].token
		w := idp.Browser(t).Get("/oauth2/logout?" + url.Values{"id_token_hint": {last}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
		if w.Header.Get("Location") != "https://app.example/" {
			t.Errorf("the last token as a hint: status %d", w.Status)
		}
	})
}

// After an emergency nothing that the old keys signed counts here, and a relying
// party that fetches the key set anew goes on.
func TestEmergencyRotation(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		old, ada := verifierOf(t, idp), person(t, idp, "ada")
		before := idp.Tokens(t, ada.Code(asking()))
		if _, err := old.Verify(t.Context(), str(t, before, "id_token")); err != nil {
			t.Fatal(err)
		}
		wantActive(t, idp, "before", str(t, before, "access_token"), true) // and remembered
		time.Sleep(time.Second)
		if err := idp.Keys.Replace(t.Context(), []string{"ES256"}, storage.Cause{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		wantActive(t, idp, "access token of the replaced key", str(t, before, "access_token"), false)
		wantRefused(t, "userinfo", userinfo(idp, str(t, before, "access_token")), http.StatusUnauthorized, "invalid_token")
		w := ada.Get("/oauth2/logout?" + url.Values{"id_token_hint": {str(t, before, "id_token")}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
		if w.Header.Get("Location") != "" || w.Element("logout-form") == nil {
			t.Errorf("a hint of the replaced key: status %d, redirect to %s", w.Status, w.Header.Get("Location"))
		}
		after := str(t, idp.Tokens(t, ada.Code(asking())), "id_token")
		for name, rp := range map[string]*oidc.IDTokenVerifier{"a relying party from before": old, "a new one": verifierOf(t, idp)} {
			if _, err := rp.Verify(t.Context(), after); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := rp.Verify(t.Context(), str(t, before, "id_token")); err == nil {
				t.Errorf("%s: believes the replaced key", name)
			}
		}
	})
}

// Discovery and the key set are the same until they change, and say so.
func TestDocumentsAreCached(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	server := httptest.NewServer(idp.Handler)
	defer server.Close()
	ask := func(method, path, match string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if match != "" {
			r.Header.Set("If-None-Match", match)
		}
		w, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		body, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return w, string(body)
	}
	for path, age := range map[string]string{
		"/.well-known/openid-configuration": "public, max-age=3600", "/.well-known/oauth-authorization-server": "public, max-age=3600",
		"/.well-known/jwks.json": "public, max-age=900",
	} {
		t.Run(path, func(t *testing.T) {
			w, body := ask(http.MethodGet, path, "")
			etag := w.Header.Get("ETag")
			if w.StatusCode != http.StatusOK || len(etag) < 10 || w.Header.Get("Cache-Control") != age || w.Header.Get("Set-Cookie") != "" {
				t.Fatalf("status %d, %v", w.StatusCode, w.Header)
			}
			h, empty := ask(http.MethodHead, path, "")
			if h.StatusCode != http.StatusOK || empty != "" || h.ContentLength != int64(len(body)) || h.Header.Get("ETag") != etag ||
				h.Header.Get("Content-Type") != w.Header.Get("Content-Type") {
				t.Errorf("HEAD: status %d, %d bytes, %v", h.StatusCode, h.ContentLength, h.Header)
			}
			for _, same := range []string{etag, "W/" + etag, `"other", ` + etag, `"other",W/` + etag, "*"} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					if w, body := ask(method, path, same); w.StatusCode != http.StatusNotModified || body != "" || w.Header.Get("ETag") != etag ||
						w.Header.Get("Cache-Control") != age || w.Header.Get("Access-Control-Allow-Origin") != "*" {
						t.Errorf("%s with %s: status %d, %v", method, same, w.StatusCode, w.Header)
					}
				}
			}
			for _, other := range []string{`"other"`, strings.Trim(etag, `"`), `"` + etag + `"`, strings.ToUpper(etag), ","} {
				if w, again := ask(http.MethodGet, path, other); w.StatusCode != http.StatusOK || again != body {
					t.Errorf("with %s: status %d", other, w.StatusCode)
				}
			}
		})
	}
	before, _ := ask(http.MethodGet, "/.well-known/jwks.json", "")
	if _, err := idp.Keys.Rotate(t.Context(), []string{"ES256"}, storage.Cause{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if w, _ := ask(http.MethodGet, "/.well-known/jwks.json", before.Header.Get("ETag")); w.StatusCode != http.StatusOK {
		t.Errorf("after the next key was published: status %d", w.StatusCode)
	}
}
