package templates

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var corpus = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' autofocus onfocus=alert(1) x='`,
	"` onmouseover=alert(1) `",
	` onclick=alert(1) `,
	`</title><svg onload=alert(1)>`,
	`</textarea><script>alert(1)</script>`,
	`</option></select><iframe srcdoc="x">`,
	`</script><script>alert(1)</script>`,
	`javascript:alert(1)`,
	"java\tscript:alert(1)",
	` JaVaScRiPt:alert(1)`,
	`data:text/html;base64,PHNjcmlwdD4=`,
	`vbscript:msgbox(1)`,
	`{{.Person}}<b>`,
	`<!--<img src="--><img src=x onerror=alert(1)//">`,
	`]]><script>`,
	`&lt;script&gt;&#34;>`,
	`+ADw-script+AD4-`,
	"\x00<\x00script>",
	"\u202e\u2066<b>gnp.exe",
	"\xff\xfe<b>",
	"a\r\nSet-Cookie: x=y\r\n\r\n<b>",
}

// Each string of each page in turn holds the texts of the corpus, one after the other in
// one text; the page must have the elements and attributes it has when that string is
// harmless. FuzzText tries them one by one, in all strings at once.
func TestNoTextBecomesMarkup(t *testing.T) {
	t.Parallel()
	s := newSet(t)
	for name, page := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := deepCopy(reflect.ValueOf(page))
			fields := 0
			eachString(copied, func(field reflect.Value) {
				fields++
				before := field.String()
				defer field.SetString(before)
				field.SetString("harmless")
				want := skeleton(t, s, copied)
				text := strings.Join(corpus, " ")
				field.SetString(text)
				if got := skeleton(t, s, copied); !slices.Equal(got, want) {
					t.Errorf("%q in place of %q changes the page:\n%q\n%q", text, before, got, want)
				}
			})
			if fields == 0 {
				t.Error("no strings found")
			}
		})
	}
}

// E05: what somebody wrote never changes a page.
func FuzzText(f *testing.F) {
	for _, text := range corpus {
		f.Add(text)
	}
	s := newSet(f)
	f.Fuzz(func(t *testing.T, text string) {
		if secureURL(text) != "" || webURL(text) != "" {
			t.Skip("a link that may appear")
		}
		for name, page := range samples() {
			copied := deepCopy(reflect.ValueOf(page))
			fill := func(text string) []string {
				eachString(copied, func(field reflect.Value) { field.SetString(text) })
				return skeleton(t, s, copied)
			}
			if want, got := fill("harmless"), fill(text+"<"); !slices.Equal(got, want) {
				t.Errorf("%s: %q changes the page", name, text)
			}
		}
	})
}

// skeleton is the page without its text: elements, and their attributes' names.
func skeleton(t *testing.T, s *Set, page reflect.Value) []string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := show(s, w, page.Interface()); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range elements(t, w.Body.String()) {
		list = append(list, e.Data)
		for _, a := range e.Attr {
			list = append(list, a.Key)
			link := strings.ToLower(strings.TrimSpace(a.Val))
			if slices.Contains([]string{"href", "src", "action"}, a.Key) &&
				(strings.HasPrefix(link, "javascript:") || strings.HasPrefix(link, "data:") || strings.HasPrefix(link, "vbscript:")) {
				t.Errorf("%s %s=%q", e.Data, a.Key, a.Val)
			}
		}
	}
	return list
}

func deepCopy(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			c.Index(i).Set(deepCopy(v.Index(i)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(deepCopy(v.Elem()))
		}
	}
	return c
}

func eachString(v reflect.Value, visit func(reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		visit(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachString(v.Field(i), visit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachString(v.Index(i), visit)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			eachString(v.Elem(), visit)
		}
	}
}
