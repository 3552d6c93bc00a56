package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/understudy-id/understudy/provider/impersonation"
	"github.com/understudy-id/understudy/storage"
)

// Directory changes people, organizations and what they may do. Each method is
// one Write that holds the change, its event, and the end of every impersonation
// that the change no longer allows.
type Directory struct {
	store   *storage.Store
	hashing *argon2id.Params // what a password costs
	actor   string           // who changes; empty: an operator
	// standing is what bounds the changes, asked within each; nil: an operator's have none.
	standing func(context.Context, *storage.Tx) (storage.Standing, error)
}

// NewDirectory returns a Directory on an open, migrated store, for an operator who may
// all.
func NewDirectory(store *storage.Store) *Directory {
	return &Directory{store: store, hashing: hashing}
}

// Directory is NewDirectory on the provider's store, with what passwords cost there.
func (p *Provider) Directory() *Directory {
	return &Directory{store: p.store, hashing: p.config.PasswordHashing}
}

// OnBehalfOf returns a Directory whose changes go only as far as what this user may do
// themselves: beyond that whatever changes roles and memberships returns a RoleDenial,
// and whatever changes a user ErrMayNotChange.
func (d *Directory) OnBehalfOf(userID string) *Directory {
	return d.by(userID, func(ctx context.Context, tx *storage.Tx) (storage.Standing, error) {
		s, err := tx.Standing(ctx, userID)
		if err != nil {
			return s, fmt.Errorf("load standing: %w", err)
		}
		return s, nil
	})
}

// For is OnBehalfOf for a caller of the management API.
func (d *Directory) For(c *Caller) *Directory {
	return d.by(c.ID, func(context.Context, *storage.Tx) (storage.Standing, error) { return c.Standing, nil })
}

func (d *Directory) by(actor string, standing func(context.Context, *storage.Tx) (storage.Standing, error)) *Directory {
	bounded := *d
	bounded.actor, bounded.standing = actor, standing
	return &bounded
}

// OrgRole is a membership to give.
type OrgRole struct {
	Organization string // id or name
	Role         string // held there; empty: plain membership
}

// CreateUser adds a user with roles, held everywhere, and memberships. It fills an
// empty id, and what it stores into u. An empty password means that there is
// none to sign in with. storage.ErrExists: the id or the e-mail address is taken.
func (d *Directory) CreateUser(
	ctx context.Context, u *storage.User, password string, roles []string, orgs []OrgRole, by storage.Cause, now time.Time,
) error {
	if err := ValidateUser(u); err != nil {
		return err
	}
	if password != "" {
		if err := d.newPassword(u, password, now); err != nil {
			return err
		}
	}
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		if err := d.checkNewUser(ctx, tx, u, roles, orgs); err != nil {
			return err
		}
		return createUser(ctx, tx, u, roles, orgs, by, now)
	})
}

// checkNewUser asks whether whoever changes may add a user with these roles to these
// organizations. Who may change users of an organization only adds to those, and
// vouches for nobody's address.
func (d *Directory) checkNewUser(ctx context.Context, tx *storage.Tx, u *storage.User, roles []string, orgs []OrgRole) error {
	if d.standing == nil {
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	everywhere := mine.May(PermissionUsersWrite, "")
	if !everywhere && (len(orgs) == 0 || u.EmailVerified || u.PhoneNumberVerified) {
		return ErrMayNotChange
	}
	for _, role := range roles {
		if err := d.checkRole(ctx, tx, mine, u.ID, "", "", role); err != nil {
			return err
		}
	}
	for _, give := range orgs {
		o, err := tx.Organization(ctx, give.Organization)
		if errors.Is(err, storage.ErrNotFound) && !everywhere {
			return ErrMayNotChange // whether there is one is not for them to know
		}
		if err != nil {
			return fmt.Errorf("organization %q: %w", give.Organization, referred(err))
		}
		if err := d.checkRole(ctx, tx, mine, u.ID, o.ID, "", give.Role); err != nil {
			return err
		}
	}
	return nil
}

// checkRole asks whether whoever has a standing may change users in a place, and put one
// role there in place of another.
func (d *Directory) checkRole(ctx context.Context, tx *storage.Tx, mine storage.Standing, userID, place, was, is string) error {
	if !mine.May(PermissionUsersWrite, place) {
		return ErrMayNotChange
	}
	held, err := permissionsOf(ctx, tx, was, is)
	if err != nil {
		return err
	}
	return CheckRoleChange(RoleChange{By: d.actor, User: userID, Standing: mine, Organization: place, Was: held[was], Is: held[is]})
}

// mayChangeRole is checkRole of a user who is there already, for an operator, too.
func (d *Directory) mayChangeRole(ctx context.Context, tx *storage.Tx, userID, place, was, is string) error {
	if d.standing == nil {
		return nil
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	return d.checkRole(ctx, tx, mine, userID, place, was, is)
}

// referred says storage.ErrReference of what is not there but was named by a request.
func referred(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return storage.ErrReference
	}
	return err
}

// newPassword gives somebody who is not stored yet a password.
func (d *Directory) newPassword(u *storage.User, password string, now time.Time) error {
	hash, err := hashPassword(password, d.hashing)
	if err != nil {
		return err
	}
	u.PasswordHash, u.PasswordChangedAt = hash, storage.At(now)
	return nil
}

// createUser adds a user who was validated, and records it.
func createUser(
	ctx context.Context, tx *storage.Tx, u *storage.User, roles []string, orgs []OrgRole, by storage.Cause, now time.Time,
) error {
	if err := freeIdentifier(ctx, tx, u.ID); err != nil {
		return err
	}
	if _, err := tx.UserByEmail(ctx, u.Email); err == nil {
		return fmt.Errorf("email %q of a user: %w", u.Email, storage.ErrExists)
	}
	if err := tx.CreateUser(ctx, u, now); err != nil {
		return fmt.Errorf("user %q: %w", u.Email, err)
	}
	if err := tx.Record(ctx, userCreated(u, by), storage.Private{}, by.Request, now); err != nil {
		return err
	}
	for _, role := range roles {
		if err := grantEverywhere(ctx, tx, u.ID, role, by, now); err != nil {
			return err
		}
	}
	for _, o := range orgs {
		if err := member(ctx, tx, u.ID, o, by, now); err != nil {
			return err
		}
	}
	return nil
}

// userCreated is the event of a user who was added.
func userCreated(u *storage.User, by storage.Cause) storage.Event {
	return storage.Event{
		Type: storage.EventUserCreated, ActorID: by.By, SubjectID: u.ID,
		Data: storage.Data{"password": u.PasswordHash != "", "email_verified": u.EmailVerified, "never_impersonate": u.NeverImpersonate},
	}
}

// freeIdentifier keeps users and clients from sharing an id: sub and client_id
// must never be taken for each other (RFC 9700 section 4.15).
func freeIdentifier(ctx context.Context, tx *storage.Tx, id string) error {
	if id == "" {
		return nil
	}
	_, user := tx.User(ctx, id)
	_, client := tx.Client(ctx, id)
	for kind, err := range map[string]error{"user": user, "client": client} {
		switch {
		case err == nil:
			return fmt.Errorf("id %q of a %s: %w", id, kind, storage.ErrExists)
		case !errors.Is(err, storage.ErrNotFound):
			return fmt.Errorf("id %q: %w", id, err)
		}
	}
	return nil
}

// SetPassword gives a user another password and ends everything that the old one
// opened.
func (d *Directory) SetPassword(ctx context.Context, userID, password string, by storage.Cause, now time.Time) error {
	hash, err := hashPassword(password, d.hashing)
	if err != nil {
		return err
	}
	return d.change(ctx, userID, storage.EventUserPasswordChanged, nil, by, now, func(tx *storage.Tx, _ *storage.User) (bool, error) {
		return true, tx.SetPassword(ctx, userID, hash, by, now)
	})
}

// Disable ends everything that a user has open, and refuses more.
func (d *Directory) Disable(ctx context.Context, userID string, by storage.Cause, now time.Time) error {
	return d.change(ctx, userID, storage.EventUserDisabled, nil, by, now, func(tx *storage.Tx, u *storage.User) (bool, error) {
		return u.Active(), tx.DisableUser(ctx, userID, by, now)
	})
}

// Enable lets a user sign in again.
func (d *Directory) Enable(ctx context.Context, userID string, by storage.Cause, now time.Time) error {
	return d.change(ctx, userID, storage.EventUserEnabled, nil, by, now, func(tx *storage.Tx, u *storage.User) (bool, error) {
		if u.Active() {
			return false, nil
		}
		return true, tx.EnableUser(ctx, userID, now)
	})
}

// SetNeverImpersonate protects a user from being signed in as, or stops doing so.
func (d *Directory) SetNeverImpersonate(ctx context.Context, userID string, never bool, by storage.Cause, now time.Time) error {
	data := storage.Data{"never_impersonate": never}
	return d.change(ctx, userID, storage.EventUserUpdated, data, by, now, func(tx *storage.Tx, u *storage.User) (bool, error) {
		if u.NeverImpersonate == never {
			return false, nil
		}
		return true, tx.SetNeverImpersonate(ctx, userID, never, by, now)
	})
}

// change runs fn on an existing user and records it, unless fn reports that nothing
// changed, and ends the impersonations that this forbids.
func (d *Directory) change(
	ctx context.Context, userID string, kind storage.EventType, data storage.Data, by storage.Cause, now time.Time,
	fn func(*storage.Tx, *storage.User) (changed bool, err error),
) error {
	return impersonation.Change(ctx, d.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		if err := tx.LockUser(ctx, userID); err != nil {
			return err
		}
		u, err := existing(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := d.checkReach(ctx, tx, userID); err != nil {
			return err
		}
		changed, err := fn(tx, u)
		if err != nil || !changed {
			return err
		}
		if err := tx.Record(ctx, storage.Event{Type: kind, ActorID: by.By, SubjectID: u.ID, Data: data}, storage.Private{}, by.Request, now); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Party: userID})
	})
}

// ErrMayNotChange says that a user holds rights, or belongs where, whoever wants to
// change them may not reach.
var ErrMayNotChange = errors.New("this user may not be changed by whoever asks")

// checkReach asks MayChange on behalf of whoever changes a user, who is locked: what was
// asked before the change may have changed itself. Operators may change everybody.
func (d *Directory) checkReach(ctx context.Context, tx *storage.Tx, userID string) error {
	if d.standing == nil {
		return nil
	}
	changer, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	user, err := tx.Standing(ctx, userID)
	if err != nil {
		return fmt.Errorf("load standing: %w", err)
	}
	if !MayChange(changer, user) {
		return ErrMayNotChange
	}
	return nil
}

// existing returns a user who was not deleted.
func existing(ctx context.Context, tx *storage.Tx, userID string) (*storage.User, error) {
	u, err := tx.User(ctx, userID)
	if err == nil && u.Deleted() {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", userID, err)
	}
	return u, nil
}

// GrantRole gives a user a role: everywhere, or within the organization, by id or
// name, of which they must be a member. A member has one role there, so that
// another takes its place. It is no error to hold the role already.
func (d *Directory) GrantRole(ctx context.Context, userID, role, organization string, by storage.Cause, now time.Time) error {
	return d.permissions(ctx, userID, by, now, func(tx *storage.Tx) error {
		if organization == "" {
			if err := d.mayChangeRole(ctx, tx, userID, "", "", role); err != nil {
				return err
			}
			return grantEverywhere(ctx, tx, userID, role, by, now)
		}
		o, held, err := membership(ctx, tx, userID, organization)
		if err != nil {
			return err
		}
		if held == nil {
			return fmt.Errorf("user %q is no member of organization %q: %w", userID, o.Name, storage.ErrNotFound)
		}
		if err := d.mayChangeRole(ctx, tx, userID, o.ID, roleOf(held), role); err != nil {
			return err
		}
		return member(ctx, tx, userID, OrgRole{o.ID, role}, by, now)
	})
}

// RevokeRole takes a role away: the one held everywhere, or the one held within
// the organization, of which the user stays a member. storage.ErrNotFound: it was
// not held.
func (d *Directory) RevokeRole(ctx context.Context, userID, role, organization string, by storage.Cause, now time.Time) error {
	return d.permissions(ctx, userID, by, now, func(tx *storage.Tx) error {
		if organization != "" {
			o, held, err := membership(ctx, tx, userID, organization)
			if err != nil {
				return err
			}
			if held == nil || roleOf(held) != role || role == "" {
				return fmt.Errorf("role %q of user %q within %q: %w", role, userID, o.Name, storage.ErrNotFound)
			}
			if err := d.mayChangeRole(ctx, tx, userID, o.ID, role, ""); err != nil {
				return err
			}
			return member(ctx, tx, userID, OrgRole{Organization: o.ID}, by, now)
		}
		held, err := tx.RolesOf(ctx, userID)
		if err == nil && !slices.Contains(held, role) {
			err = storage.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("role %q of user %q: %w", role, userID, err)
		}
		if err := d.mayChangeRole(ctx, tx, userID, "", role, ""); err != nil {
			return err
		}
		if err := tx.RevokeRole(ctx, userID, role); err != nil {
			return fmt.Errorf("role %q of user %q: %w", role, userID, err)
		}
		return recordRole(ctx, tx, storage.EventUserRoleRevoked, userID, role, "", by, now)
	})
}

// CreateOrganization adds an organization; it fills an empty id.
// storage.ErrExists: id or name is taken, also one as the other.
func (d *Directory) CreateOrganization(ctx context.Context, o *storage.Organization, by storage.Cause, now time.Time) error {
	if err := ValidateOrganization(o); err != nil {
		return err
	}
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		for _, taken := range []string{o.ID, o.Name} {
			_, err := tx.Organization(ctx, taken)
			if err == nil {
				err = storage.ErrExists
			}
			if !errors.Is(err, storage.ErrNotFound) {
				return fmt.Errorf("organization %q: %w", taken, err)
			}
			if err := neverAgain(ctx, tx, taken); err != nil {
				return err
			}
		}
		if err := tx.CreateOrganization(ctx, o, now); err != nil {
			return fmt.Errorf("organization %q: %w", o.Name, err)
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventOrganizationCreated, ActorID: by.By, OrganizationID: o.ID, Data: storage.Data{"name": o.Name},
		}, storage.Private{}, by.Request, now)
	})
}

// neverAgain keeps the ids of organizations that are gone from being ids or names of others:
// clients, keys and rules may go on naming them.
func neverAgain(ctx context.Context, tx *storage.Tx, name string) error {
	gone, err := tx.OrganizationGone(ctx, name)
	if err == nil && gone {
		err = storage.ErrExists
	}
	if err != nil {
		return fmt.Errorf("organization %q: %w", name, err)
	}
	return nil
}

// ValidateOrganization returns everything that is wrong with an organization, or nil.
func ValidateOrganization(o *storage.Organization) error {
	var errs []error
	if o.ID != "" && !identifier.MatchString(o.ID) {
		errs = append(errs, fmt.Errorf("id %q: want up to 255 letters, digits and . _ ~ | : -, beginning with a letter or digit", o.ID))
	}
	if strings.TrimSpace(o.Name) == "" {
		errs = append(errs, errors.New("name: is missing"))
	} else if err := checkText(o.Name, maxClaim); err != nil {
		errs = append(errs, fmt.Errorf("name %q: %w", o.Name, err))
	}
	return invalid(errs...)
}

// AddMember makes a user a member of an organization, or changes the role that a
// member has there; an empty role is plain membership.
func (d *Directory) AddMember(ctx context.Context, organization, userID, role string, by storage.Cause, now time.Time) error {
	return d.permissions(ctx, userID, by, now, func(tx *storage.Tx) error {
		if err := d.mayChangeMember(ctx, tx, organization, userID, role, true); err != nil {
			return err
		}
		return member(ctx, tx, userID, OrgRole{organization, role}, by, now)
	})
}

// RemoveMember ends a membership and the role held there. storage.ErrNotFound: there
// is none.
func (d *Directory) RemoveMember(ctx context.Context, organization, userID string, by storage.Cause, now time.Time) error {
	return d.permissions(ctx, userID, by, now, func(tx *storage.Tx) error {
		o, held, err := membership(ctx, tx, userID, organization)
		if err != nil {
			return err
		}
		if held == nil {
			return fmt.Errorf("user %q is no member of organization %q: %w", userID, o.Name, storage.ErrNotFound)
		}
		if err := d.mayChangeMember(ctx, tx, o.ID, userID, "", false); err != nil {
			return err
		}
		if err := tx.RemoveMember(ctx, o.ID, userID); err != nil {
			return fmt.Errorf("member %q of organization %q: %w", userID, o.Name, err)
		}
		if was := roleOf(held); was != "" {
			if err := recordRole(ctx, tx, storage.EventUserRoleRevoked, userID, was, o.ID, by, now); err != nil {
				return err
			}
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventMemberRemoved, ActorID: by.By, SubjectID: userID, OrganizationID: o.ID,
		}, storage.Private{}, by.Request, now)
	})
}

// mayChangeMember asks the rules, on what the unit of work sees, whether the actor may
// give a user this role in place of what they hold within the organization.
func (d *Directory) mayChangeMember(ctx context.Context, tx *storage.Tx, organization, userID, role string, joins bool) error {
	if d.standing == nil {
		return nil
	}
	o, held, err := membership(ctx, tx, userID, organization)
	if err != nil {
		return err
	}
	mine, err := d.standing(ctx, tx)
	if err != nil {
		return err
	}
	if joins && held == nil {
		theirs, err := tx.Standing(ctx, userID)
		if err != nil {
			return fmt.Errorf("load standing: %w", err)
		}
		if err := CheckNewMember(mine, theirs, o.ID); err != nil {
			return err
		}
	}
	was := ""
	if held != nil {
		was = roleOf(held)
	}
	if was == role {
		return nil
	}
	permissions, err := permissionsOf(ctx, tx, was, role)
	if err != nil {
		return err
	}
	return CheckRoleChange(RoleChange{
		By: d.actor, User: userID, Standing: mine, Organization: o.ID, Was: permissions[was], Is: permissions[role],
	})
}

// permissionsOf returns what roles hold, by name. An unknown one is storage.ErrReference.
func permissionsOf(ctx context.Context, tx *storage.Tx, names ...string) (map[string]storage.List, error) {
	roles, err := tx.Roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("load roles: %w", err)
	}
	held := map[string]storage.List{"": nil}
	for _, r := range roles {
		held[r.Name] = r.Permissions
	}
	for _, name := range names {
		if _, known := held[name]; !known {
			return nil, fmt.Errorf("role %q: %w", name, storage.ErrReference)
		}
	}
	return held, nil
}

// RenameOrganization changes an organization's name. storage.ErrExists: it is the name
// or the id of another.
func (d *Directory) RenameOrganization(ctx context.Context, id, name string, by storage.Cause, now time.Time) error {
	if err := ValidateOrganization(&storage.Organization{Name: name}); err != nil {
		return err
	}
	return d.store.Write(ctx, func(tx *storage.Tx) error {
		o, err := tx.Organization(ctx, id)
		if err != nil {
			return fmt.Errorf("organization %q: %w", id, err)
		}
		if o.Name == name {
			return nil
		}
		if other, err := tx.Organization(ctx, name); err == nil && other.ID != o.ID {
			return fmt.Errorf("organization %q: %w", name, storage.ErrExists)
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("organization %q: %w", name, err)
		}
		if err := neverAgain(ctx, tx, name); err != nil {
			return err
		}
		if err := tx.RenameOrganization(ctx, o.ID, name); err != nil {
			return fmt.Errorf("organization %q: %w", id, err)
		}
		return tx.Record(ctx, storage.Event{
			Type: storage.EventOrganizationUpdated, ActorID: by.By, OrganizationID: o.ID, Data: storage.Data{"name": name, "was": o.Name},
		}, storage.Private{}, by.Request, now)
	})
}

// permissions runs fn, which changes what a user may do or where they belong, and
// ends the impersonations that this forbids.
func (d *Directory) permissions(ctx context.Context, userID string, by storage.Cause, now time.Time, fn func(*storage.Tx) error) error {
	return impersonation.Change(ctx, d.store, by, now, func(tx *storage.Tx, reconsider impersonation.Reconsider) error {
		if err := tx.LockUser(ctx, userID); err != nil { // or one could start between
			return err
		}
		if _, err := existing(ctx, tx, userID); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return reconsider(storage.ImpersonationFilter{Party: userID})
	})
}

// grantEverywhere gives a role that is not held yet.
func grantEverywhere(ctx context.Context, tx *storage.Tx, userID, role string, by storage.Cause, now time.Time) error {
	held, err := tx.RolesOf(ctx, userID)
	if err != nil || slices.Contains(held, role) {
		return err
	}
	if err := knownRole(ctx, tx, role); err != nil {
		return err
	}
	if err := tx.GrantRole(ctx, userID, role, now); err != nil {
		return fmt.Errorf("role %q: %w", role, err)
	}
	return recordRole(ctx, tx, storage.EventUserRoleGranted, userID, role, "", by, now)
}

// knownRole says which roles there are, where the database would only say no.
func knownRole(ctx context.Context, tx *storage.Tx, role string) error {
	roles, err := tx.Roles(ctx)
	if err != nil {
		return fmt.Errorf("load roles: %w", err)
	}
	var names []string
	for _, r := range roles {
		if r.Name == role {
			return nil
		}
		names = append(names, r.Name)
	}
	return fmt.Errorf("role %q: %w; there are %s", role, storage.ErrReference, strings.Join(names, ", "))
}

// member makes a user a member, or changes the role of one.
func member(ctx context.Context, tx *storage.Tx, userID string, give OrgRole, by storage.Cause, now time.Time) error {
	o, held, err := membership(ctx, tx, userID, give.Organization)
	if err != nil {
		return err
	}
	if held != nil && roleOf(held) == give.Role {
		return nil
	}
	if give.Role != "" {
		if err := knownRole(ctx, tx, give.Role); err != nil {
			return err
		}
	}
	if err := tx.AddMember(ctx, o.ID, userID, give.Role, now); err != nil {
		return fmt.Errorf("member %q of organization %q: %w", userID, o.Name, err)
	}
	if held == nil {
		err = tx.Record(ctx, memberAdded(userID, o.ID, by), storage.Private{}, by.Request, now)
	} else if was := roleOf(held); was != "" {
		err = recordRole(ctx, tx, storage.EventUserRoleRevoked, userID, was, o.ID, by, now)
	}
	if err != nil || give.Role == "" {
		return err
	}
	return recordRole(ctx, tx, storage.EventUserRoleGranted, userID, give.Role, o.ID, by, now)
}

// membership returns the organization, by id or name, and the user's membership of
// it, nil where there is none.
func membership(ctx context.Context, tx *storage.Tx, userID, organization string) (*storage.Organization, *storage.Membership, error) {
	o, err := tx.Organization(ctx, organization)
	if err != nil {
		return nil, nil, fmt.Errorf("organization %q: %w", organization, err)
	}
	all, err := tx.MembershipsOf(ctx, userID)
	if err != nil {
		return nil, nil, fmt.Errorf("load memberships: %w", err)
	}
	for _, m := range all {
		if m.OrganizationID == o.ID {
			return o, &m, nil
		}
	}
	return o, nil, nil
}

func roleOf(m *storage.Membership) string {
	if m.Role == nil {
		return ""
	}
	return *m.Role
}

// memberAdded is the event of a membership.
func memberAdded(userID, organization string, by storage.Cause) storage.Event {
	return storage.Event{Type: storage.EventMemberAdded, ActorID: by.By, SubjectID: userID, OrganizationID: organization}
}

// roleChanged is the event of a role that was granted or revoked; an empty
// organization is everywhere.
func roleChanged(kind storage.EventType, userID, role, organization string, by storage.Cause) storage.Event {
	return storage.Event{
		Type: kind, ActorID: by.By, SubjectID: userID, OrganizationID: organization, Data: storage.Data{"role": role},
	}
}

// recordRole records that a role was granted or revoked.
func recordRole(
	ctx context.Context, tx *storage.Tx, kind storage.EventType, userID, role, organization string, by storage.Cause, now time.Time,
) error {
	return tx.Record(ctx, roleChanged(kind, userID, role, organization, by), storage.Private{}, by.Request, now)
}
