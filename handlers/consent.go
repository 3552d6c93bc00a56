package handlers

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// rememberMe is for how long "Continue as me" keeps the page away.
const rememberMe = 12 * time.Hour

// shownTo names, in a form's address, the person whom the form was shown to.
const shownTo = "for"

// draftFields are what the consent page keeps when it has to ask again.
var draftFields = []string{"continue_as", "q", "subject", "organization", "reason", "ticket_ref", "access", "duration"}

// consentForm shows the consent page.
func (s *Server) consentForm(w http.ResponseWriter, r *http.Request) error {
	i, situation, err := s.deciding(w, r, false)
	if err != nil || i == nil {
		return err
	}
	if situation.Waiting {
		return s.showWaiting(w, r, i)
	}
	draft, err := url.ParseQuery(i.row.Draft)
	if err != nil {
		return err
	}
	return s.showConsent(w, r, i, situation, draft, http.StatusOK)
}

// consent takes what the person decided.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	as := cmp.Or(form.Get("continue_as"), "me")
	choice := form.Get("choice")
	decided := as == "other" || form.Get("action") == "deny" || choice != "" && choice != "me"
	i, situation, err := s.deciding(w, r, decided)
	if err != nil || i == nil {
		return err
	}
	if choice != "" {
		return s.chooseWaiting(w, r, i, situation, choice)
	}
	switch action := cmp.Or(form.Get("action"), "allow"); {
	case action == "deny":
		return s.refuse(w, r, i, provider.ErrAccessDenied)
	case action == "find" && (as == "other" || form.Get("q") != ""):
		form.Set("continue_as", "other") // whoever looks for somebody does not go on as themselves
		return s.showConsent(w, r, i, situation, form, http.StatusOK)
	case action == "request_approval" && as == "other":
		return s.askApproval(w, r, i, situation, form)
	case as == "me" && (action == "allow" || action == "find"): // Enter presses the first button, which is find
		return s.continueAsMe(w, r, i, situation)
	case action == "allow" && as == "other":
		return s.continueAs(w, r, i, situation, form)
	}
	return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The form is malformed."}
}

// deciding returns the interaction when its next step is the consent page. When it
// is another one the browser is sent there, and the interaction is nil. Whoever has
// decided for anything but going on as themselves is heard, also where there is
// nothing to ask any more: they would be answered for as themselves otherwise.
func (s *Server) deciding(w http.ResponseWriter, r *http.Request, decided bool) (*interaction, provider.Situation, error) {
	i, err := s.interaction(w, r, r.PathValue("interaction"))
	if err != nil {
		return nil, provider.Situation{}, err
	}
	situation, err := s.situation(r, i, false)
	if err != nil {
		return nil, situation, err
	}
	if person := r.URL.Query().Get(shownTo); person != "" && i.login != nil && person != i.login.User.ID {
		redirect(w, "/consent/"+i.id) // somebody else signed in, in another tab (SECURITY T16)
		return nil, situation, nil
	}
	step, _ := i.request.Next(situation)
	if step != provider.Consent && !(step == provider.Proceed && decided) {
		redirect(w, "/oauth2/authorize/"+i.id)
		return nil, situation, nil
	}
	return i, situation, nil
}

// continueAsMe stores the consent and answers as the person themselves.
func (s *Server) continueAsMe(w http.ResponseWriter, r *http.Request, i *interaction, situation provider.Situation) error {
	ctx, now := r.Context(), time.Now()
	if !situation.Member {
		return s.refuse(w, r, i, provider.ErrNotMember)
	}
	as := provider.As{Login: i.login, Scope: i.request.GetRequestedScopes()}
	return s.approve(w, r, i, as, func(tx *storage.Tx) error {
		if !i.request.Client.FirstParty {
			// In here, for another tab may have allowed something else meanwhile.
			if err := tx.LockUser(ctx, i.login.User.ID); err != nil {
				return err
			}
			before, err := tx.ConsentedScope(ctx, i.login.User.ID, i.request.Client.ID)
			if err != nil {
				return err
			}
			all := union(strings.Fields(before), i.request.Asks())
			if err := tx.PutConsent(ctx, i.login.User.ID, i.request.Client.ID, strings.Join(all, " "), now); err != nil {
				return err
			}
		}
		if !situation.MayAct {
			return nil
		}
		cause := storage.Cause{By: i.login.User.ID, Reason: storage.EndStopped, Request: s.info(r)}
		if situation.Waiting {
			if err := impersonation.Withdraw(ctx, tx, i.login.SID, i.request.Client.ID, cause, now); err != nil {
				return err
			}
		}
		if situation.Running { // the application knows them as themselves from now on
			here := []storage.ImpersonationFilter{{LoginSID: i.login.SID, Client: i.request.Client.ID}}
			if browser := s.bearer(r); browser != nil {
				here = append(here, storage.ImpersonationFilter{Browser: browser, Client: i.request.Client.ID})
			}
			for _, f := range here {
				if err := tx.EndImpersonations(ctx, f, cause, now); err != nil {
					return err
				}
			}
		}
		remembered := maps.Clone(i.login.ContinueAsMe)
		if remembered == nil {
			remembered = storage.Remembered{}
		}
		maps.DeleteFunc(remembered, func(_ string, until storage.Time) bool { return until.Passed(now) })
		remembered[i.request.Client.ID] = storage.At(now.Add(rememberMe))
		return tx.RememberContinueAsMe(ctx, i.login.IDHash, remembered)
	})
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// continueAs starts an impersonation. A refusal is said on the page, with nothing
// lost of what was filled in.
func (s *Server) continueAs(w http.ResponseWriter, r *http.Request, i *interaction, situation provider.Situation, form url.Values) error {
	if err := i.request.CheckActing(form.Get("subject")); err != nil {
		return s.refuse(w, r, i, err)
	}
	ask := s.ask(i, form)
	err := s.approve(w, r, i, provider.As{Login: i.login, Scope: i.request.GetRequestedScopes(), Ask: &ask}, nil)
	denial, denied := impersonation.Denied(err)
	switch {
	case !denied:
		return err
	case denial == impersonation.DenyStepUp:
		return s.stepUp(w, r, i, form)
	case denial == impersonation.DenyPermission:
		return &pageErr{Status: http.StatusForbidden, Code: "impersonation_denied", Message: denial.Message(), Cause: denial}
	}
	s.logAnswer(r, statusOf(denial), "impersonation_denied", err)
	return s.showConsent(w, r, i, situation, form, statusOf(denial), err)
}

// stepUp keeps the form and asks for the password.
func (s *Server) stepUp(w http.ResponseWriter, r *http.Request, i *interaction, form url.Values) error {
	if err := s.keepDraft(r, i, form); err != nil {
		return err
	}
	redirect(w, "/login?interaction="+url.QueryEscape(i.id))
	return nil
}

// keepDraft keeps what was filled in until the page is shown again.
func (s *Server) keepDraft(r *http.Request, i *interaction, form url.Values) error {
	draft := url.Values{}
	for _, name := range draftFields {
		if v := form.Get(name); v != "" {
			draft.Set(name, v)
		}
	}
	return s.store.Write(r.Context(), func(tx *storage.Tx) error {
		return tx.DraftInteraction(r.Context(), i.row.IDHash, draft.Encode())
	})
}

func statusOf(d impersonation.Denial) int {
	switch d {
	case impersonation.DenyReason, impersonation.DenyTicketRef, impersonation.DenyAccess, impersonation.DenyDuration,
		impersonation.DenyOrganizationNeeds:
		return http.StatusBadRequest
	}
	if d.OfLimits() {
		return http.StatusTooManyRequests
	}
	return http.StatusForbidden
}

// ask reads what the form asks for.
func (s *Server) ask(i *interaction, form url.Values) impersonation.Ask {
	return s.askFor(i.login, i.request.Client, form.Get("subject"), "consent", form)
}

// showConsent renders the page with what was filled in, and what a rule said to it.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, i *interaction, situation provider.Situation, form url.Values, status int, refusals ...error) error {
	c := i.request.Client
	p := templates.ConsentPage{
		Page:       s.frame(r, i.login),
		SignOutURL: signOutURL(i),
		Action:     "/consent/" + url.PathEscape(i.id) + "?" + url.Values{shownTo: {i.login.User.ID}}.Encode(), ClientName: c.Name, ClientHost: i.request.GetRedirectURI().Host,
		ClientURL: c.ClientURI, PolicyURL: c.PolicyURI, TermsURL: c.TermsOfServiceURI,
		SelfRegistered: c.RegisteredWith != "" && !c.FirstParty,
		NeedsConsent:   i.request.NeedsConsent(situation.Consented), CanImpersonate: situation.MayAct,
		ContinueAs: cmp.Or(form.Get("continue_as"), "me"),
		Query:      form.Get("q"), Reason: form.Get("reason"), ReasonMin: impersonation.MinReason, ReasonMax: impersonation.MaxReason,
		TicketRef: form.Get("ticket_ref"), Access: cmp.Or(form.Get("access"), string(impersonation.ReadOnly)),
		ReadOnlyDeclared: len(c.ReadOnlyScopes) > 0,
	}
	for _, scope := range i.request.Asks() {
		p.Scopes = append(p.Scopes, describe(scope))
	}
	if situation.MayAct {
		p.Durations = durations(s.provider.Impersonation.Limits(), form.Get("duration"))
		if err := s.offerCandidates(r, i, form, &p); err != nil {
			return err
		}
	}
	if form.Get("action") == "find" && utf8.RuneCountInString(strings.TrimSpace(p.Query)) < impersonation.MinQuery {
		p.Searched = false
		p.Errors = append(p.Errors, templates.FieldError{Field: "q", Message: "Type at least 2 characters."})
	}
	for _, refusal := range refusals {
		d, _ := impersonation.Denied(refusal)
		p.Errors = append(p.Errors, templates.FieldError{Field: fieldOf(d), Message: impersonation.MessageOf(refusal)})
		p.AskApproval = p.AskApproval || d == impersonation.DenyApproval
	}
	policy := pagePolicy(originOf(i.request.GetRedirectURI().String()))
	if provider.CheckWebURI("logo_uri", c.LogoURI) == nil { // on this page only: the client's server learns who comes
		p.LogoURL, policy = c.LogoURI, strings.Replace(policy, "img-src 'self'", "img-src 'self' "+originOf(c.LogoURI), 1)
	}
	w.Header().Set("Content-Security-Policy", policy)
	return s.pages.Consent(w, status, p)
}

// offerCandidates fills in the users that a search found, and who was selected.
func (s *Server) offerCandidates(r *http.Request, i *interaction, form url.Values, p *templates.ConsentPage) error {
	ctx, now, ask := r.Context(), time.Now(), s.ask(i, form)
	ask.IP = s.info(r).IP
	found, more, err := s.provider.Impersonation.Search(ctx, ask, p.Query, now)
	if err != nil {
		return err
	}
	if more {
		p.More = 1
	}
	selected := func(c impersonation.Candidate) bool { return c.User.ID == ask.SubjectID }
	finding := form.Get("action") == "find" // then whoever was selected before and does not match is dropped
	if only := onlySelectable(found); finding && only != "" {
		ask.SubjectID = only
	}
	if ask.SubjectID != "" && !finding && !slices.ContainsFunc(found, selected) {
		c, err := s.provider.Impersonation.Candidate(ctx, ask, now)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if c != nil {
			found = append([]impersonation.Candidate{*c}, found...)
		}
	}
	p.Searched = p.Query != "" || len(found) > 0 // who was selected stays on the page
	for _, c := range found {
		shown := templates.Candidate{
			ID: c.User.ID, Name: c.User.DisplayName(), Email: c.User.Email,
			Selectable: c.Denial == "", Selected: selected(c) && c.Denial == "", Why: c.Message, Owed: owedOf(c.Owed),
		}
		for _, o := range c.Organizations {
			shown.Organizations = append(shown.Organizations, o.Name)
		}
		if shown.Selected {
			p.SubjectName = shown.Name
			p.Durations = capped(p.Durations, c.Owed.MaxDuration)
			if c.Owed.ReadOnly {
				p.Access = string(impersonation.ReadOnly)
			}
			p.Organizations = organizationsOf(c, ask.Organization)
		}
		p.Results = append(p.Results, shown)
	}
	return nil
}

// onlySelectable returns the id of the only one who may be selected, if there is one.
func onlySelectable(found []impersonation.Candidate) (id string) {
	for _, c := range found {
		switch {
		case c.Denial != "":
		case id != "":
			return ""
		default:
			id = c.User.ID
		}
	}
	return id
}

// organizationsOf are the choices of somebody who belongs to several.
func organizationsOf(c impersonation.Candidate, chosen string) []templates.Option {
	if len(c.Organizations) < 2 {
		return nil
	}
	options := []templates.Option{{Value: "", Selected: chosen == ""}}
	for _, o := range c.Organizations {
		options = append(options, templates.Option{Value: o.ID, Label: o.Name, Selected: o.ID == chosen})
	}
	return options
}

// durations are 15, 30 and 60 minutes as far as the limit goes, the default and the
// limit itself.
func durations(l impersonation.Limits, chosen string) []templates.DurationOption {
	most, usual := int(l.MaxDuration.Minutes()), int(l.DefaultDuration.Minutes())
	offered := []int{15, 30, 60, usual, most}
	slices.Sort(offered)
	picked, err := strconv.Atoi(chosen)
	if err != nil || !slices.Contains(offered, picked) {
		picked = usual
	}
	var options []templates.DurationOption
	for _, m := range slices.Compact(offered) {
		if m >= 1 && m <= most {
			options = append(options, templates.DurationOption{Minutes: m, Selected: m == picked})
		}
	}
	return options
}

// capped are the durations that the policy leaves, the longest of them where it leaves
// not the one that was chosen.
func capped(offered []templates.DurationOption, most time.Duration) []templates.DurationOption {
	if most == 0 {
		return offered
	}
	limit, picked := int(most.Minutes()), false
	var left []templates.DurationOption
	for _, d := range offered {
		if d.Minutes <= limit {
			left, picked = append(left, d), picked || d.Selected
		}
	}
	if len(left) == 0 || !picked && left[len(left)-1].Minutes < limit {
		left = append(left, templates.DurationOption{Minutes: limit})
	}
	if !picked {
		left[len(left)-1].Selected = true
	}
	return left
}

// owedOf is how a page says what the policy obliges to.
func owedOf(o impersonation.Obligations) templates.Owed {
	return templates.Owed{
		ReadOnly: o.ReadOnly, Minutes: int(o.MaxDuration.Minutes()), Scopes: strings.Join(o.Scopes, " "),
		Ticket: o.Ticket, TicketPattern: o.TicketPattern, SupportAccess: o.SupportAccess, Approval: o.Approval, Messages: o.Messages,
	}
}

// fieldOf is the field of the form that a rule is about.
func fieldOf(d impersonation.Denial) string {
	switch d {
	case impersonation.DenyReason:
		return "reason"
	case impersonation.DenyTicketRef:
		return "ticket_ref"
	case impersonation.DenyAccess:
		return "access"
	case impersonation.DenyDuration:
		return "duration"
	case impersonation.DenyOrganization, impersonation.DenyOrganizationNeeds:
		return "organization"
	}
	return "subject"
}

func personOf(u *storage.User) *templates.Person {
	return &templates.Person{Name: u.DisplayName(), Email: u.Email}
}

// describe says in plain words what a scope lets an application do.
func describe(scope string) templates.Scope {
	known := map[string][2]string{
		"openid":         {"Know who you are", "A name for you that stays the same."},
		"profile":        {"See your profile", "Name, picture, language, time zone and the like."},
		"email":          {"See your e-mail address", ""},
		"address":        {"See your postal address", ""},
		"phone":          {"See your phone number", ""},
		"offline_access": {"Stay signed in", "Also while you are not using it."},
	}
	if d, ok := known[scope]; ok {
		return templates.Scope{Name: scope, Title: d[0], Detail: d[1]}
	}
	return templates.Scope{Name: scope}
}
