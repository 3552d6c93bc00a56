package storage

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// UserSelection selects users as programs list them: by number, not by place. Zero
// values select all.
type UserSelection struct {
	Text          string   // part of the name or e-mail, or the whole id
	IDs, Emails   []string // one of these; an e-mail address however it is spelled
	Organizations []string // members of any of these
	Within        []string // nil: all; else members of these, and nothing outside counts
	Order         string   // a column
	Descending    bool
	Offset, Limit int
}

func (q Queries) selected(ctx context.Context, s UserSelection) *gorm.DB {
	db := matching(q.conn(ctx).Model(&User{}).Where("deleted_at = 0"), s.Text)
	if len(s.IDs) > 0 {
		db = db.Where("id IN "+q.among(), List(s.IDs))
	}
	if len(s.Emails) > 0 {
		keys := List{}
		for _, e := range s.Emails {
			if key := EmailKey(e); key != "" { // nobody's
				keys = append(keys, key)
			}
		}
		db = db.Where("email_key IN "+q.among(), keys)
	}
	for _, organizations := range [][]string{s.Organizations, s.Within} {
		if organizations != nil {
			db = db.Where("id IN (SELECT user_id FROM memberships WHERE organization_id IN "+q.among()+")", List(organizations))
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
	var users []User
	err := q.selected(ctx, s).Clauses(by).Offset(s.Offset).Limit(s.Limit).Find(&users).Error
	return users, translate(err)
}

// CountUsers returns how many users are selected.
func (q Queries) CountUsers(ctx context.Context, s UserSelection) (n int64, err error) {
	err = q.selected(ctx, s).Count(&n).Error
	return n, translate(err)
}
