package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// Prefix is the path below which the API is.
const Prefix = "/api/v1"

// Text is the document as it is served.
//
//go:embed openapi.yaml
var Text []byte

// Operation is what the document says of one operation.
type Operation struct {
	ID         string
	Method     string
	Path       string // below Prefix, with parameters in braces
	Permission string // what a caller must hold; empty: the operation is public
	Within     bool   // held within one organization suffices
	Errors     []string
	Route      *routers.Route
}

// Document is the parsed document.
type Document struct {
	*openapi3.T
	Operations   []*Operation
	Problems     map[string]ProblemKind // by code
	CommonErrors []string               // what every operation may answer
}

// ProblemKind is what a problem of one code is.
type ProblemKind struct {
	Status int
	Title  string
}

// Load returns the document, which is parsed once. It is ours: when it cannot be read
// the program is broken.
var Load = sync.OnceValue(func() *Document {
	d, err := parse(Text)
	if err != nil {
		panic(fmt.Errorf("openapi.yaml: %w", err))
	}
	return d
})

func parse(text []byte) (*Document, error) {
	t, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	d := &Document{T: t}
	if err := extension(t.Components.Schemas["Problem"].Value.Properties["code"].Value.Extensions, "x-problems", &d.Problems); err != nil {
		return nil, err
	}
	if err := extension(t.Extensions, "x-common-errors", &d.CommonErrors); err != nil {
		return nil, err
	}
	for path, item := range t.Paths.Map() {
		for method, operation := range item.Operations() {
			o := &Operation{ID: operation.OperationID, Method: method, Path: path, Route: &routers.Route{
				Spec: t, Path: path, PathItem: item, Method: method, Operation: operation,
			}}
			for name, into := range map[string]any{"x-permission": &o.Permission, "x-within": &o.Within, "x-errors": &o.Errors} {
				if err := extension(operation.Extensions, name, into); err != nil {
					return nil, fmt.Errorf("%s: %w", o.ID, err)
				}
			}
			public := operation.Security != nil && len(*operation.Security) == 0
			if public != (o.Permission == "") {
				return nil, fmt.Errorf("%s: has neither a permission nor is it public", o.ID)
			}
			d.Operations = append(d.Operations, o)
		}
	}
	slices.SortFunc(d.Operations, func(a, b *Operation) int {
		return slices.Compare([]string{a.Path, a.Method}, []string{b.Path, b.Method})
	})
	return d, nil
}

func extension(all map[string]any, name string, into any) error {
	b, err := json.Marshal(all[name])
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Operation returns the operation that a pattern of net/http stands for, nil where there
// is none.
func (d *Document) Operation(pattern string) *Operation {
	for _, o := range d.Operations {
		if pattern == o.Method+" "+Prefix+o.Path {
			return o
		}
	}
	return nil
}

// Route is an operation with what answers it.
type Route struct {
	*Operation
	Pattern string
	Serve   http.HandlerFunc
}

// Routes returns what answers each operation, with si behind it. Requests that cannot be
// read go to refuse, errors that si returns to fail.
func Routes(si StrictServerInterface, refuse, fail func(http.ResponseWriter, *http.Request, error)) []Route {
	var c collector
	HandlerWithOptions(NewStrictHandlerWithOptions(si, nil, StrictHTTPServerOptions{
		RequestErrorHandlerFunc: refuse, ResponseErrorHandlerFunc: fail,
	}), StdHTTPServerOptions{BaseURL: Prefix, BaseRouter: &c, ErrorHandlerFunc: refuse})
	return c.routes
}

// collector takes the place of a ServeMux for the generated code.
type collector struct {
	http.Handler
	routes []Route
}

func (c *collector) HandleFunc(pattern string, serve func(http.ResponseWriter, *http.Request)) {
	c.routes = append(c.routes, Route{Load().Operation(pattern), pattern, serve})
}
