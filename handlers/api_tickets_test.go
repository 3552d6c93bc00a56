package handlers_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// ticketBody is what a help desk asks for and gets, but for what change does to it.
func ticketBody(change func(map[string]any)) map[string]any {
	body := map[string]any{
		"user_id": "usr_ada", "actor": map[string]any{"sub": "usr_sam"}, "client_id": "desk", "reason": "Cannot see invoice 4711", "ticket_ref": "SUP-4711",
	}
	if change != nil {
		change(body)
	}
	return body
}

func setting(pairs ...any) func(map[string]any) {
	return func(body map[string]any) {
		for i := 0; i < len(pairs); i += 2 {
			body[pairs[i].(string)] = pairs[i+1]
		}
	}
}

func lacking(name string) func(map[string]any) {
	return func(body map[string]any) { delete(body, name) }
}

// Each row breaks one thing about a ticket that is given.
func TestCreateTicket(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk", started)
		addClient(t, idp, "desk-callback", func(c *storage.Client) {
			byCallback(c)
			c.ResponseTypes, c.RedirectURIs = storage.List{"code", "code id_token"}, storage.List{idptest.Callback, "https://app.example/other"}
		})
		addClient(t, idp, "desk-one", func(c *storage.Client) { byCallback(c) })
		addClient(t, idp, "desk-home", func(c *storage.Client) { c.InitiateLoginURI, c.ClientURI = "", "https://app.example/" })
		addClient(t, idp, "desk-nowhere", func(c *storage.Client) { c.InitiateLoginURI, c.ClientURI = "", "" })
		addClient(t, idp, "desk-server", func(c *storage.Client) {
			c.InitiateLoginURI, c.ClientURI, c.GrantTypes = "", "", append(c.GrantTypes, grantExchange)
		})
		addClient(t, idp, "desk-pkce", func(c *storage.Client) { byCallback(c); c.RequirePKCE = true })
		addClient(t, idp, "desk-off", func(c *storage.Client) { started(c); c.AllowImpersonation = false })
		addClient(t, idp, "desk-initech", func(c *storage.Client) { started(c); c.Organizations = storage.List{"org_initech"} })
		disabled, admin, local := enroll(t, idp, unique("disabled"), ""), enroll(t, idp, unique("promoted"), "auditor"), enroll(t, idp, unique("local"), "")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			if err := tx.AddMember(ctx, "org_globex", local, "support", time.Now()); err != nil {
				return err
			}
			return tx.DisableUser(ctx, disabled, storage.Cause{}, time.Now())
		})
		callback := func(client string, pairs ...any) func(map[string]any) {
			return func(body map[string]any) {
				setting("client_id", client, "callback_url", idptest.Callback)(body)
				setting(pairs...)(body)
			}
		}
		claims := func(text string) func(map[string]any) { return setting("custom_claims", json.RawMessage(text)) }
		for what, c := range map[string]struct {
			change func(map[string]any)
			status int
			code   string // of the problem
			about  string // the field, or the denial
		}{
			"allowed":                   {nil, 201, "", ""},
			"bearer":                    {setting("binding", "bearer"), 201, "", ""},
			"full access":               {setting("access", "full"), 201, "", ""},
			"an hour to redeem it":      {setting("expires_in_seconds", 3600), 201, "", ""},
			"an hour":                   {setting("session_max_duration_in_seconds", 3600), 201, "", ""},
			"an address of its own":     {setting("target_link_uri", "https://app.example/invoices/4711"), 201, "", ""},
			"claims":                    {claims(`{"plan":"gold","https://desk.example/n":12345678901234567890}`), 201, "", ""},
			"more about the actor":      {setting("actor", map[string]any{"sub": "usr_sam", "email": "root@example.test", "act": map[string]any{"sub": "usr_root"}}), 201, "", ""},
			"callback":                  {callback("desk-callback", "state", "å state &=#", "response_type", "code id_token", "response_mode", "form_post", "scope", "openid email"), 201, "", ""},
			"the only callback":         {setting("client_id", "desk-one"), 201, "", ""},
			"a client with a home page": {setting("client_id", "desk-home"), 201, "", ""},
			"a client that exchanges":   {setting("client_id", "desk-server"), 201, "", ""},
			"a bearer for its server":   {setting("client_id", "desk-server", "binding", "bearer"), 201, "", ""},
			"an organization":           {setting("user_id", "usr_grace", "organization", "org_initech"), 201, "", ""},
			"a state of 1024 bytes":     {callback("desk-callback", "state", strings.Repeat("x", 1024)), 201, "", ""},

			"no user":                             {lacking("user_id"), 400, "invalid_request", "user_id"},
			"an empty user":                       {setting("user_id", ""), 400, "invalid_request", "user_id"},
			"no such user":                        {setting("user_id", "usr_nobody"), 403, "impersonation_denied", "subject"},
			"A04 the actor":                       {setting("user_id", "usr_sam"), 403, "impersonation_denied", "self"},
			"A04 a disabled user":                 {setting("user_id", disabled), 403, "impersonation_denied", "subject_inactive"},
			"A02 an administrator":                {setting("user_id", "usr_root"), 403, "impersonation_denied", "privileged"},
			"A02 somebody with a role":            {setting("user_id", admin), 403, "impersonation_denied", "privileged"},
			"no actor":                            {lacking("actor"), 400, "invalid_request", "actor"},
			"an actor without sub":                {setting("actor", map[string]any{"email": "sam@example.test"}), 400, "invalid_request", "actor.sub"},
			"an empty actor":                      {setting("actor", map[string]any{"sub": ""}), 400, "invalid_request", "actor.sub"},
			"an actor of text":                    {setting("actor", "usr_sam"), 400, "invalid_request", "actor"},
			"A01 an actor who is nobody":          {setting("actor", map[string]any{"sub": "usr_nobody"}), 403, "impersonation_denied", "actor"},
			"A01 an actor without the permission": {setting("actor", map[string]any{"sub": "usr_linus"}), 403, "impersonation_denied", "permission"},
			"A01 an actor with other permissions": {setting("actor", map[string]any{"sub": "usr_olga"}), 403, "impersonation_denied", "permission"},
			"A14 a disabled actor":                {setting("actor", map[string]any{"sub": disabled}), 403, "impersonation_denied", "actor_inactive"},
			"an actor out of reach of the user":   {setting("actor", map[string]any{"sub": local}, "user_id", "usr_linus"), 403, "impersonation_denied", "subject"},
			"no client":                           {lacking("client_id"), 400, "invalid_request", "client_id"},
			"no such client":                      {setting("client_id", "nothing"), 400, "unknown_reference", "client_id"},
			"A07 not opted in":                    {setting("client_id", "desk-off"), 403, "impersonation_denied", "client_not_opted_in"},
			"a client for others":                 {setting("client_id", "desk-initech"), 403, "impersonation_denied", "organization"},
			"a client without users":              {setting("client_id", "service"), 400, "invalid_request", "client_id"},
			"a client without an address":         {setting("client_id", "desk-nowhere"), 400, "invalid_request", "client_id"},
			"a bearer for a home page":            {setting("client_id", "desk-home", "binding", "bearer"), 400, "invalid_request", "binding"},
			"another organization":                {setting("organization", "org_initech"), 403, "impersonation_denied", "organization"},
			"no organization of two":              {setting("user_id", "usr_grace"), 400, "invalid_request", "organization"},
			"A06 no reason":                       {lacking("reason"), 400, "invalid_request", "reason"},
			"A06 an empty reason":                 {setting("reason", ""), 400, "invalid_request", "reason"},
			"A06 a short reason":                  {setting("reason", "short"), 400, "invalid_request", "reason"},
			"A06 a long reason":                   {setting("reason", strings.Repeat("x", 501)), 400, "invalid_request", "reason"},
			"A06 a blank reason":                  {setting("reason", " \u200b\u200b\u00a0         "), 400, "invalid_request", "reason"},
			"a reference that turns":              {setting("ticket_ref", "SUP\u202e1"), 400, "invalid_request", "ticket_ref"},
			"no such access":                      {setting("access", "root"), 400, "invalid_request", "access"},
			"no such binding":                     {setting("binding", "anybody"), 400, "invalid_request", "binding"},
			"A21 too long to redeem it":           {setting("expires_in_seconds", 3601), 400, "invalid_request", "expires_in_seconds"},
			"A21 too long for a bearer":           {setting("expires_in_seconds", 121, "binding", "bearer"), 400, "invalid_request", "expires_in_seconds"},
			"no time":                             {setting("expires_in_seconds", 0), 400, "invalid_request", "expires_in_seconds"},
			"negative time":                       {setting("expires_in_seconds", -1), 400, "invalid_request", "expires_in_seconds"},
			"half a second":                       {setting("expires_in_seconds", 0.5), 400, "invalid_request", "expires_in_seconds"},
			"A12 too long":                        {setting("session_max_duration_in_seconds", 3601), 400, "invalid_request", "session_max_duration_in_seconds"},
			"too short":                           {setting("session_max_duration_in_seconds", 59), 400, "invalid_request", "session_max_duration_in_seconds"},
			"A12 ages":                            {setting("session_max_duration_in_seconds", 1e18), 400, "invalid_request", "session_max_duration_in_seconds"},
			"T12 a target elsewhere":              {setting("target_link_uri", "https://evil.example/"), 400, "invalid_request", "target_link_uri"},
			"T12 a target nearly":                 {setting("target_link_uri", "https://app.example@evil.example/"), 400, "invalid_request", "target_link_uri"},
			"T12 a script":                        {setting("target_link_uri", "javascript:alert(1)"), 400, "invalid_request", "target_link_uri"},
			"a target with a callback":            {callback("desk-callback", "target_link_uri", "https://app.example/"), 400, "invalid_request", "target_link_uri"},
			"A22 a callback of others":            {callback("desk-callback", "callback_url", "https://evil.example/"), 400, "invalid_request", "callback_url"},
			"A22 a callback nearly":               {callback("desk-callback", "callback_url", idptest.Callback+"/"), 400, "invalid_request", "callback_url"},
			"A22 none of several":                 {setting("client_id", "desk-callback"), 400, "invalid_request", "callback_url"},
			"T01 a callback of a client that did not choose it": {setting("callback_url", idptest.Callback), 400, "invalid_request", "callback_url"},
			"a state without a callback":                        {setting("state", "x"), 400, "invalid_request", "state"},
			"a type without a callback":                         {setting("response_type", "code"), 400, "invalid_request", "response_type"},
			"a mode without a callback":                         {setting("response_mode", "query"), 400, "invalid_request", "response_mode"},
			"a scope without a callback":                        {setting("scope", "openid"), 400, "invalid_request", "scope"},
			"a callback of who requires PKCE":                   {callback("desk-pkce"), 400, "invalid_request", "client_id"},
			"another type":                                      {callback("desk-callback", "response_type", "id_token"), 400, "invalid_request", "response_type"},
			"a type of capitals":                                {callback("desk-callback", "response_type", "CODE"), 400, "invalid_request", "response_type"},
			"no such mode":                                      {callback("desk-callback", "response_mode", "web_message"), 400, "invalid_request", "response_mode"},
			"a query for an ID token":                           {callback("desk-callback", "response_type", "code id_token", "response_mode", "query"), 400, "invalid_request", "response_mode"},
			"A22 a long state":                                  {callback("desk-callback", "state", strings.Repeat("x", 1025)), 400, "invalid_request", "state"},
			"a state of lines":                                  {callback("desk-callback", "state", "a\r\nb"), 400, "invalid_request", "state"},
			"B15 another scope":                                 {callback("desk-callback", "scope", "openid admin"), 400, "invalid_request", "scope"},
			"a claim of ours":                                   {claims(`{"act":{"sub":"usr_root"}}`), 400, "invalid_request", "custom_claims"},
			"a claim that looks like one":                       {claims(`{"Client-ID":"x"}`), 400, "invalid_request", "custom_claims"},
			"act within a claim":                                {claims(`{"a":{"b":[{"act":{}}]}}`), 400, "invalid_request", "custom_claims"},
			"claims too long":                                   {claims(`{"a":"` + strings.Repeat("x", 4096) + `"}`), 400, "invalid_request", "custom_claims"},
			"claims too deep":                                   {claims(`{"a":[[[[[[[[1]]]]]]]]}`), 400, "invalid_request", "custom_claims"},
			"a list of claims":                                  {claims(`[]`), 400, "invalid_request", "custom_claims"},
			"no claims":                                         {claims(`null`), 400, "invalid_request", "custom_claims"},
			"something unknown":                                 {setting("admin", true), 400, "invalid_request", "admin"},
			"the kind of entry":                                 {setting("entry", "console"), 400, "invalid_request", "entry"},
		} {
			key := idp.APIKey(t, impersonation.PermissionStart)
			w := idp.API(t, key, http.MethodPost, "/tickets", ticketBody(c.change))
			if w.Status != c.status {
				t.Errorf("%s: status %d, want %d: %s", what, w.Status, c.status, w.Body)
				continue
			}
			if c.status == http.StatusCreated {
				checkTicket(t, idp, what, ticketBody(c.change), w)
				continue
			}
			p := w.Problem(t)
			switch {
			case p.Code != c.code:
				t.Errorf("%s: got %+v", what, p)
			case p.Denial != nil:
				if *p.Denial != c.about || p.Detail == nil {
					t.Errorf("%s: denied for %s", what, *p.Denial)
				}
			case p.Errors == nil || !slices.ContainsFunc(*p.Errors, func(e api.FieldError) bool { return e.Field == c.about && e.Message != "" }):
				t.Errorf("%s: got %s, want something about %s", what, w.Body, c.about)
			}
			if strings.Contains(w.Body, "utk_") {
				t.Errorf("%s: a token: %s", what, w.Body)
			}
		}
	})
}

// checkTicket checks what is answered to who gets a ticket.
func checkTicket(t *testing.T, idp *idptest.IDP, what string, body map[string]any, w *idptest.Response) {
	t.Helper()
	var made map[string]any
	w.Into(t, &made)
	token, _ := made["token"].(string)
	if !strings.HasPrefix(token, "utk_") || made["url"] != idptest.Issuer+"/impersonate/"+token || made["status"] != "pending" || made["impersonation_id"] != nil {
		t.Errorf("%s: %v", what, made)
	}
	for name, want := range map[string]any{"access": "read_only", "binding": "actor_session", "session_max_duration_in_seconds": 1800.0, "target_link_uri": nil, "organization": "org_globex"} {
		if given, ok := body[name]; ok {
			want = given
			if n, isInt := given.(int); isInt {
				want = float64(n)
			}
		}
		if name == "session_max_duration_in_seconds" && body[name] == nil {
			want = idp.Provider.Impersonation.Limits().DefaultDuration.Seconds()
		}
		if made[name] != want {
			t.Errorf("%s: %s is %v, want %v", what, name, made[name], want)
		}
	}
	if actor, _ := made["actor"].(map[string]any); len(actor) != 1 || actor["sub"] != "usr_sam" {
		t.Errorf("%s: actor %v", what, made["actor"])
	}
	lives := 120 * time.Second
	if n, ok := body["expires_in_seconds"].(int); ok {
		lives = time.Duration(n) * time.Second
	}
	var times struct {
		Created time.Time       `json:"created_at"`
		Expires time.Time       `json:"expires_at"`
		Claims  json.RawMessage `json:"custom_claims"`
	}
	w.Into(t, &times)
	if got := times.Expires.Sub(times.Created); got != lives {
		t.Errorf("%s: lives for %v", what, got)
	}
	if given, ok := body["custom_claims"].(json.RawMessage); ok && len(times.Claims) != len(given) {
		t.Errorf("%s: claims %s", what, times.Claims)
	}
}

// A ticket may need the user's own permission where silence is enough otherwise: when it
// is asked for, when it is explained, and when it is redeemed.
func TestTicketNeedsConsent(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk", started)
		key := idp.APIKey(t, "impersonation:start", "impersonation:read", "users:read")
		consent := func(needed bool) func(map[string]any) {
			return setting("validate_consent", needed, "binding", "bearer")
		}
		create := func(needed bool) *idptest.Response {
			return idp.API(t, key, http.MethodPost, "/tickets", ticketBody(consent(needed)))
		}
		explained := func(needed bool) bool {
			w := idp.API(t, key, http.MethodPost, "/impersonations/explain", map[string]any{
				"actor_id": "usr_sam", "user_id": "usr_ada", "client_id": "desk", "validate_consent": needed,
			})
			wantStatus(t, "explain", w, http.StatusOK)
			return w.JSON(t)["allowed"] == true
		}
		wantStatus(t, "silence", create(false), http.StatusCreated)
		w := create(true)
		if wantStatus(t, "silence is a no", w, http.StatusForbidden); *w.Problem(t).Denial != string(impersonation.DenySupportAccess) || explained(true) || !explained(false) {
			t.Errorf("got %s", w.Body)
		}
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.PutSupportAccess(ctx, &storage.SupportAccess{
				UserID: "usr_ada", Mode: storage.SupportUntil, ExpiresAt: storage.At(time.Now().Add(time.Hour)), UpdatedAt: storage.At(time.Now()),
			})
		})
		if !explained(true) {
			t.Error("explained where she has allowed it: no")
		}
		for _, needed := range []bool{false, true} {
			w := create(needed)
			wantStatus(t, "she has allowed it", w, http.StatusCreated)
			var made api.TicketWithToken
			w.Into(t, &made)
			if made.ValidateConsent != needed || idp.API(t, key, http.MethodGet, "/tickets/"+made.ID, nil).JSON(t)["validate_consent"] != needed {
				t.Errorf("got %s", w.Body)
			}
			// Nobody's own permission is to be had any more.
			check(t, provider.NewSettings(idp.Store).SetSupportRule(t.Context(), storage.SupportManaged, storage.Cause{}, time.Now()))
			b := idp.Browser(t)
			b.Post("/impersonate/"+made.Token, nil)
			_, said := answered(b.Get(asking("client_id", "desk", "login_hint", made.ID)))
			if redeemed := said.Has("code"); redeemed == needed {
				t.Errorf("needed %v: redeemed %v", needed, redeemed)
			}
			check(t, provider.NewSettings(idp.Store).SetSupportRule(t.Context(), storage.SupportOptional, storage.Cause{}, time.Now()))
		}
	})
}

// What becomes of a ticket, and who may see and revoke it.
func TestTickets(t *testing.T) {
	onBoth(t, func(t *testing.T, idp *idptest.IDP) {
		addClient(t, idp, "desk", started)
		start, read := idp.APIKey(t, impersonation.PermissionStart), idp.APIKey(t, impersonation.PermissionRead)
		localAgent := unique("agent")
		enroll(t, idp, localAgent, "")
		idp.Write(t, func(ctx context.Context, tx *storage.Tx) error {
			return tx.AddMember(ctx, "org_globex", "usr_"+localAgent, "support", time.Now())
		})
		globex := idp.LocalAPIKey(t, "org_globex", impersonation.PermissionStart, impersonation.PermissionRead)
		initech := idp.LocalAPIKey(t, "org_initech", impersonation.PermissionStart, impersonation.PermissionRead)
		create := func(t *testing.T, key string, change func(map[string]any)) (made struct{ ID, Token, Status string }) {
			t.Helper()
			w := idp.API(t, key, http.MethodPost, "/tickets", ticketBody(change))
			wantStatus(t, "create", w, http.StatusCreated)
			w.Into(t, &made)
			return made
		}
		status := func(t *testing.T, id string) string {
			t.Helper()
			w := idp.API(t, read, http.MethodGet, "/tickets/"+id, nil)
			wantStatus(t, "show", w, http.StatusOK)
			for _, secret := range []string{"token", "url", "utk_"} {
				if strings.Contains(w.Body, `"`+secret) {
					t.Errorf("shows the %s: %s", secret, w.Body)
				}
			}
			return str(t, w.JSON(t), "status")
		}
		t.Run("statuses", func(t *testing.T) {
			one := create(t, start, nil)
			if got := status(t, one.ID); got != "pending" {
				t.Errorf("made: %s", got)
			}
			w := idp.API(t, start, http.MethodPost, "/tickets/"+one.ID+"/revoke", nil)
			wantStatus(t, "revoke", w, http.StatusOK)
			if w.JSON(t)["status"] != "revoked" || status(t, one.ID) != "revoked" {
				t.Errorf("revoked: %s", w.Body)
			}
			if p := idp.API(t, start, http.MethodPost, "/tickets/"+one.ID+"/revoke", nil).Problem(t); p.Status != http.StatusConflict || p.Code != "conflict" {
				t.Errorf("revoked again: %+v", p)
			}
			wantStatus(t, "its link", idp.Browser(t).Post("/impersonate/"+one.Token, nil), http.StatusSeeOther) // to the login page
			if n := len(events(t, idp, func(e storage.Event) bool {
				return e.Type == storage.EventImpersonationRevoked && e.Data["ticket"] == one.ID
			})); n != 1 {
				t.Errorf("G01: %d times on the record", n)
			}

			used := create(t, start, setting("binding", "bearer", "actor", map[string]any{"sub": "usr_" + agent(t, idp)}))
			b := idp.Browser(t)
			hint := b.Post("/impersonate/"+used.Token, nil).Location().Query().Get("login_hint")
			if got := status(t, used.ID); got != "pending" || hint != used.ID {
				t.Errorf("taken: %s", got)
			}
			b.Get(asking("client_id", "desk", "login_hint", hint))
			shown := idp.API(t, read, http.MethodGet, "/tickets/"+used.ID, nil).JSON(t)
			if shown["status"] != "accepted" || !strings.HasPrefix(str(t, shown, "impersonation_id"), "imp_") {
				t.Errorf("used: %v", shown)
			}
			wantStatus(t, "revoke a used one", idp.API(t, start, http.MethodPost, "/tickets/"+used.ID+"/revoke", nil), http.StatusConflict)

			late := create(t, start, nil)
			expire(t, idp, late.ID)
			if got := status(t, late.ID); got != "expired" {
				t.Errorf("late: %s", got)
			}
			wantStatus(t, "revoke a late one", idp.API(t, start, http.MethodPost, "/tickets/"+late.ID+"/revoke", nil), http.StatusConflict)

			// Taken by a browser, and revoked before the application asked.
			used = create(t, start, setting("binding", "bearer"))
			b = idp.Browser(t)
			b.Post("/impersonate/"+used.Token, nil)
			wantStatus(t, "revoke a taken one", idp.API(t, start, http.MethodPost, "/tickets/"+used.ID+"/revoke", nil), http.StatusOK)
			wantStatus(t, "behind it", b.Get(asking("client_id", "desk", "login_hint", used.ID)), http.StatusForbidden)
		})
		t.Run("F08 within reach", func(t *testing.T) {
			theirs := create(t, globex, setting("actor", map[string]any{"sub": "usr_" + localAgent}))
			for what, c := range map[string]struct {
				change func(map[string]any)
				denial string
			}{
				"an actor of everywhere":  {nil, "actor"},
				"an actor who is nobody":  {setting("actor", map[string]any{"sub": "usr_nobody"}), "actor"},
				"a user of another":       {setting("user_id", "usr_linus", "actor", map[string]any{"sub": "usr_" + localAgent}), "subject"},
				"a user who is nobody":    {setting("user_id", "usr_nobody", "actor", map[string]any{"sub": "usr_" + localAgent}), "subject"},
				"in another organization": {setting("user_id", "usr_grace", "organization", "org_initech", "actor", map[string]any{"sub": "usr_" + localAgent}), "organization"},
			} {
				p := idp.API(t, globex, http.MethodPost, "/tickets", ticketBody(c.change)).Problem(t)
				if p.Denial == nil || *p.Denial != c.denial {
					t.Errorf("%s: %+v", what, p)
				}
			}
			create(t, globex, setting("user_id", "usr_grace", "actor", map[string]any{"sub": "usr_" + localAgent})) // for which of hers goes without saying
			for what, key := range map[string]string{"another organization": initech} {
				for _, call := range [][2]string{{http.MethodGet, ""}, {http.MethodPost, "/revoke"}} {
					wantStatus(t, what, idp.API(t, key, call[0], "/tickets/"+theirs.ID+call[1], nil), http.StatusNotFound)
				}
				if w := idp.API(t, key, http.MethodGet, "/tickets?limit=100", nil); strings.Contains(w.Body, theirs.ID) {
					t.Errorf("%s lists it", what)
				}
			}
			if w := idp.API(t, globex, http.MethodGet, "/tickets?limit=100", nil); !strings.Contains(w.Body, theirs.ID) {
				t.Errorf("its own list lacks it: %s", w.Body)
			}
			wantStatus(t, "only read", idp.API(t, read, http.MethodPost, "/tickets", ticketBody(nil)), http.StatusForbidden)
			wantStatus(t, "only read", idp.API(t, read, http.MethodPost, "/tickets/"+theirs.ID+"/revoke", nil), http.StatusForbidden)
			wantStatus(t, "only start", idp.API(t, start, http.MethodGet, "/tickets", nil), http.StatusForbidden)
			wantStatus(t, "nothing", idp.API(t, read, http.MethodGet, "/tickets/tkt_nothing", nil), http.StatusNotFound)
			wantStatus(t, "A24 a token as an id", idp.API(t, read, http.MethodGet, "/tickets/"+theirs.Token, nil), http.StatusNotFound)
			wantStatus(t, "A24 a token as a key", idp.API(t, theirs.Token, http.MethodGet, "/tickets", nil), http.StatusUnauthorized)
		})
		t.Run("a page at a time", func(t *testing.T) {
			of := "usr_" + agent(t, idp)
			want := map[string]bool{}
			for range 5 {
				want[create(t, start, setting("actor", map[string]any{"sub": of})).ID] = true
			}
			got, cursor := map[string]bool{}, ""
			for range 4 {
				var page struct {
					Data       []struct{ ID string }
					NextCursor *string `json:"next_cursor"`
				}
				w := idp.API(t, read, http.MethodGet, "/tickets?limit=2&actor_id="+of+cursor, nil)
				wantStatus(t, "page", w, http.StatusOK)
				w.Into(t, &page)
				for _, row := range page.Data {
					got[row.ID] = true
				}
				if page.NextCursor == nil {
					break
				}
				cursor = "&cursor=" + *page.NextCursor
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			for filter, n := range map[string]int{
				"status=pending": 5, "status=accepted": 0, "status=revoked": 0, "status=expired": 0, "user_id=usr_ada": 5, "user_id=usr_linus": 0,
				"client_id=desk": 5, "client_id=app": 0, "status=pending&user_id=usr_ada&client_id=desk": 5,
			} {
				var page struct{ Data []any }
				idp.API(t, read, http.MethodGet, "/tickets?actor_id="+of+"&"+filter, nil).Into(t, &page)
				if len(page.Data) != n {
					t.Errorf("%s: %d, want %d", filter, len(page.Data), n)
				}
			}
			wantStatus(t, "F09 a status there is not", idp.API(t, read, http.MethodGet, "/tickets?status=lost", nil), http.StatusBadRequest)
		})
		t.Run("A17 who acts", func(t *testing.T) {
			b := person(t, idp, agent(t, idp))
			token := str(t, idp.Tokens(t, b.ActAs("usr_ada", idptest.Request(nil))), "access_token")
			for _, call := range [][2]string{{http.MethodGet, "/tickets"}, {http.MethodPost, "/tickets"}} {
				w := idp.API(t, token, call[0], call[1], nil)
				if w.Status != http.StatusForbidden && w.Status != http.StatusUnauthorized {
					t.Errorf("%v: %d %s", call, w.Status, w.Body)
				}
			}
		})
		t.Run("once for an Idempotency-Key", func(t *testing.T) {
			one := idp.API(t, start, http.MethodPost, "/tickets", ticketBody(nil), "Idempotency-Key", "desk-4711")
			two := idp.API(t, start, http.MethodPost, "/tickets", ticketBody(nil), "Idempotency-Key", "desk-4711")
			if one.Status != http.StatusCreated || one.Body != two.Body {
				t.Errorf("%d %s, then %d %s", one.Status, one.Body, two.Status, two.Body)
			}
		})
	})
}

// A26: a caller is bound by the limits of the actor it names, and where it is refused
// for one it goes on for others.
func TestTicketLimits(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	addClient(t, idp, "desk", started)
	key := idp.APIKey(t, impersonation.PermissionStart)
	deny := func(change func(map[string]any)) string {
		w := idp.API(t, key, http.MethodPost, "/tickets", ticketBody(change))
		if w.Status == http.StatusCreated {
			return ""
		}
		return str(t, w.JSON(t), "denial")
	}
	w := idp.API(t, key, http.MethodPost, "/tickets", ticketBody(setting("binding", "bearer")))
	b := idp.Browser(t)
	hint := b.Post("/impersonate/"+str(t, w.JSON(t), "token"), nil).Location().Query().Get("login_hint")
	b.Get(asking("client_id", "desk", "login_hint", hint))
	if got := deny(nil); got != "concurrent" {
		t.Errorf("a second at the client: %q", got)
	}
	again := func() *idptest.Response {
		return idp.API(t, key, http.MethodPost, "/tickets", ticketBody(nil), "Idempotency-Key", "once")
	}
	if w := again(); w.Status != http.StatusTooManyRequests || w.Problem(t).Code != "rate_limited" {
		t.Errorf("A26 a second at the client: %d %s", w.Status, w.Body)
	}
	running, err := idp.Store.Impersonations(t.Context(), storage.ImpersonationFilter{Actor: "usr_sam", Running: true}, time.Now())
	check(t, err)
	check(t, idp.Provider.Impersonation.End(t.Context(), running[0].ID, storage.Cause{}, time.Now()))
	wantStatus(t, "once the first has ended", again(), http.StatusCreated)
	for range 40 {
		deny(setting("user_id", "usr_root"))
	}
	if got := deny(setting("user_id", "usr_root")); got != "too_many_refusals" {
		t.Errorf("refused too often: %q", got)
	}
	for _, path := range []string{"/tickets", "/approvals"} {
		w := idp.API(t, key, http.MethodPost, path, ticketBody(setting("user_id", "usr_root")))
		if wait, err := strconv.Atoi(w.Header.Get("Retry-After")); w.Status != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 15*60 {
			t.Errorf("A26 %s: %d, Retry-After %q", path, w.Status, w.Header.Get("Retry-After"))
		}
	}
	if got := deny(setting("actor", map[string]any{"sub": "usr_root"})); got != "" {
		t.Errorf("for another actor: %q", got)
	}
}
