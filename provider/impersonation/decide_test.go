package impersonation

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/storage"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// allowed is an attempt that every rule allows: sam of support, as ada of Globex.
func allowed() Attempt {
	return Attempt{
		Now: t0, Enabled: true, Limits: New(nil, Limits{}).Limits(),
		Actor:         &storage.User{ID: "usr_sam", Status: storage.UserActive},
		ActorStanding: storage.Standing{Everywhere: storage.List{PermissionUsersRead, PermissionStart, "impersonation:read"}},
		ActorAuthTime: t0.Add(-time.Minute),
		Subject:       &storage.User{ID: "usr_ada", Status: storage.UserActive},
		SubjectStanding: storage.Standing{Within: map[string]storage.List{
			"org_globex": nil,
		}},
		Client:       &storage.Client{ID: "app", Status: storage.ClientActive, AllowImpersonation: true},
		Organization: "org_globex", Reason: "Cannot see invoice 4711", Access: ReadOnly, Duration: 30 * time.Minute,
	}
}

// within makes the actor one whose role is held within an organization only.
func within(a *Attempt, organization string, permissions ...string) {
	a.ActorStanding = storage.Standing{Within: map[string]storage.List{organization: permissions}}
}

func privileged(a *Attempt, more ...string) {
	a.ActorStanding.Everywhere = append(slices.Clone(a.ActorStanding.Everywhere), append(more, PermissionPrivileged)...)
}

func running(a *Attempt) {
	a.Running = &storage.Impersonation{ID: "imp_1", StartedAt: storage.At(t0), ExpiresAt: storage.At(t0.Add(time.Minute))}
}

// says makes the subject have said something, in an attempt for the ticket SUP-1.
func says(rule storage.SupportRule, mode storage.SupportMode, until time.Duration, ref string) func(*Attempt) {
	return func(a *Attempt) {
		a.TicketRef, a.SupportRule = "SUP-1", rule
		a.SupportAccess = &storage.SupportAccess{Mode: mode, TicketRef: ref, ExpiresAt: storage.At(t0.Add(until))}
	}
}

// asksFor makes a caller ask in the actor's place, who is not there. Its permissions
// are held everywhere, or within an organization.
func asksFor(organization string, permissions ...string) func(*Attempt) {
	return func(a *Attempt) {
		a.ActorAuthTime, a.Caller = time.Time{}, &storage.Standing{Everywhere: permissions}
		if organization != "" {
			a.Caller = &storage.Standing{Within: map[string]storage.List{organization: permissions}}
		}
	}
}

type row struct {
	name   string
	change func(a *Attempt)
	want   Denial // empty: still allowed
}

// Each row changes one thing about an attempt that is allowed. The table is the policy.
var policy = []row{
	{"nothing", func(*Attempt) {}, ""},

	{"master switch off", func(a *Attempt) { a.Enabled = false }, DenySwitchedOff},
	{"the request came with act", func(a *Attempt) { a.Chained = true }, DenyChain},

	{"actor disabled", func(a *Attempt) { a.Actor.Status = storage.UserDisabled }, DenyActorInactive},
	{"actor of no status", func(a *Attempt) { a.Actor.Status = "" }, DenyActorInactive},
	{"actor without a role", func(a *Attempt) { a.ActorStanding = storage.Standing{} }, DenyPermission},
	{"actor with every permission but one", func(a *Attempt) {
		a.ActorStanding.Everywhere = storage.List{PermissionUsersRead, PermissionPrivileged, PermissionStopAny, "users:write", "policies:write"}
	}, DenyPermission},
	{"a permission that only begins alike", func(a *Attempt) {
		a.ActorStanding.Everywhere = storage.List{PermissionStart + "x", "impersonation", "impersonation:*", "*", ""}
	}, DenyPermission},

	{"client disabled", func(a *Attempt) { a.Client.Status = storage.ClientDisabled }, DenyClientInactive},
	{"client of no status", func(a *Attempt) { a.Client.Status = "" }, DenyClientInactive},
	{"client not opted in", func(a *Attempt) { a.Client.AllowImpersonation = false }, DenyClient},

	{"access denied by the subject", says(storage.SupportOptional, storage.SupportDenied, 0, ""), DenySupportAccess},
	{"access denied, and nobody is asked", says(storage.SupportManaged, storage.SupportDenied, 0, ""), ""},
	{"access until later", says(storage.SupportRequired, storage.SupportUntil, time.Minute, ""), ""},
	{"access until now", says(storage.SupportOptional, storage.SupportUntil, 0, ""), DenySupportAccess},
	{"access for the ticket", says(storage.SupportRequired, storage.SupportTicket, time.Minute, "SUP-1"), ""},
	{"access for another ticket", says(storage.SupportOptional, storage.SupportTicket, time.Minute, "SUP-2"), DenySupportAccess},
	{"access for the ticket, too late", says(storage.SupportOptional, storage.SupportTicket, 0, "SUP-1"), DenySupportAccess},
	{"silence, where access is required", func(a *Attempt) { a.SupportRule = storage.SupportRequired }, DenySupportAccess},
	{"silence, where nobody is asked", func(a *Attempt) { a.SupportRule = storage.SupportManaged }, ""},
	{"silence, where the attempt needs a yes", func(a *Attempt) { a.RequireSupportAccess = true }, DenySupportAccess},
	{"access until later, where the attempt needs a yes", func(a *Attempt) {
		says(storage.SupportOptional, storage.SupportUntil, time.Minute, "")(a)
		a.RequireSupportAccess = true
	}, ""},
	{"access that the actor set in the subject's place", func(a *Attempt) {
		says(storage.SupportRequired, storage.SupportUntil, time.Minute, "")(a)
		a.SupportAccess.SetBy = a.Actor.ID
	}, DenySupportAccess},
	{"access that somebody else set in the subject's place", func(a *Attempt) {
		says(storage.SupportRequired, storage.SupportUntil, time.Minute, "")(a)
		a.SupportAccess.SetBy = "key_1"
	}, ""},
	{"a yes is needed, and nobody is asked", func(a *Attempt) {
		says(storage.SupportManaged, storage.SupportUntil, time.Minute, "")(a)
		a.RequireSupportAccess = true
	}, DenySupportAccess},
	{"a ticket that waited since the step-up", func(a *Attempt) { a.ActorAuthTime, a.AskedAt = t0.Add(-6*time.Minute), t0.Add(-2*time.Minute) }, ""},
	{"a ticket that was asked for too late", func(a *Attempt) { a.ActorAuthTime, a.AskedAt = t0.Add(-8*time.Minute), t0.Add(-2*time.Minute) }, DenyStepUp},

	{"privileged there, the subject's rights elsewhere", func(a *Attempt) {
		a.ActorStanding = storage.Standing{
			Everywhere: storage.List{PermissionStart, "users:write"}, Within: map[string]storage.List{"org_globex": {PermissionPrivileged}},
		}
		a.SubjectStanding.Within = map[string]storage.List{"org_globex": nil, "org_initech": {"users:write"}}
	}, DenyPrivileged},
	{"privileged there, the subject's rights everywhere", func(a *Attempt) {
		a.ActorStanding = storage.Standing{
			Everywhere: storage.List{PermissionStart, "users:write"}, Within: map[string]storage.List{"org_globex": {PermissionPrivileged}},
		}
		a.SubjectStanding.Everywhere = storage.List{"users:write"}
	}, DenyPrivileged},

	{"no reason", func(a *Attempt) { a.Reason = "" }, DenyReason},
	{"ticket reference missing", func(a *Attempt) { a.Limits.TicketRefRequired = true }, DenyTicketRef},
	{"ticket reference given", func(a *Attempt) { a.Limits.TicketRefRequired, a.TicketRef = true, "T-1" }, ""},
	{"ticket reference of another form", func(a *Attempt) {
		a.Limits.TicketRefPattern, a.TicketRef = regexp.MustCompile(`^T-\d+$`), "4711"
	}, DenyTicketRef},
	{"ticket reference of the form", func(a *Attempt) {
		a.Limits.TicketRefPattern, a.TicketRef = regexp.MustCompile(`^T-\d+$`), "T-4711"
	}, ""},
	{"no ticket reference where it is optional", func(a *Attempt) { a.Limits.TicketRefPattern = regexp.MustCompile(`^T-\d+$`) }, ""},
	{"ticket reference that is no text", func(a *Attempt) { a.BadTicketRef = true }, DenyTicketRef},
	{"full access", func(a *Attempt) { a.Access = Full }, ""},
	{"no access", func(a *Attempt) { a.Access = "" }, DenyAccess},
	{"unknown access", func(a *Attempt) { a.Access = "Full" }, DenyAccess},
	{"no duration", func(a *Attempt) { a.Duration = 0 }, DenyDuration},
	{"negative duration", func(a *Attempt) { a.Duration = -time.Hour }, DenyDuration},
	{"shortest duration", func(a *Attempt) { a.Duration = time.Minute }, ""},
	{"too short", func(a *Attempt) { a.Duration = time.Minute - 1 }, DenyDuration},
	{"longest duration", func(a *Attempt) { a.Duration = time.Hour }, ""},
	{"too long", func(a *Attempt) { a.Duration = time.Hour + 1 }, DenyDuration},
	{"longer than configured", func(a *Attempt) { a.Limits.MaxDuration = 20 * time.Minute }, DenyDuration},
	{"no configuration goes beyond an hour", func(a *Attempt) { a.Limits.MaxDuration, a.Duration = 24*time.Hour, 61*time.Minute }, DenyDuration},
	{"password five minutes ago", func(a *Attempt) { a.ActorAuthTime = t0.Add(-5 * time.Minute) }, ""},
	{"password longer ago", func(a *Attempt) { a.ActorAuthTime = t0.Add(-5*time.Minute - 1) }, DenyStepUp},
	{"password never", func(a *Attempt) { a.ActorAuthTime = time.Time{} }, DenyStepUp},

	{"a caller vouches", asksFor("", PermissionStart), ""},
	{"a caller vouches for who has shown a password longer ago", func(a *Attempt) {
		asksFor("", PermissionStart)(a)
		a.ActorAuthTime = t0.Add(-5*time.Minute - 1)
	}, DenyStepUp},
	{"caller without the permission", asksFor("", PermissionUsersRead, PermissionPrivileged), DenyCaller},
	{"caller without any", asksFor(""), DenyCaller},
	{"a caller invents an actor", func(a *Attempt) {
		asksFor("", PermissionStart)(a)
		a.ActorStanding = storage.Standing{}
	}, DenyPermission},
	{"caller of an organization, actor of none", asksFor("org_globex", PermissionStart), DenyActor},
	{"caller of an organization, actor of another", func(a *Attempt) {
		asksFor("org_globex", PermissionStart)(a)
		within(a, "org_initech", PermissionStart)
	}, DenyActor},
	{"caller of an organization, actor of the same", func(a *Attempt) {
		asksFor("org_globex", PermissionStart)(a)
		within(a, "org_globex", PermissionStart)
	}, ""},
	{"caller of an organization, subject of another", func(a *Attempt) {
		asksFor("org_initech", PermissionStart)(a)
		a.ActorStanding.Within = map[string]storage.List{"org_initech": nil}
	}, DenySubject},
	{"caller of an organization, asks in another of the subject's", func(a *Attempt) {
		asksFor("org_initech", PermissionStart)(a)
		a.ActorStanding.Within = map[string]storage.List{"org_initech": nil}
		a.SubjectStanding.Within["org_initech"] = nil
	}, DenyOrganization},
	{"caller without the rights of the subject", func(a *Attempt) {
		asksFor("", PermissionStart)(a)
		a.SubjectStanding.Everywhere = storage.List{PermissionUsersRead}
		privileged(a)
	}, DenyPrivileged},
	{"caller with them", func(a *Attempt) {
		asksFor("", PermissionStart, PermissionPrivileged, PermissionUsersRead)(a)
		a.SubjectStanding.Everywhere = storage.List{PermissionUsersRead}
		privileged(a)
	}, ""},
	{"caller with them, actor without", func(a *Attempt) {
		asksFor("", PermissionStart, PermissionPrivileged, PermissionUsersRead)(a)
		a.SubjectStanding.Everywhere = storage.List{PermissionUsersRead}
	}, DenyPrivileged},

	{"no such subject", func(a *Attempt) { a.Subject = nil }, DenySubject},
	{"oneself", func(a *Attempt) { a.Subject = a.Actor }, DenySelf},
	{"subject disabled", func(a *Attempt) { a.Subject.Status = storage.UserDisabled }, DenySubjectInactive},
	{"subject of no status", func(a *Attempt) { a.Subject.Status = "" }, DenySubjectInactive},
	{"subject protected", func(a *Attempt) { a.Subject.NeverImpersonate = true }, DenyProtected},

	{"subject of no organization", func(a *Attempt) { a.Organization, a.SubjectStanding.Within = "", nil }, ""},
	{"an organization that is not the subject's", func(a *Attempt) { a.Organization = "org_initech" }, DenyOrganization},
	{"one of several organizations", func(a *Attempt) { a.SubjectStanding.Within["org_initech"] = nil }, ""},
	{"none of several organizations", func(a *Attempt) {
		a.SubjectStanding.Within["org_initech"], a.Organization = nil, ""
	}, DenyOrganizationNeeds},
	{"client for the organization", func(a *Attempt) { a.Client.Organizations = storage.List{"org_globex"} }, ""},
	{"client for another organization", func(a *Attempt) { a.Client.Organizations = storage.List{"org_initech"} }, DenyOrganization},
	{"client for organizations, subject of none", func(a *Attempt) {
		a.Client.Organizations, a.Organization, a.SubjectStanding.Within = storage.List{"org_globex"}, "", nil
	}, DenyOrganization},
	{"actor of the same organization", func(a *Attempt) { within(a, "org_globex", PermissionStart) }, ""},
	{"actor of another organization", func(a *Attempt) { within(a, "org_initech", PermissionStart) }, DenySubject},
	{"out of reach and disabled", func(a *Attempt) {
		within(a, "org_initech", PermissionStart)
		a.Subject.Status = storage.UserDisabled
	}, DenySubject},
	{"out of reach and protected", func(a *Attempt) {
		within(a, "org_initech", PermissionStart)
		a.Subject.NeverImpersonate = true
	}, DenySubject},
	{"out of reach, organization not the subject's", func(a *Attempt) {
		within(a, "org_initech", PermissionStart)
		a.Organization = "org_initech"
	}, DenySubject},
	{"out of reach, no organization chosen", func(a *Attempt) {
		within(a, "org_initech", PermissionStart)
		a.SubjectStanding.Within["org_hooli"], a.Organization = nil, ""
	}, DenySubject},
	{"within reach in another organization", func(a *Attempt) {
		within(a, "org_initech", PermissionStart)
		a.SubjectStanding.Within["org_initech"] = nil
	}, DenyOrganization},
	{"actor of one organization, subject of none", func(a *Attempt) {
		within(a, "org_globex", PermissionStart)
		a.SubjectStanding.Within, a.Organization = nil, ""
	}, DenySubject},

	{"a peer", func(a *Attempt) { a.SubjectStanding.Everywhere = a.ActorStanding.Everywhere }, DenyPrivileged},
	{"a peer, with the special permission", func(a *Attempt) {
		a.SubjectStanding.Everywhere = a.ActorStanding.Everywhere
		privileged(a)
	}, ""},
	{"somebody who may more", func(a *Attempt) {
		a.SubjectStanding.Everywhere = storage.List{"users:write"}
		privileged(a)
	}, DenyPrivileged},
	{"any administrative permission", func(a *Attempt) { a.SubjectStanding.Everywhere = storage.List{PermissionUsersRead} }, DenyPrivileged},
	{"a permission within the organization", func(a *Attempt) {
		a.SubjectStanding.Within["org_globex"] = storage.List{PermissionUsersRead}
	}, DenyPrivileged},
	{"a permission within the organization, with the special permission", func(a *Attempt) {
		a.SubjectStanding.Within["org_globex"] = storage.List{PermissionUsersRead}
		privileged(a)
	}, ""},
	{"a permission within an organization that is not the one", func(a *Attempt) {
		a.SubjectStanding.Within["org_initech"] = storage.List{"users:write"}
		privileged(a)
	}, DenyPrivileged},
	{"a permission everywhere that the actor has in one place", func(a *Attempt) {
		within(a, "org_globex", PermissionStart, PermissionPrivileged, PermissionUsersRead)
		a.SubjectStanding.Everywhere = storage.List{PermissionUsersRead}
	}, DenyPrivileged},
	{"the special permission held elsewhere", func(a *Attempt) {
		a.SubjectStanding.Within["org_globex"] = storage.List{PermissionUsersRead}
		a.ActorStanding.Within = map[string]storage.List{"org_initech": {PermissionPrivileged}}
	}, DenyPrivileged},

	{"tenth start within an hour", func(a *Attempt) { a.Usage.Started = 9 }, ""},
	{"eleventh start within an hour", func(a *Attempt) { a.Usage.Started = 10 }, DenyRate},
	{"third at a time", func(a *Attempt) { a.Usage.Running = 2 }, ""},
	{"fourth at a time", func(a *Attempt) { a.Usage.Running = 3 }, DenyConcurrent},
	{"second at the client", func(a *Attempt) { a.Usage.RunningAtClient = 1 }, DenyConcurrent},
}

func (r row) attempt() Attempt {
	a := allowed()
	r.change(&a)
	return a
}

// verdict returns Decide's Denial, empty where it allows.
func verdict(t interface{ Fatalf(string, ...any) }, a Attempt) Denial {
	err := Decide(a)
	d, denied := Denied(err)
	if err != nil && (!denied || d == "") {
		t.Fatalf("Decide: got %v, want nil or a Denial", err)
	}
	return d
}

// A02, A04, A05, A07, T04: the guard rails, each with what it refuses.
func TestDecide(t *testing.T) {
	// Not Decide's: see TestStillAllowed, Start, Redeem and DecideApproval.
	covered := map[Denial]bool{
		DenyEnded: true, DenyRefusals: true, DenyTicketSpent: true, DenyTicketForeign: true, DenyDisapproved: true, DenyApprover: true,
	}
	for _, r := range policy {
		covered[r.want] = true
		t.Run(r.name, func(t *testing.T) {
			if got := verdict(t, r.attempt()); got != r.want {
				t.Errorf("got %q, want %q", got, r.want)
			}
		})
	}
	for _, r := range ruled {
		covered[r.want] = true
	}
	for d := range messages {
		if !covered[d] {
			t.Errorf("no row is denied for %q", d)
		}
	}
	if got := Denial("new").Message(); got == "" {
		t.Error("a denial without a message of its own says nothing")
	}
}

// settled is what was decided when it started.
var settled = []Denial{DenyReason, DenyTicketRef, DenyAccess, DenyDuration, DenyStepUp, DenyRate, DenyConcurrent}

// While one runs every rule holds but those that its start has settled.
func TestStillAllowed(t *testing.T) {
	for _, r := range append(policy,
		row{"an hour later", func(a *Attempt) { a.Now = t0.Add(time.Hour) }, DenyEnded},
		row{"at its end", func(a *Attempt) { a.Now = t0.Add(time.Minute) }, DenyEnded},
		row{"just before its end", func(a *Attempt) { a.Now = t0.Add(time.Minute - time.Microsecond) }, ""},
	) {
		t.Run(r.name, func(t *testing.T) {
			a, want := r.attempt(), r.want
			if slices.Contains(settled, want) {
				want = ""
			}
			running(&a)
			if got := verdict(t, a); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			i := *a.Running
			i.OrganizationID, i.Access = a.Organization, string(ReadOnly)
			a.Organization, a.Access = "org_of_the_request", "access of the request"
			if got, _ := Denied(StillAllowed(a, &i)); got != want {
				t.Errorf("StillAllowed: got %q, want %q", got, want)
			}
			i.EndedAt = storage.At(t0)
			if got, _ := Denied(StillAllowed(a, &i)); want == "" && got != DenyEnded {
				t.Errorf("after the end: got %q, want %q", got, DenyEnded)
			}
		})
	}
}

// Whoever may not start, or did not fill in the form, is told the same whatever
// the subject is (SECURITY A01, A06).
func TestNothingLearnedOfTheSubject(t *testing.T) {
	before := []Denial{
		DenySwitchedOff, DenyChain, DenyCaller, DenyActor, DenyActorInactive, DenyPermission, DenyClientInactive, DenyClient,
		DenyReason, DenyTicketRef, DenyAccess, DenyDuration, DenyStepUp,
	}
	for _, r := range policy {
		if !slices.Contains(before, r.want) {
			continue
		}
		for what, change := range map[string]func(a *Attempt){
			"unknown":      func(a *Attempt) { a.Subject, a.SubjectStanding = nil, storage.Standing{} },
			"oneself":      func(a *Attempt) { a.Subject = a.Actor },
			"disabled":     func(a *Attempt) { a.Subject.Status = storage.UserDisabled },
			"protected":    func(a *Attempt) { a.Subject.NeverImpersonate = true },
			"privileged":   func(a *Attempt) { a.SubjectStanding.Everywhere = storage.List{"users:write"} },
			"elsewhere":    func(a *Attempt) { a.SubjectStanding.Within = map[string]storage.List{"org_initech": nil} },
			"of two":       func(a *Attempt) { a.SubjectStanding.Within["org_initech"], a.Organization = nil, "" },
			"over a limit": func(a *Attempt) { a.Usage = storage.Usage{Started: 99, Running: 99, RunningAtClient: 99} },
		} {
			a := r.attempt()
			change(&a)
			if got := verdict(t, a); got != r.want {
				t.Errorf("%s, subject %s: got %q, want %q", r.name, what, got, r.want)
			}
		}
	}
}

var (
	permissions   = []string{PermissionUsersRead, PermissionStart, PermissionPrivileged, PermissionStopAny, "users:write", "clients:write"}
	organizations = []string{"org_globex", "org_initech", "org_hooli"}
)

// usually is true at least seven times of eight (small numbers are drawn more
// often), so that not every attempt is refused.
func usually(t *rapid.T, what string) bool { return rapid.IntRange(0, 7).Draw(t, what) < 7 }

func some(t *rapid.T, what string, of []string) storage.List {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID[string]).Draw(t, what)
}

func standing(t *rapid.T, whose string) storage.Standing {
	s := storage.Standing{Within: map[string]storage.List{}}
	if usually(t, whose+" of the staff") == (whose == "actor") {
		s.Everywhere = some(t, whose+" everywhere", permissions)
	}
	for _, o := range some(t, whose+" of", organizations) {
		s.Within[o] = nil
		if rapid.Bool().Draw(t, whose+" has a role in "+o) {
			s.Within[o] = some(t, whose+" in "+o, permissions)
		}
	}
	return s
}

func drawn(t *rapid.T) Attempt {
	a := allowed()
	a.ActorStanding, a.SubjectStanding = standing(t, "actor"), standing(t, "subject")
	if rapid.Bool().Draw(t, "actor may everything") {
		a.ActorStanding.Everywhere = permissions
	}
	a.Organization = rapid.SampledFrom(append([]string{""}, organizations...)).Draw(t, "organization")
	if theirs := slices.Sorted(maps.Keys(a.SubjectStanding.Within)); len(theirs) > 0 && usually(t, "an organization of the subject") {
		a.Organization = rapid.SampledFrom(theirs).Draw(t, "which")
	}
	if !usually(t, "client for all") {
		a.Client.Organizations = some(t, "client for", organizations)
	}
	a.Client.AllowImpersonation = usually(t, "opted in")
	a.Enabled, a.Chained = usually(t, "enabled"), !usually(t, "not chained")
	a.Subject.NeverImpersonate = !usually(t, "not protected")
	if !usually(t, "somebody else") {
		a.Subject = a.Actor
	}
	if !usually(t, "subject active") {
		a.Subject.Status = storage.UserDisabled
	}
	a.Duration = time.Duration(rapid.IntRange(1, 70).Draw(t, "minutes")) * time.Minute
	a.Usage.Started = rapid.IntRange(0, 11).Draw(t, "started")
	if !usually(t, "new") {
		running(&a)
	}
	if !usually(t, "the actor asks") {
		c := standing(t, "caller")
		a.Caller, a.ActorAuthTime = &c, time.Time{}
	}
	return a
}

func subset(part storage.List, of storage.Standing, organization string) bool {
	return !slices.ContainsFunc(part, func(p string) bool { return !of.May(p, organization) })
}

// Whatever roles there are: acting as somebody gives nobody anything new.
//
// A02, T03: with roles at random.
func TestNoPrivilegeIsGained(t *testing.T) {
	equals := allowed() // somebody who may as much as the actor
	equals.ActorStanding.Everywhere = permissions
	equals.SubjectStanding.Everywhere, equals.SubjectStanding.Within["org_globex"] = permissions, permissions
	for what, a := range map[string]Attempt{"allowed": allowed(), "equals": equals} {
		if err := errors.Join(Decide(a), gained(a)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if a := drawn(t); Decide(a) == nil {
			if err := gained(a); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// gained says what an attempt that is allowed gives anybody that is new; nil: nothing.
func gained(a Attempt) error {
	switch {
	case !a.Enabled, a.Chained, !a.Client.AllowImpersonation, !a.Actor.Active():
		return errors.New("allowed where nobody may start")
	case a.Subject.ID == a.Actor.ID, !a.Subject.Active(), a.Subject.NeverImpersonate:
		return errors.New("allowed as somebody whom nobody may be")
	case !a.ActorStanding.May(PermissionStart, a.Organization):
		return errors.New("allowed without the permission there")
	case a.Caller != nil && !a.Caller.May(PermissionStart, a.Organization):
		return errors.New("F08: allowed without the caller's permission there")
	case a.Organization != "" && !a.SubjectStanding.MemberOf(a.Organization):
		return errors.New("allowed in an organization that is not the subject's")
	case len(a.Client.Organizations) > 0 && !slices.Contains(a.Client.Organizations, a.Organization):
		return errors.New("allowed in an organization that the client is not for")
	case a.Running == nil && (a.Duration > time.Hour || a.Duration < time.Minute || a.Usage.Started >= a.Limits.MaxStartsPerHour):
		return errors.New("allowed beyond a limit")
	}
	held := maps.Clone(a.SubjectStanding.Within)
	held[""] = a.SubjectStanding.Everywhere
	for place, permissions := range held {
		if !subset(permissions, a.ActorStanding, place) {
			return fmt.Errorf("the subject may more within %q", place)
		}
		if len(permissions) > 0 && !a.ActorStanding.May(PermissionPrivileged, place) {
			return fmt.Errorf("a subject with rights within %q, without the special permission there", place)
		}
		if a.Caller != nil && !subset(permissions, *a.Caller, place) {
			return fmt.Errorf("F08: the subject may more within %q than the caller", place)
		}
	}
	return nil
}

// A permission more for the actor never refuses what was allowed, and one more for
// the subject never allows what was refused.
func TestPermissionsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t)
		before := Decide(a)
		extra := storage.List{rapid.SampledFrom(permissions).Draw(t, "one more")}
		where := rapid.SampledFrom(append([]string{""}, organizations...)).Draw(t, "where")
		with := func(s storage.Standing) storage.Standing {
			s.Within = maps.Clone(s.Within)
			if held, member := s.Within[where]; member {
				s.Within[where] = slices.Concat(held, extra)
			} else if where == "" {
				s.Everywhere = slices.Concat(s.Everywhere, extra)
			}
			return s
		}
		more := a
		more.ActorStanding = with(a.ActorStanding)
		if before == nil && Decide(more) != nil {
			t.Fatalf("with %v at %q the actor may less: %v", extra, where, Decide(more))
		}
		more = a
		more.SubjectStanding = with(a.SubjectStanding)
		if before != nil && Decide(more) == nil {
			t.Fatalf("with %v at %q the subject is protected less, was %v", extra, where, before)
		}
	})
}

func TestDenied(t *testing.T) {
	if d, ok := Denied(errors.Join(errors.New("other"), DenyRate)); !ok || d != DenyRate {
		t.Errorf("got %q, %v", d, ok)
	}
	if _, ok := Denied(errors.New("other")); ok {
		t.Error("an error is taken for a denial")
	}
}

func TestLimits(t *testing.T) {
	got := New(nil, Limits{MaxDuration: 20 * time.Minute}).Limits()
	want := Limits{
		DefaultDuration: 20 * time.Minute, MaxDuration: 20 * time.Minute, StepUpMaxAge: 5 * time.Minute,
		MaxStartsPerHour: 10, MaxConcurrent: 3, MaxConcurrentPerClient: 1, ApprovalWait: 24 * time.Hour,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := New(nil, Limits{}).Limits(); got.DefaultDuration != 30*time.Minute || got.MaxDuration != time.Hour {
		t.Errorf("defaults: got %+v", got)
	}
}
