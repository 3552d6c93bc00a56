// Package nodetest runs programs for Node.js in the tests of examples, with the
// packages that their package-lock.json names.
package nodetest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Program returns a command that runs a script of a directory. It installs the
// directory's packages where they are not what package-lock.json says, and ends with
// the test.
func Program(t testing.TB, directory, script string) *exec.Cmd {
	t.Helper()
	Sources(t, filepath.Join(directory, "..", "*.mjs"), filepath.Join(directory, script), filepath.Join(directory, "*.json"))
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: .ci/install-test-tools installs it from Debian's packages", err)
		}
	}
	if outdated(t, directory) {
		Command(t, directory, 3*time.Minute, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	}
	arguments := []string{script}
	if version := Command(t, ".", time.Minute, "node", "--version"); strings.HasPrefix(version, "v18.") { // Debian 12
		arguments = []string{"--experimental-global-webcrypto", script}
	}
	program := exec.CommandContext(t.Context(), "node", arguments...)
	program.Dir = directory
	return program
}

// outdated reports whether node_modules is not what package-lock.json says. npm
// writes the file inside when it is done.
func outdated(t testing.TB, directory string) bool {
	t.Helper()
	lock, err := os.Stat(filepath.Join(directory, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.Stat(filepath.Join(directory, "node_modules", ".package-lock.json"))
	return err != nil || installed.ModTime().Before(lock.ModTime())
}

// Sources lets `go test` know what the result depends on: it does not see what
// programs read that it did not build.
func Sources(t testing.TB, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Command runs a program in a directory to its end and returns what it printed.
func Command(t testing.TB, directory string, limit time.Duration, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, arguments...)
	c.Dir, c.WaitDelay = directory, 10*time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s in %s: %v\n%s", c, directory, err, out)
	}
	return string(out)
}
