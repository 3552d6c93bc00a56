package api

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is generated from the document is what is checked in: go generate ./handlers/api.
func TestGenerated(t *testing.T) {
	t.Parallel()
	modfile, err := filepath.Abs("../../.ci/tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"api.gen.go", "client/client.gen.go"} {
		config := map[string]string{"api.gen.go": "server.oapi.yaml", "client/client.gen.go": "client/client.oapi.yaml"}[file]
		out := filepath.Join(t.TempDir(), "generated.go")
		generate := exec.Command("go", "tool", "-modfile="+modfile, "oapi-codegen", "-config", config, "-o", out, "openapi.yaml")
		generate.Env = append(os.Environ(), "CGO_ENABLED=0") // as make tools builds it
		var problems strings.Builder
		generate.Stderr = &problems
		if err := generate.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, problems.String())
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what the document generates; run go generate ./handlers/api", file)
		}
	}
}
