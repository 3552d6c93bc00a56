-- +goose Up
-- Whoever waits for an event to be recorded does not wait for its place in six indexes,
-- too: it gets them with its place in the tree. Until then events_pending has it.
DROP INDEX events_actor;
DROP INDEX events_subject;
DROP INDEX events_client;
DROP INDEX events_type;
DROP INDEX events_time;
DROP INDEX events_impersonation;
CREATE INDEX events_actor ON events (actor_id, time, id) WHERE actor_id <> '' AND position IS NOT NULL;
CREATE INDEX events_subject ON events (subject_id, time, id) WHERE subject_id <> '' AND position IS NOT NULL;
CREATE INDEX events_client ON events (client_id, time, id) WHERE client_id <> '' AND position IS NOT NULL;
CREATE INDEX events_type ON events (type, time, id) WHERE position IS NOT NULL;
CREATE INDEX events_time ON events (time, id) WHERE position IS NOT NULL;
CREATE INDEX events_impersonation ON events (impersonation_id) WHERE impersonation_id <> '' AND position IS NOT NULL;

-- +goose Down
DROP INDEX events_actor;
DROP INDEX events_subject;
DROP INDEX events_client;
DROP INDEX events_type;
DROP INDEX events_time;
DROP INDEX events_impersonation;
CREATE INDEX events_actor ON events (actor_id, time, id) WHERE actor_id <> '';
CREATE INDEX events_subject ON events (subject_id, time, id) WHERE subject_id <> '';
CREATE INDEX events_client ON events (client_id, time, id) WHERE client_id <> '';
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_time ON events (time, id);
CREATE INDEX events_impersonation ON events (impersonation_id) WHERE impersonation_id <> '';
