package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Two ways to write a value inside a sentence.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
func code(s string) string  { return "`" + s + "`" }

// allowed describes the values a field accepts, from its rules, to follow "must
// be": for messages, the schema and the reference alike.
func (t table) allowed(f field, quote func(string) string) string {
	var parts []string
	for _, r := range f.rules {
		if c, ok := checks()[r.tag]; ok {
			parts = append(parts, style(c.allowed, quote))
			continue
		}
		switch r.tag {
		case "oneof":
			parts = append(parts, "one of "+each(strings.Fields(r.param), quote))
		case "min":
			most, _ := f.param("max")
			parts = append(parts, quote(r.param)+" to "+quote(most))
		case "max":
			if _, ranged := f.param("min"); !ranged {
				parts = append(parts, "at most "+r.param+" characters")
			}
		case "ltefield":
			parts = append(parts, "at most "+quote(t.sibling(f, r.param)))
		case "file":
			parts = append(parts, "the path of an existing file")
		case "required_with":
			parts = append(parts, "required with "+quote(t.sibling(f, r.param)))
		case "hexcolor":
			parts = append(parts, "a colour written "+quote("#rrggbb"))
		}
	}
	if f.elem() == prefixType {
		parts = append(parts, "addresses and networks, none of them "+quote("/0"))
	}
	if f.typ.Kind() == reflect.Bool {
		parts = append(parts, fmt.Sprintf("%s or %s", quote("true"), quote("false")))
	}
	return strings.Join(parts, ", ")
}

func each(values []string, quote func(string) string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return strings.Join(quoted, ", ")
}

// style rewrites the code spans of a sentence.
func style(sentence string, quote func(string) string) string {
	parts := strings.Split(sentence, "`")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = quote(parts[i])
	}
	return strings.Join(parts, "")
}
