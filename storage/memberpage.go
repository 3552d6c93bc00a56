package storage

import (
	"context"

	"gorm.io/gorm"
)

// OrganizationPage selects organizations for a program, which reads on and on.
type OrganizationPage struct {
	Only  string // the one with this id; empty: all
	At    *KeyPlace
	Limit int
}

// OrganizationPage returns a page of organizations by name, and whether there are more.
func (q Queries) OrganizationPage(ctx context.Context, p OrganizationPage) ([]Organization, bool, error) {
	db := q.conn(ctx).Model(&Organization{})
	if p.Only != "" {
		db = db.Where("id = ?", p.Only)
	}
	if p.At != nil { // no two have the same name
		db = db.Where("name > ?", p.At.Key)
	}
	return upTo[Organization](db.Order("name"), p.Limit)
}

// JoinedMember is a member with when they became one.
type JoinedMember struct {
	Member
	JoinedAt Time
}

// MemberPage selects members of an organization for a program, which reads on and on.
type MemberPage struct {
	Organization string // id
	At           *KeyPlace
	Limit        int
}

// MemberPage returns a page of the members in the order of their ids, and whether there
// are more.
func (q Queries) MemberPage(ctx context.Context, p MemberPage) ([]JoinedMember, bool, error) {
	db := q.members(ctx, p.Organization)
	if p.At != nil {
		db = db.Where("m.user_id > ?", p.At.ID)
	}
	return upTo[JoinedMember](db.Order("m.user_id"), p.Limit)
}

// MemberOf returns one member of an organization, or ErrNotFound.
func (q Queries) MemberOf(ctx context.Context, organization, userID string) (*JoinedMember, error) {
	var m JoinedMember
	if err := q.members(ctx, organization).Where("m.user_id = ?", userID).Take(&m).Error; err != nil {
		return nil, translate(err)
	}
	return &m, nil
}

func (q Queries) members(ctx context.Context, organization string) *gorm.DB {
	return q.conn(ctx).Table("memberships m CROSS JOIN users u").
		Select(userColumns+", COALESCE(m.role, '') AS role, m.created_at AS joined_at").
		Where("m.organization_id = ? AND u.id = m.user_id AND u.deleted_at = 0", organization)
}
