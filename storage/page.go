package storage

import (
	"slices"

	"gorm.io/gorm"
)

// NamePlace is where a list that is sorted by name, then id, goes on: behind this
// place, or before it.
type NamePlace struct {
	Name, ID string
	Before   bool
}

// pageByName reads at most limit rows on from a place, nil for the beginning, in the
// list's order. more reports that there are further ones in that direction.
func pageByName[T any](db *gorm.DB, at *NamePlace, limit int, name, id string) (rows []T, more bool, err error) {
	order := name + ", " + id
	before := at != nil && at.Before
	switch {
	case before:
		db, order = db.Where("("+name+", "+id+") < (?, ?)", at.Name, at.ID), name+" DESC, "+id+" DESC"
	case at != nil:
		db = db.Where("("+name+", "+id+") > (?, ?)", at.Name, at.ID)
	}
	if err := db.Order(order).Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, false, translate(err)
	}
	more = len(rows) > limit
	rows = rows[:min(len(rows), limit)]
	if before {
		slices.Reverse(rows)
	}
	return rows, more, nil
}

// Mark is a place in a list that is sorted by time, then id: the key of a row there.
type Mark struct {
	Time Time
	ID   string
}

// Set reports whether there is a mark.
func (m Mark) Set() bool { return m.ID != "" }

// pageByTime reads at most limit rows on from a place, nil for the beginning, the latest
// first. more reports that there are further ones.
func pageByTime[T any](db *gorm.DB, at *Mark, limit int, time, id string) (rows []T, more bool, err error) {
	if at != nil {
		db = db.Where("("+time+", "+id+") < (?, ?)", at.Time, at.ID)
	}
	return upTo[T](db.Order(time+" DESC, "+id+" DESC"), limit)
}

// upTo reads at most limit rows, and whether there are more.
func upTo[T any](db *gorm.DB, limit int) (rows []T, more bool, err error) {
	if err := db.Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, false, translate(err)
	}
	return rows[:min(len(rows), limit)], len(rows) > limit, nil
}

// fromBoth reads, in order, what a scope selects of the rows that most are, which have
// indexes, and of the few others. limit: zero for all.
func fromBoth[T any](db *gorm.DB, most, few, order string, limit int, scope func(*gorm.DB) *gorm.DB) ([]T, error) {
	bounded := func(db *gorm.DB) *gorm.DB {
		if limit == 0 {
			return db
		}
		return db.Limit(limit)
	}
	part := func(which string) *gorm.DB { return bounded(scope(db.Model(new(T)).Where(which)).Order(order)) }
	var rows []T
	err := bounded(db.Table("(? UNION ALL ?) both_parts", db.Table("(?) most", part(most)), db.Table("(?) few", part(few))).Order(order)).Find(&rows).Error
	return rows, translate(err)
}

// containing is a condition that a column holds a text, whatever the case of either.
// LOWER may know ASCII only; as it is typed, a text is found nevertheless.
func containing(db *gorm.DB, column, id, text string) *gorm.DB {
	if text == "" {
		return db
	}
	part := "%" + escapeLike(text) + "%"
	return db.Where(`(LOWER(`+column+`) LIKE LOWER(?) ESCAPE '\' OR `+column+` LIKE ? ESCAPE '\' OR `+id+` = ?)`, part, part, text)
}
