package storage

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// UserSelection selects users as programs list them. Zero values select all.
type UserSelection struct {
	Text                        string   // part of the name or e-mail, or the whole id
	IDs, Emails, Usernames      []string // one of these; an e-mail address however it is spelled
	NotIDs                      []string // none of these
	Organizations               []string // members of any of these
	NotOrganizations            []string // members of none of these
	Within                      []string // nil: all; else members of these, and nothing outside counts
	Status                      UserStatus
	CreatedFrom, CreatedUntil   Time   // both excluded
	SignedInFrom, SignedInUntil Time   // both excluded; nobody who never signed in
	Order                       string // a column
	Descending                  bool
	Beyond                      *Mark // behind this place, where the order is created_at
	Offset, Limit               int
}

func (q Queries) selected(ctx context.Context, s UserSelection) *gorm.DB {
	db := matching(q.conn(ctx).Model(&User{}).Where("deleted_at = 0"), s.Text)
	emails := List{}
	for _, e := range s.Emails {
		if key := EmailKey(e); key != "" { // nobody's
			emails = append(emails, key)
		}
	}
	members := "id %s (SELECT user_id FROM memberships WHERE organization_id IN " + q.among() + ")"
	for _, c := range []struct {
		asked     bool
		condition string
		value     any
	}{
		{len(s.IDs) > 0, "id IN " + q.among(), List(s.IDs)},
		{len(s.NotIDs) > 0, "id NOT IN " + q.among(), List(s.NotIDs)},
		{len(s.Emails) > 0, "email_key IN " + q.among(), emails},
		{len(s.Usernames) > 0, "preferred_username IN " + q.among(), List(s.Usernames)},
		{s.Organizations != nil, fmt.Sprintf(members, "IN"), List(s.Organizations)},
		{s.NotOrganizations != nil, fmt.Sprintf(members, "NOT IN"), List(s.NotOrganizations)},
		{s.Within != nil, fmt.Sprintf(members, "IN"), List(s.Within)},
		{s.Status != "", "status = ?", s.Status},
		{s.CreatedFrom.Set(), "created_at > ?", s.CreatedFrom},
		{s.CreatedUntil.Set(), "created_at < ?", s.CreatedUntil},
		{s.SignedInFrom.Set(), "last_sign_in_at > ?", s.SignedInFrom},
		{s.SignedInUntil.Set(), "last_sign_in_at <> 0 AND last_sign_in_at < ?", s.SignedInUntil},
	} {
		if c.asked {
			db = db.Where(c.condition, c.value)
		}
	}
	return db
}

// SelectUsers returns some of the users that are selected. Whoever reads on by numbers
// may miss somebody, or see them twice, where users come and go meanwhile.
func (q Queries) SelectUsers(ctx context.Context, s UserSelection) ([]User, error) {
	by := clause.OrderBy{Columns: []clause.OrderByColumn{
		{Column: clause.Column{Name: s.Order}, Desc: s.Descending}, {Column: clause.Column{Name: "id"}, Desc: s.Descending},
	}}
	db := q.selected(ctx, s)
	if s.Beyond != nil {
		than := ">"
		if s.Descending {
			than = "<"
		}
		db = db.Where("(created_at, id) "+than+" (?, ?)", s.Beyond.Time, s.Beyond.ID)
	}
	var users []User
	err := db.Clauses(by).Offset(s.Offset).Limit(s.Limit).Find(&users).Error
	return users, translate(err)
}

// CountUsers returns how many users are selected.
func (q Queries) CountUsers(ctx context.Context, s UserSelection) (n int64, err error) {
	err = q.selected(ctx, s).Count(&n).Error
	return n, translate(err)
}
