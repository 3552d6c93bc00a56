package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/understudy-id/understudy/storage"
)

// RoleDenial says why somebody may not change what others may do.
type RoleDenial string

// The denials of CheckRoleChange, CheckNewMember and DeleteOrganization.
const (
	DenyOwnRole    RoleDenial = "own_role"
	DenyMoreThanMe RoleDenial = "more_than_one_holds"
	DenyReach      RoleDenial = "out_of_reach"
	DenyDissolve   RoleDenial = "members_hold_more"
)

func (d RoleDenial) Error() string { return "role change denied: " + string(d) }

// Message says it to whoever was refused.
func (d RoleDenial) Message() string {
	switch d {
	case DenyOwnRole:
		return "Nobody changes what they may do themselves."
	case DenyMoreThanMe:
		return "This role holds permissions that you do not hold there."
	case DenyDissolve:
		return "Its members hold permissions that you do not hold there, or it has API keys that you may not revoke."
	default:
		return "There is no such user."
	}
}

// RoleChange is everything that decides whether somebody may give or take a role.
type RoleChange struct {
	By, User     string           // ids
	Standing     storage.Standing // of By
	Organization string           // where the role is held; empty: everywhere
	Was, Is      storage.List     // the permissions of the role before and of the one after
}

// CheckRoleChange returns nil or a RoleDenial. Whoever could not give a role does not
// take it away either: that would be a way for less to get rid of more.
func CheckRoleChange(c RoleChange) error {
	if c.By == c.User {
		return DenyOwnRole
	}
	for _, permission := range slices.Concat(c.Was, c.Is) {
		if !c.Standing.May(permission, c.Organization) {
			return DenyMoreThanMe
		}
	}
	return nil
}

// CheckNewMember returns nil, or DenyReach where somebody would bring a user under
// permissions that they do not hold over them yet: whoever may do much within one
// organization must not get hold of everybody by making them its members.
func CheckNewMember(by, user storage.Standing, organization string) error {
	for _, permission := range by.Within[organization] {
		over := by.May(permission, "")
		for o := range user.Within {
			over = over || by.May(permission, o)
		}
		if !over {
			return DenyReach
		}
	}
	return nil
}

var (
	// ErrBuiltInRole says that a role is one that is always there.
	ErrBuiltInRole = errors.New("role: is built in")
	// ErrRoleHeld says that somebody holds a role.
	ErrRoleHeld = errors.New("role: is held by somebody")
)

// roleName is lower case, so that none passes for another.
var roleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// validateRole returns everything that is wrong with a role, or nil. It puts its
// permissions in order.
func validateRole(r *storage.Role) error {
	var p problems
	p.unless(roleName.MatchString(r.Name), "name %q: want 1 to 64 lower-case letters, digits and . _ -, beginning with a letter or digit", r.Name)
	p.subset("permissions", r.Permissions, permissions)
	if err := p.err(); err != nil {
		return err
	}
	r.Permissions = inOrder(r.Permissions)
	return nil
}

// inOrder returns the permissions of a role, each once; never nil.
func inOrder(permits storage.List) storage.List {
	return append(storage.List{}, slices.Compact(slices.Sorted(slices.Values(permits)))...)
}

// CreateRole adds a role. One without permissions is for the rules of the policy to ask
// about.
// storage.ErrExists: there is one. A RoleDenial: it holds more than whoever makes it.
func (d *Directory) CreateRole(ctx context.Context, r *storage.Role, by storage.Cause, now time.Time) error {
	if err := validateRole(r); err != nil {
		return err
	}
	r.BuiltIn = false
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := d.mayMake(ctx, tx, r.Permissions); err != nil {
			return err
		}
		if err := tx.CreateRole(ctx, r); err != nil {
			return fmt.Errorf("role %q: %w", r.Name, err)
		}
		return recordKind(ctx, tx, storage.EventRoleCreated, *r, by, now)
	})
}

// DeleteRole removes a role that nobody holds, so that nobody loses anything by it.
// storage.ErrNotFound: there is none. ErrBuiltInRole, ErrRoleHeld.
func (d *Directory) DeleteRole(ctx context.Context, name string, by storage.Cause, now time.Time) error {
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		was, err := roleNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := d.mayMake(ctx, tx, was.Permissions); err != nil {
			return err
		}
		if was.BuiltIn {
			return fmt.Errorf("role %q: %w", name, ErrBuiltInRole)
		}
		if err := tx.DeleteRole(ctx, name); errors.Is(err, storage.ErrReference) {
			return fmt.Errorf("role %q: %w", name, ErrRoleHeld)
		} else if err != nil {
			return fmt.Errorf("role %q: %w", name, err)
		}
		return recordKind(ctx, tx, storage.EventRoleDeleted, *was, by, now)
	})
}

// mayMake asks whether whoever changes holds everywhere what a role does.
func (d *Directory) mayMake(ctx context.Context, tx *storage.Tx, permissions storage.List) error {
	if d.standing == nil {
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	return CheckRoleChange(RoleChange{By: d.actor, Standing: mine, Is: permissions})
}

// recordKind records that a role was made or removed.
func recordKind(ctx context.Context, tx *storage.Tx, kind storage.EventType, r storage.Role, by storage.Cause, now time.Time) error {
	return tx.Record(ctx, storage.Event{
		Type: kind, ActorID: by.By, Data: storage.Data{"role": r.Name, "permissions": []string(r.Permissions)},
	}, storage.Private{}, by.Request, now)
}
