package templates

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func drawn(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const svgLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 10"><path d="M0 0h40v10z"/></svg>`

func TestReadLogo(t *testing.T) {
	picture := drawn(t, 40, 10)
	for _, c := range []struct {
		name  string
		logo  []byte
		wrong string // empty: it is good
	}{
		{"SVG", []byte(svgLogo), ""},
		{"SVG with all that stands before it", []byte("\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE svg>\n<!-- ours -->\n" + svgLogo), ""},
		{"PNG", picture, ""},
		{"the largest PNG", drawn(t, maxLogoSide, 1), ""},
		{"nothing", nil, "neither"},
		{"text", []byte("logo"), "neither"},
		{"GIF", []byte("GIF89a"), "neither"},
		{"JPEG", []byte("\xff\xd8\xff\xe0"), "neither"},
		{"HTML", []byte("<!doctype html><html><script>alert(1)</script></html>"), "not an SVG"},
		{"XHTML", []byte(`<html xmlns="http://www.w3.org/1999/xhtml"/>`), "not an SVG"},
		{"an svg of no namespace", []byte(`<svg viewBox="0 0 1 1"/>`), "not an SVG"},
		{"SVG cut off", []byte(svgLogo[:60]), "not an SVG"},
		{"SVG of another charset", []byte(`<?xml version="1.0" encoding="utf-16"?>` + svgLogo), "not an SVG"},
		{"PNG cut off", picture[:len(picture)-20], "not a PNG"},
		{"the beginning of a PNG", picture[:12], "not a PNG"},
		{"PNG too wide", drawn(t, maxLogoSide+1, 1), "2049 x 1 pixels"},
		{"PNG too high", drawn(t, 1, maxLogoSide+1), "1 x 2049 pixels"},
		{"too large", bytes.Repeat([]byte(" "), maxLogo+1), "256 KiB"},
	} {
		_, err := ReadLogo(bytes.NewReader(c.logo))
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
}

func TestLogoIsShown(t *testing.T) {
	for contentType, body := range map[string][]byte{"image/svg+xml": []byte(svgLogo), "image/png": drawn(t, 40, 10)} {
		logo, err := ReadLogo(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Branding{Logo: logo})
		if err != nil {
			t.Fatal(err)
		}
		page := rendered(t, s, LoginPage{})
		found := regexp.MustCompile(`<p class="brand"><img src="(/static/logo\.[0-9a-f]{12}\.(svg|png))" alt=""`).FindStringSubmatch(page)
		if found == nil || !strings.Contains(page, `href="/static/icon.`) {
			t.Fatalf("%s: not at the top, or in place of the icon of the window:\n%s", contentType, page)
		}
		w := httptest.NewRecorder()
		s.Static().ServeHTTP(w, httptest.NewRequest(http.MethodGet, found[1], nil))
		if got := w.Header().Get("Content-Type"); got != contentType || !bytes.Equal(w.Body.Bytes(), body) {
			t.Errorf("%s: served as %s, %d bytes of %d", found[1], got, w.Body.Len(), len(body))
		}
	}
}
