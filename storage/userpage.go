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

// UserPage returns a page of users, and whether there are more.
func (q Queries) UserPage(ctx context.Context, p UserPage) ([]PlacedUser, bool, error) {
	db := q.conn(ctx).Table("users u").Where("u.deleted_at = 0")
	id := "u.id"
	if p.Organization != "" {
		// CROSS: begin with the members.
		db = q.conn(ctx).Table("memberships m CROSS JOIN users u").
			Where("m.organization_id = ? AND u.id = m.user_id AND u.deleted_at = 0", p.Organization)
		id = "m.user_id"
	}
	key, prefix, order, behind := id, p.Prefix, "", ">"
	switch p.Sort {
	case UsersByName:
		key = q.binary("LOWER(u.name)")
	case UsersByEmail:
		key, prefix = q.binary("u.email_key"), EmailKey(p.Prefix)
	case UsersByCreated:
		key, order, behind = "u.created_at", " DESC", "<"
	}
	if p.Email != "" {
		db = db.Where("u.email_key = ?", EmailKey(p.Email))
	}
	if p.Prefix != "" {
		db = db.Where(key+" >= LOWER(?) AND "+key+" < LOWER(?)", prefix, prefix+last)
	}
	switch {
	case p.At == nil:
	case key == id:
		db = db.Where(id+" > ?", p.At.ID)
	case p.Sort == UsersByCreated:
		created, err := strconv.ParseInt(p.At.Key, 10, 64)
		if err != nil {
			return nil, false, err
		}
		db = db.Where("("+key+", "+id+") "+behind+" (?, ?)", created, p.At.ID)
	default:
		db = db.Where("("+key+", "+id+") "+behind+" (?, ?)", p.At.Key, p.At.ID)
	}
	if key != id {
		db = db.Order(key + order)
	}
	return upTo[PlacedUser](db.Select(userColumns+", "+key+" AS sort_key").Order(id+order), p.Limit)
}

// binary is an expression that compares as its bytes do, on which a range of texts with
// the same beginning relies. SQLite compares so anyway.
func (q Queries) binary(expression string) string {
	if q.dialect == Postgres {
		return expression + ` COLLATE "C"`
	}
	return expression
}
