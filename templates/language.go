package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// What a page says in its own words stands between [[ and ]] in its file, in
// English, actions and tags included. It is replaced before the file is parsed, once
// for each language, so that a translation may order its parts as its language does,
// is escaped like the rest, and costs no request anything.
//
//go:embed locales
var localeFiles embed.FS

// Language is one that pages can be read in.
type Language struct {
	Tag  string // BCP 47
	Name string // in itself
}

// Languages are those there are, English first.
func Languages() []Language { return slices.Clone(languages) }

// LanguageTags are their tags.
func LanguageTags() (tags []string) {
	for _, l := range languages {
		tags = append(tags, l.Tag)
	}
	return tags
}

var languages = []Language{{"en", "English"}, {"de", "Deutsch"}}

var matcher = func() language.Matcher {
	var tags []language.Tag
	for _, tag := range LanguageTags() {
		tags = append(tags, language.MustParse(tag))
	}
	return language.NewMatcher(tags)
}()

// MatchLanguage returns the tag of the language that suits best whoever wishes for
// these, in the order of the wishes: tags, or the value of an Accept-Language header.
// What is malformed is no wish.
func MatchLanguage(wishes ...string) string {
	for _, wish := range wishes {
		if len(wish) > 200 {
			continue
		}
		tags, _, err := language.ParseAcceptLanguage(wish)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, confidence := matcher.Match(tags...); confidence > language.No {
			return languages[i].Tag
		}
	}
	return languages[0].Tag
}

// catalogue holds what there is in one language, by the English.
type catalogue map[string]string

// loadCatalogue reads every file of a language. English has none: it is what the
// pages are written in.
func loadCatalogue(tag string) (catalogue, error) {
	c := catalogue{}
	if tag == languages[0].Tag {
		return c, nil
	}
	dir := path.Join("locales", tag)
	files, err := localeFiles.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		part, err := readWords(path.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		maps.Copy(c, part)
	}
	return c, nil
}

func readWords(file string) (words map[string]string, err error) {
	b, err := localeFiles.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &words); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return words, nil
}

// text returns what English is called, or the English itself.
func (c catalogue) text(english string) string {
	if text, ok := c[english]; ok {
		return text
	}
	return english
}

// translate replaces what stands between [[ and ]] in a file.
func (c catalogue) translate(source string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(source, "[[")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		english, after, closed := strings.Cut(rest, "]]")
		if !closed {
			return "", fmt.Errorf("[[ without ]]: %.40s", rest)
		}
		out.WriteString(c.text(english))
		source = after
	}
}
