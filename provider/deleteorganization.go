package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// DeleteOrganization removes an organization, for good: its id is never given again. Its
// members stay users and lose what they might do there; its API keys are revoked; what runs
// in it, and elsewhere only because of it, ends; tickets and approvals that wait in it are
// taken back. Clients that are limited to it stay so. storage.ErrNotFound: there is none with
// this id. A RoleDenial: members or keys hold permissions that whoever deletes does not.
func (d *Directory) DeleteOrganization(ctx context.Context, id string, by storage.Cause, now time.Time) error {
	return impersonation.Change(ctx, d.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		if err := tx.LockOrganization(ctx, id); err != nil {
			return err
		}
		o, err := tx.Organization(ctx, id)
		if err == nil && o.ID != id {
			err = storage.ErrNotFound // a name
		}
		if err != nil {
			return fmt.Errorf("organization %q: %w", id, err)
		}
		held, err := tx.RoleHoldersIn(ctx, id)
		if err != nil {
			return fmt.Errorf("load role holders: %w", err)
		}
		keys, err := tx.LiveAPIKeysOf(ctx, id)
		if err != nil {
			return fmt.Errorf("load API keys: %w", err)
		}
		if err := d.mayDissolve(ctx, tx, id, held, keys); err != nil {
			return err
		}
		if err := endRolesAndKeys(ctx, tx, held, keys, by, now); err != nil {
			return err
		}
		members, err := tx.DeleteOrganization(ctx, o, by, now)
		if err != nil {
			return fmt.Errorf("organization %q: %w", id, err)
		}
		err = tx.Record(ctx, storage.Event{
			Type: storage.EventOrganizationDeleted, ActorID: by.By, OrganizationID: id,
			Data: storage.Data{"name": o.Name, "members": members, "api_keys": len(keys)},
		}, storage.Private{}, by.Request, now)
		if err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{}) // members may act, and be acted as, anywhere
	})
}

// mayDissolve asks whether whoever deletes an organization could take away each role that
// is held in it, and revoke its API keys.
func (d *Directory) mayDissolve(ctx context.Context, tx *storage.Tx, id string, held []storage.Membership, keys []storage.APIKey) error {
	if d.standing == nil {
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	if !mine.May(PermissionOrganizationsWrite, "") {
		return ErrMayNotChange
	}
	var names []string
	for _, m := range held {
		names = append(names, roleOf(&m))
	}
	slices.Sort(names)
	permissions, err := permissionsOf(ctx, tx, slices.Compact(names)...)
	if err != nil {
		return err
	}
	var lost storage.List
	for _, name := range names {
		lost = append(lost, permissions[name]...)
	}
	if len(keys) > 0 {
		lost = append(lost, PermissionAPIKeysWrite)
	}
	if !mayAll(mine, lost, id) {
		return DenyDissolve
	}
	return nil
}

// endRolesAndKeys revokes roles that are held within an organization, and API keys, each on
// the record. Memberships are left alone: they are gone with the organization.
func endRolesAndKeys(ctx context.Context, tx *storage.Tx, held []storage.Membership, keys []storage.APIKey, by storage.Cause, now time.Time) error {
	for _, m := range held {
		if err := recordRole(ctx, tx, storage.EventUserRoleRevoked, m.UserID, roleOf(&m), m.OrganizationID, by, now); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := tx.RevokeAPIKey(ctx, k.ID, now); errors.Is(err, storage.ErrSpent) {
			continue // by somebody else, meanwhile
		} else if err != nil {
			return fmt.Errorf("API key %q: %w", k.ID, err)
		}
		if err := recordAPIKey(ctx, tx, storage.EventAPIKeyRevoked, &k, storage.Data{"name": k.Name}, by, now); err != nil {
			return err
		}
	}
	return nil
}
