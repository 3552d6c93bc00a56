package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/understudy-id/understudy/"

// layers says what of ours each package and what lies below it may import, besides
// each other. Imports point one way, downwards:
//
//	cmd → handlers → provider → provider/impersonation → storage
var layers = map[string][]string{
	"cmd":                    {"config", "examples", "handlers", "provider", "provider/impersonation", "storage", "templates"},
	"handlers":               {"provider", "provider/impersonation", "storage", "templates"},
	"provider":               {"provider/impersonation", "storage"},
	"provider/impersonation": {"storage"},
	"storage":                {},
	"templates":              {},
	"config":                 {},
	"examples":               {},
}

// owners says which packages may know a library, by the beginning of its import
// path. Everybody else hears of it through their words.
var owners = []struct {
	library string
	in      []string
}{
	{"gorm.io/", []string{"storage"}},
	{"github.com/pressly/goose/", []string{"storage"}},
	{"modernc.org/sqlite", []string{"storage"}},
	{"github.com/jackc/pgx/", []string{"storage"}},
	{"github.com/gorilla/sessions", []string{"handlers"}},
	{"github.com/ory/fosite", []string{"provider", "provider/impersonation", "handlers"}},
	{"github.com/ory/fosite/", []string{"provider", "provider/impersonation"}}, // handlers name fosite's request types only
	{"github.com/go-jose/", []string{"provider", "provider/impersonation"}},
	{"github.com/wneessen/go-mail", []string{"provider"}},
	{"github.com/knadh/koanf/", []string{"config"}},
	{"github.com/spf13/cobra", []string{"cmd"}},
	{"testing", nil}, // nobody: test helpers are exempt, and stay out of the program
}

// pkg is what `go list` tells of a package. Imports are those of the program, not
// of its tests.
type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	var seen int
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if testHelper(path) {
			continue
		}
		seen++
		layer, ok := layerOf(path)
		if !ok {
			t.Errorf("%s: in no layer; give it one in deps_test.go", path)
			continue
		}
		for _, imported := range p.Imports {
			if why := refuse(layer, imported); why != "" {
				t.Errorf("%s imports %s: %s", path, imported, why)
			}
		}
	}
	if seen == 0 {
		t.Error("go list found no package")
	}
}

// The rule itself, from allowed imports to each kind of forbidden one.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		layer, imported string
		allowed         bool
	}{
		{"cmd", module + "config", true},
		{"cmd", module + "examples/app", true},
		{"handlers", module + "provider/token", true},
		{"provider", module + "provider/impersonation", true},
		{"handlers", "github.com/ory/fosite", true},
		{"provider", "github.com/ory/fosite/handler/oauth2", true},
		{"storage", "gorm.io/gorm", true},
		{"storage", module + "storage/migrations", true},
		{"handlers", "github.com/ory/fosite/handler/oauth2", false},
		{"handlers", "github.com/go-jose/go-jose/v4", false},
		{"handlers", module + "config", false},
		{"handlers", module + "cmd/understudy", false},
		{"provider", module + "handlers", false},
		{"provider/impersonation", module + "provider", false},
		{"provider/impersonation", "gorm.io/gorm", false},
		{"provider", "github.com/gorilla/sessions", false},
		{"storage", module + "provider", false},
		{"storage", module + "storage/pgtest", false},
		{"storage", "testing", false},
		{"templates", module + "storage", false},
		{"examples", module + "provider", false},
	} {
		if why := refuse(c.layer, c.imported); (why == "") != c.allowed {
			t.Errorf("%s imports %s: got %q, want allowed: %v", c.layer, c.imported, why, c.allowed)
		}
	}
}

// refuse says why a package of the layer may not import the path, or nothing.
func refuse(layer, imported string) string {
	if path, ours := strings.CutPrefix(imported, module); ours {
		if testHelper(path) {
			return "only tests import it"
		}
		to, _ := layerOf(path)
		if to == layer || slices.Contains(layers[layer], to) {
			return ""
		}
		return "imports point from cmd to storage; config, templates and examples import nothing of ours"
	}
	for _, o := range owners {
		within := imported == o.library || strings.HasPrefix(imported, o.library) && strings.HasSuffix(o.library, "/")
		if within && !slices.Contains(o.in, layer) {
			return "known only to " + strings.Join(o.in, ", ")
		}
	}
	return ""
}

// layerOf returns the nearest layer at or above the package.
func layerOf(path string) (string, bool) {
	for {
		if _, ok := layers[path]; ok {
			return path, true
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return "", false
		}
		path = path[:i]
	}
}

// testHelper reports whether the package is for tests alone: it or one above it
// is named as httptest is.
func testHelper(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(name string) bool {
		return strings.HasSuffix(name, "test")
	})
}

// packages lists the module's packages, those that do not compile included.
func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	list.Dir = "../.."
	var problems strings.Builder
	list.Stderr = &problems
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.String())
	}
	var found []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
}
