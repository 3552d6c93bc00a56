package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// suiteCommands runs the command lines of docs/conformance.md on the demo, as a shell
// reads them, and returns the clients that they print, with their secrets.
func suiteCommands(t *testing.T, d *demo) map[string]map[string]any {
	t.Helper()
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	// Each word on a line of its own, an empty line after each command.
	shell := exec.CommandContext(t.Context(), "sh", "-euc", "understudy() { printf '%s\\n' \"$@\" ''; }\n"+string(script[1]))
	lines, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]map[string]any{}
	for command := range strings.SplitSeq(strings.TrimSpace(string(lines)), "\n\n") {
		var out bytes.Buffer
		root := newRoot()
		root.SetArgs(append(strings.Split(command, "\n"), "--config", d.configuration, "--json"))
		root.SetOut(&out)
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var c map[string]any
		if err := json.Unmarshal(out.Bytes(), &c); err != nil {
			t.Fatalf("%s: %v in %s", command, err, out.String())
		}
		id := c["client_id"].(string)
		if was := clients[id]; was != nil && c["client_secret"] == nil {
			c["client_secret"] = was["client_secret"]
		}
		clients[id] = c
	}
	return clients
}

// Whoever follows docs/conformance.md gets clients that work, and finds every
// standard claim of everybody in the demo, of the right type.
func TestDemoClaims(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	clients := suiteCommands(t, d)
	for id, method := range map[string]string{"suite": "client_secret_basic", "suite-2": "client_secret_basic", "suite-post": "client_secret_post"} {
		c := clients[id]
		if c == nil || c["token_endpoint_auth_method"] != method || c["require_pkce"] != false || c["client_secret"] == nil || len(c["response_types"].([]any)) != 6 {
			t.Fatalf("%s: %v", id, c)
		}
	}
	for email, id := range d.people {
		t.Run(email, func(t *testing.T) {
			claims := claimsAtSuite(t, d, clients["suite-post"], email)
			want(t, "sub", claims["sub"], id)
			want(t, "email", claims["email"], email)
			for _, name := range []string{
				"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
				"birthdate", "zoneinfo", "locale", "email", "phone_number",
			} {
				if text, _ := claims[name].(string); text == "" {
					t.Errorf("%s is %v", name, claims[name])
				}
			}
			for _, name := range []string{"email_verified", "phone_number_verified"} {
				want(t, name, claims[name], true)
			}
			if at, _ := claims["updated_at"].(float64); at <= 0 {
				t.Errorf("updated_at is %v", claims["updated_at"])
			}
			address, _ := claims["address"].(map[string]any)
			for _, name := range []string{"formatted", "street_address", "locality", "postal_code", "country"} {
				if text, _ := address[name].(string); text == "" {
					t.Errorf("address: %s is %v", name, address[name])
				}
			}
		})
	}
}

// claimsAtSuite signs somebody in for a client, over HTTP, and returns what userinfo
// tells it.
func claimsAtSuite(t *testing.T, d *demo, client map[string]any, email string) map[string]any {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	callback := client["redirect_uris"].([]any)[0].(string)
	browser := &http.Client{Jar: jar, Timeout: patience, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	arrived := func(response *http.Response, err error) *http.Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	asked := url.Values{
		"client_id": {"suite-post"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email address phone"}, "state": {"s"},
	}
	at := arrived(browser.Get(d.providerURL + "/oauth2/authorize?" + asked.Encode()))
	at = arrived(browser.PostForm(at.Request.URL.String(), url.Values{"username": {email}, "password": {demoPassword}}))
	if strings.HasPrefix(at.Request.URL.Path, "/consent/") {
		at = arrived(browser.PostForm(at.Request.URL.String(), url.Values{"continue_as": {"me"}, "action": {"allow"}}))
	}
	said, err := at.Location()
	if err != nil || said.Query().Get("code") == "" {
		t.Fatalf("status %d at %s: %v", at.StatusCode, at.Request.URL, err)
	}
	decode := func(response *http.Response, err error) map[string]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(response.Body).Decode(&v); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %v, %v", response.StatusCode, v, err)
		}
		return v
	}
	tokens := decode(browser.PostForm(d.providerURL+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {said.Query().Get("code")}, "redirect_uri": {callback},
		"client_id": {"suite-post"}, "client_secret": {client["client_secret"].(string)},
	}))
	return decode(browser.PostForm(d.providerURL+"/oauth2/userinfo", url.Values{"access_token": {tokens["access_token"].(string)}}))
}
