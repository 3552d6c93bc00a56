package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// askApproval asks for a second person's approval of what the consent page's form asks
// for, and has the person wait for it in front of the application's request.
func (s *Server) askApproval(w http.ResponseWriter, r *http.Request, i *interaction, situation provider.Situation, form url.Values) error {
	request, err := s.provider.Impersonation.RequestApproval(r.Context(), s.ask(i, form), s.info(r), time.Now())
	denial, denied := impersonation.Denied(err)
	switch {
	case err == nil:
		if err := s.keepDraft(r, i, form); err != nil {
			return err
		}
		redirect(w, "/consent/"+url.PathEscape(i.id)+"/approvals/"+url.PathEscape(request.ID))
		return nil
	case errors.Is(err, impersonation.ErrNoApproval):
		return s.continueAs(w, r, i, situation, form)
	case errors.Is(err, impersonation.ErrApprovalsWaiting):
		e := *errApprovalsWaiting
		e.Cause = err
		return &e
	case !denied:
		return err
	case denial == impersonation.DenyStepUp:
		return s.stepUp(w, r, i, form)
	}
	s.logAnswer(r, statusOf(denial), "impersonation_denied", denial)
	return s.showConsent(w, r, i, situation, form, statusOf(denial), denial)
}

var errApprovalsWaiting = &pageErr{
	Status: http.StatusTooManyRequests, Code: "too_many_approvals", Heading: "Too many requests wait",
	Message: "Enough of your requests wait for approval already. Withdraw one first.", BackURL: "/admin/impersonations/approvals", BackLabel: "Approvals",
}

// awaitApproval shows the actor of a request for approval what became of it, in front of
// the application's request: once it is approved, one press answers that.
func (s *Server) awaitApproval(w http.ResponseWriter, r *http.Request) error {
	i, _, err := s.deciding(w, r, true)
	if err != nil || i == nil {
		return err
	}
	a, err := s.ownApproval(r, i)
	if err != nil {
		return err
	}
	p, err := s.approvalPage(w, r, i.login, a)
	if err != nil {
		return err
	}
	now, here := time.Now(), "/consent/"+url.PathEscape(i.id)
	p.Page, p.BackURL = s.frame(r, i.login), here
	if a.Usable(now) {
		w.Header().Set("Content-Security-Policy", pagePolicy(originOf(i.request.GetRedirectURI().String())))
		p.StartURL = here + "?" + url.Values{shownTo: {i.login.User.ID}}.Encode()
		p.StartFields = append(p.StartFields,
			templates.HiddenField{Name: "subject", Value: a.SubjectID}, templates.HiddenField{Name: "continue_as", Value: "other"},
			templates.HiddenField{Name: "action", Value: "allow"})
	}
	if a.Pending(now) || a.Usable(now) {
		p.WithdrawURL = r.URL.EscapedPath()
	}
	return s.pages.AwaitApproval(w, http.StatusOK, p)
}

// ownApproval returns the approval of the address: of the person in front of the request,
// for its client.
func (s *Server) ownApproval(r *http.Request, i *interaction) (*storage.Approval, error) {
	a, err := s.store.Approval(r.Context(), r.PathValue("approval"))
	if errors.Is(err, storage.ErrNotFound) || err == nil && (a.ActorID != i.login.User.ID || a.ClientID != i.request.Client.ID) {
		return nil, errNoPage
	}
	return a, err
}

// withdrawAwaited takes it back, and says so.
func (s *Server) withdrawAwaited(w http.ResponseWriter, r *http.Request) error {
	i, _, err := s.deciding(w, r, true)
	if err != nil || i == nil {
		return err
	}
	a, err := s.ownApproval(r, i)
	if err != nil {
		return err
	}
	err = s.provider.Impersonation.WithdrawApproval(r.Context(), a.ID, i.login.User.ID, s.info(r), time.Now())
	if err != nil && !errors.Is(err, storage.ErrSpent) { // the page it came from says what became of it
		return err
	}
	redirect(w, "/consent/"+url.PathEscape(i.id)+"/approvals/"+url.PathEscape(a.ID))
	return nil
}
