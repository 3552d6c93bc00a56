package provider

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// Undeliverable says why nobody can be taken into an application as one of its users.
type Undeliverable string

func (u Undeliverable) Error() string { return "delivery: " + string(u) }

// Message returns what a page says.
func (u Undeliverable) Message() string { return string(u) }

// Why an application cannot be opened from the console.
const (
	undeliverableService  Undeliverable = "It has no users: it acts for itself."
	undeliverableDisabled Undeliverable = "It is disabled."
	undeliverableOptIn    Undeliverable = "It does not allow signing in as its users."
	undeliverableAddress  Undeliverable = "It has registered no address to start a sign-in at."
	undeliverablePublic   Undeliverable = "It wants a callback, which needs an application that can keep a secret."
	undeliverablePKCE     Undeliverable = "It wants a callback, and requires PKCE, which a callback cannot have."
	undeliverableCallback Undeliverable = "It wants a callback, and has no callback URL."
	undeliverableUnasked  Undeliverable = "It takes no answers any more that it did not ask for."
	undeliverableMember   Undeliverable = "The user may not use it: it is for other organizations."
)

// Deliverable says whether somebody can be taken into an application as a user who
// belongs to these organizations: nil, or an Undeliverable.
func Deliverable(c *storage.Client, organizations []string) error {
	switch {
	case c.Type == ClientService:
		return undeliverableService
	case c.Status != storage.ClientActive:
		return undeliverableDisabled
	case !c.AllowImpersonation:
		return undeliverableOptIn
	case len(c.Organizations) > 0 && !slices.ContainsFunc(c.Organizations, func(o string) bool { return slices.Contains(organizations, o) }):
		return undeliverableMember
	case c.Delivery == DeliveryCallback:
		return checkCallbackDelivery(c)
	case c.InitiateLoginURI == "" && c.ClientURI == "":
		return undeliverableAddress
	}
	return nil
}

// checkCallbackDelivery says whether a client can be sent an answer that it did not
// ask for. Such an answer has no PKCE, and is open to login CSRF: only who keeps a
// secret may choose it.
func checkCallbackDelivery(c *storage.Client) error {
	switch {
	case c.Public():
		return undeliverablePublic
	case c.RequirePKCE:
		return undeliverablePKCE
	case len(c.RedirectURIs) == 0:
		return undeliverableCallback
	}
	return nil
}

// StartURL is where a client starts its sign-in with a ticket: its
// initiate_login_uri, with the ticket's name as login_hint (OpenID Connect Core
// section 4). Without one it is the client's home page, and the person starts there;
// without that either, an Undeliverable: the client exchanges the ticket's token.
func (p *Provider) StartURL(c *storage.Client, t *storage.Ticket) (string, error) {
	switch {
	case c.InitiateLoginURI == "" && c.ClientURI == "":
		return "", undeliverableAddress
	case c.InitiateLoginURI == "":
		return c.ClientURI, nil
	}
	u, err := url.Parse(c.InitiateLoginURI)
	if err != nil {
		return "", fmt.Errorf("initiate_login_uri of %q: %w", c.ID, err)
	}
	q := u.Query()
	q.Set("iss", p.config.Issuer)
	q.Set("login_hint", t.ID)
	if t.TargetLinkURI != "" {
		q.Set("target_link_uri", t.TargetLinkURI)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Targets returns the origins that a client's addresses have: where staff who are
// taken into it may end up.
func Targets(c *storage.Client) []string {
	var origins []string
	for _, uri := range append([]string{c.InitiateLoginURI, c.ClientURI}, c.RedirectURIs...) {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// OwnTarget reports whether target_link_uri leads to the client itself: an address of
// its own, so that nobody is led elsewhere in its name.
func OwnTarget(c *storage.Client, target string) bool {
	u, err := url.Parse(target)
	return err == nil && len(target) <= maxState && !strings.ContainsAny(target, "\\\x00\r\n\t ") && u.User == nil &&
		slices.Contains(Targets(c), u.Scheme+"://"+u.Host)
}

// CallbackChoice is how a client gets an answer that it did not ask for.
type CallbackChoice struct {
	RedirectURI  string // empty: the only one that is registered
	ResponseType string // empty: the first that is registered
	ResponseMode string // empty: what suits the response type
	State        string // empty: one is made up
	Scope        string // empty: all that the client may ask for
}

// maxState is how long a state or a target may be that staff supply (SECURITY A22).
const maxState = 1024

// Callback fills in how a ticket's answer is sent to a client that did not ask for
// it, and checks that the request it stands for is one the client may be answered.
// An error is about what was chosen, or an Undeliverable.
func (p *Provider) Callback(ctx context.Context, c *storage.Client, t *storage.Ticket, choice CallbackChoice) error {
	if err := checkCallbackDelivery(c); err != nil {
		return err
	}
	t.ClientID, t.RedirectURI, t.ResponseType, t.ResponseMode, t.State = c.ID, choice.RedirectURI, choice.ResponseType, choice.ResponseMode, choice.State
	switch {
	case t.RedirectURI == "" && len(c.RedirectURIs) == 1:
		t.RedirectURI = c.RedirectURIs[0]
	case t.RedirectURI == "":
		return errInvalidRequest.with("Choose one of the callback URLs that are registered.")
	}
	if len(t.State) > maxState || checkText(t.State, maxState) != nil {
		return errInvalidRequest.with("The state is too long, or is no text.")
	}
	if t.State == "" {
		t.State = rand.Text()
	}
	if t.ResponseType == "" && len(c.ResponseTypes) > 0 {
		t.ResponseType = c.ResponseTypes[0]
	}
	t.Scope = cmp.Or(choice.Scope, c.Scope)
	request, err := p.Unasked(ctx, t, time.Now())
	if err == nil {
		err = request.Err
	}
	return err
}

// Unasked returns the request that a ticket's answer is to, as if the client had sent
// it: the answer goes through the same checks.
func (p *Provider) Unasked(ctx context.Context, t *storage.Ticket, now time.Time) (*AuthorizeRequest, error) {
	form := url.Values{
		"client_id": {t.ClientID}, "redirect_uri": {t.RedirectURI}, "response_type": {t.ResponseType}, "scope": {t.Scope}, "state": {t.State},
	}
	if t.ResponseMode != "" {
		form.Set("response_mode", t.ResponseMode)
	}
	if gives(t.ResponseType, "id_token") {
		form.Set("nonce", rand.Text()) // who gets an ID token this way can compare it with nothing
	}
	c, err := p.authorizeClient(ctx, form)
	if err != nil {
		return nil, err
	}
	if c.Delivery != DeliveryCallback {
		return nil, undeliverableUnasked
	}
	return p.authorizeRequest(ctx, c, form, now, nil)
}
