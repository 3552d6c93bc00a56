-- +goose Up
-- Whether the subject's own permission is a condition of what a ticket starts.
ALTER TABLE tickets ADD COLUMN validate_consent BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE tickets DROP COLUMN validate_consent;
