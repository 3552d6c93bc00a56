package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// web is a web server that knows who is signed in. With more than one process,
// trips and sessions go into a store that all of them share.
type web struct {
	*party
	base string

	refreshing singleflight.Group

	mu       sync.Mutex
	trips    map[string]trip     // browsers that are at the provider
	sessions map[string]*session // browsers that are signed in
}

// serve listens where PORT says, and prints its address as a line of JSON. Every
// request has ctx's values.
func serve(ctx context.Context, join func(base string) (*party, error)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "0"))
	if err != nil {
		return err
	}
	base := cmp.Or(os.Getenv("BASE_URL"), "http://"+listener.Addr().String())
	p, err := join(base)
	if err != nil {
		return err
	}
	s := &web{party: p, base: base, trips: map[string]trip{}, sessions: map[string]*session{}}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", handler(s.home))
	mux.Handle("GET /login", handler(s.login))
	mux.Handle("GET /callback", handler(s.callback))
	mux.Handle("POST /callback", handler(s.callback)) // response_mode=form_post
	mux.Handle("GET /me", handler(s.me))
	mux.Handle("POST /refresh", handler(s.refresh))
	mux.Handle("POST /logout", handler(s.logout))
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": base}); err != nil {
		return err
	}
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	return server.Serve(listener)
}

func (s *web) home(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := fmt.Fprint(w, home)
	return err
}

func (s *web) login(w http.ResponseWriter, r *http.Request) error {
	parameters := url.Values{}
	for _, name := range []string{"scope", "prompt", "response_mode", "login_hint"} {
		if value := r.URL.Query().Get(name); value != "" {
			parameters.Set(name, value)
		}
	}
	to, t := s.begin(parameters)
	id := rand.Text()
	s.mu.Lock()
	s.trips[id] = t
	s.mu.Unlock()
	time.AfterFunc(10*time.Minute, func() { s.takeTrip(id) })
	s.setCookie(w, "trip", id)
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *web) callback(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		return err
	}
	t, ok := s.takeTrip(cookieOf(r, "trip"))
	if !ok {
		return errors.New("not_started_here")
	}
	fresh, err := s.finish(r.Context(), r.Form, t)
	if err != nil {
		return err
	}
	id := rand.Text() // a new sign-in is a new session
	s.mu.Lock()
	delete(s.sessions, cookieOf(r, "session"))
	s.sessions[id] = fresh
	s.mu.Unlock()
	time.AfterFunc(time.Until(fresh.until), func() { s.end(id) })
	s.setCookie(w, "trip", "")
	s.setCookie(w, "session", id)
	http.Redirect(w, r, "/me", http.StatusSeeOther)
	return nil
}

func (s *web) me(w http.ResponseWriter, r *http.Request) error {
	_, current, err := s.signedIn(r)
	if err != nil {
		return err
	}
	info, err := s.userinfo(r.Context(), current)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"claims":        current.claims,
		"act":           current.claims["act"], // who is really here
		"userinfo":      info,
		"refreshable":   current.token.RefreshToken != "",
		"impersonation": current.token.Extra("impersonation"), // words for a page; only act decides
		"impersonator":  current.token.Extra("impersonator"),
	})
}

func (s *web) refresh(w http.ResponseWriter, r *http.Request) error {
	// One at a time: a refresh token that is used twice looks stolen.
	_, err, _ := s.refreshing.Do(cookieOf(r, "session"), func() (any, error) {
		id, current, err := s.signedIn(r)
		if err != nil {
			return nil, err
		}
		if current.token.RefreshToken == "" {
			return nil, errors.New("no_refresh_token")
		}
		fresh, err := s.renew(context.WithoutCancel(r.Context()), current)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions[id] == current { // and did not sign out meanwhile
			s.sessions[id] = fresh
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return s.me(w, r)
}

func (s *web) logout(w http.ResponseWriter, r *http.Request) error {
	id, current, err := s.signedIn(r)
	if err != nil {
		return err
	}
	s.end(id)
	s.setCookie(w, "session", "")
	http.Redirect(w, r, s.endSessionURL(current, s.base+"/"), http.StatusSeeOther)
	return nil
}

func (s *web) signedIn(r *http.Request) (id string, current *session, err error) {
	id = cookieOf(r, "session")
	s.mu.Lock()
	defer s.mu.Unlock()
	if current = s.sessions[id]; current == nil {
		return "", nil, errors.New("not_signed_in")
	}
	return id, current, nil
}

// takeTrip returns a trip, for one answer.
func (s *web) takeTrip(id string) (trip, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.trips[id]
	delete(s.trips, id)
	return t, ok
}

func (s *web) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
}

// setCookie sets a cookie; an empty value removes it. The POST of form_post comes
// from another site. To have the trip with it, its cookie is SameSite=None, which
// browsers take from https only.
func (s *web) setCookie(w http.ResponseWriter, name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: strings.HasPrefix(s.base, "https:"), SameSite: http.SameSiteLaxMode} //nolint:gosec // Secure wherever the application is on https
	if c.Secure && name == "trip" {
		c.SameSite = http.SameSiteNoneMode
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// handler answers what goes wrong with the provider's error code, or with our own.
type handler func(http.ResponseWriter, *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	if err == nil {
		return
	}
	answer := map[string]string{"error": err.Error()}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		answer = map[string]string{"error": refused.ErrorCode, "message": refused.ErrorDescription}
	}
	_ = writeJSON(w, http.StatusBadRequest, answer) // the browser is gone: nothing to do
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

const home = `<!doctype html>
<html lang="en"><title>A relying party</title>
<p><a href="/login">Sign in</a> · <a href="/login?response_mode=form_post">with form_post</a> ·
<a href="/login?prompt=select_account">as somebody else</a> · <a href="/me">Who am I?</a></p>
<form method="post"><button formaction="/refresh">Refresh</button> <button formaction="/logout">Sign out</button></form>
`
