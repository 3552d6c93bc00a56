package storage

import (
	"context"
	"errors"
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

// PutSupportAccess keeps what a user says, or what somebody says in their place, in place
// of what held before. What they last said themselves is kept beside it.
func (tx *Tx) PutSupportAccess(ctx context.Context, a *SupportAccess) error {
	columns, own := []string{"mode", "ticket_ref", "expires_at", "updated_at", "set_by"}, ownSupportAccess{SupportAccess: *a}
	if a.SetBy == "" {
		columns = append(columns, "own_mode", "own_ticket_ref", "own_expires_at")
		own.OwnMode, own.OwnTicketRef, own.OwnExpiresAt = a.Mode, a.TicketRef, a.ExpiresAt
	}
	return translate(tx.conn(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}}, DoUpdates: clause.AssignmentColumns(columns)}).
		Create(&own).Error)
}

// ownSupportAccess is a row: what holds, and what the user last said themselves.
type ownSupportAccess struct {
	SupportAccess
	OwnMode      SupportMode
	OwnTicketRef string
	OwnExpiresAt Time
}

// OwnSupportAccess returns what a user last said themselves, also where it does not hold
// because somebody said otherwise since; nil: they never did.
func (q Queries) OwnSupportAccess(ctx context.Context, userID string) (*SupportAccess, error) {
	own := &SupportAccess{UserID: userID}
	err := q.scan(ctx, []any{&own.Mode, &own.TicketRef, &own.ExpiresAt},
		`SELECT own_mode, own_ticket_ref, own_expires_at FROM support_access WHERE user_id = ? AND own_mode <> ''`, userID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return own, err
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
