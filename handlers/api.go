package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// apiServer is the management API: its methods, in the files api_RESOURCE.go, are the
// operations of the document in handlers/api. What reaches them was authenticated,
// permitted and held against the document.
type apiServer struct{ *Server }

var _ api.StrictServerInterface = apiServer{}

type callKey struct{}

// call is what an operation knows of its request.
type call struct {
	*provider.Caller
	request storage.Request
	body    []byte
	list    string // what a cursor of the request is bound to
}

// callOf returns the request that an operation is to answer.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// by is who is behind a change, for the record.
func (c *call) by() storage.Cause { return storage.Cause{By: c.ID, Request: c.request} }

// managementRoutes are the rows of the management API.
func (s *Server) managementRoutes() []route {
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		s.fail(w, r, management, (&problemErr{Code: "invalid_request"}).because(err))
	}
	fail := func(w http.ResponseWriter, r *http.Request, err error) { s.fail(w, r, management, err) }
	var rows []route
	for _, rt := range api.Routes(apiServer{s}, refuse, fail) {
		rows = append(rows, route{rt.Pattern, management, operation(rt)})
	}
	return rows
}

// operation adapts an operation of the document: who calls must be known, hold its
// permission and send what the document describes.
func operation(rt api.Route) func(*Server, http.ResponseWriter, *http.Request) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request) error {
		if rt.Permission == "" {
			rt.Serve(w, r)
			return nil
		}
		// First, at the pace of whoever sends it: a key that is revoked meanwhile opens nothing.
		body, unread := io.ReadAll(r.Body)
		now := time.Now()
		caller, err := s.provider.Caller(r, now)
		if err != nil {
			return err
		}
		if err := s.callers.take(w.Header(), caller.ID, now); err != nil {
			return err
		}
		if !permits(rt.Operation, caller) {
			return &problemErr{Code: "insufficient_permission", Detail: "This operation needs the permission " + rt.Permission + "."}
		}
		if err := checkRequest(rt.Operation, r, body, unread); err != nil {
			return err
		}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, &call{caller, s.info(r), body, listName(r.URL.Path, caller, r.URL.Query())}))
		keys := r.Header.Values("Idempotency-Key")
		if len(keys) == 0 || r.Method != http.MethodPost {
			rt.Serve(w, r)
			return nil
		}
		return s.once(w, r, caller.ID+"\n"+keys[0], body, rt.Serve)
	}
}

// permits reports whether a caller may use an operation at all. Where it is limited to
// an organization the operation must look at the object.
func permits(o *api.Operation, c *provider.Caller) bool {
	return c.Standing.May(o.Permission, "") || o.Within && c.Standing.MayAnywhere(o.Permission)
}

// once answers a request that has an Idempotency-Key.
func (s *Server) once(w http.ResponseWriter, r *http.Request, key string, body []byte, serve http.HandlerFunc) error {
	request := strings.Join([]string{r.Method, r.URL.RequestURI(), string(body)}, "\n")
	reply, again, err := s.provider.Once(r.Context(), key, request, time.Now(), func(ctx context.Context) provider.Reply {
		var k keeper
		serve(&k, r.WithContext(ctx))
		return provider.Reply{Status: k.status, Header: k.header, Body: k.body.Bytes()}
	})
	if err != nil {
		return err
	}
	h := w.Header()
	for name, values := range reply.Header {
		h[name] = values
	}
	if again {
		h.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // the client is gone: nothing to do
	return nil
}

// keeper is an answer that is kept before it is sent.
type keeper struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keeper) Header() http.Header {
	if k.header == nil {
		k.header = http.Header{}
	}
	return k.header
}

func (k *keeper) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *keeper) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// checkRequest holds a request with this body, or with what was wrong with reading it,
// against the document. Its body can be read once more.
func checkRequest(o *api.Operation, r *http.Request, body []byte, unread error) error {
	if err := checkBody(o, r, body, unread); err != nil {
		return err
	}
	if err := checkQuery(o, r); err != nil {
		return err
	}
	if len(r.Header.Values("Idempotency-Key")) > 1 {
		return invalidField("Idempotency-Key", "was given more than once")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if wrong := o.Check(r); len(wrong) > 0 {
		return &problemErr{Code: "invalid_request", Detail: "The request is not what the operation takes.", Errors: wrong}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// checkBody wants a body of JSON, or none.
func checkBody(o *api.Operation, r *http.Request, body []byte, unread error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](unread); tooLarge {
		return &problemErr{Code: "body_too_large", Detail: "A body may have 65536 bytes."}
	}
	if unread != nil {
		return (&problemErr{Code: "invalid_request", Detail: "The body ended early."}).because(unread)
	}
	if len(body) == 0 {
		return nil
	}
	if kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" ||
		!slices.Contains([]string{"", "utf-8"}, strings.ToLower(parameters["charset"])) {
		return &problemErr{Code: "unsupported_media_type", Detail: "Send the body as application/json."}
	}
	if err := provider.CheckJSON(body); err != nil {
		return &problemErr{Code: "invalid_request", Detail: "The body " + err.Error() + "."}
	}
	if !o.TakesBody() && string(bytes.TrimSpace(body)) != "{}" {
		return &problemErr{Code: "invalid_request", Detail: "This operation takes no body."}
	}
	return nil
}

// checkQuery refuses parameters that the operation does not have or that are given twice
// (SECURITY F09).
func checkQuery(o *api.Operation, r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return (&problemErr{Code: "invalid_request", Detail: "The query is malformed."}).because(err)
	}
	var wrong []api.FieldError
	for name := range q {
		if !o.HasParameter(name) {
			wrong = append(wrong, api.FieldError{Field: name, Message: "there is no such parameter"})
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b api.FieldError) int { return strings.Compare(a.Field, b.Field) })
		return &problemErr{Code: "invalid_request", Detail: "The query has parameters that this operation does not have.", Errors: wrong}
	}
	if err := provider.CheckParameters(q); err != nil {
		return err
	}
	return nil
}

// listName is what a cursor is of: the list's address, who reads it, and everything in
// the query that selects or sorts.
func listName(path string, c *provider.Caller, q url.Values) string {
	q.Del("cursor")
	q.Del("limit")
	return strings.Join([]string{path, c.ID, q.Encode()}, "\n")
}

// pageLimit is how many rows a page has.
func pageLimit(limit *api.Limit) int {
	if limit == nil {
		return pageSize
	}
	return *limit
}

// place reads where a list goes on; nil for its beginning.
func place[T any](ctx context.Context, s apiServer, cursor *api.Cursor) (*T, error) {
	if cursor == nil {
		return nil, nil
	}
	at := new(T)
	if err := s.provider.ReadCursor(callOf(ctx).list, *cursor, at); err != nil {
		return nil, err
	}
	return at, nil
}

// next returns the cursor behind the last row of a page, nil where nothing follows.
func next[Row, Place any](ctx context.Context, s apiServer, rows []Row, more bool, placeOf func(Row) Place) (*string, error) {
	if !more || len(rows) == 0 {
		return nil, nil
	}
	cursor, err := s.provider.Cursor(callOf(ctx).list, placeOf(rows[len(rows)-1]))
	if err != nil {
		return nil, err
	}
	return &cursor, nil
}

// at is the address of what is at this path.
func (a apiServer) at(path ...string) string {
	u := a.provider.Issuer() + api.Prefix
	for _, part := range path {
		u += "/" + url.PathEscape(part)
	}
	return u
}

// value returns what an optional member of a request holds, zero where it is not given.
func value[T any](given *T) T {
	if given == nil {
		var zero T
		return zero
	}
	return *given
}

// as converts a struct into one of the document's that has the same members.
func as[T any](v any) (T, error) {
	var into T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &into)
	}
	return into, err
}

// orNull converts a time for an answer, where never is null.
func orNull(t storage.Time) *time.Time {
	if !t.Set() {
		return nil
	}
	at := t.Time()
	return &at
}

// given converts a time of a request, where one that is left out is never. What comes
// before any time of ours, as 1970 or the year 1 do, is a time all the same, and not
// never: a key that expired then would else live for ever.
func given(t *time.Time) storage.Time {
	if t == nil {
		return 0
	}
	return max(storage.At(*t), 1)
}

// GetDocument answers with the API's document.
func (a apiServer) GetDocument(context.Context, api.GetDocumentRequestObject) (api.GetDocumentResponseObject, error) {
	return api.GetDocument200ApplicationYamlResponse{Body: bytes.NewReader(api.Text), ContentLength: int64(len(api.Text))}, nil
}
