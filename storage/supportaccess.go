package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// SupportMode is what a user says about staff acting as them.
type SupportMode string

// What users may say. Who has said nothing has no row.
const (
	SupportDenied SupportMode = "denied" // nobody
	SupportUntil  SupportMode = "until"  // anybody who may, until a time
	SupportTicket SupportMode = "ticket" // for one ticket reference, until a time
)

// SupportAccess is a user's own permission for staff to act as them.
type SupportAccess struct {
	UserID    string `gorm:"primaryKey"`
	Mode      SupportMode
	TicketRef string // of SupportTicket
	ExpiresAt Time   // never for SupportDenied
	UpdatedAt Time   `gorm:"autoUpdateTime:false"`
	SetBy     string // who set it in the user's place: a user, an API key or a client; empty: the user did
}

// TableName is support_access: there is one for each user.
func (SupportAccess) TableName() string { return "support_access" }

// SupportRequest is staff asking a user for permission.
type SupportRequest struct {
	ID        string `gorm:"primaryKey"`
	UserID    string
	ActorID   string
	ClientID  string // empty: at any
	Reason    string
	TicketRef string
	Status    string // pending, approved or denied
	CreatedAt Time   `gorm:"autoCreateTime:false"`
	ExpiresAt Time
	DecidedAt Time
}

// Pending reports whether the user may still answer.
func (r *SupportRequest) Pending(now time.Time) bool {
	return r.Status == "pending" && !r.ExpiresAt.Passed(now)
}

// PutSupportAccess keeps what a user says, in place of what they said before.
func (tx *Tx) PutSupportAccess(ctx context.Context, a *SupportAccess) error {
	return translate(tx.conn(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(a).Error)
}

// SupportRequests returns what staff asked a user, latest first.
func (q Queries) SupportRequests(ctx context.Context, userID string, limit int) ([]SupportRequest, error) {
	var all []SupportRequest
	err := q.conn(ctx).Where("user_id = ?", userID).Order("created_at DESC, id").Limit(limit).Find(&all).Error
	return all, translate(err)
}

// SupportRequestsBy returns what one of staff asked users, latest first; an empty id
// is everybody.
func (q Queries) SupportRequestsBy(ctx context.Context, actorID string, limit int) ([]SupportRequest, error) {
	db := q.conn(ctx)
	if actorID != "" {
		db = db.Where("actor_id = ?", actorID)
	}
	var all []SupportRequest
	err := db.Order("created_at DESC, id").Limit(limit).Find(&all).Error
	return all, translate(err)
}

// PendingSupportRequests returns what a user may still answer, latest first.
func (q Queries) PendingSupportRequests(ctx context.Context, userID string, now time.Time) ([]SupportRequest, error) {
	var all []SupportRequest
	err := q.conn(ctx).Where("user_id = ? AND status = 'pending' AND expires_at > ?", userID, At(now)).Order("created_at DESC, id").Find(&all).Error
	return all, translate(err)
}

// SupportRequest returns one, or ErrNotFound.
func (q Queries) SupportRequest(ctx context.Context, id string) (*SupportRequest, error) {
	var r SupportRequest
	err := q.conn(ctx).Take(&r, "id = ?", id).Error
	return &r, translate(err)
}

// CreateSupportRequest adds a request.
func (tx *Tx) CreateSupportRequest(ctx context.Context, r *SupportRequest) error {
	return translate(tx.conn(ctx).Create(r).Error)
}

// DecideSupportRequest answers a request, once. ErrSpent: it was answered, or ran out.
func (tx *Tx) DecideSupportRequest(ctx context.Context, id string, approved bool, now time.Time) error {
	status := "denied"
	if approved {
		status = "approved"
	}
	return tx.spend(ctx, `UPDATE support_requests SET status = ?, decided_at = ? WHERE id = ? AND status = 'pending' AND expires_at > ?`,
		status, At(now), id, At(now))
}
