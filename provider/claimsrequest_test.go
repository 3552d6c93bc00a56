package provider

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Whatever a claims parameter says, only claims that there are come of it, in order,
// each once, and none beyond the scopes of the client.
func FuzzParseClaims(f *testing.F) {
	for _, text := range []string{
		"", "null", "{}", "[]", `"x"`, "1", `{"userinfo":null,"id_token":null}`, `{"userinfo":{"name":null,"email":{"essential":true}}}`,
		`{"id_token":{"acr":{"essential":true,"values":["urn:x"]},"sub":{"value":"usr_ada"}}}`, `{"id_token":{"sub":{"values":["a","b"]},"auth_time":null}}`,
		`{"userinfo":{"sub":{"value":1},"act":null,"role":null}}`, `{"userinfo":{"name":{"essential":"yes"}}}`, `{"userinfo":{"name":null},"userinfo":{"email":null}}`,
		`{"USERINFO":{"name":null}}`, `{"userinfo":{"name":{"value":null,"values":[null,{},[]]}}}`, `{"userinfo":{"\u006eame":null}}`, "\xff", `{"userinfo":{"name":null}}x`,
		strings.Repeat(`{"userinfo":`, 2000), `{"userinfo":` + strings.Repeat("[", 5000), `{"id_token":{"acr":{"value":"a","values":["b","a"]}}}`,
	} {
		f.Add(text, "openid email")
	}
	f.Fuzz(func(t *testing.T, text, scope string) {
		c, err := parseClaims(text)
		if err != nil {
			if e := AsError(err); e.Code != "invalid_request" || e.Status != 400 || strings.Contains(e.Description, "json") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is taken", text)
		}
		scopes := strings.Fields(scope)
		for what, c := range map[string]*claimsRequest{"all": c, "within": c.within(scopes)} {
			for _, names := range [][]string{c.userinfo, c.idToken} {
				if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
					t.Errorf("%s of %q: %v", what, text, names)
				}
				for _, name := range names {
					if scopeOf(name) == "" || what == "within" && !slices.Contains(scopes, scopeOf(name)) {
						t.Errorf("%s of %q: %s", what, text, name)
					}
				}
			}
			for _, scope := range c.scopes() {
				if !slices.ContainsFunc(append(slices.Clone(c.userinfo), c.idToken...), func(name string) bool { return scopeOf(name) == scope }) {
					t.Errorf("%s of %q stands for %s", what, text, scope)
				}
			}
		}
		once, twice := c.within(scopes), c.within(scopes).within(scopes)
		if !slices.Equal(once.userinfo, twice.userinfo) || !slices.Equal(once.idToken, twice.idToken) || !reflect.DeepEqual(twice.subjects, c.subjects) || !slices.Equal(twice.acr, c.acr) {
			t.Errorf("within of %q: %+v, and then %+v", text, once, twice)
		}
	})
}
