package provider

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// The types of what is exchanged (RFC 8693 section 3), and our own: what is no token,
// or none of the standard's.
const (
	typeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	typeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	typeIDToken      = "urn:ietf:params:oauth:token-type:id_token"
	typeTicket       = "urn:understudy:params:oauth:token-type:ticket"
	typeUserID       = "urn:understudy:params:oauth:token-type:user-id"
)

// exchangeRequest is what the parameters of an exchange say (RFC 8693 section 2.1, and
// our own after those). Zero values were not given.
type exchangeRequest struct {
	subjectToken, subjectType string
	actorToken                string // an access token
	requestedType             string // never empty
	scope, audience           []string

	requestedSubject string // who wants to be themselves again

	reason, ticketRef, organization string
	access                          impersonation.Access
	duration                        time.Duration
}

// parseExchange reads the parameters. What is unknown, malformed or half there is an
// error: nothing of an exchange is ignored that somebody may rely on (SECURITY A25).
func parseExchange(form url.Values) (*exchangeRequest, error) {
	x := &exchangeRequest{
		subjectToken: form.Get("subject_token"), subjectType: form.Get("subject_token_type"), actorToken: form.Get("actor_token"),
		requestedType: typeAccessToken, scope: strings.Fields(form.Get("scope")), audience: audiences(form),
		requestedSubject: form.Get("requested_subject"),
		reason:           form.Get("reason"), ticketRef: form.Get("ticket_ref"), organization: form.Get("organization"),
		access: impersonation.Access(form.Get("access")),
	}
	if asked := form.Get("requested_token_type"); asked != "" {
		x.requestedType = asked
	}
	actorType := form.Get("actor_token_type")
	switch {
	case x.subjectToken == "":
		return nil, errInvalidRequest.with("The subject_token parameter is missing.")
	case !slices.Contains([]string{typeAccessToken, typeTicket, typeUserID}, x.subjectType):
		return nil, errInvalidRequest.with("The subject_token_type is missing or not one that can be exchanged.")
	case (x.actorToken == "") != (actorType == ""):
		return nil, errInvalidRequest.with("The actor_token and the actor_token_type come together.")
	case actorType != "" && actorType != typeAccessToken:
		return nil, errInvalidRequest.with("The actor_token has to be an access token.")
	case !slices.Contains([]string{typeAccessToken, typeRefreshToken, typeIDToken}, x.requestedType):
		return nil, errInvalidRequest.with("The requested_token_type is not one that is issued.")
	case x.access != "" && x.access != impersonation.ReadOnly && x.access != impersonation.Full:
		return nil, errInvalidRequest.with("The access parameter is read_only or full.")
	}
	if asked := form.Get("duration"); asked != "" {
		minutes, err := strconv.ParseUint(asked, 10, 16)
		if err != nil || minutes == 0 {
			return nil, errInvalidRequest.with("The duration parameter is a number of minutes.")
		}
		x.duration = time.Duration(minutes) * time.Minute
	}
	if x.requestedSubject != "" && (x.actorToken != "" || x.subjectType != typeAccessToken || x.terms()) {
		return nil, errInvalidRequest.with("The requested_subject parameter goes with a subject_token of an impersonation, and nothing else.")
	}
	return x, nil
}

// narrows reports whether nobody begins or stops to act: a token comes of another.
func (x *exchangeRequest) narrows() bool {
	return x.subjectType == typeAccessToken && x.actorToken+x.requestedSubject == "" && !x.terms()
}

// terms reports whether the request says anything of an impersonation to start.
func (x *exchangeRequest) terms() bool {
	return x.reason+x.ticketRef+x.organization+string(x.access) != "" || x.duration != 0
}

// mayAsk says whether the client may ask for these scopes, targets and type: an error,
// or nil.
func (x *exchangeRequest) mayAsk(c *storage.Client, issuer string) error {
	for _, scope := range x.asks(c) {
		if !exactScope(strings.Fields(c.Scope), scope) {
			return errInvalidScope
		}
	}
	for _, target := range x.audience {
		if x.requestedType == typeIDToken && target == c.ID {
			continue // whom every ID token is for
		}
		if x.requestedType == typeIDToken || !slices.Contains(c.Audience, target) && target != issuer {
			return errInvalidTarget
		}
	}
	return nil
}

// asks are the scopes that the request asks for: those that it names, else all of the
// client's but for offline_access, which nobody gets who does not ask.
func (x *exchangeRequest) asks(c *storage.Client) []string {
	asked := slices.Clone(x.scope)
	if len(asked) == 0 {
		asked = slices.DeleteFunc(strings.Fields(c.Scope), func(s string) bool { return s == scopeOfflineAccess })
	}
	if x.requestedType == typeRefreshToken {
		asked = append(asked, scopeOfflineAccess)
	}
	slices.Sort(asked)
	return slices.Compact(asked)
}

// fits reports whether the request says nothing else than the ticket that it redeems.
func (x *exchangeRequest) fits(ticket *impersonation.Ask) bool {
	reason, ok := impersonation.CleanReason(x.reason)
	ref, fine := impersonation.CleanTicketRef(x.ticketRef)
	return (x.reason == "" || ok && reason == ticket.Reason) && (x.ticketRef == "" || fine && ref == ticket.TicketRef) &&
		(x.organization == "" || x.organization == ticket.Organization) &&
		(x.access == "" || x.access == ticket.Access) && (x.duration == 0 || x.duration == ticket.Duration)
}

// mayActAs reports whether a may_act claim names an actor (RFC 8693 section 4.4), as
// whoever it is for knows them. One that says more than we can check names nobody.
func mayActAs(claim json.RawMessage, issuer, sub string) bool {
	var named map[string]any
	if err := json.Unmarshal(claim, &named); err != nil {
		return false
	}
	for name, value := range named {
		if name != "sub" && (name != "iss" || value != issuer) {
			return false
		}
	}
	return sub != "" && named["sub"] == sub
}
