package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// matchRedirectURI reports whether a request of the client may be answered at
// uri: byte for byte one that is registered (RFC 9700 section 2.1), where a native
// client's loopback address may have another port (RFC 8252 section 7.3).
func matchRedirectURI(c *storage.Client, uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if c.Type != "native" {
		return false
	}
	without, ok := withoutLoopbackPort(uri)
	return ok && slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		r, ok := withoutLoopbackPort(registered)
		return ok && r == without
	})
}

// withoutLoopbackPort cuts the port out of an http URI on 127.0.0.1 or [::1],
// leaving every other byte as it is. It reports false for any other URI.
func withoutLoopbackPort(uri string) (string, bool) {
	for _, origin := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, origin)
		if !ok {
			continue
		}
		if port, hasPort := strings.CutPrefix(rest, ":"); hasPort {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			if digits == 0 || digits > 5 {
				return "", false
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		return origin + rest, !strings.ContainsAny(uri, "#\\") && printable(uri)
	}
	return "", false
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// CheckRedirectURI says why a URI cannot be registered as a client's redirect
// URI, nil when it can.
func CheckRedirectURI(clientType, uri string) error {
	u, err := parseRegistered(uri)
	if err != nil {
		return fmt.Errorf("redirect_uri %q: %w", uri, err)
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && loopbackHost(u.Hostname()):
	case clientType == "native" && strings.Contains(u.Scheme, ".") && u.Host == "":
		// a private-use scheme in reverse domain notation (RFC 8252 section 7.1)
		return nil
	default:
		return fmt.Errorf("redirect_uri %q: want https, http on a loopback address%s", uri,
			map[bool]string{true: ", or a scheme like com.example.app:/callback"}[clientType == "native"])
	}
	if u.Hostname() == "" || strings.ContainsAny(u.Host, ";,'") {
		return fmt.Errorf("redirect_uri %q: has no host", uri)
	}
	for _, ours := range []string{"code", "state", "iss", "error", "error_description", "id_token", "access_token"} {
		if u.Query().Has(ours) {
			return fmt.Errorf("redirect_uri %q: has the parameter %q, which answers have", uri, ours)
		}
	}
	return nil
}

// CheckWebURI says why a URI cannot be registered as a page or an endpoint of a
// client, nil when it can.
func CheckWebURI(name, uri string) error {
	u, err := parseRegistered(uri)
	if err != nil {
		return fmt.Errorf("%s %q: %w", name, uri, err)
	}
	if u.Hostname() == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopbackHost(u.Hostname())) {
		return fmt.Errorf("%s %q: want https, or http on a loopback address", name, uri)
	}
	if strings.ContainsAny(u.Host, ";,'") { // its origin may stand in a content security policy
		return fmt.Errorf("%s %q: has no host", name, uri)
	}
	return nil
}

func parseRegistered(uri string) (*url.URL, error) {
	if len(uri) > 2000 {
		return nil, errors.New("longer than 2000 bytes")
	}
	if !printable(uri) || strings.ContainsAny(uri, `\*"<>^`+"`{|}") {
		return nil, errors.New("has characters that a URI cannot have, or a wildcard")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return nil, errors.New("is not a URI")
	case !u.IsAbs():
		return nil, errors.New("is not absolute")
	case strings.Contains(uri, "#"):
		return nil, errors.New("has a fragment")
	case u.User != nil:
		return nil, errors.New("has user information")
	case u.Host != strings.ToLower(u.Host):
		return nil, errors.New("has upper case letters in the host")
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		return nil, errors.New("has .. in the path")
	}
	return u, nil
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
