package storage

import (
	"context"
	"strings"

	"gorm.io/gorm"
)

// UserListing selects users as the console lists them. Zero values select all.
type UserListing struct {
	Text         string     // part of the name or e-mail, or the whole id
	Role         string     // held everywhere, or within an organization
	Status       UserStatus // empty: any
	Organization string     // members of this one
	Within       []string   // nil: all; else members of these, and nothing outside counts
	At           *NamePlace
	Limit        int
}

// ListUsers returns a page of the matching users by name, and whether there are more
// in its direction.
func (q Queries) ListUsers(ctx context.Context, l UserListing) ([]User, bool, error) {
	db := matching(q.conn(ctx).Model(&User{}).Where("deleted_at = 0"), l.Text)
	if l.Status != "" {
		db = db.Where("status = ?", l.Status)
	}
	if l.Organization != "" {
		db = db.Where("id IN (SELECT user_id FROM memberships WHERE organization_id = ?)", l.Organization)
	}
	if l.Within != nil {
		db = db.Where("id IN (SELECT user_id FROM memberships WHERE organization_id IN "+q.among()+")", List(l.Within))
	}
	switch {
	case l.Role != "" && l.Within != nil:
		db = db.Where("id IN (SELECT user_id FROM memberships WHERE role = ? AND organization_id IN "+q.among()+")", l.Role, List(l.Within))
	case l.Role != "":
		db = db.Where("id IN (SELECT user_id FROM user_roles WHERE role = ? UNION SELECT user_id FROM memberships WHERE role = ?)", l.Role, l.Role)
	}
	return pageByName[User](db, l.At, l.Limit, "name", "id")
}

// Place is where a user belongs, or holds a role.
type Place struct {
	UserID           string
	OrganizationID   string // empty: everywhere
	OrganizationName string
	Role             string // empty: plain membership
}

// PlacesOf returns where users belong and which roles they hold, in one statement:
// roles held everywhere first, then organizations by name.
func (q Queries) PlacesOf(ctx context.Context, userIDs ...string) (map[string][]Place, error) {
	var rows []Place
	err := q.conn(ctx).Raw(`
		SELECT user_id, '' AS organization_id, '' AS organization_name, role FROM user_roles WHERE user_id IN `+q.among()+`
		UNION ALL
		SELECT m.user_id, o.id, o.name, COALESCE(m.role, '') FROM memberships m JOIN organizations o ON o.id = m.organization_id
		WHERE m.user_id IN `+q.among()+` ORDER BY organization_name, role`, List(userIDs), List(userIDs)).Scan(&rows).Error
	of := map[string][]Place{}
	for _, r := range rows {
		of[r.UserID] = append(of[r.UserID], r)
	}
	return of, translate(err)
}

// DisplayNames returns what each of the users is called.
func (q Queries) DisplayNames(ctx context.Context, userIDs ...string) (map[string]string, error) {
	var rows []User
	err := q.conn(ctx).Raw(`SELECT id, name, email FROM users WHERE id IN `+q.among(), List(userIDs)).Scan(&rows).Error
	names := map[string]string{}
	for _, u := range rows {
		names[u.ID] = u.DisplayName()
	}
	return names, translate(err)
}

// matching selects users by part of the name or e-mail, or by the whole id.
func matching(db *gorm.DB, query string) *gorm.DB {
	if query == "" {
		return db
	}
	// LOWER may know ASCII only; as it is typed, a name is found nevertheless.
	part := func(s string) string { return "%" + escapeLike(s) + "%" }
	return db.Where(`(LOWER(name) LIKE ? ESCAPE '\' OR name LIKE ? ESCAPE '\' OR email_key LIKE ? ESCAPE '\' OR id = ?)`,
		part(strings.ToLower(query)), part(query), part(EmailKey(query)), query)
}
