package templates

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// colour is sRGB, each part between 0 and 255.
type colour [3]float64

var (
	black = colour{0, 0, 0}
	white = colour{255, 255, 255}

	lightPage, lightCard, lightPanel = colour{0xf5, 0xf6, 0xf8}, white, colour{0xf0, 0xf2, 0xf5}
	darkPage, darkCard, darkPanel    = colour{0x10, 0x12, 0x16}, colour{0x19, 0x1c, 0x22}, colour{0x20, 0x24, 0x2b}
)

func parseColour(hex string) (colour, error) {
	n, err := strconv.ParseUint(hex[min(1, len(hex)):], 16, 32)
	if err != nil || len(hex) != 7 || hex[0] != '#' {
		return colour{}, errors.New("not a colour written #rrggbb")
	}
	return colour{float64(n >> 16), float64(n >> 8 & 0xff), float64(n & 0xff)}, nil
}

func (c colour) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(c[0]), int(c[1]), int(c[2]))
}

// palette is the part of the theme that depends on the accent. The accent is
// legible as text on every ground there is: lightPanel is the darkest of the
// light ones, darkPanel the lightest of the dark ones.
func palette(accent colour) string {
	return fmt.Sprintf(`:root {
  --background: light-dark(%s, %s);
  --card: light-dark(%s, %s);
  --faint: light-dark(%s, %s);
  --primary: light-dark(%s, %s);
  --primary-foreground: light-dark(%s, %s);
}
`, lightPage, darkPage, lightCard, darkCard, lightPanel, darkPanel,
		accent.legible(lightPanel, black), accent.legible(darkPanel, white),
		lightCard, darkPage)
}

// legible moves c towards end until its contrast with ground is at least 4.5:1
// (WCAG 2.2, 1.4.3).
func (c colour) legible(ground, end colour) colour {
	for step := 0.0; step <= 1; step += 1.0 / 64 {
		var mixed colour
		for i := range c {
			mixed[i] = math.Round(c[i]*(1-step) + end[i]*step)
		}
		if contrast(mixed, ground) >= 4.5 {
			return mixed
		}
	}
	return end
}

// contrast and luminance are WCAG 2.2's.
func contrast(a, b colour) float64 {
	l, m := a.luminance(), b.luminance()
	return (max(l, m) + 0.05) / (min(l, m) + 0.05)
}

func (c colour) luminance() float64 {
	sum := 0.0
	for i, weight := range [3]float64{0.2126, 0.7152, 0.0722} {
		v := c[i] / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}
