package templates

import (
	"testing"
	"time"
)

func TestMoments(t *testing.T) {
	words := catalogue{}
	for _, c := range []struct{ got, want string }{
		{words.left(now.Add(18*time.Minute+59*time.Second), now), "in 18 min"},
		{words.left(now.Add(59*time.Second), now), "in less than a minute"},
		{words.left(now.Add(60*time.Minute), now), "in 1 h"},
		{words.left(now.Add(125*time.Minute), now), "in 2 h 5 min"},
		{words.left(now, now), "now"},
		{words.lasted(12*time.Minute + 29*time.Second), "12 min"},
		{words.lasted(3 * time.Second), "less than a minute"},
		{words.wait(29200 * time.Millisecond), "30 s"},
		{words.wait(90 * time.Second), "90 s"},
		{words.wait(121 * time.Second), "3 min"},
		{words.ago(now.Add(-30*time.Second), now), "just now"},
		{words.ago(now.Add(-14*time.Minute), now), "14 min ago"},
		{words.ago(now.Add(-125*time.Minute), now), "2 h ago"},
		{words.ago(now.Add(-71*time.Hour), now), "2 days ago"},
		{words.clock(now, now), "14:14 UTC"},
		{words.clock(now.Add(12*time.Hour), now), "22 Nov 2026 02:14 UTC"},
		{words.clock(now.In(time.FixedZone("CET", 3600)), now), "14:14 UTC"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
