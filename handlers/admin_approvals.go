package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// How often the page of somebody who waits for approval looks again: soon at first.
const (
	lookSoon  = 5 * time.Second
	lookLater = time.Minute
	soon      = 15 * time.Minute
)

// requestApproval asks for a second person's approval of what a form asks for, where the
// form itself was refused for want of it.
func (s *Server) requestApproval(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	u, err := s.target(r, st, impersonation.PermissionStart)
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
	login, message, err := s.showedPassword(w, r, st.Login, form)
	if err != nil {
		return err
	}
	if login == nil {
		p.Confirm, p.ApprovalURL = true, approvalURL(u.ID)
		return refuse(http.StatusUnauthorized, "password", message)
	}
	ask := s.askFor(login, client, u.ID, "console", form)
	request, err := s.provider.Impersonation.RequestApproval(r.Context(), ask, s.info(r), time.Now())
	if err == nil {
		redirect(w, "/admin/approvals/"+url.PathEscape(request.ID)+"?done=approval_requested")
		return nil
	}
	denial, denied := impersonation.Denied(err)
	switch {
	case denied:
		return refuse(statusOf(denial), fieldOf(denial), impersonation.MessageOf(err))
	case errors.Is(err, impersonation.ErrNoApproval):
		return refuse(http.StatusConflict, "subject", "Nobody has to approve this. Sign in.")
	case errors.Is(err, impersonation.ErrApprovalsWaiting):
		p.ApprovalURL = approvalURL(u.ID)
		return refuse(http.StatusTooManyRequests, "subject", "Enough of your requests wait for approval already. Withdraw one first.")
	}
	return err
}

// approvalURL is where staff ask for approval to sign in as a user.
func approvalURL(userID string) string {
	return "/admin/users/" + url.PathEscape(userID) + "/request-approval"
}

// showedPassword returns who is signed in, under a new id if they have shown their
// password with the form; nil where they have to, with what to say at the field.
func (s *Server) showedPassword(w http.ResponseWriter, r *http.Request, l *storage.Login, form url.Values) (*storage.Login, string, error) {
	ok, message, err := s.confirmed(w, r, l, form.Get("password"))
	if err != nil || !ok {
		return nil, message, err
	}
	l, err = s.currentLogin(r)
	return l, "", err
}

// approvals lists what waits for the person's decision, and what they may see besides.
func (s *Server) approvals(w http.ResponseWriter, r *http.Request, st *staff) error {
	const here = "/admin/impersonations/approvals"
	ctx, now := r.Context(), time.Now()
	p := templates.ApprovalsPage{Page: s.consoleFrame(r, st), MayDecide: st.standing.MayAnywhere(impersonation.PermissionApprove), Now: now}
	part, err := span(r)
	if err != nil {
		return err
	}
	if p.Tabs, err = s.impersonationTabs(r, st, here); err != nil {
		return err
	}
	var waiting []storage.Approval
	if p.MayDecide {
		if waiting, err = s.store.Approvals(ctx, waitingFor(st, maxShownRunning), now); err != nil {
			return err
		}
	}
	found, err := s.store.Approvals(ctx, storage.ApprovalFilter{
		NotSubject: st.User.ID, Organizations: st.seesApprovalsWithin(), OrActor: st.User.ID, Before: part.Before, Limit: pageSize + 1,
	}, now)
	if err != nil {
		return err
	}
	if len(found) > pageSize {
		found = found[:pageSize]
		last := found[pageSize-1]
		p.OlderURL, _ = neighbours(here, part, storage.Mark{}, storage.Mark{Time: last.CreatedAt, ID: last.ID}, true)
	}
	if part.Before.Set() {
		p.NewestURL = here
	}
	shown, err := s.shownApprovals(r, slices.Concat(waiting, found), now)
	if err != nil {
		return err
	}
	p.Waiting, p.List = shown[:len(waiting)], shown[len(waiting):]
	return s.pages.Approvals(w, http.StatusOK, p)
}

// waitingFor selects what somebody of staff may decide about.
func waitingFor(st *staff, limit int) storage.ApprovalFilter {
	return storage.ApprovalFilter{
		Status: storage.ApprovalPending, Live: true, NotActor: st.User.ID, NotSubject: st.User.ID,
		Organizations: st.within(impersonation.PermissionApprove), Limit: limit,
	}
}

// waitingCount is how much waits for the person's decision.
func (s *Server) waitingCount(r *http.Request, st *staff) (int, error) {
	if !st.standing.MayAnywhere(impersonation.PermissionApprove) {
		return 0, nil
	}
	return s.store.CountApprovals(r.Context(), waitingFor(st, 0), time.Now())
}

// seesApprovalsWithin are the organizations whose approvals a person may see, beside
// their own. Nil: all.
func (st *staff) seesApprovalsWithin() []string {
	decides, reads := st.within(impersonation.PermissionApprove), st.within(impersonation.PermissionRead)
	if decides == nil || reads == nil {
		return nil
	}
	return append(decides, reads...)
}

// shownApprovals returns how a page shows them, with the names of everybody.
func (s *Server) shownApprovals(r *http.Request, found []storage.Approval, now time.Time) ([]templates.Approval, error) {
	var users, clients, organizations []string
	for _, a := range found {
		users = append(users, a.ActorID, a.SubjectID, a.DecidedBy)
		clients, organizations = append(clients, a.ClientID), append(organizations, a.OrganizationID)
	}
	names, err := s.store.NamesOf(r.Context(), users, clients, organizations)
	if err != nil {
		return nil, err
	}
	shown := make([]templates.Approval, 0, len(found))
	for _, a := range found {
		status := string(a.Status)
		if a.Expired(now) {
			status = "expired"
		}
		shown = append(shown, templates.Approval{
			ID: a.ID, URL: "/admin/approvals/" + url.PathEscape(a.ID), ActorName: names.User(a.ActorID), SubjectName: names.User(a.SubjectID),
			ClientName: names.Client(a.ClientID), Organization: names.Organization(a.OrganizationID), Reason: a.Reason, TicketRef: a.TicketRef,
			Access: a.Access, Lasts: lasts(&a), Status: status, Rule: a.Rule, AskedBy: a.RequestedBy, DecidedBy: names.User(a.DecidedBy), Note: a.Note,
			AskedAt: a.CreatedAt.Time(), EndsAt: a.ExpiresAt.Time(),
		})
	}
	return shown, nil
}

func lasts(a *storage.Approval) time.Duration { return time.Duration(a.Duration) * time.Microsecond }

// seenApproval returns an approval that staff may look at: their own, or one within reach
// of what they may decide or read. Any other is as good as none, and so is one about
// themselves: who is acted as does not decide it here.
func (s *Server) seenApproval(r *http.Request, st *staff) (*storage.Approval, error) {
	a, err := s.store.Approval(r.Context(), r.PathValue("approval"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	if err != nil {
		return nil, err
	}
	sees := st.standing.May(impersonation.PermissionApprove, a.OrganizationID) || st.standing.May(impersonation.PermissionRead, a.OrganizationID)
	if a.SubjectID == st.User.ID || a.ActorID != st.User.ID && !sees {
		return nil, errNoPage
	}
	return a, nil
}

// approval shows one: to its actor as what they wait for, to others as what they may
// decide.
func (s *Server) approval(w http.ResponseWriter, r *http.Request, st *staff) error {
	a, err := s.seenApproval(r, st)
	if err != nil {
		return err
	}
	return s.showApproval(w, r, st, a, http.StatusOK, "", nil)
}

func (s *Server) showApproval(w http.ResponseWriter, r *http.Request, st *staff, a *storage.Approval, status int, note string, wrong []templates.FieldError) error {
	p, err := s.approvalPage(w, r, st.Login, a)
	if err != nil {
		return err
	}
	p.Page, p.NoteText, p.Errors = s.consoleFrame(r, st), note, wrong
	if a.ImpersonationID != "" {
		p.ImpersonationURL = "/admin/impersonations/" + url.PathEscape(a.ImpersonationID)
	}
	now := time.Now()
	switch {
	case p.Mine:
		if a.Usable(now) {
			p.StartURL = "/admin/users/" + url.PathEscape(a.SubjectID) + "/impersonate"
		}
		if a.Pending(now) || a.Usable(now) {
			p.WithdrawURL = p.URL + "/withdraw"
		} else {
			p.AgainURL = askAgain(a.SubjectID, a.ClientID)
		}
	case a.Pending(now) && st.standing.May(impersonation.PermissionApprove, a.OrganizationID):
		p.DecideURL, p.Confirm, p.NoteMax = p.URL, s.mustConfirm(st.Login), impersonation.MaxReason
	}
	return s.pages.Approval(w, status, p)
}

// approvalPage prepares the page about an approval. The page of whoever waits for it
// looks again by itself, also where there is no script.
func (s *Server) approvalPage(w http.ResponseWriter, r *http.Request, l *storage.Login, a *storage.Approval) (templates.ApprovalPage, error) {
	ctx, now := r.Context(), time.Now()
	p := templates.ApprovalPage{Mine: a.ActorID == l.User.ID, Now: now}
	shown, err := s.shownApprovals(r, []storage.Approval{*a}, now)
	if err != nil {
		return p, err
	}
	p.Approval = shown[0]
	subject, err := s.store.User(ctx, a.SubjectID)
	if err != nil {
		return p, err
	}
	p.SubjectEmail = subject.Email
	settings, said, err := s.store.ImpersonationTerms(ctx, a.SubjectID)
	if err != nil {
		return p, err
	}
	switch {
	case settings.Support == storage.SupportManaged:
		p.Support = "managed"
	case said == nil:
	case said.ExpiresAt.Passed(now):
		p.Support = "over"
	default:
		p.Support, p.SupportEndsAt, p.SupportTicketRef = string(said.Mode), said.ExpiresAt.Time(), said.TicketRef
	}
	if !p.Mine {
		return p, nil
	}
	if a.Pending(now) {
		every := lookSoon
		if now.Sub(a.CreatedAt.Time()) > soon {
			every = lookLater
		}
		w.Header().Set("Refresh", strconv.Itoa(int(every/time.Second)))
	}
	if a.Usable(now) {
		c, err := s.store.Client(ctx, a.ClientID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return p, err
		}
		if c != nil {
			w.Header().Set("Content-Security-Policy", pagePolicy(strings.Join(provider.Targets(c), " ")))
		}
		p.StartFields = startFields(a)
	}
	return p, nil
}

// startFields are the fields with which a form asks for exactly what was approved.
func startFields(a *storage.Approval) []templates.HiddenField {
	return []templates.HiddenField{
		{Name: "client_id", Value: a.ClientID},
		{Name: "organization", Value: a.OrganizationID},
		{Name: "reason", Value: a.Reason},
		{Name: "ticket_ref", Value: a.TicketRef},
		{Name: "access", Value: a.Access},
		{Name: "duration", Value: strconv.Itoa(int(lasts(a) / time.Minute))},
	}
}

// approve and deny decide about a request.
func (s *Server) approveApproval(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.decideApproval(w, r, st, true)
}

func (s *Server) denyApproval(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.decideApproval(w, r, st, false)
}

func (s *Server) decideApproval(w http.ResponseWriter, r *http.Request, st *staff, approved bool) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	a, err := s.store.Approval(r.Context(), r.PathValue("approval"))
	if errors.Is(err, storage.ErrNotFound) {
		return errNoPage
	}
	if err != nil {
		return err
	}
	wrong := func(status int, field, message string) error {
		return s.showApproval(w, r, st, a, status, form.Get("note"), []templates.FieldError{{Field: field, Message: message}})
	}
	by := impersonation.Approver{ID: st.User.ID, User: &st.User, Standing: st.standing, AuthTime: time.Now()}
	if err := impersonation.MayDecide(a, by, nil, nil, time.Now()); errors.Is(err, storage.ErrNotFound) {
		return errNoPage // before anything is said about it
	}
	note, ok := impersonation.CleanNote(form.Get("note"))
	if !ok {
		return wrong(http.StatusBadRequest, "note", "The note is too long, or has characters that cannot be shown.")
	}
	login, message, err := s.showedPassword(w, r, st.Login, form)
	if err != nil {
		return err
	}
	if login == nil {
		return wrong(http.StatusUnauthorized, "password", message)
	}
	by.AuthTime = login.AuthTime.Time()
	_, err = s.provider.Impersonation.DecideApproval(r.Context(), a.ID, approved, note, by, s.info(r), time.Now())
	refusal, refused := errors.AsType[impersonation.Refusal](err)
	switch {
	case refused:
		return &pageErr{
			Status: http.StatusForbidden, Code: "approval_refused", Heading: "You cannot decide about this", Message: refusal.Message(), Cause: err,
			BackURL: "/admin/impersonations/approvals", BackLabel: "Approvals",
		}
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case errors.Is(err, storage.ErrSpent):
		return errDecided
	case err != nil:
		return err
	}
	done := map[bool]string{true: "approval_given", false: "approval_denied"}[approved]
	redirect(w, "/admin/approvals/"+url.PathEscape(a.ID)+"?done="+done)
	return nil
}

// errDecided answers who comes too late.
var errDecided = &pageErr{
	Status: http.StatusConflict, Code: "already_decided", Heading: "This request is no longer open",
	Message: "It was decided or withdrawn before, or waited for too long.", BackURL: "/admin/impersonations/approvals", BackLabel: "Approvals",
}

// withdrawApproval takes back what the person asked for.
func (s *Server) withdrawApproval(w http.ResponseWriter, r *http.Request, st *staff) error {
	id := r.PathValue("approval")
	err := s.provider.Impersonation.WithdrawApproval(r.Context(), id, st.User.ID, s.info(r), time.Now())
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case errors.Is(err, storage.ErrSpent):
		return errDecided
	case err != nil:
		return err
	}
	redirect(w, "/admin/approvals/"+url.PathEscape(id))
	return nil
}
