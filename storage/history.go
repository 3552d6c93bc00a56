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

// bound bounds a query. Where the span has After, the rows nearest to it come first in
// its order; see inOrder.
func (s Span) bound(db *gorm.DB, column string) *gorm.DB {
	switch {
	case s.Before.Set():
		db = db.Where("("+column+", id) < (?, ?)", s.Before.Time, s.Before.ID)
	case s.After.Set():
		db = db.Where("("+column+", id) > (?, ?)", s.After.Time, s.After.ID)
	}
	return db
}

func (s Span) order(column string) string {
	if s.After.Set() && !s.Before.Set() {
		return column + ", id"
	}
	return column + " DESC, id DESC"
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
	found, err := q.impersonations(ctx, false, s.order("started_at"), s.Limit, func(db *gorm.DB) *gorm.DB {
		return s.bound(db.Where("subject_id = ?", userID), "started_at")
	})
	return inOrder(s, found), err
}

// EventsAbout returns events of these types that concern a user and no impersonation,
// latest first, also those that have no place in the tree yet.
func (q Queries) EventsAbout(ctx context.Context, userID string, types []EventType, s Span) ([]Event, error) {
	found, err := q.recorded(ctx, s.order("time"), s.Limit, func(db *gorm.DB) *gorm.DB {
		return s.bound(db.Where("subject_id = ? AND subject_id <> '' AND type IN ? AND impersonation_id = ''", userID, types), "time")
	})
	return inOrder(s, found), err
}

// Reported returns which of these impersonations their subjects have reported.
func (q Queries) Reported(ctx context.Context, impersonationIDs []string) (map[string]bool, error) {
	reported := map[string]bool{}
	if len(impersonationIDs) == 0 {
		return reported, nil
	}
	var ids []string
	reports := func(which string) *gorm.DB {
		return q.conn(ctx).Model(&Event{}).Where(which).Where("impersonation_id <> '' AND impersonation_id IN ? AND type = ?", impersonationIDs, EventImpersonationReported).
			Select("impersonation_id")
	}
	err := q.conn(ctx).Raw(`? UNION ?`, reports(placed), reports("position IS NULL")).Scan(&ids).Error
	for _, id := range ids {
		reported[id] = true
	}
	return reported, translate(err)
}
