package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Problem is one thing wrong with the configuration.
type Problem struct {
	Key     string // the key, environment variable or file concerned
	Message string // what is wrong and what would be right; never a secret
}

// Error is everything wrong with a configuration, sorted by key.
type Error struct{ Problems []Problem }

// Error has one line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Key + ": " + p.Message
	}
	return strings.Join(lines, "\n")
}

type problems []Problem

func (p *problems) add(key, format string, args ...any) {
	if key == "" { // YAML allows it
		key = `""`
	}
	*p = append(*p, Problem{oneLine(key), oneLine(fmt.Sprintf(format, args...))})
}

// err is nil if there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	sorted := slices.Clone(p)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	return &Error{Problems: sorted}
}

// oneLine keeps what a file or the environment says from forging lines or
// driving the terminal.
func oneLine(s string) string {
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

var userinfo = regexp.MustCompile(`(?s)//.*@`)

// display writes a value of the given type into a message: quoted, shortened,
// without passwords. The value may be of another type than it should be.
func display(typ reflect.Type, value any) string {
	switch v := value.(type) {
	case DSN:
		return strconv.Quote(v.String())
	case time.Duration:
		return formatDuration(v)
	}
	switch typ {
	case secretType:
		return redacted
	case dsnType:
		if s, ok := value.(string); ok {
			return strconv.Quote(DSN(s).String())
		}
		return redacted
	}
	s := userinfo.ReplaceAllString(fmt.Sprint(value), "//"+redacted+"@")
	if r := []rune(s); len(r) > 80 {
		s = string(r[:80]) + "..."
	}
	if _, ok := value.(string); ok {
		return strconv.Quote(s)
	}
	return s
}

// formatDuration leaves out the zeros time.Duration writes: 30m, not 30m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
