package storage

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// Every type of event is among all of them, once.
func TestEventTypes(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []EventType
	for _, m := range regexp.MustCompile(`(?m)^\tEvent\w+\s+EventType = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, EventType(m[1]))
	}
	got := EventTypes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) < 40 {
		t.Errorf("got %v, want %v", got, want)
	}
}
