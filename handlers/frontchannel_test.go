package handlers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// frontTokens runs a request of a client for every response type and returns what
// the answer says.
func frontTokens(t *testing.T, b *idptest.Browser, pairs ...string) url.Values {
	t.Helper()
	_, said := answered(b.Get(asking(append([]string{"client_id", "every", "response_type", "code id_token token"}, pairs...)...)))
	if !said.Has("code") || !said.Has("access_token") || !said.Has("id_token") {
		t.Fatalf("said %v", said)
	}
	return said
}

// What holds of codes and tokens holds of those that the authorization endpoint
// itself brings back.
func TestFrontChannelTokens(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "every", everyResponseType)
		addClient(t, idp, "other", everyResponseType)
		b := person(t, idp, "ada")
		exchange := func(client, code string, pairs ...string) *idptest.Response {
			return idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(code, having(pairs...)))
		}
		live := func(what, token string, want int) {
			t.Helper()
			wantStatus(t, what, userinfo(idp, token), want)
		}
		t.Run("B01 B05 B07", func(t *testing.T) {
			said := frontTokens(t, b)
			for name, w := range map[string]*idptest.Response{
				"another client": exchange("other", said.Get("code")), "no verifier": exchange("every", said.Get("code"), "code_verifier", ""),
				"another redirect_uri": exchange("every", said.Get("code"), "redirect_uri", "https://app.example/"),
			} {
				wantRefused(t, name, w, http.StatusBadRequest, "invalid_grant")
			}
			live("after wrong uses", said.Get("access_token"), http.StatusOK)
			wantStatus(t, "the right one", exchange("every", said.Get("code")), http.StatusOK)
		})
		t.Run("B02", func(t *testing.T) {
			said := frontTokens(t, b)
			got := parallel(40, func(int) *idptest.Response { return exchange("every", said.Get("code")) })
			if got["200"] != 1 || got[refusedGrant] != 39 {
				t.Errorf("got %v", got)
			}
			live("the token beside a code that came twice", said.Get("access_token"), http.StatusUnauthorized)
		})
		t.Run("B03", func(t *testing.T) {
			said := frontTokens(t, b)
			first := exchange("every", said.Get("code")).JSON(t)
			live("beside", said.Get("access_token"), http.StatusOK)
			wantRefused(t, "a second time", exchange("every", said.Get("code")), http.StatusBadRequest, "invalid_grant")
			live("beside", said.Get("access_token"), http.StatusUnauthorized)
			live("from the code", str(t, first, "access_token"), http.StatusUnauthorized)
		})
		t.Run("B06", func(t *testing.T) {
			for _, more := range [][]string{{"code_challenge_method", "plain"}, {"code_challenge_method", ""}, {"code_challenge", "short"}} {
				for _, responseType := range []string{"code id_token", "code token", "code id_token token"} {
					wantOutcome(t, b, asking(append(more, "client_id", "every", "response_type", responseType)...), "error=invalid_request")
				}
			}
			said := frontTokens(t, b, "code_challenge", "", "code_challenge_method", "")
			wantRefused(t, "a verifier without a challenge", exchange("every", said.Get("code")), http.StatusBadRequest, "invalid_grant")
		})
		t.Run("B13", func(t *testing.T) {
			said := frontTokens(t, b)
			for name, changed := range mutations(said.Get("access_token")) {
				if w := userinfo(idp, headerSafe(changed)); headerSafe(changed) != said.Get("access_token") && strings.TrimSpace(changed) != said.Get("access_token") && w.Status == http.StatusOK {
					t.Errorf("%s: status %d", name, w.Status)
				}
			}
			for name, changed := range mutations(said.Get("code")) {
				wantStatus(t, name, exchange("every", changed), http.StatusBadRequest)
			}
		})
		t.Run("B15", func(t *testing.T) {
			const ours, theirs = "https://api.example", "https://evil.example"
			for _, responseType := range everyType {
				for _, parameter := range []string{"resource", "audience"} {
					request := asking("client_id", "every", "response_type", responseType, parameter, theirs)
					wantOutcome(t, b, request, "error=invalid_target")
				}
			}
			said := frontTokens(t, b, "resource", ours)
			if aud := idptest.Claims(t, said.Get("access_token"))["aud"]; aud != ours {
				t.Errorf("aud %v", aud)
			}
			live("a token for somebody else", said.Get("access_token"), http.StatusUnauthorized)
			wantRefused(t, "another at the exchange", exchange("every", said.Get("code"), "resource", theirs), http.StatusBadRequest, "invalid_target")
		})
		t.Run("B18", func(t *testing.T) {
			said := frontTokens(t, b)
			if h := header(t, said.Get("access_token")); h["typ"] != "at+jwt" {
				t.Errorf("header: %v", h)
			}
			if aud := idptest.Claims(t, said.Get("access_token"))["aud"]; aud == "every" {
				t.Errorf("aud %v", aud)
			}
			live("an ID token", said.Get("id_token"), http.StatusUnauthorized)
		})
		t.Run("B19", func(t *testing.T) {
			said := frontTokens(t, b)
			form := url.Values{"token": {said.Get("access_token")}}
			wantStatus(t, "another client", idp.Call("/oauth2/revoke", "other", idptest.Secret, form), http.StatusOK)
			live("afterwards", said.Get("access_token"), http.StatusOK)
			wantStatus(t, "its own", idp.Call("/oauth2/revoke", "every", idptest.Secret, form), http.StatusOK)
			live("afterwards", said.Get("access_token"), http.StatusUnauthorized)
		})
		t.Run("D07", func(t *testing.T) {
			name := unique("user")
			id := enroll(t, idp, name, "")
			said := frontTokens(t, person(t, idp, name))
			check(t, provider.NewDirectory(idp.Store).Disable(t.Context(), id, byTest, time.Now()))
			live("of a disabled user", said.Get("access_token"), http.StatusUnauthorized)
			wantRefused(t, "exchange", exchange("every", said.Get("code")), http.StatusBadRequest, "invalid_grant")
		})
	})
}

// B17: whatever brings an ID token back, it is signed as the client is registered.
func TestFrontChannelAlgorithms(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	for _, alg := range []string{"RS256", "ES256"} {
		addClient(t, idp, alg, func(c *storage.Client) { everyResponseType(c); c.IDTokenSignedResponseAlg = alg })
		for _, responseType := range everyType {
			if !strings.Contains(responseType, "id_token") {
				continue
			}
			t.Run("B17 "+alg+" "+responseType, func(t *testing.T) {
				_, said := answered(b.Get(asking("client_id", alg, "response_type", responseType)))
				claims := idptest.Claims(t, said.Get("id_token"))
				if got := header(t, said.Get("id_token"))["alg"]; got != alg || claims["aud"] != alg || claims["nonce"] != "a nonce" {
					t.Errorf("alg %v, %v", got, claims)
				}
				wantOutcome(t, b, asking("client_id", alg, "prompt", "none", "id_token_hint", said.Get("id_token")), "code")
			})
		}
	}
}

// E04, E08: the page that posts tokens to the application has nothing of anybody
// else's, and posts there only.
func TestFormPostOfTokens(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "every", everyResponseType)
	addClient(t, idp, "elsewhere", func(c *storage.Client) {
		everyResponseType(c)
		c.RedirectURIs = storage.List{"https://elsewhere.example:8443/cb?a=b&c=%22"}
	})
	b := person(t, idp, "ada")
	nonces := map[string]bool{}
	for _, responseType := range everyType {
		for client, uri := range map[string]string{"every": idptest.Callback, "elsewhere": "https://elsewhere.example:8443/cb?a=b&c=%22"} {
			for _, more := range []string{"", "wrong"} {
				t.Run("E04 "+client+" "+responseType+" "+more, func(t *testing.T) {
					w := b.Get(asking("client_id", client, "redirect_uri", uri, "response_type", responseType, "response_mode", "form_post",
						"state", `"><script>alert(1)</script>`, "scope", "openid "+more))
					to, said := answered(w)
					if to != uri || said.Get("state") != `"><script>alert(1)</script>` || said.Get("iss") != idptest.Issuer || (more == "wrong") != said.Has("error") {
						t.Errorf("status %d at %s: %v", w.Status, to, said)
					}
					policy := w.Header.Get("Content-Security-Policy")
					_, nonce, _ := strings.Cut(policy, "'nonce-")
					nonce, _, _ = strings.Cut(nonce, "'")
					if nonces[nonce] || len(nonce) < 22 {
						t.Errorf("nonce %q", nonce)
					}
					nonces[nonce] = true
					u, err := url.Parse(uri)
					check(t, err)
					if !strings.Contains(policy, "; form-action https://"+u.Host+";") || !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
						t.Errorf("policy %s", policy)
					}
					if w.Header.Get("Cache-Control") != "no-store" || w.Header.Get("Referrer-Policy") != "no-referrer" || w.Header.Get("X-Frame-Options") != "DENY" {
						t.Errorf("headers %v", w.Header)
					}
					page, err := html.Parse(strings.NewReader(w.Body))
					check(t, err)
					scripts := 0
					for n := range page.Descendants() {
						if n.Type != html.ElementNode {
							continue
						}
						if n.Data == "script" {
							scripts++
						}
						for _, a := range n.Attr {
							if slices.Contains([]string{"src", "href", "srcset"}, a.Key) && !strings.HasPrefix(a.Val, "#") && !(strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "//")) {
								t.Errorf("E08 %s %s=%q", n.Data, a.Key, a.Val)
							}
							if strings.HasPrefix(a.Key, "on") {
								t.Errorf("%s has %s", n.Data, a.Key)
							}
						}
					}
					if scripts != 1 {
						t.Errorf("%d scripts", scripts)
					}
				})
			}
		}
	}
}

// Answers in the fragment leave the registered URI as it is, too.
func TestFragmentAtRegisteredURIs(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	uris := storage.List{
		"https://app.example/cb?a=b&a=c", "https://app.example/cb?", "https://app.example/%63b", "https://app.example/a%2Fb", "https://app.example",
		"https://app.example/cb?q=%20+x", "https://app.example/~x;y=1!", "https://app.example:443/cb", "https://app.example//cb",
	}
	addClient(t, idp, "many", func(c *storage.Client) { everyResponseType(c); c.RedirectURIs = uris })
	b := person(t, idp, "ada")
	for _, uri := range uris {
		for _, more := range []string{"", "wrong"} {
			t.Run("C01 C05 "+uri+" "+more, func(t *testing.T) {
				w := b.Get(asking("client_id", "many", "redirect_uri", uri, "response_type", "code id_token", "scope", "openid "+more))
				to, fragment, _ := strings.Cut(w.Header.Get("Location"), "#")
				said, err := url.ParseQuery(fragment)
				if to != uri || err != nil || said.Get("iss") != idptest.Issuer || said.Has("id_token") == said.Has("error") {
					t.Errorf("answered at %s: %v, %v", to, said, err)
				}
			})
		}
	}
}

// B13, C09: a pushed request is found by its whole name only.
func TestMutatedPushedRequests(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	const prefix = "urn:ietf:params:oauth:request_uri:"
	request := pushed(t, idp)
	name := mustQuery(request).Get("request_uri")
	use := func(uri string) string {
		at, w := b.Follow("/oauth2/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {uri}}.Encode())
		return outcome(at, w)
	}
	t.Run("B13 request_uri", func(t *testing.T) {
		changed := mutations(strings.TrimPrefix(name, prefix))
		for what, uri := range changed {
			changed[what] = prefix + uri
		}
		for what, uri := range map[string]string{
			"no prefix at all": strings.TrimPrefix(name, prefix), "upper-case prefix": strings.ToUpper(prefix) + strings.TrimPrefix(name, prefix),
			"another prefix": "urn:example:" + strings.TrimPrefix(name, prefix), "prefix twice": prefix + name, "blank before all": " " + name,
		} {
			changed[what] = uri
		}
		for what, uri := range changed {
			if got := use(uri); !strings.HasPrefix(got, "page=") && !strings.HasPrefix(got, "error=") {
				t.Errorf("%s: %s", what, got)
			}
		}
		if got := use(name); got != "code" {
			t.Errorf("the name itself: %s", got)
		}
	})
	t.Run("C09 other tokens as request_uri", func(t *testing.T) {
		tokens := idp.Tokens(t, b.Code(asking(offline...)))
		for _, other := range []string{b.Code(asking()), str(t, tokens, "refresh_token"), str(t, tokens, "access_token"), b.Cookies[sessionCookie]} {
			if got := use(prefix + other); !strings.HasPrefix(got, "page=") {
				t.Errorf("%.10s: %s", other, got)
			}
		}
		name := mustQuery(pushed(t, idp)).Get("request_uri")
		for _, form := range []url.Values{idptest.Exchange(strings.TrimPrefix(name, prefix), nil), idptest.Exchange(name, nil), refreshing(strings.TrimPrefix(name, prefix))} {
			wantRefused(t, "A24 as a code or a refresh token", idp.Call("/oauth2/token", "app", idptest.Secret, form), http.StatusBadRequest, "invalid_grant")
		}
		wantRefused(t, "A24 as an access token", userinfo(idp, name), http.StatusUnauthorized, "invalid_token")
	})
}

// B13: a refresh token that came for the second time is no less exact, and neither
// is its successor.
func TestMutatedSuccessors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Provider: provider.Config{RefreshReuseLeeway: time.Hour}})
	first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
	second := str(t, refresh(idp, first).JSON(t), "refresh_token")
	for which, token := range map[string]string{"B13 spent": first, "B13 successor": second} {
		for what, changed := range mutations(token) {
			if w := refresh(idp, changed); w.Status != http.StatusBadRequest {
				t.Errorf("%s, %s: %d %s", which, what, w.Status, w.Body)
			}
		}
	}
	if got := str(t, refresh(idp, first).JSON(t), "refresh_token"); got != second {
		t.Errorf("a retry got %s, want %s", got, second)
	}
}
