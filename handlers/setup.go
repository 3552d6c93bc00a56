package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// errSetupLink is the one answer to a link that was used, has expired or was never
// made, so that nobody learns which.
var errSetupLink = &pageErr{
	Status: http.StatusNotFound, Code: "setup_link_invalid", Heading: "This link is not valid any more",
	Message: "It was used before, has expired, or was not copied as a whole.",
	Advice:  "Make a new one on the server: understudy setup-link. If you have set up an account already, sign in.",
	BackURL: "/login", BackLabel: "Sign in",
}

// setupForm shows what a setup link leads to. Opening it spends nothing.
func (s *Server) setupForm(w http.ResponseWriter, r *http.Request) error {
	p, err := s.setupPage(r)
	if err != nil {
		return err
	}
	return s.pages.Setup(w, http.StatusOK, p)
}

// setupPage prepares the page of a link that can be used.
func (s *Server) setupPage(r *http.Request) (templates.SetupPage, error) {
	l, err := s.notActing(r)
	if err != nil {
		return templates.SetupPage{}, err
	}
	token := r.PathValue("token")
	err = s.provider.Directory().CheckSetupLink(r.Context(), token, time.Now())
	if errors.Is(err, provider.ErrSetupLink) {
		return templates.SetupPage{}, errSetupLink
	}
	return templates.SetupPage{Page: s.frame(r, l), Action: "/setup/" + url.PathEscape(token)}, err
}

// setup makes the administrator and signs them in.
func (s *Server) setup(w http.ResponseWriter, r *http.Request) error {
	p, err := s.setupPage(r)
	if err != nil {
		return err
	}
	form, err := postForm(r)
	if err != nil {
		return err
	}
	a := provider.Administrator{
		Name: strings.TrimSpace(form.Get("name")), Email: strings.TrimSpace(form.Get("email")), Password: form.Get("password"),
	}
	p.Name, p.Email = a.Name, a.Email
	problems := a.Problems()
	if len(problems) == 0 {
		u, err := s.provider.Directory().SetUp(r.Context(), r.PathValue("token"), a, s.info(r), time.Now())
		switch {
		case err == nil:
			if err := s.signIn(w, r, u); err != nil {
				return err
			}
			redirect(w, "/setup")
			return nil
		case errors.Is(err, provider.ErrSetupLink): // somebody else was first
			return errSetupLink
		case !errors.Is(err, storage.ErrExists):
			return err
		}
		problems["email"] = "There is a user with this e-mail address already. Use another."
	}
	for _, field := range []string{"name", "email", "password"} {
		if message := problems[field]; message != "" {
			p.Errors = append(p.Errors, templates.FieldError{Field: field, Message: message})
		}
	}
	return s.pages.Setup(w, http.StatusBadRequest, p)
}

// notActing returns who is signed in, nil for nobody, and refuses somebody who is
// acting as another: whatever makes administrators is not done meanwhile (SECURITY
// A05, A17).
func (s *Server) notActing(r *http.Request) (*storage.Login, error) {
	l, err := s.currentLogin(r)
	if err != nil || l == nil {
		return nil, err
	}
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Actor: l.User.ID, Running: true, Limit: 1}, time.Now())
	if err != nil || len(running) == 0 {
		return l, err
	}
	_, subject, _, err := s.parties(r, &running[0])
	if err != nil {
		return nil, err
	}
	return nil, &pageErr{
		Status: http.StatusForbidden, Code: "impersonation_forbidden", ActingAs: subject,
		Message: "Stop first. Administrators are not made, and nothing is set up, while you act as someone else.",
		BackURL: "/impersonation/stop?id=" + url.QueryEscape(running[0].ID), BackLabel: "Stop",
	}
}

// checklist says what is left to do, to those who may do it.
func (s *Server) checklist(w http.ResponseWriter, r *http.Request) error {
	l, err := s.notActing(r)
	if err != nil {
		return err
	}
	if l == nil {
		redirect(w, "/login")
		return nil
	}
	standing, err := s.store.Standing(r.Context(), l.User.ID)
	if err != nil {
		return err
	}
	if !standing.May("settings:write", "") {
		return &pageErr{Status: http.StatusForbidden, Code: "forbidden", Message: "This page is for administrators."}
	}
	have, err := s.store.Progress(r.Context())
	if err != nil {
		return err
	}
	on, err := s.store.ImpersonationEnabled(r.Context())
	if err != nil {
		return err
	}
	return s.pages.Checklist(w, http.StatusOK, templates.ChecklistPage{
		Page: s.frame(r, l), Steps: steps(have, on),
	})
}

// steps is what makes an installation useful, and how far it is.
func steps(have storage.Progress, on bool) []templates.ChecklistStep {
	application := templates.ChecklistStep{
		Title: "Add an application", Done: have.Clients > 0, URL: "/admin/clients/new", State: "People sign in to applications. There is none yet.",
		Commands: []templates.Command{{
			"understudy client create", "--id shop", "--name Shop", "--redirect-uri https://shop.example.com/callback", "--allow-impersonation",
		}},
	}
	if application.Done {
		application.State, application.Count = count(have.Clients, "There is one application.", "There are %d applications.")
	}
	users := templates.ChecklistStep{
		Title: "Add users", Done: have.Users > 0, URL: "/admin/users/new", State: "There is nobody but administrators yet. The role support lets staff sign in as others.",
		Commands: []templates.Command{
			{"understudy user create", "--email ada@example.com", `--name "Ada Lovelace"`, "--password-file -"},
			{"understudy user create", "--email sam@example.com", `--name "Sam Support"`, "--role support", "--password-file -"},
		},
	}
	if users.Done {
		users.State, users.Count = count(have.Users, "There is one user besides administrators.", "There are %d users besides administrators.")
	}
	signInAs := templates.ChecklistStep{
		Title: "Switch on signing in as someone else", Done: on && have.ClientsOptedIn > 0, URL: "/admin/settings", State: "It is off.",
		Commands: []templates.Command{{"understudy impersonation enable"}},
	}
	switch {
	case on && have.ClientsOptedIn > 0:
		signInAs.Commands = nil
		signInAs.State, signInAs.Count = count(have.ClientsOptedIn, "It is on, and one application allows it.", "It is on, and %d applications allow it.")
	case on:
		signInAs.State, signInAs.URL = "It is on, but no application allows it yet.", "/admin/clients"
		signInAs.Commands = []templates.Command{{"understudy client update shop", "--allow-impersonation"}}
	}
	return []templates.ChecklistStep{application, users, signInAs}
}

// count returns what is said of n, and n where it has to be told.
func count(n int64, one, many string) (string, int64) {
	if n == 1 {
		return one, 0
	}
	return many, n
}
