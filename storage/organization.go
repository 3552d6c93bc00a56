package storage

import (
	"context"
	"slices"
	"time"
)

// Organization is a customer whose members use applications together.
type Organization struct {
	ID        string `gorm:"primaryKey"`
	Name      string
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// Membership makes a user a member of an organization. A role held here reaches
// only this organization's members; nil is plain membership.
type Membership struct {
	OrganizationID string `gorm:"primaryKey"`
	UserID         string `gorm:"primaryKey"`
	Role           *string
	CreatedAt      Time `gorm:"autoCreateTime:false"`
}

// Role is a named list of permissions.
type Role struct {
	Name        string `gorm:"primaryKey"`
	Permissions List
	BuiltIn     bool
}

// UserRole gives a user a role everywhere.
type UserRole struct {
	UserID    string `gorm:"primaryKey"`
	Role      string `gorm:"primaryKey"`
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// Standing is where a user belongs and what they may do: the permissions of
// their roles, everywhere and within each organization they are a member of.
type Standing struct {
	Everywhere List
	Within     map[string]List // by organization id; every membership has an entry
	Roles      map[string]List // names of the roles, by organization id; those held everywhere by ""
}

// MemberOf reports whether the user belongs to the organization.
func (s Standing) MemberOf(organization string) bool {
	_, ok := s.Within[organization]
	return ok
}

// May reports whether the permission is held everywhere or within the
// organization; an empty organization asks for everywhere only.
func (s Standing) May(permission, organization string) bool {
	return slices.Contains(s.Everywhere, permission) || slices.Contains(s.Within[organization], permission)
}

// MayAnywhere reports whether the permission is held everywhere or somewhere.
func (s Standing) MayAnywhere(permission string) bool {
	if slices.Contains(s.Everywhere, permission) {
		return true
	}
	for _, held := range s.Within {
		if slices.Contains(held, permission) {
			return true
		}
	}
	return false
}

// Standing returns where a user belongs and what they may do. A user nobody
// knows has none.
func (q Queries) Standing(ctx context.Context, userID string) (Standing, error) {
	s, _, err := q.standings(ctx, userID, userID)
	return s, err
}

// standings returns those of two users, who may be the same.
func (q Queries) standings(ctx context.Context, oneID, otherID string) (one, other Standing, err error) {
	rows, err := q.query(ctx, `
		SELECT ur.user_id, '', r.name, r.permissions FROM user_roles ur JOIN roles r ON r.name = ur.role WHERE ur.user_id IN (?, ?)
		UNION ALL
		SELECT m.user_id, m.organization_id, COALESCE(r.name, ''), COALESCE(r.permissions, '[]') FROM memberships m LEFT JOIN roles r ON r.name = m.role
			WHERE m.user_id IN (?, ?)`,
		oneID, otherID, oneID, otherID)
	if err != nil {
		return Standing{}, Standing{}, err
	}
	defer rows.Close()
	one, other = Standing{Within: map[string]List{}}, Standing{Within: map[string]List{}}
	for rows.Next() {
		var user, organization, role string
		var permissions List
		if err := rows.Scan(&user, &organization, &role, &permissions); err != nil {
			return Standing{}, Standing{}, translate(err)
		}
		if user == oneID {
			one.add(organization, role, permissions)
		}
		if user == otherID {
			other.add(organization, role, permissions)
		}
	}
	return one, other, translate(rows.Err())
}

// add adds a membership, or a role that is held everywhere where organization is empty.
func (s *Standing) add(organization, role string, permissions List) {
	if role != "" {
		if s.Roles == nil {
			s.Roles = map[string]List{}
		}
		s.Roles[organization] = append(s.Roles[organization], role)
	}
	if organization == "" {
		s.Everywhere = append(s.Everywhere, permissions...)
	} else {
		s.Within[organization] = permissions
	}
}

// Organization returns the organization with the given id, else name, or ErrNotFound.
func (q Queries) Organization(ctx context.Context, idOrName string) (*Organization, error) {
	var o Organization
	err := q.conn(ctx).Raw(`SELECT * FROM organizations WHERE id = ? OR name = ?
		ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1`, idOrName, idOrName, idOrName).Take(&o).Error
	if err != nil {
		return nil, translate(err)
	}
	return &o, nil
}

// OrganizationsNamed returns the organizations that have one of these ids or names.
func (q Queries) OrganizationsNamed(ctx context.Context, idsOrNames []string) ([]Organization, error) {
	var found []Organization
	names := List(idsOrNames)
	err := q.conn(ctx).Raw(`SELECT * FROM organizations WHERE id IN `+q.among()+`
		UNION SELECT * FROM organizations WHERE name IN `+q.among(), names, names).Scan(&found).Error
	return found, translate(err)
}

// Organizations returns all organizations by name.
func (q Queries) Organizations(ctx context.Context) ([]Organization, error) {
	var all []Organization
	err := q.conn(ctx).Order("name").Find(&all).Error
	return all, translate(err)
}

// OrganizationSearch selects organizations.
type OrganizationSearch struct {
	Text  string   // part of the name, or the whole id
	Among []string // only these; nil: all
	At    *NamePlace
	Limit int
}

// CountedOrganization is an organization with how many members it has.
type CountedOrganization struct {
	Organization
	Members int64
}

// SearchOrganizations returns a page of the matching organizations by name, and
// whether there are more in its direction.
func (q Queries) SearchOrganizations(ctx context.Context, s OrganizationSearch) ([]CountedOrganization, bool, error) {
	db := q.conn(ctx).Table("organizations o").Select("o.*, (" + countMembers + ") AS members")
	if s.Among != nil {
		db = db.Where("o.id IN ?", s.Among)
	}
	return pageByName[CountedOrganization](containing(db, "o.name", "o.id", s.Text), s.At, s.Limit, "o.name", "o.id")
}

const countMembers = `SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id
	WHERE m.organization_id = o.id AND u.deleted_at = 0`

// Member is a user with the role held within an organization, empty for none.
type Member struct {
	User
	Role string
}

// MemberSearch selects members of an organization.
type MemberSearch struct {
	Organization string // id
	Text         string // part of the name or e-mail address, or the whole id
	At           *NamePlace
	Limit        int
}

// SearchMembers returns a page of the matching members by name, and whether there
// are more in its direction.
func (q Queries) SearchMembers(ctx context.Context, s MemberSearch) ([]Member, bool, error) {
	db := q.conn(ctx).Table("memberships m").Select(userColumns+", COALESCE(m.role, '') AS role").
		Joins("JOIN users u ON u.id = m.user_id").Where("m.organization_id = ? AND u.deleted_at = 0", s.Organization)
	return pageByName[Member](containing(db, "u.name || ' ' || u.email_key", "u.id", s.Text), s.At, s.Limit, "u.name", "u.id")
}

// OrganizationsOf returns, for each of the users, the organizations they belong to.
func (q Queries) OrganizationsOf(ctx context.Context, userIDs []string) (map[string][]Organization, error) {
	var rows []struct {
		UserID string
		Organization
	}
	err := q.conn(ctx).Raw(`
		SELECT m.user_id, o.id, o.name, o.created_at FROM memberships m JOIN organizations o ON o.id = m.organization_id
		WHERE m.user_id IN ? ORDER BY o.name`, userIDs).Scan(&rows).Error
	of := map[string][]Organization{}
	for _, r := range rows {
		of[r.UserID] = append(of[r.UserID], r.Organization)
	}
	return of, translate(err)
}

// Roles returns all roles by name.
func (q Queries) Roles(ctx context.Context) ([]Role, error) {
	var all []Role
	err := q.conn(ctx).Order("name").Find(&all).Error
	return all, translate(err)
}

// CreateRole adds a role. ErrExists: the name is taken.
func (tx *Tx) CreateRole(ctx context.Context, r *Role) error {
	return translate(tx.conn(ctx).Create(r).Error)
}

// DeleteRole removes a role. ErrReference: somebody holds it. ErrNotFound: there is none
// of this name, or it is built in.
func (tx *Tx) DeleteRole(ctx context.Context, name string) error {
	res := tx.conn(ctx).Where("built_in = ?", false).Delete(&Role{Name: name})
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}

// RolesOf returns the names of the roles a user holds everywhere.
func (q Queries) RolesOf(ctx context.Context, userID string) ([]string, error) {
	var names []string
	err := q.conn(ctx).Model(&UserRole{}).Where("user_id = ?", userID).Order("role").Pluck("role", &names).Error
	return names, translate(err)
}

// MembershipsOf returns the user's memberships, with the role held in each.
func (q Queries) MembershipsOf(ctx context.Context, userID string) ([]Membership, error) {
	var all []Membership
	err := q.conn(ctx).Where("user_id = ?", userID).Order("organization_id").Find(&all).Error
	return all, translate(err)
}

// CreateOrganization adds an organization; it fills an empty ID.
func (tx *Tx) CreateOrganization(ctx context.Context, o *Organization, now time.Time) error {
	if o.ID == "" {
		o.ID = NewID("org")
	}
	o.CreatedAt = At(now)
	return translate(tx.conn(ctx).Create(o).Error)
}

// RenameOrganization changes the name. ErrExists: it is another's.
func (tx *Tx) RenameOrganization(ctx context.Context, id, name string) error {
	res := tx.conn(ctx).Model(&Organization{}).Where("id = ?", id).UpdateColumn("name", name)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}

// RemoveMember ends a membership, with the role held there. ErrNotFound: there is none.
func (tx *Tx) RemoveMember(ctx context.Context, organizationID, userID string) error {
	if err := tx.LockUser(ctx, userID); err != nil {
		return err
	}
	res := tx.conn(ctx).Exec(`DELETE FROM memberships WHERE organization_id = ? AND user_id = ?`, organizationID, userID)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}

// AddMember makes a user a member, or changes the role of one. An empty role is
// plain membership. ErrReference: no such organization, user or role.
func (tx *Tx) AddMember(ctx context.Context, organizationID, userID, role string, now time.Time) error {
	if err := tx.LockUser(ctx, userID); err != nil {
		return err
	}
	var held *string
	if role != "" {
		held = &role
	}
	return translate(tx.conn(ctx).Exec(`
		INSERT INTO memberships (organization_id, user_id, role, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role`,
		organizationID, userID, held, At(now)).Error)
}

// AddMembers makes users who were created in the same Write members. ErrReference:
// no such organization or role.
func (tx *Tx) AddMembers(ctx context.Context, members []Membership, now time.Time) error {
	for i := range members {
		members[i].CreatedAt = At(now)
	}
	return createAll(ctx, tx, members)
}

// GrantRoles gives users who were created in the same Write roles everywhere.
// ErrReference: no such role.
func (tx *Tx) GrantRoles(ctx context.Context, roles []UserRole, now time.Time) error {
	for i := range roles {
		roles[i].CreatedAt = At(now)
	}
	return createAll(ctx, tx, roles)
}

// GrantRole gives a user a role everywhere. It is no error to hold it already.
func (tx *Tx) GrantRole(ctx context.Context, userID, role string, now time.Time) error {
	if err := tx.LockUser(ctx, userID); err != nil {
		return err
	}
	return translate(tx.conn(ctx).Exec(
		`INSERT INTO user_roles (user_id, role, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		userID, role, At(now)).Error)
}

// RevokeRole takes a role, held everywhere, away. ErrNotFound: not held.
func (tx *Tx) RevokeRole(ctx context.Context, userID, role string) error {
	if err := tx.LockUser(ctx, userID); err != nil {
		return err
	}
	res := tx.conn(ctx).Exec(`DELETE FROM user_roles WHERE user_id = ? AND role = ?`, userID, role)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(res.Error)
}
