package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/storage"
	"github.com/understudy-id/understudy/templates"
)

// eventFilter is the filter of the record: as it was typed, and what it selects.
type eventFilter struct {
	typed  url.Values
	search storage.EventSearch
	errors []templates.FieldError
}

// eventFields are what the record is filtered by. An address is in the private part
// of an event, which no index can know: it is in the export.
var eventFields = []string{"from", "to", "type", "actor", "subject", "client", "impersonation", "outcome"}

// eventFilter reads a filter. What is wrong with it is said at its fields.
func (s *Server) eventFilter(r *http.Request, given url.Values) (*eventFilter, error) {
	f := &eventFilter{typed: url.Values{}}
	for _, field := range eventFields {
		value := strings.TrimSpace(given.Get(field))
		if value == "" {
			continue
		}
		f.typed.Set(field, value)
		message, err := s.selectEvents(r, &f.search, field, value)
		if err != nil {
			return nil, err
		}
		if message != "" {
			f.errors = append(f.errors, templates.FieldError{Field: field, Message: message})
		}
	}
	if f.search.From.Set() && f.search.To.Set() && f.search.To <= f.search.From {
		f.errors = append(f.errors, templates.FieldError{Field: "to", Message: "The end is not after the start."})
	}
	return f, nil
}

// selectEvents adds one field to a search, or says what is wrong with its value.
func (s *Server) selectEvents(r *http.Request, search *storage.EventSearch, field, value string) (message string, err error) {
	if len(value) > 200 || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return "This is too long, or no text.", nil
	}
	switch field {
	case "from", "to":
		at, ok := moment(value)
		if !ok {
			return "Write a date and a time, like 2026-11-21T14:00.", nil
		}
		if field == "from" {
			search.From = at
		} else {
			search.To = at
		}
	case "type":
		if search.Type = storage.EventType(value); eventLabels[search.Type] == "" {
			return "There is no such kind of event.", nil
		}
	case "outcome":
		switch value {
		case "refused":
			search.Type, message = storage.EventImpersonationDenied, conflict(search.Type, storage.EventImpersonationDenied)
		case "done":
			search.NotType = storage.EventImpersonationDenied
		default:
			message = "There is no such outcome."
		}
		return message, nil
	case "actor", "subject":
		u, err := s.store.FindUser(r.Context(), value)
		if errors.Is(err, storage.ErrNotFound) {
			return "There is no user with this e-mail address or id.", nil
		}
		if err != nil {
			return "", err
		}
		if field == "actor" {
			search.ActorID = u.ID
		} else {
			search.SubjectID = u.ID
		}
	case "client":
		search.ClientID = value
	case "impersonation":
		search.ImpersonationID = value
	}
	return "", nil
}

// conflict says that nothing can be of both types.
func conflict(chosen, wanted storage.EventType) string {
	if chosen != "" && chosen != wanted {
		return "Events of this kind are not refused."
	}
	return ""
}

// moment reads a time as a page's field has it, in UTC, or with a zone of its own.
func moment(text string) (storage.Time, bool) {
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 10000 {
			return storage.At(t), true
		}
	}
	return 0, false
}

// cursor is a place in the record as an address has it.
var cursor = regexp.MustCompile(`^([0-9]{1,16})\.(evt_[a-z2-7]{26})$`)

func parseCursor(text string) (storage.Mark, error) {
	m := cursor.FindStringSubmatch(text)
	if text == "" {
		return storage.Mark{}, nil
	}
	if m == nil {
		return storage.Mark{}, &pageErr{
			Status: http.StatusBadRequest, Code: "invalid_request", Message: "This address names no place in the record.", BackURL: "/admin/events", BackLabel: "The whole record",
		}
	}
	at, err := strconv.ParseInt(m[1], 10, 64)
	return storage.Mark{Time: storage.Time(at), ID: m[2]}, err
}

func cursorOf(e *storage.Event) string {
	return strconv.FormatInt(int64(e.Time), 10) + "." + e.ID
}

// events shows the record, the latest first.
func (s *Server) events(w http.ResponseWriter, r *http.Request, st *staff) error {
	q := r.URL.Query()
	f, err := s.eventFilter(r, q)
	if err != nil {
		return err
	}
	if f.search.Before, err = parseCursor(q.Get("before")); err != nil {
		return err
	}
	if f.search.After, err = parseCursor(q.Get("after")); err != nil {
		return err
	}
	return s.showEvents(w, r, st, f)
}

// showEvents shows a page of the record, or what is wrong with the filter.
func (s *Server) showEvents(w http.ResponseWriter, r *http.Request, st *staff, f *eventFilter) error {
	p := templates.EventsPage{
		Page: s.consoleFrame(r, st), Filter: f.typed, Errors: f.errors, Badge: s.badge(), Now: time.Now(),
		Export: st.may("events:export"), Query: f.typed.Encode(),
	}
	for kind, label := range eventLabels {
		p.Types = append(p.Types, templates.Option{Value: string(kind), Label: label, Selected: f.typed.Get("type") == string(kind)})
	}
	slices.SortFunc(p.Types, func(a, b templates.Option) int { return strings.Compare(a.Value, b.Value) })
	if len(f.errors) > 0 {
		return s.pages.Events(w, http.StatusBadRequest, p)
	}
	search := f.search
	search.Limit = pageSize + 1
	found, err := s.store.SearchEvents(r.Context(), search)
	if err != nil {
		return err
	}
	more := len(found) > pageSize
	found = found[:min(len(found), pageSize)]
	back := search.After != storage.Mark{}
	if back {
		slices.Reverse(found)
	}
	if p.Events, err = s.eventRows(r, found); err != nil {
		return err
	}
	if len(found) > 0 && (back || more) {
		p.OlderURL = f.address("before", cursorOf(&found[len(found)-1]))
	}
	if len(found) > 0 && (back && more || search.Before != storage.Mark{}) {
		p.NewerURL = f.address("after", cursorOf(&found[0]))
	}
	return s.pages.Events(w, http.StatusOK, p)
}

// address is that of the filter's page at a place.
func (f *eventFilter) address(name, place string) string {
	q := url.Values{name: {place}}
	for field, value := range f.typed {
		q[field] = value
	}
	return "/admin/events?" + q.Encode()
}

// eventRows says of events what a list shows.
func (s *Server) eventRows(r *http.Request, events []storage.Event) ([]templates.EventRow, error) {
	names, err := s.store.NamesIn(r.Context(), events)
	if err != nil {
		return nil, err
	}
	rows := make([]templates.EventRow, len(events))
	for i, e := range events {
		rows[i] = eventRow(&e, names)
		record, err := provider.EventRecordOf(&e)
		if err != nil {
			continue // the private part is damaged, which verifying says
		}
		if record.Private != nil {
			rows[i].Reason, rows[i].TicketRef, rows[i].IP = record.Private.Reason, record.Private.TicketRef, record.Private.IP
		}
	}
	return rows, nil
}

// eventRow names both who acted and whom it concerned, wherever they are two.
func eventRow(e *storage.Event, names storage.Names) templates.EventRow {
	row := templates.EventRow{
		ID: e.ID, Time: e.Time.Time(), Type: string(e.Type), Label: eventLabels[e.Type], Position: -1,
		ActorID: e.ActorID, ActorName: called(names.Users, e.ActorID), ClientName: called(names.Clients, e.ClientID),
		Organization: called(names.Organizations, e.OrganizationID),
		Acting:       e.ImpersonationID != "", ImpersonationID: e.ImpersonationID, Refused: e.Type == storage.EventImpersonationDenied,
	}
	if e.Position != nil {
		row.Position = *e.Position
	}
	if e.SubjectID != e.ActorID {
		row.SubjectID, row.SubjectName = e.SubjectID, called(names.Users, e.SubjectID)
	}
	return row
}

// called returns the name of an id, or the id.
func called(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return name
	}
	return id
}

// eventLabels are what the kinds of events are called on pages.
var eventLabels = map[storage.EventType]string{
	storage.EventSessionCreated:         "Signed in",
	storage.EventSessionRevoked:         "Session ended",
	storage.EventImpersonationRequested: "Asked to sign in as somebody",
	storage.EventImpersonationRevoked:   "Ticket to sign in as somebody revoked",
	storage.EventImpersonationStarted:   "Signed in as somebody",
	storage.EventImpersonationDenied:    "Signing in as somebody refused",
	storage.EventImpersonationStopped:   "Stopped acting as somebody",
	storage.EventImpersonationExpired:   "Time as somebody ran out",
	storage.EventImpersonationApproved:  "Signing in as somebody approved",
	storage.EventImpersonationWithdrawn: "Request to sign in as somebody withdrawn",
	storage.EventMailTested:             "Mail tried",
	storage.EventImpersonationReported:  "Reported by the user",
	storage.EventSupportAccessChanged:   "Support access changed",
	storage.EventSupportAccessRequested: "Support access asked for",
	storage.EventPolicyUpdated:          "Policy changed",
	storage.EventConsoleOpened:          "Console opened",
	storage.EventRecordExported:         "Record exported",
	storage.EventTokenIssued:            "Token issued",
	storage.EventGrantRevoked:           "Tokens revoked",
	storage.EventConsentRevoked:         "Consent withdrawn",
	storage.EventUserCreated:            "User created",
	storage.EventUserUpdated:            "User changed",
	storage.EventUserDisabled:           "User disabled",
	storage.EventUserDeleted:            "User deleted",
	storage.EventUserEnabled:            "User enabled",
	storage.EventUserRoleGranted:        "Role granted",
	storage.EventUserRoleRevoked:        "Role revoked",
	storage.EventUserPasswordChanged:    "Password changed",
	storage.EventRoleCreated:            "Role created",
	storage.EventRoleUpdated:            "Role changed",
	storage.EventRoleDeleted:            "Role deleted",
	storage.EventOrganizationCreated:    "Organization created",
	storage.EventOrganizationUpdated:    "Organization changed",
	storage.EventOrganizationDeleted:    "Organization deleted",
	storage.EventMemberAdded:            "Member added",
	storage.EventMemberRemoved:          "Member removed",
	storage.EventClientCreated:          "Application created",
	storage.EventClientUpdated:          "Application changed",
	storage.EventClientDeleted:          "Application deleted",
	storage.EventClientSecretRotated:    "Application secret replaced",
	storage.EventClientSecretDropped:    "Old application secret dropped",
	storage.EventClientLogoutTested:     "Back-channel logout tried",
	storage.EventInitialTokenCreated:    "Registration token created",
	storage.EventInitialTokenRevoked:    "Registration token revoked",
	storage.EventSettingsUpdated:        "Setting changed",
	storage.EventKeyCreated:             "Signing key created",
	storage.EventKeyRetired:             "Signing key retired",
	storage.EventKeyReencrypted:         "Signing key encrypted anew",
	storage.EventAPIKeyCreated:          "API key created",
	storage.EventAPIKeyRevoked:          "API key revoked",
	storage.EventSetupLinkCreated:       "Setup link created",
	storage.EventSetupLinkUsed:          "Setup link used",
	storage.EventSetupLinkRevoked:       "Setup link revoked",
	storage.EventWebhookCreated:         "Webhook created",
	storage.EventWebhookUpdated:         "Webhook changed",
	storage.EventWebhookEnabled:         "Webhook enabled",
	storage.EventWebhookDisabled:        "Webhook disabled",
	storage.EventWebhookDeleted:         "Webhook deleted",
	storage.EventWebhookSecretRotated:   "Webhook secret replaced",
	storage.EventWebhookReplayed:        "Events sent to a webhook again",
	storage.EventWebhookTest:            "Webhook tried",
}
