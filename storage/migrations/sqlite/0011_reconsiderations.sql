-- +goose Up
-- Changes after which the rules of the policy have to be asked again about what runs:
-- that takes too long for the transaction of the change. A row is removed once it is done.
CREATE TABLE reconsiderations (
    id            TEXT PRIMARY KEY,
    party         TEXT NOT NULL DEFAULT '', -- of what runs, only that of this actor or subject,
    subject_id    TEXT NOT NULL DEFAULT '',
    client_id     TEXT NOT NULL DEFAULT '',
    caller_id     TEXT NOT NULL DEFAULT '',
    changed_by    TEXT NOT NULL DEFAULT '',
    request_id    TEXT NOT NULL DEFAULT '',
    ip            TEXT NOT NULL DEFAULT '',
    user_agent    TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE reconsiderations;
