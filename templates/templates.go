package templates

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed html/*.html
var htmlFiles embed.FS

// Branding is what an operator may set. The zero value is Understudy's own.
type Branding struct {
	Name string
	// Accent is the colour of buttons and links, as #rrggbb. Each page theme
	// shifts it towards black or white as far as readable text needs.
	Accent string
}

// Set holds the parsed pages and the files they load. Its methods are safe for
// concurrent use. A page method writes the header and the body only after the
// whole page has been rendered: when it returns an error, nothing was written.
type Set struct {
	pages   map[string]*template.Template
	assets  map[string]asset
	buffers sync.Pool
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
		pages:   make(map[string]*template.Template),
		assets:  make(map[string]asset),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	links, err := s.addAssets(accent)
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	constants := map[string]string{
		"brand": b.Name, "stylesheet": links.stylesheet, "icon": links.icon, "icon-acting": links.actingIcon,
	}
	if err := s.parse(constants); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return s, nil
}

// parse makes a page of every file in html: the layout with that file's blocks.
func (s *Set) parse(constants map[string]string) error {
	layout, err := template.New("layout.html").Option("missingkey=zero").Funcs(template.FuncMap{
		"initial":   initial,
		"hue":       hue,
		"secureURL": secureURL,
		"webURL":    webURL,
		"stamp":     stamp,
		"clock":     clock,
		"left":      left,
		"lasted":    lasted,
		"wait":      wait,
	}).ParseFS(htmlFiles, "html/layout.html")
	if err != nil {
		return err
	}
	for name, text := range constants {
		if _, err := layout.New(name).Parse(literal(text)); err != nil {
			return err
		}
	}
	files, err := htmlFiles.ReadDir("html")
	if err != nil {
		return err
	}
	for _, file := range files {
		name, _ := strings.CutSuffix(file.Name(), ".html")
		if name == "layout" {
			continue
		}
		page, err := layout.Clone()
		if err != nil {
			return err
		}
		if s.pages[name], err = page.ParseFS(htmlFiles, path.Join("html", file.Name())); err != nil {
			return err
		}
	}
	return nil
}

// literal is a template that says text in any HTML context. What never changes
// is in the pages as text, because escaping it again each time would take half
// the time of a small page.
func literal(text string) string {
	return strings.ReplaceAll(html.EscapeString(text), "{", "&#123;")
}

func (s *Set) render(w http.ResponseWriter, status int, name string, page any) error {
	buf := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(buf)
	buf.Reset()
	if err := s.pages[name].Execute(buf, page); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// It fails only when the client has gone, and then there is nobody to tell.
	_, _ = w.Write(buf.Bytes())
	return nil
}
