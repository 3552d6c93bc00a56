package provider

import (
	"errors"
	"net"
	"net/url"
	"testing"
)

// What is written down about an attempt says nothing of our network, nor of the query.
func TestCauseOf(t *testing.T) {
	t.Parallel()
	at := func(ip string, port int) *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for want, err := range map[string]error{
		"lookup example.com: no such host": &net.OpError{
			Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "example.com", Server: "10.0.0.53:53", IsNotFound: true},
		},
		"read tcp 192.0.2.1:443: reset": &net.OpError{
			Op: "read", Net: "tcp", Source: at("10.0.0.7", 43210), Addr: at("192.0.2.1", 443), Err: errors.New("reset"),
		},
		"dial tcp 192.0.2.1:443: refused": &net.OpError{Op: "dial", Net: "tcp", Addr: at("192.0.2.1", 443), Err: errors.New("refused")},
		"too slow":                        errors.New("too slow"),
		errForbiddenAddress.Error():       &net.OpError{Op: "dial", Net: "tcp", Addr: at("10.0.0.8", 443), Err: errForbiddenAddress},
	} {
		if got := causeOf(&url.Error{Op: "Post", URL: "https://example.com/?secret=x", Err: err}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
