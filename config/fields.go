package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	secretType   = reflect.TypeFor[Secret]()
	dsnType      = reflect.TypeFor[DSN]()
)

// A field is one key of the configuration, as its struct field declares it.
type field struct {
	key     string       // impersonation.max_duration
	section string       // impersonation, "" at the top
	owner   string       // Impersonation: the struct type, for the doc comment
	name    string       // MaxDuration: the struct field
	index   []int        // for reflect.Value.FieldByIndex
	typ     reflect.Type // time.Duration
	deflt   string       // 60m, as it would be written in the environment
	rules   []rule       // min=1m max=60m
}

// A rule is one word of a validate tag.
type rule struct{ tag, param string }

// A table holds all fields in the order of declaration.
type table []field

func fields() table {
	return appendFields(nil, reflect.TypeFor[Config](), "", nil)
}

func appendFields(t table, owner reflect.Type, section string, index []int) table {
	for i := range owner.NumField() {
		sf := owner.Field(i)
		tag := sf.Tag.Get("koanf")
		if tag == "" {
			continue
		}
		key, at := join(section, tag), append(slices.Clone(index), i)
		if sf.Type.Kind() == reflect.Struct {
			t = appendFields(t, sf.Type, key, at)
			continue
		}
		t = append(t, field{
			key: key, section: section, owner: owner.Name(), name: sf.Name, index: at,
			typ: sf.Type, deflt: sf.Tag.Get("default"), rules: parseRules(sf.Tag.Get("validate")),
		})
	}
	return t
}

func parseRules(tag string) []rule {
	var rules []rule
	for word := range strings.SplitSeq(tag, ",") {
		name, param, _ := strings.Cut(word, "=")
		rules = append(rules, rule{name, param})
	}
	return rules
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

func (t table) field(key string) (field, bool) {
	i := slices.IndexFunc(t, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return t[i], true
}

// sections lists the sections, the top ("") first.
func (t table) sections() []string {
	var names []string
	for _, f := range t {
		if !slices.Contains(names, f.section) {
			names = append(names, f.section)
		}
	}
	return names
}

// within lists what may be written directly in a section.
func (t table) within(section string) []string {
	var names []string
	for _, f := range t {
		if f.section == section {
			names = append(names, strings.TrimPrefix(f.key, section+"."))
		}
	}
	if section == "" {
		names = append(names, t.sections()[1:]...)
	}
	return names
}

// sibling is the key of another struct field of the same section, which is how
// a rule such as ltefield names it.
func (t table) sibling(f field, name string) string {
	for _, other := range t {
		if other.owner == f.owner && other.name == name {
			return other.key
		}
	}
	return name
}

// variable is the environment variable that sets the field.
func (f field) variable() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "__"))
}

// secret reports whether the field may hold something nobody must read.
func (f field) secret() bool {
	return f.elem() == secretType || f.typ == dsnType
}

func (f field) list() bool { return f.typ.Kind() == reflect.Slice }

// elem is the type of one value: of the field, or of an item of its list.
func (f field) elem() reflect.Type {
	if f.list() {
		return f.typ.Elem()
	}
	return f.typ
}

func (f field) param(tag string) (string, bool) {
	for _, r := range f.rules {
		if r.tag == tag {
			return r.param, true
		}
	}
	return "", false
}

// of is the value the field has in a configuration.
func (f field) of(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(f.index)
}
