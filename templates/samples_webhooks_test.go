package templates

import (
	"net/http"
	"time"
)

func (p WebhooksPage) show(s *Set, w http.ResponseWriter) error {
	return s.Webhooks(w, http.StatusOK, p)
}

func (p WebhookPage) show(s *Set, w http.ResponseWriter) error { return s.Webhook(w, http.StatusOK, p) }

// webhookSamples are the pages about webhooks.
func webhookSamples() map[string]any {
	form := func(action string, wrong bool) Form {
		fields := []Field{
			{Name: "url", Label: "Address", Hint: "An https address. Redirects are not followed.", Value: "https://hooks.acme.example/understudy", Required: true},
			{Name: "description", Label: "Description", Hint: "What it is for, for those who list it.", Value: "Helpdesk"},
			{Kind: FieldLines, Name: "event_types", Label: "Events", Value: "session.created\nuser.*", Hint: "One type a line, like session.created, or user.* for all of a kind. Empty: all."},
		}
		if wrong {
			fields[0].Error, fields[1].Error, fields[2].Error = "Write the https address of a public host.", "This is too long, or no text.", "There are no events of one of these types, or it is there twice."
			fields = append(fields, Field{Kind: FieldPassword, Name: "password", Label: "Your own password", Hint: "You showed it more than a few minutes ago. Confirm that it is you.", Error: "The password is not right."})
		}
		return Form{Action: action, Groups: []FieldGroup{{Fields: fields}}}
	}
	rows := []WebhookRow{
		{ID: "wh_1", URL: "https://hooks.acme.example/understudy", Description: "Helpdesk", EventTypes: []string{"impersonation.*", "session.created"}, Active: true},
		{ID: "wh_2", URL: "https://siem.acme.example/in", Active: true, FailingSince: now.Add(-time.Hour)},
		{ID: "wh_3", URL: "https://old.acme.example/", Why: "gone"},
		{ID: "wh_4", URL: "https://older.acme.example/", Why: "failing"},
		{ID: "wh_5", URL: "https://" + "a-very-long-name-of-a-host-that-does-not-break." + "acme.example/with/a/path/that/goes/on/and/on", Why: "operator"},
	}
	deliveries := []DeliveryRow{
		{EventID: "evt_1", Type: "impersonation.started", Label: "Signed in as somebody", Status: "delivered", Answer: 204, Attempts: 1, At: now, Action: "/admin/webhooks/wh_1/deliveries/evt_1/replay"},
		{EventID: "evt_2", Type: "impersonation.stopped", Label: "Stopped acting as somebody", Status: "pending", Answer: 502, Error: "the answer was 502", Attempts: 3, At: now.Add(-time.Minute), Next: now.Add(time.Minute), Action: "/admin/webhooks/wh_1/deliveries/evt_2/replay"},
		{EventID: "evt_3", Type: "x.unknown", Status: "failed", Error: "dial tcp: connection refused", Attempts: 80, At: now.Add(-80 * time.Hour), Action: "/admin/webhooks/wh_1/deliveries/evt_3/replay"},
	}
	return map[string]any{
		"console_webhooks":       WebhooksPage{Page: framed("The webhook was deleted."), Rows: rows, MayPush: true, Form: form("/admin/webhooks", false), Now: now},
		"console_webhooks_none":  WebhooksPage{Page: framed(""), Now: now},
		"console_webhooks_wrong": WebhooksPage{Page: framed(""), MayPush: true, Form: form("/admin/webhooks", true), Now: now},
		"console_webhook": WebhookPage{
			Page: framed("The test was delivered."), Row: rows[0], Action: "/admin/webhooks/wh_1", MayPush: true, Form: form("/admin/webhooks/wh_1", false),
			Deliveries: deliveries, OlderURL: "/admin/webhooks/wh_1?before=1.evt_3", PreviousUntil: now.Add(20 * time.Hour), Now: now,
		},
		"console_webhook_secret": WebhookPage{
			Page: framed(""), Row: rows[0], Action: "/admin/webhooks/wh_1", MayPush: true, Form: form("/admin/webhooks/wh_1", false), Secret: "whsec_c2VjcmV0IG9mIGEgd2ViaG9vaw==", Now: now,
		},
		"console_webhook_failing": WebhookPage{Page: framed(""), Row: rows[1], Action: "/admin/webhooks/wh_2", Status: "failed", Now: now},
		"console_webhook_disabled": WebhookPage{
			Page: framed(""), Row: rows[3], Action: "/admin/webhooks/wh_4", MayPush: true, Form: form("/admin/webhooks/wh_4", false), Confirm: true, Now: now,
			Errors: []FieldError{{"enable_password", "Confirm with your password."}, {"rotate_password", "The password is not right."}, {"delete_password", "Confirm with your password."}},
		},
	}
}
