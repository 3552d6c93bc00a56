package templates

import (
	"net/http"
	"time"
)

// SettingsPage is what administrators may change, and what the configuration settles.
type SettingsPage struct {
	Page
	Enabled              bool
	Running              int    // how many act as somebody now
	Rule                 string // optional, required or managed
	ReasonMin, ReasonMax int
	Confirm              bool // the password is to be shown
	// The mail: whether there is a server, to whom a test goes, and how it stands.
	MailSet                 bool
	MailTo                  string
	MailWaiting, MailFailed int64
	MailError               string
	MailErrorAt, Now        time.Time
	Locked                  []SettingGroup
	Errors                  []FieldError // of rule and password
}

// SettingGroup is a part of the configuration.
type SettingGroup struct {
	Title    string
	Settings []SettingRow
}

// SettingRow is a value of the configuration, and where it comes from: default, file,
// env or flag.
type SettingRow struct{ Key, Value, Source string }

// Settings posts nothing to /admin/settings/mail-test, enabled to /admin/settings/acting, and rule and password to
// /admin/settings/support-access.
func (s *Set) Settings(w http.ResponseWriter, status int, p SettingsPage) error {
	return s.render(w, status, "console/settings", struct {
		SettingsPage
		Problem map[string]string
	}{p, problems(p.Errors)})
}

// SwitchActingPage asks whether to switch signing in as others on.
type SwitchActingPage struct {
	Page
	Clients int64 // applications that allow it
	Rule    string
	Longest time.Duration
	Confirm bool // the password is to be shown
	Errors  []FieldError
}

// SwitchActing posts enabled and password to /admin/settings/acting.
func (s *Set) SwitchActing(w http.ResponseWriter, status int, p SwitchActingPage) error {
	return s.render(w, status, "console/settings_acting", struct {
		SwitchActingPage
		Problem map[string]string
	}{p, problems(p.Errors)})
}
