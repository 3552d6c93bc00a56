package templates

import "testing"

func TestWithoutMargins(t *testing.T) {
	source := "// What it is.\n{\n\t// Why.\n\n\tlet a = `one\n\t\ttwo` // kept\n}\n"
	if got, want := string(withoutMargins([]byte(source))), "{\nlet a = `one\ntwo` // kept\n}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
