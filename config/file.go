package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
)

const maxFileSize = 1 << 20

// file reads the YAML file and reports whether it could be understood.
func (l *loader) file(name string) bool {
	text, info, err := readFile(name)
	if err != nil {
		l.problems.add(name, "%v", err)
		return false
	}
	raw, problem := parseYAML(text)
	if problem != "" {
		l.problems.add(name, "%s", problem)
		return false
	}
	values := map[string]any{}
	for key := range raw {
		if strings.Contains(key, ".") {
			section, below, _ := strings.Cut(key, ".")
			l.problems.add(key, "write it as %q with %q below it, indented", section+":", below+":")
			delete(raw, key)
		}
	}
	l.collect(raw, "", values)
	if worldReadable(info) {
		l.inlineSecrets(values, name, info)
	}
	l.set(values, func(string) origin { return origin{fromFile, name} })
	return true
}

// parseYAML accepts one document that is a mapping, or nothing at all.
func parseYAML(text []byte) (map[string]any, string) {
	if severalDocuments(text) {
		return nil, "must hold a single YAML document; more follows a line of --- or ..."
	}
	raw, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		return nil, withoutValues(err.Error())
	}
	return raw, ""
}

// severalDocuments looks for more than one document: the parser would read the
// first and say nothing of the rest. Nothing but a marker can start a line with
// --- or ... inside a mapping.
func severalDocuments(text []byte) bool {
	var content, ended bool
	for line := range bytes.Lines(text) {
		s := strings.TrimRight(string(line), " \t\r\n")
		switch {
		case s == "---", strings.HasPrefix(s, "--- "):
			if content || ended {
				return true
			}
			content = s != "---"
		case s == "...", strings.HasPrefix(s, "... "):
			ended = true
		case s == "", s[0] == '%', strings.HasPrefix(strings.TrimLeft(s, " \t"), "#"):
		case ended:
			return true
		default:
			content = true
		}
	}
	return false
}

// What the parser quotes in its messages may be a secret; a key is not.
var quotedValue = regexp.MustCompile("(?s)`.*?`|'.*?'|invalid map key: .*")

func withoutValues(message string) string {
	message = quotedValue.ReplaceAllStringFunc(message, func(s string) string {
		if strings.HasPrefix(s, "invalid map key") {
			return "a key must be plain text"
		}
		return "(value not shown)"
	})
	message = strings.ReplaceAll(message, "map[string]interface {}", "a mapping of keys to values")
	message = strings.TrimPrefix(message, "yaml: ")
	message = strings.TrimPrefix(message, "unmarshal errors:\n  ")
	return "not valid YAML: " + strings.ReplaceAll(message, "\n  ", "; ")
}

// inlineSecrets reports each secret in a file that everybody may read.
func (l *loader) inlineSecrets(values map[string]any, name string, info fs.FileInfo) {
	for _, f := range l.table {
		value, set := values[f.key]
		text, _ := value.(string)
		switch {
		case !set, !f.secret(), f.list() && fmt.Sprint(value) == "[]", !f.list() && text == "":
			continue
		case f.typ == dsnType && !DSN(text).concealing():
			continue
		}
		l.problems.add(f.key, "is a secret in %s, which every user of this machine can read (mode %04o); chmod it to 0600, or set %s_FILE instead",
			name, info.Mode().Perm(), f.variable())
	}
}

func readFile(name string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, cause(err)
	}
	if info.IsDir() {
		return nil, nil, errors.New("is a directory, not a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, nil, cause(err)
	}
	if len(text) > maxFileSize {
		return nil, nil, fmt.Errorf("is larger than %d bytes", maxFileSize)
	}
	return text, info, nil
}

// cause leaves out the path, which the message has already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("cannot be read: %w", e.Err)
	}
	return err
}

// worldReadable is about files; a pipe has no readers but its own.
func worldReadable(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}
