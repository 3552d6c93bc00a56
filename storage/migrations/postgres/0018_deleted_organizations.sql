-- +goose Up
-- Organizations that are gone: nobody gets their ids again, and the record says what
-- they were called.
CREATE TABLE deleted_organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    deleted_at BIGINT NOT NULL
);
-- API keys outlive the organization that they are limited to, revoked: what they did is on
-- the record. They go on naming it, so that none of them ever reaches further.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_organization_id_fkey;

-- +goose Down
DELETE FROM api_keys WHERE organization_id NOT IN (SELECT id FROM organizations);
ALTER TABLE api_keys ADD CONSTRAINT api_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE;
DROP TABLE deleted_organizations;
