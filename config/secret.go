package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

const redacted = "REDACTED"

// A Secret prints as REDACTED, however it is printed, logged or marshalled; an
// unset one as nothing. Compare two with subtle.ConstantTimeCompare.
type Secret string

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format covers the verbs, such as %d and %#v, that would not ask String.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is what slog writes.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText also decides how YAML, XML and map keys show the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON writes a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// A DSN names a database. It prints without the password it may contain.
type DSN string

// Reveal returns the DSN with its password.
func (d DSN) Reveal() string { return string(d) }

// String is the DSN with passwords replaced, and nothing but its scheme where
// it is not certain which part is one.
func (d DSN) String() string {
	scheme, rest, ok := strings.Cut(string(d), ":")
	switch {
	case d == "":
		return ""
	case ok && scheme == "sqlite":
		return string(d)
	case !ok || strings.ContainsFunc(scheme, func(r rune) bool { return r < 'a' || r > 'z' }):
		return redacted
	}
	u, err := url.Parse(string(d))
	if err != nil || !strings.HasPrefix(rest, "//") || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return scheme + "://" + redacted
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), redacted)
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Set(name, redacted)
		}
	}
	u.RawQuery = query.Encode() // without what Query did not understand
	return u.String()
}

// Format covers the verbs that would not ask String.
func (d DSN) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.String()) }

// LogValue is what slog writes.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalText also decides how JSON and YAML show the DSN.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// concealing reports whether String left something out.
func (d DSN) concealing() bool {
	return d.String() != string(d) && strings.Contains(d.String(), redacted)
}
