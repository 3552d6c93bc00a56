package api

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// TakesBody reports whether the operation has a body.
func (o *Operation) TakesBody() bool { return o.Route.Operation.RequestBody != nil }

// HasParameter reports whether the operation has a parameter of the query.
func (o *Operation) HasParameter(name string) bool {
	return o.Route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) != nil
}

// Check holds a request against the document and returns what is wrong with it, nil
// where nothing is. It reads the body, which can be read once more.
func (o *Operation) Check(r *http.Request) []FieldError {
	parameters := map[string]string{}
	for _, p := range o.Route.Operation.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			parameters[p.Value.Name] = r.PathValue(p.Value.Name)
		}
	}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: o.Route,
		Options: &openapi3filter.Options{
			MultiError: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		},
	})
	return fieldErrors("", err)
}

var unsupported = regexp.MustCompile(`^property "(.*)" is unsupported$`)

// fieldErrors takes a validation error apart.
func fieldErrors(field string, err error) []FieldError {
	var all []FieldError
	switch e := err.(type) { //nolint:errorlint // the library returns trees of these, unwrapped
	case nil:
	case openapi3.MultiError:
		for _, one := range e {
			all = append(all, fieldErrors(field, one)...)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			field = e.Parameter.Name
		}
		if e.Err == nil {
			return []FieldError{{field, e.Reason}}
		}
		return fieldErrors(field, e.Err)
	case *openapi3.SchemaError:
		if inner := (openapi3.MultiError{}); errors.As(e.Origin, &inner) && len(inner) > 0 {
			return fieldErrors(field, inner)
		}
		path, message := e.JSONPointer(), e.Reason
		if e.SchemaField == "format" && e.Schema.Format == "date-time" {
			message = "want a time as 2026-03-14T15:09:26Z"
		}
		if m := unsupported.FindStringSubmatch(message); m != nil {
			path, message = append(path, m[1]), "there is no such member"
		}
		return []FieldError{{fieldName(field, path), message}}
	default:
		return []FieldError{{field, err.Error()}}
	}
	return all
}

// fieldName writes a path as address.country and roles[0].
func fieldName(name string, path []string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, part := range path {
		if _, err := strconv.Atoi(part); err == nil {
			b.WriteString("[" + part + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}
