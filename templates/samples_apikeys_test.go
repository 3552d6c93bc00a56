package templates

import (
	"net/http"
	"time"
)

func (p APIKeysPage) show(s *Set, w http.ResponseWriter) error { return s.APIKeys(w, http.StatusOK, p) }

func (p APIKeyPage) show(s *Set, w http.ResponseWriter) error { return s.APIKey(w, http.StatusOK, p) }

// apiKeySamples are the pages about API keys.
func apiKeySamples() map[string]any {
	helpdesk := APIKeyRow{
		ID: "key_1", Name: "Helpdesk", Permissions: []string{"users:read", "impersonation:start"}, Maker: "Root", Organization: "Globex", Client: "shop",
		CreatedAt: now.Add(-240 * time.Hour), ExpiresAt: now.Add(80 * 24 * time.Hour), LastUsedAt: now.Add(-3 * time.Minute),
	}
	script := APIKeyRow{ID: "key_2", Name: "Nightly script", Permissions: []string{"events:read"}, CreatedAt: now.Add(-time.Hour)}
	revoked, expired := script, script
	revoked.RevokedAt, expired.ExpiresAt = now, now
	form := Form{Action: "/admin/api-keys", Groups: []FieldGroup{{Fields: []Field{
		{Name: "name", Label: "Name", Hint: "What it is for, for those who see it here.", Required: true},
		{Kind: FieldChecks, Name: "permissions", Label: "What it may do", Choices: []Choice{{Value: "users:read", Label: "users:read", Chosen: true}, {Value: "events:read", Label: "events:read"}}},
		{Kind: FieldSelect, Name: "lifetime", Label: "It can be used for", Choices: []Choice{{Value: "90", Label: "90 days", Chosen: true}}},
	}}}}
	wrong := form
	wrong.Groups = []FieldGroup{{Fields: []Field{
		{Name: "name", Label: "Name", Error: "is missing"},
		{Kind: FieldChecks, Name: "permissions", Label: "What it may do", Error: "Choose at least one permission."},
		{Name: "organization", Label: "Only this organization", Value: "Hooli", Error: "There is no such organization."},
	}}}
	return map[string]any{
		"console_api_keys":        APIKeysPage{Page: framed(""), Now: now, Rows: []APIKeyRow{helpdesk, script, revoked, expired}, Older: "/admin/api-keys?after=x", Newer: "/admin/api-keys", Form: form},
		"console_api_keys_empty":  APIKeysPage{Page: framed(""), Now: now, Form: form},
		"console_api_keys_wrong":  APIKeysPage{Page: framed(""), Now: now, Form: wrong},
		"console_api_key":         APIKeyPage{Page: framed("The key opens nothing any more."), Now: now, Key: helpdesk, Issuer: "https://id.example"},
		"console_api_key_secret":  APIKeyPage{Page: framed(""), Now: now, Key: script, Issuer: "https://id.example", Secret: "usk_x"},
		"console_api_key_revoked": APIKeyPage{Page: framed(""), Now: now, Key: revoked, Issuer: "https://id.example"},
		"console_api_key_expired": APIKeyPage{Page: framed(""), Now: now, Key: expired, Issuer: "https://id.example"},
	}
}
