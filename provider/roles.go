package provider

import (
	"slices"

	"github.com/understudy-id/understudy/storage"
)

// RoleDenial says why somebody may not change what others may do.
type RoleDenial string

// The denials of CheckRoleChange and CheckNewMember.
const (
	DenyOwnRole    RoleDenial = "own_role"
	DenyMoreThanMe RoleDenial = "more_than_one_holds"
	DenyReach      RoleDenial = "out_of_reach"
)

func (d RoleDenial) Error() string { return "role change denied: " + string(d) }

// Message says it to whoever was refused.
func (d RoleDenial) Message() string {
	switch d {
	case DenyOwnRole:
		return "Nobody changes what they may do themselves."
	case DenyMoreThanMe:
		return "This role holds permissions that you do not hold there."
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
