package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// PrefixTicket begins the token of a ticket that a caller of the API asked for.
const PrefixTicket = "utk_"

// TicketRequest is what a caller asks a ticket for. Zero values get the defaults named
// here.
type TicketRequest struct {
	ActorID, SubjectID string
	Client             *storage.Client
	Organization       string
	Reason, TicketRef  string
	Access             impersonation.Access // read only, as the console has it
	Binding            string               // storage.BindingActorSession
	ExpiresIn          time.Duration        // impersonation.TicketLifetime
	Duration           time.Duration        // impersonation.Limits.DefaultDuration
	ValidateConsent    bool                 // the subject has to have allowed it
	Callback           CallbackChoice       // of a client whose delivery that is
	TargetLinkURI      string
	CustomClaims       map[string]any
	Words              impersonation.Words // whose words it was asked for in
}

// CreateTicket gives a caller a ticket with which an actor starts an impersonation, and
// its token, which nobody sees again. What is wrong with the request is Invalid. A
// refusal is an impersonation.Denial, on the record.
func (p *Provider) CreateTicket(ctx context.Context, by impersonation.Caller, q TicketRequest, info storage.Request, now time.Time) (*storage.Ticket, string, error) {
	q.fill(p.Impersonation.Limits())
	custom, wrong := customClaims(q.CustomClaims)
	if wrong != nil {
		wrong = FieldError{Field: "custom_claims", Wrong: wrong.Error()}
	}
	token := NewSecret(PrefixTicket)
	t := &storage.Ticket{
		TokenHash: storage.Hash(token), Binding: q.Binding, Delivery: DeliveryLink, ExpiresAt: storage.At(now.Add(q.ExpiresIn)), TargetLinkURI: q.TargetLinkURI,
	}
	if err := invalid(append(q.check(p.Impersonation.Limits()), wrong, p.address(ctx, q.Client, t, q))...); err != nil {
		return nil, "", err
	}
	err := p.Impersonation.Issue(ctx, impersonation.Ask{
		Actor: &storage.User{ID: q.ActorID}, Caller: &by, Client: q.Client, SubjectID: q.SubjectID, Organization: q.Organization,
		Reason: q.Reason, TicketRef: q.TicketRef, Access: q.Access, Duration: q.Duration, Entry: "api",
		CustomClaims: custom, RequireSupportAccess: q.ValidateConsent, Words: q.Words,
	}, t, info, now)
	return t, token, Malformed(err)
}

func (q *TicketRequest) fill(l impersonation.Limits) {
	q.Access = cmp.Or(q.Access, impersonation.ReadOnly)
	q.Binding = cmp.Or(q.Binding, storage.BindingActorSession)
	q.ExpiresIn = cmp.Or(q.ExpiresIn, impersonation.TicketLifetime)
	q.Duration = cmp.Or(q.Duration, l.DefaultDuration)
}

// check says what is wrong with the terms of a ticket. One that needs no sign-in opens
// a door to whoever holds it, so it lives for two minutes (SECURITY A21).
func (q *TicketRequest) check(l impersonation.Limits) (wrong []error) {
	longest := impersonation.LongestTicket
	switch q.Binding {
	case storage.BindingActorSession:
	case storage.BindingBearer:
		longest = impersonation.TicketLifetime
	default:
		wrong = append(wrong, FieldError{Field: "binding", Value: q.Binding, Wrong: "want actor_session or bearer"})
	}
	within := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			wrong = append(wrong, FieldError{Field: name, Wrong: fmt.Sprintf("want %d to %d", int(least.Seconds()), int(most.Seconds()))})
		}
	}
	within("expires_in_seconds", q.ExpiresIn, time.Second, longest)
	within("session_max_duration_in_seconds", q.Duration, time.Minute, l.MaxDuration)
	if q.Access != impersonation.ReadOnly && q.Access != impersonation.Full {
		wrong = append(wrong, FieldError{Field: "access", Value: string(q.Access), Wrong: "want read_only or full"})
	}
	for _, f := range []field{{"user_id", q.SubjectID}, {"actor.sub", q.ActorID}} {
		if f.value == "" {
			wrong = append(wrong, FieldError{Field: f.name, Wrong: "is missing"})
		}
	}
	return wrong
}

// address fills in how a ticket gets to the client, and says what is wrong with it.
func (p *Provider) address(ctx context.Context, c *storage.Client, t *storage.Ticket, q TicketRequest) error {
	if c.Type == ClientService {
		return FieldError{Field: "client_id", Wrong: undeliverableService.Message()}
	}
	if c.Delivery == DeliveryCallback {
		return p.addressCallback(ctx, c, t, q)
	}
	for _, f := range q.Callback.fields() {
		if f.value != "" {
			return FieldError{Field: f.name, Wrong: "the client starts its sign-ins itself; only one with delivery callback takes an answer that it did not ask for"}
		}
	}
	exchanges := slices.Contains(c.GrantTypes, grantTokenExchange) // its server takes the token, where no browser comes
	switch {
	case c.InitiateLoginURI == "" && c.ClientURI == "" && !exchanges:
		return FieldError{Field: "client_id", Wrong: undeliverableAddress.Message()}
	case c.InitiateLoginURI == "" && q.Binding == storage.BindingBearer && !exchanges:
		return FieldError{Field: "binding", Value: q.Binding, Wrong: "needs a client with an initiate_login_uri, or with delivery callback"}
	case q.TargetLinkURI != "" && !OwnTarget(c, q.TargetLinkURI):
		return FieldError{Field: "target_link_uri", Wrong: "is no address of the client's own"}
	}
	return nil
}

// addressCallback is address for a client that gets its answer unasked: as the answer
// to a request of its own, which is checked as one.
func (p *Provider) addressCallback(ctx context.Context, c *storage.Client, t *storage.Ticket, q TicketRequest) error {
	choice := q.Callback
	mode := responseMode(choice.ResponseType, choice.ResponseMode)
	switch {
	case q.TargetLinkURI != "":
		return FieldError{Field: "target_link_uri", Wrong: "goes with a client that starts its sign-ins itself"}
	case choice.RedirectURI != "" && !slices.Contains(c.RedirectURIs, choice.RedirectURI):
		return FieldError{Field: "callback_url", Wrong: "is not registered for the client, byte by byte"}
	case choice.RedirectURI == "" && len(c.RedirectURIs) > 1:
		return FieldError{Field: "callback_url", Wrong: "is missing, and the client has several"}
	case choice.ResponseType != "" && !mayRespond(c.ResponseTypes, choice.ResponseType):
		return FieldError{Field: "response_type", Wrong: "is not registered for the client"}
	case choice.ResponseMode != "" && mode != fosite.ResponseModeType(choice.ResponseMode):
		return FieldError{Field: "response_mode", Wrong: "want query, fragment or form_post; tokens are never sent in a query"}
	case len(choice.State) > maxState || checkText(choice.State, maxState) != nil:
		return FieldError{Field: "state", Wrong: fmt.Sprintf("want text of at most %d bytes", maxState)}
	}
	for _, scope := range strings.Fields(choice.Scope) {
		if !slices.Contains(strings.Fields(c.Scope), scope) {
			return FieldError{Field: "scope", Wrong: "is more than the client may ask for"}
		}
	}
	err := p.Callback(ctx, c, t, choice)
	if why, ok := errors.AsType[Undeliverable](err); ok {
		return FieldError{Field: "client_id", Wrong: why.Message()}
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Status < 500 {
		return FieldError{Field: "callback_url", Wrong: "the client cannot be answered like this: " + e.Description}
	}
	return err
}

// fields are the parameters of an answer that nobody asked for, as the API calls them.
func (c CallbackChoice) fields() []field {
	return []field{
		{"callback_url", c.RedirectURI}, {"response_type", c.ResponseType}, {"response_mode", c.ResponseMode}, {"scope", c.Scope}, {"state", c.State},
	}
}

// field is a part of a request, as the API calls it.
type field struct{ name, value string }

// Malformed makes of a denial that is about the form what is wrong with the form. It is
// on the record all the same (SECURITY A06).
func Malformed(err error) error {
	denial, _ := impersonation.Denied(err)
	about, ok := map[impersonation.Denial]string{
		impersonation.DenyReason: "reason", impersonation.DenyTicketRef: "ticket_ref", impersonation.DenyOrganizationNeeds: "organization",
	}[denial]
	if !ok {
		return err
	}
	return invalid(FieldError{Field: about, Wrong: denial.Message()})
}
