package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/storage"
)

// narrower asks for a token that comes of another, and nothing else.
func narrower(token string, pairs ...string) url.Values {
	form := url.Values{"grant_type": {grantExchange}, "subject_token": {token}, "subject_token_type": {accessType}}
	having(pairs...)(form)
	return form
}

// newNarrower makes a token of somebody who acts as nobody, at a client of their own.
func newNarrower(t testing.TB, idp *idptest.IDP, change func(*storage.Client)) (*trade, string) {
	t.Helper()
	x := newTrade(t, idp, change)
	return x, str(t, x.own, "access_token")
}

// A token that comes of another is of the same grant, and can do no more (RFC 8693,
// SECURITY A25, B15).
func TestTokenExchangeNarrower(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for name, test := range map[string]func(*testing.T, *idptest.IDP){
			"of a user":                testNarrowerOfUser,
			"A05 A08 of who acts":      testNarrowerOfWhoActs,
			"A03 decided about again":  testNarrowerDecided,
			"A13 T15 stop":             testNarrowerStopped,
			"opaque":                   testNarrowerOpaque,
			"revoked with its grant":   testNarrowerRevoked,
			"A09 pairwise":             testNarrowerPairwise,
			"refused":                  testNarrowerRefused,
			"F05 client assertions":    testNarrowerAssertions,
			"for what the first is":    testNarrowerAudience,
			"of one that came of some": testNarrowerOfNarrower,
		} {
			t.Run(name, func(t *testing.T) { test(t, idp) })
		}
	})
}

func testNarrowerOfUser(t *testing.T, idp *idptest.IDP) {
	x, token := newNarrower(t, idp, nil)
	w := x.call(narrower(token, "scope", "openid api:read", "resource", "https://api.example"))
	wantStatus(t, "narrower", w, http.StatusOK)
	answer, first := w.JSON(t), idptest.Claims(t, token)
	for name, want := range map[string]any{
		"token_type": "Bearer", "issued_token_type": accessType, "scope": "api:read openid",
		"refresh_token": nil, "id_token": nil, "impersonation": nil, "impersonator": nil,
	} {
		if answer[name] != want {
			t.Errorf("%s: got %v, want %v", name, answer[name], want)
		}
	}
	claims := idptest.Claims(t, answer["access_token"])
	for _, same := range []string{"iss", "sub", "sid", "gid", "client_id", "auth_time", "acr", "act"} {
		if claims[same] != first[same] {
			t.Errorf("%s: got %v, want %v", same, claims[same], first[same])
		}
	}
	if claims["aud"] != "https://api.example" || claims["scope"] != "api:read openid" || claims["jti"] == first["jti"] || claims["exp"].(float64) > first["exp"].(float64) {
		t.Errorf("claims: %v, of %v", claims, first)
	}
	if got := x.introspect(t, str(t, answer, "access_token")); got["active"] != true || got["scope"] != "api:read openid" {
		t.Errorf("introspection: %v", got)
	}
	if got := running(t, idp, x.client); got != 0 {
		t.Errorf("%d impersonations run", got)
	}
	wantStatus(t, "the first", userinfo(idp, token), http.StatusOK)
}

// Whoever acts keeps doing so: act stays, with the impersonation and its end.
func testNarrowerOfWhoActs(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.set("scope", "openid email api:read", "duration", "5")
	tokens := x.exchanged(t)
	token := str(t, tokens, "access_token")
	w := x.call(narrower(token, "scope", "openid"))
	wantStatus(t, "narrower", w, http.StatusOK)
	answer := w.JSON(t)
	claims, first := idptest.Claims(t, answer["access_token"]), idptest.Claims(t, token)
	x.wantActing(t, "access token", claims)
	if claims["sid"] != x.id || claims["acr"] != first["acr"] || claims["scope"] != "openid" || claims["exp"].(float64) > first["exp"].(float64) {
		t.Errorf("claims: %v, of %v", claims, first)
	}
	x.wantActing(t, "introspection", x.introspect(t, str(t, answer, "access_token")))
	x.wantActing(t, "userinfo", userinfo(idp, str(t, answer, "access_token")).JSON(t))
	told, _ := answer["impersonation"].(map[string]any)
	if by, _ := answer["impersonator"].(map[string]any); told["id"] != x.id || by["reason"] != "Cannot see invoice 4711" {
		t.Errorf("the response says %v", answer)
	}
	found := x.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued, storage.EventTokenIssued)
	if last := found[3]; last.Data["grant_type"] != grantExchange || last.ActorID != x.actorID() || last.SubjectID != x.subjectID() {
		t.Errorf("on the record: %+v", last)
	}
	wantRefused(t, "a wider one", x.call(narrower(str(t, answer, "access_token"), "scope", "openid email")), http.StatusBadRequest, "invalid_scope")
}

// What the rules say now counts, not what they said at the start.
func testNarrowerDecided(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	token := str(t, x.exchanged(t), "access_token")
	idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
		return tx.GrantRole(ctx, x.subjectID(), "admin", time.Now())
	})
	wantRefused(t, "narrower", x.call(narrower(token)), http.StatusBadRequest, "invalid_request")
	if i := x.row(t); i.EndReason != storage.EndPermissionLost {
		t.Errorf("ended: %q", i.EndReason)
	}
}

func testNarrowerStopped(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	token := str(t, x.exchanged(t), "access_token")
	w := x.call(narrower(token))
	wantStatus(t, "narrower", w, http.StatusOK)
	stop(t, &x.act, x.browser)
	wantRefused(t, "userinfo", userinfo(idp, str(t, w.JSON(t), "access_token")), http.StatusUnauthorized, "invalid_token")
	wantRefused(t, "after it", x.call(narrower(token)), http.StatusBadRequest, "invalid_request")

	// Whoever gets one while it stops has nothing afterwards.
	x = newTrade(t, idp, nil)
	token = str(t, x.exchanged(t), "access_token")
	var got [10]*idptest.Response
	parallel(len(got), func(n int) *idptest.Response {
		form := narrower(token)
		if n == 5 {
			form = x.back(t)
		}
		got[n] = x.call(form)
		return got[n]
	})
	wantStatus(t, "the way back", got[5], http.StatusOK)
	for n, w := range got {
		if n != 5 && w.Status == http.StatusOK {
			wantRefused(t, "userinfo", userinfo(idp, str(t, w.JSON(t), "access_token")), http.StatusUnauthorized, "invalid_token")
		}
	}
}

func testNarrowerOpaque(t *testing.T, idp *idptest.IDP) {
	x, token := newNarrower(t, idp, func(c *storage.Client) { c.AccessTokenFormat = "opaque" })
	w := x.call(narrower(token, "scope", "openid"))
	wantStatus(t, "narrower", w, http.StatusOK)
	got, first := x.introspect(t, str(t, w.JSON(t), "access_token")), x.introspect(t, token)
	if got["active"] != true || got["sub"] != x.actorID() || got["scope"] != "openid" || got["exp"].(float64) > first["exp"].(float64) {
		t.Errorf("introspection: %v, of %v", got, first)
	}
}

// Revoked alone it takes nothing along; it dies with its grant.
func testNarrowerRevoked(t *testing.T, idp *idptest.IDP) {
	x, token := newNarrower(t, idp, nil)
	revoke := func(token string) {
		wantStatus(t, "revoke", idp.Call("/oauth2/revoke", x.client, idptest.Secret, url.Values{"token": {token}}), http.StatusOK)
	}
	one, two := str(t, x.call(narrower(token)).JSON(t), "access_token"), str(t, x.call(narrower(token)).JSON(t), "access_token")
	revoke(one)
	wantRefused(t, "the revoked", userinfo(idp, one), http.StatusUnauthorized, "invalid_token")
	wantStatus(t, "the other", userinfo(idp, two), http.StatusOK)
	wantStatus(t, "the first", userinfo(idp, token), http.StatusOK)
	revoke(str(t, x.own, "refresh_token"))
	wantRefused(t, "with its grant", userinfo(idp, two), http.StatusUnauthorized, "invalid_token")
}

func testNarrowerPairwise(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, func(c *storage.Client) { c.SubjectType = "pairwise" })
	token := str(t, x.exchanged(t), "access_token")
	claims, first := idptest.Claims(t, x.call(narrower(token)).JSON(t)["access_token"]), idptest.Claims(t, token)
	if act, was := claims["act"].(map[string]any), first["act"].(map[string]any); claims["sub"] != first["sub"] || act["sub"] != was["sub"] {
		t.Errorf("claims: %v, of %v", claims, first)
	}
}

func testNarrowerAudience(t *testing.T, idp *idptest.IDP) {
	x, _ := newNarrower(t, idp, nil)
	token := str(t, x.signsIn(t, x.browser, "resource", "https://api.example"), "access_token")
	if aud := idptest.Claims(t, x.call(narrower(token)).JSON(t)["access_token"])["aud"]; aud != "https://api.example" {
		t.Errorf("aud: %v", aud)
	}
	idp.Change(t, x.client, func(c *storage.Client) { c.Audience = nil })
	wantRefused(t, "what is no longer the client's", x.call(narrower(token)), http.StatusBadRequest, "invalid_target")
}

func testNarrowerOfNarrower(t *testing.T, idp *idptest.IDP) {
	x, token := newNarrower(t, idp, nil)
	first := idptest.Claims(t, token)
	for range 3 {
		token = str(t, x.call(narrower(token)).JSON(t), "access_token")
	}
	if claims := idptest.Claims(t, token); claims["exp"].(float64) > first["exp"].(float64) || claims["gid"] != first["gid"] {
		t.Errorf("claims: %v, of %v", claims, first)
	}
}

func testNarrowerAssertions(t *testing.T, idp *idptest.IDP) {
	key := idptest.NewKey(t, "k", "ES256")
	x, token := newNarrower(t, idp, nil)
	idp.Change(t, x.client, func(c *storage.Client) {
		c.TokenEndpointAuthMethod, c.SecretHash, c.JWKS = "private_key_jwt", nil, idptest.KeySet(key)
	})
	form := narrower(token)
	key.Assert(t, x.client, form)
	wantStatus(t, "once", idp.Do(idptest.Form("/oauth2/token", form)), http.StatusOK)
	wantRefused(t, "twice", idp.Do(idptest.Form("/oauth2/token", form)), http.StatusUnauthorized, "invalid_client")
}

func testNarrowerRefused(t *testing.T, idp *idptest.IDP) {
	for _, c := range []struct {
		name string
		form func(t *testing.T, x *trade, token string) url.Values
		code string
	}{
		{"an ID token of it", func(_ *testing.T, _ *trade, token string) url.Values {
			return narrower(token, "requested_token_type", idType)
		}, "invalid_request"},
		{"a refresh token of it", func(_ *testing.T, _ *trade, token string) url.Values {
			return narrower(token, "requested_token_type", refreshType)
		}, "invalid_request"},
		{"the refresh token", func(t *testing.T, x *trade, _ string) url.Values {
			return narrower(str(t, x.own, "refresh_token"))
		}, "invalid_request"},
		{"the ID token", func(t *testing.T, x *trade, _ string) url.Values { return narrower(str(t, x.own, "id_token")) }, "invalid_request"},
		{"a code", func(_ *testing.T, x *trade, _ string) url.Values { return narrower(x.browser.Code(x.request())) }, "invalid_request"},
		{"a start whose actor_token was lost", func(_ *testing.T, _ *trade, token string) url.Values {
			return narrower(token, "reason", "Cannot see invoice 4711")
		}, "invalid_request"},
		{"a start of which the access is left", func(_ *testing.T, _ *trade, token string) url.Values {
			return narrower(token, "access", "full")
		}, "invalid_request"},
		{"a token of another client", func(t *testing.T, x *trade, _ string) url.Values {
			return narrower(str(t, loggedIn(t, idp, x.actor), "access_token"))
		}, "invalid_request"},
		{"a token of another client that is for this one", func(t *testing.T, x *trade, _ string) url.Values {
			addClient(t, idp, "for-"+x.client, func(c *storage.Client) { c.Audience = storage.List{x.client} })
			code := x.browser.Code(asking("client_id", "for-"+x.client, "resource", x.client))
			return narrower(str(t, idp.Call("/oauth2/token", "for-"+x.client, idptest.Secret, idptest.Exchange(code, nil)).JSON(t), "access_token"))
		}, "invalid_request"},
		{"the client's own token", func(t *testing.T, x *trade, _ string) url.Values {
			return narrower(str(t, x.call(url.Values{"grant_type": {"client_credentials"}}).JSON(t), "access_token"))
		}, "invalid_request"},
		{"more scope", func(_ *testing.T, x *trade, _ string) url.Values {
			return narrower(str(t, x.signsIn(t, x.browser, "scope", "openid"), "access_token"), "scope", "openid email")
		}, "invalid_scope"},
		{"a scope that the client lost", func(t *testing.T, x *trade, token string) url.Values {
			idp.Change(t, x.client, func(c *storage.Client) { c.Scope = "openid" })
			return narrower(token, "scope", "openid email")
		}, "invalid_scope"},
		{"an API of others", func(_ *testing.T, _ *trade, token string) url.Values {
			return narrower(token, "audience", "https://evil.example")
		}, "invalid_target"},
		{"the client itself", func(_ *testing.T, x *trade, token string) url.Values { return narrower(token, "audience", x.client) }, "invalid_target"},
		{"a token that was revoked", func(_ *testing.T, x *trade, token string) url.Values {
			idp.Call("/oauth2/revoke", x.client, idptest.Secret, url.Values{"token": {token}})
			return narrower(token)
		}, "invalid_request"},
		{"D07 somebody who is disabled", func(t *testing.T, x *trade, token string) url.Values {
			check(t, x.directory().Disable(t.Context(), x.actorID(), byTest, time.Now()))
			return narrower(token)
		}, "invalid_request"},
		{"two of it", func(_ *testing.T, _ *trade, token string) url.Values {
			form := narrower(token)
			form.Add("subject_token", token)
			return form
		}, "invalid_request"},
		{"a client that may not exchange", func(t *testing.T, x *trade, token string) url.Values {
			idp.Change(t, x.client, func(c *storage.Client) { c.GrantTypes = storage.List{"authorization_code", "refresh_token"} })
			return narrower(token)
		}, "unauthorized_client"},
		{"A07 an impersonation at a client that no longer allows it", func(t *testing.T, x *trade, _ string) url.Values {
			token := str(t, x.exchanged(t), "access_token")
			idp.Change(t, x.client, func(c *storage.Client) { c.AllowImpersonation = false })
			return narrower(token)
		}, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, token := newNarrower(t, idp, func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "client_credentials") })
			wantRefused(t, "refused", x.call(c.form(t, x, token)), http.StatusBadRequest, c.code)
		})
	}
}
