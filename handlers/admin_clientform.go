package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// clientField is a field of a client's forms. It has the name that the metadata has,
// so that what is wrong with it is said at the field.
type clientField struct {
	templates.Field
	at func(*storage.Client) any // where the value is: *string, *bool, *storage.List or **int64
}

type clientGroup struct {
	title, text string
	fields      []clientField
}

func field(kind templates.FieldKind, name, label, hint string, at func(*storage.Client) any) clientField {
	return clientField{templates.Field{Kind: kind, Name: name, Label: label, Hint: hint}, at}
}

// having adds choices to a field: those that the metadata has.
func (f clientField) having(choices ...templates.Choice) clientField {
	f.Choices = choices
	return f
}

// among offers the values that the metadata is chosen from, empty for none of them
// where a label for that is given.
func (f clientField) among(none string) clientField {
	if none != "" {
		f.Choices = append(f.Choices, templates.Choice{Label: none})
	}
	for _, value := range provider.Choices(f.Name) {
		f.Choices = append(f.Choices, templates.Choice{Value: value, Label: value})
	}
	return f
}

var (
	nameField     = field(templates.FieldLine, "client_name", "Name", "What people see.", func(c *storage.Client) any { return &c.Name })
	redirectField = field(templates.FieldLines, "redirect_uris", "Redirect URIs", "Where answers may be sent, byte for byte. One a line.",
		func(c *storage.Client) any { return &c.RedirectURIs })
	postLogoutField = field(templates.FieldLines, "post_logout_redirect_uris", "Post-logout redirect URIs", "Where people may be sent after they signed out or stopped. One a line.",
		func(c *storage.Client) any { return &c.PostLogoutRedirectURIs })
	initiateField = field(templates.FieldLine, "initiate_login_uri", "Initiate login URI", "Where the application begins a sign-in that was asked for here. The console needs it to hand over.",
		func(c *storage.Client) any { return &c.InitiateLoginURI })
	allowField = field(templates.FieldCheck, "allow_impersonation", "Staff may sign in to it as one of its users", "Off unless you say so.",
		func(c *storage.Client) any { return &c.AllowImpersonation })
)

// newClientGroups are the fields of the form that makes a client.
var newClientGroups = []clientGroup{
	{fields: []clientField{
		field(templates.FieldRadio, "type", "What kind of application is it?", "", func(c *storage.Client) any { return &c.Type }).having(
			templates.Choice{Value: provider.ClientWeb, Label: "Web application", Hint: "Runs on a server that can keep a secret."},
			templates.Choice{Value: provider.ClientSPA, Label: "Single-page application", Hint: "Runs in the browser, where nothing stays secret."},
			templates.Choice{Value: provider.ClientNative, Label: "Native app", Hint: "Runs on a phone or a computer, where nothing stays secret."},
			templates.Choice{Value: provider.ClientService, Label: "Service", Hint: "A program that acts for itself. Nobody signs in to it."},
		),
		nameField,
		field(templates.FieldLine, "client_id", "Client id", "Letters, digits and . _ ~ -. Made up where it is empty.", func(c *storage.Client) any { return &c.ID }),
	}},
	{title: "Addresses", text: "A service has none of them.", fields: []clientField{redirectField, postLogoutField, initiateField}},
	{title: "What it may do", fields: []clientField{
		field(templates.FieldLine, "scope", "Scopes", "With spaces between them. Empty: openid profile email offline_access, and none for a service.",
			func(c *storage.Client) any { return &c.Scope }),
		allowField,
	}},
}

// settingsGroups are the fields of a client's settings.
var settingsGroups = []clientGroup{
	{fields: []clientField{
		nameField, redirectField, postLogoutField, initiateField,
		field(templates.FieldLine, "scope", "Scopes", "What it may ask for, with spaces between them.", func(c *storage.Client) any { return &c.Scope }),
		field(templates.FieldLines, "audience", "Audiences", "Resources that access tokens may be for. One a line.", func(c *storage.Client) any { return &c.Audience }),
		field(templates.FieldLines, "organizations", "Organizations", "Only their members sign in, or are signed in as. Ids or names, one a line. Empty: everybody.",
			func(c *storage.Client) any { return &c.Organizations }),
		field(templates.FieldCheck, "first_party", "It is one of ours", "People are not asked for consent to ordinary scopes.", func(c *storage.Client) any { return &c.FirstParty }),
	}},
	{title: "Signing out", fields: []clientField{
		field(templates.FieldLine, "backchannel_logout_uri", "Back-channel logout URI", "Where its server hears that a session has ended.", func(c *storage.Client) any { return &c.BackchannelLogoutURI }),
		field(templates.FieldCheck, "backchannel_logout_session_required", "It needs the session's id in logout tokens", "", func(c *storage.Client) any { return &c.BackchannelLogoutSessionRequired }),
		field(templates.FieldCheck, "revoke_on_logout", "Signing out ends its tokens", "Refresh tokens included.", func(c *storage.Client) any { return &c.RevokeOnLogout }),
	}},
	{title: "Protocol", fields: []clientField{
		field(templates.FieldChecks, "grant_types", "Grant types", "Token exchange: its own server begins to act as a user, without a page. Only with a secret or a key.", func(c *storage.Client) any { return &c.GrantTypes }).among(""),
		field(templates.FieldChecks, "response_types", "Response types", "", func(c *storage.Client) any { return &c.ResponseTypes }).among(""),
		field(templates.FieldSelect, "token_endpoint_auth_method", "How it authenticates", "A change to a secret makes one, which is shown once.",
			func(c *storage.Client) any { return &c.TokenEndpointAuthMethod }).among(""),
		field(templates.FieldCheck, "require_pkce", "It must use PKCE", "", func(c *storage.Client) any { return &c.RequirePKCE }),
		field(templates.FieldCheck, "require_pushed_authorization_requests", "It must push its authorization requests", "", func(c *storage.Client) any { return &c.RequirePushedAuthorizationRequests }),
		field(templates.FieldLine, "default_max_age", "Seconds after which people sign in again", "Where a request says nothing. Empty: no limit.", func(c *storage.Client) any { return &c.DefaultMaxAge }),
	}},
	{title: "Tokens", fields: []clientField{
		field(templates.FieldSelect, "access_token_format", "Access tokens", "An opaque one stops at once; a JWT is read without asking us.", func(c *storage.Client) any { return &c.AccessTokenFormat }).among(""),
		field(templates.FieldSelect, "id_token_signed_response_alg", "ID tokens are signed with", "", func(c *storage.Client) any { return &c.IDTokenSignedResponseAlg }).among(""),
		field(templates.FieldSelect, "userinfo_signed_response_alg", "Userinfo is signed with", "", func(c *storage.Client) any { return &c.UserinfoSignedResponseAlg }).among("Nothing: plain JSON"),
		field(templates.FieldSelect, "subject_type", "What its users are called", "pairwise: something else than at applications of others.", func(c *storage.Client) any { return &c.SubjectType }).among(""),
		field(templates.FieldLine, "sector_identifier_uri", "Sector identifier URI", "", func(c *storage.Client) any { return &c.SectorIdentifierURI }),
	}},
	{title: "Keys of its own", fields: []clientField{
		field(templates.FieldLine, "jwks_uri", "Address of its keys", "", func(c *storage.Client) any { return &c.JWKSURI }),
		field(templates.FieldLines, "jwks", "Its keys", "A JSON Web Key Set of public keys, where it publishes none.", func(c *storage.Client) any { return &c.JWKS }),
		field(templates.FieldSelect, "token_endpoint_auth_signing_alg", "Its assertions are signed with", "", func(c *storage.Client) any { return &c.TokenEndpointAuthSigningAlg }).among("Any that is supported"),
		field(templates.FieldSelect, "request_object_signing_alg", "Its request objects are signed with", "", func(c *storage.Client) any { return &c.RequestObjectSigningAlg }).among("It sends none"),
		field(templates.FieldCheck, "require_signed_request_object", "It must sign its authorization requests", "", func(c *storage.Client) any { return &c.RequireSignedRequestObject }),
		field(templates.FieldLines, "request_uris", "Addresses of its request objects", "One a line.", func(c *storage.Client) any { return &c.RequestURIs }),
	}},
	{title: "What people see of it", fields: []clientField{
		field(templates.FieldLine, "client_uri", "Home page", "", func(c *storage.Client) any { return &c.ClientURI }),
		field(templates.FieldLine, "logo_uri", "Logo", "", func(c *storage.Client) any { return &c.LogoURI }),
		field(templates.FieldLine, "policy_uri", "Privacy policy", "", func(c *storage.Client) any { return &c.PolicyURI }),
		field(templates.FieldLine, "tos_uri", "Terms of service", "", func(c *storage.Client) any { return &c.TermsOfServiceURI }),
		field(templates.FieldLines, "contacts", "Contacts", "E-mail addresses of those who look after it. One a line.", func(c *storage.Client) any { return &c.Contacts }),
	}},
}

// actingGroups are what a client lets staff do.
var actingGroups = []clientGroup{{fields: []clientField{
	allowField,
	field(templates.FieldRadio, "delivery", "How the console hands over", "", func(c *storage.Client) any { return &c.Delivery }).having(
		templates.Choice{
			Value: provider.DeliveryInitiateLogin, Label: "The application begins a sign-in of its own",
			Hint: "Not one of its checks is switched off, and no secret is in an address. It needs an initiate login URI.",
		},
		templates.Choice{
			Value: provider.DeliveryLink, Label: "By a link that works once",
			Hint: "For an application that cannot begin a sign-in when it is asked to. Whoever opens the link has to sign in as themselves first.",
		},
		templates.Choice{
			Value: provider.DeliveryCallback, Label: "Straight to the callback",
			Hint: "The application takes an answer that it never asked for, so anybody can send it one of theirs: it is open to login CSRF. Only for an application that cannot do otherwise, that has a secret or a key, and that need not use PKCE.",
		},
	),
	initiateField,
	field(templates.FieldLines, "read_only_scopes", "Read-only scopes", "What it gets of its own scopes where access is read only. One a line.", func(c *storage.Client) any { return &c.ReadOnlyScopes }),
	field(templates.FieldChecks, "act_claims", "What act says of the member of staff", "Besides an id.", func(c *storage.Client) any { return &c.ActClaims }).among(""),
	field(templates.FieldCheck, "impersonation_refresh", "Refresh tokens", "They end with the session all the same.", func(c *storage.Client) any { return &c.ImpersonationRefresh }),
	field(templates.FieldCheck, "impersonator_in_response", "Token responses name e-mail address and reason", "", func(c *storage.Client) any { return &c.ImpersonatorInResponse }),
}}}

// show returns the field with what the client has.
func (f clientField) show(c *storage.Client) templates.Field {
	shown := f.Field
	shown.Choices = slices.Clone(f.Choices)
	switch v := f.at(c).(type) {
	case *string:
		shown.Value = *v
	case *bool:
		shown.Checked = *v
	case *storage.List:
		shown.Value = strings.Join(*v, "\n")
		for i, choice := range shown.Choices {
			shown.Choices[i].Chosen = slices.Contains(*v, choice.Value)
		}
		return shown
	case **int64:
		if *v != nil {
			shown.Value = strconv.FormatInt(**v, 10)
		}
	}
	for i, choice := range shown.Choices {
		shown.Choices[i].Chosen = choice.Value == shown.Value
	}
	return shown
}

// read puts what was sent into the client, and says what cannot be read.
func (f clientField) read(form url.Values, c *storage.Client) (problem string) {
	text := strings.TrimSpace(strings.ReplaceAll(form.Get(f.Name), "\r\n", "\n"))
	switch v := f.at(c).(type) {
	case *string:
		*v = text
		if f.Name == "scope" {
			*v = strings.Join(strings.Fields(text), " ")
		}
	case *bool:
		*v = form.Has(f.Name)
	case *storage.List:
		*v = f.list(form, text)
	case **int64:
		*v = nil
		if text == "" {
			return ""
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "Type a number of seconds, or nothing."
		}
		*v = &n
	}
	return ""
}

func (f clientField) list(form url.Values, text string) (values storage.List) {
	for _, choice := range f.Choices {
		if form.Has(f.Name + "." + choice.Value) {
			values = append(values, choice.Value)
		}
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			values = append(values, line)
		}
	}
	return values
}

// readFields puts a form into a client and returns what cannot be read.
func readFields(groups []clientGroup, form url.Values, c *storage.Client) (problems []provider.Problem) {
	for _, g := range groups {
		for _, f := range g.fields {
			if problem := f.read(form, c); problem != "" {
				problems = append(problems, provider.Problem{Field: f.Name, Message: problem})
			}
		}
	}
	return problems
}

// readClient puts a form into a client and returns what is wrong with it then.
// Organizations may be named.
func (s *Server) readClient(ctx context.Context, groups []clientGroup, form url.Values, c *storage.Client) ([]provider.Problem, error) {
	before := c.Organizations
	problems := readFields(groups, form, c)
	for i, name := range c.Organizations {
		o, err := s.store.Organization(ctx, name)
		switch {
		case errors.Is(err, storage.ErrNotFound) && slices.Contains(before, name): // it is gone, and the client stays limited to it
		case errors.Is(err, storage.ErrNotFound):
			problems = append(problems, provider.Problem{Field: "organizations", Message: strconv.Quote(name) + ": there is none of this id or name"})
		case err != nil:
			return nil, err
		default:
			c.Organizations[i] = o.ID
		}
	}
	return append(problems, provider.ProblemsOf(provider.ValidateClient(c))...), nil
}

// clientForm is a form with what a client has, and what is wrong with that at its
// fields. typed, where there is any, is what was sent.
func clientForm(action string, groups []clientGroup, c *storage.Client, typed url.Values, problems []provider.Problem) templates.Form {
	form := templates.Form{Action: action}
	if c.Version > 0 {
		form.Version = strconv.FormatInt(c.Version, 10)
	}
	said := map[string]bool{}
	for _, g := range groups {
		shown := templates.FieldGroup{Title: g.title, Text: g.text}
		for _, f := range g.fields {
			one := f.show(c)
			for _, p := range problems {
				if p.Field == f.Name {
					one.Error = strings.TrimPrefix(one.Error+"; "+p.Message, "; ")
					one.Value = cmp.Or(one.Value, typed.Get(f.Name))
					said[f.Name] = true
				}
			}
			shown.Fields = append(shown.Fields, one)
		}
		form.Groups = append(form.Groups, shown)
	}
	for _, p := range problems {
		if !said[p.Field] {
			form.Problems = append(form.Problems, strings.TrimPrefix(p.Field+": "+p.Message, ": "))
		}
	}
	return form
}

// confirmGroup is the field, of this name, for the password of who has to confirm.
func (s *Server) confirmGroup(l *storage.Login, name, problem string) []templates.FieldGroup {
	if !s.mustConfirm(l) {
		return nil
	}
	return []templates.FieldGroup{{Fields: []templates.Field{{
		Kind: templates.FieldPassword, Name: name, Label: "Your password", Hint: "You signed in a while ago.", Error: problem,
	}}}}
}
