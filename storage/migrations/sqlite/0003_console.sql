-- +goose Up
-- What the console and the account pages keep.

-- The console has a session of its own over the sign-in: a stricter cookie and a
-- shorter idle time.
ALTER TABLE login_sessions ADD COLUMN console_hash BLOB;
ALTER TABLE login_sessions ADD COLUMN console_idle_expires_at INTEGER NOT NULL DEFAULT 0;

-- A deleted user keeps the row, so that nobody gets the id again and the record
-- goes on making sense; nothing personal stays in it.
ALTER TABLE users ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_sign_in_at INTEGER NOT NULL DEFAULT 0;

-- How the console hands a ticket to the application.
ALTER TABLE tickets ADD COLUMN entry TEXT NOT NULL DEFAULT 'console' CHECK (entry IN ('console', 'api'));
ALTER TABLE tickets ADD COLUMN delivery TEXT NOT NULL DEFAULT 'initiate_login' CHECK (delivery IN ('initiate_login', 'callback', 'link'));
ALTER TABLE tickets ADD COLUMN redirect_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN response_type TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN response_mode TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN scope TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN target_link_uri TEXT NOT NULL DEFAULT '';
CREATE INDEX tickets_login ON tickets (login_sid, client_id) WHERE login_sid <> '';

-- What users say about staff acting as them. No row: they have said nothing.
CREATE TABLE support_access (
    user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    mode       TEXT NOT NULL CHECK (mode IN ('denied', 'until', 'ticket')),
    ticket_ref TEXT NOT NULL DEFAULT '',
    expires_at INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    CHECK ((mode = 'ticket') = (ticket_ref <> '')),
    CHECK ((mode = 'denied') = (expires_at = 0))
) STRICT, WITHOUT ROWID;

-- What staff asked users to allow.
CREATE TABLE support_requests (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    actor_id   TEXT NOT NULL REFERENCES users (id),
    client_id  TEXT NOT NULL DEFAULT '',
    reason     TEXT NOT NULL,
    ticket_ref TEXT NOT NULL DEFAULT '',
    status     TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX support_requests_user ON support_requests (user_id, created_at);
CREATE INDEX support_requests_expiry ON support_requests (expires_at);

-- What the console's lists are read by.
CREATE INDEX users_name ON users (name, id);
CREATE INDEX impersonations_started ON impersonations (started_at, id);
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_actor ON events (actor_id, time, id) WHERE actor_id <> '';
CREATE INDEX events_subject ON events (subject_id, time, id) WHERE subject_id <> '';
CREATE INDEX events_client ON events (client_id, time, id) WHERE client_id <> '';

-- +goose Down
DROP INDEX events_client;
DROP INDEX events_subject;
DROP INDEX events_actor;
DROP INDEX events_type;
DROP INDEX impersonations_started;
DROP INDEX users_name;
DROP TABLE support_requests;
DROP TABLE support_access;
DROP INDEX tickets_login;
ALTER TABLE tickets DROP COLUMN target_link_uri;
ALTER TABLE tickets DROP COLUMN scope;
ALTER TABLE tickets DROP COLUMN state;
ALTER TABLE tickets DROP COLUMN response_mode;
ALTER TABLE tickets DROP COLUMN response_type;
ALTER TABLE tickets DROP COLUMN redirect_uri;
ALTER TABLE tickets DROP COLUMN delivery;
ALTER TABLE tickets DROP COLUMN entry;
ALTER TABLE users DROP COLUMN last_sign_in_at;
ALTER TABLE users DROP COLUMN deleted_at;
ALTER TABLE login_sessions DROP COLUMN console_idle_expires_at;
ALTER TABLE login_sessions DROP COLUMN console_hash;
