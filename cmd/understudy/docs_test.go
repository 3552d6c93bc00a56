package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every row of the tables that name tests names tests that exist.
func TestDocumentedTests(t *testing.T) {
	t.Parallel()
	known := testsOfModule(t, "../..")
	for page, least := range map[string]int{"conformance.md": 150, "fosite.md": 30} {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		rows := tableRows(t, string(text))
		if len(rows) < least {
			t.Errorf("%s: %d rows name tests, want at least %d", page, len(rows), least)
		}
		for _, row := range rows {
			for _, why := range known.refuse(row) {
				t.Errorf("docs/%s: | %s |: %s", page, strings.Join(row, " | "), why)
			}
		}
	}
}

// The check itself: what it takes, and what it does not.
func TestRefuseTests(t *testing.T) {
	t.Parallel()
	known := moduleTests{
		"handlers": {"TestCodes": {"B03", "fosite 15: spent", "C10 ", "good", "token", " at_once"}, "TestOther": {"B99"}, "": {"wrong one", "GET"}},
		"storage":  {"TestUseOnce": nil},
	}
	for cell, ok := range map[string]bool{
		"`TestCodes`":                        true,
		"`TestCodes/*/B03`":                  true,
		"`TestCodes/B03*`":                   true,
		"`TestCodes/fosite_15*`":             true,
		"`TestCodes/fosite_15:_spent`":       true,
		"`TestCodes/*_spent`":                true,
		"`TestCodes/token_at_once`":          true,
		"`TestCodes/*_once`":                 true,
		"`TestCodes/C10_good_GET`":           true,
		"`TestCodes/C10_wrong_one_*`":        true,
		"`TestCodes/B03`, `TestUseOnce` too": true,
		"`TestUseOnce` in `storage`":         true,
		"`TestCode`":                         false,
		"`TestCodes/B99`":                    false,
		"`TestCodes/B04`":                    false,
		"`TestCodes/*_missing`":              false,
		"`TestCodes/C10_bad_GET`":            false,
		"`TestUseOnce/B03`":                  false,
		"`TestCodes`, `TestNothing`":         false,
		"pending: something":                 false,
		"`codes`":                            false,
		"by hand":                            false,
	} {
		if why := known.refuse([]string{"a requirement", cell}); (why == nil) != ok {
			t.Errorf("%s: got %v, want it to be fine: %v", cell, why, ok)
		}
	}
}

// tableRows returns the rows of the tables whose last column is headed "test".
func tableRows(t *testing.T, page string) [][]string {
	t.Helper()
	var rows [][]string
	var columns int // 0: in no such table
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[len(cells)-1] == "test":
			columns = len(cells)
		case columns == 0 || strings.Trim(line, "|-: ") == "":
		case len(cells) != columns || slices.Contains(cells, ""):
			t.Errorf("not a row of %d cells: %s", columns, line)
		default:
			rows = append(rows, cells)
		}
	}
	return rows
}

// moduleTests are the tests of each package, by its directory.
type moduleTests map[string]packageTests

// packageTests are the test functions of a package, each with the texts in it, of
// which the names of its subtests are made. Under "" are the texts outside of tests.
type packageTests map[string][]string

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[^`]*)`")
	isTest   = regexp.MustCompile(`^(Test|Fuzz|Benchmark)`)
)

// refuse returns what is wrong with the last cell of a row.
func (m moduleTests) refuse(row []string) (why []string) {
	named := testName.FindAllStringSubmatch(row[len(row)-1], -1)
	if len(named) == 0 {
		return []string{"names no test"}
	}
	for _, name := range named {
		if !m.has(name[1]) {
			why = append(why, "there is no test "+name[1])
		}
	}
	return why
}

// has reports whether a test exists: TestName, or TestName/subtest as go test -run
// prints it. Of a subtest's name * stands for any part, and the rest must be made of
// texts in the sources of the test's package, as far as that can be told.
func (m moduleTests) has(name string) bool {
	path := strings.Split(name, "/")
	for _, p := range m {
		texts, ok := p[path[0]]
		if texts = append(slices.Clone(texts), p[""]...); ok && !slices.ContainsFunc(path[1:], func(part string) bool { return !names(part, texts) }) {
			return true
		}
	}
	return false
}

// names reports whether part can be the name of a subtest.
func names(part string, texts []string) bool {
	part = strings.ReplaceAll(part, "_", " ")
	if rest, ok := strings.CutPrefix(part, "*"); ok {
		rest = strings.Trim(rest, "* ")
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ReplaceAll(text, "_", " "), rest) })
	}
	return made(strings.TrimSuffix(part, "*"), texts, strings.HasSuffix(part, "*"))
}

// made reports whether a name is made of texts, joined as they are or by a blank. An
// open name may go on.
func made(name string, texts []string, open bool) bool {
	if name == "" {
		return true
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		text = strings.ReplaceAll(text, "_", " ")
		if open && strings.HasPrefix(text, name) {
			return true
		}
		rest, begins := strings.CutPrefix(name, text)
		whole := rest == "" || strings.HasSuffix(text, " ") || strings.HasPrefix(rest, " ")
		return begins && whole && len(text) > 1 && (made(rest, texts, open) || made(strings.TrimPrefix(rest, " "), texts, open))
	})
}

// testsOfModule reads every test source below a directory.
func testsOfModule(t *testing.T, root string) moduleTests {
	t.Helper()
	all := moduleTests{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p := all[filepath.Dir(path)]
		if p == nil {
			p = packageTests{}
			all[filepath.Dir(path)] = p
		}
		for _, declared := range file.Decls {
			in := ""
			if f, ok := declared.(*ast.FuncDecl); ok && isTest.MatchString(f.Name.Name) {
				in = f.Name.Name
			}
			p[in] = append(p[in], textsIn(declared)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("tests of %d packages only", len(all))
	}
	return all
}

func textsIn(declared ast.Node) (texts []string) {
	ast.Inspect(declared, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
