package idptest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Response is an answer, read.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Location returns where a redirect goes.
func (r *Response) Location() *url.URL {
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil {
		return &url.URL{}
	}
	return u
}

// JSON returns the body's object.
func (r *Response) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
		t.Fatalf("status %d, not JSON: %s", r.Status, r.Body)
	}
	return v
}

// Do sends a request through the handler.
func (idp *IDP) Do(r *http.Request) *Response {
	if l := idp.options.Language; l != "" {
		r.Header.Set("Accept-Language", l)
	}
	w := httptest.NewRecorder()
	idp.Handler.ServeHTTP(w, r)
	return &Response{w.Code, w.Header(), w.Body.String()}
}

// Form returns a POST of a form.
func Form(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// Call posts a form to a direct endpoint as a client with a secret; an empty id
// sends no Authorization.
func (idp *IDP) Call(path, clientID, secret string, form url.Values) *Response {
	r := Form(path, form)
	if clientID != "" {
		r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret))
	}
	return idp.Do(r)
}

// Browser keeps cookies, as its site's only visitor.
type Browser struct {
	IDP     *IDP
	Cookies map[string]string
	t       testing.TB
}

// Browser returns a new browser.
func (idp *IDP) Browser(t testing.TB) *Browser {
	return &Browser{IDP: idp, Cookies: map[string]string{}, t: t}
}

// Do sends a request with the browser's cookies and keeps what comes back.
func (b *Browser) Do(r *http.Request) *Response {
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := b.IDP.Do(r)
	for _, c := range (&http.Response{Header: w.Header}).Cookies() {
		if c.MaxAge < 0 {
			delete(b.Cookies, c.Name)
		} else {
			b.Cookies[c.Name] = c.Value
		}
	}
	return w
}

// Get fetches a path of ours, without following redirects.
func (b *Browser) Get(path string) *Response {
	return b.Do(httptest.NewRequest(http.MethodGet, local(path), nil))
}

// Post posts a form to a path of ours.
func (b *Browser) Post(path string, form url.Values) *Response {
	r := Form(local(path), form)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.Do(r)
}

// Follow fetches a path and follows redirects as long as they stay here.
func (b *Browser) Follow(path string) (at string, w *Response) {
	b.t.Helper()
	for range 10 {
		w = b.Get(path)
		next := w.Header.Get("Location")
		if next == "" || !strings.HasPrefix(next, "/") {
			return path, w
		}
		path = next
	}
	b.t.Fatalf("too many redirects, last %s", path)
	return "", nil
}

func local(path string) string {
	return strings.TrimPrefix(path, Issuer)
}

// SignIn signs a person in at the login page.
func (b *Browser) SignIn(name string) {
	b.t.Helper()
	w := b.Post("/login", url.Values{"username": {name + "@example.test"}, "password": {Password}})
	if w.Status != http.StatusSeeOther {
		b.t.Fatalf("sign in as %s: status %d: %s", name, w.Status, w.Body)
	}
}

// Verifier and Challenge are the PKCE pair of Request.
const (
	Verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// Request is an authorization request of App that is allowed. change, where not
// nil, changes it.
func Request(change func(url.Values)) string {
	q := url.Values{
		"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {Callback}, "scope": {"openid email"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {Challenge}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(q)
	}
	return "/oauth2/authorize?" + q.Encode()
}

// Code runs an authorization request of a browser that is signed in, to the code.
func (b *Browser) Code(request string) string {
	b.t.Helper()
	at, w := b.Follow(request)
	if strings.HasPrefix(at, "/consent/") {
		w = b.Post(at, url.Values{"continue_as": {"me"}, "action": {"allow"}})
	}
	code := w.Location().Query().Get("code")
	if code == "" {
		b.t.Fatalf("no code at %s: status %d, location %s: %s", at, w.Status, w.Location(), w.Body)
	}
	return code
}

// Wish is the consent form of somebody who signs in as somebody else.
func Wish(subject string, change func(url.Values)) url.Values {
	form := url.Values{
		"continue_as": {"other"}, "subject": {subject}, "reason": {"Cannot see invoice 4711"}, "access": {"read_only"},
		"duration": {"30"}, "action": {"allow"},
	}
	if change != nil {
		change(form)
	}
	return form
}

// Consent runs a request to its consent page and returns its path.
func (b *Browser) Consent(request string) string {
	b.t.Helper()
	at, w := b.Follow(request)
	if !strings.HasPrefix(at, "/consent/") || w.Status != http.StatusOK {
		b.t.Fatalf("no consent page: at %s, status %d, location %s", at, w.Status, w.Location())
	}
	return at
}

// ActAs runs a request through the consent page as somebody else, to the code.
func (b *Browser) ActAs(subject, request string) string {
	b.t.Helper()
	w := b.Post(b.Consent(request), Wish(subject, nil))
	code := w.Location().Query().Get("code")
	if code == "" {
		b.t.Fatalf("no code: status %d, location %s: %s", w.Status, w.Location(), w.Body)
	}
	return code
}

// Exchange is App's token request for a code.
func Exchange(code string, change func(url.Values)) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {Callback}, "code_verifier": {Verifier},
	}
	if change != nil {
		change(form)
	}
	return form
}

// Tokens exchanges a code as App.
func (idp *IDP) Tokens(t testing.TB, code string) map[string]any {
	t.Helper()
	w := idp.Call("/oauth2/token", "app", Secret, Exchange(code, nil))
	if w.Status != http.StatusOK {
		t.Fatalf("token: status %d: %s", w.Status, w.Body)
	}
	return w.JSON(t)
}

// Claims returns what a JWT says, unverified.
func Claims(t testing.TB, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", text)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// Element returns the first element with an id on the page, nil when there is none.
func (r *Response) Element(id string) *html.Node {
	page, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return nil
	}
	for n := range page.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "id" && a.Val == id {
				return n
			}
		}
	}
	return nil
}
