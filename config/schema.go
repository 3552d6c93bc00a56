package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// object is a JSON object; its keys are written in alphabetical order.
type object = map[string]any

// Schema is the JSON Schema (draft 2020-12) of the configuration file, for
// editors. Nothing is required in it: any key may come from the environment.
func Schema() []byte {
	t, docs := fields(), docs()
	sections := map[string]object{}
	for _, name := range t.sections() {
		sections[name] = object{}
	}
	owners := map[string]string{}
	for _, f := range t {
		sections[f.section][strings.TrimPrefix(f.key, f.section+".")] = t.schema(f, docs[f.owner+"."+f.name])
		owners[f.section] = f.owner
	}
	root := sections[""]
	for _, name := range t.sections()[1:] {
		root[name] = object{
			"type":                 []string{"object", "null"},
			"description":          plain(docs[owners[name]]),
			"properties":           sections[name],
			"additionalProperties": false,
		}
	}
	return encode(object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Understudy configuration",
		"type":                 "object",
		"properties":           root,
		"additionalProperties": false,
	})
}

func (t table) schema(f field, doc string) object {
	s := f.value()
	if f.list() {
		list := object{"type": "array", "items": s}
		if _, unique := f.param("unique"); unique {
			list["uniqueItems"] = true
		}
		s = list
	}
	if allowed := t.allowed(f, plain); allowed != "" {
		doc += " Allowed: " + allowed + "."
	}
	s["description"] = plain(doc)
	if f.deflt != "" {
		s["default"] = f.literal()
	}
	if f.secret() {
		s["writeOnly"] = true
	}
	return s
}

// value is the schema of the value, or of an item of the list.
func (f field) value() object {
	switch typ := f.elem(); {
	case typ == durationType:
		return object{"type": "string", "pattern": `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`}
	case typ.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case typ.Kind() == reflect.Int:
		s := object{"type": "integer"}
		for tag, word := range map[string]string{"min": "minimum", "max": "maximum"} {
			if param, ok := f.param(tag); ok {
				s[word] = json.Number(param)
			}
		}
		return s
	}
	s := object{"type": "string"}
	if param, ok := f.param("oneof"); ok {
		s["enum"] = strings.Fields(param)
	}
	if param, ok := f.param("max"); ok {
		s["maxLength"] = json.Number(param)
	}
	if _, ok := f.param("hexcolor"); ok {
		s["pattern"] = "^#[0-9A-Fa-f]{6}$"
	}
	if _, ok := f.param("required"); ok {
		s["minLength"] = 1
	}
	return s
}

// literal is the default as it stands in YAML or JSON.
func (f field) literal() any {
	if n, err := strconv.Atoi(f.deflt); err == nil && f.typ.Kind() == reflect.Int {
		return n
	}
	return f.deflt
}

// encode leaves < and > readable.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil { // maps and strings always encode
		panic(err)
	}
	return b.Bytes()
}
