package provider

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// A25: what an exchange says is read as a whole, or not at all.
func TestParseExchange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string // parameters, form-encoded; an empty value takes one out
		ok     bool
	}{
		"as it should be":               {"", true},
		"every term":                    {"ticket_ref=SUP-1&organization=org_1&access=full&duration=60&scope=openid&resource=https://api.test", true},
		"empty values are none":         {"access=&duration=&requested_token_type=&requested_subject=&scope=", true},
		"unknown parameters":            {"purpose=x&subject_issuer=y", true},
		"no subject_token":              {"subject_token=", false},
		"no subject_token_type":         {"subject_token_type=", false},
		"another subject_token_type":    {"subject_token_type=" + typeIDToken, false},
		"nearly a subject_token_type":   {"subject_token_type=" + typeAccessToken + "%20", false},
		"actor_token alone":             {"actor_token_type=", false},
		"actor_token_type alone":        {"actor_token=", false},
		"no actor":                      {"actor_token=&actor_token_type=", true}, // whether one is needed depends on the subject
		"another actor_token_type":      {"actor_token_type=" + typeUserID, false},
		"another requested_token_type":  {"requested_token_type=" + typeTicket, false},
		"another access":                {"access=FULL", false},
		"duration that is none":         {"duration=0", false},
		"duration of a fraction":        {"duration=1.5", false},
		"duration with a sign":          {"duration=%2B5", false},
		"duration in hexadecimals":      {"duration=0x10", false},
		"duration of a hundred years":   {"duration=52560000", false},
		"the way back":                  {"subject_token_type=" + typeAccessToken + "&actor_token=&actor_token_type=&reason=&requested_subject=usr_1", true},
		"the way back of a user id":     {"actor_token=&actor_token_type=&reason=&requested_subject=usr_1", false},
		"the way back with a reason":    {"subject_token_type=" + typeAccessToken + "&actor_token=&actor_token_type=&requested_subject=usr_1", false},
		"the way back with a duration":  {"subject_token_type=" + typeAccessToken + "&actor_token=&actor_token_type=&reason=&duration=5&requested_subject=usr_1", false},
		"the way back with an actor":    {"subject_token_type=" + typeAccessToken + "&reason=&requested_subject=usr_1", false},
		"the way back in an org of its": {"subject_token_type=" + typeAccessToken + "&actor_token=&actor_token_type=&reason=&organization=o&requested_subject=usr_1", false},
	} {
		form := url.Values{
			"subject_token": {"usr_2"}, "subject_token_type": {typeUserID}, "actor_token": {"x"}, "actor_token_type": {typeAccessToken}, "reason": {"because of this"},
		}
		change, err := url.ParseQuery(c.change)
		if err != nil {
			t.Fatal(err)
		}
		for parameter, values := range change {
			form[parameter] = values
		}
		x, err := parseExchange(form)
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && AsError(err).Code != errInvalidRequest.Code {
			t.Errorf("%s: got %v, want invalid_request", name, err)
		}
		if name == "every term" && (x.duration != time.Hour || x.access != impersonation.Full || !slices.Equal(x.audience, []string{"https://api.test"})) {
			t.Errorf("%s: got %+v", name, x)
		}
	}
}

// may_act names the actor, or nobody: what cannot be checked is not assumed (RFC 8693
// section 4.4; SECURITY A25).
func TestMayAct(t *testing.T) {
	t.Parallel()
	const issuer, actor = "https://id.test", "usr_sam"
	for claim, want := range map[string]bool{
		`{"sub":"usr_sam"}`:                          true,
		`{"sub":"usr_sam","iss":"https://id.test"}`:  true,
		`{"sub":"usr_sam","iss":"https://id.test/"}`: false,
		`{"sub":"usr_sam","iss":null}`:               false,
		`{"sub":"usr_sam","client_id":"app"}`:        false,
		`{"sub":"usr_sam","act":{"sub":"usr_sam"}}`:  false,
		`{"sub":"usr_Sam"}`:                          false,
		`{"sub":"usr_sam "}`:                         false,
		`{"Sub":"usr_sam"}`:                          false,
		`{"sub":["usr_sam"]}`:                        false,
		`{"sub":""}`:                                 false,
		`{"email":"sam@example.test"}`:               false,
		`{"iss":"https://id.test"}`:                  false,
		`{}`:                                         false,
		`[]`:                                         false,
		`[{"sub":"usr_sam"}]`:                        false,
		`"usr_sam"`:                                  false,
		`true`:                                       false,
		`null`:                                       false,
		`{"sub":"usr_olga","sub":"usr_sam","client_id":"usr_sam"}`: false,
	} {
		if got := mayActAs(json.RawMessage(claim), issuer, actor); got != want {
			t.Errorf("%s: got %v", claim, got)
		}
	}
	if mayActAs(json.RawMessage(`{"sub":""}`), issuer, "") {
		t.Error("nobody is named")
	}
	// It is read from a token where there is one.
	var token accessToken
	if err := json.Unmarshal([]byte(`{"sub":"usr_ada","may_act":{"sub":"usr_olga"}}`), &token); err != nil || mayActAs(token.MayAct, issuer, actor) {
		t.Errorf("%v, %s", err, token.MayAct)
	}
}

// A25, B12, B15: a client asks for what it has, and gets no more than there is.
func TestExchangeScopes(t *testing.T) {
	t.Parallel()
	c := &storage.Client{ID: "app", Scope: "openid email offline_access api:read", Audience: storage.List{"https://api.test"}}
	for name, want := range map[string]struct {
		x     exchangeRequest
		asks  string
		holds string // of a token that was presented
		left  string // empty: invalid_scope
		code  string
	}{
		"nothing said":          {exchangeRequest{}, "api:read email openid", "openid email offline_access api:read api:write", "api:read email openid", ""},
		"less held":             {exchangeRequest{}, "api:read email openid", "email", "email", ""},
		"less asked":            {exchangeRequest{scope: []string{"email"}}, "email", "openid email", "email", ""},
		"twice":                 {exchangeRequest{scope: []string{"email", "email"}}, "email", "email", "email", ""},
		"more asked than held":  {exchangeRequest{scope: []string{"email", "openid"}}, "email openid", "email", "", ""},
		"more than the client":  {exchangeRequest{scope: []string{"api:write"}}, "api:write", "api:write", "api:write", "invalid_scope"},
		"in capitals":           {exchangeRequest{scope: []string{"Email"}}, "Email", "email", "", "invalid_scope"},
		"a refresh token":       {exchangeRequest{requestedType: typeRefreshToken}, "api:read email offline_access openid", "email", "email offline_access", ""},
		"an API":                {exchangeRequest{audience: []string{"https://api.test", "https://id.test"}}, "api:read email openid", "email", "email", ""},
		"another API":           {exchangeRequest{audience: []string{"https://api.test", "https://evil.test"}}, "api:read email openid", "email", "email", "invalid_target"},
		"an API in an ID token": {exchangeRequest{requestedType: typeIDToken, audience: []string{"https://api.test"}}, "api:read email openid", "email", "email", "invalid_target"},
	} {
		asked := want.x.asks(c)
		if got := strings.Join(asked, " "); got != want.asks {
			t.Errorf("%s: asks for %q", name, got)
		}
		err, code := want.x.mayAsk(c, "https://id.test"), ""
		if err != nil {
			code = AsError(err).Code
		}
		if code != want.code {
			t.Errorf("%s: got %v", name, err)
		}
		x := exchange{exchangeRequest: &want.x, scopes: asked}
		err = x.narrow(want.holds)
		if got := strings.Join(x.scopes, " "); (err != nil) != (want.left == "") || err == nil && got != want.left {
			t.Errorf("%s: left %q, %v", name, got, err)
		}
	}
	if c.Scope != "openid email offline_access api:read" {
		t.Error("the client was changed")
	}
}
