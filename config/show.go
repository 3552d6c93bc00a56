package config

import (
	"fmt"
	"time"
)

// A Setting is one key as `config show` prints it.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // text, number, bool or list; secrets are REDACTED
	Source string `json:"source"` // default, file, env or flag
}

// Redacted returns every key, in the order of the reference,
// without the secrets.
func (c *Config) Redacted() []Setting {
	var settings []Setting
	for _, f := range fields() {
		source := c.sources[f.key]
		if source == "" { // a Config that Load did not make
			source = fromDefault
		}
		settings = append(settings, Setting{f.key, f.show(c), source})
	}
	return settings
}

func (f field) show(c *Config) any {
	value := f.of(c)
	if !f.list() {
		return showOne(value.Interface())
	}
	list := make([]any, value.Len())
	for i := range list {
		list[i] = showOne(value.Index(i).Interface())
	}
	return list
}

func showOne(value any) any {
	switch v := value.(type) {
	case time.Duration:
		return formatDuration(v)
	case fmt.Stringer: // Secret, DSN, netip.Prefix
		return v.String()
	}
	return value
}
