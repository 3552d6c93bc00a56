-- +goose Up
-- What a user last said themselves about support access, also while somebody says
-- otherwise in their place. Empty: they never did.
ALTER TABLE support_access ADD COLUMN own_mode TEXT NOT NULL DEFAULT '' CHECK (own_mode IN ('', 'denied', 'until', 'ticket'));
ALTER TABLE support_access ADD COLUMN own_ticket_ref TEXT NOT NULL DEFAULT '';
ALTER TABLE support_access ADD COLUMN own_expires_at BIGINT NOT NULL DEFAULT 0;
UPDATE support_access SET own_mode = mode, own_ticket_ref = ticket_ref, own_expires_at = expires_at WHERE set_by = '';

-- +goose Down
ALTER TABLE support_access DROP COLUMN own_expires_at;
ALTER TABLE support_access DROP COLUMN own_ticket_ref;
ALTER TABLE support_access DROP COLUMN own_mode;
