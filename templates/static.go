package templates

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

//go:embed static/theme.css static/pages.js static/icon.svg static/staff-bar.js static/vendor
var staticFiles embed.FS

// asset is a file as it is served, at a path that contains its hash.
type asset struct {
	contentType string
	body, gzip  []byte
}

// assetLinks are the paths of the assets.
type assetLinks struct{ stylesheet, script, icon, actingIcon, logo string }

// Static serves GET /static/: one style sheet, one script, the icon, the icon with an
// amber dot that pages have while acting, and the logo where there is one. Pages link to them by names that
// change with the content, so answers may be kept for ever.
func (s *Set) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := s.assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept-Encoding")
		body := file.body
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = file.gzip
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func (s *Set) addAssets(accent colour, logo Logo) (links assetLinks, err error) {
	css, err := stylesheet(accent)
	if err != nil {
		return links, err
	}
	script, err := joined(
		part{"/*\n", "static/vendor/htmx/LICENSE", "\n*/\n"}, part{"", "static/vendor/htmx/htmx.min.js", "\n"}, part{"", "static/pages.js", "\n"},
	)
	if err != nil {
		return links, err
	}
	icon, err := staticFiles.ReadFile("static/icon.svg")
	if err != nil {
		return links, err
	}
	icon = bytes.ReplaceAll(icon, []byte("#accent"), []byte(accent.String()))
	acting := bytes.ReplaceAll(icon, []byte("</svg>"), []byte(actingDot+"</svg>"))

	if links.stylesheet, err = s.addAsset("understudy", ".css", "text/css; charset=utf-8", css); err != nil {
		return links, err
	}
	if links.script, err = s.addAsset("understudy", ".js", "text/javascript; charset=utf-8", script); err != nil {
		return links, err
	}
	if links.icon, err = s.addAsset("icon", ".svg", "image/svg+xml", icon); err != nil {
		return links, err
	}
	if links.actingIcon, err = s.addAsset("icon-acting", ".svg", "image/svg+xml", acting); err != nil {
		return links, err
	}
	links.logo = links.icon
	if logo.body != nil {
		links.logo, err = s.addAsset("logo", logo.extension, logo.contentType, logo.body)
	}
	return links, err
}

const actingDot = `<circle cx="24" cy="8" r="7" fill="#ffb020" stroke="#3a2200" stroke-width="2"/>`

// addAsset returns the path it will be served at.
func (s *Set) addAsset(name, extension, contentType string, body []byte) (string, error) {
	var small bytes.Buffer
	zip := gzip.NewWriter(&small)
	if _, err := zip.Write(body); err != nil {
		return "", err
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	path := "/static/" + name + "." + hex.EncodeToString(sum[:6]) + extension
	s.assets[path] = asset{contentType: contentType, body: body, gzip: small.Bytes()}
	return path, nil
}

// stylesheet is Oat under its licence, the theme over it, and what of the theme
// is worked out at start-up.
func stylesheet(accent colour) ([]byte, error) {
	css, err := joined(
		part{"/*\n", "static/vendor/oat/LICENSE", "\n*/\n"}, part{"", "static/vendor/oat/oat.min.css", "\n"}, part{"", "static/theme.css", "\n"},
	)
	if err != nil {
		return nil, err
	}
	css = append(css, palette(accent)...)
	return append(css, choiceRules()...), nil
}

// part is a file within another, with what stands around it.
type part struct{ before, file, after string }

func joined(parts ...part) ([]byte, error) {
	var all bytes.Buffer
	for _, p := range parts {
		b, err := staticFiles.ReadFile(p.file)
		if err != nil {
			return nil, err
		}
		all.WriteString(p.before)
		all.Write(b)
		all.WriteString(p.after)
	}
	return all.Bytes(), nil
}

// choiceRules make the consent page's button name the candidate whose radio
// button is on, and hide the organizations of one who no longer is chosen. Without
// a script and with one label, the button would go on naming the one that was on
// when the page was sent.
func choiceRules() string {
	var rules strings.Builder
	for i := range maxResults {
		fmt.Fprintf(&rules, "#consent-form:has(#continue_as_other:checked):has(#subject_%d:checked) [data-as=\"%d\"] { display: inline }\n", i, i)
		fmt.Fprintf(&rules, "#consent-form:has([name=\"subject\"]:checked):not(:has(#subject_%d:checked)) [data-of=\"%d\"] { display: none }\n", i, i)
	}
	return rules.String()
}
