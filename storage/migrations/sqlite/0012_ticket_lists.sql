-- +goose Up
-- The lists of tickets that were read through all the others.
CREATE INDEX tickets_organization ON tickets (organization_id, created_at, id) WHERE organization_id <> '';
CREATE INDEX tickets_accepted ON tickets (created_at, id) WHERE redeemed_at <> 0 AND revoked_at = 0;

-- +goose Down
DROP INDEX tickets_accepted;
DROP INDEX tickets_organization;
