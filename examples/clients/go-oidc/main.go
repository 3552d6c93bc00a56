// A relying party with coreos/go-oidc and golang.org/x/oauth2. This file is what
// concerns the libraries, web.go the web server around it. ../README.md says how
// to run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// party is this application at its provider.
type party struct {
	issuer     string
	provider   *oidc.Provider
	verifier   *oidc.IDTokenVerifier
	oauth2     oauth2.Config
	sendsIss   bool
	endSession string
}

// trip is what is kept while a browser is at the provider.
type trip struct{ state, nonce, verifier string }

// session is somebody signed in.
type session struct {
	token   *oauth2.Token
	idToken string
	subject string
	actor   string         // who is really here; empty: the subject
	claims  map[string]any // of the ID token
	until   time.Time
}

func discover(ctx context.Context, issuer, clientID, clientSecret, base string) (*party, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		SendsIss   bool   `json:"authorization_response_iss_parameter_supported"`
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, err
	}
	endpoint := provider.Endpoint()
	// As the client is registered. Left to find it out, the library answers a
	// refusal by sending the same code again, in another way.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &party{
		issuer: issuer, provider: provider, verifier: provider.Verifier(&oidc.Config{ClientID: clientID}),
		sendsIss: more.SendsIss, endSession: more.EndSession,
		oauth2: oauth2.Config{
			ClientID: clientID, ClientSecret: clientSecret, Endpoint: endpoint, RedirectURL: base + "/callback",
			Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
		},
	}, nil
}

// begin returns where to send the browser, and what to keep until it is back.
func (p *party) begin(parameters url.Values) (to string, t trip) {
	t = trip{state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(), verifier: oauth2.GenerateVerifier()}
	options := []oauth2.AuthCodeOption{oidc.Nonce(t.nonce), oauth2.S256ChallengeOption(t.verifier)}
	for name := range parameters {
		options = append(options, oauth2.SetAuthURLParam(name, parameters.Get(name)))
	}
	return p.oauth2.AuthCodeURL(t.state, options...), t
}

// finish makes a session of the provider's answer: the query of a GET, or the form
// that form_post posted. The libraries leave state, iss, errors and nonce to us;
// the ID token's signature, iss, aud and exp are theirs.
func (p *party) finish(ctx context.Context, answer url.Values, t trip) (*session, error) {
	if answer.Get("state") != t.state {
		return nil, errors.New("state: not the one that was sent")
	}
	// An answer of another provider, mixed into this trip (RFC 9207 section 2.4).
	if iss := answer.Get("iss"); iss != p.issuer && (iss != "" || p.sendsIss) {
		return nil, fmt.Errorf("iss %q: not the provider that was asked", iss)
	}
	if code := answer.Get("error"); code != "" {
		return nil, &oauth2.RetrieveError{ErrorCode: code, ErrorDescription: answer.Get("error_description")}
	}
	token, err := p.oauth2.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(t.verifier))
	if err != nil {
		return nil, err
	}
	s, nonce, err := p.open(ctx, token)
	if err != nil {
		return nil, err
	}
	if nonce != t.nonce {
		return nil, errors.New("nonce: not the one that was sent")
	}
	return s, nil
}

// open verifies the ID token of a token response.
func (p *party) open(ctx context.Context, token *oauth2.Token) (s *session, nonce string, err error) {
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, "", err
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil { // at_hash
		return nil, "", err
	}
	s = &session{token: token, idToken: raw, subject: id.Subject, until: time.Now().Add(8 * time.Hour)}
	var claims struct {
		Act *struct {
			Subject string `json:"sub"`
		} `json:"act"`
	}
	if err := errors.Join(id.Claims(&claims), id.Claims(&s.claims)); err != nil {
		return nil, "", err
	}
	if claims.Act != nil {
		s.actor = claims.Act.Subject
		// A session of ours must not outlive the permission to act as somebody.
		impersonation, _ := token.Extra("impersonation").(map[string]any)
		end, _ := impersonation["expires_at"].(string)
		if s.until, err = time.Parse(time.RFC3339, end); err != nil {
			return nil, "", err
		}
	}
	return s, id.Nonce, nil
}

// userinfo asks who the subject is. The library does not compare.
func (p *party) userinfo(ctx context.Context, s *session) (claims json.RawMessage, err error) {
	info, err := p.provider.UserInfo(ctx, oauth2.StaticTokenSource(s.token))
	if err != nil {
		return nil, err
	}
	if info.Subject != s.subject { // MUST NOT be used then (OpenID Connect Core section 5.3.2)
		return nil, errors.New("userinfo is about somebody else")
	}
	return claims, info.Claims(&claims)
}

// renew returns a session with new tokens, about the same person.
func (p *party) renew(ctx context.Context, s *session) (*session, error) {
	token, err := p.oauth2.TokenSource(ctx, &oauth2.Token{RefreshToken: s.token.RefreshToken}).Token()
	if err != nil {
		return nil, err
	}
	if token.Extra("id_token") == nil { // it may be left out
		fresh := *s
		fresh.token = token
		return &fresh, nil
	}
	fresh, _, err := p.open(ctx, token)
	if err != nil {
		return nil, err
	}
	if fresh.subject != s.subject || fresh.actor != s.actor {
		return nil, errors.New("the new tokens are about somebody else")
	}
	fresh.until = s.until
	return fresh, nil
}

// endSessionURL returns where to send the browser to sign out. The ID token of an
// impersonation ends the impersonation and nothing else.
func (p *party) endSessionURL(s *session, postLogoutRedirectURI string) string {
	return p.endSession + "?" + url.Values{
		"id_token_hint": {s.idToken}, "post_logout_redirect_uri": {postLogoutRedirectURI},
	}.Encode()
}

func main() {
	// Both libraries take their HTTP client from the context.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: 10 * time.Second})
	err := serve(ctx, func(base string) (*party, error) {
		return discover(ctx, os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"), base)
	})
	log.Fatal(err)
}
