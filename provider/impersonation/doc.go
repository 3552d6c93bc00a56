// Package impersonation lets a support agent (the actor) sign in to an
// application as one of its users (the subject): for a reason, for a few
// minutes, on the record.
//
// What our tokens carry is delegation in the words of RFC 8693 section 1.1: the
// actor stays visible in the act claim. The product's word is impersonation.
//
// Read decide.go first: Decide asks the guard rails, a pure function over an Attempt,
// and its table test is the specification. Then reason.go (what a reason is),
// service.go (gathering an Attempt, starting, checking again, stopping), ticket.go
// (what is started elsewhere than it was asked for), reconsider.go (what a change ends)
// and candidates.go (whom the consent page offers).
//
// On top come the operator's rules: rule.go (what one is), policy.go (asking them),
// variables.go (what they can ask about), policies.go (their versions) and explain.go
// (how a decision came about). approval.go and support.go are what they may oblige to:
// a second person's yes, and the user's own. caller.go is about programs that ask in an
// actor's place.
package impersonation
