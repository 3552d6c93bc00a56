package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

//go:embed reference.md
var preface string

// Reference is docs/configuration.md: every key with its meaning, in Markdown.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	t, docs := fields(), docs()
	for _, section := range t.sections() {
		b.WriteString("\n" + t.heading(section, docs))
		for _, f := range t {
			if f.section == section {
				b.WriteString("\n" + t.entry(f, docs[f.owner+"."+f.name]))
			}
		}
	}
	return b.Bytes()
}

func (t table) heading(section string, docs map[string]string) string {
	if section == "" {
		return "## Server\n\nThese keys stand at the top of the file.\n"
	}
	for _, f := range t {
		if f.section == section {
			return fmt.Sprintf("## %s\n\n%s\n", section, docs[f.owner])
		}
	}
	return ""
}

func (t table) entry(f field, doc string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### `%s`\n\n%s\n\n", f.key, doc)
	if allowed := t.allowed(f, code); allowed != "" {
		fmt.Fprintf(&b, "- Allowed: %s\n", allowed)
	}
	fmt.Fprintf(&b, "- Default: %s\n", f.defaultText())
	fmt.Fprintf(&b, "- Environment: `%s`", f.variable())
	if f.secret() {
		fmt.Fprintf(&b, " or `%s%s`", f.variable(), fileSuffix)
	}
	return b.String() + "\n"
}

func (f field) defaultText() string {
	_, required := f.param("required")
	switch {
	case f.deflt != "":
		return code(f.deflt)
	case required:
		return "none; required"
	case f.list():
		return "none"
	case f.typ.Kind() == reflect.Bool:
		return code("false")
	}
	return "empty"
}
