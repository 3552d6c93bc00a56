package impersonation

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The length of a reason, in characters after Clean.
const (
	MinReason = 8
	MaxReason = 500
)

// maxReasonBytes is looked at before anything else is done with a reason.
const maxReasonBytes = 4 * MaxReason * 4

// maxTicketRef is the length of a ticket reference in bytes.
const maxTicketRef = 100

// CleanReason returns the reason in NFC with its white space folded and trimmed.
// It reports false for what is no reason: too short, too long, not UTF-8, with
// control or direction-changing characters that would make a record lie, or
// with nothing to see in it (SECURITY A06, T11).
func CleanReason(text string) (string, bool) {
	text, ok := cleanText(text, maxReasonBytes)
	if !ok {
		return "", false
	}
	if n := utf8.RuneCountInString(text); n < MinReason || n > MaxReason {
		return "", false
	}
	return text, true
}

// CleanTicketRef does the same for a ticket reference, which may be empty.
func CleanTicketRef(text string) (string, bool) {
	return cleanText(text, maxTicketRef)
}

func cleanText(text string, maxBytes int) (string, bool) {
	if len(text) > maxBytes || !utf8.ValidString(text) {
		return "", false
	}
	text = strings.Join(strings.Fields(norm.NFC.String(text)), " ")
	visible := 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == utf8.RuneError:
			return "", false
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zs, r), unicode.Is(unicode.Mn, r), r == '\u115f', r == '\u3164', r == '\u2800':
			// joins emoji and accents, but is nothing by itself
		default:
			visible++
		}
	}
	return text, visible > 0 || text == ""
}
