package impersonation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/storage"
)

// MinQuery is how many characters a search needs: nobody gets a list of all users.
const MinQuery = 2

// maxCandidates is how many matches a search shows.
const maxCandidates = 20

// Candidate is a user whom a search found, with what stands in the way.
type Candidate struct {
	User          storage.User
	Organizations []storage.Organization
	Denial        Denial      // empty: may be selected
	Message       string      // what is said about it
	Owed          Obligations // what the policy obliges to, whatever else is filled in
}

// Search finds users whom the actor may see, by part of the name or e-mail or by
// id. more reports that there are others. A query that is too short finds nobody.
func (s *Service) Search(ctx context.Context, ask Ask, query string, now time.Time) (found []Candidate, more bool, err error) {
	query = strings.TrimSpace(query)
	if utf8.RuneCountInString(query) < MinQuery || len(query) > 200 || !utf8.ValidString(query) {
		return nil, false, nil
	}
	standing, err := s.store.Standing(ctx, ask.Actor.ID)
	if err != nil {
		return nil, false, fmt.Errorf("load standing: %w", err)
	}
	search := storage.UserSearch{Text: query, Limit: maxCandidates + 1}
	if !standing.May(PermissionUsersRead, "") {
		for organization := range standing.Within {
			if standing.May(PermissionUsersRead, organization) {
				search.Organizations = append(search.Organizations, organization)
			}
		}
		if len(search.Organizations) == 0 {
			return nil, false, nil
		}
	}
	users, err := s.store.SearchUsers(ctx, search)
	if err != nil {
		return nil, false, fmt.Errorf("search users: %w", err)
	}
	if more = len(users) > maxCandidates; more {
		users = users[:maxCandidates]
	}
	return s.candidates(ctx, ask, users, more, now)
}

// Candidate returns one user as Search would.
func (s *Service) Candidate(ctx context.Context, ask Ask, now time.Time) (*Candidate, error) {
	u, err := s.store.User(ctx, ask.SubjectID)
	if err != nil {
		return nil, err
	}
	found, _, err := s.candidates(ctx, ask, []storage.User{*u}, false, now)
	if err != nil {
		return nil, err
	}
	if found[0].Denial == DenySubject {
		return nil, storage.ErrNotFound // out of the actor's reach
	}
	return &found[0], nil
}

// candidates decides about each user as if the rest of the form were in order.
func (s *Service) candidates(ctx context.Context, ask Ask, users []storage.User, more bool, now time.Time) ([]Candidate, bool, error) {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	organizations, err := s.store.OrganizationsOf(ctx, ids)
	if err != nil {
		return nil, false, fmt.Errorf("load organizations: %w", err)
	}
	standing, err := s.store.Standing(ctx, ask.Actor.ID)
	if err != nil {
		return nil, false, fmt.Errorf("load standing: %w", err)
	}
	settings, _, err := s.store.ImpersonationTerms(ctx, "")
	if err != nil {
		return nil, false, fmt.Errorf("load settings: %w", err)
	}
	policy, err := policyFor(ctx, s.store, settings.PolicyID, ask, standing, s.limits, now)
	if err != nil {
		return nil, false, err
	}
	found := make([]Candidate, 0, len(users))
	for _, u := range users {
		c := Candidate{User: u, Organizations: organizations[u.ID]}
		subjectStanding, err := s.store.Standing(ctx, u.ID)
		if err != nil {
			return nil, false, fmt.Errorf("load standing: %w", err)
		}
		var refusal error
		c.Owed, refusal = selectable(Attempt{
			Now: now, Actor: ask.Actor, ActorStanding: standing, Client: ask.Client, Entry: ask.Entry, IP: ask.IP,
			Subject: &u, SubjectStanding: subjectStanding, Organization: ask.Organization, Policy: policy,
		})
		if refusal != nil {
			c.Denial, _ = Denied(refusal)
			c.Message = MessageOf(refusal)
		}
		found = append(found, c)
	}
	return found, more, nil
}

// selectable asks the rules about the subject alone, in the organization that was
// chosen, or else that suits the actor best. What the policy makes of a form that is
// not filled in yet counts only where it is certain.
func selectable(a Attempt) (owed Obligations, err error) {
	if d := subject(a); d != "" {
		return owed, d
	}
	a.preview = true
	places := []string{a.Organization}
	if !a.SubjectStanding.MemberOf(a.Organization) {
		if places = slices.Sorted(maps.Keys(a.SubjectStanding.Within)); len(places) == 0 {
			places = []string{""}
		}
	}
	for _, a.Organization = range places {
		d := organization(a)
		if d == "" {
			d = privileges(a)
		}
		if d != "" {
			err = d
			continue
		}
		if owed, err = a.Policy.decide(a, nil); err == nil {
			if len(places) > 1 {
				owed = Obligations{} // it may be another place
			}
			return owed, nil
		}
	}
	return Obligations{}, err
}

// Message returns what a page says about a denial.
func (d Denial) Message() string {
	if text, ok := messages[d]; ok {
		return text
	}
	return "This is not allowed."
}

var messages = map[Denial]string{
	DenySwitchedOff:       "Signing in as someone else is switched off.",
	DenyChain:             "You are already acting as someone else here.",
	DenyActorInactive:     "Your account is disabled.",
	DenyPermission:        "You may not sign in as someone else.",
	DenyCaller:            "The key may not start this.",
	DenyActor:             "There is nobody of this name who may sign in as someone else.",
	DenyClientInactive:    "This application is disabled.",
	DenyClient:            "This application does not allow signing in as its users.",
	DenyReason:            "Give a reason of 8 to 500 characters.",
	DenyTicketRef:         "Give a valid ticket reference.",
	DenyAccess:            "Choose read only or full access.",
	DenyDuration:          "Choose one of the durations offered.",
	DenySubject:           "Choose a user from the list.",
	DenySelf:              "This is you.",
	DenySubjectInactive:   "This account is disabled.",
	DenyProtected:         "This account is protected.",
	DenyOrganization:      "The user does not belong to this organization, or the application is not for it.",
	DenyOrganizationNeeds: "Choose the organization in which to act.",
	DenyPrivileged:        "Has rights that you may not use.",
	DenyRate:              "You have started or asked for too many of these within an hour. Try again later.",
	DenyConcurrent:        "You are acting as someone already. Stop that first.",
	DenyStepUp:            "Confirm your password first.",
	DenyEnded:             "This has ended.",
	DenyRefusals:          "You were refused too often. Try again later.",
	DenySupportAccess:     "They have not allowed support to sign in as them.",
	DenyPolicy:            "A rule of your organization does not allow this.",
	DenyPolicyError:       "A rule could not be decided, so this is not allowed. Tell an administrator.",
	DenyApproval:          "A second person has to approve this first.",
	DenyApprover:          "This person may not approve it.",
	DenyDisapproved:       "A second person did not approve this.",
	DenyTicketSpent:       "This was used before, was withdrawn, or its time is up.",
	DenyTicketForeign:     "This was started by somebody else, or in another browser.",
}

// Denied returns the Denial in err, if there is one.
func Denied(err error) (Denial, bool) { return errors.AsType[Denial](err) }
