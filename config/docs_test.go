package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/config"
)

const referenceFile = "../docs/configuration.md"

func loadFile(name string) (*config.Config, error) { return config.Load(name, nil, nil) }

func keys() []string {
	var keys []string
	for _, s := range new(config.Config).Redacted() {
		keys = append(keys, s.Key)
	}
	return keys
}

func TestReference(t *testing.T) {
	got := config.Reference()
	if *update {
		if err := os.WriteFile(referenceFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; run go test ./config -update", referenceFile)
	}
	for _, key := range keys() {
		if _, entry, ok := strings.Cut(string(got), "### `"+key+"`\n\n"); !ok || entry[0] == '\n' || entry[0] == '-' {
			t.Errorf("%s is not described", key)
		}
	}
}

// The example at the top of the reference works, given a secret.
func TestReferenceExample(t *testing.T) {
	s := newSetup(t)
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(config.Reference())
	s.yaml, s.mode = string(example[1]), 0o644
	s.env("UNDERSTUDY_SECRETS__SYSTEM", systemSecret)
	if _, err := s.load(t); err != nil {
		t.Error(err)
	}
}

type schema struct {
	Type                 any
	Properties           map[string]schema
	Items                *schema
	Default              any
	Enum                 []string
	Pattern              string
	Description          string
	WriteOnly            bool
	AdditionalProperties *bool
}

func TestSchema(t *testing.T) {
	text := config.Schema()
	if !bytes.Equal(text, config.Schema()) {
		t.Error("the schema is not the same twice")
	}
	var root schema
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	var got []string
	root.walk(t, "", func(key string, s schema) {
		got = append(got, key)
		if s.Description == "" {
			t.Errorf("%s has no description", key)
		}
		if text, ok := s.Default.(string); ok && s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text) {
			t.Errorf("%s: the default %q does not match %s", key, text, s.Pattern)
		}
		if text, ok := s.Default.(string); ok && s.Enum != nil && !slices.Contains(s.Enum, text) {
			t.Errorf("%s: the default %q is none of %v", key, text, s.Enum)
		}
		if want := strings.HasPrefix(key, "secrets.") || key == "mail.smtp_url" || key == "database.dsn"; s.WriteOnly != want {
			t.Errorf("%s: got writeOnly %v, want %v", key, s.WriteOnly, want)
		}
	})
	want := keys()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got the keys %v, want %v", got, want)
	}
}

func (s schema) walk(t *testing.T, key string, leaf func(string, schema)) {
	if s.Properties == nil {
		leaf(key, s)
		return
	}
	if s.AdditionalProperties == nil || *s.AdditionalProperties {
		t.Errorf("%q allows unknown keys", key)
	}
	for name, below := range s.Properties {
		below.walk(t, strings.TrimPrefix(key+"."+name, "."), leaf)
	}
}
