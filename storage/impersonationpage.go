package storage

import (
	"context"
	"time"
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
	db := q.conn(ctx).Model(&Impersonation{})
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
	return pageByTime[Impersonation](db, p.At, p.Limit, "started_at", "id")
}
