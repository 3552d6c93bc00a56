package storage

import (
	"context"
	"strconv"
)

// UserSort is an order of users, each with an index of its own.
type UserSort string

// The orders of users.
const (
	UsersByID      UserSort = "id"
	UsersByName    UserSort = "name"  // whatever its case, as far as LOWER knows letters
	UsersByEmail   UserSort = "email" // by EmailKey
	UsersByCreated UserSort = "-created_at"
)

// UserPage selects users for a program, which reads on and on: whatever is asked for, a
// page costs what it holds, not what lies before it nor what there is in all.
type UserPage struct {
	Sort         UserSort // UsersByID where empty
	Email        string   // the one with this address
	Prefix       string   // how the name or the e-mail address begins that the order is by
	Organization string   // its members only; in any order but UsersByID all of them are read
	At           *KeyPlace
	Limit        int
}

// KeyPlace is where a list goes on: behind the row with this key and this id.
type KeyPlace struct{ Key, ID string }

// PlacedUser is a user with what the order is by.
type PlacedUser struct {
	User
	SortKey string
}

// Place is where the list goes on behind this user.
func (u PlacedUser) Place() KeyPlace { return KeyPlace{u.SortKey, u.ID} }

// last is a text that comes behind every other one with the same beginning.
const last = "\U0010FFFF"

// UserPage returns a page of users, and whether there are more. Each order but the one by
// time is by one expression that no two users have the same of, with an index: SQLite
// finds its place in an index of expressions by no more than one.
func (q Queries) UserPage(ctx context.Context, p UserPage) ([]PlacedUser, bool, error) {
	db := q.conn(ctx).Table("users u").Where("u.deleted_at = 0")
	key := "u.id"
	if p.Organization != "" {
		// CROSS: begin with the members.
		db = q.conn(ctx).Table("memberships m CROSS JOIN users u").
			Where("m.organization_id = ? AND u.id = m.user_id AND u.deleted_at = 0", p.Organization)
		key = "m.user_id"
	}
	prefix := p.Prefix
	switch p.Sort {
	case UsersByName:
		key = q.foldedName()
	case UsersByEmail:
		key, prefix = q.binary("u.email_key"), EmailKey(p.Prefix)
	}
	if p.Email != "" {
		db = db.Where("u.email_key = ?", EmailKey(p.Email))
	}
	if p.Prefix != "" {
		db = db.Where(key+" < LOWER(?)", prefix+last)
	}
	switch {
	case p.Sort == UsersByCreated:
		if p.At != nil {
			created, err := strconv.ParseInt(p.At.Key, 10, 64)
			if err != nil {
				return nil, false, err
			}
			db = db.Where("(u.created_at, u.id) < (?, ?)", created, p.At.ID)
		}
		key, db = "u.created_at", db.Order("u.created_at DESC, u.id DESC")
	case p.At != nil:
		db = db.Where(key+" > ?", p.At.Key).Order(key)
	case p.Prefix != "":
		db = db.Where(key+" >= LOWER(?)", prefix).Order(key)
	default:
		db = db.Order(key)
	}
	return upTo[PlacedUser](db.Select(userColumns+", "+key+" AS sort_key"), p.Limit)
}

// foldedName is the name whatever its case, and behind it the id, as the index has it.
func (q Queries) foldedName() string {
	if q.dialect == Postgres {
		return `(LOWER(u.name) || chr(1) || u.id) COLLATE "C"`
	}
	return `LOWER(u.name) || char(1) || u.id`
}

// binary is an expression that compares as its bytes do, on which a range of texts with
// the same beginning relies. SQLite compares so anyway.
func (q Queries) binary(expression string) string {
	if q.dialect == Postgres {
		return expression + ` COLLATE "C"`
	}
	return expression
}
