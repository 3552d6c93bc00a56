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
// It reports false for what is no reason: too short, too long, not UTF-8, or with
// control or direction-changing characters that would make a record lie. What
// nobody can see does not make a reason longer (SECURITY A06, T11).
func CleanReason(text string) (string, bool) {
	text, length, ok := cleanText(text, maxReasonBytes)
	if !ok || length < MinReason || utf8.RuneCountInString(text) > MaxReason {
		return "", false
	}
	return text, true
}

// CleanTicketRef does the same for a ticket reference, which may be empty.
func CleanTicketRef(text string) (string, bool) {
	text, length, ok := cleanText(text, maxTicketRef)
	if !ok || length == 0 && text != "" {
		return "", false
	}
	return text, true
}

// CleanNote does what CleanReason does for a note, which may be short or empty.
func CleanNote(text string) (string, bool) {
	text, _, ok := cleanText(text, maxReasonBytes)
	if !ok || utf8.RuneCountInString(text) > MaxReason {
		return "", false
	}
	return text, true
}

// cleanText also returns how many characters one can see, with the spaces between them.
func cleanText(text string, maxBytes int) (clean string, length int, ok bool) {
	if len(text) > maxBytes || !utf8.ValidString(text) {
		return "", 0, false
	}
	text = strings.Join(strings.Fields(norm.NFC.String(text)), " ")
	visible, spaces := 0, 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == utf8.RuneError:
			return "", 0, false
		case r == ' ':
			spaces++
		case unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me), strings.ContainsRune(blanks, r):
			// joins emoji and accents, but is nothing by itself
		default:
			visible++
		}
	}
	return text, visible + min(spaces, visible), true
}

// blanks are letters and symbols by category that show nothing.
const blanks = "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
