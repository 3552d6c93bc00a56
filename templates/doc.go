// Package templates renders every HTML page and serves what the pages load.
//
// A [Set] is parsed once, at start-up, from the files in html; it has one
// method a page, and each takes one struct that holds all the page shows:
//
//	pages, err := templates.New(templates.Branding{Name: "Acme ID"})
//	mux.Handle("GET /static/", pages.Static())
//	err = pages.Login(w, http.StatusOK, templates.LoginPage{Action: "/login"})
//
// A page is complete without a script: a choice is a radio button whose fields
// CSS reveals, a search is a submit button, a countdown is a time in words. The
// only script is one line on the form_post page, and it has a button beside it.
// Nothing is inline and nothing is remote, so that the caller can send
//
//	default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'
//
// with the form-action and frame-ancestors of its route. Those headers are the
// caller's; a page sets its Content-Type and nothing else.
//
// Amber means acting as someone, red means destructive, and neither comes
// without words. Pages say "sign in as", "acting as" and "stop".
//
// The look is Oat 0.6.1 (static/vendor/oat, MIT, unmodified) under
// static/theme.css, served as one file. Read templates.go, page.go,
// consent.go and its html, static.go, accent.go.
package templates
