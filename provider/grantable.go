package provider

import (
	"slices"

	"github.com/understudy-id/understudy/storage"
)

// PermissionUsersWrite lets staff create and change users.
const PermissionUsersWrite = "users:write"

// MayGrant reports whether somebody may give a role to others, or take it away:
// everywhere, or within an organization. Nobody hands on what they do not hold there
// themselves.
func MayGrant(granter storage.Standing, role storage.Role, organization string) bool {
	return mayAll(granter, role.Permissions, organization)
}

// MayChange reports whether somebody may change a user: what is said about them, their
// password, their status. Whoever does can become that user, so it must give them
// nothing new: they may write users wherever this one belongs, and hold every
// permission of this one, there.
func MayChange(changer, user storage.Standing) bool {
	if !mayAll(changer, user.Everywhere, "") {
		return false
	}
	for organization, held := range user.Within {
		if !changer.May(PermissionUsersWrite, organization) || !mayAll(changer, held, organization) {
			return false
		}
	}
	return len(user.Within) > 0 || changer.May(PermissionUsersWrite, "")
}

// mayAll reports whether all of these permissions are held in a place.
func mayAll(s storage.Standing, permissions storage.List, organization string) bool {
	return !slices.ContainsFunc(permissions, func(p string) bool { return !s.May(p, organization) })
}
