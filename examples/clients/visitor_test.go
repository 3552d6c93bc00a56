package clients_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/understudy-id/understudy/handlers/idptest"
)

// visitor is a person with a browser at one of the programs. A new one has no
// cookies.
type visitor struct {
	t      *testing.T
	idp    *idptest.IDP
	issuer string
	client string // the program's client id
	app    string // its address

	browser *http.Client
	catch   bool     // do not go to the callback
	at      *url.URL // the last page, or where a caught redirect goes
	posted  bool     // a page of the provider posted the answer
}

// told is what the programs say in JSON.
type told struct {
	Status        int            `json:"-"`
	Error         string         `json:"error"`
	Claims        map[string]any `json:"claims"`
	Act           map[string]any `json:"act"`
	Userinfo      map[string]any `json:"userinfo"`
	Refreshable   bool           `json:"refreshable"`
	Impersonation map[string]any `json:"impersonation"`
	Impersonator  map[string]any `json:"impersonator"`
}

// login signs in at the program, and returns what it knows then. consent answers
// the consent page.
func (v *visitor) login(name string, query, consent url.Values) told {
	v.t.Helper()
	v.posted = false
	return v.read(v.through(v.get(v.app+"/login?"+query.Encode()), name, consent))
}

// through goes on until the provider asks nothing more.
func (v *visitor) through(w *idptest.Response, name string, consent url.Values) *idptest.Response {
	v.t.Helper()
	for range 5 {
		switch {
		case w.Element("login-form") != nil:
			w = v.submit(w.Element("login-form"), url.Values{"username": {name + "@example.test"}, "password": {idptest.Password}})
		case w.Element("consent-form") != nil && consent != nil:
			w = v.submit(w.Element("consent-form"), consent)
			consent = nil // it asks once
		case answer(w, v.app+"/callback") != nil:
			v.posted = true
			w = v.submit(answer(w, v.app+"/callback"), nil)
		default:
			return w
		}
	}
	v.t.Fatalf("the provider does not stop asking, at %s", v.at)
	return nil
}

func (v *visitor) read(w *idptest.Response) (what told) {
	v.t.Helper()
	if err := json.Unmarshal([]byte(w.Body), &what); err != nil {
		v.t.Fatalf("at %s: status %d, not JSON: %.500s", v.at, w.Status, w.Body)
	}
	what.Status = w.Status
	return what
}

// me asks the program who is signed in.
func (v *visitor) me() told {
	v.t.Helper()
	return v.read(v.get(v.app + "/me"))
}

// refresh asks the program to use its refresh token.
func (v *visitor) refresh() told {
	v.t.Helper()
	return v.read(v.post(v.app+"/refresh", v.app, nil))
}

// logout signs out at the program, and must end at its start page.
func (v *visitor) logout() {
	v.t.Helper()
	w := v.post(v.app+"/logout", v.app, nil)
	if v.at.String() != v.app+"/" || w.Status != http.StatusOK {
		v.t.Errorf("after logout: at %s, status %d: %.300s", v.at, w.Status, w.Body)
	}
}

func (v *visitor) get(address string) *idptest.Response {
	v.t.Helper()
	return v.do(http.MethodGet, address, "", nil)
}

func (v *visitor) post(address, origin string, form url.Values) *idptest.Response {
	v.t.Helper()
	return v.do(http.MethodPost, address, origin, form)
}

// submit sends a form of the page the browser is at.
func (v *visitor) submit(form *html.Node, values url.Values) *idptest.Response {
	v.t.Helper()
	action, err := v.at.Parse(attribute(form, "action"))
	if err != nil {
		v.t.Fatal(err)
	}
	fields := url.Values{}
	for n := range form.Descendants() {
		if name := attribute(n, "name"); n.Data == "input" && attribute(n, "type") == "hidden" {
			fields.Add(name, attribute(n, "value"))
		}
	}
	for name, value := range values {
		fields[name] = value
	}
	origin := v.issuer
	if !strings.HasPrefix(action.String(), v.issuer) {
		origin = "null" // the page's Referrer-Policy is no-referrer
	}
	return v.post(action.String(), origin, fields)
}

func (v *visitor) do(method, address, origin string, form url.Values) *idptest.Response {
	v.t.Helper()
	if v.browser == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			v.t.Fatal(err)
		}
		v.browser = &http.Client{Jar: jar, Timeout: 2 * time.Minute, CheckRedirect: func(r *http.Request, via []*http.Request) error {
			v.at = r.URL
			if len(via) > 10 || v.catch && strings.HasPrefix(r.URL.String(), v.app+"/callback") {
				return http.ErrUseLastResponse
			}
			return nil
		}}
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
	}
	v.at = r.URL
	response, err := v.browser.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return &idptest.Response{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// answer returns the form that posts itself to the address, on the page of
// response_mode=form_post.
func answer(w *idptest.Response, address string) *html.Node {
	page, err := html.Parse(strings.NewReader(w.Body))
	if err != nil {
		return nil
	}
	for n := range page.Descendants() {
		if n.Data == "form" && attribute(n, "method") == "post" && attribute(n, "action") == address {
			return n
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
