package provider

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// EventRecord is an event as it is exported.
type EventRecord struct {
	Position      *int64           `json:"position"` // null: it waits for its place in the tree
	ID            string           `json:"id"`
	Time          time.Time        `json:"time"`
	Type          string           `json:"type"`
	Actor         string           `json:"actor,omitempty"`
	Subject       string           `json:"subject,omitempty"`
	Client        string           `json:"client,omitempty"`
	Organization  string           `json:"organization,omitempty"`
	Impersonation string           `json:"impersonation,omitempty"`
	RequestID     string           `json:"request_id,omitempty"`
	Data          storage.Data     `json:"data,omitempty"`
	PrivateHash   []byte           `json:"private_hash,omitempty"`
	Private       *storage.Private `json:"private,omitempty"`
}

// EventRecordOf returns an event as it is exported.
func EventRecordOf(e *storage.Event) (EventRecord, error) {
	r := EventRecord{
		Position: e.Position, ID: e.ID, Time: e.Time.Time(), Type: string(e.Type), Actor: e.ActorID, Subject: e.SubjectID,
		Client: e.ClientID, Organization: e.OrganizationID, Impersonation: e.ImpersonationID, RequestID: e.RequestID,
		Data: e.Data, PrivateHash: e.PrivateHash,
	}
	if e.Private == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(e.Private), &r.Private); err != nil {
		return r, fmt.Errorf("event %s: private part: %w", r.ID, err)
	}
	return r, nil
}

// EventWriter writes events in one of the formats, one after the other.
type EventWriter interface {
	Write(e *storage.Event) error
	// Flush writes what is held back, after the last event and whenever it matters.
	Flush() error
}

// The formats of an export.
const (
	FormatCSV   = "csv"
	FormatJSONL = "jsonl"
)

// NewEventWriter returns a writer of a format, which begins with its heading.
func NewEventWriter(format string, w io.Writer) (EventWriter, error) {
	switch format {
	case FormatCSV:
		c := csv.NewWriter(w)
		return csvEvents{c}, c.Write(csvHeading)
	case FormatJSONL:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return jsonEvents{e}, nil
	}
	return nil, fmt.Errorf("format %q: want %s or %s", format, FormatJSONL, FormatCSV)
}

type jsonEvents struct{ *json.Encoder }

func (j jsonEvents) Write(e *storage.Event) error {
	r, err := EventRecordOf(e)
	if err != nil {
		return err
	}
	return j.Encode(r)
}

func (jsonEvents) Flush() error { return nil }

type csvEvents struct{ *csv.Writer }

var csvHeading = []string{
	"position", "id", "time", "type", "actor", "subject", "client", "organization", "impersonation", "request_id",
	"reason", "ticket_ref", "ip", "user_agent", "data",
}

func (c csvEvents) Write(e *storage.Event) error {
	r, err := EventRecordOf(e)
	if err != nil {
		return err
	}
	p, position, data := storage.Private{}, "", []byte(nil)
	if r.Private != nil {
		p = *r.Private
	}
	if r.Position != nil {
		position = strconv.FormatInt(*r.Position, 10)
	}
	if len(r.Data) > 0 {
		if data, err = json.Marshal(r.Data); err != nil {
			return err
		}
	}
	row := []string{
		position, r.ID, r.Time.Format(time.RFC3339Nano), r.Type, r.Actor, r.Subject, r.Client,
		r.Organization, r.Impersonation, r.RequestID, p.Reason, p.TicketRef, p.IP, p.UserAgent, string(data),
	}
	for i, text := range row {
		row[i] = guardCell(text)
	}
	return c.Writer.Write(row)
}

func (c csvEvents) Flush() error {
	c.Writer.Flush()
	return c.Error()
}

// guardCell keeps a spreadsheet from taking text for a formula (SECURITY E10).
func guardCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
