package templates

import (
	"testing"
	"time"
)

func TestMoments(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{left(now.Add(18*time.Minute+59*time.Second), now), "in 18 min"},
		{left(now.Add(59*time.Second), now), "in less than a minute"},
		{left(now.Add(60*time.Minute), now), "in 1 h"},
		{left(now.Add(125*time.Minute), now), "in 2 h 5 min"},
		{left(now, now), "now"},
		{lasted(12*time.Minute + 29*time.Second), "12 min"},
		{lasted(3 * time.Second), "less than a minute"},
		{wait(29200 * time.Millisecond), "30 s"},
		{wait(90 * time.Second), "90 s"},
		{wait(121 * time.Second), "3 min"},
		{clock(now, now), "14:14 UTC"},
		{clock(now.Add(12*time.Hour), now), "22 Nov 2026 02:14 UTC"},
		{clock(now.In(time.FixedZone("CET", 3600)), now), "14:14 UTC"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
