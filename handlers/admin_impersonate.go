package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// impersonateForm shows the dialog with which staff sign in as a user. What a link
// from elsewhere suggests is filled in, and marked; nothing is ever sent by it, and
// the reason is the person's own (SECURITY E07).
func (s *Server) impersonateForm(w http.ResponseWriter, r *http.Request, st *staff) error {
	u, err := s.target(r, st, impersonation.PermissionStart)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	suggested := url.Values{"client_id": {q.Get("client_id")}, "ticket_ref": {q.Get("ticket")}}
	p, err := s.impersonatePage(w, r, st, u.User, suggested)
	if err != nil {
		return err
	}
	p.Suggested = q.Get("ticket") != "" || q.Get("reason_code") != ""
	if code := q.Get("reason_code"); reasonCode.MatchString(code) {
		p.ReasonCode = code
	}
	return s.pages.Impersonate(w, http.StatusOK, p)
}

// reasonCode is what a help desk may name a reason by.
var reasonCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$`)

// impersonate issues a ticket for what staff ask, and takes the browser into the
// application with it.
func (s *Server) impersonate(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	u, err := s.target(r, st, impersonation.PermissionStart)
	if errors.Is(err, errNoPage) { // out of reach, or nobody: it was tried, and is on the record (SECURITY A01)
		ask := impersonation.Ask{Actor: &st.User, Client: &storage.Client{}, SubjectID: r.PathValue("id"), Entry: "console"}
		return errors.Join(s.provider.Impersonation.Denied(r.Context(), ask, impersonation.DenySubject, s.info(r), time.Now()), err)
	}
	if err != nil {
		return err
	}
	p, err := s.impersonatePage(w, r, st, u.User, form)
	if err != nil {
		return err
	}
	refuse := func(status int, field, message string) error {
		p.Errors = append(p.Errors, templates.FieldError{Field: field, Message: message})
		return s.pages.Impersonate(w, status, p)
	}
	client, err := s.chosenClient(r.Context(), form.Get("client_id"))
	if err != nil {
		return err
	}
	if client == nil {
		return refuse(http.StatusBadRequest, "client_id", "Choose an application.")
	}
	ok, message, err := s.confirmed(w, r, st.Login, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		p.Confirm = true
		return refuse(http.StatusUnauthorized, "password", message)
	}
	login, err := s.currentLogin(r) // under a new id, if the password was shown
	if err != nil {
		return err
	}
	ask := s.askFor(login, client, u.ID, "console", form)
	t := &storage.Ticket{Binding: "actor_session", Delivery: client.Delivery, LoginSID: login.SID}
	token := provider.NewSecret(linkPrefix)
	t.TokenHash = storage.Hash(token)
	field, problem, err := s.address(r.Context(), client, t, form)
	if err != nil {
		return err
	}
	if problem != "" {
		return refuse(http.StatusBadRequest, field, problem)
	}
	err = s.provider.Impersonation.Issue(r.Context(), ask, t, s.info(r), time.Now())
	if denial, denied := impersonation.Denied(err); denied {
		s.logAnswer(r, statusOf(denial), "impersonation_denied", err)
		if denial == impersonation.DenySupportAccess {
			p.RequestURL = "/admin/users/" + url.PathEscape(u.ID) + "/request-access"
		}
		if denial == impersonation.DenyApproval {
			p.ApprovalURL = approvalURL(u.ID)
		}
		return refuse(statusOf(denial), fieldOf(denial), impersonation.MessageOf(err))
	}
	if err != nil {
		return err
	}
	if t.Delivery == provider.DeliveryLink {
		p.Link, p.LinkEndsAt = s.ticketURL(token), t.ExpiresAt.Time()
		p.ClientName, p.Now = client.Name, time.Now()
		return s.pages.Impersonate(w, http.StatusOK, p)
	}
	return s.deliver(w, r, login, t)
}

// requestAccess asks the user for permission, where the form to sign in as them was
// refused for want of it.
func (s *Server) requestAccess(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	u, err := s.target(r, st, impersonation.PermissionStart)
	if err != nil {
		return err
	}
	client, err := s.chosenClient(r.Context(), form.Get("client_id"))
	if err != nil {
		return err
	}
	ask := s.askFor(st.Login, client, u.ID, "console", form)
	_, err = s.provider.Impersonation.RequestSupport(r.Context(), ask, s.info(r), time.Now())
	if err == nil {
		redirect(w, "/admin/impersonations/requests?done=access_requested")
		return nil
	}
	var message string
	field, status := "subject", http.StatusConflict
	denial, denied := impersonation.Denied(err)
	switch {
	case denied:
		field, message, status = fieldOf(denial), impersonation.MessageOf(err), statusOf(denial)
	case errors.Is(err, impersonation.ErrManaged):
		message = "Users are not asked here: an administrator decides for everybody."
	case errors.Is(err, impersonation.ErrAsked):
		message = "You have asked this user already. Wait for the answer."
	default:
		return err
	}
	p, err := s.impersonatePage(w, r, st, u.User, form)
	if err != nil {
		return err
	}
	p.Errors = []templates.FieldError{{Field: field, Message: message}}
	return s.pages.Impersonate(w, status, p)
}

// chosenClient returns the client that a form names, nil where there is none.
func (s *Server) chosenClient(ctx context.Context, id string) (*storage.Client, error) {
	c, err := s.store.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return c, err
}

// address fills in how a ticket gets to the client. What is wrong with the choice is
// said at a field.
func (s *Server) address(ctx context.Context, c *storage.Client, t *storage.Ticket, form url.Values) (field, problem string, err error) {
	if target := form.Get("target_link_uri"); target != "" {
		if !provider.OwnTarget(c, target) {
			return "target_link_uri", "This is no address of the application.", nil
		}
		t.TargetLinkURI = target
	}
	if form.Get("delivery") == provider.DeliveryLink || c.Delivery == provider.DeliveryLink {
		t.Delivery, t.LoginSID = provider.DeliveryLink, ""
	}
	if c.Delivery != provider.DeliveryCallback {
		return "", "", nil
	}
	err = s.provider.Callback(ctx, c, t, provider.CallbackChoice{
		RedirectURI: form.Get("redirect_uri"), ResponseType: form.Get("response_type"),
		ResponseMode: form.Get("response_mode"), State: form.Get("state"),
	})
	if why, ok := errors.AsType[provider.Undeliverable](err); ok {
		return "client_id", why.Message(), nil
	}
	if err != nil && provider.AsError(err).Status < http.StatusInternalServerError {
		return "callback", "The application cannot be answered like this: check the callback URL, the response type and mode, and the state.", nil
	}
	return "", "", err
}

// askFor reads what a form asks for.
func (s *Server) askFor(login *storage.Login, c *storage.Client, subjectID, entry string, form url.Values) impersonation.Ask {
	ask := impersonation.Ask{
		Actor: &login.User, ActorLogin: &login.LoginSession, Client: c, Entry: entry, SubjectID: subjectID, Organization: form.Get("organization"),
		Reason: form.Get("reason"), TicketRef: form.Get("ticket_ref"),
		Access: impersonation.Access(cmp.Or(form.Get("access"), string(impersonation.ReadOnly))),
	}
	ask.Duration = s.provider.Impersonation.Limits().DefaultDuration
	if text := form.Get("duration"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 0 || minutes > 24*60 {
			minutes = 0 // out of every limit
		}
		ask.Duration = time.Duration(minutes) * time.Minute
	}
	return ask
}

// impersonatePage prepares the dialog with what was filled in.
func (s *Server) impersonatePage(w http.ResponseWriter, r *http.Request, st *staff, u *storage.User, form url.Values) (templates.ImpersonatePage, error) {
	ctx, now := r.Context(), time.Now()
	p := templates.ImpersonatePage{
		Page: s.consoleFrame(r, st), Action: "/admin/users/" + url.PathEscape(u.ID) + "/impersonate", CloseURL: "/admin/users/" + url.PathEscape(u.ID),
		SubjectName: u.DisplayName(), SubjectEmail: u.Email, ActorName: st.User.DisplayName(),
		Reason: form.Get("reason"), ReasonMin: impersonation.MinReason, ReasonMax: impersonation.MaxReason, TicketRef: form.Get("ticket_ref"),
		Access:    cmp.Or(form.Get("access"), string(impersonation.ReadOnly)),
		Durations: durations(s.provider.Impersonation.Limits(), form.Get("duration")),
		TargetURI: form.Get("target_link_uri"), State: form.Get("state"), ResponseMode: form.Get("response_mode"),
		ResponseType: form.Get("response_type"), RedirectURI: form.Get("redirect_uri"), Confirm: s.mustConfirm(st.Login),
	}
	candidate, err := s.provider.Impersonation.Candidate(ctx, impersonation.Ask{
		Actor: &st.User, SubjectID: u.ID, Organization: form.Get("organization"), Entry: "console", IP: s.info(r).IP, Client: &storage.Client{Status: storage.ClientActive, AllowImpersonation: true},
	}, now)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return p, err
	}
	if within := st.within(impersonation.PermissionStart); candidate != nil && within != nil { // they see no further than they may act
		candidate.Organizations = slices.DeleteFunc(candidate.Organizations, func(o storage.Organization) bool { return !slices.Contains(within, o.ID) })
	}
	if candidate != nil {
		p.Organizations = organizationsOf(*candidate, form.Get("organization"))
		if candidate.Denial != "" {
			p.Refused = candidate.Message
		}
		p.Owed, p.Durations = owedOf(candidate.Owed), capped(p.Durations, candidate.Owed.MaxDuration)
		if candidate.Owed.ReadOnly {
			p.Access = string(impersonation.ReadOnly)
		}
	}
	on, err := s.store.ImpersonationEnabled(ctx)
	if err != nil {
		return p, err
	}
	if !on {
		p.Refused = impersonation.DenySwitchedOff.Message()
	}
	return p, s.offerClients(w, r, st, candidate, form.Get("client_id"), &p)
}

// offerClients fills in the applications that can be opened as the user, and why the
// others cannot. The answer to the form is a redirect into one of them, which the
// page's policy has to let pass.
func (s *Server) offerClients(w http.ResponseWriter, r *http.Request, st *staff, candidate *impersonation.Candidate, chosen string, p *templates.ImpersonatePage) error {
	clients, err := s.store.Clients(r.Context())
	if err != nil {
		return err
	}
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{Actor: st.User.ID, Running: true}, time.Now())
	if err != nil {
		return err
	}
	var theirs []string
	if candidate != nil {
		for _, o := range candidate.Organizations {
			theirs = append(theirs, o.ID)
		}
	}
	var targets []string
	for _, c := range clients {
		err := provider.Deliverable(&c, theirs)
		if why, ok := errors.AsType[provider.Undeliverable](err); ok {
			p.Missing = append(p.Missing, templates.MissingClient{Name: c.Name, Why: why.Message()})
			continue
		}
		if slices.ContainsFunc(running, func(i storage.Impersonation) bool { return i.ClientID == c.ID }) {
			p.Missing = append(p.Missing, templates.MissingClient{Name: c.Name, Why: "You are acting as someone there already."})
			continue
		}
		targets = append(targets, provider.Targets(&c)...)
		p.Clients = append(p.Clients, templates.Option{Value: c.ID, Label: c.Name, Selected: c.ID == chosen})
		if c.Delivery == provider.DeliveryCallback {
			p.Callbacks = append(p.Callbacks, templates.CallbackClient{Name: c.Name, RedirectURIs: c.RedirectURIs, ResponseTypes: c.ResponseTypes})
		}
	}
	// Nobody is led into another application than the one they meant.
	p.Unavailable = chosen != "" && !slices.ContainsFunc(p.Clients, func(o templates.Option) bool { return o.Selected })
	if p.Choose = p.Unavailable && len(p.Clients) > 0 || chosen == "" && len(p.Clients) > 1; p.Choose {
		p.Clients = append([]templates.Option{{Label: "Choose…", Selected: true}}, p.Clients...)
	}
	if !st.may(impersonation.PermissionStart) {
		p.Missing = nil // what other applications there are is not theirs to know
	}
	slices.Sort(targets)
	policy := strings.Join(slices.Compact(targets), " ")
	w.Header().Set("Content-Security-Policy", pagePolicy(policy))
	return nil
}
