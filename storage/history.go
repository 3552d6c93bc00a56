package storage

import (
	"context"
	"slices"

	"gorm.io/gorm"
)

// Span selects rows by their time and id, at most Limit of them: those older than
// Before, else those newer than After, else the newest. Both are keys of rows that
// were seen, so that what is added meanwhile moves nothing.
type Span struct {
	Before, After Mark
	Limit         int
}

// Mark is the key of a row in a history.
type Mark struct {
	Time Time
	ID   string
}

// Set reports whether there is a mark.
func (m Mark) Set() bool { return m.ID != "" }

// scope bounds and orders a query. Where it has After, the rows nearest to it come
// first; see inOrder.
func (s Span) scope(db *gorm.DB, column string) *gorm.DB {
	direction := " DESC"
	switch {
	case s.Before.Set():
		db = db.Where("("+column+", id) < (?, ?)", s.Before.Time, s.Before.ID)
	case s.After.Set():
		db, direction = db.Where("("+column+", id) > (?, ?)", s.After.Time, s.After.ID), ""
	}
	return db.Order(column + direction).Order("id" + direction).Limit(s.Limit)
}

// inOrder returns what scope selected, latest first.
func inOrder[T any](s Span, rows []T) []T {
	if s.After.Set() && !s.Before.Set() {
		slices.Reverse(rows)
	}
	return rows
}

// ActedAs returns the impersonations of a user, latest first.
func (q Queries) ActedAs(ctx context.Context, userID string, s Span) ([]Impersonation, error) {
	var found []Impersonation
	err := s.scope(q.conn(ctx).Where("subject_id = ?", userID), "started_at").Find(&found).Error
	return inOrder(s, found), translate(err)
}

// EventsAbout returns events of these types that concern a user and no impersonation,
// latest first, also those that have no place in the tree yet.
func (q Queries) EventsAbout(ctx context.Context, userID string, types []EventType, s Span) ([]Event, error) {
	var found []Event
	err := s.scope(q.conn(ctx).Where("subject_id = ? AND type IN ? AND impersonation_id = ''", userID, types), "time").Find(&found).Error
	return inOrder(s, found), translate(err)
}

// Reported returns which of these impersonations their subjects have reported.
func (q Queries) Reported(ctx context.Context, impersonationIDs []string) (map[string]bool, error) {
	reported := map[string]bool{}
	if len(impersonationIDs) == 0 {
		return reported, nil
	}
	var ids []string
	err := q.conn(ctx).Model(&Event{}).Where("impersonation_id <> '' AND impersonation_id IN ? AND type = ?", impersonationIDs, EventImpersonationReported).
		Pluck("impersonation_id", &ids).Error
	for _, id := range ids {
		reported[id] = true
	}
	return reported, translate(err)
}
