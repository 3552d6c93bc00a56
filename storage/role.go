package storage

import "context"

// LockRoles makes other changes of roles wait until the commit, and starts of
// impersonations, which then find it. SQLite has one writer anyway.
func (tx *Tx) LockRoles(ctx context.Context) error { return tx.LockPolicy(ctx) }

// ChangeRole stores what a role permits. ErrNotFound: there is none of this name, or it is
// built in.
func (tx *Tx) ChangeRole(ctx context.Context, r *Role) error {
	n, err := tx.exec(ctx, `UPDATE roles SET permissions = ? WHERE name = ? AND built_in = ?`, r.Permissions, r.Name, false)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// AnybodyMay reports whether an active user holds a permission everywhere.
func (q Queries) AnybodyMay(ctx context.Context, permission string) (bool, error) {
	roles, err := q.Roles(ctx)
	if err != nil {
		return false, err
	}
	holding := List{}
	for _, r := range roles {
		if (Standing{Everywhere: r.Permissions}).May(permission, "") {
			holding = append(holding, r.Name)
		}
	}
	var found bool
	err = q.scan(ctx, []any{&found}, `SELECT EXISTS (SELECT 1 FROM user_roles r JOIN users u ON u.id = r.user_id
		WHERE u.status = 'active' AND u.deleted_at = 0 AND r.role IN `+q.among()+`)`, holding)
	return found, err
}

// RoleHolders returns how many users hold each role, everywhere or within an organization.
// One that nobody holds is not among them.
func (q Queries) RoleHolders(ctx context.Context) (map[string]int64, error) {
	rows, err := q.query(ctx, `SELECT h.role, COUNT(*) FROM (
			SELECT role, user_id FROM user_roles UNION SELECT role, user_id FROM memberships WHERE role IS NOT NULL) h
		GROUP BY h.role`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	holders := map[string]int64{}
	for rows.Next() {
		var role string
		var n int64
		if err := rows.Scan(&role, &n); err != nil {
			return nil, translate(err)
		}
		holders[role] = n
	}
	return holders, translate(rows.Err())
}
