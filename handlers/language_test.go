package handlers_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers"
	"github.com/understudy-id/understudy/handlers/idptest"
	"github.com/understudy-id/understudy/templates"
)

const german = `<html lang="de">`

// choosing is the form of the footer, sent from a page.
func choosing(tag, from string) *http.Request {
	r := idptest.Form("/language", url.Values{"lang": {tag}})
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if from != "" {
		r.Header.Set("Referer", from)
	}
	return r
}

func TestLanguageIsChosen(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, c := range []struct{ name, from, to string }{
		{"a page", idptest.Issuer + "/login", "/login"},
		{"its query", idptest.Issuer + "/login?interaction=X", "/login?interaction=X"},
		{"a page that is not there", idptest.Issuer + "/nowhere", "/nowhere"},
		{"the start page", idptest.Issuer + "/", "/"},
		{"not said", "", "/"},
		{"another site", "https://evil.example/login", "/"},
		{"a site that begins like ours", idptest.Issuer + ".evil.example/login", "/"},
		{"somebody at another site", idptest.Issuer + "@evil.example/login", "/"},
		{"the root of another host", idptest.Issuer + "//evil.example/", "/"},
		{"the same with a backslash", idptest.Issuer + `/\evil.example/`, "/"},
		{"this address, which has no page", idptest.Issuer + "/language", "/"},
		{"nonsense", "%zz", "/"},
	} {
		b := idp.Browser(t)
		w := b.Do(choosing("de", c.from))
		if got := w.Header.Get("Location"); w.Status != http.StatusSeeOther || got != c.to {
			t.Errorf("%s: status %d to %q, want %q", c.name, w.Status, got, c.to)
		}
		if w := b.Get("/login"); !strings.Contains(w.Body, german) || !strings.Contains(w.Body, "Anmelden") {
			t.Errorf("%s: the page is not in German: %s", c.name, w.Body)
		}
	}
	cookie := idp.Browser(t).Do(choosing("de", "")).Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q has no %s", cookie, want)
		}
	}
}

func TestLanguageIsRefused(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, c := range []struct {
		name   string
		change func(r *http.Request)
		tag    string
		status int
	}{
		{"a language", func(*http.Request) {}, "de", http.StatusSeeOther},
		{"none", func(*http.Request) {}, "", http.StatusBadRequest},
		{"one that there is not", func(*http.Request) {}, "tlh", http.StatusBadRequest},
		{"markup", func(*http.Request) {}, `de"><script>`, http.StatusBadRequest},
		{"from another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, "de", http.StatusForbidden},
		{"from another origin", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		}, "de", http.StatusForbidden},
	} {
		r := choosing(c.tag, "")
		c.change(r)
		w := idp.Do(r)
		if w.Status != c.status || (w.Header.Get("Set-Cookie") != "") != (c.status == http.StatusSeeOther) {
			t.Errorf("%s: status %d, cookie %q, want %d", c.name, w.Status, w.Header.Get("Set-Cookie"), c.status)
		}
	}
}

// What the person chose counts more than what the application asks for, and that more
// than what the browser does.
func TestLanguageOfAPage(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, idptest.Options{})
	for _, c := range []struct{ chosen, asked, browser, want string }{
		{"", "", "", "en"},
		{"", "", "de-AT, en;q=0.5", "de"},
		{"", "en", "de", "en"},
		{"", "de", "en", "de"},
		{"", "fr-CA de", "en", "de"},
		{"", "fr", "de", "de"},
		{"en", "de", "de", "en"},
		{"de", "en", "en", "de"},
		{"no language at all", "de", "en", "de"},
		{"", `"><script>`, "de", "de"},
	} {
		b := idp.Browser(t)
		if c.chosen != "" {
			b.Cookies["__Host-understudy_lang"] = c.chosen
		}
		for _, path := range []string{"/login?", "/nowhere?", "/oauth2/authorize?client_id=nobody&"} {
			r := httptest.NewRequest(http.MethodGet, path+url.Values{"ui_locales": {c.asked}}.Encode(), nil)
			r.Header.Set("Accept-Language", c.browser)
			if w := b.Do(r); !strings.Contains(w.Body, `<html lang="`+c.want+`">`) {
				t.Errorf("%s, %+v: not in %s: %.60s", path, c, c.want, w.Body)
			}
		}
	}
}

// The languages that an application asks for count until the person is back there,
// whichever way they came.
func TestLocalesOfARequest(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	requests := map[string]func(b *idptest.Browser) string{
		"query": func(*idptest.Browser) string { return asking("ui_locales", "de") },
		"post": func(b *idptest.Browser) string {
			form := mustQuery(asking("ui_locales", "de"))
			return b.Do(crossSite("/oauth2/authorize", form, "Sec-Fetch-Site", "cross-site")).Header.Get("Location")
		},
		"pushed": func(*idptest.Browser) string { return pushed(t, idp, "ui_locales", "de") },
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			b := idp.Browser(t)
			at, w := b.Follow(request(b))
			pages := map[string]*idptest.Response{"login": w}
			pages["login, failed"] = b.Post(at, url.Values{"username": {"sam@example.test"}, "password": {"wrong"}})
			w = b.Post(at, url.Values{"username": {"sam@example.test"}, "password": {idptest.Password}})
			at, pages["consent"] = b.Follow(w.Header.Get("Location"))
			pages["consent, refused"] = b.Post(at, idptest.Wish("usr_ada", having("reason", "short")))
			pages["consent, malformed"] = b.Post(at, url.Values{"action": {"dance"}})
			for page, w := range pages {
				if !strings.Contains(w.Body, german) {
					t.Errorf("%s is not in German: %s", page, w.Body)
				}
			}
			if w := b.Do(choosing("en", idptest.Issuer+at)); w.Header.Get("Location") != at {
				t.Errorf("choosing leads to %q, want %q", w.Header.Get("Location"), at)
			}
			if w := b.Get(at); !strings.Contains(w.Body, `<html lang="en">`) {
				t.Errorf("the choice does not count: %s", w.Body)
			}
		})
	}
	t.Run("form_post", func(t *testing.T) {
		w := person(t, idp, "ada").Get(asking("ui_locales", "de", "response_mode", "form_post", "prompt", "none"))
		if !strings.Contains(w.Body, german) || strings.Contains(w.Body, `action="/language"`) {
			t.Errorf("not in German, or with a form that its policy forbids: %s", w.Body)
		}
	})
	t.Run("signing out", func(t *testing.T) {
		b := person(t, idp, "ada")
		w := b.Get("/oauth2/logout?ui_locales=de")
		if !strings.Contains(w.Body, german) || !strings.Contains(w.Body, `name="ui_locales" value="de"`) {
			t.Errorf("not asked in German: %s", w.Body)
		}
		if w := b.Post("/oauth2/logout", url.Values{"confirmed": {"yes"}, "ui_locales": {"de"}}); !strings.Contains(w.Body, german) {
			t.Errorf("not told in German: %s", w.Body)
		}
	})
}

// Every page has the menu of languages, but for the one whose policy forbids it.
func TestEveryPageOffersLanguages(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{}))
	for name, w := range visited(t, idp, "harmless") {
		if got := strings.Contains(w.Body, `action="/language"`); got == strings.HasPrefix(name, "form_post") {
			t.Errorf("%s: has the menu: %t", name, got)
		}
	}
}

// No page shows English to somebody who reads German.
func TestPagesAreInGerman(t *testing.T) {
	t.Parallel()
	idp := idptest.New(t, unlimited(idptest.Options{Language: "de"}))
	words := translations(t, "de")
	for name, w := range visited(t, idp, "harmless") {
		if !strings.Contains(w.Body, german) {
			t.Errorf("%s: not in German: %.100s", name, w.Body)
		}
		for z := html.NewTokenizer(strings.NewReader(w.Body)); z.Next() != html.ErrorToken; {
			text := strings.TrimSpace(string(z.Text()))
			if translated, ok := words[text]; ok && translated != text {
				t.Errorf("%s: says %q", name, text)
			}
		}
	}
}

// translations is everything that there is in a language, by the English.
func translations(t *testing.T, tag string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "templates", "locales", tag, "*.json"))
	check(t, err)
	all := map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		check(t, err)
		var part map[string]string
		check(t, json.Unmarshal(b, &part))
		maps.Copy(all, part)
	}
	if len(all) == 0 {
		t.Fatalf("nothing is in %s", tag)
	}
	return all
}

// What the program says on pages, beside what stands in their files, can be read in
// every language.
func TestEveryMessageIsTranslated(t *testing.T) {
	said := map[string]string{} // where
	for _, label := range slices.Concat(handlers.MenuLabels(), handlers.Notices()) {
		said[label] = "a menu or a notice"
	}
	for _, dir := range []string{".", "../templates", "../provider", "../provider/impersonation"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		check(t, err)
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") && !slices.Contains(notOnPages, filepath.Base(file)) && !ofAPI.MatchString(filepath.Base(file)) {
				maps.Copy(said, sentences(t, file))
			}
		}
	}
	if len(said) < 100 {
		t.Fatalf("only %d texts were found", len(said))
	}
	for _, tag := range templates.LanguageTags()[1:] {
		words := translations(t, tag)
		for text, where := range said {
			if words[text] == "" {
				t.Errorf("%s: not in %s: %q", where, tag, text)
			}
		}
	}
}

// notOnPages are the files whose errors only applications read, or those who watch over
// the server.
var notOnPages = []string{
	"ops.go", "approve.go", "assertion.go", "caller.go", "clientauth.go", "clientmetadata.go", "dynamicregistration.go", "exchange.go", "exchangenarrower.go", "exchangeparties.go", "exchangerequest.go", "introspect.go", "revoke.go", "token.go", "tokenfor.go", "userinfo.go",
}

// ofAPI are the files of the management API and of the dialects, whose errors programs
// read.
var ofAPI = regexp.MustCompile(`^(api|dialect|descope)(_.*)?\.go$`)

var (
	prose    = regexp.MustCompile(`^\p{Lu}[\p{Ll}’'-]*,? [^=]*[^ ]$`) // begins as a sentence does, and is whole
	textKeys = []string{"Message", "Advice", "Heading", "BackLabel", "Title", "State", "Detail", "Label", "Description", "Notice", "Why"}
)

// sentences are the literals of a file that people read: those that look like it, and
// the fields that hold nothing else.
func sentences(t *testing.T, name string) map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, 0)
	check(t, err)
	found := map[string]string{}
	add := func(e ast.Expr, any bool) {
		literal, ok := e.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(literal.Value)
		check(t, err)
		if text != "" && text != "Authorization, Content-Type" && (any || prose.MatchString(text)) {
			found[text] = fset.Position(literal.Pos()).String()
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				add(n.Value, slices.Contains(textKeys, key.Name))
			}
		case *ast.BasicLit:
			add(n, false)
		}
		return true
	})
	return found
}
