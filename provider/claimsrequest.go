package provider

import (
	"encoding/json"
	"slices"
	"strings"
)

// claimsRequest is what of a claims parameter means something here (OpenID Connect
// Core 5.5). Claims that nobody knows are left out, essential or not.
type claimsRequest struct {
	userinfo, idToken []string   // names of user claims
	subjects          [][]string // of each list that there is, sub has to be in it
	acr               []string   // the values that acr is to have
	acrNamed          bool       // there are such values, although none may be a text
	acrEssential      bool
}

// means reports whether a request that names its user means this one (section 5.5.1).
func (c *claimsRequest) means(sub string) bool {
	return !slices.ContainsFunc(c.subjects, func(list []string) bool { return !slices.Contains(list, sub) })
}

// What a grant keeps of its claims parameter: the names, with spaces between them.
const (
	claimsOfUserinfo = "claims_userinfo"
	claimsOfIDToken  = "claims_id_token"
)

// parseClaims reads a claims parameter.
func parseClaims(text string) (*claimsRequest, error) {
	malformed := errInvalidRequest.with("The claims parameter is not the JSON object that OpenID Connect defines.")
	var given struct {
		Userinfo map[string]json.RawMessage `json:"userinfo"`
		IDToken  map[string]json.RawMessage `json:"id_token"`
	}
	if json.Unmarshal([]byte(text), &given) != nil || strings.TrimSpace(text) == "null" {
		return nil, malformed
	}
	c := &claimsRequest{}
	for _, part := range []struct {
		asked map[string]json.RawMessage
		into  *[]string
	}{{given.Userinfo, &c.userinfo}, {given.IDToken, &c.idToken}} {
		for name, request := range part.asked {
			var how claimRequest
			if json.Unmarshal(request, &how) != nil {
				return nil, malformed
			}
			switch {
			case name == "sub" && how.named():
				c.subjects = append(c.subjects, how.wanted())
			case name == "acr" && part.into == &c.idToken:
				c.acr, c.acrNamed, c.acrEssential = how.wanted(), how.named(), how.Essential
			case scopeOf(name) != "":
				*part.into = append(*part.into, name)
			}
		}
		slices.Sort(*part.into)
	}
	return c, nil
}

// claimRequest is how one claim is asked for; null asks in the ordinary way.
type claimRequest struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// named reports whether certain values are asked for.
func (c claimRequest) named() bool { return c.Value != nil || c.Values != nil }

// wanted returns the values that are texts, as those of sub and acr are.
func (c claimRequest) wanted() []string {
	var wanted []string
	for _, v := range append([]any{c.Value}, c.Values...) {
		if s, ok := v.(string); ok {
			wanted = append(wanted, s)
		}
	}
	return wanted
}

// scopeOf returns the scope that stands for a user claim, empty where it is none.
func scopeOf(claim string) string {
	for _, c := range userClaims {
		if c.name == claim {
			return c.scope
		}
	}
	return ""
}

// within leaves out the claims whose scope the client is not registered for:
// what it cannot have by a scope it cannot have by name either.
func (c *claimsRequest) within(scopes []string) *claimsRequest {
	allowed := *c
	for _, names := range []*[]string{&allowed.userinfo, &allowed.idToken} {
		*names = slices.DeleteFunc(slices.Clone(*names), func(name string) bool { return !slices.Contains(scopes, scopeOf(name)) })
	}
	return &allowed
}

// scopes returns the scopes that stand for the claims that were asked for.
func (c *claimsRequest) scopes() []string {
	var scopes []string
	for _, name := range append(slices.Clone(c.userinfo), c.idToken...) {
		if scope := scopeOf(name); !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// namesWithin returns the claims that a grant gives by name, without those whose scope
// a token has been narrowed not to have.
func namesWithin(names, granted, scope string) []string {
	if names == "" {
		return nil // as mostly
	}
	had, has := strings.Fields(granted), strings.Fields(scope)
	return slices.DeleteFunc(strings.Fields(names), func(name string) bool {
		s := scopeOf(name)
		return slices.Contains(had, s) && !slices.Contains(has, s)
	})
}
