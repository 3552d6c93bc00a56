package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// shownRunning is how many running impersonations the overview shows.
const shownRunning = 20

// overview shows of what goes on as much as the person may see.
func (s *Server) overview(w http.ResponseWriter, r *http.Request, st *staff) error {
	now := time.Now()
	p := templates.OverviewPage{Page: s.consoleFrame(r, st), Now: now}
	var err error
	if p.Figures, err = s.figures(r, st, now); err != nil {
		return err
	}
	if st.may("events:read") {
		badge := s.badge()
		p.Badge = &badge
	}
	if st.standing.MayAnywhere("impersonation:read") {
		p.ShowRunning = true
		if p.Running, err = s.runningNow(r, st, now); err != nil {
			return err
		}
	}
	if p.Waiting, err = s.waitingCount(r, st); err != nil {
		return err
	}
	p.WaitingURL = "/admin/impersonations/approvals"
	if st.may("settings:write") {
		if err := s.whatIsLeft(r, &p); err != nil {
			return err
		}
	}
	return s.pages.Overview(w, http.StatusOK, p)
}

// figures are the numbers that the person may know: those of everywhere.
func (s *Server) figures(r *http.Request, st *staff, now time.Time) ([]templates.Figure, error) {
	a, err := s.store.Activity(r.Context(), now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	var shown []templates.Figure
	for _, f := range []struct {
		permission, label, url string
		value                  int64
	}{
		{"events:read", "Sign-ins in 24 hours", "/admin/events?type=session.created", a.SignIns},
		{"users:read", "Users", "/admin/users", a.Users},
		{"clients:read", "Applications", "/admin/clients", a.Clients},
	} {
		if st.may(f.permission) {
			shown = append(shown, templates.Figure{Label: f.label, URL: f.url, Value: f.value})
		}
	}
	if !st.may("keys:write") {
		return shown, nil
	}
	keys, err := s.store.SigningKeys(r.Context())
	if err != nil {
		return nil, err
	}
	oldest := now
	for _, k := range provider.KeyStatuses(keys, s.config.LongestToken, now) {
		if k.State == provider.KeySigning && k.Purpose == "token" && k.ActivatesAt.Time().Before(oldest) {
			oldest = k.ActivatesAt.Time()
		}
	}
	days := int64(now.Sub(oldest).Hours() / 24)
	return append(shown, templates.Figure{Label: "Days that the oldest key has signed", URL: "/admin/keys", Value: days}), nil
}

// runningNow are the impersonations that run and that the person may see: those of
// users whom they reach.
func (s *Server) runningNow(r *http.Request, st *staff, now time.Time) ([]templates.RunningRow, error) {
	running, err := s.store.Impersonations(r.Context(), storage.ImpersonationFilter{
		Running: true, Organizations: st.within("impersonation:read"), Limit: shownRunning,
	}, now)
	if err != nil {
		return nil, err
	}
	named := make([]storage.Event, len(running)) // for their names
	for i, run := range running {
		named[i] = storage.Event{ActorID: run.ActorID, SubjectID: run.SubjectID, ClientID: run.ClientID}
	}
	names, err := s.store.NamesIn(r.Context(), named)
	if err != nil {
		return nil, err
	}
	rows := make([]templates.RunningRow, len(running))
	for i, run := range running {
		rows[i] = templates.RunningRow{
			ID: run.ID, ActorName: called(names.Users, run.ActorID), SubjectName: called(names.Users, run.SubjectID),
			ClientName: called(names.Clients, run.ClientID), Reason: run.Reason, EndsAt: run.ExpiresAt.Time(), Now: now,
			MayStop: run.ActorID == st.User.ID || st.standing.May("impersonation:stop_any", run.OrganizationID),
		}
		if st.may("events:read") {
			rows[i].EventsURL = "/admin/events?" + url.Values{"impersonation": {run.ID}}.Encode()
		}
	}
	return rows, nil
}

// whatIsLeft adds what an administrator should do.
func (s *Server) whatIsLeft(r *http.Request, p *templates.OverviewPage) error {
	have, err := s.store.Progress(r.Context())
	if err != nil {
		return err
	}
	on, err := s.store.ImpersonationEnabled(r.Context())
	if err != nil {
		return err
	}
	p.Steps = slices.DeleteFunc(steps(have, on), func(step templates.ChecklistStep) bool { return step.Done })
	if s.config.Findings != nil {
		for _, f := range s.config.Findings(r.Context()) {
			p.Warnings = append(p.Warnings, templates.Warning(f))
		}
	}
	return nil
}
