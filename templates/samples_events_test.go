package templates

import (
	"net/http"
	"net/url"
	"time"
)

func (p EventsPage) show(s *Set, w http.ResponseWriter) error { return s.Events(w, http.StatusOK, p) }

func (p EventPage) show(s *Set, w http.ResponseWriter) error { return s.Event(w, http.StatusOK, p) }
func (p KeysPage) show(s *Set, w http.ResponseWriter) error  { return s.Keys(w, http.StatusOK, p) }
func (p OverviewPage) show(s *Set, w http.ResponseWriter) error {
	return s.Overview(w, http.StatusOK, p)
}

func (p SettingsPage) show(s *Set, w http.ResponseWriter) error {
	return s.Settings(w, http.StatusOK, p)
}

func (p VerificationPage) show(s *Set, w http.ResponseWriter) error {
	return s.Verification(w, http.StatusOK, p)
}

func (p ReplaceKeysPage) show(s *Set, w http.ResponseWriter) error {
	return s.ReplaceKeys(w, http.StatusOK, p)
}

func (p SwitchActingPage) show(s *Set, w http.ResponseWriter) error {
	return s.SwitchActing(w, http.StatusOK, p)
}

// eventsSamples are the pages about the record, the keys, the settings and the overview.
func eventsSamples() map[string]any {
	whole := Badge{State: "whole", At: now.Add(-4 * time.Minute), Records: 18204, Root: "7f3aC9", Now: now}
	broken := Badge{State: "wrong", At: now, Broken: true, Position: 1204, Now: now}
	rows := []EventRow{
		{
			ID: "evt_1", Type: "impersonation.started", Label: "Signed in as somebody", Time: now, Position: 18203, ActorID: "usr_sam", ActorName: "Sam Support",
			SubjectID: "usr_ada", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Organization: "Globex", Acting: true, ImpersonationID: "imp_1",
			Reason: "Cannot see invoice 4711", TicketRef: "SUP-4821", IP: "192.0.2.7",
		},
		{ID: "evt_2", Type: "impersonation.denied", Label: "Signing in as somebody refused", Time: now.Add(-time.Hour), Position: 18202, ActorID: "usr_sam", ActorName: "Sam Support", SubjectID: "usr_root", SubjectName: "Root", Refused: true},
		{ID: "evt_3", Type: "x.unknown", Time: now.Add(-30 * time.Hour), Position: -1},
	}
	types := []Option{{"impersonation.started", "Signed in as somebody", true}, {"session.created", "Signed in", false}}
	wrong := []FieldError{
		{"from", "Write a date and a time, like 2026-11-21T14:00."},
		{"to", "The end is not after the start."},
		{"type", "There is no such kind of event."},
		{"outcome", "There is no such outcome."},
		{"actor", "There is no user with this e-mail address or id."},
		{"subject", "There is no user with this e-mail address or id."},
		{"client", "This is too long, or no text."},
		{"impersonation", "This is too long, or no text."},
	}
	algs := []Option{{"RS256", "RS256", true}, {"ES256", "ES256", false}}
	locked := []SettingGroup{
		{"Signing in as others", []SettingRow{{"impersonation.max_duration", "45m", "file"}, {"impersonation.ticket_ref_pattern", "", "default"}}},
		{"Listeners", []SettingRow{{"listen", ":443", "flag"}, {"ops_listen", "127.0.0.1:9090", "env"}}},
	}
	return map[string]any{
		"console_events": EventsPage{
			Page: framed("The record was read from end to end."), Now: now, Badge: whole, Types: types, Events: rows, Export: true, Query: "type=impersonation.started",
			Filter: url.Values{"type": {"impersonation.started"}, "outcome": {"done"}}, NewerURL: "/admin/events?after=1.evt_1", OlderURL: "/admin/events?before=1.evt_3",
		},
		"console_events_empty":   EventsPage{Page: framed(""), Now: now, Badge: Badge{State: "stale", Now: now}, Types: types},
		"console_events_nothing": EventsPage{Page: framed(""), Now: now, Badge: broken, Query: "outcome=refused", Filter: url.Values{"outcome": {"refused"}}},
		"console_events_wrong":   EventsPage{Page: framed(""), Now: now, Badge: Badge{State: "stale", At: now.Add(-3 * time.Hour), Now: now}, Errors: wrong, Filter: url.Values{"actor": {"nobody@x.test"}}},
		"console_event": EventPage{
			Page: framed(""), Row: rows[0], JSON: "{\n  \"id\": \"evt_1\"\n}\n", Hash: "bGVhZg==", Checkpoint: &CheckpointRow{Size: 18204, At: now.Add(time.Minute), Root: "7f3a"}, Now: now,
		},
		"console_event_new": EventPage{Page: framed(""), Row: rows[2], JSON: "{}", Hash: "bGVhZg==", Now: now},
		"console_verification": VerificationPage{
			Page: framed(""), Badge: whole, At: whole.At, Now: now, Took: 3 * time.Second, Compared: 12, Pending: 1, Erased: 2,
			Checkpoints: []CheckpointRow{{18204, "7f3a", now}, {18000, "", now.Add(-time.Hour)}}, Note: "id.example\n18204\n7f3a\n\n— id.example x\n", Key: "id.example+1+AAAA",
		},
		"console_verification_wrong": VerificationPage{Page: framed(""), Badge: broken, At: now, Now: now, Wrong: "event 1204: changed: evt_x is not what was recorded here", Key: "id.example+1+AAAA"},
		"console_verification_new":   VerificationPage{Page: framed(""), Badge: Badge{State: "stale", Now: now}, Now: now, Failed: "It could not be read when it was tried last. The server's log says why.", Key: "id.example+1+AAAA"},
		"console_keys": KeysPage{Page: framed(""), Now: now, Interval: 90 * 24 * time.Hour, Keys: []KeyRow{
			{ID: "k4", Alg: "ES256", State: "next", Tokens: true, CreatedAt: now, SignsFrom: now.Add(24 * time.Hour)},
			{ID: "k3", Alg: "ES256", State: "signing", Tokens: true, CreatedAt: now.Add(-80 * 24 * time.Hour), SignsFrom: now.Add(-79 * 24 * time.Hour)},
			{ID: "k2", Alg: "ES256", State: "verifying", Tokens: true, CreatedAt: now.Add(-180 * 24 * time.Hour), SignsFrom: now.Add(-179 * 24 * time.Hour), Until: now.Add(time.Hour)},
			{ID: "k1", Alg: "RS256", State: "retired", Tokens: true, CreatedAt: now.Add(-200 * 24 * time.Hour), SignsFrom: now.Add(-199 * 24 * time.Hour), RetiredAt: now.Add(-time.Hour)},
			{ID: "k0", Alg: "EdDSA", State: "signing", CreatedAt: now.Add(-200 * 24 * time.Hour), SignsFrom: now.Add(-200 * 24 * time.Hour)},
		}},
		"console_keys_by_hand":       KeysPage{Page: framed(""), Now: now},
		"console_keys_replace":       ReplaceKeysPage{Page: framed(""), Algs: algs},
		"console_keys_replace_wrong": ReplaceKeysPage{Page: framed(""), Algs: algs, Confirm: true, Errors: []FieldError{{"alg", "Choose at least one."}, {"password", "The password is not right."}}},
		"console_settings":           SettingsPage{Page: framed(""), Enabled: true, Running: 2, Rule: "optional", ReasonMin: 8, ReasonMax: 500, Locked: locked, Now: now, MailSet: true, MailTo: "root@corp.example", MailWaiting: 2, MailFailed: 1, MailError: "550 5.1.1 no such user", MailErrorAt: now.Add(-time.Hour)},
		"console_settings_off":       SettingsPage{Page: framed(""), Rule: "required", Confirm: true, Errors: []FieldError{{"rule", "Choose one of the rules."}, {"password", "Confirm with your password."}}},
		"console_settings_acting":    SwitchActingPage{Page: framed(""), Clients: 3, Rule: "optional", Longest: time.Hour, Confirm: true, Errors: []FieldError{{"password", "Confirm with your password."}}},
		"console_settings_acting_1":  SwitchActingPage{Page: framed(""), Clients: 1, Rule: "managed", Longest: 45 * time.Minute},
		"console_overview": OverviewPage{
			Page: framed(""), Now: now, Badge: &whole, ShowRunning: true, Figures: []Figure{{"Sign-ins in 24 hours", "/admin/events?type=session.created", 1204}, {"Users", "/admin/users", 18000}},
			Running: []RunningRow{
				{ID: "imp_1", ActorName: "Sam Support", SubjectName: "Ada Lovelace", ClientName: "Acme Billing", Reason: "Cannot see invoice 4711", EventsURL: "/admin/events?impersonation=imp_1", EndsAt: end, Now: now, MayStop: true},
				{ID: "imp_2", ActorName: "Root", SubjectName: "Linus", ClientName: "Acme Wiki", EndsAt: end, Now: now},
			},
			Steps:    []ChecklistStep{{Title: "Add users", State: "There is nobody but administrators yet.", URL: "/admin/users/new"}},
			Warnings: []Warning{{"issuer", "http://localhost is not https", "Set an https issuer.", false}, {"record", "event 4: changed", "", true}},
		},
		"console_overview_quiet":     OverviewPage{Page: framed(""), Now: now, ShowRunning: true},
		"console_overview_waits":     OverviewPage{Page: framed(""), Now: now, Waiting: 3, WaitingURL: "/admin/impersonations/approvals"},
		"console_overview_one_waits": OverviewPage{Page: framed(""), Now: now, Waiting: 1, WaitingURL: "/admin/impersonations/approvals"},
	}
}
