// Package api is the management API's document, openapi.yaml, and what is generated
// from it: the server's interface and types, and in the package below it a client in Go.
//
// # To add an operation
//
// Write it into openapi.yaml: its path and answers, x-permission for what the caller must
// hold, x-within where holding it within one organization suffices, x-errors for the
// codes of its problems beside the common ones, and the header idempotencyKey where it
// is a POST. Objects in requests have additionalProperties: false. Then go generate
// ./handlers/api, and implement the new method of StrictServerInterface in package
// handlers, in the file api_RESOURCE.go:
//
//	func (a apiServer) ListUsers(ctx context.Context, r api.ListUsersRequestObject) (api.ListUsersResponseObject, error)
//
// By then the request was authenticated, permitted and held against the document. What
// is left: callerOf(ctx) says who calls and has a Standing to ask the rules about; with
// x-within the method must look at the object, and say storage.ErrNotFound of one out of
// reach. Errors are returned as they are; handlers/api_problem.go makes problems of them,
// and has the table to add a new one to. Lists read their place with a.place and give the
// next with a.next.
//
// The routes, the permission matrix, the fuzz test and the reference in docs are all
// derived from the document: there is nothing else to add.
package api

//go:generate go tool -modfile=../../.ci/tools/go.mod oapi-codegen -config server.oapi.yaml -o api.gen.go openapi.yaml
//go:generate go tool -modfile=../../.ci/tools/go.mod oapi-codegen -config client/client.oapi.yaml -o client/client.gen.go openapi.yaml
//go:generate go tool -modfile=../../.ci/tools/go.mod gofumpt -w api.gen.go client/client.gen.go
