package handlers

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// pageSize is how many rows a page of a list has.
const pageSize = 25

// The parameters that say where a list by name goes on.
const (
	afterParameter  = "after"
	beforeParameter = "before"
)

// listQuery returns the query of a list's address.
func listQuery(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = provider.CheckParameters(q)
	}
	if err != nil {
		return nil, &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The address is malformed.", Cause: err}
	}
	return q, nil
}

// namePlace returns where a list by name goes on, nil for its beginning.
func namePlace(q url.Values) (*storage.NamePlace, error) {
	text, before := q.Get(afterParameter), false
	if text == "" {
		text, before = q.Get(beforeParameter), true
	}
	if text == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	name, id, found := strings.Cut(string(b), "\x00")
	if err != nil || !found || !utf8.Valid(b) || strings.Contains(id, "\x00") {
		return nil, &pageErr{
			Status: http.StatusBadRequest, Code: "invalid_request", Message: "The address is malformed.",
			Advice: "Begin again at the first page of the list.", Cause: errors.New("the cursor is no place"),
		}
	}
	return &storage.NamePlace{Name: name, ID: id, Before: before}, nil
}

// namePages returns the addresses of the pages before and after one that was read on
// from a place, empty where there is none. first and last are its outermost rows.
func namePages(r *http.Request, q url.Values, at *storage.NamePlace, more bool, first, last storage.NamePlace) (newer, older string) {
	to := func(parameter string, p storage.NamePlace) string {
		next := url.Values{}
		for name := range q {
			if name != afterParameter && name != beforeParameter && name != "done" && q.Get(name) != "" {
				next.Set(name, q.Get(name))
			}
		}
		next.Set(parameter, base64.RawURLEncoding.EncodeToString([]byte(p.Name+"\x00"+p.ID)))
		return r.URL.EscapedPath() + "?" + next.Encode()
	}
	if first == (storage.NamePlace{}) {
		return "", ""
	}
	before := at != nil && at.Before
	if before && more || at != nil && !before {
		newer = to(beforeParameter, first)
	}
	if before || more {
		older = to(afterParameter, last)
	}
	return newer, older
}
