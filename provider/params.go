package provider

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// What a request may hold at most (SECURITY H01). The body's size is bounded
// before it gets here.
const (
	maxParameters     = 100
	maxParameterBytes = 8 << 10
	maxStateBytes     = 1024
)

// CheckParameters refuses what no OAuth request may have: a parameter twice (RFC
// 6749 section 3.1, fosite #27), too many of them, one that is too long, or text
// that is not UTF-8.
func CheckParameters(form url.Values) error {
	count := 0
	for name, values := range form {
		count += len(values)
		switch {
		case count > maxParameters:
			return errInvalidRequest.with("Too many parameters.")
		case len(values) > 1 && name != "resource" && name != "audience":
			return errInvalidRequest.with("A parameter was given more than once.")
		case len(name) > 200 || !acceptable(name):
			return errInvalidRequest.with("A parameter has an unacceptable name.")
		}
		for _, v := range values {
			if len(v) > maxParameterBytes || !acceptable(v) {
				return errInvalidRequest.with("A parameter is too long or not acceptable text.")
			}
		}
	}
	return nil
}

func acceptable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// directForm reads the form of a direct endpoint: a POST body, with nothing in
// the query (SECURITY F02).
func directForm(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, ErrPostOnly
	}
	// fosite would parse a multipart body of any kind.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errInvalidRequest.with("Send the parameters as application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return nil, errInvalidRequest.with("Send the parameters in the body, not in the query.")
	}
	if err := r.ParseForm(); err != nil {
		return nil, bodyError(err)
	}
	return r.PostForm, CheckParameters(r.PostForm)
}

func bodyError(err error) error {
	if _, tooLarge := asMaxBytes(err); tooLarge {
		e := errInvalidRequest.with("The request is too large.").because(err)
		e.Status = http.StatusRequestEntityTooLarge
		return e
	}
	return errInvalidRequest.because(err)
}

func asMaxBytes(err error) (*http.MaxBytesError, bool) {
	return errors.AsType[*http.MaxBytesError](err)
}
