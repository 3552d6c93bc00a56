package templates

import (
	"net/http"
	"time"
)

// WebhooksPage lists what events are pushed to.
type WebhooksPage struct {
	Page
	Rows    []WebhookRow
	MayPush bool // else they may not say where events go
	Form    Form // of a new one
	Now     time.Time
}

// WebhookRow is a webhook in a list.
type WebhookRow struct {
	ID, URL, Description string
	EventTypes           []string // empty: everything
	Active               bool
	Why                  string    // of one that is disabled: operator, gone or failing
	FailingSince         time.Time // zero: it answers
}

// Webhooks posts a new one to p.Form.Action.
func (s *Set) Webhooks(w http.ResponseWriter, status int, p WebhooksPage) error {
	return s.render(w, status, "console/webhooks", p)
}

// WebhookPage shows a webhook and what it got.
type WebhookPage struct {
	Page
	Row           WebhookRow
	Action        string    // of the page; its forms post below it
	Secret        string    // just made, shown once
	PreviousUntil time.Time // the secret before signs until then; zero: there is none
	MayPush       bool
	Form          Form // to change it
	Deliveries    []DeliveryRow
	Status        string // of the deliveries shown; empty: all
	OlderURL      string
	Confirm       bool // the password is to be shown for what is dangerous
	Errors        []FieldError
	Now           time.Time
}

// DeliveryRow is an event that a webhook is to get, and what came of it.
type DeliveryRow struct {
	EventID, Type, Label string
	Status               string // pending, delivered or failed
	Answer               int64  // the HTTP status; zero: there was none
	Error                string
	Attempts             int64
	At                   time.Time
	Next                 time.Time // zero: there is no next attempt
	Action               string    // sends it again
}

// Webhook posts its forms below p.Action.
func (s *Set) Webhook(w http.ResponseWriter, status int, p WebhookPage) error {
	return s.render(w, status, "console/webhook", webhookView{p, problems(p.Errors)})
}

type webhookView struct {
	WebhookPage
	Problem map[string]string
}
