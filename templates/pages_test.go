package templates

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write testdata")

// Hashes change with the style sheet; a golden page should not.
var assetHash = regexp.MustCompile(`(/static/[a-z-]+)\.[0-9a-f]{12}\.`)

func TestGolden(t *testing.T) {
	s := newSet(t)
	for name, page := range samples() {
		t.Run(name, func(t *testing.T) {
			got := assetHash.ReplaceAllString(rendered(t, s, page), "$1.HASH.")
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got), -update accepts it:\n%s", file, diff)
			}
		})
	}
}

// What automation and password managers rely on.
func TestStableElements(t *testing.T) {
	wants := map[string][]string{
		"login":        {"form#login-form", "input#username[name=username]", "input#password[name=password]", "button#login-submit"},
		"login_reauth": {"form#login-form", "input#username[name=username]", "input#password[name=password]", "button#login-submit"},
		"consent":      {"form#consent-form", "button#consent-deny[name=action]", "button#consent-submit[name=action]"},
		"setup":        {"form#setup-form", "input#name[name=name]", "input#email[name=email]", "input#password[name=password]", "button#setup-submit"},
		"logout":       {"form#logout-form", "button#logout-submit"},
		"stop":         {"form#stop-form", "button#stop-submit"},
		"error":        {"section#error-page", "code#error-code"},
		"consent_results": {
			"form#consent-form", "input#continue_as_me[name=continue_as]", "input#continue_as_other[name=continue_as]", "input#q[name=q]",
			"input#subject_0[name=subject]", "select#organization[name=organization]", "textarea#reason[name=reason]", "input#ticket_ref[name=ticket_ref]",
			"input#access_read_only[name=access]", "input#access_full[name=access]", "select#duration[name=duration]",
			"button#consent-deny[name=action]", "button#consent-submit[name=action]",
		},
	}
	s := newSet(t)
	for name, selectors := range wants {
		var got []string
		for _, e := range elements(t, rendered(t, s, samples()[name])) {
			selector := e.Data + "#" + attr(e, "id")
			if n := attr(e, "name"); n != "" {
				selector += "[name=" + n + "]"
			}
			got = append(got, selector)
		}
		for _, want := range selectors {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
	}
}

func TestEveryPageKeepsThePolicy(t *testing.T) {
	s := newSet(t)
	for name, page := range samples() {
		body := rendered(t, s, page)
		if len(body) > 30_000 {
			t.Errorf("%s: %d bytes, want at most 30000", name, len(body))
		}
		if regexp.MustCompile(`(?i)impersonat`).MatchString(textOf(t, body)) {
			t.Errorf("%s: says impersonate", name)
		}
		ids := map[string]bool{}
		for _, e := range elements(t, body) {
			if e.Data == "style" || e.Data == "script" && !strings.HasPrefix(attr(e, "src"), "/static/") && (name != "formpost" || attr(e, "nonce") == "") {
				t.Errorf("%s: has a %s element", name, e.Data)
			}
			for _, a := range e.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: %s has a %s attribute", name, e.Data, a.Key)
				}
				if a.Key == "id" && ids[a.Val] {
					t.Errorf("%s: id %q is there twice", name, a.Val)
				}
				ids[a.Val] = ids[a.Val] || a.Key == "id"
			}
		}
		for _, e := range elements(t, body) {
			if anchor, ok := strings.CutPrefix(attr(e, "href"), "#"); ok && !ids[anchor] {
				t.Errorf("%s: link to #%s leads nowhere", name, anchor)
			}
			for _, id := range strings.Fields(attr(e, "aria-describedby")) {
				if !ids[id] {
					t.Errorf("%s: %s is described by #%s, which is not there", name, e.Data, id)
				}
			}
		}
	}
}

// Enter presses the first submit button of a form.
func TestConsentFirstButtonFinds(t *testing.T) {
	s := newSet(t)
	var actions []string
	for _, e := range elements(t, rendered(t, s, found())) {
		if e.Data == "button" {
			actions = append(actions, attr(e, "value"))
		}
	}
	if want := []string{"find", "deny", "allow"}; !slices.Equal(actions, want) {
		t.Errorf("buttons = %q, want %q", actions, want)
	}
}

func TestConsentShowsAtMost25Results(t *testing.T) {
	p := choice()
	p.Searched, p.More = true, 5
	for range 40 {
		p.Results = append(p.Results, Candidate{
			ID: "usr_" + strings.Repeat("x", 26), Name: "Augusta Ada King, Countess of Lovelace", Email: "augusta.ada.king@analytical-engines.example",
			Organizations: []string{"Globex", "Initech"}, Selectable: true,
		})
	}
	body := rendered(t, newSet(t), p)
	if want := "25 shown of 45"; !strings.Contains(body, want) {
		t.Errorf("no %q in:\n%s", want, body)
	}
	if len(body) > 30_000 {
		t.Errorf("%d bytes, want at most 30000", len(body))
	}
}

func TestErrorsWithoutTheirFieldHaveATarget(t *testing.T) {
	s := newSet(t)
	for _, field := range []string{"subject", "organization", "duration", "reason", "action"} {
		for _, p := range []ConsentPage{consent(), with(choice(), func(p *ConsentPage) { p.Durations = nil })} {
			p.Errors = []FieldError{{field, "Wrong."}}
			if body := rendered(t, s, p); !strings.Contains(body, `<li><a href="#`) {
				t.Errorf("%s: no link in the summary", field)
			}
		}
	}
}

func TestTitleSaysActing(t *testing.T) {
	body := rendered(t, newSet(t), samples()["error_acting"])
	if want := "<title>(as Ada Lovelace) You are acting as"; !strings.Contains(body, want) {
		t.Errorf("no %q in:\n%s", want, body)
	}
	if !strings.Contains(body, "/static/icon-acting.") {
		t.Error("not the icon with the dot")
	}
}

func TestLinksThatAreNotRendered(t *testing.T) {
	s := newSet(t)
	for _, u := range []string{"javascript:alert(1)", "data:text/html,x", "//evil.example", "///evil.example", "https:evil.example", "/\t/evil.example", `/\evil.example`, "ftp://x.example", "evil"} {
		for _, page := range []any{
			ErrorPage{BackURL: u},
			LoggedOutPage{ReturnURL: u},
			StoppedPage{ReturnURL: u},
			ConsentPage{LogoURL: u, ClientURL: u, PolicyURL: u, TermsURL: u},
			AccountPage{Page: Page{Person: sam}, ActingAs: []ActiveImpersonation{{StopURL: u}}},
			ActivityPage{Older: u, Newer: u},
			ActedAsPage{ReportURL: u},
			LoginPage{Page: Page{Acting: &Acting{StopURL: u}}},
		} {
			if body := rendered(t, s, page); strings.Contains(body, "alert(1)") || strings.Contains(body, "evil") || strings.Contains(body, "x.example") {
				t.Errorf("%T shows %q:\n%s", page, u, body)
			}
		}
	}
	if body := rendered(t, s, ConsentPage{PolicyURL: "http://acme.example/privacy", LogoURL: "http://acme.example/logo.png"}); strings.Contains(body, "acme.example") {
		t.Error("a policy over http is linked")
	}
}

type broken struct{ http.ResponseWriter }

func (broken) WriteHeader(int) { panic("wrote a header") }

func TestNothingIsWrittenOnError(t *testing.T) {
	w := httptest.NewRecorder()
	err := newSet(t).render(broken{w}, http.StatusOK, "stop", LoginPage{})
	if err == nil || !strings.HasPrefix(err.Error(), "page stop: ") {
		t.Errorf("err = %v, want one about page stop", err)
	}
	if w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("wrote %v %q", w.Header(), w.Body)
	}
}

func TestBrandingIsChecked(t *testing.T) {
	for _, accent := range []string{"red", "#fff", "#12345", "#1234567", "#12345g", "#+12345", "#}a{x:y"} {
		if _, err := New(Branding{Accent: accent}); err == nil || !strings.Contains(err.Error(), accent) {
			t.Errorf("accent %q: err = %v, want one that names it", accent, err)
		}
	}
	s, err := New(Branding{Name: "Globex <ID>", Accent: "#c0ffee"})
	if err != nil {
		t.Fatal(err)
	}
	if body, want := rendered(t, s, LoginPage{}), "<title>Sign in · Globex &lt;ID&gt;</title>"; !strings.Contains(body, want) {
		t.Errorf("no %q in:\n%s", want, body)
	}
}

func BenchmarkLogin(b *testing.B)          { benchmark(b, samples()["login_failed"]) }
func BenchmarkConsent(b *testing.B)        { benchmark(b, consent()) }
func BenchmarkConsentResults(b *testing.B) { benchmark(b, found()) }

func benchmark(b *testing.B, page any) {
	s := newSet(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := show(s, httptest.NewRecorder(), page); err != nil {
			b.Fatal(err)
		}
	}
}

func elements(t testing.TB, body string) []html.Token {
	t.Helper()
	var list []html.Token
	for z := html.NewTokenizer(strings.NewReader(body)); z.Next() != html.ErrorToken; {
		if token := z.Token(); token.Type == html.StartTagToken || token.Type == html.SelfClosingTagToken {
			list = append(list, token)
		}
	}
	return list
}

// textOf is what a page says in its own words: not what people type at a prompt.
func textOf(t testing.TB, body string) string {
	t.Helper()
	var text strings.Builder
	code := false
	for z := html.NewTokenizer(strings.NewReader(body)); z.Next() != html.ErrorToken; {
		switch token := z.Token(); {
		case token.Data == "code":
			code = token.Type == html.StartTagToken
		case token.Type == html.TextToken && !code:
			text.WriteString(token.Data)
		}
	}
	return text.String()
}

func attr(e html.Token, key string) string {
	for _, a := range e.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
