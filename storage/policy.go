package storage

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Policy is one version of the operator's rules about impersonation. It never changes;
// the newest is in force.
type Policy struct {
	ID        string `gorm:"primaryKey"`
	Version   int64  // 1, 2, ...
	Rules     string // text, for package impersonation to read
	Note      string // why it was changed
	AuthorID  string // who saved it: a user's id, a key's; empty: an operator
	ByPerson  bool   // the author is a user
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// ErrPolicyChanged says that somebody saved another version meanwhile.
var ErrPolicyChanged = errors.New("storage: the policy was changed meanwhile")

// CurrentPolicy returns the newest version, or ErrNotFound where none was ever saved.
func (q Queries) CurrentPolicy(ctx context.Context) (*Policy, error) {
	return q.policy(ctx, `ORDER BY version DESC LIMIT 1`)
}

// Policy returns a version, or ErrNotFound.
func (q Queries) Policy(ctx context.Context, version int64) (*Policy, error) {
	return q.policy(ctx, `WHERE version = ?`, version)
}

// PolicyNamed returns the version with this id, or ErrNotFound.
func (q Queries) PolicyNamed(ctx context.Context, id string) (*Policy, error) {
	return q.policy(ctx, `WHERE id = ?`, id)
}

// PolicyBefore returns the newest version older than one that was saved before a time,
// or by an operator or a user who is none of notBy; ErrNotFound: there is none.
func (q Queries) PolicyBefore(ctx context.Context, version int64, saved time.Time, notBy []string) (*Policy, error) {
	args := []any{version, At(saved)}
	for _, id := range notBy {
		args = append(args, id)
	}
	return q.policy(ctx, `WHERE version < ? AND (created_at <= ? OR author_id = '' OR by_person AND author_id NOT IN (''`+
		strings.Repeat(", ?", len(notBy))+`)) ORDER BY version DESC LIMIT 1`, args...)
}

func (q Queries) policy(ctx context.Context, which string, args ...any) (*Policy, error) {
	var p Policy
	err := q.scan(ctx, []any{&p.ID, &p.Version, &p.Rules, &p.Note, &p.AuthorID, &p.ByPerson, &p.CreatedAt},
		`SELECT id, version, rules, note, author_id, by_person, created_at FROM policies `+which, args...)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// Policies returns versions below one, the newest first; zero: from the newest. What
// they say is left out.
func (q Queries) Policies(ctx context.Context, below int64, limit int) ([]Policy, error) {
	db := q.conn(ctx).Omit("rules")
	if below > 0 {
		db = db.Where("version < ?", below)
	}
	var all []Policy
	err := db.Order("version DESC").Limit(limit).Find(&all).Error
	return all, translate(err)
}

// LockPolicy makes starts, and other changes of what they are decided by, wait until
// the commit, and then find it. SQLite has one writer anyway.
func (tx *Tx) LockPolicy(ctx context.Context) error {
	if tx.dialect == SQLite {
		return nil
	}
	_, err := tx.exec(ctx, `SELECT 1 FROM settings WHERE key = ? FOR UPDATE`, impersonationEnabled)
	return err
}

// CreatePolicy adds p as the version after basedOn, zero being none, and records it. It
// fills p but for its id and what it says. ErrPolicyChanged: basedOn is not the newest.
// What runs and is no longer allowed is the caller's to end.
func (tx *Tx) CreatePolicy(ctx context.Context, p *Policy, basedOn int64, by Cause, now time.Time) error {
	if err := tx.LockPolicy(ctx); err != nil {
		return err
	}
	newest, err := tx.CurrentPolicy(ctx)
	if errors.Is(err, ErrNotFound) {
		newest, err = &Policy{}, nil
	}
	if err != nil {
		return err
	}
	if newest.Version != basedOn {
		return ErrPolicyChanged
	}
	_, err = tx.User(ctx, by.By)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	p.Version, p.AuthorID, p.ByPerson, p.CreatedAt = basedOn+1, by.By, err == nil, At(now)
	if err := tx.conn(ctx).Create(p).Error; err != nil {
		return translate(err)
	}
	return tx.Record(ctx, Event{
		Type: EventPolicyUpdated, ActorID: by.By, Data: Data{"policy": p.ID, "version": p.Version},
	}, Private{}, by.Request, now)
}
