-- +goose Up
-- The operator's rules about impersonation, each change a version of its own.

CREATE TABLE policies (
    id         TEXT PRIMARY KEY,
    version    BIGINT NOT NULL UNIQUE CHECK (version > 0),
    rules      TEXT NOT NULL,
    note       TEXT NOT NULL DEFAULT '',
    author_id  TEXT NOT NULL DEFAULT '',
    by_person  BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);
CREATE TRIGGER policies_no_change BEFORE UPDATE OR DELETE ON policies FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER policies_no_truncate BEFORE TRUNCATE ON policies FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- What rules ask about while an impersonation runs, and what they left of its scopes.
ALTER TABLE impersonations ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';

-- +goose Down
ALTER TABLE impersonations DROP COLUMN scopes;
ALTER TABLE impersonations DROP COLUMN ip;
DROP TABLE policies;
