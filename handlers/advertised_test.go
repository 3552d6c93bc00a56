package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// exercisedBy names the test that exercises each member of the discovery document.
// Whoever advertises something new says here where it is shown to work.
var exercisedBy = map[string]string{
	"issuer":                                                   "TestDiscoveryIsTrue",
	"authorization_endpoint":                                   "TestDiscoveryIsTrue",
	"token_endpoint":                                           "TestDiscoveryIsTrue",
	"userinfo_endpoint":                                        "TestDiscoveryIsTrue",
	"jwks_uri":                                                 "TestKeySet",
	"revocation_endpoint":                                      "TestRevocation",
	"introspection_endpoint":                                   "TestIntrospection",
	"end_session_endpoint":                                     "TestLogout",
	"pushed_authorization_request_endpoint":                    "TestPushedRequests",
	"scopes_supported":                                         "TestDiscoveryIsTrue",
	"response_types_supported":                                 "TestDiscoveryIsTrue",
	"response_modes_supported":                                 "TestDiscoveryIsTrue",
	"grant_types_supported":                                    "TestDiscoveryIsTrue",
	"subject_types_supported":                                  "TestAdvertised",
	"id_token_signing_alg_values_supported":                    "TestDiscoveryIsTrue",
	"userinfo_signing_alg_values_supported":                    "TestAdvertised",
	"token_endpoint_auth_methods_supported":                    "TestDiscoveryIsTrue",
	"revocation_endpoint_auth_methods_supported":               "TestDiscoveryIsTrue",
	"introspection_endpoint_auth_methods_supported":            "TestDiscoveryIsTrue",
	"code_challenge_methods_supported":                         "TestDiscoveryIsTrue",
	"claim_types_supported":                                    "TestAdvertised",
	"claims_supported":                                         "TestAdvertised",
	"acr_values_supported":                                     "TestAdvertised",
	"prompt_values_supported":                                  "TestDiscoveryIsTrue",
	"display_values_supported":                                 "TestAdvertised",
	"ui_locales_supported":                                     "TestAdvertised",
	"claims_parameter_supported":                               "TestClaimsParameter",
	"request_parameter_supported":                              "TestRequestObjects",
	"request_uri_parameter_supported":                          "TestRequestURIs",
	"require_request_uri_registration":                         "TestRequestURIs",
	"request_object_signing_alg_values_supported":              "TestRequestObjects",
	"backchannel_logout_supported":                             "TestBackchannelLogout",
	"backchannel_logout_session_supported":                     "TestBackchannelLogout",
	"token_endpoint_auth_signing_alg_values_supported":         "TestDiscoveryIsTrue",
	"revocation_endpoint_auth_signing_alg_values_supported":    "TestDiscoveryIsTrue",
	"introspection_endpoint_auth_signing_alg_values_supported": "TestDiscoveryIsTrue",
	"authorization_response_iss_parameter_supported":           "TestAuthorizeResponse",
}

// testsOf returns the tests and fuzz targets of a package, each with what it says:
// its comments and its literals, where its subtests have their names.
func testsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	check(t, err)
	tests := map[string]string{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		check(t, err)
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, source, parser.ParseComments)
		check(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			tests[f.Name.Name] = f.Doc.Text() + string(source[fset.Position(f.Pos()).Offset:fset.Position(f.End()).Offset])
		}
	}
	return tests
}

// F11: nothing is advertised that no test exercises, and what is advertised of
// claims, subjects and algorithms is so.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	document := idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).JSON(t)
	list := func(name string) (all []string) {
		for _, v := range document[name].([]any) {
			all = append(all, v.(string))
		}
		return all
	}
	t.Run("F11 every member has a test", func(t *testing.T) {
		tests := testsOf(t, ".")
		for name := range document {
			if tests[exercisedBy[name]] == "" {
				t.Errorf("%s is advertised: name the test that exercises it in exercisedBy", name)
			}
		}
	})
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		err := tx.CreateUser(ctx, &storage.User{
			ID: "usr_full", Email: "full@example.test", EmailVerified: true, Name: "Full Name", GivenName: "Full", FamilyName: "Name", MiddleName: "M.", Nickname: "F",
			PreferredUsername: "full", Profile: "https://x.example/p", Picture: "https://x.example/i", Website: "https://x.example/", Gender: "x", Birthdate: "1990-01-02",
			Zoneinfo: "Europe/Paris", Locale: "fr-FR", PhoneNumber: "+1 555", PhoneNumberVerified: true, Address: `{"country":"f"}`,
		}, time.Now())
		if err == nil {
			err = tx.AddMember(ctx, "org_globex", "usr_full", "", time.Now())
		}
		return err
	})
	everything := asking("scope", "openid profile email address phone")
	t.Run("F11 claims", func(t *testing.T) {
		seen := map[string]bool{}
		for _, code := range []string{person(t, idp, "full").Code(everything), person(t, idp, "sam").ActAs("usr_full", everything)} {
			tokens := idp.Tokens(t, code)
			for _, claims := range []map[string]any{idptest.Claims(t, tokens["id_token"]), userinfo(idp, str(t, tokens, "access_token")).JSON(t)} {
				for name := range claims {
					if seen[name] = true; !slices.Contains(list("claims_supported"), name) && name != "at_hash" {
						t.Errorf("%s is there and is not listed", name)
					}
				}
			}
		}
		for _, name := range list("claims_supported") {
			if !seen[name] {
				t.Errorf("%s is listed and is nowhere", name)
			}
		}
	})
	t.Run("F11 subject types", func(t *testing.T) {
		subs := map[string]bool{}
		for _, kind := range list("subject_types_supported") {
			client := kind + "-app"
			addClient(t, idp, client, func(c *storage.Client) { c.SubjectType = kind })
			code := person(t, idp, "ada").Code(asking("client_id", client))
			w := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, nil))
			subs[str(t, idptest.Claims(t, w.JSON(t)["id_token"]), "sub")] = true
		}
		if len(subs) != 2 || !subs["usr_ada"] {
			t.Errorf("subjects: %v", subs)
		}
	})
	t.Run("F11 algorithms of userinfo", func(t *testing.T) {
		for _, alg := range list("userinfo_signing_alg_values_supported") {
			addClient(t, idp, "userinfo-"+alg, func(c *storage.Client) { c.UserinfoSignedResponseAlg = alg })
			code := person(t, idp, "ada").Code(asking("client_id", "userinfo-"+alg))
			tokens := idp.Call("/oauth2/token", "userinfo-"+alg, idptest.Secret, idptest.Exchange(code, nil)).JSON(t)
			if got := header(t, userinfo(idp, str(t, tokens, "access_token")).Body)["alg"]; got != alg {
				t.Errorf("signed with %v, want %s", got, alg)
			}
		}
	})
	t.Run("F11 acr", func(t *testing.T) {
		got := map[any]bool{}
		for _, code := range []string{person(t, idp, "ada").Code(asking()), person(t, idp, "sam").ActAs("usr_ada", asking())} {
			got[idptest.Claims(t, idp.Tokens(t, code)["id_token"])["acr"]] = true
		}
		for _, acr := range list("acr_values_supported") {
			if !got[acr] {
				t.Errorf("%s is listed; there are %v", acr, got)
			}
		}
	})
	t.Run("F11 what has one value", func(t *testing.T) {
		for name, want := range map[string]string{"claim_types_supported": "normal", "display_values_supported": "page"} {
			if got := list(name); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %v", name, got)
			}
		}
		if _, w := idp.Browser(t).Follow(asking("display", "page")); w.Element("login-form") == nil {
			t.Errorf("login page: %s", w.Body)
		}
	})
	t.Run("F11 languages", func(t *testing.T) {
		if !slices.Equal(list("ui_locales_supported"), templates.LanguageTags()) {
			t.Errorf("%v, and there are %v", list("ui_locales_supported"), templates.LanguageTags())
		}
		for _, tag := range list("ui_locales_supported") {
			_, w := idp.Browser(t).Follow(asking("ui_locales", tag))
			if w.Element("login-form") == nil || !strings.Contains(w.Body, `<html lang="`+tag+`">`) {
				t.Errorf("login page in %s: %s", tag, w.Body)
			}
		}
	})
}

// C06: a pushed request has each parameter once, like one that comes by itself, in
// the body only.
func TestPushedDuplicates(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	names := []string{
		"client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "response_mode", "code_challenge", "code_challenge_method", "prompt", "max_age",
		"claims", "login_hint", "acr_values", "id_token_hint", "request", "request_uri", "registration", "client_secret", "unknown",
	}
	for _, name := range names {
		t.Run("C06 "+name, func(t *testing.T) {
			form := pushing()
			if !form.Has(name) {
				form.Set(name, "x")
			}
			form.Add(name, form.Get(name))
			wantRefused(t, "twice", idp.Call("/oauth2/par", "app", idptest.Secret, form), http.StatusBadRequest, "invalid_request")
			query := url.Values{name: {form.Get(name)}}
			wantRefused(t, "one in the query", idp.Call("/oauth2/par?"+query.Encode(), "app", idptest.Secret, pushing()), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("C06 beside a request_uri", func(t *testing.T) {
		b := person(t, idp, "ada")
		uri := mustQuery(pushed(t, idp)).Get("request_uri")
		twice := url.Values{"client_id": {"app"}, "request_uri": {uri, uri}, "redirect_uri": {idptest.Callback}}
		wantOutcome(t, b, "/oauth2/authorize?"+twice.Encode(), "error=invalid_request")
		nowhere(t, b, "/oauth2/authorize?"+url.Values{"client_id": {"app", "app"}, "request_uri": {uri}}.Encode(), "invalid_client")
		wantOutcome(t, b, "/oauth2/authorize?"+url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode(), "code") // it was not spent by those
	})
	t.Run("C08 pushed", func(t *testing.T) {
		for name, code := range map[string]string{"request": "request_not_supported", "registration": "registration_not_supported"} {
			wantRefused(t, name, idp.Call("/oauth2/par", "app", idptest.Secret, pushing(name, unsignedRequest)), http.StatusBadRequest, code)
		}
		wantRefused(t, "request_uri", idp.Call("/oauth2/par", "app", idptest.Secret, pushing("request_uri", "https://app.example/r")), http.StatusBadRequest, "invalid_request")
	})
}

// C13: nothing of a request decides what tokens say either.
func TestHostileHostOfTokens(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	code := person(t, idp, "sam").ActAs("usr_ada", asking())
	for _, r := range []*http.Request{idptest.Form("/oauth2/token", idptest.Exchange(code, nil)), idptest.Form("/oauth2/par", pushing())} {
		r.SetBasicAuth("app", idptest.Secret)
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host"} {
			r.Header.Set(name, "evil.example")
		}
		r.Header.Set("Forwarded", "host=evil.example;proto=http")
		r.Header.Set("X-Forwarded-Proto", "http")
		w := idp.Do(r)
		if w.Status >= 400 || strings.Contains(w.Body, "evil") {
			t.Errorf("C13 %s: status %d: %s", r.URL.Path, w.Status, w.Body)
		}
		if r.URL.Path != "/oauth2/token" {
			continue
		}
		tokens := w.JSON(t)
		for _, name := range []string{"id_token", "access_token"} {
			if claims := idptest.Claims(t, tokens[name]); claims["iss"] != idptest.Issuer || name == "access_token" && claims["aud"] != idptest.Issuer {
				t.Errorf("C13 %s: %v", name, claims)
			}
		}
		stop, _ := tokens["impersonation"].(map[string]any)
		if uri, _ := stop["stop_uri"].(string); !strings.HasPrefix(uri, idptest.Issuer+"/") {
			t.Errorf("C13 stop_uri %q", uri)
		}
	}
}

// E10: the log has a line a record, whatever a request holds.
func TestLogIsALineEach(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	idp := idptest.New(t, idptest.Options{Log: &log})
	const hostile = "x\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\r\n\x1b[2J\u2028\u2029\x00\xff"
	b := person(t, idp, "ada")
	want := 0
	for _, path := range []string{
		"/oauth2/authorize", "/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo", "/login", "/consent/x", "/impersonation/stop",
		"/" + url.PathEscape(hostile), "/login/" + url.PathEscape(hostile),
	} {
		q := url.Values{}
		for _, name := range []string{"client_id", "username", "password", "grant_type", "code", "token", "scope", "state", "id", hostile} {
			q.Set(name, hostile)
		}
		for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, path+"?"+q.Encode(), nil), idptest.Form(path, q), httptest.NewRequest(http.MethodDelete, path, nil)} {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header["User-Agent"], r.Header["X-Forwarded-For"], r.Header["Authorization"] = []string{hostile}, []string{hostile}, []string{"Bearer " + hostile}
			if w := b.Do(r); w.Status >= 400 {
				want++
			}
		}
	}
	lines := bytes.Split(bytes.TrimSuffix(log.Bytes(), []byte("\n")), []byte("\n"))
	if len(lines) != want || want < 20 {
		t.Errorf("E10 %d lines, want %d", len(lines), want)
	}
	for _, line := range lines {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil || record["msg"] != "request refused" || bytes.ContainsAny(line, "\r\x00\x1b") {
			t.Errorf("E10 not one record: %q: %v", line, err)
		}
	}
}
