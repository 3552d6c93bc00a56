package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	prefix     = "UNDERSTUDY_"
	fileSuffix = "_FILE"
)

// Variables with our prefix that are not ours to judge: the path of the file,
// and what Kubernetes sets in every container beside a service named understudy.
var foreign = regexp.MustCompile(`^UNDERSTUDY_(CONFIG=|TEST_[A-Z_]+=|SCREENSHOTS=|SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?=)`)

// environment reads the variables that begin with the prefix.
func (l *loader) environment(environ []string) {
	names := map[string]string{} // the variable that set a key
	provider := env.Provider("", env.Opt{
		Prefix:      prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, text string) (string, any) {
			f, value, ok := l.variable(name, text)
			if !ok {
				return "", nil
			}
			if other := names[f.key]; other != "" && other != name {
				l.problems.add(f.key, "set by both %s and %s; keep one", f.variable(), f.variable()+fileSuffix)
			}
			names[f.key] = name
			return f.key, value
		},
	})
	values, err := provider.Read()
	if err != nil {
		l.problems.add("environment", "%v", err)
	}
	l.set(values, func(key string) origin { return origin{fromEnv, names[key]} })
}

// variable finds the key a variable sets, and its value; not ok if there is none.
func (l *loader) variable(name, text string) (f field, value any, ok bool) {
	if foreign.MatchString(name + "=") {
		return field{}, nil, false
	}
	for _, f := range l.table {
		switch {
		case f.variable() == name && f.list():
			return f, splitList(text), true
		case f.variable() == name:
			return f, text, true
		case f.variable()+fileSuffix == name && f.secret():
			value, err := secretFile(f, text)
			if err != nil {
				l.broken[f.key] = true
				l.problems.add(f.key, "file %q, named by %s: %v", text, name, err)
			}
			return f, value, err == nil
		case f.variable()+fileSuffix == name:
			l.problems.add(name, "only a secret can be read from a file; set %s", f.variable())
			return field{}, nil, false
		}
	}
	l.problems.add(name, "this environment variable names no key%s", l.table.variableHint(name))
	return field{}, nil, false
}

// secretFile reads a secret, or for a list one a line, from a file of its own.
func secretFile(f field, name string) (any, error) {
	text, info, err := readFile(name)
	if err != nil {
		return nil, err
	}
	if worldReadable(info) {
		return nil, fmt.Errorf("every user of this machine can read it (mode %04o); chmod it to 0600", info.Mode().Perm())
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" {
		return nil, errors.New("is empty")
	}
	if f.list() {
		return items(strings.Split(secret, "\n")), nil
	}
	return secret, nil
}

// splitList reads a list as it is written in a variable or a flag.
func splitList(text string) []any {
	return items(strings.Split(text, ","))
}

// items drops surrounding space and empty items.
func items(texts []string) []any {
	list := []any{}
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	return list
}
