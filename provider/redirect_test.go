package provider

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/storage"
)

const registeredURI = "https://shop.test/cb"

// hostile is what attackers send in place of registeredURI (SECURITY C01).
var hostile = []string{
	"https://shop.test/cb/more",                                       // added path
	"https://shop.test/cb?next=x",                                     // added query
	"https://shop.test/cb?",                                           // an empty one
	"https://shop.test/cb#f",                                          // added fragment
	"https://shop.test/cb#",                                           // an empty one
	"https://shop.test/x/../cb",                                       // ..
	"https://shop.test/cb/..",                                         //
	"https://shop.test/cb/..;/evil",                                   // ..;/
	"https://shop.test/%2e%2e/cb",                                     // %2e%2e
	"https://shop.test/./cb",                                          //
	"//evil.test/cb",                                                  // //evil
	"https://evil.test//shop.test/cb",                                 //
	`\\evil.test\cb`,                                                  // \\evil
	`https://shop.test\@evil.test/cb`,                                 //
	"https://user@shop.test/cb",                                       // user@
	"https://shop.test@evil.test/cb",                                  //
	"https://shop.test:443/cb",                                        // :443
	"https://shop.test:/cb",                                           //
	"https://SHOP.test/cb",                                            // upper-case host
	"HTTPS://shop.test/cb",                                            // and scheme
	"https://shop.test./cb",                                           // trailing dot
	"https://shop.test/cb/",                                           // trailing slash
	"https://sh\u043ep.test/cb",                                       // IDN twin
	"https://xn--shp-vlc.test/cb",                                     // and its punycode
	"https://shop.test/cb%0d%0aSet-Cookie:x=y",                        // CR LF
	"https://shop.test/cb\r\nSet-Cookie:x=y",                          //
	"https://shop.test/cb\x00",                                        // NUL
	"https://shop.test/cb%00",                                         //
	"https://shop.test/cb\t",                                          // tab
	" https://shop.test/cb",                                           //
	"https://shop.test/cb https://evil.test/",                         // two values
	"https://shop.test/cb,https://evil.test/",                         //
	"https://shop.test/cb.evil.test",                                  // registered prefix
	"https://shop.test.evil.test/cb",                                  //
	"https://shop.test/c",                                             //
	"https://shop.test/c%62",                                          // another spelling
	"https://shop.test/CB",                                            //
	"http://shop.test/cb",                                             // without TLS
	"javascript:alert(1)",                                             //
	"javascript://shop.test/cb",                                       //
	"data:text/html,<script>alert(1)</script>",                        //
	"https://127.0.0.1/cb", "http://127.0.0.1/cb", "https://*/cb", "", // loopback, wildcard, nothing
}

func TestRedirectURIIsExact(t *testing.T) {
	t.Parallel()
	for _, clientType := range []string{ClientWeb, ClientSPA, ClientNative} {
		c := &storage.Client{Type: clientType, RedirectURIs: storage.List{registeredURI}}
		if !matchRedirectURI(c, registeredURI) {
			t.Errorf("%s: the registered URI does not match", clientType)
		}
		for _, uri := range hostile {
			if matchRedirectURI(c, uri) {
				t.Errorf("%s: %q matches", clientType, uri)
			}
		}
	}
}

// Only a native client's http loopback address may differ, only in its port (SECURITY C02).
func TestLoopbackPort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		registered, uri string
		want            bool
	}{
		{"http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", true},
		{"http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", true},
		{"http://127.0.0.1:1/cb", "http://127.0.0.1/cb", true},
		{"http://[::1]/cb", "http://[::1]:49152/cb", true},
		{"http://127.0.0.1/cb?a=1", "http://127.0.0.1:80/cb?a=1", true},
		{"http://127.0.0.1", "http://127.0.0.1:80", true},
		{"http://127.0.0.1?a", "http://127.0.0.1:80?a", true},

		{"http://127.0.0.1/cb", "http://[::1]:49152/cb", false},
		{"http://[::1]/cb", "http://127.0.0.1:49152/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.2:49152/cb", false},
		{"http://127.0.0.1/cb", "http://localhost:49152/cb", false},
		{"http://localhost/cb", "http://localhost:49152/cb", false},
		{"http://127.0.0.2/cb", "http://127.0.0.2:49152/cb", false},
		{"https://127.0.0.1/cb", "http://127.0.0.1:49152/cb", false},
		{"https://127.0.0.1/cb", "https://127.0.0.1:49152/cb", false},
		{"http://127.0.0.1/cb", "https://127.0.0.1:49152/cb", false},
		{"http://127.0.0.1/cb", "HTTP://127.0.0.1:49152/cb", false},
		{"http://127.0.0.1/cb", "http://user:pw@127.0.0.1/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80@evil.test/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1.evil.test/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80.evil.test/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/%63b", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb/", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb?a=1", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb#f", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:-1/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:+1/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:123456/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80:80/cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80\\cb", false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb\n", false},
		{"http://127.0.0.1/cb", "http://127.1:80/cb", false},
		{"http://127.0.0.1/cb", "http://2130706433:80/cb", false},
		{"http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]:80/cb", false},
		{"http://[::1]/cb", "http://[::1%25lo]:80/cb", false},
		{"http://[::1]/cb", "http://[::ffff:127.0.0.1]:80/cb", false},
	} {
		for _, clientType := range []string{ClientNative, ClientWeb, ClientSPA} {
			client := &storage.Client{Type: clientType, RedirectURIs: storage.List{c.registered}}
			if got, want := matchRedirectURI(client, c.uri), c.want && clientType == ClientNative; got != want {
				t.Errorf("%s, registered %s: %q: got %v, want %v", clientType, c.registered, c.uri, got, want)
			}
		}
	}
}

// What can be registered (SECURITY C03).
func TestCheckRedirectURI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		uri           string
		web, native   bool
		alsoAsWebPage bool
	}{
		{"https://shop.test/cb", true, true, true},
		{"https://shop.test", true, true, true},
		{"https://shop.test:8443/cb?a=b", true, true, true},
		{"http://127.0.0.1:8081/cb", true, true, true},
		{"http://[::1]/cb", true, true, true},
		{"http://localhost:3000/cb", true, true, true},
		{"com.example.app:/cb", false, true, false},

		{"http://shop.test/cb", false, false, false},
		{"http://127.0.0.1.evil.test/cb", false, false, false},
		{"http://localhost.evil.test/cb", false, false, false},
		{"https://*.shop.test/cb", false, false, false},
		{"https://shop.test/*", false, false, false},
		{"https://shop.test/cb#f", false, false, false},
		{"https://shop.test/cb#", false, false, false},
		{"https://user@shop.test/cb", false, false, false},
		{"https://user:pw@shop.test/cb", false, false, false},
		{"https://@shop.test/cb", false, false, false},
		{"https:///cb", false, false, false},
		{"https:cb", false, false, false},
		{"https://:443/cb", false, false, false},
		{"javascript:alert(1)", false, false, false},
		{"JavaScript:alert(1)", false, false, false},
		{"javascript://shop.test/%0aalert(1)", false, false, false},
		{"data:text/html,x", false, false, false},
		{"vbscript:x", false, false, false},
		{"file:///etc/passwd", false, false, false},
		{"blob:https://shop.test/x", false, false, false},
		{"about:blank", false, false, false},
		{"myapp:/cb", false, false, false},
		{"myapp://cb", false, false, false},
		{"com.example.app://host/cb", false, false, false},
		{"/cb", false, false, false},
		{"cb", false, false, false},
		{"//shop.test/cb", false, false, false},
		{"shop.test/cb", false, false, false},
		{"", false, false, false},
		{"https://SHOP.test/cb", false, false, false},
		{"https://shöp.test/cb", false, false, false},
		{"https://shop.test/a/../cb", false, false, false},
		{"https://shop.test/%2e%2e/cb", false, false, false},
		{`https://shop.test\cb`, false, false, false},
		{"https://shop.test/c b", false, false, false},
		{"https://shop.test/cb\n", false, false, false},
		{"https://shop.test/cb\x00", false, false, false},
		{"https://shop.test:port/cb", false, false, false},
		{"https://shop.test/%zz", false, false, false},
		{"https://shop.test/" + strings.Repeat("x", 2000), false, false, false},
	} {
		for clientType, want := range map[string]bool{ClientWeb: c.web, ClientSPA: c.web, ClientNative: c.native} {
			if err := CheckRedirectURI(clientType, c.uri); (err == nil) != want {
				t.Errorf("%s %q: got %v, want allowed: %v", clientType, c.uri, err, want)
			}
		}
		if err := CheckWebURI("client_uri", c.uri); (err == nil) != c.alsoAsWebPage {
			t.Errorf("client_uri %q: got %v, want allowed: %v", c.uri, err, c.alsoAsWebPage)
		}
	}
}

// oracle matches in another way than matchRedirectURI: it takes the URI apart and
// puts it together again.
func oracle(c *storage.Client, uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	without := func(uri string) (string, bool) {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.String() != uri || strings.ContainsAny(uri, `#\`) || !printable(uri) {
			return "", false
		}
		if a, err := netip.ParseAddr(u.Hostname()); err != nil || a.String() != u.Hostname() || a != netip.IPv6Loopback() && u.Hostname() != "127.0.0.1" {
			return "", false
		}
		if port := u.Port(); port != "" {
			if len(port) > 5 {
				return "", false
			}
			u.Host = strings.TrimSuffix(u.Host, net.JoinHostPort("", port))
		}
		return u.String(), true
	}
	asked, ok := without(uri)
	return ok && c.Type == ClientNative && slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		r, ok := without(registered)
		return ok && r == asked
	})
}

// someURI puts together what may look like a redirect URI.
func someURI(r *rand.Rand) string {
	pieces := []string{
		"http://", "https://", "127.0.0.1", "[::1]", "localhost", "shop.test", ":", ":80", ":443", ":65535", ":123456", "/", "/cb", "cb", "%63b",
		"?", "?a=1", "#", "#f", "@", "user@", `\`, "..", "//", "evil.test", ".", "\n", "\x00", "é", "HTTP://", "com.app:/", "*",
	}
	var uri strings.Builder
	if r.IntN(2) == 0 { // often enough the beginning of one that could match
		uri.WriteString([]string{"http://127.0.0.1", "http://[::1]", "http://127.0.0.1:8"}[r.IntN(3)])
	}
	for range r.IntN(6) {
		uri.WriteString(pieces[r.IntN(len(pieces))])
	}
	return uri.String()
}

// No URI matches that is not registered byte for byte, but for the port.
func TestMatchRedirectURIDifferential(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 50_000 {
		c := &storage.Client{
			Type:         []string{ClientWeb, ClientSPA, ClientNative}[r.IntN(3)],
			RedirectURIs: storage.List{someURI(r), someURI(r)},
		}
		uri := someURI(r)
		got, want := matchRedirectURI(c, uri), oracle(c, uri)
		if got && !want {
			t.Fatalf("%s registered %q: %q matches", c.Type, c.RedirectURIs, uri)
		}
		if got {
			matched++
		}
	}
	if matched == 0 {
		t.Error("nothing ever matched")
	}
}

// browserHost returns the host that a browser makes of a URI: without what it drops,
// with slashes for backslashes, from the last @ to the port (WHATWG URL 4.4).
func browserHost(uri string) string {
	uri = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.Trim(uri, "\x00\x01\x1f "))
	_, rest, _ := strings.Cut(strings.ReplaceAll(uri, `\`, "/"), ":")
	rest = strings.TrimLeft(rest, "/")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndex(rest, "@")+1:]
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "]") {
		rest = rest[:i]
	}
	return strings.ToLower(rest)
}

// C01, C02: what matches is registered byte for byte, or leads a browser to the same
// loopback address.
func FuzzMatchRedirectURI(f *testing.F) {
	for _, uri := range hostile {
		f.Add(registeredURI, uri)
		f.Add("http://127.0.0.1/cb", uri)
	}
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:80/cb")
	f.Add("http://[::1]/cb?a", "http://[::1]:80/cb?a")
	f.Fuzz(func(t *testing.T, registered, uri string) {
		web := &storage.Client{Type: ClientWeb, RedirectURIs: storage.List{registered}}
		if got := matchRedirectURI(web, uri); got != (registered == uri) {
			t.Fatalf("web, registered %q: %q: got %v", registered, uri, got)
		}
		native := &storage.Client{Type: ClientNative, RedirectURIs: storage.List{registered}}
		if CheckRedirectURI(ClientNative, registered) == nil && matchRedirectURI(native, uri) && !oracle(native, uri) {
			t.Fatalf("native, registered %q: %q matches", registered, uri)
		}
		if host := browserHost(uri); registered != uri && matchRedirectURI(native, uri) && (host != browserHost(registered) || host != "127.0.0.1" && host != "[::1]") {
			t.Fatalf("native, registered %q: %q leads to %q", registered, uri, host)
		}
	})
}

// C03: whatever can be registered leads to TLS, to this machine, or to an app.
func FuzzCheckRedirectURI(f *testing.F) {
	for _, uri := range append(hostile, registeredURI, "com.example.app:/cb", "http://[::1]:1/") {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		for _, clientType := range []string{ClientWeb, ClientNative} {
			if CheckRedirectURI(clientType, uri) != nil {
				continue
			}
			u, err := url.Parse(uri)
			switch {
			case err != nil || u.User != nil || strings.ContainsAny(uri, "#*\\ \r\n\t"):
				t.Fatalf("%s %q can be registered", clientType, uri)
			case u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && loopbackHost(u.Hostname()):
			case clientType == ClientNative && strings.Contains(u.Scheme, "."):
			default:
				t.Fatalf("%s %q can be registered", clientType, uri)
			}
		}
	})
}
