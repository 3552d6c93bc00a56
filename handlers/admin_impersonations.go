package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// maxShownRunning bounds the list of those that run. There are hardly ever more.
const maxShownRunning = 200

// impersonationTabs are the lists of who acted as whom, as far as the person may see them.
func (s *Server) impersonationTabs(r *http.Request, st *staff, current string) ([]templates.Section, error) {
	waiting, err := s.waitingCount(r, st)
	if err != nil {
		return nil, err
	}
	var tabs []templates.Section
	for _, tab := range []struct{ label, url string }{
		{"Running", "/admin/impersonations"},
		{"Past", "/admin/impersonations/past"},
		{"Requests", "/admin/impersonations/requests"},
		{"Approvals", "/admin/impersonations/approvals"},
		{"Refused", "/admin/impersonations/denied"},
	} {
		if !s.opens(st, tab.url) {
			continue
		}
		section := templates.Section{Label: tab.label, URL: tab.url, Current: tab.url == current}
		if section.Label == "Approvals" {
			section.Count = waiting
		}
		tabs = append(tabs, section)
	}
	return tabs, nil
}

// impersonations lists those that run and that the person may see.
func (s *Server) impersonations(w http.ResponseWriter, r *http.Request, st *staff) error {
	return s.showRunning(w, r, st, http.StatusOK)
}

func (s *Server) showRunning(w http.ResponseWriter, r *http.Request, st *staff, status int, problems ...templates.FieldError) error {
	p := templates.ImpersonationsPage{
		Page: s.consoleFrame(r, st), Running: true, Now: time.Now(), Errors: problems,
	}
	var err error
	if p.Tabs, err = s.impersonationTabs(r, st, "/admin/impersonations"); err != nil {
		return err
	}
	found, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{
		Running: true, Organizations: st.within(impersonation.PermissionRead), Limit: maxShownRunning,
	}, p.Now)
	if err != nil {
		return err
	}
	if st.may(impersonation.PermissionStopAny) {
		p.StopAllURL = "/admin/impersonations/stop"
	}
	p.List, err = s.shownImpersonations(r, st, found, p.Now)
	if err != nil {
		return err
	}
	return s.pages.Impersonations(w, status, p)
}

// pastImpersonations lists those that are over, latest first.
func (s *Server) pastImpersonations(w http.ResponseWriter, r *http.Request, st *staff) error {
	const here = "/admin/impersonations/past"
	p := templates.ImpersonationsPage{Page: s.consoleFrame(r, st), Now: time.Now()}
	part, err := span(r)
	if err != nil {
		return err
	}
	if p.Tabs, err = s.impersonationTabs(r, st, here); err != nil {
		return err
	}
	found, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{
		Over: true, Organizations: st.within(impersonation.PermissionRead), Before: part.Before, Limit: pageSize + 1,
	}, p.Now)
	if err != nil {
		return err
	}
	if len(found) > pageSize {
		found = found[:pageSize]
		last := found[pageSize-1]
		p.OlderURL, _ = neighbours(here, part, storage.Mark{}, storage.Mark{Time: last.StartedAt, ID: last.ID}, true)
	}
	if part.Before.Set() {
		p.NewestURL = here
	}
	p.List, err = s.shownImpersonations(r, st, found, p.Now)
	if err != nil {
		return err
	}
	return s.pages.Impersonations(w, http.StatusOK, p)
}

// shownImpersonations returns how a page shows them, with the names of everybody and
// what came of telling the applications of the end.
func (s *Server) shownImpersonations(r *http.Request, st *staff, found []storage.Impersonation, now time.Time) ([]templates.Impersonation, error) {
	var ids, users, clients, organizations []string
	for _, i := range found {
		ids, users = append(ids, i.ID), append(users, i.ActorID, i.SubjectID, i.EndedBy)
		clients, organizations = append(clients, i.ClientID), append(organizations, i.OrganizationID)
	}
	notices, err := s.store.LogoutNotices(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	for _, n := range notices {
		clients = append(clients, n.ClientID)
	}
	names, err := s.store.NamesOf(r.Context(), users, clients, organizations)
	if err != nil {
		return nil, err
	}
	told := map[string][]templates.LogoutNotice{}
	for _, n := range notices {
		told[n.ImpersonationID] = append(told[n.ImpersonationID], templates.LogoutNotice{
			ClientName: names.Client(n.ClientID), Status: string(n.Status), Attempts: n.Attempts, HTTPStatus: n.HTTPStatus, Error: n.Error,
		})
	}
	shown := make([]templates.Impersonation, 0, len(found))
	for _, i := range found {
		one := templates.Impersonation{
			ID: i.ID, URL: "/admin/impersonations/" + url.PathEscape(i.ID), ActorID: i.ActorID, ActorName: names.User(i.ActorID),
			SubjectID: i.SubjectID, SubjectName: names.User(i.SubjectID), ClientID: i.ClientID, ClientName: names.Client(i.ClientID),
			Organization: names.Organization(i.OrganizationID), Reason: i.Reason, TicketRef: i.TicketRef, Access: i.Access, Entry: i.Entry, AskedBy: i.CreatedBy, Unsigned: i.LoginSID == "",
			StartedAt: i.StartedAt.Time(), EndsAt: i.ExpiresAt.Time(), Running: i.Running(now), EndReason: string(i.EndReason),
			EndedBy: names.User(i.EndedBy), Notices: told[i.ID],
		}
		if i.EndedAt.Set() {
			one.EndsAt = i.EndedAt.Time()
		}
		if one.Running && (i.ActorID == st.User.ID || st.standing.May(impersonation.PermissionStopAny, i.OrganizationID)) {
			one.StopURL = one.URL + "/stop"
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// denials lists attempts that a rule refused, latest first: all of them for who may
// read impersonations everywhere, otherwise the person's own.
func (s *Server) denials(w http.ResponseWriter, r *http.Request, st *staff) error {
	const here = "/admin/impersonations/denied"
	p := templates.DenialsPage{Page: s.consoleFrame(r, st), Now: time.Now()}
	part, err := span(r)
	if err != nil {
		return err
	}
	if p.Tabs, err = s.impersonationTabs(r, st, here); err != nil {
		return err
	}
	search := storage.EventSearch{Type: storage.EventImpersonationDenied, Before: part.Before, Limit: pageSize + 1}
	if !st.may(impersonation.PermissionRead) {
		search.ActorID = st.User.ID
	}
	found, err := s.store.SearchEvents(r.Context(), search)
	if err != nil {
		return err
	}
	if len(found) > pageSize {
		found = found[:pageSize]
		last := found[pageSize-1]
		p.OlderURL, _ = neighbours(here, part, storage.Mark{}, storage.Mark{Time: last.Time, ID: last.ID}, true)
	}
	if part.Before.Set() {
		p.NewestURL = here
	}
	for i := range found {
		found[i].ActorID = actorOf(found[i])
	}
	names, err := s.store.NamesIn(r.Context(), found)
	if err != nil {
		return err
	}
	for _, e := range found {
		why, _ := e.Data["denial"].(string)
		rule, _ := e.Data["rule"].(string)
		var private storage.Private
		if e.Private != "" {
			if err := json.Unmarshal([]byte(e.Private), &private); err != nil {
				return err
			}
		}
		p.List = append(p.List, templates.DeniedAttempt{
			Time: e.Time.Time(), ActorName: names.User(e.ActorID), SubjectName: names.User(e.SubjectID), ClientName: names.Client(e.ClientID),
			Why: impersonation.Denial(why).Message(), Rule: rule, Reason: private.Reason,
		})
	}
	return s.pages.Denials(w, http.StatusOK, p)
}

// actorOf is who wanted to act: not who denied it to them.
func actorOf(e storage.Event) string {
	if actor, _ := e.Data["requested_for"].(string); actor != "" {
		return actor
	}
	return e.ActorID
}

// seen returns an impersonation that staff may look at: one of their own, or one
// within reach of their permission to read. Any other is as good as none.
func (s *Server) seen(r *http.Request, st *staff) (*storage.Impersonation, error) {
	i, err := s.store.Impersonation(r.Context(), r.PathValue("id"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errNoPage
	}
	if err != nil {
		return nil, err
	}
	if i.ActorID != st.User.ID && !st.standing.May(impersonation.PermissionRead, i.OrganizationID) {
		return nil, errNoPage
	}
	return i, nil
}

// impersonation shows one.
func (s *Server) impersonation(w http.ResponseWriter, r *http.Request, st *staff) error {
	i, err := s.seen(r, st)
	if err != nil {
		return err
	}
	now := time.Now()
	shown, err := s.shownImpersonations(r, st, []storage.Impersonation{*i}, now)
	if err != nil {
		return err
	}
	p := templates.ImpersonationPage{Page: s.consoleFrame(r, st), Impersonation: shown[0], Now: now}
	if st.may("events:read") {
		p.EventsURL = "/admin/events?" + url.Values{"impersonation": {i.ID}}.Encode()
	}
	if !shown[0].Running && st.standing.MayAnywhere(impersonation.PermissionStart) {
		p.AgainURL = askAgain(i.SubjectID, i.ClientID)
	}
	return s.pages.Impersonation(w, http.StatusOK, p)
}

// stopImpersonation ends one. Who may is the record's business: its actor, its
// subject, or who may stop any (SECURITY A13).
func (s *Server) stopImpersonation(w http.ResponseWriter, r *http.Request, st *staff) error {
	err := s.provider.Impersonation.Stop(r.Context(), r.PathValue("id"), &st.User, s.info(r), time.Now())
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errNoPage
	case errors.Is(err, storage.ErrSpent):
		redirect(w, "/admin/impersonations/"+url.PathEscape(r.PathValue("id"))+"?done=had_ended")
		return nil
	case err != nil:
		return err
	}
	redirect(w, "/admin/impersonations/"+url.PathEscape(r.PathValue("id"))+"?done=stopped")
	return nil
}

// stopAll ends every one that runs, for somebody who typed that they mean it.
func (s *Server) stopAll(w http.ResponseWriter, r *http.Request, st *staff) error {
	form, err := postForm(r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(form.Get("confirm")) != "stop" {
		return s.showRunning(w, r, st, http.StatusBadRequest, templates.FieldError{Field: "confirm", Message: "Type stop to confirm."})
	}
	cause := s.by(r, st.Login)
	cause.Reason = storage.EndStopped
	if err := s.provider.Impersonation.EndAll(r.Context(), cause, time.Now()); err != nil {
		return err
	}
	redirect(w, "/admin/impersonations?done=all_stopped")
	return nil
}

// supportRequests lists what staff asked users to allow: their own, or all for who
// may read impersonations everywhere.
func (s *Server) supportRequests(w http.ResponseWriter, r *http.Request, st *staff) error {
	p := templates.SupportRequestsPage{Page: s.consoleFrame(r, st), Now: time.Now()}
	var err error
	if p.Tabs, err = s.impersonationTabs(r, st, "/admin/impersonations/requests"); err != nil {
		return err
	}
	by := st.User.ID
	if st.may(impersonation.PermissionRead) {
		by = ""
	}
	found, err := s.store.SupportRequestsBy(r.Context(), by, maxShownRunning)
	if err != nil {
		return err
	}
	var users, clients []string
	for _, q := range found {
		users, clients = append(users, q.ActorID, q.UserID), append(clients, q.ClientID)
	}
	names, err := s.store.NamesOf(r.Context(), users, clients, nil)
	if err != nil {
		return err
	}
	for _, q := range found {
		status := q.Status
		if status == "pending" && !q.Pending(p.Now) {
			status = "expired"
		}
		p.List = append(p.List, templates.AskedUser{
			Time: q.CreatedAt.Time(), ActorName: names.User(q.ActorID), SubjectName: names.User(q.UserID), ClientName: names.Client(q.ClientID),
			Reason: q.Reason, TicketRef: q.TicketRef, Status: status,
		})
	}
	return s.pages.SupportRequests(w, http.StatusOK, p)
}
