package provider

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// EventMessage is an event as other programs read it: what the API answers, and the
// data of a webhook. What does not apply is left out.
type EventMessage struct {
	ID            string        `json:"id"`
	Type          string        `json:"type"`
	Time          time.Time     `json:"time"`
	Actor         string        `json:"actor,omitempty"`   // who did it; nobody: the product itself
	Subject       string        `json:"subject,omitempty"` // whom it concerns
	Client        string        `json:"client,omitempty"`
	Organization  string        `json:"organization,omitempty"`
	Impersonation string        `json:"impersonation,omitempty"`
	Impersonator  *Impersonator `json:"impersonator,omitempty"` // of a session that an impersonation made
	Reason        string        `json:"reason,omitempty"`
	TicketRef     string        `json:"ticket_ref,omitempty"`
	IP            string        `json:"ip,omitempty"`
	UserAgent     string        `json:"user_agent,omitempty"`
	RequestID     string        `json:"request_id,omitempty"`
	Data          storage.Data  `json:"data"`
}

// Impersonator is who acts as another, as applications may be told. Both are empty once
// the private part of the event was erased.
type Impersonator struct {
	Email  string `json:"email"`
	Reason string `json:"reason"`
}

// EventMessageOf returns an event as other programs read it.
func EventMessageOf(e *storage.Event) (EventMessage, error) {
	m := EventMessage{
		ID: e.ID, Type: string(e.Type), Time: e.Time.Time(), Actor: e.ActorID, Subject: e.SubjectID, Client: e.ClientID,
		Organization: e.OrganizationID, Impersonation: e.ImpersonationID, RequestID: e.RequestID, Data: e.Data,
	}
	if m.Data == nil {
		m.Data = storage.Data{}
	}
	var p storage.Private
	if e.Private != "" {
		if err := json.Unmarshal([]byte(e.Private), &p); err != nil {
			return m, fmt.Errorf("event %s: private part: %w", e.ID, err)
		}
	}
	m.Reason, m.TicketRef, m.IP, m.UserAgent = p.Reason, p.TicketRef, p.IP, p.UserAgent
	if e.Type == storage.EventSessionCreated && e.ImpersonationID != "" {
		m.Impersonator = &Impersonator{p.ActorEmail, p.Reason}
	}
	return m, nil
}
