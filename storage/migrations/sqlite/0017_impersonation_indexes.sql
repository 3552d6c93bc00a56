-- +goose Up
-- Whoever waits for an impersonation to start does not wait for its place in the lists: it
-- gets that with its end. Those that have not ended are few, and one index is enough.
DROP INDEX impersonations_running;
DROP INDEX impersonations_open;
DROP INDEX impersonations_login;
DROP INDEX impersonations_started;
DROP INDEX impersonations_subject;
DROP INDEX impersonations_client;
DROP INDEX impersonations_organization;
CREATE INDEX impersonations_open ON impersonations (started_at, id, expires_at) WHERE ended_at = 0;
CREATE INDEX impersonations_login ON impersonations (login_sid, client_id) WHERE ended_at = 0 AND login_sid <> '';
CREATE INDEX impersonations_started ON impersonations (started_at, id) WHERE ended_at <> 0;
CREATE INDEX impersonations_subject ON impersonations (subject_id, started_at) WHERE ended_at <> 0;
CREATE INDEX impersonations_client ON impersonations (client_id, started_at, id) WHERE ended_at <> 0;
CREATE INDEX impersonations_organization ON impersonations (organization_id, started_at, id) WHERE organization_id <> '' AND ended_at <> 0;

-- +goose Down
DROP INDEX impersonations_open;
DROP INDEX impersonations_login;
DROP INDEX impersonations_started;
DROP INDEX impersonations_subject;
DROP INDEX impersonations_client;
DROP INDEX impersonations_organization;
CREATE INDEX impersonations_running ON impersonations (expires_at) WHERE ended_at = 0;
CREATE INDEX impersonations_open ON impersonations (started_at, id) WHERE ended_at = 0;
CREATE INDEX impersonations_login ON impersonations (login_sid, client_id) WHERE ended_at = 0;
CREATE INDEX impersonations_started ON impersonations (started_at, id);
CREATE INDEX impersonations_subject ON impersonations (subject_id, started_at);
CREATE INDEX impersonations_client ON impersonations (client_id, started_at, id);
CREATE INDEX impersonations_organization ON impersonations (organization_id, started_at, id) WHERE organization_id <> '';
