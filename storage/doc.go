// Package storage keeps everything Understudy knows in SQLite or PostgreSQL.
//
// Read store.go (opening a database), write.go (the one way to change it:
// group commit), errors.go, then one file for each aggregate: user.go,
// organization.go, client.go, session.go, interaction.go, grant.go, token.go,
// impersonation.go, ticket.go, approval.go, mail.go, key.go, setting.go, throttle.go, apikey.go,
// idempotency.go.
// The audit record is event.go, tree.go, checkpoint.go and verify.go; eventfeed.go,
// webhook.go and delivery.go bring it to those who follow it. sweep.go removes what has
// expired.
//
// Exported signatures speak of User, Grant and context.Context, never of gorm.
// Only hashes of what a caller presents are kept. Everything that may be used
// once is spent by one conditional UPDATE whose row count decides.
package storage
