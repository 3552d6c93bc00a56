// Package nodetest runs programs for Node.js in the tests of examples, with the
// packages that their package-lock.json names.
package nodetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Program returns a command that runs a script of a directory. It installs the
// directory's packages where they are not what package-lock.json says, and ends with
// the test.
func Program(t testing.TB, directory, script string) *exec.Cmd {
	t.Helper()
	Sources(t, filepath.Join(directory, "..", "*.mjs"), filepath.Join(directory, script), filepath.Join(directory, "*.json"))
	install(t, directory)
	return Node(t, directory, script)
}

// Node returns a command that runs a script of a directory, and ends with the test.
func Node(t testing.TB, directory, script string) *exec.Cmd {
	t.Helper()
	arguments := []string{script}
	if version := Command(t, ".", 2*time.Minute, "node", "--version"); strings.HasPrefix(version, "v18.") { // Debian 12
		arguments = []string{"--experimental-global-webcrypto", script}
	}
	program := exec.CommandContext(t.Context(), "node", arguments...)
	program.Dir = directory
	return program
}

// Build installs the packages of a directory and runs its script "build".
func Build(t testing.TB, directory string) {
	t.Helper()
	alone(t, directory, func() {
		update(t, directory)
		Command(t, directory, 10*time.Minute, "npm", "run", "build")
	})
}

func install(t testing.TB, directory string) {
	t.Helper()
	alone(t, directory, func() { update(t, directory) })
}

// alone runs fn while nobody else does anything to the packages of a directory: tests,
// also of several packages, ask for the same at once.
func alone(t testing.TB, directory string, fn func()) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(directory, "package-lock.json"), os.O_RDWR, 0)
	if err == nil {
		defer lock.Close()
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	fn()
}

func update(t testing.TB, directory string) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: .ci/install-test-tools installs it from Debian's packages", err)
		}
	}
	if outdated(t, directory) {
		Command(t, directory, 10*time.Minute, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	}
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

// Start starts a program and returns the address that it prints. It ends with the test.
func Start(t testing.TB, program *exec.Cmd, environment ...string) (address string) {
	t.Helper()
	var problems bytes.Buffer
	program.Env = append(append(os.Environ(), "PORT=0", "BASE_URL="), environment...)
	program.Stderr, program.WaitDelay = &problems, 10*time.Second
	out, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(5*time.Minute, func() { _ = program.Process.Kill() }) // it prints nothing
	line, err := bufio.NewReader(out).ReadBytes('\n')
	stop.Stop()
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if t.Failed() {
			t.Logf("%s wrote: %s", program, problems.String())
		}
	})
	var ready struct {
		Address string `json:"address"`
	}
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("%s did not start: %v", program, err)
	}
	return ready.Address
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
