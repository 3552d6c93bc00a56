package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// EventFeed selects events that have their place in the tree by what is not zero. In
// the order of their places nothing comes in later before what was read.
type EventFeed struct {
	Types           []EventType // any of these
	ActorID         string
	SubjectID       string
	ClientID        string
	OrganizationID  string
	ImpersonationID string
	Since, Until    Time  // from its first on, up to but without the second
	From            int64 // the first position
	Limit           int   // zero: 100
}

// SessionsBegun returns the session.created of each of these impersonations.
func (q Queries) SessionsBegun(ctx context.Context, impersonationIDs []string) ([]Event, error) {
	if len(impersonationIDs) == 0 {
		return nil, nil
	}
	return q.recorded(ctx, "impersonation_id", len(impersonationIDs), begun(impersonationIDs))
}

func begun(impersonationIDs []string) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB {
		// The type as it is would have SQLite look through all sessions there ever were.
		return db.Where("impersonation_id IN ? AND impersonation_id <> '' AND type || '' = ?", impersonationIDs, EventSessionCreated)
	}
}

// clockSkew is how far the clocks of those who record may be apart, and how long a
// commit may take: events have their places in the order of time but for that.
const clockSkew = time.Minute

// EventFeed returns the events that f selects, in the order of their places.
func (q Queries) EventFeed(ctx context.Context, f EventFeed) ([]Event, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	var events []Event
	if len(f.Types) == 0 {
		return events, translate(f.scope(q.conn(ctx), q.dialect, "").Find(&events).Error)
	}
	// Each by its index, and all in one statement: what gets its place meanwhile is after
	// all that is read, of whichever type it is.
	var each []string
	var args []any
	for i, t := range f.Types {
		each = append(each, fmt.Sprintf("SELECT * FROM (?) AS type%d", i))
		args = append(args, f.scope(q.conn(ctx).Model(&Event{}), q.dialect, t))
	}
	err := q.conn(ctx).Raw(strings.Join(each, " UNION ALL ")+" ORDER BY position LIMIT ?", append(args, f.Limit)...).Scan(&events).Error
	return events, translate(err)
}

// scope adds the conditions, and that it is of a type unless that is empty. Times are looked up as places, so that no more is read
// than what lies between them; that a column is not empty is said once more for the
// indexes that have only such rows.
func (f EventFeed) scope(db *gorm.DB, dialect string, kind EventType) *gorm.DB {
	if f.Since.Set() { // of two lower bounds SQLite would use one
		greatest := map[string]string{SQLite: "MAX", Postgres: "GREATEST"}[dialect]
		db = db.Where(`time >= ? AND position IS NOT NULL AND position >= `+greatest+`(?, COALESCE((SELECT e.position FROM events e
			WHERE e.time < ? AND e.position IS NOT NULL ORDER BY e.time DESC, e.id DESC LIMIT 1), 0))`, f.Since, f.From, At(f.Since.Time().Add(-clockSkew)))
	} else {
		db = db.Where("position IS NOT NULL AND position >= ?", f.From)
	}
	if kind != "" {
		db = db.Where("type = ?", kind)
	}
	for _, c := range []struct{ column, value string }{
		{"actor_id", f.ActorID},
		{"subject_id", f.SubjectID},
		{"client_id", f.ClientID},
		{"organization_id", f.OrganizationID},
		{"impersonation_id", f.ImpersonationID},
	} {
		if c.value != "" {
			db = db.Where(c.column+" = ? AND "+c.column+" <> ''", c.value)
		}
	}
	if f.Until.Set() {
		db = db.Where(`time < ? AND position <= COALESCE((SELECT e.position FROM events e
			WHERE e.time >= ? AND e.position IS NOT NULL ORDER BY e.time, e.id LIMIT 1), 9223372036854775807)`, f.Until, At(f.Until.Time().Add(clockSkew)))
	}
	return db.Order("position").Limit(f.Limit)
}

// EventsByID returns events by their ids.
func (q Queries) EventsByID(ctx context.Context, ids []string) (map[string]*Event, error) {
	var found []Event
	err := q.conn(ctx).Where("id IN ?", ids).Find(&found).Error
	events := make(map[string]*Event, len(found))
	for i := range found {
		events[found[i].ID] = &found[i]
	}
	return events, translate(err)
}
