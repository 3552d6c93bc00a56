package idptest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/understudy-id/understudy/handlers/api"
)

// Hold sends a request to the management API and holds the answer against its document.
func (idp *IDP) Hold(t testing.TB, r *http.Request) *Response {
	t.Helper()
	w := idp.Do(r)
	holdAgainst(t, r, w)
	return w
}

// holdAgainst holds what the management API answered against its document: the status,
// the body and each member of it, and the code of a problem.
func holdAgainst(t testing.TB, r *http.Request, w *Response) {
	t.Helper()
	if w.Status >= http.StatusBadRequest {
		wantProblem(t, r, w)
	}
	o := operationOf(r)
	if o == nil {
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: o.Route},
		Status:                 w.Status, Header: w.Header, Body: io.NopCloser(strings.NewReader(w.Body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: !strings.HasSuffix(w.Header.Get("Content-Type"), "json"),
		},
	}
	if r.Method == http.MethodHead {
		return
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
		t.Errorf("%s answered %d %.1000s: %v", o.ID, w.Status, w.Body, err)
	}
	wantHeaders(t, o, w)
	if content := contentOf(o, w); content != nil && strings.HasSuffix(w.Header.Get("Content-Type"), "json") {
		var v any
		if err := json.NewDecoder(bytes.NewReader([]byte(w.Body))).Decode(&v); err != nil {
			t.Errorf("%s answered %s: %v", o.ID, w.Body, err)
		}
		for _, name := range undocumented(content, v) {
			t.Errorf("%s: the document does not have %s: %s", o.ID, name, w.Body)
		}
	}
}

// ordinary are headers of any answer, which the document does without.
var ordinary = []string{
	"Cache-Control", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Referrer-Policy", "Strict-Transport-Security",
	"X-Content-Type-Options", "X-Frame-Options",
}

// wantHeaders holds the headers of an answer against the document. Those that it always
// has were looked for already.
func wantHeaders(t testing.TB, o *api.Operation, w *Response) {
	t.Helper()
	documented := map[string]bool{}
	for name := range responseOf(o, w).Headers {
		documented[http.CanonicalHeaderKey(name)] = true
	}
	for name := range w.Header {
		if !documented[name] && !slices.Contains(ordinary, name) {
			t.Errorf("%s: the document does not have the header %s of a %d", o.ID, name, w.Status)
		}
	}
	var p api.Problem
	if w.Status >= http.StatusBadRequest {
		p = w.Problem(t)
	}
	// An address that is spelt in another way, or a program that acts, is refused before it is
	// looked at who calls.
	early := o.Permission == "" || slices.Contains([]int{http.StatusUnauthorized, http.StatusNotFound}, w.Status) || p.Code == "impersonation_forbidden"
	for name, has := range map[string]bool{
		"Retry-After":      w.Status == http.StatusServiceUnavailable || p.Code == "idempotency_under_way",
		"WWW-Authenticate": w.Status == http.StatusUnauthorized || p.Code == "insufficient_permission",
		"RateLimit":        !early && w.Status < http.StatusInternalServerError,
	} {
		if has && w.Header.Get(name) == "" {
			t.Errorf("%s: %d %s: has no %s", o.ID, w.Status, p.Code, name)
		}
	}
}

// wantProblem is what every answer of an error is.
func wantProblem(t testing.TB, r *http.Request, w *Response) {
	t.Helper()
	if r.Method == http.MethodHead {
		return
	}
	p := w.Problem(t)
	kind, known := api.Load().Problems[p.Code]
	if !known || kind.Status != w.Status || kind.Title != p.Title {
		t.Errorf("%s %s: the document does not have the problem %s", r.Method, r.URL, w.Body)
	}
	if o := operationOf(r); o != nil && !slices.Contains(o.Errors, p.Code) && !slices.Contains(api.Load().CommonErrors, p.Code) {
		t.Errorf("%s: the document does not have its problem %s: %s", o.ID, p.Code, w.Body)
	}
	if w.Status >= http.StatusInternalServerError {
		t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Status, w.Body)
	}
}

// operationOf returns the operation of a request, nil where there is none.
func operationOf(r *http.Request) (found *api.Operation) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	for _, o := range api.Load().Operations {
		mux.HandleFunc(o.Method+" "+api.Prefix+o.Path, func(http.ResponseWriter, *http.Request) { found = o })
	}
	mux.ServeHTTP(httptest.NewRecorder(), r.Clone(r.Context()))
	return found
}

// responseOf returns what the document has of what was answered.
func responseOf(o *api.Operation, w *Response) *openapi3.Response {
	responses := o.Route.Operation.Responses
	if response := responses.Status(w.Status); response != nil {
		return response.Value
	}
	return responses.Default().Value
}

// contentOf returns the schema of what was answered.
func contentOf(o *api.Operation, w *Response) *openapi3.Schema {
	content := responseOf(o, w).Content.Get(w.Header.Get("Content-Type"))
	if content == nil {
		return nil
	}
	return content.Schema.Value
}

// undocumented names the members of a value that its schema does not have.
func undocumented(schema *openapi3.Schema, v any) (names []string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			names = append(names, undocumented(schema.Items.Value, item)...)
		}
	case map[string]any:
		members := membersOf(schema)
		if len(members) == 0 { // an object of any kind
			return nil
		}
		for name, member := range v {
			if members[name] == nil {
				names = append(names, name)
				continue
			}
			names = append(names, undocumented(members[name], member)...)
		}
	}
	return names
}

func membersOf(schema *openapi3.Schema) map[string]*openapi3.Schema {
	members := map[string]*openapi3.Schema{}
	for name, property := range schema.Properties {
		members[name] = property.Value
	}
	for _, part := range schema.AllOf {
		for name, property := range membersOf(part.Value) {
			members[name] = property
		}
	}
	return members
}
