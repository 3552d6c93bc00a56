package templates

import (
	"net/netip"
	"net/url"
	"strings"
)

// secureURL returns raw if it is https, or http on this machine; otherwise "".
func secureURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return raw
	}
	return ""
}

// webURL returns raw if it is http or https, or a path on our own host;
// otherwise "".
func webURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return raw
	}
	// To a browser "//", "///" and "/\" all begin another host.
	if strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, "//") && !strings.HasPrefix(raw, `/\`) {
		return raw
	}
	return ""
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
