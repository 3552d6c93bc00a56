-- +goose Up
-- Who was behind a client stays known when it is deleted: it may have made API keys.
CREATE TABLE client_holders_kept (
    client_id TEXT NOT NULL,
    holder_id TEXT NOT NULL CHECK (holder_id <> ''),
    PRIMARY KEY (client_id, holder_id)
) STRICT, WITHOUT ROWID;
INSERT INTO client_holders_kept SELECT client_id, holder_id FROM client_holders;
DROP TABLE client_holders;
ALTER TABLE client_holders_kept RENAME TO client_holders;

-- +goose Down
CREATE TABLE client_holders_bound (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    holder_id TEXT NOT NULL CHECK (holder_id <> ''),
    PRIMARY KEY (client_id, holder_id)
) STRICT, WITHOUT ROWID;
INSERT INTO client_holders_bound SELECT client_id, holder_id FROM client_holders WHERE client_id IN (SELECT id FROM clients);
DROP TABLE client_holders;
ALTER TABLE client_holders_bound RENAME TO client_holders;
