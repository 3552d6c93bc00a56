package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/storage"
)

// usersQuery are the parameters with which a program lists users. What the vendor knows
// and we do not is refused: a filter that is not heard would show everybody.
func usersQuery(r *http.Request, several []string, once ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, (&problemErr{Code: "invalid_request", Detail: "The query is malformed."}).because(err)
	}
	for name, values := range q {
		switch {
		case slices.ContainsFunc(values, notText):
			return nil, invalidField(name, "is no text")
		case slices.Contains(several, name):
			if len(values) > 100 {
				return nil, invalidField(name, "has more than 100 values")
			}
		case !slices.Contains(once, name):
			return nil, invalidField(name, "users cannot be selected by this here")
		case len(values) > 1:
			return nil, invalidField(name, "was given more than once")
		}
	}
	return q, nil
}

// within leaves of a selection whom the call's key reaches (SECURITY F08). Whether they
// belong to other organizations as well is not for a key of one.
func (c *dialectCall) within(sel storage.UserSelection) (storage.UserSelection, error) {
	if c.Organization == "" {
		return sel, nil
	}
	if slices.ContainsFunc(slices.Concat(sel.Organizations, sel.NotOrganizations), func(id string) bool { return id != c.Organization }) {
		return sel, storage.ErrNotFound
	}
	sel.Within = []string{c.Organization}
	return sel, nil
}

// selectUsers returns the users that are selected, of whom the call's key reaches.
func (s *Server) selectUsers(r *http.Request, call *dialectCall, sel storage.UserSelection) ([]storage.User, error) {
	sel, err := call.within(sel)
	if err != nil {
		return nil, err
	}
	return s.store.SelectUsers(r.Context(), sel)
}

// countUsers returns how many users are selected, of whom the call's key reaches.
func (s *Server) countUsers(r *http.Request, call *dialectCall, sel storage.UserSelection) (int64, error) {
	sel, err := call.within(sel)
	if err != nil {
		return 0, err
	}
	return s.store.CountUsers(r.Context(), sel)
}

// dialectUser returns a user whom the call's key reaches. Any other is not there.
func (s *Server) dialectUser(r *http.Request, call *dialectCall, id string) (*storage.User, error) {
	if !acceptableID(id) {
		return nil, storage.ErrNotFound
	}
	return apiServer{s}.reachableUser(call.operation(r), id)
}

// sortedBy reads the name of a column, by the vendor's names.
func sortedBy(field, name string, columns map[string]string) (string, error) {
	column, ok := columns[name]
	if !ok {
		return "", invalidField(field, "users cannot be sorted by this here")
	}
	return column, nil
}

// isoTime is a time as JavaScript writes it, nil for none.
func isoTime(t storage.Time) *string {
	if !t.Set() {
		return nil
	}
	return unlessEmpty(t.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
}

// without are those texts that have no sign before them, with which some vendors mark
// what is to be included and what is not, and those that are not to be.
func without(texts []string) (included, excluded []string) {
	for _, text := range texts {
		if rest, ok := strings.CutPrefix(text, "-"); ok {
			excluded = append(excluded, rest)
		} else {
			included = append(included, strings.TrimPrefix(text, "+"))
		}
	}
	return included, excluded
}
