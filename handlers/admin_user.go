package handlers

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

const (
	permissionImpersonationRead = "impersonation:read"
	permissionEventsRead        = "events:read"

	// historyShown is how many impersonations a user's page lists, of those looked at.
	historyShown, historyLookedAt = 10, 50
)

// target is a user whom staff look at or work on.
type target struct {
	*storage.User
	standing storage.Standing
}

// target returns the user that a page is about, over whom staff hold a permission. One
// who was deleted, or is out of reach, is as good as none (SECURITY F08).
func (s *Server) target(r *http.Request, st *staff, permission string) (*target, error) {
	u, err := s.store.User(r.Context(), r.PathValue("id"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	if err != nil {
		return nil, fmt.Errorf("load user: %w", err)
	}
	t := &target{User: u}
	if t.standing, err = s.store.Standing(r.Context(), u.ID); err != nil {
		return nil, fmt.Errorf("load standing: %w", err)
	}
	if u.Deleted() || !st.reaches(permission, t.standing) {
		return nil, errNoPage
	}
	return t, nil
}

// changeable is target for somebody whom staff may change.
func (s *Server) changeable(r *http.Request, st *staff) (*target, error) {
	t, err := s.target(r, st, provider.PermissionUsersWrite)
	if err != nil {
		return nil, err
	}
	if !provider.MayChange(st.standing, t.standing) {
		return nil, &pageErr{
			Status: http.StatusForbidden, Code: "forbidden", Heading: "You may not change this user",
			Message: "They have rights that you do not have, or belong where you may not change anybody.",
			BackURL: userURL(t.ID), BackLabel: "Back to the user",
		}
	}
	return t, nil
}

// another is changeable for somebody who is not the one who changes: nobody disables,
// deletes or demotes themselves.
func (s *Server) another(r *http.Request, st *staff) (*target, error) {
	if r.PathValue("id") == st.User.ID {
		return nil, errYourself
	}
	return s.changeable(r, st)
}

var errYourself = &pageErr{
	Status: http.StatusForbidden, Code: "forbidden", Heading: "This is you",
	Message: "You cannot do this to yourself. Somebody else has to, or you do it on your account page.",
	BackURL: "/account", BackLabel: "Your account",
}

// user shows everything about a user.
func (s *Server) user(w http.ResponseWriter, r *http.Request, st *staff) error {
	if r.URL.Query().Get("dialog") == "impersonate" && st.standing.MayAnywhere(impersonation.PermissionStart) {
		return s.impersonateForm(w, r, st)
	}
	t, err := s.target(r, st, impersonation.PermissionUsersRead)
	if err != nil {
		return err
	}
	p, err := s.userPage(r, st, t)
	if err != nil {
		return err
	}
	return s.pages.User(w, http.StatusOK, p)
}

func (s *Server) userPage(r *http.Request, st *staff, t *target) (templates.UserPage, error) {
	ctx, now := r.Context(), time.Now()
	p := templates.UserPage{
		Page: s.consoleFrame(r, st), Now: now, URL: userURL(t.ID), ID: t.ID, Name: t.DisplayName(), Email: t.Email,
		EmailVerified: t.EmailVerified, Disabled: !t.Active(), Protected: t.NeverImpersonate, HasPassword: t.PasswordHash != "",
		CreatedAt: t.CreatedAt.Time(), LastSignIn: t.LastSignInAt.Time(), PasswordChangedAt: t.PasswordChangedAt.Time(),
		Facts: userFacts(t.User), Yourself: t.ID == st.User.ID, MayChange: provider.MayChange(st.standing, t.standing),
	}
	p.MayGrant = !p.Yourself && st.reaches(provider.PermissionUsersWrite, t.standing)
	if !p.Yourself && t.Active() && !t.NeverImpersonate && st.reaches(impersonation.PermissionStart, t.standing) {
		p.SignInAsURL = signInAsURL(t.ID)
	}
	if st.reaches(permissionEventsRead, t.standing) {
		p.EventsURL = "/admin/events?" + url.Values{"subject": {t.ID}}.Encode()
	}
	places, err := s.store.PlacesOf(ctx, t.ID)
	if err != nil {
		return p, fmt.Errorf("load places: %w", err)
	}
	p.Places = shownPlaces(places[t.ID], st.within(impersonation.PermissionUsersRead))
	for i, place := range p.Places {
		if p.MayGrant && place.Role != "" {
			p.Places[i].RevokeURL = p.URL + "/revoke?" + url.Values{"organization": {place.Organization}, "role": {place.Role}}.Encode()
		}
	}
	signIns, err := s.store.LiveLogins(ctx, t.ID, now)
	if err != nil {
		return p, fmt.Errorf("load sign-ins: %w", err)
	}
	for _, l := range signIns {
		p.SignIns = append(p.SignIns, templates.UserSignIn{
			SID: l.SID, IP: l.IP, UserAgent: l.UserAgent, StartedAt: l.CreatedAt.Time(), LastSeen: l.LastSeenAt.Time(), Current: l.SID == st.SID,
		})
	}
	applications, err := s.store.Applications(ctx, t.ID, now)
	if err != nil {
		return p, fmt.Errorf("load applications: %w", err)
	}
	for _, a := range applications {
		p.Applications = append(p.Applications, templates.UserApplication{
			ClientID: a.ClientID, Name: cmp.Or(a.Name, a.ClientID), Scope: a.Scope, Grants: int(a.Grants), LastUsed: a.LastUsed.Time(),
		})
	}
	_, said, err := s.store.ImpersonationTerms(ctx, t.ID)
	if err != nil {
		return p, fmt.Errorf("load support access: %w", err)
	}
	if said != nil {
		p.Support = templates.SupportState{Mode: string(said.Mode), TicketRef: said.TicketRef, Until: said.ExpiresAt.Time(), Over: said.ExpiresAt.Passed(now)}
	}
	if st.reaches(permissionImpersonationRead, t.standing) {
		p.ShowHistory = true
		err = s.userHistory(r, st, t, &p)
	}
	return p, err
}

// userFacts are the claims that a user has, beside name and e-mail.
func userFacts(u *storage.User) []templates.UserFact {
	var facts []templates.UserFact
	for _, f := range userFields(u) {
		if v := *f.value; v != "" && f.name != "name" && f.name != "email" {
			facts = append(facts, templates.UserFact{Label: f.label, Value: v})
		}
	}
	for _, part := range addressParts(u.Address) {
		if part.Value != "" {
			facts = append(facts, templates.UserFact{Label: part.Label, Value: part.Value})
		}
	}
	return facts
}

// userHistory fills in who acted as the user, and as whom the user acted, as far as
// staff may read of it.
func (s *Server) userHistory(r *http.Request, st *staff, t *target, p *templates.UserPage) error {
	within := st.within(permissionImpersonationRead)
	read := func(f storage.ImpersonationFilter) ([]storage.Impersonation, error) {
		f.Limit = historyLookedAt
		all, err := s.store.Impersonations(r.Context(), f, p.Now)
		if err != nil {
			return nil, fmt.Errorf("load impersonations: %w", err)
		}
		if within != nil {
			all = slices.DeleteFunc(all, func(i storage.Impersonation) bool { return !slices.Contains(within, i.OrganizationID) })
		}
		return all[:min(len(all), historyShown)], nil
	}
	by, err := read(storage.ImpersonationFilter{Subject: t.ID})
	if err != nil {
		return err
	}
	as, err := read(storage.ImpersonationFilter{Actor: t.ID})
	if err != nil {
		return err
	}
	var ids []string
	for _, i := range by {
		ids = append(ids, i.ActorID)
	}
	for _, i := range as {
		ids = append(ids, i.SubjectID)
	}
	names, err := s.store.DisplayNames(r.Context(), ids...)
	if err != nil {
		return fmt.Errorf("load names: %w", err)
	}
	show := func(i storage.Impersonation, other string) templates.Acted {
		a := templates.Acted{
			Name: names[other], ClientName: i.ClientID, Reason: i.Reason, TicketRef: i.TicketRef,
			StartedAt: i.StartedAt.Time(), EndsAt: i.ExpiresAt.Time(), Now: p.Now, Running: i.Running(p.Now),
		}
		if c, err := s.store.Client(r.Context(), i.ClientID); err == nil {
			a.ClientName = c.Name
		}
		if i.EndedAt.Set() {
			a.EndsAt = i.EndedAt.Time()
		}
		if a.Running && (i.ActorID == st.User.ID || i.SubjectID == st.User.ID || st.standing.May(impersonation.PermissionStopAny, i.OrganizationID)) {
			a.StopURL = "/impersonation/stop?id=" + url.QueryEscape(i.ID)
		}
		return a
	}
	for _, i := range by {
		p.ActedAsBy = append(p.ActedAsBy, show(i, i.ActorID))
	}
	for _, i := range as {
		p.ActedAs = append(p.ActedAs, show(i, i.SubjectID))
	}
	return nil
}

// endSignIns ends one sign-in of a user, or all.
func (s *Server) endSignIns(w http.ResponseWriter, r *http.Request, st *staff) error {
	t, form, err := s.changing(r, st)
	if err != nil {
		return err
	}
	directory, by, now := s.directory(st), s.by(r, st.Login), time.Now()
	done := "sign_ins_ended"
	if sid := form.Get("sid"); sid != "" {
		err, done = directory.EndSignIn(r.Context(), t.ID, sid, by, now), "sign_in_ended"
	} else {
		err = directory.EndSignIns(r.Context(), t.ID, by, now)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // it has ended by itself
		return err
	}
	redirect(w, userURL(t.ID)+"?done="+done)
	return nil
}

// endApplication takes back what a user allows an application.
func (s *Server) endApplication(w http.ResponseWriter, r *http.Request, st *staff) error {
	t, form, err := s.changing(r, st)
	if err != nil {
		return err
	}
	err = s.directory(st).RevokeApplication(r.Context(), t.ID, form.Get("client_id"), s.by(r, st.Login), time.Now())
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	redirect(w, userURL(t.ID)+"?done=application_ended")
	return nil
}

// changing is changeable with the form that was posted.
func (s *Server) changing(r *http.Request, st *staff) (*target, url.Values, error) {
	form, err := postForm(r)
	if err != nil {
		return nil, nil, err
	}
	t, err := s.changeable(r, st)
	return t, form, err
}
