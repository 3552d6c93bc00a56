package storage

import (
	"context"
	"errors"
	"time"
)

// LockOrganization makes whoever adds members or API keys to an organization wait until
// the commit, and then find what became of it; starts of impersonations, too. SQLite has
// one writer anyway.
func (tx *Tx) LockOrganization(ctx context.Context, id string) error {
	if tx.dialect == SQLite {
		return nil
	}
	if err := tx.LockPolicy(ctx); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `SELECT 1 FROM organizations WHERE id = ? FOR UPDATE`, id)
	return err
}

// holdOrganization makes sure that an organization is there when the commit happens.
// ErrReference: it is not.
func (tx *Tx) holdOrganization(ctx context.Context, id string) error {
	lock := ""
	if tx.dialect == Postgres {
		lock = " FOR KEY SHARE"
	}
	var one int
	err := tx.scan(ctx, []any{&one}, `SELECT 1 FROM organizations WHERE id = ?`+lock, id)
	if errors.Is(err, ErrNotFound) {
		return ErrReference
	}
	return err
}

// RoleHoldersIn returns the memberships of an organization with which a role is held.
func (q Queries) RoleHoldersIn(ctx context.Context, organizationID string) ([]Membership, error) {
	var found []Membership
	err := q.conn(ctx).Where("organization_id = ? AND role IS NOT NULL", organizationID).Order("user_id").Find(&found).Error
	return found, translate(err)
}

// LiveAPIKeysOf returns the API keys that are limited to an organization and not revoked.
func (q Queries) LiveAPIKeysOf(ctx context.Context, organizationID string) ([]APIKey, error) {
	var found []APIKey
	err := q.conn(ctx).Where("organization_id = ? AND revoked_at = 0", organizationID).Order("id").Find(&found).Error
	return found, translate(err)
}

// OrganizationGone reports whether this is the id of an organization that was deleted.
func (q Queries) OrganizationGone(ctx context.Context, id string) (bool, error) {
	var gone bool
	err := q.scan(ctx, []any{&gone}, `SELECT EXISTS (SELECT 1 FROM deleted_organizations WHERE id = ?)`, id)
	return gone, err
}

// DeleteOrganization removes an organization with its memberships, ends what runs in it
// and takes back what waits to start there. It returns how many members it had. Clients and
// API keys that are limited to it go on naming it, which nobody belongs to any more and
// nothing else is ever called. Call LockOrganization before it.
func (tx *Tx) DeleteOrganization(ctx context.Context, o *Organization, by Cause, now time.Time) (members int64, err error) {
	here := ImpersonationFilter{Organizations: []string{o.ID}}
	if err := tx.withdrawStarts(ctx, here, "", by, now); err != nil {
		return 0, err
	}
	if err := tx.EndImpersonations(ctx, here, by.With(EndPermissionLost), now); err != nil {
		return 0, err
	}
	if members, err = tx.exec(ctx, `DELETE FROM memberships WHERE organization_id = ?`, o.ID); err != nil {
		return 0, err
	}
	if err := tx.spend(ctx, `DELETE FROM organizations WHERE id = ?`, o.ID); errors.Is(err, ErrSpent) {
		return 0, ErrNotFound
	} else if err != nil {
		return 0, err
	}
	_, err = tx.exec(ctx, `INSERT INTO deleted_organizations (id, name, deleted_at) VALUES (?, ?, ?)`, o.ID, o.Name, At(now))
	return members, err
}
