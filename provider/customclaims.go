package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What claims of a caller's own may be at most.
const (
	maxCustomClaims = 4 << 10 // bytes of JSON
	maxCustomDepth  = 8
	maxClaimName    = 128
)

// reservedClaims are the names that mean something to somebody else: the registered
// claims of RFC 7519 and of what refers to it (IANA "JSON Web Token Claims"), what
// introspection adds (RFC 7662), ours, and what widespread libraries read rights from.
// The claims about users are in userClaims.
var reservedClaims = folded(`
	iss sub aud exp nbf iat jti azp nonce auth_time at_hash c_hash s_hash rt_hash acr amr sub_jwk sub_id cnf sid
	act may_act scope client_id events toe txn vot vtm attest origid orig dest mky rph roles groups entitlements
	authorization_details verified_claims vc vp drn rexp _claim_names _claim_sources _sd _sd_alg sd_hash htm htu ath atc
	token_introspection active token_type username status title location jcard div opt sph msgi crn exi
	ace_profile cnonce at_use_nbr sip_from_tag sip_date sip_callid sip_cseq_num sip_via_branch rcd rcdi
	eat_nonce eat_profile ueid sueids oemid hwmodel hwversion oemboot dbgstat submods uptime bootcount bootseed
	swname swversion manifests measurements measres intuse dloas cdniv cdnicrit cdniip cdniuc cdniets cdnistt cdnistd
	sig_val_claims place_of_birth nationalities birth_family_name birth_given_name birth_middle_name salutation
	msisdn also_known_as geohash trust_framework
	org_id org_name org_slug org_role org_permissions gid login_sid user_id actor act_mode impersonator impersonated impersonation
	scopes scp role permissions su authorities realm_access resource_access wids cognito:groups token_use typ tenants dct tid oid upn ver fva
	__proto__ prototype constructor`)

// nestedClaims are the names that mean the same at every depth: who really acts, and
// what a merge of objects in JavaScript takes for more than a member.
var nestedClaims = folded(`act may_act __proto__ prototype constructor`)

func folded(names string) []string {
	var all []string
	for _, name := range strings.Fields(names) {
		all = append(all, foldClaim(name))
	}
	return all
}

// foldClaim is a claim's name as a careless reader may take it: clientId for client_id.
func foldClaim(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// claimName is how claims of a caller's own are called: ASCII, so that no other
// spelling looks like a registered one.
var claimName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:/#~-]*$`)

// customClaims returns what is kept of claims of a caller's own that may be said in
// tokens, under their own names: a JSON object, empty where there are none. The error is
// what is wrong: they never take the place of a registered claim, nor look like one, at
// any depth where it would be read.
func customClaims(claims map[string]any) (string, error) {
	if len(claims) == 0 {
		return "", nil
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		value := claims[name]
		if err := checkClaimName(name); err != nil {
			return "", err
		}
		if err := checkClaimValue(value, 2); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", errors.New("are no JSON")
	}
	if len(text) > maxCustomClaims {
		return "", fmt.Errorf("are longer than %d bytes of JSON", maxCustomClaims)
	}
	return string(text), nil
}

func checkClaimName(name string) error {
	fold := foldClaim(name)
	switch {
	case len(name) > maxClaimName || !claimName.MatchString(name):
		return fmt.Errorf("%.40q: a name is a letter and then letters, digits and _.:/#~-, %d at most", name, maxClaimName)
	case slices.Contains(reservedClaims, fold) || isUserClaim(fold):
		return fmt.Errorf("%s: is the name of another claim, or looks like it", name)
	}
	return nil
}

func isUserClaim(fold string) bool {
	for _, c := range userClaims {
		if foldClaim(c.name) == fold {
			return true
		}
	}
	return false
}

// checkClaimValue checks what a claim says. depth is how deep its members are.
func checkClaimValue(value any, depth int) error {
	switch v := value.(type) {
	case nil, bool:
		return nil
	case string:
		if !acceptable(v) {
			return errors.New("is not acceptable text")
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("is no number")
		}
	case int, int64:
	case json.Number:
		if _, err := strconv.ParseFloat(v.String(), 64); err != nil || !json.Valid([]byte(v)) {
			return errors.New("is a number that nobody can read")
		}
	case []any:
		if depth > maxCustomDepth {
			return errTooDeep
		}
		for _, item := range v {
			if err := checkClaimValue(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if depth > maxCustomDepth {
			return errTooDeep
		}
		for name, item := range v {
			if err := checkMember(name); err != nil {
				return err
			}
			if err := checkClaimValue(item, depth+1); err != nil {
				return err
			}
		}
	default:
		return errors.New("is no JSON")
	}
	return nil
}

var errTooDeep = fmt.Errorf("is nested deeper than %d levels", maxCustomDepth)

// checkMember checks a name within a claim, which is the caller's own but for those
// that mean the same everywhere.
func checkMember(name string) error {
	printable := strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r >= utf8.RuneSelf-1 }) < 0
	switch {
	case name == "" || len(name) > maxClaimName || !printable:
		return fmt.Errorf("%.40q: a member's name has 1 to %d printable ASCII characters", name, maxClaimName)
	case slices.Contains(nestedClaims, foldClaim(name)):
		return fmt.Errorf("%.40q: is the name of another claim, or looks like it", name)
	}
	return nil
}

// readClaimsObject reads what customClaims returned, numbers as they were.
func readClaimsObject(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	err := decoder.Decode(&claims)
	return claims, err
}

// withCustom returns what a token says with claims of a caller's own: its own come
// last, whatever the others are called.
func withCustom(custom json.RawMessage, own any) any {
	if custom == nil {
		return own
	}
	all := map[string]json.RawMessage{}
	for _, part := range []json.RawMessage{custom, asRaw(own)} {
		if err := json.Unmarshal(part, &all); err != nil {
			panic(err) // objects that we wrote
		}
	}
	return all
}
