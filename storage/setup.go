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

// EndSetupLinks spends all links that could still be used, and says how many.
func (tx *Tx) EndSetupLinks(ctx context.Context, now time.Time) (int64, error) {
	return tx.exec(ctx, `UPDATE setup_links SET used_at = ? WHERE used_at = 0 AND expires_at > ?`, At(now), At(now))
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
