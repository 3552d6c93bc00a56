package storage

import (
	"context"

	"gorm.io/gorm"
)

// EventSearch selects events by what is not zero, those without a position too.
type EventSearch struct {
	From, To        Time // from its first on, up to but without the second
	Type            EventType
	NotType         EventType
	ActorID         string
	SubjectID       string
	ClientID        string
	ImpersonationID string
	Covered         int64 // only events with a position below it

	// Before asks for the latest events before a place, After for the first ones after
	// it. Neither: the latest of all.
	Before, After Mark
	Limit         int // zero: 100
}

// SearchEvents returns the events that s selects, the latest first; those After a
// place in the order in which they happened.
func (q Queries) SearchEvents(ctx context.Context, s EventSearch) ([]Event, error) {
	if s.Limit == 0 {
		s.Limit = 100
	}
	return q.recorded(ctx, s.order(), s.Limit, s.scope)
}

// recorded returns the events that a scope selects. The indexes are of those that have
// their place in the tree, so that to record one costs little; those that wait for theirs
// are few, and looked through.
func (q Queries) recorded(ctx context.Context, order string, limit int, scope func(*gorm.DB) *gorm.DB) ([]Event, error) {
	return fromBoth[Event](q.conn(ctx), placed, "position IS NULL", order, limit, scope)
}

// placed is the condition that the indexes of events have.
const placed = "position IS NOT NULL"

// order is that in which the events are read.
func (s EventSearch) order() string {
	if s.After != (Mark{}) {
		return "time, id"
	}
	return "time DESC, id DESC"
}

// scope adds the conditions. That a column is not empty is said once more, because
// the indexes are of such events only and a parameter does not tell.
func (s EventSearch) scope(db *gorm.DB) *gorm.DB {
	switch {
	case s.After != Mark{}:
		db = db.Where("(time, id) > (?, ?)", s.After.Time, s.After.ID)
	case s.Before != Mark{}:
		db = db.Where("(time, id) < (?, ?)", s.Before.Time, s.Before.ID)
	}
	for _, c := range []struct{ column, value string }{
		{"actor_id", s.ActorID}, {"subject_id", s.SubjectID}, {"client_id", s.ClientID}, {"impersonation_id", s.ImpersonationID},
	} {
		if c.value != "" {
			db = db.Where(c.column+" = ? AND "+c.column+" <> ''", c.value)
		}
	}
	if s.From.Set() {
		db = db.Where("time >= ?", s.From)
	}
	if s.To.Set() {
		db = db.Where("time < ?", s.To)
	}
	if s.Type != "" {
		db = db.Where("type = ?", s.Type)
	}
	if s.NotType != "" {
		db = db.Where("type <> ?", s.NotType)
	}
	if s.Covered > 0 {
		db = db.Where("position < ?", s.Covered)
	}
	return db
}

// Event returns the event with the given id, or ErrNotFound.
func (q Queries) Event(ctx context.Context, id string) (*Event, error) {
	var e Event
	if err := q.conn(ctx).Take(&e, "id = ?", id).Error; err != nil {
		return nil, translate(err)
	}
	return &e, nil
}

// NamesIn returns the names of everybody and everything that the events name.
func (q Queries) NamesIn(ctx context.Context, events []Event) (Names, error) {
	var users, clients, organizations []string
	for _, e := range events {
		users, clients, organizations = append(users, e.ActorID, e.SubjectID), append(clients, e.ClientID), append(organizations, e.OrganizationID)
	}
	return q.NamesOf(ctx, users, clients, organizations)
}
