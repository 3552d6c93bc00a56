package storage

import (
	"context"
	"time"
)

// FailedLogoutNotices counts the logout tokens that were given up since then.
func (q Queries) FailedLogoutNotices(ctx context.Context, since time.Time) (int64, error) {
	var n int64
	err := q.scan(ctx, []any{&n}, `SELECT COUNT(*) FROM logout_notices WHERE status = 'failed' AND done_at >= ?`, At(since))
	return n, err
}

// Progress is how far an installation has been set up.
type Progress struct {
	Administrators int64 // active users who hold the role admin everywhere
	Users          int64 // all others
	Clients        int64
	ClientsOptedIn int64 // of these, staff may be signed in to as a user
}

// Progress counts what there is.
func (q Queries) Progress(ctx context.Context) (Progress, error) {
	var p Progress
	err := q.scan(ctx, []any{&p.Administrators, &p.Users, &p.Clients, &p.ClientsOptedIn}, `
		SELECT (SELECT COUNT(*) FROM users u JOIN user_roles r ON r.user_id = u.id WHERE r.role = 'admin' AND u.status = 'active'),
			(SELECT COUNT(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role = 'admin')),
			(SELECT COUNT(*) FROM clients WHERE status = 'active'),
			(SELECT COUNT(*) FROM clients WHERE status = 'active' AND allow_impersonation = ?)`, true)
	return p, err
}
