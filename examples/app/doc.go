// Package app is a relying party to copy: an ordinary OpenID Connect web
// application on go-oidc and x/oauth2 that also knows what to do when the
// person in front of the screen is acting as one of its users.
//
// Nothing in it is particular to one provider, and no check is switched off for
// support staff: state, nonce, PKCE and the issuer are verified in every sign-in.
// Read app.go for the protocol, acting.go for the `act` claim, session.go for
// what is remembered, page.go for what is shown.
package app
