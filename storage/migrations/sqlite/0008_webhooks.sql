-- +goose Up
-- Events as machines follow them: from place to place in the tree, by what they look
-- for. What waits for its place is in none of these, so that to record costs no more.
CREATE INDEX events_type_position ON events (type, position) WHERE position IS NOT NULL;
CREATE INDEX events_actor_position ON events (actor_id, position) WHERE actor_id <> '' AND position IS NOT NULL;
CREATE INDEX events_subject_position ON events (subject_id, position) WHERE subject_id <> '' AND position IS NOT NULL;
CREATE INDEX events_client_position ON events (client_id, position) WHERE client_id <> '' AND position IS NOT NULL;
CREATE INDEX events_organization_position ON events (organization_id, position) WHERE organization_id <> '' AND position IS NOT NULL;

-- Where events are pushed to.
CREATE TABLE webhooks (
    id                    TEXT PRIMARY KEY,
    url                   TEXT NOT NULL CHECK (url <> ''),
    description           TEXT NOT NULL DEFAULT '',
    event_types           TEXT NOT NULL DEFAULT '[]',
    secret                BLOB NOT NULL,
    previous_secret       BLOB,
    previous_secret_until INTEGER NOT NULL DEFAULT 0,
    status                TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    disabled_reason       TEXT NOT NULL DEFAULT '' CHECK (disabled_reason IN ('', 'operator', 'gone', 'failing')),
    position              INTEGER NOT NULL CHECK (position >= 0),
    failures              INTEGER NOT NULL DEFAULT 0,
    failing_since         INTEGER NOT NULL DEFAULT 0,
    retry_at              INTEGER NOT NULL DEFAULT 0,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    CHECK ((status = 'disabled') = (disabled_reason <> '')),
    CHECK ((previous_secret IS NULL) = (previous_secret_until = 0)),
    CHECK ((failures = 0) = (failing_since = 0))
) STRICT;

-- What each is to get, and what came of it.
CREATE TABLE webhook_deliveries (
    webhook_id      TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        TEXT NOT NULL REFERENCES events (id),
    event_type      TEXT NOT NULL,
    position        INTEGER NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    http_status     INTEGER NOT NULL DEFAULT 0,
    error           TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    tried_since     INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    claimed_until   INTEGER NOT NULL DEFAULT 0,
    done_at         INTEGER NOT NULL DEFAULT 0,
    expires_at      INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, next_attempt_at, position) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (webhook_id, created_at, event_id);
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (webhook_id, status, created_at, event_id);
CREATE INDEX webhook_deliveries_expiry ON webhook_deliveries (expires_at);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP INDEX events_organization_position;
DROP INDEX events_client_position;
DROP INDEX events_subject_position;
DROP INDEX events_actor_position;
DROP INDEX events_type_position;
