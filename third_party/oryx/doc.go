// Package oryx stands in for github.com/ory/x, of which fosite v0.49.0 uses two
// small packages while the real module links 178 more. Everything here is
// written from fosite's call sites; see docs/adr/0001-oryx-stub.md.
package oryx
