-- +goose Up
-- What speaking the APIs of other vendors keeps.

-- In whose words a ticket was asked for: its tokens say act as that vendor's would.
ALTER TABLE tickets ADD COLUMN dialect TEXT NOT NULL DEFAULT '' CHECK (dialect IN ('', 'clerk', 'workos', 'descope', 'auth0'));

-- +goose Down
ALTER TABLE tickets DROP COLUMN dialect;
