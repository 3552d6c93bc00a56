package provider

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/storage"
)

func nested(depth int) any {
	var v any = "deep"
	for range depth {
		v = map[string]any{"in": v}
	}
	return v
}

// Custom claims go under their own names, and never under another's, however it is
// spelled.
func TestCheckCustomClaims(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		ok     bool
	}{
		"none":                           {nil, true},
		"one":                            {map[string]any{"plan": "gold"}, true},
		"every kind":                     {map[string]any{"a": nil, "b": true, "c": 1.5, "d": "x", "e": []any{1.0, "y"}, "f": map[string]any{"g h": 2.0}, "i": json.Number("9007199254740993")}, true},
		"a URI":                          {map[string]any{"https://helpdesk.example/case": "4711"}, true},
		"begins like one":                {map[string]any{"subject_line": "x", "action": "y", "audience_size": 3.0, "scope_note": "z"}, true},
		"as large as it may be":          {map[string]any{"a": strings.Repeat("x", 4096-len(`{"a":""}`))}, true},
		"as deep as it may be":           {map[string]any{"a": nested(7)}, true},
		"a member called sub":            {map[string]any{"team": map[string]any{"sub": "x", "name": "y"}}, true},
		"no name":                        {map[string]any{"": "x"}, false},
		"a name that is too long":        {map[string]any{strings.Repeat("x", 129): "x"}, false},
		"a space":                        {map[string]any{"my claim": "x"}, false},
		"a digit first":                  {map[string]any{"1st": "x"}, false},
		"a line":                         {map[string]any{"a\nb": "x"}, false},
		"NUL":                            {map[string]any{"a\x00": "x"}, false},
		"too large":                      {map[string]any{"a": strings.Repeat("x", 4097-len(`{"a":""}`))}, false},
		"too deep":                       {map[string]any{"a": nested(8)}, false},
		"too deep a list":                {map[string]any{"a": []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{}}}}}}}}}, false},
		"not a number":                   {map[string]any{"a": json.Number("1e999")}, false},
		"no number":                      {map[string]any{"a": json.Number("NaN")}, false},
		"no JSON":                        {map[string]any{"a": struct{}{}}, false},
		"no text":                        {map[string]any{"a": "\xff"}, false},
		"NUL in a text":                  {map[string]any{"a": "\x00"}, false},
		"that nobody impersonates":       {map[string]any{"impersonated": false}, false},
		"roles as Keycloak has them":     {map[string]any{"realm_access": map[string]any{"roles": []any{"admin"}}}, false},
		"groups as Cognito has them":     {map[string]any{"cognito:groups": []any{"admin"}}, false},
		"another kind of token":          {map[string]any{"token_use": "id"}, false},
		"act within":                     {map[string]any{"a": map[string]any{"act": map[string]any{"sub": "usr_root"}}}, false},
		"act within a list":              {map[string]any{"a": []any{map[string]any{"b": []any{map[string]any{"Act": 1.0}}}}}, false},
		"may_act within":                 {map[string]any{"a": map[string]any{"mayAct": "x"}}, false},
		"a prototype within":             {map[string]any{"a": map[string]any{"__proto__": map[string]any{"admin": true}}}, false},
		"letters that look alike within": {map[string]any{"a": map[string]any{"\u0430ct": "x"}}, false},
	} {
		if _, err := customClaims(c.claims); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range strings.Fields(`iss sub aud exp nbf iat jti act may_act scope scp client_id azp nonce auth_time at_hash c_hash acr amr sid cnf
		org_id gid roles groups entitlements permissions name email email_verified phone_number address updated_at impersonator impersonation
		active username token_type __proto__ constructor authorization_details _claim_names events`) {
		for _, spelled := range []string{
			name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], strings.ReplaceAll(name, "_", ""), strings.ReplaceAll(name, "_", "-"),
			name + "_", name + "\u200b", name + " ", "\ufeff" + name, name + "\x00", strings.Map(func(r rune) rune { return r + 0xfee0 }, name),
			strings.NewReplacer("a", "\u0430", "c", "\u0441", "e", "\u0435", "o", "\u043e", "i", "\u0456").Replace(name),
			strings.NewReplacer("s", "\u017f", "k", "\u212a").Replace(name),
		} {
			if _, err := customClaims(map[string]any{spelled: "x"}); err == nil {
				t.Errorf("%q passes for a claim of the caller's own", spelled)
			}
		}
	}
}

// Whatever passes: what we say is what we would say without it, in every place.
func FuzzCustomClaims(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"plan":"gold"}`, `{"act":{"sub":"usr_root"}}`, `{"Sub":"x"}`, `{"a":{"act":1}}`, `{"ſub":1}`, `{"exp":9e99}`, `{"a":[[[[[[[[[]]]]]]]]]}`,
		`{"__proto__":{"admin":true}}`, `{"https://x.example/y":12345678901234567890}`, `{"scope":"admin","SCOPE":"admin"}`, `{"a":"\u0000"}`, `{"\u0061ct":1}`,
	} {
		f.Add(seed)
	}
	now := time.Unix(1_790_000_000, 0)
	s := &Session{Sub: "usr_ada", Act: json.RawMessage(`{"sub":"usr_sam"}`), SID: "imp_1", ACR: acrImpersonation, NotAfter: now.Add(time.Hour)}
	id := &idToken{Issuer: "https://id.example", Subject: "usr_ada", Audience: "app", Expires: 2, IssuedAt: 1, SID: s.SID, Act: s.Act, ACR: s.ACR}
	access := &accessToken{Issuer: id.Issuer, Subject: id.Subject, Audience: audience{"x"}, Expires: 2, IssuedAt: 1, ID: "at_1", ClientID: "app", Scope: "openid", Act: s.Act}
	introspection := &Introspection{Active: true, Scope: "openid", ClientID: "app", Subject: id.Subject, Act: s.Act}
	members := func(t *testing.T, v any) map[string]any {
		var all map[string]any
		if err := json.Unmarshal(asRaw(v), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	f.Fuzz(func(t *testing.T, text string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			return
		}
		kept, err := customClaims(claims)
		if err != nil || kept == "" {
			return
		}
		g := &storage.Grant{CustomClaims: kept}
		custom := newSession(g).Custom
		for what, pair := range map[string][2]any{
			"ID token":      {id, withCustom(custom, id)},
			"access token":  {access, withCustom(custom, access)},
			"introspection": {introspection, &Introspection{Active: true, Scope: "openid", ClientID: "app", Subject: id.Subject, Act: s.Act, custom: custom}},
		} {
			own, all := members(t, pair[0]), members(t, pair[1])
			for name := range own {
				if !cmp.Equal(own[name], all[name]) {
					t.Fatalf("%s: %s is %v, not %v", what, name, all[name], own[name])
				}
			}
			for name := range all {
				if _, theirs := claims[name]; theirs {
					continue
				}
				if _, ours := own[name]; !ours {
					t.Fatalf("%s: %q came from nowhere", what, name)
				}
			}
			if len(all) != len(own)+len(claims) {
				t.Fatalf("%s: %d claims of %d and %d", what, len(all), len(own), len(claims))
			}
			// Readers that do not mind the case find ours too.
			for name := range claims {
				for registered := range own {
					if strings.EqualFold(name, registered) {
						t.Fatalf("%s: %q passes for %q", what, name, registered)
					}
				}
			}
			var read accessToken // as Go reads it
			if json.Unmarshal(asRaw(pair[1]), &read) != nil || read.Subject != "usr_ada" || string(read.Act) != string(s.Act) || read.ClientID != own["client_id"] && own["client_id"] != nil {
				t.Fatalf("%s: reads as %+v", what, read)
			}
		}
	})
}
