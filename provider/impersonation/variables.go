package impersonation

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/understudy-id/understudy/storage"
)

// Variable is something that rules can ask about.
type Variable struct {
	Name string
	Type string // as CEL writes it
	Doc  string

	value func(a *Attempt) ref.Val
	open  func(a *Attempt) bool // whether it is not known yet while the form is not filled in; nil: never
}

// Variables are all that rules can ask about. Each is a value of a basic type with a
// dotted name: there is no object behind it to reach into (SECURITY H05).
func Variables() []Variable { return slices.Clone(variables) }

var variables = slices.Concat(
	of("actor", "who acts", func(a *Attempt) (*storage.User, storage.Standing) { return a.Actor, a.ActorStanding }),
	of("subject", "whom they act as", func(a *Attempt) (*storage.User, storage.Standing) { return a.Subject, a.SubjectStanding }),
	[]Variable{
		{
			"subject.support_access", "string", "what they say about staff acting as them: none, denied, until or ticket. What counts no more, or not at all here, is none",
			func(a *Attempt) ref.Val { return types.String(a.said()) }, formOnly,
		},
		{"client.id", "string", "id of the application", func(a *Attempt) ref.Val { return types.String(a.Client.ID) }, noClient},
		{"client.name", "string", "its name", func(a *Attempt) ref.Val { return types.String(a.Client.Name) }, noClient},
		{"client.scopes", "list(string)", "the scopes that it may ask for", func(a *Attempt) ref.Val { return list(strings.Fields(a.Client.Scope)) }, noClient},
		{"client.organizations", "list(string)", "ids of the organizations that it is for; empty: all", func(a *Attempt) ref.Val { return list(a.Client.Organizations) }, noClient},
		{"organization", "string", "id of the organization in which they act; empty: in none", func(a *Attempt) ref.Val { return types.String(a.Organization) }, nil},
		{"reason", "string", "what the actor gives as the reason", func(a *Attempt) ref.Val { return types.String(a.Reason) }, formOnly},
		{"ticket_ref", "string", "the ticket reference; empty: none", func(a *Attempt) ref.Val { return types.String(a.TicketRef) }, formOnly},
		{"access", "string", "read_only or full: as asked for, or as far as the rules leave it", func(a *Attempt) ref.Val { return types.String(a.Access) }, formOnly},
		{"duration", "duration", "as asked for, or as far as the rules leave it", func(a *Attempt) ref.Val { return types.Duration{Duration: a.Duration} }, formOnly},
		{"entry", "string", "how it is started: consent, console, api or token_exchange", func(a *Attempt) ref.Val { return types.String(a.Entry) }, nil},
		{"ip", "string", "the address from which it was started; empty: not known", func(a *Attempt) ref.Val { return types.String(a.IP) }, func(a *Attempt) bool { return a.IP == "" }},
		{"now", "timestamp", "the moment of the decision", func(a *Attempt) ref.Val { return types.Timestamp{Time: a.Now.UTC()} }, nil},
	},
)

// of returns the variables about a person.
func of(whose, what string, person func(a *Attempt) (*storage.User, storage.Standing)) []Variable {
	user := func(value func(*storage.User) string) func(*Attempt) ref.Val {
		return func(a *Attempt) ref.Val {
			u, _ := person(a)
			return types.String(value(u))
		}
	}
	standing := func(value func(a *Attempt, s storage.Standing) []string) func(*Attempt) ref.Val {
		return func(a *Attempt) ref.Val {
			_, s := person(a)
			return list(value(a, s))
		}
	}
	return []Variable{
		{whose + ".id", "string", "id of " + what, user(func(u *storage.User) string { return u.ID }), nil},
		{whose + ".email", "string", "their e-mail address, in lower case", user(func(u *storage.User) string { return storage.EmailKey(u.Email) }), nil},
		{whose + ".name", "string", "their name", user(func(u *storage.User) string { return u.Name }), nil},
		{
			whose + ".roles", "list(string)", "names of the roles that they hold everywhere or within the organization",
			standing(func(a *Attempt, s storage.Standing) []string { return there(s.Roles, a.Organization) }), nil,
		},
		{
			whose + ".roles_anywhere", "list(string)", "names of the roles that they hold everywhere or within any organization",
			standing(func(_ *Attempt, s storage.Standing) []string {
				var all []string
				for _, held := range s.Roles {
					all = append(all, held...)
				}
				slices.Sort(all)
				return slices.Compact(all)
			}), nil,
		},
		{
			whose + ".permissions", "list(string)", "the permissions that they hold everywhere or within the organization",
			standing(func(a *Attempt, s storage.Standing) []string {
				if a.Organization == "" {
					return s.Everywhere
				}
				return slices.Concat(s.Everywhere, s.Within[a.Organization])
			}), nil,
		},
		{
			whose + ".organizations", "list(string)", "ids of the organizations that they are a member of",
			standing(func(_ *Attempt, s storage.Standing) []string {
				ids := make([]string, 0, len(s.Within))
				for id := range s.Within {
					ids = append(ids, id)
				}
				slices.Sort(ids)
				return ids
			}), nil,
		},
	}
}

// there returns what is held everywhere or in a place.
func there(held map[string]storage.List, place string) []string {
	if place == "" {
		return held[""]
	}
	return slices.Concat(held[""], held[place])
}

func formOnly(*Attempt) bool { return true }

func noClient(a *Attempt) bool { return a.Client.ID == "" }

// said is what the subject says about staff acting as them, as far as it counts.
func (a *Attempt) said() string {
	s := a.SupportAccess
	if s == nil || a.SupportRule == storage.SupportManaged || s.ExpiresAt.Passed(a.Now) {
		return "none"
	}
	return string(s.Mode)
}

// list is a list of strings as CEL knows it.
func list(of []string) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, of) }

// celType is a variable's type.
func (v *Variable) celType() *cel.Type {
	switch v.Type {
	case "list(string)":
		return cel.ListType(cel.StringType)
	case "duration":
		return cel.DurationType
	case "timestamp":
		return cel.TimestampType
	}
	return cel.StringType
}

// activation is what a rule sees of an attempt. Each value is made once, when it is
// first asked for.
type activation struct {
	attempt *Attempt
	names   map[string]int // of variables, by their place
	values  [32]ref.Val
}

// ResolveName implements cel.Activation.
func (v *activation) ResolveName(name string) (any, bool) {
	i, ok := v.names[name]
	if !ok {
		return nil, false
	}
	if v.values[i] == nil {
		if open := variables[i].open; v.attempt.preview && open != nil && open(v.attempt) {
			v.values[i] = types.NewUnknown(1, types.NewAttributeTrail(name))
		} else {
			v.values[i] = variables[i].value(v.attempt)
		}
	}
	return v.values[i], true
}

// Parent implements cel.Activation.
func (v *activation) Parent() cel.Activation { return nil }
