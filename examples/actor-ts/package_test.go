// Package actorts_test builds the npm package @understudy/actor and runs its tests.
package actorts_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/examples/nodetest"
	"github.com/understudy-id/understudy/handlers/idptest"
)

var update = flag.Bool("update", false, "write the copy of the staff bar's script")

// Its own tests: the vectors of examples/actor, and what TypeScript alone has.
func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs Node.js, and a registry the first time")
	}
	t.Parallel()
	nodetest.Sources(t, "../*.json", "*.json", "*.d.ts", "staff-bar.js", "src/*.ts", "test/*", "../actor/testdata/*.json")
	nodetest.Build(t, "..")
	nodetest.Command(t, ".", 10*time.Minute, "npm", "test")
}

// The script in the package is the one that the provider serves.
func TestStaffBarScript(t *testing.T) {
	t.Parallel()
	w := idptest.New(t, idptest.Options{}).Do(httptest.NewRequest(http.MethodGet, "/staff-bar.js", nil))
	files := map[string]string{
		"staff-bar.js": w.Body,
		"src/integrity.ts": fmt.Sprintf("/** Of the copy of the script in this package, `@understudy/actor/staff-bar.js`. */\n"+
			"export const staffBarIntegrity = '%s';\n", strings.Trim(w.Header.Get("ETag"), `"`)),
	}
	for name, want := range files {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s is not what the provider serves (%v); go test ./examples/actor-ts -update writes it", name, err)
		}
	}
}
