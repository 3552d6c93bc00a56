-- +goose Up
-- Organizations that are gone: nobody gets their ids again, and the record says what
-- they were called.
CREATE TABLE deleted_organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    deleted_at INTEGER NOT NULL
) STRICT;
-- API keys outlive the organization that they are limited to, revoked: what they did is on
-- the record. They go on naming it, so that none of them ever reaches further.
CREATE TABLE api_keys_kept (
    id              TEXT PRIMARY KEY,
    secret_hash     BLOB NOT NULL UNIQUE,
    name            TEXT NOT NULL CHECK (name <> ''),
    permissions     TEXT NOT NULL,
    organization_id TEXT,
    client_id       TEXT REFERENCES clients (id) ON DELETE CASCADE,
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL DEFAULT 0,
    last_used_at    INTEGER NOT NULL DEFAULT 0,
    revoked_at      INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO api_keys_kept SELECT id, secret_hash, name, permissions, organization_id, client_id, created_by, created_at, expires_at, last_used_at, revoked_at FROM api_keys;
DROP TABLE api_keys;
ALTER TABLE api_keys_kept RENAME TO api_keys;
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_organization ON api_keys (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX api_keys_client ON api_keys (client_id) WHERE client_id IS NOT NULL;

-- +goose Down
CREATE TABLE api_keys_bound (
    id              TEXT PRIMARY KEY,
    secret_hash     BLOB NOT NULL UNIQUE,
    name            TEXT NOT NULL CHECK (name <> ''),
    permissions     TEXT NOT NULL,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    client_id       TEXT REFERENCES clients (id) ON DELETE CASCADE,
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL DEFAULT 0,
    last_used_at    INTEGER NOT NULL DEFAULT 0,
    revoked_at      INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO api_keys_bound SELECT id, secret_hash, name, permissions, organization_id, client_id, created_by, created_at, expires_at, last_used_at, revoked_at FROM api_keys
WHERE organization_id IS NULL OR organization_id IN (SELECT id FROM organizations);
DROP TABLE api_keys;
ALTER TABLE api_keys_bound RENAME TO api_keys;
CREATE INDEX api_keys_created ON api_keys (created_at, id);
CREATE INDEX api_keys_organization ON api_keys (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE INDEX api_keys_client ON api_keys (client_id) WHERE client_id IS NOT NULL;
DROP TABLE deleted_organizations;
