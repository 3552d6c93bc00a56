package handlers_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
)

// plausible are texts that mean something to the provider of a test, and some that
// nobody ought to take for it.
var plausible = []string{
	"usr_ada", "usr_sam", "usr_root", "usr_nobody", "org_globex", "org_initech", "Globex", "app", "public", "service", "support", "admin", "auditor",
	"ada@example.test", "ADA@EXAMPLE.TEST", "new@example.test", "users:read", "openid profile", "https://shop.example/cb", "http://127.0.0.1/cb",
	"authorization_code", "client_credentials", "code", "Cannot see invoice 4711", "2030-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
	"", " ", "\x00", "a\x00b", "'; DROP TABLE users; --", "<script>", "../../etc/passwd", "%00", "{{.}}", "\u202eright to left", "\U0010ffff",
	strings.Repeat("x", 300), strings.Repeat("ä", 2048), "{}", `{"keys": []}`, "null",
}

var texts = rapid.OneOf(rapid.SampledFrom(plausible), rapid.String())

// valid draws a value that a schema allows, as far as the schema says.
func valid(t *rapid.T, schema *openapi3.Schema) any {
	if schema.Nullable && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return nil
	}
	switch {
	case len(schema.Enum) > 0:
		return rapid.SampledFrom(schema.Enum).Draw(t, "enum")
	case schema.Type.Is("boolean"):
		return rapid.Bool().Draw(t, "boolean")
	case schema.Type.Is("integer"):
		return rapid.Int64Range(0, 100).Draw(t, "integer")
	case schema.Type.Is("array"):
		list := []any{}
		for range rapid.IntRange(int(schema.MinItems), 3).Draw(t, "items") {
			list = append(list, valid(t, schema.Items.Value))
		}
		return list
	case schema.Type.Is("object"):
		object := map[string]any{}
		for _, name := range slices.Sorted(mapKeys(schema.Properties)) {
			if slices.Contains(schema.Required, name) || rapid.IntRange(0, 2).Draw(t, "given") == 0 {
				object[name] = valid(t, schema.Properties[name].Value)
			}
		}
		return object
	}
	return texts.Draw(t, "text")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

// mutated draws a value that is much like another one.
func mutated(t *rapid.T, v any) any {
	switch rapid.IntRange(0, 3).Draw(t, "mutation") {
	case 0:
		return rapid.SampledFrom([]any{nil, true, 0, -1, 1e308, "", "x", []any{}, map[string]any{}, []any{nil}, map[string]any{"": nil}}).Draw(t, "instead")
	case 1:
		if object, ok := v.(map[string]any); ok {
			name := rapid.SampledFrom(append(slices.Sorted(mapKeys(object)), "admin", "__proto__", "ID", "")).Draw(t, "member")
			if object[name] != nil && rapid.Bool().Draw(t, "leave out") {
				delete(object, name)
			} else {
				object[name] = mutated(t, object[name])
			}
			return object
		}
	case 2:
		if list, ok := v.([]any); ok && len(list) > 0 {
			i := rapid.IntRange(0, len(list)-1).Draw(t, "item")
			list[i] = mutated(t, list[i])
			return append(list, list[i])
		}
	}
	return texts.Draw(t, "text")
}

// Whatever is sent to an operation, the answer is one that the document has: a problem
// where something is wrong, and never a failure of ours. idptest.API sees to that (SECURITY F09).
func TestAPIProperty(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{Handlers: manyCalls})
	keys := []string{everyPermission(t, idp), idp.LocalAPIKey(t, "org_globex", provider.Permissions()...)}
	operations := slices.DeleteFunc(slices.Clone(api.Load().Operations), func(o *api.Operation) bool {
		return o.ID == "rotateSigningKeys" // each makes an RSA key
	})
	rapid.Check(t, func(r *rapid.T) {
		o := rapid.SampledFrom(operations).Draw(r, "operation")
		path, query := o.Path, url.Values{}
		for _, p := range o.Route.Operation.Parameters {
			switch p.Value.In {
			case openapi3.ParameterInPath:
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(segment(r)))
			case openapi3.ParameterInQuery:
				if rapid.Bool().Draw(r, p.Value.Name) {
					v := valid(r, p.Value.Schema.Value)
					if rapid.IntRange(0, 3).Draw(r, "mutated") == 0 {
						v = texts.Draw(r, "parameter")
					}
					b, _ := json.Marshal(v) // texts and numbers
					query.Set(p.Value.Name, strings.Trim(string(b), `"`))
				}
			}
		}
		var body any
		if o.TakesBody() {
			v := valid(r, o.Route.Operation.RequestBody.Value.Content.Get("application/json").Schema.Value)
			if rapid.Bool().Draw(r, "mutated") {
				v = mutated(r, v)
			}
			b, err := json.Marshal(v)
			if err != nil {
				return // an infinite number
			}
			body = b
		}
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		tb := &drawn{TB: t, r: r}
		idp.API(tb, rapid.SampledFrom(keys).Draw(r, "key"), o.Method, path, body)
	})
}

// segment draws a part of a path.
func segment(r *rapid.T) string {
	s := texts.Draw(r, "segment")
	if s == "" || s == "." || s == ".." {
		return "x" // another path
	}
	return s
}

// drawn reports what is wrong to rapid, which finds a smaller case.
type drawn struct {
	testing.TB
	r *rapid.T
}

func (d *drawn) Errorf(format string, args ...any) { d.r.Errorf(format, args...) }
func (d *drawn) Fatalf(format string, args ...any) { d.r.Fatalf(format, args...) }
func (d *drawn) Fatal(args ...any)                 { d.r.Fatal(args...) }

// Any bytes in any place of a request get an answer that the document has.
func FuzzAPI(f *testing.F) {
	idp := idptest.New(f, idptest.Options{Handlers: manyCalls})
	key := everyPermission(f, idp)
	operations := api.Load().Operations
	for i := range operations {
		f.Add(uint8(i), "usr_ada", "limit=1", `{"email": "a@example.test", "name": "a", "permissions": ["users:read"]}`, "application/json", "a")
	}
	f.Fuzz(func(t *testing.T, operation uint8, id, query, body, kind, idempotency string) {
		o := operations[int(operation)%len(operations)]
		if o.ID == "rotateSigningKeys" || id == "" || id == "." || id == ".." {
			return
		}
		u, err := url.Parse(api.Prefix + placeholders.ReplaceAllLiteralString(o.Path, url.PathEscape(id)))
		if err != nil {
			return
		}
		r := httptest.NewRequest(o.Method, "/", strings.NewReader(body))
		r.URL, r.RequestURI = u, u.RequestURI()
		r.URL.RawQuery = query
		r.Header = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {kind}, "Idempotency-Key": {idempotency}}
		idp.Hold(t, r)
	})
}
