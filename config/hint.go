package config

import (
	"slices"
	"strings"
)

// hint ends the message about an unknown key: with the key that was probably
// meant, or else with those there are.
func (t table) hint(key string) string {
	if near := t.nearest(key); near != "" {
		return "; did you mean " + near + "?"
	}
	section := ""
	if i := strings.LastIndex(key, "."); i >= 0 && slices.Contains(t.sections(), key[:i]) {
		section = key[:i]
	}
	if section != "" {
		return "; " + section + " has " + strings.Join(t.within(section), ", ")
	}
	return "; there are " + strings.Join(t.within(""), ", ")
}

func (t table) variableHint(name string) string {
	key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "__", "."))
	near := t.nearest(key)
	if f, ok := t.field(near); ok {
		return "; did you mean " + f.variable() + "?"
	}
	if file, ok := strings.CutSuffix(key, strings.ToLower(fileSuffix)); ok {
		if f, ok := t.field(t.nearest(file)); ok && f.secret() {
			return "; did you mean " + f.variable() + fileSuffix + "?"
		}
	}
	return "; a level below another is written with two underscores, as in UNDERSTUDY_LOG__LEVEL"
}

// nearest is the key or section with the most similar name, "" if none is similar.
func (t table) nearest(key string) string {
	if len(key) > 100 {
		return ""
	}
	name := key[strings.LastIndex(key, ".")+1:]
	best, least := "", max(2, len(name)/4)+1
	for _, candidate := range t.names() {
		if strings.HasPrefix(key, candidate+".") { // the section it is in
			continue
		}
		d := distance(key, candidate)
		switch last := candidate[strings.LastIndex(candidate, ".")+1:]; {
		case last == name: // in the wrong section
			d = min(d, 1)
		case len(key) > 3 && strings.HasPrefix(candidate, key): // cut short
			d = min(d, 2)
		}
		if d < least {
			best, least = candidate, d
		}
	}
	return best
}

// names lists keys and sections.
func (t table) names() []string {
	names := slices.Clone(t.sections()[1:])
	for _, f := range t {
		names = append(names, f.key)
	}
	return names
}

// distance counts the letters to insert, remove or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
