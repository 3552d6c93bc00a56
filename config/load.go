package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Where a value comes from.
const (
	fromDefault = "default"
	fromFile    = "file"
	fromEnv     = "env"
	fromFlag    = "flag"
)

// Load reads the YAML file ("" for none), overridden by the environment (as
// os.Environ gives it), overridden by overrides: the flags that were given, by
// key ("log.level"), as their Go values or as text. The configuration it returns
// is valid; otherwise the error is an *Error with every problem there is.
func Load(file string, environ []string, overrides map[string]any) (*Config, error) {
	l := &loader{table: fields(), merged: map[string]any{}, origins: map[string]origin{}, broken: map[string]bool{}}
	l.defaults()
	readable := file == "" || l.file(file)
	l.environment(environ)
	l.flags(overrides)
	if !readable { // what it would have said is not known to be missing
		return nil, l.problems.err()
	}
	c := l.decode()
	l.validate(c)
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// A loader merges the sources, the weakest first.
type loader struct {
	table    table
	merged   map[string]any    // raw values by key
	origins  map[string]origin // by key
	broken   map[string]bool   // keys whose value could not be read
	problems problems
}

// An origin is the kind of source a value has, and what to call it in a message.
type origin struct{ kind, name string }

// set adds a source: raw values by full key, all of which are in the table.
func (l *loader) set(values map[string]any, from func(key string) origin) {
	maps.Copy(l.merged, values)
	for key := range values {
		l.origins[key] = from(key)
	}
}

func (l *loader) defaults() {
	values := map[string]any{}
	for _, f := range l.table {
		if f.deflt != "" {
			values[f.key] = f.deflt
		}
	}
	l.set(values, func(string) origin { return origin{fromDefault, "its default"} })
}

func (l *loader) flags(overrides map[string]any) {
	values := map[string]any{}
	l.collect(overrides, "", values)
	for key, value := range values {
		f, _ := l.table.field(key)
		if text, ok := value.(string); ok && f.list() {
			values[key] = splitList(text)
		}
	}
	l.set(values, func(string) origin { return origin{fromFlag, "the command line"} })
}

// collect gathers the values of known keys out of nested maps and reports the rest.
func (l *loader) collect(raw map[string]any, section string, into map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		key, value := join(section, name), raw[name]
		nested, isMap := asMap(value)
		_, known := l.table.field(key)
		isSection := slices.Contains(l.table.sections(), key) && key != ""
		switch {
		case known && value == nil:
			l.broken[key] = true
			l.problems.add(key, `has no value; leave the key out for the default, or write "" if empty is meant`)
		case known && isMap:
			l.broken[key] = true
			l.problems.add(key, "must be a single value, not a section")
		case known:
			into[key] = value
		case isSection && isMap:
			l.collect(nested, key, into)
		case isSection && value != nil:
			l.problems.add(key, "is a section; write below it: %s", strings.Join(l.table.within(key), ", "))
		case !isSection:
			l.problems.add(key, "no such key%s", l.table.hint(key))
		}
	}
}

func asMap(value any) (map[string]any, bool) {
	switch m := value.(type) {
	case map[string]any:
		return m, true
	case map[any]any: // YAML with a key that is not text
		named := map[string]any{}
		for name, v := range m {
			named[fmt.Sprint(name)] = v
		}
		return named, true
	}
	return nil, false
}

// decode turns the merged values into a Config. A value that cannot be decoded
// is reported and its field left empty.
func (l *loader) decode() *Config {
	c := &Config{sources: map[string]string{}}
	for _, f := range l.table {
		c.sources[f.key] = fromDefault
		raw, set := l.merged[f.key]
		if !set {
			continue
		}
		c.sources[f.key] = l.origins[f.key].kind
		value, problems := decode(f.key, f.typ, raw)
		if len(problems) > 0 {
			l.broken[f.key] = true
			l.report(problems)
			continue
		}
		f.of(c).Set(value)
	}
	return c
}

// validate adds what Validate finds, except about keys with no value to judge.
func (l *loader) validate(c *Config) {
	l.report(slices.DeleteFunc(c.problems(), func(p Problem) bool { return l.broken[base(p.Key)] }))
}

// report says where each value came from, so that it can be found.
func (l *loader) report(problems problems) {
	for _, p := range problems {
		if from := l.origins[base(p.Key)].name; from != "" {
			p.Message += " (from " + oneLine(from) + ")"
		}
		l.problems = append(l.problems, p)
	}
}

// base is the key without the index of a list item.
func base(key string) string {
	key, _, _ = strings.Cut(key, "[")
	return key
}
