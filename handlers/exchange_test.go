package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
	refreshType   = "urn:ietf:params:oauth:token-type:refresh_token"
	idType        = "urn:ietf:params:oauth:token-type:id_token"
	ticketType    = "urn:understudy:params:oauth:token-type:ticket"
	userIDType    = "urn:understudy:params:oauth:token-type:user-id"
)

// trade is a token exchange that is allowed: usr_ACTOR, who has just signed in to a
// client that may exchange, begins to act as usr_SUBJECT.
type trade struct {
	act
	own  map[string]any // the actor's own tokens at the client
	form url.Values
}

// newTrade makes one, of people and a client that nobody else uses.
func newTrade(t testing.TB, idp *idptest.IDP, change func(*storage.Client)) *trade {
	t.Helper()
	x := &trade{act: act{idp: idp, actor: unique("actor"), subject: unique("subject"), client: unique("client")}}
	enroll(t, idp, x.actor, "support")
	enroll(t, idp, x.subject, "")
	addClient(t, idp, x.client, func(c *storage.Client) {
		c.GrantTypes = append(c.GrantTypes, grantExchange)
		if change != nil {
			change(c)
		}
	})
	x.browser = person(t, idp, x.actor)
	x.own = x.signsIn(t, x.browser)
	x.form = url.Values{
		"grant_type": {grantExchange}, "subject_token": {x.subjectID()}, "subject_token_type": {userIDType},
		"actor_token": {str(t, x.own, "access_token")}, "actor_token_type": {accessType}, "reason": {"Cannot see invoice 4711"},
	}
	return x
}

// signsIn returns what somebody's sign-in brings the client.
func (x *trade) signsIn(t testing.TB, b *idptest.Browser, pairs ...string) map[string]any {
	t.Helper()
	w := x.call(idptest.Exchange(b.Code(x.request(pairs...)), nil))
	if w.Status != http.StatusOK {
		t.Fatalf("sign in: %d %s", w.Status, w.Body)
	}
	return w.JSON(t)
}

// set changes parameters; an empty value takes one out.
func (x *trade) set(pairs ...string) { having(pairs...)(x.form) }

// by makes a token the actor's.
func (x *trade) by(token string) { x.form.Set("actor_token", token) }

// from makes an access token, or what is to pass for one, the subject's.
func (x *trade) from(token string) { x.set("subject_token", token, "subject_token_type", accessType) }

// ticket makes a ticket for the exchange, as the console or the API does, and redeems it.
func (x *trade) ticket(t testing.TB, change func(*storage.Ticket)) *storage.Ticket {
	t.Helper()
	token, now := provider.NewSecret("utl_"), time.Now()
	ticket := &storage.Ticket{
		ID: storage.NewID("tkt"), TokenHash: storage.Hash(token), ActorID: x.actorID(), SubjectID: x.subjectID(), ClientID: x.client,
		Binding: "actor_session", Reason: "Cannot see invoice 4711", TicketRef: "SUP-1", Access: "full", Duration: (10 * time.Minute).Microseconds(),
		CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(2 * time.Minute)), Entry: "api", Delivery: "link",
	}
	if change != nil {
		change(ticket)
	}
	x.idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.CreateTicket(ctx, ticket) })
	x.set("subject_token", token, "subject_token_type", ticketType, "reason", "")
	return ticket
}

// bearer makes a ticket that needs no actor, whom a program vouches for, and redeems it.
func (x *trade) bearer(t testing.TB, change func(*storage.Ticket)) {
	t.Helper()
	caller := unique("caller")
	addClient(t, x.idp, caller, func(c *storage.Client) { c.Scope, c.ReadOnlyScopes = "impersonation:start", nil })
	x.ticket(t, func(k *storage.Ticket) {
		k.Binding, k.CreatedBy = storage.BindingBearer, caller
		if change != nil {
			change(k)
		}
	})
	x.set("actor_token", "", "actor_token_type", "")
}

// exchanged carries the exchange out.
func (x *trade) exchanged(t testing.TB) map[string]any {
	t.Helper()
	w := x.call(x.form)
	if w.Status != http.StatusOK {
		t.Fatalf("exchange: %d %s", w.Status, w.Body)
	}
	x.tokens = w.JSON(t)
	running, _ := x.tokens["impersonation"].(map[string]any)
	x.id = str(t, running, "id")
	return x.tokens
}

// wantDenied checks an error that names a rule.
func wantDenied(t testing.TB, what string, w *idptest.Response, status int, code, denial string) {
	t.Helper()
	answer := w.JSON(t)
	if w.Status != status || answer["error"] != code || answer["denial"] != denial || answer["error_description"] == "" {
		t.Errorf("%s: status %d %s, want %d %s %s", what, w.Status, w.Body, status, code, denial)
	}
	for name := range answer {
		if name != "error" && name != "error_description" && name != "denial" {
			t.Errorf("%s: %s is not a member of an error", what, name)
		}
	}
}

// mistakes are exchanges with one thing wrong each: A25 and T20.
var mistakes = []struct {
	name   string
	break_ func(t *testing.T, x *trade)
	code   string // empty: the exchange is allowed
	denial string // the rule that the client is told of
}{
	{"nothing", func(*testing.T, *trade) {}, "", ""},

	{"no subject_token", func(_ *testing.T, x *trade) { x.set("subject_token", "") }, "invalid_request", ""},
	{"no subject_token_type", func(_ *testing.T, x *trade) { x.set("subject_token_type", "") }, "invalid_request", ""},
	{"subject_token_type of an ID token", func(_ *testing.T, x *trade) { x.set("subject_token_type", idType) }, "invalid_request", ""},
	{"subject_token_type of a refresh token", func(_ *testing.T, x *trade) { x.set("subject_token_type", refreshType) }, "invalid_request", ""},
	{"subject_token_type of any JWT", func(_ *testing.T, x *trade) { x.set("subject_token_type", "urn:ietf:params:oauth:token-type:jwt") }, "invalid_request", ""},
	{"subject_token_type of SAML", func(_ *testing.T, x *trade) { x.set("subject_token_type", "urn:ietf:params:oauth:token-type:saml2") }, "invalid_request", ""},
	{"subject_token_type in capitals", func(_ *testing.T, x *trade) { x.set("subject_token_type", strings.ToUpper(userIDType)) }, "invalid_request", ""},
	{"two subject tokens", func(_ *testing.T, x *trade) { x.form.Add("subject_token", "usr_ada") }, "invalid_request", ""},
	{"two actor tokens", func(_ *testing.T, x *trade) { x.form.Add("actor_token", x.form.Get("actor_token")) }, "invalid_request", ""},
	{"two reasons", func(_ *testing.T, x *trade) { x.form.Add("reason", "Another reason") }, "invalid_request", ""},
	{"a subject_token that is too long", func(_ *testing.T, x *trade) { x.set("subject_token", strings.Repeat("u", 9000)) }, "invalid_request", ""},
	{"an actor_token that is too long", func(_ *testing.T, x *trade) { x.by(strings.Repeat("u", 9000)) }, "invalid_request", ""},
	{"an actor_token nearly too long", func(_ *testing.T, x *trade) { x.by(strings.Repeat("u", 8192)) }, "invalid_request", ""},
	{"a scope that is too long", func(_ *testing.T, x *trade) { x.set("scope", strings.Repeat("openid ", 2000)) }, "invalid_request", ""},

	{"no actor at all", func(_ *testing.T, x *trade) { x.set("actor_token", "", "actor_token_type", "") }, "invalid_request", ""},
	{"no actor_token", func(_ *testing.T, x *trade) { x.set("actor_token", "") }, "invalid_request", ""},
	{"no actor_token_type", func(_ *testing.T, x *trade) { x.set("actor_token_type", "") }, "invalid_request", ""},
	{"actor_token_type of an ID token", func(_ *testing.T, x *trade) { x.set("actor_token_type", idType) }, "invalid_request", ""},
	{"actor_token_type of a user", func(_ *testing.T, x *trade) { x.set("actor_token", x.actorID(), "actor_token_type", userIDType) }, "invalid_request", ""},
	{"the actor's ID token", func(t *testing.T, x *trade) { x.by(str(t, x.own, "id_token")) }, "invalid_request", ""},
	{"the actor's ID token, under its type", func(t *testing.T, x *trade) {
		x.set("actor_token", str(t, x.own, "id_token"), "actor_token_type", idType)
	}, "invalid_request", ""},
	{"the actor's refresh token", func(t *testing.T, x *trade) { x.by(str(t, x.own, "refresh_token")) }, "invalid_request", ""},
	{"A24 the actor's code", func(_ *testing.T, x *trade) { x.by(x.browser.Code(x.request())) }, "invalid_request", ""},
	{"the actor's id as a token", func(_ *testing.T, x *trade) { x.by(x.actorID()) }, "invalid_request", ""},
	{"the client's own token as the actor's", func(t *testing.T, x *trade) {
		w := x.call(url.Values{"grant_type": {"client_credentials"}})
		x.by(str(t, w.JSON(t), "access_token"))
	}, "invalid_request", ""},
	{"a token of the actor for an API only", func(t *testing.T, x *trade) {
		x.by(str(t, x.signsIn(t, x.browser, "resource", "https://api.example"), "access_token"))
	}, "invalid_request", ""},
	{"an opaque token of nobody", func(_ *testing.T, x *trade) { x.by("ua_garbage") }, "invalid_request", ""},
	{"no token of ours", func(_ *testing.T, x *trade) { x.by("e30.e30.e30") }, "invalid_request", ""},
	{"a token of the actor at another client", func(t *testing.T, x *trade) {
		x.by(str(t, loggedIn(t, x.idp, x.actor), "access_token"))
	}, "invalid_request", ""},
	{"a revoked token of the actor", func(t *testing.T, x *trade) {
		wantStatus(t, "revoke", x.idp.Call("/oauth2/revoke", x.client, idptest.Secret, url.Values{"token": {x.form.Get("actor_token")}}), http.StatusOK)
	}, "invalid_request", ""},
	{"a token of a revoked grant", func(t *testing.T, x *trade) {
		wantStatus(t, "revoke", x.idp.Call("/oauth2/revoke", x.client, idptest.Secret, url.Values{"token": {str(t, x.own, "refresh_token")}}), http.StatusOK)
	}, "invalid_request", ""},
	{"A14 an actor who signed out", func(t *testing.T, x *trade) {
		wantStatus(t, "sign out", x.browser.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}}), http.StatusOK)
	}, "invalid_request", ""},
	{"D07 an actor who is disabled", func(t *testing.T, x *trade) {
		check(t, x.directory().Disable(t.Context(), x.actorID(), byTest, time.Now()))
	}, "invalid_request", ""},
	{"A05 T04 a token in which the actor acts", func(t *testing.T, x *trade) {
		w := x.call(idptest.Exchange(x.browser.ActAs("usr_ada", x.request("prompt", "select_account")), nil))
		x.by(str(t, w.JSON(t), "access_token"))
	}, "invalid_request", "chain"},
	{"A01 an actor who may not", func(t *testing.T, x *trade) {
		x.by(str(t, x.signsIn(t, person(t, x.idp, "olga")), "access_token"))
	}, "invalid_request", "permission"},
	{"A19 a sign-in that is too old", func(t *testing.T, x *trade) {
		x.by(str(t, x.signsIn(t, personSince(t, x.idp, x.actor, time.Now().Add(-6*time.Minute))), "access_token"))
	}, "invalid_request", "step_up"},
	{"A19 a token from before the password was shown again", func(t *testing.T, x *trade) {
		old := personSince(t, x.idp, x.actor, time.Now().Add(-6*time.Minute))
		tokens := x.signsIn(t, old)
		wantStatus(t, "again", old.Post("/login?again=1", url.Values{"username": {x.actor + "@example.test"}, "password": {idptest.Password}}), http.StatusSeeOther)
		x.by(str(t, tokens, "access_token"))
	}, "invalid_request", "step_up"},
	{"A19 a token from after it", func(t *testing.T, x *trade) {
		old := personSince(t, x.idp, x.actor, time.Now().Add(-6*time.Minute))
		wantStatus(t, "again", old.Post("/login?again=1", url.Values{"username": {x.actor + "@example.test"}, "password": {idptest.Password}}), http.StatusSeeOther)
		x.by(str(t, x.signsIn(t, old), "access_token"))
	}, "", ""},

	{"a user who is not there", func(_ *testing.T, x *trade) { x.set("subject_token", "usr_nobody") }, "invalid_request", "subject"},
	{"A04 the actor", func(_ *testing.T, x *trade) { x.set("subject_token", x.actorID()) }, "invalid_request", "self"},
	{"A03 an administrator", func(_ *testing.T, x *trade) { x.set("subject_token", "usr_root") }, "invalid_request", "privileged"},
	{"D07 a user who is disabled", func(t *testing.T, x *trade) {
		check(t, x.directory().Disable(t.Context(), x.subjectID(), byTest, time.Now()))
	}, "invalid_request", "subject_inactive"},
	{"a user who is protected", func(t *testing.T, x *trade) {
		check(t, x.directory().SetNeverImpersonate(t.Context(), x.subjectID(), true, byTest, time.Now()))
	}, "invalid_request", "protected"},
	{"a user of several organizations", func(_ *testing.T, x *trade) { x.set("subject_token", "usr_grace") }, "invalid_request", "organization_required"},
	{"a user of several organizations, in one", func(_ *testing.T, x *trade) {
		x.set("subject_token", "usr_grace", "organization", "org_globex")
	}, "", ""},
	{"a user in an organization of others", func(_ *testing.T, x *trade) { x.set("subject_token", "usr_ada", "organization", "org_initech") }, "invalid_request", "organization"},
	{"A27 a user who forbids it", func(t *testing.T, x *trade) {
		wantDone(t, person(t, x.idp, x.subject).Post("/account/support-access", url.Values{"choice": {"denied"}}), "/account/support-access?done=support_access")
	}, "invalid_request", "support_access"},

	{"a user's token", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject)), "access_token"))
	}, "", ""},
	{"a user's token, and nobody who acts", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject)), "access_token"))
		x.set("actor_token", "", "actor_token_type", "")
	}, "invalid_request", ""},
	{"a user's token for an API", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject), "resource", "https://api.example"), "access_token"))
	}, "", ""},
	{"a user's token of another client for this one", func(t *testing.T, x *trade) {
		addClient(t, x.idp, "for-"+x.client, func(c *storage.Client) { c.Audience = storage.List{x.client} })
		code := person(t, x.idp, x.subject).Code(asking("client_id", "for-"+x.client, "resource", x.client))
		w := x.idp.Call("/oauth2/token", "for-"+x.client, idptest.Secret, idptest.Exchange(code, nil))
		x.from(str(t, w.JSON(t), "access_token"))
	}, "", ""},
	{"a user's token of another client", func(t *testing.T, x *trade) {
		x.from(str(t, loggedIn(t, x.idp, x.subject), "access_token"))
	}, "invalid_request", ""},
	{"a user's ID token", func(t *testing.T, x *trade) { x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject)), "id_token")) }, "invalid_request", ""},
	{"a user's refresh token", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject)), "refresh_token"))
	}, "invalid_request", ""},
	{"A24 a user's code", func(t *testing.T, x *trade) { x.from(person(t, x.idp, x.subject).Code(x.request())) }, "invalid_request", ""},
	{"a user's id as a token", func(_ *testing.T, x *trade) { x.from(x.subjectID()) }, "invalid_request", ""},
	{"a user's token as an id", func(t *testing.T, x *trade) {
		x.set("subject_token", str(t, x.signsIn(t, person(t, x.idp, x.subject)), "access_token"))
	}, "invalid_request", "subject"},
	{"a revoked token of a user", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject)), "access_token"))
		x.idp.Call("/oauth2/revoke", x.client, idptest.Secret, url.Values{"token": {x.form.Get("subject_token")}})
	}, "invalid_request", ""},
	{"A05 T04 a token in which somebody acts", func(t *testing.T, x *trade) {
		w := x.call(idptest.Exchange(person(t, x.idp, "sam").ActAs(x.subjectID(), x.request("prompt", "select_account")), nil))
		x.from(str(t, w.JSON(t), "access_token"))
	}, "invalid_request", "chain"},
	{"the actor's own token as the user's", func(_ *testing.T, x *trade) { x.from(x.form.Get("actor_token")) }, "invalid_request", "self"},
	{"more than the user's token has", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject), "scope", "openid api:read"), "access_token"))
		x.set("scope", "openid email")
	}, "invalid_scope", ""},
	{"as much as the user's token has", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject), "scope", "openid api:read"), "access_token"))
		x.set("scope", "openid api:read")
	}, "", ""},
	{"an ID token for a token without openid", func(t *testing.T, x *trade) {
		x.from(str(t, x.signsIn(t, person(t, x.idp, x.subject), "scope", "api:read"), "access_token"))
		x.set("requested_token_type", idType)
	}, "invalid_scope", ""},

	{"a ticket", func(t *testing.T, x *trade) { x.ticket(t, nil) }, "", ""},
	{"a ticket of this sign-in", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.LoginSID = str(t, idptest.Claims(t, x.own["access_token"]), "sid") })
	}, "", ""},
	{"a ticket, and the same words", func(t *testing.T, x *trade) {
		x.ticket(t, nil)
		x.set("reason", "Cannot see  invoice 4711 ", "ticket_ref", "SUP-1", "access", "full", "duration", "10")
	}, "", ""},
	{"a ticket, and another reason", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("reason", "Something else entirely") }, "invalid_request", ""},
	{"a ticket, and another duration", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("duration", "11") }, "invalid_request", ""},
	{"a ticket, and other access", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("access", "read_only") }, "invalid_request", ""},
	{"a ticket, and another reference", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("ticket_ref", "SUP-2") }, "invalid_request", ""},
	{"a ticket, and more scope", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.Scope = "openid email" })
		x.set("scope", "openid api:read")
	}, "invalid_scope", ""},
	{"a ticket, and an organization", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("organization", "org_globex") }, "invalid_request", ""},
	{"A21 somebody else's ticket", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.ActorID = "usr_sam" })
	}, "invalid_request", "ticket_foreign"},
	{"A21 a ticket for another client", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.ClientID = "app" })
	}, "invalid_request", "ticket_foreign"},
	{"A21 a ticket of another browser", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.LoginSID = "sid_another" })
	}, "invalid_request", "ticket_foreign"},
	{"a ticket that ran out", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.ExpiresAt = storage.At(time.Now().Add(-time.Second)) })
	}, "invalid_request", "ticket_spent"},
	{"a ticket that was revoked", func(t *testing.T, x *trade) {
		k := x.ticket(t, nil)
		x.idp.Write(t, func(ctx context.Context, tx *storage.Tx) error { return tx.RevokeTicket(ctx, k.ID, time.Now()) })
	}, "invalid_request", "ticket_spent"},
	{"a ticket that was used", func(t *testing.T, x *trade) {
		k := x.ticket(t, nil)
		x.idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.RedeemTicket(ctx, k.ID, "imp_x", time.Now())
		})
	}, "invalid_request", "ticket_spent"},
	{"A19 a ticket, and a sign-in that was fresh when it was made", func(t *testing.T, x *trade) {
		x.ticket(t, func(k *storage.Ticket) { k.CreatedAt = storage.At(time.Now().Add(-time.Minute)) })
		x.by(str(t, x.signsIn(t, personSince(t, x.idp, x.actor, time.Now().Add(-5*time.Minute-30*time.Second))), "access_token"))
	}, "invalid_request", "step_up"},
	{"A21 a ticket's name", func(t *testing.T, x *trade) { k := x.ticket(t, nil); x.set("subject_token", k.ID) }, "invalid_request", ""},
	{"A24 a code as a ticket", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("subject_token", x.browser.Code(x.request())) }, "invalid_request", ""},
	{"A24 an access token as a ticket", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("subject_token", x.form.Get("actor_token")) }, "invalid_request", ""},
	{"A24 a ticket as a user", func(t *testing.T, x *trade) {
		x.ticket(t, nil)
		x.set("subject_token_type", userIDType, "reason", "Cannot see invoice 4711")
	}, "invalid_request", "subject"},
	{"A24 a ticket as an access token", func(t *testing.T, x *trade) { x.ticket(t, nil); x.set("subject_token_type", accessType) }, "invalid_request", ""},
	{"a ticket without an actor", func(t *testing.T, x *trade) {
		x.ticket(t, nil)
		x.set("actor_token", "", "actor_token_type", "")
	}, "invalid_request", ""},

	{"a bearer's ticket without an actor", func(t *testing.T, x *trade) { x.bearer(t, nil) }, "", ""},
	{"a bearer's ticket, and its actor", func(t *testing.T, x *trade) {
		actor := x.form.Get("actor_token")
		x.bearer(t, nil)
		x.set("actor_token", actor, "actor_token_type", accessType)
	}, "", ""},
	{"A21 a bearer's ticket, and another actor", func(t *testing.T, x *trade) {
		other := x.form.Get("actor_token")
		x.bearer(t, func(k *storage.Ticket) { k.ActorID = "usr_sam" })
		x.set("actor_token", other, "actor_token_type", accessType)
	}, "invalid_request", "ticket_foreign"},
	{"A21 a bearer's ticket that a browser has taken", func(t *testing.T, x *trade) {
		x.bearer(t, func(k *storage.Ticket) { k.BrowserHash, k.BoundAt = storage.Hash("ubr_x"), storage.At(time.Now()) })
	}, "invalid_request", "ticket_foreign"},
	{"a bearer's ticket that ran out", func(t *testing.T, x *trade) {
		x.bearer(t, func(k *storage.Ticket) { k.ExpiresAt = storage.At(time.Now().Add(-time.Second)) })
	}, "invalid_request", "ticket_spent"},
	{"F08 a bearer's ticket of a program that is gone", func(t *testing.T, x *trade) {
		x.bearer(t, func(k *storage.Ticket) { k.CreatedBy = "nobody" })
	}, "invalid_request", "caller"},
	{"A01 a bearer's ticket of an actor who may not", func(t *testing.T, x *trade) {
		x.bearer(t, func(k *storage.Ticket) { k.ActorID = "usr_olga" })
	}, "invalid_request", "permission"},

	{"no reason", func(_ *testing.T, x *trade) { x.set("reason", "") }, "invalid_request", "reason"},
	{"a reason that is too short", func(_ *testing.T, x *trade) { x.set("reason", "because") }, "invalid_request", "reason"},
	{"a reason that is too long", func(_ *testing.T, x *trade) { x.set("reason", strings.Repeat("b", 501)) }, "invalid_request", "reason"},
	{"T11 a reason that turns around", func(_ *testing.T, x *trade) { x.set("reason", "Cannot see \u202e invoice") }, "invalid_request", "reason"},
	{"a ticket_ref that is too long", func(_ *testing.T, x *trade) { x.set("ticket_ref", strings.Repeat("t", 101)) }, "invalid_request", "ticket_ref"},
	{"full access", func(_ *testing.T, x *trade) { x.set("access", "full") }, "", ""},
	{"another access", func(_ *testing.T, x *trade) { x.set("access", "admin") }, "invalid_request", ""},
	{"an hour", func(_ *testing.T, x *trade) { x.set("duration", "60") }, "", ""},
	{"more than an hour", func(_ *testing.T, x *trade) { x.set("duration", "61") }, "invalid_request", "duration"},
	{"more than a number holds", func(_ *testing.T, x *trade) { x.set("duration", "153722867280912930") }, "invalid_request", ""},
	{"no time", func(_ *testing.T, x *trade) { x.set("duration", "0") }, "invalid_request", ""},
	{"less than none", func(_ *testing.T, x *trade) { x.set("duration", "-5") }, "invalid_request", ""},
	{"seconds", func(_ *testing.T, x *trade) { x.set("duration", "90s") }, "invalid_request", ""},

	{"a scope of nobody's", func(_ *testing.T, x *trade) { x.set("scope", "openid admin") }, "invalid_scope", ""},
	{"a scope in capitals", func(_ *testing.T, x *trade) { x.set("scope", "OPENID") }, "invalid_scope", ""},
	{"B15 a resource that is registered", func(_ *testing.T, x *trade) { x.set("resource", "https://api.example") }, "", ""},
	{"B15 two that are", func(_ *testing.T, x *trade) { x.set("resource", "https://api.example", "audience", idptest.Issuer) }, "", ""},
	{"B15 a resource that is not", func(_ *testing.T, x *trade) { x.set("resource", "https://api.example/") }, "invalid_target", ""},
	{"B15 an audience that is not", func(_ *testing.T, x *trade) { x.set("audience", "app") }, "invalid_target", ""},
	{"B15 one of two that is not", func(_ *testing.T, x *trade) {
		x.form["audience"] = []string{"https://api.example", "https://evil.example"}
	}, "invalid_target", ""},
	{"B18 the client itself", func(_ *testing.T, x *trade) { x.set("audience", x.client) }, "invalid_target", ""},
	{"an ID token", func(_ *testing.T, x *trade) { x.set("requested_token_type", idType) }, "", ""},
	{"an ID token for the client", func(_ *testing.T, x *trade) { x.set("requested_token_type", idType, "audience", x.client) }, "", ""},
	{"an ID token for somebody else", func(_ *testing.T, x *trade) {
		x.set("requested_token_type", idType, "audience", "https://api.example")
	}, "invalid_target", ""},
	{"an ID token without openid", func(_ *testing.T, x *trade) { x.set("requested_token_type", idType, "scope", "email") }, "invalid_scope", ""},
	{"A11 a refresh token", func(_ *testing.T, x *trade) { x.set("requested_token_type", refreshType) }, "invalid_request", ""},
	{"A11 offline_access", func(_ *testing.T, x *trade) { x.set("scope", "openid offline_access") }, "", ""},
	{"any JWT", func(_ *testing.T, x *trade) { x.set("requested_token_type", "urn:ietf:params:oauth:token-type:jwt") }, "invalid_request", ""},
	{"a SAML assertion", func(_ *testing.T, x *trade) { x.set("requested_token_type", "urn:ietf:params:oauth:token-type:saml2") }, "invalid_request", ""},

	{"requested_subject at a start", func(_ *testing.T, x *trade) { x.set("requested_subject", x.actorID()) }, "invalid_request", ""},
	{"the way back for who does not act", func(_ *testing.T, x *trade) {
		x.form = url.Values{"grant_type": {grantExchange}, "subject_token": {x.form.Get("actor_token")}, "subject_token_type": {accessType}, "requested_subject": {x.actorID()}}
	}, "invalid_request", ""},

	{"a client that may not exchange", func(t *testing.T, x *trade) {
		x.idp.Change(t, x.client, func(c *storage.Client) { c.GrantTypes = c.GrantTypes[:2] })
	}, "unauthorized_client", ""},
	{"A07 a client that does not allow it", func(t *testing.T, x *trade) {
		x.idp.Change(t, x.client, func(c *storage.Client) { c.AllowImpersonation = false })
	}, "unauthorized_client", "client_not_opted_in"},
	{"a client that has become public", func(t *testing.T, x *trade) {
		x.idp.Change(t, x.client, func(c *storage.Client) { c.TokenEndpointAuthMethod, c.SecretHash = "none", nil })
	}, "invalid_client", ""},
	{"a client that is disabled", func(t *testing.T, x *trade) {
		x.idp.Change(t, x.client, func(c *storage.Client) { c.Status = storage.ClientDisabled })
	}, "invalid_client", ""},
}

// A25, T20: tokens come of the one exchange that is allowed, and of none with one thing
// wrong, which starts nothing and leaves a record where a rule refused it.
func TestTokenExchangeTable(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for _, m := range mistakes {
			t.Run(m.name, func(t *testing.T) {
				x := newTrade(t, idp, func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, "client_credentials") })
				if strings.HasPrefix(m.name, "a client that may not") {
					x.idp.Change(t, x.client, func(c *storage.Client) { c.GrantTypes = c.GrantTypes[:3] })
				}
				m.break_(t, x)
				before := running(t, idp, x.client)
				w := x.call(x.form)
				switch {
				case m.code == "":
					wantStatus(t, "allowed", w, http.StatusOK)
					if running(t, idp, x.client) != before+1 {
						t.Error("nothing has started")
					}
					return
				case m.denial != "":
					wantDenied(t, "refused", w, http.StatusBadRequest, m.code, m.denial)
				case m.code == "invalid_client":
					wantRefused(t, "refused", w, http.StatusUnauthorized, m.code)
				default:
					wantRefused(t, "refused", w, http.StatusBadRequest, m.code)
				}
				if got := running(t, idp, x.client); got != before {
					t.Errorf("%d impersonations run, and there were %d", got, before)
				}
				denied := events(t, idp, func(e storage.Event) bool {
					return e.Type == storage.EventImpersonationDenied && e.Data["denial"] == m.denial &&
						(e.ClientID == x.client || m.denial == "ticket_foreign" && e.ActorID == x.actorID())
				})
				if recorded := m.denial != "" && m.denial != "step_up"; (len(denied) == 1) != recorded {
					t.Errorf("denials on the record: %v", denied)
				}
			})
		}
	})
}

// running counts what runs at a client.
func running(t testing.TB, idp *idptest.IDP, client string) int {
	t.Helper()
	all, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Client: client, Running: true}, time.Now())
	check(t, err)
	return len(all)
}

// What comes out is what comes out of every impersonation, bounded by what was
// presented (SECURITY A08-A12, A25).
func TestTokenExchange(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		for name, test := range map[string]func(*testing.T, *idptest.IDP){
			"A08 A10 access token":      testExchangedAccessToken,
			"A08 opaque access token":   testExchangedOpaque,
			"A08 ID token":              testExchangedIDToken,
			"A11 A12 refresh token":     testExchangedRefreshToken,
			"A13 ends":                  testExchangedEnds,
			"B19 revocation":            testExchangedRevocation,
			"A21 A24 a ticket once":     testExchangedTicketOnce,
			"the way back":              testWayBack,
			"the way back is refused":   testWayBackRefused,
			"the way back once":         testWayBackOnce,
			"A13 back-channel logout":   testExchangedIsTold,
			"F05 client assertions":     testExchangeAssertions,
			"T23 nothing learned":       testExchangeTeachesNothing,
			"A09 pairwise":              testExchangedPairwise,
			"ticket of another burnt":   testForeignTicketIsWithdrawn,
			"G01 record":                testExchangedRecord,
			"private_key_jwt of native": testExchangeOfNative,
			"a bearer's ticket":         testExchangedBearer,
		} {
			t.Run(name, func(t *testing.T) { test(t, idp) })
		}
	})
}

// wantActing checks what claims say of an exchange's people.
func (x *trade) wantActing(t testing.TB, what string, claims map[string]any) {
	t.Helper()
	act, _ := claims["act"].(map[string]any)
	if claims["sub"] != x.subjectID() || len(act) != 1 || act["sub"] != x.actorID() {
		t.Errorf("%s: sub %v, act %v", what, claims["sub"], claims["act"])
	}
}

func testExchangedAccessToken(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.set("scope", "openid email api:read api:write", "duration", "20", "ticket_ref", "SUP-1", "resource", idptest.Issuer)
	tokens := x.exchanged(t)
	i := x.row(t)
	for name, want := range map[string]any{"token_type": "Bearer", "issued_token_type": accessType, "scope": "api:read email openid", "refresh_token": nil, "id_token": nil} {
		if tokens[name] != want {
			t.Errorf("%s: got %v, want %v", name, tokens[name], want)
		}
	}
	if w := x.call(x.form); w.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", w.Header.Get("Cache-Control"))
	}
	claims, actor := idptest.Claims(t, tokens["access_token"]), idptest.Claims(t, x.own["access_token"])
	x.wantActing(t, "access token", claims)
	if header(t, str(t, tokens, "access_token"))["typ"] != "at+jwt" || claims["acr"] != "urn:understudy:acr:impersonation" || claims["sid"] != x.id ||
		claims["auth_time"] != actor["auth_time"] || claims["client_id"] != x.client || claims["aud"] != idptest.Issuer || claims["amr"] != nil {
		t.Errorf("claims: %v", claims)
	}
	if exp := int64(claims["exp"].(float64)); exp > int64(actor["exp"].(float64)) || exp > i.ExpiresAt.Time().Unix() {
		t.Errorf("A25 exp %v is after the actor's, %v, or the end, %v", exp, actor["exp"], i.ExpiresAt.Time())
	}
	x.wantActing(t, "introspection", x.introspect(t, str(t, tokens, "access_token")))
	x.wantActing(t, "userinfo", userinfo(idp, str(t, tokens, "access_token")).JSON(t))
	told, _ := tokens["impersonation"].(map[string]any)
	by, _ := tokens["impersonator"].(map[string]any)
	if told["access"] != "read_only" || told["expires_at"] != i.ExpiresAt.Time().Format(time.RFC3339) || told["stop_uri"] != idptest.Issuer+"/impersonation/stop?id="+x.id ||
		by["email"] != x.actor+"@example.test" || by["reason"] != "Cannot see invoice 4711" {
		t.Errorf("the response says %v, %v", told, by)
	}
	if lasts := i.ExpiresAt.Time().Sub(i.StartedAt.Time()); i.Entry != "token_exchange" || i.TicketRef != "SUP-1" || lasts != 20*time.Minute ||
		i.LoginSID != actor["sid"] || i.TicketID != "" {
		t.Errorf("row: %+v", i)
	}
	wantRefused(t, "as a code", x.call(idptest.Exchange(str(t, tokens, "access_token"), nil)), http.StatusBadRequest, "invalid_grant")
}

func testExchangedOpaque(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, func(c *storage.Client) { c.AccessTokenFormat = "opaque" })
	token := str(t, x.exchanged(t), "access_token")
	if !strings.HasPrefix(token, "ua_") || !strings.HasPrefix(x.form.Get("actor_token"), "ua_") {
		t.Fatalf("token %s, actor token %s", token, x.form.Get("actor_token"))
	}
	answer := x.introspect(t, token)
	x.wantActing(t, "introspection", answer)
	x.wantActing(t, "userinfo", userinfo(idp, token).JSON(t))
	if actor := x.introspect(t, x.form.Get("actor_token")); answer["exp"].(float64) > actor["exp"].(float64) {
		t.Errorf("A25: %v after %v", answer["exp"], actor["exp"])
	}
	stop(t, &x.act, x.browser)
	wantRefused(t, "userinfo", userinfo(idp, token), http.StatusUnauthorized, "invalid_token")
}

func testExchangedIDToken(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.set("requested_token_type", idType, "scope", "openid email")
	tokens := x.exchanged(t)
	claims := idptest.Claims(t, tokens["access_token"])
	x.wantActing(t, "ID token", claims)
	if tokens["token_type"] != "N_A" || tokens["issued_token_type"] != idType || tokens["id_token"] != nil || tokens["refresh_token"] != nil ||
		header(t, str(t, tokens, "access_token"))["typ"] != "JWT" || claims["aud"] != x.client || claims["email"] != x.subject+"@example.test" ||
		claims["at_hash"] != nil || claims["nonce"] != nil || claims["sid"] != x.id || claims["amr"] != nil {
		t.Errorf("%v\n%v", tokens, claims)
	}
	if actor := idptest.Claims(t, x.own["access_token"]); claims["exp"].(float64) > actor["exp"].(float64) {
		t.Errorf("A25: %v after %v", claims["exp"], actor["exp"])
	}
	wantRefused(t, "A24 at userinfo", userinfo(idp, str(t, tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
	hint := url.Values{"id_token_hint": {str(t, tokens, "access_token")}, "post_logout_redirect_uri": {"https://app.example/"}}
	if w := x.browser.Get("/oauth2/logout?" + hint.Encode()); w.Header.Get("Location") != "https://app.example/" || x.row(t).Running(time.Now()) {
		t.Errorf("as a hint: %d %s", w.Status, w.Location())
	}
}

func testExchangedRefreshToken(t *testing.T, idp *idptest.IDP) {
	for _, asked := range []string{refreshType, accessType} {
		x := newTrade(t, idp, func(c *storage.Client) { c.ImpersonationRefresh = true })
		x.set("requested_token_type", asked, "scope", "openid offline_access", "duration", "40")
		tokens := x.exchanged(t)
		end := x.row(t).ExpiresAt.Time().Unix()
		refreshToken := str(t, tokens, "refresh_token")
		if asked == refreshType && (tokens["access_token"] != refreshToken || tokens["token_type"] != "N_A") || tokens["issued_token_type"] != asked {
			t.Errorf("%v", tokens)
		}
		answer := x.introspect(t, refreshToken)
		x.wantActing(t, "introspection", answer)
		if int64(answer["exp"].(float64)) != end {
			t.Errorf("A12: %v, want the end, %d", answer["exp"], end)
		}
		w := x.refresh(t)
		wantStatus(t, "refresh", w, http.StatusOK)
		renewed := w.JSON(t)
		for _, name := range []string{"access_token", "id_token"} {
			claims := idptest.Claims(t, renewed[name])
			x.wantActing(t, name, claims)
			if int64(claims["exp"].(float64)) > end {
				t.Errorf("A12 %s: %v", name, claims)
			}
		}
		wantRefused(t, "a second use", x.refresh(t), http.StatusBadRequest, "invalid_grant")
		if x.row(t).EndReason != storage.EndReusedToken {
			t.Errorf("ended: %q", x.row(t).EndReason)
		}
	}
	for _, kind := range []string{refreshType, accessType} { // nobody asked
		x := newTrade(t, idp, nil)
		idp.Change(t, x.client, func(c *storage.Client) { c.ImpersonationRefresh, c.Scope = true, "openid email" })
		x.set("requested_token_type", kind)
		if w := x.call(x.form); kind == refreshType {
			wantRefused(t, "without the scope", w, http.StatusBadRequest, "invalid_scope")
		} else if w.JSON(t)["refresh_token"] != nil {
			t.Errorf("a refresh token: %s", w.Body)
		}
	}
}

// exchangedAct is an impersonation that began by an exchange.
func exchangedAct(t *testing.T, idp *idptest.IDP) *act {
	t.Helper()
	x := newTrade(t, idp, func(c *storage.Client) { c.ImpersonationRefresh = true })
	x.set("scope", "openid email offline_access")
	x.exchanged(t)
	return &x.act
}

func testExchangedEnds(t *testing.T, idp *idptest.IDP) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			a := exchangedAct(t, idp)
			by := ""
			if way.by != nil {
				by = way.by(a)
			}
			way.end(t, a)
			a.wantEnded(t, way.why, by)
			a.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued, storage.EventImpersonationStopped)
		})
	}
}

// A token is revoked alone, a refresh token with the impersonation.
func testExchangedRevocation(t *testing.T, idp *idptest.IDP) {
	a := exchangedAct(t, idp)
	revoke := func(token string) {
		t.Helper()
		wantStatus(t, "revoke", idp.Call("/oauth2/revoke", a.client, idptest.Secret, url.Values{"token": {token}}), http.StatusOK)
	}
	revoke(str(t, a.tokens, "access_token"))
	wantRefused(t, "userinfo", userinfo(idp, str(t, a.tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
	if !a.row(t).Running(time.Now()) {
		t.Error("the impersonation ended with an access token")
	}
	w := a.refresh(t)
	wantStatus(t, "refresh", w, http.StatusOK)
	a.tokens = w.JSON(t)
	revoke(str(t, a.tokens, "refresh_token"))
	a.wantEnded(t, storage.EndStopped, "")
}

// One ticket is one impersonation, of fifty exchanges at the same moment.
func testExchangedTicketOnce(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	k := x.ticket(t, nil)
	got := parallel(50, func(int) *idptest.Response { return x.call(x.form) })
	if got["200"] != 1 || running(t, idp, x.client) != 1 {
		t.Errorf("got %v, and %d run", got, running(t, idp, x.client))
	}
	for answer := range got {
		if answer != "200" && answer != `400 {"error":"invalid_reques` && answer != `429 {"error":"invalid_reques` {
			t.Errorf("%s", answer)
		}
	}
	stored, err := idp.Store.TicketNamed(t.Context(), k.ID)
	check(t, err)
	if !stored.RedeemedAt.Set() {
		t.Error("the ticket is pending")
	}
}

// back is the request with which the actor becomes themselves again.
func (x *trade) back(t testing.TB, pairs ...string) url.Values {
	t.Helper()
	form := url.Values{
		"grant_type": {grantExchange}, "subject_token": {str(t, x.tokens, "access_token")}, "subject_token_type": {accessType}, "requested_subject": {x.actorID()},
	}
	having(pairs...)(form)
	return form
}

func testWayBack(t *testing.T, idp *idptest.IDP) {
	begins := map[string]func(x *trade){
		"from an exchange": func(x *trade) { x.exchanged(t) },
		"from the consent page": func(x *trade) {
			x.tokens = x.call(idptest.Exchange(x.browser.ActAs(x.subjectID(), x.request("prompt", "select_account")), nil)).JSON(t)
			x.id = str(t, idptest.Claims(t, x.tokens["access_token"]), "sid")
		},
	}
	for name, begin := range begins {
		for _, kind := range []string{accessType, idType} {
			t.Run(name+", "+kind, func(t *testing.T) {
				x := newTrade(t, idp, func(c *storage.Client) { c.ImpersonationRefresh = true })
				begin(x)
				w := x.call(x.back(t, "requested_token_type", kind, "scope", "openid email api:write offline_access"))
				wantStatus(t, "back", w, http.StatusOK)
				own := w.JSON(t)
				claims, first := idptest.Claims(t, own["access_token"]), idptest.Claims(t, x.own["access_token"])
				if claims["sub"] != x.actorID() || claims["act"] != nil || claims["sid"] != first["sid"] || claims["auth_time"] != first["auth_time"] || claims["acr"] != first["acr"] {
					t.Errorf("claims: %v, want those of %v", claims, first)
				}
				if own["scope"] != "api:write email openid" || own["refresh_token"] != nil || own["impersonation"] != nil || own["impersonator"] != nil || own["issued_token_type"] != kind {
					t.Errorf("answer: %s", w.Body)
				}
				if kind == accessType {
					if u := userinfo(idp, str(t, own, "access_token")).JSON(t); u["sub"] != x.actorID() || u["act"] != nil {
						t.Errorf("userinfo: %v", u)
					}
				}
				if i := x.row(t); i.EndReason != storage.EndStopped || i.EndedBy != x.actorID() {
					t.Errorf("ended: %q by %q", i.EndReason, i.EndedBy)
				}
				wantRefused(t, "userinfo", userinfo(idp, str(t, x.tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
				wantRefused(t, "a second time", x.call(x.back(t)), http.StatusBadRequest, "invalid_request")
			})
		}
	}
}

func testWayBackRefused(t *testing.T, idp *idptest.IDP) {
	for _, c := range []struct {
		name   string
		client func(*storage.Client)
		form   func(t *testing.T, x *trade) url.Values
		code   string
		ends   bool // by what was done, not by the exchange
	}{
		{"to be somebody else", nil, func(t *testing.T, x *trade) url.Values { return x.back(t, "requested_subject", "usr_root") }, "invalid_request", false},
		{"to be the subject", nil, func(t *testing.T, x *trade) url.Values { return x.back(t, "requested_subject", x.subjectID()) }, "invalid_request", false},
		{"with a reason", nil, func(t *testing.T, x *trade) url.Values { return x.back(t, "reason", "Cannot see invoice 4711") }, "invalid_request", false},
		{"with an actor_token", nil, func(t *testing.T, x *trade) url.Values {
			return x.back(t, "actor_token", str(t, x.own, "access_token"), "actor_token_type", accessType)
		}, "invalid_request", false},
		{"A05 a chain: the impersonated token as the subject's", nil, func(t *testing.T, x *trade) url.Values {
			x.from(str(t, x.tokens, "access_token"))
			return x.form
		}, "invalid_request", false},
		{"by another client", nil, func(t *testing.T, x *trade) url.Values {
			addClient(t, idp, "thief-"+x.client, func(c *storage.Client) { c.GrantTypes = append(c.GrantTypes, grantExchange) })
			form := x.back(t)
			x.client = "thief-" + x.client
			return form
		}, "invalid_request", false},
		{"with the refresh token", func(c *storage.Client) { c.ImpersonationRefresh = true }, func(t *testing.T, x *trade) url.Values {
			return x.back(t, "subject_token", str(t, x.tokens, "refresh_token"))
		}, "invalid_request", false},
		{"for a refresh token", func(c *storage.Client) { c.ImpersonationRefresh = true }, func(t *testing.T, x *trade) url.Values {
			return x.back(t, "requested_token_type", refreshType)
		}, "invalid_request", false},
		{"for a scope of nobody's", nil, func(t *testing.T, x *trade) url.Values { return x.back(t, "scope", "openid admin") }, "invalid_scope", false},
		{"for an API of others", nil, func(t *testing.T, x *trade) url.Values { return x.back(t, "resource", "https://evil.example") }, "invalid_target", false},
		{"A14 after signing out", nil, func(t *testing.T, x *trade) url.Values {
			x.browser.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}})
			return x.back(t)
		}, "invalid_request", true},
		{"after a stop", nil, func(t *testing.T, x *trade) url.Values {
			stop(t, &x.act, x.browser)
			return x.back(t)
		}, "invalid_request", true},
		{"to an application for members only", func(c *storage.Client) { c.Organizations = storage.List{"org_globex"} }, func(t *testing.T, x *trade) url.Values {
			return x.back(t)
		}, "invalid_request", false},
		{"without the actor's consent", func(c *storage.Client) { c.FirstParty = false }, func(t *testing.T, x *trade) url.Values {
			idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
				return tx.PutConsent(ctx, x.actorID(), x.client, "email", time.Now())
			})
			return x.back(t, "scope", "openid email")
		}, "invalid_scope", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTrade(t, idp, nil)
			if c.client != nil {
				idp.Change(t, x.client, c.client)
			}
			if strings.Contains(c.name, "members only") {
				x.set("subject_token", "usr_ada")
			}
			x.set("scope", "openid email offline_access")
			x.exchanged(t)
			form := c.form(t, x)
			w := x.call(form)
			if answer := w.JSON(t); w.Status != http.StatusBadRequest || answer["error"] != c.code {
				t.Errorf("status %d %s, want %s", w.Status, w.Body, c.code)
			}
			if x.row(t).Running(time.Now()) == c.ends {
				t.Errorf("it runs: %v", !c.ends)
			}
		})
	}
	t.Run("with what the actor has consented to", func(t *testing.T) {
		x := newTrade(t, idp, func(c *storage.Client) { c.FirstParty = false })
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.PutConsent(ctx, x.actorID(), x.client, "openid email", time.Now())
		})
		x.exchanged(t)
		if w := x.call(x.back(t)); w.JSON(t)["scope"] != "email openid" {
			t.Errorf("%d %s", w.Status, w.Body)
		}
	})
}

func testWayBackOnce(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.exchanged(t)
	got := parallel(20, func(int) *idptest.Response { return x.call(x.back(t)) })
	if got["200"] != 1 || got[`400 {"error":"invalid_reques`] != 19 {
		t.Errorf("got %v", got)
	}
}

// The client of an exchange is told of the end, by the sid of the impersonation.
func testExchangedIsTold(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, func(c *storage.Client) { c.BackchannelLogoutURI = "https://app.example/logout" })
	x.exchanged(t)
	x.call(x.back(t))
	notices, err := idp.Store.LogoutNotices(t.Context(), []string{x.id})
	check(t, err)
	if len(notices) != 1 || notices[0].SID != x.id || notices[0].ClientID != x.client {
		t.Errorf("notices: %+v", notices)
	}
}

// A client assertion is good for one exchange, whatever comes of it.
func testExchangeAssertions(t *testing.T, idp *idptest.IDP) {
	key := idptest.NewKey(t, "k", "ES256")
	x := newTrade(t, idp, nil)
	idp.Change(t, x.client, func(c *storage.Client) {
		c.TokenEndpointAuthMethod, c.SecretHash, c.JWKS = "private_key_jwt", nil, idptest.KeySet(key)
	})
	send := func() *idptest.Response { return idp.Do(idptest.Form("/oauth2/token", x.form)) }
	x.set("reason", "short")
	key.Assert(t, x.client, x.form)
	wantDenied(t, "refused", send(), http.StatusBadRequest, "invalid_request", "reason")
	x.set("reason", "Cannot see invoice 4711")
	wantRefused(t, "the same again", send(), http.StatusUnauthorized, "invalid_client")
	denied := events(t, idp, func(e storage.Event) bool {
		return e.Type == storage.EventImpersonationDenied && e.ClientID == x.client
	})
	if len(denied) != 1 {
		t.Errorf("%d denials on the record", len(denied))
	}
	key.Assert(t, x.client, x.form)
	wantStatus(t, "a new one", send(), http.StatusOK)
	wantRefused(t, "once more", send(), http.StatusUnauthorized, "invalid_client")
	if got := running(t, idp, x.client); got != 1 {
		t.Errorf("%d run", got)
	}
}

// Who may not start gets the same answer, whoever they name.
func testExchangeTeachesNothing(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.by(str(t, x.signsIn(t, person(t, idp, "olga")), "access_token"))
	x.set("subject_token", "usr_nobody")
	nobody := x.call(x.form)
	for _, id := range []string{x.subjectID(), "usr_root", "usr_olga", "usr_grace"} {
		x.set("subject_token", id)
		if w := x.call(x.form); w.Status != nobody.Status || w.Body != nobody.Body {
			t.Errorf("%s: %d %s, and for nobody %d %s", id, w.Status, w.Body, nobody.Status, nobody.Body)
		}
	}
	// Whom an actor does not reach is nobody, too.
	local := unique("actor")
	enroll(t, idp, local, "")
	within(t, idp, local, "support", "org_globex")
	x.by(str(t, x.signsIn(t, person(t, idp, local)), "access_token"))
	x.set("subject_token", "usr_nobody")
	nobody = x.call(x.form)
	x.set("subject_token", "usr_linus")
	if w := x.call(x.form); w.Body != nobody.Body || w.JSON(t)["denial"] != "subject" {
		t.Errorf("%s, and for nobody %s", w.Body, nobody.Body)
	}
}

func testExchangedPairwise(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, func(c *storage.Client) { c.SubjectType = "pairwise" })
	claims := idptest.Claims(t, x.exchanged(t)["access_token"])
	actor, _ := claims["act"].(map[string]any)
	own := idptest.Claims(t, x.own["access_token"])["sub"]
	if !strings.HasPrefix(str(t, claims, "sub"), "pw_") || actor["sub"] != own {
		t.Errorf("sub %v, act %v; the actor is %v", claims["sub"], actor, own)
	}
	if u := userinfo(idp, str(t, x.tokens, "access_token")).JSON(t); u["sub"] != claims["sub"] {
		t.Errorf("userinfo: %v", u)
	}
	w := x.call(x.back(t, "requested_subject", fmt.Sprint(own)))
	wantStatus(t, "back", w, http.StatusOK)
	if got := idptest.Claims(t, w.JSON(t)["access_token"])["sub"]; got != own {
		t.Errorf("back as %v", got)
	}
}

func testForeignTicketIsWithdrawn(t *testing.T, idp *idptest.IDP) {
	x, thief := newTrade(t, idp, nil), newTrade(t, idp, nil)
	x.ticket(t, nil)
	thief.set("subject_token", x.form.Get("subject_token"), "subject_token_type", ticketType, "reason", "")
	wantDenied(t, "stolen", thief.call(thief.form), http.StatusBadRequest, "invalid_request", "ticket_foreign")
	wantDenied(t, "its own actor", x.call(x.form), http.StatusBadRequest, "invalid_request", "ticket_spent")
	tried := events(t, idp, func(e storage.Event) bool {
		return e.Type == storage.EventImpersonationDenied && e.ActorID == thief.actorID() && e.Data["denial"] == "ticket_foreign"
	})
	if len(tried) != 1 || tried[0].Data["made_by"] != x.actorID() {
		t.Errorf("on the record: %v", tried)
	}
}

func testExchangedRecord(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	k := x.ticket(t, func(k *storage.Ticket) { k.Scope = "openid api:read" })
	if got := x.exchanged(t)["scope"]; got != "api:read openid" {
		t.Errorf("A25: granted %v of a ticket for openid api:read", got)
	}
	found := x.wantEvents(t, storage.EventImpersonationStarted, storage.EventSessionCreated, storage.EventTokenIssued)
	start, issued := found[0], found[2]
	if start.Data["entry"] != "api" || start.Data["ticket"] != k.ID || private(t, start).Reason != "Cannot see invoice 4711" || private(t, start).TicketRef != "SUP-1" {
		t.Errorf("start: %v, %+v", start.Data, private(t, start))
	}
	if issued.Data["grant_type"] != grantExchange {
		t.Errorf("issued: %v", issued.Data)
	}
	i := x.row(t)
	if i.TicketID != k.ID || i.Access != "full" || i.ExpiresAt.Time().Sub(i.StartedAt.Time()) != 10*time.Minute {
		t.Errorf("row: %+v", i)
	}
}

// What the rules made of a ticket when it was asked for, they make of it when it is
// exchanged: it began where it was asked for.
func TestRulesOfExchangedTickets(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	setPolicy(t, idp,
		denying("no exchanges", `entry == "token_exchange"`, "Ask for a ticket."),
		obliging("few scopes", `entry == "api"`, impersonation.Obligations{Scopes: []string{"email"}}),
	)
	x := newTrade(t, idp, nil)
	wantDenied(t, "without a ticket", x.call(x.form), http.StatusBadRequest, "invalid_request", "policy")
	x.ticket(t, nil)
	if got := x.exchanged(t)["scope"]; got != "email openid" {
		t.Errorf("scope of a ticket: got %v", got)
	}
	y := newTrade(t, idp, nil)
	y.bearer(t, nil)
	if got := y.exchanged(t)["scope"]; got != "email openid" {
		t.Errorf("scope of a bearer's ticket: got %v", got)
	}
}

// A client of which there is a server only takes a ticket's token, and no browser.
func TestTicketsForServers(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	x := newTrade(t, idp, func(c *storage.Client) { c.InitiateLoginURI, c.ClientURI = "", "" })
	var made struct{ ID, Token string }
	ask(t, idp, idp.APIKey(t, "impersonation:start"), http.StatusCreated, http.MethodPost, "/tickets", map[string]any{
		"user_id": x.subjectID(), "actor": map[string]any{"sub": x.actorID()}, "client_id": x.client, "reason": "Cannot see invoice 4711",
	}).Into(t, &made)
	wantStatus(t, "in a browser", x.browser.Post("/impersonate/"+made.Token, nil), http.StatusConflict)
	x.set("subject_token", made.Token, "subject_token_type", ticketType, "reason", "")
	x.wantActing(t, "access token", idptest.Claims(t, x.exchanged(t)["access_token"]))
	if i := x.row(t); i.TicketID != made.ID {
		t.Errorf("row: %+v", i)
	}
}

// Nobody signed in: that is on the record, no token says when, and there is no way back
// to a sign-in. What a ticket says besides is in the tokens.
func testExchangedBearer(t *testing.T, idp *idptest.IDP) {
	x := newTrade(t, idp, nil)
	x.bearer(t, func(k *storage.Ticket) { k.CustomClaims = `{"case":"4711"}` })
	claims := idptest.Claims(t, x.exchanged(t)["access_token"])
	x.wantActing(t, "access token", claims)
	if claims["auth_time"] != nil || claims["case"] != "4711" {
		t.Errorf("claims: %v", claims)
	}
	if i := x.row(t); i.LoginSID != "" || i.Binding != storage.BindingBearer || i.Entry != "api" {
		t.Errorf("row: %+v", i)
	}
	wantRefused(t, "the way back", x.call(x.back(t)), http.StatusBadRequest, "invalid_request")
	wantDenied(t, "once more", x.call(x.form), http.StatusBadRequest, "invalid_request", "ticket_spent")
	stop(t, &x.act, x.browser)
	wantRefused(t, "userinfo", userinfo(idp, str(t, x.tokens, "access_token")), http.StatusUnauthorized, "invalid_token")
}

// An app that people install exchanges when each installation has a key of its own.
func testExchangeOfNative(t *testing.T, idp *idptest.IDP) {
	key := idptest.NewKey(t, "k", "EdDSA")
	x := newTrade(t, idp, nil)
	idp.Change(t, x.client, func(c *storage.Client) {
		c.Type, c.TokenEndpointAuthMethod, c.SecretHash, c.JWKS, c.RequirePKCE = "native", "private_key_jwt", nil, idptest.KeySet(key), true
	})
	w := idp.Do(idptest.Form("/oauth2/token", key.Assert(t, x.client, x.form)))
	wantStatus(t, "native", w, http.StatusOK)

	idp.Change(t, x.client, func(c *storage.Client) { c.TokenEndpointAuthMethod, c.JWKS = "none", "" })
	x.set("client_assertion", "", "client_assertion_type", "", "client_id", x.client)
	wantRefused(t, "public", idp.Do(idptest.Form("/oauth2/token", x.form)), http.StatusBadRequest, "unauthorized_client")
}

// The rest needs a provider of its own: the switch, the limits, the clock.
func TestTokenExchangeSwitchedOff(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{SwitchOff: true})
	x := newTrade(t, idp, nil)
	wantDenied(t, "switched off", x.call(x.form), http.StatusBadRequest, "invalid_request", "switched_off")
	if !slices.Contains(idp.Do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)).JSON(t)["grant_types_supported"].([]any), any(grantExchange)) {
		t.Error("F11: not listed")
	}
}

// The rules of the operator hold for exchanges: what they oblige to shows in the answer,
// and what they say in the error.
func TestTokenExchangePolicy(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		_, err := idp.Provider.Impersonation.SetPolicy(t.Context(), compiled(t,
			impersonation.Rule{Name: "no executives", When: `subject.id == "usr_ada"`, Effect: impersonation.EffectDeny, Message: `Never "executives".`},
			impersonation.Rule{Name: "contractors", When: `ticket_ref == "SUP-1"`, Effect: impersonation.EffectOblige, Oblige: impersonation.Obligations{
				ReadOnly: true, MaxDuration: 5 * time.Minute, Scopes: []string{"api:read"},
			}},
		), "", 0, byTest, time.Now())
		check(t, err)
		x := newTrade(t, idp, func(c *storage.Client) { c.ImpersonationRefresh = true })
		x.set("ticket_ref", "SUP-1", "access", "full", "scope", "openid email offline_access api:read api:write")
		tokens := x.exchanged(t)
		told, _ := tokens["impersonation"].(map[string]any)
		if i := x.row(t); told["access"] != "read_only" || i.ExpiresAt.Time().Sub(i.StartedAt.Time()) != 5*time.Minute ||
			tokens["scope"] != "api:read openid" || tokens["refresh_token"] != nil || tokens["expires_in"].(float64) > 300 {
			t.Errorf("%v", tokens)
		}
		x.set("requested_token_type", refreshType)
		wantRefused(t, "a refresh token that is not left", x.call(x.form), http.StatusBadRequest, "invalid_request")
		x.set("requested_token_type", "", "ticket_ref", "", "subject_token", "usr_ada")
		w := x.call(x.form)
		wantDenied(t, "refused", w, http.StatusBadRequest, "invalid_request", "policy")
		if got := w.JSON(t)["error_description"]; got != "Never 'executives'." {
			t.Errorf("description %v", got)
		}
		if got := running(t, idp, x.client); got != 1 {
			t.Errorf("%d run", got)
		}
	})
}

// A26, T30: limits hold for exchanges, too.
func TestTokenExchangeLimits(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	x := newTrade(t, idp, nil)
	x.exchanged(t)
	wantDenied(t, "a second at the client", x.call(x.form), http.StatusTooManyRequests, "invalid_request", "concurrent")
	for range 9 {
		wantStatus(t, "back", x.call(x.back(t)), http.StatusOK)
		x.exchanged(t)
	}
	wantStatus(t, "back", x.call(x.back(t)), http.StatusOK)
	wantDenied(t, "the eleventh within an hour", x.call(x.form), http.StatusTooManyRequests, "invalid_request", "rate")
}

// What a client sends keeps nobody but the client from anything: it is refused, for that
// actor, once it was refused too often, and the actor still starts what they want.
func TestTokenExchangeRefusedTooOften(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		x, other := newTrade(t, idp, nil), newTrade(t, idp, nil)
		x.ticket(t, nil)
		x.exchanged(t)
		wantStatus(t, "back", x.call(x.back(t)), http.StatusOK)
		for range 15 {
			wantDenied(t, "a spent ticket", x.call(x.form), http.StatusBadRequest, "invalid_request", "ticket_spent")
		}
		x.set("subject_token", x.subjectID(), "subject_token_type", userIDType, "reason", "x")
		for range 16 { // the one after thirty is still decided about
			wantDenied(t, "malformed", x.call(x.form), http.StatusBadRequest, "invalid_request", "reason")
		}
		x.set("reason", "Cannot see invoice 4711")
		wantDenied(t, "too often", x.call(x.form), http.StatusTooManyRequests, "invalid_request", "too_many_refusals")
		x.browser.ActAs("usr_ada", asking())
		client := x.client
		x.client = other.client
		x.by(str(t, x.signsIn(t, x.browser), "access_token"))
		wantStatus(t, "by another client", x.call(x.form), http.StatusOK)
		x.client = client
		wantStatus(t, "another actor", other.call(other.form), http.StatusOK)
	})
}

// A25: what was presented runs out, and with it what it gave.
func TestTokenExchangeExpiry(t *testing.T) {
	t.Parallel()
	o := unlimited(idptest.Options{Handlers: longSessions})
	o.Provider.Impersonation.StepUpMaxAge = time.Hour
	clocked(t, o, func(t *testing.T, idp *idptest.IDP) {
		x := newTrade(t, idp, nil)
		subject := person(t, idp, x.subject)
		time.Sleep(4 * time.Minute)
		theirs := str(t, x.signsIn(t, subject), "access_token")
		time.Sleep(7 * time.Minute)
		x.exchanged(t)
		first, actor := idptest.Claims(t, x.tokens["access_token"])["exp"], idptest.Claims(t, x.own["access_token"])["exp"]
		if first != actor || x.tokens["expires_in"].(float64) > 240 {
			t.Errorf("exp %v, and the actor's is %v; expires_in %v", first, actor, x.tokens["expires_in"])
		}
		x.by(str(t, x.signsIn(t, x.browser), "access_token"))
		x.from(theirs)
		x.exchanged(t)
		if got, want := idptest.Claims(t, x.tokens["access_token"])["exp"], idptest.Claims(t, theirs)["exp"]; got != want {
			t.Errorf("exp %v, and the subject's is %v", got, want)
		}
		time.Sleep(8*time.Minute + time.Second)
		wantRefused(t, "the subject's token has expired", x.call(x.form), http.StatusBadRequest, "invalid_request")
		x.set("subject_token", x.subjectID(), "subject_token_type", userIDType)
		wantStatus(t, "the actor's has not", x.call(x.form), http.StatusOK)
		time.Sleep(7 * time.Minute)
		wantRefused(t, "and now it has", x.call(x.form), http.StatusBadRequest, "invalid_request")
	})
}

// Whatever is sent, an exchange starts something only with what it needs, and answers
// in OAuth's words otherwise (SECURITY A25).
func FuzzTokenExchange(f *testing.F) {
	idp := idptest.New(f, unlimited(idptest.Options{}))
	x := newTrade(f, idp, func(c *storage.Client) { c.ImpersonationRefresh = true })
	actor, theirs := x.form.Get("actor_token"), str(f, x.signsIn(f, person(f, idp, x.subject)), "access_token")
	x.exchanged(f)
	acting := str(f, x.tokens, "access_token")
	seed := func(pairs ...string) {
		form, _ := url.ParseQuery(x.form.Encode())
		having(pairs...)(form)
		text := form.Encode()
		for name, token := range map[string]string{"ACTING": acting, "ACTOR": actor, "THEIRS": theirs} {
			text = strings.ReplaceAll(text, token, name)
		}
		f.Add(text)
	}
	for _, subject := range []string{"usr_ada", "usr_root", "THEIRS", "ACTOR", "ACTING", "ur_x", "uc_x", "utl_x", "tkt_x", "%00", "e30.e30.e30", strings.Repeat(".", 5000)} {
		for _, kind := range []string{userIDType, accessType, ticketType, idType, ""} {
			seed("subject_token", subject, "subject_token_type", kind)
		}
	}
	for _, pairs := range [][]string{
		{"actor_token", "THEIRS"},
		{"actor_token", "ACTING"},
		{"actor_token", ""},
		{"actor_token_type", ""},
		{"requested_token_type", idType},
		{"requested_token_type", refreshType},
		{"requested_subject", x.actorID()},
		{"scope", "openid  offline_access admin"},
		{"resource", "https://api.example"},
		{"audience", x.client},
		{"duration", "99999999999999999999"},
		{"access", "full"},
		{"reason", "\u202e"},
		{"organization", "org_globex"},
		{"grant_type", "refresh_token"},
		{
			"subject_token_type", accessType, "subject_token", "ACTING",
			"actor_token", "", "actor_token_type", "", "reason", "", "requested_subject", x.actorID(),
		},
		{"subject_token_type", accessType, "subject_token", "ACTING", "actor_token", "", "actor_token_type", "", "reason", ""},
		{"subject_token_type", accessType, "subject_token", "THEIRS", "actor_token", "", "actor_token_type", "", "reason", "", "scope", "openid"},
	} {
		seed(pairs...)
	}
	f.Fuzz(func(t *testing.T, body string) {
		body = strings.NewReplacer("ACTING", acting, "ACTOR", actor, "THEIRS", theirs).Replace(body)
		r := request(http.MethodPost, "/oauth2/token", "", body)
		r.SetBasicAuth(x.client, idptest.Secret)
		w := idp.Do(r)
		if w.Status != http.StatusOK {
			if code, _ := w.JSON(t)["error"].(string); w.Status < 400 || w.Status > 499 || code == "" {
				t.Errorf("%q: status %d: %s", body, w.Status, w.Body)
			}
			return
		}
		form, err := url.ParseQuery(body)
		begins := form.Get("actor_token") == actor && form.Get("actor_token_type") == accessType && form.Get("requested_subject") == "" &&
			(form.Get("subject_token_type") == userIDType || form.Get("subject_token_type") == accessType && form.Get("subject_token") == theirs)
		ends := form.Get("subject_token") == acting && form.Get("requested_subject") == x.actorID() && form.Get("actor_token") == ""
		narrows := form.Get("actor_token") == "" && form.Get("requested_subject") == "" && form.Get("subject_token_type") == accessType
		answer := w.JSON(t)
		acts := begins || narrows && form.Get("subject_token") == acting
		if err != nil || form.Get("grant_type") != grantExchange || acts != (answer["impersonation"] != nil) {
			t.Errorf("%q: %s", body, w.Body)
		}
		if n := slices.DeleteFunc([]bool{begins, ends, narrows}, func(is bool) bool { return !is }); len(n) != 1 {
			t.Errorf("%q: begins %v, ends %v, narrows %v: %s", body, begins, ends, narrows, w.Body)
		}
		if ends { // and something runs for the next
			acting = str(t, x.exchanged(t), "access_token")
		}
	})
}
