package impersonation

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unseen is what shows nothing by itself.
var unseen = []string{
	"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u1160", "\u17b4", "\u180e", "\u2800",
	"\u3164", "\uffa0", "\ufe0f", "\U000e0041", "\U000e0101",
}

// A06, G05: what is a reason.
func TestCleanReason(t *testing.T) {
	type row struct{ name, reason, want string } // want empty: no reason
	rows := []row{
		{"ordinary", "Cannot see invoice 4711", "Cannot see invoice 4711"},
		{"empty", "", ""},
		{"seven characters", "invoice", ""},
		{"eight characters", "invoices", "invoices"},
		{"eight of more bytes", "äöüßäöüß", "äöüßäöüß"},
		{"composed", "Cafe\u0301 is shut", "Café is shut"},
		{"eight only before it is composed", "e\u0301e\u0301e\u0301e\u0301", ""},
		{"space at the ends", "  \t invoices \u3000\n", "invoices"},
		{"space does not count twice", "a       b", ""},
		{"a line", "line one\r\n{\"event\":\"fake\"}", `line one {"event":"fake"}`},
		{"every kind of space", "in\u00a0the\u2003dark\u2028and\u2029on\u0085", "in the dark and on"},
		{"only space", strings.Repeat(" \t\u00a0\u3000", 10), ""},
		{"500 characters", strings.Repeat("ä", 500), strings.Repeat("ä", 500)},
		{"501 characters", strings.Repeat("ä", 501), ""},
		{"500 characters of four bytes", strings.Repeat("😀", 500), strings.Repeat("😀", 500)},
		{"a megabyte", strings.Repeat("a", 1<<20), ""},
		{"a megabyte of space", "invoices" + strings.Repeat(" ", 1<<20), ""},
		{"a family", "for 👨\u200d👩\u200d👧 again", "for 👨\u200d👩\u200d👧 again"},
		{"markup", `<script>alert(1)</script>`, `<script>alert(1)</script>`},
		{"formula", `=cmd|' /C calc'!A0`, `=cmd|' /C calc'!A0`},
		{"another script", "ग्राहक ने पूछा", "ग्राहक ने पूछा"},
		{"NUL", "invoice\x00 4711", ""},
		{"ANSI", "\x1b[2J\x1b[31minvoice", ""},
		{"C1 ANSI", "\u009b31minvoices", ""},
		{"bell", "invoices\a", ""},
		{"delete", "invoices\x7f", ""},
		{"not UTF-8", "invoices\xff", ""},
		{"surrogate", "invoices\xed\xa0\x80", ""},
		{"overlong", "invoices\xc0\xaf", ""},
		{"replacement character", "invoices\ufffd", ""},
	}
	for _, r := range []rune{0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069} {
		rows = append(rows, row{fmt.Sprintf("direction %U", r), "invoices " + string(r) + "gpj.exe", ""})
	}
	for _, s := range unseen {
		rows = append(rows,
			row{fmt.Sprintf("only %+q", s), strings.Repeat(s, 20), ""},
			row{fmt.Sprintf("one letter and %+q", s), "a" + strings.Repeat(s, 20), ""},
			row{fmt.Sprintf("one letter and spaced %+q", s), "a" + strings.Repeat(" "+s, 20), ""})
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, ok := CleanReason(r.reason)
			if got != r.want || ok != (r.want != "") {
				t.Errorf("%.60q: got %.60q, %v, want %.60q", r.reason, got, ok, r.want)
			}
		})
	}
}

func TestCleanTicketRef(t *testing.T) {
	for ref, want := range map[string]string{
		"": "", " T-4711\n": "T-4711", "#1": "#1", "T 4711": "T 4711", strings.Repeat("1", 100): strings.Repeat("1", 100),
	} {
		if got, ok := CleanTicketRef(ref); got != want || !ok {
			t.Errorf("%q: got %q, %v, want %q", ref, got, ok, want)
		}
	}
	for _, ref := range append([]string{strings.Repeat("1", 101), "\x1b", "\xff", "T\u202e1", "T\x00"}, unseen...) {
		if got, ok := CleanTicketRef(ref); ok {
			t.Errorf("%q: got %q, want it refused", ref, got)
		}
	}
}

// A reason that is taken can be shown and recorded as it is, and is taken again.
func FuzzCleanReason(f *testing.F) {
	for _, s := range []string{
		"Cannot see invoice 4711", "e\u0301e\u0301 e\u0301", "\x1b[2J", "a\r\nb: c d e f", "\u202e\u2066<b>gnp.exe", "=cmd|' /C calc'!A0",
		"\xff\xfe12345678", strings.Repeat("😀", 501), "\u0344\u0344\u0344\u0344\u0344\u0344\u0344\u0344", "a \u0301 b c d e f g", "\u1100\u1161\u11a8 \u1100",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := CleanReason(text)
		if !ok {
			if got != "" {
				t.Errorf("refused, and yet %q", got)
			}
			return
		}
		if n := utf8.RuneCountInString(got); n < MinReason || n > MaxReason || !utf8.ValidString(got) {
			t.Errorf("%q: %d characters", got, n)
		}
		if !norm.NFC.IsNormalString(got) || got != strings.Join(strings.Fields(got), " ") {
			t.Errorf("%q: not normal", got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("%q: has a control character", got)
		}
		if again, ok := CleanReason(got); !ok || again != got {
			t.Errorf("%q becomes %q, %v", got, again, ok)
		}
		b, err := json.Marshal(got)
		var read string
		if err != nil || json.Unmarshal(b, &read) != nil || read != got {
			t.Errorf("%q: comes back as %q, %v", got, read, err)
		}
	})
}
