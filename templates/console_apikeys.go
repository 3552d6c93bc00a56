package templates

import (
	"net/http"
	"time"
)

// APIKeysPage lists API keys, the latest first, and makes one.
type APIKeysPage struct {
	Page
	Rows         []APIKeyRow
	Newer, Older string
	Form         Form
	Now          time.Time
}

// APIKeyRow is an API key in a list.
type APIKeyRow struct {
	ID, Name     string
	Permissions  []string
	Organization string // empty: it reaches everything
	Client       string // whom it stands in for; empty: nobody
	Maker        string // empty: an operator
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	LastUsedAt   time.Time // zero: never
	RevokedAt    time.Time // zero: it was not
}

// Ended reports whether the key opens nothing any more.
func (r APIKeyRow) Ended(now time.Time) bool {
	return !r.RevokedAt.IsZero() || !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now)
}

// APIKeys posts to p.Form.Action.
func (s *Set) APIKeys(w http.ResponseWriter, status int, p APIKeysPage) error {
	return s.render(w, status, "console/api_keys", p)
}

// APIKeyPage shows an API key, with its secret while that can be shown.
type APIKeyPage struct {
	Page
	Key    APIKeyRow
	Secret string // empty: it was shown
	Issuer string
	Now    time.Time
}

// Try is a command that calls the API with the secret.
func (p APIKeyPage) Try() string {
	return "curl -H 'Authorization: Bearer " + p.Secret + "' '" + p.Issuer + "/api/v1/users?limit=1'"
}

// APIKey posts to /admin/api-keys/{id}/stored when the secret was stored, and to
// /admin/api-keys/{id}/revoke.
func (s *Set) APIKey(w http.ResponseWriter, status int, p APIKeyPage) error {
	return s.render(w, status, "console/api_key", p)
}
