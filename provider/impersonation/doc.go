// Package impersonation lets a support agent (the actor) sign in to an
// application as one of its users (the subject): for a reason, for a few
// minutes, on the record.
//
// What our tokens carry is delegation in the words of RFC 8693 section 1.1: the
// actor stays visible in the act claim. The product's word is impersonation.
//
// Read decide.go first: Decide is the policy, a pure function over an Attempt,
// and its table test is the specification. Then reason.go (what a reason is),
// service.go (gathering an Attempt, starting, checking again, stopping) and
// candidates.go (whom the consent page offers).
package impersonation
