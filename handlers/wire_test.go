package handlers_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

var update = flag.Bool("update", false, "write testdata/wire anew")

// wire compares what goes out with the golden files.
type wire struct {
	t     *testing.T
	start time.Time
}

// seen is an answer as a golden file has it.
type seen struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

// answer compares an answer of JSON.
func (g wire) answer(name string, w *idptest.Response) map[string]any {
	g.t.Helper()
	body := w.JSON(g.t)
	headers := map[string]string{}
	for _, h := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "Access-Control-Allow-Origin", "X-Content-Type-Options"} {
		if v := w.Header.Get(h); v != "" {
			headers[h] = v
		}
	}
	g.golden(name, seen{w.Status, headers, g.named("", body)})
	return body
}

// token compares a JWT.
func (g wire) token(name string, token any) {
	g.t.Helper()
	text, _ := token.(string)
	g.golden(name, map[string]any{"header": g.named("", header(g.t, text)), "claims": g.named("", idptest.Claims(g.t, token))})
}

// varying are the members whose values are different each time. Their form is
// other tests' business.
var varying = map[string]bool{
	"kid": true, "jti": true, "sid": true, "gid": true, "at_hash": true, "id": true, "access_token": true, "refresh_token": true, "id_token": true,
	"clerk_trace_id": true, "jwt": true, "refreshJwt": true, "sessionJwt": true, "after": true, "token": true, "url": true,
	"n": true, "x": true, "y": true, "created_at": true, "updated_at": true, "stop_uri": true,
}

// kinds are what our identifiers and tokens begin with.
var kinds = map[string]bool{"uc": true, "ur": true, "ua": true, "key": true, "imp": true, "at": true, "gr": true, "sid": true, "lo": true, "dj": true, "evt": true, "tkt": true, "utk": true}

// named puts names in the place of values that vary, and times relative to the
// start.
func (g wire) named(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		all := map[string]any{}
		for member, value := range v {
			all[member] = g.named(member, value)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = g.named(name, v[i])
		}
		return all
	case float64:
		switch name {
		case "iat", "exp", "auth_time":
			return "start + " + time.Unix(int64(v), 0).Sub(g.start).String()
		case "created_at", "updated_at", "expires_at":
			return "number"
		}
	case string:
		if varying[name] {
			kind, _, _ := strings.Cut(v, "_")
			if kinds[kind] {
				return kind + "_..."
			}
			return "string"
		}
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return "start + " + at.Sub(g.start).String()
		}
	}
	return v
}

func (g wire) golden(name string, v any) {
	g.t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		g.t.Fatal(err)
	}
	file := filepath.Join("testdata", "wire", name+".json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got.String()); diff != "" {
		g.t.Errorf("%s (-want +got, -update writes it anew):\n%s", file, diff)
	}
}

// sortedKeys puts a key set into the order of its algorithms.
func sortedKeys(t *testing.T, w *idptest.Response) *idptest.Response {
	t.Helper()
	set := w.JSON(t)
	slices.SortFunc(set["keys"].([]any), func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["alg"].(string), b.(map[string]any)["alg"].(string))
	})
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return &idptest.Response{Status: w.Status, Header: w.Header, Body: string(body)}
}

// What goes on the wire is what others rely on: a change shows in review.
func TestWire(t *testing.T) {
	t.Parallel()
	clocked(t, idptest.Options{}, func(t *testing.T, idp *idptest.IDP) {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		g := wire{t, time.Now()}
		idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh = true })
		get := func(path string) *idptest.Response { return idp.Do(httptest.NewRequest(http.MethodGet, path, nil)) }
		g.answer("discovery", get("/.well-known/openid-configuration"))
		g.answer("jwks", sortedKeys(t, get("/.well-known/jwks.json")))

		everything := asking("scope", "openid profile email address phone offline_access api:read", "audience", idptest.Issuer)
		idp.Change(t, "app", func(c *storage.Client) { c.Audience = append(c.Audience, idptest.Issuer) })
		ada, sam := person(t, idp, "ada"), person(t, idp, "sam")
		for _, kind := range []string{"own", "acting"} {
			code := ada.Code(everything)
			if kind == "acting" {
				code = sam.ActAs("usr_ada", everything)
			}
			g.start = time.Now()
			time.Sleep(10 * time.Second)
			w := redeem(idp, code)
			tokens := g.answer(kind+"_token", w)
			g.token(kind+"_id_token", tokens["id_token"])
			g.token(kind+"_access_token", tokens["access_token"])
			access := str(t, tokens, "access_token")
			g.answer(kind+"_userinfo", userinfo(idp, access))
			introspect := func(token string) *idptest.Response {
				return idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {token}})
			}
			g.answer(kind+"_introspection", introspect(access))
			g.answer(kind+"_introspection_refresh_token", introspect(str(t, tokens, "refresh_token")))
			time.Sleep(20 * time.Second)
			renewed := g.answer(kind+"_refresh", refresh(idp, str(t, tokens, "refresh_token")))
			g.token(kind+"_refreshed_id_token", renewed["id_token"])
			if kind == "acting" {
				sam.Post("/impersonation/stop", url.Values{"id": {str(t, idptest.Claims(t, access), "sid")}})
				g.answer("stopped_introspection", introspect(access))
				g.answer("stopped_userinfo", userinfo(idp, access))
				g.answer("stopped_refresh", refresh(idp, str(t, renewed, "refresh_token")))
			}
		}
		g.answer("client_credentials", idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"jobs:run"}}))
		g.answer("error_invalid_client", idp.Call("/oauth2/token", "app", "wrong", refreshing("x")))
		g.answer("error_invalid_grant", refresh(idp, "x"))
		g.answer("error_unsupported_grant_type", idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{"grant_type": {"x"}}))
		g.answer("error_invalid_request", idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{"x": {"x"}}))
		g.answer("error_invalid_token", userinfo(idp, "x"))
		for name, request := range map[string]string{
			"answer_code": asking(), "answer_error": asking("scope", "wrong"), "answer_login_required": asking("prompt", "none", "max_age", "0"), "answer_form_post": asking("response_mode", "form_post"),
		} {
			to, said := answered(ada.Get(request))
			if said.Has("code") {
				said.Set("code", "uc_...")
			}
			g.golden(name, map[string]any{"to": to, "parameters": said})
		}
	})
}
