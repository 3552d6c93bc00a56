package templates

import (
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestStatic(t *testing.T) {
	s := newSet(t)
	body := rendered(t, s, samples()["error_acting"])
	links := regexp.MustCompile(`/static/[^"]+`).FindAllString(body, -1)
	wants := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	if len(links) < 4 {
		t.Fatalf("links = %q, want a style sheet, a script and two icons", links)
	}
	for _, link := range links {
		w := get(s, http.MethodGet, link, "")
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d with %d bytes", link, w.Code, w.Body.Len())
		}
		for header, want := range map[string]string{
			"Content-Type":           wants[path.Ext(link)],
			"Cache-Control":          "public, max-age=31536000, immutable",
			"X-Content-Type-Options": "nosniff",
			"Content-Encoding":       "",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s = %q, want %q", link, header, got, want)
			}
		}

		zipped := get(s, http.MethodGet, link, "br, gzip")
		if got := zipped.Header().Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("%s: Content-Encoding = %q, want gzip", link, got)
		}
		r, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(r); err != nil || string(plain) != w.Body.String() {
			t.Errorf("%s: differs when compressed (%v)", link, err)
		}
	}
	for _, refused := range []struct {
		method, path string
		code         int
	}{
		{http.MethodPost, links[0], http.StatusMethodNotAllowed},
		{http.MethodGet, "/static/", http.StatusNotFound},
		{http.MethodGet, "/static/theme.css", http.StatusNotFound},
		{http.MethodGet, "/static/../templates.go", http.StatusNotFound},
	} {
		if w := get(s, refused.method, refused.path, ""); w.Code != refused.code {
			t.Errorf("%s %s = %d, want %d", refused.method, refused.path, w.Code, refused.code)
		}
	}
}

func get(s *Set, method, path, encoding string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path = path
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	s.Static().ServeHTTP(w, r)
	return w
}

// Oat's data: images are there; the theme has to win over each of them.
func TestThemeReplacesDataImages(t *testing.T) {
	css, err := stylesheet(white)
	if err != nil {
		t.Fatal(err)
	}
	theme, err := staticFiles.ReadFile("static/theme.css")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(theme), "url(") {
		t.Error("theme.css loads something")
	}
	for _, want := range []string{"The MIT License", "Kailash Nadh", "--primary: light-dark(#", `:has(#subject_24:checked) [data-as="24"]`, `:not(:has(#subject_24:checked)) [data-of="24"]`} {
		if !strings.Contains(string(css), want) {
			t.Errorf("no %q in the style sheet", want)
		}
	}
}

func TestAnyAccentIsLegible(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		c := colour{float64(random.IntN(256)), float64(random.IntN(256)), float64(random.IntN(256))}
		light, dark := c.legible(lightPanel, black), c.legible(darkPanel, white)
		if low := slices.Min([]float64{
			contrast(light, lightPage), contrast(light, lightCard), contrast(light, lightPanel),
			contrast(dark, darkPage), contrast(dark, darkCard), contrast(dark, darkPanel),
		}); low < 4.5 {
			t.Fatalf("%s becomes %s and %s, contrast %.2f", c, light, dark, low)
		}
	}
	kept := colour{0x3d, 0x55, 0xa8}
	if got := kept.legible(lightPanel, black); got != kept {
		t.Errorf("%s becomes %s though it is legible", kept, got)
	}
}
