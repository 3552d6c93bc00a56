package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/understudy-id/understudy/storage"
)

// mark is how the key of a row is written in an address.
var mark = regexp.MustCompile(`^([1-9][0-9]{0,17})\.([a-z]{3}_[a-z0-9]{26})$`)

// span reads which part of a history a page shows.
func span(r *http.Request) (storage.Span, error) {
	s := storage.Span{Limit: pageSize}
	for name, into := range map[string]*storage.Mark{"before": &s.Before, "after": &s.After} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		parts := mark.FindStringSubmatch(text)
		if parts == nil {
			return s, &pageErr{
				Status: http.StatusBadRequest, Code: "invalid_request", Message: "The address names no place in this list.",
				BackURL: r.URL.Path, BackLabel: "Show the list from its beginning",
			}
		}
		at, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return s, err
		}
		*into = storage.Mark{Time: storage.Time(at), ID: parts[2]}
	}
	return s, nil
}

// neighbours returns the addresses of the next parts of a history, empty where there
// is none. more says that there is more in the direction of s.
func neighbours(path string, s storage.Span, first, last storage.Mark, more bool) (older, newer string) {
	link := func(name string, m storage.Mark) string {
		return path + "?" + url.Values{name: {strconv.FormatInt(int64(m.Time), 10) + "." + m.ID}}.Encode()
	}
	forward := s.After.Set() && !s.Before.Set()
	if last.Set() && (more || forward) {
		older = link("before", last)
	}
	switch {
	case s.Before.Set() && first.Set(), forward && more:
		newer = link("after", first)
	case s.Before.Set():
		newer = path
	}
	return older, newer
}
