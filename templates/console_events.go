package templates

import (
	"net/http"
	"net/url"
	"time"
)

// EventsPage is the record, filtered.
type EventsPage struct {
	Page
	Filter   url.Values // as it was typed, by field
	Errors   []FieldError
	Types    []Option
	Badge    Badge
	Events   []EventRow
	Query    string // the filter's, for links
	NewerURL string
	OlderURL string
	Export   bool // the person may take it away
	Now      time.Time
}

// EventRow is an event in a list. Where the subject is not the actor both have names.
type EventRow struct {
	ID, Type, Label, ImpersonationID string
	Time                             time.Time
	Position                         int64  // negative: it waits for its place in the tree
	ActorID, ActorName               string // empty: the product itself, or its command line
	SubjectID, SubjectName           string // empty: the actor, or nobody
	ClientName, Organization         string
	Acting                           bool // the actor as the subject, not only about them
	Refused                          bool
	Reason, TicketRef, IP            string
}

// Badge says how the last verification of the record went.
type Badge struct {
	State    string    // whole, wrong or stale
	At       time.Time // when it was found so; zero: never
	Records  int64
	Root     string // of the tree, where it is whole
	Broken   bool   // Position is the first record that does not match
	Position int64
	Now      time.Time
}

// Events sends its filter to /admin/events, and what is to be exported to
// /admin/events/export.
func (s *Set) Events(w http.ResponseWriter, status int, p EventsPage) error {
	v := eventsView{EventsPage: p, Problem: problems(p.Errors), Typed: map[string]string{}}
	for field := range p.Filter {
		v.Typed[field] = p.Filter.Get(field)
	}
	return s.render(w, status, "console/events", v)
}

// eventsView is an EventsPage with its errors and what was typed at the fields.
type eventsView struct {
	EventsPage
	Problem, Typed map[string]string
}

// EventPage is one event as a whole.
type EventPage struct {
	Page
	Row        EventRow
	JSON, Hash string
	Checkpoint *CheckpointRow // the first that covers it
	Now        time.Time
}

// Event has no form.
func (s *Set) Event(w http.ResponseWriter, status int, p EventPage) error {
	return s.render(w, status, "console/event", p)
}

// VerificationPage says how far the record can be trusted, and how to check that.
type VerificationPage struct {
	Page
	Badge           Badge
	At, Now         time.Time // At: when it was read last; zero: never
	Took            time.Duration
	Compared        int // checkpoints
	Pending, Erased int64
	Wrong, Failed   string
	Checkpoints     []CheckpointRow
	Note, Key       string // the latest checkpoint, and the key that it is verified with
}

// CheckpointRow is a checkpoint in a list. One that cannot be read has no root.
type CheckpointRow struct {
	Size int64
	Root string
	At   time.Time
}

// Verification posts to its own address to have the record read now.
func (s *Set) Verification(w http.ResponseWriter, status int, p VerificationPage) error {
	return s.render(w, status, "console/verification", p)
}
