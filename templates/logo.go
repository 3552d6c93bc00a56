package templates

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
)

// How large a logo may be: every page loads it.
const (
	maxLogo     = 256 << 10 // bytes
	maxLogoSide = 2048      // pixels of a PNG
)

// Logo is an image that pages show at their top. The zero value is none.
type Logo struct {
	extension, contentType string
	body                   []byte
}

// ReadLogo reads an SVG or a PNG image. Which of them it is, its content says. Pages
// show it as an image, in which a browser runs no script.
func ReadLogo(r io.Reader) (Logo, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxLogo+1))
	switch {
	case err != nil:
		return Logo{}, err
	case len(body) > maxLogo:
		return Logo{}, fmt.Errorf("is larger than %d KiB", maxLogo>>10)
	case bytes.HasPrefix(body, []byte("\x89PNG\r\n\x1a\n")):
		return Logo{".png", "image/png", body}, checkPNG(body)
	case bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n"), []byte("<")):
		return Logo{".svg", "image/svg+xml", body}, checkSVG(body)
	}
	return Logo{}, errors.New("is neither an SVG nor a PNG image")
}

// checkPNG looks at the size first: a small file can hold an image that fills the memory.
func checkPNG(body []byte) error {
	size, err := png.DecodeConfig(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("is not a PNG image: %w", err)
	}
	if size.Width > maxLogoSide || size.Height > maxLogoSide {
		return fmt.Errorf("has %d x %d pixels, and %d x %d are the most", size.Width, size.Height, maxLogoSide, maxLogoSide)
	}
	if _, err := png.Decode(bytes.NewReader(body)); err != nil {
		return fmt.Errorf("is not a PNG image: %w", err)
	}
	return nil
}

func checkSVG(body []byte) error {
	var svg struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	}
	if err := xml.Unmarshal(body, &svg); err != nil {
		return fmt.Errorf("is not an SVG image: %w", err)
	}
	return nil
}
