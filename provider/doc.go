// Package provider is the OAuth 2.0 and OpenID Connect protocol: what a request
// means, what may be answered, what a token says. It knows no HTML and no SQL.
//
// Read provider.go first, then the way of a login: authorize.go (the request),
// next.go (what its person has to do), work.go and fositestore.go (how fosite's
// calls become one Write), token.go (the token endpoint), accesstoken.go and
// idtoken.go (what is signed, after the commit). clients.go, clientauth.go and
// redirect.go say who a client is; keyring.go, rotation.go and jwt.go hold the
// keys;
// introspect.go, userinfo.go, revoke.go, logout.go and discovery.go are the other
// endpoints; password.go and login.go check people. directory.go, setup.go
// and registration.go are what administrators do to people and clients, each change
// with its event, userfile.go and userimport.go how they do it to many at once;
// audit.go orders the record and signs it. caller.go, apikey.go, cursor.go and
// idempotency.go are what the management API needs.
//
// The protocol is fosite's where fosite is right. Where it is not, the comment at
// the wrapper names the row of the defect table in docs/fosite.md ("fosite #16").
package provider
