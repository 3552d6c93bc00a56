package provider

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// acrImpersonation is the acr of tokens in which somebody acts as the subject. It
// says nothing about how the subject signed in, because the subject did not.
const acrImpersonation = "urn:understudy:acr:impersonation"

// isIdentityScope reports whether a scope is about a user.
func isIdentityScope(scope string) bool {
	return slices.Contains([]string{scopeOpenID, scopeProfile, scopeEmail, scopeAddress, scopePhone, scopeOfflineAccess}, scope)
}

func splitSpace(s string) []string { return strings.Split(s, " ") }

// userClaims are the claims about a user, each with the scope that stands for it
// (OpenID Connect Core 5.1, 5.4) and how it is read. What the user does not have is nil.
var userClaims = []struct {
	name, scope string
	of          func(*storage.User) any
}{
	{"name", scopeProfile, func(u *storage.User) any { return orNil(u.Name) }},
	{"given_name", scopeProfile, func(u *storage.User) any { return orNil(u.GivenName) }},
	{"family_name", scopeProfile, func(u *storage.User) any { return orNil(u.FamilyName) }},
	{"middle_name", scopeProfile, func(u *storage.User) any { return orNil(u.MiddleName) }},
	{"nickname", scopeProfile, func(u *storage.User) any { return orNil(u.Nickname) }},
	{"preferred_username", scopeProfile, func(u *storage.User) any { return orNil(u.PreferredUsername) }},
	{"profile", scopeProfile, func(u *storage.User) any { return orNil(u.Profile) }},
	{"picture", scopeProfile, func(u *storage.User) any { return orNil(u.Picture) }},
	{"website", scopeProfile, func(u *storage.User) any { return orNil(u.Website) }},
	{"gender", scopeProfile, func(u *storage.User) any { return orNil(u.Gender) }},
	{"birthdate", scopeProfile, func(u *storage.User) any { return orNil(u.Birthdate) }},
	{"zoneinfo", scopeProfile, func(u *storage.User) any { return orNil(u.Zoneinfo) }},
	{"locale", scopeProfile, func(u *storage.User) any { return orNil(u.Locale) }},
	{"updated_at", scopeProfile, func(u *storage.User) any { return u.UpdatedAt.Time().Unix() }},
	{"email", scopeEmail, func(u *storage.User) any { return orNil(u.Email) }},
	{"email_verified", scopeEmail, func(u *storage.User) any { return ifSet(u.Email, u.EmailVerified) }},
	{"phone_number", scopePhone, func(u *storage.User) any { return orNil(u.PhoneNumber) }},
	{"phone_number_verified", scopePhone, func(u *storage.User) any { return ifSet(u.PhoneNumber, u.PhoneNumberVerified) }},
	{"address", scopeAddress, func(u *storage.User) any { return ifSet(u.Address, json.RawMessage(u.Address)) }},
}

func orNil(s string) any { return ifSet(s, s) }

// ifSet returns what is told about something that the user has.
func ifSet(has string, told any) any {
	if has == "" {
		return nil
	}
	return told
}

// claimsAbout returns the claims that the scopes stand for and those that were
// asked for by name.
func claimsAbout(u *storage.User, scopes, names []string) map[string]any {
	claims := map[string]any{}
	for _, c := range userClaims {
		if !slices.Contains(scopes, c.scope) && !slices.Contains(names, c.name) {
			continue
		}
		if value := c.of(u); value != nil {
			claims[c.name] = value
		}
	}
	return claims
}

// AllClaims returns everything that claims can say about a user, for the user.
func AllClaims(u *storage.User) map[string]any {
	claims := map[string]any{"sub": u.ID}
	for _, c := range userClaims {
		if value := c.of(u); value != nil {
			claims[c.name] = value
		}
	}
	return claims
}

// acrPassword says that the user showed a password. It is what an ordinary sign-in
// truthfully is, whatever was asked for.
const acrPassword = "urn:understudy:acr:password"

// actClaim returns the act claim (RFC 8693 section 4.1): the actor's sub, as the
// client knows people, and what else it is registered to see of the actor.
func actClaim(actor *storage.User, sub string, c *storage.Client) json.RawMessage {
	act := struct {
		Subject string `json:"sub"`
		Email   string `json:"email,omitempty"`
		Name    string `json:"name,omitempty"`
	}{Subject: sub}
	if slices.Contains(c.ActClaims, "email") {
		act.Email = actor.Email
	}
	if slices.Contains(c.ActClaims, "name") {
		act.Name = actor.DisplayName()
	}
	return asRaw(act)
}

// withSID adds to act the session in which the actor acts, as Clerk's tokens have it.
func withSID(act json.RawMessage, sid string) json.RawMessage {
	return json.RawMessage(strings.TrimSuffix(string(act), "}") + `,"sid":` + string(asRaw(sid)) + "}")
}

// unixOr returns seconds since the epoch, zero for no time.
func unixOr(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
