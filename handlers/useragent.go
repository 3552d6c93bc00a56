package handlers

import (
	"net/netip"
	"strings"

	"github.com/understudy-id/understudy/templates"
)

// What browsers and systems are called, by a word of their User-Agent. The order
// matters: most browsers name others, too, and Android names Linux.
var (
	browserNames = [][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	}
	systemNames = [][2]string{
		{"Windows", "Windows"},
		{"Android", "Android"},
		{"iPhone", "iOS"},
		{"iPad", "iPadOS"},
		{"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
)

// device says in words what somebody signed in with, and from where.
func device(userAgent, ip string) templates.Device {
	d := templates.Device{Browser: wordIn(browserNames, userAgent), System: wordIn(systemNames, userAgent), IP: ip}
	switch a, err := netip.ParseAddr(ip); {
	case err != nil:
	case a.IsLoopback():
		d.Network = "The server's own computer"
	case a.IsPrivate(), a.IsLinkLocalUnicast():
		d.Network = "A private network"
	}
	return d
}

func wordIn(names [][2]string, userAgent string) string {
	for _, n := range names {
		if strings.Contains(userAgent, n[0]) {
			return n[1]
		}
	}
	return ""
}
