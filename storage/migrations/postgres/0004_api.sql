-- +goose Up
-- What the management API keeps.

-- With which programs call it. Only the hash of a key is here.
CREATE TABLE api_keys (
    id              TEXT PRIMARY KEY,
    secret_hash     BYTEA NOT NULL UNIQUE,
    name            TEXT NOT NULL CHECK (name <> ''),
    permissions     TEXT NOT NULL,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    client_id       TEXT REFERENCES clients (id) ON DELETE CASCADE,
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL DEFAULT 0,
    last_used_at    BIGINT NOT NULL DEFAULT 0,
    revoked_at      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_organization ON api_keys (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX api_keys_client ON api_keys (client_id) WHERE client_id IS NOT NULL;

-- What was answered to a POST with an Idempotency-Key. status 0: it is still under way.
CREATE TABLE idempotent_requests (
    key_hash     BYTEA PRIMARY KEY,
    request_hash BYTEA NOT NULL,
    status       BIGINT NOT NULL DEFAULT 0,
    sealed       BYTEA,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    CHECK ((status = 0) = (sealed IS NULL))
);
CREATE INDEX idempotent_requests_expiry ON idempotent_requests (expires_at);

-- What the API's lists are read by, each in one order: a page costs what it holds.
CREATE INDEX users_created ON users (created_at, id) WHERE deleted_at = 0;
CREATE INDEX users_name_prefix ON users (((LOWER(name) || chr(1) || id) COLLATE "C")) WHERE deleted_at = 0;
CREATE INDEX users_email_prefix ON users ((email_key COLLATE "C")) WHERE deleted_at = 0;
CREATE INDEX clients_name ON clients (name, id);
CREATE INDEX impersonations_client ON impersonations (client_id, started_at, id);
CREATE INDEX impersonations_organization ON impersonations (organization_id, started_at, id) WHERE organization_id <> '';
CREATE INDEX impersonations_open ON impersonations (started_at, id) WHERE ended_at = 0;

-- +goose Down
DROP INDEX impersonations_open;
DROP INDEX impersonations_organization;
DROP INDEX impersonations_client;
DROP INDEX clients_name;
DROP INDEX users_email_prefix;
DROP INDEX users_name_prefix;
DROP INDEX users_created;
DROP TABLE idempotent_requests;
DROP TABLE api_keys;
