package templates

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	texttemplate "text/template"
)

//go:embed html
var htmlFiles embed.FS

// Branding is what an operator may set. The zero value is Understudy's own.
type Branding struct {
	Name string
	// Accent is the colour of buttons and links, as #rrggbb. Each page theme
	// shifts it towards black or white as far as readable text needs.
	Accent string
	// Logo takes the place of the icon at the top of each page.
	Logo Logo
}

// Set holds the parsed pages and the files they load. Its methods are safe for
// concurrent use. A page method writes the header and the body only after the
// whole page has been rendered: when it returns an error, nothing was written.
type Set struct {
	pages    map[string]map[string]*template.Template // by language and name
	assets   map[string]asset
	mails    map[string]map[string]*texttemplate.Template // by language and kind
	staffBar staffBar
	buffers  sync.Pool
}

// New parses every page. An error names the value of b it cannot use.
func New(b Branding) (*Set, error) {
	if b.Name == "" {
		b.Name = "Understudy"
	}
	if b.Accent == "" {
		b.Accent = "#3d55a8"
	}
	accent, err := parseColour(b.Accent)
	if err != nil {
		return nil, fmt.Errorf("accent %q: %w", b.Accent, err)
	}

	s := &Set{
		pages:   make(map[string]map[string]*template.Template),
		mails:   make(map[string]map[string]*texttemplate.Template),
		assets:  make(map[string]asset),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	links, err := s.addAssets(accent, b.Logo)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	if s.staffBar, err = newStaffBar(); err != nil {
		return nil, fmt.Errorf("staff bar: %w", err)
	}
	constants := map[string]string{
		"brand": b.Name, "stylesheet": links.stylesheet, "script": links.script, "icon": links.icon, "icon-acting": links.actingIcon, "logo": links.logo,
	}
	for _, l := range languages {
		if s.pages[l.Tag], err = parse(l.Tag, constants); err != nil {
			return nil, fmt.Errorf("pages in %s: %w", l.Name, err)
		}
		if s.mails[l.Tag], err = parseMails(l.Tag, b.Name); err != nil {
			return nil, fmt.Errorf("mails in %s: %w", l.Name, err)
		}
	}
	return s, nil
}

// frames are the folders whose pages have a frame of their own within the layout, in
// html/frames under their name, and beside it parts that several of them show.
var frames = []string{"console", "account"}

// parse makes a page of every file in html: the layout, the frame of the file's
// folder, and the file's own blocks.
func parse(tag string, constants map[string]string) (map[string]*template.Template, error) {
	words, err := loadCatalogue(tag)
	if err != nil {
		return nil, err
	}
	layout := template.New("layout.html").Option("missingkey=zero").Funcs(moments(words)).Funcs(template.FuncMap{
		"t":         words.text,
		"parts":     parts,
		"initial":   initial,
		"hue":       hue,
		"secureURL": secureURL,
		"webURL":    webURL,
	})
	for name, text := range constants {
		if _, err := layout.New(name).Parse(literal(text)); err != nil {
			return nil, err
		}
	}
	if err := words.parse(layout, "html/layout.html"); err != nil {
		return nil, err
	}
	pages := make(map[string]*template.Template)
	for _, folder := range append([]string{""}, frames...) {
		framed, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if folder != "" {
			parts, err := fs.Glob(htmlFiles, path.Join("html/frames", folder+"*.html"))
			if err != nil {
				return nil, err
			}
			for _, part := range parts {
				if err := words.parse(framed, part); err != nil {
					return nil, err
				}
			}
		}
		files, err := fs.Glob(htmlFiles, path.Join("html", folder, "*.html"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(file, "html/"), ".html")
			if name == "layout" {
				continue
			}
			if pages[name], err = framed.Clone(); err != nil {
				return nil, err
			}
			if err := words.parse(pages[name], file); err != nil {
				return nil, err
			}
		}
	}
	return pages, nil
}

// parse adds a file, in the catalogue's language, to t.
func (c catalogue) parse(t *template.Template, file string) error {
	source, err := htmlFiles.ReadFile(file)
	if err != nil {
		return err
	}
	translated, err := c.translate(string(source))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	into := t
	if base := path.Base(file); t.Name() != base {
		into = t.New(base)
	}
	_, err = into.Parse(translated)
	return err
}

// literal is a template that says text in any HTML context. What never changes
// is in the pages as text, because escaping it again each time would take half
// the time of a small page.
func literal(text string) string {
	return strings.ReplaceAll(html.EscapeString(text), "{", "&#123;")
}

// inLanguage is what every page tells about itself.
type inLanguage interface{ language() string }

func (s *Set) render(w http.ResponseWriter, status int, name string, page inLanguage) error {
	pages, ok := s.pages[page.language()]
	if !ok {
		pages = s.pages[languages[0].Tag]
	}
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	if err := pages[name].Execute(buf, page); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// It fails only when the client has gone, and then there is nobody to tell.
	_, _ = w.Write(buf.Bytes())
	return nil
}
