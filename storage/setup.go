package storage

import (
	"context"
	"time"
)

// SetupLink lets whoever has its token become an administrator, once.
type SetupLink struct {
	TokenHash []byte `gorm:"primaryKey"`
	CreatedAt Time   `gorm:"autoCreateTime:false"`
	ExpiresAt Time
	UsedAt    Time
}

// CreateSetupLink adds a link.
func (tx *Tx) CreateSetupLink(ctx context.Context, l *SetupLink) error {
	return translate(tx.conn(ctx).Create(l).Error)
}

// SetupLinkStands returns ErrSpent unless the link can still be used.
func (q Queries) SetupLinkStands(ctx context.Context, tokenHash []byte, now time.Time) error {
	var n int
	err := q.scan(ctx, []any{&n}, `SELECT COUNT(*) FROM setup_links WHERE token_hash = ? AND used_at = 0 AND expires_at > ?`, tokenHash, At(now))
	if err == nil && n == 0 {
		return ErrSpent
	}
	return err
}

// UseSetupLink spends a link. ErrSpent: it was used, has expired or was never made.
func (tx *Tx) UseSetupLink(ctx context.Context, tokenHash []byte, now time.Time) error {
	return tx.spend(ctx, `UPDATE setup_links SET used_at = ? WHERE token_hash = ? AND used_at = 0 AND expires_at > ?`, At(now), tokenHash, At(now))
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
