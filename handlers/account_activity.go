package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// activity shows what happened to the person's account: their sign-ins, and who acted
// as them (SECURITY A27).
func (s *Server) activity(w http.ResponseWriter, r *http.Request, p *person) error {
	at, err := span(r)
	if err != nil {
		return err
	}
	found, more, err := s.provider.History(r.Context(), p.User.ID, at)
	if err != nil {
		return err
	}
	if at.After.Set() && !more { // so little is new that the newest page has it
		at = storage.Span{Limit: pageSize}
		if found, more, err = s.provider.History(r.Context(), p.User.ID, at); err != nil {
			return err
		}
	}
	page := templates.ActivityPage{Page: s.accountFrame(r, p)}
	if page.Entries, err = s.entries(r.Context(), found, time.Now()); err != nil {
		return err
	}
	var first, last storage.Mark
	if len(found) > 0 {
		first, last = found[0].Mark(), found[len(found)-1].Mark()
	}
	page.Older, page.Newer = neighbours("/account/activity", at, first, last, more)
	return s.pages.Activity(w, http.StatusOK, page)
}

// entries says what happened.
func (s *Server) entries(ctx context.Context, all []provider.Happening, now time.Time) ([]templates.ActivityEntry, error) {
	var ids []string
	for _, h := range all {
		if h.Impersonation != nil {
			ids = append(ids, h.Impersonation.ID)
		}
	}
	reported, err := s.store.Reported(ctx, ids)
	if err != nil {
		return nil, err
	}
	known := s.names()
	var shown []templates.ActivityEntry
	for _, h := range all {
		if i := h.Impersonation; i != nil {
			a, err := known.actedAs(ctx, i, now)
			if err != nil {
				return nil, err
			}
			a.Reported = reported[i.ID]
			shown = append(shown, templates.ActivityEntry{At: i.StartedAt.Time(), Now: now, ActedAs: a})
			continue
		}
		e := h.Event
		entry := templates.ActivityEntry{At: e.Time.Time(), Now: now, What: happened(e)}
		if e.ActorID != e.SubjectID && e.ActorID != "" {
			if entry.By, err = known.user(ctx, e.ActorID); err != nil {
				return nil, err
			}
		} else {
			private := privateOf(e)
			entry.Device = device(private.UserAgent, private.IP)
		}
		shown = append(shown, entry)
	}
	return shown, nil
}

// privateOf is the personal part of an event, nothing where it was erased.
func privateOf(e *storage.Event) storage.Private {
	var p storage.Private
	if e.Private != "" {
		_ = json.Unmarshal([]byte(e.Private), &p) // it is shown as far as it can be read
	}
	return p
}

// happened says in words what an event records.
func happened(e *storage.Event) string {
	switch e.Type {
	case storage.EventSessionCreated:
		if again, _ := e.Data["reauthenticated"].(bool); again {
			return "You confirmed your password"
		}
		return "You signed in"
	case storage.EventUserPasswordChanged:
		if e.ActorID == e.SubjectID {
			return "You changed your password"
		}
		return "Your password was changed"
	case storage.EventSupportAccessRequested:
		return "Support asked to sign in as you"
	}
	if e.Data["set_by"] != nil {
		return "Support access was set for you"
	}
	if answer, _ := e.Data["answer"].(string); answer == "denied" {
		return "You denied a request of support"
	}
	return "You changed support access"
}

// actedAsPage shows one impersonation of the person, where they can end and report it.
func (s *Server) actedAsPage(w http.ResponseWriter, r *http.Request, p *person) error {
	page, err := s.oneActedAs(r, p)
	if err != nil {
		return err
	}
	return s.pages.ActedAs(w, http.StatusOK, page)
}

func (s *Server) oneActedAs(r *http.Request, p *person) (templates.ActedAsPage, error) {
	page := templates.ActedAsPage{Page: s.accountFrame(r, p), MaxNote: impersonation.MaxReason}
	if to := s.config.ReportTo; strings.Contains(to, "://") {
		page.ReportURL = to
	} else {
		page.ReportMail = to
	}
	i, err := s.ofSubject(r, p)
	if err != nil {
		return page, err
	}
	reported, err := s.store.Reported(r.Context(), []string{i.ID})
	if err != nil {
		return page, err
	}
	a, err := s.names().actedAs(r.Context(), i, time.Now())
	if err != nil {
		return page, err
	}
	a.Reported = reported[i.ID]
	page.ActedAs = *a
	return page, nil
}

// ofSubject returns the impersonation that the address names. One of somebody else is
// as good as none: whose it is comes from the record (SECURITY A13).
func (s *Server) ofSubject(r *http.Request, p *person) (*storage.Impersonation, error) {
	i, err := s.store.Impersonation(r.Context(), r.PathValue("id"))
	if errors.Is(err, storage.ErrNotFound) || err == nil && i.SubjectID != p.User.ID {
		return nil, errNoPage
	}
	return i, err
}

// endActedAs ends an impersonation of the person.
func (s *Server) endActedAs(w http.ResponseWriter, r *http.Request, p *person) error {
	i, err := s.ofSubject(r, p)
	if err != nil {
		return err
	}
	err = s.provider.Impersonation.Stop(r.Context(), i.ID, &p.User, s.info(r), time.Now())
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return err
	}
	redirect(w, "/account/activity?done=ended")
	return nil
}

// report puts on the record that the person objects to an impersonation of them.
func (s *Server) report(w http.ResponseWriter, r *http.Request, p *person) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	page, err := s.oneActedAs(r, p)
	if err != nil {
		return err
	}
	note, ok := impersonation.CleanNote(form.Get("note"))
	if !ok {
		page.Note = form.Get("note")
		page.Errors = []templates.FieldError{{Field: "note", Message: "A note has at most 500 characters, and no control characters."}}
		return s.pages.ActedAs(w, http.StatusBadRequest, page)
	}
	err = s.provider.Impersonation.Report(r.Context(), page.ActedAs.ID, &p.User, note, s.info(r), time.Now())
	if err != nil && !errors.Is(err, storage.ErrSpent) { // pressed twice
		return err
	}
	redirect(w, "/account/activity/"+url.PathEscape(page.ActedAs.ID)+"?done=reported")
	return nil
}

// names are what a page calls people, applications and organizations, each read once.
type names struct {
	store                         *storage.Store
	users, clients, organizations map[string]string
}

func (s *Server) names() *names {
	return &names{s.store, map[string]string{}, map[string]string{}, map[string]string{}}
}

func (n *names) user(ctx context.Context, id string) (string, error) {
	return named(n.users, id, func() (string, error) {
		u, err := n.store.User(ctx, id)
		if err != nil {
			return "", err
		}
		return u.DisplayName(), nil
	})
}

func (n *names) client(ctx context.Context, id string) (string, error) {
	return named(n.clients, id, func() (string, error) {
		c, err := n.store.Client(ctx, id)
		if err != nil {
			return "", err
		}
		return c.Name, nil
	})
}

func (n *names) organization(ctx context.Context, id string) (string, error) {
	return named(n.organizations, id, func() (string, error) {
		names, err := n.store.NamesOf(ctx, nil, nil, []string{id}) // also of one that was deleted
		return names.Organization(id), err
	})
}

// named returns a name, reading it the first time. What is gone goes by its id.
func named(known map[string]string, id string, read func() (string, error)) (string, error) {
	if name, ok := known[id]; ok || id == "" {
		return name, nil
	}
	name, err := read()
	if errors.Is(err, storage.ErrNotFound) {
		name, err = id, nil
	}
	if err == nil {
		known[id] = name
	}
	return name, err
}

// actedAs is what the subject is shown of an impersonation.
func (n *names) actedAs(ctx context.Context, i *storage.Impersonation, now time.Time) (*templates.ActedAs, error) {
	actor, err := n.user(ctx, i.ActorID)
	if err != nil {
		return nil, err
	}
	client, err := n.client(ctx, i.ClientID)
	if err != nil {
		return nil, err
	}
	organization, err := n.organization(ctx, i.OrganizationID)
	if err != nil {
		return nil, err
	}
	a := &templates.ActedAs{
		ID: i.ID, ActorName: actor, ClientName: client, Organization: organization,
		Reason: i.Reason, TicketRef: i.TicketRef, Access: i.Access, StartedAt: i.StartedAt.Time(), EndsAt: i.ExpiresAt.Time(),
		Now: now, Running: i.Running(now), ByProgram: i.CreatedBy != "" || i.Entry == "token_exchange", Unsigned: i.LoginSID == "",
	}
	if a.Running {
		return a, nil
	}
	a.Why = whyEnded(i.EndReason)
	if i.EndedAt.Set() {
		a.EndsAt = i.EndedAt.Time()
	}
	switch {
	case i.EndedBy == i.SubjectID:
		a.Why = "You ended it."
	case i.EndReason == storage.EndSignedOut:
		a.Why = "It ended because they signed out."
	}
	return a, nil
}
