-- +goose Up
-- Tickets of the management API, and claims of the caller's own in tokens.

-- Who asked for the ticket, what its tokens say besides, and what became of it. It stays
-- to be asked about for a while: kept_until, no longer expires_at, is when it goes.
ALTER TABLE tickets ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN custom_claims TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN impersonation_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN bound_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN browser_hash BYTEA;
ALTER TABLE tickets ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN kept_until BIGINT NOT NULL DEFAULT 0;
UPDATE tickets SET updated_at = created_at, kept_until = expires_at;
DROP INDEX tickets_expiry;
CREATE INDEX tickets_kept ON tickets (kept_until);
CREATE INDEX tickets_created ON tickets (created_at, id);
CREATE INDEX tickets_open ON tickets (created_at, id) WHERE redeemed_at = 0 AND revoked_at = 0;
CREATE INDEX tickets_revoked ON tickets (created_at, id) WHERE revoked_at <> 0;
CREATE INDEX tickets_subject ON tickets (subject_id, created_at, id);
CREATE INDEX tickets_actor ON tickets (actor_id, created_at, id);
CREATE INDEX tickets_client ON tickets (client_id, created_at, id);
CREATE INDEX tickets_creator ON tickets (created_by, created_at, id) WHERE created_by <> '';

-- How an impersonation came to lie over no sign-in, and in which browser it may be
-- stopped without one.
ALTER TABLE impersonations ADD COLUMN binding TEXT NOT NULL DEFAULT '' CHECK (binding IN ('', 'actor_session', 'bearer'));
ALTER TABLE impersonations ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN browser_hash BYTEA;

ALTER TABLE grants ADD COLUMN custom_claims TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE grants DROP COLUMN custom_claims;
ALTER TABLE impersonations DROP COLUMN browser_hash;
ALTER TABLE impersonations DROP COLUMN created_by;
ALTER TABLE impersonations DROP COLUMN binding;
DROP INDEX tickets_creator;
DROP INDEX tickets_client;
DROP INDEX tickets_actor;
DROP INDEX tickets_subject;
DROP INDEX tickets_revoked;
DROP INDEX tickets_open;
DROP INDEX tickets_created;
DROP INDEX tickets_kept;
CREATE INDEX tickets_expiry ON tickets (expires_at);
ALTER TABLE tickets DROP COLUMN kept_until;
ALTER TABLE tickets DROP COLUMN updated_at;
ALTER TABLE tickets DROP COLUMN browser_hash;
ALTER TABLE tickets DROP COLUMN bound_at;
ALTER TABLE tickets DROP COLUMN impersonation_id;
ALTER TABLE tickets DROP COLUMN custom_claims;
ALTER TABLE tickets DROP COLUMN created_by;
