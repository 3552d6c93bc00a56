package storage

import (
	"regexp"
	"testing"
	"time"
)

func TestNewIDAt(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^evt_[a-z2-7]{26}$`)
	last, seen := "", map[string]bool{}
	for n := range 5000 {
		id := NewIDAt("evt", t0.Add(time.Duration(n)*time.Hour))
		if !form.MatchString(id) || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
		if same := NewIDAt("evt", t0); seen[same] || same[:14] != NewIDAt("evt", t0)[:14] {
			t.Fatalf("%q", same)
		} else {
			seen[same] = true
		}
	}
}
