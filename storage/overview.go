package storage

import (
	"context"
	"time"
)

// UndeliveredNotices counts the logout tokens that were refused or given up since
// then, and those that have waited since before the other time. Those of a client
// that is gone count nowhere: nobody can do anything about them.
func (q Queries) UndeliveredNotices(ctx context.Context, failedSince, waitingSince time.Time) (failed, waiting int64, err error) {
	err = q.scan(ctx, []any{&failed, &waiting}, `
		SELECT COUNT(CASE WHEN n.status = 'failed' AND n.done_at >= ? THEN 1 END),
			COUNT(CASE WHEN n.status = 'pending' AND n.created_at < ? THEN 1 END)
		FROM logout_notices n JOIN clients c ON c.id = n.client_id WHERE n.status <> 'delivered'`, At(failedSince), At(waitingSince))
	return failed, waiting, err
}

// Progress is how far an installation has been set up.
type Progress struct {
	Administrators int64 // active users with a password who hold the role admin everywhere
	Users          int64 // all others
	Clients        int64
	ClientsOptedIn int64 // of these, staff may be signed in to as a user
}

// Progress counts what there is.
func (q Queries) Progress(ctx context.Context) (Progress, error) {
	var p Progress
	err := q.scan(ctx, []any{&p.Administrators, &p.Users, &p.Clients, &p.ClientsOptedIn}, `
		SELECT (SELECT COUNT(*) FROM users u JOIN user_roles r ON r.user_id = u.id WHERE r.role = 'admin' AND u.status = 'active' AND u.password_hash <> ''),
			(SELECT COUNT(*) FROM users u WHERE u.deleted_at = 0 AND NOT EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role = 'admin')),
			(SELECT COUNT(*) FROM clients WHERE status = 'active'),
			(SELECT COUNT(*) FROM clients WHERE status = 'active' AND allow_impersonation = ?)`, true)
	return p, err
}

// Activity is how much there is, and how much goes on.
type Activity struct{ SignIns, Users, Clients int64 }

// Activity counts sign-ins since a time, and who and what there is.
func (q Queries) Activity(ctx context.Context, since time.Time) (Activity, error) {
	var a Activity
	err := q.scan(ctx, []any{&a.SignIns, &a.Users, &a.Clients}, `
		SELECT (SELECT COUNT(*) FROM events WHERE position IS NOT NULL AND type = ? AND time >= ? AND impersonation_id = '')
			+ (SELECT COUNT(*) FROM events WHERE position IS NULL AND type = ? AND time >= ? AND impersonation_id = ''),
			(SELECT COUNT(*) FROM users WHERE deleted_at = 0), (SELECT COUNT(*) FROM clients WHERE status = 'active')`,
		string(EventSessionCreated), At(since), string(EventSessionCreated), At(since))
	return a, err
}
