package handlers_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/provider/impersonation"
)

// BenchmarkReplacePolicy saves as many rules as there may be, as a body holds.
func BenchmarkReplacePolicy(b *testing.B) {
	idp := idptest.New(b, idptest.Options{Handlers: manyCalls})
	key := idp.APIKey(b, impersonation.PermissionPolicies)
	rules := []map[string]any{}
	for i := range impersonation.MaxRules {
		when := fmt.Sprintf(`subject.id == "usr_%d"`, i)
		for n := 0; len(when) < 180; n++ {
			when += fmt.Sprintf(` || subject.id.startsWith("usr_%d_") && client.id in ["shop", "desk"]`, n)
		}
		rules = append(rules, map[string]any{"name": fmt.Sprintf("rule %d", i), "when": when, "effect": "deny"})
	}
	version := 0
	for b.Loop() {
		w := idp.API(b, key, http.MethodPut, "/policies", map[string]any{"based_on": version, "rules": rules})
		if w.Status != http.StatusOK {
			b.Fatalf("%d %s", w.Status, w.Body)
		}
		version++
	}
}
