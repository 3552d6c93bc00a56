package provider

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// F10: where requests of ours may go.
func TestReaches(t *testing.T) {
	public := newCaller("https://id.example", nil)
	local := newCaller("http://127.0.0.1:8080", nil)
	allowing := newCaller("https://id.example", []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")})
	for address, want := range map[string]bool{
		"93.184.215.14": true, "2606:2800:21f:cb07:6820:80da:af6b:8b2c": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "224.0.0.1": false, "255.255.255.255": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "198.18.0.1": false, "::127.0.0.1": false, "::10.0.0.1": false,
		"fec0::1": false, "100::1": false, "192.88.99.1": false, "3fff::1": false, "5f00::1": false, "::ffff:10.0.0.1": false,
	} {
		if got := public.reaches(netip.MustParseAddr(address)); got != want {
			t.Errorf("F10 %s: got %v, want %v", address, got, want)
		}
	}
	if !local.reaches(netip.MustParseAddr("127.0.0.1")) || local.reaches(netip.MustParseAddr("169.254.169.254")) {
		t.Error("an issuer on loopback reaches loopback, and nothing else that is private")
	}
	if !allowing.reaches(netip.MustParseAddr("10.1.2.3")) || allowing.reaches(netip.MustParseAddr("10.2.0.1")) {
		t.Error("allowed networks: reached too much or too little")
	}
}

// F10: what answers may be.
func TestCaller(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", maxOutgoingBytes+1)))
	})
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.Handle("/elsewhere", http.RedirectHandler("/ok", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	local, public := newCaller("http://localhost:1", nil), newCaller("https://id.example", nil)
	if body, err := local.get(t.Context(), server.URL+"/ok"); err != nil || string(body) != "ok" {
		t.Errorf("got %q, %v", body, err)
	}
	for name, c := range map[string]struct {
		from *caller
		to   string
	}{
		"a large answer":      {local, server.URL + "/large"},
		"a redirect":          {local, server.URL + "/elsewhere"},
		"loopback":            {public, server.URL + "/ok"},
		"http":                {public, "http://app.example/"},
		"user information":    {local, strings.Replace(server.URL, "://", "://a:b@", 1)},
		"a file":              {local, "file:///etc/passwd"},
		"another spelling":    {public, "https://2130706433/"},
		"a name for loopback": {public, "https://localhost/"},
	} {
		if _, err := c.from.get(t.Context(), c.to); err == nil {
			t.Errorf("F10 %s: no error", name)
		}
	}
	if status, err := local.post(t.Context(), server.URL+"/ok", url.Values{"a": {"b"}}); err != nil || status != http.StatusOK {
		t.Errorf("post: %d, %v", status, err)
	}
}
