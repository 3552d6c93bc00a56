package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// What an answer to a request of ours may cost (SECURITY F10).
const (
	outgoingTimeout  = 5 * time.Second
	maxOutgoingBytes = 64 << 10
)

// errForbiddenAddress says that a name leads where no request of ours may go.
var errForbiddenAddress = errors.New("the address is not public; outgoing.allowed_networks may allow it")

// caller makes requests to addresses that clients registered, which is to say to
// addresses that others chose (SECURITY F10): https, a public address, no redirect,
// five seconds, 64 KiB. The address that is checked is the one that is connected
// to, so a name cannot lead elsewhere the second time.
type caller struct {
	client  *http.Client
	allowed []netip.Prefix
}

// newCaller returns a caller that may also reach the allowed networks. An issuer
// on loopback is somebody's own machine, where applications are on loopback too.
func newCaller(issuer string, allowed []netip.Prefix) *caller {
	c := &caller{allowed: slices.Clone(allowed)}
	if u, err := url.Parse(issuer); err == nil && loopbackHost(u.Hostname()) {
		c.allowed = append(c.allowed, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	dialer := &net.Dialer{Timeout: outgoingTimeout, Control: c.control}
	c.client = &http.Client{
		Timeout:       outgoingTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: outgoingTimeout, ResponseHeaderTimeout: outgoingTimeout,
			MaxResponseHeaderBytes: maxOutgoingBytes, MaxIdleConnsPerHost: sendToOne, IdleConnTimeout: 30 * time.Second,
		},
	}
	return c
}

// control is called with each address that a connection is about to be made to.
func (c *caller) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !c.reaches(to.Addr()) {
		return errForbiddenAddress
	}
	return nil
}

// special are networks of which netip does not say that they lead nowhere public.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), // an IPv4 address within
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"),
}

func (c *caller) reaches(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(c.allowed, in) {
		return true
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !slices.ContainsFunc(special, in)
}

// get fetches a document.
func (c *caller) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody) //nolint:gosec // control decides where it may go
	if err != nil {
		return nil, err
	}
	status, body, err := c.do(r)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return body, err
}

// post sends a form and returns the status of the answer.
func (c *caller) post(ctx context.Context, address string, form url.Values) (int, error) {
	return c.send(ctx, address, []byte(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// send posts a body with these headers and returns the status of the answer.
func (c *caller) send(ctx context.Context, address string, body []byte, header http.Header) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header
	status, _, err := c.do(r)
	return status, err
}

func (c *caller) do(r *http.Request) (int, []byte, error) {
	if r.URL.Scheme != "https" && !loopbackHost(r.URL.Hostname()) || r.URL.User != nil {
		return 0, nil, errForbiddenAddress
	}
	r.Header.Set("User-Agent", "understudy")
	w, err := c.client.Do(r) //nolint:gosec // control decides where it may go
	if err != nil {
		return 0, nil, err
	}
	defer w.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, io.LimitReader(w.Body, maxOutgoingBytes+1)); err != nil {
		return w.StatusCode, nil, err
	}
	if body.Len() > maxOutgoingBytes {
		return w.StatusCode, nil, fmt.Errorf("the answer is larger than %d bytes", maxOutgoingBytes)
	}
	return w.StatusCode, body.Bytes(), nil
}
