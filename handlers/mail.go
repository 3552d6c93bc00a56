package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// ComposeMail says what is in a notice that waits, in the language of its reader, with
// what is known when it is sent. provider.ErrNoLetter: who was to be told is gone, is not
// known to read that address, or what they were to be told is no longer there to act on.
func (s *Server) ComposeMail(ctx context.Context, m *storage.Mail) (*provider.Letter, error) {
	to, err := s.store.User(ctx, m.UserID)
	if err != nil {
		return nil, gone(err)
	}
	switch {
	case !to.Active():
		return nil, fmt.Errorf("%w: the account is disabled", provider.ErrNoLetter)
	case to.Email == "" || !to.EmailVerified:
		return nil, fmt.Errorf("%w: the address is not verified", provider.ErrNoLetter)
	}
	text := templates.Mail{Lang: templates.MatchLanguage(to.Locale), To: to.DisplayName(), ReportTo: s.config.ReportTo}
	now := time.Now()
	switch m.Kind {
	case storage.MailStarted, storage.MailEnded:
		err = s.actedAsMail(ctx, m.AboutID, &text, now)
	case storage.MailSupportRequest:
		err = s.supportRequestMail(ctx, m.AboutID, &text, now)
	case storage.MailApprovalRequest:
		err = s.approvalMail(ctx, m.AboutID, m.UserID, &text, now)
	default:
		err = fmt.Errorf("mail of kind %q: nobody knows it", m.Kind)
	}
	if err != nil {
		return nil, gone(err)
	}
	return s.letter(string(m.Kind), to.Email, text)
}

// gone says provider.ErrNoLetter of what is not there any more.
func gone(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%w: %w", provider.ErrNoLetter, err)
	}
	return err
}

func (s *Server) letter(kind, to string, text templates.Mail) (*provider.Letter, error) {
	l, err := s.pages.Mail(kind, text)
	if err != nil {
		return nil, err
	}
	return &provider.Letter{ID: kind, To: to, Subject: l.Subject, Text: l.Text, HTML: l.HTML}, nil
}

// actedAsMail says of an impersonation what its subject's own page says.
func (s *Server) actedAsMail(ctx context.Context, id string, text *templates.Mail, now time.Time) error {
	i, err := s.store.Impersonation(ctx, id)
	if err != nil {
		return err
	}
	a, err := s.names().actedAs(ctx, i, now)
	if err != nil {
		return err
	}
	text.ActorName, text.ClientName, text.Organization = a.ActorName, a.ClientName, a.Organization
	text.Reason, text.TicketRef, text.Access = a.Reason, a.TicketRef, a.Access
	text.StartedAt, text.EndsAt, text.Running = a.StartedAt, a.EndsAt, a.Running
	text.URL = s.provider.Issuer() + "/account/activity/" + url.PathEscape(id)
	return nil
}

func (s *Server) supportRequestMail(ctx context.Context, id string, text *templates.Mail, now time.Time) error {
	r, err := s.store.SupportRequest(ctx, id)
	if err != nil {
		return err
	}
	if !r.Pending(now) {
		return fmt.Errorf("%w: it was answered", provider.ErrNoLetter)
	}
	known := s.names()
	if text.ActorName, err = known.user(ctx, r.ActorID); err != nil {
		return err
	}
	if text.ClientName, err = known.client(ctx, r.ClientID); err != nil {
		return err
	}
	text.Reason, text.TicketRef, text.EndsAt = r.Reason, r.TicketRef, r.ExpiresAt.Time()
	text.URL = s.provider.Issuer() + "/account/support-access"
	return nil
}

func (s *Server) approvalMail(ctx context.Context, id, reader string, text *templates.Mail, now time.Time) error {
	a, err := s.store.Approval(ctx, id)
	if err != nil {
		return err
	}
	if !a.Pending(now) {
		return fmt.Errorf("%w: it was decided", provider.ErrNoLetter)
	}
	standing, err := s.store.Standing(ctx, reader)
	if err != nil {
		return err
	}
	if !standing.May(impersonation.PermissionApprove, a.OrganizationID) {
		return fmt.Errorf("%w: they may not decide it any more", provider.ErrNoLetter)
	}
	names, err := s.store.NamesOf(ctx, []string{a.ActorID, a.SubjectID}, []string{a.ClientID}, []string{a.OrganizationID})
	if err != nil {
		return err
	}
	text.ActorName, text.SubjectName, text.ClientName = names.User(a.ActorID), names.User(a.SubjectID), names.Client(a.ClientID)
	text.Organization, text.Reason, text.TicketRef, text.Access = names.Organization(a.OrganizationID), a.Reason, a.TicketRef, a.Access
	text.Lasts, text.EndsAt = lasts(a), a.ExpiresAt.Time()
	text.URL = s.provider.Issuer() + "/admin/approvals/" + url.PathEscape(a.ID)
	return nil
}

// TestMail is a message that shows that mail arrives.
func (s *Server) TestMail(to, name, lang string) (*provider.Letter, error) {
	l, err := s.letter("test", to, templates.Mail{Lang: lang, To: name, URL: s.provider.Issuer()})
	if err == nil {
		l.ID = "test." + strings.ToLower(storage.NewID("mail"))
	}
	return l, err
}
