package handlers_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// securityLines are how many lines each tier has of those that the table lists.
var securityLines = map[string]int{"A": 27, "B": 19, "C": 13, "D": 14, "E": 10, "F": 11, "I": 5, "T": 38}

var (
	requirementRow = regexp.MustCompile(`^\| ([A-Z]\d\d) \| ([^|]+) \| (.+) \|$`)
	namedTest      = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
)

// docs/security-tests.md names for each line of the requirements a test that is
// there and says that it is about that line, or says what is not there.
func TestSecurityTestsAreThere(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/security-tests.md")
	check(t, err)
	packages, seen := map[string]map[string]string{}, map[string]bool{}
	named := func(id, where string) (found int) {
		for _, m := range namedTest.FindAllStringSubmatch(where, -1) {
			if packages[m[1]] == nil {
				packages[m[1]] = testsOf(t, filepath.Join("..", m[1]))
			}
			said, there := packages[m[1]][m[2]]
			switch {
			case !there:
				t.Errorf("%s: there is no test %s in %s", id, m[2], m[1])
			case id != "" && !strings.Contains(said, id):
				t.Errorf("%s: %s in %s does not say that it is about it", id, m[2], m[1])
			}
			found++
		}
		return found
	}
	for line := range strings.Lines(string(page)) {
		m := requirementRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			named("", line) // fuzz targets, and what is said in between
			continue
		}
		if seen[m[1]] {
			t.Errorf("%s has two rows", m[1])
		}
		seen[m[1]] = true
		if named(m[1], m[3]) == 0 && !strings.Contains(m[3], "not there:") {
			t.Errorf("%s names neither a test nor what is not there", m[1])
		}
	}
	for tier, n := range securityLines {
		for i := range n {
			id := tier + strings.Repeat("0", 2-len(strconv.Itoa(i+1))) + strconv.Itoa(i+1)
			if !seen[id] {
				t.Errorf("%s has no row", id)
			}
		}
	}
	if tiers := slices.Collect(func(yield func(string) bool) {
		for id := range seen {
			if securityLines[id[:1]] == 0 && !yield(id) {
				return
			}
		}
	}); len(tiers) > 0 {
		t.Errorf("rows of no line: %v", tiers)
	}
}
