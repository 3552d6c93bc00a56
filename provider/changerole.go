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

// ErrLastAdministrator says that nobody would be left who may give roles.
var ErrLastAdministrator = errors.New("role: nobody would be left who may give roles")

// ChangeRole gives a role other permissions, to everybody who holds it, at once: what runs
// is decided again. It is no error that they are the same. storage.ErrNotFound: there is no
// such role. ErrBuiltInRole. ErrLastAdministrator. A RoleDenial: whoever changes it holds it,
// or does not hold everywhere all that it permits before and after.
func (d *Directory) ChangeRole(ctx context.Context, name string, permits storage.List, by storage.Cause, now time.Time) (*storage.Role, error) {
	var p problems
	p.subset("permissions", permits, permissions)
	if err := p.err(); err != nil {
		return nil, err
	}
	is := storage.Role{Name: name, Permissions: inOrder(permits)}
	return &is, impersonation.Change(ctx, d.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		if err := tx.LockRoles(ctx); err != nil {
			return err
		}
		was, err := roleNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := d.mayRemake(ctx, tx, was, is.Permissions); err != nil {
			return fmt.Errorf("role %q: %w", name, err)
		}
		added, removed := without(is.Permissions, was.Permissions), without(was.Permissions, is.Permissions)
		if len(added) == 0 && len(removed) == 0 {
			return nil
		}
		if err := tx.ChangeRole(ctx, &is); err != nil {
			return fmt.Errorf("role %q: %w", name, err)
		}
		if slices.Contains(removed, PermissionUsersWrite) {
			left, err := tx.AnybodyMay(ctx, PermissionUsersWrite)
			if err != nil {
				return fmt.Errorf("count administrators: %w", err)
			}
			if !left {
				return fmt.Errorf("role %q: %w", name, ErrLastAdministrator)
			}
		}
		err = tx.Record(ctx, storage.Event{Type: storage.EventRoleUpdated, ActorID: by.By, Data: storage.Data{
			"role": name, "permissions": []string(is.Permissions), "added": added, "removed": removed,
		}}, storage.Private{}, by.Request, now)
		if err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{}) // those who hold it act, and are acted as
	})
}

// mayRemake asks whether whoever changes may change what a role permits to this.
func (d *Directory) mayRemake(ctx context.Context, tx *storage.Tx, was *storage.Role, is storage.List) error {
	if d.standing == nil {
		if was.BuiltIn {
			return ErrBuiltInRole
		}
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	if err := MayRemake(mine, *was); err != nil {
		return err
	}
	return CheckRoleChange(RoleChange{By: d.actor, Standing: mine, Is: is})
}

// MayRemake says why somebody may not change a role: ErrBuiltInRole, or a RoleDenial, of one
// that they hold themselves, or that permits what they do not hold everywhere.
func MayRemake(by storage.Standing, role storage.Role) error {
	if !mayAll(by, role.Permissions, "") {
		return DenyMoreThanMe
	}
	if role.BuiltIn {
		return ErrBuiltInRole
	}
	for _, held := range by.Roles {
		if slices.Contains(held, role.Name) {
			return DenyOwnRole
		}
	}
	return nil
}

// without returns, never nil, what is in a and not in b.
func without(a, b storage.List) []string {
	return slices.DeleteFunc(append([]string{}, a...), func(p string) bool { return slices.Contains(b, p) })
}

// roleNamed returns a role. storage.ErrNotFound: there is none of this name.
func roleNamed(ctx context.Context, tx *storage.Tx, name string) (*storage.Role, error) {
	roles, err := tx.Roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("load roles: %w", err)
	}
	i := slices.IndexFunc(roles, func(r storage.Role) bool { return r.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("role %q: %w", name, storage.ErrNotFound)
	}
	return &roles[i], nil
}
