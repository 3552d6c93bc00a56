package templates

import (
	"fmt"
	"time"
)

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// clock is the time of day, with the date when that is not today's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 UTC")
	}
	return t.Format("2 Jan 2006 15:04 UTC")
}

// left never promises more than there is: 18 min 59 s are 18 min.
func left(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return "now"
	case d < time.Minute:
		return "in less than a minute"
	default:
		return "in " + spell(d.Truncate(time.Minute))
	}
}

func lasted(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return spell(d.Round(time.Minute))
}

// wait never sends anyone back too early: 29.2 s are 30 s.
func wait(d time.Duration) string {
	unit := time.Second
	if d > 2*time.Minute {
		unit = time.Minute
	}
	return spell((d + unit - 1).Truncate(unit))
}

func spell(d time.Duration) string {
	h, min, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < 2*time.Minute && d%time.Minute != 0:
		return fmt.Sprintf("%d s", 60*min+s)
	case h == 0:
		return fmt.Sprintf("%d min", min)
	case min == 0:
		return fmt.Sprintf("%d h", h)
	default:
		return fmt.Sprintf("%d h %d min", h, min)
	}
}
