package templates

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"path"
	"strings"
	"text/template"
	"time"
	"unicode"
)

//go:embed mail
var mailFiles embed.FS

// Mail is what a notice says, of whatever kind. Names and reasons are what other people
// wrote: they are put on one line, without characters that would make it lie.
type Mail struct {
	Lang                                         string
	To                                           string // who reads it, by name
	ActorName, SubjectName, ClientName           string
	Organization, Reason, TicketRef, Access, Why string
	Lasts                                        time.Duration
	StartedAt, EndsAt                            time.Time
	Running                                      bool
	URL                                          string // a page of ours where something can be done about it
	ReportTo                                     string // an address or page to complain to; empty: none
}

// Letter is a mail in words.
type Letter struct{ Subject, Text, HTML string }

// maxMailText is how many characters of what somebody wrote a mail quotes.
const maxMailText = 500

// Mail writes the notice of a kind, in the language of m.
func (s *Set) Mail(kind string, m Mail) (Letter, error) {
	mails, ok := s.mails[m.Lang]
	if !ok {
		mails = s.mails[languages[0].Tag]
	}
	t, ok := mails[kind]
	if !ok {
		return Letter{}, fmt.Errorf("mail %q: there is no such kind", kind)
	}
	for _, text := range []*string{&m.To, &m.ActorName, &m.SubjectName, &m.ClientName, &m.Organization, &m.Reason, &m.TicketRef, &m.Why, &m.ReportTo} {
		*text = onOneLine(*text)
	}
	subject, err := executed(t, "subject", m)
	if err != nil {
		return Letter{}, err
	}
	text, err := executed(t, "text", m)
	if err != nil {
		return Letter{}, err
	}
	text = strings.TrimSpace(text) + "\n"
	return Letter{Subject: onOneLine(subject), Text: text, HTML: asHTML(m.Lang, text, m.URL)}, nil
}

func executed(t *template.Template, name string, m Mail) (string, error) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, m); err != nil {
		return "", fmt.Errorf("mail: %w", err)
	}
	return b.String(), nil
}

// onOneLine folds white space, and takes out what is not seen or turns the direction of
// what follows.
func onOneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar, r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxMailText {
		text = string(runes[:maxMailText]) + "…"
	}
	return text
}

// asHTML is the same text for readers that show HTML: paragraphs, and the one address of
// ours as a link.
func asHTML(lang, text, link string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"%s\">\n<head><meta charset=\"utf-8\"></head>\n<body>\n", html.EscapeString(lang))
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		b.WriteString("<p>")
		for i, line := range strings.Split(paragraph, "\n") {
			if i > 0 {
				b.WriteString("<br>\n")
			}
			escaped := html.EscapeString(line)
			if line == link && secureURL(link) != "" {
				escaped = `<a href="` + escaped + `">` + escaped + `</a>`
			}
			b.WriteString(escaped)
		}
		b.WriteString("</p>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}

// parseMails makes a template of every file in mail: its blocks subject and text.
func parseMails(tag, brand string) (map[string]*template.Template, error) {
	words, err := loadCatalogue(tag)
	if err != nil {
		return nil, err
	}
	files, err := mailFiles.ReadDir("mail")
	if err != nil {
		return nil, err
	}
	mails := make(map[string]*template.Template)
	for _, file := range files {
		source, err := mailFiles.ReadFile(path.Join("mail", file.Name()))
		if err != nil {
			return nil, err
		}
		translated, err := words.translate(string(source))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		t := template.New(file.Name()).Funcs(template.FuncMap{
			"brand": func() string { return onOneLine(brand) },
			// A mail is read on another day: its times have a date.
			"at":     func(t time.Time) string { return words.clock(t, time.Time{}) },
			"lasted": words.lasted,
		})
		if _, err := t.Parse(translated); err != nil {
			return nil, err
		}
		mails[strings.TrimSuffix(file.Name(), ".txt")] = t
	}
	return mails, nil
}
