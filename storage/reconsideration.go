package storage

import (
	"context"
	"time"
)

// Reconsideration is a change after which the rules of the policy are to be asked again
// about the impersonations that run. It is there until somebody has.
type Reconsideration struct {
	ID string `gorm:"primaryKey"`

	// About which, by what is not empty; see ImpersonationFilter.
	Party     string
	SubjectID string
	ClientID  string
	CallerID  string

	// Who made the change, for the record of what it ends.
	ChangedBy string
	RequestID string
	IP        string `gorm:"column:ip"`
	UserAgent string

	CreatedAt    Time `gorm:"autoCreateTime:false"`
	ClaimedUntil Time // somebody is at it; afterwards whoever was is gone
}

// longestReconsideration is more than anybody claims one for: one that seems to be was
// claimed before the clock was set back.
const longestReconsideration = time.Minute

// NewReconsideration is one of what a filter selects by its Party, Subject, Client or
// Caller. Who makes it asks the rules until claimed; afterwards others do.
func NewReconsideration(f ImpersonationFilter, by Cause, now, claimed time.Time) *Reconsideration {
	return &Reconsideration{
		ID: NewID("rec"), Party: f.Party, SubjectID: f.Subject, ClientID: f.Client, CallerID: f.Caller,
		ChangedBy: by.By, RequestID: by.ID, IP: by.IP, UserAgent: text(by.UserAgent), CreatedAt: At(now), ClaimedUntil: At(claimed),
	}
}

// Filter selects what it is about.
func (r *Reconsideration) Filter() ImpersonationFilter {
	return ImpersonationFilter{Party: r.Party, Subject: r.SubjectID, Client: r.ClientID, Caller: r.CallerID, Running: true}
}

// Cause is the change, as the record says it.
func (r *Reconsideration) Cause() Cause {
	return Cause{By: r.ChangedBy, Reason: EndPermissionLost, Request: Request{ID: r.RequestID, IP: r.IP, UserAgent: r.UserAgent}}
}

// CreateReconsideration adds one.
func (tx *Tx) CreateReconsideration(ctx context.Context, r *Reconsideration) error {
	return translate(tx.conn(ctx).Create(r).Error)
}

// DueReconsiderations returns those that nobody is at, the oldest first.
func (q Queries) DueReconsiderations(ctx context.Context, now time.Time) ([]Reconsideration, error) {
	var due []Reconsideration
	err := q.conn(ctx).Where("claimed_until <= ? OR claimed_until > ?", At(now), At(now.Add(longestReconsideration))).Order("created_at, id").Find(&due).Error
	return due, translate(err)
}

// ClaimReconsideration keeps others from one until a time. ErrSpent: it is done, or
// somebody has claimed it since it was read.
func (tx *Tx) ClaimReconsideration(ctx context.Context, r *Reconsideration, until time.Time) error {
	return tx.spend(ctx, `UPDATE reconsiderations SET claimed_until = ? WHERE id = ? AND claimed_until = ?`, At(until), r.ID, r.ClaimedUntil)
}

// RemoveReconsideration removes one that is done.
func (tx *Tx) RemoveReconsideration(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `DELETE FROM reconsiderations WHERE id = ?`, id)
	return err
}
