package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"
)

// decode makes a value of the given type of what YAML, the environment or a flag
// gave. It never guesses: a number is not text, text is not a number of seconds.
func decode(key string, typ reflect.Type, raw any) (reflect.Value, problems) {
	if v := reflect.ValueOf(raw); v.IsValid() && v.Type() == typ {
		return v, nil
	}
	if typ.Kind() == reflect.Slice {
		return decodeList(key, typ, raw)
	}
	value, wanted := decodeOne(typ, raw)
	if wanted != "" {
		var p problems
		p.add(key, "%s: %s", display(typ, raw), wanted)
		return reflect.Value{}, p
	}
	return reflect.ValueOf(value).Convert(typ), nil
}

func decodeList(key string, typ reflect.Type, raw any) (reflect.Value, problems) {
	from := reflect.ValueOf(raw)
	if from.Kind() != reflect.Slice {
		var p problems
		p.add(key, "must be a list, each item on a line of its own after a dash")
		return reflect.Value{}, p
	}
	var all problems
	list := reflect.MakeSlice(typ, 0, from.Len())
	for i := range from.Len() {
		item, p := decode(fmt.Sprintf("%s[%d]", key, i), typ.Elem(), from.Index(i).Interface())
		if len(p) > 0 {
			all = append(all, p...)
			continue
		}
		list = reflect.Append(list, item)
	}
	return list, all
}

// decodeOne returns the value or else says what was wanted.
func decodeOne(typ reflect.Type, raw any) (value any, wanted string) {
	text, isText := raw.(string)
	switch {
	case typ == durationType:
		if d, err := time.ParseDuration(text); err == nil {
			return d, ""
		}
		return nil, `must be a duration with its unit, such as "90s", "30m" or "12h"`
	case typ == prefixType:
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), ""
		}
		if p, err := netip.ParsePrefix(text); err == nil {
			return p, ""
		}
		return nil, `must be an IP address or a network such as "10.0.0.0/8"`
	case typ.Kind() == reflect.String && isText:
		return text, ""
	case typ.Kind() == reflect.String:
		return nil, "must be text; write it in quotes"
	case typ.Kind() == reflect.Int:
		if n, err := strconv.Atoi(fmt.Sprint(raw)); err == nil {
			return n, ""
		}
		return nil, "must be a whole number"
	default: // the only type left is bool
		if b, ok := raw.(bool); ok {
			return b, ""
		}
		if text == "true" || text == "false" {
			return text == "true", ""
		}
		return nil, "must be true or false"
	}
}
