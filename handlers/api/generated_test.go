package api

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
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
		for _, arguments := range [][]string{{"oapi-codegen", "-config", config, "-o", out, "openapi.yaml"}, {"gofumpt", "-w", out}} {
			tool := exec.Command("go", append([]string{"tool", "-modfile=" + modfile}, arguments...)...)
			tool.Env = append(os.Environ(), "CGO_ENABLED=0") // as make tools builds it
			if problems, err := tool.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, problems)
			}
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
