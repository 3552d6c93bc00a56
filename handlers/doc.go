// Package handlers is the HTTP surface: it parses requests, calls the provider and
// answers with a page, a redirect or JSON. It holds no SQL and no policy.
//
// Read server.go and routes.go first. session.go says who sits in front of the
// browser; authorize.go, login.go, consent.go are the way of a login; stop.go and
// logout.go its end; setup.go makes the first administrator; direct.go has the endpoints that applications call
// themselves; errors.go renders every error in the form its caller expects;
// middleware.go is what every request passes; ops.go is the second listener. api.go is
// the frame of the management API, whose document is in package api; api_problem.go says
// what programs are told of errors.
package handlers
