package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// ApprovalStatus says what became of a request for approval. One that waited for too
// long, or was approved and not used in time, keeps its status and is past ExpiresAt.
type ApprovalStatus string

// The statuses of an approval.
const (
	ApprovalPending   ApprovalStatus = "pending"
	ApprovalApproved  ApprovalStatus = "approved"
	ApprovalDenied    ApprovalStatus = "denied"
	ApprovalWithdrawn ApprovalStatus = "withdrawn" // by the actor
	ApprovalUsed      ApprovalStatus = "used"      // by ImpersonationID
)

// Approval is what an actor wants to do, for a second person to approve: exactly this,
// no longer than Duration, once.
type Approval struct {
	ID             string `gorm:"primaryKey"`
	ActorID        string
	SubjectID      string
	ClientID       string
	OrganizationID string
	Reason         string
	TicketRef      string
	Access         string // read_only or full
	Duration       int64  // microseconds
	Entry          string // consent, console, api or token_exchange
	Rule           string // what asked for it, for people
	RequestedBy    string // the API key or client that asked in the actor's place; empty: the actor did
	Status         ApprovalStatus
	DecidedBy      string // the user, or the API key or client where ByCaller is set
	ByCaller       bool
	Note           string // what they said
	// ImpersonationID is the one that used it.
	ImpersonationID string
	CreatedAt       Time `gorm:"autoCreateTime:false"`
	ExpiresAt       Time // of a pending one: the end of waiting; of an approved one: of its worth
	DecidedAt       Time
	KeptUntil       Time
}

// Pending reports whether it may still be decided.
func (a *Approval) Pending(now time.Time) bool {
	return a.Status == ApprovalPending && !a.ExpiresAt.Passed(now)
}

// Usable reports whether an impersonation may still start on it.
func (a *Approval) Usable(now time.Time) bool {
	return a.Status == ApprovalApproved && !a.ExpiresAt.Passed(now)
}

// Expired reports whether nobody answered in time, or nothing started in time.
func (a *Approval) Expired(now time.Time) bool {
	return a.ExpiresAt.Passed(now) && (a.Status == ApprovalPending || a.Status == ApprovalApproved)
}

// ApprovalFilter selects approvals by what is not empty.
type ApprovalFilter struct {
	Actor         string
	NotActor      string
	NotSubject    string
	Status        ApprovalStatus
	Live          bool     // not past its time
	Over          bool     // past its time, undecided or unused
	Organizations []string // in any of these, or of the actor OrActor; nil: everywhere
	OrActor       string
	Before        Mark
	Limit         int // zero: all
}

func (f ApprovalFilter) scope(db *gorm.DB, now time.Time) *gorm.DB {
	if f.Actor != "" {
		db = db.Where("actor_id = ?", f.Actor)
	}
	if f.NotActor != "" {
		db = db.Where("actor_id <> ?", f.NotActor)
	}
	if f.NotSubject != "" {
		db = db.Where("subject_id <> ?", f.NotSubject)
	}
	if f.Status != "" {
		db = db.Where("status = ?", f.Status)
	}
	if f.Live {
		db = db.Where("expires_at > ?", At(now))
	}
	if f.Over {
		db = db.Where("expires_at <= ? AND status IN ('pending', 'approved')", At(now))
	}
	if f.Organizations != nil {
		db = db.Where("(organization_id IN ? OR actor_id = ?)", append([]string{}, f.Organizations...), f.OrActor)
	}
	if f.Before.Set() {
		db = db.Where("(created_at, id) < (?, ?)", f.Before.Time, f.Before.ID)
	}
	if f.Limit > 0 {
		db = db.Limit(f.Limit)
	}
	return db
}

// Approval returns the approval with the given id, whatever its state, or ErrNotFound.
func (q Queries) Approval(ctx context.Context, id string) (*Approval, error) {
	var a Approval
	if err := q.conn(ctx).Take(&a, "id = ?", id).Error; err != nil {
		return nil, translate(err)
	}
	return &a, nil
}

// Approvals returns those that the filter selects, latest first.
func (q Queries) Approvals(ctx context.Context, f ApprovalFilter, now time.Time) ([]Approval, error) {
	var found []Approval
	err := f.scope(q.conn(ctx), now).Order("created_at DESC, id DESC").Find(&found).Error
	return found, translate(err)
}

// CountApprovals counts those that the filter selects.
func (q Queries) CountApprovals(ctx context.Context, f ApprovalFilter, now time.Time) (int, error) {
	var n int64
	err := f.scope(q.conn(ctx).Model(&Approval{}), now).Count(&n).Error
	return int(n), translate(err)
}

// ApprovalsFor returns the approvals of this status that are good for exactly what want
// says, for no less than its access and duration, those that last longest first.
func (q Queries) ApprovalsFor(ctx context.Context, want Approval, status ApprovalStatus, now time.Time) ([]Approval, error) {
	var found []Approval
	err := q.conn(ctx).Where(`actor_id = ? AND subject_id = ? AND client_id = ? AND organization_id = ? AND reason = ? AND ticket_ref = ?
		AND (access = ? OR access = 'full') AND duration >= ? AND status = ? AND expires_at > ?`,
		want.ActorID, want.SubjectID, want.ClientID, want.OrganizationID, want.Reason, want.TicketRef, want.Access, want.Duration, status, At(now)).
		Order("expires_at DESC, id").Find(&found).Error
	return found, translate(err)
}

// CreateApproval adds a request for approval.
func (tx *Tx) CreateApproval(ctx context.Context, a *Approval) error {
	return translate(tx.conn(ctx).Create(a).Error)
}

// DecideApproval stores how a request was decided: Status, DecidedBy, ByCaller, Note,
// ExpiresAt and DecidedAt of a. ErrSpent: it is not pending, or its time is up.
func (tx *Tx) DecideApproval(ctx context.Context, a *Approval) error {
	return tx.spend(ctx, `UPDATE approvals SET status = ?, decided_by = ?, by_caller = ?, note = ?, expires_at = ?, decided_at = ?
		WHERE id = ? AND status = 'pending' AND expires_at > ?`,
		a.Status, a.DecidedBy, a.ByCaller, a.Note, a.ExpiresAt, a.DecidedAt, a.ID, a.DecidedAt)
}

// WithdrawApproval takes back what was not used yet. ErrSpent: it was, or there is
// nothing left to take back.
func (tx *Tx) WithdrawApproval(ctx context.Context, id string, now time.Time) error {
	return tx.spend(ctx, `UPDATE approvals SET status = 'withdrawn', decided_at = ? WHERE id = ? AND status IN ('pending', 'approved') AND expires_at > ?`,
		At(now), id, At(now))
}

// UseApproval spends an approval on an impersonation. ErrSpent: it was used, withdrawn,
// or its time is up.
func (tx *Tx) UseApproval(ctx context.Context, id, impersonationID string, now time.Time) error {
	return tx.spend(ctx, `UPDATE approvals SET status = 'used', impersonation_id = ? WHERE id = ? AND status = 'approved' AND expires_at > ?`,
		impersonationID, id, At(now))
}

// forgetApprovals removes what waits for a user who is gone, and what was asked about them.
func (tx *Tx) forgetApprovals(ctx context.Context, userID string) error {
	_, err := tx.exec(ctx, `DELETE FROM approvals WHERE subject_id = ? OR actor_id = ? AND status <> 'used'`, userID, userID)
	return err
}
