package handlers_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// offline asks for a refresh token.
var offline = []string{"scope", "openid email offline_access"}

// spa is the request of Public.
var spa = []string{"client_id", "public", "redirect_uri", "https://spa.example/cb", "scope", "openid email offline_access"}

// publicTokens are the tokens of Public, whose access token is opaque.
func publicTokens(t testing.TB, idp *idptest.IDP, b *idptest.Browser) map[string]any {
	t.Helper()
	w := idp.Call("/oauth2/token", "", "", idptest.Exchange(b.Code(asking(spa...)), having(spa...)))
	wantStatus(t, "exchange", w, http.StatusOK)
	return w.JSON(t)
}

func TestCodes(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "ada")
		addClient(t, idp, "other", nil)
		addClient(t, idp, "lax", func(c *storage.Client) { c.TokenEndpointAuthMethod, c.SecretHash = "none", nil })
		valid := func(t *testing.T, code string) map[string]any {
			t.Helper()
			w := redeem(idp, code)
			wantStatus(t, "the right one", w, http.StatusOK)
			return w.JSON(t)
		}
		t.Run("B01", func(t *testing.T) {
			code := b.Code(asking())
			for name, w := range map[string]*idptest.Response{
				"confidential": idp.Call("/oauth2/token", "other", idptest.Secret, idptest.Exchange(code, nil)),
				"public":       idp.Call("/oauth2/token", "", "", idptest.Exchange(code, having("client_id", "lax"))),
			} {
				wantRefused(t, name, w, http.StatusBadRequest, "invalid_grant")
			}
			wantRefused(t, "without authentication", idp.Call("/oauth2/token", "", "", idptest.Exchange(code, having("client_id", "app"))), http.StatusUnauthorized, "invalid_client")
			valid(t, code)
		})
		t.Run("B02", func(t *testing.T) {
			code := b.Code(asking(offline...))
			got := parallel(100, func(int) *idptest.Response { return redeem(idp, code) })
			if got["200"] != 1 || got[refusedGrant] != 99 {
				t.Errorf("got %v", got)
			}
		})
		t.Run("B02 among wrong ones", func(t *testing.T) {
			code := b.Code(asking(offline...))
			var once sync.Mutex
			var tokens map[string]any
			got := parallel(50, func(i int) *idptest.Response {
				switch {
				case i == 25:
					w := redeem(idp, code)
					once.Lock()
					defer once.Unlock()
					tokens = w.JSON(t)
					return w
				case i%2 == 0:
					return redeem(idp, code, "code_verifier", strings.Repeat("w", 43))
				}
				return idp.Call("/oauth2/token", "other", idptest.Secret, idptest.Exchange(code, nil))
			})
			if got["200"] != 1 || got[refusedGrant] != 49 {
				t.Fatalf("got %v", got)
			}
			wantActive(t, idp, "what the right one got", str(t, tokens, "access_token"), true)
		})
		t.Run("B03", func(t *testing.T) {
			code := b.Code(asking(offline...))
			tokens := valid(t, code)
			access, again := str(t, tokens, "access_token"), str(t, tokens, "refresh_token")
			harmless := map[string]*idptest.Response{
				"wrong client":       idp.Call("/oauth2/token", "other", idptest.Secret, idptest.Exchange(code, nil)),
				"wrong verifier":     redeem(idp, code, "code_verifier", strings.Repeat("w", 43)),
				"no verifier":        redeem(idp, code, "code_verifier", ""),
				"wrong redirect_uri": redeem(idp, code, "redirect_uri", "https://app.example/"),
				"no redirect_uri":    redeem(idp, code, "redirect_uri", ""),
			}
			for name, w := range harmless {
				wantRefused(t, name, w, http.StatusBadRequest, "invalid_grant")
			}
			wantActive(t, idp, "after wrong uses", access, true)
			wantActive(t, idp, "after wrong uses", again, true)
			wantRefused(t, "second valid use", redeem(idp, code), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "after the second use", access, false)
			wantActive(t, idp, "after the second use", again, false)
			wantRefused(t, "refresh", refresh(idp, again), http.StatusBadRequest, "invalid_grant")
			wantRefused(t, "userinfo", userinfo(idp, access), http.StatusUnauthorized, "invalid_token")
		})
		t.Run("B05", func(t *testing.T) {
			for name, verifier := range map[string]string{
				"missing": "", "wrong": strings.Repeat("w", 43), "42": idptest.Verifier[:42], "129": strings.Repeat("v", 129), "128": strings.Repeat("v", 128),
				"longer": idptest.Verifier + "A", "the challenge": idptest.Challenge, "padded": idptest.Verifier + "=", "strange": strings.Repeat("v", 42) + " ",
			} {
				code := b.Code(asking())
				wantRefused(t, name, redeem(idp, code, "code_verifier", verifier), http.StatusBadRequest, "invalid_grant")
				wantRefused(t, "without after "+name, redeem(idp, code, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")
				valid(t, code)
			}
		})
		t.Run("B06", func(t *testing.T) {
			code := b.Code(asking("code_challenge", "", "code_challenge_method", ""))
			wantRefused(t, "verifier without challenge", redeem(idp, code), http.StatusBadRequest, "invalid_grant")
			wantStatus(t, "none at all", redeem(idp, code, "code_verifier", ""), http.StatusOK)
		})
		t.Run("B07", func(t *testing.T) {
			code := b.Code(asking())
			for _, uri := range []string{"", "https://app.example/", idptest.Callback + "/", idptest.Callback + "?", "https://APP.example/callback"} {
				wantRefused(t, uri, redeem(idp, code, "redirect_uri", uri), http.StatusBadRequest, "invalid_grant")
			}
			valid(t, code)
			code = b.Code(asking("redirect_uri", "", "scope", "api:read"))
			wantStatus(t, "not sent, not sent", redeem(idp, code, "redirect_uri", ""), http.StatusOK)
		})
		t.Run("B13", func(t *testing.T) {
			code := b.Code(asking())
			for name, changed := range mutations(code) {
				wantStatus(t, name, redeem(idp, changed), http.StatusBadRequest)
			}
			valid(t, code)
		})
		t.Run("D07 disabled in between", func(t *testing.T) {
			g := person(t, idp, "grace")
			code := g.Code(asking())
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.DisableUser(ctx, "usr_grace", storage.Cause{}, time.Now())
			})
			wantRefused(t, "exchange", redeem(idp, code), http.StatusBadRequest, "invalid_grant")
			wantOutcome(t, g, asking("prompt", "none"), "error=login_required")
		})
		t.Run("G01 a second use is on the record", func(t *testing.T) {
			events, err := idp.Store.PendingEvents(t.Context(), 1000)
			if err != nil || !slices.ContainsFunc(events, func(e storage.Event) bool { return e.Type == storage.EventGrantRevoked && e.SubjectID == "usr_ada" }) {
				t.Errorf("%v, %d events", err, len(events))
			}
		})
	})
}

// mutations are tokens that are nearly one (SECURITY B13).
func mutations(token string) map[string]string {
	swap := func(i int, b byte) string { return token[:i] + string(b) + token[i+1:] }
	last := token[len(token)-1]
	all := map[string]string{
		"truncated": token[:len(token)-1], "halved": token[:len(token)/2], "without its first byte": token[1:], "upper case": strings.ToUpper(token),
		"lower case": strings.ToLower(token), "padded": token + "=", "padded twice": token + "==", "one byte more": token + "A", "a blank after": token + " ",
		"a blank before": " " + token, "a newline after": token + "\n", "a newline inside": token[:9] + "\n" + token[9:], "CR inside": token[:len(token)-3] + "\r" + token[len(token)-3:],
		"NUL after": token + "\x00", "another prefix": "us_" + token[3:], "a code's prefix": "uc" + token[2:] + "x", "refresh prefix": "ur_" + token[3:] + "x",
		"no prefix": token[3:], "twice": token + token, "empty": "", "Bearer": "Bearer " + token, "a dot after": token + ".", "tab": token + "\t", "zero width": token + "\u200b",
	}
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		if b != last {
			all[fmt.Sprintf("last byte %c", b)] = swap(len(token)-1, b)
		}
	}
	return all
}

// T27: nothing near a token is one.
func TestMutatedTokens(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	jwt, opaque := idp.Tokens(t, b.Code(asking(offline...))), publicTokens(t, idp, b)
	addClient(t, idp, idptest.Issuer, nil) // the audience itself
	seen := func(token string) bool {
		w := idp.Call("/oauth2/introspect", idptest.Issuer, idptest.Secret, url.Values{"token": {token}})
		return w.Status == http.StatusOK && w.JSON(t)["active"] == true
	}
	for kind, token := range map[string]string{"JWT": str(t, jwt, "access_token"), "opaque": str(t, opaque, "access_token")} {
		t.Run("B13 "+kind, func(t *testing.T) {
			if !seen(token) {
				t.Error("the token itself is not active")
			}
			changed := mutations(token)
			for name, token := range changed {
				if seen(token) {
					t.Errorf("%s: active", name)
				}
				if w := userinfo(idp, token); w.Status < 400 || w.Status > 401 {
					t.Errorf("%s: userinfo answers %d", name, w.Status)
				}
			}
		})
	}
	t.Run("B13 refresh token", func(t *testing.T) {
		token := str(t, jwt, "refresh_token")
		for name, changed := range mutations(token) {
			if w := refresh(idp, changed); w.Status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", name, w.Status, w.Body)
			}
		}
		wantStatus(t, "the token itself", refresh(idp, token), http.StatusOK)
	})
	t.Run("A24", func(t *testing.T) {
		code := b.Code(asking(offline...))
		tokens := idp.Tokens(t, b.Code(asking(offline...)))
		for name, token := range map[string]string{
			"ID token": str(t, tokens, "id_token"), "refresh token": str(t, tokens, "refresh_token"), "code": code, "session": b.Cookies["__Host-understudy"],
		} {
			wantRefused(t, name+" at userinfo", userinfo(idp, token), http.StatusUnauthorized, "invalid_token")
			if name != "refresh token" {
				wantActive(t, idp, name, token, false)
				wantRefused(t, name+" as refresh token", refresh(idp, token), http.StatusBadRequest, "invalid_grant")
			}
			if name != "code" {
				wantRefused(t, name+" as code", redeem(idp, token), http.StatusBadRequest, "invalid_grant")
			}
		}
		wantRefused(t, "access token as refresh token", refresh(idp, str(t, tokens, "access_token")), http.StatusBadRequest, "invalid_grant")
		wantRefused(t, "no refresh token", idp.Call("/oauth2/token", "app", idptest.Secret, refreshing("")), http.StatusBadRequest, "invalid_request")
	})
	t.Run("B13 length", func(t *testing.T) {
		for name, token := range map[string]string{
			"code": b.Code(asking()), "refresh token": str(t, jwt, "refresh_token"), "opaque": str(t, opaque, "access_token"), "session": b.Cookies["__Host-understudy"],
		} {
			if raw, err := base64.RawURLEncoding.DecodeString(token[3:]); err != nil || len(raw)*8 < 256 {
				t.Errorf("%s: %d bits, %v", name, len(raw)*8, err)
			}
		}
	})
}

// Expiry needs a clock that can be moved.
func TestTokenLifetimes(t *testing.T) {
	t.Parallel()
	bubble := func(name string, c provider.Config, test func(t *testing.T, idp *idptest.IDP)) {
		t.Run(name, func(t *testing.T) { clocked(t, idptest.Options{Provider: c, Handlers: longSessions}, test) })
	}
	bubble("B04 whatever is configured", provider.Config{AuthorizationCodeLifetime: time.Hour}, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "ada")
		early, late := b.Code(asking()), b.Code(asking())
		time.Sleep(59 * time.Second)
		wantStatus(t, "after 59 s", redeem(idp, early), http.StatusOK)
		time.Sleep(time.Second)
		wantRefused(t, "after 60 s", redeem(idp, late), http.StatusBadRequest, "invalid_grant")
	})
	bubble("B03", provider.Config{}, func(t *testing.T, idp *idptest.IDP) {
		for _, wait := range []time.Duration{0, 30 * time.Second, 10 * time.Minute} { // 10 minutes: the code has expired
			code := person(t, idp, "ada").Code(asking())
			access := str(t, idp.Tokens(t, code), "access_token")
			time.Sleep(wait)
			wantStatus(t, "before", userinfo(idp, access), http.StatusOK)
			wantRefused(t, "second use", redeem(idp, code), http.StatusBadRequest, "invalid_grant")
			wantRefused(t, "userinfo after "+wait.String(), userinfo(idp, access), http.StatusUnauthorized, "invalid_token")
		}
	})
	bubble("B08 leeway", provider.Config{RefreshReuseLeeway: 10 * time.Second}, func(t *testing.T, idp *idptest.IDP) {
		first := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token")
		second := str(t, refresh(idp, first).JSON(t), "refresh_token")
		time.Sleep(9 * time.Second)
		if again := str(t, refresh(idp, first).JSON(t), "refresh_token"); again != second {
			t.Errorf("within the leeway: got %s, want the same successor %s", again, second)
		}
		wantActive(t, idp, "the successor", second, true)
		time.Sleep(2 * time.Second)
		wantRefused(t, "after the leeway", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
		wantActive(t, idp, "the successor", second, false)
		wantRefused(t, "the successor", refresh(idp, second), http.StatusBadRequest, "invalid_grant")
	})
	bubble("fosite 33", provider.Config{RefreshTokenIdle: 20 * 24 * time.Hour}, func(t *testing.T, idp *idptest.IDP) {
		login := loggedIn(t, idp, "ada", offline...)
		idle, token := str(t, loggedIn(t, idp, "ada", offline...), "refresh_token"), str(t, login, "refresh_token")
		time.Sleep(19 * 24 * time.Hour)
		token = str(t, refresh(idp, token).JSON(t), "refresh_token")
		time.Sleep(24*time.Hour + time.Second)
		wantRefused(t, "idle for 20 days", refresh(idp, idle), http.StatusBadRequest, "invalid_grant")
		time.Sleep(10*24*time.Hour - time.Minute)
		last := refresh(idp, token).JSON(t)
		if in := last["expires_in"].(float64); in <= 0 || in > 60 {
			t.Errorf("a minute before the end: expires_in %v", in)
		}
		time.Sleep(2 * time.Minute)
		wantRefused(t, "after 30 days", refresh(idp, str(t, last, "refresh_token")), http.StatusBadRequest, "invalid_grant")
		wantActive(t, idp, "after 30 days", str(t, last, "access_token"), false)
	})
	bubble("a refreshed ID token", provider.Config{}, func(t *testing.T, idp *idptest.IDP) {
		login := loggedIn(t, idp, "ada", offline...)
		time.Sleep(5 * time.Second)
		renewed := refresh(idp, str(t, login, "refresh_token")).JSON(t)
		was, is := idptest.Claims(t, login["id_token"]), idptest.Claims(t, renewed["id_token"])
		for _, name := range []string{"iss", "sub", "aud", "auth_time", "azp", "sid"} {
			if !reflect.DeepEqual(was[name], is[name]) {
				t.Errorf("%s: %v, then %v", name, was[name], is[name])
			}
		}
		if is["iat"].(float64) <= was["iat"].(float64) || is["exp"].(float64) <= was["exp"].(float64) {
			t.Errorf("iat %v, then %v", was["iat"], is["iat"])
		}
		if a, b := idptest.Claims(t, login["access_token"]), idptest.Claims(t, renewed["access_token"]); b["iat"].(float64) <= a["iat"].(float64) || a["jti"] == b["jti"] {
			t.Errorf("fosite 9: access token %v, then %v", a, b)
		}
		wantActive(t, idp, "the old access token", str(t, login, "access_token"), true)
		time.Sleep(15*time.Minute - 4*time.Second) // expiry is in whole seconds
		wantActive(t, idp, "the old access token after 15 minutes", str(t, login, "access_token"), false)
		wantRefused(t, "userinfo", userinfo(idp, str(t, login, "access_token")), http.StatusUnauthorized, "invalid_token")
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := person(t, idp, "ada")
		addClient(t, idp, "other", nil)
		login := func() map[string]any { return idp.Tokens(t, b.Code(asking(offline...))) }
		t.Run("B08", func(t *testing.T) {
			tokens := login()
			got := parallel(100, func(int) *idptest.Response { return refresh(idp, str(t, tokens, "refresh_token")) })
			if got["200"] != 1 || got[refusedGrant] != 99 {
				t.Errorf("got %v", got)
			}
		})
		t.Run("B08 reuse", func(t *testing.T) {
			first := str(t, login(), "refresh_token")
			w := refresh(idp, first).JSON(t)
			wantRefused(t, "reuse", refresh(idp, first), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "the successor", str(t, w, "refresh_token"), false)
			wantActive(t, idp, "the access token", str(t, w, "access_token"), false)
		})
		t.Run("B09 two rotations in one moment", func(t *testing.T) {
			token := str(t, login(), "refresh_token")
			for range 5 {
				w := refresh(idp, token)
				wantStatus(t, "refresh", w, http.StatusOK)
				token = str(t, w.JSON(t), "refresh_token")
			}
		})
		t.Run("B11", func(t *testing.T) {
			token := str(t, login(), "refresh_token")
			for name, w := range map[string]*idptest.Response{
				"nobody":     idp.Call("/oauth2/token", "", "", refreshing(token)),
				"by id only": idp.Call("/oauth2/token", "", "", refreshing(token, "client_id", "app")),
				"wrong":      idp.Call("/oauth2/token", "app", "wrong", refreshing(token)),
			} {
				wantRefused(t, name, w, http.StatusUnauthorized, "invalid_client")
			}
			wantRefused(t, "another client", idp.Call("/oauth2/token", "other", idptest.Secret, refreshing(token)), http.StatusBadRequest, "invalid_grant")
			w := refresh(idp, token)
			wantStatus(t, "its own", w, http.StatusOK)
			wantRefused(t, "fosite 15: spent, by another client", idp.Call("/oauth2/token", "other", idptest.Secret, refreshing(token)), http.StatusBadRequest, "invalid_grant")
			wantRefused(t, "fosite 15: spent, with garbage", refresh(idp, "garbage."+token), http.StatusBadRequest, "invalid_grant")
			wantActive(t, idp, "the successor", str(t, w.JSON(t), "refresh_token"), true)
		})
		t.Run("B12", func(t *testing.T) {
			token := str(t, login(), "refresh_token")
			for _, wider := range []string{"openid profile", "openid email offline_access api:read", "admin", "OPENID", "openid\temail"} {
				wantRefused(t, wider, refresh(idp, token, "scope", wider), http.StatusBadRequest, "invalid_scope")
			}
			narrow := refresh(idp, token, "scope", "email")
			wantStatus(t, "narrower", narrow, http.StatusOK)
			answer := narrow.JSON(t)
			if answer["scope"] != "email" || idptest.Claims(t, answer["access_token"])["scope"] != "email" || answer["id_token"] != nil {
				t.Errorf("narrower: %s", narrow.Body)
			}
			back := refresh(idp, str(t, answer, "refresh_token")).JSON(t)
			if back["scope"] != "openid email offline_access" || back["id_token"] == nil {
				t.Errorf("the refresh token's scope changed: %v", back)
			}
		})
		t.Run("fosite 35", func(t *testing.T) {
			for _, token := range []string{"garbage", "ur_", "ur_garbage", "ory_rt_x.y", strings.Repeat("x", 8000), "äöü"} {
				wantRefused(t, token, refresh(idp, token), http.StatusBadRequest, "invalid_grant")
			}
		})
		t.Run("no refresh token without asking", func(t *testing.T) {
			if tokens := idp.Tokens(t, b.Code(asking())); tokens["refresh_token"] != nil {
				t.Error("a refresh token")
			}
			addClient(t, idp, "short", func(c *storage.Client) { c.GrantTypes = storage.List{"authorization_code"} })
			code := b.Code(asking(append(offline, "client_id", "short")...))
			if w := idp.Call("/oauth2/token", "short", idptest.Secret, idptest.Exchange(code, nil)); w.Status != http.StatusOK || w.JSON(t)["refresh_token"] != nil {
				t.Errorf("a client without the grant type: %d %s", w.Status, w.Body)
			}
			wantRefused(t, "grant type", idp.Call("/oauth2/token", "short", idptest.Secret, refreshing("ur_x")), http.StatusBadRequest, "unauthorized_client")
		})
	})
}

// B10: a refresh asks again about everything that may have changed.
func TestRefreshRechecks(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for i, c := range []struct {
		name   string
		change func(*storage.Client)
		status int
		code   string // empty: none
	}{
		{"nothing", func(*storage.Client) {}, http.StatusOK, ""},
		{"still a member", func(c *storage.Client) { c.Organizations = storage.List{"org_initech", "org_globex"} }, http.StatusOK, ""},
		{"no longer a member", func(c *storage.Client) { c.Organizations = storage.List{"org_initech"} }, http.StatusBadRequest, "invalid_grant"},
		{"no consent", func(c *storage.Client) { c.FirstParty = false }, http.StatusBadRequest, "invalid_grant"},
		{"client disabled", func(c *storage.Client) { c.Status = storage.ClientDisabled }, http.StatusUnauthorized, "invalid_client"},
		{"scope taken away", func(c *storage.Client) { c.Scope = "openid offline_access" }, http.StatusBadRequest, "invalid_grant"},
		{"grant type taken away", func(c *storage.Client) { c.GrantTypes = storage.List{"authorization_code"} }, http.StatusBadRequest, "unauthorized_client"},
	} {
		t.Run("B10 "+c.name, func(t *testing.T) {
			id := fmt.Sprint("client", i)
			addClient(t, idp, id, nil)
			code := person(t, idp, "ada").Code(asking(append(offline, "client_id", id)...))
			tokens := idp.Call("/oauth2/token", id, idptest.Secret, idptest.Exchange(code, nil)).JSON(t)
			idp.Change(t, id, c.change)
			w := idp.Call("/oauth2/token", id, idptest.Secret, refreshing(str(t, tokens, "refresh_token")))
			if c.code == "" {
				wantStatus(t, "refresh", w, c.status)
				return
			}
			wantRefused(t, "refresh", w, c.status, c.code)
		})
	}
	t.Run("B10 consent given", func(t *testing.T) {
		tokens := publicTokens(t, idp, person(t, idp, "ada"))
		w := idp.Call("/oauth2/token", "", "", refreshing(str(t, tokens, "refresh_token"), "client_id", "public"))
		wantStatus(t, "refresh", w, http.StatusOK)
	})
	t.Run("B10 user disabled", func(t *testing.T) {
		token := str(t, loggedIn(t, idp, "grace", offline...), "refresh_token")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.DisableUser(ctx, "usr_grace", storage.Cause{}, time.Now())
		})
		wantRefused(t, "refresh", refresh(idp, token), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("B10 impersonation", func(t *testing.T) {
		idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh, c.FirstParty = true, false })
		b := person(t, idp, "sam")
		tokens := idp.Tokens(t, b.ActAs("usr_ada", asking(offline...)))
		w := refresh(idp, str(t, tokens, "refresh_token"))
		wantStatus(t, "while it runs", w, http.StatusOK)
		claims := idptest.Claims(t, tokens["id_token"])
		wantStatus(t, "stop", b.Post("/impersonation/stop", url.Values{"id": {str(t, claims, "sid")}}), http.StatusSeeOther)
		wantRefused(t, "stopped", refresh(idp, str(t, w.JSON(t), "refresh_token")), http.StatusBadRequest, "invalid_grant")
	})
}

// B14: whoever reads the database holds nothing that opens a door.
func TestDatabaseDump(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "understudy.db")
	postgres := idptest.Postgres(t)
	for name, db := range map[string]struct {
		dsn  string
		dump func(*testing.T) []byte
	}{
		"sqlite": {"sqlite:" + file, func(t *testing.T) (all []byte) {
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				b, err := os.ReadFile(filepath.Join(dir, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, b...)
			}
			return all
		}},
		"postgres": {postgres, func(t *testing.T) []byte { return dumpPostgres(t, postgres) }},
	} {
		t.Run("B14 "+name, func(t *testing.T) {
			idp := idptest.New(t, idptest.Options{DSN: db.dsn, Provider: provider.Config{RefreshReuseLeeway: time.Hour}})
			addClient(t, idp, "every", func(c *storage.Client) { everyResponseType(c); c.AccessTokenFormat = "opaque" })
			b := idp.Browser(t)
			at, _ := b.Follow(asking())
			secrets := map[string]string{"interaction": strings.TrimPrefix(at, "/login?interaction="), "client secret": idptest.Secret, "password": idptest.Password}
			b.SignIn("ada")
			pending := b.Code(asking())
			secrets["pending code"] = pending
			secrets["spent code"] = b.Code(asking(offline...))
			keep := func(kind string, tokens map[string]any) {
				for _, token := range []string{"access_token", "refresh_token", "id_token"} {
					if tokens[token] != nil {
						secrets[kind+" "+token] = str(t, tokens, token)
					}
				}
			}
			first := idp.Tokens(t, secrets["spent code"])
			keep("own", first)
			keep("refreshed", refresh(idp, str(t, first, "refresh_token")).JSON(t))
			keep("repeated", refresh(idp, str(t, first, "refresh_token")).JSON(t))
			for _, which := range []string{"pending pushed request", "spent pushed request"} {
				request := pushed(t, idp)
				secrets[which] = strings.TrimPrefix(mustQuery(request).Get("request_uri"), "urn:ietf:params:oauth:request_uri:")
				if which == "spent pushed request" {
					b.Code(request)
				}
			}
			for name, values := range frontTokens(t, b) {
				if strings.HasSuffix(name, "_token") || name == "code" {
					secrets["front channel "+name] = values[0]
				}
			}
			keep("public", publicTokens(t, idp, b))
			s := idp.Browser(t)
			s.SignIn("sam")
			idp.Change(t, "app", func(c *storage.Client) { c.ImpersonationRefresh = true })
			keep("impersonated", idp.Tokens(t, s.ActAs("usr_ada", asking(offline...))))
			for who, browser := range map[string]*idptest.Browser{"ada": b, "sam": s} {
				for cookie, value := range browser.Cookies {
					secrets[who+"'s cookie "+cookie] = value
				}
			}
			if len(secrets) < 26 {
				t.Fatalf("only %d secrets", len(secrets))
			}
			all := db.dump(t)
			if !bytes.Contains(all, []byte("ada@example.test")) {
				t.Fatal("the dump has no users")
			}
			for what, secret := range secrets {
				random := secret
				if len(secret) > 3 && secret[2] == '_' {
					random = secret[3:]
				}
				forms := [][]byte{[]byte(random), []byte(hex.EncodeToString([]byte(secret))), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))}
				if raw, err := base64.RawURLEncoding.DecodeString(random); err == nil && len(raw) >= 16 {
					forms = append(forms, raw, []byte(hex.EncodeToString(raw)))
				}
				for _, form := range forms {
					if bytes.Contains(all, form) {
						t.Errorf("%s is in the database", what)
					}
				}
			}
		})
	}
}

// dumpPostgres reads every row of every table as text.
func dumpPostgres(t *testing.T, dsn string) []byte {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all bytes.Buffer
	column := func(query string) (values []string) {
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return values
	}
	for _, table := range column(`SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'`) {
		for _, row := range column(`SELECT t::text FROM ` + table + ` t`) {
			all.WriteString(row + "\n")
		}
	}
	return all.Bytes()
}

// B17: a thousand people at once, and nobody becomes anybody else.
func TestConcurrentLogins(t *testing.T) {
	t.Parallel()
	n := 1000
	if testing.Short() {
		n = 100
	}
	idp := idptest.New(t, idptest.Options{})
	ctx, now := t.Context(), time.Now()
	idp.Write(t, func(_ context.Context, tx *storage.Tx) error {
		for i := range n {
			id := fmt.Sprint("usr_n", i)
			if err := tx.CreateUser(ctx, &storage.User{ID: id, Email: fmt.Sprintf("n%d@example.test", i)}, now); err != nil {
				return err
			}
			later := storage.At(now.Add(time.Hour))
			if err := tx.CreateLoginSession(ctx, &storage.LoginSession{
				IDHash: storage.Hash(fmt.Sprint("session ", i)), SID: fmt.Sprint("sid_n", i), UserID: id, AuthTime: storage.At(now), CreatedAt: storage.At(now),
				LastSeenAt: storage.At(now), IdleExpiresAt: later, ExpiresAt: later,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	addClient(t, idp, "every", everyResponseType)
	for name, login := range map[string]func(*idptest.IDP, int) error{"B17 code": ownLogin, "B17 hybrid": ownHybridLogin} {
		t.Run(name, func(t *testing.T) {
			next := make(chan int, n)
			for i := range n {
				next <- i
			}
			close(next)
			var workers sync.WaitGroup
			for range 32 {
				workers.Go(func() {
					for i := range next {
						if err := login(idp, i); err != nil {
							t.Errorf("login %d: %v", i, err)
						}
					}
				})
			}
			workers.Wait()
		})
	}
}

// ownHybridLogin does it with everything that the authorization endpoint brings back.
func ownHybridLogin(idp *idptest.IDP, i int) error {
	id, nonce, state := fmt.Sprint("usr_n", i), fmt.Sprint("nonce ", i), fmt.Sprint("state ", i)
	mode := []string{"fragment", "form_post"}[i%2]
	r := httptest.NewRequest(http.MethodGet, asking("client_id", "every", "response_type", "code id_token token", "nonce", nonce, "state", state, "response_mode", mode), nil)
	r.Header.Set("Cookie", fmt.Sprintf("__Host-understudy=session %d", i))
	_, said := answered(idp.Do(r))
	w := idp.Call("/oauth2/token", "every", idptest.Secret, idptest.Exchange(said.Get("code"), nil))
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(w.Body), &tokens); err != nil || said.Get("state") != state {
		return fmt.Errorf("token: %d %s, said %v", w.Status, w.Body, said)
	}
	for what, token := range map[string]string{
		"ID token": said.Get("id_token"), "access token": said.Get("access_token"), "second ID token": tokens.ID, "second access token": tokens.Access,
	} {
		var claims struct {
			Subject string `json:"sub"`
			Nonce   string `json:"nonce"`
			SID     string `json:"sid"`
			AtHash  string `json:"at_hash"`
			CHash   string `json:"c_hash"`
		}
		if err := payload(token, &claims); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if claims.Subject != id || claims.SID != fmt.Sprint("sid_n", i) || strings.Contains(what, "ID") && claims.Nonce != nonce ||
			what == "ID token" && (claims.AtHash != halfHash(said.Get("access_token")) || claims.CHash != halfHash(said.Get("code"))) {
			return fmt.Errorf("%s: %+v", what, claims)
		}
	}
	var info struct{ Sub string }
	if w = userinfo(idp, said.Get("access_token")); json.Unmarshal([]byte(w.Body), &info) != nil || info.Sub != id {
		return fmt.Errorf("userinfo: %s", w.Body)
	}
	return nil
}

// ownLogin signs person number i in and checks that all there is says so.
func ownLogin(idp *idptest.IDP, i int) error {
	get := func(request, name, value string) *idptest.Response {
		r := httptest.NewRequest(http.MethodGet, request, nil)
		r.Header.Set(name, value)
		return idp.Do(r)
	}
	nonce, state, id := fmt.Sprint("nonce ", i), fmt.Sprint("state ", i), fmt.Sprint("usr_n", i)
	w := get(asking("nonce", nonce, "state", state), "Cookie", fmt.Sprintf("__Host-understudy=session %d", i))
	q := w.Location().Query()
	if q.Get("state") != state || q.Get("code") == "" {
		return fmt.Errorf("authorize: %d %s", w.Status, w.Location())
	}
	w = redeem(idp, q.Get("code"))
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(w.Body), &tokens); err != nil || w.Status != http.StatusOK {
		return fmt.Errorf("token: %d %s", w.Status, w.Body)
	}
	var claims, access struct {
		Subject string `json:"sub"`
		Nonce   string `json:"nonce"`
		SID     string `json:"sid"`
		AtHash  string `json:"at_hash"`
		Aud     string `json:"aud"`
	}
	if err := payload(tokens.ID, &claims); err != nil {
		return err
	}
	if err := payload(tokens.Access, &access); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(tokens.Access))
	if claims.Subject != id || claims.Nonce != nonce || claims.SID != fmt.Sprint("sid_n", i) || claims.Aud != "app" || access.Subject != id ||
		claims.AtHash != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		return fmt.Errorf("ID token %+v, access token %+v", claims, access)
	}
	w = get("/oauth2/userinfo", "Authorization", "Bearer "+tokens.Access)
	var info struct{ Sub, Email string }
	if err := json.Unmarshal([]byte(w.Body), &info); err != nil || info.Sub != id || info.Email != fmt.Sprintf("n%d@example.test", i) {
		return fmt.Errorf("userinfo: %s", w.Body)
	}
	return nil
}

func payload(token string, into any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%q is no JWT", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// B17, B18, fosite 8, 23: what tokens look like, for each algorithm and format.
func TestTokenShapes(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	for _, alg := range []string{"RS256", "ES256"} {
		idp.Change(t, "app", func(c *storage.Client) { c.IDTokenSignedResponseAlg = alg })
		w := redeem(idp, b.Code(asking(offline...)))
		tokens := w.JSON(t)
		id, access := idptest.Claims(t, tokens["id_token"]), idptest.Claims(t, tokens["access_token"])
		t.Run("B17 "+alg, func(t *testing.T) {
			h := header(t, str(t, tokens, "id_token"))
			if h["alg"] != alg || h["kid"] == "" || h["kid"] == nil {
				t.Errorf("header: %v", h)
			}
			if id["iss"] != idptest.Issuer || id["aud"] != "app" || id["sub"] != "usr_ada" || id["nonce"] != "a nonce" || id["sid"] == nil || id["act"] != nil {
				t.Errorf("claims: %v", id)
			}
			if id["exp"].(float64) <= id["iat"].(float64) || id["auth_time"].(float64) > id["iat"].(float64) {
				t.Errorf("times: %v", id)
			}
			sum := sha256.Sum256([]byte(str(t, tokens, "access_token")))
			if id["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) {
				t.Errorf("at_hash: %v", id["at_hash"])
			}
			for _, name := range []string{"email", "name", "address", "phone_number"} {
				if id[name] != nil {
					t.Errorf("%s belongs to userinfo", name)
				}
			}
		})
		t.Run("B18 "+alg, func(t *testing.T) {
			if h := header(t, str(t, tokens, "access_token")); h["typ"] != "at+jwt" {
				t.Errorf("header: %v", h)
			}
			if access["aud"] == "app" || access["client_id"] != "app" || access["scope"] != "openid email offline_access" || access["jti"] == nil || access["scp"] != nil {
				t.Errorf("claims: %v", access)
			}
			wantRefused(t, "ID token at userinfo", userinfo(idp, str(t, tokens, "id_token")), http.StatusUnauthorized, "invalid_token")
		})
		t.Run("token response "+alg, func(t *testing.T) {
			in, ok := tokens["expires_in"].(float64)
			if tokens["token_type"] != "Bearer" || !ok || in <= 0 || in > 900 || tokens["scope"] != "openid email offline_access" {
				t.Errorf("%s", w.Body)
			}
			if w.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(w.Header.Get("Content-Type"), "application/json") {
				t.Errorf("F07: %v", w.Header)
			}
		})
	}
}

// Every claim of every scope, with the right type, in every way to ask.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	full := &storage.User{
		ID: "usr_full", Email: "full@example.test", EmailVerified: true, Name: "Full Name", GivenName: "Full", FamilyName: "Name", MiddleName: "M.", Nickname: "F",
		PreferredUsername: "full", Profile: "https://x.example/p", Picture: "https://x.example/i", Website: "https://x.example/", Gender: "x", Birthdate: "1990-01-02",
		Zoneinfo: "Europe/Paris", Locale: "fr-FR", PhoneNumber: "+1 555", PhoneNumberVerified: true,
		Address: `{"formatted":"a","street_address":"b","locality":"c","region":"d","postal_code":"e","country":"f"}`,
	}
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateUser(ctx, full, time.Now()) })
	b := person(t, idp, "full")
	want := map[string]map[string]any{
		"openid": {},
		"profile": {
			"name": "Full Name", "given_name": "Full", "family_name": "Name", "middle_name": "M.", "nickname": "F", "preferred_username": "full",
			"profile": "https://x.example/p", "picture": "https://x.example/i", "website": "https://x.example/", "gender": "x", "birthdate": "1990-01-02",
			"zoneinfo": "Europe/Paris", "locale": "fr-FR", "updated_at": 0.0,
		},
		"email": {"email": "full@example.test", "email_verified": true},
		"phone": {"phone_number": "+1 555", "phone_number_verified": true},
		"address": {"address": map[string]any{
			"formatted": "a", "street_address": "b", "locality": "c", "region": "d", "postal_code": "e", "country": "f",
		}},
	}
	for scope, claims := range want {
		t.Run(scope, func(t *testing.T) {
			access := str(t, idp.Tokens(t, b.Code(asking("scope", "openid "+scope))), "access_token")
			asked := func(method, header string, form url.Values) *idptest.Response {
				r := httptest.NewRequest(method, "/oauth2/userinfo", strings.NewReader(form.Encode()))
				if form != nil {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				if header != "" {
					r.Header.Set("Authorization", header)
				}
				return idp.Do(r)
			}
			for name, w := range map[string]*idptest.Response{
				"GET": asked(http.MethodGet, "Bearer "+access, nil), "POST header": asked(http.MethodPost, "Bearer "+access, nil),
				"lower-case scheme": asked(http.MethodGet, "bearer "+access, nil), "POST body": asked(http.MethodPost, "", url.Values{"access_token": {access}}),
			} {
				got := w.JSON(t)
				if at, number := got["updated_at"].(float64); number && at > 0 {
					got["updated_at"] = 0.0
				}
				claims["sub"] = "usr_full"
				if !reflect.DeepEqual(got, claims) || w.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: got %v, want %v", name, got, claims)
				}
			}
			for name, w := range map[string]*idptest.Response{
				"F03 header and body": asked(http.MethodPost, "Bearer "+access, url.Values{"access_token": {access}}),
				"F03 twice in body":   asked(http.MethodPost, "", url.Values{"access_token": {access, access}}),
			} {
				wantRefused(t, name, w, http.StatusBadRequest, "invalid_request")
			}
			two := httptest.NewRequest(http.MethodGet, "/oauth2/userinfo", nil)
			two.Header["Authorization"] = []string{"Bearer " + access, "Bearer " + access}
			for name, w := range map[string]*idptest.Response{
				"F03 query":     idp.Do(httptest.NewRequest(http.MethodGet, "/oauth2/userinfo?access_token="+access, nil)),
				"F03 no token":  asked(http.MethodGet, "", nil),
				"F03 Basic":     asked(http.MethodGet, "Basic "+access, nil),
				"F03 no scheme": asked(http.MethodGet, access, nil),
				"F03 two":       idp.Do(two),
				"F03 GET body":  asked(http.MethodGet, "", url.Values{"access_token": {access}}),
			} {
				wantRefused(t, name, w, http.StatusUnauthorized, "invalid_token")
			}
		})
	}
	t.Run("without openid", func(t *testing.T) {
		access := str(t, idp.Tokens(t, b.Code(asking("scope", "email"))), "access_token")
		wantRefused(t, "userinfo", userinfo(idp, access), http.StatusForbidden, "insufficient_scope")
	})
	t.Run("without a user", func(t *testing.T) {
		w := idp.Call("/oauth2/token", "service", idptest.Secret, url.Values{"grant_type": {"client_credentials"}})
		wantRefused(t, "userinfo", userinfo(idp, str(t, w.JSON(t), "access_token")), http.StatusUnauthorized, "invalid_token")
	})
}

// F01: who learns what of a token.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "other", func(c *storage.Client) { c.Audience = nil })
	addClient(t, idp, "https://api.example", nil) // the audience itself
	addClient(t, idp, "caller", func(c *storage.Client) { c.Audience = storage.List{"https://api.example"} })
	b := person(t, idp, "ada")
	tokens := idp.Tokens(t, b.Code(asking(append(offline, "audience", "https://api.example")...)))
	access, again := str(t, tokens, "access_token"), str(t, tokens, "refresh_token")
	acting := idp.Tokens(t, person(t, idp, "sam").ActAs("usr_ada", asking()))
	ask := func(client, token string) *idptest.Response {
		return idp.Call("/oauth2/introspect", client, idptest.Secret, url.Values{"token": {token}, "token_type_hint": {"whatever"}})
	}
	for _, c := range []struct {
		name, client, token string
		active              bool
	}{
		{"its own", "app", access, true},
		{"its own refresh token", "app", again, true},
		{"the audience's", "https://api.example", access, true},
		{"one that may call the audience too", "caller", access, false},
		{"a refresh token has no audience", "https://api.example", again, false},
		{"a stranger", "other", access, false},
		{"T21 a stranger, impersonated", "other", str(t, acting, "access_token"), false},
		{"the public client's", "app", str(t, publicTokens(t, idp, b), "access_token"), false},
		{"garbage", "app", "garbage", false},
		{"nothing", "app", "", false},
		{"huge", "app", strings.Repeat("x", 8<<10), false},
	} {
		t.Run("F01 "+c.name, func(t *testing.T) {
			w := ask(c.client, c.token)
			wantStatus(t, "introspect", w, http.StatusOK)
			if w.JSON(t)["active"] != c.active || !c.active && w.Body != `{"active":false}` {
				t.Errorf("got %s", w.Body)
			}
		})
	}
	for name, w := range map[string]*idptest.Response{
		"nobody": ask("", access), "wrong secret": idp.Call("/oauth2/introspect", "app", "wrong", url.Values{"token": {access}}),
		"a public client": idp.Call("/oauth2/introspect", "", "", url.Values{"client_id": {"public"}, "token": {access}}),
		"a user's token":  bearerCall(idp, "/oauth2/introspect", access),
	} {
		t.Run("F01 "+name, func(t *testing.T) { wantRefused(t, "introspect", w, http.StatusUnauthorized, "invalid_client") })
	}
	wantRefused(t, "no token", idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"a": {"b"}}), http.StatusBadRequest, "invalid_request")
}

func bearerCall(idp *idptest.IDP, path, token string) *idptest.Response {
	r := idptest.Form(path, url.Values{"token": {token}})
	r.Header.Set("Authorization", "Bearer "+token)
	return idp.Do(r)
}

// F04, F06 and fosite 2, 12, 31, on every endpoint with clients.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "post", func(c *storage.Client) { c.TokenEndpointAuthMethod = "client_secret_post" })
	addClient(t, idp, "odd id+%", nil)
	addClient(t, idp, "nokey", func(c *storage.Client) { c.SecretHash = nil })
	addClient(t, idp, "off", func(c *storage.Client) { c.Status = storage.ClientDisabled })
	for _, endpoint := range []string{"token", "introspect", "revoke", "par"} {
		send := func(change func(*http.Request), pairs ...string) *idptest.Response {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"ur_x"}, "token": {"x"}}
			having(pairs...)(form)
			r := idptest.Form("/oauth2/"+endpoint, form)
			if change != nil {
				change(r)
			}
			return idp.Do(r)
		}
		basic := func(id, secret string) func(*http.Request) {
			return func(r *http.Request) { r.SetBasicAuth(id, secret) }
		}
		raw := func(values ...string) func(*http.Request) {
			return func(r *http.Request) { r.Header["Authorization"] = values }
		}
		good := base64.StdEncoding.EncodeToString([]byte("app:" + idptest.Secret))
		assertion := []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "e30.e30.x"}
		for _, c := range []struct {
			name string
			w    *idptest.Response
			code string
		}{
			{"F04 Basic and body", send(basic("app", idptest.Secret), "client_id", "app", "client_secret", idptest.Secret), "invalid_request"},
			{"F04 Basic and empty secret in body", send(raw("Basic "+good), "client_secret", " "), "invalid_request"},
			{"F04 Basic and assertion", send(basic("app", idptest.Secret), assertion...), "invalid_request"},
			{"F04 body and assertion", send(nil, append(assertion, "client_id", "post", "client_secret", idptest.Secret)...), "invalid_request"},
			{"fosite 2 another client_id in the body", send(basic("app", idptest.Secret), "client_id", "post"), "invalid_request"},
			{"F04 body for a Basic client", send(nil, "client_id", "app", "client_secret", idptest.Secret), "invalid_client"},
			{"F04 Basic for a body client", send(basic("post", idptest.Secret)), "invalid_client"},
			{"F04 none for a Basic client", send(nil, "client_id", "app"), "invalid_client"},
			{"F04 Basic for a public client", send(basic("public", "x")), "invalid_client"},
			{"F04 empty Basic for a public client", send(basic("public", "")), "invalid_client"},
			{"F04 body for a public client", send(nil, "client_id", "public", "client_secret", "x"), "invalid_client"},
			{"fosite 31 assertion", send(nil, assertion...), "invalid_client"},
			{"nothing", send(nil), "invalid_client"},
			{"F06 wrong", send(basic("app", "wrong")), "invalid_client"},
			{"F06 unknown", send(basic("nobody", idptest.Secret)), "invalid_client"},
			{"F06 empty", send(basic("app", "")), "invalid_client"},
			{"F06 empty for who has none", send(basic("nokey", "")), "invalid_client"},
			{"F06 a blank more", send(basic("app", idptest.Secret+"%20")), "invalid_client"},
			{"F06 the hash", send(basic("app", string(storage.Hash(idptest.Secret)))), "invalid_client"},
			{"F06 disabled", send(basic("off", idptest.Secret)), "invalid_client"},
			{"bad base64", send(raw("Basic %%%")), "invalid_client"},
			{"no colon", send(raw("Basic YXBw")), "invalid_client"},
			{"bad escape", send(basic("app", "%zz")), "invalid_client"},
			{"NUL", send(basic("app%00", idptest.Secret)), "invalid_client"},
			{"two headers", send(raw("Basic "+good, "Basic "+good)), "invalid_client"},
			{"Bearer", send(raw("Bearer " + good)), "invalid_client"},
			{"empty header", send(raw("")), "invalid_client"},
		} {
			t.Run(endpoint+" "+c.name, func(t *testing.T) {
				status := http.StatusBadRequest
				if c.code == "invalid_client" {
					status = http.StatusUnauthorized
				}
				wantRefused(t, "authentication", c.w, status, c.code)
			})
		}
		t.Run(endpoint+" good", func(t *testing.T) {
			for name, w := range map[string]*idptest.Response{
				"Basic": send(basic("app", idptest.Secret)), "Basic and the same client_id": send(basic("app", idptest.Secret), "client_id", "app"),
				"body": send(nil, "client_id", "post", "client_secret", idptest.Secret), "encoded id": send(basic("odd+id%2B%25", idptest.Secret)),
				"lower-case scheme": send(raw("basic " + good)),
			} {
				if w.Status == http.StatusUnauthorized {
					t.Errorf("%s: %s", name, w.Body)
				}
			}
		})
	}
	t.Run("F06 the same words for unknown and wrong", func(t *testing.T) {
		form := url.Values{"token": {"x"}}
		if a, b := idp.Call("/oauth2/revoke", "app", "wrong", form), idp.Call("/oauth2/revoke", "nobody", "wrong", form); a.Body != b.Body || a.Status != b.Status {
			t.Errorf("%s, %s", a.Body, b.Body)
		}
	})
	t.Run("F06 the secret before counts while it is kept", func(t *testing.T) {
		addClient(t, idp, "rotated", func(c *storage.Client) { c.PreviousSecretHash, c.SecretHash = c.SecretHash, storage.Hash("new") })
		for _, secret := range []string{"new", idptest.Secret} {
			wantStatus(t, secret, idp.Call("/oauth2/revoke", "rotated", secret, url.Values{"token": {"x"}}), http.StatusOK)
		}
	})
}

// B16, fosite 11, 36, F07: the token endpoint's own errors.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	code := func() string { return person(t, idp, "ada").Code(asking()) }
	const marker = "zzmarkerzz"
	for _, c := range []struct {
		name string
		form url.Values
		code string
	}{
		{"B16 password", url.Values{"grant_type": {"password"}, "username": {"ada@example.test"}, "password": {idptest.Password}}, "unsupported_grant_type"},
		{"B16 implicit", url.Values{"grant_type": {"implicit"}}, "unsupported_grant_type"},
		{"fosite 11 unknown", url.Values{"grant_type": {marker}}, "unsupported_grant_type"},
		{"A25 T20 token exchange", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"x"}}, "unauthorized_client"},
		{"jwt-bearer", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"e30.e30."}}, "unsupported_grant_type"},
		{"device", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}}, "unsupported_grant_type"},
		{"two grant types", url.Values{"grant_type": {"authorization_code refresh_token"}}, "unsupported_grant_type"},
		{"upper case", url.Values{"grant_type": {"Authorization_Code"}}, "unsupported_grant_type"},
		{"none", url.Values{"code": {"x"}}, "invalid_request"},
		{"empty", url.Values{}, "invalid_request"},
		{"C06 code twice", url.Values{"grant_type": {"authorization_code"}, "code": {"x", "y"}}, "invalid_request"},
		{"C06 grant_type twice", url.Values{"grant_type": {"authorization_code", "authorization_code"}}, "invalid_request"},
		{"C06 redirect_uri twice", idptest.Exchange(code(), func(q url.Values) { q.Add("redirect_uri", idptest.Callback) }), "invalid_request"},
		{"C06 scope twice", url.Values{"grant_type": {"refresh_token"}, "scope": {"a", "b"}}, "invalid_request"},
		{"C06 unknown twice", idptest.Exchange(code(), func(q url.Values) { q["x"] = []string{"1", "2"} }), "invalid_request"},
		{"unknown code", idptest.Exchange("uc_"+marker, nil), "invalid_grant"},
		{"no code", idptest.Exchange("", nil), "invalid_request"},
		{"client_credentials is not allowed", url.Values{"grant_type": {"client_credentials"}}, "unauthorized_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := idp.Call("/oauth2/token", "app", idptest.Secret, c.form)
			wantRefused(t, "token", w, http.StatusBadRequest, c.code)
			for _, leak := range []string{marker, "fosite", "sql", ".go", "goroutine", "storage", "SELECT"} {
				if strings.Contains(w.Body, leak) {
					t.Errorf("F07: %s says %s", w.Body, leak)
				}
			}
		})
	}
	for _, c := range []struct {
		name  string
		pairs []string
		code  string
	}{
		{"good", []string{"scope", "jobs:run", "audience", "https://api.example"}, ""},
		{"no scope", nil, ""},
		{"another's scope", []string{"scope", "api:write"}, "invalid_scope"},
		{"upper-case scope", []string{"scope", "JOBS:RUN"}, "invalid_scope"},
		{"a user's scope", []string{"scope", "openid"}, "invalid_scope"},
		{"another's audience", []string{"audience", "https://other.example"}, "invalid_target"},
	} {
		t.Run("client_credentials "+c.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}}
			having(c.pairs...)(form)
			w := idp.Call("/oauth2/token", "service", idptest.Secret, form)
			if c.code != "" {
				wantRefused(t, "token", w, http.StatusBadRequest, c.code)
				return
			}
			tokens := w.JSON(t)
			claims := idptest.Claims(t, tokens["access_token"])
			if claims["sub"] != "service" || claims["act"] != nil || tokens["refresh_token"] != nil || tokens["id_token"] != nil {
				t.Errorf("%s", w.Body)
			}
			own := idp.Call("/oauth2/introspect", "service", idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}})
			if own.JSON(t)["active"] != true {
				t.Errorf("introspection: %s", own.Body)
			}
			wantStatus(t, "revoke", idp.Call("/oauth2/revoke", "service", idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}}), http.StatusOK)
			own = idp.Call("/oauth2/introspect", "service", idptest.Secret, url.Values{"token": {str(t, tokens, "access_token")}})
			if own.JSON(t)["active"] != false {
				t.Errorf("after revocation: %s", own.Body)
			}
		})
	}
}

// B19 and fosite 10.
func TestRevocation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "understudy.db")
	idp := idptest.New(t, idptest.Options{DSN: "sqlite:" + file})
	addClient(t, idp, "other", nil)
	b := person(t, idp, "ada")
	revoke := func(client, token string) *idptest.Response {
		return idp.Call("/oauth2/revoke", client, idptest.Secret, url.Values{"token": {token}, "token_type_hint": {"whatever"}})
	}
	t.Run("B19 access token", func(t *testing.T) {
		tokens, beside := idp.Tokens(t, b.Code(asking(offline...))), idp.Tokens(t, b.Code(asking()))
		access := str(t, tokens, "access_token")
		wantStatus(t, "another client", revoke("other", access), http.StatusOK)
		wantActive(t, idp, "after another client's try", access, true)
		wantStatus(t, "its own", revoke("app", access), http.StatusOK)
		wantActive(t, idp, "revoked", access, false)
		wantRefused(t, "userinfo", userinfo(idp, access), http.StatusUnauthorized, "invalid_token")
		wantActive(t, idp, "its refresh token", str(t, tokens, "refresh_token"), true)
		wantActive(t, idp, "another grant's", str(t, beside, "access_token"), true)
		wantStatus(t, "twice", revoke("app", access), http.StatusOK)
	})
	t.Run("B19 refresh token", func(t *testing.T) {
		tokens := idp.Tokens(t, b.Code(asking(offline...)))
		again := str(t, tokens, "refresh_token")
		wantStatus(t, "another client", revoke("other", again), http.StatusOK)
		wantActive(t, idp, "after another client's try", again, true)
		wantStatus(t, "its own", revoke("app", again), http.StatusOK)
		wantActive(t, idp, "revoked", again, false)
		wantActive(t, idp, "its access token", str(t, tokens, "access_token"), false)
		wantRefused(t, "refresh", refresh(idp, again), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("B19 opaque", func(t *testing.T) {
		access := str(t, publicTokens(t, idp, b), "access_token")
		wantStatus(t, "before", userinfo(idp, access), http.StatusOK)
		wantStatus(t, "revoke", idp.Call("/oauth2/revoke", "", "", url.Values{"client_id": {"public"}, "token": {access}}), http.StatusOK)
		wantStatus(t, "after", userinfo(idp, access), http.StatusUnauthorized)
	})
	t.Run("B19 no oracle", func(t *testing.T) {
		mine := revoke("app", str(t, idp.Tokens(t, b.Code(asking())), "access_token"))
		for _, token := range []string{"garbage", "ur_garbage", "ua_garbage", "", "e30.e30.e30"} {
			if w := revoke("app", token); w.Status != mine.Status || w.Body != mine.Body {
				t.Errorf("%q: %d %s", token, w.Status, w.Body)
			}
		}
		wantRefused(t, "no token", idp.Call("/oauth2/revoke", "app", idptest.Secret, url.Values{"a": {"b"}}), http.StatusBadRequest, "invalid_request")
	})
	t.Run("B19 the database is locked", func(t *testing.T) {
		tokens, code := idp.Tokens(t, b.Code(asking(offline...))), b.Code(asking())
		access, again := str(t, tokens, "access_token"), str(t, tokens, "refresh_token")
		release := lockSQLite(t, file)
		got := parallel(4, func(i int) *idptest.Response {
			calls := []func() *idptest.Response{
				func() *idptest.Response { return revoke("app", access) }, func() *idptest.Response { return revoke("app", again) },
				func() *idptest.Response { return redeem(idp, code) }, func() *idptest.Response { return refresh(idp, again) },
			}
			w := calls[i]()
			if w.Header.Get("Retry-After") == "" {
				t.Errorf("call %d: no Retry-After: %d %s", i, w.Status, w.Body)
			}
			return w
		})
		release()
		if got[`503 {"error":"temporarily_un`] != 4 {
			t.Errorf("got %v", got)
		}
		wantActive(t, idp, "access token", access, true)
		wantStatus(t, "exchange afterwards", redeem(idp, code), http.StatusOK)
		wantStatus(t, "refresh afterwards", refresh(idp, again), http.StatusOK)
	})
}

// lockSQLite holds the write lock from outside until it is released.
func lockSQLite(t *testing.T, file string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err == nil {
		_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		if err != nil {
			t.Error(err)
		}
		conn.Close()
		db.Close()
	}
}

// fosite 38: what fails at the end leaves nothing behind.
func TestFailedExchangeLeavesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "understudy.db")
	idp := idptest.New(t, idptest.Options{DSN: "sqlite:" + file})
	code := person(t, idp, "ada").Code(asking(offline...))
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{`CREATE TRIGGER broken BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'broken'); END`, `DROP TRIGGER broken`} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		w := redeem(idp, code)
		if strings.HasPrefix(statement, "CREATE") {
			wantRefused(t, "broken", w, http.StatusInternalServerError, "server_error")
		} else {
			wantStatus(t, "afterwards", w, http.StatusOK)
		}
	}
}

// H04, fosite 18, 22: JWTs that somebody else made, or that are for something else.
func TestForgedJWTs(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	b := person(t, idp, "ada")
	good := idp.Tokens(t, b.Code(asking()))
	set := idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)).JSON(t)["keys"].([]any)
	kids, keys := map[string]string{}, map[string]map[string]any{}
	for _, k := range set {
		k := k.(map[string]any)
		kids[k["alg"].(string)], keys[k["alg"].(string)] = k["kid"].(string), k
	}
	stranger := otherRSA(t)
	for kind, use := range map[string]struct {
		token string
		typ   string
		fails func(t *testing.T, name, token string)
	}{
		"id_token_hint": {str(t, good, "id_token"), "JWT", func(t *testing.T, name, token string) {
			t.Helper()
			wantOutcome(t, b, asking("prompt", "none", "id_token_hint", token), "error=invalid_request")
			w := b.Get("/oauth2/logout?" + url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {"https://app.example/"}}.Encode())
			if w.Status != http.StatusOK || w.Element("logout-form") == nil {
				t.Errorf("%s at logout: status %d, redirect to %q", name, w.Status, w.Header.Get("Location"))
			}
		}},
		"access token": {str(t, good, "access_token"), "at+jwt", func(t *testing.T, name, token string) {
			t.Helper()
			if w := userinfo(idp, token); w.Status != http.StatusUnauthorized {
				t.Errorf("%s at userinfo: status %d", name, w.Status)
			}
			if !strings.Contains(token, "\x00") && len(token) <= 8<<10 {
				wantActive(t, idp, name, token, false)
			}
		}},
	} {
		parts := strings.Split(use.token, ".")
		encode := func(v any) string {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return base64.RawURLEncoding.EncodeToString(b)
		}
		with := func(header map[string]any, sign func(input string) []byte) string {
			h := map[string]any{"typ": use.typ, "kid": kids["ES256"], "alg": "ES256"}
			for name, v := range header {
				h[name] = v
			}
			input := encode(h) + "." + parts[1]
			return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
		}
		mac := func(key []byte) func(string) []byte {
			return func(input string) []byte {
				m := hmac.New(sha256.New, key)
				m.Write([]byte(input))
				return m.Sum(nil)
			}
		}
		byStranger := func(input string) []byte {
			sum := sha256.Sum256([]byte(input))
			s, err := rsa.SignPKCS1v15(rand.Reader, stranger, crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		same := func(string) []byte { b, _ := base64.RawURLEncoding.DecodeString(parts[2]); return b }
		nothing := func(string) []byte { return nil }
		jwk := encode(keys["ES256"])
		forged := map[string]string{
			"alg none":                 with(map[string]any{"alg": "none"}, nothing),
			"alg None":                 with(map[string]any{"alg": "None"}, nothing),
			"alg none, old signature":  with(map[string]any{"alg": "none"}, same),
			"no alg":                   with(map[string]any{"alg": nil}, same),
			"HS256 with the x":         with(map[string]any{"alg": "HS256"}, mac([]byte(keys["ES256"]["x"].(string)))),
			"HS256 with the JWK":       with(map[string]any{"alg": "HS256"}, mac([]byte(jwk))),
			"HS256 with the n":         with(map[string]any{"alg": "HS256", "kid": kids["RS256"]}, mac([]byte(keys["RS256"]["n"].(string)))),
			"HS256 with the secret":    with(map[string]any{"alg": "HS256"}, mac([]byte(idptest.Secret))),
			"HS256 with nothing":       with(map[string]any{"alg": "HS256"}, mac(nil)),
			"a stranger's key":         with(map[string]any{"alg": "RS256", "kid": kids["RS256"]}, byStranger),
			"a stranger's kid":         with(map[string]any{"alg": "RS256", "kid": "stranger"}, byStranger),
			"a stranger's jwk":         with(map[string]any{"alg": "RS256", "jwk": map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(stranger.N.Bytes()), "e": "AQAB"}}, byStranger),
			"jku":                      with(map[string]any{"alg": "RS256", "jku": "https://evil.example/jwks"}, byStranger),
			"x5u":                      with(map[string]any{"alg": "RS256", "x5u": "https://evil.example/x"}, byStranger),
			"kid is a path":            with(map[string]any{"kid": "../../../../dev/null"}, nothing),
			"kid is SQL":               with(map[string]any{"kid": "' OR '1'='1"}, same),
			"kid is empty":             with(map[string]any{"kid": ""}, same),
			"kid is a number":          with(map[string]any{"kid": 1}, same),
			"kid of the other key":     with(map[string]any{"kid": kids["RS256"]}, same),
			"no signature":             with(nil, nothing),
			"zero signature":           with(nil, func(string) []byte { return make([]byte, 64) }),
			"crit":                     with(map[string]any{"crit": []string{"exp"}}, same),
			"b64 false":                with(map[string]any{"b64": false, "crit": []string{"b64"}}, same),
			"PS256":                    with(map[string]any{"alg": "PS256", "kid": kids["RS256"]}, byStranger),
			"other typ":                with(map[string]any{"typ": "logout+jwt"}, same),
			"payload changed":          parts[0] + "." + encode(map[string]any{"iss": idptest.Issuer, "sub": "usr_root", "aud": "app"}) + "." + parts[2],
			"payload empty":            parts[0] + ".." + parts[2],
			"nested":                   with(map[string]any{"cty": "JWT"}, func(string) []byte { return []byte(use.token) }),
			"JWE":                      encode(map[string]any{"alg": "dir", "enc": "A256GCM"}) + "....",
			"JWE with PBES2":           encode(map[string]any{"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2147483647, "p2s": "x"}) + ".AA.AA.AA.AA",
			"JWE with zip":             encode(map[string]any{"alg": "RSA-OAEP", "enc": "A128GCM", "zip": "DEF"}) + ".AA.AA.AA.AA",
			"JSON serialization":       `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
			"general serialization":    `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
			"dots":                     "..",
			"many dots":                strings.Repeat(".", 4000),
			"huge":                     parts[0] + "." + strings.Repeat("A", 8<<10-len(parts[0])-len(parts[2])-2) + "." + parts[2],
			"deep":                     base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000))) + ".e30.e30",
			"deep payload":             parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 5000))) + "." + parts[2],
			"padding":                  use.token + "==",
			"standard alphabet":        strings.NewReplacer("-", "+", "_", "/").Replace(use.token) + "+",
			"a newline in the payload": parts[0] + "." + parts[1][:5] + "\n" + parts[1][5:] + "." + parts[2],
			"a blank before":           " " + use.token,
			"a newline after":          use.token + "\n",
		}
		other := map[string]string{"id_token_hint": "access_token", "access token": "id_token"}[kind]
		forged["the other kind"] = str(t, good, other)
		t.Run("H04 "+kind, func(t *testing.T) {
			for name, token := range forged {
				use.fails(t, name, token)
			}
		})
	}
	wantOutcome(t, b, asking("prompt", "none", "id_token_hint", str(t, good, "id_token")), "code")
	wantActive(t, idp, "the good one", str(t, good, "access_token"), true)
}
