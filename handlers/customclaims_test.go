package handlers_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// Claims of a caller's own are in everything that speaks of the impersonation, numbers
// as they were, also after a refresh, and in nothing else.
func TestCustomClaims(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for _, format := range []string{"jwt", "opaque"} {
			client := "claims-" + format
			addClient(t, idp, client, func(c *storage.Client) { started(c); c.AccessTokenFormat = format })
			actor := "usr_" + agent(t, idp)
			_, link := ticketed(t, idp, aTicket(actor, client, func(q *provider.TicketRequest) {
				q.CustomClaims = map[string]any{"plan": "gold", "https://desk.example/n": json.Number("9007199254740993"), "more": map[string]any{"sub": "theirs"}}
			}))
			b := idp.Browser(t)
			hint := b.Post(link, nil).Location().Query().Get("login_hint")
			_, said := answered(b.Get(asking("client_id", client, "login_hint", hint, "scope", "openid email offline_access api:read")))
			got := idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(said.Get("code"), nil))
			wantStatus(t, "token", got, http.StatusOK)
			has := func(what string, claims map[string]any) {
				t.Helper()
				act, _ := claims["act"].(map[string]any)
				more, _ := claims["more"].(map[string]any)
				if claims["sub"] != "usr_ada" || len(act) != 1 || act["sub"] != actor {
					t.Errorf("%s %s: A08 %v", format, what, claims)
				}
				if claims["plan"] != "gold" || more["sub"] != "theirs" || claims["https://desk.example/n"] != 9007199254740993.0 {
					t.Errorf("%s %s: %v", format, what, claims)
				}
			}
			for _, round := range []string{"first", "refreshed"} {
				tokens := got.JSON(t)
				access := str(t, tokens, "access_token")
				has(round+" ID token", idptest.Claims(t, tokens["id_token"]))
				if format == "jwt" {
					has(round+" access token", idptest.Claims(t, access))
				}
				has(round+" introspection", idp.Call("/oauth2/introspect", client, idptest.Secret, url.Values{"token": {access}}).JSON(t))
				r := request(http.MethodGet, "/oauth2/userinfo", "", "")
				r.Header.Set("Authorization", "Bearer "+access)
				w := idp.Do(r)
				has(round+" userinfo", w.JSON(t))
				if w.JSON(t)["email"] != "ada@example.test" {
					t.Errorf("%s userinfo: %s", round, w.Body)
				}
				got = idp.Call("/oauth2/token", client, idptest.Secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(t, tokens, "refresh_token")}})
				wantStatus(t, "refresh", got, http.StatusOK)
			}
			own := person(t, idp, "linus")
			claims := idptest.Claims(t, idp.Call("/oauth2/token", client, idptest.Secret, idptest.Exchange(own.Code(asking("client_id", client)), nil)).JSON(t)["id_token"])
			if claims["plan"] != nil || claims["sub"] != "usr_linus" {
				t.Errorf("somebody else's: %v", claims)
			}
		}
	})
}
