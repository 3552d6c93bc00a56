package provider

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// AuthorizeRequest is an authorization request whose client and redirect URI are
// good. What else is wrong with it is Err, to be sent to the client once it is
// known who asks (RFC 9700 section 4.11).
type AuthorizeRequest struct {
	fosite.AuthorizeRequester
	Client *storage.Client
	Form   url.Values // as it came
	Prompt []string   // OpenID Connect Core 3.1.2.1
	MaxAge time.Duration
	HasAge bool // max_age was given
	Hint   *Hint
	Err    error

	// At is when the request first arrived.
	At time.Time
}

// NewAuthorizeRequest reads the parameters of an authorization request. An error
// means that there is nowhere to send an answer to: show a page, never redirect.
func (p *Provider) NewAuthorizeRequest(ctx context.Context, form url.Values, at time.Time) (*AuthorizeRequest, error) {
	duplicated := CheckParameters(form)
	c, err := p.store.Client(ctx, form.Get("client_id"))
	if err != nil || c.Status != storage.ClientActive || len(form["client_id"]) != 1 {
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		return nil, errInvalidClient.with("The application is unknown.")
	}
	redirectURI, err := acceptRedirectURI(c, form)
	if err != nil {
		return nil, err
	}
	a := &AuthorizeRequest{Client: c, Form: form, At: at, Prompt: strings.Fields(form.Get("prompt"))}
	request := p.asFositeRequest(ctx, a, redirectURI)
	a.Err = firstError(duplicated, func() error { return checkUnsupported(form) }, request, func() error { return p.checkAuthorize(a) })
	return a, nil
}

func firstError(err error, more ...func() error) error {
	for _, check := range more {
		if err != nil {
			return err
		}
		err = check()
	}
	return err
}

// acceptRedirectURI returns the URI to answer at. Where there is none, or two, or
// one that is not registered, there is no answer to the client (SECURITY C04).
func acceptRedirectURI(c *storage.Client, form url.Values) (string, error) {
	given := form["redirect_uri"]
	switch {
	case len(given) == 1 && matchRedirectURI(c, given[0]):
		return given[0], nil
	case len(given) == 0 && len(c.RedirectURIs) == 1 && !slices.Contains(strings.Fields(form.Get("scope")), scopeOpenID):
		return c.RedirectURIs[0], nil
	case len(given) == 0:
		return "", errInvalidRequest.with("The redirect_uri parameter is missing.")
	}
	return "", errInvalidRequest.with("The redirect_uri is not registered for the application.")
}

// asFositeRequest fills in the parts that fosite checks, on a copy of the form. It
// returns fosite's verdict as a function, to be asked in its turn.
func (p *Provider) asFositeRequest(ctx context.Context, a *AuthorizeRequest, redirectURI string) func() error {
	form := url.Values{}
	for name, values := range a.Form {
		if len(values) > 0 {
			form.Set(name, values[0])
		}
	}
	if asked := audiences(a.Form); len(asked) > 0 {
		form["audience"] = asked
		form.Del("resource")
	}
	for _, unsupported := range []string{"request", "request_uri", "registration"} {
		form.Del(unsupported) // fosite would answer before it knows the redirect URI (fosite #7)
	}
	if form.Get("state") == "" {
		form.Set("state", absentState)
	}
	r := fosite.NewAuthorizeRequest()
	r.Client = oauthClient{a.Client, redirectURI}
	r.RequestedAt = a.At
	r.Form = form
	r.State = form.Get("state")
	r.ResponseMode = responseMode(form) // until fosite looked at it
	r.RedirectURI, _ = url.Parse(redirectURI)
	a.AuthorizeRequester = r
	return func() error { return p.parse(ctx, a, r) }
}

// absentState stands for a state that the client did not send, which fosite does
// not allow (fosite #13). It is taken out of the answer.
const absentState = "-"

// parse lets fosite check scope, audience, response type and response mode.
func (p *Provider) parse(ctx context.Context, a *AuthorizeRequest, into *fosite.AuthorizeRequest) error {
	parsed, err := p.fosite.NewAuthorizeRequest(withClient(ctx, into.Client), httpRequest(into.Form))
	if err != nil {
		return err
	}
	r := parsed.(*fosite.AuthorizeRequest)
	r.RequestedAt = a.At
	a.AuthorizeRequester = r
	return nil
}

// checkUnsupported refuses what would change the meaning of all other parameters.
func checkUnsupported(f url.Values) error {
	switch {
	case f.Get("request") != "":
		return errRequestNotSupported
	case f.Get("request_uri") != "":
		return errRequestURINotSupport
	case f.Get("registration") != "":
		return errRegistrationNotSup
	}
	return nil
}

// checkAuthorize is what fosite leaves unchecked, or checks too late: before the
// person signs in rather than after.
func (p *Provider) checkAuthorize(a *AuthorizeRequest) error {
	f := a.Form
	switch {
	case !a.GetResponseTypes().ExactOne("code"): // fosite takes "CODE" for code, too (fosite #21)
		return errUnsupportedResponse
	case len(f.Get("state")) > maxStateBytes:
		return errInvalidRequest.with("The state is longer than 1024 bytes.")
	case a.Client.Type == "service":
		return errUnauthorizedClient
	case slices.Contains(a.Prompt, "none") && len(a.Prompt) > 1:
		return errInvalidRequest.with("prompt=none goes with no other value.")
	}
	for _, prompt := range a.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, prompt) {
			return errInvalidRequest.with("The prompt parameter has an unknown value.")
		}
	}
	if err := checkChallenge(a.Client, f); err != nil {
		return err
	}
	if text := f.Get("max_age"); text != "" { // fosite ignores 0 and what is no number (fosite #26)
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 || seconds > 1<<31 {
			return errInvalidRequest.with("The max_age parameter is not a number of seconds.")
		}
		a.MaxAge, a.HasAge = time.Duration(seconds)*time.Second, true
	}
	if token := f.Get("id_token_hint"); token != "" {
		hint, err := p.Hint(token)
		if err != nil || hint.ClientID != a.Client.ID {
			return errInvalidRequest.with("The id_token_hint is not an ID token of this application.")
		}
		a.Hint = hint
	}
	return nil
}

// checkChallenge holds a client to S256 (RFC 7636, RFC 9700 section 2.1.1).
func checkChallenge(c *storage.Client, form url.Values) error {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && (method != "" || c.Public() || c.RequirePKCE):
		return errInvalidRequest.with("The code_challenge parameter is missing.")
	case challenge == "":
		return nil
	case method != "S256":
		return errInvalidRequest.with("The code_challenge_method must be S256.")
	case len(challenge) != 43 || strings.Trim(challenge, base64URLAlphabet) != "":
		return errInvalidRequest.with("The code_challenge is not the base64url of a SHA-256.")
	}
	return nil
}

const base64URLAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// responseMode returns how an error is to be sent when the request was refused
// before its response mode was looked at.
func responseMode(form url.Values) fosite.ResponseModeType {
	switch {
	case form.Get("response_mode") == string(fosite.ResponseModeFormPost):
		return fosite.ResponseModeFormPost
	case form.Get("response_mode") == string(fosite.ResponseModeFragment), strings.Contains(form.Get("response_type"), "token"):
		return fosite.ResponseModeFragment
	}
	return fosite.ResponseModeQuery
}

// Answer is an authorization response on its way to the client.
type Answer struct {
	RedirectURI string
	Mode        fosite.ResponseModeType // query, fragment or form_post
	Parameters  url.Values
}

// URL returns where to send the browser, for every mode but form_post.
func (a *Answer) URL() string {
	u, err := url.Parse(a.RedirectURI)
	if err != nil {
		return a.RedirectURI // registered, so it parsed before
	}
	if a.Mode == fosite.ResponseModeFragment {
		u.Fragment = ""
		return u.String() + "#" + a.Parameters.Encode()
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += a.Parameters.Encode()
	return u.String()
}

// answer makes a response with what every one has: iss (RFC 9207), and state where
// the client sent one.
func (p *Provider) answer(a *AuthorizeRequest, parameters url.Values) *Answer {
	parameters.Set("iss", p.config.Issuer)
	if state := a.Form.Get("state"); state != "" {
		parameters.Set("state", state)
	} else {
		parameters.Del("state")
	}
	mode := a.GetResponseMode()
	if mode != fosite.ResponseModeFragment && mode != fosite.ResponseModeFormPost {
		mode = fosite.ResponseModeQuery
	}
	return &Answer{RedirectURI: a.GetRedirectURI().String(), Mode: mode, Parameters: parameters}
}

// Refuse makes the response that tells the client what went wrong.
func (p *Provider) Refuse(a *AuthorizeRequest, err error) *Answer {
	e := AsError(err)
	return p.answer(a, url.Values{"error": {e.Code}, "error_description": {e.Description}})
}

// requestParameters are those of an authorization request that mean something here.
var requestParameters = []string{
	"client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "response_mode", "code_challenge", "code_challenge_method",
	"prompt", "max_age", "id_token_hint", "login_hint", "acr_values", "claims", "audience", "resource", "impersonate",
}

// Kept returns what of the request has to be kept until its person has signed in.
// Nobody fills the database with parameters that nobody reads.
func (a *AuthorizeRequest) Kept() url.Values {
	kept := url.Values{}
	for _, name := range requestParameters {
		if values := a.Form[name]; len(values) > 0 {
			kept[name] = values
		}
	}
	for _, name := range []string{"request", "request_uri", "registration"} {
		if a.Form.Get(name) != "" {
			kept.Set(name, "refused") // that it was there is enough
		}
	}
	return kept
}

// CheckActing says why a request cannot be answered by somebody who acts as another:
// it asks how the subject signed in, and the subject did not (SECURITY A10).
func (a *AuthorizeRequest) CheckActing() error {
	switch {
	case a.HasAge:
		return errLoginRequired.with("max_age cannot be met while somebody acts as the user.")
	case a.Form.Get("acr_values") != "", strings.Contains(a.Form.Get("claims"), `"acr"`):
		return errUnmetAuthentication
	}
	return nil
}

// As says as whom a request is answered.
type As struct {
	Login *storage.Login // who sits in front of it
	Scope []string       // what they allow

	// Ask is set when they act as somebody else.
	Ask *impersonation.Ask
}

// Approve answers a request with a code. before is done in the same Write: it
// spends the interaction, stores the consent. A refusal to impersonate is an
// impersonation.Denial, and nothing was changed but for its record.
func (p *Provider) Approve(ctx context.Context, a *AuthorizeRequest, as As, before func(*storage.Tx) error) (*Answer, error) {
	now := time.Now()
	store := p.fosite.Store.(*fositeStore)
	ctx, err := store.BeginTX(ctx)
	if err != nil {
		return nil, err
	}
	w := workOf(ctx)
	w.writes = append(w.writes, func(tx *storage.Tx) error { return tx.HoldLogin(ctx, as.Login.SID, now) })
	if before != nil {
		w.writes = append(w.writes, before)
	}
	s := p.ownSession(as.Login, now)
	if as.Ask != nil {
		s = p.actingSession(ctx, as, now)
	} else if slices.Contains(as.Scope, scopeOfflineAccess) {
		s.NotAfter = now.Add(p.config.RefreshTokenLifetime)
	}
	r := a.AuthorizeRequester.(*fosite.AuthorizeRequest)
	r.GrantedScope = p.grantable(as)
	r.GrantedAudience = r.GetRequestedAudience()
	response, err := p.fosite.NewAuthorizeResponse(ctx, r, s)
	if err == nil {
		err = store.Commit(ctx)
	} else {
		_ = store.Rollback(ctx)
	}
	if denial, denied := impersonation.Denied(err); denied {
		if denial == impersonation.DenyStepUp || denial == impersonation.DenyRefusals {
			return nil, denial // not a refusal yet, or one too many
		}
		if recorded := p.Impersonation.Denied(ctx, *as.Ask, denial, w.info, now); recorded != nil {
			return nil, recorded
		}
		return nil, denial
	}
	if err != nil {
		return nil, err
	}
	return p.answer(a, response.GetParameters()), nil
}

// ownSession is what tokens say when the person acts as themselves.
func (p *Provider) ownSession(l *storage.Login, now time.Time) *Session {
	return &Session{
		GrantID: storage.NewID("gr"), Subject: l.User.ID, SID: l.SID, LoginSID: l.SID,
		AMR: l.AMR, AuthTime: l.AuthTime.Time(),
		NotAfter: now.Add(p.config.AuthorizationCodeLifetime + max(p.config.AccessTokenLifetime, p.config.IDTokenLifetime)),
	}
}

// actingSession adds the start of the impersonation to the unit of work and
// returns what its tokens say. The grant's row follows in the same Write, with
// what the start found out.
func (p *Provider) actingSession(ctx context.Context, as As, now time.Time) *Session {
	w, ask := workOf(ctx), as.Ask
	s := &Session{
		GrantID: storage.NewID("gr"), Subject: ask.SubjectID, LoginSID: as.Login.SID, Organization: ask.Organization,
		ActorID: ask.Actor.ID, ImpersonationID: storage.NewID("imp"), Act: actClaim(ask.Actor, ask.Client),
		ACR: acrImpersonation, AuthTime: as.Login.AuthTime.Time(), NotAfter: now.Add(ask.Duration),
	}
	s.SID = s.ImpersonationID
	w.writes = append(w.writes, func(tx *storage.Tx) error {
		i, err := p.Impersonation.Start(ctx, tx, *ask, s.ImpersonationID, w.info, now)
		if err == nil {
			s.Organization, s.NotAfter = i.OrganizationID, i.ExpiresAt.Time()
		}
		return err
	})
	return s
}

// grantable returns the scopes that an answer grants. An impersonation gets no
// offline_access unless the client opted in (SECURITY A11), and read only means
// the client's read-only scopes.
func (p *Provider) grantable(as As) fosite.Arguments {
	if as.Ask == nil {
		return slices.Clone(as.Scope)
	}
	var granted fosite.Arguments
	for _, scope := range as.Scope {
		switch {
		case scope == scopeOfflineAccess && !as.Ask.Client.ImpersonationRefresh:
		case as.Ask.Access == impersonation.ReadOnly && !isIdentityScope(scope) && !slices.Contains(as.Ask.Client.ReadOnlyScopes, scope):
		default:
			granted = append(granted, scope)
		}
	}
	return granted
}

// stopURI is where the person stops an impersonation.
func (p *Provider) stopURI(id string) string {
	return p.config.Issuer + "/impersonation/stop?id=" + url.QueryEscape(id)
}
