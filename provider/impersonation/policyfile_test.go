package impersonation

import (
	"testing"

	"pgregory.net/rapid"
)

// What can be compiled can be kept, and reads as it was given.
func TestKeptAs(t *testing.T) {
	seen := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune(" \n:#-'\"a|>{}[]&*!%@`\\?,é\u0085\ufeff\u200b")), 0, 12, -1), rapid.String())
	space := rapid.SampledFrom([]string{"", " ", "\n", "\n\n ", "\t", "\n\t\n", "\r\n"})
	rest := rapid.SampledFrom([]string{"", " // x\n", "//\ta\n ", " == (\n\t'a\\n' != \"#: \")"})
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{
			Name: "rule", Effect: EffectDeny, When: space.Draw(t, "before") + "true" + rest.Draw(t, "rest") + space.Draw(t, "after"),
			Message: seen.Draw(t, "message"), Comment: seen.Draw(t, "comment"),
		}
		p, err := Compile([]Rule{r})
		if err != nil {
			return
		}
		text, err := keptAs(p.Rules())
		if err != nil {
			t.Fatalf("%q, %q, %q: %v\n%s", r.When, r.Message, r.Comment, err, text)
		}
		read, err := ParsePolicy([]byte(text))
		if err != nil || read[0].When != p.Rules()[0].When || read[0].Message != r.Message || read[0].Comment != r.Comment {
			t.Fatalf("%q, %q, %q: %+v, %v", r.When, r.Message, r.Comment, read, err)
		}
	})
}
