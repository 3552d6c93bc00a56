package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// EventType names what happened.
type EventType string

// The types of events.
const (
	EventSessionCreated         EventType = "session.created"
	EventSessionRevoked         EventType = "session.revoked"
	EventImpersonationRequested EventType = "impersonation.requested"
	EventImpersonationRevoked   EventType = "impersonation.revoked" // a ticket, before it became one
	EventImpersonationStarted   EventType = "impersonation.started"
	EventImpersonationDenied    EventType = "impersonation.denied"
	EventImpersonationStopped   EventType = "impersonation.stopped"
	EventImpersonationExpired   EventType = "impersonation.expired"
	EventImpersonationReported  EventType = "impersonation.reported"
	EventImpersonationApproved  EventType = "impersonation.approved"
	EventImpersonationWithdrawn EventType = "impersonation.withdrawn"
	EventSupportAccessChanged   EventType = "support_access.changed"
	EventSupportAccessRequested EventType = "support_access.requested"
	EventConsoleOpened          EventType = "console.opened"
	EventRecordExported         EventType = "record.exported"
	EventTokenIssued            EventType = "token.issued"
	EventGrantRevoked           EventType = "grant.revoked"
	EventConsentRevoked         EventType = "consent.revoked"
	EventUserCreated            EventType = "user.created"
	EventUserUpdated            EventType = "user.updated"
	EventUserDisabled           EventType = "user.disabled"
	EventUserDeleted            EventType = "user.deleted"
	EventUserEnabled            EventType = "user.enabled"
	EventUserRoleGranted        EventType = "user.role_granted"
	EventUserRoleRevoked        EventType = "user.role_revoked"
	EventUserPasswordChanged    EventType = "user.password_changed"
	EventRoleCreated            EventType = "role.created"
	EventRoleUpdated            EventType = "role.updated"
	EventRoleDeleted            EventType = "role.deleted"
	EventOrganizationCreated    EventType = "organization.created"
	EventOrganizationUpdated    EventType = "organization.updated"
	EventOrganizationDeleted    EventType = "organization.deleted"
	EventMemberAdded            EventType = "organization.member_added"
	EventMemberRemoved          EventType = "organization.member_removed"
	EventClientCreated          EventType = "client.created"
	EventClientUpdated          EventType = "client.updated"
	EventClientDeleted          EventType = "client.deleted"
	EventClientSecretRotated    EventType = "client.secret_rotated"
	EventClientSecretDropped    EventType = "client.secret_dropped"
	EventClientLogoutTested     EventType = "client.logout_tested"
	EventInitialTokenCreated    EventType = "registration_token.created"
	EventInitialTokenRevoked    EventType = "registration_token.revoked"
	EventSettingsUpdated        EventType = "settings.updated"
	EventPolicyUpdated          EventType = "policy.updated"
	EventMailTested             EventType = "mail.tested"
	EventKeyCreated             EventType = "key.created"
	EventKeyRetired             EventType = "key.retired"
	EventKeyReencrypted         EventType = "key.reencrypted"
	EventAPIKeyCreated          EventType = "apikey.created"
	EventAPIKeyRevoked          EventType = "apikey.revoked"
	EventSetupLinkCreated       EventType = "setup_link.created"
	EventSetupLinkUsed          EventType = "setup_link.used"
	EventSetupLinkRevoked       EventType = "setup_link.revoked"
	EventWebhookCreated         EventType = "webhook.created"
	EventWebhookUpdated         EventType = "webhook.updated"
	EventWebhookEnabled         EventType = "webhook.enabled"
	EventWebhookDisabled        EventType = "webhook.disabled"
	EventWebhookDeleted         EventType = "webhook.deleted"
	EventWebhookSecretRotated   EventType = "webhook.secret_rotated"
	EventWebhookReplayed        EventType = "webhook.replayed"
	EventWebhookTest            EventType = "webhook.test"
)

// Event is one append-only audit record.
type Event struct {
	ID              string `gorm:"primaryKey"`
	Position        *int64 // its place in the tree; nil until the sequencer gave it one
	Time            Time
	Type            EventType
	ActorID         string // who did it; empty: the product itself
	SubjectID       string // whom it concerns
	ClientID        string
	OrganizationID  string
	ImpersonationID string
	RequestID       string
	Data            Data
	PrivateHash     []byte // of Private as it was recorded; nil: there was none
	Private         string // a JSON object, see Private; empty when erased
}

// Data is what a type of event has beside the common fields: no personal data.
// Numbers come back from the database as json.Number.
type Data map[string]any

// Value implements driver.Valuer.
func (d Data) Value() (driver.Value, error) { return d.text() }

// text returns the one spelling of d: what was read from it spells the same,
// which the tree relies on. Members are sorted at every depth.
func (d Data) text() (string, error) {
	if len(d) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(map[string]any(d))
	if err != nil {
		return "", err
	}
	if d.plain() {
		return string(b), nil
	}
	var plain Data
	if err := plain.parse(b); err != nil {
		return "", err
	}
	b, err = json.Marshal(map[string]any(plain))
	return string(b), err
}

// plain reports whether d is certain to spell the same after it was read, as nearly
// always.
func (d Data) plain() bool {
	for name, value := range d {
		switch v := value.(type) {
		case string:
			if !utf8.ValidString(v) {
				return false
			}
		case bool, int, int64:
		default:
			return false
		}
		if !utf8.ValidString(name) {
			return false
		}
	}
	return true
}

// Scan implements sql.Scanner.
func (d *Data) Scan(v any) error {
	switch v := v.(type) {
	case string:
		return d.parse([]byte(v))
	case []byte:
		return d.parse(v)
	default:
		return fmt.Errorf("storage: event data cannot be read from %T", v)
	}
}

func (d *Data) parse(b []byte) error {
	var m map[string]any
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		return err
	}
	*d = nil
	if len(m) > 0 {
		*d = m
	}
	return nil
}

// Private is the personal part of an event. The tree commits to its hash only,
// so that it can be erased without breaking the tree; Salt keeps a short text
// from being guessed from that hash.
type Private struct {
	Salt       string `json:"salt"`
	Reason     string `json:"reason,omitempty"`
	TicketRef  string `json:"ticket_ref,omitempty"`
	ActorEmail string `json:"actor_email,omitempty"` // of who acts as another, as it was then
	IP         string `json:"ip,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
}

// Record writes an event; it commits with the change that it records. Record
// fills ID, Time, RequestID and the private part. ErrRecord: there is no event,
// and must be no change.
func (tx *Tx) Record(ctx context.Context, e Event, p Private, r Request, now time.Time) error {
	return tx.RecordEach(ctx, []Entry{{e, p}}, r, now)
}

// RecordAll writes events of one request as Record does, many with each statement.
// Their ids ascend, so that the tree keeps their order. It fills events, too.
func (tx *Tx) RecordAll(ctx context.Context, events []Event, p Private, r Request, now time.Time) error {
	entries := make([]Entry, len(events))
	for i, e := range events {
		entries[i] = Entry{e, p}
	}
	if err := tx.RecordEach(ctx, entries, r, now); err != nil {
		return err
	}
	for i := range entries {
		events[i] = entries[i].Event
	}
	return nil
}

// Entry is an event with what is personal about it.
type Entry struct {
	Event   Event
	Private Private
}

// RecordEach is RecordAll for events that do not share what is personal. It fills
// entries.
func (tx *Tx) RecordEach(ctx context.Context, entries []Entry, r Request, now time.Time) error {
	ids := make([]string, len(entries))
	for i := range entries {
		if err := entries[i].Event.complete(entries[i].Private, r, now); err != nil {
			return err
		}
		ids[i] = entries[i].Event.ID
	}
	slices.Sort(ids)
	for i := range entries {
		entries[i].Event.ID = ids[i]
	}
	for some := range slices.Chunk(entries, rowsPerStatement) {
		if err := tx.insertEvents(ctx, some); err != nil {
			return unrecorded(err)
		}
	}
	return nil
}

const (
	eventInsert = `INSERT INTO events (id, position, time, type, actor_id, subject_id, client_id, organization_id, impersonation_id, request_id,
		data, private_hash, private) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	eventMore = `, (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// insertEvents is spelled out because there is hardly a request without it.
func (tx *Tx) insertEvents(ctx context.Context, entries []Entry) error {
	args := make([]any, 0, 13*len(entries))
	for i := range entries {
		e := &entries[i].Event
		data, err := e.Data.text()
		if err != nil {
			return err
		}
		args = append(args, e.ID, e.Position, e.Time, e.Type, e.ActorID, e.SubjectID, e.ClientID, e.OrganizationID, e.ImpersonationID, e.RequestID,
			data, e.PrivateHash, e.Private)
	}
	_, err := tx.exec(ctx, eventInsert+strings.Repeat(eventMore, len(entries)-1), args...)
	return err
}

// complete fills what Record fills.
func (e *Event) complete(p Private, r Request, now time.Time) error {
	e.ID, e.Time, e.RequestID = NewIDAt("evt", now), At(now), r.ID
	p.IP, p.UserAgent = r.IP, r.UserAgent
	// A denial names what the caller sent, which may be no text at all.
	for _, s := range []*string{
		&e.ActorID, &e.SubjectID, &e.ClientID, &e.OrganizationID, &e.ImpersonationID, &e.RequestID,
	} {
		*s = text(*s)
	}
	if p == (Private{}) {
		return nil
	}
	p.Salt = rand.Text()
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	e.Private, e.PrivateHash = string(b), sum[:]
	return nil
}

// unrecorded says ErrRecord of whatever kept events from being written.
func unrecorded(err error) error {
	err = translate(err)
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return err
}

// text returns s without what PostgreSQL refuses in a text: NUL and invalid UTF-8.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// EventFilter selects events by what is not zero.
type EventFilter struct {
	Types           []EventType
	ActorID         string
	SubjectID       string
	ImpersonationID string
	From            int64 // the first position
	Limit           int   // zero: 100
}

// Events returns sequenced events in the order of their positions.
func (q Queries) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	db := q.conn(ctx).Where("position >= ?", f.From)
	if len(f.Types) > 0 {
		db = db.Where("type IN ?", f.Types)
	}
	if f.ActorID != "" {
		db = db.Where("actor_id = ?", f.ActorID)
	}
	if f.SubjectID != "" {
		db = db.Where("subject_id = ?", f.SubjectID)
	}
	if f.ImpersonationID != "" {
		db = db.Where("impersonation_id = ?", f.ImpersonationID)
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	var events []Event
	err := db.Order("position").Limit(f.Limit).Find(&events).Error
	return events, translate(err)
}

// PendingEvents returns events that have no place in the tree yet, oldest first.
func (q Queries) PendingEvents(ctx context.Context, limit int) ([]Event, error) {
	var events []Event
	err := q.conn(ctx).Where("position IS NULL").Order("time, id").Limit(limit).Find(&events).Error
	return events, translate(err)
}

func forUpdate(db *gorm.DB) *gorm.DB { return db.Clauses(clause.Locking{Strength: "UPDATE"}) }
