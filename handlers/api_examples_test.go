package handlers_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/handlers/api"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider"
)

// Each body in the document has an example, and that is no malformed request.
func TestAPIExamples(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{Handlers: manyCalls}))
	addClient(t, idp, "shop", started)
	key := everyPermission(t, idp)
	path := strings.NewReplacer("{user_id}", "usr_grace", "{organization_id}", "org_globex", "{client_id}", "shop", "{webhook_id}", "nothing", "{approval_id}", "nothing")
	for _, o := range api.Load().Operations {
		if !o.TakesBody() {
			continue
		}
		schema := o.Route.Operation.RequestBody.Value.Content.Get("application/json").Schema.Value
		if schema.Example == nil {
			t.Errorf("%s: there is no example", o.ID)
			continue
		}
		w := idp.API(t, key, o.Method, path.Replace(o.Path), schema.Example)
		if w.Status < http.StatusBadRequest {
			continue
		}
		if p := w.Problem(t); !slices.Contains([]string{"not_found", "conflict", "not_permitted", "impersonation_denied"}, p.Code) {
			t.Errorf("%s: the example gets %d %s", o.ID, w.Status, w.Body)
		}
	}
	for name, ref := range api.Load().Components.Schemas {
		if schema := ref.Value; schema.Example != nil {
			if err := schema.VisitJSON(schema.Example); err != nil {
				t.Errorf("%s: the example is not as described: %v", name, err)
			}
		}
	}
}

// The document lists the values that there are.
func TestAPIChoices(t *testing.T) {
	t.Parallel()
	for _, object := range []string{"Client", "ClientInput"} {
		for member, ref := range api.Load().Components.Schemas[object].Value.Properties {
			values := provider.Choices(member)
			if len(ref.Value.Enum) > 0 && fmt.Sprint(ref.Value.Enum) != fmt.Sprint(values) {
				t.Errorf("%s.%s: %v, want %v", object, member, ref.Value.Enum, values)
			}
		}
	}
}
