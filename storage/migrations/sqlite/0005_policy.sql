-- +goose Up
-- The operator's rules about impersonation, each change a version of its own.

CREATE TABLE policies (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL UNIQUE CHECK (version > 0),
    rules      TEXT NOT NULL,
    note       TEXT NOT NULL DEFAULT '',
    author_id  TEXT NOT NULL DEFAULT '',
    by_person  INTEGER NOT NULL DEFAULT 0 CHECK (by_person IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER policies_no_update BEFORE UPDATE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policies_no_delete BEFORE DELETE ON policies
BEGIN
    SELECT RAISE(ABORT, 'policies are append-only');
END;
-- +goose StatementEnd

-- What rules ask about while an impersonation runs, and what they left of its scopes.
ALTER TABLE impersonations ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';

-- +goose Down
ALTER TABLE impersonations DROP COLUMN scopes;
ALTER TABLE impersonations DROP COLUMN ip;
DROP TABLE policies;
