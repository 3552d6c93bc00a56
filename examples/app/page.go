package app

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
)

const maxBody = 1 << 16

var (
	//go:embed page.html
	pageSource string
	//go:embed style.css
	styleSource []byte

	pageTemplate = template.Must(template.New("page").Parse(pageSource))
)

// person is how the page calls somebody.
type person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// view is what the page shows: a person, nobody, or a problem.
type view struct {
	SignedIn    bool
	Name        string
	Email       string
	Acting      *acting
	StaffBar    string // the address of its script
	Refreshable bool
	IDToken     string
	AccessToken string
	UserInfo    string
	Problem     *problem
}

// problem is an error a visitor may read.
type problem struct {
	status int
	Title  string
	Detail string
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// home shows who is signed in, and is where the provider returns to after a logout.
func (a *app) home(w http.ResponseWriter, r *http.Request) error {
	if r.FormValue("state") != "" {
		next := "/"
		if t, ok := a.memory.arrive(r, true); ok {
			next = t.next
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	_, s := a.memory.session(r)
	if s == nil {
		return render(w, http.StatusOK, view{})
	}
	v := view{
		SignedIn:    true,
		Name:        s.person.Name,
		Email:       s.person.Email,
		Acting:      s.acting,
		StaffBar:    a.staffBar(),
		Refreshable: s.token.RefreshToken != "",
		IDToken:     indent(s.claims),
		AccessToken: readable(s.token.AccessToken),
	}
	v.Name = cmp.Or(v.Name, v.Email, s.subject)
	p, err := a.provider(r)
	if err != nil {
		return err
	}
	if info, _, err := p.userinfo(a.calling(r), s); err != nil {
		v.UserInfo = err.Error()
	} else {
		v.UserInfo = indent(info)
	}
	return render(w, http.StatusOK, v)
}

// staffBar is where Understudy has the bar that shows who is really here. Another
// provider has none there, and the page shows its own.
func (a *app) staffBar() string { return strings.TrimSuffix(a.Issuer, "/") + "/staff-bar.js" }

// readable shows the claims of a JWT access token. They are the API's business: a
// client shows them at most, and never decides by them.
func readable(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		if claims, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Valid(claims) {
			return indent(claims)
		}
	}
	return "opaque: nothing to read in it"
}

func indent(raw []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}

// page adds what every page needs, and shows the error of those that fail.
func (a *app) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		// One script, by its whole address. No form-action: Chromium applies it to the
		// redirects that follow a form, and ours lead to the provider and wherever that
		// sends people to sign in.
		head.Set("Content-Security-Policy", "default-src 'none'; script-src "+a.staffBar()+
			"; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
		head.Set("Cache-Control", "no-store")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := h(w, r)
		if err == nil {
			return
		}
		shown, ok := errors.AsType[*problem](err)
		if !ok {
			shown = &problem{http.StatusInternalServerError, "Something went wrong", "The log has the details."}
		}
		slog.InfoContext(r.Context(), "request refused", "path", r.URL.Path, "error", err)
		if err := render(w, shown.status, view{Problem: shown}); err != nil {
			http.Error(w, shown.Title, shown.status)
		}
	})
}

func render(w http.ResponseWriter, status int, v view) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
	return nil
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(styleSource)
}
