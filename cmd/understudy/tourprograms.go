package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// grantTokenExchange is the grant type of RFC 8693.
const grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// exchanges plays an application's own server: with a token of Sam's it gets one of
// Ada's in which Sam acts, and gives it back.
func (v *visitor) exchanges() error {
	tokens, err := v.codeFlow("openid email", url.Values{"prompt": {"login"}}, url.Values{"continue_as": {"me"}, "action": {"allow"}})
	if err != nil {
		return err
	}
	access, _ := tokens["access_token"].(string)
	const kind = "urn:ietf:params:oauth:token-type:access_token"
	ask := url.Values{
		"grant_type": {grantTokenExchange}, "subject_token": {"usr_ada"}, "subject_token_type": {"urn:understudy:params:oauth:token-type:user-id"},
		"actor_token": {access}, "actor_token_type": {kind},
	}
	refused, status, err := v.call("/oauth2/token", ask)
	if err != nil {
		return err
	}
	if err := v.check("without a reason nothing is exchanged", status == http.StatusBadRequest && refused["error"] == "invalid_request"); err != nil {
		return err
	}
	ask.Set("reason", "Asked by phone to look at invoice 4711")
	got, status, err := v.call("/oauth2/token", ask)
	if err != nil {
		return err
	}
	acting, _ := got["access_token"].(string)
	claims := v.decoded("access-token", acting)
	act, _ := claims["act"].(map[string]any)
	if err := v.check("Sam's token and a reason give one of Ada's with act", status == http.StatusOK && claims["sub"] == "usr_ada" && act["sub"] == "usr_sam"); err != nil {
		return err
	}
	ask.Set("actor_token", acting)
	_, status, err = v.call("/oauth2/token", ask)
	if err != nil {
		return err
	}
	if err := v.check("who acts as Ada acts as nobody through her", status == http.StatusBadRequest); err != nil {
		return err
	}
	less, status, err := v.call("/oauth2/token", url.Values{
		"grant_type": {grantTokenExchange}, "subject_token": {acting}, "subject_token_type": {kind}, "scope": {"openid"},
	})
	if err != nil {
		return err
	}
	narrower, _ := less["access_token"].(string)
	claims = v.decoded("access-token", narrower)
	act, _ = claims["act"].(map[string]any)
	if err := v.check("a token for less says the same of both", status == http.StatusOK && claims["scope"] == "openid" && claims["sub"] == "usr_ada" && act["sub"] == "usr_sam"); err != nil {
		return err
	}
	back, status, err := v.call("/oauth2/token", url.Values{
		"grant_type": {grantTokenExchange}, "subject_token": {acting}, "subject_token_type": {kind}, "requested_subject": {"usr_sam"},
	})
	if err != nil {
		return err
	}
	own, _ := back["access_token"].(string)
	claims = v.decoded("access-token", own)
	if err := v.check("the way back gives a token of Sam's", status == http.StatusOK && claims["sub"] == "usr_sam" && claims["act"] == nil); err != nil {
		return err
	}
	for _, token := range []string{acting, narrower} {
		dead, _, err := v.call("/oauth2/introspect", url.Values{"token": {token}})
		if err != nil {
			return err
		}
		if err := v.check("and what Sam acted with is dead", dead["active"] == false); err != nil {
			return err
		}
	}
	return nil
}

// beginsAtTheHelpdesk plays a program: it asks for a ticket with an API key, a browser
// where nobody is signed in takes it, and a webhook hears of it.
func (v *visitor) beginsAtTheHelpdesk() error {
	key, err := v.apiKey("impersonation:start", "impersonation:read", "users:read")
	if err != nil {
		return err
	}
	heard, done, err := v.listens()
	if err != nil {
		return err
	}
	defer done()
	ask := map[string]any{
		"user_id": "usr_grace", "actor": map[string]any{"sub": "usr_sam"}, "client_id": demoClient, "organization": "org_globex",
		"reason": "Case 4711: her invoices do not add up", "ticket_ref": "SUP-4711", "binding": "bearer",
	}
	for _, refused := range []struct {
		what, member string
		value        any
	}{
		{"a program cannot make somebody act who may not", "actor", map[string]any{"sub": "usr_ada"}},
		{"nor have an administrator acted as", "user_id", "usr_root"},
	} {
		wrong := map[string]any{}
		for name, value := range ask {
			wrong[name] = value
		}
		wrong[refused.member] = refused.value
		problem, status, err := v.program(http.MethodPost, "/api/v1/tickets", key, wrong)
		if err != nil {
			return err
		}
		if err := v.check(refused.what, status == http.StatusForbidden && problem["code"] == "impersonation_denied"); err != nil {
			return err
		}
	}
	ticket, status, err := v.program(http.MethodPost, "/api/v1/tickets", key, ask)
	if err != nil {
		return err
	}
	address, _ := ticket["url"].(string)
	if err := v.check("the ticket waits, and has an address", status == http.StatusCreated && ticket["status"] == "pending" && address != ""); err != nil {
		return err
	}
	other, err := newVisitor(v.ctx, v.w, v.d)
	if err != nil {
		return err
	}
	err = other.takesTicket(address)
	v.checks += other.checks
	if err != nil {
		return err
	}
	name, _ := ticket["id"].(string)
	ticket, _, err = v.program(http.MethodGet, "/api/v1/tickets/"+name, key, nil)
	if err != nil {
		return err
	}
	if err := v.check("the ticket was accepted", ticket["status"] == "accepted"); err != nil {
		return err
	}
	return v.check("the webhook heard who started to act as Grace, and of the stop", heard("impersonation.started", "impersonation.stopped"))
}

// takesTicket opens a ticket's address in a browser that has never been here.
func (v *visitor) takesTicket(address string) error {
	if err := v.open(address); err != nil {
		return err
	}
	if err := v.check("its page says who will act as whom, and why", strings.Contains(v.whole(), "Sam Support") &&
		strings.Contains(v.whole(), "Grace Hopper") && strings.Contains(v.whole(), "Case 4711")); err != nil {
		return err
	}
	if err := v.submit("link-form", nil); err != nil {
		return err
	}
	if err := v.check("the application shows Grace", v.text("app-user") == "grace@globex.test"); err != nil {
		return err
	}
	act, _ := v.claims("id-token")["act"].(map[string]any)
	if err := v.check("and its ID token says that Sam acts", act["sub"] == "usr_sam"); err != nil {
		return err
	}
	page := v.page
	if err := v.open(v.d.providerURL + "/account"); err != nil {
		return err
	}
	if err := v.check("nobody is signed in at the provider by that", v.has("login-form")); err != nil {
		return err
	}
	v.page = page
	if err := v.open(v.d.appURL + "/"); err != nil {
		return err
	}
	if err := v.submit("stop-form", nil); err != nil {
		return err
	}
	return v.check("after Stop the application wants a sign-in", v.has("login-form") && !v.has("app-user"))
}

// followsRules keeps rules of an operator's own and is asked what they come to.
func (v *visitor) followsRules() error {
	key, err := v.apiKey("policies:write", "impersonation:read")
	if err != nil {
		return err
	}
	version, status, err := v.program(http.MethodPut, "/api/v1/policies", key, map[string]any{
		"based_on": 0, "note": "The tour's",
		"rules": []any{
			map[string]any{"name": "not at Initech", "when": `"org_initech" in subject.organizations`, "effect": "deny", "message": "Initech looks after its people itself."},
			map[string]any{"name": "briefly", "when": "true", "effect": "oblige", "oblige": map[string]any{"max_duration_minutes": 15, "read_only": true}},
		},
	})
	if err != nil {
		return err
	}
	if err := v.check("two rules are in force", status == http.StatusOK && version["version"] == 1.0); err != nil {
		return err
	}
	question := map[string]any{
		"actor_id": "usr_sam", "user_id": "usr_linus", "client_id": demoClient, "organization_id": "org_initech",
		"reason": "Cannot see invoice 4711", "access": "full", "duration_minutes": 60,
	}
	for _, asked := range []struct {
		what, subject, organization string
		holds                       func(answer map[string]any) bool
	}{
		{"Sam may not act as Linus, and which rule says so", "usr_linus", "org_initech", func(a map[string]any) bool {
			return a["allowed"] == false && a["rule"] == "not at Initech" && a["message"] == "Initech looks after its people itself."
		}},
		{"nor as an administrator: no rule takes that away", "usr_root", "org_understudy", func(a map[string]any) bool {
			return a["allowed"] == false && a["denial"] == "privileged"
		}},
		{"as Ada they may, to read, for a quarter of an hour", "usr_ada", "org_globex", func(a map[string]any) bool {
			owed, _ := a["obligations"].(map[string]any)
			return a["allowed"] == true && owed["read_only"] == true && owed["max_duration_minutes"] == 15.0
		}},
	} {
		question["user_id"], question["organization_id"] = asked.subject, asked.organization
		answer, _, err := v.program(http.MethodPost, "/api/v1/impersonations/explain", key, question)
		if err != nil {
			return err
		}
		if err := v.check(asked.what, asked.holds(answer)); err != nil {
			return err
		}
	}
	return nil
}

// codeFlow plays the application's part of a sign-in and returns its tokens.
func (v *visitor) codeFlow(scope string, more, consent url.Values) (map[string]any, error) {
	verifier, callback := strings.Repeat("tour-", 10), v.d.appURL+"/callback"
	sum := sha256.Sum256([]byte(verifier))
	v.catch = callback
	defer func() { v.catch = "" }()
	request := url.Values{
		"client_id": {demoClient}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {scope}, "state": {"tour"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	for name, values := range more {
		request[name] = values
	}
	if err := v.open(v.d.providerURL + "/oauth2/authorize?" + request.Encode()); err != nil {
		return nil, err
	}
	if v.has("login-form") {
		if err := v.submit("login-form", url.Values{"username": {"sam@understudy.test"}, "password": {demoPassword}}); err != nil {
			return nil, err
		}
	}
	if v.has("consent-form") {
		if err := v.submit("consent-form", consent); err != nil {
			return nil, err
		}
	}
	answer := v.at.Query()
	if err := v.check("the answer has a code, the state and the issuer", answer.Get("code") != "" && answer.Get("state") == "tour" && answer.Get("iss") == v.d.providerURL); err != nil {
		return nil, err
	}
	v.redeemed = url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}
	tokens, _, err := v.call("/oauth2/token", v.redeemed)
	return tokens, err
}

// apiKey makes a key, as `understudy apikey create` does.
func (v *visitor) apiKey(permissions ...string) (string, error) {
	k := &storage.APIKey{Name: "Tour", Permissions: permissions}
	secret, err := provider.NewAPIKeys(v.d.service.store).Create(v.ctx, k, operator(), time.Now())
	fmt.Fprintf(v.w, "   %s may %s\n", k.ID, strings.Join(permissions, ", "))
	return secret, err
}

// program calls the management API.
func (v *visitor) program(method, path, key string, body any) (map[string]any, int, error) {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, 0, err
		}
		sent = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(v.ctx, method, v.d.providerURL+path, sent)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return v.send(request)
}

// listens makes a webhook of its own on loopback. heard reports, within a while, whether
// it was told of events of these types by messages that its secret verifies.
func (v *visitor) listens() (heard func(types ...string) bool, done func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(v.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	hook := &storage.Webhook{URL: "http://" + l.Addr().String() + "/events", EventTypes: storage.List{"impersonation.*"}}
	secret, err := provider.NewWebhooks(v.d.service.prov).Create(v.ctx, hook, operator(), time.Now())
	if err != nil {
		return nil, nil, err
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, nil, err
	}
	told := make(chan string, 100)
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		var message struct {
			Type string `json:"type"`
		}
		if err != nil || verifier.Verify(body, r.Header) != nil || json.Unmarshal(body, &message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		told <- message.Type
		w.WriteHeader(http.StatusNoContent)
	}), v.d.service.log)
	go func() { _ = server.Serve(l) }()
	return func(types ...string) bool {
			ctx, cancel := context.WithTimeout(v.ctx, toldWithin)
			defer cancel()
			for len(types) > 0 {
				select {
				case got := <-told:
					fmt.Fprintf(v.w, "   webhook   %s\n", got)
					types = slices.DeleteFunc(types, func(t string) bool { return t == got })
				case <-ctx.Done():
					return false
				}
			}
			return true
		}, func() {
			_ = provider.NewWebhooks(v.d.service.prov).Delete(v.ctx, hook.ID, operator(), time.Now()) // the demo's database goes anyway
			_ = server.Close()
		}, nil
}
