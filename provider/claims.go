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

// scopeClaims returns the claims that the scopes stand for (OpenID Connect Core
// 5.4). What the user does not have is left out.
func scopeClaims(u *storage.User, scopes []string) map[string]any {
	claims := map[string]any{}
	text := func(name, value string) {
		if value != "" {
			claims[name] = value
		}
	}
	for _, scope := range scopes {
		switch scope {
		case scopeProfile:
			text("name", u.Name)
			text("given_name", u.GivenName)
			text("family_name", u.FamilyName)
			text("middle_name", u.MiddleName)
			text("nickname", u.Nickname)
			text("preferred_username", u.PreferredUsername)
			text("profile", u.Profile)
			text("picture", u.Picture)
			text("website", u.Website)
			text("gender", u.Gender)
			text("birthdate", u.Birthdate)
			text("zoneinfo", u.Zoneinfo)
			text("locale", u.Locale)
			claims["updated_at"] = u.UpdatedAt.Time().Unix()
		case scopeEmail:
			if u.Email != "" {
				claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
			}
		case scopePhone:
			if u.PhoneNumber != "" {
				claims["phone_number"], claims["phone_number_verified"] = u.PhoneNumber, u.PhoneNumberVerified
			}
		case scopeAddress:
			if u.Address != "" {
				claims["address"] = json.RawMessage(u.Address)
			}
		}
	}
	return claims
}

// actClaim returns the act claim (RFC 8693 section 4.1): the actor's sub, and what
// else the client is registered to see of the actor.
func actClaim(actor *storage.User, c *storage.Client) json.RawMessage {
	act := struct {
		Subject string `json:"sub"`
		Email   string `json:"email,omitempty"`
		Name    string `json:"name,omitempty"`
	}{Subject: actor.ID}
	if slices.Contains(c.ActClaims, "email") {
		act.Email = actor.Email
	}
	if slices.Contains(c.ActClaims, "name") {
		act.Name = actor.DisplayName()
	}
	return asRaw(act)
}

// unixOr returns seconds since the epoch, zero for no time.
func unixOr(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
