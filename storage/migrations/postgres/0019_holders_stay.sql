-- +goose Up
-- Who was behind a client stays known when it is deleted: it may have made API keys.
ALTER TABLE client_holders DROP CONSTRAINT client_holders_client_id_fkey;

-- +goose Down
DELETE FROM client_holders WHERE client_id NOT IN (SELECT id FROM clients);
ALTER TABLE client_holders ADD CONSTRAINT client_holders_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE;
