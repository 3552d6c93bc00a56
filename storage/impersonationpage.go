package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// ImpersonationPage selects impersonations for a program, which reads on and on.
type ImpersonationPage struct {
	Actor, Subject, Client, Organization string // what is not empty
	Running, Over                        bool   // under way, or not; neither: all
	At                                   *Mark
	Limit                                int
}

// ImpersonationPage returns a page of impersonations, the latest first, and whether
// there are more.
func (q Queries) ImpersonationPage(ctx context.Context, p ImpersonationPage, now time.Time) ([]Impersonation, bool, error) {
	found, err := q.impersonations(ctx, p.Actor != "" || p.Running, "started_at DESC, id DESC", p.Limit+1, func(db *gorm.DB) *gorm.DB { return p.scope(db, now) })
	return found[:min(len(found), p.Limit)], len(found) > p.Limit, err
}

func (p ImpersonationPage) scope(db *gorm.DB, now time.Time) *gorm.DB {
	for _, c := range []struct{ condition, value string }{
		{"actor_id = ?", p.Actor},
		{"subject_id = ?", p.Subject},
		{"client_id = ?", p.Client},
		{"organization_id = ? AND organization_id <> ''", p.Organization}, // the index is of such only
	} {
		if c.value != "" {
			db = db.Where(c.condition, c.value)
		}
	}
	switch {
	case p.Running:
		db = db.Where("ended_at = 0 AND expires_at > ?", At(now))
	case p.Over:
		db = db.Where("(ended_at <> 0 OR expires_at <= ?)", At(now))
	}
	if p.At != nil {
		db = db.Where("(started_at, id) < (?, ?)", p.At.Time, p.At.ID)
	}
	return db
}
