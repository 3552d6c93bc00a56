package handlers

import (
	"net/http"
	"slices"

	"github.com/understudy-id/understudy/provider"
	"github.com/understudy-id/understudy/provider/impersonation"
)

// kind says how a route's errors look and what its requests may be.
type kind int

const (
	page       kind = iota // for people: HTML, never cached, no cross-site POST
	entry                  // for people, but reached from other sites by design
	direct                 // for applications: JSON, cookies are not looked at
	internal               // for servers of applications: JSON, not readable from other origins
	public                 // for everybody: cacheable, readable from any origin
	management             // for programs of administrators: JSON, a Bearer token, cookies are not looked at
)

// route is one row of the table.
type route struct {
	pattern string
	kind    kind
	serve   func(*Server, http.ResponseWriter, *http.Request) error
}

// consoleRoute is a row of the console's table. An empty permission lets in whoever
// has any that another row asks for.
type consoleRoute struct {
	pattern     string
	permission  string
	within      bool // held within one organization suffices; serve looks at the object
	whileActing bool // a POST that is taken from somebody who acts as another
	serve       func(*Server, http.ResponseWriter, *http.Request, *staff) error
}

// accountRoute is a row of the account's table.
type accountRoute struct {
	pattern     string
	whileActing bool
	serve       func(*Server, http.ResponseWriter, *http.Request, *person) error
}

// routes, with consoleRoutes, accountRoutes and the operations of the management API, is
// everything that the main listener answers.
var routes = []route{
	{"GET /{$}", page, (*Server).home},
	{"GET /.well-known/openid-configuration", public, (*Server).metadata},
	{"GET /.well-known/oauth-authorization-server", public, (*Server).metadata},
	{"GET /.well-known/jwks.json", public, (*Server).keySet},
	{"GET /staff-bar.js", public, (*Server).staffBar},

	{"GET /oauth2/authorize", entry, (*Server).authorize},
	{"POST /oauth2/authorize", entry, (*Server).authorizePost},
	{"GET /oauth2/authorize/{interaction}", page, (*Server).resume},
	{"POST /language", page, (*Server).chooseLanguage},
	{"GET /login", page, (*Server).loginForm},
	{"POST /login", page, (*Server).login},
	{"GET /consent/{interaction}", page, (*Server).consentForm},
	{"POST /consent/{interaction}", page, (*Server).consent},
	{"GET /consent/{interaction}/approvals/{approval}", page, (*Server).awaitApproval},
	{"POST /consent/{interaction}/approvals/{approval}", page, (*Server).withdrawAwaited},

	{"GET /setup", page, (*Server).checklist},
	{"GET /setup/{token}", page, (*Server).setupForm},
	{"POST /setup/{token}", page, (*Server).setup},

	{"GET /impersonate/{ticket}", page, (*Server).linkForm},
	{"POST /impersonate/{ticket}", page, (*Server).link},
	{"GET /impersonation/stop", page, (*Server).stopForm},
	{"POST /impersonation/stop", page, (*Server).stop},
	{"GET /impersonation/stopped", page, (*Server).stopped},
	{"GET /oauth2/logout", entry, (*Server).logoutForm},
	{"POST /oauth2/logout", entry, (*Server).logout},

	{"POST /oauth2/token", direct, (*Server).token},
	{"POST /oauth2/par", direct, (*Server).push},
	{"GET /oauth2/par", direct, (*Server).postOnly},
	{"POST /oauth2/introspect", internal, (*Server).introspect},
	{"POST /oauth2/revoke", direct, (*Server).revoke},
	{"GET /oauth2/token", direct, (*Server).postOnly},
	{"GET /oauth2/introspect", internal, (*Server).postOnly},
	{"GET /oauth2/revoke", direct, (*Server).postOnly},
	{"GET /oauth2/userinfo", direct, (*Server).userinfo},
	{"POST /oauth2/userinfo", direct, (*Server).userinfo},
	{"POST /oauth2/register", internal, (*Server).register},
	{"GET /oauth2/register", internal, (*Server).register},
	{"GET /oauth2/register/{client}", internal, (*Server).registration},
	{"PUT /oauth2/register/{client}", internal, (*Server).replaceRegistration},
	{"DELETE /oauth2/register/{client}", internal, (*Server).endRegistration},
}

// consoleRoutes are the pages of staff. It is a function because the pages' menu
// comes from the table, and so the table from itself.
func consoleRoutes() []consoleRoute {
	const readUsers, writeUsers = impersonation.PermissionUsersRead, provider.PermissionUsersWrite
	return []consoleRoute{
		{"GET /admin/users/{id}/impersonate", impersonation.PermissionStart, true, false, (*Server).impersonateForm},
		{"POST /admin/users/{id}/impersonate", impersonation.PermissionStart, true, true, (*Server).impersonate},
		{"POST /admin/users/{id}/request-access", impersonation.PermissionStart, true, true, (*Server).requestAccess},
		{"POST /admin/users/{id}/request-approval", impersonation.PermissionStart, true, true, (*Server).requestApproval},
		{"GET /admin/impersonations", impersonation.PermissionRead, true, false, (*Server).impersonations},
		{"GET /admin/impersonations/past", impersonation.PermissionRead, true, false, (*Server).pastImpersonations},
		{"GET /admin/impersonations/requests", impersonation.PermissionRead, true, false, (*Server).supportRequests},
		{"GET /admin/impersonations/denied", impersonation.PermissionRead, true, false, (*Server).denials},
		{"GET /admin/impersonations/approvals", "", true, false, (*Server).approvals},
		{"GET /admin/approvals/{approval}", "", true, false, (*Server).approval},
		{"POST /admin/approvals/{approval}/approve", impersonation.PermissionApprove, true, false, (*Server).approveApproval},
		{"POST /admin/approvals/{approval}/deny", impersonation.PermissionApprove, true, false, (*Server).denyApproval},
		{"POST /admin/approvals/{approval}/withdraw", impersonation.PermissionStart, true, true, (*Server).withdrawApproval},
		{"POST /admin/impersonations/stop", impersonation.PermissionStopAny, false, true, (*Server).stopAll},
		{"GET /admin/impersonations/{id}", impersonation.PermissionRead, true, false, (*Server).impersonation},
		{"POST /admin/impersonations/{id}/stop", "", false, true, (*Server).stopImpersonation},
		{"GET /admin/clients", "clients:read", false, false, (*Server).clients},
		{"GET /admin/clients/new", "clients:write", false, false, (*Server).newClientForm},
		{"POST /admin/clients/new", "clients:write", false, false, (*Server).newClient},
		{"GET /admin/clients/{client}", "clients:read", false, false, (*Server).client},
		{"GET /admin/clients/{client}/settings", "clients:write", false, false, (*Server).clientSettings},
		{"POST /admin/clients/{client}/settings", "clients:write", false, false, (*Server).saveClientSettings},
		{"GET /admin/clients/{client}/acting", "clients:write", false, false, (*Server).clientActing},
		{"POST /admin/clients/{client}/acting", "clients:write", false, false, (*Server).saveClientActing},
		{"GET /admin/clients/{client}/preview", "clients:read", false, false, (*Server).clientPreview},
		{"GET /admin/clients/{client}/secret", "clients:read", false, false, (*Server).clientStart},
		{"POST /admin/clients/{client}/secret", "clients:write", false, false, (*Server).rotateSecret},
		{"POST /admin/clients/{client}/secret/stored", "clients:read", false, true, (*Server).secretStored},
		{"POST /admin/clients/{client}/secret/drop", "clients:write", false, false, (*Server).dropSecret},
		{"POST /admin/clients/{client}/disable", "clients:write", false, false, (*Server).disableClient},
		{"POST /admin/clients/{client}/enable", "clients:write", false, false, (*Server).enableClient},
		{"POST /admin/clients/{client}/delete", "clients:write", false, false, (*Server).deleteClient},
		{"POST /admin/clients/{client}/test-logout", "clients:write", false, false, (*Server).testLogout},

		{"GET /admin/roles", readUsers, false, false, (*Server).roles},
		{"POST /admin/roles", writeUsers, false, false, (*Server).newRole},
		{"GET /admin/roles/{role}", readUsers, false, false, (*Server).roleShown},
		{"POST /admin/roles/{role}", writeUsers, false, false, (*Server).changeRole},
		{"POST /admin/roles/{role}/delete", writeUsers, false, false, (*Server).deleteRole},
		{"GET /admin/organizations", "users:read", true, false, (*Server).organizations},
		{"POST /admin/organizations", "organizations:write", false, false, (*Server).newOrganization},
		{"GET /admin/organizations/{organization}", "users:read", true, false, (*Server).organization},
		{"POST /admin/organizations/{organization}/delete", "organizations:write", false, false, (*Server).deleteOrganization},
		{"POST /admin/organizations/{organization}", "organizations:write", true, false, (*Server).renameOrganization},
		{"POST /admin/organizations/{organization}/members", "organizations:write", true, false, (*Server).addMember},
		{"GET /admin/organizations/{organization}/members/{user}", "organizations:write", true, false, (*Server).memberForm},
		{"POST /admin/organizations/{organization}/members/{user}", "organizations:write", true, false, (*Server).changeMember},
		{"POST /admin/organizations/{organization}/members/{user}/remove", "organizations:write", true, false, (*Server).removeMember},

		{"GET /admin/users", readUsers, true, false, (*Server).users},
		{"GET /admin/users/new", writeUsers, true, false, (*Server).newUserForm},
		{"POST /admin/users/new", writeUsers, true, false, (*Server).createUser},
		{"GET /admin/users/import", writeUsers, false, false, (*Server).importUsersForm},
		{"POST /admin/users/import", writeUsers, false, false, (*Server).importUsers},
		{"GET /admin/users/{id}", readUsers, true, false, (*Server).user},
		{"GET /admin/users/{id}/edit", writeUsers, true, false, (*Server).editUserForm},
		{"POST /admin/users/{id}/edit", writeUsers, true, false, (*Server).editUser},
		{"GET /admin/users/{id}/grant", writeUsers, true, false, (*Server).grantForm},
		{"POST /admin/users/{id}/grant", writeUsers, true, false, (*Server).grant},
		{"GET /admin/users/{id}/revoke", writeUsers, true, false, dangerRevoke.ask},
		{"POST /admin/users/{id}/revoke", writeUsers, true, false, dangerRevoke.act},
		{"POST /admin/users/{id}/sign-ins", writeUsers, true, false, (*Server).endSignIns},
		{"POST /admin/users/{id}/applications", writeUsers, true, false, (*Server).endApplication},
		{"GET /admin/users/{id}/password", writeUsers, true, false, dangerReset.ask},
		{"POST /admin/users/{id}/password", writeUsers, true, false, dangerReset.act},
		{"GET /admin/users/{id}/disable", writeUsers, true, false, dangerDisable.ask},
		{"POST /admin/users/{id}/disable", writeUsers, true, false, dangerDisable.act},
		{"GET /admin/users/{id}/enable", writeUsers, true, false, dangerEnable.ask},
		{"POST /admin/users/{id}/enable", writeUsers, true, false, dangerEnable.act},
		{"GET /admin/users/{id}/delete", writeUsers, true, false, dangerDelete.ask},
		{"POST /admin/users/{id}/delete", writeUsers, true, false, dangerDelete.act},

		{"GET /admin", "", true, false, (*Server).overview},
		{"GET /admin/events", "events:read", false, false, (*Server).events},
		{"GET /admin/events/{event}", "events:read", false, false, (*Server).event},
		{"POST /admin/events/export", "events:export", false, false, (*Server).exportEvents},
		{"GET /admin/events/verification", "events:read", false, false, (*Server).verification},
		{"POST /admin/events/verification", "events:read", false, false, (*Server).verifyNow},
		{"GET /admin/policies", impersonation.PermissionPolicies, false, false, (*Server).policies},
		{"GET /admin/policies/new", impersonation.PermissionPolicies, false, false, (*Server).newRule},
		{"GET /admin/policies/rule", impersonation.PermissionPolicies, false, false, (*Server).ruleForm},
		{"POST /admin/policies/rule", impersonation.PermissionPolicies, false, false, (*Server).saveRule},
		{"GET /admin/policies/test", impersonation.PermissionPolicies, false, false, (*Server).policyTest},
		{"POST /admin/policies/test", impersonation.PermissionPolicies, false, true, (*Server).tryPolicy},
		{"GET /admin/policies/history", impersonation.PermissionPolicies, false, false, (*Server).policyHistory},
		{"GET /admin/policies/history/{version}", impersonation.PermissionPolicies, false, false, (*Server).policyVersion},
		{"POST /admin/policies/history/{version}", impersonation.PermissionPolicies, false, false, (*Server).restorePolicy},
		{"GET /admin/keys", "keys:write", false, false, (*Server).keys},
		{"POST /admin/keys/rotate", "keys:write", false, false, (*Server).rotateKeys},
		{"GET /admin/keys/replace", "keys:write", false, false, (*Server).replaceKeysForm},
		{"POST /admin/keys/replace", "keys:write", false, false, (*Server).replaceKeys},
		{"GET /admin/webhooks", provider.PermissionWebhooksWrite, false, false, (*Server).webhooks},
		{"POST /admin/webhooks", provider.PermissionWebhooksWrite, false, false, (*Server).newWebhook},
		{"GET /admin/webhooks/{webhook}", provider.PermissionWebhooksWrite, false, false, (*Server).webhook},
		{"POST /admin/webhooks/{webhook}", provider.PermissionWebhooksWrite, false, false, (*Server).changeWebhook},
		{"POST /admin/webhooks/{webhook}/enable", provider.PermissionWebhooksWrite, false, false, (*Server).enableWebhook},
		{"POST /admin/webhooks/{webhook}/disable", provider.PermissionWebhooksWrite, false, false, (*Server).disableWebhook},
		{"POST /admin/webhooks/{webhook}/test", provider.PermissionWebhooksWrite, false, false, (*Server).testWebhook},
		{"POST /admin/webhooks/{webhook}/rotate", provider.PermissionWebhooksWrite, false, false, (*Server).rotateWebhook},
		{"POST /admin/webhooks/{webhook}/stored", provider.PermissionWebhooksWrite, false, true, (*Server).webhookStored},
		{"POST /admin/webhooks/{webhook}/delete", provider.PermissionWebhooksWrite, false, false, (*Server).deleteWebhook},
		{"POST /admin/webhooks/{webhook}/replay", provider.PermissionWebhooksWrite, false, false, (*Server).replayWebhook},
		{"POST /admin/webhooks/{webhook}/deliveries/{event}/replay", provider.PermissionWebhooksWrite, false, false, (*Server).replayDelivery},
		{"GET /admin/api-keys", "apikeys:write", false, false, (*Server).apiKeys},
		{"POST /admin/api-keys", "apikeys:write", false, false, (*Server).createAPIKey},
		{"GET /admin/api-keys/{key}", "apikeys:write", false, false, (*Server).apiKey},
		{"POST /admin/api-keys/{key}/stored", "apikeys:write", false, true, (*Server).keyStored},
		{"POST /admin/api-keys/{key}/revoke", "apikeys:write", false, false, (*Server).revokeAPIKey},
		{"GET /admin/settings", "settings:write", false, false, (*Server).settings},
		{"GET /admin/settings/acting", "settings:write", false, false, (*Server).actingForm},
		{"POST /admin/settings/acting", "settings:write", false, false, (*Server).switchActing},
		{"POST /admin/settings/mail-test", "settings:write", false, false, (*Server).testMail},
		{"POST /admin/settings/support-access", "settings:write", false, false, (*Server).setSupportRule},
	}
}

// accountRoutes are the pages of everybody's own account.
func accountRoutes() []accountRoute {
	return []accountRoute{
		{"GET /account", false, (*Server).ownAccount},
		{"POST /account/sign-out-everywhere", false, (*Server).signOutEverywhere},
		{"GET /account/activity", false, (*Server).activity},
		{"GET /account/activity/{id}", false, (*Server).actedAsPage},
		{"POST /account/activity/{id}/end", true, (*Server).endActedAs},
		{"POST /account/activity/{id}/report", true, (*Server).report},
		{"GET /account/export", false, (*Server).export},
		{"GET /account/support-access", false, (*Server).supportAccess},
		{"POST /account/support-access", false, (*Server).allowSupport},
		{"POST /account/support-access/requests", false, (*Server).answerSupport},
		{"GET /account/sessions", false, (*Server).signIns},
		{"POST /account/sessions", false, (*Server).endSignIn},
		{"GET /account/applications", false, (*Server).applications},
		{"POST /account/applications", false, (*Server).revokeApplication},
		{"GET /account/profile", false, (*Server).profile},
		{"POST /account/profile", false, (*Server).setProfile},
		{"GET /account/password", false, (*Server).passwordForm},
		{"POST /account/password", false, (*Server).changePassword},
	}
}

// table returns all rows, those of the console and the account as pages. Those of the
// management API come from its document, those of dialects are there where configured.
func (s *Server) table() []route {
	all := slices.Clone(routes)
	for _, rt := range s.consoleRoutes {
		all = append(all, route{rt.pattern, page, s.console(rt)})
	}
	for _, rt := range accountRoutes() {
		all = append(all, route{rt.pattern, page, s.account(rt)})
	}
	all = append(all, s.dialectRoutes()...)
	return append(all, s.managementRoutes()...)
}

// Handler returns everything that the main listener answers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.table() {
		mux.Handle(rt.pattern, s.route(rt))
	}
	mux.Handle("GET /static/", s.pages.Static())
	mux.Handle("/", s.unrouted(mux))
	mux.Handle("OPTIONS /oauth2/{endpoint}", http.HandlerFunc(s.preflight))
	mux.Handle("OPTIONS /.well-known/{document}", http.HandlerFunc(s.preflight))
	return s.everyRequest(s.asWritten(mux))
}
