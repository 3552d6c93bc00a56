package templates

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// moments are the functions that say a time or a duration, in the catalogue's words.
func moments(words catalogue) template.FuncMap {
	return template.FuncMap{"stamp": stamp, "clock": words.clock, "left": words.left, "ago": words.ago, "lasted": words.lasted, "wait": words.wait}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// clock is the time of day, with the date when that is not today's.
func (c catalogue) clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 UTC")
	}
	month := t.Format("Jan")
	return strings.Replace(t.Format("2 Jan 2006 15:04 UTC"), month, c.text(month), 1)
}

// left never promises more than there is: 18 min 59 s are 18 min.
func (c catalogue) left(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return c.text("now")
	case d < time.Minute:
		return c.text("in less than a minute")
	default:
		return fmt.Sprintf(c.text("in %s"), c.spell(d.Truncate(time.Minute)))
	}
}

// ago is how long before now something was, roughly.
func (c catalogue) ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return c.text("just now")
	case d >= 48*time.Hour:
		return fmt.Sprintf(c.text("%d days ago"), int(d.Hours()/24))
	case d >= time.Hour:
		d = d.Truncate(time.Hour)
	}
	return fmt.Sprintf(c.text("%s ago"), c.spell(d.Truncate(time.Minute)))
}

func (c catalogue) lasted(d time.Duration) string {
	if d < time.Minute {
		return c.text("less than a minute")
	}
	return c.spell(d.Round(time.Minute))
}

// wait never sends anyone back too early: 29.2 s are 30 s.
func (c catalogue) wait(d time.Duration) string {
	unit := time.Second
	if d > 2*time.Minute {
		unit = time.Minute
	}
	return c.spell((d + unit - 1).Truncate(unit))
}

func (c catalogue) spell(d time.Duration) string {
	h, min, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < 2*time.Minute && d%time.Minute != 0:
		return fmt.Sprintf(c.text("%d s"), 60*min+s)
	case h == 0:
		return fmt.Sprintf(c.text("%d min"), min)
	case min == 0:
		return fmt.Sprintf(c.text("%d h"), h)
	default:
		return fmt.Sprintf(c.text("%d h %d min"), h, min)
	}
}
