package provider

import (
	"slices"

	"github.com/understudy-id/understudy/provider/impersonation"
)

// The permissions that are not asked for by the rules of impersonation.
const (
	PermissionOrganizationsWrite = "organizations:write"
	PermissionClientsRead        = "clients:read"
	PermissionClientsWrite       = "clients:write"
	PermissionEventsRead         = "events:read"
	PermissionEventsExport       = "events:export"
	PermissionPoliciesWrite      = "policies:write"
	PermissionSettingsWrite      = "settings:write"
	PermissionKeysWrite          = "keys:write"
	PermissionAPIKeysWrite       = "apikeys:write"
	PermissionWebhooksWrite      = "webhooks:write"
)

// permissions is everything that somebody can be permitted.
var permissions = []string{
	impersonation.PermissionUsersRead, PermissionUsersWrite, PermissionOrganizationsWrite,
	PermissionClientsRead, PermissionClientsWrite,
	impersonation.PermissionStart, impersonation.PermissionPrivileged, impersonation.PermissionApprove,
	impersonation.PermissionRead, impersonation.PermissionStopAny,
	PermissionEventsRead, PermissionEventsExport, PermissionPoliciesWrite, PermissionSettingsWrite,
	PermissionKeysWrite, PermissionAPIKeysWrite, PermissionWebhooksWrite,
}

// Permissions returns everything that somebody can be permitted.
func Permissions() []string { return slices.Clone(permissions) }
