package templates

import (
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestMatchLanguage(t *testing.T) {
	for _, c := range []struct {
		wishes []string
		want   string
	}{
		{nil, "en"},
		{[]string{""}, "en"},
		{[]string{"de"}, "de"},
		{[]string{"de-AT"}, "de"},
		{[]string{"fr, de;q=0.5, en;q=0.3"}, "de"},
		{[]string{"en-GB, de;q=0.9"}, "en"},
		{[]string{"fr"}, "en"},
		{[]string{"fr", "de"}, "de"},
		{[]string{"de", "en"}, "de"},
		{[]string{"!!", "de"}, "de"},
		{[]string{strings.Repeat("de,", 100)}, "en"},
	} {
		if got := MatchLanguage(c.wishes...); got != c.want {
			t.Errorf("%q: got %s, want %s", c.wishes, got, c.want)
		}
	}
}

var (
	marked  = regexp.MustCompile(`(?s)\[\[(.*?)\]\]`)
	actions = regexp.MustCompile(`\{\{.*?\}\}`)
	tags    = regexp.MustCompile(`</?[a-z0-9]+[^>]*>`)
	verbs   = regexp.MustCompile(`%[a-z]`)
	letters = regexp.MustCompile(`\pL{2,}`)
	// attribute is one in a block of its own: the file has its element elsewhere.
	attribute = regexp.MustCompile(`^\s*[a-z-]+="[a-z -]*"\s*$`)
)

// saidBy are the attributes that people read or hear.
var saidBy = []string{"title", "alt", "aria-label", "placeholder", "label", "data-label", "data-plain", "data-copied", "hx-confirm"}

// sources are the files of all pages and mails.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for dir, files := range map[string]fs.FS{"html": htmlFiles, "mail": mailFiles} {
		err := fs.WalkDir(files, dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(files, file)
			all[file] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Whatever a page says in its own words can be translated, and is.
func TestEveryWordIsTranslated(t *testing.T) {
	words := map[string]catalogue{}
	for _, l := range languages[1:] {
		c, err := loadCatalogue(l.Tag)
		if err != nil {
			t.Fatal(err)
		}
		words[l.Tag] = c
	}
	for file, source := range sources(t) {
		for _, m := range marked.FindAllStringSubmatch(source, -1) {
			english := m[1]
			if strings.Contains(english, "\n") {
				t.Errorf("%s: %q is more than a line", file, english)
			}
			for tag, c := range words {
				if _, ok := c[english]; !ok {
					t.Errorf("%s: not in %s: %q", file, tag, english)
				}
			}
		}
		rest := actions.ReplaceAllString(marked.ReplaceAllString(source, ""), "")
		script := false
		for z := html.NewTokenizer(strings.NewReader(rest)); z.Next() != html.ErrorToken; {
			token := z.Token()
			words := token.Type == html.TextToken && letters.MatchString(token.Data) && !script && !attribute.MatchString(token.Data)
			script = token.Type == html.StartTagToken && token.Data == "script"
			if words && !slices.Contains(sameInEveryLanguage, strings.TrimSpace(token.Data)) {
				t.Errorf("%s: %q is not marked with [[ ]]", file, strings.TrimSpace(token.Data))
			}
			for _, a := range token.Attr {
				if slices.Contains(saidBy, a.Key) && letters.MatchString(a.Val) {
					t.Errorf("%s: %s=%q is not marked with [[ ]]", file, a.Key, a.Val)
				}
			}
		}
	}
	for tag, c := range words {
		for english, text := range c {
			for what, pattern := range map[string]*regexp.Regexp{"actions": actions, "tags": tags, "verbs": verbs} {
				want, got := pattern.FindAllString(english, -1), pattern.FindAllString(text, -1)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s: %q and %q differ in their %s", tag, english, text, what)
				}
			}
		}
	}
}

// sameInEveryLanguage are words that no language has others for.
var sameInEveryLanguage = []string{"CSV", "JSON", "JSONL"}

// The German of a page is not its English, and has the same elements.
func TestPagesInGerman(t *testing.T) {
	s := newSet(t)
	for name, page := range samples() {
		english := rendered(t, s, page)
		german := rendered(t, s, inGerman(page))
		if textOf(t, german) == textOf(t, english) {
			t.Errorf("%s: says the same in both languages", name)
		}
		if !strings.Contains(german, `<html lang="de">`) {
			t.Errorf("%s: does not say that it is German", name)
		}
		count := func(body string) map[string]int {
			seen := map[string]int{}
			for _, e := range elements(t, body) {
				seen[e.Data]++
			}
			return seen
		}
		if !maps.Equal(count(english), count(german)) {
			t.Errorf("%s: the German has other elements", name)
		}
	}
}

// Each folder is a language that is offered, and its files agree: all of them are one
// catalogue.
func TestLocales(t *testing.T) {
	folders, err := localeFiles.ReadDir("locales")
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, folder := range folders {
		tags = append(tags, folder.Name())
		said := map[string]string{}
		files, err := fs.Glob(localeFiles, path.Join("locales", folder.Name(), "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			part, err := readWords(file)
			if err != nil {
				t.Fatal(err)
			}
			for english, text := range part {
				if before, ok := said[english]; ok && before != text {
					t.Errorf("%s: %q is %q, and %q in another file", file, english, text, before)
				}
				said[english] = text
			}
		}
	}
	want := LanguageTags()[1:]
	slices.Sort(want)
	if !slices.Equal(tags, want) {
		t.Errorf("folders %v, languages beside English %v", tags, want)
	}
}

// inGerman returns a copy of a page for somebody who reads German.
func inGerman(page any) any {
	v := reflect.New(reflect.TypeOf(page)).Elem()
	v.Set(reflect.ValueOf(page))
	if f := v.FieldByName("Page"); f.IsValid() {
		f.FieldByName("Lang").SetString("de")
	}
	return v.Interface()
}
