package handlers_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// relyingParty is an application made of libraries that we did not write, and a
// person's browser.
type relyingParty struct {
	t        *testing.T
	ctx      context.Context
	issuer   string
	provider *oidc.Provider
	config   oauth2.Config
	browser  http.Client
}

// newRelyingParty serves idp on a real socket and returns an application of it.
func newRelyingParty(t *testing.T, dsn string) *relyingParty {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	idp := idptest.New(t, idptest.Options{DSN: dsn, Issuer: issuer, Provider: provider.Config{Impersonation: idptest.Limits()}})
	idp.Change(t, "app", func(c *storage.Client) { c.IDTokenSignedResponseAlg, c.ImpersonationRefresh = "RS256", true })
	server.Config.Handler = idp.Handler
	server.Start()
	t.Cleanup(server.Close)
	discovered, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &relyingParty{
		t: t, ctx: t.Context(), issuer: issuer, provider: discovered,
		config: oauth2.Config{
			ClientID: "app", ClientSecret: idptest.Secret, Endpoint: discovered.Endpoint(), RedirectURL: idptest.Callback,
			Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
		},
	}
}

// visitor opens a fresh browser.
func (rp *relyingParty) visitor() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		rp.t.Fatal(err)
	}
	rp.browser = http.Client{Jar: jar, Timeout: 2 * time.Minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), rp.issuer) {
			return http.ErrUseLastResponse // it is the application's turn
		}
		return nil
	}}
}

func (rp *relyingParty) read(response *http.Response, err error) *idptest.Response {
	rp.t.Helper()
	if err != nil {
		rp.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		rp.t.Fatal(err)
	}
	return &idptest.Response{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// submit fills in the form of a page and sends it.
func (rp *relyingParty) submit(w *idptest.Response, values url.Values) *idptest.Response {
	rp.t.Helper()
	action, fields := formOf(w)
	for name, v := range values {
		fields[name] = v
	}
	return rp.read(rp.browser.PostForm(rp.issuer+action, fields))
}

// login runs a whole login as somebody; decide answers the consent page.
func (rp *relyingParty) login(name string, decide url.Values, options ...oauth2.AuthCodeOption) (*oauth2.Token, *oidc.IDToken) {
	rp.t.Helper()
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	options = append(options, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	w := rp.read(rp.browser.Get(rp.config.AuthCodeURL(state, options...)))
	if w.Element("login-form") != nil {
		w = rp.submit(w, url.Values{"username": {name + "@example.test"}, "password": {idptest.Password}})
	}
	if w.Element("consent-form") != nil {
		w = rp.submit(w, decide)
	}
	said := w.Location().Query()
	if said.Get("state") != state || said.Get("iss") != rp.issuer || said.Get("code") == "" {
		rp.t.Fatalf("%s: status %d, location %s: %.300s", name, w.Status, w.Location(), w.Body)
	}
	token, err := rp.config.Exchange(rp.ctx, said.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		rp.t.Fatal(err)
	}
	id := rp.verify(token)
	if id.Nonce != nonce {
		rp.t.Errorf("nonce %q", id.Nonce)
	}
	return token, id
}

func (rp *relyingParty) verify(token *oauth2.Token) *oidc.IDToken {
	rp.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: "app"}).Verify(rp.ctx, raw)
	if err == nil {
		err = id.VerifyAccessToken(token.AccessToken)
	}
	if err != nil {
		rp.t.Fatal(err)
	}
	return id
}

// refresh uses the refresh token through oauth2's own source.
func (rp *relyingParty) refresh(token *oauth2.Token) (*oauth2.Token, error) {
	return rp.config.TokenSource(rp.ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

func (rp *relyingParty) subject(token *oauth2.Token) (string, error) {
	info, err := rp.provider.UserInfo(rp.ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return "", err
	}
	return info.Subject + " " + info.Email, nil
}

// go-oidc and x/oauth2 against a real socket, on both databases.
func TestStandardClient(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{"sqlite": "", "postgres": idptest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			rp := newRelyingParty(t, dsn)
			rp.visitor()
			t.Run("login, refresh, userinfo, logout", func(t *testing.T) {
				token, id := rp.login("ada", nil)
				if id.Subject != "usr_ada" || id.Issuer != rp.issuer || token.Type() != "Bearer" || !token.Expiry.After(time.Now()) {
					t.Errorf("ID token %+v, token type %s, expiry %v", id, token.Type(), token.Expiry)
				}
				if who, err := rp.subject(token); err != nil || who != "usr_ada ada@example.test" {
					t.Errorf("userinfo: %s, %v", who, err)
				}
				renewed, err := rp.refresh(token)
				if err != nil {
					t.Fatal(err)
				}
				if again := rp.verify(renewed); again.Subject != id.Subject || renewed.RefreshToken == token.RefreshToken {
					t.Errorf("refreshed: %+v", again)
				}
				var claims struct {
					EndSession string `json:"end_session_endpoint"`
				}
				if err := rp.provider.Claims(&claims); err != nil {
					t.Fatal(err)
				}
				raw, _ := token.Extra("id_token").(string)
				out := url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {"https://app.example/"}, "state": {"bye"}}
				w := rp.read(rp.browser.Get(claims.EndSession + "?" + out.Encode()))
				if w.Header.Get("Location") != "https://app.example/?state=bye" {
					t.Errorf("logout: status %d, location %s", w.Status, w.Location())
				}
				w = rp.read(rp.browser.Get(rp.config.AuthCodeURL("s", oauth2.SetAuthURLParam("prompt", "none"),
					oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))))
				if w.Location().Query().Get("error") != "login_required" {
					t.Errorf("after logout: %s", w.Location())
				}
			})
			t.Run("impersonated", func(t *testing.T) {
				rp.visitor()
				token, id := rp.login("sam", idptest.Wish("usr_ada", nil))
				var claims struct {
					SID string `json:"sid"`
					Act struct {
						Subject string `json:"sub"`
					} `json:"act"`
				}
				if err := id.Claims(&claims); err != nil || id.Subject != "usr_ada" || claims.Act.Subject != "usr_sam" {
					t.Errorf("%s acts as %s, %v", claims.Act.Subject, id.Subject, err)
				}
				if who, err := rp.subject(token); err != nil || who != "usr_ada ada@example.test" {
					t.Errorf("userinfo: %s, %v", who, err)
				}
				renewed, err := rp.refresh(token)
				if err != nil {
					t.Fatal(err)
				}
				claims.Act.Subject = ""
				if err := rp.verify(renewed).Claims(&claims); err != nil || claims.Act.Subject != "usr_sam" {
					t.Errorf("refreshed: act %q, %v", claims.Act.Subject, err)
				}
				w := rp.read(rp.browser.Get(rp.issuer + "/impersonation/stop?id=" + url.QueryEscape(claims.SID)))
				if w = rp.submit(w, nil); w.Status != http.StatusOK {
					t.Errorf("stop: %d", w.Status)
				}
				if _, err := rp.subject(renewed); err == nil {
					t.Error("userinfo still answers")
				}
				_, err = rp.refresh(renewed)
				if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "invalid_grant" {
					t.Errorf("refresh: %v", err)
				}
			})
		})
	}
}
