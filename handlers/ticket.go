package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// redeem answers a request whose login_hint names a ticket: as the subject, without a
// further page, or not at all. It never answers as somebody else instead.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request, i *interaction, handle string) error {
	if slices.Contains(i.request.Prompt, "none") {
		return s.refuse(w, r, i, provider.ErrLoginRequired) // nobody may act without being seen to
	}
	now := time.Now()
	ask, err := s.provider.Impersonation.Redeem(r.Context(), handle, i.request.Client, i.login, s.info(r), now)
	if err != nil {
		return s.ticketRefused(r, handle, i.login, err)
	}
	if err := i.request.CheckActing(ask.SubjectID); err != nil {
		return s.refuse(w, r, i, err)
	}
	err = s.approve(w, r, i, provider.As{Login: i.login, Scope: i.request.GetRequestedScopes(), Ask: ask}, nil)
	return s.ticketRefused(r, handle, i.login, err)
}

// redeemInBrowser answers a request whose login_hint names a ticket that needs no
// sign-in, in the browser that has taken it. It reports whether it did: any other
// ticket is its actor's, who signs in first.
func (s *Server) redeemInBrowser(w http.ResponseWriter, r *http.Request, i *interaction, handle string) (bool, error) {
	if i.login != nil && s.cookie(r, bearerCookie) == "" {
		return false, nil // as mostly: theirs, or nobody's
	}
	t, err := s.store.TicketNamed(r.Context(), handle)
	if errors.Is(err, storage.ErrNotFound) || err == nil && t.Binding != storage.BindingBearer {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if slices.Contains(i.request.Prompt, "none") {
		return true, s.refuse(w, r, i, provider.ErrLoginRequired) // nobody may act without being seen to
	}
	ask, err := s.provider.Impersonation.RedeemInBrowser(r.Context(), t, i.request.Client, s.bearer(r), s.info(r), time.Now())
	if err != nil {
		return true, s.ticketRefused(r, handle, nil, err)
	}
	if err := i.request.CheckUnseen(t.SubjectID); err != nil {
		return true, s.refuse(w, r, i, err)
	}
	err = s.approve(w, r, i, provider.As{Scope: i.request.GetRequestedScopes(), Ask: ask}, nil)
	return true, s.ticketRefused(r, handle, nil, err)
}

// ticketRefused is what a person reads whose ticket a rule refused, with the way back
// to where they may ask again, if they are signed in. Any other error stays what it is.
func (s *Server) ticketRefused(r *http.Request, handle string, by *storage.Login, err error) error {
	denial, denied := impersonation.Denied(err)
	if !denied {
		return err
	}
	e := &pageErr{
		Status: statusOf(denial), Code: "impersonation_denied", Heading: "Nothing has started", Message: impersonation.MessageOf(err), Cause: err,
	}
	if by == nil {
		return e
	}
	e.BackURL, e.BackLabel = "/admin/users", "Back to the console"
	t, err := s.store.TicketNamed(r.Context(), handle)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return err
	case t.ActorID == by.User.ID:
		e.BackURL, e.BackLabel = askAgain(t.SubjectID, t.ClientID), "Ask again"
	}
	return e
}

// askAgain is where staff ask to sign in as a user at a client.
func askAgain(subjectID, clientID string) string {
	return "/admin/users/" + url.PathEscape(subjectID) + "?" + url.Values{"dialog": {"impersonate"}, "client_id": {clientID}}.Encode()
}

// showWaiting asks somebody whose application lost the login_hint whether they meant
// to go on as who they asked for: nothing starts, and nothing is answered, silently.
func (s *Server) showWaiting(w http.ResponseWriter, r *http.Request, i *interaction) error {
	now := time.Now()
	waiting, err := s.store.PendingTickets(r.Context(), i.login.SID, i.request.Client.ID, now)
	if err != nil {
		return err
	}
	p := templates.WaitingPage{
		Page: s.frame(r, i.login), Action: "/consent/" + url.PathEscape(i.id) + "?" + url.Values{shownTo: {i.login.User.ID}}.Encode(),
		ClientName: i.request.Client.Name, ClientHost: i.request.GetRedirectURI().Host,
	}
	for _, scope := range i.request.GetRequestedScopes() {
		p.Scopes = append(p.Scopes, describe(scope))
	}
	for _, t := range waiting {
		subject, err := s.store.User(r.Context(), t.SubjectID)
		if err != nil {
			return err
		}
		p.Tickets = append(p.Tickets, templates.WaitingTicket{
			ID: t.ID, SubjectName: subject.DisplayName(), SubjectEmail: subject.Email, Reason: t.Reason, TicketRef: t.TicketRef,
			Access: t.Access, Lasts: time.Duration(t.Duration) * time.Microsecond,
		})
	}
	w.Header().Set("Content-Security-Policy", pagePolicy(originOf(i.request.GetRedirectURI().String())))
	return s.pages.Waiting(w, http.StatusOK, p)
}

// chooseWaiting takes what the person chose: the id of a ticket, "me" or "deny".
func (s *Server) chooseWaiting(w http.ResponseWriter, r *http.Request, i *interaction, situation provider.Situation, choice string) error {
	switch {
	case choice == "me":
		return s.continueAsMe(w, r, i, situation)
	case choice == "deny":
		err := s.store.Write(r.Context(), func(tx *storage.Tx) error {
			by := storage.Cause{By: i.login.User.ID, Request: s.info(r)}
			return impersonation.Withdraw(r.Context(), tx, i.login.SID, i.request.Client.ID, by, time.Now())
		})
		if err != nil {
			return err
		}
		return s.refuse(w, r, i, provider.ErrAccessDenied)
	case impersonation.IsHandle(choice):
		return s.redeem(w, r, i, choice)
	}
	return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The form is malformed."}
}

// deliver takes the browser into the application with a ticket that is its own. Nobody
// is signed in where the ticket needs no sign-in.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, login *storage.Login, t *storage.Ticket) error {
	c, err := s.store.Client(r.Context(), t.ClientID)
	if err != nil {
		return err
	}
	if t.ResponseType == "" {
		to, err := s.provider.StartURL(c, t)
		if err != nil {
			return undelivered(err)
		}
		redirect(w, to)
		return nil
	}
	request, err := s.provider.Unasked(r.Context(), t, time.Now())
	err = undelivered(err)
	if err == nil {
		err = request.Err
	}
	if err != nil {
		return err
	}
	var ask *impersonation.Ask
	if login != nil {
		ask = impersonation.AskOf(t, c, login)
	} else if ask, err = s.provider.Impersonation.AskInBrowser(r.Context(), t, c); err != nil {
		return err
	}
	err = s.approve(w, r, &interaction{request: request, login: login}, provider.As{Login: login, Scope: request.GetRequestedScopes(), Ask: ask}, nil)
	return s.ticketRefused(r, t.ID, login, err)
}

// undelivered is what a person reads whom a ticket takes nowhere. Any other error stays
// what it is.
func undelivered(err error) error {
	if why, ok := errors.AsType[provider.Undeliverable](err); ok {
		return &pageErr{Status: http.StatusConflict, Code: "undeliverable", Heading: "Nothing has started", Message: why.Message(), Cause: err}
	}
	return err
}

// linkPrefix begins the token of a one-time link.
const linkPrefix = "utl_"

// errLink is the one answer to a link that was used, has expired, or was never made.
var errLink = &pageErr{
	Status: http.StatusNotFound, Code: "link_invalid", Heading: "This link is not valid any more",
	Message: "It works once, and for a short time.", Advice: "Ask for another one where you got it.",
}

// linked returns the ticket of a one-time link for the person in front of the browser:
// the one who asked for it, in any browser. Nobody signed in is sent to the login page,
// and the ticket is nil. That somebody else has it is on the record; when they press the
// button it is withdrawn (SECURITY A20, A21; docs/adr/0018-looking-at-a-link-of-somebody-else.md).
func (s *Server) linked(w http.ResponseWriter, r *http.Request) (*storage.Ticket, *storage.Login, error) {
	l, err := s.currentLogin(r)
	if err != nil {
		return nil, nil, err
	}
	if l == nil {
		s.signInFirst(w, r.URL.EscapedPath())
		return nil, nil, nil
	}
	now := time.Now()
	t, err := s.store.Ticket(r.Context(), storage.Hash(r.PathValue("ticket")))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil, errLink
	case err != nil:
		return nil, nil, err
	case t.Delivery != provider.DeliveryLink:
		return nil, nil, errLink
	case t.ActorID != l.User.ID:
		refuse := s.provider.Impersonation.Seen
		if r.Method == http.MethodPost {
			refuse = s.provider.Impersonation.Foreign
		}
		return nil, nil, s.ticketRefused(r, t.ID, l, refuse(r.Context(), t, l.User.ID, s.info(r), now))
	case !t.Pending(now), t.LoginSID != "":
		return nil, nil, errLink
	}
	return t, l, nil
}

// linkForm shows what a one-time link leads to. Opening it spends nothing.
func (s *Server) linkForm(w http.ResponseWriter, r *http.Request) error {
	if t, err := s.bearerLink(r); err != nil || t != nil {
		if err != nil {
			return err
		}
		return s.showLink(w, r, t, nil, http.StatusOK, "")
	}
	t, l, err := s.linked(w, r)
	if err != nil || t == nil {
		return err
	}
	return s.showLink(w, r, t, l, http.StatusOK, "")
}

// showLink shows who will act as whom, where and why. Nobody is signed in where the
// ticket needs no sign-in.
func (s *Server) showLink(w http.ResponseWriter, r *http.Request, t *storage.Ticket, l *storage.Login, status int, problem string) error {
	actor, err := s.store.User(r.Context(), t.ActorID)
	if err != nil {
		return err
	}
	subject, err := s.store.User(r.Context(), t.SubjectID)
	if err != nil {
		return err
	}
	c, err := s.store.Client(r.Context(), t.ClientID)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", pagePolicy(strings.Join(provider.Targets(c), " ")))
	return s.pages.Link(w, status, templates.LinkPage{
		Page: s.frame(r, l), Action: r.URL.EscapedPath(), ActorName: actor.DisplayName(), SubjectName: subject.DisplayName(), SubjectEmail: subject.Email,
		ClientName: c.Name, Reason: t.Reason, TicketRef: t.TicketRef, Access: t.Access, Lasts: time.Duration(t.Duration) * time.Microsecond,
		EndsAt: t.ExpiresAt.Time(), Now: time.Now(), Bearer: l == nil, Confirm: l != nil && s.mustConfirm(l), Problem: problem,
	})
}

// link binds the ticket to this browser and takes it into the application.
func (s *Server) link(w http.ResponseWriter, r *http.Request) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if t, err := s.bearerLink(r); err != nil || t != nil {
		if err != nil {
			return err
		}
		return s.bear(w, r, t)
	}
	t, l, err := s.linked(w, r)
	if err != nil || t == nil {
		return err
	}
	ok, problem, err := s.confirmed(w, r, l, form.Get("password"))
	if err != nil {
		return err
	}
	if !ok {
		return s.showLink(w, r, t, l, http.StatusUnauthorized, problem)
	}
	if l, err = s.currentLogin(r); err != nil { // under a new id, if the password was shown
		return err
	}
	now := time.Now()
	expires := now.Add(impersonation.TicketLifetime)
	err = s.store.Write(r.Context(), func(tx *storage.Tx) error { return tx.BindTicket(r.Context(), t.ID, l.SID, now, expires) })
	if errors.Is(err, storage.ErrSpent) {
		return errLink
	}
	if err != nil {
		return err
	}
	t.LoginSID, t.BoundAt, t.ExpiresAt = l.SID, storage.At(now), storage.At(expires)
	return s.deliver(w, r, l, t)
}
