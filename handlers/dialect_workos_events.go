package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// workosEventTypes are which of our events are WorkOS's. The end of an impersonation
// ends the session that an application has of it.
var workosEventTypes = map[string][]storage.EventType{
	"session.created": {storage.EventSessionCreated},
	"session.revoked": {storage.EventSessionRevoked, storage.EventImpersonationStopped, storage.EventImpersonationExpired},
}

// workosEvents lists sessions in the order in which they are on the record.
func (s *Server) workosEvents(w http.ResponseWriter, r *http.Request, call *dialectCall) error {
	feed, err := s.workosFeed(r, call)
	if err != nil {
		return err
	}
	limit := feed.Limit
	feed.Limit++
	found, err := s.store.EventFeed(r.Context(), feed)
	if err != nil {
		return err
	}
	more := len(found) > limit
	found = found[:min(len(found), limit)]
	var ids []string
	for _, e := range found {
		if e.ImpersonationID != "" {
			ids = append(ids, e.ImpersonationID)
		}
	}
	impersonators, err := s.impersonators(r, ids)
	if err != nil {
		return err
	}
	list := workosList{Object: "list", Data: []workosEvent{}}
	for _, e := range found {
		list.Data = append(list.Data, workosEventOf(&e, impersonators[e.ImpersonationID]))
	}
	if more {
		list.Metadata.After = &list.Data[limit-1].ID
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// workosFeed is what a request selects, of what its key reaches.
func (s *Server) workosFeed(r *http.Request, call *dialectCall) (f storage.EventFeed, err error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return f, (&problemErr{Code: "invalid_request", Detail: "The query is malformed."}).because(err)
	}
	for name, values := range q {
		if !slices.Contains([]string{"events", "after", "limit", "organization_id", "range_start", "range_end", "order"}, name) {
			return f, invalidField(name, "there is no such parameter")
		}
		if slices.ContainsFunc(values, notText) {
			return f, invalidField(name, "is no text")
		}
		if len(values) > 1 && name != "events" {
			return f, invalidField(name, "was given more than once")
		}
	}
	if order := q.Get("order"); order != "" && order != "asc" && order != "normal" {
		return f, invalidField("order", "events are listed as they happened")
	}
	for name := range strings.SplitSeq(strings.Join(q["events"], ","), ",") {
		ours, known := workosEventTypes[name]
		if !known {
			return f, invalidField("events", "session.created and session.revoked are to be had here; everything else by the management API")
		}
		f.Types = append(f.Types, ours...)
	}
	slices.Sort(f.Types)
	f.Types = slices.Compact(f.Types)
	if f.Limit, err = numberIn(q, "limit", 1, 100, 10); err != nil {
		return f, err
	}
	for name, into := range map[string]*storage.Time{"range_start": &f.Since, "range_end": &f.Until} {
		if text := q.Get(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				at, err = time.Parse(time.DateOnly, text)
			}
			if err != nil {
				return f, invalidField(name, "is no time")
			}
			*into = given(&at)
		}
	}
	f.OrganizationID = q.Get("organization_id")
	switch {
	case call.Organization == "":
	case f.OrganizationID == "", f.OrganizationID == call.Organization:
		f.OrganizationID = call.Organization
	default:
		return f, &problemErr{Code: "not_permitted", Detail: "The key is of another organization."}
	}
	if after := q.Get("after"); after != "" {
		e, err := s.eventOf(r, after, f.OrganizationID)
		if err != nil {
			return f, err
		}
		f.From = *e.Position + 1
	}
	return f, nil
}

// eventOf returns an event that a list can go on after.
func (s *Server) eventOf(r *http.Request, id, organization string) (*storage.Event, error) {
	if !acceptableID(id) {
		return nil, invalidField("after", "there is no such event")
	}
	e, err := s.store.Event(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (e.Position == nil || organization != "" && e.OrganizationID != organization) {
		return nil, invalidField("after", "there is no such event")
	}
	return e, err
}

type workosList struct {
	Object   string        `json:"object"`
	Data     []workosEvent `json:"data"`
	Metadata struct {
		After *string `json:"after"`
	} `json:"list_metadata"`
}

type workosEvent struct {
	Object    string        `json:"object"`
	ID        string        `json:"id"`
	Event     string        `json:"event"`
	CreatedAt string        `json:"created_at"`
	Data      workosSession `json:"data"`
}

func workosEventOf(e *storage.Event, impersonator *workosImpersonator) workosEvent {
	at := workosTime(e.Time.Time())
	private := privateOf(e)
	session := workosSession{
		Object: "session", UserID: e.SubjectID, OrganizationID: unlessEmpty(e.OrganizationID), AuthMethod: "password", Status: "active",
		IPAddress: unlessEmpty(private.IP), UserAgent: unlessEmpty(private.UserAgent), CreatedAt: at, UpdatedAt: at,
	}
	session.ID, _ = e.Data["sid"].(string)
	if text, ok := e.Data["expires_at"].(string); ok {
		if expires, err := time.Parse(time.RFC3339Nano, text); err == nil {
			session.ExpiresAt = unlessEmpty(workosTime(expires))
		}
	}
	if e.ImpersonationID != "" {
		session.ID, session.AuthMethod, session.Impersonator = e.ImpersonationID, "impersonation", impersonator
	}
	name := "session.created"
	if e.Type != storage.EventSessionCreated {
		name, session.Status, session.EndedAt = "session.revoked", "revoked", &at
	}
	return workosEvent{"event", e.ID, name, at, session}
}
