package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// errManaged answers who wants to decide what is decided for everybody.
var errManaged = &pageErr{
	Status: http.StatusForbidden, Code: "support_access_managed", Heading: "This is managed by your organization",
	Message: "Whether support may sign in as you is decided for everybody, so there is nothing to choose here.",
	BackURL: "/account/support-access", BackLabel: "Support access",
}

// supportAccess shows what the person says about staff acting as them, and who asks.
func (s *Server) supportAccess(w http.ResponseWriter, r *http.Request, p *person) error {
	page, err := s.supportAccessPage(r, p)
	if err != nil {
		return err
	}
	return s.pages.SupportAccess(w, http.StatusOK, page)
}

func (s *Server) supportAccessPage(r *http.Request, p *person) (templates.SupportAccessPage, error) {
	ctx, now := r.Context(), time.Now()
	page := templates.SupportAccessPage{Page: s.accountFrame(r, p), Hours: "24", Now: now}
	settings, said, err := s.store.ImpersonationTerms(ctx, p.User.ID)
	if err != nil {
		return page, err
	}
	page.SwitchedOff, page.Protected = !settings.Enabled, p.User.NeverImpersonate
	page.Rule = string(settings.Support)
	if said != nil {
		page.Said, page.Choice = string(said.Mode), string(said.Mode)
		page.TicketRef, page.EndsAt, page.Over = said.TicketRef, said.ExpiresAt.Time(), said.ExpiresAt.Passed(now)
	}
	page.SaidTicketRef = page.TicketRef
	known := s.names()
	if settings.Support == storage.SupportManaged {
		return page, nil
	}
	if said != nil && said.SetBy != "" {
		page.SetAt = said.UpdatedAt.Time()
		if page.SetBy, err = known.user(ctx, said.SetBy); err != nil {
			return page, err
		}
	}
	waiting, err := s.store.PendingSupportRequests(ctx, p.User.ID, now)
	if err != nil {
		return page, err
	}
	for _, ask := range waiting {
		actor, err := known.user(ctx, ask.ActorID)
		if err != nil {
			return page, err
		}
		client, err := known.client(ctx, ask.ClientID)
		if err != nil {
			return page, err
		}
		page.Requests = append(page.Requests, templates.SupportRequest{
			ID: ask.ID, ActorName: actor, ClientName: client, Reason: ask.Reason, TicketRef: ask.TicketRef, AskedAt: ask.CreatedAt.Time(), Now: now,
		})
	}
	return page, nil
}

// allowSupport keeps what the person chooses.
func (s *Server) allowSupport(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(form.Get("hours"))
	if err != nil || hours > 1000 {
		hours = 0
	}
	choice := impersonation.SupportChoice{
		Mode: storage.SupportMode(form.Get("choice")), TicketRef: form.Get("ticket_ref"), For: time.Duration(hours) * time.Hour,
	}
	err = s.provider.Impersonation.Allow(r.Context(), p.User.ID, choice, s.info(r), time.Now())
	if problem, wrong := errors.AsType[impersonation.SupportProblem](err); wrong {
		page, err := s.supportAccessPage(r, p)
		if err != nil {
			return err
		}
		page.Choice, page.Hours, page.TicketRef = form.Get("choice"), form.Get("hours"), form.Get("ticket_ref")
		page.Errors = []templates.FieldError{supportProblem(problem)}
		return s.pages.SupportAccess(w, http.StatusBadRequest, page)
	}
	if errors.Is(err, impersonation.ErrManaged) {
		return errManaged
	}
	if err != nil {
		return err
	}
	redirect(w, "/account/support-access?done=support_access")
	return nil
}

func supportProblem(p impersonation.SupportProblem) templates.FieldError {
	switch p {
	case impersonation.ProblemTicketRef:
		return templates.FieldError{Field: "ticket_ref", Message: "Type the reference that support gave you for your ticket."}
	case impersonation.ProblemHours:
		return templates.FieldError{Field: "hours", Message: "Type a number of hours from 1 to 168."}
	}
	return templates.FieldError{Field: "choice", Message: "Choose one of these."}
}

// answerSupport answers a request of staff.
func (s *Server) answerSupport(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	approved := form.Get("answer") == "approve"
	if !approved && form.Get("answer") != "deny" {
		return &pageErr{Status: http.StatusBadRequest, Code: "invalid_request", Message: "Approve the request or deny it."}
	}
	err = s.provider.Impersonation.Answer(r.Context(), p.User.ID, form.Get("request"), approved, s.info(r), time.Now())
	switch {
	case errors.Is(err, impersonation.ErrManaged):
		return errManaged
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case errors.Is(err, storage.ErrSpent):
		return &pageErr{
			Status: http.StatusConflict, Code: "already_answered", Heading: "This request is no longer open",
			Message: "It was answered before, or waited for too long.", BackURL: "/account/support-access", BackLabel: "Support access",
		}
	case err != nil:
		return err
	}
	redirect(w, "/account/support-access?"+url.Values{"done": {"request_" + map[bool]string{true: "approved", false: "denied"}[approved]}}.Encode())
	return nil
}
