-- +goose Up
-- Whether the subject's own permission is a condition of what a ticket starts.
ALTER TABLE tickets ADD COLUMN validate_consent INTEGER NOT NULL DEFAULT 0 CHECK (validate_consent IN (0, 1));

-- +goose Down
ALTER TABLE tickets DROP COLUMN validate_consent;
