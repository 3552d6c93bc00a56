package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
)

// exported is everything that is kept about a person, as they may have it (GDPR
// Articles 15 and 20). What proves who they are, such as hashes, is not in it.
type exported struct {
	ExportedAt      time.Time             `json:"exported_at"`
	Profile         map[string]any        `json:"profile"`
	SignIns         []exportedSignIn      `json:"sign_ins"`
	ActedAs         []exportedActedAs     `json:"acted_as"`
	Applications    []exportedApplication `json:"applications"`
	SupportAccess   *exportedSupport      `json:"support_access"`
	SupportRequests []exportedRequest     `json:"support_requests"`
	History         []exportedEvent       `json:"history"`
}

type exportedSignIn struct {
	StartedAt  time.Time `json:"started_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
}

type exportedActedAs struct {
	ID           string    `json:"id"`
	Actor        string    `json:"actor"`
	Application  string    `json:"application"`
	Organization string    `json:"organization,omitempty"`
	Reason       string    `json:"reason"`
	TicketRef    string    `json:"ticket_ref,omitempty"`
	Access       string    `json:"access"`
	StartedAt    time.Time `json:"started_at"`
	EndsAt       time.Time `json:"ends_at"`
	Running      bool      `json:"running"`
}

type exportedApplication struct {
	ClientID string     `json:"client_id"`
	Name     string     `json:"name"`
	Scope    string     `json:"consented_scope,omitempty"`
	AgreedAt *time.Time `json:"consented_at,omitempty"`
	Grants   int64      `json:"live_grants"`
}

type exportedSupport struct {
	Mode      string     `json:"mode"`
	TicketRef string     `json:"ticket_ref,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

type exportedRequest struct {
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason"`
	TicketRef string    `json:"ticket_ref,omitempty"`
	Status    string    `json:"status"`
	AskedAt   time.Time `json:"asked_at"`
}

type exportedEvent struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Type      string    `json:"type"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// export answers with everything that is kept about the person, as a file.
func (s *Server) export(w http.ResponseWriter, r *http.Request, p *person) error {
	e, err := s.exported(r.Context(), p, time.Now())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="understudy-account.json"`)
	writeJSON(w, http.StatusOK, e)
	return nil
}

func (s *Server) exported(ctx context.Context, p *person, now time.Time) (*exported, error) {
	e := &exported{ExportedAt: now.UTC(), Profile: provider.AllClaims(&p.User)}
	for _, add := range []func(context.Context, *person, *exported, time.Time) error{s.exportHistory, s.exportSignIns, s.exportApplications, s.exportSupport} {
		if err := add(ctx, p, e, now); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (s *Server) exportHistory(ctx context.Context, p *person, e *exported, now time.Time) error {
	known := s.names()
	at := storage.Span{Limit: 500}
	for {
		found, more, err := s.provider.History(ctx, p.User.ID, at)
		if err != nil {
			return err
		}
		for _, h := range found {
			if v := h.Event; v != nil {
				item := exportedEvent{ID: v.ID, Time: v.Time.Time(), Type: string(v.Type)}
				if v.ActorID == v.SubjectID { // else it is where somebody else was
					private := privateOf(v)
					item.IP, item.UserAgent = private.IP, private.UserAgent
				}
				e.History = append(e.History, item)
				continue
			}
			a, err := known.actedAs(ctx, h.Impersonation, now)
			if err != nil {
				return err
			}
			e.ActedAs = append(e.ActedAs, exportedActedAs{
				ID: a.ID, Actor: a.ActorName, Application: a.ClientName, Organization: a.Organization, Reason: a.Reason,
				TicketRef: a.TicketRef, Access: a.Access, StartedAt: a.StartedAt, EndsAt: a.EndsAt, Running: a.Running,
			})
		}
		if !more {
			return nil
		}
		at.Before = found[len(found)-1].Mark()
	}
}

func (s *Server) exportSignIns(ctx context.Context, p *person, e *exported, now time.Time) error {
	live, err := s.store.LiveLogins(ctx, p.User.ID, now)
	for _, l := range live {
		e.SignIns = append(e.SignIns, exportedSignIn{l.CreatedAt.Time(), l.LastSeenAt.Time(), l.ExpiresAt.Time(), l.IP, l.UserAgent})
	}
	return err
}

func (s *Server) exportApplications(ctx context.Context, p *person, e *exported, now time.Time) error {
	all, err := s.store.Applications(ctx, p.User.ID, now)
	for _, a := range all {
		e.Applications = append(e.Applications, exportedApplication{a.ClientID, a.Name, a.Scope, momentText(a.AgreedAt), a.Grants})
	}
	return err
}

func (s *Server) exportSupport(ctx context.Context, p *person, e *exported, _ time.Time) error {
	_, said, err := s.store.ImpersonationTerms(ctx, p.User.ID)
	if err != nil {
		return err
	}
	if said != nil {
		e.SupportAccess = &exportedSupport{string(said.Mode), said.TicketRef, momentText(said.ExpiresAt)}
	}
	asked, err := s.store.SupportRequests(ctx, p.User.ID, 1000)
	if err != nil {
		return err
	}
	known := s.names()
	for _, ask := range asked {
		actor, err := known.user(ctx, ask.ActorID)
		if err != nil {
			return err
		}
		e.SupportRequests = append(e.SupportRequests, exportedRequest{actor, ask.Reason, ask.TicketRef, ask.Status, ask.CreatedAt.Time()})
	}
	return nil
}

// momentText is a time that may be never.
func momentText(t storage.Time) *time.Time {
	if !t.Set() {
		return nil
	}
	at := t.Time()
	return &at
}
