package provider

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

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
	Claims *claimsRequest
	Err    error

	refusal *Error // what is wrong with how the parameters came
	salt    string // of the client's subjects

	// At is when the request first arrived.
	At time.Time
}

// NewAuthorizeRequest reads the parameters of an authorization request as they
// come: by themselves, pushed before, or in a request object. An error means that
// there is nowhere to send an answer to: show a page, never redirect.
func (p *Provider) NewAuthorizeRequest(ctx context.Context, form url.Values, at time.Time) (*AuthorizeRequest, error) {
	c, err := p.authorizeClient(ctx, form)
	if err != nil {
		return nil, err
	}
	resolved, refusal, err := p.resolve(ctx, c, form)
	if err != nil {
		return nil, err
	}
	return p.authorizeRequest(ctx, c, resolved, at, refusal)
}

// ResumeAuthorizeRequest reads again what Kept returned, whose references are
// resolved.
func (p *Provider) ResumeAuthorizeRequest(ctx context.Context, kept url.Values, at time.Time) (*AuthorizeRequest, error) {
	c, err := p.authorizeClient(ctx, kept)
	if err != nil {
		return nil, err
	}
	return p.authorizeRequest(ctx, c, kept, at, refusalNamed(kept.Get(keptRefusal)))
}

// authorizeClient returns the client that a request says it is from.
func (p *Provider) authorizeClient(ctx context.Context, form url.Values) (*storage.Client, error) {
	c, err := p.store.Client(ctx, form.Get("client_id"))
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	if err != nil || c.Status != storage.ClientActive || len(form["client_id"]) != 1 {
		return nil, errInvalidClient.with("The application is unknown.")
	}
	return c, nil
}

// authorizeRequest checks the parameters of a request of a client. refusal is what
// is wrong with how they came.
func (p *Provider) authorizeRequest(ctx context.Context, c *storage.Client, form url.Values, at time.Time, refusal *Error) (*AuthorizeRequest, error) {
	redirectURI, err := acceptRedirectURI(c, form)
	if err != nil {
		return nil, err
	}
	salt, err := p.saltFor(ctx, c)
	if err != nil {
		return nil, err
	}
	a := &AuthorizeRequest{Client: c, Form: form, At: at, Prompt: strings.Fields(form.Get("prompt")), Claims: &claimsRequest{}, refusal: refusal, salt: salt}
	malformed := p.readClaims(a)
	parsed := p.asFositeRequest(ctx, a, redirectURI)
	a.Err = cmp.Or(CheckParameters(form), a.refused(), parsed, p.checkAuthorize(a), malformed)
	return a, nil
}

// refused returns what is wrong with how the parameters came.
func (a *AuthorizeRequest) refused() error {
	if a.refusal == nil {
		return nil
	}
	return a.refusal
}

// readClaims reads the claims parameter.
func (p *Provider) readClaims(a *AuthorizeRequest) error {
	text := a.Form.Get("claims")
	if text == "" {
		return nil
	}
	claims, err := parseClaims(text)
	if err != nil {
		return err
	}
	a.Claims = claims.within(strings.Fields(a.Client.Scope))
	if claims.acrEssential && claims.acrNamed && !slices.Contains(claims.acr, acrPassword) {
		return errUnmetAuthentication
	}
	return nil
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

// asFositeRequest lets fosite check its parts, on a copy of the form.
func (p *Provider) asFositeRequest(ctx context.Context, a *AuthorizeRequest, redirectURI string) error {
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
	for _, ours := range []string{"request", "request_uri", "registration"} {
		form.Del(ours) // fosite would answer before it knows the redirect URI (fosite #7)
	}
	form.Set(claimsOfUserinfo, strings.Join(a.Claims.userinfo, " "))
	form.Set(claimsOfIDToken, strings.Join(a.Claims.idToken, " "))
	if form.Get("state") == "" {
		form.Set("state", absentState)
	}
	r := fosite.NewAuthorizeRequest()
	r.Client = oauthClient{a.Client, redirectURI}
	r.RequestedAt = a.At
	r.Form = form
	r.State = form.Get("state")
	r.RedirectURI, _ = url.Parse(redirectURI)
	a.AuthorizeRequester = r
	return p.parse(ctx, a, r)
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

// checkAuthorize is what fosite leaves unchecked, or checks too late: before the
// person signs in rather than after.
func (p *Provider) checkAuthorize(a *AuthorizeRequest) error {
	f := a.Form
	responseType := f.Get("response_type")
	switch {
	case !mayRespond(a.Client.ResponseTypes, responseType):
		return errUnsupportedResponse
	case gives(responseType, "id_token") && !slices.Contains(strings.Fields(f.Get("scope")), scopeOpenID):
		return errInvalidScope.with("An ID token needs the openid scope.")
	case gives(responseType, "id_token") && f.Get("nonce") == "": // OpenID Connect Core 3.2.2.1, 3.3.2.11
		return errInvalidRequest.with("The nonce parameter is missing.")
	case f.Get("response_mode") == string(fosite.ResponseModeQuery) && responseType != responseTypeCode:
		return errInvalidRequest.with("Tokens are never sent in a query.")
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
	if gives(responseType, responseTypeCode) {
		if err := checkChallenge(a.Client, f); err != nil {
			return err
		}
	}
	if seconds := a.Client.DefaultMaxAge; seconds != nil {
		a.MaxAge, a.HasAge = time.Duration(*seconds)*time.Second, true
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

// requestParameters are those of an authorization request that mean something here.
var requestParameters = []string{
	"client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "response_mode", "code_challenge", "code_challenge_method",
	"prompt", "max_age", "id_token_hint", "login_hint", "acr_values", "claims", "audience", "resource", "impersonate", "ui_locales",
}

// maxKept is how long a request may be that waits for its person.
const maxKept = 16 << 10

// Keep returns what of the request has to be kept until its person has signed in,
// form-encoded, for ResumeAuthorizeRequest. Nobody fills the database with
// parameters that nobody reads.
func (a *AuthorizeRequest) Keep() (string, error) {
	kept := url.Values{}
	for _, name := range requestParameters {
		if values := a.Form[name]; len(values) > 0 {
			kept[name] = values
		}
	}
	if a.refusal != nil {
		kept.Set(keptRefusal, a.refusal.Code)
	}
	encoded := kept.Encode()
	if len(encoded) > maxKept {
		return "", errInvalidRequest.with("The request is too long to be kept while the user signs in.")
	}
	return encoded, nil
}
