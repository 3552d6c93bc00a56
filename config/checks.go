package config

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A check is a rule of our own for a validate tag.
type check struct {
	allowed string                    // what is, to follow "must be"
	broken  func(value string) string // what is wrong with the value, without repeating it; "" if nothing
}

func checks() map[string]check {
	return map[string]check{
		"issuer":      {"an https URL without query, fragment, user or trailing slash; http on loopback only", issuer},
		"address":     {"an address and port such as `127.0.0.1:8080`", address},
		"dsn":         {"`sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`", dsn},
		"long":        {"at least 32 bytes", long},
		"unguessable": {"random", unguessable},
		"cookiename":  {"letters, digits, `-` and `_`, not beginning with `__`, at most 64", cookieName},
		"regexp":      {"a regular expression in RE2 syntax", re2},
		"smtp":        {"an `smtps://` or `smtp://` URL", smtp},
		"sender":      {"an e-mail address, with a name or without", sender},
		"contact":     {"an e-mail address such as `security@example.com` or an https URL", contact},
		"printable":   {"printable characters", printable},
	}
}

// issuer follows OpenID Connect Discovery 1.0 section 3, and refuses spellings
// of which another program might make a different string.
func issuer(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Host == "", u.Hostname() == "":
		return "must be an absolute URL such as https://id.example.com"
	case !strings.HasPrefix(value, "https://") && !strings.HasPrefix(value, "http://"):
		return "must begin with https://"
	case u.User != nil:
		return "must not contain a user or password"
	case strings.Contains(value, "?"):
		return "must not have a query"
	case strings.Contains(value, "#"):
		return "must not have a fragment"
	case strings.HasSuffix(value, "/"):
		return "must not end with a slash"
	case u.Path != "":
		return "must have no path: give the provider a host name of its own"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsUpper(r) }):
		return "must have its host in lower case, an international one in its xn-- form"
	case strings.HasSuffix(u.Host, ":"), u.Port() != "" && !validPort(u.Port()):
		return "must have a port between 1 and 65535, or none"
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "must leave out the default port"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "plain http is accepted on loopback only; use https"
	}
	return ""
}

func address(value string) string {
	host, port, err := net.SplitHostPort(value)
	switch {
	case err != nil:
		return "must be an address and port, such as 127.0.0.1:8080 or [::1]:8080"
	case port != "0" && !validPort(port):
		return "must have a port between 0 and 65535"
	case strings.ContainsAny(host, "/@ "):
		return "must not be a URL, only an address and port"
	}
	return ""
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port[0] != '+'
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func dsn(value string) string {
	switch scheme, rest, _ := strings.Cut(value, ":"); {
	case strings.ContainsFunc(value, unicode.IsControl):
		return "must not contain control characters"
	case scheme == "sqlite" && strings.HasPrefix(rest, "//"):
		return "must be sqlite: followed by a plain path, without //"
	case scheme == "sqlite" && strings.TrimSpace(rest) == "":
		return "must name a file after sqlite:"
	case scheme == "sqlite":
		return ""
	case scheme != "postgres":
		return "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"
	}
	u, err := url.Parse(value)
	switch {
	case err != nil, !strings.HasPrefix(value, "postgres://"):
		return "must be a URL; percent-encode special characters of the password"
	case strings.Trim(u.Path, "/") == "":
		return "must name a database after the host"
	case u.Host == "" && !u.Query().Has("host"):
		return "must name a host"
	}
	return ""
}

func long(value string) string {
	if len(value) < 32 {
		return "must be at least 32 bytes; make one with: openssl rand -base64 32"
	}
	return ""
}

// Words of secrets that were copied from a manual, here or elsewhere.
var placeholders = []string{
	"changeme", "changethis", "replaceme", "replacethis", "replacewith", "example", "placeholder",
	"yoursecret", "mysecret", "insecure", "understudydemo", "notasecret", "opensslrand", "supersecret",
}

func unguessable(value string) string {
	letters := strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(value))
	for _, word := range placeholders {
		if strings.Contains(letters, word) {
			return "is an example, not a secret; make one with: openssl rand -base64 32"
		}
	}
	if repetitive(value) {
		return "repeats itself; make one with: openssl rand -base64 32"
	}
	return ""
}

// repetitive finds few different bytes, or a piece over and over.
func repetitive(value string) bool {
	different := map[byte]bool{}
	for i := range len(value) {
		different[value[i]] = true
	}
	if len(different) < 6 {
		return true
	}
	for period := 1; period <= len(value)/2; period++ {
		if value[period:] == value[:len(value)-period] {
			return true
		}
	}
	return false
}

var cookieNames = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func cookieName(value string) string {
	switch {
	case strings.HasPrefix(value, "__"):
		return "must not begin with __; that prefix is added where the browser demands it"
	case !cookieNames.MatchString(value):
		return "must be 1 to 64 letters, digits, - and _"
	}
	return ""
}

func re2(value string) string {
	if _, err := regexp.Compile(value); err != nil {
		return strings.Replace(err.Error(), "error parsing regexp", "not a regular expression", 1)
	}
	return ""
}

func smtp(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return "must be a URL; percent-encode special characters of the password"
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return "must begin with smtps:// or smtp://"
	case u.Hostname() == "":
		return "must name a host"
	case u.Port() != "" && !validPort(u.Port()):
		return "must have a port between 1 and 65535, or none"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "must end after the host and port; percent-encode special characters of the password"
	}
	return ""
}

func sender(value string) string {
	if _, err := mail.ParseAddress(value); err != nil {
		return "must be an e-mail address such as Understudy <no-reply@example.com>"
	}
	return ""
}

func contact(value string) string {
	u, err := url.Parse(value)
	if err == nil && u.Scheme == "https" && u.Hostname() != "" {
		return ""
	}
	if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
		return "must be an e-mail address such as security@example.com, or an https URL"
	}
	return ""
}

func printable(value string) string {
	if strings.TrimSpace(value) == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "must consist of printable characters"
	}
	return ""
}
