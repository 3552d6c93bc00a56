package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
)

func TestLogin(t *testing.T) {
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := idp.Browser(t)
		b.SignIn("ada")
		code := b.Code(idptest.Request(func(q url.Values) { q.Set("scope", "openid email offline_access") }))
		tokens := idp.Tokens(t, code)
		id := idptest.Claims(t, tokens["id_token"])
		if id["sub"] != "usr_ada" || id["nonce"] != "a nonce" || id["act"] != nil {
			t.Errorf("ID token: %v", id)
		}
		w := idp.Call("/oauth2/token", "app", idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}})
		if w.Status != http.StatusOK {
			t.Fatalf("refresh: %d %s", w.Status, w.Body)
		}
		w = idp.Call("/oauth2/introspect", "app", idptest.Secret, url.Values{"token": {tokens["access_token"].(string)}})
		if w.JSON(t)["active"] != true {
			t.Errorf("introspection: %s", w.Body)
		}
	})
}

func TestImpersonatedLogin(t *testing.T) {
	idptest.Each(t, func(t *testing.T, idp *idptest.IDP) {
		b := idp.Browser(t)
		b.SignIn("sam")
		tokens := idp.Tokens(t, b.ActAs("usr_ada", idptest.Request(nil)))
		t.Log(tokens)
		for _, name := range []string{"id_token", "access_token"} {
			claims := idptest.Claims(t, tokens[name])
			act, _ := claims["act"].(map[string]any)
			if claims["sub"] != "usr_ada" || act["sub"] != "usr_sam" || !strings.HasPrefix(claims["sid"].(string), "imp_") {
				t.Errorf("%s: %v", name, claims)
			}
		}
	})
}
