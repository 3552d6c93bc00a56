package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// Config is what the provider's administrator hands over.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret string   // empty for a public client
	BaseURL      string   // where browsers find this application; BaseURL/callback is registered
	Scopes       []string // openid, profile and email when empty
}

type app struct {
	Config
	client *http.Client
	memory *memory

	discovering sync.Mutex
	discovered  *provider
	refreshing  singleflight.Group
}

// New returns the application. The provider is asked for its metadata by the
// first request that needs it, so both may start at once. Of ctx only an HTTP
// client is used, if it carries one (oidc.ClientContext).
func New(ctx context.Context, c Config) (http.Handler, error) {
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	if base, err := url.Parse(c.BaseURL); err != nil || base.Scheme == "" || base.Host == "" {
		return nil, fmt.Errorf("base URL %q: not an absolute URL", c.BaseURL)
	}
	if c.Issuer == "" || c.ClientID == "" {
		return nil, errors.New("issuer and client id are required")
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	client, ok := ctx.Value(oauth2.HTTPClient).(*http.Client)
	if !ok {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	a := &app{Config: c, client: client, memory: newMemory()}
	return a.routes(), nil
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", a.page(a.home))
	mux.Handle("GET /login", a.page(a.login))
	mux.Handle("GET /initiate-login", a.page(a.initiateLogin))
	mux.Handle("GET /callback", a.page(a.callback))
	mux.Handle("POST /refresh", a.page(a.refresh))
	mux.Handle("POST /logout", a.page(a.logout))
	mux.Handle("POST /stop", a.page(a.stop))
	mux.HandleFunc("POST /backchannel-logout", a.backchannelLogout)
	mux.HandleFunc("GET /style.css", style)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (a *app) login(w http.ResponseWriter, r *http.Request) error {
	var options []oauth2.AuthCodeOption
	if r.FormValue("switch") == "1" { // lets staff choose whom to sign in as
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	if r.FormValue("silent") == "1" { // back as themselves, without a question if there is none to ask
		options = append(options, oauth2.SetAuthURLParam("prompt", "none"))
	}
	return a.authorize(w, r, "/", options...)
}

// initiateLogin is where others ask us to sign somebody in (OIDC Core section 4).
// Passing login_hint on is all it takes to be opened from a support console.
func (a *app) initiateLogin(w http.ResponseWriter, r *http.Request) error {
	if iss := r.FormValue("iss"); iss != a.Issuer {
		return &problem{http.StatusBadRequest, "Unknown sign-in service", fmt.Sprintf("iss %q is not ours", iss)}
	}
	var options []oauth2.AuthCodeOption
	if hint := r.FormValue("login_hint"); hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	// Only to ourselves: anything else would be an open redirector.
	return a.authorize(w, r, a.local(r.FormValue("target_link_uri")), options...)
}

// authorize sends the browser to the provider and remembers what must come back.
func (a *app) authorize(w http.ResponseWriter, r *http.Request, next string, options ...oauth2.AuthCodeOption) error {
	p, err := a.provider(r)
	if err != nil {
		return err
	}
	t := trip{browser: a.browser(w, r), nonce: oauth2.GenerateVerifier(), verifier: oauth2.GenerateVerifier(), next: next}
	state, ok := a.memory.depart(t)
	if !ok {
		return &problem{http.StatusServiceUnavailable, "Too many sign-ins at once", "Wait a moment."}
	}
	options = append(options, oidc.Nonce(t.nonce), oauth2.S256ChallengeOption(t.verifier))
	http.Redirect(w, r, p.oauth2.AuthCodeURL(state, options...), http.StatusSeeOther)
	return nil
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) error {
	p, err := a.provider(r)
	if err != nil {
		return err
	}
	t, ok := a.memory.arrive(r, false)
	if !ok {
		return &problem{http.StatusBadRequest, "This sign-in was not started here", "The state is unknown, already used or from another browser."}
	}
	// Another provider's answer mixed into this trip (RFC 9207 section 2.4).
	if iss := r.FormValue("iss"); iss != a.Issuer && (iss != "" || p.meta.SendsIss) {
		return &problem{http.StatusBadRequest, "The answer came from somewhere else", fmt.Sprintf("iss %q is not ours", iss)}
	}
	switch code := r.FormValue("error"); code {
	case "":
	case "login_required", "consent_required", "interaction_required": // the answers to a silent try
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	default:
		return &problem{http.StatusBadRequest, "Not signed in", strings.TrimSuffix(code+": "+r.FormValue("error_description"), ": ")}
	}
	ctx := a.calling(r)
	token, err := p.oauth2.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(t.verifier))
	if err != nil {
		return refused(err)
	}
	s, nonce, err := p.open(ctx, token)
	if err != nil {
		return &problem{http.StatusBadRequest, "The ID token is not acceptable", err.Error()}
	}
	if nonce != t.nonce {
		return &problem{http.StatusBadRequest, "The ID token is not acceptable", "The nonce is not the one we sent."}
	}
	if old, _ := a.memory.session(r); old != "" {
		a.memory.end(old)
	}
	a.setCookie(w, sessionCookie, a.memory.start(s), 0)
	http.Redirect(w, r, t.next, http.StatusSeeOther)
	return nil
}

// open turns a token response into a session. The caller checks the nonce.
func (p *provider) open(ctx context.Context, token *oauth2.Token) (s *session, nonce string, err error) {
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, "", err
	}
	s = &session{subject: id.Subject, idToken: raw, token: token, until: time.Now().Add(sessionLife)}
	var claims struct {
		SID string `json:"sid"`
		person
	}
	if err := errors.Join(id.Claims(&claims), id.Claims(&s.claims)); err != nil {
		return nil, "", err
	}
	s.sid, s.person = claims.SID, claims.person
	if s.acting, err = readActing(id, token); err != nil {
		return nil, "", err
	}
	if s.acting != nil { // our session must not outlive the permission to act
		s.until = s.acting.Expires
	}
	// Names are usually there and not in the ID token; without them we show the subject.
	if _, found, err := p.userinfo(ctx, s); err == nil {
		s.person = person{Name: cmp.Or(found.Name, s.person.Name), Email: cmp.Or(found.Email, s.person.Email)}
	}
	return s, id.Nonce, nil
}

// userinfo asks the provider who the subject is, with the access token as it is:
// an expired one is not refreshed behind the visitor's back.
func (p *provider) userinfo(ctx context.Context, s *session) (raw json.RawMessage, who person, err error) {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(s.token))
	if err != nil {
		return nil, person{}, err
	}
	if info.Subject != s.subject { // MUST NOT be used then (OIDC Core section 5.3.2)
		return nil, person{}, errors.New("userinfo is about somebody else")
	}
	err = errors.Join(info.Claims(&raw), info.Claims(&who))
	return raw, who, err
}

// refresh replaces the tokens of a session, and never whom they are about.
func (a *app) refresh(w http.ResponseWriter, r *http.Request) error {
	p, err := a.provider(r)
	if err != nil {
		return err
	}
	id, s := a.memory.session(r)
	if s == nil || s.token.RefreshToken == "" {
		return &problem{http.StatusBadRequest, "Nothing to refresh", "This sign-in came without a refresh token."}
	}
	// One at a time: a rotated refresh token used twice looks stolen.
	_, err, _ = a.refreshing.Do(id, func() (any, error) {
		fresh, err := p.renew(context.WithoutCancel(a.calling(r)), s)
		if err != nil {
			return nil, err
		}
		a.memory.replace(id, fresh)
		return nil, nil
	})
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (p *provider) renew(ctx context.Context, s *session) (*session, error) {
	token, err := p.oauth2.TokenSource(ctx, &oauth2.Token{RefreshToken: s.token.RefreshToken}).Token()
	if err != nil {
		return nil, refused(err)
	}
	fresh := *s
	fresh.token = token
	if token.Extra("id_token") == nil { // allowed: the old one stays (OIDC Core section 12.2)
		return &fresh, nil
	}
	opened, _, err := p.open(ctx, token)
	if err != nil {
		return nil, err
	}
	if opened.subject != s.subject || !opened.acting.sameAs(s.acting) {
		return nil, &problem{http.StatusBadRequest, "Not refreshed", "The new tokens are about somebody else."}
	}
	opened.acting, opened.until = s.acting, s.until
	return opened, nil
}
